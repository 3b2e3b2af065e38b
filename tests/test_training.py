"""Training: fit next to a loop by hand, a stack next to its networks, a sweep next to a loop and on workers."""

import math
import os
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context

import dask
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from torch import nn

from helpers import (
    Trainer,
    build,
    build_conv,
    cross_entropy,
    digits,
    error,
    executors,
    fit,
    sweep,
    training,
)
from helpers.datasets import Split
from helpers.executors import gather
from helpers.training import predict

NAN, INF = float("nan"), float("inf")
SIZES = {"depth": 2, "width": 16, "inputs": 64, "classes": 10}
fit = partial(fit, progress=False)
sweep = partial(sweep, progress=False)


@pytest.fixture(scope="module")
def data():
    return digits()


def columns(found):
    """The numbers of a History or a Sweep, by name."""
    return {name: value for name, value in vars(found).items() if isinstance(value, np.ndarray)}


def assert_same(one, other):
    """Bit for bit."""
    for name, value in columns(one).items():
        np.testing.assert_array_equal(value, columns(other)[name], err_msg=name, strict=True)


def same_weights(one, other):
    return all(
        torch.equal(*pair)
        for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


# --- one network -----------------------------------------------------------------------------------------------------------


def test_a_small_network_learns_the_digits(data):
    history = fit(build(**SIZES), data, lr=0.1, epochs=5, batch=50)
    assert history.loss[-1] < history.loss[0] / 4
    assert history.train_error[-1] < 0.05
    assert history.test_error[-1] < 0.1


def by_hand(net, data, lr, epochs, batch, momentum, schedule, seed):
    """Stochastic gradient descent with nothing but torch's gradients: each epoch's loss and errors."""
    velocities = [torch.zeros_like(value) for value in net.parameters()]
    generator, steps, rows = torch.Generator().manual_seed(seed), len(data.x) // batch, []
    for epoch in range(epochs):
        order, losses = torch.randperm(len(data.x), generator=generator), []
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            done = (epoch * steps + step) / (epochs * steps)
            rate = lr * (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else lr
            losses.append(nn.functional.cross_entropy(net.train()(data.x[chosen]), data.y[chosen]))
            gradients = torch.autograd.grad(losses[-1], list(net.parameters()))
            with torch.no_grad():
                for value, velocity, gradient in zip(net.parameters(), velocities, gradients):
                    velocity.mul_(momentum).add_(gradient)
                    value -= rate * velocity
        net.eval()
        errors = [(net(x).argmax(-1) != y).double().mean().item() for x, y in (data[:2], data[2:])]
        rows.append([sum(losses).item() / steps, *errors])
    return np.transpose(rows)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_fit_equals_a_loop_by_hand(data, norm, schedule, momentum):
    exact = Split(*(part.double() if part.is_floating_point() else part for part in data))
    nets = [build(**SIZES, norm=norm, seed=3).double() for _ in range(2)]
    settings = {"lr": 2**-4, "epochs": 3, "momentum": momentum, "schedule": schedule, "seed": 7}
    settings["batch"] = 400  # an epoch leaves 300 of the 1500 examples out
    history = fit(nets[0], exact, **settings)
    loss, train_error, test_error = by_hand(nets[1], exact, **settings)
    np.testing.assert_allclose(history.loss, loss, rtol=1e-6)
    np.testing.assert_allclose(history.train_error, train_error, atol=1e-6)
    np.testing.assert_allclose(history.test_error, test_error, atol=1e-6)
    for one, other in zip(
        nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_the_same_seed_gives_the_same_history_whatever_the_global_random_state(data):
    runs, states = [], []
    for outside in 1, 2:
        torch.manual_seed(outside)
        np.random.seed(outside)
        states = torch.get_rng_state(), np.random.get_state()[1].copy()
        runs.append(fit(build(**SIZES), data, lr=0.1, epochs=2, batch=100, seed=5))
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.array_equal(np.random.get_state()[1], states[1])
    assert_same(*runs)


def everything(data, nets):
    """What fit, error, Trainer and sweep compute: of a single network, of a stack, and where one diverges."""
    single, stack, half = nets
    found = [fit(single, data, lr=0.1, epochs=2, batch=100, seed=5)]
    found += [fit(stack, data, lr=[0.1, 1e38, 1], epochs=2, batch=100)]
    found += [fit(half, in_dtype(data, torch.bfloat16), lr=0.1, epochs=1, batch=100)]
    trainer = Trainer(single, data, lr=0.1, batch=100)
    losses = [trainer.step().numpy(), error(single, data.x, data.y).numpy(), trainer.lr.numpy()]
    grid = {"lr": [0.1, 1e38], "gain": np.array([1.0, 2.0]), "norm": ["none", "batch"]}
    found += [sweep(grid, data, depth=2, width=8, epochs=1, batch=100, seed=3)]
    return [*losses, *(array for one in found for array in columns(one).values())]


def three_networks():
    return build(**SIZES, norm="batch"), build(**SIZES, stack=(3,)), build(**SIZES).bfloat16()


def test_the_same_numbers_under_hostile_settings(data, hostile_settings):
    """Among them other default dtypes and devices, no gradients, errors for a NaN."""
    usual, nets = everything(data, three_networks()), three_networks()
    with torch.autograd.set_detect_anomaly(True), hostile_settings():
        found = everything(data, nets)
    with torch.no_grad():
        again = everything(data, three_networks())
    for one, other, third in zip(usual, found, again, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
        np.testing.assert_array_equal(one, third, strict=True)


def test_the_same_numbers_on_several_threads(data):
    usual, threads = everything(data, three_networks()), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = everything(data, three_networks())
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(usual, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-3)


def test_another_seed_gives_another_history(data):
    one, other = (
        fit(build(**SIZES), data, lr=0.1, epochs=1, batch=100, seed=seed) for seed in (5, 6)
    )
    assert one.loss != other.loss


def in_dtype(data, dtype):
    """The Split with x in this dtype."""
    return data._replace(x=data.x.to(dtype), x_test=data.x_test.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_every_weight_moves_in_every_dtype_and_the_network_learns(data, norm, dtype):
    """A pixel that is the same in all images moves nothing where batch norm follows."""
    net = build(**SIZES, activation="tanh", norm=norm).to(dtype)
    before = [weight.detach().clone() for weight in net.parameters()]
    history = fit(net, in_dtype(data, dtype), lr=0.3, epochs=2, batch=50, momentum=0.5)
    moved = [one != other for one, other in zip(net.parameters(), before, strict=True)]
    varied = data.x.std(0) > 0.1
    assert moved[0][varied if norm == "batch" else ...].float().mean() > 0.97
    assert all(one.float().mean() > 0.7 for one in moved[1:])
    assert history.train_error[-1] < 0.1
    assert history.loss[-1] < history.loss[0] / 2


# --- a stack of networks ---------------------------------------------------------------------------------------------------


def test_each_network_of_a_stack_ends_as_it_does_alone_to_three_decimals(data):
    gains, lrs = torch.linspace(0.5, 2.5, 8), torch.logspace(-2.5, -1, 8)
    stack = fit(build(**SIZES, gain=gains, stack=(8,)), data, lr=lrs, epochs=2, batch=100)
    for k in range(8):
        alone = fit(
            build(**SIZES, gain=gains[k].item()), data, lr=lrs[k].item(), epochs=2, batch=100
        )
        for name in "loss", "train_error", "test_error":
            np.testing.assert_allclose(
                getattr(stack, name)[:, k], getattr(alone, name), rtol=0, atol=5e-4
            )


# So few epochs that 64 trainings take seconds; by then many without batch norm have diverged and some with it have learned.
@pytest.mark.slow
@pytest.mark.parametrize("norm, epochs", [("none", 2), ("batch", 3)])
def test_the_verdicts_of_a_map_of_64_networks_are_those_of_the_64_alone(data, norm, epochs):
    gains, lrs = (np.logspace(-1, 1, 8) * 2**0.5).tolist(), np.logspace(-3, 0.5, 8).tolist()
    net = {"depth": 10, "width": 32, "norm": norm}
    run = {"batch": 64, "epochs": epochs, "schedule": "constant"}
    found = sweep({"gain": gains, "lr": lrs}, data, **net, **run)
    alone = [
        [fit(build(**SIZES | net, gain=gain), data, lr=lr, **run) for lr in lrs] for gain in gains
    ]
    learned = np.array([[history.train_error[-1] < 0.1 for history in row] for row in alone])
    diverged = np.array([[history.diverged for history in row] for row in alone])
    assert (learned | diverged).any() and not (learned | diverged).all()
    assert ((found.train_error < 0.1) == learned).sum() >= 60
    assert (found.diverged == diverged).sum() >= 60


def test_a_network_that_diverges_is_recorded_and_the_others_do_not_notice(data):
    nets = [build(**SIZES, stack=(3,), norm="batch", seed=[0, 1, 2]) for _ in range(2)]
    wild, tame = (
        fit(net, data, lr=[0.1, lr, 0.2], epochs=2, batch=100) for net, lr in zip(nets, (1e38, 0.1))
    )
    assert wild.diverged.tolist() == [False, True, False]
    assert not np.isfinite(wild.loss[-1, 1])
    assert wild.train_error[-1, 1] == wild.test_error[-1, 1] == 1
    assert not tame.diverged.any()
    others = [0, 2]
    for name in "loss", "train_error", "test_error":
        np.testing.assert_array_equal(
            getattr(wild, name)[:, others], getattr(tame, name)[:, others]
        )
    for one, other in zip(nets[0].parameters(), nets[1].parameters()):
        assert torch.equal(one[others], other[others])


@pytest.mark.parametrize("lr", [3e38, 1e308])
def test_a_learning_rate_beyond_every_limit_is_a_divergence(data, lr):
    for net, rates in (build(**SIZES), lr), (build(**SIZES, stack=(2,)), [0.1, lr]):
        history = fit(net, data, lr=rates, epochs=2, batch=100)
        assert history.diverged.tolist() in (True, [False, True])
        assert (history.train_error[..., -1:][-1] == 1).all()


def test_each_network_of_a_stack_has_the_cross_entropy_that_torch_gives_it(y):
    scores = torch.randn(2, 3, 32, 4, generator=torch.Generator().manual_seed(0))
    losses = cross_entropy(scores, y)
    assert losses.shape == (2, 3)
    for k in np.ndindex(2, 3):
        torch.testing.assert_close(losses[k], nn.functional.cross_entropy(scores[k], y))


# --- interrupts, looking on, the bar ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [1, 3])
def test_an_interrupt_keeps_the_finished_epochs(data, last):
    def watch(history):
        if history.epochs == last:
            raise KeyboardInterrupt

    run = partial(fit, data=data, lr=0.1, epochs=5, batch=100)
    stopped, whole = run(build(**SIZES), on_epoch=watch), run(build(**SIZES))
    assert stopped.stopped and not whole.stopped
    assert stopped.epochs == last
    np.testing.assert_array_equal(stopped.loss, whole.loss[:last])
    np.testing.assert_array_equal(stopped.test_error, whole.test_error[:last])


@pytest.mark.parametrize("stack", [(), (3,), (2, 3)], ids=str)
def test_an_interrupt_within_the_first_epoch_leaves_an_empty_history(data, stack):
    def interrupt(net, x):
        if net.training:
            raise KeyboardInterrupt

    net = build(**SIZES, stack=stack)
    net.register_forward_pre_hook(interrupt)
    history = fit(net, data, lr=0.1, epochs=5, batch=100)
    assert history.stopped
    assert history.epochs == 0
    assert (
        history.loss.shape == history.train_error.shape == history.test_error.shape == (0, *stack)
    )
    assert history.diverged.shape == stack
    assert not history.diverged.any()


def test_watch_sees_one_epoch_more_each_time(data):
    seen = []
    history = fit(build(**SIZES), data, lr=0.1, epochs=3, batch=100, on_epoch=seen.append)
    assert [one.epochs for one in seen] == [1, 2, 3]
    assert_same(seen[-1], history)


@pytest.mark.parametrize(
    "progress, silenced, written", [(True, False, True), (False, False, False), (True, True, False)]
)
def test_the_bar_of_a_run_of_over_a_second_is_written_unless_it_is_silenced(
    data, capsys, monkeypatch, progress, silenced, written
):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if silenced:
        monkeypatch.setenv("TQDM_DISABLE", "1")

    def watch(history):
        time.sleep(1.1 if history.epochs == 1 else 0)

    fit(build(**SIZES), data, lr=0.1, epochs=2, batch=100, progress=progress, on_epoch=watch)
    output = capsys.readouterr()
    assert bool(output.err) == written
    assert not output.out


# --- predictions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_fit_leaves_the_network_in_train_mode(data, training):
    net = build(**SIZES, norm="batch").train(training)
    fit(net, data, lr=0.1, epochs=1, batch=100)
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("x", [None, np.zeros((2, 64), np.float32)])
def test_predict_refuses_what_is_no_tensor_also_of_a_conv_network(x):
    with pytest.raises(ValueError, match="^x must be "):
        predict(build_conv(8), x)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_predict_and_error_answer_in_eval_mode_and_leave_the_mode_and_the_averages_as_they_were(
    data, training
):
    net = build(**SIZES, norm="batch").train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    scores, wrong = predict(net, data.x), error(net, data.x, data.y)
    assert all(module.training == training for module in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not scores.requires_grad
    assert torch.equal(scores, net.eval()(data.x))
    assert wrong.item() == pytest.approx((scores.argmax(-1) != data.y).double().mean().item())


@pytest.mark.parametrize("ask", [predict, lambda net, x: error(net, x, torch.zeros(len(x)).long())])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("features", [64, 3], ids=["answers", "raises"])
def test_every_part_of_a_network_is_left_in_the_mode_that_it_was_in(data, ask, training, features):
    """Batch norm with frozen averages, as in fine-tuning, stays frozen, also if the network raises."""
    net = nn.Sequential(build(**SIZES, norm="batch"), nn.Dropout(0.0)).train(training)
    net[0][1].train(not training)
    modes = [module.training for module in net.modules()]
    with nullcontext() if features == 64 else pytest.raises(ValueError):
        ask(net, data.x[:, :features])
    assert [module.training for module in net.modules()] == modes


def test_a_nan_is_a_wrong_answer():
    scores = torch.tensor([[0.0, 1.0], [0.0, NAN], [NAN, 1.0], [NAN, NAN]])
    y = torch.tensor([1, 1, 1, 0])
    assert error(nn.Identity(), scores, y) == 0.75
    assert error(nn.Identity(), torch.stack([scores, torch.zeros(4, 2)]), y).tolist() == [
        0.75,
        0.75,
    ]


# --- what fit rejects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        *[("lr", value, "a finite number from 0 up") for value in (-0.1, NAN, INF, "fast", None)],
        *[("epochs", value, "an integer from 1 to 100000") for value in (0, -1, 2.5, True)],
        *[("batch", value, "an integer from 1 to 1500") for value in (0, 1501, 64.0)],
        *[("momentum", value, "a finite number from 0 to 1") for value in (2, -0.1, NAN)],
        *[("schedule", value, "one of 'cosine', 'constant'") for value in ("linear", None)],
        *[("seed", value, "an integer from 0 to 9223372036854775807") for value in (-1, 0.5, None)],
        ("on_epoch", "print", "a function of a History"),
    ],
)
def test_fit_names_a_bad_argument_and_trains_nothing(rejects, data, name, value, allowed):
    net = build(**SIZES, norm="batch").eval()
    settings = {"lr": 0.1, "epochs": 1, "batch": 100} | {name: value}
    rejects(lambda: fit(net, data, **settings), f"{name} must be {allowed}, got {value!r}")
    assert same_weights(net, build(**SIZES, norm="batch"))


def test_fit_names_learning_rates_that_are_not_of_the_stacks_shape(rejects, data):
    allowed = "lr must be a number or have the stack's shape (3,), got shape (2,)"
    rejects(
        lambda: fit(build(**SIZES, stack=(3,)), data, lr=[0.1, 0.2], epochs=1, batch=100), allowed
    )


def test_settings_of_numpy_and_whole_numbers_are_numbers_like_others(data):
    """A uint8 would overflow at 256 steps."""
    usual = fit(build(**SIZES), data, lr=1.0, epochs=20, batch=100, momentum=0.0, seed=1)
    settings = {"lr": 1, "epochs": np.uint8(20), "batch": np.int64(100)}
    settings |= {"momentum": np.float32(0), "seed": np.int64(1)}
    assert_same(fit(build(**SIZES), data, **settings), usual)


@pytest.mark.parametrize(
    "rate, batch, message", [(NAN, 100, "rate"), (-1, 100, "rate"), (1, 0, "batch")]
)
def test_a_trainer_names_what_it_cannot_step_with(data, rate, batch, message):
    net = build(**SIZES)
    trainer = Trainer(net, data, lr=0.1, batch=100)
    trainer.batch = batch
    with pytest.raises(ValueError, match=f"^{message} must be .*, got {rate if batch else batch}$"):
        trainer.step(rate)
    with pytest.raises(ValueError, match=r"^lr must be a finite number from 0 up, got -0.1$"):
        trainer.lr = -0.1
    assert same_weights(net, build(**SIZES))


def test_nothing_is_trained_under_autocast_whose_cache_no_step_changes(rejects, data):
    net, message = nn.Linear(64, 10), "torch.autocast must be off in training, got True"
    trainer = Trainer(net, data, lr=0.1, batch=100)
    with torch.autocast("cpu", torch.bfloat16):
        rejects(trainer.step, message)
        rejects(lambda: fit(net, data, lr=0.1, epochs=1, batch=100), message)


def test_lr_and_batch_change_between_the_steps_of_a_trainer(data):
    net = build(**SIZES, stack=(2,))
    trainer = Trainer(net, data, lr=0.1, batch=100, momentum=0)
    trainer.lr, trainer.batch = [0.0, np.float64(0.1)], np.int64(50)
    trainer.step()
    trainer.step(0)
    still = [
        one == other
        for one, other in zip(net.parameters(), build(**SIZES, stack=(2,)).parameters())
    ]
    assert all(same[0].all() for same in still) and not all(same[1].all() for same in still)
    assert len(trainer.waiting) == 1400


# --- the data that fit, error, sweep and Trainer reject ----------------------------------------------------------------------


def train(net, data):
    Trainer(net, data, lr=0.1, batch=10)


def run(net, data):
    fit(net, data, lr=0.1, epochs=1, batch=10)


def ask(net, data):
    error(net, data.x, data.y)


def grid(net, data):
    sweep({"lr": [0.1]}, data, depth=2, width=16, epochs=1, batch=10)


TENSOR, LABELS = "a tensor of examples", "torch.int64 of shape (examples,) on cpu"
BAD_DATA = {  # what is wrong with x or y: what is said, of data.x or data.y, and of x or y in `error`
    "x of NumPy": (
        lambda x, y: (x.numpy(), y),
        f"x must be {TENSOR}, got float32 ndarray of shape (1500, 64)",
    ),
    "y of NumPy": (
        lambda x, y: (x, y.numpy()),
        f"y must be {TENSOR}, got int64 ndarray of shape (1500,)",
    ),
    "no x": (lambda x, y: (None, y), f"x must be {TENSOR}, got None"),
    "a list": (lambda x, y: (x, y[:3].tolist()), f"y must be {TENSOR}, got [{{0}}, {{1}}, {{2}}]"),
    "no examples": (
        lambda x, y: (x[:0], y[:0]),
        f"x must be {TENSOR}, got torch.float32 Tensor of shape (0, 64)",
    ),
    "int32": (
        lambda x, y: (x, y.int()),
        f"y must be {LABELS}, got torch.int32 of shape (1500,) on cpu",
    ),
    "shares": (
        lambda x, y: (x, y.float()),
        f"y must be {LABELS}, got torch.float32 of shape (1500,) on cpu",
    ),
    "one-hot": (
        lambda x, y: (x, nn.functional.one_hot(y)),
        f"y must be {LABELS}, got torch.int64 of shape (1500, 10) on cpu",
    ),
    "float64": (
        lambda x, y: (x.double(), y),
        "x must be a tensor of torch.float32, as the weights are, got torch.float64",
    ),
    "negative": (lambda x, y: (x, y - 1), "y must be class numbers from 0 to 9, got -1"),
}


@pytest.mark.parametrize("call", [train, run, ask, grid])
@pytest.mark.parametrize("fault", BAD_DATA)
def test_bad_data_are_named(data, call, fault):
    spoil, message = BAD_DATA[fault]
    x, y = spoil(data.x, data.y)
    net = build(**SIZES, norm="batch")
    with pytest.raises(ValueError) as raised:
        call(net, data._replace(x=x, y=y))
    part = "" if call == ask or message.startswith("x must be a tensor of torch") else "data."
    assert str(raised.value) == part + message.format(*data.y.tolist())
    assert same_weights(net, build(**SIZES, norm="batch"))


@pytest.mark.parametrize("call", [train, run, grid])
def test_bad_test_data_are_named_before_anything_is_trained(rejects, data, call):
    net = build(**SIZES)
    for part in (
        {"x_test": data.x_test[:0]},
        {"y_test": data.y_test[:-1]},
        {"y_test": data.y_test.int()},
        {"x_test": data.x_test[:, :3]},
    ):
        with pytest.raises(ValueError, match="^(data.[xy]_test|x) must "):
            call(net, data._replace(**part))
    message = "data must be a Split, got <class 'tuple'>"
    rejects(lambda: call(net, tuple(data)), message)
    rejects(
        lambda: call(net, data._replace(y=data.y[:-1])),
        "data.y must be of length 1500, as data.x, got 1499",
    )
    assert same_weights(net, build(**SIZES))


def test_classes_that_the_network_does_not_have_are_named(rejects, data):
    small = build(**SIZES | {"classes": 9})
    for call, name in (train, "data.y"), (run, "data.y"), (ask, "y"):
        rejects(
            lambda call=call: call(small, data), f"{name} must be class numbers from 0 to 8, got 9"
        )


def test_a_sweep_has_the_classes_that_only_the_test_part_has(data):
    few = data._replace(x=data.x[data.y < 9], y=data.y[data.y < 9])
    found = sweep({"lr": [0.1]}, few, depth=2, width=16, epochs=1, batch=100)
    alone = fit(build(**SIZES), few, lr=0.1, epochs=1, batch=100)
    assert found.test_error[0] == pytest.approx(alone.test_error[0], abs=5e-3)


@pytest.mark.parametrize(
    "net, message",
    [
        (len, "net must be a torch.nn.Module, got <built-in function len>"),
        (
            nn.Flatten(0),
            "net(x) must be scores of shape (*stack, 1, classes) for y of length 1, got ",
        ),
        (nn.Identity(), "net must be a network with weights that can be trained, got Identity()"),
        (
            nn.Linear(64, 10).requires_grad_(False),
            "net must be a network with weights that can be trained, got Linear(",
        ),
        (
            nn.Linear(3, 10),
            "x must be what net takes, got torch.float32 of shape (1, 64): mat1 and mat2",
        ),
        (
            nn.Embedding(3, 10),
            "x must be what net takes, got torch.float32 of shape (1, 64): Expected",
        ),
        (
            nn.LSTM(64, 10),
            "net(x) must be scores of shape (*stack, 1, classes) for y of length 1, got ",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_network_that_cannot_be_trained_is_named(data, net, message):
    with pytest.raises(ValueError) as raised:
        fit(net, data, lr=0.1, epochs=1, batch=100)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


# --- a grid of networks ----------------------------------------------------------------------------------------------------

SHALLOW = {"width": 8, "epochs": 1, "batch": 100, "lr": 0.1}
SMALL = SHALLOW | {"depth": 2}


def test_a_sweep_equals_a_loop_over_its_grid_whatever_the_order_of_its_axes(data):
    grid = {"lr": [0.03, 0.1, 0.3], "norm": ["none", "batch"], "seed": [5], "depth": [2, 1]}
    grid |= {"gain": [1.0, 2.0], "batch": [80]}
    found = sweep(grid, data, width=8, epochs=1, momentum=0.5, schedule="constant")
    assert list(found.grid.items()) == list(grid.items())
    assert all(column.shape == (3, 2, 1, 2, 2, 1) for column in columns(found).values())
    for place in np.ndindex(found.loss.shape):
        lr, norm, seed, depth, gain, batch = (values[k] for k, values in zip(place, grid.values()))
        net = build(depth, 8, inputs=64, classes=10, norm=norm, gain=gain, seed=seed)
        alone = fit(net, data, lr=lr, epochs=1, batch=batch, momentum=0.5, schedule="constant")
        for name in "loss", "train_error", "test_error":
            assert getattr(found, name)[place] == pytest.approx(
                getattr(alone, name)[-1], abs=5e-3
            ), f"{name} at {place}"


def test_a_sweep_takes_arrays_and_the_activations_own_gain(data):
    run = {"width": 8, "epochs": 1, "batch": 100}
    found = sweep(
        {"lr": np.array([0.1, 0.2]), "gain": [None, 1.0], "depth": range(1, 3)}, data, **run
    )
    assert found.grid == {"lr": [0.1, 0.2], "gain": [None, 1.0], "depth": [1, 2]}
    own = sweep({"lr": [0.1, 0.2], "gain": [2**0.5, 1.0], "depth": [1, 2]}, data, **run)
    np.testing.assert_allclose(found.loss, own.loss, rtol=1e-3)


def test_a_sweep_has_the_diverged_where_they_are(data):
    found = sweep({"lr": [0.1, 1e38], "depth": [1, 2]}, data, width=8, epochs=1, batch=100)
    assert found.diverged.tolist() == [[False, False], [True, True]]
    assert not found.failed.any()


# --- a grid on workers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def cluster():
    """Dask with two worker processes. It gives a task up at its worker's first death, not at the fourth, as usual."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as workers,
        Client(workers) as client,
    ):
        yield client.get_executor()


@pytest.fixture(params=["pool", "cluster"])
def executor(request):
    """An executor with two worker processes."""
    return request.getfixturevalue(request.param)


class Deadly(int):
    """A depth that ends the first worker process that it comes to, and notes it in `folder`."""

    def __new__(cls, depth, folder):
        self = super().__new__(cls, depth)
        self.folder = folder
        return self

    def __reduce__(self):
        return arrive, (int(self), self.folder, os.getpid())


def arrive(depth, folder, home):
    """What a Deadly from the process `home` is unpickled to."""
    if os.getpid() == home:
        return Deadly(depth, folder)
    if not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(1)
    return depth


@pytest.mark.slow
def test_workers_give_the_same_answer_bit_for_bit(data, executor):
    grid = {"skip": [False, True], "gain": [1.0, 2.0, 3.0], "norm": ["none", "batch"]}
    assert_same(sweep(grid, data, executor=executor, **SMALL), sweep(grid, data, **SMALL))


@pytest.mark.slow
def test_a_worker_that_dies_once_changes_nothing(data, cluster, tmp_path):
    grid = {"depth": [Deadly(2, tmp_path), 1], "seed": [0, 1]}
    found = sweep(grid, data, executor=cluster, **SHALLOW)
    assert [*tmp_path.iterdir()]
    assert_same(found, sweep({"depth": [2, 1], "seed": [0, 1]}, data, **SHALLOW))


@pytest.mark.slow
def test_a_pool_whose_workers_die_finishes_what_can_be_finished(data, tmp_path):
    """The first depth ends the pool's worker, and the second, which has not begun, the next one."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    depths = [Deadly(3, tmp_path / "first"), Deadly(2, tmp_path / "second"), 1]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = sweep({"seed": [0, 1], "depth": depths}, data, executor=pool, **SHALLOW)
        again = sweep({"momentum": [0.5]}, data, executor=pool, **SMALL)
    assert len([*tmp_path.glob("*/died")]) == 2
    assert found.failed.tolist() == [[False, True, False]] * 2
    whole = sweep({"seed": [0, 1], "depth": [3, 1]}, data, **SHALLOW)
    for name in "loss", "train_error", "test_error":
        assert np.isnan(getattr(found, name)[:, 1]).all()
        np.testing.assert_array_equal(getattr(found, name)[:, [0, 2]], getattr(whole, name))
    assert not found.diverged.any()
    assert_same(again, sweep({"momentum": [0.5]}, data, **SMALL))


@pytest.mark.slow
def test_an_error_in_a_worker_comes_to_the_caller(executor):
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(gather(int, [("1",), ("one",)], executor))


# --- a sweep that is interrupted -------------------------------------------------------------------------------------------


def assert_kept(found, whole, kept):
    """`found` has the `kept` cells of `whole`, and the others are NaN, though not failed."""
    for name in "loss", "train_error", "test_error":
        np.testing.assert_array_equal(
            getattr(found, name), np.where(kept, getattr(whole, name), NAN)
        )
    assert not found.failed.any()
    assert not found.diverged.any()


def test_an_interrupt_keeps_the_parts_that_are_done(data, monkeypatch):
    grid = {"seed": [0, 1], "activation": ["relu", "tanh", "linear"]}
    whole, steps = sweep(grid, data, **SMALL), iter(range(20))  # a part has 15 steps

    def interrupted(*arguments):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return cross_entropy(*arguments)

    monkeypatch.setattr(training, "cross_entropy", interrupted)
    assert_kept(sweep(grid, data, **SMALL), whole, kept=[True, False, False])


@pytest.mark.slow
def test_an_interrupt_keeps_the_parts_that_workers_have_done(data, monkeypatch, pool):
    grid = {"seed": [0, 1], "activation": ["relu", "tanh", "linear"]}

    class Interrupted(executors.SimpleQueue):
        """Jupyter's stop button, pressed when two parts are done."""

        left = iter(range(2))

        def get(self):
            if next(self.left, None) is None:
                raise KeyboardInterrupt
            return super().get()

    monkeypatch.setattr(executors, "SimpleQueue", Interrupted)
    found = sweep(grid, data, executor=pool, **SMALL)
    kept = np.isfinite(found.loss)
    assert kept.sum() == 4
    assert_kept(found, sweep(grid, data, **SMALL), kept)


# --- what sweep rejects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grid, fixed, unknown",
    [
        ({"deep": [1]}, {}, "deep"),
        ({"lr": [0.1]}, {"deep": 1}, "deep"),
        ({"stack": [1]}, {}, "stack"),
        ({"lr": [0.1]}, {"on_epoch": 1}, "on_epoch"),
    ],
)
def test_sweep_names_an_argument_that_neither_build_nor_fit_has(data, grid, fixed, unknown):
    message = rf"^grid and fixed arguments must be one of .*'depth', .*'lr', .*, got '{unknown}'$"
    with pytest.raises(ValueError, match=message):
        sweep(grid, data, **fixed)


@pytest.mark.parametrize(
    "values", [[], (), "relu", 0.1, None, range(0), {0.1, 0.2}, [[0.1, 0.2]], [0.1, (0.2,)]]
)
def test_sweep_names_an_axis_that_is_no_list_of_values(rejects, data, values):
    message = f"grid['lr'] must be a list of values, and lr not fixed as well, got {values!r}"
    rejects(lambda: sweep({"lr": values}, data, width=8), message)


@pytest.mark.parametrize("make", [np.ones, torch.ones])
@pytest.mark.parametrize("shape", [(2, 2), (0,), (1, 2, 2)])
def test_sweep_names_an_array_that_is_no_list_of_values(rejects, data, make, shape):
    values = make(shape)
    message = f"{values.dtype} {type(values).__name__} of shape {shape}"
    message = f"grid['lr'] must be a list of values, and lr not fixed as well, got {message}"
    rejects(lambda: sweep({"lr": values}, data, width=8), message)


@pytest.mark.parametrize("grid", [["lr"], None, "lr", ("lr", [0.1])])
def test_sweep_names_a_grid_that_is_no_dict(rejects, data, grid):
    message = f"grid must be a dict of lists of values, got {grid!r}"
    rejects(lambda: sweep(grid, data, **SMALL), message)


def test_a_fixed_argument_has_one_value(rejects, data):
    """Two learning rates beside two gains would be taken for a pair, not for a grid."""
    fixed = SMALL | {"lr": [0.1, 0.2]}
    rejects(lambda: sweep({"gain": [1, 2]}, data, **fixed), "lr must be one value, got [0.1, 0.2]")


@pytest.mark.parametrize("executor", ["threads", 4, ProcessPoolExecutor])
def test_sweep_names_what_is_no_executor(rejects, data, executor):
    message = f"executor must be a concurrent.futures.Executor, got {executor!r}"
    rejects(lambda: sweep({"gain": [1, 2]}, data, executor=executor, **SMALL), message)


def test_sweep_names_an_executor_that_takes_no_jobs(rejects, data):
    with ThreadPoolExecutor() as executor:
        pass
    message = (
        "executor must take jobs, got one that says: cannot schedule new futures after shutdown"
    )
    rejects(lambda: sweep({"gain": [1, 2]}, data, executor=executor, **SMALL), message)


@pytest.mark.parametrize("axis", ["epochs", "batch", "depth", "norm", "seed", "schedule"])
def test_a_bad_value_at_the_end_of_an_axis_is_named_before_anything_is_trained(
    data, axis, monkeypatch
):
    good = {"epochs": 1, "batch": 100, "depth": 2, "norm": "none", "seed": 0, "schedule": "cosine"}
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(ValueError, match=f"^{axis} must be .*, got -1$"):
        sweep({"gain": [1.0, 2.0], axis: [good.pop(axis), -1]}, data, width=8, lr=0.1, **good)


@pytest.mark.parametrize(
    "grid, fixed",
    [
        ({"norm": ["none", "batch"]}, {"batch": 1}),
        ({"batch": [64, 1]}, {"norm": "batch"}),
    ],
)
def test_a_batch_norm_that_would_train_on_one_example_is_named_before_anything_is_trained(
    rejects, data, monkeypatch, grid, fixed
):
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was taken"))
    settings = {"depth": 2, "width": 8, "lr": 0.1, "epochs": 1} | fixed
    message = "batch must be an integer from 2 up to train a BatchNorm, got 1"
    rejects(lambda: sweep(grid, data, **settings), message)


@pytest.mark.parametrize("name", ["depth", "width", "lr", "epochs", "batch"])
def test_sweep_names_an_argument_that_is_missing(rejects, data, name):
    fixed = {key: value for key, value in SMALL.items() if key != name}
    message = f"{name} must be in the grid or fixed, got None"
    rejects(lambda: sweep({"gain": [1.0]}, data, **fixed), message)


def test_a_learning_rate_may_be_set_in_inference_mode(data):
    trainer = Trainer(build(2, 8), data, lr=0.1, batch=100)
    with torch.inference_mode():
        trainer.lr = 0.2
    assert trainer.step().isfinite()


def test_histories_can_be_told_apart(data):
    one, other = (fit(build(1, 4), data, lr=0.1, epochs=1, batch=500) for _ in range(2))
    assert one != other and len({one, other}) == 2


def test_values_that_are_too_large_together_are_named_before_anything_is_trained(data, monkeypatch):
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(
        ValueError, match="^depth, width, inputs, classes and stack must be at most"
    ):
        sweep({"depth": [2, 1000], "width": [8, 1000]}, data, lr=0.1, epochs=1, batch=100)


def test_sweep_names_an_argument_that_is_in_the_grid_and_fixed(rejects, data):
    message = "grid['lr'] must be a list of values, and lr not fixed as well, got [0.1]"
    rejects(lambda: sweep({"lr": [0.1]}, data, lr=0.1), message)


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("lr", -1.0, "a finite number from 0 up"),
        ("gain", NAN, "a finite number from 0 up"),
        ("depth", 0, "an integer from 1 to 2000"),
        ("norm", "bacth", "one of 'none', 'batch', 'layer'"),
        ("batch", 2000, "an integer from 1 to 1500"),
    ],
)
def test_sweep_names_a_bad_value(rejects, data, name, value, allowed):
    fixed = {key: value for key, value in SMALL.items() if key != name}
    rejects(
        lambda: sweep({name: [value]}, data, **fixed), f"{name} must be {allowed}, got {value!r}"
    )


@pytest.mark.parametrize(
    "grid, message",
    [
        ({"seed": [0, 2.5]}, "seed must be an integer from 0 to 9223372036854775807, got 2.5"),
        ({"gain": [1.0, "he"]}, "gain must be a finite number from 0 up, got 'he'"),
        ({"gain": [2.0, True]}, "gain must be a finite number from 0 up, got True"),
    ],
    ids=str,
)
def test_sweep_names_the_value_that_was_given(rejects, data, grid, message):
    rejects(lambda: sweep(grid, data, **SMALL), message)


def test_what_waits_is_cancelled_when_a_sweep_ends_early(data):
    class Slow(Executor):
        """Runs the first call at once, and keeps the others waiting."""

        def __init__(self):
            self.futures = []

        def submit(self, function, *arguments, **settings):
            future = Future()
            if not self.futures:
                future.set_exception(ValueError("bad"))
            self.futures.append(future)
            return future

    executor = Slow()
    with pytest.raises(ValueError, match="bad"):
        sweep({"momentum": [0.1, 0.2, 0.3]}, data, executor=executor, **SMALL)
    assert [future.cancelled() for future in executor.futures] == [False, True, True]


def test_the_learned_scales_of_a_stack_are_each_networks_own():
    """A scale that starts at 0 is learned; the networks must not learn it together."""
    data, settings = digits(0), SIZES | {"depth": 4, "skip": True, "branch_scale": 0.0}
    together = build(**settings, seed=[0, 1], stack=(2,))
    fit(together, data, lr=[0.1, 0.001], epochs=1, batch=64)
    scales = torch.stack([layer.scale.flatten() for layer in together if hasattr(layer, "scale")])
    for k, lr in enumerate((0.1, 0.001)):
        alone = build(**settings, seed=k)
        fit(alone, data, lr=lr, epochs=1, batch=64)
        own = torch.stack([layer.scale.flatten() for layer in alone if hasattr(layer, "scale")])[
            :, 0
        ]
        torch.testing.assert_close(scales[:, k], own, rtol=1e-3, atol=1e-5)
    assert (scales[:, 0].abs() > 3 * scales[:, 1].abs()).all()


def test_a_step_that_was_interrupted_leaves_its_examples_to_the_next(data):
    def interrupt(*_):
        raise KeyboardInterrupt

    net = build(**SIZES)
    trainer, expected = (Trainer(one, data, lr=0.1, batch=100) for one in (net, build(**SIZES)))
    hook = net.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.step()
    hook.remove()
    assert torch.equal(trainer.step(), expected.step())
