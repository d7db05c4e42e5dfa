"""Assets that pages of two versions name, on a web in memory."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from changeover.core.ports import Answer
from changeover.drivers.assets import assets_of, problem

NEW = '<link rel="stylesheet" href="/app.c2.css"><script type=module src=/app.j2.js></script>'
OLD = """<link href='/app.c1.css' rel=stylesheet><img src="logo.svg?v=1&amp;w=2"><a href="/page.html">no asset</a>
<script src="https://elsewhere.example/x.js"></script><link rel="canonical" href="/">"""
SECRET = {"x-changeover-preview": "s"}


class TwoVersions:
    """`new` and `old`: path -> body; a request with the secret is the new version's."""

    def __init__(self, new: Mapping[str, str], old: Mapping[str, str]) -> None:
        self.sides = {True: new, False: old}

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        path = url.removeprefix("http://edge")
        body = self.sides[bool(headers)].get(path)
        return Answer(404, b"") if body is None else Answer(200, body.encode())


def test_what_a_page_names() -> None:
    assert assets_of(NEW, "http://edge/") == ("/app.c2.css", "/app.j2.js")
    assert assets_of(OLD, "http://edge/shop/") == ("/app.c1.css", "/shop/logo.svg?v=1&w=2")


BOTH = {"/app.c2.css": "", "/app.j2.js": "", "/app.c1.css": "", "/logo.svg?v=1&w=2": ""}


@pytest.mark.parametrize(
    ("new", "old", "words"),
    [
        ({"/": NEW, **BOTH}, {"/": OLD, **BOTH}, ""),
        (
            {"/": NEW, **BOTH},
            {"/": OLD},
            "the version that serves answers 404 to /app.c2.css; the version that serves answers 404 to /app.j2.js; ",
        ),
        (
            {"/": NEW, "/app.c2.css": "", "/app.j2.js": ""},
            {"/": OLD, **BOTH},
            "the new version answers 404 to /app.c1.css",
        ),
        ({"/": "nothing"}, {"/": "nothing"}, "the page names no asset"),
        ({}, {"/": OLD}, "the new version answers 404, not 200"),
    ],
    ids=["both", "new ones are missing at the old", "old ones are missing at the new", "none", "no page"],
)
def test_each_asset_is_asked_of_both(new: Mapping[str, str], old: Mapping[str, str], words: str) -> None:
    found = problem(TwoVersions(new, old), "http://edge/", "/", SECRET, 1.0)
    assert found.startswith(words)
    assert bool(found) is bool(words)
