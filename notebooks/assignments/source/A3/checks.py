"""How an answer to assignment A3 is looked at. Students receive this."""

import torch

from helpers.exercises import recorded
from helpers.exercises.asking import named


def look_without_autograd(function, *instance):
    """What a function returns where no gradient is recorded."""
    with torch.inference_mode():
        return {"": function(*instance)}


def look_at_weights(function, x, weights, g):
    """The gradient at each weight, where autograd records nothing."""
    with torch.inference_mode():
        returned = function(x, weights, g)
    layers = range(1, len(weights) + 1)
    return named(returned, *(f"the gradient at the weights of layer {layer}" for layer in layers))


check, hand_in = recorded.checks(globals())
