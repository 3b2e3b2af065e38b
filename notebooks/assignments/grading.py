"""What nbgrader does here that it does not do by itself; nbgrader_config.py puts it to work.

A submission runs in a kernel, a process of its own. There the hidden line of each test cell hands in what the student's function
gives on fresh instances, as plain numbers; `Mark` judges them here, in nbgrader's process, to which that code has no access.
So it does not matter what a submission does to torch, to NumPy, to the checks or to IPython: without the right numbers, no points.
"""

import importlib.util
import json
import os
from functools import cache
from pathlib import Path

import torch
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor, OverwriteCells
from nbgrader.utils import is_grade

from helpers.checks import HANDED_IN, Mistake, judge, unanswered

torch.set_num_threads(1)  # A5 is trained here, and one thread is quicker for matrices this small
SOURCE = Path(__file__).parent / "source"
LONGEST = 1_000_000  # characters of an answer


def unplain(part):
    """A part of an answer from what `plain` of helpers.checks made of it. Raises Mistake if that cannot have made it."""
    if part == "...":
        return ...
    if isinstance(part, dict):
        return {key: ... if one == "..." else one for key, one in part.items()}
    if isinstance(part, str):
        return part
    try:
        shape, numbers = part
        return (
            torch.tensor(numbers, dtype=torch.double).reshape(shape) if shape else float(*numbers)
        )
    except (TypeError, ValueError, RuntimeError):
        raise Mistake("what was handed in is neither a number nor a tensor") from None


class Restore(OverwriteCells):
    """Puts test cells back as they were released, also those that were deleted: at the end of the notebook."""

    def preprocess(self, nb, resources):
        nb, resources = super().preprocess(nb, resources)
        kept = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells}
        names = resources["nbgrader"]["notebook"], resources["nbgrader"]["assignment"]
        with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
            source = gradebook.find_notebook(*names)
            graded = {cell.name: cell.max_score for cell in source.grade_cells}
            written = {cell.name for cell in source.solution_cells}
            for cell in source.source_cells:
                if cell.name in graded and cell.name not in kept:
                    missing = self.missing_cell_transform(
                        cell, graded[cell.name], is_solution=cell.name in written
                    )
                    if nb.nbformat_minor >= 5:
                        missing.id = f"restored-{cell.name}"
                    nb.cells.append(missing)
        return nb, resources


class Run(Execute):
    """Runs a submission. Where its code ends Python itself, or does not let itself be stopped, the rest is not run; what was
    handed in before counts, and the next submission gets its turn."""

    def preprocess(self, nb, resources, km=None):
        try:
            return super().preprocess(nb, resources, km)
        except (DeadKernelError, CellTimeoutError):
            for cell in nb.cells:
                if cell.cell_type == "code" and cell.execution_count is None:
                    cell.outputs = [
                        error(
                            "NotRun",
                            "here or in an earlier cell your code ended Python itself, or could not be stopped",
                        )
                    ]
            return nb, resources


class Mark(NbGraderPreprocessor):
    """Judges what each test cell has handed in. What is not right becomes an error that names the mistake, and so no points."""

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "code" and is_grade(cell):
            cell.outputs = marked(
                cell.outputs, resources["nbgrader"]["assignment"], cell.metadata.nbgrader.grade_id
            )
        return cell, resources


def marked(outputs, assignment, name):
    """The outputs of the test cell `name` as the student gets them: what was printed, and what was wrong."""
    printed, errors, handed_in = [], [], None
    for output in outputs:
        if output.output_type == "error":
            errors.append(
                error(output.ename, output.evalue)
            )  # without the traceback, which shows what a student has not seen
        elif output.output_type == "stream":
            printed.append(
                new_output("stream", name="stdout", text=output.text)
            )  # a warning is no mistake
        elif HANDED_IN in output.get("data", {}):
            handed_in = output.data[HANDED_IN]
    if errors:
        return [*printed, late(errors)]
    try:
        verdict(assignment, name, handed_in)
    except Mistake as mistake:
        return [*printed, error("Mistake", str(mistake))]
    return printed


def verdict(assignment, name, handed_in, seed=None):
    """Raises Mistake unless `handed_in`, a text from `helpers.checks.hand_in`, is right on the instances of `seed`."""
    exercise = exercises(assignment)[name]
    seed = int(os.environ.get("ASSIGNMENT_SEED", "0")) if seed is None else seed
    if not isinstance(handed_in, str) or len(handed_in) > LONGEST:
        raise Mistake("nothing was handed in that can be read")
    try:
        given = [
            {part: unplain(one) for part, one in parts.items()} for parts in json.loads(handed_in)
        ]
        if not unanswered(given):
            judge(exercise, name, exercise.instances(torch.Generator().manual_seed(seed)), given)
            return
    except Mistake as mistake:
        raise Mistake(f"on other instances than the visible ones: {mistake}") from None
    except Exception as problem:  # whatever a forged text may hold
        raise Mistake("nothing was handed in that can be read") from problem
    raise Mistake("not answered")


@cache
def exercises(assignment):
    """The exercises of an assignment, from the teacher's own file, not from the one beside the submission."""
    name = assignment.lower()
    spec = importlib.util.spec_from_file_location(name, SOURCE / assignment / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXERCISES


def error(name, text):
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def late(errors):
    """Of the errors of a cell the one that says most: that it ran out of time, if it did."""
    return next((one for one in errors if one.ename == "CellTimeoutError"), errors[0])
