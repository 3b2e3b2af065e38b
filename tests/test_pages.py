"""The pages' engine as far as it needs no browser."""

import pytest

from helpers.pages import rebuild


@pytest.mark.parametrize("name", rebuild.BINARIES)
def test_the_binaries_were_built_from_their_source(name):
    assert rebuild.recorded_sum(name) == rebuild.source_sum(), (
        "run: python helpers/pages/rebuild.py"
    )
