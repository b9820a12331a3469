"""Another process on the same log, as the registry of executors knows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from athena_core.log.port import FORMAT
from athena_core.log.sqlite.locks import FileExecutorRegistry
from athena_core.services.execution.liveness import ProcessInfo, ProcessKind
from athena_core.system.problems import Problem


@contextmanager
def attending(state_dir: Path, kind: ProcessKind, pid: int, loop: str) -> Iterator[None]:
    """Run another process in which a loop fails."""
    failing = Problem(loop=loop, since=1, message="no space", count=3)
    about = ProcessInfo(
        kind=kind, host="vm", pid=pid, providers=("mock",), concurrency=2, since=0, format=FORMAT, problems=(failing,)
    )
    registry = FileExecutorRegistry(state_dir, f"exe_{kind}", msgspec.json.encode(about))
    try:
        yield
    finally:
        registry.leave()
