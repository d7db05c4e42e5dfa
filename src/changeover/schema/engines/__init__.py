"""One module per engine: how each act on the schema is written there, what it locks, and how it is seen afterwards."""

from __future__ import annotations

from collections.abc import Callable

from changeover.core.errors import ChangesUnreadable
from changeover.schema.engines.engine import Engine
from changeover.schema.engines.sqlserver_editions import builds_online

Ask = Callable[[str, str], str]
"""(table, what ALTER TABLE would do) -> the ALGORITHM and LOCK that the server accepts first; MariaDB and MySQL only."""


def engine_of(
    dialect: str, *, names_columns: bool = False, ask: Ask | None = None, version: tuple[int, ...] = ()
) -> Engine:
    """The engine of this dialect. `names_columns`: no version in play prepares SELECT *. `version`: the catalogue's.

    Raises ChangesUnreadable (CO-0101) for one without operations.
    """
    match dialect:
        case "postgresql":
            from changeover.schema.engines.postgresql import PostgresqlEngine

            return PostgresqlEngine(names_columns)
        case "sqlserver":
            from changeover.schema.engines.sqlserver import SqlServerEngine

            return SqlServerEngine(builds_online(version))
        case _:
            raise ChangesUnreadable(f"operations are not known for {dialect!r}", next=("write plain SQL instead",))


__all__ = ["Ask", "Engine", "engine_of"]
