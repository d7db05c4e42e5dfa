"""Placeholders filled in, and the same commands as words of a shell line."""

from __future__ import annotations

import pytest

from changeover.core.errors import ConfigurationError
from changeover.core.model import Slot, Version
from changeover.drivers import argv

SLOT = Slot("blue", 2, "127.0.0.1", 8002)
VALUES = argv.values_of(SLOT, Version("1.1.0"), "b7")


def test_every_placeholder_has_its_value() -> None:
    template = ("run", "--v={version}", "{build}", "{pool}-{number}", "{host}:{port}")
    assert argv.fill(template, VALUES) == ("run", "--v=1.1.0", "b7", "blue-2", "127.0.0.1:8002")


@pytest.mark.parametrize("word", ['{"a": 1}', "{}", "{unknown}", "$" + "{HOME}", "{ port }", "{0}"])
def test_other_braces_are_left_alone(word: str) -> None:
    assert argv.fill((word,), VALUES) == (word,)


def test_a_value_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    assert argv.fill(("{build}",), {**VALUES, "build": "{port}"}) == ("{port}",)


def test_a_placeholder_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\{version\} cannot stand"):
        argv.fill(("stop", "{version}"), argv.values_of(SLOT))


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        argv.fill((), VALUES)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("plain", "plain"),
        ("", "''"),
        ("two words; rm", "'two words; rm'"),
        ("${env:PW}", '"${PW:?}"'),
        ("postgresql://shop:${env:PW}@db/shop", 'postgresql://shop:"${PW:?}"@db/shop'),
        ("${env:A}${env:B}", '"${A:?}""${B:?}"'),
        ("it's ${env:A}", "'it'\"'\"'s '\"${A:?}\""),
        ("${file:/run/a b}", "\"$(cat '/run/a b')\""),
        ("${cmd:op read op://v/i/f}", '"$(op read op://v/i/f)"'),
        ("${env:A;rm -rf}", "'${env:A;rm -rf}'"),
    ],
)
def test_a_shell_word_holds_references_and_no_secret(text: str, word: str) -> None:
    assert argv.shell_value(text) == word
