"""The same acts as shell commands, for a person without changeover. Each is copyable as it stands (sh, curl, python3 as it comes)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from shlex import quote
from typing import Final, Protocol

from changeover.core.model import Route
from changeover_caddy import config

PLACEHOLDER: Final = "changeover-secret-of-the-file"
HEALTH_WITHIN: Final = 60.0  # seconds
_WRITE: Final = """\
import hashlib, json, os, sys, time
path, secret, text = sys.argv[1:]
ours = json.loads(text.replace({placeholder!r}, open(secret).read().strip()))
whole = json.load(open(path))
def swap(value):
    if isinstance(value, dict):
        if value.get("@id") == {id!r}:
            old.append(value["handle"][0])
            return ours
        return {{key: swap(inner) for key, inner in value.items()}}
    return [swap(inner) for inner in value] if isinstance(value, list) else value
old = []
swap(whole)
if len(old) != 1:
    sys.exit("STOP: %s has %d objects of changeover" % (path, len(old)))
head = ours["handle"][0]
head["changeover_fence"] = old[0]["changeover_fence"]
head["changeover_left"] = (old[0]["changeover_left"] + " %s@%.3f" % (old[0]["changeover_route"], time.time())).strip()
head["changeover_sum"] = hashlib.sha256(json.dumps(dict(ours, handle=[{{k: v for k, v in head.items() if k != "changeover_sum"}}] + ours["handle"][1:]), sort_keys=True, separators=(",", ":")).encode()).hexdigest()
now = os.stat(path)
with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
    json.dump(swap(whole), new, indent=1)
    new.flush()
    os.fchown(new.fileno(), now.st_uid, now.st_gid)
    os.fchmod(new.fileno(), now.st_mode & 0o7777)
    os.fsync(new.fileno())
os.rename(path + ".new", path)
print(json.dumps(ours))
"""


class _Settings(Protocol):
    @property
    def admin(self) -> str: ...
    @property
    def config(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def entry(self) -> str: ...
    @property
    def health(self) -> str: ...


def set_route(settings: _Settings, route: Route, site: config.Site) -> tuple[str, ...]:
    """Write the file, load its object into Caddy, see that Caddy shows it."""
    ours = json.dumps(config.route_object(route, site, token=0, run="by-hand"))
    script = _WRITE.format(placeholder=PLACEHOLDER, id=config.ID)
    words = " ".join(map(quote, (settings.config, settings.secret, ours)))
    load = f"{curl(settings, f'/id/{config.ID}')} -f -X PATCH -H 'Content-Type: application/json' --data-binary @-"
    shown = f'"changeover_route":"{config.encode(route)}"'
    return (
        f"# {route.live} is to be live: the file first, then Caddy",
        f'ours=$(python3 -c {quote(script)} {words}) && printf %s "$ours" | {load}',
        _demand(f"{curl(settings, f'/id/{config.ID}')} | grep -qF {quote(shown)}", "Caddy does not show the route"),
    )


def demand_live(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Ends 0 only if Caddy gives the pool everything."""
    shown = f'"changeover_route":"{pool}:[^:"]*:0:'
    look = f"{curl(settings, f'/id/{config.ID}')} | grep -qE {quote(shown)}"
    return (_demand(look, f"{pool} does not have all of the traffic, or Caddy does not answer"),)


def wait_healthy(settings: _Settings, addresses: Sequence[str]) -> tuple[str, ...]:
    """Until each instance answers the check that Caddy makes."""
    return tuple(
        _wait(
            f"curl -fsS -o /dev/null -m 5 {quote(f'http://{address}{settings.health}')}",
            HEALTH_WITHIN,
            f"{address} is not healthy",
        )
        for address in addresses
    )


def wait_drained(settings: _Settings, pool: str, addresses: Sequence[str], within: float) -> tuple[str, ...]:
    """Until Caddy shows nothing in flight on any instance of the pool. Before that: silent connections of before have ended."""
    each = "|".join(addresses).replace(".", r"\.").replace("[", r"\[").replace("]", r"\]")
    one = quote(f'"({each})","num_requests":0,')
    idle = f"tr '}}' '\\n' | grep -cE {one}"
    look = f'[ "$({curl(settings, "/reverse_proxy/upstreams")} | {idle})" = {len(addresses)} ]'
    return (
        f"# nothing in flight on {pool}: connections of before may bring a first request for {ceil(config.LEAVE)} s",
        f"sleep {ceil(config.LEAVE)}",
        _wait(look, within, f"something is in flight on {pool}, or Caddy does not answer"),
    )


def ask_preview(settings: _Settings) -> tuple[str, ...]:
    """The secret is in no process list and no history: curl reads the header from its standard input."""
    header = f"printf '{config.HEADER}: %s\\n' \"$(cat {quote(settings.secret)})\""
    return (f"{header} | curl -sS -m 5 -H @- {quote(settings.entry)}",)


def curl(settings: _Settings, path: str) -> str:
    """A request to the admin API."""
    if "/" in settings.admin:
        return f"curl -sS -m 10 -H 'Host;' --unix-socket {quote(settings.admin)} http://caddy{path}"
    return f"curl -sS -m 10 {quote(f'http://{settings.admin}{path}')}"


def _wait(check: str, seconds: float, otherwise: str) -> str:
    return (
        f"(for try in $(seq {max(1, ceil(seconds))}); do {check} && exit; sleep 1; done; "
        f"echo {quote(f'STOP: {otherwise}')} >&2; exit 1)"
    )


def _demand(test: str, otherwise: str) -> str:
    return f"{test} || {{ echo {quote(f'STOP: {otherwise}')} >&2; false; }}"
