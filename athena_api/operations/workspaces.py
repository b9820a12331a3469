"""Operations on workspaces: list, keep and clean them, show what a run changed, and apply it."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec.structs import replace

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.enums import WorkspaceKind
from athena_core.errors import ConfigError, NotFound, RunNotEnded
from athena_core.event import Position, Value, says
from athena_core.mask import HIDDEN as MASKED
from athena_core.outside_text import HiddenSpan
from athena_core.protocols import Connection
from athena_core.services.workspaces.applying import CHANGING, AppliedFile, ApplyBody
from athena_core.services.workspaces.cleaning import KeepBody, LastUse
from athena_core.services.workspaces.patches import ChangesOfRun, FileChange, files_of
from athena_core.values import ClientId
from projections import evidence, runs, workspaces
from projections.engine.page import Page
from projections.workspaces import AppliedChanges, RecordedChanges, WorkspaceRecord, WorkspaceStatus

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import BoundedReader, StoreReader
    from athena_core.log.submission import Committed
    from projections.engine.views import ViewsReader

VIEWS = ("workspaces",)
DIFF_VIEWS = ("runs", "evidence", "workspaces")
OPEN = frozenset(("queued", "running", "paused"))
"""The statuses of runs that have not ended."""

USES_SECONDS_MAX = 5.0
"""How long the cleaning of unused workspaces waits for the read model."""


class WorkspacesQuery(Value):
    """Filters of workspaces."""

    status: Annotated[WorkspaceStatus | None, says("Only this status.")] = None
    kind: Annotated[WorkspaceKind | None, says("Only workspaces of sessions, or of workflow runs.")] = None
    session_id: Annotated[ClientId | None, says("Only the workspaces of this session.")] = None


class RunDiffQuery(Value):
    """The form of a diff: the recorded one, or the exact one."""

    exact: Annotated[
        bool | None, says("True: the exact diff, from the files of the workspace. Needs the right to apply; recorded.")
    ] = None


class RunDiffFile(Value):
    """A file that a run changed, with its added and removed lines. A binary file has none."""

    path: Annotated[str, says("Path in the workspace.")]
    change: Annotated[FileChange, says("Kind of the change.")]
    added: Annotated[int, says("Number of added lines.")]
    removed: Annotated[int, says("Number of removed lines.")]
    binary: Annotated[bool, says("True if its lines are not compared.")]


class RunDiff(Value):
    """The changes of a run in its workspace.

    ``recorded`` is false until the run ends or pauses, and if it crashed. ``diff`` is a unified diff, absent if nothing
    changed or if its text was erased. With ``truncated``, the diff lacks some changes. ``files`` are those in the diff,
    and ``filesTotal`` counts all. ``applied`` lists the newest applies of the run's changes to the shared
    workspace.

    ``subjectHash`` names the changes, for an apply. ``hidden`` are the first of the ``hiddenTotal`` parts that the
    recorded diff hides. With ``exactNeeded`` it does not show all that an apply writes. An ``exact`` diff shows it,
    except files in ``notShown``. In both, names in ``secrets`` stand for secrets of the server.
    """

    run_id: str
    workspace_id: str
    workspace_status: Annotated[WorkspaceStatus, says("Whether the workspace still exists.")]
    recorded: Annotated[bool, says("False until the run ends or pauses, and if it crashed.")]
    files: Annotated[tuple[RunDiffFile, ...], says("Changed files in the diff.")]
    files_total: Annotated[int, says("Number of changed files.")]
    binary_files: Annotated[int, says("Number of changed binary files.")]
    added_lines: Annotated[int, says("Number of added lines.")]
    removed_lines: Annotated[int, says("Number of removed lines.")]
    truncated: Annotated[bool, says("True if the diff is cut.")]
    applied: Annotated[tuple[AppliedChanges, ...], says("The newest applies, newest first.")]
    hidden: Annotated[tuple[HiddenSpan, ...], says("The first 100 parts that the recorded diff hides, in its order.")]
    hidden_total: Annotated[int, says("Number of parts that the recorded diff hides.")]
    exact_needed: Annotated[bool, says("True if the recorded diff does not show all that an apply writes.")]
    diff: Annotated[str | None, says("Unified diff; absent if nothing changed, and once redacted.")] = None
    evidence_id: Annotated[str | None, says("Evidence with the diff; absent if nothing changed.")] = None
    redacted: bool | None = None
    subject_hash: Annotated[str | None, says("Hash of the changes, for an apply; absent until they are recorded.")] = (
        None
    )
    exact: Annotated[bool | None, says("True if the diff is the exact one; absent for the recorded one.")] = None
    secrets: Annotated[
        tuple[str, ...] | None,
        says("Names of secrets of the server that stand in the exact diff; absent if there are none."),
    ] = None
    not_shown: Annotated[
        tuple[str, ...] | None, says("Files that the exact diff does not show as they are; absent if there are none.")
    ] = None


class AppliedRun(Value):
    """An apply of a run's changes: the result for each file. The answer to a repeated key lacks the files.

    A ``merged`` file also has changes of the shared workspace, so it differs from the diff that was shown.
    """

    run_id: str
    workspace_id: str
    dry_run: Annotated[bool, says("True if nothing was written.")]
    files_changed: Annotated[int, says("Number of files written or deleted.")]
    files: Annotated[tuple[AppliedFile, ...], says("Each file with its result; empty for a repeated key.")]
    subject_hash: Annotated[str, says("Hash of the changes of the run.")]


class WorkspaceUses:
    """Lookup of the last uses of workspaces, in the read model."""

    def __init__(self, views: "ViewsReader", log: "StoreReader") -> None:
        self._views = views
        self._log = log

    async def unkept(self) -> list[LastUse]:
        """Return the last uses of all workspaces that are not cleaned and not kept, oldest first."""
        await self._views.wait(VIEWS, self._log.head(), USES_SECONDS_MAX)
        found, _ = self._views.query(VIEWS, workspaces.unkept)
        return [LastUse(*one) for one in found]


async def list_workspaces(plane: "ControlPlane", call: ApiCall[NoBody, WorkspacesQuery]) -> Reply:
    """List the workspaces of sessions and workflow runs, newest first."""
    query = call.query
    page, position = await plane.query(
        VIEWS,
        lambda rows: workspaces.list_workspaces(
            rows,
            status=query.status,
            kind=query.kind,
            session_id=query.session_id,
            scope=call.scope,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def get_workspace(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a workspace, cleaned or not, with its size on this server's disk. A past answer has no size."""
    workspace_id, scope = call.path["workspaceId"], call.scope
    found, position = await plane.query(VIEWS, lambda rows: workspaces.workspace_by_id(rows, workspace_id, scope))
    record = existing(found, "workspace", workspace_id)
    if record.status == "active" and call.as_of is None:
        record = replace(record, size_bytes=await plane.workspace_cleaner.size_of(workspace_id))
    return Reply(data=record, position=position)


async def keep_workspace(plane: "ControlPlane", call: ApiCall[KeepBody, NoQuery]) -> Reply:
    """Keep a workspace even if it is unused, or with `keep` false let it be cleaned again."""
    workspace_id = await _visible(plane, call)
    done = await plane.workspace_cleaner.keep(workspace_id, call.body, call.who.subject, call.meta, call.key)
    return await _stored(plane, done)


async def clean_workspace(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Clean a workspace: delete its files. The recorded diffs of its runs stay.

    The next run of its session or workflow run gets a new one. A workspace in which a run works is not cleaned.
    """
    workspace_id = await _visible(plane, call)
    done = await plane.workspace_cleaner.clean(workspace_id, call.who.subject, call.meta, call.key)
    return await _stored(plane, done)


class ShownChanges(NamedTuple):
    """The changes of a run with their recorded diff: its text, None if there is none, and True if it was erased."""

    status: str
    changes: RecordedChanges
    text: str | None
    redacted: bool | None

    @property
    def hides(self) -> bool:
        """True if the diff does not show all that an apply writes."""
        changes = self.changes
        if changes.truncated or changes.binary_files or (changes.files and self.text is None):
            return True
        return MASKED in (self.text or "") if changes.hidden is None else changes.hidden > 0

    def subject(self, run_id: str) -> ChangesOfRun | None:
        """Return the changes as an apply takes them, None if they are not recorded."""
        changes = self.changes
        if changes.after is None:
            return None
        return ChangesOfRun(
            run_id, changes.workspace_id, changes.before, changes.after, bool(changes.applied), self.hides
        )


async def _shown_changes(plane: "ControlPlane", run_id: str) -> tuple[ShownChanges, Position]:
    """Return the changes of a run. Raise NotFound if it worked in the shared workspace."""

    def read(rows: Connection, log: "BoundedReader") -> ShownChanges | None:
        status = existing(runs.run_status(rows, run_id), "run", run_id)
        changes = workspaces.changes_of(rows, run_id)
        if changes is None:
            return None
        found = None
        if changes.evidence_id is not None:
            found = evidence.evidence_by_id(rows, log.log_id, run_id, changes.evidence_id)
        content = None if found is None else found.content
        text = content.text if isinstance(content, evidence.TextContent) else None
        return ShownChanges(status, changes, text, None if found is None else found.redacted)

    shown, position = await plane.search(DIFF_VIEWS, read)
    if shown is None:
        raise NotFound(
            f"Run {run_id} has no workspace of its own: its profile does not ask for one, or it has not begun."
        )
    return shown, position


async def get_run_diff(plane: "ControlPlane", call: ApiCall[NoBody, RunDiffQuery]) -> Reply:
    """Get what a run changed in the workspace of its session or workflow run, as recorded at its end.

    Parts that look like secrets are replaced by marks. With `exact`, the diff is computed again from the workspace and
    hides nothing. This needs the right to apply, and is recorded once for each identity.
    """
    run_id = call.path["runId"]
    shown, position = await _shown_changes(plane, run_id)
    subject = shown.subject(run_id)
    if not call.query.exact:
        return Reply(data=_diff_of(run_id, shown, subject), position=position)
    if call.as_of is not None:
        raise ConfigError.of("exact", "an exact diff is computed now, not as of a past position", "no asOf")
    await plane.access.require(call.who, "applyRun", call.meta)
    if subject is None:
        raise NotFound(f"Run {run_id} has recorded no changes: it has not ended, or it crashed.")
    decided, diff = await plane.applies.open_exact(subject, call.who.subject, call.meta, plane.mask)
    data = replace(
        _diff_of(run_id, shown._replace(text=decided.exact), subject),
        exact=True,
        truncated=diff.truncated,
        secrets=decided.secrets or None,
        not_shown=(*diff.missing, *(file.path for file in diff.inexact)) or None,
    )
    return Reply(data=data, position=plane.log.signal.position)


def _diff_of(run_id: str, shown: ShownChanges, subject: ChangesOfRun | None) -> RunDiff:
    changes = shown.changes
    return RunDiff(
        run_id=run_id,
        workspace_id=changes.workspace_id,
        workspace_status="cleaned" if changes.cleaned else "active",
        recorded=subject is not None,
        files=tuple(
            RunDiffFile(path=one.path, change=one.change, added=one.added, removed=one.removed, binary=one.binary)
            for one in files_of(shown.text or "")
        ),
        files_total=changes.files,
        binary_files=changes.binary_files,
        added_lines=changes.added_lines,
        removed_lines=changes.removed_lines,
        truncated=changes.truncated,
        applied=changes.applied,
        hidden=changes.hidden_spans,
        hidden_total=changes.hidden or 0,
        exact_needed=shown.hides,
        diff=shown.text,
        evidence_id=changes.evidence_id,
        redacted=shown.redacted,
        subject_hash=None if subject is None else subject.subject_hash,
    )


async def apply_run(plane: "ControlPlane", call: ApiCall[ApplyBody, NoQuery]) -> Reply:
    """Write what a run changed in its own workspace into the shared one, all of it or nothing.

    `subjectHash` names the changes that were shown; other changes are not applied. If the diff hides a part of them
    (`exactNeeded`), the hash is required, and the caller must have opened the exact diff.

    A file that changed in the shared workspace meanwhile is merged. If that is not possible, or a path is closed, the
    answer is 409 with all such paths. A repeated apply writes only the rest. With `dryRun`, nothing is written
    and conflicts are results.
    """
    run_id, body = call.path["runId"], call.body
    await plane.caught_up(DIFF_VIEWS, plane.reader.head())
    shown, position = await _shown_changes(plane, run_id)
    if shown.status in OPEN:
        raise RunNotEnded(f"Run {run_id} has not ended. Its changes are recorded at its end.")
    changes = shown.subject(run_id)
    if changes is None:
        raise NotFound(f"Run {run_id} recorded no changes, because it crashed. Look into {shown.changes.workspace_id}.")
    if body.dry_run:
        changes.check(body.subject_hash)
        files = await plane.applies.plan(changes)
        return Reply(data=_applied(changes, files, dry_run=True), position=position)
    done = await plane.applies.apply(changes, call.who.subject, call.meta, call.key, shown=body.subject_hash)
    files = done.handover if isinstance(done.handover, tuple) else ()
    data = replace(_applied(changes, files), files_changed=done.answer.files)
    return Reply(data=data, position=done.position, replayed=done.replayed)


def _applied(changes: ChangesOfRun, files: tuple[AppliedFile, ...], *, dry_run: bool = False) -> AppliedRun:
    count = sum(file.result in CHANGING for file in files)
    return AppliedRun(
        run_id=changes.run_id,
        workspace_id=changes.workspace_id,
        dry_run=dry_run,
        files_changed=count,
        files=files,
        subject_hash=changes.subject_hash,
    )


async def _visible(plane: "ControlPlane", call: ApiCall[Any, Any]) -> str:
    """Return the id of the workspace in the path. Raise NotFound if the scope of the caller hides it."""
    workspace_id, scope = call.path["workspaceId"], call.scope
    if scope is not None:
        found, _ = await plane.read(
            VIEWS, plane.reader.head(), lambda rows: workspaces.workspace_by_id(rows, workspace_id, scope)
        )
        existing(found, "workspace", workspace_id)
    return workspace_id


async def _stored(plane: "ControlPlane", done: "Committed") -> Reply:
    workspace_id = done.subject or ""
    found, position = await plane.read(
        VIEWS, done.position, lambda rows: workspaces.workspace_by_id(rows, workspace_id)
    )
    return Reply(data=existing(found, "workspace", workspace_id), position=position, replayed=done.replayed)


row = Noun("workspaces", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "workspaces.list",
        "GET /workspaces",
        list_workspaces,
        answer=Page[WorkspaceRecord],
        paging="cursor",
        narrows={"sessions"},
    ),
    row(
        "workspaces.get",
        "GET /workspaces/:workspaceId",
        get_workspace,
        answer=WorkspaceRecord,
        narrows={"sessions"},
    ),
    row(
        "workspaces.keep",
        "POST /workspaces/:workspaceId/keep",
        keep_workspace,
        answer=WorkspaceRecord,
        errors=("NOT_FOUND",),
        narrows={"sessions"},
        command="workspaces keep",
    ),
    row(
        "workspaces.clean",
        "DELETE /workspaces/:workspaceId",
        clean_workspace,
        answer=WorkspaceRecord,
        errors=("NOT_FOUND", "WORKSPACE_BUSY"),
        narrows={"sessions"},
        command="workspaces clean",
    ),
    row(
        "runs.diff",
        "GET /runs/:runId/diff",
        get_run_diff,
        answer=RunDiff,
        reads=DIFF_VIEWS,
        errors=("NOT_FOUND", "WORKSPACE_MISSING", "OVERLOADED"),
        command="runs diff",
        price_ms=5,
    ),
    row(
        "runs.apply",
        "POST /runs/:runId/apply",
        apply_run,
        answer=AppliedRun,
        errors=(
            *("NOT_FOUND", "RUN_NOT_ENDED", "WORKSPACE_CONFLICT", "WORKSPACE_MISSING", "OVERLOADED"),
            *("SUBJECT_CHANGED", "EXACT_NOT_OPENED"),
        ),
        command="runs apply",
    ),
)
