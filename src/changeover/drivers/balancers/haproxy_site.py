"""An existing haproxy.cfg, read well enough to propose pools for it and to say which lines it lacks.

This is no HAProxy parser: sections, servers, checks, sockets, maps and a few options are found, the rest is passed over.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.drivers.balancers.haproxy_config import (
    Server,
    helper_sections,
    routing_rules,
    section_text,
)

_SECTIONS = re.compile(
    "global|defaults|frontend|backend|listen|userlist|peers|resolvers|mailers|program|cache|http-errors|ring"
    "|log-forward|log-profile|fcgi-app|crt-store|traces"
)
_GAP = "\0"
_POOL_WORDS = frozenset(
    [
        "blue",
        "green",
        "red",
        "black",
        "a",
        "b",
        "one",
        "two",
        "1",
        "2",
        "old",
        "new",
        "live",
        "idle",
        "active",
        "standby",
        "current",
        "next",
    ]
)
CHECK = ("option httpchk GET /health", "http-check expect status 200")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Socket:
    """A `stats socket` line; `level` is what HAProxy takes if none is given."""

    path: str
    level: str = "operator"


@dataclass(frozen=True, slots=True)
class SiteBackend:
    """A backend (or listen). `sticky` are lines that keep a visitor on a server, which would defeat a route."""

    name: str
    line: int
    servers: tuple[Server, ...] = ()
    unchecked: tuple[str, ...] = ()  # servers without `check`
    health_path: str | None = None
    sticky: tuple[str, ...] = ()

    @property
    def checked(self) -> bool:
        return bool(self.servers) and not self.unchecked


@dataclass(frozen=True, slots=True)
class SiteFrontend:
    """A frontend (or listen): where it listens and which backends it names."""

    name: str
    line: int
    binds: tuple[str, ...] = ()
    default_backend: str | None = None
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HaproxySite:
    """What was found. Times in seconds, None if not written."""

    sockets: tuple[Socket, ...] = ()
    frontends: tuple[SiteFrontend, ...] = ()
    backends: tuple[SiteBackend, ...] = ()
    maps: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    hard_stop_after: float | None = None
    keep_alive: float | None = None
    idle_close: bool = False

    def backend(self, name: str) -> SiteBackend | None:
        return next((b for b in self.backends if b.name == name), None)

    def propose_pools(self) -> Mapping[str, str]:
        """Two backends that look like the two pools of one application: pool -> backend; {} if none do.

        Two names count as siblings when they differ in one word only (`app_blue`, `app_green`); that word names the pool.
        Names of a single word (`blue`, `green`; not `api`, `static`) only when it is one that pools are often called.
        """
        first: dict[tuple[str, ...], str] = {}
        for name in (b.name for b in self.backends if b.servers):
            for frame, word in _frames(name):
                other = first.setdefault(frame, word)
                if other != word:
                    return {w: "".join(frame).replace(_GAP, w) for w in (other, word)}
        return {}

    def propose_servers(self) -> tuple[str, Mapping[str, tuple[Server, ...]]] | None:
        """A backend whose servers are those of two pools: (backend, pool -> servers); None if no backend looks like that.

        Their names, without the number at the end, are two words: `blue1`, `blue2`, `green1`, `green2`.
        """
        for backend in self.backends:
            pools: dict[str, tuple[Server, ...]] = {}
            for server in backend.servers:
                word = re.sub(r"[-_.]?[0-9]+$", "", server.name)
                pools[word] = (*pools.get(word, ()), server)
            if len(pools) == 2 and all(pools):
                return backend.name, pools
        return None


@dataclass(frozen=True, slots=True)
class Addition:
    """Lines that are missing, where they belong, and why. `lines` are without indentation."""

    section: str
    lines: tuple[str, ...]
    why: str

    @property
    def text(self) -> str:
        return section_text(self.section, self.lines)


def discover(text: str) -> HaproxySite:
    """Read a haproxy.cfg. Never raises: what it does not understand it passes over."""
    reading = _Reading()
    for number, raw in enumerate(text.splitlines(), 1):
        words = _words(raw)
        if not words:
            continue
        if _SECTIONS.fullmatch(words[0]):
            reading.open(words, number)
        else:
            reading.take(words)
        reading.maps += [m for m in _maps_in(raw) if m not in reading.maps]
    return reading.site()


def lines_to_add(
    site: HaproxySite, pools: Mapping[str, str], frontend: str, map_path: str, preview_map_path: str
) -> tuple[Addition, ...]:
    """What haproxy.cfg needs so that changeover can work with these pools (pool -> backend) behind this frontend."""
    found: list[Addition] = []
    if not site.idle_close:
        why = "at a reload, idle connections are answered once more instead of being reset"
        found.append(Addition("defaults", ("option idle-close-on-response",), why))
    if site.keep_alive is None:
        why = "the longest time an idle connection keeps an old worker"
        found.append(Addition("defaults", ("timeout http-keep-alive 10s",), why))
    for backend in pools.values():
        found += _backend_lines(site, backend)
    found += [
        Addition(name, tuple(lines), "counts what the verdict and the drain need, and answers a route to nowhere")
        for name, lines in helper_sections()
        if not any(name == f"backend {b.name}" for b in site.backends)
    ]
    if map_path not in site.maps:
        rules = tuple(routing_rules(pools, map_path, preview_map_path))
        why = "chooses the pool of each request; replaces its use_backend and default_backend lines"
        found.append(Addition(f"frontend {frontend}", rules, why))
    return tuple(found)


def _backend_lines(site: HaproxySite, name: str) -> list[Addition]:
    backend = site.backend(name)
    if backend is None:
        whole = ("balance roundrobin", *CHECK, "server NAME HOST:PORT check")
        return [Addition(f"backend {name}", whole, "the other pool: as many servers as the one that serves")]
    lines: tuple[str, ...] = () if backend.health_path else CHECK
    if not backend.checked:
        lines = (*lines, "default-server check inter 1s fastinter 250ms downinter 500ms fall 2 rise 2")
    return [Addition(f"backend {name}", lines, "its servers must be checked")] if lines else []


@dataclass
class _Reading:
    """The state of one pass over the file."""

    kind: str = ""
    frontends: list[SiteFrontend] = field(default_factory=list)
    backends: list[SiteBackend] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    values: dict[str, float | None] = field(default_factory=dict)
    default_check: bool = False
    backend_check: bool = False
    default_health: str | None = None
    idle_close: bool = False

    def open(self, words: Sequence[str], line: int) -> None:
        self.kind = words[0]
        name = words[1] if len(words) > 1 else ""
        if self.kind == "defaults":
            self.default_check, self.default_health = False, None
        if self.kind in ("frontend", "listen"):
            self.frontends.append(SiteFrontend(name, line))
        if self.kind in ("backend", "listen"):
            self.backend_check = self.default_check
            self.backends.append(SiteBackend(name, line, health_path=self.default_health))

    def take(self, words: Sequence[str]) -> None:
        match self.kind:
            case "global":
                self._global(words)
            case "defaults":
                self._defaults(words)
            case "frontend":
                self._frontend(words)
            case "backend":
                self._backend(words)
            case "listen":
                self._frontend(words)
                self._backend(words)
        self._anywhere(words)

    def _global(self, words: Sequence[str]) -> None:
        if words[:2] == ["stats", "socket"] and len(words) > 2:
            level = words[words.index("level") + 1] if "level" in words[:-1] else "operator"
            self.sockets.append(Socket(words[2].removeprefix("unix@"), level))
        elif words[0] == "hard-stop-after" and len(words) > 1:
            self.values["hard-stop-after"] = seconds(words[1])

    def _anywhere(self, words: Sequence[str]) -> None:
        if words[:2] == ["option", "idle-close-on-response"]:
            self.idle_close = True
        elif words[:2] == ["timeout", "http-keep-alive"] and len(words) > 2:
            self.values.setdefault("keep-alive", seconds(words[2]))

    def _defaults(self, words: Sequence[str]) -> None:
        if words[0] == "default-server" and "check" in words:
            self.default_check = True
        if words[:2] == ["option", "httpchk"]:
            self.default_health = _health_path(words)

    def _frontend(self, words: Sequence[str]) -> None:
        front = self.frontends[-1]
        if words[0] == "bind" and len(words) > 1:
            front = replace(front, binds=(*front.binds, words[1]))
        elif words[0] == "default_backend" and len(words) > 1:
            front = replace(front, default_backend=words[1], backends=(*front.backends, words[1]))
        elif words[0] == "use_backend" and len(words) > 1:
            front = replace(front, backends=(*front.backends, words[1]))
        self.frontends[-1] = front

    def _backend(self, words: Sequence[str]) -> None:
        back = self.backends[-1]
        if words[0] == "server" and len(words) > 2:
            server = _server(words)
            if server is not None:
                back = replace(back, servers=(*back.servers, server))
            if "no-check" in words or not ("check" in words or self.backend_check):
                back = replace(back, unchecked=(*back.unchecked, words[1]))
        elif words[0] == "default-server" and "check" in words:
            self.backend_check = True
        elif words[:2] == ["option", "httpchk"]:
            back = replace(back, health_path=_health_path(words))
        elif words[:2] == ["http-check", "send"] and "uri" in words[:-1]:
            back = replace(back, health_path=words[words.index("uri") + 1])
        elif words[0] in ("cookie", "stick") or words[:2] == ["balance", "source"]:
            back = replace(back, sticky=(*back.sticky, " ".join(words)))
        elif words[0] == "stick-table":
            self.tables.append(back.name)
        self.backends[-1] = back

    def site(self) -> HaproxySite:
        return HaproxySite(
            tuple(self.sockets),
            tuple(self.frontends),
            tuple(self.backends),
            tuple(self.maps),
            tuple(self.tables),
            self.values.get("hard-stop-after"),
            self.values.get("keep-alive"),
            self.idle_close,
        )


def seconds(text: str) -> float | None:
    """A duration as HAProxy writes it; a bare number is milliseconds. None if it is no duration."""
    found = re.fullmatch(r"(\d+)(us|ms|s|m|h|d)?", text)
    return int(found[1]) * _UNITS[found[2] or "ms"] if found else None


def _words(raw: str) -> list[str]:
    try:
        return shlex.split(raw, comments=True)
    except ValueError:
        return raw.split("#", 1)[0].split()


def _maps_in(raw: str) -> list[str]:
    return re.findall(r"\bmap(?:_[a-z_]+)?\((/[^,)\s]+)", raw.split("#", 1)[0])


def _server(words: Sequence[str]) -> Server | None:
    found = re.fullmatch(r"(?:ipv4@|ipv6@)?(.+):(\d+)", words[2])
    return Server(words[1], found[1], int(found[2])) if found else None


def _health_path(words: Sequence[str]) -> str:
    return next((w for w in words[2:] if w.startswith("/")), "/")


def _frames(name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each way to see the name as a frame with one word that may name a pool: `app_blue` -> (`app`, `_`, gap), `blue`."""
    words = re.split(r"([-_.])", name)
    for at, word in enumerate(words):
        if word.isascii() and word.isalnum() and (len(words) > 1 or word.lower() in _POOL_WORDS):
            yield (*words[:at], _GAP, *words[at + 1 :]), word
