"""Scratch databases: made for one restore, told apart from everything else, gone afterwards.

Either `changeover_scratch_…` beside the live database, or the database that the user has named for it; that one is only
overwritten when it is empty or carries changeover's mark, and never when it is the live one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from changeover.drivers.databases.postgresql_session import NAMESPACE, Connection, Sessions, watchdog
from changeover.drivers.databases.restore_files import failed

_MARK = "changeover_scratch"  # the schema that marks a database as ours to overwrite
_FORCE_SINCE = 130_000  # server version that knows DROP DATABASE … WITH (FORCE)
_LONG = 60.0  # seconds: CREATE and DROP DATABASE copy and delete files
_USERS_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'"


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """A database that nobody else uses; gone (or empty again) after `close`."""

    address: str
    end: Callable[[], None]

    def url(self) -> str:
        return self.address

    def close(self) -> None:
        self.end()


@dataclass(frozen=True, slots=True)
class ScratchMaker:
    """Makes scratch databases for one live database. `into`: the user's own, None: beside the live one."""

    live: Sessions
    into: Callable[[], str] | None = None

    def make(self) -> ScratchDatabase:
        """An empty scratch database. Raises psycopg.Error, RestorePointFailed."""
        return self._beside() if self.into is None else self._given(self.into)

    # beside the live one ---------------------------------------------------------------------------------------

    def _beside(self) -> ScratchDatabase:
        name = f"changeover_scratch_{secrets.token_hex(6)}"
        with self.live.connect() as db, watchdog(db, _LONG):
            self._clear(db)
            db.execute(_create(db, name))
            db.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(self._note(db)))
            )
            _same_settings(db, name)
        return ScratchDatabase(self.live.other(name), lambda: self._drop(name))

    def _note(self, db: Connection) -> str:
        return f"changeover scratch of {db.info.dbname}, {self.live.environment}"

    def _clear(self, db: Connection) -> None:
        """Drop what killed runs of this database and environment have left."""
        rows = db.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, 'changeover_scratch_') "
            "AND shobj_description(oid, 'pg_database') = %s",
            (self._note(db),),
        ).fetchall()
        for (name,) in rows:
            db.execute(_drop(db, name))

    def _drop(self, name: str) -> None:
        with self.live.connect() as db, watchdog(db, _LONG):
            db.execute(_drop(db, name))

    # the user's own ----------------------------------------------------------------------------------------------

    def _given(self, into: Callable[[], str]) -> ScratchDatabase:
        target = Sessions(into, self.live.environment)
        with target.connect() as db, watchdog(db, _LONG), self._not_live(db):
            _may_be_overwritten(db)
            _wipe(db)
        return ScratchDatabase(into(), lambda: _wipe_again(target))

    @contextmanager
    def _not_live(self, target: Connection) -> Iterator[None]:
        """Advisory locks are per database: one that is taken here and seen there means that both are the same."""
        key = secrets.randbelow(2**31)
        with self.live.connect() as live:
            live.execute("SELECT pg_advisory_lock(%s, %s)", (NAMESPACE, key))
            row = target.execute("SELECT pg_try_advisory_lock(%s, %s)", (NAMESPACE, key)).fetchone()
            if row is None or not row[0]:
                raise failed("restore_into is the live database itself; it was not touched")
            yield


def _create(db: Connection, name: str) -> sql.Composed:
    """CREATE DATABASE with the encoding and collation of the live one."""
    row = db.execute(
        "SELECT to_jsonb(d), pg_encoding_to_char(encoding) FROM pg_database d WHERE datname = current_database()"
    )
    found = row.fetchone()
    assert found is not None, "the current database is in pg_database"
    here: dict[str, Any] = found[0]
    options = [
        sql.SQL("TEMPLATE template0 ENCODING {}").format(sql.Literal(found[1])),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(here["datcollate"]), sql.Literal(here["datctype"])),
    ]
    locale = here.get("datlocale") or here.get("daticulocale")
    match here.get("datlocprovider"):
        case "i":
            options.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(locale)))
        case "b":
            options.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(locale)))
        case _:
            pass
    return sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options))


def _same_settings(db: Connection, name: str) -> None:
    """ALTER DATABASE … SET search_path and the like are no part of a dump, and statements may depend on them."""
    rows = db.execute(
        "SELECT DISTINCT split_part(s, '=', 1) FROM pg_db_role_setting r, unnest(setconfig) s, pg_database d, pg_roles o "
        "WHERE r.setdatabase = d.oid AND d.datname = current_database() AND o.rolname = current_user AND r.setrole IN (0, o.oid)"
    ).fetchall()
    for (setting,) in rows:
        with suppress(psycopg.errors.InsufficientPrivilege):  # one that only a superuser may set, no SQL depends on it
            one = sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT")
            db.execute(one.format(sql.Identifier(name), sql.SQL(".").join(map(sql.Identifier, setting.split(".")))))


def _drop(db: Connection, name: str) -> sql.Composed:
    force = " WITH (FORCE)" if db.info.server_version >= _FORCE_SINCE else ""
    return sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)) + sql.SQL(force)


def _may_be_overwritten(db: Connection) -> None:
    schemas = {row[0] for row in db.execute(_USERS_SCHEMAS)}
    row = db.execute(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(%s)",
        (list(schemas),),
    ).fetchone()
    if _MARK not in schemas and row is not None and row[0]:
        raise failed(
            f"restore_into ({db.info.dbname}) has objects that changeover did not put there; it was not touched. "
            "Empty it, or name an empty database"
        )


def _wipe(db: Connection) -> None:
    """Only the mark and an empty schema public are left; the mark comes first, so that a kill in between is recognised."""
    db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(_MARK)))
    for (name,) in db.execute(_USERS_SCHEMAS).fetchall():
        if name != _MARK:
            db.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
    db.execute("CREATE SCHEMA public")


def _wipe_again(target: Sessions) -> None:
    try:
        with target.connect() as db, watchdog(db, _LONG):
            _wipe(db)
    except psycopg.Error as error:
        raise failed(f"restore_into could not be emptied: {target.redact(str(error))}") from None
