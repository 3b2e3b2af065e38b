"""The live figure in a plain page, without a notebook: what live.js does with a picture's data."""

import pytest

from helpers import Explorer
from helpers.live import widget

from .live import button, number, slider
from .test_explorer import as_lists

FIGURE = """([controls, buttons, origin, picture, settings]) => {
    window.asked = []
    window.shown = live.figure(document.querySelector('main'), { controls, buttons, origin,
        ask: (settings, generation) => asked.push({ settings, generation }), press() {} })
    window.show = (picture, settings) => shown.show({ ...picture, settings, generation: asked.at(-1)?.generation ?? 0 })
    show(picture, settings) }"""


@pytest.fixture
def figure(browser):
    """figure(explorer): the explorer's live figure in a page of its own. `asked` in the page has
    what its controls ask for."""
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    style, script = ((widget.HERE / f"live.{kind}").read_text("utf-8") for kind in ("css", "js"))

    def show(explorer, origin=None, dark=False):
        look = "background: #111; color: #eee" if dark else "background: white; color: black"
        page.set_content(
            f"<style>body {{ {look} }} {style}</style><main></main><script>{script}</script>"
        )
        picture = {**as_lists(explorer.picture), "sentence": explorer.alt}
        about = explorer.controls, explorer.buttons, origin, picture, explorer.state
        page.evaluate(FIGURE, list(about))
        return page.locator(".live")

    yield show
    assert page.wrong == []
    page.close()


def asked(figure):
    """The settings that the controls asked for last."""
    return figure.page.evaluate("asked.at(-1).settings")


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
