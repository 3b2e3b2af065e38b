"""What build makes: the layers, the weights they start with, and the same network alone or in a stack."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from helpers import activations as all_activations
from helpers import build, build_conv, networks, profile
from helpers.networks import BatchNorm, LayerNorm, Linear, Norm, Residual, Shortcut

SMALL = {"depth": 4, "width": 12, "inputs": 8, "classes": 3}
NORMS = ["none", "batch", "layer"]
WIRINGS = {
    "plain": {},
    "skip pre": {"skip": True, "order": "pre"},
    "skip post": {"skip": True, "order": "post"},
}
ACTIVATIONS = ["relu", "tanh", "sigmoid", "linear"]

norms = pytest.mark.parametrize("norm", NORMS)
wirings = pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
activations = pytest.mark.parametrize("activation", ACTIVATIONS)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def linears(net):
    return [module for module in net.modules() if isinstance(module, Linear)]


def residuals(net):
    return [module for module in net.modules() if isinstance(module, Residual)]


def outline(net):
    """The names of the layers in order; a branch is a list of its own."""
    return [
        outline(layer.branch) if isinstance(layer, Residual) else type(layer).__name__
        for layer in net
    ]


# --- the layers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "norm, between", [("none", []), ("batch", ["BatchNorm"]), ("layer", ["LayerNorm"])]
)
@activations
def test_the_layers_stand_in_the_promised_order(norm, between, activation):
    act = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "linear": "Identity"}[activation]
    layer = ["Linear", *between, act]

    def layers(**wiring):
        return outline(
            build(3, 12, inputs=8, classes=3, norm=norm, activation=activation, **wiring)
        )

    assert layers() == [*layer, *layer, *layer, "Linear"]
    assert layers(order="post") == layers(), "without a skip there is no order"
    branch = [*between, act, "Linear"]
    assert layers(skip=True, order="pre") == ["Linear", branch, branch, *between, act, "Linear"]
    branch = ["Linear", *between]
    assert layers(skip=True, order="post") == [*layer, branch, act, branch, act, "Linear"]


@norms
@wirings
@activations
def test_depth_one_is_one_hidden_layer(norm, wiring, activation):
    net = build(1, 5, inputs=8, classes=3, norm=norm, activation=activation, **wiring)
    assert [tuple(linear.weight.shape) for linear in linears(net)] == [(8, 5), (5, 3)]
    assert not residuals(net)
    assert net(normal(6, 8)).shape == (6, 3)


@pytest.mark.parametrize("stack", [(), (1,), (3,), (2, 3)])
def test_shapes_of_weights_and_scores_have_the_stack_in_front(stack):
    net = build(**SMALL, stack=stack)
    sizes = [(8, 12), (12, 12), (12, 12), (12, 12), (12, 3)]
    assert [tuple(linear.weight.shape) for linear in linears(net)] == [
        (*stack, *size) for size in sizes
    ]
    assert [tuple(linear.bias.shape) for linear in linears(net)] == [
        (*stack, fan_out) for _, fan_out in sizes
    ]
    assert net(normal(6, 8)).shape == (*stack, 6, 3)
    assert net(normal(*stack, 6, 8)).shape == (*stack, 6, 3)


def test_all_variants_start_from_the_same_draws_of_the_weights():
    first, *others = [
        linears(build(**SMALL, norm=norm, seed=3, **wiring))
        for norm in NORMS
        for wiring in WIRINGS.values()
    ]
    assert len(first) == 5
    for other in others:
        assert len(other) == 5
        assert all(torch.equal(mine.weight, theirs.weight) for mine, theirs in zip(first, other))


def test_the_layers_of_a_network_have_different_draws():
    weights = [linear.weight.flatten()[:8] for linear in linears(build(**SMALL))]
    assert len({tuple(weight.tolist()) for weight in weights}) == 5


@wirings
def test_only_a_linear_before_batch_norm_has_no_bias(wiring):
    biases = {
        norm: [linear.bias is not None for linear in linears(build(**SMALL, norm=norm, **wiring))]
        for norm in NORMS
    }
    assert biases == {"none": [True] * 5, "batch": [False] * 4 + [True], "layer": [True] * 5}


def test_biases_start_at_zero():
    assert all(not linear.bias.any() for linear in linears(build(**SMALL)))


# --- the weights -----------------------------------------------------------------------------------------------------------


def std_band(count):
    """Five standard errors of the standard deviation of `count` normal draws, as a share of it."""
    return 5 / math.sqrt(2 * count)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2**0.5, 2.5])
@pytest.mark.parametrize("fan_in, fan_out", [(64, 512), (512, 512), (512, 10)])
def test_weights_have_mean_zero_and_std_gain_over_root_fan_in(fan_in, fan_out, gain):
    weight = Linear(
        fan_in, fan_out, gain=gain, generator=torch.Generator().manual_seed(0)
    ).weight.double()
    std = gain / fan_in**0.5
    assert weight.std(correction=0).item() == pytest.approx(std, rel=std_band(weight.numel()))
    assert abs(weight.mean().item()) < 5 * std / math.sqrt(weight.numel())


@pytest.mark.parametrize(
    "activation, gain", [("relu", 2**0.5), ("tanh", 5 / 3), ("sigmoid", 1.0), ("linear", 1.0)]
)
def test_the_default_gain_is_the_activations_own_and_he_for_relu(activation, gain):
    default = linears(build(2, 256, inputs=256, classes=256, activation=activation))
    given = linears(build(2, 256, inputs=256, classes=256, activation=activation, gain=gain))
    assert all(torch.equal(mine.weight, theirs.weight) for mine, theirs in zip(default, given))
    for linear in default[:-1]:
        assert linear.weight.std().item() == pytest.approx(gain / 16, rel=std_band(256**2))


def test_the_last_linear_has_gain_one_whatever_the_gain():
    small, large = (linears(build(**SMALL, gain=gain))[-1].weight for gain in (0.1, 3.0))
    assert torch.equal(small, large)
    wide = linears(build(1, 512, inputs=8, classes=100, gain=3.0))[-1].weight
    assert wide.std().item() == pytest.approx(512**-0.5, rel=std_band(51200))


def test_the_gain_only_scales_the_draws():
    one, two = (linears(build(**SMALL, gain=gain, seed=4)) for gain in (1.0, 2.0))
    assert all(torch.equal(2 * a.weight, b.weight) for a, b in zip(one[:-1], two))


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    one, same, other = (build(**SMALL, seed=seed)(normal(6, 8)) for seed in (11, 11, 12))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)


@pytest.mark.parametrize("stack, seed", [((), 0), ((3,), 0), ((3,), [0, 1, 2])])
def test_build_neither_reads_nor_moves_the_global_random_state(stack, seed):
    before = build(**SMALL, stack=stack, seed=seed).state_dict()
    torch.manual_seed(99)
    np.random.seed(99)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    after = build(**SMALL, stack=stack, seed=seed).state_dict()
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert all(torch.equal(before[name], after[name]) for name in before)


# --- skips -----------------------------------------------------------------------------------------------------------------


@norms
@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_branch_scale_of_zero_starts_as_the_identity_and_is_learned(norm, order, x, y):
    net = build(**SMALL, norm=norm, skip=True, order=order, branch_scale=0)
    h = normal(6, 12)
    assert len(residuals(net)) == 3
    assert all(torch.equal(residual(h), h) for residual in residuals(net))
    scales = [value for name, value in net.named_parameters() if name.endswith("scale")]
    assert len(scales) == 3
    assert not any(scale.any() for scale in scales)
    cross_entropy(net(x), y).backward()
    assert all(scale.grad.abs() > 0 for scale in scales), "the scale must be able to leave zero"


def test_with_a_branch_scale_of_zero_the_signal_is_the_same_at_every_depth(x):
    shallow, deep = (
        build(depth, 12, inputs=8, classes=3, skip=True, branch_scale=0) for depth in (2, 50)
    )
    assert torch.equal(shallow[:-1](x), deep[:-1](x))


@pytest.mark.parametrize("branch_scale", [1.0, 0.5, -1.0])
def test_any_other_branch_scale_is_fixed_and_multiplies_the_branch(branch_scale):
    net = build(**SMALL, skip=True, branch_scale=branch_scale)
    assert not [name for name, _ in net.named_parameters() if name.endswith("scale")]
    h = normal(6, 12)
    for residual in residuals(net):
        torch.testing.assert_close(
            residual(h) - h, branch_scale * residual.branch(h), rtol=1e-5, atol=1e-6
        )


def test_the_branch_scale_travels_with_a_saved_network(x):
    saved = build(**SMALL, skip=True, branch_scale=0.25)
    loaded = build(**SMALL, skip=True, seed=1)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(saved(x), loaded(x))


# --- one network and a stack of them ---------------------------------------------------------------------------------------


def run(net, x, y):
    """Scores of one training pass, gradients of each network's own loss, running averages, and scores in eval mode.

    In float64, where the two ways of multiplying matrices, one at a time or many at once, differ in the 15th digit only.
    """
    net = net.double()
    scores = net(x)
    classes = y.expand(*scores.shape[:-2], -1).flatten()
    (cross_entropy(scores.flatten(0, -2), classes, reduction="sum") / len(y)).backward()
    seen = {"scores": scores.detach(), "scores in eval mode": net.eval()(x).detach()}
    return (
        seen
        | dict(net.named_buffers())
        | {f"gradient of {name}": value.grad for name, value in net.named_parameters()}
    )


def assert_stack_equals_loop(stack, x, y, every=1, **options):
    """Network k of the stack is the single network built with the k-th entry of each option that is a list or a tensor."""
    fixed = {
        name: value for name, value in options.items() if not isinstance(value, list | torch.Tensor)
    }
    varied = {name: torch.as_tensor(value) for name, value in options.items() if name not in fixed}
    stacked = build(**SMALL, stack=stack, **options)
    weights = {name: value.detach().clone() for name, value in stacked.named_parameters()}
    result = run(stacked, x.double(), y)
    for k in list(np.ndindex(stack))[::every]:
        single = build(
            **SMALL, **fixed, **{name: value[k].item() for name, value in varied.items()}
        )
        for name, value in single.named_parameters():
            assert torch.equal(weights[name][k], value), f"{name} of network {k} starts differently"
        alone = run(single, (x[k] if x.dim() > 2 else x).double(), y)
        for name, value in alone.items():
            row = (
                result[name][k] if result[name].dim() > value.dim() else result[name]
            )  # a scale may be one for all
            torch.testing.assert_close(row, value, rtol=1e-9, atol=1e-12)


@norms
@wirings
def test_a_stack_of_64_gains_equals_64_networks(norm, wiring, x, y):
    every = 1 if norm == "none" else 9  # all of them once; 0, 9, … 63 where it takes longest
    assert_stack_equals_loop(
        (64,), x, y, every, norm=norm, gain=torch.linspace(0.5, 2.5, 64), seed=2, **wiring
    )


@activations
def test_a_stack_equals_the_loop_with_every_activation(activation, x, y):
    assert_stack_equals_loop((5,), x, y, activation=activation, gain=torch.linspace(0.5, 2.5, 5))


@norms
@wirings
def test_a_stack_of_seeds_equals_the_networks_of_these_seeds(norm, wiring, x, y):
    assert_stack_equals_loop((4,), x, y, norm=norm, seed=[5, 1, 5, 2**63 - 1], **wiring)


@norms
@wirings
def test_a_stack_of_two_dimensions_equals_its_networks(norm, wiring, x, y):
    seed = torch.arange(6).reshape(2, 3)
    assert_stack_equals_loop(
        (2, 3), x, y, norm=norm, gain=torch.linspace(0.5, 2.5, 6).reshape(2, 3), seed=seed, **wiring
    )


@norms
@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize(
    "branch_scale", [torch.linspace(0.1, 1, 5), torch.zeros(5)], ids=["fixed", "learned"]
)
def test_a_stack_of_branch_scales_equals_its_networks(norm, order, branch_scale, x, y):
    assert_stack_equals_loop(
        (5,),
        x,
        y,
        norm=norm,
        skip=True,
        order=order,
        branch_scale=branch_scale,
        seed=[4, 3, 2, 1, 0],
    )


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("stack", [(1,), (4,), (2, 3)])
def test_a_stack_in_which_each_network_has_a_batch_of_its_own(norm, stack, y):
    gain = torch.linspace(0.5, 2.5, math.prod(stack)).reshape(stack)
    assert_stack_equals_loop(stack, normal(*stack, 32, 8), y, norm=norm, gain=gain)


def test_one_number_serves_the_whole_stack_as_the_same_number_for_each_does(x):
    one = build(**SMALL, stack=(3,), gain=1.5, seed=7, skip=True, branch_scale=0.5)
    each = build(
        **SMALL, stack=(3,), gain=[1.5] * 3, seed=[7] * 3, skip=True, branch_scale=[0.5] * 3
    )
    assert torch.equal(one(x), each(x))


def test_in_float32_a_stack_equals_the_loop_to_rounding(x):
    gains = torch.linspace(0.5, 2.5, 64)
    rows = build(**SMALL, stack=(64,), gain=gains)(x)
    for row, gain in zip(rows, gains):
        torch.testing.assert_close(
            row, build(**SMALL, gain=gain)(x), rtol=1e-4, atol=1e-5 * row.abs().max().item()
        )


def test_the_networks_of_a_stack_do_not_share_memory():
    net = build(**SMALL, stack=(3,), norm="batch")
    stacked = [value.detach() for value in net.state_dict().values() if value.dim()]
    for value in stacked:
        value[0].fill_(7)
    assert not any((value[1:] == 7).any() for value in stacked)


def test_a_step_of_a_stack_is_the_step_of_each_network(x, y):
    def step(net):
        net = net.double()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            scores = net(x.double())
            losses = cross_entropy(
                scores.flatten(0, -2), y.expand(*scores.shape[:-2], -1).flatten(), reduction="none"
            )
            (losses.sum() / len(y)).backward()
            optimizer.step()
        return net.eval()(x.double())

    rows = step(build(**SMALL, stack=(3,), norm="batch", skip=True, seed=[0, 1, 2]))
    for seed, row in enumerate(rows):
        torch.testing.assert_close(
            row, step(build(**SMALL, norm="batch", skip=True, seed=seed)), rtol=1e-9, atol=1e-12
        )


# --- layer norm, next to torch's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_equals_torchs_own(eps):
    mine, theirs = LayerNorm(6, eps=eps).double(), nn.LayerNorm(6, eps=eps).double()
    with torch.no_grad():
        mine.gamma.copy_(theirs.weight.copy_(1 + 0.5 * normal(6)))
        mine.beta.copy_(theirs.bias.copy_(normal(6, seed=1)))
    x, grad = (3 * normal(16, 6) + 1).double().requires_grad_(), normal(16, 6, seed=2).double()
    seen = []
    for norm in mine, theirs:
        output = norm(x)
        seen.append(
            [output, *torch.autograd.grad(output, [x, *norm.parameters()], grad), norm.eval()(x)]
        )
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_the_default_eps_of_layer_norm_is_torchs_own():
    assert LayerNorm(6).eps == nn.LayerNorm(6).eps


# --- He's convolutional networks ------------------------------------------------------------------------------------------------

CONV_WIRINGS = {"plain": {}, "post": {"skip": True}}


def convolutions(net):
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("wiring", CONV_WIRINGS.values(), ids=CONV_WIRINGS)
@pytest.mark.parametrize("depth", [8, 20, 56])
def test_a_conv_network_has_as_many_layers_as_said_and_he_s_widths(depth, wiring, norm):
    net = build_conv(depth, classes=10, norm=norm, **wiring)
    layers = convolutions(net)
    assert len(layers) + 1 == depth, "all but one are convolutions"
    n = (depth - 2) // 6
    assert [layer.out_channels for layer in layers] == [8] + [8] * 2 * n + [16] * 2 * n + [
        32
    ] * 2 * n
    assert [layer.stride[0] for layer in layers].count(2) == 2 and all(
        layer.kernel_size == (3, 3) for layer in layers
    )
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    assert net(x).shape == (4, 10) and net(x).isfinite().all()
    shapes = []
    layers[-1].register_forward_hook(
        lambda layer, inputs, output: shapes.append(tuple(output.shape))
    )
    net(x)
    assert shapes == [(4, 32, 2, 2)]


def test_plain_and_residual_conv_networks_have_the_same_number_of_weights_and_the_same_draws():
    plain, post = build_conv(20, classes=10, seed=3), build_conv(20, classes=10, seed=3, skip=True)
    assert sum(value.numel() for value in plain.parameters()) == sum(
        value.numel() for value in post.parameters()
    )
    assert all(
        torch.equal(a.weight, b.weight) for a, b in zip(convolutions(plain), convolutions(post))
    )
    assert not torch.equal(
        convolutions(plain)[0].weight, convolutions(build_conv(20, classes=10, seed=4))[0].weight
    )
    wide = build_conv(8, channels=(64, 64, 64), classes=10)
    assert convolutions(wide)[1].weight.std().item() == pytest.approx(
        (2 / (64 * 9)) ** 0.5, rel=0.02
    ), "He's"


def test_the_shortcut_takes_every_other_pixel_and_adds_channels_of_zeros():
    x = torch.arange(32.0).view(1, 2, 4, 4)
    out = Shortcut(channels=3, stride=2)(x)
    assert (
        out.shape == (1, 5, 2, 2)
        and torch.equal(out[0, :2], x[0, :, ::2, ::2])
        and (out[0, 2:] == 0).all()
    )


def test_a_residual_conv_block_whose_branch_is_silent_hands_on_its_input():
    net = build_conv(8, classes=10, skip=True, norm="none")
    for block in (layer for layer in net if isinstance(layer, Residual)):
        convolutions(block)[-1].weight.data.zero_()
        x = torch.rand(2, convolutions(block)[0].in_channels, 4, 4)
        assert torch.equal(block(x), x if block.shortcut is None else block.shortcut(x))


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"depth": 21}, "depth must be 6n + 2, such as 8, 14, 20 or 56, got 21"),
        ({"depth": 2}, "depth must be an integer from 8 to 2000, got 2"),
        ({"norm": "layer"}, "norm must be one of 'none', 'batch', got 'layer'"),
        ({"classes": 0}, "classes must be an integer from 1 to 1000000, got 0"),
        ({"seed": -1}, "seed must be an integer from 0 to 9223372036854775807, got -1"),
    ],
    ids=str,
)
def test_a_bad_argument_of_a_conv_network_is_named(rejects, bad, message):
    rejects(lambda: build_conv(**{"depth": 8, "classes": 10} | bad), message)


# --- as an engineer would use it -----------------------------------------------------------------------------------------------


class RMSNorm(Norm):
    """Each example divided by its root mean square: the norm that is to be added."""

    def normalize(self, x, gamma, beta):
        return x / (x**2).mean(-1, keepdim=True).add(self.eps).sqrt() * gamma[..., None, :]


@wirings
def test_a_norm_that_is_entered_in_norms_is_built_profiled_and_shown(monkeypatch, wiring, x, y):
    monkeypatch.setitem(networks.NORMS, "rms", RMSNorm)
    net = build(**SMALL, norm="rms", stack=(2,), seed=[0, 1], **wiring)
    seen = profile(net, x, y)
    for z, _ in all_activations(net, x):
        if wiring.get("order") != "post":
            torch.testing.assert_close((z**2).mean(-1), torch.ones(2, 32), rtol=1e-3, atol=1e-3)
    assert (seen.gradient > 0).all()
    assert "RMSNorm(12, eps=1e-05, stack=(2,))" in str(net)


def test_every_layer_says_its_sizes():
    net = build(2, 12, inputs=8, classes=3, norm="batch", skip=True, branch_scale=0.5)
    shown = str(net)
    for line in (
        "Linear(8, 12, bias=False)",
        "Linear(12, 3)",
        "BatchNorm(12, eps=1e-05, momentum=0.1)",
        "scale=0.5",
    ):
        assert line in shown
    learned = build(2, 12, skip=True, norm="layer", branch_scale=[0, 1], stack=(2,))
    assert "scale=one per network, learned" in str(learned)
    assert "LayerNorm(12, eps=1e-05, stack=(2,))" in str(learned)
    assert "Shortcut(channels=8, stride=2)" in str(build_conv(8, skip=True))


def test_the_defaults_are_the_digits(x):
    assert build(2, 12)(torch.zeros(4, 64)).shape == (4, 10)
    assert build_conv(8)(torch.zeros(4, 64)).shape == (4, 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(8, 8, generator=torch.Generator()),
        lambda: BatchNorm(8),
        lambda: LayerNorm(8),
        lambda: Residual([nn.Tanh()], scale=0),
    ],
)
def test_a_layer_that_was_made_in_inference_mode_can_be_trained(make, x):
    with torch.inference_mode():
        layer = make()
    layer(x).sum().backward()
    assert all(weight.grad is not None for weight in layer.parameters())
    assert not any(buffer.is_inference() for buffer in layer.buffers())


def test_one_batch_may_serve_a_stack_of_norms(x):
    for norm in BatchNorm(8, stack=(3,)), LayerNorm(8, stack=(3,)):
        expected = norm(x.expand(3, *x.shape))
        assert torch.equal(norm(x), expected) and expected.shape == (3, 32, 8)


def test_a_branch_with_a_forward_of_its_own_keeps_it():
    class Halved(nn.Sequential):
        def forward(self, x):
            return 0.5 * super().forward(x)

    layer, x = nn.Linear(4, 4), normal(3, 4)
    torch.testing.assert_close(Residual(Halved(layer))(x), x + 0.5 * layer(x))
