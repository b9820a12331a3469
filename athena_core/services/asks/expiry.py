"""The reactor of asks: decides asks without an answer in time, and ends permission rules at their expiry."""

from collections.abc import Iterable, Mapping, Sequence

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
from athena_core.services.states import at_head


class AskExpiry:
    """Expires asks and permission rules. Its keys are the runs that ask, and the rules."""

    name = "asks"
    types = frozenset((run.RunAsked.TYPE, PermissionRuleCreated.TYPE))

    def __init__(self, log: Log, rules: PermissionRules, executor: LocalExecutor, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._rules = rules
        self._executor = executor
        self._clock = clock
        self._meta = Meta(actor="system:asks", correlation=ids.trace())

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return the deadlines in the guards of open asks and of permission rules."""
        deadlines: dict[str, int] = {}
        for kind, key, value in reader.guards("ask", RULE_GUARD):
            stream, at = (str(value[0]), int(value[1])) if kind == "ask" else (key, int(value[2]))
            deadlines[stream] = min(at, deadlines.get(stream, at))
        return deadlines

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the runs that ask, and the new rules."""
        return [row.stream for row in rows]

    async def act(self, key: str) -> int | None:
        """Expire due asks of a run, or a due rule. Return the next deadline."""
        due = await at_head(self._log, lambda reader: _deadline(reader, key))
        if due is not None and due <= self._clock.now():
            await self._expire(key)
            due = await at_head(self._log, lambda reader: _deadline(reader, key))
        return due

    async def _expire(self, stream: str) -> None:
        if permission_rule.DECIDER.owns(stream):
            await self._rules.expire(stream, self._meta)
            return
        capacity = self._executor.capacity
        done = await self._log.submit(lambda reader, context: expire(reader, context, capacity, stream), self._meta)
        if done.answer and capacity.executor:
            self._executor.take_up(stream)


def _deadline(reader: Reader, stream: str) -> int | None:
    """Return when the next open ask of a run expires, or a rule in force."""
    if permission_rule.DECIDER.owns(stream):
        rule = reader.guards(RULE_GUARD).get(stream)
        return None if rule is None else int(rule[2])
    return min((ask.expires_at_ms for ask in reader.state(run.DECIDER, stream).asks), default=None)


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
