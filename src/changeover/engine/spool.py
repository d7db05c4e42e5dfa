"""What was done while the state store was away, kept in a file and recorded when the store is back.

Going back must not wait for a journal. Such a run is driven on a store of its own in a temporary folder; its record is one
JSON file beside the real store, or, when that disk is full, in the machine's temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from changeover.core.errors import StoreUnusable
from changeover.engine.journal import Journal

FORMAT = "changeover.spool/1"


def folder_of(store: Path) -> Path:
    """Where the spool of a state store lies."""
    return store.with_name(store.name + ".spool")


def second_folder(store: Path) -> Path:
    """Where it lies when the store's own disk takes nothing."""
    name = str(store.resolve()).replace("/", "_").strip("_")
    return Path(tempfile.gettempdir()) / f"changeover-spool-{os.getuid()}-{name}"


def write(store: Path, record: dict[str, Any]) -> Path:
    """Keep a record, complete or not at all. Raises StoreUnusable when no place takes it; the text is in the error."""
    text = json.dumps({"format": FORMAT, **record}, sort_keys=True)
    for folder in (folder_of(store), second_folder(store)):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = folder / f"{record['at']:.6f}.draft"
            with draft.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            final = draft.with_suffix(".json")
            draft.rename(final)
            return final
    raise StoreUnusable(
        "what was done cannot be written anywhere; keep this text",
        now="It was done: see `changeover status` when the state store is back.",
        next=(text,),
    )


def take_in(journal: Journal, store: Path) -> int:
    """Record what was spooled, oldest first; each file once. Returns how many. A file that is no record is left alone."""
    taken = 0
    for folder in (folder_of(store), second_folder(store)):
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                record = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(record, dict) and record.get("format") == FORMAT:
                journal.import_run(record)
                path.rename(path.with_suffix(".recorded"))
                taken += 1
    return taken
