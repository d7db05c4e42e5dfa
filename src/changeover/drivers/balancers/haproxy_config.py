"""haproxy.cfg for two pools and one route: the whole file, the files it needs beside it, and the command that runs it.

The frontend's rules are the driver's other half: they read the one map entry
`live:candidate:share:salt:expires:mark` and choose a pool for each request. What they promise:

* A visitor with bucket b goes to the candidate if `(b + salt) mod 10000 < share`; the bucket stays in a cookie for a day,
  so a growing share only adds visitors.
* After `expires` everybody gets the live pool (rule R14).
* The preview's secret is the key of a second map, its pool the value. The header is removed before the application sees
  it, and a preview never falls back, so that a tester never believes that he saw the other version.
* A pool without one healthy server is served by the live pool, and counted: for the verdict it is a failure.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from changeover.core.errors import BalancerMisconfigured
from changeover.core.model import Route
from changeover.drivers.balancers.haproxy_file import render_map
from changeover.drivers.balancers.haproxy_wire import LONGEST_SOCKET_PATH, encode_route, safe_path

BUCKET_COOKIE: Final = "changeover_bucket"
PREVIEW_HEADER: Final = "x-changeover-preview"
PREVIEW_COOKIE: Final = "changeover_preview"
FALLBACK_TABLE: Final = "changeover_fallback"
LONG_TABLE: Final = "changeover_long"
EVENTS: Final = "/events"  # behind the pool's name: its event streams
BAD_ROUTE: Final = "changeover_bad_route"
BUCKET_SECONDS: Final = 86_400
FEWEST_SECRET_BYTES: Final = 32  # 256 bits; 128 are asked for


@dataclass(frozen=True, slots=True)
class Server:
    """One line `server NAME HOST:PORT`."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Timing:
    """HAProxy's times in seconds. `hard_stop` must exceed the longest drain: an old worker dies then, with its requests.

    `check_answer` must exceed the longest pause of a machine under load: two answers in a row that come later take a server
    out, and what pauses a machine pauses all of its instances at once. Without it HAProxy would wait for `check` only.
    """

    connect: float = 2.0
    client: float = 30.0
    client_fin: float = 5.0
    http_request: float = 10.0
    keep_alive: float = 10.0
    server: float = 30.0
    tunnel: float = 3600.0
    hard_stop: float = 900.0
    check: float = 1.0  # between two health checks
    check_fast: float = 0.25  # while a server changes its state
    check_down: float = 0.5  # while it is down
    check_answer: float = 2.0  # until an instance answers one


@dataclass(frozen=True, slots=True)
class HaproxyLayout:
    """What is to be written: pools, addresses and paths. The first pool is the default one.

    `directory` holds the maps and must be writable for the user who runs changeover (the map is replaced by a rename).
    `log` is HAProxy's log target, "" for none. `state_file` keeps spare slots across reloads, "" for none; `spare` is how many
    of them each pool has. `secure_cookie` adds `Secure`, for sites that are https only.
    """

    pools: Mapping[str, Sequence[Server]]
    bind: str = ":80"
    directory: str = "/etc/haproxy"
    admin_socket: str = "/run/haproxy/admin.sock"
    master_socket: str = "/run/haproxy/master.sock"
    state_file: str = ""
    health_path: str = "/health"
    log: str = "/dev/log local0"
    spare: int = 0
    secure_cookie: bool = False
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        """Reject what HAProxy would refuse, or read as something else. Raises BalancerMisconfigured."""
        if len(self.pools) < 2:
            raise BalancerMisconfigured(f"two pools are needed, not {len(self.pools)}")
        for path in (self.admin_socket, self.master_socket):
            if len(path) > LONGEST_SOCKET_PATH:
                raise BalancerMisconfigured(
                    f"the socket path {path} is longer than {LONGEST_SOCKET_PATH} characters",
                    next=("choose a shorter directory",),
                )
        for path in (self.directory, self.admin_socket, self.master_socket, self.health_path):
            safe_path(path)

    @property
    def map_path(self) -> str:
        return f"{self.directory}/route.map"

    @property
    def preview_map_path(self) -> str:
        return f"{self.directory}/preview.map"

    @property
    def backends(self) -> Mapping[str, str]:
        """By pool: name of its backend."""
        return {pool: f"app_{pool}" for pool in self.pools}


def render(layout: HaproxyLayout) -> str:
    """The text of haproxy.cfg. `initial_files` must exist before HAProxy starts: it refuses to start without its maps."""
    sections = [
        _global(layout),
        _defaults(layout),
        (
            "frontend web",
            [
                f"bind {layout.bind}",
                *routing_rules(
                    layout.backends, layout.map_path, layout.preview_map_path, secure_cookie=layout.secure_cookie
                ),
            ],
        ),
        *helper_sections(),
        *(_backend(layout, pool) for pool in layout.pools),
    ]
    return "\n".join(section_text(name, lines) for name, lines in sections)


def initial_files(
    layout: HaproxyLayout, route: Route, preview: Mapping[str, str] | None = None
) -> dict[str, tuple[str, int]]:
    """By path: (text, mode) of what must exist before HAProxy starts. `preview`: pool -> secret; made up if not given."""
    value = encode_route(route, list(layout.pools))
    files = {
        layout.map_path: (render_map(value, 0, ""), 0o644),
        layout.preview_map_path: (render_preview(preview or new_secrets(layout.pools)), 0o600),
    }
    if layout.state_file:
        files[layout.state_file] = ("1\n", 0o644)
    return files


def command(layout: HaproxyLayout, config_path: str, *, check: bool = False) -> list[str]:
    """The argument list that runs HAProxy in the foreground with its master socket, or only checks the file."""
    if check:
        return ["haproxy", "-c", "-f", config_path]
    return ["haproxy", "-W", "-f", config_path, "-S", f"{layout.master_socket},mode,600,level,admin"]


def new_secrets(pools: Mapping[str, object]) -> dict[str, str]:
    """By pool: a new secret that makes a request see that pool."""
    return {pool: secrets.token_urlsafe(FEWEST_SECRET_BYTES) for pool in pools}


def render_preview(preview: Mapping[str, str]) -> str:
    """The preview map: secret first, because HAProxy looks it up."""
    return "".join(f"{secret} {pool}\n" for pool, secret in preview.items())


def parse_preview(text: str) -> dict[str, str]:
    """By pool: secret, from the text of the preview map. The first secret of a pool counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and not words[0].startswith("#"):
            found.setdefault(words[1], words[0])
    return found


# sections --------------------------------------------------------------------------------------------


def section_text(name: str, lines: Sequence[str]) -> str:
    return "\n".join([name, *(f"    {line}" for line in lines)]) + "\n"


def milliseconds(seconds: float) -> str:
    """A duration as HAProxy reads it, in its shortest whole unit."""
    whole = round(seconds * 1000)
    return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"


def _global(layout: HaproxyLayout) -> tuple[str, list[str]]:
    lines = [f"log {layout.log}"] if layout.log else []
    lines.append(f"stats socket {layout.admin_socket} mode 660 level admin expose-fd listeners")
    if layout.state_file:
        lines.append(f"server-state-file {safe_path(layout.state_file)}")
    lines.append(f"hard-stop-after {milliseconds(layout.timing.hard_stop)}    # must exceed the longest drain")
    return "global", lines


def _defaults(layout: HaproxyLayout) -> tuple[str, list[str]]:
    t = layout.timing
    times = {
        "connect": t.connect,
        "client": t.client,
        "client-fin": t.client_fin,
        "http-request": t.http_request,
        "http-keep-alive": t.keep_alive,
        "server": t.server,
        "tunnel": t.tunnel,
        "check": t.check_answer,
    }
    check = (
        f"check inter {milliseconds(t.check)} fastinter {milliseconds(t.check_fast)} downinter {milliseconds(t.check_down)}"
        " fall 2 rise 2 observe layer4 error-limit 1 on-error mark-down"
    )
    return "defaults", [
        *(["log global"] if layout.log else []),
        "mode http",
        *(f"timeout {name} {milliseconds(seconds)}" for name, seconds in times.items()),
        "option http-keep-alive",
        "option idle-close-on-response    # at a reload: answer one more request, then close",
        "http-reuse safe",
        "retries 3",
        "option redispatch 1              # inside one pool only: a retry never changes the version",
        "retry-on conn-failure            # safe for every method: the request never reached the server",
        *(["load-server-state-from-file global"] if layout.state_file else []),
        f"default-server {check}",
    ]


def _backend(layout: HaproxyLayout, pool: str) -> tuple[str, list[str]]:
    spare = [f"server-template spare 1-{layout.spare} 127.0.0.1:1 disabled"] if layout.spare else []
    return f"backend {layout.backends[pool]}", [
        "balance roundrobin",
        f"option httpchk GET {layout.health_path}",
        "http-check expect status 200",
        *(f"server {s.name} {s.host}:{s.port}" for s in layout.pools[pool]),
        *spare,
    ]


def helper_sections() -> list[tuple[str, list[str]]]:
    """The backends that are no pools: an answer for a route to nowhere, and two tables that count."""
    refuse = "http-request return status 503 content-type text/plain string"
    return [
        (
            f"backend {BAD_ROUTE}",
            [f'{refuse} "the traffic route names an unknown pool" hdr x-changeover-error bad-route'],
        ),
        (f"backend {FALLBACK_TABLE}", ["stick-table type string len 32 size 64 store http_req_cnt"]),
        (f"backend {LONG_TABLE}", ["stick-table type string len 32 size 64 store conn_cur"]),
    ]


def routing_rules(
    backends: Mapping[str, str], map_path: str, preview_path: str, *, secure_cookie: bool = False
) -> list[str]:
    """The lines of the frontend, in this order. `backends`: pool -> name of its backend; the first pool is the default."""
    first = next(iter(backends))
    route, preview = safe_path(map_path), safe_path(preview_path)
    attributes = f"Path=/; Max-Age={BUCKET_SECONDS}; SameSite=Lax; HttpOnly" + ("; Secure" if secure_cookie else "")
    cookie = (
        f'http-after-response add-header Set-Cookie "{BUCKET_COOKIE}=%[var(txn.bucket)]; {attributes}"'
        " if !{ var(txn.share) -m int eq 0 } { var(txn.new) -m found }"
    )
    log_format = (
        'log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc wanted=%[var(txn.wanted)] pool=%[var(txn.pool)]'
        ' bucket=%[var(txn.bucket)] route=%[var(txn.route)] %{+Q}r"'
    )
    return [
        "# <live>:<candidate>:<share 0..9999>:<salt>:<expires, epoch s, 0 = never>:<mark>; after the comma: if the key is missing",
        f"http-request set-var(txn.route)  str(route),map({route},{first}:{first}:0:0:0)",
        "http-request set-var(txn.live)   var(txn.route),field(1,:)",
        "http-request set-var(txn.cand)   var(txn.route),field(2,:)",
        "http-request set-var(txn.share)  var(txn.route),field(3,:),add(0)",
        "http-request set-var(txn.salt)   var(txn.route),field(4,:),add(0)",
        "# a share that nobody renews goes home: after its time everybody gets the live pool",
        "http-request set-var(txn.expires) var(txn.route),field(5,:),add(0)",
        "acl changeover_may_expire var(txn.expires) -m int gt 0",
        "acl changeover_expired    date(),sub(txn.expires) ge 0",
        "http-request set-var(txn.share) int(0) if changeover_may_expire changeover_expired",
        "# the visitor's bucket 0..9999: from the cookie, else random and handed out while a share runs",
        f"acl changeover_has_bucket req.cook({BUCKET_COOKIE}) -m reg ^[0-9]{{1,4}}$",
        f"http-request set-var(txn.bucket) req.cook({BUCKET_COOKIE}),add(0) if changeover_has_bucket",
        "http-request set-var(txn.bucket) rand(10000) if !changeover_has_bucket",
        "http-request set-var(txn.new)    bool(true)  if !changeover_has_bucket",
        "acl changeover_in_share var(txn.bucket),add(txn.salt),mod(10000),sub(txn.share) lt 0",
        "http-request set-var(txn.pool) var(txn.live)",
        "http-request set-var(txn.pool) var(txn.cand) if changeover_in_share",
        "# preview: the secret is the map's key, the pool its value; header for tools, cookie for browsers",
        f"http-request set-var(txn.preview) req.cook({PREVIEW_COOKIE}),map_str({preview})",
        f"http-request set-var(txn.preview) req.hdr({PREVIEW_HEADER}),map_str({preview}) if {{ req.hdr({PREVIEW_HEADER}) -m found }}",
        f"http-request del-header {PREVIEW_HEADER}",
        "acl changeover_is_preview var(txn.preview) -m found",
        "http-request set-var(txn.pool) var(txn.preview) if changeover_is_preview",
        "# a pool without one healthy server: serve the visitor from the live one, and count it",
        "http-request set-var(txn.wanted) var(txn.pool)",
        *(
            f"http-request set-var(txn.pool) var(txn.live) if {{ var(txn.pool) -m str {pool} }} {{ nbsrv({backend}) eq 0 }}"
            " !changeover_is_preview"
            for pool, backend in backends.items()
        ),
        "acl changeover_as_wanted var(txn.wanted),strcmp(txn.pool) eq 0",
        f"http-request track-sc2 var(txn.wanted) table {FALLBACK_TABLE} if !changeover_as_wanted",
        "# long-lived connections, counted per pool: websockets as POOL, event streams as POOL/events",
        "http-request set-var(txn.long) var(txn.pool) if { req.hdr(upgrade) -i -m str websocket }",
        f"http-request set-var(txn.long) var(txn.pool),concat({EVENTS}) if {{ req.hdr(accept) -m sub text/event-stream }}",
        f"http-request track-sc1 var(txn.long) table {LONG_TABLE} if {{ var(txn.long) -m found }}",
        cookie,
        log_format,
        *(f"use_backend {backend} if {{ var(txn.pool) -m str {pool} }}" for pool, backend in backends.items()),
        f"default_backend {BAD_ROUTE}    # reached only when the route names a pool that does not exist",
    ]
