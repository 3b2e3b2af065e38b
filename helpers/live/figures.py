"""Drawings of the time before panels.py. A drawing is made once on given Axes and then follows its data: `update` moves its
artists and returns one sentence that says in words what is to be seen. Nothing here computes a network.

`picture`, Spread, Map and Pairs go when the lessons draw with plain Matplotlib; Drawing, Curves, Lines, Answers and Plane when
the playground stands on panels.py, too.
"""

import base64
import html
import io
from itertools import zip_longest

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..arguments import integer
from .panels import DECADES, DRAWING, LAYERS, tell

# Okabe and Ito's palette, darkened where a line would stand out less than 3:1 from white. Each colour has a line style and a
# marker of its own, so that no difference is told by colour alone.
STYLES = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#007A59", "linestyle": "-.", "marker": "^"},
    {"color": "#000000", "linestyle": ":", "marker": "D"},
    {"color": "#A34A82", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
)
LOST = "#D55E00"


class Drawing:
    """What every drawing has: its Axes `ax`, the `artists` that move, and an `update` that returns a sentence."""

    def __init__(self, ax, title, ylabel, xlabel="layer"):
        self.ax = ax
        self.artists = []
        ax.set_title(
            title, loc="left", fontsize=10, pad=26, y=1
        )  # with y given, it is not placed anew in every drawing
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.spines[["top", "right"]].set_visible(False)
        if xlabel == "layer":
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

    @property
    def named(self):
        """The names in the legend."""
        legend = self.ax.get_legend()
        return tuple(text.get_text() for text in legend.get_texts()) if legend else ()

    @property
    def frame(self):
        """What the part that stands still depends on: the limits of both axes and the legend."""
        return self.ax.get_xlim(), self.ax.get_ylim(), self.named

    def moving(self, artist):
        """The artist, noted down as one that moves."""
        self.artists.append(artist)
        return artist

    def make_lines(self, labels, size):
        """An empty line for each label, which differ in colour, style and marker, over a grid; size: of the markers."""
        integer("number of labels", len(labels), 1, len(STYLES))
        self.ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        named = zip(labels, STYLES)
        return [
            self.moving(self.ax.plot([], [], ms=size, lw=1.5, label=label, **style)[0])
            for label, style in named
        ]

    def edge_marks(self, marker, height):
        """Marks at the top (height 1) or bottom (0) edge of the Axes, for layers whose value has no place on the scale."""
        place = {
            "clip_on": False,
            "zorder": 5,
            "in_layout": False,
            "transform": self.ax.get_xaxis_transform(),
        }
        return self.moving(self.ax.plot([], [], marker, color="black", ms=5, **place)[0])

    def mark(self, marks, places, height):
        """Puts edge marks at these places; without any they are not even drawn, which is quicker."""
        marks.set(data=(places, np.full(len(places), height)), visible=len(places) > 0)

    def fit_layers(self, depth):
        """The axis of layers ends at the next round number: a slider moves it seldom, and a still axis is quick to draw."""
        self.ax.set_xlim(0.5, next(end for end in LAYERS if end >= depth) + 0.5)

    def legend(self, lines):
        """The lines' names, above the Axes, where they can hide nothing; made anew only where they are others."""
        if self.named == tuple(line.get_label() for line in lines):
            return
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.99), "borderaxespad": 0.3}
        self.ax.legend(
            handles=lines,
            **place,
            ncols=5,
            frameon=False,
            fontsize=9,
            handlelength=2.2,
            columnspacing=1.0,
        )


class Curves(Drawing):
    """One number a layer on a logarithmic axis, one line per label. `quantity` is what the sentences call it. backward: they begin
    at the last layer, where a gradient comes from."""

    def __init__(
        self,
        ax,
        title,
        ylabel,
        quantity,
        labels=("measured",),
        backward=False,
    ):
        super().__init__(ax, title, ylabel)
        self.quantity, self.backward = quantity, backward
        ax.set_yscale("log")
        self.lines = self.make_lines(labels, size=3)
        self.overflowed, self.vanished = self.edge_marks("x", 1), self.edge_marks("v", 0)
        self.limit = self.moving(ax.axhline(1, color=LOST, lw=1, ls=":", visible=False))
        place, side = (
            (0.98, "right") if backward else (0.02, "left")
        )  # where the line that begins near it is far from it
        name = ax.text(
            place,
            1,
            "",
            color="#A84300",
            fontsize=8,
            va="top",
            ha=side,
            transform=ax.get_yaxis_transform(),
        )
        self.limit_name = self.moving(name)
        self.legend(self.lines)

    def update(self, *rows, limit=None):
        """Draws one array (depth,) per label; of the labels that are left over, nothing is shown.

        limit: the name of a number and the number, such as the largest of its kind: a line across where it is near.
        """
        integer("number of rows", len(rows), 1, len(self.lines))
        name, limit = limit or ("", None)
        self.legend(self.lines[: len(rows)])
        for line, row in zip_longest(self.lines, rows, fillvalue=()):
            line.set_data(1 + np.arange(len(row)), row)
        layers = np.concatenate([1 + np.arange(len(row)) for row in rows])
        values = np.concatenate(rows)
        lost, zero = layers[~np.isfinite(values)], layers[values == 0]
        self.mark(self.overflowed, lost, 1)
        self.mark(self.vanished, zero, 0)
        self.fit_layers(layers.max())
        low, high = self.fit_decades(np.append(values, limit) if limit and len(lost) else values)
        near = limit is not None and low < limit < high
        self.limit.set(visible=near, ydata=[limit or 1] * 2)
        self.limit_name.set(visible=near, y=limit or 1, text=name)
        names = [f"{line.get_label()}: the" for line in self.lines] if len(rows) > 1 else ["The"]
        return " ".join(
            self.sentence(f"{name} {self.quantity}", row) for name, row in zip(names, rows)
        )

    def fit_decades(self, values):
        """Limits at powers of ten: of a few, the nearest that leave every value inside (from 1e-300 to 1e300)."""
        values = np.log10(values[np.isfinite(values) & (values > 0)])
        low, high = (values.min(), values.max()) if len(values) else (0, 0)
        below = next((end for end in DECADES if -end <= low), DECADES[-1])
        above = next((end for end in DECADES if end >= high), DECADES[-1])
        self.ax.set_ylim(10.0**-below, 10.0**above)
        return self.ax.get_ylim()

    def sentence(self, name, row):
        """What one line shows."""
        return tell(name, row, 1 + np.arange(len(row)), self.backward)


class Spread(Curves):
    """Standard deviation of each layer's output, one line per Profile."""

    def __init__(self, ax, labels=("measured",), title="Spread of each layer's output"):
        super().__init__(ax, title, "standard deviation", "spread", labels)

    def update(self, *profiles, **settings):
        """Draws one Profile per label; the settings are those of Curves.update."""
        return super().update(*(profile.std for profile in profiles), **settings)


class Lines(Drawing):
    """Curves over one horizontal axis, one per label. log: "x", "y", "xy" or "", the axes that are logarithmic.

    dots: each line has loose hollow points of its colour, too. xlim, ylim: the axes' limits; None follows the data.
    """

    def __init__(self, ax, title, xlabel, ylabel, labels, log="", dots=False, xlim=None, ylim=None):
        super().__init__(ax, title, ylabel, xlabel)
        self.log, self.limits = log, (xlim, ylim)
        ax.set(**{f"{axis}scale": "log" for axis in log})
        self.lines = self.make_lines(labels, size=3.5)
        loose = {"linestyle": "none", "markerfacecolor": "none"}
        self.dots = [
            self.moving(ax.plot([], [], ms=3.5, **style | loose)[0])
            for style in STYLES[: len(labels) * dots]
        ]
        self.lost = self.edge_marks("x", 1)
        self.legend(self.lines)

    def update(self, *points, dots=()):
        """Draws one pair of arrays (x, y) per label, and one for its dots; of the labels that are left over, nothing is shown.

        What is not finite has no place on the scale: a cross above it says where, and the sentence how often.
        """
        integer("number of lines", len(points), 1, len(self.lines))
        points, dots = (
            [(np.asarray(x, float), np.asarray(y, float)) for x, y in pairs]
            for pairs in (points, dots)
        )
        self.legend(self.lines[: len(points)])
        for line, (x, y) in zip_longest(self.lines, points, fillvalue=((), ())):
            line.set(data=(x, y), markevery=max(1, len(x) // 20))
        for loose, pair in zip_longest(self.dots, dots, fillvalue=((), ())):
            loose.set_data(pair)
        lost = np.concatenate([x[~np.isfinite(y)] for x, y in [*points, *dots]])
        self.mark(self.lost, lost, 1)
        for name, values, limits in zip(
            "xy", map(np.concatenate, zip(*points, *dots)), self.limits
        ):
            values = values[np.isfinite(values) & ((values > 0) | (name not in self.log))]
            if limits is None and len(values):
                limits = (
                    outwards(values.min(), values.max(), name in self.log)
                    if name == "y"
                    else (values.min(), values.max())
                )
            low, high = limits or (0.1, 1)
            self.ax.set(**{f"{name}lim": (low, high if high > low else low + 1)})
        return " ".join(
            self.sentence(line.get_label(), *pair) for line, pair in zip(self.lines, points)
        )

    def sentence(self, label, x, y):
        """What one line shows: its ends, and how much of it is not finite."""
        finite = np.flatnonzero(np.isfinite(y))
        if len(finite) == 0:
            return f"{label}: no finite value."
        first, last = finite[0], finite[-1]
        lost = (
            f"; {len(y) - len(finite)} of {len(y)} values are not finite"
            if len(finite) < len(y)
            else ""
        )
        return f"{label}: {y[first]:.2g} at {x[first]:.3g}, {y[last]:.2g} at {x[last]:.3g}{lost}."


class Pairs(Drawing):
    """Two shares, 0 to 1, for each of several names, one below the other: the seeds' mean filled, each seed hollow. labels: of the
    two."""

    def __init__(self, ax, title, xlabel, names, labels):
        super().__init__(ax, title, "", xlabel)
        self.names = names
        self.lines = self.make_lines(labels, size=7)
        hollow = {"linestyle": "none", "markerfacecolor": "none", "ms": 10}
        self.dots = [
            self.moving(ax.plot([], [], **style | hollow)[0]) for style in STYLES[: len(labels)]
        ]
        for line in self.lines:
            line.set_linestyle("none")
        ax.set_yticks(range(len(names)), names)
        ax.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5))
        self.legend(self.lines)

    def update(self, *shares):
        """Draws one array (names, seeds) per label."""
        rows = np.arange(len(self.names))
        for line, dots, values, shift in zip(self.lines, self.dots, shares, (-0.15, 0.15)):
            line.set_data(np.mean(values, -1), rows + shift)
            dots.set_data(np.ravel(values), np.repeat(rows + shift, np.shape(values)[-1]))
        labels = [line.get_label() for line in self.lines]
        told = (
            ", ".join(f"{label} {np.mean(one[k]):.0%}" for label, one in zip(labels, shares))
            for k in rows
        )
        return " ".join(f"{name}: {said}." for name, said in zip(self.names, told))


def outwards(low, high, log=False):
    """Round limits about low and high: the nearest powers of ten if log, else the nearest tenths of a round span."""
    if low == high and not log:
        return low - 0.5, high + 0.5
    if log:
        return 10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(high) + 1e-9)
    unit = 10.0 ** np.floor(np.log10(max(high - low, 1e-12)))
    step = unit / 2 if high - low < 5 * unit else unit
    return np.floor(low / step) * step, np.ceil(high / step + 1e-9) * step


class Map(Drawing):
    """A table of shares, 0 to 1, over two axes: the darker, the larger, and each written in its cell, in percent.

    rows, columns: the values along the axes. A cell of a diverged network carries a cross, one without a value a question mark.
    """

    def __init__(self, ax, title, xlabel, ylabel, columns, rows):
        super().__init__(ax, title, ylabel, xlabel)
        ax.set_title(title, loc="left", fontsize=10, pad=8)
        ax.spines[:].set_visible(False)
        size = len(rows), len(columns)
        self.image = self.moving(
            ax.imshow(
                np.zeros(size), cmap="cividis_r", vmin=0, vmax=1, aspect="auto", origin="lower"
            )
        )
        self.texts = [
            [
                self.moving(
                    ax.text(column, row, "", ha="center", va="center", fontsize=8, in_layout=False)
                )
                for column in range(size[1])
            ]
            for row in range(size[0])
        ]
        ax.set_xticks(
            range(size[1]),
            [f"{value:.4g}" if isinstance(value, int) else f"{value:.2g}" for value in columns],
            fontsize=8,
        )
        ax.set_yticks(
            range(size[0]),
            [value if isinstance(value, str) else f"{value:.2g}" for value in rows],
            fontsize=8,
        )

    def update(self, shares, diverged=None):
        """Draws shares (rows, columns). diverged: the same shape, bool."""
        shares = np.asarray(shares, float)
        diverged = np.zeros(shares.shape, bool) if diverged is None else diverged
        self.image.set_data(np.nan_to_num(shares))
        for row, texts in enumerate(self.texts):
            for column, text in enumerate(texts):
                share = shares[row, column]
                mark = (
                    "×"
                    if diverged[row, column]
                    else "?"
                    if np.isnan(share)
                    else f"{100 * share:.0f}"
                )
                text.set(text=mark, color="white" if np.nan_to_num(share) > 0.53 else "black")
        lost = f", {diverged.sum()} diverged (×)" if diverged.any() else ""
        return f"{(shares > 0.9).sum()} of {shares.size} cells are over 90 %{lost}."


class Answers(Drawing):
    """What a network answers where each digit is right: a table of shares (10, 10), the darker the larger."""

    def __init__(self, ax):
        super().__init__(ax, "Its answers to the test digits", "digit", "answer")
        self.image = self.moving(
            ax.imshow(np.zeros((10, 10)), cmap="Greys", vmin=0, vmax=1, aspect="auto")
        )
        ax.set(xticks=range(10), yticks=range(10))

    def update(self, shares):
        """Draws shares[right, answer], 0 to 1."""
        self.image.set_data(shares)
        if not shares.any():
            return "It gives no answer: its scores are not finite."
        most = int(np.argmax(shares.sum(0)))
        return f"{np.mean(np.diag(shares)):.0%} of the answers are right; the commonest is {most}, given to {shares[:, most].mean():.0%}."


class Plane(Drawing):
    """Where in the plane a network answers which of two classes, and points of both. x: (points, 2); y: (points,), 0 or 1."""

    side, cells = 2.3, 41
    grid = np.stack(
        np.meshgrid(*[np.linspace(-side, side, cells, dtype=np.float32)] * 2), -1
    ).reshape(-1, 2)

    def __init__(self, ax, x, y):
        super().__init__(ax, "Its answers in the plane", "second feature", "first feature")
        tints = LinearSegmentedColormap.from_list("tints", ["#F3B584", "#FFFFFF", "#8CC3E6"])
        extent = (-self.side, self.side) * 2
        shown = ax.imshow(
            np.zeros((self.cells, self.cells)),
            cmap=tints,
            vmin=0,
            vmax=1,
            extent=extent,
            aspect="auto",
            origin="lower",
        )
        self.image = self.moving(shown)
        for kind, style in enumerate(STYLES[:2]):
            self.moving(ax.plot(*x[y == kind].T, style["marker"], color=style["color"], ms=3)[0])

    def update(self, share):
        """Draws share (len(grid),), the probability that the network gives to class 0 at each point of `grid`."""
        self.image.set_data(share.reshape(self.cells, self.cells))
        return f"The class of the circles is the likelier one in {(share > 0.5).mean():.0%} of the plane."


class Picture:
    """A finished figure and its alternative text, for screen readers and for pages without pictures."""

    def __init__(self, png, alt):
        self.png, self.alt = png, alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        return bundle(self.png, self.alt)


def picture(drawing, *data, size=(7.6, 3.2), **settings):
    """The Picture of one drawing: `picture(Spread, one, two, labels=("one", "two"))` draws the Profiles one and two.

    size: width and height in inches, at 100 pixels an inch. Settings go to the drawing when it is made.
    """
    with DRAWING:
        figure = new_figure(size)
        drawn = drawing(figure.add_subplot(), **settings)
        alt = drawn.update(*data)
        figure.canvas.draw()
        return Picture(to_png(np.asarray(figure.canvas.buffer_rgba()), level=9), alt)


def new_figure(size, layout="constrained"):
    """A figure without pyplot: nothing global, nothing to close."""
    figure = Figure(figsize=size, dpi=100, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def to_png(pixels, level):
    """The bytes of a PNG from an array of pixels (height, width, 4); `level` 1 is quick, 9 is small."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def img(png, alt, attributes=""):
    """An HTML <img> that carries its own picture and its alternative text."""
    source = "data:image/png;base64," + base64.b64encode(png).decode()
    return f'<img alt="{html.escape(alt)}" src="{source}" {attributes}>'


def bundle(png, alt):
    """What a notebook stores of a picture: HTML for JupyterLab, which drops a PNG's alternative text, and the PNG for pages
    that show no HTML."""
    data = {
        "text/html": img(png, alt),
        "image/png": base64.b64encode(png).decode(),
        "text/plain": alt,
    }
    return data, {"image/png": {"alt": alt}}
