"""Checks of assignment A1: how large a signal is after many layers. Holds the answers, as the lessons' checks do."""

import math
from functools import partial

import torch

from helpers.exercises import judge
from helpers.exercises.asking import Mistake, named
from helpers.exercises.judge import Exercise


def sizes_with(
    *, relu=torch.relu, measure=lambda a: a.square().mean() ** 0.5, before=False, stuck=False
):
    """The first answer, or one of its mistakes. before: measured before the ReLU; stuck: each layer gets the network's input."""

    def function(x, weights):
        found, a = [], x
        for weight in weights:
            z = (x if stuck else a) @ weight
            a = relu(z)
            found.append(measure(z if before else a))
        return found

    return function


def look_at_sizes(function, x, weights):
    return named(
        function(x, weights), *(f"the size after layer {k + 1}" for k in range(len(weights)))
    )


def networks(generator):
    draw = partial(torch.randn, generator=generator)
    return [(1 + draw(8, 5), [draw(5, 5) for _ in range(depth)]) for depth in (1, 4)]


def draw_with(
    *,
    std=lambda fan_in, fan_out, gain: gain / fan_in**0.5,
    numbers=torch.randn,
    swap=False,
    own=True,
):
    """The second answer, or one of its mistakes."""

    def function(fan_in, fan_out, gain, generator):
        shape = (fan_out, fan_in) if swap else (fan_in, fan_out)
        return numbers(*shape, generator=generator if own else None) * std(fan_in, fan_out, gain)

    return function


def look_at_draw(function, fan_in, fan_out, gain, seed):
    """The weights; a row of what comes next from the same generator, and of what comes from a new one with the same seed."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (function(fan_in, fan_out, gain, generator) for _ in range(2))
    if first is ...:
        return {"": ...}
    if not isinstance(first, torch.Tensor) or first.dim() != 2:
        raise Mistake("return a matrix, a tensor with two dimensions")
    if not first.isfinite().all():
        raise Mistake("the weights must be finite numbers; some are NaN or infinite")
    again = function(fan_in, fan_out, gain, torch.Generator().manual_seed(seed))
    return {"first": first, "next": second[0], "again": again[0]}


def moments(parts, fan_in, fan_out, gain, seed):
    """Rounded, coarsely, because any numbers of the right size will do."""
    first, again, following = (
        torch.as_tensor(parts[part]).double() for part in ("first", "again", "next")
    )
    std = first.std().item() + 1e-30
    steps = round(math.log(std * fan_in**0.5 / gain, 1.1))  # of 10 %
    return {
        "the shape": torch.tensor(first.shape),
        "its standard deviation as a multiple of gain / √fan_in": round(1.1**steps, 2),
        "its mean as a multiple of its standard deviation": round(2.5 * first.mean().item() / std)
        / 2.5,
        "whether the same generator gives the same weights": float(bool((first[0] == again).all())),
        "whether the next draw gives others": float(bool((first[0] != following).any())),
    }


def layers(generator):
    whole = partial(torch.randint, size=(), generator=generator)
    return [
        (int(whole(50, 70)), int(whole(100, 150)), gain, int(whole(0, 10**6)))
        for gain in (0.7, 2.2)
    ]


def slopes(generator):
    return [tuple((0.1 + 1.4 * torch.rand(2, generator=generator)).tolist()) for _ in range(4)]


def targets(generator):
    some = torch.rand(4, generator=generator).tolist()
    return [(int(2 + 60 * one), 10 ** (6 * other - 3)) for one, other in zip(some, reversed(some))]


def first_layer(gain, largest, *, ratio=lambda gain: gain / 2**0.5, off=0, never=0):
    """The last answer, by a logarithm, or one of its mistakes."""
    factor = ratio(gain)
    return math.floor(math.log(largest) / math.log(factor)) + 1 + off if factor > 1 else never


def gains(generator):
    """Three gains beyond the critical one and one below it; none for which rounding could decide."""
    found = []
    while len(found) < 3:
        gain = 1.5 + 2.5 * float(torch.rand((), generator=generator))
        largest = 10 ** (3 + 30 * float(torch.rand((), generator=generator)))
        part = math.log(largest) / math.log(gain / 2**0.5) % 1
        if 0.05 < part < 0.95:
            found.append((gain, largest))
    return [*found, (1.0 + 0.4 * float(torch.rand((), generator=generator)), 1000.0)]


EXERCISES = {
    "sizes": Exercise(
        answer=sizes_with(),
        instances=networks,
        look=look_at_sizes,
        praise="Layer by layer, the size of the signal.",
        mistakes={
            "that is the mean square: its root is missing": sizes_with(
                measure=lambda a: a.square().mean()
            ),
            "that is the standard deviation: what leaves a ReLU has a mean, and it belongs to the size": sizes_with(
                measure=lambda a: a.std(correction=0)
            ),
            "that is the standard deviation (and the unbiased one): the size is the root of the plain mean square": sizes_with(
                measure=lambda a: a.std()
            ),
            "that is the mean of the absolute values: square first, then mean, then root": sizes_with(
                measure=lambda a: a.abs().mean()
            ),
            "that is the root of the sum of the squares: take their mean": sizes_with(
                measure=lambda a: a.norm()
            ),
            "the ReLU is missing": sizes_with(relu=lambda z: z),
            "measure what leaves the ReLU, not what enters it": sizes_with(before=True),
            "each layer gets what the last one hands on, not x again": sizes_with(stuck=True),
        },
    ),
    "draw": Exercise(
        answer=draw_with(),
        instances=layers,
        look=look_at_draw,
        measure=moments,
        praise="Any distribution will do, if its standard deviation is right.",
        mistakes={
            "gain² / fan_in is the variance: numbers are multiplied by the standard deviation, its root": draw_with(
                std=lambda fan_in, fan_out, gain: gain**2 / fan_in
            ),
            "divide by the root of fan_in, not by fan_in": draw_with(
                std=lambda fan_in, fan_out, gain: gain / fan_in
            ),
            "it is fan_in that counts, the number of products that a unit adds up": draw_with(
                std=lambda fan_in, fan_out, gain: gain / fan_out**0.5
            ),
            "He's 2 is in the gain already: gain √2 makes 2 / fan_in": draw_with(
                std=lambda fan_in, fan_out, gain: gain * (2 / fan_in) ** 0.5
            ),
            "the gain is missing": draw_with(std=lambda fan_in, fan_out, gain: fan_in**-0.5),
            "x stands on the left, x @ weight: the shape is (fan_in, fan_out)": draw_with(
                swap=True
            ),
            "torch.rand draws from 0 to 1, which has a mean and another standard deviation: use torch.randn": draw_with(
                numbers=torch.rand
            ),
            "uniform numbers from -a to a have the standard deviation a / √3": draw_with(
                numbers=lambda *shape, generator: 2 * torch.rand(*shape, generator=generator) - 1
            ),
            "draw from the generator that is given: the same one must give the same weights": draw_with(
                own=False
            ),
        },
    ),
    "critical_gain": Exercise(
        answer=lambda positive, negative: (2 / (positive**2 + negative**2)) ** 0.5,
        instances=slopes,
        praise="The ReLU is (1, 0), the leaky ReLU (1, slope), a linear layer (1, 1).",
        mistakes={
            "that is the ReLU's gain: both slopes count now": lambda positive, negative: 2**0.5,
            "that is the leaky ReLU's gain: the positive half has a slope of its own here": lambda positive, negative: (
                (2 / (1 + negative**2)) ** 0.5
            ),
            "the slopes enter the mean square as their squares": lambda positive, negative: (
                (2 / (positive + negative)) ** 0.5
            ),
            "that is the square of the gain": lambda positive, negative: (
                2 / (positive**2 + negative**2)
            ),
            "upside down: the gain has to undo what the activation does": lambda positive, negative: (
                ((positive**2 + negative**2) / 2) ** 0.5
            ),
            "each half of the values counts one half": lambda positive, negative: (
                (positive**2 + negative**2) ** -0.5
            ),
            "square each slope by itself: (p + n)² is not p² + n²": lambda positive, negative: (
                (2 / (positive + negative) ** 2) ** 0.5
            ),
            "the mean of the two slopes is not the root of their mean square": lambda positive, negative: (
                2 / (positive + negative)
            ),
            "the negative half adds to the mean square; it takes nothing away": lambda positive, negative: (
                (2 / (positive**2 - negative**2)) ** 0.5
            ),
        },
    ),
    "gain_for": Exercise(
        answer=lambda depth, factor: 2**0.5 * factor ** (1 / depth),
        instances=targets,
        praise="Any size at any depth: one root too few and it is nowhere near.",
        mistakes={
            "√2 is missing: the ReLU takes its half too": lambda depth, factor: (
                factor ** (1 / depth)
            ),
            "there are depth layers between the input and layer depth": lambda depth, factor: (
                2**0.5 * factor ** (1 / (depth - 1))
            ),
            "the layers' factors multiply: take a root, do not divide": lambda depth, factor: (
                2**0.5 * factor / depth
            ),
            "that leaves the ReLU's half out of all layers but one": lambda depth, factor: (
                (2**0.5 * factor) ** (1 / depth)
            ),
            "upside down: that makes it smaller by the factor": lambda depth, factor: (
                2**0.5 * factor ** (-1 / depth)
            ),
            "a ReLU halves the mean square: the size it multiplies by 1/√2, not by ½": lambda depth, factor: (
                2 * factor ** (1 / depth)
            ),
            "that is the square of the gain": lambda depth, factor: 2 * factor ** (2 / depth),
            "that is one layer's factor for the mean square: the factor is one of sizes": lambda depth, factor: (
                2**0.5 * factor ** (1 / (2 * depth))
            ),
        },
    ),
    "overflow": Exercise(
        answer=first_layer,
        instances=gains,
        praise="Eighteen layers or two hundred: the logarithm says it.",
        mistakes={
            "that is the last layer that still fits": partial(first_layer, off=-1),
            "one layer too many": partial(first_layer, off=1),
            "the size grows by gain/√2 a layer, not by the gain": partial(
                first_layer, ratio=lambda gain: gain
            ),
            "that is the mean square, which grows by gain²/2; the size grows by its root": partial(
                first_layer, ratio=lambda gain: gain**2 / 2
            ),
            "a ReLU halves the mean square: the size it multiplies by 1/√2, not by ½": partial(
                first_layer, ratio=lambda gain: gain / 2
            ),
            "with a gain below √2 no layer ever overflows: then return 0": lambda gain, largest: (
                math.floor(math.log(largest) / math.log(gain / 2**0.5)) + 1
            ),
            "return 0 where no layer ever overflows, as the task says": partial(
                first_layer, never=-1
            ),
        },
    ),
}

check = partial(judge.check, exercises=EXERCISES)
hand_in = partial(judge.hand_in, exercises=EXERCISES)
