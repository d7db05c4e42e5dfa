"""A run as it happens: one line per finished step, with the evidence for it, and a line for whatever people must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from changeover.core.steps import Gate, Plan
from changeover.ui.render import evidence, words
from changeover.ui.render.events import Event
from changeover.ui.render.heads import head

TASK = 27  # columns for the words of a step


@dataclass(frozen=True, slots=True)
class Line:
    """One line of narration. `mark` names a mark of `words.MARKS`; it also decides the colour."""

    at: float
    mark: str
    task: str
    evidence: str = ""

    def text(self, *, utf8: bool = True) -> str:
        """`14:02:17  ✔ preflight   14 of 14`."""
        mark = words.marks(utf8=utf8)[self.mark]
        width = 1 if utf8 else 4
        line = f"{words.clock(self.at)}  {mark:<{width}} {words.clean(self.task):<{TASK}}  {words.clean(self.evidence)}"
        return line.replace("\n", " ").rstrip()


@dataclass(slots=True)
class Narrator:
    """Tells the events of one run. It remembers what it said, so that a retry is told once."""

    plan: Plan
    verbose: bool = False
    _said: set[tuple[str, str]] = field(default_factory=set)

    def tell(self, event: Event) -> Iterator[Line]:
        """The lines of one event; none for what only the journal needs."""
        step = next((s for s in self.plan.steps if s.key == event.step), None)
        task = "" if step is None else head(step.action)
        match event.kind:
            case "done":
                if step is not None:
                    yield from self._done(event, step.action.kind, task)
            case "asked":
                if self.plan.kind != "release" and step is not None:
                    yield Line(event.at, "back", task)
            case "failed":
                yield from self._once(event, Line(event.at, "failed", task, _what(event)))
            case "lagging" | "throttled":
                why = event.data.get("reason") or "; ".join(event.data.get("endpoints", ()))
                yield from self._once(event, Line(event.at, "waiting", task, f"waits: {why}"))
            case (
                "begin"
                | "applied"
                | "range"
                | "filled"
                | "verified"
                | "proved"
                | "watch"
                | "empty"
                | "busy"
                | "unseen"
                | "starting"
            ):
                if self.verbose:
                    yield Line(event.at, "note", f"{task or self.plan.kind}: {event.kind}", _small(event))
            case _:
                yield from self._people(event, task)

    def _done(self, event: Event, kind: str, task: str) -> Iterator[Line]:
        said = evidence.of(kind, event.data)
        if kind == "gate":
            return  # `approved` told it
        yield Line(event.at, "done", task, said)
        for warning in event.data.get("warnings", ()):
            yield Line(event.at, "warn", "", str(warning))

    def _once(self, event: Event, line: Line) -> Iterator[Line]:
        key = (event.step, line.evidence)
        if key not in self._said:
            self._said.add(key)
            yield line

    def _people(self, event: Event, task: str) -> Iterator[Line]:
        data, at = event.data, event.at
        match event.kind:
            case "waiting":
                gate = str(data.get("gate", ""))
                words_ = "not enough data to go on" if gate == "go-on" else f"approval of {gate}"
                role = next(
                    (s.action.role for s in self.plan.steps if s.key == event.step and isinstance(s.action, Gate)), ""
                )
                asks = f"asks {role}: " if role else ""
                yield Line(at, "waiting", words_, f"{asks}changeover approve {gate}")
            case "approved":
                yield Line(at, "done", f"{data.get('by')} approved {data.get('gate')}", _quoted(data.get("note")))
            case "inconclusive":
                yield Line(at, "waiting", task, f"not enough data: {data.get('reason')}")
            case "paused":
                yield Line(at, "waiting", f"paused by {data.get('by')}", _note(data.get("note"), "changeover resume"))
            case "resumed":
                how = f"by {data['by']}" if data.get("by") else f"{task}: looked at again"
                yield Line(at, "now", "resumed" if data.get("by") else "taken up again", how)
            case "slow":
                yield Line(
                    at, "waiting", task, f"{_number(data.get('requests'))} still in flight {data.get('detail', '')}"
                )
            case "cut":
                yield Line(
                    at,
                    "failed",
                    task,
                    f"{data.get('count')} {'' if data.get('closed') else 'requests '}were cut at the deadline{_closed(data)}",
                )
            case "signalled":
                yield Line(
                    at, "note", f"{len(data['instances'])} instances were told to send long-lived connections away"
                )
            case "unhealthy":
                yield Line(at, "warn", f"{data.get('instance')} is not ready", str(data.get("note", "")))
            case "healthy":
                yield Line(at, "note", f"{data.get('instance')} is ready again")
            case "promise-ended":
                yield Line(at, "note", f"the way back to v{data.get('version')} is ended")
            case "end":
                return
            case _:
                yield from self._back(event, task)

    def _back(self, event: Event, task: str) -> Iterator[Line]:
        data, at = event.data, event.at
        match event.kind:
            case "go-back":
                because = str(data.get("because", ""))
                yield from self._once(event, Line(at, "failed", task, because))
                yield Line(at, "back", "going back", f"to v{self.plan.source}")
            case "aborted":
                yield Line(at, "back", f"given up by {data.get('by')}", _note(data.get("note"), "going back"))
            case "way-back":
                yield Line(at, "back", f"{data.get('run')}", f"plan {data.get('plan')}")
            case "preempted":
                yield Line(at, "back", f"a rollback by {data.get('by')} takes its place", _quoted(data.get("note")))
            case "held":
                yield Line(at, "failed", "held: a person must look", _what(event))
            case "lost":
                yield Line(at, "failed", "the way back is lost: a person must look", _what(event))
            case "blocked":
                yield Line(at, "failed", "blocked", _what(event))
            case _:
                if self.verbose:
                    yield Line(at, "note", f"{task}: {event.kind}", _small(event))


def _what(event: Event) -> str:
    code, what = str(event.data.get("code", "")), str(event.data.get("what", ""))
    return f"{what}  {code}".strip()


def _quoted(note: object) -> str:
    return f'"{note}"' if note else ""


def _note(note: object, then: str) -> str:
    return "; ".join(part for part in (_quoted(note), then) if part)


def _closed(data: Mapping[str, Any]) -> str:
    """What was closed, one by one, the first three."""
    closed = data.get("closed") or ()
    each = [
        f"{c['kind']} on {c['instance']}, {c['age']:g} s old{' ' + c['path'] if c['path'] else ''}" for c in closed[:3]
    ]
    more = f", and {len(closed) - 3} more" if len(closed) > 3 else ""
    return f": {'; '.join(each)}{more}" if each else ""


def _number(found: object) -> str:
    return "an unknown number" if found is None else str(found)


def _small(event: Event) -> str:
    skip = {"boot", "boottime", "task", "route", "before", "counts", "catalogue"}
    return ", ".join(f"{k} {v}" for k, v in event.data.items() if k not in skip and v not in ("", None))
