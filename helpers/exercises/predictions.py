"""Compares a reader's prediction with what was measured."""

from contextlib import suppress

from .asking import plain_value, spoken


def compare(prediction, measured, unit=""):
    """Prints the reader's prediction beside what was measured, both numbers; asks for a prediction that is ... or None.

    The verdict is a factor, or for the unit "%" the difference in points. A prediction in words is repeated without one.
    Raises ValueError if `measured` is no number, or `prediction` neither a number nor a text. Lesson 04.
    """
    measured = real("measured", "a number", measured)
    if prediction is ... or prediction is None:
        print(
            f"Measured: {measured:.2g}{unit}. (You did not write a prediction: "
            "it is worth a guess before you look.)"
        )
        return
    words = isinstance(prediction, str)
    prediction = prediction if words else real("prediction", "a number or a text", prediction)
    said = f"Your prediction: {prediction}{'' if words else unit}. Measured: {measured:.2g}{unit}."
    if prediction == measured:
        said += " Right."
    elif unit.strip() == "%" and not words:
        points = abs(prediction - measured)
        said += " Close." if points < 5 else f" Off by {points:.0f} points."
    elif not words and prediction > 0 and measured > 0:
        ratio = max(prediction / measured, measured / prediction)
        said += " Close." if ratio < 1.25 else f" Off by a factor of {ratio:.2g}."
    print(said)


def real(name, kind, value):
    """`value` as Python's int or float, if it is a number, NumPy's and torch's included; a ValueError if not."""
    plain = plain_value(value)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        with suppress(OverflowError):
            float(plain)
            return plain
    raise ValueError(f"{name} must be {kind}, got {spoken(value)}")
