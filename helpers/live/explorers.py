"""The explorers: what follows the sliders in each lesson.

Each is a function from data and settings to a Picture, and a class that gives it controls. What a
class is given are the settings at the start; one that is not allowed raises a ValueError.
"""

import threading
from functools import partial

import numpy as np
import torch
from contourpy import contour_generator

from ..arguments import choice, number, one_seed, require, shown
from ..datasets import digits, recorded
from ..networks import BatchNorm, Linear, Norm, batch_norm, build
from ..signals import DTYPES, profile
from ..training import fit
from .panels import Axis, Line, Panel, Picture, Shades, curves, layer_axis
from .widget import EXAMPLES, RANGES, Live

CRITICAL = {"relu": 2**0.5, "tanh": 1.0, "linear": 1.0}  # gains that keep a small signal's size
# ... and a gradient's, where the activation is steepest (a ReLU: where half of its units pass).
UNIT_GAIN = CRITICAL | {"sigmoid": 4.0}
MATRICES = ("random", "symmetric", "orthogonal")
WINDOW = 5.0  # the pre-activations from -WINDOW to WINDOW are drawn
CIVIDIS = ("#FEE838", "#C3B369", "#8A8678", "#575D6D", "#123570", "#00224E")
DOUBLE = {"dtype": torch.double, "device": "cpu"}  # for new tensors: torch's defaults may differ
SHARE = {"label": "gradient, as a share of the last", "quantity": "gradient", "backward": True}


def texts(head, *rows, form=""):
    """A Picture's table: names of columns, and rows of a name and numbers in this form."""
    return [head, *([name, *(f"{cell:{form}}" for cell in cells)] for name, *cells in rows)]


# --- the signal, layer by layer -----------------------------------------------------------------


class Networks:
    """Networks of one seed, as `build` makes them with settings, but for rounding. A gain only
    scales the weights: drawing them anew would take half of a picture's time."""

    def __init__(self, seed):
        self.seed, self.settings = seed, None

    def build(self, gain, **settings):
        """The network of these settings, until the next one is asked for."""
        if settings != self.settings:
            self.net = build(**settings, gain=1.0, seed=self.seed)
            layers = [layer for layer in self.net.modules() if isinstance(layer, Linear)]
            self.weights = [(layer.weight, layer.weight.detach().clone()) for layer in layers[:-1]]
            self.settings = settings
        for weight, unit in self.weights:
            torch.mul(unit, gain, out=weight.data)
        return self.net


def profile_of(x, y, networks, *, dtype, batch=EXAMPLES, gamma=1.0, beta=0.0, **network):
    """The Profile of the network of these settings, with its gradient if y is not None."""
    net = networks.build(**network)
    for layer in net.modules():
        if isinstance(layer, Norm):
            layer.gamma.data.fill_(gamma)
            layer.beta.data.fill_(beta)
    return profile(net, x[:batch], None if y is None else y[:batch], dtype=dtype)


def signal(x, y, networks, **settings):
    """The Picture of a network at initialization: its pre-activations z; with y, the signal and the
    gradient."""
    seen, dtype = profile_of(x, y, networks, **settings), settings["dtype"]
    std = seen.pre_std if y is None else seen.stream_std  # the measure: of z, or of the stream
    title = "Size of the signal: std of z" if y is None else "Forward: size of the signal"
    name, factor = growth(**settings)
    grown = factor ** np.arange(seen.depth, dtype=float)
    limit = f"largest {dtype}", torch.finfo(DTYPES[dtype]).max, "left"
    rows, law = {"measured": std}, name and (name, std[0] * grown)
    left = curves(title, "standard deviation", "size", rows, law=law, limit=limit)
    if y is None:
        right = histograms(seen)
    else:
        title, label = "Backward: size of the gradient", "length of the gradient"
        rows, law = {"measured": seen.gradient}, name and (name, seen.gradient[-1] * grown[::-1])
        right = curves(title, label, "gradient", rows, law=law, backward=True)
    table = layer_table(seen, settings["activation"])
    return Picture([left, right], table, marks(**settings))


def histograms(seen):
    """A Panel of where the pre-activations lie: a column a layer, the stronger the more values.

    Full colour is the density of a standard normal distribution at its peak, or more.
    """
    bounds = np.linspace(-WINDOW, WINDOW, 102)  # an odd number of cells: one is centred on zero
    shares = np.zeros((101, seen.depth))
    for layer, (edges, counts) in enumerate(zip(seen.edges, seen.counts)):
        if total := counts.sum():
            sums = np.append(0, counts.cumsum())
            shares[:, layer] = np.diff(np.interp(bounds, edges, sums)) / total
    inside = f"{shares[:, -1].sum():.0%} of the finite pre-activations lie"
    said = f"In the last layer {inside} between {-WINDOW:g} and {WINDOW:g}."
    if seen.nonfinite[-1] == 1:
        said = "In the last layer no finite value is left."
    peak = (bounds[1] - bounds[0]) / (2 * np.pi) ** 0.5
    place = (0.5, seen.depth + 0.5), (-WINDOW, WINDOW)
    shades = Shades(shares, *place, "share", top=peak, root=True, percent=True)
    axes = layer_axis(seen.layers), Axis("value of the pre-activation", -WINDOW, WINDOW)
    title, lost = "Pre-activations (stronger: more of them)", seen.layers[seen.nonfinite > 0]
    return Panel(title, *axes, sentence=said, shades=shades, lost=lost)


def growth(activation, gain, norm="none", skip=False, branch_scale=1.0, order="pre", **_):
    """The law: a name and the factor by which a layer multiplies the signal's size, and that of the
    gradient on its way back. (None, 1) where no constant factor is the law."""
    bent = skip and order == "post" and activation == "relu"
    if activation not in ("relu", "linear") or norm != "none" or bent:
        return None, 1.0
    name, factor = ("gain/√2", gain / 2**0.5) if activation == "relu" else ("gain", gain)
    if skip:  # signal and branch are as good as perpendicular: their squares add up
        return f"√(1+(α·{name})²) a layer", (1 + (branch_scale * factor) ** 2) ** 0.5
    return f"{name} a layer", factor


def marks(depth, activation, norm="none", skip=False, branch_scale=None, **_):
    """Marks below sliders: the critical gain, where neither norm nor skip is, and 1/√blocks."""
    found = []
    if activation in CRITICAL and norm == "none" and not skip:
        what = "for small signals" if activation == "tanh" else "critical"
        found.append(("gain", CRITICAL[activation], f"{what} {CRITICAL[activation]:.3f}"))
    if branch_scale is not None and depth > 1:
        found.append(("branch_scale", (depth - 1) ** -0.5, f"1/√blocks {(depth - 1) ** -0.5:.2f}"))
    return found


def layer_table(seen, activation):
    """A table of the first, the middle and the last layer."""
    kind = "dead" if activation in ("relu", "linear") else "saturated"
    columns = {"mean of z": seen.pre_mean, "std of z": seen.pre_std}
    if seen.gradient is not None:
        columns = {"size": seen.stream_std, "gradient": seen.gradient}
    rows = [["layer", *columns, kind, "NaN, inf"]]
    for k in sorted({0, (seen.depth - 1) // 2, seen.depth - 1}):
        stuck = "–" if seen.nonfinite[k] == 1 else f"{getattr(seen, kind)[k]:.0%}"
        numbers = [f"{column[k]:.3g}" for column in columns.values()]
        rows.append([str(k + 1), *numbers, stuck, f"{seen.nonfinite[k]:.0%}"])
    return rows


class Explorer(Live):
    """A network at initialization, and what its signal, 256 digits, does layer by layer.

    depth: 1 to 200; gain: 0 to 4; width: 1 to 256; activation, dtype: by name. With a control only
    where they are not None: norm, by name; batch, the examples that are normalized together, 2 to
    256; gamma, 0 to 3, and beta, -3 to 3, of every norm; skip, branch_scale, 0 to 1, and order, as
    in `build`. backward: shows the signal that the layers work on (the stream of `Profile`) and the
    gradient of the loss, not the pre-activations. seed: of the weights. Lessons 02, 03, 05 and 06.
    """

    def __init__(
        self, *, backward=False, seed=1, depth=50, gain=1.0, width=100, activation="relu",
        dtype="float32", norm=None, batch=None, gamma=None, beta=None, skip=None,
        branch_scale=None, order=None,
    ):  # fmt: skip
        x, y, *_ = digits(0)
        y = y[:EXAMPLES] if choice("backward", backward, (False, True)) else None
        settings = {"depth": depth, "gain": gain, "width": width}
        settings |= {"activation": activation, "dtype": dtype}
        optional = {"norm": norm, "batch": batch, "gamma": gamma, "beta": beta}
        optional |= {"skip": skip, "branch_scale": branch_scale, "order": order}
        settings |= {name: value for name, value in optional.items() if value is not None}
        super().__init__(partial(signal, x[:EXAMPLES], y, Networks(one_seed(seed))), settings)


# --- a gradient as a product --------------------------------------------------------------------


def product(x, y, seed, factor, depth, activation):
    """The Picture of a gradient as a product, without and with "+ x", beside real networks'."""
    back = np.arange(depth, -1.0, -1)  # how many steps the gradient has come back
    titles = "Plain, x → F(x): F′ a layer", "With a skip, x → x + F(x): 1 + F′ a layer"
    common = {"limit": ("smallest float32", 2.0**-149, "right"), "first": 0, **SHARE}
    panels = []
    for skip, title in enumerate(titles):
        lawful = skip and activation in ("relu", "linear")
        law = ("√(1+F′²)", (1 + factor**2) ** (back / 2)) if lawful else None
        real = shares_of_last(x, y, seed, bool(skip), factor, depth, activation)
        rows = {"product": abs(skip + factor) ** back, "real network": real}
        intro = "With a skip: " if skip else "Plain: "
        panels.append(curves(title, rows=rows, law=law, intro=intro, **common))
    table = texts(
        ["at layer 0", "plain", "with skip"],
        ["product", factor**depth, (1 + factor) ** depth],
        ["real network", *(panel.lines[1].y[0] for panel in panels)],
        form=".2g",
    )
    return Picture(panels, table)


def shares_of_last(x, y, seed, skip, factor, depth, activation):
    """The real network's gradients after each of the steps 0 to depth, as shares of the last."""
    gain = UNIT_GAIN[activation]
    net = build(depth + 1, 128, activation=activation, skip=skip, gain=gain, seed=seed)
    layers = [layer for layer in net.modules() if isinstance(layer, Linear)]
    for layer in layers[1:-1]:  # the first only brings 64 to 128
        layer.weight.data *= factor
    found = profile(net, x, y, dtype="float64").gradient
    return np.divide(found, found[-1], out=np.zeros_like(found), where=found != 0)


class ProductExplorer(Live):
    """A gradient as a product of one factor a layer, without and with "+ x", beside that of a real
    network of that depth.

    factor: the derivative F′ of each layer's function, -1 to 1.5; with skips F′ + 1 multiplies the
    gradient. depth: 1 to 200. A step of the real network is an activation and 128 x 128 weights,
    whose gain multiplies a gradient's size by |factor| where the activation is steepest (a ReLU:
    where one half of the units pass). Gradients are divided by the last, and float64. Lesson 06.
    """

    def __init__(self, *, factor=0.85, depth=30, activation="relu", seed=1):
        x, y, *_ = digits(0)
        compute = partial(product, x[:32].double(), y[:32], one_seed(seed))
        super().__init__(compute, {"factor": factor, "depth": depth, "activation": activation})


# --- the same matrix over and over --------------------------------------------------------------


def over_time(sizes, radii, gain, steps, matrix):
    """The Picture of a gradient on its way back through new matrices, and through the same one."""
    back = np.arange(steps, -1.0, -1)  # how many steps the gradient has come back
    titles = "A new matrix in each step (depth)", "The same matrix in each step (time)"
    laws = {"gain a step": gain, "spectral radius a step": gain * radii[matrix]}
    common, panels = {"first": 0, "unit": "step", **SHARE}, []
    for title, size, (name, factor) in zip(titles, sizes[matrix], laws.items()):
        rows, intro = {"measured": gain**back * size[steps::-1]}, f"{title.split(' (')[0]}: "
        panels.append(curves(title, rows=rows, law=(name, factor**back), intro=intro, **common))
    first = [panel.lines[0].y[0] for panel in panels]
    rows = ["law, a step", *laws.values()], ["gradient at step 0", *first]
    mark = "gain", 1 / radii[matrix], f"radius 1: {1 / radii[matrix]:.2f}"
    return Picture(panels, texts(["", "new", "same"], *rows, form=".3g"), [mark])


def weight_matrix(kind, generator):
    """A matrix of one of the kinds MATRICES, of gain 1: (64, 64), float64."""
    random = torch.randn(64, 64, generator=generator, **DOUBLE)
    if kind == "orthogonal":
        return torch.linalg.qr(random)[0]
    return (random if kind == "random" else (random + random.T) / 2**0.5) / 8


def way_back(gradient, weights):
    """The size of a gradient (examples, units) after 0, 1, … steps back through the weights, as
    shares of the first."""
    sizes = [gradient.norm()]
    for weight in weights:
        gradient = gradient @ weight.T
        sizes.append(gradient.norm())
    return np.array(sizes) / float(sizes[0])


class RecurrentExplorer(Live):
    """A gradient on its way back through linear layers: each with a matrix of its own, and, over
    time, all with the same one.

    gain: 0 to 4, of 64 x 64 weights. steps: 1 to 200. matrix: "random", independent entries;
    "symmetric", the same, but mirrored at the diagonal; "orthogonal", which keeps every length but
    for the gain. In all three the mean square of the singular values is about gain². Dashed: gain
    and spectral radius (the size of the largest eigenvalue) to the power of the steps. Lesson 08.
    """

    def __init__(self, *, gain=1.0, steps=50, matrix="random", seed=1):
        sizes, radii, self.seed = {}, {}, one_seed(seed)
        for kind in MATRICES:
            generator = torch.Generator().manual_seed(self.seed)
            weights = [weight_matrix(kind, generator) for _ in range(RANGES["steps"][1])]
            radii[kind] = float(torch.linalg.eigvals(weights[0]).abs().max())
            start = torch.randn(16, 64, generator=generator, **DOUBLE)
            sizes[kind] = way_back(start, weights), way_back(start, weights[:1] * len(weights))
        settings = {"gain": gain, "steps": steps, "matrix": matrix}
        super().__init__(partial(over_time, sizes, radii), settings, {"matrix": MATRICES})


# --- running averages ---------------------------------------------------------------------------


def averages(z, z_test, seed, mode, batches, batch, momentum):
    """The Picture of one unit with batch norm: its running averages, and its output."""
    norm, generator = BatchNorm(1, momentum=momentum), torch.Generator().manual_seed(seed)
    running, single = np.array([[1.0, 0.0]] * (batches + 1)), np.empty((batches, 2))
    with torch.no_grad():
        for k in range(batches):
            chosen = z[torch.randint(len(z), (batch,), generator=generator, device="cpu")]
            norm(chosen)
            running[k + 1] = norm.running_var.item(), norm.running_mean.item()
            single[k] = chosen.var().item(), chosen.mean().item()
        in_train = batch_norm(z_test, norm.gamma, norm.beta).numpy()
        output = norm.eval()(z_test).numpy() if mode == "eval" else in_train
    seen, lines = np.arange(batches + 1), []
    for k, name in enumerate(("variance", "mean")):
        lines.append(Line(seen, running[:, k], name, k))
        lines.append(Line(seen[1:], single[:, k], style=k, kind="points"))
    variance, mean = running[-1]
    said = f"After {batches} batches of {batch} the running mean is {mean:.2f} (of all training "
    said += f"digits {z.mean():.2f}), the running variance {variance:.2f} ({z.var():.2f})."
    then = f"has mean {output.mean():.2f} and variance {output.var():.2f}."
    then = f"In {mode} mode the output for the test digits {then}"
    values = np.concatenate([line.y for line in lines])  # the axis grows for those outside of it
    low, high = 4 * np.floor(values.min() / 4), 4 * np.ceil(values.max() / 4)
    y = Axis("value", min(-4.0, low), max(8.0, high))
    axes = Axis("training batches seen", 0, RANGES["batches"][1]), y
    left = Panel("Running averages (hollow: each batch's own)", *axes, lines, said)
    axes = Axis("output", -5, 5), Axis("density", 0, 0.6)
    lines = [Line(*density(output), "chosen mode"), Line(*density(in_train), "train mode", 1)]
    right = Panel("Output for the 297 test digits", *axes, lines, then)
    table = texts(
        ["", "mean", "variance"],
        ["running averages", mean, variance],
        ["all training digits", z.mean(), z.var()],
        ["output", output.mean(), output.var()],
        form=".3f",
    )
    return Picture([left, right], table)


def density(values):
    """The histogram of the values from -5 to 5 as a curve: bins' middles, and shares per unit."""
    counts, edges = np.histogram(values, 25, (-5, 5))
    return (edges[1:] + edges[:-1]) / 2, counts / len(values) / (edges[1] - edges[0])


class AveragesExplorer(Live):
    """One unit with batch norm: its running averages as they approach the batches' moments, and its
    output for the 297 test digits in both modes.

    The unit is a linear one, on the digits. mode: "train" or "eval"; batches: how many
    training batches it has seen, 0 to 100; batch: examples in each, 2 to 256; momentum: 0.01 to 1;
    seed: of the draw of the batches, with replacement. Lesson 03.
    """

    def __init__(self, *, mode="eval", batches=5, batch=32, momentum=0.1, seed=0):
        data = digits(0)
        layer = build(1, 1, gain=2.0, seed=2)[0]
        with torch.no_grad():
            compute = partial(averages, layer(data.x), layer(data.x_test), one_seed(seed))
        settings = {"mode": mode, "batches": batches, "batch": batch, "momentum": momentum}
        super().__init__(compute, settings)


# --- learning rate x gain -----------------------------------------------------------------------


def training_map(histories, rates, gains, norm, epoch, lr, gain):
    """The Picture of the networks of a map after an epoch, and of how the chosen one was trained."""
    row, column, history = rates.index(lr), gains.index(gain), histories[norm]
    diverged = ~np.isfinite(history.loss[:epoch]).all(0)
    accuracy = np.where(diverged, np.nan, 1 - history.train_error[epoch - 1])
    cells = [["×" if np.isnan(v) else f"{100 * v:.0f}" for v in values] for values in accuracy]
    edges = (-0.5, len(gains) - 0.5), (-0.5, len(rates) - 0.5)
    shades = Shades(accuracy, *edges, "train accuracy", percent=True, colors=CIVIDIS, texts=cells)
    names = [[(k, f"{v:.2g}") for k, v in enumerate(values)] for values in (gains, rates)]
    axes = Axis("gain", *edges[0], ticks=names[0]), Axis("learning rate", *edges[1], ticks=names[1])
    frame = np.array([[-0.5, 0.5, 0.5, -0.5, -0.5], [-0.5, -0.5, 0.5, 0.5, -0.5]])
    chosen = Line(column + frame[0], row + frame[1], style=1, kind="outline")
    lost = f", {diverged.sum()} diverged (×)" if diverged.any() else ""
    over = f"{(accuracy > 0.9).sum()} of {accuracy.size} cells are over 90 %{lost}"
    said = f"norm {norm}, epoch {epoch}: {over}."
    left = Panel("Train accuracy, %", *axes, [chosen], said, shades)
    lines, ends, epochs = [], [], np.arange(1, epoch + 1)
    for k, (name, one) in enumerate(histories.items()):
        alive = np.isfinite(one.loss[:epoch, row, column])
        error = np.where(alive, one.train_error[:epoch, row, column], np.nan)
        lines.append(Line(epochs, 100 * error, name, k))
        ends.append([name, "diverged" if np.isnan(error[-1]) else f"{error[-1]:.0%}"])
    last = min(one.epochs for one in histories.values())
    axes = Axis("epoch", 1, max(2, last), whole=True), Axis("train error, %", 0, 102)
    then = ", ".join(" ".join(end) for end in ends)
    then = f"Train error at learning rate {lr:.2g}, gain {gain:.2g}: {then}."
    lost = epochs[np.isnan([line.y for line in lines]).any(0)]
    panels = [left, Panel("The chosen network", *axes, lines, then, lost=lost)]
    return Picture(panels, texts(["norm", "train error"], *ends))


class MapExplorer(Live):
    """A map of learning rate x gain as it fills in, and the training of the chosen network on it.

    histories: for each name (such as "none" and "batch") the History of a stack of shape (len(lr),
    len(gain)). lr, gain: the values along the axes. Of stopped runs it shows the epochs that all
    have finished. Lesson 04.
    """

    def __init__(self, histories, lr, gain):
        rates, gains = distinct("lr", lr), distinct("gain", gain)
        fine = isinstance(histories, dict) and 1 <= len(histories) <= 5
        require(fine, "histories", "a dict of one to five", histories)
        histories = {str(name): one for name, one in histories.items()}
        shape = len(rates), len(gains)
        allowed = f"a stack of shape {shape}, as lr and gain are long"
        for name, one in histories.items():
            stack = getattr(one, "train_error", np.zeros(0)).shape[1:]
            require(stack == shape, f"histories[{name!r}]", allowed, stack)
        epochs = min(one.epochs for one in histories.values())
        if epochs == 0:
            given = f"got a stopped run among {[*histories]}"
            raise ValueError(f"histories must each have at least one finished epoch, {given}")
        names = tuple(histories)
        choices = {"norm": names, "epoch": range(1, epochs + 1), "lr": rates, "gain": gains}
        cell = {"lr": rates[len(rates) // 3], "gain": gains[len(gains) // 2]}
        compute = partial(training_map, histories, rates, gains)
        super().__init__(compute, {"norm": names[-1], "epoch": epochs, **cell}, choices)


def distinct(name, values):
    """The values of an axis as a list of floats."""
    found = [number(name, value, 0) for value in values] if np.iterable(values) else []
    fine = found and len({*found}) == len(found)
    require(fine, name, "a list of different numbers", values)
    return found


# --- error against depth ------------------------------------------------------------------------


BLACK = 4
DEPTH_COLORS = {20: 0, 56: 1}  # blue and orange, as in lesson 01's pictures; any other depth: green


def depths(record, axes, now, depth, norm=None, skip=None):
    """The Picture of recorded errors against depth, and of how the chosen depth was trained.

    The sentence names norm and skip where they are given."""
    recorded_depths, at = axes["depth"], axes["depth"].index(depth)
    networks = axes["norm"].index(norm or "batch"), axes["skip"].index(bool(skip))
    train, test = (100 * record[name][networks] for name in ("train_error", "test_error"))
    color = DEPTH_COLORS.get(depth, 2)
    epochs, seeds = np.arange(1, train.shape[1] + 1), train.shape[2]
    all_depths, left, right = np.array(recorded_depths), [], []
    for k, (name, error) in enumerate((("train", train), ("test", test))):  # depth, epoch, seed
        each = np.repeat(all_depths, seeds), error[:, -1].ravel()
        left.append(Line(all_depths, error[:, -1].mean(1), name, k, color=BLACK))
        left.append(Line(*each, style=k, kind="points", color=BLACK))
        right.append(Line(epochs, error[at].mean(1), name, k, color=color))
    ends = [["train", train[at, -1].mean()], ["test", test[at, -1].mean()]]
    left.append(Line(np.array([depth]), np.array(ends[0][1:]), style=2, kind="chosen", color=color))
    trained = now.get((depth, norm, skip), np.zeros(0))
    right.append(Line(epochs[: len(trained)], trained, "train, now", 3, color=color))
    errors = f"train error {ends[0][1]:.1f}%, test error {ends[1][1]:.1f}%"
    kinds = [] if norm is None else ["without norm" if norm == "none" else f"with {norm} norm"]
    kinds += [] if skip is None else ["with skips" if skip else "without skips"]
    said = f"{depth} layers {', '.join(kinds)}".strip()
    said += f": after {len(epochs)} epochs {errors} (means of {seeds} seeds)."
    then = f"Now, after epoch {len(trained)}: {trained[-1]:.1f}%." if len(trained) else ""
    y = Axis("error, %", -5, 105)  # room for a line at 0 or 100
    x = Axis("depth", 5, 60, ticks=[(one, str(one)) for one in recorded_depths])
    every = Panel("After training (hollow: seeds; triangle: chosen)", x, y, left, said)
    x = Axis("epoch", 1, len(epochs), whole=True)
    chosen = Panel("The chosen depth", x, y, right, then)
    return Picture([every, chosen], texts(["", "error, %"], *ends, form=".1f"))


class DepthExplorer(Live):
    """Train and test error against depth, as recorded by `python -m helpers.experiments depths`, and
    how the chosen depth was trained. A button trains it now, from a seed that was not recorded, in
    a thread of its own. Each epoch is shown; closing the figure ends it.

    depth: a recorded one. norm: "none" or "batch"; None is "batch", without a control. skip: whether
    the networks have skips; None is False, without a control. Lessons 01 and 07.
    """

    def __init__(self, *, depth=20, norm=None, skip=None, seed=5):
        record, about = recorded("depths")
        axes, self.fit, self.now, self.seed = about["axes"], about["fit"], {}, one_seed(seed)
        optional = {"norm": norm, "skip": skip}
        optional = {name: value for name, value in optional.items() if value is not None}
        choices = {"depth": axes["depth"], "norm": axes["norm"]}
        meaning = "Trains a network of this depth, from a seed that was not recorded"
        buttons = {"train this depth now": (meaning, self.start)}
        self.thread = None
        compute = partial(depths, record, axes, self.now)
        settings = {"depth": depth, **optional}
        super().__init__(compute, settings, choices, buttons)

    def start(self):
        """Trains the chosen depth in a thread, so that the page answers; one at a time."""
        with self.lock:
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(
                    target=self.train, kwargs=self.settings, name="depth explorer", daemon=True
                )
                self.thread.start()

    def train(self, depth, norm=None, skip=None):
        """Trains a network as the recorded ones were, and shows it after every epoch. Ends early
        where the figure is closed."""

        def watch(history):
            with self.lock:
                if self.compute is None:
                    raise KeyboardInterrupt  # which ends `fit`
                self.now[depth, norm, skip] = 100 * history.train_error
                self.show()

        net = build(depth, 32, norm=norm or "batch", skip=bool(skip), seed=self.seed)
        settings = {**self.fit, "lr": self.fit["lr"][norm or "batch"]}
        fit(net, digits(0), **settings, progress=False, on_epoch=watch)


# --- loss surfaces ------------------------------------------------------------------------------


def surface(tables, holes, radius, top, level):
    """The Picture of loss surfaces from above: shades, contour lines, and the line at one level.

    holes: for each surface, the number of its places that were not finite."""
    panels, rows = [], []
    for name, loss in tables.items():
        side, middle = np.linspace(-radius, radius, len(loss)), loss[len(loss) // 2, len(loss) // 2]
        low = minima(loss)
        share = f"{(loss < level).mean():.0%}"
        lines = [Line(*contour(side, loss, top * k / 10), kind="contour") for k in range(1, 10)]
        line = contour(side, loss, level)
        reached = "loss" if np.isfinite(line).any() else "no loss of"
        lines.append(Line(*line, f"{reached} {level:.2g}", 1, "outline"))
        lines.append(Line(side[low[1]], side[low[0]], "local minima", 0, "points"))
        lines.append(Line(np.zeros(1), np.zeros(1), "the network", 2, "chosen"))
        edge = radius * len(side) / (len(side) - 1)
        shades = Shades(loss, (-edge, edge), (-edge, edge), "loss", 2 * top)
        ends = f"the loss is {middle:.2g} in the middle and {loss.max():.2g} at most"
        count = f"{len(low[0])} local minim{'um' if len(low[0]) == 1 else 'a'}"
        said = f"{name}: {ends}, with {count}; {share} of the plane lie below {level:.2g}."
        if lost := holes[name]:
            places = f"{lost} place is" if lost == 1 else f"{lost} places are"
            said += f" {places} not finite and drawn as the highest."
        axes = (Axis(f"{which} direction", -edge, edge) for which in ("first", "second"))
        panels.append(Panel(name, *axes, lines, said, shades))
        rows.append([name, f"{middle:.2g}", len(low[0]), share])
    return Picture(panels, texts(["", "loss, middle", "minima", "below level"], *rows))


def minima(loss):
    """Rows and columns of the inner places that are above none of their eight neighbours, and below
    at least one."""
    around = np.lib.stride_tricks.sliding_window_view(loss, (3, 3))
    low, high = around.min((-2, -1)), around.max((-2, -1))
    return tuple(1 + places for places in np.nonzero((loss[1:-1, 1:-1] == low) & (low < high)))


def contour(side, loss, level):
    """The lines where a surface has this height, as x and y, with NaN between two of them."""
    [[points]] = contour_generator(side, side, loss, line_type="ChunkCombinedNan").lines(level)
    return np.full((2, 1), np.nan) if points is None else points.T


class SurfaceExplorer(Live):
    """Loss surfaces side by side, seen from above, at the same scale: one line follows the level.

    surfaces: from one to three names to the losses on a square grid, (n, n) arrays, tensors or lists,
    whose rows go along the first direction. The trained network stands in the middle. radius: half a
    side of the square. What is not finite is drawn as the highest loss. Lesson 07.
    """

    def __init__(self, surfaces, radius=1.0):
        fine = isinstance(surfaces, dict) and 1 <= len(surfaces) <= 3
        require(fine, "surfaces", "a dict of one to three", surfaces)
        tables = {str(name): square(name, loss) for name, loss in surfaces.items()}
        holes = {name: int((~np.isfinite(loss)).sum()) for name, loss in tables.items()}
        top = max(1e-9, *(loss[np.isfinite(loss)].max() for loss in tables.values()))
        tables = {name: np.where(np.isfinite(loss), loss, top) for name, loss in tables.items()}
        levels = [float(f"{top * k / 40:.3g}") for k in range(1, 41)]
        compute = partial(surface, tables, holes, number("radius", radius, 1e-9), top)
        super().__init__(compute, {"level": levels[9]}, {"level": levels})


def square(name, loss):
    """A surface as an array, its rows along the second direction."""
    try:
        found = np.asarray(loss, float).T
    except (TypeError, ValueError, RuntimeError):  # torch's, of a tensor that has a graph
        found = np.zeros(0)
    which = f"surfaces[{name!r}]"
    if found.ndim != 2 or found.shape != (len(found),) * 2 or len(found) < 3:
        given = f"shape {found.shape}" if found.size else shown(loss)
        raise ValueError(f"{which} must be a table of n x n losses, n from 3, got {given}")
    if not np.isfinite(found).any():
        raise ValueError(f"{which} must have a finite loss, got NaN or infinity everywhere")
    return found
