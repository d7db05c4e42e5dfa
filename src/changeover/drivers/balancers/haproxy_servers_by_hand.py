"""The same acts as shell commands, for a person without changeover. Each one is copyable as it stands (sh, sed, socat)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Protocol

from changeover.core.model import Route
from changeover.drivers.balancers.haproxy_by_hand import HEALTH_WITHIN, SHOWN_WITHIN, connect, functions
from changeover.drivers.balancers.haproxy_servers_file import ConfigFile, ServersFile, Wanted
from changeover.drivers.balancers.haproxy_weights import split_for
from changeover.drivers.balancers.haproxy_wire import encode_route
from changeover.drivers.balancers.pools import no_such_pool
from changeover.drivers.by_hand import wait_until


class _Settings(Protocol):
    @property
    def socket(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def servers(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def entry(self) -> str: ...


_EVERY = 'for pid in $(workers); do tell "$pid" '
_NEXT = "(global|defaults|frontend|backend|listen|userlist|peers|resolvers|mailers|program|cache|http-errors|ring)"


def set_route(settings: _Settings, file: ServersFile, route: Route) -> tuple[str, ...]:
    """Keep the weights on disk, set them on every worker, read them back from every worker. The first fails: do not go on."""
    pools = list(settings.servers)
    value = encode_route(route, pools)
    wanted = Wanted(
        route, split_for(route.share, len(servers_of(settings, route.live)), len(settings.servers[route.candidate]))
    )
    weights = {name: wanted.weights()[pool] for pool in wanted.weights() for name in settings.servers[pool]}
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    sets = [
        f"{_EVERY}{quote(f'set server {settings.backend}/{name} {what}')}; done"
        for name, weight in ordered
        for what in (f"weight {weight}", "state ready")
    ]
    record = f"s/^([ \\t]*# changeover backend={settings.backend} fence=[0-9]+ run=[^ ]*) .*/\\1 route={value} weights={wanted.split.text}/"
    show = [functions(settings.socket)[0], functions(settings.socket)[1]]
    shown = _every_worker_shows(settings, weights)
    if isinstance(file, ConfigFile):
        return (*_edit(file.path, settings.backend, weights, record), *show, *sets, shown)
    path, new = quote(file.path), quote(f"{file.path}.new")
    save = (
        f"{{ echo 1; sed -nE {quote(record + 'p')} {path}; "
        f"for pid in $(fresh | head -1); do tell \"$pid\" 'show servers state'; done | tail -n +2; }} > {new}"
        f" && chmod --reference={path} {new} && sync {new} && mv {new} {path}"
    )
    return (*show, _fresh(settings.socket), *sets, shown, save)


def _edit(path: str, backend: str, weights: Mapping[str, int], record: str) -> tuple[str, ...]:
    old, new = quote(path), quote(f"{path}.new")
    script = [record, f"/^(backend|listen)[ \\t]+{backend}([ \\t]|$)/,/^{_NEXT}[ \\t]/{{"]
    for name, weight in weights.items():
        head = f"^([ \\t]*server[ \\t]+{name}[ \\t]+[^ \\t#]+)"
        script += [
            f"s/{head}([^#]*)[ \\t]weight[ \\t]+[0-9]+/\\1\\2/",
            f"s/{head}([^#]*)[ \\t]disabled/\\1\\2/",
            f"s/{head}/\\1 weight {weight}/",
        ]
    script.append("}")
    lines = " ".join(f"-e {quote(line)}" for line in script)
    own = f"chmod --reference={old} {new} && chown --reference={old} {new}"
    return (f"sed -E {lines} {old} > {new} && haproxy -c -q -f {new} && {own} && sync {new} && mv {new} {old}",)


def demand_live(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Ends 0 only if on every worker the pool's servers have a weight and no server of another pool has."""
    servers_of(settings, pool)
    words = f"{pool} does not have all of the traffic, or HAProxy does not answer"
    mine = " ".join(settings.servers[pool])
    others = " ".join(name for other, names in settings.servers.items() if other != pool for name in names)
    judge = (
        f'awk -v asked="$(workers | wc -l)" \'BEGIN {{split("{mine}", a); for (i in a) mine[a[i]]; '
        f'split("{others}", b); for (i in b) others[b[i]]}} '
        f'$2 == "{settings.backend}" {{serves = $8 > 0 && $7 % 4 == 0 && int($7 / 8) == 0}} '
        "($4 in mine) {good += serves} ($4 in others) {bad += serves} END {exit !(good >= asked && good && !bad)}'"
    )
    return (*functions(settings.socket), wait_until(f"{_dump(settings)} | {judge}", SHOWN_WITHIN, words))


def wait_healthy(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Until every worker finds every server of the pool checked and healthy; maintenance apart."""
    names = _names(settings, pool)
    judge = (
        f'awk -F, \'$1 == "{settings.backend}" && $2 ~ /^({names})$/ && $18 !~ /^MAINT/ '
        '{n++; bad += !($18 == "UP" && $37 ~ /L7OK/)} END {exit bad || !n}\''
    )
    look = f"for pid in $(fresh); do tell \"$pid\" 'show stat'; done | {judge}"
    words = f"HAProxy does not find every server of {pool} healthy"
    return (*functions(settings.socket), _fresh(settings.socket), wait_until(look, HEALTH_WITHIN, words))


def wait_drained(settings: _Settings, pool: str, within: float) -> tuple[str, ...]:
    """Until no worker has a request on the pool's servers or in the backend's queue, twice in a row."""
    names = _names(settings, pool)
    judge = (
        f'awk -F, -v asked="$(workers | wc -l)" \'$1 == "{settings.backend}" && $2 == "BACKEND" {{k++; n += $3}} '
        f'$1 == "{settings.backend}" && $2 ~ /^({names})$/ {{n += $3 + $5}} '
        'END {print n + 0, "in flight"; exit !(k && k == asked && n == 0)}\''
    )
    idle = f"idle() {{ {_EVERY}'show stat'; done | {judge}; }}"
    words = f"{pool} still has requests in flight, or HAProxy does not answer; do not stop its instances"
    return (*functions(settings.socket), idle, wait_until("idle && sleep 1 && idle", within, words))


def ask_instance(settings: _Settings, pool: str) -> tuple[str, ...]:
    """Curl that asks an instance of the pool directly; a path is to be appended."""
    first = servers_of(settings, pool)[0]
    pick = f'awk \'$4 == "{first}" {{print $5 ":" $19; exit}}\''
    address = f'$(for pid in $(fresh | head -1); do tell "$pid" {quote(f"show servers state {settings.backend}")}; done | {pick})'
    return (*functions(settings.socket), _fresh(settings.socket), f"curl -sS -m 5 http://{address}")


def servers_of(settings: _Settings, pool: str) -> Sequence[str]:
    """The pool's servers. Raises BalancerMisconfigured."""
    if pool not in settings.servers:
        raise no_such_pool("the balancer", pool, settings.servers, "`servers`")
    return settings.servers[pool]


def _names(settings: _Settings, pool: str) -> str:
    return "|".join(servers_of(settings, pool))


def _fresh(socket: str) -> str:
    """The worker that takes connections; old ones check nothing."""
    pick = "awk '/^# old/ {exit} $2 == \"worker\" {print $1}'"
    return f"fresh() {{ echo 'show proc' | {connect(socket)} | {pick}; }}"


def _dump(settings: _Settings) -> str:
    return f"{_EVERY}{quote(f'show servers state {settings.backend}')}; done"


def _every_worker_shows(settings: _Settings, weights: Mapping[str, int]) -> str:
    each = " ".join(f"{name}={weight}" for name, weight in weights.items())
    judge = (
        f'awk -v asked="$(workers | wc -l)" \'BEGIN {{split("{each}", p, " "); for (i in p) {{split(p[i], q, "="); w[q[1]] = q[2]}}}} '
        f'$2 == "{settings.backend}" && ($4 in w) {{k++; bad += $8 != w[$4]}} END {{exit bad || !k || k != asked * {len(weights)}}}\''
    )
    return wait_until(f"{_dump(settings)} | {judge}", SHOWN_WITHIN, "not every worker shows the weights")
