"""The data of the series, read from data/ and from nowhere else."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .arguments import FLOAT32, choice, integer, one_seed, require

DATA = Path(__file__).resolve().parent.parent / "data"


class DamagedData(Exception):
    """A file of data/ is missing, or is not the file that was recorded."""


class Split(NamedTuple):
    """A data set cut in two.

    x: float32 (examples, features), standardized. y: int64 (examples,), class numbers.
    """

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


def _damaged(file, what):
    return DamagedData(f"data/{file} {what}; restore it with: git checkout -- data/{file}")


def _sums(folder):
    """The recorded sha256 of the files in `folder`, by name."""
    require(isinstance(folder, (str, os.PathLike)), "folder", "the path of a folder", folder)
    try:
        lines = (Path(folder) / "SHA256SUMS").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        raise _damaged("SHA256SUMS", "is missing") from None
    # A line: 64 hexadecimal digits, two blanks, a name.
    return {line[66:]: line[:64] for line in lines.splitlines()}


def load(name, folder=DATA):
    """The arrays of the file `name` in `folder`, as a dict, if its sha256 is the recorded one.

    Raises DamagedData, which says how to restore the file, if it is missing, truncated or altered.
    """
    expected = _sums(folder).get(name)
    try:
        content = (Path(folder) / name).read_bytes()
    except FileNotFoundError:
        raise _damaged(name, "is missing") from None
    if expected is None:
        raise _damaged("SHA256SUMS", f"has no line for {name}")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        known = f"{len(content)} bytes with sha256 {found[:12]}…, expected {expected[:12]}…"
        raise _damaged(name, f"is not the recorded file: {known}")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def save(name, arrays, folder=DATA):
    """Writes a dict of arrays as the file `name`, whole or not at all, and its sha256."""
    folder, buffer = Path(folder), io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    sums = _sums(folder) if (folder / "SHA256SUMS").exists() else {}
    sums.pop(name, None)  # its new line comes last
    sums[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    lines = "".join(f"{digest}  {file}\n" for file, digest in sums.items())
    for file, content in (name, buffer.getvalue()), ("SHA256SUMS", lines.encode()):
        new = folder / f"{file}.new"
        new.write_bytes(content)
        new.replace(folder / file)


def recorded(name: str, folder=DATA) -> tuple[dict, dict]:
    """What `python -m helpers.experiments NAME` has recorded: its arrays, and its description.

    The arrays' first dimensions are the description's "axes". Raises DamagedData as `load` does,
    and ValueError on a name that is no record's. Lessons 01, 07 and 08.
    """
    known = {Path(file).stem for file in [*_sums(folder), *Path(folder).glob("*.npz")]}
    name = choice("name", name, sorted(known - {"digits"}))
    arrays = load(f"{name}.npz", folder)
    return arrays, json.loads(str(arrays.pop("config")))


@torch.inference_mode(False)  # or no network could be trained on them
def digits(seed: int = 0, *, test: int = 297, folder=DATA) -> Split:
    """1797 handwritten digits of 8x8 pixels, 64 features and 10 classes, shuffled by `seed`.

    test: the number of examples that are held out, 1 to 1796. All pixels are standardized by one
    mean and one standard deviation, those of the training part.
    Raises DamagedData if data/digits.npz is missing or altered, ValueError on a bad seed or test.
    Alpaydin & Kaynak, UCI, CC BY 4.0: see data/README.md. In every lesson.
    """
    arrays = load("digits.npz", folder)
    total = len(arrays["labels"])
    test = integer("test", test, 1, total - 1)
    generator = torch.Generator().manual_seed(one_seed(seed))
    order = torch.randperm(total, generator=generator, device="cpu")
    x = torch.from_numpy(arrays["images"]).reshape(total, -1).float()[order]
    y = torch.from_numpy(arrays["labels"]).long()[order]
    train = x[:-test]
    x = (x - train.mean()) / train.std(correction=0)
    return Split(x[:-test], y[:-test], x[-test:], y[-test:])


@torch.inference_mode(False)
def spirals(seed: int = 0) -> Split:
    """800 points on two spirals that wind around each other: 2 features, 2 classes, 200 held out.

    Each spiral turns 1.5 times and ends at radius 1. Noise of standard deviation 0.03 is added to
    both coordinates. In the end all is brought to mean 0 and standard deviation 1, those of the
    training part.
    Raises ValueError on a bad seed.
    After Lang & Witbrock 1988, "Learning to Tell Two Spirals Apart". Lessons 08 and 09.
    """
    generator = torch.Generator().manual_seed(one_seed(seed))
    y = torch.arange(800, device="cpu") % 2
    # The root puts about as many points on each stretch of the spiral.
    radius = torch.rand(800, generator=generator, **FLOAT32).sqrt()
    angle = 2 * torch.pi * 1.5 * radius + torch.pi * y.float()
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    x = x + 0.03 * torch.randn(800, 2, generator=generator, **FLOAT32)
    x = (x - x[200:].mean()) / x[200:].std(correction=0)
    return Split(x[200:], y[200:], x[:200], y[:200])
