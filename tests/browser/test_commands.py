"""The README's commands that need a browser, on little."""

from pathlib import Path

import pytest
from PIL import Image
from test_commands import script

from . import lab

pytestmark = pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))


def test_the_moving_picture_moves(tmp_path):
    script("moving_picture.py", str(tmp_path / "new.gif"))
    new, kept = (
        Image.open(path)
        for path in (tmp_path / "new.gif", Path(__file__).parents[2] / ".github" / "explorer.gif")
    )
    assert new.size == kept.size and new.n_frames == kept.n_frames > 20
    assert (tmp_path / "new.gif").stat().st_size < 1_000_000


def test_a_restless_reader_breaks_nothing_in_a_few_seconds():
    done = script("soak.py", "--minutes", "0.1", "--patient")
    assert "nothing went wrong" in done
