"""Lesson 02: the gain at which a leaky ReLU neither shrinks nor enlarges the signal."""

import torch

from .judge import Exercise


def critical_gain(slope):
    """He's gain, for a ReLU that passes the negative half times `slope`."""
    return (2 / (1 + slope**2)) ** 0.5


def instances(generator):
    """Five slopes from 0.1 to 0.9."""
    return [(float(slope),) for slope in torch.rand(5, generator=generator) * 0.8 + 0.1]


EXERCISES = [
    Exercise(
        answer=critical_gain,
        instances=instances,
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
    )
]
