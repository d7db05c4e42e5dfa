"""Clients of a database that come at their times, whatever became of those before them: one thread and one connection each.

    python -m bench.crowd --engine postgresql --url URL --rows 2000000 --rate 400 --clients 8 --seconds 10 --out FILE

Request i is planned at `start + i / rate` by client i mod `clients`; every other one of a client writes. Latency counts from the planned time,
so that a stall is felt by all who would have come meanwhile, and not only by the one that is stuck.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.database import ENGINES, TABLE, Server, connected
from bench.figures import percentile

CLIENTS = 8
RATE = 400.0  # requests per second of all clients together
READ = f"SELECT id, name, hits FROM {TABLE} WHERE id = %s"
WRITE = f"UPDATE {TABLE} SET name = %s, hits = hits + 1 WHERE id = %s"


class Visit(NamedTuple):
    """One request; times are epoch seconds. `error` "" means that it found its one row."""

    planned: float
    ended: float
    wrote: bool
    error: str

    @property
    def latency(self) -> float:
        """Seconds since the planned time."""
        return self.ended - self.planned


@dataclass(frozen=True)
class Crowd:
    """A running crowd. `start` is when its first request is planned (epoch seconds)."""

    process: subprocess.Popen[str]
    out: Path
    start: float
    planned: int

    def visits(self) -> Sequence[Visit]:
        """Wait for its end. Every request that was planned is in the record."""
        with self.process as process:
            if process.wait(300) != 0:
                raise RuntimeError("the crowd broke; its records would prove nothing")
        found = [Visit(*one) for one in json.loads(self.out.read_text())]
        if len(found) != self.planned:
            raise RuntimeError(f"the crowd recorded {len(found)} of {self.planned} requests")
        return found


def come(server: Server, rows: int, seconds: float) -> Crowd:
    """Start a crowd; its connections are open when this returns."""
    out = server.folder / f"crowd-{time.monotonic_ns()}.json"
    argv = [
        sys.executable, "-m", "bench.crowd", "--engine", server.engine, "--url", server.url, "--rows", str(rows),
        "--seconds", str(seconds), "--rate", str(RATE), "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        process.kill()
        process.wait()
        raise RuntimeError("the crowd did not come")
    start = time.time() + 0.1
    process.stdin.write(f"{start}\n")
    process.stdin.flush()
    return Crowd(process, out, start, int(RATE * seconds))


def p99(visits: Iterable[Visit], begin: float, end: float) -> float:
    """Milliseconds, of those that were planned in between."""
    return 1000 * percentile((v.latency for v in visits if begin <= v.planned < end), 99)


def _visit(cursor: Any, key: int, write: bool) -> str:
    """What went wrong; nothing, if the request found its row."""
    try:
        if write:
            cursor.execute(WRITE, (f"Bob Roe {random.random()}", key))
        else:
            cursor.execute(READ, (key,))
            cursor.fetchall()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if cursor.rowcount == 1 else f"{cursor.rowcount} rows"


def _client(db: Any, start: float, plan: Iterable[tuple[float, int]], found: list[Visit]) -> None:
    cursor = db.cursor()
    for number, (after, key) in enumerate(plan):
        planned, write = start + after, bool(number % 2)
        time.sleep(max(0.0, planned - time.time()))
        error = _visit(cursor, key, write)
        found.append(Visit(planned, time.time(), write, error))
    db.close()


def main() -> None:
    parser = argparse.ArgumentParser("bench.crowd")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    lines = [connected(given.engine, given.url) for _ in range(given.clients)]
    keys = random.Random(1)
    plan = [(i / given.rate, keys.randint(1, given.rows)) for i in range(int(given.rate * given.seconds))]
    print("ready", flush=True)
    with contextlib.suppress(EOFError):
        start = float(input())
        found: list[list[Visit]] = [[] for _ in lines]
        threads = [
            threading.Thread(target=_client, args=(db, start, plan[n :: given.clients], found[n]))
            for n, db in enumerate(lines)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        given.out.write_text(json.dumps([visit for visits in found for visit in visits]))


if __name__ == "__main__":
    main()
