"""The worker under test: a process of its own that executes runs, started, stopped and killed by tests."""

import json
import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.api import PATIENCE_SECONDS
from tests.support.server import FORKS, TROUBLE, environment_of
from tests.support.serving import begin_work


class Worker:
    """A worker beside the server of ``directory``; ``words`` are its flags, keyword arguments are settings."""

    def __init__(self, directory: Path, *words: str, **settings: str) -> None:
        self.log_path = directory / "worker.log"
        self._directory = directory
        self._words = words
        self._settings = settings
        self._process: ForkServerProcess | None = None
        self.told: Any = None
        """What it said when it began."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if self._process is not None:
                self.signal(signal.SIGTERM)
                assert self.wait() == 0
        finally:
            self.kill()
        if kind is None:
            self.check()

    def start(self) -> Self:
        """Start, and return once it claims runs."""
        assert self._process is None
        (self._directory / "workspace").mkdir(parents=True, exist_ok=True)
        out, told = FORKS.Pipe(duplex=False)
        environment = environment_of(self._directory, self._settings)
        arguments = (str(self._directory), environment, str(self.log_path), told, *self._words)
        self._process = FORKS.Process(target=begin_work, args=arguments, daemon=True)
        self._process.start()
        told.close()
        with os.fdopen(os.dup(out.fileno())) as lines:
            line = lines.readline()
        out.close()
        if not line:
            self.kill()
            raise AssertionError(f"the worker did not start:\n{self.log_path.read_text()}")
        self.told = json.loads(line)
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
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._forget()

    def _forget(self) -> None:
        assert self._process is not None
        self._process.close()
        self._process = None

    def check(self) -> None:
        """Fail if the worker met an error that it did not expect."""
        text = self.log_path.read_text(errors="replace")
        assert TROUBLE.search(text) is None, text[:10_000]
