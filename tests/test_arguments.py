"""A bad argument gets one line that names it, says what is allowed and what was given."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import (
    BatchNorm,
    LayerNorm,
    Linear,
    Residual,
    activations,
    batch_norm,
    batch_norm_backward,
    build,
    build_conv,
    cross_entropy,
    digits,
    profile,
    recorded,
    similarity,
    spirals,
)
from helpers.arguments import choice
from helpers.datasets import DamagedData

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
    *[("branch_scale", value, "a finite number") for value in (NAN, INF, "small", None, True)],
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


# --- settings are compared by value ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, allowed, chosen",
    [
        (1, (0.1, 1.0), 1.0),
        (np.int64(20), (5, 20), 20),
        (np.float32(0.5), (0.5, 1), 0.5),
        (torch.tensor(20), (5, 20), 20),
        (np.True_, (False, True), True),
        (np.str_("relu"), ("tanh", "relu"), "relu"),
        (None, ("a", None), None),
    ],
    ids=repr,
)
def test_a_choice_is_compared_by_value_and_comes_back_as_pythons_own(value, allowed, chosen):
    found = choice("setting", value, allowed)
    assert found == chosen
    assert type(found) is type(chosen)


@pytest.mark.parametrize(
    "value, allowed",
    [
        (1, (False, True)),
        (True, (1, 2)),
        (np.int64(0), (False, True)),
        (np.False_, (0, 1)),
        ("1", (1, 2)),
        (np.array([1, 2]), (1, 2)),
        (torch.tensor([1]), (1, 2)),
        ([1], (1, 2)),
    ],
    ids=repr,
)
def test_a_choice_keeps_bools_apart_from_numbers_and_numbers_from_arrays(value, allowed):
    with pytest.raises(ValueError, match=r"^setting must be one of [^\n]*, got [^\n]*$"):
        choice("setting", value, allowed)


def test_build_takes_numpys_and_torchs_numbers_and_bools_as_pythons():
    plain = build(2, 200, inputs=8, classes=3, skip=True, gain=1.0, seed=3, stack=(2,))
    numpys = build(
        np.int16(2),
        np.uint8(200),
        inputs=np.array(8),
        classes=torch.tensor(3),
        activation=np.str_("relu"),
        skip=np.True_,
        gain=1,
        branch_scale=np.float32(1),
        seed=np.uint64(3),
        stack=(np.int64(2),),
    )
    assert str(numpys) == str(plain)
    for one, other in zip(numpys.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [np.linspace(2, 1, 3)[::-1], [torch.tensor(1.0)] * 3], ids=repr)
def test_a_gain_for_each_network_may_come_backwards_or_as_a_list_of_tensors(value):
    numbers = [float(entry) for entry in value]
    one, other = (build(**GOOD, gain=gain, stack=(3,)) for gain in (value, numbers))
    assert torch.equal(one[0].weight, other[0].weight)


# --- every public name, asked for what it cannot do --------------------------------------------------------------------------

ROWS = torch.zeros(5, 8)
CLASSES = torch.zeros(5, dtype=torch.int64)
DRAW = {"generator": torch.Generator()}
ONES = torch.ones(8)
RELU = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


class Block(nn.Module):
    """A module with parts, which a loop over layers cannot look into."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(x)


class Gelu(nn.GELU):
    """An activation of a user's own, which is none of the four."""


STACK = [Linear(8, 8, stack=(3,), generator=torch.Generator())]
BAD = {
    "fan_in": [
        lambda: Linear(0, 3, **DRAW),
        lambda: Linear("8", 3, **DRAW),
        lambda: Linear(torch.ones(3, 3), 3, **DRAW),
    ],
    "fan_out": [lambda: Linear(3, 2.5, **DRAW), lambda: Linear(3, 10**7, **DRAW)],
    "fan_in, fan_out and stack": [
        lambda: Linear(10**6, 10**6, **DRAW),
        lambda: Linear(10**3, 10**3, stack=(1000,), **DRAW),
    ],
    "generator": [
        lambda: Linear(3, 3, generator=None),
        lambda: Linear(3, 3, generator=0),
        lambda: Linear(3, 3, generator=[torch.Generator()] * 2, stack=(3,)),
    ],
    "bias": [lambda: Linear(3, 3, bias=1, **DRAW), lambda: Linear(3, 3, bias=None, **DRAW)],
    "gain": [
        lambda: Linear(3, 3, gain=-1, **DRAW),
        lambda: Linear(3, 3, gain=[1, 2], **DRAW),
        lambda: build(2, 4, gain=torch.ones(2, device="meta"), stack=(2,)),
        lambda: build(2, 4, gain=10**5000),
        lambda: build(2, 4, gain=[1.0, True], stack=(2,)),
        lambda: build(2, 4, gain=[[1.0], [1.0, 2.0]], stack=(2,)),
    ],
    "branch_scale": [lambda: build(2, 4, skip=True, branch_scale=10**400)],
    "stack": [
        lambda: BatchNorm(4, stack=5),
        lambda: BatchNorm(4, stack=(-1,)),
        lambda: LayerNorm(4, stack=None),
        lambda: Linear(3, 3, stack="3", **DRAW),
        lambda: build(2, 4, stack=np.ones((100, 100))),
    ],
    "width": [lambda: BatchNorm(2**31), lambda: LayerNorm(10**6 + 1), lambda: build(2, [4])],
    "width and stack": [
        lambda: BatchNorm(10**6, stack=(1000,)),
        lambda: LayerNorm(1000, stack=(1000, 1000)),
    ],
    "eps": [
        lambda: LayerNorm(4, eps=-1),
        lambda: batch_norm(ROWS, ONES, ONES, eps=NAN),
        lambda: batch_norm_backward(ROWS, ROWS, ONES, eps="small"),
    ],
    "momentum": [lambda: BatchNorm(4, momentum=1.5)],
    "branch": [
        lambda: Residual(nn.ReLU()),
        lambda: Residual(None),
        lambda: Residual([nn.ReLU(), "tanh"]),
        lambda: Residual([nn.Linear(8, 1)])(ROWS),
        lambda: Residual([nn.Linear(8, 9)])(ROWS),
        lambda: activations(nn.Sequential(Residual([nn.Linear(8, 1), nn.ReLU()])), ROWS),
    ],
    "scale": [
        lambda: Residual([], scale=NAN),
        lambda: Residual([], scale=[1, "a"]),
        lambda: Residual([], scale=[]),
    ],
    "shortcut": [lambda: Residual([], shortcut=1)],
    "depth, width, inputs, classes and stack": [
        lambda: build(2000, 4096),
        lambda: build(1, 4096, inputs=10**6),
        lambda: build(10, 100, stack=(65536, 65536)),
    ],
    "depth": [lambda: build_conv("8"), lambda: build_conv(9), lambda: build(np.zeros((50, 50)), 4)],
    "channels": [
        lambda: build_conv(8, channels=8),
        lambda: build_conv(8, channels=()),
        lambda: build_conv(8, channels=(8, 0)),
        lambda: build_conv(8, channels=(16, 8), skip=True),
    ],
    "depth and channels": [lambda: build_conv(1880, channels=(4096, 4096))],
    "image": [lambda: build_conv(8, image=(8, 8)), lambda: build_conv(8, image=64)],
    "classes": [lambda: build_conv(8, classes=2.5), lambda: build(2, 4, classes=0)],
    "norm": [lambda: build_conv(8, norm="layer"), lambda: build(2, 4, norm=torch.zeros(2))],
    "skip": [lambda: build_conv(8, skip=1), lambda: build(2, 4, skip=np.int64(1))],
    "seed": [
        lambda: build_conv(8, seed=[1, 2]),
        lambda: build(2, 4, seed=[True, 2], stack=(2,)),
        lambda: build_conv(8, seed=-1),
        lambda: spirals(2.5),
        lambda: digits([1]),
    ],
    "test": [lambda: digits(test=0)],
    "folder": [lambda: digits(folder=None), lambda: recorded("depths", 5)],
    "name": [lambda: recorded("nothing"), lambda: recorded("digits"), lambda: recorded(None)],
    "x": [
        lambda: batch_norm([[1.0]], ONES, ONES),
        lambda: batch_norm(ROWS.long(), ONES, ONES),
        lambda: batch_norm(ONES, ONES, ONES),
        lambda: batch_norm_backward(ROWS, None, ONES),
        lambda: profile(RELU, ROWS.double()),
        lambda: profile(RELU, ROWS.long()),
        lambda: profile(RELU, torch.zeros(5, 8, device="meta")),
        lambda: activations(RELU, None),
        lambda: activations(RELU, ROWS.double()),
        lambda: activations(build(2, 4), ROWS),
    ],
    "gamma": [
        lambda: batch_norm(ROWS, 1.0, ONES),
        lambda: batch_norm(ROWS, torch.ones(1), ONES),
        lambda: batch_norm(ROWS, torch.ones(1, 8), ONES),
        lambda: batch_norm(ROWS, torch.ones(5, 8), ONES),
        lambda: batch_norm(ROWS, ONES.numpy(), ONES),
        lambda: batch_norm_backward(ROWS, ROWS, torch.ones(2, 8)),
        lambda: batch_norm_backward(ROWS, ROWS, torch.ones(9)),
    ],
    "beta": [lambda: batch_norm(ROWS, ONES, None)],
    "mean": [lambda: batch_norm(ROWS, ONES, ONES, 0.0, ONES)],
    "mean and var": [lambda: batch_norm(ROWS, ONES, ONES, ONES)],
    "grad": [
        lambda: batch_norm_backward(ROWS[:4], ROWS, ONES),
        lambda: batch_norm_backward(None, ROWS, ONES),
        lambda: batch_norm_backward(ROWS.tolist(), ROWS, ONES),
        lambda: batch_norm_backward(ROWS.expand(2, 5, 8), ROWS, ONES),
    ],
    "scores": [
        lambda: cross_entropy(None, CLASSES),
        lambda: cross_entropy(ONES, CLASSES),
        lambda: cross_entropy(torch.ones(0, 8), CLASSES[:0]),
    ],
    "y": [
        lambda: cross_entropy(ROWS, CLASSES[:4]),
        lambda: cross_entropy(ROWS, CLASSES.int()),
        lambda: cross_entropy(ROWS, [0] * 5),
        lambda: cross_entropy(ROWS, CLASSES + 8),
        lambda: cross_entropy(ROWS, CLASSES - 1),
        lambda: cross_entropy(ROWS, CLASSES - 100),
        lambda: profile(RELU, ROWS, CLASSES - 100),
        lambda: profile(RELU, ROWS, CLASSES.to("meta")),
        lambda: cross_entropy(ROWS, CLASSES.to("meta")),
        lambda: cross_entropy(ROWS, torch.full((5,), -(2**63))),  # a NaN, as a whole number
    ],
    "net": [
        lambda: activations(None, ROWS),
        lambda: activations(nn.Linear(8, 8), ROWS),
        lambda: activations(nn.Sequential(nn.Linear(8, 8), Block()), ROWS),
        lambda: activations(nn.Sequential(nn.Linear(8, 8), Gelu(), nn.ReLU()), ROWS),
        lambda: profile(nn.Sequential(nn.Linear(8, 8), Gelu(), nn.ReLU()), ROWS),
        lambda: profile(nn.Sequential(Residual([*STACK, nn.ReLU()]), *STACK), ROWS),
        lambda: profile(nn.Sequential(nn.LazyLinear(8), nn.ReLU()), ROWS),
        lambda: profile(nn.Sequential(nn.Linear(8, 8, device="meta"), nn.ReLU()), ROWS),
        lambda: profile(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.RNN(8, 3)), ROWS),
        lambda: profile(nn.Sequential(nn.Linear(8, 8), nn.Identity()), ROWS),
    ],
    "a": [
        lambda: similarity(ROWS.to("meta")),
        lambda: similarity(None),
        lambda: similarity(ONES),
        lambda: similarity(CLASSES[None]),
    ],
}


@pytest.mark.parametrize(
    "name, call",
    [(name, call) for name, calls in BAD.items() for call in calls],
    ids=[f"{name} {k}" for name, calls in BAD.items() for k in range(len(calls))],
)
def test_a_bad_argument_of_any_public_name_is_named_in_one_line(name, call):
    with pytest.raises(ValueError, match=rf"^{name} must [^\n]{{,180}}, got [^\n]{{,100}}$"):
        call()


def test_a_folder_without_records_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in tmp_path, tmp_path / "file":
        message = r"^data/SHA256SUMS is missing; restore it with: [^\n]*$"
        with pytest.raises(DamagedData, match=message):
            recorded("depths", folder)


def test_seeds_may_be_of_different_kinds():
    net, same = (build(2, 4, seed=seeds, stack=(2,)) for seeds in ([5, np.uint64(3)], [5, 3]))
    assert torch.equal(net[0].weight, same[0].weight)
