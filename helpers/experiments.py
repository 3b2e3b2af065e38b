"""Command line: `python -m helpers.experiments NAME` records a long run into data/.

The notebooks read the records. `--help` lists the names and the options.
"""

import argparse
import hashlib
import itertools
import json
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from inspect import signature
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from .arguments import choice, integer, require
from .datasets import DATA, DamagedData, Split, digits, recorded, save
from .executors import gather, start
from .networks import Linear, build, build_conv
from .training import fit

RATES = (0.1, 0.03, 0.01, 0.003)
FINE_RATES, FINE_GAINS = np.meshgrid(
    np.logspace(-3, 0.5, 16), 2**0.5 * 10 ** (np.arange(-8, 8) / 7), indexing="ij"
)
RECIPES = {  # arguments of build, and two words of `recipes`: orthogonal, 1/√blocks
    "plain, half of He's gain": {"gain": 2**-0.5},
    "plain, 1.5 times He's gain": {"gain": 1.5 * 2**0.5},
    "plain, He's gain": {},
    "plain, tanh, gain 1": {"activation": "tanh", "gain": 1.0},
    "plain, tanh, orthogonal": {"activation": "tanh", "gain": 1.0, "orthogonal": True},
    "plain, batch norm": {"norm": "batch"},
    "skips alone": {"skip": True},
    "skips, batch norm": {"skip": True, "norm": "batch"},
    "skips, 1/√blocks": {"skip": True, "branch_scale": "1/√blocks"},
    "skips, scale learned from 0": {"skip": True, "branch_scale": 0.0},
}


def degradation(seed, skip, depth):
    """He's convolutional networks of 2015 on the digits, plain and residual."""
    return build_conv(depth, skip=skip, seed=seed)


def depths(seeds, norm, skip, depth):
    """Fully connected networks without and with batch norm, plain and residual."""
    return build(depth, 32, norm=norm, skip=skip, seed=seeds, stack=(len(seeds),))


def recipes(seeds, recipe, depth):
    """Fully connected networks of one recipe, at four learning rates."""
    settings = dict(RECIPES[recipe])
    orthogonal = settings.pop("orthogonal", False)
    if settings.get("branch_scale") == "1/√blocks":
        settings["branch_scale"] = (depth - 1) ** -0.5
    net = build(
        depth, 32, seed=[list(seeds)] * len(RATES), stack=(len(RATES), len(seeds)), **settings
    )
    layers = [layer for layer in net if orthogonal and isinstance(layer, Linear)]
    for k, seed in enumerate([*seeds] * len(RATES)):  # at each learning rate, the same starts
        generator = torch.Generator().manual_seed(seed)
        for layer in layers:
            nn.init.orthogonal_(layer.weight.data.flatten(0, -3)[k], generator=generator)
    return net


def thousand(seed, recipe):
    """A thousand layers."""
    settings = {"norm": "batch"} if recipe == "batch norm" else {"branch_scale": 999**-0.5}
    return build(1000, 32, skip=True, seed=seed, **settings)


def rates(seed, norm):
    """Ten layers at 16 learning rates x 16 gains: a finer map than lesson 04's."""
    return build(10, 32, norm=norm, gain=FINE_GAINS, seed=seed, stack=(16, 16))


@dataclass(frozen=True)
class Experiment:
    """network: builds what is trained. axes: its arguments; all combinations run. fit: as in `fit`.

    A network with the parameter `seed` runs once for each seed, and the seeds are the first axis.
    One with `seeds` is a stack with the seeds as its last axis; a tuple lr is its first. A dict
    lr has one for each norm.
    """

    network: Callable
    axes: dict
    fit: dict


SKIP, LAYERS = (False, True), (8, 14, 20, 26, 32, 38, 44, 50, 56)
RECIPE = {"recipe": tuple(RECIPES), "depth": (10, 20, 50, 100, 200, 400, 1000)}
FINE = {"lr": FINE_RATES.tolist(), "epochs": 10, "batch": 64, "schedule": "constant"}
EXPERIMENTS = {
    "degradation": Experiment(
        degradation, {"skip": SKIP, "depth": (20, 56)}, {"lr": 0.03, "epochs": 8, "batch": 128}
    ),
    "depths": Experiment(
        depths,
        {"norm": ("none", "batch"), "skip": SKIP, "depth": LAYERS},
        {"lr": {"none": 0.005, "batch": 0.03}, "epochs": 40, "batch": 64},
    ),
    "recipes": Experiment(recipes, RECIPE, {"lr": RATES, "epochs": 6, "batch": 64}),
    "thousand": Experiment(
        thousand, {"recipe": ("1/√blocks", "batch norm")}, {"lr": 0.1, "epochs": 10, "batch": 64}
    ),
    "rates": Experiment(rates, {"norm": ("none", "batch")}, FINE),
}
interrupted = threading.Event()  # in a worker process: what waits there is not begun any more


def run(experiment, cell, device, path):
    """Trains the networks of a cell, a dict of the network's arguments, and returns the arrays.

    Writes them to `path`, too, unless this is a machine without that folder: what is finished is
    saved although nobody may wait for it any more.
    """
    if interrupted.is_set():
        raise KeyboardInterrupt
    torch.set_num_threads(1)
    clock = time.thread_time if device == "cpu" else time.process_time  # Dask runs several at once
    begin, settings = clock(), dict(experiment.fit)
    if isinstance(settings["lr"], dict):
        settings["lr"] = settings["lr"][cell["norm"]]
    if isinstance(settings["lr"], tuple):
        settings["lr"] = [[rate] * len(cell["seeds"]) for rate in settings["lr"]]
    try:
        data = Split(*(part.to(device) for part in digits(0)))
        history = fit(experiment.network(**cell).to(device), data, **settings, progress=False)
        if history.stopped:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        interrupted.set()
        raise
    arrays = {part: getattr(history, part) for part in ("loss", "train_error", "test_error")}
    arrays["seconds"] = np.array(clock() - begin)
    if path.parent.is_dir():
        save_run(path, arrays)
    return arrays


def save_run(path, arrays):
    """Writes a file whole or not at all."""
    new = path.with_suffix(".new.npz")
    np.savez(new, **arrays)
    new.replace(path)


def record(
    name, *, seeds=5, out=DATA, device="cpu", executor="processes", workers=None, again=False
):
    """Runs the experiment `name` with the seeds 0 to `seeds` - 1 and writes `out`/NAME.npz.

    The arrays have one dimension for each axis, then those of the History; `seconds` is CPU time.
    `config`, in JSON, holds the axes, the versions, the date and the machine. A finished run is
    saved at once, and a second call goes on from there. `again` begins anew. Without `again`, a
    finished record is not replaced.

    device: as torch names it. executor: "processes" on this machine, or the address of a Dask
    scheduler, such as tcp://127.0.0.1:8786, whose workers have this package. workers: the number of
    processes; None is one for each core, on a GPU one. Raises ValueError on a bad argument.
    """
    experiment = EXPERIMENTS[choice("name", name, tuple(EXPERIMENTS))]
    seeds = list(range(integer("seeds", seeds, 1, 1000)))
    try:
        device = str(torch.device(device))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError):  # AssertionError where there is no CUDA
        allowed = "one that torch finds here, such as 'cpu'"
        raise ValueError(f"device must be {allowed}, got {device!r}") from None
    whole = Path(out) / f"{name}.npz"
    part = whole.with_suffix(".part")
    fine = again or part.exists() or not whole.exists()
    require(fine, "again", f"True to replace {whole}", again)
    if workers is None and executor == "processes" and device != "cpu":
        workers = 1
    executor = start(executor, workers)
    stacked = "seeds" in signature(experiment.network).parameters
    axes = experiment.axes if stacked else {"seed": seeds, **experiment.axes}
    config = {"experiment": name, "axes": axes, "seeds": seeds, "fit": experiment.fit}
    config |= {"torch": torch.__version__, "device": device}
    folder = _unfinished(part, config, again)

    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    mark = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:8]  # of these settings
    paths = [folder / f"{k}-{mark}.npz" for k in range(len(cells))]
    missing = [k for k, path in enumerate(paths) if finished(path) is None]
    common = {"seeds": seeds} if stacked else {}
    jobs = [(experiment, cells[k] | common, device, paths[k].absolute()) for k in missing]
    bar = {"total": len(cells), "initial": len(cells) - len(jobs), "desc": name, "unit": "run"}
    bar["disable"] = "TQDM_DISABLE" in os.environ
    done = {}
    with executor as pool, closing(gather(run, jobs, pool)) as results:
        for job, arrays in tqdm(results, **bar):
            path, cell = paths[missing[job]], cells[missing[job]]
            if arrays is None:
                raise BrokenExecutor(f"a worker died, at the second try too, in {cell}")
            done[path] = arrays
            if finished(path) is None:
                save_run(path, arrays)

    # A worker that an earlier recorder left behind may have written the file anew.
    results = [done.get(path) or finished(path) for path in paths]
    shape = [len(values) for values in axes.values()]
    columns = {part: np.stack([result[part] for result in results]) for part in results[0]}
    columns = {part: column.reshape(*shape, *column.shape[1:]) for part, column in columns.items()}
    config |= {"date": date.today().isoformat(), "python": platform.python_version()}
    config |= {"numpy": np.__version__, "cpu_seconds": round(float(columns["seconds"].sum()))}
    config["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    save(f"{name}.npz", {**columns, "config": np.array(json.dumps(config))}, out)
    shutil.rmtree(folder)


def _unfinished(folder, config, again):
    """The folder of the finished runs, after it was begun with the same `config`."""
    begun, text = folder / "config.json", json.dumps(config)
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if begun.exists() and begun.read_text(encoding="utf-8") != text:
        advice = "finish it with those, or begin anew with --again"
        raise ValueError(f"{folder} was begun with other settings: {advice}")
    begun.write_text(text, encoding="utf-8")
    return folder


def finished(path):
    """The arrays of a finished run; None where there are none, or a file that was cut off."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, BadZipFile):
        return None


def main(arguments=None):
    """The command line. An error is one line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.experiments", description=__doc__)
    add = parser.add_argument
    add("name", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    add("--seeds", type=int, default=5, help="how many, from 0 on (default 5)")
    add("--out", type=Path, default=DATA, help="folder of the record (default data/)")
    add("--device", default="cpu", help='"cpu" (default) or "cuda"')
    add(
        "--executor", default="processes", help="processes (default), or a Dask scheduler's address"
    )
    add("--workers", type=int, help="how many processes (default: one for each core)")
    add("--again", action="store_true", help="begin anew, though there is a record or a part of it")
    chosen = parser.parse_args(arguments)
    path = chosen.out / f"{chosen.name}.npz"
    unfinished = path.with_suffix(".part")
    if path.exists() and not unfinished.exists() and not chosen.again:
        try:
            recorded(chosen.name, chosen.out)
        except DamagedData as damage:
            sys.exit(f"{damage}; or record it anew: the same command with --again")
        sys.exit(f"{path} is recorded already; --again records it anew")
    without = ", without --again," if chosen.again else ""
    later = f"what is finished is kept in {unfinished}, and the same command{without} goes on from there"
    try:
        record(**vars(chosen))
    except KeyboardInterrupt:
        sys.exit(f"\nstopped; {later}")
    except (DamagedData, ValueError, ImportError) as mistake:
        sys.exit(f"{mistake}")
    except (OSError, RuntimeError, CancelledError) as failure:
        reason = str(failure).partition("\n")[0] or type(failure).__name__
        sys.exit(f"{reason}; {later}")
    print(f"{path} is recorded")


if __name__ == "__main__":
    from .experiments import main  # by its name, for other processes import `run` by it

    main()
