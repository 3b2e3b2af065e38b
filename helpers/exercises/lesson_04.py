"""Lesson 04: batch norm folded into the linear layer before it."""

from functools import partial

import torch

from .asking import named
from .judge import Exercise


def fold(weight, bias, gamma, beta, mean, var, eps):
    """The weight and the bias of one linear layer that does the work of both."""
    scale = gamma / (var + eps) ** 0.5
    return weight * scale, (bias - mean) * scale + beta


def look(function, *instance):
    """The new weight and bias, by name."""
    return named(function(*instance), "the new weight", "the new bias")


def instances(generator):
    """A linear layer of 4 units, and a batch norm behind it."""
    draw = partial(torch.randn, generator=generator)
    return [
        (draw(4, 4), draw(4), 1 + 0.3 * draw(4), draw(4), draw(4), 0.1 + draw(4) ** 2, 0.1)
        for _ in range(2)
    ]


EXERCISES = [
    Exercise(
        answer=fold,
        instances=instances,
        look=look,
        praise="In use, batch norm melts into a linear layer that stands before it.",
        mistakes="""
            eps is missing: it stands under the root here too
                (var + eps) → var
            the scale belongs to the units, which are the columns of the weight, not its rows
                weight * scale → weight * scale[:, None]
            divide by the root of the variance plus eps, not by the variance
                ** 0.5 →
            gamma is missing
                gamma / → 1 /
            the new weight is scaled as well: each column times gamma / sqrt(var + eps)
                weight * scale → weight
            the layer's own bias is lost: it is normalized like everything else
                bias - mean → -mean
            the running mean is not subtracted
                bias - mean → bias
            the running mean is subtracted, not added
                bias - mean → bias + mean
            bias - mean has to be scaled as well, before beta is added
                (bias - mean) * scale → bias - mean
            beta comes after the scaling
                (bias - mean) * scale + beta → (bias - mean + beta) * scale
        """,
    )
]
