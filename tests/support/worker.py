"""The worker under test: a process of its own that executes runs, started, stopped and killed by tests."""

import json
import signal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.process import Process
from tests.support.serving import begin_work


class Worker(Process):
    """A worker beside the server of ``directory``; ``words`` are its flags, keyword arguments are settings."""

    def __init__(self, directory: Path, *words: str, **settings: str) -> None:
        super().__init__(directory, directory / "worker.log")
        self._words = words
        self._settings = settings
        self.told: Any = None
        """Its first line of output."""

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
        self.told = json.loads(self.launch(begin_work, self._settings, *self._words))
        return self
