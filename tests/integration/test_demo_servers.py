"""The servers that the demo starts for itself are its own, and gone when it ends, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.fixtures import mysql
from tests.fixtures.shop import until

from changeover.core.errors import ToolMissing
from changeover.demo import servers
from changeover.demo.shop_store import create_schema, orders


def of(folder: Path) -> list[psutil.Process]:
    """The processes that were started for the folder."""
    running = psutil.process_iter(["cmdline"])
    return [one for one in running if any(str(folder) in word for word in one.info["cmdline"] or ())]


@pytest.fixture
def place() -> Iterator[Path]:
    """Not pytest's own: pytest closes its folders to other users whenever one more pytest starts."""
    path = Path(tempfile.mkdtemp(prefix="co-demo-"))
    yield path
    shutil.rmtree(path)


def test_a_mariadb_of_its_own(place: Path) -> None:
    mysql.program("mariadbd")
    folder = place / ("deep" * 30)  # deeper than the path of a socket may be
    folder.mkdir()
    started = servers.Started(folder)
    try:
        url = servers.mariadb(started)
        create_schema(url)
        assert orders(url).orders == ()
        (process,) = of(folder)
        assert process.uids().real != 0
        port = int(url.rpartition(":")[2].partition("/")[0])
        assert {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    finally:
        started.stop()
    assert of(folder) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_without_mariadb_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SBIN", (str(tmp_path),))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as caught:
        servers.mariadb(servers.Started(tmp_path))
    assert "apt-get install mariadb-server" in caught.value.next


def test_an_interrupted_demo_leaves_nothing_running(place: Path) -> None:
    mysql.program("mariadbd")
    folder = place / "demo"
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a job in the background ignores it, and so its children
    process = subprocess.Popen(
        [sys.executable, "-m", "changeover", "demo", "--database", "mariadb", "--folder", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: len(of(folder)) > 3 and (folder / "requests.jsonl").exists(), within=60)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        assert process.wait(60) == 130
    finally:
        signal.signal(signal.SIGINT, before)
        if process.poll() is None:
            process.kill()
            process.wait()
    assert of(folder) == []
