"""Checks of assignment A2: batch normalization, forward, backward, in both modes. Holds the answers, as the lessons' checks do."""

from functools import partial

import torch

from helpers.exercises import judge
from helpers.exercises.asking import Mistake, gradient_through, named, unanswered
from helpers.exercises.judge import Exercise


def forward_with(
    *,
    axis=0,
    correction=0,
    eps_counts=True,
    power=0.5,
    eps_outside=False,
    centred=True,
    scale=True,
    shift=True,
    shift_first=False,
    moments=None,
    graph=True,
):
    """The first answer, or one of its mistakes. moments: from a batch to its mean and variance, in place of the plain ones."""

    def function(x, gamma, beta, eps):
        source = x if graph else x.detach()
        if moments:
            mean, var = moments(source)
        else:
            mean, var = (
                source.mean(axis, keepdim=True),
                source.var(axis, correction=correction, keepdim=True),
            )
        below = var**power + eps if eps_outside else (var + eps * eps_counts) ** power
        unit = (x - mean if centred else x) / below
        if shift_first:
            return gamma * (unit + beta)
        return (gamma if scale else 1) * unit + (beta if shift else 0)

    return function


def cancelling(x):
    """The variance by E[x²] - E[x]²."""
    return x.mean(0), x.square().mean(0) - x.mean(0) ** 2


def look_at_care(function, case, x, gamma, beta, eps):
    """The output, and the gradient that autograd finds through it; a NaN as a number that is far from all others."""
    x = x.clone().requires_grad_()
    out = function(x, gamma, beta, eps)
    if not isinstance(out, torch.Tensor) or out.shape != x.shape:
        return {f"the output for {case}": out}
    return {
        f"the output for {case}": out.nan_to_num(1e6),
        f"the gradient for {case}": gradient_through(out, x).nan_to_num(1e6),
    }


def batches(generator, mean=3.0, std=2.0, eps=0.1, shape=(6, 4), count=2):
    draw = partial(torch.randn, generator=generator)
    return [
        (mean + std * draw(*shape), 1 + 0.3 * draw(shape[1]), draw(shape[1]), eps)
        for _ in range(count)
    ]


def hard_batches(generator):
    """Three cases, named, and arguments of the exercise."""
    ordinary, constant = batches(generator, eps=1e-5)
    constant[0][:, 1] = 1.5
    [far] = batches(generator, mean=1000.0, std=0.1, eps=1e-5, count=1)
    return [
        ("an ordinary batch", *ordinary),
        ("a constant unit", *constant),
        ("units with mean 1000, std 0.1", *far),
    ]


def averages_with(
    *, correction=1, momentum=lambda m: m, old=1.0, power=1.0, axis=0, graph=False, only=None
):
    """The third answer, or one of its mistakes. old: what the old averages are multiplied by; only: of the batch's moments
    the one that is kept."""

    def function(x, running_mean, running_var, momentum_):
        share = momentum(momentum_)
        source = x if graph else x.detach()
        mean, var = source.mean(axis), source.var(axis, correction=correction) ** power
        new_mean = (1 - share) * old * running_mean + share * mean
        new_var = (1 - share) * old * running_var + share * var
        return (running_mean if only == "var" else new_mean), (
            running_var if only == "mean" else new_var
        )

    return function


def look_at_averages(function, x, running_mean, running_var, momentum):
    parts = named(
        function(x.clone().requires_grad_(), running_mean, running_var, momentum),
        "running_mean",
        "running_var",
    )
    if not unanswered([parts]):
        kept = any(getattr(part, "requires_grad", False) for part in parts.values())
        parts["the graph kept by the averages"] = float(kept)
    return parts


def steps(generator):
    draw = partial(torch.randn, generator=generator)
    return [(2 + draw(5, 5), draw(5), 1 + draw(5) ** 2, momentum) for momentum in (0.1, 0.3)]


def evaluate_with(*, eps_counts=True, power=0.5, batch=False, scale=True, shift=True, centred=True):
    """The fourth answer, or one of its mistakes."""

    def function(x, gamma, beta, running_mean, running_var, eps):
        mean, var = (x.mean(0), x.var(0, correction=0)) if batch else (running_mean, running_var)
        unit = (x - (mean if centred else 0)) / (var + eps * eps_counts) ** power
        return (gamma if scale else 1) * unit + (beta if shift else 0)

    return function


def questions(generator):
    """Batches of five and of one."""
    draw = partial(torch.randn, generator=generator)
    return [
        (2 + draw(n, 3), 1 + 0.3 * draw(3), draw(3), draw(3), 0.2 + draw(3) ** 2, 0.1)
        for n in (5, 1)
    ]


def backward_with(
    *,
    mean_term=True,
    unit_term=True,
    scale=True,
    correction=0,
    summed=False,
    swapped=False,
    averaged=False,
    raw=False,
    eps_counts=True,
    plain_unit=False,
    per_axis=0,
):
    """The last answer, or one of its mistakes."""

    def function(g, x, gamma, eps):
        n = len(x)
        std = (x.var(0, correction=correction) + eps * eps_counts) ** 0.5
        unit = (x - x.mean(0)) / std
        total = torch.sum if summed else torch.mean
        through = g - total(g, per_axis, keepdim=True) * mean_term
        through = (
            through
            - (x if plain_unit else unit) * total(g * unit, per_axis, keepdim=True) * unit_term
        )
        grad_gamma, grad_beta = (g * (x if raw else unit)).sum(0), g.sum(0)
        if averaged:
            grad_gamma, grad_beta = grad_gamma / n, grad_beta / n
        pair = (grad_beta, grad_gamma) if swapped else (grad_gamma, grad_beta)
        return (gamma if scale else 1) / std * through, *pair

    return function


def look_at_backward(function, *instance, at_input):
    """One of the two halves of the answer, so that each has its own points."""
    found = named(
        function(*instance), "the gradient at x", "the gradient at gamma", "the gradient at beta"
    )
    if "" in found or not all(
        isinstance(part, torch.Tensor) or part is ... for part in found.values()
    ):
        if "" in found:
            return found
        raise Mistake("return three tensors: the gradients at x, gamma and beta")
    return {name: part for name, part in found.items() if (name == "the gradient at x") == at_input}


def ways_back(generator):
    draw = partial(torch.randn, generator=generator)
    return [(draw(5, 5), 1 + draw(5, 5), 1 + 0.3 * draw(5), 0.1) for _ in range(2)]


EXERCISES = {
    "forward": Exercise(
        answer=forward_with(),
        instances=batches,
        praise="In training, that is torch.nn.BatchNorm1d.",
        mistakes={
            "you normalized with the unbiased variance; here it is the plain mean of the squares": forward_with(
                correction=1
            ),
            "that is the wrong axis: the mean over the units of one example is layer norm's. Batch norm's is over the batch, axis 0": (
                forward_with(axis=1)
            ),
            "each unit has a mean and a variance of its own: reduce over axis 0 only": forward_with(
                moments=lambda x: (x.mean(), x.var(correction=0))
            ),
            "eps is missing": forward_with(eps_counts=False),
            "eps stands under the root, beside the variance": forward_with(eps_outside=True),
            "divide by the root of the variance plus eps, not by the variance": forward_with(
                power=1.0
            ),
            "the mean is not subtracted": forward_with(centred=False),
            "gamma and beta are missing": forward_with(scale=False, shift=False),
            "gamma is missing": forward_with(scale=False),
            "beta is missing": forward_with(shift=False),
            "beta comes after the scaling: gamma times unit, then plus beta": forward_with(
                shift_first=True
            ),
        },
    ),
    "care": Exercise(
        answer=forward_with(),
        instances=hard_batches,
        look=look_at_care,
        tolerance=0.02,
        praise="A constant unit, a large mean and the gradient are taken care of.",
        mistakes={
            "mean and variance were computed under no_grad, or detached: they depend on x, and the gradient has to flow through them": (
                forward_with(graph=False)
            ),
            "a unit with mean 1000 and standard deviation 0.1 comes out wrong: E[x²] - E[x]² loses all its digits there. Subtract the "
            "mean first, then square": forward_with(moments=cancelling),
            "a constant unit has variance 0: without eps that is 0/0": forward_with(
                eps_counts=False
            ),
            "the variance is the plain mean of the squares": forward_with(correction=1),
        },
    ),
    "averages": Exercise(
        answer=averages_with(),
        instances=steps,
        look=look_at_averages,
        praise="The averages learn, and keep no graph.",
        mistakes={
            "running_var keeps the unbiased variance: divide by n - 1": averages_with(correction=0),
            "momentum is what the new batch weighs, not what the old average weighs": averages_with(
                momentum=lambda m: 1 - m
            ),
            "the averages keep the graph of every batch so far: detach what goes into them": averages_with(
                graph=True
            ),
            "the old averages are lost: they weigh 1 - momentum": averages_with(old=0.0),
            "the batch replaces the averages: it should weigh momentum only": averages_with(
                momentum=lambda m: 1.0
            ),
            "running_var keeps a variance, not its root": averages_with(power=0.5),
            "over the batch, axis 0: one number a unit": averages_with(axis=1),
            "running_var does not move": averages_with(only="mean"),
            "running_mean does not move": averages_with(only="var"),
        },
    ),
    "evaluate": Exercise(
        answer=evaluate_with(),
        instances=questions,
        praise="No answer depends on who else is asked about.",
        mistakes={
            "in eval mode the running averages normalize, not the batch's own moments": evaluate_with(
                batch=True
            ),
            "eps is missing: it stands under the root here too": evaluate_with(eps_counts=False),
            "divide by the root of running_var plus eps": evaluate_with(power=1.0),
            "running_mean is not subtracted": evaluate_with(centred=False),
            "gamma and beta are missing": evaluate_with(scale=False, shift=False),
            "gamma is missing": evaluate_with(scale=False),
            "beta is missing": evaluate_with(shift=False),
        },
    ),
    "parameters": Exercise(
        answer=backward_with(),
        instances=ways_back,
        look=partial(look_at_backward, at_input=False),
        praise="gamma and beta get what every example says about them.",
        mistakes={
            "gamma's gradient and beta's are the wrong way round": backward_with(swapped=True),
            "all examples count: sum over the batch, do not average": backward_with(averaged=True),
            "gamma multiplies the normalized value, not x": backward_with(raw=True),
            "the normalized value has eps under its root": backward_with(eps_counts=False),
            "the normalized value is divided by the root of the plain mean of the squares": backward_with(
                correction=1
            ),
        },
    ),
    "input": Exercise(
        answer=backward_with(),
        instances=ways_back,
        look=partial(look_at_backward, at_input=True),
        praise="Neither a shift nor a scaling of the whole unit is left in it.",
        mistakes={
            "mean and variance are no constants: the two terms that are subtracted are missing": backward_with(
                mean_term=False, unit_term=False
            ),
            "the mean of g is not subtracted": backward_with(mean_term=False),
            "the part along the normalized value is not subtracted": backward_with(unit_term=False),
            "gamma is missing": backward_with(scale=False),
            "both subtracted terms hold a mean over the batch, not a sum": backward_with(
                summed=True
            ),
            "the standard deviation is the root of the plain mean of the squares, plus eps": backward_with(
                correction=1
            ),
            "eps is missing": backward_with(eps_counts=False),
            "the second term goes along the normalized value, not along x": backward_with(
                plain_unit=True
            ),
            "the means go over the batch, axis 0": backward_with(per_axis=1),
        },
    ),
}

check = partial(judge.check, exercises=EXERCISES)
hand_in = partial(judge.hand_in, exercises=EXERCISES)
