"""What is kept about one slot on disk: the record of its process, the mark that it was stopped on purpose, its lock.

SLOT is name and port (`blue-1@8001`): environments that share a directory may have slots of one name.

| file | content |
| --- | --- |
| SLOT.json | the process that was started: pid, start, boot, mark, version, build, fence, run, command |
| SLOT.disabled | when, by which run and which version was stopped on purpose; gone with the next start |
| SLOT.lock | held while somebody acts on the slot; the highest fence that ever acted, who and what |
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from changeover.core.errors import FencedOut, InstanceUnmanageable
from changeover.core.model import Slot
from changeover.core.ports import Fence
from changeover.drivers.runtimes.processes import Processes

LOCK_WAIT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Record:
    """What was started. `ticks` and `boot` name the start (see `processes`); `mark` says for which application and slot."""

    pid: int
    ticks: int
    boot: str
    version: str
    build: str
    mark: str
    fence: int
    run: str
    at: float
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disabled:
    """That the slot was stopped on purpose. `ticks` of `boot`: a process that started later was not meant."""

    at: float
    run: str
    version: str
    boot: str
    ticks: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who acted last on the slot, or acts now: the content of the lock file."""

    fence: int
    run: str
    pid: int
    act: str


@dataclass(frozen=True, slots=True)
class SlotFiles:
    """The files of one slot in the state directory."""

    directory: Path
    slot: Slot

    def _path(self, kind: str) -> Path:
        return self.directory / f"{self.slot.name}@{self.slot.port}.{kind}"

    @property
    def record_path(self) -> Path:
        return self._path("json")

    @property
    def disabled_path(self) -> Path:
        return self._path("disabled")

    @property
    def lock_path(self) -> Path:
        return self._path("lock")

    def record(self) -> Record | None:
        """The record, None if there is none or it is damaged: then the process is found by its mark."""
        return _load(self.record_path, Record)

    def disabled(self) -> Disabled | None:
        return _load(self.disabled_path, Disabled)

    def disable(self, why: Disabled) -> None:
        """Durable before it returns."""
        new = self._path("disabled.new")
        with new.open("w") as file:
            json.dump(asdict(why), file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.disabled_path)
        self._sync()

    def enable(self) -> None:
        self.disabled_path.unlink(missing_ok=True)
        self._sync()

    def forget(self) -> None:
        """Take the record away: nothing runs."""
        self.record_path.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def held(self, fence: Fence, act: str, table: Processes, wait: float = LOCK_WAIT) -> Iterator[int]:
        """Hold the lock of the slot: yields its descriptor, which an inheritor may go on holding.

        Under the lock the fence is compared with the highest that ever acted here and takes its place, so an actor that
        was taken over is refused here even if its own `check` would still pass. Raises FencedOut, and
        InstanceUnmanageable when somebody else has held the lock for `wait` seconds (a stopped process holds it for ever).
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(handle, table, wait)
            self._compare(handle, fence, act)
            yield handle
        finally:
            os.close(handle)

    def _lock(self, handle: int, table: Processes, wait: float) -> None:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._busy(_read_holder(handle), table) from None
                time.sleep(0.02)
            else:
                return

    def _busy(self, holder: Holder | None, table: Processes) -> InstanceUnmanageable:
        who, ways = "another process", [f"fuser -v {self.lock_path}"]
        if holder is not None:
            proc = table.get(holder.pid)
            who, ways = f"process {holder.pid} ({holder.act}, {holder.run})", ["wait until it is done"]
            if proc is not None and proc.is_suspended:
                who = f"process {holder.pid} ({holder.act}, {holder.run}), which is suspended,"
                ways = [f"let it go on: kill -CONT {holder.pid}", f"or end it: kill -KILL {holder.pid}"]
        return InstanceUnmanageable(f"{who} is acting on {self.slot.name}", next=(*ways, "changeover resume"))

    def _compare(self, handle: int, fence: Fence, act: str) -> None:
        holder = _read_holder(handle)
        if holder is None and os.fstat(handle).st_size:
            raise InstanceUnmanageable(
                f"{self.lock_path} is damaged, so nobody knows who acted last on {self.slot.name}",
                next=("changeover status shows whether another run acts", f"if none does: rm {self.lock_path}"),
            )
        if holder is not None and holder.fence > fence.token:
            raise FencedOut(
                f"{self.slot.name} was acted on by fence {holder.fence} ({holder.run}); this one is {fence.token}",
                next=(
                    "changeover status",
                    f"if the state store was replaced on purpose, and no other run acts: rm {self.lock_path}",
                ),
            )
        text = json.dumps(asdict(Holder(fence.token, fence.run, os.getpid(), act))).encode()
        os.pwrite(handle, text.ljust(os.fstat(handle).st_size), 0)  # one write, never shorter: never half a text
        os.fsync(handle)


def _read_holder(handle: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(handle, 4096, 0).strip(), type=Holder)
    except msgspec.DecodeError:
        return None


_T = TypeVar("_T")


def _load(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
