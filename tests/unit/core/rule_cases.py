"""Situations, acts, plans and records that break a rule, each with the rule's function; and sound ones beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from simulate import Sim
from worlds import SALT, Question, change_set

from changeover.core.model import (
    ALL,
    COMPLETE,
    Acknowledgement,
    Applied,
    Identity,
    InFlight,
    Phase,
    Policy,
    PoolHealth,
    Promise,
    Route,
    RouteReading,
    Version,
)
from changeover.core.rules import Situation
from changeover.core.steps import Backup, Contract, Drop, Expand, Prove, Retire, Shift, Sync, Undo

V0, V1, V2 = Version("1.0.0"), Version("1.1.0"), Version("1.2.0")
SETS = (change_set(V1, "ebc"), change_set(V2, "ebc"))


def sim(**slots: int) -> Sim:
    """1.1.0 serves on green; 1.0.0 is warm and promised on blue; schema as it should be."""
    s = Sim({"blue": 2, "green": 2, **slots}, SETS, route=Route("green", "blue"))
    s.put("blue", "1.0.0")
    s.put("green", "1.1.0")
    s.promises = (Promise(V0, "b1", "blue", s.at - 10, s.at + 90_000.0),)
    mark(s, V1, Phase.EXPAND)
    return s


def mark(s: Sim, version: Version, phase: Phase, index: int = COMPLETE) -> None:
    assert s.applied is not None
    s.applied += (Applied(version, phase, index, f"d{version}", s.at - 5, "r-7", 1),)
    s.revision += 1


def situation(s: Sim) -> Situation:
    return Situation(s.world(), s.ledger(), s.changes)


def changed(act) -> Situation:
    s = sim()
    act(s)
    return situation(s)


def _world(**kw: Any) -> Situation:
    now = situation(sim())
    return replace(now, world=replace(now.world, **kw))


def _other_identity(s: Sim) -> None:
    s.instances["green", 1].identity = Identity(V2, "b1")


def _stopped_in_flight(s: Sim) -> None:
    s.promises = ()
    s.instances = {k: i for k, i in s.instances.items() if k[0] == "green"}
    s.flying["blue"] = 2


def _old_contracted(s: Sim) -> None:
    mark(s, V1, Phase.CONTRACT, 0)


def _left_over_contracted(s: Sim) -> None:
    s.promises = ()
    mark(s, V1, Phase.CONTRACT, 0)


def _cold(s: Sim) -> None:
    s.instances["blue", 1].ready = False


def _live_dead(s: Sim) -> None:
    for i in s.on("green"):
        i.ready = False


def _shared(s: Sim) -> None:
    s.route = Route("green", "blue", 500)


def _unseen(s: Sim) -> None:
    s.flying["blue"] = None


def _flying(s: Sim) -> None:
    s.flying["blue"] = 1


def _hidden(s: Sim) -> None:
    s.promises, s.deployed = (), {"green": s.deployed["green"]}
    for i in s.on("blue"):
        i.hangs = True


def _promise(s: Sim, version: Version) -> None:
    s.promises = (Promise(version, "b1", "blue", s.at - 10, s.at),)


def _started(s: Sim, version: Version) -> None:
    s.started |= {version}


def _runs(s: Sim, version: Version) -> None:
    s.promises = ()
    for i in s.on("blue"):
        i.identity = Identity(version, "b1")


def _of(plan, kind: type):
    return next(s.action for s in plan.steps if isinstance(s.action, kind))


BACK = Shift("blue", "green", V0, ALL, SALT, 60.0, V1, "b1")
HOME = Shift("blue", "green", V0, 0, SALT, 60.0, V1, "b1")


def _policy(**kw: Any) -> Policy:
    return Policy(probes=1, **kw)


def _release():
    return Question("release", _policy(keep_old=0.0), V2, acks=(Acknowledgement("keep-old:1.0.0", "dana"),)).ask(sim())


def _cleanup():
    return Question("cleanup", _policy(), acks=(Acknowledgement("keep-old:1.0.0", "dana"),)).ask(sim())


def declared(*phases: Phase, version: Version = V1) -> Sim:
    """The world of `sim`, its changes made of operations. `phases`: what else was done for `version`."""
    s = sim()
    s.changes = (change_set(V1, "esbvfcdu"), change_set(V2, "esbvfcdu"))
    s.kept = frozenset({V1, version})
    for phase in (Phase.SYNC, Phase.FINALIZE):
        mark(s, V1, phase)
    for phase in phases:
        mark(s, version, phase)
    return s


def undo():
    return Question("undo", _policy(), V2).ask(declared(Phase.EXPAND, version=V2))


def drop():
    s = declared(Phase.CONTRACT)
    s.promises = ()
    s.instances = {k: i for k, i in s.instances.items() if k[0] == "green"}
    s.deployed.pop("blue")
    return Question("cleanup", _policy(keep_parked=0.0)).ask(s)


def big_release():
    policy = _policy(keep_old=0.0)
    return Question("release", policy, V2, acks=(Acknowledgement("keep-old:1.0.0", "dana"),)).ask(declared())


def _given_up(act=lambda s: None) -> Situation:
    """Something was added for 1.2.0, which never started; then `act`."""
    s = declared(Phase.EXPAND, version=V2)
    act(s)
    return situation(s)


def as_kind(plan, kind: str, swap: type, action):
    """The plan said to be of another kind, with an action of one type swapped for another."""
    steps = tuple(replace(s, action=action) if isinstance(s.action, swap) else s for s in plan.steps)
    first = next((s.n for s in steps if isinstance(s.action, Contract | Drop)), 0)
    return replace(plan, kind=kind, steps=steps, last_safe=first - 1 if first else 0)


def _rollback():
    return Question("rollback", _policy()).ask(sim())


def without(plan, *kinds: str):
    steps = [s for s in plan.steps if s.action.kind not in kinds]
    steps = tuple(replace(s, n=n) for n, s in enumerate(steps, 1))
    first = next((s.n for s in steps if isinstance(s.action, Contract | Drop)), 0)
    return replace(plan, steps=steps, last_safe=first - 1 if first else 0)


def with_backup(plan, before: str):
    steps = (
        replace(s, action=replace(s.action, before=before)) if isinstance(s.action, Backup) else s for s in plan.steps
    )
    return replace(plan, steps=tuple(steps))


def late_retire(plan):
    moved = [s for s in plan.steps if not isinstance(s.action, Retire)] + [
        s for s in plan.steps if isinstance(s.action, Retire)
    ]
    steps = tuple(replace(s, n=n) for n, s in enumerate(moved, 1))
    return replace(plan, steps=steps, last_safe=next(s.n for s in steps if isinstance(s.action, Contract)) - 1)


@dataclass(frozen=True)
class Event:
    seq: int
    kind: str
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    fence: int = 1
    at: float = 0.0


OK = {"seen": 1}
GOOD_RUN = (
    Event(1, "begin", "s1"),
    Event(2, "done", "s1", OK),
    Event(3, "begin", "s2", fence=2),
    Event(4, "failed", "s2", {"code": "CO-0201", "what": "w", "now": "n", "next": ["x"]}, 2),
    Event(5, "begin", "s2", fence=2),
    Event(6, "done", "s2", OK, 2),
    Event(7, "finished", "", {}, 2),
)


def run(*events: Event) -> tuple[tuple[Event, ...]]:
    return (events,)


def broken() -> list[tuple[str, str, tuple[Any, ...], str]]:
    """(name, function of rules, arguments, the rule that must be named)."""
    release, cleanup, rollback = _release(), _cleanup(), _rollback()
    big, dropping, undoing = big_release(), drop(), undo()
    world = situation(sim()).world
    return [
        ("mixed identities serve", "judge", (changed(_other_identity),), "R1"),
        ("another build serves", "judge", (changed(lambda s: s.deployed.update(green=Identity(V1, "b9"))),), "R1"),
        ("unproved is routed", "judge", (_world(health={"green": PoolHealth(3, 3), "blue": PoolHealth(2, 2)}),), "R1"),
        ("not expanded", "judge", (changed(lambda s: setattr(s, "applied", ())),), "R2"),
        ("promised lost its column", "judge", (changed(_old_contracted),), "R2"),
        ("stopped with requests", "judge", (changed(_stopped_in_flight),), "R3"),
        ("contract begun under the way back", "judge", (changed(_old_contracted),), "R4"),
        ("way back too small", "judge", (changed(_cold),), "R7"),
        ("way back overwritten", "judge", (changed(lambda s: s.put("blue", "1.2.0")),), "R7"),
        (
            "way back of a pool that is gone",
            "judge",
            (changed(lambda s: setattr(s, "promises", (replace(s.promises[0], pool="red"),))),),
            "R7",
        ),
        ("live is dead", "judge", (changed(_live_dead),), "R11"),
        ("left over under a contract", "judge", (changed(_left_over_contracted),), "R13"),
        ("a share for ever", "judge", (changed(_shared),), "R14"),
        ("stop what is in flight", "before_stop", (changed(_flying), "blue"), "R3"),
        ("stop what is unknown", "before_stop", (changed(_unseen), "blue"), "R3"),
        ("stop what serves", "before_stop", (situation(sim()), "green"), "R3"),
        ("stop the last healthy", "before_stop", (changed(_live_dead), "blue"), "R11"),
        (
            "stop under a silent worker",
            "before_stop",
            (_world(route=RouteReading("b", {"1": None}, None)), "blue"),
            "R3",
        ),
        (
            "shift to nothing healthy",
            "before_shift",
            (changed(lambda s: [setattr(i, "ready", False) for i in s.on("blue")]), BACK),
            "R11",
        ),
        ("shift to too few", "before_shift", (changed(_cold), BACK), "R7"),
        ("shift to another version", "before_shift", (situation(sim()), replace(BACK, version=V2)), "R1"),
        ("shift to a version that lost its column", "before_shift", (changed(_old_contracted), BACK), "R2"),
        ("home to the dead", "before_shift", (changed(_live_dead), HOME), "R11"),
        ("contract under the way back", "before_contract", (situation(sim()), V1), "R4"),
        (
            "contract under a draining version",
            "before_contract",
            (changed(lambda s: (setattr(s, "promises", ()), _flying(s))), V1),
            "R4",
        ),
        ("contract over a left-over", "before_contract", (changed(lambda s: setattr(s, "promises", ())), V1), "R13"),
        ("contract over a stranger", "before_contract", (changed(_hidden), V1), "R13"),
        ("undo what serves", "before_undo", (situation(declared()), V1), "R2"),
        ("undo what is promised", "before_undo", (_given_up(lambda s: _promise(s, V2)), V2), "R2"),
        ("undo under a later one", "before_undo", (_given_up(), V1), "R2"),
        (
            "undo what another stands on",
            "before_undo",
            (_given_up(lambda s: mark(s, Version("1.3.0"), Phase.EXPAND)), V2),
            "R2",
        ),
        ("undo what has started", "before_undo", (_given_up(lambda s: _started(s, V2)), V2), "R4"),
        ("undo what runs", "before_undo", (_given_up(lambda s: _runs(s, V2)), V2), "R4"),
        ("undo under a stranger", "before_undo", (_given_up(_hidden), V2), "R4"),
        ("release that drops", "judge_plan", (as_kind(dropping, "release", Backup, dropping.steps[0].action),), "R7"),
        (
            "release that drops, and nothing else",
            "judge_plan",
            (as_kind(release, "release", Expand, _of(dropping, Drop)),),
            "R7",
        ),
        ("release that takes back", "judge_plan", (as_kind(release, "release", Expand, _of(undoing, Undo)),), "R7"),
        ("cleanup that adds", "judge_plan", (as_kind(cleanup, "cleanup", Prove, _of(big, Sync)),), "R7"),
        ("undo that drops", "judge_plan", (as_kind(dropping, "undo", Backup, _of(dropping, Backup)),), "R7"),
        ("drop before the point of no return", "judge_plan", (replace(dropping, last_safe=0),), "R7"),
        ("sync without backup", "judge_plan", (without(big, "backup", "expand"),), "R9"),
        ("drop without backup", "judge_plan", (without(dropping, "backup"),), "R9"),
        ("drop after the wrong backup", "judge_plan", (with_backup(dropping, "expand"),), "R9"),
        ("undo without backup", "judge_plan", (without(undoing, "backup"),), "R9"),
        ("ends without naming", "judge_plan", (replace(release, ends=()),), "R7"),
        ("names without ending", "judge_plan", (without(cleanup, "retire"),), "R7"),
        ("rollback with a schema step", "judge_plan", (replace(release, kind="rollback"),), "R7"),
        ("release that contracts", "judge_plan", (replace(cleanup, kind="release"),), "R7"),
        ("point of no return moved", "judge_plan", (replace(cleanup, last_safe=1),), "R7"),
        ("expand without backup", "judge_plan", (without(release, "backup"),), "R9"),
        ("contract without backup", "judge_plan", (without(cleanup, "backup"),), "R9"),
        ("contract after the wrong backup", "judge_plan", (with_backup(cleanup, "expand"),), "R9"),
        ("steps out of order", "judge_plan", (replace(rollback, steps=rollback.steps[::-1]),), "R10"),
        ("another hash", "r10_plan_is_frozen", (rollback, "0" * 64), "R10"),
        ("retire after contract", "judge_plan", (late_retire(cleanup),), "R13"),
        ("a gap in the journal", "judge_run", run(Event(1, "begin", "s1"), Event(3, "done", "s1", OK)), "R5"),
        ("a stale actor writes", "judge_run", run(Event(1, "begin", "s1", fence=2), Event(2, "done", "s1", OK)), "R5"),
        ("result without intent", "judge_run", run(Event(1, "done", "s1", OK)), "R6"),
        ("two results", "judge_run", run(*GOOD_RUN[:2], Event(3, "done", "s1", OK)), "R6"),
        ("begun after its result", "judge_run", run(*GOOD_RUN[:2], Event(3, "begin", "s1")), "R6"),
        ("nothing observed", "judge_run", run(Event(1, "begin", "s1"), Event(2, "done", "s1")), "R8"),
        ("silent failure", "judge_run", run(Event(1, "failed", "s1", {"code": "CO-0201", "what": "w"})), "R12"),
        ("finished with a step open", "judge_run", run(Event(1, "begin", "s1"), Event(2, "finished")), "R12"),
        (
            "nobody is healthy but the balancer",
            "before_shift",
            (
                Situation(
                    replace(world, health={"blue": PoolHealth(0, 2), "green": PoolHealth(2, 2)}), sim().ledger(), SETS
                ),
                BACK,
            ),
            "R11",
        ),
    ]


def sound() -> list[tuple[str, str, tuple[Any, ...]]]:
    """What no rule objects to."""
    release, cleanup, rollback = _release(), _cleanup(), _rollback()
    by_name = Acknowledgement("no-backup", "dana")
    bare = replace(situation(sim()), world=replace(situation(sim()).world, schema=None))
    return [
        ("the usual", "judge", (situation(sim()),)),
        ("without a database", "judge", (bare,)),
        (
            "nobody is healthy anywhere",
            "r11_somebody_serves",
            (changed(lambda s: [setattr(i, "ready", False) for p in ("blue", "green") for i in s.on(p)]),),
        ),
        ("the smaller pool at full strength", "judge", (situation(sim(green=3)),)),
        (
            "a serving promise needs no other pool",
            "judge",
            (changed(lambda s: setattr(s, "promises", (Promise(V1, "b1", "green", 0.0, 0.0),))),),
        ),
        (
            "a share with an expiry",
            "judge",
            (changed(lambda s: setattr(s, "route", Route("green", "blue", 500, 0, 9_000_000))),),
        ),
        ("stop what is idle", "before_stop", (situation(sim()), "blue")),
        ("stop what does not run", "before_stop", (changed(_stopped_in_flight), "blue")),
        (
            "clear a left-over beside the dead",
            "before_stop",
            (changed(lambda s: (_live_dead(s), setattr(s, "promises", ()))), "blue"),
        ),
        ("flip back", "before_shift", (situation(sim()), BACK)),
        (
            "flip back from the dead with what is left",
            "before_shift",
            (changed(lambda s: (_live_dead(s), _cold(s))), BACK),
        ),
        ("send home", "before_shift", (situation(sim()), HOME)),
        (
            "contract when all is quiet",
            "before_contract",
            (changed(lambda s: (setattr(s, "promises", ()), s.put("blue", "1.2.0"))), V1),
        ),
        ("undo what was given up", "before_undo", (_given_up(), V2)),
        ("undo beside a promise", "before_undo", (_given_up(lambda s: setattr(s, "dirty", frozenset({V2}))), V2)),
        ("a release of operations", "judge_plan", (big_release(),)),
        ("a drop", "judge_plan", (drop(),)),
        ("an undo", "judge_plan", (undo(),)),
        ("release", "judge_plan", (release,)),
        ("cleanup", "judge_plan", (cleanup,)),
        ("rollback", "judge_plan", (rollback,)),
        ("no backup, by name", "judge_plan", (replace(without(release, "backup"), acknowledged=(by_name,)),)),
        ("the hash agreed", "r10_plan_is_frozen", (rollback, rollback.hash)),
        ("a run", "judge_run", (GOOD_RUN,)),
    ]


def judge_rules(rules) -> list[str]:
    """What a set of rules gets wrong on the specimens."""
    wrong = []
    for name, function, args, rule in broken():
        found = {v.rule for v in getattr(rules, function)(*args)}
        if rule not in found:
            wrong.append(f"{name}: {rule} is not named, but {sorted(found)}")
    for name, function, args in sound():
        found = [str(v) for v in getattr(rules, function)(*args)]
        if found:
            wrong.append(f"{name}: {found}")
    return wrong


__all__ = ["InFlight", "broken", "judge_rules", "sim", "sound"]
