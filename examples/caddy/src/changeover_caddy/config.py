"""One route as the object of Caddy's configuration that is ours, and back. Pure.

A visitor's bucket is a random id (a UUID) in a cookie. Four of its hexadecimal digits, which four is chosen by the salt, are
below a threshold for a share of the visitors. A larger share is a larger threshold, so it only adds visitors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from changeover.core.model import ALL, Route

ID: Final = "changeover"
HEADER: Final = "X-Changeover-Preview"
COOKIE: Final = "changeover_bucket"
POOL: Final = "X-Changeover-Pool"  # in the answer, and so in the access log: who answered
WANTED: Final = "X-Changeover-Wanted"  # the candidate was wanted, and live has answered
FAILED: Final = "X-Changeover-Failed"  # nobody has answered; Caddy did
DIGITS: Final = 4
PLACES: Final = (0, 4, 9, 24, 28, 32)  # where four random digits of a UUID begin
LEAVE: Final = 8.0  # seconds that a connection of before a change may still bring a first request: see `Ours.left`
_BUCKET: Final = "{http.vars.changeover_bucket}"
_ERROR: Final = "{http.error.message}"
_UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_NEVER_SENT: Final = "^(dial |no upstreams available)"  # only these errors say that no instance has the request
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ours:
    """What our object says of itself.

    `left`: (route of before, epoch seconds when it was left). A connection that was open by then and silent is served by the
    configuration of then: Go's servers close such connections after 5 s, and after `read_header_timeout`.
    """

    route: Route
    fence: int
    run: str
    left: tuple[tuple[Route, float], ...]

    def leaving(self, now: float) -> dict[str, Route]:
        """Routes that connections of before may still follow."""
        return {f"before {n}": r for n, (r, at) in enumerate(self.left, 1) if now < at + LEAVE}


@dataclass(frozen=True, slots=True)
class Site:
    """What stays the same from route to route. `keep_alive`: idle connections stay open, and a change cuts them."""

    pools: Mapping[str, Sequence[str]]
    secret: str
    health: str = "/health"
    check_every: float = 1.0  # seconds
    keep_alive: bool = False


# writing -------------------------------------------------------------------------------------------------------


def route_object(route: Route, site: Site, *, token: int, run: str, left: Sequence[tuple[Route, float]] = ()) -> Json:
    """The whole object with `@id` changeover."""
    idle = route.candidate if route.candidate != route.live else next(p for p in site.pools if p != route.live)
    routes: list[Json] = [] if site.keep_alive else [_closing()]
    routes += [
        {
            "match": [{"header": {HEADER: [site.secret]}}],
            "handle": [_forget_secret(), _proxy(idle, site)],
            "terminal": True,
        },
        {"handle": [_forget_secret()]},
    ]
    if route.share:
        routes += [*_buckets(), _share(route, site)]
    routes.append({"handle": [_proxy(route.live, site, patience=2)]})
    written = {
        "handler": "vars",
        "changeover_route": encode(route),
        "changeover_fence": f"{token}",
        "changeover_run": run,
        "changeover_left": " ".join(f"{encode(r)}@{at:.3f}" for r, at in left),
    }
    return signed({"@id": ID, "handle": [written, {"handler": "subroute", "routes": routes}]})


def _closing() -> Json:
    """Each change of Caddy's configuration closes idle connections: whoever writes on one just then loses his request.

    So none is left idle. Not for HTTP/2, which is told to go away, nor where a connection is upgraded.
    """
    old = {"{http.request.proto}": ["HTTP/1.0", "HTTP/1.1"]}
    return {
        "match": [{"vars": old, "not": [{"header": {"Upgrade": ["*"]}}]}],
        "handle": [{"handler": "headers", "response": {"set": {"Connection": ["close"]}, "deferred": True}}],
    }


def _forget_secret() -> Json:
    return {"handler": "headers", "request": {"delete": [HEADER]}}


def _buckets() -> list[Json]:
    """The visitor's own id, or a new one that he is given."""
    known = {f"{{http.request.cookie.{COOKIE}}}": {"pattern": _UUID}}
    given = f"{COOKIE}={_BUCKET}; Path=/; Max-Age=86400; SameSite=Lax; HttpOnly"
    new = {"not": [{"vars_regexp": known}]}
    return [
        {"handle": [{"handler": "vars", "changeover_bucket": "{http.request.uuid}"}]},
        {
            "match": [{"vars_regexp": known}],
            "handle": [{"handler": "vars", "changeover_bucket": f"{{http.request.cookie.{COOKIE}}}"}],
        },
        {"match": [{"protocol": "http", **new}], "handle": [_added("Set-Cookie", given)]},
        {"match": [{"protocol": "https", **new}], "handle": [_added("Set-Cookie", f"{given}; Secure")]},
    ]


def _added(name: str, value: str) -> Json:
    return {"handler": "headers", "response": {"add": {name: [value]}, "deferred": True}}


def _share(route: Route, site: Site) -> Json:
    """Whose bucket is below the threshold goes to the candidate; to live, and counted, if no instance of it could be asked."""
    instead = {
        "match": [{"vars_regexp": {_ERROR: {"pattern": _NEVER_SENT}}}],
        "handle": [_set({WANTED: route.candidate}), _proxy(route.live, site, patience=2)],
        "terminal": True,
    }
    return {
        "match": [{"vars_regexp": {_BUCKET: {"pattern": pattern(route.share, route.salt)}}}],
        "handle": [_proxy(route.candidate, site, instead)],
        "terminal": True,
    }


def _set(headers: Mapping[str, str], *, deferred: bool = True) -> Json:
    fields = {name: [value] for name, value in headers.items()}
    return {"handler": "headers", "response": {"set": fields, "deferred": deferred}}


def _proxy(pool: str, site: Site, *instead: Json, patience: int = 0) -> Json:
    """Everything to one pool, with the pool's name in the answer, Caddy's own answers included.

    `instead`: what to do with an error first. `patience`: seconds that a request waits while no instance can be asked.
    """
    failed = {
        "handle": [
            _set({POOL: pool, FAILED: pool}, deferred=False),
            {"handler": "static_response", "status_code": "{http.error.status_code}"},
        ]
    }
    balancing: Json = {"selection_policy": {"policy": "round_robin"}}
    if patience:
        balancing |= {"try_duration": f"{patience}s", "try_interval": "10ms"}
    else:
        balancing |= {"retries": 2 * len(site.pools[pool])}
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in site.pools[pool]],
        "health_checks": {
            "active": {
                "uri": site.health,
                "interval": f"{round(site.check_every * 1000)}ms",
                "timeout": "2s",
                "expect_status": 200,
            },
            "passive": {"fail_duration": "300ms", "max_fails": 1},
        },
        "load_balancing": balancing,
    }
    return {
        "handler": "subroute",
        "routes": [{"handle": [_set({POOL: pool}), proxy]}],
        "errors": {"routes": [*instead, failed]},
    }


def pattern(share: int, salt: int = 0) -> str:
    """A regular expression for ids whose four digits are below the threshold of a share."""
    digits = f"{max(1, round(share * 16**DIGITS / ALL)):0{DIGITS}x}"
    parts = [f"{digits[:n]}{_below(digit)}" for n, digit in enumerate(digits) if digit != "0"]
    return f"^.{{{PLACES[salt % len(PLACES)]}}}(?:{'|'.join(parts)})"


def _below(digit: str) -> str:
    return f"[{'0123456789abcdef'[: int(digit, 16)]}]"


# reading -------------------------------------------------------------------------------------------------------


def read_object(found: Json) -> Ours:
    """What the object says. Raises ValueError for one that is not ours, or that somebody else has edited."""
    try:
        written = found["handle"][0]
        left = [text.rpartition("@") for text in written["changeover_left"].split()]
        ours = Ours(
            decode(written["changeover_route"]),
            int(written["changeover_fence"]),
            str(written["changeover_run"]),
            tuple((decode(text), float(at)) for text, _, at in left),
        )
        genuine = written["changeover_sum"] == sum_of(found)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the object {ID} is not changeover's ({error!r})") from None
    if not genuine:
        raise ValueError(f"somebody has edited the object {ID} by hand")
    return ours


def same_traffic(one: Json, other: Json) -> bool:
    """Whether two objects of ours do the same, whatever they say of themselves."""
    return bool(one["handle"][1:] == other["handle"][1:])


def signed(ours: Json) -> Json:
    """The object with its sum, by which an edit is noticed."""
    head, *rest = ours["handle"]
    return {**ours, "handle": [{**head, "changeover_sum": sum_of(ours)}, *rest]}


def sum_of(ours: Json) -> str:
    """SHA-256 of everything in the object but the sum itself."""
    head, *rest = ours["handle"]
    bare = {**ours, "handle": [{k: v for k, v in head.items() if k != "changeover_sum"}, *rest]}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def secret_of(found: Json) -> str:
    """The preview's secret in use, of an object that `read_object` takes. Raises ValueError if it has none."""
    for inner in found["handle"][1]["routes"]:
        for match in inner.get("match", ()):
            if HEADER in match.get("header", {}):
                return str(match["header"][HEADER][0])
    raise ValueError(f"the object {ID} has no preview")


def encode(route: Route) -> str:
    return f"{route.live}:{route.candidate}:{route.share}:{route.salt}:{route.expires}:{route.mark}"


def decode(text: str) -> Route:
    """The inverse. Raises ValueError."""
    live, candidate, share, salt, expires, mark = text.split(":")
    return Route(live, candidate, int(share), int(salt), int(expires), mark)


# whole configurations ------------------------------------------------------------------------------------------


def put(config: Any, ours: Json) -> Any:
    """The configuration with the object that has our id replaced. Raises ValueError unless it has exactly one."""
    done, count = _put(config, ours)
    if count != 1:
        raise ValueError(f'the configuration has {count} objects with "@id": "{ID}", not one')
    return done


def _put(value: Any, ours: Json) -> tuple[Any, int]:
    if isinstance(value, dict):
        if value.get("@id") == ID:
            return ours, 1
        each = {key: _put(inner, ours) for key, inner in value.items()}
        return {key: inner for key, (inner, _) in each.items()}, sum(n for _, n in each.values())
    if isinstance(value, list):
        items = [_put(inner, ours) for inner in value]
        return [inner for inner, _ in items], sum(n for _, n in items)
    return value, 0


def find(value: Any) -> Json | None:
    """The object that has our id."""
    if isinstance(value, dict):
        if value.get("@id") == ID:
            return value
        return next((found for inner in value.values() if (found := find(inner)) is not None), None)
    if isinstance(value, list):
        return next((found for inner in value if (found := find(inner)) is not None), None)
    return None


def server_of(config: Any) -> tuple[str, Json, int] | None:
    """(name, server, place) of the HTTP server whose routes have our object, with its place among them."""
    servers = config.get("apps", {}).get("http", {}).get("servers", {}) if isinstance(config, dict) else {}
    for name, server in servers.items():
        for place, route in enumerate(server.get("routes", ())):
            if find(route) is not None:
                return name, server, place
    return None


def first(admin: str, listen: str, log: str, ours: Json) -> Json:
    """A whole configuration for Caddy to start from, with our object as its only route."""
    access = {
        "writer": {"output": "file", "filename": log, "roll": False},
        "encoder": {
            "format": "filter",
            "wrap": {"format": "json"},
            "fields": {f"request>headers>{HEADER}": {"filter": "delete"}},
        },
        "include": ["http.log.access"],
    }
    server = {
        "listen": [listen],
        "read_header_timeout": "5s",
        "automatic_https": {"disable": True},
        "logs": {},
        "routes": [ours],
    }
    return {
        "admin": {"listen": f"unix/{admin}" if "/" in admin else admin, "config": {"persist": False}},
        "logging": {"logs": {"access": access}},
        "apps": {"http": {"servers": {"web": server}}},
    }
