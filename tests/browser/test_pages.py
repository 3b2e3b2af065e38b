"""The web pages of the series, built once, and opened from files in browsers whose network is off."""

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import nbformat
import pytest

from helpers.pages import builder

from . import firefox, lab
from .live import pixels, sentence, slider, whole
from .test_pages_engine import opened_file

LESSON = "02_signal_drift"
NAMES = ["index", *(path.stem for path in builder.NOTEBOOKS)]
MOST = 1_500_000  # bytes of a page
DRAWN = "() => [...document.querySelectorAll('.explorer > script')].every(script => script.parentNode.dataset.state)"
HIDDEN = "images => images.filter(one => !one.naturalWidth || !one.alt).length"
FLAT = "all => all.filter(one => one.checkVisibility() && one.getBoundingClientRect().width < 3).length"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that the command of the README has written."""
    folder = tmp_path_factory.mktemp("site") / "new"
    command = [sys.executable, "-m", "helpers.pages", folder]
    subprocess.run(command, cwd=builder.ROOT, check=True, capture_output=True)
    return folder


def opened(browser, path, **context):
    """A page opened from a file, once its figures are drawn; nothing may go wrong on it."""
    return opened_file(browser, path, ready=DRAWN, **context)


# --- the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_one_small_file(site, name):
    text = (site / f"{name}.html").read_text("utf-8")
    assert len(text.encode()) <= MOST
    outside = r'<link[^>]*href="(?!data:)|@import|<[^>]*\ssrc="(?!data:)|url\((?!"data:)'
    assert not re.search(outside, text)


@pytest.mark.parametrize("path", builder.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_shows_every_picture_and_every_formula_of_its_notebook(site, path):
    cells, text = (
        nbformat.read(path, as_version=4).cells,
        (site / f"{path.stem}.html").read_text("utf-8"),
    )
    stored = [
        output
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    shown = re.findall(r"<img[^>]*>", text)
    assert len(shown) == len(stored) > 0
    assert all(re.search(r'alt="[^"]+"', image) for image in shown)
    markdown = "".join(
        re.sub(r"`[^`]*`", "", cell.source) for cell in cells if cell.cell_type == "markdown"
    )
    assert text.count("<math") == len(re.findall(r"\$\$.+?\$\$|\$[^$]+?\$", markdown, re.DOTALL))
    assert text.count('<div class="predict">') == markdown.count("**Predict.**")
    assert text.count("An exercise:") == sum("\ncheck(" in cell.source for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_page_leads_somewhere(site, name):
    text = (site / f"{name}.html").read_text("utf-8")
    links = set(re.findall(r'href="((?!https:|data:)[^"]*)"', text))
    for link in links:
        file, _, place = link.partition("#")
        target = (site / (file or f"{name}.html")).read_text("utf-8")
        assert not place or f'id="{place}"' in target, link
    assert {f"{other}.html" for other in NAMES} <= links
    assert all(link.startswith("https://") for link in re.findall(r'href="(http[^"]*)"', text))


@pytest.mark.parametrize("name", NAMES)
def test_headings_are_in_order_and_names_are_unique(site, name):
    text = re.sub(
        r"<script.*?</script>", "", (site / f"{name}.html").read_text("utf-8"), flags=re.DOTALL
    )
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert levels.count(1) == 1 == levels[0]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [
        one for one, times in Counter(re.findall(r'\sid="([^"]+)"', text)).items() if times > 1
    ] == []
    assert '<html lang="en">' in text


# --- in a browser -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_accessible_and_drawn(browser, site, name):
    """On a desk, light; and on a phone, dark, with reduced motion."""
    desk = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
    phone = {
        "viewport": {"width": 400, "height": 800},
        "color_scheme": "dark",
        "reduced_motion": "reduce",
    }
    for context in (desk, phone):
        with opened(browser, site / f"{name}.html", **context) as page:
            page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")
            assert (
                page.evaluate("document.documentElement.scrollWidth")
                <= context["viewport"]["width"]
            )
            assert (
                page.eval_on_selector_all("math", FLAT)
                == 0
                == page.eval_on_selector_all("img", HIDDEN)
            )
            assert page.locator(".explorer[data-state=failed]").count() == 0
            for figure in page.locator(".live").all():
                assert whole(figure)
            if context is desk:
                starts_with_what_is_stored(page, name)
            shown = "all => all.map(one => one.dataset.dark)"
            assert {*page.eval_on_selector_all(".live", shown)} <= {str(context is phone).lower()}
            assert lab.violations(page, "html") == []


def starts_with_what_is_stored(page, name):
    """The same words, and about the same numbers: a trained network is not the same on every processor."""
    number = r"-?\d[\d.]*(?:e[+-]\d+)?"
    places = page.locator(".explorer:has(> script)").all()
    assert places or name in ("index", "09_playground")  # the playground needs a kernel
    for place in places:
        stored = place.locator("img").get_attribute("alt")
        shown = sentence(place.locator(".moving"))
        assert re.sub(number, "#", stored) == re.sub(number, "#", shown)
        ours, theirs = (
            [float(one.rstrip(".")) for one in re.findall(number, text)] for text in (stored, shown)
        )
        assert ours == pytest.approx(theirs, rel=0.25, abs=1e-12)


def test_by_keyboard_alone_a_slider_moves_the_figure_and_a_prediction_meets_its_measurement(
    browser, site
):
    with opened(browser, site / f"{LESSON}.html") as page:
        figure = page.locator(".live")
        before, reveal, guess = (
            pixels(figure),
            page.locator(".reveal").first,
            page.get_by_label("Your prediction").first,
        )

        def tab_to(wanted):
            for _ in range(60):
                page.keyboard.press("Tab")
                if wanted.evaluate("one => one === document.activeElement"):
                    return
            raise AssertionError("not reached with Tab")

        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
        page.keyboard.press("Enter")
        tab_to(guess)
        page.keyboard.type("0.01")
        assert not reveal.get_by_text("1.6e-08").first.is_visible()
        tab_to(reveal.locator("summary").first)
        page.keyboard.press("Enter")
        assert reveal.get_by_text("1.6e-08 is left").is_visible()
        assert reveal.locator("pre").first.inner_text() == "my guess: 0.01\nmeasured: 1.6e-08"
        tab_to(slider(figure, "gain"))
        drawn = figure.get_attribute("data-drawn")
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "before => document.querySelector('.live').dataset.drawn !== before", arg=drawn
        )
        assert pixels(figure) != before


def test_a_prediction_is_there_after_the_page_was_loaded_again(browser, site):
    with opened(browser, site / f"{LESSON}.html") as page:
        page.get_by_label("Your prediction").first.fill("0.01")
        page.reload()
        assert page.get_by_label("Your prediction").first.input_value() == "0.01"
        page.locator(".reveal > summary").first.click()
        assert page.locator(".reveal pre").first.inner_text().startswith("my guess: 0.01\n")


# --- without ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_a_page_reads_whole(browser, site, name):
    with opened_file(browser, site / f"{name}.html", java_script_enabled=False) as page:
        for stored in page.locator(".still img").all():
            assert stored.is_visible()
        assert page.locator(".moving:visible").count() == 0
        for closed in page.locator(".reveal > summary").all():
            closed.click()
        assert all(
            one.is_visible() for one in page.locator(".reveal img, .reveal pre.printed").all()
        )


BROKEN = {
    "where it is read": (
        "const engine = (",
        "throw new Error('broken on purpose')\nconst engine = (",
    ),
    "where a figure is made": (
        "memory ??= new engine.Memory",
        "throw new Error('broken on purpose'); memory ??= new engine.Memory",
    ),
    "later": (
        "answer = answers(data)",
        "if (data.settings?.gain > 1.2) throw new Error('broken on purpose'); answer = answers(data)",
    ),
}


@pytest.mark.parametrize("where", BROKEN)
def test_where_the_engine_breaks_the_stored_picture_stays_and_a_sentence_says_so(
    browser, site, tmp_path, where
):
    text = (site / f"{LESSON}.html").read_text("utf-8")
    assert BROKEN[where][0] in text
    path = tmp_path / "broken.html"
    path.write_text(text.replace(*BROKEN[where]), "utf-8")
    with opened_file(browser, path, ready=DRAWN, complains=True) as page:
        place = page.locator(".explorer")
        if where == "later":
            slider(place.locator(".live"), "gain").press("ArrowRight")
        place.get_by_text("could not be computed here").wait_for()
        assert "broken on purpose" in place.locator(".said").inner_text()
        assert (
            place.locator(".still img").is_visible() and not place.locator(".moving").is_visible()
        )


def test_on_paper_stands_the_stored_picture_and_every_measurement(browser, site):
    with opened(browser, site / f"{LESSON}.html") as page:
        page.emulate_media(media="print")
        assert page.locator(".still img").is_visible()
        assert (
            page.locator(".moving, header, .predict, .reveal > summary")
            .locator("visible=true")
            .count()
            == 0
        )
        heights = page.eval_on_selector_all(
            ".reveal img, .reveal pre.printed",
            "all => all.map(one => one.getBoundingClientRect().height)",
        )
        assert heights and min(heights) > 10
        assert len(page.pdf()) > 100_000
        opened_ones = (
            "dispatchEvent(new Event('{}')) && document.querySelectorAll('details[open]').length"
        )
        before = page.locator("details[open]").count()
        assert page.evaluate(opened_ones.format("beforeprint")) == page.locator("details").count()
        assert page.evaluate(opened_ones.format("afterprint")) == before


# --- Firefox ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fox(tmp_path_factory):
    """A headless Firefox; where there is none, the test is skipped and says so, but not in CI."""
    if not firefox.firefox():
        assert not os.environ.get("CI"), "No Firefox found"
        pytest.skip(f"No Firefox found: none of {', '.join(firefox.BROWSERS)} is installed")
    with firefox.opened(tmp_path_factory.mktemp("firefox")) as ask:
        yield ask


@pytest.mark.parametrize("name", NAMES)
def test_firefox_loads_a_page_and_moves_its_figure(fox, site, name):
    fox("Navigate", url=(site / f"{name}.html").as_uri())
    assert firefox.evaluate(fox, f"return ({DRAWN})()")
    states = fox(
        "ExecuteScript",
        script="return [...document.querySelectorAll('.explorer')].map(one => one.dataset.state)",
        args=[],
    )
    assert "failed" not in states["value"]
    asked = "return performance.getEntriesByType('resource').filter(one => !/^(data|blob):/.test(one.name)).length"
    assert fox("ExecuteScript", script=asked, args=[])["value"] == 0
    if "moving" in states["value"]:
        drawn = firefox.evaluate(fox, "return document.querySelector('.live').dataset.drawn")
        firefox.press(fox, ".live input[type=range]", firefox.LEFT)
        assert firefox.evaluate(
            fox, f"return document.querySelector('.live').dataset.drawn !== '{drawn}'"
        )
