"""Every scenario of the demo, as a stranger runs it: through the command line, judged by an independent client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures import mysql
from tests.fixtures.chaos import FULL
from tests.fixtures.need import need

from changeover.demo.scenarios import SCENARIOS

EVERY = tuple(SCENARIOS)
# Stack -> what is played on it in every run of the tests; all of it under CHANGEOVER_CHAOS=full.
STACKS = {
    ("envoy", "sqlite"): EVERY,
    ("haproxy", "postgresql"): EVERY,
    ("envoy", "mariadb"): ("release", "drop-column"),
    ("haproxy-servers", "sqlite"): ("release",),
    ("haproxy 2", "sqlite"): ("crash",),
    ("alb", "sqlite"): ("bad-version",),  # a release takes two minutes
    ("elb", "sqlite"): ("crash",),
}
PLAYED = [(scenario, *stack) for stack, scenarios in STACKS.items() for scenario in (EVERY if FULL else scenarios)]


@pytest.mark.timeout(420)
@pytest.mark.parametrize(("scenario", "balancer", "database"), PLAYED)
def test_scenario(scenario, balancer, database, tmp_path_factory):
    balancer, _, count = balancer.partition(" ")
    if balancer.startswith("haproxy"):
        need("haproxy")
    if database == "postgresql" and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        need("initdb")
    if database == "mariadb":
        mysql.program("mariadbd")
    folder = tmp_path_factory.mktemp("d")
    argv = ["demo", "--scenario", scenario, "--balancer", balancer, "--database", database, "--folder", str(folder)]
    argv += ["--balancers", count] if count else []
    ended = subprocess.run(
        [sys.executable, "-m", "changeover", *argv, "--json"], capture_output=True, text=True, timeout=400, check=False
    )
    assert ended.stdout, ended.stderr[-3000:]
    answer = json.loads(ended.stdout)
    assert answer["verdict"] == "ok", (answer, ended.stderr[-3000:])
    assert ended.returncode == 0
    assert answer["failed"] == 0
    assert answer["wrong"] == 0
    assert answer["requests"] > 300
    if scenario == "release":
        assert [(f["from"], f["to"]) for f in answer["flips"]] == [
            ("1.0.0", "1.1.0"),
            ("1.1.0", "1.0.0"),
            ("1.0.0", "1.1.0"),
            ("1.1.0", "1.2.0"),
        ]
        assert set(answer["by_version"]) == {"1.0.0", "1.1.0", "1.2.0"}
    if scenario == "bad-version":
        assert answer["app_errors"] > 0
