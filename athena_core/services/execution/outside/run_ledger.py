"""The money of an outside agent's run: what its model gateway reserves and pays, under the lease of the run."""

import asyncio
from collections.abc import Callable

from athena_core.domain import run
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.services.execution.outside.agent_transcript import AgentTranscript
from athena_core.services.execution.performer import BudgetReached, RunRecorder
from athena_core.services.runs.admission import BudgetRequest

OWN_BUDGET = "The budget of the run is spent."
TURNS = "The run has made as many model calls as its profile allows (maxTurns)."


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
        self.exhausted = False
        """True if the run may make no more calls."""
        self.failure: str | None = None
        self.broken: Exception | None = None
        self.alive: Callable[[], object] = lambda: None
        """Called at each sign of life of a call."""
        self._transcript = transcript
        self._recorder = recorder
        self._calls_max = calls_max
        self._open: dict[int, int] = {}

    @property
    def busy(self) -> bool:
        """True while a call is open."""
        return bool(self._open)

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        """Reserve the cost of a call. Return how much it may cost, None for any sum. Raise the gateway's error."""
        self.alive()
        progress = self._transcript.progress
        made = progress.calls + len(self._open)
        if self._calls_max is not None and call not in self._open and made >= self._calls_max:
            self.exhausted = True
            raise self._stop(TURNS)
        others = sum(sum_ for number, sum_ in self._open.items() if number != call)
        left = None if progress.budget_micro_usd is None else progress.budget_micro_usd - progress.spent_micro_usd
        if left is not None and left - others < max(least, 1):
            self.spent = True
            raise self._stop(OWN_BUDGET)
        self._open.setdefault(call, 0)
        wanted = BudgetRequest(self._transcript.turn, provider, model, others, least, most)
        try:
            granted = await self._recorder.reserve(wanted)
        except BudgetReached as stop:
            self._open.pop(call, None)
            self.reached = stop.reached
            raise self._stop(str(stop)) from None
        except Exception as error:
            self._open.pop(call, None)
            raise self._break(error) from None
        bounds = [bound for bound in (granted, None if left is None else left - others) if bound is not None]
        allowed = min(bounds) if bounds else None
        self._open[call] = (most if allowed is None else allowed) or least
        return allowed

    async def ended(self, ended: EndedCall) -> None:
        """Record what a call cost. The last call that ended decides whether the turn may count as answered."""
        self.alive()
        self._open.pop(ended.call, None)
        if ended.outcome == "answered":
            self.failure = None
        elif ended.outcome != "cut":
            self.failure = ended.problem or "The model call failed."
        if ended.cost is None:
            return
        try:
            await self._transcript.pay(ended.cost, in_vain=ended.outcome != "answered")
        except Exception as error:
            raise self._break(error) from None

    def live(self, call: int, text: str) -> None:
        """Note a sign of life. Only the agent's own words are shown."""
        self.alive()

    def _stop(self, reason: str) -> CallBudgetReached:
        self.stopped.set()
        return CallBudgetReached(reason)

    def _break(self, error: Exception) -> Exception:
        self.broken = self.broken or error
        self.stopped.set()
        return error
