"""How an answer to assignment A3 is looked at. Students receive this."""

from helpers.exercises import recorded
from helpers.exercises.asking import named, without_autograd


def look_without_autograd(function, *instance):
    """What a function returns where no gradient is recorded."""
    return {"": without_autograd(function, *instance)}


def look_at_weights(function, x, weights, g):
    """The gradient at each weight, where autograd records nothing."""
    returned = without_autograd(function, x, weights, g)
    layers = range(1, len(weights) + 1)
    return named(returned, *(f"the gradient at the weights of layer {layer}" for layer in layers))


check, hand_in = recorded.checks(globals())
