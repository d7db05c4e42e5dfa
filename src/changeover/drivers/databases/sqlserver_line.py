"""The wire to a SQL Server: every call on it has an end, and somebody may look whether to go on while it waits."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

Look = Callable[[], None]
"""Called while an answer is waited for; what it raises ends the wait, and with it the connection."""

_GLANCE = 1.0  # seconds between two looks
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_UNACKNOWLEDGED = 15_000  # ms after which data that nobody acknowledges means that the server is gone


class Line:
    """A TCP connection as pytds wants its transport, with a deadline for each call as a whole.

    pytds has a timeout for each packet only: a server that sends one packet an hour would be waited for without end.
    """

    def __init__(self, host: str, port: int, within: float) -> None:
        """Connect. Raises OSError, TimeoutError."""
        self._socket = socket.create_connection((host, port), timeout=within)
        for option, value in _KEEPALIVE:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
        self._until: float | None = None
        self._look: Look | None = None
        self.allow(within)

    def allow(self, seconds: float, look: Look | None = None) -> None:
        """What follows must end within `seconds` (0: whenever); `look` is called about once a second meanwhile."""
        self._until = time.monotonic() + seconds if seconds > 0 else None
        self._look = look

    # what pytds calls ------------------------------------------------------------------------------------------

    def sendall(self, data: bytes, flags: int = 0) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(buffer, size, flags)])

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, flags: int = 0) -> int:
        while True:
            left = self._left()
            slice_ = left if self._look is None else min(_GLANCE, left if left is not None else _GLANCE)
            self._socket.settimeout(slice_)
            try:
                return self._socket.recv_into(buffer, size, flags)
            except TimeoutError:
                if self._look is None:
                    raise
                self._look()

    def _left(self) -> float | None:
        """Seconds until the deadline, None without one. Raises TimeoutError after it."""
        if self._until is None:
            return None
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self._socket.setsockopt(level, option, value)

    def settimeout(self, timeout: float | None) -> None:
        """The deadline is `allow`'s business: pytds knows only of single packets."""

    def gettimeout(self) -> float | None:
        return None

    def is_connected(self) -> bool:
        return self._socket.fileno() >= 0

    def close(self) -> None:
        with suppress(OSError):  # the other end may have gone first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
