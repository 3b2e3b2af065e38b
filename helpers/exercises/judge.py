"""Judges answers to exercises, and names the mistake. It knows no exercise: each is described by an `Exercise`.

A mistake is known by what it computes: beside each answer stand the functions that people write instead. In the place of a
function may stand what it gave on each instance: see `recorded`.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial, wraps

import torch

from ..arguments import choice
from .asking import Mistake, asked, fixed_settings, new_generator, received, spoken, unanswered

TOLERANCE = 1e-4


def value(function, *instance):
    """The usual way to look at an answer: what it returns."""
    return {"": function(*instance)}


@dataclass
class Exercise:
    """An exercise, as far as its answers are judged.

    answer: the right function; None where `accept` judges, if there is none.
    instances: from a torch.Generator to a list of arguments on which answers are tried.
    mistakes: from what to say to the function that makes that mistake; or a text, as `edited` takes it.
    praise: what to say of a right answer.
    hard: from what to say to a function like `instances`, for cases in which an answer fails that is right otherwise.
    look: from a function and its arguments to a dict of what is compared, by name.
    tolerance: as a share of the largest entry.
    accept: a function of what `look` found and its instance that raises Mistake; nothing is compared then.
    asks: what a task of an assignment asks for, in words, where another course gets another definition.
    """

    answer: Callable | list | None
    instances: Callable
    praise: str
    mistakes: dict | str = field(default_factory=dict)
    hard: dict = field(default_factory=dict)
    look: Callable = value
    tolerance: float = TOLERANCE
    accept: Callable | None = None
    asks: str = ""

    def __post_init__(self):
        if isinstance(self.mistakes, str):
            self.mistakes = edited(self.answer, self.mistakes)


def edited(answer, text):
    """From what to say to the function that makes that mistake: `answer` with other code.

    In the text stands what to say, and indented below it one edit a line: a part of the answer's source → what people write.
    """
    edits = {}
    for line in textwrap.dedent(text).strip().splitlines():
        if not line.startswith(" "):
            edits[line] = found = []
        else:
            found.append([part.strip() for part in line.split("→")])
    return {message: but(answer, *found) for message, found in edits.items()}


def but(answer, *edits):
    """The function `answer` with other code. Each edit is a part of its source, and what people write instead."""

    def source():
        text = source_of(answer)
        for right, wrong in edits:
            if right not in text:
                raise ValueError(f"{answer.__name__} does not say {right!r}")
            text = text.replace(right, wrong)
        return text

    @cache
    def rewritten():
        names = {}
        exec(source(), inspect.unwrap(answer).__globals__, names)  # noqa: S102, the source is ours
        return names[answer.__name__]

    @wraps(answer)
    def made(*arguments):
        return rewritten()(*arguments)

    made.source = source
    return made


def source_of(function):
    """A function's source, also of one that `but` has made."""
    made = getattr(function, "source", None)
    return made() if made else textwrap.dedent(inspect.getsource(function))


def check(name, answer, exercises, seed=0):
    """Prints whether `answer`, a function, solves the exercise `name`; raises Mistake, with the likely reason, if not.

    The trial instances are drawn from `seed`. An answer that still has the exercise's `...` is no error.
    exercises: from names to Exercise. Raises ValueError if there is none of that name.
    """
    exercise = exercises[choice("name", name, tuple(exercises))]
    if answer is not ... and not callable(answer):
        raise Mistake(f"{name} must be a function, got {spoken(answer)}")
    written = getattr(answer, "__name__", "<lambda>")
    name = name if written == "<lambda>" else written
    with fixed_settings():
        instances = exercise.instances(new_generator(seed))
        given = received(asked(exercise.look, name, answer, instances))
        if unanswered(given):
            print("Your turn: replace the ... above, then run this cell again.")
            return
        judge(exercise, name, instances, given)
        for message, cases in exercise.hard.items():
            instances = cases(new_generator(seed))
            given = received(asked(exercise.look, name, answer, instances))
            wanted = outputs(exercise, exercise.answer, instances)
            if not all(map(partial(same_parts, tolerance=0.02), given, wanted)):
                raise Mistake(message)
    print(f"Correct. {exercise.praise}")


def judge(exercise, name, instances, given):
    """Raises Mistake, with the likely reason, unless what an answer has given on each instance is right."""
    if exercise.accept:
        for parts, instance in zip(given, instances, strict=True):
            exercise.accept(parts, *instance)
        return

    def alike(part, others):
        pairs = [(parts.get(part), other.get(part)) for parts, other in zip(given, others)]
        return all(same(*pair, exercise.tolerance) for pair in pairs)

    wanted = outputs(exercise, exercise.answer, instances)
    agree = partial(same_parts, tolerance=exercise.tolerance)
    if all(agree(*pair) for pair in zip(given, wanted, strict=True)):
        return
    mistakes = {
        message: outputs(exercise, mistake, instances)
        for message, mistake in exercise.mistakes.items()
    }
    likely = [message for message, wrong in mistakes.items() if all(map(agree, given, wrong))]
    for part in wanted[0]:  # of several mistakes at once, one that explains a wrong part
        if not alike(part, wanted):
            likely += [message for message, wrong in mistakes.items() if alike(part, wrong)]
    raise Mistake(likely[0] if likely else difference(exercise, name, instances, given, wanted))


def outputs(exercise, function, instances):
    """What is compared of a function on each instance; of a list, which is recorded, the list."""
    if isinstance(function, list):
        return function
    return [exercise.look(function, *instance) for instance in instances]


def difference(exercise, name, instances, given, wanted):
    """One sentence on the first difference."""
    k, part = next(
        (k, part)
        for k, right in enumerate(wanted)
        for part in right
        if not same(given[k].get(part), right[part], exercise.tolerance)
    )
    found, right = given[k].get(part), wanted[k][part]
    got = found if isinstance(found, str) else spoken(found)  # `plain` made a text of it
    if not isinstance(right, torch.Tensor) or right.dim() == 0:
        shown = [f"{one:.4g}" if isinstance(one, (int, float)) else "…" for one in instances[k]]
        call = f"{name}({', '.join(shown)})"
        what = f"for {call}, {part}" if part else call
        return f"{what} should be {right:.7g}, got {got}"
    part = part or f"what {name} returns"
    if not isinstance(found, torch.Tensor) or found.shape != right.shape:
        got = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else got
        return f"{part} should be a tensor of shape {tuple(right.shape)}, got {got}"
    at = (found - right).abs().nan_to_num(torch.inf).argmax()
    right, found = right.flatten()[at], found.flatten()[at]
    return f"{part} is wrong: one entry should be {right:.7g}, got {found:.7g}"


def same_parts(given, wanted, tolerance=TOLERANCE):
    """Whether each part that `wanted` has is the same."""
    return all(same(given.get(part), right, tolerance) for part, right in wanted.items())


def same(given, wanted, tolerance=TOLERANCE):
    """Whether two answers are the same number or array, but for rounding: to `tolerance` times the largest entry."""
    try:
        given, wanted = (
            torch.as_tensor(part).detach().to(torch.complex128) for part in (given, wanted)
        )
    except (TypeError, ValueError, RuntimeError):
        return False
    close = tolerance * float(wanted.abs().max() if wanted.numel() else 0) + 1e-12
    return given.shape == wanted.shape and bool(((given - wanted).abs() <= close).all())
