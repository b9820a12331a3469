"""A command of the command line in a process of its own, forked: a start takes a tenth of an execution."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.popen_forkserver import Popen as Fork
from pathlib import Path

from tests.support.process import FORKS
from tests.support.serving import begin_command


class Command:
    """A running command: the part of ``subprocess.Popen`` that tests of commands need."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        streams: tuple[int, int, int],
        *,
        new_session: bool = False,
    ) -> None:
        given = [Connection(os.dup(stream)) for stream in streams]
        umask = os.umask(0)
        os.umask(umask)
        told = (str(directory), dict(environment), given, umask, new_session, *arguments)
        # `Process.start` would look after all processes of this one, which two threads may not do at once
        self._fork = Fork(FORKS.Process(target=begin_command, args=told))
        for stream in given:
            stream.close()
        self.pid: int = self._fork.pid

    @property
    def returncode(self) -> int | None:
        return self._fork.returncode

    def poll(self) -> int | None:
        return self._fork.poll()

    def wait(self, timeout: float | None = None) -> int:
        code = self._fork.wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("athena", timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)
