"""One flip: how soon the old version sees its last request, clocked in the instances; beside the floor and beside a reload."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure, lost, median, median_of
from bench.peer import Peer
from bench.stage import RATE, WARM, Scene, Stage, other, sleep_until

PART = "One flip: from asking for it to the last arrival at the old version, while 2,000 requests/s come"
FINEST = 1000 / RATE  # ms between two requests: less cannot be told apart
SOONER = {"haproxy": 20, "envoy": 10}  # times sooner than the reload


def flip(stage: Stage, *, quick: bool) -> Figure:
    """Milliseconds from entering the driver's commit, a median."""
    count, apart = (5, 0.4) if quick else (25, 0.5)
    stage.start_state()
    load = stage.load(WARM + count * apart + 0.5)
    live, found, whole = "blue", [], []
    for number in range(count):
        sleep_until(load.start + WARM + number * apart)
        old, live = live, other(live)
        entered, left = stage.flip(live)
        sleep_until(load.start + WARM + number * apart + 0.75 * apart)
        found.append(_last(stage, old, entered))
        whole.append(1000 * (left - entered))
    failed = sum(1 for r in load.records() if r.error)
    if failed:
        raise RuntimeError(f"{failed} requests were lost by single flips")
    note = f"{median_of(found)}; the whole commit {median(whole):.1f} ms"
    return Figure(PART, f"{stage.kind}: changeover's commit", median(found), "ms", note=note, raw=tuple(found))


def floor(stage: Stage, *, quick: bool) -> Figure:
    """Milliseconds of one bare `set map` through HAProxy's master socket, under the same load: a flip cannot cost less."""
    count = 20 if quick else 200
    stage.start_state()
    load = stage.load(WARM + count * 0.005 + 1.0)
    sleep_until(load.start + WARM)
    path = stage.folder / "haproxy"
    value = next(line.split()[1] for line in (path / "route.map").read_text().splitlines() if line.startswith("route "))
    found = []
    for _ in range(count):
        began = time.perf_counter()
        answer = _ask(path / "master.sock", f"@1 set map {path / 'route.map'} route {value}")
        found.append(1000 * (time.perf_counter() - began))
        if answer.strip():
            raise RuntimeError(f"set map was refused: {answer}")
        time.sleep(0.005)
    load.records()
    note = f"{median_of(found)}; not durable, not fenced, not read back"
    return Figure(PART, "floor: one bare `set map` by the master socket", median(found), "ms", note=note)


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
        found.append(_last(peer, old, asked))
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
    """Milliseconds from the asking to the last arrival at the old pool; at least what can be told apart."""
    last, count = scene.instances.arrivals(old)
    time.sleep(0.02)
    if scene.instances.arrivals(old)[1] != count:
        raise RuntimeError(f"{old} still gets requests: the window of a flip is too short")
    return max(FINEST, 1000 * (last - asked))


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(path))
        line.sendall(f"{command}\n".encode())
        line.shutdown(socket.SHUT_WR)
        read: Callable[[], bytes] = lambda: line.recv(4096)  # noqa: E731
        return b"".join(iter(read, b"")).decode()
