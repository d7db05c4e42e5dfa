"""The notebook of the load client."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from changeover.demo.records import FORMAT, Record, encode


class Notebook:
    """Where records go: to memory, and in batches to a file that a SIGKILL can only tear at its end."""

    def __init__(self, path: str, *, keep: bool) -> None:
        """Raises OSError when the file cannot be written."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if path else -1
        self._fresh: list[Record] = []
        self._keep = keep
        self.records: list[Record] = []
        self.count = 0
        self.errors: Counter[str] = Counter()
        self.by_version: Counter[str] = Counter()
        try:
            self._write(FORMAT)
        except OSError:
            os.close(self._file)
            raise

    def note(self, record: Record) -> None:
        self.count += 1
        if record.error:
            self.errors[record.error] += 1
        if record.version:
            self.by_version[record.version] += 1
        if self._keep:
            self.records.append(record)
        if self._file >= 0:
            self._fresh.append(record)

    def flush(self) -> None:
        """Write what is new. Raises OSError (disk full)."""
        fresh, self._fresh = self._fresh, []
        self._write(encode(fresh))

    def _write(self, data: bytes) -> None:
        while data and self._file >= 0:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        if self._file >= 0:
            try:
                self.flush()
            finally:
                os.close(self._file)
                self._file = -1

    def summary(self) -> dict[str, Any]:
        return {"requests": self.count, "failed": dict(self.errors), "by_version": dict(self.by_version)}
