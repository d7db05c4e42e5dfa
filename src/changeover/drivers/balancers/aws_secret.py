"""The preview's secret in a file of its own, mode 0600, made at the first need."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import BalancerMisconfigured
from changeover.core.ports import Finding

BYTES = 24  # 192 random bits; 32 characters that every header may hold


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret in the file at `path`. Two processes that make one agree on the first."""

    path: str

    def value(self) -> str:
        """Raises BalancerMisconfigured if it can be neither read nor made."""
        path = Path(self.path)
        try:
            if not path.exists():
                self._make(path)
            return path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BalancerMisconfigured(
                f"the preview's secret {path} cannot be read or made: {getattr(error, 'strerror', '') or 'it is no text'}",
                next=(f"see that this user may read {path} and write {path.parent}",),
            ) from None

    def _make(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
            file.write(secrets.token_urlsafe(BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        try:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink()

    def finding(self, used: str) -> Finding:
        """`used` is the secret of the rule, "" if there is none yet. Neither is shown."""
        subject, path = "preview secret", Path(self.path)
        try:
            mode, own = path.stat().st_mode, path.read_text("utf-8").strip()
        except FileNotFoundError:
            return Finding(subject, True, f"{path} will be made at the first commit")
        except (OSError, UnicodeDecodeError):
            return Finding(subject, False, f"{path} cannot be read", f"see the mode of {path}", fatal=False)
        if mode & 0o077:
            return Finding(subject, False, f"{path} is readable for others", f"chmod 600 {path}", fatal=False)
        if used and own != used:
            fix = "delete the preview's rule to change the secret; the next commit makes it again"
            return Finding(subject, False, f"{path} is not what the preview's rule asks for", fix, fatal=False)
        return Finding(subject, True, f"{path} is {'in use' if used else 'used at the first commit'}")
