"""The route file: what Envoy loads at the next rename or restart, written so that a stale actor cannot put an old route back.

A lock would not do: a process that is stopped (SIGSTOP, a suspended laptop) keeps it, and wakes between comparing and
renaming once the lock was broken. Instead there are two kinds of files beside the route file, each named after a fence:

    .live.json.fence.12                 an owner with fence 12 has been here; the highest one counts
    .live.json.12.6f1e….draft           what an owner with fence 12 is about to rename over the route file

Each writer, in this order,

1. leaves its fence, then removes the drafts and fences of older owners;
2. writes its draft, and syncs it where the file system does not see to that (`disk`);
3. gives up if there is a newer fence;
4. checks its own lease, and renames the draft over the route file; then it syncs file and directory.

An older owner that wakes up finds the newer fence at 3, or its draft gone at 4, unless it renamed before the newer one came
to 1, and then the newer one writes after it. Nobody waits for anybody. Files that are only created or removed do not wake
Envoy; renames do.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import BalancerRefused, BalancerUnreachable, FencedOut
from changeover.core.ports import Fence
from changeover.drivers.balancers import disk


@dataclass(frozen=True, slots=True)
class RouteFile:
    """The route file at `path`; a symbolic link is followed, so that the link stays one."""

    path: str

    @property
    def _real(self) -> Path:
        return Path(os.path.realpath(self.path))

    def read(self) -> str:
        """Raises BalancerUnreachable if it is absent or unreadable: Envoy would come up without a route."""
        try:
            return self._real.read_text("utf-8", "replace")
        except OSError as error:
            raise BalancerUnreachable(
                f"the route file {self.path} cannot be read: {error.strerror}",
                now="A restart of Envoy may come up without a route.",
                next=(f"see that this user may read {self.path}", "changeover doctor"),
            ) from None

    def fence(self) -> int:
        """The newest fence that an owner has left here, 0 if none."""
        try:
            return max((token for token, _ in self._beside("fence")), default=0)
        except OSError:
            return 0  # no such directory: nobody was here, and nobody can write

    def write(self, text: str, fence: Fence) -> None:
        """Make this text the durable route. Raises FencedOut, also when the lease is lost in between; BalancerRefused."""
        draft = self._real.with_name(f".{self._real.name}.{fence.token}.{secrets.token_hex(8)}.draft")
        try:
            self._arrive(fence)
            self._write_draft(draft, text)
            self.demand(fence)
            fence.check()
            self._rename(draft, fence)
            disk.sync(self._real)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            with contextlib.suppress(OSError):  # it was renamed, removed by a newer owner, or never made
                draft.unlink(missing_ok=True)

    def demand(self, fence: Fence) -> None:
        """Raises FencedOut if a newer owner has been here."""
        newest = self.fence()
        if newest > fence.token:
            raise FencedOut(
                f"a newer owner has the route: {self.path} is at fence {newest}, this run is {fence.token}",
                now="This process changed nothing of what the newer owner wrote.",
                next=(
                    "changeover status",
                    f"if the state store was replaced on purpose: rm {self._real.parent}/.{self._real.name}.fence.*",
                ),
            )

    def _arrive(self, fence: Fence) -> None:
        mark = self._real.with_name(f".{self._real.name}.fence.{fence.token}")
        if not mark.exists():
            fence.check()
            mark.touch(mode=0o644)
            disk.sync(mark)
        for kind in ("draft", "fence"):
            for token, path in self._beside(kind):
                if token < fence.token:
                    path.unlink(missing_ok=True)

    def _beside(self, kind: str) -> list[tuple[int, Path]]:
        """(fence, path) of every fence or draft beside the route file."""
        name = re.escape(self._real.name)
        pattern = rf"\.{name}\.fence\.(\d{{1,18}})" if kind == "fence" else rf"\.{name}\.(\d{{1,18}})\.[0-9a-f]+\.draft"
        found = ((re.fullmatch(pattern, path.name), path) for path in self._real.parent.iterdir())
        return [(int(match[1]), path) for match, path in found if match]

    def _write_draft(self, draft: Path, text: str) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            self._keep_owner(descriptor)
            file.write(text)
            file.flush()
            if not disk.orders_data(draft.parent):
                os.fsync(descriptor)

    def _keep_owner(self, descriptor: int) -> None:
        """The new file belongs to whom the old one belonged, as far as this user may give it away: Envoy must read it."""
        try:
            old = self._real.stat()
        except FileNotFoundError:
            return
        own = os.fstat(descriptor)
        if old.st_gid != own.st_gid or old.st_uid != own.st_uid:
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))

    def _rename(self, draft: Path, fence: Fence) -> None:
        try:
            draft.rename(self._real)
        except FileNotFoundError:  # a newer owner removed the draft
            self.demand(fence)
            raise

    def _unwritable(self, error: OSError) -> BalancerRefused:
        return BalancerRefused(
            f"the route file {self.path} cannot be replaced: {error.strerror or error}",
            now="Neither the file nor the running route was changed.",
            next=(f"see that this user may write the directory {self._real.parent} and that the disk has room",),
        )
