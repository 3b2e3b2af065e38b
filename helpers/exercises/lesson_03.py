"""Lesson 03: layer norm, and batch norm with its running averages, in training and in eval mode."""

from functools import partial

import torch

from .asking import gradient_through, named
from .judge import Exercise


def layer_norm(z):
    """Each row of z, (examples, units), with mean 0 and standard deviation 1."""
    mean = z.mean(dim=1, keepdim=True)
    square = (z - mean) ** 2
    var = square.sum(dim=1, keepdim=True) / z.shape[1]
    return (z - mean) / (var + 1e-5) ** 0.5


def tables(generator, constant=False, size=1.0, examples=4):
    """A table of 4 units. With 4 examples, an answer without keepdim does not stop."""
    z = size * (3 + 2 * torch.randn(examples, 4, generator=generator))
    if constant:
        z[1] = 1.5
    return [(z,)]


def batch_norm(x, gamma, beta, running_mean, running_var, training):
    """The output and the running averages that are left, as torch.nn.BatchNorm1d has them."""
    momentum = 0.1
    if training:
        mean = x.mean(0)
        var = ((x - mean) ** 2).mean(0)
        unbiased = var * len(x) / (len(x) - 1)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * unbiased.detach()
    else:
        mean, var = running_mean, running_var
    z_hat = (x - mean) / (var + 1e-5) ** 0.5
    return gamma * z_hat + beta, running_mean, running_var


def look(function, x, gamma, beta, running_mean, running_var):
    """A training step with its gradient, and an answer in eval mode."""
    leaf = x.clone().requires_grad_()
    parts = {}
    for mode, training in ("training", True), ("eval", False):
        given = (each.clone() for each in (leaf, gamma, beta, running_mean, running_var))
        returned = function(*given, training)  # which may work in place
        names = (f"the output in {mode}", f"running_mean after {mode}", f"running_var after {mode}")
        parts |= named(returned, *names)
        if returned is ...:
            return parts
        out, *averages = returned
        if training and isinstance(out, torch.Tensor) and out.shape == leaf.shape:
            parts["the gradient with respect to x"] = gradient_through(out, leaf)
        if training:
            graph = any(getattr(average, "requires_grad", False) for average in averages)
            parts["the graph kept by the averages"] = float(graph)
    return parts


def instances(generator, mean=3.0, std=2.0, constant=False):
    """Batches of 8 examples of 3 units."""
    draw = partial(torch.randn, generator=generator)
    x = mean + std * draw(8, 3)
    others = 1 + 0.3 * draw(3), draw(3), draw(3), 1 + draw(3) ** 2
    if constant:
        x[:, 1], others[3][1] = 1.5, 0.0
    return [(x, *others)]


EXERCISES = [
    Exercise(
        answer=layer_norm,
        instances=tables,
        hard={
            "an example whose units are all alike has variance 0: eps = 1e-5 alone is left under "
            "the root": partial(tables, constant=True),
            "an example with a standard deviation of 0.002 comes out wrong: eps is 1e-5, as in "
            "`normalize`, and is added to the variance, under the root": partial(
                tables, size=0.001
            ),
            "a table with more examples than units comes out wrong: mean and variance divide by the "
            "number of units, z.shape[1]": partial(tables, examples=7),
        },
        praise="The same numbers as torch.nn.LayerNorm's, and no running averages are needed.",
        mistakes="""
            that is batch norm, over the examples: layer norm takes mean and variance over the units, dim=1
                dim=1 → dim=0
            the mean is taken over the units, and the variance over the examples: dim=1 in both
                sum(dim=1 → sum(dim=0
            one mean and one variance for the whole table: layer norm has its own for each example, dim=1
                mean(dim=1, keepdim=True) → mean()
                square.sum(dim=1, keepdim=True) / z.shape[1] → square.mean()
            keepdim=True is missing: mean and variance have to be columns, one number beside each row
                , keepdim=True →
            keepdim=True is missing: mean and variance have to be columns, beside the rows of z
                mean(dim=1, keepdim=True) → mean(dim=1)
                square = (z - mean) ** 2 → square = (z - z.mean(dim=1, keepdim=True)) ** 2
                sum(dim=1, keepdim=True) → sum(dim=1)
            keepdim=True is missing in the mean
                mean(dim=1, keepdim=True) → mean(dim=1)
            keepdim=True is missing in the variance
                sum(dim=1, keepdim=True) → sum(dim=1)
            the mean is not subtracted
                (z - mean) / → z /
            divide by the standard deviation as well
                / (var + 1e-5) ** 0.5 →
            divide by the root of the variance plus eps, not by the variance
                ** 0.5 →
            the numbers are right, but they come out turned: example and unit have changed places
                return (z - mean) / (var + 1e-5) ** 0.5 → return ((z - mean) / (var + 1e-5) ** 0.5).T
            layer norm has the biased variance, as batch norm has where it normalizes: divide by the number of units
                z.shape[1] → (z.shape[1] - 1)
        """,
    ),
    Exercise(
        answer=batch_norm,
        instances=instances,
        look=look,
        hard={
            "a unit that is the same in the whole batch has variance 0: eps = 1e-5 alone is left under the "
            "root": partial(instances, constant=True),
            "a unit with mean 1000 and standard deviation 0.1 comes out wrong: E[x²] - E[x]² loses all its "
            "digits there. Subtract the mean first, then square": partial(
                instances, mean=1000.0, std=0.1
            ),
        },
        praise="Output, gradient and both running averages are those of torch.nn.BatchNorm1d.",
        mistakes="""
            you normalized with the unbiased variance; the batch is divided by the root of the biased one, the plain mean of the squares
                unbiased.detach() → unbiased.detach(); var = unbiased
            running_var keeps the unbiased variance: times batch / (batch - 1)
                unbiased.detach() → var.detach()
            the two variances are the wrong way round: the biased one normalizes, the unbiased one goes into running_var
                unbiased.detach() → var.detach(); var = unbiased
            the output is right, its gradient is not: the mean and the variance were computed under no_grad, or detached. They depend on x, and the gradient has to flow through them
                x.mean(0) → x.detach().mean(0)
                (x - mean) ** 2 → (x.detach() - mean) ** 2
            the output is right, its gradient is not: the variance was detached, or computed under no_grad. It depends on x, and the gradient has to flow through it, too
                ((x - mean) ** 2).mean(0) → ((x - mean) ** 2).mean(0).detach()
            running_mean and running_var keep the graph of every batch so far: detach what goes into them
                .detach() →
            in eval mode nothing is learned: the running averages must stay as they are
                mean, var = running_mean, running_var → mean, var = running_mean, running_var; running_mean = 0.9 * mean + 0.1 * x.mean(0).detach()
            in eval mode the running averages normalize, not the batch's own moments
                mean, var = running_mean, running_var → mean, var = x.mean(0), x.var(0, correction=0)
            momentum is the wrong way round: PyTorch's 0.1 is what the new batch weighs
                momentum = 0.1 → momentum = 0.9
            that is the wrong axis: a mean over the units of one example is layer norm; batch norm's is over the batch, axis 0
                .mean(0) → .mean(1, keepdim=True)
            gamma and beta are missing
                gamma * z_hat + beta → z_hat
            beta is missing
                z_hat + beta → z_hat
            gamma is missing
                gamma * z_hat → z_hat
            divide by the root of the variance plus eps, not by the variance
                ** 0.5 →
            the running averages never move: in training they go a tenth of the way to the batch's moments
                momentum = 0.1 → momentum = 0
            the unbiased variance is upside down: it is the biased one times batch / (batch - 1)
                len(x) / (len(x) - 1) → (len(x) - 1) / len(x)
            in training the batch's own moments normalize, not the running averages
                mean = x.mean(0) → mean, old = x.mean(0), (running_mean, running_var)
                unbiased.detach() → unbiased.detach(); mean, var = old
            in training the batch's own moments normalize, not the running averages that they have just moved
                z_hat = → mean, var = running_mean, running_var; z_hat =
            one mean and one variance for the whole table: batch norm has its own for each unit, over the batch, axis 0
                .mean(0) → .mean()
            the output is right, its gradient is not: the mean was detached, or computed under no_grad. Detach only what goes into the running averages
                x.mean(0) → x.detach().mean(0)
        """,
    ),
]
