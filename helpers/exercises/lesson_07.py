"""Lesson 07: how deep a gradient lets a network be, and two hundred layers that train.

Many answers to the second are right, so each is tried out.
"""

from ..datasets import digits
from ..networks import build
from ..training import fit
from .asking import Mistake, spoken
from .judge import Exercise

START = {  # what may be changed
    "norm": "none",
    "skip": False,
    "branch_scale": 1.0,
    "order": "pre",
    "activation": "relu",
    "gain": 2**0.5,
    "lr": 0.1,
}


def deepest(factor, most):
    """The largest number of layers at which the gradient at layer 1 is at most `most` times the last one."""
    depth = 1
    while factor**depth <= most:
        depth += 1
    return depth


def two_hundred():
    """What is changed, of START."""
    return {"skip": True, "branch_scale": 199**-0.5}


def look(function):
    """Trains what the answer describes. Raises Mistake, with what happened, unless it is right for 90 % of the training digits."""
    chosen = function()
    if chosen is ... or (isinstance(chosen, dict) and ... in chosen.values()):
        return {"": ...}
    settings = with_changes(chosen)
    lr = settings.pop("lr")
    net = build(depth=200, width=32, seed=0, **settings)
    history = fit(net, digits(0), lr=lr, epochs=4, batch=64, progress=False)
    if history.stopped:
        raise KeyboardInterrupt
    if history.diverged.any():
        why = "Does its gradient explode (lesson 05), or is the learning rate too large?"
        if settings["skip"]:
            why = "Is the branch small enough, or the learning rate too large?"
        raise Mistake(f"it diverged: its loss became infinite or NaN. {why}")
    error = history.train_error[-1]
    if error > 0.1:
        why = "its gradient explodes or vanishes, or all its images have become alike; lessons 02 and 05"
        if settings["skip"]:
            why = "what keeps the branch small, and is the learning rate too large or too small for it?"
        raise Mistake(
            f"after four epochs it is wrong for {error:.0%} of its training digits: {why}"
        )
    return {"": 1.0}


def with_changes(chosen):
    """All settings, with the three at most that were chosen. Raises Mistake if they are not allowed."""
    if not isinstance(chosen, dict):
        raise Mistake(
            f"return a dict of what you change, such as {{'lr': 0.01}}, got {spoken(chosen)}"
        )
    for name in chosen:
        if name not in START:
            allowed = ", ".join(START)
            raise Mistake(f"{name} cannot be changed here; you may change three of {allowed}")
    changed = {name: value for name, value in chosen.items() if value != START[name]}
    if len(changed) > 3:
        names = ", ".join(changed)
        raise Mistake(f"you changed {len(changed)} things, and three are allowed: {names}")
    settings = START | changed
    for name in ("branch_scale", "order"):
        if name in changed and not settings["skip"]:
            raise Mistake(f"{name} does nothing without skip")
    return settings


EXERCISES = [
    Exercise(
        answer=deepest,
        instances=lambda generator: [
            (1.2112, 1e3),
            (2**0.5, 1e6),
            (1.05, 30.0),
            (1.9, 2.5),
            (2.0, 16.0),
        ],
        praise="With batch norm, 37 layers make the gradient at layer 1 nearly a thousandfold.",
        mistakes="""
            from the last layer to layer 1 there is one step less than there are layers: one more layer fits
                return depth → return depth - 1
            one layer too many: with it, the gradient is over the limit. Round down
                return depth → return depth + 1
            at most: where the gradient comes to just `most`, the layer still fits
                factor**depth <= most → factor**depth < most
            a number of layers is whole: round down
                return depth → import math; return 1 + math.log(most) / math.log(factor)
            round down: rounded up, the last layer's step takes the gradient over the limit
                return depth → import math; return 1 + math.ceil(math.log(most) / math.log(factor))
            the steps multiply: factor to a power, not factor times the steps
                factor**depth → factor * depth
        """,
    ),
    Exercise(
        answer=two_hundred,
        instances=lambda generator: [()],
        look=look,
        accept=lambda parts: None,  # `look` has tried it out
        praise="Two hundred layers, four epochs, over 90 % right on the training digits.",
    ),
]
