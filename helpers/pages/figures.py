"""What a page needs of the live figures: their scripts, and the data and settings of each explorer."""

import base64
import json
from dataclasses import is_dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from ..datasets import digits
from ..live import explorers, widget
from .rebuild import BINARIES

HERE = Path(__file__).parent
WORKER = "engine.js", "explorers.js", "worker.js"  # what runs in the worker, and is in the page too


def scripts(live=True):
    """What the live figures of a page share, as HTML: styles, scripts, and the engine. live: False for
    a page without any."""
    page = f"<script>{(HERE / 'page.js').read_text('utf-8')}</script>"
    if not live:
        return page
    style, draw = ((widget.HERE / name).read_text("utf-8") for name in ("live.css", "live.js"))
    parts = [f"<style>{style}</style>", f"<script>{draw}</script>"]
    for name in WORKER:
        parts.append(f'<script class="worker">{(HERE / name).read_text("utf-8")}</script>')
    wasm = json.dumps([base64_of((HERE / name).read_bytes()) for name in BINARIES])
    return "\n".join([*parts, page, f"<script>const wasm = {wasm}</script>"])


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
    if isinstance(explorer, explorers.Explorer):
        x, y, networks = given
        data = {"digits": digits_data(len(x)), "seed": networks.seed, "backward": y is not None}
        kind = "signal"
    elif isinstance(explorer, explorers.ProductExplorer):
        x, _, seed = given
        kind, data = "product", {"digits": digits_data(len(x)), "seed": seed}
    elif isinstance(explorer, explorers.AveragesExplorer):
        z, z_test, seed = given
        data = {"digits": digits_data(len(z) + len(z_test)), "train": len(z), "seed": seed}
        kind = "averages"
    elif isinstance(explorer, explorers.RecurrentExplorer):
        kind, data = "recurrent", {"seed": explorer.seed}
    elif isinstance(explorer, explorers.MapExplorer):
        histories, rates, gains = given
        about = {
            name: {of: plain(getattr(one, of).tolist()) for of in ("loss", "train_error")}
            for name, one in histories.items()
        }
        kind, data = "map", {"histories": about, "rates": rates, "gains": gains}
    elif all("options" in control for control in explorer.controls):
        kind, data = "recorded", every_picture(explorer)
    else:
        name = type(explorer).__name__
        raise ValueError(f"explorer must be one that the engine knows, got {name}")
    known = {"controls": explorer.controls, "settings": explorer.initial}
    return {"kind": kind, "data": data, **known}


def every_picture(explorer):
    """The pictures for all settings of an explorer whose controls are lists: a table to look them up.

    What several pictures have in common is written once, as one of `parts`, and {"part": number}
    stands for it.
    """
    options, known = [(control["name"], control["options"]) for control in explorer.controls], {}

    def short(value):
        if isinstance(value, dict):
            value = {name: short(part) for name, part in value.items()}
        elif isinstance(value, list):
            value = [short(part) for part in value]
        text = json.dumps(value)
        if not isinstance(value, (dict, list)) or len(text) < 40:
            return value
        return {"part": known.setdefault(text, len(known))}

    pictures = {}
    for places in product(*(range(len(values)) for _, values in options)):
        settings = {name: values[place] for place, (name, values) in zip(places, options)}
        picture = explorer.compute(**settings)
        shown = {"sentence": picture.sentence, **plain(picture)}
        pictures[",".join(map(str, places))] = short(shown)
    return {"options": options, "pictures": pictures, "parts": [json.loads(text) for text in known]}


def plain(value):
    """A picture as JSON can write it: six digits of a number, and None for what is not finite."""
    if is_dataclass(value):
        return {name: plain(part) for name, part in vars(value).items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        flat = value.ravel() if isinstance(value, np.ndarray) else value
        return [plain(part) for part in flat]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def figure(explorer, still="", after=""):
    """A live figure as HTML: what page.js needs to start it, and around it, as HTML, too, its
    stored picture and what stands below."""
    about = json.dumps(described(explorer)).replace("<", "\\u003c")
    return f"""<div class="explorer" role="group" aria-label="Live figure">
<div class="still">{still}</div><div class="moving"></div><p class="note said" role="status"></p>{after}
<script type="application/json">{about}</script></div>"""
