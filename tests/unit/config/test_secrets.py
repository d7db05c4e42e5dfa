from __future__ import annotations

import copy
import pickle

import pytest

from changeover.config import Redactor, Resolver, Secret
from changeover.core.errors import SecretUnresolved


@pytest.fixture
def resolver(tmp_path):
    return Resolver(tmp_path, Redactor(), {"PW": "hunter2", "EMPTY": "", "BLANK": "  \n"})


def test_environment(resolver):
    secret = resolver.resolve("postgresql://shop:${env:PW}@db/shop")
    assert secret.reveal() == "postgresql://shop:hunter2@db/shop"
    assert resolver.redactor.redact("hunter2 x") == "••• x"
    assert resolver.redactor.redact(f"<{secret.reveal()}>") == "<•••>"


def test_text_without_a_reference_is_not_redacted(resolver):
    assert resolver.resolve("sqlite:///shop.db").reveal() == "sqlite:///shop.db"
    assert resolver.redactor.redact("sqlite:///shop.db") == "sqlite:///shop.db"


def test_file_is_stripped_and_starts_in_the_directory(resolver, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    assert resolver.resolve("${file:secret}").reveal() == "hunter2"
    assert resolver.resolve(f"${{file:{tmp_path}/secret}}").reveal() == "hunter2"


def test_a_value_is_not_resolved_again(tmp_path):
    resolver = Resolver(tmp_path, Redactor(), {"A": "${env:B}", "B": "hunter2"})
    assert resolver.resolve("${env:A}").reveal() == "${env:B}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${env:NOWHERE}", "NOWHERE is not set"),
        ("${env:EMPTY}", "EMPTY is empty"),
        ("${env:BLANK}", "BLANK is empty"),
        ("${file:nowhere}", "is not there"),
        ("${file:.}", "not a file"),
        ("${file:hollow}", "it gives nothing"),
        ("${file:latin}", "not UTF-8"),
        ("${file:huge}", "more than 64 KiB"),
        ("${cmd:echo 'x}", "quotes do not fit"),
        ("${PW}", "write ${env:PW}"),
    ],
)
def test_unresolved(resolver, tmp_path, text, says):
    (tmp_path / "hollow").write_text(" \n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    with pytest.raises(SecretUnresolved) as caught:
        resolver.resolve(f"hunter2{text}")
    assert says in caught.value.what
    assert caught.value.next
    assert caught.value.code == "CO-0012"
    assert "hunter2" not in str(caught.value)


def test_a_secret_shows_itself_nowhere(resolver):
    secret = resolver.resolve("${env:PW}")
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        "".join([f"{secret:}"]),
        repr([secret]),
        repr(resolver),
    ):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert secret == Secret("hunter2")
