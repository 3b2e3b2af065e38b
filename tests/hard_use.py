"""The course where life is hard: python tests/hard_use.py [TRIAL ...] [--rounds 20]

Each trial works on a copy of what git knows, and says what happened; exits with 1 if one failed. `rounds` takes two to seven
minutes a round; `offline`, `readonly` and `full` need Linux and root (a network and a disk of their own).
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600  # seconds that a kernel may take to answer on a busy machine
THREADS = (1, 2, 4, 1, 1, 1, 1, 1, 1, 1)  # of each of ten rounds
QUICK = (
    "03_batch_norm",
    "05_vanishing_gradients",
)  # lessons that stand for all where all would take long


def copy(folder):
    """The files that git knows, in `folder`."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def lessons(root, names=QUICK, before=(), processes=1, **environment):
    """Runs lessons of the copy in `root` as the tests do, their numbers compared; None in `environment` unsets a variable.

    before: the words of a command that runs the rest. Returns what failed, as text.
    """
    environment = (
        os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    )
    environment = {name: value for name, value in environment.items() if value is not None}
    paths = [f"notebooks/{name}.ipynb" for name in names]
    spread = (
        ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
        if processes > 1
        else ["-n", "0"]
    )
    command = [*before, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *spread, *paths]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-3000:]


def rounds(folder, count=20):
    """The whole series `count` times, in another order each time, with 1, 2 or 4 threads; with one, two processes side by side."""
    root, failures = copy(folder), []
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for k in range(count):
        order, threads, begin = (
            random.Random(k).sample(names, len(names)),
            THREADS[k % 10],
            time.monotonic(),
        )
        for name in names:
            text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
            assert text.count("torch.set_num_threads(1)") == 1
            text = text.replace("torch.set_num_threads(1)", f"torch.set_num_threads({threads})")
            (root / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
        failed = lessons(
            root, order, processes=2 if threads == 1 else 1
        )  # threads that wait for a core make a lesson ten times as slow
        print(
            f"round {k + 1}, {threads} threads, {time.monotonic() - begin:.0f} s: {failed or 'as stored'}",
            flush=True,
        )
        failures += [failed] if failed else []
    return "\n".join(failures)


def path(folder):
    """A path with a space and letters that are not ASCII."""
    return lessons(copy(folder / "mein Kurs – äπ課"))


def homeless(folder):
    """No HOME."""
    return lessons(copy(folder), HOME=None)


def offline(folder):
    """A network namespace in which nothing is reachable but the machine itself."""
    return lessons(
        copy(folder),
        before=("unshare", "--net", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"),
    )


def readonly(folder):
    """A checkout that cannot be written to."""
    shell = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && ! touch x 2>/dev/null && exec "$@"'
    root = copy(folder)
    return lessons(root, before=("unshare", "--mount", "sh", "-c", shell, str(root)))


def killed(folder):
    """A kernel that dies as it trains: the next one starts afresh, and the data are whole."""
    root, train = (
        copy(folder),
        "from helpers import build, digits, fit\ndata = digits(0)\nprint('begun', flush=True)\n",
    )
    train += "fit(build(20, 64, inputs=64, classes=10, norm='batch'), data, lr=0.1, epochs={}, batch=64, progress=False)"
    environment = os.environ | {"PYTHONPATH": str(root)}
    manager, client = start_new_kernel(PATIENCE, cwd=str(root), env=environment)
    try:
        client.execute(train.format(1000))
        while client.get_iopub_msg(timeout=PATIENCE)["msg_type"] != "stream":
            pass
        time.sleep(1)
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        manager.restart_kernel(now=True)
        client.wait_for_ready(PATIENCE)
        answer = client.execute_interactive(
            train.format(1), timeout=PATIENCE, output_hook=lambda _: None
        )
        return "" if answer["content"]["status"] == "ok" else str(answer["content"])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


RECORDER = textwrap.dedent("""
    import sys
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from helpers import experiments

    def network(seed, depth):
        return experiments.build(depth, 8, inputs=64, classes=10, seed=seed)

    experiments.EXPERIMENTS = {"small": experiments.Experiment(network, {"depth": (1, 2)}, {"lr": 0.1, "epochs": 2, "batch": 500})}
    experiments.start = lambda name, workers: ThreadPoolExecutor(workers)
    experiments.main(["small", "--workers", "1", "--out", sys.argv[1]])
""")


def full(folder):
    """A disk that is full when the recorder writes: it says so, keeps what is finished, and goes on when there is room."""
    root, disk = copy(folder / "course"), folder / "disk"
    disk.mkdir()
    shell = """mount -t tmpfs -o size=56k none "$0" && head -c 16000 /dev/zero > "$0/ballast"
        "$@" && echo "it did not notice" && exit 1
        kept=$(ls "$0/small.part"); rm "$0/ballast"; "$@" && echo "kept $kept" && ls "$0/small.npz" && ! ls "$0/small.part" 2>/dev/null"""
    words = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        shell,
        str(disk),
        sys.executable,
        "-c",
        RECORDER,
        str(disk),
    ]
    done = subprocess.run(
        words,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout + done.stderr)
    clean = (
        done.returncode == 0 and "Traceback" not in done.stderr and "No space left" in done.stderr
    )
    return "" if clean else done.stdout + done.stderr


TRIALS = {
    trial.__name__: trial for trial in (path, homeless, offline, readonly, killed, full, rounds)
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=", ".join(TRIALS))
    parser.add_argument("--rounds", type=int, default=20)
    chosen, failures = parser.parse_args(), 0
    for name in chosen.trials or TRIALS:
        with tempfile.TemporaryDirectory() as folder:
            trial = TRIALS[name]
            failed = trial(Path(folder), chosen.rounds) if name == "rounds" else trial(Path(folder))
        print(
            f"{name}: {trial.__doc__} {'FAILED: ' + failed if failed else 'Nothing went wrong.'}",
            flush=True,
        )
        failures += bool(failed)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
