"""A run in lines: every event kind that the engine writes, with the data that it writes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import pytest
from tests.fixtures.golden import same, same_everywhere  # noqa: F401 - a fixture
from tests.fixtures.memory_site import POLICY, stage

from changeover.core.model import Counters, Route, Version
from changeover.core.states import State
from changeover.core.steps import ACTIONS
from changeover.ui.render import evidence, lists
from changeover.ui.render.narrate import Narrator

pytestmark = pytest.mark.usefixtures("same_everywhere")


@dataclass(frozen=True)
class Said:
    kind: str
    step: str = ""
    data: dict = field(default_factory=dict)
    run: str = "r-0001"
    seq: int = 1
    at: float = 1_000_000.0
    fence: int = 1


def told(st, run, **options):
    door = st.door
    return lists.log(door.events(run), door.plan_of(run), **{"failed": False, "verbose": False, **options})


def test_a_release(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, gates={10_000: "release-manager"}))
    st.world.hook = lambda name: (
        st.world.counted.update(blue=Counters(300, 0), green=Counters(100, 1))
        if name.startswith("after route blue:green:2500")
        else None
    )
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda s: s is State.WAITING)
    st.door.approve("100%", "looks calm")
    st.door.drive(run)
    same("release.log.txt", told(st, run))
    same("release.log.verbose.txt", told(st, run, verbose=True))


def test_a_release_that_goes_back(tmp_path):
    st = stage(tmp_path)
    st.world.hook = lambda name: (
        st.world.counted.update(green=Counters(100, 50, 0, 3))
        if name.startswith("after route blue:green:2500")
        else None
    )
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.WENT_BACK
    same("went-back.log.txt", told(st, run) + told(st, "r-0002"))
    same("went-back.failed.txt", told(st, run, failed=True))


def test_a_cleanup(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    run = st.door.submit(st.door.plan_cleanup())
    assert st.door.drive(run) is State.DONE
    same("cleanup.log.txt", told(st, run))


def test_a_hold(tmp_path):
    st = stage(tmp_path)
    st.world.hook = lambda name: (
        setattr(st.world, "route", Route("green", "blue", 0, 0, 0, "somebody"))
        if name.startswith("after route blue:green:2500")
        else None
    )
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda s: s is State.HELD)
    assert "held: a person must look" in told(st, run)
    assert "CO-0204" in told(st, run, failed=True)


def test_a_failure_is_told_once_however_often_it_is_tried(tmp_path):
    st = stage(tmp_path)
    plan = st.door.plan("1.1.0")
    narrator = Narrator(plan)
    event = Said("failed", "s3", {"code": "CO-0201", "what": "the balancer does not answer"})
    assert len(list(narrator.tell(event))) == 1
    assert list(narrator.tell(event)) == []


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Said("paused", data={"by": "dana@ops-1", "note": "lunch"}), '◷ paused by dana@ops-1        "lunch"; changeover resume'),
        (Said("resumed", data={"by": "dana@ops-1", "note": ""}), "⟳ resumed                     by dana@ops-1"),
        (Said("aborted", data={"by": "dana@ops-1", "note": "no"}), '↩ given up by dana@ops-1      "no"; going back'),
        (Said("preempted", data={"by": "olu@ops-2", "note": ""}), "↩ a rollback by olu@ops-2 takes its place"),
        (Said("slow", "s15", {"requests": None, "detail": "no answer"}), "◷ drain blue                  an unknown number still in flight no answer"),
        (Said("cut", "s15", {"count": 3}), "✖ drain blue                  3 requests were cut at the deadline"),
        (Said("unhealthy", "s10", {"instance": "green-1", "note": "503"}), "! green-1 is not ready        503"),
        (Said("healthy", "s10", {"instance": "green-1"}), "· green-1 is ready again"),
        (Said("inconclusive", "s10", {"reason": "3 requests"}), "◷ watch 25 %                  not enough data: 3 requests"),
        (Said("waiting", "s10", {"gate": "go-on"}), "◷ not enough data to go on    changeover approve go-on"),
        (Said("blocked", data={"needs": ["dance/1"], "what": "needs dance/1"}), "✖ blocked                     needs dance/1"),
        (Said("lost", data={"code": "CO-0301", "what": "gone"}), "✖ the way back is lost: a person must look  gone  CO-0301"),
    ],
)  # fmt: skip
def test_lines(tmp_path, event, words):
    plan = stage(tmp_path).door.plan("1.1.0")
    gateless = {s.key: s.action.kind for s in plan.steps}
    event = replace(
        event, step={"s15": next(k for k, v in gateless.items() if v == "drain")}.get(event.step, event.step)
    )
    lines = [re.sub(" {2,}", "  ", line.text()) for line in Narrator(plan).tell(event)]
    assert lines == [re.sub(" {2,}", "  ", f"13:46:40  {words}")]


def test_an_event_of_a_newer_changeover_is_no_failure(tmp_path):
    narrator = Narrator(stage(tmp_path).door.plan("1.1.0"), verbose=True)
    assert list(narrator.tell(Said("dance", "s99", {"x": 1})))
    assert list(Narrator(stage(tmp_path).door.plan("1.1.0")).tell(Said("dance", "s99"))) == []


def test_every_kind_of_step_has_its_evidence():
    assert set(evidence._SAY) == set(ACTIONS)
    for kind in ACTIONS:
        assert isinstance(evidence.of(kind, {}), str)


def test_notes_of_people_cannot_steer_the_terminal(tmp_path):
    plan = stage(tmp_path).door.plan("1.1.0")
    event = Said("paused", data={"by": "dana", "note": "\x1b[2J\nfake line"})
    line = next(iter(Narrator(plan).tell(event))).text()
    assert "\x1b" not in line
    assert "\n" not in line


def test_without_utf8_marks_are_words(tmp_path):
    plan = stage(tmp_path).door.plan("1.1.0")
    line = next(iter(Narrator(plan).tell(Said("failed", "s3", {"what": "no"})))).text(utf8=False)
    assert line == "13:46:40  FAIL expand for v1.1.0            no"
    assert Version("1.1.0")
