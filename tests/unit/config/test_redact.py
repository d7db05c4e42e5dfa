from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from changeover.config import Redactor

PASSWORD = "p@ss w/ö:rd'\"\\%+x"
URL = f"postgresql://shop:{quote(PASSWORD, safe='')}@db-1/shop?sslmode=require"


def test_all_forms_of_a_url_and_its_password():
    redactor = Redactor()
    redactor.add(URL)
    for text in (
        URL,
        PASSWORD,
        quote(PASSWORD),
        quote_plus(PASSWORD),
        quote(URL, safe=""),
        json.dumps({"url": URL, "password": PASSWORD}),
        repr(PASSWORD),
        f"connection to {URL} failed: password {PASSWORD!r}",
        "ALTER ROLE shop PASSWORD '" + PASSWORD.replace("'", "''") + "'",
    ):
        redacted = redactor.redact(text)
        assert "•••" in redacted
        assert "w/ö" not in redacted
        assert "w%2F" not in redacted


def test_a_password_in_the_query():
    redactor = Redactor()
    redactor.add("postgresql://db-1/shop?user=shop&password=hunt%20er2")
    assert redactor.redact("bad password hunt er2") == "bad password •••"


def test_lines_of_a_key():
    redactor = Redactor()
    redactor.add("-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n")
    assert "kqhkiG9w" not in redactor.redact("line kqhkiG9w0BAQEF is wrong")


def test_the_longer_value_first():
    redactor = Redactor()
    redactor.add("abcd")
    redactor.add("abcdefgh")
    assert redactor.redact("abcdefgh abcd") == "••• •••"


def test_a_very_short_value_does_not_blot_out_everything():
    redactor = Redactor()
    redactor.add("1")
    redactor.add("postgresql://shop:ab@db/shop")
    assert redactor.redact("1 of 2 abalone") == "1 of 2 abalone"
    assert redactor.redact("at postgresql://shop:ab@db/shop") == "at •••"


def test_a_password_of_a_url_that_was_never_added():
    assert Redactor().redact("at postgresql://u:hunter2@db/x") == "at postgresql://u:•••@db/x"


def test_its_repr_shows_nothing():
    redactor = Redactor()
    redactor.add("hunter2")
    assert "hunter2" not in repr(redactor)


@given(st.text(min_size=4), st.text(), st.text())
def test_a_value_is_never_left(value, before, after):
    redactor = Redactor()
    redactor.add(value)
    redacted = redactor.redact(f"{before}{value}{after}")
    assert value not in redacted or value in "•••" * len(redacted)
