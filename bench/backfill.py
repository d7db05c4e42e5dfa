"""A backfill by changeover beside the one statement that it is without batches; what it costs others, and the memory it takes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.crowd import CLIENTS, RATE, Visit, come, p99
from bench.database import SETTINGS, Server, server, whole
from bench.figures import Figure, lost, median, median_of
from changeover.core.model import BackfillStatement

PART = "Backfill of {rows:,} rows on {engine}, with the triggers of its change ({settings})"
FULL_BOUND = 1.5  # times the single UPDATE
TAIL_BOUND = 1.5  # p99 of the clients beside a gentle backfill, in p99 of the steady time of the same run
MEMORY_BOUND = 1.1  # peak memory at the most rows, in that at the fewest
WARM = 1.0  # seconds at the begin of a crowd, and after a backfill has stopped, that no window contains
LARGE = 10_000_000  # rows
_LEDGER = ("changeover_claim", "changeover_applied", "changeover_state", "changeover_change")


@dataclass(frozen=True)
class Filled:
    """What one process filled: see bench.backfiller. `busy`: seconds in batches; `size`: rows of the largest; `rss`: its peak, in KiB."""

    state: str
    seconds: float
    rows: int
    busy: float
    size: int
    rss: int


@dataclass
class Filling:
    """A process that is ready to backfill."""

    process: subprocess.Popen[str]

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def ended(self) -> Filled:
        """Raises RuntimeError when it did not end well."""
        with self.process as process:
            assert process.stdout is not None
            said = process.stdout.read()
            if process.wait(600) != 0:
                raise RuntimeError("the backfill did not end well")
        return msgspec.json.decode(said, type=Filled)


def ready(server: Server, statement: BackfillStatement, state: Path, pace: str, seconds: float = 0.0) -> Filling:
    """A process that backfills at this pace when it is told to, and stops after so many seconds (0: at its end)."""
    told = server.folder / "statement.json"
    told.write_bytes(msgspec.json.encode(statement))
    argv = [
        sys.executable, "-m", "bench.backfiller", "--engine", server.engine, "--url", server.url, "--statement", str(told),
        "--state", str(state), "--pace", pace, "--seconds", str(seconds),
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        process.kill()
        process.wait()
        raise RuntimeError("the backfill did not start")
    return Filling(process)


def anew(server: Server, rows: int) -> tuple[BackfillStatement, Path]:
    """A table with nothing filled, nobody's claim on its database, and a new state store."""
    server.run(*(f"DROP TABLE IF EXISTS {name}" for name in _LEDGER))
    server.fill(rows)
    return server.expand(), server.folder / f"state-{time.monotonic_ns()}.db"


def full(server: Server, rows: int) -> Filled:
    """All rows at full speed. Raises RuntimeError unless every one of them is filled, and was by this backfill."""
    statement, state = anew(server, rows)
    filling = ready(server, statement, state, "full")
    filling.go()
    found = filling.ended()
    if found.state != "done" or found.rows != rows or server.unfilled() or server.inconsistent():
        raise RuntimeError(f"{found}; {server.unfilled()} rows are not filled, {server.inconsistent()} not equal")
    return found


def single(server: Server, rows: int) -> float:
    """Seconds of the one statement."""
    statement, _ = anew(server, rows)
    began = time.monotonic()
    server.run(whole(statement))
    return time.monotonic() - began


def measure(engine: str, *, quick: bool) -> Iterator[Figure]:
    """Bounds: at full speed at most 1.5 times the single UPDATE; gentle leaves the clients' p99 within 1.5 times; flat memory."""
    rows, few = (40_000, 4_000) if quick else (2_000_000, 100_000)
    settings = ", ".join(f"{name}={value}" for name, value in SETTINGS[engine].items())
    part = PART.format(rows=rows, engine=engine, settings=settings)
    with server(engine) as scene:
        pairs = [(single(scene, rows), full(scene, rows)) for _ in range(1 if quick else 2)]
        yield _against(part, rows, pairs, quick=quick)
        yield from _beside(part, scene, rows, quick=quick)
        yield _memory(part, scene, few, rows if quick else LARGE, quick=quick)


def _against(part: str, rows: int, pairs: Sequence[tuple[float, Filled]], *, quick: bool) -> Figure:
    ratios = tuple(ours.seconds / one for one, ours in pairs)
    one, ours = median(p[0] for p in pairs), median(p[1].seconds for p in pairs)
    last = pairs[-1][1]
    return Figure(
        part, "full speed / the single UPDATE", median(ratios), "x", FULL_BOUND, judged=not quick, raw=ratios,
        note=f"{one:.1f} -> {ours:.1f} s, {rows / ours:,.0f} rows/s in batches of up to {last.size:,}; {median_of(ratios)}",
    )  # fmt: skip


@dataclass(frozen=True)
class _Round:
    """Steady, then beside a gentle backfill: p99 in milliseconds."""

    steady: float
    beside: float
    filled: Filled


def _beside(part: str, server: Server, rows: int, *, quick: bool) -> list[Figure]:
    """Rounds of steady time and of a gentle backfill that goes on where the last one stopped, while the crowd writes."""
    rounds, window = (1, 2.0) if quick else (3, 10.0)
    statement, state = anew(server, rows)
    found: list[_Round] = []
    visits: list[Visit] = []
    for _ in range(rounds):
        filling = ready(server, statement, state, "gentle", window)
        crowd = come(server, rows, WARM + 2 * window + WARM)
        begin = crowd.start + WARM
        time.sleep(max(0.0, begin + window - time.time()))
        filling.go()
        filled = filling.ended()
        here = crowd.visits()
        visits += here
        end = begin + window + min(window, filled.seconds)
        found.append(_Round(p99(here, begin, begin + window), p99(here, begin + window, end), filled))
    failed = [v for v in visits if v.error]
    kept = sum(1 for v in visits if v.wrote and not v.error)
    ratios = tuple(r.beside / r.steady for r in found)
    filled, took = sum(r.filled.rows for r in found), sum(r.filled.seconds for r in found)
    if found[-1].filled.state != "done":
        rest = ready(server, statement, state, "full")
        rest.go()
        rest.ended()
    return [
        Figure(
            part, f"p99 of {CLIENTS} clients beside a gentle one / steady", median(ratios), "x", TAIL_BOUND, judged=not quick,
            raw=ratios,
            note=f"{median(r.steady for r in found):.2f} -> {median(r.beside for r in found):.2f} ms at {RATE:g} requests/s, from "
            f"the planned time; {filled / took:,.0f} rows/s; {median_of(ratios)}",
        ),
        lost(part, "requests of those clients that failed", len(failed), len(visits), failed[0].error if failed else ""),
        Figure(part, "their writes that are lost", abs(kept - server.hits()), "writes", 0, note=f"of {kept:,}"),
        Figure(part, "rows not filled, or not equal, afterwards", server.unfilled() + server.inconsistent(), "rows", 0),
    ]  # fmt: skip


def _memory(part: str, server: Server, few: int, rows: int, *, quick: bool) -> Figure:
    """Peak memory of the process that backfills: at the most rows against the fewest."""
    least, many = full(server, few), full(server, rows)
    return Figure(
        part, f"memory at {rows:,} rows / at {few:,}", many.rss / least.rss, "x", MEMORY_BOUND, judged=not quick,
        note=f"{least.rss / 1024:.1f} -> {many.rss / 1024:.1f} MiB, the peak of the whole process",
        raw=(least.rss, many.rss),
    )  # fmt: skip
