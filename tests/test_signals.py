"""profile tells the truth: against theory, against slow NumPy, at the ends of every precision; and it touches nothing."""

import copy
import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import helpers
from helpers import build, build_conv, profile, signals
from helpers.networks import BatchNorm, LayerNorm, Linear, Residual
from helpers.signals import SAMPLE

SMALL = {"depth": 5, "width": 20, "inputs": 8, "classes": 3}
ACTIVATIONS = ["relu", "tanh", "sigmoid", "linear"]
VARIANTS = {
    f"{norm} {name}": {"norm": norm, **wiring}
    for norm in ("none", "batch", "layer")
    for name, wiring in {
        "plain": {},
        "pre": {"skip": True},
        "post": {"skip": True, "order": "post"},
    }.items()
}
STATISTICS = ["mean", "std", "pre_mean", "pre_std", "stream_std"]

activations = pytest.mark.parametrize("activation", ACTIVATIONS)
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
quiet = pytest.mark.filterwarnings("error")


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def same_length(x):
    """The examples, each brought to mean square 1."""
    return x / (x**2).mean(-1, keepdim=True) ** 0.5


def shaken(net, seed=9):
    """The network with every bias, gamma, beta and running average moved away from the value it starts with."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if not name.endswith(("weight", "scale", "tracked")):
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise.exp() if name.endswith("running_var") else value + 0.7 * noise)
    return net


# --- theory: 100 ReLU layers of 512 units ----------------------------------------------------------------------------------

# With He's gain a layer hands on the squared norm of its input times the mean of 512 draws of 2 relu(z)², z standard normal.
# That mean is 1 with variance 5/512 (E relu⁴ = 3/2, E relu² = 1/2). The log of the std, half the log of the squared norm, is
# therefore a random walk in depth: after l layers it lies 5 l / (4 · 512) below that of (gain/√2)^l on average, with a
# variance of just as much: 0.24 and 0.49² at layer 100.
DEPTH, WIDTH = 100, 512
LAYERS = np.arange(1, DEPTH + 1)
WALK = 5 * LAYERS / (4 * WIDTH)
HALF_NORMAL = math.sqrt(
    1 / (math.pi - 1)
)  # mean / std of relu(z): (1/√(2π)) / √(1/2 - 1/(2π)) = 0.683


@functools.cache
def deep(seed, gain=2**0.5):
    """Profile of 16 examples, profile of one of them, the last layer's output. The network is not kept: it takes 100 MB."""
    net, x = (
        build(DEPTH, WIDTH, inputs=64, classes=10, gain=gain, seed=seed),
        same_length(normal(16, 64)),
    )
    with torch.inference_mode():
        return profile(net, x), profile(net, x[:1]), net[:-1](x)


def rms(seen):
    """Root mean square of each layer's output, in which (gain/√2)^l is exact: a rectified z keeps half of its square."""
    return np.sqrt(seen.mean**2 + seen.std**2)


@pytest.mark.parametrize(
    "gain, seed",
    [(1.0, 3), (1.2, 3), (1.6, 3), (1.8, 3), *[(2**0.5, seed) for seed in range(3, 11)]],
)
def test_the_std_of_layer_l_is_gain_over_root_two_to_the_power_l(gain, seed):
    seen, expected = deep(seed, gain)[0], (gain / 2**0.5) ** LAYERS
    band = 4 * np.sqrt(
        WALK
    )  # four standard deviations: 2 at layer 100, where gains 1.0 and 1.2 are 18 apart
    assert (abs(np.log(seen.pre_std / (2**0.5 * expected)) + WALK) < band).all()
    assert (abs(np.log(rms(seen) / expected) + WALK) < band).all()


@pytest.mark.parametrize("gain", [1.0, 1.2, 1.6, 1.8])
@pytest.mark.parametrize("name", ["pre_std", "std", "mean"])
def test_another_gain_is_exactly_a_power_of_the_depth_away_from_hes(gain, name):
    # ReLU(c z) = c ReLU(z) for c > 0: with the same draws the random walk is the same and drops out of the ratio.
    ratio = getattr(deep(3, gain)[0], name) / getattr(deep(3)[0], name)
    np.testing.assert_allclose(ratio, (gain / 2**0.5) ** LAYERS, rtol=1e-4)


def test_the_mean_walk_of_many_seeds_is_the_one_of_theory():
    # Eight seeds: 0.49 / √8 = 0.17 at layer 100, and four times that as the band. A gain 2 % off would leave it: it adds 2.
    walks = np.array([np.log(deep(seed)[0].pre_std / 2**0.5) for seed in range(3, 11)])
    assert (abs(walks.mean(0) + WALK) < 4 * np.sqrt(WALK / 8)).all()
    # From seed to seed: the deviation of 8 walks is within a factor of 2 of theory (chi-squared with 7 degrees, 99 %).
    assert 0.5 < walks[:, -1].std(ddof=1) / np.sqrt(WALK[-1]) < 2


def test_with_hes_gain_the_typical_std_stays_within_a_factor_of_two_over_100_layers():
    # The typical one: a single network does so with two seeds of three (40 of the seeds 0 to 63), because a factor of 2 is only
    # 1.4 standard deviations of the walk. At a gain of 1 the factor would be 2^50.
    std = np.array([deep(seed)[0].pre_std / 2**0.5 for seed in range(3, 11)])
    typical = np.exp(np.log(std).mean(0))
    assert 0.5 < typical.min() <= typical.max() < 2
    assert 0.1 < std.min() <= std.max() < 10


@pytest.mark.parametrize("gain, seed", [(1.0, 3), (1.8, 3), (2**0.5, 3), (2**0.5, 4), (2**0.5, 5)])
def test_the_mean_of_an_output_is_0_68_of_its_std_over_the_units_of_one_example(gain, seed):
    # Over the units of one example z is normal, whatever the layer. The ratio of 512 of them has a standard error of 0.028.
    seen = deep(seed, gain)[1]
    ratio = seen.mean / seen.std
    assert (abs(ratio - HALF_NORMAL) < 5 * 0.028).all()
    assert abs(ratio.mean() - HALF_NORMAL) < 5 * 0.028 / math.sqrt(DEPTH)


def test_over_a_batch_the_ratio_is_a_little_below_and_of_one_unit_it_is_another():
    # Examples drift apart in length, by some 10 %: their mixture has a std that is 1 or 2 % larger than one of them has.
    seen, _, output = deep(3)
    assert 0.96 * HALF_NORMAL < (seen.mean / seen.std).mean() < 1.01 * HALF_NORMAL
    # A deep unit says nearly the same for every example: its mean over the batch is many times its own std.
    alive = output[:, (output > 0).any(0)]
    assert (alive.mean(0) / alive.std(0)).median() > 3 * HALF_NORMAL


def test_normalized_pre_activations_have_mean_zero_and_std_one_at_every_depth():
    for norm in ("batch", "layer"):
        seen = profile(build(60, 128, inputs=64, classes=10, norm=norm, gain=1.8), normal(64, 64))
        np.testing.assert_allclose(seen.pre_mean, 0, atol=1e-5)
        np.testing.assert_allclose(seen.pre_std, 1, rtol=1e-3)


@pytest.mark.parametrize(
    "branch_scale, growth", [(1.0, 2**0.5), (0.5, 1.25**0.5), (1 / 63**0.5, (64 / 63) ** 0.5)]
)
def test_each_residual_adds_its_branchs_variance(branch_scale, growth):
    # With He's gain a branch has the variance of its input, independent of it: 1 + branch_scale² times the variance a block.
    net = build(64, 256, inputs=64, classes=10, skip=True, branch_scale=branch_scale)
    std = profile(net, same_length(normal(16, 64))).pre_std
    # Per block the walk is that of theory above with the branch's share of the variance; at most 5 / (4 · 256) a layer.
    assert abs(np.log(std[-1] / std[0]) - 63 * math.log(growth)) < 4 * math.sqrt(63 * 5 / (4 * 256))


# --- against a slow computation in float64 ---------------------------------------------------------------------------------

OUTPUT = {
    nn.ReLU: lambda z: np.maximum(z, 0),
    nn.Tanh: np.tanh,
    nn.Sigmoid: lambda z: 1 / (1 + np.exp(-z)),
    nn.Identity: lambda z: z,
}
SLOPE = {  # as a share of the steepest
    nn.ReLU: lambda z: np.ones_like(z),
    nn.Tanh: lambda z: np.cosh(z) ** -2,
    nn.Sigmoid: lambda z: np.cosh(z / 2) ** -2,
    nn.Identity: lambda z: np.ones_like(z),
}


def numbers(value):
    return value.detach().double().numpy()


def forward(layers, z, seen, stream=None):
    """The output of the layers for the float64 array z, in plain NumPy; (kind, z, stream) of each activation goes into `seen`:
    the stream is the sum that runs past the layers, or z where there is none."""
    for layer in layers:
        if isinstance(layer, Residual):
            stream = z = z + numbers(layer.scale) * forward(layer.branch, z, seen, stream=z)
        elif isinstance(layer, Linear):
            z = z @ numbers(layer.weight) + (
                0 if layer.bias is None else numbers(layer.bias)[..., None, :]
            )
        elif isinstance(layer, BatchNorm | LayerNorm):
            z = normalized(layer, z)
        else:
            seen.append((type(layer), z, z if stream is None else stream))
            z = OUTPUT[type(layer)](z)
    return z


def normalized(layer, z):
    axis = 0 if isinstance(layer, BatchNorm) else 1
    mean, var = z.mean(axis, keepdims=True), z.var(axis, keepdims=True)
    if isinstance(layer, BatchNorm) and not layer.training:
        mean, var = numbers(layer.running_mean), numbers(layer.running_var)
    return numbers(layer.gamma) * (z - mean) / np.sqrt(var + layer.eps) + numbers(layer.beta)


def reference(net, x):
    """What profile is to say, one dict a layer."""
    seen = []
    forward(net, numbers(x), seen)
    rows = []
    for kind, z, stream in seen:
        a, finite = OUTPUT[kind](z), z[np.isfinite(z)]
        rows.append({
            "mean": a.mean(), "std": a.std(), "pre_mean": z.mean(), "pre_std": z.std(),
            "stream_std": stream.std(),
            "dead": (a == 0).all(0).mean() if kind is nn.ReLU else 0.0, "saturated": (SLOPE[kind](z) < 0.05).mean(),
            "nonfinite": 1 - len(finite) / z.size,
            "edges": np.linspace(finite.min(), finite.max(), 61), "values": finite,
        })  # fmt: skip
    return rows


def assert_counted(counts, edges, values):
    """The counts are np.histogram's; a value on an edge, up to 1/500 of a bin, may be counted on either side of it."""
    assert counts.sum() == values.size
    margin, values, below = (
        (edges[-1] - edges[0]) / (len(counts) * 500),
        np.sort(values, axis=None),
        counts.cumsum()[:-1],
    )
    assert (np.searchsorted(values, edges[1:-1] - margin, "left") <= below).all()
    assert (below <= np.searchsorted(values, edges[1:-1] + margin, "right")).all()


def assert_described(seen, rows, rtol):
    """Every number of the profile is the reference's."""
    assert seen.depth == len(rows)
    for layer, row in enumerate(rows):
        edges = (
            row["edges"]
            if row["values"].std()
            else row["values"].mean() + np.linspace(-0.5, 0.5, len(row["edges"]))
        )
        size = max(abs(row["mean"]), abs(edges).max())
        for name in STATISTICS:
            error = f"{name} of layer {layer + 1}"
            np.testing.assert_allclose(
                getattr(seen, name)[layer], row[name], rtol=rtol, atol=rtol * size, err_msg=error
            )
        np.testing.assert_allclose(seen.edges[layer], edges, rtol=rtol, atol=rtol * size)
        assert seen.dead[layer] == row["dead"]
        assert seen.saturated[layer] == pytest.approx(row["saturated"], abs=2 / row["values"].size)
        assert seen.nonfinite[layer] == row["nonfinite"]
        assert_counted(seen.counts[layer], edges, row["values"])


@activations
@variants
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_every_number_is_that_of_a_slow_computation(activation, variant, training):
    net = shaken(build(**SMALL, activation=activation, gain=2.0, **variant)).train(training)
    x = normal(64, 8, seed=2)
    assert_described(profile(net, x), reference(net, x), rtol=2e-5)


def test_a_histogram_far_from_zero_holds_every_value():
    for k in range(200):
        z = (55 + normal(2, 50, seed=k)).numpy().ravel()
        low, high = float(z.min()), float(z.max())
        assert 400 < low * signals.BINS / (high - low) < 1000, "beyond it, NumPy counts"
        counts = signals._histogram(z, low, high)
        assert len(counts) == 60 and counts.sum() == 100


def test_the_references_layers_are_not_all_alike():
    # What the tests above compare must be there: dead units, saturated outputs, both in some layer neither 0 nor 1.
    x = normal(64, 8, seed=2)
    dead = [row["dead"] for row in reference(shaken(build(**SMALL, gain=2.0)), x)]
    assert any(0 < share < 1 for share in dead)
    for activation in ("tanh", "sigmoid"):
        saturated = [
            row["saturated"]
            for row in reference(shaken(build(**SMALL, activation=activation, gain=2.0)), x)
        ]
        assert any(0 < share < 1 for share in saturated)


@pytest.mark.parametrize(
    "activation, threshold", [("tanh", math.acosh(20**0.5)), ("sigmoid", 2 * math.acosh(20**0.5))]
)
def test_an_output_is_saturated_where_the_slope_is_below_a_twentieth_of_the_steepest(
    activation, threshold
):
    net = build(1, 1, inputs=1, classes=1, activation=activation)
    net[0].weight.data.fill_(1)
    around = threshold * torch.tensor([[-1.01], [-0.99], [0.0], [0.99], [1.01]])
    assert profile(net, around).saturated.tolist() == [0.4]


def test_a_unit_is_dead_only_if_it_is_silent_on_the_whole_batch():
    net = build(1, 4, inputs=1, classes=1)
    net[0].weight.data.copy_(torch.tensor([[1.0, 0.0, 0.0, -1.0]]))
    net[0].bias.data.copy_(torch.tensor([0.0, -1.0, 0.0, 0.0]))
    assert profile(net, torch.tensor([[-2.0], [2.0]])).dead.tolist() == [0.5], (
        "bias -1, and exactly 0"
    )
    assert profile(net, torch.tensor([[1.0], [2.0]])).dead.tolist() == [0.75]


@pytest.mark.parametrize("width, every", [(100, 1), (100, 4), (1024, 4), (4096, 10)])
def test_of_a_large_batch_every_kth_example_is_counted_k_times(width, every):
    batch = SAMPLE // width * every
    assert every == math.ceil(batch * width / SAMPLE)
    net, x = build(1, width, inputs=8, classes=3), normal(batch, 8)
    seen = profile(net, x)
    z = numbers(net[0](x))
    assert seen.counts.sum() == batch * width
    assert (seen.counts % every == 0).all()
    assert_counted(seen.counts[0] // every, np.linspace(z.min(), z.max(), 61), z[::every])
    np.testing.assert_allclose(seen.edges[0], np.linspace(z.min(), z.max(), 61), rtol=1e-6)


@pytest.mark.parametrize("batch, width", [(601, 100), (257, 512), (1000, 33)])
def test_the_counts_of_any_large_batch_are_those_of_all_values_up_to_one_example_in_k(batch, width):
    every = math.ceil(batch * width / SAMPLE)
    total = profile(build(1, width, inputs=8, classes=3), normal(batch, 8)).counts.sum()
    assert abs(total - batch * width) < every * width


def test_the_large_batchs_other_numbers_are_those_of_all_values():
    net, x = shaken(build(3, 100, inputs=8, classes=3)), normal(600, 8)
    seen = profile(net, x)
    for layer, row in enumerate(reference(net, x)):
        for name in STATISTICS:
            sampled = name.startswith(
                ("pre_", "stream_")
            )  # of every k-th example: right within a few standard errors, 1 / √8192 each
            rtol, atol = (0.05, 0.05) if sampled else (1e-4, 1e-4)
            np.testing.assert_allclose(
                getattr(seen, name)[layer], row[name], rtol=rtol, atol=atol, err_msg=name
            )


# --- gradients -------------------------------------------------------------------------------------------------------------


def walk(layers, h, kept, stream=None):
    """The output of the layers; what each activation works on is kept, with its gradient to come: the sum that runs past the
    layers where there is one, its own input where there is none."""
    for layer in layers:
        if isinstance(layer, Residual):
            stream = h = h + layer.scale * walk(layer.branch, h, kept, stream=h)
            continue
        if not isinstance(layer, Linear | BatchNorm | LayerNorm):
            kept.append(h if stream is None else stream)
            kept[-1].retain_grad()
        h = layer(h)
    return h


def gradient_norms(net, x, y):
    """Norms of the gradients at what the layers work on, by backward() alone."""
    net, kept = copy.deepcopy(net), []
    cross_entropy(walk(net, x, kept), y).backward()
    return [value.grad.norm().item() for value in kept]


@activations
@variants
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradient_norms_are_those_of_autograd_by_hand(activation, variant, training, x, y):
    net = shaken(build(**SMALL, activation=activation, **variant)).double().train(training)
    seen = profile(net, x.double(), y)
    np.testing.assert_allclose(seen.gradient, gradient_norms(net, x.double(), y), rtol=1e-6)


def test_the_gradient_is_that_of_the_mean_loss_so_that_a_batch_twice_over_has_the_same(x, y):
    net = build(**SMALL)
    once, twice = profile(net, x, y), profile(net, torch.cat([x, x]), torch.cat([y, y]))
    np.testing.assert_allclose(twice.gradient, once.gradient / 2**0.5, rtol=1e-4)


def test_without_labels_there_is_no_gradient_and_the_rest_is_the_same(x, y):
    net = build(**SMALL)
    without, with_labels = profile(net, x), profile(net, x, y)
    assert without.gradient is None
    for name in fields(without):
        np.testing.assert_array_equal(getattr(without, name), getattr(with_labels, name))


def test_gradients_of_float64_are_not_rounded_to_float32(x, y):
    net = build(**SMALL).double()
    np.testing.assert_allclose(
        profile(net, x.double(), y).gradient, gradient_norms(net, x.double(), y), rtol=1e-12
    )


def test_gradients_of_float64_are_there_where_float32_overflows(x, y):
    net = build(**SMALL).double()
    with torch.no_grad():
        net[-1].weight *= 1e60
    np.testing.assert_allclose(
        profile(net, x.double(), y).gradient, gradient_norms(net, x.double(), y), rtol=1e-6
    )


def test_gradients_are_measured_also_where_the_caller_has_switched_them_off(x, y):
    expected = profile(build(**SMALL), x, y)
    with torch.no_grad():
        seen = profile(build(**SMALL), x, y)
    np.testing.assert_array_equal(seen.gradient, expected.gradient)


# --- nothing is left behind ------------------------------------------------------------------------------------------------


def state(net):
    """All that a network carries: values, gradients, modes, hooks."""
    values = {name: value.clone() for name, value in net.state_dict().items()}
    gradients = {
        name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None
    }
    needed = [value.requires_grad for value in net.parameters()]
    kinds = [(type(module), module.training) for module in net.modules()]
    hooks = [
        (name, len(value))
        for module in net.modules()
        for name, value in vars(module).items()
        if "_hooks" in name
    ]
    return (
        values | {f"gradient of {name}": value for name, value in gradients.items()},
        needed,
        kinds,
        hooks,
    )


def assert_same_state(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    assert all(one[0][name].dtype == other[0][name].dtype for name in one[0])
    assert one[1:] == other[1:]


@variants
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", [None, "float16", "float32"])
@pytest.mark.parametrize("labels", [True, False], ids=["labels", "no labels"])
def test_a_network_is_unchanged_by_its_profile(variant, training, dtype, labels, x, y):
    net = shaken(build(**SMALL, **variant)).train(training)
    net[0].eval()  # one layer in another mode
    for value in net.parameters():
        value.grad = torch.full_like(value, 7)
    before, batch = state(net), x.clone()
    profile(net, x, y if labels else None, dtype=dtype)
    assert_same_state(before, state(net))
    assert torch.equal(batch, x)
    assert x.grad is None


class Broken(nn.Module):
    """A layer that cannot run."""

    def forward(self, h):
        raise RuntimeError("broken")


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_network_is_unchanged_when_its_forward_pass_fails(norm, dtype, x):
    net = build(**SMALL, norm=norm).append(Broken())
    before = state(net)
    with pytest.raises(RuntimeError, match="^broken$"):
        profile(net, x, dtype=dtype)
    assert_same_state(before, state(net))


def in_place(net):
    """The network with activations that overwrite their input."""
    for layer in net:
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    return net


def test_activations_that_work_in_place_do_so_afterwards(x, y):
    broken = in_place(build(**SMALL)).append(Broken())
    with pytest.raises(RuntimeError, match="^broken$"):
        profile(broken, x)
    whole = in_place(build(**SMALL))
    profile(whole, x, y)
    for net in (broken, whole):
        assert [layer.inplace for layer in net if isinstance(layer, nn.ReLU)] == [True] * 5


def test_hooks_of_the_caller_stay_and_run(x):
    net, calls = build(**SMALL), []
    net[1].register_forward_hook(lambda *_: calls.append(1))
    profile(net, x)
    assert calls == [1]
    assert len(net[1]._forward_hooks) == 1


def test_profile_neither_reads_nor_moves_the_global_random_state(x, y):
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    profile(build(**SMALL, norm="batch"), x, y)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


def test_a_second_profile_says_the_same_and_the_first_stays_as_it_was(x, y):
    net = build(**SMALL, norm="batch")
    first = profile(net, x, y)
    kept = copy.deepcopy(first)
    second, _ = profile(net, x, y), profile(net, 5 * x, y)
    for name in fields(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(kept, name))


# --- shapes, and stacks ----------------------------------------------------------------------------------------------------


def fields(seen):
    """The names of the profile's arrays that are there."""
    return [
        field.name for field in dataclasses.fields(seen) if getattr(seen, field.name) is not None
    ]


@pytest.mark.parametrize("stack", [(), (1,), (3,), (2, 3)])
@variants
def test_every_array_has_one_row_a_layer_and_the_stack_behind_it(stack, variant, x, y):
    seen = profile(build(**SMALL, stack=stack, **variant), x, y)
    last = {"counts": (60,), "edges": (61,)}
    assert {name: getattr(seen, name).shape for name in fields(seen)} == {
        name: (5, *stack, *last.get(name, ())) for name in fields(seen)
    }
    assert len(fields(seen)) == 11
    assert seen.depth == 5
    assert seen.layers.tolist() == [1, 2, 3, 4, 5]


def test_a_profile_cannot_be_altered_by_accident(x):
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile(build(**SMALL), x).mean = 0


@activations
@variants
def test_a_stack_has_the_rows_of_its_networks(activation, variant, x, y):
    gains, seeds = torch.linspace(0.5, 2.5, 6).reshape(2, 3), torch.arange(6).reshape(2, 3)
    stacked = build(**SMALL, activation=activation, stack=(2, 3), gain=gains, seed=seeds, **variant)
    rows = profile(stacked, x, y, dtype="float64")
    for k in [(0, 0), (0, 2), (1, 1)]:
        single = build(**SMALL, activation=activation, gain=gains[k], seed=seeds[k], **variant)
        alone = profile(single, x, y, dtype="float64")
        for name in fields(alone):
            row, one = getattr(rows, name)[:, *k], getattr(alone, name)
            if name == "counts":
                assert abs(row - one).sum() <= 6
            else:
                np.testing.assert_allclose(
                    row, one, rtol=1e-6, atol=1e-12, err_msg=f"{name} of network {k}"
                )


def test_a_stack_with_a_batch_for_each_network_has_the_rows_of_its_networks(y):
    x = normal(3, 32, 8) * torch.tensor([1.0, 5.0, 25.0])[:, None, None]
    rows = profile(build(**SMALL, stack=(3,)), x, y)
    for k in range(3):
        alone = profile(build(**SMALL), x[k], y)
        for name in ("mean", "std", "pre_std", "gradient", "dead"):
            np.testing.assert_allclose(
                getattr(rows, name)[:, k], getattr(alone, name), rtol=1e-4, err_msg=name
            )


def test_a_network_of_torchs_own_layers_is_described_as_well(x):
    mine = shaken(build(**SMALL))
    theirs = [
        nn.Linear(layer.fan_in, layer.fan_out) if isinstance(layer, Linear) else layer
        for layer in mine
    ]
    for one, other in zip(mine, theirs):
        if isinstance(one, Linear):
            other.weight.data.copy_(one.weight.T)
            other.bias.data.copy_(one.bias)
    assert_described(profile(nn.Sequential(*theirs), x), reference(mine, x), rtol=2e-5)


def test_activations_that_work_in_place_are_described_as_well(x, y):
    expected = profile(build(**SMALL), x, y)
    for labels in (None, y):
        seen = profile(in_place(build(**SMALL)), x, labels)
        for name in fields(seen):
            np.testing.assert_allclose(
                getattr(seen, name), getattr(expected, name), rtol=1e-6, err_msg=name
            )


# --- precision: every dtype, and the ends of each --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, rtol", [("float64", 1e-12), ("float32", 2e-5), ("bfloat16", 0.05), ("float16", 0.01)]
)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@quiet
def test_every_dtype_gives_the_numbers_to_its_own_precision(dtype, rtol, norm, x, y):
    net = shaken(build(3, 20, inputs=8, classes=3, norm=norm))
    seen = profile(net, x, y, dtype=dtype)
    for layer, row in enumerate(reference(net, x)):
        for name in STATISTICS:
            size = abs(row["edges"]).max()
            np.testing.assert_allclose(
                getattr(seen, name)[layer], row[name], rtol=0, atol=rtol * size, err_msg=name
            )
    gradient = gradient_norms(net.double(), x.double(), y)
    np.testing.assert_allclose(seen.gradient, gradient, rtol=2 * rtol)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_pass_itself_is_computed_in_the_dtype(dtype):
    # 1 + 2^-12 cannot be told from 1 in half precision: all pre-activations are alike.
    net = build(1, 1, inputs=1, classes=1)
    net[0].weight.data.fill_(1)
    x = torch.tensor([[1.0], [1 + 2**-12]])
    assert profile(net, x, dtype=dtype).pre_std == 0
    assert profile(net, x).pre_std > 0


@quiet
def test_float16_overflows_where_the_other_precisions_do_not(x, y):
    net = build(100, 64, inputs=8, classes=3, gain=2.5)
    seen = {
        dtype: profile(net, x, y, dtype=dtype)
        for dtype in ("float16", "bfloat16", "float32", "float64")
    }
    half = seen.pop("float16")
    assert half.nonfinite[0] == 0
    assert half.nonfinite[-1] == 1
    first = int(np.argmax(half.nonfinite > 0))
    # (2.5/√2)^l passes 65504, the largest number of float16, at l = 19; the largest of 64 units does some layers before.
    assert 12 <= first + 1 <= 24
    assert np.isfinite(half.pre_std[:first]).all()
    assert not np.isfinite(half.pre_std[first:]).any()
    assert np.isnan(half.std[-1])
    assert half.counts[-1].sum() == 0
    for name, other in seen.items():
        assert not other.nonfinite.any(), name
        assert np.isfinite(other.std).all(), name
    np.testing.assert_allclose(seen["float32"].std, seen["float64"].std, rtol=1e-3)
    np.testing.assert_allclose(seen["bfloat16"].std, seen["float64"].std, rtol=0.2)


@activations
@pytest.mark.parametrize("scale", [1e-30, 1e-21, 1e-20, 1e-15, 1e15, 1e20, 1e30])
@quiet
def test_values_near_the_ends_of_float32_have_the_std_of_float64(activation, scale, x):
    net = build(3, 16, inputs=8, classes=3, activation=activation, gain=1.0)
    small, large = (
        profile(net, scale * x),
        profile(copy.deepcopy(net).double(), (scale * x).double()),
    )
    np.testing.assert_allclose(small.pre_std, large.pre_std, rtol=1e-5)
    np.testing.assert_allclose(small.std, large.std, rtol=1e-5, atol=1e-8 * abs(large.mean).max())
    for name in ("mean", "pre_mean"):
        size = np.maximum(large.std, abs(large.mean)) if name == "mean" else large.pre_std
        assert (abs(getattr(small, name) - getattr(large, name)) <= 1e-5 * size).all(), name
    assert (small.counts.sum(-1) == 32 * 16).all()
    assert (abs(small.counts - large.counts).sum(-1) <= 6).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e200, 1e300])
@quiet
def test_values_near_the_ends_of_float64_have_the_std_of_ordinary_ones(scale, x):
    net = build(3, 16, inputs=8, classes=3).double()
    ordinary, extreme = profile(net, x.double()), profile(net, scale * x.double())
    for name in STATISTICS:
        np.testing.assert_allclose(
            getattr(extreme, name), scale * getattr(ordinary, name), rtol=1e-6, err_msg=name
        )
    assert (abs(extreme.counts - ordinary.counts).sum(-1) <= 6).all()


@quiet
def test_extremes_of_float64_are_not_rounded_to_float32(x):
    net = build(**SMALL, activation="linear").double()
    seen = profile(net, x.double())
    z = numbers(net[0](x.double()))
    assert seen.edges[0, [0, -1]] == pytest.approx([z.min(), z.max()], rel=1e-14)


@quiet
@pytest.mark.parametrize("gain", [0.05, 20.0])
def test_a_float64_network_is_described_until_it_vanishes_or_overflows(gain, x):
    seen = profile(
        build(300, 24, inputs=8, classes=3, gain=gain, activation="linear"), x, dtype="float64"
    )
    assert (seen.pre_std[-1] == 0) if gain < 1 else (seen.nonfinite[-1] == 1)
    assert (seen.counts.sum(-1) == np.round(32 * 24 * (1 - seen.nonfinite))).all()


@pytest.mark.parametrize("noise", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@quiet
def test_a_mean_much_larger_than_the_std_does_not_cancel_it(noise, dtype):
    net, x = build(1, 64, inputs=8, classes=3, gain=noise).to(dtype), normal(64, 8, dtype=dtype)
    net[0].bias.data.fill_(1e4)
    seen = profile(net, x)
    z = numbers(net[0](x))
    assert 0 < z.std() < 0.02 * z.mean()
    for name in ("pre_std", "std"):
        assert getattr(seen, name)[0] == pytest.approx(z.std(), rel=1e-6)
    for name in ("pre_mean", "mean"):
        assert getattr(seen, name)[0] == pytest.approx(z.mean(), rel=1e-6)
    assert_counted(seen.counts[0], np.linspace(z.min(), z.max(), 61), z)


@pytest.mark.parametrize("ratio", [3, 9, 9.9, 10.1, 30, 300])
def test_the_std_is_right_to_a_ten_thousandth_for_every_ratio_of_mean_to_std(ratio):
    # On both sides of the place where the quick formula is left for the slow one.
    net = build(1, 1000, inputs=8, classes=3, gain=0)
    net[0].bias.data.copy_(ratio + normal(1000))
    z = numbers(net[0](normal(64, 8)))
    assert profile(net, normal(64, 8)).pre_std[0] == pytest.approx(z.std(), rel=1e-4)


# --- networks and batches at the edge --------------------------------------------------------------------------------------


@activations
@variants
@quiet
def test_a_network_of_zeros_is_described(activation, variant, x, y):
    seen = profile(build(**SMALL, activation=activation, gain=0, **variant), x, y)
    assert (seen.pre_std == 0).all()
    assert (seen.std == 0).all()
    if (activation, variant.get("order")) != (
        "sigmoid",
        "post",
    ):  # whose sum grows: sigmoid(0) = 0.5 is added to nothing
        assert (seen.pre_mean == 0).all()
        assert (seen.mean == (0.5 if activation == "sigmoid" else 0)).all()
        assert (seen.edges[:, [0, -1]] == [-0.5, 0.5]).all()
    assert (seen.dead == (activation == "relu")).all()
    assert (seen.saturated == 0).all()
    assert (seen.counts.sum(-1) == 32 * 20).all()
    assert np.isfinite(seen.gradient).all()


@activations
@variants
@pytest.mark.parametrize("depth, width, batch", [(1, 1, 2), (1, 5, 2), (3, 1, 2), (1, 1, 33)])
@quiet
def test_the_smallest_networks_are_described(activation, variant, depth, width, batch):
    # In float64: in a residual of width 1 the two examples of a batch norm, 1 and -1, cancel but for the rounding.
    x, y = normal(batch, 8, dtype=torch.float64), torch.zeros(batch, dtype=torch.int64)
    net = build(depth, width, inputs=8, classes=1, activation=activation, **variant).double()
    seen = profile(net, x, y)
    assert seen.depth == depth
    assert (seen.counts.sum(-1) == batch * width).all()
    assert_described(seen, reference(net, x), rtol=2e-5)


@pytest.mark.parametrize("norm", ["none", "layer"])
@quiet
def test_a_batch_of_one_is_described(norm):
    net, x = shaken(build(**SMALL, norm=norm)), normal(1, 8)
    assert_described(
        profile(net, x, torch.zeros(1, dtype=torch.int64)), reference(net, x), rtol=2e-5
    )


@activations
@variants
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@quiet
def test_a_batch_of_nothing_but_nan_or_infinity_is_described(activation, variant, value, y):
    seen = profile(build(**SMALL, activation=activation, **variant), torch.full((32, 8), value), y)
    assert seen.nonfinite[0] == 1
    assert (seen.counts[0] == 0).all()
    assert not np.isfinite(seen.pre_mean[0])
    assert not np.isfinite(seen.pre_std[0])
    assert np.isnan(seen.edges[0]).all()
    if math.isnan(value):
        assert (seen.nonfinite == 1).all()
        assert np.isnan([getattr(seen, name) for name in STATISTICS]).all()
        assert (seen.dead == 0).all()
        assert (seen.counts == 0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@quiet
def test_one_bad_example_makes_the_numbers_bad_and_leaves_the_histogram_of_the_others(value, x):
    net = shaken(build(**SMALL))
    x[5] = value
    others = torch.cat([x[:5], x[6:]])
    seen, rows = profile(net, x), reference(net, others)
    assert not np.isfinite(seen.pre_std).any()
    assert not np.isfinite(seen.mean).any()
    assert seen.nonfinite.tolist() == pytest.approx([1 / 32] * 5)
    for layer, row in enumerate(rows):
        assert_counted(seen.counts[layer], row["edges"], row["values"])
        np.testing.assert_allclose(seen.edges[layer], row["edges"], rtol=1e-5, atol=1e-5)


ALIKE = [0.0, 1.0, -3.0, 1e-30, 1e8, 1e16, 1e20, -1e30]


@pytest.mark.parametrize("value", ALIKE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@quiet
def test_values_that_are_all_alike_are_described(value, dtype):
    net = build(1, 3, inputs=2, classes=2, activation="linear", gain=0).to(dtype)
    net[0].bias.data.fill_(value)
    seen = profile(net, torch.ones(4, 2, dtype=dtype))
    exact = net[0].bias[0].item()
    assert (seen.pre_mean[0], seen.mean[0]) == pytest.approx((exact,) * 2, rel=1e-6)
    assert seen.pre_std[0] <= 1e-6 * abs(value)
    assert seen.counts.sum() == 12
    assert seen.edges[0, 0] <= exact <= seen.edges[0, -1]


@pytest.mark.parametrize("value", [1.0, 1e4, 1e-320])
@quiet
def test_values_that_are_neighbours_in_float64_are_described(value):
    net = build(1, 2, inputs=2, classes=2, gain=0).double()
    net[0].bias.data.copy_(torch.tensor([value, np.nextafter(value, np.inf)]))
    seen = profile(net, torch.ones(4, 2, dtype=torch.float64))
    assert seen.counts.sum() == 8
    assert seen.pre_mean[0] == pytest.approx(value, rel=1e-12, abs=1e-323)


# --- networks of other people: as the pass runs, whatever is registered first ---------------------------------------------------


class Net(nn.Module):
    """The parts in the order in which they are given, run by `run(net, x)`."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.run(self, x)


def linear(fan_in, fan_out, seed):
    """torch's own Linear, with weights of a seed."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=torch.Generator().manual_seed(seed))
    nn.init.constant_(layer.bias, 0.1)
    return layer


def parts():
    return {"one": linear(8, 20, 1), "two": linear(20, 20, 2), "head": linear(20, 3, 3)}


def gradients_behind(net, x, y, *layers):
    """The norms of the gradients at what these layers return, by backward() alone, in the order in which they run."""
    outputs = []

    def keep(layer, inputs, output):
        output.retain_grad()
        outputs.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    cross_entropy(net(x), y).backward()
    for hook in hooks:
        hook.remove()
    net.zero_grad()
    return [output.grad.norm().item() for output in outputs]


def test_layers_registered_in_another_order_than_they_run_have_their_gradients(x, y):
    one, two, head = parts().values()
    act = nn.Tanh()  # one module that runs twice
    net = Net(
        lambda net, x: net.head(net.act(net.two(net.act(net.one(x))))),
        head=head, two=two, act=act, one=one,
    )  # fmt: skip
    expected = gradients_behind(net, x, y, one, two)
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


def test_a_layer_that_runs_twice_has_the_gradient_of_each_run(x, y):
    one, two, head = parts().values()
    net = nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), two, nn.ReLU(), head)
    expected = gradients_behind(net, x, y, one, two)
    assert len(expected) == 3
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


def test_of_two_weights_in_a_row_the_last_one_counts(x, y):
    one, two, head = parts().values()
    net = nn.Sequential(one, nn.LayerNorm(20), two, nn.Dropout(0.0), nn.Sigmoid(), head)
    expected = gradients_behind(net, x, y, two)
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
def test_an_embedding_may_come_first(y, dtype):
    words, one, head = nn.Embedding(50, 4), linear(8, 20, 1), linear(20, 3, 3)
    nn.init.normal_(words.weight, generator=torch.Generator().manual_seed(4))
    net = nn.Sequential(words, nn.Flatten(), one, nn.ReLU(), head)
    x = torch.arange(64).reshape(32, 2) % 50
    seen = profile(net, x, y, dtype=dtype)
    expected = gradients_behind(net, x, y, one)
    np.testing.assert_allclose(seen.gradient, expected, rtol=0.02 if dtype == "bfloat16" else 1e-5)


def test_a_layer_beside_the_way_to_an_activation_is_not_its_layer(x, y):
    one, head = linear(8, 20, 1), linear(20, 3, 3)
    gate = linear(8, 20, 2)  # runs after `one` and before the activation

    def run(net, x):
        z, share = net.one(x), net.gate(x).sigmoid()
        return net.head(net.act(z) * share)

    net = Net(run, one=one, gate=gate, act=nn.ReLU(), head=head)
    expected = gradients_behind(net, x, y, one)
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


def test_two_activations_of_the_same_pre_activation_have_the_same_gradient(x, y):
    one, head = linear(8, 20, 1), linear(20, 3, 3)
    net = Net(
        lambda net, x: net.head(net.up(net.one(x)) * net.down(net.one.latest)),
        one=one, up=nn.Tanh(), down=nn.Sigmoid(), head=head,
    )  # fmt: skip
    one.register_forward_hook(lambda layer, inputs, output: setattr(layer, "latest", output))
    expected = gradients_behind(net, x, y, one) * 2
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


def test_an_activation_of_the_sum_of_two_layers_has_the_gradient_of_the_sum(x, y):
    net = Net(
        lambda net, x: net.head(net.act(net.one(x) + net.other(x))),
        one=linear(8, 20, 1), other=linear(8, 20, 2), act=nn.ReLU(), head=linear(20, 3, 3),
    )  # fmt: skip
    expected, same = gradients_behind(net, x, y, net.one, net.other)
    assert expected == same
    np.testing.assert_allclose(profile(net, x, y).gradient, [expected], rtol=1e-5)


def test_a_frozen_weight_changes_no_gradient(x, y):
    net = build(**SMALL)
    free = profile(net, x, y)
    for k in (0, 4):
        net[k].weight.requires_grad_(False)
    seen = profile(net, x, y)
    np.testing.assert_allclose(seen.gradient, free.gradient, rtol=1e-6)
    assert [value.requires_grad for value in net.parameters()][:4] == [False, True, True, True]


def test_a_network_of_frozen_weights_has_gradients_at_its_layers(x, y):
    net = build(**SMALL, norm="batch", skip=True)
    free, seen = profile(net, x, y), profile(net.requires_grad_(False), x, y)
    np.testing.assert_allclose(seen.gradient, free.gradient, rtol=1e-6)
    assert x.grad is None
    assert not x.requires_grad


def test_an_activation_of_x_itself_has_the_gradient_of_x(x, y):
    net = nn.Sequential(nn.Tanh(), linear(8, 20, 1), nn.ReLU(), linear(20, 3, 3))
    seen = profile(net, x, y)
    leaf = x.clone().requires_grad_()
    cross_entropy(net(leaf), y).backward()
    np.testing.assert_allclose(seen.gradient[0], leaf.grad.norm(), rtol=1e-5)


def test_what_does_not_reach_the_loss_has_no_gradient(x, y):
    net = Net(
        lambda net, x: [net.act(net.aside(x)), net.head(net.act(net.one(x)))][1],
        one=linear(8, 20, 1), aside=linear(8, 20, 2), act=nn.ReLU(), head=linear(20, 3, 3),
    )  # fmt: skip
    seen = profile(net, x, y)
    assert np.isnan(seen.gradient).tolist() == [True, False]


def test_one_layer_for_all_networks_of_a_stack_has_a_gradient_for_each_of_them(x, y):
    stacked = build(**SMALL, stack=(3,), seed=[0, 1, 2])
    net = nn.Sequential(*stacked[:4], linear(20, 20, 1), *stacked[3:])
    seen = profile(net, x, y)
    assert seen.gradient.shape == (6, 3)
    assert all(len(set(row)) == 3 for row in seen.gradient)


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "no labels"])
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_shortcut_that_is_an_identity_is_no_layer(norm, order, activation, labels, x, y):
    net = shaken(build(**SMALL, norm=norm, skip=True, order=order, activation=activation))
    expected = profile(net, x, y if labels else None)
    for block in (part for part in net if isinstance(part, Residual)):
        block.shortcut = nn.Identity()
    assert_same_profile(profile(net, x, y if labels else None), expected)


def assert_same_profile(one, other, rtol=1e-6):
    assert fields(one) == fields(other)
    for name in fields(one):
        mine, theirs = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=1e-9, err_msg=name)


class Block(nn.Module):
    """A residual block of one's own, whose shortcut is a module that runs first or last."""

    def __init__(self, width, seed, early, shortcut):
        super().__init__()
        self.early, self.shortcut = early, shortcut
        self.norm, self.act, self.fc = nn.Identity(), nn.ReLU(), linear(width, width, seed)

    def forward(self, x):
        if self.early:
            return self.shortcut(x) + self.fc(self.act(self.norm(x)))
        return self.fc(self.act(self.norm(x))) + self.shortcut(x)


@pytest.mark.parametrize("early", [True, False])
def test_identities_in_place_of_norms_dropouts_and_shortcuts_are_no_layers(early, x, y):
    net = nn.Sequential(
        linear(8, 20, 1),
        Block(20, 2, early, nn.Identity()),
        nn.Identity(),
        Block(20, 3, early, nn.Identity()),
        nn.ReLU(),
        nn.Identity(),
        linear(20, 3, 4),
        nn.Identity(),
    )
    seen = profile(net, x, y)
    assert seen.depth == 3 and "3 layers" in str(seen)
    assert (seen.mean > 0.1).all(), "all of them are ReLUs"
    expected = gradients_behind(net, x, y, net[0], net[1].fc, net[3])
    np.testing.assert_allclose(seen.gradient[[0, 2]], [expected[0], expected[2]], rtol=1e-5)
    assert seen.gradient.shape == (3,)


def test_a_layer_that_was_made_linear_is_still_a_layer(x, y):
    net = build(**SMALL)
    net[3] = nn.Identity()
    seen = profile(net, x, y)
    assert seen.depth == 5
    assert np.isclose(seen.mean, seen.pre_mean).tolist() == [False, True, False, False, False]
    expected = gradients_behind(net, x, y, *(net[k] for k in (0, 2, 4, 6, 8)))
    np.testing.assert_allclose(seen.gradient, expected, rtol=1e-5)


def test_a_shortcut_with_a_weight_is_no_layer(x, y):
    net = nn.Sequential(
        linear(8, 16, 1),
        nn.ReLU(),
        Residual([linear(16, 20, 2)], shortcut=linear(16, 20, 3)),
        nn.ReLU(),
        linear(20, 3, 4),
    )
    expected = gradients_behind(net, x, y, net[0], net[2])
    np.testing.assert_allclose(profile(net, x, y).gradient, expected, rtol=1e-5)


def test_behind_the_last_block_there_is_no_stream(x):
    net = nn.Sequential(
        *build(**SMALL, skip=True)[:-1], linear(20, 20, 1), nn.ReLU(), linear(20, 3, 2)
    )
    seen = profile(net, x)
    assert seen.stream_std[-1] == seen.pre_std[-1]


class Louder(nn.ReLU):
    """ReLU under another name."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor


class Leaky(nn.ReLU):
    """No ReLU at all."""

    def forward(self, x):
        return torch.maximum(x, 0.1 * x)


def test_a_subclass_of_an_activation_is_described_as_that_activation(x, y):
    net = build(**SMALL, gain=2.0)
    expected = profile(net, x, y)
    for k in range(1, 11, 2):
        net[k] = Louder(3)
    assert_same_profile(profile(net, x, y), expected)


def test_a_subclass_that_computes_something_else_is_refused(rejects, x):
    net = nn.Sequential(linear(8, 20, 1), nn.ReLU(), linear(20, 20, 2), Leaky(), linear(20, 3, 3))
    rejects(
        lambda: profile(net, x),
        "net must have activations of relu, tanh, sigmoid, linear only, got Leaky, which computes something else",
    )


def test_a_network_without_values_is_refused(rejects, x):
    for layer in nn.LazyLinear(20), nn.Linear(8, 20, device="meta"):
        net = nn.Sequential(layer, nn.ReLU(), linear(20, 3, 3))
        message = "net must have values in all its weights, got a lazy one or a meta tensor"
        rejects(lambda net=net: profile(net, x), message)


# --- compiled, autocast, in inference mode -------------------------------------------------------------------------------------


def whole(net):
    return torch.compile(net, backend="eager")


def a_part(net):
    net[0], net[2] = torch.compile(net[0], backend="eager"), torch.compile(net[2], backend="eager")
    return net


def in_itself(net):
    net.compile(backend="eager")
    return net


@pytest.mark.parametrize("compiled", [whole, a_part, in_itself])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_a_compiled_network_has_the_profile_of_the_original(compiled, dtype, x, y):
    expected = profile(build(**SMALL, norm="batch", skip=True), x, y, dtype=dtype)
    net = compiled(build(**SMALL, norm="batch", skip=True))
    for _ in range(2):  # before it has compiled anything, and after
        for labels in (None, y):
            seen = profile(net, x, labels, dtype=dtype)
        assert_same_profile(seen, expected)
        net(x)
    assert not any(part._forward_hooks for part in net.modules())


@variants
@quiet
def test_autocast_is_obeyed(variant, x, y):
    net = shaken(build(**SMALL, **variant))
    exact = profile(net, x, y, dtype="float64")
    with torch.autocast("cpu", torch.bfloat16):
        seen, scores = profile(net, x, y), net(x)
    assert scores.dtype == torch.bfloat16
    size = abs(exact.edges).max()
    for name in STATISTICS:
        np.testing.assert_allclose(
            getattr(seen, name), getattr(exact, name), atol=0.03 * size, err_msg=name
        )
    assert (abs(seen.std / exact.std - 1) > 1e-6).all(), "this would be float32"
    np.testing.assert_allclose(seen.gradient, exact.gradient, rtol=0.2)


def test_a_dtype_that_is_asked_for_wins_over_autocast(x, y):
    net = build(**SMALL, norm="batch")
    expected = profile(net, x, y, dtype="float32")
    with torch.autocast("cpu", torch.bfloat16):
        assert_same_profile(profile(net, x, y, dtype="float32"), expected, rtol=0)


@pytest.mark.parametrize(
    "make",
    [build, lambda *sizes, **_: nn.Sequential(linear(8, 20, 1), nn.ReLU(), linear(20, 3, 2))],
)
def test_a_network_and_a_batch_that_were_made_in_inference_mode_have_gradients(make, x, y):
    expected = profile(make(**SMALL, norm="batch"), x, y)
    with torch.inference_mode():
        net, copied = make(**SMALL, norm="batch"), x.clone()
        assert_same_profile(profile(net, copied, y), expected)
    assert_same_profile(profile(net, copied, y), expected)


# --- activations, and how alike they are -----------------------------------------------------------------------------------------


@activations
@variants
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_activations_are_those_of_a_slow_computation(activation, variant, training, x):
    net = shaken(build(**SMALL, activation=activation, **variant)).train(training)
    before, expected = state(net), []
    forward(net, numbers(x), expected)
    pairs = helpers.activations(net, x)
    assert len(pairs) == len(expected) == 5
    for (z, a), (kind, right, _) in zip(pairs, expected):
        assert not z.requires_grad and not a.requires_grad
        np.testing.assert_allclose(z, right, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(a, OUTPUT[kind](right), rtol=1e-4, atol=1e-4)
    assert_same_state(before, state(net))


def test_activations_of_a_stack_have_its_shape_and_those_of_nested_layers_are_there(x):
    stacked = build(**SMALL, stack=(2, 3), norm="batch")
    assert {z.shape for pair in helpers.activations(stacked, x) for z in pair} == {(2, 3, 32, 20)}
    net = build(**SMALL)
    nested = nn.Sequential(nn.Sequential(*net[:4]), nn.Sequential(nn.Sequential(*net[4:])))
    for one, other in zip(helpers.activations(nested, x), helpers.activations(net, x), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_activations_that_work_in_place_leave_their_input(x):
    for one, other in zip(
        helpers.activations(in_place(build(**SMALL)), x), helpers.activations(build(**SMALL), x)
    ):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


@pytest.mark.parametrize("stack", [(), (3,), (2, 3)])
def test_similarity_is_the_mean_correlation_of_different_images(stack):
    a = normal(*stack, 12, 30) + normal(30, seed=1)
    found = helpers.similarity(a)
    assert found.shape == stack
    for k in np.ndindex(stack):
        table = np.corrcoef(a[k].double())
        assert found[k] == pytest.approx(table[np.triu_indices(12, 1)].mean(), rel=1e-9)


def test_similarity_is_one_for_the_same_images_and_zero_for_independent_ones():
    direction = normal(40)
    assert helpers.similarity(torch.outer(torch.arange(1, 9.0), direction) + 5) == pytest.approx(1)
    assert abs(helpers.similarity(normal(64, 1000))) < 0.01
    assert abs(helpers.similarity(normal(64, 1000).relu())) < 0.01, "the cosine would be 0.3"


def test_an_image_without_a_direction_is_left_out_and_one_alone_has_no_similarity():
    a = normal(6, 30)
    with_constant = torch.cat([a, torch.zeros(1, 30), torch.full((1, 30), 0.123)])
    assert helpers.similarity(with_constant) == pytest.approx(helpers.similarity(a), rel=1e-12)
    for none in (a[:1], torch.full((5, 30), 0.123), a[:, :1]):
        assert np.isnan(helpers.similarity(none))
    a[2, 3] = math.nan
    assert np.isnan(helpers.similarity(a))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e25])
def test_similarity_does_not_depend_on_the_scale(scale):
    a = normal(6, 30)
    assert helpers.similarity(scale * a) == pytest.approx(helpers.similarity(a), rel=1e-5)


def test_a_stuck_network_is_recognized_and_the_others_are_told_from_it():
    x = normal(64, 64, seed=5)

    def last(**settings):
        net = build(50, 100, seed=0, **settings)
        return helpers.similarity(helpers.activations(net, x)[-1][1])

    assert last() > 0.9
    assert last(activation="sigmoid") > 0.999
    assert abs(last(norm="batch")) < 0.1
    assert abs(last(norm="batch", skip=True)) < 0.1
    assert abs(last(activation="tanh", gain=3.0)) < 0.1


# --- how a profile looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", [(), (2, 3)])
@pytest.mark.parametrize("depth", [1, 3, 50])
def test_a_profile_is_shown_in_ten_lines_or_fewer(depth, stack, x, y):
    seen = profile(build(depth, 20, inputs=8, classes=3, stack=stack), x, y)
    first, layer, *lines = repr(seen).splitlines()
    assert first == f"Profile of {depth} layers" + (", medians of 6 networks" if stack else "")
    assert layer.split()[:2] == ["layer", "1"] and layer.split()[-1] == str(depth)
    assert len(lines) <= 8 and max(map(len, lines)) < 80
    assert any(line.split()[0] == "gradient" for line in lines)
    std = next(line.split() for line in lines if line.startswith("std"))
    assert float(std[-1]) == pytest.approx(np.median(seen.std[-1]), rel=0.01)
    assert "gradient" not in repr(profile(build(2, 20, inputs=8, classes=3), x))


def test_two_profiles_can_be_compared_with_is_and_in(x):
    one, other = profile(build(**SMALL), x), profile(build(**SMALL), x)
    assert one != other and one in [other, one]


def test_a_convolutional_network_is_refused():
    with pytest.raises(
        ValueError, match=r"net must be fully connected, got an activation of shape \(8, 8, 8, 8\)"
    ):
        profile(build_conv(8, classes=3), normal(8, 64))


@pytest.mark.parametrize("look", [profile, helpers.activations])
def test_an_activation_of_another_kind_is_refused_and_not_left_out(look):
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.LeakyReLU(0.1))
    with pytest.raises(ValueError, match="activations of relu, tanh, sigmoid, linear.*LeakyReLU"):
        look(net, torch.ones(4, 8))
    assert look(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Softmax(-1)), torch.ones(4, 8))


class InPlace(nn.Module):
    """A residual block that adds to its input in place."""

    def __init__(self, in_place):
        super().__init__()
        self.act, self.layer, self.in_place = nn.ReLU(), nn.Linear(8, 8), in_place

    def forward(self, x):
        if not self.in_place:
            return x + self.layer(self.act(x))
        x += self.layer(self.act(x))
        return x


def test_the_gradient_is_that_of_the_sum_before_it_changes_in_place(x, y):
    nets = []
    for in_place in (False, True):
        torch.manual_seed(0)
        layers = [nn.Linear(8, 8), InPlace(in_place), InPlace(in_place), nn.Linear(8, 3)]
        nets.append(nn.Sequential(*layers))
    as_usual, changed = (profile(net, x, y).gradient for net in nets)
    np.testing.assert_allclose(changed, as_usual, rtol=1e-6)


def test_similarity_knows_no_largest_and_no_smallest_number():
    a = normal(4, 30, dtype=torch.float64) + 1
    for factor in 1e200, 1e-200:
        assert helpers.similarity(factor * a) == pytest.approx(helpers.similarity(a), rel=1e-9)


def test_whole_numbers_are_cast_to_the_dtype_that_is_asked_for():
    net, x = build(**SMALL), torch.arange(40).reshape(5, 8)
    np.testing.assert_array_equal(profile(net, x, dtype="float32").std, profile(net, x.float()).std)


def test_a_sequential_with_a_forward_of_its_own_is_refused_by_activations(x):
    class Skip(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    skip = Skip(nn.ReLU(), linear(x.shape[1], x.shape[1], 1))
    for net in skip, nn.Sequential(skip, nn.ReLU(), linear(x.shape[1], 3, 2)):
        with pytest.raises(ValueError, match="^net must be made of layers"):
            helpers.activations(net, x)
