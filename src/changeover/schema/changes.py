"""The change files of one version -> its ChangeSet, or every problem of every statement in one error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from changeover.core.model import PLAIN, BackfillStatement, ChangeSet, Phase, Statement, Version
from changeover.schema.classify import judge_piece
from changeover.schema.dialects import dialect_of
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.problems import Defect, Problem, ProblemError, refusal
from changeover.schema.rules.ruling import Made
from changeover.schema.split import Piece, split


def read_changes(version: Version, files: Mapping[Phase, tuple[str, str]], dialect: str) -> ChangeSet:
    """Classify `files` (phase -> (file name, text)) of a version.

    Raises WouldBreak (CO-0104), StatementUnknown (CO-0103) or ChangesUnreadable (CO-0101), the first of them that fits any
    statement; the error lists all problems of all files.
    """
    found, problems = examine(version, files, dialect_of(dialect))
    if problems:
        raise refusal(problems)
    return found


def digest_of(files: Mapping[Phase, tuple[str, str]]) -> str:
    """The sha256 of the texts in phase order, each headed by its phase and length: moving a statement changes it."""
    total = hashlib.sha256()
    for phase in PLAIN:
        if phase in files:
            text = files[phase][1].encode("utf-8", "surrogatepass")
            total.update(f"{phase} {len(text)}\n".encode())
            total.update(text)
    return total.hexdigest()


def examine(
    version: Version, files: Mapping[Phase, tuple[str, str]], dialect: Dialect
) -> tuple[ChangeSet, tuple[Problem, ...]]:
    """The change set as far as it is good, and every problem, in order of phase and line."""
    reading = _Reading(dialect)
    for phase in PLAIN:
        if phase in files:
            reading.file(phase, *files[phase])
    return (
        ChangeSet(
            version,
            tuple(reading.statements[Phase.EXPAND]),
            tuple(reading.backfills),
            tuple(reading.statements[Phase.CONTRACT]),
            digest_of(files),
        ),
        tuple(reading.problems),
    )


@dataclass(slots=True)
class _Reading:
    """Goes through the files of a version; what one statement makes, the next ones may build on."""

    dialect: Dialect
    made: Made = field(default_factory=Made)
    statements: dict[Phase, list[Statement]] = field(default_factory=lambda: {Phase.EXPAND: [], Phase.CONTRACT: []})
    backfills: list[BackfillStatement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def file(self, phase: Phase, name: str, text: str) -> None:
        try:
            pieces = split(text, self.dialect)
        except ProblemError as error:
            self.problems.append(error.problem.at(name, 0, ""))
            return
        if not pieces:
            self.problems.append(
                Problem(Defect.UNREADABLE, f"{name} has no statement", ("delete the file, or write the change",), name)
            )
        if phase is Phase.CONTRACT:
            self.made = self.made.at_contract()
        for piece in pieces:
            self._piece(piece, phase, name)

    def _piece(self, piece: Piece, phase: Phase, name: str) -> None:
        try:
            _check_ended(piece)
            found = judge_piece(piece, phase, self.dialect, self.made)
            statement = replace(found.statement, file=name)
            if isinstance(statement, BackfillStatement):
                self.backfills.append(statement)
            else:
                self.statements[phase].append(statement)
            self.made = found.made
        except ProblemError as error:
            self.problems.append(error.problem.at(name, piece.line, piece.sql))


def _check_ended(piece: Piece) -> None:
    if not piece.ended:
        raise ProblemError(
            Problem(
                Defect.UNREADABLE,
                "the last statement has no semicolon: the file may have been cut off",
                ("end it with ; if it is complete",),
            )
        )
