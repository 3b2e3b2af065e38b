"""The live figure in a notebook: controls, and a picture that follows them. The page has live.js."""

import html
import threading
from contextlib import nullcontext
from dataclasses import is_dataclass
from pathlib import Path
from uuid import uuid4

import anywidget
import numpy as np
import traitlets
from IPython import get_ipython
from IPython.display import display

from ..arguments import choice, integer, number
from ..networks import ACTIVATIONS, NORMS, ORDERS
from ..signals import DTYPES
from .panels import bundle, draw

EXAMPLES = 256  # of the digits, at most
RANGES = {  # low, high, step, meaning
    "depth": (1, 200, 1, "hidden layers"),
    "gain": (0, 4, 0.01, "standard deviation of a weight times √fan_in"),
    "width": (1, 256, 1, "units a layer"),
    "batch": (2, EXAMPLES, 1, "examples that are normalized together"),
    "gamma": (0, 3, 0.05, "scale after the normalization"),
    "beta": (-3, 3, 0.05, "shift after the normalization"),
    "batches": (0, 100, 1, "training batches that the layer has seen"),
    "momentum": (0.01, 1, 0.01, "what the newest batch weighs in the running averages"),
    "branch_scale": (0, 1, 0.01, "what a branch is multiplied by before it is added"),
    "steps": (1, 200, 1, "steps in time"),
    "factor": (-1, 1.5, 0.01, "derivative of each layer's function, F′"),
}
MENUS = {  # options, meaning
    "activation": (tuple(ACTIVATIONS), "function after each layer's product"),
    "dtype": (tuple(DTYPES), "kind of floating-point numbers"),
    "norm": (tuple(NORMS), "what stands before each activation"),
    "mode": (("train", "eval"), "what normalizes: the batch's moments, or the running averages"),
    "skip": ((False, True), "whether a layer is added to its input, or replaces it"),
    "order": (ORDERS, "where norm and activation stand: before the weights, or after the sum"),
}
HERE = Path(__file__).parent
# The stored picture and the live one stand in two outputs. Without a kernel the second would say
# "Loading widget..." or "model not found": it is hidden, and the stored picture is seen.
STILL = """<style>.jp-OutputArea-child:has(.live-still) + .jp-OutputArea-child:not(:has(.live)) {{
display: none }}</style><figure class="live-still {}" style="margin: 0">*<figcaption>{}
<strong>Run this cell to move it.</strong></figcaption></figure>"""
CLOSED = (
    "This figure was closed: its cell ran again, or close() was called. Run the line that made it."
)
SHOWN = {}  # for each cell of the notebook: its last execution, and the figures that it showed then


class Live(anywidget.AnyWidget):
    """Controls and a picture that follows them.

    compute: a function from settings, named, to a Picture. settings: name and value of each control
    at the start. choices: the values of the controls that RANGES and MENUS do not know. buttons:
    from names to a meaning and a function, called without arguments.

    *reset* in the page and `set` here make the `generation` grow. Whoever then gets a message of an
    older generation, sent before and late, drops it.
    """

    _esm = (HERE / "live.js").read_text("utf-8") + "export default { render: live.render }"
    _css = (HERE / "live.css").read_text("utf-8")
    controls = traitlets.List().tag(sync=True)
    buttons = traitlets.List().tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)  # class of the stored picture, which the page hides
    origin = traitlets.Dict().tag(sync=True)  # settings that *reset* in the page brings back
    asked = traitlets.Dict().tag(sync=True, echo_update=False)  # by the page: settings, generation
    shown = traitlets.Dict().tag(sync=True)  # by the kernel: the same, and the picture for them
    lock = nullcontext()  # where a setting is not allowed: `close` is called there, too

    def __init__(self, compute, settings, choices=None, buttons=None):
        self.choices, self.compute, self.pressed = choices or {}, compute, buttons or {}
        self.initial = {name: self.allowed(name, value) for name, value in settings.items()}
        self.settings, self.generation = self.initial, 0
        self.lock = threading.RLock()  # JupyterLab's sliders work in another thread than cells
        super().__init__(still=f"still-{uuid4().hex[:12]}", origin=self.initial)
        self.controls = [self.control(name) for name in self.initial]
        self.buttons = [[name, meaning] for name, (meaning, _) in self.pressed.items()]
        self.show()
        self.observe(lambda change: self.answer(**change["new"]), "asked")
        self.on_msg(lambda _, message, buffers: self.hear(message))

    @property
    def state(self):
        """The settings as a dict."""
        return dict(self.settings)

    @property
    def panels(self):
        """What is shown, as data: a list of Panels."""
        return self.picture.panels

    @property
    def alt(self):
        """What is shown, in words."""
        return self.picture.sentence

    def set(self, **settings):
        """Moves controls. Raises ValueError, and moves none, if a setting is not allowed."""
        for name in settings:
            choice("setting", name, self.initial)
        self.answer(settings, self.generation + 1)

    def reset(self):
        """Brings back the settings at the start."""
        self.set(**self.initial)

    def answer(self, settings, generation):
        """Follows the page's controls, unless the message is older than the last `set`."""
        moved = {name: self.allowed(name, value) for name, value in settings.items()}
        with self.lock:
            if generation >= self.generation and self.compute:  # None after `close`
                before = self.settings, self.generation
                self.settings, self.generation = {**self.settings, **moved}, generation
                try:
                    self.follow()
                except BaseException:  # also an interrupt: the page knows only what was shown
                    self.settings, self.generation = before
                    raise

    def follow(self):
        """Does what other settings ask for."""
        self.show()

    def set_state(self, sync_data):
        """Takes the page's traits, not while another thread sends: traitlets would lose a picture."""
        with self.lock:
            super().set_state(sync_data)

    def hear(self, message):
        """Does what the button says that was pressed in the page."""
        if message.get("press") in self.pressed:
            self.pressed[message["press"]][1]()

    def show(self):
        """Computes the picture of the present settings, and sends it to the page."""
        with self.lock, np.errstate(all="ignore"):  # an overflow is shown, and no warning
            self.picture = self.compute(**self.settings)
            settled = {"settings": self.settings, "generation": self.generation}
            self.shown = {**settled, "sentence": self.picture.sentence, **encode(self.picture)}

    def allowed(self, name, value):
        """The value of a setting; raises a ValueError if it is not allowed."""
        if name in self.choices or name in MENUS:
            return choice(name, value, tuple(self.choices.get(name) or MENUS[name][0]))
        low, high, step, _ = RANGES[name]
        return (integer if step == 1 else number)(name, value, low, high)

    def control(self, name):
        """What the page needs for a control: a slider over a range or a list, or a menu."""
        if name in RANGES and name not in self.choices:
            low, high, step, meaning = RANGES[name]
            return {"name": name, "meaning": meaning, "low": low, "high": high, "step": step}
        options, meaning = (self.choices[name], name) if name in self.choices else MENUS[name]
        menu = isinstance(options[0], (str, bool))
        labels = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in options]
        about = {"name": name, "meaning": meaning, "menu": menu}
        return {**about, "options": list(options), "labels": labels}

    def close(self):
        """Takes the figure off the page, and lets go of all that it holds."""
        with self.lock:  # after the picture that is under way
            self.compute, self.picture, self.pressed, self.shown = None, None, {}, {}
        self.layout.close()
        super().close()

    def _ipython_display_(self):
        if not self.compute:  # after `close`
            print(CLOSED)
            return
        close_previous(self)
        with self.lock:  # words and picture of the same moment
            alt, picture = self.alt, self.picture
        data, metadata = bundle(draw(picture), alt, STILL.format(self.still, html.escape(alt)))
        display(data, metadata=metadata, raw=True)
        live, metadata = self._repr_mimebundle_()
        display({**live, "text/plain": ""}, metadata=metadata, raw=True)


def encode(value):
    """Data as the page gets it: dicts for dataclasses, the bytes of float64 for arrays, None for
    empty ones."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value, np.float64).tobytes() or None  # fewer parts of a message
    if is_dataclass(value):
        return {name: encode(part) for name, part in vars(value).items()}
    return [encode(part) for part in value] if isinstance(value, (list, tuple)) else value


def close_previous(figure):
    """Where a cell is run again, closes what it showed before."""
    parent = getattr(get_ipython(), "get_parent", dict)()  # outside of a kernel there is none
    cell = parent.get("metadata", {}).get("cellId")
    execution = parent.get("header", {}).get("msg_id")
    before, shown = SHOWN.get(cell, (None, []))
    if cell:
        if before != execution:
            for old in shown:
                if old is not figure:
                    old.close()
            shown = []
        SHOWN[cell] = execution, [*shown, figure]
