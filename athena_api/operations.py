"""The table of operations: routes, documents, roles, pagination and the command line are computed from it."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_api import queues
from athena_api import schedules as scheduling
from athena_api import workflows as flows
from athena_api.anchors import AnchorsQuery, keep_anchor, list_anchors
from athena_api.answers import Caller, Capabilities, EventRecord, EventsPage, Health, ViewDigests, Workers
from athena_api.edge.replies import encode
from athena_api.endpoint.body import Time
from athena_api.endpoint.csv import CONTENT_TYPE, to_csv
from athena_api.endpoint.etag import etag, expectation
from athena_api.endpoint.operation import (
    ADMINS,
    EVERYBODY,
    WRITERS,
    ApiCall,
    NoBody,
    NoQuery,
    Operation,
    Reply,
    existing,
)
from athena_api.memory import (
    ReadMemoryBody,
    SearchQuery,
    forget_memory,
    get_memory,
    get_memory_entry,
    list_memory,
    record_memory,
    search_memory,
)
from athena_api.personas import PersonaRunAnswer, PersonaRunsQuery, get_persona_run, list_persona_runs, run_persona
from athena_api.policies import simulate_policy
from athena_api.running import answered, record_of
from athena_api.streams.sse import records_of
from athena_api.templates import (
    RunTemplateBody,
    TemplateQuery,
    create_template,
    get_template,
    list_templates,
    run_template,
    update_template,
)
from athena_core.clock import iso
from athena_core.definitions.trigger import ScheduleBody, ScheduleSpec
from athena_core.domain.anchor import AnchorBody
from athena_core.domain.directive import DirectiveSpec
from athena_core.domain.memory import MemoryBody
from athena_core.domain.policy import PolicyDocument, PutPolicyBody, SimulateBody
from athena_core.domain.template import TemplateSpec
from athena_core.event import Event, Position, Recorded, Value
from athena_core.protocols import Connection, Passage
from athena_core.services.clock_jumps import AcceptedClock
from athena_core.services.execution.live_text import TranscriptDelta
from athena_core.services.memory import Forgotten, NoteText
from athena_core.services.proof import explain, simulate
from athena_core.services.proof.anchors import AnchorReceipt
from athena_core.services.queues.dead_letters import NoteBody
from athena_core.services.queues.messages import MessageBody
from athena_core.services.queues.queues import DrainBody, DrainResult, EnqueueBody
from athena_core.services.queues.redrives import RedriveBody
from athena_core.services.reviews.reviews import PersonaRunBody
from athena_core.services.schedules.schedules import RunScheduleBody
from athena_core.values import (
    INTEGER_MAX,
    PAGE_BYTES_MAX,
    WAIT_SECONDS_MAX,
    Body,
    Cancelled,
    ClientId,
    Dollars,
    HarnessProfile,
    HarnessSpec,
    Label,
    Role,
    RunBody,
    RunResult,
)
from projections import (
    ALL,
    anchors,
    audit,
    catalog,
    dead_letters,
    evidence,
    feed,
    fleet,
    memory,
    messages,
    policy,
    redrives,
    reviews,
    runs,
    schedules,
    sessions,
    templates,
    workflows,
)
from projections import (
    queues as work,
)
from projections.engine.page import INLINE_BYTES_MAX, Page
from projections.engine.views import at_least

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader

# What goes in and out beside the records of the core and of the read models


class CancelBody(Body):
    """Why a run is to be cancelled."""

    reason: Label | None = None


class ResumeBody(Body):
    """The budget of a run from now on, in dollars, what it spent so far included; without one it has none."""

    budget_usd: Dollars | None = None


class RunsQuery(Value):
    """Which runs; ``include=output`` shows whole outputs beside the previews."""

    session_id: ClientId | None = None
    status: (
        Literal["queued", "running", "paused", "completed", "failed", "cancelled", "timed-out", "crashed"] | None
    ) = None
    provider: Label | None = None
    include: Literal["output"] | None = None


class RunQuery(Value):
    """How many seconds to wait for the end of the run; without them the answer comes at once."""

    wait: Annotated[int, msgspec.Meta(ge=0, le=WAIT_SECONDS_MAX)] | None = None


class ActiveQuery(Value):
    """Which active runs or cancel requests."""

    session_id: ClientId | None = None
    run_id: Label | None = None


EventTypes: TypeAlias = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=64)
]
"""Names of event types: at most 64, of at most 64 characters."""


class EventsQuery(Value):
    """Which events; times are inclusive."""

    types: EventTypes | None = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    trace_id: Label | None = None
    created_after: Time | None = None
    created_before: Time | None = None


class StreamQuery(Value):
    """Which events, and where the stream begins: after a cursor, at ``latest``, or at a time."""

    types: EventTypes | None = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    after: Label | None = None


class RejectionsQuery(Value):
    """Which refusals, and in which order (the oldest first); times are inclusive.

    ``offset`` counts only without a cursor; a cursor goes on in the order that it came from.
    """

    session_id: ClientId | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    offset: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)] | None = None
    reason: Label | None = None
    actor: Label | None = None
    provider: Label | None = None
    harness_profile_id: Label | None = None
    order: Literal["newest", "oldest"] | None = None


class TranscriptQuery(Value):
    """Where the stream begins: after an entry, at ``latest``, or at a time."""

    after: Label | None = None


class AuditQuery(Value):
    """Which entries of the trail, and how they are written; times are inclusive."""

    actor: Label | None = None
    kind: audit.Kind | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    format: Literal["json", "csv"] | None = None


AUDIT_COLUMNS = (
    *("createdAt", "kind", "actor", "target", "reason", "before", "after", "details"),
    *("sessionId", "runId", "traceId", "type", "id"),
)


EXPLAIN_ROWS = 20

# Handlers: thin, one each


async def get_capabilities(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """What this server can do."""
    return Reply(data=plane.capabilities(), position=call.position)


async def get_caller(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Who is asking."""
    who, narrowed = call.who, None
    if who.scope is not None:
        kinds = {kind: getattr(who.scope, kind) for kind in who.scope.__struct_fields__}
        narrowed = {kind: tuple(sorted(names)) for kind, names in kinds.items() if names is not None}
    allowed = tuple(operation for operation in ROLES if plane.access.allows(who, operation))
    caller = Caller(identity=who.subject, role=who.role.value, operations=allowed, scope=narrowed)
    return Reply(data=caller, position=call.position)


async def get_health(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Whether the server is well."""
    return Reply(data=plane.health(call.position), position=call.position)


async def accept_clock(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Accept the machine's clock."""
    done = await plane.clocks.accept(call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def get_digests(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """What all rows of the views come to."""
    return Reply(data=await plane.digests.result(call.position), position=call.position)


async def list_workers(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """The processes that are attached to the log."""
    return Reply(data=await plane.workers(), position=call.position)


async def create_run(plane: "ControlPlane", call: ApiCall[RunBody, NoQuery]) -> Reply:
    """Start a run, and wait for its answer unless the caller would rather not."""
    started = await plane.runs.start(call.body, call.who, call.meta, call.key, wait=call.wait)
    return await answered(plane, call, started)


async def resume_run(plane: "ControlPlane", call: ApiCall[ResumeBody, NoQuery]) -> Reply:
    """Let a paused run go on, and wait for its end unless the caller would rather not."""
    run_id = call.path["runId"]
    resumed = await plane.runs.resume(run_id, call.body.budget_usd, call.who, call.meta, call.key, wait=call.wait)
    if call.wait and not plane.runs.state(run_id).open:
        return await record_of(plane, call, replace(resumed, position=plane.reader.head()), 200)
    return await record_of(plane, call, replace(resumed, position=plane.reader.head()), 202)


async def list_runs(plane: "ControlPlane", call: ApiCall[NoBody, RunsQuery]) -> Reply:
    """Runs, newest first."""
    query = call.query
    page, position = await plane.query(
        ("runs",),
        lambda rows: runs.list_runs(
            rows,
            session_id=query.session_id,
            status=query.status,
            provider=query.provider,
            scope=call.who.scope,
            with_output=query.include == "output",
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def get_run(plane: "ControlPlane", call: ApiCall[NoBody, RunQuery]) -> Reply:
    """One run, now or once it has ended."""
    run_id = call.path["runId"]

    def read(rows: Connection) -> runs.Run | None:
        return runs.run_by_id(rows, run_id, call.who.scope)

    run, position = await plane.query(("runs",), read)
    record = existing(run, "run", run_id)
    if call.query.wait and record.status in {"queued", "running"}:
        with plane.streams.wanted(call.receive):
            await plane.runs.settled(run_id, call.query.wait)
        run, position = await plane.read(("runs",), plane.reader.head(), read)
        record = existing(run, "run", run_id)
    return Reply(data=record, position=position, steady=not call.query.wait)


async def list_evidence(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """What a run showed, without contents."""
    run_id = call.path["runId"]

    def read(rows: Connection) -> Page[evidence.EvidenceRecord]:
        existing(runs.run_by_id(rows, run_id), "run", run_id)
        return evidence.list_evidence(rows, plane.log.log_id, run_id, cursor=call.cursor, limit=call.limit)

    page, position = await plane.query(("runs", "evidence"), read)
    return Reply(data=page, position=position)


async def get_evidence(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One thing that a run showed, with its content."""
    run_id, evidence_id = call.path["runId"], call.path["evidenceId"]
    record, position = await plane.query(
        ("evidence",), lambda rows: evidence.evidence_by_id(rows, plane.log.log_id, run_id, evidence_id)
    )
    return Reply(data=existing(record, "evidence", evidence_id), position=position)


async def explain_run(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Why a run is where it is."""
    run_id = call.path["runId"]

    def read(rows: Connection, log: "StoreReader") -> explain.Explanation | None:
        run = runs.run_by_id(rows, run_id, call.who.scope)
        recorded = list(_recorded(plane, log, run_id)) if run_id.startswith("run_") else []
        line = _line(run.waiting) if run and run.waiting else None
        return explain.explain(recorded, line, log, partial(feed.event_id, log.log_id), call.who.scope)

    explanation, position = await plane.search(("runs",), read)
    return Reply(data=existing(explanation, "run", run_id), position=position)


def _recorded(plane: "ControlPlane", log: "StoreReader", run_id: str) -> Iterator[Recorded[Event]]:
    """Read the events of a run, a few rows at a time, without the texts that may hold megabytes."""
    version = 0
    while rows := log.part(run_id, version, 2**62, EXPLAIN_ROWS, backwards=False):
        yield from (plane.log.codec.decode(row, text=row.type in explain.QUOTED) for row in rows)
        version = rows[-1].version


def _line(waiting: runs.Waiting) -> explain.QueuePlace:
    limit = waiting.limit
    says = None if limit is None else f"{limit.active} of {limit.max} runs of {limit.scope} {limit.key} are active"
    return explain.QueuePlace(waiting.reason, waiting.position, waiting.blocked_by, says)


async def list_active_runs(plane: "ControlPlane", call: ApiCall[NoBody, ActiveQuery]) -> Reply:
    """Runs that were admitted and have not ended."""
    query = call.query
    page, position = await plane.query(
        ("runs",),
        lambda rows: runs.active_runs(
            rows,
            session_id=query.session_id,
            run_id=query.run_id,
            scope=call.who.scope,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def list_cancel_requests(plane: "ControlPlane", call: ApiCall[NoBody, ActiveQuery]) -> Reply:
    """Cancel requests of runs that have not ended."""
    query = call.query
    page, position = await plane.query(
        ("runs",),
        lambda rows: runs.cancel_requests(
            rows,
            session_id=query.session_id,
            run_id=query.run_id,
            scope=call.who.scope,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def cancel_run(plane: "ControlPlane", call: ApiCall[CancelBody, NoQuery]) -> Reply:
    """Ask for the cancel of a run."""
    done = await plane.runs.cancel_run(call.path["runId"], call.body.reason, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def cancel_session(plane: "ControlPlane", call: ApiCall[CancelBody, NoQuery]) -> Reply:
    """Ask for the cancel of the admitted run of a session."""
    done = await plane.runs.cancel_session(call.path["sessionId"], call.body.reason, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def list_sessions(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Sessions, most recently used first."""
    page, position = await plane.query(
        ("sessions",),
        lambda rows: sessions.list_sessions(rows, scope=call.who.scope, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position, steady=True)


async def get_session(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One session."""
    session_id = call.path["sessionId"]
    session, position = await plane.query(("sessions",), lambda rows: sessions.session_by_id(rows, session_id))
    return Reply(data=existing(session, "session", session_id), position=position, steady=True)


async def get_transcript(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """The newest entries of a session, or those after one."""
    session_id = call.path["sessionId"]
    after = None if call.cursor is None else feed.resolve(feed.parse_cursor(call.cursor), plane.reader)
    page, position = await plane.query(
        ("sessions",),
        lambda rows: sessions.transcript(rows, plane.log.log_id, session_id, after=after, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def stream_transcript(plane: "ControlPlane", call: ApiCall[NoBody, TranscriptQuery]) -> Reply:
    """The entries of a session, live, and what a model writes."""
    subscription = plane.transcripts.open(call.path["sessionId"], call.query.after, call.last_event_id)
    return Reply(data=subscription, position=call.position)


async def create_directive(plane: "ControlPlane", call: ApiCall[DirectiveSpec, NoQuery]) -> Reply:
    """Create a directive."""
    created = await plane.catalog.create_directive(call.body, call.meta, call.key)
    record = catalog.Directive(
        id=created.subject or "",
        input=call.body.input,
        created_at=iso(created.at),
        context_refs=call.body.context_refs or None,
        metadata=call.body.metadata or None,
    )
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_directives(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Directives, newest first."""
    page, position = await plane.query(
        ("catalog",),
        lambda rows: catalog.list_directives(rows, scope=call.who.scope, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def get_directive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One directive."""
    directive_id = call.path["directiveId"]
    directive, position = await plane.query(("catalog",), lambda rows: catalog.directive_by_id(rows, directive_id))
    return Reply(data=existing(directive, "directive", directive_id), position=position)


async def create_profile(plane: "ControlPlane", call: ApiCall[HarnessSpec, NoQuery]) -> Reply:
    """Create a harness profile."""
    created = await plane.catalog.create_profile(call.body, call.meta, call.key)
    profile_id = created.subject or ""
    spec, at = plane.catalog.profile(profile_id, "id")
    fields = {name: getattr(spec, name) for name in HarnessSpec.__struct_fields__}
    record = HarnessProfile(id=profile_id, created_at=iso(at), **fields)
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_profiles(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Harness profiles, newest first."""
    page, position = await plane.query(
        ("catalog",), lambda rows: catalog.list_harness_profiles(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def get_profile(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One harness profile."""
    profile_id = call.path["harnessProfileId"]
    profile, position = await plane.query(("catalog",), lambda rows: catalog.harness_profile_by_id(rows, profile_id))
    return Reply(data=existing(profile, "harness profile", profile_id), position=position)


async def list_events(plane: "ControlPlane", call: ApiCall[NoBody, EventsQuery]) -> Reply:
    """Part of the feed, oldest first."""
    query = call.query
    matches = feed.FeedFilter(
        types=frozenset(query.types) if query.types else None,
        session_id=query.session_id,
        run_id=query.run_id,
        trace_id=query.trace_id,
        created_after=query.created_after,
        created_before=query.created_before,
        scope=call.who.scope,
    )
    after = 0 if call.cursor is None else feed.resolve(feed.parse_cursor(call.cursor), plane.reader)
    if any(True for _ in matches.conditions()):
        await plane.caught_up(("feed",), call.position)
        with at_least(call.position):
            (data, head), _ = await plane.search(
                ("feed",), lambda rows, log: _page(matches, after, call.limit, log, rows)
            )
        return Reply(data=data, position=head)
    page = feed.page(matches, after, call.limit, plane.reader, None, bytes_max=INLINE_BYTES_MAX)
    if page.scanned < page.head and len(page.rows) < call.limit:  # it is larger
        data, head = await plane.scan(lambda log: _page(matches, after, call.limit, log, None), plane.large_reads)
        return Reply(data=data, position=head)
    return Reply(data=records_of(page, plane.reader), position=page.head)


def _page(
    matches: feed.FeedFilter, after: Position, limit: int, log: "StoreReader", rows: Connection | None
) -> tuple[bytes, Position]:
    """A page of the feed as JSON, and its head."""
    page = feed.page(matches, after, limit, log, rows)
    return encode(records_of(page, log)), page.head


async def stream_events(plane: "ControlPlane", call: ApiCall[NoBody, StreamQuery]) -> Reply:
    """The feed from any cursor, live."""
    query = call.query
    matches = feed.FeedFilter(
        types=frozenset(query.types) if query.types else None,
        session_id=query.session_id,
        run_id=query.run_id,
        scope=call.who.scope,
    )
    return Reply(data=plane.feed.open(matches, query.after, call.last_event_id), position=call.position)


async def get_policy(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """The policy in force, or null."""
    (document, version), position = await plane.query(("policy",), policy.policy_in_force)
    return Reply(data=document, position=position, headers=(etag(version),))


async def put_policy(plane: "ControlPlane", call: ApiCall[PutPolicyBody, NoQuery]) -> Reply:
    """Replace the policy."""
    done = await plane.policies.put(call.body, call.who, call.meta, call.key, expectation(call.if_match))
    put = msgspec.to_builtins(done.answer)
    return Reply(data=put["document"], position=done.position, replayed=done.replayed, headers=(etag(put["version"]),))


async def list_rejections(plane: "ControlPlane", call: ApiCall[NoBody, RejectionsQuery]) -> Reply:
    """Refusals, oldest first."""
    query = call.query
    page, position = await plane.query(
        ("policy",),
        lambda rows: policy.list_rejections(
            rows,
            plane.log.log_id,
            session_id=query.session_id,
            created_after=query.created_after,
            created_before=query.created_before,
            reason=query.reason,
            actor=query.actor,
            provider=query.provider,
            harness_profile_id=query.harness_profile_id,
            newest_first=query.order == "newest",
            offset=query.offset or 0,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position)


async def get_audit_trail(plane: "ControlPlane", call: ApiCall[NoBody, AuditQuery]) -> Reply:
    """Who changed what and why, newest first."""
    query = call.query
    as_sheet = query.format == "csv"

    def read(rows: Connection) -> tuple[Page[audit.AuditEntry], bytes]:
        page = audit.audit_trail(
            rows,
            plane.log.log_id,
            actor=query.actor,
            kind=query.kind,
            created_after=query.created_after,
            created_before=query.created_before,
            cursor=call.cursor,
            limit=call.limit,
            bytes_max=PAGE_BYTES_MAX // 2 if as_sheet else PAGE_BYTES_MAX,  # a sheet doubles each quote
        )
        return page, to_csv(AUDIT_COLUMNS, page.items) if as_sheet else b""

    (page, content), position = await plane.query(("audit",), read)
    if not as_sheet:
        return Reply(data=page, position=position)
    headers = [("content-disposition", 'attachment; filename="audit-trail.csv"')]
    if page.next_cursor is not None:
        headers.append(("athena-next-cursor", page.next_cursor))
    return Reply(data=content, position=position, content_type=CONTENT_TYPE, headers=tuple(headers))


async def get_fleet_summary(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """The fleet at a glance."""
    now = plane.clock.now()
    summary, position = await plane.query(("fleet",), lambda rows: fleet.fleet_summary(rows, now))
    return Reply(data=summary, position=position)


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
    "TURN_LIMIT",
    "STUCK",
)
"""How a run may end for who waits for it."""

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        id="getCapabilities",
        shared=True,
        command="capabilities",
        context="capabilities",
        method="GET",
        path="/capabilities",
        tag="core",
        summary="What this server can do.",
        roles=EVERYBODY,
        answer=Capabilities,
        handle=get_capabilities,
    ),
    Operation(
        id="getCaller",
        shared=True,
        command="whoami",
        context="caller",
        method="GET",
        path="/caller",
        tag="core",
        summary="Who is asking, and which operations they may use.",
        roles=EVERYBODY,
        answer=Caller,
        handle=get_caller,
    ),
    Operation(
        id="getAdminHealth",
        shared=True,
        command="health",
        context="admin.health",
        method="GET",
        path="/admin/health",
        tag="core",
        summary="Whether the server is well, and how far each projection is.",
        roles=EVERYBODY,
        answer=Health,
        handle=get_health,
    ),
    Operation(
        id="acceptClock",
        command="clock accept",
        context="admin.clock",
        method="POST",
        path="/admin/clock/accept",
        tag="core",
        summary="Accept the clock of the server's machine after a jump ahead, instead of after ten minutes.",
        roles=ADMINS,
        answer=AcceptedClock,
        handle=accept_clock,
    ),
    Operation(
        id="getViewDigests",
        command="digests",
        context="admin.digests",
        method="GET",
        path="/admin/digests",
        tag="core",
        summary="The digest of each view at its position. Reads every row; concurrent requests share one scan.",
        roles=EVERYBODY,
        answer=ViewDigests,
        reads=tuple(projection.name for projection in ALL),
        handle=get_digests,
    ),
    Operation(
        id="listWorkers",
        command="workers",
        context="workers.list",
        method="GET",
        path="/workers",
        tag="core",
        summary="The servers and workers on this log: which runs they take, how many they have, when they were alive.",
        roles=EVERYBODY,
        answer=Workers,
        handle=list_workers,
    ),
    Operation(
        id="createRun",
        narrows=frozenset({"sessions", "personas"}),
        command="run",
        context="runs.create",
        method="POST",
        path="/runs",
        tag="runs",
        summary="Start a run; waits for its answer unless `Prefer: respond-async` is sent.",
        roles=EVERYBODY,
        body=RunBody,
        answer=RunResult,
        accepted=runs.Run,
        errors=RUN_ERRORS,
        handle=create_run,
    ),
    Operation(
        id="listRuns",
        narrows=frozenset({"sessions", "runs"}),
        context="runs.list",
        method="GET",
        path="/runs",
        tag="runs",
        summary="Runs, newest first.",
        roles=EVERYBODY,
        query=RunsQuery,
        paging="cursor",
        reads=("runs",),
        answer=Page[runs.Run],
        handle=list_runs,
    ),
    Operation(
        id="getRun",
        context="runs.get",
        method="GET",
        path="/runs/:runId",
        tag="runs",
        summary="One run; with `wait` once it has ended, or after so many seconds.",
        roles=EVERYBODY,
        query=RunQuery,
        reads=("runs",),
        answer=runs.Run,
        errors=("NOT_FOUND",),
        handle=get_run,
    ),
    Operation(
        id="listRunEvidence",
        context="runs.evidence.list",
        method="GET",
        path="/runs/:runId/evidence",
        tag="runs",
        summary="What a run showed, newest first, without contents.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("runs", "evidence"),
        answer=Page[evidence.EvidenceRecord],
        errors=("NOT_FOUND",),
        handle=list_evidence,
    ),
    Operation(
        id="getRunEvidence",
        command="runs evidence-get",
        context="runs.evidence.get",
        method="GET",
        path="/runs/:runId/evidence/:evidenceId",
        tag="runs",
        summary="One thing that a run showed, with its content.",
        roles=EVERYBODY,
        reads=("evidence",),
        answer=evidence.Evidence,
        errors=("NOT_FOUND",),
        handle=get_evidence,
    ),
    Operation(
        id="explainRun",
        context="runs.explain",
        method="GET",
        path="/runs/:runId/explain",
        tag="runs",
        summary="Why a run is where it is: the causes that led here, and the one thing that it waits for now.",
        roles=EVERYBODY,
        reads=("runs",),
        answer=explain.Explanation,
        errors=("NOT_FOUND",),
        handle=explain_run,
    ),
    Operation(
        id="listActiveRuns",
        narrows=frozenset({"sessions", "runs"}),
        context="runs.active",
        method="GET",
        path="/runs/active",
        tag="runs",
        summary="Runs that were admitted and have not ended, newest first.",
        roles=EVERYBODY,
        query=ActiveQuery,
        paging="cursor",
        reads=("runs",),
        answer=Page[runs.ActiveRun],
        handle=list_active_runs,
    ),
    Operation(
        id="listCancellationRequests",
        narrows=frozenset({"sessions", "runs"}),
        context="runs.cancelRequests",
        method="GET",
        path="/runs/cancel-requests",
        tag="runs",
        summary="Cancel requests of runs that have not ended, newest first.",
        roles=EVERYBODY,
        query=ActiveQuery,
        paging="cursor",
        reads=("runs",),
        answer=Page[runs.CancelRequest],
        handle=list_cancel_requests,
    ),
    Operation(
        id="cancelRunByRunId",
        command="cancel",
        context="runs.cancel",
        method="POST",
        path="/run-control/by-run/:runId/cancel",
        tag="runs",
        summary="Ask for the cancel of a run; the answer says whether there was anything to cancel.",
        roles=WRITERS,
        body=CancelBody,
        answer=Cancelled,
        handle=cancel_run,
    ),
    Operation(
        id="cancelRun",
        command="cancel",
        context="runs.cancel",
        method="POST",
        path="/runs/:sessionId/cancel",
        tag="runs",
        summary="Ask for the cancel of the admitted run of a session.",
        roles=WRITERS,
        body=CancelBody,
        answer=Cancelled,
        successor="/run-control/by-run/:runId/cancel",
        handle=cancel_session,
    ),
    Operation(
        id="resumeRun",
        command="resume",
        context="runs.resume",
        method="POST",
        path="/runs/:runId/resume",
        tag="runs",
        summary="Let a paused run go on, with another budget or with none; waits for its end unless asked not to.",
        roles=WRITERS,
        body=ResumeBody,
        answer=runs.Run,
        accepted=runs.Run,
        errors=("NOT_FOUND", "RUN_NOT_PAUSED", "POLICY_CONCURRENCY_LIMIT_EXCEEDED", "POLICY_BUDGET_EXCEEDED"),
        handle=resume_run,
    ),
    Operation(
        id="listSessions",
        narrows=frozenset({"sessions"}),
        context="sessions.list",
        method="GET",
        path="/sessions",
        tag="sessions",
        summary="Sessions, most recently used first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("sessions",),
        answer=Page[sessions.Session],
        handle=list_sessions,
    ),
    Operation(
        id="getSession",
        context="sessions.get",
        method="GET",
        path="/sessions/:sessionId",
        tag="sessions",
        summary="One session.",
        roles=EVERYBODY,
        reads=("sessions",),
        answer=sessions.Session,
        errors=("NOT_FOUND",),
        handle=get_session,
    ),
    Operation(
        id="getSessionTranscript",
        context="sessions.transcript",
        method="GET",
        path="/sessions/:sessionId/transcript",
        tag="sessions",
        summary="The newest entries of a session, or those after one, in the order of time.",
        roles=EVERYBODY,
        paging="tail",
        reads=("sessions",),
        answer=Page[sessions.TranscriptEntry],
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        handle=get_transcript,
    ),
    Operation(
        id="streamSessionTranscript",
        context="sessions.transcript.stream",
        method="GET",
        path="/sessions/:sessionId/transcript/stream",
        tag="sessions",
        summary="A transcript from any entry, live, as server-sent events, with the text that a model is writing.",
        roles=EVERYBODY,
        query=TranscriptQuery,
        reads=("sessions",),
        answer=sessions.TranscriptEntry,
        passing=TranscriptDelta,
        errors=("CURSOR_INVALID", "CURSOR_FOREIGN", "CURSOR_AHEAD"),
        stream=True,
        handle=stream_transcript,
    ),
    Operation(
        id="listDirectives",
        narrows=frozenset({"personas"}),
        context="directives.list",
        method="GET",
        path="/directives",
        tag="catalog",
        summary="Directives, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("catalog",),
        answer=Page[catalog.Directive],
        handle=list_directives,
    ),
    Operation(
        id="createDirective",
        narrows=frozenset({"personas"}),
        context="directives.create",
        method="POST",
        path="/directives",
        tag="catalog",
        summary="Create a directive.",
        roles=WRITERS,
        body=DirectiveSpec,
        answer=catalog.Directive,
        handle=create_directive,
    ),
    Operation(
        id="getDirective",
        context="directives.get",
        method="GET",
        path="/directives/:directiveId",
        tag="catalog",
        summary="One directive.",
        roles=EVERYBODY,
        reads=("catalog",),
        answer=catalog.Directive,
        errors=("NOT_FOUND",),
        handle=get_directive,
    ),
    Operation(
        id="listHarnessProfiles",
        shared=True,
        context="harnessProfiles.list",
        method="GET",
        path="/harness-profiles",
        tag="catalog",
        summary="Harness profiles, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("catalog",),
        answer=Page[HarnessProfile],
        handle=list_profiles,
    ),
    Operation(
        id="createHarnessProfile",
        context="harnessProfiles.create",
        method="POST",
        path="/harness-profiles",
        tag="catalog",
        summary="Create a harness profile.",
        roles=WRITERS,
        body=HarnessSpec,
        answer=HarnessProfile,
        handle=create_profile,
    ),
    Operation(
        id="getHarnessProfile",
        shared=True,
        context="harnessProfiles.get",
        method="GET",
        path="/harness-profiles/:harnessProfileId",
        tag="catalog",
        summary="One harness profile.",
        roles=EVERYBODY,
        reads=("catalog",),
        answer=HarnessProfile,
        errors=("NOT_FOUND",),
        handle=get_profile,
    ),
    Operation(
        id="listRunTemplates",
        context="runTemplates.list",
        method="GET",
        path="/run-templates",
        tag="templates",
        summary="Run templates in their newest version, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("templates",),
        answer=Page[templates.RunTemplate],
        handle=list_templates,
    ),
    Operation(
        id="createRunTemplate",
        context="runTemplates.create",
        method="POST",
        path="/run-templates",
        tag="templates",
        summary="Create a run template: a directive with placeholders, and the profile that runs it.",
        roles=WRITERS,
        body=TemplateSpec,
        answer=templates.RunTemplate,
        handle=create_template,
    ),
    Operation(
        id="getRunTemplate",
        context="runTemplates.get",
        method="GET",
        path="/run-templates/:templateId",
        tag="templates",
        summary="One run template, in its newest version or in another.",
        roles=EVERYBODY,
        query=TemplateQuery,
        reads=("templates",),
        answer=templates.RunTemplate,
        errors=("NOT_FOUND",),
        versioned=True,
        handle=get_template,
    ),
    Operation(
        id="updateRunTemplate",
        context="runTemplates.update",
        method="PUT",
        path="/run-templates/:templateId",
        tag="templates",
        summary="Make another version of a run template; runs of earlier versions stay what they were.",
        roles=WRITERS,
        body=TemplateSpec,
        answer=templates.RunTemplate,
        errors=("NOT_FOUND",),
        versioned=True,
        handle=update_template,
    ),
    Operation(
        id="runTemplate",
        command="run",
        context="templates.run",
        method="POST",
        path="/templates/:templateId/run",
        tag="templates",
        summary="Start a run of a template's newest version; waits for its end unless asked not to.",
        roles=EVERYBODY,
        body=RunTemplateBody,
        answer=RunResult,
        accepted=runs.Run,
        errors=("NOT_FOUND", *RUN_ERRORS),
        handle=run_template,
    ),
    Operation(
        id="enqueueWork",
        narrows=frozenset({"sessions"}),
        context="work.enqueue",
        method="POST",
        path="/work/enqueue",
        tag="work",
        summary="Put an item at the end of a session's queue, unless one with the same payload and mode waits there.",
        roles=WRITERS,
        body=EnqueueBody,
        answer=work.WorkQueueState,
        errors=("CONTEXT_OVERFLOW", "WORK_QUEUE_FULL"),
        handle=queues.enqueue_work,
    ),
    Operation(
        id="getSessionWorkQueue",
        context="work.status",
        method="GET",
        path="/sessions/:sessionId/work-queue",
        tag="work",
        summary="What waits in a session's queue, oldest first.",
        command="work status",
        roles=EVERYBODY,
        paging="full",
        reads=("work",),
        answer=work.WorkQueueState,
        handle=queues.get_work_queue,
    ),
    Operation(
        id="drainWork",
        narrows=frozenset({"sessions"}),
        context="work.drain",
        method="POST",
        path="/work/:sessionId/drain",
        tag="work",
        summary="Work off a session's queue; waits for the end unless `Prefer: respond-async` is sent.",
        command="work drain",
        roles=WRITERS,
        body=DrainBody,
        answer=DrainResult,
        accepted=work.WorkDrain,
        errors=RUN_ERRORS,
        handle=queues.drain_work,
    ),
    Operation(
        id="getWorkDrain",
        context="work.drains.get",
        method="GET",
        path="/work/drains/:drainId",
        tag="work",
        summary="One drain.",
        command="work drain-get",
        roles=EVERYBODY,
        reads=("work",),
        answer=work.WorkDrain,
        errors=("NOT_FOUND",),
        handle=queues.get_drain,
    ),
    Operation(
        id="sendA2aMessage",
        context="a2a.messages.send",
        method="POST",
        path="/a2a/messages",
        tag="a2a",
        summary="Hand a message to a persona; its session's queue is worked off by itself.",
        command="a2a send",
        roles=WRITERS,
        body=MessageBody,
        answer=messages.Message,
        errors=("CONTEXT_OVERFLOW", "WORK_QUEUE_FULL"),
        handle=queues.send_message,
    ),
    Operation(
        id="listA2aMessages",
        context="a2a.messages.list",
        method="GET",
        path="/a2a/messages",
        tag="a2a",
        summary="Messages between personas, newest first.",
        command="a2a list",
        roles=EVERYBODY,
        query=queues.MessagesQuery,
        paging="cursor",
        reads=("messages",),
        answer=Page[messages.Message],
        handle=queues.list_messages,
    ),
    Operation(
        id="getA2aMessage",
        context="a2a.messages.get",
        method="GET",
        path="/a2a/messages/:messageId",
        tag="a2a",
        summary="One message.",
        command="a2a get",
        roles=EVERYBODY,
        reads=("messages",),
        answer=messages.Message,
        errors=("NOT_FOUND",),
        handle=queues.get_message,
    ),
    Operation(
        id="listA2aDlq",
        context="a2a.dlq",
        method="GET",
        path="/a2a/dlq",
        tag="a2a",
        summary="Dead letters: work and messages that could not be done, oldest first.",
        command="a2a dlq",
        roles=EVERYBODY,
        query=queues.LettersQuery,
        paging="cursor",
        reads=("dead_letters",),
        answer=Page[dead_letters.DeadLetter],
        handle=queues.list_letters,
    ),
    Operation(
        id="getA2aDlqItem",
        context="a2a.dlq",
        method="GET",
        path="/a2a/dlq/:id",
        tag="a2a",
        summary="One dead letter.",
        command="a2a dlq-get",
        roles=EVERYBODY,
        reads=("dead_letters",),
        answer=dead_letters.DeadLetter,
        errors=("NOT_FOUND",),
        handle=queues.get_letter,
    ),
    Operation(
        id="requeueA2aDlqItem",
        context="a2a.dlq",
        method="POST",
        path="/a2a/dlq/:id/requeue",
        tag="a2a",
        summary="Put the work of a dead letter back, once.",
        command="a2a requeue",
        roles=WRITERS,
        answer=queues.DecidedLetter,
        errors=("NOT_FOUND", "CONFLICT", "WORK_QUEUE_FULL"),
        handle=queues.requeue_letter,
    ),
    Operation(
        id="discardA2aDlqItem",
        context="a2a.dlq",
        method="POST",
        path="/a2a/dlq/:id/discard",
        tag="a2a",
        summary="Decide that the work of a dead letter will not be done.",
        command="a2a discard",
        roles=WRITERS,
        body=NoteBody,
        answer=queues.DecidedLetter,
        errors=("NOT_FOUND", "CONFLICT"),
        handle=queues.discard_letter,
    ),
    Operation(
        id="restoreA2aDlqItem",
        context="a2a.dlq",
        method="POST",
        path="/a2a/dlq/:id/restore",
        tag="a2a",
        summary="Take a discard back.",
        command="a2a restore",
        roles=WRITERS,
        body=NoteBody,
        answer=queues.DecidedLetter,
        errors=("NOT_FOUND", "CONFLICT"),
        handle=queues.restore_letter,
    ),
    Operation(
        id="searchMemory",
        context="memory.search",
        method="GET",
        path="/memory/search",
        tag="memory",
        summary="Passages of notes and entries that hold every word of the query, best first.",
        roles=EVERYBODY,
        query=SearchQuery,
        reads=("memory", "sessions"),
        answer=list[Passage],
        handle=search_memory,
    ),
    Operation(
        id="getMemory",
        context="memory.get",
        method="POST",
        path="/memory/get",
        tag="memory",
        summary="Lines of a note: `MEMORY.md` or `memory/**.md` of the workspace.",
        roles=EVERYBODY,
        body=ReadMemoryBody,
        answer=NoteText,
        handle=get_memory,
    ),
    Operation(
        id="listMemory",
        context="memory.list",
        method="GET",
        path="/memory",
        tag="memory",
        summary="Entries that were noted down and not forgotten, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("memory",),
        answer=Page[memory.MemoryEntry],
        handle=list_memory,
    ),
    Operation(
        id="recordMemory",
        command="memory add",
        context="memory.record",
        method="POST",
        path="/memory",
        tag="memory",
        summary="Note something down.",
        roles=WRITERS,
        body=MemoryBody,
        answer=memory.MemoryEntry,
        errors=("NOT_FOUND",),
        handle=record_memory,
    ),
    Operation(
        id="getMemoryEntry",
        command="memory show",
        context="memory.entry.get",
        method="GET",
        path="/memory/:entryId",
        tag="memory",
        summary="One entry.",
        roles=EVERYBODY,
        reads=("memory",),
        answer=memory.MemoryEntry,
        errors=("NOT_FOUND",),
        handle=get_memory_entry,
    ),
    Operation(
        id="forgetMemory",
        command="memory forget",
        context="memory.forget",
        method="DELETE",
        path="/memory/:entryId",
        tag="memory",
        summary="Forget an entry; its text is erased everywhere, the log included. `left` names where it may remain.",
        roles=WRITERS,
        answer=Forgotten,
        errors=("NOT_FOUND",),
        handle=forget_memory,
    ),
    Operation(
        id="listAnchors",
        context="anchors.list",
        method="GET",
        path="/anchors",
        tag="governance",
        summary="Anchors of other logs that are kept here, oldest first.",
        roles=EVERYBODY,
        query=AnchorsQuery,
        paging="cursor",
        reads=("anchors",),
        answer=Page[anchors.KeptAnchor],
        handle=list_anchors,
    ),
    Operation(
        id="keepAnchor",
        command="anchors keep",
        context="anchors.keep",
        method="POST",
        path="/anchors",
        tag="governance",
        summary="Keep an anchor of another log, so that its history cannot be rewritten unnoticed.",
        roles=WRITERS,
        body=AnchorBody,
        answer=AnchorReceipt,
        errors=("ANCHOR_CONFLICT", "ANCHOR_LIMIT"),
        handle=keep_anchor,
    ),
    Operation(
        id="redriveA2aDlq",
        context="a2a.dlq.redrive",
        method="POST",
        path="/a2a/dlq/redrive",
        tag="a2a",
        summary="Put the pending dead letters of a filter back, so many a second; with `dryRun` only count them.",
        command="a2a redrive",
        roles=WRITERS,
        body=RedriveBody,
        answer=redrives.Redrive,
        errors=("CONFLICT",),
        handle=queues.redrive_letters,
    ),
    Operation(
        id="getA2aDlqRedrive",
        context="a2a.dlq.redrive",
        method="GET",
        path="/a2a/dlq/redrive/:id",
        tag="a2a",
        summary="How far a redrive is, and what became of each dead letter.",
        command="a2a redrive-get",
        roles=EVERYBODY,
        paging="cursor",
        reads=("redrives",),
        answer=redrives.Redrive,
        errors=("NOT_FOUND",),
        handle=queues.get_redrive,
    ),
    Operation(
        id="cancelA2aDlqRedrive",
        context="a2a.dlq.redrive",
        method="DELETE",
        path="/a2a/dlq/redrive/:id",
        tag="a2a",
        summary="Stop a redrive; what it put back stays so.",
        command="a2a redrive-cancel",
        roles=WRITERS,
        answer=redrives.Redrive,
        errors=("NOT_FOUND",),
        handle=queues.cancel_redrive,
    ),
    Operation(
        id="listWorkflows",
        context="workflows.list",
        method="GET",
        path="/workflows",
        tag="workflows",
        summary="Workflows, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("workflows",),
        answer=Page[workflows.Workflow],
        handle=flows.list_workflows,
    ),
    Operation(
        id="createWorkflow",
        context="workflows.create",
        method="POST",
        path="/workflows",
        tag="workflows",
        summary="Create a workflow: steps, and what each waits for.",
        roles=WRITERS,
        body=flows.WorkflowBody,
        answer=workflows.Workflow,
        handle=flows.create_workflow,
    ),
    Operation(
        id="getWorkflow",
        context="workflows.get",
        method="GET",
        path="/workflows/:workflowId",
        tag="workflows",
        summary="One workflow.",
        roles=EVERYBODY,
        reads=("workflows",),
        answer=workflows.Workflow,
        errors=("NOT_FOUND",),
        handle=flows.get_workflow,
    ),
    Operation(
        id="listWorkflowRuns",
        context="workflows.runs",
        method="GET",
        path="/workflows/:workflowId/runs",
        tag="workflows",
        summary="The runs of a workflow, newest first.",
        command="workflow runs",
        roles=EVERYBODY,
        paging="cursor",
        reads=("workflows",),
        answer=Page[workflows.RunSummary],
        errors=("NOT_FOUND",),
        handle=flows.list_workflow_runs,
    ),
    Operation(
        id="runWorkflow",
        context="workflows.run",
        method="POST",
        path="/workflows/:workflowId/run",
        tag="workflows",
        summary="Start a run of a workflow; waits until it has ended, or waits for an approval.",
        command="workflow run",
        roles=WRITERS,
        body=flows.StartBody,
        answer=workflows.WorkflowRun,
        accepted=workflows.WorkflowRun,
        errors=("NOT_FOUND",),
        handle=flows.start_workflow,
    ),
    Operation(
        id="getWorkflowRun",
        context="workflows.status",
        method="GET",
        path="/workflows/run/:id",
        tag="workflows",
        summary="A workflow and how far its newest run is, or this run.",
        command="workflow status",
        roles=EVERYBODY,
        reads=("workflows", "runs"),
        answer=workflows.Observed,
        errors=("NOT_FOUND",),
        handle=flows.get_workflow_run,
    ),
    Operation(
        id="resumeWorkflow",
        context="workflows.resume",
        method="POST",
        path="/workflows/run/:id/resume",
        tag="workflows",
        summary="Go on from what failed, in this run or the newest that is not ok; else start one. Waits for the end.",
        command="workflow resume",
        roles=WRITERS,
        body=flows.ResumeWorkflowBody,
        answer=workflows.WorkflowRun | None,
        accepted=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        handle=flows.resume_workflow,
    ),
    Operation(
        id="cancelWorkflowRun",
        context="workflows.cancel",
        method="POST",
        path="/workflows/run/:id/cancel",
        tag="workflows",
        summary="Have a workflow run stop, with the runs of its steps.",
        command="workflow cancel",
        roles=WRITERS,
        body=flows.StopBody,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND",),
        handle=flows.cancel_workflow_run,
    ),
    Operation(
        id="listWorkflowRunItems",
        context="workflows.items",
        command="workflow items",
        method="GET",
        path="/workflows/run/:id/steps/:step/items",
        tag="workflows",
        summary="List the items of a step that runs once for each item of a list, in their order.",
        roles=EVERYBODY,
        query=flows.ItemsQuery,
        paging="cursor",
        reads=("workflows",),
        answer=Page[workflows.ItemStatus],
        errors=("NOT_FOUND",),
        handle=flows.list_items,
    ),
    Operation(
        id="approveWorkflowStep",
        context="workflows.approve",
        method="POST",
        path="/workflows/run/:id/steps/:step/approve",
        tag="workflows",
        summary="Approve just what has this hash.",
        command="workflow approve",
        roles=WRITERS,
        body=flows.JudgeBody,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        handle=flows.approve_step,
    ),
    Operation(
        id="rejectWorkflowStep",
        context="workflows.reject",
        method="POST",
        path="/workflows/run/:id/steps/:step/reject",
        tag="workflows",
        summary="Reject just what has this hash: the step fails.",
        command="workflow reject",
        roles=WRITERS,
        body=flows.JudgeBody,
        answer=workflows.WorkflowRun,
        errors=("NOT_FOUND", "CONFLICT"),
        handle=flows.reject_step,
    ),
    Operation(
        id="runPersona",
        command="persona run",
        context="personas.run",
        method="POST",
        path="/personas/run",
        tag="personas",
        summary="Have a persona review what changed between two commits; a failed model call is a failed result.",
        roles=WRITERS,
        body=PersonaRunBody,
        answer=PersonaRunAnswer,
        accepted=reviews.PersonaRunDetails,
        errors=(
            *("PROVIDER_NOT_FOUND", "CONTEXT_OVERFLOW", "NOT_FOUND", "RATE_LIMITED"),
            *("POLICY_CONCURRENCY_LIMIT_EXCEEDED", "POLICY_BUDGET_EXCEEDED"),
        ),
        handle=run_persona,
    ),
    Operation(
        id="listPersonaRuns",
        context="personas.runs.list",
        command="persona list",
        method="GET",
        path="/personas/runs",
        tag="personas",
        summary="Reviews of personas, newest first.",
        roles=EVERYBODY,
        query=PersonaRunsQuery,
        paging="cursor",
        reads=("personas",),
        answer=Page[reviews.PersonaRun],
        handle=list_persona_runs,
    ),
    Operation(
        id="getPersonaRun",
        context="personas.runs.get",
        command="persona show",
        method="GET",
        path="/personas/runs/:runId",
        tag="personas",
        summary="One review, with its result.",
        roles=EVERYBODY,
        reads=("personas",),
        answer=reviews.PersonaRunDetails,
        errors=("NOT_FOUND",),
        handle=get_persona_run,
    ),
    Operation(
        id="getPolicy",
        shared=True,
        context="policy.get",
        method="GET",
        path="/policy",
        tag="policy",
        summary="The policy in force, or null.",
        roles=EVERYBODY,
        reads=("policy",),
        answer=PolicyDocument | None,
        versioned=True,
        handle=get_policy,
    ),
    Operation(
        id="putPolicy",
        context="policy.put",
        method="PUT",
        path="/policy",
        tag="policy",
        summary="Replace the policy as a whole: what is left out is no longer limited.",
        roles=ADMINS,
        body=PutPolicyBody,
        answer=PolicyDocument,
        versioned=True,
        handle=put_policy,
    ),
    Operation(
        id="simulatePolicy",
        context="policy.simulate",
        method="POST",
        path="/policy/simulate",
        tag="policy",
        summary="What the recorded requests for runs would have met under another policy; changes nothing.",
        roles=WRITERS,
        body=SimulateBody,
        answer=simulate.Simulation,
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        handle=simulate_policy,
    ),
    Operation(
        id="listPolicyConcurrencyRejections",
        context="policy.rejections",
        method="GET",
        path="/policy/rejections",
        tag="policy",
        summary="Runs that the policy refused, oldest first unless `order=newest` is asked for.",
        roles=EVERYBODY,
        query=RejectionsQuery,
        paging="cursor",
        reads=("policy",),
        answer=Page[policy.Rejection],
        handle=list_rejections,
    ),
    Operation(
        id="listSchedules",
        context="schedules.list",
        method="GET",
        path="/schedules",
        tag="schedules",
        command="schedule list",
        summary="Schedules, in the order in which they were created.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("schedules",),
        answer=Page[schedules.ScheduledTask],
        handle=scheduling.list_schedules,
    ),
    Operation(
        id="createSchedule",
        context="schedules.create",
        method="POST",
        path="/schedules",
        tag="schedules",
        command="schedule add",
        summary="Create a schedule, or replace the one with this id; putting the same again changes nothing.",
        roles=WRITERS,
        body=ScheduleBody,
        answer=schedules.ScheduledTask,
        handle=scheduling.create_schedule,
    ),
    Operation(
        id="tickSchedules",
        context="schedules.tick",
        method="POST",
        path="/schedules/tick",
        tag="schedules",
        command="schedule tick",
        summary="Run what is due, as the server does by itself, and wait for the runs that started.",
        roles=WRITERS,
        body=scheduling.TickBody,
        answer=scheduling.TickResult,
        handle=scheduling.tick_schedules,
    ),
    Operation(
        id="getSchedule",
        context="schedules.get",
        method="GET",
        path="/schedules/:scheduleId",
        tag="schedules",
        command="schedule get",
        summary="One schedule.",
        roles=EVERYBODY,
        reads=("schedules",),
        answer=schedules.ScheduledTask,
        errors=("NOT_FOUND",),
        handle=scheduling.get_schedule,
    ),
    Operation(
        id="updateSchedule",
        context="schedules.update",
        method="PUT",
        path="/schedules/:scheduleId",
        tag="schedules",
        command="schedule put",
        summary="Replace a schedule as a whole, or create it; putting the same again changes nothing.",
        roles=WRITERS,
        body=ScheduleSpec,
        answer=schedules.ScheduledTask,
        handle=scheduling.update_schedule,
    ),
    Operation(
        id="deleteSchedule",
        context="schedules.delete",
        method="DELETE",
        path="/schedules/:scheduleId",
        tag="schedules",
        command="schedule remove",
        summary="Remove a schedule; its runs in flight go on, and its log stays.",
        roles=WRITERS,
        answer=scheduling.RemovedSchedule,
        handle=scheduling.remove_schedule,
    ),
    Operation(
        id="runSchedule",
        context="schedules.run",
        method="POST",
        path="/schedules/:scheduleId/run",
        tag="schedules",
        command="schedule run",
        summary="Run a schedule by hand, which moves no slot; waits for the end unless asked not to.",
        roles=WRITERS,
        body=RunScheduleBody,
        answer=scheduling.ScheduleRunResult,
        accepted=scheduling.ScheduleRunResult,
        errors=("NOT_FOUND", "PROVIDER_NOT_FOUND"),
        handle=scheduling.run_schedule,
    ),
    Operation(
        id="enableSchedule",
        context="schedules.enable",
        method="POST",
        path="/schedules/:scheduleId/enable",
        tag="schedules",
        command="schedule enable",
        summary="Let slots come due, from now on.",
        roles=WRITERS,
        answer=scheduling.UpdatedSchedule,
        handle=scheduling.enable_schedule,
    ),
    Operation(
        id="disableSchedule",
        context="schedules.disable",
        method="POST",
        path="/schedules/:scheduleId/disable",
        tag="schedules",
        command="schedule disable",
        summary="Let no more slots come due.",
        roles=WRITERS,
        answer=scheduling.UpdatedSchedule,
        handle=scheduling.disable_schedule,
    ),
    Operation(
        id="pauseSchedule",
        context="schedules.pause",
        method="POST",
        path="/schedules/:scheduleId/pause",
        tag="schedules",
        command="schedule pause",
        summary="Let slots come due without running, and say why.",
        roles=WRITERS,
        body=scheduling.ScheduleNote,
        answer=scheduling.UpdatedSchedule,
        errors=("NOT_FOUND",),
        handle=scheduling.pause_schedule,
    ),
    Operation(
        id="resumeSchedule",
        context="schedules.resume",
        method="POST",
        path="/schedules/:scheduleId/resume",
        tag="schedules",
        command="schedule resume",
        summary="Let slots run again, those from now on.",
        roles=WRITERS,
        body=scheduling.ScheduleNote,
        answer=scheduling.UpdatedSchedule,
        errors=("NOT_FOUND",),
        handle=scheduling.resume_schedule,
    ),
    Operation(
        id="getScheduleLogs",
        context="schedules.logs",
        method="GET",
        path="/schedules/:scheduleId/logs",
        tag="schedules",
        command="schedule logs",
        summary="What became of every slot that came due, newest first: the newest, or those that follow an entry.",
        roles=EVERYBODY,
        paging="tail",
        reads=("schedules",),
        answer=list[schedules.ScheduleRunLog],
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        handle=scheduling.list_schedule_logs,
    ),
    Operation(
        id="previewSchedule",
        context="schedules.preview",
        method="GET",
        path="/schedules/:scheduleId/preview",
        tag="schedules",
        command="schedule preview",
        summary="When a schedule is due next, within ten years, also while it is disabled.",
        roles=EVERYBODY,
        query=scheduling.PreviewQuery,
        reads=("schedules",),
        answer=Page[schedules.FireTime],
        errors=("NOT_FOUND",),
        handle=scheduling.preview_schedule,
    ),
    Operation(
        id="getAuditTrail",
        command="audit",
        context="governance.audit.list",
        method="GET",
        path="/governance/audit-trail",
        tag="governance",
        summary="Who changed, cancelled or was denied what, and why, newest first; as JSON or CSV.",
        roles=ADMINS,
        query=AuditQuery,
        paging="cursor",
        reads=("audit",),
        answer=Page[audit.AuditEntry],
        sheet=True,
        handle=get_audit_trail,
    ),
    Operation(
        id="getFleetSummary",
        command="fleet",
        context="fleet.summary",
        method="GET",
        path="/fleet/summary",
        tag="fleet",
        summary="How many runs there are and were, how long they take, what waits, and what this month costs.",
        roles=EVERYBODY,
        reads=("fleet",),
        answer=fleet.FleetSummary,
        handle=get_fleet_summary,
    ),
    Operation(
        id="listEvents",
        narrows=frozenset({"sessions", "runs"}),
        context="events.list",
        method="GET",
        path="/events",
        tag="events",
        summary="Part of the feed, oldest first, from any cursor.",
        roles=EVERYBODY,
        query=EventsQuery,
        paging="cursor",
        answer=EventsPage,
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        handle=list_events,
    ),
    Operation(
        id="streamEvents",
        narrows=frozenset({"sessions", "runs"}),
        command="events tail",
        context="events.stream",
        method="GET",
        path="/events/stream",
        tag="events",
        summary="The feed from any cursor, live, as server-sent events.",
        roles=EVERYBODY,
        query=StreamQuery,
        answer=EventRecord,
        errors=("CURSOR_INVALID", "CURSOR_FOREIGN", "CURSOR_AHEAD"),
        stream=True,
        handle=stream_events,
    ),
)

ROLES: Mapping[str, frozenset[Role]] = {operation.id: operation.roles for operation in OPERATIONS}
"""Who may do what, for ``services.access``."""
