"""Lesson 08: the weights of a convolution, and dropout, which costs nothing in eval mode."""

import torch

from .asking import Mistake, several
from .judge import Exercise, same


def count_weights(side, before, after):
    """The weights of a convolution from `before` to `after` channels, and of a fully connected layer."""
    convolution = 9 * before * after
    fully_connected = side**2 * before * side**2 * after
    return convolution, fully_connected


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
        first, again = (function(x.clone(), p, noise.clone(), training) for _ in range(2))
        parts[part] = first
        finite = all(
            isinstance(out, torch.Tensor) and out.isfinite().all() for out in (first, again)
        )
        if finite and not same(again, first):
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
        answer=count_weights,
        instances=lambda generator: [(8, 1, 16), (8, 16, 32), (16, 3, 8)],
        look=several("the convolution's weights", "the fully connected layer's weights"),
        praise="A convolution from 16 to 32 channels has 4,608 weights, whatever the size of the image.",
        mistakes="""
            the convolution's windows have 3 by 3 weights each: 9, not 3
                9 * before → 3 * before
            a window belongs to one new channel and one old one: multiply by both numbers of channels
                9 * before * after → 9 * after
            each new channel has a window of its own: multiply by after, too
                9 * before * after → 9 * before
            the windows multiply: before times after, not before plus after
                9 * before * after → 9 * (before + after)
            the same nine weights serve at every place: the convolution does not depend on side
                9 * before * after → 9 * before * after * side**2
            the fully connected layer joins each old number with each new one: side**2 pixels are on both sides
                side**2 * before * side**2 → side**2 * before
            count the weights alone, without the constants that are added
                9 * before * after → (9 * before + 1) * after
                side**2 * before * side**2 * after → (side**2 * before + 1) * side**2 * after
            the two numbers have changed places: first the convolution
                return convolution, fully_connected → return fully_connected, convolution
        """,
    ),
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
            nothing is dropped: in training, x becomes 0 where noise is below p
                if training → if False
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
    ),
]
