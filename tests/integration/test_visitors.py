"""What visitors with cookies, and one who knows the secret, meet in a whole release that takes its share in steps and is taken back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

import pytest
from tests.fixtures.stage import FAST, running, tune, typed

from changeover.demo.stack import Stack

OLD, NEW = "1.0.0", "1.1.0"


@pytest.fixture(params=["haproxy", "envoy"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("v")
    with running(folder, request.param, "sqlite", shift="[10%, 40%, 100%]", bake="2s", rate=40.0) as one:
        tune(one, *FAST)
        yield one


@dataclass
class Visitor:
    """Keeps what cookies he gets. `seen`: the versions that answered him, in order, each change once."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def visit(self) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as line:
            line.request("GET", "/version", headers={**self.headers, **({"cookie": cookie} if cookie else {})})
            answer = line.getresponse()
            if self.headers and answer.status == 503:
                return  # nobody is behind the preview
            assert answer.status == 200
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    self.cookies |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
            version = json.loads(answer.read())["version"]
        if self.seen[-1:] != [version]:
            self.seen.append(version)


def test_a_share_only_grows_for_a_visitor_and_on_the_way_back_all_return(stack: Stack) -> None:
    port = stack.entry
    crowd = [Visitor(port) for _ in range(60)]
    url, secret = stack.door().site.ports.balancer.preview()
    assert url == f"http://127.0.0.1:{port}", "the preview is an address of the balancer itself"
    insider = Visitor(port, dict(secret))
    rounds: list[tuple[bool, int]] = []  # whether the insider has met the new version, and how many of the crowd have

    def all_visit() -> None:
        for visitor in (insider, *crowd):
            visitor.visit()
        rounds.append((NEW in insider.seen, sum(NEW in v.seen for v in crowd)))

    release = typed(stack.config, "release", NEW, "--build", f"build-{NEW}", "--yes", "--wait", *stack.acks(NEW))
    while release.alive:
        all_visit()
    status, said = release.said()
    assert status == 0, said
    all_visit()
    assert [v.seen for v in crowd if v.seen != [OLD, NEW]] == []
    assert (True, 0) in rounds, "the preview shows the new version before any user meets it"
    assert any(0 < met < len(crowd) for _, met in rounds), "nobody was between two steps: the test looked too late"

    back = typed(stack.config, "rollback", "--because", "the way back is tried", "--yes")
    while back.alive:
        all_visit()
    status, said = back.said()
    assert status == 0, said
    all_visit()
    assert [v.seen for v in crowd if v.seen != [OLD, NEW, OLD]] == []
    verdict, _ = stack.judged()
    assert (verdict.failed, verdict.wrong) == (0, 0), verdict.examples[:5]
