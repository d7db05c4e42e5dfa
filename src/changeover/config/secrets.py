"""References -> values, at the moment of use and never before.

`check`, `plan`, `runbook` and `config show` do not come here. A value is wrapped in `Secret`, which shows itself only when
asked to, and is told to the `Redactor`, which takes it out of everything that is written afterwards.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Final

from changeover.config.redact import Redactor
from changeover.config.references import DOTS, Reference, Source, parts_of, problem_of
from changeover.core.errors import SecretUnresolved

COMMAND_SECONDS: Final = 10.0
MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A resolved value. It is shown by no repr, str, format or log; `reveal` is the one way to it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The value itself, for the call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({DOTS})"

    def __str__(self) -> str:
        return DOTS

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        """A secret is not written anywhere, a pickle included."""
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves references. Relative paths start in `directory`; `environ` is the process's own unless given."""

    directory: Path
    redactor: Redactor
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    command_seconds: float = COMMAND_SECONDS

    def resolve(self, text: str) -> Secret:
        """The text with every reference replaced by its value. Raises SecretUnresolved (CO-0012).

        What was resolved, and the whole text if anything in it was, is redacted from now on.
        """
        if problem := problem_of(text):
            raise SecretUnresolved(problem, next=("correct the reference in changeover.yml",))
        parts = list(parts_of(text))
        values = [self._value(part) if isinstance(part, Reference) else part for part in parts]
        whole = "".join(values)
        for part, value in zip(parts, values, strict=True):
            if isinstance(part, Reference):
                self.redactor.add(value)
        if any(isinstance(part, Reference) for part in parts):
            self.redactor.add(whole)
        return Secret(whole)

    def _value(self, reference: Reference) -> str:
        match reference.source:
            case Source.ENV:
                return self._of_environment(reference)
            case Source.FILE:
                return self._of_file(reference)
            case Source.CMD:
                return self._of_command(reference)

    def _of_environment(self, reference: Reference) -> str:
        value = self.environ.get(reference.target)
        if value is None:
            raise _unresolved(
                reference, f"the environment variable {reference.target} is not set", f"export {reference.target}=…"
            )
        if not value.strip():
            raise _unresolved(
                reference, f"the environment variable {reference.target} is empty", f"export {reference.target}=…"
            )
        return value

    def _of_file(self, reference: Reference) -> str:
        path = self.directory / reference.target
        look = f"look at it: ls -l {shlex.quote(str(path))}"
        try:
            if not path.is_file():
                raise _unresolved(reference, f"{path} is not there, or not a file", look)
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _unresolved(reference, f"{path} cannot be read: {error.strerror}", look) from None
        return _text(raw, reference, look)

    def _of_command(self, reference: Reference) -> str:
        run = f"run it by hand: {reference.target}"
        try:
            argv = shlex.split(reference.target)
        except ValueError:
            raise _unresolved(reference, "its quotes do not fit", "correct the reference in changeover.yml") from None
        try:
            status, raw = _run(argv, self.directory, self.environ, self.command_seconds)
        except OSError as error:
            raise _unresolved(reference, f"{argv[0]} cannot be run: {error.strerror}", run) from None
        if status is None:
            raise _unresolved(reference, f"it did not end within {self.command_seconds:g} s and was killed", run)
        if status != 0:
            raise _unresolved(reference, f"it ended with status {status}", run)
        return _text(raw, reference, run)


def _text(raw: bytes, reference: Reference, fix: str) -> str:
    """The value in what a file or command gave, blanks around it stripped."""
    if len(raw) > MOST_BYTES:
        raise _unresolved(reference, f"it gives more than {MOST_BYTES // 1024} KiB", fix)
    try:
        value = raw.decode().strip()
    except UnicodeDecodeError:
        raise _unresolved(reference, "what it gives is not UTF-8", fix) from None
    if not value:
        raise _unresolved(reference, "it gives nothing", fix)
    return value


def _unresolved(reference: Reference, reason: str, fix: str) -> SecretUnresolved:
    return SecretUnresolved(f"{reference} could not be resolved: {reason}", next=(fix,))


def _run(argv: list[str], directory: Path, environ: Mapping[str, str], seconds: float) -> tuple[int | None, bytes]:
    """(exit status, or None if it was killed at the deadline; at most MOST_BYTES + 1 of what it wrote).

    The command has its own process group, so that a child that keeps the pipe open cannot outlive the deadline. Its
    standard error is dropped: it may hold the secret.
    """
    deadline = time.monotonic() + seconds
    process = subprocess.Popen(
        argv,
        cwd=directory,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        raw = _read(process.stdout.fileno(), deadline)
        if raw is None:
            return None, b""
        if len(raw) > MOST_BYTES:
            return 0, raw
        return process.wait(max(0.0, deadline - time.monotonic())), raw
    except subprocess.TimeoutExpired:
        return None, b""
    finally:
        process.stdout.close()
        _end(process)


def _read(pipe: int, deadline: float) -> bytes | None:
    """All that comes until the end of the pipe, a little over MOST_BYTES at the most; None at the deadline."""
    raw = b""
    while len(raw) <= MOST_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select([pipe], [], [], left)[0]:
            return None
        chunk = os.read(pipe, MOST_BYTES)
        if not chunk:
            break
        raw += chunk
    return raw


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and its children. One that may not be killed (it runs as another user) is left, never waited for."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
