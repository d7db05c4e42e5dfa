"""The balancers of AWS, wired. boto3 is imported by the first call, not here."""

from __future__ import annotations

from changeover.core.ports import Balancer, Meter
from changeover.drivers.balancers.aws_back import ReadBack
from changeover.drivers.balancers.aws_flight import Witness
from changeover.drivers.balancers.aws_session import Access
from changeover.drivers.web import HttpWeb
from changeover.service.wires import Aws, Wires
from changeover.service.wires import Balancer as Wanted


def balancer(wanted: Wanted, wires: Wires, aws: Aws) -> Balancer:
    """An ALB or a classic load balancer. Nothing is contacted yet."""
    if wanted.kind == "elb":
        from changeover.drivers.balancers.elb import ElbBalancer, ElbSettings

        return ElbBalancer(
            ElbSettings(
                name=wanted.name,
                access=access(aws),
                load_balancer=aws.load_balancer,
                instances=aws.instances or {},
                slots=wires.slots,
                entry=wanted.entry,
                witness=_witness(aws),
                propagation=aws.propagation,
                quiet=aws.quiet,
                read_back=ReadBack(*aws.read_back),
                drain_within=wires.policy.drain_hard,
                metrics_lag=aws.lag,
            ),
            meter=_meter(wires, aws),
        )
    from changeover.drivers.balancers.alb import AlbBalancer, AlbSettings

    return AlbBalancer(
        AlbSettings(
            name=wanted.name,
            access=access(aws),
            listeners=aws.listeners,
            groups=wanted.targets,
            slots=wires.slots,
            entry=wanted.entry,
            preview_secret_file=wanted.preview_secret,
            preview_priority=aws.preview_priority,
            sticky=aws.stickiness,
            leave_others=aws.leave_others,
            witness=_witness(aws),
            propagation=aws.propagation,
            quiet=aws.quiet,
            read_back=ReadBack(*aws.read_back),
            ready_within=wires.policy.ready_within,
            drain_within=wires.policy.drain_hard,
            metrics_lag=aws.lag,
        ),
        meter=_meter(wires, aws),
    )


def access(aws: Aws) -> Access:
    """Where and as whom."""
    mode, attempts, pace = aws.retries
    return Access(aws.account, aws.region, aws.endpoint, aws.profile, mode, attempts, pace=float(pace))


def _witness(aws: Aws) -> Witness | None:
    return None if aws.in_flight is None else Witness(*aws.in_flight)


def _meter(wires: Wires, aws: Aws) -> Meter | None:
    """None: CloudWatch."""
    if aws.metrics is None:
        return None
    from changeover.drivers.balancers.aws_meter import ApplicationMeter

    return ApplicationMeter(HttpWeb(), wires.slots, *aws.metrics)
