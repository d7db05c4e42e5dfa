"""Backfill: one UPDATE that only touches rows which were never filled.

Trap T3: a condition such as `price_cents <> price * 100` is true again as soon as the new version has written a value of
its own, and the backfill overwrites it (1046 rows in the measurement). Only `column IS NULL` says *never filled*.
"""

from __future__ import annotations

from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import Effect, Name, Update
from changeover.schema.rules.expand import unknown_calls
from changeover.schema.rules.ruling import Made, Refused, refuse, unknown
from changeover.schema.tokens import lower


def judge(effect: Effect, key: Name, made: Made, dialect: Dialect) -> Refused | None:
    """Why the statement is no backfill, or None if it is one."""
    if not isinstance(effect, Update):
        return unknown(
            "a backfill consists of UPDATE statements only",
            "put what adds into the expand file and what takes away into the contract file",
        )
    return (
        _predicate(effect)
        or _born_filled(effect, made)
        or _targets(effect, key, made)
        or unknown_calls(effect.calls, made, dialect)
    )


def _predicate(effect: Update) -> Refused | None:
    table, column = effect.table.sql, effect.sets[0].sql
    written = f"backfill: {effect.head} WHERE {column} IS NULL;"
    if not effect.where:
        return refuse(f"an UPDATE of every row of {table} overwrites what the versions in play have written", written)
    if effect.alternatives:
        return refuse(
            f"the backfill of {table}: the OR in its WHERE also reaches rows of {table} that are filled, and overwrites what the new version wrote there",
            written,
        )
    if not {s.key[0] for s in effect.sets} & set(effect.never_filled):
        return refuse(
            f"the backfill of {table}: its WHERE does not say that a row was never filled: without {column} IS NULL it overwrites what the new version "
            "has written meanwhile",
            written,
        )
    return None


def _born_filled(effect: Update, made: Made) -> Refused | None:
    """A column that was added with a DEFAULT is NULL in no row, so that `IS NULL` finds nothing to fill."""
    markers = [s for s in effect.sets if s.key[0] in effect.never_filled]
    if any((effect.table.key, m.key[0]) not in made.never_null for m in markers):
        return None
    return refuse(
        f"{effect.table}.{markers[0]} was added with a DEFAULT, so it is NULL in no row and the backfill fills nothing",
        "add the column without a DEFAULT in the expand file; set the DEFAULT in contract",
    )


def _targets(effect: Update, key: Name, made: Made) -> Refused | None:
    for column in effect.sets:
        name = column.key[0]
        if lower(name) == lower(key.key[0]):
            return refuse(
                f"the backfill changes {effect.table}.{column}, the key by which rows are counted off",
                "leave the key alone",
            )
        if column in effect.nulled:
            return refuse(
                f"the backfill sets {effect.table}.{column} to NULL, so no row is ever filled", "set it to a value"
            )
        if name not in effect.never_filled and (effect.table.key, name) not in made.columns:
            return refuse(
                f"the backfill sets {effect.table}.{column}, which this version's expand file does not add: a version in play may have "
                "written there",
                f"set only columns that are new, or add  AND {column.sql} IS NULL",
            )
    return None
