"""The drawings: every state can be drawn, the sentence says what is to be seen, nothing is cut, a notebook stores it all."""

import base64
import io
import threading
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from helpers import Explorer, build, profile
from helpers.live import panels, widget
from helpers.live.figures import STYLES, Curves, Lines, Map, Pairs, Spread, new_figure, picture

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def lines(log="", labels=("one",), **settings):
    return Lines(
        new_figure((5, 3)).add_subplot(), "Title", "epoch", "error", labels, log, **settings
    )


def cells(rows, columns):
    return Map(new_figure((5, 3)).add_subplot(), "Error", "learning rate", "gain", columns, rows)


def curves(labels=("measured",)):
    return Curves(new_figure((5, 3)).add_subplot(), "Title", "norm", "gradient", labels)


def said(drawing, *data, **settings):
    """The sentence of an update, after the figure was drawn."""
    sentence = drawing.update(*data, **settings)
    drawing.ax.figure.canvas.draw()
    return sentence


# --- sentences and states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
@pytest.mark.parametrize(
    "x, y, sentence",
    [
        ([1, 2, 4], [0.5, 0.25, 0.125], "one: 0.5 at 1, 0.12 at 4."),
        ([1, 2, 4], [NAN, 0.25, INF], "one: 0.25 at 2, 0.25 at 2; 2 of 3 values are not finite."),
        ([1, 2, 4], [NAN, INF, -INF], "one: no finite value."),
        ([1, 2, 4], [0, 0, 0], "one: 0 at 1, 0 at 4."),
        ([1, 2, 4], [-1, -2, -3], "one: -1 at 1, -3 at 4."),
        ([1, 2, 4], [1e-30, 1, 1e30], "one: 1e-30 at 1, 1e+30 at 4."),
        ([3], [0.5], "one: 0.5 at 3, 0.5 at 3."),
        ([0], [0], "one: 0 at 0, 0 at 0."),
        ([], [], "one: no finite value."),
    ],
)
def test_lines_in_every_state_are_drawn_and_said(log, x, y, sentence):
    assert said(lines(log), (x, y)) == sentence


def test_lines_say_one_sentence_a_label_and_none_for_the_dots():
    drawing = lines(labels=("one", "two"), dots=True, ylim=(0, 1))
    points = ([1, 2], [0.5, 0.25]), ([1], [0.1])
    assert (
        said(drawing, *points, dots=[([1], [0.7]), ([1], [0.8])])
        == "one: 0.5 at 1, 0.25 at 2. two: 0.1 at 1, 0.1 at 1."
    )
    assert [line.get_linestyle() for line in drawing.dots] == ["None", "None"]
    assert [line.get_ydata().tolist() for line in drawing.dots] == [[0.7], [0.8]]
    assert drawing.ax.get_ylim() == (0, 1)


@pytest.mark.parametrize("log", ["", "y", "xy"])
def test_every_finite_point_of_lines_lies_within_the_axes(log):
    drawing = lines(log)
    x, y = np.array([1, 3, 70]), np.array([0.0123, 4.56, 99.9])
    said(drawing, (x, y))
    for values, (low, high) in (x, drawing.ax.get_xlim()), (y, drawing.ax.get_ylim()):
        assert low <= values.min() < values.max() <= high


def test_pairs_show_each_seed_and_say_the_means():
    drawing = Pairs(
        new_figure((6, 3)).add_subplot(),
        "Title",
        "error",
        ("dropout", "skips"),
        ("with", "without"),
    )
    good, bad = np.array([[0.0, 0.02], [0.1, 0.3]]), np.array([[0.5, 0.7], [0.9, 1.0]])
    assert (
        said(drawing, good, bad) == "dropout: with 1%, without 60%. skips: with 20%, without 95%."
    )
    for line, dots, values in zip(drawing.lines, drawing.dots, (good, bad)):
        np.testing.assert_allclose(line.get_xdata(), values.mean(1))
        assert (
            dots.get_xdata().tolist() == values.ravel().tolist()
            and dots.get_markerfacecolor() == "none"
        )
        assert np.round(dots.get_ydata()).tolist() == [0, 0, 1, 1], "a name's seeds stand beside it"
    assert [text.get_text() for text in drawing.ax.get_yticklabels()] == ["dropout", "skips"]
    low, high = drawing.ax.get_xlim()
    assert low < 0 and high > 1 and drawing.ax.get_ylim() == (1.5, -0.5), (
        "the first name stands at the top"
    )


@pytest.mark.parametrize(
    "shares, diverged, marks, sentence",
    [
        (
            [[0.05, 0.951], [0.2, 1]],
            None,
            [["5", "95"], ["20", "100"]],
            "2 of 4 cells are over 90 %.",
        ),
        ([[0, 0], [0, 0]], None, [["0", "0"], ["0", "0"]], "0 of 4 cells are over 90 %."),
        ([[NAN, NAN], [NAN, NAN]], None, [["?", "?"], ["?", "?"]], "0 of 4 cells are over 90 %."),
        (
            [[0.05, 0.9], [NAN, 1]],
            [[0, 1], [1, 1]],
            [["5", "×"], ["×", "×"]],
            "1 of 4 cells are over 90 %, 3 diverged (×).",
        ),
        ([[0.5]], None, [["50"]], "0 of 1 cells are over 90 %."),
    ],
)
def test_a_map_in_every_state_is_drawn_and_said(shares, diverged, marks, sentence):
    drawing = cells(*map(range, np.shape(shares)))
    assert said(drawing, shares, None if diverged is None else np.array(diverged, bool)) == sentence
    assert [[text.get_text() for text in row] for row in drawing.texts] == marks


def luminance(colors):
    """What WCAG 2 divides to get a contrast, of colors (n, 3) from 0 to 1."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722] + 0.05


def test_every_line_stands_out_from_white_and_differs_without_its_color():
    colors = np.array([to_rgb(style["color"]) for style in STYLES])
    assert (1.05 / luminance(colors)).min() >= 3
    assert (
        len({str(style["linestyle"]) for style in STYLES})
        == len({style["marker"] for style in STYLES})
        == len(STYLES)
    )


def test_a_larger_share_is_darker_and_the_text_stands_out_from_it():
    drawing = cells(range(1), range(101))
    said(drawing, [np.linspace(0, 1, 101)])
    shades = luminance(drawing.image.cmap(np.linspace(0, 1, 101))[:, :3])
    assert (np.diff(shades) < 0).all()
    white = np.array([text.get_color() == "white" for text in drawing.texts[0]])
    assert np.where(white, 1.05 / shades, shades / 0.05).min() >= 4.5


@pytest.mark.parametrize(
    "row, sentence",
    [
        (
            [1, 2, 4],
            "The gradient grows from 1 at layer 1 to 4 at layer 3: a factor of 2.000 a layer.",
        ),
        (
            [4, 2, 1],
            "The gradient falls from 4 at layer 1 to 1 at layer 3: a factor of 0.500 a layer.",
        ),
        (
            [1, 5, 1],
            "The gradient stays near 1 at layer 1, 1 at layer 3: a factor of 1.000 a layer.",
        ),
        ([2], "The gradient of the one layer is 2."),
        ([0, 0, 0], "The gradient is exactly zero at 3 of 3 layers (marked ▼), 1 to 3."),
        (
            [NAN, NAN, NAN],
            "The gradient overflows at layer 1: where × stands, values are no longer finite.",
        ),
        (
            [1, 9, INF],
            "The gradient overflows at layer 3 after 9 at layer 2: where × stands, values are no longer finite.",
        ),
    ],
)
def test_curves_in_every_state_are_drawn_and_said(row, sentence):
    assert said(curves(), np.array(row, float)) == sentence


def test_of_a_gradient_the_sentence_begins_where_it_comes_from():
    drawing = Curves(new_figure((5, 3)).add_subplot(), "Title", "norm", "gradient", backward=True)
    sentence = said(drawing, np.array([1.0, 2.0, 4.0]))
    assert (
        sentence
        == "The gradient falls from 4 at layer 3 to 1 at layer 1: a factor of 0.500 a layer."
    )
    assert drawing.lines[0].get_ydata().tolist() == [1, 2, 4]
    assert said(drawing, np.array([INF, INF, 9.0, 1.0])).startswith(
        "The gradient overflows at layer 2 after 9 at layer 3:"
    )
    assert (
        said(drawing, np.array([0.0, 0.0, 9.0]))
        == "The gradient is exactly zero at 2 of 3 layers (marked ▼), 1 to 2."
    )


def test_more_lines_than_there_are_styles_or_labels_are_refused(rejects):
    ones = np.ones(3)
    rejects(
        lambda: curves(labels="abcdef"), "number of labels must be an integer from 1 to 5, got 6"
    )
    rejects(
        lambda: said(curves(), ones, ones), "number of rows must be an integer from 1 to 1, got 2"
    )
    lines = Lines(new_figure((5, 3)).add_subplot(), "Title", "x", "y", labels=("one",))
    rejects(
        lambda: said(lines, (ones, ones), (ones, ones)),
        "number of lines must be an integer from 1 to 1, got 2",
    )


def test_curves_draw_a_limit_only_where_it_is_near():
    drawing = curves()
    for row, near in ([1.0, 2.0], False), ([1.0, 1e60], True):
        said(drawing, np.array(row), limit=("largest float32", 3.4e38))
        assert drawing.limit.get_visible() == drawing.limit_name.get_visible() == near
    assert (
        drawing.limit_name.get_text() == "largest float32"
        and drawing.limit.get_ydata()[0] == 3.4e38
    )


def test_curves_draw_the_smallest_and_the_largest_number_of_float32():
    sentence = said(curves(), np.array([1e-45, 1, 3e38]))
    assert sentence.startswith("The gradient grows from 1e-45 at layer 1 to 3e+38 at layer 3")


def test_curves_say_one_sentence_a_label():
    drawing = curves(("one", "two"))
    sentence = said(drawing, np.array([1.0, 2.0]), np.array([4.0, 1.0]))
    assert sentence.startswith("one: the gradient grows from 1 ")
    assert " two: the gradient falls from 4 " in sentence
    assert drawing.named == ("one", "two")


@pytest.mark.parametrize(
    "gain, word", [(1.0, "stays near"), (0.0, "exactly zero"), (1e30, "overflows")]
)
def test_spread_draws_a_profile_in_every_state(x, gain, word):
    seen = profile(build(6, 12, inputs=8, classes=3, activation="linear", gain=gain), x)
    assert word in said(Spread(new_figure((5, 3)).add_subplot()), seen)


# --- nothing is cut --------------------------------------------------------------------------------------------------------


def assert_nothing_is_cut(drawing):
    drawing.ax.figure.canvas.draw()
    box, (width, height) = drawing.ax.figure.get_tightbbox(), drawing.ax.figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_a_map_with_long_labels_is_not_cut():
    drawing = cells(np.logspace(-10, 10, 8), np.logspace(-10, 10, 8))
    drawing.update(np.ones((8, 8)), np.ones((8, 8), bool))
    assert_nothing_is_cut(drawing)


def test_lines_with_long_labels_are_not_cut():
    drawing = lines("y", ("the mean of the batch", "the running mean"))
    drawing.update(([1, 10**6], [1e-30, 1e30]), ([1], [1]))
    assert_nothing_is_cut(drawing)


# --- what a notebook stores ------------------------------------------------------------------------------------------------


def test_a_picture_is_stored_as_html_and_png_with_its_alternative_text():
    drawn = picture(
        Lines,
        ([1, 2], [0.5, 0.25]),
        size=(5, 3),
        title="T",
        xlabel="x",
        ylabel="y",
        labels=("a < b",),
    )
    data, metadata = drawn._repr_mimebundle_()
    assert drawn.alt == "a < b: 0.5 at 1, 0.25 at 2."
    assert data["text/plain"] == metadata["image/png"]["alt"] == drawn.alt
    assert 'alt="a &lt; b: 0.5 at 1, 0.25 at 2."' in data["text/html"]
    assert data["image/png"] in data["text/html"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    assert pixels.shape == (300, 500, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_whoever_draws_waits_for_whoever_draws(monkeypatch):
    """A cell and the playground may draw at once, and Matplotlib's fonts may then end the process."""
    explorer, shown = Explorer(depth=2, width=4), []
    monkeypatch.setattr(widget, "display", lambda *args, **settings: shown.append(args))
    for draw in (
        lambda: picture(Lines, ([1, 2], [1, 2]), title="a", xlabel="x", ylabel="y", labels=("a",)),
        explorer._ipython_display_,
    ):
        other = threading.Thread(target=draw)
        with panels.DRAWING:
            other.start()
            other.join(1)
            assert other.is_alive(), "it waits"
        other.join(30)
        assert not other.is_alive()
    assert len(shown) == 2
