"""What is handed in: read, put in form, run, marked and given back, each part by itself; and nbgrader's whole way, in the commands
of the teacher's guide, by the slow tests at the end. The assignments are the two of small_course."""

import hashlib
import itertools
import json
import logging
import os
import shutil
import time
from pathlib import Path
from zipfile import ZipFile

import collecting
import grading
import grading_table
import nbformat
import nbgrader.api
import pytest
import small_course
from grading_table import FOLDER, SEED, hand_out
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import ClearSolutions, ComputeChecksums, SaveCells
from nbgrader.utils import compute_checksum, is_grade
from traitlets import Any
from traitlets.config import LoggingConfigurable, PyFileConfigLoader

from helpers.exercises import Mistake

notebook = grading_table.source


class Command(LoggingConfigurable):
    """What nbgrader's commands are to our parts of them."""

    coursedir = Any()

    def __init__(self, folder):
        super().__init__()
        self.coursedir = CourseDirectory(root=str(folder), assignment_id="A1")


def graded(nb):
    """The test cells of a notebook, and the written answers, by name."""
    return {
        cell.metadata.nbgrader.grade_id: cell
        for cell in nb.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }


def graded_or_written(nb):
    """The cells of the assignment, by name."""
    marked = [cell for cell in nb.cells if "nbgrader" in cell.metadata]
    return {cell.metadata.nbgrader.grade_id: cell for cell in marked}


@pytest.fixture(scope="module")
def small_source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    small_course.write(folder)
    return folder


@pytest.fixture
def small(small_source, monkeypatch):
    """The teacher's folder, as far as it is needed here, is that of the small course."""
    monkeypatch.setattr(hand_out, "SOURCE", small_source)
    for cached in (hand_out.tasks, hand_out.exercises):
        cached.cache_clear()
    yield small_source
    for cached in (hand_out.tasks, hand_out.exercises):
        cached.cache_clear()


# --- marking -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        None, 1, "", "[]", "{}", "null", "[1, 2]", '[{"": 1}]', '[{"": [[], [1.0]]}]', '[{"": [[2], [1.0]]}]', '[{"": NaN}]', "[[[[",
        '[{"": [[], [true]]}, {"": "..."}, {}, {}]', '[{"": {"recipe": []}}]', '[{}, {}, {}, {}]', "[" * 100_000, '[{"": [[], [1e999]]}]',
        "9" * 2_000_000,
    ],
    ids=lambda text: str(text)[:30],
)  # fmt: skip
def test_what_nobody_would_hand_in_gets_nothing(forged, small):
    for name, test in (("A1", "critical_gain"), ("A1", "sizes"), ("A2", "recipe")):
        with pytest.raises(Mistake):
            grading.verdict(name, test, forged, seed=1)


@pytest.mark.parametrize("epochs, passes", [(4, True), (8, True), (9, False)])
def test_the_hidden_limit_is_laxer_than_the_visible_one(epochs, passes, small):
    handed_in = json.dumps([{"recipe": {"skip": True, "epochs": epochs}}])
    if passes:
        grading.verdict("A2", "recipe", handed_in, seed=7)
        return
    with pytest.raises(Mistake, match="on other instances than the visible ones: the budget is 8"):
        grading.verdict("A2", "recipe", handed_in, seed=7)


def test_what_the_teacher_marks_is_left_as_the_student_drew_it(small, monkeypatch):
    monkeypatch.setattr(grading, "course_seed", lambda: 1)
    nb = notebook("A2")
    picture = new_output("display_data", data={"image/png": "aGk="})
    cells = graded_or_written(nb)
    cells["picture"].outputs = [picture]
    cells["recipe"].outputs = [picture]
    grading.Mark().preprocess(nb, {"nbgrader": {"assignment": "A2"}})
    assert cells["picture"].outputs == [picture]
    assert [output.ename for output in cells["recipe"].outputs] == ["Mistake"]


# --- reading a file ------------------------------------------------------------------------------------------------------------


BATCH = grading_table.submissions(notebook("A1"))


def file_of(name):
    """The content of a submission's only file."""
    [content] = BATCH[name].files.values()
    return content.encode() if isinstance(content, str) else content


@pytest.mark.parametrize(
    "name",
    ["reference", "mark", "utf16", "windows", "lists", "old", "no_ids", "same_ids", "heavy", "julia", "old_version"],
)  # fmt: skip
def test_a_notebook_is_read_whatever_its_file_looks_like(name, tmp_path):
    path = tmp_path / "A1.ipynb"
    path.write_bytes(file_of(name))
    nb, notes = grading.read(path)
    nbformat.validate(nb)
    assert notes == [] and [cell.source for cell in nb.cells] == [
        cell.source for cell in grading_table.solved("A1").cells
    ]
    assert not any(cell.get("outputs") for cell in nb.cells)


@pytest.mark.parametrize("name", ["latin", "surrogate"])
def test_characters_that_are_none_are_replaced(name, tmp_path):
    path = tmp_path / "A1.ipynb"
    path.write_bytes(file_of(name))
    nb, notes = grading.read(path)
    assert notes == [] and nbformat.writes(nb).encode()


def test_pictures_that_are_none_are_left_out(tmp_path):
    nb = json.loads(file_of("reference"))
    text = {"cell_type": "markdown", "metadata": {}, "source": "x"}
    text["attachments"] = {"a.png": {"image/png": 5}}
    (path := tmp_path / "A1.ipynb").write_text(json.dumps(nb | {"cells": [*nb["cells"], text]}))
    found, notes = grading.read(path)
    assert notes == [] and len(found.cells) == len(nb["cells"]) + 1
    assert "attachments" not in found.cells[-1]


def test_a_message_whose_data_are_no_table_is_left_out():
    run, cell = grading.Run(), new_code_cell("")
    run.characters = 0
    message = {"msg_type": "display_data", "content": {"data": 5, "metadata": {}}, "header": {}}
    assert run.process_message(message, cell, 0) is None and cell.outputs == []


@pytest.mark.parametrize(
    "content, why",
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf \n", "it is empty"),
        (b"This is my homework.", "Expecting value"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": 1}', ""),
        (b"[]", ""),
        (b"5", ""),
        (b'{"cells": [1, null], "metadata": 5, "nbformat": 4, "nbformat_minor": 5}', ""),
        (b'{"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', ""),
        (b'{"cells": [], "metadata": {}, "nbformat": 9, "nbformat_minor": 0}', ""),
        (b"\x00\xff" * 100, ""),
    ],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_what_is_no_notebook_is_refused_in_a_line(content, why, tmp_path):
    path = tmp_path / "A1.ipynb"
    path.write_bytes(content)
    nb, [note] = grading.read(path)
    assert nb.cells == [] and note.startswith("A1.ipynb is no notebook: ") and why in note
    assert "\n" not in note and len(note) < 130


def test_a_folder_and_a_file_that_is_too_large_are_refused(tmp_path, monkeypatch):
    assert "is no notebook" in grading.read(tmp_path)[1][0]
    monkeypatch.setattr(grading, "LARGEST_FILE", 10)
    (tmp_path / "A1.ipynb").write_bytes(file_of("reference"))
    assert "clear its outputs" in grading.read(tmp_path / "A1.ipynb")[1][0]


@pytest.fixture
def marked_before(tmp_path):
    """A function that makes a student's folder in autograded/, with a notebook of this metadata."""

    def folder(student, metadata, handed_in=None):
        path = tmp_path / "autograded" / student / "A1"
        path.mkdir(parents=True)
        if metadata is not None:
            text = nbformat.writes(new_notebook(metadata=metadata))
            (path / "A1.ipynb").write_text(text[: len(text) // (2 if student == "torn" else 1)])
        if handed_in is not None:
            submitted = tmp_path / "submitted" / student / "A1" / "A1.ipynb"
            submitted.parent.mkdir(parents=True)
            submitted.write_text(handed_in)
        return path

    return folder


def test_what_a_killed_grader_left_is_graded_again(tmp_path, marked_before):
    done = marked_before("done", {"marked": True})
    left = [
        marked_before("torn", {"marked": True}),
        marked_before("sanitized", {}),
        marked_before("new", None),
    ]
    grading.Reader(parent=Command(tmp_path))
    assert done.exists() and not any(path.exists() for path in left)


def test_what_was_handed_in_anew_is_graded_again_and_nothing_else(tmp_path, marked_before, caplog):
    about = {"marked": True, "handed_in": hashlib.sha256(b"the first").hexdigest()}
    kept = [
        marked_before("same", about, "the first"),
        marked_before("gone", about),
        marked_before("earlier_version", {"marked": True}, "any"),
    ]
    anew = marked_before("anew", about, "the second")
    grading.Reader(parent=Command(tmp_path), log=logging.getLogger())
    assert all(path.exists() for path in kept) and not anew.exists()
    assert [line.message for line in caplog.records] == [
        f"{anew} was handed in anew: it is graded again"
    ]


def test_a_marked_notebook_knows_the_file_that_was_handed_in(tmp_path):
    """Both times that it is read: as it was handed in, and as it was restored."""
    command, resources = Command(tmp_path), {"nbgrader": {"student": "anna"}}
    reader, path = grading.Reader(parent=command), tmp_path / "A1.ipynb"
    found = []
    for sanitizing, text in ((True, PLAIN), (False, PLAIN + " ")):
        command._sanitizing = sanitizing
        path.write_text(text, encoding="utf-8")
        written, _ = reader.from_filename(str(path), resources)
        found.append(json.loads(written)["metadata"]["handed_in"])
    assert found == [hashlib.sha256(PLAIN.encode()).hexdigest()] * 2


# --- grading metadata ----------------------------------------------------------------------------------------------------------


def gradebook_of(assignment, folder):
    """What a grader is told, with the address of a gradebook as `nbgrader generate_assignment` makes it."""
    url = f"sqlite:///{folder}/gradebook.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            nbgrader.api, "get_alembic_version", lambda: "1"
        )  # by a program, which is slow
        with Gradebook(url) as book:
            book.add_assignment(assignment)
    names = {"notebook": assignment, "assignment": assignment, "student": "anna"}
    resources = {"nbgrader": {**names, "db_url": url}}
    nb = notebook(assignment)
    for preprocessor in (
        ClearSolutions(code_stub={"python": "return ..."}),
        ComputeChecksums(),
        SaveCells(),
    ):
        nb, _ = preprocessor.preprocess(nbformat.from_dict(nb), resources)
    return resources


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    return gradebook_of("A1", tmp_path_factory.mktemp("gradebook"))


@pytest.fixture(scope="module")
def second_gradebook(tmp_path_factory):
    """Of A2, which has open questions."""
    return gradebook_of("A2", tmp_path_factory.mktemp("gradebook"))


FORMS = [
    "reference", "test_copied", "test_copied_up", "answer_copied", "answer_split", "test_split", "empty_metadata", "foreign_version",
    "old_version", "foreign_cell", "bare", "turned", "edited", "deleted", "generous", "no_json", "same_ids",
]  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_each_test_cell_is_there_once_and_as_it_was_released(name, gradebook, tmp_path):
    path = tmp_path / "A1.ipynb"
    path.write_bytes(file_of(name))
    nb, _ = grading.Restore().preprocess(grading.read(path)[0], gradebook)
    nbformat.validate(nb)
    MetadataValidator().validate_nb(nb)
    found = [cell for cell in nb.cells if is_grade(cell)]
    released = graded(notebook("A1"))
    assert sorted(cell.metadata.nbgrader.grade_id for cell in found) == sorted(released)
    for cell in found:
        original = released[cell.metadata.nbgrader.grade_id]
        assert (cell.source, cell.cell_type) == (original.source, original.cell_type)
        assert cell.metadata.nbgrader.points == original.metadata.nbgrader.points
        assert cell.metadata.nbgrader.checksum == compute_checksum(cell)


@pytest.mark.parametrize("name", [name for name in FORMS if BATCH[name].said and name != "no_json"])
def test_what_was_put_in_form_is_told(name, gradebook, tmp_path, caplog):
    path = tmp_path / "A1.ipynb"
    path.write_bytes(file_of(name))
    nb, _ = grading.Restore(log=logging.getLogger()).preprocess(grading.read(path)[0], gradebook)
    assert (
        BATCH[name].said in nb.cells[0].source
        and f"anna: {nb.cells[0].source[29:60]}" in caplog.text
    )


def test_of_two_copies_of_an_answer_the_one_that_was_written_counts(gradebook):
    """Also if the cell as it was released comes after it, whose points would be none for a written answer."""
    empty = "def sizes(x, weights):\n    return ..."
    nb = grading_table.copied(notebook("A1"), "sizes-answer", source=empty)
    nb, _ = grading.Restore().preprocess(nb, gradebook)
    [answer] = [
        cell
        for cell in nb.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "sizes-answer"
    ]
    assert answer.source == graded_or_written(notebook("A1"))["sizes-answer"].source
    assert empty in [cell.source for cell in nb.cells]


def test_a_picture_in_a_written_answer_stays(second_gradebook, tmp_path):
    nb, path = notebook("A2"), tmp_path / "A2.ipynb"
    answer = graded_or_written(nb)["explain"]
    answer.source = "![image.png](attachment:image.png)"
    answer.attachments = {"image.png": {"image/png": "aGk="}}
    nbformat.write(nb, path)
    nb, _ = grading.Restore().preprocess(grading.read(path)[0], second_gradebook)
    answer = graded_or_written(nb)["explain"]
    assert answer.attachments == {"image.png": {"image/png": "aGk="}}
    assert grading.is_drawable(nb.cells, HTMLExporter(template_name="classic"))


def test_an_answer_without_its_cell_is_not_overwritten_and_waits_for_the_teacher(second_gradebook):
    nb = notebook("A2")
    for cell in nb.cells:
        cell.metadata = {}
    nb, _ = grading.Restore().preprocess(nb, second_gradebook)
    for name in ("picture", "explain"):
        cell = graded(nb)[name]
        assert "This cell was missing." in cell.source and "def" not in cell.source
        assert cell.metadata.nbgrader.checksum != compute_checksum(cell)  # so nbgrader asks
    nb, _ = grading.Restore().preprocess(new_notebook(), second_gradebook)
    assert all(
        cell.metadata.nbgrader.checksum == compute_checksum(cell) for cell in graded(nb).values()
    )


# --- collecting ----------------------------------------------------------------------------------------------------------------


def collected(folder, files):
    """By file name: the text of what is collected from files in an archive; and what the log says."""
    archive, extracted = folder / "archive", folder / "extracted"
    extracted.mkdir()
    for name, content in files.items():
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).write_bytes(content.encode() if isinstance(content, str) else content)
    collecting.Extract(parent=Command(folder)).extract(str(archive), str(extracted))
    return {path.name: path.read_text(encoding="utf-8") for path in extracted.iterdir()}


PLAIN = grading_table.text_of(notebook("A1"))
ZIPPED = grading_table.zipped


@pytest.mark.parametrize(
    "name, content",
    [
        ("anna_A1.ipynb", PLAIN),
        ("anna_a1.IPYNB", PLAIN),
        ("anna_A1 (1).ipynb", PLAIN),
        ("anna_A1-Copy1.ipynb", PLAIN),
        ("anna_A1.ipynb.txt", PLAIN),
        ("anna_A1.ipynb.json", PLAIN),
        ("folder/anna_A1.ipynb", PLAIN),
        ("anna_A1/A1.ipynb", PLAIN),
        ("anna_A1.zip", ZIPPED({"A1.ipynb": PLAIN})),
        ("anna_A1.ZIP", ZIPPED({"my homework.ipynb": PLAIN})),
        ("all.zip", ZIPPED({"anna_A1.zip": ZIPPED({"A1.ipynb": PLAIN})})),
        ("all.zip", ZIPPED({"anna_A1\\A1.ipynb": PLAIN})),
        ("anna_A1.zip", ZIPPED({"./": "", "./A1.ipynb": PLAIN, "./._A1.ipynb": "x"})),
        ("anna_A1.zip", ZIPPED({"A1.ipynb": PLAIN, ".ipynb_checkpoints/A1-checkpoint.ipynb": "x", "__MACOSX/._A1.ipynb": "x", "Thumbs.db": "x"})),
    ],
)  # fmt: skip
def test_one_notebook_is_collected_for_a_student(name, content, tmp_path, caplog):
    files = {
        name: content,
        "bob_A1.ipynb": PLAIN,
        "Thumbs.db": "",
        ".DS_Store": "",
        "__MACOSX/._bob_A1.ipynb": "",
    }
    assert collected(tmp_path, files) == {"anna_A1.ipynb": PLAIN, "bob_A1.ipynb": PLAIN}
    assert not caplog.records


ENCRYPTED = bytearray(ZIPPED({"A1.ipynb": PLAIN}))
for at in (
    6,
    ENCRYPTED.rindex(b"PK\1\2") + 8,
):  # the flag of an encrypted member, in both of its headers
    ENCRYPTED[at] |= 1


@pytest.mark.parametrize(
    "files, said",
    [
        ({"anna_A1.zip": b"PK\3\4 no zip"}, "anna_A1.zip is refused: it cannot be unpacked"),
        ({"anna_A1.zip": ZIPPED({"A1.ipynb": PLAIN})[:-30]}, "anna_A1.zip is refused: it cannot be unpacked"),
        ({"anna_A1.zip": bytes(ENCRYPTED)}, "anna_A1.zip is refused: it cannot be unpacked"),
        ({"anna_A1.zip": b""}, "anna_A1.zip is refused: it cannot be unpacked"),
        ({"anna_A1.zip": ZIPPED({"../../up.ipynb": PLAIN})}, "../../up.ipynb lies outside of it"),
        ({"anna_A1.zip": ZIPPED({"..\\up.ipynb": PLAIN})}, "lies outside of it"),
        ({"anna_A1.zip": ZIPPED({"/up.ipynb": PLAIN})}, "/up.ipynb lies outside of it"),
        ({"anna_A1.docx": "x"}, "anna_A1.docx is refused: it is no notebook"),
        ({"anna_A1.rar": "x"}, "anna_A1.rar is refused: it is no notebook"),
        ({"anna_A1.ipynb": "x", "anna_A1.py": "x"}, "anna_A1.py is refused: it is no notebook"),
        ({"anna_A1.ipynb": PLAIN, "anna_A1 (1).ipynb": "x"}, "anna_A1 (1).ipynb is refused: anna_A1.ipynb is marked"),
        ({"anna_A1.zip": ZIPPED({"a.ipynb": "x", "A1.ipynb": PLAIN})}, "anna_A1.zip/a.ipynb is refused: anna_A1.zip/A1.ipynb is marked"),
        ({"anna_A1.zip": ZIPPED({})}, "anna_A1.zip is refused: it cannot be unpacked (there is no notebook in it)"),
        ({"anna_A1.zip": ZIPPED({".ipynb_checkpoints/A1-checkpoint.ipynb": PLAIN, "empty/": ""})}, "there is no notebook in it"),
        ({"Anna_A1.ipynb": "x", "anna_A1 (1).ipynb": "x"}, "anna_A1 (1).ipynb is refused: Anna_A1.ipynb is marked"),
        ({"anna_A1 (1).ipynb": "x", "Anna_A1.ipynb": "x"}, "anna_A1 (1).ipynb is refused: Anna_A1.ipynb is marked"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_by_name_and_all_others_are_collected(files, said, tmp_path, caplog):
    found = collected(tmp_path, files | {"bob_A1.ipynb": PLAIN})
    assert found.pop("bob_A1.ipynb") == PLAIN and not (tmp_path / "up.ipynb").exists()
    [(name, text)] = found.items()
    assert name.lower() == "anna_a1.ipynb" and said in text.replace("\\\\", "\\")
    nbformat.validate(json.loads(text))
    lines = [line.lower() for line in caplog.text.splitlines()]
    assert any("anna: " in line and said.lower() in line for line in lines)


@pytest.mark.parametrize("student", ["Zoe\u0308", "[anna]"])
def test_the_usual_name_counts_also_where_a_name_is_cleaned(student, tmp_path):
    files = {f"{student}_A1 (1).ipynb": "x", f"{student}_A1.ipynb": PLAIN}
    [text] = collected(tmp_path, files).values()
    assert "How large is the signal?" in text and f"{student}_A1 (1).ipynb is refused" in text


@pytest.mark.parametrize(
    "outer", [{"anna_A1.zip": ZIPPED({"bob_A1.ipynb": "x"})}, {"anna_A1/bob_A1.ipynb": "x"}]
)
@pytest.mark.parametrize("own", ["bob_A1.ipynb", "bob_A1.zip"])
def test_what_lies_in_another_students_archive_replaces_no_notebook(outer, own, tmp_path, caplog):
    content = ZIPPED({"my homework.ipynb": PLAIN}) if own.endswith("zip") else PLAIN
    found = collected(tmp_path, outer | {own: content})
    [where] = outer
    assert "How large is the signal?" in found["bob_A1.ipynb"]
    assert f"bob: {where.split('/')[0]}/bob_A1.ipynb is refused: {own}" in caplog.text


def test_what_lies_in_another_students_archive_is_marked_where_there_is_no_other(tmp_path, caplog):
    files = {"class_A1.zip": ZIPPED({"anna_A1.ipynb": PLAIN, "bob_A1.ipynb": PLAIN})}
    assert collected(tmp_path, files) == {"anna_A1.ipynb": PLAIN, "bob_A1.ipynb": PLAIN}
    assert "bob: class_A1.zip/bob_A1.ipynb is marked: there is no other notebook" in caplog.text


@pytest.mark.parametrize("outer", ["all.zip", "class_A1.zip"])
def test_zip_files_in_zip_files_unpack_to_no_more_than_one_may(
    outer, tmp_path, monkeypatch, caplog
):
    """Each student's together; others in the same zip file are not harmed."""
    monkeypatch.setattr(collecting, "LARGEST_ARCHIVE", 5 * len(PLAIN))
    full = ZIPPED({"A1.ipynb": PLAIN, "x": "0" * (2 * len(PLAIN))})
    files = {f"{student}_A1.zip": full for student in ("anna", "bob")}
    files["eve_A1.zip"] = ZIPPED({f"{k}.zip": full for k in range(4)})
    found = collected(tmp_path, {outer: ZIPPED(files)})
    assert all("How large is the signal?" in found[f"{name}_A1.ipynb"] for name in ("anna", "bob"))
    assert [f"eve: {outer}/eve_A1.zip/{k}.zip is refused" in caplog.text for k in range(4)] == [
        False, True, True, True,
    ]  # fmt: skip


def test_what_lay_beside_the_notebook_is_handed_in_without_a_word(tmp_path, caplog):
    course = {"helpers/__init__.py": "", "data/x.npz": "x"}
    files = {"A1.ipynb": PLAIN, "checks.py": "", "checks.json": "{}", "course.zip": ZIPPED(course)}
    files |= {f"course/{name}": content for name, content in course.items()}
    files["__pycache__/checks.cpython-311.pyc"] = "x"
    assert collected(tmp_path, {"anna_A1.zip": ZIPPED(files)}) == {"anna_A1.ipynb": PLAIN}
    assert not caplog.records
    del files["A1.ipynb"]
    (tmp_path / "without").mkdir()
    assert (
        "is no notebook"
        in collected(tmp_path / "without", {"a_A1.zip": ZIPPED(files)})["a_A1.ipynb"]
    )


def test_a_zip_file_is_closed_before_it_is_removed(tmp_path, monkeypatch):
    """Windows removes no file that is open."""
    opened, unlink = [], Path.unlink

    class Archive(ZipFile):
        def __init__(self, path):
            super().__init__(path)
            opened.append(self)

    def remove(path):
        if any(archive.fp for archive in opened):
            raise PermissionError("the file is used by another process")
        unlink(path)

    monkeypatch.setattr(collecting, "ZipFile", Archive)
    monkeypatch.setattr(Path, "unlink", remove)
    files = {"anna_A1.zip": ZIPPED({"A1.ipynb": PLAIN})}
    assert collected(tmp_path, files) == {"anna_A1.ipynb": PLAIN}
    assert opened


def test_names_that_differ_in_more_than_capitals_are_two_students(tmp_path):
    files = {"Weiß_A1.ipynb": PLAIN, "Weiss_A1.ipynb": PLAIN}
    assert collected(tmp_path, files) == files


@pytest.mark.parametrize(
    "name", ["A1.ipynb", "anna_A2.ipynb", "anna_A12.ipynb", "anna.ipynb", "all.zip", "..._A1.ipynb"]
)
def test_a_file_that_names_no_student_is_refused_by_name(name, tmp_path, caplog):
    assert collected(tmp_path, {name: "PK", "bob_A1.ipynb": PLAIN}) == {"bob_A1.ipynb": PLAIN}
    assert (f"{name} is refused" in caplog.text) is not name.startswith(".")  # a hidden file


@pytest.mark.parametrize(
    "name, student",
    [("[anna]?*", "-anna---"), ("Zoe\u0308", "Zo\u00eb"), ("a" * 200, "a" * 100), ("x_A1", "x_A1"), ("a b+c@d.e", "a b+c@d.e")],
)  # fmt: skip
def test_students_names_can_be_those_of_folders(name, student):
    assert collecting.student_of(f"{name}_A1.ipynb", "A1") == student


# --- the settings --------------------------------------------------------------------------------------------------------------


BAD_SEEDS = ["", " ", "abc", "1.5", "-1", "0", "9" * 25, "1_0", "\u0663", "1 2", "true"]


@pytest.mark.parametrize("seed", [*BAD_SEEDS, None])
def test_no_command_of_nbgrader_runs_without_a_good_seed(seed, monkeypatch, tmp_path):
    monkeypatch.setattr(hand_out, "TEACHER", tmp_path)
    if seed is not None:
        (tmp_path / "seed.txt").write_text(seed, encoding="utf-8")
    with pytest.raises(SystemExit) as refused:
        PyFileConfigLoader("nbgrader_config.py", path=str(FOLDER)).load_config()
    message = (
        "teacher/seed.txt is missing: " if seed is None else "the seed must be an integer from 1 to"
    )
    assert str(refused.value).startswith(message)


# --- running -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """What `grading.Run` is told of a submission, beside which no files lie."""
    (tmp_path / "source" / "A1").mkdir(parents=True)
    monkeypatch.setattr(grading, "TEACHER", tmp_path)
    monkeypatch.setattr(grading, "course_seed", lambda: 1)
    monkeypatch.setattr(grading, "hidden", lambda assignment, seed: "")
    return {"nbgrader": {"assignment": "A1", "student": "anna"}}


def run(alone, *sources, **settings):
    """The notebook of cells with these sources, after it was run."""
    nb = new_notebook(cells=[*map(new_code_cell, sources)])
    return grading.Run(**{"timeout": 100, **settings}).preprocess(nb, alone)[0]


LOOK = """
import os
import sys

names = "PYTHONSTARTUP", "PYTHONSAFEPATH", "PIP_DRY_RUN", "PIP_NO_INDEX"
print("spy" in globals(), [os.environ.get(name) for name in names], os.getcwd() in map(os.path.abspath, sys.path))
"""


def test_no_setting_of_the_teachers_decides_and_pip_installs_nothing(alone, monkeypatch, tmp_path):
    startup = tmp_path / "profile_default" / "startup" / "spy.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("spy = 1")
    for name, value in (
        ("IPYTHONDIR", tmp_path),
        ("PYTHONSTARTUP", startup),
        ("PYTHONSAFEPATH", 1),
    ):
        monkeypatch.setenv(name, str(value))
    before = dict(os.environ)
    [cell] = run(alone, LOOK).cells
    assert cell.outputs[0].text == "False [None, None, '1', '1'] True\n"
    assert dict(os.environ) == before


def test_what_is_left_out_of_a_long_output_is_told_once(alone, monkeypatch):
    monkeypatch.setattr(grading, "LARGEST_OUTPUT", 5000)
    show = "from IPython.display import display\ndisplay({'image/png': 'aGk=' * 5000}, raw=True)\n"
    [long, short] = run(alone, show + "for _ in range(9):\n    print('x' * 5000)", "print(5)").cells
    assert [output.text for output in long.outputs] == [grading.LEFT_OUT]
    assert [output.text for output in short.outputs] == ["5\n"]


def test_a_count_that_is_none_spoils_no_notebook(alone):
    nb = run(alone, "get_ipython().execution_count = -99", "print(5)")
    assert nb.cells[1].outputs[0].text == "5\n"
    nbformat.validate(nb)


@pytest.mark.parametrize(
    "timeout, said",
    [(60, "all cells together took more than 10 minutes"), (-1, None), (None, None)],
)
def test_all_cells_together_have_a_limit_which_is_named(timeout, said, alone, monkeypatch):
    """The clock is one on which each look takes 400 seconds."""
    monkeypatch.setattr(grading, "monotonic", itertools.count(400, 400).__next__)
    nb = run(alone, "1", "2", timeout=timeout)
    if said:
        assert nb.cells[0].source.endswith(f"- Not all was run: {said}.")
        assert nb.cells[2].outputs[0].evalue == said
    else:
        assert [cell.outputs[0].data["text/plain"] for cell in nb.cells] == ["1", "2"]


@pytest.mark.parametrize("failures, starts", [(0, 1), (2, 3), (9, 3)])
def test_a_kernel_that_does_not_start_is_started_again(monkeypatch, alone, failures, starts):
    """As where two graders work side by side, and one takes the port that the other's kernel was to have."""
    seen = []

    def start(self, nb, resources):
        seen.append(nb)
        if len(seen) <= failures:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(grading.Execute, "preprocess", start)
    if failures < starts:
        assert grading.Run().run(new_notebook(), alone) == (0, False)
    else:
        with pytest.raises(RuntimeError, match="Kernel died"):
            grading.Run().run(new_notebook(), alone)
    assert len(seen) == starts


# --- feedback ------------------------------------------------------------------------------------------------------------------


def test_hidden_lines_are_cut_from_test_cells_and_from_no_others():
    nb = grading_table.with_cell(notebook("A1"), "### BEGIN HIDDEN TESTS\nprint('mine')")
    nb, _ = grading.HideTests().preprocess(nb, {})
    sources = [cell.source for cell in nb.cells]
    assert not any("hand_in" in source for source in sources)
    assert 'check("sizes", sizes)' in sources and "print('mine')" in sources[2]


@pytest.mark.parametrize(
    "text", ["![a plot](attachment:lost.png)", '<img src="attachment:lost.png">', "~~~\n![p](attachment:x)"]
)  # fmt: skip
def test_a_text_that_cannot_be_drawn_is_shown_as_it_is(text):
    picture = new_output("display_data", data={"image/png": "aGk="})
    nb = notebook("A1")
    nb.cells += [new_markdown_cell(text), new_code_cell("", outputs=[picture])]
    whole = grading.is_drawable(nb.cells, HTMLExporter(template_name="classic"))
    nb, _ = grading.Drawable().preprocess(nb, {"nbgrader": {"student": "anna"}})
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(nb)
    assert "attachment:" in page and "How large is the signal?" in page and "aGk=" in page
    assert ("is shown as plain text" in nb.cells[0].source) is not whole


@pytest.mark.parametrize("about", [5, [1]])
def test_an_output_that_only_nbgraders_pages_cannot_draw_is_left_out(about):
    odd = new_output("display_data", data={"text/html": "x"}, metadata={"text/html": about})
    nb = new_notebook(cells=[new_code_cell("", outputs=[odd])])
    nb, _ = grading.Drawable().preprocess(nb, {"nbgrader": {"student": "anna"}})
    assert nb.cells[1].outputs == [] and "is shown as plain text" in nb.cells[0].source


def test_a_notebook_that_can_be_drawn_is_left_as_it_is():
    nb, _ = grading.Drawable().preprocess(notebook("A1"), {})
    assert nb == notebook("A1")


# --- nbgrader's whole way ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the teacher's folder in which A1 has been handed out."""
    course = grading_table.Course(tmp_path_factory.mktemp("course"))
    course.run("hand_out.py")
    return course


SAMPLE = (
    "reference", "empty", "last_year", "wrong", "stumbles", "loops", "old", "picture", "two", "files", "test_copied", "foreign_cell", "bare", "no_json",
    "corrupt_zip", "patched", "hooked", "settings", "by_chance", "vandal", "exit", "after_a_moment", "odd_output", "marker",
)  # fmt: skip  # of the class that tests/grading_table.py grades


@pytest.fixture(scope="module")
def results(course):
    """By name: a sample of the submissions of A1, graded in one batch, and what became of them."""
    whole = grading_table.submissions(course.released("A1"))
    batch = {name: whole[name] for name in SAMPLE}
    found = grading_table.grade(course, batch, order=0, timeout=60)
    return {name: (submission, found[name]) for name, submission in batch.items()}


@pytest.mark.slow
def test_every_submission_of_a_batch_gets_the_mark_that_it_deserves_and_is_told_why(results):
    problems = {name: grading_table.wrong(*result) for name, result in results.items()}
    assert problems == dict.fromkeys(SAMPLE, "")


@pytest.mark.slow
def test_feedback_shows_no_hidden_line_and_no_traceback_of_a_test(results, course):
    for name, (_, result) in results.items():
        assert "hand_in(" not in result.page and "HIDDEN TESTS" not in result.page.replace(
            "### BEGIN HIDDEN TESTS\nprint", ""
        ), name
        path = course.folder / "autograded" / result.student / "A1" / "A1.ipynb"
        run = nbformat.read(path, as_version=4)
        outputs = [output for cell in graded(run).values() for output in cell.outputs]
        assert all(len(output.get("traceback", [])) <= 1 for output in outputs)


@pytest.mark.slow
def test_recipes_get_the_marks_that_they_deserve(tmp_path):
    course = grading_table.Course(tmp_path)
    course.run("hand_out.py", assignment="A2")
    batch = grading_table.open_tasks()
    found = grading_table.grade(course, batch, order=0, assignment="A2")
    assert {name: grading_table.wrong(batch[name], found[name]) for name in batch} == dict.fromkeys(
        batch, ""
    )


@pytest.mark.slow
def test_a_grader_that_was_killed_goes_on_where_it_was(course_of_three):
    """It is killed while the second of three submissions runs."""
    course = course_of_three
    process = course.start("autograde")
    second = course.folder / "autograded" / "b" / "A1" / "A1.ipynb"
    while not grading.metadata_of(second):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    left = json.loads(second.read_text(encoding="utf-8"))
    assert "marked" not in left["metadata"]
    log = course.run("autograde")
    assert "b/A1 is not finished: it is graded again" in log and "Skipping existing" in log
    course.run("generate_feedback")
    grades = course.grades()
    assert [float(grades["A1", student]["score"]) for student in "abc"] == [20, 20, 20]
    assert all(course.page(student) for student in "abc")
    course.hand_in("b", {"/A1.ipynb": file_of("no_json")})
    log = course.run("autograde")
    assert log.count("it is graded again") == log.count("b/A1 was handed in anew") == 1
    grades = course.grades()
    assert [float(grades["A1", student]["score"]) for student in "abc"] == [20, 0, 20]


@pytest.fixture
def course_of_three(tmp_path):
    course = grading_table.Course(tmp_path)
    course.run("hand_out.py")
    for student in "abc":
        course.hand_in(student, {"/A1.ipynb": PLAIN})
    return course


@pytest.mark.slow
def test_a_course_has_one_seed(course):
    log = course.run("hand_out.py", "--seed=4712", status=2)
    assert log.splitlines()[-1].endswith(
        f"this course has the seed {SEED}: for a new course, move teacher/, release/ and gradebook.db away first"
    )


@pytest.mark.slow
def test_a_hub_releases_and_collects(course, tmp_path):
    """The exchange of a hub, in which the teacher's folder and a student's are different ones."""
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    course.run("release_assignment", f"--Exchange.root={exchange}")
    assert (exchange / "depth" / "outbound" / "A1" / "A1.ipynb").exists()
    handed_in = exchange / "depth" / "inbound" / "someone+A1+2030-01-01 00:00:00 UTC+aaaa"
    shutil.copytree(course.folder / "release" / "A1", handed_in)
    (handed_in / "timestamp.txt").write_text("2030-01-01 00:00:00 UTC")
    course.run("collect", f"--Exchange.root={exchange}", "--ExchangeCollect.check_owner=False")
    assert (course.folder / "submitted" / "someone" / "A1" / "A1.ipynb").exists()
