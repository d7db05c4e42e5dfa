"""What the disk does when a file is put in the place of another one: who has to sync what, and when.

A rename alone makes the new file visible at once to everybody on a running machine. What is at stake is the end of the
machine: if the rename reaches the disk before the data, the file is empty afterwards. So the data is synced first, unless
the file system does that itself.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_UNORDERED = frozenset({"noauto_da_alloc", "data=writeback"})


def orders_data(directory: Path) -> bool:
    """Whether a file renamed over another one in this directory is on the disk whole, the old one or the new one, without a sync.

    True for ext4 with its defaults: it allocates and writes the data of a file that replaces another one by rename, and its
    journal (`data=ordered`) commits the rename only after it (`auto_da_alloc`, Documentation/admin-guide/ext4.rst of Linux).
    False for everything that is not known to do so, also when it cannot be found out.
    """
    try:
        return _orders_data(directory.stat().st_dev)
    except OSError:
        return False


@lru_cache(maxsize=64)
def _orders_data(device: int) -> bool:
    return ordered_in(_MOUNTS.read_text("utf-8", "replace"), f"{os.major(device)}:{os.minor(device)}")


def ordered_in(mounts: str, device: str) -> bool:
    """The same for a device `major:minor`, by the text of /proc/self/mountinfo. Every mount of the device must agree."""
    found = []
    for line in mounts.splitlines():
        words = line.split()
        if len(words) > 6 and words[2] == device and "-" in words:
            kind, _, options = words[words.index("-") + 1 :][:3]
            found.append(kind == "ext4" and not _UNORDERED & set(options.split(",")))
    return bool(found) and all(found)


def sync(path: Path) -> None:
    """The file's data and its name survive the end of the machine. Raises OSError."""
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
