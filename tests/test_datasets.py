"""The digits are the recorded ones, cut and standardized as promised, or the reader is told how to restore them."""

import hashlib
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch

from helpers import digits
from helpers.datasets import DATA, DamagedData, load


@pytest.fixture
def folder(tmp_path):
    """A copy of data/ to damage."""
    return shutil.copytree(DATA, tmp_path / "data")


@pytest.fixture(scope="module")
def raw():
    return load("digits.npz")


def rows(x, y):
    """The examples as sorted rows of pixels and label, so that two sets of them can be compared."""
    table = np.column_stack([np.asarray(x).reshape(len(x), -1), np.asarray(y)]).astype(int)
    return table[np.lexsort(table.T)]


def record(folder, name):
    """Makes `name` the recorded file of `folder`."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {name}\n", encoding="utf-8")


def test_digits_have_the_promised_shapes_and_types():
    split = digits()
    assert {name: (tuple(part.shape), part.dtype) for name, part in split._asdict().items()} == {
        "x": ((1500, 64), torch.float32),
        "y": ((1500,), torch.int64),
        "x_test": ((297, 64), torch.float32),
        "y_test": ((297,), torch.int64),
    }
    assert set(split.y.tolist()) == set(split.y_test.tolist()) == set(range(10))


@pytest.mark.parametrize("test", [1, 297, 1796])
def test_as_many_examples_as_asked_for_are_held_out(test):
    split = digits(test=test)
    assert (len(split.x), len(split.y), len(split.x_test), len(split.y_test)) == (
        1797 - test,
        1797 - test,
        test,
        test,
    )


@pytest.mark.parametrize("test", [100, 297, 1500])
def test_both_parts_are_standardized_by_the_training_part(raw, test):
    split = digits(seed=3, test=test)
    assert split.x.double().mean() == pytest.approx(0, abs=1e-5)
    assert split.x.double().std(correction=0) == pytest.approx(1, abs=1e-5)
    # Grey level 0 and the spacing of the levels give back the mean and the deviation that were used, one pair for all.
    levels = torch.cat([split.x, split.x_test]).double().unique()
    assert len(levels) == 17
    deviation = 16 / (levels[-1] - levels[0])
    mean = -levels[0] * deviation
    train = np.sort((split.x.double() * deviation + mean).round().numpy().ravel())
    assert deviation == pytest.approx(train.std(), rel=1e-5)
    assert mean == pytest.approx(train.mean(), rel=1e-5)
    assert deviation != pytest.approx(raw["images"].std(), rel=1e-5), (
        "this would be the deviation of all examples"
    )


def test_training_and_test_part_are_disjoint_and_together_complete(raw):
    split = digits(seed=5)
    x, y = torch.cat([split.x, split.x_test]).double(), torch.cat([split.y, split.y_test])
    grey = ((x - x.min()) / (x.max() - x.min()) * 16).round()
    everything = rows(raw["images"], raw["labels"])
    assert np.array_equal(rows(grey, y), everything)
    assert len(np.unique(everything, axis=0)) == 1797, (
        "no example is there twice, so the parts cannot share one"
    )


def test_the_same_seed_gives_the_same_split():
    assert all(torch.equal(one, other) for one, other in zip(digits(seed=7), digits(seed=7)))


def test_another_seed_gives_another_split():
    assert not torch.equal(digits(seed=7).y, digits(seed=8).y)


def test_the_split_neither_reads_nor_moves_the_global_random_state():
    before = digits()
    torch.manual_seed(99)
    np.random.seed(99)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    after = digits()
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert torch.equal(before.x, after.x)


def test_the_size_of_the_test_part_moves_the_cut_and_not_the_order():
    small, large = digits(test=100), digits(test=500)
    assert torch.equal(torch.cat([small.y, small.y_test]), torch.cat([large.y, large.y_test]))


def test_a_caller_who_writes_into_the_digits_does_not_change_the_next_ones():
    first = digits()
    first.x.zero_()
    assert digits().x.std() > 0.9


@pytest.mark.parametrize("lost", ["digits.npz", "SHA256SUMS"])
def test_a_missing_file_is_named_with_the_way_to_restore_it(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(DamagedData) as raised:
        digits(folder=folder)
    assert (
        str(raised.value) == f"data/{lost} is missing; restore it with: git checkout -- data/{lost}"
    )


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one bit altered": lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:],
    "one byte longer": lambda content: content + b"\0",
    "a text in its place": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_with_the_way_to_restore_it(folder, damage):
    path = folder / "digits.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        DamagedData, match=r"^data/digits\.npz is not the recorded file: \d+ bytes"
    ) as raised:
        digits(folder=folder)
    assert str(raised.value).endswith("; restore it with: git checkout -- data/digits.npz")
    assert "\n" not in str(raised.value)


SUMS_DAMAGES = {
    "empty": lambda sums: b"",
    "cut inside the sum": lambda sums: sums[:40],
    "cut after the sum": lambda sums: sums[:65],
    "cut inside the name": lambda sums: sums[:70],
    "of another file": lambda sums: sums.replace(b"digits", b"spirals"),
    "not a text": lambda sums: b"\xff\xfe" + sums,
}


@pytest.mark.parametrize("damage", SUMS_DAMAGES.values(), ids=SUMS_DAMAGES)
def test_a_damaged_list_of_sums_is_named_with_the_way_to_restore_it(folder, damage):
    path = folder / "SHA256SUMS"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedData, match=r"data/SHA256SUMS") as raised:
        digits(folder=folder)
    assert str(raised.value).endswith("restore it with: git checkout -- data/SHA256SUMS")


def test_a_pickle_is_not_opened_even_if_its_sum_is_recorded(folder):
    np.savez(folder / "digits.npz", images=np.array([{}], dtype=object), labels=np.zeros(1))
    record(folder, "digits.npz")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        digits(folder=folder)


def test_the_file_of_digits_holds_two_plain_arrays_and_no_pickle():
    with zipfile.ZipFile(DATA / "digits.npz") as archive:
        assert sorted(archive.namelist()) == ["images.npy", "labels.npy"]
    with np.load(DATA / "digits.npz", allow_pickle=False) as arrays:
        kinds = {name: (arrays[name].dtype, arrays[name].shape) for name in arrays.files}
        assert kinds == {"images": (np.uint8, (1797, 8, 8)), "labels": (np.uint8, (1797,))}
        assert (arrays["images"].min(), arrays["images"].max()) == (0, 16)


def test_every_recorded_sum_is_the_one_of_the_file_and_the_one_in_the_readme():
    sums = dict(
        line.split()[::-1]
        for line in (DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    )
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\S+)` \|.*\| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    assert "digits.npz" in sums
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("*.npz")
    }
    assert table == {"digits.npz": sums["digits.npz"]}, (
        "records can be made anew, and their sums stand in SHA256SUMS alone"
    )
    assert all(f"`{name}`" in readme for name in sums)
