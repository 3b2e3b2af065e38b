"""How submissions are read, run and marked, where nbgrader does not do that by itself; nbgrader_config.py puts it to work.

A submission runs in a kernel, a process of its own. There the hidden line of each test cell hands in what the student's function
gives on hidden instances, as plain numbers. `Mark` judges them here, in nbgrader's process, to which that code has no access.
So it does not matter what a submission does to torch, to NumPy, to the checks or to IPython: without the right numbers, no points.

No submission stops the others. What cannot be read or run, and what is not as it was released, becomes a line in the log that
names the student, and the same line in that student's feedback.
"""

import copy
import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from time import monotonic
from unittest.mock import patch

import nbformat
import torch
from hand_out import TEACHER, course_seed, exercises, hidden
from nbclient.client import CellExecutionComplete
from nbclient.exceptions import DeadKernelError
from nbconvert.exporters import HTMLExporter, NotebookExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution, rmtree

from helpers.exercises.asking import (
    UNREADABLE,
    Mistake,
    fixed_settings,
    new_generator,
    received,
    unanswered,
)
from helpers.exercises.judge import judge
from helpers.exercises.recorded import HANDED_IN, HIDDEN

torch.set_num_threads(1)  # A5 is trained here, and one thread is quicker for matrices this small
LARGEST_FILE, LARGEST_OUTPUT, LONGEST_ANSWER = 100e6, 2e6, 1e6  # bytes, characters, characters
CELLS = 10  # that may take all the time that a cell has, in one submission
TRIES = 3  # to start a kernel, whose port another process may have taken meanwhile
NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}
MISSING = "# This cell was missing. Its answer may stand in another one."
LEFT_OUT = "\nThe rest is left out: a cell's output may have two million characters.\n"
ENDED = "here or in an earlier cell your code ended Python itself, or could not be stopped"
ENDED_BY_CHANCE = "your code ends Python itself, at a moment that depends on chance: nothing counts"


# --- reading -------------------------------------------------------------------------------------------------------------------


class Reader(NotebookExporter):
    """Reads a submission, whatever its file holds. Where no notebook can be read, a notebook says so in its place."""

    def __init__(self, *arguments, parent=None, **settings):
        """Made once for each `nbgrader autograde`, before the first submission: also finds what is to be graded again."""
        super().__init__(*arguments, parent=parent, **settings)
        if parent is not None:
            remove_outdated(parent.coursedir, self.log)

    def from_filename(self, filename, resources=None, **settings):
        path = Path(filename)
        notebook, notes = read(path)
        add_notes(notebook, resources["nbgrader"]["student"], self.log, notes)
        if getattr(self.parent, "_sanitizing", True):  # else it is what has been restored
            self.handed_in = digest(path)
        notebook.metadata.handed_in = self.handed_in
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        return self.from_notebook_node(notebook, resources, **settings)


def read(path):
    """The notebook in a file, in today's format, of cells with a source and nbgrader's metadata and nothing else; and a list.

    Where there is none, the notebook is empty and the list says why.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("it is larger than 100 MB; clear its outputs")
        data = path.read_bytes()
        text = data.decode(json.detect_encoding(data), errors="replace")
        if not text.strip():
            raise ValueError("it is empty")
        text = json.dumps(json.loads(text), ensure_ascii=False)
        text = text.encode("utf-8", errors="replace").decode()  # no half of a character
        cells = nbformat.reads(text, as_version=4).cells
        return new_notebook(cells=[clean(k, cell) for k, cell in enumerate(cells)]), []
    except Exception as problem:  # noqa: BLE001, whatever a file may hold
        why = str(problem).splitlines()[0][:100] if str(problem) else type(problem).__name__
        return new_notebook(), [f"{path.name} is no notebook: {why}"]


def clean(k, cell):
    """A new cell, number `k`, with what is needed of an old one: its source, its pictures and nbgrader's metadata."""
    source = cell.source.replace("\r\n", "\n").replace("\r", "\n")
    new = NEW_CELL[cell.cell_type](source, id=f"cell-{k}")
    if "attachments" in cell and cell.cell_type == "markdown":
        with suppress(Exception):  # pictures that are none
            new = new_markdown_cell(source, id=new.id, attachments=cell.attachments)
    if "nbgrader" in cell.get("metadata", {}):
        new.metadata.nbgrader = cell.metadata.nbgrader
    return new


def add_notes(notebook, student, log, notes):
    """Tells the teacher, in the log, and the student, in a cell at the top of the notebook."""
    if not notes:
        return
    for note in notes:
        log.warning("%s: %s", student, note)
    text = "\n".join(["**About this submission**", "", *(f"- {note}" for note in notes)])
    names = {cell.id for cell in notebook.cells}
    free = next(name for k in range(len(names) + 1) if (name := f"notes-{k}") not in names)
    notebook.cells.insert(0, new_markdown_cell(text, id=free))


def remove_outdated(coursedir, log):
    """Removes what a grader left that was killed in the middle, and what was marked before its student handed in anew.

    It is graded now, and not skipped as existing.
    """
    folders = coursedir.format_path(
        coursedir.autograded_directory, coursedir.student_id, coursedir.assignment_id
    )
    for folder in map(Path, glob(folders)):
        *_, student, assignment = folder.parts
        if student in coursedir.student_id_exclude.split(","):
            continue
        handed_in = coursedir.format_path(coursedir.submitted_directory, student, assignment)
        found = [(metadata_of(path), Path(handed_in, path.name)) for path in folder.glob("*.ipynb")]
        if not found or not all("marked" in about for about, _ in found):
            why = "is not finished"
        elif any(is_new(path, about) for about, path in found):
            why = "was handed in anew"
        else:
            continue
        log.warning("%s %s: it is graded again", folder, why)
        rmtree(folder)  # nbgrader's, since Windows removes no file that is read-only


def is_new(path, about):
    """Whether a submission is another one than that which was marked, whose notebook has the metadata `about`."""
    now = digest(path)
    return now is not None and about.get("handed_in", now) != now


def metadata_of(path):
    """The metadata of a notebook's file; none, where it is not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]
    except (OSError, ValueError, KeyError):
        return {}


def digest(path):
    """What tells a file from others; None where none can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


class Restore(NbGraderPreprocessor):
    """Gives each cell of the assignment its grading metadata, once, and each test cell its text; adds test cells that are missing.

    No other cell has such metadata afterwards, whatever a submission holds: two copies, both halves of a cell that was split,
    a cell of another assignment, a foreign version.
    """

    def preprocess(self, nb, resources):
        names = resources["nbgrader"]["notebook"], resources["nbgrader"]["assignment"]
        with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
            source = gradebook.find_notebook(*names)
            points = {cell.name: cell.max_score for cell in source.grade_cells}
            written = {cell.name for cell in source.solution_cells}
            released = {
                cell.name: released_cell(cell, points, written) for cell in source.source_cells
            }
        places, foreign = {name: [] for name in released}, 0
        is_notebook = any(cell.cell_type == "code" for cell in nb.cells)  # else none could be read
        for k, cell in enumerate(nb.cells):
            metadata = cell.metadata.pop("nbgrader", {})
            name = metadata.get("grade_id") if isinstance(metadata, dict) else None
            if isinstance(name, str) and name in released:
                places[name].append(k)
            else:
                foreign += name is not None
        for name, cell in released.items():
            if places[name]:
                own = [k for k in places[name] if nb.cells[k].source != cell.source]
                k = own[-1] if own and name in written else places[name][-1]
                if name in written:
                    cell.source = nb.cells[k].source
                    if cell.cell_type == "markdown" and "attachments" in nb.cells[k]:
                        cell.attachments = nb.cells[k].attachments
                nb.cells[k] = cell
            elif name in points:
                if name in written and is_notebook:
                    # An answer that stands elsewhere is not overwritten, and waits for the teacher.
                    cell.source = MISSING if cell.cell_type == "code" else MISSING.lstrip("# ")
                nb.cells.append(cell)
        missing = [name for name in released if name in points and not places[name]]
        twice = [name for name, found in places.items() if len(found) > 1]
        notes = []
        if foreign:
            notes.append(f"Cells of another assignment count as your own: {foreign}.")
        if twice:
            notes.append(f"Cells that are there more than once count once: {', '.join(twice)}.")
        if missing:
            notes.append(f"Cells that were missing stand at the end: {', '.join(missing)}.")
        add_notes(nb, resources["nbgrader"]["student"], self.log, notes)
        return nb, resources


def released_cell(cell, points, written):
    """A new cell from one of the gradebook's, as it was released."""
    new = NEW_CELL[cell.cell_type](cell.source, id=f"released-{cell.name}")
    new.metadata.nbgrader = {
        "schema_version": 3,
        "grade_id": cell.name,
        "grade": cell.name in points,
        "solution": cell.name in written,
        "locked": cell.locked,
        "task": False,
        "cell_type": cell.cell_type,
        "checksum": cell.checksum,
    }
    if cell.name in points:
        new.metadata.nbgrader["points"] = points[cell.name]
    return new


# --- running -------------------------------------------------------------------------------------------------------------------


class TooLong(Exception):
    """All cells together took too long. Says so in words."""


@contextmanager
def environment(folder):
    """What a kernel finds when it starts: no startup file of the teacher's, and a pip that installs nothing."""
    ipython = str(Path(folder, ".ipython"))
    with patch.dict(os.environ, IPYTHONDIR=ipython, PIP_DRY_RUN="1", PIP_NO_INDEX="1"):
        for name in ("PYTHONSTARTUP", "PYTHONSAFEPATH"):
            os.environ.pop(name, None)
        yield


class Run(Execute):
    """Runs a submission in a folder of its own, which holds what was released beside the notebook, and the hidden instances.

    The cell in which Python ends, or cannot be stopped, and all cells after it count as not run. If the cells before it end
    Python too, when they are run again and waited for, then something in them does at a moment of its own, and nothing counts:
    a mark must not depend on chance.
    """

    def preprocess(self, nb, resources, km=None):
        end, died = self.run(nb, resources)
        why = self.why
        if died:
            wait = new_code_cell("import time\n\ntime.sleep(5)")
            if self.run(new_notebook(cells=[*copy.deepcopy(nb.cells[:end]), wait]), resources)[1]:
                end, why = 0, ENDED_BY_CHANCE
        for k, cell in enumerate(nb.cells):
            if cell.cell_type == "code":
                cell.execution_count = None  # a submission may set an impossible one
                cell.outputs = cell.outputs if k < end else [error("NotRun", why)]
        if end < len(nb.cells):
            add_notes(nb, resources["nbgrader"]["student"], self.log, [f"Not all was run: {why}."])
        return nb, resources

    def run(self, nb, resources):
        """Runs the cells; how many were run to their end, and whether the kernel died."""
        self.completed, self.begin, self.why, died = 0, None, ENDED, False
        assignment = resources["nbgrader"]["assignment"]
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for path in (TEACHER / "source" / assignment).iterdir():
                if path.suffix in (".py", ".json"):  # no solutions
                    shutil.copy(path, folder)
            Path(folder, HIDDEN).write_text(hidden(assignment, course_seed()), encoding="utf-8")
            for tries_left in reversed(range(TRIES)):
                try:
                    with environment(folder):
                        super().preprocess(nb, {"metadata": {"path": folder}})
                except TooLong as problem:
                    self.why = str(problem)
                except Exception as problem:  # what ends, cannot be stopped, or speaks as no kernel
                    if self.begin is None and tries_left:
                        continue
                    if self.begin is None:
                        raise  # no kernel could be started, which is no student's fault
                    died = isinstance(problem, DeadKernelError)
                    self.log.warning("%s: %r", resources["nbgrader"]["student"], problem)
                break
        return self.completed, died

    def preprocess_cell(self, cell, resources, index):
        self.begin = self.begin or monotonic()
        if (
            cell.cell_type == "code"
            and (self.timeout or 0) > 0
            and monotonic() - self.begin > CELLS * self.timeout
        ):
            minutes = CELLS * self.timeout / 60
            raise TooLong(f"all cells together took more than {minutes:g} minutes")
        self.characters = 0
        cell, resources = super().preprocess_cell(cell, resources, index)
        self.completed = index + 1
        return cell, resources

    def on_cell_executed(self, **of_cell):
        super().on_cell_executed(**of_cell)
        payload = of_cell["execute_reply"]["content"].get("payload", [])
        if any(part.get("source") == "ask_exit" for part in payload):
            raise DeadKernelError("exit() was called: the kernel ends within a moment")

    def process_message(self, msg, cell, cell_index):
        """Takes what the kernel sends: of a cell that prints without end only what comes first, and nothing that is malformed."""
        data = msg["content"].get("data")
        if isinstance(data, dict) and HANDED_IN in data:
            cell.outputs = [one for one in cell.outputs if HANDED_IN not in one.get("data", {})]
        else:
            self.characters += len(str(msg["content"]))
            if self.characters > LARGEST_OUTPUT and msg["msg_type"] in ("stream", "display_data"):
                if [one.get("text") for one in cell.outputs[-1:]] != [LEFT_OUT]:
                    cell.outputs.append(new_output("stream", text=LEFT_OUT))
                return None
        try:
            return super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            raise
        except Exception as problem:  # noqa: BLE001, whatever a submission sends
            self.log.debug("an output was left out: %r", problem)
            return None


# --- marking -------------------------------------------------------------------------------------------------------------------


def is_test(cell):
    """Whether a cell is a test cell, and not one that a student writes and the teacher marks, such as a picture's."""
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


class Mark(NbGraderPreprocessor):
    """Judges what each test cell has handed in. What is not right becomes an error that names the mistake, and so no points."""

    def preprocess(self, nb, resources):
        nb.metadata["marked"] = True
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell, resources, index):
        if is_test(cell):
            cell.outputs = marked(
                cell.outputs, resources["nbgrader"]["assignment"], cell.metadata.nbgrader.grade_id
            )
        return cell, resources


def marked(outputs, assignment, name):
    """The outputs of the test cell `name` as the student gets them: what was printed, and what was wrong."""
    printed, errors, handed_in = [], [], None
    for output in outputs:
        if output.output_type == "error":  # without the traceback, which shows hidden lines
            errors.append(error(output.ename, output.evalue))
        elif output.output_type == "stream":  # a warning is no mistake
            printed.append(new_output("stream", name="stdout", text=output.text))
        elif HANDED_IN in output.get("data", {}):
            handed_in = output.data[HANDED_IN]
    try:
        verdict(assignment, name, handed_in)
    except Mistake as mistake:
        late = [one for one in errors if one.ename == "CellTimeoutError"]  # says most
        return [*printed, [*late, *errors, error("Mistake", str(mistake))][0]]
    return printed


def verdict(assignment, name, handed_in, seed=None):
    """Raises Mistake unless `handed_in`, a text from `helpers.exercises.recorded.hand_in`, is right on the instances of `seed`."""
    seed = course_seed() if seed is None else seed
    exercise = exercises(assignment, seed)[name]
    if not isinstance(handed_in, str) or len(handed_in) > LONGEST_ANSWER:
        raise Mistake(UNREADABLE)
    with fixed_settings():
        given = received(handed_in)
    if unanswered(given):
        raise Mistake("not answered")
    try:
        with fixed_settings():
            judge(exercise, name, exercise.instances(new_generator(seed)), given)
    except Mistake as mistake:
        raise Mistake(f"on other instances than the visible ones: {mistake}") from None
    except Exception as problem:  # whatever a forged text may hold
        raise Mistake(UNREADABLE) from problem


def error(name, text):
    """An output that a notebook shows as an error of one line."""
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


# --- showing -------------------------------------------------------------------------------------------------------------------


class Drawable(NbGraderPreprocessor):
    """Makes plain text of each cell that no page can draw, so that the Formgrader and the feedback show it and the others."""

    def preprocess(self, nb, resources):
        page = HTMLExporter(template_name="classic")  # on which both are built
        if not is_drawable(nb.cells, page):
            for cell in [one for one in nb.cells if not is_drawable([one], page)] or nb.cells:
                make_plain(cell)
            note = "What could not be drawn, a text or a picture, is shown as plain text."
            add_notes(nb, resources["nbgrader"]["student"], self.log, [note])
        return nb, resources


def is_drawable(cells, page):
    try:
        page.from_notebook_node(new_notebook(cells=copy.deepcopy(cells)))
    except Exception:  # noqa: BLE001, whatever a student's text or picture leads to
        return False
    return True


def make_plain(cell):
    """Leaves of a cell what any page can draw."""
    if cell.cell_type == "code":
        cell.outputs = [one for one in cell.outputs if one.output_type in ("stream", "error")]
    else:
        cell.source = indent(cell.source, "    ")


# --- feedback ------------------------------------------------------------------------------------------------------------------


class HideTests(NbGraderPreprocessor):
    """Cuts the hidden lines from the test cells, and from no cell of a student's."""

    def preprocess_cell(self, cell, resources, index):
        if is_test(cell):
            cell.source = re.sub(
                r"### BEGIN HIDDEN.*### END HIDDEN TESTS\n?", "", cell.source, flags=re.DOTALL
            )
        return cell, resources
