"""Hostile answers, from a connection that is no socket."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest

from changeover.core.ports import Answer
from changeover.drivers.web import HttpWeb, _Deadline

HEAD = b"HTTP/1.1 200 OK\r\n"


class Line:
    """A peer that says these pieces, then closes, or raises what stands last."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.sent = b""

    def settimeout(self, value: float | None) -> None:
        assert value is not None
        assert value > 0

    def recv_into(self, buffer: memoryview) -> int:
        if not self.pieces:
            return 0
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        part = piece[: len(buffer)]
        if piece[len(part) :]:
            self.pieces.insert(0, piece[len(part) :])
        buffer[: len(part)] = part
        return len(part)

    def sendall(self, data: bytes) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        """Nothing is open."""


def ask(*pieces: bytes | Exception, headers: Mapping[str, str] | None = None, limit: int = 1000) -> Answer:
    return HttpWeb(limit)._exchange(urlsplit("http://edge:80/a?b=c"), Line(*pieces), _Deadline(5.0), headers or {})


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"content-length: 5\r\n\r\nhello",),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        (HEAD + b"\r\nhello",),  # until the end of the connection
        tuple(bytes([b]) for b in HEAD + b"content-length: 5\r\n\r\nhello"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: 5\r\n\r\nhello",),
        (HEAD + b"content-length: 5\r\n\r\nhello and more",),
    ],
)
def test_a_whole_answer(pieces: tuple[bytes, ...]) -> None:
    assert ask(*pieces) == Answer(200, b"hello")


def test_a_redirect_is_not_followed() -> None:
    assert ask(b"HTTP/1.1 302 Found\r\nlocation: http://other/\r\ncontent-length: 0\r\n\r\n").status == 302


def test_what_is_sent() -> None:
    line = Line(HEAD + b"content-length: 0\r\n\r\n")
    HttpWeb()._exchange(urlsplit("http://edge:8080/a?b=c"), line, _Deadline(5.0), {"x-preview": "s3cret"})
    first, *rest = line.sent.decode().split("\r\n")
    assert first == "GET /a?b=c HTTP/1.1"
    assert {"Host: edge:8080", "Connection: close", "x-preview: s3cret"} <= set(rest)


@pytest.mark.parametrize(
    ("pieces", "note"),
    [
        ((), "the connection was closed without an answer"),
        ((ConnectionResetError(),), "the connection was closed without an answer"),
        ((TimeoutError(),), "no whole answer within 5 s"),
        ((HEAD, TimeoutError()), "no whole answer within 5 s"),
        ((HEAD + b"content-length: 9\r\n\r\nhalf",), "the answer ended in the middle"),
        ((HEAD + b"content-length: 9\r\n\r\nhalf", TimeoutError()), "no whole answer within 5 s"),
        ((HEAD + b"content-length: 9\r\n\r\nhalf", ConnectionResetError()), "without an answer"),
        ((HEAD + b"transfer-encoding: chunked\r\n\r\n9\r\nhalf",), "the answer ended in the middle"),
        ((HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",), "the answer ended in the middle"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "the answer is not HTTP"),
        ((b"HTTP/1.1 abc\r\n\r\n",), "the answer is not HTTP"),
        ((b"HTTP/1.1 20",), "the answer is not HTTP"),
        ((HEAD + b"x: y\r\n" * 200 + b"\r\n",), "the answer is not HTTP"),
        ((HEAD + b"x: " + b"y" * 100_000 + b"\r\n\r\n",), "the answer is not HTTP"),
        ((OSError(113, "No route to host"),), "no route to host"),
    ],
)
def test_anything_else_is_no_answer(pieces: tuple[bytes | Exception, ...], note: str) -> None:
    answer = ask(*pieces)
    assert answer.status == 0
    assert answer.body == b""
    assert note in answer.note


def test_a_body_without_end_is_cut() -> None:
    endless = tuple(b"x" * 500 for _ in range(1000))
    answer = ask(HEAD + b"\r\n", *endless)
    assert answer.status == 200
    assert len(answer.body) == 1000
    assert "longer than 1000 bytes" in answer.note


@pytest.mark.parametrize("value", ["s3cret\r\nx: y", "s3cret\n", "s3cret☃"])
def test_a_header_that_cannot_be_sent_is_not_told(value: str) -> None:
    answer = ask(headers={"x-preview": value})
    assert answer.status == 0
    assert "s3cret" not in answer.note


@pytest.mark.parametrize("url", ["", "ftp://edge/", "http://", "http://edge:port/", "http://edge:99999/", "http://[x/"])
def test_what_is_no_url_is_said(url: str) -> None:
    assert HttpWeb().get(url).note == "not a URL, or not a header, that can be sent"
