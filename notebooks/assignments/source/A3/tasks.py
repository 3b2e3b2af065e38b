"""Assignment A3: its variants, the answers, and the mistakes that a check names. For teachers only."""

import math

import torch
from checks import look_at_weights, look_without_autograd

from helpers import BatchNorm, build, profile
from helpers.exercises.judge import Exercise, but, edited

# The words of each variant. An odd seed takes "lean", an even one "fold".
WORDS = {
    "lean": {
        "activation": "leaning line",
        "line": r"$a = z$ where $z>0$, and $a = 0.3\,z$ elsewhere",
        "line_any": r"$a = z$ where $z>0$, and $a = \text{slope}\cdot z$ elsewhere",
        "activation_code": "torch.where(z > 0, z, 0.3 * z)",
        "slope_code": "torch.where(z > 0, 1.0, 0.3)",
        "growth_code": "(1 - slope) ** 2",
        "growth_test": "With slope 0 it is the ReLU, so 1.21 must come out. With slope 1 nothing is bent, and 1 must come out.",
        "part": "beta",
        "part_code": "layer.beta",
        "sign": "β",
        "usual": "0",
        "kind_of_net": "ReLU networks with batch norm",
        "build_code": 'build(depth, width, norm="batch", seed=seed)',
        "values": "-1, 0, 1, 3, 10",
        "far": "10",
        "question": "β = 3 does better than β = 0. A friend concludes: the larger β, the better.",
        "model_far": "29 %",
        "model_best": "6 %",
        "model_usual": "67 %",
        "model_why": "Numbers of mean 0 and standard deviation 1 plus 10 are all positive, so each ReLU passes everything on, and the network is linear. A linear network has no explosion, but thirty of its layers do no more than one matrix",
    },
    "fold": {
        "activation": "folded line",
        "line": r"$a = z$ where $z>0$, and $a = -0.3\,z$ elsewhere",
        "line_any": r"$a = z$ where $z>0$, and $a = -\text{slope}\cdot z$ elsewhere",
        "activation_code": "torch.where(z > 0, z, -0.3 * z)",
        "slope_code": "torch.where(z > 0, 1.0, -0.3)",
        "growth_code": "(1 + slope) ** 2",
        "growth_test": "With slope 0 it is the ReLU, so 1.21 must come out. With slope 1 it is the absolute value, and 1.66 must come out.",
        "part": "gamma",
        "part_code": "layer.gamma",
        "sign": "γ",
        "usual": "1",
        "kind_of_net": "tanh networks with batch norm",
        "build_code": 'build(depth, width, activation="tanh", norm="batch", seed=seed)',
        "values": "0.03, 0.1, 0.3, 1, 3",
        "far": "0.03",
        "question": "γ = 0.3 does better than γ = 1. A friend concludes: the smaller γ, the better.",
        "model_far": "30 %",
        "model_best": "6 %",
        "model_usual": "26 %",
        "model_why": "Near 0, tanh is a straight line, so with numbers of standard deviation 0.03 the network is linear. A linear network has no explosion, but thirty of its layers do no more than one matrix",
    },
}


def variant(seed):
    """The words of the assignment for a course's seed."""
    kind = "lean" if seed % 2 else "fold"
    return {"kind": kind, **WORDS[kind]}


# --- the answers for a leaning line, and what a folded one changes in them -------------------------


def back_lean(g, z, weight):
    """The gradient at z, from g, that at the next layer's z."""
    at_a = g @ weight.T
    return at_a * torch.where(z > 0, 1.0, 0.3)


def growth_lean(slope):
    """The factor of the gradient per layer, with batch norm."""
    square = (1 + slope**2) / 2
    variance = square - (1 - slope) ** 2 / (2 * math.pi)
    return (square / variance) ** 0.5


def weight_gradients_lean(x, weights, g):
    """The gradient at each weight, from g, that at the last z."""
    inputs, pre = [x], []
    for weight in weights:
        z = inputs[-1] @ weight
        pre.append(z)
        inputs.append(torch.where(z > 0, z, 0.3 * z))
    found = []
    for k in reversed(range(len(weights))):
        found.insert(0, inputs[k].T @ g)
        if k > 0:
            g = (g @ weights[k].T) * torch.where(pre[k - 1] > 0, 1.0, 0.3)
    return found


def measured_lean(x, y, depth, width, value, seed):
    """The gradient's factor per layer, where every beta, or every gamma, is `value`."""
    net = build(depth, width, norm="batch", seed=seed)
    for layer in net:
        if isinstance(layer, BatchNorm):
            layer.beta.data.fill_(value)
    sizes = profile(net, x, y).gradient
    return (sizes[0] / sizes[-1]) ** (1 / (depth - 1))


back_fold = but(back_lean, ("0.3", "-0.3"))
growth_fold = but(growth_lean, ("1 - slope", "1 + slope"))
weight_gradients_fold = but(weight_gradients_lean, ("0.3", "-0.3"))
measured_fold = but(
    measured_lean, ('norm="batch"', 'activation="tanh", norm="batch"'), (".beta", ".gamma")
)


# --- on what they are tried ---------------------------------------------------------------------------


def single_layers(generator):
    found = []
    for _ in range(2):
        g, z = torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)
        found.append((g, z, torch.randn(5, 5, generator=generator)))
    return found


def slopes(generator):
    return [(slope,) for slope in (0.15 + 0.6 * torch.rand(4, generator=generator)).tolist()]


def networks(generator):
    found = []
    for layers in (2, 4):
        x, g = torch.randn(7, 5, generator=generator), torch.randn(7, 5, generator=generator)
        weights = [torch.randn(5, 5, generator=generator) / 2 for _ in range(layers)]
        found.append((x, weights, g))
    return found


def recipes(generator):
    first = int(torch.randint(10**6, (), generator=generator))
    x, y = torch.randn(40, 64, generator=generator), torch.randint(10, (40,), generator=generator)
    return [(x, y, 5, 20, 0.6, first), (x, y, 3, 24, 1.5, first + 1)]


# --- the mistakes -------------------------------------------------------------------------------------

OTHER_YEAR = "that is the answer of another year: read again which activation is asked for here"


def exercises(variant):
    """The tasks of a variant, by name."""
    lean = variant["kind"] == "lean"
    back = back_lean if lean else back_fold
    growth = growth_lean if lean else growth_fold
    gradients, other_gradients = both(lean, weight_gradients_lean, weight_gradients_fold)
    measured, other_measured = both(lean, measured_lean, measured_fold)
    below = "0.3" if lean else "-0.3"
    mean = "(1 - slope)" if lean else "(1 + slope)"
    part, other_part = both(lean, "beta", "gamma")
    return {
        "back": Exercise(
            answer=back,
            instances=single_layers,
            look=look_without_autograd,
            praise="First the weights, then the slope.",
            mistakes=edited(
                back,
                f"""
                that is the ReLU: here the slope below 0 is {below}
                    1.0, {below} → 1.0, 0.0
                the slope is missing
                    at_a * torch.where(z > 0, 1.0, {below}) → at_a
                backward, the weight is transposed
                    weight.T → weight
                the slope asks for the sign of z, and not of the gradient
                    z > 0 → at_a > 0
                the slopes are the wrong way round: 1 where z > 0
                    z > 0 → z < 0
                first back through the weights, and then times the slope
                    at_a * torch.where(z > 0, 1.0, {below}) → (g * torch.where(z > 0, 1.0, {below})) @ weight.T
                a slope, and not the output: the gradient is not multiplied by z
                    torch.where(z > 0, 1.0, {below}) → torch.where(z > 0, z, {below} * z)
                below 0 the slope of the {variant["activation"]} is {below}: look at its sign
                    1.0, {below} → 1.0, -{below}
                """,
            ),
        ),
        "growth": Exercise(
            answer=growth,
            tolerance=1e-3 if lean else 5e-3,  # 0.40, as lesson 03 rounds the mean, will do
            instances=slopes,
            praise="The slopes' mean square, and the variance by which batch norm divides.",
            mistakes=edited(
                growth,
                f"""
                that is the ReLU's: the part below 0 has a slope, too
                    slope**2 → 0
                    {mean} ** 2 → 1
                batch norm divides by the standard deviation, not by the root of the mean square: the mean is subtracted
                    {mean} ** 2 / (2 * math.pi) → 0
                what leaves the activation below 0 is {"negative: it lowers" if lean else "positive: it raises"} the mean
                    {mean} ** 2 → {"(1 + slope)" if lean else "(1 - slope)"} ** 2
                that is the square of the factor: take the root
                    (square / variance) ** 0.5 → square / variance
                upside down: what is small is divided by, so the gradient grows
                    (square / variance) → (variance / square)
                the mean is {mean} times 0.40, and enters as its square
                    {mean} ** 2 / (2 * math.pi) → {mean} / (2 * math.pi) ** 0.5
                below 0 the slopes count with their squares
                    slope**2 → slope
                the weights bring the mean square back to 1: the slopes' mean square belongs above the line
                    (square / variance) → (1 / variance)
                the mean of both slopes is not their root mean square
                    (square / variance) ** 0.5 → {mean.replace("-", "+") if lean else "(1 - slope)"} / 2 / variance**0.5
                """,
            ),
        ),
        "weight_gradients": Exercise(
            answer=gradients,
            instances=networks,
            look=look_at_weights,
            praise="Forward once, backward once: that is backpropagation.",
            mistakes=edited(
                gradients,
                f"""
                that is the ReLU on the way back: here the slope below 0 is {below}
                    1.0, {below} → 1.0, 0.0
                that is the ReLU on the way forward: here the activation is a {variant["activation"]}
                    z > 0, z, {below} * z → z > 0, z, 0 * z
                the slope is missing on the way back
                    torch.where(pre[k - 1] > 0, 1.0, {below}) → 1.0
                the activation is missing on the way forward
                    inputs.append(torch.where(z > 0, z, {below} * z)) → inputs.append(z)
                backward, the weight is transposed
                    weights[k].T → weights[k]
                what a weight multiplies is what entered its layer: the output of the activation before, and not z
                    inputs[k].T @ g → (pre[k - 1] if k else x).T @ g
                what a weight multiplies is what entered its layer, and not what left it
                    inputs[k].T @ g → inputs[k + 1].T @ g
                the gradient has the weight's shape: one row for each input
                    inputs[k].T @ g → g.T @ inputs[k]
                the list begins with layer 1: you begin with the last
                    found.insert(0, inputs[k].T @ g) → found.append(inputs[k].T @ g)
                the slope belongs to the layer below, whose output this weight multiplies: ask its z, pre[k - 1]
                    (pre[k - 1] > 0 → (pre[k] > 0
                the gradient goes back through the weight of its own layer, weights[k]
                    weights[k].T → weights[k - 1].T
                g is the gradient at the last z already: no slope before the first step back
                    found = [] → found, g = [], g * torch.where(z > 0, 1.0, {below})
                g is the gradient of a sum over the examples: take no mean
                    inputs[k].T @ g → inputs[k].T @ g / len(x)
                """,
            )
            | {OTHER_YEAR: other_gradients},
        ),
        "measured": Exercise(
            answer=measured,
            instances=recipes,
            tolerance=5e-3,
            praise="One number per layer, as in lesson 05.",
            mistakes=edited(
                measured,
                f"""
                from the last layer to layer 1 there are depth − 1 steps
                    (1 / (depth - 1)) → (1 / depth)
                that is the ratio over all layers: take the root for one layer
                    ** (1 / (depth - 1)) → ** 1
                the factors of the layers multiply: take the root of their product, not their mean
                    (sizes[0] / sizes[-1]) ** (1 / (depth - 1)) → (sizes[:-1] / sizes[1:]).mean()
                upside down: layer 1 over the last layer
                    (sizes[0] / sizes[-1]) → (sizes[-1] / sizes[0])
                that sets {other_part}: here it is {part}
                    layer.{part} → layer.{other_part}
                every batch norm of the network gets the value
                    for layer in net → for layer in net[:2]
                the value is set, and not added to what is there twice
                    fill_(value) → add_(2 * value)
                the network keeps its usual {part}: set it before you measure
                    fill_(value) → add_(0)
                the seed is missing in build
                    seed=seed → seed=0
                """,
            )
            | {OTHER_YEAR: other_measured},
        ),
    }


def both(first, one, other):
    return (one, other) if first else (other, one)
