"""Instances that the user's own commands start, stop and look at; what they are is asked over HTTP."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from changeover.core.errors import ChangeoverError, CommandFailed, InstanceUnmanageable, ToolMissing
from changeover.core.model import Instance, Process, Slot, Version
from changeover.core.ports import Capabilities, CommandResult, Fence, Finding, Host
from changeover.drivers import argv, hosts
from changeover.drivers.by_hand import wait_until
from changeover.drivers.runtimes.process_by_hand import ready
from changeover.drivers.runtimes.proof import Inspector, Proof

RUNS: Final = 0
STOPPED: Final = 3  # as LSB and `systemctl status` have it
_LOOK_EVERY: Final = 0.2


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """Argument lists with placeholders (`argv.NAMES`; `stop` and `status` without version and build).

    `start` may be run again for an instance that runs. `stop` returns when the instance has ended. `status` ends 0 if it
    runs and 3 if it is stopped, anything else is unknown; the first line that it prints, if any, names this start (a pid
    with its start time, a container id), so that a restart is seen. Times are seconds: of `start`, of `stop`, of `status`.
    """

    pools: Mapping[str, tuple[Slot, ...]]
    start: tuple[str, ...]
    stop: tuple[str, ...]
    status: tuple[str, ...]
    start_within: float = 30.0
    stop_within: float = 30.0
    signal: tuple[str, ...] = ()  # tells an instance to send its long-lived connections away
    status_within: float = 5.0


@dataclass(frozen=True, slots=True)
class CommandRuntime:
    """`core.ports.Runtime` by commands. They cannot compare fences: a stale actor is refused by its own check only."""

    settings: CommandSettings
    host: Host
    inspector: Inspector
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 - frozen

    def slots(self, pool: str) -> Sequence[Slot]:
        return self.settings.pools[pool]

    def log_of(self, slot: Slot) -> str:
        return f"the output of {slot.name} at {slot.address}, where its start command puts it"

    def inspect(self) -> Sequence[Finding]:
        settings = self.settings
        programs = dict.fromkeys(command[0] for command in (settings.start, settings.stop, settings.status))
        return tuple(
            Finding(
                f"instances: {program}",
                (path := shutil.which(program)) is not None,
                path or f"{program} is not found",
                f"install it, or put it on the PATH: command -v {program}",
            )
            for program in programs
        )

    def observe(self, slot: Slot) -> Instance:
        """What `status` and the instance say. Something that answers although `status` says stopped is UNKNOWN."""
        process, started, note = self._status(slot)
        proof = self.inspector.look(slot)
        if process is Process.STOPPED:
            if not proof.answered:
                return Instance(slot, Process.STOPPED, note="not running")
            note = f"status says that it is stopped, but something answers at {slot.address}"
            return Instance(slot, Process.UNKNOWN, "", proof.ready, proof.identity, note)
        return Instance(
            slot, process, started, proof.ready, proof.identity, proof.note or note, proof.requests, proof.configuration
        )

    def _status(self, slot: Slot) -> tuple[Process, str, str]:
        """(process, what names its start, why it is unknown)."""
        command = argv.fill(self.settings.status, argv.values_of(slot))
        try:
            result = self.host.run(command, timeout=self.settings.status_within)
        except ToolMissing as error:
            return Process.UNKNOWN, "", error.what
        first = next(iter(result.out.splitlines()), "").strip()
        match result.status:
            case 0:
                return Process.RUNNING, first, ""
            case 3:
                return Process.STOPPED, "", ""
            case None:
                return Process.UNKNOWN, "", f"status did not end within {self.settings.status_within:g} s"
            case other:
                return Process.UNKNOWN, "", f"status ended {other}: {_last_line(result)}".rstrip(": ")

    def start(self, slot: Slot, version: Version, build: str, fence: Fence) -> None:
        process, _, note = self._status(slot)
        proof = self.inspector.look(slot)
        if process is Process.UNKNOWN:
            raise InstanceUnmanageable(
                f"nobody knows whether {slot.name} runs: {note}",
                next=(shlex.join(argv.fill(self.settings.status, argv.values_of(slot))),),
            )
        if self._runs_already(slot, process, proof, version, build):
            return
        command = argv.fill(self.settings.start, argv.values_of(slot, version, build))
        fence.check()
        result = self.host.run(command, timeout=self.settings.start_within)
        if not result.ok:
            raise _failed(slot, "start", command, result, self.settings.start_within)
        if hosts.LEFT_BEHIND in result.err:
            raise InstanceUnmanageable(
                f"the start command of {slot.name} left a process that writes into changeover's own pipe; "
                "its next line of output would end it",
                now=f"{slot.name} may run.",
                next=("let the start command redirect the instance's output: >>LOG 2>&1",),
            )
        self._await(slot, Process.RUNNING, "start", self.settings.status_within)

    def _runs_already(self, slot: Slot, process: Process, proof: Proof, version: Version, build: str) -> bool:
        """True: nothing to do. Raises InstanceUnmanageable if something else is there."""
        if process is Process.STOPPED and proof.answered:
            raise InstanceUnmanageable(
                f"something answers at {slot.address} ({proof.identity or 'it does not say what it is'}), "
                f"although status says that {slot.name} is stopped",
                next=(f"find out what listens on port {slot.port} and end it",),
            )
        said = proof.identity
        if said is None:
            return False  # stopped, or begun and silent so far: starting twice is starting once
        if said.version == version and build in ("", said.build):
            return True
        raise InstanceUnmanageable(
            f"{slot.name} runs {said}, not {version}{f' ({build})' if build else ''}",
            next=("retire it first: changeover status shows what it is",),
        )

    def signal(self, slot: Slot, fence: Fence) -> bool:
        """Run the user's command. Raises CommandFailed."""
        if not self.settings.signal:
            return False
        command = argv.fill(self.settings.signal, argv.values_of(slot))
        fence.check()
        result = self.host.run(command, timeout=self.settings.status_within)
        if not result.ok:
            raise _failed(slot, "signal", command, result, self.settings.status_within)
        return True

    def stop(self, slot: Slot, fence: Fence) -> None:
        """`stop` and `status` of the user see to it that no reboot brings it back; read back until it is stopped."""
        if self._status(slot)[0] is Process.STOPPED:
            self._silent(slot)
            return
        command = argv.fill(self.settings.stop, argv.values_of(slot))
        fence.check()
        result = self.host.run(command, timeout=self.settings.stop_within)
        if result.status is None:
            raise InstanceUnmanageable(
                f"the stop command of {slot.name} did not end within {self.settings.stop_within:g} s",
                now="The command was killed; the instance may run on.",
                next=(shlex.join(command), "changeover resume"),
            )
        if not result.ok:
            raise _failed(slot, "stop", command, result, self.settings.stop_within)
        self._await(slot, Process.STOPPED, "stop", self.settings.status_within)
        self._silent(slot)

    def _silent(self, slot: Slot) -> None:
        """Nothing may answer where a stopped instance was."""
        if self.inspector.look(slot).answered:
            raise InstanceUnmanageable(
                f"{slot.name} is stopped, as status says, but something answers at {slot.address}",
                now="Unknown is not stopped.",
                next=(f"find out what listens on port {slot.port} and end it", "changeover resume"),
            )

    def _await(self, slot: Slot, wanted: Process, act: str, within: float) -> None:
        """Look until `status` agrees. Raises InstanceUnmanageable."""
        deadline = time.monotonic() + within
        while True:
            process, _, note = self._status(slot)
            if process is wanted:
                return
            if time.monotonic() >= deadline:
                raise InstanceUnmanageable(
                    f"{act} of {slot.name} ended well, but status says {process.value}{f': {note}' if note else ''}",
                    now=f"Nobody knows whether {slot.name} runs." if process is Process.UNKNOWN else "It was left so.",
                    next=(shlex.join(argv.fill(self.settings.status, argv.values_of(slot))), "changeover resume"),
                )
            time.sleep(_LOOK_EVERY)

    def by_hand_start(self, slot: Slot, version: Version, build: str) -> Sequence[str]:
        return (shlex.join(argv.fill(self.settings.start, argv.values_of(slot, version, build))),)

    def by_hand_stop(self, slot: Slot) -> Sequence[str]:
        values = argv.values_of(slot)
        status = shlex.join(argv.fill(self.settings.status, values))
        gone = f"{{ {status} >/dev/null; [ $? = {STOPPED} ]; }}"
        words = f"{slot.name} does not say that it is stopped"
        return (shlex.join(argv.fill(self.settings.stop, values)), wait_until(gone, self.settings.stop_within, words))

    def by_hand_ready(self, slot: Slot, version: Version, build: str, within: float = 60.0) -> Sequence[str]:
        return ready(self.inspector.checks, slot, version, build, within)


def _failed(slot: Slot, act: str, command: tuple[str, ...], result: CommandResult, within: float) -> ChangeoverError:
    how = f"did not end within {within:g} s" if result.status is None else f"ended {result.status}"
    said = _last_line(result)
    return CommandFailed(
        f"the {act} command of {slot.name} {how}{f': {said}' if said else ''}",
        now=f"Nobody knows whether {slot.name} runs.",
        next=(shlex.join(command), "changeover resume"),
    )


def _last_line(result: CommandResult) -> str:
    lines = [line for line in (*result.out.splitlines(), *result.err.splitlines()) if line.strip()]
    return lines[-1].strip()[:200] if lines else ""
