"""The live figure in a real JupyterLab in a real browser, moved as a reader moves it: by keyboard and by mouse."""

import ast
import base64
import io
import json
import random

import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from helpers import Explorer

from . import lab
from .conftest import LESSON, NOTEBOOKS

SIZE = (840, 340)
SLIDERS = {"depth": (1, 200), "gain": (0, 4), "width": (1, 256)}
MENUS = {
    "activation": ["relu", "tanh", "sigmoid", "linear"],
    "dtype": ["float16", "bfloat16", "float32", "float64"],
}


def start():
    """The explorer's settings at the start, by what the lesson writes."""
    cells = json.loads((NOTEBOOKS / LESSON).read_text(encoding="utf-8"))["cells"]
    [source] = [
        source
        for source in map("".join, (cell["source"] for cell in cells))
        if source.startswith("Explorer(")
    ]
    written = ast.parse(source).body[0].value.keywords
    return Explorer(**{keyword.arg: ast.literal_eval(keyword.value) for keyword in written}).state


START = start()


@pytest.fixture
def page(lesson):
    """The lesson's page with the explorer in sight and as it was at the start."""
    lesson.locator(".explorer").scroll_into_view_if_needed()
    lesson.get_by_role("button", name="reset").click()
    wait_for(lesson, Explorer(**START).alt)
    yield lesson
    assert lesson.complaints == []


def image(page):
    return page.locator(".explorer img")


def alt(page):
    return image(page).get_attribute("alt")


def slider(page, name):
    return page.get_by_role("slider", name=name, exact=True)


def value_of(page, name):
    return float(
        slider(page, name).get_attribute("aria-valuetext")
    )  # aria-valuenow is rounded to one decimal


def menu(page, name):
    return page.get_by_role("combobox", name=name, exact=True)


def wait_for(page, text):
    """Waits for the picture with the alternative text `text`, and until it is loaded."""
    ready = "text => [...document.querySelectorAll('.explorer img')].some(img => img.alt === text && img.complete)"
    page.wait_for_function(ready, arg=text)


def after(page, action):
    """The picture's address and alternative text, once `action` has changed it."""
    before = image(page).get_attribute("src")
    action()
    page.wait_for_function(
        "src => { const img = document.querySelector('.explorer img'); return img.src !== src && img.complete }",
        arg=before,
    )
    return image(page).get_attribute("src"), alt(page)


def pixels(source):
    return np.asarray(
        Image.open(
            io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))
        ).convert("RGB")
    )


def whole(page):
    """Whether the picture shown is loaded, of the right size, and not blank."""
    seen = pixels(image(page).get_attribute("src"))
    return (
        image(page).evaluate("img => [img.naturalWidth, img.naturalHeight]") == [*SIZE]
        and seen.std((0, 1)).min() > 1
    )


# --- after "Run All Cells" ----------------------------------------------------------------------------------------------------


def test_every_cell_runs_without_an_error(lesson, course):
    notebook = lab.save(lesson, course[0] / "notebooks" / LESSON)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [
        output
        for output in outputs
        if output["output_type"] == "error" or output.get("name") == "stderr"
    ] == []
    assert errors(lesson) == []
    assert lesson.complaints == []


def errors(page):
    kinds = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    return page.locator(kinds).all_inner_texts()


def test_the_explorer_shows_its_first_picture(page):
    assert whole(page)
    assert alt(page) == Explorer(**START).alt


def test_every_control_has_an_accessible_name(page):
    for name, (low, high) in SLIDERS.items():
        handle = slider(page, name)
        ends = [float(handle.get_attribute(f"aria-value{end}")) for end in ("min", "max")]
        assert (handle.count(), ends) == (1, [low, high])
    for name, options in MENUS.items():
        assert menu(page, name).locator("option").all_inner_texts() == options
    assert page.get_by_role("button", name="reset").count() == 1


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_nothing_serious_in_the_outputs(lesson, theme):
    lab.set_theme(lesson, theme)
    assert lab.violations(lesson) == []


def test_axe_finds_a_picture_without_alternative_text_and_a_slider_without_a_name(page):
    page.evaluate("""() => {
        document.querySelector('.explorer img').removeAttribute('alt')
        document.querySelector('.explorer [role=slider]').removeAttribute('aria-label') }""")
    assert {line.split(":")[0] for line in lab.violations(page)} >= {
        "image-alt",
        "aria-input-field-name",
    }
    after(page, lambda: slider(page, "gain").press("ArrowRight"))


# --- moved by a reader --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SLIDERS)
def test_the_keys_of_a_slider_move_the_picture(page, name):
    slider(page, name).focus()
    low, high = SLIDERS[name]
    step = 0.01 if name == "gain" else 1
    seen = []
    for key, value in {
        "Home": low,
        "End": high,
        "ArrowLeft": high - step,
        "ArrowRight": high,
    }.items():
        seen.append(after(page, lambda key=key: page.keyboard.press(key)))
        assert value_of(page, name) == pytest.approx(value)
        assert alt(page) == Explorer(**{**START, name: value}).alt
        assert whole(page)
    assert seen[1] == seen[3], "the same setting, the same picture"
    assert len({text for _, text in seen}) == len({source for source, _ in seen}) == 3


def test_the_page_does_not_grow_slower_with_every_picture(page):
    count = "() => { const Old = MutationObserver; window.made = 0; window.MutationObserver = function (...all) { made++; return new Old(...all) } }"
    after(page, lambda: slider(page, "gain").press("ArrowRight"))
    page.evaluate(count)
    for _ in range(5):
        after(page, lambda: slider(page, "gain").press("ArrowRight"))
    assert page.evaluate("window.made") == 0, (
        "one observer names the handles, not one more for each picture"
    )


def test_the_keys_keep_the_focus_on_the_slider(page):
    slider(page, "gain").focus()
    for _ in range(5):
        after(page, lambda: page.keyboard.press("ArrowRight"))
    wait_for(page, Explorer(**START | {"gain": 1.25}).alt)


@pytest.mark.parametrize("name", SLIDERS)
def test_the_mouse_drags_a_slider_and_the_picture_follows(page, name):
    handle = slider(page, name).bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    first = after(page, lambda: page.mouse.move(x - 15, y, steps=3))
    second = after(
        page, lambda: page.mouse.move(x - 40, y, steps=5)
    )  # while the button is still down
    page.mouse.up()
    assert first != second
    value = value_of(page, name)
    assert value < START[name]
    wait_for(
        page, Explorer(**START | {name: round(value, 2) if name == "gain" else int(value)}).alt
    )


@pytest.mark.parametrize("name", MENUS)
def test_a_menu_works_by_keyboard(page, name):
    menu(page, name).focus()
    options, at = MENUS[name], MENUS[name].index(START[name])
    for key, value in {
        "ArrowDown": options[at + 1],
        "ArrowUp": options[at],
        "End": options[-1],
        "Home": options[0],
    }.items():
        page.keyboard.press(key)
        assert menu(page, name).input_value() == value
        wait_for(page, Explorer(**START | {name: value}).alt)
        assert whole(page)


def test_tab_goes_through_the_controls_in_their_order(page):
    slider(page, "depth").focus()
    visited = []
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.labels?.[0]?.textContent"
        visited.append(page.evaluate(f"{focused} || document.activeElement.textContent"))
    controls = [
        name for name in visited if name in ("gain", "width", "activation", "dtype", "reset")
    ]
    assert controls[:5] == ["gain", "width", "activation", "dtype", "reset"]


def test_the_reset_button_brings_back_the_start(page):
    first = image(page).get_attribute("src"), alt(page)
    for name in SLIDERS:
        slider(page, name).focus()
        page.keyboard.press("Home")
    menu(page, "activation").focus()
    page.keyboard.press("End")
    wait_for(page, Explorer(depth=1, gain=0, width=1, activation="linear").alt)
    page.get_by_role("button", name="reset").focus()
    page.keyboard.press("Enter")
    wait_for(page, first[1])
    assert (image(page).get_attribute("src"), alt(page)) == first
    for name in SLIDERS:
        assert value_of(page, name) == pytest.approx(START[name])
    assert {name: menu(page, name).input_value() for name in MENUS} == {
        name: START[name] for name in MENUS
    }


def drag(page):
    box = slider(page, "width").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=20)
    page.mouse.up()


HASTE = {
    "keys": lambda page: [slider(page, "gain").press("ArrowRight") for _ in range(12)],
    "menu": lambda page: (menu(page, "dtype").focus(), page.keyboard.type("float16")),
    "mouse": drag,
}


@pytest.mark.parametrize("moves", HASTE)
def test_reset_has_the_last_word_though_the_kernel_is_busy(page, moves):
    for _ in range(3):
        HASTE[moves](page)
        page.get_by_role("button", name="reset").click()
        page.wait_for_timeout(200)  # until a move that was held back is sent
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        wait_for(page, Explorer(**START).alt)
        assert {name: value_of(page, name) for name in SLIDERS} == {
            name: pytest.approx(START[name]) for name in SLIDERS
        }
        assert {name: menu(page, name).input_value() for name in MENUS} == {
            name: START[name] for name in MENUS
        }
    assert page.evaluate("document.activeElement.textContent") == "reset"


@pytest.mark.parametrize(
    "gain, dtype, words",
    [
        (1.0, "float32", "falls"),
        (1.43, "float32", "stays near"),
        (2.0, "float32", "grows"),
        (2.5, "float16", "overflows"),
    ],
)
def test_the_alternative_text_names_what_is_seen(page, gain, dtype, words):
    type_value(page, "gain", gain)
    menu(page, "dtype").focus()
    page.keyboard.type(dtype)
    wait_for(page, Explorer(**START | {"gain": gain, "dtype": dtype}).alt)
    assert words in alt(page)
    assert alt(page) in page.locator(".explorer figcaption").inner_text(), (
        "for those who see, the sentence stands beside it"
    )


# --- many states, by keyboard -------------------------------------------------------------------------------------------------


def type_value(page, name, value):
    """Sets a slider by keyboard: Home or End for an end, else by writing into its number."""
    low, high = SLIDERS[name]
    if value in (low, high):
        slider(page, name).press("Home" if value == low else "End")
        return
    readout = (
        page.locator(".explorer .widget-hslider")
        .filter(has=slider(page, name))
        .locator(".widget-readout")
    )
    readout.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(f"{value:g}")
    page.keyboard.press("Enter")


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


def test_40_states_set_by_keyboard_leave_no_error_and_no_blank_picture(page, subtests):
    chance = random.Random(0)
    for state in (random_state(chance) for _ in range(40)):
        with subtests.test(**state):
            for name in SLIDERS:
                type_value(page, name, state[name])
            for name in MENUS:
                menu(page, name).focus()
                page.keyboard.type(state[name])
            wait_for(page, Explorer(**state).alt)
            assert whole(page)
    assert errors(page) == []


# --- where no kernel runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_exported_page_shows_the_pictures_offline(browser, tmp_path, scripts):
    exported, _ = HTMLExporter().from_filename(str(NOTEBOOKS / LESSON))
    (tmp_path / "lesson.html").write_text(exported, encoding="utf-8")
    context = browser.new_context(offline=True, java_script_enabled=scripts)
    page = context.new_page()
    page.goto((tmp_path / "lesson.html").as_uri(), wait_until="load")
    expected = Explorer(**START).alt
    pictures = page.locator(".jp-OutputArea img").evaluate_all(
        "all => all.map(img => [img.naturalWidth, img.alt, img.src])"
    )
    context.close()
    assert len(pictures) == 3
    for width, text, source in pictures:
        assert width > 0 and len(text) > 40 and source.startswith("data:image/png;base64,"), text
    assert any(text == expected and width == SIZE[0] for width, text, _ in pictures), [
        text for _, text, _ in pictures
    ]
