"""Which target a request goes to: the rules of a listener, weights, stickiness, health. Pure, except for the dice."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any
from urllib.parse import parse_qsl

STICKY = "AWSALBTG"  # the cookie of group stickiness, as AWS calls it


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request rules look at; header names in lower case."""

    method: str = "GET"
    path: str = "/"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    source: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule as a node knows it; the default rule has the largest order."""

    order: int
    conditions: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A group and the cookie to set; or a status that the load balancer answers by itself."""

    group: str = ""
    cookie: str = ""
    status: int = 0
    body: str = ""
    location: str = ""


def choose(rules: Sequence[RuleView], asked: Asked, dice: Random, now: float) -> Chosen:
    """The first rule whose conditions all hold decides."""
    rule = next(r for r in sorted(rules, key=lambda r: r.order) if all(_holds(c, asked) for c in r.conditions))
    action = rule.actions[-1]
    match action.get("Type"):
        case "forward":
            return _forward(action, asked, dice, now)
        case "fixed-response":
            config = action.get("FixedResponseConfig", {})
            return Chosen(status=int(config.get("StatusCode", 503)), body=str(config.get("MessageBody", "")))
        case "redirect":
            config = action.get("RedirectConfig", {})
            code = 301 if config.get("StatusCode") == "HTTP_301" else 302
            return Chosen(status=code, location=str(config.get("Path", "/")))
        case _:
            return Chosen(status=500)


def _forward(action: Mapping[str, Any], asked: Asked, dice: Random, now: float) -> Chosen:
    config = action.get("ForwardConfig") or {}
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn"), "Weight": 1}]
    weights = {str(g["TargetGroupArn"]): int(g.get("Weight", 1)) for g in groups}
    if len(weights) == 1:
        return Chosen(next(iter(weights)))
    sticky = config.get("TargetGroupStickinessConfig") or {}
    lasts = float(sticky.get("DurationSeconds", 0)) if str(sticky.get("Enabled")).lower() == "true" else 0.0
    if lasts:
        known = _remembered(asked.headers.get("cookie", ""), now)
        if known in weights:
            return Chosen(known)  # unkind: also where its weight is 0 by now
    if not sum(weights.values()):
        return Chosen(status=503)
    group = dice.choices(list(weights), list(weights.values()))[0]
    return Chosen(group, _cookie(group, now + lasts) if lasts else "")


def _cookie(group: str, until: float) -> str:
    return base64.urlsafe_b64encode(f"{group}|{until:.3f}".encode()).decode()


def _remembered(header: str, now: float) -> str:
    """The group in a cookie that is still good, "" otherwise."""
    try:
        found = SimpleCookie(header).get(STICKY)
        group, _, until = base64.urlsafe_b64decode(found.value).decode().rpartition("|") if found else ("", "", "0")
        return group if float(until) > now else ""
    except (CookieError, ValueError):
        return ""


def _holds(condition: Mapping[str, Any], asked: Asked) -> bool:
    name = str(condition.get("Field", ""))

    def values(key: str) -> list[Any]:
        return list((condition.get(key) or {}).get("Values") or condition.get("Values") or [])

    match name:
        case "path-pattern":
            return any(fnmatchcase(asked.path, v) for v in values("PathPatternConfig"))
        case "host-header":
            host = asked.headers.get("host", "").rpartition(":")[0].lower() or asked.headers.get("host", "").lower()
            return any(fnmatchcase(host, v.lower()) for v in values("HostHeaderConfig"))
        case "http-header":
            config = condition["HttpHeaderConfig"]
            found = asked.headers.get(str(config["HttpHeaderName"]).lower(), "")
            return any(fnmatchcase(found.lower(), str(v).lower()) for v in config["Values"])
        case "http-request-method":
            return asked.method in values("HttpRequestMethodConfig")
        case "query-string":
            pairs = parse_qsl(asked.query, keep_blank_values=True)
            return any(
                fnmatchcase(v, str(w.get("Value", ""))) and ("Key" not in w or fnmatchcase(k, str(w["Key"])))
                for w in values("QueryStringConfig")
                for k, v in pairs
            )
        case "source-ip":
            return any(ip_address(asked.source) in ip_network(v) for v in values("SourceIpConfig"))
        case _:
            return False
