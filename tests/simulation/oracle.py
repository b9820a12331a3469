"""Oracle: what must hold after each commit, in each answer, while time passes and at the end, from the documents."""

import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
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

BEGINS = {
    *("run.created", "run.resumed", "run.leased", "workflow.run.created", "workflow.step.started"),
    *("work.batch.started", "schedule.run.started", "a2a.message.started", "persona.run.started"),
}
"""What never happens in a halt."""

ASKING = "shell"


class KnownRun:
    """A run as its events say."""

    def __init__(self, run_id: str, event: Any, queued: bool) -> None:
        self.run_id = run_id
        self.status = "queued" if queued else "running"
        self.session = str(event.session_id)
        self.spec = event.harness_profile_snapshot
        self.profile = event.harness_profile_id
        self.parent = event.parent_run_id
        self.cancelled_at: float | None = None
        self.requesters: set[str] = set()
        self.workflow_run: str | None = None


class KnownAsk:
    """An open or decided ask of a run."""

    def __init__(self, run_id: str, event: Any) -> None:
        self.run_id, self.event = run_id, event
        self.kind, self.shown = event.kind, event.subject_sha256
        self.arguments = event.arguments
        self.decided: Any = None
        self.used = 0
        self.decided_in_halt = False


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
        self.schedules: dict[str, str] = {}
        """The author of each schedule."""
        self.slots: set[tuple[str, int]] = set()
        self.halted = False
        self.limit: int | None = None
        self.waiting: dict[str, deque[str]] = defaultdict(deque)
        self.holders: set[str] = set()
        self.turns: dict[str, str] = {}
        self.workflows: dict[str, dict[str, Any]] = {}
        """Workflow runs: ``open``, ``cancelled``, ``by`` and open approvals by step."""
        self.calls: Counter[str] = Counter()
        """Recorded calls whose effects may happen, by the name of the effect."""
        self.keys: dict[tuple[str, str], tuple[Answer, float]] = {}
        self.late: set[str] = set()
        self.events: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.requested: dict[str, str] = {}
        """The caller of each run that was started by a request of its own."""

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
        self.halted = False

    def _on_policy_updated(self, recorded: Any, event: Any) -> None:
        self.limit = event.after.max_concurrent_runs

    def _on_run_queued(self, recorded: Any, event: Any) -> None:
        run = self.runs[recorded.stream] = KnownRun(recorded.stream, event, True)
        run.requesters |= set(event.requesters or ())
        self.waiting[run.session].append(run.run_id)

    def _on_run_created(self, recorded: Any, event: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is None:
            run = self.runs[recorded.stream] = KnownRun(recorded.stream, event, False)
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

    def _take(self, run: KnownRun) -> None:
        self.holders.add(run.run_id)
        if self.limit is not None and len(self.holders) > self.limit:
            self.plane.fail("limit", f"{len(self.holders)} runs, {self.limit} allowed")
        holder = self.turns.setdefault(run.session, run.run_id)
        if holder != run.run_id:
            self.plane.fail("session", f"{run.run_id} and {holder} have {run.session}")

    def _on_run_resumed(self, recorded: Any, event: Any) -> None:
        run = self.runs[recorded.stream]
        if run.status != "paused":
            self.plane.fail("resumed", f"{run.run_id} was {run.status}")
        run.status = "running"
        self._take(run)

    def _on_run_paused(self, recorded: Any, event: Any) -> None:
        self.runs[recorded.stream].status = "paused"
        self.holders.discard(recorded.stream)

    def _on_run_cancel_requested(self, recorded: Any, event: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is not None and event.status == "cancelled" and run.cancelled_at is None:
            run.cancelled_at = self.plane.loop.time()

    def _ended(self, recorded: Any) -> None:
        run = self.runs.get(recorded.stream)
        if run is None:
            return
        run.status = recorded.type
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
            self._check_person(ask, run, str(event.by))
        if event.cause == "rule":
            rule = self.permissions.get(str(event.rule_id))
            if rule is None or event.rule_id in self.revoked or rule.expires_at_ms <= recorded.recorded_at:
                self.plane.fail("rule of nothing", f"{event.rule_id} answers {event.ask_id}: gone")
            elif not _covers(rule, run) or rule.arguments != asked.arguments:
                self.plane.fail("rule", f"{event.rule_id} answers {event.ask_id}: of another run or call")

    def _check_person(self, ask: KnownAsk, run: KnownRun, by: str) -> None:
        asked, role = ask.event, ROLES.get(by, "Viewer")
        may = role == "Admin" or (role == "Operator" and (asked.role or "Operator") == "Operator")
        if asked.kind in ("question", "choice") and by in self.requesters_of(run):
            may = True
        if asked.approvers and by not in asked.approvers:
            may = False
        if asked.not_requester and by in self.requesters_of(run):
            may = False
        if not may:
            self.plane.fail("who answers", f"{by} ({role}) answered {asked.ask_id} of {run.run_id}")

    def requesters_of(self, run: KnownRun) -> set[str]:
        """Return who requested a run: as requests, schedules and workflow runs say."""
        found = set(run.requesters)
        if run.run_id in self.requested:
            found.add(self.requested[run.run_id])
        if run.workflow_run in self.workflows:
            found |= self.workflows[run.workflow_run]["by"]
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

    def _on_schedule_upserted(self, recorded: Any, event: Any) -> None:
        self.schedules[event.id] = event.updated_by

    def _on_schedule_removed(self, recorded: Any, event: Any) -> None:
        self.schedules.pop(event.id, None)

    def _on_schedule_run_started(self, recorded: Any, event: Any) -> None:
        if event.slot_ms is not None:
            slot = (event.id, event.slot_ms)
            if slot in self.slots:
                self.plane.fail("slot twice", str(slot))
            self.slots.add(slot)
        author = self.schedules.get(event.id)
        run = self.runs.get(event.target_run_id)
        if author and run is not None:
            run.requesters.add(author)

    def _on_workflow_run_created(self, recorded: Any, event: Any) -> None:
        by = {event.requested_by, *(event.requesters or ())}
        self.workflows[recorded.stream] = {"open": True, "cancelled": False, "by": by, "approvals": {}}

    def _on_workflow_step_started(self, recorded: Any, event: Any) -> None:
        known = self.workflows[recorded.stream]
        if known["cancelled"] or not known["open"]:
            self.plane.fail("step after cancel", f"{event.step_id} of {recorded.stream}")
        if event.step_run_id in self.runs:
            self.runs[event.step_run_id].workflow_run = recorded.stream

    def _on_workflow_approval_requested(self, recorded: Any, event: Any) -> None:
        self.workflows[recorded.stream]["approvals"][event.step_id] = event

    def _on_workflow_approval_granted(self, recorded: Any, event: Any) -> None:
        if self.workflows[recorded.stream]["approvals"].pop(event.step_id, None) is None:
            self.plane.fail("granted twice", f"{event.step_id} of {recorded.stream}")

    def _on_workflow_approval_rejected(self, recorded: Any, event: Any) -> None:
        if self.workflows[recorded.stream]["approvals"].pop(event.step_id, None) is None:
            self.plane.fail("rejected twice", f"{event.step_id} of {recorded.stream}")

    def _on_workflow_run_cancel_requested(self, recorded: Any, event: Any) -> None:
        self.workflows[recorded.stream]["cancelled"] = True

    def _on_workflow_resumed(self, recorded: Any, event: Any) -> None:
        self.workflows[recorded.stream].update(open=True, cancelled=False)

    def _close_workflow(self, recorded: Any, event: Any) -> None:
        self.workflows[recorded.stream].update(open=False, approvals={})

    _on_workflow_run_completed = _on_workflow_run_failed = _on_workflow_run_cancelled = _close_workflow

    # While time passes

    def _stuck(self) -> None:
        """Judge whether due work is late, if no fault was there for a while."""
        now = self.plane.loop.time()
        if not self.plane.calm(LATE_SECONDS):
            return
        for run in self.runs.values():
            if run.cancelled_at is not None and not self._has_ended(run) and now - run.cancelled_at > LATE_SECONDS:
                self._late(
                    run.run_id, "cancel", f"{run.run_id} is {run.status} {now - run.cancelled_at:.0f} s after it"
                )
        wall = self.plane.wall()
        for ask_id, ask in self.open_asks.items():
            over = (wall - ask.event.expires_at_ms) / 1000
            if over > LATE_SECONDS and not self.halted:
                self._late(ask_id, "expiry", f"{ask_id} is open {over:.0f} s after its time")

    def _late(self, key: str, kind: str, what: str) -> None:
        if key not in self.late:
            self.late.add(key)
            self.plane.fail(f"late {kind}", what)

    @staticmethod
    def _has_ended(run: KnownRun) -> bool:
        return run.status in STATUS_OF_ENDING

    def open_runs(self) -> list[str]:
        return [run.run_id for run in self.runs.values() if not self._has_ended(run)]

    def approvals(self) -> Iterator[tuple[str, str, str]]:
        for stream, known in self.workflows.items():
            for step_id, event in known["approvals"].items():
                yield stream, step_id, event.subject_sha256

    # Answers

    def answered(self, method: str, path: str, caller: str, answer: Answer) -> None:
        """Note what an answer says, and judge it."""
        position = int(answer.headers.get("athena-position", 0))
        if position > self.position:
            self.committed()
            if position > self.position:
                self.plane.fail("position", f"{method} {path} is of {position}, the log has {self.position}")
        data = answer.data
        if method == "POST" and path == "/runs" and answer.status < 300 and isinstance(data, dict) and "runId" in data:
            self.requested.setdefault(data["runId"], caller)

    def keyed(self, method: str, path: str, body: Any, caller: str, key: str, answer: Answer) -> None:
        """Compare the answer to a repeated key with the first one."""
        known = self.keys.get((caller, key))
        now = self.plane.loop.time()
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
        if answer.status >= 400 and not _ids(answer.data):
            self.plane.fail("repeat", f"{method} {path} {key}: {first.status}, then {answer.status} {answer.data}")
        else:
            was, now_is = _ids(first.data), _ids(answer.data)
            if any(was[name] != now_is[name] for name in was.keys() & now_is.keys()):
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
