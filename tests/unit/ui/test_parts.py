"""Small parts of the command line."""

from __future__ import annotations

import io

import pytest
from tests.unit.ui.shell import Latin, Screen

from changeover.core.errors import UsageError
from changeover.ui.cli import options
from changeover.ui.cli.redact import redact
from changeover.ui.cli.terminal import Terminal

WORDS = ("status", "config show", "release")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["-c", "f", "status"], ["status", "-c", "f"]),
        (["-c", "f", "config", "show", "--json"], ["config", "show", "-c", "f", "--json"]),
        (["--json", "-vv", "release", "1.1.0", "--", "x"], ["release", "--json", "-vv", "1.1.0", "--", "x"]),
        (["--config=f", "status"], ["status", "--config=f"]),
        (["--nope", "status"], ["--nope", "status"]),
        (["-c"], ["-c"]),
        ([], []),
    ],
)
def test_options_before_the_command(given, meant):
    assert options.leading_globals(given, WORDS) == meant


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("2d", 172800), (None, None)]
)
def test_durations(text, value):
    assert options.seconds(text, "--timeout") == value


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 minutes", "5m\n5"])
def test_no_durations(text):
    with pytest.raises(UsageError, match="is not a duration"):
        options.seconds(text, "--timeout")


@pytest.mark.parametrize(("text", "points"), [("25%", 2500), ("0.5 %", 50), ("100%", 10_000)])
def test_shares(text, points):
    assert options.share(text, "--until") == points


@pytest.mark.parametrize("text", ["25", "0%", "101%", "%", "-1%", "1e1%"])
def test_no_shares(text):
    with pytest.raises(UsageError, match="is not a share"):
        options.share(text, "--until")


def terminal(**environ):
    return Terminal(Screen("y\n"), Screen(), Screen(), environ)


def test_what_may_be_used():
    cases = [
        ({"TERM": "xterm"}, {}, (True, True, True)),
        ({"TERM": "dumb"}, {}, (False, False, True)),
        ({}, {}, (False, False, True)),
        ({"TERM": "xterm", "NO_COLOR": "1"}, {}, (False, True, True)),
        ({"TERM": "xterm", "NO_COLOR": ""}, {}, (True, True, True)),
        ({"TERM": "xterm"}, {"no_color": True}, (False, True, True)),
        ({"TERM": "xterm"}, {"no_input": True}, (True, True, False)),
        ({"TERM": "xterm"}, {"quiet": True}, (True, False, True)),
    ]
    for environ, flags, wanted in cases:
        one = terminal(**environ)
        one.fit(**{"no_color": False, "no_input": False, "quiet": False, **flags})
        assert (one.colour, one.live, one.interactive) == wanted, (environ, flags)


def test_the_view_is_redrawn_in_its_place_and_erased_before_a_line():
    one = terminal(TERM="xterm", NO_COLOR="1")
    one.fit(no_color=False, no_input=False, quiet=False)
    one.draw([("first", ""), ("x" * 500, "")])
    one.draw([("second", "failed")])
    one.say("a line")
    text = one.stderr.getvalue()
    assert "\x1b[2A\r\x1b[Jsecond\n\x1b[1A\r\x1b[Ja line\n" in text
    assert max(map(len, text.splitlines())) < one.width() + 10


def test_a_question_is_asked_again_until_it_is_answered():
    one = Terminal(Screen("perhaps\nYES\n"), Screen(), Screen(), {"TERM": "dumb"})
    one.fit(no_color=False, no_input=False, quiet=True)
    assert one.ask("Sure?", default=False) is True
    assert one.stderr.getvalue() == "Sure? [y/N] Sure? [y/N] "


def test_the_end_of_the_input_is_no_answer():
    one = Terminal(Screen(""), Screen(), Screen(), {"TERM": "dumb"})
    one.fit(no_color=False, no_input=False, quiet=False)
    with pytest.raises(UsageError):
        one.ask("Sure?", default=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_no_output_fails_for_its_signs(encoding):
    one = Terminal(io.StringIO(), Latin(encoding), Latin(encoding), {})
    one.answer("✔ → ┄ 漢字 “x” ☐")
    assert one.stdout.getvalue().startswith("ok -> - ")


def test_redact(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "tr0ub4dor&3")
    config = tmp_path / "changeover.yml"
    config.write_text("x: ${env:A_SECRET}\n")
    text = "tr0ub4dor&3 tr0ub4dor%263 postgresql://u:pa@ss@h/d password=abc Password: 'x y' pwd=1; ok"
    found = redact(text, config)
    for secret in ("tr0ub4dor", "pa@ss", "abc", "x y"):
        assert secret not in found
    assert found.endswith("; ok")
