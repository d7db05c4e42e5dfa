"""A command of changeover on an environment in memory, with the real streams of this process."""

import os
import sys
import tempfile
from pathlib import Path

from tests.unit.ui.shell import shell

from changeover.ui.cli.run import run
from changeover.ui.cli.signals import AtOnce
from changeover.ui.cli.terminal import Terminal

sh = shell(Path(tempfile.mkdtemp()), gates={10_000: "release-manager"})
if sys.argv[1] == "watch":
    sh("release", "1.1.0")
try:
    code = run(sys.argv[1:], Terminal.here(), sh.doors())
except AtOnce:
    os._exit(130)
sys.stdout.flush()
os._exit(code)
