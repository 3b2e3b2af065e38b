"""The commands that the README and its companions name, typed as they stand there, but on little."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / ".github" / "CONTRIBUTING.md",
        *sorted((ROOT / "notebooks" / "assignments").glob("*.md")),
    )
)


def run(*words, **settings):
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=1200, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def script(name, *words):
    """What `.venv/bin/python tests/NAME` prints; the README must name it."""
    assert re.search(rf"`\.venv/bin/python tests/{re.escape(name)}[ `]", README)
    return run(sys.executable, ROOT / "tests" / name, *words, cwd=ROOT)


def can_mount():
    """Whether a test may mount a file system of its own here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


def test_every_command_of_the_readme_is_known_here():
    known = "jupyter lab|jupyter nbconvert|nbstripout|pip install|pytest|ruff (format --check|check) .|voila|activate|python -m helpers.(experiments|pages)|"
    known += "python tests/(moving_picture|benchmark|soak|hard_use|grading_table|engine_record).py"
    found = re.findall(r"\.venv/bin/([^&`\n]+)", README)
    assert len(found) > 8 and [one for one in found if not re.match(known, one)] == []


@pytest.mark.slow
def test_notebooks_are_executed_by_the_readmes_line(tmp_path):
    [line] = re.findall(r"^TQDM_DISABLE=1 .*", README, re.MULTILINE)
    line = line.replace("NN_name", "03_batch_norm")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    path = shutil.copy(ROOT / "notebooks" / "03_batch_norm.ipynb", tmp_path / "notebooks")
    before = nbformat.read(path, as_version=4)
    stripped = nbformat.from_dict(before)
    for cell in stripped.cells:
        cell |= {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
    nbformat.write(stripped, path)
    run("sh", "-c", line, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    after = nbformat.read(path, as_version=4)
    counts = [
        [cell.get("execution_count") for cell in notebook.cells] for notebook in (before, after)
    ]
    assert counts[0] == counts[1] and set(after.metadata) <= {"kernelspec", "language_info"}
    assert [cell.id for cell in before.cells] == [cell.id for cell in after.cells]


@pytest.mark.slow
def test_the_benchmark_prints_a_row():
    assert re.search(
        r"^\| `profile`.* ms \| .* ms \| \d[\d.]* \| at most 1\.6.*\|$",
        script("benchmark.py", "--quick", "--only", "profile"),
        re.MULTILINE,
    )


@pytest.mark.slow
def test_hard_use_finds_nothing_where_a_kernel_dies():
    assert "killed: " in script("hard_use.py", "killed")


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no disk of its own may be mounted")
def test_hard_use_finds_nothing_where_a_disk_is_full():
    assert "Nothing went wrong." in script("hard_use.py", "full")
