"""What helpers compute depends on what they are given, and on no setting of torch, NumPy or Matplotlib."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from helpers import (
    AveragesExplorer,
    BatchNorm,
    Explorer,
    LayerNorm,
    Linear,
    ProductExplorer,
    RecurrentExplorer,
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

SMALL = {"depth": 4, "width": 12, "inputs": 8, "classes": 3}
GAINS, SCALES, SEEDS = [0.1, 0.7, 1.3], np.array([0.0, 0.3, 0.7]), [4, 5, 2**63 - 1]
STACK = {"stack": (3,), "gain": GAINS, "skip": True, "branch_scale": SCALES, "seed": SEEDS}
VARIANTS = {
    "plain": {},
    "batch": {"norm": "batch", "skip": True, "branch_scale": 0.3},
    "layer, post": {"norm": "layer", "skip": True, "order": "post", "gain": 0.7},
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid", "norm": "batch"},
    "linear": {"activation": "linear", "branch_scale": 0},
    "stack": STACK,
}


def draw():
    return torch.Generator().manual_seed(6)


def complaint(call):
    """What the ValueError of a call says."""
    with pytest.raises(ValueError) as raised:
        call()
    return str(raised.value)


# What is made, from nothing.
MADE = {
    "digits": lambda: digits(3),
    "spirals": lambda: spirals(2),
    "recorded": lambda: recorded("depths"),
    **{f"build, {name}": lambda v=v: build(**SMALL, **v) for name, v in VARIANTS.items()},
    "build_conv": lambda: build_conv(8, skip=True, seed=2),
    "build_conv without norm": lambda: build_conv(8, norm="none"),
    "Linear": lambda: Linear(8, 12, gain=[0.1, 0.7], stack=(2,), generator=draw()),
    "BatchNorm": lambda: BatchNorm(8, stack=(2,)),
    "LayerNorm": lambda: LayerNorm(8),
    "Residual": lambda: Residual([nn.ReLU()], scale=0.1),
    "a learned scale": lambda: Residual([nn.ReLU()], scale=[0, 0.1]),
}

# What is computed from a network of the variants, x and y.
COMPUTED = {
    "scores": lambda net, x, y: net(x),
    "profile": lambda net, x, y: profile(net, x),
    "profile with labels": lambda net, x, y: profile(net, x, y),
    "profile in float16": lambda net, x, y: profile(net, x, y, dtype="float16"),
    "profile in float64": lambda net, x, y: profile(net, x, y, dtype="float64"),
    "profile of infinities": lambda net, x, y: profile(net, x / 0, y),
    "profile, shown": lambda net, x, y: repr(profile(net, x / 0, y)),
    "profile of tiny numbers": lambda net, x, y: profile(net, 1e-30 * x, y),
    "activations": lambda net, x, y: activations(net, x),
    "similarity": lambda net, x, y: [similarity(a) for _, a in activations(net, x)],
    "similarity of constants": lambda net, x, y: similarity(0 * x),
    "cross_entropy": lambda net, x, y: cross_entropy(net(x), y),
}

ALONE = {
    "batch_norm": lambda x, y: batch_norm(x, x[0], x[1]),
    "batch_norm by given moments": lambda x, y: batch_norm(x, x[0], x[1], x[2], x[3] ** 2),
    "batch_norm in NumPy": lambda x, y: batch_norm(x.numpy(), x[0].numpy(), x[1].numpy()),
    "backward": lambda x, y: batch_norm_backward(x.sin(), x, x[0]),
    "shown net": lambda x, y: str(build(**SMALL, **STACK, norm="batch")),
    "a tensor in a message": lambda x, y: complaint(lambda: build(x, 4)),
    "an array in a message": lambda x, y: complaint(lambda: Linear(8, x.numpy(), generator=draw())),
    "a number in a message": lambda x, y: complaint(
        lambda: build(4, 4, gain=np.float32(-0.1234567))
    ),
    "numbers in a message": lambda x, y: complaint(
        lambda: build(4, 4, gain=list(x[0, :2].numpy()))
    ),
}


def assert_same(one, other):
    """The same values of the same kind on the same device; the weights of a network can be trained."""
    assert type(one) is type(other)
    if isinstance(one, nn.Module):
        assert_same(one.state_dict(), other.state_dict())
        for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
            assert mine.requires_grad == theirs.requires_grad
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.device, one.shape) == (other.dtype, other.device, other.shape)
        assert torch.equal(one.nan_to_num(7, 8, 9), other.nan_to_num(7, 8, 9))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif dataclasses.is_dataclass(one):
        assert_same(vars(one), vars(other))
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        assert_same(list(one.values()), list(other.values()))
    elif isinstance(one, (list, tuple)):
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        np.testing.assert_equal(one, other)


def under(hostile_settings, call):
    with hostile_settings():
        return call()


@pytest.mark.parametrize("call", MADE.values(), ids=MADE)
def test_what_is_made_does_not_depend_on_global_settings(hostile_settings, call):
    assert_same(under(hostile_settings, call), call())


@pytest.mark.parametrize(
    "explorer", [AveragesExplorer, Explorer, ProductExplorer, RecurrentExplorer]
)
def test_what_an_explorer_shows_does_not_depend_on_global_settings(hostile_settings, explorer):
    assert_same(under(hostile_settings, lambda: explorer().picture), explorer().picture)


@pytest.mark.parametrize("call", MADE.values(), ids=MADE)
def test_what_is_made_is_float32_on_the_cpu_even_if_torch_is_set_otherwise(hostile_settings, call):
    made = under(hostile_settings, call)
    if isinstance(made, nn.Module):
        made = [value for value in made.state_dict().values() if value.is_floating_point()]
    tensors = [value for value in made if isinstance(value, torch.Tensor) and value.dim()]
    for value in tensors:
        assert value.device.type == "cpu"
        assert value.dtype in (torch.float32, torch.int64)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("call", COMPUTED.values(), ids=COMPUTED)
def test_what_is_computed_does_not_depend_on_global_settings(hostile_settings, call, variant, x, y):
    expected = call(build(**SMALL, **variant), x, y)
    net = build(**SMALL, **variant)
    assert_same(under(hostile_settings, lambda: call(net, x, y)), expected)


@pytest.mark.parametrize("call", ALONE.values(), ids=ALONE)
def test_functions_of_arrays_do_not_depend_on_global_settings(hostile_settings, call, x, y):
    assert_same(under(hostile_settings, lambda: call(x, y)), call(x, y))


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_network_that_was_built_under_hostile_settings_can_be_trained(
    hostile_settings, variant, x, y
):
    net = under(hostile_settings, lambda: build(**SMALL, **variant))
    before = [value.clone() for value in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(2):  # a learned scale that starts at 0 has to move before its branch does
        optimizer.zero_grad()
        cross_entropy(net(x), y).sum().backward()
        optimizer.step()
    assert not any(torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))


def test_the_fixture_leaves_everything_as_it_was(hostile_settings):
    def settings():
        return json.dumps(
            [
                str(torch.get_default_dtype()),
                str(torch.get_default_device()),
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.are_deterministic_algorithms_enabled(),
                torch.get_rng_state().sum().item(),
                np.geterr(),
                str(np.get_printoptions()),
                int(np.random.get_state()[1].sum()),
                repr(torch.tensor([1 / 3, 1e9])),
            ]
        )

    before = settings()
    with hostile_settings():
        assert settings() != before
    assert settings() == before
