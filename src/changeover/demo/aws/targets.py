"""Where a target is in its life: initial, healthy, unhealthy, draining, unused. Times are the stand-in's clock.

States and reasons are AWS's own (API reference of DescribeTargetHealth). The state is worked out when somebody asks: one real
probe stands for all that were due since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Probe = Callable[[str, int, str], bool]
"""(host, port, path) -> whether the health check passes."""


@dataclass(frozen=True, slots=True)
class Check:
    """How a group checks its targets. `every` in seconds; thresholds count checks in a row."""

    path: str = "/"
    every: float = 30.0
    healthy: int = 5
    unhealthy: int = 2


@dataclass(slots=True)
class Target:
    """One registered target at host:port. `until`: when its draining ends; 0: it is not draining."""

    host: str
    port: int
    since: float
    until: float = 0.0
    state: str = "initial"
    checked: float = 0.0
    streak: int = 0  # checks in a row: passed if positive, failed if negative

    def look(self, now: float, check: Check, probe: Probe, *, used: bool) -> tuple[str, str]:
        """(state, reason) at this time. A group that nothing forwards to is not checked."""
        if self.until:
            return "draining", "Target.DeregistrationInProgress"
        if not used:
            self.state, self.checked, self.streak, self.since = "initial", 0.0, 0, now
            return "unused", "Target.NotInUse"
        start = self.checked or self.since
        due = int((now - start) / check.every)
        if due > 0:
            self.checked = start + due * check.every
            passed = probe(self.host, self.port, check.path)
            self.streak = max(self.streak, 0) + due if passed else min(self.streak, 0) - due
            if self.streak >= check.healthy or (passed and self.state == "healthy"):
                self.state = "healthy"
            elif -self.streak >= check.unhealthy or (not passed and self.state == "initial"):
                self.state = "unhealthy"
        reasons = {
            "healthy": "",
            "unhealthy": "Target.FailedHealthChecks",
            "initial": "Elb.InitialHealthChecking" if self.checked else "Elb.RegistrationInProgress",
        }
        return self.state, reasons[self.state]
