"""Restore points as files: written beside, made durable, then renamed; what proves them lies next to them.

`ID.SUFFIX` is the backup, `ID.json` says what it is and its sha256. The second file is written last: a backup without it is
not a restore point.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from changeover.core.errors import RestorePointFailed
from changeover.core.model import RestorePoint

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class RestoreFiles:
    """The directory of restore points of one environment. `suffix`: `dump` or `db`."""

    directory: Path
    suffix: str

    def path(self, id: str) -> Path:
        """Where the restore point is kept. Raises RestorePointFailed for an id that is no file name."""
        if not _PLAIN.fullmatch(id):
            raise failed(f"{id!r} cannot be the name of a restore point")
        return self.directory / f"{id}.{self.suffix}"

    def _card(self, id: str) -> Path:
        return self.path(id).with_name(f"{id}.json")

    def known(self, id: str) -> RestorePoint | None:
        """The restore point, if it has been taken and proved and its file is still there with the same size."""
        found = self._read(self._card(id))
        if found is None or found[0].id != id:
            return None
        path = self.path(id)
        return found[0] if path.is_file() and path.stat().st_size == found[0].bytes else None

    @contextmanager
    def writing(self, id: str) -> Iterator[Path]:
        """The path to write to; gone afterwards unless `keep` has moved it. Full disks and the like: RestorePointFailed."""
        part = self.path(id).with_name(f"{id}.{self.suffix}.part")
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.unlink(missing_ok=True)
            yield part
        except OSError as error:
            raise failed(f"{part.name}: {_words(error)}", disk=error.errno == errno.ENOSPC) from error
        finally:
            for left in (part, *_companions(part)):
                with suppress(OSError):  # what cannot be deleted is overwritten by the next attempt
                    left.unlink(missing_ok=True)

    def keep(self, part: Path, point: RestorePoint, sha256: str) -> None:
        """Make the written file the restore point: durable, renamed, then its card."""
        _sync(part)
        part.replace(self.path(point.id))
        card = self._card(point.id)
        draft = card.with_suffix(".json.part")
        try:
            draft.write_text(json.dumps({**asdict(point), "sha256": sha256}, indent=1) + "\n")
            _sync(draft)
            draft.replace(card)
        finally:
            draft.unlink(missing_ok=True)
        _sync(self.directory)

    def newest(self) -> RestorePoint | None:
        """The restore point that was taken last."""
        cards = (self._read(card) for card in self.directory.glob("*.json"))
        points = [found[0] for found in cards if found is not None and self.path(found[0].id).is_file()]
        return max(points, key=lambda p: p.at, default=None)

    def verified(self, point: RestorePoint) -> Path:
        """The file, after its sha256 was compared. Raises RestorePointFailed when it is not what was taken."""
        found = self._read(self._card(point.id))
        path = self.path(point.id)
        if found is None or not path.is_file():
            raise failed(f"the restore point {point.id} is gone: {path}")
        if sha256(path) != found[1]:
            raise failed(f"the restore point {point.id} was changed after it was taken: {path}")
        return path

    @staticmethod
    def _read(card: Path) -> tuple[RestorePoint, str] | None:
        try:
            data = json.loads(card.read_text())
            digest = data.pop("sha256")
            return RestorePoint(**data), digest
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None  # not one of ours, or half written: not a restore point


def sha256(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def failed(what: str, *, disk: bool = False) -> RestorePointFailed:
    """The error of a restore point; nothing half-written is left."""
    fix = "make room on the disk" if disk else "mend what it says"
    return RestorePointFailed(
        what,
        now="There is no new restore point and nothing half-written is left. The database was not changed.",
        next=(fix, "changeover resume", "changeover doctor"),
    )


def _companions(part: Path) -> tuple[Path, ...]:
    return tuple(part.with_name(part.name + end) for end in ("-wal", "-shm", "-journal"))


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
