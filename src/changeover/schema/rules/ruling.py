"""What a rule says, and what it may know: the effects of the statements before it in the same change set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from changeover.core.model import Lock, Verdict
from changeover.schema.effects import (
    AddColumn,
    AddConstraint,
    Create,
    CreateFunction,
    CreateTable,
    CreateTrigger,
    Default,
    DropNotNull,
    DropTrigger,
    Effect,
    Name,
    SetDefault,
    ValidateConstraint,
)
from changeover.schema.problems import Defect


@dataclass(frozen=True, slots=True)
class Allowed:
    """The statement may run: its lock, whether outside a transaction, and what a person must accept (WARN)."""

    lock: Lock = Lock.BRIEF
    alone: bool = False
    verdict: Verdict = Verdict.OK
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The statement is refused; `rewrite` says how to write it, one line each."""

    reason: str
    rewrite: tuple[str, ...] = ()
    defect: Defect = Defect.BREAKS


Ruling = Allowed | Refused


def warn(reason: str, lock: Lock = Lock.BRIEF, *, alone: bool = False) -> Allowed:
    """Allowed, if a named person accepts this."""
    return Allowed(lock, alone, Verdict.WARN, reason)


def refuse(reason: str, *rewrite: str) -> Refused:
    """It would break the version before."""
    return Refused(reason, rewrite)


def unknown(reason: str, *rewrite: str) -> Refused:
    """Nobody knows what it does."""
    return Refused(reason, rewrite, Defect.UNKNOWN)


_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """What the statements before have made for certain (not IF NOT EXISTS: that may find something older).

    `columns`, `defaults`: (table key, column key). `not_null`: (table key, column) proved by a validated CHECK.
    """

    tables: frozenset[_Key] = frozenset()
    columns: frozenset[tuple[_Key, str]] = frozenset()
    defaults: frozenset[tuple[_Key, str]] = frozenset()
    triggered: frozenset[_Key] = frozenset()
    enums: frozenset[_Key] = frozenset()
    functions: frozenset[_Key] = frozenset()
    bodies: tuple[tuple[_Key, frozenset[str]], ...] = ()
    constraints: frozenset[tuple[_Key, str]] = frozenset()
    checks: frozenset[tuple[_Key, str, str]] = frozenset()  # (table, constraint, column that is not null)
    not_null: frozenset[tuple[_Key, str]] = frozenset()
    never_null: frozenset[tuple[_Key, str]] = frozenset()  # columns whose DEFAULT filled every row when they were added
    filled: frozenset[_Key] = frozenset()  # tables that have a backfill
    untriggered: frozenset[_Key] = frozenset()  # tables that lost a trigger
    optional: frozenset[tuple[_Key, str]] = (
        frozenset()
    )  # DROP NOT NULL while the triggers of the table were still there

    def has(self, table: Name) -> bool:
        """The table was made by this change set, so that no version uses it yet."""
        return table.key in self.tables

    def at_contract(self) -> Made:
        """What still holds when contract begins: by then the new version uses the new tables."""
        return replace(self, tables=frozenset())

    def after(self, effects: Iterable[Effect]) -> Made:
        """What has been made after these effects too."""
        made = self
        for effect in effects:
            made = made._after(effect)
        return made

    def _after(self, effect: Effect) -> Made:
        match effect:
            case CreateTable(if_not_exists=False):
                return replace(self, tables=self.tables | {effect.table.key})
            case AddColumn(if_not_exists=False):
                key = (effect.table.key, effect.column.name.key[0])
                has_default = effect.column.default not in (Default.NONE, Default.NULL)
                added = {key} if has_default else set()
                return replace(
                    self,
                    columns=self.columns | {key},
                    defaults=self.defaults | added,
                    never_null=self.never_null | added,
                )
            case SetDefault():
                return replace(self, defaults=self.defaults | {(effect.table.key, effect.column.key[0])})
            case CreateTrigger():
                return replace(self, triggered=self.triggered | {effect.table.key})
            case DropTrigger(table=Name()):
                assert effect.table is not None
                table = effect.table.key
                return replace(self, untriggered=self.untriggered | {table}, triggered=self.triggered - {table})
            case DropNotNull() if effect.table.key not in self.untriggered:
                return replace(self, optional=self.optional | {(effect.table.key, effect.column.key[0])})
            case Create(kind="type", enum=True):
                return replace(self, enums=self.enums | {effect.name.key})
            case CreateFunction():
                key_words = (effect.name.key, effect.words)
                return replace(self, functions=self.functions | {effect.name.key}, bodies=(*self.bodies, key_words))
            case AddConstraint(name=Name()):
                return self._after_constraint(effect)
            case ValidateConstraint():
                proved = {
                    (table, column)
                    for table, name, column in self.checks
                    if (table, name) == (effect.table.key, effect.name.key[0])
                }
                return replace(self, not_null=self.not_null | proved)
            case _:
                return self

    def _after_constraint(self, effect: AddConstraint) -> Made:
        assert effect.name is not None
        table, name = effect.table.key, effect.name.key[0]
        made = replace(self, constraints=self.constraints | {(table, name)})
        if not effect.not_null_of:
            return made
        if not effect.not_valid:
            return replace(made, not_null=made.not_null | {(table, effect.not_null_of)})
        return replace(made, checks=made.checks | {(table, name, effect.not_null_of)})
