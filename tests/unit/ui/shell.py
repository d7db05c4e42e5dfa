"""The command line in this process, on an environment in memory: what was answered, what was told, the exit code."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fixtures.memory_site import CHANGES, POLICY, Stage, stage

from changeover.core.errors import ConfigurationError, Where
from changeover.service.door import Changeover
from changeover.ui.cli.open import Doors
from changeover.ui.cli.run import run
from changeover.ui.cli.terminal import Terminal


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Latin(io.TextIOWrapper):
    """A stream that is not UTF-8."""

    def __init__(self, encoding: str = "ascii") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")

    def getvalue(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@dataclass
class Shell:
    """`spawned` are the runs that were handed to a background worker."""

    stage: Stage
    folder: Path
    spawned: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=lambda: {"TERM": "xterm"})
    opens: object = None  # what `door` does instead of opening

    @property
    def world(self):
        return self.stage.world

    @property
    def door(self) -> Changeover:
        return self.stage.door

    def doors(self) -> Doors:
        return Doors(
            door=self._door,
            check=self._check,
            propose=lambda *_: None,
            spawn=self._spawn,
            demo=lambda *_, **__: {"format": "changeover.demo/1", "verdict": "ok"},
            demo_words=lambda answer: f"verdict {answer['verdict']}",
            settings=lambda *_: "app: shop\n",
            schema=lambda: {"title": "changeover.yml"},
            change_schema=lambda: {"title": "VERSION.yml"},
        )

    def _door(self, config, environment):
        if isinstance(self.opens, Exception):
            raise self.opens
        return self.stage.door

    def _check(self, config, environment, online):
        if isinstance(self.opens, Exception):
            raise self.opens
        from changeover.service.wiring import CheckReport

        return CheckReport("changeover.yml", "shop", "test", CHANGES)

    def _spawn(self, site, run_id):
        self.spawned.append(run_id)
        return 4711

    def __call__(self, *argv: str, types: str | None = None, out=None, err=None) -> Answer:
        """Type a command. `types`: somebody sits at a terminal and types this."""
        out = out if out is not None else io.StringIO()
        if types is None:
            terminal = Terminal(io.StringIO(), out, err if err is not None else io.StringIO(), self.environ)
        else:
            terminal = Terminal(
                Screen(types), out, err if err is not None else Screen(), {**self.environ, "TERM": "dumb"}
            )
        code = run(list(argv), terminal, self.doors())
        return Answer(code, out.getvalue(), terminal.stderr.getvalue())


def shell(folder: Path, *, production: bool = False, **policy: object) -> Shell:
    """1.0.0 serves; what `policy` says is different from the usual one."""
    made = stage(folder, policy=replace(POLICY, **policy))
    if production:
        site = replace(made.door.site, environment="production")
        made = Stage(made.world, replace(made.door, site=site))
    return Shell(made, folder)


BAD_CONFIGURATION = ConfigurationError(
    'changeover.yml: 1 problem\nchangeover.yml:4:3  balancers[0].soket: unknown key, did you mean "socket"?\n'
    "      soket: /run/haproxy/admin.sock\n      ^",
    next=("correct the file, then: changeover check",),
    where=(Where("changeover.yml", 4, 3, "  soket: /run/haproxy/admin.sock"),),
)
