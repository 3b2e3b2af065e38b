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
import torch
from helpers.explorer import MATRICES, weight_matrix
from PIL import Image
from traitlets import TraitError

from helpers import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
    build,
    profile,
    recorded,
)
from helpers.networks import ACTIVATIONS
from helpers.signals import DTYPES
from helpers.training import History

SIZE = (840, 340)
ENDS = {"depth": (1, 200), "gain": (0, 4), "width": (1, 256)}
EXTREMES = [
    dict(zip((*ENDS, "activation", "dtype"), state))
    for state in product(*ENDS.values(), tuple(ACTIVATIONS), tuple(DTYPES))
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
    chosen = chance.sample(EXTREMES, extremes) + [
        random_state(chance) for _ in range(count - extremes)
    ]
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
        (
            {"activation": "gelu"},
            "activation must be one of 'relu', 'tanh', 'sigmoid', 'linear', got 'gelu'",
        ),
        (
            {"dtype": "int8"},
            "dtype must be one of 'float16', 'bfloat16', 'float32', 'float64', got 'int8'",
        ),
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
    "name, bad",
    [
        ("depth", 0),
        ("width", 300),
        ("gain", 4.5),
        ("activation", "gelu"),
        ("dtype", "int8"),
        ("deph", 3),
    ],
)
def test_set_names_a_setting_that_is_not_allowed(explorer, name, bad):
    before = explorer.state
    with pytest.raises(ValueError, match=name):
        explorer.set(**{name: bad})
    assert explorer.state == before


def test_set_moves_several_controls_and_draws_once(monkeypatch):
    explorer = Explorer(depth=3, width=8)
    frames = []
    monkeypatch.setattr(
        explorer.live, "png", lambda draw=explorer.live.png: frames.append(1) or draw()
    )
    explorer.set(depth=4, gain=2.0, activation="tanh")
    assert explorer.state == {
        "depth": 4,
        "gain": 2.0,
        "width": 8,
        "activation": "tanh",
        "dtype": "float32",
    }
    assert len(frames) == 1


def test_every_control_draws():
    explorer = Explorer(depth=3, width=8)
    for name, value in {
        "depth": 4,
        "gain": 2.0,
        "width": 9,
        "activation": "tanh",
        "dtype": "float16",
    }.items():
        before = explorer.page.value
        explorer.controls[name].value = value
        assert explorer.page.value != before, name


def test_reset_brings_back_the_start():
    explorer = Explorer(depth=7, gain=1.3, width=20, activation="tanh", dtype="float64")
    state, page = explorer.state, explorer.page.value
    explorer.set(depth=100, gain=3.0, width=5, activation="relu", dtype="float16")
    assert explorer.page.value != page
    explorer.children[0].children[-1].children[0].click()
    assert explorer.state == state
    assert explorer.page.value == page


# --- what it draws ------------------------------------------------------------------------------------------------------------


def stills(explorer):
    """The still part of each panel."""
    return [
        explorer.live.still(drawing, place)
        for drawing, place in zip(explorer.live.drawings, explorer.live.places)
    ]


def empty_panels(explorer):
    """The panels of which nothing but the still part is to be seen."""
    frame = pixels(explorer.png)
    for region in stills(explorer):
        explorer.live.figure.canvas.restore_region(region)
    still = np.asarray(explorer.live.figure.canvas.buffer_rgba())[..., :3]
    assert frame.shape == still.shape == (*SIZE[::-1], 3)
    assert (frame[:, SIZE[0] // 2 - 2 : SIZE[0] // 2 + 2] == 255).all(), (
        "a panel reaches into the other's part and is cut"
    )
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
    assert stills(explorer)[0] is not left and stills(explorer)[1] is right, (
        "the right panel's limits are still the same"
    )
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
    explorer.set(**explorer.initial)
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


# --- with a norm --------------------------------------------------------------------------------------------------------------

NORMED = {
    "norm": ("none", "batch", "layer"),
    "batch": (2, 256),
    "gamma": (0.0, 3.0),
    "beta": (-3.0, 3.0),
}


def test_a_setting_that_is_not_given_has_no_control(explorer):
    assert not {*NORMED} & {*explorer.controls}
    assert [*Explorer(norm="batch", gamma=1.0).controls][5:] == ["norm", "gamma"]


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"norm": "group"}, "norm must be one of 'none', 'batch', 'layer', got 'group'"),
        ({"batch": 1}, "batch must be an integer from 2 to 256, got 1"),
        ({"gamma": -1.0}, "gamma must be a finite number from 0 to 3, got -1.0"),
        ({"beta": 4}, "beta must be a finite number from -3 to 3, got 4"),
    ],
    ids=str,
)
def test_a_norms_setting_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: Explorer(**bad), message)


def test_states_with_a_norm_are_drawn(subtests):
    explorer = Explorer(norm="batch", batch=256, gamma=1.0, beta=0.0)
    chance = random.Random(0)
    extremes = [dict(zip(NORMED, values)) for values in product(*NORMED.values())]
    for state in chance.sample(extremes, 16) + [
        dict(zip(NORMED, (norm, 64, 1.0, 0.0))) for norm in NORMED["norm"]
    ]:
        state |= random_state(chance)
        with subtests.test(**state):
            explorer.set(**state)
            assert empty_panels(explorer) == []


def test_gamma_beta_batch_and_norm_reach_the_network():
    looked = Explorer(norm="batch", batch=8, gamma=2.0, beta=-1.0, depth=3, width=16)
    seen = looked.look(
        "float32", 8, 2.0, -1.0, norm="batch", depth=3, width=16, gain=1.0, activation="relu"
    )
    np.testing.assert_allclose(seen.pre_mean, -1, atol=1e-5)
    np.testing.assert_allclose(seen.pre_std, 2, rtol=1e-3)
    assert (seen.counts.sum(-1) == 8 * 16).all()
    alts = {looked.alt}
    for change in {"norm": "layer"}, {"batch": 9}, {"gamma": 1.0}, {"beta": 0.0}:
        looked.set(**change)
        alts.add(looked.png)
    assert len(alts) == 5


def test_the_critical_gain_is_marked_only_where_there_is_one():
    explorer = Explorer(norm="none")
    assert "critical 1.414" in explorer.style.value
    for change in {"norm": "batch"}, {"norm": "none", "activation": "sigmoid"}:
        explorer.set(**change)
        assert "critical" not in explorer.style.value


# --- with skips, there and back -----------------------------------------------------------------------------------------------

SKIPS = {
    "norm": ("none", "batch", "layer"),
    "skip": (False, True),
    "branch_scale": (0.0, 1.0),
    "order": ("pre", "post"),
}


@pytest.fixture(scope="module")
def both_ways():
    return Explorer(norm="none", skip=True, branch_scale=1.0, order="pre", backward=True)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"skip": 1}, "skip must be one of False, True, got 1"),
        ({"branch_scale": 2}, "branch_scale must be a finite number from 0 to 1, got 2"),
        ({"order": "before"}, "order must be one of 'pre', 'post', got 'before'"),
        ({"backward": "yes"}, "backward must be one of False, True, got 'yes'"),
    ],
    ids=str,
)
def test_a_skips_setting_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: Explorer(**bad), message)


def test_states_with_skips_are_drawn_there_and_back(both_ways, subtests):
    chance = random.Random(0)
    for values in product(*SKIPS.values()):
        state = dict(zip(SKIPS, values)) | random_state(chance)
        with subtests.test(**state):
            both_ways.set(**state)
            assert empty_panels(both_ways) == []
            assert {"nan", "inf"}.isdisjoint(re.findall(r"[\w.+-]+", both_ways.alt.lower())), (
                both_ways.alt
            )


def test_the_panels_are_the_profiles_stream_and_gradient(both_ways):
    state = {
        "depth": 9,
        "width": 32,
        "gain": 1.3,
        "activation": "relu",
        "norm": "batch",
        "skip": True,
        "branch_scale": 0.5,
        "order": "pre",
    }
    both_ways.set(dtype="float64", **state)
    seen = profile(
        build(**state, inputs=64, classes=10, seed=1), both_ways.x, both_ways.y, dtype="float64"
    )
    left, right = (drawing.lines[0].get_ydata() for drawing in both_ways.live.drawings)
    np.testing.assert_array_equal(left, seen.stream_std)
    np.testing.assert_array_equal(right, seen.gradient)
    table = Elements(both_ways.page.value).text
    assert f"{seen.stream_std[-1]:.3g}" in table and f"{seen.gradient[0]:.3g}" in table


@pytest.mark.parametrize(
    "state, factor",
    [
        ({"gain": 2.0}, 2**0.5),
        ({"gain": 0.9, "activation": "linear"}, 0.9),
        ({"gain": 2**0.5, "skip": True}, 2**0.5),
        ({"gain": 2.0, "skip": True, "branch_scale": 0.5, "activation": "linear"}, 2**0.5),
        (
            {
                "gain": 2.0,
                "skip": True,
                "branch_scale": 0.5,
                "activation": "linear",
                "order": "post",
            },
            2**0.5,
        ),
        ({"gain": 2.0, "skip": True, "order": "post"}, None),
        ({"gain": 2.0, "norm": "batch"}, None),
        ({"gain": 2.0, "activation": "tanh"}, None),
    ],
    ids=str,
)
def test_the_law_is_drawn_both_ways_where_there_is_one_and_a_wide_network_keeps_to_it(
    both_ways, state, factor
):
    settings = {
        "activation": "relu",
        "norm": "none",
        "skip": False,
        "branch_scale": 1.0,
        "order": "pre",
        "dtype": "float32",
    }
    both_ways.set(**settings | {"depth": 10, "width": 256} | state)
    for drawing, sense in zip(both_ways.live.drawings, (1, -1)):
        assert drawing.law.get_visible() == (factor is not None)
        if factor:
            law, measured = drawing.law.get_ydata(), drawing.lines[0].get_ydata()
            np.testing.assert_allclose(law[1:] / law[:-1], factor**sense, rtol=0.01)
            assert np.abs(np.log(measured / law)).max() < 0.7


def test_one_over_the_root_of_the_blocks_is_marked_and_moves_with_the_depth(both_ways):
    both_ways.set(depth=17, skip=True)
    assert "1/√blocks 0.25" in both_ways.style.value and "left: 25.00%" in both_ways.style.value
    both_ways.set(depth=5)
    assert "1/√blocks 0.50" in both_ways.style.value and "critical" not in both_ways.style.value
    both_ways.set(depth=1)
    assert "1/√blocks" not in both_ways.style.value


# --- a gradient as a product ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def products():
    return ProductExplorer()


def test_every_state_of_the_product_is_drawn(products, subtests):
    for factor, depth, activation in product(
        (-1, -0.3, 0, 0.01, 0.85, 1.5), (1, 30, 200), ACTIVATIONS
    ):
        with subtests.test(factor=factor, depth=depth, activation=activation):
            products.set(factor=factor, depth=depth, activation=activation)
            assert empty_panels(products) == []
            assert {"nan", "inf", "overflows"}.isdisjoint(
                re.findall(r"[\w.+-]+", products.alt.lower())
            ), products.alt


def test_the_real_gradient_is_that_of_a_network_whose_weights_have_the_factor(products):
    found = products.gradient(False, 0.5, 20, "linear")
    assert found[-1] == 1 and len(found) == 21
    np.testing.assert_allclose(found, 0.5 ** np.arange(20, -1, -1), rtol=0.5)
    np.testing.assert_array_equal(products.gradient(True, 0.0, 20, "relu"), 1)


def test_the_smallest_number_of_float32_is_drawn_where_the_product_comes_near_it(products):
    plain, skips = products.live.drawings
    products.set(factor=0.1, depth=50, activation="relu")
    assert plain.limit.get_visible() and not skips.limit.get_visible()
    assert (
        plain.limit_name.get_text() == "smallest float32"
        and plain.limit.get_ydata()[0] == 2.0**-149
    )
    products.set(factor=0.85, depth=30)
    assert not plain.limit.get_visible()


def test_a_setting_of_the_product_that_is_not_allowed_is_named(rejects):
    rejects(
        lambda: ProductExplorer(factor=-1.5),
        "factor must be a finite number from -1 to 1.5, got -1.5",
    )
    rejects(lambda: ProductExplorer(depth=0), "depth must be an integer from 1 to 200, got 0")


# --- the same matrix over and over ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def over_time():
    return RecurrentExplorer()


def test_every_state_over_time_is_drawn(over_time, subtests):
    for gain, steps, matrix in product((0.0, 0.01, 0.7, 1.0, 4.0), (1, 50, 200), MATRICES):
        with subtests.test(gain=gain, steps=steps, matrix=matrix):
            over_time.set(gain=gain, steps=steps, matrix=matrix)
            assert empty_panels(over_time) == []
            assert {"nan", "inf", "layer", "overflows"}.isdisjoint(
                re.findall(r"[\w.+-]+", over_time.alt.lower())
            ), over_time.alt


@pytest.mark.parametrize("kind", MATRICES)
def test_the_gradient_over_time_is_autograds_and_grows_by_the_spectral_radius(over_time, kind):
    over_time.set(gain=0.9, steps=200, matrix=kind)
    new, same = (drawing.lines[0].get_ydata() for drawing in over_time.live.drawings)
    generator = torch.Generator().manual_seed(1)
    weights = [0.9 * weight_matrix(kind, generator) for _ in range(200)]
    last = torch.randn(16, 64, generator=generator, dtype=torch.double)
    for shown, steps in (new, weights), (same, weights[:1] * 200):
        h = start = torch.zeros(16, 64, dtype=torch.double, requires_grad=True)
        for weight in reversed(steps):  # the first weight is the last step's
            h = h @ weight
        [gradient] = torch.autograd.grad(h, start, last)
        assert (
            shown[0] == pytest.approx(float(gradient.norm() / last.norm()), rel=1e-6)
            and shown[-1] == 1
        )
    radius = float(torch.linalg.eigvals(weights[0]).abs().max())
    assert (same[0] / same[100]) ** 0.01 == pytest.approx(radius, rel=0.01)
    assert (new[0] / new[100]) ** 0.01 == pytest.approx(0.9, rel=0.02)


def test_the_kinds_of_matrix_have_the_same_size(subtests):
    for kind in MATRICES:
        with subtests.test(kind=kind):
            stretches = torch.linalg.svdvals(weight_matrix(kind, torch.Generator().manual_seed(3)))
            assert float(stretches.square().mean()) == pytest.approx(1, rel=0.1)


def test_reset_and_the_mark_over_time():
    explorer = RecurrentExplorer(gain=0.7, steps=50, matrix="symmetric")
    state, page, png = explorer.state, explorer.page.value, explorer.png
    assert f"radius 1: {1 / explorer.radius['symmetric']:.2f}" in explorer.style.value
    for change in {"gain": 0.71}, {"steps": 51}, {"matrix": "orthogonal"}:
        explorer.set(**change)
        assert explorer.png != png
        png = explorer.png
    assert "radius 1: 1.00" in explorer.style.value
    explorer.children[0].children[-1].children[0].click()
    assert explorer.state == state and explorer.page.value == page


def test_the_alternative_text_speaks_of_steps():
    alt = RecurrentExplorer(gain=0.7, steps=50, matrix="symmetric").alt
    assert re.search(
        r"^A new matrix in each step: The gradient falls from 1 at step 50 to \S+ at step 0: a factor of \S+ a step\.",
        alt,
    )
    assert "The same matrix: The gradient grows from 1 at step 50" in alt


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"gain": 5}, "gain must be a finite number from 0 to 4, got 5"),
        ({"steps": 0}, "steps must be an integer from 1 to 200, got 0"),
        (
            {"matrix": "triangular"},
            "matrix must be one of 'random', 'symmetric', 'orthogonal', got 'triangular'",
        ),
        ({"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, got -1"),
    ],
    ids=str,
)
def test_a_setting_over_time_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: RecurrentExplorer(**bad), message)


# --- error against depth --------------------------------------------------------------------------------------------------------


def test_every_recorded_depth_is_drawn_and_its_errors_are_the_records(subtests):
    explorer, (arrays, about) = DepthExplorer(depth=8, skip=False), recorded("depths")
    for skip, depth in product((False, True), about["axes"]["depth"]):
        with subtests.test(skip=skip, depth=depth):
            explorer.set(skip=skip, depth=depth)
            assert empty_panels(explorer) == []
            at = about["axes"]["depth"].index(depth)
            train, test = (
                arrays[name][int(skip), at, -1].mean() for name in ("train_error", "test_error")
            )
            assert f"train error {train:.1%}, test error {test:.1%}" in explorer.alt
            assert explorer.live.drawings[0].lines[2].get_xdata().tolist() == [depth]


def test_the_button_trains_the_chosen_depth_and_each_epoch_is_drawn(monkeypatch):
    explorer = DepthExplorer(depth=8)
    explorer.fit = explorer.fit | {"epochs": 3}
    frames = []
    monkeypatch.setattr(
        explorer.live, "png", lambda draw=explorer.live.png: frames.append(1) or draw()
    )
    button = explorer.children[0].children[-1].children[-1]
    assert button.description == "train this depth now"
    button.click()
    assert len(frames) == 3 and "Now, after epoch 3:" in explorer.alt
    now = explorer.live.drawings[1].lines[2].get_ydata()
    assert len(now) == 3 and now[-1] < now[0]
    explorer.set(depth=14)
    assert "Now" not in explorer.alt
    explorer.set(depth=8)
    assert "Now, after epoch 3:" in explorer.alt, "it is kept"


def test_a_depth_that_was_not_recorded_is_named(rejects):
    rejects(
        lambda: DepthExplorer(depth=9),
        "depth must be one of 8, 14, 20, 26, 32, 38, 44, 50, 56, got 9",
    )


# --- loss surfaces ----------------------------------------------------------------------------------------------------------------


def bowl(bumps=0.0):
    a, b = np.meshgrid(*[np.linspace(-1, 1, 15)] * 2)
    return a**2 + b**2 + bumps * np.cos(7 * a) * np.cos(7 * b)


def test_a_surface_is_turned_and_its_minima_are_counted():
    explorer = SurfaceExplorer({"rugged": bowl(0.5), "smooth": bowl()})
    assert (
        "rugged: the loss is 0.5 in the middle and" in explorer.alt
        and "smooth: the loss is 0 in the middle and 2 at most, with 1 local minimum."
        in explorer.alt
    )
    assert int(re.search(r"with (\d+) local minima", explorer.alt)[1]) >= 4
    seen = {explorer.png}
    for state in {"turn": 46}, {"tilt": 31}, {"tilt": 90}, {"turn": 360}:
        explorer.set(**state)
        seen.add(explorer.png)
    assert len(seen) == 5
    explorer.set(turn=45, tilt=30)
    assert explorer.png in seen, "the same view, the same picture"


def test_a_surface_that_is_not_finite_everywhere_is_drawn():
    heights = bowl()
    heights[0, 0], heights[3, 3] = np.inf, np.nan
    explorer = SurfaceExplorer({"one": heights, "two": bowl()})
    assert len(explorer.live.drawings) == 2 and explorer.png
    rejected = pytest.raises(ValueError, match="tilt must be an integer from 0 to 90, got 91")
    with rejected:
        SurfaceExplorer({"one": bowl(), "two": bowl()}, tilt=91)


# --- running averages ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def averages():
    return AveragesExplorer()


def test_running_averages_approach_the_moments_of_all_digits(averages):
    def distance(batches):
        averages.set(mode="eval", batches=batches, batch=64, momentum=0.1)
        told = re.findall(
            r"running (?:mean|variance) (?:is )?(-?[\d.]+) \((?:of all training digits )?(-?[\d.]+)\)",
            averages.alt,
        )
        assert len(told) == 2, averages.alt
        return max(abs(float(running) - float(whole)) for running, whole in told)

    assert distance(0) > 0.5
    assert distance(100) < 0.25


def test_in_train_mode_the_output_is_normalized_whatever_was_seen(averages):
    for batches in 0, 100:
        averages.set(mode="train", batches=batches)
        assert "mean 0.00 and variance 1.00" in averages.alt.replace("-0.00", "0.00")
    averages.set(mode="eval", batches=0)
    assert "mean 0.00 and variance 1.00" not in averages.alt


def test_every_state_of_the_averages_is_drawn(averages, subtests):
    for mode, batches, batch, momentum in product(
        ("train", "eval"), (0, 1, 100), (2, 256), (0.01, 1.0)
    ):
        with subtests.test(mode=mode, batches=batches, batch=batch, momentum=momentum):
            averages.set(mode=mode, batches=batches, batch=batch, momentum=momentum)
            assert empty_panels(averages) == []


def test_a_setting_of_the_averages_that_is_not_allowed_is_named(rejects):
    rejects(
        lambda: AveragesExplorer(momentum=0),
        "momentum must be a finite number from 0.01 to 1, got 0",
    )
    rejects(
        lambda: AveragesExplorer(mode="test"), "mode must be one of 'train', 'eval', got 'test'"
    )


# --- the map ------------------------------------------------------------------------------------------------------------------


def history(fill):
    errors = np.full((3, 2, 4), fill)
    errors[:, 1, 3] = 1.0
    loss = np.where(errors == 1, np.nan, errors)
    return History(loss, errors, errors, ~np.isfinite(loss).all(0))


def test_the_map_of_a_stopped_run_shows_what_was_finished(rejects):
    whole = history(0.5)

    def stopped(epochs):
        return History(
            whole.loss[:epochs],
            whole.train_error[:epochs],
            whole.test_error[:epochs],
            whole.diverged,
            stopped=True,
        )

    explorer = MapExplorer(
        {"none": whole, "batch": stopped(2)}, lr=[0.01, 0.1], gain=[0.5, 1, 2, 4]
    )
    assert explorer.state["epoch"] == 2
    message = "histories must each have at least one finished epoch, got a stopped run among ['none', 'batch']"
    rejects(
        lambda: MapExplorer(
            {"none": whole, "batch": stopped(0)}, lr=[0.01, 0.1], gain=[0.5, 1, 2, 4]
        ),
        message,
    )


def test_the_map_shows_the_chosen_epoch_norm_and_cell():
    explorer = MapExplorer(
        {"none": history(0.5), "batch": history(0.02)}, lr=[0.01, 0.1], gain=[0.5, 1, 2, 4]
    )
    assert [*explorer.controls] == ["norm", "epoch", "lr", "gain"]
    assert explorer.alt.startswith(
        "norm batch, epoch 3: 7 of 8 cells are over 90 %, 1 diverged (×)."
    )
    assert "Train error at learning rate 0.01, gain 2: none 50%, batch 2%." in explorer.alt
    frames = {explorer.png}
    for change in {"epoch": 1}, {"norm": "none"}, {"lr": 0.1}, {"gain": 4.0}:
        explorer.set(**change)
        frames.add(explorer.png)
        assert empty_panels(explorer) == []
    assert len(frames) == 5
    assert "none diverged, batch diverged" in explorer.alt
    with pytest.raises(ValueError, match="epoch must be one of 1, 2, 3, got 4"):
        explorer.set(epoch=4)
