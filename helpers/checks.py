"""Floor 4: instant feedback on the exercises. Each check knows the likely mistakes, and names the one it sees.

A mistake is known by what it computes: beside each answer stand the functions that people write instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .arguments import choice


class Mistake(Exception):
    """What is wrong with an answer, in one line. A notebook shows that line, and no traceback."""

    def _render_traceback_(self):
        return [f"Not yet: {self}"]


@dataclass(frozen=True)
class Exercise:
    """answer: the right function. instances: from a torch.Generator to a list of arguments to try it on.
    mistakes: from what to say to the function that makes that mistake. praise: what to say of a right answer."""

    answer: Callable
    instances: Callable
    mistakes: dict
    praise: str


def check(name, answer, seed=0):
    """Says whether `answer`, a function, solves the exercise `name`; raises Mistake, with the likely reason, if not.

    The trial instances are drawn from `seed`. An answer that still has the exercise's `...` is told so, without an error.
    Raises ValueError if there is no exercise of that name.
    """
    exercise = EXERCISES[choice("name", name, tuple(EXERCISES))]
    if answer is ...:
        print("Your turn: replace the ... above, then run this cell again.")
        return
    if not callable(answer):
        raise Mistake(f"{name} must be a function, got {answer!r}")
    instances = exercise.instances(torch.Generator().manual_seed(seed))
    try:
        given = [answer(*instance) for instance in instances]
    except Exception as error:
        raise Mistake(f"{name} stopped with {type(error).__name__}: {error}") from error
    if any(value is None for value in given):
        raise Mistake(f"{name} returned nothing: is a return missing?")
    if any(value is ... for value in given):
        print("Your turn: replace the ... above, then run this cell again.")
        return
    wanted = [exercise.answer(*instance) for instance in instances]
    if all(map(same, given, wanted)):
        print(f"Correct. {exercise.praise}")
        return
    for message, mistake in exercise.mistakes.items():
        if all(map(same, given, [mistake(*instance) for instance in instances])):
            raise Mistake(message)
    first = next(i for i, pair in enumerate(zip(given, wanted)) if not same(*pair))
    arguments = ", ".join(f"{value:.4g}" for value in instances[first])
    raise Mistake(f"{name}({arguments}) should be {wanted[first]:.4g}, got {given[first]!r}")


def same(given, wanted, tolerance=1e-4):
    """Whether two answers are the same number, but for rounding."""
    try:
        return math.isclose(float(given), float(wanted), rel_tol=tolerance, abs_tol=1e-12)
    except (TypeError, ValueError):
        return False


def compare(prediction, measured, unit=""):
    """Sets the reader's prediction beside what was measured, both numbers; a prediction of ... or None is asked for."""
    if prediction is ... or prediction is None:
        print(f"Measured: {measured:.2g}{unit}. (You did not write a prediction: it is worth a guess before you look.)")
        return
    said = f"Your prediction: {prediction}{unit}. Measured: {measured:.2g}{unit}."
    if isinstance(prediction, (int, float)) and prediction > 0 and measured > 0:
        ratio = max(prediction / measured, measured / prediction)
        said += " Close: within a factor of 3." if ratio < 3 else f" Off by a factor of {ratio:.1g}."
    print(said)


EXERCISES = {
    "critical_gain": Exercise(
        answer=lambda slope: (2 / (1 + slope**2)) ** 0.5,
        instances=lambda generator: [(float(slope),) for slope in torch.rand(5, generator=generator) * 0.8 + 0.1],
        mistakes={
            "that is the gain of the plain ReLU; the negative half now carries something too": lambda slope: 2**0.5,
            "that is the square of the gain: the gain multiplies a standard deviation, not a variance": (
                lambda slope: 2 / (1 + slope**2)
            ),
            "the slope enters the mean square as its square: (slope z)² = slope² z²": (
                lambda slope: (2 / (1 + slope)) ** 0.5
            ),
            "upside down: the gain has to undo what the activation does to the mean square": (
                lambda slope: ((1 + slope**2) / 2) ** 0.5
            ),
            "that is the share of the mean square that is left; the gain is one over its root": (
                lambda slope: (1 + slope**2) / 2
            ),
            "the root covers the whole fraction: (2 / (1 + slope²)) ** 0.5, not 2 / (1 + slope²) ** 0.5": (
                lambda slope: 2 / (1 + slope**2) ** 0.5
            ),
            "the negative half adds to what is kept; it takes nothing away": lambda slope: (2 / (1 - slope**2)) ** 0.5,
            "square the slope alone: (1 + slope)² is not 1 + slope²": lambda slope: (2 / (1 + slope) ** 2) ** 0.5,
            "only half of the values are negative, and half are positive: each half counts one half": (
                lambda slope: 1 / (1 + slope**2) ** 0.5
            ),
        },
        praise="With slope 0 it is He's sqrt(2), with slope 1 the linear network's 1.",
    ),
}
