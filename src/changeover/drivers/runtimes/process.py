"""Instances as detached processes of this machine.

An instance survives the tool and its terminal, and is found again by three independent means: the record that it wrote
itself before it became the application (`launch`), the variable CHANGEOVER_SLOT in its environment, and whoever listens
on its port. Nothing is started while any of them finds something; nothing is signalled that is not surely ours.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from changeover.core.errors import InstanceUnmanageable
from changeover.core.model import Instance, Process, Slot, Version
from changeover.core.ports import Capabilities, Fence, Finding
from changeover.drivers.runtimes import process_by_hand
from changeover.drivers.runtimes.launcher import Order, launch
from changeover.drivers.runtimes.process_settings import MARK, ProcessSettings
from changeover.drivers.runtimes.processes import Proc, Processes, send
from changeover.drivers.runtimes.proof import Inspector, Proof
from changeover.drivers.runtimes.slotfiles import Disabled, SlotFiles

_LOOK_EVERY: Final = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """What runs on a slot: its main process, everything that belongs to it, and as what it was started ("" unknown)."""

    main: Proc
    members: tuple[Proc, ...]
    version: str
    build: str


@dataclass(frozen=True, slots=True)
class ProcessRuntime:
    """`core.ports.Runtime` for processes of this machine. `table` is where processes are looked up."""

    settings: ProcessSettings
    inspector: Inspector
    table: Processes = Processes()  # noqa: RUF009 - frozen
    capabilities: Capabilities = Capabilities(compares=True)  # noqa: RUF009 - frozen

    def slots(self, pool: str) -> Sequence[Slot]:
        return self.settings.pools[pool]

    def log_of(self, slot: Slot) -> str:
        return str(self.settings.log(slot))

    def by_hand_start(self, slot: Slot, version: Version, build: str) -> Sequence[str]:
        return process_by_hand.start(self.settings, slot, version, build)

    def by_hand_stop(self, slot: Slot) -> Sequence[str]:
        return process_by_hand.stop(self.settings, slot)

    def by_hand_ready(self, slot: Slot, version: Version, build: str, within: float = 60.0) -> Sequence[str]:
        return process_by_hand.ready(self.inspector.checks, slot, version, build, within)

    # looking ---------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        """Directories, program and ports, without starting anything."""
        settings = self.settings
        program = settings.command[0]
        found = shutil.which(str(settings.directory / program) if "/" in program else program)
        findings = [
            Finding("instances: directory", settings.directory.is_dir(), str(settings.directory), "create it"),
            Finding("instances: program", found is not None, found or f"{program} is not found", "put it on the PATH"),
            Finding("instances: processes", bool(self.table.boot()), "/proc can be read", "mount /proc"),
        ]
        findings += [_writable("instances: logs", settings.logs), _writable("instances: state", settings.state)]
        slots = [slot for pool in settings.pools.values() for slot in pool]
        return (*findings, *(finding for slot in slots if (finding := self._stranger_finding(slot))))

    def _stranger_finding(self, slot: Slot) -> Finding | None:
        if self._find(slot) is not None:
            return None
        stranger = self._stranger(slot)
        if not stranger:
            return None
        detail = f"{stranger} holds {slot.address}; changeover did not start it and will not stop it"
        return Finding(f"instances: {slot.name}", ok=False, detail=detail, fix="end it by hand", fatal=False)

    def observe(self, slot: Slot) -> Instance:
        """One look at process, port and HTTP.

        Something that answers on the port without being ours is UNKNOWN, with what it says of itself: it may serve,
        and it cannot be stopped from here.
        """
        found = self._recorded(slot) or self._find(slot)
        if found is None:
            return self._observe_stranger(slot)
        proof = self.inspector.look(slot)
        if proof.answered:
            proof = self._attributed(slot, found, proof)
        if not self.table.lives(found.main):
            proof = replace(proof, ready=False, note=f"it ended while it was looked at; read {self.log_of(slot)}")
        started = self._start_of(found.main)
        return Instance(
            slot, Process.RUNNING, started, proof.ready, proof.identity, proof.note, proof.requests, proof.configuration
        )

    def _observe_stranger(self, slot: Slot) -> Instance:
        inodes = self.table.listeners(slot.host, slot.port)
        if inodes is None:
            return Instance(slot, Process.UNKNOWN, note="the ports of this machine cannot be seen")
        if not inodes:
            return Instance(slot, Process.STOPPED, note=self._why_stopped(slot))
        holders = self.table.holders(inodes)
        proof = self.inspector.look(slot)
        started = self._start_of(holders[0]) if holders else ""
        note = f"{self._names(holders)} holds the port; changeover did not start it"
        return Instance(slot, Process.UNKNOWN, started, proof.ready, proof.identity, note)

    def _attributed(self, slot: Slot, found: Found, proof: Proof) -> Proof:
        """The proof, if it is our process that takes the connections of the port; else why it proves nothing."""
        inodes = self.table.listeners(slot.host, slot.port)
        if inodes is None:
            return replace(proof, ready=False, note="the ports of this machine cannot be seen")
        for members in ((found.main,), self._members(slot)):  # the second takes longer and is seldom needed
            for proc in members:
                held = self.table.sockets(proc.pid)
                if held is None:  # it may not be seen: its identity must do
                    return proof
                inodes -= held
            if not inodes:
                return proof
        who = self._names(self.table.holders(inodes))
        return Proof(answered=True, ready=False, identity=None, note=f"{who} answers on the port, not this instance")

    def _why_stopped(self, slot: Slot) -> str:
        files = self._files(slot)
        disabled, record = files.disabled(), files.record()
        if record is not None:
            if record.boot != self.table.boot():
                return f"v{record.version} is gone since the machine was restarted"
            return f"v{record.version} (process {record.pid}) has ended by itself; read {self.log_of(slot)}"
        if disabled is not None:
            return f"v{disabled.version} was stopped on purpose by {disabled.run}"
        return "not running"

    def _files(self, slot: Slot) -> SlotFiles:
        return SlotFiles(self.settings.state, slot)

    def _start_of(self, proc: Proc) -> str:
        return f"{proc.pid}@{self.table.boot()[:8]}.{proc.ticks}"

    def _names(self, procs: Sequence[Proc]) -> str:
        if not procs:
            return "a process of another user"
        first = procs[0]
        return self.settings.redact(f"process {first.pid} ({self.table.command(first.pid) or 'command not visible'})")

    def _recorded(self, slot: Slot) -> Found | None:
        """What the record says, if that very process lives."""
        record = self._files(slot).record()
        if record is None or record.boot != self.table.boot() or record.mark != self.settings.mark(slot):
            return None
        proc = self.table.get(record.pid)
        if proc is None or proc.ticks != record.ticks:
            return None
        return Found(proc, (proc,), record.version, record.build)

    def _find(self, slot: Slot) -> Found | None:
        """Everything of ours that lives on the slot: by record, by session of the recorded one, by mark."""
        marked = self.table.marked(MARK, self.settings.mark(slot))
        recorded = self._recorded(slot)
        if recorded is not None:
            family = self.table.session(recorded.main)
            return replace(recorded, members=tuple(dict.fromkeys((*recorded.members, *family, *marked))))
        if not marked:
            return None
        main = next((p for p in marked if p.leads), marked[0])
        members = tuple(dict.fromkeys((main, *self.table.session(main), *marked)))
        environment = self.table.environment(main.pid)
        version, build = environment.get("CHANGEOVER_VERSION", ""), environment.get("CHANGEOVER_BUILD", "")
        return Found(main, members, version, build)

    def _members(self, slot: Slot) -> tuple[Proc, ...]:
        found = self._find(slot)
        return found.members if found is not None else ()

    def _stranger(self, slot: Slot) -> str:
        """Who holds the port, in words; "" if nobody does."""
        inodes = self.table.listeners(slot.host, slot.port)
        if inodes is None:
            return "somebody, as the ports of this machine cannot be seen,"
        return self._names(self.table.holders(inodes)) if inodes else ""

    # starting --------------------------------------------------------------------------------------

    def start(self, slot: Slot, version: Version, build: str, fence: Fence) -> None:
        argv = self.settings.argv(slot, version, build)
        environment = self.settings.environment(slot, version, build)
        files = self._files(slot)
        with files.held(fence, "start", self.table) as lock:
            found = self._find(slot)
            if found is not None:
                self._accept(slot, found, version, build, files.disabled())
                fence.check()
                files.enable()
                return
            if stranger := self._stranger(slot):
                raise InstanceUnmanageable(
                    f"{stranger} holds {slot.address}, where {slot.name} is to listen",
                    next=("end it, or give the instance another port", "changeover status"),
                )
            facts = {
                "boot": self.table.boot(),
                "version": version.text,
                "build": build,
                "mark": self.settings.mark(slot),
                "fence": fence.token,
                "run": fence.run,
                "at": time.time(),
                "argv": argv,
            }
            order = Order(files.record_path.absolute(), facts, argv, environment, self.settings.directory)
            fence.check()
            files.enable()
            launch(order, self.settings.log(slot), lock, fence)
            if files.record() is None:
                raise InstanceUnmanageable(f"{slot.name} left no record", next=(f"read {self.log_of(slot)}",))

    def _accept(self, slot: Slot, found: Found, version: Version, build: str, disabled: Disabled | None) -> None:
        """Return if what runs is what is asked for. Raises InstanceUnmanageable if it is not."""
        name = self._names((found.main,))
        proof = self.inspector.look(slot)
        said = proof.identity
        runs, of = (said.version.text, said.build) if said else (found.version, found.build)
        if runs != version.text or (build and of and of != build):
            raise InstanceUnmanageable(
                f"{name} runs on {slot.name} as v{runs or '?'}{f' ({of})' if of else ''}, "
                f"not as v{version}{f' ({build})' if build else ''}",
                next=("retire it first: changeover status shows what it is",),
            )
        if disabled is not None and self._was_meant(disabled, found) and not proof.ready:
            raise InstanceUnmanageable(
                f"{name} on {slot.name} was asked to end and has not ended yet",
                next=(f"read {self.log_of(slot)}", "changeover resume, when it has"),
            )

    def _was_meant(self, disabled: Disabled, found: Found) -> bool:
        return disabled.boot == self.table.boot() and found.main.ticks <= disabled.ticks

    # stopping --------------------------------------------------------------------------------------

    def stop(self, slot: Slot, fence: Fence) -> None:
        files = self._files(slot)
        with files.held(fence, "stop", self.table):
            found = self._find(slot)
            if found is None and (stranger := self._stranger(slot)):
                raise InstanceUnmanageable(
                    f"{stranger} holds {slot.address}; changeover did not start it and does not stop it",
                    next=("stop it as it was started", "changeover status"),
                )
            fence.check()
            if found is not None:
                ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
                files.disable(Disabled(time.time(), fence.run, found.version, self.table.boot(), ticks))
                self._end(slot, found, fence)
            files.forget()

    def _end(self, slot: Slot, found: Found, fence: Fence) -> None:
        """SIGTERM to the main process, then, when it has ended, to what it left behind; wait until nothing lives."""
        deadline = time.monotonic() + self.settings.stop_within
        asked: set[Proc] = set()
        members = found.members
        while True:
            alive = [p for p in members if self.table.lives(p)]
            if not alive:
                again = self._find(slot)
                if again is None:
                    return
                found, members = again, again.members
                continue
            for proc in [found.main] if found.main in alive else alive:
                if proc not in asked:
                    self._ask(slot, proc, fence)
                    asked.add(proc)
            if time.monotonic() >= deadline:
                raise self._stays(slot, alive)
            fence.check()
            time.sleep(_LOOK_EVERY)

    def _ask(self, slot: Slot, proc: Proc, fence: Fence) -> None:
        fence.check()
        try:
            send(self.table, proc, signal.SIGTERM)
        except PermissionError:
            raise InstanceUnmanageable(
                f"{self._names((proc,))} on {slot.name} belongs to another user and cannot be stopped",
                next=(f"as its user or root: kill {proc.pid}", "changeover resume"),
            ) from None

    def signal(self, slot: Slot, fence: Fence) -> bool:
        """Tell the main process; one that is gone has nothing to send away."""
        if not self.settings.signal:
            return False
        found = self._find(slot)
        fence.check()
        return found is not None and send(self.table, found.main, signal.Signals[self.settings.signal])

    def _stays(self, slot: Slot, alive: Sequence[Proc]) -> InstanceUnmanageable:
        pids = " ".join(str(p.pid) for p in alive)
        now = self.table.get(alive[0].pid)
        suspended = " It is suspended (SIGSTOP)." if now is not None and now.is_suspended else ""
        return InstanceUnmanageable(
            f"{self._names(alive)} on {slot.name} did not end within {self.settings.stop_within:g} s of SIGTERM",
            now=f"It runs on and has been asked to end; nothing was killed.{suspended}",
            next=(
                f"read {self.log_of(slot)}",
                "changeover resume waits again",
                f"or end it at once: kill -KILL {pids}",
            ),
        )


def _writable(subject: str, directory: Path) -> Finding:
    """Whether files can be made in a directory that may not be there yet."""
    nearest = next(p for p in (directory, *directory.parents) if p.exists())
    ok = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return Finding(subject, ok, str(directory), f"make {nearest} writable")
