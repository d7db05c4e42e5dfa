"""A classic Elastic Load Balancer behind the balancer port: the route is who is registered.

What it cannot do, and what that means here:

* A flip is not one act: the new instances are registered, found in service, and only then the old ones are deregistered and
  drained. Until then both versions serve.
* A share is a count of instances (`elb_route`); no visitor keeps his side.
* An instance that is not registered is not checked: `health` asks it the load balancer's own question directly. There is no
  preview: smoke checks go to an instance of the idle pool itself.
* It compares nothing, evaluates no expiry, closes no single request, and tells nobody what is in flight (`aws_flight`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from changeover.core.errors import (
    AwsDenied,
    AwsRejected,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
)
from changeover.core.model import Counters, InFlight, PoolHealth, Route, RouteReading, Slot
from changeover.core.ports import Capabilities, Clock, Fence, Finding, Meter, Web
from changeover.drivers.balancers import aws_flight, aws_note, aws_policy, elb_by_hand
from changeover.drivers.balancers.aws_back import ReadBack, Reader, Shared
from changeover.drivers.balancers.aws_flight import Witness
from changeover.drivers.balancers.aws_meter import ELB, CloudWatch
from changeover.drivers.balancers.aws_note import TAG, Note
from changeover.drivers.balancers.aws_session import Access, Aws, given_up
from changeover.drivers.balancers.elb_inspect import findings
from changeover.drivers.balancers.elb_route import Terms, count, demand, derive, members, share_of
from changeover.drivers.balancers.elb_survey import Survey, look, problems
from changeover.drivers.balancers.pools import cannot_cut, no_such_pool
from changeover.drivers.clock import SystemClock
from changeover.drivers.web import HttpWeb

DELAY = 300.0  # seconds: AWS's default of connection draining
NOT_THERE = frozenset({"InvalidInstance", "InvalidEndPoint"})  # how AWS says that an instance is not registered


@dataclass(frozen=True, slots=True)
class ElbSettings:
    """`instances`: pool -> EC2 ids, by slot number; `slots`: pool -> where they listen. See `alb.AlbSettings` for the rest."""

    name: str
    access: Access
    load_balancer: str
    instances: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, tuple[Slot, ...]]
    entry: str
    witness: Witness | None = None
    propagation: float = 10.0
    quiet: float = 2.0
    read_back: ReadBack = field(default_factory=ReadBack)
    drain_within: float = 0.0
    metrics_lag: float = 180.0


@dataclass(frozen=True, slots=True)
class ElbBalancer:
    """The driver. All that it remembers is the newest note it has seen, to know an older one for a stale answer."""

    settings: ElbSettings
    clock: Clock = field(default_factory=SystemClock)
    web: Web = field(default_factory=HttpWeb)
    meter: Meter | None = None
    aws: Aws = field(init=False, repr=False)
    _terms: Terms = field(init=False, repr=False)
    _reader: Reader = field(init=False, repr=False)
    _shared: Shared[Survey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.settings
        object.__setattr__(self, "aws", Aws(settings.access, self.clock))
        object.__setattr__(self, "_terms", Terms(settings.instances))
        object.__setattr__(self, "_shared", Shared[Survey]())
        object.__setattr__(self, "_reader", Reader(self.clock, settings.read_back, settings.propagation))

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            expiry=False,
            compares=False,
            counts_fallbacks=False,
            finest_share=self._terms.finest,
            preview=False,
            sticky=False,
            counts_at_once=False,
            stale=self.settings.propagation,
            drain_evidence="application" if self.settings.witness else "time",
        )

    # looking ---------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        return findings(self, self._terms)

    def grants(self) -> Sequence[str]:
        return aws_policy.elb(self.settings.access, self.settings.load_balancer)

    def survey(self) -> Survey:
        """One look. Raises AwsAccountRefused, AwsDenied, BalancerUnreachable, BalancerMisconfigured."""
        return self._shared.anew(self._look)

    def _look(self, before: Survey | None) -> Survey:
        return look(self.aws, self.settings.load_balancer, self._terms, before)

    def read(self) -> RouteReading:
        """Raises also TargetGroupUnfit and BalancerMisconfigured: then nothing here is a route of changeover's."""
        return self._reading(self._reader.believed(self._sound, self._fits))

    def _fits(self, survey: Survey) -> bool:
        return self._reading(survey).settled and not self._reader.newest.stale(survey.note)

    def _sound(self) -> Survey:
        survey = self.survey()
        self._demand_sound(survey)
        return survey

    def _demand_sound(self, survey: Survey) -> None:
        for problem in problems(survey, self._terms):
            raise problem

    def _reading(self, survey: Survey) -> RouteReading:
        note, problem = aws_note.understood(survey.note)
        wanted = note.route if note is not None and self._knows(note.route) else None
        fits = wanted is not None and members(wanted, self._terms) == survey.registered
        running = wanted if fits else derive(survey.registered, self._terms)
        durable = wanted if wanted is not None else running
        if not problem and running is None:
            problem = f"registered are {', '.join(sorted(survey.registered)) or 'no instances'}, of no single pool"
        if not problem and running != durable:
            problem = "who is registered is not what changeover's note says: changed by hand, or half done"
        return RouteReading(self.name, {survey.name: running}, durable, problem)

    def _knows(self, route: Route) -> bool:
        return {route.live, route.candidate} <= set(self._terms.pools)

    # changing -----------------------------------------------------------------------------------------

    def stage(self, route: Route, fence: Fence) -> None:
        """Raises what a commit would raise, as far as it can be seen before anything is changed."""
        demand(route, self._terms)
        fence.check()
        survey = self._look_until_sure(route, fence)
        known, _ = aws_note.understood(survey.note)
        aws_note.demand(known, fence, survey.name)

    def _look_until_sure(self, route: Route, fence: Fence) -> Survey:
        return self._reader.catch_up(self._sound, lambda found: found.note, self._fits, route, fence)

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """Note; register and wait until all are in service; deregister; then looks in a row until all agree.

        Raises BalancerRefused when the new instances do not get into service: they are taken out again. Raises AwsRejected,
        FencedOut, TargetGroupUnfit; BalancerUnreachable when it is not known what was applied.
        """
        demand(route, self._terms)
        fence.check()
        survey = self._look_until_sure(route, fence)
        before = self._reading(survey)
        known, _ = aws_note.understood(survey.note)
        aws_note.demand(known, fence, survey.name)
        first = aws_note.before(route, fence, self.clock.now(), known, settled=before.settled)
        until = self.clock.boottime() + self.settings.read_back.within + survey.takes
        self._write_note(aws_note.encode(first), fence, until)
        self._enter(route, survey, fence, until)
        until = self.clock.boottime() + self.settings.read_back.within
        try:
            self._leave(route, fence, until)
        except (AwsRejected, AwsDenied) as error:
            raise given_up(error, "Instances of both pools are registered and serve.") from None
        note = aws_note.after(first, self.clock.now())
        if note != first:
            self._write_note(aws_note.encode(note), fence, until)
        survey = self._reader.settle(self.survey, lambda found: self._differs(found, route, note, fence), until)
        self._reader.newest.note = note
        return self._reading(survey)

    def nearest(self, route: Route) -> float:
        """What that many instances of the candidate get, beside all of the live pool."""
        return share_of(len(self._terms.instances[route.live]), count(route, self._terms))

    def _write_note(self, text: str, fence: Fence, until: float) -> None:
        names = [self.settings.load_balancer]
        if text:
            self.aws.write("elb", "add_tags", fence, until, LoadBalancerNames=names, Tags=[{"Key": TAG, "Value": text}])
        else:
            self.aws.write("elb", "remove_tags", fence, until, LoadBalancerNames=names, Tags=[{"Key": TAG}])

    def _enter(self, route: Route, survey: Survey, fence: Fence, until: float) -> None:
        """Register everybody who is wanted, and wait until AWS finds all of them in service."""
        wanted = members(route, self._terms)
        note, _ = aws_note.understood(survey.note)
        kept = members(note.route, self._terms) if note is not None and self._knows(note.route) else frozenset()
        new = wanted - survey.registered - kept
        try:
            self._register(wanted, fence, until)
            self._reader.settle(
                self.survey,
                lambda found: _missing([i for i in sorted(wanted) if not found.in_service(i)], found),
                until,
            )
        except (AwsRejected, AwsDenied) as error:
            raise given_up(error, self._take_out(new, survey.note, fence)) from None
        except BalancerRefused as error:
            now = self._take_out(new, survey.note, fence)
            raise BalancerRefused(error.what, now=now, next=("changeover doctor", *error.next)) from None

    def _take_out(self, new: frozenset[str], noted: str, fence: Fence) -> str:
        """As it was before the commit; gives what became of it, in words. Raises BalancerUnreachable, FencedOut."""
        until = self.clock.boottime() + self.settings.read_back.within
        known, _ = aws_note.understood(noted)
        try:
            self._deregister(new, fence, until)
            again = None if known is None else aws_note.again(known, fence, self.clock.now())
            self._reader.newest.note = again
            self._write_note(noted if again is None else aws_note.encode(again), fence, until)
        except (AwsRejected, AwsDenied):
            return "The instances that had been registered could not be taken out again: both pools are needed."
        return "The instances that had been registered were taken out again; who served before still serves."

    def _leave(self, route: Route, fence: Fence, until: float) -> None:
        """Deregister all of ours that are not wanted, whatever a look says: it may be stale."""
        ours = {i for ids in self._terms.instances.values() for i in ids}
        self._deregister(ours - members(route, self._terms), fence, until)

    def _register(self, instances: frozenset[str], fence: Fence, until: float) -> None:
        named = [{"InstanceId": i} for i in sorted(instances)]
        self.aws.write(
            "elb",
            "register_instances_with_load_balancer",
            fence,
            until,
            LoadBalancerName=self.settings.load_balancer,
            Instances=named,
        )

    def _deregister(self, instances: frozenset[str] | set[str], fence: Fence, until: float) -> None:
        for instance in sorted(instances):
            try:
                self.aws.write(
                    "elb",
                    "deregister_instances_from_load_balancer",
                    fence,
                    until,
                    LoadBalancerName=self.settings.load_balancer,
                    Instances=[{"InstanceId": instance}],
                )
            except AwsRejected as error:
                if error.reason not in NOT_THERE:
                    raise

    def _differs(self, survey: Survey, route: Route, note: Note, fence: Fence) -> str:
        known, _ = aws_note.understood(survey.note)
        aws_note.demand(known, fence, survey.name)
        wanted = members(route, self._terms)
        if survey.registered != wanted:
            late = ", ".join(sorted(survey.registered ^ wanted))
            return f"{survey.name} does not show who was asked: {late}"
        missing = [i for i in sorted(wanted) if not survey.in_service(i)]
        if missing:
            return _missing(missing, survey)
        return "" if survey.note == aws_note.encode(note) else "the note is not the one that was written"

    # pools -------------------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        """Of registered instances what AWS says; of the others what they answer to the load balancer's own question."""
        self._demand_pool(pool)
        survey = self._shared.together(self._look)
        ids, slots = self.settings.instances[pool], self.settings.slots[pool]
        notes: list[str] = []
        healthy = 0
        for instance, slot in zip(ids, slots, strict=False):
            if instance in survey.registered:
                good, note = survey.in_service(instance), " ".join(survey.states.get(instance, ("unknown", "")))
            else:
                good, note = self._answers(slot, survey)
            healthy += good
            notes += [] if good else [f"{slot.name} ({instance}): {note}"]
        return PoolHealth(healthy, len(ids), "; ".join(notes))

    def _answers(self, slot: Slot, survey: Survey) -> tuple[bool, str]:
        """The health check of the load balancer, made from here."""
        protocol, _, rest = str(survey.check.get("Target", "TCP:80")).partition(":")
        path = "/" + rest.partition("/")[2]
        answer = self.web.get(f"http://{slot.address}{path}", timeout=float(survey.check.get("Timeout", 5)))
        good = answer.status == 200 if protocol in ("HTTP", "HTTPS") else answer.status != 0
        return good, f"not registered; asked from here it answers {answer.status or answer.note}"

    def in_flight(self, pool: str) -> InFlight:
        self._demand_pool(pool)
        settings = self.settings
        try:
            survey = self._shared.together(self._look)
            self._demand_sound(survey)
            moment = self._moment(survey, pool)
            if settings.witness is None:
                return aws_flight.by_time(survey.draining or DELAY, moment)
            seen = aws_flight.ask(self.web, settings.witness, settings.slots[pool], settings.access.timeout)
        except ChangeoverError as error:
            return InFlight(None, None, error.what)
        return aws_flight.by_application(seen, moment)

    def _moment(self, survey: Survey, pool: str) -> aws_flight.Moment:
        """An instance of the pool that is still registered gets requests, whatever the note says."""
        settings, now = self.settings, self.clock.now()
        note, _ = aws_note.understood(survey.note)
        carries = bool(survey.registered & set(settings.instances[pool])) or self._reader.newest.stale(survey.note)
        carries = carries or (note is not None and bool(note.route.share_of(pool, 0.0)))
        asked = note.asked(now) if note is not None else 0.0  # without a note nobody knows since when
        return aws_flight.Moment(carries, asked, now, settings.propagation, settings.quiet)

    def counters(self, pool: str) -> Counters:
        """What the meter has counted. CloudWatch counts the whole load balancer: then both pools have the same counts."""
        self._demand_pool(pool)
        return (self.meter or self.cloudwatch()).counters(pool)

    def cloudwatch(self) -> CloudWatch:
        name = {"LoadBalancerName": self.settings.load_balancer}
        return CloudWatch(self.aws, self.clock, dict.fromkeys(self._terms.pools, name), ELB, self.settings.metrics_lag)

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused, always: nothing is closed before connection draining is over."""
        self._demand_pool(pool)
        fence.check()
        self.survey()
        raise cannot_cut("a classic load balancer", pool)

    def _demand_pool(self, pool: str) -> None:
        if pool not in self.settings.instances:
            raise no_such_pool(f"the balancer {self.name}", pool, self.settings.instances, "`instances`")

    # preview and people ---------------------------------------------------------------------------------

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """An instance of the idle pool itself, with no secret: this balancer leads nobody there."""
        return f"http://{self.settings.slots[self._idle()][0].address}", {}

    def _idle(self) -> str:
        route = self.read().route
        if route is None:
            raise BalancerUnreachable(
                f"it is not known which pool of {self.name} is idle", next=("changeover status", "changeover doctor")
            )
        if route.candidate != route.live:
            return route.candidate
        return next(p for p in self._terms.pools if p != route.live)

    def entry(self) -> str:
        return self.settings.entry

    def by_hand(self, route: Route) -> Sequence[str]:
        return elb_by_hand.set_route(route, self.settings.access, self.settings.load_balancer, self._terms)

    def by_hand_live(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return elb_by_hand.demand_live(pool, self.settings.access, self.settings.load_balancer, self._terms)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return elb_by_hand.wait_answering(pool, self.settings.slots[pool])

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        self._demand_pool(pool)
        settings = self.settings
        return elb_by_hand.wait_drained(pool, settings.slots[pool], settings.witness, settings.propagation, within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return (f"curl -sS -m 5 http://{self.settings.slots[pool][0].address}",)


def _missing(instances: Sequence[str], survey: Survey) -> str:
    if not instances:
        return ""
    words = ", ".join(f"{i} is {' '.join(survey.states.get(i, ('not registered', '')))}".strip() for i in instances)
    return f"not every instance is in service: {words}"
