"""What must fit together although each key alone is right. Pure: settings, or those parts that are valid, -> problems.

Each check gets the parts it needs and is left out when one of them is missing or wrong, so that as many problems as
possible are told at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from changeover.config import aws_checks, placeholders, references
from changeover.config.aws import Alb, Elb
from changeover.config.balancers import Balancer, Driver, Envoy, Haproxy, HaproxyServers
from changeover.config.instances import CommandInstances, ProcessInstances
from changeover.config.kinds import split_address
from changeover.config.literals import format_duration, format_percent
from changeover.config.probes import Probe
from changeover.config.release import ReleasePolicy
from changeover.config.write import FILL_IN
from changeover.core.model import ALL, Slot
from changeover.yaml.tree import Loc, Scalar

Hint = tuple[Loc, str]  # where, and the message
Parts = Mapping[str, Any]  # the sections that are valid by themselves
_LONGEST_SOCKET = 107  # bytes of a unix socket's path, Linux unix(7)
_PASSWORD = f"a password is written in the file; {references.WRITE_A_REFERENCE}"
_MAY_REFER = ("database.url", "database.read", "database.backup.restore_into")
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


def of_values(values: Iterator[tuple[Loc, Scalar]]) -> Iterator[Hint]:
    """What can be said of every value, whatever its key: empty, to be filled in, a literal secret, a stray reference."""
    for loc, scalar in values:
        name = str(loc[-1]) if loc else ""
        keys = [str(part) for part in loc if isinstance(part, str)]
        in_env = keys[:2] == ["instances", "env"]
        if scalar.value is None:
            yield loc, "has no value; write one, or remove the key"
        elif in_env and references.literal_secret(scalar.text, name):
            yield loc, _PASSWORD
        elif not isinstance(scalar.value, str):
            continue
        elif FILL_IN in scalar.value:
            yield loc, "is still to be filled in"
        elif references.literal_secret(scalar.value):
            yield loc, _PASSWORD
        elif references.has_reference(scalar.value) and not in_env and ".".join(keys) not in _MAY_REFER:
            yield (
                loc,
                "a reference is not resolved here; references stand in instances.env and in the URLs of the database",
            )


def of_parts(parts: Parts) -> Iterator[Hint]:
    """Everything that concerns more than one value."""
    instances, balancers, release = parts.get("instances"), parts.get("balancers"), parts.get("release")
    if instances is not None:
        yield from _pools(instances)
        yield from _commands(instances)
        yield from _readiness(instances)
    if balancers is not None:
        yield from _balancers(balancers)
    if instances is not None and balancers:
        for index, balancer in enumerate(balancers):
            yield from _pools_agree(instances, index, balancer)
            yield from _ports_apart(instances, index, balancer)
            if isinstance(balancer, Alb | Elb):
                yield from aws_checks.with_instances(index, balancer, instances)
    if release is not None and balancers is not None:
        for balancer in balancers:
            if isinstance(balancer, Alb | Elb):
                yield from aws_checks.with_release(balancer, release)
    if release is not None:
        if instances is not None:
            yield from _signals(release, instances)
        yield from _shift(release)
        yield from _gates(release, parts)
        yield from _rules(release)
    yield from _probes(parts)
    yield from _database(parts)
    for role, names in (parts.get("people") or {}).items():
        if not names:
            yield ("people", role), "names nobody"


def _pools(instances: ProcessInstances | CommandInstances) -> Iterator[Hint]:
    if len(instances.pools) != 2:
        yield (
            ("instances", "pools"),
            f"names {len(instances.pools)} pools; exactly two are wanted: one serves, one is staging",
        )
    seen: dict[str, str] = {}
    for pool in instances.pools:
        for index, slot in enumerate(instances.slots(pool)):
            if slot.address in seen:
                yield (
                    ("instances", "pools", pool, index),
                    f"{slot.address} is used twice, by {seen[slot.address]} and {slot.name}",
                )
            seen.setdefault(slot.address, slot.name)


def _commands(instances: ProcessInstances | CommandInstances) -> Iterator[Hint]:
    if isinstance(instances, ProcessInstances):
        if "port" not in placeholders.names_in([*instances.command, *instances.env.values()]):
            yield (
                ("instances", "command"),
                'has no "{port}", and env has none; every instance would listen on the same port',
            )
        return
    slots = [slot for pool in instances.pools for slot in instances.slots(pool)]
    for key, command in instances.commands().items():
        lines = [tuple(placeholders.fill(word, _values(slot)) for word in command) for slot in slots]
        line, count = Counter(lines).most_common(1)[0]
        if count > 1:
            same = [slot.name for slot, other in zip(slots, lines, strict=True) if other == line]
            yield (
                ("instances", key),
                f"is the same command for {same[0]} and {same[1]}; tell them apart by {{pool}} and {{number}}, or by {{host}} and {{port}}",
            )


def _values(slot: Slot) -> dict[str, str]:
    return {"pool": slot.pool, "number": str(slot.number), "host": slot.host, "port": str(slot.port)}


def _readiness(instances: ProcessInstances | CommandInstances) -> Iterator[Hint]:
    ready = instances.ready
    least = (ready.times - 1) * ready.every
    if ready.within <= least:
        yield (
            ("instances", "ready", "within"),
            f"{format_duration(ready.within)} is too short for {ready.times} looks, one every {format_duration(ready.every)}",
        )


def _balancers(balancers: tuple[Balancer, ...]) -> Iterator[Hint]:
    called = [balancer.name for balancer in balancers]
    for index, name in enumerate(called):
        if name in called[:index]:
            yield ("balancers", index), f'another balancer is called "{name}", too; give each a name of its own'
    for index, balancer in enumerate(balancers):
        key = _targets_key(balancer)
        names = Counter(balancer.targets.values())
        for pool, target in balancer.targets.items():
            if names[target] > 1:
                yield ("balancers", index, key, pool), f'"{target}" is named for more than one pool'
        yield from _files(index, balancer)


def _files(index: int, balancer: Balancer) -> Iterator[Hint]:
    if isinstance(balancer, Haproxy | HaproxyServers) and len(str(balancer.socket).encode()) > _LONGEST_SOCKET:
        yield (
            ("balancers", index, "socket"),
            f"the path of a socket has at most {_LONGEST_SOCKET} bytes; this one is longer",
        )
    match balancer:
        case Haproxy() if balancer.map == balancer.preview_map:
            yield ("balancers", index, "preview_map"), "is the same file as map"
        case Envoy() if balancer.routes == balancer.preview_secret:
            yield ("balancers", index, "preview_secret"), "is the same file as routes"
        case HaproxyServers():
            if balancer.config is None and balancer.state_file is None:
                yield (
                    ("balancers", index),
                    "has neither config nor state_file; weights that nobody keeps end at a reload",
                )
            yield from _servers(index, balancer)
        case Alb() | Elb():
            yield from aws_checks.of_balancer(index, balancer)
        case _:
            pass


def _servers(index: int, balancer: HaproxyServers) -> Iterator[Hint]:
    seen: dict[str, str] = {}
    for pool, names in balancer.servers.items():
        for number, name in enumerate(names):
            if name in seen:
                loc = ("balancers", index, "servers", pool, number)
                yield loc, f'the server "{name}" is named twice, for {seen[name]} and {pool}'
            seen.setdefault(name, pool)


def _targets_key(balancer: Balancer) -> str:
    return _words(balancer)[0]


def _words(balancer: Balancer) -> tuple[str, str]:
    """The key that has a pool's target, and what the target is called."""
    match balancer:
        case Haproxy():
            return "backends", "backend"
        case HaproxyServers():
            return "servers", "server"
        case Envoy():
            return "clusters", "cluster"
        case Alb():
            return "target_groups", "target group"
        case Elb():
            return "instances", "EC2 instance"
        case Driver():
            return "options", "pool"


def _pools_agree(instances: ProcessInstances | CommandInstances, index: int, balancer: Balancer) -> Iterator[Hint]:
    key, word = _words(balancer)
    if isinstance(balancer, Driver):
        return
    for pool in balancer.targets:
        if pool not in instances.pools:
            yield (
                ("balancers", index, key, pool),
                f"there is no such pool; instances.pools has {_listed(instances.pools)}",
            )
    for pool in instances.pools:
        if pool not in balancer.targets:
            yield ("balancers", index, key), f'the pool "{pool}" has no {word}'


def _ports_apart(instances: ProcessInstances | CommandInstances, index: int, balancer: Balancer) -> Iterator[Hint]:
    entry = urlsplit(balancer.entry)
    own = {("entry",): (entry.hostname or "", entry.port or (443 if entry.scheme == "https" else 80))}
    if isinstance(balancer, Envoy):
        own[("admin",)] = split_address(balancer.admin)
    for pool in instances.pools:
        for slot in instances.slots(pool):
            for loc, (host, port) in own.items():
                same_host = host == slot.host or (host in _LOCAL and slot.host in _LOCAL)
                if same_host and port == slot.port:
                    yield ("balancers", index, *loc), f"port {port} belongs to the instance {slot.name}"


def _shift(release: ReleasePolicy) -> Iterator[Hint]:
    for index, (before, after) in enumerate(pairwise(release.shift), 1):
        if after <= before:
            yield (
                ("release", "shift", index),
                f"{format_percent(after)} comes after {format_percent(before)}; shares only grow",
            )
    if release.shift[-1] != ALL:
        yield (
            ("release", "shift", len(release.shift) - 1),
            f"{format_percent(release.shift[-1])} is last; the last share is 100%",
        )
    if release.drain.soft > release.drain.hard:
        soft, hard = format_duration(release.drain.soft), format_duration(release.drain.hard)
        yield ("release", "drain", "soft"), f"{soft} is longer than the hard limit of {hard}"


def _signals(release: ReleasePolicy, instances: ProcessInstances | CommandInstances) -> Iterator[Hint]:
    for kind in ("websockets", "event_streams"):
        if getattr(release.long_lived, kind).policy == "signal" and instances.signal is None:
            yield (
                ("release", "long_lived", kind, "policy"),
                "signal needs instances.signal: how the application is told",
            )


def _gates(release: ReleasePolicy, parts: Parts) -> Iterator[Hint]:
    if release.approve is None:
        return
    shares = " ".join(map(format_percent, release.shift))
    for index, share in enumerate(release.approve.before):
        if share not in release.shift:
            yield ("release", "approve", "before", index), f"{format_percent(share)} is not in shift: {shares}"
        elif share in release.approve.before[:index]:
            yield ("release", "approve", "before", index), f"{format_percent(share)} is written twice"
    people = parts.get("people")
    if people and release.approve.by not in people:
        yield ("release", "approve", "by"), f'nobody is "{release.approve.by}"; people has {_listed(people)}'


def _rules(release: ReleasePolicy) -> Iterator[Hint]:
    metrics = [rule.rule().metric for rule in release.go_back_when]
    for index, metric in enumerate(metrics):
        if metric in metrics[:index]:
            yield ("release", "go_back_when", index), f"a second rule on {metric}; one is enough, the stricter one"


def _probes(parts: Parts) -> Iterator[Hint]:
    probes: tuple[Probe, ...] = parts.get("probes") or ()
    names = [probe.name for probe in probes]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("probes", index, "name"), f'"{name}" is the name of another probe'
    if probes and "database" in parts and parts["database"] is None:
        yield ("probes",), "probes run against a database, and there is none"


def _database(parts: Parts) -> Iterator[Hint]:
    database = parts.get("database")
    if database is not None and database.limits.lock > database.limits.lock_deadline:
        lock, deadline = format_duration(database.limits.lock), format_duration(database.limits.lock_deadline)
        yield ("database", "limits", "lock"), f"{lock} is longer than lock_deadline, {deadline}"


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)
