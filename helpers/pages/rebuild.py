"""Rebuilds engine.wasm from engine.c: `pip install ziglang==0.17.1`, then `python helpers/pages/rebuild.py`.

The binary records the sha256 of its source, in a section of its own that browsers skip. So a test
can say whether the two belong together without a compiler.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCE, BINARY = HERE / "engine.c", HERE / "engine.wasm"
SECTION = b"source sha256"
FLAGS = (
    "-target wasm32-freestanding -O3 -msimd128 -ffp-contract=off -nostdlib "
    "-Wl,--no-entry -Wl,--strip-all -Wl,--export=__heap_base"
)
FUNCTIONS = "product", "pack", "pass", "dead", "summary"
EXPORTS = [f"-Wl,--export={name}{bits}" for name in FUNCTIONS for bits in (32, 64)]


def source_sum():
    """The sha256 of engine.c, in hexadecimal digits. Line ends count as one character."""
    return hashlib.sha256(SOURCE.read_text("utf-8").encode()).hexdigest()


def recorded_sum():
    """The sha256 of the source that engine.wasm was built from, as the binary records it."""
    return BINARY.read_bytes().rpartition(SECTION)[2].decode(errors="replace")


def main():
    """Compiles, adds the section with the sum, and writes engine.wasm."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "engine.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS.split(), *EXPORTS]
        subprocess.run([*command, "-o", out, SOURCE], check=True)
        content = bytes([len(SECTION)]) + SECTION + source_sum().encode()
        assert len(content) < 128  # a longer section has a length of two bytes
        BINARY.write_bytes(out.read_bytes() + bytes([0, len(content)]) + content)
    print(f"{BINARY.name}: {BINARY.stat().st_size} bytes")


if __name__ == "__main__":
    main()
