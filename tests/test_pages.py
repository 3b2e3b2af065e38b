"""The pages' engine as far as it needs no browser."""

from helpers.pages import rebuild


def test_the_binary_was_built_from_its_source():
    assert rebuild.recorded_sum() == rebuild.source_sum(), "run: python helpers/pages/rebuild.py"
