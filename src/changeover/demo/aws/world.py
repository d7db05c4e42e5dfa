"""The stand-in's own picture: targets in their states, members of classic balancers, and what each node has heard so far.

Configuration is moto's; what moto is too kind about is kept here. A node of the data plane acts on a view that may be some
seconds old; both nodes hear of changes in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from changeover.demo.aws.choice import RuleView
from changeover.demo.aws.targets import Check, Probe, Target
from changeover.demo.aws.weather import Weather

ACCOUNT = "123456789012"  # moto's own
REGION = "eu-central-1"
NODES = 2
LAST_ORDER = 1_000_000  # of a default rule
Place = tuple[str, int]  # host, port


@dataclass(frozen=True, slots=True)
class ClassicView:
    """A listener of a classic load balancer: who is registered, and on which port they listen."""

    name: str
    instance_port: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What a node knows: port -> rules or classic listener; group -> its registered targets."""

    rules: Mapping[int, tuple[RuleView, ...]] = field(default_factory=dict)
    classic: Mapping[int, ClassicView] = field(default_factory=dict)
    groups: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Node:
    """`heard`: (from when on, view), in order."""

    heard: list[tuple[float, View]] = field(default_factory=list)

    def view(self, now: float) -> View:
        while len(self.heard) > 1 and self.heard[1][0] <= now:
            self.heard.pop(0)
        return self.heard[0][1] if self.heard else View()


class World:
    """`now` is the stand-in's clock, `probe` looks whether an instance is healthy."""

    def __init__(self, now: Callable[[], float], weather: Weather, probe: Probe) -> None:
        self.now = now
        self.weather = weather
        self.probe = probe
        self.lock = threading.RLock()
        self.targets: dict[str, dict[Place, Target]] = {}
        self.members: dict[str, dict[str, Target]] = {}
        self.network: dict[str, Place] = {}  # EC2 instance -> where it really listens
        self.nodes = [Node() for _ in range(NODES)]

    # moto's side -------------------------------------------------------------------------------------

    @property
    def v2(self) -> Any:
        from moto.elbv2.models import elbv2_backends

        return elbv2_backends[ACCOUNT][REGION]

    @property
    def v1(self) -> Any:
        from moto.elb.models import elb_backends

        return elb_backends[ACCOUNT][REGION]

    @property
    def ec2(self) -> Any:
        from moto.ec2.models import ec2_backends

        return ec2_backends[ACCOUNT][REGION]

    def listeners(self) -> Iterator[tuple[str, Any]]:
        """(load balancer, listener) of every ALB."""
        for balancer in list(self.v2.load_balancers.values()):
            for listener in list(balancer.listeners.values()):
                yield balancer.arn, listener

    def used(self, group: str) -> bool:
        """Whether an action of any listener or rule names the group."""
        return any(
            group in str([a.data for a in rule.actions])
            for _, listener in self.listeners()
            for rule in listener.rules.values()
        )

    # what checks ask (`checks.Facts`) -------------------------------------------------------------------

    def vpc_of_group(self, arn: str) -> str | None:
        group = self.v2.target_groups.get(arn)
        return None if group is None else str(group.vpc_id)

    def vpc_of_balancer(self, arn: str) -> str:
        return str(self.v2.load_balancers[arn].vpc_id)

    def balancers_of_group(self, arn: str) -> Sequence[str]:
        return [
            b
            for b, listener in self.listeners()
            if any(arn in str([a.data for a in r.actions]) for r in listener.rules.values())
        ]

    def group_type(self, arn: str) -> str:
        return str(self.v2.target_groups[arn].target_type)

    def network_of(self, vpc: str) -> str:
        return str(self.ec2.get_vpc(vpc).cidr_block)

    def instance_vpc(self, instance: str) -> str | None:
        found = self.ec2.get_instance_by_id(instance)
        return None if found is None else str(found.vpc_id)

    def balancer_of(self, arn: str) -> str:
        tail = arn.partition(":listener")[2].split("/")
        return f"{arn.partition(':listener')[0]}:loadbalancer/{'/'.join(tail[1:4])}"

    def rules_of(self, listener: str) -> int:
        return sum(len(one.rules) for _, one in self.listeners() if one.arn == listener)

    def classic_vpc(self, name: str) -> str:
        return str(self.v1.get_load_balancer(name).vpc_id)

    # targets ------------------------------------------------------------------------------------------------

    def check_of(self, arn: str) -> Check:
        group = self.v2.target_groups[arn]
        return Check(
            group.health_check_path or "/",
            float(group.health_check_interval_seconds),
            int(group.healthy_threshold_count),
            int(group.unhealthy_threshold_count),
        )

    def delay_of(self, arn: str) -> float:
        return float(self.v2.target_groups[arn].attributes["deregistration_delay.timeout_seconds"])

    def register(self, arn: str, place: Place) -> None:
        """Again while it is draining: it is new."""
        found = self.targets.setdefault(arn, {})
        if place not in found or found[place].until:
            found[place] = Target(*place, since=self.now())

    def deregister(self, arn: str, place: Place) -> bool:
        found = self.targets.get(arn, {}).get(place)
        if found is None:
            return False
        if not found.until:
            found.until = self.now() + self.delay_of(arn)
        return True

    def health(self, arn: str) -> dict[Place, tuple[str, str]]:
        """(state, reason) of every target of the group; those whose draining is over are gone."""
        with self.lock:
            found, now = self.targets.get(arn, {}), self.now()
            for place in [p for p, t in found.items() if t.until and t.until <= now]:
                del found[place]
            used = self.used(arn)
            check = self.check_of(arn)
            return {p: t.look(now, check, self.probe, used=used) for p, t in found.items()}

    def classic_check(self, name: str) -> Check:
        found = self.v1.get_load_balancer(name).health_check
        if found is None:
            return Check("/", 30.0, 10, 2)
        path = "/" + found.target.partition("/")[2]
        return Check(path, float(found.interval), int(found.healthy_threshold), int(found.unhealthy_threshold))

    def classic_health(self, name: str) -> dict[str, tuple[str, str]]:
        """Instance -> (state, reason), those that drain included."""
        with self.lock:
            found, now = self.members.get(name, {}), self.now()
            for instance in [i for i, t in found.items() if t.until and t.until <= now]:
                del found[instance]
            check = self.classic_check(name)
            return {i: t.look(now, check, self.probe, used=True) for i, t in found.items()}

    def classic_delay(self, name: str) -> float:
        """Seconds of connection draining; 0 if it is off."""
        draining = self.v1.get_load_balancer(name).attributes["connection_draining"]
        found = {k.lower(): v for k, v in draining.items()}
        return float(found.get("timeout") or 300) if str(found.get("enabled")).lower() == "true" else 0.0

    # what nodes hear ---------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Tell every node, each in its own time, never before what it was told earlier."""
        with self.lock:
            now, view = self.now(), self._view()
            for node in self.nodes:
                at = now + self.weather.late() if node.heard else now
                last = node.heard[-1][0] if node.heard else now
                node.heard.append((max(at, last), view))

    def _view(self) -> View:
        rules = {
            int(listener.port): tuple(
                RuleView(
                    LAST_ORDER if rule.is_default else int(rule.priority),
                    tuple(rule.conditions),
                    tuple(a.data for a in rule.actions),
                )
                for rule in listener.rules.values()
            )
            for _, listener in self.listeners()
        }
        classic = {
            int(listener.load_balancer_port): ClassicView(
                balancer.name,
                int(listener.instance_port),
                tuple(i for i, t in self.members.get(balancer.name, {}).items() if not t.until),
            )
            for balancer in list(self.v1.load_balancers.values())
            for listener in balancer.listeners
        }
        groups = {arn: tuple(p for p, t in found.items() if not t.until) for arn, found in self.targets.items()}
        return View(rules, classic, groups)

    def still_served(self, owner: str, place: Place) -> bool:
        """Whether requests in flight on this place may go on: it is registered, or its draining is not over."""
        with self.lock:
            if owner in self.members:
                self.classic_health(owner)
                return any(self.network.get(i) == place for i in self.members[owner])
            self.health(owner)
            return place in self.targets.get(owner, {})

    def candidates(self, view: View, group: str) -> list[Place]:
        """Healthy targets that the node knows; all that it knows if none is healthy, as AWS does (fail open)."""
        known = view.groups.get(group, ())
        states = self.health(group)
        good = [p for p in known if states.get(p, ("", ""))[0] in ("healthy", "draining")]
        return good or list(known)

    def classic_candidates(self, view: ClassicView) -> list[Place]:
        """Registered instances in service; a classic load balancer does not fail open."""
        states = self.classic_health(view.name)
        good = [i for i in view.members if states.get(i, ("", ""))[0] in ("healthy", "draining")]
        return [self.network[i] for i in good if i in self.network]
