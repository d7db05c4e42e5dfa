"""`balancers:` — what decides which pool a request goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from changeover.config.aws import Alb, Elb
from changeover.config.kinds import Address, Argv, BaseUrl, HerePath, Name, PlainText, Section, variants


class Haproxy(Section):
    """HAProxy: one backend per pool and one map entry that decides; no reload."""

    type: Literal["haproxy"] = Field(description="HAProxy in master-worker mode")
    name: Name = Field(default="haproxy", description="how it is called in what people read")
    socket: HerePath = Field(description="the master socket (`haproxy -S`), level admin")
    map: HerePath = Field(description="the map file with the route, exactly as it stands in haproxy.cfg")
    preview_map: HerePath = Field(description="the map file with the secret that leads to the idle pool")
    backends: dict[Name, PlainText] = Field(description="pool: backend")
    entry: BaseUrl = Field(description="where users reach the application through this balancer")
    config: HerePath | None = Field(default=None, description="haproxy.cfg, for `doctor`")
    log: HerePath | None = Field(default=None, description="HAProxy's access log: it tells the paths of what was cut")

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return self.backends


class HaproxyServers(Section):
    """HAProxy as it is: one backend has the servers of both pools, and their weights decide."""

    type: Literal["haproxy-servers"] = Field(description="one backend of HAProxy in master-worker mode, as it is")
    name: Name = Field(default="haproxy", description="how it is called in what people read")
    socket: HerePath = Field(description="the master socket (`haproxy -S`), level admin")
    backend: PlainText = Field(description="the backend that has the servers of both pools, and no others")
    servers: dict[Name, Annotated[tuple[PlainText, ...], Field(min_length=1)]] = Field(
        description="pool: names of its servers"
    )
    entry: BaseUrl = Field(description="where users reach the application through this balancer")
    config: HerePath | None = Field(
        default=None, description="haproxy.cfg; its weights are kept equal to what runs, unless there is a state file"
    )
    state_file: HerePath | None = Field(
        default=None,
        description="the server-state file that HAProxy loads; for a configuration that something else writes",
    )
    log: HerePath | None = Field(default=None, description="HAProxy's access log: it tells the paths of what was cut")
    reload: Annotated[tuple[str, ...], Argv()] = Field(
        default=(), description="the last resort: reloads HAProxy where weights cannot be set while it runs"
    )

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return {pool: ", ".join(names) for pool, names in self.servers.items()}


class Envoy(Section):
    """Envoy: one cluster per pool and a route file that it watches."""

    type: Literal["envoy"] = Field(description="Envoy with its admin port")
    name: Name = Field(default="envoy", description="how it is called in what people read")
    admin: Address = Field(description="the admin port")
    routes: HerePath = Field(description="the route file (RDS) that Envoy watches; its directory must be writable")
    clusters: dict[Name, PlainText] = Field(description="pool: cluster")
    entry: BaseUrl = Field(description="where users reach the application through this balancer")
    preview_secret: HerePath = Field(description="file that keeps the secret that leads to the idle pool")

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return self.clusters


class Driver(Section):
    """A balancer whose driver another package brings."""

    type: Literal["driver"] = Field(description="a driver of another package")
    driver: Name = Field(description="its name in the entry points `changeover.balancers`")
    name: Name = Field(default="balancer", description="how it is called in what people read")
    entry: BaseUrl = Field(description="where users reach the application through this balancer")
    options: dict[PlainText, Any] = Field(
        default_factory=dict, description="what the driver asks for: see its documents"
    )

    @property
    def targets(self) -> Mapping[str, str]:
        """The driver knows."""
        return {}


Balancer = Annotated[
    Annotated[Haproxy, Tag("(haproxy)")]
    | Annotated[HaproxyServers, Tag("(haproxy-servers)")]
    | Annotated[Envoy, Tag("(envoy)")]
    | Annotated[Alb, Tag("(alb)")]
    | Annotated[Elb, Tag("(elb)")]
    | Annotated[Driver, Tag("(driver)")],
    variants("type", "haproxy", "haproxy-servers", "envoy", "alb", "elb", "driver"),
]
