"""Batch norm: the same as torch's own, alone and in a stack, in every mode; its hand-written gradient; what it rejects."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import BatchNorm, batch_norm, batch_norm_backward

NAN = float("nan")
STACKS = [(), (3,), (2, 3)]
stacks = pytest.mark.parametrize("stack", STACKS, ids=str)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch_of(size, width, seed, dtype=torch.float64):
    """`size` examples, no two of which are near each other in any unit: 1/std would magnify the rounding without a limit."""
    generator = torch.Generator().manual_seed(seed)
    return (
        2 * torch.arange(size)[:, None] + torch.rand(size, width, generator=generator) + seed % 5
    ).to(dtype)


def pair(dtype=torch.float64, **options):
    """A BatchNorm of 6 units and torch's own, with the same gamma and beta, neither of them 1 or 0."""
    mine, theirs = BatchNorm(6, **options).to(dtype), nn.BatchNorm1d(6, **options).to(dtype)
    with torch.no_grad():
        mine.gamma.copy_(theirs.weight.copy_(1 + 0.5 * normal(6)))
        mine.beta.copy_(theirs.bias.copy_(normal(6, seed=1)))
    return mine, theirs


def averages(norm):
    """Copies of the buffers, by name."""
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}


# --- next to torch's own ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
@pytest.mark.parametrize("size", [2, 4, 32])
def test_batch_norm_equals_torchs_own_through_50_steps_of_training(
    size, momentum, dtype, tolerance
):
    mine, theirs = pair(dtype, momentum=momentum)
    for step in range(50):
        x, grad = (
            batch_of(size, 6, step, dtype).requires_grad_(),
            normal(size, 6, seed=step, dtype=dtype),
        )
        seen = []
        for norm in mine, theirs:
            output = norm.train()(x)
            seen.append([output, *torch.autograd.grad(output, [x, *norm.parameters()], grad)])
            seen[-1] += [norm.running_mean, norm.running_var, norm.eval()(x)]
        for one, other in zip(*seen, strict=True):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("eps", [1e-8, 1e-2, 10.0])
def test_eps_stands_where_torchs_own_has_it(eps):
    mine, theirs = pair(eps=eps)
    x = batch_of(8, 6, 0)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_in_half_precision_batch_norm_equals_torchs_own_to_rounding(dtype):
    mine, theirs = pair(dtype)
    rounding = {"rtol": 2 * torch.finfo(dtype).eps, "atol": 2 * torch.finfo(dtype).eps}
    x = (3 * normal(32, 6) + 1).to(dtype)
    torch.testing.assert_close(mine(x), theirs(x), **rounding)
    torch.testing.assert_close(mine.running_mean, theirs.running_mean, **rounding)
    torch.testing.assert_close(mine.running_var, theirs.running_var, **rounding)
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x), **rounding)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_in_half_precision_only_the_answer_is_rounded_and_not_the_moments(dtype):
    half, exact = BatchNorm(6).to(dtype), nn.BatchNorm1d(6).double()
    x = (3 * normal(32, 6) + 100).to(dtype)  # where a rounded mean would be far off
    torch.testing.assert_close(
        half(x).double(), exact(x.double()), rtol=torch.finfo(dtype).eps, atol=1e-5
    )


def test_the_defaults_of_batch_norm_are_torchs_own():
    assert (BatchNorm(6).eps, BatchNorm(6).momentum) == (
        nn.BatchNorm1d(6).eps,
        nn.BatchNorm1d(6).momentum,
    )


def test_a_batch_of_one_in_training_raises_as_torchs_own_does_and_moves_no_average():
    mine, theirs = pair()
    mine(batch_of(4, 6, 0))
    before = averages(mine)
    for norm in mine, theirs:
        with pytest.raises(ValueError):
            norm(batch_of(1, 6, 1))
    assert all(torch.equal(before[name], buffer) for name, buffer in mine.named_buffers())


# --- the book-keeping ------------------------------------------------------------------------------------------------------


@stacks
def test_the_averages_are_of_the_width_and_carry_no_graph(stack):
    norm = BatchNorm(6, stack=stack)
    for seed in range(
        2
    ):  # a graph that was kept would be walked a second time here, and torch would complain
        norm(normal(*stack, 16, 6, seed=seed).requires_grad_()).sum().backward()
    for average in norm.running_mean, norm.running_var:
        assert average.shape == (*stack, 6)
        assert average.grad_fn is None
        assert not average.requires_grad


@stacks
def test_gamma_and_beta_are_of_the_width_and_are_learned(stack):
    parameters = dict(BatchNorm(6, stack=stack).named_parameters())
    assert {name: tuple(value.shape) for name, value in parameters.items()} == {
        "gamma": (*stack, 6),
        "beta": (*stack, 6),
    }


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shared", [False, True], ids=["a batch each", "one batch for all"])
def test_a_stack_of_batch_norms_keeps_an_average_for_each_network(momentum, shared):
    stacked = BatchNorm(6, momentum=momentum, stack=(3,)).double()
    singles = [BatchNorm(6, momentum=momentum).double() for _ in range(3)]
    with torch.no_grad():
        stacked.gamma.copy_(normal(3, 6))
    for seed in range(3):
        x = (
            batch_of(16, 6, seed)
            if shared
            else batch_of(16, 6, seed) * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
        )
        rows = stacked(x)
        for k, single in enumerate(singles):
            expected = single(x if shared else x[k]) * stacked.gamma[k]
            torch.testing.assert_close(rows[k], expected, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(
                stacked.running_mean[k], single.running_mean, rtol=1e-10, atol=1e-10
            )
            torch.testing.assert_close(
                stacked.running_var[k], single.running_var, rtol=1e-10, atol=1e-10
            )


def test_in_eval_mode_an_answer_does_not_depend_on_the_rest_of_the_batch(x):
    norm = BatchNorm(8)
    norm(3 * x + 1)
    before = averages(norm.eval())
    whole, alone = norm(x), torch.cat([norm(one[None]) for one in x])
    torch.testing.assert_close(whole, alone, rtol=1e-6, atol=1e-6)
    assert all(torch.equal(before[name], buffer) for name, buffer in norm.named_buffers())


def test_where_eval_was_forgotten_an_answer_depends_on_the_rest_of_the_batch_and_the_averages_move(
    x,
):
    norm = BatchNorm(8)
    norm(3 * x + 1)
    before = averages(norm)
    assert not torch.allclose(norm(x)[:4], norm(x[:4]), atol=0.01)
    assert not any(torch.equal(before[name], buffer) for name, buffer in norm.named_buffers())


# --- the numbers -----------------------------------------------------------------------------------------------------------


def test_a_large_mean_and_a_small_spread_in_float32_come_out_with_mean_0_and_spread_1():
    output = BatchNorm(6)(1e4 + 0.1 * normal(1000, 6))
    assert output.isfinite().all()
    assert (
        output.mean(0).abs().max() < 0.02
    )  # float32 near 10⁴ comes in steps of 0.001, a hundredth of the spread
    assert (output.std(0) - 1).abs().max() < 0.02


def test_gamma_of_the_std_and_beta_of_the_mean_undo_the_normalization():
    x, norm = batch_of(16, 6, 0), BatchNorm(6).double()
    with torch.no_grad():
        norm.gamma.copy_((x.var(0, correction=0) + norm.eps).sqrt())
        norm.beta.copy_(x.mean(0))
    torch.testing.assert_close(norm(x), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 3.0, -1e4])
def test_a_constant_unit_gives_beta(constant):
    x, norm = normal(16, 6), pair(torch.float32)[0]
    x[:, 2] = constant
    output = norm(x)
    assert output.isfinite().all()
    assert (output[:, 2] == norm.beta[2]).all()


# --- by hand, in NumPy and in torch ----------------------------------------------------------------------------------------


@pytest.fixture(params=STACKS, ids=str)
def arrays(request):
    """x and the loss's gradient (*stack, 5, 3), gamma and beta (*stack, 3), as NumPy's arrays."""
    random = np.random.default_rng(0)
    return *random.normal(2, 3, (2, *request.param, 5, 3)), *random.normal(
        1, 0.5, (2, *request.param, 3)
    )


def test_batch_norm_is_the_same_in_numpy_and_in_torch(arrays):
    x, _, gamma, beta = arrays
    output = batch_norm(*map(torch.from_numpy, (x, gamma, beta)))
    np.testing.assert_allclose(batch_norm(x, gamma, beta), output, rtol=1e-12, atol=1e-12)
    mean, var = np.full_like(gamma, 0.5), np.full_like(gamma, 4)
    output = batch_norm(*map(torch.from_numpy, (x, gamma, beta, mean, var)), eps=0.1)
    np.testing.assert_allclose(
        batch_norm(x, gamma, beta, mean, var, eps=0.1), output, rtol=1e-12, atol=1e-12
    )
    expected = (x - 0.5) / np.sqrt(4.1) * gamma[..., None, :] + beta[..., None, :]
    np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-12)


def test_the_backward_by_hand_is_the_same_in_numpy_and_in_torch(arrays):
    x, grad, gamma, _ = arrays
    by_torch = batch_norm_backward(*map(torch.from_numpy, (grad, x, gamma)))
    for one, other in zip(batch_norm_backward(grad, x, gamma), by_torch, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eps", [1e-5, 1.0])
def test_the_backward_by_hand_agrees_with_autograd(arrays, eps):
    x, grad, gamma, beta = (torch.from_numpy(array).requires_grad_() for array in arrays)
    expected = torch.autograd.grad(batch_norm(x, gamma, beta, eps=eps), [x, gamma, beta], grad)
    for one, other in zip(batch_norm_backward(grad, x, gamma, eps=eps), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_the_backward_by_hand_agrees_with_finite_differences(arrays):
    x, grad, gamma, beta = arrays
    names = ("x", "gamma", "beta")
    for name, gradient in zip(names, batch_norm_backward(grad, x, gamma), strict=True):
        values = dict(zip(names, (x, gamma, beta)))
        shift = np.zeros_like(values[name])
        slopes = np.zeros_like(shift)
        for place in np.ndindex(shift.shape):
            shift[place] = 1e-5
            up, down = (
                batch_norm(**values | {name: values[name] + sign * shift}) for sign in (1, -1)
            )
            slopes[place] = (grad * (up - down)).sum() / 2e-5
            shift[place] = 0
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


# --- what it rejects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        *[
            ("width", value, "an integer from 1 to 1000000")
            for value in (0, -1, 2.5, "wide", True, None)
        ],
        *[("eps", value, "a finite number from 0 up") for value in (-1, NAN, "small", None)],
        *[("momentum", value, "a finite number from 0 to 1") for value in (2, -0.1, NAN, "fast")],
    ],
)
def test_batch_norm_names_a_bad_argument(rejects, name, value, allowed):
    rejects(
        lambda: BatchNorm(**{"width": 6} | {name: value}),
        f"{name} must be {allowed}, got {value!r}",
    )


@pytest.mark.parametrize(
    "stack, shape, allowed",
    [
        ((), (4, 7), "(batch, 6)"),
        ((), (6,), "(batch, 6)"),
        ((), (), "(batch, 6)"),
        ((), (3, 4, 6), "(batch, 6)"),
        ((3,), (2, 4, 6), "(batch, 6) or (3, batch, 6)"),
        ((2, 3), (3, 4, 6), "(batch, 6) or (2, 3, batch, 6)"),
    ],
)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_batch_norm_names_an_x_of_another_shape(rejects, stack, shape, allowed, training):
    norm = BatchNorm(6, stack=stack).train(training)
    rejects(lambda: norm(torch.zeros(shape)), f"x must be a tensor of shape {allowed}, got {shape}")


@pytest.mark.parametrize(
    "x, given",
    [
        (torch.zeros(4, 6).double(), "torch.float64"),
        (np.zeros((4, 6)), "float64 ndarray of shape (4, 6)"),
    ],
    ids=str,
)
def test_batch_norm_names_an_x_of_another_type(rejects, x, given):
    rejects(
        lambda: BatchNorm(6)(x),
        f"x must be a tensor of torch.float32, as the weights are, got {given}",
    )


def test_the_signal_may_be_a_parameter():
    x = torch.nn.Parameter(torch.arange(12.0).reshape(4, 3))
    gamma, beta = torch.ones(3), torch.zeros(3)
    assert torch.equal(batch_norm(x, gamma, beta), batch_norm(x.detach(), gamma, beta))
