"""Read model of the workspaces of sessions and workflow runs, and of the changes of runs in them."""

from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.run import WorkspaceChanged, WorkspaceOpened
from athena_core.domain.workspace import WorkspaceApplied, WorkspaceCleaned, WorkspaceCreated, WorkspaceRetained
from athena_core.enums import WorkspaceEnd, WorkspaceKind, WorkspaceSource
from athena_core.event import Recorded, Value, says
from athena_core.outside_text import HiddenSpan
from athena_core.protocols import Cell, Connection
from athena_core.values import Scope
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table

WorkspaceStatus: TypeAlias = Literal["active", "cleaned"]

APPLIED_MAX = 100
"""Maximum number of applies of a run that are listed, newest first."""


class WorkspaceRow(msgspec.Struct, gc=False):
    """A workspace, by the position of its event. ``owner`` is a session or a workflow run."""

    position: int
    workspace_id: str
    kind: WorkspaceKind
    owner: str
    source: WorkspaceSource
    commit_id: str | None
    status: WorkspaceStatus
    keep: bool
    created_at: int
    last_used_at: int
    runs: int = 0
    cleaned_at: int | None = None
    cleaned_by: str | None = None
    cause: WorkspaceEnd | None = None


class WorkspacePlaceRow(msgspec.Struct, gc=False):
    """The position of a workspace, by its id."""

    workspace_id: str
    position: int


class WorkspaceRunRow(msgspec.Struct, gc=False):
    """A run of a workspace. ``changed_at`` is NULL until the run recorded its changes. ``hidden_spans`` are JSON."""

    run_id: str
    workspace_id: str
    before: str
    after: str | None = None
    changed_at: int | None = None
    files: int = 0
    binary_files: int = 0
    added_lines: int = 0
    removed_lines: int = 0
    truncated: bool = False
    evidence_id: str | None = None
    hidden: int | None = None
    hidden_spans: str | None = None


class WorkspaceApplyRow(msgspec.Struct, gc=False):
    """An apply: the changes of a run were written into the shared workspace."""

    position: int
    run_id: str
    applied_at: int
    applied_by: str
    files: int


WORKSPACE = Table(
    "workspace", WorkspaceRow, key=("position",), indexes=(("status", "position"), ("kind", "owner", "position"))
)
PLACE = Table("workspace_place", WorkspacePlaceRow, key=("workspace_id",))
RUN = Table("workspace_run", WorkspaceRunRow, key=("run_id",))
APPLY = Table("workspace_apply", WorkspaceApplyRow, key=("position",), indexes=(("run_id", "position"),))
WORKSPACES = Projection("workspaces", version=2, tables=(WORKSPACE, PLACE, RUN, APPLY))


@WORKSPACES.handler
def workspace_created(rows: Rows, recorded: Recorded[WorkspaceCreated]) -> None:
    event = recorded.event
    rows.append(
        WORKSPACE,
        WorkspaceRow(
            position=recorded.position,
            workspace_id=event.workspace_id,
            kind=event.kind,
            owner=event.owner,
            source=event.source,
            commit_id=event.commit,
            status="active",
            keep=False,
            created_at=recorded.at,
            last_used_at=recorded.at,
        ),
    )
    rows.put(PLACE, WorkspacePlaceRow(event.workspace_id, recorded.position))


@WORKSPACES.handler
def workspace_retained(rows: Rows, recorded: Recorded[WorkspaceRetained]) -> None:
    row = _change(rows, recorded.event.workspace_id)
    if row is not None:
        row.keep = recorded.event.keep


@WORKSPACES.handler
def workspace_cleaned(rows: Rows, recorded: Recorded[WorkspaceCleaned]) -> None:
    event = recorded.event
    row = _change(rows, event.workspace_id)
    if row is not None:
        row.status, row.cleaned_at, row.cleaned_by, row.cause = "cleaned", recorded.at, event.by, event.cause


@WORKSPACES.handler
def workspace_applied(rows: Rows, recorded: Recorded[WorkspaceApplied]) -> None:
    event = recorded.event
    rows.append(APPLY, WorkspaceApplyRow(recorded.position, event.run_id, recorded.at, event.by, event.files))


@WORKSPACES.handler
def workspace_opened(rows: Rows, recorded: Recorded[WorkspaceOpened]) -> None:
    event = recorded.event
    known = rows.get(RUN, recorded.stream) is not None
    if not known:
        rows.append(RUN, WorkspaceRunRow(recorded.stream, event.workspace_id, event.tree))
    row = _change(rows, event.workspace_id)
    if row is not None:
        row.last_used_at = recorded.at
        row.runs += 0 if known else 1


@WORKSPACES.handler
def workspace_changed(rows: Rows, recorded: Recorded[WorkspaceChanged]) -> None:
    event = recorded.event
    run = rows.get(RUN, recorded.stream)
    if run is not None:
        run.after, run.changed_at = event.tree, recorded.at
        run.files, run.binary_files = event.files, event.binary_files
        run.added_lines, run.removed_lines = event.added_lines, event.removed_lines
        run.truncated, run.evidence_id = event.truncated is True, event.evidence_id
        run.hidden = event.hidden
        run.hidden_spans = msgspec.json.encode(event.hidden_spans).decode() if event.hidden_spans else None
        rows.put(RUN, run)
    row = _change(rows, event.workspace_id)
    if row is not None:
        row.last_used_at = recorded.at


def _change(rows: Rows, workspace_id: str) -> WorkspaceRow | None:
    place = rows.get(PLACE, workspace_id)
    return None if place is None else rows.change(WORKSPACE, place.position)


class WorkspaceRecord(Value):
    """The workspace of a session or of a workflow run: a directory tree in which its runs work.

    ``commit`` is the commit of a clone. A workspace with ``keep`` is not cleaned because it is unused. ``runs`` counts
    the runs that worked in it. ``cleanedBy`` is absent if an age limit or an erasure cleaned it, as ``cause`` says.
    ``sizeBytes`` is only in the record of one workspace, and only if its directory is on the server's machine.
    """

    workspace_id: str
    kind: Annotated[WorkspaceKind, says("Owner: a session or a workflow run.")]
    source: Annotated[WorkspaceSource, says("Source of its first files.")]
    status: WorkspaceStatus
    keep: Annotated[bool, says("True if it is kept though unused.")]
    runs: Annotated[int, says("Number of runs that worked in it.")]
    created_at: str
    last_used_at: Annotated[str, says("When a run last began or ended in it.")]
    session_id: Annotated[str | None, says("Its session; absent for a workflow run.")] = None
    workflow_run_id: str | None = None
    commit: Annotated[str | None, says("Commit that it was cloned at; absent for another source.")] = None
    cleaned_at: Annotated[str | None, says("When it was cleaned; absent before.")] = None
    cleaned_by: Annotated[str | None, says("Identity that cleaned it; absent if it was not requested.")] = None
    cause: Annotated[WorkspaceEnd | None, says("Why it was cleaned; absent before.")] = None
    size_bytes: Annotated[
        int | None, says("Size on disk in bytes; absent in lists, and if this machine does not have it.")
    ] = None


class AppliedChanges(Value):
    """An apply of a run's changes: when, by which identity, and the number of files that were written."""

    at: Annotated[str, says("When it was applied.")]
    by: Annotated[str, says("Identity that applied it.")]
    files: Annotated[int, says("Number of files written or deleted.")]


class RecordedChanges(Value):
    """The changes of a run in its workspace, as recorded at its end, and the newest applies.

    ``before`` and ``after`` are the trees of the workspace; ``after`` is None until the run recorded its changes.
    ``hidden`` counts the parts that the recorded diff hides, and is None before 0.3.
    """

    workspace_id: str
    cleaned: bool
    before: str
    after: str | None
    files: int
    binary_files: int
    added_lines: int
    removed_lines: int
    truncated: bool
    evidence_id: str | None
    applied: tuple[AppliedChanges, ...]
    hidden: int | None = None
    hidden_spans: tuple[HiddenSpan, ...] = ()


NEWEST = Keyset(kind="workspaces")
SELECT_APPLIES = f"{APPLY.all} WHERE run_id = ? ORDER BY position DESC LIMIT {APPLIED_MAX}"
SELECT_UNKEPT = (
    "SELECT workspace_id, last_used_at, runs FROM workspace WHERE status = 'active' AND keep = 0 ORDER BY last_used_at"
)


def list_workspaces(
    connection: Connection,
    *,
    status: WorkspaceStatus | None = None,
    kind: WorkspaceKind | None = None,
    session_id: str | None = None,
    scope: Scope | None = None,
    cursor: str | None,
    limit: int,
) -> Page[WorkspaceRecord]:
    """Return a page of workspaces, newest first. A scope of sessions excludes workspaces of workflow runs."""
    sessions = None if scope is None else scope.sessions
    of_sessions = "session" if session_id is not None or sessions is not None else None
    where: list[tuple[str, Cell]] = [
        ("status = ?", status),
        ("kind = ?", kind),
        ("kind = ?", of_sessions),
        ("owner = ?", session_id),
    ]
    return NEWEST.page(
        connection, WORKSPACE.all, where, within={"owner": sessions}, cursor=cursor, limit=limit, show=_to_view
    )


def workspace_by_id(connection: Connection, workspace_id: str, scope: Scope | None = None) -> WorkspaceRecord | None:
    """Return a workspace that the scope covers, cleaned or not."""
    place = PLACE.one(connection, workspace_id)
    if place is None:
        return None
    found = first(connection, f"{WORKSPACE.all} WHERE position = ?", (place.position,), _to_view)
    hidden = (
        scope is not None and scope.sessions is not None and (found is None or found.session_id not in scope.sessions)
    )
    return None if hidden else found


def changes_of(connection: Connection, run_id: str) -> RecordedChanges | None:
    """Return what a run changed in its workspace; None if it worked in the shared one."""
    run = RUN.one(connection, run_id)
    if run is None:
        return None
    place = PLACE.one(connection, run.workspace_id)
    workspace = None if place is None else WORKSPACE.one(connection, place.position)
    applies = map(APPLY.load, connection.execute(SELECT_APPLIES, (run_id,)))
    return RecordedChanges(
        workspace_id=run.workspace_id,
        cleaned=workspace is None or workspace.status == "cleaned",
        before=run.before,
        after=run.after,
        files=run.files,
        binary_files=run.binary_files,
        added_lines=run.added_lines,
        removed_lines=run.removed_lines,
        truncated=run.truncated,
        evidence_id=run.evidence_id,
        hidden=run.hidden,
        hidden_spans=msgspec.json.decode(run.hidden_spans or "[]", type=tuple[HiddenSpan, ...]),
        applied=tuple(AppliedChanges(at=iso(row.applied_at), by=row.applied_by, files=row.files) for row in applies),
    )


class UnkeptWorkspace(NamedTuple):
    """A workspace that may be cleaned: its last use in milliseconds since 1970, and the number of its runs."""

    workspace_id: str
    last_used_at: int
    runs: int


def unkept(connection: Connection) -> list[UnkeptWorkspace]:
    """Return the active workspaces that are not kept, the longest unused first."""
    return msgspec.convert(list(connection.execute(SELECT_UNKEPT)), list[UnkeptWorkspace])


def _to_view(values: tuple[Cell, ...]) -> WorkspaceRecord:
    row = WORKSPACE.load(values)
    return WorkspaceRecord(
        workspace_id=row.workspace_id,
        kind=row.kind,
        source=row.source,
        status=row.status,
        keep=row.keep,
        runs=row.runs,
        created_at=iso(row.created_at),
        last_used_at=iso(row.last_used_at),
        session_id=row.owner if row.kind == "session" else None,
        workflow_run_id=row.owner if row.kind == "workflow-run" else None,
        commit=row.commit_id,
        cleaned_at=iso_or_none(row.cleaned_at),
        cleaned_by=row.cleaned_by,
        cause=row.cause,
    )
