"""Floor 0: what a bad argument is told. Every message names the argument, what is allowed and what was given."""

import math
import numbers

import numpy as np
import torch


def integer(name, value, low, high):
    """`value` as an int, if it is a whole number from `low` to `high`; a ValueError that says so if not."""
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Integral)
        or not low <= value <= high
    ):
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return int(value)


def number(name, value, low=-math.inf, high=math.inf):
    """`value` as a float, if it is a finite number from `low` to `high`; a ValueError that says so if not."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        finite = real and math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        finite = False
    if not (finite and low <= value <= high):
        limits = (
            f" from {low:g} to {high:g}"
            if high < math.inf
            else f" from {low:g} up"
            if low > -math.inf
            else ""
        )
        raise ValueError(f"{name} must be a finite number{limits}, got {value!r}")
    return float(value)


def choice(name, value, allowed):
    """`value`, if it is one of `allowed`; a ValueError that lists them if not."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def per_network(name, value, stack, low=-math.inf):
    """`value` as a tensor of shape () or `stack`, every entry finite and at least `low`."""
    value = of_shape(name, "a number", value, stack, lambda one: number(name, one, low))
    return value.double()


def of_shape(name, kind, value, stack, valid):
    """`value` as a tensor of shape () or `stack`, after valid(entry) has raised no ValueError on any entry."""
    if not isinstance(value, (list, tuple)) and not hasattr(value, "shape"):
        valid(value)
    allowed = f"{name} must be {kind} or have the stack's shape {tuple(stack)}"
    try:
        value = torch.as_tensor(
            value if isinstance(value, torch.Tensor) else np.array(value), device="cpu"
        )
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{allowed}, got {value!r}") from None
    if value.shape not in (torch.Size(), stack):
        raise ValueError(f"{allowed}, got shape {tuple(value.shape)}")
    for one in value.flatten().tolist():
        valid(one)
    return value


def plain(value):
    """The Python number in a NumPy number, or in an array or a tensor of shape (); all else as it is."""
    scalar = getattr(value, "shape", None) == () and not getattr(value, "is_meta", False)
    return value.item() if scalar else value


def shown(value):
    """`value` as one short line."""
    value = plain(value)
    if hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    try:
        line = " ".join(repr(value).split())
    except Exception:  # also of a whole number with over 4300 digits
        line = type(value).__name__
    return line if len(line) <= 80 else f"{line[:77]}..."
