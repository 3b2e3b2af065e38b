"""Checks of assignment A5: two hundred layers that train, within a budget. Many answers are right, so they are tried out."""

import math
from functools import cache, partial

from helpers import build, checks, digits, fit
from helpers.checks import Exercise, Mistake

DEPTH, WIDTH, BATCH, EPOCHS = 200, 32, 64, 4
START = {
    "norm": "none",
    "skip": False,
    "branch_scale": 1.0,
    "order": "pre",
    "activation": "relu",
    "gain": 2**0.5,
    "lr": 0.1,
    "epochs": 4,
}


@cache
def trained(chosen, seed):
    """The History of the network that `chosen` describes, by names, types and values, on a split of the digits drawn from `seed`."""
    settings = START | {name: value for name, _, value in chosen}
    of_fit = {name: settings.pop(name) for name in ("lr", "epochs")}
    net = build(DEPTH, WIDTH, inputs=64, classes=10, seed=seed, **settings)
    return fit(net, digits(seed), batch=BATCH, seed=seed, progress=False, **of_fit)


def within_budget(chosen):
    """Raises Mistake if a recipe is none, or costs more than is allowed."""
    if not isinstance(chosen, dict):
        raise Mistake(f"return a dict of what you change, such as {{'lr': 0.01}}, got {chosen!r}")
    for name in chosen:
        if name not in START:
            raise Mistake(f"{name} cannot be changed here; you may change {', '.join(START)}")
    epochs = chosen.get("epochs", EPOCHS)
    if isinstance(epochs, bool) or not isinstance(epochs, int) or not 1 <= epochs <= EPOCHS:
        raise Mistake(f"the budget is {EPOCHS} epochs, got {epochs!r}")


def ran(chosen, seed):
    within_budget(chosen)
    try:
        return trained(
            tuple((name, type(chosen[name]), chosen[name]) for name in sorted(chosen)), seed
        )  # 1 is not True
    except (TypeError, ValueError) as problem:
        raise Mistake(f"no network can be built or trained from that: {problem}") from None


def survives(parts, seed):
    history = ran(parts["recipe"], seed)
    if history.diverged.any():
        raise Mistake(
            "it diverged: its loss became infinite or NaN. Is the branch small enough, the learning rate too large?"
        )
    if not history.loss[-1] < 0.95 * math.log(10):
        raise Mistake(
            f"its loss, {history.loss[-1]:.2f}, is no better than guessing (log 10 = 2.30): does a signal reach the end?"
        )


def learns(parts, seed):
    survives(parts, seed)
    error = ran(parts["recipe"], seed).train_error[-1]
    if error > 0.1:
        raise Mistake(f"it is wrong for {error:.0%} of its training digits, and 10 % are allowed")


def generalizes(parts, seed):
    survives(parts, seed)
    error = ran(parts["recipe"], seed).test_error[-1]
    if error > 0.15:
        raise Mistake(
            f"it is wrong for {error:.0%} of the digits it has not seen, and 15 % are allowed"
        )


def means(chosen):
    """All that keeps the branch small."""
    settings = START | chosen
    if not settings["skip"]:
        return {"nothing: there is no branch"}
    norm = {"a norm"} if settings["norm"] != "none" else set()
    scale = {"learning from 0" if settings["branch_scale"] == 0 else "a number"}
    return norm if norm and settings["branch_scale"] == 1 else norm | scale


def differs(parts, seed):
    first, second = parts["recipe"], parts["another"]
    for chosen in (first, second):
        within_budget(chosen)
    if shared := means(first) & means(second):
        raise Mistake(
            f"in both recipes the branch is kept small by the same means ({', '.join(sorted(shared))}): find another"
        )
    learns({"recipe": second}, seed)


def look_at_recipe(function, seed):
    return {"recipe": function()}


def look_at_both(functions, seed):
    return dict(zip(("recipe", "another"), functions()))


def splits(generator):
    """One split and one start: seed 0 where anyone can see it, another one for the mark."""
    return [(int(generator.initial_seed()),)]


EXERCISES = {
    "survive": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Two hundred layers, and the loss comes down.",
        look=look_at_recipe,
        accept=survives,
    ),
    "train": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Over 90 % of the training digits.",
        look=look_at_recipe,
        accept=learns,
    ),
    "test": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Over 85 % of the digits it has never seen.",
        look=look_at_recipe,
        accept=generalizes,
    ),
    "another": Exercise(
        answer=lambda: (
            {"skip": True, "branch_scale": 199**-0.5},
            {"skip": True, "branch_scale": 0.0, "lr": 0.03},
        ),
        instances=splits,
        mistakes={},
        praise="Two ways to keep a branch small.",
        look=look_at_both,
        accept=differs,
    ),
}

check = partial(checks.check, exercises=EXERCISES)
hand_in = partial(checks.hand_in, exercises=EXERCISES)
