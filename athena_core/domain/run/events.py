"""Stored events of a run, and the values inside them."""

from typing import Annotated, ClassVar, Literal

from athena_core.definitions.profile import HarnessSpec
from athena_core.domain.run.attached import FREES_NOTHING, AgentAttached, McpAttached
from athena_core.domain.run.parts import AskOption, PolicyOrigin, RunRejection, SandboxReport
from athena_core.enums import (
    AgentToolKind,
    AnswerCause,
    ApproverRole,
    AskExpiry,
    AskOrigin,
    CallOrigin,
    EvidenceSource,
    EvidenceType,
    PauseReason,
    RequeueReason,
    RunAskKind,
    RunEndStatus,
    TranscriptKind,
    TranscriptRole,
    VerificationStatus,
    WaitReason,
)
from athena_core.errors import RetryWith
from athena_core.event import EXTRA, TEXT, Event, Shows, Text, says
from athena_core.outside_text import HiddenSpan
from athena_core.values import (
    ContextMeta,
    ContextReference,
    PinnedScope,
    RefusedPlan,
    RefusedRequest,
    Reliability,
    Usage,
    VerificationFailure,
)

CancelCause = Literal["requested", "session-busy", "executor", "key-limit", "interrupted", "parent"]
WITHDRAWN_CAUSES = frozenset({"session-busy", "executor", "key-limit"})
LossReason = Literal["dead", "frozen", "left"]
"""How an executor lost a run: its process ended, it stopped sending heartbeats, or it shut down in order."""

BEFORE_REJECTED = "policy.rejected, which follows it, has the same content"


# Stored events. Their TYPE is storage: never rename one.


class RunRequest(Event):
    """The resolved request of a run: references are read, and the profile is a copy.

    ``scope`` is the scope of the caller that caused the run, directly or indirectly. ``retry_of`` is the run whose
    request is made again. ``workflow_run_id`` is the workflow run whose workspace the run shares. ``mcp_tools`` are the
    accepted tools of MCP servers that the profile names, as SHA-256 by server and tool. ``requesters`` requested the
    run, the one that caused it now first; absent before release 0.3.
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
    retry_of: Annotated[str | None, EXTRA] = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    context_refs: tuple[ContextReference, ...] | None = None
    contents: Annotated[tuple[str, ...] | None, TEXT] = None
    contents_salt: Text = None
    persona_name: str | None = None
    workflow_run_id: str | None = None
    mcp_tools: dict[str, dict[str, str]] | None = None
    requesters: tuple[str, ...] | None = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None

    @property
    def places(self) -> tuple[str, ...]:
        """The limit keys at which the run counts while it holds a slot."""
        profile_id = self.harness_profile_id if self.profile_named else None
        return limit_keys(self.session_id, profile_id, self.provider, self.fallbacks, self.agent)

    @property
    def agent(self) -> str | None:
        """The outside agent that works on the run; None if the loop does."""
        policy = self.harness_profile_snapshot.agent
        return None if policy is None else policy.name


def limit_keys(
    session_id: str,
    profile_id: str | None,
    provider: str | None,
    fallbacks: tuple[str, ...] | None,
    agent: str | None = None,
) -> tuple[str, ...]:
    """Return the limit keys of a run: its session, its named profile, every provider that it may call, and its agent.

    The key of a session is its id alone, which contains no colon.
    """
    places = [session_id]
    if profile_id is not None:
        places.append(f"harness-profile:{profile_id}")
    if provider is not None:
        places.append(f"provider:{provider}")
    places += [f"provider:{name}" for name in fallbacks if name != provider] if fallbacks else ()
    if agent is not None:
        places.append(f"agent:{agent}")
    return tuple(places)


class RunQueued(RunRequest, kw_only=True):
    """The run waits and holds no slot. ``requested_by`` is the executor that will lease it."""

    TYPE: ClassVar[str] = "run.queued"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    BEGINS: ClassVar[bool] = True
    reason: Annotated[WaitReason, says("Why it has no slot yet.")]


class RunCreated(RunRequest):
    """The run was admitted: it holds a slot and its session, and its timeout has started."""

    TYPE: ClassVar[str] = "run.created"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    BEGINS: ClassVar[bool] = True


class RunLeased(Event):
    """An executor leased the run. ``token`` invalidates earlier leases.

    ``attempt`` is the number of executors that the run has lost, plus this one.
    """

    TYPE: ClassVar[str] = "run.leased"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    BEGINS: ClassVar[bool] = True
    executor: str
    token: int
    attempt: int
    pid: int
    taken_from: str | None = None
    because: LossReason | None = None


class RunStarted(Event):
    """The execution started."""

    TYPE: ClassVar[str] = "run.started"
    SHOWS: ClassVar[Shows] = Shows(explain="the lease before it is explained", simulate=FREES_NOTHING, console=True)
    attempt: int


class TranscriptAppended(Event):
    """An entry was added to the transcript of the run's session.

    Model output is ``truncated`` if a token limit cut it, and also ``interrupted`` if the run's budget did; then it is
    not an answer. Neither is ``partial`` output: its run ended or paused before the model had finished. A tool result
    is ``interrupted`` if the effect of the call is unknown.
    """

    TYPE: ClassVar[str] = "transcript.appended"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    role: Annotated[TranscriptRole, says("Author of the entry.")]
    kind: Annotated[TranscriptKind, says("Kind of the entry.")]
    chars: int
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    sanitized: bool | None = None
    truncated: bool | None = None
    changed: bool | None = None
    interrupted: bool | None = None
    partial: bool | None = None
    content: Text = None


class MemoryRecalled(Event):
    """The run was given notes before its first model call. ``chars`` is their size in characters."""

    TYPE: ClassVar[str] = "memory.recalled"
    SHOWS: ClassVar[Shows] = Shows(explain="it takes no time and decides nothing", simulate=FREES_NOTHING, console=True)
    citations: tuple[str, ...]
    chars: int
    snippets: Annotated[tuple[str, ...] | None, TEXT] = None


class ToolCalled(Event):
    """A model requested a tool call. It is recorded before the call. ``refused`` is set if the call will not be made.

    If the tool does not exist, the model's text is in ``unknown_name``. ``ask_id`` is the ask that allowed the call.
    ``credentials`` are the names of the credentials that the call carries.

    ``origin``: the call is one of an outside agent. With ``agent`` the agent makes it. It is recorded after the agent
    asked (``asked``), or else once the agent shows that it began. ``kind`` is the agent's word for it. With ``mcp``
    Athena makes the call, which the agent requested at the MCP endpoint of its run.

    ``changed-tool``: an MCP server describes the tool otherwise than when it was accepted.
    """

    TYPE: ClassVar[str] = "tool.called"
    SCHEMA: ClassVar[int] = 5
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    turn: int
    tool_call_id: str
    chars: int
    repeatable: bool
    tool_name: str | None = None
    refused: Literal["unknown-tool", "bad-arguments", "denied", "too-many-asks", "changed-tool"] | None = None
    ask_id: str | None = None
    credentials: tuple[str, ...] | None = None
    origin: CallOrigin | None = None
    kind: Annotated[
        AgentToolKind | None, says("Kind of the call, in the agent's words; absent for tools of Athena.")
    ] = None
    asked: bool | None = None
    unknown_name: Text = None
    arguments: Text = None


class EvidenceAttached(Event):
    """The run attached evidence. ``sha256`` covers the salt and the content, so erasing both leaves no trace.

    ``label`` is a label from the profile's policies. Any other label is the model's text: ``free_label``. Evidence with
    ``workspace`` becomes stale when the workspace changes later.
    """

    TYPE: ClassVar[str] = "evidence.attached"
    SCHEMA: ClassVar[int] = 3
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    evidence_id: str
    evidence_type: EvidenceType
    size_bytes: int
    sha256: str
    source: Annotated[EvidenceSource, says("Part of the run that attached it.")]
    workspace: bool
    label: str | None = None
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    free_label: Text = None
    content: Text = None
    content_salt: Text = None


class SandboxLifecycle(Event):
    """The sandbox of the run's commands reached a phase, or does not work on the executor.

    ``ready``: a lease started its first command in it. ``fallback``: none works, so commands run without one.
    ``required-unavailable``: none works, so the run fails. ``cleaned``: the run ended, and nothing of it is left.
    """

    TYPE: ClassVar[str] = "sandbox.lifecycle"
    SHOWS: ClassVar[Shows] = Shows(
        views="the page of the run folds it from the run's events",
        explain=True,
        simulate=FREES_NOTHING,
        console=True,
    )
    sandbox: Annotated[SandboxReport | None, EXTRA] = None


class WorkspaceOpened(Event):
    """The run works in the workspace of its session or workflow run, which has the content ``tree`` before."""

    TYPE: ClassVar[str] = "workspace.opened"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    workspace_id: str
    tree: str


class WorkspaceChanged(Event):
    """The run left its workspace with the content ``tree``. The evidence is the diff, unless nothing changed.

    ``files`` counts the changed files, ``binary_files`` the ones without lines in the diff. ``hidden`` counts the parts
    that the recorded diff hides, and is None before 0.3. ``hidden_spans`` are the first of them.
    """

    TYPE: ClassVar[str] = "workspace.changed"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    workspace_id: str
    tree: str
    files: int
    binary_files: int
    added_lines: int
    removed_lines: int
    truncated: bool | None = None
    evidence_id: str | None = None
    hidden: int | None = None
    hidden_spans: tuple[HiddenSpan, ...] | None = None


class UsageRecorded(Event):
    """A model call was paid for. The cost is absent, and ``unpriced`` set, if the model has no price.

    ``estimated``: the provider reported no usage, so characters were counted. ``failed``: the call failed or was
    cancelled after the first output or report of usage. ``first_token_ms``: time to the first piece of the output.
    ``reserved_micro_usd``: the part of the daily budget that stays reserved for other open calls of the run.
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
    first_token_ms: int | None = None
    reserved_micro_usd: int | None = None


class BudgetReserved(Event):
    """The maximum cost of the open model calls of a run was reserved from the daily budget.

    The sum includes the unrecorded cost of failed calls, and replaces the one before. The next recorded usage settles
    it, except for the part that the usage keeps for other open calls. A pause or the end of the run releases it.
    """

    TYPE: ClassVar[str] = "budget.reserved"
    SHOWS: ClassVar[Shows] = Shows(explain="the usage or the pause after it is explained", simulate=True)
    turn: int
    provider: str
    model: str
    reserved_micro_usd: int


class RunAsked(Event):
    """The run asks a person and waits. Its time stands until no ask is open.

    ``subject_sha256`` is the hash of the salt and the subject of the decision. ``chars`` is the length of the call's
    arguments. After ``hold_until_ms`` the run is parked. ``on_expiry`` is the consequence of no answer in time.
    ``credentials`` are the names of the credentials that the call would carry. ``tool_kind`` is an outside agent's word
    for the call. ``server`` is the MCP server that asks during the call ``tool_call_id``, which goes on afterwards.
    ``tool_sha256`` is the hash of a tool of an MCP server, as an operator accepted it.

    ``hidden`` are the parts that the shown text does not have. Then ``exact`` is the whole subject as canonical JSON:
    the arguments, or the question with its form. It is what the hash covers. ``secrets`` are the names that stand in
    the text in place of secrets.
    """

    TYPE: ClassVar[str] = "run.asked"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=FREES_NOTHING, console=True)
    ask_id: str
    kind: Annotated[RunAskKind, says("Kind of the ask.")]
    origin: AskOrigin
    turn: int
    chars: int
    options: tuple[AskOption, ...]
    subject_sha256: str
    expires_at_ms: int
    on_expiry: AskExpiry
    hold_until_ms: int
    tool_call_id: str | None = None
    tool_name: str | None = None
    tool_kind: AgentToolKind | None = None
    role: Annotated[ApproverRole | None, says("Lowest role that may answer; absent: Operator.")] = None
    approvers: tuple[str, ...] | None = None
    not_requester: bool | None = None
    credentials: tuple[str, ...] | None = None
    tool_sha256: str | None = None
    server: str | None = None
    hidden: tuple[HiddenSpan, ...] | None = None
    secrets: tuple[str, ...] | None = None
    title: Text = None
    arguments: Text = None
    option_names: Annotated[tuple[str, ...] | None, TEXT] = None
    form: Text = None
    exact: Text = None
    subject_salt: Text = None

    @property
    def exact_arguments(self) -> str | None:
        """The arguments with all parts; None without any, and once they are erased."""
        return self.arguments if self.exact is None else self.exact


class RunAskOpened(Event):
    """A person who may answer an ask opened its exact text, because the shown text hides a part of it.

    Without it the person cannot allow the call or answer the question.
    """

    TYPE: ClassVar[str] = "run.ask.opened"
    SHOWS: ClassVar[Shows] = Shows(audit=True, explain=True, simulate=FREES_NOTHING)
    ask_id: str
    subject_sha256: str
    by: Annotated[str, says("Identity that opened the exact text.")]


class RunAnswered(Event):
    """An ask was decided: by a person, by a permission rule, by its expiry, or by the end of the run.

    ``edited_sha256`` is the hash of the salt and of the call that was approved instead, with these ``arguments``.
    ``values`` are the answers to a form, as JSON.
    """

    TYPE: ClassVar[str] = "run.answered"
    SHOWS: ClassVar[Shows] = Shows(audit=True, explain=True, simulate=FREES_NOTHING, console=True)
    ask_id: str
    subject_sha256: str
    cause: Annotated[AnswerCause, says("What decided the ask.")]
    by: Annotated[str | None, says("Identity that answered; absent if no person did.")] = None
    option_id: str | None = None
    rule_id: str | None = None
    edited_sha256: str | None = None
    arguments: Text = None
    values: Text = None
    note: Text = None
    edited_salt: Text = None


class RunRequeued(Event):
    """A parked run, all of whose asks are answered, waits in line for a slot. Its limit keys are in the event."""

    TYPE: ClassVar[str] = "run.requeued"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate="the resume that follows is replayed", console=True)
    reason: Annotated[RequeueReason, says("Why it has no slot yet.")]
    harness_profile_id: str | None = None
    provider: str | None = None
    fallbacks: tuple[str, ...] | None = None
    agent: Annotated[str | None, says("Outside agent of its profile; absent: the loop of Athena.")] = None


class RunPaused(Event):
    """The run waits for money or for a person. It keeps its session but frees its slot.

    Its timeout stops at ``elapsed_ms``. ``budget`` is the run's own budget. ``daily-budget`` is the policy's, with the
    sums of the UTC day. ``unpriced-model`` means that the cost of the next call is unknown. ``ask`` has no sums.
    """

    TYPE: ClassVar[str] = "run.paused"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    reason: Annotated[PauseReason, says("Money or the person that it waits for.")]
    elapsed_ms: int
    spent_micro_usd: int | None = None
    budget_micro_usd: int | None = None


class RunResumed(Event):
    """A paused run was resumed and holds a slot again. Without ``budget_micro_usd`` it has no budget any more.

    ``requested_by`` is the executor that will lease it. The run counts again at its profile (if it named one) and
    at its providers and its outside agent.
    """

    TYPE: ClassVar[str] = "run.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True, explain=True, simulate=True, console=True)
    BEGINS: ClassVar[bool] = True
    requested_by: str
    budget_micro_usd: int | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    fallbacks: tuple[str, ...] | None = None
    agent: Annotated[str | None, says("Outside agent of its profile; absent: the loop of Athena.")] = None


class RunCancelRequested(Event):
    """A cancel was requested. ``run_id`` is set if the request named the run. ``note`` is the caller's reason."""

    TYPE: ClassVar[str] = "run.cancel.requested"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(
        audit=True, explain=True, simulate="the terminal event that follows is replayed", console=True
    )
    status: Literal["cancelled", "not-running"]
    run_id: str | None = None
    cause: Annotated[CancelCause | None, says("Why a cancel was requested.")] = None
    note: Text = None


class RunCompleted(Event):
    """The run ended with an answer."""

    TYPE: ClassVar[str] = "run.completed"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    provider: str
    model: str
    harness_profile_id: str
    evidence_count: int
    verification_status: VerificationStatus
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
    retry_with: RetryWith | None = None
    error_text: Text = None


class RunCancelled(Event):
    """The run was cancelled, or withdrawn before it started. An earlier cancel request has the reason."""

    TYPE: ClassVar[str] = "run.cancelled"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    cause: Annotated[CancelCause, says("Why it was cancelled.")]
    forced: bool | None = None


class RunTimedOut(Event):
    """The run took longer than its timeout."""

    TYPE: ClassVar[str] = "run.timed-out"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    timeout_ms: int


class RunCrashed(Event):
    """The run lost as many executors as the policy allows."""

    TYPE: ClassVar[str] = "run.crashed"
    SHOWS: ClassVar[Shows] = Shows(explain=True, simulate=True, console=True)
    executor: str
    attempt: int


class PolicyConcurrencyRejected(Event):
    """A run was refused because too many runs were active."""

    TYPE: ClassVar[str] = "policy.concurrency.rejected"
    SHOWS: ClassVar[Shows] = Shows(
        views=BEFORE_REJECTED, audit=BEFORE_REJECTED, explain=BEFORE_REJECTED, simulate=BEFORE_REJECTED
    )
    rejection: RunRejection
    active_runs: int
    max_concurrent_runs: int
    reason: Annotated[str, says("Why the run was refused.")]
    directive_id: str | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    policy: Annotated[PolicyOrigin | None, EXTRA] = None


class PolicyRejected(Event):
    """The policy refused a run. The event before it has the limit. The template is the requested one.

    If the resume of a run was refused, ``plan`` and ``request`` are absent.
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
STATUS_OF_ENDING: dict[str, RunEndStatus] = {
    RunCompleted.TYPE: "completed",
    RunFailed.TYPE: "failed",
    RunCancelled.TYPE: "cancelled",
    RunTimedOut.TYPE: "timed-out",
    RunCrashed.TYPE: "crashed",
}
RunStep = (
    MemoryRecalled
    | AgentAttached
    | McpAttached
    | TranscriptAppended
    | ToolCalled
    | EvidenceAttached
    | SandboxLifecycle
    | WorkspaceOpened
    | WorkspaceChanged
    | UsageRecorded
    | BudgetReserved
    | RunAsked
    | RunAnswered
)
"""The events that an executor records during a run. Its only answers are those by a permission rule."""
