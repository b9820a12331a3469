"""Read model of workflows: definitions, runs with their steps, and estimated ends of runs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.definitions.workflow_graph import Approval, Step, WorkflowDefinition
from athena_core.enums import ApproverRole, StepStatus, WorkflowRunStatus
from athena_core.event import Value, says
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import to_json
from projections.workflow_estimates import Eta, estimated
from projections.workflow_rows import (
    ITEM,
    LINE,
    METADATA,
    RUN,
    STEP,
    WORKFLOW,
    ApprovalRequest,
    LogLevel,
    StepItemRow,
    StepItemStatus,
    StepRow,
    WorkflowRunRow,
    graph_of,
)

STEP_ITEMS_MAX = 100
"""Maximum number of items shown of a step. All items are available in pages."""
RUN_ITEMS_MAX = 1_000
"""Maximum number of items shown of all steps of a run."""
RUN_OUTPUT_CHARS_MAX = 200_000
"""Maximum number of characters of outputs shown of all steps of a run. Longer ones are cut to a preview."""
RUN_LINES_MAX = 500
"""Maximum number of log lines shown of a run, the newest. Its events are in the feed."""

SELECT_WORKFLOWS = (
    f"SELECT {', '.join(WORKFLOW.columns)}, {METADATA.look_up('metadata', 'workflow.position')},"
    f" {METADATA.look_up('redacted', 'workflow.position')} FROM workflow"
)
SELECT_ITEMS = f"{ITEM.all} WHERE run_id = ? AND step_id = ? ORDER BY item LIMIT ?"
SELECT_PAGE = f"SELECT item, {', '.join(ITEM.columns)} FROM workflow_item"
COUNT_ITEMS = (
    "SELECT step_id, i.status, count(*) FROM workflow_item i JOIN workflow_step s USING (run_id, step_id)"
    " WHERE run_id = ? AND i.item < s.items GROUP BY step_id, i.status"
)
COUNT_LINES = "SELECT count(*) FROM workflow_line WHERE run_id = ?"
SELECT_LINES = f"{LINE.all} WHERE run_id = ? ORDER BY position DESC LIMIT ?"
SELECT_NEWEST_RUN = f"{RUN.all} WHERE workflow_id = ? ORDER BY position DESC LIMIT 1"
SELECT_NEWEST_UNFINISHED = f"{RUN.all} WHERE workflow_id = ? AND status <> 'ok' ORDER BY position DESC LIMIT 1"
SELECT_NEWEST_OK = f"{RUN.all} WHERE workflow_id = ? AND status = 'ok' ORDER BY position DESC LIMIT 1"


ARTIFACT: Literal["run-result"] = "run-result"


class Workflow(Value):
    """A workflow: a graph of steps. ``redacted`` is true if the metadata of its steps was erased."""

    id: str
    definition: WorkflowDefinition
    created_at: str
    created_by: str
    redacted: bool | None = None


class DependencyReadiness(Value):
    """The number of dependencies of a step that are ok, and the ids of the others."""

    total_dependencies: Annotated[int, says("Number of dependencies.")]
    ready_dependencies: Annotated[int, says("Dependencies that are ok.")]
    blocking_step_ids: Annotated[tuple[str, ...], says("Dependencies that are not ok.")]


class Artifact(Value):
    """The output of a step, which is null once redacted; then ``redacted`` is true.

    With ``outputTruncated`` it is a preview, or a list of previews of the first items. The whole outputs are in the
    step's runs.
    """

    kind: Annotated[Literal["run-result"], says("Kind of the output.")]
    output: Annotated[str | None, says("Text of the output; null once redacted.")]
    provider: str
    model: str
    created_at: str
    output_truncated: Annotated[bool | None, says("True if it is a preview; else absent.")] = None
    redacted: bool | None = None


class Checkpoint(Value):
    """The last attempt of a step."""

    attempt: int
    started_at: str | None = None
    finished_at: str | None = None
    artifact: Annotated[Artifact | None, says("Output of the attempt; absent without one.")] = None
    error: str | None = None


class PendingApproval(Value):
    """A requested approval. A decision must name ``subjectHash``, so that it applies to this subject only."""

    ask_id: str
    subject_hash: str
    requested_at: str
    expires_at: str | None = None
    message: Annotated[str | None, says("Text for the approver; absent without one.")] = None
    approvers: tuple[str, ...] | None = None
    role: Annotated[ApproverRole | None, says("Least role of an approver.")] = None
    not_requester: bool | None = None


class StepItem(Value):
    """State of one item of a mapped step."""

    item: int
    status: StepItemStatus
    attempt: int
    run_id: Annotated[str | None, says("Its last run; absent before one.")] = None
    error: str | None = None


class ItemCounts(Value):
    """The number of items of a step, in total and by status."""

    total: int
    pending: Annotated[int, says("Number that are pending.")]
    running: Annotated[int, says("Number that are running.")]
    ok: Annotated[int, says("Number that are ok.")]
    failed: int
    cancelled: int


class StepState(Value):
    """State of a step.

    With ``itemsTruncated`` only the first items are included. ``GET /workflows/run/:id/steps/:step/items`` pages all of
    them.
    """

    step_id: Annotated[str, says("Id of the step in the graph of the workflow.")]
    status: StepStatus
    attempt: int
    ready: Annotated[bool, says("True if nothing blocks the step.")]
    dependency_readiness: Annotated[DependencyReadiness, says("State of its dependencies.")]
    updated_at: str
    checkpoint: Annotated[Checkpoint | None, says("Last attempt; absent before one.")] = None
    run_id: Annotated[str | None, says("Its last run; absent before one.")] = None
    note: Annotated[str | None, says("Why it was skipped or who decided; absent otherwise.")] = None
    items: Annotated[tuple[StepItem, ...] | None, says("First items; absent without `map`.")] = None
    item_counts: ItemCounts | None = None
    items_truncated: Annotated[bool | None, says("True if more items exist; else absent.")] = None
    approval: PendingApproval | None = None


class WorkflowLogLine(Value):
    """A line of the log of a workflow run."""

    id: str
    level: Annotated[LogLevel, says("Level of the line.")]
    message: str
    created_at: str
    step_id: str | None = None


class DryRun(Value):
    """The effect of a resume: the steps that would restart, those that would be kept, or a new run."""

    resets: Annotated[tuple[str, ...], says("Steps that would start again.")]
    keeps: Annotated[tuple[str, ...], says("Steps that would stay as they are.")]
    starts_new_run: Annotated[bool, says("True if a new run would start.")]


class WorkflowRun(Value):
    """A run of a workflow.

    With ``executionLogTruncated`` the log has the newest lines only. All events of the run are in the feed.
    """

    schema_version: int
    id: str
    workflow_id: str
    status: WorkflowRunStatus
    step_order: Annotated[tuple[str, ...], says("Ids of the steps, in the order of the definition.")]
    step_states: Annotated[dict[str, StepState], says("State of each step, by id.")]
    execution_log: Annotated[tuple[WorkflowLogLine, ...], says("Log of the run, oldest line first.")]
    created_at: str
    updated_at: str
    requested_by: str
    resumed_from_run_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    execution_log_truncated: Annotated[bool | None, says("True if older lines are left out; else absent.")] = None
    dry_run: Annotated[DryRun | None, says("What the resume would do; only in answers to a dry run.")] = None


class WorkflowRunSummary(Value):
    """A run of a workflow, in a list."""

    id: str
    workflow_id: str
    status: WorkflowRunStatus
    created_at: str
    updated_at: str
    requested_by: str
    resumed_from_run_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class WorkflowProgress(Value):
    """The number of steps by status, and the percentage of steps that are finished."""

    total_steps: Annotated[int, says("Number of steps.")]
    completed_steps: Annotated[int, says("Steps that are ok.")]
    running_steps: Annotated[int, says("Steps that are running.")]
    failed_steps: int
    pending_steps: Annotated[int, says("Steps that are pending.")]
    skipped_steps: Annotated[int, says("Steps that were skipped.")]
    waiting_steps: Annotated[int, says("Steps that wait for an approval.")]
    percent_complete: Annotated[float, says("Share of steps that are ok or skipped, 0 to 100.")]


class ArtifactRef(Value):
    """A reference to the output of a step."""

    step_id: Annotated[str, says("Step that made it.")]
    artifact_ref: str
    kind: Annotated[Literal["run-result"], says("Kind of the output.")]
    provider: str
    model: str
    created_at: str
    output_chars: int


class WorkflowRunDetails(Value):
    """A workflow, with the state of a run. Without a run, ``run`` is null and the related fields are empty."""

    workflow: Annotated[Workflow, says("The workflow that it runs.")]
    run: Annotated[WorkflowRun | None, says("The run; null without one.")]
    nodes: Annotated[tuple[StepState, ...], says("Steps in the order of the definition.")]
    progress: Annotated[WorkflowProgress, says("Steps by status.")]
    artifact_refs: Annotated[tuple[ArtifactRef, ...], says("Outputs of the steps.")]
    eta: Annotated[Eta, says("Estimated end.")]


OutputOf: TypeAlias = Callable[[str, int], tuple[str | None, str | None]]
"""Returns the preview of the output of a run, and the output if it has at most the given number of characters."""


NEWEST = Keyset(kind="workflows", columns=(("position", "position", int),))
RUNS = Keyset(kind="workflow-runs")
ITEMS = Keyset(kind="workflow-items", columns=(("item", "item", int),), oldest_first=True)


def list_workflows(connection: Connection, *, cursor: str | None, limit: int) -> Page[Workflow]:
    return NEWEST.page(connection, SELECT_WORKFLOWS, (), cursor=cursor, limit=limit, show=_to_view)


def workflow_by_id(connection: Connection, workflow_id: str) -> Workflow | None:
    return first(connection, f"{SELECT_WORKFLOWS} WHERE workflow_id = ?", (workflow_id,), _to_view)


def list_workflow_runs(
    connection: Connection, workflow_id: str, *, cursor: str | None, limit: int
) -> Page[WorkflowRunSummary]:
    """Return a page of the runs of a workflow, newest first."""
    where = (("workflow_id = ?", workflow_id),)
    return RUNS.page(connection, RUN.all, where, cursor=cursor, limit=limit, show=_to_summary)


def newest_run(connection: Connection, workflow_id: str) -> WorkflowRunRow | None:
    """Return the newest run of a workflow."""
    return _run(connection, SELECT_NEWEST_RUN, workflow_id)


def newest_unfinished(connection: Connection, workflow_id: str) -> WorkflowRunRow | None:
    """Return the newest run of a workflow that is not ok."""
    return _run(connection, SELECT_NEWEST_UNFINISHED, workflow_id)


def newest_ok(connection: Connection, workflow_id: str) -> WorkflowRunRow | None:
    """Return the newest run of a workflow that is ok."""
    return _run(connection, SELECT_NEWEST_OK, workflow_id)


def run_row(connection: Connection, run_id: str) -> WorkflowRunRow | None:
    """Return the row of a run."""
    return _run(connection, RUN.select, run_id)


def _run(connection: Connection, statement: str, value: str) -> WorkflowRunRow | None:
    return first(connection, statement, (value,), RUN.load)


def list_items(
    connection: Connection, run_id: str, step_id: str, *, status: str | None = None, cursor: str | None, limit: int
) -> Page[StepItem]:
    """Return a page of the items of a step, in their order."""
    step = STEP.one(connection, run_id, step_id)
    total = (step.items if step else None) or 0  # an earlier list may have been longer
    where = (("run_id = ?", run_id), ("step_id = ?", step_id), ("item < ?", total), ("status = ?", status))
    return ITEMS.page(
        connection,
        SELECT_PAGE,
        where,
        cursor=cursor,
        limit=limit,
        show=lambda values: _to_item_status(ITEM.load(values[1:])),
    )


def has_step(connection: Connection, workflow_id: str, step_id: str) -> bool:
    """Return True if the workflow has a step with this id."""
    workflow = WORKFLOW.one(connection, workflow_id)
    return workflow is not None and step_id in graph_of(workflow).steps


def _to_item_status(row: StepItemRow) -> StepItem:
    return StepItem(item=row.item, status=row.status, attempt=row.attempt, run_id=row.step_run_id, error=row.error)


def _to_view(values: tuple[Cell, ...]) -> Workflow:
    row, (text, redacted) = WORKFLOW.load(values[:-2]), values[-2:]
    definition = msgspec.json.decode(row.definition, type=WorkflowDefinition)
    if text is not None:
        metadata = msgspec.json.decode(str(text), type=dict[str, dict[str, str]])
        definition = msgspec.structs.replace(
            definition, steps=tuple(_with_metadata(step, metadata.get(step.id)) for step in definition.steps)
        )
    return Workflow(
        id=row.workflow_id,
        definition=definition,
        created_at=iso(row.created_at),
        created_by=row.created_by,
        redacted=bool(redacted) or None,
    )


def _with_metadata(step: Step, metadata: dict[str, str] | None) -> Step:
    if metadata is None or step.execution is None:
        return step
    return msgspec.structs.replace(step, execution=msgspec.structs.replace(step.execution, metadata=metadata))


def _to_summary(values: tuple[Cell, ...]) -> WorkflowRunSummary:
    return WorkflowRunSummary(**_common_fields(RUN.load(values)))


def _common_fields(row: WorkflowRunRow) -> dict[str, Any]:
    return {
        "id": row.run_id,
        "workflow_id": row.workflow_id,
        "status": row.status,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "requested_by": row.requested_by,
        "resumed_from_run_id": row.resumed_from,
        "started_at": iso_or_none(row.began_at),
        "finished_at": iso_or_none(row.finished_at),
    }


class WorkflowRunReader:
    """Reader of a run with its workflow at one moment. The size of its result is bounded for any run."""

    def __init__(self, connection: Connection, row: WorkflowRunRow, output_of: OutputOf) -> None:
        """Read the rows of the run."""
        self._row = row
        workflow = WORKFLOW.one(connection, row.workflow_id)
        assert workflow is not None
        self.graph = graph_of(workflow)
        self._output_of = output_of
        self._chars_left = RUN_OUTPUT_CHARS_MAX
        steps = connection.execute(f"{STEP.all} WHERE run_id = ?", (row.run_id,))
        self._steps = {step.step_id: step for step in map(STEP.load, steps)}
        self._counts: dict[str, dict[str, int]] = {}
        for step_id, status, count in connection.execute(COUNT_ITEMS, (row.run_id,)):
            self._counts.setdefault(str(step_id), {})[str(status)] = int(count or 0)
        self._items: dict[str, list[StepItemRow]] = {}
        room = RUN_ITEMS_MAX
        for step_id in self.graph.ids:
            if step_id in self._counts:
                key_and_limit = (row.run_id, step_id, min(room, STEP_ITEMS_MAX, sum(self._counts[step_id].values())))
                items = [ITEM.load(values) for values in connection.execute(SELECT_ITEMS, key_and_limit)]
                self._items[step_id] = items
                room -= len(items)
        lines = connection.execute(SELECT_LINES, (row.run_id, RUN_LINES_MAX))
        self._lines = list(map(LINE.load, lines))[::-1]
        ((total,),) = connection.execute(COUNT_LINES, (row.run_id,))
        self._lines_cut = int(total or 0) > len(self._lines)
        self._connection = connection

    def run(self) -> WorkflowRun:
        """Return the run in its JSON form."""
        log = tuple(
            WorkflowLogLine(
                id=f"wfl_{line.position}",
                level=line.level,
                message=line.message,
                created_at=iso(line.created_at),
                step_id=line.step_id,
            )
            for line in self._lines
        )
        return WorkflowRun(
            schema_version=1,
            step_order=self.graph.ids,
            step_states={node.step_id: node for node in self.nodes()},
            execution_log=log,
            execution_log_truncated=self._lines_cut or None,
            **_common_fields(self._row),
        )

    def nodes(self) -> tuple[StepState, ...]:
        """Return the steps in the order of the definition."""
        statuses = {step_id: step.status for step_id, step in self._steps.items()}
        due = {step_id for step_id, verdict in self.graph.due(statuses) if verdict.what == "ready"}
        return tuple(self._node(step, statuses, due) for step in self.graph.steps.values())

    def _node(self, step: Step, statuses: Mapping[str, str], due: set[str]) -> StepState:
        row = self._steps.get(step.id)
        parents = self.graph.parents[step.id]
        blocking = tuple(sorted(parent for parent in parents if statuses.get(parent) != "ok"))
        ready = step.id in due or not blocking or (row is not None and row.started_at is not None)
        readiness = DependencyReadiness(
            total_dependencies=len(parents),
            ready_dependencies=len(parents) - len(blocking),
            blocking_step_ids=blocking,
        )
        items = self._items.get(step.id)
        total = None if row is None else row.items
        return StepState(
            step_id=step.id,
            status="pending" if row is None else row.status,
            attempt=0 if row is None else row.attempt,
            ready=ready,
            dependency_readiness=readiness,
            updated_at=iso(self._row.created_at if row is None else row.updated_at),
            checkpoint=None if row is None or row.attempt == 0 else self._checkpoint(row),
            run_id=None if row is None else row.step_run_id,
            note=None if row is None else row.note,
            items=None if items is None else tuple(map(_to_item_status, items)),
            item_counts=None if total is None else _item_counts(total, self._counts.get(step.id, {})),
            items_truncated=self._items_cut(step.id) or None,
            approval=None
            if row is None or row.approval is None or step.approval is None
            else _to_pending_approval(row.approval, step.approval),
        )

    def _checkpoint(self, row: StepRow) -> Checkpoint:
        return Checkpoint(
            attempt=row.attempt,
            started_at=iso_or_none(row.started_at),
            finished_at=iso_or_none(row.finished_at),
            artifact=self._artifact(row),
            error=row.error,
        )

    def _items_cut(self, step_id: str) -> bool:
        return sum(self._counts.get(step_id, {}).values()) > len(self._items.get(step_id, ()))

    def _artifact(self, row: StepRow) -> Artifact | None:
        if not _has_output(row):
            return None
        output, cut = self._output(row)
        return Artifact(
            kind=ARTIFACT,
            output=output,
            provider=row.provider or "",
            model=row.model or "",
            created_at=iso(row.finished_at or 0),
            output_truncated=cut or None,
            redacted=True if output is None else None,
        )

    def _output(self, row: StepRow) -> tuple[str | None, bool]:
        """Return the output of a step, or of its items as a JSON list, and True if it was cut."""
        fits = row.output_chars <= self._chars_left and not self._items_cut(row.step_id)
        items = self._items.get(row.step_id, ())
        runs = [row.step_run_id] if row.items is None else [item.step_run_id for item in items]
        outputs = [self._output_of(run_id or "", self._chars_left if fits else 0) for run_id in runs]
        texts = [whole if fits else preview for preview, whole in outputs]
        text = None if None in texts else texts[0] if row.items is None else to_json(texts)
        self._chars_left -= len(text or "") if fits else 0
        return text, text is not None and not fits

    def refs(self) -> tuple[ArtifactRef, ...]:
        """Return references to the outputs of the steps."""
        refs = []
        for step_id in self.graph.ids:
            row = self._steps.get(step_id)
            if row is not None and _has_output(row):
                refs.append(
                    ArtifactRef(
                        step_id=step_id,
                        artifact_ref=f"workflow-run:{self._row.run_id}:step:{step_id}:artifact:{ARTIFACT}",
                        kind=ARTIFACT,
                        provider=row.provider or "",
                        model=row.model or "",
                        created_at=iso(row.finished_at or 0),
                        output_chars=row.output_chars,
                    )
                )
        return tuple(refs)

    def eta(self, now: int) -> Eta:
        """Return the estimated end of the run."""
        return estimated(self._connection, self.graph, self._row, self._steps, now)


def _item_counts(total: int, counts: Mapping[str, int]) -> ItemCounts:
    names = ("pending", "running", "ok", "failed", "cancelled")
    return ItemCounts(total=total, **{name: counts.get(name, 0) for name in names})


def _has_output(row: StepRow) -> bool:
    return row.status == "ok" and (row.step_run_id is not None or row.items is not None)


def _to_pending_approval(text: str, approval: Approval) -> PendingApproval:
    request = msgspec.json.decode(text, type=ApprovalRequest)
    return PendingApproval(
        ask_id=request.ask_id,
        subject_hash=request.subject_sha256,
        requested_at=iso(request.requested_at),
        expires_at=iso_or_none(request.expires_at),
        message=approval.message,
        approvers=approval.approvers,
        role=approval.role or "Operator",
        not_requester=approval.not_requester,
    )


def progress(statuses: Sequence[str]) -> WorkflowProgress:
    """Return the number of steps by status. Skipped steps count as finished."""
    count = Counter(statuses)
    through = count["ok"] + count["skipped"]
    return WorkflowProgress(
        total_steps=len(statuses),
        completed_steps=count["ok"],
        running_steps=count["running"],
        failed_steps=count["failed"] + count["cancelled"],
        pending_steps=count["pending"],
        skipped_steps=count["skipped"],
        waiting_steps=count["waiting"],
        percent_complete=round(100 * through / len(statuses), 2) if statuses else 100.0,
    )
