"""References to commands, with real processes; and what the configuration costs to import."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from changeover.config import Redactor, Resolver
from changeover.core.errors import SecretUnresolved

PYTHON = sys.executable


@pytest.fixture
def resolver(tmp_path):
    return Resolver(tmp_path, Redactor(), dict(os.environ), command_seconds=10.0)


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return f"${{cmd:{PYTHON} {path}}}"


def test_output_is_stripped_and_redacted(resolver, tmp_path):
    reference = script(tmp_path, "print('  hunter2 ')")
    assert resolver.resolve(f"x-{reference}").reveal() == "x-hunter2"
    assert resolver.redactor.redact("a hunter2") == "a •••"


def test_no_shell_and_quotes_are_kept(resolver):
    assert resolver.resolve("${cmd:echo 'a  b' $HOME ; id}").reveal() == "a  b $HOME ; id"


def test_starts_in_the_directory_with_the_environment(tmp_path):
    resolver = Resolver(tmp_path, Redactor(), {"SHOP": "hunter2"})
    reference = script(tmp_path, "import os; print(os.getcwd(), os.environ['SHOP'])")
    assert resolver.resolve(reference).reveal() == f"{tmp_path} hunter2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys; print('hunter2'); print('hunter2', file=sys.stderr); sys.exit(3)", "ended with status 3"),
        ("", "it gives nothing"),
        ("import sys; sys.stdout.buffer.write(b'caf\\xe9')", "not UTF-8"),
        ("while True: print('hunter2' * 1000)", "more than 64 KiB"),
        ("import sys; sys.stdin.read(); sys.exit(4)", "ended with status 4"),
    ],
)
def test_failures(resolver, tmp_path, text, says):
    with pytest.raises(SecretUnresolved) as caught:
        resolver.resolve(script(tmp_path, text))
    assert says in caught.value.what
    assert "hunter2" not in f"{caught.value.what} {caught.value.next}"


def test_no_such_program(resolver):
    with pytest.raises(SecretUnresolved, match="cannot be run: No such file"):
        resolver.resolve("${cmd:no-such-program-here}")


def test_a_hanging_command_is_killed_with_its_children(tmp_path):
    resolver = Resolver(tmp_path, Redactor(), dict(os.environ), command_seconds=1.0)
    pid = tmp_path / "pid"
    child = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    text = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    with pytest.raises(SecretUnresolved, match="did not end within 1 s"):
        resolver.resolve(script(tmp_path, text))
    if pid.exists() and pid.read_text():  # the child may not have got so far
        assert gone(int(pid.read_text()))


def test_a_child_that_keeps_the_pipe_open_is_killed_too(tmp_path):
    resolver = Resolver(tmp_path, Redactor(), dict(os.environ), command_seconds=2.0)
    pid = tmp_path / "pid"
    text = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(p.pid))\nprint('hunter2')\n"
    )
    with pytest.raises(SecretUnresolved, match="did not end"):
        resolver.resolve(script(tmp_path, text))
    assert gone(int(pid.read_text()))


def gone(pid: int) -> bool:
    """The process ends; polled, with a deadline."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("names", ["peek", "Redactor, Resolver, Secret", "Facts, starter"])
def test_the_light_half_imports_neither_pydantic_nor_yaml(names):
    code = (
        f"import sys; from changeover.config import {names}; print(*{{'pydantic', 'ruamel.yaml'}} & set(sys.modules))"
    )
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
