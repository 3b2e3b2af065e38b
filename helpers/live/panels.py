"""A figure as plain data, and the one function that draws it with Matplotlib; live.js does, too.

Nothing here computes a network: an explorer is a function from settings to a Picture.
"""

import base64
import html
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib import rc_params_from_file, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

STYLE = Path(__file__).parent.parent / "course.mplstyle"
# Each colour has dashes and a marker of its own, so that no difference is told by colour alone.
COLORS = rc_params_from_file(STYLE)["axes.prop_cycle"].by_key()["color"]
DASHES = "-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))
MARKERS = "os^vD"
KINDS = {  # of lines
    "line": {"lw": 1.6, "ms": 3.2},
    "points": {"ls": "", "mfc": "none", "ms": 4},  # hollow: single seeds, single batches
    "chosen": {"ls": "", "mfc": "none", "ms": 12, "mew": 2},
    "law": {"color": "black", "ls": "--", "lw": 1.1, "marker": ""},
    "contour": {"color": "black", "ls": "-", "lw": 0.6, "marker": ""},
    "outline": {"ls": "-", "lw": 2.5, "marker": ""},
}
LIMIT = "#A84300"
# An axis of layers, or of powers of ten, ends at one of a few places, so that it seldom moves.
LAYERS = 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200
DECADES = 2, 5, 10, 16, 24, 32, 40, 50, 100, 200, 300


@dataclass
class Axis:
    """From low to high. whole: of whole numbers. ticks: places and names, instead of numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    ticks: list | None = None


@dataclass
class Line:
    """Points (x, y) in the look of KINDS[kind] and the color, dashes and marker number `style`.

    color: the number of another colour, where the colour tells one thing and the dashes another.
    """

    x: np.ndarray
    y: np.ndarray
    name: str = ""  # without one it is in no legend
    style: int = 0
    kind: str = "line"
    color: int | None = None


@dataclass
class Shades:
    """A table of values (rows, columns) as colours. x, y: ends of the rectangle that it fills.

    quantity: what the values are called; percent: they are shares. top: full colour stands for it,
    and more. root: shades follow the square root, so that small values are seen. colors: from none
    to full; None is from the paper's colour to the ink's. texts: what is written in each cell.
    """

    values: np.ndarray
    x: tuple
    y: tuple
    quantity: str
    top: float = 1.0
    root: bool = False
    percent: bool = False
    colors: tuple | None = None
    texts: list | None = None

    def __post_init__(self):
        self.columns = self.values.shape[1]  # the page gets the values as one row

    def strengths(self):
        """How strong each cell's colour is, from 0 to 1. Of NaN, it is NaN, and the cell is blank,
        or 0, where the texts tell of it."""
        shares = np.clip(self.values / self.top, 0, 1)
        shares = np.nan_to_num(shares) if self.texts else shares
        return np.sqrt(shares) if self.root else shares


@dataclass
class Panel:
    """A pair of axes and what is drawn on it. sentence: what is to be seen.

    lost: where × stands at the top, for values that are not finite; zero: where ▼ stands at the
    bottom, for zeros on a logarithmic axis. limit: a line across, as name, height and name's side.
    """

    title: str
    x: Axis
    y: Axis
    lines: list = field(default_factory=list)
    sentence: str = ""
    shades: Shades | None = None
    lost: np.ndarray | None = None
    zero: np.ndarray | None = None
    limit: tuple | None = None


@dataclass
class Picture:
    """Panels, row by row in so many columns, or side by side; a table of texts, names in its first
    row; marks below sliders: each the slider's name, a value and a text. words: what is to be seen,
    where the panels' sentences do not say it. code: names and lines of code. number: of a picture
    in a film; the page answers with it when it has drawn the picture."""

    panels: list
    table: list
    marks: list = field(default_factory=list)
    words: str = ""
    columns: int | None = None
    code: list = field(default_factory=list)
    number: int | None = None

    @property
    def sentence(self):
        """What is to be seen, in words."""
        return self.words or " ".join(panel.sentence for panel in self.panels).strip()


# --- curves over the layers ---------------------------------------------------------------------


def curves(
    title, label, quantity, rows, *, law=None, limit=None, first=1, backward=False, unit="layer",
    intro="",
):  # fmt: skip
    """A Panel with a line over the layers for each of `rows`, names and arrays, one value a layer.

    quantity, unit: what the sentence calls the values and the layers. first: the first layer's
    number. law: a name and predicted values. limit: a name, a number and the name's side, drawn
    where it is near. backward: the sentence begins at the last layer, where a gradient comes from,
    after `intro`.
    """
    lines, said = [], []
    for k, (name, row) in enumerate(rows.items()):
        at = first + np.arange(len(row))
        lines.append(Line(at, row, name, k))
        begin = f"{name}: the" if len(rows) > 1 else "The"
        said.append(tell(f"{begin} {quantity}", row, at, backward, unit))
    layers = max((line.x for line in lines), key=len)
    places = np.concatenate([line.x for line in lines])
    values = np.concatenate([line.y for line in lines])
    if law:
        lines.append(Line(layers, law[1], law[0], kind="law"))
    finite = np.isfinite(values)
    y = decades(label, values if finite.all() or not limit else np.append(values, limit[1]))
    if limit and not y.low < limit[1] < y.high:
        limit = None
    return Panel(
        title, layer_axis(layers, unit), y, lines, intro + " ".join(said),
        lost=np.unique(places[~finite]), zero=np.unique(places[values == 0]), limit=limit,
    )  # fmt: skip


def layer_axis(layers, unit="layer"):
    """An Axis that holds these layers."""
    end = next(end for end in LAYERS if end >= layers[-1])
    return Axis(unit, layers[0] - 0.5, end + 0.5, whole=True)


def decades(label, values):
    """A logarithmic Axis that holds all values from 1e-300 to 1e300."""
    values = np.log10(values[np.isfinite(values) & (values > 0)])
    below = next((end for end in DECADES if -end <= values.min(initial=0)), DECADES[-1])
    above = next((end for end in DECADES if end >= values.max(initial=0)), DECADES[-1])
    return Axis(label, 10.0**-below, 10.0**above, log=True)


def tell(name, row, layers, backward=False, unit="layer"):
    """What a curve shows, in a sentence."""
    if backward:
        row, layers = row[::-1], layers[::-1]
    lost, zero = np.flatnonzero(~np.isfinite(row)), layers[row == 0]
    if len(lost):
        k = lost[0]
        before = f" after {row[k - 1]:.2g} at {unit} {layers[k - 1]}" if k else ""
        where = "where × stands, values are no longer finite"
        return f"{name} overflows at {unit} {layers[k]}{before}: {where}."
    if row[0] == 0 or row[-1] == 0:
        where = f"(marked ▼), {zero.min()} to {zero.max()}"
        return f"{name} is exactly zero at {len(zero)} of {len(row)} {unit}s {where}."
    if len(row) == 1:
        return f"{name} of the one {unit} is {row[0]:.3g}."
    change = np.log(row[-1]) - np.log(row[0])  # of a quotient, which may overflow
    way = "stays near" if abs(change) < np.log(2) else "grows from" if change > 0 else "falls from"
    to = "," if way == "stays near" else " to"
    ends = f"{row[0]:.2g} at {unit} {layers[0]}{to} {row[-1]:.2g} at {unit} {layers[-1]}"
    rate = np.exp(change / (len(row) - 1))
    return f"{name} {way} {ends}: a factor of {rate:{'.3f' if rate < 100 else '.3g'}} a {unit}."


# --- drawn with Matplotlib ----------------------------------------------------------------------


def draw(picture):
    """The Picture as a Matplotlib Figure, in the course's style whatever the user's is."""
    with style.context(["default", STYLE]):
        columns = picture.columns or len(picture.panels)
        rows = -(-len(picture.panels) // columns)
        figure = Figure(figsize=(8.4, 3.4) if rows == 1 else (2.8 * columns, 3 * rows))
        FigureCanvasAgg(figure)
        for k, panel in enumerate(picture.panels, 1):
            draw_panel(figure.add_subplot(rows, columns, k), panel)
        return figure


def draw_panel(ax, panel):
    """One Panel on Matplotlib's Axes."""
    ax.set_title(panel.title, fontsize=10, pad=22)
    for name, axis, drawn in ("x", panel.x, ax.xaxis), ("y", panel.y, ax.yaxis):
        kind, limits = "log" if axis.log else "linear", (axis.low, axis.high)
        ax.set(**{f"{name}label": axis.label, f"{name}scale": kind, f"{name}lim": limits})
        drawn.minorticks_off()
        if axis.ticks:
            drawn.set_ticks(*zip(*axis.ticks))  # places and names
        elif not axis.log:
            drawn.set_major_locator(MaxNLocator(5, integer=axis.whole))
    if panel.shades:
        draw_shades(ax, panel.shades)
    else:
        ax.grid(axis="y")
    for line in panel.lines:
        k, color = line.style, line.style if line.color is None else line.color
        look = {"color": COLORS[color], "ls": DASHES[k], "marker": MARKERS[k], **KINDS[line.kind]}
        if line.kind == "line":  # about 20 markers; lines that coincide have theirs in other places
            every = max(1, len(line.x) // 20)
            look["markevery"] = k * every // 2 % every, every
        ax.plot(line.x, line.y, label=line.name or "_", **look)
    edge = {"ms": 5, "clip_on": False, "zorder": 5, "transform": ax.get_xaxis_transform()}
    for places, look, height in (panel.lost, "kx", 1), (panel.zero, "kv", 0):
        if places is not None and len(places):
            ax.plot(places, np.full(len(places), height), look, **edge)
    if panel.limit:
        name, value, side = panel.limit
        ax.axhline(value, color=LIMIT, lw=1, ls=":")
        place = {"x": {"left": 0.02, "right": 0.98}[side], "transform": ax.get_yaxis_transform()}
        height = ax.transAxes.inverted().transform(ax.transData.transform((1, value)))[1]
        place["va"] = "bottom" if height < 0.92 else "top"  # above the line, if there is room
        ax.text(y=value, s=name, color=LIMIT, fontsize=8, ha=side, **place)
    if named := [line for line in ax.lines if line.get_label()[0] != "_" and len(line.get_xdata())]:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.99), "borderaxespad": 0.2}
        ax.legend(handles=named, ncols=4, columnspacing=1, **place).set_in_layout(False)


def draw_shades(ax, shades):
    """A table of values as colours, and what is written in its cells."""
    colors = LinearSegmentedColormap.from_list("shades", shades.colors or ("white", "black"))
    place = {"extent": (*shades.x, *shades.y), "aspect": "auto", "origin": "lower"}
    strengths = shades.strengths()
    ax.imshow(strengths, colors, vmin=0, vmax=1, interpolation="nearest", **place)
    for (row, column), strength in np.ndenumerate(strengths) if shades.texts else ():
        dark = np.dot(np.power(to_rgb(colors(strength)), 2.2), (0.2126, 0.7152, 0.0722)) < 0.18
        text, ink = shades.texts[row][column], "white" if dark else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)


# --- shown in a notebook ------------------------------------------------------------------------


def show(fig, alt):
    """Shows a Matplotlib figure with an alternative text, sharp on every screen, and closes it.

    fig: what `plt.subplots()` returns first. alt: what is to be seen, in words. Raises ValueError on
    anything else. In every lesson.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if not isinstance(fig, Figure):
        raise ValueError(f"fig must be a Matplotlib Figure, got {type(fig).__name__}")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must be a text that says what is to be seen, got {alt!r}")
    data, metadata = bundle(fig, alt)
    pyplot.close(fig)
    display(data, metadata=metadata, raw=True)


def bundle(figure, alt, around="*"):
    """What a notebook stores of a figure: the PNG, with twice the pixels that it is shown with, and
    HTML, for JupyterLab drops a PNG's alternative text. around: HTML, with * for the picture.

    256 colours are enough, and make a notebook a third as large."""
    full, png = io.BytesIO(), io.BytesIO()
    with style.context(["default", STYLE]):
        figure.savefig(full, format="png", dpi=200)
    Image.open(full).convert("RGB").quantize(256).save(png, format="png")
    code, width = base64.b64encode(png.getvalue()).decode(), round(100 * figure.get_figwidth())
    look = f'width="{width}" style="max-width: 100%; height: auto"'
    img = f'<img alt="{html.escape(alt)}" {look} src="data:image/png;base64,{code}">'
    data = {"text/html": around.replace("*", img, 1), "image/png": code, "text/plain": alt}
    return data, {"image/png": {"alt": alt, "width": width}}
