"""The few bytes of HTTP that client and instances of the benchmark speak."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """A whole answer: status, the version that made it ("" if none did), and whether the connection may be used again.

    `cookie` is what it hands out: `name=value`, "" if nothing.
    """

    status: int
    version: str
    keep: bool
    cookie: str = ""


def request(path: str, cookie: str = "") -> bytes:
    carried = f"cookie: {cookie}\r\n" if cookie else ""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n{carried}\r\n".encode()


def reply(version: str) -> bytes:
    """What an instance of this version answers."""
    return f"HTTP/1.1 200 OK\r\nx-version: {version}\r\ncontent-length: {len(version)}\r\n\r\n{version}".encode()


def parse(data: bytes) -> Answer | None:
    """The answer, None while it is not whole. Raises ValueError for what is no answer."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if len(body) < int(headers.get("content-length", "0")):
        return None
    return Answer(
        int(first.split()[1]),
        headers.get("x-version", ""),
        headers.get("connection", "").lower() != "close",
        headers.get("set-cookie", "").partition(";")[0],
    )
