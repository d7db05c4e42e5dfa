"""Two pools of two small instances behind a real balancer, on 127.0.0.1, in one folder; stopped by pid."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import client
from bench.instance import Arrivals, arrivals
from changeover.config import load
from changeover.core.model import Route
from changeover.core.ports import Balancer
from changeover.demo import servers
from changeover.service.wires import of
from changeover.service.wiring import wire

VERSIONS = {"blue": "1.0.0", "green": "1.1.0"}
BALANCERS = ("haproxy", "envoy")
DRIVERS = ("haproxy", "haproxy-servers", "envoy", "alb", "elb")  # whose shares are measured
CONNECTIONS = 100
RATE = 2000.0  # requests per second
MEMORY = Path("/dev/shm")
WARM = 1.0  # seconds at the begin of a client's run that no window contains


class Always:
    """A fence that nobody contests."""

    token = 1
    run = "bench"

    def check(self) -> None:
        """Nobody else is there."""


@dataclass(frozen=True)
class Load:
    """A running client. `start` is when its first request is planned (epoch seconds)."""

    process: subprocess.Popen[str]
    out: Path
    start: float
    planned: int

    def records(self) -> list[client.Record]:
        """Wait for its end. Every request that was planned is in the record."""
        process = self.process
        with process:
            if process.wait(180) != 0:
                raise RuntimeError("the client broke; its records would prove nothing")
        found = client.read(self.out)
        if len(found) != self.planned:
            raise RuntimeError(f"the client recorded {len(found)} of {self.planned} requests")
        return found


@dataclass
class Instances:
    """The two pools. `notes` is where the instances note their arrivals; `ports` by pool."""

    folder: Path
    notes: Path
    ports: Mapping[str, Sequence[int]]

    def arrivals(self, pool: str) -> Arrivals:
        """The last at any instance of the pool, how many at all of them, the first at any; clocked in the instances."""
        found = [arrivals(_arrivals(self.notes, pool, n)) for n in (1, 2)]
        return Arrivals(max(f.last for f in found), sum(f.count for f in found), min(f.first for f in found))

    def arrived(self) -> int:
        return sum(self.arrivals(pool).count for pool in VERSIONS)


@dataclass
class Scene:
    """Instances, and one balancer or several, whose users come in at `ports`."""

    folder: Path
    ports: Sequence[int]
    instances: Instances

    def load(
        self, seconds: float, *, connections: int = CONNECTIONS, rate: float = RATE, path: str = "/", once: bool = False
    ) -> Load:
        """Start a client process; its connections are open when this returns."""
        out = self.folder / f"client-{time.monotonic_ns()}.json"
        argv = [
            sys.executable, "-m", "bench.client", *(f"--port={port}" for port in self.ports), "--rate", str(rate), "--connections",
            str(connections), "--seconds", str(seconds), "--path", path, "--out", str(out), *(["--once"] if once else []),
        ]  # fmt: skip
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            process.kill()
            process.wait()
            raise RuntimeError("the client did not start")
        start = time.time() + 0.1
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
        return Load(process, out, start, connections if once else int(rate * seconds))

    def demand(self, pool: str) -> None:
        """Raises RuntimeError unless users are answered by this pool: no phase begins in a state that it does not expect."""
        for port in [*self.ports] * 4:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                line.request("GET", "/")
                version = line.getresponse().getheader("x-version")
            finally:
                line.close()
            if version != VERSIONS[pool]:
                raise RuntimeError(f"{pool} should be live, but {version} answered")


@dataclass
class Stage(Scene):
    """A scene whose balancer is under changeover's driver. `kind` is one of DRIVERS."""

    kind: str
    balancer: Balancer

    def flip(self, live: str) -> tuple[float, float]:
        """Make a pool live by the driver's commit: when it was entered and left (epoch seconds)."""
        route = Route(live, other(live), 0, 0, 0, "bench")
        entered = time.time()
        reading = self.balancer.commit(route, Always())
        left = time.time()
        if not reading.settled or reading.route != route:
            raise RuntimeError(f"the driver shows {reading}")
        return entered, left

    def start_state(self, live: str = "blue") -> None:
        """This pool is live and all instances are healthy."""
        until(lambda: all(self.balancer.health(pool).healthy == 2 for pool in VERSIONS), "the pools are healthy")
        self.flip(live)
        self.demand(live)


def other(pool: str) -> str:
    return "green" if pool == "blue" else "blue"


def until(true: Callable[[], bool], what: str, within: float = 30.0) -> None:
    """Raises RuntimeError when it is not so after `within` seconds."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within:g} s: {what}")
        time.sleep(0.02)


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _arrivals(notes: Path, pool: str, number: int) -> Path:
    return notes / f"{pool}{number}.arrivals"


@contextmanager
def instances() -> Iterator[tuple[servers.Started, Instances]]:
    """Two pools of two in a folder of their own. What is started with it is stopped at the end.

    What the instances note is kept in memory: on the disk it would be written with every sync of the balancer's own files.
    """
    shared = MEMORY if os.access(MEMORY, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="co-bench-") as name,
        tempfile.TemporaryDirectory(prefix="co-bench-", dir=shared) as noted,
    ):
        folder, notes = Path(name), Path(noted)
        started = servers.Started(folder)
        try:
            ports = servers.free_ports(4)
            found = Instances(folder, notes, {"blue": ports[:2], "green": ports[2:]})
            for pool, listening in found.ports.items():
                for number, port in enumerate(listening, 1):
                    argv = [
                        sys.executable, "-m", "bench.instance", "--port", str(port), "--version", VERSIONS[pool],
                        "--arrivals", str(_arrivals(notes, pool, number)),
                    ]  # fmt: skip
                    process, log = started.start(f"{pool}{number}", argv)
                    servers.wait_for(port, process, log)
            yield started, found
        finally:
            started.stop()


_CONFIGURATION = """\
app: bench
environment: bench
instances:
  type: command
  pools: {{ blue: {blue}, green: {green} }}
  start: ["true", "{{port}}"]
  stop: ["true", "{{port}}"]
  status: ["true", "{{port}}"]
  identity: {{ get: /version }}
  ready: {{ get: /health }}
balancers:
{balancers}
"""


@contextmanager
def stage(kind: str, balancers: int = 1) -> Iterator[Stage]:
    """Start everything, with the configuration that `changeover demo` has too; blue is live when it is handed out."""
    with instances() as (started, found):
        entries, users = servers.balancers(started, kind, found.ports, balancers)
        config = found.folder / "changeover.yml"
        addresses = {pool: [f"127.0.0.1:{port}" for port in ports] for pool, ports in found.ports.items()}
        config.write_text(_CONFIGURATION.format(**addresses, balancers="\n".join(f"  - {entry}" for entry in entries)))
        ready = Stage(found.folder, users, found, kind, wire(of(load(config))).ports.balancer)
        ready.start_state()
        yield ready
