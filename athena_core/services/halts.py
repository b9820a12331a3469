"""The service of the halt: stops the beginning of all work, and lets it begin again in order."""

from typing import Annotated

from athena_core.clock import iso
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import halt, policy, run
from athena_core.errors import Halted
from athena_core.event import Meta, Position, Value, says
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.runs import LocalExecutor
from athena_core.services.states import at_head
from athena_core.text import or_erased
from athena_core.values import Identity


class HaltRecord(Value):
    """The halt of the plane, if there is one: who halted it, when, and why.

    ``running`` counts the admitted runs, which go on, and ``waiting`` the runs in line. ``cancelled`` counts the runs
    whose cancellation this request asked for.
    """

    halted: Annotated[bool, says("True while no work may begin.")]
    running: Annotated[int, says("Runs that hold a slot and go on.")]
    waiting: Annotated[int, says("Runs in line.")]
    by: Annotated[str | None, says("Identity that halted all work; absent without a halt.")] = None
    since: Annotated[str | None, says("When the halt began; absent without one.")] = None
    reason: Annotated[str | None, says("Why all work is halted; absent without a halt.")] = None
    cancelled: Annotated[
        int | None, says("Runs whose cancellation was requested; only in answers to `cancelRunning`.")
    ] = None


class HaltChange(Value):
    """The answer of a transaction about the halt, without text. ``position`` is the event with the reason."""

    running: int
    waiting: int
    by: str | None = None
    since: int = 0
    position: Position = 0
    cancelled: int | None = None


class Halts:
    """Starts and lifts the halt, and returns it with its reason."""

    def __init__(self, log: Log, reader: StoreReader, executor: LocalExecutor) -> None:
        self._log = log
        self._reader = reader
        self._executor = executor

    async def start(self, body: halt.HaltBody, who: Identity, meta: Meta, key: Key | None) -> Committed[HaltChange]:
        """Halt all work. If it is halted, return that halt.

        With ``cancel_running``, request the cancellation of every run with a slot and of its open children. Runs that
        wait or are paused stay.
        """
        capacity = self._executor.capacity

        def start(reader: Reader, context: Context) -> Outcome[HaltChange]:
            transaction = RunTransaction(reader, context, capacity)
            cancelled = 0
            if body.cancel_running:
                command = run.CancelRun(cause="interrupted", reason=f"halted: {body.reason}")
                for run_id in tuple(reader.guards("slot")):
                    if transaction.state(run_id).cancel is None:
                        transaction.cancel(run_id, command)
                cancelled = sum(fact.event.TYPE == run.RunCancelRequested.TYPE for fact in transaction.facts)
            facts = tuple(transaction.facts)
            now = halt.current(reader)
            if now is None:
                command_of_halt = halt.StartHalt(by=who.subject, reason=body.reason, cancelled=cancelled)
                events = halt.decide(command_of_halt, halt.DECIDER.initial, context)
                facts = (*facts_of(halt.STREAM, events), *facts)
                now = halt.Halt(reader.head + 1, context.now, who.subject)
            return Outcome(facts=facts, answer=_change(reader, now, cancelled if body.cancel_running else None))

        return await self._log.submit(start, meta, key, answers=HaltChange)

    async def lift(self, who: Identity, meta: Meta, key: Key | None) -> Committed[HaltChange]:
        """Lift the halt, and admit the oldest waiting runs that have room. Without a halt, change nothing."""
        capacity = self._executor.capacity

        def lift(reader: Reader, context: Context) -> Outcome[HaltChange]:
            now = halt.current(reader)
            transaction = RunTransaction(reader, context, capacity)
            if now is not None:
                command = halt.LiftHalt(by=who.subject, since_ms=now.since)
                transaction.add(facts_of(halt.STREAM, halt.decide(command, halt.DECIDER.initial, context)))
                transaction.admit_waiting(reader.state(policy.DECIDER, policy.STREAM))
            begun = sum(fact.event.BEGINS for fact in transaction.facts)
            return Outcome(facts=tuple(transaction.facts), answer=_change(reader, None, begun=begun))

        return await self._log.submit(lift, meta, key, answers=HaltChange)

    @property
    def active(self) -> bool:
        """True during a halt, as committed."""
        return bool(self._reader.guards(halt.HALT))

    async def current(self) -> HaltRecord:
        """Return the halt at the head of the log."""
        return self.record(await at_head(self._log, lambda reader: _change(reader, halt.current(reader))))

    def record(self, change: HaltChange) -> HaltRecord:
        """Return the answer of a transaction with the reason."""
        return HaltRecord(
            halted=change.by is not None,
            running=change.running,
            waiting=change.waiting,
            by=change.by,
            since=iso(change.since) if change.by is not None else None,
            reason=or_erased(self._reason(change.position)) if change.by is not None else None,
            cancelled=change.cancelled,
        )

    def refusal(self, error: Halted) -> Halted:
        """Return the error with the reason of the halt, which transactions do not know."""
        row = self._reader.row(error.position)
        recorded = None if row is None else self._log.codec.decode(row)
        if recorded is None or not isinstance(recorded.event, halt.HaltStarted):
            return error
        started = halt.Halt(recorded.position, recorded.at, recorded.event.by)
        return halt.refusal(started, or_erased(recorded.event.reason))

    def _reason(self, position: Position) -> str | None:
        row = self._reader.row(position)
        event = None if row is None else self._log.codec.decode(row).event
        return event.reason if isinstance(event, halt.HaltStarted) else None


def _change(reader: Reader, now: halt.Halt | None, cancelled: int | None = None, *, begun: int = 0) -> HaltChange:
    """Return the counts before a transaction in which ``begun`` waiting runs begin."""
    running, waiting = len(reader.guards("slot")), len(reader.guards("waiting"))
    if now is None:
        return HaltChange(running=running + begun, waiting=waiting - begun)
    return HaltChange(
        running=running, waiting=waiting, by=now.by, since=now.since, position=now.position, cancelled=cancelled
    )
