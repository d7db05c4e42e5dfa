"""What the process runtime is told about the application, and the commands and variables that follow from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from changeover.core.model import Slot, Version
from changeover.drivers import argv

MARK: Final = "CHANGEOVER_SLOT"
PASSED: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG")


def as_it_is(text: str) -> str:
    """Resolves and redacts nothing."""
    return text


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Detached processes on this machine.

    `app` with slot and port marks a process as ours, so it tells environments of one machine apart only by their
    ports. `command` may hold placeholders (`argv.NAMES`), values of `env` too, and references (`${env:NAME}`, …) that
    `resolve` turns into secrets at the start of an instance, never before. Paths are absolute. `stop_within` is seconds
    from SIGTERM.

    An instance gets `env`, the five variables PASSED, and CHANGEOVER_SLOT, _VERSION and _BUILD: nothing else of whoever
    releases, so that it runs the same whether a person or a pipeline has started it.
    """

    app: str
    pools: Mapping[str, tuple[Slot, ...]]
    command: tuple[str, ...]
    directory: Path
    logs: Path
    state: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_within: float = 30.0
    signal: str = ""  # the name of the one that tells an instance to send its long-lived connections away
    resolve: Callable[[str], str] = as_it_is
    redact: Callable[[str], str] = as_it_is

    def mark(self, slot: Slot) -> str:
        """The value of CHANGEOVER_SLOT: `shop/blue-1@8001`."""
        return f"{self.app}/{slot.name}@{slot.port}"

    def log(self, slot: Slot) -> Path:
        return self.logs / f"{slot.name}.log"

    def argv(self, slot: Slot, version: Version, build: str) -> tuple[str, ...]:
        return argv.fill(self.command, argv.values_of(slot, version, build))

    def marks(self, slot: Slot, version: Version, build: str) -> dict[str, str]:
        """The variables by which the process is found again and known before it answers."""
        return {MARK: self.mark(slot), "CHANGEOVER_VERSION": version.text, "CHANGEOVER_BUILD": build}

    def variables(self, slot: Slot, version: Version, build: str) -> dict[str, str]:
        """The variables of `env`, placeholders filled in, references as they are written."""
        values = argv.values_of(slot, version, build)
        return {name: argv.fill((text,), values)[0] for name, text in self.env.items()}

    def environment(self, slot: Slot, version: Version, build: str) -> dict[str, str]:
        """The whole environment of an instance, secrets in it. Raises SecretUnresolved."""
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        own = {name: self.resolve(text) for name, text in self.variables(slot, version, build).items()}
        return {**passed, **own, **self.marks(slot, version, build)}
