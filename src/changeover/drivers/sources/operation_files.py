"""Change files with operations, `VERSION.yml`: read strictly, every problem at its line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from changeover.core.model import Version
from changeover.schema.declared import Declared
from changeover.schema.operations.reading import read
from changeover.schema.problems import Defect, Problem
from changeover.yaml.source import decode, parse
from changeover.yaml.tree import Map


def read_operations(path: Path, version: Version, problems: list[Problem]) -> Declared | None:
    """The operations of a file; None when there are problems, which are added to `problems`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = f"{path.name} cannot be read: {error.strerror}"
        problems.append(Problem(Defect.UNREADABLE, reason, ("correct its permissions",), str(path)))
        return None
    text, found = decode(raw.replace(b"\r\n", b"\n"), str(path), 0)
    root = None
    if not found:
        root, found = parse(text)
    for problem in found:
        reason = f"{problem.path}: {problem.message}" if problem.path else problem.message
        problems.append(
            Problem(Defect.UNREADABLE, reason, (), str(path), problem.place.line, text.line(problem.place.line))
        )
    if found or not isinstance(root, Map):
        return None
    operations, names_columns, faults = read(root)
    for fault in faults:
        line = fault.place.line
        problems.append(Problem(Defect.UNREADABLE, fault.message, (), str(path), line, text.line(line).strip()))
    if faults:
        return None
    return Declared(version, str(path), operations, hashlib.sha256(text.text.encode()).hexdigest(), names_columns)
