"""Misbehaviour on order: what a version of the shop does wrong, so that a release can be seen to notice it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """What one instance does wrong now."""

    errors: float = 0.0  # part of the /orders requests that is answered 500, 0 to 1
    delay: float = 0.0  # seconds added to every /orders request
    exit_after: float | None = None  # seconds after its start at which the process dies
    never_ready: bool = False
    wrong_price: bool = False  # answers show one cent too much


NONE = Faults()


def parse_bad(words: list[str]) -> Faults:
    """The `--bad` flags: `errors`, `errors=0.5`, `exit=5`, `delay=0.2`, `wrong-price`. Raises ValueError."""
    faults = NONE
    for word in words:
        name, _, value = word.partition("=")
        match name:
            case "errors":
                faults = replace(faults, errors=float(value or 1 / 3))
            case "exit":
                faults = replace(faults, exit_after=float(value or 5))
            case "delay":
                faults = replace(faults, delay=float(value or 1))
            case "wrong-price":
                faults = replace(faults, wrong_price=True)
            case _:
                raise ValueError(f"--bad {word}: it knows errors, exit, delay and wrong-price")
    return faults


def read_faults(text: str, version: str, port: int, flags: Faults) -> Faults:
    """The faults of one instance by the control file, on top of its flags.

    `{"1.1.0": {"errors": 0.3, "delay": 0.1, "exit_after": 5, "wrong_price": true, "never_ready": true},
    "never_ready_ports": [8003]}`. Raises ValueError for what is no such file.
    """
    content = _object(json.loads(text))
    own = _object(content.get(version, {}))
    exit_after = own.get("exit_after", flags.exit_after)
    return Faults(
        errors=float(own.get("errors", flags.errors)),
        delay=float(own.get("delay", flags.delay)),
        exit_after=None if exit_after is None else float(exit_after),
        never_ready=flags.never_ready
        or bool(own.get("never_ready", False))
        or port in content.get("never_ready_ports", []),
        wrong_price=bool(own.get("wrong_price", flags.wrong_price)),
    )


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("not a JSON object")


class FaultFile:
    """The control file of the faults. A file that is missing means the flags; one that is half written, the last state."""

    def __init__(self, path: str, version: str, port: int, flags: Faults) -> None:
        self._path = Path(path) if path else None
        self._version = version
        self._port = port
        self._flags = flags
        self.now = flags

    def look(self) -> Faults:
        """Read the file again."""
        if self._path is not None:
            try:
                self.now = read_faults(self._path.read_text("utf-8"), self._version, self._port, self._flags)
            except FileNotFoundError:
                self.now = self._flags
            except (ValueError, TypeError, AttributeError, OSError):
                return self.now
        return self.now


class Share:
    """Picks a given part of a sequence evenly and without chance: a third is every third."""

    def __init__(self) -> None:
        self._owed = 0.0

    def picks(self, part: float) -> bool:
        """Whether the next one belongs to the part (0 to 1)."""
        self._owed += part
        if self._owed >= 1 - 1e-9:
            self._owed -= 1
            return True
        return False
