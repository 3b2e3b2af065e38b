"""Speed as ratios, each against a baseline that is measured in the same run, taking turns: python tests/benchmark.py [--quick] [--only WORD]

Prints a Markdown table. A missed target is reported and fails nothing. All is computed on one thread, in Jupyter kernels.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from unittest import mock

import ipywidgets as widgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import torch
from browser import lab
from IPython import get_ipython
from jupyter_client.manager import start_new_kernel

import helpers.live.explorers
from helpers import Explorer, build, digits, fit, profile
from helpers.live.run import Run
from helpers.networks import ACTIVATIONS, Linear
from helpers.signals import DTYPES

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SETUP = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent)!r}); import benchmark"
)
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
PANEL = np.linspace(-5, 5, 102)  # the bounds of the grey image's rows


# --- the baseline of the live figure: what everyone does ----------------------------------------------------------------------


def usual():
    """The explorer as a lesson would write it with interact and pyplot: same network, same panels, drawn anew each time."""
    x = digits(0).x[:256]

    def draw(depth, gain, width, activation, dtype):
        net = build(depth, width, activation=activation, inputs=64, classes=10, gain=gain, seed=1)
        seen = profile(net, x, dtype=dtype)
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
        left.semilogy(seen.layers, seen.std, "o-", markersize=3, label="measured")
        law = seen.std[0] * (gain / 2**0.5) ** np.arange(depth)
        left.semilogy(seen.layers, law, "k--", linewidth=1, label="gain/√2 a layer")
        left.set(title="Spread of each layer's output", xlabel="layer", ylabel="standard deviation")
        left.grid(axis="y")
        left.legend()
        right.imshow(
            columns(seen),
            cmap="Greys",
            aspect="auto",
            origin="lower",
            extent=(0.5, depth + 0.5, -5, 5),
        )
        right.set(title="Pre-activations", xlabel="layer", ylabel="value of the pre-activation")
        figure.subplots_adjust(wspace=0.3)  # tight_layout would look the same and take longer
        plt.show()

    controls = {
        "depth": widgets.IntSlider(50, 1, 200),
        "gain": widgets.FloatSlider(value=1.0, min=0, max=4, step=0.01),
        "width": widgets.IntSlider(100, 1, 256),
        "activation": widgets.Dropdown(options=tuple(ACTIVATIONS)),
        "dtype": widgets.Dropdown(options=tuple(DTYPES), value="float32"),
    }
    widgets.interact(draw, **controls)
    return controls


def columns(seen):
    """Every layer's histogram on the same rows, as shades: a column a layer."""
    shades = np.zeros((len(PANEL) - 1, seen.depth))
    for layer, (edges, counts) in enumerate(zip(seen.edges, seen.counts)):
        shades[:, layer] = (
            np.diff(np.interp(PANEL, edges, np.append(0, counts.cumsum()))) / counts.sum()
        )
    return np.sqrt(shades)


# --- measured inside a kernel -------------------------------------------------------------------------------------------------


def cpu(function):
    """CPU seconds that a call takes, in all threads of this process."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def profile_times(repeats):
    """CPU seconds of the bare matrix products of 50 layers of 256 x 256, batch 256, and of the profile of that network."""
    torch.set_num_threads(1)
    net = build(50, 256, inputs=256, classes=10, gain=2**0.5, seed=0)
    weights = [layer.weight for layer in net if isinstance(layer, Linear)][:-1]
    x = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))

    def products():
        signal = x
        with torch.inference_mode():
            for weight in weights:
                signal = signal @ weight

    for _ in range(5):
        products(), profile(net, x)
    return [[cpu(products), cpu(lambda: profile(net, x))] for _ in range(repeats)]


def stack_times(norm, repeats):
    """CPU seconds of an epoch of the 64 networks of lesson 04's map as one stack: its bare matrix products, and `fit`."""
    torch.set_num_threads(1)
    data, batch, sizes = digits(0), 64, [64, *[32] * 10, 10]
    lr, gain = (
        axis.flatten()
        for axis in np.meshgrid(np.logspace(-3, 0.5, 8), 2**0.5 * 10 ** (2 / 7 * np.arange(-4, 4)))
    )

    def random(*shape):
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def layers(examples):
        """x, weight and the gradient of their product, for each layer; all networks see the same images."""
        inner = [
            (random(64, examples, m), random(64, m, n), random(64, examples, n))
            for m, n in pairwise(sizes)
        ]
        return [(inner[0][0][0], *inner[0][1:]), *inner[1:]]

    step, train_error, test_error = map(layers, (batch, len(data.x), len(data.x_test)))

    def products():
        with torch.inference_mode():
            for _ in range(len(data.x) // batch):
                for x, weight, gradient in step:
                    x @ weight, x.mT @ gradient
                for _, weight, gradient in step[1:]:
                    gradient @ weight.mT
            for x, weight, _ in [*train_error, *test_error]:
                x @ weight

    def train():
        net = build(10, 32, inputs=64, classes=10, norm=norm, gain=gain, stack=(64,))
        fit(net, data, lr=lr, epochs=1, batch=batch, schedule="constant", progress=False)

    products(), train()
    return [[cpu(products), cpu(train)] for _ in range(repeats)]


class Stopwatch:
    """Adds up the CPU seconds spent in the functions it is put around."""

    spent = 0.0

    def around(self, function):
        def timed(*arguments, **settings):
            begin = time.process_time()
            try:
                return function(*arguments, **settings)
            finally:
                self.spent += time.process_time() - begin

        return timed


def frame_times(repeats):
    """CPU seconds of a frame in all but `build` and `profile`: of `usual` and of the explorer, one step of gain a frame."""
    torch.set_num_threads(1)
    watch = Stopwatch()
    timed = {"build": watch.around(build), "profile": watch.around(profile)}
    slider, ours = usual()["gain"], Explorer()
    moves = (
        lambda gain: setattr(slider, "value", gain),
        lambda gain: ours.set_state({"asked": {"settings": {"gain": gain}, "generation": 0}}),
    )

    def frame(move, k):
        watch.spent = 0.0
        total = cpu(lambda: (move(1 + k / 100), wait_until_sent()))
        return total - watch.spent

    modules = (
        mock.patch.multiple(helpers.live.explorers, **timed),
        mock.patch.dict(globals(), timed),
    )
    with modules[0], modules[1]:
        for k in (1, 2, 3):
            [frame(move, k) for move in moves]
        return [[frame(move, k) for move in moves] for k in range(4, 4 + repeats)]


def wait_until_sent():
    """Waits until the kernel's output thread has sent all that this thread has handed it."""
    sent = threading.Event()
    get_ipython().kernel.iopub_thread.schedule(sent.set)
    sent.wait(10)


def in_kernel(call):
    """The list that `call`, a function of this file as text, returns in a Jupyter kernel of its own."""
    said = []

    def hear(message):
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            said.append(message["content"]["text"])

    manager, client = start_new_kernel()
    try:
        client.execute_interactive(
            f"{SETUP}, json\nprint('result', json.dumps(benchmark.{call}))",
            output_hook=hear,
            timeout=600,
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return json.loads("".join(said).split("result ")[-1])


# --- measured inside a page ---------------------------------------------------------------------------------------------------

LISTEN = """root => {
    const live = root.matches('.live'), image = () => root.querySelector('img')
    const shown = () => live ? root.dataset.drawn : image()?.src, before = shown()
    let pressed
    root.addEventListener('keydown', () => { pressed = performance.now() }, {capture: true, once: true})
    window.delay = new Promise(resolve => new MutationObserver(async (_, observer) => {
        if (!shown() || shown() === before) return
        observer.disconnect()
        if (!live) await image().decode()
        requestAnimationFrame(() => resolve((performance.now() - pressed) / 1000))
    }).observe(root, {childList: true, subtree: true, attributes: true, attributeFilter: ['src', 'data-drawn']}))
}"""
AT_END = "one => (one.value ?? one.ariaValueNow) === (one.max ?? one.ariaValueMax)"
TARGETS = {"Explorer (02)": (0.22, 0.16), "Playground (09)": (None, 0.25)}
SIDE = "np.linspace(-1, 1, 15)"
EXPLORERS = {  # the call, as the lessons write it, and the slider that is moved
    "Explorer (02)": ("Explorer(depth=50, gain=1.0, width=256)", "gain"),
    "Explorer (03)": (
        'Explorer(depth=50, gain=3.0, width=128, norm="batch", batch=256, gamma=1.0, beta=0.0)',
        "gain",
    ),
    "AveragesExplorer (03)": ("helpers.AveragesExplorer()", "batches"),
    "MapExplorer (04)": ("benchmark.small_map()", "epoch"),
    "Explorer (05)": (
        'Explorer(depth=50, gain=1.2, width=128, norm="none", batch=256, backward=True)',
        "gain",
    ),
    "ProductExplorer (06)": ("helpers.ProductExplorer()", "factor"),
    "Explorer (06)": (
        'Explorer(depth=50, gain=1.41, width=128, norm="none", skip=True, branch_scale=1.0, order="pre", backward=True)',
        "gain",
    ),
    "DepthExplorer (01, 07)": ("helpers.DepthExplorer(depth=56, skip=True)", "depth"),
    "SurfaceExplorer (07)": (
        f"helpers.SurfaceExplorer(dict.fromkeys('ab', {SIDE}[:, None] ** 2 + {SIDE} ** 2))",
        "level",
    ),
    "RecurrentExplorer (08)": ("helpers.RecurrentExplorer()", "gain"),
    "Playground (09)": ("helpers.Playground()", "gain"),
}


def small_map():
    """Lesson 04's map, of networks that were trained for two epochs."""
    lr, gain = (
        axis.flatten()
        for axis in np.meshgrid(np.logspace(-3, 0.5, 8), 2**0.5 * 10 ** (2 / 7 * np.arange(-4, 4)))
    )
    net = build(10, 32, inputs=64, classes=10, gain=gain.reshape(8, 8), stack=(8, 8))
    history = fit(net, digits(0), lr=lr.reshape(8, 8), epochs=2, batch=64, progress=False)
    return helpers.MapExplorer(
        {"none": history, "batch": history}, np.logspace(-3, 0.5, 8), gain[::8]
    )


@contextmanager
def page_of(*cells):
    """A page of JupyterLab in which these cells have run."""
    with tempfile.TemporaryDirectory() as folder, lab.browser() as browser:
        root, private = Path(folder, "notebooks"), Path(folder, "private")
        root.mkdir(), private.mkdir()
        setup = f"{SETUP}, torch, helpers, numpy as np\nfrom helpers import Explorer\ntorch.set_num_threads(1)"
        written = [nbformat.v4.new_code_cell(code) for code in (setup, *cells)]
        nbformat.write(
            nbformat.v4.new_notebook(cells=written, metadata=PYTHON), root / "benchmark.ipynb"
        )
        with lab.server(root, private) as url:
            page = browser.new_page(viewport={"width": 1400, "height": 1800})
            lab.open_notebook(page, url, "benchmark.ipynb")
            lab.run_all(page)
            yield page


def press_times(call, name, blocks, presses=6):
    """Seconds from the arrow key on a slider to the new picture's pixels: of `usual`'s gain, and of the slider `name` of `call`."""
    with page_of("benchmark.usual();", call) as page:
        theirs, ours = page.locator(".widget-interact"), page.locator(".live")
        ours.locator("canvas").first.wait_for()
        sliders = (
            theirs.get_by_role("slider").nth(1),
            ours.get_by_role("slider", name=name, exact=True),
        )
        for root, slider in zip((theirs, ours), sliders):  # warms up
            press(page, root, slider, 3)
        turns = [
            [press(page, root, slider, presses) for root, slider in zip((theirs, ours), sliders)]
            for _ in range(blocks)
        ]
    return [pair for turn in turns for pair in zip(*turn)]


def page_press_times(call, name, blocks, presses=6):
    """Seconds from the arrow key on a slider to the new picture's pixels: in JupyterLab, and in a page without a kernel that is
    opened from a file in the same browser."""
    with page_of(call) as lab_page, tempfile.TemporaryDirectory() as folder:
        path, alone = Path(folder, "page.html"), lab_page.context.browser.new_page()
        path.write_text(lab.figure_page(eval(call)), "utf-8")
        alone.goto(path.as_uri())
        turns = []
        for block in range(-1, blocks):  # the first warms up
            delays = []
            for page in (lab_page, alone):
                page.bring_to_front()
                root = page.locator(".live")
                slider = root.get_by_role("slider", name=name, exact=True)
                delays.append(press(page, root, slider, presses))
            turns += [zip(*delays)] if block >= 0 else []
    return [pair for turn in turns for pair in turn]


def press(page, root, slider, times):
    """Presses an arrow key `times` times, each when the picture of the last has been shown; the delays in seconds."""
    delays = []
    for _ in range(times):
        at_end = slider.evaluate(AT_END)
        root.evaluate(LISTEN)
        slider.press("Home" if at_end else "ArrowRight")
        delays.append(page.evaluate("window.delay"))
        page.wait_for_timeout(100)
    return delays


def training_rates(depth, blocks, seconds=4):
    """For a Playground of this depth and width 64 that trains while its page is watched: pictures a
    second, and pairs of seconds a step. The same steps without a page, which take turns with it in
    the same kernel, and the steps while the page is watched."""
    call = f"playground = helpers.Playground(depth={depth}, width=64); playground"
    pictures, pairs = [], []
    told = "e => [+e.dataset.drawn, +/now\\s+(\\d+)/.exec(e.querySelector('figcaption').innerText)[1], performance.now()]"
    with page_of(call, "print(benchmark.alone(playground))") as page:
        figure, cell = page.locator(".live"), page.locator(".jp-CodeCell").last
        press = partial(click, figure)
        for _ in range(blocks):
            press("reset"), press("start"), page.wait_for_timeout(500)
            first = figure.evaluate(told)
            page.wait_for_timeout(1000 * seconds)
            shown, steps, took = (b - a for a, b in zip(first, figure.evaluate(told)))
            press("pause"), page.wait_for_timeout(500)
            bare = float(lab.run_cell(page, cell))
            pictures.append(1000 * shown / took)
            pairs.append((bare, took / 1000 / steps))
    return statistics.median(pictures), pairs


def click(figure, name):
    figure.get_by_role("button", name=name, exact=True).click()


def alone(playground):
    """Seconds a step where nothing is shown: of the steps that a playground has taken."""
    run = Run(**playground.state)
    begin = time.perf_counter()
    run.advance(playground.run.step, watch=False)
    return (time.perf_counter() - begin) / run.step


# --- the table ----------------------------------------------------------------------------------------------------------------


def p95(values):
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


FIGURES = (statistics.median, p95)


def row(what, pairs, *targets):
    """One line of the table, from pairs of seconds, the baseline's and ours: medians, with two targets also the 95th percentiles.
    None is no target."""
    figures = FIGURES[: len(targets)]
    theirs, ours = zip(*([figure(times) for times in zip(*pairs)] for figure in figures))
    ratios = [one / other for one, other in zip(ours, theirs)]
    told = [
        " / ".join(f"{1000 * one:.3g}" if one < 1 else f"{1000 * one:.0f}" for one in times) + " ms"
        for times in (theirs, ours)
    ]
    missed = any(target and ratio > target for ratio, target in zip(ratios, targets))
    aim = " / ".join(f"{target:.3g}" if target else "–" for target in targets)
    aim = f"at most {aim}{', missed' * missed}" if any(targets) else "–"
    return (
        f"| {what} | {told[0]} | {told[1]} | {' / '.join(f'{one:.3g}' for one in ratios)} | {aim} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORD",
        help="only what has this in its name, such as profile, Explorer or Playground",
    )
    quick, only = vars(parser.parse_args()).values()
    os.environ.update(ONE_THREAD)  # for the kernels, which inherit it
    print(
        f"{os.cpu_count()} processor cores, one used. Medians of CPU time, but for the key presses and the playground: of time on the clock.\n"
        "The baseline of every key press is one figure, lesson 02's, written with `interact` and pyplot.\n"
    )
    print("| what | baseline | ours | ratio | target |\n|---|---|---|---|---|")
    measured = {
        "`profile`, 50 layers of 256 x 256, against the bare matrix products": (
            f"profile_times({20 if quick else 100})",
            1.6,
        ),
        "an epoch of 64 networks as one stack, norm none, against its bare matrix products": (
            f"stack_times('none', {3 if quick else 15})",
            2.5,
        ),
        "an epoch of 64 networks as one stack, norm batch, against its bare matrix products": (
            f"stack_times('batch', {3 if quick else 15})",
            4,
        ),
        "a live frame after the forward pass, against `interact` with `plt.show()`": (
            f"frame_times({10 if quick else 40})",
            0.02,
        ),
    }
    for what, (call, target) in measured.items():
        if only in what:
            print(row(what, in_kernel(call), target), flush=True)
    if reason := lab.missing():
        print(f"| key press to pixels in JupyterLab | not measured: {reason} | | | |")
        return
    for name, (call, slider) in EXPLORERS.items():
        if only in name:
            pairs = press_times(call, slider, 2 if quick else 6)
            what = f"{name}: key press to pixels, median / 95th percentile, against that figure"
            targets = TARGETS.get(name, (0.25, 0.2))
            print(row(what, pairs, *targets), flush=True)
    for name in ("Explorer (02)", "Explorer (03)", "Explorer (05)", "Explorer (06)"):
        if only in f"{name} in a page":
            what = f"{name} in a page without a kernel: key press to pixels, against JupyterLab"
            pairs = page_press_times(*EXPLORERS[name], 2 if quick else 6)
            print(row(what, pairs, 1 if name == "Explorer (02)" else None, None), flush=True)
    for depth, rate, share in (20, 25, 0.8), (200, 10, 0.6):
        what = f"Playground, {depth} layers of 64"
        if only in what:
            pictures, steps = training_rates(depth, 2 if quick else 6)
            aim = f"at least {rate}{', missed' * (pictures < rate)}"
            print(f"| {what}: pictures a second while training | – | {pictures:.1f} | – | {aim} |")
            print(row("the same: a step, against the loop without a page", steps, 1 / share))


if __name__ == "__main__":
    main()
