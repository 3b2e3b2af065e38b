"""Training: one network, a stack of them, or a grid of them, here or on many machines."""

import itertools
import math
import os
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from inspect import signature

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from .arguments import (
    choice,
    class_numbers,
    integer,
    number,
    one_seed,
    per_network,
    plain,
    require,
)
from .datasets import Split
from .executors import gather
from .networks import BatchNorm, build, cross_entropy

SCHEDULES = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True, eq=False)
class History:
    """How a run went: arrays of shape (epochs, *stack), one row for each finished epoch.

    loss: mean cross-entropy over the epoch's batches, in nats. train_error, test_error: share of
    wrong answers in eval mode, 0 to 1. diverged (*stack,): whether a loss was NaN or infinite.
    stopped: whether the run was interrupted.
    """

    loss: np.ndarray
    train_error: np.ndarray
    test_error: np.ndarray
    diverged: np.ndarray
    stopped: bool = False

    @property
    def epochs(self):
        """The number of finished epochs."""
        return len(self.loss)


class Trainer:
    """Stochastic gradient descent on `net`, one network or a stack, one step at a time.

    data: a Split. An epoch goes once through its training part, in an order drawn from `seed`, and
    leaves out what is too little for a last step. lr, batch: as in `fit`; both can be changed
    between two steps. The network is put in train mode. Raises ValueError on a bad argument.
    Lessons 02, 04, 05 and 07, and 09 by its Run.
    """

    @torch.inference_mode(False)
    def __init__(self, net, data, *, lr, batch, momentum=0.9, seed=0):
        _check_autocast()
        _check_data(data)
        self.stack = _scores(net, data.x, data.y, "data.y", first=1).shape[:-2]
        _scores(net, data.x_test, data.y_test, "data.y_test", first=1)
        self.net, self.data = net, data
        self.lr, self.batch = lr, integer("batch", batch, 1, len(data.x))
        fine = self.batch > 1 or not any(isinstance(part, BatchNorm) for part in net.modules())
        require(fine, "batch", "an integer from 2 up to train a BatchNorm", self.batch)
        momentum = number("momentum", momentum, 0, 1)
        self.generator = torch.Generator("cpu").manual_seed(one_seed(seed))
        weights = [*net.parameters()]
        fine = any(weight.requires_grad for weight in weights)
        fine = fine and not any(weight.is_inference() for weight in weights)
        require(fine, "net", "a network with weights that can be trained", net)
        # torch 2.13's fused step leaves half-precision weights on a CPU as they are.
        fused = all(weight.dtype in (torch.float32, torch.float64) for weight in weights)
        self.optimizer = torch.optim.SGD(weights, lr=1.0, momentum=momentum, fused=fused)
        self.waiting = torch.empty(0, dtype=torch.int64, device="cpu")  # the rest of this epoch
        net.train()

    @property
    def lr(self):
        """The learning rate, a tensor of shape () or (*stack,)."""
        return self._lr

    @lr.setter
    @torch.inference_mode(False)
    def lr(self, lr):
        dtype = torch.promote_types(self.data.x.dtype, torch.float32)
        self._lr = per_network("lr", lr, self.stack, low=0.0).to(self.data.x.device, dtype)

    @torch.inference_mode(False)  # inside of it, gradients are on
    def step(self, rate=1.0):
        """Takes one step at `rate` times lr. Returns the losses before it, in nats: (*stack,)."""
        _check_autocast()
        self.optimizer.param_groups[0]["lr"] = number("rate", rate, 0)
        total = len(self.data.x)
        batch = integer("batch", self.batch, 1, total)
        if len(self.waiting) < batch:
            self.waiting = torch.randperm(total, generator=self.generator, device="cpu")
        chosen = self.waiting[:batch]
        with torch.autograd.set_detect_anomaly(False):  # a network may diverge
            scores = self.net(self.data.x[chosen].detach()).to(self.lr.dtype)
            losses = cross_entropy(scores, self.data.y[chosen])
            self.optimizer.zero_grad()
            (self.lr * losses).sum().backward()
            self.optimizer.step()
        # Only now: a step that stops leaves its examples to the next.
        self.waiting = self.waiting[batch:]
        return losses.detach()


def fit(
    net,
    data,
    *,
    lr,
    epochs,
    batch,
    momentum=0.9,
    schedule="cosine",
    seed=0,
    progress=True,
    on_epoch=None,
):
    """Trains `net`, one network or a stack, by stochastic gradient descent. Returns its History.

    data: a Split of x (examples, features), in the network's dtype, and y (examples,), int64. An
    epoch goes once through the training part, in an order drawn from `seed`, the same for all
    networks. A last incomplete batch is left out. lr: the learning rate, a number or one for each
    network (*stack,). epochs: 1 to 100000. batch: examples in a step. momentum: 0 to 1.
    schedule: "cosine", from lr down to 0, or "constant". progress: shows a bar with the time left.
    on_epoch: a function that is called with the History so far after each epoch.

    The networks of a stack are independent: a network's learning rate is a weight on its loss. A
    network that diverges is recorded as diverged and does not disturb the others. An interrupt
    (the stop button) ends the run; the finished epochs are returned. The network stays in train
    mode. In half precision, steps too small for a weight's last digit are lost.

    Raises ValueError on a bad argument, before the first step. Lessons 01, 03, 04 and
    06 to 08.
    """
    settings = {"lr": lr, "batch": batch, "momentum": momentum, "seed": seed}
    trainer, epochs, rate = _start(net, data, epochs=epochs, schedule=schedule, **settings)
    require(on_epoch is None or callable(on_epoch), "on_epoch", "a function of a History", on_epoch)
    steps = len(data.x) // trainer.batch
    rows, stopped = [], False
    with _bar(epochs * steps, "step", progress) as bar:
        try:
            for epoch in range(epochs):
                losses = []
                for step in range(steps):
                    losses.append(trainer.step(rate((epoch + step / steps) / epochs)))
                    bar.update()
                errors = error(net, data.x, data.y), error(net, data.x_test, data.y_test)
                rows.append((torch.stack(losses).mean(0), *errors))
                if on_epoch:
                    on_epoch(_history(rows, trainer.stack))
        except KeyboardInterrupt:
            stopped = True
    return _history(rows, trainer.stack, stopped)


def _start(net, data, *, epochs, schedule="cosine", **settings):
    """The Trainer, the number of epochs and the schedule's function, all checked."""
    epochs = integer("epochs", epochs, 1, 100_000)
    rate = SCHEDULES[choice("schedule", schedule, tuple(SCHEDULES))]
    return Trainer(net, data, **settings), epochs, rate


def _bar(total, unit, progress):
    """A bar with the time left, for what takes over a second; TQDM_DISABLE silences every bar."""
    silent = not progress or "TQDM_DISABLE" in os.environ  # tqdm's bar in a notebook ignores it
    return tqdm(total=total, unit=unit, leave=False, delay=1, disable=silent)


def _history(rows, stack, stopped=False):
    columns = [torch.stack(column).cpu().numpy() for column in zip(*rows)]
    columns = columns or [np.zeros((0, *stack), np.float32)] * 3
    return History(*columns, diverged=~np.isfinite(columns[0]).all(0), stopped=stopped)


def predict(net, x):
    """Scores of `net` in eval mode, without a gradient. Each module's mode is left as it was.

    Raises ValueError if net does not take an x of this shape and dtype.
    """
    require(isinstance(net, nn.Module), "net", "a torch.nn.Module", net)
    require(isinstance(x, torch.Tensor), "x", "a tensor", x)
    modes = [(module, module.training) for module in net.modules()]
    try:
        with torch.no_grad():
            return net.eval()(x)
    except (RuntimeError, IndexError) as failure:
        given = f"{x.dtype} of shape {tuple(x.shape)}"
        reason = str(failure).strip().partition("\n")[0]
        raise ValueError(f"x must be what net takes, got {given}: {reason}") from failure
    finally:
        for module, training in modes:
            module.training = training


def error(net, x, y):
    """Share of wrong answers in eval mode, 0 to 1, for each network: shape (*stack,).

    x: (examples, features); y: (examples,), class numbers, int64. An answer with a score that is
    not finite is wrong. Raises ValueError on a bad argument. Lessons 01, 07 and 08.
    """
    _check_examples(x, y)
    scores = _scores(net, x, y)
    right = (scores.argmax(-1) == y) & scores.isfinite().all(-1)
    return (~right).float().mean(-1)


def _scores(net, x, y, y_name="y", first=None):
    """predict(net, x), of all examples or of the `first`, after scores and y were compared."""
    scores, count = predict(net, x[:first]), first or len(y)
    shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else ()
    allowed = f"scores of shape (*stack, {count}, classes) for y of length {count}"
    require(shape[-2:-1] == (count,), "net(x)", allowed, scores)
    class_numbers(y_name, y, shape[-1])
    return scores


def _check_autocast():
    """Autocast would train with the weights of its cache, which no step changes."""
    on = any(map(torch.is_autocast_enabled, ("cpu", "cuda", "mps", "xpu")))
    require(not on, "torch.autocast", "off in training", on)


def _check_examples(x, y, x_name="x", y_name="y"):
    for name, value in (x_name, x), (y_name, y):
        fine = isinstance(value, torch.Tensor) and value.dim() > 0 and value.numel() > 0
        require(fine, name, "a tensor of examples", value)
    if y.dtype != torch.int64 or y.dim() != 1 or y.device != x.device:
        given = f"{y.dtype} of shape {tuple(y.shape)} on {y.device}"
        allowed = f"torch.int64 of shape (examples,) on {x.device}"
        raise ValueError(f"{y_name} must be {allowed}, got {given}")


def _check_data(data):
    for x_name, y_name in ("x", "y"), ("x_test", "y_test"):
        require(hasattr(data, x_name) and hasattr(data, y_name), "data", "a Split", type(data))
        x, y = getattr(data, x_name), getattr(data, y_name)
        _check_examples(x, y, f"data.{x_name}", f"data.{y_name}")
        require(len(x) == len(y), f"data.{y_name}", f"of length {len(x)}, as data.{x_name}", len(y))


BUILD = {*signature(build).parameters} - {"stack"}  # arguments that `sweep` takes
FIT = {*signature(fit).parameters} - {"net", "data", "progress", "on_epoch"}
STACKABLE = ("gain", "lr", "seed")  # what may differ between the networks of a stack


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `sweep` found: arrays with one axis for each entry of `grid`, in its order.

    grid: name and values of each axis. loss, train_error, test_error: of the last epoch, as in
    History; NaN where training did not come to its end. diverged: as in History. failed: where
    workers died and the second try did not come to its end, either.
    """

    grid: dict
    loss: np.ndarray
    train_error: np.ndarray
    test_error: np.ndarray
    diverged: np.ndarray
    failed: np.ndarray


def sweep(grid, data, *, executor=None, progress=True, **fixed):
    """Trains a network for every combination of the values in `grid`. Returns the Sweep.

    grid: a dict from names of arguments of `build` or `fit` to lists of their values. data: a
    Split. fixed: the other arguments, one value each; `inputs` and `classes` are the data's unless
    given. `seed` is build's: all networks see the batches in the same order.

    What can be stacked (gain, lr, seed) trains as one stack. The rest, such as different depths,
    trains one after the other, or side by side on `executor`, any concurrent.futures.Executor: a
    ProcessPoolExecutor or, on many machines, dask.distributed.Client(...).get_executor(). The
    results are the same. If a worker dies, `gather` says what is tried once more; where that fails,
    too, the cells are marked as failed. An interrupt ends the sweep; what is finished is returned.

    Raises ValueError on a bad name or value, before anything is trained. Lessons 06 and 08.
    """
    fine = executor is None or isinstance(executor, Executor)
    require(fine, "executor", "a concurrent.futures.Executor", executor)
    _check_data(data)
    grid, fixed = _settings(grid, fixed, data)
    stacked = [name for name in grid if name in STACKABLE and None not in grid[name]]
    looped = [name for name in grid if name not in stacked]
    stack = tuple(len(grid[name]) for name in stacked)
    columns = [np.array(grid[name], dtype=object) for name in stacked]  # each value as it is
    mesh = dict(zip(stacked, np.meshgrid(*columns, indexing="ij")))
    rows = itertools.product(*map(grid.get, looped))
    parts = [fixed | mesh | dict(zip(looped, values)) for values in rows]
    for part in parts:  # each by itself: two fine values can make too large a network together
        net, run = _prepared(part, stack)
        _start(net, data, **run)
    columns = _train_all(parts, stack, data, executor, progress)
    shape = [len(grid[name]) for name in [*looped, *stacked]]
    axes = [[*looped, *stacked].index(name) for name in grid]
    return Sweep(grid, *(column.reshape(shape).transpose(axes) for column in columns))


def _settings(grid, fixed, data):
    """The grid as lists of plain values, and the fixed arguments with the data's sizes."""
    require(isinstance(grid, dict), "grid", "a dict of lists of values", grid)
    for name in [*grid, *fixed]:
        choice("grid and fixed arguments", name, tuple(sorted(BUILD | FIT)))
    plains = {}
    for name, values in grid.items():
        plains[name] = [plain(value) for value in values] if _several(plain(values)) else []
        fine = plains[name] and not any(map(_several, plains[name])) and name not in fixed
        allowed = f"a list of values, and {name} not fixed as well"
        require(fine, f"grid[{name!r}]", allowed, values)
    for name, value in fixed.items():
        require(not _several(plain(value)), name, "one value", value)
    for name in ("depth", "width", "lr", "epochs", "batch"):
        require(name in plains or name in fixed, name, "in the grid or fixed", None)
    classes = int(max(data.y.max(), data.y_test.max())) + 1
    return plains, {"inputs": data.x.shape[-1], "classes": classes} | fixed


def _several(value):
    return isinstance(value, (list, tuple, range)) or hasattr(value, "shape")


def _prepared(part, stack):
    """The network of one part, and the arguments of its `fit`."""
    network = {name: value for name, value in part.items() if name in BUILD}
    run = {name: value for name, value in part.items() if name not in BUILD}
    return build(**network, stack=stack), run


def _train_all(parts, stack, data, executor, progress):
    """Last loss, train error and test error, diverged, and failed: arrays (parts, *stack)."""
    arrays = tuple(part.detach().numpy() for part in (data.x, data.y, data.x_test, data.y_test))
    threads, steps = torch.get_num_threads(), progress and executor is None
    jobs = [(part, stack, arrays, threads, steps) for part in parts]
    columns = np.full((4, len(parts), *stack), np.nan)
    failed = np.zeros(columns.shape[1:], bool)
    results = gather(_train, jobs, executor)
    try:
        with _bar(len(parts), "stack", progress) as bar, closing(results):
            for k, result in results:
                failed[k] = result is None
                if result is not None:
                    columns[:, k] = result
                bar.update()
    except KeyboardInterrupt:
        pass
    return *columns[:3], columns[3] == 1, failed


def _train(part, stack, arrays, threads, progress):
    """Builds and trains one part. NumPy arrays travel between processes as plain bytes."""
    torch.set_num_threads(threads)  # with another number, sums could be rounded in another order
    data = Split(*(torch.from_numpy(np.array(array)) for array in arrays))
    net, run = _prepared(part, stack)
    history = fit(net, data, **run, progress=progress)
    if history.stopped:
        raise KeyboardInterrupt
    return history.loss[-1], history.train_error[-1], history.test_error[-1], history.diverged
