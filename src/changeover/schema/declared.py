"""A change file of operations, as it was read. Light: who only passes it on loads no operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from changeover.core.model import ChangeSet, Version

if TYPE_CHECKING:
    from changeover.schema.operations.operation import Operation


@dataclass(frozen=True, slots=True)
class Declared:
    """A change file with operations, as it was read. `digest` is the sha256 of its text."""

    version: Version
    file: str
    operations: tuple[Operation, ...]
    digest: str
    names_columns: bool = False  # every statement of the versions in play names its columns

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that have to be read."""
        return tuple(dict.fromkeys(name for o in self.operations for name in o.names()))

    @property
    def open(self) -> ChangeSet:
        """The change set before it is compiled: only its version is known."""
        return ChangeSet(self.version, digest=self.digest, declared=True, compiled=False)
