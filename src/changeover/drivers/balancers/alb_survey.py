"""One look at everything that concerns the environment on its ALBs, and what is wrong with it. The look calls, the judging is pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changeover.core.errors import (
    AwsRejected,
    BalancerMisconfigured,
    ChangeoverError,
    ListenerForeign,
    TargetGroupUnfit,
    WeightsUnusable,
)
from changeover.drivers.balancers import aws_note
from changeover.drivers.balancers.alb_route import PREVIEW_HEADER, NotARoute, Terms, mentions, parse, short
from changeover.drivers.balancers.aws_session import Aws

LEFT = ("set it back, or name it under `listeners:` if it is the application's", "changeover doctor")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, or the default of a listener. `priority` is AWS's: a number as text, or `default`."""

    arn: str
    listener: str
    port: int
    balancer: str
    priority: str
    conditions: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]

    @property
    def default(self) -> bool:
        return self.priority == "default"

    @property
    def name(self) -> str:
        """`web:80`, or `web:80 rule 10`."""
        where = f"{self.balancer.split('/')[-2]}:{self.port}"
        return where if self.default else f"{where} rule {self.priority}"

    @property
    def is_preview(self) -> bool:
        return any(_header(c) == PREVIEW_HEADER for c in self.conditions)

    @property
    def secret(self) -> str:
        """The value of the preview's header, "" if this is no preview."""
        values = [c["HttpHeaderConfig"].get("Values", [""]) for c in self.conditions if _header(c) == PREVIEW_HEADER]
        return str(values[0][0]) if values else ""


def _header(condition: Mapping[str, Any]) -> str:
    return str((condition.get("HttpHeaderConfig") or {}).get("HttpHeaderName", "")).lower()


@dataclass(frozen=True, slots=True)
class Survey:
    """`places` are the configured listeners and rules in their order, None where there is none; `rules` are all others.

    `preview` is that of `rules` which leads to our groups by the secret header, beside the first place: another application
    on the same listener has one of its own.
    """

    places: tuple[Rule | None, ...]
    rules: tuple[Rule, ...]
    groups: Mapping[str, Mapping[str, Any]]  # pool -> as AWS describes it
    networks: Mapping[str, str]  # load balancer -> VPC
    note: str = ""
    preview: Rule | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """What is looked at. `left`: rules of others on our listeners are left alone, on the word of the configuration."""

    places: tuple[str, ...]
    terms: Terms
    left: bool = False


def load_balancer_of(arn: str) -> str:
    """The ARN of the load balancer of a listener or rule."""
    head, _, tail = arn.partition(":listener")
    words = tail.split("/")
    return f"{head}:loadbalancer/{'/'.join(words[1:4])}"


def listener_of(arn: str) -> str:
    """The ARN of the listener of a rule; of a listener, itself."""
    head, rule, tail = arn.partition(":listener-rule/")
    return f"{head}:listener/{'/'.join(tail.split('/')[:4])}" if rule else arn


def look(aws: Aws, plot: Plot, before: Survey | None = None) -> Survey:
    """Every listener and rule of the load balancers in question. `before` is an earlier look: a VPC never changes.

    Raises what calls raise, TargetGroupUnfit, BalancerMisconfigured.
    """
    balancers = list(dict.fromkeys(map(load_balancer_of, plot.places)))
    try:
        listeners = [
            one
            for balancer in balancers
            for one in aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=balancer)
        ]
        rules = [rule for listener in listeners for rule in read_rules(aws, listener)]
        networks = before.networks if before is not None else _networks(aws, balancers)
        groups = aws.look("elbv2", "describe_target_groups", TargetGroupArns=list(plot.terms.groups.values()))
        tags = aws.look("elbv2", "describe_tags", ResourceArns=[plot.places[0]])["TagDescriptions"]
    except AwsRejected as error:
        raise _gone(error) from None
    by_arn = {g["TargetGroupArn"]: g for g in groups["TargetGroups"]}
    found = tuple(next((r for r in rules if _is(r, place)), None) for place in plot.places)
    ours = {r.arn for r in found if r is not None}
    others = tuple(r for r in rules if r.arn not in ours)
    first = found[0].listener if found[0] is not None else ""
    return Survey(
        found,
        others,
        {pool: by_arn[arn] for pool, arn in plot.terms.groups.items() if arn in by_arn},
        networks,
        aws_note.read(tags[0].get("Tags")) if tags else "",
        next((r for r in others if r.listener == first and leads(r, plot.terms)), None),
    )


def leads(rule: Rule, terms: Terms) -> bool:
    """Whether it is a preview of ours."""
    return rule.is_preview and mentions(rule.actions, terms)


def _networks(aws: Aws, balancers: list[str]) -> Mapping[str, str]:
    found = aws.look("elbv2", "describe_load_balancers", LoadBalancerArns=balancers)["LoadBalancers"]
    return {b["LoadBalancerArn"]: str(b.get("VpcId", "")) for b in found}


def _is(rule: Rule, place: str) -> bool:
    return rule.arn == place or (rule.default and rule.listener == place)


def read_rules(aws: Aws, listener: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules of a listener as it is described, its default among them."""
    arn = str(listener["ListenerArn"])
    for rule in aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=arn):
        yield Rule(
            str(rule["RuleArn"]),
            arn,
            int(listener.get("Port", 0)),
            str(listener["LoadBalancerArn"]),
            "default" if rule.get("IsDefault") else str(rule.get("Priority", "")),
            tuple(rule.get("Conditions", ())),
            tuple(rule.get("Actions", ())),
        )


def _gone(error: AwsRejected) -> ChangeoverError:
    if "TargetGroup" in error.reason:
        return TargetGroupUnfit(error.what, next=("correct target_groups in changeover.yml", "changeover doctor"))
    if "NotFound" in error.reason:
        return BalancerMisconfigured(error.what, next=("correct `listeners` in changeover.yml", "changeover doctor"))
    return error


def problems(survey: Survey, plot: Plot) -> Iterator[ChangeoverError]:
    """What makes it impossible to work here; each one named."""
    terms = plot.terms
    for arn, place in zip(plot.places, survey.places, strict=True):
        if place is None:
            yield BalancerMisconfigured(
                f"there is no {arn}", next=("correct `listeners` in changeover.yml", "changeover doctor")
            )
            continue
        try:
            parse(place.actions, terms).route()
        except NotARoute as error:
            kind = WeightsUnusable if error.weights else ListenerForeign
            yield kind(f"{place.name}: {error}", now="It was left as it is.", next=LEFT)
    yield from _groups(survey, terms)
    yield from _others(survey, plot)


def _groups(survey: Survey, terms: Terms) -> Iterator[ChangeoverError]:
    again = ("correct target_groups in changeover.yml, or the target group", "changeover doctor")
    for pool, arn in terms.groups.items():
        group = survey.groups.get(pool)
        if group is None:
            yield TargetGroupUnfit(f"the target group {short(arn)} of {pool} does not exist", next=again)
            continue
        vpc = group.get("VpcId", "")
        for balancer, network in survey.networks.items():
            if vpc != network:
                where = f"it is in {vpc}, the load balancer {balancer.split('/')[-2]} in {network}"
                yield TargetGroupUnfit(
                    f"the target group {short(arn)} of {pool} is in another VPC: {where}", next=again
                )
        for elsewhere in group.get("LoadBalancerArns", ()):
            if elsewhere not in survey.networks:
                name = elsewhere.split("/")[-2]
                yield TargetGroupUnfit(
                    f"the target group {short(arn)} of {pool} is attached to another load balancer: {name}",
                    next=("name every listener that forwards to it under `listeners`, or use a group of its own",),
                )
    protocols = {p: (g.get("Protocol"), g.get("ProtocolVersion")) for p, g in survey.groups.items()}
    if len(set(protocols.values())) > 1:
        words = ", ".join(f"{pool} {'/'.join(map(str, p))}" for pool, p in protocols.items())
        yield TargetGroupUnfit(f"the target groups speak different protocols: {words}", next=again)


def _others(survey: Survey, plot: Plot) -> Iterator[ChangeoverError]:
    """Rules beside ours. One that sends anybody to our pools is never left alone: a flip would not move its visitors."""
    whole = {p.listener for p in survey.places if p is not None and p.default}
    for rule in survey.rules:
        if leads(rule, plot.terms):
            continue
        if mentions(rule.actions, plot.terms):
            yield ListenerForeign(
                f"{rule.name} sends requests to the target groups and is not in `listeners`: a flip would not move them",
                next=(f"add {rule.listener if rule.default else rule.arn} to `listeners`", "or remove it"),
            )
        elif rule.listener in whole and not plot.left:
            yield ListenerForeign(
                f"{rule.name} ({_words(rule)}) is a rule that changeover does not own",
                next=("if it belongs to somebody else: other_rules: leave", "or remove it"),
            )


def _words(rule: Rule) -> str:
    kinds = ", ".join(str(c.get("Field", "?")) for c in rule.conditions) or "everything"
    return f"{kinds}: {', '.join(str(a.get('Type', '?')) for a in rule.actions)}"


def left_alone(survey: Survey, plot: Plot) -> Sequence[str]:
    """The rules of others that are left alone on the word of the configuration, for `doctor`."""
    return [f"{r.name} ({_words(r)})" for r in survey.rules if not r.default and not mentions(r.actions, plot.terms)]
