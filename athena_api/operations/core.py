"""The server as its callers see it: capabilities, the caller, health, digests, workers."""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from athena_api.endpoint.operation import ADMINS, EVERYBODY, ApiCall, NoBody, NoQuery, Operation, Reply
from athena_core.event import Value
from athena_core.services.clock_jumps import AcceptedClock
from athena_core.services.execution.liveness import ProcessKind
from projections import ALL

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class AuthCapabilities(Value):
    """How callers are identified and authorised."""

    enabled: bool
    mode: str
    identity_header: str


class LimitCapabilities(Value):
    """The limits that a client meets."""

    body_bytes_max: int
    json_depth_max: int
    page_items_max: int
    page_bytes_max: int
    feed_scan_events_max: int
    run_timeout_ms: int
    context_chars_max: int
    idempotency_hours: int
    idempotency_key_chars_max: int
    reason_chars_max: int
    header_bytes_max: int
    headers_max: int
    url_bytes_max: int
    header_timeout_ms: int
    body_timeout_ms: int
    bodies_in_flight_bytes_max: int
    answers_in_flight_bytes_max: int
    send_timeout_ms: int
    streams_max: int
    streams_per_identity_max: int
    refusals_per_second: int
    refusals_per_day: int
    refusals_per_day_in_all: int
    requests_per_second: int | None = None


class Capabilities(Value):
    """What this server can do (contract 4.1 and D27).

    ``event_types`` are the names of all events that it records, which a browser has to name to hear of them.
    """

    execution_backend: str
    state_store: str
    supports_pods: bool
    supports_cpu_mem_metrics: bool
    supports_sandbox: bool
    supports_a2a_bus: bool = msgspec.field(name="supportsA2ABus")
    version: str
    log_id: str
    durability: str
    scheduler: str
    auth: AuthCapabilities
    providers: tuple[str, ...]
    event_types: tuple[str, ...]
    limits: LimitCapabilities


class Caller(Value):
    """Who is asking, and what they may do: ids of operations, as far as the role goes; ``scope`` narrows it."""

    identity: str
    role: str
    operations: tuple[str, ...]
    scope: dict[str, tuple[str, ...]] | None = None


class ProjectionHealth(Value):
    """How far a projection is, which version of its rules made it, and what stopped it."""

    position: int
    lag: int
    version: int
    error: str | None = None


class BackgroundProblem(Value):
    """A loop beside the requests that fails now: since when, its last failure, and how many there were since then."""

    loop: str
    since: str
    message: str
    count: int


class Health(Value):
    """Whether the server is well, and how far each projection is.

    ``generation`` is the file of the views that are served, ``candidate`` the one that waits to take its place.
    ``reason`` is present if the views cannot be written or read, or if writes fail. ``problems`` are the background
    loops that fail; ``status`` is `degraded` while there is a reason, a problem or an error of a projection.
    ``executor`` is the id that this server has in the list of workers.
    ``clockAheadMs`` is how far the machine's clock jumped ahead of the server's time, until that is accepted;
    ``clockBehindLogMs`` how far the server's time is behind the last event.
    ``loopBlockMs`` is the longest block of the event loop in the last one to two minutes, 0 if none was over 20 ms.
    """

    status: str
    now: str
    head: int
    lag: int
    queue: int
    streams: int
    executor: str
    loop_block_ms: float
    clock_ahead_ms: int
    clock_behind_log_ms: int
    projections: dict[str, ProjectionHealth]
    problems: tuple[BackgroundProblem, ...]
    generation: str | None = None
    candidate: str | None = None
    reason: str | None = None


class ViewDigest(Value):
    """The SHA-256 of a view's rows at a position: two servers that hold the same log come to the same."""

    position: int
    rows: int
    sha256: str


class ViewDigests(Value):
    """The digests of the views that serve, all of one moment."""

    generation: str | None
    views: dict[str, ViewDigest]


class Worker(Value):
    """A process that is attached to the log: a server, a worker, or a command that works alone.

    ``concurrency`` is how many runs it takes at a time (0: none), of which ``providers``; ``running`` how many it has.
    A ``lost`` worker no longer holds its lock; other workers take its runs over. ``problems`` are the background
    loops that failed in it at its last heartbeat, the only sign of them from a process without a health of its own.
    """

    id: str
    kind: ProcessKind
    status: Literal["alive", "lost"]
    host: str
    pid: int
    providers: tuple[str, ...]
    concurrency: int
    running: int
    since: str
    heartbeat: str
    problems: tuple[BackgroundProblem, ...]


class Workers(Value):
    """The processes that are attached to the log, the oldest first."""

    items: tuple[Worker, ...]


async def get_capabilities(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """What this server can do."""
    return Reply(data=plane.capabilities(), position=call.position)


async def get_caller(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Who is asking."""
    who, narrowed = call.who, None
    if who.scope is not None:
        kinds = {kind: getattr(who.scope, kind) for kind in who.scope.__struct_fields__}
        narrowed = {kind: tuple(sorted(names)) for kind, names in kinds.items() if names is not None}
    allowed = tuple(operation for operation in plane.operations if plane.access.allows(who, operation))
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
)
