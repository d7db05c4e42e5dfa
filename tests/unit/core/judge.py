"""The judge: one function that says what is wrong with an answer of the planner. Properties and mutants share it."""

from __future__ import annotations

from random import Random

from simulate import POOLS, Sim, walk
from worlds import Asked, Question, ask

from changeover.core import planner
from changeover.core import rules as RULES
from changeover.core.errors import ChangeoverError, NothingToDo
from changeover.core.model import COMPLETE, Phase, Version
from changeover.core.steps import Contract, Drop, Expand, Finalize, Plan, Prove, Retire, Shift, Sync, Undo

WITHOUT_RULE = {"CO-0302", "CO-0307", "CO-0013", "CO-0010", "CO-0201"}


def judge_answer(asked: Asked, r: Random, module=planner, rules=RULES, *, undo: bool = True) -> list[str]:
    """Everything that is wrong with one answer; empty if it is right."""
    if asked.refusal is not None:
        return judge_refusal(asked, asked.refusal)
    assert asked.plan is not None
    sim = asked.sim.copy()
    problems = [str(v) for v in rules.judge_plan(asked.plan)] + walk(sim, asked.plan, rules=rules)
    problems += judge_end(asked, asked.plan, sim)
    problems += judge_promises(asked, asked.plan)
    if undo:
        problems += judge_undo(asked, asked.plan, r, module, rules)
    return [f"{asked.question.kind}: {p}" for p in problems]


def judge_refusal(asked: Asked, error: ChangeoverError) -> list[str]:
    """A refusal says what to do next and which rule it serves, and is not made up."""
    problems = []
    if not error.next or not error.what:
        problems.append(f"{error.code} does not say what to do next")
    if error.code not in WITHOUT_RULE and "rule R" not in error.what:
        problems.append(f"{error.code} names no rule: {error.what}")
    if asked.question.kind == "release" and error.code == "CO-0303":
        problems.append("an acknowledged end of a way back is refused as too early")
    due = _due(asked) if asked.question.kind == "cleanup" and asked.question.version is None else set()
    if due and isinstance(error, NothingToDo):
        problems.append(f"nothing is owed, and {sorted(map(str, due))} lies parked and is due")
    return problems


def judge_end(asked: Asked, plan: Plan, end: Sim) -> list[str]:
    """The state after a whole plan is the one that was asked for, and what the plan says of it is true."""
    start, problems = asked.sim, []
    live = {i.identity for i in end.on(end.route.live)}
    versions = {i.version for i in live}
    if plan.schema_to != end.revision or plan.schema_from != start.revision:
        problems.append(f"schema {plan.schema_from} -> {plan.schema_to}, really {start.revision} -> {end.revision}")
    if end.route.share:
        problems.append("a share is left over")
    match plan.kind:
        case "release":
            if versions != {asked.question.version} or end.route.live == start.route.live:
                problems.append(f"{versions} serves after the release of {asked.question.version}")
            added = [s.action.version for s in plan.steps if isinstance(s.action, Expand)]
            if added != sorted(added) or any(v > plan.target for v in added):
                problems.append(f"{', '.join(map(str, added))} is expanded, in this order, for {plan.target}")
            missing = [
                c.version
                for c in end.changes
                if end.applied is not None
                and c.version <= plan.target
                and not all(
                    end.done(c.version, phase)
                    for phase, there in (
                        (Phase.EXPAND, c.expand or c.backfill or c.declared),
                        (Phase.SYNC, c.sync),
                        (Phase.FINALIZE, c.finalize),
                    )
                    if there
                )
            ]
            stale = [
                c.version for c in end.changes if c.backfill and c.version in start.dirty & end.dirty and not versions
            ]
            if (
                not {c.version for c in end.changes if c.declared and c.version <= plan.target} <= end.kept
                and end.applied is not None
            ):
                problems.append("what was compiled of operations is not kept")
            problems += [f"{v} is not expanded" for v in missing] + [f"{v} is not filled" for v in stale]
            if any(s.action.keep is None for s in plan.steps if isinstance(s.action, Shift) and s.action.is_flip):
                if any(i.ready and not i.hangs for i in start.on(start.route.live)) and "not promised" not in str(
                    plan.notes
                ):
                    problems.append("the old version is not promised, and nobody says why")
        case "rollback" | "abort":
            if end.applied != start.applied:
                problems.append("going back changed the schema")
            if [p for p in start.promises if p.ended is None] != [p for p in end.promises if p.ended is None]:
                problems.append("going back ended or made a promise")
            if plan.kind == "rollback" and versions != {plan.target}:
                problems.append(f"{versions} serves after going back to {plan.target}")
            idle = next(p for p in POOLS if p != end.route.live)
            if plan.kind == "abort" and any(i.identity.version == plan.source for i in end.on(idle)):
                if not any(p.version == plan.source and p.ended is None for p in end.promises):
                    problems.append(f"{plan.source} still runs after it was given up")
        case "undo":
            version = asked.question.version
            if end.route != start.route or end.instances != start.instances or end.promises != start.promises:
                problems.append("taking an expansion back touched what serves")
            if version in end.kept or any(a.version == version for a in end.applied or ()):
                problems.append(f"something of {version} is left")
            if end.kept != start.kept - {version} or end.applied != tuple(
                a for a in start.applied or () if a.version != version
            ):
                problems.append(f"more than {version} was taken back")
            players = {p.version for p in start.promises if p.ended is None} | versions
            if not players <= end.proved:
                problems.append("nothing was proved after an expansion was taken back")
        case _:
            if end.route != start.route or end.on(end.route.live) != start.on(start.route.live):
                problems.append("cleanup touched what serves")
            for step in plan.steps:
                if isinstance(step.action, Contract) and not end.done(step.action.version, Phase.CONTRACT):
                    problems.append(f"{step.action.version} is not contracted")
            if end.applied is not None and not versions <= end.proved:
                problems.append("nothing was proved after the last thing was taken away")
            problems += _parked(asked, plan)
    drained = [p for p in POOLS if p not in end.carrying() and p in start.carrying() and end.flying[p] != 0]
    if plan.kind not in ("cleanup", "undo") and any(i.ready for p in drained for i in end.on(p)):
        problems.append(f"{drained} is not drained at the end")
    return problems


def _parked(asked: Asked, plan: Plan) -> list[str]:
    """What lies parked is dropped when its time is over or a person says so, and never before."""
    due = _due(asked)
    dropped = {s.action.version for s in plan.steps if isinstance(s.action, Drop)}
    wanted = due if asked.question.version is None else set()
    return [] if dropped == wanted else [f"dropped is {sorted(map(str, dropped))}, due is {sorted(map(str, wanted))}"]


def _due(asked: Asked) -> set[Version]:
    """The versions of which something lies parked whose time is over, or which a person gives up by name."""
    start, question = asked.sim, asked.question
    named = {a.name for a in question.acks}
    since = {a.version: a.at for a in start.applied or () if a.phase is Phase.CONTRACT and a.index == COMPLETE}
    return {
        c.version
        for c in start.changes
        if c.drop
        and c.version in since
        and not start.done(c.version, Phase.DROP)
        and (start.at - since[c.version] >= question.policy.keep_parked or f"parked:{c.version}" in named)
    }


def judge_promises(asked: Asked, plan: Plan) -> list[str]:
    """A promise ends by name and not before its time, unless a person says so; risks are accepted by a person."""
    acks = {a.name for a in asked.question.acks}
    early = (p for p in asked.sim.promises if p.ended is None and p.version in plan.ends and p.earliest > asked.sim.at)
    problems = [
        f"the promise of {p.version} ends before its time" for p in early if f"keep-old:{p.version}" not in acks
    ]
    for step in plan.steps:
        match step.action:
            case Prove(versions=versions) if not asked.question.policy.probes:
                problems += [f"unverified:{v} is not accepted" for v, _ in versions if f"unverified:{v}" not in acks]
            case Expand() | Sync() | Finalize() | Contract() | Drop() | Undo():
                statements = step.action.statements
                warned = [s for s in statements if s.verdict != "OK"]
                problems += [f"{s.file} warns" for s in warned if f"warn:{s.file}:{s.line}" not in acks]
                if not asked.question.policy.backup and "no-backup" not in acks:
                    problems.append("no-backup is not accepted")
            case _:
                pass
    return problems


def judge_undo(asked: Asked, plan: Plan, r: Random, module, rules) -> list[str]:
    """Undo from a prefix restores route, pools and instances; the next attempt recognises what stays of the schema."""
    last = plan.last_safe or len(plan.steps)
    if plan.kind == "cleanup" and not any(isinstance(s.action, Contract | Drop) for s in plan.steps):
        return ["a cleanup takes nothing away"]
    upto = r.randrange(last + 1)
    sim = asked.sim.copy()
    walk(sim, plan, upto=upto, rules=rules, judged=False)
    match plan.kind:
        case "release":
            problems = _undo_release(asked, plan, sim, module, rules)
        case "cleanup":
            problems = _again(asked, sim, module, rules)
        case "undo":
            taken = any(isinstance(s.action, Undo) for s in plan.steps[:upto])
            problems = [] if taken else _again(asked, sim, module, rules)
            if taken and not isinstance(ask(sim, asked.question, module).refusal, NothingToDo):
                problems = ["what was taken back is taken back again"]
        case _:
            again = ask(sim, Question("rollback", asked.question.policy), module)
            problems = [] if again.plan is None else walk(sim, again.plan, rules=rules)
            if plan.kind == "rollback" and sim.route.live != _home(asked, plan):
                problems.append("a rollback that was cut short cannot be repeated")
    return [f"undo after s{upto}: {p}" for p in problems]


def _home(asked: Asked, plan: Plan) -> str:
    shift = next(s.action for s in plan.steps if isinstance(s.action, Shift))
    return shift.pool if shift.is_flip else shift.other


def _undo_release(asked: Asked, plan: Plan, sim: Sim, module, rules) -> list[str]:
    start, before = asked.sim, sim.copy()
    target = plan.target
    problems = []
    moved = sim.route.share or sim.route.live != start.route.live
    promise = next((s.action.keep for s in plan.steps if isinstance(s.action, Shift) and s.action.is_flip), None)
    if moved and promise is not None:
        back = ask(sim, Question("rollback", asked.question.policy), module)
        if back.plan is None:
            return [f"there is no way back: {back.refusal}"]
        shifts = [s for s in back.plan.steps if isinstance(s.action, Shift)]
        after = sim.copy()
        problems += walk(after, back.plan, rules=rules) + judge_end(back, back.plan, after)
        if len(shifts) != 1:
            problems.append(f"the way back is {len(shifts)} shifts")
    abort = ask(sim, Question("abort", asked.question.policy, of=plan), module)
    if abort.plan is None:
        candidate = [i for i in sim.on(_candidate(plan)) if _is_new(plan, i)]
        serves = any(i.ready and not i.hangs for i in start.on(start.route.live))
        if isinstance(abort.refusal, NothingToDo):
            return problems + (["it was started and cannot be given up"] if candidate or moved else [])
        return problems + ([f"it cannot be given up: {abort.refusal}"] if serves and promise is not None else [])
    problems += walk(sim, abort.plan, rules=rules)
    if not sim.route.decides_like(start.route) or sim.applied != before.applied:
        problems.append("giving up did not restore the route, or changed the schema")
    live = start.route.live
    if sim.on(live) != start.on(live):
        problems.append("giving up changed the instances that serve")
    if any(_is_new(plan, i) for i in sim.on(_candidate(plan))):
        problems.append(f"{target} still runs")
    return problems + _again(asked, sim, module, rules)


def _is_new(plan: Plan, inst) -> bool:
    return inst.identity.version == plan.target and plan.build in ("", inst.identity.build)


def _candidate(plan: Plan) -> str:
    return next(s.action.pool for s in plan.steps if isinstance(s.action, Shift))


def _again(asked: Asked, sim: Sim, module, rules) -> list[str]:
    """The same question again finishes what is left, and nothing is done twice."""
    again = ask(sim, asked.question, module)
    if again.plan is None:
        return [f"the next attempt is refused: {again.refusal}"]
    end = sim.copy()
    problems = walk(end, again.plan, rules=rules)
    first = [s.action for s in (asked.plan.steps if asked.plan else ())]
    redone = {s.action.version for s in again.plan.steps if isinstance(s.action, Expand)}
    wanted = {a.version for a in first if isinstance(a, Expand)}
    if not redone <= wanted:
        problems.append("the next attempt expands more than the first")
    ends = {a.version for a in first if isinstance(a, Retire) and a.promised}
    if not set(again.plan.ends) <= ends:
        problems.append("the next attempt ends another way back")
    return problems + judge_end(again, again.plan, end)


def hunt(module, rules, seeds, episode, limit: int | None = None) -> list[str]:
    """Judge episodes until something is wrong. Returns the first problems found; empty after all of them."""
    counted = 0
    for seed in seeds:
        r = Random(seed)
        for asked in episode(seed, module):
            problems = judge_answer(asked, r, module, rules)
            if problems:
                return [f"seed {seed}: {p}" for p in problems]
            counted += 1
            if limit is not None and counted >= limit:
                return []
    return []
