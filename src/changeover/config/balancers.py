"""`balancers:` — what decides which pool a request goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, Tag

from changeover.config.aws import Alb, Elb
from changeover.config.kinds import Address, BaseUrl, HerePath, Name, PlainText, Section, variants


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

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return self.backends


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


Balancer = Annotated[
    Annotated[Haproxy, Tag("(haproxy)")]
    | Annotated[Envoy, Tag("(envoy)")]
    | Annotated[Alb, Tag("(alb)")]
    | Annotated[Elb, Tag("(elb)")],
    variants("type", "haproxy", "envoy", "alb", "elb"),
]
