"""Writes the first changeover.yml for `init`, from what was found and with a mark where only a person knows.

The marks are values that `load` refuses as still to be filled in, so that a half-filled file never runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

FILL_IN: Final = "FILL_IN"
_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
_SAFE: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_LOOKS_LIKE_A_VALUE: Final = frozenset({"true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What `init` found out. "" or empty is *not found*: it becomes a mark.

    `pools` and `backends` have the pool's name as key; a pool's instances are `host:port`. `dialect` is `postgresql`,
    `mysql`, `sqlserver`, `sqlite` or "" for no database; `seen` says, for people, where the facts come from.
    """

    app: str = ""
    environment: str = ""
    pools: Mapping[str, Sequence[str]] = field(default_factory=dict)
    balancer: str = "haproxy"  # or "haproxy-servers", "envoy", "alb", "elb"
    backends: Mapping[str, str] = field(default_factory=dict)  # pool -> backend, cluster or target group
    backend: str = ""  # haproxy-servers
    servers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # haproxy-servers: pool -> names
    socket: str = ""
    map: str = ""
    preview_map: str = ""
    config: str = ""
    entry: str = ""
    admin: str = ""  # envoy
    routes: str = ""  # envoy
    account: str = ""  # alb, elb
    region: str = ""  # alb, elb
    listeners: Sequence[str] = ()  # alb
    leave_others: bool = False  # alb
    load_balancer: str = ""  # elb
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)  # elb: pool -> EC2 instances
    dialect: str = "postgresql"
    changes: str = ""
    ready: str = ""
    version: str = ""
    seen: Sequence[str] = ()


def starter(facts: Facts) -> str:
    """The text of a changeover.yml. It loads without a problem once every FILL_IN is replaced."""
    pools = facts.pools or {"blue": (), "green": ()}
    lines = [
        "# yaml-language-server: $schema=./changeover.schema.json",
        *(f"# {_one_line(line)}" for line in facts.seen),
        f"# Replace every {FILL_IN}, then: changeover check && changeover doctor",
        f"app: {_text(facts.app)}",
        f"environment: {_text(facts.environment)}               # named in every prompt; cleanup must type it",
        *_instances(facts, pools),
        *_balancer(facts, pools),
        *_database(facts),
        *_RELEASE,
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def marks(text: str) -> tuple[int, ...]:
    """The lines, from 1, that are still to be filled in."""
    lines = text.splitlines()
    return tuple(n for n, line in enumerate(lines, 1) if FILL_IN in line.split(" #")[0] and not line.startswith("#"))


def _instances(facts: Facts, pools: Mapping[str, Sequence[str]]) -> Iterator[str]:
    hosts = {address.rpartition(":")[0] for addresses in pools.values() for address in addresses}
    yield "instances:"
    if hosts and hosts <= _LOCAL:
        yield "  type: process                      # started by changeover on this machine"
        yield "  pools:"
        for pool, addresses in pools.items():
            yield f"    {_text(pool)}: [{', '.join(a.rpartition(':')[2] for a in addresses)}]"
        yield f'  command: [{FILL_IN}, --version, "{{version}}", --port, "{{port}}"]   # arguments, never a shell line'
        if facts.dialect:
            yield '  env: { DATABASE_URL: "${env:DATABASE_URL}" }'
    else:
        yield "  type: command                      # your own commands; arguments, never a shell line"
        yield "  pools:"
        for pool, addresses in pools.items():
            yield f"    {_text(pool)}: [{', '.join(map(_text, addresses)) or FILL_IN}]"
        yield f'  start: [{FILL_IN}, "{{version}}", "{{pool}}", "{{host}}", "{{port}}"]   # started twice is started once'
        yield f'  stop: [{FILL_IN}, "{{pool}}", "{{host}}", "{{port}}"]                # returns when it has ended'
        yield f'  status: [{FILL_IN}, "{{pool}}", "{{host}}", "{{port}}"]              # ends 0: runs, 3: stopped'
    yield f"  identity: {{ get: {_text(facts.version or '/version')}, version: version, build: build }}   # a JSON object"
    yield f"  ready: {{ get: {_text(facts.ready or '/ready')}, times: 3, every: 1s, within: 60s }}"


def _balancer(facts: Facts, pools: Mapping[str, Sequence[str]]) -> Iterator[str]:
    targets = {pool: facts.backends.get(pool, "") for pool in pools}
    yield "balancers:"
    if facts.balancer == "envoy":
        yield "  - type: envoy"
        yield f"    admin: {_text(facts.admin)}"
        yield f"    routes: {_text(facts.routes)}                  # the route file that Envoy watches"
        yield from _targets("clusters", targets)
        yield f"    entry: {_text(facts.entry)}                   # where users reach the application"
        yield "    preview_secret: .changeover/preview-secret"
        return
    if facts.balancer in ("alb", "elb"):
        yield from _aws(facts, targets)
        return
    if facts.balancer == "haproxy-servers":
        yield "  - type: haproxy-servers                # the configuration stays as it is; type: haproxy can do more"
        yield f"    socket: {_text(facts.socket)}                  # the master socket: haproxy -W -S PATH"
        yield f"    backend: {_text(facts.backend)}"
        named = (f"{_text(pool)}: [{', '.join(map(_text, names))}]" for pool, names in facts.servers.items())
        yield f"    servers: {{ {', '.join(named)} }}"
        yield f"    entry: {_text(facts.entry)}                   # where users reach the application"
        yield f"    config: {_text(facts.config)}   # its weights are kept equal to what runs"
        return
    yield "  - type: haproxy"
    yield f"    socket: {_text(facts.socket)}                  # the master socket: haproxy -W -S PATH"
    yield f"    map: {_text(facts.map or '/etc/haproxy/route.map')}"
    yield f"    preview_map: {_text(facts.preview_map or '/etc/haproxy/preview.map')}"
    yield from _targets("backends", targets)
    yield f"    entry: {_text(facts.entry)}                   # where users reach the application"
    if facts.config:
        yield f"    config: {_text(facts.config)}"


def _aws(facts: Facts, targets: Mapping[str, str]) -> Iterator[str]:
    yield f"  - type: {facts.balancer}"
    yield f"    account: {_quoted(facts.account)}            # credentials of any other account are refused"
    yield f"    region: {_text(facts.region)}"
    if facts.balancer == "alb":
        yield "    listeners:                         # every listener and rule that sends requests to the pools"
        yield from (f"      - {arn}" for arn in facts.listeners or (FILL_IN,))
        yield "    target_groups:"
        yield from (f"      {_text(pool)}: {arn or FILL_IN}" for pool, arn in targets.items())
        yield "    preview_secret: .changeover/preview-secret"
        if facts.leave_others:
            yield "    other_rules: leave                 # rules of others on these listeners are left alone"
    else:
        yield f"    load_balancer: {_text(facts.load_balancer)}"
        yield "    instances:                         # EC2 instances, in the order of instances.pools"
        yield from (f"      {_text(pool)}: [{', '.join(facts.ids.get(pool, ())) or FILL_IN}]" for pool in targets)
    yield f"    entry: {_text(facts.entry)}                   # where users reach the application"
    yield "    # in_flight: { get: /stats, in_flight: in_flight }   # without it, drained is a matter of time only"


def _quoted(value: str) -> str:
    return f'"{value}"' if value else FILL_IN


def _targets(key: str, targets: Mapping[str, str]) -> Iterator[str]:
    yield f"    {key}: {{ {', '.join(f'{_text(pool)}: {_text(name)}' for pool, name in targets.items())} }}"


def _database(facts: Facts) -> Iterator[str]:
    if not facts.dialect:
        yield "# database: left out; changeover then moves traffic only"
        return
    yield "database:"
    yield f"  type: {facts.dialect}"
    yield "  url: ${env:DATABASE_URL}           # secrets by reference only"
    yield f"  changes: {{ source: changeover, path: {_text(facts.changes or 'db/changes/')} }}"
    if facts.dialect in ("postgresql", "mysql", "sqlserver"):
        yield '  # login: "app_{version}"          # one login per version: a retired version cannot write any more'
    yield "  # backup: none                     # the default takes one, restores it and compares"
    yield "# probes:                              # without probes the proof of a version is UNVERIFIED"
    yield '#   - { name: orders, command: [python, -m, app.probe, --version, "{version}"] }'


_RELEASE: Final = (
    "release:",
    "  shift: [5%, 25%, 50%, 100%]",
    "  bake: 10m                          # at each share",
    "  drain: { soft: 30s, hard: 300s, at_deadline: wait }",
    "  keep_old: 24h                      # earliest cleanup; until then the way back is promised",
    "  # approve: { before: [25%, 100%], by: release-manager }",
    "# people: { release-manager: [dana] }",
    "smoke:",
    "  - { get: /, status: 200 }",
)


def _text(value: str) -> str:
    """A value as YAML, also inside `{ }`; the mark if there is none."""
    if not value:
        return FILL_IN
    if _SAFE.fullmatch(value) and value.lower() not in _LOOKS_LIKE_A_VALUE:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_one_line(escaped)}"'


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
