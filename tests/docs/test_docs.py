"""The documents are true of this program: links, commands, error ids, configuration, blocks that code writes."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.docs import blocks as generated
from tests.docs import pages
from tests.docs.pages import COMPLETE, PAGES, ROOT, Block, name

from changeover.core import steps
from changeover.core.errors import Exit, catalogue

ALL_BLOCKS = [b for page in PAGES for b in pages.blocks(page)]
SOURCE = ROOT / "src" / "changeover"


def each(found: list[Block]) -> object:
    return pytest.mark.parametrize("block", found, ids=[f"{name(b.page)}-{n}" for n, b in enumerate(found)])


# links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_resolves(page):
    broken = []
    for target in pages.links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in pages.anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_first_one():
    seen, queue = set(), [ROOT / "README.md"]
    while queue:
        page = queue.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        queue += [(page.parent / t.partition("#")[0]).resolve() for t in pages.links(page) if "://" not in t]
    assert set(PAGES) - seen == set()


def test_the_licence_named_is_the_licence_given():
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0" in licence
    assert "[Apache-2.0](LICENSE)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


# commands ----------------------------------------------------------------------------------------------------

COMMANDS = [(b.page, c) for b in ALL_BLOCKS if b.language == "console" for c in b.commands()]


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 20


def table():
    """The commands as the command line has them."""
    return pytest.importorskip("changeover.ui.cli.table", reason="the command line is not there")


def command_of(words: list[str]) -> str:
    """The longest known command that the words begin with, without what stands before it."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in ("-c", "-e", "--config", "--environment", "--timeout") else rest[1:]
    two, one = " ".join(rest[:2]), " ".join(rest[:1])
    return two if table().find(two) is not None else one


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{name(p)}: {c}" for p, c in COMMANDS])
def test_a_command_in_a_console_block_exists(page, command):
    words = pages.words(command)
    match words[0]:
        case "make":
            text = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.escape(words[1])}:", text, re.MULTILINE), f"no target {words[1]}"
        case "changeover":
            assert table().find(command_of(words[1:])) is not None, f"no command {command}"
        case "pip":
            assert words[1] == "install"
            assert words[2].startswith("."), "nothing is published: install from the checkout"
            extras = re.findall(r"\[([\w,]+)\]", words[2])
            declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            assert all(f"\n{e} = [" in declared for group in extras for e in group.split(","))
        case other:
            pytest.fail(f"{name(page)} runs {other}; write it as a `sh` block, or check it here")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_command_named_in_the_text_exists(page):
    spoken = [c for c in pages.inline(page) if re.match(r"changeover [a-z]", c)]
    unknown = [c for c in spoken if table().find(command_of(c.split()[1:])) is None]
    assert unknown == []


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{name(p)}: {c}" for p, c in COMMANDS])
def test_the_options_in_a_console_block_exist(page, command):
    words = pages.words(command)
    if words[0] != "changeover":
        return
    known = options_of(command_of(words[1:]))
    unknown = [w for w in words[1:] if w.startswith("-") and w.partition("=")[0] not in known]
    assert unknown == []


@cache
def options_of(command: str) -> frozenset[str]:
    """The options that the command's own help tells."""
    argv = [sys.executable, "-m", "changeover", *command.split(), "--help"]
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if "No module named changeover.__main__" in answer.stderr:
        pytest.skip("the command line is not there")
    assert answer.returncode == 0, answer.stderr
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", answer.stdout)) | {"-c", "-e", "--json", "--timeout"}


# errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_error_id_exists(page):
    named = set(re.findall(r"CO-\d{4}", page.read_text(encoding="utf-8")))
    assert named - set(catalogue()) == set()


def test_the_exit_codes_are_the_programs():
    page = (ROOT / "docs" / "howto" / "ci.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert told == {int(e) for e in Exit}


# configuration -----------------------------------------------------------------------------------------------

YAML = [b for b in ALL_BLOCKS if b.language == "yaml"]


@each([b for b in YAML if b.mark == COMPLETE])
def test_a_complete_configuration_loads(block, tmp_path):
    from changeover.config import load

    file = tmp_path / "changeover.yml"
    file.write_text(block.text)
    assert load(file).app


@each(YAML)
def test_a_configuration_says_whether_it_is_complete(block):
    assert block.mark in (COMPLETE, pages.PART, pages.CHANGE)


@each([b for b in YAML if b.mark == pages.CHANGE])
def test_a_change_file_in_the_documents_is_read_and_linted(block, tmp_path):
    from changeover.core.model import Version
    from changeover.drivers.sources.operation_files import read_operations
    from changeover.schema.linting import lint

    file = tmp_path / "1.1.0.yml"
    file.write_text(block.text)
    problems = []
    declared = read_operations(file, Version("1.1.0"), problems)
    assert problems == []
    assert lint(declared, "postgresql") == ()


@each([b for b in YAML if b.mark == pages.PART])
def test_a_part_of_a_configuration_loads_within_a_complete_one(block, tmp_path):
    from ruamel.yaml import YAML as Yaml

    from changeover.config import load

    whole = next(b for b in YAML if b.mark == COMPLETE and b.page.name == "postgresql.md")
    parser = Yaml(typ="safe", pure=True)
    data = parser.load(whole.text)
    for key, value in parser.load(block.text).items():
        data[key] = {**data[key], **value} if isinstance(value, dict) and key in data else value
    file = tmp_path / "changeover.yml"
    with file.open("w") as out:
        dumper = Yaml(typ="safe", pure=True)
        dumper.default_flow_style = False
        dumper.dump(data, out)
    assert load(file).app


# code in the documents -----------------------------------------------------------------------------------------


@each([b for b in ALL_BLOCKS if b.language == "python"])
def test_python_in_the_documents_runs(block, capsys):
    exec(compile(block.text, str(block.page), "exec"), {"__name__": "documents"})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_that_code_writes_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert generated.filled(text) == text, "python -m tests.docs.blocks"


def test_every_generated_block_is_shown_somewhere():
    shown = {
        n for page in PAGES for n in re.findall(r"<!-- generated: ([a-z-]+) -->", page.read_text(encoding="utf-8"))
    }
    assert shown == set(generated.BLOCKS)


# references --------------------------------------------------------------------------------------------------


def reference(page: str) -> str:
    return (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")


def test_every_field_of_a_plan_is_told():
    told = set(re.findall(r"`([\w.-]+)`", reference("plan-file.md")))
    for kind in (steps.Plan, steps.Step, steps.Words, steps.Basis):
        assert {f.name for f in dataclasses.fields(kind)} - told == set(), kind.__name__
    assert set(steps.ACTIONS) <= told


@pytest.mark.parametrize("kind", sorted(steps.ACTIONS))
def test_the_arguments_of_a_step_are_told(kind):
    row = next(line for line in reference("plan-file.md").splitlines() if line.startswith(f"| `{kind}` |"))
    assert re.findall(r"`(\w+)`", row.split("|")[2]) == [f.name for f in dataclasses.fields(steps.ACTIONS[kind])]


def event_kinds() -> set[str]:
    """Every kind that the program writes into its journal, read from its source."""
    found = {"waiting", "approved"}  # written by the journal itself
    for file in sorted((SOURCE / "engine").rglob("*.py")) + sorted((SOURCE / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = {"note": 0, "record": 2}.get(called)
            if place is not None and len(node.args) > place:
                words = [n for n in ast.walk(node.args[place]) if isinstance(n, ast.Constant)]
                found |= {str(w.value) for w in words}
    return found


def test_the_journal_writes_what_the_page_tells_and_nothing_else():
    told = set()
    for line in reference("journal-events.md").splitlines():
        if line.startswith("| `"):
            told |= set(re.findall(r"`([\w-]+)`", line.split("|")[1]))
    assert told == event_kinds()


def test_every_rule_names_tests_that_are_there():
    functions = set()
    suites = (ROOT / "src" / "changeover" / "testing").glob("*.py")
    for file in (*(ROOT / "tests").rglob("test_*.py"), *suites):
        functions |= set(re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    page = reference("rules.md")
    assert set(re.findall(r"`(test_\w+)`", page)) - functions == set()
    for number in range(1, 15):
        row = next(line for line in page.splitlines() if line.startswith(f"| R{number} |"))
        assert "`test_" in row
        assert f"**R{number}** " in page


def test_every_document_for_machines_is_told():
    """A format in the program's rendering is on the page, and the reverse."""
    written = set()
    for file in [*(SOURCE / "ui").rglob("*.py"), SOURCE / "demo" / "story.py", SOURCE / "core" / "steps.py"]:
        text = file.read_text(encoding="utf-8")
        written |= {f"changeover.{kind}/1" for kind in re.findall(r'head\("([a-z-]+)"', text)}
        written |= set(re.findall(r'"(changeover\.[a-z-]+/1)"', text))
    rows = [line for line in reference("json.md").splitlines() if line.startswith("| `changeover.")]
    told = {f for row in rows for f in re.findall(r"`(changeover\.[a-z-]+/1)`", row.split("|")[1])}
    assert told == written


def top_keys(file: str, function: str) -> set[str]:
    """The keys of the dict that a function returns, read from its source."""
    tree = ast.parse((SOURCE / "ui" / "render" / file).read_text(encoding="utf-8"))
    made = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function)
    returned = [n.value for n in ast.walk(made) if isinstance(n, ast.Return) and isinstance(n.value, ast.Dict)]
    return {str(k.value) for d in returned for k in d.keys if isinstance(k, ast.Constant)}


@pytest.mark.parametrize(
    ("file", "function", "kind"),
    [
        ("documents.py", "status", "status"),
        ("documents.py", "doctor", "doctor"),
        ("documents.py", "event", "event"),
        ("documents.py", "holder", "lock"),
        ("schema.py", "owed_document", "owed"),
        ("schema.py", "drift_document", "drift"),
        ("errors.py", "document", "error"),
        ("ending.py", "document", "run"),
    ],
)
def test_every_key_of_a_document_is_told(file, function, kind):
    section = reference("json.md").partition(f"## changeover.{kind}/1")[2].partition("\n## ")[0]
    keys = top_keys(file, function)
    assert keys
    assert keys - set(re.findall(r"`(\w+)`", section)) - {"format", "at"} == set()


# what never stands in the project --------------------------------------------------------------------------------

FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|tmp/w|root|home)/\w"),
    "a registry host": re.compile(r"registry\.npmjs|proxy\.golang|files\.pythonhosted|artifactory", re.IGNORECASE),
    "how the project is written": re.compile(r"\b(?:AI|coding|sub)[- ]?[a]gents?\b", re.IGNORECASE),
    "a number of an issue": re.compile(r"\b(?:issue|fixes|closes|see) #\d+", re.IGNORECASE),
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return [
            p for folder in ("src", "docs", "tests") for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md")
        ]
    return [ROOT / f for f in listed.stdout.split("\0") if f]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden_words_are_absent(what):
    found = []
    for path in {*tracked(), *PAGES}:
        if path == Path(__file__) or path.name in ("uv.lock", "LICENSE") or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in FORBIDDEN[what].finditer(text)]
    assert found == []
