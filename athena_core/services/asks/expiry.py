"""The reactor of asks: decides asks without an answer in time, and ends permission rules at their expiry."""

import heapq
from collections.abc import Iterable, Sequence

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import permission_rule, run
from athena_core.domain.permission_rule import RULE_GUARD, PermissionRuleCreated
from athena_core.event import Meta
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.services.runs.runs import LocalExecutor

LOOK_MS = 30_000
"""The longest sleep until something expires: a sleep neither counts a suspend nor follows the wall clock."""
NEXT = "next"
"""The only key: what expires first."""

Deadline = tuple[int, str]
"""A time in milliseconds, and the run or permission rule that something of expires."""


class AskExpiry:
    """Expires asks and permission rules. The first deadline decides when it looks again."""

    name = "asks"
    types = frozenset((run.RunAsked.TYPE, PermissionRuleCreated.TYPE))

    def __init__(self, log: Log, rules: PermissionRules, executor: LocalExecutor, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._rules = rules
        self._executor = executor
        self._clock = clock
        self._meta = Meta(actor="system:asks", correlation=ids.trace())
        self._deadlines: list[Deadline] = []
        self._found: list[Deadline] = []
        """Deadlines that a new leader found in the guards; ``act`` takes them over."""
        self._look_at = 0
        """The time of the next look, in milliseconds since 1970 UTC."""

    def open(self, reader: StoreReader) -> Iterable[str]:
        """Find all deadlines, in the guards of open asks and of permission rules."""
        self._look_at = 0
        self._found = [
            (int(value[1]), str(value[0])) if kind == "ask" else (int(value[2]), key)
            for kind, key, value in reader.guards("ask", RULE_GUARD)
        ]
        return (NEXT,) if self._found else ()

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Note the deadlines of new asks and rules."""
        first = self._deadlines[0] if self._deadlines else None
        for row in rows:
            event = self._log.codec.decode(row, text=False).event
            if isinstance(event, run.RunAsked | PermissionRuleCreated):
                heapq.heappush(self._deadlines, (event.expires_at_ms, row.stream))
        earlier = bool(self._deadlines) and self._deadlines[0] != first
        return (NEXT,) if earlier else ()

    async def act(self, key: str) -> float | None:
        """Expire asks and rules that are due. Return the seconds until the next deadline."""
        found, self._found = self._found, []
        for deadline in found:
            heapq.heappush(self._deadlines, deadline)
        while self._deadlines and self._deadlines[0][0] <= self._clock.now():
            deadline = heapq.heappop(self._deadlines)
            try:
                await self._expire(deadline[1])
            except BaseException:
                heapq.heappush(self._deadlines, deadline)
                raise
        if not self._deadlines:
            return None
        now = self._clock.now()
        due = min(self._deadlines[0][0], now + LOOK_MS)
        if now < self._look_at <= due:  # each look plans the next one, so one is enough
            return None
        self._look_at = due
        return max(due - now, 0) / 1000

    async def _expire(self, stream: str) -> None:
        if permission_rule.DECIDER.owns(stream):
            await self._rules.expire(stream, self._meta)
            return
        capacity = self._executor.capacity
        done = await self._log.submit(lambda reader, context: expire(reader, context, capacity, stream), self._meta)
        if done.answer and capacity.executor:
            self._executor.take_up(stream)


def expire(reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str) -> Outcome[bool]:
    """Decide the asks of a run whose time is over; the answer is False if there are none.

    The run is cancelled if one of them says so. Otherwise a parked run goes on once it has no open ask.
    """
    draft = RunTransaction(reader, context, capacity)
    asks = {ask.ask_id: ask for ask in draft.state(run_id).asks}
    answers = draft.decide(run_id, run.ExpireAsks())
    expired = [asks[event.ask_id] for event in answers if isinstance(event, run.RunAnswered)]
    fatal = next((ask.ask_id for ask in expired if ask.on_expiry == "cancel"), None)
    if fatal is not None:
        draft.cancel(run_id, run.CancelRun(reason=f"ask {fatal} was not answered in time", by_run=run_id))
        draft.admit_waiting()
    elif expired:
        draft.carry_on(run_id)
    return Outcome(facts=tuple(draft.facts), subject=run_id, answer=bool(expired))
