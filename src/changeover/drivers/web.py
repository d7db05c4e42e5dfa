"""One HTTP request: bounded in time and size, never retried, never redirected.

The peer may be broken or hostile: it may answer a byte a second, never end, or send no HTTP at all. Whatever it does,
`get` returns before its deadline with what was seen. No note contains what the peer or the caller sent: headers may be
secrets.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol
from urllib.parse import SplitResult, urlsplit

from changeover.core.ports import Answer

LIMIT = 1 << 20  # bytes of a body


class _Deadline:
    """The moment at which everything of one request must have happened."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Socket(Protocol):
    """What is used of `socket.socket` and `ssl.SSLSocket`."""

    def settimeout(self, value: float | None, /) -> None: ...
    def recv_into(self, buffer: Any, /) -> int: ...
    def sendall(self, data: Any, /) -> None: ...
    def close(self) -> None: ...


class _Reader(io.RawIOBase):
    """Reads a socket; each read may take what is left of the whole request's time, not a time of its own."""

    def __init__(self, connection: _Socket, deadline: _Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


class _Timed:
    """What `http.client` takes for a socket."""

    def __init__(self, connection: _Socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def makefile(self, mode: str) -> IO[bytes]:
        assert mode == "rb"
        return io.BufferedReader(_Reader(self._connection, self._deadline))

    def close(self) -> None:
        """`http.client` closes early, before the body is read; `HttpWeb.get` closes the connection itself."""


@dataclass(frozen=True, slots=True)
class HttpWeb:
    """`core.ports.Web` by the standard library. `limit` is the largest body that is read, in bytes."""

    limit: int = LIMIT

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        """One GET. `timeout` (seconds) is for all of it: connect, TLS, every byte of the answer.

        Status 0 and a note when there was no whole answer; a body beyond the limit is cut, with a note.
        Looking up a host name has the resolver's own timeout.
        """
        deadline = _Deadline(timeout)
        try:
            parts = urlsplit(url)
            connection = _connect(parts, deadline)
        except (OSError, ValueError) as error:
            return Answer(0, b"", _why(error, deadline))
        try:
            return self._exchange(parts, connection, deadline, headers or {})
        finally:
            connection.close()

    def _exchange(
        self, parts: SplitResult, connection: _Socket, deadline: _Deadline, headers: Mapping[str, str]
    ) -> Answer:
        client = http.client.HTTPConnection(parts.netloc.rpartition("@")[2])
        client.sock = _Timed(connection, deadline)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            client.request("GET", path, headers={"Connection": "close", "Accept": "*/*", **headers})
            with client.getresponse() as response:
                body = response.read(self.limit + 1)
                if len(body) > self.limit:
                    return Answer(response.status, body[: self.limit], f"the body is longer than {self.limit} bytes")
                if response.length:
                    return Answer(0, b"", "the answer ended in the middle")
                return Answer(response.status, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return Answer(0, b"", _why(error, deadline))
        finally:
            client.close()


def _connect(parts: SplitResult, deadline: _Deadline) -> _Socket:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = _dial(parts.hostname, port, deadline)
    if parts.scheme == "http":
        return plain
    try:
        plain.settimeout(deadline.left())
        return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
    except BaseException:
        plain.close()
        raise


def _dial(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """Connect to the first address that takes it; all attempts share the deadline."""
    problem = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.settimeout(deadline.left())
            attempt.connect(address)
        except OSError as error:
            attempt.close()
            problem = error
        except BaseException:
            attempt.close()
            raise
        else:
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return attempt
    raise problem


def _why(error: Exception, deadline: _Deadline) -> str:
    """The note, in words that hold nothing of what was sent or received."""
    match error:
        case TimeoutError():
            return f"no whole answer within {deadline.seconds:g} s"
        case ConnectionRefusedError():
            return "nothing listens there"
        case http.client.RemoteDisconnected() | ConnectionError():
            return "the connection was closed without an answer"
        case http.client.IncompleteRead():
            return "the answer ended in the middle"
        case ssl.SSLCertVerificationError():
            return f"the certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "TLS failed"
        case socket.gaierror():
            return "the host name is not known"
        case http.client.InvalidURL():
            return "not a URL that can be sent"
        case http.client.HTTPException():
            return "the answer is not HTTP"
        case OSError():
            return (error.strerror or type(error).__name__).lower()
        case _:
            return "not a URL, or not a header, that can be sent"
