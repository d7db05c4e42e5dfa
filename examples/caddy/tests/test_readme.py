"""The README is true: its commands are run, its configuration is loaded, and the two fit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fixtures.instances import pool
from tests.fixtures.need import need
from tests.fixtures.ports import free_port

from changeover.config import load
from changeover.core.model import Route
from changeover.service.wires import of
from changeover.service.wiring import wire
from changeover.testing.cases import BLUE, GREEN, TestFence, fetch, until

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
REST = """\
app: shop
environment: test
instances:
  type: command
  pools: { blue: [BLUE], green: [GREEN] }
  start: ["true", "{port}", "{host}"]
  stop: ["true", "{port}", "{host}"]
  status: ["true", "{port}", "{host}"]
  identity: { get: /version }
  ready: { get: /ready }
"""


def block(language: str) -> str:
    (text,) = [text for kind, text in BLOCKS if kind == language]
    return text


@contextmanager
def in_the_background(command: str) -> Iterator[None]:
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.usefixtures("as_the_page_says")
def test_the_page_as_it_stands(tmp_path: Path) -> None:
    """Paths, port and instances are this machine's; everything else is the page's."""
    need("caddy")
    port = free_port()
    with pool(BLUE) as blue, pool(GREEN) as green:
        here = {
            "/run/caddy": str(tmp_path), "/etc/caddy": str(tmp_path), "/var/log/caddy": str(tmp_path),
            "--listen :80": f"--listen 127.0.0.1:{port}", "http://shop.example": f"http://127.0.0.1:{port}",
            "10.0.0.11:8001": blue[0].address, "10.0.0.12:8001": blue[1].address,
            "10.0.0.11:8002": green[0].address, "10.0.0.12:8002": green[1].address,
        }  # fmt: skip

        def local(text: str) -> str:
            for page, machine in here.items():
                text = text.replace(page, machine)
            return text

        write, word, run = local(block("sh")).rpartition("caddy run ")
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        made = subprocess.run(["bash", "-ec", write], check=False, capture_output=True, text=True, env=env)
        assert made.returncode == 0, made.stderr
        with in_the_background(word + run):
            until(lambda: fetch(port).status == 200, within=20)
            assert fetch(port).pool == BLUE
            rest = REST.replace("[BLUE]", str([i.address for i in blue])).replace(
                "[GREEN]", str([i.address for i in green])
            )
            (tmp_path / "changeover.yml").write_text(rest + local(block("yaml")))
            driver = wire(of(load(tmp_path / "changeover.yml"))).ports.balancer
            assert [f for f in driver.inspect() if not f.ok] == []
            assert driver.commit(Route(GREEN, BLUE, mark="readme"), TestFence()).settled
            assert fetch(port).pool == GREEN


def test_every_option_is_on_the_page_and_no_other() -> None:
    import changeover_caddy

    named = set(re.findall(r"^      (\w+):", block("yaml"), re.MULTILINE))
    assert named == {*changeover_caddy.PATHS, *changeover_caddy.OTHERS}


def test_what_it_says_of_leaving_is_the_drivers() -> None:
    from changeover_caddy import config

    assert f"as leaving for {config.LEAVE:g} s" in README.read_text("utf-8")


def test_no_other_licence_than_the_projects() -> None:
    root = README.parents[2]
    for file in (root / "pyproject.toml", README.parent / "pyproject.toml"):
        assert 'license = "Apache-2.0"' in file.read_text("utf-8")
