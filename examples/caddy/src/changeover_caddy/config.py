"""One route as the object of Caddy's configuration that is ours, and back. Pure.

A visitor's bucket is a random id in a cookie; its first four hexadecimal digits are below a threshold for a share of the visitors.
A larger share is a larger threshold, so it only adds visitors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from changeover.core.model import ALL, Route

ID: Final = "changeover"
HEADER: Final = "X-Changeover-Preview"
COOKIE: Final = "changeover_bucket"
POOL: Final = "X-Changeover-Pool"
DIGITS: Final = 4
Json = dict[str, Any]


def route_object(
    route: Route, pools: Mapping[str, Sequence[str]], secret: str, health: str, *, token: int, run: str
) -> Json:
    """The whole object with `@id` changeover."""
    idle = route.candidate if route.candidate != route.live else next(p for p in pools if p != route.live)
    routes: list[Json] = [
        {"handle": [{"handler": "vars", "changeover_bucket": "{http.request.uuid}"}]},
        {
            "match": [{"header_regexp": {"Cookie": {"pattern": f"{COOKIE}="}}}],
            "handle": [{"handler": "vars", "changeover_bucket": f"{{http.request.cookie.{COOKIE}}}"}],
        },
        {
            "match": [{"header": {HEADER: [secret]}}],
            "handle": [{"handler": "headers", "request": {"delete": [HEADER]}}, *_proxy(idle, pools, health)],
            "terminal": True,
        },
        {"handle": [{"handler": "headers", "request": {"delete": [HEADER]}}]},
    ]
    if route.share:
        cookie = f"{COOKIE}={{http.vars.changeover_bucket}}; Path=/; Max-Age=86400; SameSite=Lax; HttpOnly"
        added = {"add": {"Set-Cookie": [cookie]}, "deferred": True}
        routes += [
            {
                "match": [{"not": [{"header_regexp": {"Cookie": {"pattern": f"{COOKIE}="}}}]}],
                "handle": [{"handler": "headers", "response": added}],
            },
            {
                "match": [{"vars_regexp": {"{http.vars.changeover_bucket}": {"pattern": pattern(route.share)}}}],
                "handle": [
                    {
                        "handler": "subroute",
                        "routes": [{"handle": _proxy(route.candidate, pools, health)}],
                        "errors": {"routes": [{"handle": _proxy(route.live, pools, health)}]},
                    }
                ],
                "terminal": True,
            },
        ]
    routes.append({"handle": _proxy(route.live, pools, health)})
    written = {
        "handler": "vars",
        "changeover_route": encode(route),
        "changeover_fence": f"{token}",
        "changeover_run": run,
    }
    return {"@id": ID, "handle": [written, {"handler": "subroute", "routes": routes}]}


def read_object(found: Json) -> tuple[Route, int, str]:
    """(route, fence, run) of the object. Raises ValueError for one that is not ours."""
    try:
        written = found["handle"][0]
        return decode(written["changeover_route"]), int(written["changeover_fence"]), str(written["changeover_run"])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the object {ID} is not changeover's: {error!r}") from None


def secret_of(found: Json) -> str:
    """The preview's secret in use."""
    return str(found["handle"][1]["routes"][2]["match"][0]["header"][HEADER][0])


def encode(route: Route) -> str:
    return f"{route.live}:{route.candidate}:{route.share}:{route.salt}:{route.expires}:{route.mark}"


def decode(text: str) -> Route:
    """The inverse. Raises ValueError."""
    live, candidate, share, salt, expires, mark = text.split(":")
    return Route(live, candidate, int(share), int(salt), int(expires), mark)


def pattern(share: int) -> str:
    """A regular expression for ids whose first digits are below the threshold of a share."""
    digits = f"{max(1, round(share * 16**DIGITS / ALL)):0{DIGITS}x}"
    parts = [f"{digits[:n]}{_below(digit)}" for n, digit in enumerate(digits) if digit != "0"]
    return f"^(?:{'|'.join(parts)})"


def _below(digit: str) -> str:
    return f"[{'0123456789abcdef'[: int(digit, 16)]}]"


def _proxy(pool: str, pools: Mapping[str, Sequence[str]], health: str) -> list[Json]:
    checks = {
        "active": {"uri": health, "interval": "200ms", "timeout": "2s", "expect_status": 200},
        "passive": {"fail_duration": "300ms", "max_fails": 1},
    }
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in pools[pool]],
        "health_checks": checks,
        "load_balancing": {"selection_policy": {"policy": "round_robin"}, "retries": len(pools[pool])},
    }
    return [{"handler": "headers", "response": {"set": {POOL: [pool]}, "deferred": True}}, proxy]


def first(admin: str, listen: str, log: str, ours: Json) -> Json:
    """A whole configuration for Caddy to start from, with our object as its only route."""
    access = {
        "writer": {"output": "file", "filename": log, "roll": False},
        "encoder": {"format": "json"},
        "include": ["http.log.access"],
    }
    return {
        "admin": {"listen": f"unix/{admin}", "config": {"persist": False}},
        "logging": {"logs": {"access": access}},
        "apps": {
            "http": {
                "servers": {
                    "web": {"listen": [listen], "automatic_https": {"disable": True}, "logs": {}, "routes": [ours]}
                }
            }
        },
    }


def put(config: Any, ours: Json) -> Any:
    """The configuration with the object that has our id replaced. Raises ValueError if it has none."""
    done, count = _put(config, ours)
    if count != 1:
        raise ValueError(f'the configuration has {count} objects with "@id": "{ID}"')
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
