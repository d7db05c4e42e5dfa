"""One module per engine: how each act on the schema is written there, what it locks, and how it is seen afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.core.catalogue import Catalogue
from changeover.core.errors import ChangesUnreadable
from changeover.schema.engines.engine import Ask, Engine
from changeover.schema.engines.sqlserver_editions import builds_online


def engine_of(dialect: str, catalogue: Catalogue, *, names_columns: bool = False, ask: Ask | None = None) -> Engine:
    """The engine of this dialect. `names_columns`: every statement of the versions in play names its columns. `ask` and the
    `catalogue` tell what only the server knows. Raises ChangesUnreadable (CO-0101) for one without operations.
    """
    match dialect:
        case "postgresql":
            from changeover.schema.engines.postgresql import PostgresqlEngine

            return PostgresqlEngine(names_columns)
        case "sqlserver":
            from changeover.schema.engines.sqlserver import SqlServerEngine

            return SqlServerEngine(builds_online(catalogue.version))
        case "sqlite":
            from changeover.schema.engines.sqlite import SqliteEngine

            return SqliteEngine(catalogue.texts, names_columns)
        case "mysql" if ask is not None:
            from changeover.schema.engines.mysql import MysqlEngine

            return MysqlEngine(_remembered(ask), names_columns, fills_before=catalogue.fills_before is not False)
        case _:
            raise ChangesUnreadable(f"operations are not known for {dialect!r}", next=("write plain SQL instead",))


def _remembered(ask: Ask) -> Ask:
    """Each question once: the server makes a table for it."""
    known: dict[tuple[str, str, tuple[tuple[str, str], ...]], str] = {}

    def asked(table: str, alter: str, given: Mapping[str, str]) -> str:
        key = (table, alter, tuple(given.items()))
        if key not in known:
            known[key] = ask(table, alter, given)
        return known[key]

    return asked


__all__ = ["Ask", "Engine", "engine_of"]
