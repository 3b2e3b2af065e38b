"""A bad argument gets one line that names it, says what is allowed and what was given."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import build, digits, profile

NAN, INF = float("nan"), float("inf")
SEED = "an integer from 0 to 9223372036854775807"
GAIN = "a finite number from 0 up"
GOOD = {"depth": 2, "width": 4, "inputs": 8, "classes": 3}

# argument, value, what is allowed; what was given is its repr.
BUILD = [
    *[
        ("depth", value, "an integer from 1 to 2000")
        for value in (0, -1, 2001, True, 2.5, 2.0, "2", None, NAN)
    ],
    *[("width", value, "an integer from 1 to 4096") for value in (0, 4097, "wide", True, 1.5)],
    *[("inputs", value, "an integer from 1 to 1000000") for value in (0, 10**6 + 1, "64")],
    *[("classes", value, "an integer from 1 to 1000000") for value in (0, 10**6 + 1, None)],
    *[("gain", value, GAIN) for value in (NAN, INF, -INF, -1.0, "he", True, 1j)],
    *[
        ("branch_scale", value, "a finite number")
        for value in (NAN, INF, 10**400, "small", None, True)
    ],
    *[
        ("activation", value, "one of 'relu', 'tanh', 'sigmoid', 'linear'")
        for value in ("selu", "ReLU", nn.ReLU, None)
    ],
    *[("norm", value, "one of 'none', 'batch', 'layer'") for value in ("bacth", None, False)],
    *[("order", value, "one of 'pre', 'post'") for value in ("middle", None)],
    *[("skip", value, "one of False, True") for value in ("yes", 1, 0, None)],
    *[("seed", value, SEED) for value in (-1, 2**63, 1.5, "one", True, None)],
    *[("stack", value, "a tuple of integers from 1 to 65536") for value in ("x", 64, None)],
]


@pytest.mark.parametrize("name, value, allowed", BUILD)
def test_build_names_a_bad_argument(rejects, name, value, allowed):
    rejects(lambda: build(**GOOD | {name: value}), f"{name} must be {allowed}, got {value!r}")


@pytest.mark.parametrize(
    "sizes, bad", [([0], 0), ([2, 0], 0), ([-1], -1), ([65537], 65537), ([2.5], 2.5), (["x"], "x")]
)
def test_build_names_a_bad_size_in_a_stack(sizes, bad):
    with pytest.raises(
        ValueError, match=rf"^stack must be .*integers? from 1 to 65536, got .*{bad!r}"
    ):
        build(**GOOD, stack=tuple(sizes))


@pytest.mark.parametrize(
    "name, allowed", [("gain", "a number"), ("branch_scale", "a number"), ("seed", "an integer")]
)
@pytest.mark.parametrize("stack, value", [((4,), [1, 2, 3]), ((), [1]), ((2, 2), [1, 2, 3, 4])])
def test_build_names_an_argument_that_has_not_the_shape_of_the_stack(
    rejects, name, allowed, stack, value
):
    message = (
        f"{name} must be {allowed} or have the stack's shape {stack}, got shape ({len(value)},)"
    )
    rejects(lambda: build(**GOOD, stack=stack, **{name: value}), message)


@pytest.mark.parametrize(
    "name, bad, allowed",
    [
        ("gain", NAN, GAIN),
        ("gain", -1.0, GAIN),
        ("branch_scale", INF, "a finite number"),
        ("seed", -1, SEED),
        ("seed", 1.5, SEED),
    ],
)
def test_build_names_one_bad_entry_among_those_of_a_stack(rejects, name, bad, allowed):
    rejects(
        lambda: build(**GOOD, stack=(2,), **{name: torch.tensor([bad, bad])}),
        f"{name} must be {allowed}, got {bad!r}",
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("gain", [1, "a"]),
        ("gain", [None, 1]),
        ("branch_scale", ["a", "b"]),
        ("seed", ["a", "b"]),
        ("seed", [2**63, 1]),
        ("seed", [[1], [2, 3]]),
    ],
)
def test_build_names_an_argument_whose_entries_are_no_numbers(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        build(**GOOD, stack=(2,), **{name: value})


@pytest.mark.parametrize("value", [np.int64(2), np.uint8(2)], ids=repr)
def test_build_takes_numpy_integers(value):
    assert len(build(**GOOD | {"depth": value, "width": value, "seed": value})) == len(
        build(**GOOD)
    )


@pytest.mark.parametrize("name", ["depth", "width"])
def test_build_takes_the_largest_sizes_that_its_message_allows(name):
    largest = {"depth": 2000, "width": 4096}[name]
    net = build(**{"depth": 1, "width": 1, "inputs": 1, "classes": 1} | {name: largest})
    assert torch.isfinite(net(torch.ones(1, 1))).all()


SHAPES = [
    ((), (8,), "(batch, 8)"),
    ((), (5, 7), "(batch, 8)"),
    ((), (1, 5, 8), "(batch, 8)"),
    ((), (2, 5, 8), "(batch, 8)"),
    ((3,), (5, 7), "(batch, 8) or (3, batch, 8)"),
    ((3,), (1, 5, 8), "(batch, 8) or (3, batch, 8)"),
    ((3,), (2, 5, 8), "(batch, 8) or (3, batch, 8)"),
    ((2, 3), (3, 5, 8), "(batch, 8) or (2, 3, batch, 8)"),
    ((2, 3), (3, 2, 5, 8), "(batch, 8) or (2, 3, batch, 8)"),
]


@pytest.mark.parametrize("stack, shape, allowed", SHAPES)
def test_a_network_names_an_x_of_another_shape(rejects, stack, shape, allowed):
    net = build(**GOOD, stack=stack)
    rejects(lambda: net(torch.zeros(shape)), f"x must be a tensor of shape {allowed}, got {shape}")


@pytest.mark.parametrize("stack, shape, allowed", SHAPES)
def test_profile_names_an_x_of_another_shape(stack, shape, allowed):
    with pytest.raises(
        ValueError, match=r"^x must be a tensor of shape \(batch, (inputs|8)\).*, got "
    ):
        profile(build(**GOOD, stack=stack), torch.zeros(shape))


NO_TENSORS = {
    "none": None,
    "a text": "digits",
    "a list": torch.zeros(40, 8).tolist(),
    "an array": np.zeros((40, 8), np.float32),
    "integers": torch.zeros(40, 8, dtype=torch.uint8),
    "another precision": torch.zeros(40, 8, dtype=torch.float64),
}


@pytest.mark.parametrize("run", [lambda net, x: net(x), profile], ids=["network", "profile"])
@pytest.mark.parametrize("x", NO_TENSORS.values(), ids=NO_TENSORS)
def test_an_x_of_another_type_is_named_in_one_short_line(run, x):
    with pytest.raises(ValueError, match=r"^x must be [^\n]{,150}$"):
        run(build(**GOOD), x)


def test_profile_says_that_an_array_is_no_tensor():
    with pytest.raises(ValueError, match="array"):
        profile(build(**GOOD), np.zeros((5, 8), np.float32))


def test_profile_names_an_x_without_examples():
    with pytest.raises(ValueError, match="^x must be "):
        profile(build(**GOOD), torch.zeros(0, 8))


LABELS = {
    "too few": torch.zeros(31, dtype=torch.int64),
    "one-hot": torch.zeros(32, 3, dtype=torch.int64),
    "one number": torch.tensor(0),
    "a list": [0] * 32,
    "an array": np.zeros(32, np.int64),
    "fractions": torch.zeros(32),
    "beyond the classes": torch.full((32,), 3),
    "negative": torch.full((32,), -1),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_profile_names_a_bad_y_in_one_short_line(x, y):
    with pytest.raises(ValueError, match=r"^y must be [^\n]{,150}$"):
        profile(build(**GOOD), x, y)


@pytest.mark.parametrize("bins", [1, 0, 128, True, 10.0, "many"])
def test_profile_names_bad_bins(rejects, x, bins):
    rejects(
        lambda: profile(build(**GOOD), x, bins=bins),
        f"bins must be an integer from 2 to 127, got {bins!r}",
    )


@pytest.mark.parametrize("dtype", ["float8", "half", torch.float16, 16])
def test_profile_names_a_bad_dtype(rejects, x, dtype):
    message = f"dtype must be one of 'float16', 'bfloat16', 'float32', 'float64', got {dtype!r}"
    rejects(lambda: profile(build(**GOOD), x, dtype=dtype), message)


def test_profile_names_a_network_without_activation(rejects, x):
    message = "net must have at least one activation of relu, tanh, sigmoid, linear, got Linear"
    rejects(lambda: profile(nn.Linear(8, 3), x), message)


@pytest.mark.parametrize("net", [None, "relu"])
def test_profile_names_a_net_that_is_no_module(x, net):
    with pytest.raises(ValueError, match="^net must be "):
        profile(net, x)


def test_batch_norm_names_a_batch_of_one_in_training(rejects):
    net = build(**GOOD, norm="batch")
    rejects(
        lambda: net(torch.zeros(1, 8)),
        "batch must be an integer from 2 up to train a BatchNorm, got 1",
    )


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "one", True, None])
def test_digits_names_a_bad_seed(rejects, seed):
    rejects(lambda: digits(seed), f"seed must be {SEED}, got {seed!r}")


@pytest.mark.parametrize("test", [0, 1797, -1, 29.7, True, "all"])
def test_digits_names_a_bad_size_of_the_test_part(rejects, test):
    rejects(lambda: digits(test=test), f"test must be an integer from 1 to 1796, got {test!r}")
