"""changeover.yml and its overlay -> Settings, or one error with every problem at its place."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from changeover.config import checks
from changeover.config.keys import fields_of
from changeover.config.kinds import anchored
from changeover.config.messages import error_of, problems_of
from changeover.config.settings import Origin, Settings
from changeover.core.errors import ConfigurationMissing, UsageError
from changeover.yaml.source import MOST_BYTES, decode, parse
from changeover.yaml.tree import Entry, Map, Node, Place, Problem, Scalar, dotted, find, merge, plain, scalars

_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def overlay_path(path: Path, environment: str) -> Path:
    """`changeover.yml`, `production` -> `changeover.production.yml` beside it."""
    return path.with_name(f"{path.stem}.{environment}{path.suffix}")


def load(path: Path | str, environment: str | None = None) -> Settings:
    """The settings of an environment. No secret is resolved and nothing but the file and its overlay is touched.

    The overlay `changeover.ENVIRONMENT.yml` is laid over the file whenever it exists, whether the environment is named by
    `environment` or in the file: one name means one configuration. Raises ConfigurationMissing (CO-0011) when there is no
    file, UsageError (CO-0013) for a name that is none, ConfigurationError (CO-0010) with all problems at once.
    """
    file = Path(path)
    if environment is not None and not _ENVIRONMENT.fullmatch(environment):
        raise UsageError(
            f"{environment!r} is not the name of an environment", next=("letters, digits, - and _: -e production",)
        )
    base = _Read(file, 0)
    name = environment or _named(base.root)
    over = overlay_path(file, name) if name else None
    overlay = _Read(over, 1) if over is not None and over.exists() else None
    reads = [base] if overlay is None else [base, overlay]
    texts = [read.text for read in reads]
    problems = [problem for read in reads for problem in read.problems]
    if any(read.root is None for read in reads):
        raise error_of(problems, texts)
    if environment and overlay is None:
        _refuse_wrong_environment(file, _named(base.root), environment)
    problems += _overlay_agrees(overlay, name)
    root = _effective(base.root, overlay.root if overlay else None, environment)
    origin = Origin(file, file.absolute().parent, None if overlay is None else overlay.path)
    settings, found = _validate(root, origin)
    problems += found
    if settings is None or problems:
        raise error_of(_without_echoes(problems), texts)
    return settings


class _Read:
    """One file: its text, its tree if it has one, its problems."""

    def __init__(self, path: Path, order: int) -> None:
        self.path = path
        self.text, self.problems = decode(_bytes(path), str(path), order)
        self.root: Node | None = None
        if not self.problems:
            self.root, self.problems = parse(self.text)


def _bytes(path: Path) -> bytes:
    """At most one byte more than allowed. Raises ConfigurationMissing with the reason and the way out."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        other = path.with_suffix(".yml" if path.suffix == ".yaml" else ".yaml")
        hint = f"there is {other}: changeover -c {other} …" if other.is_file() else "write one: changeover init"
        raise ConfigurationMissing(f"there is no {path}", next=(hint, "or name it: changeover -c FILE …")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigurationMissing(
            f"{path} cannot be read: {reason}", next=("name the file: changeover -c FILE …",)
        ) from None
    kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
    raise ConfigurationMissing(f"{path} is {kind}", next=(f"name the file: changeover -c {path / 'changeover.yml'} …",))


def _named(root: Node | None) -> str | None:
    """The environment that the file names, if it is a name."""
    entry = root.entries.get("environment") if isinstance(root, Map) else None
    value = entry.node.value if entry is not None and isinstance(entry.node, Scalar) else None
    return value if isinstance(value, str) and _ENVIRONMENT.fullmatch(value) else None


def _refuse_wrong_environment(file: Path, named: str | None, asked: str) -> None:
    if named is not None and named != asked:
        over = overlay_path(file, asked)
        raise ConfigurationMissing(
            f"{file} is for the environment {named}, and there is no {over} for {asked}",
            next=(f"write {over} with what is different in {asked}", f"or ask for {named}: changeover -e {named} …"),
        )


def _overlay_agrees(overlay: _Read | None, name: str | None) -> list[Problem]:
    """An overlay that names another environment than its file name does is a trap."""
    if overlay is None or not isinstance(overlay.root, Map) or "environment" not in overlay.root.entries:
        return []
    node = overlay.root.entries["environment"].node
    if isinstance(node, Scalar) and node.value == name:
        return []
    return [
        Problem(node.place, "environment", f"this file is laid over for {name}; write {name}, or leave the key out")
    ]


def _effective(base: Node | None, over: Node | None, environment: str | None) -> Map:
    assert isinstance(base, Map)
    root = base if over is None else merge(base, over)
    assert isinstance(root, Map)
    if environment is None:
        return root
    old = root.entries.get("environment")
    place = old.place if old else Place(0, 1, 1)
    return Map(root.place, {**root.entries, "environment": Entry(place, Scalar(environment, environment, place))})


def _validate(root: Map, origin: Origin) -> tuple[Settings | None, list[Problem]]:
    document: Any = plain(root)
    hints = list(checks.of_values(scalars(root)))
    settings: Settings | None = None
    errors: list[Any] = []
    try:
        settings = Settings.model_validate(document).placed(origin)
        parts: checks.Parts = {name: getattr(settings, name) for name in Settings.model_fields}
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        parts = _valid_parts(document, {str(e["loc"][0]) for e in errors}, origin.directory)
    found = problems_of(errors, root)
    inside = tuple(f"{problem.path}{sign}" for problem in found for sign in ".[" if problem.path)
    ours = [_problem(root, hint) for hint in hints]
    ours = [problem for problem in ours if not problem.path.startswith(inside)]  # the whole is wrong already
    return settings, [*ours, *(_problem(root, hint) for hint in checks.of_parts(parts)), *found]


def _problem(root: Map, hint: checks.Hint) -> Problem:
    found = find(root, hint[0])
    return Problem(found.node.place if found.whole else found.key, dotted(found.path), hint[1])


def _valid_parts(document: dict[str, Any], wrong: set[str], directory: Path) -> checks.Parts:
    """The sections in which pydantic found nothing; a section that is left out has its default."""
    parts: dict[str, Any] = {}
    for name, field in fields_of(Settings).items():
        if name in wrong:
            continue
        if name in document:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            parts[name] = anchored(adapter.validate_python(document[name]), directory)
        elif not field.is_required():
            parts[name] = field.get_default(call_default_factory=True)
    return parts


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """One problem per value: what is said first of a value says why the rest is wrong too."""
    seen: set[tuple[Place, str]] = set()
    kept: list[Problem] = []
    for problem in problems:
        key = (problem.place, problem.path)
        if key not in seen:
            seen.add(key)
            kept.append(problem)
    return kept
