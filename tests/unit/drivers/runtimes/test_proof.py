"""What counts as ready, against every kind of garbage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from changeover.core.model import Identity, Slot, Version
from changeover.core.ports import Answer
from changeover.drivers.runtimes.proof import Checks, Inspector, Proof, url_of

SLOT = Slot("blue", 1, "127.0.0.1", 8001)
OK = Answer(200, b"ok")
RIGHT = b'{"version": "v1.1.0", "build": "b1", "more": [1]}'


@dataclass
class Pages:
    """A web in memory; what is not there does not answer."""

    pages: Mapping[str, Answer]
    asked: list[str] = field(default_factory=list)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        self.asked.append(url)
        return self.pages.get(url.removeprefix("http://127.0.0.1:8001"), Answer(0, b"", "nothing listens there"))


def look(identity: Answer, ready: Answer = OK, **checks: str) -> Proof:
    return Inspector(Pages({"/ready": ready, "/version": identity}), Checks("/ready", "/version", **checks)).look(SLOT)


def test_ready_with_version_and_build() -> None:
    proof = look(Answer(200, RIGHT))
    assert proof.ready
    assert proof.answered
    assert proof.identity == Identity(Version("1.1.0"), "b1")
    assert proof.note == ""


def test_keys_are_the_users() -> None:
    proof = look(Answer(200, b'{"tag": "2.0", "sha": 17}'), version="tag", build="sha")
    assert proof.identity == Identity(Version("2.0"), "17")


def test_a_build_may_be_missing() -> None:
    assert look(Answer(200, b'{"version": "1.0"}')).identity == Identity(Version("1.0"), "")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 401, 404, 500, 503])
def test_only_200_is_ready_and_the_identity_is_told_all_the_same(status: int) -> None:
    proof = look(Answer(200, RIGHT), ready=Answer(status, b"ok"))
    assert not proof.ready
    assert proof.identity == Identity(Version("1.1.0"), "b1")
    assert str(status) in proof.note


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1.1.0",
        b"[]",
        b"null",
        b'"1.1.0"',
        b"{}",
        b'{"version": null}',
        b'{"version": 1.10}',
        b'{"version": ["1.1.0"]}',
        b'{"version": ""}',
        b'{"version": "latest"}',
        b'{"version": "1.1.0", "build": {}}',
        b'{"version": "1.1.0", "build": true}',
        b'{"version": "1.1.0", "build": "a\\nb"}',
        b'{"version": "1.1.0", "build": "' + b"b" * 1000 + b'"}',
        b'{"version": "' + b"1" * 1000 + b'"}',
        b'{"version": "1.1.0"',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"version": ' + b"9" * 10_000 + b"}",
        b"<html>",
    ],
)
def test_garbage_is_not_ready_and_says_why(body: bytes) -> None:
    proof = look(Answer(200, body))
    assert not proof.ready
    assert proof.identity is None
    assert proof.note.startswith("/version")
    assert len(proof.note) < 400


@pytest.mark.parametrize(
    "answer", [Answer(0, b"", "no whole answer within 5 s"), Answer(500, RIGHT), Answer(200, RIGHT, "cut")]
)
def test_half_an_identity_is_none(answer: Answer) -> None:
    proof = look(answer)
    assert not proof.ready
    assert proof.identity is None


def test_who_does_not_answer_is_asked_once() -> None:
    pages = Pages({})
    proof = Inspector(pages, Checks("/ready", "/version")).look(SLOT)
    assert (proof.answered, proof.ready, proof.identity) == (False, False, None)
    assert len(pages.asked) == 1


def test_urls() -> None:
    assert url_of(SLOT, "/x") == "http://127.0.0.1:8001/x"
    assert url_of(Slot("a", 1, "::1", 80), "/x") == "http://[::1]:80/x"
