"""Records, marks and the lock with its fence."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.core.errors import FencedOut, InstanceUnmanageable
from changeover.core.model import Slot
from changeover.drivers.memory import MemoryFence
from changeover.drivers.runtimes.processes import Processes
from changeover.drivers.runtimes.slotfiles import Disabled, SlotFiles

TABLE = Processes()


@pytest.fixture
def files(tmp_path: Path) -> SlotFiles:
    return SlotFiles(tmp_path / "state", Slot("blue", 1, "127.0.0.1", 8001))


def hold(files: SlotFiles, token: int, run: str = "r-1") -> None:
    with files.held(MemoryFence(token, run), "start", TABLE, wait=0.0):
        pass


def test_fences_only_grow(files: SlotFiles) -> None:
    for token in (1, 1, 5, 5, 12):
        hold(files, token)
    for token in (1, 11):
        with pytest.raises(FencedOut, match="fence 12"):
            hold(files, token)
    hold(files, 12)


def test_a_long_name_before_a_short_one_leaves_nothing_behind(files: SlotFiles) -> None:
    hold(files, 1, "r-" + "x" * 200)
    hold(files, 2, "r")
    hold(files, 2, "r")
    with pytest.raises(FencedOut, match=r"\(r\)"):
        hold(files, 1)


def test_who_holds_the_lock_keeps_others_out_and_is_named(files: SlotFiles) -> None:
    with files.held(MemoryFence(3, "r-7"), "stop", TABLE):
        with pytest.raises(InstanceUnmanageable, match=r"\(stop, r-7\) is acting on blue-1"):
            hold(files, 4)
    hold(files, 4)


def test_an_error_inside_frees_the_lock(files: SlotFiles) -> None:
    with pytest.raises(ZeroDivisionError), files.held(MemoryFence(1), "start", TABLE):
        raise ZeroDivisionError
    hold(files, 1)


@pytest.mark.parametrize("content", ["x", "{}", '{"fence": "1"}', "\0\0\0"])
def test_a_damaged_lock_is_refused(files: SlotFiles, content: str) -> None:
    hold(files, 1)
    files.lock_path.write_text(content)
    with pytest.raises(InstanceUnmanageable, match="damaged"):
        hold(files, 2)


def test_disabled_until_enabled(files: SlotFiles) -> None:
    files.directory.mkdir()
    why = Disabled(1.5, "r-1", "1.0.0", "boot", 77)
    assert files.disabled() is None
    files.disable(why)
    files.disable(why)
    assert files.disabled() == why
    files.enable()
    files.enable()
    assert files.disabled() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff", b'{"pid": 1, "ticks": 2}'])
def test_a_damaged_record_is_none(files: SlotFiles, content: bytes) -> None:
    files.directory.mkdir()
    assert files.record() is None
    files.record_path.write_bytes(content)
    assert files.record() is None
    files.forget()
    files.forget()
    assert not files.record_path.exists()
