"""The load client against servers that misbehave: every planted failure is recorded under its name, nothing is retried."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.ports import free_port
from tests.fixtures.shop import until

from changeover.demo.judge import judge
from changeover.demo.load import Load, LoadBroken, Mix, Settings
from changeover.demo.wire import Request, RequestReader, render

IDS = itertools.count(1)
ONLY_CREATE = Mix(create=1, read=0, change=0, list=0)
VERSION = {"x-version": "1.0.0", "x-instance": "here"}


def good(request: Request, **changes: object) -> bytes:
    """What the shop answers to POST /orders."""
    asked = json.loads(request.body)
    body = {"id": next(IDS), "ref": asked["ref"], "quantity": asked["quantity"], "price": asked["price"], **changes}
    return render(201, json.dumps(body).encode(), VERSION, keep_alive=True)


Handler = Callable[[socket.socket, Request, int], bool]


@contextlib.contextmanager
def server(handle: Handler) -> Iterator[str]:
    """Calls `handle(connection, request, n)` for the n-th request of the server; False closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    numbers = itertools.count(1)
    threads: list[threading.Thread] = []
    open_now: set[socket.socket] = set()

    def serve(connection: socket.socket) -> None:
        reader = RequestReader()
        with connection, contextlib.suppress(OSError):
            while True:
                request = reader.next()
                if request is not None:
                    if not handle(connection, request, next(numbers)):
                        return
                    continue
                data = connection.recv(65536)
                if not data:
                    return
                reader.feed(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_now.add(connection)
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def load_on(url: str, **settings: object) -> Load:
    values: dict[str, object] = {"rate": 200, "mix": ONLY_CREATE, "naive": 4, "checking": 2, "timeout": 5, **settings}
    return Load(Settings(url, **values))  # type: ignore[arg-type]


def spoil(every: int, how: Callable[[socket.socket, Request], bool]) -> Handler:
    """A good server that spoils every n-th request."""

    def handle(connection: socket.socket, request: Request, n: int) -> bool:
        if n % every == 0:
            return how(connection, request)
        connection.sendall(good(request))
        return True

    return handle


def half(connection: socket.socket, request: Request) -> bool:
    connection.sendall(good(request)[:-7])
    return False


def nothing(_connection: socket.socket, _request: Request) -> bool:
    return False


def hard(connection: socket.socket, _request: Request) -> bool:
    reset(connection)
    return False


def balancer_503(connection: socket.socket, _request: Request) -> bool:
    connection.sendall(render(503, b"no server is available", {}, keep_alive=False, content_type="text/html"))
    return False


def no_http(connection: socket.socket, _request: Request) -> bool:
    connection.sendall(b"SSH-2.0-x\r\n\r\n")
    return False


def not_the_shop(connection: socket.socket, _request: Request) -> bool:
    connection.sendall(render(200, b"<html>", VERSION, keep_alive=True))
    return True


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (half, "cut"),
        (nothing, "reset"),
        (hard, "reset"),
        (balancer_503, "balancer"),
        (no_http, "garbled"),
        (not_the_shop, "garbled"),
    ],
)
def test_each_planted_failure_is_counted_once_under_its_name(how: Callable[..., bool], error: str) -> None:
    with server(spoil(10, how)) as url:
        load = load_on(url).start()
        until(lambda: load.count >= 100)
        records = load.stop()
    verdict = judge(records, None)
    assert dict(verdict.failed_by) == {error: len(records) // 10}
    assert verdict.requests == len(records)
    assert [record.number for record in sorted(records, key=lambda r: r.number)] == list(range(1, len(records) + 1))
    assert verdict.examples[0].what.startswith(error)


def test_an_error_of_the_version_is_not_a_failure_of_the_way() -> None:
    def broken(connection: socket.socket, _request: Request) -> bool:
        connection.sendall(render(500, b"{}", VERSION, keep_alive=True))
        return True

    with server(spoil(5, broken)) as url:
        load = load_on(url).start()
        until(lambda: load.count >= 50)
        verdict = judge(load.stop(), None)
    assert (verdict.failed, verdict.wrong) == (0, 0)
    assert verdict.app_errors == verdict.requests // 5


def test_a_wrong_price_in_an_answer_is_wrong() -> None:
    def dearer(connection: socket.socket, request: Request) -> bool:
        connection.sendall(good(request, price="0.01"))
        return True

    with server(spoil(10, dearer)) as url:
        load = load_on(url).start()
        until(lambda: load.count >= 50)
        verdict = judge(load.stop(), None)
    assert verdict.failed == 0
    assert verdict.wrong == verdict.requests // 10


def test_only_a_naive_client_falls_for_connections_that_were_closed_while_idle() -> None:
    """A server that closes after each answer without saying so: what a balancer's careless reload does."""

    def handle(connection: socket.socket, request: Request, _n: int) -> bool:
        connection.sendall(good(request))
        return False

    with server(handle) as url:
        load = load_on(url, rate=50, naive=3, checking=3).start()
        until(lambda: load.count >= 60)
        records = load.stop()
    failed = [record for record in records if record.error]
    assert failed
    assert {(record.client, record.error) for record in failed} == {("naive", "reset")}
    naive = [record for record in records if record.client == "naive"]
    assert {record.reused for record in naive if not record.error} == {False}
    assert {record.reused for record in failed} == {True}


def test_a_server_that_hangs_is_timed_out_and_the_latency_counts_from_the_plan() -> None:
    stop = threading.Event()

    def hang(_connection: socket.socket, _request: Request) -> bool:
        stop.wait(20)
        return False

    with server(spoil(10, hang)) as url:
        load = load_on(url, timeout=0.5).start()
        until(lambda: load.errors.get("timed out", 0) >= 3)
        records = load.stop()
        stop.set()
    late = [record for record in records if record.error == "timed out"]
    assert min(record.latency for record in late) >= 0.5
    assert judge(records, None).failed == len(late)


def test_nobody_listens() -> None:
    load = load_on(f"http://127.0.0.1:{free_port()}", rate=100).start()
    until(lambda: load.count >= 20)
    records = load.stop()
    assert {record.error for record in records} == {"refused"}
    assert {record.sent for record in records} == {0.0}


def test_rate_and_mix_follow_the_control_file_and_a_half_written_one_changes_nothing(tmp_path: Path) -> None:
    control = tmp_path / "control.json"
    control.write_text('{"rate": 0}')

    def handle(connection: socket.socket, request: Request, _n: int) -> bool:
        if request.path == "/slow":
            connection.sendall(render(200, b"{}", VERSION, keep_alive=True))
        else:
            connection.sendall(good(request))
        return True

    with server(handle) as url:
        load = load_on(url, control=str(control), rate=0).start()
        control.write_text('{"rate": 100, "create": 0, "slow": 1}')
        until(lambda: load.count >= 10)
        control.write_text('{"rate": 1')
        here = load.count
        until(lambda: load.count >= here + 10)
        records = load.stop()
    assert {record.kind for record in records} == {"slow"}
    assert judge(records, None).clean


def test_records_that_cannot_be_written_break_the_client() -> None:
    def handle(connection: socket.socket, request: Request, _n: int) -> bool:
        connection.sendall(good(request))
        return True

    with pytest.raises(OSError), server(handle) as url:
        load_on(url, out="/dev/full").start().stop()


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="not an address"):
        load_on("ftp://x").start()


def test_records_that_stop_being_written_break_the_client(tmp_path: Path) -> None:
    """Its record would prove nothing: `stop` must not give one."""

    def handle(connection: socket.socket, request: Request, _n: int) -> bool:
        connection.sendall(good(request))
        return True

    pipe = tmp_path / "records"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with server(handle) as url:
        load = load_on(url, out=str(pipe)).start()
        until(lambda: load.count >= 5)
        os.close(reader)
        here = load.count
        until(lambda: load.count >= here + 40 or not load.alive)
        with pytest.raises(LoadBroken, match="cannot be written"):
            load.stop()
