"""The named lock of an environment: who holds it acts, and a newer owner ends the session that holds it for an older one.

DDL commits by itself, so what fences it is this lock and not a transaction. Every act holds two user-level locks, in this
order: one that is named after the fence, then the environment's own. So the session that holds the environment's lock
(`IS_USED_LOCK`) tells its fence, too: no privilege and no instrument is needed to see whom to end. Both go with the session.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from changeover.core.errors import DatabaseDenied
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, not_obtained
from changeover.drivers.databases.mysql_errors import NO_SUCH_THREAD, NOT_YOUR_THREAD, number_of
from changeover.drivers.databases.mysql_ledger import has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import Connection

END_WITHIN = 10.0  # seconds for an ended session to be gone; an ALTER that is ended undoes its copy first


@dataclass(frozen=True, slots=True)
class NamedLock:
    """The locks of one environment in one database. Their names are hashes: user-level locks are the whole server's."""

    database: str
    environment: str

    @property
    def name(self) -> str:
        """At most 64 characters, and MySQL compares them without their case."""
        key = f"{self.database}\0{self.environment}".encode()
        return f"changeover/{hashlib.sha256(key).hexdigest()[:24]}"

    @property
    def first_come(self) -> str:
        """Under which the tables are made and claimed, by whatever environment."""
        return f"changeover/{hashlib.sha256(self.database.encode()).hexdigest()[:24]}/claim"

    def of(self, owner: Owner) -> str:
        store = hashlib.sha256(owner.store.encode()).hexdigest()[:8]
        return f"{self.name}/{store}/{owner.fence}"

    def end_lost(self, db: Connection, session: int, owner: Owner) -> None:
        """End a session of ours whose connection is lost, should the server not know that yet."""
        if self.holder(db) == session and self.is_ours(db, session, owner):
            end(db, session)

    @contextmanager
    def held(self, db: Connection, owner: Owner, wait: float) -> Iterator[None]:
        """The right to act. Raises Busy after `wait` seconds: another act of this environment is under way."""
        with _held(db, self.of(owner), wait), _held(db, self.name, wait):
            yield

    @contextmanager
    def first(self, db: Connection, wait: float) -> Iterator[None]:
        """As `held`, for making the tables and the claim."""
        with _held(db, self.first_come, wait, "another claim of the database"):
            yield

    def holder(self, db: Connection) -> int | None:
        """The session that acts."""
        return _user_of(db, self.name)

    def is_ours(self, db: Connection, session: int, owner: Owner) -> bool:
        """Whether that session acts for this owner."""
        return _user_of(db, self.of(owner)) == session

    def end_older(self, db: Connection, owner: Owner, *, anybody: bool = False) -> int:
        """End the session that acts for an older fence (`anybody`: for any other owner); returns how many were ended, when
        they are gone.

        Raises FencedOut when a newer owner has claimed meanwhile (the session is then its own), DatabaseDenied when this login
        may not end it, LockNotObtained when it does not go.
        """
        ended: set[int] = set()
        pace = Pace()
        until = pace.now() + END_WITHIN
        while True:
            session = self.holder(db)
            if session is None or session == db.id or self.is_ours(db, session, owner):
                return len(ended)
            if not anybody and has_ledger(
                db
            ):  # read after the look: had the holder a newer fence, its claim would be there
                owner.judge(ledger_on(db).claims(), time.time())
            ended.add(session)
            end(db, session)
            if pace.now() > until:
                wanted = Wanted("ending an older owner's session")
                raise not_obtained(wanted, Limits(lock_deadline=END_WITHIN), 1, f"session {session}")
            pace.sleep(0.02)


def end(db: Connection, session: int) -> None:
    """KILL it; nothing to do if it is gone. Raises DatabaseDenied."""
    try:
        db.execute(f"KILL CONNECTION {session:d}")
    except pymysql.err.Error as error:
        if number_of(error) == NO_SUCH_THREAD:
            return
        if number_of(error) != NOT_YOUR_THREAD:
            raise
        grant = "CONNECTION ADMIN" if db.product.mariadb else "CONNECTION_ADMIN"
        raise DatabaseDenied(
            f"the session {session} of an older owner runs under another login, and this login may not end it",
            next=(f"GRANT {grant} ON *.* TO the login, or KILL {session} yourself", "changeover resume"),
        ) from None


def _user_of(db: Connection, name: str) -> int | None:
    (found,) = db.execute("SELECT IS_USED_LOCK(%s)", (name,))[0]
    return None if found is None else int(found)


@contextmanager
def _held(db: Connection, name: str, wait: float, what: str = "another act of this environment") -> Iterator[None]:
    began = time.monotonic()
    got, holder = db.execute("SELECT GET_LOCK(%s, %s), IS_USED_LOCK(%s)", (name, wait, name))[0]
    if got != 1:
        raise Busy(time.monotonic() - began, what if holder is None else f"{what} (session {holder})")
    try:
        yield
    finally:
        if db.open:
            _release(db, name)


def _release(db: Connection, name: str) -> None:
    """A connection that is lost has released it, and so does one that is closed."""
    try:
        db.execute("SELECT RELEASE_LOCK(%s)", (name,))
    except pymysql.err.Error:
        db.close()
