"""The JSON file that Caddy starts from: one object in it is ours, and it holds a fence."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, BalancerUnreachable, FencedOut
from changeover.core.ports import Fence
from changeover_caddy import config


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Replaced as a whole, by rename, with mode and owner kept."""

    path: Path

    def whole(self) -> Any:
        """Raises BalancerUnreachable."""
        try:
            return json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BalancerUnreachable(
                f"{self.path} cannot be read: {error}",
                next=("see that it is there, is JSON, and may be read", "changeover doctor"),
            ) from None

    def ours(self) -> config.Json:
        """Our object in it. Raises BalancerUnreachable, BalancerMisconfigured."""
        found = config.find(self.whole())
        if found is None:
            raise BalancerMisconfigured(
                f'{self.path} has no object with "@id": "{config.ID}"', next=("see README.md of changeover-caddy",)
            )
        return found

    def refuse_newer(self, fence: Fence) -> None:
        """Raises FencedOut if a newer owner has written it."""
        with suppress(ValueError):
            refuse_newer(config.read_object(self.ours()), fence)

    def write(self, ours: config.Json, fence: Fence) -> None:
        """Put our object into it. Raises BalancerRefused (nothing was changed), FencedOut.

        A draft is named after its fence and swept by a newer owner, so that an older one cannot land afterwards.
        """
        draft = self.path.with_name(f".{self.path.name}.{fence.token}.{secrets.token_hex(6)}.draft")
        try:
            self._draft(draft, json.dumps(config.put(self.whole(), ours), indent=1))
            self.refuse_newer(fence)
            fence.check()
            draft.rename(self.path)
            _sync(self.path.parent)
        except FileNotFoundError:
            self.refuse_newer(fence)
            raise FencedOut("a newer owner has swept this one's draft", next=("changeover status",)) from None
        except (OSError, ValueError) as error:
            raise BalancerRefused(f"{self.path} cannot be replaced: {error}", next=("changeover doctor",)) from None
        finally:
            draft.unlink(missing_ok=True)
        for other in self.path.parent.glob(f".{self.path.name}.*.draft"):
            if int(other.name.split(".")[-3]) < fence.token:
                other.unlink(missing_ok=True)
        if config.read_object(self.ours()).fence < fence.token:
            self.write(ours, fence)  # an older one has landed between the look and the sweep

    def _draft(self, draft: Path, text: str) -> None:
        """Never more readable than the file itself: the preview's secret is in it."""
        now = self.path.stat()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            if (now.st_uid, now.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(out.fileno(), now.st_uid, now.st_gid)  # Caddy must be able to read it as before
            os.fchmod(out.fileno(), now.st_mode & 0o7777)
            os.fsync(out.fileno())


def refuse_newer(ours: config.Ours, fence: Fence) -> None:
    """Raises FencedOut if the object was written by a newer owner."""
    if ours.fence > fence.token:
        raise FencedOut(
            f"a newer owner (fence {ours.fence}, run {ours.run}) has written the route", next=("changeover status",)
        )


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
