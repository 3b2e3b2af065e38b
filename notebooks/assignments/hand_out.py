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
from helpers.exercises.asking import fixed_settings, new_generator
from helpers.exercises.judge import outputs, same_parts

FOLDER = Path(__file__).resolve().parent
COURSE = Path(helpers.__file__).resolve().parent.parent
SOURCE, TEACHER = FOLDER / "source", FOLDER / "teacher"
CHANCES = 100  # seeds that are tried to find all variants
ANOTHER = "that is the answer of another course"
CHECKS = '''\
"""The checks of this assignment. They compare with the numbers in checks.json, and hold no answer."""

from helpers.exercises import recorded

check, hand_in = recorded.checks(globals())
'''  # where source/A1/checks.py has no more to say
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
absent += [name for name in ("checks.py", "checks.json") if not Path(name).exists()]
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
    """The module source/A1/tasks.py, and the names in source/A1/checks.py, which students receive and tasks.py may import from."""
    folder, names = SOURCE / assignment, ("checks", "tasks")
    before = {name: sys.modules.pop(name, None) for name in names}
    try:
        shown = loaded("checks", folder / "checks.py") if (folder / "checks.py").exists() else None
        return loaded("tasks", folder / "tasks.py"), vars(shown) if shown else {}
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update({name: module for name, module in before.items() if module})


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
    """The exercises of the variant that a seed chooses. Another variant's answer is a mistake with a name."""
    module = tasks(assignment)[0]
    found = module.exercises(module.variant(seed))
    for variant in variants(assignment).values():
        for name, other in module.exercises(variant).items():
            if differs(other, found[name]):
                message = f"{ANOTHER}: {found[name].asks or 'read again what this one asks for'}"
                found[name].mistakes = {**found[name].mistakes, message: other.answer}
    return found


def differs(other, exercise):
    """Whether another variant's answer to a task is a mistake in this one, and is not yet one of its mistakes."""
    if exercise.accept or other.answer in exercise.mistakes.values():
        return False
    try:
        with fixed_settings():
            instances = exercise.instances(new_generator(0))
            given, wanted = (outputs(exercise, one.answer, instances) for one in (other, exercise))
    except Exception:  # noqa: BLE001, it stops on these instances, and a check says so
        return False
    return not all(map(same_parts, given, wanted))


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
    nb, shown = notebook(assignment, seed), SOURCE / assignment / "checks.py"
    nb.cells.insert(1, new_code_cell(FIRST_CELL, id="first"))
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, folder / f"{assignment}.ipynb")
    text = shown.read_text(encoding="utf-8") if shown.exists() else CHECKS
    (folder / "checks.py").write_text(text, encoding="utf-8")
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
        known = [*variants(assignment).values()]
        number = known.index(tasks(assignment)[0].variant(seed)) + 1
        print(f"{assignment}, variant {number} of {len(known)}: give students release/{assignment}")


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
