"""Oracle: what must hold after each commit, in each answer, while time passes and at the end, from the documents."""

import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from athena_core.clock import SystemClock
from athena_core.domain.run import STATUS_OF_ENDING
from athena_core.event import Event, Recorded
from athena_core.services.proof import verify as proof
from athena_core.services.proof.rules import Rules
from projections.engine import replay
from tests.simulation.histories import digest_of
from tests.simulation.moves import ROLES
from tests.simulation.servers import Answer
from tests.support import records

if TYPE_CHECKING:
    from tests.simulation.plane import Plane

LATE_SECONDS = 60.0
"""The time after which something due is late, in a calm plane."""

PROMPT_SECONDS = 30.0
"""The time after which a leader has heard of what it waits for, although it looks at everything once a minute."""

BEGINS = {
    *("run.created", "run.resumed", "run.leased", "workflow.run.created", "workflow.step.started"),
    *("work.batch.started", "schedule.run.started", "a2a.message.started", "persona.run.started"),
}
"""What never happens in a halt."""

ASKING = "shell"
ATTEMPTS_MAX = 3
PAGE = 50
EXECUTOR_RUNS = 8


class KnownRun:
    """A run as its events say."""

    def __init__(self, run_id: str, event: Any, queued: bool) -> None:
        self.run_id = run_id
        self.status = "queued" if queued else "running"
        self.session = str(event.session_id)
        self.spec = event.harness_profile_snapshot
        self.profile = str(event.harness_profile_id)
        self.provider = str(self.spec.config.provider)
        self.profile_named = event.profile_named
        self.parent = event.parent_run_id
        self.ended_at = 0.0
        self.leased = self.requeued = False
        self.cancelled_at: float | None = None
        self.orphaned_at: float | None = None
        """The second at which a run above it was cancelled while it was open."""
        self.requesters: set[str] = set()
        self.workflow_run: str | None = None

    def place(self, scope: str) -> str:
        """Return what a limit of a scope counts the run for."""
        named = self.profile if self.profile_named else ""
        names = {"session": self.session, "harness-profile": named, "provider": self.provider}
        return names.get(scope, "")


class KnownAsk:
    """An open or decided ask of a run."""

    def __init__(self, run_id: str, event: Any) -> None:
        self.run_id, self.event = run_id, event
        self.kind, self.shown = event.kind, event.subject_sha256
        self.arguments = event.arguments
        self.decided: Any = None
        self.used = 0
        self.decided_in_halt = False


class KnownSchedule:
    """A schedule: its author, overlap policy and interval, and when its slots were last decided."""

    def __init__(self, event: Any, now: float) -> None:
        self.author, self.overlap = event.updated_by, event.definition.overlap_policy
        self.minutes = event.definition.trigger.every_minutes
        self.enabled = event.enabled
        self.paused = False
        self.decided_at = now
        """The second, by the date, of its last event."""


class KnownQueue:
    """A queue: its items with the run of each that is leased, their attempts, and its open drain."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        """The run of each item; empty while it waits."""
        self.said: dict[str, tuple[str, str | None]] = {}
        self.attempts: Counter[str] = Counter()
        self.drain = ""
        self.changed_at = 0.0


class Flow:
    """A workflow run: what it has to do before each step, and how far it is."""

    def __init__(self, event: Any, before: Mapping[str, set[str]]) -> None:
        self.of, self.before = event.workflow_id, before
        self.by = {event.requested_by, *(event.requesters or ())}
        self.open, self.cancelled = True, False
        self.approvals: dict[str, Any] = {}
        self.ok: set[str] = set()
        self.running: dict[str, str] = {}
        """The runs of steps that have begun, with the steps."""
        self.changed_at = 0.0


class Oracle:
    """Follows the log row by row, and judges."""

    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.reader: Any = None
        self.position = 0
        self.runs: dict[str, KnownRun] = {}
        self.asks: dict[str, KnownAsk] = {}
        self.open_asks: dict[str, KnownAsk] = {}
        self.permissions: dict[str, Any] = {}
        self.revoked: set[str] = set()
        self.schedules: dict[str, KnownSchedule] = {}
        self.flights: dict[str, str] = {}
        """The schedule of each of its runs whose end is not recorded there."""
        self.slots: set[tuple[str, int]] = set()
        self.queues: dict[str, KnownQueue] = defaultdict(KnownQueue)
        self.messages: set[str] = set()
        """Messages that are neither delivered nor given up."""
        self.halted = False
        self.lifted_at = 0.0
        self.limits: tuple[Any, ...] = ()
        self.graphs: dict[str, dict[str, set[str]]] = {}
        self.limit: int | None = None
        self.waiting: dict[str, deque[str]] = defaultdict(deque)
        self.holders: set[str] = set()
        self.turns: dict[str, str] = {}
        self.workflows: dict[str, Flow] = {}
        self.calls: Counter[str] = Counter()
        """Recorded calls whose effects may happen, by the name of the effect."""
        self.keys: dict[tuple[str, str], tuple[Answer, float]] = {}
        self.late: set[str] = set()
        self.free_since: dict[str, float] = {}
        """Runs in line that nothing holds up, with the second since when."""
        self.events: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.requested: dict[str, set[str]] = defaultdict(set)
        """The callers of runs that were started by a request of their own, and the authors of their schedules."""

    # Each commit

    def committed(self) -> None:
        """Read and judge what was committed."""
        if self.reader is None:
            self.reader = self.plane.servers["one"].app.plane.log.reader()
        while rows := self.reader.rows(self.position, 500):
            for row in rows:
                recorded = records.CODEC.decode(row)
                if row.position != self.position + 1:
                    self.plane.fail("gap", f"{row.position} follows {self.position}")
                self.position = row.position
                self.events[row.type] += 1
                self.plane.marks[f"event:{row.type}"] += 1
                if code := getattr(recorded.event, "code", None):
                    self.plane.marks[f"code:{code}"] += 1
                self.plane.trace(f"   {row.position} {row.type} {row.stream}")
                self._look(row.type, recorded, recorded.event)
        self._stuck()

    def _look(self, kind: str, recorded: Recorded[Event], event: Any) -> None:
        if self.halted and kind in BEGINS:
            self.plane.fail("halt", f"{kind} of {recorded.stream} in a halt")
        handler = getattr(self, "_on_" + kind.replace(".", "_").replace("-", "_"), None)
        if handler is not None:
            handler(recorded, event)
        if kind in STATUS_OF_ENDING:
            self._ended(recorded)

    def _on_halt_started(self, recorded: Any, event: Any) -> None:
        self.halted = True

    def _on_halt_lifted(self, recorded: Any, event: Any) -> None:
        self.halted, self.lifted_at = False, self.plane.loop.time()

    def _on_policy_updated(self, recorded: Any, event: Any) -> None:
        self.limit, self.limits = event.after.max_concurrent_runs, event.after.limits or ()

    def _on_run_queued(self, recorded: Any, event: Any) -> None:
        run = self.runs[recorded.stream] = KnownRun(recorded.stream, event, True)
        run.requesters |= set(event.requesters or ())
        self._check_retry(run, event)
        self.waiting[run.session].append(run.run_id)

    def _on_run_created(self, recorded: Any, event: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is None:
            run = self.runs[recorded.stream] = KnownRun(recorded.stream, event, False)
            self._check_retry(run, event)
            if self.waiting[run.session]:
                self.plane.fail("order", f"{run.run_id} overtakes {self.waiting[run.session][0]} in {run.session}")
        else:
            line = self.waiting[run.session]
            if line and line[0] != run.run_id:
                self.plane.fail("order", f"{run.run_id} begins before {line[0]} in {run.session}")
            if run.run_id in line:
                line.remove(run.run_id)
        run.status = "running"
        run.requesters |= set(event.requesters or ())
        self._take(run)

    def _check_retry(self, run: KnownRun, event: Any) -> None:
        if event.retry_of is not None and not self._has_ended(self.runs[event.retry_of]):
            self.plane.fail("retry", f"{run.run_id} retries {event.retry_of}, which goes on")

    def _take(self, run: KnownRun) -> None:
        self.holders.add(run.run_id)
        if self.limit is not None and len(self.holders) > self.limit:
            self.plane.fail("limit", f"{len(self.holders)} runs, {self.limit} allowed")
        holder = self.turns.setdefault(run.session, run.run_id)
        if holder != run.run_id:
            self.plane.fail("session", f"{run.run_id} and {holder} have {run.session}")
        for limit in self.limits:
            mine = run.place(limit.scope)
            if mine and limit.key in (None, mine):
                same = sum(self.runs[one].place(limit.scope) == mine for one in self.holders)
                if same > limit.max:
                    self.plane.fail("key limit", f"{same} runs of {limit.scope} {mine}, {limit.max} allowed")

    def _on_run_resumed(self, recorded: Any, event: Any) -> None:
        run = self.runs[recorded.stream]
        if run.status != "paused":
            self.plane.fail("resumed", f"{run.run_id} was {run.status}")
        run.status, run.requeued = "running", False
        self._take(run)

    def _on_run_requeued(self, recorded: Any, event: Any) -> None:
        self.runs[recorded.stream].requeued = True

    def _on_run_leased(self, recorded: Any, event: Any) -> None:
        self.runs[recorded.stream].leased = True

    def _on_run_paused(self, recorded: Any, event: Any) -> None:
        self.runs[recorded.stream].status = "paused"
        self.holders.discard(recorded.stream)

    def _on_run_cancel_requested(self, recorded: Any, event: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is not None and event.status == "cancelled" and run.cancelled_at is None:
            run.cancelled_at = self.plane.loop.time()
            self._orphan(run)

    def _orphan(self, parent: KnownRun) -> None:
        for run in self.runs.values():
            if run.parent == parent.run_id and not self._has_ended(run) and run.orphaned_at is None:
                run.orphaned_at = self.plane.loop.time()
                self._orphan(run)

    def _ended(self, recorded: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is None:
            return
        run.status, run.ended_at = recorded.type, self.plane.loop.time()
        self.holders.discard(run.run_id)
        if run.run_id in self.waiting[run.session]:
            self.waiting[run.session].remove(run.run_id)
        if self.turns.get(run.session) == run.run_id:
            del self.turns[run.session]
        for ask_id, ask in list(self.open_asks.items()):
            if ask.run_id == run.run_id:
                self.plane.fail("ask outlives run", f"{ask_id} is open after {recorded.type} of {run.run_id}")
                del self.open_asks[ask_id]

    def _on_run_asked(self, recorded: Any, event: Any) -> None:
        self.asks[event.ask_id] = self.open_asks[event.ask_id] = KnownAsk(recorded.stream, event)

    def _on_run_answered(self, recorded: Any, event: Any) -> None:
        ask = self.open_asks.pop(event.ask_id, None)
        if ask is None:
            self.plane.fail("answered twice", f"{event.ask_id} by {event.by}")
            return
        ask.decided, ask.decided_in_halt = event, self.halted
        asked, run = ask.event, self.runs[ask.run_id]
        if event.cause == "person":
            by = str(event.by)
            if not self.may_answer(ask, by):
                self.plane.fail("who answers", f"{by} ({ROLES.get(by)}) answered {event.ask_id} of {run.run_id}")
        if event.cause == "rule":
            rule = self.permissions.get(str(event.rule_id))
            if rule is None or event.rule_id in self.revoked or rule.expires_at_ms <= recorded.at:
                self.plane.fail("rule of nothing", f"{event.rule_id} answers {event.ask_id}: gone")
            elif not _covers(rule, run) or rule.arguments != asked.arguments:
                self.plane.fail("rule", f"{event.rule_id} answers {event.ask_id}: of another run or call")
            elif self.runs[self.asks[rule.ask_id].run_id].profile != run.profile:
                self.plane.fail("rule", f"{event.rule_id} answers {event.ask_id}: of another profile")
            elif asked.not_requester and rule.by in self.requesters_of(run):
                self.plane.fail("rule", f"{event.rule_id} of {rule.by} answers what {rule.by} requested")

    def may_answer(self, ask: KnownAsk, by: str) -> bool:
        """Return True if a person may answer an ask."""
        asked, run, role = ask.event, self.runs[ask.run_id], ROLES.get(by, "Viewer")
        may = role == "Admin" or (role == "Operator" and (asked.role or "Operator") == "Operator")
        if asked.kind in ("question", "choice") and by in self.requesters_of(run):
            may = True
        if asked.approvers and by not in asked.approvers:
            may = False
        if asked.not_requester and by in self.requesters_of(run):
            may = False
        return may

    def requesters_of(self, run: KnownRun) -> set[str]:
        """Return who requested a run: as requests, schedules and workflow runs say."""
        found = run.requesters | self.requested[run.run_id]
        if run.workflow_run in self.workflows:
            found |= self.workflows[run.workflow_run].by
        if run.parent in self.runs:
            found |= self.requesters_of(self.runs[run.parent])
        return found

    def _on_tool_called(self, recorded: Any, event: Any) -> None:
        run = self.runs[recorded.stream]
        if event.refused is not None or event.tool_name != ASKING:
            return
        policy = run.spec.tool_policies.shell if run.spec.tool_policies else None
        name = json.loads(event.arguments)["command"][1] if event.arguments else ""
        self.calls[name] += 1
        if run.cancelled_at is not None and self.plane.loop.time() - run.cancelled_at > LATE_SECONDS:
            self.plane.fail("call after cancel", f"{name} of {run.run_id}")
        if policy is None or policy.approval != "ask":
            return
        ask = self.asks.get(event.ask_id or "")
        if ask is None or ask.decided is None:
            self.plane.fail("not allowed", f"{name} of {run.run_id} was called without a decision")
            return
        ask.used += 1
        allowed = ask.decided.arguments or ask.arguments
        if ask.used > 1 or ask.decided.option_id != "allow" or ask.run_id != run.run_id:
            self.plane.fail("not allowed", f"{name}: {ask.decided.option_id}, used {ask.used} times")
        elif json.loads(allowed) != json.loads(event.arguments):
            self.plane.fail("other call", f"allowed {allowed}, called {event.arguments}")
        if self.halted and ask.decided_in_halt:
            self.plane.fail("halt", f"{name} was allowed and called in the halt")

    def _on_permission_rule_created(self, recorded: Any, event: Any) -> None:
        self.permissions[event.rule_id] = event

    def _on_permission_rule_revoked(self, recorded: Any, event: Any) -> None:
        self.revoked.add(event.rule_id)

    def _on_usage_recorded(self, recorded: Any, event: Any) -> None:
        self.spent[event.provider] += event.usage.output_tokens

    # Schedules

    def _decided(self, schedule: str) -> KnownSchedule | None:
        if known := self.schedules.get(schedule):
            known.decided_at = self.plane.wall() / 1000
        return known

    def _on_schedule_upserted(self, recorded: Any, event: Any) -> None:
        paused = event.id in self.schedules and self.schedules[event.id].paused
        self.schedules[event.id] = known = KnownSchedule(event, self.plane.wall() / 1000)
        known.paused = paused

    def _on_schedule_removed(self, recorded: Any, event: Any) -> None:
        self.schedules.pop(event.id, None)

    def _on_schedule_switched(self, recorded: Any, event: Any) -> None:
        if known := self._decided(event.id):
            match recorded.type:
                case "schedule.enabled" | "schedule.disabled":
                    known.enabled = recorded.type == "schedule.enabled"
                case "schedule.paused" | "schedule.resumed":
                    known.paused = recorded.type == "schedule.paused"

    _on_schedule_enabled = _on_schedule_disabled = _on_schedule_paused = _on_schedule_resumed = _on_schedule_switched
    _on_schedule_run_buffered = _on_schedule_run_skipped = _on_schedule_slots_missed = _on_schedule_switched

    def _on_schedule_run_started(self, recorded: Any, event: Any) -> None:
        if event.slot_ms is not None:
            slot = (event.id, event.slot_ms)
            if slot in self.slots:
                self.plane.fail("slot twice", str(slot))
            self.slots.add(slot)
        known = self._decided(event.id)
        if known:
            self.requested[event.target_run_id] |= {known.author} | ({recorded.actor} & ROLES.keys())
        going = {one for one, of in self.flights.items() if of == event.id and one in self.open_runs()}
        if known and known.overlap != "allow-all" and going - set(event.terminates or ()):
            self.plane.fail("overlap", f"{event.target_run_id} begins beside {going} ({known.overlap})")
        self.flights[event.target_run_id] = event.id

    def _on_schedule_run_ended(self, recorded: Any, event: Any) -> None:
        self._decided(event.id)
        run = self.runs.get(event.target_run_id)
        if self.flights.pop(event.target_run_id, None) is None:
            self.plane.fail("end twice", f"{event.target_run_id} of {event.id}")
        if run is not None and (run.status == "run.completed") != (recorded.type == "schedule.run.completed"):
            self.plane.fail("end of slot", f"{recorded.type} of {event.id}, but {run.run_id} is {run.status}")

    _on_schedule_run_completed = _on_schedule_run_failed = _on_schedule_run_ended

    # Queues and messages

    def _queue(self, recorded: Any) -> KnownQueue:
        known = self.queues[recorded.session_id]
        known.changed_at = self.plane.loop.time()
        return known

    def _on_work_enqueued(self, recorded: Any, event: Any) -> None:
        known, said = self._queue(recorded), (event.mode, event.payload)
        if not event.message_id and not event.dead_letter_id:
            same = [one for one, run_id in known.items.items() if not run_id and known.said[one] == said]
            if same:
                self.plane.fail("enqueued twice", f"{event.item_id} is as {same}")
            known.said[event.item_id] = said
        else:
            known.said[event.item_id] = ("", event.item_id)
        known.items[event.item_id] = ""

    def _on_work_drain_started(self, recorded: Any, event: Any) -> None:
        known = self._queue(recorded)
        if known.drain:
            self.plane.fail("two drains", f"{event.drain_id} beside {known.drain}")
        known.drain = event.drain_id

    def _on_work_batch_started(self, recorded: Any, event: Any) -> None:
        known = self._queue(recorded)
        waiting = [one for one, run_id in known.items.items() if not run_id]
        if waiting[: len(event.item_ids)] != list(event.item_ids):
            self.plane.fail("batch", f"{event.run_id} takes {event.item_ids}, {waiting} wait")
        for item in event.item_ids:
            known.items[item] = event.run_id
            if known.attempts[item] >= ATTEMPTS_MAX:
                self.plane.fail("attempts", f"{item} begins after {known.attempts[item]} attempts")

    def _on_work_item_drained(self, recorded: Any, event: Any) -> None:
        known, run = self._queue(recorded), self.runs.get(event.run_id)
        if known.items.pop(event.item_id, None) != event.run_id or run is None or run.status != "run.completed":
            self.plane.fail("drained", f"{event.item_id} by {event.run_id}: {run and run.status}")

    def _on_work_batch_returned(self, recorded: Any, event: Any) -> None:
        known, run = self._queue(recorded), self.runs.get(event.run_id)
        for item in event.item_ids:
            if known.items.get(item) != event.run_id or run is None or run.status == "run.completed":
                self.plane.fail("returned", f"{item} by {event.run_id}: {run and run.status}")
            known.items[item] = ""
            known.attempts[item] += event.counted
            if run is not None and event.counted == (run.status == "run.cancelled"):
                self.plane.fail("attempts", f"{item} of {run.run_id}: {run.status}, counted {event.counted}")

    def _on_work_batch_dead_lettered(self, recorded: Any, event: Any) -> None:
        known = self._queue(recorded)
        for item in event.item_ids:
            if known.items.pop(item, None) is None:
                self.plane.fail("dead letter", f"{item} does not wait")
            if event.reason == "attempts-exhausted" and known.attempts[item] < ATTEMPTS_MAX:
                self.plane.fail("attempts", f"{item} is given up after {known.attempts[item]} attempts")

    def _on_work_drained(self, recorded: Any, event: Any) -> None:
        known = self._queue(recorded)
        if known.drain != event.drain_id:
            self.plane.fail("drain", f"{event.drain_id} ends, {known.drain} is open")
        known.drain = ""

    _on_work_drain_failed = _on_work_drained

    def _on_a2a_message_sent(self, recorded: Any, event: Any) -> None:
        self.messages.add(event.message_id)

    def _on_a2a_message_completed(self, recorded: Any, event: Any) -> None:
        if event.message_id not in self.messages:
            self.plane.fail("message", f"{recorded.type} of {event.message_id}, which is over")
        self.messages.discard(event.message_id)

    _on_a2a_message_failed = _on_a2a_message_completed

    # Workflows

    def _on_workflow_created(self, recorded: Any, event: Any) -> None:
        before: dict[str, set[str]] = {step.id: set() for step in event.definition.steps}
        for edge in event.definition.dependencies:
            before[edge.target].add(edge.source)
        self.graphs[event.workflow_id] = before

    def _on_workflow_run_created(self, recorded: Any, event: Any) -> None:
        self.workflows[recorded.stream] = Flow(event, self.graphs[event.workflow_id])
        self._flow(recorded)

    def _flow(self, recorded: Any) -> Flow:
        flow = self.workflows[recorded.stream]
        flow.changed_at = self.plane.loop.time()
        return flow

    def _on_workflow_step_started(self, recorded: Any, event: Any) -> None:
        flow, step = self._flow(recorded), event.step_id
        if flow.cancelled or not flow.open:
            self.plane.fail("step after cancel", f"{step} of {recorded.stream}")
        if not flow.before[step] <= flow.ok:
            self.plane.fail("step too early", f"{step} of {recorded.stream} before {flow.before[step] - flow.ok}")
        if step in flow.ok or step in flow.running.values():
            self.plane.fail("step again", f"{step} of {recorded.stream}")
        flow.running[event.step_run_id] = step
        if event.step_run_id in self.runs:
            self.runs[event.step_run_id].workflow_run = recorded.stream

    def _on_workflow_step_completed(self, recorded: Any, event: Any) -> None:
        flow = self._flow(recorded)
        run = self.runs.get(event.step_run_id or "")
        flow.running.pop(event.step_run_id, None)
        if run is None or (run.status == "run.completed") != (recorded.type == "workflow.step.completed"):
            self.plane.fail("step", f"{recorded.type} of {event.step_id}, but its run is {run and run.status}")
        if recorded.type == "workflow.step.completed":
            flow.ok.add(event.step_id)

    def _on_workflow_step_failed(self, recorded: Any, event: Any) -> None:
        if event.step_run_id is not None:
            self._on_workflow_step_completed(recorded, event)

    _on_workflow_step_cancelled = _on_workflow_step_failed

    def _on_workflow_approval_requested(self, recorded: Any, event: Any) -> None:
        self._flow(recorded).approvals[event.step_id] = event

    def _on_workflow_approval_granted(self, recorded: Any, event: Any) -> None:
        flow = self._flow(recorded)
        if flow.approvals.pop(event.step_id, None) is None:
            self.plane.fail("decided twice", f"{event.step_id} of {recorded.stream}")
        if recorded.type == "workflow.approval.granted":
            flow.ok.add(event.step_id)

    _on_workflow_approval_rejected = _on_workflow_approval_granted

    def _on_workflow_run_cancel_requested(self, recorded: Any, event: Any) -> None:
        self._flow(recorded).cancelled = True

    def _on_workflow_resumed(self, recorded: Any, event: Any) -> None:
        flow = self._flow(recorded)
        flow.open, flow.cancelled = True, False
        flow.by.add(event.requested_by)
        flow.ok -= set(event.reset)

    def _close_workflow(self, recorded: Any, event: Any) -> None:
        flow = self._flow(recorded)
        flow.open = False
        flow.approvals.clear()

    _on_workflow_run_completed = _on_workflow_run_failed = _on_workflow_run_cancelled = _close_workflow

    # While time passes

    def _stuck(self) -> None:
        """Judge whether due work is late, if no fault was there for a while."""
        now = self.plane.loop.time()
        if not self.plane.calm(LATE_SECONDS):
            return
        for run in self.runs.values():
            since = run.cancelled_at or run.orphaned_at
            if since is not None and not self._has_ended(run) and now - since > LATE_SECONDS:
                kind = "cancel" if run.cancelled_at else "cancel of a child"
                self._late(run.run_id, kind, f"{run.run_id} is {run.status} {now - since:.0f} s after it")
        wall = self.plane.wall()
        for ask_id, ask in self.open_asks.items():
            over = (wall - ask.event.expires_at_ms) / 1000
            if over > LATE_SECONDS:
                self._late(ask_id, "expiry", f"{ask_id} is open {over:.0f} s after its time")
        for stream, flow in self.workflows.items():
            for step, asked in flow.approvals.items():
                if asked.expires_at_ms and (wall - asked.expires_at_ms) / 1000 > LATE_SECONDS:
                    self._late(f"{stream} {step}", "expiry", f"the approval {step} of {stream} is open after its time")
        if not self.halted and now - self.lifted_at > LATE_SECONDS:
            self._late_work(now)
        for server in self.plane.up():
            for problem in server.plane.log.problems.failing():
                self._late(f"{server.name} {problem.loop}", "problem", f"{server.name}: {problem}")

    def _late_work(self, now: float) -> None:
        """Judge what the reactors do. Nothing of it is due in a halt."""
        going = set(self.open_runs())
        self.free_since = {one: self.free_since.get(one, now) for one in self._free(going)}
        for run_id, since in self.free_since.items():
            if now - since > LATE_SECONDS:
                self._late(run_id, "admission", f"{run_id} has not begun for {now - since:.0f} s: there is room")
        for name, known in self.schedules.items():
            over = self.plane.wall() / 1000 - known.decided_at - 60 * (known.minutes or 1e9)
            if known.enabled and not known.paused and over > LATE_SECONDS:
                self._late(f"{name} {known.decided_at}", "slot", f"{name} decided about no slot for {over:.0f} s")
        for run_id, name in self.flights.items():
            if run_id in self.runs and run_id not in going and now - self.runs[run_id].ended_at > PROMPT_SECONDS:
                self._late(run_id, "end of slot", f"{run_id} of {name} ended, which is not recorded")
        for session, queue in self.queues.items():
            last = max([queue.changed_at, *(self.runs[one].ended_at for one in queue.items.values() if one)])
            busy = any(one in going for one in queue.items.values())
            if queue.drain and not busy and now - last > LATE_SECONDS:
                self._late(f"{session} {last}", "drain", f"{queue.drain} of {session} stands still: {queue.items}")
        for stream, flow in self.workflows.items():
            last = max([flow.changed_at, *(self.runs[one].ended_at for one in flow.running)])
            busy = bool(flow.approvals) or any(one in going for one in flow.running)
            if flow.open and not busy and now - last > LATE_SECONDS:
                self._late(f"{stream} {last}", "workflow", f"{stream} stands still: {flow.ok} {flow.running}")

    def _free(self, going: set[str]) -> Iterator[str]:
        """Yield the runs that may begin: they have neither a limit nor a run before them."""
        if self.limits or self.limit is not None or len(self.holders) >= EXECUTOR_RUNS:
            return
        for session, line in self.waiting.items():
            if line and session not in self.turns:
                yield line[0]
        for run_id in going:
            run = self.runs[run_id]
            if run.requeued or (run.status == "running" and not run.leased):
                yield run_id

    def _late(self, key: str, kind: str, what: str) -> None:
        if key not in self.late:
            self.late.add(key)
            self.plane.fail(f"late {kind}", what)

    @staticmethod
    def _has_ended(run: KnownRun) -> bool:
        return run.status in STATUS_OF_ENDING

    def open_runs(self) -> list[str]:
        return [run.run_id for run in self.runs.values() if not self._has_ended(run)]

    def open_work(self) -> list[str]:
        """Return what the reactors have still to do."""
        drains = [known.drain for known in self.queues.values() if known.drain]
        return [*self.messages, *drains, *(one for one, flow in self.workflows.items() if flow.open), *self.flights]

    def approvals(self) -> Iterator[tuple[str, str, str]]:
        for stream, flow in self.workflows.items():
            for step_id, event in flow.approvals.items():
                yield stream, step_id, event.subject_sha256

    # Answers

    def answered(self, method: str, path: str, caller: str, query: Mapping[str, Any], answer: Answer) -> None:
        """Note what an answer says, and judge it."""
        position = int(answer.headers.get("athena-position", 0))
        if position > self.position:
            self.committed()
            if position > self.position:
                self.plane.fail("position", f"{method} {path} is of {position}, the log has {self.position}")
        data = answer.data
        decides = path.endswith(("/answer", "/approve", "/reject", "/cancel")) or path in ("/policy", "/halt")
        if answer.code == "HALTED" and (method != "POST" or decides):
            self.plane.fail("refused in a halt", f"{method} {path} of {caller}")
        if method == "GET" and answer.status == 200 and position == self.position and "asOf" not in query:
            self._seen(path, caller, query, data)
        if method == "POST" and path == "/runs" and answer.status < 300 and isinstance(data, dict) and "runId" in data:
            self.requested[data["runId"]].add(caller)

    def _seen(self, path: str, caller: str, query: Mapping[str, Any], data: Any) -> None:
        """Compare what was read at the head with what the log says."""
        if path == "/asks" and not set(query) - {"answerable", "nth"} and len(data["items"]) < PAGE:
            shown = {one["id"] for one in data["items"] if one["kind"] != "workflow-approval"}
            known = dict(self.open_asks)
            if "answerable" in query:
                known = {one: ask for one, ask in known.items() if self.may_answer(ask, caller)}
            if shown != set(known):
                self.plane.fail("asks", f"{caller} reads {shown}, open are {set(known)} ({dict(query)})")
        if path.startswith("/runs/run_") and path.count("/") == 2 and not set(query) - {"nth"}:
            run = self.runs.get(data["runId"])
            status = STATUS_OF_ENDING.get(run.status, "open") if run else "unknown"
            shown_status = data["status"] if data["status"] in STATUS_OF_ENDING.values() else "open"
            if status != shown_status:
                self.plane.fail("status", f"{path} is {data['status']}, recorded {run and run.status}")

    def keyed(self, method: str, path: str, body: Any, caller: str, key: str, answer: Answer) -> None:
        """Compare the answer to a repeated key with the first one."""
        known = self.keys.get((caller, key))
        now = self.plane.wall() / 1000
        if known is None:
            if answer.status < 300:
                self.keys[caller, key] = (answer, now)
                self.plane.answered.append((method, path, body, caller, key, answer, now))
            return
        first, at = known
        if now - at > 22 * 3600:
            return
        if answer.status == 404 and path == "/memory":
            return  # the note was forgotten meanwhile
        if answer.code == "IDEMPOTENCY_IN_PROGRESS":
            return  # the run goes on, and the same request may wait for it again
        if answer.status >= 400 and not _ids(answer.data):
            self.plane.fail("repeat", f"{method} {path} {key}: {first.status}, then {answer.status} {answer.data}")
        else:
            was, now_is = _ids(first.data), _ids(answer.data)
            named = was.keys() & now_is.keys()
            if named & {"messageId", "drainId"}:
                named -= {"runId"}  # the run of the last attempt or batch
            if any(was[name] != now_is[name] for name in named):
                self.plane.fail("repeat", f"{method} {path} {key}: {was}, then {now_is}")


def _covers(rule: Any, run: KnownRun) -> bool:
    match rule.scope:
        case "run":
            return bool(rule.run_id == run.run_id)
        case "session":
            return bool(rule.session_id == run.session)
        case _:
            return bool(rule.harness_profile_id == run.profile)


NAMED = ("runId", "id", "askId", "messageId", "drainId", "total", "selected", "requested", "retried")


def _ids(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        return {}
    details = data.get("details")
    found = data | details if isinstance(details, dict) else data
    return {name: found[name] for name in NAMED if name in found}


async def judge_end(plane: "Plane") -> None:
    """Judge the whole log and the views once nothing runs any more."""
    oracle, outside = plane.oracle, plane.outside
    await plane.follow_to_the_end()
    await plane.stop()
    for name, times in outside.effects.items():
        if times > oracle.calls[name]:
            plane.fail("effect", f"{name} happened {times} times, {oracle.calls[name]} recorded")
    if not plane.hard_faults:
        for provider, tokens in outside.tokens.items():
            if oracle.spent[provider] != tokens:
                plane.fail("usage", f"{provider} counted {tokens}, recorded {oracle.spent[provider]}")
    with records.wired(plane.place / "state") as parts, closing(parts.log.reader()) as reader:
        rows, rules = records.all_rows(reader), Rules()
        flaws = [flaw for row in rows for flaw in rules.look(row, records.CODEC.decode(row).event)]
        if flaws:
            plane.fail("rule", str(flaws)[:500])
        try:
            records.judge_rows(rows)
        except AssertionError as error:
            plane.fail("history", str(error)[:500])
        if records.stored_guards(rows) != reader.guards():
            plane.fail("guards", str(set(records.stored_guards(rows)) ^ set(reader.guards()))[:500])
        for found in replay.verify(parts.views):
            if not found.equal:
                plane.fail("replay", str(found)[:500])
        meta = {"log_id": parts.log.log_id, "format": "1"}
        *_, last = proof.verify(reader, records.CODEC, SystemClock(), meta=meta, keys=reader.keys())
        if last.report is None or not last.report.ok:
            plane.fail("verify", str(last.report and last.report.violations)[:500])
    own = b'"pid":%d' % os.getpid()
    plane.digest = digest_of(
        [
            (row.position, row.type, row.stream, row.recorded_at, row.data, row.text)
            for row in (row._replace(data=row.data.replace(own, b"")) for row in rows)
        ]
    )
