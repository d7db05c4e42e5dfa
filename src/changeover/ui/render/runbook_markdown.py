"""The runbook as Markdown. What comes from the plan is shown as text, whatever it contains."""

from __future__ import annotations

import re
from collections.abc import Iterator

from changeover.core.steps import Plan, Step
from changeover.ui.render import runbook, words

_SPECIAL = re.compile(r"([\\`*_\[\]|])")


def markdown(plan: Plan) -> str:
    """The document, ready to be kept beside the release."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"# {prose(runbook.title(plan))}"
    yield ""
    yield f"Plan `{plan.short}` (sha256 `{plan.hash}`), made {words.moment(plan.at)} by {prose(plan.by)}."
    yield ""
    yield from _table(("", ""), [(n, v) for n, v in runbook.boxes(plan)])
    yield ""
    yield "## 1. What changes"
    yield ""
    yield prose(runbook.what_changes(plan))
    yield ""
    yield from (f"- {prose(note)}" for note in runbook.notes(plan))
    yield ""
    yield "## 2. Tasks in order"
    yield ""
    yield from _tasks(plan)
    yield ""
    yield "## 3. When we go back without asking"
    yield ""
    yield from (f"- {rule}" for rule in runbook.going_back(plan))
    yield ""
    yield "## 4. Approvals"
    yield ""
    yield from _table(
        ("role", "name", "decision", "time", "signature"), [(r, "", "", "", "") for r in runbook.roles(plan)]
    )
    yield ""
    yield "## 5. By hand"
    yield ""
    yield runbook.BY_HAND
    yield ""
    back = runbook.quick_back(plan)
    if back:
        yield f"**Going back by hand.** {prose(back)}"
        yield ""
    for step in plan.steps:
        yield from _by_hand(step)
    if plan.back_by_hand:
        yield f"### Going back by hand: all traffic to v{prose(str(plan.source))} again, from any step"
        yield ""
        yield from _commands(plan.back_by_hand, "bash")
    yield "## 6. Announcements"
    yield ""
    yield from (f"- {name}: {prose(said)}" for name, said in runbook.announcements(plan))
    yield ""
    yield f"Plan {plan.short}"


def _tasks(plan: Plan) -> Iterator[str]:
    yield "| " + " | ".join(runbook.HEADS) + " |"
    yield "| --- " * len(runbook.HEADS) + "|"
    empty = " |" * (len(runbook.HEADS) - 2)
    for step, cells in runbook.rows(plan):
        if plan.last_safe and step.n == plan.last_safe + 1:
            yield f"| | **{runbook.LINE}** |{empty}"
        yield "| " + " | ".join(prose(c) for c in cells) + " |"
    if not plan.last_safe:
        yield f"| | **{runbook.NO_LINE}** |{empty}"


def _table(heads: tuple[str, ...], body: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "| " + " | ".join("---" for _ in heads) + " |"
    for row in body:
        yield "| " + " | ".join(prose(c) for c in row) + " |"


def _by_hand(step: Step) -> Iterator[str]:
    yield f"### Step {step.n}: {prose(step.words.task)}"
    yield ""
    if step.by_hand:
        yield from _commands(step.by_hand, "sh")
    yield f"Expected: {prose(runbook.expected(step))}  "
    yield f"To undo: {prose(step.words.undo)}"
    yield ""


def _commands(lines: tuple[str, ...], language: str) -> Iterator[str]:
    """A block. `sh` are the steps, in order; what is no step has another language."""
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`+", "\n".join(lines))), default=0))
    yield f"{fence}{language}"
    yield from (words.clean(line) for line in lines)
    yield fence
    yield ""


def prose(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no line breaks."""
    plain = words.clean(text).replace("\n", " ")
    return _SPECIAL.sub(r"\\\1", plain).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
