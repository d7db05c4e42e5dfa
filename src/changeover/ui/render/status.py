"""Where an environment stands, for people: the sentence, the way back, asked and observed side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from changeover.core.model import Process, World
from changeover.ui.render import words

if TYPE_CHECKING:
    from changeover.service.status import Status, WayBack

LABEL = 11  # columns


@dataclass(frozen=True, slots=True)
class Asked:
    """The route that changeover asked for last, as the journal has it, and what was measured of it since.

    `shares`: pool -> basis points. `measured`: basis points of the candidate, None when nothing was measured.
    """

    shares: Mapping[str, int]
    run: str
    at: float
    measured: int | None = None
    requests: int = 0


def text(status: Status, asked: Asked | None, *, alive: bool) -> str:
    """The answer of `status`. `alive`: somebody advances the run that is under way."""
    return "\n".join(_lines(status, asked, alive=alive)) + "\n"


def _lines(status: Status, asked: Asked | None, *, alive: bool) -> Iterator[str]:
    yield words.clean(status.sentence)
    if status.run:
        who = status.holder if alive and status.holder else "NOBODY advances it"
        yield _row("run", f"{status.run}  {status.kind}, {status.state}, plan {status.plan}, by {status.by}; {who}")
    yield _row("way back", way_back(status.way_back, status.at))
    yield from _traffic(status, asked)
    yield from _pools(status)
    yield from _schema(status)
    for index, owed in enumerate(status.owed):
        yield _row("owed" if index == 0 else "", owed)
    if status.watched:
        yield _row("watch", status.watched)
    if status.problem:
        yield _row("problem", f"{status.problem.get('what', '')}  {status.problem.get('code', '')}".rstrip())
        if status.problem.get("now"):
            yield _row("", str(status.problem["now"]))
    for index, command in enumerate(next_commands(status, alive=alive)):
        yield _row("next" if index == 0 else "", command)


def _row(label: str, value: str) -> str:
    return f"{label:<{LABEL}}{words.clean(value)}".rstrip()


def way_back(back: WayBack, now: float) -> str:
    """`1 step, about 4 s, no data lost; v1.0.0 proved 38 s ago`, or why there is none."""
    if not back.possible:
        return f"NONE: {back.why_not}" + (f"  {back.code}" if back.code else "")
    lost = "data since the restore point would be lost" if back.data_loss else "no data lost"
    steps = words.many(back.steps, "step")
    proof = (
        f"v{back.to} proved {words.ago(back.proved_at, now)}"
        if back.proved_at is not None
        else f"v{back.to} NOT proved"
    )
    return f"to v{back.to}: {steps}, about {words.duration(back.seconds)}, {lost}; {proof}; until {back.until}"


def observed(world: World) -> Mapping[str, int] | None:
    """Basis points per pool as every worker of the balancer says it, the expiry taken into account; None: unknown."""
    route = world.route.route
    return None if route is None else {pool: route.share_of(pool, world.at) for pool in world.pools}


def _traffic(status: Status, asked: Asked | None) -> Iterator[str]:
    seen = observed(status.world)
    if asked is not None:
        yield _row("asked", f"{_shares(status.world, asked.shares)}   by {asked.run}, {words.ago(asked.at, status.at)}")
    if seen is None:
        yield _row("observed", f"UNKNOWN: {status.world.route.problem or 'the workers of the balancer disagree'}")
        return
    workers = words.many(len(status.world.route.workers), "worker")
    note = f"   read back from {workers} of {status.world.route.balancer}"
    if not status.world.route.settled:
        note += "; NOT SETTLED: " + (status.world.route.problem or "the disk says something else")
    yield _row("observed", _shares(status.world, seen) + note)
    if asked is not None and dict(asked.shares) != dict(seen):
        yield _row("", "asked and observed DIFFER")
    if asked is not None and asked.measured is not None:
        yield _row(
            "measured",
            f"{words.share(asked.measured)} of the requests, {words.many(asked.requests, 'request')} on the new version",
        )


def _shares(world: World, shares: Mapping[str, int]) -> str:
    parts = []
    for pool in sorted(shares, key=lambda p: (-shares[p], p)):
        identity = world.identity(pool)
        name = f"v{identity.version}" if identity is not None else "?" if world.running(pool) else "empty"
        if shares[pool] or identity is not None:
            parts.append(f"{name} ({pool}) {words.share(shares[pool])}")
    return "   ".join(parts)


def _pools(status: Status) -> Iterator[str]:
    for index, pool in enumerate(sorted(status.world.pools)):
        yield _row("pools" if index == 0 else "", f"{pool:<8} {pool_words(status.world, pool)}")


def pool_words(world: World, pool: str) -> str:
    """`v1.0.0 (9f2c)  2 of 2 ready  9 in flight  balancer: 2 of 2 healthy`."""
    instances = world.pools[pool]
    running = world.running(pool)
    unknown = sum(1 for i in instances if i.process is Process.UNKNOWN)
    identity = world.identity(pool)
    if not running:
        what = "nothing runs"
    elif identity is None:
        what = "DIFFERENT BUILDS OR UNKNOWN: " + ", ".join(f"{i.slot.name} {i.identity or '?'}" for i in running)
    else:
        what = f"v{identity}"
    ready = sum(1 for i in instances if i.ready and i.process is not Process.STOPPED)
    flight, health = world.in_flight[pool], world.health[pool]
    parts = [what, f"{ready} of {len(instances)} ready"]
    parts += [f"{unknown} unknown"] if unknown else []
    parts.append("in flight UNKNOWN" if flight.requests is None else f"{words.count(flight.requests)} in flight")
    parts += [f"{flight.long_lived} long-lived"] if flight.long_lived else []
    silent = f"balancer UNKNOWN ({health.detail})" if health.detail.startswith("unreachable") else ""
    parts.append(silent or f"balancer sees {health.healthy} of {health.known} healthy")
    return "   ".join(parts)


def _schema(status: Status) -> Iterator[str]:
    schema = status.world.schema
    if schema is None:
        return
    yield _row("schema", f"{schema.revision}   restore point {restore_point(status.restore_point, status.at)}")


def restore_point(point: Mapping[str, Any], now: float) -> str:
    """`NAME, 2 h ago, compared`, or that there is none."""
    if not point:
        return "none"
    return f"{point['id']}, taken {words.ago(float(point['at']), now)}, {point['proof']}"


def next_commands(status: Status, *, alive: bool) -> tuple[str, ...]:
    """What a person can do from here, the likeliest first."""
    match status.state:
        case "idle":
            found = ["changeover plan VERSION"]
            found += ["changeover rollback"] if status.way_back.possible else []
            found += ["changeover cleanup"] if status.owed else []
            return ("changeover doctor",) if status.world.route.route is None else tuple(found)
        case "waiting":
            first = (f"changeover approve {status.gate}",)
            return (*first, "changeover rollback") if alive else (*first, "changeover resume", "changeover rollback")
        case "paused":
            return ("changeover resume", "changeover rollback")
        case "held" | "unknown" | "blocked":
            named = tuple(str(n) for n in status.problem.get("next", ()))
            rest = ("changeover log --failed", "changeover resume", "changeover rollback")
            return (*named, *(r for r in rest if not any(r in n for n in named)))
        case _:
            return (
                ("changeover watch", "changeover rollback") if alive else ("changeover resume", "changeover rollback")
            )
