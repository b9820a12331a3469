"""Admission: the transactions that keep limits, turns and children, whoever's run begins, pauses or ends."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context, Outcome, Reader, Rejected
from athena_core.domain import directive, plane, policy, run, session
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    ConfigError,
    DailyBudgetExceeded,
    NotFound,
    RunNotPaused,
    SessionLockTimeout,
)
from athena_core.event import Event, Fact, Value
from athena_core.services.access.access import violation_of
from athena_core.services.catalog import directive_facts
from athena_core.services.context.compiler import ResolvedReferences
from athena_core.settings import Settings
from athena_core.values import (
    MICRO_USD,
    Cancelled,
    HarnessConfig,
    HarnessPolicies,
    HarnessSpec,
    Identity,
    RefusedPlan,
    RefusedRequest,
    RunBody,
    narrower,
    persona_of,
    pinned,
    unpinned,
)

ADMITTED_MAX = 256
"""How many waiters one transaction admits; their ends admit further ones."""
REFUSED_BYTES_MAX = 4_096
"""How much of a refused request is recorded, as JSON; of a longer one its length and its hash."""
RUN_PREFIX = f"{run.DECIDER.category}_"
PROVIDER_KEY = "provider:"
"""How the places begin at which a run counts by its providers (``run.places_of``)."""


class ExecutorCapacity(NamedTuple):
    """The executor of this process, and how many runs it takes at a time, of which providers; no name where none.

    Then runs are admitted for whoever takes them.
    """

    executor: str = ""
    pid: int = 0
    runs_max: int = 2**31
    providers: frozenset[str] = frozenset()

    def left(self, reader: Reader, over: frozenset[str] = frozenset()) -> int:
        """How many more runs it takes, once those of ``over`` have ended."""
        mine = reader.count("lease", self.executor)
        if over:
            leases = reader.guards("lease")
            mine -= sum(1 for run_id in over if leases.get(run_id, ("",))[0] == self.executor)
        return max(self.runs_max - mine, 0)

    def serves(self, slot: Sequence[str | int]) -> bool:
        """Whether it can ask every provider that the run of a slot may ask."""
        named = (place for place in map(str, slot) if place.startswith(PROVIDER_KEY))
        return all(place.removeprefix(PROVIDER_KEY) in self.providers for place in named)


class Plan:
    """A checked request: everything about a run that does not depend on the state of the plane."""

    def __init__(
        self,
        body: RunBody,
        said: str,
        resolved: ResolvedReferences,
        profile: HarnessSpec | None,
        provider: str,
        settings: Settings,
        *,
        scheduled: bool = False,
    ) -> None:
        """Take what was resolved; ``least`` (set later) is the least that a call costs, None for an unknown price."""
        self.body = body
        self.said = said
        self.resolved = resolved
        self.profile = profile
        self.provider = provider
        self.scheduled = scheduled
        self.default_timeout_ms = settings.schedule_run_timeout_ms if scheduled else settings.runtime_run_timeout_ms
        chosen = profile is not None or body.provider is not None
        self.fallbacks = None if chosen else settings.provider_fallback_order or None
        own_model = settings.default_model if provider == settings.default_provider else provider + "-default"
        self.model = profile.config.model if profile else body.model or own_model
        self.least: int | None = 0
        self.created: RunLease | None = None
        self.references: tuple[str, ...] | None = None
        """The context references of a directive that is made for this run."""
        self.timeout_ms: int | None = None
        """A timeout of its own, within that of its profile."""
        self.names_notes = False
        """Whether it was asked for under a scope, and its context references name notes of the memory."""
        self.patient = False
        """Whether it waits for a slot where another run would be refused: nobody waits for its answer."""

    @property
    def budget_micro_usd(self) -> int | None:
        """The run's own budget; 0 in a profile means that there is none (decisions E26)."""
        return micro_usd(self.profile.policies.budget_usd) if self.profile else None

    def request(
        self, session_id: str, directive_id: str, limits: policy.Policy | None, executor: str
    ) -> run.RunCreated:
        """The run as it is pinned, under the policy in force."""
        by_policy = None
        if limits is not None:
            by_policy = limits.default_schedule_timeout_ms if self.scheduled else limits.default_run_timeout_ms
        timeout = self.profile.policies.timeout_ms if self.profile else by_policy or self.default_timeout_ms
        if self.timeout_ms is not None:
            timeout = min(self.timeout_ms, timeout) if self.profile else self.timeout_ms
        profile_id, snapshot = self.body.harness_profile_id, self.profile
        if profile_id is None or snapshot is None:
            profile_id, snapshot = shadow_profile(self.provider, self.model, timeout)
        return run.RunCreated(
            session_id=session_id,
            directive_id=directive_id,
            harness_profile_id=profile_id,
            provider=self.provider,
            model=self.model,
            harness_profile_snapshot=snapshot,
            profile_named=self.profile is not None,
            timeout_ms=timeout,
            requested_by=executor,
            fallbacks=self.fallbacks,
            budget_micro_usd=self.budget_micro_usd,
            retry_budget=limits.retry_budget_per_run if limits else None,
            parent_run_id=self.body.parent_run_id,
            context_refs=tuple(self.resolved.references) or None,
            contents=tuple(self.resolved.contents) or None,
            contents_salt=self.resolved.salt.hex() if self.resolved.contents else None,
            persona_name=persona_of(self.body.metadata),
            metadata=self.body.metadata or None,
        )


class RunLease(NamedTuple):
    """A run that was leased in the commit that created it: its pinned request, and where and when that was recorded.

    It holds text, so it is no answer that a key could store. With ``opens`` its session began with it.
    """

    request: run.RunCreated
    position: int
    at: int
    opens: bool


def micro_usd(dollars: float) -> int | None:
    """Dollars in millionths, at least one; 0 is None."""
    return max(round(dollars * MICRO_USD), 1) if dollars > 0 else None


@lru_cache(maxsize=64)
def shadow_profile(provider: str, model: str, timeout_ms: int) -> tuple[str, HarnessSpec]:
    """The profile that is shown for a run that named none; it is not stored (contract 4.2, decisions E26)."""
    digest = hashlib.sha256(f"{provider}\0{model}\0{timeout_ms}".encode()).hexdigest()
    spec = HarnessSpec(
        display_name="Shadow harness profile",
        version="v1",
        config=HarnessConfig(provider=provider, model=model, tools=("none",)),
        policies=HarnessPolicies(timeout_ms=timeout_ms, retry_limit=1, budget_usd=0.0),
    )
    return f"shadow-harness-{digest[:12]}", spec


def facts_of(run_id: str, session_id: str | None, events: Sequence[Event]) -> tuple[Fact, ...]:
    """The events of a run in their envelope."""
    return tuple([Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id) for event in events])


def _places(fact: Fact) -> tuple[str, ...]:
    return fact.event.places if isinstance(fact.event, run.RunRequest) else ()


class ExceededLimit(NamedTuple):
    """A limit that is reached: the rule, the reason that is recorded, and how many runs are active of how many."""

    rule: str
    reason: Literal["max-concurrent-runs-exceeded", "key-limit-exceeded"]
    limit: int
    active: int
    place: str | None = None
    strategy: Literal["reject", "enqueue"] = "reject"

    def __str__(self) -> str:
        """The refusal in words."""
        of = f" of {self.place}" if self.place else ""
        return f"{self.rule} exceeded: {self.active} of {self.limit} runs{of} are active"


class LimitUsage:
    """The limits by key, while one transaction frees slots (by their guards) and takes others."""

    def __init__(self, reader: Reader, limits: policy.PolicyState, freed: Sequence[tuple[str | int, ...]] = ()) -> None:
        """Begin with what is freed."""
        self._reader = reader
        self._limits = limits
        self._change: Counter[str] = Counter()
        for _, *places in freed:
            self._change.subtract(map(str, places))

    def reached(self, places: Sequence[str | int]) -> Iterator[ExceededLimit]:
        """The limits that leave no room for a run that counts at these places."""
        if not self._limits.limits:
            return
        for place in map(str, places):
            limit = self._limits.limit(place)
            if limit is None:
                continue
            active = self._active(place)
            if active >= limit.max:
                named = f"{limit.scope}:{place}" if limit.scope == "session" else place
                yield ExceededLimit("policy.limits", "key-limit-exceeded", limit.max, active, named, limit.strategy)

    def full(self, places: Sequence[str | int]) -> str | None:
        """The first of these places whose limit leaves no room; None where every one has room."""
        if not self._limits.limits:
            return None
        for place in map(str, places):
            limit = self._limits.limit(place)
            if limit is not None and self._active(place) >= limit.max:
                return place
        return None

    def _active(self, place: str) -> int:
        return self._reader.count("slot", place) + self._change[place]

    def take(self, places: Sequence[str | int]) -> None:
        """One more run counts there."""
        self._change.update(map(str, places))


class RunTransaction:
    """What one transaction decides about runs, one command after another."""

    def __init__(self, reader: Reader, context: Context, room: ExecutorCapacity) -> None:
        """Begin with nothing."""
        self.facts: list[Fact] = []
        self._reader = reader
        self._context = context
        self._room = room
        self._states: dict[str, run.RunState] = {}
        self._ahead: dict[str, tuple[Event, ...]] = {}
        """What was decided about a run since its state here: the log follows it as well, so often nobody asks."""
        self._children: dict[str, list[str]] | None = None

    def add(self, facts: Sequence[Fact]) -> None:
        """Take what was decided elsewhere."""
        self.facts += facts
        for fact in facts:
            if fact.stream.startswith(RUN_PREFIX):
                self._ahead[fact.stream] = (*self._ahead.get(fact.stream, ()), fact.event)

    def state(self, run_id: str) -> run.RunState:
        """The state of a run, with what was decided here."""
        state = self._states.get(run_id) or self._reader.state(run.DECIDER, run_id)
        ahead = self._ahead.pop(run_id, None)
        if ahead is not None:
            for event in ahead:
                state = run.evolve(state, event)
            self._states[run_id] = state
        return state

    def decide(self, run_id: str, command: run.RunCommand) -> tuple[Event, ...]:
        """Decide about one run."""
        state = self.state(run_id)
        events = run.decide(command, state, self._context)
        session_id = state.request.session_id if state.request else None
        self.facts += facts_of(run_id, session_id, events)
        self._states[run_id], self._ahead[run_id] = state, events
        return events

    def cancel(self, run_id: str, command: run.CancelRun) -> None:
        """Ask for a cancel, of the run's open children as well, and of theirs."""
        self.decide(run_id, command)
        cascade = run.CancelRun(reason=command.reason, cause="parent")
        found = [run_id]
        for parent in found:
            for child in self._children_of(parent):
                if self.state(child).cancel is None:
                    self.decide(child, cascade)
                found.append(child)

    def _children_of(self, run_id: str) -> Sequence[str]:
        """The open children of a run; whose they are is looked at once for all that a transaction cancels."""
        if self._children is None:
            self._children = {}
            for child, (parent,) in self._reader.guards("child").items():
                self._children.setdefault(str(parent), []).append(child)
        return self._children.get(run_id, ())

    def settle(self, raised: policy.PolicyState | None = None) -> None:
        """Admit the oldest waiters whose session and every limit are free, if anything was freed (decisions E19).

        ``raised`` is a policy that this transaction puts into force, which may free anything.
        """
        reader = self._reader
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
        begun = [fact for fact in self.facts if fact.event.TYPE == run.RunCreated.TYPE]  # no guard shows them yet
        places = self._room.left(reader, over)
        if limits.max_concurrent_runs is not None:
            places = min(places, limits.max_concurrent_runs - len(slots) + len(freed))
        places -= len(begun)
        keys = LimitUsage(reader, limits, freed)
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
            if name in taken or (name in turns and name not in left) or not full.isdisjoint(names):
                continue
            place = keys.full(names)
            if place is not None:
                full.add(place)
                if not queued and reader.count("waiting", place) == len(waiting):
                    break  # nobody waits who does not count there: a long line is not walked to its end
                continue
            self.decide(run_id, run.AdmitRun())
            keys.take(names)
            taken.add(name)
            places -= 1
            admitted += 1


def _state(reader: Reader, run_id: str) -> run.RunState:
    """The state of a run that a client named; an id of another kind is that of no run."""
    return reader.state(run.DECIDER, run_id) if run_id.startswith(RUN_PREFIX) else run.DECIDER.initial


# Transactions


def admit(
    reader: Reader,
    context: Context,
    plan: Plan,
    room: ExecutorCapacity,
    *,
    run_id: str,
    session_id: str,
    directive_id: str,
    who: Identity,
    behind: int = 0,
) -> tuple[Fact, ...]:
    """Admit a run, have it wait for its session, a slot or an executor, or refuse it.

    It is refused by the day's budget, the fleet's limit, a limit by key, or its own session strategy, in this order.
    Its events stand ``behind`` so many others of the same transaction. What was also leased to our executor is left in
    ``plan.created``.
    """
    limits = reader.state(policy.DECIDER, policy.STREAM)
    request = plan.request(session_id, directive_id, limits.policy, room.executor)
    try:
        return _admit(reader, context, plan, room, limits, request, run_id, who, behind)
    except Rejected as rejected:
        facts = tuple(
            replace(fact, event=_with_request(fact.event, plan, request))
            if isinstance(fact.event, run.PolicyRejected)
            else fact
            for fact in rejected.facts
        )
        raise Rejected(rejected.error, facts) from None


def _with_request(event: run.PolicyRejected, plan: Plan, request: run.RunCreated) -> run.PolicyRejected:
    """The refusal with what was asked for."""
    body = plan.body
    asked = RefusedRequest(
        input=plan.said if body.directive_id is None else None,
        directive_id=body.directive_id,
        context_refs=plan.references if body.directive_id is None else None,
        metadata=body.metadata or None,
    )
    stored = msgspec.json.encode(asked)
    if len(stored) > REFUSED_BYTES_MAX:
        asked = RefusedRequest(size_bytes=len(stored), sha256=hashlib.sha256(stored).hexdigest())
    refused = RefusedPlan(
        model=request.model,
        input_chars=len(plan.said),
        requested_by=request.requested_by,
        patient=plan.patient or None,
        session_strategy=body.session_strategy,
        fallbacks=request.fallbacks,
        budget_micro_usd=request.budget_micro_usd,
        least_micro_usd=plan.least,
        timeout_ms=request.timeout_ms,
        parent_run_id=request.parent_run_id,
    )
    return replace(event, plan=refused, request=asked)


def _admit(
    reader: Reader,
    context: Context,
    plan: Plan,
    room: ExecutorCapacity,
    limits: policy.PolicyState,
    request: run.RunCreated,
    run_id: str,
    who: Identity,
    behind: int,
) -> tuple[Fact, ...]:
    session_id, directive_id = request.session_id, request.directive_id
    scope = who.scope
    if request.parent_run_id is not None:
        scope = narrower(scope, unpinned(_parent(reader, request.parent_run_id).scope))
    if scope is not None:
        request = replace(request, scope=pinned(scope))
    _check_day(reader, context, limits, request, run_id, plan.least)
    full = plan.patient and _is_full(reader, limits)
    if not full:
        _check_slots(reader, context, limits, request, run_id, who)
    reached = list(LimitUsage(reader, limits).reached(request.places)) if limits.limits else []
    for one in reached:
        if one.strategy == "reject":
            raise _over_limit(reader, context, request, run_id, one, who)
    holder = reader.guards("turn").get(session_id)
    busy = holder is not None or reader.count("waiting", session_id) > 0
    if busy and plan.body.session_strategy == "reject":
        raise _session_busy(context, request, run_id)
    opened = session.decide(
        session.OpenSession(session_id=session_id), reader.state(session.DECIDER, session.stream(session_id)), context
    )
    facts = tuple(Fact(stream=session.stream(session_id), event=event, session_id=session_id) for event in opened)
    if plan.body.directive_id is None:
        spec = directive.DirectiveSpec(input=plan.said, context_refs=plan.references, metadata=plan.body.metadata)
        facts += directive_facts(reader, context, directive_id, spec, shadow=True)
    wait: run.WaitReason | None = None if room.left(reader) else "executor"
    wait = "session-busy" if busy else "concurrency" if full else "key-limit" if reached else wait
    asked = run.decide(run.RequestRun(request=request, wait=wait), run.DECIDER.initial, context)
    facts += facts_of(run_id, session_id, asked)
    if holder is not None and plan.body.session_strategy == "interrupt":
        draft = RunTransaction(reader, context, room)
        draft.add(facts)
        reason = f"interrupted by run {run_id}"
        draft.cancel(str(holder[0]), run.CancelRun(cause="interrupted", reason=reason))
        draft.settle()
        return tuple(draft.facts)
    if wait is not None or not room.executor:
        return facts
    position = reader.head + behind + len(facts)
    plan.created = RunLease(run.without_text(request), position, context.now, bool(opened))
    lease = run.LeaseRun(executor=room.executor, pid=room.pid, said=plan.said)
    taken = run.decide(lease, run.evolve(run.DECIDER.initial, asked[0]), context)
    return facts + facts_of(run_id, session_id, taken)


def _is_full(reader: Reader, limits: policy.PolicyState) -> bool:
    limit = limits.max_concurrent_runs
    return limit is not None and len(reader.guards("slot")) >= limit


def _check_slots(
    reader: Reader, context: Context, limits: policy.PolicyState, request: run.RunCreated, run_id: str, who: Identity
) -> None:
    """Refuse a run for which no slot is free."""
    limit = limits.max_concurrent_runs
    active = len(reader.guards("slot"))
    if limit is not None and active >= limit:
        full = ExceededLimit("policy.maxConcurrentRuns", "max-concurrent-runs-exceeded", limit, active)
        raise _over_limit(reader, context, request, run_id, full, who)


class DayTotals(NamedTuple):
    """The present UTC day: what was spent, and what runs have set aside, in millionths of a dollar."""

    spent: int
    reserved: int


def day_totals(reader: Reader, now: int, but: str = "") -> DayTotals:
    """What the day took so far; what run ``but`` has set aside is left out."""
    today = run.spent_on(reader.guards("spent"), now)
    return DayTotals(
        today, sum(int(amount) for run_id, (amount,) in reader.guards("reserved").items() if run_id != but)
    )


def _check_day(
    reader: Reader,
    context: Context,
    limits: policy.PolicyState,
    request: run.RunCreated,
    run_id: str,
    least: int | None,
) -> None:
    """Refuse a run once the day's budget does not buy a call of it, and one that nobody could tell the cost of."""
    budget = limits.daily_budget_micro_usd
    if budget is None:
        return
    spent = day_totals(reader, context.now).spent
    if least is None:
        reason = f"unpriced-model: nobody could tell what {request.provider} {request.model!r} takes of a daily budget"
        field = "harnessProfileId" if request.profile_named else "model"
        unpriced = ConfigError.of(field, reason, "a model with a known price, or no costBudgetDailyUsd")
        raise _over_budget(reader, context, request, run_id, "unpriced-model", spent, budget, unpriced)
    if spent + max(least, 1) > budget:
        message = f"policy.costBudgetDailyUsd exceeded: {spent / MICRO_USD:.6f} of {budget / MICRO_USD:.6f} were spent"
        over = DailyBudgetExceeded(f"{message} this UTC day", {"runId": run_id})
        raise _over_budget(reader, context, request, run_id, "daily-cost-budget-exceeded", spent, budget, over)


def _over_budget(
    reader: Reader,
    context: Context,
    request: run.RunCreated,
    run_id: str,
    reason: Literal["daily-cost-budget-exceeded", "unpriced-model"],
    spent: int,
    budget: int,
    error: AthenaError,
) -> Rejected:
    """The refusal by the day's budget, then the error."""
    origin = _origin("policy.costBudgetDailyUsd", rule_type="validate")
    rejection = _rejection(context, request, origin, 0, len(reader.guards("slot")), reason)
    rejection = replace(rejection, policy_type="COST", spent_micro_usd=spent, budget_micro_usd=budget)
    return Rejected(error, facts_of(run_id, request.session_id, (_rejected(request, rejection),)))


def _parent(reader: Reader, parent_id: str) -> run.RunCreated:
    """The request of a parent that may have another child. Raises ConfigError."""
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
    """Whether the run of a key was withdrawn, which frees the key (decisions E11)."""
    return run_id is not None and reader.state(run.DECIDER, run_id).withdrawn


def _over_limit(
    reader: Reader, context: Context, request: run.RunCreated, run_id: str, reached: ExceededLimit, who: Identity
) -> Rejected:
    """The refusal events in the contract's order (decisions E17), then the error."""
    origin = _origin(reached.rule, reached.place)
    rejection = _rejection(context, request, origin, reached.limit, reached.active, reached.reason)
    concurrency = run.PolicyConcurrencyRejected(
        rejection=rejection,
        active_runs=reached.active,
        max_concurrent_runs=reached.limit,
        reason=rejection.reason,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        provider=request.provider,
        policy=origin,
    )
    code = "POLICY_CONCURRENCY_REJECTED"
    violation = violation_of(reader, context, concurrency.TYPE, who, "policy", "blocked", code)
    error = ConcurrencyLimitExceeded(str(reached), {"runId": run_id})
    events = (concurrency, violation, _rejected(request, rejection))
    return Rejected(error, facts_of(run_id, request.session_id, events))


def _session_busy(context: Context, request: run.RunCreated, run_id: str) -> Rejected:
    """The refusal that a client chose with its session strategy, then the error."""
    rejection = _rejection(context, request, _origin("sessionStrategy"), 1, 1, "lock-acquisition-failed")
    message = f"session {request.session_id!r} is busy with another run, and the strategy is to be rejected then"
    error = SessionLockTimeout(message, {"runId": run_id})
    return Rejected(error, facts_of(run_id, request.session_id, (_rejected(request, rejection),)))


def _origin(
    name: str, rule: str | None = None, rule_type: Literal["concurrency", "validate"] = "concurrency"
) -> run.PolicyOrigin:
    return run.PolicyOrigin(
        schema_version=1,
        engine="athena",
        rule_type=rule_type,
        policy_name=name,
        rule_name=rule,
        failure_action="enforce",
    )


def _rejection(
    context: Context, request: run.RunCreated, origin: run.PolicyOrigin, limit: int, active: int, reason: Any
) -> run.RunRejection:
    return run.RunRejection(
        schema_version=1,
        timestamp=iso(context.now),
        policy_type="CONCURRENCY",
        limit=limit,
        rejected_run_details=run.RejectedRunDetails(session_id=request.session_id, persona_name=request.persona_name),
        reason=reason,
        active_runs=active,
        policy=origin,
    )


def _rejected(request: run.RunCreated, rejection: run.RunRejection) -> run.PolicyRejected:
    return run.PolicyRejected(
        rejection=rejection,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        provider=request.provider,
        policy=rejection.policy,
    )


def apply_command(
    reader: Reader, context: Context, room: ExecutorCapacity, run_id: str, command: run.RunCommand
) -> Outcome[Event | None]:
    """Decide about one run; if that frees a slot or a turn, admit who waits for it.

    The answer is the last event of this run that was decided; None where the command was late.
    """
    draft = RunTransaction(reader, context, room)
    events = draft.decide(run_id, command)
    draft.settle()
    return Outcome(facts=tuple(draft.facts), subject=run_id, answer=events[-1] if events else None)


def claim(
    reader: Reader, context: Context, room: ExecutorCapacity, said: Mapping[str, str]
) -> Outcome[tuple[str, ...]]:
    """Lease admitted runs to our executor, the oldest first, as many of them as it has room for.

    ``said`` is what the user said, for each run that is to be thought of; the answer names those that were leased.
    """
    leases, slots = reader.guards("lease"), reader.guards("slot")
    free = [run_id for run_id in said if run_id in slots and run_id not in leases and room.serves(slots[run_id])]
    free.sort(key=lambda run_id: int(slots[run_id][0]))
    draft = RunTransaction(reader, context, room)
    taken = []
    for run_id in free[: room.left(reader)]:
        lease = run.LeaseRun(executor=room.executor, pid=room.pid, said=said[run_id])
        if draft.decide(run_id, lease):
            taken.append(run_id)
    return Outcome(facts=tuple(draft.facts), answer=tuple(taken))


def take_over(
    reader: Reader, context: Context, room: ExecutorCapacity, run_id: str, token: int, loss: run.LossReason
) -> Outcome[Event | None]:
    """Take a run from an executor that is lost, if ours has room for it; where it cannot go on, it ends.

    The answer is that of ``apply_command``.
    """
    welcome = room.left(reader, frozenset((run_id,))) > 0 and room.serves(reader.guards("slot").get(run_id, ()))
    if not welcome and reader.state(run.DECIDER, run_id).cancel is None:
        return Outcome()
    limits = reader.state(policy.DECIDER, policy.STREAM)
    command = run.TakeRun(
        executor=room.executor, pid=room.pid, token=token, because=loss, attempts_max=limits.run_attempts_max
    )
    return apply_command(reader, context, room, run_id, command)


def still_open(last: Event | None) -> bool:
    """Whether a command that ``apply_command`` gave this answer took effect and left the run open."""
    return last is not None and last.TYPE not in run.ENDING_TYPES


def cancel(
    reader: Reader, context: Context, room: ExecutorCapacity, run_id: str, command: run.CancelRun
) -> Outcome[Cancelled]:
    """Record the request; a run without an executor ends at once. Unknown runs are recorded on the plane."""
    state = _state(reader, run_id)
    if state.request is None:
        events = run.decide(command, state, context)
        facts = tuple(Fact(stream=plane.STREAM, event=event) for event in events)
        return Outcome(facts=facts, answer=Cancelled(run_id=run_id, status="not-running"))
    draft = RunTransaction(reader, context, room)
    if not state.open:
        draft.decide(run_id, command)
        return Outcome(facts=tuple(draft.facts), answer=Cancelled(run_id=run_id, status="not-running"))
    draft.cancel(run_id, command)
    draft.settle()
    done = Cancelled(run_id=run_id, session_id=state.request.session_id, status="cancelled")
    return Outcome(facts=tuple(draft.facts), answer=done)


def abandon(
    reader: Reader, context: Context, room: ExecutorCapacity, executor: str, command: run.CancelRun
) -> Outcome[dict[str, int]]:
    """Ask for the cancel of every run that an executor holds; the answer is the token of each."""
    draft = RunTransaction(reader, context, room)
    held = {run_id: int(token) for run_id, (holder, token) in reader.guards("lease").items() if holder == executor}
    for run_id in held:
        if draft.state(run_id).cancel is None:  # else it was asked for before, or as the child of another one
            draft.cancel(run_id, command)
    return Outcome(facts=tuple(draft.facts), answer=held)


def cancel_turn(
    reader: Reader, context: Context, room: ExecutorCapacity, session_id: str, command: run.CancelRun
) -> Outcome[Cancelled]:
    """The same for the admitted run of a session, if there is one."""
    turns: Mapping[str, tuple[str | int, ...]] = reader.guards("turn")
    holder = turns.get(session_id)
    if holder is not None:
        outcome = cancel(reader, context, room, str(holder[0]), command)
        return Outcome(facts=outcome.facts, answer=Cancelled(session_id=session_id, status="cancelled"))
    events = run.decide(command, run.DECIDER.initial, context)
    facts = tuple(Fact(stream=plane.STREAM, event=event, session_id=session_id) for event in events)
    return Outcome(facts=facts, answer=Cancelled(session_id=session_id, status="not-running"))


def resume(
    reader: Reader, context: Context, room: ExecutorCapacity, run_id: str, budget_micro_usd: int | None, who: Identity
) -> Outcome:
    """Let a paused run go on, if there is a slot (decisions E25); our executor takes it, if it takes any."""
    state = _state(reader, run_id)
    request = state.request
    if request is None:
        raise NotFound(f"no run {run_id!r} exists")
    if state.status != "paused":
        raise RunNotPaused(f"run {run_id} is {state.status}; only a paused run is resumed", {"runId": run_id})
    spent = state.spent_micro_usd
    if budget_micro_usd is not None and budget_micro_usd <= spent:
        remedy = f"more than {spent / MICRO_USD:.6f}, or none for no budget at all"
        raise ConfigError.of("budgetUsd", f"the run has spent {spent / MICRO_USD:.6f} already", remedy)
    limits = reader.state(policy.DECIDER, policy.STREAM)
    _check_day(reader, context, limits, request, run_id, 0)  # what a call takes is asked before it
    _check_slots(reader, context, limits, request, run_id, who)
    for reached in LimitUsage(reader, limits).reached(request.places):
        raise _over_limit(reader, context, request, run_id, reached, who)
    draft = RunTransaction(reader, context, room)
    draft.decide(run_id, run.ResumeRun(executor=room.executor, budget_micro_usd=budget_micro_usd))
    if room.executor and room.left(reader):
        draft.decide(run_id, run.LeaseRun(executor=room.executor, pid=room.pid, said=""))
    return Outcome(facts=tuple(draft.facts), subject=run_id)


class BudgetRequest(NamedTuple):
    """What a model call of a run may cost: between ``least`` and ``most``, beside ``lost`` on failed calls of its turn.

    Without ``most`` its price is unknown. Millionths of a dollar.
    """

    turn: int
    provider: str
    model: str
    lost: int
    least: int
    most: int | None


class BudgetGrant(Value):
    """The answer to ``BudgetRequest``: what the call may cost, or why the run is to pause.

    With ``wait`` others may leave enough once they settle; with neither there is no budget of the day. ``over`` tells
    that the run has ended.
    """

    micro_usd: int | None = None
    reached: run.DayReached | None = None
    wait: bool = False
    over: bool = False


def reserve(
    reader: Reader, context: Context, room: ExecutorCapacity, run_id: str, token: int, wanted: BudgetRequest
) -> Outcome[BudgetGrant]:
    """Set aside of the day's budget what a model call may cost at most; the answer is a ``BudgetGrant``."""
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
    outcome = apply_command(reader, context, room, run_id, command)
    return Outcome(
        facts=outcome.facts, subject=run_id, answer=BudgetGrant(micro_usd=grant, over=not still_open(outcome.answer))
    )
