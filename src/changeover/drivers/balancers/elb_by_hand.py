"""The same by hand, for a classic load balancer: AWS CLI commands that a person can copy. They are only written here."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from changeover.core.model import Route, Slot
from changeover.drivers.balancers.alb_by_hand import aws, guard, wait_drained
from changeover.drivers.balancers.aws_note import TAG, Note, encode
from changeover.drivers.balancers.aws_session import Access
from changeover.drivers.balancers.elb_route import Terms, demand, members
from changeover.drivers.by_hand import wait_until

__all__ = ["demand_live", "set_route", "wait_answering", "wait_drained"]
IN_SERVICE_WITHIN = 600.0  # seconds
SHOWN_WITHIN = 30.0  # seconds


def set_route(route: Route, access: Access, name: str, terms: Terms) -> Sequence[str]:
    """Guard, note, register, wait until in service, deregister the rest, look. Raises BalancerRefused."""
    demand(route, terms)
    wanted = sorted(members(route, terms))
    rest = sorted({i for ids in terms.instances.values() for i in ids} - set(wanted))
    tag = {"LoadBalancerNames": [name], "Tags": [{"Key": TAG, "Value": encode(Note(route, 0))}]}
    return (
        f"# {route.live} gets {'everything' if not route.share else 'all but what instances of ' + route.candidate + ' get'}",
        guard(access),
        aws(access, "elb add-tags", tag),
        aws(access, "elb register-instances-with-load-balancer", _named(name, wanted), "length(Instances)"),
        wait_until(
            _in_service(access, name, wanted), IN_SERVICE_WITHIN, "an instance is not in service; take none out"
        ),
        *(_out(access, name, instance) for instance in rest),
        *_only(access, name, wanted),
    )


def _named(name: str, instances: Sequence[str]) -> dict[str, object]:
    return {"LoadBalancerName": name, "Instances": [{"InstanceId": i} for i in instances]}


def _in_service(access: Access, name: str, instances: Sequence[str]) -> str:
    ask = aws(
        access, "elb describe-instance-health", _named(name, instances), "length(InstanceStates[?State=='InService'])"
    )
    return f'[ "$({ask})" = {len(instances)} ]'


def _registered(access: Access, name: str, instance: str) -> str:
    query = f"length(LoadBalancerDescriptions[0].Instances[?InstanceId=='{instance}'])"
    return aws(access, "elb describe-load-balancers", {"LoadBalancerNames": [name]}, query)


def _out(access: Access, name: str, instance: str) -> str:
    """Take one out, if it is in."""
    leave = aws(access, "elb deregister-instances-from-load-balancer", _named(name, [instance]), "length(Instances)")
    return f'[ "$({_registered(access, name, instance)})" = 0 ] || {leave}'


def _only(access: Access, name: str, wanted: Sequence[str]) -> Sequence[str]:
    query = "join(' ', sort(LoadBalancerDescriptions[0].Instances[].InstanceId))"
    ask = aws(access, "elb describe-load-balancers", {"LoadBalancerNames": [name]}, query)
    look = f'[ "$({ask})" = {quote(" ".join(wanted))} ]'
    return (wait_until(look, SHOWN_WITHIN, f"{name} does not show who was registered"),)


def demand_live(pool: str, access: Access, name: str, terms: Terms) -> Sequence[str]:
    """Ends 0 only if all of the pool's instances are registered, and no others."""
    return _only(access, name, sorted(terms.instances[pool]))


def wait_answering(pool: str, slots: Sequence[Slot]) -> Sequence[str]:
    """Until every instance accepts connections; the load balancer does not check those that are not registered."""
    asks = [f"curl -sS -m 5 -o /dev/null http://{slot.address}/" for slot in slots]
    return (wait_until(" && ".join(asks), 60.0, f"an instance of {pool} does not answer"),)
