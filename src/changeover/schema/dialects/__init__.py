"""One module per engine: how its statements read, and what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changeover.core.errors import ChangesUnreadable

if TYPE_CHECKING:
    from changeover.schema.dialects.dialect import Dialect

KNOWN = ("postgresql", "sqlite", "mysql", "sqlserver")


def dialect_of(name: str) -> Dialect:
    """The dialect of this name. Raises ChangesUnreadable (CO-0101) for one that changeover cannot read."""
    match name:
        case "postgresql":
            from changeover.schema.dialects.postgresql import POSTGRESQL

            return POSTGRESQL
        case "sqlite":
            from changeover.schema.dialects.sqlite import SQLITE

            return SQLITE
        case "mysql":
            from changeover.schema.dialects.mysql import MYSQL

            return MYSQL
        case "sqlserver":
            from changeover.schema.dialects.sqlserver import SQLSERVER

            return SQLSERVER
        case _:
            raise ChangesUnreadable(
                f"changeover does not read the SQL of {name!r}", next=(f"it reads {', '.join(KNOWN)}",)
            )


__all__ = ["KNOWN", "dialect_of"]
