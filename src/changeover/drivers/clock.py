"""The time of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The wall clock for people; CLOCK_BOOTTIME, which also grows while the machine sleeps, for leases."""

    boot_id: Path = BOOT_ID

    def now(self) -> float:
        return time.time()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot(self) -> str:
        """The kernel's random id of this boot. Without it: the minute of the boot, by the wall clock.

        The fallback may change when the wall clock is set; a lease then looks like one of another boot, which its
        owner's heartbeat and the fence survive.
        """
        try:
            found = self.boot_id.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            found = ""
        return found or f"booted-{round((time.time() - self.boottime()) / 60)}"

    def sleep(self, seconds: float) -> None:
        """Sleep; a negative or zero duration returns at once."""
        if seconds > 0:
            time.sleep(seconds)
