"""Plain SQL as an operation, with phases of its own: for what no operation says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from changeover.core.model import ChangeSet, Check, Phase, Statement, Version
from changeover.schema.engines.engine import Cannot
from changeover.schema.operations.operation import At, Operation
from changeover.schema.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Sql(Operation):
    """Statements by phase, judged like those of a change file. `verify`: queries that count what is wrong."""

    kind: ClassVar[str] = "sql"
    expand_: tuple[str, ...] = ()
    backfill: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    contract_: tuple[str, ...] = ()
    undo_: tuple[str, ...] = ()

    def describe(self) -> str:
        first = next(iter((*self.expand_, *self.backfill, *self.contract_)), "")
        return f"sql: {first.strip().splitlines()[0] if first.strip() else 'nothing'}"

    def check(self, at: At) -> tuple[Check, ...]:
        self.judged(at.engine.dialect, at.release)
        return ()

    def judged(self, dialect: str, release: Version) -> None:
        """Refuse what cannot be done; no catalogue is needed for that."""
        if not (self.expand_ or self.backfill or self.contract_):
            raise Cannot("the operation has no statement", "write expand:, backfill: or contract:")
        if self.expand_ and not self.undo_:
            raise Cannot("the statements of expand have no undo", "write how each is taken back: undo: [DROP …]")
        for query in self.verify:
            words = query.strip().upper()
            if not words.startswith("SELECT") or ";" in words.rstrip(";"):
                raise Cannot(f"verify is one SELECT that counts what is wrong, not: {query}")
        self._written(dialect, release)
        if self.undo_:
            self._undone(dialect, release)

    def written(self, at: At) -> ChangeSet:
        """The statements, classified. Raises Cannot with the first problem."""
        return self._written(at.engine.dialect, at.release)

    def undone(self, at: At) -> tuple[Statement, ...]:
        """The statements of undo: they take away, so they are judged as a contract."""
        return self._undone(at.engine.dialect, at.release) if self.undo_ else ()

    def _written(self, dialect: str, release: Version) -> ChangeSet:
        texts = {Phase.EXPAND: self.expand_, Phase.BACKFILL: self.backfill, Phase.CONTRACT: self.contract_}
        found, problems = _examined(release, self._files(texts), dialect)
        if problems:
            raise Cannot(problems[0].reason, *problems[0].rewrite)
        return replace(found, verify=tuple(Check(f"what `{q}` counts", q.rstrip("; \n")) for q in self.verify))

    def _undone(self, dialect: str, release: Version) -> tuple[Statement, ...]:
        found, problems = _examined(release, self._files({Phase.CONTRACT: self.undo_}), dialect)
        if problems:
            raise Cannot(f"undo: {problems[0].reason}", *problems[0].rewrite)
        return found.contract

    def _files(self, texts: Mapping[Phase, tuple[str, ...]]) -> Mapping[Phase, tuple[str, str]]:
        return {
            phase: ("", "\n".join(t.rstrip().rstrip(";") + ";" for t in statements))
            for phase, statements in texts.items()
            if statements
        }


def _examined(
    release: Version, files: Mapping[Phase, tuple[str, str]], dialect: str
) -> tuple[ChangeSet, Sequence[Problem]]:
    """Here the statements meet the rules of plain SQL, which who only reads operations never loads."""
    from changeover.schema.changes import examine
    from changeover.schema.dialects import dialect_of

    return examine(release, files, dialect_of(dialect))
