from __future__ import annotations

import pytest

from changeover.ui.render import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.44, "0.4 s"), (4, "4 s"), (9.96, "10 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (3600, "60 min"), (7200, "2 h"), (7800, "2 h 10 min"), (86400 * 7, "7 days")],
)  # fmt: skip
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_share_count_size():
    assert words.share(2500) == "25 %"
    assert words.share(2479) == "24.8 %"
    assert words.share(250) == "2.5 %"
    assert words.count(1_204_331) == "1 204 331"
    assert words.many(1, "retry", "retries") == "1 retry"
    assert words.many(2, "retry", "retries") == "2 retries"
    assert words.size(18_200_000_000) == "18.2 GB"
    assert words.size(999) == "999 B"


def test_ago_with_a_clock_that_went_back():
    assert words.ago(100.0, 90.0) == "just now"
    assert words.ago(100.0, 138.0) == "38 s ago"


def test_every_mark_has_a_word():
    assert words.MARKS.keys() == words.PLAIN.keys()
    assert all(value.isascii() for value in words.PLAIN.values())


def test_fold_leaves_no_mark():
    text = "".join(words.MARKS.values()) + "…•–—☐■□├└─│“”’"
    assert words.fold(text).isascii()


def test_control_characters_never_reach_the_terminal():
    assert "\x1b" not in words.clean("\x1b[2Jgone\x07\x9b31m")
    assert "\u202e" not in words.clean("a\u202eb")
    assert words.clean("two\nlines\tand a tab") == "two\nlines\tand a tab"
