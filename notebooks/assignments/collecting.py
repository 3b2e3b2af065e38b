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
                            unzip(path)
                        except Exception as problem:  # noqa: BLE001, whatever is wrong with a file
                            refused[path] = f"it cannot be unpacked ({problem})"
            self.choose(folder, refused, Path(extracted_path))

    def choose(self, folder, refused, extracted):
        """Writes one notebook for each student from the files in a folder. refused: from a file to the reason."""
        assignment = self.parent.coursedir.assignment_id
        handed_in = {}
        for path in files(folder):
            names = path.relative_to(folder).parts
            student = next(
                filter(None, (student_of(name, assignment) for name in names[::-1])), None
            )
            if student:
                handed_in.setdefault(student, []).append(path)
            else:
                why = refused.get(path, f"its name is not STUDENT_{assignment}.ipynb")
                self.log.error("%s is refused: %s", "/".join(names), why)
        for student, paths in handed_in.items():
            usual = {f"{student}_{assignment}.ipynb".lower(), f"{assignment}.ipynb".lower()}
            notebooks = [
                path
                for path in paths
                if re.search(r"\.ipynb(\.txt|\.json)?$", path.name, re.IGNORECASE)
            ]
            notebooks.sort(key=lambda path: path.name.lower() not in usual)
            notebook, notes = read(notebooks[0]) if notebooks else (new_notebook(), [])
            for path in paths:
                if path in notebooks[1:]:
                    refused[path] = f"{notebooks[0].name} is marked, and one notebook counts"
                if path not in notebooks[:1]:
                    notes.append(
                        f"{path.name} is refused: {refused.get(path, 'it is no notebook')}."
                    )
            target = extracted / f"{student}_{assignment}.ipynb"
            if notes:
                add_notes(notebook, student, self.log, notes)
                nbformat.write(notebook, target)
            else:
                shutil.copy(notebooks[0], target)


def files(folder):
    """All files in a folder and in the folders in it, always in the same order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def litter(_, names):
    """Of names in a folder those that systems leave there, and no student."""
    known = ("__macosx", "thumbs.db", "desktop.ini")
    return [name for name in names if name.startswith((".", "~")) or name.lower() in known]


def student_of(name, assignment):
    """The student in a file's name, without characters that have a meaning in a search for files; None if there is none."""
    found = re.match(rf"(.+)_{assignment}(?!\d)", normalize("NFC", name), re.IGNORECASE)
    return re.sub(r"[^\w .@+-]", "-", found[1]).strip(" .")[:100] if found else None


def unzip(path):
    """Puts in the place of a zip file a folder of its name with what it holds. Raises an exception, and changes nothing, if it cannot."""
    with ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            if {"", ".."} & set(re.split(r"[/\\]", member.filename.rstrip("/"))):
                raise ValueError(f"{member.filename} lies outside of it")
        if sum(member.file_size for member in members) > LARGEST_ARCHIVE:
            raise ValueError(f"it unpacks to over {LARGEST_ARCHIVE / 1e9:.0f} GB")
        wanted = [one for one in members if not litter(None, one.filename.split("/"))]
        with TemporaryDirectory() as folder:
            archive.extractall(folder, wanted)
            path.unlink()
            shutil.move(folder, path)
