"""The layers, and one builder for every fully connected network of the series.

Leading dimensions are just more networks. A weight of shape (*stack, fan_in, fan_out) and a batch
of shape (*stack, batch, features) go through the same `x @ weight + bias`, so that one call runs
one network or a whole map of them. torch.nn's layers cannot do that, and store a weight transposed.
What a unit has once, of shape (*stack, width), meets every example as `mean[..., None, :]`, of
shape (*stack, 1, width).
"""

import math

import numpy as np
import torch
from torch import nn

from .arguments import (
    FLOAT32,
    choice,
    class_numbers,
    few_enough,
    integer,
    number,
    one_seed,
    per_network,
    require,
    seeds,
    sizes,
)

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}
ORDERS = ("pre", "post")
HALF = (torch.float16, torch.bfloat16)
MOST = 10**6  # features, units or classes of a layer
STACK = 65536  # networks along one dimension of a stack, at most


class Linear(nn.Module):
    """x @ weight + bias, for one network or for each network of a stack.

    weight: (*stack, fan_in, fan_out), drawn from N(0, gain² / fan_in). bias: (*stack, fan_out),
    zero at first, or None. x: (batch, fan_in), the same for every network, or
    (*stack, batch, fan_in). Returns (*stack, batch, fan_out).
    gain: a number, or one for each network (shape `stack`). generator: a torch.Generator, whose one
    draw serves the whole stack, or a list of them, one for each network.
    Raises ValueError on a bad argument, and on an x of another shape or dtype.
    He et al. 2015, "Delving Deep into Rectifiers", for gain = sqrt(2). In every lesson, by `build`.
    """

    @torch.inference_mode(False)  # under a caller's inference mode, weights could not be trained
    def __init__(self, fan_in, fan_out, *, gain=1.0, bias=True, stack=(), generator):
        super().__init__()
        self.fan_in = integer("fan_in", fan_in, 1, MOST)
        self.fan_out = integer("fan_out", fan_out, 1, MOST)
        self.stack = torch.Size(sizes("stack", stack, STACK))
        size = (*self.stack, self.fan_in, self.fan_out)
        few_enough("fan_in, fan_out and stack", math.prod(size))
        draws = _draws(generator, size)
        gain = per_network("gain", gain, self.stack, low=0.0).to(draws.dtype)
        scale = gain[..., None, None] / self.fan_in**0.5
        self.weight = nn.Parameter((draws * scale).expand(size).contiguous())
        zeros = torch.zeros(*self.stack, self.fan_out, **FLOAT32)
        self.bias = nn.Parameter(zeros) if choice("bias", bias, (False, True)) else None

    def forward(self, x):
        _check_x(x, self.fan_in, self.stack, self.weight.dtype)
        if x.dtype in HALF and x.device.type == "cpu":
            # As an accelerator does it: half-precision factors, a float32 sum, one rounding at the
            # end. A CPU's own half-precision product is ten to a hundred times slower.
            product = x.float() @ self.weight.float()
            if self.bias is not None:
                product = product + self.bias[..., None, :].float()
            return product.to(x.dtype)
        if self.bias is None:
            return x @ self.weight
        if self.weight.dim() == 2:
            return torch.addmm(self.bias, x, self.weight)  # the same in one call, a little quicker
        return (x @ self.weight).add_(self.bias[..., None, :])  # in place: no second matrix

    def extra_repr(self):
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.fan_in}, {self.fan_out}{bias}{_shown(self.stack)}"


def batch_norm(x, gamma, beta, mean=None, var=None, *, eps=1e-5):
    """gamma * z_hat + beta, where z_hat = (x - mean) / sqrt(var + eps), for each unit.

    x: (*stack, batch, width), and so is the result. The others: (*stack, width). They are NumPy's
    or torch's. Without mean and var it takes the batch's, as batch norm does in training.
    Raises ValueError on an array of another shape.
    Ioffe & Szegedy 2015, "Batch Normalization", algorithm 1. Lesson 03 writes these lines.
    """
    require((mean is None) == (var is None), "mean and var", "both given or both None", (mean, var))
    given = {"gamma": gamma, "beta": beta} | ({} if mean is None else {"mean": mean, "var": var})
    _check_arrays(x, **given)
    if mean is None:
        mean, var = batch_moments(x)
    # gamma / std first: it is small, and the large array is then multiplied once, not twice.
    scale = gamma / (var + number("eps", eps, 0)) ** 0.5
    return (x - mean[..., None, :]) * scale[..., None, :] + beta[..., None, :]


def batch_moments(x):
    """Mean and biased variance of each unit over the batch.

    x: (*stack, batch, width). Returns two arrays (*stack, width).
    In two passes: E[x²] - E[x]² would lose all its digits where the mean is large.
    """
    mean = x.mean(-2)
    return mean, ((x - mean[..., None, :]) ** 2).mean(-2)


def batch_norm_backward(grad, x, gamma, *, eps=1e-5):
    """The gradients with respect to x, gamma and beta, from `grad`, that at batch_norm's result.

    grad, x: (*stack, batch, width). gamma: (*stack, width). NumPy's or torch's arrays. Returns
    (*stack, batch, width) and twice (*stack, width). Through mean and var, each example has a part
    in all the others' outputs. The formula subtracts that part: what it leaves has mean 0 and, but
    for eps, no component along x. Raises ValueError on an array of another shape.
    Ioffe & Szegedy 2015, section 3. Lesson 03 derives it.
    """
    _check_arrays(x, gamma=gamma)
    same = getattr(grad, "shape", None) == x.shape
    require(same, "grad", f"of the shape of x, {tuple(x.shape)}", grad)
    mean, var = batch_moments(x)
    std = ((var + number("eps", eps, 0)) ** 0.5)[..., None, :]
    z_hat = (x - mean[..., None, :]) / std
    grad_beta, grad_gamma = grad.sum(-2), (grad * z_hat).sum(-2)
    batch = x.shape[-2]
    through = grad - grad_beta[..., None, :] / batch - z_hat * grad_gamma[..., None, :] / batch
    return gamma[..., None, :] / std * through, grad_gamma, grad_beta


class Norm(nn.Module):
    """What the norms share: gamma and beta, (*stack, width), learned. Not to be used by itself.

    To add a norm, write a subclass with a method `normalize(x, gamma, beta)` and enter it in NORMS:
    `build`, `profile` and the explorers take it from there. Half precision is normalized in
    float32, as torch.nn does it.
    """

    @torch.inference_mode(False)
    def __init__(self, width, *, eps=1e-5, stack=()):
        super().__init__()
        self.width, self.eps = integer("width", width, 1, MOST), number("eps", eps, 0)
        self.stack = torch.Size(sizes("stack", stack, STACK))
        few_enough("width and stack", self.width * math.prod(self.stack))
        self.gamma = nn.Parameter(torch.ones(*self.stack, self.width, **FLOAT32))
        self.beta = nn.Parameter(torch.zeros(*self.stack, self.width, **FLOAT32))

    def forward(self, x):
        _check_x(x, self.width, self.stack, self.gamma.dtype)
        dtype = torch.float32 if x.dtype in HALF else x.dtype
        return self.normalize(x.to(dtype), self.gamma.to(dtype), self.beta.to(dtype)).to(x.dtype)

    def extra_repr(self):
        return f"{self.width}, eps={self.eps:g}{_shown(self.stack)}"


class BatchNorm(Norm):
    """batch_norm with running averages: torch.nn.BatchNorm1d, but with gamma and beta as names.

    x: (batch, width), the same for every network, or (*stack, batch, width). Returns
    (*stack, batch, width). gamma, beta (learned), running_mean, running_var: (*stack, width).
    train(): normalizes by the batch's mean and biased variance. Moves the running averages a share
    `momentum` of the way to the batch's mean and *unbiased* variance; with momentum=None they are
    plain averages over all batches.
    eval(): normalizes by the running averages, so that no answer depends on the rest of the batch.
    Raises ValueError on an x of another shape or dtype, and in training on a batch of one, whose
    variance is 0.
    Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2. Lesson 06; in 03 to 09
    by `build`.
    """

    @torch.inference_mode(False)
    def __init__(self, width, *, eps=1e-5, momentum=0.1, stack=()):
        super().__init__(width, eps=eps, stack=stack)
        self.momentum = momentum if momentum is None else number("momentum", momentum, 0, 1)
        self.register_buffer("running_mean", torch.zeros(*self.stack, self.width, **FLOAT32))
        self.register_buffer("running_var", torch.ones(*self.stack, self.width, **FLOAT32))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device="cpu"))

    def normalize(self, x, gamma, beta):
        x = x.expand(*self.stack, *x.shape[-2:])  # one batch may serve the whole stack
        if self.training:
            mean, var = batch_moments(x)  # the gradient flows through both
            self.move_averages(mean, var, batch=x.shape[-2])
        else:
            mean, var = self.running_mean.to(x.dtype), self.running_var.to(x.dtype)
        return batch_norm(x, gamma, beta, mean, var, eps=self.eps)

    @torch.no_grad()
    def move_averages(self, mean, var, batch):
        """Moves the running averages towards the mean and the biased variance of a batch."""
        require(batch > 1, "batch", "an integer from 2 up to train a BatchNorm", batch)
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (batch / (batch - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)

    def extra_repr(self):
        return f"{super().extra_repr()}, momentum={self.momentum}"


class LayerNorm(Norm):
    """Each example's values, brought to mean 0 and variance 1 over the units, then gamma and beta.

    x: (batch, width), the same for every network, or (*stack, batch, width). Returns
    (*stack, batch, width). gamma, beta: (*stack, width), learned. There are no running averages: an
    example does not depend on its batch.
    Raises ValueError on an x of another shape or dtype.
    Ba et al. 2016, "Layer Normalization". An exercise of lesson 03; in 09 by `build`.
    """

    def normalize(self, x, gamma, beta):
        mean = x.mean(-1, keepdim=True)
        var = ((x - mean) ** 2).mean(-1, keepdim=True)
        z_hat = (x - mean) / (var + self.eps) ** 0.5
        return z_hat * gamma[..., None, :] + beta[..., None, :]


NORMS = {"none": None, "batch": BatchNorm, "layer": LayerNorm}


class Residual(nn.Module):
    """x + scale * branch(x): the branch learns what to add to x, not what to replace it with.

    branch: a list of layers that return the shape of x, or the shape to which `shortcut`, a module,
    brings x. scale: a number, or one for each network (shape `stack`). With a 0 in it the scale is
    a parameter, and learned: the branch is silent at first, but the scale has a gradient. Raises
    ValueError on a bad argument, and on a branch that returns another shape.
    He et al. 2015, "Deep Residual Learning", eq. 1 and 2. Bachlechner et al. 2020, "ReZero is All
    You Need", for the learned scale that starts at 0. Lessons 06 to 09 by `build`.
    """

    @torch.inference_mode(False)
    def __init__(self, branch, scale=1.0, shortcut=None):
        super().__init__()
        if isinstance(branch, nn.Sequential) and type(branch).forward is not nn.Sequential.forward:
            branch = [branch]  # it does more than run its layers in a row
        is_list = isinstance(branch, (list, tuple, nn.Sequential, nn.ModuleList))
        fine = is_list and all(isinstance(layer, nn.Module) for layer in branch)
        require(fine, "branch", "a list of torch.nn.Modules", branch)
        fine = shortcut is None or isinstance(shortcut, nn.Module)
        require(fine, "shortcut", "None or a torch.nn.Module", shortcut)
        self.branch, self.shortcut = nn.Sequential(*branch), shortcut
        scale = per_network("scale", scale).to(torch.float32)[..., None, None]
        self.scale = nn.Parameter(scale) if (scale == 0).any() else nn.Buffer(scale)

    def forward(self, x):
        return self.add(x, self.branch(x))

    def add(self, x, branch):
        """The sum of x, or what the shortcut makes of it, and of the scaled output of the branch."""
        stream = x if self.shortcut is None else self.shortcut(x)
        added = self.scale * branch
        if added.shape[-stream.dim() :] != stream.shape:  # torch might broadcast
            allowed = f"return the shape of what it is added to, {tuple(stream.shape)}"
            raise ValueError(f"branch must {allowed}, got {tuple(added.shape)}")
        return stream + added

    def extra_repr(self):
        learned = ", learned" if isinstance(self.scale, nn.Parameter) else ""
        scale = f"{self.scale.item():g}" if self.scale.numel() == 1 else "one per network"
        return f"scale={scale}{learned}"


@torch.inference_mode(False)
def build(
    depth: int,
    width: int,
    *,
    inputs: int = 64,
    classes: int = 10,
    activation: str = "relu",
    norm: str = "none",
    skip: bool = False,
    branch_scale: float | list | torch.Tensor = 1.0,
    order: str = "pre",
    gain: float | list | torch.Tensor | None = None,
    seed: int | list | torch.Tensor = 0,
    stack: tuple = (),
) -> nn.Sequential:
    """A fully connected network of `depth` hidden layers of `width` units, from x to class scores.

    x: (batch, inputs) or (*stack, batch, inputs). Returns scores (*stack, batch, classes).

    Without skips a hidden layer is Linear, norm, activation. With `skip` the first Linear brings x
    to `width`, and each of the other depth - 1 layers stands in a Residual. Order "pre":
    x + Linear(activation(norm(x))), and a last norm and activation behind the last block. Order
    "post": activation(x + norm(Linear(x))). The same seed gives plain networks and both orders the
    same Linears.

    depth: 1 to 2000. width: 1 to 4096. inputs, classes: 1 to a million, by default the digits'.
    activation: "relu", "tanh", "sigmoid" or "linear". norm: "none", "batch" or "layer".
    branch_scale: what a branch is multiplied by before it is added. 0 starts there and is learned.
    gain: weights have standard deviation gain / sqrt(fan_in). None is the activation's by
    torch.nn.init.calculate_gain: sqrt(2), He's, for ReLU. The last Linear, which no activation
    follows, has gain 1.
    stack: leading dimensions, each entry a network. `gain`, `branch_scale` and `seed` are then one
    for all or one for each (shape `stack`), and network k equals the single network built with its
    gain, branch_scale and seed; but one 0 in branch_scale makes the scales of all learned.

    Raises ValueError, which names the argument, on anything else, and on over 250 million weights.
    He et al. 2015, "Delving Deep into Rectifiers" (init) and "Deep Residual Learning" (skips). He
    et al. 2016, "Identity Mappings" (order "pre"). In every lesson.
    """
    depth, width = integer("depth", depth, 1, 2000), integer("width", width, 1, 4096)
    inputs, classes = integer("inputs", inputs, 1, MOST), integer("classes", classes, 1, MOST)
    stack = sizes("stack", stack, STACK)
    weights = width * (inputs + (depth - 1) * width + classes) * math.prod(stack)
    few_enough("depth, width, inputs, classes and stack", weights)
    activation, norm = choice("activation", activation, ACTIVATIONS), choice("norm", norm, NORMS)
    skip, order = choice("skip", skip, (False, True)), choice("order", order, ORDERS)
    gain = nn.init.calculate_gain(activation) if gain is None else gain
    gain = per_network("gain", gain, stack, low=0.0)
    # One for each network, even for a number. Each Residual makes a copy, and may learn it.
    scale = per_network("branch_scale", branch_scale, stack).expand(stack)
    # Each Linear draws on from where the last one stopped.
    generators = [torch.Generator().manual_seed(each) for each in seeds(seed, stack)]

    def linear(fan_in):
        bias = norm != "batch"  # the next batch norm would subtract it, and its beta does the work
        return Linear(fan_in, width, gain=gain, bias=bias, stack=stack, generator=generators)

    def norms():
        return [] if norm == "none" else [NORMS[norm](width, stack=stack)]

    act = ACTIVATIONS[activation]
    if skip and order == "post":
        layers = [linear(inputs), *norms(), act()]
        for _ in range(depth - 1):
            layers += [Residual([linear(width), *norms()], scale), act()]
    else:
        layers = [linear(inputs)]
        for _ in range(depth - 1):
            block = [*norms(), act(), linear(width)]
            layers += [Residual(block, scale)] if skip else block
        layers += [*norms(), act()]
    return nn.Sequential(*layers, Linear(width, classes, stack=stack, generator=generators))


class Shortcut(nn.Module):
    """Every `stride`-th pixel of images (batch, channels, height, width), with added zero channels.

    He et al. 2015, "Deep Residual Learning", option A: a skip without weights where sizes change.
    """

    def __init__(self, channels, stride):
        super().__init__()
        self.channels = integer("channels", channels, 0, MOST)
        self.stride = integer("stride", stride, 1, MOST)

    def forward(self, x):
        x = x[..., :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.channels))

    def extra_repr(self):
        return f"channels={self.channels}, stride={self.stride}"


@torch.inference_mode(False)
def build_conv(
    depth, *, channels=(8, 16, 32), image=(1, 8, 8), classes=10, norm="batch", skip=False, seed=0
):
    """A convolutional network as He's for CIFAR, from flat images (batch, pixels) to class scores.

    depth: 8, 14, 20, … 2000: one convolution, then (depth - 2) / 6 pairs of them for each entry of
    `channels`, then a Linear: with three entries, `depth` layers in all. All are 3x3. At each new
    number of channels, the image's height and width are halved. image: channels, height and width.
    Every convolution is followed by norm, "batch" or "none", and a ReLU. With `skip` each pair
    stands in a Residual: relu(shortcut(x) + conv-norm-relu-conv-norm(x)). Weights are He's. There
    is no stack here, and the layers are torch.nn's. Raises ValueError on a bad argument.
    He et al. 2015, "Deep Residual Learning", section 4.2. Lessons 01, 07 and 08.
    """
    depth = integer("depth", depth, 8, 2000)
    require(depth % 6 == 2, "depth", "6n + 2, such as 8, 14, 20 or 56", depth)
    channels, image = sizes("channels", channels, 4096), sizes("image", image, 4096)
    require(len(channels) > 0, "channels", "a tuple of at least one integer", channels)
    require(len(image) == 3, "image", "three integers: channels, height and width", image)
    few_enough("depth and channels", 3 * (depth - 2) * sum(size**2 for size in channels))
    norm, skip = choice("norm", norm, ("none", "batch")), choice("skip", skip, (False, True))
    classes = integer("classes", classes, 1, MOST)
    generator = torch.Generator().manual_seed(one_seed(seed))

    def conv(before, after, stride=1):
        plan = before, after, 3, stride, 1  # 3x3, and a border of 1
        layer = nn.utils.skip_init(nn.Conv2d, *plan, bias=norm == "none", **FLOAT32)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return [layer] if norm == "none" else [layer, nn.BatchNorm2d(after, **FLOAT32)]

    width = channels[0]
    layers = [nn.Unflatten(1, image), *conv(image[0], width), nn.ReLU()]
    for after in channels:
        for _ in range((depth - 2) // 6):
            stride = 1 if after == width else 2
            pair = [*conv(width, after, stride), nn.ReLU(), *conv(after, after)]
            if skip:
                shortcut = Shortcut(after - width, stride) if stride > 1 else None
                pair = [Residual(pair, shortcut=shortcut)]
            layers += [*pair, nn.ReLU()]
            width = after
    head = Linear(width, classes, generator=generator)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def cross_entropy(scores, y):
    """Mean cross-entropy, in nats, of scores (*stack, batch, classes) for each network: (*stack,).

    y: class numbers, int64, (batch,) or (*stack, batch). Raises ValueError if not. Lesson 07.
    """
    fine = isinstance(scores, torch.Tensor) and scores.dim() > 1 and scores.is_floating_point()
    fine = fine and scores.numel() > 0
    require(fine, "scores", "a floating-point tensor of shape (*stack, batch, classes)", scores)
    rows, (batch, classes) = scores.shape[:-1], scores.shape[-2:]
    fine = isinstance(y, torch.Tensor) and y.dtype == torch.int64 and y.shape in ((batch,), rows)
    require(fine, "y", f"an int64 tensor of shape ({batch},)", y)
    require(y.device == scores.device, "y", f"on {scores.device}, as scores are", str(y.device))
    # Without this, torch would leave out the examples of class -100, and say nothing.
    class_numbers("y", y, classes)
    flat = scores.flatten(0, -2), y.expand(rows).flatten()
    return nn.functional.cross_entropy(*flat, reduction="none").view(rows).mean(-1)


def _draws(generator, size):
    """Standard normal draws (*stack, fan_in, fan_out), or (fan_in, fan_out) if they serve all."""
    generators = generator if isinstance(generator, list) else [generator]
    networks = math.prod(size[:-2])
    fine = all(isinstance(each, torch.Generator) for each in generators)
    fine = fine and len(generators) in (1, networks)
    require(fine, "generator", f"a torch.Generator, or a list of {networks}", generator)
    draws = [torch.randn(size[-2:], generator=each, **FLOAT32) for each in generators]
    return draws[0] if len(draws) == 1 else torch.stack(draws).reshape(size)


def _shown(stack):
    """The stack in a layer's `extra_repr`: nothing for a single network."""
    return f", stack={tuple(stack)}" if stack else ""


def _check_x(x, width, stack, dtype):
    """ValueError unless x is (batch, width) or (*stack, batch, width), of the weights' dtype.

    Under torch.autocast the dtypes may differ, since torch casts the factors of each product. It
    does not cast float64.
    """
    if not isinstance(x, torch.Tensor):
        require(False, "x", f"a tensor of {dtype}, as the weights are", x)
    castable = x.is_floating_point() and torch.float64 not in (x.dtype, dtype)
    if x.dtype != dtype and not (castable and torch.is_autocast_enabled(x.device.type)):
        raise ValueError(f"x must be a tensor of {dtype}, as the weights are, got {x.dtype}")
    if x.dim() < 2 or x.shape[-1] != width or x.shape[:-2] not in ((), stack):
        shapes = f"(batch, {width})"
        shapes += f" or ({', '.join(map(str, stack))}, batch, {width})" if stack else ""
        raise ValueError(f"x must be a tensor of shape {shapes}, got {tuple(x.shape)}")


def _check_arrays(x, **others):
    """ValueError unless x is an array (*stack, batch, width), and each other one, of the same
    kind, NumPy's or torch's, is (*stack, width)."""
    kind = torch.Tensor if isinstance(x, torch.Tensor) else np.ndarray
    for name, array in {"x": x, **others}.items():
        fine = isinstance(array, np.ndarray) and array.dtype.kind in "iuf"
        fine = fine or (isinstance(array, torch.Tensor) and array.is_floating_point())
        if name == "x":
            fine, shape = fine and array.ndim >= 2, "(*stack, batch, width)"
        else:
            shape = (*x.shape[:-2], x.shape[-1])
            fine = fine and array.shape == shape and isinstance(array, kind)
        require(fine, name, f"an array of numbers of shape {shape}", array)
