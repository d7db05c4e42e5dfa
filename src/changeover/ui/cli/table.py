"""Every command: its words, where it lives, and what it is for. Data, so that help needs no library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HOME = "changeover.ui.cli.commands"


@dataclass(frozen=True, slots=True)
class Command:
    """`words`: as typed. `target`: module:function below HOME. `acts`: it may change the environment."""

    words: str
    target: str
    summary: str
    section: str
    aliases: tuple[str, ...] = ()
    hidden: bool = False
    acts: bool = False
    exits: tuple[int, ...] = (0, 1, 2, 5)

    @property
    def path(self) -> str:
        return f"{HOME}.{self.target}"


SETUP = "Set up"
PREPARE = "Prepare"
GO = "Release night"
LOOK = "Look"
LATER = "Afterwards"
MORE = "More"
DRIVES = (0, 1, 2, 4, 5, 6, 7, 130)
BACK = (0, 1, 2, 5, 7, 130)
LOOKS = (0, 1, 2, 5)

COMMANDS: tuple[Command, ...] = (
    Command("init", "setup:init", "read haproxy.cfg and migrations, write changeover.yml", SETUP, exits=(0, 2)),
    Command("doctor", "setup:doctor", "read-only: can I reach, and may I do, everything?", SETUP, exits=(0, 1, 2)),
    Command(
        "check", "setup:check", "lint configuration and changes, for CI; touches no server", SETUP, exits=(0, 2, 5)
    ),
    Command("config show", "settings:show", "the merged configuration, secrets masked", SETUP, exits=(0, 2)),
    Command("config schema", "settings:schema", "JSON Schema of changeover.yml, for editors", SETUP, exits=(0,)),
    Command(
        "process", "paper:process", "the written process of this environment, without a version", PREPARE, exits=(0, 2)
    ),
    Command(
        "plan",
        "planning:plan",
        "exact SQL, balancer commands, durations, way back per step",
        PREPARE,
        exits=(0, 1, 2, 3, 5),
    ),
    Command("runbook", "paper:runbook", "a saved plan as a document to sign", PREPARE, exits=(0, 2, 5)),
    Command(
        "release",
        "release:release",
        "go; in production only with a saved plan",
        GO,
        ("apply",),
        acts=True,
        exits=DRIVES,
    ),
    Command(
        "status",
        "looking:status",
        "where it stands now, asked and observed, and the way back",
        GO,
        exits=(0, 1, 2, 4, 7),
    ),
    Command("watch", "looking:watch", "live view, read-only", GO, exits=DRIVES),
    Command("approve", "people:approve", "open the gate that waits", GO, ("promote",), exits=(0, 1, 2, 5)),
    Command("pause", "people:pause", "hold at the next safe point", GO, exits=(0, 1, 2, 5)),
    Command("resume", "release:resume", "go on after a pause, a hold or a crash", GO, acts=True, exits=DRIVES),
    Command(
        "rollback", "back:rollback", "take the old version back; never touches the schema", GO, acts=True, exits=BACK
    ),
    Command("abort", "back:abort", "give a release up: traffic home, new instances stopped", GO, acts=True, exits=BACK),
    Command(
        "cleanup",
        "cleanup:cleanup",
        "the point of no return: retire old, contract the schema",
        LATER,
        acts=True,
        exits=BACK,
    ),
    Command("schema owed", "schema:owed", "what waits to be taken away, and what ends it", LATER, exits=LOOKS),
    Command(
        "schema drift", "schema:drift", "the database against its ledger and the journal", LATER, exits=(0, 1, 2, 3, 5)
    ),
    Command("schema split", "schema:split", "a migration, written anew in two parts", PREPARE, exits=(0, 2, 5)),
    Command("schema undo", "schema:undo", "take back what was added for a version", LATER, acts=True, exits=BACK),
    Command("schema format", "schema:format_", "JSON Schema of VERSION.yml, for editors", SETUP, exits=(0,)),
    Command("history", "looking:history", "the runs of this environment", LOOK, exits=LOOKS),
    Command("log", "looking:log", "what happened in a run", LOOK, exits=LOOKS),
    Command("lock", "looking:lock", "who may act on the environment", LOOK, exits=LOOKS),
    Command("explain", "paper:explain", "what an error means", MORE, exits=(0, 2)),
    Command(
        "demo", "demo:demo", "two versions, balancer, database, live traffic on 127.0.0.1", MORE, exits=(0, 1, 2, 130)
    ),
    Command("completion", "settings:completion", "completion for bash, zsh or fish", MORE, exits=(0, 2)),
    Command(
        "worker", "release:worker", "go on with a run in the background", MORE, hidden=True, acts=True, exits=DRIVES
    ),
)


def find(words: str) -> Command | None:
    """The command of these words, aliases too."""
    return next((c for c in COMMANDS if words == c.words or words in c.aliases), None)


def help_text() -> str:
    """What `changeover --help` prints."""
    return "\n".join(_help()) + "\n"


def _help() -> Iterator[str]:
    yield "Usage: changeover [-c FILE] [-e ENVIRONMENT] COMMAND [OPTIONS]"
    yield ""
    yield "Releases a new version of an application and of its database schema behind a"
    yield "load balancer, without losing a request; takes the old version back in one step."
    for section in (SETUP, PREPARE, GO, LOOK, LATER, MORE):
        yield ""
        yield f"{section}:"
        for command in COMMANDS:
            if command.section == section and not command.hidden:
                yield f"  {command.words:<14} {command.summary}"
    yield ""
    yield "Everywhere:"
    yield "  -c FILE  -e ENVIRONMENT  --json  -q  -v  --no-input  --no-color  --timeout 5m"
    yield "  changeover COMMAND --help   tells the options of a command"
    yield "  changeover explain CO-0104  tells what an error means"
