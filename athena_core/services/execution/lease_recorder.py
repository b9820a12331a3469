"""The records of executed runs: commits what an executor did, and tries again while the log cannot take it."""

import anyio

from athena_core import retry
from athena_core.clock import Clock
from athena_core.decider import A, Transaction
from athena_core.domain import run
from athena_core.errors import AthenaError, LeaseLost, OutcomeUnknown
from athena_core.event import Event, Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.execution.agent import BudgetReached, RunEnd
from athena_core.services.execution.progress import RunAssignment
from athena_core.services.runs.admission import BudgetRequest, apply_command, reserve, still_open
from athena_core.services.runs.prepared import ExecutorCapacity

RESERVE_SECONDS_MAX = 30.0
"""How long a call waits for what others have set aside of the day's budget, before its run is paused."""


class RunWriter:
    """Commits commands of an executor about its runs. ``capacity`` decides how many waiting runs an end admits."""

    def __init__(self, log: Log) -> None:
        """Begin without an executor to lease to."""
        self._log = log
        self.capacity = ExecutorCapacity()

    async def apply(self, run_id: str, command: run.RunCommand, meta: Meta) -> Committed[Event | None]:
        """Have a command applied; the answer is that of ``apply_command``. While the log cannot take it, try again."""
        capacity = self.capacity
        return await self._submit(
            lambda reader, context: apply_command(reader, context, capacity, run_id, command), meta
        )

    async def reserve(self, run_id: str, token: int, wanted: BudgetRequest, meta: Meta) -> int | None:
        """Set aside of the day's budget what a call may cost. Return how much it may, None for any sum.

        What others have set aside may be free soon, and is waited for. Raise BudgetReached, and LeaseLost where the
        run has ended.
        """
        waited, failures, capacity = 0.0, 0, self.capacity
        while True:
            committed = await self._submit(
                lambda reader, context: reserve(reader, context, capacity, run_id, token, wanted), meta
            )
            granted = committed.answer
            if granted.over:
                raise LeaseLost("the run has ended")
            if granted.reached is None:
                return granted.micro_usd
            if not granted.wait or waited >= RESERVE_SECONDS_MAX:
                raise BudgetReached(granted.reached)
            failures += 1
            delay = retry.LOG.after(failures)
            await anyio.sleep(delay)
            waited += delay

    async def _submit(self, transaction: Transaction[A], meta: Meta) -> Committed[A]:
        """Commit a transaction; while the log cannot take it, try again.

        Raise LeaseLost where its outcome is unknown: what is done twice would be recorded twice. The next sweep takes
        the run again, under another token, and goes on from what is recorded then.
        """
        failures = 0
        while True:
            try:
                return await self._log.submit(transaction, meta)
            except OutcomeUnknown as error:
                raise LeaseLost("nobody knows how far the run is recorded") from error
            except AthenaError as error:
                if not error.retryable:
                    raise
                failures += 1
                await anyio.sleep(retry.LOG.after(failures))


class LeaseRecorder:
    """The record of one run under one lease (``agent.RunRecorder``)."""

    def __init__(self, writer: RunWriter, assignment: RunAssignment, meta: Meta, clock: Clock, took_ms: int) -> None:
        """Go on after ``took_ms`` milliseconds of the run's time."""
        self._took_ms = took_ms
        self._began = clock.elapsed()
        self._writer = writer
        self._assignment = assignment
        self._meta = meta
        self._clock = clock

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        """Record what was asked, done and paid. Return True if the run is still open. Raise LeaseLost."""
        committed = await self._apply(run.RecordStep(token=self._assignment.token, steps=steps))
        return still_open(committed.answer)

    async def reserve(self, wanted: BudgetRequest) -> int | None:
        """Set aside what a call may cost. Return how much it may, None for any sum. Raise BudgetReached, LeaseLost."""
        return await self._writer.reserve(self._assignment.run_id, self._assignment.token, wanted, self._meta)

    async def pause(self, reached: run.DayReached | None = None) -> bool:
        """Pause the run for its own budget or that of the day; its clock stands. Raise LeaseLost."""
        elapsed_ms = self._took_ms + round((self._clock.elapsed() - self._began) * 1000)
        pause = run.PauseRun(token=self._assignment.token, elapsed_ms=elapsed_ms, reached=reached)
        return still_open((await self._apply(pause)).answer)

    async def end(self, done: RunEnd) -> Committed[Event | None]:
        """End the run; the answer is what ended it, None where that was something else before. Raise LeaseLost."""
        return await self._apply(run.EndRun(token=self._assignment.token, last=done.last, ending=done.ending))

    async def _apply(self, command: run.RunCommand) -> Committed[Event | None]:
        return await self._writer.apply(self._assignment.run_id, command, self._meta)
