"""The live figure in a plain page, without a notebook: what live.js does with a picture's data."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers import Explorer, Playground, ProductExplorer
from helpers.live import widget
from helpers.live.explorers import CIVIDIS
from helpers.live.panels import Axis, Line, Panel, Picture, Shades

from . import lab
from .live import button, number, slider
from .test_explorer import as_lists

FIGURE = """([controls, buttons, origin, picture, settings]) => {
    window.asked = []
    window.strokes = []  // of all canvases: alpha, width, dashes and colour
    const stroke = CanvasRenderingContext2D.prototype.stroke
    CanvasRenderingContext2D.prototype.stroke = function () {
        strokes.push([this.globalAlpha.toFixed(1), +this.lineWidth.toFixed(1), String(this.getLineDash()), this.strokeStyle])
        stroke.call(this)
    }
    window.fills = []  // of all canvases: alpha
    const fill = CanvasRenderingContext2D.prototype.fill
    CanvasRenderingContext2D.prototype.fill = function () {
        fills.push(this.globalAlpha.toFixed(1))
        fill.call(this)
    }
    const put = CanvasRenderingContext2D.prototype.putImageData
    CanvasRenderingContext2D.prototype.putImageData = function (image, ...place) {
        window.shades = [...image.data]
        put.call(this, image, ...place)
    }
    window.shown = live.figure(document.querySelector('main'), { controls, buttons, origin,
        ask: (settings, generation) => asked.push({ settings, generation }), press() {} })
    window.show = (picture, settings) => shown.show({ ...picture, settings, generation: asked.at(-1)?.generation ?? 0 })
    show(picture, settings) }"""


@pytest.fixture
def figure(browser):
    """figure(explorer): the explorer's live figure in a page of its own. `asked` in the page has
    what its controls ask for."""
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(lab.PATIENCE)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    style, script = ((widget.HERE / f"live.{kind}").read_text("utf-8") for kind in ("css", "js"))

    def show(explorer, origin=None, dark=False):
        look = "background: #111; color: #eee" if dark else "background: white; color: black"
        page.goto("about:blank")  # a new page knows no `live` yet
        page.set_content(
            f"<style>body {{ {look} }} {style}</style><main></main><script>{script}</script>"
        )
        about = explorer.controls, explorer.buttons, origin, *shown(explorer)
        page.evaluate(FIGURE, list(about))
        return page.locator(".live")

    yield show
    assert page.wrong == []
    page.close()


def shown(explorer):
    """The picture and the settings, as the page gets them."""
    return {**as_lists(explorer.picture), "sentence": explorer.alt}, explorer.state


def alone(*panels):
    """What `figure` needs to show panels without controls."""
    picture = Picture([*panels], [])
    return SimpleNamespace(picture=picture, alt="", state={}, controls=[], buttons=[])


def read(figure, *keys):
    """What the first panel tells at its first place, and after each of the keys."""
    reader = figure.locator(".live-reader").first
    reader.press("Home")
    told = [reader.get_attribute("aria-valuetext")]
    for key in keys:
        reader.press(key)
        told.append(reader.get_attribute("aria-valuetext"))
    return told


def strokes(figure, act):
    """The strokes of all canvases while `act` is done: alpha, width, dashes and colour."""
    figure.page.evaluate("strokes.length = 0")
    act()
    return figure.page.evaluate("strokes")


def asked(figure):
    """The settings that the controls asked for last."""
    return figure.page.evaluate("asked.at(-1).settings")


@pytest.mark.parametrize("width", [699.6, 700.4, 940.3, 939.8])
def test_a_canvas_has_whole_pixels_at_any_width_of_the_page(figure, width):
    """After another width that rounds to the same number, and at which the columns differ."""
    one = figure(Explorer(depth=3, width=8))
    for wide in {699.6: 700.4, 700.4: 699.6, 940.3: 939.8, 939.8: 940.3}[width], width:
        one.page.evaluate(
            "wide => { document.querySelector('main').style.width = `${wide}px` }", wide
        )
        one.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        )
    fits = """all => all.every(one => { const { left, right } = one.getBoundingClientRect()
        return one.width === Math.round(right) - Math.round(left) })"""
    assert one.locator("canvas").evaluate_all(fits)


# --- controls -------------------------------------------------------------------------------------


def test_a_value_between_two_steps_stays_until_the_reader_moves_its_control(figure):
    one = figure(Explorer(depth=3, width=8, gain=2**0.5))
    slider(one, "depth").press("ArrowRight")
    assert asked(one)["gain"] == 2**0.5 and asked(one)["depth"] == 4
    slider(one, "gain").press("ArrowRight")
    assert asked(one)["gain"] == 1.42
    button(one, "reset").click()
    assert asked(one)["gain"] == 2**0.5
    number(one, "gain").fill("")
    number(one, "gain").press("Enter")
    assert asked(one)["gain"] == 2**0.5
    number(one, "gain").fill("1.40")
    number(one, "gain").press("Enter")
    assert asked(one)["gain"] == 1.4


def test_reset_brings_back_the_origin_though_another_picture_came_first(figure):
    moved = Explorer(depth=3, width=8)
    moved.set(depth=5, gain=3.0)
    one = figure(moved, origin=moved.origin)
    button(one, "reset").click()
    assert asked(one) == moved.initial != moved.state


def test_without_a_kernel_no_control_and_no_button_can_be_pressed(figure):
    made = Playground(depth=2, width=4)
    one = figure(made)
    assert one.locator(".live-presets button").count() > 3
    one.page.evaluate("shown.lose()")
    for part in one.locator(":is(.live-controls, .live-presets)").all():
        look = "part => [part.inert, getComputedStyle(part).opacity]"
        assert part.evaluate(look) == [True, "0.5"]
    made.close()


RENDER = """([controls, buttons, origin, picture, settings, look]) => {
    const shown = { ...picture, settings, generation: 0 }, state = { controls, buttons, origin, still: 'still-1', shown }
    window.sent = []
    window.manager = { kernel: { status: 'idle' } }
    const model = { get: (name) => state[name], set: (name) => sent.push(name), send: (message) => sent.push(message),
        save_changes() {}, on() {}, off() {}, widget_manager: manager }
    document.body.innerHTML = '<main></main>'
    const el = document.querySelector('main')
    el.className = look
    live.render({ model, el }) }"""


def test_a_figure_whose_kernel_was_shut_down_says_so_and_shows_the_settings_of_its_picture(figure):
    explorer = Explorer(depth=3, width=8)
    one, about = figure(explorer), [explorer.controls, [], explorer.origin, *shown(explorer)]
    one.page.evaluate(RENDER, [*about, ""])
    slider(one, "depth").press("ArrowRight")
    assert one.page.evaluate("sent") == ["asked"] and number(one, "depth").input_value() == "4"
    one.page.evaluate("manager.kernel = null")
    slider(one, "depth").press("ArrowRight")
    assert one.page.evaluate("sent") == ["asked"] and number(one, "depth").input_value() == "3"
    assert one.locator(".live-note").text_content() == "Run this cell to move it."


def test_a_new_view_of_a_figure_without_a_kernel_says_so(figure):
    explorer = Explorer(depth=3, width=8)
    one, about = figure(explorer), [explorer.controls, [], explorer.origin, *shown(explorer)]
    one.page.evaluate(RENDER, [*about, "jupyter-widgets-disconnected"])
    assert one.locator(".live-note").text_content() == "Run this cell to move it."


# --- pinned ---------------------------------------------------------------------------------------


def test_pinned_lines_keep_their_dashes(figure):
    one = figure(ProductExplorer(depth=3))
    pale = [stroke for stroke in strokes(one, button(one, "pin").click) if stroke[0] == "0.4"]
    assert {tuple(stroke[1:3]) for stroke in pale} == {(3, ""), (3, "10,5")}


def test_a_pinned_overflow_stays_marked(figure):
    explorer = Explorer(depth=20, width=8, gain=4.0, dtype="float16")
    one = figure(explorer)
    lost, calm = explorer.panels[0].lost, Explorer(depth=20, width=8, gain=1.4)
    assert len(lost) and not len(calm.panels[0].lost)
    button(one, "pin").click()
    found = strokes(one, lambda: one.page.evaluate("([a, b]) => show(a, b)", [*shown(calm)]))
    crosses = [stroke for stroke in found if stroke[:3] == ["0.4", 1.4, ""]]
    assert len(crosses) == 2 * len(lost)


def points(x, y, name=""):
    line = Line(np.array(x, float), np.array(y, float), name)
    return alone(Panel("Loss", Axis("step", 0, 60), Axis("loss", 0, 2), [line]))


def test_a_point_without_neighbours_is_drawn_and_stays_when_it_is_pinned(figure):
    one = figure(points(range(1, 51), [np.nan] * 49 + [1.0]))
    assert set(one.page.evaluate("fills")) == {"1.0"}
    one = figure(points([1], [1]))
    one.page.evaluate("fills.length = 0")
    button(one, "pin").click()
    assert set(one.page.evaluate("fills")) == {"0.4", "1.0"}


def test_where_nothing_would_be_kept_there_is_no_pin(figure):
    assert not button(figure(cells()), "pin").is_visible()
    assert button(figure(points([1, 2], [1, 1])), "pin").is_visible()


# --- shades and their crosshair -------------------------------------------------------------------


def cells(**look):
    values = np.array([[0.0, np.nan], [1.0, 0.5]])
    axes = Axis("gain", -0.5, 1.5), Axis("rate", -0.5, 1.5)
    shades = Shades(values, (-0.5, 1.5), (-0.5, 1.5), "share", percent=True, **look)
    frame = Line(np.array([-0.5, 0.5, 0.5]), np.array([0.5, 0.5, -0.5]), "", 1, "outline")
    return alone(Panel("Map", *axes, [frame], shades=shades))


def test_what_is_no_number_stays_blank_and_is_told(figure):
    one = figure(cells(colors=CIVIDIS))
    assert one.page.evaluate("shades")[3::4] == [255, 255, 255, 0]  # the upper row first
    told = read(one, "ArrowRight", "ArrowDown")
    assert told[-1] == "gain 1, rate 0: share not finite"
    texts = cells(colors=CIVIDIS, texts=[["0", "×"], ["100", "50"]])
    one = figure(texts)
    assert one.page.evaluate("shades")[3::4] == [255] * 4
    assert read(one, "ArrowRight", "ArrowDown")[-1] == "gain 1, rate 0: share diverged"


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_crosshair_stand_out_from_coloured_shades(figure, dark):
    white, black, orange = "#ffffff", "#000000", "#d55e00"
    for texts, widths in (None, (3, 1)), ([["0"] * 2] * 2, (4, 2)):
        one = figure(cells(colors=CIVIDIS, texts=texts), dark=dark)
        assert one.get_attribute("data-dark") == str(dark).lower()
        found = strokes(one, one.locator(".live-reader").focus)
        outline = [["1.0", 5, "", white], ["1.0", 2.6, "", orange]]
        at = found.index(outline[0])
        assert found[at : at + 2] == outline
        cross = [["1.0", width, "", color] for width, color in zip(widths, (white, black))]
        assert found[-2:] == cross


# --- read off -------------------------------------------------------------------------------------


def test_whole_numbers_are_read_in_full(figure):
    x, y = np.array([1234.0, 234567.0, 300000.0]), np.array([1234.0, 0.123456, 1e30])
    line = Line(x, y, "loss")
    one = figure(alone(Panel("Loss", Axis("step", 0, 4e5), Axis("loss", 0, 2e3), [line])))
    assert read(one, "ArrowRight", "ArrowRight") == [
        "step 1234: loss 1234",
        "step 234567: loss 0.123",
        "step 300000: loss 1.0e30",
    ]


def test_a_reading_stays_at_its_place_when_the_points_become_fewer(figure):
    one = figure(points(range(1, 7), [1] * 6, "loss"))
    assert read(one, *["ArrowRight"] * 3)[-1] == "step 4: loss 1"
    halved = points([2, 4, 6], [1] * 3, "loss")
    one.page.evaluate("([a, b]) => show(a, b)", [*shown(halved)])
    reader = one.locator(".live-reader").first
    assert reader.get_attribute("aria-valuetext") == "step 4: loss 1"
    assert reader.input_value() == "1"


def test_a_tap_reads_a_value(figure):
    one = figure(points(range(61), [1] * 61, "loss"))
    reader = one.locator(".live-reader").first
    before = reader.input_value()
    one.locator("canvas").first.evaluate("""canvas => {
        const { x, y, width, height } = canvas.getBoundingClientRect()
        const place = { pointerType: 'touch', clientX: x + width / 2, clientY: y + height / 2, bubbles: true }
        for (const kind of ['pointerdown', 'pointerup', 'pointerleave']) canvas.dispatchEvent(new PointerEvent(kind, place)) }""")
    assert reader.input_value() != before
