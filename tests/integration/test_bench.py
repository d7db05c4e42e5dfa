"""The benchmark runs and sees what is lost. What takes how long is judged by `make bench` alone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from bench import shares, visitors
from bench.client import Client
from bench.figures import Figure, lost, percentile
from bench.instance import PAUSE, arrivals
from bench.stage import DRIVERS, stage
from bench.wire import parse, reply
from tests.fixtures import mysql, postgresql
from tests.fixtures.envoy import need_envoy
from tests.fixtures.need import need

from changeover.core.model import Route, RouteReading
from changeover.core.ports import Balancer, Capabilities, Fence
from changeover.demo.servers import Started, free_ports, wait_for
from changeover.drivers.memory import MemoryBalancer, MemoryWorld

ROOT = Path(__file__).parents[2]


def run(*arguments: str, folder: Path) -> list[dict[str, Any]]:
    out = folder / "bench.json"
    argv = [sys.executable, "-m", "bench", *arguments, "--quick", "--json", str(out)]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    content = json.loads(out.read_text())
    assert content["format"] == "changeover.bench/1"
    figures: list[dict[str, Any]] = content["figures"]
    return figures


@pytest.mark.parametrize("balancer", ["haproxy", "envoy"])
def test_flips_lose_nothing(balancer: str, tmp_path: Path) -> None:
    need("haproxy") if balancer == "haproxy" else need_envoy()
    figures = run("flips", "--balancer", balancer, folder=tmp_path)
    found = next(f for f in figures if f["name"] == "requests lost")
    assert found["value"] == 0
    assert found["judged"]
    assert not any(f["judged"] for f in figures if f["unit"] == "x"), "a smoke run judges no time"


def test_several_balancers_are_flipped_and_their_calls_counted(tmp_path: Path) -> None:
    need("haproxy")
    figures = {f["name"]: f for f in run("many", folder=tmp_path)}
    alone, of_two, of_three = (
        figures[f"{n}: calls to each control plane"] for n in ("1 balancer", "2 balancers", "3 balancers")
    )
    assert 0 < alone["value"] < of_two["value"] == of_three["value"]
    assert of_two["judged"]
    assert of_three["judged"]
    assert of_three["bound"] == of_two["value"], "more balancers are not more calls to each"
    for name in ("1 balancer", "3 balancers"):
        whole, last = figures[f"{name}: the whole commit"], figures[f"{name}: last arrival at the old version"]
        assert 0 < last["value"] < whole["value"]
        assert figures[f"{name}: floor, one bare `set map` to each"]["value"] > 0


@pytest.mark.parametrize("balancer", DRIVERS)
def test_shares_are_measured(balancer: str, tmp_path: Path) -> None:
    need_envoy() if balancer == "envoy" else need("haproxy") if balancer.startswith("haproxy") else None
    figures = {f["name"]: f for f in run("shares", "--balancer", balancer, folder=tmp_path)}
    cut = 2 if balancer == "elb" else 4  # of pools of two, one in three is the finest
    assert [f["unit"] for f in figures.values()] == ["points"] * cut + ["visitors"] * 3
    kept = figures["changed sides though the share stayed"]
    sticks = balancer not in ("haproxy-servers", "elb")
    assert kept["bound"] == (0 if sticks else None)
    assert (kept["value"] == 0) == sticks


@dataclass
class Halving:
    """A driver that gives half of what it was asked for, and forgets the visitors of before."""

    driver: Balancer
    capabilities: Capabilities = field(default_factory=Capabilities)
    salt: int = 0

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        if not route.share:
            return self.driver.commit(route, fence)
        self.salt += 3333
        return self.driver.commit(replace(route, share=route.share // 2, salt=self.salt % 10_000), fence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)


def test_a_driver_that_gives_another_share_is_seen() -> None:
    need("haproxy")
    with stage("haproxy") as scene:
        scene.balancer = Halving(scene.balancer)  # type: ignore[assignment]
        figures = {f.name: f for f in shares.measure(scene, quick=True)}
    assert not figures["asked for 50 %: off"].ok
    assert figures["asked for 50 %: off"].value == pytest.approx(25, abs=4)
    assert not figures["sent back to the old version as the share grew"].ok
    assert figures["changed sides though the share stayed"].ok


def test_only_shares_that_the_driver_can_cut_are_asked_for() -> None:
    world = MemoryWorld()
    assert shares.cut(MemoryBalancer(world)) == [100, 500, 2500, 5000]
    assert shares.cut(MemoryBalancer(world, capabilities=Capabilities(finest_share=3333))) == [2500, 5000]


def have(engine: str) -> None:
    postgresql.programs() if engine == "postgresql" else mysql.program("mariadbd")


def counts(figures: list[dict[str, Any]]) -> dict[str, float]:
    assert not any(f["judged"] for f in figures if f["unit"] == "x"), "a smoke run judges no time"
    return {f["name"]: f["value"] for f in figures if f["unit"] != "x" and f["bound"] == 0}


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_backfill_fills_every_row_and_loses_no_write(engine: str, tmp_path: Path) -> None:
    have(engine)
    assert counts(run("backfill", "--engine", engine, folder=tmp_path)) == {
        "requests of those clients that failed": 0,
        "their writes that are lost": 0,
        "rows not filled, or not equal, afterwards": 0,
    }


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_an_alter_behind_a_reader_loses_no_request(engine: str, tmp_path: Path) -> None:
    have(engine)
    found = counts(run("lock", "--engine", engine, folder=tmp_path))
    assert found == {"requests that failed": 0, "writes that are lost": 0}


@contextmanager
def server(answers: list[bytes]) -> Iterator[int]:
    """One connection after the other; each gets one of the answers to its first request and is closed then."""

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            thread.join(20)


def errors(answers: list[bytes], requests: int) -> list[str]:
    with server(answers) as port:
        client = Client([port], "/", 1)
        try:
            client.run(0.0, 1e9, requests)  # all of them are due
        finally:
            client.close()
    return [record.error for record in client.records]


def test_a_request_on_a_connection_that_was_closed_meanwhile_is_lost_and_never_sent_again() -> None:
    found = errors([reply("1.0.0"), reply("1.0.0")], 3)
    assert found[0] == ""
    assert found[1] != "", "the client must not look before it writes"
    assert found[2] == "", "the request after it gets a new connection"


@pytest.mark.parametrize(
    "answer", [reply("1.0.0").replace(b"200 OK", b"503 No"), b"HTTP/1.1 200 OK\r\n\r\n", b""], ids=str
)
def test_a_visitor_who_is_not_served_by_a_version_is_an_error(answer: bytes) -> None:
    with server([answer]) as port, pytest.raises(RuntimeError):
        visitors.send(port, [""])


def test_a_visitor_keeps_the_cookie_that_he_is_given() -> None:
    giving = reply("1.1.0").replace(b"\r\n", b"\r\nSet-Cookie: side=7; Path=/\r\n", 1)
    with server([giving]) as port:
        assert visitors.send(port, [""]) == [("1.1.0", "side=7")]
    with server([reply("1.1.0")]) as port:
        assert visitors.send(port, ["side=8"]) == [("1.1.0", "side=8")]


def test_an_instance_notes_the_first_arrival_after_a_pause(tmp_path: Path) -> None:
    path = tmp_path / "arrivals"
    (port,) = free_ports(1)
    started = Started(tmp_path)
    argv = [sys.executable, "-m", "bench.instance", "--port", str(port), "--version", "1.0.0", "--arrivals", str(path)]
    try:
        wait_for(port, *started.start("instance", argv))
        visitors.send(port, [""] * 3)
        before = arrivals(path)
        time.sleep(3 * PAUSE)
        begun = time.time()
        visitors.send(port, [""] * 3)
        after = arrivals(path)
    finally:
        started.stop()
    assert (before.count, after.count) == (3, 6)
    assert before.first <= before.last < begun <= after.first <= after.last


def test_an_announced_close_loses_nothing() -> None:
    closing = reply("1.0.0").replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    assert errors([closing, closing, closing], 3) == ["", "", ""]


def test_an_answer_of_no_version_is_a_loss() -> None:
    nobody = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    refused = reply("1.0.0").replace(b"200 OK", b"503 No")
    assert errors([nobody, refused], 2) == ["status 200 without a version", "status 503 by 1.0.0"]


def test_half_an_answer_is_no_answer() -> None:
    whole = reply("1.0.0")
    assert all(parse(whole[:end]) is None for end in range(len(whole)))
    answer = parse(whole)
    assert answer is not None
    assert (answer.status, answer.version, answer.keep) == (200, "1.0.0", True)


def test_a_bound_that_does_not_hold_fails() -> None:
    assert not lost("", "", 1, 1000).ok
    assert not Figure("", "", 3.1, "x", 3).ok
    assert not Figure("", "", 9.9, "x", 10, at_least=True).ok
    assert Figure("", "", 10.0, "x", 10, at_least=True).ok
    assert "0.3000%" in lost("", "", 0, 1000).note  # the rule of three


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile(range(1, 101), 99) == 99
    assert percentile([5.0], 50) == 5.0
