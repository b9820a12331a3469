"""Stored events of a run, and the values inside them."""

from typing import Annotated, ClassVar, Literal

from athena_core.event import EXTRA, TEXT, Event, Shows, Text, Value
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
