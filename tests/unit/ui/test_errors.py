from __future__ import annotations

import json

import pytest
from tests.fixtures.golden import same
from tests.unit.ui.shell import BAD_CONFIGURATION

from changeover.core.errors import Exit, NoWayBack, StatementFailed, Where, WouldBreak, catalogue
from changeover.ui.render import errors

BREAKS = WouldBreak(
    "this change would break v1.0.0, which you may need to take back",
    next=("now: add customers.phone_e164", "later: drop customers.phone"),
    where=(
        Where("db/changes/1.1.0.expand.sql", 14, 3, "  ALTER TABLE customers DROP COLUMN phone"),
        Where("b.sql", 2, 0, "DROP TABLE x"),
    ),
)


def test_text():
    same("error.would-break.txt", errors.text(BREAKS))
    same("error.configuration.txt", errors.text(BAD_CONFIGURATION))
    gone = NoWayBack(
        "v1.0.0 cannot come back: schema 43 has no customers.phone", now="v1.2.0 serves everything.", next=()
    )
    same("error.no-way-back.txt", errors.text(gone))


def test_the_three_things_are_always_said():
    for kind in catalogue().values():
        text = errors.text(kind("what happened", now="what is now", next=("what next",)))
        assert "what happened" in text
        assert "what is now" in text
        assert "Next:  what next" in text
        assert kind.code in text.splitlines()[0]


def test_document():
    found = errors.document(BREAKS, 0.0)
    assert json.loads(json.dumps(found)) == found
    assert found["format"] == "changeover.error/1"
    assert list(found) == ["format", "at", "code", "exit", "title", "what", "now", "next", "where"]
    assert found["where"][0] == {"file": "db/changes/1.1.0.expand.sql", "line": 14, "col": 3}
    assert errors.document(StatementFailed("x"), 0.0, Exit.UNKNOWN)["exit"] == 7


def test_github():
    same("error.github.txt", errors.github(BREAKS) + errors.github(BAD_CONFIGURATION))


@pytest.mark.parametrize("bad", ["a\nb::error::c", "50%", "x,y:z"])
def test_github_commands_cannot_be_forged(bad):
    lines = errors.github(WouldBreak(bad, where=(Where(bad, 1),))).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=")


def test_control_characters_are_shown_not_sent():
    text = errors.text(WouldBreak("\x1b[31mred", now="\x07", next=("\x1b]0;title",), where=(Where("f", 1, 1, "\x1b"),)))
    assert "\x1b" not in text
    assert "\x07" not in text
