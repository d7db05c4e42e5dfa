"""A driver that another package brings: found by its entry point, made from the configuration, refused by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from changeover.config import load
from changeover.core.errors import BalancerMisconfigured
from changeover.service.wires import of
from changeover.service.wiring import wire

CONFIGURATION = """\
app: shop
environment: test
instances:
  type: command
  pools: {{ blue: ["10.0.0.1:1"], green: ["10.0.0.2:1"] }}
  start: ["true", "{{port}}", "{{host}}"]
  stop: ["true", "{{port}}", "{{host}}"]
  status: ["true", "{{port}}", "{{host}}"]
  identity: {{ get: /version }}
  ready: {{ get: /ready }}
balancers:
  - {{ type: driver, driver: {driver}, name: edge, entry: "http://edge", options: {{ key: a/b, number: 7 }} }}
"""
MODULE = """\
from changeover.drivers.memory import MemoryBalancer, MemoryWorld

def make(order):
    balancer = MemoryBalancer(MemoryWorld(), name=order.name)
    made.append(order)
    return balancer

def broken(order):
    return object()

made = []
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package, as far as Python's metadata can tell."""
    (tmp_path / "their_driver.py").write_text(MODULE)
    info = tmp_path / "their_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[changeover.balancers]\ntheirs = their_driver:make\nnone = their_driver:broken\ngone = their_driver:gone\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_driver", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def balancer_of(folder: Path, driver: str):
    file = folder / "changeover.yml"
    file.write_text(CONFIGURATION.format(driver=driver))
    return wire(of(load(file))).ports.balancer


def test_it_is_made_from_the_configuration(package: Path) -> None:
    balancer = balancer_of(package, "theirs")
    assert balancer.name == "edge"
    assert balancer.read().settled
    order = sys.modules["their_driver"].made[0]
    assert (order.name, order.entry, order.directory) == ("edge", "http://edge", package)
    assert dict(order.options) == {"key": "a/b", "number": 7}
    assert [slot.address for slot in order.slots["green"]] == ["10.0.0.2:1"]


def test_a_name_that_nobody_brings_is_refused_with_those_that_there_are(package: Path) -> None:
    with pytest.raises(BalancerMisconfigured, match=r"'thiers'; there are: .*theirs") as caught:
        balancer_of(package, "thiers")
    assert caught.value.next


def test_what_is_no_driver_is_refused(package: Path) -> None:
    with pytest.raises(BalancerMisconfigured, match=r"has no name, .*read, commit, .*by_hand"):
        balancer_of(package, "none")


def test_what_cannot_be_loaded_is_refused(package: Path) -> None:
    with pytest.raises(BalancerMisconfigured, match="cannot be loaded"):
        balancer_of(package, "gone")
