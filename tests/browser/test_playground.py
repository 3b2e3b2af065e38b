"""The playground in a real JupyterLab: it trains while the page answers, and leaves nothing behind."""

import random
import re
import time

import nbformat
import pytest
from playwright.sync_api import expect

from . import lab
from .conftest import figures_drawn, opened
from .live import pixels, whole
from .test_explorer import errors

CELLS = (
    "import threading\n\nimport torch\n\nfrom helpers import Playground\n\ntorch.set_num_threads(1)",
    "Playground(depth=4, width=16)",
    'Playground(depth=3, width=16, data="spirals", seed=1)',
    'print("threads:", sum(thread.name == "playground" for thread in threading.enumerate()))',
)
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
SLIDERS = ("depth", "width", "gain", "branch_scale", "lr", "batch")
MENUS = ("activation", "norm", "skip", "data")
STEP = "+e.querySelector('figcaption table').rows[1].cells[1].textContent"  # of the row "now"


def write(course, name):
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=PYTHON)
    nbformat.write(notebook, course[0] / "notebooks" / name)
    return name


@pytest.fixture(scope="module")
def page(browser, course):
    with opened(browser, course, write(course, "played.ipynb"), figures=2) as page:
        yield page


@pytest.fixture(autouse=True)
def nothing_is_wrong(page):
    yield
    pause(*explorers(page))
    assert errors(page) == [] and page.complaints == []


def explorers(page):
    return page.locator(".live").all()


def button(explorer, name):
    return explorer.get_by_role("button", name=name, exact=True)


def knob(explorer, name):
    return explorer.get_by_role("combobox" if name in MENUS else "slider", name=name, exact=True)


def step(explorer):
    """The step that the table tells."""
    return explorer.evaluate(f"e => {STEP}")


def wait_for(explorer, condition):
    """Waits until a condition in JavaScript on the `text` beside the panels and the `step` in it
    holds; `start`: the step now."""
    found = f"const text = e.querySelector('figcaption').textContent, step = {STEP}"
    explorer.page.wait_for_function(
        f"([e, start]) => {{ {found}; return {condition} }}",
        arg=[explorer.element_handle(), step(explorer)],
    )


def pause(*playgrounds):
    """Pauses what trains, until nothing does: a click from before may still start a run."""
    deadline, left = time.monotonic() + lab.PATIENCE / lab.SECOND, 1
    while left:
        assert time.monotonic() < deadline, "a playground still trains"
        for one in playgrounds:
            # in one look and click: the button may turn to *start* by itself between the two
            one.evaluate(
                "one => [...one.querySelectorAll('button')]"
                ".find(button => button.textContent === 'pause')?.click()"
            )
            button(one, "start").wait_for()
        left = threads(playgrounds[0].page)  # the step under way is still finished


def threads(page):
    """How many playgrounds train in the kernel, told by the last cell when it is run anew."""
    said = lab.run_cell(page, page.locator(".jp-CodeCell").last)
    return int(re.search(r"threads: (\d+)", said)[1])


def end_of_threads(page):
    """Waits until none trains: the label of a pause turns at once, and the step or the network under way is still finished."""
    deadline = time.monotonic() + lab.PATIENCE / lab.SECOND
    while threads(page):
        assert time.monotonic() < deadline, "a playground still trains"


def test_start_trains_pause_stops_and_two_do_not_disturb_each_other(page):
    one, other = explorers(page)
    assert whole(other)
    still = pixels(other)
    button(one, "start").click()
    wait_for(one, "step > start + 20")
    assert threads(page) == 1
    button(one, "pause").click()
    button(one, "start").wait_for()
    end_of_threads(page)  # the button turns at once; the last step and picture follow
    assert pixels(other) == still
    button(one, "start").click()
    button(other, "start").click()
    wait_for(other, "step > start + 20")
    assert threads(page) == 2


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_nothing_serious_in_the_outputs(page, theme):
    lab.set_theme(page, theme)
    assert all(whole(figure) for figure in explorers(page))
    assert lab.violations(page) == []


def test_every_button_and_preset_works_by_keyboard(page):
    one, _ = explorers(page)
    button(one, "reset").press("Enter")
    wait_for(one, "step === 0")
    button(one, "step").press("Enter")
    wait_for(one, "step === 1")
    button(one, "keep this run").press("Space")
    one.locator("figcaption tr").nth(2).wait_for()
    button(one, "forget kept runs").press("Enter")
    one.locator("figcaption tr").nth(2).wait_for(state="detached")
    button(one, "56 with skips").press("Enter")
    wait_for(one, "step === 0 && !text.includes('step 0')")
    line = "Playground(depth=56, norm='batch', skip=True)"
    assert one.locator(".live-code code").text_content() == line
    expect(knob(one, "depth")).to_have_attribute("aria-valuetext", "56")
    assert knob(one, "skip").evaluate("menu => menu.selectedOptions[0].textContent") == "True"
    button(one, "start").press("Enter")
    wait_for(one, "step > 3")
    button(one, "pause").press("Enter")


def test_the_learning_rate_changes_in_training_and_the_depth_begins_anew(page):
    one, _ = explorers(page)
    button(one, "saved by He").click()
    wait_for(one, "step === 0 && e.querySelector('.live-code code').textContent === 'Playground()'")
    button(one, "start").click()
    wait_for(one, "step > 20")
    knob(one, "lr").press("ArrowLeft")  # to the right it might diverge, and stop
    wait_for(one, "text.includes('lr is 0.003 from step') && step > 20")
    knob(one, "depth").press("Home")
    wait_for(one, "text.includes('Another depth is another network')")
    wait_for(one, "step > 5")
    expect(knob(one, "depth")).to_have_attribute("aria-valuetext", "1")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_all_of_it_fits_into_one_window(page, theme):
    lab.set_theme(page, theme)
    page.set_viewport_size({"width": 1300, "height": 900})
    one, _ = explorers(page)
    button(one, "56 plain").click()
    wait_for(one, "step === 0 && e.querySelector('.live-code code').textContent.includes('56')")
    for _ in range(4):
        button(one, "keep this run").click()
    one.locator(".live-code p").nth(3).wait_for()
    try:
        assert whole(one)
        wait_for_rest(one)
        window = page.locator(".jp-WindowedPanel-outer").bounding_box()
        parts = ":is(button, input, select, canvas, figcaption p, td, .live-code p)"
        for part in one.locator(parts).all():
            box = part.bounding_box()
            assert window["y"] - 1 <= box["y"], part
            assert box["y"] + box["height"] <= window["y"] + window["height"] + 1, part
        assert one.evaluate("one => one.scrollWidth <= one.clientWidth")
    finally:
        button(one, "forget kept runs").click()
        one.locator(".live-code p").nth(1).wait_for(state="detached")
        page.set_viewport_size({"width": 1400, "height": 900})


def wait_for_rest(one):
    """Brings a figure to the top of the window, and waits until it stays there: JupyterLab guesses
    how high cells are until they are seen."""
    deadline, before = time.monotonic() + lab.PATIENCE / lab.SECOND, {}
    while before != (box := one.bounding_box()):
        assert time.monotonic() < deadline, "the figure does not come to rest"
        before = box
        one.evaluate("one => one.scrollIntoView({block: 'start'})")
        one.page.wait_for_timeout(200)


def test_a_cell_that_is_run_again_leaves_no_thread_behind(page):
    _, other = explorers(page)
    button(other, "start").click()
    wait_for(other, "step > start + 5")
    assert threads(page) == 1
    old = other.element_handle()
    lab.run_cell(page, page.locator(".jp-CodeCell").nth(2))
    page.wait_for_function(
        "old => !old.isConnected && document.querySelectorAll('.live').length === 2", arg=old
    )
    wait_for(page.locator(".live").nth(1), "step === 0")
    end_of_threads(page)
    assert button(explorers(page)[1], "start").count() == 1


def turn(chance, explorer):
    """One random move of a reader."""
    if chance.random() < 0.3:
        names = [
            "step",
            "keep this run",
            "reset",
            "forget kept runs",
            "exploding",
            "dead on arrival",
            "saved by batch norm",
            "56 plain",
        ]
        name = chance.choice(names)
        button(explorer, name).click()
    else:
        name = chance.choice(SLIDERS + MENUS)
        knob(explorer, name).press(
            chance.choice(["Home", "End", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"])
        )
    # In one go, for the button may change its name while it is looked for.
    explorer.evaluate(
        "e => [...e.querySelectorAll('button')].find(one => one.textContent === 'start')?.click()"
    )
    return name


def test_knobs_turned_at_random_break_nothing(page):
    chance, one = random.Random(0), explorers(page)[0]
    for _ in range(40):
        turn(chance, one)
        page.wait_for_timeout(50)
    pause(one)
    button(one, "saved by He").click()
    wait_for(one, "step === 0 && e.querySelector('.live-code code').textContent === 'Playground()'")
    button(one, "start").click()
    wait_for(one, "step > 5 && text.includes('training examples')")
    pause(one)


def test_a_page_that_is_loaded_again_finds_its_network_in_training(browser, course):
    with opened(browser, course, write(course, "reloaded.ipynb"), figures=2) as page:
        lab.save(page, course[0] / "notebooks" / "reloaded.ipynb")
        one, _ = explorers(page)
        button(one, "start").click()
        wait_for(one, "step > 20")
        page.reload()
        figures_drawn(page, 2)
        one = explorers(page)[0]
        button(one, "pause").wait_for()
        wait_for(one, "step > start + 20")
        pause(one)
