"""Checks that hold no answer: what an answer and its likely mistakes gave on fixed instances, as numbers in a file.

A teacher records them. Students receive the numbers, and beside them a module, checks.py, that may say how to look at an answer.
Its last line is `check, hand_in = recorded.checks(globals())`. See notebooks/assignments/.
"""

import json
from pathlib import Path

import torch
from IPython.display import display

from . import judge
from .asking import asked, fixed_settings, new_generator, plain, unplain
from .judge import Exercise, outputs

CHECKS = "checks.json"  # instances that students see, and what the answer and the mistakes gave
HIDDEN = "hidden.json"  # a grader puts it beside: other instances, without outputs
HANDED_IN = (
    "application/vnd.helpers.answers"  # the output in which a grader finds an answer's numbers
)
FUNCTIONS = {name: getattr(Exercise, name) for name in ("look", "accept")}  # defaults


def checks(module):
    """The functions `check` and `hand_in` of a module, which is given as its globals().

    The files beside it are read at once: what a student runs may change the folder.
    """
    paths = [Path(module["__file__"]).with_name(name) for name in (CHECKS, HIDDEN)]
    files = {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def check(name, answer):
        """Prints whether `answer` is right; raises Mistake, with the likely reason, if not, as every exercise's check does."""
        judge.check(name, answer, read(module, files))

    def hand_in(name, answer):
        """Puts what `answer` gives on the hidden instances into the cell's output, as plain numbers, and judges nothing.

        A grader judges it in another process, which no trick in this one reaches. Raises Mistake where the answer stops.
        """
        exercise = read(module, files)[name]
        with fixed_settings():
            instances = exercise.instances(None)
            if HIDDEN in files:
                instances = restored(json.loads(files[HIDDEN])[name])
            text = asked(exercise.look, name, answer, instances)
        display({HANDED_IN: text, "text/plain": f"{name}: handed in"}, raw=True)

    return check, hand_in


def instances_of(exercises, seed):
    """The instances of each exercise that are drawn from a seed, as a text."""
    with fixed_settings():
        drawn = {
            name: stored(one.instances(new_generator(seed))) for name, one in exercises.items()
        }
    return json.dumps(drawn)


def record(exercises, module):
    """The checks of exercises, on instances drawn from seed 0, as a text.

    Raises ValueError if a function of an Exercise that students need is none of the names in `module`.
    """
    return json.dumps({name: recorded(name, one, module) for name, one in exercises.items()})


def recorded(name, exercise, module):
    """A dict of what students receive of an exercise."""
    found = {"praise": exercise.praise, "tolerance": exercise.tolerance}
    for part, default in FUNCTIONS.items():
        function = getattr(exercise, part)
        if function is not default:
            names = [key for key, value in module.items() if value is function]
            if not names:
                raise ValueError(
                    f"the {part} of {name} must be a name in checks.py, which students receive"
                )
            found[part] = names[0]
    with fixed_settings():
        instances = exercise.instances(new_generator(0))
        found["instances"] = stored(instances)
        if not exercise.accept:
            answers = {"": exercise.answer} | exercise.mistakes
            found["outputs"] = {
                message: [
                    {part: rounded(plain(value)) for part, value in parts.items()}
                    for parts in outputs(exercise, function, instances)
                ]
                for message, function in answers.items()
            }
    return found


def read(module, files):
    """The exercises that are recorded beside a module: an answer and its mistakes are lists of outputs."""
    if CHECKS not in files:
        raise FileNotFoundError(
            f"{CHECKS} is missing: put it beside checks.py and restart the kernel"
        )
    with fixed_settings():
        found = json.loads(files[CHECKS])
        return {name: exercise_from(each, module) for name, each in found.items()}


def exercise_from(found, module):
    """An Exercise from what `recorded` has made of it."""
    mistakes = {
        message: [{part: unplain(value) for part, value in parts.items()} for parts in given]
        for message, given in found.pop("outputs", {}).items()
    }
    instances = restored(found.pop("instances"))
    found |= {part: module[found[part]] for part in FUNCTIONS if part in found}
    return Exercise(
        answer=mistakes.pop("", []),
        mistakes=mistakes,
        instances=lambda generator: instances,
        **found,
    )


def rounded(value):
    """A value of JSON with numbers of nine digits: a float32 is still the same."""
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def stored(value):
    """An argument of an exercise as JSON can hold it. Raises ValueError if it cannot be stored."""
    if isinstance(value, torch.Tensor):
        numbers = value.flatten().tolist()
        return {
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "numbers": numbers if value.dtype == torch.float64 else rounded(numbers),
        }
    if isinstance(value, dict):
        return {"dict": [[key, stored(part)] for key, part in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [stored(part) for part in value]}
    if isinstance(value, list):
        return [stored(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"an instance must hold tensors, numbers, texts, tuples, lists and dicts, got {value!r}"
    )


def restored(value):
    """An argument from what `stored` has made of it."""
    if isinstance(value, list):
        return [restored(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {key: restored(part) for key, part in value["dict"]}
    if "tuple" in value:
        return tuple(restored(part) for part in value["tuple"])
    dtype = getattr(torch, value["dtype"])
    return torch.tensor(value["numbers"], dtype=dtype).reshape(value["shape"])
