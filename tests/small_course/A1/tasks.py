"""Answers and mistakes of A1, for the teacher."""

import math

import torch
from checks import look_at_draw, look_at_sizes

from helpers.exercises.judge import Exercise

DEFINITIONS = {
    "root mean square": ("x.square().mean() ** 0.5", lambda a: a.square().mean() ** 0.5),
    "mean absolute value": ("x.abs().mean()", lambda a: a.abs().mean()),
}


def variant(seed):
    definition = [*DEFINITIONS][seed % 2]
    return {"definition": definition, "code": DEFINITIONS[definition][0]}


def sizes_with(measure, relu=torch.relu):
    def sizes(x, weights):
        found = []
        for weight in weights:
            x = relu(x @ weight)
            found.append(measure(x))
        return found

    return sizes


def networks(generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    return [(1 + draw(8, 5), [draw(5, 5) for _ in range(depth)]) for depth in (1, 4)]


def draw(fan_in, fan_out, gain, generator):
    return torch.randn(fan_in, fan_out, generator=generator) * gain / fan_in**0.5


def layers(generator):
    seed = int(torch.randint(10**6, (), generator=generator))
    return [(150, 250, 0.7, seed), (300, 120, 2.2, seed)]


def critical_gain(positive, negative):
    return (2 / (positive**2 + negative**2)) ** 0.5


def slopes(generator):
    return [tuple((0.1 + 1.4 * torch.rand(2, generator=generator)).tolist()) for _ in range(4)]


def gain_for(depth, factor):
    return 2**0.5 * factor ** (1 / depth)


def targets(generator):
    return [(depth, 10 ** float(torch.randn((), generator=generator))) for depth in (2, 9, 40)]


def overflow(gain, largest):
    factor = gain / 2**0.5
    return math.floor(math.log(largest) / math.log(factor)) + 1 if factor > 1 else 0


def gains(generator):
    return [(gain, 10 ** (3 + 9 * float(torch.rand((), generator=generator)))) for gain in (1, 3)]


def exercises(variant):
    measure = DEFINITIONS[variant["definition"]][1]
    return {
        "sizes": Exercise(
            answer=sizes_with(measure),
            asks=f"here the size is the {variant['definition']}",
            instances=networks,
            look=look_at_sizes,
            praise="Layer by layer.",
            mistakes={
                "that is the standard deviation": sizes_with(lambda a: a.std()),
                "the ReLU is missing": sizes_with(measure, relu=lambda z: z),
            },
        ),
        "draw": Exercise(
            answer=draw,
            instances=layers,
            look=look_at_draw,
            tolerance=0.1,
            praise="Any distribution will do.",
            mistakes="""
                divide by the root of fan_in, not by fan_in
                    fan_in**0.5 → fan_in
                x stands on the left, x @ weight: the shape is (fan_in, fan_out)
                    randn(fan_in, fan_out → randn(fan_out, fan_in
                draw from the generator that is given
                    , generator=generator →
            """,
        ),
        "critical_gain": Exercise(
            answer=critical_gain,
            instances=slopes,
            praise="Both slopes count.",
            mistakes="""
                that is the square of the gain
                    ** 0.5 →
                the slopes enter the mean square as their squares
                    **2 →
            """,
        ),
        "gain_for": Exercise(
            answer=gain_for,
            instances=targets,
            praise="One root.",
            mistakes="""
                the ReLU takes its half too
                    2**0.5 * →
            """,
        ),
        "overflow": Exercise(
            answer=overflow,
            instances=gains,
            praise="The logarithm says it.",
            mistakes="""
                that is the last layer that still fits
                    + 1 →
            """,
        ),
    }
