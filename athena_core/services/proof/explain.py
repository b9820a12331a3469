"""The explanation of a run: the chain of causes that led here, and the one thing that it waits for now.

It is told from the run's own events, and from nothing that may be erased. Only the place in line comes from elsewhere.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from athena_core.clock import iso
from athena_core.domain.run import (
    STATUS_OF_ENDING,
    EvidenceAttached,
    PolicyRejected,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunResumed,
    RunTimedOut,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
)
from athena_core.errors import took_longer
from athena_core.event import MARK_BYTES, Event, Position, Recorded, Value
from athena_core.protocols import LogReader, Row
from athena_core.text import or_erased
from athena_core.values import MICRO_USD, RefusedPlan, RefusedRequest, Scope

CAUSES_MAX = 1_000
CAUSES_FIRST = 100
COMMIT_EVENTS_MAX = 50
"""How far back the end of another run is looked for that admitted this one."""

REASONS = {
    "session-busy": "another run has its session",
    "concurrency": "every slot is taken",
    "executor": "no executor has room for it",
    "key-limit": "a limit by key is reached",
}
QUOTED = frozenset({RunFailed.TYPE, RunCancelRequested.TYPE, PolicyRejected.TYPE})
"""The events whose text is quoted; others are told without it."""
REJECTED = "rejected"
"""The status of a run that the policy refused: it never existed."""

LOSSES = {"dead": "which died", "frozen": "which gave no sign of life", "left": "which left"}
REFUSED = {None: "", "unknown-tool": ", which it may not use", "bad-arguments": ", with wrong arguments"}
CANCELLED = {
    "requested": "cancelled on request",
    "session-busy": "withdrawn, because its caller did not want to wait any longer for its turn",
    "executor": "withdrawn, because no executor took it in time",
    "key-limit": "withdrawn, because a limit by key left no room for it in time",
    "interrupted": "interrupted by a newer run of its session",
    "parent": "cancelled with its parent",
}


EventIdOf: TypeAlias = Callable[[Position, bytes], str]
"""The id of an event by its position and mark."""


class QueuePlace(NamedTuple):
    """Where a run waits: why, at which place, behind which run, if it is one, and at which limit, in words."""

    reason: str
    position: int
    blocked_by: str | None
    limit: str | None = None


class Cause(Value):
    """A step on the way: an event of the run in a sentence. ``after`` is the run whose end admitted this one.

    It is absent where that run is beyond the scope of whoever asks.

    ``waited_ms`` is how long the run had waited for the step, where it waited for one.
    """

    event_id: str
    type: str
    at: str
    actor: str
    trace_id: str
    says: str
    caused_by: str | None = None
    turn: int | None = None
    waited_ms: int | None = None
    after: str | None = None


class WaitsFor(Value):
    """The one thing that a run waits for now, and since when."""

    reason: str
    since: str
    says: str
    position: int | None = None
    blocked_by: str | None = None
    turn: int | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Explanation(Value):
    """Account of how a run came to its status. Of a long history the middle is left out; ``omitted`` says how much.

    The explanation of a ``rejected`` run has its ``plan`` and its ``request``, as far as they were recorded and not
    erased.
    """

    run_id: str
    session_id: str
    status: str
    causes: tuple[Cause, ...]
    waits_for: WaitsFor | None
    omitted: int = 0
    parent_run_id: str | None = None
    plan: RefusedPlan | None = None
    request: RefusedRequest | None = None


def explain(
    recorded: Sequence[Recorded[Event]],
    line: QueuePlace | None,
    log: LogReader,
    named: EventIdOf,
    scope: Scope | None = None,
) -> Explanation | None:
    """The explanation of the run with these events, oldest first; None where they are not those of a run.

    Other runs are named as far as a scope covers them.
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
    )


class Sentence(NamedTuple):
    """What an event says, and the details beside it."""

    says: str
    turn: int | None = None
    waited_ms: int | None = None
    after: str | None = None


class Timeline:
    """A run as it is told, event by event."""

    def __init__(self, log: LogReader, named: EventIdOf, scope: Scope | None) -> None:
        """Nothing happened yet."""
        self.causes: list[Cause] = []
        self.status = ""
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
        self._cancel_at: int | None = None
        self._note: str | None = None

    def add(self, one: Recorded[Event]) -> None:
        """Tell the next event."""
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

    def waits_for(self, line: QueuePlace | None) -> WaitsFor | None:
        """What the run waits for after what was told so far."""
        last = self._last
        if last is None or self.request is None or self.status in STATUS_OF_ENDING.values():
            return None
        if self.status == "queued":
            reason = line.reason if line else getattr(self.request, "reason", "concurrency")
            return WaitsFor(
                reason=reason,
                since=iso(self._asked_at),
                says=f"its turn: {(line and line.limit) or REASONS[reason]}",
                position=line.position if line else None,
                blocked_by=line.blocked_by if line else None,
            )
        if self._paused is not None:
            says = f"{_wanted(self._paused)}; POST /api/v1/runs/{last.stream}/resume lets it go on"
            return WaitsFor(reason=self._paused.reason, since=iso(self._free_since), says=says)
        if self._cancel_at is not None:
            says = "its executor, which was asked to stop"
            return WaitsFor(reason="cancel", since=iso(self._cancel_at), says=says)
        if self._executor is None:
            says = "an executor that takes it"
            return WaitsFor(reason="executor", since=iso(self._free_since), says=says)
        for call, called_at in self._pending.values():
            return WaitsFor(
                reason="tool",
                since=iso(called_at),
                says=_tool(call),
                turn=call.turn,
                tool_name=call.tool_name,
                tool_call_id=call.tool_call_id,
            )
        model = f"{self.request.provider}/{self.request.model}"
        return WaitsFor(reason="model", since=iso(last.at), says=f"the model {model}", turn=self._turn + 1)

    def _sentence(self, one: Recorded[Event]) -> Sentence | None:
        """What an event says; None where it is nothing new."""
        event = one.event
        match event:
            case RunQueued():
                self.request, self.status, self._asked_at = event, "queued", one.at
                return Sentence(f"{one.actor} asked for it; it waits, because {REASONS[event.reason]}")
            case RunCreated():
                return self._admitted(one, event)
            case RunLeased():
                return self._leased(one, event)
            case TranscriptAppended():
                return Sentence(self._transcript(event), self._turn or None)
            case ToolCalled():
                self._turn = event.turn
                self._pending[event.tool_call_id] = event, one.at
                refused = REFUSED[event.refused] if event.tool_name else ""
                return Sentence(f"the model called {_tool(event)}{refused}", event.turn)
            case EvidenceAttached():
                shown = f"{event.label or 'evidence'} ({event.evidence_type}, {event.size_bytes:,} bytes)"
                return Sentence(f"the {event.source} showed {shown}", self._turn or None)
            case UsageRecorded():
                self._turn = self._turn if event.failed else event.turn or self._turn
                return Sentence(_paid(event), event.turn)
            case RunPaused():
                self.status, self._paused, self._executor = "paused", event, None
                self._free_since = one.at
                return Sentence(f"paused, because {_spent(event)}")
            case RunResumed():
                waited, self._free_since = max(one.at - self._free_since, 0), one.at
                self.status, self._paused = "running", None
                budget = event.budget_micro_usd
                how = "without a budget" if budget is None else f"with a budget of {money(budget)}"
                return Sentence(f"{one.actor} let it go on {how}", waited_ms=waited)
            case RunCancelRequested():
                return Sentence(self._cancel_requested(one, event))
            case PolicyRejected() if self.request is None:
                self.rejected = event
                return Sentence(f"{one.actor} asked for it; it was rejected, because {_refused(event)}")
            case _ if one.type in STATUS_OF_ENDING:
                self.status = STATUS_OF_ENDING[one.type]
                return Sentence(_ended(event, self._note))
            case _:
                return None

    def _admitted(self, one: Recorded[Event], event: RunCreated) -> Sentence:
        first = self.request is None
        self.request, self.status, self._free_since = event, "running", one.at
        if first:
            return Sentence(f"{one.actor} asked for it; it was admitted at once")
        waited, row = max(one.at - self._asked_at, 0), self._ended_before(one)
        after = row.stream if row and (not self._scope or self._scope.shows(row.session_id or "", row.stream)) else None
        says = f"admitted after {duration(waited)}" + (f", when {after or 'another run'} ended" if row else "")
        return Sentence(says, waited_ms=waited, after=after)

    def _leased(self, one: Recorded[Event], event: RunLeased) -> Sentence:
        self._executor = event.executor
        if event.taken_from is None:
            says = f"taken by {event.executor} (process {event.pid})"
            return Sentence(says, waited_ms=max(one.at - self._free_since, 0))
        lost = LOSSES.get(event.because or "", "which lost it")
        return Sentence(f"taken over by {event.executor} from {event.taken_from}, {lost}; attempt {event.attempt}")

    def _ended_before(self, one: Recorded[Event]) -> Row | None:
        """The end of the run that admitted this one, in the same commit."""
        for position in range(one.position - 1, max(one.position - COMMIT_EVENTS_MAX, 0), -1):
            row = self._log.row(position)
            if row is None or row.command_id != one.command_id:
                return None
            if row.type in STATUS_OF_ENDING:
                return row
        return None

    def _transcript(self, event: TranscriptAppended) -> str:
        if event.kind == "tool-result":
            self._pending.pop(event.tool_call_id or "", None)
            how = "failed" if event.is_error else "answered"
            unknown = ", because it was interrupted and nobody knows what it did" if event.interrupted else ""
            return f"{_tool(event)} {how}{unknown} ({event.chars} characters)"
        who = {"user": "the user said", "assistant": "the model wrote"}.get(event.role, "it was told")
        cut = ", and its budget allowed no more" if event.interrupted else ""
        return f"{who} {event.chars} characters{cut}"

    def _cancel_requested(self, one: Recorded[Event], event: RunCancelRequested) -> str:
        says = f"{one.actor} asked for its cancel" + (f": {event.note}" if event.note else "")
        if event.status == "not-running":
            return f"{says}; it had ended before"
        self._cancel_at, self._note = one.at, event.note
        return says

    def _id_at(self, position: Position | None) -> str | None:
        row: Row | None = self._log.row(position) if position else None
        return None if row is None else self._event_id(row.position, row.chain[:MARK_BYTES])


def _tool(event: ToolCalled | TranscriptAppended) -> str:
    return "a tool that does not exist" if event.tool_name is None else f"the tool {event.tool_name}"


def _spent(event: RunPaused) -> str:
    spent, budget = money(event.spent_micro_usd), money(event.budget_micro_usd)
    if event.reason == "unpriced-model":
        return f"its model has no price, and the day has a budget of {budget}"
    return f"{spent} of {'its' if event.reason == 'budget' else 'the daily'} budget of {budget} were spent"


def _refused(event: PolicyRejected) -> str:
    """Why a run was rejected."""
    rejection = event.rejection
    if rejection.reason == "lock-acquisition-failed":
        return "its session was busy, and its sessionStrategy is reject"
    spent, budget = money(rejection.spent_micro_usd or 0), money(rejection.budget_micro_usd or 0)
    if rejection.reason == "unpriced-model":
        return f"its model has no price, and the day has a budget of {budget}"
    if rejection.reason == "daily-cost-budget-exceeded":
        return f"{spent} of the daily budget of {budget} were spent"
    place = f" of {event.policy.rule_name}" if event.policy and event.policy.rule_name else ""
    return f"{rejection.active_runs} of {rejection.limit} runs{place} were active"


def _wanted(event: RunPaused) -> str:
    """What a paused run waits for."""
    spent, budget = money(event.spent_micro_usd), money(event.budget_micro_usd)
    if event.reason == "unpriced-model":
        return f"a price of its model, or a policy without the daily budget of {budget}"
    if event.reason == "budget":
        return f"a budget: {spent} of {budget} were spent"
    return f"the next UTC day, or a higher daily budget: {spent} of {budget} were spent"


def _paid(event: UsageRecorded) -> str:
    usage = event.usage
    counts = ((usage.input_tokens, "input"), (usage.output_tokens, "output"))
    tokens = " and ".join(f"{count:,} {kind}" for count, kind in counts if count is not None) or "an unknown number of"
    cost = "of unknown price" if event.cost_micro_usd is None else f"for {money(event.cost_micro_usd)}"
    tries = f", after {event.attempts} attempts" if (event.attempts or 1) > 1 else ""
    guessed = " (estimated)" if event.estimated else ""
    vain = ", and gave no answer" if event.failed else ""
    return f"{event.provider}/{event.model} took {tokens} tokens{guessed} {cost}{tries}{vain}"


def _ended(event: Event, note: str | None) -> str:
    match event:
        case RunCompleted():
            failures = "; ".join(f"{one.policy_id}: {one.message}" for one in event.verification_failures or ())
            return "completed" + (f", but not verified: {failures}" if failures else "")
        case RunFailed():
            return f"failed: {event.code}: {or_erased(event.error_text)}"
        case RunCancelled():
            reason = f": {note}" if note else ""
            forced = ", without its executor, which did not stop in time" if event.forced else ""
            return CANCELLED[event.cause] + reason + forced
        case RunTimedOut():
            return f"stopped, because it {took_longer(duration(event.timeout_ms))}"
        case RunCrashed():
            return f"given up after attempt {event.attempt}, because {event.executor} died"
    return "ended"


def duration(milliseconds: int) -> str:
    """A duration as people say it."""
    return f"{milliseconds} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:,.1f} s"


def money(micro_usd: int) -> str:
    """An amount in dollars, to the millionth."""
    whole, rest = divmod(micro_usd, MICRO_USD)
    return f"${whole:,}.{rest:06}" if micro_usd else "$0"
