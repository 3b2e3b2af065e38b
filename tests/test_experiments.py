"""Recorded runs: they say what the lessons say, can be made again, and survive an interrupt, a damage and a second run."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import LocalCluster

from helpers import Linear, build, digits, experiments, fit, recorded
from helpers.datasets import DATA, DamagedData, save
from helpers.executors import start
from helpers.experiments import EXPERIMENTS, RECIPES, Experiment, main, record

SIZES = {"inputs": 64, "classes": 10}
RECORDS = sorted(path.stem for path in DATA.glob("*.npz") if path.stem != "digits")


@pytest.fixture
def tiny(monkeypatch):
    """Two small experiments in place of the long ones, run in this process: one run a seed, and stacked seeds."""
    small = {"lr": 0.1, "epochs": 2, "batch": 500}
    alone = Experiment(
        lambda seed, depth: experiments.build(depth, 8, inputs=64, classes=10, seed=seed),
        {"depth": (1, 2)},
        small,
    )
    stacked = Experiment(
        lambda seeds, depth: experiments.build(
            depth, 8, inputs=64, classes=10, seed=[seeds] * 2, stack=(2, len(seeds))
        ),
        {"depth": (1, 2)},
        small | {"lr": (0.1, 0.01)},
    )
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"alone": alone, "stacked": stacked})
    monkeypatch.setattr(experiments, "start", Here)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return experiments.EXPERIMENTS


class Here:
    """An executor that works at once, in this process, and may be told to be interrupted after some jobs."""

    left = None

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def shutdown(self, **_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        if Here.left == 0:
            future.set_exception(KeyboardInterrupt())
        else:
            Here.left = None if Here.left is None else Here.left - 1
            future.set_result(function(*arguments))
        return future


# --- what was recorded --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_whole_and_says_how_it_was_made(name):
    arrays, about = recorded(name)
    axes = [len(values) for values in about["axes"].values()]
    for part in ("loss", "train_error", "test_error"):
        assert list(arrays[part].shape[: len(axes)]) == axes
        assert arrays[part].shape[len(axes)] == about["fit"]["epochs"]
    assert (
        about["experiment"] == name
        and json.loads(json.dumps(EXPERIMENTS[name].fit)) == about["fit"]
    )
    assert {"date", "torch", "numpy", "python", "machine", "device", "cpu_seconds", "seeds"} <= {
        *about
    }


def test_degradation_depth_by_depth_and_seed_by_seed():
    arrays, about = recorded("degradation")
    assert (
        len(about["seeds"]) >= 5
        and about["axes"]["depth"] == [20, 56]
        and list(about["axes"]) == ["seed", "skip", "depth"]
    )
    loss, error = arrays["loss"][..., -1], arrays["train_error"][..., -1]
    (plain_20, plain_56), (res_20, res_56) = loss[:, 0].T, loss[:, 1].T
    assert ((res_56 < res_20) & (res_20 < plain_20) & (plain_20 < plain_56)).all()
    assert (error[:, 0, 1] >= 5 * error[:, 0, 0]).all()
    assert about["cpu_seconds"] <= 2 * 6 * 60, "six minutes on two cores"


def test_the_deeper_the_worse_without_skips_and_not_with_skips_and_batch_norm():
    arrays, about = recorded("depths")
    assert list(about["axes"]) == ["norm", "skip", "depth"]
    at = about["axes"]["depth"].index
    (alone, skips_alone), (plain, skips) = arrays["train_error"][
        :, :, :, -1
    ]  # norm, skip, depth, seed
    assert alone[: at(26)].mean(1).max() < 0.01 < alone[at(26)].mean() < 0.1
    assert 0.3 < alone[at(56)].mean() < 0.5
    assert plain[: at(26)].mean(1).max() < 0.03 and 0.1 < plain[at(26)].mean() < 0.3
    assert (np.diff(plain[: at(56)].mean(1)) > 0).all() and plain[at(56)].mean() > 0.7
    assert np.ptp(plain[at(32)]) > 0.1, "in the middle depths the seeds lie apart"
    assert skips.max() < 0.01
    assert (skips_alone[at(26) :] == 1).all(), "skips without a norm diverge"


def test_only_skips_with_a_small_branch_go_to_a_thousand_layers():
    arrays, about = recorded("recipes")
    depths = about["axes"]["depth"]
    accuracy = 1 - arrays["train_error"][:, :, -1].mean(-1).min(-1)
    reach = {
        recipe: max([depth for depth, share in zip(depths, row) if share > 0.9], default=0)
        for recipe, row in zip(about["axes"]["recipe"], accuracy)
    }
    deep = {"skips, batch norm", "skips, 1/√blocks", "skips, scale learned from 0"}
    assert {recipe for recipe, depth in reach.items() if depth == 1000} == deep
    assert (
        reach["plain, He's gain"]
        == reach["plain, batch norm"]
        == reach["plain, tanh, gain 1"]
        == 10
    )
    assert reach["skips alone"] == 0, "skips alone do not buy depth"
    assert 50 <= reach["plain, tanh, orthogonal"] <= 200


def test_a_thousand_layers_train_for_every_seed():
    arrays, about = recorded("thousand")
    assert len(about["seeds"]) >= 3
    error, seconds = arrays["train_error"], arrays["seconds"]  # seed, recipe, epoch
    assert (error[:, 0, 4] < 0.05).all() and (error[:, :, 9] < 0.02).all()
    assert (seconds[:, 0] < 60).all(), "ten epochs of the scaled one, on one processor"


def test_a_finer_map_says_what_lesson_04_says():
    arrays, _ = recorded("rates")  # seed, norm, epoch, learning rate, gain
    trained = (arrays["train_error"][:, :, -1] < 0.1).mean((0, 2, 3))
    assert trained[1] > 8 * trained[0] and trained[1] > 0.4


@pytest.mark.slow
def test_a_quick_run_of_the_same_comes_to_the_same_conclusion():
    """Another seed than the recorded ones; decisions are compared, not digits, which machines round differently."""
    arrays, about = recorded("depths")
    settings = about["fit"] | {"lr": about["fit"]["lr"]["batch"], "epochs": 8, "progress": False}
    for depth, low, high in ((8, 0, 0.1), (56, 0.6, 1)):
        net = experiments.depths([17, 18], norm="batch", skip=False, depth=depth)
        error = fit(net, digits(0), **settings).train_error[-1]
        recorded_error = arrays["train_error"][1, 0, about["axes"]["depth"].index(depth), -1]
        assert ((low <= error) & (error <= high)).all() and (
            (low <= recorded_error) & (recorded_error <= high)
        ).all()


# --- how it is recorded -------------------------------------------------------------------------------------------------------


def test_the_axes_of_a_record_are_those_of_the_experiment(tiny, tmp_path):
    record("alone", seeds=3, out=tmp_path)
    arrays, about = recorded("alone", tmp_path)
    assert (
        list(about["axes"]) == ["seed", "depth"]
        and arrays["loss"].shape == (3, 2, 2)
        and arrays["seconds"].shape == (3, 2)
    )
    record("stacked", seeds=3, out=tmp_path)
    arrays, about = recorded("stacked", tmp_path)
    assert list(about["axes"]) == ["depth"] and arrays["loss"].shape == (2, 2, 2, 3), (
        "depth, epoch, learning rate, seed"
    )
    assert not list(tmp_path.glob("*.part"))


def test_each_norm_may_have_a_learning_rate(tiny, tmp_path, monkeypatch):
    by_norm = Experiment(
        lambda seed, norm: experiments.build(2, 8, inputs=64, classes=10, norm=norm, seed=seed),
        {"norm": ("none", "layer")},
        {"lr": {"none": 0.0, "layer": 0.1}, "epochs": 2, "batch": 500},
    )
    monkeypatch.setitem(experiments.EXPERIMENTS, "by_norm", by_norm)
    record("by_norm", seeds=1, out=tmp_path)
    [[still, learning]] = recorded("by_norm", tmp_path)[0]["test_error"]  # of each epoch
    assert still[0] == still[1] and learning[0] != learning[1]


def test_a_stopped_run_keeps_what_is_finished_and_the_next_one_goes_on(tiny, tmp_path, monkeypatch):
    record("alone", seeds=3, out=tmp_path / "whole")
    monkeypatch.setattr(Here, "left", 4)
    with pytest.raises(KeyboardInterrupt):
        record("alone", seeds=3, out=tmp_path)
    assert (
        len(list((tmp_path / "alone.part").glob("[0-9]*.npz"))) == 4
        and not (tmp_path / "alone.npz").exists()
    )
    [third] = (tmp_path / "alone.part").glob("2-*.npz")
    third.write_bytes(b"cut off")  # as a crash in the middle of writing would leave it
    monkeypatch.setattr(Here, "left", None)
    ran = []
    monkeypatch.setattr(
        experiments, "run", lambda *job, run=experiments.run: ran.append(job[1]) or run(*job)
    )
    record("alone", seeds=3, out=tmp_path)
    assert len(ran) == 3, "the two that were missing and the damaged one"
    for name, array in recorded("alone", tmp_path / "whole")[0].items():
        if name != "seconds":
            np.testing.assert_array_equal(array, recorded("alone", tmp_path)[0][name])


def test_a_run_is_saved_by_its_worker_and_where_that_cannot_be_by_the_recorder(
    tiny, tmp_path, monkeypatch
):
    """A recorder that is stopped does not wait for its workers; a worker may be on another machine."""
    run, cell = experiments.run, {"seed": 0, "depth": 1}
    arrays = run(tiny["alone"], cell, "cpu", tmp_path / "0.npz")
    np.testing.assert_equal(experiments.finished(tmp_path / "0.npz"), arrays)
    nowhere = tmp_path / "on another machine" / "0.npz"
    monkeypatch.setattr(experiments, "run", lambda *job: run(*job[:-1], nowhere))
    record("alone", seeds=1, out=tmp_path)
    np.testing.assert_array_equal(recorded("alone", tmp_path)[0]["loss"][0, 0], arrays["loss"])


def test_what_was_begun_with_other_seeds_is_not_mixed(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Here, "left", 2)
    with pytest.raises(KeyboardInterrupt):
        record("alone", seeds=3, out=tmp_path)
    monkeypatch.setattr(Here, "left", None)
    for other in {"seeds": 2}, {"seeds": 3, "device": "meta"}:
        with pytest.raises(ValueError, match="alone.part was begun with other settings"):
            record("alone", **other, out=tmp_path)
    record("alone", seeds=2, out=tmp_path, again=True)
    assert recorded("alone", tmp_path)[1]["seeds"] == [0, 1]


def test_a_damaged_record_is_named_and_made_anew_on_request(tmp_path, capsys):
    save("thousand.npz", {"config": np.array("{}")}, tmp_path)
    (tmp_path / "thousand.npz").write_bytes(b"something else")
    with pytest.raises(DamagedData, match="thousand.npz is not the recorded file"):
        recorded("thousand", tmp_path)
    with pytest.raises(
        SystemExit, match="thousand.npz is not the recorded file.*the same command with --again"
    ):
        main(["thousand", "--out", str(tmp_path)])


@pytest.mark.usefixtures("tiny")
def test_a_record_is_replaced_only_on_request(tmp_path):
    record("alone", seeds=2, out=tmp_path)
    before = (tmp_path / "alone.npz").read_bytes()
    for device in "cpu", torch.device("cpu"):
        with pytest.raises(
            ValueError, match="^again must be True to replace .*alone.npz, got False$"
        ):
            record("alone", seeds=1, out=tmp_path, device=device)
    assert (tmp_path / "alone.npz").read_bytes() == before
    record("alone", seeds=1, out=tmp_path, device=torch.device("cpu"), again=True)
    assert recorded("alone", tmp_path)[1]["seeds"] == [0]


def test_damaged_digits_are_named_in_one_line(tmp_path, monkeypatch):
    def damaged(**settings):
        raise DamagedData("data/digits.npz is missing")

    monkeypatch.setattr(experiments, "record", damaged)
    with pytest.raises(SystemExit, match="^data/digits.npz is missing$"):
        main(["thousand", "--out", str(tmp_path)])


def test_a_record_that_is_there_stays(tmp_path):
    save("thousand.npz", {"config": np.array("{}")}, tmp_path)
    before = (tmp_path / "thousand.npz").read_bytes()
    with pytest.raises(SystemExit, match="is recorded already; --again"):
        main(["thousand", "--out", str(tmp_path)])
    assert (tmp_path / "thousand.npz").read_bytes() == before


def test_a_new_recording_that_was_stopped_goes_on_without_again(tiny, tmp_path, monkeypatch):
    command = ["alone", "--seeds", "3", "--out", str(tmp_path)]
    main(command)
    monkeypatch.setattr(Here, "left", 4)
    with pytest.raises(
        SystemExit,
        match="stopped; what is finished is kept in .*alone.part, and the same command, without --again, goes on",
    ):
        main([*command, "--again"])
    assert recorded("alone", tmp_path)[1]["seeds"] == [0, 1, 2], (
        "the old record stays until the new one is whole"
    )
    monkeypatch.setattr(Here, "left", 2)
    main(command)
    assert Here.left == 0 and not (tmp_path / "alone.part").exists()


def test_save_writes_one_line_of_checksums_a_file(tmp_path):
    for value in (1, 2):
        save("a.npz", {"x": np.array(value)}, tmp_path)
        save("b.npz", {"x": np.array(value)}, tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert [line[66:] for line in lines] == ["a.npz", "b.npz"]
    assert (
        subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=False
        ).returncode
        == 0
    )
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "b.npz", "SHA256SUMS"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "nothing"}, "name must be one of"),
        (
            {"name": "depths", "device": "abacus"},
            "device must be one that torch finds here, such as 'cpu', got 'abacus'",
        ),
        ({"name": "depths", "seeds": 0}, "seeds must be an integer from 1 to 1000, got 0"),
    ],
)
def test_a_bad_argument_is_named(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        record(**arguments, out=tmp_path)


def test_what_executes_is_named_if_it_is_bad(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "start", start)
    dask = "tcp://127.0.0.1:8786"
    named = f"executor must be 'processes' or the address of a Dask scheduler, such as {dask}, got"
    for settings, message in (
        (["--executor", "threads"], f"{named} 'threads'"),
        (
            ["--executor", dask, "--workers", "2"],
            "workers must be left out with a Dask scheduler, got 2",
        ),
        (["--workers", "0"], "workers must be an integer from 1 to 1024, got 0"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["alone", "--out", str(tmp_path), *settings])
        assert str(stopped.value) == message
    assert not list(tmp_path.iterdir())


def quick(seed, depth):
    """A network of two small experiments, which a new process can import."""
    return build(depth, 8, seed=seed, **SIZES)


def deadly(seed, folder):
    """A network that ends the first worker process that builds it, and notes it in `folder`."""
    if multiprocessing.parent_process() and not os.listdir(folder):
        Path(folder, "died").touch()
        os._exit(1)
    return build(1, 8, seed=seed, **SIZES)


@pytest.fixture(scope="module")
def address():
    """The address of a Dask scheduler with two workers on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "address"])
def test_processes_and_a_dask_cluster_record_the_same_and_go_on(
    executor, tiny, tmp_path, monkeypatch, request
):
    """The first two runs are recorded here, the other four there."""
    tiny["alone"] = Experiment(quick, {"depth": (1, 2)}, tiny["alone"].fit)
    record("alone", seeds=3, out=tmp_path / "here")
    monkeypatch.setattr(Here, "left", 2)
    with pytest.raises(KeyboardInterrupt):
        record("alone", seeds=3, out=tmp_path)
    monkeypatch.setattr(experiments, "start", start)
    chosen = executor if executor == "processes" else request.getfixturevalue(executor)
    main(["alone", "--seeds", "3", "--out", str(tmp_path), "--executor", chosen])
    (here, _), (there, about) = recorded("alone", tmp_path / "here"), recorded("alone", tmp_path)
    assert about["seeds"] == [0, 1, 2] and here.keys() == there.keys()
    for name in here.keys() - {"seconds"}:
        np.testing.assert_array_equal(here[name], there[name])


@pytest.mark.slow
def test_the_command_as_it_is_typed_trains_on_a_dask_cluster(address, tmp_path):
    """`python -m` gives the module another name; the workers import it by its own."""
    command = [sys.executable, "-m", "helpers.experiments", "depths", "--seeds", "1"]
    command += ["--out", str(tmp_path), "--executor", address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    try:
        while not list(tmp_path.glob("depths.part/[0-9]*.npz")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_whose_worker_dies_is_tried_once_more(tiny, tmp_path, monkeypatch):
    """The first of two runs ends the pool's worker, and the second, which has not begun, the next one."""
    monkeypatch.setattr(experiments, "start", start)
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    tiny["deadly"] = Experiment(deadly, {"folder": (*map(str, folders),)}, tiny["alone"].fit)
    command = ["deadly", "--seeds", "1", "--out", str(tmp_path), "--workers", "1"]
    with pytest.raises(
        SystemExit, match="^a worker died, .*second.*; what is finished is kept in "
    ):
        main(command)
    assert all((folder / "died").exists() for folder in folders)
    assert [path.name[:2] for path in (tmp_path / "deadly.part").glob("*.npz")] == ["0-"]
    main(command)
    assert recorded("deadly", tmp_path)[0]["loss"].shape == (1, 2, 2)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_told_in_one_line(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "start", start)
    with pytest.raises(SystemExit, match="tcp://127.0.0.1:9.*; what is finished is kept in"):
        main(["alone", "--out", str(tmp_path), "--executor", "tcp://127.0.0.1:9"])


def test_every_recipe_builds():
    for recipe in RECIPES:
        net = experiments.recipes([0, 1], recipe, depth=4)
        assert net(digits(0).x[:2]).shape == (4, 2, 2, 10)
        weight = next(layer for layer in net if isinstance(layer, Linear)).weight
        assert torch.equal(weight[0, 0], weight[3, 0]) and not torch.equal(*weight[0])
    weight = experiments.recipes([0, 1], "plain, tanh, orthogonal", depth=4)[2].weight[1, 1]
    np.testing.assert_allclose((weight @ weight.T).detach(), np.eye(32), atol=1e-5)
    [[alone]] = experiments.recipes([1], "plain, tanh, orthogonal", depth=4)[2].weight[:1]
    assert torch.equal(weight, alone), "a start depends on its seed alone"


def test_what_is_recorded_does_not_depend_on_global_settings(tiny, tmp_path, hostile_settings):
    record("stacked", seeds=2, out=tmp_path / "usual")
    weights = experiments.recipes([0, 1], "plain, tanh, orthogonal", depth=4).state_dict()
    with hostile_settings():
        record("stacked", seeds=2, out=tmp_path)
        found = experiments.recipes([0, 1], "plain, tanh, orthogonal", depth=4).state_dict()
    usual, hostile = recorded("stacked", tmp_path / "usual")[0], recorded("stacked", tmp_path)[0]
    for name in usual.keys() - {"seconds"}:
        np.testing.assert_array_equal(usual[name], hostile[name], strict=True)
    for name, weight in weights.items():
        assert weight.dtype == found[name].dtype
        np.testing.assert_array_equal(weight, found[name])


def is_old(path):
    """Whether it was written a while ago: its worker has told of it, and trains the next network."""
    return time.time() - path.stat().st_mtime > 0.3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends a signal as a terminal does")
def test_ctrl_c_in_a_terminal_leaves_what_is_finished(tmp_path):
    command = [
        sys.executable,
        "-m",
        "helpers.experiments",
        "depths",
        "--out",
        str(tmp_path),
        "--seeds",
        "1",
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 300
    while not any(map(is_old, tmp_path.glob("depths.part/[0-9]*.npz"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 1 and "stopped; what is finished is kept in" in said
    assert "Traceback" not in said
    # A few of 36 on a busy machine, which hears of the key late: what waits is not begun.
    assert 1 <= len(list(tmp_path.glob("depths.part/[0-9]*.npz"))) < 18
    assert not (tmp_path / "depths.npz").exists()


def test_a_late_worker_of_an_earlier_recording_does_not_get_into_the_record(
    tiny, tmp_path, monkeypatch
):
    record("alone", seeds=1, out=tmp_path / "expected")
    run = experiments.run

    def overtaken(*job):
        arrays = run(*job)
        experiments.save_run(job[-1], {name: array + 7 for name, array in arrays.items()})
        return arrays

    monkeypatch.setattr(experiments, "run", overtaken)
    record("alone", seeds=1, out=tmp_path)
    expected, found = recorded("alone", tmp_path / "expected")[0], recorded("alone", tmp_path)[0]
    np.testing.assert_array_equal(found["loss"], expected["loss"])


def test_runs_of_other_settings_do_not_get_into_the_record(tiny, tmp_path, monkeypatch):
    """Also where the folder has lost what it was begun with, as an interrupt may leave it."""
    record("alone", seeds=1, out=tmp_path / "expected")
    monkeypatch.setattr(Here, "left", 2)
    with pytest.raises(KeyboardInterrupt):
        record("alone", seeds=2, out=tmp_path)
    (tmp_path / "alone.part" / "config.json").unlink()
    for path in (tmp_path / "alone.part").glob("*.npz"):
        arrays = experiments.finished(path)
        experiments.save_run(path, {name: array + 7 for name, array in arrays.items()})
    monkeypatch.setattr(Here, "left", None)
    record("alone", seeds=1, out=tmp_path)
    expected, found = recorded("alone", tmp_path / "expected")[0], recorded("alone", tmp_path)[0]
    np.testing.assert_array_equal(found["loss"], expected["loss"])


def test_the_seconds_of_a_run_are_its_own(tiny, tmp_path, monkeypatch):
    def burn():
        until = time.thread_time() + 1
        while time.thread_time() < until:
            pass

    def beside_another(*given, **settings):
        other = threading.Thread(target=burn)  # another run in the same worker process
        other.start()
        other.join()
        return fit(*given, **settings)

    monkeypatch.setattr(experiments, "fit", beside_another)
    job = tiny["alone"], {"seed": 0, "depth": 1}, "cpu", tmp_path / "0.npz"
    assert experiments.run(*job)["seconds"] < 0.8
