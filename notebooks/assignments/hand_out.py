"""Makes the students' folder, release/, and the teacher's, teacher/, from source/ and the seed of a course.

    python notebooks/assignments/hand_out.py --seed 4711 A1 A2

The seed chooses each assignment's variant and the hidden instances. It is stored in teacher/seed.txt: a course has one seed.
"""

import argparse
import os
import re
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import nbformat
from nbformat.v4 import new_code_cell
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

import helpers
from helpers.exercises import recorded

FOLDER = Path(__file__).resolve().parent
COURSE = Path(helpers.__file__).resolve().parent.parent
SOURCE, TEACHER = FOLDER / "source", FOLDER / "teacher"
CHANCES = 100  # seeds that are tried to find all variants
FIRST_CELL = """\
# Run this cell first. It finds the course, installs what is missing, or says what it cannot find.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

packages = "torch", "numpy", "matplotlib", "tqdm", "anywidget"
if absent := [name for name in packages if not find_spec(name)]:
    print("Installing", *absent, "(torch takes minutes)")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *absent])
if Path("course.zip").exists():
    ZipFile("course.zip").extractall("course")
    sys.path.insert(0, str(Path("course").resolve()))
absent = [name for name in (*packages, "helpers") if not find_spec(name)]
absent += [name for name in ("FILE.py", "checks.json") if not Path(name).exists()]
advice = "Put all files of the folder beside this notebook (in Colab, into the panel Files)."
print(f"Missing: {', '.join(absent)}. {advice} Then run this cell again." if absent else "Ready.")"""


def valid_seed(text):
    """The seed that a text names. Raises ValueError unless it is an integer that all draws here take, and not 0, which students see."""
    if re.fullmatch(r"[0-9]{1,18}", text) is None or int(text) == 0:
        raise ValueError(f"the seed must be an integer from 1 to 10**18 - 1, got {text!r}")
    return int(text)


def course_seed():
    """The seed of this course. Raises ValueError if there is none."""
    path = TEACHER / "seed.txt"
    if not path.exists():
        raise ValueError("teacher/seed.txt is missing: `python hand_out.py --seed NUMBER` makes it")
    return valid_seed(path.read_text(encoding="utf-8").strip())


# --- variants ------------------------------------------------------------------------------------------------------------------


@cache
def tasks(assignment):
    """The module source/A1/tasks.py, and the names in source/A1/a1.py, which it may import and students receive."""
    name, folder = assignment.lower(), SOURCE / assignment
    before = {one: sys.modules.pop(one, None) for one in (name, "tasks")}
    try:
        shown, module = loaded(name, folder / f"{name}.py"), loaded("tasks", folder / "tasks.py")
    finally:
        for one, other in before.items():
            sys.modules.pop(one, None)
            if other:
                sys.modules[one] = other
    return module, vars(shown)


def loaded(name, path):
    """The module in a file, under a name by which the next one can import it."""
    spec = spec_from_file_location(name, path)
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variants(assignment):
    """All variants of an assignment, each with a seed that chooses it."""
    found = {}
    for seed in range(1, CHANCES + 1):
        variant = tasks(assignment)[0].variant(seed)
        if variant not in found.values():
            found[seed] = variant
    return found


@cache
def exercises(assignment, seed):
    """The exercises of the variant that a seed chooses. Another variant's answer is a mistake, named by what this one asks for."""
    module = tasks(assignment)[0]
    found = module.exercises(module.variant(seed))
    for variant in variants(assignment).values():
        for name, other in module.exercises(variant).items():
            exercise = found[name]
            if other.asks != exercise.asks:
                message = f"another course asks for {other.asks}; here it is {exercise.asks}"
                exercise.mistakes = {**exercise.mistakes, message: other.answer}
    return found


def filled(text, words):
    """A text with words in the place of {{names}}."""
    return re.sub(r"\{\{([a-z_]+)\}\}", lambda found: str(words[found[1]]), text)


def notebook(assignment, seed):
    """The notebook with solutions, in the variant that a seed chooses, without the first cell."""
    path = SOURCE / assignment / f"{assignment}.ipynb"
    nb, words = nbformat.read(path, as_version=4), tasks(assignment)[0].variant(seed)
    for cell in nb.cells:
        cell.source = filled(cell.source, words)
    return nb


# --- folders -------------------------------------------------------------------------------------------------------------------


def write(assignment, seed, folder):
    """Writes into a folder what nbgrader releases, still with solutions: the notebook, and what lies beside it."""
    name, nb = assignment.lower(), notebook(assignment, seed)
    nb.cells.insert(1, new_code_cell(FIRST_CELL.replace("FILE", name), id="first"))
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, folder / f"{assignment}.ipynb")
    shown = SOURCE / assignment / f"{name}.py"
    (folder / shown.name).write_text(shown.read_text(encoding="utf-8"), encoding="utf-8")
    text = recorded.record(exercises(assignment, seed), tasks(assignment)[1])
    (folder / recorded.CHECKS).write_text(text, encoding="utf-8")
    with ZipFile(folder / "course.zip", "w", ZIP_DEFLATED) as archive:
        for path in [*COURSE.glob("helpers/**/*"), *COURSE.glob("data/*")]:
            if path.is_file() and path.suffix not in (".pyc", ".part"):
                archive.write(path, path.relative_to(COURSE))


def hidden(assignment, seed):
    """The hidden instances, as a text."""
    return recorded.instances_of(exercises(assignment, seed), seed)


def write_for_teacher(assignment, seed):
    """Writes what only the teacher gets: solutions, in teacher/source/A1, and rubric and samples, in teacher/A1."""
    write(assignment, seed, TEACHER / "source" / assignment)
    for path in (SOURCE / assignment).glob("*.md"):
        target = TEACHER / assignment / path.name
        target.parent.mkdir(exist_ok=True)
        words = tasks(assignment)[0].variant(seed)
        target.write_text(filled(path.read_text(encoding="utf-8"), words), encoding="utf-8")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--seed", help="the seed of the course, once: an integer from 1 to 10**18 - 1"
    )
    names = sorted(path.name for path in SOURCE.iterdir())
    parser.add_argument("assignments", nargs="*", metavar="A1", help="all, if none is named")
    chosen = parser.parse_args(arguments)
    chosen.assignments = chosen.assignments or names
    if unknown := set(chosen.assignments) - set(names):
        parser.error(f"assignments must be of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    seed_file = TEACHER / "seed.txt"
    try:
        seed = valid_seed(chosen.seed) if chosen.seed else course_seed()
        if seed_file.exists() and seed != course_seed():
            raise ValueError(
                f"this course has the seed {course_seed()}: for a new course, move teacher/, release/ "
                "and gradebook.db away first"
            )
    except ValueError as problem:
        parser.error(str(problem))
    TEACHER.mkdir(exist_ok=True)
    seed_file.write_text(f"{seed}\n", encoding="utf-8")
    for assignment in chosen.assignments:
        write_for_teacher(assignment, seed)
        release(assignment)
        asked = [one.asks for one in exercises(assignment, seed).values() if one.asks]
        variant = f" This course asks for {', '.join(asked)}." if asked else ""
        print(f"{assignment}: release/{assignment} is for students.{variant}")


def release(assignment):
    """Does what `nbgrader generate_assignment --force` does. Ends the program, with nbgrader's log, if that fails."""
    programs = str(Path(sys.executable).parent)  # nbgrader calls one of them, alembic
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    settings = PyFileConfigLoader("nbgrader_config.py", path=str(FOLDER)).load_config()
    settings.CourseDirectory.root = str(FOLDER)
    done = NbGraderAPI(config=settings).generate_assignment(assignment, force=True)
    if not done["success"]:
        sys.exit(f"{done['log']}\n{done['error']}")


if __name__ == "__main__":
    main()
