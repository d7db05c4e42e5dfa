"""Visitors, as many and as fast as the balancer takes them: what matters is where each of them was sent, not when.

A few keep-alive connections, one request under way on each: a balancer decides anew for every request, whatever connection it comes on.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench import wire

CONNECTIONS = 32
PATIENCE = 15.0  # seconds without any answer


class Visitor(NamedTuple):
    """Where one was sent, and the cookie (`name=value`) that he has from then on; "" is none."""

    version: str
    cookie: str


@dataclass(slots=True)
class Line:
    """One connection. `visitor` is the number of the one whose answer it owes, None if it owes none."""

    socket: socket.socket
    visitor: int | None = None
    received: bytes = b""


def send(port: int, cookies: Sequence[str]) -> list[Visitor]:
    """One request for each visitor, with the cookie that he has ("": he is new); where they came to, in the same order.

    Raises RuntimeError for a visitor who was not served by a version, and for answers that stay away.
    """
    found = [Visitor("", "")] * len(cookies)
    waiting = iter(range(len(cookies)))
    lines = {
        line.socket.fileno(): line for line in (Line(_connected(port)) for _ in range(min(CONNECTIONS, len(cookies))))
    }
    epoll = select.epoll()
    try:
        for number, line in lines.items():
            epoll.register(number, select.EPOLLIN)
            _ask(line, waiting, cookies)
        while any(line.visitor is not None for line in lines.values()):
            ready = epoll.poll(PATIENCE)
            if not ready:
                raise RuntimeError(f"no answer within {PATIENCE:g} s")
            for number, _ in ready:
                line = lines[number]
                if (answer := _receive(line)) is not None and line.visitor is not None:
                    found[line.visitor] = Visitor(answer.version, answer.cookie or cookies[line.visitor])
                    _ask(line, waiting, cookies)
                    if line.visitor is None:
                        epoll.unregister(number)
    finally:
        epoll.close()
        for line in lines.values():
            line.socket.close()
    return found


def served(visitors: Sequence[Visitor], version: str) -> int:
    """How many of them met this version."""
    return sum(1 for v in visitors if v.version == version)


def _connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _ask(line: Line, waiting: Iterator[int], cookies: Sequence[str]) -> None:
    line.visitor = next(waiting, None)
    if line.visitor is not None:
        line.socket.sendall(wire.request("/", cookies[line.visitor]))


def _receive(line: Line) -> wire.Answer | None:
    """The answer, None while it is not whole."""
    piece = line.socket.recv(65536)
    line.received += piece
    answer = wire.parse(line.received)
    if answer is None and piece:
        return None
    if answer is None or line.visitor is None:
        raise RuntimeError(f"the balancer closed a connection, or said {line.received[:80]!r} unasked")
    if answer.status != 200 or not answer.version or not answer.keep:
        raise RuntimeError(f"a visitor got {answer}")
    line.received = b""
    return answer
