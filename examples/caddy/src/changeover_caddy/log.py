"""What each pool has answered, counted from Caddy's access log: Caddy itself counts no answers per pool."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from changeover.core.errors import BalancerUnreachable
from changeover.core.model import Counters
from changeover_caddy import config


@dataclass(slots=True)
class _Count:
    requests: int = 0
    errors: int = 0
    failed: int = 0
    fallbacks: int = 0


@dataclass(slots=True)
class AccessLog:
    """Counted from the file's begin; a file that was moved away is read to its end first."""

    path: Path
    _counts: dict[str, _Count] = field(default_factory=dict)
    _file: BinaryIO | None = None

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def counters(self, pool: str) -> Counters:
        """Raises BalancerUnreachable."""
        try:
            for line in self._lines():
                self._book(json.loads(line))
        except (OSError, ValueError) as error:
            raise BalancerUnreachable(
                f"the access log {self.path} cannot be read: {error}",
                next=("see that it is there, and that its encoder writes JSON", "changeover doctor"),
            ) from None
        count = self._counts.get(pool, _Count())
        return Counters(count.requests, count.errors, count.failed, count.fallbacks)

    def _lines(self) -> Iterator[bytes]:
        """Whole lines that were not read yet."""
        now = self.path.stat()
        if self._file is not None and os.fstat(self._file.fileno()).st_ino != now.st_ino:
            yield from _whole(self._file)
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = self.path.open("rb")
        if now.st_size < self._file.tell():
            self._file.seek(0)  # emptied in place
        yield from _whole(self._file)

    def _book(self, line: Mapping[str, Any]) -> None:
        headers = line.get("resp_headers") or {}
        for pool in headers.get(config.POOL, ())[:1]:
            count = self._counts.setdefault(pool, _Count())
            failed = config.FAILED in headers
            count.requests += 1
            count.failed += failed
            count.errors += not failed and int(line.get("status", 0)) >= 500
        for pool in headers.get(config.WANTED, ())[:1]:
            self._counts.setdefault(pool, _Count()).fallbacks += 1

    def shows(self, text: str) -> bool:
        """Whether the last part of the log (64 KiB) has the text. False if there is no log."""
        try:
            with self.path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 65_536))
                return text.encode() in log.read()
        except OSError:
            return False


def _whole(file: BinaryIO) -> Iterator[bytes]:
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(at)  # still being written
            return
        yield line
