"""What the lessons say in their answers to "try this", which the reader sees in the explorer and no cell prints."""

import numpy as np
import pytest

from helpers import build, digits, profile


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
