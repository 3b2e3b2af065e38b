"""Records the README's moving picture in a real browser: python tests/moving_picture.py [FILE]

A reader's hand on the explorer of lesson 02: the gain goes up from 1 past He's, and back down, with the arrow keys.
"""

import io
import sys
import tempfile
from pathlib import Path

import nbformat
from browser import lab
from PIL import Image

FILE = Path(__file__).parent.parent / ".github" / "explorer.gif"
CELL = "import torch\n\nfrom helpers import Explorer\n\ntorch.set_num_threads(1)\nExplorer()"
UP, DOWN = 20, 8  # frames


def frames(page):
    """Pictures of the explorer, one after each move of the slider; the first and the last of each way twice as long."""
    explorer = page.locator(".live")
    slider = explorer.get_by_role("slider", name="gain", exact=True)
    taken = []

    def take():
        page.wait_for_timeout(400)
        taken.append(Image.open(io.BytesIO(explorer.screenshot())).convert("RGB"))

    take()
    for key, count, steps in ("ArrowRight", UP, 4), ("ArrowLeft", DOWN, 10):
        for _ in range(count):
            for _ in range(steps):
                slider.press(key)
            take()
    return taken


def main(path=FILE):
    with tempfile.TemporaryDirectory() as folder, lab.browser() as browser:
        root, private = Path(folder, "notebooks"), Path(folder, "private")
        root.mkdir(), private.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        notebook.metadata.kernelspec = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, root / "picture.ipynb")
        with lab.server(root, private) as url:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            lab.open_notebook(page, url, "picture.ipynb")
            lab.run_all(page)
            page.locator(".live canvas").first.wait_for()
            taken = frames(page)
            page.close()
    palette = taken[len(taken) // 2].quantize(64, dither=Image.Dither.NONE)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in taken]
    lasts = [1200, *[180] * (UP - 1), 1200, *[180] * (DOWN - 1), 1200]  # milliseconds
    first.save(path, save_all=True, append_images=others, duration=lasts, loop=0, optimize=True)
    print(
        f"{path}: {len(taken)} frames of {first.width} x {first.height} pixels, {Path(path).stat().st_size // 1024} kB"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
