"""Records what the pages' engine computes for a few networks: `python tests/engine_record.py` writes engine_record.json, with Chromium.

The quick tests compare `helpers` with the record, and the slow ones the engine. So a change to `build` or `profile` that the engine does
not follow fails at once, without a browser.
"""

import json
from pathlib import Path

import numpy as np

from helpers import Explorer
from helpers.pages import figures

FILE = Path(__file__).with_name("engine_record.json")
BASE = {"depth": 6, "gain": 1.3, "width": 24, "activation": "relu", "dtype": "float32", "batch": 64}
BASE |= {
    "norm": "none",
    "gamma": 1.0,
    "beta": 0.0,
    "skip": False,
    "branch_scale": 1.0,
    "order": "pre",
}
CHANGES = [
    {}, {"activation": "tanh"}, {"activation": "sigmoid"}, {"activation": "linear"}, {"gain": 0.4}, {"depth": 1}, {"width": 7},
    {"dtype": "float64"}, {"dtype": "float16", "gain": 4.0}, {"dtype": "bfloat16"}, {"norm": "batch"}, {"norm": "layer"},
    {"norm": "batch", "batch": 5}, {"norm": "layer", "gamma": 1.7, "beta": -0.4}, {"skip": True}, {"skip": True, "order": "post"},
    {"skip": True, "branch_scale": 0.3}, {"skip": True, "norm": "batch"}, {"skip": True, "norm": "layer", "order": "post"},
]  # fmt: skip
SETTINGS = [BASE | change for change in CHANGES]


def explorer(backward):
    """An explorer with a control for each of the settings."""
    return Explorer(**BASE, backward=backward, seed=1)


def curves(panels):
    """The measured curves of a picture's panels, to five digits."""
    return [
        [float(f"{value:.5g}") for value in np.array(line["y"], float)]
        for panel in panels
        for line in panel["lines"][:1]
    ]


def ours():
    """The curves that helpers compute: for the signal, then the same and for the gradient."""
    found = []
    for backward in (False, True):
        shown = explorer(backward)
        for settings in SETTINGS:
            shown.set(**settings)
            found.append(
                curves([{"lines": [vars(line) for line in panel.lines]} for panel in shown.panels])
            )
    return found


def theirs(make):
    """The curves that a page computes. make(kind, data): a function from settings to its picture."""
    found = []
    for backward in (False, True):
        about = figures.described(explorer(backward))
        compute = make(about["kind"], about["data"])
        found += [curves(compute(settings)["panels"]) for settings in SETTINGS]
    return found


def main():
    """Writes the record."""
    import tempfile

    from browser import lab, test_pages_engine

    with lab.browser() as browser, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "engine.html")
        path.write_text(test_pages_engine.PAGE.format(scripts=figures.scripts()), "utf-8")
        with test_pages_engine.opened_file(browser, path) as page:
            found = theirs(lambda kind, data: test_pages_engine.make(page, kind, **data))
    FILE.write_text(json.dumps(found).replace("], [[", "],\n[[") + "\n", "utf-8")


if __name__ == "__main__":
    main()
