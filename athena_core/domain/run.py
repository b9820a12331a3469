"""The run: one execution of a directive in a session, from its request to its one terminal event."""

from typing import Annotated, ClassVar, Literal

from athena_core.decider import Context, Decider
from athena_core.errors import LeaseLost
from athena_core.event import EXTRA, TEXT, Event, Guard, Recorded, Text, Value
from athena_core.values import (
    ContextMeta,
    ContextReference,
    EvidenceType,
    HarnessSpec,
    Reliability,
    Usage,
    VerificationFailure,
)

WaitReason = Literal["session-busy", "concurrency", "executor"]
CancelCause = Literal["requested", "session-busy", "interrupted", "parent"]

# Stored events. Their TYPE is storage: never rename one.


class RunRequest(Event):
    """What a run needs to be executed, pinned: references are resolved, the profile is a copy."""

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
    parent_run_id: Annotated[str | None, EXTRA] = None
    context_refs: tuple[ContextReference, ...] | None = None
    contents: Annotated[tuple[str, ...] | None, TEXT] = None
    contents_salt: Text = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None


class RunQueued(RunRequest, kw_only=True):
    """The run waits and holds no slot; ``requested_by`` is the executor that will lease it."""

    TYPE: ClassVar[str] = "run.queued"
    reason: WaitReason


class RunCreated(RunRequest):
    """The run was admitted: it holds a slot and its session's turn, and its clock runs."""

    TYPE: ClassVar[str] = "run.created"


class RunLeased(Event):
    """An executor took the run; ``token`` fences off whoever had it before."""

    TYPE: ClassVar[str] = "run.leased"
    executor: str
    token: int
    attempt: int
    pid: int
    taken_from: str | None = None
    because: Literal["dead", "frozen"] | None = None


class RunStarted(Event):
    """Execution began."""

    TYPE: ClassVar[str] = "run.started"
    attempt: int


class TranscriptAppended(Event):
    """Something was said in the run's session."""

    TYPE: ClassVar[str] = "transcript.appended"
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


class ToolCalled(Event):
    """A model asked for a tool; recorded before the tool acts. ``refused`` tells why it will not."""

    TYPE: ClassVar[str] = "tool.called"
    turn: int
    tool_call_id: str
    tool_name: str
    chars: int
    repeatable: bool
    refused: Literal["unknown-tool", "bad-arguments"] | None = None
    arguments: Text = None


class EvidenceAttached(Event):
    """The run showed something. ``sha256`` is that of the salt and the content, so that erasing both leaves no trace.

    ``workspace`` tells that a later change of the workspace makes it stale.
    """

    TYPE: ClassVar[str] = "evidence.attached"
    evidence_id: str
    label: str
    evidence_type: EvidenceType
    size_bytes: int
    sha256: str
    source: Literal["tool", "model", "verifier"]
    workspace: bool
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    content: Text = None
    content_salt: Text = None


class UsageRecorded(Event):
    """A model call was paid for; cost in millionths of a dollar, absent (and ``unpriced``) where no price is known.

    ``estimated`` tells that the provider reported no usage, and characters were counted instead.
    """

    TYPE: ClassVar[str] = "usage.recorded"
    provider: str
    model: str
    usage: Usage
    turn: int | None = None
    attempts: int | None = None
    request_id: str | None = None
    estimated: bool | None = None
    unpriced: bool | None = None
    cost_micro_usd: int | None = None
    price_version: str | None = None


class RunPaused(Event):
    """The run's budget is spent: it keeps its session and gives up its slot; its clock stands at ``elapsed_ms``."""

    TYPE: ClassVar[str] = "run.paused"
    reason: Literal["budget"]
    elapsed_ms: int
    spent_micro_usd: int
    budget_micro_usd: int


class RunResumed(Event):
    """Somebody let a paused run go on; it holds a slot again. Without a budget there is none any more."""

    TYPE: ClassVar[str] = "run.resumed"
    requested_by: str
    budget_micro_usd: int | None = None


class RunCancelRequested(Event):
    """Somebody asked for a cancel; ``run_id`` is there when it was asked by run."""

    TYPE: ClassVar[str] = "run.cancel.requested"
    status: Literal["cancelled", "not-running"]
    reason: str | None = None
    run_id: str | None = None
    cause: CancelCause | None = None


class RunCompleted(Event):
    """The run ended with an answer."""

    TYPE: ClassVar[str] = "run.completed"
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
    code: str
    message: str
    retryable: bool


class RunCancelled(Event):
    """The run was stopped on request, or withdrawn before it started."""

    TYPE: ClassVar[str] = "run.cancelled"
    cause: CancelCause
    reason: str | None = None
    forced: bool | None = None


class RunTimedOut(Event):
    """The run took longer than its timeout."""

    TYPE: ClassVar[str] = "run.timed-out"
    timeout_ms: int


class RunCrashed(Event):
    """The run's executor died."""

    TYPE: ClassVar[str] = "run.crashed"
    executor: str
    attempt: int


class RejectedRunDetails(Value):
    """Whose run was refused."""

    session_id: str
    persona_name: str | None = None


class RunRejection(Value):
    """A refusal as auditors read it (contract 4.10, RunRejectionEvent)."""

    schema_version: int
    timestamp: str
    policy_type: Literal["CONCURRENCY", "COST"]
    limit: int
    rejected_run_details: RejectedRunDetails
    reason: Literal["max-concurrent-runs-exceeded", "lock-acquisition-failed"]
    active_runs: int
    policy: "PolicyOrigin | None" = None


class PolicyOrigin(Value):
    """Which rule of which engine refused (contract 4.10, PolicyOriginDetails)."""

    schema_version: int
    engine: Literal["athena", "kyverno"]
    rule_type: Literal["concurrency", "validate", "mutate", "generate"]
    policy_name: str | None = None
    failure_action: Literal["audit", "enforce"] | None = None
    message: str | None = None


class PolicyConcurrencyRejected(Event):
    """A run was refused because too many were active."""

    TYPE: ClassVar[str] = "policy.concurrency.rejected"
    rejection: RunRejection
    active_runs: int
    max_concurrent_runs: int
    reason: str
    directive_id: str | None = None
    harness_profile_id: str | None = None
    policy: Annotated[PolicyOrigin | None, EXTRA] = None


class PolicyRejected(Event):
    """A run was refused by policy; follows the event that says which limit."""

    TYPE: ClassVar[str] = "policy.rejected"
    rejection: RunRejection
    directive_id: str | None = None
    harness_profile_id: str | None = None
    policy: Annotated[PolicyOrigin | None, EXTRA] = None


Ending = RunCompleted | RunFailed | RunCancelled | RunTimedOut | RunCrashed
ENDINGS = (RunCompleted, RunFailed, RunCancelled, RunTimedOut, RunCrashed)
ENDING_TYPES = frozenset(ending.TYPE for ending in ENDINGS)

STATUS_OF_ENDING: dict[str, str] = {
    RunCompleted.TYPE: "completed",
    RunFailed.TYPE: "failed",
    RunCancelled.TYPE: "cancelled",
    RunTimedOut.TYPE: "timed-out",
    RunCrashed.TYPE: "crashed",
}


# State


class RunState(Value):
    """Where the run is. ``status`` is empty before the first event; ``request`` never holds text."""

    status: str = ""
    request: RunCreated | None = None
    executor: str | None = None
    token: int = 0
    cancel: RunCancelRequested | None = None
    withdrawn: bool = False

    @property
    def open(self) -> bool:
        """Whether a terminal event is still to come."""
        return self.status in {"queued", "running", "paused"}


def evolve(state: RunState, event: Event) -> RunState:
    """Follow one event."""
    match event:
        case RunQueued() | RunCreated():
            status = "queued" if isinstance(event, RunQueued) else "running"
            return RunState(status=status, request=without_text(event), cancel=state.cancel)
        case RunLeased():
            return RunState(
                status=state.status,
                request=state.request,
                executor=event.executor,
                token=event.token,
                cancel=state.cancel,
            )
        case RunCancelRequested() if state.open:
            return RunState(
                status=state.status,
                request=state.request,
                executor=state.executor,
                token=state.token,
                cancel=event,
            )
        case RunCompleted() | RunFailed() | RunCancelled() | RunTimedOut() | RunCrashed():
            withdrawn = isinstance(event, RunCancelled) and event.cause == "session-busy"
            status = STATUS_OF_ENDING[event.TYPE]
            return RunState(status=status, request=state.request, token=state.token, withdrawn=withdrawn)
        case _:
            return state


def without_text(request: RunRequest) -> RunCreated:
    """The request as states keep it, and as it is repeated when a queued run is admitted."""
    return RunCreated(
        session_id=request.session_id,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        provider=request.provider,
        model=request.model,
        harness_profile_snapshot=request.harness_profile_snapshot,
        profile_named=request.profile_named,
        timeout_ms=request.timeout_ms,
        requested_by=request.requested_by,
        context_refs=request.context_refs,
    )


def guards(recorded: Recorded[Event]) -> tuple[Guard, ...]:
    """What an event occupies: ``waiting`` and ``slot`` by run, ``turn`` by session, ``lease`` by run."""
    event = recorded.event
    run_id = recorded.stream
    match event:
        case RunQueued():
            return (Guard(kind="waiting", key=run_id, value=(recorded.position, event.session_id)),)
        case RunCreated():
            return (
                Guard(kind="waiting", key=run_id, value=None),
                Guard(kind="slot", key=run_id, value=(recorded.position, event.session_id)),
                Guard(kind="turn", key=event.session_id, value=(run_id,)),
            )
        case RunLeased():
            return (Guard(kind="lease", key=run_id, value=(event.executor, event.token)),)
        case RunCompleted() | RunFailed() | RunCancelled() | RunTimedOut() | RunCrashed():
            return (
                Guard(kind="waiting", key=run_id, value=None),
                Guard(kind="slot", key=run_id, value=None),
                Guard(kind="turn", key=recorded.session_id or "", value=None, held=(run_id,)),
                Guard(kind="lease", key=run_id, value=None),
            )
        case _:
            return ()


# Commands


class RequestRun(Value):
    """Admit the run, or queue it when it has to wait."""

    request: RunRequest
    wait: WaitReason | None = None


class AdmitRun(Value):
    """The wait is over."""


class LeaseRun(Value):
    """An executor takes the run (``pid`` of its process) and starts it with what the user said."""

    executor: str
    pid: int
    said: str


class EndRun(Value):
    """The executor that holds ``token`` ends the run, with what it still has to say before."""

    token: int
    last: tuple[TranscriptAppended | UsageRecorded, ...]
    ending: RunCompleted | RunFailed | RunCancelled | RunTimedOut


class CancelRun(Value):
    """Ask for a cancel, by run or by session; without a lease it is done at once."""

    reason: str | None = None
    by_run: str | None = None
    cause: CancelCause = "requested"


class WithdrawRun(Value):
    """A synchronous caller waited long enough for its turn."""

    cause: CancelCause


class CrashRun(Value):
    """The executor that holds ``token`` is dead."""

    token: int


RunCommand = RequestRun | AdmitRun | LeaseRun | EndRun | CancelRun | WithdrawRun | CrashRun


def decide(command: RunCommand, state: RunState, context: Context) -> tuple[Event, ...]:
    """What follows; nothing where the command is late. Raises LeaseLost for a token that is not the present one."""
    match command:
        case RequestRun():
            return () if state.status else (_requested(command),)
        case AdmitRun():
            return (state.request,) if state.status == "queued" and state.request else ()
        case LeaseRun():
            return _leased(command, state)
        case EndRun():
            if not state.open:
                return ()
            if state.token != command.token:
                raise LeaseLost("the run was taken over by another executor")
            return _ended(command, state)
        case CancelRun():
            return _cancelled(command, state)
        case WithdrawRun():
            return (RunCancelled(cause=command.cause),) if state.status == "queued" else ()
        case CrashRun():
            if not state.open or state.token != command.token or state.executor is None:
                return ()
            return (RunCrashed(executor=state.executor, attempt=state.token),)


def _requested(command: RequestRun) -> Event:
    request = command.request
    created = without_text(request)
    fields = {name: getattr(created, name) for name in RunRequest.__struct_fields__}
    fields |= {
        "contents": request.contents,
        "contents_salt": request.contents_salt,
        "metadata": request.metadata,
    }
    return RunCreated(**fields) if command.wait is None else RunQueued(reason=command.wait, **fields)


def _leased(command: LeaseRun, state: RunState) -> tuple[Event, ...]:
    if state.status != "running" or state.executor is not None:
        return ()
    token = state.token + 1
    return (
        RunLeased(executor=command.executor, token=token, attempt=token, pid=command.pid),
        RunStarted(attempt=token),
        TranscriptAppended(role="user", kind="message", chars=len(command.said), content=command.said),
    )


def _ended(command: EndRun, state: RunState) -> tuple[Event, ...]:
    """A cancel that was acknowledged wins over whatever the executor had to say; what was paid stays recorded."""
    if state.cancel is None:
        return (*command.last, command.ending)
    paid = tuple(event for event in command.last if isinstance(event, UsageRecorded))
    return (*paid, RunCancelled(cause="requested", reason=state.cancel.reason))


def _cancelled(command: CancelRun, state: RunState) -> tuple[Event, ...]:
    status: Literal["cancelled", "not-running"] = "cancelled" if state.open else "not-running"
    asked = RunCancelRequested(status=status, reason=command.reason, run_id=command.by_run)
    if state.open and state.executor is None:
        return (asked, RunCancelled(cause=command.cause, reason=command.reason))
    return (asked,)


DECIDER: Decider[RunState] = Decider(
    category="run",
    events=(
        RunQueued,
        RunCreated,
        RunLeased,
        RunStarted,
        TranscriptAppended,
        ToolCalled,
        EvidenceAttached,
        UsageRecorded,
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
    guards=guards,
)
