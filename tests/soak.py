"""Ten minutes of a restless reader in a real browser: python tests/soak.py [--minutes 10] [--seed 0] [--patient]

Turns the playground's knobs at random while it trains, pauses now and then, and reports how soon a pause is answered, how the
kernel's memory grew, and what went wrong, if anything did. Exits with 1 if something broke, if a pause took longer than PAUSE
seconds, or if memory grew by more than GROWTH MB beyond the most of the first minute, in which the largest network is made and made anew.
"""

import argparse
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from browser import lab
from browser.test_playground import PYTHON, button, knob, turn

PAUSE, GROWTH = 0.2, 30
LONGEST_STEP = 60  # seconds: a step, or the making of a network, on a machine that is busy
COUNT = """import ctypes
import gc
import threading

gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system
[line] = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
print("threads:", sum(thread.name == "playground" for thread in threading.enumerate()), "memory:", int(line.split()[1]) // 1024)"""
CELLS = (
    "import torch\n\nfrom helpers import Playground\n\ntorch.set_num_threads(1)",
    "Playground()",
    COUNT,
)
ANSWERED = """([root]) => { const labels = () => [...root.querySelectorAll('button')]
    const pressed = performance.now(), pause = labels().find(one => one.textContent === 'pause')
    window.answer = new Promise(resolve => {
        const look = () => { if (labels().some(one => one.textContent === 'start')) {
            observer.disconnect(); resolve((performance.now() - pressed) / 1000) } }
        const observer = new MutationObserver(look)
        observer.observe(root, {childList: true, subtree: true, characterData: true})
        setTimeout(() => { observer.disconnect(); resolve(-1) }, 90000)
        pause ? pause.click() : resolve(null) }) }"""


def count(page):
    """Threads that train, and the kernel's memory in MB, told by the last cell when it is run anew."""
    said = lab.run_cell(page, page.locator(".jp-CodeCell").last)
    return [int(number) for number in re.findall(r": (\d+)", said)]


def pause(page, explorer):
    """Pauses; seconds until the button says so, -1 if it never does. None if nothing was training."""
    page.evaluate(ANSWERED, [explorer.element_handle()])
    return page.evaluate("window.answer")


def largest(page, explorer, wait):
    """Trains the largest network for a while, makes it anew meanwhile, and keeps as many of its runs as are kept. wait: in ms."""
    for name in ("depth", "width", "batch", "norm", "skip"):
        knob(explorer, name).press("End")
    for name in ("start", *("keep this run", "reset") * 3):
        button(explorer, name).click()
        page.wait_for_timeout(wait)
    pause(page, explorer)


def soak(minutes, seed, patient):
    """Lines of what went wrong, the seconds that pauses took, and the kernel's memory now and then."""
    wrong, pauses, memory, chance = [], [], [], random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, lab.browser() as browser:
        root, private = Path(folder, "notebooks"), Path(folder, "private")
        root.mkdir(), private.mkdir()
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=PYTHON), root / "soak.ipynb")
        with lab.server(root, private) as url:
            page = browser.new_page(viewport={"width": 1400, "height": 1600})
            page.on("pageerror", lambda error: wrong.append(f"page: {error}"))
            lab.open_notebook(page, url, "soak.ipynb")
            lab.run_all(page)
            explorer, moves, recent = page.locator(".live"), 0, []
            largest(page, explorer, wait=3000 if minutes >= 1 else 300)
            memory.append(count(page)[1])
            until = time.monotonic() + 60 * minutes
            while time.monotonic() < until:
                recent = [*recent[-4:], turn(chance, explorer)]
                page.wait_for_timeout(chance.randint(20, 400))
                moves += 1
                if moves % 5 == 0 and (took := pause(page, explorer)) is not None:
                    pauses.append(took)
                    if took > PAUSE and not patient:
                        wrong.append(f"a pause that took {took:.2f} s, after {', '.join(recent)}")
                if moves % 50 == 0:
                    memory.append(count(page)[1])
            pause(page, explorer)
            threads, last = count(page)
            until = time.monotonic() + LONGEST_STEP
            while threads and time.monotonic() < until:
                # A pause ends the step that is under way. And the last move may have been a start
                # that the kernel had not heard of yet: then there was nothing to pause.
                page.wait_for_timeout(500)
                pause(page, explorer)
                threads, last = count(page)
            memory.append(last)
            kinds = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
            wrong += page.locator(kinds).all_text_contents()
            wrong += [f"{threads} threads are left"] * (threads > 0)
            wrong += ["a pause that was not answered"] * pauses.count(-1)
            first, later = max(memory[:5]), max(memory[5:], default=0)
            wrong += [f"memory grew by {later - first} MB"] * (later - first > GROWTH)
            log = (private / "log").read_text(
                encoding="utf-8"
            )  # before the server goes, which complains of its own end
            page.close()
        wrong += [
            line
            for line in log.splitlines()
            if "restart" in line or "Traceback" in line or "Error" in line
        ]
    answered, ends = [took for took in pauses if took >= 0], "none answered"
    if answered:
        within = sum(took <= PAUSE for took in answered)
        ends = f"median {statistics.median(answered):.3f} s, most {max(answered):.3f} s, {within} within {PAUSE} s"
    print(f"{moves} moves in {minutes:g} minutes, {len(pauses)} pauses: {ends}")
    print("memory in MB:", *memory)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--patient", action="store_true", help="slow pauses are told, but not counted as wrong"
    )
    wrong = soak(**vars(parser.parse_args()))
    print("\n".join(wrong) or "nothing went wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
