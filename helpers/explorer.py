"""Floor 4: sliders, and a figure that follows them."""

import html

import ipywidgets as widgets
import numpy as np
import torch

from .arguments import choice, integer, number
from .datasets import digits
from .figures import Spread, Values, bundle, img, new_figure, to_png
from .networks import ACTIVATIONS, build
from .signals import DTYPES, profile

CRITICAL = {"relu": 2**0.5, "tanh": 1.0, "linear": 1.0, "sigmoid": None}  # the gain that keeps a small signal's size
EXAMPLES = 256

# A stock slider has no accessible name, for its label is not tied to its handle, and tells its value with one decimal only.
# And JupyterLab takes the arrow keys and letters of a focused menu for its own. Whenever a new picture has loaded, this gives
# the handles both, and the keys back (unless a still newer picture has taken its place on the page).
ACCESS = (
    "const all = what => this.closest('.explorer')?.querySelectorAll(what) ?? [];"
    " for (const control of all('select, button, [role=slider]')) control.dataset.lmSuppressShortcuts = '';"
    " for (const slider of all('.widget-hslider')) {"
    " const [handle, label, readout] = ['[role=slider]', '.widget-label', '.widget-readout'].map(s => slider.querySelector(s));"
    " handle.setAttribute('aria-label', label.textContent); handle.setAttribute('aria-valuetext', readout.textContent) }"
)
STYLE = """<style>
.explorer .widget-hslider {{ width: 330px }}
.explorer figure {{ display: flex; flex-wrap: wrap; gap: 0 1.5em; align-items: center; margin: 0 }}
.explorer figcaption {{ flex: 1 1 12em; max-width: 30em; line-height: 1.45 }}
.explorer td, .explorer th {{ padding: 0 .8em 0 0; text-align: right }}
.explorer img {{ max-width: 100% }}
.explorer .gain .noUi-base::after {{ content: "{mark}"; position: absolute; left: {left:.2f}%; top: 7px;
 transform: translateX(-50%); white-space: pre; text-align: center;
 font-size: 10px; line-height: 1.1; pointer-events: none }}
.explorer .gain {{ margin-bottom: 18px; overflow: visible }}
</style>"""


class Live:
    """Draws a figure again and again, quickly: what stands still once, what moves each time.

    The still part is kept as pixels, and drawn anew only when an axis has changed its limits.
    """

    def __init__(self, figure, drawings):
        self.figure, self.drawings = figure, drawings
        self.limits = self.background = None
        for drawing in drawings:
            for artist in drawing.artists:
                artist.set_animated(True)  # leaves it out of figure.canvas.draw()

    def png(self):
        """The figure as it is now, as the bytes of a PNG."""
        canvas = self.figure.canvas
        limits = [(drawing.ax.get_xlim(), drawing.ax.get_ylim()) for drawing in self.drawings]
        if limits != self.limits:
            canvas.draw()
            self.limits, self.background = limits, canvas.copy_from_bbox(self.figure.bbox)
        canvas.restore_region(self.background)
        for drawing in self.drawings:
            for artist in drawing.artists:
                drawing.ax.draw_artist(artist)
        return to_png(np.asarray(canvas.buffer_rgba()), level=1)


class Explorer(widgets.VBox):
    """Sliders for depth, gain, width, activation and dtype of a network at initialization, and what its signal does.

    x: (batch, features), the signal; None takes 256 digits. The other arguments are the settings at the start, which *reset*
    brings back: depth 1 to 200, gain 0 to 4, width 1 to 256, activation and dtype by name, seed of the weights.
    Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, x=None, depth=50, gain=1.0, width=100, activation="relu", dtype="float32", seed=1):
        self.x = digits(0).x[:EXAMPLES] if x is None else x
        self.seed = seed
        self.controls = {
            "depth": slider("depth", depth, 1, 200),
            "gain": slider("gain", gain, 0, 4, step=0.01),
            "width": slider("width", width, 1, 256),
            "activation": menu("activation", activation, tuple(ACTIVATIONS)),
            "dtype": menu("dtype", dtype, tuple(DTYPES)),
        }
        self.controls["gain"].add_class("gain")
        self.start = self.state
        figure = new_figure((8.4, 3.4), layout="none")  # laid out here once, not in every frame
        figure.subplots_adjust(left=0.095, right=0.985, top=0.82, bottom=0.14, wspace=0.26)
        self.spread = Spread(figure.add_subplot(1, 2, 1), law="gain/√2 a layer")
        self.values = Values(figure.add_subplot(1, 2, 2))
        self.live = Live(figure, [self.spread, self.values])
        self.page = widgets.HTML()
        reset = widgets.Button(description="reset", tooltip="Back to the settings at the start")
        reset.on_click(lambda _: self.set(**self.start))
        rows = widgets.HBox([*self.controls.values(), reset], layout={"flex_flow": "row wrap"})
        super().__init__([rows, self.page])
        self.add_class("explorer")
        for control in self.controls.values():
            control.observe(self.show, "value")
        self.show()

    @property
    def state(self):
        """The settings as a dict."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Moves several controls and draws once. Raises ValueError, and moves none, if a setting is not allowed."""
        for name, value in settings.items():
            control = self.controls[choice("setting", name, tuple(self.controls))]
            if isinstance(control, widgets.Dropdown):
                choice(name, value, control.options)
            else:
                (integer if control.step == 1 else number)(name, value, control.min, control.max)
        self.quiet = True
        for name, value in settings.items():
            self.controls[name].value = value
        self.quiet = False
        self.show()

    quiet = False

    def show(self, change=None):
        """Computes the network of the present settings and draws it."""
        if self.quiet:
            return
        state = self.state
        network = {name: value for name, value in state.items() if name != "dtype"}
        net = build(**network, inputs=self.x.shape[-1], classes=10, seed=self.seed)
        with np.errstate(all="ignore"):  # an overflow is to be seen in the picture, not in a warning
            seen = profile(net, self.x, dtype=state["dtype"])
            factor = state["gain"] / 2**0.5 if state["activation"] == "relu" else None
            largest = torch.finfo(DTYPES[state["dtype"]]).max
            spread = self.spread.update(seen, factor=factor, largest=largest, dtype=state["dtype"])
            self.alt = f"{spread} {self.values.update(seen)}"
            self.png = self.live.png()
        critical = CRITICAL[state["activation"]]
        mark = f"▲\\a critical {critical:.3f}" if critical else ""
        style = STYLE.format(mark=mark, left=25 * (critical or 0))
        figure = img(self.png, self.alt, f'onload="{ACCESS}"')
        caption = f"<figcaption>{numbers(seen)}<p>{html.escape(self.alt)}</p></figcaption>"
        self.page.value = f"{style}<figure>{figure}{caption}</figure>"

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel the picture at the present settings."""
        data, metadata = bundle(self.png, self.alt)
        return {**super()._repr_mimebundle_(**kwargs), **data}, metadata


def slider(name, value, low, high, step=1):
    """A slider that computes while it is dragged: the page keeps one message under way and merges the rest."""
    if step == 1:
        kind, value, form = widgets.IntSlider, integer(name, value, low, high), "d"
    else:
        kind, value, form = widgets.FloatSlider, number(name, value, low, high), ".2f"
    return kind(value=value, min=low, max=high, step=step, description=name, readout_format=form)


def menu(name, value, allowed):
    return widgets.Dropdown(description=name, options=allowed, value=choice(name, value, allowed))


def numbers(seen):
    """A small table of the first, the middle and the last layer."""
    rows = sorted({0, (seen.depth - 1) // 2, seen.depth - 1})
    stuck = seen.dead if seen.saturated.max() == 0 else seen.saturated
    name = "dead" if stuck is seen.dead else "saturated"
    head = f"<tr><th>layer</th><th>mean</th><th>std</th><th>{name}</th><th>NaN, inf</th></tr>"
    cells = (
        f"<tr><td>{row + 1}</td><td>{seen.mean[row]:.3g}</td><td>{seen.std[row]:.3g}</td>"
        f"<td>{stuck[row]:.0%}</td><td>{seen.nonfinite[row]:.0%}</td></tr>"
        for row in rows
    )
    return f"<table>{head}{''.join(cells)}</table>"
