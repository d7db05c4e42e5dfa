"""What a login may, read from SHOW GRANTS, and the GRANTs that it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_scratch import PREFIX
from changeover.drivers.databases.mysql_session import Connection, Product

ON_DATABASE = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "CREATE VIEW", "SHOW VIEW", "TRIGGER",
    "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "LOCK TABLES",
)  # fmt: skip
_GRANT = re.compile(
    r"GRANT (?P<what>.+?) ON (?:TABLE |DATABASE )?(?P<where>(?:`[^`]*`|\*)\.(?:`[^`]*`|\*)) TO ", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Privileges:
    """`granted`: (database pattern or `*`, table or `*`, privileges in upper case)."""

    login: str
    granted: tuple[tuple[str, str, frozenset[str]], ...]

    @classmethod
    def read(cls, db: Connection) -> Privileges:
        login = str(db.execute("SELECT CURRENT_USER()")[0][0])
        return cls.of(login, (str(row[0]) for row in db.execute("SHOW GRANTS")))

    @classmethod
    def of(cls, login: str, lines: Iterable[str]) -> Privileges:
        """From the lines of SHOW GRANTS. What is granted on single columns is left out."""
        found = []
        for line in lines:
            grant = _GRANT.match(line)
            if grant is None:
                continue
            database, table = (part.strip("`") for part in re.findall(r"`[^`]*`|\*", grant["where"]))
            what = frozenset(w.strip().upper() for w in grant["what"].split(",") if "(" not in w)
            found.append((database, table, what))
        return cls(login, tuple(found))

    def may(self, privilege: str, database: str = "", table: str = "") -> bool:
        """Everywhere, or in this database, or on this table of it."""
        return any(
            (privilege in what or "ALL PRIVILEGES" in what or ("SUPER" in what and privilege in _SUPER))
            and (where == "*" or (database and _matches(where, database)))
            and (on in ("*", table))
            for where, on, what in self.granted
        )


_SUPER = ("CONNECTION ADMIN", "CONNECTION_ADMIN", "BINLOG ADMIN")  # what SUPER stood for before it was split


def _matches(pattern: str, name: str) -> bool:
    """A database pattern of a GRANT: `%` and `_`, unless they are escaped."""
    parts = re.findall(r"\\.|%|_|[^\\%_]+", pattern)
    plain = {"%": ".*", "_": "."}
    return (
        re.fullmatch("".join(plain.get(p) or re.escape(p.removeprefix("\\")) for p in parts), name, re.IGNORECASE)
        is not None
    )


@dataclass(frozen=True, slots=True)
class Needs:
    """What changeover does here, for the list of privileges."""

    database: str
    scratch: bool  # a scratch database beside the live one
    dumps: bool
    logins: bool

    def everywhere(self, product: Product) -> Iterator[str]:
        """Global privileges."""
        yield "PROCESS"
        if self.dumps:
            yield "RELOAD"
            if not product.mariadb:
                yield "SHOW_ROUTINE"
        if self.logins:
            yield "CREATE USER"
            yield "CONNECTION ADMIN" if product.mariadb else "CONNECTION_ADMIN"

    def tables(self, product: Product) -> Iterator[tuple[str, str]]:
        """Tables of the server itself that must be read."""
        if self.logins:
            yield ("mysql", "user")
        if self.dumps and product.mariadb:
            yield ("mysql", "proc")

    def grants(self, may: Privileges, product: Product) -> Iterator[str]:
        """All of them, as statements for an administrator."""
        user, _, host = may.login.rpartition("@")
        to = f"TO {_text(user)}@{_text(host)};"
        yield f"GRANT {', '.join(ON_DATABASE)} ON {_pattern(self.database)}.* {to}"
        if self.scratch:
            yield f"GRANT ALL PRIVILEGES ON {_pattern(PREFIX)[:-1]}%`.* {to}"
        yield f"GRANT {', '.join(self.everywhere(product))} ON *.* {to}"
        for database, table in self.tables(product):
            yield f"GRANT SELECT ON {quoted(database)}.{quoted(table)} {to}"


def _pattern(name: str) -> str:
    return quoted(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def missing(names: Sequence[str], may: Privileges, database: str = "") -> list[str]:
    """Those of the privileges that the login lacks."""
    return [name for name in names if not may.may(name, database)]


def may_read(db: Connection, database: str, table: str) -> bool:
    """Asked of the server: a role or a grant on columns may allow it, too."""
    try:
        db.execute(f"SELECT 1 FROM {quoted(database)}.{quoted(table)} LIMIT 0")
    except pymysql.err.Error:
        return False
    return True
