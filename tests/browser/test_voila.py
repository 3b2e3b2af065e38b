"""Lesson 09 as an app, by the README's command."""

import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import lab
from .test_playground import button, wait_for

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app():
    """The address of the app, once it answers."""
    [command] = re.findall(
        r"`(\.venv/bin/voila notebooks/\S+)`", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    program, notebook = shlex.split(command)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "-m",
        Path(program).name,
        notebook,
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


def test_the_playground_is_an_app(browser, app):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(app, timeout=200 * lab.SECOND)  # every cell runs before anything is shown
    explorer = page.locator(".explorer").first
    explorer.locator("img").wait_for(timeout=60 * lab.SECOND)
    assert (
        page.locator(".explorer").count() == 2
        and page.get_by_text("from helpers import").count() == 0
    )
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
