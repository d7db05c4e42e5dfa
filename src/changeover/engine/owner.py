"""Which process holds an environment, and whether it still lives."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass

import psutil

from changeover.core.ports import Clock


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: `name` is user@host; `born` is its start time (epoch seconds), because pids are used again."""

    name: str
    pid: int
    born: float
    boot: str

    @classmethod
    def me(cls, clock: Clock) -> Owner:
        """The process that asks."""
        return cls(whoami(), os.getpid(), psutil.Process().create_time(), clock.boot())

    def is_dead(self) -> bool:
        """True only if it is certain: same machine, and no such process any more. Otherwise the lease decides."""
        if self.name.partition("@")[2] != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            return process.create_time() != self.born or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


def whoami() -> str:
    """`user@host`; CHANGEOVER_BY replaces the user, for pipelines that act for a person."""
    try:
        user = os.environ.get("CHANGEOVER_BY") or getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
