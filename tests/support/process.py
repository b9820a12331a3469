"""The process under test: forked, started, stopped and killed by tests."""

import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.support import serving
from tests.support.api import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]

FORKS = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has imported everything and does nothing else: a start takes a tenth."""
FORKS.set_forkserver_preload([serving.__name__, "tests.support.preloaded"])

TROUBLE = re.compile(r'^Traceback |"traceback":"', re.MULTILINE)
"""The beginning of a report of a bug by uvicorn or the access log; a path of a test may hold the word as well."""

OF_THE_MACHINE = re.compile(
    r"(apsw|psycopg)\.|athena_core\.errors\.codes\.StoreDamaged\b|MemoryError\b|\w+: \[Errno \d+\]"
    r"|OSError: (database or disk is full|disk I/O error|unable to open database file)"
)
"""Errors that a disk, a database or a limit causes, which loops report with a traceback and then survive."""


def bug_in(text: str) -> str | None:
    """Return the log of a process from the first bug on, if there is one."""
    for found in TROUBLE.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
        if '"logger":"athena.background"' in line:
            last = str(json.loads(line)["traceback"]).strip().rpartition("\n")[2]
            if OF_THE_MACHINE.match(last):
                continue
        return text[found.start() :][:10_000]
    return None


def environment_of(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process on a directory; settings are lower-case, without their prefix."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python'}"
    environment["ATHENA_OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"  # an unused port: no test uses the network
    environment["ATHENA_STATE_DIR"] = str(directory / "state")
    environment["ATHENA_WORKSPACE_ROOT"] = str(directory / "workspace")
    return environment | {f"ATHENA_{name.upper()}": value for name, value in settings.items()}


class Process:
    """A process on ``directory``, whose log is ``log_path``."""

    def __init__(self, directory: Path, log_path: Path) -> None:
        self.log_path = log_path
        (directory / "workspace").mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._process: ForkServerProcess | None = None
        self._out: Connection | None = None

    def launch(self, target: Callable[..., None], settings: Mapping[str, str], *more: object) -> str:
        """Start it. Return the first line that it prints."""
        assert self._process is None
        self._out, told = FORKS.Pipe(duplex=False)
        arguments = (str(self._directory), environment_of(self._directory, settings), str(self.log_path), told, *more)
        self._process = FORKS.Process(target=target, args=arguments, daemon=True)
        self._process.start()
        told.close()
        with os.fdopen(os.dup(self._out.fileno())) as lines:
            line = lines.readline().strip()
        if not line:
            self.kill()
            raise AssertionError(f"it did not start:\n{self.log_path.read_text()}")
        return line

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until the process has ended. Return its exit code."""
        assert self._process is not None
        self._process.join(PATIENCE_SECONDS)
        code = self._process.exitcode
        assert code is not None, "it did not end"
        self._forget()
        return code

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._forget()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._out is not None
        self._process.close()
        self._process = None
        self._out.close()

    def check(self) -> None:
        """Fail if the process reported an unexpected error."""
        bug = bug_in(self.log_path.read_text(errors="replace"))
        assert bug is None, bug
