"""python -m bench [flips|moment|slow|many|shares|startup|backfill|lock|all] [--balancer NAME] [--engine NAME] [--quick] [--json FILE]; exit 1: a bound does not hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import backfill, figures, flips, lock, many, moment, peer, shares, slow, startup
from bench.database import ENGINES
from bench.stage import BALANCERS, DRIVERS, stage

PARTS = ("flips", "moment", "slow", "many", "shares", "startup", "backfill", "lock", "all")


def _measure(
    parts: tuple[str, ...], kinds: tuple[str, ...], engines: tuple[str, ...], *, quick: bool
) -> Iterator[figures.Figure]:
    singles: dict[str, figures.Figure] = {}
    floor: list[figures.Figure] = []
    for kind in [k for k in kinds if k in BALANCERS] if {"flips", "moment", "slow"} & {*parts} else ():
        with stage(kind) as scene:
            if "flips" in parts:
                yield from flips.measure(scene, quick=quick)
            if "slow" in parts:
                yield from slow.measure(scene, quick=quick)
            if "moment" in parts:
                singles[kind] = moment.flip(scene, quick=quick)
                floor += [moment.floor(scene, quick=quick)] if kind == "haproxy" else []
    if singles:
        with peer.peer() as scene:
            reload, losses = moment.reload(scene, quick=quick)
        yield from (*floor, *singles.values(), reload, losses)
        yield from (moment.compare(own, kind, reload, quick=quick) for kind, own in singles.items())
    if "many" in parts:
        yield from many.measure(quick=quick)
    for kind in kinds if "shares" in parts else ():
        with stage(kind) as scene:
            yield from shares.measure(scene, quick=quick)
    if "startup" in parts:
        yield from startup.measure(quick=quick)
    for engine in engines:
        if "backfill" in parts:
            yield from backfill.measure(engine, quick=quick)
        if "lock" in parts:
            yield from lock.measure(engine, quick=quick)


def main() -> int:
    parser = argparse.ArgumentParser("bench", description="Speed, each figure as a ratio measured in one run.")
    parser.add_argument("part", nargs="?", choices=PARTS, default="all")
    parser.add_argument("--balancer", choices=DRIVERS, action="append", help="only this one; may be given twice")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one; may be given twice")
    parser.add_argument("--quick", action="store_true", help="a smoke run: only losses are judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures")
    given = parser.parse_args()
    parts = PARTS[:-1] if given.part == "all" else (given.part,)
    about = figures.machine()
    found = []
    for figure in _measure(parts, tuple(given.balancer or DRIVERS), tuple(given.engine or ENGINES), quick=given.quick):
        print(".", end="", file=sys.stderr, flush=True)
        found.append(figure)
    print(file=sys.stderr)
    print(figures.table(found))
    if given.json is not None:
        figures.write(given.json, found, about)
    judged = [f for f in found if f.bound is not None and f.judged]
    bad = sum(1 for f in judged if not f.ok)
    print(f"\n{len(judged) - bad} of {len(judged)} bounds hold. {about}.")
    if not given.quick:
        print("Ratios are of the same run; other work on the machine makes them worse. Repeat what does not hold.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
