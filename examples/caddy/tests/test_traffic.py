"""What visitors meet while a real Caddy changes its route."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import client
from changeover_caddy import config
from changeover_caddy.log import AccessLog
from running_caddy import SECRET, Caddy, caddy
from tests.fixtures.long_lived import UPGRADE

from changeover.core.errors import BalancerUnreachable
from changeover.core.model import Counters, Route
from changeover.testing.cases import BLUE, GREEN, TestFence, until

ROOT = Path(__file__).resolve().parents[3]
HOME, FLIPPED = Route(BLUE, GREEN, mark="home"), Route(GREEN, BLUE, mark="flipped")
CANARY = Route(BLUE, GREEN, 9999, mark="canary")


@pytest.fixture
def running() -> Iterator[Caddy]:
    with caddy() as one:
        yield one


# nothing is lost -----------------------------------------------------------------------------------------------------


def recorded(one: Caddy) -> list[client.Record]:
    """What a client saw that reuses connections blindly and never retries, while the route goes to and fro."""
    out = one.directory / "requests.json"
    argv = [sys.executable, "-m", "bench.client", "--port", str(one.port), "--rate", "200", "--connections", "20"]
    argv += ["--seconds", "8", "--out", str(out)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write(f"{time.time() + 0.2}\n")
        process.stdin.flush()
        for number in range(12):
            time.sleep(0.3)
            assert one.driver.commit((FLIPPED, CANARY, HOME)[number % 3], TestFence()).settled
        assert process.wait(60) == 0
    return client.read(out)


@pytest.mark.usefixtures("as_the_page_says")
def test_no_request_is_lost_while_the_route_goes_to_and_fro() -> None:
    with caddy() as one:
        one.driver.commit(HOME, TestFence())
        records = recorded(one)
    assert len(records) == 1600
    assert [r.error for r in records if r.error] == []


def test_with_idle_connections_a_careless_client_loses_requests_and_the_record_shows_it() -> None:
    """Why `keep_alive` is off unless somebody asks for it; and that the test above can fail."""
    with caddy(keep_alive=True) as one:
        one.driver.commit(HOME, TestFence())
        records = recorded(one)
    assert sum(r.reused for r in records) > 500
    assert {r.error for r in records if r.error} != set()


def test_a_request_that_an_instance_may_have_done_is_not_sent_to_the_other_version(running: Caddy) -> None:
    """The candidate dies while it works on a POST. Whoever falls back then does the work twice."""
    running.driver.commit(CANARY, TestFence())
    answers: list[int] = []

    def post() -> None:
        line = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        line.request("POST", "/slow?s=10", headers={"content-length": "0"})
        answers.append(line.getresponse().status)
        line.close()

    thread = threading.Thread(target=post)
    thread.start()
    until(lambda: running.driver.in_flight(GREEN).requests == 1)
    before = running.driver.counters(GREEN)
    running.kill(GREEN)
    thread.join(20)
    assert answers == [502]
    assert [r for i in running.pools[BLUE] for r in i.received if r.method == "POST"] == []
    until(lambda: running.driver.counters(GREEN).since(before).requests)
    assert running.driver.counters(GREEN).since(before) == Counters(1, 0, 1, 0)


def test_the_live_pool_with_one_dead_instance_loses_nothing(running: Caddy) -> None:
    running.pools[BLUE][0].stop()
    assert {running.get().status for _ in range(100)} == {200}


def test_live_waits_for_an_instance_that_comes_back(running: Caddy) -> None:
    running.kill(BLUE)
    with running.slow(0.1) as answer:
        time.sleep(0.5)
        running.revive(BLUE)
        assert answer().status == 200


# connections of before -------------------------------------------------------------------------------------------------


def test_a_silent_connection_of_before_is_shown_until_it_can_bring_nothing_more(running: Caddy) -> None:
    """Opened before the flip, first used after it: Caddy serves it by the configuration of then."""
    running.driver.commit(HOME, TestFence())
    early, late = (socket.create_connection(("127.0.0.1", running.port), timeout=15) for _ in range(2))
    with early, late:
        time.sleep(0.2)  # until Caddy has accepted both
        reading = running.driver.commit(FLIPPED, TestFence())
        assert list(reading.leaving.values()) == [HOME]
        assert b"X-Pool: blue" in ask(early)
        until(lambda: not running.driver.read().leaving, within=config.LEAVE + 2)
        assert b"X-Pool: blue" not in ask(late), "it may be stopped by now"
    assert running.get().pool == GREEN


def ask(line: socket.socket) -> bytes:
    received = b""
    try:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while piece := line.recv(65536):
            received += piece
    except OSError:
        return received
    return received


def test_nothing_leaves_when_everybody_stays(running: Caddy) -> None:
    running.driver.commit(HOME, TestFence())
    running.driver.commit(Route(BLUE, GREEN, mark="again"), TestFence(token=2))
    assert running.driver.read().leaving == {}


# websockets ------------------------------------------------------------------------------------------------------------


def test_a_websocket_is_carried_counted_and_closed_by_a_change(running: Caddy) -> None:
    """The last is what Caddy 2.6 does, and what the README warns of: a frame that says *going away* (1001)."""
    running.driver.commit(HOME, TestFence())
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as line:
        line.sendall(UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(4096)
        assert head.startswith(b"HTTP/1.1 101")
        line.sendall(b"hello")
        assert line.recv(4096) == b"hello"
        assert running.driver.in_flight(BLUE).requests == 1
        running.driver.commit(FLIPPED, TestFence())
        assert line.recv(4096) == b"\x88\x02\x03\xe9"
    until(lambda: running.driver.in_flight(BLUE).is_zero)


# the access log ----------------------------------------------------------------------------------------------------------


def test_the_secret_of_the_preview_stays_out_of_the_log(running: Caddy) -> None:
    log = running.directory / "access.log"
    assert running.get("/seen", headers={config.HEADER: SECRET}).pool == GREEN
    until(lambda: "/seen" in log.read_text())
    assert SECRET not in log.read_text()


def test_a_visitor_cannot_write_into_the_counts(running: Caddy) -> None:
    before = running.driver.counters(GREEN)
    for name in (config.POOL, config.WANTED, config.FAILED):
        assert running.get(headers={name: GREEN}).pool == BLUE
    mark = running.driver.counters(BLUE)
    running.get()
    until(lambda: running.driver.counters(BLUE).since(mark).requests == 1)
    assert running.driver.counters(GREEN) == before


def line_of(pool: str, status: int = 200, **more: str) -> str:
    headers = {config.POOL: [pool], **{name.replace("_", "-"): [value] for name, value in more.items()}}
    return json.dumps({"status": status, "resp_headers": headers}) + "\n"


def test_a_log_that_is_moved_away_is_counted_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(line_of(BLUE))
    log = AccessLog(path)
    assert log.counters(BLUE).requests == 1
    with path.open("a") as old:
        old.write(line_of(BLUE, 500) + line_of(GREEN)[:20])
        old.flush()
        assert log.counters(BLUE) == Counters(2, 1, 0, 0)  # half a line is none yet
        old.write(line_of(GREEN)[20:])
        old.flush()
        path.rename(tmp_path / "access.log.1")
        path.write_text(line_of(BLUE))
        assert (log.counters(BLUE).requests, log.counters(GREEN).requests) == (3, 1)
    path.write_text("")
    assert log.counters(BLUE).requests == 3
    path.write_text(line_of(BLUE))
    assert log.counters(BLUE).requests == 4


def test_a_log_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with pytest.raises(BalancerUnreachable, match="cannot be read"):
        AccessLog(path).counters(BLUE)
    path.write_text("127.0.0.1 - - [25/Nov/2026] 200\n")
    with pytest.raises(BalancerUnreachable, match="cannot be read"):
        AccessLog(path).counters(BLUE)


# visitors ----------------------------------------------------------------------------------------------------------------


def test_caddy_decides_as_the_pattern_says(running: Caddy) -> None:
    running.driver.commit(Route(BLUE, GREEN, 2500, 4, mark="canary"), TestFence())
    wanted = re.compile(config.pattern(2500, 4))
    for _ in range(40):
        reply = running.get()
        bucket = reply.headers["set-cookie"].partition(";")[0].partition("=")[2]
        assert reply.pool == (GREEN if wanted.match(bucket) else BLUE)


def test_a_cookie_that_is_none_of_ours_is_replaced(running: Caddy) -> None:
    running.driver.commit(Route(BLUE, GREEN, 5000, mark="canary"), TestFence())
    for cookie in ("changeover_bucket=", "changeover_bucket=1234", "x" + "changeover_bucket=" + "0" * 36):
        reply = running.get(headers={"cookie": cookie})
        assert reply.headers["set-cookie"].startswith("changeover_bucket=")
