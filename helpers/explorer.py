"""Floor 5: the explorers: what follows the sliders in each lesson."""

from functools import partial

import numpy as np
import torch

from .arguments import choice, integer
from .datasets import digits, recorded
from .figures import Curves, Lines, Map, Spread, Surface, Values, new_figure
from .networks import BatchNorm, LayerNorm, Linear, batch_norm, build
from .signals import DTYPES, profile
from .sliders import CRITICAL, EXAMPLES, SLIDERS, Sliders, button, table, two_panels
from .training import fit

UNIT_GAIN = CRITICAL | {
    "sigmoid": 4.0
}  # keeps a gradient's size where the activation is steepest (a ReLU: where half of its units pass)
SHARE = {
    "ylabel": "gradient, as a share of the last",
    "quantity": "gradient",
    "first": 0,
    "backward": True,
}
MATRICES = ("random", "symmetric", "orthogonal")


class Explorer(Sliders):
    """Sliders for a network at initialization, and what its signal does, layer by layer.

    The signal is 256 digits. seed: of the weights. The other arguments are the settings at the start, which *reset* brings back: depth 1 to 200, gain 0 to 4, width 1 to 256, activation and dtype by name. Those that
    have a control only where they are given: norm by name, batch, the examples that are normalized together, 2 to 256,
    gamma, 0 to 3, and beta, -3 to 3, of every norm in the network; skip, branch_scale, 0 to 1, and order, as in `build`.
    backward: the panels show the way there and the way back, the signal that the layers work on (the stream of `Profile`) and
    the gradient of the loss, of the digits only; False shows the outputs and the pre-activations.
    Raises ValueError on a setting that is not allowed.
    """

    def __init__(
        self,
        *,
        backward=False,
        seed=1,
        depth=50,
        gain=1.0,
        width=100,
        activation="relu",
        dtype="float32",
        norm=None,
        batch=None,
        gamma=None,
        beta=None,
        skip=None,
        branch_scale=None,
        order=None,
    ):
        data = digits(0)
        self.x = data.x[:EXAMPLES]
        self.y = data.y[:EXAMPLES] if choice("backward", backward, (False, True)) else None
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        settings = {
            "depth": depth,
            "gain": gain,
            "width": width,
            "activation": activation,
            "dtype": dtype,
        }
        settings |= {"norm": norm, "batch": batch, "gamma": gamma, "beta": beta}
        settings |= {"skip": skip, "branch_scale": branch_scale, "order": order}
        there = partial(
            Curves,
            title="Forward: spread of the signal",
            ylabel="standard deviation",
            quantity="spread",
        )
        back = partial(
            Curves,
            title="Backward: size of the gradient",
            ylabel="norm of the gradient",
            quantity="gradient",
            backward=True,
        )
        super().__init__(
            *(two_panels(there, back, (-0.18, -0.18)) if backward else two_panels(Spread, Values)),
            settings,
        )

    def draw(self, dtype="float32", batch=EXAMPLES, gamma=1.0, beta=0.0, **network):
        seen = self.look(dtype, batch, gamma, beta, **network)
        left, right = self.live.drawings
        name, factor = growth(**network)
        grown = factor ** np.arange(seen.depth, dtype=float)
        limit = f"largest {dtype}", torch.finfo(DTYPES[dtype]).max
        if self.y is None:
            said = (
                left.update(seen, law=name and (name, seen.std[0] * grown), limit=limit),
                right.update(seen),
            )
        else:
            there = left.update(
                seen.stream_std, law=name and (name, seen.stream_std[0] * grown), limit=limit
            )
            said = (
                there,
                right.update(seen.gradient, law=name and (name, seen.gradient[-1] * grown[::-1])),
            )
        return numbers(seen, network["activation"]), " ".join(said)

    def look(self, dtype, batch, gamma, beta, **network):
        """The Profile of the network of these settings."""
        net = build(**network, inputs=self.x.shape[-1], classes=10, seed=self.seed)
        for layer in net.modules():
            if isinstance(layer, (BatchNorm, LayerNorm)):
                layer.gamma.data.fill_(gamma), layer.beta.data.fill_(beta)
        return profile(net, self.x[:batch], None if self.y is None else self.y[:batch], dtype=dtype)


class ProductExplorer(Sliders):
    """A gradient as a product of one factor a layer, without and with "+ x", beside the gradient of a real network of that depth.

    factor: the derivative F′ of each layer's function, -1 to 1.5; without skips it multiplies the gradient, with them F′ + 1 does.
    depth: 1 to 200. A step of the real network is an activation and 128 x 128 weights; their gain is such that a step multiplies
    a gradient's size by |factor| where the activation is steepest (a ReLU: where one half of the units pass). All gradients are
    divided by the last, and computed in float64. Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, factor=0.85, depth=30, activation="relu", seed=1):
        data = digits(0)
        self.x, self.y = data.x[:32].double(), data.y[:32]
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        curves = partial(Curves, labels=("product", "real network"), **SHARE)
        plain = partial(curves, title="Plain, x → F(x): F′ a layer")
        skip = partial(curves, title="With a skip, x → x + F(x): 1 + F′ a layer")
        settings = {"factor": factor, "depth": depth, "activation": activation}
        super().__init__(*two_panels(plain, skip, (-0.18, -0.18)), settings)

    def draw(self, factor, depth, activation):
        left, right = self.live.drawings
        back = np.arange(depth, -1.0, -1)  # how many steps the gradient has come back
        gradients = [self.gradient(skip, factor, depth, activation) for skip in (False, True)]
        least = "smallest float32", 2.0**-149
        said = "Plain: " + left.update(abs(factor) ** back, gradients[0], limit=least)
        law = (
            ("√(1+F′²)", (1 + factor**2) ** (back / 2))
            if activation in ("relu", "linear")
            else None
        )
        said += " With a skip: " + right.update(
            (1 + factor) ** back, gradients[1], law=law, limit=least
        )
        rows = (
            ("product", factor**depth, (1 + factor) ** depth),
            ("real network", *(gradient[0] for gradient in gradients)),
        )
        return table(("at layer 0", "plain", "with skip"), rows, ".2g"), said

    def gradient(self, skip, factor, depth, activation):
        """The real network's gradients after each of the steps 0 to depth, as shares of the last."""
        net = build(
            depth + 1,
            128,
            inputs=64,
            classes=10,
            activation=activation,
            gain=UNIT_GAIN[activation],
            skip=skip,
            seed=self.seed,
        )
        with torch.no_grad():
            for layer in [layer for layer in net.modules() if isinstance(layer, Linear)][
                1:-1
            ]:  # the first only brings 64 to 128
                layer.weight *= factor
        found = profile(net, self.x, self.y, dtype="float64").gradient
        return np.divide(found, found[-1], out=np.zeros_like(found), where=found != 0)


class RecurrentExplorer(Sliders):
    """A gradient on its way back through linear layers: each with a matrix of its own, and, over time, all with the same one.

    gain: 0 to 4, of 64 x 64 weights. steps: 1 to 200. matrix: "random", independent entries; "symmetric", the same, but what
    stands across the diagonal is alike; "orthogonal", which keeps every length but for the gain. In all three the mean square of
    the singular values is about gain². Gradients are divided by the last, and computed in float64. Dashed: gain^steps, and the
    spectral radius (the size of the largest eigenvalue)^steps. Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, gain=1.0, steps=50, matrix="random", seed=1):
        integer("seed", seed, 0, 2**63 - 1)
        self.radius, self.sizes = {}, {}
        for kind in MATRICES:
            generator = torch.Generator().manual_seed(seed)
            weights = [weight_matrix(kind, generator) for _ in range(SLIDERS["steps"][1])]
            self.radius[kind] = float(torch.linalg.eigvals(weights[0]).abs().max())
            start = torch.randn(16, 64, generator=generator, dtype=torch.double)
            self.sizes[kind] = way_back(start, weights), way_back(start, weights[:1] * len(weights))
        own = partial(Curves, title="A new matrix in each step (depth)", unit="step", **SHARE)
        same = partial(Curves, title="The same matrix in each step (time)", unit="step", **SHARE)
        settings = {"gain": gain, "steps": steps, "matrix": matrix}
        super().__init__(*two_panels(own, same, (-0.18, -0.18)), settings, {"matrix": MATRICES})

    def draw(self, gain, steps, matrix):
        back = np.arange(steps, -1.0, -1)  # how many steps the gradient has come back
        radius, gradients = (
            gain * self.radius[matrix],
            [gain**back * sizes[steps::-1] for sizes in self.sizes[matrix]],
        )
        own, same = self.live.drawings
        said = "A new matrix in each step: " + own.update(
            gradients[0], law=("gain a step", gain**back)
        )
        said += " The same matrix: " + same.update(
            gradients[1], law=("spectral radius a step", radius**back)
        )
        rows = (
            ("law, a step", gain, radius),
            ("gradient at step 0", *(gradient[0] for gradient in gradients)),
        )
        return table(("", "new", "same"), rows, ".3g"), said

    def marks(self, matrix, **_):
        """The gain at which the spectral radius is 1."""
        yield "gain", 1 / self.radius[matrix], f"radius 1: {1 / self.radius[matrix]:.2f}"


class AveragesExplorer(Sliders):
    """One unit with batch norm: its running averages as they approach the batches' moments, and its output in both modes.

    The unit is the first of a linear layer on the digits. mode: "train" or "eval"; batches: how many training batches the layer
    has seen, 0 to 100; batch: examples in each, 2 to 256; momentum: 0.01 to 1; seed: of the draw of the batches, with
    replacement. The output is that for the 297 test digits. Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, mode="eval", batches=5, batch=32, momentum=0.1, seed=0):
        data = digits(0)
        layer = build(1, 1, inputs=64, classes=10, gain=2.0, seed=2)[0]
        with torch.no_grad():
            self.z, self.z_test = layer(data.x), layer(data.x_test)
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        settings = {"mode": mode, "batches": batches, "batch": batch, "momentum": momentum}
        left = partial(
            Lines,
            title="Running averages (hollow: each batch's own)",
            xlabel="training batches seen",
            ylabel="value",
            labels=("variance", "mean"),
            dots=True,
            xlim=(0, SLIDERS["batches"][1]),
            ylim=(-4, 8),
        )
        right = partial(
            Lines,
            title="Output for the 297 test digits",
            xlabel="output",
            ylabel="density",
            labels=("chosen mode", "train mode"),
            xlim=(-5, 5),
            ylim=(0, 0.6),
        )
        super().__init__(*two_panels(left, right), settings)

    def draw(self, mode, batches, batch, momentum):
        norm, generator = BatchNorm(1, momentum=momentum), torch.Generator().manual_seed(self.seed)
        running, own = [(1.0, 0.0)], []
        with torch.no_grad():
            for _ in range(batches):
                z = self.z[torch.randint(len(self.z), (batch,), generator=generator)]
                norm(z)
                running.append((norm.running_var.item(), norm.running_mean.item()))
                own.append((z.var().item(), z.mean().item()))
            alone = batch_norm(self.z_test, norm.gamma, norm.beta).numpy()
            output = norm.eval()(self.z_test).numpy() if mode == "eval" else alone
        moments, shown = self.live.drawings
        steps, (variance, mean), (own_variance, own_mean) = (
            np.arange(batches + 1),
            zip(*running),
            zip(*own) if own else ((), ()),
        )
        moments.update(
            (steps, variance),
            (steps, mean),
            dots=((steps[1:], own_variance), (steps[1:], own_mean)),
        )
        shown.update(density(output), density(alone))
        rows = (
            ("running averages", mean[-1], variance[-1]),
            ("all training digits", self.z.mean(), self.z.var()),
        )
        rows += (("output", output.mean(), output.var()),)
        said = (
            f"After {batches} batches of {batch} the running mean is {mean[-1]:.2f} (of all training digits {self.z.mean():.2f}), "
            f"the running variance {variance[-1]:.2f} ({self.z.var():.2f}). In {mode} mode the output for the test digits has "
            f"mean {output.mean():.2f} and variance {output.var():.2f}."
        )
        return table(("", "mean", "variance"), rows, ".3f"), said


class MapExplorer(Sliders):
    """A map of learning rate x gain as it fills in, and the training of the one network that is chosen on it.

    histories: for each name (such as "none" and "batch") the History of a stack of shape (len(lr), len(gain)). lr, gain: the
    values along the axes. Of runs that were stopped it shows the epochs that all have finished; raises ValueError if there is
    none.
    """

    def __init__(self, histories, lr, gain):
        self.histories, self.lr, self.gain = (
            histories,
            [float(one) for one in lr],
            [float(one) for one in gain],
        )
        epochs = min(history.epochs for history in histories.values())
        if epochs == 0:
            raise ValueError(
                f"histories must each have at least one finished epoch, got a stopped run among {[*histories]}"
            )
        names = tuple(histories)
        left = partial(
            Map,
            title="Train accuracy, %",
            xlabel="gain",
            ylabel="learning rate",
            columns=self.gain,
            rows=self.lr,
        )
        right = partial(
            Lines,
            title="The chosen network",
            xlabel="epoch",
            ylabel="train error",
            labels=names,
            xlim=(1, epochs),
            ylim=(0, 1.02),
        )
        choices = {"norm": names, "epoch": range(1, epochs + 1), "lr": self.lr, "gain": self.gain}
        cell = {"lr": self.lr[len(self.lr) // 3], "gain": self.gain[len(self.gain) // 2]}
        super().__init__(
            *two_panels(left, right), {"norm": names[-1], "epoch": epochs, **cell}, choices
        )

    def draw(self, norm, epoch, lr, gain):
        maps, curves = self.live.drawings
        history = self.histories[norm]
        cell = self.lr.index(lr), self.gain.index(gain)
        lost = ~np.isfinite(history.loss[:epoch]).all(0)
        said = maps.update(np.where(lost, np.nan, 1 - history.train_error[epoch - 1]), lost, cell)
        errors = {}
        for name, one in self.histories.items():
            alive = np.isfinite(one.loss[:epoch, *cell])
            errors[name] = np.where(alive, one.train_error[:epoch, *cell], np.nan)
        curves.update(*((np.arange(1, epoch + 1), error) for error in errors.values()))
        last = {
            name: "diverged" if np.isnan(error[-1]) else f"{error[-1]:.0%}"
            for name, error in errors.items()
        }
        ends = ", ".join(f"{name} {error}" for name, error in last.items())
        told = f"norm {norm}, epoch {epoch}: {said} Train error at learning rate {lr:.2g}, gain {gain:.2g}: {ends}."
        return table(("norm", "train error"), last.items()), told


class DepthExplorer(Sliders):
    """Train and test error against depth, as recorded by `python -m helpers.experiments depths`, and how the chosen depth was
    trained; a button trains it now, with a new seed, while the right panel follows.

    depth: one of the recorded ones. skip: whether the networks have skips; None makes no control, and shows those without.
    Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, depth=20, skip=None, seed=5):
        self.record, about = recorded("depths")
        self.depths, self.fit, self.now = about["axes"]["depth"], about["fit"], {}
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        epochs = self.record["loss"].shape[2]

        def left(ax):
            title, labels = "After training (small: each seed)", ("train", "test", "chosen")
            drawing = Lines(
                ax, title, "depth", "error", labels, dots=True, xlim=(5, 60), ylim=(-0.05, 1)
            )
            drawing.lines[2].set(markersize=13, markerfacecolor="none", markeredgewidth=2)
            return drawing

        right = partial(
            Lines,
            title="The chosen depth",
            xlabel="epoch",
            ylabel="error",
            labels=("train", "test", "train, now"),
            xlim=(1, epochs),
            ylim=(-0.05, 1),  # room for a line at 0
        )
        now = button(
            "train this depth now",
            lambda: self.train(**self.state),
            "Trains a network of this depth, from a new seed",
        )
        super().__init__(
            *two_panels(left, right), {"depth": depth, "skip": skip}, {"depth": self.depths}, [now]
        )

    def draw(self, depth, skip=False):
        left, right = self.live.drawings
        at = self.depths.index(depth)
        train, test = (
            self.record[name][int(skip)] for name in ("train_error", "test_error")
        )  # depth, epoch, seed
        last, seeds = (train[:, -1], test[:, -1]), np.repeat(self.depths, train.shape[2])
        left.update(
            *((self.depths, error.mean(1)) for error in last),
            ([depth], [last[0][at].mean()]),
            dots=[(seeds, error.ravel()) for error in last],
        )
        epochs, now = np.arange(1, train.shape[1] + 1), self.now.get((depth, skip))
        trained = now.train_error if now else np.zeros(0)
        right.update(
            (epochs, train[at].mean(1)),
            (epochs, test[at].mean(1)),
            (epochs[: len(trained)], trained),
        )
        kind = "with skips" if skip else "without skips"
        said = f"{depth} layers {kind}: after {len(epochs)} epochs train error {last[0][at].mean():.1%}, test error {last[1][at].mean():.1%}"
        said += f" (means of {train.shape[2]} seeds)." + (
            f" Now, after epoch {len(trained)}: {trained[-1]:.1%}." if now else ""
        )
        return table(
            ("", "error"),
            ((name, error[at].mean()) for name, error in zip(("train", "test"), last)),
            ".1%",
        ), said

    def train(self, depth, skip=False):
        """Trains a network of this depth as the recorded ones were, and draws after every epoch."""

        def watch(history):
            self.now[depth, skip] = history
            self.show()

        net = build(depth, 32, inputs=64, classes=10, norm="batch", skip=skip, seed=self.seed)
        fit(net, digits(0), **self.fit, progress=False, on_epoch=watch)


class SurfaceExplorer(Sliders):
    """Two loss surfaces side by side, at the same scale, to be turned and tilted together.

    surfaces: from two names to the losses on a square grid, (n, n). radius: half a side of the square. turn: 0 to 360, tilt: 0
    to 90, in degrees. Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, surfaces, radius=1.0, turn=45, tilt=30):
        top = 1.05 * max(
            float(heights[np.isfinite(heights)].max()) for heights in surfaces.values()
        )
        figure = new_figure((8.4, 3.6), layout="none")
        drawings = []
        for k, (name, heights) in enumerate(surfaces.items()):
            ax = figure.add_axes((0.02 + 0.5 * k, 0.03, 0.44, 0.86), projection="3d")
            ax.set_box_aspect(None, zoom=0.82)  # room for the names of the axes
            drawings.append(Surface(ax, name, heights, radius, top))
        super().__init__(figure, drawings, {"turn": turn, "tilt": tilt})

    def draw(self, turn, tilt):
        said = [drawing.update(turn, tilt) for drawing in self.live.drawings]
        rows = ((one.title, one.numbers[0], one.minima) for one in self.live.drawings)
        return table(("", "loss, middle", "minima"), rows, ".2g"), " ".join(said)


def growth(activation, gain, norm="none", skip=False, branch_scale=1.0, order="pre", **_):
    """By what factor a layer multiplies the size of the signal, and of the gradient on its way back: a name and the number;
    (None, 1) where no constant factor is the law."""
    if (
        activation not in ("relu", "linear")
        or norm != "none"
        or (skip and order == "post" and activation == "relu")
    ):
        return None, 1.0
    name, factor = ("gain/√2", gain / 2**0.5) if activation == "relu" else ("gain", gain)
    if skip:  # signal and branch are as good as perpendicular: their squares add up
        return f"√(1+(α·{name})²) a layer", (1 + (branch_scale * factor) ** 2) ** 0.5
    return f"{name} a layer", factor


def weight_matrix(kind, generator):
    """A matrix of one of the kinds MATRICES, of gain 1: (64, 64), float64."""
    random = torch.randn(64, 64, generator=generator, dtype=torch.double)
    if kind == "orthogonal":
        return torch.linalg.qr(random)[0]
    return (random if kind == "random" else (random + random.T) / 2**0.5) / 8


def way_back(gradient, weights):
    """The size of a gradient (examples, units) after 0, 1, … steps back through the weights, as shares of the first."""
    sizes = [gradient.norm()]
    for weight in weights:
        gradient = gradient @ weight.T
        sizes.append(gradient.norm())
    return np.array(sizes) / float(sizes[0])


def density(values):
    """The histogram of the values from -5 to 5 as a curve: the middles of its bins, and the share of values per unit there."""
    counts, edges = np.histogram(values, 25, (-5, 5))
    return (edges[1:] + edges[:-1]) / 2, counts / len(values) / (edges[1] - edges[0])


def numbers(seen, activation):
    """A small table of the first, the middle and the last layer."""
    name, stuck = (
        ("dead", seen.dead) if activation in ("relu", "linear") else ("saturated", seen.saturated)
    )
    columns = {"mean": seen.mean, "std": seen.std}
    if seen.gradient is not None:
        columns = {"spread": seen.stream_std, "gradient": seen.gradient}
    rows = (
        (k + 1, *(f"{column[k]:.3g}" for column in columns.values()),
         "–" if seen.nonfinite[k] == 1 else f"{stuck[k]:.0%}", f"{seen.nonfinite[k]:.0%}")
        for k in sorted({0, (seen.depth - 1) // 2, seen.depth - 1})
    )  # fmt: skip
    return table(("layer", *columns, name, "NaN, inf"), rows)
