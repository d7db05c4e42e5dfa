"""One tree of errors. Every error says what happened, what the system is now, and what to do next.

A class is one cause: it has an id (`CO-0104`), an exit code and a title; its docstring is the page that
`changeover explain CO-0104` prints. The first two digits name the area: 00 configuration and tool,
01 schema and compatibility, 02 traffic and instances, 03 way back and cleanup, 04 runs and plans, 08 AWS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """The exit codes of the command line: a contract with pipelines."""

    DONE = 0  # done and proved
    FAILED = 1  # failed; nothing changed, or fully undone
    USAGE = 2  # wrong usage or configuration
    DIFFERENT = 3  # `plan --check`: something to do
    WAITING = 4  # under way, or waiting for a person
    REFUSED = 5  # refused by a safety rule
    WENT_BACK = 6  # went back by itself; the old version serves everything
    UNKNOWN = 7  # partial or unknown: a person must look
    INTERRUPTED = 130  # SIGINT or SIGTERM; saved, `resume` goes on


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; `line` and `column` count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0
    text: str = ""  # the line itself, secrets masked


NOTHING_CHANGED = "Nothing was changed."


class ChangeoverError(Exception):
    """The root of every error that changeover raises on purpose."""

    code: ClassVar[str] = "CO-0000"
    exit: ClassVar[Exit] = Exit.FAILED
    title: ClassVar[str] = "changeover failed"

    def __init__(
        self,
        what: str,
        *,
        now: str = NOTHING_CHANGED,
        next: tuple[str, ...] = (),  # the word of the error contract
        where: tuple[Where, ...] = (),
    ) -> None:
        """`what` happened, what the system is `now`, what to do `next` (one command or sentence each)."""
        super().__init__(what)
        self.what = what
        self.now = now
        self.next = next
        self.where = where


# 00: configuration and tool ------------------------------------------------------------------------


class ConfigurationError(ChangeoverError):
    """changeover.yml has problems. All of them are listed at once, each with file, line and column.

    Unknown keys, duplicate keys and keys that this version does not support are errors: a key that is
    silently ignored is a safety rule that silently does not apply.
    """

    code = "CO-0010"
    exit = Exit.USAGE
    title = "the configuration has problems"


class ConfigurationMissing(ChangeoverError):
    """There is no changeover.yml where changeover looked, or it cannot be read."""

    code = "CO-0011"
    exit = Exit.USAGE
    title = "no configuration"


class SecretUnresolved(ChangeoverError):
    """A reference to a secret (`${env:NAME}`, `${file:PATH}`, `${cmd:COMMAND}`) could not be resolved.

    References are resolved at the moment of use, never by `check`, `plan` or `runbook`.
    """

    code = "CO-0012"
    exit = Exit.USAGE
    title = "a secret could not be resolved"


class UsageError(ChangeoverError):
    """The command line is wrong, or an answer is needed and nobody is there to give it."""

    code = "CO-0013"
    exit = Exit.USAGE
    title = "wrong usage"


class ExtraMissing(ChangeoverError):
    """A driver needs a Python package that is not installed; it belongs to an extra of changeover."""

    code = "CO-0014"
    exit = Exit.USAGE
    title = "an optional package is missing"


class ToolMissing(ChangeoverError):
    """A program that this command needs (haproxy, pg_dump, …) is not installed or not on the PATH."""

    code = "CO-0015"
    exit = Exit.FAILED
    title = "a program is missing"


class StoreUnusable(ChangeoverError):
    """The state store (journal) cannot be read or written: disk full, no permission, not a journal, too new."""

    code = "CO-0016"
    exit = Exit.FAILED
    title = "the state store cannot be used"


class CommandFailed(ChangeoverError):
    """A command of the user's own (install, start, stop, backup, probe) failed or did not end in time."""

    code = "CO-0017"
    exit = Exit.FAILED
    title = "a command failed"


class VersionUnusable(ChangeoverError):
    """A version cannot be ordered. Versions are ordered as PEP 440 does: 1.2.0, 1.2.0rc1, 2026.11.2."""

    code = "CO-0018"
    exit = Exit.USAGE
    title = "not a version"


class DoctorFound(ChangeoverError):
    """`doctor` found something that would stop a release."""

    code = "CO-0019"
    exit = Exit.FAILED
    title = "doctor found problems"


# 01: schema and compatibility ----------------------------------------------------------------------


class ChangesUnreadable(ChangeoverError):
    """A change file cannot be read, is not SQL that parses, or is named wrongly (`VERSION.PHASE.sql`)."""

    code = "CO-0101"
    exit = Exit.USAGE
    title = "a change file cannot be read"


class ChangesMissing(ChangeoverError):
    """The version has no change files. Say so if that is meant: `--no-schema-change`.

    A version that forgot its migration and a version that needs none look the same; only a person knows.
    """

    code = "CO-0102"
    exit = Exit.REFUSED
    title = "no schema changes for this version"


class StatementUnknown(ChangeoverError):
    """A statement is not known to changeover, so nobody knows whether the running version survives it.

    It is refused, never waved through. Write it as statements that are known, or take it out of this file.
    """

    code = "CO-0103"
    exit = Exit.REFUSED
    title = "a statement is not known"


class WouldBreak(ChangeoverError):
    """The change would break a version that is in play: one that serves, drains, or is the way back.

    Write it in two parts: what only adds goes into `expand` now; what takes away goes into `contract`, which
    cleanup runs when no version needs the old shape any more.
    """

    code = "CO-0104"
    exit = Exit.REFUSED
    title = "the change would break a version in play"


class NotAcknowledged(ChangeoverError):
    """Something could not be proved, or carries a warning, and no named person has accepted it.

    UNVERIFIED and WARN never count as OK. `--ack NAME` puts the acknowledgement, with your name, into the plan.
    """

    code = "CO-0105"
    exit = Exit.REFUSED
    title = "an acknowledgement is missing"


class ProofBroken(ChangeoverError):
    """A probe of a version in play failed against the schema as it is: the version would not work (rule R2)."""

    code = "CO-0106"
    exit = Exit.REFUSED
    title = "a version in play does not work with the schema"


class LockNotObtained(ChangeoverError):
    """A statement could not get its lock within the deadline. The statement did not run; nothing is half done.

    Each attempt waits `limits.lock` at the most, so that nobody queues behind it. The blocker is named; it is
    never killed by default.
    """

    code = "CO-0107"
    exit = Exit.FAILED
    title = "a lock was not obtained"


class StatementFailed(ChangeoverError):
    """The database refused a statement. Its transaction was rolled back."""

    code = "CO-0108"
    exit = Exit.FAILED
    title = "a statement failed"


class DatabaseUnreachable(ChangeoverError):
    """The database does not answer, is in recovery, or refuses the login."""

    code = "CO-0109"
    exit = Exit.FAILED
    title = "the database cannot be reached"


class DatabaseDenied(ChangeoverError):
    """The database login lacks a privilege that is needed. `doctor --grants` prints the minimal GRANTs."""

    code = "CO-0110"
    exit = Exit.FAILED
    title = "the database login lacks a privilege"


class SchemaDrift(ChangeoverError):
    """The schema is not what the journal and the ledger say: somebody changed it by hand."""

    code = "CO-0111"
    exit = Exit.REFUSED
    title = "the schema was changed by hand"


class ChangesEdited(ChangeoverError):
    """A change file was edited after its statements had been applied to the database."""

    code = "CO-0112"
    exit = Exit.REFUSED
    title = "an applied change was edited"


class RestorePointFailed(ChangeoverError):
    """The backup could not be taken, restored or compared, or what came back was different (rule R9)."""

    code = "CO-0113"
    exit = Exit.FAILED
    title = "no proved restore point"


class LoginMissing(ChangeoverError):
    """The database has no login for this version, though each version is configured to have one of its own.

    Whatever login the version really uses can be neither given nor taken away, so it could not be proved retired.
    """

    code = "CO-0114"
    exit = Exit.REFUSED
    title = "a version has no login of its own"


class StatementFateUnknown(ChangeoverError):
    """A statement was begun, and how it ended is not known: the process or the server died right then.

    MariaDB and MySQL commit a change of the schema by itself, so it and its marker are never one transaction. Where the catalogue
    cannot show whether it was done, it is not run again: a person looks, and tells changeover with one of the two
    statements that the error prints.
    """

    code = "CO-0115"
    exit = Exit.UNKNOWN
    title = "it is not known whether a statement was done"


class RowsInTheWay(ChangeoverError):
    """The rows that are there do not allow the change: duplicates before a unique constraint, values without their key
    before a foreign key, NULLs before NOT NULL, values that do not fit the new type, or rows whose old and new columns
    disagree.

    changeover shows them and never decides which of them is right: mend them, then plan again.
    """

    code = "CO-0116"
    exit = Exit.REFUSED
    title = "rows stand in the way"


class ReadEndpointBehind(ChangeoverError):
    """A read endpoint (`database.read`) did not show within `limits.read_within` what was added on the primary.

    A version that reads there would not find its columns: expand has ended only when every configured endpoint shows them (R2).
    """

    code = "CO-0117"
    title = "a read endpoint does not show the schema"


# 02: traffic and instances ---------------------------------------------------------------------------


class BalancerUnreachable(ChangeoverError):
    """The balancer's control socket or admin port is absent, refuses, hangs, or answers half a line.

    Unknown is not zero: until it answers, the run holds and nothing is stopped.
    """

    code = "CO-0201"
    exit = Exit.FAILED
    title = "the balancer cannot be reached"


class BalancerRefused(ChangeoverError):
    """The balancer refused a command, or its read-back does not show what was asked."""

    code = "CO-0202"
    exit = Exit.FAILED
    title = "the balancer did not do what was asked"


class BalancerMisconfigured(ChangeoverError):
    """The balancer's configuration lacks what changeover needs: a pool, the map, the socket level."""

    code = "CO-0203"
    exit = Exit.REFUSED
    title = "the balancer's configuration does not fit"


class RouteDrift(ChangeoverError):
    """The route was changed by somebody else. It is shown and never overwritten silently."""

    code = "CO-0204"
    exit = Exit.REFUSED
    title = "the route was changed by hand"


class NotReady(ChangeoverError):
    """An instance did not prove in time that it is ready and runs the version and build asked for (rule R1)."""

    code = "CO-0205"
    exit = Exit.FAILED
    title = "an instance did not get ready"


class WrongIdentity(ChangeoverError):
    """An instance runs another version or build than asked, or instances of one pool differ (rule R1)."""

    code = "CO-0206"
    exit = Exit.FAILED
    title = "an instance is not what it should be"


class SmokeFailed(ChangeoverError):
    """A smoke check through the balancer's preview failed. No user has seen the new version."""

    code = "CO-0207"
    exit = Exit.FAILED
    title = "a smoke check failed"


class DrainUnknown(ChangeoverError):
    """It cannot be seen whether requests are still in flight. Unknown is not zero: nothing is stopped (rule R3)."""

    code = "CO-0208"
    exit = Exit.UNKNOWN
    title = "the drain cannot be seen"


class InstanceUnmanageable(ChangeoverError):
    """An instance cannot be started or stopped: the port belongs to something else, the command is wrong."""

    code = "CO-0209"
    exit = Exit.FAILED
    title = "an instance cannot be managed"


class LastHealthyPool(ChangeoverError):
    """The last healthy pool is never taken out of traffic or stopped, whatever the plan says (rule R11)."""

    code = "CO-0210"
    exit = Exit.REFUSED
    title = "this is the last healthy pool"


class UnknownBalancer(ChangeoverError):
    """Instances took requests that no configured balancer sent: somebody else, or a name in DNS, leads users there.

    What nobody configured cannot be moved, and its requests would be lost when the instances stop.
    """

    code = "CO-0212"
    exit = Exit.UNKNOWN
    title = "requests come from a balancer that is not configured"


# 03: way back and cleanup ------------------------------------------------------------------------------


class NoWayBack(ChangeoverError):
    """The version cannot come back: its promise has ended, or a condition of it no longer holds (rule R7)."""

    code = "CO-0301"
    exit = Exit.REFUSED
    title = "there is no way back to this version"


class NothingToDo(ChangeoverError):
    """There is nothing to do: the version serves already, nothing is owed, nothing is under way."""

    code = "CO-0302"
    exit = Exit.REFUSED
    title = "there is nothing to do"


class TooEarly(ChangeoverError):
    """The promise of the old version is younger than `keep_old`. A person may end it earlier, by name."""

    code = "CO-0303"
    exit = Exit.REFUSED
    title = "too early to end the way back"


class StillNeeded(ChangeoverError):
    """A version in play still needs what the contract takes away, or its use cannot be excluded (rule R4)."""

    code = "CO-0304"
    exit = Exit.REFUSED
    title = "the old shape is still needed"


class NotRetired(ChangeoverError):
    """A version could not be made unable to serve and write, so nothing is contracted (rule R13)."""

    code = "CO-0305"
    exit = Exit.UNKNOWN
    title = "a version could not be retired"


class ConfirmationWrong(ChangeoverError):
    """The point of no return needs the environment and the revisions typed as shown, or the plan's hash."""

    code = "CO-0306"
    exit = Exit.REFUSED
    title = "not confirmed"


class WouldGoBack(ChangeoverError):
    """The version asked for is older than the one that serves: that is a rollback, not a release.

    Going back has conditions of its own (rule R7): the version is promised, warm, and works with the schema.
    """

    code = "CO-0307"
    exit = Exit.REFUSED
    title = "this would be a rollback"


class UndoUnfinished(ChangeoverError):
    """A version's expansion is half taken back: some of what was added is there, some is not.

    It is finished first (`changeover schema undo VERSION` goes on where it stands); then the version can be released again.
    """

    code = "CO-0308"
    exit = Exit.REFUSED
    title = "an expansion is half taken back"


# 04: runs and plans ----------------------------------------------------------------------------------------


class EnvironmentHeld(ChangeoverError):
    """Another run acts on this environment. At most one may (rule R5)."""

    code = "CO-0401"
    exit = Exit.REFUSED
    title = "another run holds the environment"


class ForeignStore(ChangeoverError):
    """The target database is claimed by another state store. Two journals cannot explain one world (rule R5)."""

    code = "CO-0402"
    exit = Exit.REFUSED
    title = "another state store holds the environment"


class FencedOut(ChangeoverError):
    """Somebody took this run over; this process must not act any more. The new owner goes on."""

    code = "CO-0403"
    exit = Exit.UNKNOWN
    title = "the run was taken over"


class PlanUnreadable(ChangeoverError):
    """The plan file cannot be read, was edited (its hash does not fit), or has a format this version lacks."""

    code = "CO-0404"
    exit = Exit.REFUSED
    title = "the plan cannot be used"


class PlanStale(ChangeoverError):
    """The world moved since the plan was made: route, versions, schema, change files or configuration (rule R10)."""

    code = "CO-0405"
    exit = Exit.REFUSED
    title = "the plan is stale"


class RunUnknown(ChangeoverError):
    """There is no such run, or none is under way."""

    code = "CO-0406"
    exit = Exit.REFUSED
    title = "no such run"


class GateUnknown(ChangeoverError):
    """The named gate is not the one that the run waits at."""

    code = "CO-0407"
    exit = Exit.REFUSED
    title = "no such gate is waiting"


class RunBlocked(ChangeoverError):
    """The plan has a step of a kind that this changeover does not know. It is parked, never guessed."""

    code = "CO-0408"
    exit = Exit.UNKNOWN
    title = "the run needs a newer changeover"


class StepTimedOut(ChangeoverError):
    """A step did not end before its deadline."""

    code = "CO-0409"
    exit = Exit.FAILED
    title = "a step did not end in time"


class CapacityMissing(ChangeoverError):
    """The pool that is to take the traffic has fewer healthy instances than the one that carries it (rule R7)."""

    code = "CO-0410"
    exit = Exit.REFUSED
    title = "the pool is too small for the traffic"


class PolicyMissing(ChangeoverError):
    """The environment demands something of a release that was not given, such as a saved plan in production."""

    code = "CO-0411"
    exit = Exit.REFUSED
    title = "the environment demands more"


class UnexpectedError(ChangeoverError):
    """Something failed that changeover did not foresee. The journal says where; `resume` looks before it acts."""

    code = "CO-0499"
    exit = Exit.UNKNOWN
    title = "an unexpected error"


# 08: AWS -----------------------------------------------------------------------------------------------------


class AwsAccountRefused(BalancerMisconfigured):
    """The credentials belong to another AWS account, or something named is of another account or region.

    `account` and `region` of the balancer in changeover.yml are a guard: whatever profile or role the shell happens to
    have, nothing is read or written anywhere else.
    """

    code = "CO-0801"
    exit = Exit.REFUSED
    title = "another AWS account or region"


class AwsDenied(BalancerUnreachable):
    """AWS refuses the credentials: there are none, they have expired, or a permission is missing.

    `changeover doctor --grants` prints the smallest IAM policy that is enough. A run waits and then holds; with fresh
    credentials `changeover resume` goes on.
    """

    code = "CO-0802"
    exit = Exit.FAILED
    title = "AWS refuses the credentials"


class ListenerForeign(RouteDrift):
    """A listener or rule does something that changeover did not make: another target group, a redirect, other weights.

    It is left as it is: overwriting it could take an application away that is none of changeover's business. Name another
    listener or rule in changeover.yml, or bring this one back to the two target groups.
    """

    code = "CO-0803"
    exit = Exit.REFUSED
    title = "a listener or rule is not changeover's"


class TargetGroupUnfit(BalancerMisconfigured):
    """A target group cannot carry this application: it is missing, in another VPC, attached to another load balancer, of
    the wrong kind, or its targets are not the instances of the configuration.
    """

    code = "CO-0804"
    exit = Exit.REFUSED
    title = "a target group does not fit"


class WeightsUnusable(RouteDrift):
    """The weights of a listener or rule are no route: all zero, or a share that no weights of changeover's give."""

    code = "CO-0805"
    exit = Exit.REFUSED
    title = "the weights are no route"


class AwsRejected(BalancerRefused):
    """AWS refused a call for good: something named does not exist, a value or a quota is not accepted.

    `reason` is AWS's own code, such as TargetGroupNotFound. What the same commit had changed before is put back.
    """

    code = "CO-0806"
    exit = Exit.FAILED
    title = "AWS refused a call"

    def __init__(
        self,
        what: str,
        *,
        now: str = NOTHING_CHANGED,
        next: tuple[str, ...] = (),
        where: tuple[Where, ...] = (),
        reason: str = "",
    ) -> None:
        super().__init__(what, now=now, next=next, where=where)
        self.reason = reason


def catalogue() -> dict[str, type[ChangeoverError]]:
    """Every error by its id, in order: what `explain` and the reference are made from."""
    found: dict[str, type[ChangeoverError]] = {}
    queue: list[type[ChangeoverError]] = [ChangeoverError]
    while queue:
        kind = queue.pop()
        queue.extend(kind.__subclasses__())
        if kind is not ChangeoverError:
            assert kind.code not in found, f"{kind.__name__} and {found[kind.code].__name__} share {kind.code}"
            found[kind.code] = kind
    return dict(sorted(found.items()))
