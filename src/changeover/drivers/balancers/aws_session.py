"""Calls to AWS: boto3 with its own retry modes, a guard for account and region, a pace, and errors in changeover's words.

Every call is one of two kinds. A *look* may be tried again by anybody: botocore does. A *write* is absolute and idempotent, so
that it can be given again after a reply that was lost; `write` repeats it until AWS has acknowledged it, and looks at the lease
each time, so botocore must not repeat it by itself. A read-back alone does not count as
an acknowledgement: a stale one may show the state before the last change, which may be just the one that is wanted now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from changeover.core.errors import AwsAccountRefused, AwsDenied, AwsRejected, BalancerUnreachable, ExtraMissing
from changeover.core.ports import Clock, Fence

LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
FRESH: Final = ("look at who you are: aws sts get-caller-identity", "changeover doctor")
POLICY: Final = "print the smallest IAM policy that is enough: changeover doctor --grants"
THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "SlowDown",
        "PriorRequestNotComplete",
    }
)
DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "MissingAuthenticationToken",
        "OptInRequired",
    }
)
FIRST_PAUSE: Final = 0.5  # seconds before a write is given again; doubled each time
LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Access:
    """Where and as whom. `account` and `region` are the guard; `endpoint` replaces AWS (a stand-in, a VPC endpoint).

    `mode` and `attempts` are botocore's own for looks (`standard`, `adaptive`, `legacy`; attempts in all). `timeout` is seconds for
    connecting and for each read; `pace` is how many calls a second this process makes at most, 0 for no limit.
    """

    account: str
    region: str
    endpoint: str = ""
    profile: str = ""
    mode: str = "standard"
    attempts: int = 5
    timeout: float = 5.0
    pace: float = 5.0


def rejected(action: str, reason: str, message: str) -> AwsRejected:
    """The refusal of a call, with AWS's own words."""
    return AwsRejected(f"AWS refused {action}: {reason}: {message}", reason=reason, next=("changeover doctor",))


def given_up(error: AwsRejected | AwsDenied, now: str) -> AwsRejected | AwsDenied:
    """The same refusal, with what has become of the commit that met it."""
    if isinstance(error, AwsRejected):
        return AwsRejected(error.what, reason=error.reason, now=now, next=error.next)
    return AwsDenied(error.what, now=now, next=error.next)


@dataclass(frozen=True, slots=True)
class Aws:
    """The calls of one balancer. Threads may share it; nothing is imported or contacted before the first call."""

    access: Access
    clock: Clock
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _last: list[float] = field(default_factory=lambda: [0.0], repr=False)

    def look(self, service: str, operation: str, **parameters: Any) -> Any:
        """One call after the guard. Raises AwsAccountRefused, AwsDenied, BalancerUnreachable, AwsRejected."""
        self.guard()
        return self._call(service, operation, parameters, self.access.attempts)

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        """Every item of a look that comes in pages, as elbv2 and elb page: NextMarker, Marker."""
        found: list[Any] = []
        while True:
            page = self.look(service, operation, **parameters)
            found += page.get(key, [])
            if not page.get("NextMarker"):
                return found
            parameters["Marker"] = page["NextMarker"]

    def write(self, service: str, operation: str, fence: Fence, until: float, **parameters: Any) -> Any:
        """Give an idempotent write until it is acknowledged, at the latest `until` (boottime). The lease is looked at each time.

        Raises what `look` raises; BalancerUnreachable says that it is not known whether it was applied.
        """
        self.guard()
        for pause in _pauses():
            fence.check()
            try:
                return self._call(service, operation, parameters, 1)
            except AwsDenied:
                raise
            except BalancerUnreachable as error:
                if self.clock.boottime() + pause > until:
                    raise BalancerUnreachable(
                        f"{_action(service, operation)} was not acknowledged: {error.what}",
                        now="Whether it was applied is not known; doing it again is safe.",
                        next=("changeover status", "changeover resume"),
                    ) from None
            self.clock.sleep(pause)
        raise AssertionError("the pauses never end")

    def guard(self) -> None:
        """Whoever the credentials belong to must be the account of the configuration. Asked once for each object."""
        if self._clients.get("guarded"):
            return
        found = str(self._call("sts", "get_caller_identity", {}, self.access.attempts).get("Account", ""))
        if found != self.access.account:
            raise AwsAccountRefused(
                f"these credentials belong to the AWS account {found}, not to {self.access.account}",
                next=(f"use credentials of {self.access.account}", "or correct `account` in changeover.yml"),
            )
        self._clients["guarded"] = True

    def _call(self, service: str, operation: str, parameters: Mapping[str, Any], attempts: int) -> Any:
        client = self._client(service, attempts)
        self._wait_for_turn()
        return translated(lambda: getattr(client, operation)(**parameters), _action(service, operation))

    def _wait_for_turn(self) -> None:
        if not self.access.pace:
            return
        with self._lock:
            turn = max(self._last[0] + 1 / self.access.pace, self.clock.boottime())
            self._last[0] = turn
        self.clock.sleep(turn - self.clock.boottime())

    def _client(self, service: str, attempts: int) -> Any:
        key = f"{service} {attempts}"
        with self._lock:
            if key not in self._clients:
                self._clients[key] = translated(
                    lambda: _new(service, self.access, attempts), f"{service}: configuration"
                )
            return self._clients[key]


def demand_ours(access: Access, arn: str) -> None:
    """An ARN of another account or region is refused before anything is asked."""
    words = arn.split(":")
    if len(words) < 6 or words[0] != "arn":
        raise AwsAccountRefused(
            f"{arn} is not an ARN", next=("copy it from the console, or: changeover init --from ARN",)
        )
    if (words[3], words[4]) != (access.region, access.account):
        raise AwsAccountRefused(
            f"{arn} belongs to {words[4]} in {words[3]}, not to {access.account} in {access.region}",
            next=("correct it, or `account` and `region`, in changeover.yml",),
        )


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _action(service: str, operation: str) -> str:
    """As IAM calls it: elasticloadbalancing:DescribeRules."""
    prefix = {"elbv2": "elasticloadbalancing", "elb": "elasticloadbalancing"}.get(service, service)
    return f"{prefix}:{''.join(w.capitalize() for w in operation.split('_'))}"


def translated(call: Callable[[], Any], action: str) -> Any:
    """Do it, with botocore's errors in changeover's words. No text holds a credential: botocore's own do not."""
    try:
        from botocore import exceptions as boto
    except ImportError:
        raise missing() from None
    try:
        return call()
    except boto.ClientError as error:
        raise _refused(error.response, action) from None
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.ProfileNotFound,
        boto.TokenRetrievalError,
        boto.SSOError,
    ) as error:
        raise AwsDenied(f"there are no usable AWS credentials: {error}", next=FRESH) from None
    except boto.ParamValidationError as error:
        raise rejected(action, "ParamValidation", " ".join(str(error).split())) from None
    except boto.BotoCoreError as error:
        raise BalancerUnreachable(
            f"AWS did not answer {action}: {' '.join(str(error).split())[:200]}",
            next=("wait until it does, then: changeover resume", "changeover doctor"),
        ) from None


def _refused(response: Mapping[str, Any], action: str) -> Exception:
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), " ".join(str(error.get("Message", "")).split())[:300]
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in DENIED:
        return AwsDenied(f"AWS refuses {action}: {code}: {message}", next=(POLICY, *FRESH))
    if code in THROTTLED:
        return BalancerUnreachable(f"AWS throttles {action} ({code})", next=("wait; changeover tries again",))
    if status >= 500 or not code:
        return BalancerUnreachable(f"AWS failed at {action}: {status} {code}", next=("wait; changeover tries again",))
    return rejected(action, code, message)


def missing() -> ExtraMissing:
    return ExtraMissing("the AWS drivers need boto3", next=('pip install "changeover[aws]"',))


@lru_cache(maxsize=8)
def _session(profile: str) -> Any:
    """One for each profile and process: loading the service models takes far longer than a call."""
    try:
        import boto3
    except ImportError:
        raise missing() from None
    return boto3.session.Session(profile_name=profile or None)


_making = threading.Lock()


def _new(service: str, access: Access, attempts: int) -> Any:
    session = _session(access.profile)
    from botocore.config import Config

    config = Config(
        region_name=access.region,
        connect_timeout=access.timeout,
        read_timeout=access.timeout,
        retries={"mode": access.mode, "total_max_attempts": attempts},
        user_agent_extra="changeover",
        max_pool_connections=16,
    )
    own: dict[str, str] = {}
    if access.endpoint and urlsplit(access.endpoint).hostname in LOCAL:
        # A stand-in on this machine: real credentials have no business there.
        own = {"aws_access_key_id": "stand-in", "aws_secret_access_key": "stand-in"}
    with _making:  # making clients from one session is not thread-safe
        return session.client(service, endpoint_url=access.endpoint or None, config=config, **own)
