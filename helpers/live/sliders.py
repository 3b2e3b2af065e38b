"""Sliders and menus, and a figure that follows them: what the playground stands on until it is a live figure of widget.py, too.
Then all of this goes."""

import html

import ipywidgets as widgets
import numpy as np
from matplotlib.transforms import Bbox

from ..arguments import choice, integer, number
from .explorers import marks
from .figures import bundle, img, to_png
from .panels import DRAWING
from .widget import MENUS, RANGES

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
    " if (explorer && explorer.dataset.named === undefined) {"
    " explorer.dataset.named = ''; name(); new MutationObserver(name).observe(explorer, {childList: true, subtree: true}) }"
)
STYLE = """<style>
.explorer .controls { display: grid; grid-template-columns: repeat(auto-fill, 330px); gap: 2px 14px; max-width: 1018px }
.explorer .controls > .widget-box { display: contents }
.explorer .controls .widget-inline-hbox { width: 322px }
.explorer .controls { --jp-widgets-inline-label-width: 88px }
.explorer .buttons > button { width: auto; min-width: 100px; justify-self: start; margin-left: 96px }
.explorer.playground .buttons { display: flex; flex-wrap: wrap; grid-column: 1 / -1; gap: 4px; margin-left: 96px }
.explorer.playground .buttons > button { margin-left: 0 }
.explorer figure { display: flex; flex-wrap: wrap; gap: 0 1.5em; align-items: center; margin: 0 }
.explorer .presets { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: 8px }
.explorer .presets > button { width: auto; margin: 0 }
.explorer figcaption { flex: 1 1 12em; max-width: 30em; line-height: 1.45 }
.explorer td, .explorer th { padding: 0 .8em 0 0; text-align: right; white-space: nowrap }
.explorer img { max-width: 100% }
.explorer .gain, .explorer .branch_scale { margin-bottom: 16px; overflow: visible }
.explorer .noUi-base::after { position: absolute; top: 7px; transform: translateX(-50%); white-space: pre;
 text-align: center; font-size: 10px; line-height: 1.1; pointer-events: none }
</style>"""


class Live:
    """Draws a figure again and again, quickly: what stands still once, what moves each time.

    The still part of each drawing is kept as pixels, for each `frame` that it has had. The drawings stand in cells of equal size,
    row by row, `columns` in each (None: all side by side).
    """

    def __init__(self, figure, drawings, columns=None):
        self.figure, self.drawings, self.stills = figure, drawings, {}
        for drawing in drawings:
            for artist in drawing.artists:
                artist.set_animated(True)  # leaves it out of ax.draw()
        with DRAWING:
            figure.canvas.get_renderer()  # makes the pixels that `still` draws on
        columns = columns or len(drawings)
        rows = -(-len(drawings) // columns)
        width, height = figure.bbox.width / columns, figure.bbox.height / rows
        cells = [divmod(k, columns) for k in range(len(drawings))]
        self.places = [
            Bbox.from_bounds(column * width, (rows - 1 - row) * height, width, height)
            for row, column in cells
        ]

    def still(self, drawing, place):
        """The pixels of what stands still in a drawing in its present frame."""
        key = drawing, drawing.frame
        if key not in self.stills:
            canvas = self.figure.canvas
            top, bottom = (
                round(self.figure.bbox.height - y) for y in (place.y1, place.y0)
            )  # an array's rows go downwards
            np.asarray(canvas.buffer_rgba())[top:bottom, round(place.x0) : round(place.x1)] = 255
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


def shut(widget):
    """Closes a widget and all that belongs to it; what is not closed, ipywidgets keeps for ever."""
    for one in (
        *getattr(widget, "children", ()),
        getattr(widget, "style", None),
        getattr(widget, "layout", None),
    ):
        if isinstance(one, widgets.Widget):
            shut(one)
    widget.close()


class Sliders(widgets.VBox):
    """Controls and a figure of drawings that follows them. What is drawn is told by a subclass, in `draw`.

    settings: name and value of each control at the start.
    choices: lists of the values of those settings that RANGES and MENUS do not know. buttons: what stands beside *reset*.
    columns: of the figure's grid of drawings, as in Live.
    """

    resets = "Back to the settings at the start"

    def __init__(self, figure, drawings, settings, choices=None, buttons=(), columns=None):
        self.initial = settings
        self.choices = choices or {}
        self.live = Live(figure, drawings, columns)
        self.page, self.style = (
            widgets.HTML(),
            widgets.HTML(),
        )  # apart, for a new style makes the browser look at the whole page
        self.box = (
            widgets.Box()
        )  # of its own, so that *reset* keeps the focus when the controls are new
        bar = widgets.Box([button("reset", self.reset, self.resets), *buttons])
        bar.add_class("buttons")
        rows = widgets.Box([self.box, bar])
        rows.add_class("controls")
        super().__init__([rows, self.page, self.style])
        self.add_class("explorer")
        self.add_class(f"explorer-{self.model_id}")
        self.controls, self.replaced = {}, []
        self.put(self.initial)

    def draw(self, **state):
        """Moves the drawings; returns a small table in HTML, the sentences that say what is to be seen, and any that only those
        who do not see the picture need."""
        raise NotImplementedError

    def reset(self):
        """Brings back the settings at the start."""
        self.put(self.initial)

    def put(self, settings):
        """Puts new controls with these settings in the old ones' place, and draws.

        New ones, because while the kernel is busy the page holds back a control's last move, and sends it after the click on
        *reset*: a control that nobody observes any more may then have it.
        """
        for old in self.replaced:
            shut(old)
        self.replaced = [
            *self.controls.values()
        ]  # closed when their successors go: what the page held back for them has come then
        for old in self.replaced:
            old.unobserve_all()
        self.controls = {
            name: control(name, value, self.choices.get(name)) for name, value in settings.items()
        }
        for new in self.controls.values():
            new.observe(self.show, "value")
        self.box.children = tuple(self.controls.values())
        self.show()

    @property
    def state(self):
        """The settings as a dict."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Moves several controls and draws once. Raises ValueError, and moves none, if a setting is not allowed."""
        for name, value in settings.items():
            choice("setting", name, tuple(self.controls))
            shut(control(name, value, self.choices.get(name)))
        self.quiet = True
        for name, value in settings.items():
            self.controls[name].value = value
        self.quiet = False
        self.show()

    quiet = False

    def show(self, change=None):
        """Follows the controls."""
        if not self.quiet:
            self.picture(**self.state)

    def picture(self, **state):
        """Draws these settings."""
        with (
            DRAWING,
            np.errstate(all="ignore"),
        ):  # an overflow is to be seen in the picture, not in a warning
            table, said, *more = self.draw(**state)
            self.png = self.live.png()
        self.alt = " ".join([said, *more])
        figure = img(self.png, self.alt, f'onload="{ACCESS}"')
        caption = f"<figcaption>{table}<p>{html.escape(said)}</p></figcaption>"
        self.page.value = f"<figure>{figure}{caption}</figure>"
        self.style.value = STYLE + "".join(self.mark(*mark) for mark in marks(**state))

    def mark(self, name, value, text):
        """The style that puts a mark below a slider."""
        low, high, *_ = RANGES[name]
        style = f'content: "▲\\a {text}"; left: {100 * (value - low) / (high - low):.2f}%'
        return f"<style>.explorer-{self.model_id} .{name} .noUi-base::after {{ {style} }}</style>"

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel the picture at the present settings."""
        data, metadata = bundle(self.png, self.alt)
        return {**super()._repr_mimebundle_(**kwargs), **data}, metadata


def control(name, value, choices=None):
    """The slider or menu of a setting. Raises ValueError on a value that is not allowed.

    A slider computes while it is dragged: the page keeps one message under way and merges the rest.
    """
    options, meaning = (choices, name) if choices is not None else MENUS.get(name, (None, name))
    if options is not None:
        named = isinstance(options[0], (str, bool))
        kind = widgets.Dropdown if named else widgets.SelectionSlider
        labels = [(str(one) if named else f"{one:.3g}", one) for one in options]
        return kind(
            description=name, options=labels, value=choice(name, value, options), tooltip=meaning
        )
    low, high, step, meaning = RANGES[name]
    if step == 1:
        kind, value, form = widgets.IntSlider, integer(name, value, low, high), "d"
    else:
        kind, value, form = widgets.FloatSlider, number(name, value, low, high), ".2f"
    made = kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=name,
        readout_format=form,
        tooltip=meaning,
    )
    made.add_class(name)
    return made


def button(name, act, meaning):
    """A button that calls act() when it is pressed."""
    made = widgets.Button(description=name, tooltip=meaning)
    made.on_click(lambda _: act())
    return made


def table(head, rows, form=""):
    """A table in HTML. head: the columns' names, the first may be empty; rows: a name and its cells each; form: of every cell."""
    top = (f"<th>{name}</th>" if name else "<td></td>" for name in head)
    others = (
        (f"<th>{name}</th>", *(f"<td>{cell:{form}}</td>" for cell in cells))
        for name, *cells in rows
    )
    return "<table>" + "".join(f"<tr>{''.join(row)}</tr>" for row in (top, *others)) + "</table>"
