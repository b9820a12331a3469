"""Operations on workflows: write, run, resume and cancel them, and decide their approvals."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.clock import iso
from athena_core.definitions.workflow_graph import WorkflowDefinition
from athena_core.domain import workflow_run
from athena_core.domain.workflow_run import DecideApproval
from athena_core.errors import NotFound
from athena_core.event import Value, says
from athena_core.protocols import Connection
from athena_core.values import LIST_ITEMS_MAX, Body, Label
from projections import runs, workflows
from projections.engine.page import Page
from projections.engine.views import at_least
from projections.workflow_estimates import Eta
from projections.workflow_rows import StepItemStatus, WorkflowRunRow

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.submission import Committed


class ItemsQuery(Value):
    """Filter of the items of a step."""

    status: StepItemStatus | None = None


WAIT_SECONDS_MAX = 3_600
"""How long a call waits for a workflow run, before it is answered with the record so far."""


VIEWS = ("workflows", "runs")


Values = Annotated[dict[Label, Any], msgspec.Meta(max_length=LIST_ITEMS_MAX)]


class WorkflowBody(Body):
    """The definition of a workflow."""

    definition: WorkflowDefinition


class RunWorkflowBody(Body):
    """Values of the placeholders in the directives, by name."""

    input: Annotated[Values | None, says("Values of placeholders, by name.")] = None


class ResumeWorkflowBody(Body):
    """Values that replace earlier ones. ``dryRun`` only reports what a resume would do."""

    input_overrides: Annotated[Values | None, says("Inputs that replace earlier ones, by name.")] = None
    dry_run: bool | None = None


class CancelWorkflowBody(Body):
    """The reason for cancelling a workflow run."""

    reason: Annotated[Label | None, says("Reason, for auditors.")] = None


class ApprovalBody(Body):
    """The hash of the subject to approve or reject, as the step's node shows it, and a note."""

    subject_hash: Label
    note: Label | None = None


async def create_workflow(plane: "ControlPlane", call: ApiCall[WorkflowBody, NoQuery]) -> Reply:
    """Create a workflow from its steps and their dependencies."""
    created = await plane.workflows.create(call.body.definition, call.who, call.meta, call.key)
    record = workflows.Workflow(
        id=created.subject or "",
        definition=call.body.definition,
        created_at=iso(created.at),
        created_by=call.who.subject,
    )
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_workflows(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List workflows, newest first."""
    page, position = await plane.query(
        ("workflows",), lambda rows: workflows.list_workflows(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def get_workflow(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a workflow."""
    workflow_id = call.path["workflowId"]
    record, position = await plane.query(("workflows",), lambda rows: workflows.workflow_by_id(rows, workflow_id))
    return Reply(data=existing(record, "workflow", workflow_id), position=position)


async def list_workflow_runs(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the runs of a workflow, newest first."""
    workflow_id = call.path["workflowId"]

    def read(rows: Connection) -> Any:
        existing(workflows.workflow_by_id(rows, workflow_id), "workflow", workflow_id)
        return workflows.list_workflow_runs(rows, workflow_id, cursor=call.cursor, limit=call.limit)

    page, position = await plane.query(("workflows",), read)
    return Reply(data=page, position=position)


async def get_workflow_run(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a workflow run, or the newest run of a workflow, with the progress of its steps."""
    target, now = call.path["id"], plane.clock.now()

    def read(rows: Connection) -> workflows.WorkflowRunDetails:
        row = workflows.run_row(rows, target) or workflows.newest_run(rows, target)
        workflow_id = row.workflow_id if row is not None else target
        record = existing(workflows.workflow_by_id(rows, workflow_id), "workflow or workflow run", target)
        if row is None:
            eta = Eta(computed_at=iso(now), source="insufficient-history", historical_sample_size=0)
            none = workflows.progress(["pending"] * len(record.definition.steps))
            return workflows.WorkflowRunDetails(
                workflow=record, run=None, nodes=(), progress=none, artifact_refs=(), eta=eta
            )
        view = _view(rows, row)
        run = view.run()
        nodes = tuple(run.step_states[step_id] for step_id in run.step_order)
        return workflows.WorkflowRunDetails(
            workflow=record,
            run=run,
            nodes=nodes,
            progress=workflows.progress([node.status for node in nodes]),
            artifact_refs=view.refs(),
            eta=view.eta(now),
        )

    observed, position = await plane.search(VIEWS, lambda rows, _: read(rows))
    return Reply(data=observed, position=position)


async def list_workflow_run_items(plane: "ControlPlane", call: ApiCall[NoBody, ItemsQuery]) -> Reply:
    """List the items of a mapped step, in their order."""
    target, step_id = call.path["id"], call.path["step"]

    def read(rows: Connection) -> Page[workflows.StepItem]:
        row = existing(workflows.run_row(rows, target), "workflow run", target)
        existing(workflows.has_step(rows, row.workflow_id, step_id) or None, "step", step_id)
        status = call.query.status
        return workflows.list_items(rows, target, step_id, status=status, cursor=call.cursor, limit=call.limit)

    page, position = await plane.search(("workflows",), lambda rows, _: read(rows))
    return Reply(data=page, position=position)


def _view(rows: Connection, row: WorkflowRunRow) -> workflows.WorkflowRunReader:
    return workflows.WorkflowRunReader(rows, row, partial(runs.output_of, rows))


async def run_workflow(plane: "ControlPlane", call: ApiCall[RunWorkflowBody, NoQuery]) -> Reply:
    """Start a run of a workflow. Waits until it ends or needs an approval, unless `Prefer: respond-async` is sent."""
    started = await plane.workflows.start(call.path["workflowId"], call.body.input, call.who, call.meta, call.key)
    return await _reply_when_settled(plane, call, started)


async def resume_workflow(plane: "ControlPlane", call: ApiCall[ResumeWorkflowBody, NoQuery]) -> Reply:
    """Resume a workflow run, or a workflow's newest run that is not ok. Starts a new run if there is none."""
    target, body = call.path["id"], call.body
    exactly = workflow_run.DECIDER.owns(target)
    run_id: str | None = target if exactly else None
    after: str | None = None
    if exactly:
        state, _ = await plane.workflows.load(target)
        workflow_id = state.workflow_id
    else:
        workflow_id = target
        if not plane.workflows.exists(workflow_id):
            raise NotFound(f"no workflow or workflow run {target!r} exists")

        def newest(rows: Connection) -> tuple[WorkflowRunRow | None, WorkflowRunRow | None]:
            return workflows.newest_unfinished(rows, workflow_id), workflows.newest_ok(rows, workflow_id)

        (unfinished, ok), _ = await plane.read(("workflows",), plane.reader.head(), newest)
        run_id, after = unfinished.run_id if unfinished else None, ok.run_id if ok else None
    if body.dry_run:
        return await _dry_run(plane, run_id, after, body.input_overrides)
    resumed = await plane.workflows.resume(
        workflow_id, run_id, body.input_overrides, call.who, call.meta, call.key, exactly=exactly, after=after
    )
    if not resumed.answer:  # it is running or has ended: this call started nothing to wait for
        return await reply_with_record(plane, resumed, 200)
    return await _reply_when_settled(plane, call, resumed)


async def _dry_run(
    plane: "ControlPlane", run_id: str | None, after: str | None, values: dict[str, Any] | None
) -> Reply:
    """Return the run as it is, with the plan of a resume."""
    resets = () if run_id is None else await plane.workflows.would_reset(run_id, values)
    shown = run_id or after

    def read(rows: Connection) -> workflows.WorkflowRun | None:
        row = None if shown is None else workflows.run_row(rows, shown)
        return None if row is None else _view(rows, row).run()

    head = plane.reader.head()
    await plane.caught_up(VIEWS, head)
    with at_least(head):
        run, position = await plane.search(VIEWS, lambda rows, _: read(rows))
    if run is None:
        return Reply(data=None, position=position)
    kept = tuple(step_id for step_id in run.step_order if run.step_states[step_id].status == "ok")
    plan = workflows.DryRun(resets=resets, keeps=kept if run_id else (), starts_new_run=run_id is None)
    return Reply(data=msgspec.structs.replace(run, dry_run=plan), position=position)


async def cancel_workflow_run(plane: "ControlPlane", call: ApiCall[CancelWorkflowBody, NoQuery]) -> Reply:
    """Cancel a workflow run and the runs of its steps."""
    done = await plane.workflows.cancel(call.path["id"], call.body.reason, call.meta, call.key)
    return await reply_with_record(plane, done, 200)


async def approve_workflow_step(plane: "ControlPlane", call: ApiCall[ApprovalBody, NoQuery]) -> Reply:
    """Approve a step if its subject hash still matches."""
    return await _judge(plane, call, approve=True)


async def reject_workflow_step(plane: "ControlPlane", call: ApiCall[ApprovalBody, NoQuery]) -> Reply:
    """Reject a step if its subject hash still matches. The step fails."""
    return await _judge(plane, call, approve=False)


async def _judge(plane: "ControlPlane", call: ApiCall[ApprovalBody, NoQuery], *, approve: bool) -> Reply:
    command = DecideApproval(
        step_id=call.path["step"],
        subject_sha256=call.body.subject_hash,
        approve=approve,
        by=call.who.subject,
        note=call.body.note,
    )
    operation = "approveWorkflowStep" if approve else "rejectWorkflowStep"
    done = await plane.workflows.judge(call.path["id"], command, call.who, operation, call.meta, call.key)
    return await reply_with_record(plane, done, 200)


async def _reply_when_settled(plane: "ControlPlane", call: ApiCall[Any, Any], done: "Committed[object]") -> Reply:
    """Return the record once the run has ended or needs an approval, or at once if the call does not wait."""
    settled = False
    if call.wait:
        with plane.streams.client_wait(call.receive):
            settled = await plane.workflows.settled(done.subject or "", WAIT_SECONDS_MAX)
    return await reply_with_record(plane, done, 200 if settled else 202)


async def reply_with_record(plane: "ControlPlane", done: "Committed[object]", status: int) -> Reply:
    """Return the current record of the workflow run that a command concerns."""
    run_id = done.subject or ""

    def read(rows: Connection) -> workflows.WorkflowRun:
        return _view(rows, existing(workflows.run_row(rows, run_id), "workflow run", run_id)).run()

    head = plane.reader.head()
    await plane.caught_up(VIEWS, head)
    with at_least(head):
        run, position = await plane.search(VIEWS, lambda rows, _: read(rows))
    location = f"/workflows/run/{run_id}"
    return Reply(data=run, position=position, status=status, location=location, replayed=done.replayed)


row = Noun("workflows", reads=("workflows",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("workflows.list", "GET /workflows", list_workflows, answer=Page[workflows.Workflow], paging="cursor"),
    row("workflows.create", "POST /workflows", create_workflow, answer=workflows.Workflow),
    row("workflows.get", "GET /workflows/:workflowId", get_workflow, answer=workflows.Workflow),
    row(
        "workflows.runs",
        "GET /workflows/:workflowId/runs",
        list_workflow_runs,
        answer=Page[workflows.WorkflowRunSummary],
        errors=("NOT_FOUND",),
        paging="cursor",
        command="workflows runs",
    ),
    row(
        "workflows.run",
        "POST /workflows/:workflowId/run",
        run_workflow,
        answer=workflows.WorkflowRun,
        accepted=workflows.WorkflowRun,
        errors=("NOT_FOUND",),
        command="workflows run",
        mcp="run_workflow",
    ),
    row(
        "workflows.status",
        "GET /workflows/run/:id",
        get_workflow_run,
        answer=workflows.WorkflowRunDetails,
        reads=("workflows", "runs"),
        command="workflows status",
        mcp="get_workflow_run",
        price_ms=20,
    ),
    row(
        "workflows.resume",
        "POST /workflows/run/:id/resume",
        resume_workflow,
        answer=workflows.WorkflowRun | None,
        accepted=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        command="workflows resume",
    ),
    row(
        "workflows.cancel",
        "POST /workflows/run/:id/cancel",
        cancel_workflow_run,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND",),
        command="workflows cancel",
    ),
    row(
        "workflows.items",
        "GET /workflows/run/:id/steps/:step/items",
        list_workflow_run_items,
        answer=Page[workflows.StepItem],
        errors=("NOT_FOUND",),
        paging="cursor",
        command="workflows items",
        price_ms=10,
    ),
    row(
        "workflows.approve",
        "POST /workflows/run/:id/steps/:step/approve",
        approve_workflow_step,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        command="workflows approve",
    ),
    row(
        "workflows.reject",
        "POST /workflows/run/:id/steps/:step/reject",
        reject_workflow_step,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        command="workflows reject",
    ),
)
