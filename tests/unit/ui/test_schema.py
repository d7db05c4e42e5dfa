"""schema owed, drift, split, undo, format: what people and programs read."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace

import pytest
from tests.fixtures.memory_site import DECLARED, Stage, door_to, stage
from tests.unit.ui.shell import Shell

from changeover.core.model import Version


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What 1.1.0 adds is there, and nothing of it ever ran."""
    st = stage(tmp_path_factory.mktemp("given-up"), changes=DECLARED)
    st.world.broken.add(Version("1.0.0"))
    st.release("1.1.0")
    st.world.broken.clear()
    return st


@pytest.fixture
def given_up(prepared, tmp_path):
    """A copy of it, with its state store."""
    for file in prepared.door.site.store.parent.glob("state.db*"):
        shutil.copy(file, tmp_path)
    return Shell(door_to(copy.deepcopy(prepared.world), tmp_path, changes=DECLARED), tmp_path)


def test_owed(given_up):
    said = given_up("schema", "owed")
    assert said.code == 0
    assert said.out.startswith("added for v1.1.0, which does not serve   since ")
    assert "  + column t.new_a\n" in said.out
    assert "ends by changeover plan 1.1.0    or    changeover schema undo 1.1.0" in said.out
    found = given_up("schema", "owed", "--json").json
    assert found["format"] == "changeover.owed/1"
    assert {o["debt"] for o in found["owed"]} == {"added"}
    assert found["owed"][0]["since"].endswith("Z")


def test_undo_as_a_command_and_as_a_saved_plan(given_up, tmp_path):
    saved = given_up("schema", "undo", "1.1.0", "--out", str(tmp_path / "undo.plan"))
    assert saved.code == 0
    assert "undo of v1.1.0 while v1.0.0 serves" in saved.out
    refused = given_up("release", str(tmp_path / "undo.plan"))
    assert refused.code == 5
    assert "changeover schema undo --plan FILE" in refused.err
    assert given_up("runbook", str(tmp_path / "undo.plan")).code == 0
    done = given_up("schema", "undo", "--plan", str(tmp_path / "undo.plan"))
    assert done.code == 0, done.err
    assert given_up("schema", "owed").out == "Nothing is owed.\n"
    again = given_up("schema", "undo", "1.1.0")
    assert (again.code, "nothing was added" in again.err) == (again.code, True)
    assert again.code != 0


def test_undo_wants_one_of_two(given_up, tmp_path):
    assert given_up("schema", "undo").code == 2
    assert given_up("schema", "undo", "1.1.0", "--plan", "x").code == 2
    assert given_up("schema", "undo", "--plan", "x", "--out", "y").code == 2


def test_undo_is_asked_in_production(given_up):
    st = given_up.stage
    site = replace(st.door.site, environment="production")
    produce = Shell(Stage(st.world, replace(st.door, site=site)), given_up.folder)
    st.world.claimed = None
    assert produce("schema", "undo", "1.1.0").code == 2
    assert produce("schema", "undo", "1.1.0", types="n\n").code == 1
    assert ("column", "t", "new_a") in st.world.objects


def test_drift_ends_3(given_up):
    calm = given_up("schema", "drift")
    assert (calm.code, "nothing has drifted" in calm.out) == (0, True)
    given_up.world.objects.discard(("column", "t", "new_a"))
    found = given_up("schema", "drift")
    assert found.code == 3
    assert "column t.new_a was added, and is not there so" in found.out
    as_json = given_up("schema", "drift", "--json")
    assert as_json.code == 3
    assert as_json.json["deviations"][0]["kind"] == "object"


def test_split(given_up, tmp_path, monkeypatch):
    object.__setattr__(given_up.door.site.ports.database, "dialect", "postgresql")
    file = tmp_path / "m.sql"
    file.write_text("ALTER TABLE t ADD COLUMN a text; DROP TABLE gone;")
    said = given_up("schema", "split", str(file))
    assert said.code == 0
    assert "# VERSION.yml" in said.out
    assert "drop_table: { table: gone }" in said.out
    out = tmp_path / "out"
    assert given_up("schema", "split", str(file), "--out", str(out)).code == 2
    out.mkdir()
    assert given_up("schema", "split", str(file), "--out", str(out), "--version", "v2.0").code == 0
    assert (out / "2.0.yml").exists()
    assert given_up("schema", "split", str(file), "--out", str(out), "--version", "2.0").code == 2
    file.write_text("TRUNCATE t;")
    refused = given_up("schema", "split", str(file), "--json")
    assert refused.code == 5
    assert refused.json["code"] == "CO-0104"


def test_format(given_up):
    assert given_up("schema", "format").json["title"] == "VERSION.yml"
