"""What all tests share: one thread, a batch of examples, and a look at everything a network carries."""

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


class Rooms(LoadFileScheduling):
    """A file of tests at a time to each process, but all tests in a browser to one: two browsers would wait for each other."""

    def _split_scope(self, nodeid):
        return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Rooms(config, log)
