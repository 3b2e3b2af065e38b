"""What hand_out.py makes: checks that hold numbers and no answer, in the variant of a course, for students; and the rest for the
teacher. Tried with small_course, and with each real assignment."""

import importlib.util
import json
import re
import subprocess
import sys
from zipfile import ZipFile

import grading
import grading_table
import nbformat
import pytest
import small_course
import torch
from grading_table import hand_out
from nbconvert.preprocessors import ExecutePreprocessor
from nbformat.v4 import new_output
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from helpers.exercises import Mistake, judge, recorded
from helpers.exercises.judge import Exercise, source_of

SMALL = [("small", "A1"), ("small", "A2")]
REAL = [("real", path.parent.name) for path in sorted(hand_out.SOURCE.glob("*/tasks.py"))]
SOURCES = {"real": hand_out.SOURCE}


def each(slow=()):
    """Parameters of a test: every assignment, of which the real ones may be slow."""
    found = [pytest.param(*one, id="-".join(one)) for one in SMALL]
    found += [pytest.param(*one, id="-".join(one), marks=slow) for one in REAL]
    return pytest.mark.parametrize("source, name", found)


EVERY = each()


@pytest.fixture(scope="session", autouse=True)
def small(tmp_path_factory):
    SOURCES["small"] = tmp_path_factory.mktemp("source")
    small_course.write(SOURCES["small"])


@pytest.fixture
def of(monkeypatch):
    """of(source): from now on, the assignments are those of a source."""

    def choose(source):
        monkeypatch.setattr(hand_out, "SOURCE", SOURCES[source])
        clear()

    def clear():
        for function in (hand_out.tasks, hand_out.exercises):
            function.cache_clear()

    yield choose
    clear()


@pytest.fixture
def released(of, tmp_path, monkeypatch):
    """released(name, seed): the folder that students get of a small assignment, in which its checks can be imported."""

    def release(name, seed=1, source="small"):
        of(source)
        folder = tmp_path / f"{name}-{seed}"
        hand_out.write(name, seed, folder)
        path = folder / f"{name}.ipynb"
        nb = nbformat.read(path, as_version=4)
        for step in (ClearSolutions(code_stub={"python": "return ..."}), ClearHiddenTests()):
            nb, _ = step.preprocess(nb, {})
        nbformat.write(nb, path)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "checks", raising=False)
        return folder

    yield release
    sys.modules.pop("checks", None)


def checks():
    return importlib.import_module("checks")


def said(name, answer, capsys):
    """What a student's check says of an answer."""
    try:
        checks().check(name, answer)
    except Mistake as mistake:
        return str(mistake)
    return capsys.readouterr().out.strip()


# --- recorded checks -----------------------------------------------------------------------------------------------------------


@each(slow=pytest.mark.slow)
def test_what_students_get_says_of_each_answer_what_the_answers_code_would(
    source, name, released, capsys
):
    for seed in [*hand_out_variants(source, name)][:2]:
        released(name, seed, source)
        for task, exercise in hand_out.exercises(name, seed).items():
            assert said(task, ..., capsys).startswith("Your turn")
            if exercise.answer is None:
                continue  # many are right, and none stands there
            assert said(task, exercise.answer, capsys) == f"Correct. {exercise.praise}"
            for message, mistake in exercise.mistakes.items():
                named = said(task, mistake, capsys)
                assert named in exercise.mistakes, message
                if source == "small":  # where it is quick
                    with pytest.raises(Mistake, match=re.escape(named)):
                        judge.check(task, mistake, {task: exercise})
        sys.modules.pop("checks")


def hand_out_variants(source, name):
    """The seeds of the variants of an assignment; for real ones as for small ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand_out, "SOURCE", SOURCES[source])
        hand_out.tasks.cache_clear()
        return hand_out.variants(name)


def test_a_check_says_where_an_answer_stops_and_what_it_should_be(released, capsys):
    released("A1")

    def stops(positive, negative):
        raise RuntimeError("no idea")

    text = said("critical_gain", stops, capsys)
    assert (
        text
        == 'stops stopped with RuntimeError: no idea, in the line: raise RuntimeError("no idea")'
    )
    text = said("critical_gain", lambda positive, negative: 17, capsys)
    assert re.fullmatch(r"critical_gain\(0\.\d+, [01]\.\d+\) should be [012]\.\d+, got 17", text)
    assert said("sizes", lambda x, weights: [1.0] * 9, capsys).startswith("return 1 things")
    assert said("sizes", 5, capsys) == "sizes must be a function, got 5"


@pytest.mark.parametrize("error, right", [(1e-5, True), (1e-3, False)])
def test_rounding_is_no_mistake(error, right, released, capsys):
    """Another version of torch may add in another order."""
    released("A1", seed=2)
    answer = hand_out.exercises("A1", 2)["sizes"].answer

    def nearly(x, weights):
        found = answer(x.double(), [weight.double() for weight in weights])
        return [size * (1 + error * (-1) ** k) for k, size in enumerate(found)]

    assert said("sizes", nearly, capsys).startswith("Correct") == right


def test_no_global_setting_changes_a_check(released, capsys, hostile_settings):
    released("A1", seed=2)
    sizes = hand_out.exercises("A1", 2)["sizes"]
    with hostile_settings():
        assert said("sizes", sizes.answer, capsys).startswith("Correct")
        for message, mistake in sizes.mistakes.items():
            assert said("sizes", mistake, capsys) == message


@pytest.mark.parametrize(
    "value",
    [
        1, 0.1, True, None, "relu", (), [1, (2.0, [False])], {"lr": 0.1, "skip": (True,)}, torch.tensor(1 / 3), torch.ones(2, 0, 3).double(),
        torch.linspace(-1, 1, 12).view(3, 4) / 3, torch.linspace(0, 1, 5).double() / 7, torch.tensor([2**62, 1]), torch.tensor([[True, False]]), torch.linspace(0, 1, 3).half(),
    ],
    ids=lambda value: str(value)[:25],
)  # fmt: skip
def test_an_instance_is_the_same_after_it_was_stored(value):
    again = recorded.restored(json.loads(json.dumps(recorded.stored(value))))
    assert type(again) is type(value)
    if isinstance(value, torch.Tensor):
        assert again.dtype == value.dtype and again.shape == value.shape
        value, again = value.tolist(), again.tolist()
    assert again == value


def test_what_cannot_be_released_is_refused_in_a_line(rejects):
    def instances(generator):
        return [(generator,)]

    def look(function, *instance):
        return {"": 1.0}

    rejects(
        lambda: recorded.record(
            {"task": Exercise(answer=abs, instances=lambda g: [], praise="", look=look)}, {}
        ),
        "the look of task must be a name in checks.py, which students receive",
    )
    with pytest.raises(ValueError, match="an instance must hold tensors, numbers, texts"):
        recorded.record({"task": Exercise(answer=abs, instances=instances, praise="")}, {})


def test_several_parts_are_compared_and_the_checks_are_read_once(tmp_path):
    def look(function, x):
        return {"first": function(x), "second": x}

    exercise = Exercise(
        answer=abs, instances=lambda g: [(-2.0,), (3.0,)], praise="", look=look,
        mistakes={"the sign": lambda x: x},
    )  # fmt: skip
    module = {"look": look, "__file__": str(tmp_path / "checks.py")}
    (tmp_path / "checks.json").write_text(recorded.record({"task": exercise}, module))
    check, _ = recorded.checks(module)
    check("task", abs)
    with pytest.raises(Mistake, match="^the sign$"):
        check("task", lambda x: x)
    (tmp_path / "checks.json").unlink()
    check("task", abs)  # what was there when the checks were made counts
    check, _ = recorded.checks(module)
    with pytest.raises(FileNotFoundError, match="^checks.json is missing: put it beside checks.py"):
        check("task", abs)


def test_the_hidden_instances_are_those_of_the_seed(released, monkeypatch):
    folder, shown = released("A1"), []
    monkeypatch.setattr(
        recorded, "display", lambda data, raw: shown.append(new_output("display_data", data=data))
    )
    answer = hand_out.exercises("A1", 1)["critical_gain"].answer
    checks().hand_in("critical_gain", answer)  # at home: the instances that all see
    (folder / "hidden.json").write_text(hand_out.hidden("A1", 77), encoding="utf-8")
    sys.modules.pop("checks")
    checks().hand_in("critical_gain", answer)
    monkeypatch.setattr(grading, "course_seed", lambda: 77)
    at_home, for_the_mark = (grading.marked([one], "A1", "critical_gain") for one in shown)
    assert for_the_mark == [] and "on other instances than the visible ones" in at_home[0].evalue


# --- variants ------------------------------------------------------------------------------------------------------------------


def test_a_right_answer_of_another_course_fails_by_name(released, capsys):
    released("A1", 1)
    one, two = (hand_out.exercises("A1", seed)["sizes"].answer for seed in (1, 2))
    message = "that is the answer of another course: here the size is the mean absolute value"
    assert said("sizes", two, capsys) == message
    assert said("sizes", one, capsys).startswith("Correct")
    sys.modules.pop("checks")
    released("A1", 2)
    assert said("sizes", one, capsys) == message.replace("mean absolute value", "root mean square")


@EVERY
def test_an_assignment_has_more_than_one_variant(source, name, of):
    of(source)
    assert (len(hand_out.variants(name)) > 1) == ((source, name) != ("small", "A2"))


def test_a_word_that_the_variant_does_not_have_is_refused():
    assert hand_out.filled("a {{b}} {{2}} {c}", {"b": 5}) == "a 5 {{2}} {c}"
    with pytest.raises(KeyError, match="other"):
        hand_out.filled("{{other}}", {"b": 5})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "teacher/seed.txt is missing: `python hand_out.py --seed NUMBER` makes it"),
        (["--seed=0"], "the seed must be an integer from 1 to 10**18 - 1, got '0'"),
        (["--seed=1e3", "A1"], "the seed must be an integer from 1 to 10**18 - 1, got '1e3'"),
        (["--seed=5", "A1", "A7"], "assignments must be of A1, A2, got A7"),
    ],
)
def test_a_bad_command_is_refused_in_a_line(arguments, message, of, monkeypatch, tmp_path, capsys):
    of("small")
    monkeypatch.setattr(hand_out, "TEACHER", tmp_path / "teacher")
    with pytest.raises(SystemExit):
        hand_out.main(arguments)
    assert capsys.readouterr().err.splitlines()[-1].endswith(f": error: {message}")
    assert not (tmp_path / "teacher").exists()


def test_the_teachers_pack_is_filled_with_the_words_of_the_variant(of, monkeypatch, tmp_path):
    of("small")
    monkeypatch.setattr(hand_out, "TEACHER", tmp_path / "teacher")
    hand_out.write_for_teacher("A1", 2)
    rubric = (tmp_path / "teacher" / "A1" / "rubric.md").read_text(encoding="utf-8")
    assert rubric == "Weak: it does not say that the root mean square counts.\n"
    assert (tmp_path / "teacher" / "source" / "A1" / "A1.ipynb").exists()


# --- no answer in what students receive ----------------------------------------------------------------------------------------

IDIOM = re.compile(
    r"(def|class|from|import|for|if|elif|else|while|return \w+$|\"\"\"|#|@|plt\.|fig|ax\.|print\()"
)


def lines_of(text):
    """Lines that give something away, without their blanks."""
    lines = (line.strip() for line in text.splitlines())
    found = {"".join(line.split()) for line in lines if not IDIOM.match(line)}
    return {line for line in found if len(line) > 12 and re.search(r"[-+*/@({]", line)}


def solutions(name, seed):
    """The lines of all solutions: those of the notebook, and of the functions that judge."""
    nb, found = hand_out.notebook(name, seed), set()
    given = set()
    for cell in nb.cells:
        parts = re.split(r"### (?:BEGIN|END) SOLUTION", cell.source)
        for part in parts[1::2]:
            found |= lines_of(part)
        for part in parts[0::2]:
            given |= lines_of(part)  # a worked example
    for exercise in hand_out.exercises(name, seed).values():
        found |= lines_of(source_of(exercise.answer)) if exercise.answer else set()
    return found - given


def everything(folder):
    """All texts in a released folder, without blanks, by name; also of the course's archive."""
    texts = {}
    for path in folder.iterdir():
        if path.suffix == ".zip":
            with ZipFile(path) as archive:
                for name in archive.namelist():
                    texts[name] = archive.read(name).decode("utf-8", errors="replace")
        elif path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            texts[path.name] = "\n".join(cell.source for cell in cells)
        else:
            texts[path.name] = (
                json.dumps(json.loads(path.read_text()))
                if path.suffix == ".json"
                else path.read_text()
            )
    return {name: "".join(text.split()) for name, text in texts.items()}


@EVERY
def test_students_receive_no_line_of_a_solution(source, name, released):
    for seed in [*hand_out_variants(source, name)][:2]:
        folder = released(name, seed, source)
        assert {path.name for path in folder.iterdir()} == {
            f"{name}.ipynb",
            "checks.py",
            "checks.json",
            "course.zip",
        }
        lines, texts = solutions(name, seed), everything(folder)
        assert lines
        found = [(line, where) for line in lines for where, text in texts.items() if line in text]
        assert found == []
        assert not re.search(r"\{\{[a-z_]+\}\}", texts[f"{name}.ipynb"])


def test_the_search_finds_a_solution(released):
    folder = released("A1")
    with (folder / "checks.py").open("a") as file:
        file.write("# return (2/(positive**2  + negative**2)) ** 0.5")
    text = everything(folder)["checks.py"]
    assert [line for line in solutions("A1", 1) if line in text] == [
        "return(2/(positive**2+negative**2))**0.5"
    ]


# --- the first cell ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def first_cell(monkeypatch, capsys):
    """first_cell(absent): what the first cell prints where some packages cannot be found, and what it asks pip to install."""

    def run(*absent):
        asked = []
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in absent else find(name)
        )
        monkeypatch.setattr(subprocess, "run", lambda words: asked.append(words[-1]))
        exec(hand_out.FIRST_CELL, {})  # noqa: S102, the text is our own
        return capsys.readouterr().out, asked

    yield run


def test_the_first_cell_brings_the_course_from_the_folder(released, first_cell, monkeypatch):
    folder = released("A1")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert first_cell() == ("Ready.\n", [])
    assert sys.path[0] == str(folder / "course")
    for name in ("helpers/exercises/recorded.py", "helpers/live/live.js", "data/digits.npz"):
        assert (folder / "course" / name).read_bytes() == (hand_out.COURSE / name).read_bytes()


def test_the_first_cell_says_what_is_missing(tmp_path, first_cell, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said, asked = first_cell("anywidget", "helpers")
    assert asked == ["anywidget"]
    assert said.splitlines()[0] == "Installing anywidget (torch takes minutes)"
    assert said.splitlines()[1].startswith(
        "Missing: anywidget, helpers, checks.py, checks.json. Put all files"
    )


# --- nbgrader's whole way ------------------------------------------------------------------------------------------------------


def autograded_points(nb):
    """The points of the test cells, without those of written answers."""
    cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return sum(
        cell.metadata.nbgrader.points
        for cell in cells
        if cell.cell_type == "code" and not cell.metadata.nbgrader.solution
    )


# The first and the last: grading takes minutes, and the tests above and test_tasks.py run the others. In test_grading.py the small
# course goes the same way.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["A1", "A5"])
def test_the_guides_commands_in_order(name, of, tmp_path):
    """Anna hands in this course's solution, and Bob last year's."""
    of("real")
    course = grading_table.Course(tmp_path, SOURCES["real"])
    steps = [
        step
        for step in course.commands
        if step not in ("release_assignment", "collect", "validate")
    ]
    assert steps == ["hand_out.py", "zip_collect", "autograde", "generate_feedback", "export"]
    course.run("hand_out.py", assignment=name)
    assert {path.name for path in (course.folder / "release" / name).iterdir()} == {
        f"{name}.ipynb",
        "checks.py",
        "checks.json",
        "course.zip",
    }
    released = course.released(name)
    assert not re.search(r"SOLUTION|HIDDEN|hand_in|\{\{[a-z_]+\}\}", nbformat.writes(released))
    this_course = hand_out.notebook(name, grading_table.SEED)
    last_year = hand_out.notebook(name, grading_table.SEED + 1)
    for student, nb in {"anna": this_course, "bob": last_year, "carl": released}.items():
        course.hand_in(student, {f"*_{name}.ipynb": nbformat.writes(nb)}, name)
    for step in steps[1:]:
        course.run(step, assignment=name)
    rows = course.grades()
    grades = {student: float(rows[name, student]["score"]) for student in ("anna", "bob", "carl")}
    points = autograded_points(this_course)
    assert grades["anna"] == points and grades["carl"] == 0
    assert grades["bob"] < points


@pytest.mark.slow
@EVERY
def test_the_released_notebook_runs_from_top_to_bottom_in_its_folder(source, name, released):
    for seed in [*hand_out_variants(source, name)][:2]:
        folder = released(name, seed, source)
        nb = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        ExecutePreprocessor(timeout=300).preprocess(nb, {"metadata": {"path": str(folder)}})
        text = "".join(
            output.get("text", "") for cell in nb.cells for output in cell.get("outputs", [])
        )
        tests = [cell for cell in nb.cells if cell.source.startswith("check(")]
        assert text.startswith("Ready.") and text.count("Your turn") == len(tests) > 0


@pytest.mark.slow
@pytest.mark.parametrize("source, name", REAL)
def test_the_solutions_run_from_top_to_bottom(source, name, of, tmp_path):
    of(source)
    for seed in [*hand_out.variants(name)][:2]:
        folder = tmp_path / str(seed)
        hand_out.write(name, seed, folder)
        nb = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        ExecutePreprocessor(timeout=300).preprocess(nb, {"metadata": {"path": str(folder)}})
