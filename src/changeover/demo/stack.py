"""The demo's environment in one folder: shop, database, balancer, load, changeover.yml. Everything is stopped at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from changeover.core.errors import NotAcknowledged
from changeover.core.model import Version
from changeover.core.steps import Shift
from changeover.demo import servers, shop_store
from changeover.demo.judge import Verdict, Window, judge
from changeover.demo.records import Record, read_records
from changeover.service.door import Changeover
from changeover.service.wiring import open_site

RATE = 150.0  # requests per second
COMMAND_WITHIN = 100.0  # seconds for one command of changeover
Say = Callable[[str], None]

_CONFIGURATION = """\
app: shop
environment: demo
instances:
  type: process
  pools: {{ blue: {blue}, green: {green} }}
  command: [{python}, -m, changeover.demo.shop, --version, "{{version}}", --build, "{{build}}", --port, "{{port}}", --start-log, {folder}/starts.log]
  env: {{ SHOP_DATABASE_URL: "{url}", SHOP_FAULTS: {folder}/faults.json }}
  identity: {{ get: /version, version: version, build: build }}
  ready: {{ get: /ready, times: 3, every: 200ms, within: {ready_within} }}
  stop_within: 15s
balancers:
{balancers}
database:
  type: {database}
  url: "{url}"
  changes: {{ source: changeover, path: db/changes/ }}
  limits: {{ lock: 100ms, lock_deadline: 20s }}
release:
  shift: {shift}
  bake: {bake}
  drain: {{ soft: 3s, hard: 30s, at_deadline: wait }}
  keep_old: 0s
  unwatched: {unwatched}
  go_back_when:
    - {{ metric: errors_5xx, above: 5%, min_requests: 20 }}
    - {{ metric: fallbacks }}
    - {{ instance: unhealthy, for: 2s }}
probes:
  - {{ name: orders, command: [{python}, -m, changeover.demo.shop, --probe, --version, "{{version}}"], timeout: 10s }}
smoke:
  - {{ get: /health }}
  - {{ get: "/orders?customer=nobody" }}
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a scenario wants of its environment. `changes`: how the schema changes are written, `operations` or `sql`."""

    balancer: str
    database: str
    changes: str = "operations"
    shift: str = "[25%, 100%]"
    bake: str = "2s"
    unwatched: str = "10s"
    rate: float = RATE
    balancers: int = 1

    @property
    def ready_within(self) -> str:
        """AWS takes its time until it calls a target healthy."""
        return "20s" if self.balancer in ("alb", "elb") else "10s"

    @property
    def dialect(self) -> str:
        """What changeover calls the database: its `type` in changeover.yml."""
        return "mysql" if self.database == "mariadb" else self.database


@dataclass(slots=True)
class Stack:
    """A running environment. `say` gets every line that people should see."""

    folder: Path
    wish: Wish
    say: Say
    started: servers.Started
    url: str = ""
    entry: int = 0
    others: tuple[int, ...] = ()  # where users come in, too
    load: subprocess.Popen[bytes] | None = None
    steps: list[dict[str, object]] = field(default_factory=list)
    moved: list[tuple[float, str]] = field(default_factory=list)  # (when a command began, what)

    @property
    def config(self) -> Path:
        return self.folder / "changeover.yml"

    def door(self) -> Changeover:
        """The door to this environment, for looking."""
        return Changeover(open_site(self.config))

    # start and stop ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Database, 1.0.0 on blue, balancer, load; returns when requests are answered."""
        blue, green = (ports := servers.free_ports(4))[:2], ports[2:]
        pools = {"blue": blue, "green": green}
        match self.wish.database:
            case "postgresql":
                self.url = servers.postgresql(self.started)
            case "mariadb":
                self.url = servers.mariadb(self.started)
            case _:
                self.url = f"sqlite:///{self.folder}/shop.db"
        shop_store.create_schema(self.url)
        shop_store.seed(self.url, 2000)
        written = shop_store.operations if self.wish.changes == "operations" else shop_store.changes
        shutil.copytree(written(self.wish.dialect), self.folder / "db" / "changes")
        entries, ports_ = self.start_balancers(pools)
        self.entry, self.others = ports_[0], tuple(ports_[1:])
        self.config.write_text(
            _CONFIGURATION.format(
                blue=blue, green=green, python=sys.executable, folder=self.folder, url=self.url,
                balancers="\n".join(f"  - {entry}" for entry in entries),
                database=self.wish.dialect, shift=self.wish.shift, bake=self.wish.bake, unwatched=self.wish.unwatched,
                ready_within=self.wish.ready_within,
            )
        )  # fmt: skip
        self.bootstrap("1.0.0")
        self.start_load()

    def start_balancers(self, pools: Mapping[str, Sequence[int]]) -> tuple[list[str], list[int]]:
        """Returns (the entries of `balancers:`, the ports of users). Raises ToolMissing."""
        return servers.balancers(self.started, self.wish.balancer, pools, self.wish.balancers)

    def bootstrap(self, version: str) -> None:
        """The version that serves before anything is released: what a real site has already."""
        runtime = self.door().site.ports.runtime
        for slot in runtime.slots("blue"):
            runtime.start(slot, Version.of(version), f"build-{version}", _First())
        self.until(lambda: self.door().status().world.health["blue"].healthy == 2, "v1.0.0 is ready")

    def start_load(self) -> None:
        """The client: a process of its own, records every request, never retries."""
        argv = [
            sys.executable, "-m", "changeover.demo.load", "--url", f"http://127.0.0.1:{self.entry}", "--rate", str(self.wish.rate),
            "--out", str(self.folder / "requests.jsonl"), "--control", str(self.folder / "load.json"),
            *(word for port in self.others for word in ("--also", f"http://127.0.0.1:{port}")),
        ]  # fmt: skip
        self.load, _ = self.started.start("load", argv)
        self.until((self.folder / "requests.jsonl").exists, "the load has begun")
        time.sleep(2.0)  # a stretch of steady traffic to compare with

    def steer(self, **wanted: float) -> None:
        """Change rate and mix of the running load."""
        write(self.folder / "load.json", json.dumps(wanted))

    def faults(self, content: dict[str, object]) -> None:
        """Tell versions of the shop to misbehave."""
        write(self.folder / "faults.json", json.dumps(content))

    def stop_load(self) -> None:
        """Let the client finish what is under way and flush its records."""
        if self.load is not None and self.load.poll() is None:
            self.load.send_signal(signal.SIGTERM)
            self.load.wait(60)

    def stop(self) -> None:
        """Stop whatever was started for this folder, workers of the tool and instances included."""
        mine = str(self.folder)
        found = [p for p in psutil.process_iter() if p.pid != os.getpid() and _belongs(p, mine)]
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(found, timeout=servers.STOP_WITHIN)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.started.stop()

    # doing ------------------------------------------------------------------------------------------------

    def spawn(self, *argv: str) -> subprocess.Popen[str]:
        """One command of changeover, as a person would type it; its words are shown as they come."""
        self.say(f"$ changeover {' '.join(argv)}")
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "changeover", "-c", str(self.config), *argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def command(self, *argv: str, expect: int = 0) -> int:
        """Run a command to its end. Raises Unexpected if it does not end as expected."""
        began = time.time()
        process = self.spawn(*argv)
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.say(f"  {line.rstrip()}")
        status = process.wait(COMMAND_WITHIN)
        took = round(time.time() - began, 2)
        self.steps.append({"command": "changeover " + " ".join(argv), "exit": status, "seconds": took})
        self.moved.append((began, " ".join(argv)))
        if status != expect:
            raise Unexpected(f"`changeover {' '.join(argv)}` ended {status}, not {expect}")
        return status

    def release(self, version: str, *, expect: int = 0) -> None:
        """Release a version; the triggers of 1.1.0 are a WARN that a named person accepts."""
        self.command(
            "release", version, "--build", f"build-{version}", "--yes", "--wait", *self.acks(version), expect=expect
        )

    def acks(self, version: str) -> list[str]:
        """The acknowledgements that the plan of a release asks for."""
        return _asked(lambda: self.door().plan(version, build=f"build-{version}"))

    def cleanup_acks(self) -> list[str]:
        """The acknowledgements that the plan of the cleanup asks for."""
        return _asked(self.door().plan_cleanup)

    def serves(self, version: str) -> None:
        """Raises Unexpected unless the version serves everything."""
        status = self.door().status()
        route = status.world.route.route
        if status.serving != version or route is None or route.share_of(route.live, status.world.at) != 10_000:
            raise Unexpected(f"v{version} should serve everything; observed: {status.sentence}")

    def until(self, fact: Callable[[], bool], words: str, within: float = 60.0) -> None:
        """Wait until something is so. Raises Unexpected at the deadline."""
        deadline = time.monotonic() + within
        while not fact():
            if time.monotonic() > deadline:
                raise Unexpected(f"not so after {within:g} s: {words}")
            time.sleep(0.1)

    # judging -----------------------------------------------------------------------------------------------

    def shifts(self) -> list[tuple[float, str, str, bool]]:
        """Every shift of every run: (when the driver was asked, old version, new version, whether it is a flip)."""
        door = self.door()
        found = []
        for run in reversed(door.history()):
            plan = door.plan_of(run.id)
            versions = {s.key: s.action for s in plan.steps if s.action.kind == "shift"}
            for event in door.events(run.id):
                action = versions.get(event.step)
                if event.kind == "asked" and isinstance(action, Shift):
                    found.append((event.at, plan.source.text, plan.target.text, action.is_flip))
        return found

    def flips(self) -> list[tuple[float, str, str]]:
        """The shifts that moved everything."""
        return [(at, old, new) for at, old, new, is_flip in self.shifts() if is_flip]

    def judged(self) -> tuple[Verdict, list[dict[str, object]]]:
        """Stop the load and judge: what the client recorded against what lies in the database."""
        self.stop_load()
        records = read_records(self.folder / "requests.jsonl")
        shifts = self.shifts()
        flips = [(at, old, new) for at, old, new, is_flip in shifts if is_flip]
        start = records[0].planned if records else 0.0
        moving = [Window(f"flip {n}", at - 0.5, at + 1.5) for n, (at, _, _) in enumerate(flips)]
        first = min([at for at, _ in self.moved], default=start + 1e9)
        verdict = judge(records, shop_store.orders(self.url), [Window("steady", start, first), *moving])
        return verdict, flip_times(shifts, records)

    def starts(self) -> list[str]:
        """The outside witness: every start of an instance, written by the instance itself."""
        path = self.folder / "starts.log"
        return path.read_text().splitlines() if path.exists() else []


def flip_times(shifts: Sequence[tuple[float, str, str, bool]], records: Sequence[Record]) -> list[dict[str, object]]:
    """For each flip of `Stack.shifts`, for how many seconds the old version was still sent requests, until the next shift."""
    told: list[dict[str, object]] = []
    ends = [*(at for at, *_ in shifts[1:]), float("inf")]
    for (at, old, new, is_flip), end in zip(shifts, ends, strict=False):  # no shift: there is one end too many
        if is_flip:
            late = [r.sent for r in records if r.version == old and at <= r.sent < end]
            told.append({"from": old, "to": new, "seconds": round(max(late, default=at) - at, 4)})
    return told


def _asked(plan: Callable[[], object]) -> list[str]:
    try:
        plan()
    except NotAcknowledged as error:
        words = " ".join(error.next).split()
        return [w for pair in pairwise(words) if pair[0] == "--ack" for w in pair]
    return []


class Unexpected(Exception):
    """The scenario did not go as it should."""


class _First:
    """The fence of the very first start: older than any run's."""

    token = 0
    run = "first"

    def check(self) -> None:
        """Nobody else is there yet."""


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in process.cmdline()) and process.pid not in _mine()
    except psutil.Error:
        return False


def _mine() -> set[int]:
    return {os.getpid(), os.getppid()}


def write(path: Path, text: str) -> None:
    """Replace a file as a whole: readers never see half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
