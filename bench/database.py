"""A private database server with one table, and a change of it: compiled, added, and kept in step by its triggers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changeover.core.model import RANGE, BackfillStatement, Version
from changeover.core.ports import Database
from changeover.demo import servers
from changeover.schema.compile import Declared, compiled
from changeover.schema.engines import engine_of
from changeover.schema.operations.reading import read
from changeover.yaml.source import decode, parse

ENGINES = ("postgresql", "mariadb")
# As a server in production has them: what is committed is on the disk. What is not named is the engine's own default.
SETTINGS = {
    "postgresql": {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "1GB", "max_wal_size": "4GB", "log_statement": "none"},
    "mariadb": {"innodb-flush-log-at-trx-commit": "1", "innodb-buffer-pool-size": "1G", "innodb-log-file-size": "1G"},
}  # fmt: skip
TABLE = "people"
_TABLES = {
    "postgresql": f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, name text NOT NULL, hits integer NOT NULL DEFAULT 0)",
    "mariadb": f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, name varchar(60) NOT NULL, hits int NOT NULL DEFAULT 0)",
}
_ROWS = {
    "postgresql": f"INSERT INTO {TABLE} (id, name) SELECT n, 'Ann Lee ' || n FROM generate_series(1, {{rows}}) n",
    "mariadb": f"INSERT INTO {TABLE} (id, name) SELECT seq, CONCAT('Ann Lee ', seq) FROM seq_1_to_{{rows}}",
}
_SETTLED = {"postgresql": (f"VACUUM ANALYZE {TABLE}", "CHECKPOINT"), "mariadb": (f"ANALYZE TABLE {TABLE}",)}
_CHANGE = f"changes:\n  - rename_column: {{ table: {TABLE}, column: name, to: full_name }}\n"
_DIFFERS = {"postgresql": "full_name IS DISTINCT FROM name", "mariadb": "NOT (BINARY full_name <=> BINARY name)"}


@dataclass(frozen=True)
class Server:
    """A running server and its one database. `engine` is one of ENGINES."""

    engine: str
    url: str
    folder: Path

    def run(self, *statements: str) -> Sequence[Sequence[Any]]:
        """Each in a transaction of its own; the rows of the last one."""
        db = connected(self.engine, self.url)
        try:
            cursor = db.cursor()
            for sql in statements:
                cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            db.close()

    def number(self, sql: str) -> int:
        return int(self.run(sql)[0][0] or 0)

    def fill(self, rows: int) -> None:
        """The table anew, with this many rows, and with nothing left for the server to do about them."""
        self.run(f"DROP TABLE IF EXISTS {TABLE}", _TABLES[self.engine], _ROWS[self.engine].format(rows=rows))
        self.run(*_SETTLED[self.engine])

    def expand(self) -> BackfillStatement:
        """Add the column and the triggers that keep it in step; what is left to do then is the backfill."""
        database = driver(self.engine, self.url)
        text, misread = decode(_CHANGE.encode(), "1.1.0.yml", 0)
        root, odd = parse(text)
        operations, _, faults = read(root)
        if misread or odd or faults:
            raise RuntimeError(f"the change cannot be read: {misread} {odd} {faults}")
        declared = Declared(Version("1.1.0"), "1.1.0.yml", operations, "bench")
        catalogue = database.tables(declared.tables)
        changes = compiled(declared, catalogue, engine_of(database.dialect, catalogue, ask=database.algorithm)).changes
        self.run(*(part for statement in (*changes.expand, *changes.sync) for part in statement.parts))
        (statement,) = changes.backfill
        return statement

    def unfilled(self) -> int:
        return self.number(f"SELECT count(*) FROM {TABLE} WHERE full_name IS NULL")

    def inconsistent(self) -> int:
        return self.number(f"SELECT count(*) FROM {TABLE} WHERE {_DIFFERS[self.engine]}")

    def hits(self) -> int:
        return self.number(f"SELECT sum(hits) FROM {TABLE}")


def whole(statement: BackfillStatement) -> str:
    """The backfill as the one statement that it is without batches."""
    return statement.sql.replace(f" AND {RANGE}", "")


def connected(engine: str, url: str) -> Any:
    """A connection in autocommit, as Python's database API has them; the caller closes it."""
    if engine == "postgresql":
        import psycopg

        return psycopg.connect(url, autocommit=True, application_name="bench")
    from changeover.demo.shop_mariadb import connect

    return connect(url, "bench")


def driver(engine: str, url: str) -> Database:
    """changeover's own, with its default limits."""
    if engine == "postgresql":
        from changeover.drivers.databases.postgresql import PostgresqlDatabase, PostgresqlSettings

        return PostgresqlDatabase(PostgresqlSettings(lambda: url, "bench"))
    from changeover.drivers.databases.mysql import MysqlDatabase, MysqlSettings

    return MysqlDatabase(MysqlSettings(lambda: url, "bench"))


@contextmanager
def server(engine: str) -> Iterator[Server]:
    """Start one on 127.0.0.1; it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="co-bench-") as name:
        folder = Path(name)
        started = servers.Started(folder)
        try:
            start = servers.postgresql if engine == "postgresql" else servers.mariadb
            yield Server(engine, start(started, SETTINGS[engine]), folder)
        finally:
            started.stop()
