"""The server under test: a process of its own on a state directory, started, stopped and killed by tests."""

import multiprocessing
import os
import re
import signal
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.api import PATIENCE_SECONDS, Api
from tests.support.records import judge
from tests.support.serving import begin

ROOT = Path(__file__).resolve().parents[2]

FORKS = multiprocessing.get_context("forkserver")
"""Servers are forked from a process that has imported everything and does nothing else: a start takes a tenth."""
FORKS.set_forkserver_preload([begin.__module__])

TROUBLE = re.compile(r'^Traceback |"traceback":"', re.MULTILINE)
"""How uvicorn and the access log begin to tell of a bug; a path that a test made up may hold the word, too."""


def environment_of(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process on a directory of the test; settings are without their prefix, in lower case."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    environment["PYTHONPATH"] = str(ROOT)
    environment["ATHENA_OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"  # nobody is there: no test asks the network
    environment["ATHENA_STATE_DIR"] = str(directory / "state")
    environment["ATHENA_WORKSPACE_ROOT"] = str(directory / "workspace")
    return environment | {f"ATHENA_{name.upper()}": value for name, value in settings.items()}


class Server:
    """A server on ``directory``; keyword arguments are settings without their prefix, in lower case."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.workspace = directory / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.log_path = directory / "server.log"
        self._settings = settings
        self._process: ForkServerProcess | None = None
        self._apis: list[Api] = []
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            self.kill()
        if kind is None:
            self.check()

    def start(self, port: int = 0, **settings: str) -> Self:
        """Start on the same directory, on a free port or this one, with settings beside those of the constructor."""
        assert self._process is None
        environment = environment_of(self.directory, self._settings | settings)
        self._out, told = FORKS.Pipe(duplex=False)
        arguments = (str(self.directory), environment, str(self.log_path), told, port)
        self._process = FORKS.Process(target=begin, args=arguments, daemon=True)
        self._process.start()
        told.close()
        with os.fdopen(os.dup(self._out.fileno())) as lines:
            listening = lines.readline().strip()
        if not listening:
            self.kill()
            raise AssertionError(f"the server did not start:\n{self.log_path.read_text()}")
        self.url = f"http://127.0.0.1:{listening}"
        self.api = self.client()
        self.api.http.get(self.url + "/livez").raise_for_status()
        return self

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.is_alive()

    def client(self, identity: str | None = None, **headers: str) -> Api:
        """A client of this server, which it closes."""
        if identity is not None:
            headers["x-athena-identity"] = identity
        api = Api(self.url, headers)
        self._apis.append(api)
        return api

    def stop(self) -> int | None:
        """Ask it to leave, and wait until it did; its exit code."""
        self._close()
        if self._process is None:
            return None
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until the process ended; its exit code."""
        assert self._process is not None
        self._process.join(PATIENCE_SECONDS)
        code = self._process.exitcode
        assert code is not None, "it did not end"
        self._forget()
        return code

    def kill(self) -> None:
        """End it at once, as a power cut would: its clients learn of it by their connections."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._forget()
        self._close()

    def _forget(self) -> None:
        assert self._process is not None
        self._process.close()
        self._process = None
        self._out.close()

    def _close(self) -> None:
        for api in self._apis:
            api.close()
        self._apis.clear()

    def check(self) -> None:
        """Fail if the server met an error that it did not expect, or left a history that breaks a promise."""
        text = self.log_path.read_text(errors="replace")
        trouble = TROUBLE.search(text)
        assert trouble is None, text[trouble.start() :][:10_000]
        judge(self.state_dir, self._settings.get("database_url", ""))
