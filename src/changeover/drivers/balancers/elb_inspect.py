"""What `doctor` says about a classic load balancer. Read-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError
from changeover.core.ports import Finding
from changeover.drivers.balancers import aws_flight
from changeover.drivers.balancers.alb_inspect import found
from changeover.drivers.balancers.elb_route import Terms, shares
from changeover.drivers.balancers.elb_survey import Survey, problems

if TYPE_CHECKING:
    from changeover.drivers.balancers.elb import ElbBalancer


def findings(balancer: ElbBalancer, terms: Terms) -> Sequence[Finding]:
    """Never raises for what it can report."""
    try:
        survey = balancer.survey()
    except ChangeoverError as error:
        return (found("AWS", error),)
    access = balancer.settings.access
    return (
        Finding("AWS", True, f"account {access.account}, {access.region}"),
        *_structure(balancer, survey, terms),
        *(_pool(balancer, pool) for pool in terms.pools),
        _shares(terms),
        Finding("in service", True, f"a new instance is in service after {survey.takes:.0f} s"),
        aws_flight.findings(balancer.settings.witness, survey.draining or 0.0, "drain", balancer.settings.drain_within),
        *(balancer.meter or balancer.cloudwatch()).inspect(),
    )


def _structure(balancer: ElbBalancer, survey: Survey, terms: Terms) -> Iterator[Finding]:
    wrong = list(problems(survey, terms))
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
        yield Finding("route", True, f"{route.live} is live; {len(survey.registered)} instances are registered")
    else:
        yield Finding("route", False, reading.problem, "see who changed it; the next commit registers the right ones")


def _pool(balancer: ElbBalancer, pool: str) -> Finding:
    ids, slots = balancer.settings.instances[pool], balancer.settings.slots[pool]
    subject = f"pool {pool}"
    if len(ids) != len(slots):
        fix = "name one EC2 instance for each instance of instances.pools, in the same order"
        return Finding(subject, False, f"{len(ids)} EC2 instances for {len(slots)} instances", fix)
    return Finding(subject, True, f"{len(ids)} instances: {', '.join(ids)}")


def _shares(terms: Terms) -> Finding:
    first, second = (*terms.pools, *terms.pools)[:2]
    words = ", ".join(f"{share / 100:.3g} %" for share in shares(terms, first, second))
    return Finding("shares", True, f"counted in instances, so a share is one of {words}; the nearest is taken")
