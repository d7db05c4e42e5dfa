"""The processes of this machine, as Linux shows them under /proc (proc(5)).

A process is named by its pid **and** its start, in clock ticks since the boot: a number that is used again never
matches, and setting the clock changes nothing. What may not be read is left out, except where the caller must know.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LISTENING: Final = b"0A"  # net/tcp_states.h
_SHOWN = 160  # characters of a command in a message


@dataclass(frozen=True, slots=True)
class Proc:
    """A process that lives. `ticks` is its start since boot; `session` is the pid that began its session."""

    pid: int
    ticks: int
    session: int
    state: str = field(default="S", compare=False)  # as proc(5): R, S, D, T, …

    @property
    def leads(self) -> bool:
        return self.pid == self.session

    @property
    def is_suspended(self) -> bool:
        return self.state in ("T", "t")


def parse_stat(text: bytes) -> Proc | None:
    """/proc/PID/stat; None for a process that is dead and not yet collected by its parent.

    A main thread that has ended while others run looks dead but is not: it has more than one thread.
    """
    try:
        number, _, rest = text.partition(b" (")
        fields = rest[rest.rindex(b")") + 2 :].split()
        state, session, threads, ticks = fields[0].decode(), int(fields[3]), int(fields[17]), int(fields[19])
        pid = int(number)
    except (ValueError, IndexError):
        return None
    if state in ("Z", "X", "x") and threads <= 1:
        return None
    return Proc(pid, ticks, session, state)


def listening(table: bytes, host: str, port: int) -> frozenset[int]:
    """The inodes of the sockets in /proc/net/tcp or tcp6 that take connections to host:port.

    A host that is a name matches every address: better one too many than one missed.
    """
    wanted = _written(host)
    found = re.finditer(
        rb"^ *\d+: ([0-9A-F]+):%04X [0-9A-F:]+ ([0-9A-F]{2})(?: +\S+){5} +(\d+)" % port, table, re.MULTILINE
    )
    return frozenset(
        int(line[3]) for line in found if line[2] == _LISTENING and (not wanted or line[1].decode() in wanted)
    )


def _written(host: str) -> frozenset[str]:
    """How /proc/net writes the addresses at which connections to `host` arrive; empty: cannot say, so all."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset()
    if address.is_unspecified:
        return frozenset()
    forms = [address.packed]
    if address.version == 4:
        forms.append(ipaddress.ip_address(f"::ffff:{address}").packed)
    return frozenset({"0" * 8, "0" * 32, *(_in_words(form) for form in forms)})


def _in_words(packed: bytes) -> str:
    words = (packed[n : n + 4] for n in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


@dataclass(frozen=True, slots=True)
class Processes:
    """The process table under `root`."""

    root: Path = Path("/proc")

    def boot(self) -> str:
        """The kernel's id of this boot: ticks of two boots cannot be compared."""
        return self._read("sys/kernel/random/boot_id").decode("ascii", "replace").strip()

    def get(self, pid: int) -> Proc | None:
        """The process with this number, None if there is none or it is dead."""
        return parse_stat(self._read(f"{pid}/stat"))

    def lives(self, proc: Proc) -> bool:
        """That very process, not another one with its number."""
        now = self.get(proc.pid)
        return now is not None and now.ticks == proc.ticks

    def all(self) -> Iterator[Proc]:
        """Every living process."""
        with os.scandir(self.root) as entries:
            pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
        for pid in pids:
            proc = self.get(pid)
            if proc is not None:
                yield proc

    def environment(self, pid: int) -> dict[str, str]:
        """What the process was started with; empty if it may not be read."""
        pairs = (pair.partition("=") for pair in os.fsdecode(self._read(f"{pid}/environ")).split("\0"))
        return {name: value for name, equals, value in pairs if equals}

    def marked(self, name: str, value: str) -> tuple[Proc, ...]:
        """Our own user's processes that carry `name=value` in their environment, the oldest first.

        Other users' processes are left out: anybody can set a variable.
        """
        needle = f"{name}={value}".encode()
        found = [
            proc
            for proc in self.all()
            if needle in self._read(f"{proc.pid}/environ").split(b"\0") and self._is_ours(proc.pid)
        ]
        return tuple(sorted(found, key=lambda p: (p.ticks, p.pid)))

    def session(self, leader: Proc) -> tuple[Proc, ...]:
        """The living processes of the session that `leader`, which must live, began."""
        return tuple(p for p in self.all() if p.session == leader.pid) if leader.leads else (leader,)

    def command(self, pid: int) -> str:
        """The command line for people, shortened; "" if it may not be read."""
        text = self._read(f"{pid}/cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

    def listeners(self, host: str, port: int) -> frozenset[int] | None:
        """The inodes of the sockets that take connections to host:port on this machine; None if that cannot be seen."""
        try:
            found = listening((self.root / "net/tcp").read_bytes(), host, port)
        except OSError:
            return None
        return found | listening(self._read("net/tcp6"), host, port)  # no such file: no IPv6

    def sockets(self, pid: int) -> frozenset[int] | None:
        """The inodes of the sockets that the process holds; None if that may not be seen."""
        inodes: set[int] = set()
        try:
            with os.scandir(self.root / str(pid) / "fd") as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        target = os.readlink(entry.path)  # noqa: PTH115 - many, and often
                        if target.startswith("socket:["):
                            inodes.add(int(target[8:-1]))
        except OSError:
            return None
        return frozenset(inodes)

    def holders(self, inodes: frozenset[int]) -> tuple[Proc, ...]:
        """The processes that hold one of these sockets, as far as that may be seen."""
        return tuple(p for p in self.all() if inodes & (self.sockets(p.pid) or frozenset()))

    def _is_ours(self, pid: int) -> bool:
        try:
            return (self.root / str(pid)).stat().st_uid == os.geteuid()
        except OSError:
            return False

    def _read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError:
            return b""


def send(table: Processes, proc: Proc, number: signal.Signals) -> bool:
    """Send a signal to this very process; False if it is gone. Raises PermissionError.

    A pidfd holds on to the process before its start is compared, so its number cannot be used again in between. On a
    kernel without pidfds (before 5.3) that gap is a few microseconds.
    """
    try:
        handle = os.pidfd_open(proc.pid)
    except ProcessLookupError:
        return False
    except OSError:
        if not table.lives(proc):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(proc.pid, number)
        return True
    try:
        if not table.lives(proc):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
