"""A network in training, its snapshots, and the thread that trains it. There is no page here."""

import math
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ..arguments import choice, integer, number
from ..datasets import digits, spirals
from ..networks import Linear, Residual, build
from ..signals import KINDS, similarity
from ..training import Trainer, error, predict

DATA = {"digits": digits, "spirals": spirals}
DEFAULTS = {
    "depth": 20, "width": 32, "gain": 1.41, "activation": "relu", "norm": "none", "skip": False,
    "branch_scale": 1.0, "data": "digits", "lr": 0.01, "batch": 64,
}  # fmt: skip
WHILE_TRAINING = ("lr", "batch")  # may change in training; any other setting makes another network
POINTS = 600  # of the loss, at most; from then on each is the mean of twice as many steps
EVERY = 20  # steps from one measurement of the errors to the next, for each step of a point
IMAGES = 32  # of a mini-batch, at most, whose similarity is measured
SIDE, CELLS = 2.3, 41  # half the side of the plane of the spirals that is shown, and its cells
KEPT = 3  # kept runs, at most
PERIOD = 0.039  # seconds from picture to picture, at least
SHARE = 0.2  # of the time, at most, that pictures take
AHEAD = 10  # pictures that the page has not yet said it has drawn, at most
PATIENCE = 10.0  # seconds without a word from the page; then training rests


@dataclass(frozen=True)
class Snapshot:
    """A Run after `step` steps.

    loss: mean losses, and steps: where they end. errors: rows of step, train error and test error.
    answers: when the errors were last measured, for each test digit the shares of the ten answers;
    of the spirals, the likelihood of class 0 in the cells of the plane. line: of the Run.
    The others have a number for each layer: what the last watched step of training met on its
    mini-batch, on its way forward and back. At step 0 they are those of the first step to come.
    size: standard deviation of the pre-activations, or of the stream of a residual network.
    gradient: norm of the gradient of the loss there. similarity: of images, in the layer's output.
    update: how far the step moved the layer's weights, as a share of their size before.
    """

    step: int
    steps: np.ndarray
    loss: np.ndarray
    errors: np.ndarray
    answers: np.ndarray
    line: str
    size: np.ndarray
    gradient: np.ndarray
    similarity: np.ndarray
    update: np.ndarray


class Run:
    """A network in training, and what it leaves behind: a Playground without a page.

    settings: in place of DEFAULTS; data: "digits" or "spirals"; lr and batch: of its `trainer`; the
    others as in `build`. seed: of the weights and of the order of the examples. The same settings
    and seed give the same curves, watched or not. Raises ValueError on a setting that is not
    allowed. Lesson 09.
    """

    def __init__(self, *, seed=0, **settings):
        for name in settings:
            choice("setting", name, DEFAULTS)
        self.seed, self.settings = seed, DEFAULTS | settings
        network = {**self.settings}
        data, lr, batch = (network.pop(name) for name in ("data", "lr", "batch"))
        self.data = DATA[choice("data", data, DATA)]()
        inputs, classes = self.data.x.shape[1], int(self.data.y.max()) + 1
        self.net = build(**network, inputs=inputs, classes=classes, seed=seed)
        layers = [layer for layer in self.net.modules() if isinstance(layer, Linear)]
        self.weights = [layer.weight for layer in layers[:-1]]
        lr = number("lr", lr, 1e-9)  # gradients are divided by it: see `watched`
        self.trainer = Trainer(self.net, self.data, lr=lr, batch=batch, seed=seed)
        self.step, self.every = 0, 1
        self.turned = False  # whether lr or batch were changed on the way
        self.fresh, self.loss, self.errors = [], [], []
        self.layers = None  # what the last watched step met
        self.measure()

    @property
    def line(self):
        """The line of code that makes a Playground like this run at its start. A remark says if lr or
        batch were turned."""
        default, now = {**DEFAULTS, "seed": 0}, {**self.settings, "seed": self.seed}
        changed = [f"{name}={value!r}" for name, value in now.items() if value != default[name]]
        on_the_way = "  # lr or batch were changed on the way" if self.turned else ""
        return f"Playground({', '.join(changed)}){on_the_way}"

    @property
    def diverged(self):
        """Whether the loss has stopped being a finite number."""
        return bool(self.loss) and not math.isfinite(self.loss[-1])

    def turn(self, lr, batch):
        """Goes on with this learning rate and batch size. Returns the names of what has changed."""
        batch = integer("batch", batch, 1, len(self.data.x))
        given = {"lr": number("lr", lr, 1e-9), "batch": batch}
        changed = [name for name, value in given.items() if value != self.settings[name]]
        self.trainer.lr, self.trainer.batch = given.values()
        self.settings |= given
        self.turned = self.turned or bool(changed and self.step)
        return changed

    def advance(self, count=1, watch=True):
        """Trains `count` steps, 1 to 100000. Returns the run. `watch`: looks at the last of them, which
        it does in any case if there was no look before."""
        count = integer("count", count, 1, 100_000)
        for left in reversed(range(count)):
            diverged = self.diverged
            watched = left == 0 and (watch or self.layers is None)
            loss = self.watched() if watched else self.trainer.step().item()
            self.fresh.append(loss)
            self.step += 1
            if len(self.fresh) == self.every:
                self.loss.append(np.mean(self.fresh))
                self.fresh = []
            if len(self.loss) == POINTS:
                self.loss = [*np.mean(np.reshape(self.loss, (-1, 2)), axis=1)]
                self.every *= 2
            if self.step % (EVERY * self.every) == 0 or self.diverged != diverged:
                self.measure()
        return self

    def watched(self):
        """Takes a step, notes what it met in each layer, and returns its loss."""
        before, seen, trainer = norms(self.weights), [], self.trainer
        trainer.net = partial(forward, self.net, seen)
        try:
            loss = trainer.step().item()
        finally:
            trainer.net = self.net
        # The optimizer's own rate is 1, and lr a factor of the loss: what it adds is the momentum.
        states = [trainer.optimizer.state[weight] for weight in self.weights]
        moved = norms([state["momentum_buffer"] for state in states])
        signals, outputs = zip(*seen)
        values = torch.stack([signal.detach() for signal in signals]).flatten(1)
        values -= values.mean(1, keepdim=True)
        with np.errstate(all="ignore"):
            self.layers = {
                "size": norms(values) / values.shape[1] ** 0.5,
                "gradient": norms([signal.grad for signal in signals]) / trainer.lr.item(),
                "similarity": similarity(torch.stack([output[:IMAGES] for output in outputs])),
                "update": np.divide(moved, before, out=np.zeros(len(moved)), where=moved != 0),
            }
        return loss

    def preview(self):
        """Watches the first step, and takes it back."""
        trainer, waiting = self.trainer, self.trainer.waiting
        values = [*self.net.parameters(), *self.net.buffers()]
        before = [value.detach().clone() for value in values]
        order = trainer.generator.get_state()
        try:
            self.watched()
        finally:  # also after an interrupt
            trainer.generator.set_state(order)
            trainer.waiting = waiting
            trainer.optimizer.state.clear()
            with torch.no_grad():
                for value, old in zip(values, before):
                    value.copy_(old)

    def measure(self):
        """Notes the errors on the test examples and on as many training examples, and what the
        network answers."""
        x, y, x_test, y_test = self.data
        count, scores = len(x_test), predict(self.net, x_test)
        given = torch.where(scores.isfinite().all(1), scores.argmax(1), -1)  # a NaN is no answer
        wrong = (given != y_test).float().mean().item()
        self.errors.append((self.step, error(self.net, x[:count], y[:count]).item(), wrong))
        if self.settings["data"] == "spirals":
            shares = torch.softmax(predict(self.net, torch.from_numpy(grid())), 1)
            self.answers = shares[:, 0].numpy().reshape(CELLS, CELLS)
        else:
            counts = np.zeros((10, 11))  # in the last column those without an answer
            np.add.at(counts, (y_test.numpy(), given.numpy()), 1)
            self.answers = counts[:, :10] / counts.sum(1, keepdims=True)

    def look(self):
        """The Snapshot of this moment."""
        if self.step == 0:
            self.preview()
        steps = self.every * np.arange(1, len(self.loss) + 1)
        history = steps, np.array(self.loss), np.array(self.errors)
        return Snapshot(self.step, *history, self.answers, self.line, **self.layers)


def forward(layers, seen, x, stream=None):
    """What a network of `build` returns for x. Adds to `seen`, for each activation, the signal that
    its layer begins with, whose gradient will be kept, and its output."""
    for layer in layers:
        if isinstance(layer, Residual):
            x = stream = layer.add(x, forward(layer.branch, seen, x, x))
        elif isinstance(layer, KINDS):
            signal = x if stream is None else stream
            signal.retain_grad()
            x = layer(x)
            seen.append((signal, x.detach()))
        else:
            x = layer(x)
    return x


def norms(tensors):
    """The norm of each tensor: (tensors,), float64. Squares neither overflow nor vanish."""
    tensors = [tensor.detach() for tensor in tensors]
    found = torch.stack(torch._foreach_norm(tensors)).double().numpy()
    if ((found > 1e-15) & (found < 1e15)).all():
        return found
    return torch.stack(torch._foreach_norm(tensors, 2, torch.double)).numpy()  # takes twice as long


def grid():
    """The middles of the cells of the plane in which the spirals lie, row by row: (cells, 2)."""
    side = np.linspace(-SIDE, SIDE, CELLS, dtype=np.float32)
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)


class Worker:
    """A Run, and a thread that trains it and obeys commands between two steps.

    Its state, which the thread alone changes: `run`; `snapshot`, what is shown of it; `kept`, the
    snapshots of earlier runs. Others ask for settings, for commands, and for steps: `left` of them
    are still to be taken, math.inf until a pause. `note` says what the last command did.

    show: is called in the thread when there is something new. The thread ends when nothing is left
    to do. Where it trains until a pause, it rests when the page has been silent for PATIENCE seconds.
    """

    def __init__(self, settings, seed, show):
        self.settings, self.seed, self.show = settings, seed, show
        self.run = Run(**settings, seed=seed)
        self.snapshot, self.kept, self.note = self.run.look(), [], ""
        self.left, self.commands, self.thread = 0, deque(), None
        self.lock = threading.Lock()  # held to start the thread, and to change what several change
        self.shown = self.drawn = 0  # pictures shown, and drawn by the page
        self.heard = self.due = 0.0  # when the page last answered; when the next picture may come
        self.pace = None  # seconds that the last step took which was not shown, if there was one
        self.unwatched = False  # whether there is a later step than the last that was watched
        self.closed = False

    # --- from any thread ------------------------------------------------------------------------

    def send(self, command, *arguments):
        """Asks for a command."""
        with self.lock:
            if self.closed:
                return
            self.commands.append(partial(command, *arguments))
            self.wake()

    def train(self, steps):
        """Asks for so many steps from now on; math.inf: until a pause; 0: a pause."""
        with self.lock:
            if self.closed:
                return
            self.left = steps
            if steps:
                self.note = ""
            self.heard, self.drawn, self.due = time.monotonic(), self.shown, 0.0
            self.wake()

    def answer(self, picture):
        """The page has drawn the pictures up to this number."""
        with self.lock:
            self.heard, self.drawn = time.monotonic(), max(self.drawn, picture)
            if self.left:  # 0 after `close`
                self.wake()

    def wake(self):
        """Starts the thread, if there is none. For who holds the lock."""
        if self.thread is None:
            thread = threading.Thread(target=self.work, name="playground", daemon=True)
            thread.start()
            self.thread = thread

    def wait(self):
        """Waits until nothing is left to do. Returns at once while it trains until a pause."""
        try:
            while (thread := self.thread) and self.left < math.inf:
                thread.join(0.1)  # meanwhile `left` may have become infinite
        except KeyboardInterrupt:
            self.train(0)
            raise

    def close(self):
        """Ends the thread after the step that is under way, and lets go of the networks."""
        self.show = lambda: None
        with self.lock:
            self.left, self.unwatched, self.closed = 0, False, True
            self.commands.clear()
        self.wait()
        self.run, self.snapshot, self.kept = None, None, []

    # --- the thread -----------------------------------------------------------------------------

    def work(self):
        """What the thread does."""
        with self.lock:
            if self.thread not in (None, threading.current_thread()):
                return  # an interrupt came before `wake` had noted this thread, and another began
            self.thread = threading.current_thread()
        with np.errstate(all="ignore"):  # an overflow is shown, and no warning
            while job := self.next_job():
                try:
                    job()
                except Exception as failure:  # noqa: BLE001, nobody would read a thread's traceback
                    with self.lock:
                        self.left, self.unwatched = 0, False
                    self.note = f"Training stopped with {type(failure).__name__}: {failure}."
                    with suppress(Exception):
                        self.show()

    def next_job(self):
        """Commands come first, then steps; None, and the thread ends, if there is nothing to do."""
        with self.lock:
            if self.commands:
                return self.commands.popleft()
            silent = self.drawn < self.shown and time.monotonic() - self.heard > PATIENCE
            if self.left and not (self.left == math.inf and silent):
                return self.take_step
            if self.unwatched and not self.left:
                return self.take_step  # after a pause, so that the layers are those of the end
            self.thread = None

    def take_step(self):
        """Trains a step. Shows it, if that is due: only such a step is watched."""
        begin = time.monotonic()
        due = self.pace is not None and begin >= self.due
        watch = self.left <= 1 or (due and self.shown - self.drawn < AHEAD)
        if not self.run.diverged:
            self.run.advance(watch=watch)
        with self.lock:
            self.left = 0 if self.run.diverged else max(0, self.left - 1)
            self.unwatched = not (watch or self.run.diverged or self.closed)
        if self.unwatched:
            self.pace = time.monotonic() - begin
        else:
            self.present()
            cost = time.monotonic() - begin - (self.pace or 0.0)
            self.due = max(begin, self.due + max(PERIOD, cost / SHARE))

    def follow(self):
        """Another network, if the settings ask for one; else another learning rate or batch size."""
        now, before = self.settings, self.run.settings
        others = [name for name in now if now[name] != before[name] and name not in WHILE_TRAINING]
        if others:
            self.begin(f"Another {' and '.join(others)} is another network: step 0.")
        elif changed := self.run.turn(now["lr"], now["batch"]):
            turned = [f"{name} is {now[name]:g}" for name in changed]
            self.present(f"{' and '.join(turned)} from step {self.run.step} on.")

    def begin(self, note=""):
        """A new network, by the settings."""
        self.run = Run(**self.settings, seed=self.seed)
        self.unwatched, self.pace = False, None
        self.present(note)

    def keep(self):
        """Keeps the snapshot beside those of the runs to come."""
        self.kept = [*self.kept, self.snapshot][-KEPT:]
        self.redraw()

    def forget(self):
        """Drops all kept snapshots."""
        self.kept = []
        self.redraw()

    def present(self, note=None):
        """Shows the run as it is now."""
        self.snapshot = self.run.look()
        if note is not None:
            self.note = note
        self.redraw()

    def redraw(self):
        """Shows what has changed beside the run."""
        with self.lock:
            self.shown += 1
        self.show()
