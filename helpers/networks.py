"""Floor 1: the layers, and one builder for every network of the series.

Leading dimensions are just more networks: a weight of shape (*stack, fan_in, fan_out) and a batch of shape
(*stack, batch, features) go through the same `x @ weight + bias`, so that one call runs one network or a whole map of them.
"""

import torch
from torch import nn

from .arguments import choice, integer, number, of_shape, per_network

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}
ORDERS = ("pre", "post")
HALF = (torch.float16, torch.bfloat16)


class Linear(nn.Module):
    """x @ weight + bias, for one network or for each network of a stack.

    weight: (*stack, fan_in, fan_out), drawn from N(0, gain² / fan_in); bias: (*stack, fan_out), zero, or None.
    x: (batch, fan_in), the same for every network, or (*stack, batch, fan_in). Returns (*stack, batch, fan_out).
    `gain` is a number or a tensor of shape `stack`. `generator` is a torch.Generator, whose one draw serves the whole
    stack, or a list of them, one per network. Raises ValueError on an x of another shape or dtype.
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
        self.bias = nn.Parameter(torch.zeros(*stack, fan_out)) if bias else None

    def forward(self, x):
        _fits(x, self.fan_in, self.stack, self.weight.dtype)
        if x.dtype in HALF and x.device.type == "cpu":
            # As an accelerator does it: half-precision factors, a float32 sum, one rounding at the end.
            # A CPU's own half-precision product is ten to a hundred times slower.
            product = x.float() @ self.weight.float()
            return (product if self.bias is None else product + self.bias[..., None, :].float()).to(
                x.dtype
            )
        if self.bias is None:
            return x @ self.weight
        if self.weight.dim() == 2:
            return torch.addmm(self.bias, x, self.weight)  # the same in one call, a little quicker
        return (x @ self.weight).add_(
            self.bias[..., None, :]
        )  # in place: no second matrix to fetch


def batch_norm(x, gamma, beta, mean=None, var=None, *, eps=1e-5):
    """gamma * (x - mean) / sqrt(var + eps) + beta, unit by unit; the arrays are NumPy's or torch's.

    x: (*stack, batch, width), and so is the result. The others: (*stack, width). Without mean and var it takes the batch's
    own, which is what batch norm does in training. Ioffe & Szegedy 2015, "Batch Normalization", algorithm 1.
    """
    if mean is None:
        mean, var = batch_moments(x)
    scale = gamma / (var + eps) ** 0.5
    return (x - mean[..., None, :]) * scale[..., None, :] + beta[..., None, :]


def batch_moments(x):
    """Mean and biased variance of each unit over the batch: from (*stack, batch, width) to two of (*stack, width).

    In two passes: E[x²] - E[x]² would lose all its digits where the mean is large, and could come out negative.
    """
    mean = x.mean(-2)
    return mean, ((x - mean[..., None, :]) ** 2).mean(-2)


def batch_norm_backward(grad, x, gamma, *, eps=1e-5):
    """From the loss's gradient with respect to batch_norm(x, gamma, beta), those with respect to x, gamma and beta.

    grad, x: (*stack, batch, width); gamma: (*stack, width); NumPy's or torch's arrays. Returns (*stack, batch, width) and
    twice (*stack, width). Through mean and var each example has a part in all the others' outputs; what the formula
    subtracts is that part: it leaves a gradient with mean 0 and, but for eps, without a component along x.
    Ioffe & Szegedy 2015, section 3.
    """
    mean, var = batch_moments(x)
    std = ((var + eps) ** 0.5)[..., None, :]
    unit = (x - mean[..., None, :]) / std
    grad_beta, grad_gamma = grad.sum(-2), (grad * unit).sum(-2)
    batch = x.shape[-2]
    through = grad - grad_beta[..., None, :] / batch - unit * grad_gamma[..., None, :] / batch
    return gamma[..., None, :] / std * through, grad_gamma, grad_beta


class _Norm(nn.Module):
    """What both norms share: gamma and beta, (*stack, width), learned; half precision is normalized in float32, as torch.nn's."""

    def __init__(self, width, *, eps=1e-5, stack=()):
        super().__init__()
        self.width, self.eps, self.stack = (
            integer("width", width, 1, 2**31),
            number("eps", eps, 0),
            torch.Size(stack),
        )
        self.gamma, self.beta = (
            nn.Parameter(torch.ones(*stack, width)),
            nn.Parameter(torch.zeros(*stack, width)),
        )

    def forward(self, x):
        _fits(x, self.width, self.stack, self.gamma.dtype)
        kind = torch.float32 if x.dtype in HALF else x.dtype
        return self.normalize(x.to(kind), self.gamma.to(kind), self.beta.to(kind)).to(x.dtype)


class BatchNorm(_Norm):
    """batch_norm with its book-keeping; stands in for torch.nn.BatchNorm1d, whose weight and bias are gamma and beta here.

    x: (*stack, batch, width), and so is the result. gamma, beta (learned), running_mean, running_var: (*stack, width).
    train(): normalizes by the batch's own mean and biased variance, and moves the running averages a share `momentum` of the
    way to the batch's mean and *unbiased* variance; momentum=None makes them plain averages over all batches so far.
    eval(): normalizes by the running averages, so that no answer depends on the rest of the batch.
    Raises ValueError on an x of another shape or dtype, and in training on a batch of one, whose variance is 0.
    Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
    """

    def __init__(self, width, *, eps=1e-5, momentum=0.1, stack=()):
        super().__init__(width, eps=eps, stack=stack)
        self.momentum = momentum if momentum is None else number("momentum", momentum, 0, 1)
        self.register_buffer("running_mean", torch.zeros(*stack, width))
        self.register_buffer("running_var", torch.ones(*stack, width))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def normalize(self, x, gamma, beta):
        if not self.training:
            return batch_norm(
                x,
                gamma,
                beta,
                self.running_mean.to(x.dtype),
                self.running_var.to(x.dtype),
                eps=self.eps,
            )
        batch = x.shape[-2]
        if batch < 2:
            raise ValueError(
                f"batch must be an integer from 2 up to train a BatchNorm, got {batch}"
            )
        mean, var = batch_moments(x)  # the gradient flows through both
        with torch.no_grad():  # but the book-keeping keeps no graph
            self.num_batches_tracked += 1
            share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            self.running_var.lerp_((var * (batch / (batch - 1))).to(self.running_var.dtype), share)
        return batch_norm(x, gamma, beta, mean, var, eps=self.eps)


class LayerNorm(_Norm):
    """Each example's values over the units, brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    x: (*stack, batch, width), and so is the result. gamma, beta: (*stack, width), learned. No running averages: an example
    never sees its batch. Raises ValueError on an x of another shape or dtype. Ba et al. 2016, "Layer Normalization".
    """

    def normalize(self, x, gamma, beta):
        mean = x.mean(-1, keepdim=True)
        var = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / (var + self.eps) ** 0.5 * gamma[..., None, :] + beta[..., None, :]


NORMS = {"none": None, "batch": BatchNorm, "layer": LayerNorm}


class Residual(nn.Module):
    """x + scale * branch(x): the layer learns what to add to its input, not what to replace it with.

    `branch` is a list of layers that keep x's shape, or bring it to the shape to which `shortcut` brings x. `scale` is a number
    or a tensor of shape `stack`; a zero in it would silence its branch for ever, so the whole tensor is learned then.
    He et al. 2015, "Deep Residual Learning", eq. 1 and 2; Bachlechner et al. 2020, "ReZero is All You Need", for the learned
    scale that starts at 0.
    """

    def __init__(self, branch, scale=1.0, shortcut=None):
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), shortcut
        scale = torch.as_tensor(scale, dtype=torch.get_default_dtype())[..., None, None]
        if (scale == 0).any():
            self.scale = nn.Parameter(scale.clone())
        else:
            self.register_buffer("scale", scale)

    def forward(self, x):
        kept = x if self.shortcut is None else self.shortcut(x)
        return kept + self.scale * self.branch(x)


def build(
    depth,
    width,
    *,
    inputs,
    classes,
    activation="relu",
    norm="none",
    skip=False,
    branch_scale=1.0,
    order="pre",
    gain=None,
    seed=0,
    stack=(),
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
    per network (shape `stack`), and network k equals the single network built with its gain, branch_scale and seed; only a 0
    in branch_scale makes the scales of the whole stack learned.

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
    gain = per_network(
        "gain", nn.init.calculate_gain(activation) if gain is None else gain, stack, low=0.0
    )
    branch_scale = (
        per_network("branch_scale", branch_scale, stack).expand(stack).clone()
    )  # if learned, each network's own
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


class Shortcut(nn.Module):
    """Images x (batch, channels, height, width), every `stride`-th pixel of them, with as many channels of zeros added.

    He et al. 2015, "Deep Residual Learning", option A: a skip without weights where size and channels change.
    """

    def __init__(self, channels, stride):
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x):
        return nn.functional.pad(
            x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels)
        )


def build_conv(
    depth, *, channels=(8, 16, 32), image=(1, 8, 8), classes, norm="batch", skip=False, seed=0
):
    """A convolutional network of He's CIFAR shape, 3x3 everywhere, from flat images x (batch, pixels) to class scores.

    depth: 8, 14, 20, … 2000: one convolution, then (depth - 2) / 6 pairs of them for each entry of `channels`, then a Linear: with
    three entries, `depth` layers in all. At each new number of channels, the image's height and width are halved. image:
    channels, height and width of x. Every convolution is followed by norm, "batch" or "none", and a ReLU; with `skip` each pair
    stands in a Residual, relu(shortcut(x) + conv-norm-relu-conv-norm(x)). Weights are He's. There is no stack here, and the
    layers are torch.nn's. Raises ValueError on a bad depth, classes, norm, skip or seed.
    He et al. 2015, "Deep Residual Learning", section 4.2.
    """
    if integer("depth", depth, 8, 2000) % 6 != 2:
        raise ValueError(f"depth must be 6n + 2, such as 8, 14, 20 or 56, got {depth}")
    integer("classes", classes, 1, 10**6)
    choice("norm", norm, ("none", "batch"))
    choice("skip", skip, (False, True))
    generator = torch.Generator().manual_seed(integer("seed", seed, 0, 2**63 - 1))

    def conv(before, after, stride=1):
        layer = nn.utils.skip_init(
            nn.Conv2d, before, after, 3, stride, padding=1, bias=norm == "none"
        )  # draws nothing by itself
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return layer

    def active(width):
        return [nn.BatchNorm2d(width), nn.ReLU()] if norm == "batch" else [nn.ReLU()]

    width = channels[0]
    layers = [nn.Unflatten(1, image), conv(image[0], width), *active(width)]
    for after in [one for one in channels for _ in range((depth - 2) // 6)]:
        stride = 1 if after == width else 2
        *branch, relu = (
            conv(width, after, stride),
            *active(after),
            conv(after, after),
            *active(after),
        )
        if skip:
            branch = [
                Residual(branch, shortcut=Shortcut(after - width, stride) if stride > 1 else None)
            ]
        layers += [*branch, relu]
        width = after
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Linear(width, classes, generator=generator)
    )


def cross_entropy(scores, y):
    """Mean cross-entropy, in nats, of scores (*stack, batch, classes) against class numbers y (batch,): shape (*stack,)."""
    classes = y.expand(scores.shape[:-1])
    each = nn.functional.cross_entropy(scores.flatten(0, -2), classes.flatten(), reduction="none")
    return each.view(classes.shape).mean(-1)


def _generators(seed, stack):
    """One generator for a seed that serves the whole stack, or one per network for seeds of the stack's shape."""
    seeds = of_shape(
        "seed", "an integer", seed, stack, lambda one: integer("seed", one, 0, 2**63 - 1)
    )
    return [torch.Generator().manual_seed(one) for one in seeds.flatten().tolist()]


def _fits(x, width, stack, dtype):
    """Raises ValueError unless x is a tensor of shape (batch, width) or (*stack, batch, width) and of the weights' dtype."""
    if not isinstance(x, torch.Tensor) or x.dtype != dtype:
        given = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"x must be a tensor of {dtype}, as the weights are, got {given}")
    if x.dim() < 2 or x.shape[-1] != width or x.shape[:-2] not in ((), stack):
        allowed = f"(batch, {width})" + (
            f" or ({', '.join(map(str, stack))}, batch, {width})" if stack else ""
        )
        raise ValueError(f"x must be a tensor of shape {allowed}, got {tuple(x.shape)}")
