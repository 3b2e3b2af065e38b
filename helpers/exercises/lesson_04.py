"""Lesson 04: the learning rate for longer weights, and batch norm folded into a linear layer."""

from functools import partial

import torch

from .asking import several
from .judge import Exercise


def matching_rate(lr, factor):
    """The learning rate at which weights `factor` times as long turn as before: lr · factor²."""
    return lr * factor**2


def fold(weight, bias, gamma, beta, mean, var, eps):
    """The weight and the bias of one linear layer that does the work of both."""
    scale = gamma / (var + eps) ** 0.5
    return weight * scale, (bias - mean) * scale + beta


def instances(generator):
    """A linear layer of 4 units, and a batch norm behind it."""
    draw = partial(torch.randn, generator=generator)
    return [
        (draw(4, 4), draw(4), 1 + 0.3 * draw(4), draw(4), draw(4), 0.1 + draw(4) ** 2, 0.1)
        for _ in range(2)
    ]


EXERCISES = [
    Exercise(
        answer=matching_rate,
        instances=lambda generator: [(0.1, 2.0), (0.03, 5.0), (0.2, 0.5)],
        praise="Twice the length, four times the learning rate: one column, one row of the map.",
        mistakes="""
            longer weights turn less, so they need a larger learning rate
                lr * factor**2 → lr / factor**2
            that makes up for the smaller gradient only: the weights are longer, too
                factor**2 → factor
            with this learning rate they turn less still: twice the length asks for more
                lr * factor**2 → lr / factor
            twice the length asks for four times the rate, so for three times the length?
                lr * factor**2 → lr * 2 * factor
            with batch norm the loss does not change, but the turn of a step does
                lr * factor**2 → lr
        """,
    ),
    Exercise(
        answer=fold,
        instances=instances,
        look=several("the new weight", "the new bias"),
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
            beta is missing: it is added after the scaling
                * scale + beta → * scale
            the running mean is not subtracted
                bias - mean → bias
            the running mean is subtracted, not added
                bias - mean → bias + mean
            the layer's own bias goes through batch norm, too: scale it as well
                (bias - mean) * scale → bias - mean * scale
            the running mean is subtracted before the scaling: scale it as well
                (bias - mean) * scale → bias * scale - mean
            eps is added to the variance, under the root, not to the root
                (var + eps) ** 0.5 → (var**0.5 + eps)
            bias - mean has to be scaled as well, before beta is added
                (bias - mean) * scale → bias - mean
            beta comes after the scaling
                (bias - mean) * scale + beta → (bias - mean + beta) * scale
        """,
    ),
]
