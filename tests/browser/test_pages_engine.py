"""The engine of the pages in a real browser, opened from a file without a network: does it compute what helpers compute?"""

import json
import random
import re
from contextlib import contextmanager
from types import SimpleNamespace

import engine_record
import numpy as np
import pytest
import torch

from helpers import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
)
from helpers.live.explorers import profile_of
from helpers.live.panels import Axis, Line, Panel, Picture, Shades
from helpers.live.widget import EXAMPLES, MENUS, RANGES
from helpers.pages import figures

from . import lab
from .live import sentence, slider, wait_for, whole

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>engine</title>{scripts}</head>
<body><script>
const sources = [...document.querySelectorAll('script.worker')].map((script) => script.textContent)
const ask = page.connect(sources)
const plain = (value) => ArrayBuffer.isView(value) ? [...value] : Array.isArray(value) ? value.map(plain)
  : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)])) : value
let made = 0
const askers = {{}}
async function make(kind, data, binaries) {{
  const asked = binaries ? page.connect(sources) : ask, figure = ++made
  askers[figure] = asked
  return {{ figure, ...await asked({{ figure, kind, data, wasm: binaries ?? wasm }}), worker: asked.worker }}
}}
async function compute(figure, settings) {{ return plain((await askers[figure]({{ figure, settings }})).picture) }}
</script></body></html>"""


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A page with the engine."""
    path = tmp_path_factory.mktemp("pages") / "engine.html"
    path.write_text(PAGE.format(scripts=figures.scripts()), encoding="utf-8")
    with opened_file(browser, path) as page:
        yield page


@contextmanager
def opened_file(browser, path, script="", ready=None, complains=False, **settings):
    """A page opened from a file in a browser whose network is off; nothing may go wrong on it, but on one that complains.

    script: runs before the page's. ready: waits until this function in JavaScript is true. settings: of the browser's context.
    """
    context = browser.new_context(offline=True, **settings)
    page, wrong = context.new_page(), []
    page.set_default_timeout(lab.PATIENCE)
    if script:
        page.add_init_script(script)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda note: note.type == "error" and wrong.append(note.text))
    local = ("file:", "blob:", "data:")
    page.on("request", lambda request: request.url.startswith(local) or wrong.append(request.url))
    page.goto(path.as_uri())
    if ready:
        page.wait_for_function(ready)
    yield page
    assert complains or wrong == []
    context.close()


@pytest.fixture(scope="module")
def digits():
    return figures.digits_data(EXAMPLES)


def make(page, kind, binaries=None, **data):
    """A function from settings to the page's picture. binaries: base64, instead of the page's."""
    made = page.evaluate(
        "([kind, data, binaries]) => make(kind, data, binaries)", [kind, data, binaries]
    )
    assert made["worker"] and made["simd"] == (binaries is None or len(binaries) == 1)
    return lambda settings: page.evaluate(
        "([figure, settings]) => compute(figure, settings)", [made["figure"], settings]
    )


# --- settings -----------------------------------------------------------------------------------


def drawn(chance, names, **fixed):
    """Random settings within the controls' limits. Small sizes, which take less time, are more frequent than large ones."""
    found = {}
    for name in names:
        if name in MENUS:
            found[name] = chance.choice(MENUS[name][0])
        else:
            low, high, step, _ = RANGES[name]
            values = [chance.uniform(low, high) for _ in range(3)]
            found[name] = round(min(values)) if step == 1 else round(values[0], 2)
    return found | fixed


# --- two pictures -------------------------------------------------------------------------------


def scaled(values, axis):
    """Values as places on an axis, from 0 to 1 within its limits."""
    with np.errstate(all="ignore"):
        change = np.log10 if axis.log else np.array
        low, high = change([axis.low, axis.high])
        return (change(np.array(values, float)) - low) / (high - low)


def smallest(dtype):
    """Below a hundred times the smallest number of the dtype, rounding decides what a value is."""
    about = torch.finfo(getattr(torch, dtype))
    return 100 * about.tiny * about.eps


def distance(one, other, widths, dtype):
    """How far two pictures lie apart: their curves at most, as a share of the curve's range on its axis, where both have a finite
    place on it; and their shades, as the share of a layer's values that lie elsewhere.

    A flat curve has no range of its own: a hundredth of the axis is the least that counts.
    """
    curves, shades = [0.0], [0.0]
    for panel, their in zip(one.panels, other.panels):
        for line, theirs in zip(panel.lines, their.lines):
            places, others = scaled(line.y, panel.y), scaled(theirs.y, panel.y)
            with np.errstate(invalid="ignore"):
                gap = abs(places - others)
            counts = np.isfinite(gap) & (np.maximum(abs(line.y), abs(theirs.y)) > smallest(dtype))
            if counts.any():
                curves.append(gap[counts].max() / max(np.ptp(places[counts]), 0.01))
        if panel.shades:
            shades.append(elsewhere(panel.shades, their.shades, widths))
    return np.array([max(curves), max(shades)])


def elsewhere(shades, others, widths):
    """The share of a layer's values that lie elsewhere, in the worst layer, if a value may go to the next bin. widths: of the bins."""
    bounds, found = np.linspace(*shades.y, len(shades.values) + 1), [0.0]
    below, theirs = (
        np.vstack([0 * table[:1], table.cumsum(0)]) for table in (shades.values, others.values)
    )
    for column, width in enumerate(widths):
        reach = width + bounds[1] - bounds[0]
        low, high = (np.interp(bounds + way * reach, bounds, below[:, column]) for way in (-1, 1))
        outside = (
            1 - below[-1, column] if below[-1, column] else 0
        )  # from there, some may move into the window
        found.append(np.max([low - theirs[:, column], theirs[:, column] - high]) - outside)
    return max(found)


def noise(compute, networks, settings, widths, times=3):
    """How far helpers' own picture moves if the units stand in another order, and every weight moves by a few units in its last place.

    On paper the first changes nothing. Sums are rounded in another order. By the second torch's draws differ between processors (by up
    to 5e-7). Where a network is chaotic, as a deep tanh network of a large gain or a deep one with batch norm, the picture moves by far
    more than a rounding, and so it does among half precision's smallest numbers. No two implementations agree better than that.
    """
    still, found = compute(**settings), []
    chance = torch.Generator().manual_seed(0)
    last = networks.net[-1].weight.data
    kept = [(values, values.clone()) for values in (*(unit for _, unit in networks.weights), last)]
    for _ in range(times):
        order = torch.randperm(len(last), generator=chance)
        for k, (values, before) in enumerate(kept):
            moved = before[order] if k else before
            moved = moved[:, order] if values is not last else moved
            values.copy_(moved * (1 + 1e-6 * torch.randn(moved.shape, generator=chance)))
        found.append(distance(still, compute(**settings), widths, settings["dtype"]))
    for values, before in kept:
        values.copy_(before)
    return np.max(found, 0)


def rebuilt(picture):
    """A page's picture as helpers' dataclasses."""
    panels = []
    for panel in picture["panels"]:
        lines = [
            Line(np.array(line.pop("x"), float), np.array(line.pop("y"), float), **line)
            for line in panel.pop("lines")
        ]
        axes, shades = (Axis(**panel.pop(name)) for name in "xy"), panel.pop("shades")
        if shades:
            columns = shades.pop("columns")
            shades = Shades(np.array(shades.pop("values"), float).reshape(-1, columns), **shades)
        panels.append(Panel(panel.pop("title"), *axes, lines, shades=shades, **panel))
    return Picture(panels, picture["table"], picture["marks"])


def listed(value):
    """Arrays, tuples and None as lists; numbers as texts of six digits."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [listed(part) for part in value]
    if value is None:
        return []
    return f"{value:.6g}" if isinstance(value, (int, float, np.number)) else value


def frame(picture):
    """All of a picture but its values."""
    panels = []
    for panel in picture.panels:
        about = [panel.title, listed(panel.limit), listed(panel.lost)]
        for axis in (panel.x, panel.y):
            about += [{**vars(axis), "ticks": listed(axis.ticks)}]
        for line in panel.lines:
            about += [(line.name, line.style, line.kind, line.color, listed(line.x))]
        if panel.shades:
            some = {
                name: vars(panel.shades)[name]
                for name in ("quantity", "root", "percent", "columns")
            }
            lists = [listed(vars(panel.shades)[name]) for name in ("x", "y", "colors", "texts")]
            about += [some, lists]
        panels.append(about)
    return panels, listed(picture.marks)


def words(picture):
    """The sentence and the table without their numbers."""
    return re.sub(r"-?\d[\d.]*(e[+-]\d+)?", "#", f"{picture.sentence} {picture.table}")


def ends(ours, page, dtype):
    """Checks that two pictures' curves end, by an overflow or an underflow, at the same places."""
    for panel, theirs in zip(ours.panels, page.panels):
        for line, their in zip(panel.lines, theirs.lines):
            finite = np.isfinite(line.y) & np.isfinite(their.y)
            np.testing.assert_array_equal(line.y[~finite], their.y[~finite])
            one_zero = finite & ((line.y == 0) != (their.y == 0))
            assert (np.maximum(line.y, their.y)[one_zero] < smallest(dtype)).all()


# --- lesson 02's explorer, and its sisters in 03, 05 and 06 -------------------------------------

CONTROLS = ["depth", "gain", "width", "activation", "dtype"]
NORM = ["norm", "batch", "gamma", "beta"]
SKIP = ["norm", "skip", "branch_scale", "order"]
KINDS = {
    "02": (CONTROLS, False),
    "03": (CONTROLS + NORM, False),
    "05": (CONTROLS + ["norm", "batch"], True),
    "06": (CONTROLS + SKIP, True),
}


def check(explorer, compute, settings):
    """Compares the pictures for these settings; returns how far they lie apart, and whether the network is chaotic."""
    explorer.set(**settings)
    ours, page, widths = explorer.picture, rebuilt(compute(settings)), ()
    if any(panel.shades for panel in ours.panels):
        seen = profile_of(*explorer.compute.args, **settings)
        widths = np.nan_to_num(seen.edges[:, 1] - seen.edges[:, 0])
    found = distance(ours, page, widths, settings["dtype"])
    allowed = np.array([1e-3 if settings.get("norm") == "batch" else 1e-4, 2e-3])
    chaotic = (found > allowed).any() or frame(ours) != frame(page)
    if chaotic:
        moves = noise(explorer.compute, explorer.compute.args[2], settings, widths)
        allowed += 10 * moves
    assert (found <= allowed).all(), f"{found} apart, allowed {allowed}"
    if not chaotic or moves[0] < 1e-3:
        assert frame(ours) == frame(page)
        ends(ours, page, settings["dtype"])
    if found[0] < 1e-6:
        assert words(ours) == words(page)
    return found, chaotic


@pytest.mark.parametrize("lesson", KINDS)
def test_the_page_shows_what_the_explorer_shows(page, digits, lesson):
    names, backward = KINDS[lesson]
    compute = make(page, "signal", digits=digits, seed=1, backward=backward)
    chance, chaotic = random.Random(lesson), 0
    settings = [drawn(chance, names) for _ in range(100)]
    explorer = Explorer(**settings[0], backward=backward, seed=1)
    for each in settings:
        chaotic += check(explorer, compute, each)[1]
    # The others agree to 1e-4 of a curve's range, or to 1e-3 behind batch norm.
    assert chaotic <= (10 if lesson == "02" else 45)


def test_older_browsers_compute_the_same(page, digits):
    plain_simd = [figures.base64_of((figures.HERE / "engine.wasm").read_bytes())]
    computes = [
        make(page, "signal", binaries, digits=digits, seed=1, backward=True)
        for binaries in (None, plain_simd, [])
    ]
    for norm, dtype, order in (
        ("batch", "float32", "pre"),
        ("layer", "bfloat16", "post"),
        ("none", "float64", "pre"),
    ):
        settings = {"depth": 9, "gain": 1.3, "width": 21, "activation": "relu", "dtype": dtype}
        settings |= {"norm": norm, "batch": 37, "skip": True, "branch_scale": 0.5, "order": order}
        first, *others = (rebuilt(compute(settings)) for compute in computes)
        for other in others:
            assert distance(first, other, (), dtype)[0] < 1e-5


PLAIN = "delete window.Worker; delete window.WebAssembly"
OLD = "delete Array.prototype.toReversed; delete window.OffscreenCanvas"
BLOCKED = """window.Worker = class {
  constructor() { setTimeout(() => this.onerror(new Event('error'))) }
  postMessage() {}
}
WebAssembly.Module = function () { throw new WebAssembly.CompileError('a policy forbids it') }"""


@pytest.mark.parametrize(
    "script",
    ["", "delete window.Worker", PLAIN, OLD, BLOCKED],
    ids=["worker", "no worker", "plain", "old browser", "blocked by a policy"],
)
def test_a_figure_moves_by_keyboard_in_a_page_opened_from_a_file(browser, tmp_path, script):
    path = tmp_path / "page.html"
    start = {"depth": 20, "gain": 1.2, "width": 64, "backward": script == OLD}
    path.write_text(lab.figure_page(Explorer(**start)), encoding="utf-8")
    with opened_file(browser, path, script) as page:
        figure = page.locator(".live")
        wait_for(figure, **start)
        before = sentence(figure)
        slider(figure, "gain").press("ArrowRight")
        wait_for(figure, **start | {"gain": 1.21})
        assert sentence(figure) != before
        assert whole(figure)
        assert lab.violations(page, "main") == []
        assert page.get_by_text("computes in plain JavaScript").count() == (
            script in (PLAIN, BLOCKED)
        )


# --- the other explorers ------------------------------------------------------------------------


def training_map():
    """A map of 4 x 3 networks that were trained for six epochs, as far as an explorer looks at them; some diverged."""
    chance, histories = np.random.default_rng(0), {}
    for name in ("none", "batch"):
        loss = chance.exponential(size=(6, 4, 3))
        loss[3:, 2] = np.nan
        loss[0, 1, 1] = np.inf
        histories[name] = SimpleNamespace(loss=loss, train_error=chance.random((6, 4, 3)), epochs=6)
    return MapExplorer(histories, lr=[0.001, 0.01, 0.1, 1.0], gain=[0.5, 1.0, 2.0])


OTHERS = {
    "product": ProductExplorer,
    "recurrent": RecurrentExplorer,
    "averages": AveragesExplorer,
    "map": training_map,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_the_page_shows_what_another_explorer_shows(page, kind):
    explorer, chance = OTHERS[kind](), random.Random(kind)
    about = figures.described(explorer)
    assert about["kind"] == kind
    compute = make(page, kind, **about["data"])
    for _ in range(100):
        settings = {
            control["name"]: chance.choice(control["options"])
            if "options" in control
            else drawn(chance, [control["name"]])[control["name"]]
            for control in explorer.controls
        }
        explorer.set(**settings)
        ours, shown = explorer.picture, rebuilt(compute(settings))
        assert frame(ours) == frame(shown)
        assert distance(ours, shown, [1e-9] * 3, "float64")[0] <= 1e-4
        assert words(ours) == words(shown)
        ends(ours, shown, "float64")


@pytest.mark.parametrize("kind", ["depths", "surface"])
def test_a_recorded_explorer_is_in_the_page_with_every_picture(page, kind):
    side = np.linspace(-1, 1, 9)
    surface = np.sin(4 * side[:, None]) + side**2
    explorer = (
        DepthExplorer(norm="none", skip=True)
        if kind == "depths"
        else SurfaceExplorer({"a": surface})
    )
    about = figures.described(explorer)
    compute = make(page, about["kind"], **about["data"])
    for name, values in about["data"]["options"]:
        for value in values:
            explorer.set(**{name: value})
            ours, shown = explorer.picture, rebuilt(compute(explorer.state))
            assert frame(ours) == frame(shown)
            assert distance(ours, shown, (), "float64")[0] < 1e-4
            assert (ours.sentence, listed(ours.table)) == (shown.sentence, listed(shown.table))


def test_the_engine_computes_what_was_recorded_of_it(page):
    """What the quick tests compare helpers with. If this fails alone, record anew: python tests/engine_record.py."""
    found = engine_record.theirs(lambda kind, data: make(page, kind, **data))
    for one, other in zip(found, json.loads(engine_record.FILE.read_text("utf-8")), strict=True):
        for ours, recorded in zip(one, other, strict=True):
            np.testing.assert_allclose(ours, recorded, rtol=1e-4)


# --- torch's random numbers ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5])
@pytest.mark.parametrize("count", [1, 15, 16, 100, 6400])
def test_random_numbers_are_those_of_torch(page, seed, count):
    script = """([seed, count]) => { const made = new engine.Generator(seed)
        return [made.randn(count), made.randn(3), made.randn(2), made.randn(count, Float64Array), made.randint(1500, count)].map(plain) }"""
    generator = torch.Generator().manual_seed(seed)
    first, *others = page.evaluate(script, [seed, count])
    assert first == pytest.approx(
        torch.randn(count, generator=generator).tolist(), rel=1e-6, abs=2e-6
    )
    for few in (
        3,
        2,
    ):  # below 16 draws come in pairs, and the second of a pair waits for the next call
        assert others.pop(0) == pytest.approx(
            torch.randn(few, generator=generator).tolist(), rel=1e-6
        )
    double = torch.randn(count, generator=generator, dtype=torch.double).tolist()
    assert others.pop(0) == pytest.approx(double, rel=1e-12, abs=1e-12)
    assert others.pop(0) == torch.randint(1500, (count,), generator=generator).tolist()
