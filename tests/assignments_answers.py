"""Answers to the assignments as students write them, for test_assignments.py: wrong ones with the test cells in which they lose
their points, and right ones that look unlike the solution."""

# Of an assignment: what is wrong, the test cells whose points it loses, and the code.
WRONG = {
    "A1": [
        (
            "unbiased standard deviation",
            {"sizes"},
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        x = torch.relu(x @ weight)
        found.append(x.std())
    return found
""",
        ),
        (
            "root missing",
            {"sizes"},
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        x = torch.relu(x @ weight)
        found.append((x**2).mean())
    return found
""",
        ),
        (
            "measured before the ReLU",
            {"sizes"},
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        z = x @ weight
        found.append(z.square().mean().sqrt())
        x = z.clamp(min=0)
    return found
""",
        ),
        (
            "the last layer only",
            {"sizes"},
            """
def sizes(x, weights):
    for weight in weights:
        x = torch.relu(x @ weight)
    return [x.square().mean().sqrt()]
""",
        ),
        (
            "weights that are not finite",
            {"draw"},
            """
def draw(fan_in, fan_out, gain, generator):
    return torch.randn(fan_in, fan_out, generator=generator) * gain / fan_in**0.5 * float("inf")
""",
        ),
        (
            "the negative half taken away",
            {"critical_gain"},
            """
def critical_gain(positive, negative):
    return (2 / (positive**2 - negative**2)) ** 0.5
""",
        ),
        (
            "gain 1/D",
            {"draw"},
            """
def draw(fan_in, fan_out, gain, generator):
    return torch.randn(fan_in, fan_out, generator=generator) * gain / fan_in
""",
        ),
        (
            "fan_out",
            {"draw"},
            """
def draw(fan_in, fan_out, gain, generator):
    return torch.randn(fan_in, fan_out, generator=generator) * gain / fan_out**0.5
""",
        ),
        (
            "global random numbers",
            {"draw"},
            """
def draw(fan_in, fan_out, gain, generator):
    return torch.randn(fan_in, fan_out) * gain / fan_in**0.5
""",
        ),
        (
            "slopes not squared",
            {"critical_gain"},
            """
def critical_gain(positive, negative):
    return (2 / (positive + negative)) ** 0.5
""",
        ),
        (
            "the lesson's leaky ReLU",
            {"critical_gain"},
            """
def critical_gain(positive, negative):
    return (2 / (1 + negative**2)) ** 0.5
""",
        ),
        (
            "root two forgotten",
            {"gain_for"},
            """
def gain_for(depth, factor):
    return factor ** (1 / depth)
""",
        ),
        (
            "one layer too few, and the gain instead of its factor",
            {"gain_for", "overflow"},
            """
def gain_for(depth, factor):
    return 2**0.5 * factor ** (1 / (depth - 1))


def overflow(gain, largest):
    if gain <= 1:
        return 0
    layer = 0
    while gain**layer <= largest:
        layer += 1
    return layer
""",
        ),
        (
            "the last layer that fits",
            {"overflow"},
            """
def overflow(gain, largest):
    factor, layer = gain / 2**0.5, 0
    if factor <= 1:
        return 0
    while factor ** (layer + 1) <= largest:
        layer += 1
    return layer
""",
        ),
    ],
    "A2": [
        (
            "unbiased variance",
            {"forward", "care"},
            """
def forward(x, gamma, beta, eps):
    return gamma * (x - x.mean(0)) / (x.var(0) + eps) ** 0.5 + beta
""",
        ),
        (
            "eps missing",
            {"forward", "care"},
            """
def forward(x, gamma, beta, eps):
    return gamma * (x - x.mean(0)) / x.std(0, correction=0) + beta
""",
        ),
        (
            "wrong axis",
            {"forward", "care"},
            """
def forward(x, gamma, beta, eps):
    mean, var = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
    return gamma * (x - mean) / (var + eps) ** 0.5 + beta
""",
        ),
        (
            "moments of all units together",
            {"forward", "care"},
            """
def forward(x, gamma, beta, eps):
    return gamma * (x - x.mean()) / (x.var(correction=0) + eps) ** 0.5 + beta
""",
        ),
        (
            "under no_grad",
            {"care"},
            """
def forward(x, gamma, beta, eps):
    with torch.no_grad():
        mean, var = x.mean(0), x.var(0, correction=0)
    return gamma * (x - mean) / (var + eps) ** 0.5 + beta
""",
        ),
        (
            "mean of the squares minus the square of the mean",
            {"care"},
            """
def forward(x, gamma, beta, eps):
    mean = x.mean(0)
    var = (x**2).mean(0) - mean**2
    return gamma * (x - mean) / (var + eps) ** 0.5 + beta
""",
        ),
        (
            "biased running variance",
            {"averages"},
            """
def averages(x, running_mean, running_var, momentum):
    mean, var = x.detach().mean(0), x.detach().var(0, correction=0)
    return running_mean + momentum * (mean - running_mean), running_var + momentum * (var - running_var)
""",
        ),
        (
            "no detach",
            {"averages"},
            """
def averages(x, running_mean, running_var, momentum):
    return (1 - momentum) * running_mean + momentum * x.mean(0), (1 - momentum) * running_var + momentum * x.var(0)
""",
        ),
        (
            "momentum the wrong way round",
            {"averages"},
            """
def averages(x, running_mean, running_var, momentum):
    x = x.detach()
    return momentum * running_mean + (1 - momentum) * x.mean(0), momentum * running_var + (1 - momentum) * x.var(0)
""",
        ),
        (
            "eval by the batch",
            {"evaluate"},
            """
def evaluate(x, gamma, beta, running_mean, running_var, eps):
    return gamma * (x - x.mean(0)) / (x.var(0, correction=0) + eps) ** 0.5 + beta
""",
        ),
        (
            "mean and variance as constants",
            {"input"},
            """
def backward(g, x, gamma, eps):
    std = (x.var(0, correction=0) + eps) ** 0.5
    unit = (x - x.mean(0)) / std
    return gamma / std * g, (g * unit).sum(0), g.sum(0)
""",
        ),
        (
            "half of the answer",
            {"input"},
            """
def backward(g, x, gamma, eps):
    unit = (x - x.mean(0)) / (x.var(0, correction=0) + eps) ** 0.5
    return 0 * x, (g * unit).sum(0), g.sum(0)
""",
        ),
        (
            "averaged over the batch",
            {"parameters"},
            """
def backward(g, x, gamma, eps):
    std = (x.var(0, correction=0) + eps) ** 0.5
    unit = (x - x.mean(0)) / std
    return gamma / std * (g - g.mean(0) - unit * (g * unit).mean(0)), (g * unit).mean(0), g.mean(0)
""",
        ),
    ],
    "A3": [
        (
            "products from the start",
            {"chain"},
            """
def chain(slopes):
    found = [1.0]
    for slope in slopes:
        found.append(found[-1] * slope)
    return found
""",
        ),
        (
            "one derivative only",
            {"chain"},
            """
def chain(slopes):
    product = 1.0
    for slope in slopes:
        product *= slope
    return product
""",
        ),
        (
            "the plain mean",
            {"layer_factor"},
            """
def layer_factor(gain, slopes):
    return gain * slopes.mean()
""",
        ),
        (
            "root missing",
            {"layer_factor"},
            """
def layer_factor(gain, slopes):
    return gain * (slopes**2).mean()
""",
        ),
        (
            "n steps instead of n - 1",
            {"growth"},
            """
def growth(gradient):
    return (gradient[0] / gradient[-1]) ** (1 / len(gradient))
""",
        ),
        (
            "upside down",
            {"growth"},
            """
def growth(gradient):
    return (gradient[-1] / gradient[0]) ** (1 / (len(gradient) - 1))
""",
        ),
        (
            "no slope",
            {"backward"},
            """
def backward(g, z, weights):
    found = [g]
    for weight in reversed(weights):
        found.insert(0, found[0] @ weight.T)
    return found
""",
        ),
        (
            "ReLU's slope",
            {"backward"},
            """
def backward(g, z, weights):
    found = [g]
    for k in reversed(range(len(weights))):
        found.insert(0, (found[0] @ weights[k].T) * (z[k] > 0))
    return found
""",
        ),
        (
            "not transposed",
            {"backward"},
            """
def backward(g, z, weights):
    found = [g]
    for k in reversed(range(len(weights))):
        found.insert(0, (found[0] @ weights[k]) * (1 - z[k].tanh() ** 2))
    return found
""",
        ),
        (
            "order of the way back",
            {"backward"},
            """
def backward(g, z, weights):
    found = [g]
    for k in reversed(range(len(weights))):
        found.append((found[-1] @ weights[k].T) * (1 - z[k].tanh() ** 2))
    return found
""",
        ),
        (
            "z instead of tanh(z)",
            {"weight_gradients"},
            """
def weight_gradients(gradients, z):
    return [z[k].T @ gradients[k + 1] for k in range(len(z) - 1)]
""",
        ),
        (
            "transposed and averaged",
            {"weight_gradients"},
            """
def weight_gradients(gradients, z):
    return [(gradients[k + 1].T @ z[k].tanh()) / len(z[k]) for k in range(len(z) - 1)]
""",
        ),
    ],
    "A4": [
        (
            "skip missing",
            {"block"},
            """
def block(x, first, second, scale):
    return scale * (torch.relu(torch.relu(x) @ first) @ second)
""",
        ),
        (
            "skip after the ReLU",
            {"block"},
            """
def block(x, first, second, scale):
    x = torch.relu(x)
    return x + scale * (torch.relu(x @ first) @ second)
""",
        ),
        (
            "everything scaled",
            {"block"},
            """
def block(x, first, second, scale):
    return scale * (x + torch.relu(torch.relu(x) @ first) @ second)
""",
        ),
        (
            "ReLU after the sum",
            {"block"},
            """
def block(x, first, second, scale):
    return torch.relu(x + scale * (torch.relu(torch.relu(x) @ first) @ second))
""",
        ),
        (
            "changes x in place",
            {"block"},
            """
def block(x, first, second, scale):
    branch = torch.relu(x.relu_() @ first) @ second
    return x + scale * branch
""",
        ),
        (
            "the 1 of 1 + F' missing",
            {"block_backward"},
            """
def block_backward(g, x, first, second, scale):
    back = (g @ second.T) * (torch.relu(x) @ first > 0)
    return scale * (back @ first.T) * (x > 0)
""",
        ),
        (
            "outer ReLU over the skip too",
            {"block_backward"},
            """
def block_backward(g, x, first, second, scale):
    back = (g @ second.T) * (torch.relu(x) @ first > 0)
    return (g + scale * back @ first.T) * (x > 0)
""",
        ),
        (
            "inner ReLU forgotten",
            {"block_backward"},
            """
def block_backward(g, x, first, second, scale):
    return g + scale * (g @ second.T @ first.T) * (x > 0)
""",
        ),
        (
            "scale not squared",
            {"variance"},
            """
def variance(blocks, scale):
    return (1 + scale) ** blocks
""",
        ),
        (
            "does not compound, and the lesson's answer",
            {"variance", "scale_for"},
            """
def variance(blocks, scale):
    return 1 + blocks * scale**2


def scale_for(blocks, factor):
    return (2 ** (1 / blocks) - 1) ** 0.5
""",
        ),
        (
            "root missing",
            {"scale_for"},
            """
def scale_for(blocks, factor):
    return factor ** (1 / blocks) - 1
""",
        ),
        (
            "compounds in spite of the norm",
            {"with_norm"},
            """
def with_norm(blocks, scale):
    return (1 + scale**2) ** blocks
""",
        ),
    ],
    "A5": [
        (
            "nothing changed",
            {"survive", "train", "test"},
            """
def recipe():
    return {}
""",
        ),
        (
            "a skip alone",
            {"survive", "train", "test"},
            """
def recipe():
    return {"skip": True}
""",
        ),
        (
            "a branch too large",
            {"survive", "train", "test"},
            """
def recipe():
    return {"skip": True, "branch_scale": 0.5}
""",
        ),
        (
            "over the budget",
            {"survive", "train", "test", "another"},
            """
def recipe():
    return {"skip": True, "branch_scale": 0.07, "epochs": 40}
""",
        ),
        (
            "less deep",
            {"survive", "train", "test", "another"},
            """
def recipe():
    return {"depth": 10}
""",
        ),
        (
            "no dict",
            {"survive", "train", "test", "another"},
            """
def recipe():
    return "skip"
""",
        ),
        (
            "a name that build does not know",
            {"survive", "train", "test"},
            """
def recipe():
    return {"skip": True, "activation": "swish"}
""",
        ),
        (
            "one epoch",
            {"train", "test"},
            """
def recipe():
    return {"skip": True, "branch_scale": 199**-0.5, "epochs": 1}
""",
        ),
        (
            "a learning rate too small",
            {"train", "test"},
            """
def recipe():
    return {"skip": True, "branch_scale": 199**-0.5, "lr": 0.001}
""",
        ),
        (
            "twice the same means",
            {"another"},
            """
def another():
    return {"skip": True, "branch_scale": 1 / 199}
""",
        ),
        (
            "twice the same means, and a norm that does nothing more",
            {"another"},
            """
def another():
    return {"skip": True, "branch_scale": 199**-0.5, "norm": "layer"}
""",
        ),
        (
            "a second one that fails",
            {"another"},
            """
def another():
    return {"activation": "tanh"}
""",
        ),
    ],
}

# Of an assignment: what is unusual, and the code.
RIGHT = {
    "A1": [
        (
            "norms and a comprehension",
            """
def sizes(x, weights):
    from itertools import accumulate
    layers = list(accumulate([x, *weights], lambda a, weight: (a @ weight).clamp_min(0)))[1:]
    return tuple((a.norm() / a.numel() ** 0.5).item() for a in layers)
""",
        ),
        (
            "uniform numbers",
            """
def draw(fan_in, fan_out, gain, generator):
    a = gain * (3 / fan_in) ** 0.5
    return torch.empty(fan_in, fan_out).uniform_(-a, a, generator=generator)
""",
        ),
        (
            "torch.nn.init, row by row",
            """
def draw(fan_in, fan_out, gain, generator):
    rows = [torch.nn.init.normal_(torch.empty(fan_out), 0.0, gain / fan_in**0.5, generator=generator) for _ in range(fan_in)]
    return torch.stack(rows)
""",
        ),
        (
            "numpy, logarithms, and a chatty function",
            """
import math
import sys

import numpy as np


def critical_gain(positive, negative):
    print("calculating", file=sys.stderr)
    return np.sqrt(2 / np.sum(np.square([positive, negative])))


def gain_for(depth, factor):
    return torch.tensor(factor, dtype=torch.double).log().div(depth).exp() * math.sqrt(2)


def overflow(gain, largest):
    growth = math.log2(gain) - 0.5
    return 0 if growth <= 0 else math.floor(math.log2(largest) / growth) + 1
""",
        ),
    ],
    "A2": [
        (
            "another library call",
            """
def forward(x, gamma, beta, eps):
    return torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def evaluate(x, gamma, beta, running_mean, running_var, eps):
    return torch.nn.functional.batch_norm(x, running_mean, running_var, gamma, beta, training=False, eps=eps)
""",
        ),
        (
            "loops over the units",
            """
def forward(x, gamma, beta, eps):
    columns = []
    for k in range(x.shape[1]):
        column = x[:, k]
        column = column - column.sum() / len(column)
        var = (column @ column) / len(column)
        columns.append(column / torch.sqrt(var + eps) * gamma[k] + beta[k])
    return torch.stack(columns, 1)
""",
        ),
        (
            "in place",
            """
def averages(x, running_mean, running_var, momentum):
    with torch.no_grad():
        running_mean.lerp_(x.mean(0), momentum)
        running_var.lerp_(torch.var(x, 0), momentum)
    return [running_mean, running_var]
""",
        ),
        (
            "autograd",
            """
def backward(g, x, gamma, eps):
    x, gamma = x.detach().requires_grad_(), gamma.detach().requires_grad_()
    beta = torch.zeros_like(gamma, requires_grad=True)
    return torch.autograd.grad(forward(x, gamma, beta, eps), (x, gamma, beta), g)
""",
        ),
        (
            "einsum and a projection",
            """
def backward(g, x, gamma, eps):
    n = len(x)
    std = torch.sqrt(x.var(0, correction=0) + eps)
    unit = (x - x.mean(0)) / std
    grad_gamma = torch.einsum("nd,nd->d", g, unit)
    centred = g - torch.full((n, n), 1 / n) @ g
    return torch.einsum("d,nd->nd", gamma / std, centred - unit * grad_gamma / n), grad_gamma, torch.einsum("nd->d", g)
""",
        ),
    ],
    "A3": [
        (
            "a cumulative product",
            """
def chain(slopes):
    return [*torch.tensor(slopes).flip(0).cumprod(0).flip(0), 1]


def layer_factor(gain, slopes):
    return float(gain * slopes.norm() / slopes.numel() ** 0.5)


def growth(gradient):
    logs = torch.tensor(gradient, dtype=torch.double).log()
    return torch.exp(-logs.diff().mean())
""",
        ),
        (
            "recursion",
            """
def backward(g, z, weights):
    if not weights:
        return [g]
    rest = backward(g, z[1:], weights[1:])
    return [rest[0] @ weights[0].T / torch.cosh(z[0]) ** 2, *rest]
""",
        ),
        (
            "autograd",
            """
def backward(g, z, weights):
    first = z[0].clone().requires_grad_()
    chain = [first]
    for weight in weights:
        chain.append(torch.tanh(chain[-1]) @ weight)
    return torch.autograd.grad(chain[-1], chain, g)
""",
        ),
        (
            "einsum",
            """
def weight_gradients(gradients, z):
    return tuple(torch.einsum("ni,nj->ij", a.tanh(), b) for a, b in zip(z[:-1], gradients[1:]))
""",
        ),
    ],
    "A4": [
        (
            "einsum and clamp",
            """
def block(x, first, second, scale):
    hidden = torch.einsum("ni,ih->nh", x.clamp(min=0), first).clamp(min=0)
    return torch.add(x, torch.einsum("nh,ho->no", hidden, second), alpha=scale)
""",
        ),
        (
            "autograd",
            """
def block_backward(g, x, first, second, scale):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(block(x, first, second, scale), x, g)[0]
""",
        ),
        (
            "example by example",
            """
def block_backward(g, x, first, second, scale):
    rows = []
    for one, back in zip(x, g):
        inner = torch.diag((one.relu() @ first > 0).float())
        jacobian = second.T @ inner @ first.T @ torch.diag((one > 0).float())
        rows.append(back @ (torch.eye(len(one)) + scale * jacobian))
    return torch.stack(rows)
""",
        ),
        (
            "loops and logarithms",
            """
import math


def variance(blocks, scale):
    v = 1.0
    for _ in range(blocks):
        v += scale**2 * v
    return v


def scale_for(blocks, factor):
    return math.sqrt(math.expm1(math.log(factor) / blocks))


def with_norm(blocks, scale):
    return torch.cat([torch.ones(1), torch.full((blocks,), scale).square()]).sum()
""",
        ),
    ],
    "A5": [
        (
            "one over the blocks",
            """
def recipe():
    return {"skip": True, "branch_scale": 1 / 199, "epochs": 4, "order": "pre"}
""",
        ),
        (
            "tanh, and numbers of torch's and NumPy's",
            """
import numpy as np


def recipe():
    return {"skip": True, "branch_scale": torch.tensor(0.07), "activation": "tanh", "gain": np.float64(1.0)}
""",
        ),
        (
            "learned from 0 first, then a number",
            """
def recipe():
    return dict(skip=True, branch_scale=0, lr=0.01)


def another():
    return {"skip": True, "branch_scale": 199**-0.5, "lr": START["lr"]}
""",
        ),
    ],
}
