"""What a command imports: help needs no library, and nothing heavy is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cyclopts", "rich", "pydantic", "sqlalchemy", "sqlglot", "ruamel", "httpx2", "psycopg", "msgspec")
TELL = f"import sys; print(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"


def loaded(code: str, folder) -> tuple[set[str], str]:
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\n{TELL}"], capture_output=True, text=True, timeout=60, check=True, cwd=folder
    )
    return set(answer.stderr.splitlines()[-1].split()), answer.stdout


def call(*argv: str) -> str:
    return f"from changeover.ui.cli import _main\ncode = _main({list(argv)!r})"


@pytest.mark.parametrize("argv", [("--help",), ("--version",)])
def test_help_needs_no_library(tmp_path, argv):
    modules, out = loaded(call(*argv), tmp_path)
    assert modules == set()
    assert "changeover" in out


def test_explain_needs_no_store_and_no_configuration(tmp_path):
    modules, out = loaded(call("explain", "104"), tmp_path)
    assert out.startswith("CO-0104")
    assert not modules & {"rich", "pydantic", "sqlalchemy", "sqlglot", "ruamel"}


def test_the_package_imports_nothing(tmp_path):
    modules, out = loaded("import changeover\nprint(changeover.__version__)", tmp_path)
    assert modules == set()
    assert out.strip()


def test_the_package_offers_its_names(tmp_path):
    code = "import changeover\nfor name in changeover.__all__: getattr(changeover, name)\nprint(changeover.Version.of('v1.1.0'))"
    modules, out = loaded(code, tmp_path)
    assert out == "1.1.0\n"
    assert not modules & {"rich", "pydantic", "sqlglot", "cyclopts"}


def test_no_configuration_is_exit_2_with_the_way_out(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "changeover", "status"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert answer.returncode == 2
    assert "CO-0011" in answer.stderr
    assert "changeover init" in answer.stderr
    assert answer.stdout == ""
