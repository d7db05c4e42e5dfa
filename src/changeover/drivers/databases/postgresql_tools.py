"""pg_dump and pg_restore: found, at least as new as the server, run without a password in their arguments."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import ToolMissing
from changeover.drivers.databases.restore_files import failed

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_PERIOD = 0.1  # seconds between two looks at a running tool
_TAIL = 400  # characters of what a tool said last

Look = Callable[[], None]
"""Called while a tool runs; what it raises ends the tool."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the server's programs are looked for, in order."""

    directories: tuple[Path, ...]

    @classmethod
    def installed(cls) -> Tools:
        """The PATH, then where Debian puts each major version, newest first."""
        path = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: _major(p.parent.name), reverse=True)
        return cls((*path, *versions))

    def find(self, program: str, server: int) -> Path:
        """The first program whose major version is not older than the server's. Raises ToolMissing."""
        seen: list[str] = []
        for directory in self.directories:
            path = directory / program
            if not (
                os.access(path, os.X_OK) and path.is_file()
            ):  # in this order: is_file raises where one may not look
                continue
            version = version_of(path)
            if version >= server:
                return path
            seen.append(f"{path} is of version {version}")
        found = "; ".join(dict.fromkeys(seen)) or "none was found"
        raise ToolMissing(
            f"{program} of version {server} or newer is needed: {found}",
            next=(f"install the PostgreSQL {server} client programs", "or give a backup command of your own"),
        )


def _major(text: str) -> int:
    return int(text) if text.isdigit() else 0


def version_of(path: Path) -> int:
    """The major version that the program tells; 0 if it does not."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = _VERSION.search(told)
    return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True)
class Target:
    """A database as a tool is told of it: a connection string without password, and the environment that has it."""

    dbname: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, words: Mapping[str, str], application: str) -> Target:
        from psycopg.conninfo import make_conninfo

        open_ = {k: v for k, v in words.items() if k != "password"}
        hidden = {"PGPASSWORD": words["password"]} if "password" in words else {}
        return cls(make_conninfo(**{**open_, "application_name": application}), hidden)


def run(argv: Sequence[str | Path], environment: Mapping[str, str], look: Look, redact: Callable[[str], str]) -> str:
    """Run to the end; `look` is called meanwhile. Returns stdout. Raises RestorePointFailed with what it said last.

    The whole process group is ended when `look` raises or we are interrupted.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        process = _start(argv, environment, out.fileno(), err.fileno())
        try:
            while process.poll() is None:
                look()
                time.sleep(_PERIOD)
        finally:
            _end(process)
        if process.returncode:
            err.seek(0)
            said = " ".join(err.read().split())[-_TAIL:]
            raise failed(
                f"{Path(argv[0]).name} ended with {process.returncode}: {redact(said) or 'it said nothing'}",
                disk="No space left" in said,
            )
        out.seek(0)
        return out.read()


def _start(argv: Sequence[str | Path], environment: Mapping[str, str], out: int, err: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolMissing(
            f"{argv[0]} cannot be run: {error.strerror}", next=("install it or correct its path",)
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the group goes on; a process that has ended is only reaped."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
