"""What the tests in a browser share: the course opened in a JupyterLab, with every cell of lesson 02 run once, and of the others what
their explorers need."""

import ast
import shutil
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from . import lab

expect.set_options(timeout=lab.PATIENCE)
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LESSON = "02_signal_drift.ipynb"


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked
def pytest_collection_modifyitems(items):
    """Every test in a browser is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; where there is none, the test is skipped and says so."""
    if reason := lab.missing():
        pytest.skip(reason)
    with lab.browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def course(browser, tmp_path_factory):
    """A copy of the notebooks, so that no test writes into the committed ones, and the address of a JupyterLab there."""
    root = tmp_path_factory.mktemp("course")
    ignored = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=ignored)
    for path in (root / "notebooks").glob("[0-9]*.ipynb"):
        if path.name != LESSON:
            shorten(path)
    with lab.server(root, tmp_path_factory.mktemp("private")) as url:
        yield root, url


@pytest.fixture(scope="session")
def lesson(browser, course):
    """The page of lesson 02 after "Run All Cells"."""
    with opened(browser, course, LESSON) as page:
        yield page


def shorten(path):
    """Leaves of a notebook's code what its explorers need; nbval runs every cell, and that takes long for some."""
    notebook = nbformat.read(path, as_version=4)
    needed, kept = set(), []
    for cell in reversed([cell for cell in notebook.cells if cell.cell_type == "code"]):
        nodes = [*ast.walk(ast.parse(cell.source))]
        names = [node for node in nodes if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        made |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        filled = {
            getattr(node.value, "id", None)
            for node in nodes
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        }
        first = "set_num_threads" in cell.source
        if (
            first
            or needed & (made | filled)
            or "Explorer(" in cell.source
            or "Playground(" in cell.source
        ):
            needed = (needed | {node.id for node in names if isinstance(node.ctx, ast.Load)}) - made
            kept.append(cell.id)
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "markdown" or cell.id in kept
    ]
    nbformat.write(notebook, path)


@contextmanager
def opened(browser, course, name, figures=1):
    """A page with a notebook after "Run All Cells", when so many live figures are drawn. page.complaints: what the page and its console
    found wrong."""
    url = course[1]
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(f"error: {error}"))
    page.on(
        "console",
        lambda note: note.type == "error" and page.complaints.append(f"console: {note.text}"),
    )
    page.on(
        "request",
        lambda request: (
            foreign(request.url, url) and page.complaints.append(f"asked for {request.url[:200]}")
        ),
    )
    lab.open_notebook(page, url, f"notebooks/{name}")
    lab.run_all(page)
    figures_drawn(page, figures)
    yield page
    page.close()


def figures_drawn(page, count):
    """Waits until the page has so many live figures, each with a canvas."""
    expect(page.locator(".live:has(canvas)")).to_have_count(count)


def foreign(address, url):
    """Whether an address lies outside the notebook's own server."""
    return not address.startswith((url, "data:", "blob:", url.replace("http", "ws")))
