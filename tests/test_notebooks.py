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
HOME = re.compile(r"(/home/|/root/|/Users/|/tmp/|/work/|[A-Z]:\\\\)")


def still(output):
    """Whether an output is the picture that is stored for a live figure."""
    return 'class="live-still' in output.get("data", {}).get("text/html", "")


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
        if any(line.lstrip().startswith(("!", "%")) for line in cell.source.splitlines()):
            found.append(f"cell {cell.id} holds a shell line or a magic")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {cell.id} stored an error: {output.ename}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {cell.id} stored a warning")
            data = output.get("data", {})
            if WIDGET in data and "image/png" not in data and not any(map(still, cell.outputs)):
                found.append(
                    f"cell {cell.id} stored a progress bar, which no page can show: run it with TQDM_DISABLE=1"
                )
            if (
                "image/png" in output.get("data", {})
                and not output.metadata.get("image/png", {}).get("alt", "").strip()
            ):
                found.append(f"the picture of cell {cell.id} has no alternative text")
    return found


def prose(notebook):
    """The text that every reader reads: without folded parts, references, tables and code."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    text = re.split(r"^## References", text, flags=re.MULTILINE)[0]
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def excesses(notebook):
    """Where a lesson is longer or harder than a student reads in one go, as a list of lines."""
    found = []
    text = prose(notebook)
    words = len(text.split())
    if not 900 <= words <= 1400:
        found.append(f"{words} words, 900 to 1400 are allowed")
    if len(notebook.cells) > 40:
        found.append(f"{len(notebook.cells)} cells, 40 are allowed")
    [small_print] = re.findall(
        r"<summary>Small print</summary>(.*?)</details>",
        "\n".join(cell.source for cell in notebook.cells),
        re.DOTALL,
    ) or [""]
    if len(small_print.split()) > 250:
        found.append(f"{len(small_print.split())} words of small print, 250 are allowed")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, body = section.split("\n", 1)
        long = [
            bracket for bracket in re.findall(r"\(([^()]*)\)", body) if len(bracket.split()) > 8
        ]
        if len(long) > 1:
            found.append(f"section {title!r} has {len(long)} long brackets, one is allowed")
        if title not in ("Your turn", "Recap") and "**" not in body.strip()[:4]:
            found.append(f"section {title!r} does not begin with a bold claim or prediction")
    printed = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if len(lines) > 15:
            found.append(f"cell {cell.id} has {len(lines)} lines, 15 are allowed")
        if any(len(line) > 100 for line in lines):
            found.append(f"cell {cell.id} has a line of over 100 characters")
        for output in cell.outputs:
            printed += len(re.findall(r"\b(?:True|False)\b", output.get("text", "")))
    if printed > 2:
        found.append(f"{printed} times True or False are printed, two are allowed")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_lesson_is_short_and_plain(path):
    assert excesses(nbformat.read(path, as_version=4)) == []


def test_a_lesson_can_be_too_long_and_too_hard():
    """One that exceeds the limits in every way, so the count can fail."""
    cell = nbformat.v4.new_code_cell("\n".join(["x" * 101] * 16))
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="True False True")]
    bracket = f"({'word ' * 9})"
    text = f"## Section\n{bracket} {bracket}\n<details><summary>Small print</summary>{'a ' * 251}</details>"
    cells = [nbformat.v4.new_markdown_cell(text), *[cell] * 40]
    assert len(excesses(nbformat.v4.new_notebook(cells=cells))) == 2 + 1 + 2 + 80 + 1


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


def previews(notebook):
    """The first line that each collapsed cell has printed: JupyterLab shows it although the output is collapsed."""
    found = {}
    for cell in notebook.cells:
        if cell.metadata.get("jupyter", {}).get("outputs_hidden") and cell.outputs:
            found[cell.id] = cell.outputs[0].get("text", "").split("\n")[0]
    return found


FIRST = {"deeper-04", "deeper-15", "back-05", "norm-two", "buys-26", "shatter-33", "drift-37"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_collapsed_output_does_not_show_its_answer_in_its_first_line(path):
    """It has no number, or the measurement begins with what the reader knows already (FIRST)."""
    found = previews(nbformat.read(path, as_version=4))
    told = {cell: line for cell, line in found.items() if re.search(r"\d", line.split("guess")[0])}
    assert set(told) <= FIRST, told
