"""How an answer to assignment A4 is looked at. Students receive this."""

import torch

from helpers.exercises import recorded
from helpers.exercises.asking import named


def look_at_law(function, *instance):
    return named(function(*instance), "the growth", "the share")


def look_at_gradients(function, *instance):
    """The three gradients, where autograd records nothing."""
    with torch.inference_mode():
        returned = function(*instance)
    return named(returned, "the gradient at x", "the gradient at weight", "the gradient at a")


check, hand_in = recorded.checks(globals())
