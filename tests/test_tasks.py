"""The tasks of the assignments, with the engine that judges them: right answers pass in each variant, and wrong ones are told why."""

import json
import re
from functools import cache
from pathlib import Path
from types import FunctionType

import pytest
from assignments_answers import BOTH, RIGHT, SEEDS, WRONG
from grading_table import hand_out

from helpers.exercises import Mistake, judge

SOURCE = hand_out.SOURCE
README = Path(__file__).resolve().parent.parent / "README.md"
NAMES = tuple(WRONG)
TRAINS = [pytest.param(name, marks=[pytest.mark.slow] * (name == "A5")) for name in NAMES]
GENERIC = "should be"  # part of what a check says where it knows no name for a mistake


def tasks(name):
    """The module tasks.py of an assignment."""
    return hand_out.tasks(name)[0]


@cache
def cells(name, seed):
    """The cells of an assignment, as a teacher of the course with this seed has them."""
    return hand_out.notebook(name, seed).cells


def of_nbgrader(cell):
    return cell.metadata.get("nbgrader", {})


def points(name, seed=SEEDS[0]):
    """The points of each graded cell, by name and in order."""
    marked = [of_nbgrader(cell) for cell in cells(name, seed) if of_nbgrader(cell).get("grade")]
    return {one["grade_id"]: one["points"] for one in marked}


def asked(name, seed=SEEDS[0]):
    """The test cells' tasks, from name to what is handed in."""
    found = {}
    for cell in cells(name, seed):
        if match := re.search(r'^check\("(\w+)", (.+)\)$', cell.source, re.MULTILINE):
            found[match[1]] = match[2]
    return found


QUICK = """
def run(seed, names=tuple(results[0])):
    numbers = np.random.default_rng(seed).random(len(names))
    return dict(zip(names, numbers.tolist()))
"""  # in the place of A5's run, which trains for seconds


@cache
def solved(name, seed):
    """The names that an assignment's solutions define. Pictures, tests and long runs are left out."""
    space = {}
    for cell in cells(name, seed):
        written = "def report()" in cell.source  # which a teacher marks
        if cell.cell_type == "code" and (written or not of_nbgrader(cell).get("grade")):
            if cell.id.endswith(("-run", "-example")):
                continue
            source = cell.source.replace("from checks import check\n", "")
            exec(source, space)  # noqa: S102, the text is ours
    return space


def copied(space):
    """A copy of a dict of names, in which the functions that were defined there take all names from the copy."""
    copy = dict(space)
    for name, value in space.items():
        if isinstance(value, FunctionType) and value.__globals__ is space:
            copy[name] = FunctionType(value.__code__, copy, name, value.__defaults__)
    return copy


def said(name, seed, code=None, judged_by=None, instances=0, only=None, shared=False):
    """What each test cell's check says of the solutions with `code` run after them; None where it is content. only: some of them.

    shared: whether the solutions call the functions in `code`, as in a notebook. If not, a mistake costs its own task only.
    """
    words = tasks(name).variant(seed)
    quick = QUICK if name == "A5" and code is not None else ""
    space = copied(solved(name, seed)) if shared else dict(solved(name, seed))
    exec(quick + hand_out.filled(code or "", words), space)  # noqa: S102
    exercises = tasks(name).exercises(tasks(name).variant(judged_by or seed))
    found = {}
    for test, expression in asked(name, seed).items():
        if only and test not in only:
            continue
        try:
            judge.check(test, eval(expression, space), exercises, instances)
            found[test] = None
        except Mistake as mistake:
            found[test] = str(mistake)
    return found


def cases(answers, length):
    found = []
    for name in NAMES:
        for seed in SEEDS:
            for of_seed, what, *rest in answers[name]:
                if of_seed in (BOTH, seed):
                    rest += [()] * (length - len(rest))
                    slow = [pytest.mark.slow] if name == "A5" else []
                    found.append(
                        pytest.param(name, seed, *rest, id=f"{name}-{seed}-{what}", marks=slow)
                    )
    return found


@pytest.mark.parametrize("name", TRAINS)
@pytest.mark.parametrize("seed", SEEDS)
def test_solutions_pass(name, seed, capsys):
    assert not any(said(name, seed).values()), said(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINS)
@pytest.mark.parametrize("seed", SEEDS)
def test_solutions_pass_on_thirty_seeds(name, seed, capsys):
    # A5's run trains: at ten instances, with four seeds each, by the two checks that run it.
    step, only = (3, ("repeat", "seeds")) if name == "A5" else (1, None)
    for instances in range(1, 31, step):
        answer = said(name, seed, instances=instances, only=only)
        assert answer and not any(answer.values()), (instances, answer)


@pytest.mark.parametrize("name, seed, test, message, code, others", cases(WRONG, 4))
def test_a_wrong_answer_is_told_why(name, seed, test, message, code, others, capsys):
    answer = said(name, seed, code)
    assert message in (answer[test] or "nothing"), answer
    assert {one for one in answer if answer[one]} == {test, *others}, answer


@pytest.mark.parametrize("name, seed, code", cases(RIGHT, 1))
def test_an_unusual_right_answer_passes(name, seed, code, capsys):
    answer = said(name, seed, code, shared=True)
    assert not any(answer.values()), answer


@pytest.mark.parametrize("name", NAMES)
def test_there_are_enough_answers(name):
    for seed in SEEDS:
        wrong = [one for one in WRONG[name] if one[0] in (BOTH, seed)]
        right = [one for one in RIGHT[name] if one[0] in (BOTH, seed)]
        assert len(wrong) >= 12 and len(right) >= 5, (seed, len(wrong), len(right))
        if name != "A5":
            exercises = tasks(name).exercises(tasks(name).variant(seed))
            assert sum(len(exercise.mistakes) for exercise in exercises.values()) >= 12


@pytest.mark.parametrize("name", TRAINS)
@pytest.mark.parametrize("seed, other", [SEEDS, SEEDS[::-1]])
def test_an_answer_of_another_year_fails_by_name(name, seed, other, capsys):
    for test, message in said(name, seed, "", judged_by=other).items():
        assert message and GENERIC not in message, (test, message)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "A5"])  # its tasks are open
@pytest.mark.parametrize("seed", SEEDS)
def test_the_named_mistakes_differ(name, seed, capsys):
    """Each mistake that a check knows is told by its own name, on the instances that students have."""
    for test, exercise in tasks(name).exercises(tasks(name).variant(seed)).items():
        for message, mistake in exercise.mistakes.items():
            with pytest.raises(Mistake) as told:
                judge.check(test, mistake, {test: exercise})
            assert str(told.value) == message, test


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_is_in_good_form(name):
    text = "\n".join(cell.source for cell in cells(name, SEEDS[0]))
    table = re.findall(r"^\|[^|]*\| (\d+) \|[^|]*\| (\d+) \|$", text, re.MULTILINE)
    assert [int(row[0]) for row in table] == list(points(name).values())
    assert sum(points(name).values()) == 20
    assert f"about {sum(int(row[1]) for row in table)} minutes" in text
    most = 120 if name == "A5" else 90  # the capstone: a claim, a run and a report of one's own
    assert 60 <= sum(int(row[1]) for row in table) <= most
    assert not re.search(r"\{\{\w+\}\}", text)
    assert set(asked(name)) == set(tasks(name).exercises(tasks(name).variant(SEEDS[0])))
    ids = [cell.id for cell in cells(name, SEEDS[0])]
    assert len(set(ids)) == len(ids)
    json.dumps(tasks(name).variant(SEEDS[0]))  # words and numbers only
    rubric = (SOURCE / name / "rubric.md").read_text(encoding="utf-8")
    assert all(f"{kind} sample" in rubric.lower() for kind in ("weak", "middling", "strong"))


def test_the_readme_counts_the_points_that_nbgrader_gives():
    cells = [cell for name in NAMES for cell in hand_out.notebook(name, SEEDS[0]).cells]
    marked = [about for cell in cells if (about := cell.metadata.get("nbgrader", {})).get("grade")]
    given = sum(about["points"] for about in marked if not about["solution"])
    assert f"which marks {given} of their 100 points" in README.read_text("utf-8")
