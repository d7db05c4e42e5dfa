"""The general process of an environment, without a version: the order of tasks, the way back, the backups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from changeover.core.model import ALL, Policy
from changeover.ui.render import words

LINE = (
    "**Point of no return**: a command of its own (`changeover cleanup`), with an approval of its own, when no version in play "
    "needs the old shape any more."
)

Task = tuple[str, str]  # the task, its way back


def process(app: str, environment: str, policy: Policy, *, database: bool) -> str:
    """The written process as Markdown."""
    lines = [f"# {app} {words.environment(environment)}: how a new version is released", ""]
    lines += [f"{n}. {task} *Way back:* {back}." for n, (task, back) in enumerate(tasks(policy, database=database), 1)]
    if database:
        lines += [
            "",
            LINE,
            "",
            *(f"- {task} *Way back:* {back}." for task, back in cleanup()),
        ]
    lines += ["", "## When the old version is taken back without asking", ""]
    lines += [f"- {rule}" for rule in rules(policy)]
    return "\n".join(lines) + "\n"


def tasks(policy: Policy, *, database: bool) -> Sequence[Task]:
    """The order of tasks of a release, each with its way back."""
    stop = "stop the new version; the old one serves everything"
    found: list[Task] = [
        (
            "Look at everything: balancer, database, instances; nothing begins while something is wrong.",
            "nothing to undo",
        )
    ]
    if database:
        backup = "Back up the database, restore the backup into scratch, compare them."
        nobody = "There is no backup of the database: a named person accepts that in the plan."
        found += [
            (backup if policy.backup else nobody, "nothing to undo"),
            ("Expand the schema: only additions that the running version can live with.", "they stay and are owed"),
            ("Fill the new columns of the rows that are there, in batches.", "stop; what is filled harms nobody"),
            ("Prove that the running and the new version both work with the expanded schema.", "nothing to undo"),
        ]
    found += [
        ("Start the new version on the staging pool, one instance for each production instance.", stop),
        (_proves(policy), stop),
        ("Try the new version through the load balancer by a secret header; no user sees it.", stop),
    ]
    back = "one step: the old version takes it back; the schema is left alone"
    for points in policy.shift:
        if points in policy.gates:
            found.append((f"{policy.gates[points]} approves {words.share(points)}.", back))
        what = "all of the traffic (the flip)" if points == ALL else f"{words.share(points)} of the visitors"
        found.append(
            (
                f"Move {what} to the new version, read it back from the balancer, watch it for {words.duration(policy.bake)}.",
                back,
            )
        )
    drain = "Drain the old version: wait until nothing is in flight on any worker of the balancer. It is never killed for that."
    found.append((drain, back))
    found.append(
        (f"Keep the old version warm for at least {words.duration(policy.keep_old)}: it is the way back.", back)
    )
    return found


def _proves(policy: Policy) -> str:
    return (
        f"Every instance proves {policy.ready_times} times in a row, within {words.duration(policy.ready_within)}, that it is ready "
        "and is the version and build asked for."
    )


def cleanup() -> Sequence[Task]:
    """What happens at the point of no return."""
    return (
        (
            "Retire the versions that need the old shape: stop them, end their database sessions, read zero back.",
            "release it again",
        ),
        ("Back up again, restore, compare; try the contract on the restored copy.", "nothing to undo"),
        ("Contract the schema: take away what nobody needs any more.", "restore only"),
    )


def rules(policy: Policy) -> Sequence[str]:
    """The rules of going back, in words."""
    said: Mapping[str, str] = {
        "errors_5xx": "errors (5xx) of the new version over {above:g} % of at least {min_requests} requests",
        "instance": "an instance of the new version unhealthy for {seconds:g} s",
        "fallbacks": "a visitor that the new version could not serve at all",
    }
    return [
        said[r.metric.value].format(above=100 * r.above, min_requests=r.min_requests, seconds=r.seconds)
        for r in policy.go_back_when
    ] + ["a person orders it: `changeover rollback`"]
