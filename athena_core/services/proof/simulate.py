"""The simulation: what the recorded requests for runs would have met under another policy.

``HistoryReader`` reads a part of the log; ``simulate`` is a pure function of it. The rules are those of ``admission``,
over guards in memory that the same deciders fold. A run does what it did, as long after its admission as it did it:
what it paid and set aside, its pauses, its end. A run that was refused takes what half of its template's, else of its
profile's, else of all runs took (decisions E44). Nothing is changed. ``NOT_SIMULATED`` names what is left out.
"""

import heapq
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from statistics import median_low
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, Rejected
from athena_core.domain import EVENTS, policy, run, template, workflow_run
from athena_core.errors import AthenaError
from athena_core.event import Event, Fact, Meta, Position, Recorded, Value
from athena_core.log.codec import at_of
from athena_core.log.writer import Guards
from athena_core.protocols import Decode, Row
from athena_core.services.runs import admission
from athena_core.services.runs.admission import (
    BudgetGrant,
    BudgetRequest,
    ExecutorCapacity,
    Plan,
    RunTransaction,
    admit,
    apply_command,
    facts_of,
    shadow_profile,
)
from athena_core.values import LOCAL, MICRO_USD, RunBody, Usage

S = TypeVar("S")

REQUESTS_MAX = 10_000
EVENTS_MAX = 500_000
PAGE_EVENTS = 1_000
ROWS_MAX = 50
RUNS_MAX = 2**31
STRATEGY_REASON = "lock-acquisition-failed"
"""The reason of refusals that a client chose with its session strategy."""

NotSimulated = Literal["timeouts", "attempts", "retries", "callers", "children", "pauses", "strategies"]
NOT_SIMULATED: tuple[NotSimulated, ...] = (
    *("timeouts", "attempts", "retries"),  # those of another policy: runs take as long as they took
    "callers",  # who cancels, resumes, stops waiting or asks again does it when they did it
    "children",  # and the steps of workflows: they are asked for, even if what asked for them is refused
    "pauses",  # for money: one that was recorded stays
    "strategies",  # those of sessions: runs that were not refused wait for their turn
)


class RecordedRequest(Value):
    """A run that was asked for, as the log tells it; times in ms, money in micro-USD.

    ``refused`` is the recorded reason, if it was. ``patient``, ``strategy`` and ``least`` are as in a ``Plan``.
    ``began_at`` is when it was admitted, ``steps`` what it did from then on or, if it never was, how its wait ended:
    only events that occupy or release something. ``duration_ms`` is how long it held a slot; of a run that has not
    ended, so far. ``recorded_at`` is the order of the log, ``at`` the time by the clock of whoever decided.
    """

    run_id: str
    position: Position
    recorded_at: int
    at: int
    pinned: run.RunCreated
    command: str = ""
    template: str | None = None
    patient: bool = False
    strategy: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    least: int | None = 0
    refused: str | None = None
    began_at: int | None = None
    steps: tuple[Recorded[Event], ...] = ()
    ended: bool = True
    duration_ms: int = 0
    cost_micro_usd: int = 0


class RequestHistory(NamedTuple):
    """A part of the log: the requests in it, and the runs that were open before it with what they had done.

    ``paid`` are the usages of the day on which it begins. ``leased`` is how many runs each executor had at once.
    """

    since: Position
    to: Position
    truncated: bool
    requests: Sequence[RecordedRequest]
    open: Sequence[RecordedRequest] = ()
    before: Sequence[Recorded[Event]] = ()
    paid: Sequence[Recorded[Event]] = ()
    leased: Mapping[str, int] = MappingProxyType({})


class Share(Value):
    """The part of a change that falls on one session, profile, template or rule."""

    name: str
    runs: int
    cost_usd: float


class Change(Value):
    """Runs that would have met something else; of each kind the 50 with most runs."""

    runs: int
    cost_usd: float
    by_session: tuple[Share, ...]
    by_profile: tuple[Share, ...]
    by_template: tuple[Share, ...]
    by_reason: tuple[Share, ...]


class Counts(Value):
    """What became of the requests; ``costUsd`` is that of the runs that were admitted."""

    admitted: int
    refused: int
    cost_usd: float


class Verdict(Value):
    """What one request met and would have met: the reason and the rule of a refusal, or whether it would wait."""

    run_id: str
    waited: bool
    recorded: str | None = None
    simulated: str | None = None


class Simulation(Value):
    """The requests since a position, as they were decided and as another policy would have decided them.

    ``truncated`` tells that there were more than 10,000 requests or 500,000 events: ``to`` says how far it came.
    ``estimated`` counts the runs that never ran and now would, with the time and cost of runs like them; ``waited``
    those that the other policy would have let wait; ``paused`` those that its daily budget would have paused, and that
    then stay so. ``notSimulated`` names what is as it was recorded, whatever the policy. ``run`` is there where one was
    asked for that is among them.
    """

    since: Position
    to: Position
    truncated: bool
    requests: int
    recorded: Counts
    simulated: Counts
    waited: int
    paused: int
    newly_rejected: Change
    newly_allowed: Change
    estimated: int
    not_simulated: tuple[NotSimulated, ...]
    run: Verdict | None = None


# From events to requests


class RunCourse:
    """A run as it is read."""

    def __init__(self, row: Row) -> None:
        """It was asked for."""
        self.run_id = row.stream
        self.first = row
        self.patient = False
        self._request: run.RunRequest | None = None
        self._template: str | None = None
        self._refusal: run.PolicyRejected | None = None
        self._began_at: int | None = None
        self._steps: list[Recorded[Event]] = []
        self._ended = self._reserved = self._unpriced = False
        self._since: int | None = None
        self._held = self._cost = 0

    @property
    def open(self) -> bool:
        """Return True if the run exists and has not ended."""
        return self._request is not None and not self._ended

    def take(self, recorded: Recorded[Event]) -> None:
        """Take an event of the run in."""
        event = recorded.event
        match event:
            case run.RunQueued():
                self._request = event
                self.patient = self.patient or event.reason == "concurrency"
                return
            case run.RunCreated():
                self._request, self._began_at, self._since = event, recorded.recorded_at, recorded.recorded_at
                return
            case template.RunTemplateRun():
                self._template = event.run_template_id
                return
            case run.PolicyRejected():
                self._refusal = event if self._request is None else None  # else a resume was refused
                return
            case run.RunResumed():
                self._since = recorded.recorded_at
            case run.BudgetReserved():
                self._reserved = True
            case run.UsageRecorded():
                self._cost += max(event.cost_micro_usd or 0, 0)
                self._unpriced = self._unpriced or (event.unpriced is True and not self._reserved)
            case run.RunPaused():
                self._stop(recorded.recorded_at)
            case _ if recorded.type in run.ENDING_TYPES:
                self._stop(recorded.recorded_at)
                self._ended = True
        if recorded.type in run.DECIDER.guarded:
            self._steps.append(recorded)

    def forget(self) -> None:
        """What came so far was before: keep where the run is."""
        self._steps, self._cost = [], 0

    def _stop(self, now: int) -> None:
        """Its slot is free."""
        if self._since is not None:
            self._held += max(now - self._since, 0)
            self._since = None

    def request(self, now: int) -> RecordedRequest | None:
        """The request, as it is known at a time; None for what is no request."""
        fields: dict[str, Any] = {
            "run_id": self.run_id,
            "position": self.first.position,
            "recorded_at": self.first.recorded_at,
            "at": at_of(self.first),
            "command": self.first.command_id,
            "template": self._template,
            "patient": self.patient,
        }
        if self._request is not None:
            held = self._held + (max(now - self._since, 0) if self._since is not None else 0)
            return RecordedRequest(
                **fields,
                pinned=replace(run.without_text(self._request), parent_run_id=None),
                least=None if self._unpriced else 0,
                began_at=self._began_at,
                steps=tuple(self._steps),
                ended=self._ended,
                duration_ms=held,
                cost_micro_usd=self._cost,
            )
        return None if self._refusal is None else _refused(self._refusal, fields)


def _refused(refusal: run.PolicyRejected, fields: Mapping[str, Any]) -> RecordedRequest:
    """A request that was refused, as far as its refusal tells it."""
    rejection, profile = refusal.rejection, refusal.harness_profile_id or ""
    provider, plan = refusal.provider or "", refusal.plan
    model = plan.model if plan is not None else ""
    pinned = run.RunCreated(
        session_id=rejection.rejected_run_details.session_id,
        directive_id=refusal.directive_id or "",
        harness_profile_id=profile,
        provider=provider,
        model=model,
        harness_profile_snapshot=shadow_profile(provider, model, 1)[1],
        profile_named=profile.startswith("hp_"),
        timeout_ms=1,
        requested_by=plan.requested_by if plan is not None else "",
        fallbacks=plan.fallbacks if plan is not None else None,
    )
    if plan is not None:
        return RecordedRequest(
            **{**fields, "template": refusal.run_template_id, "patient": plan.patient is True},
            pinned=pinned,
            strategy=plan.session_strategy or "enqueue",
            least=plan.least_micro_usd,
            refused=rejection.reason,
        )
    least: int | None = 0  # recorded before refusals had a plan
    if rejection.reason == "unpriced-model":
        least = None
    elif rejection.reason == "daily-cost-budget-exceeded":  # it bought no call: one takes more than what was left
        least = max((rejection.budget_micro_usd or 0) - (rejection.spent_micro_usd or 0) + 1, 0)
    return RecordedRequest(
        **{**fields, "template": refusal.run_template_id},
        pinned=pinned,
        strategy="reject" if rejection.reason == STRATEGY_REASON else "enqueue",
        least=least,
        refused=rejection.reason,
    )


class HistorySource(Protocol):
    """What a collector reads of the log, and the guards beside it."""

    def head(self) -> Position:
        """The last position."""

    def rows(self, after: Position, limit: int, until: Position) -> Sequence[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``."""

    def row(self, position: Position) -> Row | None:
        """One row."""

    def stream(self, stream: str) -> list[Row]:
        """The rows of a stream."""

    def guards(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        """All guard rows."""

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """The first rows of some types with ``after < position <= until``."""


FOLLOWED_TYPES = frozenset(kind.TYPE for kind in EVENTS if kind.SHOWS.simulate is True)
"""The events of a run that a simulation follows."""
RUN, WORKFLOW_RUN = (f"{decider.category}_" for decider in (run.DECIDER, workflow_run.DECIDER))


class HistoryReader:
    """Reads a part of the log, from a position on."""

    def __init__(self, log: HistorySource, decode: Decode, since: Position) -> None:
        """Begin after a position."""
        self._log = log
        self._decode = decode
        self._since = since
        self._courses: dict[str, RunCourse] = {}
        self._open: dict[str, RunCourse] = {}
        self._before: list[Recorded[Event]] = []
        self._command: str | None = None
        self._begun: list[RunCourse] = []
        self._workflow = False

    def collect(self) -> RequestHistory:
        """Read as far as the limits allow."""
        head, position, now = self._log.head(), self._since, 0
        truncated = False
        while position < head and not truncated:
            for row in self._log.rows(position, PAGE_EVENTS, head):
                begins = row.version == 1 and row.stream.startswith(RUN)
                if (begins and len(self._courses) == REQUESTS_MAX) or row.position - self._since > EVENTS_MAX:
                    truncated = True
                    break
                position, now = row.position, row.recorded_at
                self._take(row)
        for kind, key, value in self._log.guards():
            if kind in {"slot", "waiting", "turn"}:
                self._open_before(str(value[0]) if kind == "turn" else key)
        requests = [one for course in self._courses.values() if (one := course.request(now)) is not None]
        still = [one for course in self._open.values() if (one := course.request(now)) is not None]
        before = sorted(self._before, key=lambda one: one.position)
        steps = (step for one in (*requests, *still) for step in one.steps)
        paid, all_paid = self._paid()
        return RequestHistory(
            since=self._since,
            to=position,
            truncated=truncated or not all_paid,
            requests=requests,
            open=still,
            before=before,
            paid=paid,
            leased=_leased([*before, *sorted(steps, key=lambda one: one.position)]),
        )

    def _take(self, row: Row) -> None:
        if row.command_id != self._command:
            self._command, self._begun, self._workflow = row.command_id, [], False
        if row.stream.startswith(RUN):
            if row.version == 1:
                course = self._courses[row.stream] = RunCourse(row)
                self._begun.append(course)
            known = self._open_before(row.stream) if row.type in FOLLOWED_TYPES else None
            if known is not None:
                known.take(self._decode(row, text=False))
        elif row.stream.startswith(WORKFLOW_RUN):
            self._workflow = True
        if self._workflow:
            for course in self._begun:
                course.patient = True  # a step of a workflow waits for its slot (``Plan.patient``)

    def _open_before(self, run_id: str) -> RunCourse | None:
        """A run that was asked for before: it is there from the start, and what it cost before is no part of this."""
        known = self._courses.get(run_id) or self._open.get(run_id)
        if known is not None:
            return known
        rows = [row for row in self._log.stream(run_id) if row.position <= self._since]
        if not rows:
            return None  # it was asked for later than what is read
        course = RunCourse(rows[0])
        events = [self._decode(row, text=False) for row in rows if row.type in FOLLOWED_TYPES]
        for recorded in events:
            course.take(recorded)
        if course.open:
            self._open[run_id] = course
            self._before += events
            course.forget()
        return course

    def _paid(self) -> tuple[list[Recorded[Event]], bool]:
        """The usages of the UTC day on which the part begins, before it; whether they are all of them."""
        row = self._log.row(self._since) if self._since else None
        if row is None:
            return [], True
        midnight = at_of(row) // run.DAY_MS * run.DAY_MS
        position = bisect_left(range(1, self._since + 1), midnight, key=self._recorded_at)
        if self._since - position > EVENTS_MAX:
            return [], False
        found: list[Recorded[Event]] = []
        while rows := self._log.of_types((run.UsageRecorded.TYPE,), position, self._since, PAGE_EVENTS):
            found += (self._decode(row, text=False) for row in rows)
            position = rows[-1].position
        return found, True

    def _recorded_at(self, position: Position) -> int:
        row = self._log.row(position)
        return row.recorded_at if row is not None else 0


def _leased(events: Iterable[Recorded[Event]]) -> Mapping[str, int]:
    """How many runs each executor had at once."""
    holders: dict[str, str] = {}
    now: Counter[str] = Counter()
    most: dict[str, int] = {}
    for one in events:
        if isinstance(one.event, run.RunLeased | run.RunPaused) or one.type in run.ENDING_TYPES:
            before = holders.pop(one.stream, None)
            if before is not None:
                now[before] -= 1
        if isinstance(one.event, run.RunLeased):
            executor = holders[one.stream] = one.event.executor
            now[executor] += 1
            most[executor] = max(most.get(executor, 0), now[executor])
    return most


# From requests to what they would have met


class RecordedPlan(Plan):
    """A plan as it was recorded: nothing of it is resolved anew."""

    def __init__(self, request: RecordedRequest) -> None:
        """Take what admission asks of a plan."""
        self.body = RunBody(directive_id=request.pinned.directive_id, session_strategy=request.strategy)
        self.said = ""
        self.references = None
        self.least = request.least
        self.patient = request.patient
        self.created = None
        self._pinned = request.pinned

    def request(
        self, session_id: str, directive_id: str, limits: policy.Policy | None, executor: str
    ) -> run.RunCreated:
        """The run as it was pinned."""
        return self._pinned


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
    journey: SimulatedRun
    step: Recorded[Event] | None
    turn: int


class Simulator:
    """The plane of a simulation: the state that admission reads (``decider.Reader``), moved on from event to event."""

    def __init__(self, history: RequestHistory, limits: policy.PolicyState, runs_max: int = RUNS_MAX) -> None:
        """Begin with the runs that are open; executors take ``runs_max`` runs, or as many as they had."""
        self.head: Position = 0
        self.journeys = [SimulatedRun(request) for request in history.requests]
        self._limits = limits
        self._runs_max = runs_max
        self._leased = history.leased
        self._guards = Guards()
        self._states: dict[str, run.RunState] = {}
        self._estimates = RunEstimates(history.requests)
        self._moves: list[TimedStep] = []
        self._number = 0
        self._ids = CountingIds()
        self._by_run: dict[str, SimulatedRun] = {}
        for recorded in history.before:
            self._seed(recorded, paid=False)
        for recorded in history.paid:
            self._seed(recorded, paid=True)
        for journey in map(SimulatedRun, history.open):
            self._by_run[journey.request.run_id] = journey
            if journey.request.began_at is None or self._states[journey.request.run_id].status != "queued":
                self._push(journey)
        for journey in self.journeys:
            self._by_run[journey.request.run_id] = journey
            one = journey.request
            self._move(one.recorded_at, one.position, one.command, journey, None)

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
            journey = self._by_run[run_id]
            if isinstance(event, run.RunCreated):
                self._begin(journey, time)
            elif event.TYPE in run.ENDING_TYPES:
                journey.turn += 1

    # The clock

    def play(self) -> None:
        """Have everything happen, in its order; what one command did happens together."""
        while self._moves:
            first = self._moves[0]
            together: list[TimedStep] = []
            while self._moves and (self._moves[0].time, self._moves[0].command) == (first.time, first.command):
                move = heapq.heappop(self._moves)
                if move.turn == move.journey.turn:
                    together.append(move)
                    if move.step is not None:
                        self._push(move.journey)
            self._happen(together)

    def _move(
        self, time: int, position: Position, command: str, journey: SimulatedRun, step: Recorded[Event] | None
    ) -> None:
        self._number += 1
        heapq.heappush(self._moves, TimedStep(time, position, self._number, command, journey, step, journey.turn))

    def _push(self, journey: SimulatedRun) -> None:
        """Plan the next step of a run."""
        if journey.next < len(journey.steps):
            step = journey.steps[journey.next]
            journey.next += 1
            self._move(step.recorded_at + journey.shift, step.position, step.command_id, journey, step)

    def _begin(self, journey: SimulatedRun, time: int) -> None:
        """A run is admitted: what it did follows, as long after as it did it."""
        request = journey.request
        if request.began_at is None:
            journey.turn += 1  # its wait did not end otherwise
            journey.estimated = True
            journey.steps, journey.next, journey.shift = self._estimates.steps(request), 0, time
        else:
            journey.shift = time - request.began_at
        self._push(journey)

    def _happen(self, moves: Sequence[TimedStep]) -> None:
        """What one command does: requests meet what was there before it, and those who wait what it leaves."""
        over: list[TimedStep] = []
        for move in moves:
            if move.step is None:
                self._ask(move)
        for move in moves:
            if move.step is None or move.turn != move.journey.turn:
                continue
            match move.step.event:
                case run.RunResumed() as event:
                    self._resume(move, event)
                case run.BudgetReserved() as event:
                    self._reserve(move, event)
                case run.UsageRecorded() as event:
                    self._pay(move, event)
                case run.RunLeased():
                    self._fold((_fact(move.journey, move.step.event),), move.time, _at(move))
                case _:
                    over.append(move)
        if over:
            first = over[0]
            draft = RunTransaction(self, self._context(first), self._room(self._executor(first.journey)))
            draft.add([_fact(move.journey, move.step.event) for move in over if move.step is not None])
            draft.settle()
            self._fold(draft.facts, first.time, _at(first))

    def _context(self, move: TimedStep) -> Context:
        return Context(now=_at(move), ids=self._ids, meta=Meta(actor="", correlation=""))

    def _executor(self, journey: SimulatedRun) -> str:
        """Who holds a run, or is to."""
        lease = self._guards.of("lease").get(journey.request.run_id)
        return str(lease[0]) if lease is not None else journey.request.pinned.requested_by

    def _room(self, executor: str) -> ExecutorCapacity:
        if not executor:
            return ExecutorCapacity()
        return ExecutorCapacity(executor, 0, max(self._runs_max, self._leased.get(executor, 0)))

    # What happens

    def _ask(self, move: TimedStep) -> None:
        """A run is asked for."""
        journey, request = move.journey, move.journey.request
        try:
            facts = admit(
                self,
                self._context(move),
                RecordedPlan(request),
                self._room(request.pinned.requested_by),
                run_id=request.run_id,
                session_id=request.pinned.session_id,
                directive_id=request.pinned.directive_id,
                who=LOCAL,
            )
        except Rejected as rejected:
            journey.refused = _rule(rejected)
            return
        journey.waited = any(isinstance(fact.event, run.RunQueued) and fact.stream == request.run_id for fact in facts)
        if journey.waited and request.began_at is None:
            self._push(journey)
        self._fold(facts, move.time, _at(move))

    def _resume(self, move: TimedStep, event: run.RunResumed) -> None:
        """Somebody lets a paused run go on; where there is no room for it now, it stays paused."""
        run_id = move.journey.request.run_id
        try:
            outcome = admission.resume(
                self, self._context(move), ExecutorCapacity(), run_id, event.budget_micro_usd, LOCAL
            )
        except (Rejected, AthenaError):
            self._stay(move.journey)
        else:
            self._fold(outcome.facts, move.time, _at(move))

    def _reserve(self, move: TimedStep, event: run.BudgetReserved) -> None:
        """A model call that was made under a daily budget: what it took is the least that it needs."""
        following = islice(move.journey.steps, move.journey.next - 1, None)
        usage = next((one.event for one in following if isinstance(one.event, run.UsageRecorded)), None)
        cost = max(usage.cost_micro_usd or 0, 0) if usage is not None else 0
        self._set_aside(move, event.turn, min(cost, event.reserved_micro_usd), event.reserved_micro_usd)

    def _pay(self, move: TimedStep, event: run.UsageRecorded) -> None:
        """A model call is paid for; one that was made without a daily budget sets aside what it took, at its end."""
        cost = max(event.cost_micro_usd or 0, 0)
        if cost and not move.journey.budgeted:
            self._set_aside(move, event.turn or 0, cost, cost)
        if move.turn == move.journey.turn:
            self._fold((_fact(move.journey, event),), move.time, _at(move))

    def _set_aside(self, move: TimedStep, turn: int, least: int, most: int) -> None:
        """Ask for a part of the day's budget, and pause the run where there is none; who would have to wait goes on."""
        pinned, run_id = move.journey.request.pinned, move.journey.request.run_id
        context, room = self._context(move), self._room(self._executor(move.journey))
        token = self._states[run_id].token
        wanted = BudgetRequest(turn, pinned.provider, pinned.model, 0, least, most)
        outcome = admission.reserve(self, context, room, run_id, token, wanted)
        granted = outcome.answer
        if isinstance(granted, BudgetGrant) and granted.reached is not None and not granted.wait:
            command = run.PauseRun(token=token, elapsed_ms=0, reached=granted.reached)
            outcome = apply_command(self, context, room, run_id, command)
            self._stay(move.journey)
        self._fold(outcome.facts, move.time, _at(move))

    def _stay(self, journey: SimulatedRun) -> None:
        """The run is paused from now on, though it was not."""
        journey.turn += 1
        journey.paused = True

    def cost(self, journey: SimulatedRun) -> int:
        """What a run costs, in micro-USD."""
        if journey.paused:
            return self._states[journey.request.run_id].spent_micro_usd
        if journey.estimated or journey.request.refused is not None:
            return self._estimates.like(journey.request).cost_micro_usd
        return journey.request.cost_micro_usd


def _at(move: TimedStep) -> int:
    """The time by the clock of whoever decides, which may be behind that of the log."""
    one = move.journey.request if move.step is None else move.step
    return move.time + one.at - one.recorded_at


def _fact(journey: SimulatedRun, event: Event) -> Fact:
    request = journey.request
    return facts_of(request.run_id, request.pinned.session_id, (event,))[0]


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
        facts = facts_of(one.run_id, pinned.session_id, events)
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


def simulate(
    history: RequestHistory, limits: policy.PolicyState, *, runs_max: int = RUNS_MAX, run_id: str | None = None
) -> Simulation:
    """What the requests of a part of the log would have met under other limits; ``run_id`` names one of them.

    ``runs_max`` is how many runs an executor takes at a time.
    """
    fleet = Simulator(history, limits, runs_max)
    fleet.play()
    verdict: Verdict | None = None
    rejected: list[tuple[SimulatedRun, str]] = []
    allowed: list[tuple[SimulatedRun, str]] = []
    for journey in fleet.journeys:
        request = journey.request
        if request.run_id == run_id:
            verdict = Verdict(run_id=run_id, waited=journey.waited, recorded=request.refused, simulated=journey.refused)
        if journey.refused is None and request.refused is not None:
            allowed.append((journey, request.refused))
        elif journey.refused is not None and request.refused is None:
            rejected.append((journey, journey.refused))
    recorded = [one for one in history.requests if one.refused is None]
    taken = [journey for journey in fleet.journeys if journey.refused is None]
    asked = len(history.requests)
    return Simulation(
        since=history.since,
        to=history.to,
        truncated=history.truncated,
        requests=asked,
        recorded=Counts(
            admitted=len(recorded),
            refused=asked - len(recorded),
            cost_usd=sum(one.cost_micro_usd for one in recorded) / MICRO_USD,
        ),
        simulated=Counts(
            admitted=len(taken),
            refused=asked - len(taken),
            cost_usd=sum(map(fleet.cost, taken)) / MICRO_USD,
        ),
        waited=sum(journey.waited for journey in fleet.journeys),
        paused=sum(journey.paused for journey in fleet.journeys),
        newly_rejected=_change(fleet, rejected),
        newly_allowed=_change(fleet, allowed),
        estimated=sum(journey.estimated for journey in fleet.journeys),
        not_simulated=NOT_SIMULATED,
        run=verdict,
    )


class ChangedRun(NamedTuple):
    """A run that met something else: what it is counted by, and its cost in micro-USD."""

    session: str
    profile: str
    template: str | None
    reason: str
    cost: int


def _change(fleet: Simulator, runs: Sequence[tuple[SimulatedRun, str]]) -> Change:
    moved = [
        ChangedRun(
            session=journey.request.pinned.session_id,
            profile=journey.request.pinned.harness_profile_id,
            template=journey.request.template,
            reason=reason,
            cost=fleet.cost(journey),
        )
        for journey, reason in runs
    ]
    return Change(
        runs=len(moved),
        cost_usd=sum(one.cost for one in moved) / MICRO_USD,
        by_session=_shares((one.session, one) for one in moved),
        by_profile=_shares((one.profile, one) for one in moved),
        by_template=_shares((one.template, one) for one in moved if one.template is not None),
        by_reason=_shares((one.reason, one) for one in moved),
    )


def _shares(named: Iterable[tuple[str, ChangedRun]]) -> tuple[Share, ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    for name, one in named:
        groups[name].append(one.cost)
    most = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:ROWS_MAX]
    return tuple(Share(name=name, runs=len(costs), cost_usd=sum(costs) / MICRO_USD) for name, costs in most)
