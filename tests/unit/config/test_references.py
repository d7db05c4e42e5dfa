from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.config.references import Reference, Source, literal_secret, mask, mask_at, parts_of, problem_of, shown


def test_parts():
    text = "postgresql://shop:${env:PW}@db-1/${file: /run/x }"
    assert list(parts_of(text)) == [
        "postgresql://shop:",
        Reference(Source.ENV, "PW"),
        "@db-1/",
        Reference(Source.FILE, "/run/x"),
    ]
    assert str(Reference(Source.CMD, "op read x")) == "${cmd:op read x}"


@pytest.mark.parametrize(
    "text", ["", "plain", "$HOME", "${env:A_1}", "${cmd:op read 'op://v/i/f'}", "a${env:A}b${file:x}"]
)
def test_fine(text):
    assert problem_of(text) == ""


@pytest.mark.parametrize(
    "text", ["${HOME}", "${env:}", "${env:A", "${ENV:A}", "${env:1A}", "${env:A-B}", "${}", "${env:A} ${x}"]
)
def test_malformed(text):
    assert problem_of(text)


SECRET = [
    "postgresql://shop:hunter2@db/shop",
    "postgresql://shop:hunter2@db:5432/shop",
    "postgresql://:hunter2@db/shop",
    "postgresql://shop:hun/ter@2@db/shop",
    "postgresql://shop:hun%40ter2@db/shop",
    "postgresql://shop:${env:A}hunter2@db/shop",
    "postgresql://db/shop?user=shop&password=hunter2",
    "host=db password=hunter2 user=shop",
    "host=db password = 'hunter2'",
    "--password=hunter2",
    "--db-password=hunter2",
]
HARMLESS = [
    "postgresql://shop@db/shop",
    "postgresql://shop:${env:PW}@db/shop",
    "postgresql://shop:${cmd:op read op://vault/item}@db/shop",
    "postgresql://db:5432/shop",
    "https://shop.example:8080/@dana",
    "dana@example.com",
    "password=${env:PW}",
    "10.0.0.11:8001",
    "--password-file=/run/x",
]


@pytest.mark.parametrize("text", SECRET)
def test_a_literal_secret_is_found_and_masked(text):
    assert literal_secret(text)
    for shown_text in (mask(text), mask(f'url: "{text}"'), shown(text)):
        assert "hunter2" not in shown_text
        assert "hun/ter" not in shown_text
        assert "hun%40" not in shown_text
        assert "•••" in shown_text


@pytest.mark.parametrize("text", HARMLESS)
def test_a_reference_or_none_is_harmless(text):
    assert not literal_secret(text)
    assert mask(text) == text


@pytest.mark.parametrize("name", ["PGPASSWORD", "SHOP_SECRET", "API_KEY", "GITHUB_TOKEN", "PRIVATE_KEY"])
def test_a_name_tells_a_secret(name):
    assert literal_secret("hunter2", name)
    assert not literal_secret("${env:X}", name)
    assert not literal_secret("true", name)


@pytest.mark.parametrize("name", ["SECRET_FILE", "TOKEN_URL", "KEYBOARD", "PASSWORDLESS", "PATH"])
def test_a_name_that_only_looks_like_one(name):
    assert not literal_secret("hunter2", name)


@pytest.mark.parametrize(
    "line",
    [
        "  password: hunter2",
        "  password: hunter2 # from the vault",
        "{ user: shop, db_password: hunter2 }",
        'token: "hunter2"',
        "url: postgresql: //shop:hunter2@db",
        "url: shop:hunter2@db",
        '"api_key": hunter2',
    ],
)
def test_a_line_is_masked_even_if_it_is_no_yaml(line):
    assert "hunter2" not in mask(line)


def test_the_caret_follows_the_mask():
    line = "a: { url: postgresql://shop:hunter2-long@db/shop, lock: 5 }"
    text, column = mask_at(line, line.index("5"))
    assert text[column] == "5"
    text, column = mask_at(line, line.index("ter2"))
    assert text[column:].startswith("•••")


@given(st.text(st.characters(codec="utf-8"), max_size=80), st.integers(0, 80))
def test_masking_never_fails(text, column):
    masked, moved = mask_at(text, min(column, len(text)))
    assert 0 <= moved <= len(masked)
    assert mask_at(text, 0)[0] == masked
