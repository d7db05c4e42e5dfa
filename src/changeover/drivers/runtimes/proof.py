"""What an instance says about itself over HTTP: ready, version, build. Whatever is not clearly said is not ready."""

from __future__ import annotations

import json
from dataclasses import dataclass

from changeover.core.errors import VersionUnusable
from changeover.core.model import Identity, Slot, Version
from changeover.core.ports import Answer, Web

LONGEST = 200  # characters of a version or a build


@dataclass(frozen=True, slots=True)
class Checks:
    """How instances are asked: paths, keys of the identity's JSON object, seconds for one answer."""

    ready: str
    identity: str
    version: str = "version"
    build: str = "build"
    timeout: float = 5.0
    requests: str = ""  # the key with the instance's own count of requests; "": it has none
    configuration: str = ""  # the key that names the configuration it runs with; "": it has none


@dataclass(frozen=True, slots=True)
class Proof:
    """One look. `answered`: something spoke HTTP there. `note` says why it is not ready, "" if it is."""

    answered: bool
    ready: bool
    identity: Identity | None
    note: str
    requests: int | None = None
    configuration: str = ""


def url_of(slot: Slot, path: str) -> str:
    """`http://127.0.0.1:8001/ready`; an IPv6 host gets its brackets."""
    host = f"[{slot.host}]" if ":" in slot.host else slot.host
    return f"http://{host}:{slot.port}{path}"


@dataclass(frozen=True, slots=True)
class Inspector:
    """Asks instances directly, not through the balancer."""

    web: Web
    checks: Checks

    def look(self, slot: Slot) -> Proof:
        """Ready is an answer of exactly 200, and an identity that can be read. Never raises for what it gets."""
        ready = self.web.get(url_of(slot, self.checks.ready), timeout=self.checks.timeout)
        if ready.status == 0:
            return Proof(answered=False, ready=False, identity=None, note=f"{self.checks.ready}: {ready.note}")
        answer = self.web.get(url_of(slot, self.checks.identity), timeout=self.checks.timeout)
        identity, problem = self.read(answer)
        if ready.status != 200:
            return Proof(True, ready=False, identity=identity, note=f"{self.checks.ready} answers {ready.status}")
        configuration = self._said(answer, self.checks.configuration)
        words = configuration[:LONGEST] if isinstance(configuration, str) and configuration.isprintable() else ""
        return Proof(True, identity is not None, identity, problem, self._requests(answer), words)

    def _said(self, answer: Answer, key: str) -> object:
        if not key:
            return None
        try:
            return json.loads(answer.body).get(key)
        except (ValueError, RecursionError, AttributeError):
            return None

    def _requests(self, answer: Answer) -> int | None:
        """The instance's own count, None if it is not told or is no count."""
        count = self._said(answer, self.checks.requests)
        return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None

    def read(self, answer: Answer) -> tuple[Identity | None, str]:
        """(identity, "") or (None, what is wrong with the answer of the identity path)."""
        path = self.checks.identity
        if answer.status != 200 or answer.note:
            return None, f"{path}: {answer.note or f'answers {answer.status}'}"
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):
            return None, f"{path} does not answer with JSON"
        if not isinstance(said, dict):
            return None, f"{path} does not answer with a JSON object"
        return _identity(said, path, self.checks)


def _identity(said: dict[str, object], path: str, checks: Checks) -> tuple[Identity | None, str]:
    version, build = said.get(checks.version), said.get(checks.build, "")
    if version is None:
        return None, f"{path} has no {checks.version!r}"
    if not isinstance(version, str):
        return None, f"{path}: {checks.version!r} is not text (1.10 as a number is 1.1)"
    if isinstance(build, int) and not isinstance(build, bool):
        build = str(build)
    if not isinstance(build, str) or not build.isprintable() or len(build) > LONGEST:
        return None, f"{path}: {checks.build!r} is not a build"
    if len(version) > LONGEST:
        return None, f"{path}: {checks.version!r} is not a version"
    try:
        return Identity(Version.of(version), build), ""
    except VersionUnusable as error:
        return None, f"{path}: {error.what}"
