"""Where commands run: on this machine. Argument lists only, never a shell."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from changeover.core.errors import ToolMissing
from changeover.core.ports import CommandResult

KEEP = 64 * 1024  # bytes kept of each end of each output
LINGER = 1.0  # seconds that output may still come after the command has ended
LEFT_BEHIND = "changeover: the command has ended, but a process that it left behind still holds its output"


def _as_it_is(text: str) -> str:
    return text


class _Output:
    """The beginning and the end of an output, whatever its length. Cut at line ends: half a secret is not redacted."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = max(0, self._keep - len(self._head))
        self._head += data[:room]
        self._tail += data[room:]
        surplus = len(self._tail) - self._keep
        if surplus > self._keep:  # now and then, not for every byte
            del self._tail[:surplus]
            self._dropped += surplus

    def text(self) -> str:
        head, tail = bytes(self._head), bytes(self._tail)
        if not self._dropped:
            return (head + tail).decode("utf-8", "replace")
        head_end, tail_start = head.rfind(b"\n") + 1, tail.find(b"\n") + 1 or len(tail)
        left_out = self._dropped + len(head) - head_end + tail_start
        middle = f"[{left_out} bytes left out]\n"
        return head[:head_end].decode("utf-8", "replace") + middle + tail[tail_start:].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class LocalHost:
    """The machine of this process. A command runs in a process group of its own, without a terminal and with an empty input.

    `redact` takes secrets out of what commands print. `directory` is where they run, None: where this process does.
    """

    redact: Callable[[str], str] = _as_it_is
    directory: Path | None = None
    keep: int = KEEP

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> CommandResult:
        """Run to the end or to the timeout (seconds; then the whole process group is killed: status None).

        `env` is added to this process's environment. Output is kept up to a bound, its middle is left out. Raises
        ToolMissing when the program cannot be run at all.
        """
        began = time.monotonic()
        process = self._spawn(argv, env or {})
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = _Output(self.keep), _Output(self.keep)
        try:
            ended, held = _collect(process, {process.stdout: out, process.stderr: err}, began + timeout)
        except BaseException:
            _kill(process)
            raise
        finally:
            process.stdout.close()
            process.stderr.close()
        if not ended:
            _kill(process)
        status = process.returncode if ended else None
        note = f"{LEFT_BEHIND}\n" if held else ""
        return CommandResult(status, self.redact(out.text()), self.redact(err.text()) + note, time.monotonic() - began)

    def _spawn(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **env},
                cwd=self.directory,
                start_new_session=True,
            )
        except (OSError, ValueError, IndexError) as error:
            program = self.redact(argv[0]) if argv else "an empty command"
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a command"
            raise ToolMissing(
                f"{program} cannot be run: {reason}",
                next=(f"install it, or put it on the PATH: command -v {program}",),
            ) from None


def _collect(
    process: subprocess.Popen[bytes], outputs: Mapping[IO[bytes], _Output], deadline: float
) -> tuple[bool, bool]:
    """Read until the command has ended and its output too: (ended in time, somebody else still holds the output)."""
    over: float | None = None  # when the output must have ended, once the command has
    with selectors.DefaultSelector() as selector:
        for stream, output in outputs.items():
            selector.register(stream, selectors.EVENT_READ, output)
        while selector.get_map():
            now = time.monotonic()
            if over is None and process.poll() is not None:
                over = now + LINGER
            if over is not None and now >= over:
                return True, True
            if over is None and now >= deadline:
                return False, False
            for key, _ in selector.select(0.1 if over is None else max(0.0, over - now)):
                data = os.read(key.fd, 65_536)
                if data:
                    key.data.add(data)
                else:
                    selector.unregister(key.fileobj)
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False, False
    return True, False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command and everything in its group. A process that the kernel does not let go is left to it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
