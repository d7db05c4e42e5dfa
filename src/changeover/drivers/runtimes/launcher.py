"""Runs `launch`: hands over the order, the log and the lock, and listens whether the application has taken over."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from changeover.core.errors import InstanceUnmanageable, ToolMissing
from changeover.core.ports import Fence

LAUNCH: Final = Path(__file__).with_name("launch.py")
WITHIN: Final = 10.0  # seconds until the application's program has taken over
_LATE: Final = b"0 its program did not take over in time"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to run, and what its record says besides the process itself. `env` is all of the environment."""

    record: Path
    facts: Mapping[str, Any]
    argv: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path

    def text(self) -> bytes:
        """It travels through a pipe: arguments can be read by every user of the machine."""
        return json.dumps(
            {
                "record": str(self.record),
                "facts": self.facts,
                "argv": self.argv,
                "env": dict(self.env),
                "directory": str(self.directory),
            }
        ).encode()


def launch(order: Order, log: Path, lock: int, fence: Fence) -> None:
    """Start a detached process that inherits `lock` until it has become the application; output is appended to `log`.

    Returns when the program runs. Raises ToolMissing when it cannot be run, InstanceUnmanageable for anything else.
    """
    output = _open(log)
    hear, report = os.pipe()
    try:
        try:
            fence.check()
            launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCH), str(lock), str(report)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(lock, report),
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                start_new_session=True,
            )
        finally:
            os.close(report)
        said = _hear(launcher, order, hear)
    finally:
        os.close(hear)
        os.close(output)
    if said:
        raise _problem(order, log, said.decode("utf-8", "replace"))


def _hear(launcher: subprocess.Popen[bytes], order: Order, hear: int) -> bytes:
    """What the launcher reports: nothing if `exec` has closed the pipe."""
    try:
        launcher.communicate(order.text(), timeout=WITHIN)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.wait()
        return _LATE
    except BaseException:
        launcher.kill()
        launcher.wait()
        raise
    readable, _, _ = select.select([hear], [], [], WITHIN)
    return os.read(hear, 4096) if readable else _LATE


def _problem(order: Order, log: Path, said: str) -> ToolMissing | InstanceUnmanageable:
    number, _, reason = said.partition(" ")
    program = order.argv[0]
    if number in ("2", "13"):  # ENOENT, EACCES
        return ToolMissing(
            f"{program} cannot be run in {order.directory}: {reason.lower()}",
            next=(f"command -v {program}", "write its whole path into instances.command"),
        )
    return InstanceUnmanageable(f"{program} could not be started: {reason}", next=(f"read {log}",))


def _open(log: Path) -> int:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise InstanceUnmanageable(
            f"the log cannot be written: {log}: {error.strerror}", next=("make room, or correct instances.logs",)
        ) from None
