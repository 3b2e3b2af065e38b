"""nbgrader's settings for the five assignments. Run every nbgrader command in this folder."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    GetGrades,
    LimitOutput,
    OverwriteKernelspec,
    SaveAutoGrades,
)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from collecting import Extract
from grading import Drawable, HideTests, Mark, Reader, Restore, Run
from hand_out import course_seed

try:
    course_seed()
except ValueError as problem:
    sys.exit(str(problem))  # nbgrader would only warn, and go on without these settings

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "depth"
c.CourseDirectory.source_directory = "teacher/source"
c.ClearSolutions.code_stub = {"python": "return ..."}

# Submissions from a learning platform: STUDENT_A1.ipynb and the like, in downloaded/A1/archive.
c.ZipCollectApp.extractor_plugin = Extract
c.FileNameCollectorPlugin.named_regexp = r".*[/\\](?P<student_id>[^/\\]+)_(?P<file_id>A\d)"

c.Autograde.exporter_class = Reader
c.Autograde.sanitize_preprocessors = [Restore]
c.Autograde.autograde_preprocessors = [
    OverwriteKernelspec,
    Run,
    Mark,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    Drawable,
]
c.Execute.timeout = 120  # seconds a cell; ten times as much for all cells together
c.Execute.iopub_timeout = (
    30  # until a cell that was interrupted counts as one that cannot be stopped
)
c.Execute.error_on_timeout = {
    "ename": "CellTimeoutError",
    "evalue": "stopped, because it took too long: is there a loop that never ends?",
    "traceback": [],
}
# The same submission gets the same mark each time, also where it draws numbers or goes through a set.
os.environ["PYTHONHASHSEED"] = "0"
c.Execute.extra_arguments = [
    "--IPKernelApp.exec_lines=import numpy, random; numpy.random.seed(0); random.seed(0)",
    "--IPKernelApp.exec_lines=del numpy, random",
]

# What students get shows no hidden line. Pages are made anew each time: marks may have changed.
c.GenerateFeedback.force = True
c.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]
