"""What tests compare: a Picture as data, and the same Picture as Matplotlib has it."""

import numpy as np

from helpers.live.panels import draw


def blank(panel):
    """Whether nothing of a panel's data can be seen."""
    seen = [len(marks) for marks in (panel.lost, panel.zero) if marks is not None]
    if panel.shades is not None:
        seen.append((panel.shades.strengths() > 0).sum())
    for line in panel.lines:
        if line.kind in ("line", "points", "law"):
            inside = [
                (v >= axis.low) & (v <= axis.high)
                for v, axis in zip((line.x, line.y), (panel.x, panel.y))
            ]
            seen.append((inside[0] & inside[1]).sum())
    return not any(seen)


def differences(picture):
    """Where the figure that Matplotlib draws has other data than the Picture, as a list of words."""
    figure, found = draw(picture), []
    if len(figure.axes) != len(picture.panels):
        return ["panels"]
    for panel, ax in zip(picture.panels, figure.axes):
        same = {"title": ax.get_title("left") == panel.title}
        for name, axis in ("x", panel.x), ("y", panel.y):
            limits, scale, label = (
                getattr(ax, f"get_{name}{what}")() for what in ("lim", "scale", "label")
            )
            same[name] = (limits, scale, label) == (
                (axis.low, axis.high),
                "log" if axis.log else "linear",
                axis.label,
            )
        marks = [marks for marks in (panel.lost, panel.zero) if marks is not None and len(marks)]
        lines = ax.lines[: len(panel.lines)]
        same["count"] = len(ax.lines) == len(panel.lines) + len(marks) + (panel.limit is not None)
        for line, artist in zip(panel.lines, lines):
            data = np.array_equal([line.x, line.y], artist.get_data(), equal_nan=True)
            same[f"line {line.name}"] = data and artist.get_label() == (line.name or "_")
        for marked, artist in zip(marks, ax.lines[len(panel.lines) :]):
            same["marks"] = same.get("marks", True) and np.array_equal(marked, artist.get_xdata())
        if panel.limit is not None:
            same["limit"] = (
                ax.lines[-1].get_ydata()[0] == panel.limit[1]
                and ax.texts[-1].get_text() == panel.limit[0]
            )
        if panel.shades is not None:
            drawn, strengths = ax.images[0].get_array().filled(np.nan), panel.shades.strengths()
            same["shades"] = np.array_equal(drawn, strengths, equal_nan=True)
            texts = [text for row in panel.shades.texts or () for text in row]
            same["texts"] = [text.get_text() for text in ax.texts] == texts
        legend = (
            [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []
        )
        same["legend"] = legend == [line.name for line in panel.lines if line.name and len(line.x)]
        found += [what for what, alike in same.items() if not alike]
    return found
