"""How an answer to assignment A3 is looked at. Students receive this."""

from helpers.exercises import recorded
from helpers.exercises.asking import look_without_autograd, named, without_autograd  # noqa: F401, checks.json names the first


def look_at_weights(function, x, weights, g):
    """The gradient at each weight, where autograd records nothing."""
    returned = without_autograd(function, x, weights, g)
    layers = range(1, len(weights) + 1)
    return named(returned, *(f"the gradient at the weights of layer {layer}" for layer in layers))


check, hand_in = recorded.checks(globals())
