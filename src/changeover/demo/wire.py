"""HTTP/1.1 by hand, without sockets: bytes in, requests or answers out.

The shop reads requests with it and the load client reads answers. No library stands between the two, so nothing is
retried, repaired or hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

HEAD_LIMIT = 32 * 1024  # bytes
BODY_LIMIT = 1024 * 1024  # bytes

REASONS = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Malformed(Exception):
    """The other side does not speak HTTP/1.1 as we understand it; `status` is what a server answers to that."""

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(f"not a header: {line[:60]!r}")
        headers[name.strip().lower()] = value.strip()
    return headers


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Malformed(f"not a length: {text[:20]!r}")
    return int(text)


def _keep_alive(protocol: str, headers: Mapping[str, str]) -> bool:
    words = {word.strip() for word in headers.get("connection", "").lower().split(",")}
    return "close" not in words if protocol == "HTTP/1.1" else "keep-alive" in words


class _Reader:
    """Bytes that have arrived and are not consumed yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Something has arrived that is not a whole message."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def _head(self) -> tuple[list[str], int] | None:
        """The lines of the head and where the body begins, once the head is complete."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise Malformed("the head is too long", 431)
            return None
        return self._buffer[:end].decode("latin-1").split("\r\n"), end + 4

    def _take(self, start: int, end: int) -> bytes:
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        return body


class RequestReader(_Reader):
    """Requests, one after the other; a body needs a Content-Length."""

    def next(self) -> Request | None:
        """The next whole request, None until it has arrived. Raises Malformed."""
        while self._buffer[:2] == b"\r\n":  # an empty line between requests is tolerated (RFC 9112, 2.2)
            del self._buffer[:2]
        found = self._head()
        if found is None:
            return None
        (first, *rest), start = found
        words = first.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise Malformed(f"not a request: {first[:60]!r}")
        headers = _headers(rest)
        if "transfer-encoding" in headers:
            raise Malformed("bodies need a Content-Length", 411)
        length = _length(headers) or 0
        if length > BODY_LIMIT:
            raise Malformed("the body is too long", 413)
        if len(self._buffer) < start + length:
            return None
        path, _, query = words[1].partition("?")
        body = self._take(start, start + length)
        return Request(words[0], unquote(path), dict(parse_qsl(query)), headers, body, _keep_alive(words[2], headers))


class AnswerReader(_Reader):
    """The answer to one request at a time; its body has a length, comes in chunks, or ends with the connection."""

    def next(self, *, ended: bool = False) -> Answer | None:
        """The whole answer, None until it has arrived. `ended`: nothing more will arrive. Raises Malformed."""
        found = self._head()
        if found is None:
            return None
        (first, *rest), start = found
        protocol, _, after = first.partition(" ")
        status = after[:3]
        if protocol not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
            raise Malformed(f"not an answer: {first[:60]!r}")
        headers = _headers(rest)
        body = self._body(headers, start, ended=ended)
        if body is None:
            return None
        text, delimited = body
        return Answer(int(status), headers, text, delimited and _keep_alive(protocol, headers))

    def _body(self, headers: Mapping[str, str], start: int, *, ended: bool) -> tuple[bytes, bool] | None:
        """The body, and whether the connection can go on after it."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = self._chunks(start)
            return None if chunks is None else (chunks, True)
        length = _length(headers)
        if length is None:
            return (self._take(start, len(self._buffer)), False) if ended else None
        return (self._take(start, start + length), True) if len(self._buffer) >= start + length else None

    def _chunks(self, at: int) -> bytes | None:
        body = b""
        while True:
            line = self._buffer.find(b"\r\n", at)
            if line < 0:
                return None
            try:
                size = int(bytes(self._buffer[at:line]).split(b";")[0], 16)
            except ValueError as error:
                raise Malformed("not a chunk") from error
            after = line + 2 + size + 2
            if len(self._buffer) < after:
                return None
            body += bytes(self._buffer[line + 2 : after - 2])
            at = after
            if size == 0:
                del self._buffer[:at]
                return body


def render(
    status: int, body: bytes, headers: Mapping[str, str], *, keep_alive: bool, content_type: str = "application/json"
) -> bytes:
    """An answer as bytes, with its length."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}", f"connection: {'keep-alive' if keep_alive else 'close'}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
