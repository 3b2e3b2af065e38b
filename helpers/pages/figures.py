"""What a page needs of the live figures: their scripts, and the data and settings of each explorer."""

import base64
import json
from pathlib import Path

import torch

from ..datasets import digits
from ..live import widget

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
    wasm = json.dumps(base64_of((HERE / "engine.wasm").read_bytes()))
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
