"""The process table, read from files that look like /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.drivers.runtimes.processes import Proc, Processes, listening, parse_stat

TCP = b"""  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0000 100 0 0 10 0
   1: 00000000:1F42 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000 100 0 0 10 0
   2: 0200007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0000 100 0 0 10 0
   3: 0100007F:1F41 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 444 1 0000 100 0 0 10 0
   4: 0100007F:C350 0100007F:1F41 01 00000000:00000000 00:00000000 00000000     0        0 555 1 0000 100 0 0 10 0
"""
TCP6 = b"""  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000000000000:1F41 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 666 1 0
   1: 00000000000000000000000001000000:1F43 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0
   2: 0000000000000000FFFF00000100007F:1F44 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 888 1 0
"""


def stat(
    pid: int, *, name: str = "app", state: str = "S", session: int = 0, threads: int = 1, ticks: int = 500
) -> bytes:
    rest = f"1 {pid} {session or pid} 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 {ticks} 1000 2"
    return f"{pid} ({name}) {state} {rest}\n".encode()


def test_a_process_is_its_pid_and_its_start() -> None:
    assert parse_stat(stat(42, session=40, ticks=777)) == Proc(42, 777, 40)


@pytest.mark.parametrize("name", ["a b", "a) R 1 (b", ")", "((", ""])
def test_any_name_is_read(name: str) -> None:
    assert parse_stat(stat(42, name=name, ticks=777)) == Proc(42, 777, 42)


def test_the_dead_are_none() -> None:
    assert parse_stat(stat(42, state="Z", threads=0)) is None
    assert parse_stat(stat(42, state="X")) is None
    assert parse_stat(stat(42, state="Z", threads=3)) is not None  # its other threads run


@pytest.mark.parametrize("text", [b"", b"42", b"42 (app", b"42 (app) S 1 2", b"x (app) S"])
def test_half_a_line_is_none(text: bytes) -> None:
    assert parse_stat(text) is None


def test_suspended_is_seen_and_makes_no_other_process() -> None:
    suspended = parse_stat(stat(42, state="T"))
    assert suspended is not None
    assert suspended.is_suspended
    assert suspended == parse_stat(stat(42))


@pytest.mark.parametrize(
    ("host", "port", "inodes"),
    [
        ("127.0.0.1", 0x1F41, {111}),
        ("127.0.0.2", 0x1F41, {333}),
        ("127.0.0.1", 0x1F42, {222}),  # everywhere is here too
        ("localhost", 0x1F41, {111, 333}),  # a name: better one too many
        ("0.0.0.0", 0x1F41, {111, 333}),
        ("127.0.0.1", 0xC350, set()),  # a client's end listens to nobody
        ("127.0.0.1", 0x1F40, set()),
    ],
)
def test_who_listens(host: str, port: int, inodes: set[int]) -> None:
    assert listening(TCP, host, port) == inodes


@pytest.mark.parametrize(
    ("host", "port", "inodes"),
    [("127.0.0.1", 0x1F41, {666}), ("::1", 0x1F43, {777}), ("127.0.0.1", 0x1F43, set()), ("127.0.0.1", 0x1F44, {888})],
)
def test_who_listens_by_ipv6(host: str, port: int, inodes: set[int]) -> None:
    assert listening(TCP6, host, port) == inodes


def proc(root: Path, pid: int, environ: bytes = b"", **facts: int) -> None:
    folder = root / str(pid)
    folder.mkdir()
    (folder / "stat").write_bytes(stat(pid, **facts))  # type: ignore[arg-type]
    (folder / "environ").write_bytes(environ)
    (folder / "cmdline").write_bytes(b"python\0-m\0shop\0" + b"x" * 300)


def test_the_mark_is_compared_whole(tmp_path: Path) -> None:
    proc(tmp_path, 10, b"A=1\0CHANGEOVER_SLOT=shop/blue-1@8001\0B=2\0", ticks=900)
    proc(tmp_path, 11, b"CHANGEOVER_SLOT=shop/blue-1@80011\0")
    proc(tmp_path, 12, b"X_CHANGEOVER_SLOT=shop/blue-1@8001\0")
    proc(tmp_path, 13, b"A=CHANGEOVER_SLOT=shop/blue-1@8001\0")
    proc(tmp_path, 14, b"CHANGEOVER_SLOT=shop/blue-1@8001\0", ticks=800)
    (tmp_path / "15").mkdir()  # gone in this moment
    (tmp_path / "self").mkdir()
    table = Processes(tmp_path)
    assert [p.pid for p in table.marked("CHANGEOVER_SLOT", "shop/blue-1@8001")] == [14, 10]
    assert table.environment(10) == {"A": "1", "CHANGEOVER_SLOT": "shop/blue-1@8001", "B": "2"}
    assert table.environment(99) == {}


def test_a_session_is_its_leader_and_who_it_began(tmp_path: Path) -> None:
    for pid, session in ((10, 10), (11, 10), (12, 12)):
        proc(tmp_path, pid, session=session)
    table = Processes(tmp_path)
    leader, member = table.get(10), table.get(11)
    assert leader is not None
    assert member is not None
    assert {p.pid for p in table.session(leader)} == {10, 11}
    assert table.session(member) == (member,)


def test_what_cannot_be_seen_is_told_apart_from_nothing(tmp_path: Path) -> None:
    proc(tmp_path, 10)
    table = Processes(tmp_path)
    assert table.sockets(10) is None
    assert table.listeners("127.0.0.1", 8001) is None
    (tmp_path / "10" / "fd").mkdir()
    (tmp_path / "10" / "fd" / "3").symlink_to("socket:[111]")
    (tmp_path / "10" / "fd" / "4").symlink_to("/dev/null")
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_bytes(TCP)
    assert table.sockets(10) == {111}
    assert table.listeners("127.0.0.1", 0x1F41) == {111}
    assert [p.pid for p in table.holders(frozenset({111}))] == [10]
    assert table.boot() == ""


def test_a_long_command_is_shortened(tmp_path: Path) -> None:
    proc(tmp_path, 10)
    shown = Processes(tmp_path).command(10)
    assert shown.startswith("python -m shop xxx")
    assert len(shown) == 160
