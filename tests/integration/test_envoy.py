"""What only a real Envoy, or a hostile one, can show. What every balancer must do is in the contract suite."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.envoy import Envoy, envoy

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, BalancerUnreachable, FencedOut
from changeover.core.model import Route
from changeover.drivers.balancers.envoy import EnvoyBalancer, EnvoySettings
from changeover.drivers.balancers.envoy_config import command
from changeover.drivers.balancers.envoy_route import Terms, bucket_cookie, parse_file
from changeover.testing.cases import BLUE, GREEN, START, Reply, TestFence, pools_of, until

FLIPPED = Route(GREEN, BLUE, mark="flipped")


@pytest.fixture(scope="module")
def shared() -> Iterator[Envoy]:
    with envoy() as running:
        yield running


@pytest.fixture
def edge(shared: Envoy) -> Envoy:
    """The same Envoy for every test, with everything healthy and all traffic on blue."""
    for instances in shared.pools.values():
        for instance in instances:
            instance.fail_with = 0
            if not instance.running:
                instance.start()
    until(lambda: all(shared.driver.health(pool).healthy == 2 for pool in (BLUE, GREEN)))
    for mark in shared.routes.parent.glob(".live.json.fence.*"):
        mark.unlink()
    if shared.routes.exists():
        shared.routes.chmod(0o600)
    shared.driver.commit(START, TestFence())
    until(lambda: shared.get().pool == BLUE)
    return shared


def canary(share: int, salt: int = 0) -> Route:
    return Route(BLUE, GREEN, share, salt, mark="canary")


def findings(balancer: EnvoyBalancer) -> dict[str, str]:
    return {f.subject: f.detail for f in balancer.inspect() if not f.ok}


# the route file --------------------------------------------------------------------------------------


def test_the_bootstrap_is_valid(edge: Envoy) -> None:
    check = subprocess.run(
        command(edge.program, str(edge.config), check=True), capture_output=True, text=True, timeout=30, check=False
    )
    assert check.returncode == 0, check.stderr


def test_a_refused_update_keeps_the_old_route_everywhere(edge: Envoy) -> None:
    """Also on the disk: a restart with a file that Envoy refuses would have no route at all."""
    impossible = EnvoyBalancer(edge.settings(silence=1e15))  # longer than a protobuf duration can be
    with pytest.raises(BalancerRefused, match="refused the route file") as caught:
        impossible.commit(FLIPPED, TestFence())
    assert "earlier route" in caught.value.now
    reading = edge.driver.read()
    assert reading.settled
    assert reading.route == START
    assert edge.get().pool == BLUE
    edge.restart()
    assert edge.get().pool == BLUE


def test_a_cluster_that_is_missing_is_refused_before_anything_is_written(edge: Envoy) -> None:
    before = edge.routes.read_text()
    stranger = EnvoyBalancer(edge.settings(clusters={BLUE: "blue", GREEN: "verde"}))
    with pytest.raises(BalancerRefused, match="verde"):
        stranger.commit(FLIPPED, TestFence())
    assert edge.routes.read_text() == before
    assert "verde" in findings(stranger)["pool green"]
    with pytest.raises(BalancerMisconfigured):
        stranger.health(GREEN)


def test_a_route_configuration_that_nobody_asks_for_is_refused_before_anything_is_written(edge: Envoy) -> None:
    before = edge.routes.read_text()
    stranger = EnvoyBalancer(edge.settings(route_name="other"))
    with pytest.raises(BalancerMisconfigured, match="no listener"):
        stranger.commit(FLIPPED, TestFence())
    assert edge.routes.read_text() == before
    assert "listener" in findings(stranger)


def test_another_file_than_envoys_is_found_by_doctor_and_by_the_read_back(edge: Envoy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "live.json"
    elsewhere.write_text(edge.routes.read_text())
    stranger = EnvoyBalancer(edge.settings(routes=str(elsewhere), deadline=0.3))
    assert str(edge.routes) in findings(stranger)["listener"]
    with pytest.raises(BalancerRefused, match="does not show"):
        stranger.commit(FLIPPED, TestFence())
    assert edge.driver.read().route == START


@pytest.mark.parametrize("garbage", ["", "{", '{"resources": []}', "\x00\xff", '{"version_info": "1"}'])
def test_a_broken_file_on_disk_is_shown_and_the_next_commit_repairs_it(edge: Envoy, garbage: str) -> None:
    edge.replace(garbage)
    reading = edge.driver.read()
    assert reading.route == START  # Envoy goes on with what it has
    assert reading.durable is None
    assert not reading.settled
    assert str(edge.routes) in reading.problem
    assert "route" in findings(edge.driver)
    assert edge.get().pool == BLUE
    assert edge.driver.commit(FLIPPED, TestFence()).settled
    assert edge.get().pool == GREEN


def test_a_missing_file_is_shown_and_the_next_commit_repairs_it(edge: Envoy) -> None:
    edge.routes.unlink()
    reading = edge.driver.read()
    assert (reading.route, reading.durable) == (START, None)
    assert edge.driver.commit(FLIPPED, TestFence()).settled


def test_an_edited_weight_is_no_route_of_ours(edge: Envoy) -> None:
    edge.driver.commit(canary(500), TestFence())
    text = edge.routes.read_text()
    edited = text.replace('"weight": 500', '"weight": 5000').replace('"weight": 9500', '"weight": 5000')
    assert edited != text
    edge.replace(edited)
    until(lambda: edge.driver.read().route is None)
    assert "weight" in edge.driver.read().problem
    assert edge.driver.commit(START, TestFence()).settled


def test_envoy_without_a_route_says_so_and_a_commit_brings_the_traffic_back() -> None:
    with envoy() as edge:
        edge.stop()
        edge.routes.write_text("broken")
        edge.start()
        assert edge.get().status == 404
        reading = edge.driver.read()
        assert reading.workers == {"envoy": None}
        assert "404" in reading.problem
        assert edge.driver.commit(START, TestFence()).settled
        assert edge.get().pool == BLUE


# the fence ----------------------------------------------------------------------------------------------


def test_an_owner_that_is_taken_over_while_it_waits_for_the_read_back_says_so(edge: Envoy, tmp_path: Path) -> None:
    """Its file is not the one that Envoy reads, so it waits; then a newer owner arrives."""
    elsewhere = tmp_path / "live.json"
    waiting = EnvoyBalancer(edge.settings(routes=str(elsewhere), deadline=60.0))
    with ThreadPoolExecutor(1) as pool:
        commit = pool.submit(waiting.commit, FLIPPED, TestFence(token=7))
        until(elsewhere.exists)
        (tmp_path / ".live.json.fence.8").touch()
        with pytest.raises(FencedOut, match="fence 8"):
            commit.result(20)


# hostile admin ports --------------------------------------------------------------------------------------


@contextlib.contextmanager
def hostile(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """An admin port that reads a request and then does what `answer` does. Yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as pool:
        ended = threading.Event()

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                connection.recv(65536)
                answer(connection)
                if answer is hang:
                    while not ended.is_set() and connection.recv(1):
                        pass

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    pool.submit(serve, listener.accept()[0])

        pool.submit(accept)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)


def hang(_: socket.socket) -> None:
    """Say nothing; the connection stays open."""


def drip(connection: socket.socket) -> None:
    """A byte now and then, so that no single read ever times out."""
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b" " * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)


def says(*pieces: str) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall("".join(pieces).encode())


def whole(body: str, status: str = "200 OK") -> Callable[[socket.socket], None]:
    return says(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n", body)


HOSTILE = {
    "hangs": hang,
    "drips": drip,
    "closes": lambda _: None,
    "half a head": says("HTTP/1.1 200 O"),
    "half a body": says('HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"configs": ['),
    "half a chunk": says('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{"configs'),
    "half a JSON": says('HTTP/1.1 200 OK\r\n\r\n{"configs": ['),
    "not HTTP": says("-ERR unknown command\r\n"),
    "503": whole("warming", "503 Service Unavailable"),
    "403": whole("no", "403 Forbidden"),
    "HTML": whole("<html>login</html>"),
    "a list": whole("[]"),
    "null": whole("null"),
    "a string": whole('"ok"'),
    "configs null": whole('{"configs": null, "stats": null, "cluster_statuses": null}'),
    "configs of numbers": whole('{"configs": [1], "stats": [1], "cluster_statuses": [1]}'),
    "deep": whole("[" * 100_000),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_a_hostile_admin_port_is_unknown_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    routes = tmp_path / "live.json"
    routes.write_text("as it was")
    with hostile(HOSTILE[kind]) as address:
        clusters = {BLUE: "blue", GREEN: "green"}
        settings = EnvoySettings("edge", address, str(routes), clusters, "http://x", str(tmp_path / "s"), timeout=0.3)
        driver = EnvoyBalancer(settings)
        for ask in (
            driver.read,
            lambda: driver.health(BLUE),
            lambda: driver.counters(BLUE),
            lambda: driver.commit(START, TestFence()),
        ):
            with pytest.raises(BalancerUnreachable) as caught:
                ask()
            assert caught.value.next
            assert len(caught.value.what) < 300
        flying = driver.in_flight(BLUE)
        assert (flying.requests, flying.is_zero) == (None, False)
        assert any(not f.ok and f.fatal for f in driver.inspect())
    assert routes.read_text() == "as it was"


def test_a_port_where_nobody_listens_is_unknown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    settings = EnvoySettings(
        "edge", address, str(tmp_path / "r"), {BLUE: "b", GREEN: "g"}, "http://x", str(tmp_path / "s")
    )
    with pytest.raises(BalancerUnreachable, match="refuses connections"):
        EnvoyBalancer(settings).read()


def test_control_lost_after_the_write_says_what_is_known(edge: Envoy) -> None:
    driver = EnvoyBalancer(edge.settings(deadline=0.3))
    last = _checks_of_a_commit(edge)
    with pytest.raises(BalancerUnreachable, match="was written") as caught:
        driver.commit(FLIPPED, TestFence(hooks={last: edge.break_control}))
    assert "not known" in caught.value.now
    edge.mend_control()
    until(lambda: driver.read().settled)
    assert driver.read().route == FLIPPED  # it had been applied
    assert driver.commit(FLIPPED, TestFence()).settled


def _checks_of_a_commit(edge: Envoy) -> int:
    fence = TestFence()
    edge.driver.commit(START, fence)
    return fence.checks


# visitors --------------------------------------------------------------------------------------------------


def visits(edge: Envoy, cookies: list[str]) -> list[Reply]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda cookie: edge.get(headers={"cookie": cookie} if cookie else None), cookies))


def test_the_share_of_2000_visitors_and_that_it_only_grows(edge: Envoy) -> None:
    salt = 7312
    edge.driver.commit(canary(1000, salt), TestFence())
    first = visits(edge, [""] * 2000)
    assert 140 <= pools_of(first)[GREEN] <= 260  # 200 expected; 13.4 is the standard deviation
    cookies = [f"a=b; {re.sub(';.*', '', reply.headers['set-cookie'])}; c=d" for reply in first]
    assert all(f"; {bucket_cookie(salt)}=" in cookie for cookie in cookies)
    again = visits(edge, cookies)
    assert [r.pool for r in again] == [r.pool for r in first]
    assert not any("set-cookie" in reply.headers for reply in again)
    edge.driver.commit(canary(2500, salt), TestFence())
    more = [reply.pool for reply in visits(edge, cookies)]
    assert 410 <= more.count(GREEN) <= 590  # 500 expected; 19.4 is the standard deviation
    assert not [1 for old, new in zip(first, more, strict=True) if (old.pool, new) == (GREEN, BLUE)]


def test_another_release_deals_the_visitors_anew(edge: Envoy) -> None:
    edge.driver.commit(canary(5000, 1), TestFence())
    first = visits(edge, [""] * 200)
    cookies = [re.sub(";.*", "", reply.headers["set-cookie"]) for reply in first]
    edge.driver.commit(canary(5000, 2), TestFence())
    second = visits(edge, cookies)
    assert all(reply.headers["set-cookie"].startswith("changeover_bucket_2=") for reply in second)
    same = sum(a.pool == b.pool for a, b in zip(first, second, strict=True))
    assert 60 <= same <= 140  # 100 expected; 7.1 is the standard deviation


@pytest.mark.parametrize(
    "cookie", ["changeover_bucket=", "changeover_bucket", "xchangeover_bucket=1", 'a="changeover_bucket"']
)
def test_a_cookie_that_is_no_bucket_gets_a_new_one(edge: Envoy, cookie: str) -> None:
    edge.driver.commit(canary(5000), TestFence())
    reply = edge.get(headers={"cookie": cookie})
    assert reply.status == 200
    assert reply.headers["set-cookie"].startswith("changeover_bucket=")


def test_a_request_id_that_is_no_cookie_gets_none(edge: Envoy) -> None:
    edge.driver.commit(canary(9999), TestFence())
    reply = edge.get(headers={"x-request-id": "a; Domain=evil.example"})
    assert (reply.pool, "set-cookie" in reply.headers) == (BLUE, False)


def test_a_stranger_cannot_make_envoy_repeat_requests(edge: Envoy) -> None:
    for instance in edge.pools[BLUE]:
        instance.fail_with = 500
    before = sum(instance.total for instance in edge.pools[BLUE])
    reply = edge.get(headers={"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3"})
    assert (reply.status, sum(instance.total for instance in edge.pools[BLUE])) == (500, before + 1)


def test_a_silent_request_does_not_outlive_its_limit(edge: Envoy) -> None:
    brief = EnvoyBalancer(edge.settings(silence=0.5))
    brief.commit(START, TestFence())
    reply = edge.get("/slow?s=5")
    assert reply.status == 504


# a dead candidate ----------------------------------------------------------------------------------------------


def test_when_the_candidate_dies_its_visitors_are_served_by_live(edge: Envoy) -> None:
    """At 99.99 %: only what an instance was processing when it died may be lost."""
    edge.driver.commit(canary(9999), TestFence())
    before = edge.driver.counters(GREEN)
    replies: list[Reply] = []
    ended = threading.Event()

    def load() -> None:
        while not ended.wait(0.01):
            replies.append(edge.get())

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(load)
        until(lambda: len(replies) > 50)
        edge.kill(GREEN)
        until(lambda: edge.driver.health(GREEN).healthy == 0)
        dead = len(replies)
        until(lambda: len(replies) > dead + 100)
        ended.set()
    lost = [r for r in replies if r.status != 200]
    assert len(lost) <= 8, [r.body for r in lost]  # one per client and instance
    assert set(pools_of(replies[dead + 4 :])) == {BLUE}
    counted = edge.driver.counters(GREEN).since(before)
    assert counted.errors_5xx == 0
    assert counted.failed >= len(lost)
    assert counted.fallbacks is not None
    assert counted.fallbacks >= 90


def test_a_candidate_that_comes_back_gets_its_visitors_at_once(edge: Envoy) -> None:
    edge.driver.commit(canary(9999), TestFence())
    edge.kill(GREEN)
    until(lambda: edge.driver.health(GREEN).healthy == 0)
    assert edge.get().pool == BLUE
    edge.revive(GREEN)
    until(lambda: edge.driver.health(GREEN).healthy == 2)
    until(lambda: edge.get().pool == GREEN, within=1.0)


def test_the_live_pool_never_falls_back_to_a_candidate(edge: Envoy) -> None:
    edge.driver.commit(canary(1), TestFence())
    edge.kill(BLUE)
    until(lambda: edge.driver.health(BLUE).healthy == 0)
    assert {edge.get().pool for _ in range(10)} <= {""}


# what is counted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [Route(GREEN, BLUE), canary(9999)], ids=["live", "candidate"])
def test_answers_of_the_version_and_failures_are_told_apart(edge: Envoy, route: Route) -> None:
    edge.driver.commit(route, TestFence())

    def since(act: Callable[[], object]) -> tuple[int, int, int]:
        before = edge.driver.counters(GREEN)
        act()
        found = edge.driver.counters(GREEN).since(before)
        return found.requests, found.errors_5xx, found.failed

    def failing(status: int) -> None:
        for instance in edge.pools[GREEN]:
            instance.fail_with = status
        assert [edge.get().status for _ in range(3)] == [status] * 3

    assert since(lambda: failing(500)) == (3, 3, 0)
    assert since(lambda: failing(503)) == (3, 3, 0)  # not mistaken for Envoy's own

    def killed_while_it_works() -> None:
        for instance in edge.pools[GREEN]:
            instance.fail_with = 0
        until(lambda: edge.driver.health(GREEN).healthy == 2)
        with edge.slow(20) as answer:
            until(lambda: edge.driver.in_flight(GREEN).requests == 1)
            edge.kill(GREEN)
            assert answer().status == 503

    requests, errors, failed = since(killed_while_it_works)
    assert (requests, errors) == (1, 0)
    assert failed >= 1


def test_an_application_that_answers_503_is_not_taken_out_of_traffic(edge: Envoy) -> None:
    """One broken page must not become an outage of all pages."""
    for instance in edge.pools[BLUE]:
        instance.fail_with = 503
    assert {edge.get().headers.get("x-pool") for _ in range(30)} == {BLUE}
    assert edge.driver.health(BLUE).healthy == 2


def test_nobody_healthy_is_counted_as_failed(edge: Envoy) -> None:
    edge.driver.commit(FLIPPED, TestFence())
    edge.kill(GREEN)
    until(lambda: edge.driver.health(GREEN).healthy == 0)
    before = edge.driver.counters(GREEN)
    assert [edge.get().status for _ in range(5)] == [503] * 5
    counted = edge.driver.counters(GREEN).since(before)
    assert (counted.requests, counted.errors_5xx, counted.failed) == (0, 0, 5)


def test_in_flight_is_what_the_instances_count(edge: Envoy) -> None:
    edge.driver.commit(canary(5000), TestFence())
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(edge.slow(1.0))
        until(lambda: sum(i.in_flight for p in edge.pools.values() for i in p) == 8)
        for name, instances in edge.pools.items():
            assert edge.driver.in_flight(name).requests == sum(i.in_flight for i in instances)
    until(lambda: edge.driver.in_flight(BLUE).is_zero and edge.driver.in_flight(GREEN).is_zero)


def test_a_visitor_whom_live_serves_for_the_candidate_is_in_flight_on_live(edge: Envoy) -> None:
    edge.driver.commit(canary(9999), TestFence())
    edge.kill(GREEN)
    until(lambda: edge.driver.health(GREEN).healthy == 0)
    with edge.slow(1.0):
        until(lambda: edge.driver.in_flight(BLUE).requests == 1)
        assert edge.driver.in_flight(GREEN).is_zero


def test_a_websocket_is_in_flight_until_it_is_closed(edge: Envoy) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), 10) as line:
        line.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 101")
        edge.driver.commit(FLIPPED, TestFence())
        flying = edge.driver.in_flight(BLUE)
        assert flying.requests == 1
        assert "websocket" in flying.detail
        line.sendall(b"still here")
        assert line.recv(100) == b"still here"
    until(lambda: edge.driver.in_flight(BLUE).is_zero)


# by hand ---------------------------------------------------------------------------------------------------------


def test_the_way_by_hand_works_as_it_stands(edge: Envoy) -> None:
    route = canary(2500, 41)
    for _ in range(2):  # twice is once
        assert _by_hand(edge.driver.by_hand(route)).returncode == 0
    reading = edge.driver.read()
    assert reading.settled
    assert reading.route == route
    secret = Path(edge.layout.secret_path).read_text().strip()
    assert parse_file(edge.routes.read_text(), Terms(edge.layout.clusters)).secret == secret
    assert edge.routes.stat().st_mode & 0o777 == 0o600


def test_the_drain_by_hand_shows_the_requests(edge: Envoy) -> None:
    with edge.slow(2.0):
        until(lambda: edge.driver.in_flight(BLUE).requests == 1)
        drained = _by_hand(edge.driver.by_hand_drain(BLUE, 20))
    said = drained.stdout.splitlines()
    assert drained.returncode == 0
    assert said[0] == "1 in flight"
    assert said[-2:] == ["0 in flight", "0 in flight"]


def test_the_checks_by_hand_tell_good_from_bad(edge: Envoy) -> None:
    assert _by_hand(edge.driver.by_hand_live(BLUE)).returncode == 0
    assert _by_hand(edge.driver.by_hand_live(GREEN)).returncode != 0
    assert _by_hand(edge.driver.by_hand_health(BLUE)).returncode == 0
    edge.driver.commit(canary(2500, 41), TestFence())
    assert _by_hand(edge.driver.by_hand_live(BLUE)).returncode != 0  # not everything
    silent = EnvoyBalancer(edge.settings(admin="127.0.0.1:1"))
    assert _by_hand(silent.by_hand_live(BLUE)).returncode != 0
    drain = _by_hand(silent.by_hand_drain(BLUE, 1))
    assert drain.returncode == 1
    assert "STOP: blue still has requests in flight, or Envoy does not answer" in drain.stderr


def test_a_route_that_envoy_refuses_stops_the_person(edge: Envoy) -> None:
    there, write, rename, taken = edge.driver.by_hand(canary(2500, 41))
    broken = write.replace('"cluster": "blue"', '"cluster": "nowhere"')
    assert broken != write
    done = _by_hand((there, broken, rename, taken))
    assert done.returncode == 1
    assert "STOP: Envoy did not take the route" in done.stderr


def _by_hand(commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As the runbook says: one shell that stops at the first command that fails."""
    return subprocess.run(
        ["bash", "-e"], input="\n".join(commands), capture_output=True, text=True, timeout=60, check=False
    )


# the preview's secret ------------------------------------------------------------------------------------------------


def test_a_secret_that_is_absent_is_made_once(edge: Envoy, tmp_path: Path) -> None:
    path = tmp_path / "preview.secret"
    drivers = [EnvoyBalancer(edge.settings(preview_secret_file=str(path))) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda driver: driver.commit(START, TestFence()), drivers))
    secret = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["preview.secret"]
    for driver in drivers:
        assert driver.preview()[1] == {"x-changeover-preview": secret}
    assert edge.get(headers={"x-changeover-preview": secret}).pool == GREEN


def test_a_rotated_secret_is_in_use_from_the_next_commit(edge: Envoy, tmp_path: Path) -> None:
    path = tmp_path / "preview.secret"
    driver = EnvoyBalancer(edge.settings(preview_secret_file=str(path)))
    driver.commit(START, TestFence())
    _, old = driver.preview()
    path.write_text("n" * 40)
    path.chmod(0o644)
    assert driver.preview()[1] == old  # what Envoy knows, not what the file says
    assert "readable for others" in findings(driver)["preview secret"]
    driver.commit(START, TestFence())
    assert driver.preview()[1] == {"x-changeover-preview": "n" * 40}
    assert edge.get(headers=old).pool == BLUE


def test_a_bootstrap_without_checks_or_fallbacks_is_found_by_doctor() -> None:
    with envoy() as edge:
        edge.stop()
        content: dict[str, Any] = json.loads(edge.config.read_text())
        clusters = content["static_resources"]["clusters"]
        for cluster in clusters:
            if cluster["name"] == "blue":
                del cluster["health_checks"]
        content["static_resources"]["clusters"] = [c for c in clusters if c["name"] != "green_or_blue"]
        edge.config.write_text(json.dumps(content))
        process = subprocess.Popen(
            [*command(edge.program, str(edge.config)), "--concurrency", "1"], stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: "green_or_blue" in findings(edge.driver).get("pool green", ""))
            assert "health checks" in findings(edge.driver)["pool blue"]
            assert edge.driver.health(BLUE).healthy == 0
        finally:
            process.terminate()
            process.wait(10)
