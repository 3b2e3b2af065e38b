"""The ways to hand the course out, as far as they can be tried without their services."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
README = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / ".github" / "CONTRIBUTING.md",
        *sorted((ROOT / "notebooks" / "assignments").glob("*.md")),
    )
)


def test_the_first_cell_for_colab_brings_helpers_and_data(tmp_path):
    """Run with a repository of this machine in the place of the one that nobody knows yet."""
    [cell] = re.findall(r"```python\n(import subprocess.*?)```", README, re.DOTALL)
    there = tmp_path / "there"
    for folder in ("helpers", "data"):
        shutil.copytree(
            ROOT / folder, there / folder, ignore=shutil.ignore_patterns("__pycache__", "*.part")
        )
    git = ["git", "-C", str(there), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *words], check=True)
    assert "https://github.com/OWNER/REPOSITORY" in cell
    cell = cell.replace("https://github.com/OWNER/REPOSITORY", there.as_uri())
    here = tmp_path / "here"
    here.mkdir()
    asked = (
        cell + "from helpers import datasets\nprint(datasets.DATA)\nprint(len(datasets.digits().x))"
    )
    run = {
        "cwd": here,
        "env": os.environ | {"PYTHONSAFEPATH": "1"},
        "capture_output": True,
        "text": True,
    }
    data, examples = subprocess.run([sys.executable, "-c", asked], check=True, **run).stdout.split()
    assert Path(data) == here / "course" / "data" and examples == "1500"


def test_the_recipes_say_what_the_readme_says():
    container = json.loads(
        (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    )
    assert f"{container['postCreateCommand']} && .venv/bin/jupyter lab" in README
    assert "python:3.11" in container["image"] and "Python 3.11" in README
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip() == "python-3.11"
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-r ../requirements.txt"]


def test_windows_types_the_same_words():
    [line] = re.findall(r"`(py -3\.11 .*)`", README)
    for there, here in (
        ("py -3.11", "python3"),
        ("Scripts\\", "bin/"),
        (".venv\\", ".venv/"),
        ("; ", " && "),
    ):
        line = line.replace(there, here)
    assert f"{line} --allow-root" in README


def test_binder_would_install_the_course_in_the_repository():
    """repo2docker's own reading of the recipe; a container is not built."""
    [command] = re.findall(r"`(jupyter-repo2docker .*)`", README)
    words = [Path(sys.executable).parent / "jupyter-repo2docker", *command.split()[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    recipe = done.stdout + done.stderr
    assert "python=3.11" in recipe
    assert re.findall(r"pip install (.*)", recipe) == [
        '--no-cache-dir -r ".binder/requirements.txt"'
    ]  # no second copy of helpers
