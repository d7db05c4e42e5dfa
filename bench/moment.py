"""One flip: how soon the old version sees its last request, clocked in the instances; beside the floor and beside a reload."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, lost, median, median_of
from bench.peer import Peer
from bench.stage import RATE, WARM, Scene, Stage, other, sleep_until

PART = "One flip: from asking for it to the last arrival at the old version, while 2,000 requests/s come"
FINEST = 1000 / RATE  # ms between two requests: less cannot be told apart
SOONER = {"haproxy": 20, "envoy": 10}  # times sooner than the reload


@dataclass(frozen=True, slots=True)
class Flip:
    """One flip, milliseconds. `last`: from entering the commit to the last arrival at the old version; `whole`: to its return.

    `mixed` is how long both versions got requests; `calls` are those to the balancers' control planes, 0 if nobody counts.
    """

    last: float
    whole: float
    mixed: float
    calls: int


def flips(stage: Stage, count: int, apart: float, calls: Callable[[], int] = lambda: 0) -> list[Flip]:
    """So many flips, `apart` seconds from one to the next, while users come. Raises RuntimeError if one of those was lost.

    `calls` is how many there were since it was last asked.
    """
    stage.start_state()
    load = stage.load(WARM + count * apart + 0.5)
    live, found = "blue", []
    for number in range(count):
        sleep_until(load.start + WARM + number * apart)
        old, live = live, other(live)
        calls()
        entered, left = stage.flip(live)
        asked = calls()
        sleep_until(load.start + WARM + number * apart + 0.75 * apart)
        last = _last(stage, old, entered)
        first = 1000 * (stage.instances.arrivals(live).first - entered)
        if first < 0:
            raise RuntimeError(f"{live} had requests {-first:.0f} ms before it was made live")
        found.append(Flip(max(FINEST, last), 1000 * (left - entered), max(0.0, last - first), asked))
    if failed := sum(1 for r in load.records() if r.error):
        raise RuntimeError(f"{failed} requests were lost by single flips")
    return found


def flip(stage: Stage, *, quick: bool) -> Figure:
    """Milliseconds from entering the driver's commit, a median."""
    found = flips(stage, *((5, 0.4) if quick else (25, 0.5)))
    last = tuple(f.last for f in found)
    note = f"{median_of(last)}; the whole commit {median(f.whole for f in found):.1f} ms"
    return Figure(PART, f"{stage.kind}: changeover's commit", median(last), "ms", note=note, raw=last)


def floor(stage: Stage, *, quick: bool) -> Figure:
    """Milliseconds of one bare `set map` through HAProxy's master socket, under the same load: a flip cannot cost less."""
    found = bare(stage, 20 if quick else 200)
    note = f"{median_of(found)}; not durable, not fenced, not read back"
    return Figure(PART, "floor: one bare `set map` by the master socket", median(found), "ms", note=note)


def bare(stage: Stage, count: int) -> list[float]:
    """Milliseconds of one bare `set map` to each HAProxy of the stage, one after the other, while users come; so many times.

    It sets what is set already, so that nobody is moved.
    """
    stage.start_state()
    paths = sorted(file.parent for file in stage.folder.glob("*/route.map"))
    load = stage.load(WARM + count * 0.005 * len(paths) + 1.0)
    sleep_until(load.start + WARM)
    (value,) = {_value(path / "route.map") for path in paths}
    found = []
    for _ in range(count):
        began = time.perf_counter()
        answers = [_ask(p / "master.sock", f"@1 set map {p / 'route.map'} route {value}") for p in paths]
        found.append(1000 * (time.perf_counter() - began))
        if refused := "".join(answers).strip():
            raise RuntimeError(f"set map was refused: {refused}")
        time.sleep(0.005)
    if failed := sum(1 for r in load.records() if r.error):
        raise RuntimeError(f"{failed} requests were lost while nothing was changed")
    return found


def _value(file: Path) -> str:
    return next(line.split()[1] for line in file.read_text().splitlines() if line.startswith("route "))


def reload(peer: Peer, *, quick: bool) -> list[Figure]:
    """The same by reloads of HAProxy with default options, and what they lose."""
    count, apart = (2, 1.5) if quick else (8, 2.0)
    load = peer.load(WARM + count * apart + 0.5)
    live, found, checked = "blue", [], []
    for number in range(count):
        sleep_until(load.start + WARM + number * apart)
        old, live = live, other(live)
        asked, signalled = peer.flip(live)
        sleep_until(load.start + WARM + number * apart + 0.75 * apart)
        found.append(max(FINEST, _last(peer, old, asked)))
        checked.append(1000 * (signalled - asked))
        peer.settle()
    records = load.records()
    failed = [r for r in records if r.error]
    name = "peer: reload of HAProxy, default options"
    lossy = lost(PART, "requests that those reloads lost", len(failed), len(records))
    return [
        Figure(
            PART, name, median(found), "ms", raw=tuple(found),
            note=f"{median_of(found)}; {median(checked):.1f} ms of it for `haproxy -c`, the rest after SIGUSR2",
        ),
        Figure(
            PART, lossy.name, len(failed), "requests",
            note=f"of {len(records):,}, by {count} reloads; all on reused connections",
        ),
    ]  # fmt: skip


def compare(own: Figure, kind: str, reload: Figure, *, quick: bool) -> Figure:
    """How many times sooner than the reload."""
    ratio = reload.value / max(own.value, FINEST)
    return Figure(
        PART, f"{kind}: sooner than the reload", ratio, "x", SOONER[kind], at_least=True,
        note=f"{own.value:.2f} ms against {reload.value:.0f} ms", judged=not quick,
    )  # fmt: skip


def _last(scene: Scene, old: str, asked: float) -> float:
    """Milliseconds from the asking to the last arrival at the old pool."""
    seen = scene.instances.arrivals(old)
    time.sleep(0.02)
    if scene.instances.arrivals(old).count != seen.count:
        raise RuntimeError(f"{old} still gets requests: the window of a flip is too short")
    return 1000 * (seen.last - asked)


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(path))
        line.sendall(f"{command}\n".encode())
        line.shutdown(socket.SHUT_WR)
        read: Callable[[], bytes] = lambda: line.recv(4096)  # noqa: E731
        return b"".join(iter(read, b"")).decode()
