"""What every plan is drafted from: who asks, the settled route, the pools, and the numbering of the steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerUnreachable,
    ChangesEdited,
    EnvironmentHeld,
    LastHealthyPool,
    NotAcknowledged,
    ProofBroken,
    RouteDrift,
    TooEarly,
    WrongIdentity,
)
from changeover.core.inplay import flying, healthy, holder, misfit, residents
from changeover.core.model import (
    COMPLETE,
    Acknowledgement,
    ChangeSet,
    Identity,
    Ledger,
    Phase,
    Policy,
    Promise,
    Route,
    SchemaReading,
    Statement,
    Verdict,
    Version,
    World,
)
from changeover.core.steps import Action, Basis, Drain, Retire, Step
from changeover.core.words import Scene, percent, speak, way_back

BY_HAND = "look at it: changeover status"


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks for a plan, for what, when (epoch seconds), and of which world the plan is made."""

    app: str
    environment: str
    by: str
    at: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan stands on: the question, the world, and which pool is live. `command` repeats the question."""

    ctx: Context
    world: World
    ledger: Ledger
    policy: Policy
    live: str
    idle: str
    command: str
    acknowledged: tuple[Acknowledgement, ...] = ()


def basis_of(world: World, *, changes: str, configuration: str) -> Basis:
    """The world as texts to compare later. `changes` and `configuration` are digests.

    Who wrote the route and until when is left out: it changes without anything having moved. What runs on a pool is
    what its instances say themselves.
    """
    route = world.route.route
    pools: dict[str, str] = {}
    for pool in sorted(world.pools):
        known = {str(i.identity) if i.identity is not None else "?" for i in world.running(pool)}
        pools[pool] = ", ".join(sorted(known))
    return Basis(
        route="" if route is None else route_text(route),
        pools=pools,
        catalogue=world.schema.catalogue if world.schema is not None else "",
        changes=changes,
        configuration=configuration,
    )


def route_text(route: Route) -> str:
    return f"{route.live}:{route.candidate}:{route.share}:{route.salt}" if route.share else route.live


def when(at: float) -> str:
    """A moment as people read it, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%d %b %Y %H:%M} UTC"


# the route ---------------------------------------------------------------------------------------------------


def settled(world: World) -> Route:
    """The route that every worker and the disk agree on. Refuses what nobody knows and what nobody agrees on."""
    reading = world.route
    if reading.refusal is not None:
        raise reading.refusal
    if not reading.workers or any(r is None for r in reading.workers.values()):
        raise BalancerUnreachable(
            f"it is not known where {reading.balancer} sends the traffic" + _why(reading.problem),
            next=("wait until the balancer answers, then plan again: changeover doctor",),
        )
    route = reading.route
    if route is None or not reading.settled:
        who = "its workers disagree" if route is None else "its running state and its disk disagree"
        raise RouteDrift(
            f"the route of {reading.balancer} is not settled: {who}" + _why(reading.problem),
            next=(BY_HAND, "settle it: changeover resume, or changeover rollback"),
        )
    return route


def _why(problem: str) -> str:
    return f" ({problem})" if problem else ""


def idle_of(world: World, live: str) -> str:
    """The other pool. Refuses an environment that does not have two, one of them live."""
    others = [p for p in world.pools if p != live]
    if live not in world.pools or len(others) != 1:
        raise BalancerMisconfigured(
            f"the route says that {live} is live; the pools are {', '.join(sorted(world.pools))}",
            next=("two pools are needed, and the live one must be one of them: changeover doctor",),
        )
    return others[0]


def quiet(world: World, ledger: Ledger) -> tuple[str, str]:
    """(live pool, idle pool) when nothing is under way. Refuses while a share is out."""
    route = settled(world)
    idle = idle_of(world, route.live)
    if route.share:
        who = holder(world, ledger, route.candidate)
        raise EnvironmentHeld(
            f"{percent(route.share)} of the traffic goes to {route.candidate} ({f'v{who}' if who else 'nobody knows what'}): "
            "a release is under way (rule R5)",
            next=("see where it is: changeover status", "take it back first: changeover rollback"),
        )
    return route.live, idle


def serving(world: World, ledger: Ledger, live: str) -> Identity:
    """What the live pool is. Refuses when its instances differ, or when nobody knows."""
    found = holder(world, ledger, live)
    if found is None:
        here = residents(world, ledger, live)
        what = f"runs {' and '.join(f'v{i}' for i in here)}" if here else "does not say what it runs"
        raise WrongIdentity(
            f"the live pool {live} {what} (rule R1)",
            next=("make every instance of the live pool run one version and build", "then plan again"),
        )
    return found


def promised_on(ledger: Ledger, pool: str) -> tuple[Promise, ...]:
    """The promises of this pool that hold, the newest last."""
    return tuple(p for p in ledger.promised if p.pool == pool)


# retiring ----------------------------------------------------------------------------------------------------


def check_keep_old(g: Ground, promise: Promise) -> None:
    """Refuse to end a promise before its time, unless a person says so by name."""
    name = f"keep-old:{promise.version}"
    if promise.earliest <= g.ctx.at or any(a.name == name for a in g.acknowledged):
        return
    raise TooEarly(
        f"this would end the way back to v{promise.version}, which is promised until {when(promise.earliest)} (rule R7)",
        next=(f"wait until {when(promise.earliest)}", f"or end it by name: {g.command} --ack {name}"),
    )


def check_last_healthy(world: World, keeper: str, doomed: str, advice: str) -> None:
    """Refuse to stop the healthy pool `doomed` while `keeper` answers nobody."""
    if not healthy(world, keeper) and healthy(world, doomed):
        raise LastHealthyPool(
            f"{doomed} is the last healthy pool: no instance of {keeper} is healthy (rule R11)", next=(advice,)
        )


def drain(pool: str, policy: Policy) -> Drain:
    return Drain(pool, policy.drain_soft, policy.drain_hard, policy.at_deadline, policy.long_lived)


def cleared(g: Ground, pool: str, retires: Sequence[Retire]) -> list[Action]:
    """The retirements, after a drain where something is in flight or where that is not known (rule R3)."""
    waits = bool(retires) and bool(g.world.running(pool)) and not flying(g.world, pool).is_zero
    return [*([drain(pool, g.policy)] if waits else []), *retires]


# acknowledgements --------------------------------------------------------------------------------------------


def warnings(statements: Iterable[Statement]) -> dict[str, str]:
    """The acknowledgements that statements need: name -> what is accepted."""
    return {
        f"warn:{PurePath(s.file).name}:{s.line}": f"{s.title}: {s.reason or 'carries a warning'}"
        for s in statements
        if s.verdict is Verdict.WARN
    }


def unverified(versions: Iterable[tuple[Version, str]], policy: Policy) -> dict[str, str]:
    """Without probes the proof of a version is UNVERIFIED, and a person accepts that."""
    if policy.probes:
        return {}
    return {
        f"unverified:{v}": f"v{v} has no probes, so nothing proves that it works with the schema" for v, _ in versions
    }


def check_acknowledged(needed: Mapping[str, str], given: Iterable[Acknowledgement], command: str) -> tuple[str, ...]:
    """The accepted risks, in words. Refuses, listing every missing acknowledgement at once."""
    by = {a.name: a.by for a in given}
    missing = [name for name in needed if name not in by]
    if missing:
        count = "an acknowledgement is" if len(missing) == 1 else f"{len(missing)} acknowledgements are"
        raise NotAcknowledged(
            f"{count} missing (rule R2, R9): " + "; ".join(f"{name} ({needed[name]})" for name in missing),
            next=(command + "".join(f" --ack {name}" for name in missing),),
        )
    return tuple(f"{text}: accepted by {by[name]}" for name, text in needed.items())


def check_fit(stays: Iterable[tuple[Version, str]], schema: SchemaReading, changes: Sequence[ChangeSet]) -> None:
    """Nothing is taken away while a version that stays does not work with the schema as it is."""
    reasons = [why for v, _ in stays if (why := misfit(v, schema, changes))]
    if reasons:
        raise ProofBroken(
            f"a version in play does not work with the schema as it is: {'; '.join(reasons)} (rule R2)",
            next=("see what runs and why: changeover status", "mend that first, then repeat"),
        )


def check_unedited(
    changes: Iterable[ChangeSet], schema: SchemaReading, given: Iterable[Acknowledgement], command: str
) -> None:
    """Refuse change files that were edited after their expansion was completed: what was added would not be applied."""
    digests = {a.version: a.digest for a in schema.applied if a.phase is Phase.EXPAND and a.index == COMPLETE}
    names = {a.name for a in given}
    for change in changes:
        then = digests.get(change.version, "")
        name = f"edited:{change.version}"
        if then and change.digest and then != change.digest and name not in names:
            raise ChangesEdited(
                f"the change files of v{change.version} were edited after they had been applied (rule R10)",
                next=(
                    "put them back, and write what is new as changes of a new version",
                    f"or, if the database needs nothing more of them: {command} --ack {name}",
                ),
            )


# steps -------------------------------------------------------------------------------------------------------


def numbered(actions: Sequence[Action], scene: Scene) -> tuple[Step, ...]:
    """The actions as steps, each with its words, its duration and the way back from there."""
    steps: list[Step] = []
    for n, action in enumerate(actions, 1):
        speech = speak(action, scene)
        words = speech.words(way_back(actions[:n], scene))
        steps.append(Step(n, action, words, speech.takes, speech.who, (), speech.expect))
    return tuple(steps)


def backup_id(ctx: Context, version: Version, before: str) -> str:
    """Names a restore point: version, purpose and moment; letters that any file system takes."""
    plain = "".join(c if c.isalnum() or c in ".-_" else "-" for c in version.text)
    return f"{plain}-{before}-{datetime.fromtimestamp(ctx.at, UTC):%Y%m%dT%H%M%SZ}"
