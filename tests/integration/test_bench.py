"""The benchmark runs and sees what is lost. What takes how long is judged by `make bench` alone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.client import Client
from bench.figures import Figure, lost, percentile
from bench.wire import parse, reply
from tests.fixtures import mysql, postgresql
from tests.fixtures.envoy import need_envoy
from tests.fixtures.need import need

ROOT = Path(__file__).parents[2]


def run(*arguments: str, folder: Path) -> list[dict[str, Any]]:
    out = folder / "bench.json"
    argv = [sys.executable, "-m", "bench", *arguments, "--quick", "--json", str(out)]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
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
    figures = {f["name"]: f["value"] for f in run("many", folder=tmp_path)}
    assert figures["2 balancers: control-plane calls"] > figures["1 balancer: control-plane calls"] > 0
    assert figures["2 balancers: the driver's commit"] > 0


@pytest.mark.parametrize("balancer", ["haproxy", "haproxy-servers"])
def test_shares_are_measured(balancer: str, tmp_path: Path) -> None:
    need("haproxy")
    figures = run("shares", "--balancer", balancer, folder=tmp_path)
    assert [f["ok"] for f in figures] == [True] * 4


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
        client = Client(port, "/", 1)
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
