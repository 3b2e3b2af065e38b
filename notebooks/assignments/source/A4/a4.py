"""Checks of assignment A4: a residual block, and the scale that keeps a thousand of them calm. Holds the answers."""

from functools import partial

import torch

from helpers.exercises import judge
from helpers.exercises.judge import Exercise


def same(x):
    return x


def block_with(
    *,
    on_skip=same,
    first_relu=torch.relu,
    inner=torch.relu,
    last=same,
    at_end=same,
    skip=1.0,
    branch=same,
):
    """The first answer, or one of its mistakes. skip: what the skip is multiplied by, None for the scale; branch: from the scale
    to what the branch is multiplied by."""

    def function(x, first, second, scale):
        kept = (scale if skip is None else skip) * on_skip(x)
        return at_end(kept + branch(scale) * last(inner(first_relu(x) @ first) @ second))

    return function


def look_at_block(function, *instance):
    return {"the output": function(*instance)}


def blocks(generator):
    draw = partial(torch.randn, generator=generator)
    return [(draw(6, 4), draw(4, 7), draw(7, 4), scale) for scale in (0.3, 0.7)]


def backward_with(
    *,
    skip=1.0,
    branch=same,
    inner=True,
    outer=True,
    mask=lambda z: z > 0,
    inner_at=None,
    on_all=False,
):
    """The second answer, or one of its mistakes. inner_at: where the inner ReLU is looked at; on_all: the outer ReLU also stops
    the skip."""

    def function(g, x, first, second, scale):
        hidden = torch.relu(x) @ first
        back = (g @ second.T) * (mask(inner_at(x, first) if inner_at else hidden) if inner else 1)
        back = (back @ first.T) * (mask(x) if outer and not on_all else 1)
        total = (scale if skip is None else skip) * g + branch(scale) * back
        return total * mask(x) if on_all else total

    return function


def look_at_backward(function, *instance):
    return {"the gradient at x": function(*instance)}


def ways_back(generator):
    return [(torch.randn(6, 4, generator=generator), *block) for block in blocks(generator)]


def pairs(generator):
    whole = partial(torch.randint, size=(), generator=generator)
    few, many = int(whole(2, 6)), int(whole(20, 100))
    return [
        (1, 0.5),
        (few, 0.6 + 0.4 * float(torch.rand((), generator=generator))),
        (many, 0.05 + 0.1 * float(torch.rand((), generator=generator))),
    ]


def wishes(generator):
    whole = partial(torch.randint, size=(), generator=generator)
    return [
        (1, 5.0),
        *(
            (int(whole(2, 1000)), 1.5 + 8 * float(torch.rand((), generator=generator)))
            for _ in range(3)
        ),
    ]


EXERCISES = {
    "block": Exercise(
        answer=block_with(),
        instances=blocks,
        look=look_at_block,
        praise='The order "pre": nothing stands in the way of x.',
        mistakes={
            "the skip is missing": block_with(skip=0.0),
            "the branch is not scaled": block_with(branch=lambda scale: 1.0),
            "the scale belongs to the branch alone: on the skip it would shrink x in every block": block_with(
                skip=None
            ),
            "the scale belongs to the branch, not to the skip": block_with(
                skip=None, branch=lambda scale: 1.0
            ),
            "the skip starts before the ReLU, not after it: as it is, x loses its negative half in every block": block_with(
                on_skip=torch.relu
            ),
            "nothing comes after the sum": block_with(at_end=torch.relu),
            "the first ReLU is missing": block_with(first_relu=same),
            "the second ReLU is missing: two matrices in a row are one": block_with(inner=same),
            "the ReLU stands before each weight, not after it": block_with(
                first_relu=same, last=torch.relu
            ),
            "that is a branch without its ReLUs: one linear layer": block_with(
                first_relu=same, inner=same
            ),
        },
    ),
    "block_backward": Exercise(
        answer=backward_with(),
        instances=ways_back,
        look=look_at_backward,
        praise="The skip hands g on as it is, the branch adds what it has to say.",
        mistakes={
            "the skip's part is missing: g itself": backward_with(skip=0.0),
            "what comes back through the branch is scaled too": backward_with(
                branch=lambda scale: 1.0
            ),
            "the skip is not scaled, on the way back either": backward_with(skip=None),
            "the inner ReLU stops the gradient where what goes into it is negative": backward_with(
                inner=False
            ),
            "the outer ReLU stops the branch's gradient where x is negative": backward_with(
                outer=False
            ),
            "both ReLUs are missing": backward_with(inner=False, outer=False),
            "a ReLU passes the gradient where its input is positive, and stops it elsewhere: yours is the wrong way round": backward_with(
                mask=lambda z: z <= 0
            ),
            "a ReLU multiplies by its slope, 0 or 1, not by its value": backward_with(
                mask=torch.relu
            ),
            "the outer ReLU stands in the branch: it does not stop the skip": backward_with(
                on_all=True
            ),
            "the inner ReLU gets relu(x) @ first, not x @ first": backward_with(
                inner_at=lambda x, first: x @ first
            ),
        },
    ),
    "variance": Exercise(
        answer=lambda blocks, scale: (1 + scale**2) ** blocks,
        instances=pairs,
        praise="At scale 1 it doubles, in every block.",
        mistakes={
            "that would be right if the branch pointed along x: it is perpendicular, and the squares add up": lambda blocks, scale: (
                (1 + scale) ** (2 * blocks)
            ),
            "the branch adds its variance, the square of the scale": lambda blocks, scale: (
                (1 + scale) ** blocks
            ),
            "the next block adds to what has grown already: it compounds": lambda blocks, scale: (
                1 + blocks * scale**2
            ),
            "that is the standard deviation": lambda blocks, scale: (1 + scale**2) ** (blocks / 2),
            "that leaves out the scale": lambda blocks, scale: 2.0**blocks,
            "that leaves out the skip": lambda blocks, scale: scale ** (2 * blocks),
            "exp(blocks · scale²) is right for very many blocks only": lambda blocks, scale: (
                2.718281828459045 ** (blocks * scale**2)
            ),
        },
    ),
    "scale_for": Exercise(
        answer=lambda blocks, factor: (factor ** (1 / blocks) - 1) ** 0.5,
        instances=wishes,
        praise="One block or a thousand: the variance ends where you want it.",
        mistakes={
            "growth compounds: (1 + scale²)^blocks is the factor": lambda blocks, factor: (
                ((factor - 1) / blocks) ** 0.5
            ),
            "that is the square of the scale: take its root": lambda blocks, factor: (
                factor ** (1 / blocks) - 1
            ),
            "each block multiplies by 1 + scale²: the 1 has to be taken away": lambda blocks, factor: (
                factor ** (1 / (2 * blocks))
            ),
            "the factor is one of variances, not of standard deviations": lambda blocks, factor: (
                (factor ** (2 / blocks) - 1) ** 0.5
            ),
            "that is right if the branch points along x; it is perpendicular": lambda blocks, factor: (
                factor ** (1 / (2 * blocks)) - 1
            ),
            "1/√blocks gives the factor e for many blocks, whatever you asked for": lambda blocks, factor: (
                blocks**-0.5
            ),
            "1/blocks is too careful: the squares add up": lambda blocks, factor: 1 / blocks,
            "that is right for very many blocks; for few, the growth of the growth counts": lambda blocks, factor: (
                (torch.tensor(factor).log() / blocks) ** 0.5
            ),
        },
    ),
    "with_norm": Exercise(
        answer=lambda blocks, scale: 1 + blocks * scale**2,
        instances=pairs,
        praise="A straight line: batch norm turns a factor into a sum.",
        mistakes={
            "with a norm the branch no longer grows with the stream: nothing compounds": lambda blocks, scale: (
                (1 + scale**2) ** blocks
            ),
            "the branch adds its variance, the square of the scale": lambda blocks, scale: (
                1 + blocks * scale
            ),
            "the stream starts with variance 1": lambda blocks, scale: blocks * scale**2,
            "that is the standard deviation": lambda blocks, scale: (1 + blocks * scale**2) ** 0.5,
            "that leaves out the scale": lambda blocks, scale: 1 + blocks,
            "the first block adds too": lambda blocks, scale: 1 + (blocks - 1) * scale**2,
        },
    ),
}

check = partial(judge.check, exercises=EXERCISES)
hand_in = partial(judge.hand_in, exercises=EXERCISES)
