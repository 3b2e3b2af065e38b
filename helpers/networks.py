"""Floor 1: the layers, and one builder for every network of the series.

Leading dimensions are just more networks: a weight of shape (*stack, fan_in, fan_out) and a batch of shape
(*stack, batch, features) go through the same `x @ weight + bias`, so that one call runs one network or a whole map of them.
"""

import math

import torch
from torch import nn

from .arguments import choice, integer, number

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}
ORDERS = ("pre", "post")


class Linear(nn.Module):
    """x @ weight + bias, for one network or for each network of a stack.

    weight: (*stack, fan_in, fan_out), drawn from N(0, gain² / fan_in); bias: (*stack, 1, fan_out), zero, or None.
    x: (batch, fan_in), the same for every network, or (*stack, batch, fan_in). Returns (*stack, batch, fan_out).
    `gain` is a number or a tensor of shape `stack`. `generator` is a torch.Generator, whose one draw serves the whole
    stack, or a list of them, one per network. Raises ValueError on an x of another shape.
    He et al. 2015, "Delving Deep into Rectifiers", for gain = sqrt(2).
    """

    def __init__(self, fan_in, fan_out, *, gain=1.0, bias=True, stack=(), generator):
        super().__init__()
        self.fan_in, self.fan_out, self.stack = fan_in, fan_out, torch.Size(stack)
        generators = generator if isinstance(generator, list) else [generator]
        draws = torch.stack([torch.randn(fan_in, fan_out, generator=g) for g in generators])
        draws = draws[0] if len(generators) == 1 else draws.reshape(*stack, fan_in, fan_out)
        scale = torch.as_tensor(gain, dtype=draws.dtype)[..., None, None] / fan_in**0.5
        self.weight = nn.Parameter((draws * scale).expand(*stack, fan_in, fan_out).contiguous())
        self.bias = nn.Parameter(torch.zeros(*stack, 1, fan_out)) if bias else None

    def forward(self, x):
        weight, bias = self.weight, self.bias
        if not isinstance(x, torch.Tensor) or x.dtype != weight.dtype:
            given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x must be a tensor of {weight.dtype}, as the weights are, got {given}")
        if x.dim() < 2 or x.shape[-1] != self.fan_in or x.shape[:-2] not in ((), self.stack):
            allowed = f"(batch, {self.fan_in})"
            if self.stack:
                allowed += f" or ({', '.join(map(str, self.stack))}, batch, {self.fan_in})"
            raise ValueError(f"x must be a tensor of shape {allowed}, got {tuple(x.shape)}")
        if x.dtype in (torch.float16, torch.bfloat16) and x.device.type == "cpu":
            # As an accelerator does it: half-precision factors, a float32 sum, one rounding at the end.
            # A CPU's own half-precision product is ten to a hundred times slower.
            product = x.float() @ weight.float()
            return (product if bias is None else product + bias.float()).to(x.dtype)
        product = x @ weight
        return product if bias is None else product.add_(bias)  # in place: no second matrix to fetch

    def extra_repr(self):
        return f"{self.fan_in}, {self.fan_out}" + _stack_note(self.stack)


class BatchNorm(nn.Module):
    """Each unit's values over the batch, brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    x: (*stack, batch, width), and so is the result. gamma, beta: (*stack, 1, width), learned.
    train(): the batch's own mean and biased variance. eval(): running_mean and running_var (of the unbiased variance),
    averages in which the newest batch weighs `momentum`. Raises ValueError for a batch of one in training: its variance is 0.
    Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
    """

    def __init__(self, width, *, eps=1e-5, momentum=0.1, stack=()):
        super().__init__()
        self.width, self.eps, self.momentum, self.stack = width, eps, momentum, torch.Size(stack)
        self.gamma = nn.Parameter(torch.ones(*stack, 1, width))
        self.beta = nn.Parameter(torch.zeros(*stack, 1, width))
        self.register_buffer("running_mean", torch.zeros(*stack, 1, width))
        self.register_buffer("running_var", torch.ones(*stack, 1, width))

    def forward(self, x):
        if self.training:
            if x.shape[-2] < 2:
                raise ValueError(f"batch must be an integer from 2 up to train a BatchNorm, got {x.shape[-2]}")
            mean = x.mean(-2, keepdim=True)
            var = ((x - mean) ** 2).mean(-2, keepdim=True)
            with torch.no_grad():
                unbiased = var * (x.shape[-2] / (x.shape[-2] - 1))
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        return self.gamma * ((x - mean) / (var + self.eps) ** 0.5) + self.beta

    def extra_repr(self):
        return f"{self.width}, eps={self.eps}, momentum={self.momentum}" + _stack_note(self.stack)


class LayerNorm(nn.Module):
    """Each example's values over the units, brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    x: (*stack, batch, width), and so is the result. gamma, beta: (*stack, 1, width), learned. No running averages:
    an example never sees its batch. Ba et al. 2016, "Layer Normalization".
    """

    def __init__(self, width, *, eps=1e-5, stack=()):
        super().__init__()
        self.width, self.eps, self.stack = width, eps, torch.Size(stack)
        self.gamma = nn.Parameter(torch.ones(*stack, 1, width))
        self.beta = nn.Parameter(torch.zeros(*stack, 1, width))

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = ((x - mean) ** 2).mean(-1, keepdim=True)
        return self.gamma * ((x - mean) / (var + self.eps) ** 0.5) + self.beta

    def extra_repr(self):
        return f"{self.width}, eps={self.eps}" + _stack_note(self.stack)


NORMS = {"none": None, "batch": BatchNorm, "layer": LayerNorm}


class Residual(nn.Module):
    """x + scale * branch(x): the layer learns what to add to its input, not what to replace it with.

    `branch` is a list of layers that keep x's shape. `scale` is a number or a tensor of shape `stack`; a zero in it would
    silence its branch for ever, so it is learned then. He et al. 2015, "Deep Residual Learning", eq. 1;
    Bachlechner et al. 2020, "ReZero is All You Need", for the learned scale that starts at 0.
    """

    def __init__(self, branch, scale=1.0):
        super().__init__()
        self.branch = nn.Sequential(*branch)
        scale = torch.as_tensor(scale, dtype=torch.get_default_dtype())[..., None, None]
        if (scale == 0).any():
            self.scale = nn.Parameter(scale.clone())
        else:
            self.register_buffer("scale", scale)

    def forward(self, x):
        return x + self.scale * self.branch(x)


def build(
    depth, width, *, inputs, classes, activation="relu", norm="none", skip=False, branch_scale=1.0, order="pre",
    gain=None, seed=0, stack=(),
):
    """A fully connected network of `depth` hidden layers of `width` units, as an nn.Sequential from x to class scores.

    x: (batch, inputs) or (*stack, batch, inputs), any scale. Returns scores (*stack, batch, classes).

    Without skips a hidden layer is Linear, norm, activation. With `skip` the first Linear brings x to `width` and each of
    the other depth - 1 layers stands in a Residual: order "pre" x + norm-activation-Linear(x), "post"
    activation(x + Linear-norm(x)). The four networks have the same Linears in the same order.

    depth: 1 to 2000. width: 1 to 4096. activation: "relu", "tanh", "sigmoid" or "linear". norm: "none", "batch" or
    "layer". gain: weights have standard deviation gain / sqrt(fan_in); None is the activation's own by
    torch.nn.init.calculate_gain (sqrt(2), He's, for ReLU). The last Linear, which no activation follows, has gain 1.
    branch_scale: what a branch is multiplied by before it is added; 0 starts there and is learned.
    stack: leading dimensions, each entry a network of its own. `gain`, `branch_scale` and `seed` are then one for all or one
    per network (shape `stack`), and network k equals the single network built with its gain, branch_scale and seed.

    Raises ValueError, which names the argument, on anything else.
    He et al. 2015 (init: "Delving Deep into Rectifiers"; skips: "Deep Residual Learning"), He et al. 2016 ("Identity
    Mappings", for order "pre").
    """
    integer("depth", depth, 1, 2000)
    integer("width", width, 1, 4096)
    integer("inputs", inputs, 1, 10**6)
    integer("classes", classes, 1, 10**6)
    choice("activation", activation, tuple(ACTIVATIONS))
    choice("norm", norm, tuple(NORMS))
    choice("skip", skip, (False, True))
    choice("order", order, ORDERS)
    if not isinstance(stack, (tuple, list)):
        raise ValueError(f"stack must be a tuple of integers from 1 to 65536, got {stack!r}")
    stack = torch.Size(integer("stack", size, 1, 65536) for size in stack)
    gain = _per_network("gain", nn.init.calculate_gain(activation) if gain is None else gain, stack, low=0.0)
    branch_scale = _per_network("branch_scale", branch_scale, stack)
    generators = _generators(seed, stack)

    def linear(fan_in, fan_out, gain=gain, bias=True):
        return Linear(fan_in, fan_out, gain=gain, bias=bias, stack=stack, generator=generators)

    def hidden(fan_in):
        # No bias before batch norm: it would be subtracted again, and beta does its work.
        return linear(fan_in, width, bias=norm != "batch")

    def norms():
        return [NORMS[norm](width, stack=stack)] if NORMS[norm] else []

    act = ACTIVATIONS[activation]
    if skip and order == "post":
        layers = [hidden(inputs), *norms(), act()]
        for _ in range(depth - 1):
            layers += [Residual([hidden(width), *norms()], branch_scale), act()]
    else:
        layers = [hidden(inputs)]
        for _ in range(depth - 1):
            step = [*norms(), act(), hidden(width)]
            layers += [Residual(step, branch_scale)] if skip else step
        layers += [*norms(), act()]
    return nn.Sequential(*layers, linear(width, classes, gain=1.0))


def _per_network(name, value, stack, low=-math.inf):
    """`value` as a tensor of shape () or `stack`, every entry finite and at least `low`."""
    value = _of_shape(name, "a number", value, stack, lambda one: number(name, one, low))
    return value.to(torch.get_default_dtype())


def _generators(seed, stack):
    """One generator for a seed that serves the whole stack, or one per network for seeds of the stack's shape."""
    seeds = _of_shape("seed", "an integer", seed, stack, lambda one: integer("seed", one, 0, 2**63 - 1))
    return [torch.Generator().manual_seed(one) for one in seeds.flatten().tolist()]


def _of_shape(name, kind, value, stack, valid):
    """`value` as a tensor of shape () or `stack`, after valid(entry) has raised no ValueError on any entry."""
    if not isinstance(value, (list, tuple)) and not hasattr(value, "shape"):
        valid(value)
    allowed = f"{name} must be {kind} or have the stack's shape {tuple(stack)}"
    try:
        value = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{allowed}, got {value!r}") from None
    if value.shape not in (torch.Size(), stack):
        raise ValueError(f"{allowed}, got shape {tuple(value.shape)}")
    for one in value.flatten().tolist():
        valid(one)
    return value


def _stack_note(stack):
    return f", stack={tuple(stack)}" if stack else ""
