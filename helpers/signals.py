"""Floor 2: what happens to the signal, and to its gradient, layer by layer."""

import copy
import math
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .arguments import choice, integer
from .networks import ACTIVATIONS, HALF, Residual, cross_entropy

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
SAMPLE = (
    2**13
)  # values of a layer that go into its histogram and the moments of its pre-activation, about
FLAT = 0.05  # a tanh or sigmoid is called saturated where its slope is below this share of its steepest

# glibc gives the top of its heap back to the system whenever a layer's matrices are freed, and fetches it again page by page
# for the next layer. Once a large block was freed it keeps more: a quarter of a profile's time.
torch.empty(2**22)


@dataclass(frozen=True)
class Profile:
    """One forward pass (and one backward pass, if labels were given), as NumPy arrays with one row a hidden layer.

    Every array has shape (depth, *stack), plus a last dimension where one is named. A pre-activation z is what goes into
    a layer's activation function, its output a is what comes out; statistics are over the batch and the units together.
    The stream of a residual network is the sum that runs past its layers: what a layer finds there, before norm and activation.
    Without skips there is none, and z, which is behind the norm, stands for it; so it does in layer 1 of an order "post".

    mean, std, min, max: of the output a. NaN or infinite where the layer is: nothing is left out.
    pre_mean, pre_std: of the pre-activation z.
    stream_std: of the stream.
    counts (…, bins), edges (…, bins + 1): histogram of the finite values of z, from their least to their greatest.
        Of a large batch (over 8192 values in a layer) pre_mean, pre_std and stream_std are those of every k-th example, and counts
        counts it k times (where a layer overflows, every k-th finite value).
    dead: share of the units whose output is 0 on the whole batch (ReLU; otherwise 0).
    saturated: share of the outputs where the slope is under 5 % of the steepest (tanh, sigmoid; otherwise 0).
    nonfinite: share of the values of z that are NaN or infinite.
    gradient: norm of the gradient of the mean cross-entropy with respect to the stream; None without labels.
    weight_gradient: the same with respect to the weight that makes z; None without labels.
    """

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray
    pre_mean: np.ndarray
    pre_std: np.ndarray
    stream_std: np.ndarray
    counts: np.ndarray
    edges: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray
    nonfinite: np.ndarray
    gradient: np.ndarray | None = None
    weight_gradient: np.ndarray | None = None

    @property
    def depth(self):
        """How many hidden layers were seen."""
        return len(self.mean)

    @property
    def layers(self):
        """The layers' numbers, 1 to depth: what a figure has on its horizontal axis."""
        return np.arange(1, self.depth + 1)


def profile(net, x, y=None, bins=60, *, dtype=None):
    """The Profile of `net` on the batch `x`, and of its gradient if the class numbers `y` are given.

    net: what `build` makes, or any module whose activations are nn.ReLU, nn.Tanh, nn.Sigmoid or nn.Identity.
    x: (batch, inputs) or (*stack, batch, inputs). y: int64 (batch,). bins: 2 to 127.
    dtype: "float16", "bfloat16", "float32" or "float64": the pass is computed in it, so that an overflow can be met for
    real; None takes x and the network as they are. Works in the mode, train or eval, that the network is in.
    The network is unchanged afterwards, running averages included, and carries no hook.
    Raises ValueError on a bad argument.
    """
    integer("bins", bins, 2, 127)
    if not isinstance(net, nn.Module):
        raise ValueError(f"net must be a torch.nn.Module, got {type(net).__name__}")
    if not isinstance(x, torch.Tensor) or x.dim() < 2 or 0 in x.shape:
        given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"x must be a tensor of shape (batch, inputs), got {given}")
    if y is not None and not (
        isinstance(y, torch.Tensor) and y.dtype == torch.int64 and y.shape == x.shape[-2:-1]
    ):
        given = (
            f"{y.dtype} of shape {tuple(y.shape)}"
            if isinstance(y, torch.Tensor)
            else type(y).__name__
        )
        raise ValueError(f"y must be an int64 tensor of shape ({x.shape[-2]},), got {given}")
    cast = None if dtype is None else DTYPES[choice("dtype", dtype, tuple(DTYPES))]
    if any(value.dtype != (cast or value.dtype) for value in net.parameters()):
        net = copy.deepcopy(net).to(cast)  # a cast rounds the weights: the caller's stay
    rows, kept, shapes = [], [], []

    def see(activation, *signals):
        shapes.append(signals[0].shape)
        if y is not None:
            kept.append(signals[-1] if len(signals) == 3 else signals[0])
        signals = [signal.detach() for signal in signals]
        for one in (
            [signals]
            if signals[0].dim() == 2
            else zip(*(signal.flatten(0, -3) for signal in signals))
        ):
            rows.append(_row(activation, bins, *one))

    grad = torch.inference_mode() if y is None else torch.enable_grad()
    copies = {
        name: value.clone() for name, value in net.named_buffers()
    }  # running averages and the like move in these
    with (
        grad,
        np.errstate(over="ignore", invalid="ignore"),
        _watched(net, see),
    ):  # an overflow is shown, not warned of
        scores = torch.func.functional_call(net, copies, (x.to(cast),))
    if not rows:
        raise ValueError(
            f"net must have at least one activation of {', '.join(ACTIVATIONS)}, got {type(net).__name__}"
        )
    if odd := [shape for shape in shapes if shape[:-1] != scores.shape[:-1]]:
        raise ValueError(f"net must be fully connected, got an activation of shape {tuple(odd[0])}")
    columns = _columns(rows, bins, scores.shape[:-2])
    if y is not None:
        if not 0 <= int(y.min()) <= int(y.max()) < scores.shape[-1]:
            found = f"{int(y.min())} to {int(y.max())}"
            raise ValueError(
                f"y must be class numbers from 0 to {scores.shape[-1] - 1}, got {found}"
            )
        columns |= _gradients(scores, y, kept, net)
    return Profile(**columns)


@contextmanager
def _watched(net, see):
    """Calls see(activation, z, a) as each activation runs, see(activation, z, a, stream) where there is a stream; the hooks are
    gone when the block ends."""
    stream = deque(maxlen=1)  # where the pass stands
    activations = [
        module for module in net.modules() if isinstance(module, tuple(ACTIVATIONS.values()))
    ]
    hooks = [
        one.register_forward_hook(
            lambda layer, inputs, output: see(layer, inputs[0], output, *stream)
        )
        for one in activations
    ]
    for block in (module for module in net.modules() if isinstance(module, Residual)):
        hooks.append(block.register_forward_pre_hook(lambda _, inputs: stream.append(inputs[0])))
        hooks.append(block.register_forward_hook(lambda _, inputs, output: stream.append(output)))
    in_place = [activation for activation in activations if getattr(activation, "inplace", False)]
    try:
        for activation in in_place:
            activation.inplace = False  # or its input would be gone when it is to be looked at
        yield
    finally:
        for activation in in_place:
            activation.inplace = True
        for hook in hooks:
            hook.remove()


def _row(activation, bins, z, a, stream=None):
    """The numbers of one layer of one network; z, a, stream: (batch, width).

    A profile is to cost little more than the forward pass itself: see tests/benchmark.py. So there are few passes over all
    values, a sample of z has to do for its histogram and moments, NumPy does what is small, where a call to torch costs more
    than its work, and what can wait is left to `_columns`.
    """
    if z.dtype in HALF:
        z, a = z.float(), a.float()
    low, high = map(float, torch.aminmax(z))  # they hand on a NaN
    sums = a.sum(0).numpy()  # of a ReLU's unit it is 0 if the unit is dead
    mean, std = _moments(a, float(sums.sum()), float(torch.linalg.vector_norm(a)))
    row = {
        "activation": type(activation),
        "extremes": (low, high),
        "sums": sums,
        "mean": mean,
        "std": std,
    }
    row["saturated"] = _saturated(activation, a)
    k = math.ceil(z.numel() / SAMPLE)
    if stream is not None:
        row["stream_std"] = _sample_moments(stream[::k].to(z.dtype).numpy().ravel())[1]
    if math.isfinite(low) and math.isfinite(high):
        sample = z[::k].numpy().ravel()
        row["nonfinite"] = 0.0
        row["pre_mean"], row["pre_std"] = _sample_moments(sample)
    else:
        finite = z[torch.isfinite(z)].double().numpy()
        row |= {"nonfinite": 1 - len(finite) / z.numel(), "pre_mean": np.nan, "pre_std": np.nan}
        if len(finite) == 0:
            return row | {"counts": np.zeros(bins, int), "low": np.nan, "high": np.nan}
        sample, low, high = finite[::k], float(finite.min()), float(finite.max())
    if not high - low > max(
        1e-300, 1e-12 * max(-low, high)
    ):  # all values alike: edges about them, as np.histogram does
        around = max(0.5, 1e-3 * abs(low))
        low, high = low - around, high + around
    return row | {"counts": k * _histogram(sample, low, high, bins), "low": low, "high": high}


def _columns(rows, bins, stack):
    """The rows of all layers and networks as a Profile's arrays."""
    kinds = [row.pop("activation") for row in rows]
    ends = torch.tensor([row.pop("extremes") for row in rows], dtype=torch.float64)
    mapped = {
        kind: kind().forward(ends).tolist() for kind in set(kinds)
    }  # each is monotone, so extremes stay extremes
    for k, (row, kind) in enumerate(zip(rows, kinds)):
        sums = row.pop("sums")
        row["min"], row["max"] = mapped[kind][k]
        row["dead"] = np.count_nonzero(sums == 0) / len(sums) if kind is nn.ReLU else 0.0
        row.setdefault("stream_std", row["pre_std"])
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    with np.errstate(over="ignore", invalid="ignore"):
        columns["edges"] = np.linspace(columns.pop("low"), columns.pop("high"), bins + 1, axis=-1)
    return {name: column.reshape(-1, *stack, *column.shape[1:]) for name, column in columns.items()}


def _moments(v, total, norm):
    """Mean and standard deviation of the values of v, from their sum and their norm (NaN if a value is not finite)."""
    count = math.prod(v.shape)
    mean, square = total / count, norm * norm / count
    variance = square - mean * mean
    if 1e-24 < square < 1e24 and variance > 0.01 * square:
        return mean, variance**0.5
    # Squares near the ends of float32's range, or a mean so large that the difference would cancel: slowly, then.
    v = np.asarray(v, np.float64)
    unit = float(abs(v).max()) or 1.0
    return float((v / unit).mean()) * unit, float((v / unit).std()) * unit


def _sample_moments(sample):
    """Mean and standard deviation of a NumPy array with one axis."""
    return _moments(sample, float(sample.sum()), float(np.dot(sample, sample)) ** 0.5)


def _histogram(z, low, high, bins):
    """np.histogram's counts of z in `bins` bins from low to high, up to values that lie on an edge."""
    scale = bins * (1 - 1e-5) / (high - low)  # the greatest value belongs to the last bin
    if not abs(low * scale) < min(1000, 20 * bins) or not scale < 1e30:  # bins too fine for float32
        return np.histogram(z.astype(np.float64), bins, (low, high))[0]
    return np.bincount(
        (z * z.dtype.type(scale) - z.dtype.type(low * scale)).astype(np.uint8), minlength=bins
    )


def _saturated(activation, a):
    """Share of the outputs where the slope of tanh (1 - a²) or sigmoid (a - a²) is below FLAT times its steepest."""
    if isinstance(activation, nn.Tanh):
        return float((1 - a**2 < FLAT).double().mean())
    if isinstance(activation, nn.Sigmoid):
        return float((4 * a * (1 - a) < FLAT).double().mean())
    return 0.0


@torch.enable_grad()
def _gradients(scores, y, kept, net):
    """Norms of the gradient at what each layer works on and at its weight, per network of a stack."""
    loss = cross_entropy(scores.float() if scores.dtype in HALF else scores, y).sum()
    weights = [
        value
        for name, value in net.named_parameters()
        if name.endswith("weight") and value.dim() >= 2
    ]
    gradients = torch.autograd.grad(loss, [*kept, *weights[: len(kept)]])
    norms = torch.stack(
        [torch.linalg.vector_norm(g.double(), dim=(-2, -1)) for g in gradients]
    ).numpy()
    return {"gradient": norms[: len(kept)], "weight_gradient": norms[len(kept) :]}
