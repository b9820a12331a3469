"""The verification of a log: one pass that proves the chain, and the invariants that every decision keeps.

It only reads, so it may run beside a server; what is committed after it began is left for the next time. It remembers
the version of every stream and where every command began, about 200 bytes a stream and 16 a command.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from athena_core.clock import Clock, iso, milliseconds
from athena_core.decider import Decider
from athena_core.domain import DECIDERS, a2a, dead_letter, persona, policy, redrive, run, schedule, work, workflow_run
from athena_core.errors import ConfigError, Overloaded
from athena_core.event import Event, Position, Unknown, Value
from athena_core.protocols import LogReader, Row, StoredKey
from athena_core.slots import INSTANT_MAX, count_slots, next_slot
from athena_core.store import chain
from athena_core.store.codec import Codec, at_of
from athena_core.store.log import Anchor, Guards, category
from athena_core.store.port import FORMAT
from athena_core.values import Usage

PAGE_EVENTS = 1_000
VIOLATIONS_MAX = 20
MOMENT_TRIES = 1_000
RUN_PREFIX = "run_"
COUNTED_MAX = 10_000
ADMITTING = (run.RunCreated, run.RunResumed)
LASTING_ZONES = {None, "UTC"}
"""The zones whose slots can be counted again in years: the rules of all others change."""

GuardRow = tuple[str, str, tuple[str | int, ...]]


class Source(LogReader, Protocol):
    """What is verified: the rows of the log, and the guards beside them."""

    def guards(self) -> list[GuardRow]:
        """All guard rows."""


class Violation(Value):
    """A rule that does not hold, where (if it is about one event), and why."""

    rule: str
    reason: str
    position: Position | None = None

    def __str__(self) -> str:
        """The violation in words."""
        place = "" if self.position is None else f"position {self.position}: "
        return f"{place}{self.reason} [{self.rule}]"


class Report(Value):
    """What was looked at, and the first violations; ``keys`` is absent where they were not looked at."""

    ok: bool
    log_id: str
    head: Position
    chain: str
    streams: int
    runs: int
    open_runs: int
    commands: int
    guards: int
    unknown_events: int
    seconds: float
    events_per_second: int
    violation_count: int
    violations: tuple[Violation, ...]
    keys: int | None = None


class Progress(Value):
    """How far the pass is; ``report`` is there at the end."""

    position: Position
    head: Position
    seconds: float
    events_per_second: int
    report: Report | None = None


# What is known of the log before an event


class OpenRun:
    """A run that has not ended."""

    def __init__(self, status: str) -> None:
        """Begin."""
        self.status = status
        self.session_id = ""
        self.places: tuple[str, ...] = ()
        self.executor = ""
        self.token = 0
        self.attempt = 0
        self.turn = 0
        self.calls: set[str] = set()
        self.spent = 0
        self.cut = False
        self.budget: int | None = None
        self.cancelled = False


class Launching(NamedTuple):
    """A run that a schedule started, which is not there yet."""

    schedule: str
    position: Position
    command: str


class World:
    """What the rules compare an event with; runs that have ended are forgotten."""

    def __init__(self) -> None:
        """Before the first event."""
        self.recorded_at = 0
        self.versions: dict[str, int] = {}
        self.open: dict[str, OpenRun] = {}
        self.slots: set[str] = set()
        self.turns: dict[str, str] = {}
        self.policy = policy.DECIDER.initial
        self.active: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        """What was spent on each UTC day, in millionths of a dollar."""
        self.reserved: dict[str, int] = {}
        self.runs = 0
        self.schedules: dict[str, schedule.ScheduleState] = {}
        self.command = ""
        self.began: set[str] = set()
        """The streams that began in the present command."""
        self.launching: dict[str, Launching] = {}
        """The runs that schedules started, until they are there or were refused."""
        self.flows: dict[str, workflow_run.WorkflowRunState] = {}
        self.queues: dict[str, work.WorkState] = {}
        self.working: dict[str, str] = {}
        """The runs that have items of a queue, and how they ended."""
        self.letters: dict[str, str] = {}
        """The status of each dead letter."""
        self.buried: dict[str, tuple[str, ...]] = {}
        """The items that left a queue for a dead letter which is to follow."""
        self.requeued: dict[str, str] = {}
        """The items that are to come back to a queue, and from which dead letter."""
        self.messages: dict[str, str] = {}
        """The status of each message that is to be delivered."""
        self.reviews: dict[str, persona.PersonaState] = {}
        self.reviewing: dict[str, str] = {}
        """The runs that are of a review, by which persona."""
        self.redrives: dict[str, redrive.RedriveState] = {}

    def status(self, row: Row) -> str:
        """Where the run of a row is before it: ``new``, its status, or ``ended``."""
        known = self.open.get(row.stream)
        if known is not None:
            return known.status
        return "ended" if row.stream in self.versions else "new"

    def advance(self, row: Row, event: Event) -> None:
        """Take an event in."""
        status = self.status(row)
        self.recorded_at = row.recorded_at
        self._advance_command(row, event)
        self.versions[row.stream] = row.version
        if isinstance(event, policy.PolicyUpdated):
            self.policy = policy.evolve(self.policy, event)
        if row.stream.startswith(RUN_PREFIX):
            self._advance_run(row, event, TRANSITIONS.get((status, row.type), status))
        if category(row.stream) == workflow_run.DECIDER.category:
            self.flows[row.stream] = workflow_run.evolve(self.flow(row), event)
        if category(row.stream) == schedule.DECIDER.category:
            self.schedules[row.stream] = schedule.evolve(self.schedule(row), event)
        if category(row.stream) == work.DECIDER.category:
            self.queues[row.stream] = work.evolve(self.queue(row), event)
        if category(row.stream) == persona.DECIDER.category:
            self._advance_review(row, event)
        if category(row.stream) == redrive.DECIDER.category:
            self.redrives[row.stream] = redrive.evolve(self.redrive(row), event)
        if row.stream in self.working and row.type in run.ENDING_TYPES:
            self.working[row.stream] = row.type
        self._advance_work(row, event)

    def _advance_command(self, row: Row, event: Event) -> None:
        if row.command_id != self.command:
            self.command = row.command_id
            self.began.clear()
        if row.stream not in self.versions:
            self.began.add(row.stream)
            self.launching.pop(row.stream, None)
        match event:
            case schedule.ScheduleRunStarted(target_run_id=run_id) if run_id not in self.versions:
                self.launching[run_id] = Launching(row.stream, row.position, row.command_id)
            case schedule.ScheduleRunFailed(target_run_id=run_id) if run_id in self.launching:
                if self.launching[run_id].command == row.command_id:
                    del self.launching[run_id]

    def _advance_work(self, row: Row, event: Event) -> None:
        match event:
            case work.WorkBatchStarted():
                self.working[event.run_id] = ""
            case work.WorkItemDrained() | work.WorkBatchReturned():
                if self.queue(row).batch is None:
                    self.working.pop(event.run_id, None)
            case work.WorkBatchBuried():
                self.buried[event.dead_letter_id] = event.item_ids
            case work.WorkEnqueued(dead_letter_id=str()):
                self.requeued.pop(event.item_id, None)
            case dead_letter.DeadLetterAdded():
                self.letters[row.stream] = "pending"
                self.buried.pop(row.stream, None)
            case dead_letter.DeadLetterRequeued():
                self.letters[row.stream] = "requeued"
                self.requeued |= dict.fromkeys(event.item_ids, row.stream)
            case dead_letter.DeadLetterDiscarded():
                self.letters[row.stream] = "discarded"
            case dead_letter.DeadLetterRestored():
                self.letters[row.stream] = "pending"
            case a2a.MessageSent() | a2a.MessageStarted():
                self.messages[row.stream] = event.status
            case a2a.MessageCompleted() | a2a.MessageFailed():
                self.messages.pop(row.stream, None)

    def _advance_review(self, row: Row, event: Event) -> None:
        known = self.review(row)
        match event:
            case persona.PersonaRunStarted():
                self.reviewing[row.stream.removeprefix(persona.PREFIX)] = event.persona_name
            case persona.PersonaRunRepairRequested():
                self.reviewing[event.repair_run_id] = event.persona_name
            case persona.PersonaRunCompleted():
                for run_id in (row.stream.removeprefix(persona.PREFIX), known.run_id):
                    self.reviewing.pop(run_id, None)
        self.reviews[row.stream] = persona.evolve(known, event)

    def review(self, row: Row) -> persona.PersonaState:
        """The review of a row before it."""
        return self.reviews.get(row.stream, persona.DECIDER.initial)

    def redrive(self, row: Row) -> redrive.RedriveState:
        """The redrive of a row before it."""
        return self.redrives.get(row.stream, redrive.DECIDER.initial)

    def queue(self, row: Row) -> work.WorkState:
        """The queue of a row before it."""
        return self.queues.get(row.stream, work.DECIDER.initial)

    def flow(self, row: Row) -> workflow_run.WorkflowRunState:
        """The workflow run of a row before it."""
        return self.flows.get(row.stream, workflow_run.DECIDER.initial)

    def schedule(self, row: Row) -> schedule.ScheduleState:
        """The schedule of a row before it."""
        return self.schedules.get(row.stream, schedule.DECIDER.initial)

    def _advance_run(self, row: Row, event: Event, status: str) -> None:
        if status in {"new", "ended"}:
            known = self.open.pop(row.stream, None)
            self._vacate(row.stream, known)
            self.reserved.pop(row.stream, None)
            if known is not None and self.turns.get(known.session_id) == row.stream:
                del self.turns[known.session_id]
            return
        if row.stream not in self.open:
            self.open[row.stream] = OpenRun(status)
            self.runs += status != "refused"
        known = self.open[row.stream]
        known.status = status
        match event:
            case run.RunCreated():
                known.session_id, known.budget = event.session_id, event.budget_micro_usd
                known.places = event.places
                self._occupy(row.stream, known)
                self.turns[event.session_id] = row.stream
            case run.RunLeased():
                known.executor, known.token, known.attempt = event.executor, event.token, event.attempt
            case run.ToolCalled():
                known.calls.add(event.tool_call_id)
            case run.TranscriptAppended(kind="tool-result"):
                known.calls.discard(event.tool_call_id or "")
            case run.BudgetReserved():
                self.reserved[row.stream] = event.reserved_micro_usd
            case run.TranscriptAppended(role="assistant"):
                known.cut = bool(event.interrupted)
            case run.UsageRecorded():
                known.turn = known.turn if event.failed else event.turn or known.turn
                cost = max(event.cost_micro_usd or 0, 0)
                known.spent += cost
                self.spent[run.day_of(at_of(row))] += cost
                self.reserved.pop(row.stream, None)
            case run.RunPaused():
                self._vacate(row.stream, known)
                self.reserved.pop(row.stream, None)
            case run.RunResumed():
                self._occupy(row.stream, known)
                known.budget, known.cut = event.budget_micro_usd, False
            case run.RunCancelRequested():
                known.cancelled = known.cancelled or event.status == "cancelled"

    def _occupy(self, run_id: str, known: OpenRun) -> None:
        if run_id not in self.slots:
            self.slots.add(run_id)
            self.active.update(known.places)

    def _vacate(self, run_id: str, known: OpenRun | None) -> None:
        if run_id in self.slots:
            self.slots.discard(run_id)
            self.active.subtract(known.places if known else ())
            self.active = +self.active if len(self.active) > COUNTED_MAX else self.active


# The rules: an event, and what is known before it, to what is wrong


Rule = Callable[[Row, Event, World], Iterator[str]]


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
    ("started", "transcript.appended"): "started",
    ("started", "usage.recorded"): "started",
    ("started", "tool.called"): "started",
    ("started", "evidence.attached"): "started",
    ("started", "budget.reserved"): "started",
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
"""Where a run is, and an event of its stream, to where it is then. What is not here is illegal."""


def times(row: Row, event: Event, world: World) -> Iterator[str]:
    """The time of recording never decreases, and nothing was decided after it."""
    if at_of(row) > row.recorded_at:
        yield f"decided {at_of(row) - row.recorded_at} ms after it was recorded"
    if row.recorded_at < world.recorded_at:
        yield f"recorded {world.recorded_at - row.recorded_at} ms before its predecessor"


def versions(row: Row, event: Event, world: World) -> Iterator[str]:
    """The versions of a stream are 1, 2, 3 and so on."""
    expected = world.versions.get(row.stream, 0) + 1
    if row.version != expected:
        yield f"{row.stream} has version {row.version} where {expected} is due"


def transitions(row: Row, event: Event, world: World) -> Iterator[str]:
    """A run goes only where the table says."""
    if not row.stream.startswith(RUN_PREFIX) or isinstance(event, Unknown):
        return
    status = world.status(row)
    if (status, row.type) not in TRANSITIONS and not (status == "ended" and row.type in run.ENDING_TYPES):
        yield f"{row.type} of {row.stream}, which is {status}"


def endings(row: Row, event: Event, world: World) -> Iterator[str]:
    """A run ends once."""
    if row.type in run.ENDING_TYPES and world.status(row) == "ended":
        yield f"{row.type} of {row.stream}, which had ended"


def slots(row: Row, event: Event, world: World) -> Iterator[str]:
    """No admission exceeds the limit of the policy in force at that position."""
    limit = world.policy.max_concurrent_runs
    if limit is not None and isinstance(event, ADMITTING) and len(world.slots) >= limit:
        yield f"{row.stream} was admitted while {len(world.slots)} of {limit} slots were taken"


def keys(row: Row, event: Event, world: World) -> Iterator[str]:
    """No admission exceeds a limit by key of the policy in force at that position."""
    if not world.policy.limits or not isinstance(event, ADMITTING):
        return
    known = world.open.get(row.stream)
    places = event.places if isinstance(event, run.RunCreated) else known.places if known else ()
    for place in places:
        limit, active = world.policy.limit(place), world.active[place]
        if limit is not None and active >= limit.max:
            yield f"{row.stream} was admitted while {active} of {limit.max} runs of {place} were active"


def turns(row: Row, event: Event, world: World) -> Iterator[str]:
    """A session has one admitted run at a time."""
    if isinstance(event, run.RunCreated):
        holder = world.turns.get(event.session_id)
        if holder is not None and holder != row.stream:
            yield f"{row.stream} was admitted while {holder} had the turn of session {event.session_id}"


def leases(row: Row, event: Event, world: World) -> Iterator[str]:
    """The tokens of a run's leases are 1, 2, 3 and so on, and nothing is written under an old one."""
    known = world.open.get(row.stream) or OpenRun("new")
    match event:
        case run.RunLeased() if event.token != known.token + 1:
            yield f"{row.stream} was leased with token {event.token} after {known.token}"
        case run.RunLeased() if event.taken_from not in {None, known.executor}:
            yield f"{row.stream} was taken from {event.taken_from} while {known.executor} held it"
        case run.RunStarted() if event.attempt != known.attempt:
            yield f"{row.stream} was started as attempt {event.attempt} while {known.attempt} was due"
        case run.RunCrashed() if (event.executor, event.attempt) != (known.executor, known.attempt):
            held = f"{known.attempt} of {known.executor}"
            yield f"{row.stream} crashed in attempt {event.attempt} of {event.executor} while it was {held}"


def attempts(row: Row, event: Event, world: World) -> Iterator[str]:
    """An executor that is lost costs an attempt, and a run has no more than the policy in force allows."""
    known = world.open.get(row.stream)
    if not isinstance(event, run.RunLeased) or known is None:
        return
    lost = known.attempt == 0 or event.because in {"dead", "frozen"}
    if event.attempt != known.attempt + lost:
        yield f"{row.stream} was leased for attempt {event.attempt} after {known.attempt}"
    elif lost and event.attempt > world.policy.run_attempts_max:
        yield f"{row.stream} was leased for attempt {event.attempt} of {world.policy.run_attempts_max}"


def steps(row: Row, event: Event, world: World) -> Iterator[str]:
    """A call is recorded before its result, and answered once; the turns of the model are 1, 2, 3 and so on."""
    known = world.open.get(row.stream)
    if known is None:
        return
    match event:
        case run.ToolCalled() if event.tool_call_id in known.calls:
            yield f"the call {event.tool_call_id} of {row.stream} was made twice without a result"
        case run.TranscriptAppended(kind="tool-result") if event.tool_call_id not in known.calls:
            yield f"{row.stream} has a result of the call {event.tool_call_id}, which waits for none"
        case run.UsageRecorded() if event.turn not in {None, known.turn + 1}:
            yield f"{row.stream} has the usage of turn {event.turn} after that of turn {known.turn}"


def budgets(row: Row, event: Event, world: World) -> Iterator[str]:
    """Nothing is paid back; a run is paused because its budget is spent, and tells how much that was."""
    known = world.open.get(row.stream)
    match event:
        case run.UsageRecorded():
            amounts = (event.cost_micro_usd, *(getattr(event.usage, name) for name in Usage.__struct_fields__))
            if any(amount is not None and amount < 0 for amount in amounts):
                yield f"{row.stream} has a usage below 0"
        case run.RunPaused(reason="budget") if known is not None:
            told = (event.spent_micro_usd, event.budget_micro_usd)
            if told != (known.spent, known.budget) or not known.cut and known.spent < (known.budget or 0):
                yield f"{row.stream} was paused at {told} while it had spent {known.spent} of {known.budget}"


def reservations(row: Row, event: Event, world: World) -> Iterator[str]:
    """What a UTC day spent and what runs have set aside is never more than the daily budget of the policy in force."""
    budget = world.policy.daily_budget_micro_usd
    if not isinstance(event, run.BudgetReserved) or budget is None:
        return
    others = sum(amount for run_id, amount in world.reserved.items() if run_id != row.stream)
    taken = world.spent[run.day_of(at_of(row))] + others
    if taken + event.reserved_micro_usd > budget:
        yield f"{row.stream} reserved {event.reserved_micro_usd} of {budget} for the day, of which {taken} were taken"


def children(row: Row, event: Event, world: World) -> Iterator[str]:
    """A child begins while its parent is open."""
    parent = event.parent_run_id if isinstance(event, run.RunRequest) and row.version == 1 else None
    if parent is not None and parent not in world.open:
        yield f"{row.stream} is a child of {parent}, which was not open"


def cancels(row: Row, event: Event, world: World) -> Iterator[str]:
    """A cancel is acknowledged only while the run is open, and then the run is cancelled, or else it is not."""
    known = world.open.get(row.stream)
    match event:
        case run.RunCompleted() if known is not None and known.cancelled:
            yield f"{row.stream} completed after its cancel was acknowledged"
        case run.RunCancelRequested(status="cancelled") if known is None:
            yield f"the cancel of {row.stream} was acknowledged, which was not open"
        case run.RunCancelled(cause="requested" | "interrupted" | "parent") if known and not known.cancelled:
            yield f"{row.stream} was cancelled though nobody asked for it"


def schedules(row: Row, event: Event, world: World) -> Iterator[str]:
    """A schedule does only what it can in its state."""
    known = world.schedule(row)
    match event:
        case schedule.ScheduleEnabled(updated=True):
            legal = known.exists and not known.enabled
        case schedule.ScheduleDisabled(updated=True):
            legal = known.exists and known.enabled
        case schedule.ScheduleRemoved(removed=True) | schedule.ScheduleRunStarted(slot_ms=None):
            legal = known.exists
        case schedule.SchedulePaused() | schedule.ScheduleResumed():
            legal = known.exists and known.paused == isinstance(event, schedule.ScheduleResumed)
        case schedule.ScheduleRunStarted() | schedule.ScheduleRunBuffered():
            legal = known.live
        case schedule.ScheduleRunSkipped() | schedule.ScheduleSlotsMissed():
            legal = known.exists and known.enabled
        case schedule.ScheduleRunCompleted() | schedule.ScheduleRunFailed():
            legal = any(flight.target_run_id == event.target_run_id for flight in known.running)
        case _:
            return
    if not legal:
        yield f"{row.type} of {row.stream}, which could not be"


def fired(row: Row, event: Event, world: World) -> Iterator[str]:
    """A slot of a schedule is decided once: one that was passed comes back only from the buffer."""
    known = world.schedule(row)
    match event:
        case schedule.ScheduleRunStarted(slot_ms=int(slot)) | schedule.ScheduleRunSkipped(slot_ms=slot):
            decided = slot <= known.cursor_ms and slot not in known.buffer
        case schedule.ScheduleRunBuffered(slot_ms=slot) | schedule.ScheduleSlotsMissed(from_ms=slot):
            decided = slot <= known.cursor_ms
        case _:
            return
    if decided:
        yield f"{row.type} of {row.stream} for the slot {_time(slot)}, which was decided before"


def explained(row: Row, event: Event, world: World) -> Iterator[str]:
    """No slot of a schedule is passed over, and as many were missed as it says."""
    known = world.schedule(row)
    if known.definition is None or not known.enabled or known.definition.trigger.timezone not in LASTING_ZONES:
        return
    trigger, cursor = known.definition.trigger, known.cursor_ms
    match event:
        case (
            schedule.ScheduleRunStarted(slot_ms=int(last))
            | schedule.ScheduleRunBuffered(slot_ms=last)
            | schedule.ScheduleRunSkipped(slot_ms=last)
        ) if last > cursor:
            told: tuple[int | None, int] = (last, 1)
        case schedule.ScheduleSlotsMissed(from_ms=first, to_ms=last) if first > cursor:
            told = (first, event.count)
        case schedule.ScheduleUpserted(after_ms=last) if last > cursor:
            told = (None, 0)
        case _:
            return
    try:
        count = count_slots(trigger, cursor, last)
        due = (next_slot(trigger, cursor) if count else None, count)
    except ConfigError as error:
        yield f"{row.type} of {row.stream}, whose trigger {error.message}"
        return
    if due != told:
        slots = f"{told[1]} of {due[1]} slots" if told[1] != due[1] else f"the slot {_time(last)}"
        yield f"{row.type} of {row.stream} tells of {slots} after {_time(cursor)}"


def _time(instant: int) -> str:
    return iso(min(max(instant, 0), INSTANT_MAX))  # what was tampered with may be any number


def launches(row: Row, event: Event, world: World) -> Iterator[str]:
    """What a schedule runs is a new run, admitted, queued or refused by the command that says so."""
    launching = world.launching.get(row.stream)
    if launching is not None and launching.command != row.command_id:
        yield f"{row.stream} began in another command than the one in which {launching.schedule} started it"
    if isinstance(event, schedule.ScheduleRunStarted):
        run_id = event.target_run_id
        new = run_id not in world.versions or (row.command_id == world.command and run_id in world.began)
        if not new or run_id in world.launching:
            yield f"{row.stream} started {run_id}, which had been there before"


def queues(row: Row, event: Event, world: World) -> Iterator[str]:
    """An item waits in its queue until it is done or becomes a dead letter: it leaves once, to one of them."""
    known = world.queue(row)
    waiting = {item.id for item in known.items}
    batch, drain = known.batch, known.drain
    leased = set(batch.item_ids) if batch else set()
    match event:
        case work.WorkEnqueued():
            legal = event.item_id not in waiting
        case work.WorkDrainStarted():
            legal = drain is None and bool(waiting)
        case work.WorkBatchStarted():
            legal = drain is not None and batch is None and waiting.issuperset(event.item_ids)
        case work.WorkItemDrained():
            legal = event.item_id in leased and batch is not None and batch.run_id == event.run_id
        case work.WorkBatchReturned():
            legal = batch is not None and batch.run_id == event.run_id and leased == set(event.item_ids)
        case work.WorkBatchBuried():
            legal = drain is not None and batch is None and waiting.issuperset(event.item_ids)
        case work.WorkDrained() | work.WorkDrainFailed():
            legal = drain is not None and batch is None and drain.id == event.drain_id
            legal = legal and event.queue_depth_after == len(waiting)
        case _:
            return
    if not legal:
        yield f"{row.type} of {row.stream}, which could not be"


def acknowledged(row: Row, event: Event, world: World) -> Iterator[str]:
    """The items of a run are acknowledged once it completed, given back once it ended otherwise."""
    batch = world.queue(row).batch
    ended = world.working.get(batch.run_id) if batch else None
    match event:
        case work.WorkItemDrained() if batch and ended != run.RunCompleted.TYPE:
            yield f"{row.stream} acknowledged {event.item_id} while its run {batch.run_id} had not completed"
        case work.WorkBatchReturned() if batch and ended in {"", run.RunCompleted.TYPE}:
            yield f"{row.stream} gave back the items of {batch.run_id}, which had {ended or 'not ended'}"
        case work.WorkBatchStarted(run_id=run_id) if run_id in world.versions:
            yield f"{row.stream} gave items to {run_id}, which had been there before"


LETTER_TRANSITIONS: Mapping[str, str] = {
    dead_letter.DeadLetterAdded.TYPE: "",
    dead_letter.DeadLetterRequeued.TYPE: "pending",
    dead_letter.DeadLetterDiscarded.TYPE: "pending",
    dead_letter.DeadLetterRestored.TYPE: "discarded",
}
"""What a dead letter has to be for an event of it."""


def letters(row: Row, event: Event, world: World) -> Iterator[str]:
    """A dead letter is requeued once or discarded, not both; it holds what left a queue, and only that comes back."""
    status = world.letters.get(row.stream, "")
    if row.type in LETTER_TRANSITIONS and status != LETTER_TRANSITIONS[row.type]:
        yield f"{row.type} of {row.stream}, which was {status or 'not there'}"
    match event:
        case dead_letter.DeadLetterAdded():
            held = tuple(item.item_id for item in event.items)
            if world.buried.get(row.stream, ()) != held:
                yield f"{row.stream} holds other items than those that left a queue for it"
        case work.WorkEnqueued(dead_letter_id=str(letter)) if world.requeued.get(event.item_id) != letter:
            yield f"{event.item_id} came back from {letter}, which does not know of it"


def messages(row: Row, event: Event, world: World) -> Iterator[str]:
    """A message is sent once, and nothing is heard of it after it was delivered or failed."""
    status = world.messages.get(row.stream, "")
    match event:
        case a2a.MessageSent():
            legal = row.version == 1
        case a2a.MessageStarted() | a2a.MessageFailed():
            legal = status in {"sent", "started"}
        case a2a.MessageCompleted():
            legal = status == "started"
        case _:
            return
    if not legal:
        yield f"{row.type} of {row.stream}, which was {status or 'over'}"


STEPPED = (
    workflow_run.WorkflowStepStarted,
    workflow_run.WorkflowStepCompleted,
    workflow_run.WorkflowStepFailed,
    workflow_run.WorkflowStepCancelled,
)


def flows(row: Row, event: Event, world: World) -> Iterator[str]:
    """A step that is ok is not begun again, and what ends was begun; a workflow run goes on only while it is open."""
    if category(row.stream) != workflow_run.DECIDER.category:
        return
    known = world.flow(row)
    if not isinstance(event, workflow_run.WorkflowRunCreated | workflow_run.WorkflowResumed) and not known.open:
        yield f"{row.type} of {row.stream}, which is {known.status or 'new'}"
        return
    if not isinstance(event, STEPPED):
        return
    step = known.step(event.step_id)
    one = step if event.item is None else (step.items or ())[event.item : event.item + 1]
    found = one[0] if isinstance(one, tuple) and one else step
    match event:
        case workflow_run.WorkflowStepStarted() if found.status != "pending":
            yield f"step {event.step_id} of {row.stream} was started while it was {found.status}"
        case workflow_run.WorkflowStepStarted():
            pass
        case _ if event.step_run_id is not None and found.run_id != event.step_run_id:
            yield f"{row.type} of {row.stream} by the run {event.step_run_id}, which step {event.step_id} has not"


def reviews(row: Row, event: Event, world: World) -> Iterator[str]:
    """A review is repaired once and ends once, after its run; a run of a review is a new one, of its persona."""
    if isinstance(event, run.RunCreated | run.RunQueued):
        wanted = world.reviewing.get(row.stream, event.persona_name)
        if event.persona_name != wanted:
            yield f"{row.stream} is a run of {event.persona_name or 'nobody'} in a review of {wanted}"
        return
    known, key = world.review(row), row.stream.removeprefix(persona.PREFIX)
    match event:
        case persona.PersonaRunStarted() | persona.PersonaRunFailed():
            legal, new = not known.status, key
        case persona.PersonaRunRepairRequested():
            legal, new = known.status == "running" and not known.repaired, event.repair_run_id
        case persona.PersonaRunCompleted():
            legal, new = known.status == "running", ""
        case _:
            return
    waits_for = known.run_id or key
    if not legal:
        repaired = " and was repaired" if known.repaired else ""
        yield f"{row.type} of {row.stream}, which is {known.status or 'new'}{repaired}"
    elif known.status and (waits_for not in world.versions or waits_for in world.open):
        yield f"{row.type} of {row.stream}, whose run {waits_for} has not ended"
    elif new in world.versions and not isinstance(event, persona.PersonaRunFailed):
        yield f"{row.type} of {row.stream} with the run {new}, which had been there before"


def redrives(row: Row, event: Event, world: World) -> Iterator[str]:
    """A redrive sees to each letter once, as the letter is, and ends once with what it counted."""
    known = world.redrive(row)
    match event:
        case redrive.RedriveStarted():
            if known.status:
                yield f"{row.type} of {row.stream}, which is {known.status}"
        case redrive.RedriveAdvanced() | redrive.RedriveCompleted() | redrive.RedriveCancelled() if (
            known.status != "running"
        ):
            yield f"{row.type} of {row.stream}, which is {known.status or 'new'}"
        case redrive.RedriveAdvanced():
            status = world.letters.get(event.dead_letter_id, "not there")
            if event.letter_position <= known.after:
                yield f"{row.stream} saw to {event.dead_letter_id} after what came later"
            elif (event.result == "requeued" and status != "pending") or (
                event.result == "skipped" and status == "pending"
            ):
                yield f"{row.stream} has {event.dead_letter_id} as {event.result}, which was {status}"
        case redrive.RedriveCompleted() | redrive.RedriveCancelled():
            counted = (known.requeued, known.skipped, known.failed)
            if (event.requeued, event.skipped, event.failed) != counted:
                yield f"{row.type} of {row.stream} with other counts than {counted}"


RULES: tuple[Rule, ...] = (
    *(times, versions, transitions, endings, slots, keys, turns),
    *(leases, attempts, steps, budgets, reservations, children, cancels),
    *(flows, schedules, fired, explained, launches),
    *(queues, acknowledged, letters, messages),
    *(reviews, redrives),
)


# What is checked over several events or beside them


class Commands:
    """The commands in the order of their first events: the events of each are contiguous."""

    def __init__(self) -> None:
        """Before the first event."""
        self.starts = array("Q")
        self._hashes = array("Q")
        self._current = ""

    def see(self, row: Row) -> None:
        """Take an event in."""
        if row.command_id != self._current:
            self._current = row.command_id
            self.starts.append(row.position)
            short = hashlib.blake2b(row.command_id.encode(), digest_size=8).digest()
            self._hashes.append(int.from_bytes(short, "big"))

    def torn(self) -> list[Position]:
        """Where a command goes on after another one came between."""
        hashes = self._hashes
        order = sorted(range(len(hashes)), key=hashes.__getitem__)  # stable: equal ones stay in order
        pairs = zip(order, order[1:], strict=False)
        return sorted(self.starts[later] for earlier, later in pairs if hashes[earlier] == hashes[later])

    def end_of(self, start: Position, head: Position) -> Position | None:
        """The last position of the command that begins at a position, if one does."""
        index = bisect_left(self.starts, start)
        if index == len(self.starts) or self.starts[index] != start:
            return None
        return self.starts[index + 1] - 1 if index + 1 < len(self.starts) else head


def misbound(keys: Iterable[StoredKey], commands: Commands, head: Position, log: LogReader) -> Iterator[str]:
    """What is wrong with idempotency keys: each belongs to all events of one command in the log."""
    for key in keys:
        name = f"the key {key.key_hash.hex()[:12]}…"
        place = f"{name} names positions {key.first} to {key.last}"
        if not 0 <= key.first - 1 <= key.last or (key.last > head and key.last > log.head()):
            yield f"{place}, which the log does not hold"
        elif key.first <= key.last <= head and commands.end_of(key.first, head) != key.last:
            yield f"{place}, which are not one command"


def misguarded(stored: Iterable[GuardRow], folded: Guards, kinds: Collection[str]) -> Iterator[str]:
    """Where the guard rows differ from the fold of the log."""
    found = {(kind, key): value for kind, key, value in stored}
    expected = {(kind, key): value for kind in kinds for key, value in folded.of(kind).items()}
    _take_out_last_spent(found, expected)
    for kind, key in sorted(found.keys() | expected.keys()):
        if found.get((kind, key)) != expected.get((kind, key)):
            is_, due = found.get((kind, key)), expected.get((kind, key))
            yield f"the guard {kind} of {key} is {_shown(is_)} where the log says {_shown(due)}"


Values: TypeAlias = dict[tuple[str, str], tuple[str | int, ...]]


def _take_out_last_spent(found: Values, expected: Values) -> None:
    """Move the one ``spent`` row of release 0.1.0 to the days, and leave out the days before it: it had no others."""
    last = found.get(("spent", run.LAST_SPENT))
    if last is None or len(last) != 2:
        return
    day, spent = last
    for name in [name for name, value in expected.items() if name[0] == "spent" and str(value[0]) < str(day)]:
        del expected[name]
        found.pop(name, None)
    try:
        page = ("spent", run.page_of(milliseconds(str(day))))
    except ValueError:
        return
    due, since = expected.get(page), found.get(page, (day, 0))
    if due is not None and due[0] == day == since[0]:
        found[page] = (day, int(since[1]) + int(spent))
    if due is not None:  # of that day, or of one forty days later
        del found["spent", run.LAST_SPENT]


def _shown(value: tuple[str | int, ...] | None) -> str:
    return "absent" if value is None else str(list(value))


def misdescribed(meta: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the description of the log."""
    text = meta.get("format", "")
    if not text.isdigit() or not 1 <= int(text) <= FORMAT:
        yield f"the format is {text!r}; this release reads 1 to {FORMAT}"
    log_id = meta.get("log_id", "")
    if len(log_id) != 16 or not set(log_id) <= set("0123456789abcdef"):
        yield f"the log's id is {log_id!r}, not 16 hex digits"


# The pass


class Verifier:
    """One pass over a log."""

    def __init__(self, log: Source, codec: Codec, deciders: Iterable[Decider[Any]] = DECIDERS) -> None:
        """Take a moment of the log: its head and its guards."""
        self.position: Position = 0
        self.violations: list[Violation] = []
        self.violation_count = 0
        try:
            self.head, self._stored_guards = _moment(log)
        except (
            TypeError,
            ValueError,
            msgspec.MsgspecError,
        ) as error:  # columns that are missing, bytes that are not JSON
            self.head, self._stored_guards = log.head(), []
            self.note("guards", f"the guard rows cannot be read: {error}")
        self._log = log
        self._codec = codec
        self._deciders = {decider.category: decider for decider in deciders}
        self._chain = chain.GENESIS
        self._anchored = b""
        self._world = World()
        self._commands = Commands()
        self._guards = Guards()
        self._kinds = {kind for kind, _, _ in self._stored_guards}
        self._unknown = 0
        self._keys: int | None = None

    def note(self, rule: str, reason: str, position: Position | None = None) -> None:
        """Keep a violation, as long as there are few."""
        self.violation_count += 1
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(rule=rule, reason=reason, position=position))

    def page(self, anchor: Anchor | None) -> bool:
        """Look at the next page; tell whether there was one."""
        try:
            rows = self._log.rows(self.position, PAGE_EVENTS, self.head)
        except Exception as error:  # whatever the database says about its own damage
            self.note("readable", f"the database cannot be read: {error}", self.position + 1)
            return False
        for row in rows:
            self._look(row)
            if anchor is not None and row.position == anchor.position:
                self._anchored = row.chain
        return bool(rows)

    def _look(self, row: Row) -> None:
        try:
            for _ in chain.verify((row,), self.position, self._chain):
                pass
        except chain.Broken as broken:
            self.note("chain", broken.reason, broken.position)
            if not chain.whole(row):  # nothing more can be said about it
                self.position += 1
                return
        self.position, self._chain = row.position, row.chain
        event = self._decoded(row)
        for rule in RULES:
            for reason in rule(row, event, self._world):
                self.note(rule.__name__, reason, row.position)
        self._world.advance(row, event)
        self._commands.see(row)

    def _decoded(self, row: Row) -> Event:
        """The event, with its guards folded; a damaged one is as good as an unknown one."""
        try:
            recorded = self._codec.decode(row)
        except (ValueError, KeyError) as error:
            self.note("decodable", str(error).removeprefix(f"position {row.position}, "), row.position)
            return Unknown(type=row.type)
        if isinstance(recorded.event, Unknown):
            self._unknown += 1
        decider = self._deciders.get(category(row.stream))
        if decider is not None:
            for guard in decider.guards(recorded):
                self._kinds.add(guard.kind)
                self._guards.apply(guard)
        return recorded.event

    def finish(self, meta: Mapping[str, str], anchor: Anchor | None, keys: Iterable[StoredKey] | None) -> None:
        """Look at what stands beside the rows."""
        for position in self._commands.torn():
            self.note("commands", "a command goes on after another one came between", position)
        for letter, items in self._world.buried.items():
            self.note("letters", f"{', '.join(items)} left a queue for {letter}, which is not there")
        for item, letter in self._world.requeued.items():
            self.note("letters", f"{item} was to come back from {letter}, and did not")
        for run_id, launching in self._world.launching.items():
            reason = f"{launching.schedule} started {run_id}, which was neither admitted nor refused"
            self.note("launches", reason, launching.position)
        for reason in misguarded(self._stored_guards, self._guards, self._kinds):
            self.note("guards", reason)
        for reason in misdescribed(meta):
            self.note("meta", reason)
        if anchor is not None and anchor.log_id == self._log.log_id:
            self._check_anchor(anchor)
        if keys is not None:
            self._keys = 0
            try:
                for reason in misbound(self._counted(keys), self._commands, self.head, self._log):
                    self.note("keys", reason)
            except TypeError as error:
                self.note("keys", f"the keys cannot be read: {error}")

    def _counted(self, keys: Iterable[StoredKey]) -> Iterator[StoredKey]:
        for key in keys:
            self._keys = (self._keys or 0) + 1
            yield key

    def _check_anchor(self, anchor: Anchor) -> None:
        if anchor.position > self.head:
            self.note("anchor", f"the log once reached position {anchor.position} and ends at {self.head}")
        elif anchor.position and self._anchored.hex() != anchor.chain:
            self.note("anchor", "the row is not the one that the anchor vouches for", anchor.position)

    def report(self, seconds: float) -> Report:
        """What was found."""
        world = self._world
        return Report(
            ok=not self.violation_count,
            log_id=self._log.log_id,
            head=self.position,
            chain=self._chain.hex(),
            streams=len(world.versions),
            runs=world.runs,
            open_runs=len(world.open),
            commands=len(self._commands.starts),
            guards=len(self._stored_guards),
            unknown_events=self._unknown,
            seconds=round(seconds, 3),
            events_per_second=_rate(self.position, seconds),
            violation_count=self.violation_count,
            violations=tuple(self.violations),
            keys=self._keys,
        )


def verify(
    log: Source,
    codec: Codec,
    clock: Clock,
    *,
    meta: Mapping[str, str],
    anchor: Anchor | None = None,
    keys: Iterable[StoredKey] | None = None,
    deciders: Iterable[Decider[Any]] = DECIDERS,
) -> Iterator[Progress]:
    """Verify a log up to its present head, a page at a time; the last progress carries the report.

    ``meta`` and ``anchor`` are read before, ``keys`` after the rows.
    """
    began = clock.monotonic()
    verifier = Verifier(log, codec, deciders)
    while verifier.page(anchor):
        seconds = clock.monotonic() - began
        yield Progress(
            position=verifier.position,
            head=verifier.head,
            seconds=round(seconds, 3),
            events_per_second=_rate(verifier.position, seconds),
        )
    verifier.finish(meta, anchor, keys)
    report = verifier.report(clock.monotonic() - began)
    yield Progress(
        position=verifier.position,
        head=verifier.head,
        seconds=report.seconds,
        events_per_second=report.events_per_second,
        report=report,
    )


def _moment(log: Source) -> tuple[Position, list[GuardRow]]:
    """The head and the guards of one moment: no commit came between them."""
    for _ in range(MOMENT_TRIES):
        head = log.head()
        guards = log.guards()
        if not all(type(kind) is str and type(key) is str for kind, key, _ in guards):
            raise ValueError("a column is missing")
        if log.head() == head:
            return head, guards
    raise Overloaded("the log is written to without a pause; try again")


def _rate(events: int, seconds: float) -> int:
    return round(events / seconds) if seconds > 0 else 0
