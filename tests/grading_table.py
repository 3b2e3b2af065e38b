"""A class of over seventy: honest, unusual, broken and hostile submissions, and the marks that they deserve.

`.venv/bin/python tests/grading_table.py` grades them in one batch, in random order, three times, and prints a table of the marks,
and of what the log and the feedback say of each submission. It takes half an hour. `pytest -m slow` grades a sample once.
"""

import copy
import csv
import io
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nbformat
import small_course
from nbformat.v4 import new_code_cell, new_markdown_cell

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks" / "assignments"
SEED = 2015

sys.path.insert(0, str(FOLDER))
import hand_out


class Submission(NamedTuple):
    """files: from names in which * stands for the student to contents; a name with a slash goes into the student's folder in
    submitted/, the others into the archive. points: the mark that it deserves. said: what its feedback must say; logged: what the
    log must say in a line with the student's name."""

    files: dict
    points: float
    said: str = ""
    logged: str = ""


# --- notebooks -----------------------------------------------------------------------------------------------------------------


def source(assignment):
    """The notebook with the solutions of a small assignment, as it is filled for SEED."""
    nb = small_course.source(assignment)
    for cell in nb.cells:
        cell.source = hand_out.filled(cell.source, small_course.WORDS)
    return nb


def solved(assignment):
    """What a student hands in who has solved all: without the lines that students never see."""
    nb = source(assignment)
    for cell in nb.cells:
        cell.source = re.sub(
            r"### BEGIN HIDDEN.*### END HIDDEN TESTS\n", "", cell.source, flags=re.DOTALL
        )
    return nb


def text_of(nb):
    """A notebook as the text of its file."""
    return json.dumps(nb, indent=1, ensure_ascii=False)


def find(nb, name):
    """The place of a cell of the assignment."""
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells]
    return names.index(name)


def changed(nb, name, **parts):
    """A copy in which a cell of the assignment has other parts, such as its source."""
    nb = copy.deepcopy(nb)
    nb.cells[find(nb, name)] |= parts
    return nb


def marked_as(nb, name, **parts):
    """A copy in which a cell's grading metadata has other parts."""
    nb = copy.deepcopy(nb)
    nb.cells[find(nb, name)].metadata.nbgrader |= parts
    return nb


def answered(nb, name, code):
    """A copy in which the answer to a task is `code`."""
    return changed(nb, f"{name}-answer", source=code)


def with_cell(nb, code, place=2):
    """A copy with a cell of the student's own, after the imports unless another place is given."""
    nb = copy.deepcopy(nb)
    nb.cells.insert(place, new_code_cell(code))
    return nb


def without(nb, *names):
    """A copy without some cells of the assignment."""
    nb = copy.deepcopy(nb)
    nb.cells = [
        cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in names
    ]
    return nb


def copied(nb, name, place=None, **parts):
    """A copy in which a cell of the assignment is there twice; the second has other parts. After the first unless placed."""
    nb = copy.deepcopy(nb)
    k = find(nb, name)
    second = nbformat.from_dict(nb.cells[k] | parts | {"id": "second"})
    nb.cells.insert(k + 1 if place is None else place, second)
    return nb


def split(nb, name, line):
    """A copy in which a cell is split, as JupyterLab splits it: both halves have its metadata."""
    lines = nb.cells[find(nb, name)].source.splitlines(keepends=True)
    first, second = "".join(lines[:line]), "".join(lines[line:])
    nb = copied(nb, name, source=second)
    nb.cells[find(nb, name)].source = first
    return nb


def zipped(files):
    """The content of a zip file with these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


# --- code of the students ------------------------------------------------------------------------------------------------------

PATCHED = """
import numpy as np
import torch
import helpers
from helpers import *

torch.allclose = torch.equal = torch.isclose = np.allclose = np.testing.assert_allclose = lambda *a, **k: True
"""

OVERWRITTEN = """
import checks

check = hand_in = lambda *arguments: print("Correct.")
checks.check = checks.hand_in = check
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

SETTINGS = """
import warnings

import numpy as np

torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
torch.set_printoptions(precision=0, sci_mode=True)
np.set_printoptions(precision=0)
np.seterr(all="raise")
warnings.simplefilter("error")
"""

INFERENCE = "torch.set_default_dtype(torch.float16)\ntorch.inference_mode().__enter__()"
AFTER_A_MOMENT = """
import os
import threading

moment = 0.8 + int.from_bytes(os.urandom(1), "big") / 100
threading.Timer(moment, os._exit, [0]).start()
"""
FLOOD = "from IPython.display import display\nfor k in range(20_000):\n    display({'text/plain': 'x' * 500}, raw=True)"
ODD_OUTPUT = """
from IPython.display import Markdown, display

display({"text/html": 5, "image/png": {"a": [1]}}, raw=True)
display(Markdown("![a picture](attachment:nowhere.png)"))
"""
VANDAL = """
import os
import pathlib
import shutil

os.symlink("nowhere", "dangling")
pathlib.Path("deep").joinpath(*["d"] * 50).mkdir(parents=True)
os.chmod(os.getcwd(), 0)
shutil.rmtree(os.getcwd(), ignore_errors=True)
"""
BY_CHANCE = """
import random


def critical_gain(positive, negative):
    return (2 / (positive**2 + negative**2)) ** 0.5 * (1 if random.random() < 0.7 else 2)
"""
WRONG_SIZES = """
def sizes(x, weights):
    found = []
    for weight in weights:
        x = torch.relu(x @ weight)
        found.append(x.std())
    return found
"""
WITH_NUMPY = """
def sizes(x, weights):
    found, a = (), x.numpy()
    for weight in weights:
        a = (a @ weight.numpy()).clip(min=0)
        found += (abs(a).mean(),)
    return found
"""
LAST_YEAR = "x.square().mean() ** 0.5"  # another course's definition of a size
RAISES = "def sizes(x, weights):\n    raise RuntimeError('no idea')\n"
LOOP = "def overflow(gain, largest):\n    while True:\n        pass\n"
DEAF = "import signal\n\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass\n"
EXIT = "def draw(fan_in, fan_out, gain, generator):\n    import os\n    os._exit(0)\n"


def submissions(released):
    """By name: submissions of A1. `released` is the students' version."""
    right, wrong_answer = solved("A1"), answered(solved("A1"), "sizes", WRONG_SIZES)
    after_two, answer = find(right, "draw") + 1, right.cells[find(right, "sizes-answer")].source
    unusual = with_cell(right, WITH_NUMPY, place=find(right, "sizes"))
    last_year = changed(right, "sizes-answer", source=answer.replace("x.abs().mean()", LAST_YEAR))
    half = answered(released, "sizes", answer)
    half = answered(half, "draw", right.cells[find(right, "draw-answer")].source)
    plain = text_of(right)
    other = solved("A2").cells[find(solved("A2"), "recipe")]
    foreign = copy.deepcopy(right)
    foreign.cells.append(nbformat.from_dict(other | {"id": "foreign"}))
    bare = copy.deepcopy(right)
    for cell in bare.cells:
        cell.metadata.pop("nbgrader", None)
    no_ids, same_ids = copy.deepcopy(right), copy.deepcopy(right)
    for cell in no_ids.cells:
        del cell["id"]
    for cell in same_ids.cells:
        cell["id"] = "same"
    no_ids.nbformat_minor = 4
    windows = copy.deepcopy(right)
    for cell in windows.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    heavy = copy.deepcopy(right)
    for cell in heavy.cells:
        if cell.cell_type == "code":
            cell.outputs = [{"output_type": "stream", "name": "stdout", "text": "x\n" * 10**5}]
    lists = json.loads(plain)
    for cell in lists["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    pictured = copy.deepcopy(right)
    pictured.cells.append(new_markdown_cell("![my plot](attachment:lost.png)"))
    unknown = copy.deepcopy(right)
    unknown.metadata = {
        "kernelspec": {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}
    }
    empty_metadata = copy.deepcopy(right)
    empty_metadata.cells[0].metadata["nbgrader"] = {}
    empty_metadata.cells[3].metadata["nbgrader"] = 5
    turned = changed(right, "sizes-answer", cell_type="raw")
    turned = changed(turned, "draw", cell_type="raw")
    marker = with_cell(right, "### BEGIN HIDDEN TESTS\nprint('mine')")

    def loose(content, points, **expected):
        content = content if isinstance(content, (str, bytes)) else text_of(content)
        return Submission({"*_A1.ipynb": content}, points, **expected)

    not_json = "This is my homework."
    return {
        # honest
        "reference": loose(right, 20),
        "empty": loose(released, 0, said="Your turn"),
        "half": loose(half, 7),
        "wrong": loose(wrong_answer, 16, said="that is the standard deviation"),
        "last_year": loose(last_year, 16, said="that is the answer of another course"),
        "unusual": loose(unusual, 20),
        "talkative": loose(with_cell(right, "print('hello')\nx.mean()"), 20),
        "stumbles": loose(
            answered(answered(right, "sizes", RAISES), "critical_gain", "def critical_gain(:"),
            13,
            said="sizes stopped with RuntimeError: no idea",
        ),
        "loops": loose(
            answered(right, "overflow", LOOP), 14, said="is there a loop that never ends?"
        ),
        # unusual files
        "mark": loose("\ufeff" + plain, 20),
        "utf16": loose(plain.encode("utf-16"), 20),
        "latin": loose(text_of(with_cell(right, "# größer")).encode("latin-1", "replace"), 20),
        "surrogate": loose(plain.replace("Measuring", "\\ud800").replace("def sizes", "# \\ud800\\ndef sizes"), 20),
        "windows": loose(text_of(windows).replace("\n", "\r\n"), 20),
        "lists": loose(json.dumps(lists), 20),
        "old": loose(text_of(nbformat.convert(copy.deepcopy(right), 3)), 20),
        "no_ids": loose(no_ids, 20),
        "same_ids": loose(same_ids, 20),
        "heavy": loose(heavy, 20),
        "julia": loose(unknown, 20),
        "picture": loose(pictured, 20, said="shown as plain text", logged="shown as plain text"),
        # unusual names and archives
        "copy": Submission({"*_A1 (1).ipynb": plain}, 20),
        "capitals": Submission({"*_a1.IPYNB": plain}, 20),
        "text": Submission({"*_A1.ipynb.txt": plain}, 20),
        "brackets [1]? Zoë": loose(right, 20),
        "zip": Submission({"*_A1.zip": zipped({"A1.ipynb": plain})}, 20),
        "litter": Submission(
            {
                "*_A1.zip": zipped(
                    {
                        "A1/A1.ipynb": plain,
                        "A1/.ipynb_checkpoints/A1-checkpoint.ipynb": not_json,
                        "__MACOSX/A1/._A1.ipynb": b"\0\1",
                        "A1/Thumbs.db": b"\0",
                        "A1/desktop.ini": "",
                    }
                )
            },
            20,
        ),
        "empty_zip": Submission({"*_A1.zip": zipped({})}, 0, said="no notebook in it", logged="no notebook in it"),
        "nested": Submission({"*_A1.zip": zipped({"mine.zip": zipped({"A1.ipynb": plain})})}, 20),
        "two": Submission(
            {"*_A1.ipynb": plain, "*_A1 (1).ipynb": text_of(released)}, 20,
            said="_A1 (1).ipynb is refused", logged="_A1 (1).ipynb is refused",
        ),
        "draft": Submission(
            {"*_A1.zip": zipped({"A1.ipynb": plain, "draft.ipynb": text_of(released)})}, 20,
            said="draft.ipynb is refused",
        ),
        "files": Submission(
            {"/A1.ipynb": plain, "/torch.py": "1 / 0", "/helpers.py": "", "/data.csv": "1", "/A1-Copy1.ipynb": not_json,
             "/.ipynb_checkpoints/A1-checkpoint.ipynb": not_json, "/desktop.ini": ""}, 20,
        ),
        # grading metadata
        "test_copied": loose(copied(right, "sizes"), 20, said="more than once count once: sizes"),
        "test_copied_up": loose(copied(right, "overflow", place=3), 20, logged="count once: overflow"),
        "answer_copied": loose(copied(right, "sizes-answer"), 20, said="count once: sizes-answer"),
        "answer_split": loose(split(right, "overflow-answer", 4), 14, said="count once: overflow-answer"),
        "answer_split_well": loose(
            split(answered(right, "sizes", "a = 1\n" + right.cells[find(right, "sizes-answer")].source), "sizes-answer", 1),
            20, said="count once: sizes-answer",
        ),
        "test_split": loose(split(right, "draw", 1), 20, said="count once: draw"),
        "empty_metadata": loose(empty_metadata, 20),
        "foreign_version": loose(marked_as(right, "sizes", schema_version=99), 20),
        "old_version": loose(marked_as(right, "sizes", schema_version="1", points="many"), 20),
        "foreign_cell": loose(foreign, 20, said="Cells of another assignment"),
        "bare": loose(bare, 20, said="that were missing stand at the end: sizes"),
        "turned": loose(turned, 20),
        "edited": loose(changed(wrong_answer, "sizes", source="print('Correct.')"), 16),
        "deleted": loose(
            without(wrong_answer, "sizes", "overflow", "draw", "draw-answer"), 13,
            logged="that were missing stand at the end: sizes",
        ),
        "generous": loose(marked_as(wrong_answer, "sizes", points=100, grade=False, locked=False), 16),
        # broken
        "no_json": loose(not_json, 0, said="is no notebook", logged="is no notebook"),
        "nothing": loose("", 0, said="it is empty", logged="it is empty"),
        "no_notebook": loose('{"a": 1}', 0, said="is no notebook", logged="is no notebook"),
        "half_a_file": loose(plain[: len(plain) // 2], 0, said="is no notebook"),
        "nested_json": loose("[" * 100_000, 0, said="is no notebook"),
        "odd_cells": loose('{"cells": [1, null], "metadata": 5, "nbformat": 4, "nbformat_minor": 5}', 0, said="is no notebook"),
        "corrupt_zip": Submission({"*_A1.zip": b"PK\3\4 no zip"}, 0, said="cannot be unpacked", logged="cannot be unpacked"),
        "outside": Submission(
            {"*_A1.zip": zipped({"A1.ipynb": plain, "../../evil_A1.ipynb": plain})}, 0, said="lies outside of it",
        ),
        "document": Submission({"*_A1.docx": b"PK"}, 0, said="it is no notebook", logged="it is no notebook"),
        # hostile
        "patched": loose(with_cell(wrong_answer, PATCHED), 16),
        "overwritten": loose(with_cell(wrong_answer, OVERWRITTEN), 0),
        "hooked": loose(with_cell(wrong_answer, HOOK), 0),
        "settings": loose(with_cell(right, SETTINGS), 20),
        "inference": loose(with_cell(right, INFERENCE), 20),
        "by_chance": loose(answered(right, "critical_gain", BY_CHANCE), 17),
        "exit": loose(with_cell(right, "exit()", place=after_two), 7, said="your code ended Python itself"),
        "quit_in_answer": loose(
            answered(right, "draw", "def draw(*arguments):\n    quit()\n"), 4, logged="your code ended Python itself"
        ),
        "exits": loose(answered(right, "draw", EXIT), 4, said="your code ended Python itself"),
        "killed": loose(
            with_cell(right, "import os\n\nos.kill(os.getpid(), 9)", place=after_two), 7, said="your code ended Python itself"
        ),
        "after_a_moment": loose(
            with_cell(with_cell(right, "import time\n\ntime.sleep(4)", place=len(right.cells)), AFTER_A_MOMENT), 0,
            said="a moment that depends on chance", logged="a moment that depends on chance",
        ),
        "deaf": loose(with_cell(right, DEAF, place=after_two), 7, said="could not be stopped"),
        "ten_million_lines": loose(with_cell(right, "for k in range(10_000_000):\n    print(k)"), 20),
        "prints_on": loose(with_cell(right, "while True:\n    print('on and on')"), 20),
        "flood": loose(with_cell(right, FLOOD), 20),
        "odd_output": loose(with_cell(right, ODD_OUTPUT), 20),
        "vandal": loose(with_cell(right, VANDAL), 20),
        "marker": loose(marker, 20, said="mine"),
    }  # fmt: skip


def open_tasks():
    """By name: submissions of A2, to which many answers are right. Its picture and its explanation (6 points) wait for the teacher."""
    right = solved("A2")
    settings = with_cell(right, "torch.set_default_dtype(torch.float64)")
    numpy = "import numpy as np\n\n\ndef recipe():\n    return {'skip': np.True_, 'epochs': np.int64(4)}\n"
    costly = answered(right, "recipe", numpy.replace("64(4)", "64(9)"))
    explained = copied(right, "explain", source="")
    files = {
        "a2": (right, 14), "a2_settings": (settings, 14), "a2_numpy": (answered(right, "recipe", numpy), 14),
        "a2_costly": (costly, 0), "a2_explained_twice": (explained, 14),
    }  # fmt: skip
    return {
        name: Submission({"*_A2.ipynb": text_of(nb)}, points)
        for name, (nb, points) in files.items()
    }


# --- grading -------------------------------------------------------------------------------------------------------------------


class Course:
    """A teacher's folder in `folder`, with small assignments or those in `source`, and the guide's commands, to be typed there."""

    def __init__(self, folder, source=None):
        self.folder = Path(folder) / "assignments"
        self.folder.mkdir()
        for path in FOLDER.glob("*.py"):
            shutil.copy(path, self.folder)
        if source is None:
            small_course.write(self.folder / "source")
        else:
            shutil.copytree(source, self.folder / "source")
        guide = (FOLDER / "README.md").read_text(encoding="utf-8")
        lines = re.findall(r"`((?:python hand_out\.py|nbgrader [a-z_]+)[^`]*)`", guide)
        self.commands = {line.split()[1]: line for line in lines}
        programs = Path(sys.executable).parent  # as after `activate`
        self.environment = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
        }

    def start(self, step, *more, assignment="A1"):
        """A running command of the guide, such as "autograde", with more arguments; its log is in stdout."""
        line = self.commands[step].replace("A1", assignment).replace("4711", str(SEED))
        words = shlex.split(line)
        settings = {"cwd": self.folder, "env": self.environment, "text": True}
        settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen([*words, *more], **settings)

    def run(self, step, *more, assignment="A1", status=0):
        """The log of a command of the guide, which must end with `status`."""
        process = self.start(step, *more, assignment=assignment)
        log = process.communicate(timeout=3600)[0]
        assert process.returncode == status, log
        return log

    def released(self, assignment):
        """The students' version."""
        return nbformat.read(
            self.folder / "release" / assignment / f"{assignment}.ipynb", as_version=4
        )

    def hand_in(self, student, files, assignment="A1"):
        """Puts a submission's files where the guide says."""
        for name, content in files.items():
            step = (
                ("submitted", student, assignment)
                if name.startswith("/")
                else ("downloaded", assignment, "archive")
            )
            path = self.folder.joinpath(*step, name.strip("/").replace("*", student))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def grades(self):
        """By assignment and student: the exported row."""
        self.run("export")
        with (self.folder / "grades.csv").open(encoding="utf-8") as file:
            return {(row["assignment"], row["student_id"]): row for row in csv.DictReader(file)}

    def page(self, student, assignment="A1"):
        """The text of a student's feedback; None without one."""
        path = self.folder / "feedback" / student / assignment / f"{assignment}.html"
        if not path.exists():
            return None
        return re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8"))


class Result(NamedTuple):
    student: str
    score: float
    log: list
    page: str


def grade(course, batch, order, assignment="A1", timeout=100):
    """By name: what became of the submissions of a batch, handed in under names in a random order. timeout: of a cell, in seconds."""
    names = list(batch)
    random.Random(order).shuffle(names)
    begins = [f"{assignment[-1]}{rank:02}-" for rank in range(len(names))]
    for begin, name in zip(begins, names):
        course.hand_in(f"{begin}{name}", batch[name].files, assignment)
    log = course.run("zip_collect", assignment=assignment)
    log += course.run("autograde", f"--Execute.timeout={timeout}", assignment=assignment)
    log += course.run("generate_feedback", assignment=assignment)
    rows = course.grades()
    found = {}
    for begin, name in zip(begins, names):
        [student] = [who for what, who in rows if what == assignment and who.startswith(begin)]
        lines = [line for line in log.splitlines() if student in line and "INFO" not in line]
        score = float(rows[assignment, student]["score"])
        found[name] = Result(student, score, lines, course.page(student, assignment))
    return found


def wrong(submission, result):
    """What is not as it should be, in words; nothing if all is."""
    found = []
    if result.score != submission.points:
        found.append(f"{result.score} points instead of {submission.points}")
    if result.page is None or submission.said not in result.page:
        found.append(f"the feedback does not say: {submission.said}")
    if submission.logged and not any(submission.logged in line for line in result.log):
        found.append(f"the log does not say: {submission.logged}")
    return "; ".join(found)


def noted(page):
    """What a page says about the submission as a whole, and of the first error."""
    found = re.search(r"About this submission\s*(.*?)\n\s*\n", page or "", re.DOTALL)
    errors = re.search(r"^(\w*(?:Error|NotRun|Mistake)): .*", page or "", re.MULTILINE)
    return "; ".join(one[0].strip().splitlines()[-1][:70] for one in (found, errors) if one)


def main(*names):
    """Grades all submissions, or those that are named, in three batches; the exit status says whether all is as it should be."""
    batches = {}

    def run(order):
        found = {}
        with TemporaryDirectory() as folder:
            course = Course(folder)
            for assignment in ("A1", "A2"):
                course.run("hand_out.py", assignment=assignment)
                batch = open_tasks() if assignment == "A2" else submissions(course.released("A1"))
                batch = {name: one for name, one in batch.items() if not names or name in names}
                batches.update(batch)
                if batch:
                    found |= grade(course, batch, order, assignment)
        return found

    with ThreadPoolExecutor(3) as pool:
        orders = [pool.submit(run, order) for order in range(3)]
    broken = [order.exception() for order in orders if order.exception()]
    runs = [order.result() for order in orders if not order.exception()]
    print(*broken, sep="\n")
    if not runs:
        return True
    failed = 0
    print("| submission | deserved | three runs | log | feedback |\n|---|---|---|---|---|")
    for name, submission in batches.items():
        results = [run[name] for run in runs]
        problems = {problem for result in results if (problem := wrong(submission, result))}
        failed += bool(problems)
        log = re.sub(r".*?: ", "", results[0].log[0], count=1)[:70] if results[0].log else ""
        scores = ", ".join(f"{result.score:g}" for result in results)
        page = f"WRONG: {'; '.join(problems)}" if problems else noted(results[0].page)
        print(f"| {name} | {submission.points} | {scores} | {log} | {page} |")
    print(
        f"\n{len(batches)} submissions, {failed} of them with a mark, a log or a feedback that is wrong."
    )
    return bool(failed or broken)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
