"""HAProxy's access log, read for two things: which path a connection was asking for when it was closed, and how requests
ended whose worker has ended with them.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

WITHIN: Final = 1.0  # seconds: HAProxy writes the line when the connection has ended
TAIL: Final = 1024 * 1024  # bytes of the log that are looked at
_LINE: Final = re.compile(r"(\S+:\d+) \[[^\]]+\] .*\"(?:[A-Z]+) ([^ \"?]*)")
_END: Final = re.compile(
    r"(\S+:\d+) \[[^\]]+\] \S+ \S+/\S+ \S+ -?\d+ \S+ (?:\S+ \S+ )?([A-Za-z-])[A-Za-z-](?:[A-Za-z-]{2})? "
)
_KILLED: Final = "K"  # HAProxy ended it itself: hard-stop-after, or somebody's `shutdown session`


def end_of(log: Path) -> int:
    """Where the log ends now, in bytes; 0 if it cannot be read."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def ended(log: Path, since: int, clients: Mapping[str, int]) -> int:
    """How many of these requests (client -> how many of its) ended since then, and were not killed. A log that was rotated starts anew."""
    try:
        with log.open("rb") as file:
            size = end_of(log)
            file.seek(max(since if since <= size else 0, size - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return 0
    lines = (m for line in text.splitlines() if (m := _END.search(line)))
    found = Counter(m[1] for m in lines if m[2] != _KILLED)
    return sum(min(count, found[client]) for client, count in clients.items())


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
