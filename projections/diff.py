"""The difference between two moments: the records that appeared, ended or changed, with their events and no texts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.clock import iso
from athena_core.decider import category
from athena_core.domain.dead_letter import (
    DeadLetterAdded,
    DeadLetterDiscarded,
    DeadLetterRequeued,
    DeadLetterRestored,
)
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.memory import MemoryForgotten
from athena_core.domain.message import MessageCompleted, MessageFailed
from athena_core.domain.permission_rule import PermissionRuleRevoked
from athena_core.domain.redrive import RedriveCancelled, RedriveCompleted
from athena_core.domain.review import PersonaRunCompleted, PersonaRunFailed
from athena_core.domain.run import (
    PolicyConcurrencyRejected,
    PolicyRejected,
    RunCancelled,
    RunCompleted,
    RunCrashed,
    RunFailed,
    RunTimedOut,
)
from athena_core.domain.schedule import ScheduleRemoved, ScheduleUpserted
from athena_core.domain.token import TokenRevoked
from athena_core.domain.workflow_run import (
    WorkflowResumed,
    WorkflowRunCancelled,
    WorkflowRunCompleted,
    WorkflowRunCreated,
    WorkflowRunFailed,
)
from athena_core.domain.workspace import WorkspaceCleaned
from athena_core.errors import CursorInvalid, DiffTooLarge
from athena_core.event import Event, Position, Value, says
from athena_core.protocols import StreamReader, TouchedStream
from athena_core.values import DIFF_EVENTS_EACH, DIFF_EVENTS_MAX, Scope
from projections.engine.cursor import Cursor, event_id, resolve
from projections.engine.page import Keyset

ChangedKind: TypeAlias = Literal[
    "anchor",
    "bulk-request",
    "dead-letter",
    "directive",
    "halt",
    "harness-profile",
    "mcp-server",
    "memory",
    "message",
    "other",
    "permission-rule",
    "plane",
    "policy",
    "queue",
    "redrive",
    "rejection",
    "review",
    "run",
    "run-template",
    "schedule",
    "session",
    "token",
    "workflow",
    "workflow-run",
    "workspace",
]
"""The kind of a record. ``plane`` is the server itself, ``other`` belongs to a foreign application."""

Change: TypeAlias = Literal["appeared", "ended", "changed"]


class Life(NamedTuple):
    """The events with which the records of a category of streams end.

    A record begins with the first event of its stream. If it may begin again, ``begins`` has all the events for that.
    """

    kind: ChangedKind
    ends: tuple[type[Event], ...] = ()
    begins: tuple[type[Event], ...] = ()

    def turns(self) -> tuple[str, ...]:
        """Return the types of events that begin or end a record."""
        return tuple(kind.TYPE for kind in (*self.begins, *self.ends))


RUN_ENDS = (RunCompleted, RunFailed, RunCancelled, RunTimedOut, RunCrashed)
LETTER_BEGINS = (DeadLetterAdded, DeadLetterRestored)
WORKFLOW_RUN_ENDS = (WorkflowRunCompleted, WorkflowRunFailed, WorkflowRunCancelled)
WORKFLOW_RUN_BEGINS = (WorkflowRunCreated, WorkflowResumed)

LIVES: Mapping[str, Life] = {
    "anchor": Life("anchor"),
    "bulk": Life("bulk-request"),
    "dir": Life("directive"),
    "dlq": Life("dead-letter", (DeadLetterRequeued, DeadLetterDiscarded), LETTER_BEGINS),
    "halt": Life("halt", (HaltLifted,), (HaltStarted,)),
    "hp": Life("harness-profile"),
    "mcp": Life("mcp-server"),
    "mem": Life("memory", (MemoryForgotten,)),
    "msg": Life("message", (MessageCompleted, MessageFailed)),
    "persona": Life("review", (PersonaRunCompleted, PersonaRunFailed)),
    "plane": Life("plane"),
    "policy": Life("policy"),
    "rdr": Life("redrive", (RedriveCompleted, RedriveCancelled)),
    "rule": Life("permission-rule", (PermissionRuleRevoked,)),
    "run": Life("run", RUN_ENDS),
    "schedule": Life("schedule", (ScheduleRemoved,), (ScheduleUpserted,)),
    "session": Life("session"),
    "tok": Life("token", (TokenRevoked,)),
    "tpl": Life("run-template"),
    "wf": Life("workflow"),
    "wfr": Life("workflow-run", WORKFLOW_RUN_ENDS, WORKFLOW_RUN_BEGINS),
    "work": Life("queue"),
    "wsp": Life("workspace", (WorkspaceCleaned,)),
}
"""The life of the records of each category of streams."""
OTHER = Life("other")

BEGINS = tuple(kind.TYPE for life in LIVES.values() for kind in life.begins)
ENDS = tuple(kind.TYPE for life in LIVES.values() for kind in life.ends)
REJECTIONS = (PolicyConcurrencyRejected.TYPE, PolicyRejected.TYPE)
"""The types of events that begin the stream of a run that never was."""


class ChangeEvent(Value):
    """An event of a change, without its payload."""

    id: Annotated[str, says("Id of the event.")]
    type: Annotated[str, says("Type of the event.")]
    created_at: str
    trace_id: str
    actor: Annotated[str | None, says("Identity that caused the event.")] = None


class ChangedRecord(Value):
    """A record that appeared, ended or changed, with the number of its events and the last of them."""

    kind: Annotated[ChangedKind, says("Kind of the record.")]
    id: Annotated[str, says("Id or name of the record.")]
    events: Annotated[int, says("Number of its events between the moments.")]
    last: Annotated[ChangeEvent, says("Its last event until the second moment.")]
    appeared: Annotated[ChangeEvent | None, says("Event that began it; absent if it was there before.")] = None
    ended: Annotated[ChangeEvent | None, says("Event that ended it; absent if it did not end.")] = None


class ChangeCount(Value):
    """The numbers of records of a kind that appeared, ended or changed. One that appeared and ended counts in both."""

    kind: Annotated[ChangedKind, says("Kind of the records.")]
    appeared: Annotated[int, says("Number that appeared.")]
    ended: Annotated[int, says("Number that ended, those that appeared included.")]
    changed: Annotated[int, says("Number that neither appeared nor ended.")]


class DiffEnd(Value):
    """A moment: a position, with the id and the time of its event. Before the first event it has only a position."""

    position: Annotated[Position, says("Its position; 0 is before the first event.")]
    id: Annotated[str | None, says("Id of the event; absent before the first one.")] = None
    created_at: Annotated[str | None, says("Time of the event; absent before the first one.")] = None


class Diff(Value):
    """The difference between two moments. The counts are of the whole difference, the items of one page.

    Without counts, a page may have fewer items than its limit although another one follows.
    """

    from_: Annotated[DiffEnd, says("The first moment.")] = msgspec.field(name="from")
    to: Annotated[DiffEnd, says("The second moment.")]
    items: Annotated[tuple[ChangedRecord, ...], says("Records with events between the moments, last changed first.")]
    counts: Annotated[
        tuple[ChangeCount, ...] | None, says("Numbers of all records, by kind; absent without `counts`.")
    ] = None
    next_cursor: str | None = None


class DiffFilter(Value):
    """A filter of the items. The scope of the caller also applies to the counts. ``actors`` adds who caused events.

    ``counts`` adds the counts, for which all events between the moments are read.
    """

    kind: ChangedKind | None = None
    change: Change | None = None
    scope: Scope | None = None
    actors: bool = False
    counts: bool = False

    def may_show(self, life: Life) -> bool:
        """Return False if no record with this life has the kind."""
        return self.kind in (None, life.kind) or (self.kind == "rejection" and life.kind == "run")


class Found(NamedTuple):
    """A stream with events between two positions, and those that began and ended it."""

    kind: ChangedKind
    stream: TouchedStream
    appeared: Position | None
    ended: Position | None

    def changes(self) -> Iterator[Change]:
        """Yield what happened to it."""
        if self.appeared is not None:
            yield "appeared"
        if self.ended is not None:
            yield "ended"
        if self.appeared is None and self.ended is None:
            yield "changed"

    def is_wanted(self, wanted: DiffFilter) -> bool:
        """Return True if a filter shows it."""
        return wanted.kind in (None, self.kind) and (wanted.change is None or wanted.change in self.changes())


Range: TypeAlias = tuple[Position, Position]
"""The positions after the first one, up to the second."""

DIFFS = Keyset(kind="diff", columns=(("from", "", int), ("to", "", int), ("position", "", int)))


def diff(log: StreamReader, start: Position, end: Position, wanted: DiffFilter, cursor: str | None, limit: int) -> Diff:
    """Return what differs between two positions, the records that changed last first. A cursor has its own positions.

    Without counts, it reads at most `DIFF_EVENTS_EACH` positions for each record of the limit, and the records on the
    page. Raise DiffTooLarge, CursorInvalid or CursorAhead.
    """
    before = None
    if cursor is not None:
        start, end, before = map(int, DIFFS.decode(cursor))
        resolve(Cursor(position=end), log)
        if not 0 <= start <= before <= end + 1:
            raise CursorInvalid("The cursor is not one of this list.")
    if end - start > DIFF_EVENTS_MAX:
        raise DiffTooLarge(
            f"There are {end - start} events between the positions {start} and {end}, and a diff reads at most"
            f" {DIFF_EVENTS_MAX}. Choose moments that are closer together.",
            {"from": start, "to": end, "max": DIFF_EVENTS_MAX},
        )
    scope = wanted.scope or Scope()
    until = end if before is None else before - 1
    counts = None
    if wanted.counts:
        found = [_found(stream, log) for stream in log.touched(start, end, BEGINS, ENDS, scope.sessions, scope.runs)]
        counts = tuple(_counts(found))
        chosen = [one for one in found if one.stream.last <= until and one.is_wanted(wanted)]
        chosen.sort(key=lambda one: one.stream.last, reverse=True)
        floor = start
    else:
        floor = max(start, until - DIFF_EVENTS_EACH * limit)
        chosen = list(islice(_latest(log, (start, end), (floor, until), wanted, scope, limit + 1), limit + 1))
    page = chosen[:limit]
    following = page[-1].stream.last if len(chosen) > limit else floor + 1 if floor > start else None
    return Diff(
        from_=_end(start, log),
        to=_end(end, log),
        counts=counts,
        items=_records(page, log, actors=wanted.actors),
        next_cursor=None if following is None else DIFFS.encode((start, end, following)),
    )


def _latest(
    log: StreamReader, moments: Range, window: Range, wanted: DiffFilter, scope: Scope, rows_max: int
) -> Iterator[Found]:
    """Yield the wanted streams whose last row between two moments lies in a window, newest first.

    A stream that cannot end is not read from end to end, however many rows it has.
    """
    start, end = moments
    floor, until = window
    names = scope.sessions, scope.runs
    while rows := log.latest(floor, until, end, rows_max, *names):
        until = rows[-1].position - 1
        of_kind = [row for row in rows if wanted.may_show(_life(row.stream))]
        firsts = log.firsts([row.position for row in of_kind], start)
        for row in of_kind:
            first = firsts[row.position]
            if _life(row.stream).ends or names != (None, None):
                stream = log.part_touched(row.stream, first.version, row.version, BEGINS, ENDS, *names)
            else:
                stream = TouchedStream(
                    row.stream,
                    first.version,
                    row.version,
                    first.position,
                    row.position,
                    row.version - first.version + 1,
                    created_as=first.type if first.version == 1 else None,
                    begun=None,
                    ended=None,
                )
            if (found := _found(stream, log)).is_wanted(wanted):
                yield found


def _life(stream: str) -> Life:
    """Return the life of the records of a stream."""
    return LIVES.get(category(stream), OTHER)


def _found(stream: TouchedStream, log: StreamReader) -> Found:
    """Return what happened to a stream."""
    life = _life(stream.stream)
    kind = "rejection" if life.kind == "run" and stream.created_as in REJECTIONS else life.kind
    appeared = stream.first if stream.first_version == 1 else None
    ended = stream.ended if life.ends else None
    if life.begins:
        appeared, ended = _turns(stream, life.turns(), log) if stream.begun or stream.ended else (None, None)
    return Found(kind, stream, appeared, ended)


def _turns(stream: TouchedStream, types: Sequence[str], log: StreamReader) -> tuple[Position | None, Position | None]:
    """Return the events that began and ended a record that may begin again, unless it is at the end as at the start.

    To end a record that is not there, or to begin one that is there, changes nothing.
    """
    first, last = stream.first_version, stream.last_version
    before = log.turns(stream.stream, 0, first - 1, types, 1)
    was_there = is_there = any(kind in BEGINS for _, kind in before)
    begun = ended = None
    for position, kind in reversed(log.turns(stream.stream, first - 1, last, types, DIFF_EVENTS_MAX)):
        if (kind in BEGINS) == is_there:
            continue
        is_there = not is_there
        if is_there:
            begun = position
        else:
            ended = position
    return (None if was_there else begun), (None if is_there else ended)


def _counts(found: Sequence[Found]) -> Iterator[ChangeCount]:
    """Yield the counts of each kind, in the order of their names."""
    counted: dict[ChangedKind, Counter[Change]] = {}
    for one in found:
        counted.setdefault(one.kind, Counter()).update(one.changes())
    for kind, counts in sorted(counted.items()):
        yield ChangeCount(kind=kind, appeared=counts["appeared"], ended=counts["ended"], changed=counts["changed"])


def _records(page: Sequence[Found], log: StreamReader, *, actors: bool) -> tuple[ChangedRecord, ...]:
    """Return the records of a page with their events."""
    positions = {place for one in page for place in (one.stream.last, one.appeared, one.ended) if place is not None}
    events: dict[Position | None, ChangeEvent] = {
        position: ChangeEvent(
            id=event_id(log.log_id, position, chain),
            type=kind,
            created_at=iso(at),
            trace_id=trace_id,
            actor=actor if actors else None,
        )
        for position, kind, at, trace_id, actor, chain in log.envelopes(sorted(positions))
    }
    return tuple(
        ChangedRecord(
            kind=one.kind,
            id=_id_of(one),
            events=one.stream.events,
            last=events[one.stream.last],
            appeared=events.get(one.appeared),
            ended=events.get(one.ended),
        )
        for one in page
    )


def _id_of(found: Found) -> str:
    """Return the id of a record: the name of its stream, without the prefix that keeps names of people apart."""
    name = found.stream.stream
    return name if found.kind == "other" else name.partition(":")[2] or name


def _end(position: Position, log: StreamReader) -> DiffEnd:
    """Return a moment with its event."""
    for _, _, at, _, _, chain in log.envelopes((position,)):
        return DiffEnd(position=position, id=event_id(log.log_id, position, chain), created_at=iso(at))
    return DiffEnd(position=position)
