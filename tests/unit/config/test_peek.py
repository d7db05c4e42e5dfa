from __future__ import annotations

from pathlib import Path

import pytest

from changeover.config import load, peek

SPECIMENS = Path(__file__).parents[2] / "specimens" / "config"
TOP = "app: shop\nenvironment: demo\n"


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("good-haproxy", None),
        ("good-command", None),
        ("good-envoy", None),
        ("good-overlay", "production"),
        ("good-envoy", "demo"),
    ],
)
def test_agrees_with_load(name, environment):
    file = SPECIMENS / f"{name}.yml"
    settings, found = load(file, environment), peek(file, environment)
    assert found is not None
    assert (found.app, found.environment, found.state) == (settings.app, settings.environment, settings.state)


def peeked(tmp_path, text, environment=None):
    file = tmp_path / "changeover.yml"
    file.write_text(text)
    return peek(file, environment)


@pytest.mark.parametrize(
    "line",
    ["state: /var/lib/x.db", "state: '/var/lib/x.db' # here", 'state:   "/var/lib/x.db"', "state: /var/lib/x.db\r"],
)
def test_state(tmp_path, line):
    assert peeked(tmp_path, TOP + line + "\n").state == Path("/var/lib/x.db")


def test_works_while_another_part_is_broken(tmp_path):
    found = peeked(tmp_path, TOP + "release:\n  bake: soon\nunknown: [1, 2]\n")
    assert (found.app, found.state) == ("shop", tmp_path / ".changeover/state.db")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app: shop\n",
        "environment: demo\n",
        TOP + "state: [x]\n",
        TOP + "state: |\n  x\n",
        TOP + "state:\n",
        TOP + "state: 1.10\n",
        TOP + "state: true\n",
        TOP + "state: &a x\n",
        TOP + "state: ${env:STATE}\n",
        TOP + "app: other\n",
        TOP + "people: { a: [x,\nstate: y] }\n",
        TOP + 'smoke: "x\nstate: y\n"\n',
        TOP + "? state\n: y\n",
        TOP + "---\nstate: y\n",
        "{ app: shop, environment: demo }\n",
        "app: de mo\nenvironment: demo\n",
        TOP + "'state': x\n",
        TOP + "don't\n",
    ],
)
def test_says_nothing_when_it_is_not_sure(tmp_path, text):
    assert peeked(tmp_path, text) is None


def test_environment(tmp_path):
    assert peeked(tmp_path, TOP, "production") is None
    (tmp_path / "changeover.production.yml").write_text("state: p.db\n")
    assert peeked(tmp_path, TOP, "production").state == tmp_path / "p.db"
    assert peeked(tmp_path, TOP).environment == "demo"
    (tmp_path / "changeover.production.yml").write_text("environment: staging\n")
    assert peeked(tmp_path, TOP, "production") is None
    assert peeked(tmp_path, TOP, "../x") is None


def test_never_raises(tmp_path):
    assert peek(tmp_path) is None
    assert peek(tmp_path / "nowhere.yml") is None
    assert peek("a\0b") is None
    (tmp_path / "changeover.yml").write_bytes(b"app: \xff\n")
    assert peek(tmp_path / "changeover.yml") is None
