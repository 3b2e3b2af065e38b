"""Exercise 1 of lesson 05: how far the gradient grows in a deep ReLU network with batch norm."""

from math import pi

from ..checks import Exercise

FACTOR = (pi / (pi - 1)) ** 0.5  # by which the gradient grows in each layer, about 1.21


def growth(depth):
    """The gradient at layer 1, as a multiple of the gradient at the last layer."""
    return FACTOR ** (depth - 1)


EXERCISES = {
    "growth": Exercise(
        answer=growth,
        instances=lambda generator: [(2,), (20,), (56,)],
        mistakes={
            "from the last layer to layer 1 there are depth - 1 steps": lambda depth: FACTOR**depth,
            "the steps multiply: 1.21 to a power, not 1.21 times the steps": lambda depth: (
                FACTOR * (depth - 1)
            ),
            "that is the growth of the squared gradient: its size grows by the root": lambda depth: (
                FACTOR ** (2 * (depth - 1))
            ),
            "that is the last layer's gradient as a multiple of layer 1's": lambda depth: (
                FACTOR ** (1 - depth)
            ),
            "1.2 is too coarse: over 55 steps it comes out 40 % too low. Take 1.21": lambda depth: (
                1.2 ** (depth - 1)
            ),
        },
        praise="With 56 layers the gradient at layer 1 is over 37,000 times as large as at layer 56.",
        tolerance=0.1,  # 1.21 for 1.2112 is fine
    ),
}
