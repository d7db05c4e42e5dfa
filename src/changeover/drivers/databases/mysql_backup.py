"""A restore point of a MariaDB or MySQL database: dumped in one transaction, restored into scratch, compared with the same state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import RestorePoint, Statement
from changeover.core.ports import Fence
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.compare import Sum, in_short
from changeover.drivers.databases.ledger_sql import digest_of
from changeover.drivers.databases.mysql_dump import dump_command, has_begun, restorable, restore_command
from changeover.drivers.databases.mysql_errors import is_full, number_of, said
from changeover.drivers.databases.mysql_ledger import has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_parts import run_parts
from changeover.drivers.databases.mysql_scratch import ScratchDatabase, ScratchMaker, must_not_reach, unlog
from changeover.drivers.databases.mysql_session import Connection, Product, Sessions
from changeover.drivers.databases.mysql_snapshot import Seen, Standstill, freeze, looking, revision_in
from changeover.drivers.databases.mysql_sums import alike, table_sum, tables
from changeover.drivers.databases.mysql_tools import CLIENTS, DUMPS, Look, Running, Tools, secret, started
from changeover.drivers.databases.restore_files import RestoreFiles, failed, sha256

COMMAND_URL = "CHANGEOVER_DATABASE_URL"  # how a command of the user's own gets the address
COMMAND_ID = "CHANGEOVER_BACKUP_ID"
COMMAND_DIRECTORY = "CHANGEOVER_BACKUP_DIRECTORY"
_LOOK = 0.005  # seconds between two looks whether a dump has begun: commits may be standing still


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where restore points are kept. `command`: the user's own, None: the server's dump. `restore_into`: see `ScratchMaker`."""

    directory: Path
    command: tuple[str, ...] | None = None
    restore_into: Callable[[], str] | None = None
    tools: Tools | None = None  # None: what is installed


@dataclass(frozen=True, slots=True)
class MysqlBackup:
    """Backups of one database."""

    sessions: Sessions
    settings: BackupSettings

    @property
    def files(self) -> RestoreFiles:
        return RestoreFiles(self.settings.directory, "sql")

    @property
    def _scratches(self) -> ScratchMaker:
        return ScratchMaker(self.sessions, self.settings.restore_into)

    def take(self, id: str, fence: Fence) -> RestorePoint:
        """Take, restore, compare. Raises RestorePointFailed; done twice, the second returns what the first took."""
        known = self.files.known(id)
        if known is not None:
            return known
        fence.check()
        with self._failing(id):
            if self.settings.command is not None:
                return self._by_command(id, fence, self.settings.command)
            with self.files.writing(id) as part:
                return self._compared(id, part, fence)

    @contextmanager
    def _failing(self, id: str) -> Iterator[None]:
        try:
            yield
        except pymysql.err.Error as error:
            raise failed(f"{id}: {said(error, self.sessions)}", disk=is_full(error)) from None

    def _by_command(self, id: str, fence: Fence, command: tuple[str, ...]) -> RestorePoint:
        """The user's own command: what it made is not ours to read, so it is taken, no more."""
        with self.sessions.session() as db:
            revision = revision_in(db)
        at = time.time()
        self.settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = {
            COMMAND_URL: self.sessions.url(),
            COMMAND_ID: id,
            COMMAND_DIRECTORY: str(self.settings.directory.absolute()),
        }
        with started(command, told, self.sessions.redact) as running:
            words = running.wait(fence.check).strip().splitlines()
        return RestorePoint(id, at, fence.run, words[-1] if words else " ".join(command), "taken", revision)

    # dump and compare ------------------------------------------------------------------------------------------

    def _compared(self, id: str, part: Path, fence: Fence) -> RestorePoint:
        with ExitStack() as stack:
            before = stack.enter_context(looking(self.sessions, fence.token))
            program = self._tools().find(DUMPS, before.product)
            still = Standstill.begin(self.sessions, stack)
            freeze(before)
            at = time.time()
            with self._dumping(program, part, before.product) as dump:
                begun = self._until_begun(dump, part, still.until, fence.check)
                exact = still.end() and begun
                after = None if exact else self._second(stack, dump, part, fence)
                dump.wait(fence.check)
            scratch = self._scratches.make()
            try:
                self._restore(part, scratch, before.product, fence.check)
                proved, rows, number = self._same(before, after, scratch, fence.check)
            finally:
                scratch.close()
            revision = revision_in(before)
        fence.check()
        proof = "compared" if proved else "restored"
        point = RestorePoint(
            id, at, fence.run, str(self.files.path(id)), proof, revision, number, rows, part.stat().st_size
        )
        self.files.keep(part, point, sha256(part))
        return point

    def _second(self, stack: ExitStack, dump: Running, part: Path, fence: Fence) -> Connection:
        """A second snapshot, after the dump has certainly begun: its state lies between the two."""
        self._until_begun(dump, part, float("inf"), fence.check)
        after = stack.enter_context(looking(self.sessions, fence.token))
        freeze(after)
        return after

    @contextmanager
    def _dumping(self, program: Path, part: Path, server: Product) -> Iterator[Running]:
        address = self.sessions.address
        argv = dump_command(program, address, part, mariadb=server.mariadb)
        with started(argv, secret(address), self.sessions.redact) as running:
            yield running

    @staticmethod
    def _until_begun(dump: Running, part: Path, until: float, look: Look) -> bool:
        """Whether it has its snapshot by then. One that has ended had it."""
        while not (dump.ended or has_begun(part)):
            if time.monotonic() > until:
                return False
            look()
            time.sleep(_LOOK)
        return True

    def _restore(self, dump: Path, scratch: ScratchDatabase, server: Product, look: Look) -> None:
        program = self._tools().find(CLIENTS, server)
        there = Sessions(scratch.url, self.sessions.environment)
        argv = restore_command(program, there.address, mariadb=server.mariadb, unlogged=scratch.unlogged)
        with started(argv, secret(there.address), there.redact, restorable(dump)) as running:
            running.wait(look)

    def _tools(self) -> Tools:
        return self.settings.tools or Tools.installed()

    def _same(
        self, before: Connection, after: Connection | None, scratch: ScratchDatabase, look: Look
    ) -> tuple[bool, int, int]:
        """(proved, rows, tables). Raises RestorePointFailed when something in the restored copy is certainly wrong."""
        with Sessions(scratch.url, self.sessions.environment).connect() as copy:
            alike(copy)
            restored = _sums(copy, look)
        moving = frozenset(table for table, still in tables(before).items() if not still)
        seen = Seen(_sums(before, look), None if after is None else _sums(after, look), moving)
        proved, wrong = seen.judge(restored)
        if wrong:
            raise failed(f"the restored copy is not what was backed up: {in_short(wrong)}")
        return proved, sum(s.rows for s in restored.values()), len(restored)

    # rehearsal ---------------------------------------------------------------------------------------------------

    def rehearse(self, statements: Sequence[Statement]) -> ScratchDatabase:
        """The newest restore point in a scratch database, with the statements applied.

        Where the user's own command takes the backups, there is no dump to restore: a fresh one is made for this.
        """
        with self._failing("rehearsal"):
            with self._newest() as (dump, server):
                scratch = self._scratches.make()
                try:
                    self._restore(dump, scratch, server, _nothing)
                    if self.settings.restore_into is None:
                        with Sessions(scratch.url, self.sessions.environment).session() as copy:
                            must_not_reach(copy, self.sessions.address.database)
                    _apply(Sessions(scratch.url, self.sessions.environment), statements)
                except BaseException:
                    scratch.close()
                    raise
            return scratch

    @contextmanager
    def _newest(self) -> Iterator[tuple[Path, Product]]:
        point = self.files.newest() if self.settings.command is None else None
        with self.sessions.session() as db:
            server = db.product
        if point is not None:
            yield self.files.verified(point), server
            return
        if self.settings.command is None:
            raise failed("there is no restore point to rehearse on")
        with self.files.writing("rehearsal") as part:
            with self._dumping(self._tools().find(DUMPS, server), part, server) as dump:
                dump.wait(_nothing)
            yield part, server


def _nothing() -> None:
    """A rehearsal changes nothing that a fence guards, and nobody else is there to be locked out."""


def _sums(db: Connection, look: Look) -> dict[str, Sum]:
    found: dict[str, Sum] = {}
    for table in tables(db):
        look()
        found[table] = table_sum(db, table)
    return found


def _apply(there: Sessions, statements: Sequence[Statement]) -> None:
    """What a half-applied phase has done already is left out."""
    for statement in statements:
        with there.connect() as db:  # one of its own, as it will have: an act may set what the next one must not find
            unlog(db)
            ledger = ledger_on(db) if has_ledger(db) else None
            if statement.probe is not None and probes.done(db, statement.probe):
                continue
            if ledger is not None and digest_of(statement) in ledger.half_applied(statement.phase):
                continue
            try:
                run_parts(db, statement, _nothing)
            except pymysql.err.Error as error:
                raise StatementFailed(
                    f"{statement.title}: {said(error, there)} (error {number_of(error)})",
                    now="It was tried on a copy; the database is as it was.",
                    next=("mend the statement",),
                    where=(Where(statement.file, statement.line),),
                ) from None
