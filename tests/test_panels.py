"""A figure as data: what it says, what Matplotlib draws of it, and what a notebook stores."""

import base64
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawn import differences
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from PIL import Image

from helpers import show
from helpers.live import panels
from helpers.live.panels import (
    COLORS,
    DASHES,
    MARKERS,
    Axis,
    Line,
    Panel,
    Picture,
    Shades,
    bundle,
    curves,
    draw,
)
from helpers.live.widget import encode

NAN, INF = float("nan"), float("inf")
LIVE = Path(panels.__file__).parent


@pytest.fixture(autouse=True)
def every_warning_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def gradient(*rows, **settings):
    names = ("measured", "other")
    rows = {name: np.array(row, float) for name, row in zip(names, rows)}
    return curves("Title", "norm", "gradient", rows, **settings)


# --- curves and their sentences -----------------------------------------------------------------


@pytest.mark.parametrize(
    "row, sentence",
    [
        ([1, 2, 4], "grows from 1 at layer 1 to 4 at layer 3: a factor of 2.000 a layer."),
        ([4, 2, 1], "falls from 4 at layer 1 to 1 at layer 3: a factor of 0.500 a layer."),
        ([1, 5, 1], "stays near 1 at layer 1, 1 at layer 3: a factor of 1.000 a layer."),
        ([1e-45, 1, 3e38], "grows from 1e-45 at layer 1 to 3e+38 at layer 3: a factor of 5.48e+41 a layer."),
        ([1e-140, 1e160], "grows from 1e-140 at layer 1 to 1e+160 at layer 2: a factor of 1e+300 a layer."),
        ([2], "of the one layer is 2."),
        ([0, 0, 0], "is exactly zero at 3 of 3 layers (marked ▼), 1 to 3."),
        ([NAN, NAN], "overflows at layer 1: where × stands, values are no longer finite."),
        ([1, 9, INF], "overflows at layer 3 after 9 at layer 2: where × stands, values are no longer finite."),
    ],
    ids=str,
)  # fmt: skip
def test_a_curve_in_every_state_is_said_and_drawn(row, sentence):
    panel = gradient(row)
    assert panel.sentence == f"The gradient {sentence}"
    assert differences(Picture([panel], [])) == []
    assert panel.lost.tolist() == [k + 1 for k, value in enumerate(row) if not np.isfinite(value)]
    assert panel.zero.tolist() == [k + 1 for k, value in enumerate(row) if value == 0]


def test_of_a_gradient_the_sentence_begins_where_it_comes_from():
    said = gradient([1, 2, 4], backward=True).sentence
    assert (
        said == "The gradient falls from 4 at layer 3 to 1 at layer 1: a factor of 0.500 a layer."
    )
    assert gradient([INF, INF, 9, 1], backward=True).sentence.startswith(
        "The gradient overflows at layer 2 after 9 at layer 3:"
    )
    assert (
        gradient([0, 0, 9], backward=True).sentence
        == "The gradient is exactly zero at 2 of 3 layers (marked ▼), 1 to 2."
    )


def test_curves_may_begin_at_layer_0_and_count_steps():
    panel = gradient([4, 2, 1], first=0, unit="step")
    assert (
        panel.sentence
        == "The gradient falls from 4 at step 0 to 1 at step 2: a factor of 0.500 a step."
    )
    assert (
        panel.lines[0].x.tolist() == [0, 1, 2] and panel.x.low == -0.5 and panel.x.label == "step"
    )
    assert gradient([0, 0, 1], first=0).zero.tolist() == [0, 1]


def test_two_curves_and_the_law_are_named_and_each_curve_has_a_sentence():
    law = "twice a layer", np.array([1.0, 2.0])
    panel = gradient([1, 2], [4, 1], law=law, intro="Here: ")
    assert panel.sentence.startswith("Here: measured: the gradient grows from 1 ")
    assert " other: the gradient falls from 4 " in panel.sentence
    assert [line.name for line in panel.lines] == ["measured", "other", "twice a layer"]
    assert [line.kind for line in panel.lines] == ["line", "line", "law"]
    assert differences(Picture([panel], [])) == []


def test_curves_may_be_of_networks_of_different_depth():
    panel = gradient([1, 2], [4, 0, NAN, 1])
    assert [line.x.tolist() for line in panel.lines] == [[1, 2], [1, 2, 3, 4]]
    assert panel.lost.tolist() == [3] and panel.zero.tolist() == [2] and panel.x.high == 5.5
    assert "measured: the gradient grows from 1 at layer 1 to 2 at layer 2" in panel.sentence
    assert differences(Picture([panel], [])) == []


def test_a_limit_is_drawn_only_where_it_is_near():
    largest = "largest float32", 3.4e38, "left"
    assert gradient([1, 2], limit=largest).limit is None
    panel = gradient([1, 1e60], limit=largest)
    assert panel.limit == largest and differences(Picture([panel], [])) == []
    assert gradient([1, INF], limit=largest).limit == largest, "what overflows came near it"
    assert gradient([1e60, 1], limit=largest, backward=True).limit == largest


@pytest.mark.parametrize("row", [[1, 2], [1e-45, 3e38], [1e-140, 1e160], [0.5], [3, 1e-9]])
def test_every_finite_point_lies_within_the_axes(row):
    panel = gradient(row)
    assert panel.y.low < min(row) and max(row) < panel.y.high
    assert panel.x.low < 1 and len(row) < panel.x.high


def test_axes_seldom_move():
    limits = {
        (panel.y.low, panel.y.high)
        for panel in (gradient([1, gain]) for gain in np.linspace(1, 90, 50))
    }
    assert len(limits) == 1
    ends = {gradient(np.ones(depth)).x.high for depth in range(1, 201)}
    assert len(ends) < 12


# --- drawn with Matplotlib ----------------------------------------------------------------------


def cells(**settings):
    values = np.array([[0.05, 0.951], [NAN, 1.0]])
    texts = [["5", "95"], ["×", "100"]]
    shades = Shades(values, (-0.5, 1.5), (-0.5, 1.5), "accuracy", texts=texts, **settings)
    ticks = [(0, "0.1"), (1, "0.3")]
    return Panel(
        "Map",
        Axis("gain", -0.5, 1.5, ticks=ticks),
        Axis("rate", -0.5, 1.5, ticks=ticks),
        shades=shades,
    )


def test_matplotlib_draws_the_panels_data():
    steps, errors = np.arange(1, 4), np.array([0.9, NAN, 0.1])
    kinds = ("line", "points", "chosen", "law", "contour", "outline")
    lines = [Line(steps, errors * k, f"line {k}", k % 5, kind) for k, kind in enumerate(kinds)]
    axes = Axis("step", 1, 3, whole=True), Axis("error", 0, 5)
    panel = Panel("Lines", *axes, [*lines, Line(steps[:0], errors[:0], "nothing")], lost=steps[1:2])
    picture = Picture([panel, cells()], [])
    assert differences(picture) == []
    draw(picture).canvas.draw()


def test_a_line_may_have_the_color_of_one_style_and_the_dashes_of_another():
    x = np.arange(3.0)
    lines = [Line(x, x, "train", 0, color=1), Line(x, x, "test", 1, "points", color=0), Line(x, x)]
    panel = Panel("Colours", Axis("x", 0, 2), Axis("y", 0, 2), lines)
    train, test, plain = draw(Picture([panel], [])).axes[0].lines
    assert [train.get_color(), test.get_color(), plain.get_color()] == [
        COLORS[k] for k in (1, 0, 0)
    ]
    assert [train.get_marker(), test.get_marker()] == [MARKERS[0], MARKERS[1]]
    assert encode(lines[0])["color"] == 1 and encode(lines[2])["color"] is None


def test_many_panels_stand_in_a_grid_and_a_pictures_own_words_come_first():
    panels = [gradient([1, k + 2]) for k in range(3)]
    picture = Picture(panels, [], columns=2, words="All grow.")
    assert differences(picture) == [] and picture.sentence == "All grow."
    places = [ax.get_subplotspec() for ax in draw(picture).axes]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [(0, 0), (0, 1), (1, 0)]


def test_a_difference_would_be_found():
    def changed(change):
        picture = Picture([gradient([1, INF], limit=("l", 3.4e38, "left")), cells()], [])
        figure = draw(picture)
        change(figure)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("drawn.draw", lambda _: figure)
            return differences(picture)

    assert changed(lambda figure: None) == []
    assert changed(lambda figure: figure.axes[0].lines[0].set_ydata([1, 2])) == ["line measured"]
    assert changed(lambda figure: figure.axes[0].set_ylim(1, 10)) == ["y"]
    assert changed(lambda figure: figure.axes[0].lines[1].set_xdata([1])) == ["marks"]
    assert changed(lambda figure: figure.axes[1].images[0].set_data(np.ones((2, 2)))) == ["shades"]
    assert changed(lambda figure: figure.axes[1].texts[0].set_text("6")) == ["texts"]


def luminance(colors):
    """What WCAG 2 divides to get a contrast, of colors (n, 3) from 0 to 1."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722] + 0.05


def test_every_line_stands_out_from_the_paper_and_differs_without_its_color():
    colors = np.array([to_rgb(color) for color in COLORS])
    assert (1.05 / luminance(colors)).min() >= 3
    assert len(COLORS) == len(DASHES) == len(MARKERS) == len({*map(str, DASHES)}) == len({*MARKERS})
    style = (LIVE / "live.css").read_text(encoding="utf-8")
    themes = [
        np.array([to_rgb(color) for color in re.findall(r"--line-\d: (#\w+)", rules)])
        for rules in style.split("}")[:2]
    ]
    np.testing.assert_allclose(themes[0], colors)
    assert (luminance(themes[1]) / luminance(np.array(to_rgb("#111111")))).min() >= 4.5


def test_a_stronger_shade_is_darker_and_the_text_stands_out_from_it():
    from helpers.live.explorers import CIVIDIS

    values = np.linspace(0, 1, 101)[None]
    shades = Shades(
        values, (-0.5, 100.5), (-0.5, 0.5), "share", colors=CIVIDIS, texts=[["5"] * 101]
    )
    [ax] = draw(
        Picture([Panel("Map", Axis("x", -0.5, 100.5), Axis("y", -0.5, 0.5), shades=shades)], [])
    ).axes
    tones = luminance(ax.images[0].cmap(values[0])[:, :3])
    assert (np.diff(tones) < 0).all()
    white = np.array([text.get_color() == "white" for text in ax.texts])
    assert np.where(white, 1.05 / tones, tones / 0.05).min() >= 4.4


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))


@pytest.mark.parametrize("style", ["dark_background", "seaborn-v0_8", "classic", "hostile"])
def test_a_picture_looks_the_same_under_any_style_of_the_user(style):
    picture = Picture([gradient([1, 2, INF]), cells()], [])
    data, _ = bundle(draw(picture), "alt")
    hostile = {"figure.figsize": (2, 2), "font.size": 4, "axes.grid": True, "savefig.transparent": True, "savefig.dpi": 20,
               "axes.prop_cycle": plt.cycler(color="k"), "figure.facecolor": "black", "text.color": "white"}  # fmt: skip
    with plt.style.context(hostile if style == "hostile" else style):
        other, _ = bundle(draw(picture), "alt")
    assert np.array_equal(pixels(data), pixels(other))
    assert (pixels(data)[0] == 255).all()


@pytest.mark.parametrize("style", ["dark_background", "seaborn-v0_8", "ggplot"])
def test_a_lessons_picture_looks_the_same_under_any_style_of_the_user(style):
    def drawn():
        with plt.style.context(["default", "helpers.course"]):
            fig, ax = plt.subplots()
            ax.plot([1, 2], [1, 3], label="line")
            ax.set(title="Title", xlabel="step", ylabel="loss")
            ax.legend()
            return pixels(bundle(fig, "alt")[0])

    plain = drawn()
    with plt.style.context(style):
        assert np.array_equal(drawn(), plain)


def test_the_style_alone_takes_a_dark_one_back():
    with plt.style.context("dark_background"), plt.style.context("helpers.course"):
        fig, ax = plt.subplots()
        ax.set_title("Title")
        fig.canvas.draw()
        seen = np.asarray(fig.canvas.buffer_rgba())
    assert (seen[0, :, :3] == 255).all() and (seen[..., :3] < 100).any()


# --- shown in a notebook ------------------------------------------------------------------------


def test_show_displays_a_sharp_picture_with_its_alternative_text_and_closes_the_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda *args, **settings: shown.append((args, settings))
    )
    fig, ax = plt.subplots(figsize=(5, 3))
    ax.plot([1, 2], [1, 2])
    show(fig, 'a < b, "quoted"')
    [((data,), settings)] = shown
    assert pixels(data).shape == (600, 1000, 3), "twice the pixels"
    assert data["text/plain"] == settings["metadata"]["image/png"]["alt"] == 'a < b, "quoted"'
    assert settings["metadata"]["image/png"]["width"] == 500 and settings["raw"]
    assert (
        'alt="a &lt; b, &quot;quoted&quot;"' in data["text/html"]
        and 'width="500"' in data["text/html"]
    )
    assert data["image/png"] in data["text/html"]
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: show(1, "text"), "fig must be a Matplotlib Figure, got int"),
        (
            lambda: show(plt.figure(), " "),
            "alt must be a text that says what is to be seen, got ' '",
        ),
        (
            lambda: show(plt.figure(), None),
            "alt must be a text that says what is to be seen, got None",
        ),
    ],
)
def test_what_show_cannot_show_is_named(rejects, call, message):
    rejects(call, message)


def test_the_page_gets_the_data_as_it_is():
    sent = encode(Picture([gradient([1, INF]), cells()], [["a"], ["b"]], [("gain", 1.0, "here")]))
    [lines, grid] = sent["panels"]
    assert np.frombuffer(lines["lines"][0]["y"]).tolist() == [1, INF]
    assert np.frombuffer(lines["lost"]).tolist() == [2.0] and lines["y"]["log"] is True
    assert encode(np.zeros(0)) is None
    assert grid["shades"]["columns"] == 2 and grid["x"]["ticks"] == [[0, "0.1"], [1, "0.3"]]
    assert np.array_equal(
        np.frombuffer(grid["shades"]["values"]), [0.05, 0.951, NAN, 1], equal_nan=True
    )
    assert sent["table"] == [["a"], ["b"]] and sent["marks"] == [["gain", 1.0, "here"]]
