"""The door of the stand-in: a WSGI application around moto that validates, answers what moto is too kind about, and lets
calls meet their fate.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from changeover.demo.aws import checks
from changeover.demo.aws.answer import CLASSIC, V2, Refused, cbor_error, done, error, parameters
from changeover.demo.aws.weather import Fate
from changeover.demo.aws.world import World

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]
_SEEN_FIRST = re.compile(r"Describe|Get")


@dataclass(slots=True)
class Reply:
    """An answer before it is sent."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(slots=True)
class Call:
    """One call of the two ELB APIs."""

    action: str
    version: str
    asked: Mapping[str, Any]
    body: bytes
    environ: Environ

    @property
    def looks(self) -> bool:
        return bool(_SEEN_FIRST.match(self.action))


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the stand-in's own log. `heard`: the caller got an answer; `true`: it was the truth of that moment."""

    at: float
    action: str
    asked: Mapping[str, Any]
    looks: bool
    heard: bool
    true: bool

    @property
    def about(self) -> str:
        """What it was about: a listener, a rule, a load balancer, an instance."""
        names = ("RuleArn", "ListenerArn", "LoadBalancerName", "LoadBalancerNames", "Instances", "ResourceArns")
        return " ".join(str(self.asked[n]) for n in names if n in self.asked)


@dataclass(slots=True)
class Front:
    """`moto` is the application inside. `calls` counts what was asked; `gone`: nothing answers at all.

    `log` is what was asked of Elastic Load Balancing and told, in order; `applied` is what of it has changed something.
    `script` is asked before the weather: a fate, or a refusal, for just this call.
    """

    moto: App
    world: World
    calls: dict[str, int] = field(default_factory=dict)
    applied: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)
    log: list[Told] = field(default_factory=list)
    gone: bool = False
    script: Callable[[Call], Fate | Refused | None] | None = None
    _truth: Reply | None = None  # the newest answer to a look that was not an old one
    _known: dict[tuple[str, bytes], Call] = field(default_factory=dict)
    _old: dict[tuple[str, bytes], list[tuple[float, Reply]]] = field(default_factory=dict)  # (until when, what)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if self.gone:
            return _cut(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        call = _read(environ, body)
        action = call.action if call else "other"
        fate = self.world.weather.fate()
        told = self.script(call) if self.script is not None and call is not None else None
        if isinstance(told, Fate):
            fate = told
        with self.world.lock:
            self.calls[action] = self.calls.get(action, 0) + 1
            if isinstance(told, Refused) and call is not None:
                reply: Reply | None = _failed(told.code, str(told), call.version, f"{told.status} Refused")
            else:
                reply = self._meet(fate, call, environ, body)
            if call is not None:
                self._note(call, fate, reply)
        if reply is None:
            return _cut(environ, start)
        start(reply.status, reply.headers)
        return [reply.body]

    def _note(self, call: Call, fate: Fate, reply: Reply | None) -> None:
        heard = reply if fate is Fate.FINE else None
        true = heard is not None and (
            not call.looks or heard is self._truth or _words(heard) == _words(self._answer(call))
        )
        self.log.append(Told(self.world.now(), call.action, call.asked, call.looks, heard is not None, true))

    def _meet(self, fate: Fate, call: Call | None, environ: Environ, body: bytes) -> Reply | None:
        """What the caller gets; None: the connection is cut."""
        speaks = _protocol(environ) or (call.version if call else V2)
        if fate is Fate.THROTTLED:
            return _failed("Throttling", "Rate exceeded", speaks, "400 Bad Request")
        if fate is Fate.BROKEN:
            return _failed("InternalFailure", "We encountered an internal error", speaks, "500 Internal Server Error")
        reply = self._inside(environ, body) if call is None else self._done(call)
        if fate is Fate.BROKEN_AFTER:
            return _failed("ServiceUnavailable", "Service is unavailable", speaks, "503 Service Unavailable")
        return None if fate is Fate.LOST else reply

    def _done(self, call: Call) -> Reply:
        key = (call.action, call.body)
        now = self.world.now()
        if call.looks:
            self._known[key] = call
            old = [reply for until, reply in self._old.get(key, ()) if now < until]
            if old and self.world.weather.is_stale():
                return self.world.weather.random.choice(old)
            self._truth = self._answer(call)
            return self._truth
        stale = self.world.weather.goes_stale()
        before = {k: self._answer(c) for k, c in self._known.items()} if stale else {}
        reply = self._answer(call)
        if reply.status.startswith("200"):
            for k, r in before.items():
                self._old[k] = [*((until, o) for until, o in self._old.get(k, ()) if now < until), (now + stale, r)]
            self.applied.append((now, call.action, call.asked))
            self.world.changed()
        return reply

    def _answer(self, call: Call) -> Reply:
        """The truth."""
        try:
            if call.version == V2:
                checks.v2(call.action, call.asked, self.world)
                own = self._v2(call)
            else:
                checks.classic(call.action, call.asked, self.world)
                own = self._classic(call)
        except Refused as refused:
            return _failed(refused.code, str(refused), call.version, "400 Bad Request")
        return _ok(own) if own is not None else self._inside(call.environ, call.body)

    def _inside(self, environ: Environ, body: bytes) -> Reply:
        """Ask moto."""
        found: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            found.extend((status, headers))

        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        text = b"".join(self.moto(inner, start))
        return Reply(found[0], found[1], text)

    # what moto is too kind about ---------------------------------------------------------------------

    def _v2(self, call: Call) -> bytes | None:
        asked = call.asked
        arn = str(asked.get("TargetGroupArn", ""))
        match call.action:
            case "RegisterTargets":
                for target in asked.get("Targets", []):
                    self.world.register(arn, self._place(arn, target))
                return done(call.action, {}, V2)
            case "DeregisterTargets":
                for target in asked.get("Targets", []):
                    if not self.world.deregister(arn, self._place(arn, target)):
                        raise Refused("InvalidTarget", f"the target {target.get('Id')} is not registered")
                return done(call.action, {}, V2)
            case "DescribeTargetHealth":
                if self.world.vpc_of_group(arn) is None:
                    raise Refused("TargetGroupNotFound", "One or more target groups not found")
                return done(call.action, {"TargetHealthDescriptions": self._health(arn, asked.get("Targets"))}, V2)
            case _:
                return None

    def _place(self, arn: str, target: Mapping[str, Any]) -> tuple[str, int]:
        """Where a target listens: an address is itself, an instance is where the network says."""
        port = int(target.get("Port") or self.world.v2.target_groups[arn].port)
        return self.world.network.get(str(target["Id"]), (str(target["Id"]), port))

    def _health(self, arn: str, wanted: Any) -> list[dict[str, Any]]:
        states = self.world.health(arn)
        places = [self._place(arn, t) for t in wanted] if wanted else list(states)
        names = {place: instance for instance, place in self.world.network.items()}
        return [
            {
                "Target": {"Id": names.get(place, place[0]), "Port": place[1]},
                "HealthCheckPort": place[1],
                "TargetHealth": _state(*states.get(place, ("unused", "Target.NotRegistered"))),
            }
            for place in places
        ]

    def _classic(self, call: Call) -> bytes | None:
        asked = call.asked
        name = str(asked.get("LoadBalancerName", ""))
        ids = [str(i.get("InstanceId")) for i in asked.get("Instances", []) or []]
        match call.action:
            case "RegisterInstancesWithLoadBalancer":
                self._register(name, ids)
                return done(call.action, {"Instances": self._members(name)}, CLASSIC)
            case "DeregisterInstancesFromLoadBalancer":
                self._deregister(name, ids)
                return done(call.action, {"Instances": self._members(name)}, CLASSIC)
            case "DescribeInstanceHealth":
                self._demand(name)
                return done(call.action, {"InstanceStates": self._instance_states(name, ids)}, CLASSIC)
            case _:
                return None

    def _demand(self, name: str) -> None:
        if name not in self.world.v1.load_balancers:
            raise Refused("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")

    def _members(self, name: str) -> list[dict[str, str]]:
        return [{"InstanceId": i} for i in self.world.v1.get_load_balancer(name).instance_sparse_ids]

    def _register(self, name: str, ids: list[str]) -> None:
        from changeover.demo.aws.targets import Target

        self._demand(name)
        balancer = self.world.v1.get_load_balancer(name)
        members = self.world.members.setdefault(name, {})
        for one in ids:
            if one not in members or members[one].until:
                members[one] = Target(*self.world.network[one], since=self.world.now())
            if one not in balancer.instance_sparse_ids:
                balancer.instance_sparse_ids.append(one)

    def _deregister(self, name: str, ids: list[str]) -> None:
        self._demand(name)
        balancer = self.world.v1.get_load_balancer(name)
        members = self.world.members.setdefault(name, {})
        for one in ids:
            if one not in members:
                raise Refused("InvalidInstance", f"instance {one} is not registered")
            if not members[one].until:
                members[one].until = self.world.now() + self.world.classic_delay(name)
            if one in balancer.instance_sparse_ids:
                balancer.instance_sparse_ids.remove(one)

    def _instance_states(self, name: str, ids: list[str]) -> list[dict[str, str]]:
        states = self.world.classic_health(name)
        if ids and any(one not in states for one in ids):
            raise Refused("InvalidInstance", "an instance is not registered")
        return [_instance(one, *states[one]) for one in ids or states]


def _words(reply: Reply) -> bytes:
    """What it says; each answer has a number of its own."""
    return re.sub(rb"<RequestId>[^<]*</RequestId>", b"", reply.body)


def _state(state: str, reason: str) -> dict[str, str]:
    return {"State": state, **({"Reason": reason} if reason else {})}


def _instance(name: str, state: str, reason: str) -> dict[str, str]:
    shown = {"healthy": "InService", "draining": "InService"}.get(state, "OutOfService")
    words = {
        "draining": "Instance deregistration currently in progress.",
        "initial": "Instance registration is still in progress.",
        "unhealthy": "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
    }
    code = {"initial": "ELB", "unhealthy": "Instance"}.get(state, "N/A")
    _ = reason
    return {"InstanceId": name, "State": shown, "ReasonCode": code, "Description": words.get(state, "N/A")}


def _read(environ: Environ, body: bytes) -> Call | None:
    """The call, if it is one of Elastic Load Balancing."""
    if b"Action=" not in body:
        return None
    asked = parameters(body)
    version = str(asked.get("Version", ""))
    return Call(str(asked.get("Action", "")), version, asked, body, environ) if version in (V2, CLASSIC) else None


def _ok(body: bytes) -> Reply:
    return Reply("200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))], body)


def _protocol(environ: Environ) -> str:
    """`json` or `cbor` of the services that speak one of them, "" for the query protocol."""
    kind = str(environ.get("CONTENT_TYPE", ""))
    return next((name for name in ("json", "cbor") if name in kind), "")


def _failed(code: str, message: str, speaks: str, status: str) -> Reply:
    """`speaks` is the version of the query protocol, `json` or `cbor`."""
    more: list[tuple[str, str]] = []
    match speaks:
        case "cbor":
            body, kind, more = cbor_error(code, message), "application/cbor", [("smithy-protocol", "rpc-v2-cbor")]
        case "json":
            body, kind = json.dumps({"__type": code, "message": message}).encode(), "application/x-amz-json-1.0"
        case _:
            body, kind = error(code, message, speaks), "text/xml"
    return Reply(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more], body)


def _cut(environ: Environ, start: Start) -> Iterable[bytes]:
    """Close the connection without an answer."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    start("500 Internal Server Error", [("Content-Length", "0")])
    return [b""]
