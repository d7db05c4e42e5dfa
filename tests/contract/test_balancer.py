"""The contract of balancers, on the reference in memory and on each real balancer."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from changeover.testing.balancers import *  # noqa: F403 - every test of the suite
from changeover.testing.cases import BalancerUnderTest

FIXTURES = {
    "memory": "memory_balancer",
    "haproxy": "haproxy",
    "haproxy-servers": "haproxy_servers",
    "several": "several",
    "envoy": "envoy",
    "alb": "alb",
    "elb": "elb",
}


@pytest.fixture(params=list(FIXTURES))
def balancer(request: pytest.FixtureRequest) -> Iterator[BalancerUnderTest]:
    try:
        module = importlib.import_module(f"tests.fixtures.{FIXTURES[request.param]}")
    except ModuleNotFoundError as error:
        pytest.skip(f"no fixture for {request.param}: {error}")
    with module.balancer_under_test() as running:
        yield running
