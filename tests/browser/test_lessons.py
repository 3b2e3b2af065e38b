"""The later lessons in a real JupyterLab: every cell runs, and each explorer has names, moves by keyboard, and resets."""

from functools import partial

import pytest

from . import lab
from .conftest import opened
from .live import after, button, pixels, sentence, wait_for_text, whole
from .test_explorer import errors

EXPLORERS = {
    "01_deeper_made_it_worse.ipynb": [["depth", "norm"]],
    "03_batch_norm.ipynb": [
        ["depth", "gain", "width", "activation", "dtype", "norm"],  # it opens without a norm
        ["mode", "batches", "batch", "momentum"],
    ],
    "04_what_batch_norm_buys.ipynb": [["norm", "epoch", "lr", "gain"]],
    "05_vanishing_gradients.ipynb": [
        ["depth", "gain", "width", "activation", "dtype", "norm", "batch"],
    ],
    "06_skip_connections.ipynb": [
        ["factor", "depth", "activation"],
        ["depth", "gain", "width", "activation", "dtype", "norm", "skip", "branch_scale", "order"],
    ],
    "07_going_deeper.ipynb": [["depth", "norm", "skip"], ["level"]],
    "08_how_it_fits_together.ipynb": [["gain", "steps", "matrix"]],
}
MENUS = ("activation", "dtype", "norm", "mode", "skip", "order", "matrix")


@pytest.fixture(scope="module", params=EXPLORERS)
def lesson(request, browser, course):
    """The page of a lesson after "Run All Cells", and the names of each explorer's controls."""
    with opened(browser, course, request.param, len(EXPLORERS[request.param])) as page:
        page.name = request.param
        yield page


def control(explorer, name):
    return explorer.get_by_role("combobox" if name in MENUS else "slider", name=name, exact=True)


def test_the_cells_around_the_explorers_run_without_an_error(lesson, course):
    notebook = lab.save(lesson, course[0] / "notebooks" / lesson.name)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert errors(lesson) == []
    assert lesson.complaints == []


def test_no_text_is_cut_and_no_picture_blank(lesson):
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    assert lesson.locator(".live").count() == len(EXPLORERS[lesson.name])
    parts = ".live label, .live td, .live th, .live button, .live figcaption, .live-title"
    assert all(whole(figure) for figure in lesson.locator(".live").all())
    assert lesson.locator(parts).evaluate_all(cut) == []


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_axe_finds_nothing_serious_in_the_outputs(lesson, theme):
    lab.set_theme(lesson, theme)
    assert all(whole(figure) for figure in lesson.locator(".live").all())
    assert lab.violations(lesson) == []


def test_the_explorers_of_one_page_move_by_keyboard_and_do_not_disturb_each_other(lesson):
    figures = lesson.locator(".live").all()
    for figure, names in zip(figures, EXPLORERS[lesson.name], strict=True):
        assert whole(figure)
        others = [other.get_attribute("data-drawn") for other in figures if other is not figure]
        lesson.mouse.move(0, 0)  # over a canvas, it would read values
        first = pixels(figure), sentence(figure)
        for name in names:
            assert control(figure, name).count() == 1, name
            at_first = control(figure, name).evaluate("control => control.selectedIndex === 0")
            move = control(figure, name)
            shown = after(figure, partial(move.press, "End" if at_first else "Home"))
            assert shown != first, name
            after(figure, button(figure, "reset").click)
            wait_for_text(figure, first[1])
            assert (pixels(figure), sentence(figure)) == first
        assert others == [
            other.get_attribute("data-drawn") for other in figures if other is not figure
        ]
    assert lesson.complaints == []
