"""Exact texts: compared with a specimen beside the tests, written anew with CHANGEOVER_WRITE_SPECIMENS=1."""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "specimens" / "ui"


def same(name: str, text: str) -> None:
    """The text is the specimen's, to the letter; hashes of plans apart, which change with every word of a plan."""
    text = re.sub(
        r"\b(?:[0-9a-f]{64}|(?<=plan )[0-9a-f]{8}|(?<=Plan )[0-9a-f]{8}|(?<=`)[0-9a-f]{8}(?=`))\b", "HASH", text
    )
    text = re.sub(r"\bcd /\S+", "cd FOLDER", text)  # the folder of this run
    file = FOLDER / name
    if os.environ.get("CHANGEOVER_WRITE_SPECIMENS") == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.exists(), f"there is no {file.name}: CHANGEOVER_WRITE_SPECIMENS=1"
    assert text == file.read_text(encoding="utf-8")
