"""Lesson 02: the gain for a wanted size, and the gain of a leaky ReLU."""

from .judge import Exercise


def gain_for(factor, depth):
    """The gain at which layer `depth` of a ReLU network is `factor` times as large as layer 1."""
    return 2**0.5 * factor ** (1 / (depth - 1))


def critical_gain(slope):
    """He's gain, for a ReLU that passes the negative half times `slope`."""
    return (2 / (1 + slope**2)) ** 0.5


EXERCISES = [
    Exercise(
        answer=gain_for,
        instances=lambda generator: [(1000.0, 50), (0.01, 20), (3.0, 2), (1e-6, 100), (7.0, 11)],
        tolerance=5e-3,  # 1.41, as the text rounds √2, will do
        praise="One gain, and any size after any number of layers.",
        mistakes="""
            layer 1 has no layer before it: from there to layer depth there are depth - 1 factors
                (depth - 1) → depth
            that is the factor of one layer, gain/√2; solve it for the gain
                2**0.5 * factor → factor
            multiply by √2: the factor of one layer is gain/√2, so the gain is larger
                2**0.5 * factor → 2**-0.5 * factor
            1 / depth - 1 is (1 / depth) - 1: the exponent needs a second pair of parentheses, 1 / (depth - 1)
                1 / (depth - 1) → 1 / depth - 1
            √2 stands in the factor of every layer, so it is no part of the root: multiply by it afterwards
                2**0.5 * factor ** (1 / (depth - 1)) → (2**0.5 * factor) ** (1 / (depth - 1))
            layers multiply: take a root, do not divide. (x ** 1 / n divides, too; a root is x ** (1 / n))
                factor ** (1 / (depth - 1)) → factor / (depth - 1)
            that is the square of the gain: the gain multiplies a standard deviation, not a variance
                2**0.5 * factor ** (1 / (depth - 1)) → 2 * factor ** (2 / (depth - 1))
            factor compares with layer 1; its own gain does not enter
                2**0.5 * factor ** (1 / (depth - 1)) → (2 ** ((depth - 1) / 2) * factor) ** (1 / depth)
        """,
    ),
    Exercise(
        answer=critical_gain,
        instances=lambda generator: [(0.1,), (0.25,), (0.4,), (0.6,), (0.9,)],
        tolerance=5e-3,
        praise="With slope 0 it is He's sqrt(2), with slope 1 the linear network's 1.",
        mistakes="""
            that is the gain of the plain ReLU; the negative half now carries something too
                (1 + slope**2) → 1
            that is the square of the gain: the gain multiplies a standard deviation, not a variance
                ** 0.5 →
            the slope enters the mean square as its square: (slope z)² = slope² z²
                slope**2 → slope
            upside down: the gain has to undo what the activation does to the mean square
                2 / (1 + slope**2) → (1 + slope**2) / 2
            that is the share of the mean square that is left; the gain is one over its root
                (2 / (1 + slope**2)) ** 0.5 → (1 + slope**2) / 2
            the root covers the whole fraction: (2 / (1 + slope²)) ** 0.5, not 2 / (1 + slope²) ** 0.5
                (2 / (1 + slope**2)) ** 0.5 → 2 / (1 + slope**2) ** 0.5
            the negative half adds to what is kept; it takes nothing away
                1 + slope → 1 - slope
            square the slope alone: (1 + slope)² is not 1 + slope²
                (1 + slope**2) → (1 + slope) ** 2
            only half of the values are negative, and half are positive: each half counts one half
                2 / → 1 /
        """,
    ),
]
