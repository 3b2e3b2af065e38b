"""The exercises of lesson 02."""

from ..checks import Exercise

EXERCISES = {
    "gain_for": Exercise(
        answer=lambda factor, depth: 2**0.5 * factor ** (1 / (depth - 1)),
        instances=lambda generator: [(1000.0, 50), (0.01, 20), (3.0, 2), (1e-6, 100), (7.0, 11)],
        mistakes={
            "layer 1 has no layer before it: from there to layer depth there are depth - 1 factors": (
                lambda factor, depth: 2**0.5 * factor ** (1 / depth)
            ),
            "that is the factor of one layer, gain/√2; solve it for the gain": (
                lambda factor, depth: factor ** (1 / (depth - 1))
            ),
            "multiply by √2: the factor of one layer is gain/√2, so the gain is larger": (
                lambda factor, depth: factor ** (1 / (depth - 1)) / 2**0.5
            ),
            "layers multiply, they do not add: take a root, do not divide": (
                lambda factor, depth: 2**0.5 * factor / (depth - 1)
            ),
            "that is the square of the gain: the gain multiplies a standard deviation, not a variance": (
                lambda factor, depth: 2 * factor ** (2 / (depth - 1))
            ),
            "factor compares with layer 1; its own gain does not enter": (
                lambda factor, depth: (2 ** ((depth - 1) / 2) * factor) ** (1 / depth)
            ),
        },
        praise="One gain, and any size after any number of layers.",
    ),
}
