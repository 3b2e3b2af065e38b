"""Lesson 09 as an app, by the teachers' guide's command, and a live figure in one."""

import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from . import lab, live
from .test_playground import PYTHON, button, wait_for

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def voila(notebook):
    """The address of an app, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "voila", str(notebook), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, **quiet)
    deadline = time.monotonic() + 200
    try:
        while not answers(port):
            assert process.poll() is None and time.monotonic() < deadline, "Voilà did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        lab.end(process)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def app():
    """The app of the guide's command."""
    [command] = re.findall(
        r"`\.venv/bin/voila (notebooks/\S+)`",
        (ROOT / "notebooks" / "assignments" / "HOSTING.md").read_text(encoding="utf-8"),
    )
    with voila(command) as address:
        yield address


def test_the_playground_is_an_app(browser, app):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(lab.PATIENCE)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(app, timeout=0)  # every cell runs before anything is shown: as long as that takes
    expect(page.locator(".live:has(canvas)")).to_have_count(2, timeout=300 * lab.SECOND)
    assert page.get_by_text("from helpers import").count() == 0
    explorer = page.locator(".live").first
    button(explorer, "start").click()
    wait_for(explorer, "step > start + 20")
    button(explorer, "pause").click()
    button(explorer, "start").wait_for()
    foreign = [
        one
        for one in asked
        if not one.startswith((app, app.replace("http", "ws"), "data:", "blob:"))
    ]
    assert all("fontawesome" in one for one in foreign), (
        foreign
    )  # of Voilà's own template, for icons; the app does without
    page.close()


def test_a_live_figure_lives_in_an_app(browser, tmp_path):
    code = "from helpers import Explorer\n\nExplorer(depth=5, width=16)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=PYTHON)
    nbformat.write(notebook, tmp_path / "app.ipynb")
    with voila(tmp_path / "app.ipynb") as address:
        page, complaints = browser.new_page(), []
        page.set_default_timeout(lab.PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address, timeout=200 * lab.SECOND)
        figure = page.locator(".live")
        figure.locator("canvas").first.wait_for(timeout=300 * lab.SECOND)
        live.wait_for(figure, depth=5, width=16)
        live.slider(figure, "gain").press("End")
        live.wait_for(figure, depth=5, width=16, gain=4)
        assert live.whole(figure) and complaints == []
        assert page.locator(".live-still").filter(visible=True).count() == 0
        page.close()
