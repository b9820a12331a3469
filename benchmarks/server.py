"""A server: a process on a free port with an empty directory, pinned to one core."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.machine import cores, pin

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.001
READY = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"

PROGRAMS = {"athena": "athena_cli", "counted": "benchmarks.counted"}


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer_of(port: int, request: bytes) -> bytes:
    """Return the response to a request that closes its connection; None while the server does not listen."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        chunks = []
        while chunk := connection.recv(65_536):
            chunks.append(chunk)
        return b"".join(chunks)
    return b""


class Server:
    """A program under load: ``athena``, ``counted`` (which counts its objects), or a ceiling.

    A ceiling is raw ASGI (``benchmarks.apps``) or a protocol on the event loop (``benchmarks.protocols``).
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        pinned: bool = True,
        code: Path = ROOT,
        python: str = sys.executable,
    ) -> None:
        """Start later, from a checkout. ``settings`` are named without their prefix, in lower case."""
        self.name = name
        self._code, self._python = code, python
        self._cores = {cores()[0]} if pinned else set(cores())
        self.directory = directory
        self._settings = {f"ATHENA_{key.upper()}": value for key, value in (settings or {}).items()}
        self.port = 0
        self.ready_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "Server":
        """Start the process, and wait for the first 200 of ``/readyz`` (``ready_seconds`` after the start)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
        environment |= {"ATHENA_STATE_DIR": str(self.directory), "ATHENA_WORKSPACE_ROOT": str(self.directory)}
        environment |= self._settings | {"PYTHONPATH": str(self._code)}
        with (self.directory / "server.log").open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                [self._python, "-m", *self._program()],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: pin(*self._cores),  # noqa: PLW1509 - this process has no threads
            )
        while not self._ready():
            if self._process.poll() is not None or time.perf_counter() - began > READY_SECONDS_MAX:
                raise RuntimeError(f"{self.name} did not start:\n{(self.directory / 'server.log').read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        self.ready_seconds = time.perf_counter() - began
        return self

    def _program(self) -> list[str]:
        if self.name in PROGRAMS:
            return [PROGRAMS[self.name], "api", "serve", "--port", str(self.port)]
        if self.name == "bare":
            return ["benchmarks.bare", str(self.port), str(self.directory)]
        module = "benchmarks.protocols" if self.name.startswith("protocol-") else "benchmarks.apps"
        return [module, self.name, str(self.port), str(self.directory)]

    def _ready(self) -> bool:
        return self.get(READY).startswith(b"HTTP/1.1 200")

    def get(self, request: bytes) -> bytes:
        """Return the response to a request that closes its connection; None while the server does not listen."""
        return answer_of(self.port, request)

    def stop(self) -> None:
        """Stop the process, and check its exit."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def discard(self) -> None:
        """Stop the process and delete its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Worker(Server):
    """A process that only executes runs, with a concurrency limit."""

    def __init__(self, directory: Path, settings: Mapping[str, str], concurrency: int) -> None:
        """Start later."""
        super().__init__("worker", directory, settings, pinned=False)
        self._concurrency = concurrency

    def _program(self) -> list[str]:
        return ["athena_cli", "worker", "--concurrency", str(self._concurrency)]

    def _ready(self) -> bool:
        return '"status":"working"' in (self.directory / "server.log").read_text()
