"""Assets of two versions, each asked of both through a real balancer and its preview."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from tests.fixtures.envoy import Envoy, envoy
from tests.fixtures.haproxy import Haproxy, haproxy

from changeover.core.model import Route
from changeover.drivers.assets import problem
from changeover.drivers.web import HttpWeb
from changeover.testing.cases import BLUE, GREEN, TestFence

NAMES = {BLUE: "/app.c1.js", GREEN: "/app.c2.js"}
Kind = Callable[[], AbstractContextManager[Haproxy | Envoy]]


@pytest.mark.parametrize("kind", [haproxy, envoy], ids=lambda kind: kind.__name__)
def test_an_asset_that_one_side_lacks_is_named_with_the_side(kind: Kind) -> None:
    with kind() as balancer:
        balancer.driver.commit(Route(BLUE, GREEN, mark="home"), TestFence())
        entry, secret = balancer.driver.preview()
        for pool, instances in balancer.pools.items():
            for instance in instances:
                instance.files = {"/": f'<script src="{NAMES[pool]}"></script>', **dict.fromkeys(NAMES.values(), "ok")}
        assert problem(HttpWeb(), entry, "/", secret, 5.0) == ""
        lacking(balancer, GREEN, NAMES[BLUE])
        assert problem(HttpWeb(), entry, "/", secret, 5.0).startswith("the new version answers 404 to /app.c1.js")
        lacking(balancer, BLUE, NAMES[GREEN])
        assert "the version that serves answers 404 to /app.c2.js" in problem(HttpWeb(), entry, "/", secret, 5.0)


def lacking(balancer: Haproxy | Envoy, pool: str, path: str) -> None:
    """Every instance of the pool answers 404 to it."""
    for instance in balancer.pools[pool]:
        instance.files[path] = None
