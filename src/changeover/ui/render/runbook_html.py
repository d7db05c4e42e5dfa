"""The runbook as one HTML page with a style for print. What comes from the plan is escaped, all of it."""

from __future__ import annotations

import html
from collections.abc import Iterator

from changeover.core.steps import Plan, Step
from changeover.ui.render import runbook, words

STYLE = """
@page { size: A4; margin: 18mm 14mm }
body { font: 14px/1.45 system-ui, sans-serif; color: #14181f; max-width: 66rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem }
table { border-collapse: collapse; width: 100% } thead { display: table-header-group }
th, td { border: 1px solid #6b7485; padding: .35rem .5rem; text-align: left; vertical-align: top }
.boxes { display: flex; flex-wrap: wrap; gap: .6rem } .boxes div { border: 1px solid #6b7485; padding: .5rem .8rem; min-width: 10rem }
.boxes b { display: block; font-size: .8rem; color: #566070 }
.line td { background: #14181f; color: #fff; font-weight: bold; text-align: center }
.sign { min-width: 4rem; height: 2.2rem }
pre { background: #f6f7f9; border: 1px solid #d4d9e1; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere }
footer { margin-top: 2rem; color: #566070 }
@media print { body { margin: 0; max-width: none } pre, tr { break-inside: avoid } footer { position: fixed; bottom: 0 } }
"""


def page(plan: Plan) -> str:
    """The whole page."""
    return "\n".join(_parts(plan)) + "\n"


def _parts(plan: Plan) -> Iterator[str]:
    name = _e(runbook.title(plan))
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}</style></head><body>"
    yield f"<h1>{name}</h1>"
    yield (
        f"<p>Plan <b>{_e(plan.short)}</b>, made {_e(words.moment(plan.at))} by {_e(plan.by)}. "
        f"sha256 <code>{_e(plan.hash)}</code></p>"
    )
    yield '<div class="boxes">'
    yield from (f"<div><b>{_e(n)}</b>{_e(v) or '&nbsp;'}</div>" for n, v in runbook.boxes(plan))
    yield "</div>"
    yield f"<h2>1. What changes</h2><p>{_e(runbook.what_changes(plan))}</p>"
    yield from _list(runbook.notes(plan))
    yield "<h2>2. Tasks in order</h2>"
    yield from _tasks(plan)
    yield "<h2>3. When we go back without asking</h2>"
    yield from _list(runbook.going_back(plan))
    yield (
        "<h2>4. Approvals</h2><table><thead>"
        + _row("th", ("role", "name", "decision", "time", "signature"))
        + "</thead><tbody>"
    )
    yield from (_row("td", (role, "", "", "", "")) for role in runbook.roles(plan))
    yield f"</tbody></table><h2>5. By hand</h2><p>{_e(runbook.BY_HAND.replace('`', ''))}</p>"
    back = runbook.quick_back(plan)
    if back:
        yield f"<p><b>Going back by hand.</b> {_e(back)}</p>"
    for step in plan.steps:
        yield from _by_hand(step)
    if plan.back_by_hand:
        commands = "\n".join(plan.back_by_hand)
        yield f"<h3>Going back by hand: all traffic to v{_e(str(plan.source))} again, from any step</h3>"
        yield f"<pre>{_e(commands)}</pre>"
    yield "<h2>6. Announcements</h2>"
    yield from _list([f"{n}: {said}" for n, said in runbook.announcements(plan)])
    yield f"<footer>Plan {_e(plan.short)}</footer></body></html>"


def _tasks(plan: Plan) -> Iterator[str]:
    yield "<table><thead>" + _row("th", runbook.HEADS) + "</thead><tbody>"
    for step, cells in runbook.rows(plan):
        if plan.last_safe and step.n == plan.last_safe + 1:
            yield _bar(runbook.LINE)
        yield _row("td", cells)
    if not plan.last_safe:
        yield _bar(runbook.NO_LINE.replace("`", ""))
    yield "</tbody></table>"


def _bar(text: str) -> str:
    return f'<tr class="line"><td colspan="{len(runbook.HEADS)}">{_e(text)}</td></tr>'


def _row(tag: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{tag}>{_e(c)}</{tag}>" for c in cells) + "</tr>"


def _list(items: list[str]) -> Iterator[str]:
    if items:
        yield "<ul>" + "".join(f"<li>{_e(i)}</li>" for i in items) + "</ul>"


def _by_hand(step: Step) -> Iterator[str]:
    yield f"<h3>Step {step.n}: {_e(step.words.task)}</h3>"
    if step.by_hand:
        commands = "\n".join(step.by_hand)
        yield f"<pre>{_e(commands)}</pre>"
    yield f"<p>Expected: {_e(runbook.expected(step))}<br>To undo: {_e(step.words.undo)}</p>"


def _e(text: str) -> str:
    return html.escape(words.clean(text), quote=True)
