"""What `doctor` says about an Application Load Balancer. Read-only; each thing that is wrong has a line of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from changeover.core.errors import ChangeoverError
from changeover.core.ports import Finding
from changeover.drivers.balancers import aws_flight
from changeover.drivers.balancers.alb_survey import Plot, Survey, holder, left_alone, problems
from changeover.drivers.balancers.aws_secret import Secret

if TYPE_CHECKING:
    from changeover.drivers.balancers.alb import AlbBalancer

FREE_PRIORITY = "preview_priority: a number that no rule of the listener has, smaller than those of its rules"


def findings(balancer: AlbBalancer, plot: Plot, secret: Secret) -> Sequence[Finding]:
    """Never raises for what it can report."""
    try:
        survey = balancer.survey()
    except ChangeoverError as error:
        return (found("AWS", error),)
    access = balancer.settings.access
    return (
        Finding("AWS", True, f"account {access.account}, {access.region}"),
        *_structure(balancer, survey, plot),
        *(line for pool in plot.terms.pools for line in _pool(balancer, survey, pool)),
        *(balancer.meter or balancer.cloudwatch()).inspect(),
        secret.finding(survey.preview.secret if survey.preview is not None else ""),
        *_preview(balancer, survey),
    )


def found(subject: str, error: ChangeoverError) -> Finding:
    """An error as a line of doctor's."""
    return Finding(subject, False, f"{error.what} ({error.code})", "; ".join(error.next), cause=error)


def _structure(balancer: AlbBalancer, survey: Survey, plot: Plot) -> Iterator[Finding]:
    wrong = list(problems(survey, plot))
    yield from (found("load balancer", error) for error in wrong)
    if wrong:
        return
    try:
        reading = balancer.read()
    except ChangeoverError as error:
        yield found("route", error)
        return
    route = reading.route
    if reading.settled and route is not None:
        share = f", {route.share / 100:g} % {route.candidate}" if route.share else ""
        yield Finding("route", True, f"{route.live} is live{share}; {len(reading.workers)} listeners and rules agree")
    else:
        yield Finding("route", False, reading.problem, "see who changed it; the next commit writes all of them")
    others = left_alone(survey, plot)
    if others:
        yield Finding("rules of others", True, f"left alone: {'; '.join(others)}")


def _pool(balancer: AlbBalancer, survey: Survey, pool: str) -> Iterator[Finding]:
    group = survey.groups.get(pool)
    if group is None:
        return
    subject = f"pool {pool}"
    try:
        targets = balancer.targets(pool)
        delay = balancer.delay(pool)
    except ChangeoverError as error:
        yield found(subject, error)
        return
    yield from _registered(balancer, pool, group, targets)
    settings = balancer.settings
    if not group.get("HealthCheckEnabled", True):
        yield Finding(subject, False, "its health checks are switched off", "switch them on")
    takes = float(group.get("HealthCheckIntervalSeconds", 30)) * float(group.get("HealthyThresholdCount", 5))
    if settings.ready_within and takes >= settings.ready_within:
        fix = f"instances.ready.within: more than {takes:.0f}s, or a shorter interval or threshold in the target group"
        yield Finding(subject, False, f"a target counts as healthy after {takes:.0f} s only", fix)
    yield aws_flight.findings(settings.witness, delay, subject, settings.drain_within)


def _registered(
    balancer: AlbBalancer, pool: str, group: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Every instance of the configuration is a target, and nothing else is: what else gets requests is not drained."""
    subject = f"pool {pool}"
    there = {f"{t['Target'].get('Id')}:{t['Target'].get('Port')}" for t in targets if _stays(t)}
    wanted = {slot.address for slot in balancer.settings.slots[pool]}
    if group.get("TargetType") != "ip":
        ports = {f"{t['Target'].get('Port')}" for t in targets if _stays(t)}
        fits = len(there) == len(wanted) and ports == {address.rpartition(":")[2] for address in wanted}
        words = f"{len(there)} targets by instance id, for {len(wanted)} instances"
        fix = "register the instances of the configuration, each on its port, and nothing else"
        yield Finding(subject, fits, words, "" if fits else fix)
        return
    missing, more = sorted(wanted - there), sorted(there - wanted)
    if missing:
        fix = "aws elbv2 register-targets"
        yield Finding(subject, False, f"not registered in its target group: {', '.join(missing)} (CO-0804)", fix)
    if more:
        fix = "aws elbv2 deregister-targets, or add them to instances.pools"
        yield Finding(subject, False, f"targets that are no instance of the pool: {', '.join(more)} (CO-0804)", fix)
    if not missing and not more:
        yield Finding(subject, True, f"{len(there)} targets, the instances of the configuration")


def _stays(target: Mapping[str, Any]) -> bool:
    return bool(target["TargetHealth"].get("State") != "draining")


def _preview(balancer: AlbBalancer, survey: Survey) -> Iterator[Finding]:
    first = survey.places[0]
    if survey.preview is not None or first is None:
        return
    wanted = balancer.settings.preview_priority
    other = holder(survey, wanted)
    if other is not None:
        yield Finding("preview", False, f"the priority {wanted} belongs to another rule: {other.name}", FREE_PRIORITY)
    elif not first.default and int(first.priority) < wanted:
        yield Finding("preview", False, f"{first.name} comes before it", f"preview_priority: below {first.priority}")
