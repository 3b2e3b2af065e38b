"""What a page needs of the live figures: their scripts, and the data and settings of each explorer."""

import base64
import html
import json
from pathlib import Path

import torch

from ..datasets import digits
from ..live import widget
from ..live.explorers import AveragesExplorer, Explorer, ProductExplorer
from .rebuild import BINARIES

HERE = Path(__file__).parent
WORKER = "engine.js", "explorers.js", "worker.js"  # what runs in the worker, and is in the page too


def scripts():
    """The part of a page that every live figure shares, as HTML: styles, scripts, and the engine."""
    live = (widget.HERE / "live.js").read_text("utf-8")
    style = (widget.HERE / "live.css").read_text("utf-8")
    parts = [f"<style>{style}</style>", f"<script>{live}</script>"]
    for name in WORKER:
        parts.append(f'<script class="worker">{(HERE / name).read_text("utf-8")}</script>')
    parts.append(f"<script>{(HERE / 'page.js').read_text('utf-8')}</script>")
    wasm = json.dumps([base64_of((HERE / name).read_bytes()) for name in BINARIES])
    return "\n".join([*parts, f"<script>const wasm = {wasm}</script>"])


def base64_of(content):
    """Bytes as base64 text."""
    return base64.b64encode(content).decode()


def digits_data(examples):
    """The first digits, as small as they can be sent: numbers of pixels, and what they stand for.

    The 1500 for training, then the 297 for the test. The page gets a lesson's float32 values.
    """
    data = digits(0)
    x, y = torch.cat([data.x, data.x_test])[:examples], torch.cat([data.y, data.y_test])[:examples]
    levels = data.x.unique()  # sorted: the pixels 0 to 16, standardized
    pixels = torch.searchsorted(levels, x).to(torch.uint8)
    return {
        "pixels": base64_of(pixels.numpy().tobytes()),
        "labels": base64_of(y.to(torch.uint8).numpy().tobytes()),
        "levels": levels.tolist(),
    }


def described(explorer):
    """What page.js needs to show an explorer of helpers.live as it starts: kind, data, controls and
    settings, ready for JSON."""
    given = explorer.compute.args
    if isinstance(explorer, Explorer):
        x, y, networks = given
        data = {"digits": digits_data(len(x)), "seed": networks.seed, "backward": y is not None}
        kind = "signal"
    elif isinstance(explorer, ProductExplorer):
        x, _, seed = given
        kind, data = "product", {"digits": digits_data(len(x)), "seed": seed}
    elif isinstance(explorer, AveragesExplorer):
        z, z_test, seed = given
        data = {"digits": digits_data(len(z) + len(z_test)), "train": len(z), "seed": seed}
        kind = "averages"
    else:
        raise ValueError(
            f"explorer must be one that the engine knows, got {type(explorer).__name__}"
        )
    known = {"controls": explorer.controls, "settings": explorer.initial}
    return {"kind": kind, "data": data, **known}


def page(explorer, title):
    """A page with one live figure, as HTML: it needs no kernel, no network and no other file."""
    about = json.dumps(described(explorer)).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{scripts()}</head>
<body><main id="figure"></main><script>
const sources = [...document.querySelectorAll("script.worker")].map((script) => script.textContent)
page.figure(document.querySelector("#figure"), 1, {{ ...{about}, wasm }}, page.connect(sources))
</script></body></html>"""
