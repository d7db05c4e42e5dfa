"""The printed runbook, carried out by hand in one shell, ends where the tool's own run of the same kind of plan ends."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.fixtures.chaos import FULL
from tests.fixtures.need import need

from changeover.core.errors import ChangeoverError, NoWayBack
from changeover.core.model import COMPLETE, Phase, Version
from changeover.core.states import State
from changeover.core.steps import Plan, dump
from changeover.demo import servers
from changeover.demo.stack import Stack, Wish, write
from changeover.service import planning
from changeover.ui.render.runbook_html import page
from changeover.ui.render.runbook_markdown import markdown

STACKS = [("envoy", "sqlite"), ("haproxy", "postgresql")]
STACKS += [("haproxy", "sqlite"), ("envoy", "postgresql")] if FULL else []  # the same drivers, paired the other way
TOKEN, PASSWORD = "t0ken-of-the-shop", "pa55-of-the-database"
NEEDED = ("SHOP_URL", "SHOP_TOKEN")  # what the configuration refers to
PATIENCE = {"within: 10s": "within: 60s", "timeout: 10s": "timeout: 60s", "for: 2s": "for: 30s"}  # for a busy machine

pytestmark = pytest.mark.timeout(500)


@dataclass
class Site:
    """A running environment whose secrets are references, and everything that was said about it."""

    stack: Stack
    variables: dict[str, str]
    said: list[str]

    @property
    def door(self):
        return self.stack.door()

    def plan(self, version: str) -> Plan:
        named = [name for name in self.stack.acks(version) if name != "--ack"]
        return self.door.plan(version, build=f"build-{version}", acknowledge=named)

    def by_tool(self, plan: Plan) -> None:
        door = self.door
        run = door.submit(plan)
        assert door.drive(run) is State.DONE, [e for e in door.events(run) if e.kind in ("held", "failed")]

    def by_hand(self, plan: Plan) -> subprocess.CompletedProcess[str]:
        return self.shell(blocks(plan))

    def shell(self, commands: Sequence[str], **changed: str) -> subprocess.CompletedProcess[str]:
        """One `bash -e`, started anywhere, with the variables that the configuration needs and no others."""
        variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.variables, **changed}
        done = subprocess.run(
            ["bash", "-e"],
            input="".join(commands), text=True, capture_output=True, env=variables, cwd="/", timeout=240, check=False,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        return done


@dataclass(frozen=True)
class End:
    """Where an environment has arrived, as far as it can be compared with another one."""

    live: str
    share: int
    pools: dict[str, list[str]]
    in_flight: dict[str, int | None]
    catalogue: str
    revision: int
    applied: frozenset[tuple[str, str, int, str]]


def end_of(site: Site) -> End:
    world = planning.look(site.door.site)
    route = world.route.route
    assert world.route.settled
    assert route is not None
    assert world.schema is not None
    return End(
        route.live,
        route.share,
        {pool: sorted(str(i.identity) for i in world.running(pool)) for pool in world.pools},
        {pool: world.in_flight[pool].requests for pool in world.pools if pool != route.live},
        world.schema.catalogue,
        world.schema.revision,
        frozenset((a.version.text, a.phase.value, a.index, a.digest) for a in world.schema.applied),
    )


def blocks(plan: Plan) -> list[str]:
    """Every `sh` block of the printed runbook, in order, as it stands."""
    return re.findall(r"^```+sh\n(.*?)^```+$", markdown(plan), re.DOTALL | re.MULTILINE)


@contextmanager
def site(balancer: str, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """1.0.0 serves under load. The database's address and a token of the application are references."""
    if balancer == "haproxy":
        need("haproxy")
        need("socat")
    if database == "postgresql" and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        need("initdb")
    need("psql" if database == "postgresql" else "sqlite3")
    said: list[str] = []
    stack = Stack(
        folder,
        Wish(balancer, database, "sql", bake="2s", unwatched="60s", rate=80.0),
        said.append,
        servers.Started(folder),
    )
    try:
        stack.start()
        secret = stack.url.replace("//postgres@", f"//postgres:{PASSWORD}@")
        text = stack.config.read_text().replace(stack.url, "${env:SHOP_URL}")
        text = text.replace("  env: {", '  env: { SHOP_TOKEN: "${env:SHOP_TOKEN}",')
        for short, long in PATIENCE.items():
            assert short in text
            text = text.replace(short, long)
        write(stack.config, text)
        variables = dict(zip(NEEDED, (secret, TOKEN), strict=True))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Site(stack, variables, said)
    finally:
        stack.stop()


@pytest.fixture(params=STACKS, ids="-".join)
def one(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(*request.param, folder_of(tmp_path), monkeypatch) as started:
        yield started


@pytest.fixture(params=STACKS, ids="-".join)
def two(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Site]]:
    """Two environments of one kind. They are never up at the same moment by variables alone: see `use`."""
    with (
        site(*request.param, folder_of(tmp_path / "tool"), monkeypatch) as tool,
        site(*request.param, folder_of(tmp_path / "hand"), monkeypatch) as hand,
    ):
        yield tool, hand


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def use(which: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The variables of this environment."""
    for name, value in which.variables.items():
        monkeypatch.setenv(name, value)
    return which


def lost_nothing(which: Site) -> None:
    verdict, _ = which.stack.judged()
    assert verdict.requests > 200
    assert (verdict.failed, verdict.wrong, verdict.app_errors) == (0, 0, 0), verdict.examples[:3]


def test_release_cleanup_and_rollback_by_hand_end_where_the_tool_ends(
    two: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, hand = two
    papers: list[Plan] = []

    use(tool, monkeypatch)
    plan = tool.plan("1.1.0")
    tool.by_tool(plan)
    released = end_of(tool)
    tool.by_tool(tool.door.plan_rollback(because="to compare"))
    back = end_of(tool)
    tool.by_tool(tool.plan("1.1.0"))
    papers.append(tool.door.plan_rollback(because="by hand"))
    done = tool.by_hand(papers[-1])
    assert done.returncode == 0, done.stderr
    assert end_of(tool) == back
    assert back.live == "blue"
    assert back.pools == {"blue": ["1.0.0 (build-1.0.0)"] * 2, "green": ["1.1.0 (build-1.1.0)"] * 2}
    tool.by_tool(tool.plan("1.1.0"))
    tool.by_tool(tool.door.plan_cleanup())
    clean = end_of(tool)

    use(hand, monkeypatch)
    papers.append(hand.plan("1.1.0"))
    assert [s.action.kind for s in papers[-1].steps] == [s.action.kind for s in plan.steps]
    done = hand.by_hand(papers[-1])
    assert done.returncode == 0, done.stderr
    assert end_of(hand) == released
    assert (released.live, released.share, released.in_flight) == ("green", 0, {"blue": 0})
    assert ("1.1.0", Phase.EXPAND.value, COMPLETE) in {row[:3] for row in released.applied}
    papers.append(hand.door.plan_cleanup())
    done = hand.by_hand(papers[-1])
    assert done.returncode == 0, done.stderr
    assert end_of(hand) == clean
    assert clean.pools["blue"] == []

    lost_nothing(tool)
    lost_nothing(hand)
    for which in two:
        no_secret_in(use(which, monkeypatch), papers)


def test_after_a_release_by_hand_the_tool_goes_on(one: Site) -> None:
    first = one.plan("1.1.0")
    assert one.by_hand(first).returncode == 0
    status = one.door.status()
    assert (status.serving, status.state, status.way_back.possible) == ("1.1.0", "idle", False)
    assert "v1.0.0 (build-1.0.0) runs on blue, but it is not promised" in status.way_back.why_not
    assert any("contract of v1.1.0" in words for words in status.owed)
    with pytest.raises(NoWayBack) as refused:
        one.door.rollback(because="no promise was made")
    assert any("Going back by hand" in way and "v1.1.0" in way for way in refused.value.next)

    old_paper = one.by_hand(first)  # it stops at its first step
    assert old_paper.returncode != 0
    assert "STOP: blue does not have all of the traffic" in old_paper.stderr
    assert one.door.status().serving == "1.1.0"

    assert one.shell(["\n".join(first.back_by_hand)]).returncode == 0
    status = one.door.status()
    assert status.serving == "1.0.0"
    assert status.world.in_flight["green"].is_zero
    again = one.plan("1.1.0")
    assert "expand" not in [s.action.kind for s in again.steps]  # what was done by hand is recognised
    one.by_tool(again)
    assert one.door.status().way_back.to == "1.0.0"

    assert one.by_hand(one.plan("1.2.0")).returncode == 0  # retires 1.0.0, of which the ledger knows a promise
    status = one.door.status()
    assert status.serving == "1.2.0"
    assert not status.way_back.possible
    assert "v1.1.0 (build-1.1.0) runs on green" in status.way_back.why_not
    cleanup = one.door.plan_cleanup()
    assert "blue serves: nothing of v1.0.0 runs there" in "\n".join(blocks(cleanup))
    one.by_tool(cleanup)
    status = one.door.status()
    assert status.serving == "1.2.0"
    assert not any("contract of v1.1.0" in words for words in status.owed)
    lost_nothing(one)


def test_every_step_may_be_done_twice_and_a_missing_variable_stops_it(one: Site) -> None:
    plan = one.plan("1.1.0")
    before = end_of(one)
    for name in NEEDED:
        stopped = one.shell(blocks(plan), **{name: ""})
        assert stopped.returncode != 0
        assert re.search(
            f"STOP: (the variable {name} is not set|the database file is not where it should be)", stopped.stderr
        )
        if name == "SHOP_URL":
            assert end_of(one) == before
    done = one.shell([block for block in blocks(plan) for _ in range(2)])
    assert done.returncode == 0, done.stderr
    after = end_of(one)
    assert (after.live, after.revision) == ("green", 1)
    starts = [line for line in one.stack.starts() if " 1.1.0 " in line]
    assert len(starts) == 2
    lost_nothing(one)


def test_a_step_that_fails_stops_the_person(one: Site) -> None:
    """The new version breaks what it was started with: no visitor comes near it."""
    one.stack.faults({"1.1.0": {"errors": 1.0}})
    done = one.by_hand(one.plan("1.1.0"))
    assert done.returncode != 0
    status = one.door.status()
    assert status.serving == "1.0.0"
    assert status.world.route.route is not None
    assert status.world.route.route.share == 0
    lost_nothing(one)


def no_secret_in(which: Site, papers: Sequence[Plan]) -> None:
    """Not in a plan, a runbook, a status, the journal, a log or any other file that is not a secret's own."""
    door = which.door
    texts = [*which.said, repr(door.status()), *(repr(e) for run in door.history() for e in door.events(run.id))]
    for plan in papers:
        texts += [dump(plan), markdown(plan), page(plan)]
    try:
        door.plan("0.0.1")
    except ChangeoverError as error:
        texts.append(repr((error.what, error.now, error.next)))
    preview = door.site.ports.balancer.preview()[1].values()
    known = {urlsplit(which.variables["SHOP_URL"]).password, TOKEN, *preview} - {None}
    for secret in known:
        assert [text[:200] for text in texts if secret in text] == []
    files = [p for p in which.stack.folder.rglob("*") if p.is_file()]
    assert any(p.name == "state.db" for p in files)
    for path in files:
        content = path.read_bytes()
        where = path.relative_to(which.stack.folder)
        own = where.parts[0] in ("envoy", "haproxy")  # the preview's secret lives in the balancer's files
        for secret in known - (set(preview) if own else set()):
            assert secret.encode() not in content, where
    assert Version("1.1.0") in {p.target for p in papers}
