"""The same acts as shell commands, for a person without changeover. Each one is copyable as it stands (sh, socat).

A step begins with two functions: `workers` lists the worker processes, old ones included, and `tell PID COMMAND` asks one.
No answer is never taken for a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Protocol

from changeover.core.model import Route
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_config import PREVIEW_HEADER
from changeover.drivers.balancers.pools import no_such_pool
from changeover.drivers.by_hand import pattern, wait_until


class _Settings(Protocol):
    @property
    def socket(self) -> str: ...
    @property
    def map_path(self) -> str: ...
    @property
    def preview_map_path(self) -> str: ...
    @property
    def entry(self) -> str: ...
    @property
    def backends(self) -> Mapping[str, str]: ...


HEALTH_WITHIN = 60.0  # seconds
SHOWN_WITHIN = 3.0  # seconds
_EVERY = 'for pid in $(workers); do tell "$pid" '
_NEW = "{ echo 'show proc' | %s | awk '/^# old/ {exit} $2 == \"worker\" {print $1}'; }"  # old ones check nothing


def set_route(settings: _Settings, route: Route) -> tuple[str, ...]:
    """Write the file, set the entry on every worker, read it back from every worker. The first fails: do not go on."""
    value = wire.encode_route(route, list(settings.backends))
    path = quote(settings.map_path)
    new = quote(f"{settings.map_path}.new")
    write = (
        f"{{ grep '^#' {path}; echo {quote(f'{wire.ROUTE_KEY} {value}')}; }} > {new}"
        f" && chmod --reference={path} {new} && sync {new} && mv {new} {path}"
    )
    return (
        write,
        *functions(settings.socket),
        f"{_EVERY}{quote(wire.set_route(settings.map_path, value))}; done",
        _every_worker_shows(settings, f'value="{pattern(value)}"', "not every worker shows the route"),
    )


def demand_live(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Ends 0 only if every worker gives the pool everything."""
    backend_of(settings, pool)
    shown = f'value="{pattern(pool)}:[^:"]*:0:'
    words = f"{pool} does not have all of the traffic, or HAProxy does not answer"
    return (*functions(settings.socket), _every_worker_shows(settings, shown, words))


def wait_healthy(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Until every worker finds every server of the pool checked and healthy; maintenance apart."""
    backend = backend_of(settings, pool)
    judge = (
        f'awk -F, \'$1 == "{backend}" && $2 != "BACKEND" && $18 !~ /^MAINT/ '
        '{n++; bad += !($18 == "UP" && $37 ~ /L7OK/)} END {exit bad || !n}\''
    )
    fresh = _NEW % connect(settings.socket)
    look = f"for pid in $(fresh); do tell \"$pid\" 'show stat'; done | {judge}"
    words = f"HAProxy does not find every server of {backend} healthy"
    return (*functions(settings.socket), f"fresh() {fresh}", wait_until(look, HEALTH_WITHIN, words))


def wait_drained(settings: _Settings, pool: str, within: float) -> tuple[str, ...]:
    """Until no worker has a request (queued, being processed) or a websocket of the pool, twice in a row."""
    backend = backend_of(settings, pool)
    judge = (
        f'awk -F, -v asked="$(workers | wc -l)" \'$1 == "{backend}" && $2 == "BACKEND" {{k++; n += $3 + $5}} '
        'END {print n + 0, "in flight"; exit !(k && k == asked && n == 0)}\''
    )
    idle = f"idle() {{ {_EVERY}'show stat'; done | {judge}; }}"
    words = f"{pool} still has requests in flight, or HAProxy does not answer; do not stop its instances"
    return (*functions(settings.socket), idle, wait_until("idle && sleep 1 && idle", within, words))


def ask_preview(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Curl that asks the pool through the preview; the shell reads the secret from its file. A path is to be appended."""
    pick = "$2 == " + f'"{pool}"' + " {print $1; exit}"
    secret = f"$(awk {quote(pick)} {quote(settings.preview_map_path)})"
    return (f'curl -sS -m 5 -H "{PREVIEW_HEADER}: {secret}" {quote(settings.entry.rstrip("/"))}',)


def functions(socket: str) -> tuple[str, str]:
    """`workers` and `tell`. The pid is never beside a `!`, which an interactive shell would expand in double quotes."""
    return (
        f"workers() {{ echo 'show proc' | {connect(socket)} | awk '$2 == \"worker\" {{print $1}}'; }}",
        f'tell() {{ printf \'@!%s %s\\n\' "$1" "$2" | {connect(socket)}; }}',
    )


def _every_worker_shows(settings: _Settings, shown: str, words: str) -> str:
    get = quote(wire.get_route(settings.map_path))
    judge = f"awk -v asked=\"$(workers | wc -l)\" '/{shown}/ {{n++; print}} END {{exit !(n && n == asked)}}'"
    return wait_until(f"{_EVERY}{get}; done | {judge}", SHOWN_WITHIN, words)


def connect(socket: str) -> str:
    """Gives what comes in to the socket, and what it answers."""
    return f"socat -t5 - {quote(f'UNIX-CONNECT:{socket}')}"


def backend_of(settings: _Settings, pool: str) -> str:
    """The pool's backend. Raises BalancerMisconfigured."""
    if pool not in settings.backends:
        raise no_such_pool("the balancer", pool, settings.backends, "`backends`")
    return settings.backends[pool]
