"""Assignment A2: its variants, the answers, and the mistakes that a check names. For teachers only."""

import math

import torch
from checks import look_at_moments, look_at_step, look_without_autograd

from helpers.exercises.judge import Exercise, but, edited

# The words of each variant. An odd seed takes "deviation", an even one "fourth".
WORDS = {
    "deviation": {
        "spread": "mean absolute deviation",
        "spread_words": "the mean of the *absolute* distances from the mean",
        "spread_formula": r"d = \frac1n\sum_i |z_i-\mu|",
        "spread_example": "3, 9, 11 and 17 have the mean 10. The distances −7, −1, 1 and 7 have the spread 4. (Their standard deviation is 5.)",
        "spread_code": "distance.abs().mean(dim=0)",
        "bell_hint": r"The bell with standard deviation $\sigma$ has the mean absolute deviation $\sqrt{2/\pi}\,\sigma = 0.798\,\sigma$: twice the integral in lesson 03. So which standard deviation does $\hat z$ have?",
        "moments_code": "(1 - slope) / 2, (1 + slope**2) * math.pi / 4",
        "slope_hint": r"How fast does $d$ change with one distance? Its derivative is $\text{sign}(z_i-\mu)/n$. In PyTorch, `distance.sign()`.",
        "turn_code": "distance.sign()",
        "weight": "0.1",
        "rest": "0.9",
    },
    "fourth": {
        "spread": "fourth root of the mean fourth power",
        "spread_words": "the fourth root of the mean *fourth power* of the distances from the mean",
        "spread_formula": r"d = \Big(\frac1n\sum_i (z_i-\mu)^4\Big)^{1/4}",
        "spread_example": "3, 9, 11 and 17 have the mean 10. The distances −7, −1, 1 and 7 have the spread 5.89. (Their standard deviation is 5.)",
        "spread_code": "(distance**4).mean(dim=0) ** 0.25",
        "bell_hint": r"For the bell with standard deviation $\sigma$, the mean of the fourth powers is $3\sigma^4$. (You may take this as given.) So which standard deviation does $\hat z$ have?",
        "moments_code": "(1 - slope) / (2 * math.pi) ** 0.5 / 3**0.25, (1 + slope**2) / 2 / 3**0.5",
        "slope_hint": r"How fast does $d$ change with one distance? By the chain rule, its derivative is $\big(\frac{z_i-\mu}{d}\big)^3/n$.",
        "turn_code": "(distance / spread(z)) ** 3",
        "weight": "0.25",
        "rest": "0.75",
    },
}


def variant(seed):
    """The words of the assignment for a course's seed."""
    kind = "deviation" if seed % 2 else "fourth"
    return {"kind": kind, **WORDS[kind]}


# --- the answers with the mean absolute deviation, and what the fourth root changes in them --------


def normalize_deviation(z, eps):
    """Each unit with mean 0 and spread 1."""
    distance = z - z.mean(dim=0)
    return distance / (distance.abs().mean(dim=0) + eps)


def moments_deviation(slope):
    """Mean and mean square behind a leaky ReLU, where the bell has mean absolute deviation 1."""
    mean = (1 - slope) / 2
    square = (1 + slope**2) * math.pi / 4
    return mean, square


def moments_fourth(slope):
    """Mean and mean square behind a leaky ReLU, where the bell has a mean fourth power of 1."""
    mean = (1 - slope) / (2 * math.pi) ** 0.5 / 3**0.25
    square = (1 + slope**2) / 2 / 3**0.5
    return mean, square


def backward_deviation(g, z, eps):
    """The gradient at z, from g, the gradient at z_hat."""
    distance = z - z.mean(dim=0)
    spread = distance.abs().mean(dim=0)
    z_hat = distance / (spread + eps)
    without_stretch = g - distance.sign() * (g * z_hat).mean(dim=0)
    return (without_stretch - without_stretch.mean(dim=0)) / (spread + eps)


def step_deviation(z, running_mean, running_spread, training):
    """The output, and the running averages that are left."""
    if training:
        mean = z.mean(dim=0)
        spread = (z - mean).abs().mean(dim=0)
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_spread = 0.9 * running_spread + 0.1 * spread
    else:
        mean, spread = running_mean, running_spread
    return (z - mean) / (spread + 1e-5), running_mean, running_spread


def shrink_deviation(z, batch):
    """The mean spread of the batches, as a share of the spread of all rows: the mean over the units."""
    spreads = []
    for start in range(0, len(z), batch):
        rows = z[start : start + batch]
        spreads.append((rows - rows.mean(dim=0)).abs().mean(dim=0))
    whole = (z - z.mean(dim=0)).abs().mean(dim=0)
    return (sum(spreads) / len(spreads) / whole).mean()


def fourth(distance):
    """An edit: the fourth root of the mean fourth power, and not the mean absolute deviation."""
    return f"{distance}.abs().mean(dim=0)", f"({distance}**4).mean(dim=0) ** 0.25"


normalize_fourth = but(normalize_deviation, fourth("distance"))
backward_fourth = but(
    backward_deviation, fourth("distance"), ("distance.sign()", "(distance / spread) ** 3")
)
step_fourth = but(step_deviation, fourth("(z - mean)"), ("0.9", "0.75"), ("0.1", "0.25"))
shrink_fourth = but(
    shrink_deviation, fourth("(rows - rows.mean(dim=0))"), fourth("(z - z.mean(dim=0))")
)


# --- on what they are tried ---------------------------------------------------------------------------


def batches(generator):
    """Square ones, on which a wrong dim does not stop; the last has a large eps."""
    found = [(3 + 2 * torch.randn(5, 5, generator=generator), 1e-5) for _ in range(2)]
    return [*found, (torch.randn(6, 4, generator=generator), 0.5)]


def slopes(generator):
    return [(slope,) for slope in (0.1 + 0.7 * torch.rand(3, generator=generator)).tolist()]


def gradients(generator):
    found = []
    for rows in (5, 8):
        z = 1 + 2 * torch.randn(rows, 5, generator=generator)
        found.append((1 + torch.randn(rows, 5, generator=generator), z, 0.1))
    return found


def steps(generator):
    found = []
    for training in (True, False):
        z = 2 + 3 * torch.randn(5, 5, generator=generator)
        averages = torch.randn(5, generator=generator), 1 + torch.rand(5, generator=generator)
        found.append((z, *averages, training))
    return found


def many_rows(generator):
    z = 1 + torch.randn(24, 3, generator=generator) * torch.tensor([1.0, 3.0, 0.2])
    return [(z, 2), (z, 8)]


# --- the mistakes -------------------------------------------------------------------------------------

OTHER_YEAR = "that is the answer of another year: read again which spread is asked for here"


def exercises(variant):
    """The tasks of a variant, by name."""
    first = variant["kind"] == "deviation"
    spread = variant["spread"]
    normalize, other_normalize = both(first, normalize_deviation, normalize_fourth)
    moments, other_moments = both(first, moments_deviation, moments_fourth)
    backward, other_backward = both(first, backward_deviation, backward_fourth)
    step, other_step = both(first, step_deviation, step_fourth)
    shrink, other_shrink = both(first, shrink_deviation, shrink_fourth)
    measure, of_batch, of_rows = (
        both(first, *fourth(distance))[0]
        for distance in ("distance", "(z - mean)", "(rows - rows.mean(dim=0))")
    )
    std = "(distance**2).mean(dim=0) ** 0.5"
    turn = "distance.sign()" if first else "(distance / spread) ** 3"
    (new, old), (other_new, other_old) = both(first, ("0.1", "0.9"), ("0.25", "0.75"))
    return {
        "normalize": Exercise(
            answer=normalize,
            instances=batches,
            praise="Mean 0 and spread 1, for every unit.",
            mistakes=edited(
                normalize,
                f"""
                that divides by the standard deviation, as lesson 03 does: here it is the {spread}
                    {measure} → {std}
                the mean is over the batch, dim 0: each unit has its own
                    z.mean(dim=0) → z.mean(dim=1, keepdim=True)
                    {measure} → {measure.replace("dim=0", "dim=1, keepdim=True")}
                each unit has a mean of its own: you take one of all numbers
                    z.mean(dim=0) → z.mean()
                each unit has a spread of its own: you take one of all numbers
                    {measure} → {measure.replace("dim=0", "")}
                the mean is not subtracted from what you divide
                    return distance → return z
                eps is missing: it is added to the spread
                    + eps → + 0
                that is a sum, not a mean
                    {measure} → {measure.replace("mean", "sum")}
                eps is added to the spread itself, under no root
                    {measure} + eps) → ({measure}) ** 2 + eps) ** 0.5
                each unit has a mean and a spread of its own: you take one of all numbers
                    z.mean(dim=0) → z.mean()
                    {measure} → {measure.replace("dim=0", "")}
                """,
            )
            | ({} if first else {"the fourth root is missing": but(normalize, ("** 0.25", "** 1"))})
            | {OTHER_YEAR: other_normalize},
        ),
        "moments": Exercise(
            answer=moments,
            instances=slopes,
            look=look_at_moments,
            tolerance=5e-3,  # 0.40 and 0.798, as the text rounds them, will do
            praise="Both come from one number: the standard deviation that this norm leaves.",
            mistakes=(deviation_moments if first else fourth_moments)()
            | {OTHER_YEAR: other_moments},
        ),
        "backward": Exercise(
            answer=backward,
            instances=gradients,
            look=look_without_autograd,
            praise="Shift and stretch are gone, and autograd was not needed.",
            mistakes=edited(
                backward,
                f"""
                mean and spread move with z: you treat both as constants
                    - {turn} * (g * z_hat).mean(dim=0) → * 1
                    without_stretch - without_stretch.mean(dim=0) → without_stretch
                the spread moves with z, too: the part of the stretch is missing
                    - {turn} * (g * z_hat).mean(dim=0) → * 1
                the mean moves with z, too: the part of the shift is missing
                    without_stretch - without_stretch.mean(dim=0) → without_stretch
                that is batch norm's gradient: this spread changes with z in another way
                    {turn} * (g → z_hat * (g
                subtract the mean of what is left, after the part of the stretch
                    without_stretch - without_stretch.mean(dim=0) → without_stretch - g.mean(dim=0)
                the part of the stretch holds the mean of g · z_hat, not of g · z
                    (g * z_hat).mean → (g * z).mean
                the part of the stretch holds a mean over the batch, not a sum
                    (g * z_hat).mean → (g * z_hat).sum
                divide by the spread (with eps) at the end
                    mean(dim=0)) / (spread + eps) → mean(dim=0))
                the part of the stretch is subtracted, not added
                    g - {turn} → g + {turn}
                eps is missing: z_hat is divided by the spread plus eps
                    + eps → + 0
                """,
            )
            | {OTHER_YEAR: other_backward},
        ),
        "step": Exercise(
            answer=step,
            instances=steps,
            look=look_at_step,
            praise="Two modes, and averages that eval mode leaves alone.",
            mistakes=edited(
                step,
                f"""
                the weights are the wrong way round: the newest batch has the weight {new}
                    {old} * running_mean + {new} * mean → {new} * running_mean + {old} * mean
                    {old} * running_spread + {new} * spread → {new} * running_spread + {old} * spread
                in eval mode, the running averages take the place of the batch
                    mean, spread = running_mean, running_spread → mean, spread = z.mean(dim=0), {of_batch.replace("z - mean", "z - z.mean(dim=0)")}
                in eval mode (training is False), the running averages normalize, and stay as they are
                    if training: → if True:
                in training, the batch's own mean and spread normalize, and move the averages
                    if training: → if False:
                in eval mode, the running averages stay as they are
                    mean, spread = running_mean, running_spread → mean, spread, running_mean = running_mean, running_spread, {old} * running_mean + {new} * z.mean(dim=0)
                in training, the batch's own mean and spread normalize: you take the running averages
                    return (z - mean) / (spread + 1e-5) → return (z - running_mean) / (running_spread + 1e-5)
                here the batch's spread enters the average as it is, without n / (n − 1)
                    {new} * spread → {new} * spread * len(z) / (len(z) - 1)
                that averages the standard deviation: here it is the {spread}
                    {of_batch} → z.std(dim=0, correction=0)
                the running mean stays as it was
                    running_mean = {old} * running_mean + {new} * mean → pass
                the running spread stays as it was
                    running_spread = {old} * running_spread + {new} * spread → pass
                the running averages are replaced by the batch's own: mix old and new
                    {old} * running_mean + {new} * mean → mean
                    {old} * running_spread + {new} * spread → spread
                the old averages have the weight {old}, so that both weights make 1
                    {old} * running → 1 * running
                """,
            )
            | {
                f"here the newest batch has another weight: {new}": but(
                    step, (f"{old} *", f"{other_old} *"), (f"{new} *", f"{other_new} *")
                ),
                OTHER_YEAR: other_step,
            },
        ),
        "shrink": Exercise(
            answer=shrink,
            instances=many_rows,
            praise="Small batches see too little of the spread. How little?",
            mistakes=edited(
                shrink,
                f"""
                upside down: the batches' spread is divided by that of all rows
                    / whole).mean() → / whole).mean() ** -1
                divide unit by unit, and then take the mean over the units
                    (sum(spreads) / len(spreads) / whole).mean() → (sum(spreads) / len(spreads)).mean() / whole.mean()
                each batch has a mean of its own: you take the mean of all rows
                    {of_rows} → {of_rows.replace("rows.mean(dim=0)", "z.mean(dim=0)", 1)}
                that is the spread of the first batch: take the mean over all batches
                    sum(spreads) / len(spreads) → spreads[0]
                that is the standard deviation: here it is the {spread}
                    {of_rows} → rows.std(dim=0, correction=0)
                    {of_rows.replace("rows", "z")} → z.std(dim=0, correction=0)
                """,
            )
            | {OTHER_YEAR: other_shrink},
        ),
    }


def both(first, one, other):
    return (one, other) if first else (other, one)


def deviation_moments():
    return edited(
        moments_deviation,
        """
        that is for a standard deviation of 1: z_hat has a mean absolute deviation of 1, so its standard deviation is larger
            (1 - slope) / 2 → (1 - slope) / (2 * math.pi) ** 0.5
            math.pi / 4 → 1 / 2
        that is the ReLU's: below 0, slope times z_hat is left
            (1 - slope) → 1
            slope**2 → 0
        below 0 the outputs are negative: they make the mean smaller
            1 - slope → 1 + slope
        below 0, slope² of the mean square is left
            slope**2 → slope
        that is the variance: the mean of the squares does not subtract the squared mean
            math.pi / 4 → math.pi / 4 - mean**2
        a standard deviation below 1 went in: the bell's is √(π/2) times its mean absolute deviation, not √(2/π) times
            (1 - slope) / 2 → (1 - slope) / math.pi
            math.pi / 4 → 1 / math.pi
        each half of the bell holds half of the mean square
            math.pi / 4 → math.pi / 2
        """,
    )


def fourth_moments():
    return edited(
        moments_fourth,
        """
        that is for a standard deviation of 1: z_hat has a mean fourth power of 1, so its standard deviation is smaller
            / 3**0.25 → / 1
            / 3**0.5 → / 1
        that is the ReLU's: below 0, slope times z_hat is left
            (1 - slope) → 1
            slope**2 → 0
        below 0 the outputs are negative: they make the mean smaller
            1 - slope → 1 + slope
        below 0, slope² of the mean square is left
            slope**2 → slope
        that is the variance: the mean of the squares does not subtract the squared mean
            / 2 / 3**0.5 → / 2 / 3**0.5 - mean**2
        a standard deviation above 1 went in: the fourth root of 3 divides
            / 3**0.25 → * 3**0.25
            / 3**0.5 → * 3**0.5
        each half of the bell holds half of the mean square
            / 2 / 3**0.5 → / 3**0.5
        """,
    )
