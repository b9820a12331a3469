"""The explanation of a run: the events that led to its status, and the one thing that it waits for now.

Everything but the place in the queue comes from the run's own events. No erasable text is read except the quotes of
``QUOTED``.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

from athena_core.clock import iso
from athena_core.domain.run import (
    STATUS_OF_ENDING,
    AgentAttached,
    EvidenceAttached,
    McpAttached,
    PolicyRejected,
    RunAnswered,
    RunAsked,
    RunAskOpened,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunRequeued,
    RunResumed,
    RunTimedOut,
    SandboxLifecycle,
    SandboxReport,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
    WorkspaceChanged,
    WorkspaceOpened,
)
from athena_core.enums import AgentSessionStart, CallOrigin, PauseReason, RequeueReason, RunStatus, WaitReason
from athena_core.event import MARK_BYTES, Event, Position, Recorded, Value, says
from athena_core.protocols import LogReader, Row
from athena_core.text import duration, money, or_erased, took_longer
from athena_core.values import RefusedPlan, RefusedRequest, Scope

CAUSES_MAX = 1_000
CAUSES_FIRST = 100
COMMIT_EVENTS_MAX = 50
"""How many events back the end of the run that admitted this one is searched, within one commit."""

REASONS: dict[WaitReason | RequeueReason, str] = {
    "session-busy": "another run holds the session",
    "concurrency": "all run slots are in use",
    "executor": "every executor is full",
    "key-limit": "a concurrency limit of a key is reached",
    "halted": "all work is halted",
    "agent-memory": "the outside agents of the executor take as much memory as they may",
}
QUOTED = frozenset({RunFailed.TYPE, RunCancelRequested.TYPE, PolicyRejected.TYPE})
"""The events whose text is quoted; the sentences of all others contain no erasable text."""
REJECTED: Literal["rejected"] = "rejected"
"""The status of a run that the policy rejected before it existed."""

LOSSES = {"dead": "whose process ended", "frozen": "which stopped responding", "left": "which shut down"}
REFUSED = {
    None: "",
    "unknown-tool": ", which this run may not use",
    "bad-arguments": ", with invalid arguments",
    "denied": ", which was denied without asking a person",
    "too-many-asks": ", while too many asks were open",
    "changed-tool": ", which its MCP server describes otherwise than when it was accepted",
}
WHO_CALLED: dict[CallOrigin | None, str] = {
    None: "the model called",
    "agent": "the agent made",
    "mcp": "the agent called",
}
STARTS: dict[AgentSessionStart, str] = {
    "new": "opened a new session",
    "resumed": "resumed its session",
    "replayed": "opened a new session, with the recorded conversation as its input",
}
SANDBOX = {
    "ready": "started the first command in a sandbox",
    "fallback": "no sandbox works here, so commands run without one and reach every network",
    "required-unavailable": "no sandbox works here, and the run requires one",
    "cleaned": "nothing of the sandbox is left",
}
LACKS = {
    "not-supported": "the machine of the executor is not supported",
    "not-installed": "bubblewrap is not installed",
    "failed": "bubblewrap or the egress proxy failed",
}
CANCELLED = {
    "requested": "cancelled on request",
    "session-busy": "withdrawn: its caller stopped waiting for the session",
    "executor": "withdrawn: no executor had room in time",
    "key-limit": "withdrawn: a concurrency limit of a key left no room in time",
    "interrupted": "interrupted",
    "parent": "cancelled with its parent run",
}


CurrentWaitReason: TypeAlias = Literal[WaitReason, RequeueReason, PauseReason, "cancel", "tool", "model"]
ExplainedRunStatus: TypeAlias = Literal[RunStatus, "rejected"]
EventIdOf: TypeAlias = Callable[[Position, bytes], str]
"""Return the id of the event with this position and mark."""


class QueuePlace(NamedTuple):
    """The place of a run in line: why it waits, its position, the run ahead of it, and the limit in words."""

    reason: WaitReason | RequeueReason
    position: int | None
    blocked_by: str | None
    limit: str | None = None


class Cause(Value):
    """One event of the run, as a sentence.

    ``after`` is the run whose end admitted this one. It is absent if that run is outside of the caller's scope.
    ``waitedMs`` is how long the run had waited for this event.
    """

    event_id: str
    type: Annotated[str, says("Type of the event.")]
    at: Annotated[str, says("When it happened.")]
    actor: str
    trace_id: str
    says: str
    caused_by: Annotated[str | None, says("Id of the event that caused it; absent without one.")] = None
    turn: int | None = None
    waited_ms: Annotated[int | None, says("Milliseconds that the run had waited; absent if none.")] = None
    after: Annotated[
        str | None, says("Run whose end admitted this one; absent without one, or outside of the caller's scope.")
    ] = None


class CurrentWait(Value):
    """The one thing that a run waits for now, and since when. ``asks`` are its open asks, if it waits for answers."""

    reason: Annotated[CurrentWaitReason, says("What the run waits for.")]
    since: Annotated[str, says("Since when it waits.")]
    says: str
    position: Annotated[int | None, says("Place in the queue, from 1; absent if not queued.")] = None
    blocked_by: str | None = None
    turn: Annotated[int | None, says("Number of the model call; absent outside of one.")] = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    asks: Annotated[tuple[str, ...] | None, says("Ids of the open asks that it waits for.")] = None


class Explanation(Value):
    """The account of how a run got its status.

    In a long history the middle is left out; ``omitted`` counts the events left out. For a ``rejected`` run, ``plan``
    and ``request`` are present if they were recorded. ``redacted`` is true if the request was erased.
    """

    run_id: str
    session_id: str
    status: ExplainedRunStatus
    causes: Annotated[tuple[Cause, ...], says("Events of the run, oldest first.")]
    waits_for: Annotated[CurrentWait | None, says("What it waits for now; null after its end.")]
    omitted: Annotated[int, says("Events left out in the middle.")] = 0
    parent_run_id: str | None = None
    plan: RefusedPlan | None = None
    request: RefusedRequest | None = None
    redacted: bool | None = None


def explain(
    recorded: Sequence[Recorded[Event]],
    line: QueuePlace | None,
    log: LogReader,
    named: EventIdOf,
    scope: Scope | None = None,
) -> Explanation | None:
    """Explain the run with these events, oldest first. Return None if they are not the events of a run.

    With a ``scope``, only other runs inside of it are named.
    """
    timeline = Timeline(log, named, scope)
    for one in recorded:
        timeline.add(one)
    if timeline.request is None:
        return None if timeline.rejected is None else _rejected(recorded[0].stream, timeline, timeline.rejected)
    causes, omitted = timeline.causes, max(len(timeline.causes) - CAUSES_MAX, 0)
    if omitted:
        causes = causes[:CAUSES_FIRST] + causes[CAUSES_FIRST + omitted :]
    return Explanation(
        run_id=recorded[0].stream,
        session_id=timeline.request.session_id,
        status=timeline.status,
        causes=tuple(causes),
        waits_for=timeline.waits_for(line),
        omitted=omitted,
        parent_run_id=timeline.request.parent_run_id,
    )


def _rejected(run_id: str, timeline: "Timeline", event: PolicyRejected) -> Explanation:
    return Explanation(
        run_id=run_id,
        session_id=event.rejection.rejected_run_details.session_id,
        status=REJECTED,
        causes=tuple(timeline.causes),
        waits_for=None,
        parent_run_id=event.plan.parent_run_id if event.plan else None,
        plan=event.plan,
        request=event.request,
        redacted=True if event.plan and event.request is None else None,
    )


class Sentence(NamedTuple):
    """The sentence for an event, with its details."""

    says: str
    turn: int | None = None
    waited_ms: int | None = None
    after: str | None = None


class Timeline:
    """The sentences of a run, built event by event."""

    def __init__(self, log: LogReader, named: EventIdOf, scope: Scope | None) -> None:
        self.causes: list[Cause] = []
        self.status: RunStatus = "queued"
        self.request: RunQueued | RunCreated | None = None
        self.rejected: PolicyRejected | None = None
        self._log = log
        self._event_id = named
        self._scope = scope
        self._turn = 0
        self._last: Recorded[Event] | None = None
        self._asked_at = self._free_since = 0
        self._executor: str | None = None
        self._pending: dict[str, tuple[ToolCalled, int]] = {}
        self._paused: RunPaused | None = None
        self._asks: dict[str, tuple[RunAsked, int]] = {}
        self._requeued: RunRequeued | None = None
        self._cancel_at: int | None = None
        self._note: str | None = None

    def add(self, one: Recorded[Event]) -> None:
        sentence = self._sentence(one)
        if sentence is not None:
            self.causes.append(
                Cause(
                    event_id=self._event_id(one.position, one.mark),
                    type=one.type,
                    at=iso(one.at),
                    actor=one.actor,
                    trace_id=one.correlation,
                    says=sentence.says,
                    caused_by=self._id_at(one.causation),
                    turn=sentence.turn,
                    waited_ms=sentence.waited_ms,
                    after=sentence.after,
                )
            )
        self._last = one

    def waits_for(self, line: QueuePlace | None) -> CurrentWait | None:
        """Return what the run waits for after the events so far, None if it has ended."""
        last = self._last
        if last is None or self.request is None or self.status in STATUS_OF_ENDING.values():
            return None
        if self.status == "queued":
            return _turn(line, getattr(self.request, "reason", "concurrency"), self._asked_at)
        if self._requeued is not None:
            return _turn(line, self._requeued.reason, self._free_since)
        if self._asks and self._cancel_at is None:
            since = min(asked_at for _, asked_at in self._asks.values())
            about = ", ".join(f"{ask_id} ({_asked(ask)})" for ask_id, (ask, _) in self._asks.items())
            says = f"a person's answer to {about}; to answer: POST /api/v1/asks/:askId/answer"
            return CurrentWait(reason="ask", since=iso(since), says=says, turn=self._turn, asks=tuple(self._asks))
        if self._paused is not None:
            says = f"{_wanted(self._paused)}; to continue: POST /api/v1/runs/{last.stream}/resume"
            return CurrentWait(reason=self._paused.reason, since=iso(self._free_since), says=says)
        if self._cancel_at is not None:
            says = "its executor to stop"
            return CurrentWait(reason="cancel", since=iso(self._cancel_at), says=says)
        if self._executor is None:
            if line and line.reason == "halted":
                return _turn(line, line.reason, self._free_since)
            agent = self.request.agent
            says = "an executor with room" + (f" that has the agent {agent}, and memory for it" if agent else "")
            return CurrentWait(reason="executor", since=iso(self._free_since), says=says)
        for call, called_at in self._pending.values():
            return CurrentWait(
                reason="tool",
                since=iso(called_at),
                says=_tool(call),
                turn=call.turn,
                tool_name=call.tool_name,
                tool_call_id=call.tool_call_id,
            )
        who = f"the agent {self.request.agent} and its model" if self.request.agent else "the model"
        turn = self._turn + 1
        says = f"{who} {self.request.provider}/{self.request.model} to end turn {turn}"
        return CurrentWait(reason="model", since=iso(last.at), says=says, turn=turn)

    def _sentence(self, one: Recorded[Event]) -> Sentence | None:
        """Return the sentence for an event, None if it adds nothing."""
        event = one.event
        match event:
            case RunQueued():
                self.request, self.status, self._asked_at = event, "queued", one.at
                return Sentence(f"{_requested(one, event)}; queued, because {REASONS[event.reason]}")
            case RunCreated():
                return self._admitted(one, event)
            case RunLeased():
                return self._leased(one, event)
            case AgentAttached() | McpAttached():
                return Sentence(_attached(event))
            case TranscriptAppended():
                return Sentence(self._transcript(event), self._turn or None)
            case ToolCalled():
                self._turn = event.turn
                self._pending[event.tool_call_id] = event, one.at
                return Sentence(_called(event), event.turn)
            case RunAsked():
                self._turn = event.turn
                self._asks[event.ask_id] = event, one.at
                return Sentence(f"asked a person: {event.ask_id} ({_asked(event)})", event.turn)
            case RunAskOpened():
                return Sentence(f"{event.by} opened the exact text of {event.ask_id}")
            case RunAnswered():
                return self._answered(one, event)
            case RunRequeued():
                self._requeued = event
                return Sentence(f"waits in line for a slot, because {REASONS[event.reason]}")
            case EvidenceAttached():
                return Sentence(f"the {event.source} attached evidence: {_attachment(event)}", self._turn or None)
            case SandboxLifecycle():
                return None if event.sandbox is None else Sentence(_sandboxed(event.sandbox), self._turn or None)
            case WorkspaceOpened():
                return Sentence(f"works in the workspace {event.workspace_id}")
            case WorkspaceChanged():
                return Sentence(_changed(event))
            case UsageRecorded():
                self._turn = self._turn if event.failed else event.turn or self._turn
                return Sentence(_paid(event), event.turn)
            case RunPaused():
                self.status, self._paused, self._executor = "paused", event, None
                self._free_since = one.at
                return Sentence(f"paused: {_spent(event)}")
            case RunResumed():
                return self._resumed(one, event)
            case RunCancelRequested():
                return Sentence(self._cancel_requested(one, event))
            case PolicyRejected() if self.request is None:
                self.rejected = event
                return Sentence(f"requested by {one.actor}; rejected, because {_refused(event)}")
            case _ if one.type in STATUS_OF_ENDING:
                self.status = STATUS_OF_ENDING[one.type]
                return Sentence(_ended(event, self._note))
            case _:
                return None

    def _admitted(self, one: Recorded[Event], event: RunCreated) -> Sentence:
        first = self.request is None
        self.request, self.status, self._free_since = event, "running", one.at
        if first:
            return Sentence(f"{_requested(one, event)}; accepted at once")
        waited, row = max(one.at - self._asked_at, 0), self._ended_before(one)
        after = row.stream if row and (not self._scope or self._scope.shows(row.session_id or "", row.stream)) else None
        says = f"accepted after {duration(waited)}" + (f", when {after or 'another run'} ended" if row else "")
        return Sentence(says, waited_ms=waited, after=after)

    def _answered(self, one: Recorded[Event], event: RunAnswered) -> Sentence:
        ask, asked_at = self._asks.pop(event.ask_id, (None, one.at))
        chosen = f"chose {event.option_id!r}" + (" with other arguments" if event.edited_sha256 else "")
        match event.cause:
            case "person":
                says = f"{event.by} {chosen} for {event.ask_id}"
            case "rule":
                says = f"the permission rule {event.rule_id} {chosen} for {event.ask_id}"
            case "expiry":
                cancels = ask is not None and ask.on_expiry == "cancel"
                says = f"{event.ask_id} expired: the run is {'cancelled' if cancels else 'answered with a refusal'}"
            case _:
                says = f"{event.ask_id} was closed, because the run ended"
        return Sentence(says, waited_ms=max(one.at - asked_at, 0))

    def _resumed(self, one: Recorded[Event], event: RunResumed) -> Sentence:
        waited, self._free_since = max(one.at - self._free_since, 0), one.at
        asked = self._paused is not None and self._paused.reason == "ask"
        self.status, self._paused, self._requeued = "running", None, None
        if asked:
            return Sentence("resumed after the answer", waited_ms=waited)
        budget = event.budget_micro_usd
        how = "without a budget" if budget is None else f"with a budget of {money(budget)}"
        return Sentence(f"resumed by {one.actor} {how}", waited_ms=waited)

    def _leased(self, one: Recorded[Event], event: RunLeased) -> Sentence:
        self._executor = event.executor
        if event.taken_from is None:
            says = f"picked up by {event.executor} (process {event.pid})"
            return Sentence(says, waited_ms=max(one.at - self._free_since, 0))
        lost = LOSSES.get(event.because or "", "which lost its lease")
        return Sentence(f"taken over by {event.executor} from {event.taken_from}, {lost}; attempt {event.attempt}")

    def _ended_before(self, one: Recorded[Event]) -> Row | None:
        """Return the end of the run that admitted this one, from the same commit."""
        for position in range(one.position - 1, max(one.position - COMMIT_EVENTS_MAX, 0), -1):
            row = self._log.row(position)
            if row is None or row.command_id != one.command_id:
                return None
            if row.type in STATUS_OF_ENDING:
                return row
        return None

    def _transcript(self, event: TranscriptAppended) -> str:
        if event.kind == "tool-result":
            called, _ = self._pending.pop(event.tool_call_id or "", (None, 0))
            own = called is not None and called.origin == "agent"
            subject = f"the call of kind {called.kind}" if called is not None and own else _tool(event)
            how = "failed" if event.is_error else "returned a result"
            unknown = ": it was interrupted, and its effect is unknown" if event.interrupted else ""
            return f"{subject} {how}{unknown} ({event.chars} characters)"
        writer = "agent" if self.request is not None and self.request.agent else "model"
        who = {"user": "the user sent", "assistant": f"the {writer} wrote"}.get(event.role, "the run received")
        cut = ", a partial answer" if event.partial else ", cut off by the budget" if event.interrupted else ""
        return f"{who} {event.chars} characters{cut}"

    def _cancel_requested(self, one: Recorded[Event], event: RunCancelRequested) -> str:
        says = f"cancellation requested by {one.actor}" + (f": {event.note}" if event.note else "")
        if event.status == "not-running":
            return f"{says}; the run had already ended"
        self._cancel_at, self._note = one.at, event.note
        return says

    def _id_at(self, position: Position | None) -> str | None:
        row: Row | None = self._log.row(position) if position else None
        return None if row is None else self._event_id(row.position, row.chain[:MARK_BYTES])


def _requested(one: Recorded[Event], event: RunQueued | RunCreated) -> str:
    again = f" as a retry of {event.retry_of}" if event.retry_of else ""
    others = [name for name in event.requesters or () if name != one.actor]
    return f"requested by {one.actor}{' for ' if others else ''}{', '.join(others)}{again}"


def _called(event: ToolCalled) -> str:
    refused = REFUSED[event.refused] if event.tool_name or event.origin else ""
    allowed = f", as {event.ask_id} allowed" if event.ask_id else ""
    alone = ", without asking" if event.asked is False and event.refused is None else ""
    return f"{WHO_CALLED[event.origin]} {_tool(event)}{refused}{allowed}{alone}"


def _tool(event: ToolCalled | TranscriptAppended | RunAsked) -> str:
    if isinstance(event, ToolCalled) and event.origin == "agent":
        return f"a call of kind {event.kind}"
    if event.tool_name is None:
        return "a tool that does not exist"
    carried = None if isinstance(event, TranscriptAppended) else event.credentials
    noun = "credential" if carried and len(carried) == 1 else "credentials"
    return f"the tool {event.tool_name}" + (f" with {noun} {', '.join(carried)}" if carried else "")


def _turn(line: QueuePlace | None, reason: WaitReason | RequeueReason, since: int) -> CurrentWait:
    """Return the wait of a run in line, with the recorded reason if its place is not known."""
    reason = line.reason if line else reason
    return CurrentWait(
        reason=reason,
        since=iso(since),
        says=f"its turn: {(line and line.limit) or REASONS[reason]}",
        position=line.position if line else None,
        blocked_by=line.blocked_by if line else None,
    )


def _asked(event: RunAsked) -> str:
    """Return the subject of an ask. What was asked is erasable text."""
    if event.tool_kind is not None:
        return f"may the agent make a call of kind {event.tool_kind}?"
    if event.server is not None:
        return f"a {event.kind} of the MCP server {event.server} during {_tool(event)}"
    return f"may it call {_tool(event)}?" if event.kind == "tool-permission" else f"a {event.kind}"


def _attached(event: AgentAttached | McpAttached) -> str:
    if isinstance(event, McpAttached):
        return _mcp_attached(event)
    mode = f", in mode {event.mode}" if event.mode else ""
    return f"the agent {event.agent} ({event.agent_version}) {STARTS[event.how]}{mode}"


def _mcp_attached(event: McpAttached) -> str:
    refused = ""
    if event.refused:
        changed = f"{', '.join(event.refused)} changed since or are new"
        refused = f"; {changed}, and can be accepted by 'athena mcp-servers accept {event.server}'"
    return f"the MCP server {event.server} listed {event.tools} tools{refused}"


def _spent(event: RunPaused) -> str:
    if event.reason == "ask":
        return "no answer came while it held its slot"
    spent, budget = money(event.spent_micro_usd or 0), money(event.budget_micro_usd or 0)
    if event.reason == "unpriced-model":
        return f"its model has no price, and the daily budget is {budget}"
    return f"{spent} of {'its' if event.reason == 'budget' else 'the daily'} budget of {budget} is spent"


def _refused(event: PolicyRejected) -> str:
    """Return why a run was rejected."""
    rejection = event.rejection
    if rejection.reason == "lock-acquisition-failed":
        return "the session was busy and sessionStrategy is reject"
    spent, budget = money(rejection.spent_micro_usd or 0), money(rejection.budget_micro_usd or 0)
    if rejection.reason == "unpriced-model":
        return f"its model has no price, and the daily budget is {budget}"
    if rejection.reason == "daily-cost-budget-exceeded":
        return f"{spent} of the daily budget of {budget} is spent"
    place = f" of {event.policy.rule_name}" if event.policy and event.policy.rule_name else ""
    return f"{rejection.active_runs} of {rejection.limit} runs{place} were active"


def _wanted(event: RunPaused) -> str:
    """Return what a paused run waits for."""
    if event.reason == "ask":
        return "an answer to what it asked"
    spent, budget = money(event.spent_micro_usd or 0), money(event.budget_micro_usd or 0)
    if event.reason == "unpriced-model":
        return f"a price for its model, or a policy without the daily budget of {budget}"
    if event.reason == "budget":
        return f"a higher budget: {spent} of {budget} is spent"
    return f"the next UTC day, or a higher daily budget: {spent} of {budget} is spent"


def _sandboxed(report: SandboxReport) -> str:
    egress = ", with the hosts of allowedEgress by a proxy" if report.network == "egress" else ", without a network"
    about = f": {LACKS.get(report.reason, report.reason)}" if report.reason else ""
    return f"{SANDBOX[report.phase]}{egress if report.phase == 'ready' else ''}{about}"


def _changed(event: WorkspaceChanged) -> str:
    """Return how much a run changed in its workspace. Names and contents of files are erasable text."""
    if not event.files:
        return f"changed no files of the workspace {event.workspace_id}"
    binary = f", {event.binary_files:,} of them binary," if event.binary_files else ""
    lines = f"{event.added_lines:,} lines added and {event.removed_lines:,} removed"
    cut = "; the recorded diff is cut" if event.truncated else ""
    noun = "file" if event.files == 1 else "files"
    return f"changed {event.files:,} {noun}{binary} of the workspace {event.workspace_id}: {lines}{cut}"


def _paid(event: UsageRecorded) -> str:
    usage = event.usage
    counts = ((usage.input_tokens, "input"), (usage.output_tokens, "output"))
    tokens = " and ".join(f"{count:,} {kind}" for count, kind in counts if count is not None) or "an unknown number of"
    cost = "at an unknown price" if event.cost_micro_usd is None else f"for {money(event.cost_micro_usd)}"
    tries = f", after {event.attempts} attempts" if (event.attempts or 1) > 1 else ""
    guessed = " (estimated)" if event.estimated else ""
    vain = ", without an answer" if event.failed else ""
    return f"{event.provider}/{event.model} used {tokens} tokens{guessed} {cost}{tries}{vain}"


def _ended(event: Event, note: str | None) -> str:
    match event:
        case RunCompleted():
            failures = "; ".join(f"{one.policy_id}: {one.message}" for one in event.verification_failures or ())
            return "completed" + (f", but not verified: {failures}" if failures else "")
        case RunFailed():
            return f"failed: {event.code}: {or_erased(event.error_text)}"
        case RunCancelled():
            reason = f": {note}" if note else ""
            forced = "; forced, because its executor did not stop in time" if event.forced else ""
            return CANCELLED[event.cause] + reason + forced
        case RunTimedOut():
            return f"stopped: it {took_longer(duration(event.timeout_ms))}"
        case RunCrashed():
            return f"crashed: {event.executor} was lost in attempt {event.attempt}, and no attempts are left"
    return "ended"


def _attachment(event: EvidenceAttached) -> str:
    return f"{event.label or 'evidence'} ({event.evidence_type}, {event.size_bytes:,} bytes)"
