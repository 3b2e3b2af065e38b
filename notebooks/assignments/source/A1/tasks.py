"""Assignment A1: its variants, the answers, and the mistakes that a check names. For teachers only."""

import math

import torch

from helpers import activations, build
from helpers.exercises.judge import Exercise, but, edited

# The words of each variant. An odd seed takes "mean", an even one "median".
WORDS = {
    "mean": {
        "measure": "mean absolute value",
        "measure_steps": "Make every number positive, then take the mean",
        "measure_example": "4",
        "size_code": "z.abs().mean()",
        "activation": "the sine",
        "activation_code": "torch.sin(z)",
        "line": r"""A *folded* line answers $a = z$ where $z>0$, and $a = -\text{slope}\cdot z$ elsewhere. So no output
is negative. Then a share of the outputs is *dropped*: each output is set to 0 with probability `share`, by chance,
whatever its value. (The others stay as they are. Nothing makes up for the loss.)""",
        "line_hint": r"""Split the mean square of $z$ into the half with $z>0$ and the half with $z<0$. What does the fold
leave of each half? A dropped output has the square 0. So which share of the mean square is left after dropping?""",
        "gain_code": "(2 / ((1 + slope**2) * (1 - share))) ** 0.5",
        "gain_numbers": "With slope 0.5 and share 0.2, the gain is 1.414: just Kaiming He's.",
    },
    "median": {
        "measure": "median of the absolute values",
        "measure_steps": "Make every number positive, then take the number in the middle of the sorted list",
        "measure_example": "3",
        "size_code": "z.abs().median()",
        "activation": "the swish",
        "activation_code": "z * torch.sigmoid(z)",
        "line": r"""In a *mixed* layer, not all units do the same. A share of the units, `share`, has a *steep* ReLU: it
answers $a = \text{slope}\cdot z$ where $z>0$, and 0 elsewhere. The other units pass on $a = z$, whatever its sign.""",
        "line_hint": r"""What is left of the mean square in a unit with the steep ReLU? And in a unit that passes $z$ on?
The mean over all units counts the first kind with weight `share`, and the second with the rest.""",
        "gain_code": "(share * slope**2 / 2 + 1 - share) ** -0.5",
        "gain_numbers": "With slope 1 and share 1, every unit has a ReLU, and the gain is Kaiming He's.",
    },
}


def variant(seed):
    """The words of the assignment for a course's seed."""
    kind = "mean" if seed % 2 else "median"
    return {"kind": kind, **WORDS[kind]}


# --- the answers with the mean absolute value, and what the median changes in them -----------------


def sizes_mean(x, weights):
    """The size of z in each layer."""
    found, a = [], x
    for weight in weights:
        z = a @ weight
        found.append(z.abs().mean())
        a = torch.sin(z)
    return torch.stack(found)


def gain_folded(slope, share):
    """The gain that keeps the mean square, for a folded line of which a share is dropped."""
    return (2 / ((1 + slope**2) * (1 - share))) ** 0.5


def gain_mixed(slope, share):
    """The gain that keeps the mean square, where a share of the units has a steep ReLU."""
    return (share * slope**2 / 2 + 1 - share) ** -0.5


def gains_mean(x, weights):
    """The gain of each layer with which its z has size 1."""
    found, a = [], x
    for weight in weights:
        z = a @ weight / weight.shape[0] ** 0.5
        gain = 1 / z.abs().mean()
        found.append(gain)
        a = torch.sin(gain * z)
    return torch.stack(found)


def log_sizes_mean(x, depth, width, seeds):
    """The logarithm, to base 10, of the size of the last z, for each seed."""
    found = []
    for seed in seeds:
        z = activations(build(depth, width, seed=seed), x)[-1][0]
        found.append(math.log10(z.abs().mean()))
    return torch.tensor(found)


MEDIAN = "mean()", "median()"
sizes_median = but(sizes_mean, MEDIAN, ("torch.sin(z)", "z * torch.sigmoid(z)"))
gains_median = but(
    gains_mean, MEDIAN, ("torch.sin(gain * z)", "gain * z * torch.sigmoid(gain * z)")
)
log_sizes_median = but(log_sizes_mean, MEDIAN)


# --- on what they are tried -------------------------------------------------------------------------


def networks(generator):
    """Two networks, of one layer and of four. An odd number of values, so that one is in the middle."""
    found = []
    for depth in (1, 4):
        x = 1 + torch.randn(9, 5, generator=generator)
        found.append((x, [torch.randn(5, 5, generator=generator) for _ in range(depth)]))
    return found


def raw_weights(generator):
    """Weights with standard deviation 1, whose shapes differ."""
    shapes = [(7, 11), (11, 5), (5, 9)]
    return [
        (
            2 * torch.randn(9, 7, generator=generator),
            [torch.randn(*shape, generator=generator) for shape in shapes],
        )
        for _ in range(2)
    ]


def slopes(generator):
    found = (0.2 + 0.6 * torch.rand(4, 2, generator=generator)).tolist()
    return [tuple(pair) for pair in found]


def seeds(generator):
    """An odd number of values in each layer, as above: NumPy's median of an even number is not torch's."""
    first = int(torch.randint(10**6, (), generator=generator))
    x = torch.randn(15, 64, generator=generator)
    return [(x, 10, 13, [first, first + 1]), (x, 6, 21, [first + 2])]


# --- the mistakes -----------------------------------------------------------------------------------

OTHER_YEAR = "that is the answer of another year: read again which measure and which activation are asked for here"
OTHER_LINE = "that is the answer of another year: read again what the units of this layer do"


def exercises(variant):
    """The tasks of a variant, by name."""
    mean = variant["kind"] == "mean"
    size, measure = variant["size_code"], variant["measure"]
    other = "z.abs().median()" if mean else "z.abs().mean()"
    other_name = "median" if mean else "mean"
    activation = variant["activation_code"]
    sizes, sizes_other = (sizes_mean, sizes_median) if mean else (sizes_median, sizes_mean)
    gains, gains_other = (gains_mean, gains_median) if mean else (gains_median, gains_mean)
    logs = log_sizes_mean if mean else log_sizes_median
    scaled = "torch.sin(gain * z)" if mean else "gain * z * torch.sigmoid(gain * z)"
    return {
        "sizes": Exercise(
            answer=sizes,
            instances=networks,
            praise="Layer by layer, the size of the signal.",
            mistakes=edited(
                sizes,
                f"""
                that is the {other_name} of the absolute values: here the size is the {measure}
                    {size} → {other}
                that is the standard deviation, the measure of lesson 02: here the size is the {measure}
                    {size} → z.std()
                that is the root of the mean square: here the size is the {measure}
                    {size} → z.square().mean() ** 0.5
                the absolute values are missing: positive and negative numbers cancel
                    {size} → {size.replace(".abs()", "")}
                take the absolute values first, of every number: you take it of the result
                    {size} → {size.replace(".abs()", "")}.abs()
                measure z, which enters the activation, and not what leaves it
                    {size} → {size.replace("z", "(" + activation + ")", 1)}
                each layer gets what left the layer before it, and not x again
                    a @ weight → x @ weight
                the activation is missing: the next layer gets {variant["activation"]} of z
                    a = {activation} → a = z
                that is the ReLU: here the activation is {variant["activation"]}
                    a = {activation} → a = torch.relu(z)
                """,
            )
            | {OTHER_YEAR: sizes_other},
        ),
        "critical_gain": folded_line() if mean else mixed_layer(),
        "gains": Exercise(
            answer=gains,
            instances=raw_weights,
            praise="No formula was needed: each layer has been measured and set.",
            mistakes=edited(
                gains,
                f"""
                the next layer must get what leaves this one once its gain is set: multiply z by the gain before the activation
                    a = {scaled} → a = {activation}
                multiply z by the gain first, and then apply the activation
                    a = {scaled} → a = gain * {activation}
                the activation is missing: the next layer gets {variant["activation"]} of z, once the gain is set
                    a = {scaled} → a = gain * z
                that is the ReLU: here the activation is {variant["activation"]}
                    a = {scaled} → a = torch.relu(gain * z)
                that is the factor of the raw weights: a gain is divided by √fan_in before it multiplies them
                    / weight.shape[0] ** 0.5 → / 1
                divide the raw weights by the root of fan_in, not by fan_in
                    / weight.shape[0] ** 0.5 → / weight.shape[0]
                fan_in is the number of rows of a weight: each z adds up that many products
                    weight.shape[0] → weight.shape[1]
                upside down: if z is too small, the gain must be larger than 1
                    1 / {size} → {size}
                that brings the standard deviation to 1: here the size is the {measure}
                    {size} → z.std()
                that is the {other_name} of the absolute values: here the size is the {measure}
                    {size} → {other}
                measure z, which enters the activation, and not what leaves it
                    {size} → {size.replace("z", "(" + activation + ")", 1)}
                """,
            )
            | {OTHER_YEAR: gains_other},
        ),
        "log_sizes": Exercise(
            answer=logs,
            instances=seeds,
            tolerance=2e-3,
            praise="One number for each seed. Now look at how far they lie apart.",
            mistakes=edited(
                logs,
                f"""
                that is the natural logarithm: take the one to base 10
                    math.log10 → math.log
                the logarithm is missing
                    math.log10({size}) → {size}
                measure z, which enters the activation, and not a, which leaves it
                    [-1][0] → [-1][1]
                    {size} → z.abs().mean()
                that is the first layer: the last one stands at [-1]
                    [-1][0] → [0][0]
                that is the standard deviation: here the size is the {measure}
                    {size} → z.std()
                that is the {other_name} of the absolute values: here the size is the {measure}
                    {size} → {other}
                each network gets a seed of its own: build(..., seed=seed)
                    seed=seed → seed=0
                build takes the depth first, then the width
                    depth, width, seed= → width, depth, seed=
                """,
            ),
        ),
    }


def folded_line():
    return Exercise(
        answer=gain_folded,
        instances=slopes,
        praise="What two causes take from the mean square multiplies. The gain makes up for both.",
        mistakes=edited(
            gain_folded,
            """
            the dropped outputs are missing: they take a part of the mean square, too
                * (1 - share) → * 1
            share is what is dropped: 1 − share of the outputs is left
                (1 - share) → share
            dropping a share of the outputs takes the same share of the mean square: 1 − share is left, not its square
                (1 - share) → (1 - share) ** 2
            dropping takes 1 − share of the mean square of both halves, not of one
                (1 + slope**2) * (1 - share) → 1 + slope**2 * (1 - share)
            that is the square of the gain: take the root
                ** 0.5 → ** 1
            the slope enters the mean square as its square
                slope**2 → slope
            the folded half adds to the mean square: a square has no sign
                1 + slope**2 → 1 - slope**2
            each half of the values holds half of the mean square
                (2 / → (1 /
            upside down: the gain has to undo what the activation does
                ** 0.5 → ** -0.5
            that is Kaiming He's gain, for a ReLU: here the other half is folded, and a share is dropped
                (2 / ((1 + slope**2) * (1 - share))) → 2
            """,
        )
        | {OTHER_LINE: gain_mixed},
    )


def mixed_layer():
    return Exercise(
        answer=gain_mixed,
        instances=slopes,
        praise="The mean square over all units is a mean of two kinds, each with its share.",
        mistakes=edited(
            gain_mixed,
            """
            the units that pass z on are missing: they hold 1 − share of the mean square
                + 1 - share → + 0
            the units that pass z on are 1 − share of all
                + 1 - share → + 1
            a ReLU leaves half of the mean square
                / 2 + → / 1 +
            the units that pass z on leave all of the mean square, not half of it
                + 1 - share → + (1 - share) / 2
            the slope enters the mean square as its square
                slope**2 → slope
            that is the square of the gain: take the root
                ** -0.5 → ** -1
            upside down: the gain has to undo what the activation does
                ** -0.5 → ** 0.5
            the shares are the wrong way round: share of the units has the steep ReLU
                (share * slope**2 / 2 + 1 - share) → ((1 - share) * slope**2 / 2 + share)
            that is the gain if all units had the steep ReLU: only a share of them has
                (share * slope**2 / 2 + 1 - share) → (slope**2 / 2)
            a mean of gains is not the gain: take the mean of the mean squares
                (share * slope**2 / 2 + 1 - share) ** -0.5 → share * 2**0.5 / slope + 1 - share
            """,
        )
        | {OTHER_LINE: gain_folded},
    )
