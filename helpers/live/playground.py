"""A network that trains while the reader turns its knobs."""

import html
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial, wraps

import ipywidgets as widgets
import numpy as np
import torch
from torch import nn

from ..arguments import choice, integer
from ..datasets import digits, spirals
from ..networks import Linear, build
from ..signals import Profile, profile
from ..training import Trainer, error, predict
from .figures import Answers, Curves, Lines, Plane, new_figure
from .sliders import Live, Sliders, button, shut, table
from .widget import close_previous

DATA = {"digits": digits, "spirals": spirals}
CHOICES = {
    "width": (2, 4, 8, 16, 32, 64, 128),
    "lr": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "batch": (2, 4, 8, 16, 32, 64, 128, 256),
    "data": tuple(DATA),
}
OWN = {  # the settings that are not named
    "depth": 20, "width": 32, "gain": 1.41, "activation": "relu", "norm": "none", "skip": False, "branch_scale": 1.0, "lr": 0.01,
    "batch": 64, "data": "digits",
}  # fmt: skip
WHILE_TRAINING = (
    "lr",
    "batch",
)  # knobs that a network in training may feel; any other makes another network
PRESETS = {  # what differs from OWN
    "exploding": {"gain": 3.0},
    "dead on arrival": {"gain": 0.8},
    "saved by He": {"gain": 1.41},
    "saved by batch norm": {"gain": 0.8, "norm": "batch"},
    "BN explodes backward": {"depth": 100, "norm": "batch"},
    "56 plain": {"depth": 56, "norm": "batch"},
    "56 with skips": {"depth": 56, "norm": "batch", "skip": True},
    "200 layers": {"depth": 200, "skip": True, "branch_scale": 0.07},
}
PROBE = 64  # training examples on which the layers are looked at, always the same
POINTS = 600  # of the curve of the loss, at most; from then on each point is the mean of twice as many steps
EVERY = 20  # steps from one measurement of the errors to the next, for each step that a point stands for
KEPT = 3  # pinned runs, at most
NAMES = (
    "now",
    *(str(k + 1) for k in range(KEPT)),
)  # of the present run and the kept ones, in the legends and in the table
PATIENCE = 10.0  # seconds without a sign of the page; then training rests
PERIOD = 0.09  # seconds from picture to picture, at least
CREDIT = 6  # pictures that the page is sent for each of its signs, at most
ENDS = [
    count * 10**power for power in range(2, 9) for count in (1, 2, 5)
]  # where the axis of steps ends: few, so that it seldom moves


@dataclass(frozen=True)
class Seen:
    """A moment of a Run.

    step: steps done. loss: mean losses, and steps: where they end. errors: rows of step, train error and test error. profile: of
    the network on PROBE training examples. update: how far the last step moved each hidden layer's weights, as a share of their
    size before it (at step 0: how far the first one would). answers: where the errors were last measured, to the test digits, shares of the
    ten answers in a row for each digit; of the spirals, the likelihood of class 0 at the points of Plane.grid. line: of the Run.
    """

    step: int
    steps: np.ndarray
    loss: np.ndarray
    errors: np.ndarray
    profile: Profile
    update: np.ndarray
    answers: np.ndarray
    line: str


class Run:
    """A network in training, and what it leaves behind: a Playground without a page.

    settings: in place of OWN's; data: "digits" or "spirals"; lr, batch: of its `trainer`; the others as in `build`. seed: of the
    weights and of the order of the examples. The same settings and seed give the same curves.
    Raises ValueError on a setting that is not allowed.
    """

    def __init__(self, *, seed=0, **settings):
        self.seed, self.settings = seed, OWN | settings
        network = {**self.settings}
        data, lr, batch = (network.pop(name) for name in ("data", "lr", "batch"))
        self.data = DATA[choice("data", data, tuple(DATA))]()
        self.net = build(
            **network, inputs=self.data.x.shape[1], classes=int(self.data.y.max()) + 1, seed=seed
        )
        self.weights = [layer.weight for layer in self.net.modules() if isinstance(layer, Linear)][
            :-1
        ]
        self.trainer = Trainer(self.net, self.data, lr=lr, batch=batch, seed=seed)
        self.step, self.every, self.turned = (
            0,
            1,
            False,
        )  # turned: whether lr or batch were changed on the way
        self.fresh, self.loss, self.errors = [], [], []
        self.measure()

    @property
    def line(self):
        """The line of code that makes a playground with this run: what differs from the settings that one has by itself."""
        own, now = {**OWN, "seed": 0}, {**self.settings, "seed": self.seed}
        line = f"Playground({', '.join(f'{name}={value!r}' for name, value in now.items() if value != own[name])})"
        return line + ("  # lr or batch were changed on the way" if self.turned else "")

    def turn(self, lr, batch):
        """Goes on with this learning rate and batch size. Returns the names of what has changed."""
        changed = {
            name: value
            for name, value in (("lr", lr), ("batch", batch))
            if value != self.settings[name]
        }
        self.trainer.lr, self.trainer.batch = torch.tensor(lr), batch
        self.settings.update(changed)
        self.turned = self.turned or bool(changed and self.step)
        return [*changed]

    @property
    def diverged(self):
        """Whether the loss has stopped being a finite number."""
        return not np.isfinite(self.loss[-1:]).all()

    def advance(self, count=1):
        """Trains `count` steps, 1 to 100000. Returns the run."""
        for _ in range(integer("count", count, 1, 100_000)):
            self.fresh.append(self.trainer.step().item())
            self.step += 1
            if len(self.fresh) == self.every:
                self.loss.append(np.mean(self.fresh))
                self.fresh = []
            if len(self.loss) == POINTS:
                self.loss = [*np.mean(np.reshape(self.loss, (-1, 2)), axis=1)]
                self.every *= 2
            if self.step % (EVERY * self.every) == 0:
                self.measure()
        return self

    def measure(self):
        """Notes the errors on the test examples and on as many training examples, and what the network answers."""
        x, y, x_test, y_test = self.data
        count, scores = len(x_test), predict(self.net, x_test)
        given = torch.where(scores.isfinite().all(1), scores.argmax(1), -1)  # a NaN is no answer
        wrong = (given != y_test).float().mean().item()
        self.errors.append((self.step, error(self.net, x[:count], y[:count]).item(), wrong))
        if x.shape[1] == 2:
            self.answers = torch.softmax(predict(self.net, torch.from_numpy(Plane.grid)), 1)[
                :, 0
            ].numpy()
        else:
            asked = nn.functional.one_hot(y_test, 10).float()
            answered = nn.functional.one_hot(given + 1, 11).float()[
                :, 1:
            ]  # none of the ten where there is no answer
            self.answers = ((asked.T @ answered) / asked.sum(0)[:, None]).numpy()

    def look(self):
        """The Seen of this moment."""
        seen = profile(self.net, self.data.x[:PROBE], self.data.y[:PROBE])
        if self.step:  # the optimizer's own rate is 1: what it has just added is the momentum
            pairs = [
                (weight.detach(), self.trainer.optimizer.state[weight]["momentum_buffer"])
                for weight in self.weights
            ]
            moved = np.array([step.norm().item() for _, step in pairs])
            before = np.array([(weight + step).norm().item() for weight, step in pairs])
        else:
            moved = self.trainer.lr.item() * seen.weight_gradient
            before = np.array([weight.norm().item() for weight in self.weights])
        with np.errstate(all="ignore"):
            update = moved / before
        steps = self.every * np.arange(1, len(self.loss) + 1)
        return Seen(
            self.step,
            steps,
            np.array(self.loss),
            np.array(self.errors),
            seen,
            update,
            self.answers,
            self.line,
        )


def alone(method):
    """One hand at a time on a playground: JupyterLab lets controls work in another thread than cells."""

    @wraps(method)
    def held(self, *args, **kwargs):
        with self.hand:
            return method(self, *args, **kwargs)

    return held


class Playground(Sliders):
    """A network that trains in the page, and knobs to turn meanwhile: Playground(depth=56, norm="batch", skip=False, seed=3).

    settings: depth, 1 to 200; gain, 0 to 4; branch_scale, 0 to 1; activation, norm and skip as in `build`; width, lr, batch
    (examples a step) and data, each one of CHOICES. What is not named is as in OWN. seed: of the weights and of the order of the
    examples; the same line gives the same curves. lr and batch may be turned in training; any other knob makes another network.

    Training runs in a thread of its own, so that the page always answers. It rests when no page has given a sign for PATIENCE
    seconds, and goes on when one does again. Raises ValueError on a setting that is not allowed.
    """

    resets = "Back to step 0, with the knobs as they are"
    going, worker, clock, run = (
        False,
        None,
        None,
        None,
    )  # so from the first moment on, for `close` is called where a setting was not allowed, too

    def __init__(self, *, seed=0, **settings):
        for name in settings:
            choice("setting", name, tuple(OWN))
        settings = OWN | settings
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        self.hand = threading.RLock()
        self.watched, self.credit = (
            0.0,
            0,
        )  # when the page last gave a sign; how many pictures it may be sent until the next
        self.kept, self.note = [], ""
        self.wanted = None  # what is to be said of another network, from when it is asked for until it is made
        self.toggle = button("start", self.press, "Trains, or pauses")
        buttons = [
            self.toggle,
            button("step", self.step, "One step of training"),
            button(
                "keep this run",
                self.keep,
                f"Its curves stay beside those of the next ones; of the last {KEPT}",
            ),
            button("forget kept runs", self.forget, "Only the present run's curves stay"),
        ]
        self.clock = widgets.Play(
            min=0, max=10**9, interval=400
        )  # the page's sign that it is there, and has shown what it was sent
        self.clock.layout.display = "none"
        self.clock.observe(self.tick, "value")
        self.code = widgets.HTML()
        self.drawn, self.lives = (
            choice("data", settings["data"], CHOICES["data"]),
            {},
        )  # the data in the figure; the other figure
        super().__init__(*panels(self.drawn), settings, CHOICES, buttons, columns=3)
        presets = widgets.Box(
            [
                button(name, partial(self.preset, name), "Knobs that tell this story")
                for name in PRESETS
            ]
        )
        presets.add_class("presets")
        self.add_class("playground")
        self.children = [presets, *self.children, self.code, self.clock]

    # --- what the reader does -------------------------------------------------------------------------------------------------

    def press(self):
        """The button does what it says; a pause is answered before anybody is waited for."""
        if self.toggle.description == "start":
            self.start()
        else:
            self.going, self.toggle.description = False, "start"
            self.pause()

    @alone
    def start(self):
        """Trains until it is paused."""
        if not self.going:
            self.halt()  # after a divergence the thread still draws its last picture
            self.going, self.note = True, ""
            self.toggle.description, self.clock.playing = "pause", True
            self.work_on()

    @alone
    def pause(self):
        """Ends training after the step that is under way."""
        self.rest()
        self.present(self.run)

    @alone
    def step(self, count=1):
        """Pauses, and trains `count` steps, 1 to 100000. Returns the playground."""
        self.rest()
        self.present(self.run.advance(count), "")
        return self

    @alone
    def reset(self):
        """The same network as before its first step."""
        self.begin("Back to step 0.")

    @alone
    def preset(self, name):
        """The knobs of one of PRESETS."""
        self.put(OWN | PRESETS[choice("name", name, tuple(PRESETS))])

    @alone
    def keep(self):
        """Pins the present run's curves."""
        self.kept = [*self.kept, self.seen][-KEPT:]
        self.redraw()

    @alone
    def forget(self):
        """Takes the pinned curves away."""
        self.kept = []
        self.redraw()

    def close(self):
        """Ends training and takes the playground off the page."""
        if self.clock:
            with self.hand:
                self.halt()
                self.clock.playing = False
        if hasattr(self, "replaced"):
            self.live.stills.clear()
            for part in (*self.replaced, *self.children, self.layout):
                shut(part)
        super().close()

    @property
    def line(self):
        """The line of code that makes this playground, as it stands."""
        return self.run.line

    # --- training -------------------------------------------------------------------------------------------------------------

    def put(self, settings):
        """New knobs, and a new network."""
        self.quiet = True
        super().put(settings)
        self.quiet = False
        self.begin()

    def begin(self, note=""):
        """A new network, as the knobs stand. If one is training, its thread makes it, so that what the reader does next, a pause
        above all, does not wait for it; and it trains."""
        self.wanted = note
        if not self.going:
            with self.hand:
                self.halt()
                self.renew()

    def renew(self):
        """Makes the network that is asked for, and shows it."""
        while self.wanted is not None:
            note, self.wanted = self.wanted, None
            self.present(Run(**self.state, seed=self.seed), note)
            if self.others:  # turned back while it was made, when `show` still compared them with the network before it
                self.wanted = note

    @property
    def others(self):
        """The knobs that stand otherwise than the present network's, of those that make another network."""
        return [
            name
            for name, value in self.state.items()
            if value != self.run.settings[name] and name not in WHILE_TRAINING
        ]

    def present(self, run, note=None):
        """Shows the present moment of a run, with a new note. While the thread lives, nobody else calls this."""
        self.seen, self.run = run.look(), run
        if note is not None:
            self.note = note
        run.turn(
            *(self.state[name] for name in WHILE_TRAINING)
        )  # they may have changed since the run was begun
        self.picture(**run.settings)

    def redraw(self):
        """Shows what has changed beside the run; the thread, if there is one, will do so anyway."""
        if not self.going:
            self.picture(**self.run.settings)

    def work_on(self):
        self.watched, self.credit = time.monotonic(), CREDIT
        sys.setswitchinterval(
            0.0005
        )  # by itself 5 ms, which each of a new control's many messages waits for the thread
        self.worker = threading.Thread(target=self.work, name="playground", daemon=True)
        self.worker.start()

    def work(self):
        """What the thread does: steps, and now and then a picture, with at most half of its time."""
        due = 0.0
        try:
            while self.going and time.monotonic() - self.watched < PATIENCE:
                begin = time.monotonic()
                if self.wanted is not None:
                    self.renew()
                elif begin > due and self.credit:
                    self.credit -= 1
                    self.present(self.run)
                    due = begin + max(PERIOD, 2 * (time.monotonic() - begin))
                else:
                    self.run.advance()
                    if self.run.diverged and self.wanted is None:
                        self.going, self.toggle.description, self.clock.playing = (
                            False,
                            "start",
                            False,
                        )
                        self.present(self.run)
                        self.renew()  # asked for since
        except Exception as failure:  # noqa: BLE001, a thread's traceback nobody would see: the page says it
            self.going, self.note = (
                False,
                f"Training stopped with {type(failure).__name__}: {failure}",
            )

    def halt(self):
        """Ends the thread after the step that is under way."""
        self.going = False
        if self.worker:
            self.worker.join()

    def rest(self):
        """Ends training; the page learns it at once, before the step that is under way is done."""
        self.going = False
        self.toggle.description, self.clock.playing = "start", False
        self.halt()
        if self.wanted is not None:
            self.renew()

    @alone
    def tick(self, change=None):
        """The page gives a sign."""
        self.watched, self.credit = time.monotonic(), CREDIT
        if not self.going:
            if self.clock.playing:  # training has failed
                self.pause()
        elif not self.worker.is_alive():  # it rested while no page was there
            self.work_on()

    # --- the picture ----------------------------------------------------------------------------------------------------------

    def show(self, change=None):
        """Follows the knobs."""
        if self.quiet:
            return
        if others := self.others:
            return self.begin(f"Another {' and '.join(others)} is another network: step 0.")
        if changed := self.run.turn(*(self.state[name] for name in WHILE_TRAINING)):
            self.note = " ".join(
                f"{name} is {self.state[name]:g} from step {self.run.step} on." for name in changed
            )
            if not (self.going or self.run.step):
                self.seen = self.run.look()  # with the update that the first step would now be
        self.redraw()

    def picture(self, **state):
        super().picture(**state)
        lines = [self.line, *(one.line for one in self.kept)]
        named = "".join(
            f"<p>{name}: <code>{html.escape(line)}</code></p>" for name, line in zip(NAMES, lines)
        )
        if self.code.value != named:  # left alone, so that it can be marked and copied
            self.code.value = named

    def draw(self, **state):
        runs = [
            self.seen,
            *self.kept,
        ]  # as they are now: the thread and the reader's hand may bring others meanwhile
        now, data = runs[0], state["data"]
        if data != self.drawn:
            self.live.stills.clear()  # megabytes; what remains is small, and takes a while to make
            self.lives[self.drawn], self.drawn = self.live, data
            self.live = self.lives.get(data) or Live(*panels(data), columns=3)
        loss, errors, answers, spread, gradient, update = self.live.drawings
        end = next(end for end in ENDS if end >= max(one.step for one in runs))
        loss.limits = (0, end), None if any(len(one.loss) for one in runs) else (0.1, 10)
        errors.limits = (0, end), (0, 1)
        loss.update(*((one.steps, one.loss) for one in runs))
        train, test = ([(one.errors[:, 0], one.errors[:, kind]) for one in runs] for kind in (1, 2))
        errors.update(*train, dots=test)
        seen = [
            answers.update(now.answers),
            spread.update(*(one.profile.std for one in runs)),
            gradient.update(*(one.profile.gradient for one in runs)),
            update.update(*(one.update for one in runs), limit=("", 1e-3)),
        ]
        rows = map(row, NAMES, runs)
        return (
            table(("", "step", "loss", "train error", "test error"), rows),
            f"{self.note} {words(now)}".strip(),
            *seen,
        )

    def _repr_mimebundle_(self, **kwargs):
        """Where a cell is run again, what it showed before is closed."""
        close_previous(self)
        return super()._repr_mimebundle_(**kwargs)


def panels(data):
    """The figure and its six drawings, for the named data."""
    figure = new_figure((10.2, 5.6), layout="none")
    axes = [
        figure.add_axes((column / 3 + 0.068, (1 - row) / 2 + 0.09, 0.238, 0.29))
        for row in (0, 1)
        for column in (0, 1, 2)
    ]
    layers = {"labels": NAMES, "ylabel": ""}
    drawings = [
        Lines(axes[0], "Loss", "step", "", NAMES, log="y"),
        Lines(axes[1], "Train error (hollow: test)", "step", "", NAMES, dots=True),
        Answers(axes[2]) if data == "digits" else Plane(axes[2], *spirals()[2:]),
        Curves(axes[3], "Spread of each layer's output", quantity="spread", **layers),
        Curves(axes[4], "Gradient of the loss", quantity="gradient", backward=True, **layers),
        Curves(axes[5], "Update / weights (dotted: 1/1000)", quantity="update", **layers),
    ]
    for ax in axes[:2]:
        ax.locator_params("x", nbins=5)
    return figure, drawings


def row(name, seen):
    """A run's row of the table."""
    loss = f"{seen.loss[-1]:.3g}" if len(seen.loss) else "–"
    _, train, test = seen.errors[-1]
    return name, seen.step, loss, f"{train:.1%}", f"{test:.1%}"


def words(seen):
    """What is happening, in a few sentences."""
    if len(seen.loss) and not np.isfinite(seen.loss[-1]):
        return f"It diverged: at step {seen.step} the loss was no longer a finite number."
    said, spread, gradient, update = [], seen.profile.std, seen.profile.gradient, seen.update
    depth = len(spread)
    if not np.isfinite(spread).all():
        said.append("The signal overflows.")
    elif spread[-1] < 0.01 * spread[0]:
        said.append(
            f"The signal fades: layer {depth}'s spread is {spread[-1] / spread[0]:.0e} of layer 1's."
        )
    elif spread[-1] > 100 * spread[0]:
        said.append(
            f"The signal grows: layer {depth}'s spread is {spread[-1] / spread[0]:.0e} times layer 1's."
        )
    if gradient[0] == 0:
        said.append("No gradient reaches layer 1.")
    elif gradient[0] < 0.01 * gradient[-1]:
        said.append(
            f"The gradient fades on its way back: layer 1's is {gradient[0] / gradient[-1]:.0e} of layer {depth}'s."
        )
    elif gradient[0] > 100 * gradient[-1]:
        said.append(
            f"The gradient grows on its way back: layer 1's is {gradient[0] / gradient[-1]:.0e} times layer {depth}'s."
        )
    if seen.step and update[0] < 1e-5:
        said.append(f"Layer 1 moves by {update[0]:.0e} of its size a step: it is not learning.")
    elif seen.step and update.max() > 0.3:
        said.append(f"A step moves layer {update.argmax() + 1} by {update.max():.0%} of its size.")
    if not said:
        said.append(
            "From the first layer to the last, signal and gradient differ by less than a hundredfold."
        )
    error = seen.errors[-1][1]
    return " ".join(
        [
            *said,
            f"It is wrong for {error:.0%} of the training examples{'' if seen.step else ', untrained'}.",
        ]
    )
