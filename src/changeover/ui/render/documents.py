"""Answers for machines: each has a format with a number; within a number fields are only added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from changeover.core.model import World
from changeover.core.ports import Finding
from changeover.core.steps import Plan, to_data
from changeover.ui.render import status as _status
from changeover.ui.render import words
from changeover.ui.render.events import Event, Holder, Run

if TYPE_CHECKING:
    from changeover.service.status import Status, WayBack

Document = dict[str, Any]


def head(kind: str, at: float) -> Document:
    """`{"format": "changeover.KIND/1", "at": …}`."""
    return {"format": f"changeover.{kind}/1", "at": words.iso(at)}


def dump(document: Mapping[str, Any], *, utf8: bool = True) -> str:
    """One document as a line-broken text that also reads well."""
    return json.dumps(document, indent=1, ensure_ascii=not utf8) + "\n"


def line(document: Mapping[str, Any], *, utf8: bool = True) -> str:
    """One document in one line."""
    return json.dumps(document, ensure_ascii=not utf8, separators=(",", ":")) + "\n"


def way_back(back: WayBack) -> Document:
    """Whether, to what, and why not."""
    return {
        "possible": back.possible,
        "to": back.to or None,
        "steps": back.steps,
        "seconds": back.seconds,
        "data_loss": back.data_loss,
        "proved_at": None if back.proved_at is None else words.iso(back.proved_at),
        "until": back.until,
        "why_not": back.why_not or None,
        "code": back.code or None,
    }


def status(found: Status, asked: _status.Asked | None, *, alive: bool, exit_: int) -> Document:
    """`changeover.status/1`. Shares are per cent; None is unknown, never zero."""
    return {
        **head("status", found.at),
        "app": found.app,
        "environment": found.environment,
        "state": found.state,
        "exit": exit_,
        "sentence": found.sentence,
        "serving": found.serving or None,
        "run": _run_of(found, alive=alive),
        "way_back": way_back(found.way_back),
        "traffic": _traffic(found.world, asked),
        "watched": found.watched or None,
        "pools": {pool: _pool(found.world, pool) for pool in sorted(found.world.pools)},
        "schema": None if found.world.schema is None else {"revision": found.world.schema.revision},
        "restore_point": dict(found.restore_point) or None,
        "promises": list(found.promises),
        "owed": list(found.owed),
        "problem": dict(found.problem) or None,
        "next": list(_status.next_commands(found, alive=alive)),
    }


def _run_of(found: Status, *, alive: bool) -> Document | None:
    if found.run is None:
        return None
    steps = [
        {"n": s.n, "kind": s.kind, "task": s.task, "mark": s.mark, "began": _time(s.began), "ended": _time(s.ended)}
        for s in found.steps
    ]
    return {
        "id": found.run,
        "kind": found.kind,
        "plan": found.plan,
        "by": found.by,
        "gate": found.gate or None,
        "advanced": alive,
        "holder": found.holder or None,
        "steps": steps,
    }


def _traffic(world: World, asked: _status.Asked | None) -> Document:
    seen = _status.observed(world)
    return {
        "asked": None if asked is None else {p: s / 100 for p, s in asked.shares.items()},
        "observed": None if seen is None else {p: s / 100 for p, s in seen.items()},
        "measured": None if asked is None or asked.measured is None else asked.measured / 100,
        "settled": world.route.settled,
        "problem": world.route.problem or None,
    }


def _pool(world: World, pool: str) -> Document:
    identity, flight, health = world.identity(pool), world.in_flight[pool], world.health[pool]
    return {
        "version": None if identity is None else identity.version.text,
        "build": None if identity is None else identity.build,
        "in_flight": flight.requests,
        "long_lived": flight.long_lived,
        "healthy": health.healthy,
        "known": health.known,
        "instances": [
            {
                "name": i.slot.name,
                "address": i.slot.address,
                "process": i.process.value,
                "ready": i.ready,
                "version": None if i.identity is None else i.identity.version.text,
                "build": None if i.identity is None else i.identity.build,
                "note": i.note or None,
            }
            for i in world.pools[pool]
        ],
    }


def plan(made: Plan, at: float) -> Document:
    """`changeover.plan/1`: what `--out` writes, so that it can be released as it stands."""
    return {**head("plan", at), "hash": made.hash, "plan": to_data(made)}


def doctor(found: Sequence[Finding], at: float, *, exit_: int) -> Document:
    """`changeover.doctor/1`."""
    return {
        **head("doctor", at),
        "exit": exit_,
        "findings": [
            {"subject": f.subject, "ok": f.ok, "detail": f.detail, "fix": f.fix or None, "fatal": f.fatal}
            for f in found
        ],
    }


def run(found: Run) -> Document:
    """One run, as `history` lists it."""
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state.value,
        "parent": found.parent,
        "plan": found.plan_hash,
        "by": found.by,
        "at": words.iso(found.at),
        "ended": _time(found.ended),
    }


def event(found: Event) -> Document:
    """`changeover.event/1`: one line of the journal."""
    return {
        **head("event", found.at),
        "run": found.run,
        "seq": found.seq,
        "fence": found.fence,
        "kind": found.kind,
        "step": found.step or None,
        "data": dict(found.data),
    }


def holder(found: Holder | None, environment: str, at: float) -> Document:
    """`changeover.lock/1`."""
    held = None
    if found is not None:
        held = {
            "run": found.run,
            "owner": found.owner,
            "pid": found.pid,
            "fence": found.fence,
            "since": words.iso(found.since),
            "alive": found.alive,
        }
    return {**head("lock", at), "environment": environment, "holder": held}


def _time(at: float | None) -> str | None:
    return None if at is None else words.iso(at)
