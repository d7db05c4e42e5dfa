"""What CloudWatch is asked for, and whose credentials a call carries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.fixtures.aws import access
from tests.fixtures.need import missing

from changeover.core.errors import BalancerUnreachable, ExtraMissing
from changeover.core.model import Counters
from changeover.demo.aws.standin import StandIn
from changeover.demo.aws.world import ACCOUNT, REGION
from changeover.drivers.balancers.aws_meter import ALB, ELB, CloudWatch
from changeover.drivers.balancers.aws_session import Aws, _session
from changeover.drivers.clock import SystemClock

DIMENSIONS = {"blue": {"TargetGroup": "targetgroup/blue/1"}, "green": {"TargetGroup": "targetgroup/green/2"}}


@pytest.fixture
def standin() -> Iterator[StandIn]:
    try:
        one = StandIn().start()
    except ExtraMissing as error:
        missing(error.what)
    try:
        yield one
    finally:
        one.stop()


def told(namespace: str, metric: str, pool: str, value: float, at: datetime) -> None:
    """As AWS files it."""
    from moto.cloudwatch.models import cloudwatch_backends

    dimensions = [{"Name": n, "Value": v} for n, v in DIMENSIONS[pool].items()]
    moment = {"MetricName": metric, "Dimensions": dimensions, "Value": value, "Timestamp": at.replace(tzinfo=None)}
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data(namespace, [moment])


@pytest.mark.parametrize("names", [ALB, ELB], ids=["alb", "elb"])
def test_this_months_counts_of_one_pool_each_under_its_own_name(
    standin: StandIn, names: tuple[str, str, str, str]
) -> None:
    clock = SystemClock()
    now = datetime.fromtimestamp(clock.now(), UTC)
    before = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
    namespace, requests, errors, unreachable = names
    for metric, value in ((requests, 700.0), (errors, 30.0), (unreachable, 2.0)):
        told(namespace, metric, "blue", value, now)
        told(namespace, metric, "blue", 10_000.0, before)
        told(namespace, metric, "green", 100_000.0, now)
    told(namespace, "HTTPCode_Target_4XX_Count", "blue", 1_000_000.0, now)
    meter = CloudWatch(Aws(access(standin.endpoint), clock), clock, DIMENSIONS, names)
    assert meter.counters("blue") == Counters(700, 30, 2, None)


def test_a_month_without_a_request_counts_none(standin: StandIn) -> None:
    clock = SystemClock()
    assert CloudWatch(Aws(access(standin.endpoint), clock), clock, DIMENSIONS).counters("blue") == Counters(
        0, 0, 0, None
    )


# whose credentials ---------------------------------------------------------------------------------------------------

REAL = "AKIAREALREALREALREAL"


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[tuple[str, list[str]]]:
    """Something on this machine that fails every call, and the Authorization of each."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["authorization"])
            self.send_response(500)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real credentials in the environment; a session that knows others is forgotten before and after."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", REAL)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    _session.cache_clear()
    yield
    _session.cache_clear()


@pytest.mark.usefixtures("real")
def test_real_credentials_never_reach_an_endpoint_on_this_machine() -> None:
    with listening() as (endpoint, seen):
        with pytest.raises(BalancerUnreachable):
            Aws(access(endpoint), SystemClock()).look("elb", "describe_load_balancers")
        with pytest.raises(BalancerUnreachable):
            Aws(access(endpoint.replace("127.0.0.1", "localhost")), SystemClock()).look(
                "elb", "describe_load_balancers"
            )
        assert len(seen) == 2
        assert not any(REAL in each for each in seen)
    with listening("127.0.0.2") as (endpoint, seen):  # stands for an endpoint that is not on this machine
        with pytest.raises(BalancerUnreachable):
            Aws(access(endpoint), SystemClock()).look("elb", "describe_load_balancers")
        assert [REAL in each for each in seen] == [True]
