"""The playground: a network that trains in the page, and knobs to turn meanwhile."""

import math
from functools import partial

import numpy as np

from ..arguments import choice, integer, one_seed
from ..datasets import spirals
from .explorers import marks
from .panels import Axis, Line, Panel, Picture, Shades, curves
from .run import CELLS, DATA, DEFAULTS, KEPT, SIDE, Worker
from .widget import CLOSED, Live

CHOICES = {
    "width": (2, 4, 8, 16, 32, 64, 128),
    "lr": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "batch": (2, 4, 8, 16, 32, 64, 128, 256),
    "data": tuple(DATA),
}
PRESETS = {  # what differs from DEFAULTS
    "exploding": {"gain": 3.0},
    "dead on arrival": {"gain": 0.8},
    "saved by He": {"gain": 1.41},
    "saved by batch norm": {"gain": 0.8, "norm": "batch"},
    "BN explodes backward": {"depth": 100, "norm": "batch"},
    "56 plain": {"depth": 56, "norm": "batch"},
    "56 with skips": {"depth": 56, "norm": "batch", "skip": True},
    "200 layers": {"depth": 200, "skip": True, "branch_scale": 0.07},
}
# Where the axis of steps ends: at few places, so that it seldom moves.
ENDS = [count * 10**power for power in range(2, 9) for count in (1, 2, 5)]
# Of the plane: class 1, undecided, class 0. They differ in brightness, too.
TINTS = "#FBDCC2", "#FFFFFF", "#6FADD8"


class Playground(Live):
    """A network that trains in the page, and knobs to turn meanwhile: Playground(depth=56, seed=3).

    settings: depth, 1 to 200; gain, 0 to 4; branch_scale, 0 to 1; activation, norm and skip as in
    `build`; width, lr, batch (examples a step) and data, each one of CHOICES. What is not named is
    as in DEFAULTS. seed: of the weights and of the order of the examples; the same line gives the
    same curves. lr and batch may be turned in training; any other knob makes another network.

    Training runs in a thread of its own, so that the page always answers. After `start` it rests
    while no page is there; `step` does not. Raises ValueError on a setting that is not allowed. Lesson 09.
    """

    choices = CHOICES
    worker = None  # also where a setting is not allowed: `close` is called there, too

    def __init__(self, *, seed=0, **settings):
        for name in settings:
            choice("setting", name, DEFAULTS)
        given, seed = DEFAULTS | settings, one_seed(seed)
        settings = {name: self.allowed(name, value) for name, value in given.items()}
        self.worker = Worker(settings, seed, self.show)
        reset = "Back to step 0, with the knobs as they are"
        keep = f"Its curves stay beside those of the next runs; of the last {KEPT}"
        buttons = {name: ("Sets the knobs", partial(self.preset, name)) for name in PRESETS} | {
            "start": ("Trains until it is paused", self.start),
            "pause": ("Ends training", self.pause),
            "step": ("Trains one step", self.step),
            "reset": (reset, self.reset),
            "keep this run": (keep, self.keep),
            "forget kept runs": ("Only the present run stays", self.forget),
        }
        super().__init__(self.draw, settings, CHOICES, buttons)

    @property
    def run(self):
        """The Run that trains. Pause it before you measure its network yourself. Raises ValueError after
        `close`."""
        if not self.compute:
            raise ValueError(CLOSED)
        return self.worker.run

    @property
    def snapshot(self):
        """The Snapshot of it that is shown."""
        return self.worker.snapshot

    @property
    def line(self):
        """The line of code that makes this playground, as it stands."""
        return self.run.line

    @property
    def training(self):
        """Whether it trains until it is paused."""
        return self.worker.left == math.inf

    @property
    def alt(self):
        """What is shown, in words."""
        panels = [panel.sentence for panel in self.picture.panels]
        return " ".join([self.picture.sentence, *filter(None, panels)])

    # --- what the reader does -------------------------------------------------------------------

    def start(self):
        """Trains until it is paused."""
        self.train(math.inf)

    def pause(self):
        """Ends training after the step that is under way and one more."""
        self.train(0)

    def step(self, count=1):
        """Trains `count` steps, 1 to 100000, and pauses. Returns the playground."""
        self.train(integer("count", count, 1, 100_000))
        return self

    def train(self, steps):
        if not self.compute:
            raise ValueError(CLOSED)
        self.worker.train(steps)
        self.name_buttons()  # at once, before the step that is under way is done
        self.worker.wait()

    def set(self, **settings):
        """Moves knobs. Raises ValueError, and moves none, if a setting is not allowed."""
        super().set(**settings)
        self.worker.wait()
        if self.compute and self.shown["generation"] < self.generation:  # no picture has come yet
            self.show()  # or the page's next moves would come as too old

    def reset(self):
        """The same network as before its first step."""
        self.command(self.worker.begin, "Back to step 0.")

    def preset(self, name):
        """The knobs of one of PRESETS, and a new network."""
        settings = DEFAULTS | PRESETS[choice("name", name, PRESETS)]
        with self.lock:
            self.settings, self.generation = settings, self.generation + 1
            self.worker.settings = settings
        self.command(self.worker.begin)

    def keep(self):
        """Keeps the present run's curves beside those of the next ones."""
        self.command(self.worker.keep)

    def forget(self):
        """Drops the kept curves."""
        self.command(self.worker.forget)

    def command(self, command, *arguments):
        self.worker.send(command, *arguments)
        self.worker.wait()

    def close(self):
        """Ends training and takes the playground off the page."""
        if self.worker:
            self.worker.close()
        super().close()

    # --- the page -------------------------------------------------------------------------------

    def follow(self):
        """Follows the page's knobs. Of several moves in a row, the last counts."""
        self.worker.settings = self.settings
        self.worker.send(self.worker.follow)

    def hear(self, message):
        """Takes what the page says: a button was pressed, or pictures were drawn."""
        super().hear(message)
        if "drawn" in message:
            self.worker.answer(message["drawn"])

    def show(self):
        """Sends the picture of the snapshot to the page."""
        super().show()
        self.name_buttons()

    def name_buttons(self):
        """Names the button that starts or pauses, as training stands."""
        with self.lock:
            hidden = "start" if self.training else "pause"
            shown = [[name, about] for name, (about, _) in self.pressed.items()]
            self.buttons = [button for button in shown if button[0] != hidden]

    def draw(self, **settings):
        """The Picture of the snapshot and of the kept ones."""
        worker, now = self.worker, self.worker.snapshot
        runs = {"now": now} | {str(k): kept for k, kept in enumerate(worker.kept, 1)}
        named = runs if len(runs) > 1 else {"": now}  # a lone run's lines need no name
        answers = plane if now.answers.shape == (CELLS, CELLS) else digit_table
        things = "points" if answers is plane else "images"
        panels = [losses(named), errors(named), answers(now.answers), *layers(named, things)]
        rows = [row(name, run) for name, run in runs.items()]
        return Picture(
            panels, [["", "step", "loss", "train", "test"], *rows], marks(**settings),
            words=f"{worker.note} {words(now, things)}".strip(), columns=4,
            code=[[name, run.line] for name, run in runs.items()], number=worker.shown,
        )  # fmt: skip


# --- panels of the runs: the present one, "now", and the kept ones ------------------------------


def steps(runs):
    """The Axis of steps."""
    end = next(end for end in ENDS if end >= max(run.step for run in runs.values()))
    return Axis("step", 0, 1.03 * end)  # room for a point at the end


def losses(runs):
    """A Panel of the loss on each mini-batch."""
    values = np.concatenate([run.loss for run in runs.values()])
    values = np.log10(values[np.isfinite(values) & (values > 0)])
    low, high = (np.floor(values.min()), np.ceil(values.max())) if len(values) else (-1, 1)
    y = Axis("loss", 10.0**low, 10.0 ** max(high, low + 1), log=True)
    lines = [Line(run.steps, run.loss, name, k) for k, (name, run) in enumerate(runs.items())]
    lost = np.concatenate([run.steps[~np.isfinite(run.loss)] for run in runs.values()])
    zero = np.concatenate([run.steps[run.loss == 0] for run in runs.values()])
    return Panel("Loss", steps(runs), y, lines, lost=lost, zero=zero)


def errors(runs):
    """A Panel of the errors: lines for the training examples, hollow points for the others."""
    lines = []
    for k, (name, run) in enumerate(runs.items()):
        at, train, test = run.errors.T
        lines.append(Line(at, 100 * train, name or "train", k))
        lines.append(Line(at, 100 * test, "" if name else "test", k, "points"))
    return Panel("Error (hollow: test)", steps(runs), Axis("error, %", 0, 102), lines)


def digit_table(shares):
    """A Panel of what the network answers for each test digit."""
    edges = (-0.5, 9.5), (-0.5, 9.5)
    ticks = [(k, str(k)) for k in range(10)]
    axes = Axis("answer", *edges[0], ticks=ticks), Axis("digit", *edges[1], ticks=ticks)
    shades = Shades(shares, *edges, "share", percent=True)
    most, right = int(shares.sum(0).argmax()), np.diag(shares).mean()
    said = f"On average over the ten digits, {right:.0%} of its answers to the test digits are "
    said += f"right; the commonest is {most}, given to {shares[:, most].mean():.0%}."
    if not shares.any():
        said = "It gives no answer: its scores are not finite."
    return Panel("Its answers to the test digits", *axes, sentence=said, shades=shades)


def plane(shares):
    """A Panel of which class the network gives to each cell of the plane, and of the examples."""
    edge = SIDE * (1 + 1 / (CELLS - 1))
    axes = Axis("first feature", -edge, edge), Axis("second feature", -edge, edge)
    shades = Shades(shares, *[(-edge, edge)] * 2, "class 0", percent=True, colors=TINTS)
    _, _, x, y = spirals()
    x, y = x.numpy(), y.numpy()
    lines = [Line(*x[y == k].T, f"class {k}", k, "points") for k in (0, 1)]
    none, said = np.isnan(shares), []
    if not none.all():
        said.append(f"Class 0 is the likelier one in {(shares > 0.5).mean():.0%} of the plane.")
    if none.any():
        where = f"{none.mean():.0%} of the plane"
        said.append(f"It gives no answer in {where}: its scores are not finite.")
    lost = np.linspace(-SIDE, SIDE, CELLS)[none.any(0)]
    return Panel("Its answers in the plane", *axes, lines, " ".join(said), shades, lost=lost)


def layers(runs, things):
    """Panels of the layers: size, gradient, similarity of images or points, update."""
    panels = [
        by_layer(runs, "size", "Size of the signal", "standard deviation"),
        by_layer(runs, "gradient", "Gradient of the loss", "length", backward=True),
        alike(runs, things),
        by_layer(runs, "update", "Update / weights", "share", limit=("1/1000", 1e-3, "right")),
    ]
    for panel in panels:  # no layer that no run has
        panel.x = Axis("layer", 0.5, max(len(r.size) for r in runs.values()) + 0.5, whole=True)
    return panels


def by_layer(runs, quantity, title, name, **look):
    """A Panel of what a Snapshot calls `quantity`."""
    rows = {key: getattr(run, quantity) for key, run in runs.items()}
    return curves(title, name, quantity, rows, **look)


def alike(runs, things):
    """A Panel of the similarity of images or points."""
    lines = []
    for k, (name, run) in enumerate(runs.items()):
        at = np.arange(1, len(run.similarity) + 1)
        lines.append(Line(at, run.similarity, name, k))
    now = next(iter(runs.values()))
    first, last = now.similarity[[0, -1]]
    ends = f"{first:.2f} at layer 1 and {last:.2f} at layer {len(now.similarity)}"
    said = f"The similarity of {things} is {ends}." if np.isfinite([first, last]).all() else ""
    if np.isnan(now.similarity).any():
        said = f"{said} Where × stands, no two {things} can be compared.".strip()
    least = min(np.nanmin(line.y, initial=0.0) for line in lines)
    y = Axis("correlation of two", -0.1 if least >= -0.1 else -1.05, 1.05)
    lost = np.unique(np.concatenate([line.x[np.isnan(line.y)] for line in lines]))
    return Panel(f"Similarity of {things}", None, y, lines, said, lost=lost)


# --- in words -----------------------------------------------------------------------------------


def row(name, run):
    """A run's row of the table."""
    _, train, test = run.errors[-1]
    loss = f"{run.loss[-1]:.3g}" if len(run.loss) else "–"
    return [name, str(run.step), loss, f"{train:.1%}", f"{test:.1%}"]


def words(now, things):
    """What is happening, in a few sentences."""
    said = signal_in_words(now.size)
    if np.isfinite(now.size).all():  # else nothing comes back
        said += gradient_in_words(now.gradient)
    layer, most = now.update.argmax() + 1, now.update.max()
    if now.step and now.update[0] < 1e-5:
        said.append(f"Layer 1 moves by {now.update[0]:.0e} of its size a step: it does not learn.")
    elif now.step and 0.3 < most < np.inf:
        size = f"{most:.0%} of" if most < 10 else f"{most:.0f} times"
        said.append(f"A step moves layer {layer} by {size} its size.")
    if lost := [*now.steps[~np.isfinite(now.loss)]]:
        said = [f"It diverged: at step {lost[0]} the loss was no longer a finite number.", *said]
    if not said:
        said = ["From the first layer to the last, signal and gradient change less than 100-fold."]
    if now.similarity[-1] > 0.9:
        last = f"{now.similarity[-1]:.2f}"
        said.append(f"To the last layer all {things} look alike: their similarity is {last}.")
    at, train, _ = now.errors[-1]
    wrong = f"wrong for {train:.0%} of the training examples"
    if now.step == 0:
        said.append(f"Untrained, it is {wrong}.")
    else:
        said.append(f"It is {wrong}." if at == now.step else f"At step {at:.0f} it was {wrong}.")
    return " ".join(said)


def signal_in_words(size):
    """Whether the signal overflows, fades or grows."""
    ends = f"layer {len(size)}'s size is {size[-1] / size[0]:.0e}"
    if not np.isfinite(size).all():
        return ["The signal overflows."]
    if size[-1] < 0.01 * size[0]:
        return [f"The signal fades: {ends} of layer 1's."]
    return [f"The signal grows: {ends} times layer 1's."] if size[-1] > 100 * size[0] else []


def gradient_in_words(gradient):
    """Whether the gradient does not arrive, fades or grows."""
    if not np.isfinite(gradient).all():
        return ["The gradient overflows on its way back."]
    ends = f"layer 1's is {gradient[0] / gradient[-1]:.0e}"
    if gradient[0] == 0:
        return ["No gradient reaches layer 1."]
    if gradient[0] < 0.01 * gradient[-1]:
        return [f"The gradient fades on its way back: {ends} of layer {len(gradient)}'s."]
    if gradient[0] > 100 * gradient[-1]:
        return [f"The gradient grows on its way back: {ends} times layer {len(gradient)}'s."]
    return []
