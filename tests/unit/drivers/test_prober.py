"""Probes and smoke checks on a host and a web in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from changeover.core.model import Identity, Version
from changeover.core.ports import Answer, CommandResult
from changeover.drivers.prober import CommandProber, ProbeCommand, SmokeCheck, without
from changeover.drivers.runtimes.proof import Checks

URL = "postgresql://shop:p%40ss@db/shop"
V = Version("1.1.0")


@dataclass
class FakeHost:
    result: CommandResult = field(default_factory=lambda: CommandResult(0, "fine\n", "", 0.1))
    ran: list[tuple[tuple[str, ...], Mapping[str, str] | None, float]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> CommandResult:
        self.ran.append((tuple(argv), env, timeout))
        return self.result


@dataclass
class FakeWeb:
    pages: Mapping[str, Answer]
    headers: list[Mapping[str, str] | None] = field(default_factory=list)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        self.headers.append(headers)
        return self.pages.get(url, Answer(0, b"", "nothing listens there"))


def prober(
    host: FakeHost | None = None, pages: Mapping[str, Answer] | None = None, *checks: SmokeCheck
) -> CommandProber:
    probe = ProbeCommand("orders", ("probe", "--v={version}", "{build}"), 7.0)
    return CommandProber((probe,), checks, host or FakeHost(), FakeWeb(pages or {}), Checks("/ready", "/version"))


def test_the_url_travels_in_the_environment_only() -> None:
    host = FakeHost()
    ((name, result),) = prober(host).probes(V, "b1", URL)
    assert (name, result.ok) == ("orders", True)
    ((argv, env, timeout),) = host.ran
    assert argv == ("probe", "--v=1.1.0", "b1")
    assert env == {"CHANGEOVER_DATABASE_URL": URL, "CHANGEOVER_VERSION": "1.1.0", "CHANGEOVER_BUILD": "b1"}
    assert timeout == 7.0


def test_the_output_does_not_tell_the_secret_of_a_url_that_nobody_else_knows() -> None:
    said = f"cannot reach {URL}, password p@ss or p%40ss\n"
    ((_, result),) = prober(FakeHost(CommandResult(1, said, said, 0.1))).probes(V, "", URL)
    for text in (result.out, result.err):
        assert "p@ss" not in text
        assert "p%40ss" not in text
        assert "cannot reach" in text


def test_a_probe_that_was_killed_says_so() -> None:
    ((_, result),) = prober(FakeHost(CommandResult(None, "", "", 7.0))).probes(V, "", URL)
    assert not result.ok
    assert "7 s" in result.err


@pytest.mark.parametrize("url", ["", "sqlite:///x.db", "postgresql://db/shop", "http://[broken"])
def test_a_url_without_a_password_takes_nothing_else_out(url: str) -> None:
    assert without(url, "all is said") == "all is said"


RIGHT = Answer(200, b'{"version": "1.1.0", "build": "b1"}')
OLD = Answer(200, b'{"version": "1.0.0", "build": "b0"}')
SECRET = {"x-preview": "s3cret"}


def smoke(pages: Mapping[str, Answer], *checks: SmokeCheck, build: str = "b1") -> dict[str, str]:
    return dict(prober(None, pages, *checks).smoke("http://edge/", SECRET, Identity(V, build)))


def test_smoke_asks_who_answers_first() -> None:
    assert list(smoke({"http://edge/version": RIGHT}).items()) == [("GET /version is 1.1.0 (b1)", "")]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (OLD, "1.0.0 (b0) answers through the preview"),
        (Answer(200, b'{"version": "1.1.0", "build": "b2"}'), "1.1.0 (b2) answers through the preview"),
        (Answer(200, b"<html>"), "JSON"),
        (Answer(503, b""), "answers 503"),
        (Answer(0, b"", "no whole answer within 5 s"), "no whole answer"),
    ],
)
def test_the_old_version_behind_the_preview_fails(answer: Answer, problem: str) -> None:
    assert problem in smoke({"http://edge/version": answer})["GET /version is 1.1.0 (b1)"]


@pytest.mark.parametrize(
    ("check", "answer", "problem"),
    [
        (SmokeCheck("/x"), Answer(200, b""), ""),
        (SmokeCheck("/x", 404), Answer(404, b""), ""),
        (SmokeCheck("/x", contains="Größe"), Answer(200, "die Größe".encode()), ""),
        (SmokeCheck("/x"), Answer(302, b""), "answers 302, not 200"),
        (SmokeCheck("/x", contains="shop"), Answer(200, b"shoq"), "does not contain 'shop'"),
        (SmokeCheck("/x", contains="shop"), Answer(200, b"\xff", "cut"), "does not contain 'shop' (cut)"),
        (SmokeCheck("/x"), Answer(0, b"", "nothing listens there"), "nothing listens there"),
    ],
)
def test_smoke_checks(check: SmokeCheck, answer: Answer, problem: str) -> None:
    assert smoke({"http://edge/version": RIGHT, "http://edge/x": answer}, check)["GET /x"] == problem


def test_every_request_goes_through_the_preview() -> None:
    checked = prober(None, {}, SmokeCheck("/x"))
    checked.smoke("http://edge", SECRET, Identity(V, ""))
    assert isinstance(checked.web, FakeWeb)
    assert checked.web.headers == [SECRET, SECRET]


def test_by_hand() -> None:
    probe = ProbeCommand("orders", ("probe", "it's", "{version}"), 7.5)
    made = CommandProber((probe,), (), FakeHost(), FakeWeb({}), Checks("/ready", "/version"), "${env:SHOP_URL}")
    environment = "CHANGEOVER_DATABASE_URL=\"${SHOP_URL:?}\" CHANGEOVER_VERSION=1.1.0 CHANGEOVER_BUILD=''"
    assert made.by_hand(V, "") == (f"{environment} timeout 7.5 probe 'it'\"'\"'s' 1.1.0",)
    assert made.by_hand(V, "", "sqlite:////copy.db")[0].startswith("CHANGEOVER_DATABASE_URL=sqlite:////copy.db ")


def test_smoke_by_hand_asks_the_same() -> None:
    checks = (SmokeCheck("/orders?of=1"), SmokeCheck("/old", 404), SmokeCheck("/", contains="it's"))
    made = CommandProber((), checks, FakeHost(), FakeWeb({}), Checks("/ready", "/version"))
    identity, *rest = made.by_hand_smoke("curl -H secret http://edge", V, "b1")
    assert identity.startswith("curl -H secret http://edge/version | tr -d '\\n' | grep -E ")
    assert rest == [
        "curl -H secret http://edge'/orders?of=1' -o /dev/null -w '%{http_code}\\n' | grep -x 200",
        "curl -H secret http://edge/old -o /dev/null -w '%{http_code}\\n' | grep -x 404",
        "curl -H secret http://edge/ -o /dev/null -w '%{http_code}\\n' | grep -x 200",
        "curl -H secret http://edge/ | grep -cF 'it'\"'\"'s'",
    ]
