"""Every specimen of changeover.yml is answered exactly as the text beside it says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.fixtures.each import each

from changeover.config import load
from changeover.core.errors import ConfigurationError, Exit

SPECIMENS = Path(__file__).parents[2] / "specimens" / "config"
NAMES = sorted(path.stem for path in SPECIMENS.glob("*.txt"))


def expected(name: str) -> tuple[str, str | None, str]:
    """(file, environment, answer) of a specimen."""
    command, _, answer = (SPECIMENS / f"{name}.txt").read_text().partition("\n")
    words = shlex.split(command)
    environment = words[words.index("-e") + 1] if "-e" in words else None
    return words[words.index("-c") + 1], environment, answer.rstrip("\n")


@pytest.mark.parametrize("name", NAMES)
def test_answer(name, monkeypatch):
    monkeypatch.chdir(SPECIMENS)
    file, environment, answer = expected(name)
    try:
        load(file, environment)
        found = "ok"
    except ConfigurationError as error:
        assert error.code == "CO-0010"
        assert error.exit is Exit.USAGE
        assert error.now == "Nothing was changed."
        assert error.next
        assert all(where.file and where.line and where.column for where in error.where)
        found = error.what
    assert found == answer


def test_every_file_has_its_answer():
    files = {path.name for path in SPECIMENS.glob("*.yml")}
    answered = {expected(name)[0] for name in NAMES}
    overlays = {name for name in files - answered if name.count(".") == 2}
    assert files - answered - overlays == set()
    assert {f"{name.partition('.')[0]}.yml" for name in overlays} <= answered


def test_no_secret_is_shown():
    def judge(name: str) -> None:
        text = (SPECIMENS / f"{name}.txt").read_text()
        assert not any(secret in text for secret in ("hunter2", "hunt/er", "12345678"))

    each(NAMES, str, judge)


def test_the_caret_stands_below_its_column():
    def judge(name: str) -> None:
        lines = (SPECIMENS / f"{name}.txt").read_text().splitlines()
        for number, line in enumerate(lines):
            if line.strip() == "^":
                column = len(line) - 1
                assert column <= len(lines[number - 1])

    each(NAMES, str, judge)
