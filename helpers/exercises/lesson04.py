"""Exercise 1 of lesson 04: the learning rate that suits longer weights, before batch norm."""

from ..checks import Exercise


def matching_rate(lr, factor):
    """Half the gradient for twice the length: the turn of a step shrinks with the square."""
    return lr * factor**2


EXERCISES = {
    "matching_rate": Exercise(
        answer=matching_rate,
        instances=lambda generator: [(0.1, 2.0), (0.03, 5.0), (0.2, 0.5)],
        mistakes={
            "longer weights turn less, so they need a larger learning rate": lambda lr, factor: (
                lr / factor**2
            ),
            "that makes up for the smaller gradient only: the weights are longer, too": (
                lambda lr, factor: lr * factor
            ),
            "with this learning rate they turn less still: twice the length asks for more": (
                lambda lr, factor: lr / factor
            ),
            "twice the length asks for four times the rate, so for three times the length?": (
                lambda lr, factor: lr * 2 * factor
            ),
            "with batch norm the loss does not change, but the turn of a step does": (
                lambda lr, factor: lr
            ),
        },
        praise="Twice the length, four times the learning rate: one column, one row of the map.",
    ),
}
