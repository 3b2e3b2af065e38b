"""Every notebook of the series keeps the form that its readers, its static pages and nbval need.

The numbers in them are compared by nbval, which pytest runs on notebooks/ (see pyproject.toml): cells tagged nbval-check-output
strictly, the others for running without an error.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import torch

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
LONGEST = 40  # lines of a code cell as ruff formats it; 15 where a lesson is rewritten
HOME = re.compile(r"(/home/|/root/|/Users/|/tmp/|/work/|[A-Z]:\\\\)")


def faults(notebook):
    """What is wrong with the form of a notebook, as a list of lines; the words of a teacher, not of a linter."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    counts = [cell.execution_count for cell in code]
    if None in counts:
        found.append("a code cell was not executed")
    elif counts != list(range(1, len(code) + 1)):
        found.append(f"executed out of order: {counts}")
    if not any(cell.outputs for cell in code):
        found.append("no cell has an output")
    if not any("nbval-check-output" in cell.metadata.get("tags", []) for cell in code):
        found.append(
            "no cell's numbers are compared: tag those that print a claim with nbval-check-output"
        )
    if "widgets" in notebook.metadata:
        found.append(
            "metadata.widgets is stored: static pages would prefer it to the picture, and draw nothing"
        )
    if HOME.search(nbformat.writes(notebook)):
        found.append(f"a path of one machine: {HOME.search(nbformat.writes(notebook)).group()}")
    for cell in text:
        for alt in re.findall(r"!\[(.*?)\]\(", cell.source) + re.findall(
            r"<img(?![^>]*\balt=\"[^\"])[^>]*()>", cell.source
        ):
            if not alt.strip():
                found.append(f"a picture without alternative text in cell {cell.id}")
    for cell in code:
        lines = cell.source.splitlines()
        if len(lines) > LONGEST:
            found.append(f"cell {cell.id} has {len(lines)} lines, {LONGEST} are allowed")
        if any(line.lstrip().startswith(("!", "%")) for line in lines):
            found.append(f"cell {cell.id} holds a shell line or a magic")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {cell.id} stored an error: {output.ename}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {cell.id} stored a warning")
            if WIDGET in output.get("data", {}) and "image/png" not in output.data:
                found.append(
                    f"cell {cell.id} stored a progress bar, which no page can show: run it with TQDM_DISABLE=1"
                )
            if (
                "image/png" in output.get("data", {})
                and not output.metadata.get("image/png", {}).get("alt", "").strip()
            ):
                found.append(f"the picture of cell {cell.id} has no alternative text")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_in_good_form(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert faults(notebook) == []


def test_there_are_notebooks():
    assert NOTEBOOKS


def good():
    """A small notebook without a fault."""
    new = nbformat.v4
    output = new.new_output("stream", name="stdout", text="1\n")
    cell = new.new_code_cell(
        "print(1)", execution_count=1, outputs=[output], metadata={"tags": ["nbval-check-output"]}
    )
    return new.new_notebook(cells=[new.new_markdown_cell("# Title\n![a line](a.png)"), cell])


def spoil_unexecuted(notebook):
    notebook.cells[1].execution_count = None


def spoil_order(notebook):
    notebook.cells[1].execution_count = 7


def spoil_outputs(notebook):
    notebook.cells[1].outputs = []


def spoil_tags(notebook):
    notebook.cells[1].metadata.tags = []


def spoil_widgets(notebook):
    notebook.metadata["widgets"] = {}


def spoil_path(notebook):
    notebook.cells[1].source = 'open("/home/me/data.npz")'


def spoil_alt(notebook):
    notebook.cells[0].source = "![](a.png)"


def spoil_img(notebook):
    notebook.cells[0].source = '<img src="a.png">'


def spoil_length(notebook):
    notebook.cells[1].source = "\n".join(["x = 1"] * (LONGEST + 1))


def spoil_magic(notebook):
    notebook.cells[1].source = "%matplotlib inline"


def spoil_error(notebook):
    notebook.cells[1].outputs = [
        nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])
    ]


def spoil_warning(notebook):
    notebook.cells[1].outputs += [nbformat.v4.new_output("stream", name="stderr", text="careful")]


def spoil_picture(notebook):
    notebook.cells[1].outputs += [
        nbformat.v4.new_output("display_data", data={"image/png": "AAAA"})
    ]


def spoil_bar(notebook):
    notebook.cells[1].outputs += [
        nbformat.v4.new_output("display_data", data={WIDGET: {"model_id": "1"}})
    ]


SPOILERS = [value for name, value in sorted(globals().items()) if name.startswith("spoil_")]


def test_the_good_notebook_has_no_fault():
    assert faults(good()) == []


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_each_fault_is_found(spoil):
    notebook = good()
    spoil(notebook)
    assert len(faults(notebook)) >= 1


TRAINED = ("07", "09")  # their exercises train deep networks for a while
SOLVED = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] * path.name.startswith(TRAINED))
    for path in NOTEBOOKS
]


@pytest.mark.parametrize("path", SOLVED)
def test_the_solution_of_each_exercise_passes_its_check(path, capsys):
    """The solutions stand in <details>; the checks must accept them word for word."""
    from helpers import check

    notebook = nbformat.read(path, as_version=4)
    names = re.findall(
        r'check\("(\w+)", (\w+)\)',
        "\n".join(c.source for c in notebook.cells if c.cell_type == "code"),
    )
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    space = {"torch": torch}  # what every lesson imports
    for solution in re.findall(
        r"<summary>Solution</summary>.*?```python\n(.*?)```", text, re.DOTALL
    ):
        exec(compile(ast.parse(solution), str(path), "exec"), space)  # noqa: S102, the text is our own
    for name, function in names:
        check(name, space[function])
        assert "Correct" in capsys.readouterr().out
