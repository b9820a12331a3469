"""The record of one run in memory: real decisions and rules, and commits that take time."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from athena_core.decider import Context
from athena_core.domain import policy, run
from athena_core.errors import LeaseLost
from athena_core.event import Event, Meta, Recorded
from athena_core.protocols import Row
from athena_core.services.execution.progress import allows
from athena_core.services.proof.rule import rules_by_event
from athena_core.services.proof.rules.ask import AskRules
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.policy import HaltRules, PolicyRules
from athena_core.services.proof.rules.run import RunRules
from tests.simulation.loop import SimClock, SimIds, SimLoop

RUN = "run_1"
META = Meta(actor="ada", correlation="trace")
ATTEMPTS_MAX = 99
COMMIT_SECONDS = 0.004


class AgentRecord:
    """The events of one run. Each one is checked by the rules of ``athena verify`` about runs and asks."""

    def __init__(self, loop: SimLoop, clock: SimClock, ids: SimIds, fail: Callable[[str, str], None]) -> None:
        self.loop, self.clock, self.ids, self.fail = loop, clock, ids, fail
        self.state = run.DECIDER.initial
        self.rows: list[Recorded[Any]] = []
        self.asks: dict[str, run.RunAsked] = {}
        self.answers: dict[str, run.RunAnswered] = {}
        self.called: dict[str, run.ToolCalled] = {}
        self.results: dict[str, run.TranscriptAppended] = {}
        self.made: Counter[tuple[str, str]] = Counter()
        """The unrefused calls of the record: tool or kind, arguments."""
        self._asked_seconds = 0.0
        """The time in which asks were open, until the last event."""
        self._asked_at = 0.0
        self.away_until = 0.0
        """Until then no commit is possible."""
        self.next_commit = 0.0
        """The earliest moment of the next commit: they keep the order of the queue."""
        self.heard: Callable[[Sequence[Event]], None] = lambda _: None
        self._log = LogRules()
        asks = AskRules()
        policies = PolicyRules()
        policies.now = policy.PolicyState(policy=policy.Policy(schema_version=1, max_run_attempts=ATTEMPTS_MAX))
        runs = RunRules(self._log, policies, HaltRules(), asks)
        self._table = rules_by_event((asks, runs), {})
        self._commands = 0

    @property
    def ending(self) -> Event | None:
        """The end of the run."""
        last = self.rows[-1].event if self.rows else None
        return last if isinstance(last, run.RunEnding) else None

    @property
    def open_calls(self) -> list[str]:
        return [call for call in self.called if call not in self.results]

    def submit(self, command: run.RunCommand) -> Event | None:
        """Decide and record at once. Raise LeaseLost."""
        context = Context(now=self.clock.now(), ids=self.ids, meta=META)
        events = run.decide(command, self.state, context)
        self._commands += 1
        for event in events:
            self.append(event)
        self.heard(events)
        return events[-1] if events else None

    def append(self, event: Event) -> None:
        number, now = len(self.rows) + 1, self.clock.now()
        command = f"cmd_{self._commands}"
        # fmt: off
        row = Row(number, RUN, number, event.TYPE, 1, now, command, "trace", None, "ada", "s", RUN, b"", None, b"",
                  None, bytes(32), None)
        # fmt: on
        entry = self._table.get(type(event))
        for name, rule in entry.rules if entry is not None else ():
            breach = rule(row, event)
            if breach is not None:
                self.fail(f"rule {name}", breach)
        for follower in entry.followers if entry is not None else ():
            follower(row, event)
        self._log.advance(row)
        if self.state.asks:
            self._asked_seconds += self.loop.time() - self._asked_at
        self._asked_at = self.loop.time()
        self.state = run.DECIDER.evolve(self.state, event)
        self.rows.append(
            Recorded(number, RUN, number, event.TYPE, now, command, "trace", None, "ada", "s", RUN, b"mark", event)
        )
        self._note(event)

    @property
    def asked_seconds(self) -> float:
        """The time in which asks were open."""
        return self._asked_seconds + (self.loop.time() - self._asked_at if self.state.asks else 0.0)

    def _note(self, event: Event) -> None:
        match event:
            case run.RunAsked():
                self.asks[event.ask_id] = event
                seconds = (event.expires_at_ms - self.clock.now()) / 1000 + 0.001
                self.loop.call_later(seconds, self._expire, context=contextvars.Context())
            case run.RunAnswered():
                self.answers[event.ask_id] = event
            case run.ToolCalled():
                if event.tool_call_id in self.called and event.tool_call_id not in self.results:
                    self.fail("record", f"the call {event.tool_call_id} was recorded twice")
                self.called[event.tool_call_id] = event
                if event.refused is None:
                    self.made[event.tool_name or event.kind or "", event.arguments or ""] += 1
            case run.TranscriptAppended(kind="tool-result", tool_call_id=str(call_id)):
                if call_id in self.results:
                    self.fail("record", f"the call {call_id} has two results")
                self.results[call_id] = event

    def _expire(self) -> None:
        """Decide the asks whose time is over, as ``services.asks.expiry`` does."""
        before = {ask.ask_id for ask in self.state.asks}
        if self.state.open and self.submit(run.ExpireAsks()) is not None:
            expired = before - {ask.ask_id for ask in self.state.asks}
            if any(self.asks[ask_id].on_expiry == "cancel" for ask_id in expired):
                self.submit(run.CancelRun(reason="expired"))

    def allowed(self, tool: str, arguments: str) -> int:
        """Return how many asks about a call were allowed, or its question answered."""
        return sum(
            allows(ask, answer)
            for ask_id, answer in self.answers.items()
            if ((ask := self.asks[ask_id]).tool_name, ask.exact_arguments) == (tool, arguments)
        )

    def refused(self, tool: str, arguments: str) -> int:
        """Return how many asks about a call were refused, or expired."""
        return sum(
            not allows(ask, answer)
            for ask_id, answer in self.answers.items()
            if ((ask := self.asks[ask_id]).tool_name, ask.exact_arguments) == (tool, arguments)
        )


class AgentWriter:
    """The commits of an executor (``lease_recorder.RunWriter``), each after a moment, or once the log is back."""

    halted = False

    def __init__(self, record: AgentRecord) -> None:
        self._record = record

    async def apply(self, run_id: str, command: run.RunCommand, meta: Meta) -> Any:
        """Commit once the log is there. A queued commit happens, also if this task is cancelled meanwhile."""
        record = self._record
        if record.away_until > record.loop.time():
            await asyncio.sleep(record.away_until - record.loop.time())
        committed: asyncio.Future[Any] = record.loop.create_future()
        chance = record.loop.chance.random()
        soon = record.loop.time() + (COMMIT_SECONDS * chance if chance > 0.5 else 0)
        record.next_commit = max(soon, record.next_commit + 1e-6)
        record.loop.call_at(record.next_commit, self._commit, command, committed)
        answer = await committed
        if chance > 0.8:
            await asyncio.sleep(COMMIT_SECONDS * chance)
        return SimpleNamespace(answer=answer)

    def _commit(self, command: run.RunCommand, committed: "asyncio.Future[Any]") -> None:
        try:
            answer = self._record.submit(command)
        except LeaseLost as error:
            if not committed.done():
                committed.set_exception(error)
        else:
            if not committed.done():
                committed.set_result(answer)

    ask = park = apply

    def answers(self, run_id: str) -> list[run.RunAnswered]:
        return list(self._record.answers.values())

    async def reserve(self, run_id: str, token: int, wanted: Any, meta: Meta, *, patient: bool = True) -> None:
        await asyncio.sleep(0)
        state = self._record.state
        if not state.open or state.token != token:
            raise LeaseLost("the run has ended")
