"""The directory of changes: operations in `VERSION.yml`, or plain SQL in `VERSION.expand.sql`, `.backfill.sql`, `.contract.sql`.

A file that is not read is a change that silently does not happen, so every file of the directory must be one of these,
hidden files and Markdown apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import VersionUnusable
from changeover.core.model import PLAIN, ChangeSet, Phase, Version
from changeover.schema.declared import Declared
from changeover.schema.problems import Defect, Problem, ProblemError, refusal

_NAME = re.compile(r"(?P<version>.+)\.(?P<phase>[^.]+)\.sql")
_OPERATIONS = re.compile(r"(?P<version>.+)\.ya?ml")
_EXPECTED = "name it VERSION.yml, or VERSION.PHASE.sql: 1.1.0.expand.sql, 1.1.0.backfill.sql or 1.1.0.contract.sql"
_PHASES = ", ".join(PLAIN)


@dataclass(frozen=True, slots=True)
class _Found:
    version: Version
    phase: Phase | None  # None: operations
    path: Path


@dataclass(frozen=True, slots=True)
class Changes:
    """What a directory holds, by version: `sets` of all versions, those of operations still open, and the operations."""

    sets: tuple[ChangeSet, ...] = ()
    declared: tuple[Declared, ...] = ()


def read_directory(directory: Path, dialect: str) -> Changes:
    """The changes of all versions in the directory, ordered by version; none for an empty directory.

    Raises ChangesUnreadable (CO-0101), StatementUnknown (CO-0103) or WouldBreak (CO-0104) with all problems of all files at
    once: names, encodings and statements.
    """
    problems: list[Problem] = []
    versions = _by_version(_named(directory, problems), problems)
    sets: list[ChangeSet] = []
    declared: list[Declared] = []
    for version in sorted(versions):
        if None in versions[version]:
            # Each kind of file loads what reads it, and not the other's: `status` reads them, too.
            from changeover.drivers.sources.operation_files import read_operations

            read = read_operations(versions[version][None], version, problems)
            declared += [read] if read is not None else []
            sets += [read.open] if read is not None else []
            continue
        from changeover.schema.changes import examine
        from changeover.schema.dialects import dialect_of

        texts = {phase: (str(path), _text(path, problems)) for phase, path in versions[version].items() if phase}
        readable = {phase: (name, text) for phase, (name, text) in texts.items() if text is not None}
        found, wrong = examine(version, readable, dialect_of(dialect))
        problems += wrong
        sets.append(found)
    if problems:
        raise refusal(problems)
    return Changes(tuple(sets), tuple(declared))


def _problem(path: Path, reason: str, *rewrite: str) -> Problem:
    return Problem(Defect.UNREADABLE, reason, rewrite, str(path))


# names ----------------------------------------------------------------------------------------------------


def _named(directory: Path, problems: list[Problem]) -> list[_Found]:
    try:
        entries = sorted(directory.iterdir())
    except FileNotFoundError:
        wrong = _problem(
            directory, f"there is no directory {directory}", "create it, or correct `changes:` in changeover.yml"
        )
    except NotADirectoryError:
        wrong = _problem(directory, f"{directory} is a file, not a directory", "give the directory of the change files")
    except OSError as error:
        wrong = _problem(
            directory, f"the directory {directory} cannot be read: {error.strerror}", "correct its permissions"
        )
    else:
        return [found for path in entries if (found := _one(path, problems)) is not None]
    raise refusal([wrong])


def _one(path: Path, problems: list[Problem]) -> _Found | None:
    if path.name.startswith(".") or path.suffix == ".md":
        return None
    try:
        return _parsed(path)
    except ProblemError as error:
        problems.append(error.problem)
        return None


def _parsed(path: Path) -> _Found:
    shown = ascii(path.name)[1:-1]
    if path.is_dir():
        raise ProblemError(
            _problem(path, f"{shown} is a directory; change files are not looked for in it", "move it away")
        )
    operations = _OPERATIONS.fullmatch(path.name)
    if operations is not None:
        return _Found(_version(path, operations["version"]), None, path)
    matched = _NAME.fullmatch(path.name)
    if matched is None:
        raise ProblemError(_problem(path, f"{shown} is not the name of a change file", _EXPECTED, "or move it away"))
    if matched["phase"] not in PLAIN:
        raise ProblemError(
            _problem(
                path, f"{ascii(matched['phase'])[1:-1]} in {shown} is no phase; the phases are {_PHASES}", _EXPECTED
            )
        )
    return _Found(_version(path, matched["version"]), Phase(matched["phase"]), path)


def _version(path: Path, text: str) -> Version:
    try:
        version = Version.of(text)
    except VersionUnusable:
        version = None
    if version is None or not text.isascii():
        raise ProblemError(_problem(path, f"{ascii(path.name)[1:-1]} does not begin with a version", _EXPECTED))
    return version


def _by_version(found: Sequence[_Found], problems: list[Problem]) -> dict[Version, dict[Phase | None, Path]]:
    """Files by version; two spellings of one version, two files of one phase, or both kinds of files are problems."""
    versions: dict[Version, dict[Phase | None, Path]] = {}
    for one in found:
        twin = next((v for v in versions if v != one.version and not (v < one.version or one.version < v)), None)
        if twin is not None:
            problems.append(
                _problem(
                    one.path, f"{one.version} and {twin} are the same version, spelt differently", "spell it one way"
                )
            )
            continue
        phases = versions.setdefault(one.version, {})
        if phases and (one.phase is None) != (None in phases):
            other = next(iter(phases.values()))
            problems.append(
                _problem(
                    one.path,
                    f"{one.path.name} and {other.name} are both changes of v{one.version}",
                    "keep one kind of file; plain SQL beside operations is the operation `sql`",
                )
            )
            continue
        if one.phase in phases:
            problems.append(
                _problem(
                    one.path,
                    f"{one.path.name} and {phases[one.phase].name} are the same phase of the same version",
                    "make one file of them",
                )
            )
            continue
        phases[one.phase] = one.path
    return versions


# texts ----------------------------------------------------------------------------------------------------


def _text(path: Path, problems: list[Problem]) -> str | None:
    """The text with plain line feeds, so that a checkout with other line ends is the same change; None if unreadable."""
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        problems.append(_problem(path, f"{path.name} cannot be read: {error.strerror}", "correct its permissions"))
    except UnicodeDecodeError as error:
        problems.append(
            _problem(path, f"{path.name} is not UTF-8: the byte at {error.start} fits nowhere", "save it as UTF-8")
        )
    return None
