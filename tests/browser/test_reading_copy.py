"""The reading copy in a browser whose network is off."""

import pytest
import reading_copy


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return reading_copy.write(tmp_path_factory.mktemp("site"))


def test_offline_every_picture_and_formula_is_drawn_and_nothing_is_missed(browser, pages):
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 800})
    page, missed = context.new_page(), []
    page.on("requestfailed", lambda request: missed.append(request.url))
    page.on(
        "request",
        lambda request: request.url.startswith(("file:", "data:")) or missed.append(request.url),
    )
    page.on("console", lambda note: note.type == "error" and missed.append(note.text))
    for path in pages:
        page.goto(path.as_uri())
        empty = "[...document.images].filter(image => !image.naturalWidth || !image.alt).length"
        flat = "[...document.querySelectorAll('math')].filter(one => one.checkVisibility() && one.getBoundingClientRect().width < 3).length"
        assert page.evaluate(empty) == page.evaluate(flat) == 0, path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= 1000, (
            f"{path.name} has to be scrolled sideways"
        )
        if path.name != "index.html":
            assert (
                page.evaluate("document.fonts.load('1em formulas').then(found => found.length)")
                == 1
            ), "the formulas' font"
    assert missed == []
    context.close()
