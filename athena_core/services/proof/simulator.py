"""The simulator: recorded requests under another policy, moved on from event to event.

The rules are those of ``admission``, over guards in memory that the same deciders fold. A run does what it did, as long
after its admission as it did it: what it paid and set aside, its pauses, its end. A run that was refused takes what
half of its template's, else of its profile's, else of all runs took.
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
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun, run_facts
from athena_core.values import LOCAL, RunBody, Usage

S = TypeVar("S")
RUNS_MAX = 2**31


class RecordedRun(PreparedRun, kw_only=True):
    """A run as it was recorded: nothing of it is resolved anew."""

    request: run.RunCreated

    @classmethod
    def of(cls, request: RecordedRequest, capacity: ExecutorCapacity) -> "RecordedRun":
        """Take what admission asks for."""
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
    """A run of a simulation: ``shift`` is how much later than recorded it is admitted, in ms.

    ``turn`` counts what made its further steps void: its end, or a pause that was not recorded. A ``budgeted`` run set
    aside what its calls might cost, because there was a daily budget.
    """

    __slots__ = ("budgeted", "estimated", "next", "paused", "refused", "request", "shift", "steps", "turn", "waited")

    def __init__(self, request: RecordedRequest) -> None:
        """It is not asked for yet."""
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
    """What is to happen: a run is asked for, or (with ``step``) goes on. In order of time, then of the log."""

    time: int
    position: Position
    number: int
    command: str
    simulated: SimulatedRun
    step: Recorded[Event] | None
    turn: int


class Simulator:
    """The plane of a simulation: the state that admission reads (``decider.Reader``), moved on from event to event."""

    def __init__(self, history: RequestHistory, limits: policy.PolicyState, runs_max: int = RUNS_MAX) -> None:
        """Begin with the runs that are open; executors take ``runs_max`` runs, or as many as they had."""
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
        """The state of a stream."""
        found: Any = self._limits if stream == policy.STREAM else self._states.get(stream, decider.initial)
        state: S = found
        return state

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """The guard rows of one kind by key, oldest first."""
        return self._guards.of(kind)

    def count(self, kind: str, word: str) -> int:
        """How many guard rows of one kind hold a word."""
        return self._guards.count(kind, word)

    # What is folded

    def _seed(self, recorded: Recorded[Event], *, paid: bool) -> None:
        """Take in what happened before; what was spent is that of the day, of whichever runs."""
        self.head = max(self.head, recorded.position)
        if not paid:
            self._states[recorded.stream] = run.evolve(
                self._states.get(recorded.stream, run.DECIDER.initial), recorded.event
            )
        for guard in run.DECIDER.guards(recorded):
            if (guard.kind == "spent") == paid:
                self._guards.apply(guard)

    def _fold(self, facts: Iterable[Fact], time: int, at: int) -> None:
        """Take in what was decided; runs that begin are moved on, and those that ended no more."""
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
        """Have everything happen, in its order; what one command did happens together."""
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
        """A run is admitted: what it did follows, as long after as it did it."""
        request = simulated.request
        if request.began_at is None:
            simulated.turn += 1  # its wait did not end otherwise
            simulated.estimated = True
            simulated.steps, simulated.next, simulated.shift = self._estimates.steps(request), 0, time
        else:
            simulated.shift = time - request.began_at
        self._push(simulated)

    def _happen(self, moves: Sequence[TimedStep]) -> None:
        """What one command does: requests meet what was there before it, and those who wait what it leaves."""
        over: list[TimedStep] = []
        for move in moves:
            if move.step is None:
                self._ask(move)
        for move in moves:
            if move.step is None or move.turn != move.simulated.turn:
                continue
            match move.step.event:
                case run.RunResumed() as event:
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
        """Who holds a run, or is to."""
        lease = self._guards.of("lease").get(simulated.request.run_id)
        return str(lease[0]) if lease is not None else simulated.request.pinned.requested_by

    def _capacity(self, executor: str) -> ExecutorCapacity:
        if not executor:
            return ExecutorCapacity()
        return ExecutorCapacity(executor, 0, max(self._runs_max, self._leased.get(executor, 0)))

    # What happens

    def _ask(self, move: TimedStep) -> None:
        """A run is asked for."""
        simulated, request = move.simulated, move.simulated.request
        try:
            recorded = RecordedRun.of(request, self._capacity(request.pinned.requested_by))
            admitted = admit(self, self._context(move), recorded)
        except Rejected as rejected:
            simulated.refused = _rule(rejected)
            return
        simulated.waited = admitted.wait is not None
        if simulated.waited and request.began_at is None:
            self._push(simulated)
        self._fold(admitted.facts, move.time, _at(move))

    def _resume(self, move: TimedStep, event: run.RunResumed) -> None:
        """Somebody lets a paused run go on; where there is no room for it now, it stays paused."""
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
        """A model call that was made under a daily budget: what it took is the least that it needs."""
        following = islice(move.simulated.steps, move.simulated.next - 1, None)
        usage = next((one.event for one in following if isinstance(one.event, run.UsageRecorded)), None)
        cost = max(usage.cost_micro_usd or 0, 0) if usage is not None else 0
        self._set_aside(move, event.turn, min(cost, event.reserved_micro_usd), event.reserved_micro_usd)

    def _pay(self, move: TimedStep, event: run.UsageRecorded) -> None:
        """A model call is paid for; one that was made without a daily budget sets aside what it took, at its end."""
        cost = max(event.cost_micro_usd or 0, 0)
        if cost and not move.simulated.budgeted:
            self._set_aside(move, event.turn or 0, cost, cost)
        if move.turn == move.simulated.turn:
            self._fold((_fact(move.simulated, event),), move.time, _at(move))

    def _set_aside(self, move: TimedStep, turn: int, least: int, most: int) -> None:
        """Ask for a part of the day's budget, and pause the run where there is none; who would have to wait goes on."""
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
        """The run is paused from now on, though it was not."""
        simulated.turn += 1
        simulated.paused = True

    def cost(self, simulated: SimulatedRun) -> int:
        """What a run costs, in micro-USD."""
        if simulated.paused:
            return self._states[simulated.request.run_id].spent_micro_usd
        if simulated.estimated or simulated.request.refused is not None:
            return self._estimates.like(simulated.request).cost_micro_usd
        return simulated.request.cost_micro_usd


def _at(move: TimedStep) -> int:
    """The time by the clock of whoever decides, which may be behind that of the log."""
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
    """The rule that refused."""
    for fact in rejected.facts:
        if isinstance(fact.event, run.PolicyRejected) and fact.event.policy is not None:
            origin = fact.event.policy
            return " ".join(filter(None, (origin.policy_name, origin.rule_name)))
    raise TypeError(rejected.error)


class RunEstimates:
    """What runs take that never ran: the time and cost that half of the runs like them had."""

    def __init__(self, requests: Iterable[RecordedRequest]) -> None:
        """Take the runs that ended."""
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
        """The request with what it would take; as it is where no run ended."""
        found = next((self._medians[kin] for kin in _kin(one) if kin in self._medians), None)
        if found is None:
            return one
        return replace(one, duration_ms=found[0], cost_micro_usd=found[1])

    def steps(self, one: RecordedRequest) -> tuple[Recorded[Event], ...]:
        """What it does from its admission on, which is at time 0: it pays, and ends."""
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
    """What a run is like, the nearest first."""
    by_template = () if one.template is None else (("template", one.template),)
    return (
        *by_template,
        ("profile", one.pinned.harness_profile_id),
        ("provider", one.pinned.provider),
        ("all", ""),
    )
