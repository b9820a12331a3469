"""The run: one execution of a directive in a session, from its request to its one terminal event."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context, Decider
from athena_core.errors import LeaseLost
from athena_core.event import EXTRA, TEXT, Event, Guard, Recorded, Shows, Text, Value, parts_of
from athena_core.values import (
    ContextMeta,
    ContextReference,
    EvidenceType,
    HarnessSpec,
    PinnedScope,
    RefusedPlan,
    RefusedRequest,
    Reliability,
    Usage,
    VerificationFailure,
)

WaitReason = Literal["session-busy", "concurrency", "executor", "key-limit"]
CancelCause = Literal["requested", "session-busy", "executor", "key-limit", "interrupted", "parent"]
WITHDRAWN_CAUSES = frozenset({"session-busy", "executor", "key-limit"})
PauseReason = Literal["budget", "daily-budget", "unpriced-model"]
LossReason = Literal["dead", "frozen", "left"]
"""How an executor lost its runs: it died, it gave no sign of life for too long, or it left in order."""

DAY_MS = 86_400_000
SPENT_DAYS = 40
"""How many days of spending are kept for the daily budget: a clock that goes back within them opens no budget anew."""

LAST_SPENT_KEY = "day"
"""The one ``spent`` row of release 0.1.0: the last day on which a run spent something."""

FREES_NOTHING = "it occupies and frees nothing"
BEFORE_REJECTED = "policy.rejected, which follows it, says the same"

# Stored events. Their TYPE is storage: never rename one.


class RunRequest(Event):
    """What a run needs to be executed, pinned: references are resolved, the profile is a copy.

    ``scope`` is that of the caller who started it, or started what caused it.
    """

    session_id: str
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    harness_profile_snapshot: HarnessSpec
    profile_named: bool
    timeout_ms: int
    requested_by: str
    fallbacks: tuple[str, ...] | None = None
    budget_micro_usd: int | None = None
    retry_budget: int | None = None
    parent_run_id: Annotated[str | None, EXTRA] = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    context_refs: tuple[ContextReference, ...] | None = None
    contents: Annotated[tuple[str, ...] | None, TEXT] = None
    contents_salt: Text = None
    persona_name: str | None = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None

    @property
    def places(self) -> tuple[str, ...]:
        """Where it counts while it holds a slot."""
        profile_id = self.harness_profile_id if self.profile_named else None
        return limit_keys(self.session_id, profile_id, self.provider, self.fallbacks)


def limit_keys(
    session_id: str, profile_id: str | None, provider: str | None, fallbacks: tuple[str, ...] | None
) -> tuple[str, ...]:
    """What limits by key count a run by: its session, its profile if it named one, every provider that it may ask.

    A session stands there by its id alone, which holds no colon.
    """
    places = [session_id]
    if profile_id is not None:
        places.append(f"harness-profile:{profile_id}")
    if provider is not None:
        places.append(f"provider:{provider}")
    places += [f"provider:{name}" for name in fallbacks or () if name != provider]
    return tuple(places)


class RunQueued(RunRequest, kw_only=True):
    """The run waits and holds no slot; ``requested_by`` is the executor that will lease it."""

    TYPE: ClassVar[str] = "run.queued"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    reason: WaitReason


class RunCreated(RunRequest):
    """The run was admitted: it holds a slot and its session's turn, and its clock runs."""

    TYPE: ClassVar[str] = "run.created"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)


class RunLeased(Event):
    """An executor took the run; ``token`` fences off whoever had it before.

    ``attempt`` counts the executors that died or froze with the run, and this one.
    """

    TYPE: ClassVar[str] = "run.leased"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    executor: str
    token: int
    attempt: int
    pid: int
    taken_from: str | None = None
    because: LossReason | None = None


class RunStarted(Event):
    """Execution began."""

    TYPE: ClassVar[str] = "run.started"
    SHOWS: ClassVar[Shows] = Shows(explain="the lease before it says so", simulate=FREES_NOTHING, console=True)
    attempt: int


class TranscriptAppended(Event):
    """Something was said in the run's session.

    Words of a model are ``truncated`` where a limit of tokens ended them, and ``interrupted`` as well where the run's
    budget bought no more: then they are no answer. A tool's result is ``interrupted`` where nobody knows what it did.
    """

    TYPE: ClassVar[str] = "transcript.appended"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    role: Literal["system", "user", "assistant", "tool"]
    kind: Literal["message", "tool-call", "tool-result"]
    chars: int
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    sanitized: bool | None = None
    truncated: bool | None = None
    changed: bool | None = None
    interrupted: bool | None = None
    content: Text = None


class MemoryRecalled(Event):
    """The run was reminded of notes before its model was asked; ``chars`` is how many characters of them."""

    TYPE: ClassVar[str] = "memory.recalled"
    SHOWS: ClassVar[Shows] = Shows(explain="it takes no time and decides nothing", simulate=FREES_NOTHING, console=True)
    citations: tuple[str, ...]
    chars: int
    snippets: Annotated[tuple[str, ...] | None, TEXT] = None


class ToolCalled(Event):
    """A model asked for a tool; recorded before the tool acts. ``refused`` tells why it will not.

    A name that is of no tool at all is the model's own words: ``unknown_name``.
    """

    TYPE: ClassVar[str] = "tool.called"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    turn: int
    tool_call_id: str
    chars: int
    repeatable: bool
    tool_name: str | None = None
    refused: Literal["unknown-tool", "bad-arguments"] | None = None
    unknown_name: Text = None
    arguments: Text = None


class EvidenceAttached(Event):
    """The run showed something. ``sha256`` is that of the salt and the content, so that erasing both leaves no trace.

    ``label`` is one that a policy of its profile names; any other one is the model's own words: ``free_label``.
    ``workspace`` tells that a later change of the workspace makes it stale.
    """

    TYPE: ClassVar[str] = "evidence.attached"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    evidence_id: str
    evidence_type: EvidenceType
    size_bytes: int
    sha256: str
    source: Literal["tool", "model", "verifier"]
    workspace: bool
    label: str | None = None
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    free_label: Text = None
    content: Text = None
    content_salt: Text = None


class UsageRecorded(Event):
    """A model call was paid for; cost in millionths of a dollar, absent (and ``unpriced``) where no price is known.

    ``estimated`` tells that the provider reported no usage, and characters were counted instead; ``failed`` that no
    answer came of the call: it failed or was cancelled after its provider had reported what it took.
    """

    TYPE: ClassVar[str] = "usage.recorded"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    provider: str
    model: str
    usage: Usage
    turn: int | None = None
    attempts: int | None = None
    request_id: str | None = None
    estimated: bool | None = None
    unpriced: bool | None = None
    failed: bool | None = None
    cost_micro_usd: int | None = None
    price_version: str | None = None


class BudgetReserved(Event):
    """A model call may begin: what it may cost at most, and what its turn cost so far, is set aside for the day.

    The usage that is recorded next settles it, a pause or the end of the run releases it.
    """

    TYPE: ClassVar[str] = "budget.reserved"
    SHOWS: ClassVar[Shows] = Shows(explain="the usage or the pause after it says what it led to", simulate=True)
    turn: int
    provider: str
    model: str
    reserved_micro_usd: int


class RunPaused(Event):
    """A budget is spent: the run keeps its session and gives up its slot; its clock stands at ``elapsed_ms``.

    ``budget`` is the run's own one; ``daily-budget`` that of the policy, and the sums are those of the UTC day;
    ``unpriced-model`` tells that nobody knows what the next call would take of it.
    """

    TYPE: ClassVar[str] = "run.paused"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    reason: PauseReason
    elapsed_ms: int
    spent_micro_usd: int
    budget_micro_usd: int


class RunResumed(Event):
    """Somebody let a paused run go on; it holds a slot again. Without a budget there is none any more.

    ``requested_by`` is the executor that will lease it; the profile (if it named one) and the providers are those that
    it counts at again.
    """

    TYPE: ClassVar[str] = "run.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True, explain=True, simulate=True, console=True)
    requested_by: str
    budget_micro_usd: int | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    fallbacks: tuple[str, ...] | None = None


class RunCancelRequested(Event):
    """A cancel was requested; ``run_id`` is there when it was requested by run. ``note`` is the caller's reason."""

    TYPE: ClassVar[str] = "run.cancel.requested"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(
        audit=True, explain=True, simulate="the end that follows it is repeated", console=True
    )
    status: Literal["cancelled", "not-running"]
    run_id: str | None = None
    cause: CancelCause | None = None
    note: Text = None


class RunCompleted(Event):
    """The run ended with an answer."""

    TYPE: ClassVar[str] = "run.completed"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    provider: str
    model: str
    harness_profile_id: str
    evidence_count: int
    verification_status: Literal["passed", "verification-failed"]
    reliability: Reliability
    context_meta: ContextMeta
    verification_failures: tuple[VerificationFailure, ...] | None = None
    usage: Usage | None = None


class RunFailed(Event):
    """The run ended with an error."""

    TYPE: ClassVar[str] = "run.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    code: str
    retryable: bool
    error_text: Text = None


class RunCancelled(Event):
    """The run was stopped on request, or withdrawn before it started. A request that came before says why."""

    TYPE: ClassVar[str] = "run.cancelled"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    cause: CancelCause
    forced: bool | None = None


class RunTimedOut(Event):
    """The run took longer than its timeout."""

    TYPE: ClassVar[str] = "run.timed-out"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    timeout_ms: int


class RunCrashed(Event):
    """The run's executor died, and so did all those that the policy allows a run."""

    TYPE: ClassVar[str] = "run.crashed"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    executor: str
    attempt: int


class RejectedRunDetails(Value):
    """Whose run was refused."""

    session_id: str
    persona_name: str | None = None


class RunRejection(Value):
    """A refusal as auditors read it (contract 4.10, RunRejectionEvent).

    Of type ``COST`` it tells the sums of the UTC day, and ``limit``, a number of runs, is 0.
    """

    schema_version: int
    timestamp: str
    policy_type: Literal["CONCURRENCY", "COST"]
    limit: int
    rejected_run_details: RejectedRunDetails
    reason: Literal[
        "max-concurrent-runs-exceeded",
        "lock-acquisition-failed",
        "key-limit-exceeded",
        "daily-cost-budget-exceeded",
        "unpriced-model",
    ]
    active_runs: int
    policy: "PolicyOrigin | None" = None
    spent_micro_usd: int | None = None
    budget_micro_usd: int | None = None


class PolicyOrigin(Value):
    """Which rule of which engine refused (contract 4.10, PolicyOriginDetails)."""

    schema_version: int
    engine: Literal["athena", "kyverno"]
    rule_type: Literal["concurrency", "validate", "mutate", "generate"]
    policy_name: str | None = None
    rule_name: str | None = None
    failure_action: Literal["audit", "enforce"] | None = None
    message: str | None = None


class PolicyConcurrencyRejected(Event):
    """A run was refused because too many were active."""

    TYPE: ClassVar[str] = "policy.concurrency.rejected"
    SHOWS: ClassVar[Shows] = Shows(
        views=BEFORE_REJECTED, audit=BEFORE_REJECTED, explain=BEFORE_REJECTED, simulate=BEFORE_REJECTED
    )
    rejection: RunRejection
    active_runs: int
    max_concurrent_runs: int
    reason: str
    directive_id: str | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    policy: Annotated[PolicyOrigin | None, EXTRA] = None


class PolicyRejected(Event):
    """A run was refused by policy; follows the event that says which limit. A template is that of the request.

    The refused resume of a run has neither ``plan`` nor ``request``.
    """

    TYPE: ClassVar[str] = "policy.rejected"
    SHOWS: ClassVar[Shows] = Shows(audit=True, explain=True, simulate=True, console=True)
    rejection: RunRejection
    directive_id: str | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    run_template_id: str | None = None
    run_template_version: int | None = None
    plan: RefusedPlan | None = None
    request: Annotated[RefusedRequest | None, TEXT] = None
    policy: Annotated[PolicyOrigin | None, EXTRA] = None


RunEnding = RunCompleted | RunFailed | RunCancelled | RunTimedOut | RunCrashed
ENDINGS = (RunCompleted, RunFailed, RunCancelled, RunTimedOut, RunCrashed)
ENDING_TYPES = frozenset(ending.TYPE for ending in ENDINGS)

STATUS_OF_ENDING: dict[str, str] = {
    RunCompleted.TYPE: "completed",
    RunFailed.TYPE: "failed",
    RunCancelled.TYPE: "cancelled",
    RunTimedOut.TYPE: "timed-out",
    RunCrashed.TYPE: "crashed",
}


RunStep = MemoryRecalled | TranscriptAppended | ToolCalled | EvidenceAttached | UsageRecorded
"""What an executor records on the way."""


# State


class RunState(Value):
    """Where the run is. ``status`` is empty before the first event; ``request`` never holds text.

    ``executor`` is there while the run is leased, ``paused`` while it is paused; money in millionths of a dollar;
    ``cut`` tells that the budget ended what the model said last.
    """

    status: str = ""
    request: RunCreated | None = None
    executor: str | None = None
    token: int = 0
    attempt: int = 0
    budget_micro_usd: int | None = None
    spent_micro_usd: int = 0
    cut: bool = False
    cancel: RunCancelRequested | None = None
    withdrawn: bool = False
    paused: PauseReason | None = None

    @property
    def open(self) -> bool:
        """Whether a terminal event is still to come."""
        return self.status in {"queued", "running", "paused"}


def evolve(state: RunState, event: Event) -> RunState:
    """Follow one event: the frequent ones come first, because to be none of a type takes time."""
    match event:
        case TranscriptAppended():
            told = event.role == "assistant" and (state.cut or event.interrupted)
            return replace(state, cut=bool(event.interrupted)) if told else state
        case RunStarted():
            return state
        case UsageRecorded():
            cost = max(event.cost_micro_usd or 0, 0)
            return replace(state, spent_micro_usd=state.spent_micro_usd + cost) if cost else state
        case RunLeased():
            return replace(state, executor=event.executor, token=event.token, attempt=event.attempt)
        case RunCreated() | RunQueued():
            status = "queued" if isinstance(event, RunQueued) else "running"
            request = without_text(event)
            return replace(state, status=status, request=request, budget_micro_usd=event.budget_micro_usd)
        case RunCompleted() | RunFailed() | RunCancelled() | RunTimedOut() | RunCrashed():
            withdrawn = isinstance(event, RunCancelled) and event.cause in WITHDRAWN_CAUSES
            return replace(state, status=STATUS_OF_ENDING[event.TYPE], executor=None, cancel=None, withdrawn=withdrawn)
        case RunPaused():
            return replace(state, status="paused", executor=None, paused=event.reason)
        case RunResumed():
            budget = event.budget_micro_usd
            return replace(state, status="running", budget_micro_usd=budget, cut=False, paused=None)
        case RunCancelRequested() if state.open and event.status == "cancelled":
            return replace(state, cancel=replace(event, note=None))
        case _:
            return state


NO_TEXT: dict[str, Any] = {name: None for name, part in parts_of(RunRequest).items() if part == "text"}


def without_text(request: RunRequest) -> RunCreated:
    """The request as states keep it, and as it is repeated when a queued run is admitted."""
    if isinstance(request, RunCreated):
        return replace(request, **NO_TEXT)
    return RunCreated(**{**_fields(request), **NO_TEXT})


def _fields(request: RunRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in RunRequest.__struct_fields__}


# Guards: ``waiting``, ``slot``, ``lease`` and ``child`` by run, ``turn`` by session.
#
# A waiting run and one with a slot are counted at their places. ``reserved`` is what a run has set aside of the day's
# budget, ``spent`` what all runs spent on a UTC day: a ring of as many rows as days are kept.


def _queued_guards(recorded: Recorded[RunQueued]) -> tuple[Guard, ...]:
    run_id, event = recorded.stream, recorded.event
    waiting = Guard(kind="waiting", key=run_id, value=(recorded.position, *event.places))
    return (waiting, *_child(run_id, event))


def _created_guards(recorded: Recorded[RunCreated]) -> tuple[Guard, ...]:
    run_id, event = recorded.stream, recorded.event
    return (
        Guard(kind="waiting", key=run_id, value=None),
        Guard(kind="slot", key=run_id, value=(recorded.position, *event.places)),
        Guard(kind="turn", key=event.session_id, value=(run_id,)),
        *_child(run_id, event),
    )


def _child(run_id: str, request: RunRequest) -> tuple[Guard, ...]:
    parent = request.parent_run_id
    return () if parent is None else (Guard(kind="child", key=run_id, value=(parent,)),)


def _leased_guards(recorded: Recorded[RunLeased]) -> tuple[Guard, ...]:
    return (Guard(kind="lease", key=recorded.stream, value=(recorded.event.executor, recorded.event.token)),)


def _reserved_guards(recorded: Recorded[BudgetReserved]) -> tuple[Guard, ...]:
    return (Guard(kind="reserved", key=recorded.stream, value=(recorded.event.reserved_micro_usd,)),)


def _paid_guards(recorded: Recorded[UsageRecorded]) -> tuple[Guard, ...]:
    settled = Guard(kind="reserved", key=recorded.stream, value=None)
    cost = recorded.event.cost_micro_usd or 0
    if cost <= 0:  # a provider that reports less than nothing gives nothing back
        return (settled,)
    return settled, Guard(kind="spent", key=spent_key(recorded.at), value=(day_of(recorded.at), cost), adds=True)


def _paused_guards(recorded: Recorded[RunPaused]) -> tuple[Guard, ...]:
    return tuple(Guard(kind=kind, key=recorded.stream, value=None) for kind in ("slot", "lease", "reserved"))


def _resumed_guards(recorded: Recorded[RunResumed]) -> tuple[Guard, ...]:
    event = recorded.event
    places = limit_keys(recorded.session_id or "", event.harness_profile_id, event.provider, event.fallbacks)
    return (Guard(kind="slot", key=recorded.stream, value=(recorded.position, *places)),)


def _ended_guards(recorded: Recorded[RunEnding]) -> tuple[Guard, ...]:
    run_id = recorded.stream
    return (
        Guard(kind="waiting", key=run_id, value=None),
        Guard(kind="slot", key=run_id, value=None),
        Guard(kind="turn", key=recorded.session_id or "", value=None, held=(run_id,)),
        Guard(kind="lease", key=run_id, value=None),
        Guard(kind="child", key=run_id, value=None),
        Guard(kind="reserved", key=run_id, value=None),
    )


def day_of(at: int) -> str:
    """The UTC day of a time in milliseconds, ``2026-01-31``."""
    return iso(at)[:10]


def spent_key(at: int) -> str:
    """The ``spent`` row of the UTC day of a time in milliseconds."""
    return str(at // DAY_MS % SPENT_DAYS)


def spent_on(rows: Mapping[str, tuple[str | int, ...]], at: int) -> int:
    """What the UTC day of a time cost by the ``spent`` rows, in millionths of a dollar."""
    day = day_of(at)
    found = [row for key in (spent_key(at), LAST_SPENT_KEY) if (row := rows.get(key)) is not None]
    return sum(int(row[1]) for row in found if row[0] == day)


# Commands


class RequestRun(Value):
    """Admit the run, or queue it when it has to wait."""

    request: RunRequest
    wait: WaitReason | None = None


class AdmitRun(Value):
    """The wait is over."""


class LeaseRun(Value):
    """An executor takes a run that nobody has (``pid`` of its process); the first lease says what the user said."""

    executor: str
    pid: int
    said: str


class TakeRun(Value):
    """An executor takes a run from the one that holds ``token``, which is lost.

    A run that was lost by ``attempts_max`` executors ends instead; so does one that was to be cancelled.
    """

    executor: str
    pid: int
    token: int
    because: LossReason
    attempts_max: int


class RecordStep(Value):
    """The executor that holds ``token`` got on: what it asked, did and paid."""

    token: int
    steps: tuple[RunStep, ...]


class ReserveBudget(Value):
    """The executor that holds ``token`` is about to ask a model, which may cost ``reserved_micro_usd`` at most."""

    token: int
    turn: int
    provider: str
    model: str
    reserved_micro_usd: int


class PauseRun(Value):
    """The executor that holds ``token`` has no budget left; its run's clock stands at ``elapsed_ms``.

    Without ``reached`` it is the run's own budget; with it, that of the day.
    """

    token: int
    elapsed_ms: int
    reached: "DayReached | None" = None


class DayReached(Value):
    """The day's budget leaves no room for a model call; or its price is unknown (``reason``). Sums of the UTC day."""

    reason: Literal["daily-budget", "unpriced-model"]
    spent_micro_usd: int
    budget_micro_usd: int


class ResumeRun(Value):
    """Let a paused run go on, with another budget or with none; ``executor`` will lease it."""

    executor: str
    budget_micro_usd: int | None = None


class EndRun(Value):
    """The executor that holds ``token`` ends the run, with what it still has to say before."""

    token: int
    last: tuple[RunStep, ...]
    ending: RunCompleted | RunFailed | RunCancelled | RunTimedOut


class CancelRun(Value):
    """Ask for a cancel, by run or by session; without a lease it is done at once."""

    reason: str | None = None
    by_run: str | None = None
    cause: CancelCause = "requested"


class ForceCancel(Value):
    """The executor did not end a run that was to be cancelled in time."""


class WithdrawRun(Value):
    """A synchronous caller waited long enough for its turn."""

    cause: CancelCause


RunCommand = (
    RequestRun
    | AdmitRun
    | LeaseRun
    | TakeRun
    | RecordStep
    | ReserveBudget
    | PauseRun
    | ResumeRun
    | EndRun
    | CancelRun
    | ForceCancel
    | WithdrawRun
)


def decide(command: RunCommand, state: RunState, context: Context) -> tuple[Event, ...]:
    """What follows; nothing where the command is late. Raises LeaseLost for a token that is not the present one."""
    match command:
        case RequestRun():
            return () if state.status else (_requested(command),)
        case LeaseRun():
            return _leased(command, state)
        case EndRun() | RecordStep() | ReserveBudget() | PauseRun():
            if not state.open:
                return ()
            if state.token != command.token or state.executor is None:
                raise LeaseLost("the run was taken over by another executor")
            return _gone_on(command, state)
        case AdmitRun():
            return (state.request,) if state.status == "queued" and state.request else ()
        case TakeRun():
            return _taken(command, state)
        case ResumeRun():
            return _resumed(command, state)
        case CancelRun():
            return _cancelled(command, state)
        case ForceCancel():
            return (_done(state.cancel, forced=True),) if state.open and state.cancel else ()
        case WithdrawRun():
            return (RunCancelled(cause=command.cause),) if state.status == "queued" else ()


def _resumed(command: ResumeRun, state: RunState) -> tuple[Event, ...]:
    request = state.request
    if state.status != "paused" or request is None:
        return ()
    budget = command.budget_micro_usd
    if budget is None and state.paused != "budget":  # its own budget was not what it waited for
        budget = state.budget_micro_usd
    resumed = RunResumed(
        requested_by=command.executor,
        budget_micro_usd=budget,
        harness_profile_id=request.harness_profile_id if request.profile_named else None,
        provider=request.provider,
        fallbacks=request.fallbacks,
    )
    return (resumed,)


def _requested(command: RequestRun) -> Event:
    request = command.request
    if command.wait is not None:
        return RunQueued(reason=command.wait, **_fields(request))
    return request if isinstance(request, RunCreated) else RunCreated(**_fields(request))


def _leased(command: LeaseRun, state: RunState) -> tuple[Event, ...]:
    if state.status != "running" or state.executor is not None:
        return ()
    attempt = state.attempt or 1
    leased = RunLeased(executor=command.executor, token=state.token + 1, attempt=attempt, pid=command.pid)
    started = RunStarted(attempt=attempt)
    if state.token:
        return leased, started
    said = TranscriptAppended(role="user", kind="message", chars=len(command.said), content=command.said)
    return leased, started, said


def _taken(command: TakeRun, state: RunState) -> tuple[Event, ...]:
    if state.status != "running" or state.executor is None or state.token != command.token:
        return ()
    if state.cancel is not None:
        return (_done(state.cancel),)
    attempt = state.attempt + (command.because != "left")
    if attempt > command.attempts_max:
        return (RunCrashed(executor=state.executor, attempt=state.attempt),)
    leased = RunLeased(
        executor=command.executor,
        token=state.token + 1,
        attempt=attempt,
        pid=command.pid,
        taken_from=state.executor,
        because=command.because,
    )
    return leased, RunStarted(attempt=attempt)


def _gone_on(command: RecordStep | ReserveBudget | PauseRun | EndRun, state: RunState) -> tuple[Event, ...]:
    """What the holder of the lease says, unless a cancel was acknowledged: that wins, and what was done is kept."""
    match command:
        case EndRun():
            steps: tuple[RunStep, ...] = command.last
            end: tuple[Event, ...] = (command.ending,)
        case RecordStep():
            steps, end = command.steps, ()
        case ReserveBudget():
            reserved = BudgetReserved(
                turn=command.turn,
                provider=command.provider,
                model=command.model,
                reserved_micro_usd=command.reserved_micro_usd,
            )
            steps, end = (), (reserved,)
        case PauseRun():
            paused = _paused(command, state)
            if paused is None and state.cancel is None:
                return ()
            steps, end = (), () if paused is None else (paused,)
    if state.cancel is None:
        return (*steps, *end)
    return (*(step for step in steps if _was_done(step)), _done(state.cancel))


def _paused(command: PauseRun, state: RunState) -> RunPaused | None:
    reached, spent, budget = command.reached, state.spent_micro_usd, state.budget_micro_usd
    if reached is not None:
        return RunPaused(
            reason=reached.reason,
            elapsed_ms=command.elapsed_ms,
            spent_micro_usd=reached.spent_micro_usd,
            budget_micro_usd=reached.budget_micro_usd,
        )
    if budget is None or (spent < budget and not state.cut):
        return None
    return RunPaused(reason="budget", elapsed_ms=command.elapsed_ms, spent_micro_usd=spent, budget_micro_usd=budget)


def _was_done(step: RunStep) -> bool:
    """Whether something was done or paid, beside being said or meant."""
    return isinstance(step, UsageRecorded | EvidenceAttached) or (
        isinstance(step, TranscriptAppended) and step.kind == "tool-result"
    )


def _cancelled(command: CancelRun, state: RunState) -> tuple[Event, ...]:
    status: Literal["cancelled", "not-running"] = "cancelled" if state.open else "not-running"
    cause = None if command.cause == "requested" else command.cause
    asked = RunCancelRequested(status=status, run_id=command.by_run, cause=cause, note=command.reason)
    return (asked, _done(asked)) if state.open and state.executor is None else (asked,)


def _done(asked: RunCancelRequested, *, forced: bool = False) -> RunCancelled:
    return RunCancelled(cause=asked.cause or "requested", forced=forced or None)


DECIDER: Decider[RunState] = Decider(
    category="run",
    events=(
        RunQueued,
        RunCreated,
        RunLeased,
        RunStarted,
        MemoryRecalled,
        TranscriptAppended,
        ToolCalled,
        EvidenceAttached,
        UsageRecorded,
        BudgetReserved,
        RunPaused,
        RunResumed,
        RunCancelRequested,
        RunCompleted,
        RunFailed,
        RunCancelled,
        RunTimedOut,
        RunCrashed,
        PolicyConcurrencyRejected,
        PolicyRejected,
    ),
    initial=RunState(),
    evolve=evolve,
    occupies={
        RunQueued: _queued_guards,
        RunCreated: _created_guards,
        RunLeased: _leased_guards,
        BudgetReserved: _reserved_guards,
        UsageRecorded: _paid_guards,
        RunPaused: _paused_guards,
        RunResumed: _resumed_guards,
        **dict.fromkeys(ENDINGS, _ended_guards),
    },
    over=lambda state: not state.open,
)
