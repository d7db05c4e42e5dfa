"""HTTP over real sockets: peers that drip, hang, never end. Each would hang a client with per-read timeouts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.fixtures.instances import pool
from tests.fixtures.ports import free_port

from changeover.core.ports import Answer
from changeover.drivers.web import HttpWeb

WEB = HttpWeb()
HEAD = b"HTTP/1.1 200 OK\r\n"
Talk = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def peer(talk: Talk) -> Iterator[tuple[str, list[int]]]:
    """A server that accepts connections, one by one, and lets `talk` have them: (url, how many came)."""
    over, came = threading.Event(), []

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                came.append(1)
                with connection, contextlib.suppress(OSError):
                    talk(connection, over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", came
        finally:
            over.set()
            thread.join()


def dripping(start: bytes, drop: bytes) -> Talk:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(drop)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        dripping(b"", b"H"),
        dripping(HEAD, b"x: y\r\n"),
        dripping(HEAD + b"x: ", b"y"),
        dripping(HEAD + b"content-length: 1000000\r\n\r\n", b"x"),
        dripping(HEAD + b"\r\n", b"x"),
        dripping(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"", b""),
    ],
    ids=["status", "headers", "header", "body", "endless", "chunks", "continue", "silence"],
)
def test_who_drips_is_given_up_at_the_deadline(talk: Talk) -> None:
    with peer(talk) as (url, came):
        assert WEB.get(url, timeout=0.4) == Answer(0, b"", "no whole answer within 0.4 s")
        assert len(came) == 1


def test_a_flood_is_cut() -> None:
    def flood(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(HEAD + b"\r\n")
        while not over.is_set():
            connection.sendall(b"x" * 65_536)

    with peer(flood) as (url, _):
        answer = WEB.get(url)
    assert answer.status == 200
    assert len(answer.body) == 1 << 20
    assert "longer" in answer.note


def test_who_closes_is_not_asked_again() -> None:
    with peer(lambda connection, _: connection.close()) as (url, came):
        assert WEB.get(url).status == 0
        assert len(came) == 1


def test_a_redirect_is_not_followed() -> None:
    def redirect(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")

    with peer(redirect) as (url, came):
        assert WEB.get(url).status == 302
        assert len(came) == 1


def test_an_instance_and_its_absence() -> None:
    with pool("blue", 1, version="1.1.0") as (instance,):
        answer = WEB.get(f"{instance.url}/version")
        assert answer.status == 200
        assert b"1.1.0" in answer.body
        assert WEB.get(f"{instance.url}/", headers={"x-preview": "s3cret"}).status == 200
        assert instance.received[-1].headers["x-preview"] == "s3cret"
    assert WEB.get(f"http://127.0.0.1:{free_port()}/") == Answer(0, b"", "nothing listens there")


def test_tls_with_who_speaks_none() -> None:
    with pool("blue", 1) as (instance,):
        assert WEB.get(f"https://{instance.address}/").note == "TLS failed"
    with peer(dripping(b"", b"")) as (url, _):
        assert WEB.get(url.replace("http", "https"), timeout=0.4).note == "no whole answer within 0.4 s"


def test_an_unknown_host() -> None:
    assert WEB.get("http://no-such-host.invalid/").status == 0
