"""The route file under two owners: whatever the order of their steps, the newer one's route stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from changeover.core.errors import BalancerRefused, BalancerUnreachable, FencedOut
from changeover.drivers.balancers.envoy_file import RouteFile


@dataclass
class Owner:
    """A fence that runs something after its n-th check passed: there the process sleeps."""

    token: int
    run: str = "r"
    asleep: dict[int, Callable[[], object]] = field(default_factory=dict)
    checks: int = 0
    lost: bool = False

    def check(self) -> None:
        if self.lost:
            raise FencedOut("lost")
        self.checks += 1
        self.asleep.get(self.checks, lambda: None)()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "live.json"
    found.write_text("first")
    return found


def test_a_write_is_read_back(path: Path) -> None:
    file = RouteFile(str(path))
    file.write("second", Owner(3))
    assert file.read() == "second"
    assert file.fence() == 3
    assert sorted(p.name for p in path.parent.iterdir()) == [".live.json.fence.3", "live.json"]


def test_an_older_owner_is_refused(path: Path) -> None:
    file = RouteFile(str(path))
    file.write("newer", Owner(8))
    with pytest.raises(FencedOut, match="fence 8, this run is 7"):
        file.write("older", Owner(7))
    assert file.read() == "newer"
    assert not list(path.parent.glob("*.draft"))


def test_the_same_owner_writes_again_and_a_newer_one_after_it(path: Path) -> None:
    file = RouteFile(str(path))
    for token, text in ((3, "a"), (3, "b"), (4, "c")):
        file.write(text, Owner(token))
        assert file.read() == text
    assert [p.name for p in path.parent.glob(".live.json.fence.*")] == [".live.json.fence.4"]


@pytest.mark.parametrize("nth", [1, 2])
def test_an_owner_that_slept_while_a_newer_one_wrote_changes_nothing(path: Path, nth: int) -> None:
    file = RouteFile(str(path))
    stale = Owner(7, asleep={nth: lambda: file.write("newer", Owner(8))})
    with pytest.raises(FencedOut):
        file.write("older", stale)
    assert stale.checks == nth
    assert file.read() == "newer"


@pytest.mark.parametrize("nth", [1, 2])
def test_an_older_owner_that_wakes_between_the_newer_ones_steps_does_not_stay(path: Path, nth: int) -> None:
    """The newer one is under way, the older one runs through, the newer one goes on."""
    file = RouteFile(str(path))

    def wake() -> None:
        try:
            file.write("older", Owner(7))
        except FencedOut:
            assert nth == 2, "nobody newer had arrived yet"

    file.write("newer", Owner(8, asleep={nth: wake}))
    assert file.read() == "newer"
    assert file.fence() == 8


def test_a_lost_lease_leaves_no_trace(path: Path) -> None:
    with pytest.raises(FencedOut):
        RouteFile(str(path)).write("second", Owner(3, lost=True))
    assert [p.name for p in path.parent.iterdir()] == ["live.json"]
    assert path.read_text() == "first"


def test_a_file_that_is_absent_is_unknown_and_can_be_written(tmp_path: Path) -> None:
    file = RouteFile(str(tmp_path / "live.json"))
    with pytest.raises(BalancerUnreachable):
        file.read()
    file.write("text", Owner(1))
    assert file.read() == "text"
    assert stat.S_IMODE((tmp_path / "live.json").stat().st_mode) == 0o600  # it holds a secret


def test_the_mode_stays(path: Path) -> None:
    path.chmod(0o640)
    RouteFile(str(path)).write("second", Owner(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "sub" / "live.json"
    link.parent.mkdir()
    link.symlink_to(path)
    RouteFile(str(link)).write("second", Owner(1))
    assert link.is_symlink()
    assert path.read_text() == "second"


def test_a_directory_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    file = RouteFile(str(tmp_path / "none" / "live.json"))
    assert file.fence() == 0
    with pytest.raises(BalancerRefused) as caught:
        file.write("text", Owner(1))
    assert "cannot be replaced" in caught.value.what
    assert caught.value.next


def test_a_disk_that_is_full_leaves_the_old_route(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BalancerRefused, match="No space left"):
        RouteFile(str(path)).write("second", Owner(1))
    assert path.read_text() == "first"
    assert not list(path.parent.glob("*.draft"))


def test_foreign_files_beside_it_are_left_alone(path: Path) -> None:
    others = [path.with_name(n) for n in ("live.json.1.ab.draft", ".live.json.fence.x", ".other.json.1.ab.draft")]
    for other in others:
        other.touch()
    RouteFile(str(path)).write("second", Owner(9))
    assert all(other.exists() for other in others)
