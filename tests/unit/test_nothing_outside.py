"""The guard of the unit tests really guards."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest


def connect():
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


@pytest.mark.parametrize(
    "act",
    [
        connect,
        lambda: subprocess.run(["true"], check=False),
        lambda: time.sleep(0),
    ],
)
def test_reaching_out_raises(act):
    with pytest.raises(AssertionError, match="a unit test calls"):
        act()
