"""Read model of ids: finds the id of a record by its beginning or its end, through an index for each.

Names that people choose are left out, such as the names of sessions, except the ids of schedules.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.domain.dead_letter import DeadLetterAdded
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.memory import MemoryForgotten, MemoryRecorded
from athena_core.domain.message import MessageSent
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.domain.queue import WorkDrainStarted
from athena_core.domain.redrive import RedriveStarted
from athena_core.domain.run import EvidenceAttached, RunAsked, RunCreated, RunQueued
from athena_core.domain.schedule import ScheduleRemoved, ScheduleUpserted
from athena_core.domain.template import RunTemplateCreated
from athena_core.domain.token import TokenCreated
from athena_core.domain.workflow import WorkflowCreated
from athena_core.domain.workflow_run import WorkflowApprovalRequested, WorkflowRunCreated
from athena_core.domain.workspace import WorkspaceCreated
from athena_core.event import Event, Position, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import Scope
from projections.engine.cursor import id_from
from projections.engine.projection import Projection, Rows, Table

RecordKind: TypeAlias = Literal[
    "ask",
    "dead-letter",
    "directive",
    "drain",
    "evidence",
    "harness-profile",
    "memory",
    "message",
    "persona",
    "permission-rule",
    "redrive",
    "run",
    "run-template",
    "schedule",
    "token",
    "workflow",
    "workflow-run",
    "workspace",
]

FOUND_MAX = 10
"""Number of ids that an answer holds."""
LOOKED_AT_MAX = 1_000
"""Number of ids that are compared with the scope of a caller."""
TAIL_CHARS = 6
"""Number of last characters that the index holds: few ids share them, and a shorter part is not searched for."""
BUCKET_BITS = 13
"""A bucket has the ids of 8,192 positions. In an index of tails alone, each new id would change another page."""


class IdRow(msgspec.Struct, gc=False):
    """An id. ``tail`` has its last characters. ``run_id`` is set if it belongs to a run."""

    id: str
    kind: RecordKind
    bucket: int
    tail: str
    session_id: str | None = None
    run_id: str | None = None


ID = Table("record_id", IdRow, key=("id",), indexes=(("bucket", "tail"),))
IDS = Projection("ids", version=5, tables=(ID,))

SELECT_BY_BEGINNING = f"{ID.all} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
SELECT_BY_END = (
    "WITH RECURSIVE bucket(n) AS"
    " (SELECT 0 UNION ALL SELECT n + 1 FROM bucket WHERE n < (SELECT max(bucket) FROM record_id))"
    f" SELECT {', '.join(ID.columns)} FROM bucket CROSS JOIN record_id WHERE bucket = n AND tail = ? LIMIT ?"
)

SOURCES: dict[type[Event], tuple[RecordKind, str]] = {
    DeadLetterAdded: ("dead-letter", "id"),
    HarnessProfileCreated: ("harness-profile", "harness_profile_id"),
    MemoryRecorded: ("memory", "entry_id"),
    MessageSent: ("message", "message_id"),
    PermissionRuleCreated: ("permission-rule", "rule_id"),
    RedriveStarted: ("redrive", "redrive_id"),
    RunTemplateCreated: ("run-template", "run_template_id"),
    ScheduleUpserted: ("schedule", "id"),
    TokenCreated: ("token", "token_id"),
    WorkDrainStarted: ("drain", "drain_id"),
    WorkflowCreated: ("workflow", "workflow_id"),
    WorkspaceCreated: ("workspace", "workspace_id"),
    EvidenceAttached: ("evidence", "evidence_id"),
    RunAsked: ("ask", "ask_id"),
}
"""The kind of the record that an event creates, and the field with its id."""
OF_RUNS = ("ask", "evidence")
"""The kinds of these records that belong to the run of the event."""


def _record_created(rows: Rows, recorded: Recorded[Any]) -> None:
    kind, field = SOURCES[type(recorded.event)]
    run = (recorded.session_id, recorded.stream) if kind in OF_RUNS else ()
    rows.put(ID, IdRow(*id_cells(recorded.position, getattr(recorded.event, field), kind, *run)))


for created in SOURCES:
    IDS.on(created, _record_created)


@IDS.handler
def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
    rows.insert(ID, id_cells(recorded.position, recorded.event.directive_id, "directive"))


@IDS.handler
def approval_requested(rows: Rows, recorded: Recorded[WorkflowApprovalRequested]) -> None:
    rows.put(ID, IdRow(*id_cells(recorded.position, id_from("ask", recorded), "ask")))


@IDS.handler
def run_requested(rows: Rows, recorded: Recorded[RunQueued | RunCreated]) -> None:
    """Add a run with its first event."""
    if recorded.version == 1:
        rows.insert(ID, id_cells(recorded.position, recorded.stream, "run", recorded.event.session_id, recorded.stream))


@IDS.handler
def workflow_run_created(rows: Rows, recorded: Recorded[WorkflowRunCreated]) -> None:
    rows.put(ID, IdRow(*id_cells(recorded.position, recorded.stream, "workflow-run")))


@IDS.handler
def schedule_removed(rows: Rows, recorded: Recorded[ScheduleRemoved]) -> None:
    rows.delete(ID, recorded.event.id)


@IDS.handler
def memory_forgotten(rows: Rows, recorded: Recorded[MemoryForgotten]) -> None:
    rows.delete(ID, recorded.event.entry_id)


def id_cells(
    position: Position, record_id: str, kind: RecordKind, session_id: str | None = None, run_id: str | None = None
) -> tuple[Any, ...]:
    """Return the columns of an id, by the position of the event that created the record."""
    return record_id, kind, position >> BUCKET_BITS, record_id[-TAIL_CHARS:], session_id, run_id


class FoundId(Value):
    """The id of a record, and its kind. Evidence also has its run, and a record found by its name has that."""

    kind: Annotated[RecordKind, says("Kind of the record.")]
    id: Annotated[str, says("Id of the record.")]
    run_id: Annotated[str | None, says("Run of the evidence; else absent.")] = None
    name: Annotated[str | None, says("Name that the record was found by; else absent.")] = None


class FoundIds(Value):
    """At most ten ids that begin or end with the given part, or whose records have it in their names."""

    items: Annotated[tuple[FoundId, ...], says("The ids.")]


def find_ids(connection: Connection, part: str, scope: Scope | None = None) -> FoundIds:
    """Return the ids that begin or end with ``part``, also in its upper-case form, which ids are printed in.

    A scope covers only runs, their asks and their evidence. At most 1,000 ids of each index are compared with it.
    """
    found: dict[str, FoundId] = {}
    for row in _matching(connection, part, FOUND_MAX if scope is None else LOOKED_AT_MAX):
        if scope is None or (row.run_id is not None and scope.shows(row.session_id or "", row.run_id)):
            run_id = row.run_id if row.kind == "evidence" else None
            found.setdefault(row.id, FoundId(kind=row.kind, id=row.id, run_id=run_id))
        if len(found) == FOUND_MAX:
            break
    return FoundIds(items=tuple(found.values()))


def _matching(connection: Connection, part: str, limit: int) -> Iterator[IdRow]:
    """Yield the rows that both indexes find; each index yields its rows in order."""
    head, underscore, rest = part.rpartition("_")
    for text in dict.fromkeys((part, head + underscore + rest.upper())):
        yield from map(ID.load, connection.execute(SELECT_BY_BEGINNING, (text, _after(text), limit)))
        found = map(ID.load, connection.execute(SELECT_BY_END, (text[-TAIL_CHARS:], LOOKED_AT_MAX)))
        yield from sorted((row for row in found if row.id.endswith(text)), key=lambda row: row.id[::-1])[:limit]


def _after(text: str) -> Cell:
    """Return the first text that is greater than all texts that begin with this one."""
    return text[:-1] + chr(ord(text[-1]) + 1)
