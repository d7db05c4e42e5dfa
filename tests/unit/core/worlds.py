"""Generated worlds, ledgers, releases and policies, and the episodes that lead through them.

Everything comes from one seeded `Random`: a failing case is repeated by its seed. Worlds are not invented but reached: an
episode walks plans, leaves some of them half done, lets instances die and time pass, and asks for the next plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st
from simulate import POOLS, Sim, walk

from changeover.core import planner
from changeover.core.errors import ChangeoverError
from changeover.core.model import (
    ALL,
    COMPLETE,
    FORWARD,
    Acknowledgement,
    Applied,
    BackfillStatement,
    ChangeSet,
    Check,
    Identity,
    Phase,
    Policy,
    Promise,
    Release,
    Route,
    Statement,
    Verdict,
    Version,
)
from changeover.core.steps import Plan

VERSIONS = tuple(Version(f"1.{n}.0") for n in range(6))
SALT = 1234


def statement(version: Version, phase: Phase, verdict: Verdict = Verdict.OK) -> Statement:
    sign = "-" if phase is Phase.CONTRACT else "+"
    name = f"{version}.{phase}.sql"
    return Statement(f"{phase} {version}", name, 1, phase, f"{sign} column t.c{version}", verdict=verdict)


def change_set(version: Version, shape: str, verdict: Verdict = Verdict.OK) -> ChangeSet:
    """`shape` has e, b and c for the phases that the set has; s, v, f and d for those that only operations have."""
    fill = BackfillStatement("UPDATE t", f"{version}.backfill.sql", 1, "t", "id", f"~ backfill t.c{version}")
    return ChangeSet(
        version,
        (statement(version, Phase.EXPAND, verdict),) if "e" in shape else (),
        (fill,) if "b" in shape else (),
        (statement(version, Phase.CONTRACT, verdict if "c" in shape else Verdict.OK),) if "c" in shape else (),
        digest=f"d{version}",
        sync=(statement(version, Phase.SYNC),) if "s" in shape else (),
        verify=(Check(f"rows of t.c{version} that disagree", "SELECT 0"),) if "v" in shape else (),
        finalize=(statement(version, Phase.FINALIZE, verdict),) if "f" in shape else (),
        drop=(statement(version, Phase.DROP, verdict),) if "d" in shape else (),
        undo=(statement(version, Phase.UNDO, verdict),) if "u" in shape else (),
        declared="u" in shape,
    )


PLAIN = ("e", "eb", "ec", "ebc", "ebc", "ebc", "c", "b", "bc", "")
DECLARED = ("esbvfcdu", "esbvfcdu", "esbvcu", "efu", "evfu", "ebvfcdu", "ecdu", "eu", "u")


def policy_of(r: Random) -> Policy:
    shift = r.choice([(ALL,), (2500, ALL), (500, 2500, 5000, ALL)])
    return Policy(
        shift=shift,
        bake=r.choice([0.0, 600.0]),
        gates={s: "lead" for s in shift if r.random() < 0.3},
        keep_old=r.choice([0.0, 86_400.0]),
        keep_parked=r.choice([0.0, 604_800.0]),
        probes=r.choice([0, 2, 2]),
        smoke=r.choice([0, 1]),
        backup=r.random() < 0.8,
    )


def changes_of(r: Random) -> tuple[ChangeSet, ...]:
    """Change sets of some versions, of plain SQL or of operations; a version without one is code only."""
    sets = (
        change_set(
            v, r.choice(r.choice([PLAIN, DECLARED, DECLARED])), Verdict.WARN if r.random() < 0.15 else Verdict.OK
        )
        for v in VERSIONS[1:]
        if r.random() < 0.8
    )
    return tuple(sets)


def sim_of(r: Random, *, database: bool = True) -> Sim:
    count = r.choice([1, 2, 2, 3])
    extra = r.choice([0, 0, 0, 1])
    sim = Sim(slots={"blue": count, "green": count + extra}, changes=changes_of(r) if database else ())
    live = r.choice(POOLS) if not extra else "blue"
    sim.route = Route(live, "green" if live == "blue" else "blue")
    if not database:
        sim.applied = None
    sim.put(live, "1.0.0")
    return sim


@dataclass(frozen=True)
class Question:
    """What is asked of the planner; `ask` repeats it, with acknowledgements added."""

    kind: str
    policy: Policy
    version: Version | None = None
    build: str = ""
    acks: tuple[Acknowledgement, ...] = ()
    of: Plan | None = None

    def ask(self, sim: Sim, module=planner) -> Plan:
        world, ledger, policy = sim.world(), sim.ledger(), self.policy
        basis = module.basis_of(world, changes="c", configuration="k")
        ctx = module.Context("shop", "production", "dana", sim.at, basis)
        match self.kind:
            case "release":
                own = any(c.version == self.version for c in sim.changes)
                release = Release(self.version, self.build, sim.changes, not own, self.acks)
                return module.plan_release(ctx, release, world, ledger, policy, salt=SALT)
            case "rollback":
                return module.plan_rollback(
                    ctx, world, ledger, policy, to=self.version, because="slow", acknowledged=self.acks
                )
            case "abort":
                return module.plan_abort(ctx, world, ledger, policy, because="slow", of=self.of, acknowledged=self.acks)
            case "undo":
                assert self.version is not None
                return module.plan_undo(
                    ctx, sim.changes, world, ledger, policy, version=self.version, acknowledged=self.acks
                )
            case _:
                return module.plan_cleanup(
                    ctx, sim.changes, world, ledger, policy, through=self.version, acknowledged=self.acks
                )

    def accepting(self, error: ChangeoverError) -> Question:
        """The question again with the flags that the refusal names."""
        names = re.findall(r"--ack (\S+)", " ".join(error.next))
        return replace(self, acks=(*self.acks, *(Acknowledgement(n, "dana") for n in names)))


@dataclass(frozen=True)
class Asked:
    """One question, the world before it, and the answer: a plan or a refusal."""

    sim: Sim
    question: Question
    plan: Plan | None
    refusal: ChangeoverError | None


def ask(sim: Sim, question: Question, module=planner) -> Asked:
    """Ask, follow the advice of refusals that name acknowledgements, as a person would (four times at the most)."""
    for _ in range(4):
        try:
            return Asked(sim.copy(), question, question.ask(sim, module), None)
        except ChangeoverError as error:
            again = question.accepting(error)
            if again == question:
                return Asked(sim.copy(), question, None, error)
            question = again
    raise AssertionError(f"the advice does not help: {question.acks}")


def question_of(r: Random, sim: Sim, policy: Policy) -> Question:
    live = sim.deployed.get(sim.route.live)
    now = VERSIONS.index(live.version) if live is not None else 0
    back = any(p.ended is None and p.pool != sim.route.live for p in sim.promises)
    waits = any(
        (c.contract and sim.done(c.version, Phase.EXPAND) and not sim.done(c.version, Phase.CONTRACT))
        or (c.drop and sim.done(c.version, Phase.CONTRACT) and not sim.done(c.version, Phase.DROP))
        for c in sim.changes
        if live is not None and c.version <= live.version
    )
    given_up = [v for v in sim.kept if live is not None and v > live.version]
    weights = {
        "release": 4,
        "rollback": 6 if back else 1,
        "cleanup": 9 if waits else 1,
        "abort": 1,
        "undo": 6 if given_up else 0.2,
    }
    kind = r.choices(list(weights), list(weights.values()))[0]
    match kind:
        case "release":
            step = r.choice([1, 1, 1, 1, 2, 2, 0, -1])
            version = VERSIONS[max(0, min(now + step, len(VERSIONS) - 1))]
            build = r.choice(["", "", "b1", "b2", f"b{sim.starts}"])
            return Question("release", policy, version, build)
        case "rollback":
            return Question("rollback", policy, r.choice([None, None, None, *VERSIONS]))
        case "cleanup":
            return Question("cleanup", policy, r.choice([None, None, None, *VERSIONS]))
        case "undo":
            return Question("undo", policy, r.choice([*given_up, *given_up, *given_up, *VERSIONS]))
        case _:
            return Question("abort", policy)


def disturb(r: Random, sim: Sim) -> None:
    """Something happens that nobody asked for."""
    live, idle = sim.route.live, next(p for p in POOLS if p != sim.route.live)
    match r.randrange(9):
        case 0 if sim.on(idle):
            r.choice(sim.on(idle)).ready = False
        case 1 if sim.on(live):
            r.choice(sim.on(live)).ready = False
        case 2 if sim.on(idle):
            inst = r.choice(sim.on(idle))
            inst.hangs, inst.ready, inst.identity = True, False, sim.deployed.get(idle, inst.identity)
        case 3:
            sim.flying[idle] = r.choice([None, 2])
        case 4:
            for inst in sim.on(live):
                inst.ready = False
        case 5 if sim.on(idle):
            sim.instances = {k: i for k, i in sim.instances.items() if k[0] != idle}
        case 6 if sim.on(idle) and sim.route.share == 0:
            inst = r.choice(sim.on(idle))
            inst.identity = inst.identity if inst.hangs else Identity(r.choice(VERSIONS), "bx")
        case _:
            sim.at += r.choice([10.0, 100_000.0])


def heal(sim: Sim) -> None:
    """People repaired everything."""
    for pool in POOLS:
        for inst in sim.on(pool):
            inst.ready, inst.hangs = True, False
        if sim.flying[pool] is None or pool not in sim.carrying():
            sim.flying[pool] = 0
    if not sim.on(sim.route.live):
        identity = sim.deployed.get(sim.route.live, Identity(VERSIONS[0], "b1"))
        sim.put(sim.route.live, str(identity.version), identity.build or "b1")
    sim.at += 100_000.0


def episode(seed: int, module=planner) -> Iterator[Asked]:
    """A life of an environment: questions, answers, and what becomes of them."""
    r = Random(seed)
    sim = sim_of(r, database=r.random() < 0.9)
    policy = policy_of(r)
    for _ in range(r.randrange(6, 14)):
        if r.random() < 0.25:
            disturb(r, sim)
        asked = ask(sim, question_of(r, sim, policy), module)
        yield asked
        if asked.plan is None:
            if r.random() < 0.5:
                heal(sim)
            continue
        whole = r.random() < 0.75
        sim = asked.sim.copy()
        upto = None if whole else r.randrange(len(asked.plan.steps) + 1)
        walk(sim, asked.plan, upto=upto, judged=False)
        if not whole and asked.plan.kind == "release" and r.random() < 0.6:
            abort = ask(sim, Question("abort", policy, of=asked.plan), module)
            if abort.plan is not None:
                yield abort
                walk(sim, abort.plan, judged=False)
        if r.random() < 0.7:
            heal(sim)


def reached(r: Random, *, back: bool = False, given_up: bool = False, parked: bool = False) -> Sim:
    """A world as a life of releases leaves it: some version serves, another may be promised or left over beside it.

    `given_up`: most often something was added for a later version that never started. `parked`: most contracts are old.
    """
    sim = sim_of(r, database=r.random() < 0.97)
    if parked:
        sim.changes = tuple(
            change_set(c.version, r.choice(DECLARED[:2]), r.choice([Verdict.OK, Verdict.WARN]))
            if r.random() < 0.5
            else c
            for c in sim.changes
        )
    live, idle = sim.route.live, sim.route.candidate
    now = r.randrange(1, len(VERSIONS) - 1)
    sim.put(live, str(VERSIONS[now]), r.choice(["b1", "b2"]))
    oldest = VERSIONS[now]
    match 0 if back and r.random() < 0.8 else r.randrange(5):
        case 0 | 1 | 2:  # the way back
            oldest = VERSIONS[r.randrange(now)]
            sim.put(idle, str(oldest))
            since = sim.at - r.choice([10.0, 90_000.0])
            build = "b1" if r.random() < 0.95 else "b8"  # somebody put another build there
            sim.promises = (Promise(oldest, build, idle, since, since + 86_400.0),)
        case 3:  # left over from a release that was given up
            sim.put(idle, str(r.choice(VERSIONS)), "b3")
        case _:
            pass
    for change in sim.changes:
        ahead = change.version > VERSIONS[now]
        if not ahead or r.random() < (0.8 if given_up and change.declared else 0.1):
            phases = FORWARD if not ahead or r.random() < 0.5 else FORWARD[: r.randrange(4)]
            for phase in phases:
                _apply(sim, change, phase)
            if change.declared:
                sim.kept |= {change.version}
            if r.random() < (0.8 if parked else 0.5) and change.version <= oldest:
                _apply(sim, change, Phase.CONTRACT)
                if r.random() < 0.3:
                    _apply(sim, change, Phase.DROP)
            elif change.backfill and not sim.done(change.version, Phase.SYNC):
                sim.dirty |= {change.version}
    gone = [a.version for a in sim.applied or () if a.phase is Phase.CONTRACT]
    if gone and any(i.identity.version < max(gone) for i in sim.on(idle)):
        sim.instances = {k: i for k, i in sim.instances.items() if k[0] != idle}
    return sim


def _apply(sim: Sim, change: ChangeSet, phase: Phase) -> None:
    """A phase that a set has, a day before or long ago."""
    there = change.statements(phase) or (phase is Phase.EXPAND and (change.backfill or change.declared))
    if sim.applied is not None and there:
        since = sim.at - (1e5 if change.version.text < "1.3" else 1e6)
        sim.applied += (Applied(change.version, phase, COMPLETE, change.digest, since, "r-0", 1),)
        sim.revision += phase in (Phase.EXPAND, Phase.CONTRACT)


EVERYTHING = tuple(
    Acknowledgement(name, "dana")
    for name in (
        "no-backup",
        *(f"{risk}:{v}" for risk in ("unverified", "keep-old") for v in VERSIONS),
        *(f"warn:{v}.{phase}.sql:1" for v in VERSIONS for phase in Phase if phase is not Phase.BACKFILL),
    )
)  # what a person may accept


def meeting(seed: int, kind: str, module=planner) -> Asked:
    """One question of a kind, asked in a world that was reached."""
    r = Random(seed)
    sim, policy = reached(r, back=kind == "rollback", given_up=kind == "undo", parked=kind == "cleanup"), policy_of(r)
    if r.random() < 0.2:
        disturb(r, sim)
    now = VERSIONS.index(sim.deployed[sim.route.live].version)
    build = ""
    if kind == "release":
        version = VERSIONS[min(now + r.choice([1, 1, 1, 2, 0]), len(VERSIONS) - 1)]
        build = r.choice(["", "b1", "b9"])
    elif kind == "undo":
        kept = sorted(v for v in sim.kept if v > VERSIONS[now])
        version = r.choice([*kept[-1:] * 8, *kept, VERSIONS[-1]])
    else:
        version = r.choice([None, None, None, VERSIONS[r.randrange(now + 1)]])
    acks = EVERYTHING if r.random() < 0.5 and kind != "rollback" else ()
    if kind == "cleanup" and r.random() < 0.5:
        acks = (*acks, *(Acknowledgement(f"parked:{v}", "dana") for v in VERSIONS if r.random() < 0.5))
    return ask(sim, Question(kind, policy, version, build, acks), module)


seeds = st.integers(0, 2**32 - 1)
policies = seeds.map(lambda s: policy_of(Random(s)))
sims = seeds.map(lambda s: sim_of(Random(s)))
episodes = seeds.map(lambda s: list(episode(s)))
