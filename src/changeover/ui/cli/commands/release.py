# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""release, resume, worker: what drives a run forward."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from changeover.core.errors import ChangeoverError, EnvironmentHeld, Exit, PolicyMissing, UsageError
from changeover.core.states import State
from changeover.core.steps import Bake, Plan, Shift
from changeover.ui.cli import planfile, watching
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected, share
from changeover.ui.cli.outcome import FORWARD, conclude
from changeover.ui.cli.session import Session, plan_of
from changeover.ui.cli.teller import Teller
from changeover.ui.cli.travel import Left, travel
from changeover.ui.render import plan as _plan
from changeover.ui.render import words

if TYPE_CHECKING:
    from changeover.service.door import Changeover

STUCK = frozenset({State.HELD, State.UNKNOWN, State.BLOCKED})
WAITS = frozenset({State.WAITING, State.PAUSED})


def release(
    what: str,
    /,
    *,
    yes: Annotated[bool, Flag] = False,
    wait: Annotated[bool, Flag] = False,
    detach: Annotated[bool, Flag] = False,
    until: str | None = None,
    build: str = "",
    ack: Annotated[tuple[str, ...], Flag] = (),
    no_schema_change: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Release: a saved plan, or a version that is planned now. In production only a saved plan is accepted.

    Parameters
    ----------
    what
        A plan file (changeover plan VERSION --out FILE), or a version.
    yes
        Do not ask.
    wait
        Off a terminal too, wait at gates instead of leaving the run to a background worker.
    detach
        Leave the run to a background worker at once; exit 4.
    until
        Pause when this share has been watched, as 25%.
    build
        The build that every instance must report.
    ack
        Accept a named risk, with your name; may be repeated.
    no_schema_change
        The version has no changes of the schema, and that is meant.
    """
    door = session.door()
    plan = _planned(session, door, what, build=build, ack=ack, no_schema_change=no_schema_change)
    stop_at = None if until is None else _until(plan, until)
    terminal = session.terminal
    _introduce(session, plan)
    if not session.confirm("Start?", yes=yes):
        terminal.tell("Nothing was changed.")
        return Exit.FAILED
    try:
        run = door.submit(plan)
    except EnvironmentHeld:
        if not _interrupted_before(door, plan):
            raise
        terminal.tell("This plan was interrupted; it is taken up again.")
        return resume_run(session, door, wait=wait)
    terminal.say(f"{words.clock(session.now())}  {run} started")
    if detach:
        return _detach(session, door, run)
    stay = wait or terminal.interactive
    teller = Teller(session, door, lambda: run)

    def act(interrupt: threading.Event) -> Left:
        stop = _stops(door, run, stay=stay, stop_at=stop_at, timed=session.timeout is not None)
        return Left(run, door.drive(run, stop=stop, interrupt=interrupt))

    left = travel(session, door, act, teller, holds=True)
    return conclude(session, door, left, FORWARD)


def _planned(
    session: Session, door: Changeover, what: str, *, build: str, ack: tuple[str, ...], no_schema_change: bool
) -> Plan:
    if planfile.is_file(what):
        if build or ack or no_schema_change:
            raise UsageError(
                "--build, --ack and --no-schema-change belong to the plan and are in its hash already",
                next=("changeover plan VERSION --ack … --out FILE",),
            )
        plan = planfile.read(Path(what))
        planfile.must_fit(plan, door.site, "release")
        return plan
    if session.production:
        raise PolicyMissing(
            "in production only a saved plan is released: what was read and approved is what runs",
            next=(f"changeover plan {what} --out release.plan", "changeover release release.plan"),
        )
    return door.plan(what, build=build, no_schema_change=no_schema_change, acknowledge=ack)


def _introduce(session: Session, plan: Plan) -> None:
    terminal = session.terminal
    mark = words.marks(utf8=terminal.utf8_told)
    lasts = f"{len(plan.steps)} steps, about {words.duration(plan.takes)}"
    terminal.say(f"{_plan.header(plan, mark)}   {lasts}   times {words.zone(plan.at)}", "bold")
    for note in plan.notes:
        terminal.say(f"  ! {words.clean(note)}", "warn")
    for version in plan.ends:
        terminal.tell(f"  ! this plan ends the way back to v{version}", "warn")
    for ack in plan.acknowledged:
        terminal.say(f"  accepted by {words.clean(ack.by)}: {words.clean(ack.name)}")


def _interrupted_before(door: Changeover, plan: Plan) -> bool:
    """Whether the run under way is one of this very plan that nobody advances any more."""
    found = next((r for r in door.history(limit=5) if r.ended is None and r.parent is None), None)
    if found is None or found.plan_hash != plan.hash:
        return False
    holder = door.holder()
    return holder is None or not holder.alive


def _detach(session: Session, door: Changeover, run: str) -> Exit:
    from changeover.ui.cli.travel import Left

    pid = session.doors.spawn(door.site, run)
    session.terminal.say(f"A background worker (process {pid}) goes on with it.", "note")
    left = Left(run, door.run_of(run).state, handed=True)
    return conclude(session, door, left, FORWARD)


def _until(plan: Plan, text: str) -> str:
    """The key of the last step of this share: its bake, else its shift. Raises UsageError."""
    points = share(text, "--until")
    keys = [s.key for s in plan.steps if isinstance(s.action, Shift | Bake) and s.action.share == points]
    if not keys:
        known = [f"{s.action.share / 100:g}%" for s in plan.steps if isinstance(s.action, Shift)]
        raise UsageError(f"--until: the plan has no share {text}; it has {', '.join(known)}")
    return keys[-1]


def _stops(
    door: Changeover, run: str, *, stay: bool, stop_at: str | None = None, timed: bool = False
) -> Callable[[State], bool]:
    """When this process leaves a run: a person must look; nobody here waits; the share of --until was watched.

    The pause is asked for in the thread that drives, between two steps, so that no further step begins.
    """
    asked = [False]

    def stop(state: State) -> bool:
        if stop_at is not None and not asked[0] and state is State.RUNNING:
            asked[0] = any(e.kind == "done" and e.step == stop_at for e in door.events(run))
            if asked[0]:
                door.pause("--until is reached")
        if state is State.PAUSED and (asked[0] or timed):
            return True
        return state in STUCK or (state in WAITS and not stay)

    return stop


def resume(
    *,
    yes: Annotated[bool, Flag] = False,
    wait: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Go on after a pause, a hold or a crash. It looks before it acts, and takes over a run whose process is gone.

    Parameters
    ----------
    yes
        Do not ask.
    wait
        Off a terminal too, wait at gates instead of leaving the run to a background worker.
    """
    door = session.door()
    _explain(session, door)
    if not session.confirm("Continue?", yes=yes, default=True):
        session.terminal.tell("Nothing was changed.")
        return Exit.FAILED
    return resume_run(session, door, wait=wait)


def resume_run(session: Session, door: Changeover, *, wait: bool) -> Exit:
    """Resume, or follow whoever goes on with it."""
    open_run = next((r.id for r in door.history(limit=5) if r.ended is None and r.parent is None), None)
    seen = {} if open_run is None else _seen(door, open_run)
    stay = wait or session.terminal.interactive
    teller = Teller(session, door, lambda: open_run, after=seen)

    def act(interrupt: threading.Event) -> Left:
        stop = _stops(door, open_run or "", stay=stay, timed=session.timeout is not None)
        outcome = door.resume(interrupt=interrupt, stop=stop)
        return Left(outcome.run, outcome.state, outcome.words, elsewhere=bool(outcome.words))

    left = travel(session, door, act, teller, holds=True)
    if left.elsewhere and left.run is not None:
        session.terminal.say(left.words, "note")
        return watching.follow(session, door, left.run, after=seen.get(left.run, 0))
    return conclude(session, door, left, FORWARD)


def _seen(door: Changeover, run: str) -> dict[str, int]:
    """The newest event of the run and of its way back: what was told already."""
    events = door.events(run)
    found = {run: events[-1].seq if events else 0}
    for event in events:
        if event.kind == "way-back":
            child = str(event.data["run"])
            mine = door.events(child)
            found[child] = mine[-1].seq if mine else 0
    return found


def _explain(session: Session, door: Changeover) -> None:
    """What was interrupted, where, and what the environment says now."""
    found = door.status()
    if found.run is None:
        return
    last = (door.events(found.run) or (None,))[-1]
    if last is not None:
        step = next((s for s in plan_of(door, found.run).steps if s.key == last.step), None)
        where = f", in step {step.n}: {step.words.task}" if step is not None else ""
        session.terminal.say(
            f"{found.run} ({found.kind}) is {found.state}; last heard of at {words.clock(last.at)}{where}."
        )
    session.terminal.say(found.sentence)
    holder = door.holder()
    if holder is not None and not holder.alive:
        session.terminal.say(
            f"It was held by {holder.words(session.now())}; that process is gone or its lease is over."
        )


def worker(
    run: str,
    /,
    *,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Go on with a run in the background: to its end, through gates and pauses.

    Parameters
    ----------
    run
        The run.
    """
    door = session.door()
    record = door.run_of(run)
    if record.ended is not None:
        return FORWARD[record.state]
    session.terminal.say(f"{words.moment(session.now())}  a worker takes {run} up")
    teller = Teller(session, door, lambda: run, after=_seen(door, run))
    left = travel(
        session, door, lambda interrupt: Left(run, door.drive(run, interrupt=interrupt)), teller, patient=True
    )
    try:
        return conclude(session, door, left, FORWARD)
    except ChangeoverError as error:
        session.terminal.tell(error.what)
        return FORWARD[left.state]
