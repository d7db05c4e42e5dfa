"""What leaves a table of a SQL Server database: what stands in the way of that, and the one act under one lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from changeover.core.catalogue import Column, Rule, Table
from changeover.core.model import Probe
from changeover.schema.ddl import Ddl, Leaving
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.engines.sqlserver_objects import (
    Standing,
    add_default,
    altered,
    beside,
    drop_rule,
    heirs,
    is_plain,
    locked,
    mentions,
    named,
    one_by_one,
    our_default,
    renamed,
    touches,
)
from changeover.schema.engines.sqlserver_questions import missing_trigger
from changeover.schema.engines.sqlserver_text import quote
from changeover.schema.engines.sqlserver_types import distinct_filler, must_compare
from changeover.schema.engines.words import listed, table_words


def must_not_be_replicated(table: Table) -> None:
    """Raises Cannot."""
    published = [x for x in table.listeners if "replication" in x]
    if published:
        raise Cannot(
            f"{table.name} is published ({listed(published)}): it keeps its names while it is",
            "take it out of the publication first, or write this change as plain SQL",
        )


def must_move(table: Table, olds: Sequence[str]) -> None:
    """Raises Cannot when these columns cannot be replaced by others that are kept equal."""
    for old in olds:
        column = table.column(old)
        if column is None:
            continue
        must_compare(table.name, column)
        if column.extra:
            raise Cannot(
                f"{table.name}.{old} is {column.extra}, which its successor would not be",
                "write this change as plain SQL",
            )
        for index in table.indexes:
            several = len(olds) > 1 and touches(index, old)
            if not index.constraint and (several or old in index.included or mentions(index.where, old)):
                raise Cannot(
                    f"the index {index.name} on {table.name} uses {listed(olds)} in a way that cannot be copied",
                    "drop it in an earlier release and add what is needed as add_index",
                )
        _must_not_be_equal(table, column, until_filled=True)
        parked_as(table, column, old)


def parked_as(table: Table, column: Column, parked: str) -> Leaving:
    """How the column leaves: under that name, or at once where another reader of its changes would lose it."""
    must_not_be_replicated(table)
    for index in table.indexes:
        if touches(index, column.name) and not is_plain(index):
            raise Cannot(
                f"the index {index.name} on {table.name} is {index.definition.lower()} and uses {column.name}",
                "drop it in an earlier release",
            )
    for constraint in table.constraints:
        heavy = constraint.rule is Rule.OTHER or constraint.definition == "UNIQUE CLUSTERED"
        if column.name in constraint.columns and heavy:
            raise Cannot(
                f"{table.name}.{column.name} is used by {constraint.name} ({constraint.definition.lower()})",
                "drop it in an earlier release",
            )
    _must_not_be_equal(table, column, until_filled=False)
    if "change data capture" in table.listeners:
        return Leaving(dropped=(column.name,))
    return Leaving(parked={column.name: parked})


def _must_not_be_equal(table: Table, column: Column, *, until_filled: bool) -> None:
    """Rows that leave the column out would have the same value there, and SQL Server takes one of them. Raises Cannot.

    A required column without a default gets one that differs from row to row, where its type has room for that.
    """
    rule = one_by_one(table, column)
    given = not column.nullable and column.default is None
    if not rule or (given and (distinct_filler(column) or not until_filled)):
        return
    until = "until the trigger has filled them" if until_filled else "from then on"
    raise Cannot(
        f"rows that leave {table.name}.{column.name} out are equal {until}, and {rule} takes one of them only",
        f"drop {rule} in an earlier release, and add it again for the column that is there afterwards",
    )


def contracted(table: Table, sync: str, leaving: Leaving) -> Acts:
    """The trigger looked at and dropped, columns parked, defaults set: under one lock, in one transaction."""
    gone = (*leaving.parked, *leaving.dropped)
    standing = Standing.on(table, gone)
    block = [f"DROP TRIGGER {beside(table, sync)}"] if sync else []
    block += standing.dropped()
    block += (s for name in gone for s in _without_our_default(table, name))
    block += (s for name, parked in leaving.parked.items() for s in _parked(table, name, parked))
    block += (f"ALTER TABLE {named(table)} DROP COLUMN {quote(name)}" for name in leaving.dropped)
    names = heirs(table, gone, leaving.defaults.items())
    block += (add_default(table, names[c], d, c) for c, d in leaving.defaults.items())
    block += leaving.more
    if not block:
        return ()
    also = (f"- constraint {c.name}" for c in standing.constraints), (f"- index {i.name}" for i in standing.indexes)
    return (
        Ddl(
            "; ".join([table_words(table, sync, leaving), *chain(*also)]),
            probe=_seen(table, sync, gone),
            block=tuple(block),
            lock_first=locked(table),
            guards=(missing_trigger(table, sync),) if sync else (),
        ),
    )


def _seen(table: Table, sync: str, gone: Sequence[str]) -> Probe | None:
    if gone:
        return Probe("column", gone[0], named(table), present=False)
    return Probe("trigger", sync, named(table), present=False) if sync else None


def _without_our_default(table: Table, name: str) -> Iterator[str]:
    column = table.column(name)
    if column is not None and not column.nullable and column.default is None:
        yield drop_rule(table, our_default(table, name), perhaps=True)


def _parked(table: Table, name: str, parked: str) -> Iterator[str]:
    """Out of reach, and no INSERT has to know it."""
    column = table.column(name)
    if column is not None and not column.nullable:
        yield altered(table, replace(column, nullable=True))
    yield renamed(f"{named(table)}.{quote(name)}", parked, "COLUMN")
