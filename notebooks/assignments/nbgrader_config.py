"""nbgrader's settings for the five assignments. Run every nbgrader command in this folder."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    DeduplicateIds,
    GetGrades,
    LimitOutput,
    OverwriteKernelspec,
    SaveAutoGrades,
)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from grading import Mark, Restore, Run

# The instances on which the hidden tests grade are drawn from this seed. Choose your own, and keep it to yourself.
os.environ.setdefault("ASSIGNMENT_SEED", "2015")

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "depth"
c.ClearSolutions.code_stub = {"python": "return ..."}

# Submissions from a learning platform: STUDENT_A1.ipynb and the like, in downloaded/A1/archive.
c.FileNameCollectorPlugin.named_regexp = r".*[/\\](?P<student_id>[^/\\]+)_(?P<file_id>A\d)"

c.Autograde.sanitize_preprocessors = [
    ClearOutput,
    DeduplicateIds,
    OverwriteKernelspec,
    Restore,
    CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    Run,
    Mark,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]
c.Execute.timeout = 60  # seconds a cell
c.Execute.error_on_timeout = {
    "ename": "CellTimeoutError",
    "evalue": "stopped, because it took too long: is there a loop that never ends?",
    "traceback": [],
}

# What students get shows no hidden line.
c.GenerateFeedback.preprocessors = [GetGrades, ClearHiddenTests, CSSHTMLHeaderPreprocessor]
