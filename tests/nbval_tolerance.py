"""A pytest plugin that lets nbval compare numbers with a tolerance. pyproject.toml loads it.

A cell that is tagged nbval-check-output passes if its text is equal and its numbers agree with the stored ones:

- A whole number without a % is exact: 50 layers, 297 images.
- Every other number is compared by value. It may differ by a share of the smaller of the two, plus one unit of the last
  printed digit. The share is 2 %, unless the cell's metadata has another ("tolerance": 0.1). So 9.99e-8 and 1.00e-7
  agree. A tolerance of 4, from a fifth to five times, is for numbers in which rounding errors grow.
- Signs, NaN and infinity are exact.
- Blanks beside a number do not count, since they pad it to a width.
- Of a picture the alternative text is compared. Its pixels depend on the system's fonts.
"""

import re
from decimal import Decimal

import pytest

TOLERANCE = 0.02
# A sign belongs to a number unless a letter, a digit or a bracket stands before it: 3-5 and layer-1 have none.
# 2.13.0 is a version, and no number; the dot that ends a sentence is not part of one.
NUMBER = re.compile(
    r"(?:(?<![\w.)\]])[+-])?(?<![\w.])(?:\d+(?:\.\d+)?|\.\d+)(?:\.?[eE][+-]?\d+)?(?!\.?\d)"
)


class Number:
    """One number as it was printed: its value, the unit of its last digit, and whether it has to be exact."""

    def __init__(self, text, percent):
        self.text = text
        self.value = Decimal(text)
        self.unit = Decimal(1).scaleb(self.value.as_tuple().exponent)
        self.whole = text.lstrip("+-").isdigit() and not percent
        self.negative = text.startswith("-")

    def agrees(self, stored, tolerance):
        """Whether this number may stand for the stored one."""
        if self.negative != stored.negative:
            return False
        if self.whole and stored.whole:
            return self.value == stored.value
        smaller = min(abs(self.value), abs(stored.value))
        allowed = Decimal(str(tolerance)) * smaller + min(self.unit, stored.unit)
        return abs(self.value - stored.value) <= allowed


def split(text):
    """The words between the numbers of a text, without the blanks that pad them, and the numbers."""
    matches = list(NUMBER.finditer(text))
    starts = [0, *(match.end() for match in matches)]
    ends = [*(match.start() for match in matches), len(text)]
    words = [text[start:end].strip(" ") for start, end in zip(starts, ends)]
    numbers = [
        Number(match.group(), percent=following.startswith("%"))
        for match, following in zip(matches, words[1:])
    ]
    return words, numbers


def difference(stored, computed, tolerance=TOLERANCE):
    """What keeps a computed output from standing for the stored one, in a line; None if nothing does."""
    if stored == computed:
        return None
    stored_words, stored_numbers = split(stored)
    words, numbers = split(computed)
    for ours, theirs in zip(words, stored_words):
        if ours != theirs:
            return f"the text {ours!r} is stored as {theirs!r}"
    if len(numbers) != len(stored_numbers):
        return f"{len(numbers)} numbers were printed, {len(stored_numbers)} are stored"
    for number, before in zip(numbers, stored_numbers):
        if not number.agrees(before, tolerance):
            rule = f"{tolerance:.0%} and one unit of the last digit"
            if number.whole and before.whole:
                rule = "a whole number is exact"
            return f"the number {number.text} is stored as {before.text} ({rule})"
    return None


class Output(str):
    """An output of a cell. It equals another if their difference is None, so nbval compares it with the tolerance."""

    def __new__(cls, text, tolerance):
        new = super().__new__(cls, text)
        new.tolerance = tolerance
        return new

    def __eq__(self, other):
        return difference(str(self), str(other), self.tolerance) is None

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


PICTURE = re.compile(r"data:image/png;base64,[\w+/=]*")


def tolerance_of(cell):
    """The tolerance in a cell's metadata, else the usual one. Raises ValueError unless it is a number from 0 to 9."""
    value = cell.metadata.get("tolerance", TOLERANCE)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 9:
        raise ValueError(f"the cell's tolerance must be a number from 0 to 9, got {value!r}")
    return value


@pytest.hookimpl
def pytest_itemcollected(item):
    """Gives each notebook cell that nbval collects the comparison with a tolerance."""
    from nbval.plugin import IPyNbCell  # here, so that the plugin also loads where nbval is missing

    if not isinstance(item, IPyNbCell):
        return
    tolerance = tolerance_of(item.cell)
    sanitize, show = item.sanitize, item.format_output_compare

    def with_tolerance(value):
        clean = sanitize(value)
        return Output(PICTURE.sub("", clean), tolerance) if isinstance(clean, str) else clean

    def with_reason(key, stored, computed):
        if isinstance(stored, Output):
            reason = difference(str(stored), str(computed), tolerance)
            item.comparison_traceback.append(f"{key}: {reason}")
            item.comparison_traceback.append(f"stored:\n{stored}\ncomputed:\n{computed}")
        else:
            show(key, stored, computed)

    item.sanitize, item.format_output_compare = with_tolerance, with_reason
