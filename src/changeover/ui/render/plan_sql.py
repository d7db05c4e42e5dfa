"""The exact SQL of a plan for the one who reviews it: by phase, with lock, algorithm and expected time of each statement.

Of operations it also has what comes later: what cleanup will contract and drop, and what would take the expansion back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from changeover.core import steps as s
from changeover.core.model import BackfillStatement, ChangeSet, Check, Lock, Phase, Statement, Verdict
from changeover.core.steps import Plan
from changeover.core.words import BACKFILL, PER_LOCK
from changeover.ui.render import words

WORK: Mapping[Lock, str] = {
    Lock.NONE: "nobody waits",
    Lock.BRIEF: "the catalogue only",
    Lock.SCAN: "every row is read under the lock",
    Lock.REWRITE: "every row is written under the lock",
}
LATER: Mapping[Phase, str] = {
    Phase.CONTRACT: "later, by changeover cleanup: contract of v{}",
    Phase.DROP: "later, by changeover cleanup, when the grace time is over: drop of v{}",
    Phase.UNDO: "never, unless the release is given up before it starts: changeover schema undo {}",
}


def sql(plan: Plan) -> str:
    """The file. Statements of later are comments: they are to be read, not run."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"-- {_one(plan.app)} {_one(plan.environment)}: plan {plan.short}, {plan.kind} of v{_one(plan.target.text)}"
    kept: list[ChangeSet] = []
    for step in plan.steps:
        action = step.action
        match action:
            case s.Expand() | s.Sync() | s.Finalize() | s.Contract() | s.Drop() | s.Undo():
                yield f"\n-- step {step.n}: {_one(step.words.task)}"
                yield from _statements(action.statements)
                kept += [action.keeps] if isinstance(action, s.Expand) and action.keeps is not None else []
            case s.Backfill():
                yield f"\n-- step {step.n}: {_one(step.words.task)}"
                for fill in action.statements:
                    yield from _fill(fill)
            case s.Verify():
                yield f"\n-- step {step.n}: {_one(step.words.task)}; every count must be 0"
                yield from _checks(action.checks)
            case _:
                pass
    for change in kept:
        for phase, title in LATER.items():
            statements = change.statements(phase)
            if statements:
                yield f"\n-- {title.format(_one(change.version.text))}"
                yield from (f"-- {line}".rstrip() for text in _statements(statements) for line in text.splitlines())


def _statements(statements: Sequence[Statement]) -> Iterator[str]:
    for one in statements:
        yield f"-- {_one(one.file)}:{one.line}   {_one(one.title)}"
        how = (
            "outside a transaction"
            if one.alone
            else "one act, in one transaction"
            if one.block
            else "in its own transaction"
        )
        yield f"--   lock: {one.lock} ({WORK[one.lock]}); {_algorithm(one)}expected: about {words.duration(PER_LOCK[one.lock])}; {how}"
        if one.verdict is Verdict.WARN:
            yield f"--   WARN: {_one(one.reason)}"
        yield from (f"--   under its lock this must be 0: {_one(guard.sql)}" for guard in one.guards)
        if one.probe is not None:
            yield f"--   done is seen by: {_seen(one)}"
        yield one.sql.rstrip().rstrip(";") + ";"


def _algorithm(one: Statement) -> str:
    """What the server is made to do, where the statement says so."""
    if one.rewrite is not None:
        return "algorithm: the table is written anew; "
    named = dict(re.findall(r"\b(ALGORITHM|LOCK)\s*=\s*(\w+)", one.sql))
    if named:
        return "algorithm: " + ", ".join(f"{k}={v}" for k, v in named.items()) + "; "
    if re.search(r"\bCONCURRENTLY\b", one.sql):
        return "algorithm: concurrently; "
    return "algorithm: online; " if re.search(r"\bONLINE\s*=\s*ON\b", one.sql) else ""


def _seen(one: Statement) -> str:
    probe = one.probe
    assert probe is not None
    name = f"{probe.table}.{probe.name}" if probe.table else probe.name
    return f"{probe.what.replace('_', ' ')} {_one(name)} is {'there' if probe.present else 'gone'}"


def _fill(fill: BackfillStatement) -> Iterator[str]:
    keys = ", ".join(fill.keys) or fill.key
    yield f"-- {_one(fill.file)}:{fill.line}   {_one(fill.title)}"
    yield f"--   lock: the rows of a batch; in batches of the key {keys}; expected: about {words.duration(BACKFILL)}, by the rows"
    yield fill.sql.rstrip().rstrip(";") + ";"


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        yield f"-- {_one(check.title)}"
        yield f"{check.sql.rstrip().rstrip(';')};"


def _one(text_: str) -> str:
    """One line: a comment must not end early."""
    return words.clean(text_).replace("\n", " ")
