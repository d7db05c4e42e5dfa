"""The user's commands, on a host in memory that answers as it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from changeover.core.errors import ChangeoverError, CommandFailed, InstanceUnmanageable, ToolMissing
from changeover.core.model import Process, Slot, Version
from changeover.core.ports import Answer, CommandResult
from changeover.drivers.hosts import LEFT_BEHIND
from changeover.drivers.memory import MemoryFence
from changeover.drivers.runtimes.command import CommandRuntime, CommandSettings
from changeover.drivers.runtimes.proof import Checks, Inspector

SLOT = Slot("blue", 1, "10.0.0.7", 8001)
V = Version("1.1.0")
SILENCE = Answer(0, b"", "nothing listens there")
SETTINGS = CommandSettings(
    pools={"blue": (SLOT,)},
    start=("start", "{pool}-{number}", "{version}", "{build}"),
    stop=("stop", "{host}:{port}"),
    status=("status", "{port}"),
    status_within=0.0,
)


def ended(status: int | None, out: str = "", err: str = "") -> CommandResult:
    return CommandResult(status, out, err, 0.1)


@dataclass
class Site:
    """A host and a web. The status command answers what stands in `status`, the last for ever."""

    status: list[CommandResult | ChangeoverError]
    act: CommandResult = field(default_factory=lambda: ended(0))
    version: Answer = SILENCE
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> CommandResult:
        if argv[0] != "status":
            self.ran.append(tuple(argv))
            return self.act
        answer = self.status.pop(0) if len(self.status) > 1 else self.status[0]
        if isinstance(answer, ChangeoverError):
            raise answer
        return answer

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        if self.version.status == 0 or url.endswith("/version"):
            return self.version
        return Answer(200, b"ok")

    @property
    def runtime(self) -> CommandRuntime:
        return CommandRuntime(SETTINGS, self, Inspector(self, Checks("/ready", "/version")))


RUNS, STOPPED = ended(0, "4711@99\nmore\n"), ended(3)
SAYS = Answer(200, b'{"version": "1.1.0", "build": "b1"}')


@pytest.mark.parametrize(
    ("status", "process", "note"),
    [
        (RUNS, Process.RUNNING, "nothing listens there"),
        (STOPPED, Process.STOPPED, "not running"),
        (ended(1, "", "no such unit"), Process.UNKNOWN, "nothing listens there"),
        (ended(None), Process.UNKNOWN, "nothing listens there"),
        (ToolMissing("status cannot be run"), Process.UNKNOWN, "nothing listens there"),
    ],
)
def test_what_status_says(status: CommandResult | ChangeoverError, process: Process, note: str) -> None:
    seen = Site([status]).runtime.observe(SLOT)
    assert seen.process is process
    assert note in seen.note
    assert not seen.ready


def test_the_first_line_of_status_names_the_start() -> None:
    seen = Site([RUNS], version=SAYS).runtime.observe(SLOT)
    assert seen.started == "4711@99"
    assert seen.proves(V, "b1")


def test_stopped_but_answering_is_unknown() -> None:
    seen = Site([STOPPED], version=SAYS).runtime.observe(SLOT)
    assert seen.process is Process.UNKNOWN
    assert "something answers" in seen.note


def test_start_is_read_back() -> None:
    site = Site([STOPPED, RUNS])
    site.runtime.start(SLOT, V, "b1", MemoryFence())
    assert site.ran == [("start", "blue-1", "1.1.0", "b1")]


def test_one_that_runs_in_silence_is_started_again_as_the_user_promised() -> None:
    site = Site([RUNS])
    site.runtime.start(SLOT, V, "b1", MemoryFence())
    assert len(site.ran) == 1


def test_one_that_runs_as_asked_is_left_alone() -> None:
    site = Site([RUNS], version=SAYS)
    site.runtime.start(SLOT, V, "", MemoryFence())
    assert site.ran == []


@pytest.mark.parametrize(
    ("site", "kind", "words"),
    [
        (Site([ended(1, "", "no such unit\n")]), InstanceUnmanageable, "no such unit"),
        (Site([STOPPED], version=SAYS), InstanceUnmanageable, "something answers"),
        (Site([RUNS], version=Answer(200, b'{"version": "1.0.0"}')), InstanceUnmanageable, "runs 1.0.0"),
        (Site([STOPPED], ended(4, "a\n", "disk full\n")), CommandFailed, "ended 4: disk full"),
        (Site([STOPPED], ended(None)), CommandFailed, "did not end within 30 s"),
        (Site([STOPPED], ended(0)), InstanceUnmanageable, "status says stopped"),
        (Site([STOPPED, RUNS], ended(0, "", LEFT_BEHIND)), InstanceUnmanageable, "pipe"),
    ],
)
def test_what_cannot_be_started(site: Site, kind: type[ChangeoverError], words: str) -> None:
    with pytest.raises(kind, match=words) as told:
        site.runtime.start(SLOT, V, "b1", MemoryFence())
    assert told.value.next


def test_stop_is_read_back() -> None:
    site = Site([RUNS, STOPPED])
    site.runtime.stop(SLOT, MemoryFence())
    assert site.ran == [("stop", "10.0.0.7:8001")]


def test_a_stopped_one_is_not_stopped_again() -> None:
    site = Site([STOPPED])
    site.runtime.stop(SLOT, MemoryFence())
    assert site.ran == []


@pytest.mark.parametrize(
    ("site", "kind", "words"),
    [
        (Site([RUNS], ended(None)), InstanceUnmanageable, "did not end within 30 s"),
        (Site([RUNS], ended(5, "", "denied")), CommandFailed, "ended 5: denied"),
        (Site([RUNS]), InstanceUnmanageable, "status says running"),
        (Site([RUNS, ended(1)]), InstanceUnmanageable, "status says unknown"),
        (Site([STOPPED], version=SAYS), InstanceUnmanageable, "something answers"),
        (Site([RUNS, STOPPED], version=SAYS), InstanceUnmanageable, "something answers"),
    ],
)
def test_what_cannot_be_stopped(site: Site, kind: type[ChangeoverError], words: str) -> None:
    with pytest.raises(kind, match=words) as told:
        site.runtime.stop(SLOT, MemoryFence())
    assert told.value.next


def test_by_hand() -> None:
    runtime = Site([RUNS]).runtime
    assert runtime.by_hand_start(SLOT, V, "") == ("start blue-1 1.1.0 ''",)
    stop, gone = runtime.by_hand_stop(SLOT)
    assert stop == "stop 10.0.0.7:8001"
    assert "[ $? = 3 ]; } && exit; sleep 1; done; echo 'STOP: blue-1 does not say that it is stopped'" in gone
    (ready,) = runtime.by_hand_ready(SLOT, V, "")
    assert "curl -fsS -m 5 http://10.0.0.7:8001/version" in ready
