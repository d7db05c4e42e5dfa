"""The same by hand: AWS CLI commands that a person can copy. They are only written here, never run.

Every command takes its parameters as one JSON text, so that what stands there is what AWS gets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from shlex import quote
from typing import Any

from changeover.core.model import Route, Slot
from changeover.drivers.balancers import alb_route
from changeover.drivers.balancers.alb_survey import Plot, listener_of
from changeover.drivers.balancers.aws_flight import Witness
from changeover.drivers.balancers.aws_note import TAG, Note, encode
from changeover.drivers.balancers.aws_session import Access
from changeover.drivers.by_hand import demand, wait_until

SHOWN_WITHIN = 30.0  # seconds
HEALTHY_WITHIN = 300.0  # seconds


def set_route(route: Route, access: Access, plot: Plot) -> Sequence[str]:
    """Guard, note, every listener and rule, and a look that all of them show it. Raises BalancerRefused."""
    alb_route.demand(route, plot.terms)
    wanted = alb_route.actions(route, plot.terms)
    note = encode(Note(route, 0))
    tag = {"ResourceArns": [plot.places[0]], "Tags": [{"Key": TAG, "Value": note}]}
    return (
        f"# {route.live} gets {'everything' if not route.share else f'all but {route.share / 100:g} %'}",
        guard(access),
        aws(access, "elbv2 add-tags", tag),
        *(_modify(access, place, wanted) for place in plot.places),
        *(_shows(access, place, route, plot) for place in plot.places),
    )


def guard(access: Access) -> str:
    """Ends 0 only for the account of the configuration."""
    ask = aws(access, "sts get-caller-identity", None, "Account")
    words = f"these credentials are not those of the account {access.account}"
    return demand(f'[ "$({ask})" = {access.account} ]', words)


def aws(access: Access, command: str, parameters: Any, query: str = "") -> str:
    """One command line of the AWS CLI."""
    words = ["aws", *command.split(), "--region", access.region]
    if access.profile:
        words += ["--profile", access.profile]
    if access.endpoint:
        words += ["--endpoint-url", access.endpoint]
    if parameters is not None:
        words += ["--cli-input-json", json.dumps(parameters)]
    words += ["--query", query, "--output", "text"] if query else ["--output", "text"]
    return " ".join(map(quote, words))


def _modify(access: Access, place: str, wanted: Any) -> str:
    if _is_rule(place):
        return aws(access, "elbv2 modify-rule", {"RuleArn": place, "Actions": wanted}, "Rules[0].RuleArn")
    parameters = {"ListenerArn": place, "DefaultActions": wanted}
    return aws(access, "elbv2 modify-listener", parameters, "Listeners[0].ListenerArn")


def _is_rule(place: str) -> bool:
    return listener_of(place) != place


def _weight(access: Access, place: str, arn: str) -> str:
    """A command that prints the weight of a target group at a place."""
    group = f"ForwardConfig.TargetGroups[?TargetGroupArn=='{arn}'].Weight | []"
    if _is_rule(place):
        return aws(access, "elbv2 describe-rules", {"RuleArns": [place]}, f"Rules[0].Actions[0].{group}")
    return aws(access, "elbv2 describe-listeners", {"ListenerArns": [place]}, f"Listeners[0].DefaultActions[0].{group}")


def _shows(access: Access, place: str, route: Route, plot: Plot) -> str:
    weights = alb_route.weights(route, plot.terms)
    asks = [f'[ "$({_weight(access, place, plot.terms.groups[p])})" = {w} ]' for p, w in weights.items()]
    return wait_until(" && ".join(asks), SHOWN_WITHIN, f"{alb_route.short(place)} does not show the weights")


def demand_live(pool: str, access: Access, plot: Plot) -> Sequence[str]:
    """Ends 0 only if every listener and rule gives the pool everything."""
    others = [arn for name, arn in plot.terms.groups.items() if name != pool]
    own = plot.terms.groups[pool]
    return tuple(
        wait_until(
            " && ".join(
                [
                    f'[ "$({_weight(access, place, own)})" -gt 0 ]',
                    *(f'[ "$({_weight(access, place, other)})" = 0 ]' for other in others),
                ]
            ),
            SHOWN_WITHIN,
            f"{pool} does not have all of the traffic of {alb_route.short(place)}",
        )
        for place in plot.places
    )


def wait_healthy(pool: str, access: Access, plot: Plot) -> Sequence[str]:
    """Until AWS finds every target of the pool healthy."""
    arn = plot.terms.groups[pool]
    asked = "length(TargetHealthDescriptions[?TargetHealth.State{}'healthy'])"
    good, bad = (
        aws(access, "elbv2 describe-target-health", {"TargetGroupArn": arn}, asked.format(sign))
        for sign in ("==", "!=")
    )
    look = f'[ "$({good})" -gt 0 ] && [ "$({bad})" = 0 ]'
    return (wait_until(look, HEALTHY_WITHIN, f"AWS does not find every target of {pool} healthy"),)


def wait_drained(
    pool: str, slots: Sequence[Slot], witness: Witness | None, propagation: float, within: float
) -> Sequence[str]:
    """Until every instance counts zero, some time after the change; without a count, wait and say so."""
    settle = f"sleep {propagation:.0f}"
    if witness is None:
        words = f"# nobody counts what is in flight on {pool}: this waits as long as a request may last"
        return (words, f"sleep {within:.0f}")
    key = witness.in_flight.rpartition(".")[2]
    asks = [
        f"curl -sS -m 5 {quote(f'http://{slot.address}{witness.get}')} | grep -qE {quote(_zero(key))}" for slot in slots
    ]
    words = f"{pool} still has requests in flight, or an instance does not say; do not stop it"
    return (
        f"{settle}  # the load balancer's nodes hear of a change late",
        f"idle() {{ {' && '.join(asks)}; }}",
        wait_until("idle && sleep 1 && idle", within, words),
    )


def _zero(key: str) -> str:
    return f'"{key}" *: *0 *[,}}]'


def ask_preview(entry: str, header: str, secret_file: str) -> Sequence[str]:
    """Curl that asks the idle pool through the preview. A path is to be appended."""
    return (f'curl -sS -m 5 -H "{header}: $(cat {quote(secret_file)})" {quote(entry.rstrip("/"))}',)
