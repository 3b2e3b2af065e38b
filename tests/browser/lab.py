"""A JupyterLab of its own, a browser of its own, and a notebook opened in them: for the tests here and for the benchmark."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from helpers.pages import figures

BROWSERS = (
    "/usr/bin/chromium",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --no-proxy-server --disable-background-networking "
    "--disable-component-update --disable-sync"
)
TOKEN = "a-token-for-tests"
SECOND = 1000  # Playwright counts in milliseconds
PATIENCE = 90 * SECOND  # for what takes less than one on a machine that is not busy


def missing():
    """Why no page can be opened here, in one line; None if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return f"No Playwright found: {error}"
    return None if chromium() else f"No Chromium found: none of {', '.join(BROWSERS)} is installed"


def chromium():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browser():
    """A headless Chromium, with a profile that is empty and forgotten afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS.split())
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def server(root, private):
    """A JupyterLab that serves the folder `root`: its address, without a slash at the end.

    It knows no settings but those in the empty folder `private`, and asks nothing of the network.
    """
    folders = {
        f"JUPYTER_{name}_DIR": str(private / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    page = private / "config" / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True)
    page.write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})
    )
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
    ]
    command += [f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}"]
    with open(private / "log", "wb") as log:
        environment = os.environ | folders | {"IPYTHONDIR": str(private / "ipython")}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=root)
    try:
        yield address(process, private)
    finally:
        end(process)


def end(process):
    """Ends a server, which takes its kernels with it."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def address(process, private, patience=90):
    """Where the server answers: it writes that down as soon as it listens."""
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        for note in (private / "runtime").glob("jpserver-*.json"):
            try:
                return json.loads(note.read_text())["url"].rstrip("/")
            except ValueError:
                pass  # still being written
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{(private / 'log').read_text()[-2000:]}")


def open_notebook(page, url, path):
    """Opens a notebook alone in the page and waits until its kernel is ready."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}/doc/tree/{path}?token={TOKEN}")
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=PATIENCE)


def open_in_notebook(page, url, path):
    """Opens a notebook in Notebook 7, which the same server has, and waits until its kernel is ready."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}/notebooks/{path}?token={TOKEN}")
    ready = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
    page.locator(ready).wait_for(state="attached", timeout=PATIENCE)


def run_all(page, patience=240, tries=1):
    """Runs every cell through the menu, as a reader does, and waits until the last has its number. Notebook 7 may need several tries: it
    does nothing, and says nothing, until its kernel is connected."""
    from playwright.sync_api import TimeoutError as NotYet

    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    prompts.evaluate_all("all => all.forEach(one => { one.textContent = '' })")  # stored numbers
    last = prompts.last
    for _ in range(tries):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with suppress(NotYet):
            last.filter(has_text=re.compile(r"\[[\d*]+\]")).wait_for(timeout=30 * SECOND)
            break
    last.filter(has_text=re.compile(r"\[\d+\]")).wait_for(timeout=patience * SECOND)


def run_cell(page, cell):
    """Runs one cell by keyboard, waits until it has its number, and returns what it says."""
    prompt = cell.locator(".jp-InputPrompt")
    prompt.evaluate("prompt => { prompt.textContent = '' }")  # a new kernel gives the same number
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(timeout=PATIENCE)
    return cell.locator(".jp-OutputArea").text_content()


def save(page, path):
    """Saves the notebook with Ctrl+S and hands back what then lies in `path`, with the outputs just computed."""
    before = Path(path).stat().st_mtime_ns
    page.keyboard.press("Control+s")
    until = time.monotonic() + PATIENCE / SECOND
    while time.monotonic() < until:
        page.wait_for_timeout(100)
        with suppress(ValueError):  # not yet written to the end
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            if Path(path).stat().st_mtime_ns != before:
                return saved
    raise AssertionError(f"{path} was not saved")


def set_theme(page, name):
    """JupyterLab Light or JupyterLab Dark, through the menu."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    for label in ("Theme", f"JupyterLab {name}"):
        page.locator(".lm-Menu-itemLabel").get_by_text(label, exact=True).click()
    page.wait_for_function(
        "light => document.body.dataset.jpThemeLight === light",
        arg="true" if name == "Light" else "false",
    )


def violations(page, where=".jp-OutputArea-output"):
    """What axe-core finds wrong in the outputs of a notebook's cells, serious or worse: one line each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=where).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def figure_page(explorer):
    """A page with one live figure, as HTML: it needs no kernel, no network and no other file."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>One figure</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{figures.scripts()}</head>
<body><main>{figures.figure(explorer)}</main><script>page.start()</script></body></html>"""
