"""ALTER TABLE behind a reader that is idle in its transaction: what it costs everybody else, naive and by changeover."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.crowd import CLIENTS, RATE, Visit, come, p99
from bench.database import TABLE, Server, connected, driver, server
from bench.figures import Figure, lost, percentile
from bench.stage import Always, sleep_until
from changeover.core.model import Applied, Claim, Phase, Probe, Statement, Version
from changeover.engine.actions.database import digest

PART = "ALTER TABLE behind a reader that is idle in its transaction for {seconds:g} s, {clients} clients: {engine}"
READER = 10.0  # seconds
ROWS = 60_000
WARM = 1.0  # seconds at the begin of a crowd that no window contains
AFTER = 1.0  # seconds after the reader's end that still count
BEFORE = 0.3  # seconds from the reader's begin to the ALTER
BOUNDS = {"postgresql": 50, "mariadb": 5}  # times less than the naive statement


@dataclass(frozen=True)
class Stalled:
    """What the crowd felt from the reader's begin until a second after its end. `tries`: attempts to get the lock."""

    visits: Sequence[Visit]
    p99: float  # milliseconds, from the planned time
    longest: float  # milliseconds
    took: float  # seconds that the ALTER took
    tries: int

    def figure(self, part: str, name: str) -> Figure:
        note = f"longest {self.longest:,.0f} ms; the ALTER took {self.took:.1f} s, {self.tries} attempts"
        return Figure(part, name, self.p99, "ms", note=note)


def measure(engine: str, *, quick: bool) -> Iterator[Figure]:
    """Bound: p99 from the planned time at most 1/50 (PostgreSQL) or 1/5 (MariaDB) of that beside the naive statement."""
    seconds = 1.5 if quick else READER
    part = PART.format(seconds=seconds, clients=CLIENTS, engine=engine)
    with server(engine) as scene:
        scene.fill(ROWS)
        calm = come(scene, ROWS, WARM + (1.0 if quick else 5.0))
        steady = calm.visits()
        naive = _beside(scene, seconds, _naive)
        ours = _beside(scene, seconds, _by_changeover)
        visits = [*steady, *naive.visits, *ours.visits]
        kept, hits = sum(1 for v in visits if v.wrote and not v.error), scene.hits()
    failed = [v for v in visits if v.error]
    yield Figure(
        part, "p99 without an ALTER", p99(steady, calm.start + WARM, calm.start + 1e6), "ms",
        note=f"{RATE:g} requests/s; each from its planned time",
    )  # fmt: skip
    yield naive.figure(part, "p99 beside the naive statement")
    yield ours.figure(part, "p99 beside changeover's statement runner")
    yield Figure(
        part, "naive / changeover", naive.p99 / ours.p99, "x", BOUNDS[engine], at_least=True, judged=not quick,
        note=f"{naive.p99:,.0f} -> {ours.p99:.1f} ms", raw=(naive.p99, ours.p99),
    )  # fmt: skip
    yield lost(part, "requests that failed", len(failed), len(visits), failed[0].error if failed else "")
    yield Figure(part, "writes that are lost", abs(kept - hits), "writes", 0, note=f"of {kept:,}")


def _beside(scene: Server, seconds: float, alter: Callable[[Server, str], int]) -> Stalled:
    """A crowd; a reader begins, reads and says nothing for so long; meanwhile the table is to be altered.

    Raises RuntimeError unless the table was altered, and not before the reader had gone: else nothing was measured.
    """
    column = alter.__name__.strip("_")
    crowd = come(scene, ROWS, WARM + seconds + AFTER)
    begin = crowd.start + WARM
    ended: list[float] = []
    tries: list[int] = []

    def act() -> None:
        tries.append(alter(scene, column))
        ended.append(time.time())

    acting = threading.Thread(target=act)
    sleep_until(begin)
    reader = connected(scene.engine, scene.url)
    try:
        cursor = reader.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT count(*) FROM {TABLE}")
        cursor.fetchall()
        time.sleep(BEFORE)
        began = time.time()
        acting.start()
        sleep_until(begin + seconds)
        cursor.execute("COMMIT")
        gone = time.time()
    finally:
        reader.close()
    acting.join()
    visits = crowd.visits()
    found = scene.number(
        f"SELECT count(*) FROM information_schema.columns WHERE table_name = '{TABLE}' AND column_name = '{column}'"
    )
    if found != 1 or not ended or ended[0] < gone:
        raise RuntimeError(f"{column}: {found} columns, {ended} with a reader until {gone}")
    within = [v for v in visits if begin <= v.planned < begin + seconds + AFTER]
    longest = 1000 * max(v.latency for v in within)
    return Stalled(visits, 1000 * percentile((v.latency for v in within), 99), longest, ended[0] - began, tries[0])


def _naive(scene: Server, column: str) -> int:
    scene.run(_alter(column))
    return 1


def _by_changeover(scene: Server, column: str) -> int:
    """As the engine has it done: one statement of an expansion, by the driver, with its default limits."""
    database = driver(scene.engine, scene.url)
    database.claim(Claim("bench", "bench", 1, "bench", time.time()), Always())
    probe = Probe("column", column, TABLE)
    statement = Statement(
        _alter(column), "1.1.0.expand.sql", 1, Phase.EXPAND, f"+ column {TABLE}.{column}", probe=probe
    )
    marker = Applied(Version("1.1.0"), Phase.EXPAND, 0, digest(statement), time.time(), "bench", 1)
    return database.apply(statement, marker, Always()).attempts


def _alter(column: str) -> str:
    return f"ALTER TABLE {TABLE} ADD COLUMN {column} integer"
