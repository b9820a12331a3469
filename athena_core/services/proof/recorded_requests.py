"""Run requests as the log records them, with the steps of each run: the input of a simulation.

``HistoryReader`` reads a part of the log. It follows the events that declare it (``Shows.simulate``).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from athena_core.definitions.profile import AgentPolicy
from athena_core.domain import EVENTS, run, template, workflow_run
from athena_core.domain.profile import DECIDER as PROFILE
from athena_core.enums import SessionStrategy
from athena_core.event import Event, Position, Recorded, Value
from athena_core.log.codec import at_of
from athena_core.protocols import Decode, Row
from athena_core.services.runs.prepared import shadow_profile

REQUESTS_MAX = 10_000
EVENTS_MAX = 500_000
PAGE_EVENTS = 1_000
STRATEGY_REASON = "lock-acquisition-failed"
"""The reason of refusals that a client chose with its session strategy."""


class RecordedRequest(Value):
    """A requested run as recorded; times in ms, money in micro-USD.

    ``refused`` is the recorded reason of a refusal. ``patient``, ``strategy`` and ``least`` are as in ``PreparedRun``.
    ``began_at`` is the time of admission. ``steps`` are the events since then that occupy or release something; of a
    run that was never admitted, the events that ended its wait. ``duration_ms`` is how long it held a slot, until now
    if it is open. ``recorded_at`` follows the order of the log; ``at`` is the deciding server's clock.
    """

    run_id: str
    position: Position
    recorded_at: int
    at: int
    pinned: run.RunCreated
    command: str = ""
    template: str | None = None
    patient: bool = False
    strategy: SessionStrategy = "enqueue"
    least: int | None = 0
    refused: str | None = None
    began_at: int | None = None
    steps: tuple[Recorded[Event], ...] = ()
    ended: bool = True
    duration_ms: int = 0
    cost_micro_usd: int = 0


class RequestHistory(NamedTuple):
    """A part of the log: its requests, and the runs that were open before it with their earlier events.

    ``paid`` are the usages earlier on the day on which it begins. ``leased`` is the most runs each executor had at
    once.
    """

    since: Position
    to: Position
    truncated: bool
    requests: Sequence[RecordedRequest]
    open: Sequence[RecordedRequest] = ()
    before: Sequence[Recorded[Event]] = ()
    paid: Sequence[Recorded[Event]] = ()
    leased: Mapping[str, int] = MappingProxyType({})


class RunCourse:
    """A run while the log is read."""

    def __init__(self, row: Row) -> None:
        self.run_id = row.stream
        self.first = row
        self.patient = False
        self._request: run.RunRequest | None = None
        self._template: str | None = None
        self._refusal: run.PolicyRejected | None = None
        self._began_at: int | None = None
        self._steps: list[Recorded[Event]] = []
        self._ended = self._reserved = self._unpriced = False
        self._since: int | None = None
        self._held = self._cost = 0

    @property
    def open(self) -> bool:
        """Return True if the run exists and has not ended."""
        return self._request is not None and not self._ended

    def take(self, recorded: Recorded[Event]) -> None:
        """Apply an event of the run."""
        event = recorded.event
        match event:
            case run.RunQueued():
                self._request = event
                self.patient = self.patient or event.reason == "concurrency"
                return
            case run.RunCreated():
                self._request, self._began_at, self._since = event, recorded.recorded_at, recorded.recorded_at
                return
            case template.RunTemplateRun():
                self._template = event.run_template_id
                return
            case run.PolicyRejected():
                self._refusal = event if self._request is None else None  # otherwise a resume was refused
                return
            case run.RunResumed():
                self._since = recorded.recorded_at
            case run.BudgetReserved():
                self._reserved = True
            case run.UsageRecorded():
                self._cost += max(event.cost_micro_usd or 0, 0)
                self._unpriced = self._unpriced or (event.unpriced is True and not self._reserved)
            case run.RunPaused():
                self._stop(recorded.recorded_at)
            case _ if recorded.type in run.ENDING_TYPES:
                self._stop(recorded.recorded_at)
                self._ended = True
        if recorded.type in FOLLOWED_TYPES and recorded.type in run.DECIDER.guarded:
            self._steps.append(recorded)

    def forget(self) -> None:
        """Drop the steps and the cost so far: they lie before the part that is read."""
        self._steps, self._cost = [], 0

    def _stop(self, now: int) -> None:
        """Add the time since the run got its slot."""
        if self._since is not None:
            self._held += max(now - self._since, 0)
            self._since = None

    def request(self, now: int) -> RecordedRequest | None:
        """Return the request as known at this time, None if the stream holds no request."""
        fields: dict[str, Any] = {
            "run_id": self.run_id,
            "position": self.first.position,
            "recorded_at": self.first.recorded_at,
            "at": at_of(self.first),
            "command": self.first.command_id,
            "template": self._template,
            "patient": self.patient,
        }
        if self._request is not None:
            held = self._held + (max(now - self._since, 0) if self._since is not None else 0)
            return RecordedRequest(
                **fields,
                pinned=replace(run.without_text(self._request), parent_run_id=None),
                least=None if self._unpriced else 0,
                began_at=self._began_at,
                steps=tuple(self._steps),
                ended=self._ended,
                duration_ms=held,
                cost_micro_usd=self._cost,
            )
        return None if self._refusal is None else _refused(self._refusal, fields)


def _refused(refusal: run.PolicyRejected, fields: Mapping[str, Any]) -> RecordedRequest:
    """Return a refused request, with what its refusal records."""
    rejection, profile = refusal.rejection, refusal.harness_profile_id or ""
    provider, plan = refusal.provider or "", refusal.plan
    model = plan.model if plan is not None else ""
    snapshot = shadow_profile(provider, model, 1)[1]
    if plan is not None and plan.agent is not None:
        snapshot = replace(snapshot, agent=AgentPolicy(name=plan.agent))
    pinned = run.RunCreated(
        session_id=rejection.rejected_run_details.session_id,
        directive_id=refusal.directive_id or "",
        harness_profile_id=profile,
        provider=provider,
        model=model,
        harness_profile_snapshot=snapshot,
        profile_named=PROFILE.owns(profile),
        timeout_ms=1,
        requested_by=plan.requested_by if plan is not None else "",
        fallbacks=plan.fallbacks if plan is not None else None,
    )
    if plan is not None:
        return RecordedRequest(
            **{**fields, "template": refusal.run_template_id, "patient": plan.patient is True},
            pinned=pinned,
            strategy=plan.session_strategy or "enqueue",
            least=plan.least_micro_usd,
            refused=rejection.reason,
        )
    least: int | None = 0  # recorded before refusals had a plan
    if rejection.reason == "unpriced-model":
        least = None
    elif rejection.reason == "daily-cost-budget-exceeded":  # one call cost more than what was left
        least = max((rejection.budget_micro_usd or 0) - (rejection.spent_micro_usd or 0) + 1, 0)
    return RecordedRequest(
        **{**fields, "template": refusal.run_template_id},
        pinned=pinned,
        strategy="reject" if rejection.reason == STRATEGY_REASON else "enqueue",
        least=least,
        refused=rejection.reason,
    )


class HistorySource(Protocol):
    """The parts of the log that a reader of the history needs."""

    def head(self) -> Position:
        """Return the last position."""

    def rows(self, after: Position, limit: int, until: Position) -> Sequence[Row]:
        """Return rows with ``after < position <= until`` in order, at most ``limit``."""

    def row(self, position: Position) -> Row | None:
        """Return one row."""

    def stream(self, stream: str) -> list[Row]:
        """Return the rows of a stream."""

    def guards(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        """Return all guard rows."""

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """Return the first rows of some types with ``after < position <= until``."""


FOLLOWED_TYPES = frozenset(kind.TYPE for kind in EVENTS if kind.SHOWS.simulate is True)
"""The run events that a simulation follows."""

RUN, WORKFLOW_RUN = (f"{decider.category}_" for decider in (run.DECIDER, workflow_run.DECIDER))


class HistoryReader:
    """Reads the run requests of a log after a position."""

    def __init__(self, log: HistorySource, decode: Decode, since: Position) -> None:
        self._log = log
        self._decode = decode
        self._since = since
        self._courses: dict[str, RunCourse] = {}
        self._open: dict[str, RunCourse] = {}
        self._before: list[Recorded[Event]] = []
        self._command: str | None = None
        self._begun: list[RunCourse] = []
        self._workflow = False

    def collect(self) -> RequestHistory:
        """Read until the head or a limit."""
        head, position, now = self._log.head(), self._since, 0
        truncated = False
        while position < head and not truncated:
            for row in self._log.rows(position, PAGE_EVENTS, head):
                begins = row.version == 1 and row.stream.startswith(RUN)
                if (begins and len(self._courses) == REQUESTS_MAX) or row.position - self._since > EVENTS_MAX:
                    truncated = True
                    break
                position, now = row.position, row.recorded_at
                self._take(row)
        for kind, key, value in self._log.guards():
            if kind in {"slot", "waiting", "turn"}:
                self._open_before(str(value[0]) if kind == "turn" else key)
        requests = [one for course in self._courses.values() if (one := course.request(now)) is not None]
        still = [one for course in self._open.values() if (one := course.request(now)) is not None]
        before = sorted(self._before, key=lambda one: one.position)
        steps = (step for one in (*requests, *still) for step in one.steps)
        paid, all_paid = self._paid()
        return RequestHistory(
            since=self._since,
            to=position,
            truncated=truncated or not all_paid,
            requests=requests,
            open=still,
            before=before,
            paid=paid,
            leased=_leased([*before, *sorted(steps, key=lambda one: one.position)]),
        )

    def _take(self, row: Row) -> None:
        if row.command_id != self._command:
            self._command, self._begun, self._workflow = row.command_id, [], False
        if row.stream.startswith(RUN):
            if row.version == 1:
                course = self._courses[row.stream] = RunCourse(row)
                self._begun.append(course)
            known = self._open_before(row.stream) if row.type in FOLLOWED_TYPES else None
            if known is not None:
                known.take(self._decode(row, text=False))
        elif row.stream.startswith(WORKFLOW_RUN):
            self._workflow = True
        if self._workflow:
            for course in self._begun:
                course.patient = True  # a step of a workflow waits for its slot (``PreparedRun.patient``)

    def _open_before(self, run_id: str) -> RunCourse | None:
        """Return a run, reading its events from before the part if it was open then; their cost does not count."""
        known = self._courses.get(run_id) or self._open.get(run_id)
        if known is not None:
            return known
        rows = [row for row in self._log.stream(run_id) if row.position <= self._since]
        if not rows:
            return None  # requested after the part that is read
        course = RunCourse(rows[0])
        events = [self._decode(row, text=False) for row in rows if row.type in FOLLOWED_TYPES]
        for recorded in events:
            course.take(recorded)
        if course.open:
            self._open[run_id] = course
            self._before += events
            course.forget()
        return course

    def _paid(self) -> tuple[list[Recorded[Event]], bool]:
        """Return the usages of the first UTC day before the part, and True if none is missing."""
        row = self._log.row(self._since) if self._since else None
        if row is None:
            return [], True
        midnight = at_of(row) // run.DAY_MS * run.DAY_MS
        position = bisect_left(range(1, self._since + 1), midnight, key=self._recorded_at)
        if self._since - position > EVENTS_MAX:
            return [], False
        found: list[Recorded[Event]] = []
        while rows := self._log.of_types((run.UsageRecorded.TYPE,), position, self._since, PAGE_EVENTS):
            found += (self._decode(row, text=False) for row in rows)
            position = rows[-1].position
        return found, True

    def _recorded_at(self, position: Position) -> int:
        row = self._log.row(position)
        return row.recorded_at if row is not None else 0


def _leased(events: Iterable[Recorded[Event]]) -> Mapping[str, int]:
    """Return the most runs that each executor had at once."""
    holders: dict[str, str] = {}
    now: Counter[str] = Counter()
    most: dict[str, int] = {}
    for one in events:
        if isinstance(one.event, run.RunLeased | run.RunPaused) or one.type in run.ENDING_TYPES:
            before = holders.pop(one.stream, None)
            if before is not None:
                now[before] -= 1
        if isinstance(one.event, run.RunLeased):
            executor = holders[one.stream] = one.event.executor
            now[executor] += 1
            most[executor] = max(most.get(executor, 0), now[executor])
    return most
