"""Rebuilds the binaries from engine.c: `pip install ziglang==0.17.1`, then `python helpers/pages/rebuild.py`.

A binary records the sha256 of its source, in a section of its own that browsers skip. So a test can
say whether the two belong together without a compiler.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "engine.c"
BINARIES = {"engine_fma.wasm": "-msimd128 -mrelaxed-simd", "engine.wasm": "-msimd128"}
SECTION = b"source sha256"
FLAGS = (
    "-target wasm32-freestanding -O3 -ffp-contract=off -nostdlib "
    "-Wl,--no-entry -Wl,--strip-all -Wl,--export=__heap_base"
)
FUNCTIONS = "product", "pack", "pass", "dead", "summary"
EXPORTS = [f"-Wl,--export={name}{bits}" for name in FUNCTIONS for bits in (32, 64)]


def source_sum(name):
    """The sha256, in hexadecimal digits, of what this binary is built from: engine.c, whose line ends
    count as one character, and the compiler's options."""
    text = "\n".join([SOURCE.read_text("utf-8"), FLAGS, BINARIES[name]])
    return hashlib.sha256(text.encode()).hexdigest()


def main():
    """Compiles, adds the section with the sum, and writes the binaries."""
    for name, features in BINARIES.items():
        content = bytes([len(SECTION)]) + SECTION + source_sum(name).encode()
        assert len(content) < 128  # a longer section has a length of two bytes
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / name
            options = [*FLAGS.split(), *features.split(), *EXPORTS, "-o", out]
            subprocess.run([sys.executable, "-m", "ziglang", "cc", *options, SOURCE], check=True)
            (HERE / name).write_bytes(out.read_bytes() + bytes([0, len(content)]) + content)
        print(f"{name}: {(HERE / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
