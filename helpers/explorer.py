"""Floor 4: sliders, and a figure that follows them."""

import html

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.transforms import Bbox

from .arguments import choice, integer, number
from .datasets import digits
from .figures import Spread, Values, bundle, img, new_figure, to_png
from .networks import ACTIVATIONS, build
from .signals import DTYPES, profile

CRITICAL = {"relu": 2**0.5, "tanh": 1.0, "linear": 1.0, "sigmoid": None}  # the gain that keeps a small signal's size
LAWS = {"relu": ("gain/√2 a layer", 2**0.5), "linear": ("gain a layer", 1.0)}  # where a constant factor a layer is the law
EXAMPLES = 256

# A stock slider has no accessible name, for its label is not tied to its handle, and tells its value with one decimal only.
# And JupyterLab takes the arrow keys and letters of a focused menu for its own. From the first picture on, this gives the
# handles both, and the keys back, whenever something in the explorer has changed.
ACCESS = (
    "const explorer = this.closest('.explorer'), all = what => explorer.querySelectorAll(what);"
    " const name = () => {"
    " for (const control of all('select, button, [role=slider]')) control.dataset.lmSuppressShortcuts = '';"
    " for (const slider of all('.widget-hslider')) {"
    " const [handle, label, readout] = ['[role=slider]', '.widget-label', '.widget-readout'].map(s => slider.querySelector(s));"
    " handle.setAttribute('aria-label', label.textContent); handle.setAttribute('aria-valuetext', readout.textContent) } };"
    " if (explorer && !explorer.dataset.named) {"
    " explorer.dataset.named = ''; name(); new MutationObserver(name).observe(explorer, {childList: true, subtree: true}) }"
)
STYLE = """<style>
.explorer .controls {{ display: grid; grid-template-columns: repeat(auto-fill, 330px); gap: 2px 14px; max-width: 1018px }}
.explorer .controls > .widget-box {{ display: contents }}
.explorer .controls .widget-inline-hbox {{ width: 322px }}
.explorer .controls > button {{ width: 100px; margin-left: 88px }}
.explorer figure {{ display: flex; flex-wrap: wrap; gap: 0 1.5em; align-items: center; margin: 0 }}
.explorer figcaption {{ flex: 1 1 12em; max-width: 30em; line-height: 1.45 }}
.explorer td, .explorer th {{ padding: 0 .8em 0 0; text-align: right }}
.explorer img {{ max-width: 100% }}
.explorer.{name} .gain .noUi-base::after {{ content: "{mark}"; position: absolute; left: {left:.2f}%; top: 7px;
 transform: translateX(-50%); white-space: pre; text-align: center;
 font-size: 10px; line-height: 1.1; pointer-events: none }}
.explorer .gain {{ margin-bottom: 16px; overflow: visible }}
</style>"""


class Live:
    """Draws a figure again and again, quickly: what stands still once, what moves each time.

    The still part of each drawing is kept as pixels, for each `frame` that it has had. The drawings stand side by side.
    """

    def __init__(self, figure, drawings):
        self.figure, self.drawings, self.stills = figure, drawings, {}
        for drawing in drawings:
            for artist in drawing.artists:
                artist.set_animated(True)  # leaves it out of ax.draw()
        figure.canvas.draw()
        x0, y0, width, height = figure.bbox.bounds
        part = width / len(drawings)
        self.places = [Bbox.from_bounds(x0 + k * part, y0, part, height) for k in range(len(drawings))]

    def still(self, drawing, place):
        """The pixels of what stands still in a drawing in its present frame."""
        key = drawing, drawing.frame
        if key not in self.stills:
            canvas = self.figure.canvas
            np.asarray(canvas.buffer_rgba())[:, int(place.x0) : int(place.x1)] = 255
            drawing.ax.draw(canvas.get_renderer())
            self.stills[key] = canvas.copy_from_bbox(place)
            if len(self.stills) > 64:  # each takes half a megabyte
                del self.stills[next(iter(self.stills))]
        return self.stills[key]

    def png(self):
        """The figure as it is now, as the bytes of a PNG."""
        canvas = self.figure.canvas
        for drawing, place in zip(self.drawings, self.places):
            canvas.restore_region(self.still(drawing, place))
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
        self.start = {"depth": depth, "gain": gain, "width": width, "activation": activation, "dtype": dtype}
        figure = new_figure((8.4, 3.4), layout="none")  # laid out here once, not for every frame
        figure.subplots_adjust(left=0.095, right=0.98, top=0.82, bottom=0.14, wspace=0.32)
        self.spread = Spread(figure.add_subplot(1, 2, 1))
        self.values = Values(figure.add_subplot(1, 2, 2))
        for drawing, left in (self.spread, -0.18), (self.values, -0.11):
            drawing.ax.xaxis.set_label_coords(0.5, -0.12)
            drawing.ax.yaxis.set_label_coords(left, 0.5)
        self.live = Live(figure, [self.spread, self.values])
        self.page = widgets.HTML()
        reset = widgets.Button(description="reset", tooltip="Back to the settings at the start")
        reset.on_click(lambda _: self.reset())
        self.box = widgets.Box()  # of its own, so that *reset* keeps the focus when the controls are new
        rows = widgets.Box([self.box, reset])
        rows.add_class("controls")
        super().__init__([rows, self.page])
        self.add_class("explorer")
        self.add_class(f"explorer-{self.model_id}")
        self.controls = {}
        self.reset()

    def reset(self):
        """Puts new controls with the settings at the start in the old ones' place, and draws.

        New ones, because while the kernel is busy the page holds back a control's last move, and sends it after the click on
        *reset*: a control that nobody observes any more may then have it.
        """
        for control in self.controls.values():
            control.unobserve_all()
        self.controls = {
            "depth": slider("depth", self.start["depth"], 1, 200, "hidden layers"),
            "gain": slider("gain", self.start["gain"], 0, 4, "standard deviation of a weight times √fan_in", step=0.01),
            "width": slider("width", self.start["width"], 1, 256, "units a layer"),
            "activation": menu("activation", self.start["activation"], tuple(ACTIVATIONS), "function after each layer's product"),
            "dtype": menu("dtype", self.start["dtype"], tuple(DTYPES), "kind of floating-point numbers"),
        }
        self.controls["gain"].add_class("gain")
        for control in self.controls.values():
            control.observe(self.show, "value")
        self.box.children = tuple(self.controls.values())
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
            law, unit = LAWS.get(state["activation"], (None, 1.0))
            largest = torch.finfo(DTYPES[state["dtype"]]).max
            spread = self.spread.update(seen, law=law, factor=state["gain"] / unit, largest=largest, dtype=state["dtype"])
            self.alt = f"{spread} {self.values.update(seen)}"
            self.png = self.live.png()
        critical = CRITICAL[state["activation"]]
        mark = f"▲\\a critical {critical:.3f}" if critical else ""
        style = STYLE.format(name=f"explorer-{self.model_id}", mark=mark, left=25 * (critical or 0))
        figure = img(self.png, self.alt, f'onload="{ACCESS}"')
        table = numbers(seen, state["activation"])
        caption = f"<figcaption>{table}<p>{html.escape(self.alt)}</p></figcaption>"
        self.page.value = f"{style}<figure>{figure}{caption}</figure>"

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel the picture at the present settings."""
        data, metadata = bundle(self.png, self.alt)
        return {**super()._repr_mimebundle_(**kwargs), **data}, metadata


def slider(name, value, low, high, meaning, step=1):
    """A slider that computes while it is dragged: the page keeps one message under way and merges the rest."""
    if step == 1:
        kind, value, form = widgets.IntSlider, integer(name, value, low, high), "d"
    else:
        kind, value, form = widgets.FloatSlider, number(name, value, low, high), ".2f"
    return kind(value=value, min=low, max=high, step=step, description=name, readout_format=form, tooltip=meaning)


def menu(name, value, allowed, meaning):
    return widgets.Dropdown(description=name, options=allowed, value=choice(name, value, allowed), tooltip=meaning)


def numbers(seen, activation):
    """A small table of the first, the middle and the last layer."""
    rows = sorted({0, (seen.depth - 1) // 2, seen.depth - 1})
    name, stuck = ("dead", seen.dead) if activation in ("relu", "linear") else ("saturated", seen.saturated)
    head = f"<tr><th>layer</th><th>mean</th><th>std</th><th>{name}</th><th>NaN, inf</th></tr>"
    cells = (
        f"<tr><td>{row + 1}</td><td>{seen.mean[row]:.3g}</td><td>{seen.std[row]:.3g}</td>"
        f"<td>{'–' if seen.nonfinite[row] == 1 else f'{stuck[row]:.0%}'}</td><td>{seen.nonfinite[row]:.0%}</td></tr>"
        for row in rows
    )
    return f"<table>{head}{''.join(cells)}</table>"
