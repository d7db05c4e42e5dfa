"""The map file and its fence, with the other owner's steps put between ours."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from changeover.core.errors import BalancerRefused, BalancerUnreachable, FencedOut
from changeover.drivers.balancers.haproxy_file import MapFile, MapText, parse_map, render_map
from changeover.testing.cases import TestFence

OLD, NEW = "blue:green:0:0:0:old", "green:blue:0:0:0:new"


@pytest.fixture
def file(tmp_path: Path) -> MapFile:
    (tmp_path / "route.map").write_text(render_map("blue:green:0:0:0:start", 1, "r0"))
    return MapFile(str(tmp_path / "route.map"))


def names(file: MapFile) -> list[str]:
    return sorted(path.name for path in Path(file.path).parent.iterdir())


def test_text_survives() -> None:
    assert parse_map(render_map(OLD, 12, "r-7")) == MapText(OLD, 12, "r-7")
    assert parse_map(render_map(None, 3, "r")) == MapText(None, 3, "r")


def test_it_is_read_as_haproxy_reads_it() -> None:
    assert parse_map("\n# note\n  route   a:b \nroute c:d\nother x\n") == MapText("a:b", 0, "", ("route", "other"))


def test_a_run_cannot_write_lines_of_its_own() -> None:
    assert parse_map(render_map(OLD, 1, "r\nroute evil")).value == OLD


def test_a_write_leaves_the_file_and_nothing_else(file: MapFile) -> None:
    Path(file.path).chmod(0o640)
    file.write(NEW, TestFence(token=2))
    assert file.read() == MapText(NEW, 2, "r1")
    assert names(file) == ["route.map"]
    assert Path(file.path).stat().st_mode & 0o777 == 0o640


def test_an_older_fence_is_refused(file: MapFile) -> None:
    file.write(NEW, TestFence(token=9))
    with pytest.raises(FencedOut) as caught:
        file.write(OLD, TestFence(token=8))
    assert caught.value.next
    assert file.read().value == NEW
    assert names(file) == ["route.map"]


def test_a_lost_lease_leaves_no_draft(file: MapFile) -> None:
    with pytest.raises(FencedOut):
        file.write(NEW, TestFence(lost=True))
    assert names(file) == ["route.map"]


def test_taken_over_between_comparing_and_renaming(file: MapFile) -> None:
    with pytest.raises(FencedOut):
        file.write(OLD, TestFence(token=7, hooks={1: lambda: file.write(NEW, TestFence(token=8))}))
    assert file.read() == MapText(NEW, 8, "r1")
    assert names(file) == ["route.map"]


class Boundary(MapFile):
    """A map file whose owner is interrupted at a step: `at` is the step's number, `act` what happens before it."""

    __slots__ = ("act", "at", "steps")

    def __init__(self, path: str, at: int, act) -> None:
        super().__init__(path)
        object.__setattr__(self, "at", at)
        object.__setattr__(self, "act", act)
        object.__setattr__(self, "steps", itertools.count())

    def _step(self) -> None:
        if next(self.steps) == self.at:
            self.act()

    def _write_draft(self, draft, text):
        self._step()
        MapFile._write_draft(self, draft, text)

    def _fence_now(self):
        self._step()
        return MapFile._fence_now(self)

    def _rename(self, draft, fence):
        self._step()
        MapFile._rename(self, draft, fence)

    def _sweep(self, token):
        self._step()
        MapFile._sweep(self, token)


@pytest.mark.parametrize("at", range(4))
def test_the_old_owner_may_sleep_before_any_step(file: MapFile, at: int) -> None:
    old = Boundary(file.path, at, lambda: file.write(NEW, TestFence(token=8)))
    with pytest.raises(FencedOut):
        old.write(OLD, TestFence(token=7))
    assert file.read() == MapText(NEW, 8, "r1")
    assert names(file) == ["route.map"]


@pytest.mark.parametrize("at", range(4))
def test_the_old_owner_may_write_before_any_step_of_the_new_one(file: MapFile, at: int) -> None:
    def old_writes() -> None:
        Path(file.path).write_text(render_map(OLD, 7, "r1"))  # its rename, whenever it began

    Boundary(file.path, at, old_writes).write(NEW, TestFence(token=8))
    assert file.read() == MapText(NEW, 8, "r1")


def test_somebody_who_never_stops_writing_is_told(file: MapFile) -> None:
    class Fought(MapFile):
        __slots__ = ()

        def _sweep(self, token):
            Path(self.path).write_text(render_map(OLD, 0, ""))

    with pytest.raises(BalancerRefused, match="keeps writing"):
        Fought(file.path).write(NEW, TestFence(token=8))


def test_drafts_of_a_newer_owner_and_foreign_files_stay(file: MapFile) -> None:
    folder = Path(file.path).parent
    newer, older, foreign = ".route.map.9.0a.draft", ".route.map.1.0a.draft", ".route.map.x.draft"
    for name in (newer, older, foreign):
        (folder / name).touch()
    file.write(NEW, TestFence(token=2))
    assert names(file) == sorted([newer, foreign, "route.map"])


def test_a_link_stays_a_link(tmp_path: Path, file: MapFile) -> None:
    link = tmp_path / "link"
    link.mkdir()
    (link / "route.map").symlink_to(file.path)
    MapFile(str(link / "route.map")).write(NEW, TestFence(token=2))
    assert (link / "route.map").is_symlink()
    assert file.read().value == NEW


def test_a_missing_file_and_a_missing_directory(tmp_path: Path) -> None:
    missing = MapFile(str(tmp_path / "none.map"))
    with pytest.raises(BalancerUnreachable):
        missing.read()
    missing.write(NEW, TestFence())
    assert missing.read().value == NEW
    with pytest.raises(BalancerRefused, match="cannot be replaced"):
        MapFile(str(tmp_path / "no" / "route.map")).write(NEW, TestFence())
