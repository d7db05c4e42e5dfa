"""Operations and a catalogue -> the change set of a release, phase by phase. Pure.

Each operation is asked with the catalogue as it will be when those before it have been added: predicting is running the
same code on values. One trigger per table keeps all pairs of columns of a release; what leaves a table in cleanup leaves
it in one act under one lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.core.catalogue import Catalogue, Table
from changeover.core.model import BackfillStatement, ChangeSet, Check, Phase, Statement, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair
from changeover.schema.declared import Declared
from changeover.schema.engines.engine import Cannot, Engine
from changeover.schema.operations import At, Operation
from changeover.schema.operations.sql import Sql
from changeover.schema.problems import Defect, Problem, refusal


@dataclass(frozen=True, slots=True)
class Compiled:
    """The change set, the catalogue after the release, and the questions that must be answered with 0 before it begins."""

    changes: ChangeSet
    catalogue: Catalogue
    questions: tuple[Check, ...] = ()


LISTENED = ("postgresql",)  # where the engine itself does not judge listeners


@dataclass(slots=True)
class _Table:
    """What a release does to one table as a whole."""

    line: int
    pairs: list[Pair] = field(default_factory=list)
    fills: list[Pair] = field(default_factory=list)  # filled once, and not kept in step
    leaving: Leaving = field(default_factory=Leaving)


def compiled(declared: Declared, catalogue: Catalogue, engine: Engine) -> Compiled:
    """Compile one change file. Raises WouldBreak (CO-0104) with every operation that cannot be done here, and what to do instead."""
    return _Compiler(declared, engine, catalogue).run()


@dataclass(slots=True)
class _Compiler:
    declared: Declared
    engine: Engine
    catalogue: Catalogue
    problems: list[Problem] = field(default_factory=list)
    questions: list[Check] = field(default_factory=list)
    statements: dict[Phase, list[Statement]] = field(default_factory=lambda: {p: [] for p in Phase})
    undone: list[tuple[Statement, ...]] = field(default_factory=list)
    backfills: list[BackfillStatement] = field(default_factory=list)
    verify: list[Check] = field(default_factory=list)
    tables: dict[str, _Table] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)  # tables that get another name
    heard: dict[int, str] = field(default_factory=dict)  # line of an operation -> who else gets the rows of its tables

    def run(self) -> Compiled:
        for operation in self.declared.operations:
            try:
                self._operation(operation)
            except Cannot as error:
                self._refused(error, operation.line, operation.describe())
        if not self.problems:
            self._whole_tables()
        if self.problems:
            raise refusal(self.problems)
        phases = {p: tuple(s) if p is Phase.UNDO else _warned(s, self.heard) for p, s in self.statements.items()}
        undo = (*phases[Phase.UNDO], *(s for acts in reversed(self.undone) for s in acts))
        changes = ChangeSet(
            self.declared.version,
            expand=phases[Phase.EXPAND],
            sync=phases[Phase.SYNC],
            backfill=tuple(self.backfills),
            verify=tuple(self.verify),
            finalize=phases[Phase.FINALIZE],
            contract=phases[Phase.CONTRACT],
            drop=phases[Phase.DROP],
            undo=undo,
            digest=self.declared.digest,
            declared=True,
        )
        try:
            changes, catalogue = self.engine.foresee(changes, self.catalogue)
        except Cannot as error:
            self._refused(error, 0, "")
            raise refusal(self.problems) from None
        return Compiled(changes, catalogue, tuple(self.questions))

    def _operation(self, operation: Operation) -> None:
        at = At(self.engine, self.catalogue, self.declared.version)
        self._names_once(operation)
        self.heard[operation.line] = self._heard(operation.names())
        self.questions += operation.check(at)
        if isinstance(operation, Sql):
            self._sql(operation, at)
            return
        self._add(Phase.EXPAND, self._asked(operation.expand(at)), operation.line)
        after = At(self.engine, operation.after(at), self.declared.version)
        pairs, fills = operation.sync(at), operation.fills(at)
        leaving = operation.contract(at)
        for name in operation.names()[:1] if pairs or fills or leaving != Leaving() else ():
            table = self.tables.setdefault(name, _Table(operation.line))
            table.pairs += pairs
            table.fills += fills
            table.leaving |= leaving
        self._add(Phase.FINALIZE, operation.finalize(at), operation.line)
        self._add(Phase.CONTRACT, operation.retire(at), operation.line)
        self._add(Phase.DROP, operation.drop(at), operation.line)
        self.undone.append(self._placed(Phase.UNDO, operation.undo(at), operation.line))
        self.catalogue = after.catalogue

    def _names_once(self, operation: Operation) -> None:
        """A table that gets another name, or goes, is left alone by every other operation of the release."""
        for name in operation.names():
            if name in self.moved:
                raise Cannot(
                    f"{name} is renamed or dropped by another operation of this release", "do the two in two releases"
                )
        if operation.kind in ("rename_table", "drop_table"):
            touched = {n for o in self.declared.operations if o is not operation for n in o.names()}
            for name in operation.names():
                if name in touched:
                    raise Cannot(
                        f"{name} is changed by another operation of this release", "do the two in two releases"
                    )
                self.moved.add(name)

    def _sql(self, operation: Sql, at: At) -> None:
        """Its statements keep the order of the operations; lines are those of the operation."""
        found = operation.written(at)
        for phase in (Phase.EXPAND, Phase.CONTRACT):
            self.statements[phase] += [
                replace(s, file=self.declared.file, line=operation.line) for s in found.statements(phase)
            ]
        self.backfills += [replace(b, file=self.declared.file, line=operation.line) for b in found.backfill]
        self.verify += found.verify
        self.undone.append(
            tuple(
                replace(s, file=self.declared.file, line=operation.line, phase=Phase.UNDO) for s in operation.undone(at)
            )
        )

    def _whole_tables(self) -> None:
        at = At(self.engine, self.catalogue, self.declared.version)
        for name, asked in self.tables.items():
            try:
                self._whole_table(at, at.table(name), asked)
            except Cannot as error:
                self._refused(error, asked.line, f"~ {name}")

    def _whole_table(self, at: At, table: Table, asked: _Table) -> None:
        trigger = at.made("zz_co", self.declared.version.text, table.name) if asked.pairs else ""
        if asked.pairs:
            acts = self.engine.sync(table, trigger, asked.pairs, self.declared.version.text)
            self._add(Phase.SYNC, self._asked(acts), asked.line)
            self._add(Phase.UNDO, self.engine.unsync(table, trigger, asked.pairs), asked.line)
        for pair in (*asked.pairs, *asked.fills):
            fill = self.engine.backfill(table, pair)
            self.backfills.append(replace(fill, file=self.declared.file, line=asked.line))
            self.verify.append(self.engine.inconsistent(table, pair))
        if trigger or asked.leaving != Leaving():
            acts = self.engine.contract(table, trigger, asked.leaving)
            placed = self._placed(Phase.CONTRACT, acts, asked.line)
            self.statements[Phase.CONTRACT] = [*placed, *self.statements[Phase.CONTRACT]]

    def _asked(self, acts: Sequence[Ddl]) -> Sequence[Ddl]:
        """What is asked under the lock of what is added is asked before anything is touched, too."""
        self.questions += (guard for act in acts for guard in act.guards)
        return acts

    def _refused(self, error: Cannot, line: int, shown: str) -> None:
        self.problems.append(Problem(Defect.BREAKS, error.reason, error.rewrite, self.declared.file, line, shown))

    def _heard(self, names: Sequence[str]) -> str:
        """Who else gets the rows of these tables, in words, and why that matters; "" if nobody is known."""
        found = {
            f"{listener} ({table.name})": None
            for name in names
            if (table := self.catalogue.tables.get(name)) is not None and self.engine.dialect in LISTENED
            for listener in table.listeners
        }
        return (
            f"{', '.join(found)}: who reads there does not get the new shape by itself, and may stop at the first row of it; "
            "change the other side first"
            if found
            else ""
        )

    def _add(self, phase: Phase, acts: Sequence[Ddl], line: int) -> None:
        self.statements[phase] += self._placed(phase, acts, line)

    def _placed(self, phase: Phase, acts: Sequence[Ddl], line: int) -> tuple[Statement, ...]:
        return tuple(act.statement(phase, self.declared.file, line) for act in acts)


def _warned(statements: Sequence[Statement], reasons: Mapping[int, str]) -> tuple[Statement, ...]:
    """The first statement of each operation in a phase with what a person must accept of it."""
    left = {line: reason for line, reason in reasons.items() if reason}
    found = []
    for statement in statements:
        reason = left.pop(statement.line, "")
        both = f"{statement.reason}; {reason}" if statement.reason else reason
        found.append(replace(statement, verdict=Verdict.WARN, reason=both) if reason else statement)
    return tuple(found)
