"""Rules of runs: their transitions, slots, turns, leases, steps and budgets."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from athena_core.definitions.profile import AgentPolicy
from athena_core.domain import plane, run, template
from athena_core.enums import RuleScope
from athena_core.event import Event, Unknown
from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.ask import AskRules
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.policy import HaltRules, PolicyRules
from athena_core.values import Usage

PREFIX = f"{run.DECIDER.category}_"
COUNTED_MAX = 10_000
STANDING: tuple[type[Event], ...] = (*run.DECIDER.events, template.RunTemplateRun, plane.SafetyViolation)
"""The event types that occur in a run's stream."""

AMOUNTS = Usage.__struct_fields__

TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("new", "run.queued"): "queued",
    ("new", "run.created"): "admitted",
    ("new", "policy.concurrency.rejected"): "refused",
    ("new", "policy.rejected"): "ended",
    ("refused", "safety.violation"): "refused",
    ("refused", "policy.rejected"): "ended",
    ("queued", "run-template.run"): "queued",
    ("queued", "run.created"): "admitted",
    ("queued", "run.cancel.requested"): "queued",
    ("queued", "run.cancelled"): "ended",
    ("admitted", "run-template.run"): "admitted",
    ("admitted", "run.leased"): "leased",
    ("admitted", "run.cancel.requested"): "admitted",
    ("admitted", "run.cancelled"): "ended",
    ("leased", "run.leased"): "leased",
    ("leased", "run.started"): "started",
    ("leased", "run.cancel.requested"): "leased",
    ("leased", "run.cancelled"): "ended",
    ("leased", "run.crashed"): "ended",
    ("started", "run.leased"): "leased",
    ("started", "memory.recalled"): "started",
    ("started", "agent.attached"): "started",
    ("started", "mcp.attached"): "started",
    ("started", "transcript.appended"): "started",
    ("started", "usage.recorded"): "started",
    ("started", "tool.called"): "started",
    ("started", "evidence.attached"): "started",
    ("started", "sandbox.lifecycle"): "started",
    ("started", "safety.violation"): "started",
    ("started", "workspace.opened"): "started",
    ("started", "workspace.changed"): "started",
    ("started", "budget.reserved"): "started",
    ("started", "run.asked"): "started",
    ("started", "run.answered"): "started",
    ("started", "run.ask.opened"): "started",
    ("leased", "run.ask.opened"): "leased",
    ("paused", "run.ask.opened"): "paused",
    ("leased", "run.answered"): "leased",
    ("paused", "run.answered"): "paused",
    ("paused", "run.requeued"): "requeued",
    ("requeued", "run.resumed"): "admitted",
    ("requeued", "run.cancel.requested"): "requeued",
    ("requeued", "run.cancelled"): "ended",
    ("started", "run.paused"): "paused",
    ("paused", "run.resumed"): "admitted",
    ("paused", "policy.concurrency.rejected"): "paused",
    ("paused", "safety.violation"): "paused",
    ("paused", "policy.rejected"): "paused",
    ("paused", "run.cancel.requested"): "paused",
    ("paused", "run.cancelled"): "ended",
    ("started", "run.cancel.requested"): "started",
    ("started", "run.completed"): "ended",
    ("started", "run.failed"): "ended",
    ("started", "run.cancelled"): "ended",
    ("started", "run.timed-out"): "ended",
    ("started", "run.crashed"): "ended",
    ("ended", "run.cancel.requested"): "ended",
}
"""Maps a run's status and an event of its stream to the next status. Every other pair is illegal."""


class OpenRun:
    """A run that has not ended."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.session: str | None = None
        """The session named by the envelope of its first event."""
        self.session_id = ""
        self.places: tuple[str, ...] = ()
        self.executor = ""
        self.token = 0
        self.attempt = 0
        self.turn = 0
        self.calls: set[str] = set()
        self.spent = 0
        self.usage: Usage | None = None
        self.evidence = 0
        self.cut = self.partial = False
        self.budget: int | None = None
        self.cancelled = False
        self.paused: str | None = None
        self.agent: AgentPolicy | None = None
        """The outside agent that its profile names."""
        self.request: run.RunRequest | None = None
        self.attached = False
        """True once the agent took up the run in this lease."""


NEW = OpenRun("new")


class RunRules(RuleSet):
    """The open runs and what they occupy; ended runs are dropped."""

    def __init__(self, log: LogRules, policies: PolicyRules, halts: HaltRules, asks: AskRules) -> None:
        self._log = log
        self._policies = policies
        self._halts = halts
        self._asks = asks
        self.count = 0
        self.open: dict[str, OpenRun] = {}
        self._slots: set[str] = set()
        self._turns: dict[str, str] = {}
        self._active: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()
        """The spending of each UTC day, in micro-USD."""
        self._reserved: dict[str, int] = {}

    def status(self, row: Row) -> str:
        """Return the status of a row's run before it: ``new``, ``ended``, or the status of an open run."""
        state = self.open.get(row.stream)
        if state is not None:
            return state.status
        return "ended" if row.stream in self._log.versions else "new"

    def turn(self, run_id: str) -> int:
        """Return the number of the last turn of an open run, 0 before its first one."""
        return self.open.get(run_id, NEW).turn

    def request(self, run_id: str) -> run.RunRequest | None:
        """Return the request of an open run."""
        return self.open.get(run_id, NEW).request

    def is_in(self, run_id: str, scope: RuleScope, target: str) -> bool:
        """Return True if a run is the named one, or is of the named session or profile."""
        state = self.open.get(run_id, NEW)
        places = {"run": (run_id,), "session": (state.session_id,), "profile": state.places}
        return (f"harness-profile:{target}" if scope == "profile" else target) in places[scope]

    # The rules

    @rule(*STANDING)
    def transitions(self, row: Row, event: Event) -> str | None:
        """A run follows the transition table."""
        status = self.status(row)
        if (status, row.type) in TRANSITIONS or not row.stream.startswith(PREFIX):
            return None
        if status == "ended" and row.type in run.ENDING_TYPES:
            return None  # the rule ``endings`` reports it
        return f"{row.type} of {row.stream}, which is {status}"

    @rule(*STANDING)
    def envelope(self, row: Row, event: Event) -> str | None:
        """The envelope of each event of a run names the run, and one session."""
        if not row.stream.startswith(PREFIX):
            return None
        if row.run_id != row.stream:
            return f"{row.type} of {row.stream} names the run {row.run_id}"
        state = self.open.get(row.stream)
        session = event.session_id if isinstance(event, run.RunRequest) else state.session if state else row.session_id
        if row.session_id == session:
            return None
        return f"{row.type} of {row.stream} names the session {row.session_id} instead of {session}"

    @rule(*run.ENDINGS)
    def endings(self, row: Row, event: Event) -> str | None:
        return f"{row.type} of {row.stream}, which had ended" if self.status(row) == "ended" else None

    @rule(run.RunCreated, run.RunResumed)
    def slots(self, row: Row, event: Event) -> str | None:
        """No admission exceeds the limit of the policy in force at that position."""
        limit, taken = self._policies.now.max_concurrent_runs, len(self._slots)
        if limit is None or taken < limit:
            return None
        return f"{row.stream} was admitted while {taken} of {limit} slots were in use"

    @rule(run.RunCreated, run.RunResumed)
    def keys(self, row: Row, event: run.RunCreated | run.RunResumed) -> str | None:
        """No admission exceeds a limit by key of the policy in force at that position."""
        if not self._policies.now.limits:
            return None
        state = self.open.get(row.stream, NEW)
        for place in event.places if isinstance(event, run.RunCreated) else state.places:
            limit, active = self._policies.now.limit(place), self._active[place]
            if limit is not None and active >= limit.max:
                return f"{row.stream} was admitted while {active} of {limit.max} runs of {place} were active"
        return None

    @rule(run.RunAsked)
    def elicited(self, row: Row, event: run.RunAsked) -> str | None:
        """An MCP server asks questions only, during a call of the run that has no result."""
        if event.server is None:
            return None
        made = event.tool_call_id in self.open.get(row.stream, NEW).calls
        if made and (event.kind, event.origin) == ("question", "mcp"):
            return None
        return f"the MCP server {event.server} asked {event.ask_id} in {row.stream} without an open call"

    @rule(run.RunCreated)
    def turns(self, row: Row, event: run.RunCreated) -> str | None:
        """A session has at most one admitted run."""
        holder = self._turns.get(event.session_id)
        if holder is None or holder == row.stream:
            return None
        return f"{row.stream} was admitted while {holder} held session {event.session_id}"

    @rule(run.RunLeased, run.RunStarted, run.RunCrashed)
    def leases(self, row: Row, event: Event) -> str | None:
        """The lease tokens of a run are 1, 2, 3 and so on, and no event is written under an old one."""
        state = self.open.get(row.stream, NEW)
        match event:
            case run.RunLeased() if event.token != state.token + 1:
                return f"{row.stream} was leased with token {event.token} after {state.token}"
            case run.RunLeased() if event.taken_from not in {None, state.executor}:
                return f"{row.stream} was taken over from {event.taken_from}, although {state.executor} held it"
            case run.RunStarted() if event.attempt != state.attempt:
                return f"{row.stream} was started as attempt {event.attempt}; expected {state.attempt}"
            case run.RunCrashed() if (event.executor, event.attempt) != (state.executor, state.attempt):
                held = f"{state.attempt} of {state.executor}"
                return f"{row.stream} crashed in attempt {event.attempt} of {event.executor} but was in attempt {held}"
        return None

    @rule(run.RunLeased)
    def attempts(self, row: Row, event: run.RunLeased) -> str | None:
        """Each lost executor costs an attempt; a run has at most as many as the policy in force allows."""
        state = self.open.get(row.stream)
        if state is None:
            return None
        lost = state.attempt == 0 or event.because in {"dead", "frozen"}
        most = self._policies.now.run_attempts_max
        if event.attempt != state.attempt + lost:
            return f"{row.stream} was leased for attempt {event.attempt} after {state.attempt}"
        if lost and event.attempt > most:
            return f"{row.stream} was leased for attempt {event.attempt}, but the policy allows {most}"
        return None

    @rule(run.ToolCalled, run.TranscriptAppended, run.UsageRecorded)
    def steps(self, row: Row, event: Event) -> str | None:
        """A call is recorded before its one result; only model output is partial; turns are 1, 2, 3 and so on."""
        state = self.open.get(row.stream)
        if state is None:
            return None
        match event:
            case run.TranscriptAppended(kind="tool-result") if not self._due(row, event, state):
                return f"{row.stream} has a result of the call {event.tool_call_id}, which is not open"
            case run.TranscriptAppended(partial=True) if (event.role, event.kind) != ("assistant", "message"):
                return f"{row.stream} has a partial entry that is not model output"
            case run.ToolCalled() if event.tool_call_id in state.calls:
                return f"the call {event.tool_call_id} of {row.stream} was made twice without a result"
            case run.UsageRecorded() if event.turn not in {None, state.turn + 1}:
                return f"{row.stream} has the usage of turn {event.turn} after turn {state.turn}"
        return None

    @rule(run.AgentAttached, run.ToolCalled)
    def agents(self, row: Row, event: run.AgentAttached | run.ToolCalled) -> str | None:
        """The agent of the profile takes up a run, in the mode of the profile, before it makes the run's calls."""
        state = self.open.get(row.stream, NEW)
        named = None if state.agent is None else state.agent.name
        match event:
            case run.AgentAttached() if event.agent != named:
                return f"{row.stream} was taken up by the agent {event.agent}; its profile names {named}"
            case run.AgentAttached() if state.agent and state.agent.mode not in {None, event.mode}:
                return f"{row.stream} was taken up in the mode {event.mode}; its profile names {state.agent.mode}"
            case run.ToolCalled() if (event.origin is None) != (named is None):
                return f"the call {event.tool_call_id} of {row.stream} has origin {event.origin}; its agent is {named}"
            case run.ToolCalled(origin=str()) if not state.attached:
                return f"the call {event.tool_call_id} of {row.stream} was made before an agent took up the run"
            case run.ToolCalled(origin="agent") if event.kind is None or event.asked is None or event.repeatable:
                return f"the call {event.tool_call_id} of {row.stream} of an agent has no kind, or may be repeated"
            case run.ToolCalled(origin="mcp") if event.repeatable or (event.tool_name, event.refused) == (None, None):
                return f"the call {event.tool_call_id} of {row.stream} by MCP has no tool, or may be repeated"
        return None

    def _due(self, row: Row, event: run.TranscriptAppended, state: OpenRun) -> bool:
        """Return True if a call was made, or asked for and then not made, and has no result yet.

        Earlier releases kept the result of a refused call of a cancelled run without the call.
        """
        call = event.tool_call_id
        if state.cancelled and event.is_error:
            return True
        return call in state.calls or self._asks.settled(row.stream, call, error=bool(event.is_error))

    @rule(run.RunPaused, run.RunRequeued, run.RunResumed)
    def parked(self, row: Row, event: Event) -> str | None:
        """A run is parked for an ask while one is open or all is halted, and waits in line or resumes when none is."""
        state, asks = self.open.get(row.stream, NEW), self._asks.open_in(row.stream)
        match event:
            case run.RunPaused(reason="ask") if not asks and self._halts.halted_at is None:
                return f"{row.stream} was parked for an ask, but none was open"
            case run.RunPaused() if asks and event.reason != "ask":
                return f"{row.stream} was paused for {event.reason} while {asks} asks were open"
            case run.RunRequeued() if state.paused != "ask":
                return f"{row.stream} waits in line, although it was not parked for an ask"
            case run.RunRequeued() | run.RunResumed() if asks:
                return f"{row.type} of {row.stream} while {asks} asks were open"
        return None

    @rule(run.UsageRecorded, run.RunPaused)
    def budgets(self, row: Row, event: Event) -> str | None:
        """No usage is negative; a run is paused only if its budget is spent, with the right amounts."""
        state = self.open.get(row.stream)
        match event:
            case run.UsageRecorded():
                amounts = (event.cost_micro_usd, *(getattr(event.usage, name) for name in AMOUNTS))
                if any(amount is not None and amount < 0 for amount in amounts):
                    return f"{row.stream} has a negative usage"
            case run.RunPaused(reason="budget") if state is not None:
                claimed = (event.spent_micro_usd, event.budget_micro_usd)
                if claimed != (state.spent, state.budget) or not state.cut and state.spent < (state.budget or 0):
                    return f"{row.stream} was paused at {claimed} while it had spent {state.spent} of {state.budget}"
        return None

    @rule(run.BudgetReserved)
    def reservations(self, row: Row, event: run.BudgetReserved) -> str | None:
        """The spending of a UTC day plus all reservations never exceeds the daily budget in force."""
        budget, more = self._policies.now.daily_budget_micro_usd, event.reserved_micro_usd
        if budget is None or more <= self._reserved.get(row.stream, 0):
            return None
        others = sum(amount for run_id, amount in self._reserved.items() if run_id != row.stream)
        taken = self._spent[run.day_of(at_of(row))] + others
        if taken + more <= budget:
            return None
        return f"{row.stream} reserved {more} of the daily budget {budget}, of which {taken} were already taken"

    @rule(run.UsageRecorded)
    def remaining_reservations(self, row: Row, event: run.UsageRecorded) -> str | None:
        """A usage keeps a part of the reservation before it, for other open calls."""
        kept, before = event.reserved_micro_usd, self._reserved.get(row.stream, 0)
        if kept is None or 0 < kept <= before:
            return None
        return f"{row.stream} keeps {kept} of the daily budget reserved, of which it had {before}"

    @rule(run.RunCreated, run.RunQueued)
    def children(self, row: Row, event: run.RunRequest) -> str | None:
        """A child begins while its parent is open."""
        parent = event.parent_run_id
        if parent is None or row.version != 1 or parent in self.open:
            return None
        return f"{row.stream} is a child of {parent}, which was not open"

    @rule(run.RunCreated, run.RunQueued)
    def retries(self, row: Row, event: run.RunRequest) -> str | None:
        """A retry begins after the end of the run that it retries."""
        retried = event.retry_of
        if retried is None or row.version != 1 or retried in self._log.versions and retried not in self.open:
            return None
        return f"{row.stream} is a retry of {retried}, which had not ended"

    @rule(run.RunCompleted)
    def totals(self, row: Row, event: run.RunCompleted) -> str | None:
        """A completed run has a whole answer, and its totals are the sums of its recorded events."""
        state = self.open.get(row.stream)
        if state is None:
            return None
        if event.evidence_count != state.evidence:
            return (
                f"{row.stream} completed with {event.evidence_count} pieces of evidence; recorded are {state.evidence}"
            )
        if state.partial:
            return f"{row.stream} completed with a partial answer"
        if event.usage != state.usage:
            return f"{row.stream} completed with a usage of {_tokens(event.usage)}; recorded is {_tokens(state.usage)}"
        return None

    @rule(run.RunCompleted, run.RunCancelRequested, run.RunCancelled)
    def cancels(self, row: Row, event: Event) -> str | None:
        """A cancel is acknowledged only while the run is open, and then the run ends as cancelled, and only then."""
        state = self.open.get(row.stream)
        match event:
            case run.RunCompleted() if state is not None and state.cancelled:
                return f"{row.stream} completed after its cancel was acknowledged"
            case run.RunCancelRequested(status="cancelled") if state is None:
                return f"the cancel of {row.stream} was acknowledged, although the run was not open"
            case run.RunCancelled(cause="requested" | "interrupted" | "parent") if state and not state.cancelled:
                return f"{row.stream} was cancelled without a request"
        return None

    # The state

    @follow(*STANDING, Unknown)
    def move(self, row: Row, event: Event) -> None:
        """Apply the transition table; the payload may be damaged."""
        run_id = row.stream
        if not run_id.startswith(PREFIX):
            return
        state = self.open.get(run_id)
        before = self.status(row)
        status = TRANSITIONS.get((before, row.type), before)
        if state is None:
            if status not in {"new", "ended"}:
                state = self.open[run_id] = OpenRun(status)
                state.session = row.session_id
                self.count += status != "refused"
        elif status == "ended":
            del self.open[run_id]
            self._vacate(run_id, state)
            self._reserved.pop(run_id, None)
            if self._turns.get(state.session_id) == run_id:
                del self._turns[state.session_id]
        else:
            state.status = status

    @follow(run.RunCreated)
    def admit(self, row: Row, event: run.RunCreated) -> None:
        """Occupy a slot and the session."""
        state = self.open.get(row.stream)
        if state is not None:
            state.session_id, state.budget, state.places = (
                event.session_id,
                event.budget_micro_usd,
                event.places,
            )
            state.agent = event.harness_profile_snapshot.agent
            state.request = run.without_text(event)
            self._occupy(row.stream, state)
            self._turns[event.session_id] = row.stream

    @follow(run.RunLeased)
    def lease(self, row: Row, event: run.RunLeased) -> None:
        state = self.open.get(row.stream)
        if state is not None:
            state.executor, state.token, state.attempt = event.executor, event.token, event.attempt
            state.attached = False

    @follow(run.AgentAttached)
    def attach(self, row: Row, event: run.AgentAttached) -> None:
        """Record that the agent took up the run."""
        if row.stream in self.open:
            self.open[row.stream].attached = True

    @follow(run.TranscriptAppended, run.ToolCalled)
    def say(self, row: Row, event: run.TranscriptAppended | run.ToolCalled) -> None:
        """Record which calls are open, and whether the budget cut the last answer off."""
        state = self.open.get(row.stream)
        if state is None:
            return
        if isinstance(event, run.ToolCalled):
            state.calls.add(event.tool_call_id)
        elif event.kind == "tool-result":
            state.calls.discard(event.tool_call_id or "")
        elif event.role == "assistant":
            state.cut, state.partial = bool(event.interrupted), bool(event.partial)

    @follow(run.EvidenceAttached)
    def show(self, row: Row, event: run.EvidenceAttached) -> None:
        state = self.open.get(row.stream)
        if state is not None:
            state.evidence += 1

    @follow(run.BudgetReserved)
    def reserve(self, row: Row, event: run.BudgetReserved) -> None:
        if row.stream in self.open:
            self._reserved[row.stream] = event.reserved_micro_usd

    @follow(run.UsageRecorded)
    def pay(self, row: Row, event: run.UsageRecorded) -> None:
        """Record the cost of a call, and release its reservation."""
        state = self.open.get(row.stream)
        if state is None:
            return
        state.turn = state.turn if event.failed else event.turn or state.turn
        state.usage = event.usage if state.usage is None else state.usage.plus(event.usage)
        self._reserved[row.stream] = event.reserved_micro_usd or 0
        cost = max(event.cost_micro_usd or 0, 0)
        if cost:
            state.spent += cost
            self._spent[run.day_of(at_of(row))] += cost

    @follow(run.RunPaused)
    def pause(self, row: Row, event: run.RunPaused) -> None:
        """Free the slot and the reservation."""
        state = self.open.get(row.stream)
        if state is not None:
            self._vacate(row.stream, state)
            self._reserved.pop(row.stream, None)
            state.paused = event.reason

    @follow(run.RunResumed)
    def resume(self, row: Row, event: run.RunResumed) -> None:
        state = self.open.get(row.stream)
        if state is not None:
            self._occupy(row.stream, state)
            state.budget, state.cut, state.paused = event.budget_micro_usd, False, None

    @follow(run.RunCancelRequested)
    def ask_to_end(self, row: Row, event: run.RunCancelRequested) -> None:
        state = self.open.get(row.stream)
        if state is not None:
            state.cancelled = state.cancelled or event.status == "cancelled"

    def _occupy(self, run_id: str, state: OpenRun) -> None:
        if run_id not in self._slots:
            self._slots.add(run_id)
            self._active.update(state.places)

    def _vacate(self, run_id: str, state: OpenRun) -> None:
        if run_id in self._slots:
            self._slots.discard(run_id)
            self._active.subtract(state.places)
            self._active = +self._active if len(self._active) > COUNTED_MAX else self._active


def _tokens(usage: Usage | None) -> str:
    return "nothing" if usage is None else msgspec.json.encode(usage).decode()
