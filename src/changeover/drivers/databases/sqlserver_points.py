"""What is known of restore points whose files lie on the database's own machine: a card for each, here.

`ID.json` says what the restore point is, and the id that the server gave its backup set. The card is written last: a backup
without it is not a restore point.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from changeover.core.model import RestorePoint
from changeover.drivers.databases.restore_files import failed

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SET = "backup_set"


@dataclass(frozen=True, slots=True)
class Card:
    """A restore point, and the id of its backup set: a file that another backup has overwritten has another one."""

    point: RestorePoint
    backup_set: str


@dataclass(frozen=True, slots=True)
class Points:
    """The directory of cards of one environment."""

    directory: Path

    def card(self, id: str) -> Path:
        """Raises RestorePointFailed for an id that is no file name."""
        if not _PLAIN.fullmatch(id):
            raise failed(f"{id!r} cannot be the name of a restore point")
        return self.directory / f"{id}.json"

    def known(self, id: str) -> Card | None:
        """The restore point, if it has been taken and proved."""
        found = _read(self.card(id))
        return found if found is not None and found.point.id == id else None

    def newest(self) -> Card | None:
        """The restore point that was taken last."""
        cards = [found for path in self.directory.glob("*.json") if (found := _read(path)) is not None]
        return max(cards, key=lambda c: c.point.at, default=None)

    def keep(self, card: Card) -> None:
        """Durable, then renamed."""
        path = self.card(card.point.id)
        draft = path.with_suffix(".json.part")
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with draft.open("w") as file:
                json.dump({**asdict(card.point), _SET: card.backup_set}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise failed(f"{path}: {error.strerror}") from error


def _read(path: Path) -> Card | None:
    try:
        data = json.loads(path.read_text())
        backup_set = data.pop(_SET)
        return Card(RestorePoint(**data), str(backup_set))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # not one of ours, or half written: not a restore point
