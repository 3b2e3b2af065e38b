"""The comparison of a notebook's numbers: what it lets pass, what it does not, and what it says then."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval_tolerance import difference, tolerance_of


@pytest.mark.parametrize(
    "stored, computed",
    [
        ("layer 50: 1.6e-08", "layer 50: 1.6e-08"),
        ("9.99e-8", "1.00e-7"),
        ("1.00e-7", "9.99e-8"),
        ("0.57 a layer", "0.58 a layer"),  # one unit of the last digit
        ("gain 2.00", "gain 2.05"),  # 2 % and one unit
        ("96%", "97%"),
        ("about 50 %", "about 51 %"),
        ("0%", "1%"),
        ("1", "0.98"),  # {:.2g} prints a number near 1 in either way
        ("  9.8 |", " 10.0 |"),
        ("[ 9.9 -3.4]", "[10.0 -3.4]"),
        ("nan and inf", "nan and inf"),
        ("torch 2.13.0", "torch 2.13.0"),
        ("-0.50", "-0.51"),
        ("1.21x", "1.22x"),
    ],
)
def test_outputs_that_agree(stored, computed):
    assert difference(stored, computed) is None


@pytest.mark.parametrize(
    "stored, computed, said",
    [
        ("a 1.0", "b 1.0", "the text 'b' is stored as 'a'"),
        ("1.0, 2.0", "1.0", "the text '' is stored as ','"),
        ("1.0 2.0", "1.0", "1 numbers were printed, 2 are stored"),
        ("50 layers", "51 layers", "the number 51 is stored as 50 (a whole number is exact)"),
        ("in all 28.", "in all 29.", "the number 29 is stored as 28 (a whole number is exact)"),
        ("96%", "92%", "the number 92 is stored as 96 (2% and one unit of the last digit)"),
        ("0.5", "-0.5", "the number -0.5 is stored as 0.5 (2% and one unit of the last digit)"),
        ("0.0", "-0.0", "the number -0.0 is stored as 0.0 (2% and one unit of the last digit)"),
        ("1.6e-08", "1.6e-07", None),
        ("1.00e-7", "9.6e-8", None),
        ("nan", "0.5", None),
        ("0.5", "nan", None),
        ("inf", "-inf", None),
        ("torch 2.13.0", "torch 2.13.1", None),
        ("True", "False", None),
        ("layer 1: 2.0, layer 2: 3.0", "layer 1: 2.0, layer 2: 4.0", None),
    ],
)
def test_outputs_that_differ(stored, computed, said):
    found = difference(stored, computed)
    assert found is not None
    assert said in (None, found)


def test_a_cell_may_be_stricter_or_more_tolerant():
    assert difference("2.00", "2.15", tolerance=0.1) is None
    assert difference("2.00", "2.02", tolerance=0) is not None
    assert difference("2.00", "2.01", tolerance=0) is None, "one unit of the last digit is left"
    for stored, computed in (("1.0e+08", "5.1e+08"), ("5.1e+08", "1.0e+08")):
        assert difference(stored, computed, tolerance=4) is None
        assert difference(stored, computed, tolerance=3.9) is not None


@pytest.mark.parametrize("value", [-0.1, 9.5, "0.1", True, None])
def test_an_invalid_tolerance_is_refused(value):
    with pytest.raises(ValueError, match="tolerance must be a number from 0 to 9"):
        tolerance_of(new_code_cell(metadata={"tolerance": value}))


def cell(source, stored, **metadata):
    """A code cell that stores what it printed."""
    output = new_output("stream", name="stdout", text=stored)
    metadata = {"tags": ["nbval-check-output"], **metadata}
    return new_code_cell(source, execution_count=1, outputs=[output], metadata=metadata)


def picture(alt):
    """A cell that shows a picture of "a curve" and stores one with other pixels and this alternative text."""
    shown = '<img alt="{}" src="data:image/png;base64,{}">'
    output = new_output("display_data", {"text/html": shown.format(alt, "AAAA+/==")})
    source = f"display({{'text/html': {shown.format('a curve', 'BBBB')!r}}}, raw=True)"
    metadata = {"tags": ["nbval-check-output"]}
    return new_code_cell(source, execution_count=1, outputs=[output], metadata=metadata)


def test_pytest_compares_a_notebook_with_the_tolerance(tmp_path):
    cells = [
        cell("print('spread', 1.01e-7)", "spread 9.99e-08\n"),
        cell("print('spread', 1.2)", "spread 1.1\n", tolerance=0.1),
        cell("print('spread', 1.2)", "spread 1.1\n", tolerance=0),
        cell("print('spread', 1.21, 'gain', 2.5)", "spread 1.20 gain 2.0\n"),
        cell("print('layers', 51)", "layers 50\n"),
        picture("a curve"),
        picture("another curve"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "numbers.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "nbval_tolerance", "--nbval-lax"]
    command += ["--nbval-current-env", "--color=no", "-p", "no:xdist", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout
    assert "3 failed, 4 passed" in said, said
    assert "the number 2.5 is stored as 2.0 (2% and one unit of the last digit)" in said
    assert "stored:\nspread 1.20 gain 2.0" in said and "computed:\nspread 1.21 gain 2.5" in said
    assert "the number 51 is stored as 50 (a whole number is exact)" in said
