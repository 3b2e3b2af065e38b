"""The engine of the pages in a real browser, opened from a file without a network: does it compute what helpers compute?"""

import random
import re

import numpy as np
import pytest
import torch

from helpers import Explorer
from helpers.live.explorers import look
from helpers.live.panels import Axis, Line, Panel, Picture, Shades
from helpers.live.widget import EXAMPLES, MENUS, RANGES
from helpers.pages import figures, rebuild

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>engine</title>{scripts}</head>
<body><script>
const sources = [...document.querySelectorAll('script.worker')].map((script) => script.textContent)
const ask = page.connect(sources)
const plain = (value) => ArrayBuffer.isView(value) ? [...value] : Array.isArray(value) ? value.map(plain)
  : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)])) : value
let made = 0
async function make(kind, data, binary = wasm) {{ return {{ ...await ask({{ figure: ++made, kind, data, wasm: binary }}), worker: ask.worker }} }}
async function compute(figure, settings) {{ return plain((await ask({{ figure, settings }})).picture) }}
</script></body></html>"""


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A page with the engine, opened from a file in a browser whose network is off; nothing may go wrong on it."""
    path = tmp_path_factory.mktemp("pages") / "engine.html"
    path.write_text(PAGE.format(scripts=figures.scripts()), encoding="utf-8")
    context = browser.new_context(offline=True)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda note: note.type == "error" and wrong.append(note.text))
    local = ("file:", "blob:", "data:")
    page.on("request", lambda request: request.url.startswith(local) or wrong.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert wrong == []
    context.close()


@pytest.fixture(scope="module")
def digits():
    return figures.digits_data(EXAMPLES)


def make(page, kind, **data):
    """A function from settings to the page's picture."""
    made = page.evaluate("([kind, data]) => make(kind, data)", [kind, data])
    assert made["simd"] and made["worker"]
    return lambda settings: page.evaluate(
        "([figure, settings]) => compute(figure, settings)", [made["figure"], settings]
    )


# --- settings -----------------------------------------------------------------------------------


def drawn(chance, names, **fixed):
    """Random settings within the controls' limits; small sizes come as often as large ones."""
    found = {}
    for name in names:
        if name in MENUS:
            found[name] = chance.choice(MENUS[name][0])
        else:
            low, high, step, _ = RANGES[name]
            value = chance.uniform(low, high)
            if step == 1:
                value = round(min(value, chance.uniform(low, high)))
            found[name] = value if step == 1 else round(value, 2)
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
    """How far two pictures lie apart: their curves at most, as a share of the axis, where both have a finite place on it; and
    their shades, as the share of a layer's values that lie elsewhere."""
    curves, shades = [0.0], [0.0]
    for panel, their in zip(one.panels, other.panels):
        for line, theirs in zip(panel.lines, their.lines):
            gap = abs(scaled(line.y, panel.y) - scaled(theirs.y, panel.y))
            counts = np.isfinite(gap) & (np.maximum(abs(line.y), abs(theirs.y)) > smallest(dtype))
            curves.append(max(gap[counts], default=0))
        if panel.shades:
            shades.append(elsewhere(panel.shades, their.shades, widths))
    return np.array([max(curves), max(shades)])


def elsewhere(shades, others, widths):
    """The share of a layer's values that lie elsewhere, in the worst layer, if a value may go to the next bin. widths: of the bins."""
    bounds, found = np.linspace(*shades.y, len(shades.values) + 1), [0.0]
    below, theirs = (np.vstack([0 * table[:1], table.cumsum(0)]) for table in (shades.values, others.values))
    for column, width in enumerate(widths):
        reach = width + bounds[1] - bounds[0]
        low, high = (np.interp(bounds + way * reach, bounds, below[:, column]) for way in (-1, 1))
        outside = 1 - below[-1, column] if below[-1, column] else 0  # from there, some may move into the window
        found.append(np.max([low - theirs[:, column], theirs[:, column] - high]) - outside)
    return max(found)


def noise(compute, networks, settings, widths, times=3):
    """How far helpers' own picture moves if the units stand in another order, and every weight moves by about a unit in its last place.

    On paper the first changes nothing. Sums are rounded in another order. By the second torch's draws differ between processors. Where
    a network is chaotic, as a deep tanh network of a large gain or a deep one with batch norm, the picture moves by far more than
    a rounding, and so it does among half precision's smallest numbers. No two implementations agree better than that.
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
            values.copy_(moved * (1 + 1e-7 * torch.randn(moved.shape, generator=chance)))
        found.append(distance(still, compute(**settings), widths, settings["dtype"]))
    for values, before in kept:
        values.copy_(before)
    return np.max(found, 0)


def rebuilt(picture):
    """A page's picture as helpers' dataclasses."""
    panels = []
    for panel in picture["panels"]:
        lines = [Line(np.array(line.pop("x"), float), np.array(line.pop("y"), float), **line) for line in panel.pop("lines")]
        axes, shades = (Axis(**panel.pop(name)) for name in "xy"), panel.pop("shades")
        if shades:
            columns = shades.pop("columns")
            shades = Shades(np.array(shades.pop("values"), float).reshape(-1, columns), **shades)
        panels.append(Panel(panel.pop("title"), *axes, lines, shades=shades, **panel))
    return Picture(panels, picture["table"], picture["marks"])


def listed(value):
    """Arrays, tuples and None as lists."""
    return [] if value is None else [listed(part) if isinstance(part, (list, tuple)) else part for part in value]


def frame(picture):
    """All of a picture but its values."""
    panels = []
    for panel in picture.panels:
        lines = [(line.name, line.style, line.kind, line.color, listed(line.x)) for line in panel.lines]
        axes, limit = (vars(panel.x), vars(panel.y)), listed(panel.limit)
        shades = panel.shades and {k: listed(v) if k in "xy" else v for k, v in vars(panel.shades).items() if k not in ("values", "top")}
        panels.append([panel.title, axes, limit, listed(panel.lost), lines, shades])
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
KINDS = {"02": (CONTROLS, False), "03": (CONTROLS + NORM, False), "05": (CONTROLS + ["norm", "batch"], True), "06": (CONTROLS + SKIP, True)}


def check(explorer, compute, settings):
    """Compares the pictures for these settings; returns how far they lie apart, and whether the network is chaotic."""
    explorer.set(**settings)
    ours, page = explorer.picture, rebuilt(compute(settings))
    seen = look(*explorer.compute.args, **settings)
    widths = np.nan_to_num(seen.edges[:, 1] - seen.edges[:, 0])
    found = distance(ours, page, widths, settings["dtype"])
    allowed = np.array([1e-3 if settings.get("norm") == "batch" else 1e-4, 2e-3])
    chaotic = (found > allowed).any() or frame(ours) != frame(page)
    if chaotic:
        moves = noise(explorer.compute, explorer.compute.args[2], settings, widths)
        allowed += 5 * moves
    assert (found <= allowed).all(), f"{found} apart, allowed {allowed}"
    if not chaotic or moves[0] < 1e-3:
        assert frame(ours) == frame(page)
        ends(ours, page, settings["dtype"])
    if found[0] < 1e-6:
        assert words(ours) == words(page)
    return found, chaotic


@pytest.mark.parametrize("lesson", KINDS)
def test_the_page_computes_what_the_explorer_computes(page, digits, lesson):
    names, backward = KINDS[lesson]
    compute, chance = make(page, "signal", digits=digits, seed=1, backward=backward), random.Random(lesson)
    first = drawn(chance, names)
    explorer = Explorer(**first, backward=backward, seed=1)
    chaotic = 0
    for settings in [first, *(drawn(chance, names) for _ in range(99))]:
        chaotic += check(explorer, compute, settings)[1]
    assert chaotic < 30
