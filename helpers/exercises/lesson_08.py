"""Lesson 08: dropout, which costs nothing in eval mode."""

import torch

from .asking import Mistake
from .judge import Exercise, same


def dropout(x, p, noise, training):
    """x, without the values where the noise is below p, and with the others enlarged."""
    if training:
        kept = noise >= p
        x = x * kept / (1 - p)
    return x


def look(function, x, p, noise):
    """What comes out in training and in eval. Raises Mistake if it is not the same each time."""
    parts = {}
    for mode, training in ("training", True), ("eval", False):
        part = f"the output in {mode}"
        parts[part], again = (function(x.clone(), p, noise.clone(), training) for _ in range(2))
        if isinstance(again, torch.Tensor) and not same(again, parts[part]):
            raise Mistake(
                f"{part} is another one each time: take the noise that is given, instead of drawing your own"
            )
    return parts


def instances(generator):
    """Values, the share that is dropped, and uniform noise."""
    return [
        (torch.randn(8, 6, generator=generator), p, torch.rand(8, 6, generator=generator))
        for p in (0.2, 0.6)
    ]


EXERCISES = [
    Exercise(
        answer=dropout,
        instances=instances,
        look=look,
        praise="On average training passes on what eval does, and eval costs nothing: this is torch.nn.Dropout.",
        mistakes="""
            p is the share that is dropped: keep where noise is p or more
                >= p → < p
            you took p for the share that is kept; it is the share that is dropped, and 1 - p is kept
                >= p → < p
                (1 - p) → p
            the right share, but other units: drop where noise is below p
                noise >= p → noise < 1 - p
            divide by the share that is kept, 1 - p, not by p
                (1 - p) → p
            nothing makes up for what was dropped: in training, divide what is left by 1 - p
                / (1 - p) →
            upside down: what is left has to grow, so divide by 1 - p
                / (1 - p) → * (1 - p)
            divide by the share that is kept on average, 1 - p, not by the one that chance has kept this time
                (1 - p) → kept.float().mean()
            in eval mode nothing is dropped: return x as it is
                if training → if True
            training and eval have changed places
                if training → if not training
            that is the form of the first paper: training as it is, eval times 1 - p. The averages agree, but here eval is to cost nothing: divide by 1 - p in training
                / (1 - p) →
                return x → return x if training else x * (1 - p)
            scaled twice: training has divided by 1 - p already, so eval returns x as it is
                return x → return x if training else x * (1 - p)
            the scale belongs to training, where something is missing; eval returns x as it is
                / (1 - p) →
                return x → return x if training else x / (1 - p)
        """,
    )
]
