"""Hashed assets of two versions: what the pages of both name must be served by both, while both serve.

A page of the old version is on a visitor's screen when a later request for its script reaches the new version, and the reverse
happens during a share. So each asset that either page names is asked of either version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from changeover.core.ports import Web

_NAMED: Final = re.compile(
    r"""<(?:script|link|img|source)\b[^>]*?\b(?:src|href)\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE
)
_FILE: Final = re.compile(r"\.[A-Za-z0-9]{1,8}$")
MOST: Final = 100  # assets of one page that are asked for
SHOWN: Final = 3


def assets_of(page: str, url: str) -> tuple[str, ...]:
    """Paths of the files that a page names on its own host, in order, without doubles."""
    own = urlsplit(url).netloc
    found: list[str] = []
    for named in _NAMED.findall(page):
        parts = urlsplit(urljoin(url, named.replace("&amp;", "&")))
        if parts.netloc == own and _FILE.search(parts.path):
            found.append(parts.path + (f"?{parts.query}" if parts.query else ""))
    return tuple(dict.fromkeys(found))[:MOST]


def problem(web: Web, entry: str, path: str, preview: Mapping[str, str], timeout: float) -> str:
    """What is missing where, "" if nothing is. Without a preview only the version at `entry` is asked for its own assets."""
    url = entry.rstrip("/") + path
    sides: dict[str, Mapping[str, str]] = {"the new version": preview}
    if preview:
        sides["the version that serves"] = {}
    named: dict[str, None] = {}
    for who, headers in sides.items():
        answer = web.get(url, headers=headers, timeout=timeout)
        if answer.status != 200:
            return f"{who} answers {answer.status or answer.note}, not 200"
        named |= dict.fromkeys(assets_of(answer.body.decode("utf-8", "replace"), url))
    if not named:
        return "the page names no asset of its own host"
    missing = [
        f"{who} answers {status} to {asset}"
        for asset in named
        for who, headers in sides.items()
        if (status := web.get(entry.rstrip("/") + asset, headers=headers, timeout=timeout).status) != 200
    ]
    return _listed(missing)


def _listed(missing: Sequence[str]) -> str:
    more = f", and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return "; ".join(missing[:SHOWN]) + more
