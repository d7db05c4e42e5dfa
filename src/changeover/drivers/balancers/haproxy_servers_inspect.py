"""What `doctor` finds out about one HAProxy whose route is the weights of one backend's servers. It only reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from changeover.core.ports import Finding
from changeover.drivers.balancers import haproxy_weights as weights
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_inspect import level, look_at, options, reloads, strangers
from changeover.drivers.balancers.haproxy_servers_file import ServersFile, by_pool
from changeover.drivers.balancers.haproxy_site import discover
from changeover.drivers.balancers.haproxy_socket import MasterSocket
from changeover.drivers.balancers.haproxy_wire import Stat, Worker

STATIC: Final = frozenset({"static-rr"})  # HAProxy itself refuses other weights than 0 % and 100 % while it runs
HASHED: Final = frozenset(
    {"source", "uri", "url_param", "hdr", "rdp-cookie", "hash"}
)  # static unless `hash-type consistent`
UNWEIGHED: Final = {
    "first": "fills one server after the other, whatever it weighs",
    "leastconn": "goes by open connections: weights are a ratio of those, not of visitors",
}


class _Settings(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def entry(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def servers(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def config_path(self) -> str | None: ...
    @property
    def state_path(self) -> str | None: ...
    @property
    def reload(self) -> tuple[str, ...]: ...


def inspect(settings: _Settings, master: MasterSocket, file: ServersFile) -> tuple[Finding, ...]:
    """Every finding; a part that cannot be looked at is a finding too."""
    return look_at(
        settings,
        master,
        lambda worker: [
            lambda: _may_set(settings, master, worker),
            lambda: reloads(settings, master),
            lambda: strangers(settings, master),
            lambda: _servers(settings, master, worker),
            lambda: _backend(settings, master, worker),
        ],
        [lambda: _file(settings, file), lambda: _configuration(settings)],
    )


def _may_set(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    """A socket below level admin is no hindrance where a reload is configured."""
    for finding in level(settings, master, worker):
        yield replace(finding, fatal=not settings.reload)


def _servers(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    reply = master.tell(worker, wire.show_servers(settings.backend))
    if reply.startswith("Can't find backend"):
        detail = f"HAProxy has no backend {settings.backend}"
        yield Finding(f"{settings.name}: backend", False, detail, "name the right `backend` in changeover.yml")
        return
    states = weights.parse_states(reply)
    pools = by_pool(states, settings.servers)
    known = {name for names in settings.servers.values() for name in names}
    strangers = [s.name for s in states if s.name not in known]
    if strangers:
        yield Finding(
            f"{settings.name}: backend",
            ok=False,
            detail=f"{', '.join(strangers)} of {settings.backend} belongs to no pool, and would take traffic beside both",
            fix="name it under `servers`, or move it to another backend",
        )
    for pool, servers in pools.items():
        subject = f"{settings.name}: pool {pool}"
        try:
            weight = weights.pool_weight(pool, servers)
        except ValueError as error:
            fix = "give all servers of a pool one weight; what differs in size needs the map design (docs/howto/haproxy.md)"
            yield Finding(subject, ok=False, detail=str(error), fix=fix)
        else:
            out = [s.name for s in servers if s.is_out]
            detail = f"{len(servers)} servers of weight {weight}" + (f", taken out: {', '.join(out)}" if out else "")
            yield Finding(subject, ok=True, detail=detail)


def _backend(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    rows = [r for r in wire.parse_stat(master.tell(worker, "show stat")) if r.backend == settings.backend]
    whole = next((r for r in rows if r.server == "BACKEND"), None)
    if whole is None:
        return
    yield from _algorithm(settings, whole)
    if cookie := whole.text("cookie"):
        yield Finding(
            f"{settings.name}: cookie",
            ok=False,
            detail=f"the cookie {cookie} keeps visitors on a server of weight 0: a flip would not move them",
            fix=f"remove `cookie` from backend {settings.backend}, or use the map design",
        )
    known = {name for names in settings.servers.values() for name in names}
    bare = [r.server for r in rows if r.server in known and _unchecked(r)]
    if bare:
        fix = "add `option httpchk GET /health` and `check` to its servers"
        yield Finding(f"{settings.name}: checks", ok=False, detail=f"not checked: {', '.join(bare)}", fix=fix)


def _unchecked(row: Stat) -> bool:
    return not row.text("check_status") and not row.text("status").startswith("MAINT")


def _algorithm(settings: _Settings, whole: Stat) -> Iterator[Finding]:
    name = whole.text("algo").split("(")[0].strip()
    subject = f"{settings.name}: balance"
    fix = "balance roundrobin"
    if name in UNWEIGHED:
        yield Finding(subject, ok=False, detail=f"{name} cannot weigh: it {UNWEIGHED[name]}", fix=fix)
    elif name in STATIC:
        detail = f"{name} cannot weigh while it runs"
        yield Finding(subject, bool(settings.reload), detail, f"{fix}, or `reload:` as the last resort")
    elif name in HASHED:
        detail = f"{name} weighs only with `hash-type consistent`, and by what it hashes, not by visitor"
        yield Finding(subject, ok=False, detail=detail, fix=fix, fatal=False)
    else:
        yield Finding(subject, ok=True, detail=f"{name or 'the algorithm is not shown'}")


def _file(settings: _Settings, file: ServersFile) -> Iterator[Finding]:
    subject = f"{settings.name}: {file.kind}"
    text = file.text()
    directory = Path(os.path.realpath(file.path)).parent
    writable = os.access(directory, os.W_OK | os.X_OK)
    detail = f"{directory} is {'writable' if writable else 'not writable'}"
    fix = f"give this user write permission on {directory} ({file.path} is replaced by a rename)"
    yield Finding(subject, writable, detail, fix)
    if settings.state_path is None:
        by_pool(file.states(text), settings.servers)
    record = file.record(text)
    if record is not None:
        same = file.parse(text).value is not None
        detail = (
            f"{file.path} was written for {record.route.live}, and its weights {'are' if same else 'are not'} those"
        )
        yield Finding(subject, same, detail, "somebody edited it: changeover status", fatal=False)


def _configuration(settings: _Settings) -> Iterator[Finding]:
    if settings.config_path is None:
        return
    subject = f"{settings.name}: haproxy.cfg"
    try:
        text = Path(settings.config_path).read_text("utf-8", "replace")
    except OSError as error:
        detail = f"{settings.config_path} cannot be read: {error.strerror}"
        yield Finding(subject, ok=False, detail=detail, fix="name the right file, or none", fatal=False)
        return
    site = discover(text)
    backend = site.backend(settings.backend)
    sticky = () if backend is None else tuple(line for line in backend.sticky if not line.startswith("cookie"))
    if sticky:
        detail = f"`{sticky[0]}` keeps visitors on a server of weight 0: a flip would not move them"
        yield Finding(subject, ok=False, detail=detail, fix=f"remove it from backend {settings.backend}")
    if settings.state_path is not None:
        kept = "load-server-state-from-file" in text and "server-state-file" in text
        fix = f"global: server-state-file {settings.state_path}; defaults: load-server-state-from-file global; then reload"
        detail = f"the state file is {'loaded' if kept else 'not loaded'} when HAProxy starts"
        yield Finding(subject, kept, detail, fix)
    yield from options(subject, site)
