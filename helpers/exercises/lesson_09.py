"""Lesson 09: three networks that do not train, and one setting that cures each. Many answers are right, so each is tried out."""

import torch

from ..datasets import digits
from ..networks import build
from ..training import Trainer, error
from .asking import Mistake
from .judge import Exercise

SICK = {
    "fades": {"depth": 20, "activation": "tanh", "gain": 0.5},
    "explodes": {"depth": 50, "skip": True},
    "stuck": {"depth": 40, "norm": "layer"},
}
KNOBS = ("width", "gain", "norm", "skip", "branch_scale", "lr", "batch")


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
        raise Mistake(f"return a dict of {names}, each with a dict of one knob, got {cures!r}")
    for name, cure in cures.items():
        if cure is not ...:
            try_out(name, cure)
    return {"": ...} if ... in cures.values() else {"whether they train": 1.0}


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
        answer=one_knob,
        instances=lambda generator: [()],
        look=look,
        accept=lambda parts: None,  # `look` has tried it out
        praise="Three networks, three illnesses, and one knob each.",
    )
]
