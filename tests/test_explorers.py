"""The explorers without a browser: what they accept, what they show in 200 states, and what they hand to the page."""

import base64
import ctypes
import gc
import html
import multiprocessing
import random
import re
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
import torch
from drawn import blank, differences

from helpers import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
    build,
    digits,
    profile,
    recorded,
)
from helpers.live import explorers, widget
from helpers.live.explorers import MATRICES, Networks, profile_of, weight_matrix
from helpers.live.panels import draw
from helpers.networks import ACTIVATIONS
from helpers.signals import DTYPES
from helpers.training import History, fit

DATA = digits(0)
X, Y = DATA.x[:256], DATA.y[:256]


def history(fill=0.5, epochs=3):
    """The History of 2 x 4 networks, of which one has diverged."""
    errors = np.full((epochs, 2, 4), fill)
    errors[:, 1, 3] = 1.0
    loss = np.where(errors == 1, np.nan, errors)
    return History(loss, errors, errors, ~np.isfinite(loss).all(0))


def bowl(bumps=0.0):
    a, b = np.meshgrid(*[np.linspace(-1, 1, 15)] * 2)
    return a**2 + b**2 + bumps * np.cos(7 * a) * np.cos(7 * b)


AXES = {"lr": [0.01, 0.1], "gain": [0.5, 1, 2, 4]}
MADE = {  # every explorer of the lessons
    "Explorer": lambda: Explorer(depth=3, width=8),
    "Explorer, norm": lambda: Explorer(
        depth=3, width=8, norm="batch", batch=256, gamma=1.0, beta=0.0
    ),
    "Explorer, skips": lambda: Explorer(
        depth=3, width=8, norm="none", skip=True, branch_scale=1.0, order="pre", backward=True
    ),
    "ProductExplorer": lambda: ProductExplorer(depth=3),
    "RecurrentExplorer": lambda: RecurrentExplorer(),
    "AveragesExplorer": lambda: AveragesExplorer(),
    "MapExplorer": lambda: MapExplorer({"none": history(), "batch": history(0.02)}, **AXES),
    "DepthExplorer": lambda: DepthExplorer(norm="batch", skip=True),
    "SurfaceExplorer": lambda: SurfaceExplorer({"rugged": bowl(0.5), "smooth": bowl()}),
}


@pytest.fixture(autouse=True)
def every_warning_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def made():
    """made(name): the explorer of this name, the same one each time."""
    kept = {}
    return lambda name: (
        kept.setdefault(name, None) or kept.update({name: MADE[name]()}) or kept[name]
    )


# --- many states of each -----------------------------------------------------------------------


def values(explorer, name):
    """The values of a setting, at random and at its ends: two functions of a generator."""
    spec = explorer.control(name)
    if "options" in spec:
        return (lambda chance: chance.choice(spec["options"]),) * 2
    low, high, step = spec["low"], spec["high"], spec["step"]
    return (
        lambda chance: round(low + step * chance.randint(0, round((high - low) / step)), 2),
        lambda chance: chance.choice((low, high)),
    )


def states(explorer, count, seed=0):
    """`count` states: the first half at the ends of all sliders, the others anywhere, about a third of the sliders at an end."""
    chance, names = random.Random(seed), [*explorer.initial]
    for k in range(count):
        extreme = {name: 2 * k < count or chance.random() < 0.3 for name in names}
        yield {name: values(explorer, name)[extreme[name]](chance) for name in names}


def said(explorer):
    return re.findall(r"[\w.+-]+", explorer.alt.lower())


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MADE)
def test_every_state_is_shown_and_said_and_matplotlib_draws_the_same_data(
    made, name, count, subtests
):
    explorer = made(name)
    distinct = {str(state): state for state in states(explorer, count)}
    for state in distinct.values():
        with subtests.test(**state):
            explorer.set(**state)
            assert explorer.state == state
            assert not any(map(blank, explorer.panels))
            assert differences(explorer.picture) == []
            words = said(explorer)
            assert words and {"nan", "inf"}.isdisjoint(words), explorer.alt
    draw(explorer.picture).canvas.draw()


BROKE = [  # each of these has once stopped the explorer with an error
    {"depth": 200, "gain": 4, "width": 1, "activation": "linear", "dtype": "float32"},
    {"depth": 200, "gain": 4, "width": 1, "activation": "sigmoid", "dtype": "float64"},
    {"depth": 200, "gain": 4, "width": 1, "activation": "sigmoid", "dtype": "bfloat16"},
    {"depth": 200, "gain": 0.01, "width": 1, "activation": "linear", "dtype": "float64"},
    {"depth": 199, "gain": 0.01, "width": 100, "activation": "relu", "dtype": "float64"},
]


@pytest.mark.parametrize("state", BROKE, ids=str)
def test_a_state_that_broke_once_is_shown(made, state):
    explorer = made("Explorer")
    explorer.set(**state)
    assert not any(map(blank, explorer.panels))
    draw(explorer.picture).canvas.draw()


@pytest.mark.parametrize("name", MADE)
def test_the_picture_depends_on_the_state_and_not_on_the_way_to_it(made, name):
    explorer = made(name)
    explorer.reset()
    first = explorer.shown
    for state in states(explorer, 4, seed=1):
        explorer.set(**state)
    explorer.reset()
    assert {**explorer.shown, "generation": 0} == {**first, "generation": 0}


# --- what it accepts ----------------------------------------------------------------------------

INTEGER, NUMBER = "must be an integer from", "must be a finite number from"
BAD = [
    (Explorer, {"depth": 0}, f"depth {INTEGER} 1 to 200, got 0"),
    (Explorer, {"depth": 201}, f"depth {INTEGER} 1 to 200, got 201"),
    (Explorer, {"depth": 2.5}, f"depth {INTEGER} 1 to 200, got 2.5"),
    (Explorer, {"depth": True}, f"depth {INTEGER} 1 to 200, got True"),
    (Explorer, {"depth": None}, f"depth {INTEGER} 1 to 200, got None"),
    (Explorer, {"width": 257}, f"width {INTEGER} 1 to 256, got 257"),
    (Explorer, {"width": None}, f"width {INTEGER} 1 to 256, got None"),
    (Explorer, {"gain": 5}, f"gain {NUMBER} 0 to 4, got 5"),
    (Explorer, {"gain": -0.1}, f"gain {NUMBER} 0 to 4, got -0.1"),
    (Explorer, {"gain": float("nan")}, f"gain {NUMBER} 0 to 4, got nan"),
    (Explorer, {"gain": "1"}, f"gain {NUMBER} 0 to 4, got '1'"),
    (Explorer, {"gain": None}, f"gain {NUMBER} 0 to 4, got None"),
    (Explorer, {"activation": "gelu"}, "activation must be one of 'relu', 'tanh', 'sigmoid', 'linear', got 'gelu'"),
    (Explorer, {"activation": None}, "activation must be one of 'relu', 'tanh', 'sigmoid', 'linear', got None"),
    (Explorer, {"dtype": "int8"}, "dtype must be one of 'float16', 'bfloat16', 'float32', 'float64', got 'int8'"),
    (Explorer, {"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, got -1"),
    (Explorer, {"seed": None}, "seed must be an integer from 0 to 9223372036854775807, got None"),
    (Explorer, {"norm": "group"}, "norm must be one of 'none', 'batch', 'layer', got 'group'"),
    (Explorer, {"batch": 1}, f"batch {INTEGER} 2 to 256, got 1"),
    (Explorer, {"gamma": -1.0}, f"gamma {NUMBER} 0 to 3, got -1.0"),
    (Explorer, {"beta": 4}, f"beta {NUMBER} -3 to 3, got 4"),
    (Explorer, {"skip": 1}, "skip must be one of False, True, got 1"),
    (Explorer, {"branch_scale": 2}, f"branch_scale {NUMBER} 0 to 1, got 2"),
    (Explorer, {"order": "before"}, "order must be one of 'pre', 'post', got 'before'"),
    (Explorer, {"backward": "yes"}, "backward must be one of False, True, got 'yes'"),
    (ProductExplorer, {"factor": -1.5}, f"factor {NUMBER} -1 to 1.5, got -1.5"),
    (ProductExplorer, {"depth": 0}, f"depth {INTEGER} 1 to 200, got 0"),
    (ProductExplorer, {"activation": None}, "activation must be one of 'relu', 'tanh', 'sigmoid', 'linear', got None"),
    (RecurrentExplorer, {"gain": 5}, f"gain {NUMBER} 0 to 4, got 5"),
    (RecurrentExplorer, {"steps": 0}, f"steps {INTEGER} 1 to 200, got 0"),
    (RecurrentExplorer, {"matrix": "triangular"}, "matrix must be one of 'random', 'symmetric', 'orthogonal', got 'triangular'"),
    (RecurrentExplorer, {"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, got -1"),
    (AveragesExplorer, {"momentum": 0}, f"momentum {NUMBER} 0.01 to 1, got 0"),
    (AveragesExplorer, {"mode": "test"}, "mode must be one of 'train', 'eval', got 'test'"),
    (AveragesExplorer, {"mode": None}, "mode must be one of 'train', 'eval', got None"),
    (DepthExplorer, {"depth": 9}, "depth must be one of 8, 14, 20, 26, 32, 38, 44, 50, 56, got 9"),
    (DepthExplorer, {"depth": None}, "depth must be one of 8, 14, 20, 26, 32, 38, 44, 50, 56, got None"),
    (DepthExplorer, {"norm": "layer"}, "norm must be one of 'none', 'batch', got 'layer'"),
    (DepthExplorer, {"skip": 1}, "skip must be one of False, True, got 1"),
]  # fmt: skip


@pytest.mark.parametrize("make, bad, message", BAD, ids=str)
def test_a_setting_that_is_not_allowed_is_named(rejects, make, bad, message):
    rejects(lambda: make(**bad), message)


SHAPE = "must be a stack of shape (2, 4), as lr and gain are long, got"


@pytest.mark.parametrize(
    "histories, axes, message",
    [
        ({}, {}, "histories must be a dict of one to five, got {}"),
        ([history()], {}, "histories must be a dict of one to five, got [History("),
        (np.zeros((3, 3)), {}, "histories must be a dict of one to five, got float64 ndarray of shape (3, 3)"),
        ({"none": history()}, {"lr": np.ones((3, 3))}, "lr must be a finite number from 0 up, got float64 ndarray of shape (3,)"),
        ({"none": history(), "batch": 1}, {}, f"histories['batch'] {SHAPE} ()"),
        ({"none": history()}, {"lr": [0.01]}, "histories['none'] must be a stack of shape (1, 4), as lr and gain are long, got (2, 4)"),
        ({"none": history()}, {"gain": [1, 2, 3, 4, 5]}, "histories['none'] must be a stack of shape (2, 5), as lr and gain are long, got (2, 4)"),
        ({"none": history()}, {"lr": [0.01, float("nan")]}, "lr must be a finite number from 0 up, got nan"),
        ({"none": history()}, {"lr": [0.1, 0.1]}, "lr must be a list of different numbers, got [0.1, 0.1]"),
        ({"none": history()}, {"gain": 3}, "gain must be a list of different numbers, got 3"),
        ({"none": history(), "batch": history(epochs=0)}, {}, "histories must each have at least one finished epoch, got a stopped run among ['none', 'batch']"),
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_named(histories, axes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MapExplorer(histories, **AXES | axes)


TABLE = "must be a table of n x n losses, n from 3, got"


@pytest.mark.parametrize(
    "surfaces, message",
    [
        ({}, "surfaces must be a dict of one to three, got {}"),
        ([bowl()], "surfaces must be a dict of one to three, got [array("),
        ({"one": [1, 2]}, f"surfaces['one'] {TABLE} shape (2,)"),
        ({"one": np.ones((3, 4))}, f"surfaces['one'] {TABLE} shape (4, 3)"),
        ({"one": np.ones((2, 2))}, f"surfaces['one'] {TABLE} shape (2, 2)"),
        ({"one": "bowl"}, f"surfaces['one'] {TABLE} 'bowl'"),
        (np.zeros((3, 3)), "surfaces must be a dict of one to three, got float64 ndarray of shape (3, 3)"),
        ({"one": [[1, 2], [3]]}, f"surfaces['one'] {TABLE} [[1, 2], [3]]"),
        ({"one": torch.ones(3, 3, requires_grad=True)}, f"surfaces['one'] {TABLE} torch.float32 Tensor of shape (3, 3)"),
        ({"one": np.full((3, 3), np.nan)}, "surfaces['one'] must have a finite loss, got NaN or infinity everywhere"),
    ],
)  # fmt: skip
def test_a_surface_that_is_none_is_named(surfaces, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SurfaceExplorer(surfaces)


@pytest.mark.parametrize("kind", [torch.tensor, np.ndarray.tolist, np.float32])
def test_a_surface_may_be_a_tensor_or_a_list(kind):
    one, other = SurfaceExplorer({"one": bowl(0.5)}), SurfaceExplorer({"one": kind(bowl(0.5))})
    np.testing.assert_allclose(
        other.panels[0].shades.values, one.panels[0].shades.values, rtol=1e-6
    )


def test_numbers_of_numpy_are_numbers_as_they_are():
    explorer = Explorer(depth=np.int64(3), gain=np.float32(1), width=8, skip=np.True_)
    assert explorer.state == {
        "depth": 3,
        "gain": 1.0,
        "width": 8,
        "activation": "relu",
        "dtype": "float32",
        "skip": True,
    }
    assert [type(explorer.state[name]) for name in ("depth", "gain", "skip")] == [int, float, bool]
    assert MADE["MapExplorer"]().allowed("gain", 1) == 1.0, "as a page sends 1.0"


def test_a_failed_set_moves_nothing_and_silences_nothing(made):
    explorer = made("Explorer")
    explorer.reset()
    before = explorer.shown
    for bad in (
        {"depth": 0},
        {"gain": 4.5},
        {"activation": "gelu"},
        {"deph": 3},
        {"gain": 2.0, "dtype": "int8"},
    ):
        with pytest.raises(ValueError, match=[*bad][-1]):
            explorer.set(**bad)
        assert explorer.shown is before
    explorer.answer({"gain": 2.0}, explorer.generation)
    assert explorer.shown != before


def test_a_setting_that_is_not_given_has_no_control():
    assert [*Explorer(depth=3, width=8).initial] == [
        "depth",
        "gain",
        "width",
        "activation",
        "dtype",
    ]
    assert [*Explorer(depth=3, width=8, norm="batch", gamma=1.0).initial][5:] == ["norm", "gamma"]


# --- between the page and the kernel ------------------------------------------------------------


def test_every_control_is_described_and_moves_the_picture(made):
    for name in MADE:
        explorer = made(name)
        explorer.reset()
        for spec in explorer.controls:
            before, value = explorer.shown, explorer.state[spec["name"]]
            assert spec["meaning"] and (spec.get("low", value) <= value <= spec.get("high", value))
            others = [
                one
                for one in spec.get("options", (spec.get("low"), spec.get("high")))
                if one != value
            ]
            explorer.asked = {
                "settings": {spec["name"]: others[0]},
                "generation": explorer.generation,
            }
            assert explorer.state[spec["name"]] == others[0]
            assert explorer.shown["panels"] != before["panels"], spec["name"]
            explorer.reset()


def test_set_moves_several_controls_and_computes_once(monkeypatch):
    explorer = Explorer(depth=3, width=8)
    compute, calls = explorer.compute, []
    explorer.compute = lambda **settings: calls.append(settings) or compute(**settings)
    explorer.set(depth=4, gain=2.0, activation="tanh")
    assert calls == [explorer.state]
    assert explorer.state == {
        "depth": 4,
        "gain": 2.0,
        "width": 8,
        "activation": "tanh",
        "dtype": "float32",
    }


def test_an_interrupted_set_leaves_what_is_shown_and_the_page_can_move_it(monkeypatch):
    explorer = Explorer(depth=5, gain=1.5, width=8)

    def interrupt(*_, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(explorer, "compute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            explorer.set(gain=2.0)
    assert explorer.state["gain"] == explorer.shown["settings"]["gain"] == 1.5
    explorer.asked = {"settings": {"gain": 1.0}, "generation": explorer.shown["generation"]}
    assert explorer.state["gain"] == explorer.shown["settings"]["gain"] == 1.0


def test_what_the_page_sent_before_a_set_or_reset_comes_too_late():
    explorer = Explorer(depth=3, width=8)
    explorer.set(gain=2.0)
    explorer.asked = {"settings": {"gain": 3.0}, "generation": 0}
    assert explorer.state["gain"] == explorer.shown["settings"]["gain"] == 2.0
    explorer.asked = {"settings": {"gain": 3.5}, "generation": 1}
    assert explorer.state["gain"] == 3.5 and explorer.shown["generation"] == 1
    explorer.asked = {"settings": explorer.initial, "generation": 2}  # *reset* in the page
    assert explorer.state == explorer.initial and explorer.shown["generation"] == 2


def test_the_page_gets_the_settings_at_the_start_wherever_the_controls_stand():
    explorer = Explorer(depth=3, width=8)
    explorer.set(gain=2.0)
    assert explorer.get_state()["origin"] == explorer.initial != explorer.state


def test_a_cell_and_a_slider_that_work_at_the_same_time_wait_for_each_other():
    """JupyterLab lets sliders work in a thread of their own."""
    explorer = Explorer(depth=3, width=8)
    compute, busy, overlaps = explorer.compute, [], []

    def slow(**settings):
        overlaps.append(len(busy))
        busy.append(settings)
        time.sleep(0.05)
        busy.pop()
        return compute(**settings)

    explorer.compute = slow
    sliders = [
        threading.Thread(target=explorer.answer, args=({"gain": gain}, 0))
        for gain in (1.5, 2.0, 2.5)
    ]
    for thread in sliders:
        thread.start()
    explorer.show()
    for thread in sliders:
        thread.join()
    assert overlaps == [0, 0, 0, 0]
    assert explorer.shown["settings"] == explorer.state


def test_the_page_gets_the_picture_of_the_settings_it_asked_for(made):
    explorer = made("Explorer")
    explorer.asked = {
        "settings": {**explorer.initial, "gain": 1.5},
        "generation": explorer.generation,
    }
    seen = profile_of(X, None, Networks(1), **explorer.state)
    np.testing.assert_array_equal(
        np.frombuffer(explorer.shown["panels"][0]["lines"][0]["y"]), seen.pre_std
    )
    assert explorer.shown["sentence"] == explorer.alt
    assert explorer.shown["table"][1][:3] == [
        "1",
        f"{seen.pre_mean[0]:.3g}",
        f"{seen.pre_std[0]:.3g}",
    ]


# --- in a notebook ------------------------------------------------------------------------------


def displayed(explorer, monkeypatch):
    """What the two outputs of a cell are."""
    outputs = []
    monkeypatch.setattr(
        widget, "display", lambda data, metadata, raw: outputs.append((data, metadata))
    )
    explorer._ipython_display_()
    return outputs


def test_a_notebook_stores_a_picture_with_words_and_the_live_figure(monkeypatch):
    explorer = Explorer(depth=3, gain=2.0, width=8)
    (still, about), (live, _) = displayed(explorer, monkeypatch)
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert "image/png" not in live and not live["text/plain"]
    assert len(base64.b64decode(still["image/png"])) > 10_000
    assert still["text/plain"] == about["image/png"]["alt"] == explorer.alt
    assert f'alt="{html.escape(explorer.alt)}"' in still["text/html"]
    assert "Run this cell to move it." in still["text/html"]
    assert f'class="live-still {explorer.still}"' in still["text/html"], (
        "by which the live one hides it"
    )


def test_the_alternative_text_is_escaped(monkeypatch):
    explorer = Explorer(depth=3, width=8)
    explorer.panels[0].sentence = """1 < 2 & "quoted" * <b>bold</b>"""
    [(still, _), _] = displayed(explorer, monkeypatch)
    assert "<b>" not in still["text/html"] and still["text/html"].count("<img") == 1
    assert still["text/html"].count("1 &lt; 2 &amp; &quot;quoted&quot; * &lt;b&gt;") == 2


def run_cell(monkeypatch, cell, execution, *shown):
    parent = {"metadata": {"cellId": cell}, "header": {"msg_id": execution}}
    monkeypatch.setattr(widget, "get_ipython", lambda: SimpleNamespace(get_parent=lambda: parent))
    for one in shown:
        displayed(one, monkeypatch)


def test_a_cell_that_is_run_again_closes_what_it_showed_before(monkeypatch):
    first, second, elsewhere, again = (Explorer(depth=2, width=4) for _ in range(4))
    run_cell(monkeypatch, "a", 1, first, second)
    run_cell(monkeypatch, "b", 2, elsewhere)

    def alive():
        return [one.comm is not None for one in (first, second, elsewhere, again)]

    open_before = alive()
    run_cell(monkeypatch, "a", 3, again)
    assert alive() == [False, False, *open_before[2:]]
    assert first.picture is None and again.picture is not None
    run_cell(monkeypatch, "b", 4, elsewhere)
    assert alive()[2] == open_before[2], "the same one, shown again"


def test_a_closed_explorer_leaves_nothing_behind():
    before = len(ipywidgets.widget._instances)
    for name, make in MADE.items():
        explorer = make()
        explorer.set(**next(states(explorer, 1)))
        explorer.close()
        explorer.close()
        assert len(ipywidgets.widget._instances) == before, name


def test_what_comes_late_to_a_closed_explorer_is_dropped():
    explorer = Explorer(depth=3, width=8)
    explorer.close()
    explorer.set(gain=1.0)
    assert explorer.picture is None


def test_a_move_of_the_page_waits_while_another_thread_sends():
    """Else traitlets would hold back what is sent, and could lose it."""
    explorer, held, go = Explorer(depth=3, width=8), threading.Event(), threading.Event()

    def send():
        with explorer.lock:
            held.set()
            assert go.wait(90)
            assert explorer.state["depth"] == 3 and not explorer._cross_validation_lock

    sending = Thread(target=send)
    sending.start()
    assert held.wait(90)
    asked = {"settings": {"depth": 4}, "generation": 0}
    moving = Thread(target=explorer.set_state, args=({"asked": asked},))
    moving.start()
    moving.join(0.1)
    go.set()
    sending.join()
    moving.join()
    assert sending.failed is None and explorer.state["depth"] == 4


class Thread(threading.Thread):
    """A thread that keeps what it failed with."""

    failed = None

    def run(self):
        try:
            super().run()
        except BaseException as failure:  # noqa: BLE001, told by the test
            self.failed = failure


def test_a_closed_explorer_says_that_its_line_must_be_run_again(capsys):
    explorer = Explorer(depth=3, width=8)
    explorer.close()
    explorer._ipython_display_()
    assert "Run the line that made it." in capsys.readouterr().out


def test_a_map_may_be_named_by_a_number():
    assert MapExplorer({0: history()}, **AXES).state["norm"] == "0"


def test_whole_numbers_are_written_out_on_a_slider():
    explorer = MapExplorer({"none": history(epochs=1234)}, **AXES)
    [epoch] = [control for control in explorer.controls if control["name"] == "epoch"]
    assert epoch["labels"][998:1001] == ["999", "1000", "1001"] and epoch["labels"][-1] == "1234"


def memory():
    """MB of this process that are in use: what was freed goes back to the system before."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def growth(name):
    """MB that 20 explorers leave behind, after five, in a process of its own."""
    torch.set_num_threads(1)
    made = []

    def use(count):
        for _ in range(count):
            explorer = Explorer() if name == "Explorer" else MADE[name]()
            with pytest.MonkeyPatch.context() as monkeypatch:
                displayed(explorer, monkeypatch)
            for state in states(explorer, 4):
                explorer.set(**state)
            explorer.close()
            made.append(explorer)  # as a notebook's Out does
            gc.collect()  # or figures wait for Python's own collection, ten or twenty at a time

    use(5)
    before = memory()
    use(20)
    return memory() - before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Explorer", "SurfaceExplorer"])
def test_twenty_explorers_made_moved_shown_and_closed_leave_at_most_20_mb(name):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as own_process:
        assert own_process.submit(growth, name).result() < 20


# --- the signal -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state, words",
    [
        ({"gain": 1.0}, "falls from"),
        ({"gain": 2**0.5, "width": 256}, "stays near"),
        ({"gain": 2.0}, "grows from"),
        ({"gain": 2.5, "dtype": "float16"}, "overflows at layer"),
        ({"gain": 0.0}, "exactly zero"),
        ({"depth": 1}, "the one layer"),
    ],
    ids=str,
)
def test_the_alternative_text_says_what_is_seen(state, words):
    assert words in Explorer(**state).alt


def test_the_alternative_text_does_not_contradict_itself():
    alt = Explorer(depth=99, gain=3.47, width=41, dtype="bfloat16").alt
    assert not ("no finite value is left" in alt and "of the finite pre-activations" in alt), alt


def test_the_right_panel_is_where_the_pre_activations_lie():
    explorer = Explorer(depth=4, width=50, gain=1.3)
    z, shades = X, explorer.panels[1].shades
    net = build(4, 50, inputs=64, classes=10, gain=1.3, seed=1)
    for layer in range(4):
        with torch.no_grad():
            z = net[2 * layer](z.relu() if layer else z)
        shares = np.histogram(z, 101, (-5, 5))[0] / z.numel()
        np.testing.assert_allclose(shades.values[:, layer], shares, atol=0.02)
        assert shades.values[:, layer].sum() == pytest.approx(shares.sum(), abs=0.01)
    assert (shades.x, shades.y, shades.columns) == ((0.5, 4.5), (-5, 5), 4)


@pytest.mark.parametrize("settings", [{}, {"skip": True, "branch_scale": 0.0}, {"norm": "batch"}])
def test_the_networks_are_builds_though_their_weights_are_only_scaled(settings):
    networks = Networks(3)
    for width, gain in (8, 1.0), (8, 0.3), (5, 0.3), (5, 2.7), (8, 0.0):
        shape = {"depth": 4, "width": width, **settings}
        for ours, theirs in zip(
            networks.build(gain=gain, **shape).state_dict().values(),
            build(gain=gain, seed=3, **shape).state_dict().values(),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_gamma_beta_batch_and_norm_reach_the_network():
    settings = {"norm": "batch", "batch": 8, "gamma": 2.0, "beta": -1.0, "depth": 3, "width": 16}
    seen = profile_of(
        X, None, Networks(1), dtype="float32", gain=1.0, activation="relu", **settings
    )
    np.testing.assert_allclose(seen.pre_mean, -1, atol=1e-5)
    np.testing.assert_allclose(seen.pre_std, 2, rtol=1e-3)
    assert (seen.counts.sum(-1) == 8 * 16).all()
    explorer, shown = Explorer(**settings), []
    for change in {}, {"norm": "layer"}, {"batch": 9}, {"gamma": 1.0}, {"beta": 0.0}:
        explorer.set(**change)
        shown.append(explorer.shown["panels"])
    assert all(one != other for k, one in enumerate(shown) for other in shown[:k])


def test_the_critical_gain_is_marked_only_where_there_is_one():
    explorer = Explorer(norm="none", depth=3, width=8)
    assert explorer.picture.marks == [("gain", 2**0.5, "critical 1.414")]
    explorer.set(activation="tanh")
    assert explorer.picture.marks == [("gain", 1.0, "for small signals 1.000")]
    for change in {"norm": "batch"}, {"norm": "none", "activation": "sigmoid"}:
        explorer.set(**change)
        assert explorer.picture.marks == []


def test_one_over_the_root_of_the_blocks_is_marked_and_moves_with_the_depth(made):
    explorer = made("Explorer, skips")
    explorer.reset()
    for depth, marks in (
        (17, [("branch_scale", 0.25, "1/√blocks 0.25")]),
        (5, [("branch_scale", 0.5, "1/√blocks 0.50")]),
        (1, []),
    ):
        explorer.set(depth=depth)
        assert explorer.picture.marks == marks


def test_the_panels_are_the_profiles_stream_and_gradient(made):
    explorer = made("Explorer, skips")
    state = {"depth": 9, "width": 32, "gain": 1.3, "activation": "relu"}
    state |= {"norm": "batch", "skip": True, "branch_scale": 0.5, "order": "pre"}
    explorer.set(dtype="float64", **state)
    seen = profile(build(**state, inputs=64, classes=10, seed=1), X, Y, dtype="float64")
    left, right = (panel.lines[0].y for panel in explorer.panels)
    np.testing.assert_allclose(left, seen.stream_std, rtol=1e-5)
    np.testing.assert_allclose(right, seen.gradient, rtol=1e-5)
    last, first = explorer.picture.table[-1], explorer.picture.table[1]
    assert last[1] == f"{seen.stream_std[-1]:.3g}" and first[2] == f"{seen.gradient[0]:.3g}"


@pytest.mark.parametrize(
    "state, factor",
    [
        ({"gain": 2.0}, 2**0.5),
        ({"gain": 0.9, "activation": "linear"}, 0.9),
        ({"gain": 2**0.5, "skip": True}, 2**0.5),
        ({"gain": 2.0, "skip": True, "branch_scale": 0.5, "activation": "linear"}, 2**0.5),
        ({"gain": 2.0, "skip": True, "branch_scale": 0.5, "activation": "linear", "order": "post"}, 2**0.5),
        ({"gain": 2.0, "skip": True, "order": "post"}, None),
        ({"gain": 2.0, "norm": "batch"}, None),
        ({"gain": 2.0, "activation": "tanh"}, None),
    ],
    ids=str,
)  # fmt: skip
def test_the_law_is_drawn_both_ways_where_there_is_one_and_a_wide_network_keeps_to_it(
    made, state, factor
):
    explorer = made("Explorer, skips")
    settings = {
        "activation": "relu",
        "norm": "none",
        "skip": False,
        "branch_scale": 1.0,
        "order": "pre",
    }
    explorer.set(**settings | {"depth": 10, "width": 256, "dtype": "float32"} | state)
    for panel, sense in zip(explorer.panels, (1, -1)):
        assert [line.kind for line in panel.lines] == ["line"] + ["law"] * (factor is not None)
        if factor:
            measured, law = (line.y for line in panel.lines)
            np.testing.assert_allclose(law[1:] / law[:-1], factor**sense, rtol=0.01)
            assert np.abs(np.log(measured / law)).max() < 0.7


# --- a gradient as a product ----------------------------------------------------------------------


def test_the_real_gradient_is_that_of_a_network_whose_weights_have_the_factor():
    def real(*args):
        return explorers.shares_of_last(X[:32].double(), Y[:32], 1, *args)

    found = real(False, 0.5, 20, "linear")
    assert found[-1] == 1 and len(found) == 21
    np.testing.assert_allclose(found, 0.5 ** np.arange(20, -1, -1), rtol=0.5)
    np.testing.assert_array_equal(real(True, 0.0, 20, "relu"), 1)


def test_a_product_never_overflows_and_its_zeros_are_marked(made):
    explorer = made("ProductExplorer")
    for factor, depth in product((-1, 0, 1.5), (1, 200)):
        explorer.set(factor=factor, depth=depth)
        assert "overflows" not in explorer.alt
    explorer.set(factor=0, depth=5)
    plain, skips = explorer.panels
    assert (plain.lines[0].y[:-1] == 0).all() and {0, 1, 2, 3, 4} <= {*plain.zero.tolist()}
    assert (skips.lines[0].y == 1).all() and len(skips.zero) == 0


def test_the_smallest_number_of_float32_is_drawn_where_the_product_comes_near_it(made):
    explorer = made("ProductExplorer")
    explorer.set(factor=0.1, depth=50, activation="relu")
    assert [panel.limit for panel in explorer.panels] == [
        ("smallest float32", 2.0**-149, "right"),
        None,
    ]
    explorer.set(factor=0.85, depth=30)
    assert [panel.limit for panel in explorer.panels] == [None, None]


# --- the same matrix over and over ----------------------------------------------------------------


@pytest.mark.parametrize("kind", MATRICES)
def test_the_gradient_over_time_is_autograds_and_grows_by_the_spectral_radius(made, kind):
    explorer = made("RecurrentExplorer")
    explorer.set(gain=0.9, steps=200, matrix=kind)
    new, same = (panel.lines[0].y for panel in explorer.panels)
    generator = torch.Generator().manual_seed(1)
    weights = [0.9 * weight_matrix(kind, generator) for _ in range(200)]
    last = torch.randn(16, 64, generator=generator, dtype=torch.double)
    for shown, steps in (new, weights), (same, weights[:1] * 200):
        h = start = torch.zeros(16, 64, dtype=torch.double, requires_grad=True)
        for weight in reversed(steps):  # the first weight is the last step's
            h = h @ weight
        [gradient] = torch.autograd.grad(h, start, last)
        assert shown[0] == pytest.approx(float(gradient.norm() / last.norm()), rel=1e-6)
        assert shown[-1] == 1
    radius = float(torch.linalg.eigvals(weights[0]).abs().max())
    assert (same[0] / same[100]) ** 0.01 == pytest.approx(radius, rel=0.01)
    assert (new[0] / new[100]) ** 0.01 == pytest.approx(0.9, rel=0.02)
    assert explorer.picture.marks == [
        ("gain", pytest.approx(0.9 / radius), f"radius 1: {0.9 / radius:.2f}")
    ]


def test_the_kinds_of_matrix_have_the_same_size(subtests):
    for kind in MATRICES:
        with subtests.test(kind=kind):
            stretches = torch.linalg.svdvals(weight_matrix(kind, torch.Generator().manual_seed(3)))
            assert float(stretches.square().mean()) == pytest.approx(1, rel=0.1)


def test_the_alternative_text_speaks_of_steps(made):
    explorer = made("RecurrentExplorer")
    explorer.set(gain=0.7, steps=50, matrix="symmetric")
    way = r"from 1 at step 50 to \S+ at step 0: a factor of \S+ a step\."
    assert re.search(f"^A new matrix in each step: The gradient falls {way}", explorer.alt)
    assert re.search(f"The same matrix in each step: The gradient grows {way}$", explorer.alt)
    assert "layer" not in explorer.alt


# --- error against depth --------------------------------------------------------------------------


def test_every_recorded_depth_is_shown_and_its_errors_are_the_records(made, subtests):
    explorer, (arrays, about) = made("DepthExplorer"), recorded("depths")
    norms, skips, all_depths = about["axes"].values()
    for norm, skip, depth in product(norms, skips, all_depths):
        with subtests.test(norm=norm, skip=skip, depth=depth):
            explorer.set(norm=norm, skip=skip, depth=depth)
            at = norms.index(norm), int(skip), all_depths.index(depth), -1
            train, test = (arrays[name][at].mean() for name in ("train_error", "test_error"))
            assert f"train error {train:.1%}, test error {test:.1%}" in explorer.alt
            assert ("without norm" if norm == "none" else "with batch norm") in explorer.alt
            [chosen] = [line for line in explorer.panels[0].lines if line.kind == "chosen"]
            assert chosen.x.tolist() == [depth] and chosen.y == pytest.approx(100 * train)


def test_the_button_trains_the_chosen_depth_and_each_epoch_is_shown():
    explorer = DepthExplorer(depth=8)
    explorer.fit = explorer.fit | {"epochs": 3}
    assert [name for name, _ in explorer.buttons] == ["train this depth now"]
    sent = []
    explorer.observe(lambda change: sent.append(change["new"]["sentence"]), "shown")
    explorer._handle_msg(
        {
            "content": {"data": {"method": "custom", "content": {"press": "train this depth now"}}},
            "buffers": [],
        }
    )
    explorer.thread.join()
    assert len(sent) == 3 and "Now, after epoch 3:" in explorer.alt
    now = explorer.panels[1].lines[2].y
    assert len(now) == 3 and now[-1] < now[0]
    explorer.set(depth=14)
    assert "Now" not in explorer.alt
    explorer.set(depth=8)
    assert "Now, after epoch 3:" in explorer.alt, "it is kept"
    explorer.hear({"press": "no such button"})


@pytest.fixture
def held(monkeypatch):
    """A DepthExplorer of two epochs whose button was pressed; it waits in `fit` for an event. The
    number of trainings that have begun, and the epochs that each of them made, stand beside it."""
    explorer, go, began, ended = DepthExplorer(depth=8), threading.Event(), [], []
    explorer.fit = explorer.fit | {"epochs": 2}

    def slow(*args, **settings):
        began.append(threading.current_thread())
        assert go.wait(90)
        ended.append(fit(*args, **settings).epochs)

    monkeypatch.setattr(explorers, "fit", slow)
    explorer.hear({"press": "train this depth now"})
    yield explorer, go, began, ended
    go.set()


def test_the_button_answers_at_once_and_trains_one_network_at_a_time(held):
    explorer, go, began, ended = held
    thread = explorer.thread
    explorer.hear({"press": "train this depth now"})
    explorer.set(depth=14)  # the figure answers meanwhile
    assert explorer.thread is thread and thread.is_alive() and explorer.state["depth"] == 14
    go.set()
    thread.join()
    assert began == [thread] and ended == [2] and "Now" not in explorer.alt
    explorer.set(depth=8)
    assert "Now, after epoch 2:" in explorer.alt
    explorer.hear({"press": "train this depth now"})
    explorer.thread.join()
    assert len(began) == 2, "it can be pressed again"


def test_training_ends_when_the_figure_is_closed(held):
    explorer, go, _, ended = held
    explorer.close()
    go.set()
    explorer.thread.join()
    assert ended == [1] and explorer.now == {}, "the epoch that was under way is the last"


def test_called_from_a_cell_train_waits():
    explorer = DepthExplorer(depth=8)
    explorer.fit = explorer.fit | {"epochs": 1}
    explorer.train(8)
    assert explorer.thread is None and "Now, after epoch 1:" in explorer.alt


def test_what_has_no_control_is_batch_norm_without_skips():
    bare, full = DepthExplorer(depth=32), DepthExplorer(depth=32, norm="batch", skip=False)
    assert list(bare.state) == ["depth"] and bare.alt.startswith("32 layers: after 40 epochs")
    for few, many in zip(bare.panels[0].lines, full.panels[0].lines):
        np.testing.assert_array_equal(few.y, many.y)


# --- loss surfaces --------------------------------------------------------------------------------


def named(panel, name):
    return next(line for line in panel.lines if line.name == name)


def test_a_surface_shows_its_minima_the_network_and_the_chosen_level():
    explorer = SurfaceExplorer({"rugged": bowl(0.5), "smooth": bowl()}, radius=2.0)
    rugged, smooth = explorer.panels
    assert smooth.sentence.startswith(
        "smooth: the loss is 0 in the middle and 2 at most, with 1 local minimum;"
    )
    assert (
        int(re.search(r"with (\d+) local minima", rugged.sentence)[1])
        == len(named(rugged, "local minima").x)
        >= 4
    )
    assert [
        line.x.tolist() for line in (named(smooth, "local minima"), named(smooth, "the network"))
    ] == [[0], [0]]
    for level in explorer.choices["level"][::8]:
        explorer.set(level=level)
        line = named(explorer.panels[1], f"loss {level:.2g}")
        finite = np.isfinite(line.x)
        np.testing.assert_allclose(
            (line.x[finite] ** 2 + line.y[finite] ** 2) / 4, level, atol=0.02
        )
        assert explorer.picture.table[2][3] == f"{(bowl() < level).mean():.0%}"


def test_the_first_direction_goes_along_the_horizontal_axis():
    ramp = np.arange(9.0).reshape(
        3, 3
    )  # grows by 3 along the first direction, by 1 along the second
    shades = SurfaceExplorer({"ramp": ramp}).panels[0].shades
    assert np.diff(shades.values, axis=1).tolist() == [[3, 3]] * 3


def test_a_surface_that_is_not_finite_everywhere_is_shown_as_high_there():
    heights = bowl()
    heights[0, 0], heights[3, 5] = -np.inf, np.nan
    explorer = SurfaceExplorer({"one": heights})
    assert explorer.panels[0].shades.values[0, 0] == explorer.panels[0].shades.values[5, 3] == 2
    assert explorer.alt.endswith(" 2 places are not finite and drawn as the highest.")
    heights[0, 0] = 2
    one, other = SurfaceExplorer({"one": heights, "other": bowl()}).panels
    assert one.sentence.endswith(" 1 place is not finite and drawn as the highest.")
    assert "finite" not in other.sentence
    assert differences(explorer.picture) == []


def test_a_plain_has_no_local_minimum():
    heights = bowl()
    heights[:4, :4] = np.inf
    explorer = SurfaceExplorer({"one": heights})
    assert explorer.picture.table[1][2] == "1"


# --- running averages -----------------------------------------------------------------------------


def test_running_averages_approach_the_moments_of_all_digits(made):
    averages = made("AveragesExplorer")

    def distance(batches):
        averages.set(mode="eval", batches=batches, batch=64, momentum=0.1)
        told = re.findall(
            r"running (?:mean|variance) (?:is )?(-?[\d.]+) \((?:of all training digits )?(-?[\d.]+)\)",
            averages.alt,
        )
        assert len(told) == 2, averages.alt
        return max(abs(float(running) - float(whole)) for running, whole in told)

    assert distance(0) > 0.5
    assert distance(100) < 0.25


def test_in_train_mode_the_output_is_normalized_whatever_was_seen(made):
    averages = made("AveragesExplorer")
    for batches in 0, 100:
        averages.set(mode="train", batches=batches)
        assert "mean 0.00 and variance 1.00" in averages.alt.replace("-0.00", "0.00")
    averages.set(mode="eval", batches=0)
    assert "mean 0.00 and variance 1.00" not in averages.alt


def test_each_batch_has_a_point_and_the_line_moves_towards_it(made):
    averages = made("AveragesExplorer")
    averages.set(mode="eval", batches=20, batch=32, momentum=0.25)
    for k, start in (0, 1.0), (1, 0.0):
        line, points = averages.panels[0].lines[2 * k : 2 * k + 2]
        assert len(line.x) == 21 and len(points.x) == 20 and line.y[0] == start
        np.testing.assert_allclose(
            line.y[1:], 0.75 * line.y[:-1] + 0.25 * points.y, rtol=1e-4, atol=1e-5
        )


def test_the_axis_of_the_averages_holds_every_point():
    averages = AveragesExplorer(batches=100, batch=2, momentum=1.0)
    for batch, seldom in (2, False), (64, True):
        averages.set(batch=batch)
        panel = averages.panels[0]
        assert ((panel.y.low, panel.y.high) == (-4, 8)) == seldom
        for line in panel.lines:
            assert panel.y.low <= line.y.min() and line.y.max() <= panel.y.high


# --- the map --------------------------------------------------------------------------------------


def test_the_map_of_a_stopped_run_shows_what_was_finished():
    explorer = MapExplorer({"none": history(), "batch": history(epochs=2)}, **AXES)
    assert explorer.state["epoch"] == 2 and explorer.panels[1].x.high == 2


def test_the_map_shows_the_chosen_epoch_norm_and_cell(made):
    explorer = made("MapExplorer")
    explorer.reset()
    assert [*explorer.initial] == ["norm", "epoch", "lr", "gain"]
    assert explorer.alt.startswith(
        "norm batch, epoch 3: 7 of 8 cells are over 90 %, 1 diverged (×)."
    )
    assert "Train error at learning rate 0.01, gain 2: none 50%, batch 2%." in explorer.alt
    assert explorer.panels[0].shades.texts == [["98"] * 4, ["98"] * 3 + ["×"]]
    frame = explorer.panels[0].lines[0]
    assert (frame.x.min(), frame.x.max(), frame.y.min(), frame.y.max()) == (1.5, 2.5, -0.5, 0.5)
    explorer.set(epoch=1, norm="none", lr=0.1, gain=4.0)
    assert (
        explorer.panels[0].shades.texts[0] == ["50"] * 4 and len(explorer.panels[1].lines[0].x) == 1
    )
    assert "none diverged, batch diverged" in explorer.alt and explorer.panels[1].lost.tolist() == [
        1
    ]
    with pytest.raises(ValueError, match="epoch must be one of 1, 2, 3, got 4"):
        explorer.set(epoch=4)


def test_the_activations_and_number_formats_of_the_menus_are_those_of_the_networks():
    menus = {
        spec["name"]: spec["options"]
        for spec in Explorer(depth=2, width=2).controls
        if spec.get("menu")
    }
    assert menus == {"activation": [*ACTIVATIONS], "dtype": [*DTYPES]}
