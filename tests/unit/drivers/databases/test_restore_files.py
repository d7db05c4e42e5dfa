"""Restore points as files: whole or not at all."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from changeover.core.errors import RestorePointFailed
from changeover.core.model import RestorePoint
from changeover.drivers.databases.restore_files import RestoreFiles, sha256


@pytest.fixture
def files(tmp_path):
    return RestoreFiles(tmp_path / "backups", "dump")


def taken(files, id="one", at=1.0, content=b"content"):
    with files.writing(id) as part:
        part.write_bytes(content)
        point = RestorePoint(id, at, "r-1", str(files.path(id)), "compared", 4, 2, 9, len(content))
        files.keep(part, point, sha256(part))
    return point


def names(files):
    return sorted(p.name for p in files.directory.iterdir())


def test_what_was_kept_is_known(files):
    assert files.known("one") is None
    assert files.newest() is None
    point = taken(files)
    assert names(files) == ["one.dump", "one.json"]
    assert files.known("one") == point
    assert files.verified(point).read_bytes() == b"content"


def test_the_newest_is_the_one_taken_last(files):
    taken(files, "z", 1.0)
    newest = taken(files, "a", 2.0)
    assert files.newest() == newest
    files.path("a").unlink()
    assert files.newest().id == "z"


def test_what_was_not_kept_is_gone(files):
    with pytest.raises(ZeroDivisionError), files.writing("one") as part:
        part.write_bytes(b"half")
        part.with_name(part.name + "-wal").write_bytes(b"half")
        raise ZeroDivisionError
    assert names(files) == []
    assert files.known("one") is None


def test_a_full_disk_says_so(files):
    with pytest.raises(RestorePointFailed, match="No space left") as failed, files.writing("one"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "make room" in failed.value.next[0]


@pytest.mark.parametrize("content", [b"contenT", b"content and more", b""])
def test_what_was_changed_is_not_used(files, content):
    point = taken(files)
    files.path("one").write_bytes(content)
    with pytest.raises(RestorePointFailed, match="was changed"):
        files.verified(point)


def test_what_is_gone_is_not_used(files):
    point = taken(files)
    files.path("one").unlink()
    with pytest.raises(RestorePointFailed, match="is gone"):
        files.verified(point)
    assert files.known("one") is None


@pytest.mark.parametrize("card", ["", "{", "[]", "null", '{"id": "one"}', '{"sha256": "x", "id": 1}'])
def test_a_card_that_is_none_is_ignored(files, card):
    taken(files)
    (files.directory / "one.json").write_text(card)
    assert files.known("one") is None
    assert files.newest() is None


def test_a_card_of_another_id_is_not_its_own(files):
    point = taken(files)
    (files.directory / "one.json").rename(files.directory / "two.json")
    assert files.known("two") is None
    assert files.known("one") is None
    taken(files)
    assert files.known("one") == replace(point)


@pytest.mark.parametrize("id", ["", ".", "..", "../x", "a/b", "a\nb", "a" * 300])
def test_ids_are_file_names(files, id):
    with pytest.raises(RestorePointFailed):
        files.path(id)
