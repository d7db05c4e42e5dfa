"""Commands on this machine: bounded in time and output, nothing left behind, secrets taken out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from changeover.core.errors import ToolMissing
from changeover.drivers.hosts import LEFT_BEHIND, LocalHost
from changeover.testing.cases import until

HOST = LocalHost()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_status_and_output() -> None:
    result = HOST.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (result.status, result.ok, result.out, result.err) == (3, False, "out\n", "err\n")
    assert result.seconds > 0


def test_arguments_are_no_shell() -> None:
    assert HOST.run(("printf", "%s", "$HOME; `id` *")).out == "$HOME; `id` *"


def test_variables_are_added_and_input_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEPT", "1")
    code = "import os, sys; print(os.environ['KEPT'], os.environ['NEW'], repr(sys.stdin.read()), os.getcwd())"
    assert LocalHost(directory=tmp_path).run(python(code), env={"NEW": "2"}).out == f"1 2 '' {tmp_path}\n"


def test_at_the_timeout_the_whole_group_is_killed() -> None:
    code = (
        "import os, time\nchild = os.fork()\nif child: print(os.getpid(), child, flush=True)\nwhile True: time.sleep(1)"
    )
    result = HOST.run(python(code), timeout=1.0)
    assert result.status is None
    assert not result.ok
    pids = [int(word) for word in result.out.split()]
    assert len(pids) == 2
    until(lambda: all(gone(pid) for pid in pids))


def test_one_that_closes_its_output_and_stays_is_killed_too() -> None:
    code = "import os, time; print(os.getpid(), flush=True); os.close(1); os.close(2); time.sleep(60)"
    result = HOST.run(python(code), timeout=0.5)
    assert result.status is None
    until(lambda: gone(int(result.out)))


def test_output_without_end_is_bounded() -> None:
    code = "for n in range(400_000): print('line', n)"
    result = LocalHost(keep=10_000).run(python(code))
    assert result.ok
    assert len(result.out) < 35_000
    assert result.out.startswith("line 0\n")
    assert result.out.endswith("line 399999\n")
    assert "bytes left out]" in result.out


def test_an_endless_command_is_killed_with_bounded_output() -> None:
    result = LocalHost(keep=10_000).run(("yes",), timeout=0.5)
    assert result.status is None
    assert len(result.out) < 35_000


def test_a_secret_at_the_cut_does_not_show_its_half() -> None:
    code = "import sys\nfor n in range(20_000): sys.stdout.write('password is correct-horse-battery\\n')"
    host = LocalHost(redact=lambda text: text.replace("correct-horse-battery", "•••"), keep=5_000)
    result = host.run(python(code))
    assert "horse" not in result.out
    assert "correct" not in result.out
    assert "•••" in result.out


def test_a_line_longer_than_all_that_is_kept_is_left_out() -> None:
    result = LocalHost(keep=1_000).run(python("print('x' * 1_000_000)"))
    assert result.out == "[1000001 bytes left out]\n"


def test_bytes_that_are_no_text() -> None:
    assert HOST.run(python("import os; os.write(1, b'\\xff\\xfe ok')")).out == "\ufffd\ufffd ok"


def test_a_process_that_is_left_behind_does_not_hold_us_up() -> None:
    code = "import os, sys, time\nif os.fork() == 0: os.setsid(); time.sleep(60)\nprint('begun')"
    marker = f"left-behind-{os.getpid()}"
    result = HOST.run((*python(code), marker), timeout=30.0)
    assert result.status == 0
    assert LEFT_BEHIND in result.err
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        if marker.encode() in entry.read_bytes().split(b"\0"):
            os.kill(int(entry.parent.name), 9)


def test_one_that_redirects_its_output_is_fine() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '1'], stdout=-3, stderr=-3, start_new_session=True)"
    result = HOST.run(python(f"import warnings; warnings.simplefilter('ignore'); {code}"))
    assert result.ok
    assert result.err == ""


@pytest.mark.parametrize("argv", [(), ("no-such-program",), ("/etc/passwd",), ("",), ("a\0b",), ("/",)])
def test_what_cannot_be_run(argv: tuple[str, ...]) -> None:
    with pytest.raises(ToolMissing):
        HOST.run(argv)


def test_a_secret_in_a_program_name_is_redacted() -> None:
    with pytest.raises(ToolMissing) as told:
        LocalHost(redact=lambda text: text.replace("s3cret", "•••")).run(("no-s3cret",))
    assert "s3cret" not in f"{told.value.what} {told.value.next}"
