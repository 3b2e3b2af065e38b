"""Lesson 09: the update of a layer; and three networks that do not train, with one setting that cures each.

Of the cures many are right, so each is tried out.
"""

import torch

from ..datasets import digits
from ..networks import build
from ..training import Trainer, error
from .asking import Mistake, spoken
from .judge import Exercise

SICK = {
    "fades": {"depth": 20, "activation": "tanh", "gain": 0.5},
    "explodes": {"depth": 50, "skip": True},
    "stuck": {"depth": 40, "norm": "layer"},
}
KNOBS = ("width", "gain", "norm", "skip", "branch_scale", "lr", "batch")


def update(before, after):
    """The length of the step, as a share of the length of the weights."""
    return (after - before).norm() / before.norm()


def weights(generator):
    """A layer's weights before and after a small step, a middling one, and one that doubles them."""
    before, step = (torch.randn(6, 4, generator=generator) for _ in range(2))
    return [(before, before + 0.002 * step), (3 * before, before + step), (before, 2 * before)]


def one_knob():
    """By network: the cure."""
    return {"fades": {"gain": 1.0}, "explodes": {"norm": "batch"}, "stuck": {"skip": True}}


def look(function):
    """Trains the three networks, each with the one setting that the answer changes. A cure that is still missing is passed over.

    Raises Mistake, with what happened, unless each network is right for 60 % of the training digits after 300 steps.
    """
    cures = function()
    if cures is ...:
        return {"": ...}
    if (
        not isinstance(cures, dict)
        or {*cures} != {*SICK}
        or not all(isinstance(cure, dict) or cure is ... for cure in cures.values())
    ):
        names = ", ".join(map(repr, SICK))
        raise Mistake(
            f"return a dict of {names}, each with a dict of one knob, got {spoken(cures)}"
        )
    missing = [name for name, cure in cures.items() if cure is ... or ... in cure.values()]
    for name, cure in cures.items():
        if name not in missing:
            try_out(name, cure)
    return {"": ...} if missing else {"": 1.0}


def try_out(name, cure):
    """Trains one of the networks. Raises Mistake, with what happened, unless the cure cures it."""
    if len(cure) != 1 or not {*cure} <= {*KNOBS}:
        raise Mistake(f"turn one knob of {name!r}, one of {', '.join(KNOBS)}, got {cure!r}")
    settings = {"width": 32, "gain": 1.41, "lr": 0.01, "batch": 64} | SICK[name] | cure
    of_trainer = {part: settings.pop(part) for part in ("lr", "batch")}
    net, data = build(**settings, inputs=64, classes=10, seed=0), digits(0)
    trainer = Trainer(net, data, **of_trainer)
    losses = torch.stack([trainer.step() for _ in range(300)])
    if not losses.isfinite().all():
        raise Mistake(f"{name!r} with {cure} diverges: its loss becomes infinite or NaN")
    wrong = float(error(net, data.x, data.y))
    if wrong > 0.4:
        raise Mistake(
            f"{name!r} with {cure} is still wrong for {wrong:.0%} of its training digits after 300 steps"
        )


EXERCISES = [
    Exercise(
        answer=update,
        instances=weights,
        praise="A ratio of lengths says by what share a step moves a layer, however long its weights are.",
        mistakes="""
            divide by the length before the step, not after it
                / before.norm() → / after.norm()
            upside down: the length of the step comes first
                (after - before).norm() / before.norm() → before.norm() / (after - before).norm()
            that is the length of the step alone: divide it by the length of the weights before
                / before.norm() →
            that is how much longer the weights have become; a step can turn them, too: take the length of the difference
                (after - before).norm() → (after.norm() - before.norm())
            the lengths may shrink, so abs() helps, but a step can turn the weights without a change of length: take the length of the difference
                (after - before).norm() → (after.norm() - before.norm()).abs()
            the root is missing: a length is the root of the sum of squares
                .norm() → .square().sum()
            divide length by length, and not each weight's step by this weight
                (after - before).norm() / before.norm() → ((after - before) / before).norm()
            a length is the root of the sum of squares, not the sum of the sizes
                .norm() → .abs().sum()
        """,
    ),
    Exercise(
        answer=one_knob,
        instances=lambda generator: [()],
        look=look,
        accept=lambda parts: None,  # `look` has tried it out
        praise="Three networks, three illnesses, and one knob each.",
    ),
]
