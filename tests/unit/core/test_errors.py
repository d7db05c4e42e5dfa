"""Every error is a small runbook: an id, a page, a title."""

from __future__ import annotations

import re

import pytest
from tests.fixtures.each import each

from changeover.core import errors
from changeover.core.errors import NOTHING_CHANGED, ChangeoverError, Exit, Where, catalogue

ALL = catalogue()


def test_the_ids_are_unique_and_in_order():
    own = [k for k in ALL.values() if k.__module__ == errors.__name__]
    assert list(ALL) == sorted(ALL)
    assert len({k.code for k in own}) == len(own) > 40


def test_every_error_has_an_id_a_title_an_exit_code_and_a_page():
    def judge(kind: type[ChangeoverError]) -> None:
        assert re.fullmatch(r"CO-0[0-48]\d\d", kind.code)
        assert "code" in kind.__dict__
        assert "title" in kind.__dict__
        assert kind.__doc__
        assert kind.__doc__ != ChangeoverError.__doc__
        assert len(kind.__doc__.split()) > 5
        assert kind.exit in set(Exit) - {Exit.DONE}

    each(ALL.values(), lambda kind: kind.code, judge)


def test_an_error_says_what_happened_what_is_now_and_what_to_do():
    error = errors.RouteDrift("the route moved", next=("look",), where=(Where("f.sql", 3),))
    assert str(error) == error.what == "the route moved"
    assert error.now == NOTHING_CHANGED
    assert (error.next, error.where[0].line) == (("look",), 3)


def test_two_errors_with_one_id_are_a_bug():
    class Again(ChangeoverError):
        """The same id a second time."""

        code = "CO-0204"

    try:
        with pytest.raises(AssertionError, match="CO-0204"):
            catalogue()
    finally:
        Again.code = "CO-0999"
