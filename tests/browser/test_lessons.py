"""The later lessons in a real JupyterLab: every cell runs, and each explorer has names, moves by keyboard, and resets."""

import pytest

from . import lab
from .conftest import opened
from .test_explorer import errors

EXPLORERS = {
    "01_deeper_made_it_worse.ipynb": [["depth", "norm"]],
    "03_batch_norm.ipynb": [
        ["depth", "gain", "width", "activation", "dtype", "norm", "batch", "gamma", "beta"],
        ["mode", "batches", "batch", "momentum"],
    ],
    "04_what_batch_norm_buys.ipynb": [["norm", "epoch", "lr", "gain"]],
    "05_vanishing_gradients.ipynb": [
        ["factor", "depth", "activation"],
        ["depth", "gain", "width", "activation", "dtype", "norm", "batch"],
    ],
    "06_skip_connections.ipynb": [
        ["factor", "depth", "activation"],
        ["depth", "gain", "width", "activation", "dtype", "norm", "skip", "branch_scale", "order"],
    ],
    "07_going_deeper.ipynb": [["depth", "skip"], ["turn", "tilt"]],
    "08_how_it_fits_together.ipynb": [["gain", "steps", "matrix"]],
}
MENUS = ("activation", "dtype", "norm", "mode", "skip", "order", "matrix")


@pytest.fixture(scope="module", params=EXPLORERS)
def lesson(request, browser, course):
    """The page of a lesson after "Run All Cells", and the names of each explorer's controls."""
    with opened(browser, course, request.param) as page:
        page.name = request.param
        yield page


def control(explorer, name):
    return explorer.get_by_role("combobox" if name in MENUS else "slider", name=name, exact=True)


def wait_until(explorer, relation, src):
    """Waits until the explorer's picture is, or is no longer, the one with this address."""
    condition = f"([explorer, src]) => explorer.querySelector('img').src {relation} src"
    explorer.page.wait_for_function(condition, arg=[explorer.element_handle(), src])


def test_every_cell_runs_without_an_error(lesson, course):
    notebook = lab.save(lesson, course[0] / "notebooks" / lesson.name)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert errors(lesson) == []
    assert lesson.complaints == []


def test_no_label_of_a_control_is_cut(lesson):
    cut = "all => all.filter(label => label.scrollWidth > label.clientWidth).map(label => label.textContent)"
    assert lesson.locator(".explorer .widget-label").evaluate_all(cut) == []


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_nothing_serious_in_the_outputs(lesson, theme):
    lab.set_theme(lesson, theme)
    assert lab.violations(lesson) == []


def test_the_explorers_of_one_page_move_by_keyboard_and_do_not_disturb_each_other(lesson):
    explorers = lesson.locator(".explorer").all()
    assert len(explorers) == len(EXPLORERS[lesson.name])
    for explorer, names in zip(explorers, EXPLORERS[lesson.name]):
        explorer.scroll_into_view_if_needed()
        others = [
            other.locator("img").get_attribute("src")
            for other in explorers
            if other is not explorer
        ]
        first = explorer.locator("img").get_attribute("src")
        for name in names:
            assert control(explorer, name).count() == 1, name
            at_first = control(explorer, name).evaluate("control => control.selectedIndex === 0")
            control(explorer, name).press("End" if at_first else "Home")
            wait_until(explorer, "!==", first)
            old = control(explorer, name).element_handle()
            explorer.get_by_role("button", name="reset").click()
            wait_until(explorer, "===", first)
            lesson.wait_for_function(
                "old => !old.isConnected", arg=old
            )  # *reset* makes new controls, which may come after the picture
        assert others == [
            other.locator("img").get_attribute("src")
            for other in explorers
            if other is not explorer
        ]
    assert lesson.complaints == []
