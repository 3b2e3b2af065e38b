"""Checks of assignment A3: what comes back through many layers. Holds the answers, as the lessons' checks do."""

from functools import partial

import torch

from helpers.exercises import judge
from helpers.exercises.asking import named
from helpers.exercises.judge import Exercise


def chain_with(*, one=1.0, forward=False, added=False, off=False):
    """The first answer, or one of its mistakes. forward: the products from the first layer on."""

    def function(slopes):
        found = [one]
        for slope in slopes if forward else reversed(slopes):
            found.append(found[-1] + slope if added else found[-1] * slope)
        found = found if forward else found[::-1]
        return found[:-1] if off else found

    return function


def look_at_chain(function, slopes):
    return named(
        function(list(slopes)),
        *(f"the derivative with respect to x[{k}]" for k in range(len(slopes) + 1)),
    )


def some_slopes(generator):
    return [((0.2 + torch.rand(n, generator=generator)).tolist(),) for n in (2, 6)]


def factor_with(measure):
    """The second answer, or one of its mistakes: of the slopes, what the gain is multiplied by."""
    return lambda gain, slopes: gain * measure(slopes)


def look_at_factor(function, gain, slopes):
    return {"the factor of one layer": function(gain, slopes)}


def many_slopes(generator):
    return [
        (
            0.5 + 2 * float(torch.rand((), generator=generator)),
            1.5 * torch.rand(50, generator=generator) - 0.3,
        )
        for _ in range(2)
    ]


def growth_with(*, off=1, upside_down=False, root=True, mean=False):
    """The third answer, or one of its mistakes."""

    def function(gradient):
        n = len(gradient) - off
        if mean:
            sizes = torch.tensor(gradient, dtype=torch.double)
            return (sizes[:-1] / sizes[1:]).mean()
        ratio = gradient[-1] / gradient[0] if upside_down else gradient[0] / gradient[-1]
        return ratio ** (1 / n) if root else ratio / n

    return function


def look_at_growth(function, gradient):
    return {"the factor": function(list(gradient))}


def norms(generator):
    """Gradient norms of networks, layer 1 first: a steady factor, and some chance."""
    found = []
    for depth, factor in (5, 1.3), (20, 0.8):
        noise = (0.5 * torch.randn(depth, generator=generator)).exp().tolist()
        found.append(([one * factor ** (depth - k) for k, one in enumerate(noise)],))
    return found


def backward_with(
    *,
    slope=lambda z: 1 - z.tanh() ** 2,
    transposed=True,
    after=False,
    slope_first=False,
    upside_down=False,
    stuck=False,
):
    """The fourth answer, or one of its mistakes. after: the slope is taken at the next layer's z."""

    def function(g, z, weights):
        found = [g]
        for k in reversed(range(len(weights))):
            weight = weights[k].T if transposed else weights[k]
            at = slope(z[k + 1] if after else z[k])
            new = (g * at) @ weight if slope_first else (g @ weight) * at
            found.append(new)
            g = g if stuck else new
        return found if upside_down else found[::-1]

    return function


def look_at_backward(function, g, z, weights):
    return named(
        function(g, list(z), list(weights)), *(f"the gradient at z[{k}]" for k in range(len(z)))
    )


def network(generator):
    draw = partial(torch.randn, generator=generator)
    weights, z = [draw(4, 4) for _ in range(3)], [draw(4, 4)]
    for weight in weights:
        z.append(z[-1].tanh() @ weight)
    return z, weights, draw(4, 4)


def chains(generator):
    z, weights, g = network(generator)
    return [(g, z, weights)]


def weights_with(*, signal=torch.tanh, off=1, turned=False, averaged=False, from_gradients=False):
    """The last answer, or one of its mistakes. off: which gradient belongs to a weight."""

    def function(gradients, z):
        found = []
        for k in range(len(z) - 1):
            left, right = signal(z[k]), gradients[k + off]
            one = right.T @ left if turned else left.T @ right
            found.append(one / len(left) if averaged else one)
        return found[::-1] if from_gradients else found

    return function


def look_at_weights(function, gradients, z):
    return named(
        function(list(gradients), list(z)),
        *(f"the gradient of weight {k}" for k in range(len(z) - 1)),
    )


def pairs(generator):
    z, weights, g = network(generator)
    return [(backward_with()(g, z, weights), z)]


EXERCISES = {
    "chain": Exercise(
        answer=chain_with(),
        instances=some_slopes,
        look=look_at_chain,
        praise="Each layer multiplies what the layers after it have left.",
        mistakes={
            "those are the products from the start: at x[k] the slopes from layer k on to the end count": chain_with(
                forward=True
            ),
            "the last value changes with itself by 1": chain_with(one=0.0),
            "slopes multiply along a chain, they do not add up": chain_with(added=True, one=0.0),
            "slopes multiply along a chain; the 1 at the end is right": chain_with(added=True),
        },
    ),
    "layer_factor": Exercise(
        answer=factor_with(lambda slopes: slopes.square().mean() ** 0.5),
        instances=many_slopes,
        look=look_at_factor,
        praise="Squaring lets the few steep units win.",
        mistakes={
            "the plain mean lets flat and steep units cancel: it is the root mean square that counts": factor_with(
                torch.mean
            ),
            "the root is missing": factor_with(lambda slopes: slopes.square().mean()),
            "the gain is missing": lambda gain, slopes: slopes.square().mean() ** 0.5,
            "the gain is squared: it stands outside the root": lambda gain, slopes: (
                gain**2 * slopes.square().mean() ** 0.5
            ),
            "that is the length: divide by the number of units before the root": factor_with(
                torch.linalg.vector_norm
            ),
            "the steepest unit does not speak for all": factor_with(torch.max),
            "that is the standard deviation: the slopes' mean counts too": factor_with(
                lambda slopes: slopes.std(correction=0)
            ),
            "that is the mean of the absolute slopes: square, mean, root": factor_with(
                lambda slopes: slopes.abs().mean()
            ),
        },
    ),
    "growth": Exercise(
        answer=growth_with(),
        instances=norms,
        look=look_at_growth,
        praise="Above 1 it explodes on its way back, below 1 it vanishes.",
        mistakes={
            "between n layers there are n - 1 steps": growth_with(off=0),
            "upside down: the gradient comes from the last layer and goes to the first": growth_with(
                upside_down=True
            ),
            "factors multiply: take a root, do not divide": growth_with(root=False),
            "the mean of the single factors is larger than the factor that would do the same in equal steps": growth_with(
                mean=True
            ),
            "upside down, and between n layers there are n - 1 steps": growth_with(
                upside_down=True, off=0
            ),
        },
    ),
    "backward": Exercise(
        answer=backward_with(),
        instances=chains,
        look=look_at_backward,
        praise="That is loss.backward(), for tanh.",
        mistakes={
            "the slope of the tanh is missing": backward_with(slope=torch.ones_like),
            "the slope is 1 - tanh(z)²: you took 1 - z²": backward_with(slope=lambda z: 1 - z**2),
            "multiply by the slope of the tanh, not by its value": backward_with(slope=torch.tanh),
            "that is the ReLU's slope": backward_with(slope=lambda z: (z > 0).float()),
            "the slope is 1 - tanh(z)²: the square is missing": backward_with(
                slope=lambda z: 1 - z.tanh()
            ),
            "the weight has to be transposed on the way back": backward_with(transposed=False),
            "the gradient at z[k] needs the slope at z[k], not at the next layer's": backward_with(
                after=True
            ),
            "first back through the weight, then through the tanh: forward it was the other way round": backward_with(
                slope_first=True
            ),
            "at z[0] stands what belongs to the last of z: is the list upside down?": backward_with(
                upside_down=True
            ),
            "each step starts from the gradient of the layer after it, not from the last layer's": backward_with(
                stuck=True
            ),
        },
    ),
    "weight_gradients": Exercise(
        answer=weights_with(),
        instances=pairs,
        look=look_at_weights,
        praise="What went in, transposed, times what comes back.",
        mistakes={
            "what goes into weight k is tanh(z[k]), not z[k]": weights_with(signal=lambda z: z),
            "what goes into weight k is the tanh's value, not its slope": weights_with(
                signal=lambda z: 1 - z.tanh() ** 2
            ),
            "weight k makes z[k + 1], so its gradient needs the one at z[k + 1]": weights_with(
                off=0
            ),
            "that is its transpose: a row for each unit that goes in, a column for each that comes out": weights_with(
                turned=True
            ),
            "all examples count: sum over the batch, do not average": weights_with(averaged=True),
            "in the order of the weights: is the list upside down?": weights_with(
                from_gradients=True
            ),
        },
    ),
}

check = partial(judge.check, exercises=EXERCISES)
hand_in = partial(judge.hand_in, exercises=EXERCISES)
