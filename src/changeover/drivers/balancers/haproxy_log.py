"""HAProxy's access log, read for one thing: which path a connection was asking for when it was closed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

WITHIN: Final = 1.0  # seconds: HAProxy writes the line when the connection has ended
TAIL: Final = 1024 * 1024  # bytes of the log that are looked at
_LINE: Final = re.compile(r"(\S+:\d+) \[[^\]]+\] .*\"(?:[A-Z]+) ([^ \"?]*)")


def paths_of(log: Path, clients: Iterable[str]) -> dict[str, str]:
    """Client `address:port` -> path, without its query, of the last request it made. What is not in the log has none."""
    wanted = set(clients)
    deadline = time.monotonic() + WITHIN
    while True:
        found = {client: path for client, path in _tail(log) if client in wanted}
        if len(found) == len(wanted) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _tail(log: Path) -> list[tuple[str, str]]:
    """The newest requests of the log, oldest first; nothing if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [(m[1], m[2]) for line in text.splitlines() if (m := _LINE.search(line))]
