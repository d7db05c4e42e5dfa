"""The exact commands that people get, and the environment of an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.core.model import Slot, Version
from changeover.drivers.runtimes import process_by_hand
from changeover.drivers.runtimes.process_settings import ProcessSettings
from changeover.drivers.runtimes.proof import Checks

SLOT = Slot("blue", 1, "127.0.0.1", 8001)
V = Version("1.1.0")
SETTINGS = ProcessSettings(
    app="shop",
    pools={"blue": (SLOT,)},
    command=("python", "-m", "shop", "--name", "it's", "--port", "{port}"),
    directory=Path("/srv/my shop"),
    logs=Path("/srv/logs"),
    state=Path("/srv/state"),
    env={"DATABASE_URL": "postgresql://shop:${env:SHOP_PW}@db/shop", "PORT": "{port}", "HOME": "/srv"},
    resolve=lambda text: text.replace("${env:SHOP_PW}", "s3cret"),
)


RUNS = "grep -qszxF CHANGEOVER_SLOT=shop/blue-1@8001 /proc/[0-9]*/environ"
START = (
    f"if ! {RUNS}; then setsid nohup env -C '/srv/my shop' -i "
    'PATH="$PATH" USER="$USER" LOGNAME="$LOGNAME" LANG="$LANG" '
    'DATABASE_URL=postgresql://shop:"${SHOP_PW:?}"@db/shop PORT=8001 HOME=/srv '
    "CHANGEOVER_SLOT=shop/blue-1@8001 CHANGEOVER_VERSION=1.1.0 CHANGEOVER_BUILD='b 1' "
    "python -m shop --name 'it'\"'\"'s' --port 8001 </dev/null >>/srv/logs/blue-1.log 2>&1 & fi"
)


def test_start() -> None:
    assert process_by_hand.start(SETTINGS, SLOT, V, "b 1") == ("mkdir -p /srv/logs", START)


def test_stop() -> None:
    asked, gone = process_by_hand.stop(SETTINGS, SLOT)
    search = "grep -lszxF CHANGEOVER_SLOT=shop/blue-1@8001 /proc/[0-9]*/environ"
    assert asked == f"{search} | cut -d/ -f3 | xargs -r kill || true"
    assert gone.startswith(f"(for try in $(seq 30); do ! {RUNS} && exit; sleep 1; done; echo 'STOP: blue-1 runs on")
    assert "kill -9" not in gone


def test_ready() -> None:
    (line,) = process_by_hand.ready(Checks("/ready", "/version?a=1&b=2"), SLOT, V, "b.1", 60)
    assert line.startswith("(for try in $(seq 60); do curl -sS -m 5 -o /dev/null -w ")
    assert " http://127.0.0.1:8001/ready | grep -qx 200 && " in line
    assert " 'http://127.0.0.1:8001/version?a=1&b=2' | tr -d '\\n'" in line
    assert """grep -E '"version" *: *"v?1\\.1\\.0"'""" in line
    assert """grep -E '"build" *: *"?b\\.1"? *[,}]' && exit""" in line


def test_an_instance_gets_five_variables_its_own_and_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "HOME", "USER", "LOGNAME", "LANG"):
        monkeypatch.setenv(name, f"my {name}")
    monkeypatch.setenv("ADMIN_PASSWORD", "of the pipeline")
    assert SETTINGS.environment(SLOT, V, "b1") == {
        "PATH": "my PATH",
        "HOME": "/srv",
        "USER": "my USER",
        "LOGNAME": "my LOGNAME",
        "LANG": "my LANG",
        "DATABASE_URL": "postgresql://shop:s3cret@db/shop",
        "PORT": "8001",
        "CHANGEOVER_SLOT": "shop/blue-1@8001",
        "CHANGEOVER_VERSION": "1.1.0",
        "CHANGEOVER_BUILD": "b1",
    }


def test_a_reference_that_a_value_brings_is_not_a_placeholder() -> None:
    assert SETTINGS.variables(SLOT, V, "b1")["DATABASE_URL"] == "postgresql://shop:${env:SHOP_PW}@db/shop"
