"""The live figure without a browser: what it accepts, what it draws in 200 states, and what it hands to the page."""

import base64
import html
import io
import random
import re
import warnings
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
from PIL import Image
from traitlets import TraitError

from helpers import Explorer
from helpers.networks import ACTIVATIONS
from helpers.signals import DTYPES

SIZE = (840, 340)
ENDS = {"depth": (1, 200), "gain": (0, 4), "width": (1, 256)}
EXTREMES = [
    dict(zip((*ENDS, "activation", "dtype"), state)) for state in product(*ENDS.values(), tuple(ACTIVATIONS), tuple(DTYPES))
]


def random_state(chance):
    return {
        "depth": chance.randint(1, 200),
        "gain": round(chance.uniform(0, 4), 2),
        "width": chance.randint(1, 256),
        "activation": chance.choice(tuple(ACTIVATIONS)),
        "dtype": chance.choice(tuple(DTYPES)),
    }


def states(count, extremes, seed=0):
    """`count` states, among them `extremes` of the 128 corners, in random order."""
    chance = random.Random(seed)
    chosen = chance.sample(EXTREMES, extremes) + [random_state(chance) for _ in range(count - extremes)]
    chance.shuffle(chosen)
    return chosen


class Elements(HTMLParser):
    """The attributes of every <img> of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.images, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        self.text += data


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.fixture(scope="module")
def explorer():
    return Explorer()


@pytest.fixture(autouse=True)
def every_warning_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- what it accepts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"depth": 0}, "depth must be an integer from 1 to 200, got 0"),
        ({"depth": 201}, "depth must be an integer from 1 to 200, got 201"),
        ({"depth": 2.5}, "depth must be an integer from 1 to 200, got 2.5"),
        ({"depth": True}, "depth must be an integer from 1 to 200, got True"),
        ({"width": 257}, "width must be an integer from 1 to 256, got 257"),
        ({"gain": 5}, "gain must be a finite number from 0 to 4, got 5"),
        ({"gain": -0.1}, "gain must be a finite number from 0 to 4, got -0.1"),
        ({"gain": float("nan")}, "gain must be a finite number from 0 to 4, got nan"),
        ({"gain": "1"}, "gain must be a finite number from 0 to 4, got '1'"),
        ({"activation": "gelu"}, "activation must be one of 'relu', 'tanh', 'sigmoid', 'linear', got 'gelu'"),
        ({"dtype": "int8"}, "dtype must be one of 'float16', 'bfloat16', 'float32', 'float64', got 'int8'"),
        ({"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, got -1"),
    ],
    ids=str,
)
def test_a_setting_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: Explorer(**bad), message)


def test_a_failed_set_does_not_silence_the_controls():
    explorer = Explorer(depth=3, width=8)
    with pytest.raises((ValueError, TraitError)):
        explorer.set(activation="gelu")
    before = explorer.png
    explorer.controls["gain"].value = 2.0
    assert explorer.png != before, "a later move of a slider still draws"


@pytest.mark.parametrize(
    "name, bad", [("depth", 0), ("width", 300), ("gain", 4.5), ("activation", "gelu"), ("dtype", "int8"), ("deph", 3)]
)
def test_set_names_a_setting_that_is_not_allowed(explorer, name, bad):
    before = explorer.state
    with pytest.raises(ValueError, match=name):
        explorer.set(**{name: bad})
    assert explorer.state == before


def test_set_moves_several_controls_and_draws_once(monkeypatch):
    explorer = Explorer(depth=3, width=8)
    frames = []
    monkeypatch.setattr(explorer.live, "png", lambda draw=explorer.live.png: frames.append(1) or draw())
    explorer.set(depth=4, gain=2.0, activation="tanh")
    assert explorer.state == {"depth": 4, "gain": 2.0, "width": 8, "activation": "tanh", "dtype": "float32"}
    assert len(frames) == 1


def test_every_control_draws():
    explorer = Explorer(depth=3, width=8)
    for name, value in {"depth": 4, "gain": 2.0, "width": 9, "activation": "tanh", "dtype": "float16"}.items():
        before = explorer.page.value
        explorer.controls[name].value = value
        assert explorer.page.value != before, name


def test_reset_brings_back_the_start():
    explorer = Explorer(depth=7, gain=1.3, width=20, activation="tanh", dtype="float64")
    state, page = explorer.state, explorer.page.value
    explorer.set(depth=100, gain=3.0, width=5, activation="relu", dtype="float16")
    assert explorer.page.value != page
    explorer.children[0].children[-1].click()
    assert explorer.state == state
    assert explorer.page.value == page


# --- what it draws ------------------------------------------------------------------------------------------------------------


def stills(explorer):
    """The still part of each panel."""
    return [explorer.live.still(drawing, place) for drawing, place in zip(explorer.live.drawings, explorer.live.places)]


def empty_panels(explorer):
    """The panels of which nothing but the still part is to be seen."""
    frame = pixels(explorer.png)
    for region in stills(explorer):
        explorer.live.figure.canvas.restore_region(region)
    still = np.asarray(explorer.live.figure.canvas.buffer_rgba())[..., :3]
    assert frame.shape == still.shape == (*SIZE[::-1], 3)
    assert (frame[:, SIZE[0] // 2 - 2 : SIZE[0] // 2 + 2] == 255).all(), "a panel reaches into the other's part and is cut"
    moved = (frame != still).any(-1).any(0)
    panels = [drawing.ax.get_window_extent() for drawing in explorer.live.drawings]
    return [k for k, at in enumerate(panels) if not moved[int(at.x0) - 4 : int(at.x1) + 5].any()]


def test_200_states_each_give_a_whole_picture_and_a_sentence(explorer, subtests):
    for state in states(200, extremes=100):
        with subtests.test(**state):
            explorer.set(**state)
            assert explorer.state == state
            assert empty_panels(explorer) == []
            words = re.findall(r"[\w.+-]+", explorer.alt.lower())
            assert words and {"nan", "inf"}.isdisjoint(words), explorer.alt


BROKE = [  # each of these has once stopped the explorer with an error
    {"depth": 200, "gain": 4, "width": 1, "activation": "linear", "dtype": "float32"},
    {"depth": 200, "gain": 4, "width": 1, "activation": "sigmoid", "dtype": "float64"},
    {"depth": 200, "gain": 4, "width": 1, "activation": "sigmoid", "dtype": "bfloat16"},
    {"depth": 200, "gain": 0.01, "width": 1, "activation": "linear", "dtype": "float64"},
    {"depth": 199, "gain": 0.01, "width": 100, "activation": "relu", "dtype": "float64"},
]


@pytest.mark.parametrize("state", BROKE, ids=str)
def test_a_state_that_broke_once_is_drawn(explorer, state):
    explorer.set(**state)
    assert empty_panels(explorer) == []


def test_the_picture_depends_on_the_state_and_not_on_the_way_to_it(explorer):
    for state in states(12, extremes=6, seed=1):
        explorer.set(**state)
        fresh = Explorer(**state)
        assert explorer.alt == fresh.alt, state
        assert np.array_equal(pixels(explorer.png), pixels(fresh.png)), state


def test_the_still_part_is_drawn_anew_only_when_an_axis_moves():
    explorer = Explorer(gain=1.2)
    left, right = stills(explorer)
    for gain in 1.21, 1.22:
        explorer.set(gain=gain)
        assert stills(explorer)[0] is left and stills(explorer)[1] is right
    explorer.set(gain=3.0)
    assert stills(explorer)[0] is not left and stills(explorer)[1] is right, "the right panel's limits are still the same"
    explorer.set(gain=1.2)
    assert stills(explorer)[0] is left, "limits that were there before are not drawn again"


@pytest.mark.parametrize(
    "state, words",
    [
        ({"gain": 1.0}, "falls from"),
        ({"gain": 2**0.5, "width": 256}, "stays near"),
        ({"gain": 2.0}, "grows from"),
        ({"gain": 2.5, "dtype": "float16"}, "overflows at layer"),
        ({"gain": 0.0}, "exactly zero"),
        ({"depth": 1}, "the one layer"),
    ],
    ids=str,
)
def test_the_alternative_text_says_what_is_seen(state, words):
    assert words in Explorer(**state).alt


def test_the_alternative_text_does_not_contradict_itself():
    alt = Explorer(depth=99, gain=3.47, width=41, dtype="bfloat16").alt
    assert not ("no finite number is left" in alt and "of the finite pre-activations" in alt), alt


# --- what it hands to the page ------------------------------------------------------------------------------------------------


def test_the_page_holds_the_picture_and_its_alternative_text(explorer):
    explorer.set(**explorer.start)
    [image] = Elements(explorer.page.value).images
    assert image["alt"] == explorer.alt
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == explorer.png


def test_the_alternative_text_is_escaped(explorer, monkeypatch):
    text = """1 < 2 & "quoted" 'twice' <b>bold</b>"""
    monkeypatch.setattr(explorer.live.drawings[0], "update", lambda *profiles, **settings: text)
    explorer.show()
    page = Elements(explorer.page.value)
    assert page.images[0]["alt"] == explorer.alt and text in explorer.alt
    assert text in page.text, "the sentence beside the picture, too"
    assert "<b>" not in explorer.page.value and html.escape(text) in explorer.page.value


def test_a_notebook_stores_the_widget_and_a_picture():
    explorer = Explorer(depth=3, gain=2.0, width=8)
    data, metadata = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert base64.b64decode(data["image/png"]) == explorer.png
    assert pixels(explorer.png).shape == (*SIZE[::-1], 3)
    assert data["text/plain"] == metadata["image/png"]["alt"] == explorer.alt
