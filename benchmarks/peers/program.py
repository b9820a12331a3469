"""The program of a peer: its process with all children, on one core, suspended while others are measured."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import cores, cpu_seconds, pin
from benchmarks.server import READY_SECONDS_MAX, STOP_SECONDS_MAX, answer_of

POLL_SECONDS = 0.05
QUIET_SHARE, QUIET_LOOK_SECONDS, QUIET_SECONDS_MAX = 0.05, 0.5, 60.0


class Missing(Exception):
    """A peer could not be installed or started."""


class Program:
    """A peer under load."""

    def __init__(
        self,
        command: Sequence[object],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        core: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Start it, on the core of the servers unless another is given. Create its directory if missing.

        ``options`` are passed to ``Popen``.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"{Path(str(command[0])).name}.log"
        on = cores()[0] if core is None else core
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, command)),
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: pin(on),  # noqa: PLW1509 - this process has no threads
                **({"cwd": directory} | dict(options or {})),
            )
        self.pid = self._process.pid

    def wait_for(self, port: int, path: str = "/", *, statuses: str = "2") -> "Program":
        """Return once it responds. Raise Missing."""
        request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while chr((answer_of(port, request) or b" " * 10)[9]) not in statuses:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"it did not start: {self._log.read_text('utf-8', 'replace')[-1_000:]}")
            time.sleep(POLL_SECONDS)
        return self

    def halt(self) -> None:
        """Suspend it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume it. Return once its pending work is done, or after a minute."""
        os.killpg(self.pid, signal.SIGCONT)
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        spent = QUIET_LOOK_SECONDS
        while spent > QUIET_SHARE * QUIET_LOOK_SECONDS and time.monotonic() < deadline:
            before = cpu_seconds(self.pid)
            time.sleep(QUIET_LOOK_SECONDS)
            spent = cpu_seconds(self.pid) - before

    def stop(self) -> None:
        """Stop it and all its children."""
        for number in (signal.SIGCONT, signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            if number == signal.SIGINT:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_SECONDS_MAX)
        self._process.wait()
