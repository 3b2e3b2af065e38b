"""Asks an answer, a student's function, under fixed settings, and writes what it gives as plain numbers.

Both a check in a notebook and a mark begin here, so that they cannot differ.
"""

import copy
import inspect
import json
import traceback
import warnings
from collections.abc import Iterable
from contextlib import contextmanager, nullcontext, suppress
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch

UNREADABLE = "nothing was handed in that can be read"
NO_NUMBERS = TypeError, ValueError, RuntimeError, ArithmeticError  # what text, say, raises


class Mistake(Exception):
    """What is wrong with an answer, in one line. A notebook shows that line, and no traceback."""

    def _render_traceback_(self):
        return [f"Not yet: {self}"]


@contextmanager
def fixed_settings():
    """The global settings of torch, NumPy and warnings as a new process has them, and afterwards those from before.

    Instances are drawn, answers asked and compared under them: what a notebook sets changes no verdict and no mark.
    """
    device, dtype = torch.get_default_device(), torch.get_default_dtype()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.9 says that there is a newer way
        precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with (
        nullcontext() if device.type == "cpu" else torch.device("cpu"),  # which slows torch down
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        np.errstate(all="warn", under="ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        if deterministic:  # only then: the call imports a compiler, which takes seconds
            torch.use_deterministic_algorithms(False)
        try:
            yield
        finally:
            if torch.get_default_device().type != "cpu":  # an answer has set it
                torch.set_default_device(None)
            torch.set_default_dtype(dtype)
            torch.set_float32_matmul_precision(precision)
            if deterministic or torch.are_deterministic_algorithms_enabled():
                torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)


def new_generator(seed):
    """A generator on the CPU, whatever the default device is."""
    return torch.Generator("cpu").manual_seed(seed)


def asked(look, name, answer, instances):
    """What `answer` gives on each instance, as a text that holds plain numbers.

    look: from a function and its arguments to a dict of what is compared, by name. Raises Mistake where the answer stops or
    returns nothing.
    """
    given = [looked_at(look, name, answer, instance) for instance in instances]
    return json.dumps([{part: plain(value) for part, value in parts.items()} for parts in given])


def received(text):
    """What `asked` has written, read again. Raises Mistake if it cannot have written that."""
    try:
        return [
            {part: unplain(value) for part, value in parts.items()} for parts in json.loads(text)
        ]
    except (AttributeError, TypeError, ValueError, RuntimeError, RecursionError):
        raise Mistake(UNREADABLE) from None


def looked_at(look, name, answer, instance):
    """The parts of an answer on one instance. Raises Mistake where it stops or returns nothing."""
    if answer is ...:
        return {"": ...}
    instance = copy.deepcopy(instance)  # the answer may change it in place

    def with_tensors(*arguments):
        returned = answer(*arguments)
        if returned is None:
            raise Mistake(f"{name} returned nothing: is a return missing?")
        return as_tensors(returned)

    try:
        with fixed_settings():  # and these, which one instance must not change for the next
            return look(with_tensors, *instance)
    except Mistake:
        raise
    except Exception as error:
        where = line_in(answer, error)
        raise Mistake(f"{name} stopped with {type(error).__name__}: {error}{where}") from error


def line_in(answer, error):
    """The line of an answer's cell at which it stopped, for a message; "" of what has no such line."""
    code = getattr(inspect.unwrap(answer), "__code__", None)
    if code is None or code.co_name == "<lambda>":  # which stands in the cell of the check
        return ""
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.line for step in steps if step.filename == code.co_filename and step.line]
    return f", in the line: {lines[-1][:80]}" if lines else ""


def without_autograd(function, *instance):
    """What a function returns where no gradient is recorded. Raises Mistake if it asks for one."""
    try:
        with torch.inference_mode():
            return function(*instance)
    except RuntimeError as error:
        if "does not require grad" in str(error):
            raise Mistake("autograd is off here: write the gradient yourself") from error
        raise


def look_without_autograd(function, *instance):
    """What a function returns where no gradient is recorded."""
    return {"": without_autograd(function, *instance)}


def named(returned, *names):
    """What an answer returned, by name. Raises Mistake if there are not as many things."""
    if returned is ...:
        return {"": ...}
    one = isinstance(returned, (str, dict)) or getattr(returned, "ndim", 1) == 0
    parts = list(returned) if isinstance(returned, Iterable) and not one else []
    if len(parts) != len(names):
        raise Mistake(f"return {len(names)} things: {', '.join(names)}")
    return dict(zip(names, parts))


def several(*names):
    """A way to look at an answer that returns several things: each by its name."""
    return lambda function, *instance: named(function(*instance), *names)


def unanswered(given):
    """Whether an answer still has the exercise's dots."""
    found = [part for parts in given for part in parts.values()]
    found += [value for part in found if isinstance(part, dict) for value in part.values()]
    return any(part is ... for part in found)


def gradient_through(out, x):
    """The gradient with respect to x of a fixed sum over `out`, as autograd finds it. Raises Mistake if `out` has no graph."""
    if not out.requires_grad:
        raise Mistake(
            "no gradient can flow through the output: compute all of it with torch, from x itself, "
            "without no_grad, detach or NumPy"
        )
    probe = torch.linspace(-1, 2, x.numel()).view(x.shape)
    return torch.autograd.grad((out * probe).sum(), x)[0]


# --- tensors, arrays and plain numbers ---------------------------------------------------------


def as_tensors(returned):
    """What an answer returned, with tensors in place of NumPy's arrays, also in a tuple, a list and the like."""
    if isinstance(returned, np.ndarray):
        with suppress(*NO_NUMBERS):
            return tensor(returned)
    elif isinstance(returned, Iterable) and not isinstance(returned, (torch.Tensor, str, dict)):
        return [as_tensors(part) for part in returned]
    return returned


def tensor(value):
    """A tensor on the CPU of one number or many, also of those that torch refuses: a reversed array, long floats, fractions."""
    try:
        return torch.as_tensor(value, device="cpu")
    except NO_NUMBERS:
        array = np.asarray(value)
        if array.dtype.kind not in "biufcO":
            raise
        kind = complex if array.dtype.kind == "c" else float
        numbers = np.array([kind(one) for one in array.flat], kind)
        return torch.from_numpy(numbers.reshape(array.shape))


def plain(part):
    """A part of an answer as JSON can hold it.

    That is "..." for the dots, a dict of plain values, a text, or the kind, shape and numbers of a tensor.
    """
    if part is ...:
        return "..."
    if isinstance(part, dict):
        return {str(key): plain_value(value) for key, value in part.items()}
    try:
        part = tensor(part).detach()
    except NO_NUMBERS:
        return spoken(part)
    kind = "complex" if part.is_complex() else "real"
    numbers = torch.view_as_real(part.cdouble()) if kind == "complex" else part.double()
    return [kind, list(part.shape), numbers.flatten().tolist()]


def unplain(part):
    """A part of an answer from what `plain` has made of it."""
    if part == "...":
        return ...
    if isinstance(part, dict):
        return {key: ... if value == "..." else value for key, value in part.items()}
    if isinstance(part, str):
        return part
    kind, shape, numbers = part
    numbers = torch.tensor(numbers, dtype=torch.double)
    if kind == "complex":
        numbers = torch.view_as_complex(numbers.reshape(*shape, 2))
    return numbers.reshape(shape) if shape else numbers.item()


def plain_value(value):
    """A value of a dict: NumPy's and torch's numbers as Python's, and as a text what is no number, bool or text."""
    if value is ...:
        return "..."
    with suppress(AttributeError, ValueError, RuntimeError):
        value = value.item()
    if isinstance(value, (Fraction, Decimal, np.longdouble)):
        with suppress(*NO_NUMBERS):
            value = float(value)
    known = value is None or isinstance(value, (bool, int, float, str))
    return value if known else spoken(value)


def spoken(value):
    """A value in a message, the same under all print options."""
    if isinstance(value, (float, complex)):
        return f"{value:.7g}"
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"a tensor of shape {tuple(value.shape)}"
    return repr(value)[:80]
