"""What all tests share: one thread, a batch of examples, and a look at everything a network carries."""

from contextlib import ExitStack, contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from xdist.scheduler import LoadFileScheduling

torch.set_num_threads(1)  # small matrices: more threads only wait for one another


@pytest.fixture
def x():
    """A batch of 32 examples of 8 features, mean 0 and standard deviation 1."""
    return torch.randn(32, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def y():
    """Class numbers 0, 1, 2 for the batch."""
    return torch.arange(32) % 3


@pytest.fixture
def rejects():
    """rejects(call, message): `call` raises a ValueError that says exactly `message`."""

    def rejects(call, message):
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == message

    return rejects


@contextmanager
def _hostile():
    dtype, numpy_errors = torch.get_default_dtype(), np.geterr()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    with ExitStack() as contexts:
        contexts.callback(torch.set_default_dtype, dtype)
        contexts.callback(np.seterr, **numpy_errors)
        contexts.callback(torch.use_deterministic_algorithms, deterministic)
        contexts.callback(torch.set_rng_state, torch_state)
        contexts.callback(np.random.set_state, numpy_state)
        contexts.callback(torch.set_printoptions, profile="default")
        contexts.enter_context(np.printoptions(precision=1, threshold=1, legacy="1.13"))
        contexts.enter_context(plt.style.context(["dark_background", {"font.size": 40}]))
        torch.set_default_dtype(torch.float64)
        np.seterr(all="raise")
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(99)
        np.random.seed(99)
        torch.set_printoptions(precision=1, threshold=1, sci_mode=True)
        contexts.enter_context(torch.inference_mode())  # no gradients, and tensors without a past
        contexts.callback(torch.set_default_device, None)
        torch.set_default_device("meta")
        yield


@pytest.fixture
def hostile_settings():
    """`with hostile_settings():` sets what a user can set for all of torch, NumPy and Matplotlib, as badly as possible.

    What a test gives to a call, and what it expects, is made outside of the block.
    """
    return _hostile


class Rooms(LoadFileScheduling):
    """A file of tests at a time to each process, but all tests in a browser to one: two browsers would wait for each other."""

    def _split_scope(self, nodeid):
        return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)


LONG = (
    "tests/browser/",
    "tests/test_lessons.py",
    "tests/test_release.py",
    "tests/test_grading.py",
    "tests/test_tasks.py",
)


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = config.option.markexpr != "slow"  # else in the order below
    return Rooms(config, log)


def pytest_collection_modifyitems(config, items):
    """Of the slow tests the longest files come first, so that both processes are busy to the end."""
    if config.option.markexpr == "slow":
        items.sort(key=lambda item: not item.nodeid.startswith(LONG))
