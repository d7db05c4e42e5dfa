"""What each step says to people, and how long it is expected to take.

Durations are seconds. Where nothing was measured they are round estimates, named here once; a rehearsal replaces them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from changeover.core.model import ALL, BackfillStatement, Leave, Lock, Statement, Version
from changeover.core.steps import (
    Action,
    Backfill,
    Backup,
    Bake,
    Contract,
    Drain,
    Drop,
    Expand,
    Finalize,
    Gate,
    Preflight,
    Prove,
    Ready,
    Rehearse,
    Retire,
    Shift,
    Smoke,
    Start,
    Sync,
    Undo,
    Verify,
    Words,
)

PREFLIGHT = 10.0
RETIRE = 15.0
BACKUP = 240.0
BACKFILL = 120.0  # per statement
PROVE = 5.0  # per version
VERIFY = 10.0  # per check
REHEARSE = 60.0
START = 20.0
READY_MARGIN = 2.0
SMOKE = 10.0
SHIFT = 4.0
PER_LOCK = {Lock.NONE: 5.0, Lock.BRIEF: 1.0, Lock.SCAN: 60.0, Lock.REWRITE: 300.0}  # per statement


@dataclass(frozen=True, slots=True)
class Scene:
    """What the words of a plan speak of: `source` serves at the beginning, `target` at the end."""

    kind: str
    source: Version
    target: Version


@dataclass(frozen=True, slots=True)
class Speech:
    """The words of one step (its way back excepted), its expected duration, who does it, what is then seen."""

    task: str
    probe: str
    do: str
    undo: str
    confirm: str
    takes: float
    expect: str
    who: str = "changeover"

    def words(self, way_back: str) -> Words:
        return Words(self.task, self.probe, self.do, self.undo, self.confirm, way_back)


def percent(share: int) -> str:
    """Basis points as people write them: 2500 -> `25%`, 250 -> `2.5%`."""
    return f"{share / 100:g}%"


def way_back(done: Sequence[Action], scene: Scene) -> str:
    """How the old version is taken back when `done` are the steps that were done."""
    if any(isinstance(a, Contract | Drop) for a in done):
        return "restore only: what was written since the restore point would be lost"
    match scene.kind:
        case "undo":
            return "unchanged"
        case "cleanup":
            ended = [f"v{a.version}" for a in done if isinstance(a, Retire) and a.promised]
            return f"none to {', '.join(ended)}: ended by this plan" if ended else "unchanged"
        case "release":
            shift = next((a for a in reversed(done) if isinstance(a, Shift)), None)
            if shift is None:
                return f"nothing to take back: v{scene.source} serves everything"
            if shift.is_flip and shift.keep is None:
                return f"none: v{scene.source} is not fit to come back; fix forward"
            return f"1 step, about {SHIFT:.0f} s: all traffic to v{scene.source}"
        case _:
            return f"forward again is a new release of v{scene.source}"


def speak(action: Action, scene: Scene) -> Speech:
    """The words of one action."""
    match action:
        case Preflight() | Retire() | Backup() | Start() | Ready() | Smoke() | Prove() | Rehearse():
            return _around(action, scene)
        case Expand() | Sync() | Backfill() | Verify() | Finalize() | Contract() | Drop() | Undo():
            return _schema(action)
        case Gate() | Shift() | Bake() | Drain():
            return _traffic(action)
        case _:
            assert_never(action)


def _around(action: Preflight | Retire | Backup | Start | Ready | Smoke | Prove | Rehearse, scene: Scene) -> Speech:
    match action:
        case Preflight(live=live, candidate=idle):
            return Speech(
                task="look at everything once more",
                probe="always looked at again",
                do=f"read balancer, database and instances of {live} and {idle}; compare them with the plan",
                undo="nothing to undo: it only looks",
                confirm="nothing moved since the plan was made",
                takes=PREFLIGHT,
                expect="route, versions, schema and change files are those of the plan",
            )
        case Retire(pool=pool, version=version, because=why, promised=promised):
            end = f"end the way back to v{version}" if promised else f"clear away v{version}"
            return Speech(
                task=f"{end}: retire it on {pool}" + (f" ({why})" if why else ""),
                probe=f"nothing of v{version} runs on {pool}" + (" and its promise has ended" if promised else ""),
                do=f"stop and disable the instances of v{version} on {pool}, end its database sessions",
                undo=f"none: v{version} is released again, or its instances are started by hand"
                if promised
                else "none",
                confirm=f"0 requests in flight, 0 instances, 0 database sessions of v{version} on {pool}",
                takes=RETIRE,
                expect=f"no instance runs on {pool}",
            )
        case Backup(before=before, id=name):
            return Speech(
                task=f"backup before {before}: take, restore, compare",
                probe=f"restore point {name} is recorded",
                do=f"take the restore point {name}, restore it into scratch, compare table by table",
                undo="nothing to undo",
                confirm="every table restored and equal",
                takes=BACKUP,
                expect=f"restore point {name}, compared",
            )
        case Start(pool=pool, version=version):
            return Speech(
                task=f"start v{version} on {pool}",
                probe=f"every slot of {pool} runs v{version}",
                do=f"start one instance of v{version} on each slot of {pool}",
                undo=f"stop v{version} on {pool}",
                confirm=f"a process runs on every slot of {pool}",
                takes=START,
                expect=f"every slot of {pool} runs",
            )
        case Ready(pool=pool, version=version, build=build, times=times, every=every, within=within):
            what = f"v{version}" + (f" ({build})" if build else ", all of one build,")
            return Speech(
                task=f"v{version} on {pool} proves that it is ready",
                probe="always proved again",
                do=f"ask every instance of {pool} for readiness and identity, {times} times, for at most {within:g} s",
                undo="nothing to undo: it only looks",
                confirm=f"every instance is {what} and ready {times} times in a row",
                takes=times * every + READY_MARGIN,
                expect=f"v{version}, ready, on every instance of {pool}",
            )
        case Smoke(pool=pool, version=version):
            return Speech(
                task=f"smoke test of v{version} through the balancer",
                probe="always run again",
                do=f"run the smoke checks on {pool} by the preview header; no user gets there",
                undo="nothing to undo: 0 % of the users",
                confirm=f"every check passed and v{version} answered",
                takes=SMOKE,
                expect=f"v{version} answers by the preview header",
            )
        case Prove(versions=versions, when=when):
            names = ", ".join(f"v{v}" for v, _ in versions)
            state = {"written": f"after v{scene.target} has written"}.get(when, f"as it is now ({when})")
            return Speech(
                task=f"prove {names} on the schema {state}",
                probe="proved on this catalogue already",
                do=f"run the probes of {names} against the database",
                undo="nothing to undo: it only looks",
                confirm=f"every probe of {names} passed; without probes: UNVERIFIED, as acknowledged",
                takes=PROVE * len(versions),
                expect=f"{names} work with the schema",
            )
        case Rehearse(version=version, versions=versions):
            names = ", ".join(f"v{v}" for v, _ in versions)
            return Speech(
                task=f"rehearse the contract of v{version} on the restored copy",
                probe="always rehearsed again",
                do=f"apply the contract to the restored copy, run the probes of {names} there",
                undo="nothing to undo: the copy is thrown away",
                confirm=f"the contract applied and every probe of {names} passed on the copy",
                takes=REHEARSE,
                expect="the copy is contracted and works",
            )
        case _:
            assert_never(action)


def _titles(statements: Sequence[Statement | BackfillStatement]) -> str:
    return "; ".join(s.title for s in statements) or "nothing; recorded as done"


def _locked(statements: Sequence[Statement]) -> float:
    return sum(PER_LOCK[s.lock] for s in statements) or 1.0


def _schema(action: Expand | Sync | Backfill | Verify | Finalize | Contract | Drop | Undo) -> Speech:
    match action:
        case Sync(version=version, statements=statements):
            return Speech(
                task=f"keep old and new columns equal for v{version}",
                probe=f"the ledger in the database says that v{version} is kept in step",
                do=_titles(statements),
                undo="none: the triggers stay and are owed; the version before works with them",
                confirm="every trigger is in the catalogue",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case Verify(version=version, checks=checks):
            return Speech(
                task=f"verify the rows of v{version}",
                probe="always asked again",
                do="; ".join(f"count {c.title}" for c in checks),
                undo="nothing to undo: it only looks",
                confirm="0 rows, for every question",
                takes=VERIFY * len(checks),
                expect="0 rows",
            )
        case Finalize(version=version, statements=statements):
            return Speech(
                task=f"finalize the schema of v{version}",
                probe=f"the ledger in the database says that v{version} is finalized",
                do=_titles(statements),
                undo="none: what holds for every row stays; the next release recognises it",
                confirm="every object is in the catalogue",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case Drop(version=version, statements=statements):
            return Speech(
                task=f"drop for good what v{version} has parked",
                probe="the ledger in the database says that it is dropped",
                do=_titles(statements),
                undo="none: restore only",
                confirm="every object is gone from the catalogue",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case Undo(version=version, statements=statements):
            return Speech(
                task=f"take back what was added for v{version}",
                probe=f"nothing of v{version} is in the ledger",
                do=_titles(statements),
                undo=f"release v{version}: it is added again",
                confirm="every object is gone from the catalogue; the revision is one higher",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case Expand(version=version, statements=statements):
            return Speech(
                task=f"expand the schema for v{version}",
                probe=f"the ledger in the database says that v{version} is expanded",
                do=_titles(statements),
                undo=f"none: what was added stays and is owed; the next release of v{version} recognises it",
                confirm="every object is in the catalogue; the revision is one higher",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case Backfill(version=version, statements=statements):
            return Speech(
                task=f"backfill for v{version}",
                probe="no row is left to fill",
                do=_titles(statements),
                undo="none: stop; filled rows stay and harm nobody",
                confirm="0 rows left to fill",
                takes=BACKFILL * len(statements),
                expect="0 rows left to fill",
            )
        case Contract(version=version, statements=statements):
            return Speech(
                task=f"contract the schema of v{version}",
                probe=f"the ledger in the database says that v{version} is contracted",
                do=_titles(statements),
                undo="none: restore only",
                confirm="every object is gone from the catalogue; the revision is one higher",
                takes=_locked(statements),
                expect=f"{len(statements)} statements applied",
            )
        case _:
            assert_never(action)


def _traffic(action: Gate | Shift | Bake | Drain) -> Speech:
    match action:
        case Gate(name=name, role=role):
            return Speech(
                task=f"wait for approval of {name}",
                probe=f"{name} was approved in this run",
                do=f"ask {role}: changeover approve {name}",
                undo="nothing to undo",
                confirm=f"{role} approved {name}, with name and time",
                takes=0.0,
                expect=f"{name} is approved",
                who=role,
            )
        case Shift(pool=pool, other=other, version=version, share=share):
            home = share == 0
            task = f"all traffic back to {other}" if home else f"{percent(share)} of the traffic to v{version}"
            asked = f"{other} live, {percent(share)} to {pool}" if share < ALL else f"{pool} live"
            return Speech(
                task=task,
                probe=f"every worker and the disk say: {asked}",
                do=f"commit the route to every worker: {asked}",
                undo=f"none: v{version} is kept out of traffic" if home else f"all traffic back to {other}",
                confirm=f"read back from every worker and the disk: {asked}",
                takes=SHIFT,
                expect=asked,
            )
        case Bake(share=share, seconds=seconds, pool=pool):
            return Speech(
                task=f"watch {percent(share)} for {seconds:g} s",
                probe="watched for the whole time in this run",
                do=f"count requests and errors on {pool}; go back if a rule says so",
                undo="as the shift before it",
                confirm="no rule of going back applied, and there was enough traffic to tell",
                takes=seconds,
                expect="requests answered, no rule of going back met",
            )
        case Drain(pool=pool, soft=soft, hard=hard, at_deadline=at_deadline):
            apart = "".join(
                f"; {i.kind}: {i.policy}, {i.within:g} s" for i in action.long_lived if i.policy is not Leave.WAIT
            )
            return Speech(
                task=f"drain {pool}",
                probe=f"0 requests in flight on {pool}",
                do=f"wait for 0 in flight on {pool}, {soft:g} s expected; after {hard:g} s: {at_deadline}{apart}",
                undo="nothing to undo: it only waits",
                confirm=f"0 requests in flight on {pool}, on every worker",
                takes=soft,
                expect=f"0 requests in flight on {pool}",
            )
        case _:
            assert_never(action)
