"""The tables of the state store. One store is one truth about its environments; facts that outlive runs are the ledger."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

FORMAT = 1  # raised when an older changeover could no longer read the store

meta = MetaData()

store = Table("store", meta, Column("id", String, primary_key=True), Column("format", Integer, nullable=False))

run = Table(
    "run",
    meta,
    Column("id", String, primary_key=True),
    Column("environment", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("parent", String),  # the run whose way back this is
    Column("plan", Text, nullable=False),  # frozen: the plan as JSON
    Column("plan_hash", String, nullable=False),
    Column("state", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("ended", Float),
)
Index("run_open", run.c.environment, sqlite_where=run.c.ended.is_(None))

event = Table(
    "event",
    meta,
    Column("run", String, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("step", String, nullable=False),
    Column("data", Text, nullable=False),
)

signal = Table(
    "signal",
    meta,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("argument", String, nullable=False),
    Column("by", String, nullable=False),
    Column("note", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("taken", Integer),  # seq of the event that answered it
)

environment = Table(
    "environment",
    meta,
    Column("name", String, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("run", String),
    Column("owner", String, nullable=False),  # user@host
    Column("pid", Integer, nullable=False),
    Column("born", Float, nullable=False),  # start time of that process: pids are used again
    Column("boot", String, nullable=False),  # lease_until is that boot's CLOCK_BOOTTIME
    Column("lease_until", Float, nullable=False),
    Column("since", Float, nullable=False),
)

promise = Table(
    "promise",
    meta,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("environment", String, nullable=False),
    Column("version", String, nullable=False),
    Column("build", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("since", Float, nullable=False),
    Column("earliest", Float, nullable=False),
    Column("run", String, nullable=False),
    Column("ended_at", Float),
    Column("ended_by", String),
    Column("ended_run", String),
    Column("because", String),
    UniqueConstraint("environment", "run", "version"),
)

restore_point = Table(
    "restore_point",
    meta,
    Column("environment", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("run", String, nullable=False),
    Column("location", String, nullable=False),
    Column("proof", String, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("tables", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
)

evidence = Table(
    "evidence",
    meta,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("environment", String, nullable=False),
    Column("version", String, nullable=False),
    Column("catalogue", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("verdict", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("run", String, nullable=False),
)

deployed = Table(
    "deployed",
    meta,
    Column("environment", String, primary_key=True),
    Column("pool", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("build", String, nullable=False),
)

started = Table(
    "started",
    meta,
    Column("environment", String, primary_key=True),
    Column("version", String, primary_key=True),
)

seen = Table(  # the last answer of `status`, so that it needs no configuration
    "seen",
    meta,
    Column("environment", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("data", Text, nullable=False),
)
