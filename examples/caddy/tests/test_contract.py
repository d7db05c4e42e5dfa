"""The suite that every balancer driver must pass, as a third party runs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running_caddy import Caddy, caddy

from changeover.testing.balancers import *  # noqa: F403 - every test of the suite


@pytest.fixture
def balancer() -> Iterator[Caddy]:
    with caddy() as running:
        yield running
