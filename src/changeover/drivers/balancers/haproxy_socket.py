"""The socket of HAProxy's master process: one command in, one whole reply out, or an error that says what is not known."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from changeover.core.errors import BalancerUnreachable
from changeover.drivers.balancers.haproxy_wire import Worker, parse_workers

LONGEST_REPLY: Final = 64 * 1024 * 1024  # bytes; more is not an answer
RELOAD: Final = 2.0  # seconds: during a reload the master refuses or resets connections, for 50 to 150 ms as measured
RELOAD_PAUSE: Final = 0.02  # seconds
ROUNDS: Final = 10  # how often a worker that appeared meanwhile makes us begin again
GONE_PAUSE: Final = 0.05  # seconds

T = TypeVar("T")


class WorkerGone(Exception):
    """The worker that was addressed does not exist any more. Never leaves the driver."""


def reads(command: str) -> bool:
    """Whether the command only looks, so that it may be asked again when its answer was lost."""
    verb = command.split()[1] if command.startswith("@!") else command.split(maxsplit=1)[0]
    return verb in ("show", "get")


def complete(reply: str) -> bool:
    """Whether a reply is whole: it ends with an empty line. Half a line or half a table never does."""
    return reply == "\n" or reply.endswith("\n\n")


def replies(text: str, count: int) -> tuple[str, ...] | None:
    """The replies to that many commands: each is a blank line, or lines of words and a blank line. None: they do not fit."""
    found: list[str] = []
    words: list[str] = []
    for line in text.split("\n")[:-1]:
        if line.strip():
            words.append(line)
        else:
            found.append("\n".join(words))
            words = []
    return tuple(found) if len(found) == count and not words else None


@dataclass(frozen=True, slots=True)
class MasterSocket:
    """The socket of HAProxy's master process, through which every worker is reached. One connection per command.

    `timeout` is for the whole exchange, in seconds, however slowly the bytes drip.
    """

    path: str
    timeout: float = 5.0

    def workers(self) -> tuple[Worker, ...]:
        return parse_workers(self.ask("show proc"))

    def tell(self, worker: Worker, command: str) -> str:
        """Give the command to one worker. Raises WorkerGone, BalancerUnreachable."""
        try:
            return self.ask(f"@!{worker.pid} {command}")
        except BalancerUnreachable:
            if worker.pid not in {w.pid for w in self.workers()}:
                raise WorkerGone from None  # it ended while it was asked
            raise

    def tell_all(self, worker: Worker, commands: Sequence[str]) -> tuple[str, ...]:
        """Give several commands in one exchange: a blank reply, or words, for each. No transaction: after an error the rest still ran.

        For commands whose success is a blank line. Raises WorkerGone, BalancerUnreachable.
        """
        prefix = f"@!{worker.pid} "
        try:
            reply = self.ask("; ".join(prefix + command for command in commands))
        except BalancerUnreachable:
            if worker.pid not in {w.pid for w in self.workers()}:
                raise WorkerGone from None
            raise
        if "Can't find the target PID" in reply:
            raise WorkerGone
        found = replies(reply, len(commands))
        if found is None:
            raise self._unreachable("gave fewer answers than it had questions")
        return found

    def each(self, ask: Callable[[Worker], T]) -> list[tuple[Worker, T]]:
        """Ask every worker, also those that appear meanwhile; one that ends has nothing to say.

        Raises BalancerUnreachable, also when the workers never stay the same for the time of one look.
        """
        answers: dict[int, T] = {}
        for _ in range(ROUNDS):
            workers = self.workers()
            todo = [w for w in workers if w.pid not in answers]
            if not todo:
                return [(w, answers[w.pid]) for w in workers]
            for worker in todo:
                try:
                    answers[worker.pid] = ask(worker)
                except WorkerGone:
                    time.sleep(GONE_PAUSE)  # it is listed for a moment longer
        raise self._unreachable("belongs to an HAProxy that is being reloaded again and again")

    def ask(self, command: str) -> str:
        """Send one command, return its whole reply. Raises BalancerUnreachable, and WorkerGone for `@!PID`.

        A master that executes itself anew (a reload) resets the connections it had; only a command that reads is asked again.
        """
        assert "\n" not in command, "one line, one command"
        patience = time.monotonic() + RELOAD
        while True:
            try:
                reply = self._exchange(command)
            except TimeoutError:
                raise self._unreachable(f"did not answer within {self.timeout:g} s") from None
            except (ConnectionResetError, BrokenPipeError) as error:
                if not reads(command) or time.monotonic() > patience:
                    raise self._unreachable(_words(error)) from None
                time.sleep(RELOAD_PAUSE)
            except OSError as error:
                raise self._unreachable(_words(error)) from None
            else:
                break
        if reply.startswith("Can't find the target PID"):
            raise WorkerGone
        if not complete(reply):
            raise self._unreachable("closed the connection in the middle of an answer")
        return reply

    def _exchange(self, command: str) -> str:
        deadline = time.monotonic() + self.timeout
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            self._connect(line, deadline)
            line.sendall(command.encode("ascii") + b"\n")
            line.shutdown(socket.SHUT_WR)  # the master waits for more commands for ever otherwise
            received = bytearray()
            while True:
                line.settimeout(_left(deadline))
                piece = line.recv(65536)
                if not piece and not received:
                    raise ConnectionResetError(errno.ECONNRESET, "it closed the connection without an answer")
                if not piece:
                    return received.decode("utf-8", "replace")
                received += piece
                if len(received) > LONGEST_REPLY:
                    raise OSError(errno.EMSGSIZE, "sent an answer without end")

    def _connect(self, line: socket.socket, deadline: float) -> None:
        patience = min(deadline, time.monotonic() + RELOAD)
        while True:
            line.settimeout(_left(deadline))
            try:
                line.connect(self.path)
            except (ConnectionRefusedError, BlockingIOError):
                if time.monotonic() > patience:
                    raise
                time.sleep(RELOAD_PAUSE)
            else:
                return

    def _unreachable(self, why: str) -> BalancerUnreachable:
        return BalancerUnreachable(
            f"HAProxy's master socket {self.path} {why}",
            now="Whether the last command had an effect is not known; traffic goes on as it was.",
            next=("changeover doctor", f"echo 'show proc' | socat -t5 - UNIX-CONNECT:{self.path}"),
        )


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _words(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist (haproxy needs -W and -S PATH,level,admin)"
        case ConnectionRefusedError():
            return "refuses connections: haproxy does not run"
        case PermissionError():
            return "may not be opened by this user"
        case _:
            return f"failed: {error.strerror or error}"
