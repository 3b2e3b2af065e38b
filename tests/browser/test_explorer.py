"""The live figure in a real JupyterLab in a real browser, moved as a reader moves it: by keyboard and by mouse."""

import ast
import json
import random
import re

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from helpers import Explorer

from . import lab
from .conftest import LESSON, NOTEBOOKS, opened
from .live import (
    after,
    button,
    menu,
    number,
    pixels,
    sentence,
    slider,
    wait_for,
    wait_for_text,
    whole,
)

SLIDERS = {"depth": (1, 200), "gain": (0, 4), "width": (1, 256)}
MENUS = {
    "activation": ["relu", "tanh", "sigmoid", "linear"],
    "dtype": ["float16", "bfloat16", "float32", "float64"],
}


def start():
    """The explorer's settings at the start, by what the lesson writes."""
    cells = json.loads((NOTEBOOKS / LESSON).read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    [source] = [source for source in sources if source.startswith("Explorer(")]
    written = ast.parse(source).body[0].value.keywords
    return Explorer(**{keyword.arg: ast.literal_eval(keyword.value) for keyword in written}).state


START = start()


@pytest.fixture
def figure(lesson):
    """The lesson's live figure, in sight and as it was at the start."""
    figure = lesson.locator(".live")
    figure.scroll_into_view_if_needed()
    if button(figure, "unpin").count():
        button(figure, "unpin").click()
    after(figure, button(figure, "reset").click)  # else its answer might come during the test
    wait_for(figure, **START)
    yield figure
    assert lesson.complaints == []


def errors(page):
    kinds = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    return page.locator(kinds).all_text_contents()


def values(figure):
    """What the controls say."""
    told = {name: float(slider(figure, name).get_attribute("aria-valuetext")) for name in SLIDERS}
    assert told == {name: float(number(figure, name).input_value()) for name in SLIDERS}
    chosen = "select => select.selectedOptions[0].textContent"
    return told | {name: menu(figure, name).evaluate(chosen) for name in MENUS}


# --- after "Run All Cells" ----------------------------------------------------------------------


def test_every_cell_runs_without_an_error(lesson, course):
    notebook = lab.save(lesson, course[0] / "notebooks" / LESSON)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)
    assert errors(lesson) == []
    assert lesson.complaints == []


def test_the_figure_shows_its_first_picture_and_the_stored_one_is_hidden(figure):
    assert whole(figure)
    assert sentence(figure) == Explorer(**START).alt
    assert figure.page.locator(".live-still").count() == 1
    expect(figure.page.locator(".live-still")).to_be_hidden()


def test_every_control_and_picture_has_a_name_and_a_text(figure):
    for name, (low, high) in SLIDERS.items():
        handle = slider(figure, name)
        assert handle.count() == number(figure, name).count() == 1
        assert [float(handle.get_attribute(end)) for end in ("min", "max")] == [low, high]
        assert handle.get_attribute("title")
    for name, options in MENUS.items():
        assert menu(figure, name).locator("option").all_text_contents() == options
    assert values(figure) == START
    assert slider(figure, "gain").get_attribute("aria-description") == "critical 1.414"
    left, right = figure.get_by_role("img").evaluate_all("all => all.map(one => one.ariaLabel)")
    panels = Explorer(**START).panels
    assert (left, right) == tuple(f"{panel.title}. {panel.sentence}" for panel in panels)


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_nothing_serious_in_the_outputs(lesson, theme):
    lab.set_theme(lesson, theme)
    lesson.locator(".live").scroll_into_view_if_needed()  # far from the view, it is not repainted
    lesson.wait_for_function(
        f"document.querySelector('.live').dataset.dark === '{theme == 'Dark'}'.toLowerCase()"
    )
    assert lab.violations(lesson) == []


def test_axe_finds_a_picture_without_a_text_and_a_slider_without_a_name(figure):
    figure.evaluate("""figure => { figure.querySelector('canvas').removeAttribute('aria-label')
        figure.querySelector('label').remove(); figure.querySelector('input').removeAttribute('title') }""")
    try:
        found = {line.split(":")[0] for line in lab.violations(figure.page)}
    finally:  # the page is also the other tests'
        figure.evaluate("""figure => { const input = figure.querySelector('input'), label = document.createElement('label')
            label.htmlFor = input.id; label.textContent = 'depth'; input.closest('.live-control').prepend(label); input.title = 'x' }""")
        after(figure, lambda: slider(figure, "gain").press("ArrowRight"))
    assert found >= {"role-img-alt", "label"}


# --- moved by a reader --------------------------------------------------------------------------


@pytest.mark.parametrize("name", SLIDERS)
def test_the_keys_of_a_slider_move_the_picture(figure, name):
    slider(figure, name).focus()
    low, high = SLIDERS[name]
    step = 0.01 if name == "gain" else 1
    seen = []
    moves = {"Home": low, "End": high, "ArrowLeft": high - step, "ArrowRight": high}
    for key, value in moves.items():
        figure.page.keyboard.press(key)
        wait_for(figure, **{**START, name: value})
        assert values(figure)[name] == pytest.approx(value)
        assert whole(figure)
        seen.append(pixels(figure))
    assert seen[1] == seen[3], "the same setting, the same picture"
    assert len({*seen}) == 3


def test_the_keys_leave_the_focus_on_the_slider(figure):
    slider(figure, "gain").focus()
    for _ in range(5):
        after(figure, lambda: figure.page.keyboard.press("ArrowRight"))
    wait_for(figure, **START | {"gain": 1.25})


@pytest.mark.parametrize("name", SLIDERS)
def test_the_mouse_drags_a_slider_and_the_picture_follows(figure, name):
    mouse, box = figure.page.mouse, slider(figure, name).bounding_box()
    low, high = SLIDERS[name]
    share = (START[name] - low) / (high - low)
    x, y = box["x"] + 8 + share * (box["width"] - 16), box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    first = after(figure, lambda: mouse.move(x - 15, y, steps=3))
    second = after(figure, lambda: mouse.move(x - 30, y, steps=5))  # the button is still down
    mouse.up()
    assert first != second
    value = values(figure)[name]
    assert low < value < START[name]
    wait_for(figure, **START | {name: value if name == "gain" else int(value)})


@pytest.mark.parametrize("name", MENUS)
def test_a_menu_works_by_keyboard(figure, name):
    menu(figure, name).focus()
    options, at = MENUS[name], MENUS[name].index(START[name])
    moves = {
        "ArrowDown": options[at + 1],
        "ArrowUp": options[at],
        "End": options[-1],
        "Home": options[0],
    }
    for key, value in moves.items():
        figure.page.keyboard.press(key)
        wait_for(figure, **START | {name: value})
        assert values(figure)[name] == value
        assert whole(figure)


def test_a_number_can_be_written_and_is_brought_within_its_limits(figure):
    for written, value in ("2.5", 2.5), ("9", 4), ("-1", 0), ("1.234", 1.23):
        number(figure, "gain").fill(written)
        number(figure, "gain").press("Enter")
        wait_for(figure, **START | {"gain": value})
        assert values(figure)["gain"] == value
    number(figure, "gain").fill("")
    number(figure, "gain").press("Enter")
    assert values(figure)["gain"] == 1.23


def test_tab_goes_through_the_controls_in_their_order(figure):
    slider(figure, "depth").focus()
    visited = []
    for _ in range(10):
        figure.page.keyboard.press("Tab")
        visited.append(
            figure.page.evaluate(
                "(e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"
            )
        )
    sliders = ["depth, as a number", "gain", "gain, as a number", "width", "width, as a number"]
    readers = ["Read values: Size of the signal: std of z"]
    assert visited == [*sliders, "activation", "dtype", "reset", "pin", *readers]


def test_reset_brings_back_the_start(figure):
    first = pixels(figure), sentence(figure)
    for name in SLIDERS:
        slider(figure, name).press("Home")
    menu(figure, "activation").press("End")
    wait_for(figure, depth=1, gain=0, width=1, activation="linear")
    button(figure, "reset").press("Enter")
    wait_for(figure, **START)
    assert (pixels(figure), sentence(figure)) == first
    assert values(figure) == START


def drag(figure):
    box = slider(figure, "width").bounding_box()
    x, y = box["x"] + box["width"] - 8, box["y"] + box["height"] / 2
    mouse = figure.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x - 60, y, steps=20)
    mouse.up()


HASTE = {
    "keys": lambda figure: [slider(figure, "gain").press("ArrowRight") for _ in range(12)],
    "menu": lambda figure: (menu(figure, "dtype").focus(), figure.page.keyboard.type("float16")),
    "mouse": drag,
}


@pytest.mark.parametrize("moves", HASTE)
def test_reset_has_the_last_word_though_the_kernel_is_busy(figure, moves):
    shown = """figure => { const p = figure.querySelector('figcaption p'); window.told = []
        window.watch = new MutationObserver(() => told.push(p.textContent)); watch.observe(p, {childList: true}) }"""
    for _ in range(3):
        HASTE[moves](figure)
        button(figure, "reset").click()
        figure.evaluate(shown)
        figure.page.wait_for_timeout(200)  # until a move that was held back is sent
        figure.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        wait_for(figure, **START)
        assert values(figure) == START
        told = figure.page.evaluate("watch.disconnect(), told")
        assert {*told} <= {Explorer(**START).alt}, "no picture of before comes after it"
    assert figure.page.evaluate("document.activeElement.textContent") == "reset"


@pytest.mark.parametrize(
    "gain, dtype, words",
    [(1.0, "float32", "falls"), (1.43, "float32", "stays near"), (2.0, "float32", "grows"), (2.5, "float16", "overflows")],
)  # fmt: skip
def test_the_sentence_names_what_is_seen(figure, gain, dtype, words):
    number(figure, "gain").fill(str(gain))
    number(figure, "gain").press("Enter")
    menu(figure, "dtype").select_option(dtype)
    wait_for(figure, **START | {"gain": gain, "dtype": dtype})
    assert words in sentence(figure)


def test_the_mark_stands_below_its_value(figure):
    mark, box = figure.locator(".live-mark").bounding_box(), slider(figure, "gain").bounding_box()
    number(figure, "gain").fill("1.41")
    number(figure, "gain").press("Enter")
    at = box["x"] + 8 + 2**0.5 / 4 * (box["width"] - 16)
    assert abs(mark["x"] + mark["width"] / 2 - at) < 2 and mark["y"] >= box["y"] + box["height"] / 2
    menu(figure, "activation").select_option("sigmoid")
    expect(figure.locator(".live-mark")).to_have_count(0)


# --- pinned and read off ------------------------------------------------------------------------


def test_pin_leaves_the_present_curves_as_pale_lines(figure):
    plain = pixels(figure)
    button(figure, "pin").click()
    number(figure, "gain").fill("1.6")
    number(figure, "gain").press("Enter")
    wait_for(figure, **START | {"gain": 1.6})
    pinned = pixels(figure)
    told = "Pale lines: pinned at depth 50, gain 1.2, width 256, activation relu, dtype float32."
    assert figure.locator(".live-note").text_content() == told
    button(figure, "unpin").click()
    assert figure.locator(".live-note").text_content() == ""
    assert pixels(figure) != pinned
    button(figure, "reset").click()
    wait_for(figure, **START)
    assert pixels(figure) == plain


def told_values(text):
    """The values in 'layer 12: measured 0.1, law 0.2'."""
    return [
        float(one.replace("−", "-")) for one in re.findall(r"(?:measured|layer) ([\d.e−-]+)", text)
    ]


def test_the_values_can_be_read_by_pointer_and_by_keyboard(figure):
    line = Explorer(**START).panels[0].lines[0]
    canvas, reader = (
        figure.locator("canvas").first,
        figure.get_by_role("slider", name="Read values: Size"),
    )
    reading = figure.locator(".live-reading").first
    assert reading.text_content() == ""
    reader.focus()
    for key, layer in ("Home", 1), ("ArrowRight", 2), ("End", 50), ("ArrowLeft", 49):
        figure.page.keyboard.press(key)
        text = reader.get_attribute("aria-valuetext")
        assert reading.text_content() == text and text.startswith(f"layer {layer}: measured ")
        assert told_values(text)[:2] == [layer, pytest.approx(line.y[layer - 1], rel=0.01)]
        assert "gain/√2 a layer" in text
    box = canvas.bounding_box()
    figure.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    layer = int(told_values(reading.text_content())[0])
    assert 10 < layer < 40
    after(figure, lambda: slider(figure, "gain").press("ArrowRight"))
    moved = Explorer(**START | {"gain": 1.21}).panels[0].lines[0].y[layer - 1]
    assert told_values(reading.text_content())[1] == pytest.approx(moved, rel=0.01), (
        "it follows the picture"
    )
    figure.page.mouse.move(0, 0)
    assert reading.text_content() == ""


def test_a_shade_can_be_read_by_keyboard_in_both_directions(figure):
    shades = Explorer(**START).panels[1].shades
    reader = figure.get_by_role("slider", name="Read values: Pre-activations")
    reader.focus()
    figure.page.keyboard.press("Home")
    column, row = 0, 50
    for key, across, up in (
        ("ArrowRight", 1, 0),
        ("ArrowUp", 0, 1),
        ("ArrowUp", 0, 1),
        ("ArrowDown", 0, -1),
    ):
        figure.page.keyboard.press(key)
        column, row = column + across, row + up
        value = np.linspace(-5, 5, 102)[row : row + 2].mean()
        found = re.fullmatch(
            r"layer (\d+), value of the pre-activation ([−\d.]+): share ([\d.e-]+) %",
            reader.get_attribute("aria-valuetext"),
        )
        assert int(found[1]) == column + 1
        assert float(found[2].replace("−", "-")) == pytest.approx(value, abs=0.01)
        assert float(found[3]) == pytest.approx(100 * shades.values[row, column], rel=0.01)


# --- many states, by keyboard -------------------------------------------------------------------


def random_state(chance):
    """About half of the sliders at an end."""
    free = {
        "depth": chance.randint(1, 200),
        "gain": round(chance.uniform(0, 4), 2),
        "width": chance.randint(1, 256),
    }
    state = {
        name: chance.choice(SLIDERS[name]) if chance.random() < 0.5 else value
        for name, value in free.items()
    }
    return state | {name: chance.choice(options) for name, options in MENUS.items()}


def test_40_states_set_by_keyboard_leave_no_error_and_no_blank_picture(figure, subtests):
    chance = random.Random(0)
    for state in (random_state(chance) for _ in range(40)):
        with subtests.test(**state):
            for name, (low, high) in SLIDERS.items():
                if state[name] in (low, high):
                    slider(figure, name).press("Home" if state[name] == low else "End")
                else:
                    number(figure, name).fill(f"{state[name]:g}")
                    number(figure, name).press("Enter")
            for name, options in MENUS.items():
                menu(figure, name).press("Home")
                for _ in range(options.index(state[name])):
                    menu(figure, name).press("ArrowDown")
            wait_for(figure, **state)
            assert whole(figure)
    assert errors(figure.page) == []


# --- on every screen ----------------------------------------------------------------------------

CELLS = (
    "import torch\n\nfrom helpers import Explorer\n\ntorch.set_num_threads(1)",
    "explorer = Explorer(depth=5, width=16)\nexplorer",
    "explorer.set(gain=3)",
)
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write(course, name, cells=CELLS):
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=PYTHON), course[0] / "notebooks" / name
    )
    return f"notebooks/{name}"


def run_cell(page, number):
    lab.run_cell(page, page.locator(".jp-CodeCell").nth(number))


def test_the_picture_is_sharp_and_dark_where_the_page_is_and_fits_a_narrow_window(browser, course):
    path = write(course, "screens.ipynb", CELLS[:2])
    context = browser.new_context(viewport={"width": 700, "height": 900}, device_scale_factor=2)
    page = context.new_page()
    lab.open_notebook(page, course[1], path)
    lab.run_all(page)
    figure = page.locator(".live")
    figure.locator("canvas").first.wait_for()
    assert whole(figure), "two pixels of the canvas for each of the page"
    assert figure.evaluate("one => one.scrollWidth <= one.clientWidth")
    lab.set_theme(page, "Light")
    page.wait_for_function("document.querySelector('.live').dataset.dark === 'false'")
    light = pixels(figure)
    lab.set_theme(page, "Dark")
    try:
        page.wait_for_function("document.querySelector('.live').dataset.dark === 'true'")
        assert whole(figure) and pixels(figure) != light
        corner = "canvas => [...canvas.getContext('2d').getImageData(1, 1, 1, 1).data]"
        assert figure.locator("canvas").first.evaluate(corner) == [0, 0, 0, 0], (
            "the page's own colour is behind it"
        )
        ink = "e => getComputedStyle(e).color.match(/\\d+/g).slice(0, 3).map(Number)"
        assert min(figure.evaluate(ink)) > 200
    finally:
        lab.set_theme(page, "Light")  # the server keeps it
        context.close()


def test_nothing_moves_by_itself():
    style = (NOTEBOOKS.parent / "helpers" / "live" / "live.css").read_text(encoding="utf-8")
    assert not re.search("transition|animation|scroll-behavior", style), (
        "reduced motion or not, there is none"
    )


def test_a_figure_follows_set_in_another_cell_and_a_cell_that_runs_again(browser, course):
    with opened(browser, course, write(course, "again.ipynb").split("/")[1]) as page:
        figure = page.locator(".live")
        wait_for(figure, depth=5, width=16, gain=3)
        assert slider(figure, "gain").get_attribute("aria-valuetext") == "3.00"
        slider(figure, "gain").press("ArrowLeft")
        wait_for(figure, depth=5, width=16, gain=2.99)
        old = figure.element_handle()
        run_cell(page, 1)
        page.wait_for_function(
            "old => !old.isConnected && document.querySelectorAll('.live').length === 1", arg=old
        )
        wait_for(figure, depth=5, width=16)
        assert page.complaints == []


def visible(page):
    """How many live and stored pictures are to be seen, and whether an error is."""
    live, still = (
        page.locator(one).filter(visible=True).count()
        for one in (".live canvas", ".live-still img")
    )
    return (
        live,
        still,
        page.get_by_text(re.compile("Error displaying|Loading widget"))
        .filter(visible=True)
        .count(),
    )


def test_without_its_kernel_a_figure_says_run_this_cell(browser, course):
    path = write(course, "restarted.ipynb", CELLS[:2])
    page = browser.new_page()
    lab.open_notebook(page, course[1], path)
    lab.run_all(page)
    page.locator(".live canvas").first.wait_for()
    assert visible(page) == (2, 0, 0)
    lab.save(page, course[0] / path)
    page.reload()
    page.locator(".live canvas").first.wait_for()
    wait_for(page.locator(".live"), depth=5, width=16)
    slider(page, "gain").press("ArrowRight")
    wait_for(page.locator(".live"), depth=5, width=16, gain=1.01)
    page.locator(".jp-CodeCell .jp-InputPrompt").first.click()
    page.keyboard.press("0")
    page.keyboard.press("0")  # restarts the kernel
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.locator(".live-note").get_by_text("Run this cell to move it.").wait_for()
    assert page.locator(".live-controls").evaluate("one => one.inert")
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=90 * lab.SECOND)
    page.reload()
    page.locator(".live-still img").first.wait_for()
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=90 * lab.SECOND)
    page.locator(".jupyter-widgets").get_by_text("model not found").wait_for(state="attached")
    assert visible(page) == (0, 1, 0)
    page.get_by_text("Run this cell to move it.").filter(visible=True).wait_for()
    run_cell(page, 0)
    run_cell(page, 1)
    page.locator(".live canvas").first.wait_for()
    assert visible(page) == (2, 0, 0)
    page.close()


def test_the_figure_lives_in_notebook_7(browser, course):
    path = write(course, "seven.ipynb", CELLS[:2])
    page = browser.new_page()
    lab.open_in_notebook(page, course[1], path)
    lab.run_all(page, tries=3)
    figure = page.locator(".live")
    figure.locator("canvas").first.wait_for()
    wait_for(figure, depth=5, width=16)
    slider(figure, "gain").press("End")
    wait_for(figure, depth=5, width=16, gain=4)
    assert whole(figure) and visible(page) == (2, 0, 0)
    assert lab.violations(page) == []
    page.close()


KINDS = "all => all.map((one) => one.matches('.jp-CodeCell'))"


@pytest.mark.parametrize("opens", [lab.open_notebook, lab.open_in_notebook])
def test_keys_are_the_figures_and_those_with_ctrl_jupyters(browser, course, opens):
    path = write(course, f"{opens.__name__}.ipynb", CELLS[:2])
    page = browser.new_page()
    opens(page, course[1], path)
    lab.run_all(page, tries=3)
    figure = page.locator(".live")
    figure.locator("canvas").first.wait_for()
    kinds = page.locator(".jp-Cell").evaluate_all(KINDS)
    number(figure, "gain").fill("2")
    number(figure, "gain").press("Control+z")
    for one in button(figure, "pin"), slider(figure, "gain"), menu(figure, "activation"):
        page.locator(".jp-CodeCell .jp-InputPrompt").last.click()  # command mode
        one.focus()
        for key in "d", "d", "x", "a", "b", "m", "ArrowUp", "ArrowDown", "0", "0":
            page.keyboard.press(key)
        assert page.locator(".jp-Cell").evaluate_all(KINDS) == kinds
        assert page.get_by_role("dialog").count() == 0, "the kernel would be restarted"
        one.focus()
        lab.save(page, course[0] / path)
    assert visible(page) == (2, 0, 0)
    page.close()


# --- where no kernel runs -----------------------------------------------------------------------


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_exported_page_shows_the_pictures_offline(browser, tmp_path, scripts):
    exported, _ = HTMLExporter().from_filename(str(NOTEBOOKS / LESSON))
    (tmp_path / "lesson.html").write_text(exported, encoding="utf-8")
    context = browser.new_context(offline=True, java_script_enabled=scripts)
    page = context.new_page()
    page.set_default_timeout(lab.PATIENCE)
    page.goto((tmp_path / "lesson.html").as_uri(), wait_until="load")
    expected = Explorer(**START).alt
    pictures = page.locator(".jp-OutputArea img").evaluate_all(
        "all => all.map(img => [img.naturalWidth, img.alt, img.src])"
    )
    context.close()
    for width, text, source in pictures:
        assert width > 0 and len(text) > 40 and source.startswith("data:image/png;base64,"), text
    assert any(text == expected for _, text, _ in pictures), [text for _, text, _ in pictures]


PLAIN = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Plain</title><style>
body {{ background: white; color: black }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee }} }} {style}</style></head>
<body><main id="here"></main><script>{script}</script><script>
const pictures = {pictures}, controls = {controls}
const shown = live.figure(document.getElementById('here'), {{ controls, ask(settings, generation) {{
    shown.show({{ ...pictures[settings.batches], settings, generation }}) }} }})
shown.show({{ ...pictures[0], settings: {{ mode: 'train', batches: 0, batch: 2, momentum: 0.1 }}, generation: 0 }})
</script></body></html>"""


def as_lists(value):
    """A picture's data as JSON can have it."""
    if isinstance(value, np.ndarray):
        return [one if np.isfinite(one) else None for one in value.ravel().tolist()]
    if hasattr(value, "__dict__"):
        return {name: as_lists(part) for name, part in vars(value).items()}
    return [as_lists(part) for part in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_plain_page_without_a_kernel_may_hold_the_figure_and_its_pictures(
    browser, tmp_path, scheme
):
    from helpers import AveragesExplorer

    averages, pictures = AveragesExplorer(mode="train", batches=0, batch=2), []
    for batches in range(3):
        averages.set(batches=batches)
        pictures.append({**as_lists(averages.picture), "sentence": averages.alt})
    folder = NOTEBOOKS.parent / "helpers" / "live"
    parts = {
        name: (folder / f"live.{kind}").read_text(encoding="utf-8")
        for name, kind in (("style", "css"), ("script", "js"))
    }
    page = PLAIN.format(
        **parts, pictures=json.dumps(pictures), controls=json.dumps(averages.controls)
    )
    (tmp_path / "plain.html").write_text(page, encoding="utf-8")
    context = browser.new_context(offline=True, color_scheme=scheme)
    page, wrong = context.new_page(), []
    page.set_default_timeout(lab.PATIENCE)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda note: note.type == "error" and wrong.append(note.text))
    page.goto((tmp_path / "plain.html").as_uri())
    figure = page.locator(".live")
    assert whole(figure) and sentence(figure) == pictures[0]["sentence"]
    slider(figure, "batches").press("ArrowRight")
    wait_for_text(figure, pictures[1]["sentence"])
    slider(figure, "batches").press("ArrowRight")
    assert sentence(figure) == pictures[2]["sentence"]
    button(figure, "reset").click()
    assert sentence(figure) == pictures[0]["sentence"]
    assert figure.get_attribute("data-dark") == str(scheme == "dark").lower()
    assert lab.violations(page, "body") == [] and wrong == []
    context.close()
