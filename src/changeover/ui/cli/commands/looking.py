# ruff: noqa: ARG001, D417 - every command declares the common options; cyclopts reads the docstrings
"""status, watch, history, log, lock: what a person may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from changeover.core.errors import Exit, RunUnknown
from changeover.core.states import EXITS, State
from changeover.ui.cli import watching
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.session import Session, asked, plan_of
from changeover.ui.render import documents, lists
from changeover.ui.render import status as _status
from changeover.ui.render.events import TROUBLE

if TYPE_CHECKING:
    from changeover.service.door import Changeover
    from changeover.service.status import Status


def status(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """Where it stands now: asked and observed side by side, the way back, what is owed.

    Exit 0: nothing is under way; 4: a run is under way or waits for a person; 7: a person must look.
    """
    door = session.door()
    found = door.status()
    alive = is_advanced(door, found)
    route = asked(door, found.world)
    exit_ = status_exit(found, alive=alive)
    document = documents.status(found, route, alive=alive, exit_=int(exit_))
    session.answer(_status.text(found, route, alive=alive), document)
    return exit_


def is_advanced(door: Changeover, found: Status) -> bool:
    """Whether a living process holds the environment of the run that is under way."""
    holder = door.holder() if found.run is not None else None
    return holder is not None and holder.alive


def status_exit(found: Status, *, alive: bool) -> Exit:
    """0: idle and known; 4: under way; 7: unknown, held, a share that no run explains, a way back that nobody advances."""
    route = found.world.route.route
    if route is None:
        return Exit.UNKNOWN
    if found.run is None:
        return Exit.UNKNOWN if route.share_of(route.candidate, found.at) and route.share else Exit.DONE
    state = State(found.state)
    if state is State.GOING_BACK and alive:
        return Exit.WAITING
    return EXITS[state]


def watch(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """Follow the run that is under way: a live view on a terminal, lines elsewhere. Read-only; q leaves it.

    Ends with the run, and with its exit code.
    """
    return watching.watch(session)


def history(
    *,
    limit: int = 20,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """The runs of this environment, the newest first.

    Parameters
    ----------
    limit
        How many at the most.

    """
    door = session.door()
    runs = door.history(limit=limit) if door.site.store.exists() else ()
    document = {**documents.head("history", session.now()), "runs": [documents.run(r) for r in runs]}
    session.answer(lists.history(runs, [plan_of(door, r.id) for r in runs]), document)
    return Exit.DONE


def log(
    run: str | None = None,
    /,
    *,
    failed: Annotated[bool, Flag] = False,
    json_lines: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """What happened in a run.

    Parameters
    ----------
    run
        The run; the newest one if it is left out.
    failed
        Only what went wrong.
    json_lines
        One event per line, as JSON.

    """
    door = session.door()
    if run is None:
        newest = door.history(limit=1) if door.site.store.exists() else ()
        if not newest:
            raise RunUnknown("nothing was ever run here", next=("changeover plan VERSION",))
        run = newest[0].id
    events = [e for e in door.events(run) if not failed or e.kind in TROUBLE]
    terminal = session.terminal
    if json_lines:
        terminal.answer("".join(documents.line(documents.event(e), utf8=terminal.utf8) for e in events) or "")
        return Exit.DONE
    document = {**documents.head("log", session.now()), "run": run, "events": [documents.event(e) for e in events]}
    text = lists.log(events, plan_of(door, run), failed=failed, verbose=bool(common.verbose), utf8=terminal.utf8)
    session.answer(text, document)
    return Exit.DONE


def lock(
    *,
    adopt: Annotated[bool, Flag] = False,
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Who may act on the environment.

    Parameters
    ----------
    adopt
        Make this state store the one of the environment: only when the other store is gone for good.
    yes
        Do not ask.

    """
    door = session.door()
    if adopt:
        name = session.name
        if not session.confirm(f"Let this state store act on {name} instead of the one that claims it?", yes=yes):
            session.terminal.tell("Nothing was changed.")
            return Exit.FAILED
        before = door.adopt()
        document = {
            **documents.head("lock", session.now()),
            "environment": door.site.environment,
            "adopted_from": before,
        }
        session.answer(
            f"{door.site.environment} is held by this state store now. It was claimed by {before}.", document
        )
        return Exit.DONE
    holder = door.holder() if door.site.store.exists() else None
    document = documents.holder(holder, door.site.environment, session.now())
    session.answer(lists.lock(holder, door.site.environment, session.now()), document)
    return Exit.DONE
