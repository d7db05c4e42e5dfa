"""The disk's side of a route made of weights: haproxy.cfg itself, or a server-state file. What runs is what a restart finds.

Which of the two: haproxy.cfg when changeover may write it, the state file when something else writes the configuration.
Either holds one comment with the route and the fence of its writer, and is replaced as a whole by `FencedFile`'s rules:

    # changeover backend=app fence=12 run=r-7 route=blue:green:500:7312:0:r-7.s4.f12 weights=19:1
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from changeover.core.errors import BalancerMisconfigured, BalancerRefused
from changeover.core.model import Route
from changeover.core.ports import Fence
from changeover.drivers.balancers import haproxy_weights as weights
from changeover.drivers.balancers.haproxy_file import FencedFile, MapText
from changeover.drivers.balancers.haproxy_weights import OUT, ServerState, Split
from changeover.drivers.balancers.haproxy_wire import decode_route, encode_route

_RECORD = re.compile(
    r"^[ \t]*# changeover backend=(\S+) fence=(\d{1,18}) run=(\S*) route=(\S+) weights=(\d{1,3}):(\d{1,3})[ \t]*\n?",
    re.MULTILINE,
)
_SECTION = re.compile(r"^(backend|listen)[ \t]+(\S+)", re.MULTILINE)
_NEXT = re.compile(
    r"^(global|defaults|frontend|backend|listen|userlist|peers|resolvers|mailers|program|cache|http-errors|ring)\b",
    re.MULTILINE,
)
_SERVER = re.compile(r"^[ \t]*server[ \t]+(\S+)[ \t]+(\S+)([^\n#]*)", re.MULTILINE)
_WEIGHT = re.compile(r"[ \t]+weight[ \t]+(\d+)\b")
_DISABLED = re.compile(r"[ \t]+disabled\b")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A route with the weights that mean it, as one text: `blue:green:500:7312:0:mark 19:1`."""

    route: Route
    split: Split

    def text(self, pools: Sequence[str]) -> str:
        return f"{encode_route(self.route, pools)} {self.split.text}"

    @classmethod
    def of(cls, text: str, pools: Sequence[str]) -> Wanted:
        """The inverse. Raises ValueError."""
        value, _, split = text.partition(" ")
        live, _, candidate = split.partition(":")
        return cls(decode_route(value, pools), Split(int(live), int(candidate)))

    def weights(self) -> Mapping[str, int]:
        """Pool -> weight of each of its servers."""
        return {self.route.live: self.split.live, self.route.candidate: self.split.candidate}


@dataclass(frozen=True, slots=True)
class ServersFile(FencedFile):
    """One of the two files. `pools`: pool -> its servers, all in `backend`."""

    backend: str
    pools: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def states(self, text: str) -> tuple[ServerState, ...]:
        """The servers of the backend as the file has them. Raises BalancerMisconfigured."""
        raise NotImplementedError

    def neutral(self, text: str) -> str:
        """The text without what changeover writes into it: what somebody else may have changed."""
        raise NotImplementedError

    def parse(self, text: str) -> MapText:
        """The value is None where the record and the weights beside it disagree."""
        found = self._found(text)
        if found is None:
            return MapText(None)
        value = f"{found[4]} {found[5]}:{found[6]}"
        token, run = int(found[2]), found[3]
        try:
            wanted = Wanted.of(value, list(self.pools))
            same = weights.route_of(self._by_pool(self.states(text)), (wanted.route, wanted.split)) == wanted.route
        except (ValueError, BalancerMisconfigured):
            same = False
        return MapText(value if same else None, token, run)

    def record(self, text: str) -> Wanted | None:
        """What was written last, whatever the weights are now."""
        found = self._found(text)
        if found is None:
            return None
        try:
            return Wanted.of(f"{found[4]} {found[5]}:{found[6]}", list(self.pools))
        except ValueError:
            return None

    def publish(self, draft: Path, fence: Fence) -> None:
        """Never over an edit that somebody made since the draft: raises BalancerRefused then, and FencedOut as always."""
        if self.neutral(self.text()) != self.neutral(draft.read_text("utf-8", "surrogateescape")):
            raise BalancerRefused(
                f"somebody else changed {self.path} at the same moment",
                now="It was left as it is; the running route was not changed.",
                next=("changeover resume",),
            )
        FencedFile.publish(self, draft, fence)

    def _found(self, text: str) -> re.Match[str] | None:
        return next((m for m in _RECORD.finditer(text) if m[1] == self.backend), None)

    def _by_pool(self, states: Sequence[ServerState]) -> dict[str, list[ServerState]]:
        return by_pool(states, self.pools)

    def _line(self, wanted: Wanted, token: int, run: str) -> str:
        value = encode_route(wanted.route, list(self.pools))
        plain = re.sub(r"[^A-Za-z0-9._-]", "", run)
        return (
            f"# changeover backend={self.backend} fence={token} run={plain} route={value} weights={wanted.split.text}\n"
        )

    def _wanted(self, value: str | None) -> Wanted:
        assert value is not None, "a route made of weights is never absent"
        return Wanted.of(value, list(self.pools))


@dataclass(frozen=True, slots=True)
class ConfigFile(ServersFile):
    """haproxy.cfg: the weights of the `server` lines of one backend. Nothing else in it is touched."""

    kind: ClassVar[str] = "configuration"

    def render(self, value: str | None, token: int, run: str) -> str:
        wanted = self._wanted(value)
        text = _without_record(self.text(), self.backend)
        begin, end = self._section(text)
        section = text[begin:end]
        for pool, weight in wanted.weights().items():
            whole = all(s.is_out for s in self._by_pool(self.states(text))[pool])
            for name in self.pools[pool]:
                section = _with_weight(section, name, weight, ready=whole)
        head, _, body = section.partition("\n")
        return f"{text[:begin]}{head}\n    {self._line(wanted, token, run)}{body}{text[end:]}"

    def states(self, text: str) -> tuple[ServerState, ...]:
        begin, end = self._section(text)
        return tuple(self._state(m) for m in _SERVER.finditer(text[begin:end]))

    def neutral(self, text: str) -> str:
        text = _without_record(text, self.backend)
        begin, end = self._section(text)
        names = {name for servers in self.pools.values() for name in servers}

        def plain(line: re.Match[str]) -> str:
            return _DISABLED.sub("", _WEIGHT.sub("", line[0])) if line[1] in names else line[0]

        return text[:begin] + _SERVER.sub(plain, text[begin:end]) + text[end:]

    def _state(self, line: re.Match[str]) -> ServerState:
        weight = _WEIGHT.search(line[3])
        found = int(weight[1]) if weight else 1
        return ServerState(self.backend, line[1], line[2], found, found, 1 if _DISABLED.search(line[3]) else 0)

    def _section(self, text: str) -> tuple[int, int]:
        found = next((m for m in _SECTION.finditer(text) if m[2] == self.backend), None)
        if found is None:
            raise BalancerMisconfigured(
                f"{self.path} has no backend {self.backend!r}",
                next=("name the right file and backend in changeover.yml: changeover doctor",),
            )
        after = _NEXT.search(text, found.end())
        return found.start(), after.start() if after else len(text)


@dataclass(frozen=True, slots=True)
class StateFile(ServersFile):
    """The server-state file: what HAProxy itself says of its servers (`running`), with the weights that are wanted."""

    kind: ClassVar[str] = "state file"
    running: Callable[[], str] = str

    def render(self, value: str | None, token: int, run: str) -> str:
        wanted = self._wanted(value)
        dump = self.running().strip("\n")
        by = self._by_pool(self.states(dump))
        rows = {s.name: (wanted.weights()[pool], all(o.is_out for o in by[pool])) for pool in by for s in by[pool]}
        lines = list(self._rows(dump, rows))
        others = [m[0] for m in _RECORD.finditer(self.text()) if m[1] != self.backend]
        return (
            "\n".join([lines[0], *("".join([*others, self._line(wanted, token, run)]).splitlines()), *lines[1:]]) + "\n"
        )

    def _rows(self, dump: str, rows: Mapping[str, tuple[int, bool]]) -> Iterator[str]:
        header: list[str] = []
        for line in dump.splitlines():
            words = line.split(" ")
            if line.startswith("# be_id"):
                header = words[1:]
            elif len(words) > 5 and header and words[header.index("be_name")] == self.backend:
                found = rows.get(words[header.index("srv_name")])
                if found is not None:
                    at = header.index("srv_admin_state")
                    words[header.index("srv_uweight")] = str(found[0])
                    words[at] = str(int(words[at]) & ~OUT) if found[1] else words[at]
                yield " ".join(words)
                continue
            yield line

    def states(self, text: str) -> tuple[ServerState, ...]:
        return tuple(s for s in weights.parse_states(text) if s.backend == self.backend)

    def neutral(self, text: str) -> str:  # noqa: ARG002 - whatever it is
        """Only changeover writes it; whoever else does (a reload script) writes the same dump."""
        return ""


def by_pool(states: Sequence[ServerState], pools: Mapping[str, Sequence[str]]) -> dict[str, list[ServerState]]:
    """Pool -> its servers, in the order of the pool. Raises BalancerMisconfigured for one that is not there."""
    known = {s.name: s for s in states}
    missing = [name for names in pools.values() for name in names if name not in known]
    if missing:
        raise BalancerMisconfigured(
            f"the backend has no server {', '.join(missing)}; it has {', '.join(known) or 'none'}",
            next=("compare `servers` in changeover.yml with haproxy.cfg: changeover doctor",),
        )
    return {pool: [known[name] for name in names] for pool, names in pools.items()}


def restarted(states: Sequence[ServerState], saved: Sequence[ServerState]) -> tuple[ServerState, ...]:
    """What a restart comes up with, by a state file: saved lines count, a server without one begins as configured.

    Bit 0x04 of a server says that the configuration has it `disabled`.
    """
    kept = {s.name: s for s in saved}
    return tuple(
        replace(s, weight=kept[s.name].weight, admin=kept[s.name].admin)
        if s.name in kept
        else replace(s, weight=s.initial, admin=1 if s.admin & 0x04 else 0)
        for s in states
    )


def _without_record(text: str, backend: str) -> str:
    return _RECORD.sub(lambda m: "" if m[1] == backend else m[0], text)


def _with_weight(section: str, name: str, weight: int, *, ready: bool) -> str:
    def line(found: re.Match[str]) -> str:
        if found[1] != name:
            return found[0]
        rest = _DISABLED.sub("", found[3]) if ready else found[3]
        written = f" weight {weight}"
        rest = _WEIGHT.sub(written, rest) if _WEIGHT.search(rest) else written + rest
        start = found[0][: len(found[0]) - len(found[3])]
        return f"{start}{rest}"

    return _SERVER.sub(line, section)
