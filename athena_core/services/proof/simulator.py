"""The simulator: recorded run requests under another policy, played event by event.

It applies the rules of ``admission`` to guards in memory that the same deciders fold. A run repeats its recorded
steps (payments, reservations, pauses, its end) at the same distance from its admission. A run that was refused takes
the median time and cost of its template's runs, else its profile's, else all runs.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from statistics import median_low
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, Rejected
from athena_core.domain import policy, run
from athena_core.errors import AthenaError
from athena_core.event import Event, Fact, Meta, Position, Recorded
from athena_core.log.guards import Guards
from athena_core.services.context.compiler import ResolvedReferences
from athena_core.services.proof.recorded_requests import RUN, RecordedRequest, RequestHistory
from athena_core.services.runs import admission
from athena_core.services.runs.admission import (
    BudgetRequest,
    RunTransaction,
    admit,
    apply_command,
)
from athena_core.services.runs.agent_room import AgentRoom
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun, run_facts
from athena_core.values import LOCAL, RunBody, Usage

S = TypeVar("S")
RUNS_MAX = 2**31


class RecordedRun(PreparedRun, kw_only=True):
    """A run as it was recorded; nothing of it is resolved again."""

    request: run.RunCreated

    @classmethod
    def of(cls, request: RecordedRequest, capacity: ExecutorCapacity) -> "RecordedRun":
        """Return the run of a recorded request."""
        pinned = request.pinned
        return cls(
            run_id=request.run_id,
            session_id=pinned.session_id,
            directive_id=pinned.directive_id,
            who=LOCAL,
            capacity=capacity,
            body=RunBody(directive_id=pinned.directive_id, session_strategy=request.strategy),
            text="",
            resolved=ResolvedReferences(salt=b""),
            profile=None,
            provider=pinned.provider,
            model=pinned.model,
            default_timeout_ms=pinned.timeout_ms,
            patient=request.patient,
            least_micro_usd=request.least,
            request=pinned,
        )

    def pinned(self, limits: policy.Policy | None) -> run.RunCreated:
        """Return the request as it was recorded."""
        return self.request


class SimulatedRun:
    """A run of a simulation; it is admitted ``shift`` ms later than recorded.

    ``turn`` is raised when the remaining steps become void: at its end, or at a pause that was not recorded. A
    ``budgeted`` run reserved the cost of its calls, because there was a daily budget.
    """

    __slots__ = ("budgeted", "estimated", "next", "paused", "refused", "request", "shift", "steps", "turn", "waited")

    def __init__(self, request: RecordedRequest) -> None:
        self.request = request
        self.steps: Sequence[Recorded[Event]] = request.steps
        self.budgeted = any(isinstance(step.event, run.BudgetReserved) for step in request.steps)
        self.next = 0
        self.shift = 0
        self.turn = 0
        self.refused: str | None = None
        self.waited = False
        self.paused = False
        self.estimated = False


class TimedStep(NamedTuple):
    """A planned step of a run, or its request if ``step`` is None. Ordered by time, then by position."""

    time: int
    position: Position
    number: int
    command: str
    simulated: SimulatedRun
    step: Recorded[Event] | None
    turn: int


class Simulator:
    """The state that admission reads (``decider.Reader``) during a simulation, advanced event by event."""

    def __init__(self, history: RequestHistory, limits: policy.PolicyState, runs_max: int = RUNS_MAX) -> None:
        """Begin with the open runs. An executor takes ``runs_max`` runs, or as many as it had at once."""
        self.head: Position = 0
        self.runs = [SimulatedRun(request) for request in history.requests]
        self._limits = limits
        self._runs_max = runs_max
        self._leased = history.leased
        self._guards = Guards()
        self._states: dict[str, run.RunState] = {}
        self._estimates = RunEstimates(history.requests)
        self._queue: list[TimedStep] = []
        self._number = 0
        self._ids = CountingIds()
        self._by_run: dict[str, SimulatedRun] = {}
        for recorded in history.before:
            self._seed(recorded, paid=False)
        for recorded in history.paid:
            self._seed(recorded, paid=True)
        for simulated in map(SimulatedRun, history.open):
            self._by_run[simulated.request.run_id] = simulated
            if simulated.request.began_at is None or self._states[simulated.request.run_id].status != "queued":
                self._push(simulated)
        for simulated in self.runs:
            self._by_run[simulated.request.run_id] = simulated
            one = simulated.request
            self._move(one.recorded_at, one.position, one.command, simulated, None)

    # What admission reads

    def state(self, decider: Decider[S], stream: str) -> S:
        """Return the state of a stream."""
        found: Any = self._limits if stream == policy.STREAM else self._states.get(stream, decider.initial)
        state: S = found
        return state

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """Return the guard rows of one kind by key, oldest first."""
        return self._guards.of(kind)

    def count(self, kind: str, word: str) -> int:
        """Return how many guard rows of one kind hold a word."""
        return self._guards.count(kind, word)

    # Folding

    def _seed(self, recorded: Recorded[Event], *, paid: bool) -> None:
        """Apply an event from before the simulation: with ``paid`` only its spending, else everything but that."""
        self.head = max(self.head, recorded.position)
        if not paid:
            self._states[recorded.stream] = run.evolve(
                self._states.get(recorded.stream, run.DECIDER.initial), recorded.event
            )
        for guard in run.DECIDER.guards(recorded):
            if (guard.kind == "spent") == paid:
                self._guards.apply(guard)

    def _fold(self, facts: Iterable[Fact], time: int, at: int) -> None:
        """Apply decided events; plan the steps of runs that begin, and void the steps of runs that ended."""
        for fact in facts:
            run_id, event = fact.stream, fact.event
            if not run_id.startswith(RUN):
                continue
            self.head += 1
            self._states[run_id] = run.evolve(self._states.get(run_id, run.DECIDER.initial), event)
            for guard in run.DECIDER.guards(_recorded(fact, self.head, time, at)):
                self._guards.apply(guard)
            simulated = self._by_run[run_id]
            if isinstance(event, run.RunCreated):
                self._begin(simulated, time)
            elif event.TYPE in run.ENDING_TYPES:
                simulated.turn += 1

    # The clock

    def play(self) -> None:
        """Play all steps in order; the steps of one command happen together."""
        while self._queue:
            first = self._queue[0]
            together: list[TimedStep] = []
            while self._queue and (self._queue[0].time, self._queue[0].command) == (first.time, first.command):
                move = heapq.heappop(self._queue)
                if move.turn == move.simulated.turn:
                    together.append(move)
                    if move.step is not None:
                        self._push(move.simulated)
            self._happen(together)

    def _move(
        self, time: int, position: Position, command: str, simulated: SimulatedRun, step: Recorded[Event] | None
    ) -> None:
        self._number += 1
        heapq.heappush(self._queue, TimedStep(time, position, self._number, command, simulated, step, simulated.turn))

    def _push(self, simulated: SimulatedRun) -> None:
        """Plan the next step of a run."""
        if simulated.next < len(simulated.steps):
            step = simulated.steps[simulated.next]
            simulated.next += 1
            self._move(step.recorded_at + simulated.shift, step.position, step.command_id, simulated, step)

    def _begin(self, simulated: SimulatedRun, time: int) -> None:
        """Plan the steps of an admitted run, at their recorded distance from its admission."""
        request = simulated.request
        if request.began_at is None:
            simulated.turn += 1  # the recorded end of its wait does not happen
            simulated.estimated = True
            simulated.steps, simulated.next, simulated.shift = self._estimates.steps(request), 0, time
        else:
            simulated.shift = time - request.began_at
        self._push(simulated)

    def _happen(self, moves: Sequence[TimedStep]) -> None:
        """Apply one command: first requests, against the state before it, then steps, then waiting runs."""
        over: list[TimedStep] = []
        for move in moves:
            if move.step is None:
                self._ask(move)
        for move in moves:
            if move.step is None or move.turn != move.simulated.turn:
                continue
            match move.step.event:
                case run.RunResumed() as event if self._states[move.step.stream].paused != "ask":
                    self._resume(move, event)
                case run.BudgetReserved() as event:
                    self._reserve(move, event)
                case run.UsageRecorded() as event:
                    self._pay(move, event)
                case run.RunLeased():
                    self._fold((_fact(move.simulated, move.step.event),), move.time, _at(move))
                case _:
                    over.append(move)
        if over:
            first = over[0]
            draft = RunTransaction(self, self._context(first), self._capacity(self._executor(first.simulated)))
            draft.add([_fact(move.simulated, move.step.event) for move in over if move.step is not None])
            draft.admit_waiting()
            self._fold(draft.facts, first.time, _at(first))

    def _context(self, move: TimedStep) -> Context:
        return Context(now=_at(move), ids=self._ids, meta=Meta(actor="", correlation=""))

    def _executor(self, simulated: SimulatedRun) -> str:
        """Return the executor that holds a run, or that would lease it."""
        lease = self._guards.of("lease").get(simulated.request.run_id)
        return str(lease[0]) if lease is not None else simulated.request.pinned.requested_by

    def _capacity(self, executor: str) -> ExecutorCapacity:
        if not executor:
            return ExecutorCapacity()
        return ExecutorCapacity(executor, 0, max(self._runs_max, self._leased.get(executor, 0)))

    # Steps

    def _ask(self, move: TimedStep) -> None:
        """Admit or refuse a requested run."""
        simulated, request = move.simulated, move.simulated.request
        try:
            capacity, agent = self._capacity(request.pinned.requested_by), request.pinned.agent
            if agent is not None:  # the executor that it was recorded for has it
                capacity = capacity._replace(agents=AgentRoom(frozenset((agent,))))
            recorded = RecordedRun.of(request, capacity)
            admitted = admit(self, self._context(move), recorded)
        except Rejected as rejected:
            simulated.refused = _rule(rejected)
            return
        simulated.waited = admitted.wait is not None
        if simulated.waited and request.began_at is None:
            self._push(simulated)
        self._fold(admitted.facts, move.time, _at(move))

    def _resume(self, move: TimedStep, event: run.RunResumed) -> None:
        """Resume a paused run; if the policy refuses, it stays paused."""
        run_id = move.simulated.request.run_id
        try:
            outcome = admission.resume(
                self, self._context(move), ExecutorCapacity(), run_id, event.budget_micro_usd, LOCAL
            )
        except (Rejected, AthenaError):
            self._stay(move.simulated)
        else:
            self._fold(outcome.facts, move.time, _at(move))

    def _reserve(self, move: TimedStep, event: run.BudgetReserved) -> None:
        """Reserve the cost of a model call made under a daily budget; the recorded cost is the least it needs.

        A smaller sum than the one before only releases a part of it.
        """
        (held,) = self._guards.of("reserved").get(move.simulated.request.run_id, (0,))
        if event.reserved_micro_usd <= int(held):
            self._fold((_fact(move.simulated, event),), move.time, _at(move))
            return
        following = islice(move.simulated.steps, move.simulated.next - 1, None)
        usage = next((one.event for one in following if isinstance(one.event, run.UsageRecorded)), None)
        cost = max(usage.cost_micro_usd or 0, 0) if usage is not None else 0
        self._set_aside(move, event.turn, min(cost, event.reserved_micro_usd), event.reserved_micro_usd)

    def _pay(self, move: TimedStep, event: run.UsageRecorded) -> None:
        """Pay for a model call. A call without a recorded reservation reserves its cost just before."""
        cost = max(event.cost_micro_usd or 0, 0)
        if cost and not move.simulated.budgeted:
            self._set_aside(move, event.turn or 0, cost, cost)
        if move.turn == move.simulated.turn:
            self._fold((_fact(move.simulated, event),), move.time, _at(move))

    def _set_aside(self, move: TimedStep, turn: int, least: int, most: int) -> None:
        """Reserve a part of the daily budget; pause the run if too little is left.

        A call that would only wait proceeds.
        """
        pinned, run_id = move.simulated.request.pinned, move.simulated.request.run_id
        context, capacity = self._context(move), self._capacity(self._executor(move.simulated))
        token = self._states[run_id].token
        wanted = BudgetRequest(turn, pinned.provider, pinned.model, 0, least, most)
        outcome = admission.reserve(self, context, capacity, run_id, token, wanted)
        facts, granted = outcome.facts, outcome.answer
        if granted.reached is not None and not granted.wait:
            command = run.PauseRun(token=token, elapsed_ms=0, reached=granted.reached)
            facts = apply_command(self, context, capacity, run_id, command).facts
            self._stay(move.simulated)
        self._fold(facts, move.time, _at(move))

    def _stay(self, simulated: SimulatedRun) -> None:
        """Pause a run for good, though the log has no pause here."""
        simulated.turn += 1
        simulated.paused = True

    def cost(self, simulated: SimulatedRun) -> int:
        """Return the cost of a run, in micro-USD."""
        if simulated.paused:
            return self._states[simulated.request.run_id].spent_micro_usd
        if simulated.estimated or simulated.request.refused is not None:
            return self._estimates.like(simulated.request).cost_micro_usd
        return simulated.request.cost_micro_usd


def _at(move: TimedStep) -> int:
    """Return the time by the deciding server's clock, which may be behind the log's."""
    one = move.simulated.request if move.step is None else move.step
    return move.time + one.at - one.recorded_at


def _fact(simulated: SimulatedRun, event: Event) -> Fact:
    request = simulated.request
    return run_facts(request.run_id, request.pinned.session_id, (event,))[0]


def _recorded(fact: Fact, position: Position, time: int, at: int) -> Recorded[Event]:
    return Recorded(
        position=position,
        stream=fact.stream,
        version=0,
        type=fact.event.TYPE,
        recorded_at=time,
        command_id="",
        correlation="",
        causation=None,
        actor="",
        session_id=fact.session_id,
        run_id=fact.run_id,
        mark=b"",
        event=fact.event,
        decided_at=at,
    )


def _rule(rejected: Rejected) -> str:
    """Return the name of the rule that refused."""
    for fact in rejected.facts:
        if isinstance(fact.event, run.PolicyRejected) and fact.event.policy is not None:
            origin = fact.event.policy
            return " ".join(filter(None, (origin.policy_name, origin.rule_name)))
    raise TypeError(rejected.error)


class RunEstimates:
    """Time and cost of runs that never ran: the medians of similar runs."""

    def __init__(self, requests: Iterable[RecordedRequest]) -> None:
        known: dict[tuple[str, str], list[RecordedRequest]] = defaultdict(list)
        for one in requests:
            if one.began_at is not None and one.ended:
                for kin in _kin(one):
                    known[kin].append(one)
        self._medians = {
            kin: (median_low(one.duration_ms for one in found), median_low(one.cost_micro_usd for one in found))
            for kin, found in known.items()
        }

    def like(self, one: RecordedRequest) -> RecordedRequest:
        """Return the request with its estimated time and cost; unchanged if no similar run ended."""
        found = next((self._medians[kin] for kin in _kin(one) if kin in self._medians), None)
        if found is None:
            return one
        return replace(one, duration_ms=found[0], cost_micro_usd=found[1])

    def steps(self, one: RecordedRequest) -> tuple[Recorded[Event], ...]:
        """Return the steps of an estimated run, from its admission at time 0: it pays and ends."""
        like, pinned = self.like(one), one.pinned
        usage = run.UsageRecorded(
            provider=pinned.provider, model=pinned.model, usage=Usage(), cost_micro_usd=like.cost_micro_usd
        )
        leased = run.RunLeased(executor=pinned.requested_by, token=1, attempt=1, pid=0)
        events = (leased, usage, run.RunTimedOut(timeout_ms=like.duration_ms))
        times = (0, like.duration_ms, like.duration_ms)
        facts = run_facts(one.run_id, pinned.session_id, events)
        return tuple(_recorded(fact, one.position, at, at) for fact, at in zip(facts, times, strict=True))


def _kin(one: RecordedRequest) -> tuple[tuple[str, str], ...]:
    """Return the groups of similar runs, the most similar first."""
    by_template = () if one.template is None else (("template", one.template),)
    return (
        *by_template,
        ("profile", one.pinned.harness_profile_id),
        ("provider", one.pinned.provider),
        ("all", ""),
    )
