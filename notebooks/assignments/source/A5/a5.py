"""Checks of assignment A5: two hundred layers that train, within a budget. Many answers are right, so they are tried out."""

import math
from functools import cache, partial

from helpers import build, digits, fit
from helpers.exercises import judge
from helpers.exercises.asking import Mistake, named
from helpers.exercises.judge import Exercise

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


def survives(recipe, seed, leeway):
    history = ran(recipe, seed)
    if history.diverged.any():
        raise Mistake(
            "it diverged: its loss became infinite or NaN. Is the branch small enough, the learning rate too large?"
        )
    if not history.loss[-1] < 0.95 * math.log(10):
        raise Mistake(
            f"its loss, {history.loss[-1]:.2f}, is no better than guessing (log 10 = 2.30): do different images still get different scores?"
        )


def learns(recipe, seed, leeway):
    survives(recipe, seed, leeway)
    error, allowed = ran(recipe, seed).train_error[-1], 0.1 * leeway
    if error > allowed:
        raise Mistake(
            f"it is wrong for {error:.0%} of its training digits, and {allowed:.0%} are allowed"
        )


def generalizes(recipe, seed, leeway):
    survives(recipe, seed, leeway)
    error, allowed = ran(recipe, seed).test_error[-1], 0.15 * leeway
    if error > allowed:
        raise Mistake(
            f"it is wrong for {error:.0%} of the digits it has not seen, and {allowed:.0%} are allowed"
        )


def on_most(succeeds, part="recipe"):
    """An `accept` for a part of an answer: it must succeed with most of the seeds."""

    def accept(parts, seeds, leeway):
        mistakes = []
        for k, seed in enumerate(seeds):
            try:
                succeeds(parts[part], seed, leeway)
            except Mistake as mistake:
                mistakes.append(mistake)
            if len(mistakes) > len(seeds) / 2:
                raise mistakes[0]
            if k + 1 - len(mistakes) > len(seeds) / 2:
                return

    return accept


def means(chosen):
    """All that keeps the branch small."""
    settings = START | chosen
    if not settings["skip"]:
        return {"nothing: there is no branch"}
    norm = {"a norm"} if settings["norm"] != "none" else set()
    scale = {"learning from 0" if settings["branch_scale"] == 0 else "a number"}
    return norm if norm and settings["branch_scale"] == 1 else norm | scale


def differs(parts, seeds, leeway):
    for recipe in parts.values():
        within_budget(recipe)
    if shared := means(parts["recipe"]) & means(parts["another"]):
        raise Mistake(
            f"in both recipes the branch is kept small by the same means ({', '.join(sorted(shared))}): find another"
        )
    on_most(learns, "another")(parts, seeds, leeway)


def look_at_recipe(function, seeds, leeway):
    return {"recipe": function()}


def look_at_both(functions, seeds, leeway):
    return named(functions(), "recipe", "another")


def splits(generator):
    """Splits and starts, and how many times wider than announced the limits are. Seed 0 is there for all to see. For the mark
    there are three, of which two count, and twice the errors are allowed: no point is lost by bad luck."""
    seed = generator.initial_seed()
    return [((0,), 1.0)] if seed == 0 else [((seed, seed + 1, seed + 2), 2.0)]


EXERCISES = {
    "survive": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Two hundred layers, and the loss comes down.",
        look=look_at_recipe,
        accept=on_most(survives),
    ),
    "train": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Over 90 % of the training digits.",
        look=look_at_recipe,
        accept=on_most(learns),
    ),
    "test": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=splits,
        mistakes={},
        praise="Over 85 % of the digits it has never seen.",
        look=look_at_recipe,
        accept=on_most(generalizes),
    ),
    "another": Exercise(
        answer=lambda: (
            {"skip": True, "branch_scale": 199**-0.5},
            {"skip": True, "norm": "layer"},
        ),
        instances=splits,
        mistakes={},
        praise="Two ways to keep a branch small.",
        look=look_at_both,
        accept=differs,
    ),
}

check = partial(judge.check, exercises=EXERCISES)
hand_in = partial(judge.hand_in, exercises=EXERCISES)
