"""Records of executed runs: commits what an executor did, and retries while the log is unavailable."""

from collections.abc import Awaitable, Callable

import anyio

from athena_core import retry
from athena_core.clock import Clock
from athena_core.decider import A, Transaction
from athena_core.domain import halt, run
from athena_core.errors import AthenaError, LeaseLost, OutcomeUnknown
from athena_core.event import Event, Meta
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.asks.raising import park, raise_asks
from athena_core.services.execution.leased_run import LeasedRun, RunTime
from athena_core.services.execution.performer import BudgetReached, RunEnd
from athena_core.services.execution.progress import RunAssignment
from athena_core.services.execution.requested_calls import has_asks
from athena_core.services.runs.admission import BudgetRequest, apply_command, reserve, still_open
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.services.waiters import OneShot

RESERVE_SECONDS_MAX = 30.0
"""How long a call waits for other runs' reservations to settle before its run is paused."""


class RunWriter:
    """Commits an executor's commands about its runs. ``capacity`` bounds how many waiting runs an end admits.

    ``capacity_now`` returns it.
    """

    def __init__(self, log: Log, reader: StoreReader) -> None:
        self._log = log
        self._reader = reader
        self.capacity_now: Callable[[], ExecutorCapacity] = ExecutorCapacity

    @property
    def capacity(self) -> ExecutorCapacity:
        """The capacity for the next commit."""
        return self.capacity_now()

    async def apply(self, run_id: str, command: run.RunCommand, meta: Meta) -> Committed[Event | None]:
        """Apply a command and return the answer of ``apply_command``. Retry while the log is unavailable."""
        capacity = self.capacity_now()
        return await self.submit(
            lambda reader, context: apply_command(reader, context, capacity, run_id, command), meta
        )

    async def ask(self, run_id: str, command: run.RecordStep, meta: Meta) -> Committed[Event | None]:
        """Record steps that ask a person; see ``apply``. Raise AskLimit."""
        capacity = self.capacity
        return await self.submit(lambda reader, context: raise_asks(reader, context, capacity, run_id, command), meta)

    async def park(self, run_id: str, command: run.PauseRun, meta: Meta) -> Committed[Event | None]:
        """Park a run; see ``raising.park``."""
        capacity = self.capacity
        return await self.submit(lambda reader, context: park(reader, context, capacity, run_id, command), meta)

    @property
    def halted(self) -> bool:
        """True during a halt, as committed."""
        return bool(self._reader.guards(halt.HALT))

    def answers(self, run_id: str) -> list[run.RunAnswered]:
        """Return the recorded answers to the asks of a run, with their text."""
        rows = (row for row in self._reader.stream(run_id) if row.type == run.RunAnswered.TYPE)
        events = (self._log.codec.decode(row).event for row in rows)
        return [event for event in events if isinstance(event, run.RunAnswered)]

    async def reserve(
        self, run_id: str, token: int, wanted: BudgetRequest, meta: Meta, *, patient: bool = True
    ) -> int | None:
        """Reserve the cost of a call from the daily budget. Return how much it may cost, None for any sum.

        If ``patient``, wait while other runs' reservations may settle. Raise BudgetReached, or LeaseLost if the run has
        ended.
        """
        waited, failures, capacity = 0.0, 0, self.capacity
        while True:
            committed = await self.submit(
                lambda reader, context: reserve(reader, context, capacity, run_id, token, wanted), meta
            )
            granted = committed.answer
            if granted.over:
                raise LeaseLost("the run has ended")
            if granted.reached is None:
                return granted.micro_usd
            if not granted.wait or not patient or waited >= RESERVE_SECONDS_MAX:
                raise BudgetReached(granted.reached, passing=granted.wait)
            failures += 1
            delay = retry.LOG.after(failures)
            await anyio.sleep(delay)
            waited += delay

    async def submit(self, transaction: Transaction[A], meta: Meta) -> Committed[A]:
        """Commit a transaction, and retry while the log is unavailable.

        Raise LeaseLost if the outcome is unknown, because a second attempt could record it twice. The next sweep leases
        the run again under another token and continues from what was recorded.
        """
        failures = 0
        while True:
            try:
                return await self._log.submit(transaction, meta)
            except OutcomeUnknown as error:
                raise LeaseLost("the outcome of the last commit is unknown") from error
            except AthenaError as error:
                if not error.retryable:
                    raise
                failures += 1
                await anyio.sleep(retry.LOG.after(failures))


class LeaseRecorder:
    """The record of one run under one lease (``performer.RunRecorder``)."""

    def __init__(
        self, writer: RunWriter, assignment: RunAssignment, meta: Meta, clock: Clock, held: LeasedRun, time: RunTime
    ) -> None:
        self._writer = writer
        self._assignment = assignment
        self._meta = meta
        self._clock = clock
        self._held = held
        self._time = time
        self._raising = 0
        """Commits of further asks that are under way."""

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        """Record steps. Return True if the run is still open. Raise LeaseLost, or AskLimit for steps that ask."""
        command = run.RecordStep(token=self._assignment.token, steps=steps)
        if not has_asks(steps):
            return still_open((await self._apply(command)).answer)
        self._time.stand()  # before the commit, so that no timeout falls behind it
        self._raising += 1
        try:
            return still_open((await self._writer.ask(self._assignment.run_id, command, self._meta)).answer)
        finally:
            self._raising -= 1

    async def commit(self, transaction: Transaction[A]) -> Committed[A]:
        """Commit something else for the run, even if its lease is lost. Raise LeaseLost if the outcome is unknown."""
        return await self._writer.submit(transaction, self._meta)

    async def answers(
        self, asks: frozenset[str], hold_until_ms: int, last: Callable[[], Awaitable[tuple[run.RunStep, ...]]]
    ) -> tuple[run.RunAnswered, ...]:
        """Wait for answers to asks until a time; then park the run. The run's time goes on with the last answer.

        A run that is answered during a halt is parked, too: no call that waited for a person begins in it.

        ``last`` returns the steps to record before. Return none if the run was parked or has ended. Raise LeaseLost.
        """
        while True:
            woken = self._held.woken = OneShot()
            found = self._answered(asks)
            left = 0 if self._held.parks else (hold_until_ms - self._clock.now()) / 1000
            if found or left <= 0:
                break
            await woken.within(left)
        if not found or self._writer.halted:
            steps, elapsed_ms = await last(), self._time.elapsed_ms
            pause = run.PauseRun(token=self._assignment.token, elapsed_ms=elapsed_ms, asking=True, last=steps)
            if still_open((await self._writer.park(self._assignment.run_id, pause, self._meta)).answer):
                return ()
            found = self._answered(asks)  # meanwhile, so there was nothing to wait for
        if len(found) == len(asks) and not self._raising:
            self._time.go()
        return found

    def _answered(self, asks: frozenset[str]) -> tuple[run.RunAnswered, ...]:
        recorded = self._writer.answers(self._assignment.run_id)
        return tuple(event for event in recorded if event.ask_id in asks and event.cause != "run-ended")

    async def reserve(self, wanted: BudgetRequest, *, patient: bool = True) -> int | None:
        """Reserve the cost of a call; if ``patient``, wait for the reservations of other runs to settle.

        Return how much it may cost, None for any sum. Raise BudgetReached or LeaseLost.
        """
        run_id, token = self._assignment.run_id, self._assignment.token
        return await self._writer.reserve(run_id, token, wanted, self._meta, patient=patient)

    async def pause(self, reached: run.DayReached | None, last: tuple[run.RunStep, ...]) -> bool:
        """Record the last steps, and pause the run for its own budget or the daily one; its time stops.

        Raise LeaseLost.
        """
        elapsed_ms = self._time.elapsed_ms
        pause = run.PauseRun(token=self._assignment.token, elapsed_ms=elapsed_ms, reached=reached, last=last)
        return still_open((await self._apply(pause)).answer)

    async def end(self, done: RunEnd) -> Committed[Event | None]:
        """End the run. The answer is its ending, unless the run had ended or waits for a person. Raise LeaseLost."""
        return await self._apply(run.EndRun(token=self._assignment.token, last=done.last, ending=done.ending))

    async def _apply(self, command: run.RunCommand) -> Committed[Event | None]:
        return await self._writer.apply(self._assignment.run_id, command, self._meta)
