"""Operations on runs: start, resume, read, explain and cancel them, and read their evidence."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import (
    EVERYBODY,
    ApiCall,
    NoBody,
    NoQuery,
    Noun,
    Operation,
    Replayed,
    Reply,
    existing,
)
from athena_core.clock import iso_or_none
from athena_core.domain.run import DECIDER as RUN
from athena_core.domain.run import RunAsked, ToolCalled
from athena_core.enums import RunStatus
from athena_core.errors import AthenaError
from athena_core.event import Event, Recorded, Value, says
from athena_core.protocols import Connection
from athena_core.services.proof import explain
from athena_core.services.runs.results import RunResult
from athena_core.services.runs.retries import RetryBody
from athena_core.services.runs.runs import RunReport, StartedRun
from athena_core.text import preview
from athena_core.values import (
    MICRO_USD,
    PREVIEW_CHARS,
    WAIT_SECONDS_MAX,
    Body,
    Cancelled,
    ClientId,
    Dollars,
    Label,
    Milliseconds,
    RunBody,
    RunFilter,
)
from projections import evidence, feed, fleet, run_rows, runs
from projections.engine.page import Page
from projections.run_answer import Run, RunWait, answer_of, shown

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import BoundedReader
    from athena_core.log.submission import Committed


class FacetsQuery(Value):
    """Filters of runs. Times are inclusive."""

    session_id: ClientId | None = None
    status: RunStatus | None = None
    provider: Label | None = None
    model: Label | None = None
    harness_profile_id: Label | None = None
    error_code: Annotated[Label | None, says("Only runs that ended with this error code.")] = None
    parent_run_id: Annotated[Label | None, says("Only children of this run.")] = None
    retry_of: Annotated[Label | None, says("Only retries of this run.")] = None
    created_after: Time | None = None
    created_before: Time | None = None
    cost_over_usd: Dollars | None = None
    duration_over_ms: Milliseconds | None = None

    def wanted(self) -> RunFilter:
        """Return the filter."""
        fields = {name: getattr(self, name) for name in RunFilter.__struct_fields__ if name != "cost_over_micro_usd"}
        cost = None if self.cost_over_usd is None else round(self.cost_over_usd * MICRO_USD)
        return RunFilter(**fields, cost_over_micro_usd=cost)


class RunsQuery(FacetsQuery):
    """Filters of runs. ``include=output`` adds whole outputs to the previews."""

    sort: Annotated[runs.RunSort | None, says("Order, the largest first; absent: `createdAt`.")] = None
    include: Annotated[Literal["output"] | None, says("`output` adds whole outputs.")] = None


class RunQuery(Value):
    """Seconds to wait for the end of the run. By default the answer does not wait."""

    wait: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=WAIT_SECONDS_MAX)] | None, says("Seconds to wait for the end of the run.")
    ] = None


class ActiveQuery(Value):
    """Filters of active runs and of cancel requests."""

    session_id: ClientId | None = None
    run_id: Label | None = None


class CancelBody(Body):
    """The reason for cancelling a run."""

    reason: Annotated[Label | None, says("Reason, for auditors.")] = None


class ResumeBody(Body):
    """The total budget of a run in dollars, including what it has spent so far. Without it the run has no budget."""

    budget_usd: Annotated[
        Dollars | None, says("New total budget in dollars, including the money spent; absent: no budget.")
    ] = None


AGENT_ERRORS = (
    "AGENT_UNAVAILABLE",
    "AGENT_GONE",
    "AGENT_SILENT",
    "AGENT_BROKEN",
    "AGENT_MODE_CHANGED",
    "AGENT_REFUSED",
    "ASK_REJECTED",
)
"""Error codes of a run that an outside agent worked on."""

RUN_ERRORS = (
    "PROVIDER_NOT_FOUND",
    "RUN_TIMEOUT",
    "SESSION_LOCK_TIMEOUT",
    "RUN_CANCELLED",
    "CONTEXT_OVERFLOW",
    "POLICY_CONCURRENCY_LIMIT_EXCEEDED",
    "POLICY_BUDGET_EXCEEDED",
    "RATE_LIMITED",
    "PROVIDER_ERROR",
    "RUN_CRASHED",
    "SANDBOX_UNAVAILABLE",
    "WORKSPACE_DISK_FULL",
    "WORKSPACE_LIMIT",
    "WORKSPACE_MISSING",
    "TURN_LIMIT",
    "STUCK",
    *AGENT_ERRORS,
)
"""Error codes of a run that failed, for a caller that waits for it."""


EXPLAIN_ROWS = 20
_decode = msgspec.json.Decoder(Run).decode


async def create_run(plane: "ControlPlane", call: ApiCall[RunBody, NoQuery]) -> Reply:
    """Start a run. Waits for its result unless `Prefer: respond-async` is sent.

    Send `input` or `directiveId`. A run that fails is an error of this call, with its id in `details`. If the
    run is paused, the answer is 202 with its record.
    """
    started = await plane.runs.start(call.body, call.who, call.meta, call.key, wait=call.wait)
    return await reply_to_start(plane, call, started)


async def retry_run(plane: "ControlPlane", call: ApiCall[RetryBody, NoQuery]) -> Reply:
    """Run the request of an ended run again, with the changes of the body. Answers as `POST /runs` does.

    The new run has the session, the directive or `input`, the profile and the metadata of the first, but not its
    parent. The first run stays as it is.
    """
    run_id = call.path["runId"]
    started = await plane.runs.retry(run_id, call.body, call.who, call.meta, call.key, wait=call.wait)
    return await reply_to_start(plane, call, started)


async def resume_run(plane: "ControlPlane", call: ApiCall[ResumeBody, NoQuery]) -> Reply:
    """Resume a paused run, with or without a new budget. Waits for its end unless `Prefer: respond-async` is sent."""
    run_id = call.path["runId"]
    resumed = await plane.runs.resume(run_id, call.body.budget_usd, call.who, call.meta, call.key, wait=call.wait)
    if call.wait and not plane.runs.state(run_id).open:
        return await reply_with_record(plane, call, replace(resumed, position=plane.reader.head()), 200)
    return await reply_with_record(plane, call, replace(resumed, position=plane.reader.head()), 202)


async def list_runs(plane: "ControlPlane", call: ApiCall[NoBody, RunsQuery]) -> Reply:
    """List runs, newest first.

    `sort=cost` lists the dearest runs first and leaves out runs without a cost. `sort=duration` lists the longest
    first and leaves out runs that have not ended.
    """
    query = call.query
    wanted, sort = query.wanted(), query.sort or "createdAt"

    def read(rows: Connection) -> Page[bytes]:
        return runs.list_runs(
            rows,
            wanted,
            sort=sort,
            scope=call.scope,
            with_output=query.include == "output",
            cursor=call.cursor,
            limit=call.limit,
        )

    if runs.is_indexed(wanted, sort):
        page, position = await plane.query(("runs",), read)
    else:
        page, position = await plane.search(("runs",), lambda rows, _: read(rows))
    return Reply(data=page, position=position, steady=True)


async def get_run_facets(plane: "ControlPlane", call: ApiCall[NoBody, FacetsQuery]) -> Reply:
    """Count runs by status, profile, model, error code and session, with the filters of `GET /runs`."""
    wanted, scope = call.query.wanted(), call.scope
    facets, position = await plane.search(("runs",), lambda rows, _: runs.run_facets(rows, wanted, scope))
    return Reply(data=facets, position=position, steady=True)


async def get_run(plane: "ControlPlane", call: ApiCall[NoBody, RunQuery]) -> Reply:
    """Get a run. With `wait`, the answer waits up to that many seconds for its end."""
    run_id = call.path["runId"]

    def read(rows: Connection) -> bytes | None:
        return runs.run_by_id(rows, run_id, call.scope)

    run, position = await plane.query(("runs",), read)
    if call.query.wait and run is not None:
        status, position = await plane.query(("runs",), lambda rows: runs.run_status(rows, run_id))
        if status in {"queued", "running"}:
            with plane.streams.client_wait(call.receive):
                await plane.runs.settled(run_id, call.query.wait)
            position = plane.reader.head()
        run, position = await plane.read(("runs",), position, read)
    return Reply(data=existing(run, "run", run_id), position=position, steady=not call.query.wait)


async def list_run_evidence(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List a run's evidence, newest first, without contents."""
    run_id = call.path["runId"]

    def read(rows: Connection) -> Page[evidence.EvidenceRecord]:
        existing(runs.run_status(rows, run_id), "run", run_id)
        return evidence.list_evidence(rows, plane.log.log_id, run_id, cursor=call.cursor, limit=call.limit)

    page, position = await plane.query(("runs", "evidence"), read)
    return Reply(data=page, position=position)


async def get_run_evidence(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a piece of evidence of a run, with its content."""
    run_id, evidence_id = call.path["runId"], call.path["evidenceId"]
    record, position = await plane.query(
        ("evidence",), lambda rows: evidence.evidence_by_id(rows, plane.log.log_id, run_id, evidence_id)
    )
    return Reply(data=existing(record, "evidence", evidence_id), position=position)


async def explain_run(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Explain the state of a run: the causes that led to it, and what the run is waiting for."""
    run_id = call.path["runId"]

    def read(rows: Connection, log: "BoundedReader") -> explain.Explanation | None:
        waiting = runs.WaitReasons(rows, call.scope).waiting(run_id)
        recorded = list(events_of(plane, log, run_id, explain.QUOTED)) if RUN.owns(run_id) else []
        line = None if waiting is None else _queue_line(waiting)
        return explain.explain(recorded, line, log, partial(feed.event_id, log.log_id), call.scope)

    explanation, position = await plane.search(("runs",), read)
    return Reply(data=existing(explanation, "run", run_id), position=position)


def events_of(
    plane: "ControlPlane", log: "BoundedReader", run_id: str, with_text: frozenset[str]
) -> Iterator[Recorded[Event]]:
    """Read the events of a run a few rows at a time, with the texts of these types."""
    version = 0
    while rows := log.part(run_id, version, 2**62, EXPLAIN_ROWS, backwards=False):
        yield from (plane.log.codec.decode(row, text=row.type in with_text) for row in rows)
        version = rows[-1].version


def _queue_line(waiting: RunWait) -> explain.QueuePlace | None:
    """Return the place in line; None if the run waits for answers."""
    if waiting.reason == "ask":
        return None
    limit = waiting.limit
    says = None if limit is None else f"{limit.active} of {limit.max} runs of {limit.scope} {limit.key} are active"
    return explain.QueuePlace(waiting.reason, waiting.position, waiting.blocked_by, says)


async def list_active_runs(plane: "ControlPlane", call: ApiCall[NoBody, ActiveQuery]) -> Reply:
    """List admitted runs that have not ended, newest first, each with what it does now."""
    query = call.query

    def read(rows: Connection) -> Page[runs.ActiveRun]:
        page = runs.active_runs(
            rows,
            session_id=query.session_id,
            run_id=query.run_id,
            scope=call.scope,
            cursor=call.cursor,
            limit=call.limit,
        )
        return replace(page, items=[_with_clock(rows, run) for run in page.items])

    page, position = await plane.query(("runs", "fleet"), read)
    if any(run.step.position for run in page.items):
        previews = await plane.scan(lambda log: [_previewed(plane, log, run) for run in page.items])
        page = replace(page, items=previews)
    return Reply(data=page, position=position, steady=True)


def _with_clock(rows: Connection, run: runs.ActiveRun) -> runs.ActiveRun:
    since, elapsed = fleet.run_clock(rows, run.run_id)
    return replace(run, clock_from=iso_or_none(since), elapsed_ms=elapsed)


def _previewed(plane: "ControlPlane", log: "BoundedReader", run: runs.ActiveRun) -> runs.ActiveRun:
    """Return the run with the beginning of the arguments of its open call, unless they were erased."""
    row = None if run.step.position is None else log.row(run.step.position)
    event = None if row is None else plane.log.codec.decode(row).event
    if not isinstance(event, ToolCalled | RunAsked) or event.arguments is None:
        return run
    return replace(run, step=replace(run.step, preview=preview(event.arguments, PREVIEW_CHARS)))


async def list_cancellation_requests(plane: "ControlPlane", call: ApiCall[NoBody, ActiveQuery]) -> Reply:
    """List cancel requests of runs that have not ended, newest first."""
    query = call.query
    page, position = await plane.query(
        ("runs",),
        lambda rows: runs.cancel_requests(
            rows,
            session_id=query.session_id,
            run_id=query.run_id,
            scope=call.scope,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def cancel_run_by_run_id(plane: "ControlPlane", call: ApiCall[CancelBody, NoQuery]) -> Reply:
    """Cancel a run. `status` is `not-running` if it has already ended or does not exist."""
    done = await plane.runs.cancel_run(call.path["runId"], call.body.reason, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def cancel_run(plane: "ControlPlane", call: ApiCall[CancelBody, NoQuery]) -> Reply:
    """Cancel the admitted run of a session."""
    done = await plane.runs.cancel_session(call.path["sessionId"], call.body.reason, call.meta, call.key)
    location = done.subject and f"/run-control/by-run/{done.subject}/cancel"
    return Reply(data=done.answer, position=done.position, location=location, replayed=done.replayed)


async def reply_to_start(plane: "ControlPlane", call: ApiCall[Any, Any], started: "Committed[RunReport]") -> Reply:
    """Return the result of the run if the call waits for it, or else its record. Raise the error that ended the run."""
    if call.wait:
        try:
            answer = plane.runs.answer(started)
        except AthenaError as error:
            if started.replayed:
                raise Replayed(error) from error
            raise
        if answer.result is not None:
            return Reply(data=answer.result, position=answer.position, replayed=started.replayed)
        started = replace(started, position=answer.position)  # the run is paused
    # The lease holds all that the record shows, so the answer need not wait for the views.
    if isinstance(started.answer, StartedRun):
        lease, used = started.answer
        row = run_rows.admitted_row(started.subject or "", lease.request, lease.at)
        if used is not None:
            row.template_id, row.template_version = used.id, used.version
        run = _decode(shown(answer_of(row)))
        return Reply(data=run, position=started.position, status=202, location=f"/runs/{started.subject}")
    return await reply_with_record(plane, call, started, 202)


async def reply_with_record(
    plane: "ControlPlane", call: ApiCall[Any, Any], done: "Committed[object]", status: int
) -> Reply:
    """Return the current record of the run that a command concerns."""
    run_id, scope = done.subject or "", call.scope
    found, position = await plane.read(("runs",), done.position, lambda rows: runs.run_by_id(rows, run_id, scope))
    run = None if found is None else _decode(found)
    return Reply(data=run, position=position, status=status, location=f"/runs/{run_id}", replayed=done.replayed)


row = Noun("runs", reads=("runs",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "runs.create",
        "POST /runs",
        create_run,
        answer=RunResult,
        accepted=Run,
        roles=EVERYBODY,
        errors=RUN_ERRORS,
        narrows={"sessions", "personas"},
        command="run",
        mcp="start_run",
    ),
    row(
        "runs.retry",
        "POST /runs/:runId/retry",
        retry_run,
        answer=RunResult,
        accepted=Run,
        roles=EVERYBODY,
        errors=("NOT_FOUND", "RUN_NOT_ENDED", *RUN_ERRORS),
        narrows={"sessions", "personas"},
        command="retry",
        mcp="retry_run",
    ),
    row(
        "runs.list",
        "GET /runs",
        list_runs,
        answer=Page[Run],
        paging="cursor",
        narrows={"sessions", "runs"},
        mcp="list_runs",
        price_ms=20,
    ),
    row(
        "runs.facets",
        "GET /runs/facets",
        get_run_facets,
        answer=runs.RunFacets,
        narrows={"sessions", "runs"},
        command="runs facets",
        price_ms=50,
    ),
    row("runs.get", "GET /runs/:runId", get_run, answer=Run, mcp="get_run"),
    row(
        "runs.evidence.list",
        "GET /runs/:runId/evidence",
        list_run_evidence,
        answer=Page[evidence.EvidenceRecord],
        reads=("runs", "evidence"),
        errors=("NOT_FOUND",),
        paging="cursor",
        command="evidence list",
    ),
    row(
        "runs.evidence.get",
        "GET /runs/:runId/evidence/:evidenceId",
        get_run_evidence,
        answer=evidence.Evidence,
        reads=("evidence",),
        command="evidence get",
    ),
    row(
        "runs.explain",
        "GET /runs/:runId/explain",
        explain_run,
        answer=explain.Explanation,
        errors=("NOT_FOUND",),
        command="explain",
        mcp="explain_run",
        price_ms=5,
    ),
    row(
        "runs.active",
        "GET /runs/active",
        list_active_runs,
        answer=Page[runs.ActiveRun],
        reads=("runs", "fleet"),
        paging="cursor",
        narrows={"sessions", "runs"},
        price_ms=5,
    ),
    row(
        "runs.cancelRequests",
        "GET /runs/cancel-requests",
        list_cancellation_requests,
        answer=Page[runs.CancelRequest],
        paging="cursor",
        narrows={"sessions", "runs"},
    ),
    row(
        "runs.cancel",
        "POST /run-control/by-run/:runId/cancel",
        cancel_run_by_run_id,
        answer=Cancelled,
        command="cancel",
        mcp="cancel_run",
    ),
    row(
        "runs.cancel",
        "POST /runs/:sessionId/cancel",
        cancel_run,
        answer=Cancelled,
        command="cancel",
        successor="/run-control/by-run/:runId/cancel",
    ),
    row(
        "runs.resume",
        "POST /runs/:runId/resume",
        resume_run,
        answer=Run,
        accepted=Run,
        errors=("NOT_FOUND", "RUN_NOT_PAUSED", "POLICY_CONCURRENCY_LIMIT_EXCEEDED", "POLICY_BUDGET_EXCEEDED"),
        command="resume",
    ),
)
