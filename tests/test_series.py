"""The nine lessons, the README and `helpers` as one text: links lead somewhere, works are cited alike, imports go one way."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

import helpers

ROOT = Path(__file__).resolve().parent.parent
LESSONS = {
    path.stem: nbformat.read(path, as_version=4)
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
}
TEXTS = {
    name: "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for name, notebook in LESSONS.items()
}
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = ("arguments", "datasets", "networks", "signals", "executors", "training", "experiments")
SUBPACKAGES = {"live": (), "exercises": (), "pages": ("live",)}  # which others each may import
UNNUMBERED = ("diploma thesis", "Summer School")  # works that have neither an identifier nor a page
SOURCES = [path for path in (ROOT / "helpers").rglob("*.py") if path.stem != "__init__"]


def imports(cell):
    """The names that a cell of code imports from helpers."""
    code = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes if node.module == "helpers" for alias in node.names}


def listed(docstring):
    """The lessons that a docstring names: "Lessons 01, 04 and 06 to 08." are 1, 4, 6, 7 and 8."""
    if "In every lesson" in docstring:
        return {*range(1, 10)}
    named = set()
    for numbers in re.findall(r"[Ll]essons? (\d\d(?:(?:,| and| to)\s+\d\d)*)", docstring):
        for first, last in re.findall(r"(\d\d)(?:\s+to\s+(\d\d))?", numbers):
            named |= {*range(int(first), int(last or first) + 1)}
    return named


def test_a_docstring_names_the_lessons_that_use_what_it_describes():
    users = {}
    for name, notebook in LESSONS.items():
        for cell in notebook.cells:
            for used in imports(cell) if cell.cell_type == "code" else ():
                users.setdefault(used, set()).add(int(name[:2]))
    assert listed("Lessons 01, 04 and\n    06 to 08.") == {1, 4, 6, 7, 8} and "build" in users
    wrong = {
        name: sorted(lessons)
        for name, lessons in users.items()
        if not lessons <= listed(getattr(helpers, name).__doc__)
    }
    assert wrong == {}


# --- the lessons --------------------------------------------------------------------------------------------------------------


def references(name):
    """From each work's authors and title to where it can be found, as a lesson's list has them."""
    lines = [line[2:] for line in TEXTS[name].split("## References")[1].strip().splitlines()]
    found = [
        re.fullmatch(r"(.+?, (?:arXiv:[\d.]+\d|doi:\S+?|https://\S+?|[^:]+)): [^:]+\.", line)
        for line in lines
    ]
    assert all(found), [line for line, one in zip(lines, found) if not one]
    return [one[1] for one in found]


@pytest.mark.parametrize("name", LESSONS)
def test_every_work_can_be_found(name):
    for work in references(name):
        assert re.search(r"arXiv:\d{4}\.\d{4,5}$|doi:10\.\d{4,}/\S+$|https://\S+$", work) or any(
            one in work for one in UNNUMBERED
        ), work


def test_the_same_work_is_cited_in_the_same_words():
    titles, everything = {}, {work for name in LESSONS for work in references(name)}
    for work in everything:
        titles.setdefault(re.search(r"\*(.+?)\*|`(.+?)`", work)[0].casefold()[:25], []).append(work)
    assert [works for works in titles.values() if len(works) > 1] == []
    assert len(everything) > 20


@pytest.mark.parametrize("name", LESSONS)
def test_every_link_of_a_lesson_leads_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)", TEXTS[name])
    assert links or name == [*LESSONS][-1]
    for link in links:
        file, _, cell = link.partition("#cell-id=")
        assert link.startswith("https://") or (ROOT / "notebooks" / file).is_file(), link
        assert not cell or cell in [found.id for found in LESSONS[file[:-6]].cells], link
    named = {int(number) for number in re.findall(r"[Ll]essons? (\d\d)", TEXTS[name])}
    assert named <= set(range(1, len(LESSONS) + 1))


def test_every_link_of_the_readmes_leads_somewhere():
    for path in (
        ROOT / "README.md",
        ROOT / ".github" / "CONTRIBUTING.md",
        ROOT / "data" / "README.md",
        *(ROOT / "notebooks" / "assignments").glob("*.md"),
    ):
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (path.parent / link.split("#")[0]).exists(), (
                f"{path.name}: {link}"
            )


def test_every_section_that_the_teachers_plans_name_is_there():
    plans = (ROOT / "notebooks" / "assignments" / "TEACHING.md").read_text(encoding="utf-8")
    named = re.findall(r"\b(\d\d), \*([^*]+)\*", plans)
    assert len(named) > 20
    for number, section in named:
        [text] = [text for name, text in TEXTS.items() if name.startswith(number)]
        assert re.search(rf"^## {re.escape(section)}(:.*)?$", text, re.MULTILINE), (number, section)


def ending(name):
    """The last paragraph of a lesson's text, before its folded small print and its references."""
    text = TEXTS[name].split("## References")[0]
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).strip().split("\n\n")[-1]


def test_each_lesson_ends_with_the_question_that_the_next_one_asks():
    names = [*LESSONS]
    for name, following in pairwise(names):
        question = r"\*\*[^*]+\?\*\*"
        assert re.search(question, ending(name)) and f"]({following}.ipynb)" in ending(name), name
        title = re.match(r"# \d\d · (.+)", TEXTS[following])[1]
        assert title.endswith("?"), f"{following}: a lesson's title is its question"
    assert re.search(question, ending(names[-1]))


def test_the_readme_takes_two_minutes():
    """At most 120 lines; a hundred words are read in half a minute, tables and commands aside."""
    assert len(README.splitlines()) <= 120
    told = re.sub(r"```.*?```|^[|!].*?$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert len(told.split("## If something")[0].split()) < 450


def test_the_readme_tells_each_lesson_and_its_minutes():
    for name in LESSONS:
        [row] = [
            line
            for line in README.splitlines()
            if f"(notebooks/{name}.ipynb)" in line and line.startswith("|")
        ]
        told = sum(
            int(minutes)
            for minutes in re.findall(r"\d+", re.search(r"\*(\d+ minutes.*?)\.", TEXTS[name])[1])
        )
        assert row.rstrip(" |").endswith(f"{told} min"), (row, told)


def test_a_lesson_takes_about_as_long_as_it_says():
    """Counted, not timed on people: 180 words a minute, 22 lines of code, three minutes for each thing to move, one for a prediction."""
    for name, notebook in LESSONS.items():
        words = len(
            re.sub(
                r"```.*?```|</?\w[^>]*>|\$\$.*?\$\$|\$[^$]+\$",
                " x ",
                TEXTS[name].split("## References")[0],
                flags=re.DOTALL,
            ).split()
        )
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        lines = sum(len(source.splitlines()) for source in code)
        moved = sum(bool(re.search(r"(Explorer|Playground)\(", source)) for source in code)
        counted = words / 180 + lines / 22 + 3 * moved + TEXTS[name].count("**Predict.**")
        told = int(re.search(r"\*(\d+) minutes", TEXTS[name])[1])
        assert 0.8 < told / counted < 1.4, f"{name}: told {told}, counted {counted:.0f}"


def test_the_first_lesson_has_at_most_five_new_words_before_its_first_run():
    """They are the items of its first list behind the objectives. Signs of later lessons wait for their lesson."""
    cells = LESSONS["01_deeper_made_it_worse"].cells
    first_run = next(k for k, cell in enumerate(cells) if re.search(r"\bfit\(", cell.source))
    before = [cell.source for cell in cells[1:first_run] if cell.cell_type == "markdown"]
    words = re.findall(r"^- .+", "\n".join(before), re.MULTILINE)
    assert 1 <= len(words) <= 5
    assert all(re.match(r"- .{0,6}(\*[^*]+\*|`[^`]+`)", word) for word in words), words
    assert "| sign |" not in TEXTS["01_deeper_made_it_worse"]


def test_spelling():
    files = [
        str(path)
        for path in [*SOURCES, *(ROOT / "tests").rglob("*.py"), *ROOT.rglob("README.md")]
        if ".venv" not in path.parts
    ]
    for name, text in TEXTS.items():
        assert "behavior" not in text and "color" not in text, (
            f"{name}: British spelling, but for -ize"
        )
    words = "\n".join(TEXTS.values())
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list=leary,nd"]
    found = subprocess.run(
        [*command, "-"], input=words, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    found = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


# --- helpers ------------------------------------------------------------------------------------------------------------------


def imported(path):
    """The modules of helpers that one of them imports, each as its names below helpers."""
    folder = path.relative_to(ROOT / "helpers").parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - node.level + 1]
            names = node.module.split(".") if node.module else [node.names[0].name]
            yield (*base, *names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            assert not any(name.split(".")[0] == "helpers" for name in names), (
                f"{path}: import relatively"
            )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "helpers")))
def test_imports_go_one_way(path):
    """A module of the model code imports earlier ones only, and itself, where it is a command. A subpackage imports the model code, and
    SUBPACKAGES says what else."""
    own = path.relative_to(ROOT / "helpers").with_suffix("").parts[0]
    assert own in MODEL or own in SUBPACKAGES, f"{own} is not in the plan"
    allowed = (
        MODEL[: MODEL.index(own) + 1] if own in MODEL else (*MODEL[:-1], own, *SUBPACKAGES[own])
    )
    for module in imported(path):
        assert module[0] in allowed, f"{own} imports {'.'.join(module)}"


def test_the_distribution_has_a_name_of_its_own():
    """PyPI has an unrelated, newer `helpers`, which `pip install --upgrade` would put in this one's place."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["name"] != "helpers" == settings["tool"]["flit"]["module"]["name"]
    assert metadata.version(settings["project"]["name"]) == settings["project"]["version"]
    assert Path(helpers.__file__).parent == ROOT / "helpers"


def test_what_helpers_hands_on_is_used():
    contributors = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = contributors + "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").rglob("*.ipynb")
    )
    names = [
        name
        for name, one in vars(helpers).items()
        if getattr(one, "__module__", "").startswith("helpers.")
    ]
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", used)] == []


def test_nothing_in_helpers_is_unused():
    """Every function and class of a module is named a second time somewhere."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    cells = [
        cell.source
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        for cell in nbformat.read(path, 4).cells
    ]
    teacher = [path.read_text("utf-8") for path in (ROOT / "notebooks").rglob("*.py")]
    words = Counter(re.findall(r"\w+", "\n".join([*texts, *cells, *teacher, README])))
    nodes = [node for text in texts for node in ast.parse(text).body]
    names = [node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(names) > 100
    assert [name for name in names if words[name] < 2] == []
