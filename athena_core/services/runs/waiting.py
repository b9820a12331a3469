"""Waiting for a run: for its admission, its end or a pause."""

from collections.abc import Sequence
from typing import NamedTuple

from athena_core.domain import run
from athena_core.event import Position
from athena_core.log.tail import Tail
from athena_core.protocols import Row
from athena_core.services.waiters import OneShot, Registration, Waiters

SETTLING_TYPES = run.ENDING_TYPES | {run.RunPaused.TYPE}


class LocalCompletion(NamedTuple):
    """The end of a run that this process executed, available without reading the log."""

    output: str
    ending: run.RunCompleted
    position: Position


class RunWaiter(OneShot):
    """A caller that waits for a run to end or pause, and before that for its admission."""

    __slots__ = ("admitted", "completion")

    def __init__(self) -> None:
        super().__init__()
        self.admitted = OneShot()
        self.completion: LocalCompletion | None = None


class RunWaiters:
    """The callers of this process that wait for runs of any process."""

    def __init__(self, tail: Tail) -> None:
        self._waiters = Waiters[str, RunWaiter](RunWaiter)
        tail.subscribe(self._on_rows, SETTLING_TYPES | {run.RunCreated.TYPE})

    def wait(self, run_id: str) -> Registration[str, RunWaiter]:
        """Register a waiter for the length of a ``with`` block. Enter it before the run exists, to miss nothing."""
        return self._waiters.wait(run_id)

    def completed(self, run_id: str, completion: LocalCompletion) -> None:
        """Pass the end of a run that completed here to the callers that wait for it."""
        for waiter in self._waiters.of(run_id):
            waiter.completion = completion
            waiter.happen()

    def _on_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for waiter in self._waiters.of(row.stream):
                waiter.admitted.happen()
                if row.type in SETTLING_TYPES:
                    waiter.happen()
