"""Plain SQL files as the source of changes: `VERSION.expand.sql`, `VERSION.backfill.sql`, `VERSION.contract.sql`.

A file that is not read is a change that silently does not happen, so every file of the directory must be one of these,
hidden files and Markdown apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import VersionUnusable
from changeover.core.model import ChangeSet, Phase, Version
from changeover.schema.changes import examine
from changeover.schema.dialects import dialect_of
from changeover.schema.problems import Defect, Problem, ProblemError, refusal

_NAME = re.compile(r"(?P<version>.+)\.(?P<phase>[^.]+)\.sql")
_EXPECTED = "name it VERSION.PHASE.sql: 1.1.0.expand.sql, 1.1.0.backfill.sql or 1.1.0.contract.sql"
_PHASES = ", ".join(Phase)


@dataclass(frozen=True, slots=True)
class _Found:
    version: Version
    phase: Phase
    path: Path


def read_directory(directory: Path, dialect: str) -> tuple[ChangeSet, ...]:
    """The change sets of all versions in the directory, ordered by version; none for an empty directory.

    Raises ChangesUnreadable (CO-0101), StatementUnknown (CO-0103) or WouldBreak (CO-0104) with all problems of all files at
    once: names, encodings and statements.
    """
    engine = dialect_of(dialect)
    problems: list[Problem] = []
    versions = _by_version(_named(directory, problems), problems)
    sets = []
    for version in sorted(versions):
        texts = {phase: (str(path), _text(path, problems)) for phase, path in versions[version].items()}
        readable = {phase: (name, text) for phase, (name, text) in texts.items() if text is not None}
        found, wrong = examine(version, readable, engine)
        problems += wrong
        sets.append(found)
    if problems:
        raise refusal(problems)
    return tuple(sets)


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
    matched = _NAME.fullmatch(path.name)
    if matched is None:
        raise ProblemError(_problem(path, f"{shown} is not the name of a change file", _EXPECTED, "or move it away"))
    if matched["phase"] not in set(Phase):
        raise ProblemError(
            _problem(
                path, f"{ascii(matched['phase'])[1:-1]} in {shown} is no phase; the phases are {_PHASES}", _EXPECTED
            )
        )
    try:
        version = Version.of(matched["version"])
    except VersionUnusable:
        version = None
    if version is None or not matched["version"].isascii():
        raise ProblemError(_problem(path, f"{shown} does not begin with a version", _EXPECTED))
    return _Found(version, Phase(matched["phase"]), path)


def _by_version(found: Sequence[_Found], problems: list[Problem]) -> dict[Version, dict[Phase, Path]]:
    """Files by version; two spellings of one version or two files of one phase are problems."""
    versions: dict[Version, dict[Phase, Path]] = {}
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
