from __future__ import annotations

import os
from pathlib import Path

import pytest

from changeover.config import load
from changeover.core.errors import ConfigurationError, ConfigurationMissing, UsageError

GOOD = (Path(__file__).parents[2] / "specimens" / "config" / "good-envoy.yml").read_text()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "changeover.yml"
    path.write_text(GOOD)
    return path


def write_overlay(file, environment, text):
    file.with_name(f"changeover.{environment}.yml").write_text(text)


def test_missing(tmp_path):
    with pytest.raises(ConfigurationMissing) as caught:
        load(tmp_path / "changeover.yml")
    assert "changeover init" in caught.value.next[0]


def test_missing_with_the_other_ending(file):
    file.rename(file.with_suffix(".yaml"))
    with pytest.raises(ConfigurationMissing) as caught:
        load(file)
    assert "changeover.yaml" in caught.value.next[0]


def test_directory(tmp_path):
    with pytest.raises(ConfigurationMissing, match="is a directory"):
        load(tmp_path)


def test_below_a_file(file):
    with pytest.raises(ConfigurationMissing, match="cannot be read: Not a directory"):
        load(file / "changeover.yml")


def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "changeover.yml")
    with pytest.raises(ConfigurationMissing, match="not a regular file"):
        load(tmp_path / "changeover.yml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(file):
    file.chmod(0)
    with pytest.raises(ConfigurationMissing, match="cannot be read: Permission denied"):
        load(file)


def test_path_with_a_nul():
    with pytest.raises(ConfigurationMissing):
        load("a\0b")


def test_too_large(file):
    file.write_text("#" * 300_000)
    with pytest.raises(ConfigurationError, match="the most is 256 KiB"):
        load(file)


def test_a_long_value(file):
    file.write_text(GOOD + f"people: {{ dba: [{'x' * 5000}] }}\n")
    with pytest.raises(ConfigurationError, match="longer than 4096 characters"):
        load(file)


def test_alias_bomb_is_refused_before_it_grows(file):
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    file.write_text("a0: &a0 [x]\n" + levels)
    with pytest.raises(ConfigurationError, match="aliases are not supported") as caught:
        load(file)
    assert "and 61 more" in caught.value.what or len(caught.value.where) == 50


def test_byte_order_mark_and_windows_line_ends(file):
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(file).app == "shop"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").replace("app: shop", "app: 7").encode())
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert (caught.value.where[0].line, caught.value.where[0].column, caught.value.where[0].text) == (1, 6, "app: 7")


def test_overlay_is_used_however_the_environment_is_named(file):
    write_overlay(file, "demo", "release: { bake: 7s }\n")
    assert load(file).release.bake == load(file, "demo").release.bake == 7.0
    assert load(file).digest == load(file, "demo").digest


def test_overlay_of_another_environment(file):
    write_overlay(file, "production", "release: { bake: 7s }\n")
    assert load(file).release.bake == 600.0
    settings = load(file, "production")
    assert (settings.environment, settings.release.bake) == ("production", 7.0)
    assert settings.origin.overlay == file.with_name("changeover.production.yml")


def test_another_environment_without_its_overlay_is_refused(file):
    with pytest.raises(ConfigurationMissing, match="is for the environment demo") as caught:
        load(file, "production")
    assert any("changeover.production.yml" in line for line in caught.value.next)


def test_environment_named_on_the_command_line_only(file):
    file.write_text(GOOD.replace("environment: demo\n", ""))
    with pytest.raises(ConfigurationError, match="environment: is missing"):
        load(file)
    assert load(file, "production").environment == "production"


@pytest.mark.parametrize("name", ["../../etc/x", "", " ", "a b", "x" * 64, "-e", "a.b"])
def test_environment_that_is_no_name(file, name):
    with pytest.raises(UsageError):
        load(file, name)


def test_overlay_lists_replace_and_maps_merge(file):
    write_overlay(file, "demo", "instances:\n  pools: { blue: [1, 2] }\nrelease: { shift: [50%, 100%] }\n")
    settings = load(file)
    assert settings.instances.pools == {"blue": (1, 2), "green": (8002,)}
    assert settings.release.shift == (5000, 10_000)


def test_overlay_that_is_broken_or_empty(file):
    write_overlay(file, "demo", "release: {\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert caught.value.where[0].file.endswith("changeover.demo.yml")
    write_overlay(file, "demo", "")
    with pytest.raises(ConfigurationError, match="empty"):
        load(file)


def test_broken_in_both_files_is_told_at_once(file):
    file.write_text(GOOD + "window: x\n")
    write_overlay(file, "demo", "release: { bake: 60 }\n")
    with pytest.raises(ConfigurationError, match="2 problems") as caught:
        load(file)
    assert [Path(where.file).name for where in caught.value.where] == ["changeover.yml", "changeover.demo.yml"]


def test_paths_start_in_the_directory_of_the_file(file, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(Path("..") / "changeover.yml")
    base = tmp_path / "elsewhere" / ".."
    assert settings.state == base / ".changeover/state.db"
    assert settings.instances.logs == base / ".changeover/logs"
    assert settings.instances.directory == base
    assert settings.balancers[0].routes == base / "run/live.json"
    assert settings.database.changes.path == base / "db/changes"
    assert settings.database.url == f"sqlite:///{base}/.changeover/demo.db"


def test_no_secret_is_resolved(file, monkeypatch):
    monkeypatch.delenv("SHOP_DATABASE_URL", raising=False)
    file.write_text(GOOD.replace('"sqlite:///.changeover/demo.db"', '"${env:SHOP_DATABASE_URL}"'))
    assert load(file).database.url == "${env:SHOP_DATABASE_URL}"


def test_a_very_long_line_is_not_shown(file):
    file.write_text(GOOD + "people: { dba: [" + "dana, " * 1000 + "7] }\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert max(map(len, caught.value.what.splitlines())) < 200


def test_wide_characters_keep_the_caret_in_place(file):
    file.write_text(GOOD + "smoke: [{ get: /, contains: 商店, oops: 1 }]\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    line, caret = caught.value.what.splitlines()[-2:]
    assert caret.index("^") == line.index("oops") + 2
