"""A door: `python -m helpers.experiments NAME` records a long run into data/, where the notebooks read it."""

import argparse
import itertools
import json
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from inspect import signature
from multiprocessing import get_context
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from .arguments import choice, integer
from .datasets import DATA, DamagedData, Split, digits, keep, recorded
from .networks import Linear, build, build_conv
from .training import fit

RATES = (0.1, 0.03, 0.01, 0.003)
FINE = np.meshgrid(
    np.logspace(-3, 0.5, 16), 2**0.5 * 10 ** (np.arange(-8, 8) / 7), indexing="ij"
)  # learning rates and gains
RECIPES = {  # arguments of build; 1/√blocks stands for the number
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
    """He's networks of 2015 on the digits: plain and residual, convolutional, of 20 and 56 layers."""
    return build_conv(depth, classes=10, skip=skip, seed=seed)


def depths(seeds, norm, skip, depth):
    """Fully connected networks without and with batch norm, plain and residual, of many depths."""
    return build(
        depth, 32, inputs=64, classes=10, norm=norm, skip=skip, seed=seeds, stack=(len(seeds),)
    )


def recipes(seeds, recipe, depth):
    """Ever deeper fully connected networks of each recipe, at four learning rates."""
    settings = {"inputs": 64, "classes": 10, **RECIPES[recipe]}
    orthogonal = settings.pop("orthogonal", False)
    if settings.get("branch_scale") == "1/√blocks":
        settings["branch_scale"] = (depth - 1) ** -0.5
    net = build(
        depth, 32, seed=[list(seeds)] * len(RATES), stack=(len(RATES), len(seeds)), **settings
    )
    if orthogonal:
        generator = torch.Generator().manual_seed(seeds[0])
        for layer in net:
            for weight in layer.weight.data.flatten(0, -3) if isinstance(layer, Linear) else ():
                nn.init.orthogonal_(weight, generator=generator)
    return net


def thousand(seed, recipe):
    """A thousand layers."""
    settings = {"norm": "batch"} if recipe == "batch norm" else {"branch_scale": 999**-0.5}
    return build(1000, 32, inputs=64, classes=10, skip=True, seed=seed, **settings)


def rates(seed, norm):
    """Ten layers at 16 learning rates x 16 gains: lesson 04's map, but finer."""
    return build(10, 32, inputs=64, classes=10, norm=norm, gain=FINE[1], seed=seed, stack=(16, 16))


@dataclass(frozen=True)
class Experiment:
    """network: builds what is trained. axes: the arguments of which all combinations are run. fit: how they are trained.

    A `network` with a parameter `seed`, and not `seeds`, runs once for each seed, which is then the first axis; else the stack's
    last axis is the seeds. A tuple of learning rates is the stack's first axis; a dict has one for each norm.
    """

    network: Callable
    axes: dict
    fit: dict


EXPERIMENTS = {
    "degradation": Experiment(
        degradation,
        {"skip": (False, True), "depth": (20, 56)},
        {"lr": 0.03, "epochs": 8, "batch": 128},
    ),
    "depths": Experiment(
        depths,
        {
            "norm": ("none", "batch"),
            "skip": (False, True),
            "depth": (8, 14, 20, 26, 32, 38, 44, 50, 56),
        },
        {"lr": {"none": 0.005, "batch": 0.03}, "epochs": 40, "batch": 64},
    ),
    "recipes": Experiment(
        recipes,
        {"recipe": tuple(RECIPES), "depth": (10, 20, 50, 100, 200, 400, 1000)},
        {"lr": RATES, "epochs": 6, "batch": 64},
    ),
    "thousand": Experiment(
        thousand, {"recipe": ("1/√blocks", "batch norm")}, {"lr": 0.1, "epochs": 10, "batch": 64}
    ),
    "rates": Experiment(
        rates,
        {"norm": ("none", "batch")},
        {"lr": FINE[0].tolist(), "epochs": 10, "batch": 64, "schedule": "constant"},
    ),
}


stopped = (
    threading.Event()
)  # set in a worker whose run was interrupted: those that wait for it there are not begun


def run(name, cell, seeds, device, path):
    """One run of an experiment. Writes its History's arrays, and the CPU seconds that it took, to `path`, whole or not at all.

    seeds: a dict, empty where the cell has its own.
    """
    if stopped.is_set():
        raise KeyboardInterrupt
    torch.set_num_threads(1)
    begin = time.process_time()
    experiment = EXPERIMENTS[name]
    settings = dict(experiment.fit)
    if isinstance(settings["lr"], dict):
        settings["lr"] = settings["lr"][cell["norm"]]
    if isinstance(settings["lr"], tuple):
        settings["lr"] = [[rate] * len(seeds["seeds"]) for rate in settings["lr"]]
    try:
        data = Split(*(part.to(device) for part in digits(0)))
        history = fit(
            experiment.network(**cell, **seeds).to(device), data, **settings, progress=False
        )
        if history.stopped:
            raise KeyboardInterrupt
        arrays = {part: getattr(history, part) for part in ("loss", "train_error", "test_error")}
        new = path.with_suffix(".new.npz")
        np.savez(new, **arrays, seconds=time.process_time() - begin)
        new.replace(path)
    except KeyboardInterrupt:
        stopped.set()
        raise


def record(name, *, seeds=5, out=DATA, device="cpu", workers=None, again=False):
    """Runs the experiment `name` with the seeds 0 to `seeds` - 1 and writes `out`/NAME.npz, checksum and all.

    The arrays have one dimension for each axis, then those of the History's; `config`, in JSON, says what the axes are, and the
    versions, the date, the machine and the time. What is finished is kept when the run is stopped, and a second run goes on
    from there; `again` begins anew. device: as torch names it. workers: processes; None takes one for each core, on a GPU one.
    Raises ValueError on a bad argument.
    """
    experiment = EXPERIMENTS[choice("name", name, tuple(EXPERIMENTS))]
    seeds = list(range(integer("seeds", seeds, 1, 1000)))
    workers = (
        (os.cpu_count() if device == "cpu" else 1)
        if workers is None
        else integer("workers", workers, 1, 1024)
    )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # the latter where torch was built without CUDA
        raise ValueError(
            f"device must be one that torch finds here, such as 'cpu', got {device!r}"
        ) from None
    stacked = "seeds" in signature(experiment.network).parameters
    axes = experiment.axes if stacked else {"seed": seeds, **experiment.axes}
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    config = {
        "experiment": name,
        "axes": axes,
        "seeds": seeds,
        "fit": experiment.fit,
        "torch": torch.__version__,
    }
    config["device"] = device
    unfinished = Path(out) / f"{name}.part"
    if again:
        shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, exist_ok=True)
    begun, text = unfinished / "config.json", json.dumps(config)
    if begun.exists() and begun.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{unfinished} was begun with other settings: finish it with those, or begin anew with --again"
        )
    begun.write_text(text, encoding="utf-8")
    paths = [unfinished / f"{k}.npz" for k in range(len(cells))]
    waiting = [k for k, path in enumerate(paths) if finished(path) is None]
    common = {"seeds": seeds} if stacked else {}
    with (
        tqdm(
            total=len(cells),
            initial=len(cells) - len(waiting),
            desc=name,
            unit="run",
            disable="TQDM_DISABLE" in os.environ,
        ) as bar,
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
    ):
        jobs = [pool.submit(run, name, cells[k], common, device, paths[k]) for k in waiting]
        try:
            for job in futures.as_completed(jobs):
                job.result()
                bar.update()
        except BaseException:
            pool.shutdown(
                cancel_futures=True
            )  # and waits: a second shutdown, by `with`, would otherwise take the order back
            raise
    shape = [len(values) for values in axes.values()]
    results = [finished(path) for path in paths]
    columns = {key: np.stack([one[key] for one in results]) for key in results[0]}
    columns = {key: column.reshape(*shape, *column.shape[1:]) for key, column in columns.items()}
    config |= {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    config |= {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu_seconds": round(float(columns["seconds"].sum())),
    }
    keep(f"{name}.npz", {**columns, "config": np.array(json.dumps(config))}, out)
    shutil.rmtree(unfinished)


def finished(path):
    """The arrays of a run that is done; None where it is not there, or was cut off in the middle."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, BadZipFile):
        return None


def main(arguments=None):
    """The command line: see `--help`. What goes wrong is said in one line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.experiments", description=__doc__)
    parser.add_argument("name", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 on (default 5)")
    parser.add_argument(
        "--out", type=Path, default=DATA, help="folder of the record (default data/)"
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--workers", type=int, help="processes (default: one for each core)")
    parser.add_argument(
        "--again", action="store_true", help="begin anew, though a record or a part of one is there"
    )
    chosen = parser.parse_args(arguments)
    path = chosen.out / f"{chosen.name}.npz"
    unfinished = path.with_suffix(".part")
    later = f"what is finished is kept in {unfinished}, and the same command{', without --again,' * chosen.again} goes on from there"
    if path.exists() and not unfinished.exists() and not chosen.again:
        try:
            recorded(chosen.name, chosen.out)
        except DamagedData as damage:
            sys.exit(f"{damage}; or record it anew: the same command with --again")
        sys.exit(f"{path} is recorded already; --again records it anew")
    try:
        record(**vars(chosen))
    except KeyboardInterrupt:
        sys.exit(f"\nstopped; {later}")
    except ValueError as mistake:
        sys.exit(f"{mistake}")
    except (OSError, BrokenExecutor) as failure:
        sys.exit(f"{failure}; {later}")
    print(f"{path} is recorded")


if __name__ == "__main__":
    main()
