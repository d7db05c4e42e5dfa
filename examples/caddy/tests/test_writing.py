"""What a commit does when it is not alone, not heard, refused, or not the owner: on a real Caddy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from changeover_caddy import config, kernel
from changeover_caddy.admin import Admin
from cutting_admin import cutting
from running_caddy import Caddy, caddy

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, BalancerUnreachable, FencedOut
from changeover.core.model import Route
from changeover.testing.cases import BLUE, GREEN, START, TestFence

FLIPPED = Route(GREEN, BLUE, mark="flipped")
SERVER = "/config/apps/http/servers/web"


@pytest.fixture
def running() -> Iterator[Caddy]:
    with caddy() as one:
        yield one


def both(one: Caddy) -> tuple[config.Json, config.Json | None]:
    """Our object in Caddy and in its file."""
    return one.running(), config.find(json.loads(one.file.read_text()))


# two writers -------------------------------------------------------------------------------------------------------


def test_what_somebody_else_adds_at_the_same_moment_stays(running: Caddy) -> None:
    """Between our look and our write another route is put before ours: ours is no longer where it was."""
    theirs = {"match": [{"path": ["/theirs"]}], "handle": [{"handler": "static_response", "body": "theirs"}]}
    added = []

    def add() -> None:
        added.append(Admin(running.admin).ask("PUT", f"{SERVER}/routes/0", theirs).status)

    fence = TestFence(hooks={3: add})  # the last look at the fence is right before the write into Caddy
    assert running.driver.commit(FLIPPED, fence).settled
    assert added == [200]
    assert fence.checks > 3, "the write was tried again"
    assert running.get("/theirs").body == "theirs"
    assert running.get().pool == GREEN


def test_somebody_who_never_stops_writing_is_named(running: Caddy) -> None:
    numbers = iter(range(100))

    def note() -> None:
        ours = config.route_object(replace(START, mark=f"hand-{next(numbers)}"), running.site, token=0, run="hand")
        running.patch(ours)

    with pytest.raises(BalancerRefused, match="somebody else"):
        running.driver.commit(FLIPPED, TestFence(hooks=dict.fromkeys(range(3, 20), note)))
    assert running.get().pool == BLUE
    assert not running.driver.read().settled  # the file has the new route, and it is said
    assert running.driver.commit(FLIPPED, TestFence()).settled


def test_a_renewal_does_not_make_caddy_load_anything(running: Caddy) -> None:
    """Each load closes websockets. The expiry is a note that Caddy does not evaluate: it is kept in the file."""
    share = Route(BLUE, GREEN, 2500, 17, 1000, "r1.s1.f1")
    running.driver.commit(share, TestFence())
    before = running.running()
    renewed = replace(share, expires=2000, mark="r1.s1.f1-again")
    assert running.driver.commit(renewed, TestFence()).route == renewed
    assert running.running() == before
    assert running.second().read().route == renewed
    running.restart()
    assert running.driver.read().route == renewed


def test_the_mode_of_the_file_stays_and_no_draft_is_left(running: Caddy) -> None:
    running.file.chmod(0o600)
    running.driver.commit(FLIPPED, TestFence())
    assert running.file.stat().st_mode & 0o777 == 0o600
    assert list(running.directory.glob(".caddy.json.*")) == []


@pytest.mark.usefixtures("as_the_page_says")
def test_an_admin_api_over_tcp() -> None:
    with caddy(tcp=True) as one:
        assert one.driver.commit(FLIPPED, TestFence()).route == FLIPPED
        assert one.driver.in_flight(BLUE).is_zero
        assert [f for f in one.driver.inspect() if not f.ok] == []
        assert one.get().pool == GREEN


# answers that are lost ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [("reply",), ("request",), ("reply", "reply"), ("request", "reply")], ids="-".join)
def test_a_lost_answer_is_looked_up(running: Caddy, cuts: tuple) -> None:
    path = str(running.directory / "cut.sock")
    with cutting(path, running.admin, *cuts) as admin:
        reading = running.second(admin=path).commit(FLIPPED, TestFence())
        assert admin.made == list(cuts[: cuts.index("reply") + 1] if "reply" in cuts else cuts)
    assert reading.settled
    assert reading.route == FLIPPED
    assert running.driver.read() == reading
    assert running.get().pool == GREEN


def test_when_caddy_never_gets_it_that_is_said_and_the_next_commit_settles_it(running: Caddy) -> None:
    path = str(running.directory / "cut.sock")
    with (
        cutting(path, running.admin, *["request"] * 9),
        pytest.raises(BalancerUnreachable) as caught,
    ):
        running.second(admin=path).commit(FLIPPED, TestFence())
    assert "not known" in caught.value.now
    reading = running.driver.read()
    assert not reading.settled
    assert reading.problem
    assert running.get().pool == BLUE
    assert running.driver.commit(FLIPPED, TestFence()).settled


def test_an_answer_is_not_believed_but_read_back(running: Caddy) -> None:
    path = str(running.directory / "cut.sock")
    with cutting(path, running.admin, "lie"), pytest.raises(BalancerRefused, match="does not show the route"):
        running.second(admin=path).commit(FLIPPED, TestFence())
    assert running.get().pool == BLUE


def test_a_lease_that_is_lost_after_the_file_was_written_leaves_caddy_alone(running: Caddy) -> None:
    """Each effect has its own look at the lease: that before the file does not cover Caddy."""
    fence = TestFence()
    fence.hooks[2] = lambda: setattr(fence, "lost", True)
    with pytest.raises(FencedOut):
        running.driver.commit(FLIPPED, fence)
    assert config.read_object(running.running()).route == START
    assert running.driver.read().durable == FLIPPED
    assert not running.driver.read().settled


# what Caddy refuses --------------------------------------------------------------------------------------------------


def test_what_caddy_refuses_leaves_file_and_caddy_as_they_were(running: Caddy) -> None:
    before, kept = both(running)
    broken = running.second(health="/%zz")
    with pytest.raises(BalancerRefused, match="Caddy refuses") as caught:
        broken.commit(FLIPPED, TestFence(token=4))
    assert "its file says so again" in caught.value.now
    now, kept_now = both(running)
    assert now == before
    assert config.same_traffic(kept_now, kept)
    reading = running.driver.read()
    assert reading.settled
    assert reading.route == START
    running.restart()
    assert running.get().pool == BLUE


# what is not ours ----------------------------------------------------------------------------------------------------


def upstreams(ours: config.Json, change: Callable[[list], None]) -> config.Json:
    """A copy of the object with each list of upstreams changed, as an editor would."""
    copy = json.loads(json.dumps(ours))

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "upstreams" in value:
                change(value["upstreams"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(copy)
    return copy


def test_an_edited_object_is_shown_and_not_overwritten(running: Caddy) -> None:
    """The note still says blue, and the traffic goes elsewhere: the note alone would be believed."""
    edited = upstreams(running.running(), lambda each: each.__setitem__(slice(None), [{"dial": "127.0.0.1:9"}]))
    running.patch(edited)
    reading = running.driver.read()
    assert reading.route is None
    assert not reading.settled
    assert "edited" in reading.problem
    kept = running.file.read_text()
    for act in (
        lambda: running.driver.commit(FLIPPED, TestFence()),
        lambda: running.driver.stage(FLIPPED, TestFence()),
        running.driver.preview,
    ):
        with pytest.raises(BalancerMisconfigured, match="edited"):
            act()
    assert running.running() == edited
    assert running.file.read_text() == kept


def test_an_edited_file_is_shown_and_not_overwritten(running: Caddy) -> None:
    kept = json.loads(running.file.read_text())
    ours = upstreams(config.find(kept), lambda each: each.pop())
    running.file.write_text(json.dumps(config.put(kept, ours)))
    reading = running.driver.read()
    assert reading.durable is None
    assert "edited" in reading.problem
    with pytest.raises(BalancerMisconfigured, match="edited"):
        running.driver.commit(FLIPPED, TestFence())
    assert config.find(json.loads(running.file.read_text())) == ours
    assert running.get().pool == BLUE


def test_an_object_of_somebody_else_is_refused(running: Caddy) -> None:
    theirs = {"@id": config.ID, "handle": [{"handler": "static_response", "body": "theirs"}]}
    running.patch(theirs)
    assert running.driver.read().route is None
    with pytest.raises(BalancerMisconfigured, match="not changeover's"):
        running.driver.commit(FLIPPED, TestFence())
    assert running.get().body == "theirs"
    assert any(not f.ok for f in running.driver.inspect())


def test_without_our_object_nothing_is_written(running: Caddy) -> None:
    Admin(running.admin).ask("DELETE", f"/id/{config.ID}")
    kept = running.file.read_text()
    for act in (running.driver.read, lambda: running.driver.commit(FLIPPED, TestFence())):
        with pytest.raises(BalancerMisconfigured, match="no object"):
            act()
    assert running.file.read_text() == kept
    assert any(not f.ok and f.fatal for f in running.driver.inspect())


def test_other_instances_than_a_restart_would_know_are_shown(running: Caddy) -> None:
    """The same decision in Caddy and file, of different pools: not settled."""
    site = replace(running.site, pools={BLUE: running.site.pools[BLUE][:1], GREEN: running.site.pools[GREEN]})
    running.patch(config.route_object(START, site, token=0, run="hand"))
    reading = running.driver.read()
    assert not reading.settled
    assert reading.problem
    assert running.driver.commit(START, TestFence()).settled


def test_a_configuration_with_two_objects_is_refused(running: Caddy) -> None:
    whole = json.loads(running.file.read_text())
    routes = whole["apps"]["http"]["servers"]["web"]["routes"]
    routes.append(routes[0])
    running.file.write_text(json.dumps(whole))
    with pytest.raises(BalancerRefused, match="2 objects"):
        running.driver.commit(FLIPPED, TestFence())
    assert json.loads(running.file.read_text()) == whole
    assert running.get().pool == BLUE


# doctor ----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_the_page_says")
def test_doctor_names_what_is_not_as_it_should_be(running: Caddy) -> None:
    assert [f for f in running.driver.inspect() if not f.ok] == []
    kernel.FILE.write_text("0")
    Admin(running.admin).ask("DELETE", f"{SERVER}/read_header_timeout")
    theirs = {"match": [{"path": ["/theirs"]}], "handle": [{"handler": "static_response", "body": "theirs"}]}
    Admin(running.admin).ask("PUT", f"{SERVER}/routes/0", theirs)
    _, secret = running.driver.preview()
    (running.directory / "access.log").write_text(json.dumps({"request": {"headers": secret}}) + "\n")
    found = {f.subject.partition(": ")[2]: f for f in running.driver.inspect() if not f.ok}
    assert set(found) == {"slow headers", "routes", "file", "access log", "waiting connections"}
    assert found["file"].fatal
    assert all(f.fix for f in found.values())
    assert next(iter(secret.values())) not in repr(found)
