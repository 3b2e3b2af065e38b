"""Lesson 06: a residual block, and the scale at which any number of blocks doubles the variance once."""

from functools import partial

import torch

from .judge import Exercise


def block(x, weight, projection, branch_scale):
    """A residual block in the order "pre"."""
    skip = x if projection is None else x @ projection
    return skip + branch_scale * (torch.relu(x) @ weight)


def blocks(generator):
    """A block from 3 to 5 units, with a projection, and one of 4 units without."""
    draw = partial(torch.randn, generator=generator)
    return [(draw(6, 3), draw(3, 5), draw(3, 5), 0.3), (draw(6, 4), draw(4, 4), None, 0.7)]


def scale(blocks):
    """The scale of each branch at which all blocks together double the variance."""
    return (2 ** (1 / blocks) - 1) ** 0.5


EXERCISES = [
    Exercise(
        answer=block,
        instances=blocks,
        praise="With a projection the widths may differ; without one, nothing stands in the way of x.",
        mistakes="""
            the skip is missing
                skip + →
            the branch is not scaled
                branch_scale * →
            the scale belongs to the branch alone: on the skip it would shrink x in every block
                skip + → branch_scale * skip +
            the scale belongs to the branch, not to the skip
                skip + branch_scale * → branch_scale * skip +
            the ReLU stands before the weight
                torch.relu(x) @ weight → torch.relu(x @ weight)
            the skip goes past the ReLU: as it is, x loses its negative half in every block
                skip = x if → x = torch.relu(x); skip = x if
            the projection is applied to x as it came, not to relu(x)
                x @ projection → torch.relu(x) @ projection
            the scale belongs to the branch alone, not to the projection
                x @ projection → branch_scale * (x @ projection)
            the branch has lost its ReLU: then the block is one linear layer
                torch.relu(x) → x
            in the order "pre" nothing comes after the sum
                return skip + branch_scale * (torch.relu(x) @ weight) → return torch.relu(skip + branch_scale * (torch.relu(x) @ weight))
            that is the order "post": here the ReLU stands before the weight
                return skip + branch_scale * (torch.relu(x) @ weight) → return torch.relu(skip + branch_scale * (x @ weight))
        """,
    ),
    Exercise(
        answer=scale,
        instances=lambda generator: [(1,), (2,), (10,), (100,), (1000,)],
        praise="One block or a thousand: the variance doubles once.",
        mistakes="""
            close: that grows to (1 + 1/blocks)^blocks, which is 2 for one block and nearly e = 2.72 for many
                (2 ** (1 / blocks) - 1) ** 0.5 → (1 / blocks) ** 0.5
            1/blocks is too careful: the squares add up, so the variance would hardly grow at all
                (2 ** (1 / blocks) - 1) ** 0.5 → 1 / blocks
            2 ** 1 / blocks is (2 ** 1) / blocks: a root is 2 ** (1 / blocks)
                2 ** (1 / blocks) → 2 / blocks
            that is the square of the scale: take its root
                ** 0.5 →
            that doubles the standard deviation; the variance then is 4
                2 ** → 4 **
            that would be right if the branch pointed along x; it is perpendicular, and the squares add up: 1 + scale²
                (2 ** (1 / blocks) - 1) ** 0.5 → 2 ** (1 / (2 * blocks)) - 1
            that is right for very many blocks; for few, the growth of the growth counts: (1 + scale²)^blocks = 2
                (2 ** (1 / blocks) - 1) ** 0.5 → (0.6931471805599453 / blocks) ** 0.5
            blocks · scale² = 1 is meant to double it, and growth compounds: (1 + scale²)^blocks = 2
                (2 ** (1 / blocks) - 1) ** 0.5 → (2 / blocks) ** 0.5
            each block multiplies by 1 + scale²; you have left out the 1
                - 1) → )
        """,
    ),
]
