"""What `doctor` finds out about one HAProxy. It only reads."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psutil

from changeover.core.errors import BalancerUnreachable, ChangeoverError
from changeover.core.ports import Finding
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_config import FALLBACK_TABLE, LONG_TABLE, parse_preview
from changeover.drivers.balancers.haproxy_file import MapFile
from changeover.drivers.balancers.haproxy_site import HaproxySite, discover
from changeover.drivers.balancers.haproxy_socket import MasterSocket, WorkerGone
from changeover.drivers.balancers.haproxy_wire import Worker

OLDEST = (2, 4)  # the first with versioned maps
SHORTEST_HARD_STOP = 300.0  # seconds: the default hard limit of a drain
LONGEST_KEEP_ALIVE = 30.0  # seconds: the default soft limit of a drain


Look = Callable[[], Iterator[Finding]]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Entered(_Named, Protocol):
    @property
    def entry(self) -> str: ...


class _Settings(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def entry(self) -> str: ...
    @property
    def map_path(self) -> str: ...
    @property
    def preview_map_path(self) -> str: ...
    @property
    def backends(self) -> Mapping[str, str]: ...
    @property
    def config_path(self) -> str | None: ...


def inspect(settings: _Settings, master: MasterSocket) -> tuple[Finding, ...]:
    """Every finding; a part that cannot be looked at is a finding too."""
    return look_at(
        settings,
        master,
        lambda worker: [
            lambda: level(settings, master, worker),
            lambda: _version(settings, master),
            lambda: reloads(settings, master),
            lambda: strangers(settings, master),
            lambda: _map(settings, master, worker),
            lambda: _pools(settings, master, worker),
            lambda: _tables(settings, master, worker),
            lambda: _preview_map(settings, master, worker),
        ],
        [lambda: _files(settings), lambda: _preview_file(settings), lambda: _configuration(settings)],
    )


def look_at(
    settings: _Named, master: MasterSocket, running: Callable[[Worker], Sequence[Look]], resting: Sequence[Look]
) -> tuple[Finding, ...]:
    """What all looks find: those at the newest worker, if one answers, and those at what lies on disk."""
    subject = f"{settings.name}: master socket"
    looks = list(resting)
    try:
        worker = next(w for w in master.workers() if not w.old)
    except ChangeoverError as error:
        fix = "run haproxy with -W and -S PATH,mode,660,level,admin, and this user in the socket's group"
        found = [Finding(subject, ok=False, detail=error.what, fix=fix)]
    else:
        found = [Finding(subject, ok=True, detail=f"{master.path} answers")]
        looks = [*running(worker), *looks]
    for look in looks:
        try:
            found += look()
        except ChangeoverError as error:
            found.append(Finding(settings.name, ok=False, detail=error.what, fix="; ".join(error.next), cause=error))
        except WorkerGone:
            detail = "HAProxy was reloaded meanwhile"
            again = BalancerUnreachable(detail, next=("look again: changeover doctor",))
            found.append(Finding(settings.name, ok=False, detail=detail, fix="look again", cause=again))
    return tuple(replace(f, fix="") if f.ok else f for f in found)


# the running HAProxy -----------------------------------------------------------------------------------


def level(settings: _Named, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    """Whether the socket may change anything."""
    found = master.tell(worker, "show cli level").strip()
    fix = "start haproxy with -S PATH,mode,660,level,admin"
    yield Finding(f"{settings.name}: level", found == "admin", f"the master socket has level {found[:20] or '?'}", fix)


def _version(settings: _Settings, master: MasterSocket) -> Iterator[Finding]:
    found = re.search(r"^\d+\s+worker\s+\d+\s+\S+\s+(\d+)\.(\d+)\S*", master.ask("show proc"), re.MULTILINE)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    detail = f"HAProxy {version[0]}.{version[1]}" if found else "the version is not shown"
    yield Finding(f"{settings.name}: version", version >= OLDEST, detail, "versioned maps need HAProxy 2.4 or newer")


def strangers(settings: _Entered, master: MasterSocket) -> Iterator[Finding]:
    """A worker that the master does not know (a HAProxy that was left behind) takes connections on the same port, unseen."""
    entry = urlsplit(settings.entry)
    port = entry.port or (443 if entry.scheme == "https" else 80)
    listed = re.findall(r"^(\d+)\s", master.ask("show proc"), re.MULTILINE)
    known = {int(pid) for pid in listed}
    found = {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid is not None
    }
    if not found & known:
        return  # it listens on another machine, or may not be seen from here
    unknown = sorted(found - known)
    detail = f"process {', '.join(map(str, unknown))} listens on port {port}, too, and is no worker of this master"
    fix = "find out what it is; an HAProxy that was left behind: stop it softly (kill -USR1)"
    yield Finding(
        f"{settings.name}: workers", not unknown, detail if unknown else f"only its own listen on port {port}", fix
    )


def reloads(settings: _Named, master: MasterSocket) -> Iterator[Finding]:
    """Whether the running configuration is the file's."""
    reply = master.ask("show proc")
    failed = wire.failed_reloads(reply)
    old = sum(1 for w in wire.parse_workers(reply) if w.old)
    yield Finding(
        f"{settings.name}: reload",
        failed == 0,
        f"the last {failed} reloads failed: haproxy.cfg is not what runs"
        if failed
        else f"no failed reload, {old} old workers",
        "haproxy -c -f haproxy.cfg, then reload",
    )


def _map(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    subject = f"{settings.name}: route"
    entries = wire.parse_entries(master.tell(worker, wire.show_map(settings.map_path)))
    values = [value for key, value in entries if key == wire.ROUTE_KEY]
    others = sorted({key for key, _ in entries} - {wire.ROUTE_KEY})
    if not values:
        fix = f"echo '{wire.ROUTE_KEY} LIVE:CANDIDATE:0:0:0:' > {settings.map_path}, then reload"
        yield Finding(subject, ok=False, detail=f"{settings.map_path} has no entry '{wire.ROUTE_KEY}'", fix=fix)
        return
    try:
        wire.decode_route(values[0], list(settings.backends))
    except ValueError as error:
        yield Finding(
            subject,
            ok=False,
            detail=f"it is no route: {error}",
            fix=f"commit a route, or set {wire.ROUTE_KEY} by hand in {settings.map_path} and on every worker",
        )
    else:
        yield Finding(subject, ok=True, detail=values[0])
    if len(values) > 1 or others:
        detail = f"the map has {len(values)} entries for the route and the foreign keys {others}: a commit removes them"
        yield Finding(subject, ok=False, detail=detail, fix="give changeover a map of its own", fatal=bool(others))


def _pools(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    rows = wire.parse_stat(master.tell(worker, "show stat"))
    for pool, backend in settings.backends.items():
        subject = f"{settings.name}: pool {pool}"
        servers = [r for r in rows if r.backend == backend and r.server not in ("BACKEND", "FRONTEND")]
        unchecked = [
            r.server for r in servers if not r.text("check_status") and not r.text("status").startswith("MAINT")
        ]
        if not servers:
            yield Finding(
                subject, ok=False, detail=f"backend {backend} is missing or empty", fix=f"add backend {backend}"
            )
        elif unchecked:
            fix = "add `option httpchk GET /health` and `check` to its servers"
            yield Finding(subject, ok=False, detail=f"not checked: {', '.join(unchecked)}", fix=fix)
        else:
            healthy = sum(1 for r in servers if r.healthy)
            yield Finding(subject, ok=True, detail=f"backend {backend}: {healthy} of {len(servers)} healthy")


def _tables(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    for table, column in ((LONG_TABLE, "conn_cur"), (FALLBACK_TABLE, "http_req_cnt")):
        reply = master.tell(worker, wire.show_table(table))
        there = reply.startswith("# table:")
        detail = f"table {table} is {'there' if there else 'missing'}"
        fix = f"add: backend {table} / stick-table type string len 32 size 64 store {column}"
        yield Finding(f"{settings.name}: counting", there, detail, fix)


def _preview_map(settings: _Settings, master: MasterSocket, worker: Worker) -> Iterator[Finding]:
    """Only whether they agree is told, never what they hold."""
    entries = wire.parse_entries(master.tell(worker, wire.show_map(settings.preview_map_path)))
    running = {(secret, pool) for secret, pool in entries}
    try:
        wanted = parse_preview(Path(settings.preview_map_path).read_text("utf-8", "replace"))
    except OSError:
        return  # told by the look at the file
    missing = [pool for pool, secret in wanted.items() if (secret, pool) not in running]
    detail = f"HAProxy does not know the secret of {', '.join(missing)}" if missing else "HAProxy knows the secrets"
    yield Finding(f"{settings.name}: preview", not missing, detail, "reload HAProxy")


# files ---------------------------------------------------------------------------------------------------


def _files(settings: _Settings) -> Iterator[Finding]:
    subject = f"{settings.name}: map file"
    text = MapFile(settings.map_path).read()
    directory = Path(os.path.realpath(settings.map_path)).parent
    writable = os.access(directory, os.W_OK | os.X_OK)
    detail = f"{directory} is {'writable' if writable else 'not writable'}"
    yield Finding(
        subject, writable, detail, f"give this user write permission on {directory} (the map is replaced by a rename)"
    )
    there = text.value is not None
    detail = (
        f"{settings.map_path} holds {text.value}" if there else f"{settings.map_path} has no entry '{wire.ROUTE_KEY}'"
    )
    yield Finding(subject, there, detail, "a restart would come up with the default of haproxy.cfg")


def _preview_file(settings: _Settings) -> Iterator[Finding]:
    subject = f"{settings.name}: preview file"
    path = Path(settings.preview_map_path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        known = parse_preview(path.read_text("utf-8", "replace"))
    except OSError as error:
        yield Finding(
            subject, ok=False, detail=f"{path} cannot be read: {error.strerror}", fix=f"let this user read {path}"
        )
        return
    private = mode & 0o007 == 0
    yield Finding(subject, private, f"{path} has mode {mode:04o}", f"chmod 0600 {path}: it holds secrets", fatal=False)
    missing = sorted(set(settings.backends) - set(known))
    detail = f"no secret for {', '.join(missing)}" if missing else "a secret for every pool"
    yield Finding(subject, not missing, detail, f"add a line 'SECRET POOL' to {path}, then reload")


def _configuration(settings: _Settings) -> Iterator[Finding]:
    if settings.config_path is None:
        return
    subject = f"{settings.name}: haproxy.cfg"
    try:
        site = discover(Path(settings.config_path).read_text("utf-8", "replace"))
    except OSError as error:
        detail = f"{settings.config_path} cannot be read: {error.strerror}"
        yield Finding(subject, ok=False, detail=detail, fix="name the right file, or none", fatal=False)
        return
    yield from options(subject, site)


def options(subject: str, site: HaproxySite) -> Iterator[Finding]:
    """Whether a reload or a drain would lose requests."""
    yield Finding(
        subject,
        site.idle_close,
        f"option idle-close-on-response is {'set' if site.idle_close else 'missing'}",
        "without it a reload resets idle connections: add it to defaults",
        fatal=False,
    )
    stop = site.hard_stop_after
    enough = stop is None or stop >= SHORTEST_HARD_STOP
    detail = "no hard-stop-after" if stop is None else f"hard-stop-after is {stop:g} s"
    yield Finding(subject, enough, detail, "it must exceed the longest drain: an old worker dies then", fatal=False)
    alive = site.keep_alive
    brief = alive is not None and alive <= LONGEST_KEEP_ALIVE
    detail = "no timeout http-keep-alive" if alive is None else f"timeout http-keep-alive is {alive:g} s"
    yield Finding(subject, brief, detail, "keep it below the drain's soft limit, 10s", fatal=False)
