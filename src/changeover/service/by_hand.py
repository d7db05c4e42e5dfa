"""The commands to do each step by hand: what the written process prints, copyable as they stand.

They are for one shell (`bash -e`) that runs them in order. Each does what the step does and looks whether it is so; what
cannot be looked at by a short command is said in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import assert_never

from changeover.core import steps as s
from changeover.core.model import ALL, COMPLETE, Applied, Phase, Route, Statement, Version
from changeover.core.ports import Database
from changeover.drivers.by_hand import demand
from changeover.engine.actions.database import digest
from changeover.service.site import Site

BY_HAND = "by-hand"


def with_commands(plan: s.Plan, site: Site) -> s.Plan:
    """The plan with the commands of every step filled in, and those that give everything back."""
    hand = _Hand(plan, site)
    steps = tuple(replace(step, by_hand=tuple(hand.step(step))) for step in plan.steps)
    return replace(plan, steps=steps, back_by_hand=tuple(hand.back()))


@dataclass(frozen=True, slots=True)
class _Hand:
    """One plan on one site."""

    plan: s.Plan
    site: Site

    def step(self, step: s.Step) -> Iterator[str]:
        """The commands of one step. Relative paths of the configuration start where it lies."""
        if step.n == 1:
            yield f"cd {quote(str(self.site.config.absolute().parent))}"
        lines = tuple(_said_once(self._commands(step.action)))
        yield from _variables(lines)
        yield from lines

    def back(self) -> Iterator[str]:
        """All traffic back to the pool that serves when the plan begins; the schema is left alone."""
        first = next((x.action for x in self.plan.steps if isinstance(x.action, s.Shift)), None)
        if self.plan.kind != "release" or first is None:
            return
        balancer = self.site.ports.balancer
        yield from balancer.by_hand(Route(first.other, first.pool, mark=BY_HAND))
        yield from balancer.by_hand_drain(first.pool, self.site.policy.drain_hard)

    def _commands(self, action: s.Action) -> Iterator[str]:
        ports = self.site.ports
        match action:
            case s.Preflight():
                yield from self._live(action.live)
                if self.plan.kind == "cleanup":
                    yield from ports.balancer.by_hand_health(action.live)
            case s.Gate():
                yield f"# {action.role} decides: name, time, signature. Do not go on without."
            case s.Retire():
                yield from self._retire(action)
            case s.Start() | s.Ready() | s.Smoke():
                yield from self._instances(action)
            case (
                s.Backup()
                | s.Expand()
                | s.Sync()
                | s.Backfill()
                | s.Verify()
                | s.Finalize()
                | s.Prove()
                | s.Rehearse()
                | s.Contract()
                | s.Drop()
                | s.Undo()
            ):
                if ports.database is not None:
                    yield from self._database(ports.database, action)
            case s.Shift() | s.Bake() | s.Drain():
                yield from self._traffic(action)
            case _:
                assert_never(action)

    # instances -----------------------------------------------------------------------------------------

    def _instances(self, action: s.Start | s.Ready | s.Smoke) -> Iterator[str]:
        ports = self.site.ports
        slots = ports.runtime.slots(action.pool)
        match action:
            case s.Start():
                if ports.database is not None:
                    yield from ports.database.by_hand_admit(action.version)
                for slot in slots:
                    yield from ports.runtime.by_hand_start(slot, action.version, action.build)
            case s.Ready():
                for slot in slots:
                    yield from ports.runtime.by_hand_ready(slot, action.version, action.build, action.within)
                yield from ports.balancer.by_hand_health(action.pool)
            case s.Smoke():
                for ask in ports.balancer.by_hand_preview(action.pool):
                    build = self.plan.build if action.version == self.plan.target else ""
                    yield from ports.prober.by_hand_smoke(ask, action.version, build)
            case _:
                assert_never(action)

    def _retire(self, action: s.Retire) -> Iterator[str]:
        """Nothing of a pool that serves is stopped, and no login that another pool uses is taken away."""
        ports = self.site.ports
        if action.pool == self._serving():
            yield f"# {action.pool} serves: nothing of v{action.version} runs there"
        else:
            yield from self._live(self._serving())
            yield from ports.balancer.by_hand_drain(action.pool, self.site.policy.drain_hard)
            for slot in ports.runtime.slots(action.pool):
                yield from ports.runtime.by_hand_stop(slot)
        if ports.database is not None and not self._runs_elsewhere(action):
            yield from ports.database.by_hand_retire(action.version)

    def _live(self, pool: str) -> Iterator[str]:
        """Whoever follows an old paper stops here."""
        yield f"# {pool} must have all of the traffic"
        yield from self.site.ports.balancer.by_hand_live(pool)

    def _serving(self) -> str:
        """The pool that serves at this point: where the last shift before it, or the world of the plan, put the traffic."""
        shifts = [x.action for x in self.plan.steps if isinstance(x.action, s.Shift)]
        if self.plan.kind in ("abort", "rollback") and shifts:
            last = shifts[-1]
            return last.pool if last.is_flip else last.other
        return self.plan.basis.route.partition(":")[0]

    def _runs_elsewhere(self, action: s.Retire) -> bool:
        others = (runs for pool, runs in self.plan.basis.pools.items() if pool != action.pool)
        return any(word.split(" ")[0] == action.version.text for runs in others for word in runs.split(", "))

    # the database --------------------------------------------------------------------------------------

    def _database(
        self, database: Database, action: s.Schema | s.Backup | s.Backfill | s.Verify | s.Prove | s.Rehearse
    ) -> Iterator[str]:
        match action:
            case s.Backup():
                yield from database.by_hand_backup(action.id)
            case s.Expand():
                if action.keeps is not None:
                    yield from database.by_hand_keep(action.keeps)
                yield from self._statements(database, action)
                if self.site.ports.readers:
                    yield "# go on when every read endpoint (`database.read`) shows it too"
            case s.Sync() | s.Finalize():
                yield from self._statements(database, action)
            case s.Contract() | s.Drop():
                yield "# POINT OF NO RETURN: after this only a restore brings the old shape back"
                yield from self._statements(database, action)
            case s.Undo():
                yield from database.by_hand_complete(self._marker(action.version, Phase.UNDO, COMPLETE, action.digest))
                yield from database.by_hand_forget(action.version)
                yield from self._statements(database, action)
                yield from database.by_hand_unkeep(action.version)
            case s.Verify():
                for check in action.checks:
                    yield from database.by_hand_count(check)
            case s.Backfill():
                for index, fill in enumerate(action.statements):
                    lines = database.by_hand(fill, self._marker(action.version, Phase.BACKFILL, index, ""))
                    yield from lines if self.plan.kind != "cleanup" else _demand_full(lines)
            case s.Prove():
                yield from self._probes(action.versions)
            case s.Rehearse():
                yield from self._rehearse(database, action)
            case _:
                assert_never(action)

    def _probes(self, versions: Sequence[tuple[Version, str]], url: str = "") -> Iterator[str]:
        for version, build in versions:
            lines = self.site.ports.prober.by_hand(version, build, url)
            yield from lines or (f"# v{version} has no probes: nothing proves that it works with the schema",)

    def _rehearse(self, database: Database, action: s.Rehearse) -> Iterator[str]:
        """On a copy of the backup that this plan takes, each contract after those before it."""
        backup = next((x.action.id for x in self.plan.steps if isinstance(x.action, s.Backup)), "")
        copy = database.by_hand_copy(backup, self._contracts(action)) if backup else None
        if copy is None:
            yield "# restore the backup into a database of its own, apply the contract of this plan to it, then run there"
            probes = self._probes(action.versions, "${env:COPY_URL}")
            yield from (f"# {line}" for block in probes for line in block.splitlines())
            return
        yield from copy.make
        yield from self._probes(action.versions, copy.url)
        yield from copy.drop

    def _contracts(self, action: s.Rehearse) -> list[tuple[Statement, Applied]]:
        contracts = [x.action for x in self.plan.steps if isinstance(x.action, s.Contract)]
        return [
            (statement, self._marker(contract.version, Phase.CONTRACT, index, digest(statement)))
            for contract in contracts
            if contract.version <= action.version
            for index, statement in enumerate(contract.statements)
        ]

    def _statements(self, database: Database, action: s.Schema) -> Iterator[str]:
        phase = action.phase
        for index, statement in enumerate(action.statements):
            yield from database.by_hand(statement, self._marker(action.version, phase, index, digest(statement)))
        yield from database.by_hand_complete(self._marker(action.version, phase, COMPLETE, action.digest))

    def _marker(self, version: Version, phase: Phase, index: int, digest_: str) -> Applied:
        return Applied(version, phase, index, digest_, self.plan.at, BY_HAND, 0)

    # traffic -------------------------------------------------------------------------------------------

    def _traffic(self, action: s.Shift | s.Bake | s.Drain) -> Iterator[str]:
        balancer = self.site.ports.balancer
        match action:
            case s.Shift():
                yield from balancer.by_hand(action.route(BY_HAND, 0))
            case s.Bake():
                share = "all of the traffic" if action.share == ALL else f"{action.share / 100:g} %"
                yield f"# {share} is on the new version: watch its errors; if in doubt go back"
                yield f"sleep {action.seconds:g}"
                yield from balancer.by_hand_health(action.pool)
            case s.Drain():
                yield from balancer.by_hand_drain(action.pool, action.hard)
            case _:
                assert_never(action)


def _said_once(lines: Iterable[str]) -> Iterator[str]:
    """A shell function or a test that stands above already is not written again."""
    known: set[str] = set()
    for line in lines:
        if line not in known:
            yield line
        if re.match(r"\w+\(\) \{|\[ ", line):
            known.add(line)


def _variables(lines: Sequence[str]) -> Iterator[str]:
    """The variables that the commands refer to must be there before the first act of the step."""
    acts = (line for line in lines if not line.startswith("#"))
    names = (found for line in acts for found in re.findall(r"\$\{(\w+):\?\}", line))
    yield from (demand(f'[ -n "${name}" ]', f"the variable {name} is not set") for name in dict.fromkeys(names))


def _demand_full(lines: Sequence[str]) -> tuple[str, ...]:
    """What a contract drops cannot be copied any more: not a row may be left."""
    return ("{", *lines, "} | grep -x '0 rows left to fill'   # else do not go on: values would be lost")
