"""The web pages and their engine, as far as they need no browser."""

import importlib.metadata
import inspect
import json
import re
import sys
from pathlib import Path

import engine_record
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from helpers.live import widget
from helpers.networks import build
from helpers.pages import __main__ as command
from helpers.pages import builder, rebuild

ROOT = Path(__file__).resolve().parent.parent


# --- the engine ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", rebuild.BINARIES)
def test_the_binaries_were_built_from_their_source(name):
    recorded = (rebuild.HERE / name).read_bytes().rpartition(rebuild.SECTION)[2]
    assert recorded.decode() == rebuild.source_sum(name), "run: python helpers/pages/rebuild.py"


def test_helpers_compute_what_the_engine_computed():
    """If this fails, `build` or `profile` has changed: change engine.js, too, and record anew with tests/engine_record.py."""
    recorded, number = (
        json.loads(engine_record.FILE.read_text("utf-8")),
        len(engine_record.SETTINGS),
    )
    for k, (ours, theirs) in enumerate(zip(engine_record.ours(), recorded, strict=True)):
        settings = engine_record.SETTINGS[k % number]
        rel = 1e-3 if settings["norm"] == "batch" or "16" in settings["dtype"] else 1e-4
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=rel, err_msg=f"{settings}")


def test_the_engine_knows_every_argument_of_build_and_all_their_values():
    arguments = set(inspect.signature(build).parameters)
    assert arguments - {"inputs", "classes", "seed", "stack"} <= set(engine_record.BASE)
    for name in arguments & set(widget.MENUS):
        assert {settings[name] for settings in engine_record.SETTINGS} == {
            *widget.MENUS[name][0]
        }, name


# --- the builder --------------------------------------------------------------------------------


def test_an_explorer_is_made_by_the_cells_that_it_needs():
    sources = [
        "from helpers import Explorer\nfrom math import sqrt",
        "raise RuntimeError('nobody needs this cell: x')",
        "gain = sqrt(4)",
        "def start():\n    depth = 3\n    return {'depth': depth, 'gain': gain}",
        "depth = 1 / 0",
        "print('made')\nExplorer(**start(), width=8)",
    ]
    cells = [new_markdown_cell("text"), *map(new_code_cell, sources)]
    state = builder.explorer(cells, 6).state
    assert (state["depth"], state["gain"], state["width"]) == (3, 2.0, 8)


def test_a_prediction_stands_before_the_measurement_that_opens_by_a_key():
    hidden = {"jupyter": {"outputs_hidden": True, "source_hidden": True}}
    said = [new_output("stream", text="my guess: None\nmeasured: 7\n")]
    cells = [
        new_markdown_cell("**Predict.** How many?"),
        new_code_cell("print(7)", metadata=hidden, outputs=said),
        new_markdown_cell("**Seven.** This is the claim.\n\nThis is what follows."),
    ]
    field, inside, follows = re.fullmatch(
        r"(.*)<details class=\"reveal\"><summary>Show what happens</summary>(.*)</details>(.*?)",
        builder.lesson(cells),
        re.DOTALL,
    ).groups()
    assert (
        '<label for="guess-1">' in field
        and '<textarea id="guess-1"' in field
        and "measured" not in field
    )
    assert "measured: 7" in inside and "This is the claim." in inside and "None" not in inside
    assert 'data-guess="guess-1"' in inside and "This is what follows." in follows
    assert "measured: 7" in builder.lesson(cells[:2])  # where nothing follows, too


def test_the_index_has_the_readmes_words():
    title, about, line, rows = builder.readme()
    assert [f"{name}.ipynb" for _, name, *_ in rows] == [path.name for path in builder.NOTEBOOKS]
    assert title and "2015" in about and line.endswith("jupyter lab --allow-root")


# --- the command --------------------------------------------------------------------------------


def without_module(patch):
    patch.setitem(sys.modules, "latex2mathml.converter", None)


def without_font(patch, distribution=importlib.metadata.distribution):
    patch.setattr(importlib.metadata, "distribution", lambda name: distribution(name + "-missing"))


@pytest.mark.parametrize(
    "spoil, package",
    [(without_module, "latex2mathml.converter"), (without_font, "ziamath-missing")],
)
def test_a_missing_package_is_named(spoil, package, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "helpers.pages.builder")
    spoil(monkeypatch)
    with pytest.raises(SystemExit) as stopped:
        command.main([str(tmp_path)])
    assert re.fullmatch(
        rf"the pages need {package}: install it with .*requirements.txt", str(stopped.value)
    )


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="file"):
        command.main([str(tmp_path / "file")])


def test_the_workflow_publishes_what_the_readme_says():
    words = "python -m helpers.pages"
    readme, workflow = (
        (ROOT / "README.md").read_text("utf-8"),
        (ROOT / ".github" / "workflows" / "pages.yml").read_text("utf-8"),
    )
    assert f".venv/bin/{words}" in readme and f"run: {words} " in workflow
    assert "pip install -r requirements.txt" in workflow and "branches: [main]" in workflow
    assert "https://OWNER.github.io/REPOSITORY/" in "".join(readme.splitlines(True)[:10])
