"""The same person, host, zone and folder in every test."""

import pytest
from tests.fixtures.golden import same_everywhere

__all__ = ["same_everywhere"]


@pytest.fixture(autouse=True)
def _always(same_everywhere):
    """For every test of this folder."""
