"""The server under test: a process of its own on a state directory, started, stopped and killed by tests."""

import signal
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.writer import Log
from tests.support.api import Api, soon
from tests.support.process import Process
from tests.support.records import judge, opened_log, put_filler
from tests.support.serving import begin

NO_FLOOD = dict.fromkeys(("refusals_per_second", "refusals_per_day", "refusals_per_day_in_all"), "1000000")
"""Settings of a server to which no number of refusals is a flood."""


class Server(Process):
    """A server on ``directory``; keyword arguments are settings without their prefix, in lower case."""

    def __init__(self, directory: Path, **settings: str) -> None:
        super().__init__(directory, directory / "server.log")
        self.directory = directory
        self.state_dir = directory / "state"
        self.workspace = directory / "workspace"
        self._settings = settings
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
        """Start on the same directory, on a free port or this one, with further settings."""
        scheme = "https" if "tls_cert_file" in self._settings else "http"
        self.url = f"{scheme}://127.0.0.1:{self.launch(begin, self._settings | settings, port)}"
        self.api = self.client()
        self.api.http.get(self.url + "/livez").raise_for_status()
        return self

    def client(self, identity: str | None = None, **headers: str) -> Api:
        """Return a client, which the server object closes. It sends the secret of the proxy."""
        if identity is not None:
            headers["x-athena-identity"] = identity
        if secret := self._settings.get("auth_proxy_secret"):
            headers.setdefault("x-athena-proxy-secret", secret)
        cert = self._settings.get("tls_cert_file")
        api = Api(self.url, headers, trust=ssl.create_default_context(cafile=cert) if cert else None)
        self._apis.append(api)
        return api

    @property
    def database_url(self) -> str:
        """Where its log is; empty for files."""
        return self._settings.get("database_url", "")

    def opened_log(self) -> AbstractContextManager[Log]:
        """Return its log, ready to be written by this process as well."""
        return opened_log(self.state_dir, self.database_url)

    def put_filler(self, count: int) -> None:
        """Append events that no run has anything to do with."""
        put_filler(self.state_dir, count, self.database_url)

    def freeze(self) -> None:
        """Stop it with SIGSTOP at a moment at which it holds no lock of the log. SIGCONT continues it."""
        with (
            closing(ProcessLock(self.state_dir / "log.turnstile")) as turnstile,
            closing(ProcessLock(self.state_dir / "log.lock")) as lock,
        ):
            for _ in soon():
                self.signal(signal.SIGSTOP)
                while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                    pass  # the signal is on its way
                if turnstile.try_acquire() and lock.try_acquire():
                    break
                turnstile.release()
                self.signal(signal.SIGCONT)

    def stop(self) -> int | None:
        """Send SIGTERM and wait. Return the exit code."""
        self._close()
        if self._process is None:
            return None
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kill it with SIGKILL and close its clients."""
        super().kill()
        self._close()

    def _close(self) -> None:
        for api in self._apis:
            api.close()
        self._apis.clear()

    def check(self) -> None:
        """Fail if the server reported an unexpected error or left a history that breaks a promise."""
        super().check()
        judge(self.state_dir, self.database_url)


def server_of_module(**settings: str) -> Any:
    """Return a fixture: a server that the tests of a module share."""

    @pytest.fixture(scope="module")
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with Server(tmp_path_factory.mktemp("server"), **settings) as found:
            yield found

    return server
