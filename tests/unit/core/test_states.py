"""The states of a run are one table: every state can be reached, ended states stay ended, each has an exit code."""

from __future__ import annotations

import pytest

from changeover.core.errors import Exit
from changeover.core.states import ENDED, EXITS, MOVES, Event, State, move


def test_every_state_is_reached_from_running():
    reached, queue = {State.RUNNING}, [State.RUNNING]
    while queue:
        here = queue.pop()
        for (state, _), to in MOVES.items():
            if state is here and to not in reached:
                reached.add(to)
                queue.append(to)
    assert reached == set(State)


def test_every_event_moves_something():
    assert {event for _, event in MOVES} == set(Event)


@pytest.mark.parametrize("state", State)
def test_an_ended_run_stays_ended_and_an_open_one_can_end(state):
    moves = {to for (start, _), to in MOVES.items() if start is state}
    assert bool(moves) is (state not in ENDED)
    reached, queue = {state}, [state]
    while queue:
        here = queue.pop()
        fresh = {to for (start, _), to in MOVES.items() if start is here} - reached
        reached |= fresh
        queue += fresh
    assert reached & ENDED


@pytest.mark.parametrize("state", State)
def test_every_state_has_an_exit_code_and_only_done_is_zero(state):
    assert (EXITS[state] is Exit.DONE) is (state is State.DONE)


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
def test_a_person_can_always_take_the_old_version_back(state):
    assert move(state, Event.PREEMPT) is State.PREEMPTED


def test_a_move_that_the_table_lacks_is_a_bug():
    with pytest.raises(ValueError, match="done cannot go"):
        move(State.DONE, Event.GO)
    assert move(State.RUNNING, Event.WAIT) is State.WAITING
