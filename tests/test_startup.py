"""Lessons give the numbers they store though the reader's startup file changes every global setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STARTUP = """
import matplotlib.pyplot as plt
import numpy as np
import torch

np.set_printoptions(precision=1, threshold=2, suppress=True)
torch.set_printoptions(precision=1, threshold=2, sci_mode=True)
plt.style.use("dark_background")
plt.rcParams.update({"figure.figsize": (2, 2), "font.size": 4, "axes.grid": True, "lines.linewidth": 9})
plt.rcParams.update({"savefig.dpi": 20, "savefig.transparent": True, "axes.prop_cycle": plt.cycler(color="k")})
"""


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["02_signal_drift", "03_batch_norm", "06_skip_connections"])
def test_a_lesson_does_not_depend_on_the_readers_startup_file(lesson, tmp_path):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-hostile.py").write_text(STARTUP + f"\nopen({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, "-m", "pytest", "-n", "0", f"notebooks/{lesson}.ipynb"]
    environment = os.environ | {"IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (tmp_path / "ran").exists(), "the startup file was not run"
    assert done.returncode == 0, done.stdout[-5000:]
