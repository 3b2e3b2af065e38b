"""Lesson 01: the factor that undoes doublings, and two layers that change nothing."""

import torch

from .asking import named, unanswered
from .judge import Exercise


def undo(layers):
    """The factor that brings a number back after `layers` doublings."""
    return 2.0**-layers


def do_nothing(width):
    """Two weights with a ReLU between them."""
    one = torch.eye(width)
    first = torch.cat([one, -one], 1)
    second = torch.cat([one, -one], 0)
    return first, second


def look(function, x):
    """What comes out of the two layers for x, (examples, width)."""
    parts = named(function(x.shape[1]), "first", "second")
    if unanswered([parts]):
        return {"": ...}
    first, second = map(torch.as_tensor, parts.values())
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), x.dtype)
    return {"what comes out": torch.relu(x.to(dtype) @ first.to(dtype)) @ second.to(dtype)}


def instances(generator):
    """Five examples of one feature, and of three."""
    return [(torch.randn(5, width, generator=generator),) for width in (1, 3)]


EXERCISES = [
    Exercise(
        answer=undo,
        instances=lambda generator: [(3,), (8,), (36,)],
        praise="Without the factor, 36 such layers would turn a 3 into 206,158,430,208.",
        mistakes="""
            the factor 1 changes nothing
                2.0**-layers → 1.0
            that undoes one doubling, and there are as many as layers
                2.0**-layers → 1 / 2
            that is what the layers do to a number; the factor has to undo it
                -layers → layers
            doublings multiply: two make 4 times as much, and three make 8 times, not 6
                2.0**-layers → 1 / (2 * layers)
            that undoes a single layer which multiplies by `layers`; each of yours multiplies by 2
                2.0**-layers → 1 / layers
            layers * layers grows too slowly: each new layer doubles once more
                2.0**-layers → layers**-2.0
            one doubling is left: the factor needs as many halves as there are layers
                -layers → (1 - layers)
            one half too many: the factor needs as many halves as there are layers
                -layers → (-1 - layers)
        """,
    ),
    Exercise(
        answer=do_nothing,
        instances=instances,
        look=look,
        praise="Any number of such pairs may be added to a network, and it answers as before.",
        mistakes="""
            the ReLU loses what is negative: let a second unit carry it, with the sign turned
                [one, -one], 0 → [one, 0 * one], 0
            that gives |x|: on the way back the second unit's sign has to be turned again
                [one, -one], 0 → [one, one], 0
            both units carry the positive half, and the negative one is lost
                [one, -one] → [one, one]
            the second unit takes away what the first one brings: turn its sign on the way in, too
                [one, -one], 1 → [one, one], 1
            that carries the negative half alone: let a second unit carry the positive one
                [one, -one] → [0 * one, -one]
        """,
    ),
]
