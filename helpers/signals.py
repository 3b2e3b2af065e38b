"""What happens to the signal, and to its gradient, layer by layer."""

import copy
import math
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.parameter import is_lazy

from .arguments import choice, require
from .networks import ACTIVATIONS, HALF, Residual, cross_entropy

DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}
INDEXES = (torch.int32, torch.int64)  # what an nn.Embedding takes
BINS, SAMPLE = 60, 2**13  # bins of a layer's histogram, and values that go into it, about
STEPS = np.linspace(0, 1, BINS + 1)
FLAT = 0.05  # tanh and sigmoid are saturated where the slope is below this share of the steepest
KINDS = tuple(ACTIVATIONS.values())
SLOPE = {  # as a share of the steepest, from the output
    nn.Tanh: lambda a: 1 - a**2,
    nn.Sigmoid: lambda a: 4 * a * (1 - a),
}

# On Linux, freed memory goes back to the system, and is fetched again for the next layer. After one
# large block was freed, malloc retains more of it. This saves a quarter of a profile's time.
torch.empty(2**22, dtype=torch.float32, device="cpu")


@dataclass(frozen=True, repr=False, eq=False)
class Profile:
    """A forward pass, and with labels a backward pass, as NumPy arrays with a row for each layer.

    Every array has shape (depth, *stack), plus a last dimension where one is named. A
    pre-activation z goes into a layer's activation function, its output a comes out. Statistics are
    over the batch and the units together. The stream of a residual network is the sum that runs
    past its layers: what a layer finds there, before norm and activation. Without skips there is
    none, and z, which is behind the norm, stands for it, as in layer 1 of an order "post".

    mean, std: of the output a. NaN or infinite where the layer is: nothing is left out.
    pre_mean, pre_std: of the pre-activation z. stream_std: of the stream.
    counts (…, 60), edges (…, 61): histogram of the finite values of z.
    dead: share of the units whose output is 0 on the whole batch (ReLU; otherwise 0).
    saturated: share of the outputs where the slope is under 5 % of the steepest (tanh, sigmoid).
    nonfinite: share of the values of z that are NaN or infinite.
    gradient: norm of the gradient of the mean cross-entropy at the stream. None without labels, NaN
    where there is no way from there to the loss.

    With over 8192 values in a layer, counts takes every k-th example, and counts it k times (of a
    layer that overflows, every k-th finite value).
    """

    mean: np.ndarray
    std: np.ndarray
    pre_mean: np.ndarray
    pre_std: np.ndarray
    stream_std: np.ndarray
    counts: np.ndarray
    edges: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray
    nonfinite: np.ndarray
    gradient: np.ndarray | None = None

    @property
    def depth(self):
        """The number of hidden layers."""
        return len(self.mean)

    @property
    def layers(self):
        """The layers' numbers, 1 to depth: what a figure has on its horizontal axis."""
        return np.arange(1, self.depth + 1)

    def __repr__(self):
        """Five of the layers as a table; of a stack, the medians of its networks."""
        chosen = np.unique(np.linspace(0, self.depth - 1, 5).round().astype(int))
        networks = f", medians of {self.mean[0].size} networks" if self.mean.ndim > 1 else ""
        lines = [f"Profile of {self.depth} layers{networks}"]
        lines.append(f"{'layer':16}" + "".join(f"{layer:10}" for layer in self.layers[chosen]))
        for name in "std", "pre_std", "dead", "saturated", "nonfinite", "gradient":
            if (values := getattr(self, name)) is not None:
                values = np.median(values.reshape(self.depth, -1)[chosen], axis=1)
                lines.append(f"{name:16}" + "".join(f"{value:10.3g}" for value in values))
        return "\n".join(lines)


def activations(net: nn.Sequential, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The pre-activation z and the output a of every hidden layer, as a list of pairs (z, a).

    A hidden layer ends with its activation function: nn.ReLU, nn.Tanh, nn.Sigmoid or nn.Identity.
    Here, every nn.Identity ends one.
    net: an nn.Sequential, such as `build` makes. x: (batch, inputs) or (*stack, batch, inputs).
    z, a: (*stack, batch, width), without gradients. The mode, train or eval, is the network's, and
    the network stays as it is. Raises ValueError on another module; `profile` reads more of them.
    Lessons 01, 02, 03, 05, 07 and 09.
    """
    require(isinstance(net, nn.Sequential), "net", "an nn.Sequential, such as build makes", net)
    _check_batch(x, None, net.parameters(), any_dtype=False)
    pairs = []

    def run(layers, x):
        for layer in layers:
            if type(layer).forward is Residual.forward:  # the same, with a look into the branch
                x = layer.add(x, run(layer.branch, x))
            elif type(layer).forward is nn.Sequential.forward:
                x = run(layer, x)
            elif isinstance(layer, KINDS):
                z = x
                x = layer(z.clone())  # a clone, since an activation may work in place
                pairs.append((z, x))
            else:
                fine = not any(layer.children()) and not _is_other_activation(layer)
                allowed = f"made of layers, Residuals and activations of {', '.join(ACTIVATIONS)}"
                require(fine, "net", allowed, layer)
                x = layer(x)
        return x

    with torch.no_grad():
        run([copy.deepcopy(net)], x)  # running averages move in the copy
    return pairs


def similarity(a: torch.Tensor) -> np.ndarray:
    """How alike a layer's outputs for different images are: the mean correlation of two of them.

    a: (*stack, batch, width). Returns numbers of shape `stack`. 1: the layer says the same of all
    images, the network is stuck. 0: they are unrelated. The correlation is over the
    units. An image whose outputs are all equal, to a millionth of their mean, is left out. NaN if
    fewer than two others are there.
    Why not the mean cosine? Outputs of ReLU and sigmoid are positive: that alone makes it 0.3 and
    0.9. Why not the share of the variance that all images have in common? In a deep ReLU network
    images differ in length only, but that share stays at 0.9. Raises ValueError on another a.
    Poole et al. 2016, "Exponential Expressivity in Deep Neural Networks". Lesson 09, by its panels;
    lesson 02 writes it in plain lines.
    """
    fine = isinstance(a, torch.Tensor) and a.dim() > 1 and a.is_floating_point() and not a.is_meta
    require(fine, "a", "a floating-point tensor of shape (*stack, batch, width)", a)
    a = a.detach().cpu().double()
    largest = a.abs().amax(-1, keepdim=True)
    a = a / torch.where(largest > 0, largest, 1.0)  # or squares could overflow
    mean = a.mean(-1, keepdim=True)
    away = a - mean
    length = away.norm(dim=-1)
    equal = length <= 1e-6 * a.shape[-1] ** 0.5 * mean[..., 0].abs()
    # The sum of the directions has the squared length `images`, and twice each pair's correlation.
    total = torch.where(equal, 0.0, 1 / length)[..., None, :] @ away
    images = (~equal).sum(-1)
    pairs = images * (images - 1)
    found = (total.square().sum((-2, -1)) - images) / pairs
    return torch.where(pairs > 0, found, torch.nan).numpy()[()]


def profile(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, dtype=None
) -> Profile:
    """The Profile of `net` on the batch `x`, with its gradients if the class numbers `y` are given.

    net: what `build` makes, or any module whose activations are nn.ReLU, nn.Tanh, nn.Sigmoid or
    nn.Identity, in the order in which they run. (An nn.Identity is one if it stands between weights
    and no other activation does.) Of a compiled network, the original is described.
    x: (batch, inputs) or (*stack, batch, inputs). y: int64 (batch,).
    dtype: "float16", "bfloat16", "float32" or "float64" computes the pass in it, so that an
    overflow can be met for real. None takes x and the network as they are, under the caller's
    torch.autocast, if it is on.
    It runs on the CPU, in the mode, train or eval, of the network, which stays as it is, running
    averages included. Raises ValueError on a bad argument, and on a network that it cannot read.
    Lessons 02, 03, 05, 06 and 07.
    """
    cast = None if dtype is None else DTYPES[choice("dtype", dtype, DTYPES)]
    require(isinstance(net, nn.Module), "net", "a torch.nn.Module", net)
    parts, parameters = dict(net.named_modules()), dict(net.named_parameters())
    _check_parts(parts, parameters.values())
    embeds = any(isinstance(part, nn.Embedding) for part in parts.values())
    _check_batch(x, y, parameters.values(), any_dtype=cast or embeds)
    compiled = any(p._compiled_call_impl or "_orig_mod" in p._modules for p in parts.values())
    labels = y is not None
    watch = _Watch()
    with (
        torch.inference_mode(not labels),
        torch.autocast("cpu", enabled=False) if cast else nullcontext(),
        torch.compiler.set_stance("force_eager") if compiled else nullcontext(),
        np.errstate(all="ignore"),  # an overflow is shown, not warned of
    ):
        copies = _copies(dict(net.named_buffers()), parameters, cast, labels)
        x = x.detach().to(device="cpu", dtype=None if embeds and x.dtype in INDEXES else cast)
        if labels and x.is_floating_point():  # every layer has a gradient then, whatever is frozen
            x = (x.clone() if x.is_inference() else x).requires_grad_()
        with watch.over(parts):
            scores = torch.func.functional_call(net, copies, (x,)) if copies else net(x)
        columns = watch.columns(scores)
        gradient = watch.gradients(scores, y.cpu()) if labels else None
        return Profile(**columns, gradient=gradient)


def _check_parts(parts, parameters):
    """Raises ValueError unless a network has values, and activations that a Profile describes."""
    if any(is_lazy(value) or value.is_meta for value in parameters):
        raise ValueError("net must have values in all its weights, got a lazy one or a meta tensor")
    known = ", ".join(ACTIVATIONS)
    if not any(_kind(part) for part in parts.values()):
        name = type(parts[""]).__name__
        raise ValueError(f"net must have at least one activation of {known}, got {name}")
    for part in parts.values():
        kind = _kind(part)
        changed = kind and type(part).forward is not kind.forward
        if changed or _is_other_activation(part):
            got = type(part).__name__ + (", which computes something else" if changed else "")
            raise ValueError(f"net must have activations of {known} only, got {got}")


def _is_other_activation(part):
    """Whether a module is an activation of torch.nn that is none of ACTIVATIONS, such as GELU."""
    allowed = *KINDS, nn.Softmax, nn.LogSoftmax, nn.MultiheadAttention  # these make scores
    bases = {base.__module__ for base in type(part).__mro__}
    return nn.ReLU.__module__ in bases and not isinstance(part, allowed)


def _check_batch(x, y, parameters, any_dtype):
    """Raises ValueError unless x and y are a batch for such parameters, and its class numbers."""
    fine = isinstance(x, torch.Tensor) and x.dim() > 1 and 0 not in x.shape and not x.is_meta
    require(fine, "x", "a tensor of shape (batch, inputs)", x)
    fine = isinstance(y, torch.Tensor) and y.dtype == torch.int64 and y.shape == x.shape[-2:-1]
    fine = fine and not y.is_meta
    require(y is None or fine, "y", f"an int64 tensor of shape ({x.shape[-2]},)", y)
    kinds = {value.dtype for value in parameters if value.is_floating_point()}
    any_dtype = any_dtype or torch.is_autocast_enabled("cpu")
    if not any_dtype and len(kinds) == 1 and x.dtype not in kinds:
        raise ValueError(f"x must be a tensor of {kinds.pop()}, as the weights are, got {x.dtype}")


def _copies(buffers, parameters, cast, labels):
    """Copies of the buffers, since running averages move, and of parameters to be cast."""
    copies = {}
    for name, value in [*buffers.items(), *parameters.items()]:
        dtype = cast if cast and value.is_floating_point() else value.dtype
        usable = value.dtype == dtype and value.device.type == "cpu"
        if name in buffers or not usable or (labels and value.is_inference()):
            copies[name] = value.detach().clone().to(device="cpu", dtype=dtype)
            copies[name].requires_grad_(labels and value.requires_grad)
    return copies


class _Seen(NamedTuple):
    """What a pass shows at one activation."""

    records: list  # one for each network
    shape: torch.Size  # of z
    edge: object  # where autograd's graph holds the stream, or z, if there is none


class _Watch:
    """What a pass shows, in the order in which it runs: a _Seen for each activation."""

    def __init__(self):
        self.seen = []
        self.stream, self.blocks = None, 0  # where the pass stands in a residual network
        self.weighted = False  # whether a weight has run since the last activation
        self.open = False  # whether the last one is an nn.Identity: it counts if a weight follows

    @contextmanager
    def over(self, parts):
        """Looks at a network's modules, by name, while the block runs; then the hooks are gone."""
        # A hook takes time. Weights matter to streams and to nn.Identity only.
        others = any(isinstance(part, (nn.Identity, Residual)) for part in parts.values())
        with ExitStack() as undo:
            for name, part in parts.items():
                if isinstance(part, Residual):
                    undo.enter_context(part.register_forward_pre_hook(self.block_begins))
                    undo.enter_context(part.register_forward_hook(self.block_ends))
                elif _kind(part):
                    undo.enter_context(part.register_forward_hook(self.activation_ran))
                    if getattr(part, "inplace", False):
                        undo.callback(setattr, part, "inplace", True)
                        part.inplace = False  # or its input would be gone when it is looked at
                elif others and _is_layer(name, part):
                    undo.enter_context(part.register_forward_hook(self.layer_ran))
            yield

    def block_begins(self, block, inputs):
        self.blocks, self.stream = self.blocks + 1, inputs[0]

    def block_ends(self, block, inputs, output):
        self.blocks, self.stream = self.blocks - 1, output

    def layer_ran(self, layer, inputs, output):
        self.weighted, self.open = True, False
        if not self.blocks:
            self.stream = None

    def activation_ran(self, activation, inputs, a):
        z, kind = inputs[0], _kind(activation)
        if kind is nn.Identity and not self.weighted:
            return
        if self.open:
            self.seen.pop()
        self.open = self.weighted = kind is nn.Identity
        fine = self.stream is None or self.stream.dim() >= z.dim()
        require(fine, "net", "a network whose stack begins before its first Residual", activation)
        signals = [signal.detach() for signal in (z, a, self.stream) if signal is not None]
        networks = zip(*(signal.flatten(0, -3) for signal in signals)) if z.dim() > 2 else [signals]
        records = [_record(kind, *network) for network in networks]
        stream = z if self.stream is None else self.stream  # which may later change in place
        edge = get_gradient_edge(stream) if stream.requires_grad else None
        self.seen.append(_Seen(records, z.shape, edge))

    def columns(self, scores):
        """The records as a Profile's arrays, if the pass was that of fully connected networks."""
        fine = isinstance(scores, torch.Tensor) and scores.dim() > 1
        require(fine, "net", "a network that returns scores (*stack, batch, classes)", scores)
        if self.open:
            self.seen.pop()
        if not self.seen:
            raise ValueError("net must be a network whose activations run, got one where none does")
        for each in self.seen:
            if each.shape[:-1] != scores.shape[:-1]:
                got = f"an activation of shape {tuple(each.shape)}"
                raise ValueError(f"net must be fully connected, got {got}")
        records = [record for each in self.seen for record in each.records]
        stack = scores.shape[:-2]
        columns = {name: np.array([record[name] for record in records]) for name in records[0]}
        return {name: each.reshape(-1, *stack, *each.shape[1:]) for name, each in columns.items()}

    def gradients(self, scores, y):
        """The norm of the gradient at each stream, for each network; NaN where there is none."""
        stack = scores.shape[:-2]
        loss = cross_entropy(scores.float() if scores.dtype in HALF else scores, y).sum()
        norms, found = np.full((len(self.seen), *stack), np.nan), {}
        asked = [each.edge for each in self.seen if each.edge]
        if asked and loss.requires_grad:
            found = dict(zip(asked, torch.autograd.grad(loss, asked, allow_unused=True)))
        for k, each in enumerate(self.seen):
            if (gradient := found.get(each.edge)) is not None:
                flat = gradient.double().flatten(len(stack))
                norms[k] = torch.linalg.vector_norm(flat, dim=-1).numpy()
        return norms


def _kind(part):
    """The one of the four activations that a module is; None if it is none."""
    return next((kind for kind in KINDS if isinstance(part, kind)), None)


def _is_layer(name, part):
    """Whether a module has a weight matrix, and stands in no shortcut, which is no layer."""
    weight = part._parameters.get("weight")
    has_weight = weight is not None and weight.dim() > 1 and not any(part.children())
    return has_weight and "shortcut" not in name.split(".")


def _record(kind, z, a, stream=None):
    """What a Profile says of a layer of one network; z, a, stream: (batch, width).

    A profile is to cost little more than the forward pass: see tests/benchmark.py. So there are few
    passes over all values, a sample of z has to do for its histogram, and NumPy does what is small,
    where a call to torch costs more than its work.
    """
    z = z.float() if z.dtype in HALF else z
    a = a.float() if a.dtype in HALF else a
    low, high = map(float, torch.aminmax(z))  # NaN if there is one
    sums = a.sum(0).numpy()  # of a ReLU's unit it is 0 if the unit is dead
    mean, std = _moments(a, sums.sum())
    record = {"mean": mean, "std": std, "saturated": 0.0}
    record["dead"] = np.count_nonzero(sums == 0) / sums.size if kind is nn.ReLU else 0.0
    if kind in SLOPE:
        record["saturated"] = float((SLOPE[kind](a) < FLAT).double().mean())
    k = math.ceil(z.numel() / SAMPLE)
    if math.isfinite(low) and math.isfinite(high):
        sample, record["nonfinite"] = z[::k].numpy().ravel(), 0.0
        record["pre_mean"], record["pre_std"] = _moments(z, z.sum())
    else:
        finite = z[torch.isfinite(z)].double().numpy()
        sample, record["nonfinite"] = finite[::k], 1 - len(finite) / z.numel()
        record["pre_mean"] = record["pre_std"] = np.nan
        low, high = (finite.min(), finite.max()) if len(finite) else (np.nan, np.nan)
    record["stream_std"] = record["pre_std"]
    if stream is not None:
        stream = stream.to(z.dtype)
        record["stream_std"] = _moments(stream, stream.sum())[1]
    if high - low <= max(1e-300, 1e-12 * max(-low, high)):  # all alike: as np.histogram does it
        around = max(0.5, 1e-3 * abs(low))
        low, high = low - around, high + around
    record["counts"] = k * _histogram(sample, low, high)
    record["edges"] = low + (high - low) * STEPS
    return record


def _moments(values, total):
    """Mean and standard deviation of values whose sum is `total`."""
    count, flat = values.numel(), values.numpy().ravel()
    mean, square = float(total) / count, float(np.dot(flat, flat)) / count
    variance = square - mean * mean
    if 1e-24 < square < 1e24 and variance > 0.01 * square:
        return mean, variance**0.5
    # Squares near the ends of float32's range, or a mean so large that the difference would cancel.
    values = np.asarray(values, np.float64)
    unit = float(abs(values).max()) or 1.0
    return float((values / unit).mean()) * unit, float((values / unit).std()) * unit


def _histogram(z, low, high):
    """np.histogram's counts of z from low to high, up to values that lie on an edge."""
    if len(z) == 0:
        return np.zeros(BINS, int)
    scale = BINS * (1 - 1e-5) / (high - low)  # the greatest value belongs to the last bin
    if abs(low * scale) >= 1000 or scale >= 1e30:  # too fine for float32
        return np.histogram(z.astype(np.float64), BINS, (low, high))[0]
    places = z * z.dtype.type(scale) - z.dtype.type(low * scale)
    return np.bincount(places.astype(np.uint8), minlength=BINS)
