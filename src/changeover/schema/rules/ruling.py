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
    Redefine,
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
ANY_TABLE: _Key = ()


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
    triggers: frozenset[tuple[_Key, _Key]] = frozenset()  # (trigger, table)
    before: frozenset[tuple[_Key, str]] = frozenset()  # (table, event) that has a BEFORE trigger
    written: frozenset[tuple[_Key, str]] = frozenset()  # columns that a foreign key changes by itself
    optional: frozenset[tuple[_Key, str]] = (
        frozenset()
    )  # DROP NOT NULL or SET DEFAULT while the triggers of the table were still there

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
                written = {(effect.table.key, c) for r in effect.references for c in r.written}
                return replace(self, tables=self.tables | {effect.table.key}, written=self.written | written)
            case AddColumn(if_not_exists=False):
                key = (effect.table.key, effect.column.name.key[0])
                has_default = effect.column.default not in (Default.NONE, Default.NULL)
                added = {key} if has_default else set()
                filled = set() if effect.column.later_only else added
                return replace(
                    self,
                    columns=self.columns | {key},
                    defaults=self.defaults | added,
                    never_null=self.never_null | filled,
                )
            case SetDefault():
                defaults = self.defaults | {(effect.table.key, effect.column.key[0])}
                return replace(self._after_optional(effect.table, effect.column), defaults=defaults)
            case CreateTrigger():
                return self._after_trigger(effect)
            case DropTrigger():
                return self._after_drop_trigger(effect)
            case DropNotNull():
                return self._after_optional(effect.table, effect.column)
            case Redefine() if not effect.column.not_null:
                return self._after_optional(effect.table, effect.column.name)
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

    def _after_trigger(self, effect: CreateTrigger) -> Made:
        table = effect.table.key
        before = {(table, event) for event in effect.events if effect.timing == "BEFORE"}
        return replace(
            self,
            triggered=self.triggered | {table},
            triggers=self.triggers | {(effect.name.key, table)},
            before=self.before | before,
        )

    def _after_drop_trigger(self, effect: DropTrigger) -> Made:
        if effect.table is not None:
            tables = {effect.table.key}
        else:
            tables = {table for name, table in self.triggers if name == effect.name.key} or {ANY_TABLE}
        return replace(self, untriggered=self.untriggered | tables, triggered=self.triggered - tables)

    def lost_trigger(self, table: Name) -> bool:
        """A trigger of the table has been dropped, or one of an unnamed table that may be this one."""
        return bool({table.key, ANY_TABLE} & self.untriggered)

    def _after_optional(self, table: Name, column: Name) -> Made:
        if self.lost_trigger(table):
            return self
        return replace(self, optional=self.optional | {(table.key, column.key[0])})

    def _after_constraint(self, effect: AddConstraint) -> Made:
        assert effect.name is not None
        table, name = effect.table.key, effect.name.key[0]
        made = replace(self, constraints=self.constraints | {(table, name)})
        if not effect.not_null_of:
            return made
        if not effect.not_valid:
            return replace(made, not_null=made.not_null | {(table, effect.not_null_of)})
        return replace(made, checks=made.checks | {(table, name, effect.not_null_of)})
