"""The map file: HAProxy's only memory across a reload, written so that a stale actor cannot put an old route back.

The file is one comment with the fence of its writer and one entry:

    # changeover fence=12 run=r7
    route blue:green:500:7312:1795446539:r7-s4

Fence and route are one file, so they change in one rename. A lock file is of no use here: a process that is stopped
(SIGSTOP, a suspended laptop) while it holds the lock would keep the new owner out, and a new owner that breaks the lock
meets the old one again when it wakes between comparing and renaming. Instead each writer, in this order,

1. writes a draft of its own, whose name carries its fence, and syncs it where the file system does not see to that (`disk`);
2. reads the fence in the map file and gives up if that one is newer;
3. checks its own lease, and renames the draft over the map file;
4. removes every draft with an older fence, then reads the map file again, and starts over if it is not its own; then it syncs
   file and directory.

The workers may be told between 3 and 4: whoever reloads HAProxy reads the new file from 3 on. Should the machine die before 4,
the workers' memory dies with it, and the file is whole, the old one or the new one.

Whoever sleeps between 2 and 3 and is taken over meanwhile finds its draft removed by the new owner's step 4, so its
rename fails. Whoever wakes before that step renames, is seen by the new owner's second look, and is overwritten. Whoever
compares after the new owner's rename sees the newer fence. No order of the steps of two owners leaves the old route,
and nobody waits for anybody.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from changeover.core.errors import BalancerRefused, BalancerUnreachable, ChangeoverError, FencedOut
from changeover.core.ports import Fence
from changeover.drivers.balancers import disk
from changeover.drivers.balancers.haproxy_wire import ROUTE_KEY

ROUNDS = 10
_FENCE = re.compile(r"^# changeover fence=(\d{1,18}) run=(\S*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MapText:
    """The content of the map file. `value` is the route's text, None if there is no entry for it."""

    value: str | None
    token: int = 0
    run: str = ""
    others: tuple[str, ...] = ()  # keys that are not the route's, and doubles of it


def render_map(value: str | None, token: int, run: str) -> str:
    """The whole file. Without a value only the fence remains (HAProxy then uses the default of its configuration)."""
    entry = f"{ROUTE_KEY} {value}\n" if value is not None else ""
    return f"# changeover fence={token} run={re.sub(r'[^A-Za-z0-9._-]', '', run)}\n{entry}"


def parse_map(text: str) -> MapText:
    """As HAProxy reads it: empty lines and comments are skipped, the first entry of a key wins."""
    found = _FENCE.search(text)
    token, run = (int(found[1]), found[2]) if found else (0, "")
    values: list[str] = []
    others: list[str] = []
    for line in text.splitlines():
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if words[0] == ROUTE_KEY and not values:
            values.append(words[1].strip() if len(words) == 2 else "")
        else:
            others.append(words[0])
    return MapText(values[0] if values else None, token, run, tuple(others))


@dataclass(frozen=True, slots=True)
class FencedFile:
    """A file of HAProxy's that several owners may write, as the head of this module says; a symbolic link stays one.

    `kind` is what it is called for people. What a value looks like in the file is up to the one that inherits.
    """

    path: str
    kind: ClassVar[str]

    def render(self, value: str | None, token: int, run: str) -> str:
        """The whole file with this value and this fence."""
        raise NotImplementedError

    def parse(self, text: str) -> MapText:
        """What a file says."""
        raise NotImplementedError

    @property
    def _real(self) -> Path:
        return Path(os.path.realpath(self.path))

    def read(self) -> MapText:
        """Raises BalancerUnreachable if it is absent or unreadable: HAProxy would not start again."""
        return self.parse(self.text())

    def text(self) -> str:
        """The file as it is. Raises BalancerUnreachable."""
        try:
            return self._real.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise BalancerUnreachable(
                f"the {self.kind} {self.path} cannot be read: {error.strerror}",
                next=(f"see that this user may read {self.path}", "changeover doctor"),
            ) from None

    def write(self, value: str | None, fence: Fence) -> None:
        """Make the route durable. Raises FencedOut, also when the lease is lost in between; BalancerRefused."""
        with self.drafted(value, fence) as draft:
            self.publish(draft, fence)
        self.settle(value, fence)

    @contextmanager
    def drafted(self, value: str | None, fence: Fence) -> Iterator[Path]:
        """A draft, written, which nobody reads. It is gone afterwards, published or not. Raises BalancerRefused."""
        draft = self._draft(fence.token)
        try:
            try:
                self._write_draft(draft, self.render(value, fence.token, fence.run))
            except OSError as error:
                raise self._unwritable(error) from None
            yield draft
        finally:
            with contextlib.suppress(OSError):  # a disk that is full or read-only by now
                draft.unlink(missing_ok=True)

    def publish(self, draft: Path, fence: Fence) -> None:
        """From now on a reload reads the draft's route. Raises FencedOut, BalancerRefused."""
        now = self._fence_now()
        if now.token > fence.token:
            raise fenced_out(self.path, now, fence)
        fence.check()
        try:
            self._rename(draft, fence)
        except OSError as error:
            raise self._unwritable(error) from None

    def settle(self, value: str | None, fence: Fence) -> None:
        """What was published survives the end of the machine, and no older owner can undo it. Raises as `write`."""
        for _ in range(ROUNDS):
            self._sweep(fence.token)
            now = self.read()
            if now.token > fence.token:
                raise fenced_out(self.path, now, fence)
            if (now.token, now.value) == (fence.token, value):
                disk.sync(self._real)
                return
            with self.drafted(value, fence) as draft:
                self.publish(draft, fence)
        raise BalancerRefused(
            f"somebody else keeps writing {self.path}",
            now="The file holds another route than asked.",
            next=("changeover doctor", f"cat {self.path}"),
        )

    def _rename(self, draft: Path, fence: Fence) -> None:
        try:
            draft.rename(self._real)
        except FileNotFoundError:  # a newer owner removed the draft
            raise fenced_out(self.path, self._fence_now(), fence) from None

    def _fence_now(self) -> MapText:
        try:
            return self.read()
        except BalancerUnreachable:
            return MapText(None)  # about to be written anew

    def _draft(self, token: int) -> Path:
        return self._real.with_name(f".{self._real.name}.{token}.{secrets.token_hex(8)}.draft")

    def _write_draft(self, draft: Path, text: str) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - a descriptor
            self._keep_owner(descriptor)
            file.write(text)
            file.flush()
            if not disk.orders_data(draft.parent):
                os.fsync(descriptor)

    def _keep_owner(self, descriptor: int) -> None:
        """The new file belongs to whom the old one belonged, as far as this user may give it away."""
        try:
            old = self._real.stat()
        except FileNotFoundError:
            return
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
        if os.geteuid() == 0:
            os.fchown(descriptor, old.st_uid, old.st_gid)

    def _sweep(self, token: int) -> None:
        """Remove the drafts of older fences, so that whoever sleeps before its rename cannot finish it."""
        pattern = re.compile(rf"\.{re.escape(self._real.name)}\.(\d+)\.[0-9a-f]+\.draft")
        for name in os.listdir(self._real.parent):  # noqa: PTH208 - names are all that is needed
            found = pattern.fullmatch(name)
            if found and int(found[1]) < token:
                (self._real.parent / name).unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> ChangeoverError:
        return BalancerRefused(
            f"the {self.kind} {self.path} cannot be replaced: {error.strerror}",
            now="Neither the file nor the running route was changed.",
            next=(f"see that this user may write the directory {self._real.parent} and that the disk has room",),
        )


@dataclass(frozen=True, slots=True)
class MapFile(FencedFile):
    """The map file of the map design: one comment with the fence, one entry with the route."""

    kind: ClassVar[str] = "map file"

    def render(self, value: str | None, token: int, run: str) -> str:
        return render_map(value, token, run)

    def parse(self, text: str) -> MapText:
        return parse_map(text)


def fenced_out(path: str, now: MapText, fence: Fence) -> FencedOut:
    """The error of an actor that was taken over. It also names the way out after a state store was replaced on purpose."""
    return FencedOut(
        f"a newer owner has written the route: {path} holds fence {now.token} of run {now.run or '?'}, this one is {fence.token}",
        now="This process changed nothing of what the newer owner wrote.",
        next=(
            "changeover status",
            f"if the state store was replaced on purpose, remove the line '# changeover fence=…' from {path}",
        ),
    )
