from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.config.literals import format_duration, format_percent, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("1.5s", 1.5), ("5m", 300.0), ("24h", 86_400.0), ("7d", 604_800.0), ("0s", 0.0)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", [60, 1.5, "60", "5 m", "-5m", "5min", "1h30m", "", "m", None, True, [], "٣s", "5M", "1e3s"]
)
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match=r"write "):
        parse_duration(value)


def test_a_bare_number_is_asked_for_its_unit():
    with pytest.raises(ValueError, match=r"^60 what\? write 60s$"):
        parse_duration(60)
    with pytest.raises(ValueError, match=r"^25 what\? write 25%$"):
        parse_percent(25)
    with pytest.raises(ValueError, match=r"^0\.01 what\? write 1%, or 0\.01%$"):
        parse_percent(0.01)


@given(st.integers(0, 10**9))
def test_a_duration_reads_back(milliseconds):
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-9)


@given(st.integers(0, 10_000))
def test_a_share_reads_back(points):
    assert parse_percent(format_percent(points)) == points


@pytest.mark.parametrize("value", ["100.01%", "0.005%", "25", "%", "-1%", "25 %", None, True, ()])
def test_what_is_no_percentage(value):
    with pytest.raises(ValueError):
        parse_percent(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.1, "100ms"), (90.0, "90s"), (3600.0, "1h"), (86_400.0, "1d")]
)
def test_format(seconds, text):
    assert format_duration(seconds) == text
