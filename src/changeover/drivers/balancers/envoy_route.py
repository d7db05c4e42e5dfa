"""The route as Envoy's route configuration, and back again. Pure: text in, text out.

A visitor's bucket is a hash that Envoy makes of a cookie: `hash mod 10000 < share` goes to the candidate, because the
candidate stands first and the weights always sum up to 10000. So a growing share only adds visitors. The cookie is named
after the salt: another release deals the visitors anew. The hash is Envoy's own, so the same visitor may be on the other
side of the share on a balancer of another kind.

    no preview, no share     everybody to the live cluster
    share, cookie            by the hash of the cookie
    share, no cookie         by the hash of the request id, which becomes the cookie
    share, strange id        the live cluster (the id comes from the client and is not fit for a cookie)
    preview secret           the idle pool, without any fallback

The candidate's visitors go to the aggregate cluster `CANDIDATE_or_LIVE`, which serves them from live while the candidate
has no healthy instance. The live cluster never falls back to a candidate.

The route itself is written into the virtual host's metadata, `live:candidate:share:salt:expires:mark`, where Envoy ignores
it and shows it. Parsing trusts it only if rendering it again gives the same decisions; times and retries may differ, so
that a changed setting or another changeover's file is still a route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from changeover.core.errors import BalancerMisconfigured, BalancerRefused
from changeover.core.model import ALL, Route

PREVIEW_HEADER: Final = "x-changeover-preview"
BUCKET_SECONDS: Final = 86_400
ROUTE_TYPE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
FEWEST_SECRET_CHARACTERS: Final = 22  # of base64: 128 bits

_NO_DECISION: Final = frozenset({"timeout", "idle_timeout", "retry_policy"})
_EXTENSION: Final = "type.googleapis.com/envoy.extensions.retry"
_SECRET = re.compile(rf"[A-Za-z0-9_-]{{{FEWEST_SECRET_CHARACTERS},256}}")
_CLUSTER = re.compile(r"[A-Za-z0-9_.-]+")
_ID: Final = "[^;, ]+"  # what may become the value of a cookie; RE2 programs are limited to a size of 100

_RETRY: Final[Mapping[str, Any]] = {
    "retry_on": "connect-failure,refused-stream",  # the request never reached an instance: safe for every method
    "num_retries": 4,
    "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.100s"},
    "host_selection_retry_max_attempts": "5",
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"{_EXTENSION}.host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    "retry_priority": {  # a retry of an aggregate cluster reaches the fallback pool only by this
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {
            "@type": f"{_EXTENSION}.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 2,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a route configuration depends on besides the route.

    `clusters`: pool -> name of its cluster. `name` is the `route_config_name` of Envoy's listener. `silence` is how many
    seconds a request may be without a byte in either direction; there is no limit for the whole request. Raises
    BalancerMisconfigured for names that Envoy or a cookie cannot carry.
    """

    clusters: Mapping[str, str]
    name: str = "live"
    silence: float = 300.0

    def __post_init__(self) -> None:
        if len(self.clusters) < 2:
            raise BalancerMisconfigured(f"two pools are needed, not {len(self.clusters)}")
        for name in (self.name, *self.clusters, *self.clusters.values()):
            if not _CLUSTER.fullmatch(name):
                raise BalancerMisconfigured(
                    f"{name!r} is not a name for a pool, cluster or route configuration",
                    next=("use letters, digits and . _ -",),
                )
        if not self.silence > 0:
            raise BalancerMisconfigured(
                f"the longest silence of a request is more than 0 seconds, not {self.silence:g}"
            )

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.clusters)

    def idle(self, route: Route) -> str:
        """The pool that the preview shows: the candidate, or the first one that is not live."""
        if route.candidate != route.live:
            return route.candidate
        return next(pool for pool in self.clusters if pool != route.live)


def aggregate(first: str, then: str) -> str:
    """The name of the aggregate cluster that prefers `first` and falls back to `then` (cluster names)."""
    return f"{first}_or_{then}"


def fallback(first: str, then: str) -> str:
    """The name of the cluster with the instances of `then` that serves only what `first` could not (cluster names)."""
    return f"{then}_for_{first}"


def bucket_cookie(salt: int) -> str:
    """The name of the visitor's cookie in a release with this salt."""
    return f"changeover_bucket_{salt}" if salt else "changeover_bucket"


# the route as one line of text ---------------------------------------------------------------------


def encode(route: Route, pools: tuple[str, ...]) -> str:
    """`live:candidate:share:salt:expires:mark`. Raises BalancerRefused for a pool that the balancer does not have."""
    for pool in (route.live, route.candidate):
        if pool not in pools:
            raise BalancerRefused(
                f"the balancer has no pool {pool!r}; it has {', '.join(pools)}",
                next=("compare the pools of changeover.yml with Envoy's clusters: changeover doctor",),
            )
    return f"{route.live}:{route.candidate}:{route.share}:{route.salt}:{route.expires}:{route.mark}"


def decode(text: str, pools: tuple[str, ...]) -> Route:
    """The inverse. Raises ValueError for what is no route of these pools."""
    match = re.fullmatch(r"([^:]+):([^:]+):(\d{1,5}):(\d{1,5}):(\d{1,12}):([^:]*)", text, re.ASCII)
    if not match:
        raise ValueError(f"{text[:80]!r} is not a route")
    live, candidate, share, salt, expires, mark = match.groups()
    for pool in (live, candidate):
        if pool not in pools:
            raise ValueError(f"the route names the pool {pool[:40]!r}")
    return Route(live, candidate, int(share), int(salt), int(expires), mark)


# rendering -----------------------------------------------------------------------------------------


def configuration(route: Route, terms: Terms, secret: str) -> dict[str, Any]:
    """Envoy's RouteConfiguration, exactly as its `config_dump` shows it. Raises BalancerRefused."""
    text = encode(route, terms.pools)
    return {
        "@type": ROUTE_TYPE,
        "name": terms.name,
        "virtual_hosts": [
            {
                "name": "changeover",
                "domains": ["*"],
                "routes": [_preview(route, terms, secret), *_visitors(route, terms)],
                "request_headers_to_remove": [PREVIEW_HEADER],
                "metadata": {"filter_metadata": {"changeover": {"route": text}}},
            }
        ],
        "validate_clusters": True,  # without it, an unknown cluster is accepted and everybody gets 503
    }


def render(route: Route, terms: Terms, secret: str) -> str:
    """The text of the route file, which Envoy watches. The version is what a person sees in `config_dump`."""
    return as_file(configuration(route, terms, secret), encode(route, terms.pools))


def as_file(configuration: Any, version: str) -> str:
    """The text of a route file with this RouteConfiguration, whoever made it."""
    return json.dumps({"version_info": version, "resources": [configuration]}, indent=1) + "\n"


def _preview(route: Route, terms: Terms, secret: str) -> dict[str, Any]:
    if not _SECRET.fullmatch(secret):
        raise BalancerMisconfigured(
            "the preview secret is too short or has characters that may not stand in a header",
            next=("remove the file of the preview secret; a new one is made at the next commit",),
        )
    match = {"prefix": "/", "headers": [{"name": PREVIEW_HEADER, "string_match": {"exact": secret}}]}
    return {"match": match, "route": {"cluster": terms.clusters[terms.idle(route)], **_limits(terms)}}


def _visitors(route: Route, terms: Terms) -> Iterator[dict[str, Any]]:
    live = terms.clusters[route.live]
    if route.share and route.candidate != route.live:
        yield from _share(route, terms)
    yield {"match": {"prefix": "/"}, "route": {"cluster": live, **_limits(terms), "retry_policy": dict(_RETRY)}}


def _share(route: Route, terms: Terms) -> Iterator[dict[str, Any]]:
    live, candidate = terms.clusters[route.live], terms.clusters[route.candidate]
    cookie = bucket_cookie(route.salt)

    def action(hashed: dict[str, Any]) -> dict[str, Any]:
        weights = [
            {"name": aggregate(candidate, live), "weight": route.share},
            {"name": live, "weight": ALL - route.share},
        ]
        return {
            "weighted_clusters": {"clusters": weights, "use_hash_policy": True},
            **_limits(terms),
            "retry_policy": dict(_RETRY),
            "hash_policy": [hashed],
        }

    has_cookie = f"(.*;)? *{cookie}=[^;, ]+.*"
    yield {
        "match": {"prefix": "/", "headers": [_matches("cookie", has_cookie)]},
        "route": action({"cookie": {"name": cookie}}),
    }
    handed_out = f"{cookie}=%REQ(x-request-id)%; Path=/; Max-Age={BUCKET_SECONDS}; SameSite=Lax; HttpOnly"
    yield {
        "match": {"prefix": "/", "headers": [_matches("x-request-id", _ID)]},
        "route": action({"header": {"header_name": "x-request-id"}}),
        "response_headers_to_add": [{"header": {"key": "set-cookie", "value": handed_out}}],
    }


def _matches(header: str, expression: str) -> dict[str, Any]:
    return {"name": header, "string_match": {"safe_regex": {"regex": expression}}}


def _limits(terms: Terms) -> dict[str, Any]:
    return {"timeout": "0s", "idle_timeout": _seconds(terms.silence)}


def _seconds(seconds: float) -> str:
    """A duration as protobuf's JSON writes it: no fraction, or one of three, six or nine digits."""
    nanos = round(seconds * 1_000_000_000)
    whole, rest = divmod(nanos, 1_000_000_000)
    if not rest:
        return f"{whole}s"
    fraction = f"{rest:09}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{whole}.{fraction}s"


# parsing -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parsed:
    """A route configuration that is one of ours, and the preview secret in it."""

    route: Route
    secret: str


def parse_file(text: str, terms: Terms) -> Parsed:
    """The route file's text. Raises ValueError, whose words contain no secret, for anything that is not ours."""
    content = _json(text)
    resources = content.get("resources") if isinstance(content, dict) else None
    if not isinstance(resources, list) or len(resources) != 1:
        raise ValueError("it does not hold one route configuration")
    return parse(resources[0], terms)


def parse(found: Any, terms: Terms) -> Parsed:
    """A RouteConfiguration. Raises ValueError if it decides otherwise than the route in its metadata says."""
    try:
        host = found["virtual_hosts"][0]
        text = host["metadata"]["filter_metadata"]["changeover"]["route"]
        secret = host["routes"][0]["match"]["headers"][0]["string_match"]["exact"]
    except (KeyError, IndexError, TypeError):
        raise ValueError("it is not a route configuration of changeover") from None
    if not (isinstance(text, str) and isinstance(secret, str) and _SECRET.fullmatch(secret)):
        raise ValueError("it is not a route configuration of changeover")
    route = decode(text, terms.pools)
    ours = configuration(route, terms, secret)
    if (difference := _differs(_decisions(ours), _decisions(found))) is not None:
        raise ValueError(f"it says {text}, but {difference} is not as changeover writes it")
    return Parsed(route, secret)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None


def _decisions(value: Any) -> Any:
    """The configuration without what decides nothing: times and retries."""
    if isinstance(value, dict):
        return {key: _decisions(inner) for key, inner in value.items() if key not in _NO_DECISION}
    return [_decisions(inner) for inner in value] if isinstance(value, list) else value


def _differs(ours: Any, theirs: Any, where: str = "") -> str | None:
    """The path of the first difference, or None. Values are not shown: one of them is a secret."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            inner = f"{where}.{key}" if where else str(key)
            if (key in ours) != (key in theirs):
                return inner
            if (found := _differs(ours[key], theirs[key], inner)) is not None:
                return found
        return None
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((d for i, (a, b) in pairs if (d := _differs(a, b, f"{where}[{i}]")) is not None), None)
    return None if ours == theirs and type(ours) is type(theirs) else where
