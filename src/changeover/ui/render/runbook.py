"""The written process: a plan as a document that can be signed. It renders the plan and nothing else, so paper = execution."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.model import ALL, RuleMetric
from changeover.core.steps import Bake, Drain, Gate, Plan, Shift, Step
from changeover.ui.render import words

LINE = "POINT OF NO RETURN: below this line only a restore brings the old shape back"
NO_LINE = "Point of no return: not part of this plan; `changeover cleanup`, with an approval of its own"
BY_HAND = (
    "Every step can be done without changeover. The commands are complete; run them in this order, in one shell. "
    "Begin it with `bash -e`: it ends at the first command that fails, with the reason; every step may be run again."
)
HEADS = ("n", "task", "who", "starts", "lasts", "done when", "way back from here", "sign")


def title(plan: Plan) -> str:
    """The document's title."""
    name = f"{plan.app} {words.environment(plan.environment)}"
    match plan.kind:
        case "cleanup":
            return f"{name}: clean up the schema while v{plan.target} serves"
        case "release":
            return f"{name}: release v{plan.target} (serving: v{plan.source})"
        case _:
            return f"{name}: take v{plan.target} back"


def boxes(plan: Plan) -> list[tuple[str, str]]:
    """The key figures of the first page."""
    shifts = [s.takes for s in plan.steps if s.action.kind == "shift"]
    last = plan.steps[-1].n if plan.steps else 0
    ends = ", ".join(f"v{v}" for v in plan.ends)
    safe = f"step {plan.last_safe}" if plan.last_safe else f"every step, the last one ({last}) too"
    going_back = f"about {words.duration(max(shifts, default=4.0))}, one step; the schema is left alone"
    return [
        ("expected outage", "none"),
        ("expected duration", f"{words.duration(plan.takes)}, without waiting for people"),
        ("time to go back", "restore only, after the last safe step" if plan.kind == "cleanup" else going_back),
        ("last safe moment", safe),
        ("schema", f"{plan.schema_from} -> {plan.schema_to}" if plan.schema_from != plan.schema_to else "unchanged"),
        ("ends the way back to", ends or "no version"),
        ("window, change number", ""),
        ("people", ""),
    ]


def what_changes(plan: Plan) -> str:
    """One plain paragraph."""
    if plan.kind == "cleanup":
        return (
            f"v{plan.target} goes on serving. What only older versions needed is taken out of the database schema; "
            "after that they cannot come back except by restoring a backup."
        )
    if plan.kind != "release":
        return f"The traffic goes back to v{plan.target}. The database schema is left as it is."
    added = "The database schema is only added to, in ways that the running version can live with. "
    schema = added if plan.schema_to != plan.schema_from else "The database schema does not change. "
    return (
        f"v{plan.target} takes over from v{plan.source}. {schema}The new version is started beside the old one and proved "
        "before any user sees it; the traffic is moved at the load balancer; the old version is drained, not killed, and kept "
        "warm as the way back."
    )


def notes(plan: Plan) -> list[str]:
    """What is special about this plan: notes, acknowledged risks, what is owed afterwards."""
    return [
        *plan.notes,
        *(f"accepted by {a.by}: {a.name}" for a in plan.acknowledged),
        *(f"owed afterwards, until cleanup: {o}" for o in plan.owed),
    ]


def rows(plan: Plan) -> Iterator[tuple[Step, tuple[str, ...]]]:
    """The tasks in order, one cell per entry of HEADS. `starts` counts from the beginning."""
    begins = 0.0
    for step in plan.steps:
        lasts = words.duration(step.takes) if step.takes else "a person decides"
        done = step.expect or step.words.confirm
        starts = f"+{words.duration(begins)}"
        yield step, (str(step.n), step.words.task, step.who, starts, lasts, done, step.words.way_back, "☐")
        begins += step.takes


def going_back(plan: Plan) -> list[str]:
    """The rules that take the old version back by themselves, and who may order it."""
    rules: list[str] = []
    for bake in (s.action for s in plan.steps if isinstance(s.action, Bake)):
        for rule in bake.rules:
            match rule.metric:
                case RuleMetric.ERRORS_5XX:
                    said = (
                        f"errors (5xx) of the new version over {100 * rule.above:g} % with at least "
                        f"{words.many(rule.min_requests, 'request')}"
                    )
                case RuleMetric.INSTANCE:
                    said = f"an instance of the new version unhealthy for {words.duration(rule.seconds)}"
                case RuleMetric.FALLBACKS:
                    said = "a visitor that the new version could not serve at all"
            if said not in rules:
                rules.append(said)
    if plan.kind == "release":
        rules.append("any step that fails after the traffic began to move")
    rules.append("a person may order it at any time: `changeover rollback`")
    return rules


def roles(plan: Plan) -> list[str]:
    """Who signs."""
    found = ["release lead"]
    for step in plan.steps:
        if isinstance(step.action, Gate) and step.action.role not in found:
            found.append(step.action.role)
    if plan.last_safe:
        found.append("second person, for the point of no return")
    return found


def announcements(plan: Plan) -> list[tuple[str, str]]:
    """Texts to send: start, success, back."""
    name = f"{plan.app} {words.environment(plan.environment)}"
    if plan.kind == "cleanup":
        return [
            ("start", f"{name}: clean-up of the schema begins. No outage is expected."),
            ("success", f"{name}: cleaned up. v{plan.target} serves as before."),
        ]
    return [
        ("start", f"{name}: the change from v{plan.source} to v{plan.target} begins. No outage is expected."),
        ("success", f"{name}: v{plan.target} serves everything."),
        ("back", f"{name}: v{plan.source} has been taken back and serves everything. Data written meanwhile is kept."),
    ]


def expected(step: Step) -> str:
    """What is seen when the step is done."""
    return step.expect or step.words.confirm


def quick_back(plan: Plan) -> str:
    """The shortest words for going back by hand."""
    flips = [s for s in plan.steps if isinstance(s.action, Shift) and s.action.share in (ALL, 0)]
    drains = any(isinstance(s.action, Drain) for s in plan.steps)
    if not flips or plan.kind != "release":
        return ""
    first = next(s for s in plan.steps if isinstance(s.action, Shift))
    assert isinstance(first.action, Shift)
    home = first.action.other
    drained = f" Then wait until nothing is in flight on {first.action.pool}." if drains else ""
    return f"At the load balancer give all of the traffic to {home} again (v{plan.source} runs there, warm).{drained} The commands are below the last step. Leave the schema alone."
