"""The whole stand-in in one object: moto as a real HTTP server behind the front, and the data plane. 127.0.0.1 only."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

from changeover.core.errors import ExtraMissing
from changeover.demo.aws.front import Front
from changeover.demo.aws.plane import Counts, Plane, Router
from changeover.demo.aws.targets import Probe
from changeover.demo.aws.weather import Weather
from changeover.demo.aws.world import ACCOUNT, REGION, World

PROBE_TIMEOUT = 1.0  # seconds


def http_probe(host: str, port: int, path: str) -> bool:
    """A health check over HTTP, as AWS makes it: 200 within the time."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class StandIn:
    """One AWS for one process: moto keeps its state in the process, so `start` begins with an empty account."""

    def __init__(
        self, now: Callable[[], float] = time.time, weather: Weather | None = None, probe: Probe = http_probe
    ) -> None:
        try:
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
            from werkzeug.serving import WSGIRequestHandler, make_server
        except ImportError as error:
            raise ExtraMissing(
                f"the stand-in for AWS needs {error.name}", next=('pip install "changeover[demo-aws]"',)
            ) from None
        _forget()
        self.weather = weather or Weather()
        self.world = World(now, self.weather, probe)
        self.router = Router(self.world, Random(self.weather.seed + 1))
        self.front = Front(DomainDispatcherApplication(create_backend_app), self.world)
        self.plane = Plane(self.router, self._metrics)

        class Quiet(WSGIRequestHandler):
            def log(self, type: str, message: str, *args: Any) -> None:
                """Nobody reads it."""

        self._server = make_server("127.0.0.1", 0, self.front, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> StandIn:
        """The control plane answers; the data plane is opened by `carry`."""
        self._thread.start()
        return self

    def carry(self) -> None:
        """Listen where the listeners of the load balancers say."""
        view = self.world.nodes[0].heard[-1][1]
        self.plane.start([*view.rules, *view.classic])

    def stop(self) -> None:
        self.plane.stop()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(10)
        self._server.server_close()

    def client(self, service: str) -> Any:
        """A client of boto3 for this stand-in: what a person or a Terraform does."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="stand-in",
            aws_secret_access_key="stand-in",  # noqa: S106 - no secret: the stand-in asks for none
            config=Config(retries={"mode": "standard", "total_max_attempts": 10}),
        )

    def _metrics(self, counts: Mapping[str, Counts]) -> None:
        """What CloudWatch is told of a moment, under AWS's own names."""
        from moto.cloudwatch.models import cloudwatch_backends

        backend = cloudwatch_backends[ACCOUNT][REGION]
        at = datetime.now(UTC).replace(tzinfo=None)
        for owner, counted in counts.items():
            group = owner.startswith("arn:")
            namespace = "AWS/ApplicationELB" if group else "AWS/ELB"
            dimensions = _dimensions(self.world, owner) if group else [{"Name": "LoadBalancerName", "Value": owner}]
            names = (
                ("RequestCount", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
                if group
                else ("RequestCount", "HTTPCode_Backend_5XX", "BackendConnectionErrors")
            )
            values = (counted.requests, counted.errors, counted.unreachable)
            backend.put_metric_data(
                namespace,
                [
                    {"MetricName": n, "Dimensions": dimensions, "Value": float(v), "Timestamp": at}
                    for n, v in zip(names, values, strict=True)
                    if v
                ],
            )


def _dimensions(world: World, group: str) -> list[dict[str, str]]:
    balancers = world.balancers_of_group(group)
    name = balancers[0].partition(":loadbalancer/")[2] if balancers else ""
    return [{"Name": "TargetGroup", "Value": group.rpartition(":")[2]}, {"Name": "LoadBalancer", "Value": name}]


def _forget() -> None:
    """An empty account. moto keeps it in the process."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
