"""Directories of change files: what is read, and everything that is wrong at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.core.errors import ChangeoverError, ChangesUnreadable, WouldBreak
from changeover.core.model import Version
from changeover.drivers.sources.sql_files import Changes, read_directory

TABLE = "CREATE TABLE {} (id int);\n"


def write(directory: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


def problems(directory: Path, kind: type[ChangeoverError] = ChangesUnreadable) -> ChangeoverError:
    with pytest.raises(kind) as caught:
        read_directory(directory, "postgresql")
    return caught.value


def test_versions_in_their_order(tmp_path: Path) -> None:
    for name in ("1.10.0.expand.sql", "1.9.0.expand.sql", "v2.0.0rc1.expand.sql", "1.9.0.contract.sql"):
        (tmp_path / name).write_text(TABLE.format("a") if "expand" in name else "DROP TABLE b;\n")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".gitkeep").write_text("")
    found = read_directory(tmp_path, "postgresql").sets
    assert [c.version for c in found] == [Version("1.9.0"), Version("1.10.0"), Version("2.0.0rc1")]
    assert found[0].contract[0].file == str(tmp_path / "1.9.0.contract.sql")


def test_an_empty_directory(tmp_path: Path) -> None:
    assert read_directory(tmp_path, "sqlite") == Changes()


def test_line_ends_and_a_byte_order_mark_are_no_change(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "1.0.expand.sql").write_bytes(b"CREATE TABLE a (id int);\nCREATE TABLE b (id int);\n")
    (two / "1.0.expand.sql").write_bytes(b"\xef\xbb\xbfCREATE TABLE a (id int);\r\nCREATE TABLE b (id int);\r\n")
    assert read_directory(one, "sqlite").sets[0].digest == read_directory(two, "sqlite").sets[0].digest


def test_no_directory(tmp_path: Path) -> None:
    assert "no directory" in problems(tmp_path / "absent").what
    (tmp_path / "file").write_text("")
    assert "not a directory" in problems(tmp_path / "file").what


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    wrong = {
        "1.1.0.expnd.sql": b"",
        "1.1.0-expand.sql": b"",
        "1.1.0.expand.SQL": b"",
        "1.1.0.expand.sql~": b"",
        "expand.sql": b"",
        "latest.expand.sql": b"",
        "1.2.0.expand.sql": b"-- \xff\nCREATE TABLE a (id int);",
        "1.3.0.expand.sql": b"CREATE TABLE a (id int);\x00",
        "1.4.0.expand.sql": b"",
        "1.5.0.expand.sql": b"CREATE TABLE a (id int);",
        "1.5.expand.sql": b"CREATE TABLE a (id int);",
        "v1.5.0.expand.sql": b"CREATE TABLE a (id int);",
        "1.6.0.backfill.sql": "CREATE TABLE a (id int);".encode("utf-16"),
    }
    for name, text in wrong.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "1.7.0").mkdir()
    error = problems(tmp_path)
    named = {Path(w.file).name for w in error.where}
    assert named == {*wrong, "1.7.0"} - {"1.5.0.expand.sql"}
    assert len(error.where) == len(named)


def test_statements_of_all_versions_are_looked_at(tmp_path: Path) -> None:
    write(tmp_path, **{"1__expand__sql": "DROP TABLE a;", "2__expand__sql": "DROP TABLE b;"})
    assert len(problems(tmp_path, WouldBreak).where) == 2


def test_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "1.0.expand.sql").symlink_to(tmp_path / "gone")
    assert "cannot be read" in problems(tmp_path).what
