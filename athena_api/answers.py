"""Answers: the shapes of what the API says beside the records of the core and of the read models."""

from typing import Any, Literal

import msgspec

from athena_core.event import Value
from athena_core.services.execution.liveness import ProcessKind


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


class EventRecord(Value):
    """A recorded event as it is published (contract 6); ``id`` is the cursor that continues after it."""

    id: str
    trace_id: str
    type: str
    created_at: str
    payload: dict[str, Any]
    session_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    parent_run_id: str | None = None
    policy: dict[str, Any] | None = None
    scope: dict[str, tuple[str, ...]] | None = None
    undecodable: bool | None = None


class EventsPage(Value):
    """Part of the feed: ``cursor`` is after the last position scanned; ``nextCursor`` is absent at the head."""

    events: tuple[EventRecord, ...]
    cursor: str
    head: int
    next_cursor: str | None = None
