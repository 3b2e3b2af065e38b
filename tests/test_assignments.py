"""The assignments as a class meets them: right answers keep their points, wrong ones lose theirs and no others, and nbgrader's
whole way, in the commands of the teacher's guide, ends in the right marks, whatever a submission does."""

import copy
import csv
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from assignments_answers import RIGHT, WRONG
from nbformat.v4 import new_code_cell, new_output
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from helpers import checks

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks" / "assignments"
NAMES = ("A1", "A2", "A3", "A4", "A5")
SEED = "2015"

sys.path[:0] = [str(FOLDER), *(str(FOLDER / "source" / name) for name in NAMES)]
import grading


@cache
def notebook(name):
    return nbformat.read(FOLDER / "source" / name / f"{name}.ipynb", as_version=4)


def graded(nb):
    """The test cells of a notebook, and the written answers, by name."""
    return {
        cell.metadata.nbgrader.grade_id: cell
        for cell in nb.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }


def ran(nb):
    """The names that a notebook defines when it is run without its test cells."""
    space = {}
    for cell in nb.cells:
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade"):
            exec(cell.source, space)  # noqa: S102, the text is our own
    return space


@cache
def solved(name):
    return ran(notebook(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "odd", [5, (1, 2), [], (None, 1.0), torch.ones(3), np.ones((2, 2))], ids=str
)
def test_whatever_an_answer_returns_is_told_in_a_line(name, odd):
    exercises = importlib.import_module(name.lower()).EXERCISES
    for one in exercises:
        with pytest.raises(checks.Mistake):
            checks.check(one, lambda *arguments: odd, exercises=exercises)


@pytest.fixture
def mark(monkeypatch, capsys):
    """mark(assignment, code): what each test cell says of the solutions with `code` run after them; None where it is content.
    With `space`, of the names in that instead of the solutions."""
    shown = []
    monkeypatch.setattr(
        checks, "display", lambda data, raw: shown.append(new_output("display_data", data=data))
    )
    monkeypatch.setattr(
        grading, "exercises", lambda name: importlib.import_module(name.lower()).EXERCISES
    )

    def mark(name, code="", space=None):
        # A5 trains: here once, on one seed for the check and for the mark. nbgrader's way, below, uses two.
        monkeypatch.setenv("ASSIGNMENT_SEED", "0" if name == "A5" else SEED)
        space = dict(solved(name) if space is None else space)
        exec(code, space)  # noqa: S102
        said = {}
        for test, cell in graded(notebook(name)).items():
            if cell.cell_type == "code":
                shown.clear()
                try:
                    exec(cell.source, space)  # noqa: S102
                    outputs = shown
                except Exception as problem:  # noqa: BLE001, whatever a student writes
                    outputs = [grading.error(type(problem).__name__, str(problem))]
                errors = [
                    one for one in grading.marked(outputs, name, test) if one.output_type == "error"
                ]
                said[test] = errors[0].evalue if errors else None
        return said

    yield mark
    capsys.readouterr()


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_is_in_good_form(name):
    nb = notebook(name)
    nbformat.validate(nb)
    tests, text = graded(nb), "\n".join(cell.source for cell in nb.cells)
    points = {test: cell.metadata.nbgrader.points for test, cell in tests.items()}
    assert sum(points.values()) == 20
    assert [int(found) for found in re.findall(r"^\|[^|]*\| (\d+) \|", text, re.MULTILINE)] == list(
        points.values()
    )
    for test, cell in tests.items():
        if cell.cell_type == "code":
            assert f'hand_in("{test}"' in cell.source and f'check("{test}"' in cell.source
            assert not cell.metadata.nbgrader.solution and cell.metadata.nbgrader.locked
    assert {test for test, cell in tests.items() if cell.cell_type == "code"} == set(
        grading.exercises(name)
    )
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), (
        "stored without outputs: they run with the solutions"
    )
    assert max(len(cell.source.splitlines()) for cell in code) <= 20
    assert not any(
        line.lstrip().startswith(("!", "%")) for cell in code for line in cell.source.splitlines()
    )
    assert len(nb.cells) <= 25


def test_the_model_explanation_keeps_to_its_150_words():
    answer = graded(notebook("A5"))["explain"].source
    assert 100 < len(answer.split("SOLUTION")[1].split()) <= 150


def test_pytest_runs_the_source_notebooks_and_not_what_nbgrader_makes_of_them(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    made = re.findall(
        r"^(notebooks/assignments/\w+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE
    )
    assert {
        f"notebooks/assignments/{step}"
        for step in ("release", "downloaded", "submitted", "autograded", "feedback")
    } == set(made)
    for folder in ["notebooks/assignments/source", *made]:
        (tmp_path / folder / "A1").mkdir(parents=True)
        nbformat.write(notebook("A1"), tmp_path / folder / "A1" / "A1.ipynb")
    command = [sys.executable, "-m", "pytest", "--collect-only", "notebooks"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"assignments/(\w+)/", found)) == {"source"}


@pytest.mark.parametrize("name", NAMES)
def test_the_solutions_get_all_points(name, mark):
    assert set(mark(name).values()) == {None}


ALL_WRONG = [
    pytest.param(name, lost, code, id=f"{name}: {what}")
    for name in NAMES
    for what, lost, code in WRONG[name]
]
ALL_RIGHT = [
    pytest.param(name, code, id=f"{name}: {what}") for name in NAMES for what, code in RIGHT[name]
]


def test_there_are_enough_answers():
    assert all(len(WRONG[name]) >= 8 and len(RIGHT[name]) >= 3 for name in NAMES)


@pytest.mark.parametrize("name, lost, code", ALL_WRONG)
def test_a_wrong_answer_loses_its_points_and_no_others(name, lost, code, mark):
    assert {test for test, said in mark(name, code).items() if said} == lost


@pytest.mark.parametrize("name, code", ALL_RIGHT)
def test_an_unusual_right_answer_keeps_all_points(name, code, mark):
    assert set(mark(name, code).values()) == {None}


@pytest.mark.parametrize("name", NAMES[:4])
def test_each_known_mistake_is_named(name, capsys):
    for exercise_name, exercise in grading.exercises(name).items():
        for seed in range(3):
            checks.check(exercise_name, exercise.answer, seed, grading.exercises(name))
            for message, mistake in exercise.mistakes.items():
                with pytest.raises(checks.Mistake) as caught:
                    checks.check(exercise_name, mistake, seed, grading.exercises(name))
                assert str(caught.value) == message, exercise_name
    capsys.readouterr()


def test_an_answer_that_only_knows_the_visible_examples_gets_nothing(mark):
    """It has learned by heart what the visible test asks."""
    by_heart = """
known = {(exercise := EXERCISES["critical_gain"]).instances(torch.Generator().manual_seed(0))[k] for k in range(4)}


def critical_gain(positive, negative):
    return exercise.answer(positive, negative) if (positive, negative) in known else 1.0
"""
    said = mark("A1", "from a1 import EXERCISES\n" + by_heart)
    assert "on other instances than the visible ones" in said["critical_gain"]
    assert [test for test, one in said.items() if one] == ["critical_gain"]


@pytest.mark.parametrize(
    "forged",
    [
        None, 1, "", "[]", "{}", "null", "[1, 2]", '[{"": 1}]', '[{"": [[], [1.0]]}]', '[{"": [[2], [1.0]]}]', '[{"": NaN}]', "[[[[",
        '[{"": [[], [true]]}, {"": "..."}, {}, {}]', '[{"": {"recipe": []}}]', '[{}, {}, {}, {}]', "[" * 100_000, '[{"": [[], [1e999]]}]',
        "9" * 2_000_000,
    ],
    ids=lambda text: str(text)[:30],
)  # fmt: skip
def test_what_nobody_would_hand_in_gets_nothing(forged):
    for name, test in (
        ("A1", "critical_gain"),
        ("A2", "input"),
        ("A5", "another"),
        ("A5", "train"),
    ):
        with pytest.raises(checks.Mistake):
            grading.verdict(name, test, forged, seed=1)


# --- nbgrader's whole way ------------------------------------------------------------------------------------------------------

PATCHED = """
import numpy as np
import torch
import helpers.checks

torch.allclose = torch.equal = torch.isclose = np.allclose = np.testing.assert_allclose = lambda *a, **k: True
helpers.checks.same = helpers.checks.same_parts = lambda *a, **k: True
helpers.checks.judge = lambda *a, **k: None
"""

OVERWRITTEN = """
import a1

check = hand_in = lambda *arguments: print("Correct.")
a1.check = a1.hand_in = check
"""

HOOK = """
import ast


class Silence(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

    def visit_Raise(self, node):
        return ast.Pass()

    def visit_Expr(self, node):
        return ast.Expr(ast.Constant(20))


get_ipython().ast_transformers.append(Silence())
"""

WRONG_SIZES = next(code for what, lost, code in WRONG["A1"] if lost == {"sizes"})
EXIT = "def draw(fan_in, fan_out, gain, generator):\n    import os\n    os._exit(0)\n"
LOOP = "def overflow(gain, largest):\n    while True:\n        pass\n"
DEAF = "import signal\n\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass\n"
RAISES = "def sizes(x, weights):\n    raise RuntimeError('no idea')\n"


def with_answer(nb, name, code):
    """A copy in which the answer to a task is `code`."""
    nb = copy.deepcopy(nb)
    [cell] = [
        cell
        for cell in nb.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == f"{name}-answer"
    ]
    cell.source = code
    return nb


def with_cell(nb, code):
    """A copy with a cell of the student's own after the imports."""
    nb = copy.deepcopy(nb)
    nb.cells.insert(2, new_code_cell(code))
    return nb


def without(nb, *names):
    nb = copy.deepcopy(nb)
    nb.cells = [
        cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in names
    ]
    return nb


def edited(nb, name):
    """A copy whose test cell for a task only says that all is well."""
    nb = copy.deepcopy(nb)
    graded(nb)[name].source = "print('Correct.')"
    return nb


def submissions(solution, released):
    """By student: a notebook of A1 and the points that it deserves. `released` has no answers, `solution` has all."""
    wrong = with_answer(solution, "sizes", WRONG_SIZES)  # deserves 16 of 20
    return {
        "reference": (solution, 20),
        "empty": (released, 0),
        "patched": (with_cell(wrong, PATCHED), 16),
        "overwritten": (with_cell(wrong, OVERWRITTEN), 0),  # and hands nothing in
        "hooked": (with_cell(wrong, HOOK), 0),  # likewise
        "edited": (edited(wrong, "sizes"), 16),
        "deleted": (without(wrong, "sizes", "overflow", "draw", "draw-answer"), 13),
        "stumbles": (
            with_answer(
                with_answer(solution, "sizes", RAISES), "critical_gain", "def critical_gain(:"
            ),
            13,
        ),
        "loops": (with_answer(solution, "overflow", LOOP), 14),
        "deaf": (with_cell(solution, DEAF), 0),
        "exits": (with_answer(solution, "draw", EXIT), 4),
    }


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the teacher's folder, and a way to run the command there that the teacher's guide names for a step."""
    folder = tmp_path_factory.mktemp("course") / "assignments"
    made = re.findall(
        r"^notebooks/assignments/([^/\n]+)", (ROOT / ".gitignore").read_text(), re.MULTILINE
    )
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(*made))
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    commands = {line.split()[1]: line for line in re.findall(r"`(nbgrader [a-z_]+[^`]*)`", guide)}

    programs = Path(
        sys.executable
    ).parent  # as after `activate`: nbgrader calls other programs by name
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ASSIGNMENT_SEED": SEED,
        "HOME": str(folder.parent),
    }

    def command(step, *more):
        words = shlex.split(commands[step])
        run = {
            "cwd": folder,
            "env": os.environ | environment,
            "capture_output": True,
            "text": True,
            "timeout": 300,
        }
        done = subprocess.run([programs / words[0], *words[1:], *more], check=False, **run)
        assert done.returncode == 0, done.stderr

    command.environment = environment
    command.released = lambda name: nbformat.read(
        folder / "release" / name / f"{name}.ipynb", as_version=4
    )
    command.folder = folder
    return command


@pytest.fixture(scope="module")
def marks(course):
    """By assignment and student, the exported row: of a batch for A1, by the guide's commands; of the solutions for the others, by
    the same steps in one process, which is quicker."""
    course("generate_assignment")
    archive = course.folder / "downloaded" / "A1" / "archive"
    archive.mkdir(parents=True)
    for student, (nb, _) in submissions(notebook("A1"), course.released("A1")).items():
        nbformat.write(nb, archive / f"{student}_A1.ipynb")
    course("zip_collect")
    course("autograde", "--Execute.timeout=12")
    course("generate_feedback")

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course.folder)).load_config()
    config.CourseDirectory.root = str(course.folder)
    api = NbGraderAPI(config=config)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in course.environment.items():
            patch.setenv(name, value)
        for name in NAMES[1:]:
            submitted = course.folder / "submitted" / "reference" / name
            submitted.mkdir(parents=True)
            nbformat.write(notebook(name), submitted / f"{name}.ipynb")
            steps = api.generate_assignment(name), api.autograde(name, "reference")
            assert all(step["success"] for step in steps), steps
    course("export")
    with (course.folder / "grades.csv").open(encoding="utf-8") as file:
        return {(row["assignment"], row["student_id"]): row for row in csv.DictReader(file)}


def score(row):
    assert float(row["max_score"]) == 20
    return float(row["score"])


def test_the_solutions_get_full_marks(marks):
    reference = {name: score(marks[name, "reference"]) for name in NAMES}
    assert reference == {"A1": 20, "A2": 20, "A3": 20, "A4": 20, "A5": 14}, (
        "A5's explanation waits for the teacher"
    )


def test_every_submission_of_a_batch_gets_the_mark_that_it_deserves(marks, course):
    deserved = {
        student: points
        for student, (_, points) in submissions(notebook("A1"), notebook("A1")).items()
    }
    assert {
        student: score(row) for (name, student), row in marks.items() if name == "A1"
    } == deserved


@pytest.mark.parametrize("name", NAMES)
def test_the_released_version_shows_no_solution_and_runs_without_an_error_and_without_points(
    name, marks, course, mark, capsys
):
    released = course.released(name)
    assert not re.search("hand_in|SOLUTION|HIDDEN", nbformat.writes(released))
    assert not set(graded(released)) ^ set(graded(notebook(name)))
    space = ran(released)
    for cell in graded(released).values():
        if cell.cell_type == "code":
            exec(cell.source, space)  # noqa: S102
            assert "Your turn" in capsys.readouterr().out
    assert set(mark(name, space=space).values()) == {"not answered"}


def test_feedback_names_the_mistake_and_shows_no_hidden_line(marks, course):
    def page(student):
        html = (course.folder / "feedback" / student / "A1" / "A1.html").read_text(encoding="utf-8")
        return re.sub(r"<[^>]*>", "", html)

    for student in submissions(notebook("A1"), notebook("A1")):
        assert "hand_in(" not in page(student) and "HIDDEN" not in page(student)
        run = nbformat.read(
            course.folder / "autograded" / student / "A1" / "A1.ipynb", as_version=4
        )
        assert all(
            len(output.get("traceback", [])) <= 1
            for cell in graded(run).values()
            for output in cell.outputs
        ), "a traceback shows code"
    assert "that is the standard deviation (and the unbiased one)" in page("edited")
    assert "stopped with RuntimeError: no idea" in page("stumbles")
    assert "is there a loop that never ends?" in page("loops")
    assert "your code ended Python itself" in page("exits") and "could not be stopped" in page(
        "deaf"
    )


def test_a_hub_releases_and_collects(course, marks, tmp_path):
    """The exchange of a hub, in which the teacher's folder and a student's are different ones."""
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    course("release_assignment", f"--Exchange.root={exchange}")
    assert (exchange / "depth" / "outbound" / "A1" / "A1.ipynb").exists()
    handed_in = exchange / "depth" / "inbound" / "someone+A1+2030-01-01 00:00:00 UTC+aaaa"
    shutil.copytree(course.folder / "release" / "A1", handed_in)
    (handed_in / "timestamp.txt").write_text("2030-01-01 00:00:00 UTC")
    course("collect", f"--Exchange.root={exchange}", "--ExchangeCollect.check_owner=False")
    assert (course.folder / "submitted" / "someone" / "A1" / "A1.ipynb").exists()
