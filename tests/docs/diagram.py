"""The states of a run as a mermaid diagram, drawn from the table of moves."""

from __future__ import annotations

from changeover.core.states import ENDED, MOVES, Event, State


def states() -> str:
    """The diagram's text: every move of `core.states.MOVES`, events of the same move on one arrow."""
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{s}" as {_id(s)}' for s in State if _id(s) != s.value]
    lines.append(f"    [*] --> {_id(State.RUNNING)}")
    arrows: dict[tuple[State, State], list[Event]] = {}
    for (source, event), target in MOVES.items():
        arrows.setdefault((source, target), []).append(event)
    order = list(State)
    for source, target in sorted(arrows, key=lambda a: (order.index(a[0]), order.index(a[1]))):
        events = ", ".join(sorted(arrows[source, target]))
        lines.append(f"    {_id(source)} --> {_id(target)}: {events}")
    lines += [f"    {_id(s)} --> [*]" for s in State if s in ENDED]
    return "\n".join(lines) + "\n"


def _id(state: State) -> str:
    return state.value.replace("-", "_")
