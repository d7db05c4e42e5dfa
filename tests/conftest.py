"""What is heavy, or not steady enough yet to judge every change, is marked `chaos`: `make chaos` runs it, `make test` does not."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
STEADY = {"test_crash_matrix.py", "test_aws_faults.py"}
APART = {"test_by_hand.py", "test_terminal.py", "test_cli.py", "test_bench.py", "test_people.py", "test_service.py"}


def pytest_collection_modifyitems(items):
    for item in items:
        path = Path(item.path)
        heavy = path.parent == HERE / "chaos" and path.name not in STEADY
        doubled = path.name == "test_demo.py" and (
            "postgresql" in item.name or "mariadb" in item.name or ("-elb-" in item.name or "-alb-" in item.name)
        )
        doubled = doubled and item.name not in (
            "test_scenario[release-alb-sqlite]",
            "test_scenario[release-elb-sqlite]",
        )
        if heavy or doubled or path.name in APART or path.name.startswith("test_release_"):
            item.add_marker(pytest.mark.chaos)
