"""The same person, host, zone and folder in every test."""

import socket
import time

import pytest


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch, tmp_path):
    monkeypatch.setenv("CHANGEOVER_BY", "dana")
    monkeypatch.setattr(socket, "gethostname", lambda: "ops-1")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
