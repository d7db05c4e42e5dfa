"""Unit tests touch nothing outside the process: sockets, subprocesses and sleeping raise."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest


class Outside(AssertionError):
    """A unit test reached outside its process."""


def _refuse(name):
    def raising(*_args, **_kwargs):
        raise Outside(f"a unit test calls {name}")

    return raising


@pytest.fixture(autouse=True)
def nothing_outside():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _refuse("connect"))
        patch.setattr(socket.socket, "bind", _refuse("bind"))
        patch.setattr(subprocess.Popen, "__init__", _refuse("Popen"))
        patch.setattr(time, "sleep", _refuse("sleep"))
        yield
