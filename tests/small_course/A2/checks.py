"""How the answers to A2 are judged: many are right. Students receive this; it holds no answer."""

from helpers.exercises import recorded
from helpers.exercises.asking import Mistake


def look_at_recipe(function, leeway):
    return {"recipe": function()}


def within_budget(parts, leeway):
    recipe = parts["recipe"]
    if not isinstance(recipe, dict) or set(recipe) != {"skip", "epochs"}:
        raise Mistake(f"return a dict of skip and epochs, got {recipe!r}")
    epochs = recipe["epochs"]
    if isinstance(epochs, bool) or not isinstance(epochs, int) or not 1 <= epochs <= 4 * leeway:
        raise Mistake(f"the budget is {4 * leeway} epochs, got {epochs!r}")
    if recipe["skip"] is not True:
        raise Mistake("without skips it does not learn")


check, hand_in = recorded.checks(globals())
