"""An Application Load Balancer behind the balancer port: one target group per pool, the route in the weights.

What an ALB cannot do, and what that means here:

* Several listeners or rules are changed one after the other; until the last one, visitors may meet either version.
* It compares nothing: between the look at the newest fence and a write, a stale actor may still write
  (`capabilities.compares`). The new owner's read-back corrects it.
* It evaluates no expiry, closes no single request, serves no visitor of a dead group from the other one, and takes no header
  away: the preview's secret reaches the application.
* It tells nobody what is in flight (`aws_flight`).

A describe may be stale for seconds. So a commit returns only after several looks in a row agree, and `read` believes a
disagreement between weights and note only when it has lasted as long as changes take to spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from changeover.core.errors import (
    AwsDenied,
    AwsRejected,
    BalancerMisconfigured,
    ChangeoverError,
)
from changeover.core.model import ALL, Counters, InFlight, PoolHealth, Route, RouteReading, Slot
from changeover.core.ports import Capabilities, Clock, Fence, Finding, Meter, Web
from changeover.drivers.balancers import alb_by_hand, aws_flight, aws_note, aws_policy
from changeover.drivers.balancers.alb_inspect import FREE_PRIORITY, findings
from changeover.drivers.balancers.alb_route import (
    PREVIEW_HEADER,
    STEP,
    NotARoute,
    Terms,
    actions,
    demand,
    parse,
    preview_actions,
    split,
)
from changeover.drivers.balancers.alb_survey import Plot, Rule, Survey, holder, look, problems
from changeover.drivers.balancers.aws_back import ReadBack, Reader, Shared
from changeover.drivers.balancers.aws_flight import Witness
from changeover.drivers.balancers.aws_meter import CloudWatch
from changeover.drivers.balancers.aws_note import TAG, Note
from changeover.drivers.balancers.aws_secret import Secret
from changeover.drivers.balancers.aws_session import Access, Aws, demand_ours, given_up
from changeover.drivers.balancers.pools import cannot_cut, no_such_pool
from changeover.drivers.clock import SystemClock
from changeover.drivers.web import HttpWeb

DELAY_KEY: Final = "deregistration_delay.timeout_seconds"
DELAY: Final = 300.0  # seconds: AWS's default
PUT_BACK: Final = "What had been changed before was put back."


@dataclass(frozen=True, slots=True)
class AlbSettings:
    """`listeners` are ARNs of listeners and rules, the first with the preview beside it. `slots`: pool -> its instances.

    `propagation` is how long a change may take to reach every node of the load balancer; `quiet` is how long nothing must have
    arrived on a pool that counts as drained. Seconds.
    """

    name: str
    access: Access
    listeners: tuple[str, ...]
    groups: Mapping[str, str]
    slots: Mapping[str, tuple[Slot, ...]]
    entry: str
    preview_secret_file: str
    preview_priority: int = 1
    sticky: float = 3600.0
    leave_others: bool = False
    witness: Witness | None = None
    propagation: float = 10.0
    quiet: float = 2.0
    read_back: ReadBack = field(default_factory=ReadBack)
    ready_within: float = 0.0  # how long instances may take to get ready, 0: not known
    drain_within: float = 0.0  # how long a drain may take, 0: not known
    metrics_lag: float = 180.0


@dataclass(frozen=True, slots=True)
class AlbBalancer:
    """The driver. All that it remembers is the newest note it has seen, to know an older one for a stale answer."""

    settings: AlbSettings
    clock: Clock = field(default_factory=SystemClock)
    web: Web = field(default_factory=HttpWeb)
    meter: Meter | None = None
    aws: Aws = field(init=False, repr=False)
    _plot: Plot = field(init=False, repr=False)
    _secret: Secret = field(init=False, repr=False)
    _reader: Reader = field(init=False, repr=False)
    _shared: Shared[Survey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.settings
        object.__setattr__(self, "aws", Aws(settings.access, self.clock))
        terms = Terms(settings.groups, round(settings.sticky))
        object.__setattr__(self, "_plot", Plot(settings.listeners, terms, settings.leave_others))
        object.__setattr__(self, "_shared", Shared[Survey]())
        object.__setattr__(self, "_reader", Reader(self.clock, settings.read_back, settings.propagation))
        object.__setattr__(self, "_secret", Secret(settings.preview_secret_file))

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            expiry=False,
            compares=False,
            counts_fallbacks=False,
            finest_share=STEP,
            hides_preview=False,
            moves_settled=False,
            falls_back=False,
            counts_at_once=False,
            stale=self.settings.propagation,
            drain_evidence="application" if self.settings.witness else "time",
        )

    # looking ---------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        return findings(self, self._plot, self._secret)

    def grants(self) -> Sequence[str]:
        return aws_policy.alb(self.settings.access, self.settings.listeners, tuple(self.settings.groups.values()))

    def survey(self) -> Survey:
        """One look. Raises what stands in the way: AwsAccountRefused, AwsDenied, BalancerUnreachable, BalancerMisconfigured."""
        for arn in (*self.settings.listeners, *self.settings.groups.values()):
            demand_ours(self.settings.access, arn)
        return self._shared.anew(self._look)

    def _look(self, before: Survey | None) -> Survey:
        return look(self.aws, self._plot, before)

    def _together(self) -> Survey:
        """A look that may be shared with whoever asks at the same time, and is sound."""
        for arn in (*self.settings.listeners, *self.settings.groups.values()):
            demand_ours(self.settings.access, arn)
        found = self._shared.together(self._look)
        self._demand_sound(found)
        return found

    def read(self) -> RouteReading:
        """Raises also ListenerForeign, TargetGroupUnfit and WeightsUnusable: then nothing here is a route of changeover's."""
        return self._reading(self._reader.believed(self._sound, self._fits))

    def _fits(self, survey: Survey) -> bool:
        return self._reading(survey).settled and not self._reader.newest.stale(survey.note)

    def _sound(self) -> Survey:
        survey = self.survey()
        self._demand_sound(survey)
        return survey

    def _demand_sound(self, survey: Survey) -> None:
        for problem in problems(survey, self._plot):
            raise problem

    def _reading(self, survey: Survey) -> RouteReading:
        terms = self._plot.terms
        note, strange = aws_note.understood(survey.note)
        wanted = (
            note.route if note is not None and {note.route.live, note.route.candidate} <= set(terms.pools) else None
        )
        workers: dict[str, Route | None] = {}
        for place in survey.places:
            assert place is not None, "asked for before"
            forward = parse(place.actions, terms)
            fits = wanted is not None and forward.gives(wanted, terms)
            workers[place.name] = wanted if fits else forward.route()
        routes = set(workers.values())
        durable = wanted
        if wanted is None and len(routes) == 1:
            durable = next(iter(routes))  # nobody has left a note: what runs is all there is
        problem = strange
        if not problem and len(routes) > 1:
            problem = "the listeners and rules do not agree: " + _told(workers)
        if not problem and routes != {durable}:
            problem = f"{_told(workers)}, and changeover's note says {_words(durable)}: changed by hand, or half done"
        return RouteReading(self.name, workers, durable, problem)

    # changing -----------------------------------------------------------------------------------------

    def stage(self, route: Route, fence: Fence) -> None:
        """Raises what a commit would raise, as far as it can be seen before anything is changed."""
        demand(route, self._plot.terms)
        fence.check()
        self._demand_possible(self._look_until_sure(route, fence), fence)

    def _look_until_sure(self, route: Route, fence: Fence) -> Survey:
        return self._reader.catch_up(self._sound, lambda found: found.note, self._fits, route, fence)

    def _demand_possible(self, survey: Survey, fence: Fence) -> None:
        known, _ = aws_note.understood(survey.note)
        aws_note.demand(known, fence, self._noted())
        priority = self.settings.preview_priority
        other = holder(survey, priority)
        if other is not None:
            raise AwsRejected(
                f"the preview's rule cannot be made: the priority {priority} belongs to another rule: {other.name}",
                reason="PriorityInUse",
                next=(FREE_PRIORITY, "changeover doctor"),
            )

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """Note, listeners and rules, preview; then looks in a row until all agree. What AWS refuses half way is put back.

        Raises BalancerRefused, AwsRejected, FencedOut, ListenerForeign, TargetGroupUnfit; BalancerUnreachable when it is not
        known what was applied.
        """
        demand(route, self._plot.terms)
        fence.check()
        survey = self._look_until_sure(route, fence)
        until = self.clock.boottime() + self.settings.read_back.within
        before = self._reading(survey)
        self._demand_possible(survey, fence)
        known, _ = aws_note.understood(survey.note)
        first = aws_note.before(route, fence, self.clock.now(), known, settled=before.settled)
        self._write_note(first, fence, until)
        changed: list[Rule] = []
        try:
            for place in survey.places:
                assert place is not None, "asked for before"
                changed.append(place)
                self._forward(place, actions(route, self._plot.terms), fence, until)
            self._show_preview(survey, route, fence, until)
        except (AwsRejected, AwsDenied) as error:
            raise given_up(error, self._put_back(changed, survey.note, fence)) from None
        note = aws_note.after(first, self.clock.now())
        if note != first:
            self._write_note(note, fence, until)
        return self._settle(route, note, fence, until)

    def nearest(self, route: Route) -> float:
        """What weights that add up to 1000 give."""
        live, candidate = split(route.share)
        return ALL * candidate / (live + candidate)

    def _noted(self) -> str:
        return self.settings.listeners[0]

    def _write_note(self, note: Note, fence: Fence, until: float) -> None:
        tags = [{"Key": TAG, "Value": aws_note.encode(note)}]
        self.aws.write("elbv2", "add_tags", fence, until, ResourceArns=[self._noted()], Tags=tags)

    def _forward(self, place: Rule, what: Sequence[Mapping[str, Any]], fence: Fence, until: float) -> None:
        if place.default:
            self.aws.write(
                "elbv2", "modify_listener", fence, until, ListenerArn=place.listener, DefaultActions=list(what)
            )
        else:
            self.aws.write("elbv2", "modify_rule", fence, until, RuleArn=place.arn, Actions=list(what))

    def _show_preview(self, survey: Survey, route: Route, fence: Fence, until: float) -> None:
        """The rule with the secret, made if it is absent, leading to the idle pool."""
        wanted = preview_actions(route, self._plot.terms)
        if survey.preview is not None:
            self._forward(survey.preview, wanted, fence, until)
            return
        first = survey.places[0]
        assert first is not None, "asked for before"
        header = {"HttpHeaderName": PREVIEW_HEADER, "Values": [self._secret.value()]}
        conditions = [*map(_bare, first.conditions), {"Field": "http-header", "HttpHeaderConfig": header}]
        try:
            self.aws.write(
                "elbv2",
                "create_rule",
                fence,
                until,
                ListenerArn=first.listener,
                Conditions=conditions,
                Priority=self.settings.preview_priority,
                Actions=wanted,
            )
        except AwsRejected as error:
            if error.reason != "PriorityInUse":
                raise
            ours = self._reader.believed(self.survey, lambda found: found.preview is not None).preview
            if ours is None:
                raise
            self._forward(ours, wanted, fence, until)  # made by an earlier try whose reply was lost

    def _put_back(self, changed: Sequence[Rule], noted: str, fence: Fence) -> str:
        """As it was before the commit; gives what became of it, in words. Raises BalancerUnreachable, FencedOut.

        The note goes back with the last of them only: while something has the new weights, it must say so.
        """
        until = self.clock.boottime() + self.settings.read_back.within
        refused: list[Rule] = []
        for place in reversed(changed):
            try:
                self._forward(place, _bare_actions(place.actions), fence, until)
            except (AwsRejected, AwsDenied):
                refused.append(place)
        left = [p.name for p in refused if p is not changed[-1] or not self._untouched(p, until)]
        if not left:
            left += self._note_back(noted, fence, until)
        return f"{' and '.join(left)} could not be put back: both pools are needed." if left else PUT_BACK

    def _untouched(self, place: Rule, until: float) -> bool:
        """Whether what was refused has what it had: a try before may have been applied, and its reply lost."""
        self.clock.sleep(self.settings.propagation)  # until no answer is older than the last write
        survey = self._reader.patient(self.survey, max(until, self.clock.boottime() + self.settings.read_back.within))
        shown = next((p for p in survey.places if p is not None and p.arn == place.arn), None)
        terms = self._plot.terms
        return shown is not None and parse(shown.actions, terms) == parse(place.actions, terms)

    def _note_back(self, noted: str, fence: Fence, until: float) -> list[str]:
        """The note of before, or none; gives what could not be put back."""
        known, _ = aws_note.understood(noted)
        again = None if known is None else aws_note.again(known, fence, self.clock.now())
        try:
            if noted:
                tags = [{"Key": TAG, "Value": noted if again is None else aws_note.encode(again)}]
                self.aws.write("elbv2", "add_tags", fence, until, ResourceArns=[self._noted()], Tags=tags)
            else:
                self.aws.write("elbv2", "remove_tags", fence, until, ResourceArns=[self._noted()], TagKeys=[TAG])
        except (AwsRejected, AwsDenied):
            return ["the note"]
        self._reader.newest.note = again
        return []

    def _settle(self, route: Route, note: Note, fence: Fence, until: float) -> RouteReading:
        wanted = aws_note.encode(note)

        def differs(survey: Survey) -> str:
            known, _ = aws_note.understood(survey.note)
            aws_note.demand(known, fence, self._noted())
            return self._differs(survey, route, wanted)

        survey = self._reader.settle(self.survey, differs, until)
        self._reader.newest.note = note
        return self._reading(survey)

    def _differs(self, survey: Survey, route: Route, note: str) -> str:
        """Why this look is not exactly what was asked; "" if it is."""
        terms = self._plot.terms
        for place in survey.places:
            try:
                if place is None or not parse(place.actions, terms).gives(route, terms):
                    return f"{place.name if place else 'a listener'} does not show the weights that were asked"
            except NotARoute as error:
                return f"{place.name if place else 'a listener'}: {error}"
        shown = survey.preview
        if shown is None or _targets(shown.actions) != _targets(preview_actions(route, terms)):
            return "the preview does not lead to the idle pool"
        return "" if survey.note == note else "the note is not the one that was written"

    # pools -------------------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        self._demand_pool(pool)
        found = self.targets(pool)
        good = [t for t in found if t["TargetHealth"].get("State") == "healthy"]
        bad = [t for t in found if t["TargetHealth"].get("State") not in ("healthy", "draining")]
        words = "; ".join(f"{_address(t)} {_state(t)}" for t in bad)
        return PoolHealth(len(good), len(good) + len(bad), words)

    def targets(self, pool: str) -> list[Mapping[str, Any]]:
        """The targets of the pool's group as AWS describes them. Raises TargetGroupUnfit if there is no such group."""
        arn = self.settings.groups[pool]
        demand_ours(self.settings.access, arn)
        try:
            answer = self.aws.look("elbv2", "describe_target_health", TargetGroupArn=arn)
        except AwsRejected as error:
            raise BalancerMisconfigured(error.what, next=("changeover doctor",)) from None
        return list(answer["TargetHealthDescriptions"])

    def delay(self, pool: str) -> float:
        """The group's own deregistration delay, seconds."""
        answer = self.aws.look("elbv2", "describe_target_group_attributes", TargetGroupArn=self.settings.groups[pool])
        found = {a["Key"]: a["Value"] for a in answer["Attributes"]}
        return float(found.get(DELAY_KEY, DELAY))

    def in_flight(self, pool: str) -> InFlight:
        self._demand_pool(pool)
        settings = self.settings
        try:
            survey = self._together()
            reading = self._reading(survey)
            moment = self._moment(survey, reading, pool)
            if settings.witness is None:
                return aws_flight.by_time(self.delay(pool), moment)
            seen = aws_flight.ask(self.web, settings.witness, settings.slots[pool], settings.access.timeout)
        except ChangeoverError as error:
            return InFlight(None, None, error.what)
        return aws_flight.by_application(seen, moment)

    def _moment(self, survey: Survey, reading: RouteReading, pool: str) -> aws_flight.Moment:
        """Whether anything may still go to the pool, by what any listener, rule or the note says."""
        settings, now = self.settings, self.clock.now()
        note, _ = aws_note.understood(survey.note)
        says = [*reading.workers.values(), reading.durable]
        carries = any(r is None or r.share_of(pool, 0.0) for r in says) or self._reader.newest.stale(survey.note)
        asked = note.asked(now) if note is not None else 0.0  # without a note nobody knows since when
        return aws_flight.Moment(carries, asked, now, settings.propagation, settings.quiet)

    def counters(self, pool: str) -> Counters:
        """What CloudWatch, or whatever meter was given, has counted."""
        self._demand_pool(pool)
        if self.meter is not None:
            return self.meter.counters(pool)
        return self.cloudwatch().counters(pool)

    def cloudwatch(self) -> CloudWatch:
        balancer = "/".join(self.settings.listeners[0].rpartition(":")[2].split("/")[1:4])
        return CloudWatch(
            self.aws,
            self.clock,
            {
                pool: {"TargetGroup": arn.rpartition(":")[2], "LoadBalancer": balancer}
                for pool, arn in self.settings.groups.items()
            },
            lag=self.settings.metrics_lag,
        )

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused, always: an ALB closes no request before the deregistration delay is over."""
        self._demand_pool(pool)
        fence.check()
        self.survey()
        raise cannot_cut("an ALB", pool)

    def _demand_pool(self, pool: str) -> None:
        if pool not in self.settings.groups:
            raise no_such_pool(f"the balancer {self.name}", pool, self.settings.groups, "target_groups")

    # preview and people ---------------------------------------------------------------------------------

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """The secret in use: that of the rule, which may be older than the secret's own file."""
        shown = self.survey().preview
        return self.settings.entry, {PREVIEW_HEADER: shown.secret if shown is not None else self._secret.value()}

    def entry(self) -> str:
        return self.settings.entry

    def by_hand(self, route: Route) -> Sequence[str]:
        return alb_by_hand.set_route(route, self.settings.access, self._plot)

    def by_hand_live(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return alb_by_hand.demand_live(pool, self.settings.access, self._plot)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return alb_by_hand.wait_healthy(pool, self.settings.access, self._plot)

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        self._demand_pool(pool)
        settings = self.settings
        return alb_by_hand.wait_drained(pool, settings.slots[pool], settings.witness, settings.propagation, within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        path = self.settings.preview_secret_file
        return alb_by_hand.ask_preview(self.settings.entry, PREVIEW_HEADER, path)


def _told(workers: Mapping[str, Route | None]) -> str:
    return ", ".join(f"{name} gives {_words(route)}" for name, route in workers.items())


def _words(route: Route | None) -> str:
    if route is None:
        return "nothing that is known"
    return f"{route.live}, {route.share / 100:g} % {route.candidate}" if route.share else route.live


def _targets(found: Sequence[Mapping[str, Any]]) -> list[str]:
    groups = [g for a in found for g in (a.get("ForwardConfig") or {}).get("TargetGroups", [])]
    return sorted(str(g["TargetGroupArn"]) for g in groups) or [str(a.get("TargetGroupArn")) for a in found]


def _bare(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition as it may be sent: AWS describes some with an old field beside the new one, and refuses both at once."""
    return {k: v for k, v in condition.items() if k == "Field" or k.endswith("Config") or not _configured(condition)}


def _configured(condition: Mapping[str, Any]) -> bool:
    return any(key.endswith("Config") for key in condition)


def _bare_actions(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Actions as they may be sent again: with the groups in one place only."""
    return [{k: v for k, v in a.items() if k != "TargetGroupArn" or "ForwardConfig" not in a} for a in found]


def _address(target: Mapping[str, Any]) -> str:
    return f"{target['Target'].get('Id')}:{target['Target'].get('Port')}"


def _state(target: Mapping[str, Any]) -> str:
    found = target["TargetHealth"]
    return " ".join(
        str(w) for w in (found.get("State", "unknown"), found.get("Reason", ""), found.get("Description", "")) if w
    )
