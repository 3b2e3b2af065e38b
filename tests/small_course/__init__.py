"""Two small assignments, to try what hands out, collects and grades, whatever the real ones ask for."""

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).parent
ANSWERS = {
    "A1": {
        "sizes": (4, "x, weights", "found = []\nfor weight in weights:\n    x = torch.relu(x @ weight)\n    found.append({{code}})\nreturn found"),
        "draw": (3, "fan_in, fan_out, gain, generator", "return torch.randn(fan_in, fan_out, generator=generator) * gain / fan_in**0.5"),
        "critical_gain": (3, "positive, negative", "return (2 / (positive**2 + negative**2)) ** 0.5"),
        "gain_for": (4, "depth, factor", "return 2**0.5 * factor ** (1 / depth)"),
        "overflow": (6, "gain, largest", "layer, size, factor = 0, 1.0, gain / 2**0.5\nwhile size <= largest and factor > 1:\n    layer, size = layer + 1, size * factor\nreturn layer"),
    },
    "A2": {"recipe": (14, "", 'return {"skip": True, "epochs": 3}')},
}  # fmt: skip

WORDS = {"definition": "mean absolute value", "code": "x.abs().mean()"}  # what an odd seed chooses


def marked(cell, name, points=None, solution=False):
    """A cell with nbgrader's metadata."""
    cell.metadata.nbgrader = {
        "schema_version": 3,
        "grade_id": name,
        "grade": points is not None,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "cell_type": cell.cell_type,
    }
    if points is not None:
        cell.metadata.nbgrader["points"] = points
    return cell


def between(text, mark, before="###"):
    return f"{before} BEGIN {mark}\n{text}\n{before} END {mark}"


def source(assignment):
    """The notebook of source/, with solutions and placeholders."""
    module = assignment.lower()
    cells = [
        new_markdown_cell("# How large is the signal?\n\nMeasuring the {{definition}}." if module == "a1" else "# A recipe"),
        new_code_cell("import torch\nfrom checks import check\n\nx = torch.ones(3)"),
    ]  # fmt: skip
    for name, (points, arguments, code) in ANSWERS[assignment].items():
        body = between(code, "SOLUTION").replace("\n", "\n    ")
        answer = new_code_cell(f"def {name}({arguments}):\n    {body}")
        hand_in = f'from checks import hand_in\n\nhand_in("{name}", {name})'
        test = f'{between(hand_in, "HIDDEN TESTS")}\ncheck("{name}", {name})'
        cells.append(marked(answer, f"{name}-answer", solution=True))
        cells.append(marked(new_code_cell(test), name, points))
    if assignment == "A2":
        cells.append(marked(new_markdown_cell("Because it is so."), "explain", 6, solution=True))
    for k, cell in enumerate(cells):
        cell.id = f"{module}-{k:02}"
    return new_notebook(cells=cells)


def write(folder):
    """Writes both into a folder `source`."""
    for assignment in ANSWERS:
        shutil.copytree(HERE / assignment, folder / assignment, dirs_exist_ok=True)
        nbformat.write(source(assignment), folder / assignment / f"{assignment}.ipynb")
