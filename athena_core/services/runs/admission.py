"""Admission: the transactions that keep limits, turns and children, for runs from any caller.

Everything here runs in the writer's thread, within one transaction. Every run begins in ``admit``.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from msgspec.structs import replace

from athena_core.decider import Context, Outcome, Reader, Rejected, facts_of
from athena_core.domain import directive, halt, plane, policy, run, session
from athena_core.enums import RequeueReason, WaitReason
from athena_core.errors import ConfigError, NotFound, RunNotEnded, RunNotPaused
from athena_core.event import Event, Fact, Position, Value
from athena_core.services.catalog import directive_facts
from athena_core.services.runs.limit_usage import LimitUsage, is_full
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun, run_facts
from athena_core.services.runs.refusals import (
    ExceededLimit,
    over_day_budget,
    over_limit,
    session_busy,
    unpriced_model,
    with_request,
    with_violation,
)
from athena_core.values import MICRO_USD, Cancelled, Identity, narrower, pinned, unpinned

ADMITTED_MAX = 256
"""The most waiters that one transaction admits; the ends of their runs admit more."""
BEGINNING_TYPES = frozenset((run.RunCreated.TYPE, run.RunResumed.TYPE))
RUN_PREFIX = f"{run.DECIDER.category}_"


class RunTransaction:
    """The decisions of one transaction about runs, one command after another."""

    def __init__(self, reader: Reader, context: Context, capacity: ExecutorCapacity) -> None:
        self.facts: list[Fact] = []
        self._reader = reader
        self._context = context
        self._capacity = capacity
        self._states: dict[str, run.RunState] = {}
        self._ahead: dict[str, tuple[Event, ...]] = {}
        """Events decided since the state here was read.

        They are applied only if needed, because the log applies them too.
        """
        self._children: dict[str, list[str]] | None = None

    def add(self, facts: Sequence[Fact]) -> None:
        """Add events that were decided elsewhere."""
        self.facts += facts
        for fact in facts:
            if fact.stream.startswith(RUN_PREFIX):
                self._ahead[fact.stream] = (*self._ahead.get(fact.stream, ()), fact.event)

    def state(self, run_id: str) -> run.RunState:
        """Return the state of a run, including the decisions made here."""
        state = self._states.get(run_id) or self._reader.state(run.DECIDER, run_id)
        ahead = self._ahead.pop(run_id, None)
        if ahead is not None:
            for event in ahead:
                state = run.evolve(state, event)
            self._states[run_id] = state
        return state

    def decide(self, run_id: str, command: run.RunCommand) -> tuple[Event, ...]:
        state = self.state(run_id)
        events = run.decide(command, state, self._context)
        session_id = state.request.session_id if state.request else None
        self.facts += run_facts(run_id, session_id, events)
        self._states[run_id], self._ahead[run_id] = state, events
        return events

    def cancel(self, run_id: str, command: run.CancelRun) -> None:
        """Request the cancellation of a run and of all its open descendants."""
        self.decide(run_id, command)
        cascade = run.CancelRun(reason=command.reason, cause="parent")
        cancelled = [run_id]
        for parent in cancelled:
            for child in self._children_of(parent):
                if self.state(child).cancel is None:
                    self.decide(child, cascade)
                cancelled.append(child)

    def _children_of(self, run_id: str) -> Sequence[str]:
        """Return the open children of a run. All children are indexed at the first call."""
        if self._children is None:
            self._children = {}
            for child, (parent,) in self._reader.guards("child").items():
                self._children.setdefault(str(parent), []).append(child)
        return self._children.get(run_id, ())

    def carry_on(self, run_id: str) -> None:
        """Resume a parked run whose asks are all answered, and lease it if this executor has room.

        Without room for it, let it wait in line. A run that still asks, or that an executor holds, is left alone.
        """
        state = self.state(run_id)
        request = state.request
        if state.paused != "ask" or state.asks or state.requeued or not state.open or request is None:
            return
        wait = self._lacking(request)
        if wait is not None:
            self.decide(run_id, run.RequeueRun(reason=wait))
            return
        capacity = self._capacity
        self.decide(run_id, run.ResumeRun(executor=capacity.for_run(request.places)))
        if capacity.executor and capacity.serves(request.places):
            self.decide(run_id, _lease(capacity, ""))

    def _lacking(self, request: run.RunCreated) -> RequeueReason | None:
        """Return what a run that would go on has to wait for; None if there is room."""
        if halt.current(self._reader) is not None:
            return "halted"
        limits = self._reader.state(policy.DECIDER, policy.STREAM)
        if is_full(self._reader, limits):
            return "concurrency"
        if LimitUsage(self._reader, limits).full(request.places) is not None:
            return "key-limit"
        return _occupied(self._reader, self._capacity, request.places)

    def admit_waiting(self, raised: policy.PolicyState | None = None) -> None:
        """Admit the oldest waiters whose session and limits are free, if this transaction freed anything.

        ``raised`` is a policy that this transaction puts into force; it may free anything. During a halt no run is
        admitted, except by the transaction that lifts it.
        """
        reader = self._reader
        if halt.current(reader) is not None and not any(isinstance(fact.event, halt.HaltLifted) for fact in self.facts):
            return
        waiting = reader.guards("waiting")
        queued = [fact for fact in self.facts if fact.event.TYPE == run.RunQueued.TYPE]
        if not waiting and not queued:
            return
        slots, turns = reader.guards("slot"), reader.guards("turn")
        ended = {fact.stream: fact.session_id or "" for fact in self.facts if fact.event.TYPE in run.ENDING_TYPES}
        over = frozenset(ended).union(fact.stream for fact in self.facts if isinstance(fact.event, run.RunPaused))
        freed = [slots[run_id] for run_id in over if run_id in slots]
        left = {name for run_id, name in ended.items() if turns.get(name) == (run_id,)}
        if not freed and not left and raised is None:
            return
        limits = raised or reader.state(policy.DECIDER, policy.STREAM)
        begun = [fact for fact in self.facts if fact.event.TYPE in BEGINNING_TYPES]  # not in the guards yet
        places = self._capacity.left(reader, over)
        if limits.max_concurrent_runs is not None:
            places = min(places, limits.max_concurrent_runs - len(slots) + len(freed))
        places -= len(begun)
        keys = LimitUsage(reader, limits, freed, self._capacity.memory(reader.guards, over))
        taken: set[str] = set()
        for fact in begun:
            keys.take(_places(fact))
            taken.add(fact.session_id or "")
        full: set[str] = set()
        admitted = 0
        waiters = ((run_id, value[1:]) for run_id, value in waiting.items() if run_id not in ended)
        for run_id, names in chain(waiters, ((fact.stream, _places(fact)) for fact in queued)):
            if places <= 0 or admitted == ADMITTED_MAX:
                break
            name = str(names[0])
            others = turns.get(name, (run_id,)) != (run_id,)  # a parked run that waits in line keeps its turn
            if name in taken or (others and name not in left):
                continue
            taken.add(name)  # also where a limit holds it: later runs of its session wait behind it
            if not full.isdisjoint(names):
                continue
            place = keys.full(names)
            if place is not None:
                full.add(place)
                if not queued and reader.count("waiting", place) == len(waiting):
                    break  # every waiter needs this key: do not walk a long queue
                continue
            self.decide(run_id, run.AdmitRun(executor=self._capacity.for_run(names)))
            keys.take(names)
            places -= 1
            admitted += 1


def _places(fact: Fact) -> tuple[str, ...]:
    event = fact.event
    if isinstance(event, run.RunResumed):
        return run.limit_keys(
            fact.session_id or "", event.harness_profile_id, event.provider, event.fallbacks, event.agent
        )
    return event.places if isinstance(event, run.RunRequest) else ()


def _state(reader: Reader, run_id: str) -> run.RunState:
    """Return the state of a run that a client named; the initial state if the id is of another kind."""
    return reader.state(run.DECIDER, run_id) if run_id.startswith(RUN_PREFIX) else run.DECIDER.initial


# Transactions


class RunLease(Value):
    """A run that was leased in the commit that created it: its request, and the position and time of its record.

    ``opens`` means that its session began with it.
    """

    request: run.RunCreated
    position: Position
    at: int
    opens: bool


class Admission(NamedTuple):
    """The outcome of a run request: its events, why it waits (if it does), and its lease (if this executor got one)."""

    facts: tuple[Fact, ...]
    wait: WaitReason | None = None
    lease: RunLease | None = None


def admit(reader: Reader, context: Context, prepared: PreparedRun, *, behind: int = 0) -> Admission:
    """Admit a run, queue it behind its session, a slot or an executor, or raise Rejected.

    The checks are, in this order: daily budget, fleet limit, limits by key, session strategy. ``behind`` is the number
    of events that the transaction appends first. Call it once per transaction at most: limits do not
    see other decisions of the transaction. Raise Halted during a halt, before anything is recorded.
    """
    halt.refuse(reader)
    if prepared.retry is not None:
        _check_ended(reader, prepared.retry.run_id, prepared.session_id)
    limits = reader.state(policy.DECIDER, policy.STREAM)
    request = _caused(reader, prepared, prepared.pinned(limits.policy))
    run_id, session_id, strategy = prepared.run_id, prepared.session_id, prepared.body.session_strategy
    holder = reader.guards("turn").get(session_id)
    busy = holder is not None or reader.count("waiting", session_id) > 0
    try:
        _check_day(reader, context, limits, request, run_id, prepared.least_micro_usd)
        full = prepared.patient and is_full(reader, limits)
        if not full:
            _check_slots(reader, context, limits, request, run_id, prepared.who)
        limited = _check_keys(reader, context, limits, request, run_id, prepared.who)
        if busy and strategy == "reject":
            raise session_busy(context, request, run_id)
    except Rejected as rejected:
        raise with_request(rejected, prepared, request) from None
    wait: WaitReason | None = _occupied(reader, prepared.capacity, request.places)
    wait = "session-busy" if busy else "concurrency" if full else "key-limit" if limited else wait
    opened = _opened(reader, context, session_id)
    facts = opened + _directive(reader, context, prepared)
    requested = run.decide(run.RequestRun(request=request, wait=wait), run.DECIDER.initial, context)
    position = reader.head + behind + len(facts) + 1
    facts += run_facts(run_id, session_id, requested if prepared.origin is None else (*requested, prepared.origin))
    if holder is not None and strategy == "interrupt":
        return Admission(_interrupted(reader, context, prepared, str(holder[0]), facts), wait)
    if wait is not None or not request.requested_by:
        return Admission(facts, wait)
    begun = run.evolve(run.DECIDER.initial, requested[0])
    leased = run.decide(_lease(prepared.capacity, prepared.text), begun, context)
    lease = RunLease(request=begun.request or request, position=position, at=context.now, opens=bool(opened))
    return Admission(facts + run_facts(run_id, session_id, leased), None, lease)


def _occupied(
    reader: Reader, capacity: ExecutorCapacity, places: Sequence[str]
) -> Literal["executor", "agent-memory"] | None:
    """Return what the executor lacks for a run with these keys; None if it has room, or lacks the agent of the run."""
    if not capacity.has_agent(places):
        return None
    if not capacity.left(reader):
        return "executor"
    return None if capacity.agents.bytes_max is None or capacity.memory(reader.guards).fits(places) else "agent-memory"


def _caused(reader: Reader, prepared: PreparedRun, request: run.RunCreated) -> run.RunCreated:
    """Return the request with its author's scope, narrowed to the scopes of its parent and of the retried run.

    The requesters of its parent are requesters of it, too. Raise ConfigError.
    """
    scope, requesters = prepared.who.scope, request.requesters or ()
    if prepared.retry is not None:
        scope = narrower(scope, unpinned(prepared.retry.scope))
    if request.parent_run_id is not None:
        parent = _parent(reader, request.parent_run_id)
        scope = narrower(scope, unpinned(parent.scope))
        requesters = tuple(dict.fromkeys((*requesters, *(parent.requesters or ()))))
    same = scope is None and requesters == request.requesters
    return request if same else replace(request, scope=pinned(scope), requesters=requesters)


def _check_ended(reader: Reader, run_id: str, session_id: str) -> None:
    """Raise RunNotEnded if a run of a session has not ended."""
    turn = reader.guards("turn").get(session_id)
    if run_id in reader.guards("waiting") or turn == (run_id,):
        raise RunNotEnded(f"run {run_id} has not ended; cancel it, or wait for its end", {"runId": run_id})


def _opened(reader: Reader, context: Context, session_id: str) -> tuple[Fact, ...]:
    stream = session.stream(session_id)
    state = reader.state(session.DECIDER, stream)
    opened = session.decide(session.OpenSession(session_id=session_id), state, context)
    return facts_of(stream, opened, session_id=session_id)


def _directive(reader: Reader, context: Context, prepared: PreparedRun) -> tuple[Fact, ...]:
    """Return the events of the directive that is made for the run; none if the run names one."""
    body = prepared.body
    if body.directive_id is not None:
        return ()
    spec = directive.DirectiveSpec(input=prepared.text, context_refs=prepared.references, metadata=body.metadata)
    return directive_facts(reader, context, prepared.directive_id, spec, shadow=True)


def _interrupted(
    reader: Reader, context: Context, prepared: PreparedRun, holder: str, facts: tuple[Fact, ...]
) -> tuple[Fact, ...]:
    """Return the events of a waiting run, and the events that cancel the current run of its session."""
    transaction = RunTransaction(reader, context, prepared.capacity)
    transaction.add(facts)
    transaction.cancel(holder, run.CancelRun(cause="interrupted", reason=f"interrupted by run {prepared.run_id}"))
    transaction.admit_waiting()
    return tuple(transaction.facts)


def _lease(capacity: ExecutorCapacity, text: str) -> run.LeaseRun:
    return run.LeaseRun(executor=capacity.executor, pid=capacity.pid, said=text)


def _check_slots(
    reader: Reader, context: Context, limits: policy.PolicyState, request: run.RunCreated, run_id: str, who: Identity
) -> None:
    """Refuse a run if no slot is free."""
    limit = limits.max_concurrent_runs
    active = len(reader.guards("slot"))
    if limit is not None and active >= limit:
        full = ExceededLimit("policy.maxConcurrentRuns", "max-concurrent-runs-exceeded", limit, active)
        raise over_limit(reader, context, request, run_id, full, who)


def _check_keys(
    reader: Reader, context: Context, limits: policy.PolicyState, request: run.RunCreated, run_id: str, who: Identity
) -> bool:
    """Refuse a run if a limit by key leaves no room. Return True if it must wait for room instead."""
    exceeded = list(LimitUsage(reader, limits).exceeded(request.places)) if limits.limits else []
    for limit in exceeded:
        if limit.strategy == "reject":
            raise over_limit(reader, context, request, run_id, limit, who)
    return bool(exceeded)


def _check_day(
    reader: Reader,
    context: Context,
    limits: policy.PolicyState,
    request: run.RunCreated,
    run_id: str,
    least: int | None,
) -> None:
    """Refuse a run if the rest of the daily budget cannot pay for one call, or if its model has no price."""
    budget = limits.daily_budget_micro_usd
    if budget is None:
        return
    spent = day_totals(reader, context.now).spent
    if least is None:
        raise unpriced_model(reader, context, request, run_id, spent, budget)
    if spent + max(least, 1) > budget:
        raise over_day_budget(reader, context, request, run_id, spent, budget)


class DayTotals(NamedTuple):
    """The current UTC day: what was spent, and what runs have reserved, in micro-USD."""

    spent: int
    reserved: int


def day_totals(reader: Reader, now: int, but: str = "") -> DayTotals:
    """Return the totals of the current day, without the reservations of run ``but``."""
    today = run.spent_on(reader.guards("spent"), now)
    return DayTotals(
        today, sum(int(amount) for run_id, (amount,) in reader.guards("reserved").items() if run_id != but)
    )


def _parent(reader: Reader, parent_id: str) -> run.RunCreated:
    """Return the request of a run that may have another child. Raise ConfigError."""
    remedy = "the id of a run that has not ended"
    parent = _state(reader, parent_id)
    if parent.request is None:
        raise ConfigError.of("parentRunId", f"no run {parent_id!r} exists", remedy)
    if not parent.open:
        raise ConfigError.of("parentRunId", f"run {parent_id} has ended ({parent.status})", remedy)
    if parent.cancel is not None:
        raise ConfigError.of("parentRunId", f"run {parent_id} is being cancelled", remedy)
    return parent.request


def withdrawn(reader: Reader, run_id: str | None) -> bool:
    """Return True if the run of an idempotency key was withdrawn, which frees the key."""
    return run_id is not None and reader.state(run.DECIDER, run_id).withdrawn


def apply_command(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, command: run.RunCommand
) -> Outcome[Event | None]:
    """Decide about one run; if that frees a slot or a session, admit waiting runs.

    The answer is the last event of this run that was decided; None if the command came too late.
    """
    transaction = RunTransaction(reader, context, capacity)
    events = transaction.decide(run_id, command)
    transaction.facts = with_violation(reader, context, transaction.facts)
    transaction.admit_waiting()
    return Outcome(facts=tuple(transaction.facts), subject=run_id, answer=events[-1] if events else None)


def claim(
    reader: Reader, context: Context, capacity: ExecutorCapacity, texts: Mapping[str, str]
) -> Outcome[tuple[str, ...]]:
    """Lease admitted runs to this executor, the oldest first, up to its capacity.

    ``texts`` holds the user message of each run that may be leased. The answer names the leased runs.
    """
    if halt.current(reader) is not None:
        return Outcome(answer=())
    leases, slots = reader.guards("lease"), reader.guards("slot")
    free = [run_id for run_id in texts if run_id in slots and run_id not in leases and capacity.serves(slots[run_id])]
    free.sort(key=lambda run_id: int(slots[run_id][0]))
    transaction = RunTransaction(reader, context, capacity)
    taken, memory = [], capacity.memory(reader.guards)
    for run_id in free[: capacity.left(reader)]:
        lease = _lease(capacity, texts[run_id])
        if memory.fits(slots[run_id]) and transaction.decide(run_id, lease):
            memory.take(slots[run_id])
            taken.append(run_id)
    return Outcome(facts=tuple(transaction.facts), answer=tuple(taken))


def take_over(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, token: int, loss: run.LossReason
) -> Outcome[Event | None]:
    """Take over a run from a lost executor, if this one has room; a run that cannot continue is ended.

    During a halt only a cancelled run is ended. The answer is the one of ``apply_command``.
    """
    keys, over = reader.guards("slot").get(run_id, ()), frozenset((run_id,))
    has_room = capacity.left(reader, over) > 0 and capacity.memory(reader.guards, over).fits(keys)
    welcome = has_room and halt.current(reader) is None and capacity.serves(keys)
    if not welcome and reader.state(run.DECIDER, run_id).cancel is None:
        return Outcome()
    limits = reader.state(policy.DECIDER, policy.STREAM)
    command = run.TakeRun(
        executor=capacity.executor, pid=capacity.pid, token=token, because=loss, attempts_max=limits.run_attempts_max
    )
    return apply_command(reader, context, capacity, run_id, command)


def still_open(last: Event | None) -> bool:
    """Return True if the command behind this answer of ``apply_command`` was applied and left the run open."""
    return last is not None and last.TYPE not in run.ENDING_TYPES


def cancel(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, command: run.CancelRun
) -> Outcome[Cancelled]:
    """Request a cancellation.

    A run without an executor ends at once; a request for an unknown run goes to the plane.
    """
    state = _state(reader, run_id)
    if state.request is None:
        events = run.decide(command, state, context)
        facts = facts_of(plane.STREAM, events)
        return Outcome(facts=facts, answer=Cancelled(run_id=run_id, status="not-running"))
    transaction = RunTransaction(reader, context, capacity)
    if not state.open:
        transaction.decide(run_id, command)
        return Outcome(facts=tuple(transaction.facts), answer=Cancelled(run_id=run_id, status="not-running"))
    transaction.cancel(run_id, command)
    transaction.admit_waiting()
    done = Cancelled(run_id=run_id, session_id=state.request.session_id, status="cancelled")
    return Outcome(facts=tuple(transaction.facts), answer=done)


def abandon(
    reader: Reader, context: Context, capacity: ExecutorCapacity, executor: str, command: run.CancelRun
) -> Outcome[dict[str, int]]:
    """Request the cancellation of every run that an executor holds; the answer maps each run to its token."""
    transaction = RunTransaction(reader, context, capacity)
    tokens = {run_id: int(token) for run_id, (holder, token) in reader.guards("lease").items() if holder == executor}
    for run_id in tokens:
        if transaction.state(run_id).cancel is None:  # otherwise requested before, or with its parent
            transaction.cancel(run_id, command)
    return Outcome(facts=tuple(transaction.facts), answer=tokens)


def cancel_turn(
    reader: Reader, context: Context, capacity: ExecutorCapacity, session_id: str, command: run.CancelRun
) -> Outcome[Cancelled]:
    """Request the cancellation of the admitted run of a session, if there is one."""
    turns: Mapping[str, tuple[str | int, ...]] = reader.guards("turn")
    holder = turns.get(session_id)
    if holder is not None:
        run_id = str(holder[0])
        outcome = cancel(reader, context, capacity, run_id, command)
        answer = Cancelled(session_id=session_id, status="cancelled")
        return Outcome(facts=outcome.facts, answer=answer, subject=run_id)
    events = run.decide(command, run.DECIDER.initial, context)
    facts = facts_of(plane.STREAM, events, session_id=session_id)
    return Outcome(facts=facts, answer=Cancelled(session_id=session_id, status="not-running"))


def resume(
    reader: Reader,
    context: Context,
    capacity: ExecutorCapacity,
    run_id: str,
    budget_micro_usd: int | None,
    who: Identity,
) -> Outcome:
    """Resume a paused run if there is a slot, and lease it if this executor has room. Raise Rejected otherwise."""
    state = _state(reader, run_id)
    request = state.request
    if request is None:
        raise NotFound(f"no run {run_id!r} exists")
    halt.refuse(reader)
    if state.status != "paused":
        raise RunNotPaused(f"run {run_id} is {state.status}; only a paused run can be resumed", {"runId": run_id})
    if state.paused == "ask":
        why = "waits in line after its answer" if state.requeued else f"asks {', '.join(a.ask_id for a in state.asks)}"
        raise RunNotPaused(f"run {run_id} {why}; only an answer resumes it", {"runId": run_id})
    spent = state.spent_micro_usd
    if budget_micro_usd is not None and budget_micro_usd <= spent:
        remedy = f"more than {spent / MICRO_USD:.6f}, or omit it to run without a budget"
        raise ConfigError.of("budgetUsd", f"the run has already spent {spent / MICRO_USD:.6f}", remedy)
    limits = reader.state(policy.DECIDER, policy.STREAM)
    _check_day(reader, context, limits, request, run_id, 0)  # the cost of each call is checked before the call
    _check_slots(reader, context, limits, request, run_id, who)
    for exceeded in LimitUsage(reader, limits).exceeded(request.places):
        raise over_limit(reader, context, request, run_id, exceeded, who)
    transaction = RunTransaction(reader, context, capacity)
    executor = capacity.for_run(request.places)
    transaction.decide(run_id, run.ResumeRun(executor=executor, budget_micro_usd=budget_micro_usd))
    if executor and _occupied(reader, capacity, request.places) is None:
        transaction.decide(run_id, _lease(capacity, ""))
    return Outcome(facts=tuple(transaction.facts), subject=run_id)


class BudgetRequest(NamedTuple):
    """Cost bounds of the next model call in micro-USD. Without ``most`` its price is unknown.

    ``lost`` is what failed calls of this turn already cost, and what other open calls of the run may cost.
    """

    turn: int
    provider: str
    model: str
    lost: int
    least: int
    most: int | None


class BudgetGrant(Value):
    """The answer to ``BudgetRequest``: what the call may cost, or why the run must pause.

    ``wait`` means that other runs may leave enough once they settle. With neither ``micro_usd`` nor ``reached``,
    no daily budget applies. ``over`` means that the run has ended.
    """

    micro_usd: int | None = None
    reached: run.DayReached | None = None
    wait: bool = False
    over: bool = False


def reserve(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, token: int, wanted: BudgetRequest
) -> Outcome[BudgetGrant]:
    """Reserve the most that a model call may cost from the daily budget; the answer is a ``BudgetGrant``."""
    budget = reader.state(policy.DECIDER, policy.STREAM).daily_budget_micro_usd
    if budget is None:
        return Outcome(answer=BudgetGrant())
    today = day_totals(reader, context.now, run_id)
    left = budget - today.spent - wanted.lost
    reason: Literal["daily-budget", "unpriced-model"] = "unpriced-model" if wanted.most is None else "daily-budget"
    grant = min(left - today.reserved, wanted.most or 0)
    if wanted.most is None or grant < wanted.least:
        reached = run.DayReached(reason=reason, spent_micro_usd=today.spent, budget_micro_usd=budget)
        return Outcome(answer=BudgetGrant(reached=reached, wait=wanted.most is not None and left >= wanted.least))
    command = run.ReserveBudget(
        token=token,
        turn=wanted.turn,
        provider=wanted.provider,
        model=wanted.model,
        reserved_micro_usd=wanted.lost + grant,
    )
    outcome = apply_command(reader, context, capacity, run_id, command)
    return Outcome(
        facts=outcome.facts, subject=run_id, answer=BudgetGrant(micro_usd=grant, over=not still_open(outcome.answer))
    )
