"""The pages' engine as far as it needs no browser."""

import pytest

from helpers.pages import rebuild


@pytest.mark.parametrize("name", rebuild.BINARIES)
def test_the_binaries_were_built_from_their_source(name):
    recorded = (rebuild.HERE / name).read_bytes().rpartition(rebuild.SECTION)[2]
    assert recorded.decode() == rebuild.source_sum(name), "run: python helpers/pages/rebuild.py"
