"""Operations on the server: capabilities, the caller, health, view checksums and workers."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec

from athena_api.endpoint.operation import ADMINS, ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core import __version__
from athena_core.clock import iso, iso_or_none
from athena_core.domain import EVENTS
from athena_core.enums import AuthzMode
from athena_core.errors import NO_CONNECTIONS, ConfigError, NotCaughtUp, StoreUnreachable
from athena_core.event import Position, Value, says
from athena_core.log.writer import REFUSALS
from athena_core.protocols import Connection
from athena_core.services.clock_jumps import AcceptedClock
from athena_core.services.execution.liveness import ProcessKind
from athena_core.system.problems import Problem
from athena_core.system.sandbox import SandboxProbe
from athena_core.values import (
    DIFF_EVENTS_MAX,
    FEED_SCAN_EVENTS_MAX,
    ID_PART_CHARS_MIN,
    PAGE_BYTES_MAX,
    PAGE_ITEMS_MAX,
    Role,
    Scope,
)
from projections import ALL, ids
from projections.names import SCOPED_KINDS, NamedKind, names_with

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


READY_LAG_MAX = 10_000
WRITES_FAIL = "writes fail"
EVENT_TYPES = tuple(sorted({event.TYPE for event in EVENTS}))


class AuthCapabilities(Value):
    """Authentication and authorization of the server."""

    enabled: Annotated[bool, says("True if callers need an identity.")]
    mode: Annotated[AuthzMode, says("How strictly roles are enforced.")]
    identity_header: Annotated[str, says("Header with the identity of the caller.")]


class LimitCapabilities(Value):
    """The limits that apply to requests, runs and streams."""

    body_bytes_max: Annotated[int, says("Largest request body, in bytes.")]
    json_depth_max: Annotated[int, says("Deepest nesting of JSON in a body.")]
    page_items_max: Annotated[int, says("Most items of a page.")]
    page_bytes_max: Annotated[int, says("Largest items of a page, in bytes.")]
    feed_scan_events_max: Annotated[int, says("Most events that one page of the feed reads.")]
    diff_events_max: Annotated[int, says("Most events between the two moments of a diff.")]
    run_timeout_ms: Annotated[int, says("Default timeout of a run, in milliseconds.")]
    context_chars_max: Annotated[int, says("Largest context, in characters.")]
    idempotency_hours: Annotated[int, says("Hours that a key is kept.")]
    idempotency_key_chars_max: Annotated[int, says("Longest `Idempotency-Key`, in characters.")]
    reason_chars_max: Annotated[int, says("Longest reason, note or comment, in characters.")]
    header_bytes_max: Annotated[int, says("Largest header fields, in bytes.")]
    headers_max: Annotated[int, says("Most header fields.")]
    url_bytes_max: Annotated[int, says("Longest path and query, in bytes.")]
    header_timeout_ms: Annotated[int, says("Longest time to receive a head, in milliseconds.")]
    body_timeout_ms: Annotated[int, says("Longest time to receive a body, in milliseconds.")]
    bodies_in_flight_bytes_max: Annotated[int, says("Most bytes of all bodies being received.")]
    answers_in_flight_bytes_max: Annotated[int, says("Most bytes of all large answers being sent.")]
    send_timeout_ms: Annotated[int, says("Milliseconds until a client that stops reading is cut off.")]
    streams_max: Annotated[int, says("Most open streams.")]
    streams_per_identity_max: Annotated[int, says("Most open streams of an identity.")]
    refusals_per_second: Annotated[int, says("Refusals of an identity and operation, per second.")]
    refusals_per_day: Annotated[int, says("Refusals of an identity that are recorded one by one, per day.")]
    refusals_per_day_in_all: Annotated[int, says("Refusals of all that are recorded one by one, per day.")]
    requests_per_second: Annotated[
        int | None, says("Requests of an identity, per second; absent without authentication.")
    ] = None


class SandboxCapabilities(Value):
    """The sandbox for commands of this server's runs: if it works, and else the reason and the remedy."""

    available: Annotated[bool, says("True if it works.")]
    reason: Annotated[str | None, says("Why none works; absent if one does.")] = None
    remedy: Annotated[str | None, says("What to do about it; absent if one works.")] = None


class Capabilities(Value):
    """Features, providers, event types and limits of the server.

    ``eventTypes`` lists every event type that the server records. A browser needs the names, because ``EventSource``
    delivers an event only to listeners of its type.
    """

    execution_backend: Annotated[Literal["local"], says("Where runs execute.")]
    state_store: Annotated[Literal["sqlite", "postgres"], says("Database of the log.")]
    supports_pods: Annotated[bool, says("True if runs execute in pods.")]
    supports_cpu_mem_metrics: bool
    supports_sandbox: Annotated[
        bool, says("True if this server executes runs, and a sandbox works for their commands.")
    ]
    supports_a2a_bus: Annotated[bool, says("True if personas can send messages.")] = msgspec.field(
        name="supportsA2ABus"
    )
    version: Annotated[str, says("Release of the server.")]
    log_id: str
    durability: Annotated[Literal["fsync"], says("When a write is acknowledged: after `fsync`.")]
    scheduler: Annotated[Literal["on", "off"], says("Whether this server starts due schedules.")]
    auth: Annotated[AuthCapabilities, says("Authentication and authorization.")]
    providers: Annotated[tuple[str, ...], says("Names of the providers that need no key, or have one.")]
    event_types: Annotated[tuple[str, ...], says("All event types that this server records.")]
    limits: Annotated[LimitCapabilities, says("Limits of this server.")]
    demo: Annotated[bool | None, says("True on the server of `athena demo`; absent otherwise.")] = None
    credentials: Annotated[
        tuple[str, ...] | None, says("Names in the credentials file, for Operators and Admins; absent without a file.")
    ] = None
    agents: Annotated[tuple[str, ...] | None, says("Outside agents that are registered; absent without a file.")] = None
    sandbox: Annotated[
        SandboxCapabilities | None,
        says("Whether a sandbox works, for Operators and Admins; absent if the server executes no runs."),
    ] = None


class CallerToken(Value):
    """The token of the caller: its id and expiry, if it is stored, and whether it is a session of the console."""

    session: Annotated[bool, says("True for a session of the console.")]
    token_id: Annotated[str | None, says("Its id; absent for `ATHENA_AUTH_API_TOKEN`.")] = None
    expires_at: Annotated[str | None, says("When it expires; absent for `ATHENA_AUTH_API_TOKEN`.")] = None


class Caller(Value):
    """The identity of the caller, its role and the operations that the role allows. ``scope`` narrows them further.

    ``groups`` are those that its proxy named and that have a role.
    """

    identity: Annotated[str, says("Name of the caller.")]
    role: Annotated[Role, says("Role of the caller.")]
    operations: Annotated[tuple[str, ...], says("Ids of the operations that the role allows.")]
    scope: Annotated[
        dict[str, tuple[str, ...]] | None, says("Names that the caller may see, by kind; absent: all.")
    ] = None
    token: Annotated[CallerToken | None, says("The token that the caller sent; absent without one.")] = None
    groups: Annotated[
        tuple[str, ...] | None,
        says("Groups that its proxy named and that have a role, highest role first; absent without one."),
    ] = None


class ProjectionHealth(Value):
    """State of one projection: its position, its lag behind the log, its version, and the error that stopped it."""

    position: Annotated[int, says("Last position that it has applied.")]
    lag: int
    version: Annotated[int, says("Version of its tables.")]
    error: Annotated[str | None, says("Why it stopped; absent if it runs.")] = None


class BackgroundProblem(Value):
    """A background loop that is failing: since when, its last error, and the number of failures since then."""

    loop: Annotated[str, says("Name of the background loop.")]
    since: Annotated[str, says("Since when it fails.")]
    message: str
    count: Annotated[int, says("Number of failures.")]


class Health(Value):
    """Health of the server and state of each projection.

    ``status`` is `degraded` if ``reason``, ``problems`` or an error of a projection is present. ``reason`` says why
    views cannot be read or written, or why writes fail. ``problems`` lists the background loops that are failing.

    ``generation`` is the file of the views that serve reads, and ``candidate`` the file that will replace it.
    ``executor`` is the id of this server in the list of workers.

    ``clockAheadMs`` is how far the machine's clock has jumped ahead of the server's time, until the jump is accepted.
    ``clockBehindLogMs`` is how far the server's time is behind the last event. ``loopBlockMs`` is the longest block of
    the event loop in the last one to two minutes, or 0 if none exceeded 20 ms.
    """

    status: Literal["ok", "degraded"]
    now: Annotated[str, says("Time of the server.")]
    head: int
    lag: int
    queue: Annotated[int, says("Transactions that wait to be written.")]
    streams: Annotated[int, says("Open streams.")]
    executor: str
    loop_block_ms: Annotated[
        float, says("Longest block of the event loop in the last minutes, in milliseconds; 0 below 20.")
    ]
    clock_ahead_ms: Annotated[
        int, says("Milliseconds that the machine's clock has jumped ahead, until it is accepted.")
    ]
    clock_behind_log_ms: Annotated[int, says("Milliseconds that the server's time is behind the last event.")]
    projections: Annotated[dict[str, ProjectionHealth], says("State of each projection, by name.")]
    problems: tuple[BackgroundProblem, ...]
    generation: Annotated[str | None, says("File of the views that serve reads; absent before the first.")] = None
    candidate: Annotated[str | None, says("File of the views that will replace `generation`; absent without one.")] = (
        None
    )
    reason: Annotated[str | None, says("Why reads or writes fail; absent if they do not.")] = None


class ViewDigest(Value):
    """SHA-256 of the rows of a view at a position. Servers with the same log have the same digest."""

    position: Annotated[int, says("Position that the rows reflect.")]
    rows: Annotated[int, says("Number of rows.")]
    sha256: Annotated[str, says("SHA-256 of the rows in hex.")]


class ViewDigests(Value):
    """Digests of the views that serve reads, all taken at one moment."""

    generation: Annotated[str | None, says("File of the views that serve reads.")]
    views: Annotated[dict[str, ViewDigest], says("Digest of each view, by name.")]


class Worker(Value):
    """A process attached to the log: a server, a worker, or a command that runs without a server.

    ``concurrency`` is the number of runs that it executes at a time (0: none), and ``providers`` lists the providers
    that it can use. ``running`` is the number of runs that it is executing now. A worker that is ``lost`` no longer
    holds its lock, and other workers take over its runs. ``problems`` lists the background loops that were failing at
    its last heartbeat. ``agents`` lists the outside agents that are registered there, unless they are not known.
    """

    id: str
    kind: Annotated[ProcessKind, says("What the process does.")]
    status: Annotated[Literal["alive", "lost"], says("`lost`: others take over its runs.")]
    host: Annotated[str, says("Host that it runs on.")]
    pid: int
    providers: Annotated[tuple[str, ...], says("Providers that it can use.")]
    concurrency: Annotated[int, says("Runs that it executes at a time; 0: none.")]
    running: Annotated[int, says("Runs that it executes now.")]
    since: Annotated[str, says("When it started.")]
    heartbeat: Annotated[str, says("When it last reported.")]
    problems: tuple[BackgroundProblem, ...]
    agents: Annotated[
        tuple[str, ...] | None,
        says("Outside agents that are registered there; absent without one, or if they are not known."),
    ] = None


class Workers(Value):
    """The processes attached to the log, oldest first."""

    items: Annotated[tuple[Worker, ...], says("The processes, oldest first.")]


async def get_capabilities(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the features, providers and limits of the server."""
    executes = plane.settings.executor == "inline"
    found = await plane.sandboxes.probed() if executes else None
    return Reply(data=capabilities_of(plane, call.who.role, found), position=call.position)


async def get_caller(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the identity of the caller and the operations that it may use."""
    who, narrowed = call.who, None
    if who.scope is not None:
        kinds = {kind: getattr(who.scope, kind) for kind in who.scope.__struct_fields__}
        narrowed = {kind: tuple(sorted(names)) for kind, names in kinds.items() if names is not None}
    allowed = tuple(operation for operation in plane.operations if plane.access.allows(who, operation))
    claim, token = who.token, None
    if claim is not None:
        expires_at = iso_or_none(claim.expires_at_ms)
        token = CallerToken(session=claim.session, token_id=claim.token_id, expires_at=expires_at)
    groups = who.groups or None
    caller = Caller(identity=who.subject, role=who.role, operations=allowed, scope=narrowed, token=token, groups=groups)
    return Reply(data=caller, position=call.position)


async def get_admin_health(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the health of the server and the state of each projection."""
    return Reply(data=health_of(plane, call.position), position=call.position)


async def accept_clock(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Accept a forward jump of the machine's clock now, without waiting ten minutes."""
    done = await plane.clock_jumps.accept(call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def get_view_digests(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a checksum of each view. Reads every row; concurrent requests share one scan."""
    generation, positions, digests = await plane.digests.result(call.position)
    shown = {
        name: ViewDigest(position=positions[name], rows=one.rows, sha256=one.sha256) for name, one in digests.items()
    }
    return Reply(data=ViewDigests(generation=generation, views=shown), position=call.position)


async def list_workers(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the servers and workers on this log, with their capacity, running runs and last heartbeat."""
    return Reply(data=await workers_of(plane), position=call.position)


def capabilities_of(plane: "ControlPlane", role: Role, sandbox: SandboxProbe | None) -> Capabilities:
    """Return the capabilities of this server; ``sandbox`` is None if it executes no runs.

    Only who may create profiles gets the names of credentials, and why no sandbox works.
    """
    settings = plane.settings
    creates = role.reaches(Role.OPERATOR)
    named = plane.credentials.configured and creates
    executes = settings.executor == "inline"  # else workers may have keys that this server lacks
    return Capabilities(
        execution_backend="local",
        state_store="sqlite" if settings.database_url is None else "postgres",
        supports_pods=False,
        supports_cpu_mem_metrics=False,
        supports_sandbox=sandbox is not None and sandbox.available,
        supports_a2a_bus=True,
        version=__version__,
        log_id=plane.log.log_id,
        durability="fsync",
        scheduler="on" if settings.scheduler else "off",
        auth=AuthCapabilities(
            enabled=settings.auth_enabled,
            mode=plane.access.mode,
            identity_header=settings.auth_identity_header,
        ),
        providers=tuple(sorted(name for name, one in plane.providers.items() if one.configured or not executes)),
        event_types=EVENT_TYPES,
        limits=LimitCapabilities(
            body_bytes_max=settings.body_bytes_max,
            json_depth_max=settings.json_depth_max,
            page_items_max=PAGE_ITEMS_MAX,
            page_bytes_max=PAGE_BYTES_MAX,
            feed_scan_events_max=FEED_SCAN_EVENTS_MAX,
            diff_events_max=DIFF_EVENTS_MAX,
            run_timeout_ms=settings.runtime_run_timeout_ms,
            context_chars_max=settings.context_max_chars,
            idempotency_hours=settings.idempotency_hours,
            idempotency_key_chars_max=settings.idempotency_key_chars_max,
            reason_chars_max=settings.reason_chars_max,
            header_bytes_max=settings.header_bytes_max,
            headers_max=settings.headers_max,
            url_bytes_max=settings.url_bytes_max,
            header_timeout_ms=settings.header_timeout_ms,
            body_timeout_ms=settings.body_timeout_ms,
            bodies_in_flight_bytes_max=settings.bodies_in_flight_bytes_max,
            answers_in_flight_bytes_max=settings.answers_in_flight_bytes_max,
            send_timeout_ms=settings.send_timeout_ms,
            streams_max=settings.streams_max,
            streams_per_identity_max=settings.streams_per_identity_max,
            requests_per_second=settings.requests_per_second if settings.auth_enabled else None,
            refusals_per_second=settings.refusals_per_second,
            refusals_per_day=settings.refusals_per_day,
            refusals_per_day_in_all=settings.refusals_per_day_in_all,
        ),
        credentials=tuple(sorted(plane.credentials.names)) if named else None,
        agents=tuple(sorted(plane.agents.names)) if plane.agents.configured else None,
        sandbox=_shown_sandbox(sandbox) if creates and sandbox is not None else None,
        demo=settings.demo or None,
    )


def _shown_sandbox(found: SandboxProbe) -> SandboxCapabilities:
    return SandboxCapabilities(available=found.available, reason=found.reason, remedy=found.remedy)


def health_of(plane: "ControlPlane", head: Position) -> Health:
    """Return the health of the server at a position of the log."""
    projections = {
        name: ProjectionHealth(
            position=point.position,
            lag=max(head - point.position, 0),
            version=point.version,
            error=point.error,
        )
        for name, point in plane.views_reader.checkpoints().items()
    }
    lag = max((health.lag for health in projections.values()), default=head)
    refusal = plane.log.refusal
    reason = plane.views_reader.trouble or (None if refusal is None else f"{WRITES_FAIL}: {refusal}")
    stopped = any(health.error for health in projections.values())
    problems = shown(plane.log.problems.failing())
    now = plane.clock.now()
    return Health(
        status="degraded" if reason is not None or stopped or problems else "ok",
        now=iso(now),
        clock_ahead_ms=plane.clock.ahead,
        clock_behind_log_ms=max(plane.tail.recorded_at - now, 0),
        head=head,
        lag=lag,
        queue=plane.log.waiting,
        streams=plane.streams.count,
        projections=projections,
        problems=problems,
        executor=plane.runner.executors.executor,
        generation=plane.views.generations.current(),
        candidate=plane.views.generations.candidate(),
        reason=reason,
        loop_block_ms=round(plane.watchdog.recent_seconds() * 1000, 1),
    )


def check_ready(plane: "ControlPlane") -> None:
    """Return if the server can serve requests. Raise NotCaughtUp or StoreUnreachable if not.

    A failing background loop alone does not make the server unready. The caller is not authenticated, so the error
    leaves out host names and roles that ``reason`` of the health may contain.
    """
    try:
        health = health_of(plane, plane.reader.head())
    except StoreUnreachable as error:
        raise StoreUnreachable(error.message.partition(":")[0]) from error
    stopped = not health.projections or any(one.error for one in health.projections.values())
    if health.reason is not None or stopped or health.lag > READY_LAG_MAX or plane.streams.draining:
        refusal = plane.log.refusal
        known = f": {NO_CONNECTIONS}" if NO_CONNECTIONS in (health.reason or "") else ""
        if refusal is not None:
            known = f": {WRITES_FAIL}: {refusal}" if refusal in REFUSALS else f": {WRITES_FAIL}"
        raise NotCaughtUp(f"The server is not ready{known}. Retry later.", {"status": health.status, "lag": health.lag})


def shown(problems: Iterable[Problem]) -> tuple[BackgroundProblem, ...]:
    """Convert problems to their form in answers."""
    return tuple(
        BackgroundProblem(loop=one.loop, since=iso(one.since), message=one.message, count=one.count) for one in problems
    )


async def workers_of(plane: "ControlPlane") -> Workers:
    """Return the processes attached to the log, with the number of runs that each is executing."""
    guards = await plane.scan_now(lambda log: log.guards("lease"))
    running = Counter(str(value[0]) for _, _, value in guards)
    present = sorted(plane.runner.executors.processes(), key=lambda one: (one.about.since, one.executor))
    items = [
        Worker(
            id=one.executor,
            kind=one.about.kind,
            status="lost" if one.lost else "alive",
            host=one.about.host,
            pid=one.about.pid,
            providers=one.about.providers,
            concurrency=one.about.concurrency,
            running=running[one.executor],
            since=iso(one.about.since),
            heartbeat=iso(one.counted_at),
            problems=shown(one.about.problems),
            agents=one.about.agents or None,
        )
        for one in present
    ]
    return Workers(items=tuple(items))


class FindIdsQuery(Value):
    """Names beside ids, or ids alone for clients that complete them."""

    names: Annotated[bool, says("Find records by their names, too, and take a part of any length.")] = False


async def find_ids(plane: "ControlPlane", call: ApiCall[NoBody, FindIdsQuery]) -> Reply:
    """Find the ids of records that begin or end with a part, at most ten.

    The part has at least six characters; case does not matter. With `names`, records are found, too, whose names
    contain a part of any length: harness profiles, schedules and personas. A caller with a scope finds its runs, their
    asks and evidence, and harness profiles.
    """
    part, named = call.path["part"], call.query.names
    if len(part) < ID_PART_CHARS_MIN and not named:
        raise ConfigError.of("part", f"must have at least {ID_PART_CHARS_MIN} characters", "a longer part")
    find = _find_named if named else ids.find_ids
    found, position = await plane.query(("ids", "names"), lambda rows: find(rows, part, call.scope))
    return Reply(data=found, position=position, steady=True)


def _find_named(rows: Connection, part: str, scope: Scope | None) -> ids.FoundIds:
    """Return at most ten records: by their ids, then by a part of their names."""
    by_id = ids.find_ids(rows, part, scope).items if len(part) >= ID_PART_CHARS_MIN else ()
    found = {one.id: one for one in by_id}
    for kind in get_args(NamedKind) if scope is None else SCOPED_KINDS:
        for row in names_with(rows, kind, part):
            found.setdefault(row.id, ids.FoundId(kind=row.kind, id=row.id, name=row.name))
    return ids.FoundIds(items=tuple(found.values())[: ids.FOUND_MAX])


row = Noun("core").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "capabilities", "GET /capabilities", get_capabilities, answer=Capabilities, command="capabilities", shared=True
    ),
    row("caller", "GET /caller", get_caller, answer=Caller, command="whoami", shared=True),
    row("admin.health", "GET /admin/health", get_admin_health, answer=Health, command="health", shared=True),
    row(
        "admin.clock",
        "POST /admin/clock/accept",
        accept_clock,
        answer=AcceptedClock,
        roles=ADMINS,
        command="clock accept",
    ),
    row(
        "admin.digests",
        "GET /admin/digests",
        get_view_digests,
        answer=ViewDigests,
        reads=tuple(projection.name for projection in ALL),
        command="digests",
        past=False,
    ),
    row(
        "ids.find",
        "GET /ids/:part",
        find_ids,
        answer=ids.FoundIds,
        reads=("ids", "names"),
        errors=("CONFIG_ERROR",),
        narrows={"sessions", "runs"},
        command="ids find",
    ),
    row("workers.list", "GET /workers", list_workers, answer=Workers, command="workers", price_ms=1),
)
