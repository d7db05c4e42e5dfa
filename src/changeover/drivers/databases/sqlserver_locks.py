"""Named locks of SQL Server (`sp_getapplock`), scoped to the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from changeover.drivers.databases.limits import Busy
from changeover.drivers.databases.sqlserver_faults import Fault
from changeover.drivers.databases.sqlserver_session import Connection, milliseconds
from changeover.drivers.databases.sqlserver_text import literal

FIRST_COME = "changeover/first-come"
"""Under which the tables are made and claimed."""

_GET = (
    "DECLARE @got int; EXECUTE @got = sys.sp_getapplock @Resource = {name}, @LockMode = N'Exclusive', "
    "@LockOwner = N'{owner}', @LockTimeout = {wait}; SELECT @got;"
)
_RELEASE = "EXECUTE sys.sp_releaseapplock @Resource = {name}, @LockOwner = N'Session';"


def get_sql(name: str, owner: str, seconds: float) -> str:
    """The batch that asks for the lock. It returns 0 or 1 when it was got, less than 0 when not."""
    return _GET.format(name=literal(name), owner=owner, wait=milliseconds(seconds))


def release_sql(name: str) -> str:
    """The batch that gives the session's lock back."""
    return _RELEASE.format(name=literal(name))


def hold_for_transaction(db: Connection, name: str, seconds: float, by: str) -> None:
    """The lock, until the open transaction ends. Raises Busy, naming `by`, when somebody holds it for `seconds`."""
    began = time.monotonic()
    if db.number(get_sql(name, "Transaction", seconds), timeout=0.0) < 0:
        raise Busy(time.monotonic() - began, by)


@contextmanager
def held_by_session(db: Connection, name: str, seconds: float, by: str) -> Iterator[None]:
    """The lock while the block runs; it goes with the session, too. Raises Busy as `hold_for_transaction`."""
    began = time.monotonic()
    if db.number(get_sql(name, "Session", seconds), timeout=0.0) < 0:
        raise Busy(time.monotonic() - began, by)
    try:
        yield
    finally:
        if not db.lost:
            with suppress(Fault):  # closing the session gives it back as well
                db.execute(release_sql(name))
