"""The suite that every balancer driver must pass, as a third party runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from caddy_under_test import Caddy, caddy
from changeover_caddy import config

from changeover.testing.balancers import *  # noqa: F403 - every test of the suite


@pytest.fixture
def balancer() -> Iterator[Caddy]:
    with caddy() as running:
        yield running


@pytest.mark.parametrize("share", [1, 39, 500, 2500, 5000, 9999])
def test_the_pattern_is_the_share(share: int) -> None:
    wanted = re.compile(config.pattern(share))
    hit = sum(1 for n in range(16**4) if wanted.match(f"{n:04x}"))
    assert abs(hit / 16**4 - share / 10_000) < 0.0001
