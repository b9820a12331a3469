"""The money of an outside agent's run: what its model gateway reserves and pays, under the lease of the run.

Calls overlap. Each one has a part of the budgets to itself, so that all together never exceed them. A call that does
not fit beside the open ones waits until they have ended, because most cost less than their part.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from athena_core import retry
from athena_core.domain import run
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.outside_text import OutsideText
from athena_core.services.execution.lease_recorder import RESERVE_SECONDS_MAX
from athena_core.services.execution.outside.agent_transcript import AgentTranscript
from athena_core.services.execution.performer import BudgetReached, RunRecorder, usage_recorded
from athena_core.services.runs.admission import BudgetRequest

OWN_BUDGET = "The budget of the run is spent."
UNPRICED = "The model has no known price, so the budget of the run cannot be kept."
CALLS = "The run has made as many model calls as are allowed."
CALLS_MAX = 10_000
"""Maximum number of model calls under one lease. Failed ones cost nothing, but each is recorded."""


@dataclass
class OpenModelCall:
    """A call that has not ended. ``micro_usd`` is its part of the budgets."""

    provider: str
    model: str
    micro_usd: int = 0
    waits: bool = False


class DoesNotFit(Exception):
    """The rest of a budget beside the open calls is too small for a call.

    ``reached`` is the daily budget, None if it is the one of the run. ``own`` means that the end of other calls of the
    run may leave enough, ``passing`` the end of calls of other runs.
    """

    def __init__(self, reached: run.DayReached | None, *, own: bool, passing: bool) -> None:
        super().__init__(OWN_BUDGET if reached is None else reached.reason)
        self.reached = reached
        self.own = own
        self.passing = passing


class RunLedger:
    """The ledger of the gateway of one run (``gateway.ledger.Ledger``).

    ``stopped`` is set once a call was refused because of a budget or of ``calls_max``, or the record failed.
    ``reached`` is the daily budget, if it was that one. ``failure`` is the problem of the last call, None if it was
    answered.
    """

    def __init__(self, transcript: AgentTranscript, recorder: RunRecorder, calls_max: int | None) -> None:
        self.stopped = asyncio.Event()
        self.reached: run.DayReached | None = None
        self.spent = False
        self.exhausted = ""
        """The limit of calls that the run has reached; empty if there is none."""
        self.failure: OutsideText | None = None
        self.broken: Exception | None = None
        self.alive: Callable[[], object] = lambda: None
        """Called at each sign of life of a call, also at the endpoint of the run."""
        self._transcript = transcript
        self._recorder = recorder
        self._calls_max = calls_max
        self._begun = 0
        self._open: dict[int, OpenModelCall] = {}
        self._lock = asyncio.Lock()
        self._ended = asyncio.Event()
        """Set, and replaced, when a call has ended."""
        self._calls_at_answer: int | None = None
        """Tool calls that the agent had mentioned at the last answer of a model."""
        self._recorded = 0
        """The part of the daily budget that the record holds for the open calls."""
        self._in_doubt = False
        """True if a reservation was cut off, so that the record may hold more."""

    @property
    def busy(self) -> bool:
        """True while a call is open."""
        return bool(self._open)

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        """Reserve the cost of a call. Return how much it may cost, None for any sum. Raise the gateway's error.

        Wait while other open calls of the run may leave enough, and at most 30 seconds for calls of other runs.
        """
        self.alive()
        if call not in self._open:
            self._count_call()
        opened = self._open.setdefault(call, OpenModelCall(provider, model))
        failures, waited = 0, 0.0
        while True:
            try:
                async with self._lock:
                    ended = self._ended
                    return await self._grant(call, opened, least, most)
            except DoesNotFit as error:
                failures += 1
                own = error.own and self._others_run(call)
                delay = retry.LOG.after(failures)
                if not own and (not error.passing or waited >= RESERVE_SECONDS_MAX):
                    self.spent, self.reached = error.reached is None, error.reached
                    raise self._stop(str(error)) from None
                waited += 0 if own else delay
                await self._wait(opened, ended, None if own and error.reached is None else delay)

    def _count_call(self) -> None:
        """Count a call that begins. Raise CallBudgetReached at a limit of calls."""
        self._begun += 1
        made = self._transcript.progress.calls + len(self._open)
        if self._calls_max is not None and made >= self._calls_max:
            self.exhausted = f"as many model calls as maxTurns allows ({self._calls_max})"
        elif self._begun > CALLS_MAX:
            self.exhausted = f"{CALLS_MAX} model calls, also failed ones"
        else:
            return
        raise self._stop(CALLS)

    async def _grant(self, call: int, opened: OpenModelCall, least: int, most: int | None) -> int | None:
        """Reserve the cost of a call beside the other open ones. Raise DoesNotFit, or the gateway's error."""
        if self.stopped.is_set():
            raise CallBudgetReached
        progress = self._transcript.progress
        others = self._others(call)
        left = None if progress.budget_micro_usd is None else progress.budget_micro_usd - progress.spent_micro_usd
        own = None if left is None else left - others
        if own is not None and most is None:
            self.spent = True
            raise self._stop(UNPRICED)
        if left is not None and own is not None and own < max(least, 1):
            raise DoesNotFit(None, own=left >= max(least, 1), passing=False)
        most = most if own is None or most is None else min(most, own)
        wanted = BudgetRequest(progress.calls + 1, opened.provider, opened.model, others, least, most)
        try:
            granted = await self._recorder.reserve(wanted, patient=False)
        except BudgetReached as stop:
            reached = stop.reached
            fits = reached.reason == "daily-budget" and reached.spent_micro_usd + least <= reached.budget_micro_usd
            raise DoesNotFit(reached, own=fits, passing=stop.passing) from None
        except Exception as error:
            raise self._break(error) from None
        except BaseException:
            self._in_doubt = True
            raise
        if granted is not None:
            self._recorded, self._in_doubt = others + granted, False
        elif own is not None:
            granted = most
        opened.micro_usd = (most if granted is None else granted) or 0
        return granted

    async def _wait(self, opened: OpenModelCall, ended: asyncio.Event, seconds: float | None) -> None:
        """Wait until another call of the run has ended, or for a time."""
        opened.waits = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            opened.waits = False
            self.alive()

    def _others(self, call: int) -> int:
        """Return the parts of the other open calls."""
        return sum(other.micro_usd for number, other in self._open.items() if number != call)

    def _others_run(self, call: int) -> bool:
        """Return True if another open call has a part, and does not wait for a larger one."""
        return any(other.micro_usd and not other.waits for number, other in self._open.items() if number != call)

    async def ended(self, ended: EndedCall) -> None:
        """Record what a call cost. The last call that ended decides whether the turn may count as answered.

        Some agents ask a model of their own choice for a title, beside or after the answer. If the profile does not
        allow that model, it decides nothing, unless the agent made a tool call since the last answer.
        """
        self.alive()
        if ended.outcome == "answered":
            self.failure, self._calls_at_answer = None, self._transcript.calls_mentioned
        elif ended.foreign_model and self._calls_at_answer == self._transcript.calls_mentioned:
            pass
        elif ended.outcome != "cut":
            self.failure = ended.problem
        async with self._lock:
            try:
                await self._settle(ended)
            except Exception as error:
                raise self._break(error) from None
            finally:
                self._open.pop(ended.call, None)
                self._wake()

    async def _settle(self, ended: EndedCall) -> None:
        """Record the cost of a call, and that its part of the daily budget is free again."""
        kept, turn = min(self._others(ended.call), self._recorded), self._transcript.progress.calls + 1
        opened = self._open.get(ended.call)
        if ended.cost is not None:
            vain = ended.outcome != "answered"
            await self._transcript.pay(usage_recorded(ended.cost, turn, in_vain=vain, reserved=kept))
        elif opened is not None and (self._in_doubt or kept < self._recorded):
            provider, model = opened.provider, opened.model
            await self._transcript.pay(
                run.BudgetReserved(turn=turn, provider=provider, model=model, reserved_micro_usd=kept)
            )
        else:
            return
        self._recorded, self._in_doubt = kept, False

    def live(self, call: int, text: str) -> None:
        """Note a sign of life. Only the agent's own words are shown."""
        self.alive()

    def _wake(self) -> None:
        """Let calls that wait look again."""
        self._ended.set()
        self._ended = asyncio.Event()

    def _stop(self, reason: str) -> CallBudgetReached:
        self.stopped.set()
        self._wake()
        return CallBudgetReached(reason)

    def give_up(self, error: BaseException) -> None:
        """Stop the work because something else of the run could not be recorded."""
        if isinstance(error, Exception):
            self._break(error)

    def _break(self, error: Exception) -> Exception:
        self.broken = self.broken or error
        self.stopped.set()
        self._wake()
        return error
