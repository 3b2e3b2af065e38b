"""Argument checks: one line names the argument, what is allowed and what was given."""

import math
import numbers
from functools import partial

import numpy as np
import torch

FLOAT32 = {"dtype": torch.float32, "device": "cpu"}  # for new tensors: torch's defaults may differ
MOST_WEIGHTS = 250_000_000  # 1 GB in float32: a larger network could end the process instead


def require(fine, name, allowed, value):
    """Raises ValueError, "`name` must be `allowed`, got `value`", unless `fine`."""
    if not fine:
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")


def integer(name, value, low, high):
    """`value` as an int, if it is a whole number from `low` to `high`."""
    given = plain(value)
    whole = isinstance(given, numbers.Integral) and not isinstance(given, bool)
    require(whole and low <= given <= high, name, f"an integer from {low} to {high}", given)
    return int(given)


def number(name, value, low=-math.inf, high=math.inf):
    """`value` as a float, if it is a finite number from `low` to `high`."""
    given = plain(value)
    try:
        fine = isinstance(given, numbers.Real) and math.isfinite(given) and low <= given <= high
    except OverflowError:  # a whole number too large for a float
        fine = False
    limits = f" from {low:g} to {high:g}" if high < math.inf else f" from {low:g} up"
    limits = limits if low > -math.inf else ""
    require(fine and not isinstance(given, bool), name, f"a finite number{limits}", given)
    return float(given)


def choice(name, value, allowed):
    """The one of `allowed` that equals `value`: 1 and 1.0 are equal, 1 and True are not."""
    given = plain(value)
    comparable = isinstance(given, (str, numbers.Number))
    for option in allowed:
        alike = comparable and isinstance(given, bool) == isinstance(option, bool)
        if given is option or (alike and given == option):
            return option
    require(False, name, f"one of {', '.join(map(repr, allowed))}", given)


def sizes(name, value, high):
    """`value` as a tuple of integers from 1 to `high`."""
    allowed = f"a tuple of integers from 1 to {high}"
    require(isinstance(value, (tuple, list)), name, allowed, value)
    return tuple(integer(name, size, 1, high) for size in value)


def few_enough(names, weights):
    """Raises ValueError if the arguments `names` ask for more than MOST_WEIGHTS weights."""
    require(weights <= MOST_WEIGHTS, names, f"at most {MOST_WEIGHTS} weights in all", weights)


def per_network(name, value, stack=None, low=-math.inf):
    """`value` as a float64 tensor of shape () or `stack` (None: any), no entry below `low`."""
    found = _entries(name, "a number", value, stack, partial(number, name, low=low))
    return torch.tensor(found, dtype=torch.float64, device="cpu")


def one_seed(value):
    """`value` as an int, if torch's generators take it as a seed."""
    return integer("seed", value, 0, 2**63 - 1)


def seeds(value, stack):
    """`value` as a list of one seed, or of one for each network of the stack."""
    return np.ravel(_entries("seed", "an integer", value, stack, one_seed)).tolist()


def class_numbers(name, y, classes):
    """Raises ValueError unless the entries of the tensor y are from 0 to `classes` - 1."""
    low, high = (value.item() for value in y.aminmax())
    allowed = f"class numbers from 0 to {classes - 1}"
    require(0 <= low <= high < classes, name, allowed, low if low < 0 else high)


def _entries(name, kind, value, stack, valid):
    """A number, or a list of the shape `stack` (None: any), each entry checked by `valid`."""
    given = plain(value)
    allowed = kind if stack is None else f"{kind} or have the stack's shape {tuple(stack)}"
    if isinstance(given, (np.ndarray, torch.Tensor)):
        require(not getattr(given, "is_meta", False), name, allowed, given)
        given = given.tolist()
    if not isinstance(given, (list, tuple)):
        return valid(given)
    found = [_entries(name, kind, entry, None, valid) for entry in given]
    try:
        shape = np.shape(found)
    except ValueError:  # lists of different lengths
        require(False, name, allowed, value)
    require(0 not in shape, name, allowed, value)
    if stack is not None and shape != tuple(stack):
        raise ValueError(f"{name} must be {allowed}, got shape {shape}")
    return found


def plain(value):
    """The Python number in a NumPy number or in an array of shape (); all else as it is."""
    scalar = getattr(value, "shape", None) == () and not getattr(value, "is_meta", False)
    return value.item() if scalar else value


def shown(value):
    """`value` as one short line."""
    if isinstance(getattr(value, "shape", None), tuple):
        dtype = f"{value.dtype} " if hasattr(value, "dtype") else ""
        return f"{dtype}{type(value).__name__} of shape {tuple(value.shape)}"
    try:
        line = " ".join(repr(value).split())
    except (ValueError, TypeError, RuntimeError):  # such as a whole number with over 4300 digits
        line = type(value).__name__
    return line if len(line) <= 80 else f"{line[:77]}..."
