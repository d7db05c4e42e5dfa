"""The user's own commands that exercise a version, and the smoke checks through the balancer's preview."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from changeover.core.model import Identity, Version
from changeover.core.ports import CommandResult, Host, Web
from changeover.drivers import argv, assets
from changeover.drivers.by_hand import is_identity
from changeover.drivers.runtimes.proof import Checks, Inspector

URL: Final = "CHANGEOVER_DATABASE_URL"
VERSION: Final = "CHANGEOVER_VERSION"
BUILD: Final = "CHANGEOVER_BUILD"
DOTS: Final = "•••"


@dataclass(frozen=True, slots=True)
class ProbeCommand:
    """A command that ends 0 if the version works; `{version}` and `{build}` may stand in it. `timeout` is seconds."""

    name: str
    argv: tuple[str, ...]
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """A GET of `path` that must answer `status` and, if given, contain a text.

    `assets`: each file that the page names, in the new version or in the one that serves, must be served by both.
    """

    path: str
    status: int = 200
    contains: str | None = None
    assets: bool = False

    @property
    def name(self) -> str:
        return f"GET {self.path}"


@dataclass(frozen=True, slots=True)
class CommandProber:
    """`core.ports.Prober`. `database` is how the configuration writes the database's URL, for the commands by hand."""

    probe_commands: tuple[ProbeCommand, ...]
    smoke_checks: tuple[SmokeCheck, ...]
    host: Host
    web: Web
    checks: Checks
    database: str = f"${{env:{URL}}}"

    def probes(self, version: Version, build: str, url: str) -> Sequence[tuple[str, CommandResult]]:
        """Run every probe, one after the other; the URL travels in the environment and is taken out of the output.

        Raises ToolMissing.
        """
        env = {URL: url, VERSION: version.text, BUILD: build}
        return tuple((probe.name, self._probe(probe, env, url)) for probe in self.probe_commands)

    def _probe(self, probe: ProbeCommand, env: Mapping[str, str], url: str) -> CommandResult:
        command = argv.fill(probe.argv, {"version": env[VERSION], "build": env[BUILD]})
        result = self.host.run(command, env=env, timeout=probe.timeout)
        err = result.err
        if result.status is None:
            err += f"killed: it did not end within {probe.timeout:g} s\n"
        return replace(result, out=without(url, result.out), err=without(url, err))

    def smoke(self, entry: str, headers: Mapping[str, str], identity: Identity) -> Sequence[tuple[str, str]]:
        """First the identity, fetched through the preview: what answers there must be the version asked for."""
        name = f"GET {self.checks.identity} is {identity}"
        return (
            (name, self._identity_problem(entry, headers, identity)),
            *((check.name, self._problem(check, entry, headers)) for check in self.smoke_checks),
        )

    def assets(self, entry: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        return tuple((path, assets.problem(self.web, entry, path, {}, self.checks.timeout)) for path in paths)

    def _identity_problem(self, entry: str, headers: Mapping[str, str], identity: Identity) -> str:
        answer = self.web.get(_join(entry, self.checks.identity), headers=headers, timeout=self.checks.timeout)
        said, problem = Inspector(self.web, self.checks).read(answer)
        if said is None:
            return problem
        same = said.version == identity.version and identity.build in ("", said.build)
        return "" if same else f"{said} answers through the preview, not {identity}"

    def _problem(self, check: SmokeCheck, entry: str, headers: Mapping[str, str]) -> str:
        answer = self.web.get(_join(entry, check.path), headers=headers, timeout=self.checks.timeout)
        if answer.status == 0:
            return answer.note
        if answer.status != check.status:
            return f"answers {answer.status}, not {check.status}"
        if check.contains is not None and check.contains not in answer.body.decode("utf-8", "replace"):
            return f"does not contain {check.contains!r}{f' ({answer.note})' if answer.note else ''}"
        if check.assets:
            return assets.problem(self.web, entry, check.path, headers, self.checks.timeout)
        return ""

    def by_hand(self, version: Version, build: str, url: str = "") -> Sequence[str]:
        """Each probe as a shell line that ends 0 if the version works."""
        values = {"version": version.text, "build": build}
        return tuple(
            f"{URL}={argv.shell_value(url or self.database)} {VERSION}={shlex.quote(version.text)} {BUILD}={shlex.quote(build)} "
            f"timeout {probe.timeout:g} {shlex.join(argv.fill(probe.argv, values))}"
            for probe in self.probe_commands
        )

    def by_hand_smoke(self, ask: str, version: Version, build: str) -> Sequence[str]:
        """The identity first, then each check: a line that ends 0 if it is as it should be."""
        said = is_identity(self.checks.version, self.checks.build, version, build)
        checks = [line for check in self.smoke_checks for line in _by_hand(check, ask)]
        return (f"{ask}{shlex.quote(self.checks.identity)} | {said}", *checks)


def _by_hand(check: SmokeCheck, ask: str) -> Sequence[str]:
    asked = f"{ask}{shlex.quote(check.path)}"
    status = f"{asked} -o /dev/null -w '%{{http_code}}\\n' | grep -x {check.status}"
    return (status, f"{asked} | grep -cF {shlex.quote(check.contains)}") if check.contains else (status,)


def without(url: str, text: str) -> str:
    """The text without the URL and without its password, however that is written."""
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        password = ""
    for secret in sorted({url, password, unquote(password), quote(unquote(password), safe="")}, key=len, reverse=True):
        text = text.replace(secret, DOTS) if secret else text
    return text


def _join(entry: str, path: str) -> str:
    return entry.rstrip("/") + path
