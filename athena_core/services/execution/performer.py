"""The performer of a run: what executes it until it ends or pauses, and what it needs for that from its executor."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from athena_core.decider import A, Transaction
from athena_core.domain import run
from athena_core.errors import retry_with
from athena_core.log.submission import Committed
from athena_core.providers.prices import CallCost
from athena_core.services.execution.live_text import AgentActivity
from athena_core.services.execution.progress import RunAssignment
from athena_core.services.runs.admission import BudgetRequest

MESSAGE_CHARS_MAX = 500


class RunRecorder(Protocol):
    """Records the steps of a run under its lease. Each method raises LeaseLost."""

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        """Record steps. Return True if the run is still open."""

    async def reserve(self, wanted: BudgetRequest, *, patient: bool = True) -> int | None:
        """Reserve the cost of a call. Return how much it may cost, None for any sum. Raise BudgetReached.

        If ``patient``, wait for the reservations of other runs to settle.
        """

    async def commit(self, transaction: Transaction[A]) -> Committed[A]:
        """Commit something else for the run."""

    async def pause(self, reached: run.DayReached | None, last: tuple[run.RunStep, ...]) -> bool:
        """Record ``last``, and pause the run because its own budget, or the daily one (``reached``), is spent."""

    async def answers(
        self, asks: frozenset[str], hold_until_ms: int, last: Callable[[], Awaitable[tuple[run.RunStep, ...]]]
    ) -> tuple[run.RunAnswered, ...]:
        """Wait for answers to asks until a time. Return none if the run was parked then, or has ended.

        ``last`` returns the steps to record before the run is parked.
        """


class BudgetReached(Exception):
    """The daily budget cannot pay for a call. ``passing`` means that it can once other reservations settle."""

    def __init__(self, reached: run.DayReached, *, passing: bool = False) -> None:
        super().__init__(reached.reason)
        self.reached = reached
        self.passing = passing


class RunEnd(NamedTuple):
    """The end of a run, and the steps to record with it."""

    last: tuple[run.RunStep, ...]
    ending: run.RunCompleted | run.RunFailed | run.RunCancelled | run.RunTimedOut
    answer: str = ""
    """The final answer of a run that completed."""


ShowText = Callable[[str, str, int, str | None], None]
"""Shows text while a model writes it: session, run, turn, text. A text of None withdraws the turn."""
ShowActivity = Callable[[str, str, int, AgentActivity | None], None]
"""Shows what an outside agent does beside its words: session, run, turn, activity. None withdraws it."""


class Performer(Protocol):
    """Executes runs. A step counts once it is recorded, so another executor can continue from there."""

    async def work(self, assignment: RunAssignment, recorder: RunRecorder) -> RunEnd | None:
        """Execute a run to its end. Return None if it was paused, or ended by something else.

        The deadline is the caller's cancel scope. An AthenaError fails the run.
        """

    def cut_off(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return what a run that is stopped leaves to record: unrecorded output, open calls and costs, once."""

    def paid_in_vain(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return the unrecorded costs of the run's model calls, once."""

    async def closing(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return the last record of the run's place, to record with its end. Raise AthenaError."""

    def leave(self, assignment: RunAssignment, *, ended: bool) -> None:
        """Forget a run, and withdraw its live text unless its end was recorded with all of it."""


class Performers:
    """The performers of this executor. The profile of a run chooses: its outside agent, or the loop."""

    def __init__(self, loop: Performer, outside: Performer) -> None:
        self._loop = loop
        self._outside = outside

    def of(self, assignment: RunAssignment) -> Performer:
        """Return the performer of a run."""
        return self._loop if assignment.request.harness_profile_snapshot.agent is None else self._outside


def usage_recorded(
    call: CallCost, turn: int, *, attempts: int | None = None, in_vain: bool = False, reserved: int = 0
) -> run.UsageRecorded:
    """Return the record of a call's usage; default values are omitted. ``reserved`` stays for other open calls."""
    return run.UsageRecorded(
        provider=call.provider,
        model=call.model,
        usage=call.usage,
        turn=turn,
        attempts=attempts,
        request_id=call.request_id,
        estimated=call.estimated or None,
        unpriced=call.unpriced or None,
        failed=in_vain or None,
        cost_micro_usd=call.cost_micro_usd,
        price_version=call.price_version,
        first_token_ms=call.first_token_ms,
        reserved_micro_usd=reserved or None,
    )


def run_failed(code: str, message: str, *, retryable: bool = False) -> run.RunFailed:
    """Return the end of a run that failed."""
    return run.RunFailed(
        code=code,
        error_text=message[:MESSAGE_CHARS_MAX],
        retryable=retryable,
        retry_with=retry_with(retryable=retryable),
    )
