"""How submissions are collected from a learning platform: one notebook a student, and no file that stops the others."""

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize
from zipfile import ZipFile

import nbformat
from grading import add_notes, read
from nbformat.v4 import new_notebook
from nbgrader.plugins import ExtractorPlugin

LARGEST_ARCHIVE, NESTED = 1e9, 3  # bytes that it unpacks to; zip files in zip files
# What lay beside the notebook, or came there when it ran.
RELEASED = {"checks.py", "checks.json", "course", "course.zip", "__pycache__"}


class Extract(ExtractorPlugin):
    """Finds each student's notebook among files and zip files, and writes it as STUDENT_A1.ipynb.

    A file that cannot be used is refused by its name, in the log and in that student's feedback.
    """

    def extract(self, archive_path, extracted_path):
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "archive"
            shutil.copytree(archive_path, folder, ignore=litter, ignore_dangling_symlinks=True)
            refused = {}
            for _ in range(NESTED):
                for path in files(folder):
                    if path.suffix.lower() == ".zip" and path not in refused:
                        try:
                            unzip(path, self.room(path, folder))
                        except Exception as problem:  # noqa: BLE001, whatever is wrong with a file
                            refused[path] = f"it cannot be unpacked ({problem})"
            self.choose(folder, refused, Path(extracted_path))

    def room(self, path, folder):
        """How many bytes a zip file may unpack to: with all other files of its student, at most LARGEST_ARCHIVE."""
        assignment = self.parent.coursedir.assignment_id
        own = students_of(path, folder, assignment)[-1:]
        around = [one for one in (path, *path.parents) if one.is_relative_to(folder)]
        whole = [one for one in around if [student_of(one.name, assignment)] == own] or [path]
        return LARGEST_ARCHIVE - sum(one.stat().st_size for one in files(whole[-1]))

    def choose(self, folder, refused, extracted):
        """Writes one notebook for each student from the files in a folder. refused: from a file to the reason."""
        assignment = self.parent.coursedir.assignment_id
        handed_in = {}  # by name in small letters: name and files
        for path in files(folder):
            students = students_of(path, folder, assignment)
            if students:
                key = students[-1].lower()
                handed_in.setdefault(key, (students[-1], []))[1].append(path)
            else:
                why = refused.get(path, f"its name is not STUDENT_{assignment}.ipynb")
                self.log.error("%s is refused: %s", place(path, folder), why)
        for student, paths in handed_in.values():
            self.choose_one(student, paths, folder, refused, extracted)

    def choose_one(self, student, paths, folder, refused, extracted):
        """Writes one notebook of a student's files. One that lies in what another student handed in comes last."""
        assignment = self.parent.coursedir.assignment_id

        def of_another(path):
            return len({name.lower() for name in students_of(path, folder, assignment)}) > 1

        def unusual(path):
            return not re.fullmatch(rf"(.+_)?{assignment}\.ipynb", path.name, re.IGNORECASE)

        notebooks = [
            path
            for path in paths
            if re.search(r"\.ipynb(\.txt|\.json)?$", path.name, re.IGNORECASE)
        ]
        notebooks.sort(key=lambda path: (of_another(path), unusual(path)))
        notebook, notes = read(notebooks[0]) if notebooks else (new_notebook(), [])
        for path in paths:
            if notebooks and path not in notebooks and RELEASED & {*path.relative_to(folder).parts}:
                continue
            if path in notebooks[1:]:
                refused[path] = f"{place(notebooks[0], folder)} is marked, and one notebook counts"
            if path not in notebooks[:1]:
                why = refused.get(path, "it is no notebook")
                notes.append(f"{place(path, folder)} is refused: {why}.")
            elif of_another(path):
                where = place(path, folder)
                self.log.warning("%s: %s is marked: there is no other notebook", student, where)
        target = extracted / f"{student}_{assignment}.ipynb"
        if notes:
            add_notes(notebook, student, self.log, notes)
            nbformat.write(notebook, target)
        else:
            shutil.copy(notebooks[0], target)


def files(folder):
    """All files in a folder and in the folders in it, always in the same order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def place(path, folder):
    """Where a file lies in a folder, in words."""
    return path.relative_to(folder).as_posix()


def litter(_, names):
    """Of names in a folder those that systems leave there, and no student."""
    known = ("__macosx", "thumbs.db", "desktop.ini")
    return [name for name in names if name.startswith((".", "~")) or name.lower() in known]


def student_of(name, assignment):
    """The student in a file's name, without characters that have a meaning in a search for files; None if there is none."""
    found = re.match(rf"(.+)_{assignment}(?!\d)", normalize("NFC", name), re.IGNORECASE)
    return re.sub(r"[^\w .@+-]", "-", found[1]).strip(" .")[:100] if found else None


def students_of(path, folder, assignment):
    """The students in the names of a file and of the folders and zip files around it; the file's own comes last."""
    names = path.relative_to(folder).parts
    return [student for name in names if (student := student_of(name, assignment))]


def unzip(path, room):
    """Puts in the place of a zip file a folder of its name with what it holds, of at most `room` bytes.

    Raises an exception, and changes nothing, if it cannot.
    """
    with TemporaryDirectory() as folder:
        with ZipFile(path) as archive:
            members = archive.infolist()
            wanted = [member for member in members if not litter(None, names_in(member))]
            for member in members:
                if {"", ".."} & set(names_in(member)):
                    raise ValueError(f"{member.filename} lies outside of it")
            if sum(member.file_size for member in members) > room:
                raise ValueError(
                    f"what its student handed in unpacks to over {LARGEST_ARCHIVE / 1e9:.0f} GB"
                )
            if all(member.is_dir() for member in wanted):
                raise ValueError("there is no notebook in it")
            archive.extractall(folder, wanted)
        path.unlink()  # which Windows refuses while the archive is open
        shutil.move(folder, path)


def names_in(member):
    """The names in the path of a zip file's member. Some programs begin each path with a dot."""
    names = re.split(r"[/\\]", member.filename.rstrip("/"))
    return [name for name in names if name != "."]
