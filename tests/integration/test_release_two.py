"""Two who want to act on one environment: two processes of one state store, and two state stores."""

from __future__ import annotations

import shutil
import socket

import pytest
from tests.fixtures.stage import FAST, QUIET, running, tool, tune, until

from changeover.core.states import State

STACKS = (("haproxy", "postgresql"), ("envoy", "sqlite"))


@pytest.fixture(params=STACKS, ids="-".join)
def stack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t")
    with running(folder, *request.param, load=False, shift="[100%]", bake="1s") as one:
        tune(one, *FAST, *QUIET)
        yield one


@pytest.mark.timeout(400)
def test_two_releases_at_once_and_a_second_state_store(stack):
    both = [tool(stack.config, "release", "1.1.0", "b1") for _ in range(2)]
    ends = sorted((one.wait() for one in both), key=lambda end: end[0])
    (won, answer), (lost, refusal) = ends
    assert (won, answer.get("state")) == (0, "done"), ends
    assert (lost, refusal.get("error")) == (5, "EnvironmentHeld"), ends
    assert socket.gethostname() in refusal["what"]
    assert "r-0001" in refusal["what"]
    assert " s" in refusal["what"], "how long it is held already"
    assert [r.state for r in stack.door().history()] == [State.DONE]
    stack.serves("1.1.0")

    foreign = stack.folder / "elsewhere"
    foreign.mkdir()
    shutil.copytree(stack.folder / "db", foreign / "db")
    shutil.copy(stack.config, foreign)
    before = stack.door().status().world
    for command in (("release", "1.2.0", "b1"), ("rollback",)):
        status, refusal = tool(foreign / stack.config.name, *command).wait()
        assert status == 5, refusal
        assert refusal["error"] == "ForeignStore", refusal
        assert socket.gethostname() in refusal["what"]
        assert "adopt" in " ".join(refusal["next"])
    after = stack.door().status().world
    assert (after.route, after.schema) == (before.route, before.schema)
    stack.serves("1.1.0")
    status, answer = tool(stack.config, "rollback").wait()
    assert status == 0, answer


@pytest.mark.timeout(400)
def test_a_living_holder_is_named_and_not_disturbed(stack):
    """Asked to go on with a run that a living process drives: it says who, and leaves it alone."""
    owner = tool(stack.config, "release", "1.1.0", "b1")
    until(lambda: stack.door().site.store.exists() and stack.door().history(), "the run is on record")
    status, answer = tool(stack.config, "resume").wait()
    if owner.alive:
        assert status == 4, answer
        assert "goes on with it" in answer["words"] or answer["state"] == "running"
        assert socket.gethostname() in answer["words"]
    assert owner.wait()[0] == 0
    stack.serves("1.1.0")
