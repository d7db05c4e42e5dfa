"""What a driver answers that does not take operations yet: plain SQL only, and said so."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.core.catalogue import Catalogue
from changeover.core.errors import StatementUnknown
from changeover.core.model import BackfillStatement, ChangeSet, Check, Version
from changeover.core.ports import Count, Fence


class NoOperations:
    """Refuses what belongs to operations."""

    def _refuse(self) -> StatementUnknown:
        return StatementUnknown(
            "operations are not supported on this database", next=("write the change as plain SQL",)
        )

    def pressure(self, statement: BackfillStatement) -> str:
        """Not looked at yet."""
        return ""

    def tables(self, names: Sequence[str]) -> Catalogue:
        raise self._refuse()

    def count(self, check: Check) -> Count:
        raise self._refuse()

    def algorithm(self, table: str, alter: str) -> str:
        raise self._refuse()

    def keep(self, changes: ChangeSet, fence: Fence) -> None:
        raise self._refuse()

    def forget(self, version: Version, fence: Fence) -> None:
        raise self._refuse()

    def unkeep(self, version: Version, fence: Fence) -> None:
        raise self._refuse()

    def by_hand_count(self, check: Check) -> Sequence[str]:
        raise self._refuse()

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        raise self._refuse()

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        raise self._refuse()

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        raise self._refuse()
