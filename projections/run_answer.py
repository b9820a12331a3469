"""The answer of a run: its type, its row, and the JSON that the row stores.

Hot: each change of a run encodes it once, in 3 µs. A page copies the stored bytes.
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.enums import LimitScope, PauseReason, RequeueReason, RunStatus, VerificationStatus, WaitReason
from athena_core.errors import RetryWith
from athena_core.event import Value, says
from athena_core.values import Usage, VerificationFailure

RunWaitReason: TypeAlias = Literal[WaitReason, RequeueReason, "ask"]


class ReachedLimit(Value):
    """A limit of the policy by session, provider or profile that is reached: ``active`` runs of at most ``max``."""

    scope: Annotated[LimitScope, says("What the limit counts by.")]
    key: Annotated[str, says("Name that the limit is for.")]
    max: int
    active: Annotated[int, says("Active runs that the limit counts.")]


class RunWait(Value):
    """Why a run is waiting, and its place in the queue of its session, limit or server.

    A running run is waiting for an ``executor`` if none has taken it since it was admitted or resumed.
    ``blockedBy`` is the run that holds the session, or the oldest run that the limit counts. It is absent if the
    caller's scope does not cover that run. A run that waits for answers to its open ``asks`` has no place. It is
    ``parked`` if it gave its slot back; then it also waits for a slot after the last answer.
    """

    reason: Annotated[RunWaitReason, says("Why the run waits.")]
    position: Annotated[int | None, says("Place in the queue, from 1; absent if it waits for answers.")] = None
    blocked_by: str | None = None
    limit: Annotated[ReachedLimit | None, says("The limit that is reached, if that is the reason.")] = None
    asks: Annotated[tuple[str, ...] | None, says("Ids of the open asks that it waits for.")] = None
    parked: Annotated[
        bool | None, says("True if it gave its slot back to wait for a person; absent for a queued run.")
    ] = None


class RunUsage(Usage):
    """The tokens that a run used. ``estimated`` is true if a provider did not report all of them."""

    estimated: Annotated[bool | None, says("True if a provider did not report all tokens; else absent.")] = None


class RunError(Value):
    """The error of a run without an answer."""

    code: str
    message: Annotated[str, says("Text for people; `(erased)` once redacted.")]
    retryable: bool
    retry_with: RetryWith | None = None


class RunPause(Value):
    """Why and since when a run is paused. ``POST /runs/:runId/resume`` resumes it, an answer if it asked a person."""

    reason: Annotated[PauseReason, says("Why the run is paused.")]
    since: Annotated[str, says("When it was paused.")]


class RunLinks(Value, kw_only=False):
    """Paths of resources related to a run."""

    self: Annotated[str, says("Path of the run.")]
    session: Annotated[str, says("Path of its session.")]
    events: Annotated[str, says("Path of its events.")]
    cancel: Annotated[str, says("Path that cancels the run.")]


class TemplateVersion(Value):
    """The template version that a run was started from."""

    id: str
    version: int


class Run(Value, kw_only=False):
    """A run. In lists, ``inputPreview`` and ``outputPreview`` replace the input and the output.

    A preview has at most 160 characters. ``outputChars`` is the length of the output in characters. ``include=output``
    adds the output. ``partial`` is true if the output is not a whole answer: the run ended or paused while the model
    was writing. ``durationMs`` is the time from the start to the end, with pauses. ``retries`` counts the runs that
    retry this one. It and ``childCount`` are absent for a caller with a scope. ``redacted`` is true if a text of the
    run was erased.

    ``requestedBy`` caused the run: its caller, or the author of its schedule, who started its workflow run, or who
    drained or sent its item. ``requesters`` are all who did, if there are more: also the author of a schedule that
    was run manually, who resumed the workflow run, who sent the items, and the requesters of the parent run.
    """

    run_id: str
    session_id: str
    status: Annotated[
        RunStatus, says("`queued`, `running` or `paused` until the run ends; then its outcome, which is final.")
    ]
    created_at: str
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    attempt: int
    evidence_count: int
    links: Annotated[RunLinks, says("Paths of related resources.")]
    started_at: Annotated[str | None, says("When an executor started it; absent before that.")] = None
    finished_at: str | None = None
    waiting: Annotated[RunWait | None, says("Why it waits; present while it is queued.")] = None
    paused: Annotated[RunPause | None, says("Why and since when it is paused; absent if it is not.")] = None
    parent_run_id: str | None = None
    template: TemplateVersion | None = None
    output: Annotated[
        str | None,
        says("Text of the answer; absent before the end, once redacted, and in lists without `include=output`."),
    ] = None
    partial: Annotated[
        bool | None, says("True if the output is not a whole answer: the run was cut off. Else absent.")
    ] = None
    usage: Annotated[RunUsage | None, says("Tokens of all its model calls; absent before the first.")] = None
    cost_micro_usd: int | None = None
    budget_micro_usd: int | None = None
    error: Annotated[RunError | None, says("Why it did not complete; absent otherwise.")] = None
    verification_status: Annotated[
        VerificationStatus | None, says("Whether it met its verification policies; absent before it completed.")
    ] = None
    verification_failures: tuple[VerificationFailure, ...] | None = None
    input_preview: str | None = None
    output_preview: Annotated[str | None, says("First 160 characters of the output on one line, in lists only.")] = None
    output_chars: int | None = None
    redacted: bool | None = None
    agent_name: str | None = None
    agent: Annotated[str | None, says("Outside agent of its profile; absent without one.")] = None
    agent_version: str | None = None
    agent_mode: Annotated[
        str | None, says("Mode of the agent's session that Athena ordered; absent if none, or before it.")
    ] = None
    duration_ms: Annotated[int | None, says("Milliseconds from start to end; absent before the end.")] = None
    child_count: Annotated[int | None, says("Number of runs that name it as their parent; absent without any.")] = None
    retry_of: str | None = None
    retries: Annotated[int | None, says("Number of runs that retry it; absent without any.")] = None
    requested_by: Annotated[
        str | None, says("Identity that caused the run; absent for runs of releases before 0.3.")
    ] = None
    requesters: Annotated[
        tuple[str, ...] | None, says("All identities that requested the run; absent if there is only one.")
    ] = None


class RunRow(msgspec.Struct, gc=False):
    """A run, by the position of its first event. ``error`` and similar columns are JSON.

    ``redacted`` is True once a text of it is erased, ``partial`` if the output is not a whole answer; otherwise NULL.
    ``asks`` are the ids of its open asks, separated by spaces; NULL if there are none. ``answer`` is what
    ``answer_of`` returns.
    """

    position: int
    run_id: str
    session_id: str
    status: RunStatus
    created_at: int
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    trace_id: str
    attempt: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    output_position: int | None = None
    usage: str | None = None
    cost_micro_usd: int | None = None
    error: str | None = None
    evidence_count: int = 0
    verification_status: VerificationStatus | None = None
    verification_failures: str | None = None
    parent_run_id: str | None = None
    budget_micro_usd: int | None = None
    paused_at: int | None = None
    pause_reason: PauseReason | None = None
    template_id: str | None = None
    template_version: int | None = None
    input_position: int | None = None
    input_preview: str | None = None
    output_preview: str | None = None
    output_chars: int | None = None
    error_position: int | None = None
    redacted: bool | None = None
    partial: bool | None = None
    agent_name: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    agent_mode: str | None = None
    child_count: int = 0
    retry_of: str | None = None
    retries: int = 0
    asks: str | None = None
    error_code: str | None = None
    duration_ms: int | None = None
    requested_by: str | None = None
    requesters: str | None = None
    answer: bytes = b""


CUT: Any = msgspec.Raw(b"\n")
"""Marks the place of a field in a stored answer: of ``waiting``, then of ``output``. JSON here has no other newline."""
COUNTS = re.compile(rb',"(?:childCount|retries)":[0-9]+')
PREVIEW, PREVIEWED_CHARS = b',"outputPreview":', b',"outputChars":'
"""Beginnings of fields. A string contains none of these, because a quote in a string follows a backslash."""

_encode = msgspec.json.Encoder().encode


def answer_of(row: RunRow) -> bytes:
    """Return the answer to store: the JSON of the run in a list, cut where ``waiting`` and ``output`` belong."""
    run = Run(
        row.run_id,
        row.session_id,
        row.status,
        iso(row.created_at),
        row.directive_id,
        row.harness_profile_id,
        row.provider,
        row.model,
        row.attempt,
        row.evidence_count,
        _links(row.run_id, row.session_id),
        iso_or_none(row.started_at),
        iso_or_none(row.finished_at),
        CUT,
        None if row.pause_reason is None else RunPause(reason=row.pause_reason, since=iso(row.paused_at or 0)),
        row.parent_run_id,
        None if row.template_id is None else TemplateVersion(id=row.template_id, version=row.template_version or 0),
        CUT,
        row.partial,
        _stored(row.usage),
        row.cost_micro_usd,
        row.budget_micro_usd,
        _stored(row.error),
        row.verification_status,
        _stored(row.verification_failures),
        row.input_preview,
        row.output_preview,
        row.output_chars,
        row.redacted,
        row.agent_name,
        row.agent,
        row.agent_version,
        row.agent_mode,
        row.duration_ms,
        row.child_count or None,
        row.retry_of,
        row.retries or None,
        row.requested_by,
        _stored(row.requesters),
    )
    return _encode(run).replace(b',"waiting":\n', b"\n", 1).replace(b',"output":\n', b"\n", 1)


def _stored(json: str | None) -> Any:
    """Return the JSON of a column as a field of the answer."""
    return None if json is None else msgspec.Raw(json)


def _links(run_id: str, session_id: str) -> RunLinks:
    return RunLinks(  # self, session, events, cancel
        f"/api/v1/runs/{run_id}",
        f"/api/v1/sessions/{session_id}",
        f"/api/v1/events?runId={run_id}",
        f"/api/v1/run-control/by-run/{run_id}/cancel",
    )


def shown(answer: bytes, waiting: RunWait | None = None, output: str | None = None) -> bytes:
    """Return the JSON of a run from its stored answer."""
    if waiting is None and output is None:
        return answer.replace(b"\n", b"")
    begin, cause, rest = answer.split(b"\n")
    wait = b"" if waiting is None else b',"waiting":' + _encode(waiting)
    text = b"" if output is None else b',"output":' + _encode(output)
    return b"".join((begin, wait, cause, text, rest))


def without_counts(answer: bytes) -> bytes:
    """Return a stored answer without counts of other runs, which a scope may hide."""
    return COUNTS.sub(b"", answer)


def without_preview(answer: bytes) -> bytes:
    """Return a stored answer without the preview and the length of the output, which it must have."""
    begin = answer.rindex(PREVIEW)
    end = answer.find(b",", answer.index(PREVIEWED_CHARS, begin) + len(PREVIEWED_CHARS))
    return answer[:begin] + (b"}" if end < 0 else answer[end:])
