"""What the lessons say in their answers to "try this", which the reader sees in the explorer and no cell prints."""

import numpy as np
import pytest

from helpers import Explorer, build, digits, profile, sweep


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
    assert 300 < (1.41 / 2**0.5) ** 49 / (explored(1.41, width=10).std[-1] / explored(1.41, width=10).std[0]) < 3000


# --- 03 -----------------------------------------------------------------------------------------------------------------------


def normed(gain=3.0, batch=256, beta=0.0):
    """What the explorer of lesson 03 shows at these settings."""
    explorer = Explorer(depth=50, gain=3.0, width=128, norm="batch", batch=256, gamma=1.0, beta=0.0)
    return explorer.look("float32", batch, 1.0, beta, depth=50, gain=gain, width=128, activation="relu", norm="batch")


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
    assert (seen.counts[-1] * (seen.edges[-1, 1:] > 0)).sum() < 0.02 * seen.counts[-1].sum()


def test_03_the_band_grows_long_tails_with_depth():
    seen = normed()
    far = (seen.counts * (np.abs((seen.edges[:, 1:] + seen.edges[:, :-1]) / 2) > 4)).sum(-1) / seen.counts.sum(-1)
    assert far[-1] > 0.002
    assert far[-1] > 5 * far[0]


def test_03_after_30_batches_the_averages_have_forgotten_their_start():
    assert 0.9**30 < 0.05 and 0.99**100 > 1 / 3


# --- 04 -----------------------------------------------------------------------------------------------------------------------


def test_04_with_batch_norm_at_least_eight_times_as_many_cells_of_the_map_train():
    """Three seeds of the lesson's map: learning rate x gain, 192 networks a norm."""
    grid = {"norm": ["none", "batch"], "seed": [0, 1, 2], "lr": np.logspace(-3, 0.5, 8), "gain": 2**0.5 * 10 ** (2 / 7 * np.arange(-4, 4))}
    settings = {"depth": 10, "width": 32, "epochs": 10, "batch": 64, "schedule": "constant"}
    trained = sweep(grid, digits(0), progress=False, **settings).train_error < 0.1
    without, with_it = trained.mean((1, 2, 3))
    assert with_it >= max(8 * without, 0.4)
    lessons, he = trained[:, 0], 4  # the lesson's seed, and the column of He's gain
    assert lessons[0].sum(0).nonzero()[0].tolist() == [he], "without batch norm one column fills in"
    assert not lessons[1, 2, -1], "at gain 10, learning rate 0.01 is too small"
    assert lessons[1, 4, -1], "and 0.1 is not"
    assert not lessons[1, -2:].any(), "learning rates of 1 and more"
    columns = trained[1].mean(0).argmax(0)  # of each gain, the least learning rate at which most seeds train
    assert columns[-1] > columns[1], "a larger gain needs a larger learning rate"
