"""What the lessons say in their answers to "try this", which the reader sees in the explorer and no cell prints."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import (
    Explorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
    Trainer,
    build,
    check,
    digits,
    fit,
    profile,
    recorded,
    sweep,
)
from helpers.checks import Mistake
from helpers.live.playground import Run
from helpers.networks import BatchNorm

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def stored(name, cell):
    """What a cell of a lesson has printed, as it is stored; nbval compares it with a new run."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    [outputs] = [found["outputs"] for found in cells if found["id"] == cell]
    return "".join("".join(output["text"]) for output in outputs if "text" in output)


def numbers(text, before):
    """The numbers that follow the word `before`, with a colon or a blank between them."""
    return [float(found) for found in re.findall(rf"{before}[: ]\s*([-+.\de]+)", text)]


def explored(gain, *, depth=50, width=256, dtype=None):
    """What the explorer of lesson 02 shows at these settings."""
    net = build(depth, width, inputs=64, classes=10, gain=gain, seed=1)
    return profile(net, digits(0).x[:256], dtype=dtype)


@pytest.mark.parametrize("depth, slip", [(50, 0.07), (200, 0.02)])
def test_02_a_small_slip_of_the_gain_makes_the_last_layer_ten_times_too_large(depth, slip):
    assert ((2**0.5 + slip) / 2**0.5) ** depth > 10 > ((2**0.5 + slip - 0.01) / 2**0.5) ** depth
    at_hes, beyond = (explored(gain, depth=depth).std[-1] for gain in (2**0.5, 2**0.5 + slip))
    assert beyond / at_hes > 10


def test_02_the_line_is_level_near_1_41():
    factors = {gain: explored(gain).std[-1] / explored(gain).std[0] for gain in (1.31, 1.41, 1.51)}
    assert factors[1.31] < 0.1 and 0.5 < factors[1.41] < 2 and factors[1.51] > 10


def test_02_float16_overflows_at_layer_17_and_bfloat16_does_not():
    lost = explored(2.5, dtype="float16").nonfinite
    assert np.flatnonzero(lost)[0] + 1 == 17
    assert not explored(2.5, dtype="bfloat16").nonfinite.any()


def test_02_a_network_of_width_10_sinks_a_thousandfold():
    assert (
        300
        < (1.41 / 2**0.5) ** 49
        / (explored(1.41, width=10).std[-1] / explored(1.41, width=10).std[0])
        < 3000
    )


def test_02_profile_measures_what_the_lesson_measured_by_hand():
    text = stored("02_signal_drift", "drift-12")
    by_hand, profiled = numbers(text, "by hand"), numbers(text, "profile")
    assert len(by_hand) == 3 and by_hand == pytest.approx(profiled, rel=0.01)


def test_02_a_step_moves_each_layer_further_than_the_one_before_it():
    moved = numbers(stored("02_signal_drift", "drift-37"), r"layer +\d+")
    assert len(moved) == 4 and moved == sorted(moved)
    assert moved[1] > 1 / 10 and moved[-1] > 1 / 3, "layers 4 and 10"


# --- 03 -----------------------------------------------------------------------------------------------------------------------


def normed(gain=3.0, batch=256, beta=0.0):
    """What the explorer of lesson 03 shows at these settings."""
    explorer = Explorer(depth=50, gain=3.0, width=128, norm="batch", batch=256, gamma=1.0, beta=0.0)
    return explorer.look(
        "float32", batch, 1.0, beta, depth=50, gain=gain, width=128, activation="relu", norm="batch"
    )


def test_03_with_batch_norm_the_gain_does_nothing():
    tiny, small, large = normed(gain=0.01), normed(gain=0.2), normed(gain=4.0)
    assert tiny.std[-1] < 0.95 * large.std[-1], "there eps shows"
    np.testing.assert_allclose(small.std[:5], large.std[:5], rtol=0.01)
    assert small.std.min() > 0.4 and large.std.max() < 0.8


def test_03_at_batch_2_nearly_every_value_is_plus_or_minus_one_or_zero():
    pre = normed(batch=2)
    middles = (pre.edges[:, 1:] + pre.edges[:, :-1]) / 2
    near = (np.abs(np.abs(middles) - 1) < 0.05) | (np.abs(middles) < 0.05)
    assert ((pre.counts * near).sum(-1) > 0.97 * pre.counts.sum(-1)).all()


def test_03_with_beta_at_minus_3_units_fall_silent_and_few_values_get_through():
    seen = normed(beta=-3.0)
    assert seen.dead[0] > 0.7
    assert 0.1 < seen.dead[-1] < 0.4
    net, through = build(50, 128, inputs=64, classes=10, gain=3.0, norm="batch", seed=1), []
    for layer in net.modules():
        if isinstance(layer, BatchNorm):
            torch.nn.init.constant_(layer.beta, -3.0)
            layer.register_forward_hook(
                lambda layer, x, z: through.append((z > 0).float().mean().item())
            )
    net(digits(0).x[:256])
    assert len(through) == 50 and 1 / 400 < min(through[4:]) <= max(through[4:]) < 1 / 100


def test_03_the_band_grows_long_tails_with_depth():
    seen = normed()
    far = (seen.counts * (np.abs((seen.edges[:, 1:] + seen.edges[:, :-1]) / 2) > 4)).sum(
        -1
    ) / seen.counts.sum(-1)
    assert far[-1] > 0.002
    assert far[-1] > 5 * far[0]


def test_03_after_30_batches_the_averages_have_forgotten_their_start():
    assert 0.9**30 < 0.05 and 0.99**100 > 1 / 3


# --- 04 -----------------------------------------------------------------------------------------------------------------------

BUYS = "04_what_batch_norm_buys"


def test_04_the_lessons_map():
    """What the text says of it; how many cells train with batch norm varies by a few."""
    text = stored(BUYS, "buys-10")
    without, with_it = numbers(text, "Measured")
    assert without == 2 and 31 <= with_it <= 35
    assert re.findall(r"from ([\d.]+) to ([\d.]+)", text) == [
        ("0.004", "0.016"),
        ("0.00025", "0.26"),
    ]


@pytest.mark.slow
def test_04_the_largest_learning_rate_that_trains_rises_sixteenfold_and_every_gain_will_do():
    """Two seeds of the lesson's map: learning rate x gain, 64 networks a norm."""
    grid = {
        "norm": ["none", "batch"],
        "seed": [0, 1],
        "lr": 0.001 * 4.0 ** np.arange(-1, 7),
        "gain": 2**0.5 * 2.0 ** np.arange(-4, 4),
    }
    settings = {"depth": 10, "width": 32, "epochs": 10, "batch": 64, "schedule": "constant"}
    trained = sweep(grid, digits(0), progress=False, **settings).train_error < 0.1
    he, rates = 4, {"0.004": 2, "0.016": 3, "0.064": 4, "0.256": 5}
    for seed in 0, 1:
        without, with_it = trained[0, seed], trained[1, seed]
        assert np.argwhere(without).tolist() == [[rates["0.004"], he], [rates["0.016"], he]]
        assert with_it[rates["0.064"]].all() and with_it[rates["0.256"]].all()
        assert not with_it[6:].any(), "learning rates of 1 and more"
        assert np.flatnonzero(~with_it[rates["0.016"]]).tolist() == [6, 7]
        assert np.flatnonzero(with_it[:, 7]).tolist() == [4, 5], "at gain 11"
        edge = with_it.argmax(0)  # of each gain, the least learning rate that trains
        assert (np.diff(edge[3:]) >= 0).all() and 3 <= edge[7] - edge[3] <= 4


def test_04_with_hes_gain_the_rate_of_the_least_error_rises_less():
    errors = recorded("rates")[0]["train_error"][:, :, -1, :, 8]  # seed, norm, learning rate
    best = np.logspace(-3, 0.5, 16)[errors.argmin(-1)]
    assert (best[:, 0] > 0.007).all() and (best[:, 0] < 0.016).all()
    assert (best[:, 1] > 0.02).all() and (best[:, 1] < 0.08).all()


@pytest.mark.parametrize("seed", range(4))
def test_04_at_twice_the_length_the_gradient_is_half_as_large_and_perpendicular(seed):
    lengths, gradients, losses, x, y = [], [], [], *digits(0)[:2]
    for gain in (1, 2):
        net = build(10, 32, norm="batch", gain=gain, seed=seed)
        loss = torch.nn.functional.cross_entropy(net(x[:256]), y[:256])
        loss.backward()
        weight, gradient = net[0].weight, net[0].weight.grad
        assert abs((weight * gradient).sum()) < 1e-3 * weight.norm() * gradient.norm()
        lengths.append(weight.norm().item())
        gradients.append(gradient.norm().item())
        losses.append(loss.item())
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-4)
    assert gradients[1] == pytest.approx(gradients[0] / 2, rel=0.01)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_04_a_small_gain_repairs_itself_and_a_large_one_does_not(seed):
    for gain, least, most in ((0.088, 50, 1000), (11.3, 1, 1.02)):
        net = build(10, 32, norm="batch", gain=gain, seed=seed)
        before = net[0].weight.norm().item()
        fit(net, digits(0), lr=0.256, epochs=1, batch=64, schedule="constant", progress=False)
        assert least * 0.999 < net[0].weight.norm().item() / before < most


def test_04_the_lessons_drift_errors_and_ranges():
    """The claims about what the lesson has printed; the numbers vary from machine to machine."""
    drifts = stored(BUYS, "buys-20")
    none, batch, noise = (numbers(line, "drift")[0] for line in drifts.splitlines())
    assert 10 * batch < noise < none
    lines = stored(BUYS, "buys-26").splitlines()
    at_01, at_003 = (
        [numbers(line, word)[0] for line in lines[:3]] for word in ("at 0.1", "at 0.03")
    )
    assert at_01[0] > 50 and at_01[1] < 5 and at_01[2] < 20
    assert at_003[0] < 20 and 1 < at_003[2] < 20 and at_003[1] < 2
    rough, smooth = numbers(stored(BUYS, "smooth-33"), "range")
    assert rough > 1 and smooth < 0.5
    layer, batch = (float(found) for found in re.findall(r"(\d+)%", stored(BUYS, "buys-33")))
    assert layer > 70 and batch < 40
    assert numbers(stored(BUYS, "buys-36"), "training takes")[0] > 1.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3, 6])
def test_04_noise_does_not_take_the_high_learning_rate_away(seed):
    """Three starts each; of the lesson's own noise."""
    [noise] = lesson(BUYS, "Noise")
    error = {}
    for kind, norm in (("none", "none"), ("batch", "batch"), ("noise", "batch")):
        for rate in (0.1, 0.03):
            seeds = [seed, seed + 1, seed + 2]
            nets, layers = build(10, 64, norm=norm, stack=(3,), seed=seeds), []
            for layer in nets:
                if kind == "noise" and isinstance(layer, torch.nn.ReLU):
                    layers.append(noise(64, seed=len(layers)))
                layers.append(layer)
            nets = torch.nn.Sequential(*layers)
            settings = {"epochs": 8, "batch": 64, "schedule": "constant", "progress": False}
            error[kind, rate] = fit(nets, digits(0), lr=rate, **settings).train_error[-1].mean()
    assert error["none", 0.1] > 0.5 and error["noise", 0.1] < 0.15 and error["batch", 0.1] < 0.05
    assert 0.2 > error["noise", 0.03] > 3 * error["batch", 0.03]


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_04_after_100_steps_the_loss_along_a_step_is_steep_without_norm_only(seed):
    [along] = lesson(BUYS, "losses_along_step")
    data = digits(0)
    along.__globals__.update(x=data.x[:256], y=data.y[:256])
    lengths = [0, 0.05, 0.2, 0.3, 0.4]
    for norm in ("none", "batch"):
        net = build(10, 32, norm=norm, seed=seed)
        trainer = Trainer(net, data, lr=0.03, batch=64, momentum=0)
        losses = along(net, lengths)
        assert max(losses) <= losses[0] + 0.05, "at the start, no step does harm"
        for _ in range(100):
            trainer.step()
        losses = along(net, lengths)
        if norm == "none":
            assert losses[-1] > 3 * losses[0]
        else:
            assert max(losses) < 1.1 * losses[0]


# --- 05 -----------------------------------------------------------------------------------------------------------------------


def lesson(name, *wanted):
    """The functions of these names as a lesson defines them, with all that its cells import."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    trees = [
        ast.parse("".join(cell["source"])).body for cell in cells if cell["cell_type"] == "code"
    ]
    kept = [
        node
        for tree in trees
        for node in tree
        if isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "name", "") in wanted
    ]
    space = {}
    exec(compile(ast.Module(kept, []), name, "exec"), space)  # noqa: S102, the text is our own
    return [space[one] for one in wanted]


def initial(activation="relu", depth=50, width=256, batch=256, seeds=1, **settings):
    """The Profile, with its gradient, of networks at initialization."""
    shape = {"inputs": 64, "classes": 10, "seed": list(range(seeds)), "stack": (seeds,)}
    data = digits(0)
    return profile(
        build(depth, width, activation=activation, **shape, **settings),
        data.x[:batch],
        data.y[:batch],
    )


def typical(values):
    return np.exp(np.log(values).mean())


def back(seen):
    """By how much the gradient grows from the last layer to the first: the seeds' geometric mean."""
    return typical(seen.gradient[0] / seen.gradient[-1])


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("factor, depth", [(0.85, 30), (0.1, 50), (1.1, 50), (-0.5, 7)])
def test_05_the_drawn_product_is_autograds_and_a_finite_differences(factor, depth, skip):
    def chain(x):
        for _ in range(depth):
            x = factor * x + skip * x
        return x

    x = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
    [gradient] = torch.autograd.grad(chain(x), x)
    difference = (chain(1 + 1e-6) - chain(1 - 1e-6)) / 2e-6
    explorer = ProductExplorer(factor=factor, depth=depth)
    drawn = explorer.live.drawings[skip].lines[0].get_ydata()[0]
    assert (
        drawn
        == pytest.approx(abs(gradient.item()), rel=1e-9)
        == pytest.approx(abs(difference), rel=1e-6)
    )


def test_05_the_articles_curve_ends_at_0_007_and_the_real_plain_network_keeps_to_it():
    plain, _ = ProductExplorer(factor=0.85, depth=30).live.drawings
    toy, real = (line.get_ydata() for line in plain.lines)
    assert 0.006 < toy[0] < 0.008 and toy[-1] == 1.0 and len(toy) == 31
    assert np.abs(np.log(real / toy)).max() < np.log(1.5)


def test_05_0_1_fifty_times_is_zero_in_float32_and_the_line_crosses_its_smallest_number_between_0_12_and_0_13():
    assert (
        torch.tensor(0.1).repeat(50).prod()
        == 0
        < torch.tensor(0.1, dtype=torch.double).repeat(50).prod()
    )
    assert 0.12**50 < 2.0**-149 < 0.13**50


def test_05_at_factor_1_tanh_falls_behind_the_product_and_sigmoid_far_behind():
    ends = {
        name: ProductExplorer(factor=1, depth=50, activation=name)
        .live.drawings[0]
        .lines[1]
        .get_ydata()[0]
        for name in ("tanh", "sigmoid")
    }
    assert ends["sigmoid"] < 1e-6 < ends["tanh"] < 0.5


def test_05_the_real_relu_network_keeps_to_the_product_to_a_factor_of_two_or_so():
    for seed in range(4):
        toy, real = (
            line.get_ydata() for line in ProductExplorer(depth=50, seed=seed).live.drawings[0].lines
        )
        assert 0.3 < real[0] / toy[0] < 2


def test_05_one_gain_levels_both_ways_for_relu():
    relu = initial(gain=1.41, width=128)
    assert 0.2 < relu.stream_std[-1] / relu.stream_std[0] < 5 and 0.2 < back(relu) < 5


def test_05_a_narrow_relu_network_at_hes_gain_loses_some_of_its_signal():
    seen = profile(
        build(50, 128, inputs=64, classes=10, gain=1.41, seed=1),
        digits(0).x[:256],
        digits(0).y[:256],
    )
    assert (
        0.2 < seen.stream_std[-1] / seen.stream_std[0] < 0.5
        and 0.5 < seen.gradient[0] / seen.gradient[-1] < 2
    )


def test_05_tanhs_signal_finds_a_level_and_its_gradient_rises_and_falls():
    seen = initial("tanh", gain=1.15, width=128, seeds=4)
    assert (seen.stream_std[9] / seen.stream_std[0] < 0.6).all() and typical(
        seen.stream_std[-1] / seen.stream_std[9]
    ) > 0.8
    assert 0.5 < back(seen) < 2
    assert (
        typical(seen.gradient[9] / seen.gradient[-1]) > 1.3
        and typical(seen.gradient[0] / seen.gradient[9]) < 0.8
    )


def test_05_batch_norm_levels_the_signal_at_any_gain_and_the_gradient_climbs():
    for gain in 0.5, 3.0:
        seen = initial(gain=gain, width=128, norm="batch")
        assert (np.abs(seen.stream_std - 1) < 0.2).all() and back(seen) > 1000


def test_05_the_gradient_climbs_faster_in_smaller_batches_down_to_three():
    climbs = {
        batch: back(initial(width=128, norm="batch", batch=batch)) for batch in (256, 64, 8, 3, 2)
    }
    assert climbs[256] < climbs[64] < climbs[8] < climbs[3] > climbs[2]
    assert back(initial(width=256, norm="batch", batch=2)) > 1e10, (
        "a batch of two is a matter of luck: the few steep pairs win"
    )


@pytest.mark.parametrize(
    "activation, low, high", [("relu", 1.211 * 0.98, 1.211 * 1.02), ("linear", 1.00, 1.03)]
)
def test_05_batch_norm_makes_the_gradient_grow_by_the_theorys_factor_a_layer(activation, low, high):
    assert low < back(initial(activation, batch=512, seeds=5, norm="batch")) ** (1 / 49) < high


@pytest.mark.slow
def test_05_gradients_shatter_in_plain_networks_and_less_with_skips():
    grown, slope, autocorrelation = lesson(
        "05_vanishing_gradients", "grown", "slope", "autocorrelation"
    )
    points = torch.linspace(-2, 2, 256)

    def lag_1(*args, **settings):
        return np.array(
            [
                autocorrelation(slope(grown(*args, seed, **settings), points), [1])[0]
                for seed in range(8)
            ]
        )

    assert (lag_1(2) >= 0.9).all()
    for depth in 24, 50:  # of white noise, lag 1 scatters by 1 / √256 = 0.06
        assert abs(lag_1(depth).mean()) <= 0.1 and (abs(lag_1(depth)) < 0.25).all()
    assert (lag_1(51, skip=True, branch_scale=0.1) >= 0.6).all()
    assert (lag_1(50, norm="none") >= 0.9).all(), "the naive set-up fails"


def test_05_without_norm_no_unit_switches():
    grown, switches = lesson("05_vanishing_gradients", "grown", "switches")
    switches.__globals__["points"] = torch.linspace(-2, 2, 256)
    assert switches(grown(50, norm="none")) == 0
    assert switches(grown(50)) > 0.5


# --- 06 -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_06_the_real_network_keeps_to_pythagoras_and_not_to_the_product():
    for factor in 0.85, 0.1, -1.0:
        _, skips = ProductExplorer(factor=factor, depth=50).live.drawings
        real = skips.lines[1].get_ydata()
        assert np.abs(np.log(real / (1 + factor**2) ** (np.arange(50, -1, -1) / 2))).max() < np.log(
            4
        )  # of 3e7


def test_06_the_products_right_panel_is_level_only_at_factor_0():
    plain, skips = ProductExplorer(factor=0, depth=30).live.drawings
    assert (skips.lines[0].get_ydata() == 1).all() and (plain.lines[0].get_ydata()[:-1] == 0).all()
    _, skips = ProductExplorer(factor=-1, depth=30).live.drawings
    assert (skips.lines[0].get_ydata()[:-1] == 0).all()


def test_06_without_norm_variance_doubles_and_the_gradient_grows_by_root_2_a_block():
    seen = initial(seeds=5, skip=True)
    assert 1.8 < typical(seen.stream_std[-1] / seen.stream_std[0]) ** (2 / 49) < 2.1
    assert 1.35 < back(seen) ** (1 / 49) < 1.5


@pytest.mark.parametrize(
    "activation, power", [("relu", 0.5 * np.pi / (np.pi - 1)), ("linear", 0.5)]
)
def test_06_with_batch_norm_the_gradient_grows_like_a_power_of_the_blocks(activation, power):
    """Block l multiplies the squared gradient by 1 + c/l: not linear growth, as some texts say, but the power c/2."""
    blocks = np.array([5, 10, 20, 40, 80, 160])
    seen = [
        initial(activation, depth=n + 1, width=128, seeds=3, skip=True, norm="batch")
        for n in blocks
    ]
    assert np.polyfit(np.log(blocks), np.log([*map(back, seen)]), 1)[0] == pytest.approx(
        power, abs=0.1
    )
    added = [
        (one.stream_std[-1] ** 2 - one.stream_std[0] ** 2).mean() / n
        for one, n in zip(seen, blocks)
    ]
    np.testing.assert_allclose(added, 1, atol=0.2)


def test_06_the_scaled_blocks_singular_values_stay_in_a_band_where_the_plain_products_spread():
    [jacobian] = lesson("06_skip_connections", "jacobian")
    for seed in range(5):
        scaled, plain = (
            torch.linalg.svdvals(jacobian(skip, 100, 0.1, seed)) for skip in (True, False)
        )
        assert 0.1 < scaled.min() < scaled.max() < 10
        assert plain.max() / plain.min().clamp(min=1e-300) > 1e15


def test_06_at_the_mark_both_lines_are_nearly_level_at_any_depth():
    for depth in 10, 50, 200:
        seen = initial(
            depth=depth, width=128, gain=1.41, skip=True, branch_scale=round((depth - 1) ** -0.5, 2)
        )
        assert 1 < seen.stream_std[-1] / seen.stream_std[0] < 2.5 and 1 < back(seen) < 3


def test_06_what_the_explorer_tells_of_batch_norm_and_of_the_order():
    settings = {"width": 128, "gain": 1.41, "norm": "batch"}
    assert 10 < back(initial(skip=True, **settings)) < 20 and 5e3 < back(initial(**settings)) < 5e4
    assert back(initial(skip=True, order="post", **settings)) < 20
    assert back(initial("tanh", skip=True, order="post", **settings)) > 10 * back(
        initial("tanh", skip=True, **settings)
    )


def test_06_a_scale_that_stays_at_0_14_makes_both_about_seven_times_as_large_at_200_layers():
    seen = initial(depth=200, width=128, gain=1.41, skip=True, branch_scale=0.14)
    assert 4 < seen.stream_std[-1] / seen.stream_std[0] < 11 and 4 < back(seen) < 11


# --- 07 -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_07_with_10_layers_both_surfaces_are_a_single_bowl_and_the_one_with_skips_is_wider():
    [_, surface] = lesson("07_going_deeper", "direction", "surface")
    surface.__globals__["data"] = data = digits(0)
    surfaces = {}
    for name, skip in (("plain", False), ("skips", True)):
        net = build(10, 32, inputs=64, classes=10, norm="batch", skip=skip, seed=0)
        assert fit(net, data, lr=0.03, epochs=20, batch=64, progress=False).train_error[-1] < 0.01
        surfaces[name] = surface(net)
    assert all(one.argmin() == 112 and one.min() < 0.1 for one in surfaces.values())
    assert [drawing.minima for drawing in SurfaceExplorer(surfaces).live.drawings] == [1, 1]
    assert np.median(surfaces["plain"]) > 3 and np.median(surfaces["skips"]) < 1.5


@pytest.mark.slow
def test_07_a_scale_learned_from_0_needs_a_smaller_learning_rate():
    with pytest.raises(Mistake, match="it diverged"):
        check("two_hundred", lambda: {"skip": True, "branch_scale": 0.0})
    for lr in 0.03, 0.01:
        check("two_hundred", lambda lr=lr: {"skip": True, "branch_scale": 0.0, "lr": lr})


# --- 08 -----------------------------------------------------------------------------------------------------------------------


def over_time(**settings):
    """The gradients that the explorer of lesson 08 shows: with a new matrix in each step, and with the same."""
    return [drawing.lines[0].get_ydata() for drawing in RecurrentExplorer(**settings).live.drawings]


def test_08_between_half_and_one_the_symmetric_matrix_explodes_where_new_ones_vanish():
    explorer = RecurrentExplorer(matrix="symmetric")
    [(name, mark, text)] = explorer.marks(**explorer.state)
    assert (name, text) == ("gain", "radius 1: 0.53") and round(mark, 2) == 0.53
    for gain in 0.6, 0.9:
        new, same = over_time(gain=gain, steps=200, matrix="symmetric")
        assert new[0] < 1e-6 and same[0] > 1e6
    new, same = over_time(gain=0.45, steps=200, matrix="symmetric")
    assert new[0] < 1e-6 and same[0] < 1e-6
    assert 1.7 < explorer.radius["symmetric"] < 2


def test_08_with_independent_entries_the_panels_are_alike_at_50_steps_and_not_at_200():
    new, same = over_time(gain=1, steps=50, matrix="random")
    assert 0.5 < same[0] / new[0] < 2
    new, same = over_time(gain=1, steps=200, matrix="random")
    assert 50 < same[0] / new[0] < 200
    explorer = RecurrentExplorer(gain=1, steps=200, matrix="random", seed=4)
    new, same = (drawing.lines[0].get_ydata() for drawing in explorer.live.drawings)
    assert same[0] / new[0] > 1e6, "other draws are less tame"
    assert 1.01 < RecurrentExplorer(matrix="random").radius["random"] < 1.03


@pytest.mark.slow
def test_08_an_orthogonal_matrix_is_level_at_gain_1_and_a_slip_of_0_02_is_too_much_for_200_steps():
    for new_or_same in over_time(gain=1, steps=200, matrix="orthogonal"):
        np.testing.assert_allclose(new_or_same, 1)
    for gain, level in (1.01, True), (0.99, True), (1.02, False), (0.98, False):
        for gradient in over_time(gain=gain, steps=200, matrix="orthogonal"):
            assert (0.1 < gradient[0] < 10) == level


# --- 09 -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "cure",
    [
        {"norm": "none"},
        {"norm": "batch"},
        {"lr": 0.1},
        {"lr": 0.001},
        {"gain": 3.0},
        {"width": 128},
        {"batch": 256},
    ],
)
def test_09_no_other_knob_than_the_skip_cures_the_stuck_network(cure):
    with pytest.raises(Mistake, match="'stuck' with .* (is still wrong|diverges)"):
        check("one_knob", lambda: {"fades": ..., "explodes": ..., "stuck": cure})


def test_09_the_stuck_networks_panels_show_nothing_at_step_0_and_its_digits_are_alike():
    run = Run(depth=40, norm="layer")
    seen = run.look().profile
    assert (
        0.1 < seen.std[-1] / seen.std[0] < 10 and 0.01 < seen.gradient[0] / seen.gradient[-1] < 100
    )
    outputs = torch.nn.functional.normalize(run.net[:-1](run.data.x[:256]), dim=1)
    assert (outputs @ outputs.T).mean() > 0.95
    seen = run.advance(100).look().profile
    assert seen.gradient[0] < 1e-3 * seen.gradient[-1]


@pytest.mark.slow
def test_09_with_30_layers_a_spiral_is_lost_and_a_skip_past_a_small_branch_brings_it_back():
    spirals = {"data": "spirals", "depth": 30, "lr": 0.03}
    for seed in range(3):
        assert Run(**spirals, seed=seed).advance(300).errors[-1][1] > 0.25
        assert (
            Run(**spirals, skip=True, branch_scale=0.18, seed=seed).advance(300).errors[-1][1] < 0.1
        )
