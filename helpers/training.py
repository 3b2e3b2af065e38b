"""Floor 2: one way to train: one network, a stack of them at once, or a grid of them on as many machines as there are."""

import itertools
import math
import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from multiprocessing import get_context

import numpy as np
import torch
from tqdm.auto import tqdm

from .arguments import choice, integer, number, per_network
from .datasets import Split
from .networks import build, cross_entropy

SCHEDULES = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
STACKABLE = ("gain", "lr", "seed")  # what may differ between the networks of a stack


@dataclass(frozen=True)
class History:
    """What a training run left behind: NumPy arrays of shape (epochs, *stack), one row a finished epoch.

    loss: mean cross-entropy over the epoch's batches, in nats. train_error, test_error: share of wrong answers in eval mode,
    from 0 to 1. diverged (*stack,): whether the loss has ever been NaN or infinite. stopped: whether the run was interrupted.
    """

    loss: np.ndarray
    train_error: np.ndarray
    test_error: np.ndarray
    diverged: np.ndarray
    stopped: bool = False

    @property
    def epochs(self):
        """How many epochs were finished."""
        return len(self.loss)


class Trainer:
    """Stochastic gradient descent on `net`, one network or a stack, one step at a time: `fit` is a loop over its steps.

    lr, batch: as in `fit`; both may be set anew between two steps. An epoch goes once through the training part of the Split
    `data`, in an order drawn from `seed`; what is too little for a last step is left out. It puts the network in train mode.
    Raises ValueError on a bad argument.
    """

    def __init__(self, net, data, *, lr, batch, momentum=0.9, seed=0):
        self.net, self.data = net, data
        self.batch = integer("batch", batch, 1, len(data.x))
        number("momentum", momentum, 0, 1)
        self.generator = torch.Generator().manual_seed(integer("seed", seed, 0, 2**63 - 1))
        self.stack = predict(net, data.x[:1]).shape[:-2]
        self.lr = per_network("lr", lr, self.stack, low=0.0).to(data.x)
        # torch 2.13's fused step leaves half-precision weights on a CPU as they are.
        fused = all(one.dtype in (torch.float32, torch.float64) for one in net.parameters())
        self.optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=momentum, fused=fused)
        self.waiting = torch.empty(0, dtype=torch.int64)  # what this epoch has still to see
        net.train()

    def step(self, rate=1.0):
        """One step at `rate` times lr; the losses before it, in nats, of shape (*stack,)."""
        if len(self.waiting) < self.batch:
            self.waiting = torch.randperm(len(self.data.x), generator=self.generator)
        chosen, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        self.optimizer.param_groups[0]["lr"] = rate
        losses = cross_entropy(self.net(self.data.x[chosen]), self.data.y[chosen])
        self.optimizer.zero_grad()
        (self.lr * losses).sum().backward()
        self.optimizer.step()
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
    watch=None,
):
    """Trains `net`, one network or a stack, on the Split `data` by stochastic gradient descent, and returns its History.

    lr: the learning rate, a number or one per network (of the stack's shape). batch: examples a step. An epoch goes once
    through the training part, in an order drawn from `seed`, the same for all networks; a last incomplete batch is left out.
    momentum: 0 to 1. schedule: "cosine", down from lr to 0, or "constant". progress: shows a bar with the time that is left.
    watch: a function that is called with the History so far after each epoch.

    The networks of a stack are independent, so a learning rate of one's own is a weight on one's own loss. A network that
    diverges is recorded as diverged, and the others do not notice. An interrupt (the stop button) ends the run and keeps the
    epochs that are finished. The network stays in train mode. Raises ValueError on a bad argument.
    """
    integer("epochs", epochs, 1, 100_000)
    rate = SCHEDULES[choice("schedule", schedule, tuple(SCHEDULES))]
    trainer = Trainer(net, data, lr=lr, batch=batch, momentum=momentum, seed=seed)
    steps = len(data.x) // batch
    rows, stopped = [], False
    with _bar(epochs * steps, "step", progress) as bar:
        try:
            for epoch in range(epochs):
                total = torch.zeros(trainer.stack, device=data.x.device)
                for step in range(steps):
                    total += trainer.step(rate((epoch + step / steps) / epochs))
                    bar.update()
                rows.append(
                    (
                        total / steps,
                        error(net, data.x, data.y),
                        error(net, data.x_test, data.y_test),
                    )
                )
                if watch:
                    watch(_history(rows, trainer.stack, stopped))
        except KeyboardInterrupt:
            stopped = True
    return _history(rows, trainer.stack, stopped)


def predict(net, x):
    """Scores of `net` in eval mode, without a gradient. Each module's mode is left as it was."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        with torch.no_grad():
            return net.eval()(x)
    finally:
        for module, training in modes:
            module.training = training


def error(net, x, y):
    """Share of wrong answers in eval mode, 0 to 1, for each network: shape (*stack,). A NaN is a wrong answer."""
    scores = predict(net, x)
    right = (scores.argmax(-1) == y) & scores.isfinite().all(-1)
    return 1 - right.float().mean(-1)


def _bar(total, unit, progress):
    """A progress bar with the time that is left, for what takes over a second; the variable TQDM_DISABLE silences all."""
    silent = (
        not progress or "TQDM_DISABLE" in os.environ
    )  # tqdm's own bar in a notebook does not heed it
    return tqdm(total=total, unit=unit, leave=False, delay=1, disable=silent)


def _history(rows, stack, stopped):
    columns = [torch.stack(column).cpu().numpy() for column in zip(*rows)] or [
        np.zeros((0, *stack))
    ] * 3
    return History(*columns, diverged=~np.isfinite(columns[0]).all(0), stopped=stopped)


@dataclass(frozen=True)
class Sweep:
    """What `sweep` found: arrays with one axis for each entry of `grid`, in its order.

    grid: the name and the values of each axis. loss, train_error, test_error: of the last epoch, as in History.
    diverged: as in History. failed: cells whose worker died twice. What was not trained to the end is NaN.
    """

    grid: dict
    loss: np.ndarray
    train_error: np.ndarray
    test_error: np.ndarray
    diverged: np.ndarray
    failed: np.ndarray


def sweep(grid, data, *, executor=None, progress=True, **fixed):
    """Trains a network for every combination of the values in `grid` on the Split `data`, and returns the Sweep.

    grid: from names of arguments of `build` or `fit` to lists of their values. fixed: the other arguments, one value each;
    `inputs` and `classes` are the data's unless given. `seed` is build's: all networks see the batches in the same order.

    What can be stacked (gain, lr, seed) trains as one stack. The rest, such as different depths, runs one after the other, or
    side by side on `executor`, any concurrent.futures.Executor: a ProcessPoolExecutor or, on many machines,
    dask.distributed.Client(...).get_executor(pure=False). The answers are the same. A part whose worker dies is tried once
    more; if that dies too, its cells are NaN and marked as failed, and the sweep goes on. (A process pool never recovers from
    a death: what it had left runs one after the other, each part in a process of its own.) An interrupt ends the sweep and
    keeps what is done.
    Raises ValueError on a name that neither function knows, or a bad value.
    """
    known = {*signature(build).parameters, *signature(fit).parameters} - {
        "stack",
        "net",
        "data",
        "progress",
        "watch",
    }
    for name in [*grid, *fixed]:
        choice("grid and fixed arguments", name, tuple(sorted(known)))
    for name, values in grid.items():
        if (
            name in fixed
            or not isinstance(values, (list, tuple, range, np.ndarray, torch.Tensor))
            or len(values) == 0
        ):
            raise ValueError(
                f"grid[{name!r}] must be a list of values, and {name} not fixed as well, got {values!r}"
            )
    grid = {
        name: [getattr(one, "item", lambda one=one: one)() for one in values]
        for name, values in grid.items()
    }
    fixed = {"inputs": data.x.shape[-1], "classes": int(data.y.max()) + 1} | fixed
    stacked = [name for name in grid if name in STACKABLE and None not in grid[name]]
    looped = [name for name in grid if name not in stacked]
    mesh = dict(zip(stacked, np.meshgrid(*(grid[name] for name in stacked), indexing="ij")))
    stack = tuple(len(grid[name]) for name in stacked)
    arrays = tuple(part.numpy() for part in data)
    jobs = [
        (
            fixed | mesh | dict(zip(looped, values)),
            stack,
            arrays,
            torch.get_num_threads(),
            progress and executor is None,
        )
        for values in itertools.product(*(grid[name] for name in looped))
    ]
    results = [(np.full(stack, np.nan),) * 3 + (np.zeros(stack, bool),)] * len(jobs)
    failed = np.zeros((len(jobs), *stack), bool)
    try:
        with _bar(len(jobs), "stack", progress) as bar:
            for k, result in _run(jobs, executor):
                if result is None:
                    failed[k] = True
                else:
                    results[k] = result
                bar.update()
    except KeyboardInterrupt:
        pass
    axes = [[*looped, *stacked].index(name) for name in grid]
    shape = [*(len(grid[name]) for name in looped), *stack]
    columns = [
        np.stack(column).reshape(shape).transpose(axes) for column in (*zip(*results), failed)
    ]
    return Sweep(grid, *columns)


def _run(jobs, executor):
    """Trains each job; yields its number and its result, None if its worker died twice, as they are done."""
    if executor is None:
        for k, job in enumerate(jobs):
            yield k, _train(*job)
        return
    waiting, left = {}, []
    try:
        for k, job in enumerate(jobs):
            try:
                waiting[executor.submit(_train, *job)] = k
            except BrokenExecutor:
                left.append(k)
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except Exception as error:
                if not _died(error):
                    raise
                left.append(waiting[future])
        for k in left:
            yield k, _again(jobs[k], executor)
    finally:
        for future in waiting:
            future.cancel()


def _again(job, executor):
    """The second try of a job; None if that worker dies too. A process pool never works again once a worker has died, so a
    process of its own takes the job."""
    pool = isinstance(executor, ProcessPoolExecutor)
    with ProcessPoolExecutor(1, get_context("spawn")) if pool else nullcontext(executor) as second:
        try:
            return second.submit(_train, *job, attempt=2).result()
        except Exception as error:
            if not _died(error):
                raise
            return None


def _died(error):
    """Whether an error says that a worker is gone, and not that its work was wrong."""
    return (
        isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
    )  # the latter is Dask's


def _train(settings, stack, arrays, threads, progress, attempt=1):
    """Builds and trains one stack: its last loss, train error and test error, and whether it diverged, each of shape stack.

    NumPy's arrays in and out, which travel between processes as plain bytes. With another number of threads, sums would be
    rounded in another order. `attempt` makes the second try another call: Dask would answer the same one with the same failure.
    """
    torch.set_num_threads(threads)
    of_build = {
        name: value for name, value in settings.items() if name in signature(build).parameters
    }
    of_fit = {name: value for name, value in settings.items() if name not in of_build}
    net = build(**of_build, stack=stack)
    history = fit(net, Split(*map(torch.from_numpy, arrays)), **of_fit, progress=progress)
    if history.stopped:
        raise KeyboardInterrupt
    return history.loss[-1], history.train_error[-1], history.test_error[-1], history.diverged
