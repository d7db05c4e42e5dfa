"""HAProxy's runtime interface: commands as text, replies as values. Pure; `haproxy_socket` carries them.

Replies carry no status code, so each parser demands exactly the text of success:
for `commit map` and `shutdown session` that is a blank line, and anything else is a failure.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, ChangeoverError
from changeover.core.model import Route

ROUTE_KEY: Final = "route"
LONGEST_SOCKET_PATH: Final = 97  # HAProxy binds a temporary name beside it; the kernel ends at 107 bytes


_PATH = re.compile(r"/[A-Za-z0-9._/+@%=,-]+")
_VALUE = re.compile(r"[A-Za-z0-9._:-]+")
_POOL = re.compile(r"[A-Za-z0-9_-]+")
_AGE = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SENDS_BODY = 0x04000000  # AN_RES_HTTP_XFER_BODY, as seen on 2.6
_SESSION = re.compile(r"0x[0-9a-f]+")


class OutOfRange(Exception):
    """HAProxy refused a prepared version: a newer one was committed meanwhile. Never leaves the driver."""


# commands ------------------------------------------------------------------------------------------


def safe_path(path: str) -> str:
    """The path, if it can stand in a command: absolute, no spaces, quotes, semicolons or backslashes."""
    if not _PATH.fullmatch(path):
        raise BalancerMisconfigured(
            f"the path {path!r} cannot be written in an HAProxy command",
            next=("use an absolute path of letters, digits and . _ / + @ % = , -",),
        )
    return path


def get_route(map_path: str) -> str:
    return f"get map {safe_path(map_path)} {ROUTE_KEY}"


def show_map(map_path: str) -> str:
    return f"show map {safe_path(map_path)}"


def prepare_map(map_path: str) -> str:
    return f"prepare map {safe_path(map_path)}"


def add_route(map_path: str, version: int, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise BalancerRefused(f"{value!r} is not a value that may be written into the map")
    return f"add map @{int(version)} {safe_path(map_path)} {ROUTE_KEY} {value}"


def commit_map(map_path: str, version: int) -> str:
    return f"commit map @{int(version)} {safe_path(map_path)}"


def set_route(map_path: str, value: str) -> str:
    """The plain, unfenced form: for people, never for the driver."""
    if not _VALUE.fullmatch(value):
        raise BalancerRefused(f"{value!r} is not a value that may be written into the map")
    return f"set map {safe_path(map_path)} {ROUTE_KEY} {value}"


def show_servers(backend: str) -> str:
    if not _POOL.fullmatch(backend.replace(".", "_")):
        raise BalancerMisconfigured(f"{backend!r} is not the name of a backend")
    return f"show servers state {backend}"


def show_table(name: str) -> str:
    if not _POOL.fullmatch(name):
        raise BalancerMisconfigured(f"{name!r} is not a table name")
    return f"show table {name}"


def shutdown_session(session: str) -> str:
    if not _SESSION.fullmatch(session):
        raise BalancerRefused(f"{session!r} is not a session id")
    return f"shutdown session {session}"


# the route as text -----------------------------------------------------------------------------------


def encode_route(route: Route, pools: Sequence[str]) -> str:
    """`live:candidate:share:salt:expires:mark`. Raises BalancerRefused for what HAProxy would accept and turn into 503."""
    for pool in (route.live, route.candidate):
        if pool not in pools or not _POOL.fullmatch(pool):
            raise BalancerRefused(
                f"the balancer has no pool {pool!r}; it has {', '.join(pools)}",
                next=("compare the pools of changeover.yml with haproxy.cfg: changeover doctor",),
            )
    value = f"{route.live}:{route.candidate}:{route.share}:{route.salt}:{route.expires}:{route.mark}"
    if not _VALUE.fullmatch(value):
        raise BalancerRefused(f"the mark {route.mark!r} cannot be written into the map")
    return value


def decode_route(value: str, pools: Sequence[str]) -> Route:
    """The inverse. Four fields are enough (what a person types). Raises ValueError for what is no route of these pools."""
    fields = value.split(":")
    if not 4 <= len(fields) <= 6:
        raise ValueError(f"{value!r} has {len(fields)} fields")
    live, candidate = fields[:2]
    for pool in (live, candidate):
        if pool not in pools:
            raise ValueError(f"{value!r} names the pool {pool!r}")
    share, salt, expires = (_number(f) for f in [*fields[2:5], "0"][:3])
    return Route(live, candidate, share, salt, expires, fields[5] if len(fields) == 6 else "")


def _number(field: str) -> int:
    if not (field.isascii() and field.isdigit() and len(field) <= 12):
        raise ValueError(f"{field!r} is not a number")
    return int(field)


# replies ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process. An old one only finishes what it had when HAProxy was reloaded; it takes no new connections."""

    pid: int
    old: bool

    @property
    def name(self) -> str:
        return f"{self.pid} (old)" if self.old else str(self.pid)


def strange(command: str, reply: str) -> ChangeoverError:
    """The error for a reply that is not the one of success. Only the beginning is shown."""
    said = " ".join(reply.split())[:120] or "nothing"
    verb = " ".join(command.split()[:2])
    if said.startswith(("Unknown map identifier", "No such table", "Unknown command")):
        return BalancerMisconfigured(
            f"HAProxy's running configuration does not have what {verb!r} needs: {said[:60]}",
            next=("changeover doctor", "after a change of haproxy.cfg: haproxy -c -f haproxy.cfg, then reload"),
        )
    if said.startswith("Permission denied"):
        return BalancerMisconfigured(
            f"HAProxy's master socket does not allow {verb!r}",
            next=("start haproxy with -S PATH,mode,660,level,admin",),
        )
    return BalancerRefused(
        f"HAProxy answered {verb!r} with: {said}",
        now="It is not known whether the command had an effect; the read-back decides.",
        next=("changeover doctor", "changeover status"),
    )


def parse_workers(reply: str) -> tuple[Worker, ...]:
    """`show proc` of the master: every worker that is alive, new ones first.

    Raises BalancerRefused if it is not that table, or lists no worker that takes connections.
    """
    found: list[Worker] = []
    old = False
    for line in reply.splitlines():
        words = line.split()
        if line.startswith("#"):
            old = line.startswith("# old")
        elif len(words) >= 4 and words[1] == "worker" and words[0].isdigit():
            found.append(Worker(int(words[0]), old))
    if "#<PID>" not in reply or not any(not w.old for w in found):
        raise strange("show proc", reply)
    return tuple(sorted(found, key=lambda w: (w.old, w.pid)))


def failed_reloads(reply: str) -> int:
    """`show proc` of the master: how often the last reloads failed in a row (0: the running configuration is the file's)."""
    found = re.search(r"\[failed: (\d+)\]", reply)
    return int(found[1]) if found else 0


def parse_value(reply: str) -> str | None:
    """`get map`: the value, or None when the key is missing (then the text in the configuration applies, silently)."""
    if re.search(r"\bfound=no\b", reply):
        return None
    found = re.search(r'\bfound=yes\b.*\bvalue="([^"]*)"', reply)
    if not found:
        raise strange("get map", reply)
    return found[1]


def parse_entries(reply: str) -> tuple[tuple[str, str], ...]:
    """`show map FILE`: (key, value) of every entry, in order; the first of a key is the one that wins."""
    entries = []
    for line in reply.splitlines():
        if not line.strip():
            continue
        words = line.split(maxsplit=2)
        if not _SESSION.fullmatch(words[0]) or len(words) < 2:
            unknown = reply.startswith("Unknown map")  # anything else may hold a secret
            raise strange("show map", reply if unknown else "a line that is no entry")
        entries.append((words[1], words[2] if len(words) == 3 else ""))
    return tuple(entries)


def parse_version(reply: str) -> int:
    """`prepare map`: the number of the version that was opened."""
    found = re.fullmatch(r"New version created: (\d+)\s*", reply)
    if not found:
        raise strange("prepare map", reply)
    return int(found[1])


def demand_blank(command: str, reply: str) -> None:
    """For commands whose success is a blank line. Raises OutOfRange for a version that is too old, else BalancerRefused."""
    if "out of range" in reply:
        raise OutOfRange
    if reply.strip():
        raise strange(command, reply)


@dataclass(frozen=True, slots=True)
class Stat:
    """One row of `show stat`: a server, or the whole backend (server name BACKEND)."""

    backend: str
    server: str
    fields: Mapping[str, str]

    def count(self, name: str) -> int:
        """A numeric column; an empty one is 0. Raises BalancerRefused if the column is missing or is no number."""
        text = self.fields.get(name)
        if text is None or not (text == "" or text.isdigit()):
            raise strange("show stat", f"column {name} of {self.backend}/{self.server} is {text!r}")
        return int(text or 0)

    def text(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def healthy(self) -> bool:
        """Checked and healthy. `UP 1/2`, `no check` and a server that was never checked (INI) are not.

        `* ` before the result says that the next check is under way.
        """
        return self.text("status") == "UP" and self.text("check_status").removeprefix("* ") == "L7OK"


def parse_stat(reply: str) -> tuple[Stat, ...]:
    """`show stat`: rows by header name. Raises BalancerRefused if the header or a row is not what it should be."""
    if not reply.startswith("# pxname,svname,"):
        raise strange("show stat", reply)
    rows = list(csv.reader(io.StringIO(reply[2:])))
    header = rows[0]
    found = []
    for row in rows[1:]:
        if not row:
            continue
        if len(row) != len(header):
            raise strange("show stat", f"a row of {len(row)} columns under a header of {len(header)}")
        found.append(Stat(row[0], row[1], dict(zip(header, row, strict=True))))
    return tuple(found)


def parse_table(reply: str, column: str) -> Mapping[str, int]:
    """`show table NAME`: key -> the value of `column`. Raises BalancerRefused if there is no such table."""
    if not reply.startswith("# table:"):
        raise strange("show table", reply)
    found = {}
    for line in reply.splitlines()[1:]:
        match = re.search(rf"\bkey=(\S+) .*\b{re.escape(column)}=(\d+)", line)
        if match:
            found[match[1]] = int(match[2])
        elif line.strip():
            raise strange("show table", line)
    return found


@dataclass(frozen=True, slots=True)
class Session:
    """One line of `show sess`: a request or connection that is open. `tunnel`: it was switched to another protocol."""

    id: str
    backend: str
    server: str
    age: str
    tunnel: bool = False
    answering: bool = (
        False  # the head of the answer is through, its body is not: a stream of events, or a long download
    )
    client: str = ""

    @property
    def seconds(self) -> float:
        """Its age: HAProxy writes `1d2h`, `3m4s`, `5s`."""
        return sum(int(n) * _AGE[u] for n, u in re.findall(r"(\d+)([dhms])", self.age))


def parse_sessions(reply: str) -> tuple[Session, ...]:
    """`show sess`: every stream. Raises BalancerRefused for a line that is none."""
    found = []
    for line in reply.splitlines():
        if not line.strip():
            continue
        match = re.match(r"(0x[0-9a-f]+): .*?\bbe=(\S+) srv=(\S+) .*?\bage=(\S+)", line)
        if not match:
            raise strange("show sess", line)
        tunnel = len(re.findall(r" r[qp]\[[^\]]*\ban=0+h", line)) == 2
        answer = re.search(r" rp\[[^\]]*\ban=([0-9a-f]+)h", line)
        answering = answer is not None and bool(int(answer[1], 16) & _SENDS_BODY)
        client = re.search(r" src=(\S+)", line)
        found.append(Session(match[1], match[2], match[3], match[4], tunnel, answering, client[1] if client else ""))
    return tuple(found)
