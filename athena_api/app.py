"""The application: the composition root, and what runs beside the requests."""

import functools
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any, TypeVar

import anyio
import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from athena_api import docs, openapi
from athena_api.answer_cache import AnswerCache
from athena_api.edge.access_log import AccessLog, AccessRecord
from athena_api.edge.asgi import Receive, Scope, Send
from athena_api.edge.browser import BrowserChecks
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.identity import Identification
from athena_api.edge.protocol import ConnectionLimits
from athena_api.edge.replies import failure, status_of, success, with_cache_headers
from athena_api.edge.request_filter import RequestFilter
from athena_api.edge.traffic import Traffic
from athena_api.endpoint.endpoint import Endpoint
from athena_api.endpoint.etag import unchanged
from athena_api.endpoint.operation import EVERYBODY, PREFIX
from athena_api.metrics import CONTENT_TYPE, exposition
from athena_api.operations import OPERATIONS, ROLES
from athena_api.operations.core import check_ready
from athena_api.operations.redrives import PendingLetters
from athena_api.plane import LARGE_READS_MAX, ControlPlane, digests_of
from athena_api.streams.sse import Feed, Streams
from athena_api.streams.transcripts import Transcripts
from athena_core import __version__
from athena_core.clock import Clock, Ids, SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import DECIDERS, EVENTS, plane
from athena_core.errors import AthenaError, ConfigError, Overloaded, StoreDamaged, UnknownRoute
from athena_core.event import Event, Fact, Meta
from athena_core.log.anchor import AnchorMismatch
from athena_core.log.codec import Codec
from athena_core.log.engine import open_generations, open_leader_lock, open_store, register_executor
from athena_core.log.port import FORMAT
from athena_core.log.shortage import ERRORS as SHORTAGES
from athena_core.log.shortage import is_shortage
from athena_core.log.sqlite.store import SqliteDatabases
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.providers.mask import Mask
from athena_core.providers.prices import Prices
from athena_core.providers.registry import registry
from athena_core.proxies import TrustedProxies
from athena_core.roles import EVERYBODY_ELSE, Roster
from athena_core.services.access.access import Access
from athena_core.services.access.rate_limits import RateLimits
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.catalog import Catalog
from athena_core.services.clock_jumps import ClockJumps
from athena_core.services.context.history import ERASING_TYPES
from athena_core.services.erasure.erasure import Erasure
from athena_core.services.execution.agent import Agent
from athena_core.services.execution.live_relay import LiveRelay
from athena_core.services.execution.live_text import LiveText
from athena_core.services.execution.liveness import FROZEN_SECONDS, Executors, ProcessInfo, ProcessKind, ProcessStatus
from athena_core.services.execution.model_call import ModelCaller
from athena_core.services.execution.runner import Runner
from athena_core.services.memory import Memory, NoteFiles
from athena_core.services.policies import Policies
from athena_core.services.proof.anchors import Anchors, Sender, check_outside, destinations_of
from athena_core.services.queues.dead_letters import DeadLetters
from athena_core.services.queues.drainer import QueueDrainer
from athena_core.services.queues.messages import Messages
from athena_core.services.queues.queues import Queues
from athena_core.services.queues.redrives import Redrives
from athena_core.services.reactors import Reactors
from athena_core.services.reviews.definitions import PersonaFiles
from athena_core.services.reviews.reviews import Reviews
from athena_core.services.runs.runs import Runs
from athena_core.services.schedules.schedules import Schedules
from athena_core.services.schedules.timer import Timer
from athena_core.services.templates import Templates
from athena_core.services.workflows.stepper import WorkflowStepper
from athena_core.services.workflows.workflows import Workflows
from athena_core.settings import Settings, secrets_of
from athena_core.system.watchdog import Watchdog, name_operation
from athena_core.tools.toolbox import toolbox
from athena_core.tools.workspace import open_workspace
from athena_core.values import Identity, Role
from projections import ALL, sessions
from projections.engine.generation import GenerationFiles
from projections.engine.updater import ViewUpdater
from projections.engine.views import Views
from projections.memory_index import MemoryIndex

T = TypeVar("T")

KEEPER_JOIN_SECONDS = 5.0
OLDER_LOOKS, OLDER_POLL_SECONDS = 40, 0.25
"""How often a start looks whether a process of an older release has ended, and how long it waits in between."""

METRICS_OPERATION = "getMetrics"
"""The page of metrics, as authorization knows it."""

READING = ("GET", "HEAD")  # a page has no other methods: they are 404 in our envelope, as everywhere


def wire(
    settings: Settings,
    clock: Clock,
    ids: Ids,
    *,
    kind: ProcessKind = "server",
    serves: tuple[str, ...] = (),
    frozen_seconds: float = FROZEN_SECONDS,
) -> ControlPlane:
    """Open the log and connect the parts; nothing runs yet. Raises ConfigError.

    ``serves`` names the providers whose runs are executed here, all if empty.
    """
    default = settings.default_provider
    mask = Mask(secrets_of(settings), shapes=settings.mask_secrets)
    providers = registry(
        mask,
        openai_api_key=settings.openai_api_key,
        openai_base_url=settings.openai_base_url,
        anthropic_api_key=settings.anthropic_api_key,
        anthropic_base_url=settings.anthropic_base_url,
        http_url=settings.http_provider_url,
        http_api_key=settings.http_provider_api_key,
        http_timeout_ms=settings.http_provider_timeout_ms,
        local_command=settings.local_provider_cmd,
        local_arguments=settings.local_provider_args,
    )
    known = ", ".join(sorted(providers))
    if default not in providers:
        raise ConfigError(f"ATHENA_DEFAULT_PROVIDER: {default!r} is not one of {known}")
    for name in settings.provider_fallback_order:
        if name not in providers:
            raise ConfigError(f"ATHENA_PROVIDER_FALLBACK_ORDER: {name!r} is not one of {known}")
    for name in serves:
        if name not in providers:
            raise ConfigError(f"--providers: {name!r} is not one of {known}")
    destinations = destinations_of(settings.anchor_to)
    check_outside(destinations, settings.state_dir)
    log = Log(
        open_store(settings.state_dir, settings.database_url, ids),
        Codec(EVENTS),
        DECIDERS,
        clock=clock,
        ids=ids,
        key_hours=settings.idempotency_hours,
    )
    if not settings.accept_fork:
        log.check_anchor()
    tail = Tail(log)
    live = LiveText(tail, log.signal)
    reader = log.reader()
    catalog = Catalog(log, ids, frozenset(providers))
    prices = Prices.load()
    roster = Roster(
        enabled=settings.auth_enabled,
        roles=settings.auth_identity_role_map,
        default=settings.auth_default_role,
        file=settings.auth_role_map_file,
    )
    flood = RefusalLimits(
        log,
        clock,
        ids,
        settings.refusals_per_second,
        settings.refusals_per_day,
        settings.refusals_per_day_in_all,
    )
    strict = settings.authz_default_decision == "deny"
    access = Access(
        log, {**ROLES, METRICS_OPERATION: EVERYBODY}, roster, flood, mode=settings.authz_mode, strict=strict
    )
    workspace = open_workspace(settings)
    runs = Runs(log, tail, catalog, access, settings, ids, frozenset(providers), prices, mask, workspace)
    tools = toolbox()
    asker = ModelCaller(providers, prices, clock, ids)
    (settings.state_dir / "views").mkdir(exist_ok=True, mode=0o700)
    databases = SqliteDatabases()
    url = settings.database_url
    generations = GenerationFiles(settings.state_dir / "views", databases) if url is None else open_generations(url)
    views = Views(generations, log.recent_reader, log.codec.decode, clock, ALL, log.signal)
    notes = NoteFiles(workspace, clock, mask)
    index = MemoryIndex(
        Path(settings.memory_sqlite_path or settings.state_dir / "memory" / "index.sqlite"),
        databases,
        views,
        notes,
        partial(sessions.said_after, log_id=log.log_id) if settings.memory_include_transcripts else None,
        snippet_chars_max=settings.memory_max_snippet_chars,
    )
    memory = Memory(log, ids, settings, notes, index)
    remember = memory.recall if settings.memory_enabled else None
    agent = Agent(runs.compiler, asker, providers, tools, workspace, ids, mask, live.said, remember)
    work = Queues(log, reader, tail, runs, ids, frozenset(providers))
    personas = PersonaFiles(workspace)
    messages = Messages(log, reader, runs, personas, ids, hops_max=settings.a2a_max_hops)
    drains = QueueDrainer(
        log,
        reader,
        runs,
        work,
        messages,
        access,
        clock,
        ids,
        attempts_max=settings.work_max_attempts,
        retry_seconds=settings.a2a_retry_ms / 1000,
    )
    workflows = Workflows(log, tail, catalog, runs, access, ids)
    walker = WorkflowStepper(log, catalog, runs, workflows, access, clock, ids, settings.workflow_items_max)
    reviews = Reviews(log, reader, tail, runs, personas, access, settings, ids, mask, workspace)
    templates = Templates(log, catalog, runs, ids)
    schedules = Schedules(log, tail, runs, templates, workflows, catalog, access, clock, ids, settings)
    timer = Timer(log, schedules, clock)
    views_reader, feed = views.reader(reader), Feed(tail, reader)
    answers_in_flight = ByteBudget(settings.answers_in_flight_bytes_max)
    letters = DeadLetters(log, reader, ids)
    redrives = Redrives(log, letters, PendingLetters(views_reader, reader), access, clock, ids)
    reactors = Reactors(
        open_leader_lock(settings.state_dir, settings.database_url, "reactor"),
        tail,
        (drains, redrives, walker, reviews, timer),
        log.problems,
        log.reader,
    )
    timer.ask = partial(reactors.ask, timer.name)
    about = ProcessInfo(
        kind=kind,
        host=gethostname(),
        pid=os.getpid(),
        providers=tuple(sorted(serves or providers)),
        concurrency=settings.executor_max_runs if settings.executor == "inline" else 0,
        since=clock.now(),
        format=FORMAT,
    )
    attendance = register_executor(
        settings.state_dir, settings.database_url, ids.new("exe"), msgspec.json.encode(about)
    )
    answers = AnswerCache()
    erasure = Erasure(
        settings.state_dir,
        log,
        generations,
        index,
        {
            "histories": runs.compiler.histories.forget,
            "answers": lambda: answers.forget(log.signal.position),
            "recent rows": log.recent.clear,
            "inputs of workflows": walker.forget,
        },
        clock,
    )
    tail.subscribe(erasure.forget, ERASING_TYPES)
    parts = ControlPlane(
        settings=settings,
        mask=mask,
        clock=clock,
        ids=ids,
        operations=tuple(ROLES),
        log=log,
        tail=tail,
        reader=reader,
        views=views,
        views_reader=views_reader,
        answers=answers,
        answers_in_flight=answers_in_flight,
        streams=Streams(
            answers_in_flight,
            streams_max=settings.streams_max,
            per_identity_max=settings.streams_per_identity_max,
        ),
        feed=feed,
        live=live,
        relay=LiveRelay(live, log.store.channel(), log.problems),
        transcripts=Transcripts(feed, live, views_reader, log.log_id),
        traffic=Traffic(PAGES, PREFIX),
        access=access,
        flood=flood,
        rates=RateLimits(clock, settings.requests_per_second if settings.auth_enabled else None),
        catalog=catalog,
        memory=memory,
        policies=Policies(log, catalog, frozenset(providers), lambda: runs.room),
        runs=runs,
        workflows=workflows,
        walker=walker,
        erasure=erasure,
        templates=templates,
        runner=Runner(
            log,
            tail,
            runs,
            catalog,
            agent,
            Executors(attendance, clock, frozen_seconds),
            clock,
            ids,
            about=about,
        ),
        work=work,
        messages=messages,
        letters=letters,
        redrives=redrives,
        reviews=reviews,
        schedules=schedules,
        anchors=Anchors(log, clock, Sender.of(settings), destinations, settings.anchor_seconds),
        clocks=ClockJumps(log, tail, clock),
        timer=timer,
        reactors=reactors,
        providers=providers,
        digests=digests_of(views, log),
        watchdog=Watchdog(),
        large_reads=anyio.CapacityLimiter(LARGE_READS_MAX),
    )
    refuse_older(parts, looks=OLDER_LOOKS if kind != "command" else 1)
    return parts


def refuse_older(parts: ControlPlane, *, looks: int) -> None:
    """Close the parts and raise ConfigError if the format is about to rise under a process of an older release.

    Releases before 0.2 check the format at their start only. Such a process may end between two ``looks``.
    """
    while older := _older(parts):
        looks -= 1
        if looks <= 0:
            about = older[0].about
            parts.close()
            raise ConfigError(
                f"an older release has this log open (process {about.pid} on {about.host}): stop it, then start again"
            )
        time.sleep(OLDER_POLL_SECONDS)


def _older(parts: ControlPlane) -> list[ProcessStatus]:
    """Return the processes that would not notice that the format rises."""
    if parts.log.store.format >= FORMAT:
        return []
    return [one for one in parts.runner.executors.everybody() if one.about.format < FORMAT and not one.lost]


@asynccontextmanager
async def running(parts: ControlPlane, *, serving: bool) -> AsyncIterator[None]:
    """Everything that runs beside the requests; ``serving`` tells a server from a command that works alone."""
    forked = parts.log.mismatch() if parts.settings.accept_fork else None
    if forked is not None:
        parts.log.accept_fork()
    parts.log.start()
    stop = threading.Event()
    keeper = ViewUpdater(parts.views, parts.runner.executors.alone, parts.log.problems)
    thread = threading.Thread(target=keeper.run, args=(stop,), name="athena-keeper-of-views", daemon=True)
    thread.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parts.tail.follow)
            tasks.start_soon(parts.tail.watch)
            tasks.start_soon(parts.relay.serve)
            tasks.start_soon(parts.flood.serve)
            await announce(parts, forked, serving=serving)
            await parts.runner.serve(tasks, take_over=serving)
            if serving:
                parts.watchdog.start()
                tasks.start_soon(parts.memory.serve)
                tasks.start_soon(parts.anchors.serve)
            if serving and parts.settings.scheduler:
                tasks.start_soon(parts.timer.serve)
            tasks.start_soon(partial(parts.reactors.serve, everything=serving))
            yield
            parts.streams.drain()
            await parts.runner.stop()
            await parts.flood.flush()
            if serving:
                await parts.anchors.stop()
            tasks.cancel_scope.cancel()
    finally:
        stop.set()
        parts.log.signal.nudge()
        thread.join(KEEPER_JOIN_SECONDS)
        for provider in parts.providers.values():
            await provider.close()
        parts.close()


@asynccontextmanager
async def working(parts: ControlPlane) -> AsyncIterator[None]:
    """What runs in a worker: it executes runs, and leaves requests, views and whatever follows to servers."""
    parts.log.raise_format()  # a server writes at once, a worker maybe not for hours
    parts.log.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parts.tail.follow)
            tasks.start_soon(parts.tail.watch)
            tasks.start_soon(parts.relay.serve)
            await parts.runner.serve(tasks, take_over=True)
            parts.watchdog.start()
            tasks.start_soon(parts.memory.serve)
            yield
            await parts.runner.stop()
            tasks.cancel_scope.cancel()
    finally:
        for provider in parts.providers.values():
            await provider.close()
        parts.close()


async def announce(parts: ControlPlane, forked: AnchorMismatch | None, *, serving: bool) -> None:
    """Record that a server started, and that a fork was accepted."""
    events: list[Event] = []
    if forked is not None:
        head = parts.log.signal.position
        events.append(plane.LogForked(head=head, expected=forked.expected, anchor=forked.trouble))
    if serving:
        events.append(plane.AuthzModeActive(mode=parts.access.mode))
        if parts.access.roster.enabled:
            events.append(roles_loaded(parts.access.roster))
    if events:
        facts = tuple(Fact(stream=plane.STREAM, event=event) for event in events)

        def record(reader: Reader, context: Context) -> Outcome:
            return Outcome(facts=facts)

        await parts.log.submit(record, Meta(actor="system:server", correlation=parts.ids.trace()))


def roles_loaded(roster: Roster) -> plane.RolesLoaded:
    """What is recorded each time that roles are read."""
    named = Counter(role for name, role in roster.roles.items() if name != EVERYBODY_ELSE)
    return plane.RolesLoaded(
        source="settings" if roster.file is None else "file",
        viewers=named[Role.VIEWER],
        operators=named[Role.OPERATOR],
        admins=named[Role.ADMIN],
        everybody_else=roster.identity(EVERYBODY_ELSE).role,
        sha256=roster.sha256,
        locked_out=named[Role.NONE] or None,
    )


class Edge:
    """The outermost layer: gives every request a trace id, and every answer a line in the access log."""

    def __init__(self, gate: RequestFilter, plane: ControlPlane, clock: Clock, ids: Ids, log: AccessLog) -> None:
        """Wrap the application whose parts are ``plane``."""
        self.plane = plane
        self.gate = gate
        settings = plane.settings
        self.limits = ConnectionLimits(
            header_bytes=settings.header_bytes_max,
            headers=settings.headers_max,
            url_bytes=settings.url_bytes_max,
            header_seconds=settings.header_timeout_ms / 1000,
            body_seconds=settings.body_timeout_ms / 1000,
            send_seconds=settings.send_timeout_ms / 1000,
        )
        self.bodies = ByteBudget(settings.bodies_in_flight_bytes_max)
        self._clock = clock
        self._ids = ids
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.gate(scope, receive, send)
            return
        trace = scope["athena.trace"] = self._ids.trace()
        echoed = [field for field in scope["headers"] if field[0] in (b"traceparent", b"tracestate")]
        started, status, size = self._clock.monotonic(), 0, 0

        async def answer(message: Any) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-trace-id", trace.encode()), *echoed]
                message = {**message, "headers": with_cache_headers(headers)}
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.gate(scope, receive, answer)
        finally:
            identity = scope.get("athena.identity")
            seconds = self._clock.monotonic() - started
            method, path = scope["method"], scope["path"]
            self.plane.traffic.request(scope.get("athena.operation"), method, path, status, seconds)
            self._log.request(
                AccessRecord(
                    at=self._clock.now(),
                    trace_id=trace,
                    method=method,
                    path=path,
                    status=status,
                    ms=seconds * 1000,
                    identity=identity.subject if identity else None,
                    bytes=size,
                )
            )

    async def reload_roles(self) -> None:
        """Read the file with the roles again, record it, and end the streams of those who may no longer read."""
        access = self.plane.access
        try:
            if not access.roster.enabled or not access.roster.reload():
                return
            facts = (Fact(stream=plane.STREAM, event=roles_loaded(access.roster)),)
            meta = Meta(actor="system:server", correlation=self._ids.trace())
            await self.plane.log.submit(lambda reader, context: Outcome(facts=facts), meta)
        except AthenaError as error:
            self._log.warning(f"the roles were not read anew: {error.message}")
        finally:
            self.plane.streams.review(self._may_still_read)

    def _may_still_read(self, who: Identity, operation: str) -> bool:
        now = self.plane.access.roster.identity(who.subject, who.asked)
        return now.scope == who.scope and self.plane.access.allows(now, operation)

    def refusal(self, error: AthenaError) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Body and headers of the answer to what is no request, which has a line in the access log as well."""
        trace = self._ids.trace()
        body = failure(error, trace)
        status = status_of(error)
        self._log.request(
            AccessRecord(
                at=self._clock.now(),
                trace_id=trace,
                method="",
                path="",
                status=status,
                ms=0.0,
                identity=None,
                bytes=len(body),
            )
        )
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-trace-id", trace.encode()),
        ]
        return body, with_cache_headers(headers)


class Application:
    """The whole as ASGI: the API goes straight to its endpoint, pages and the life of the process to Starlette."""

    def __init__(self, endpoint: Endpoint, pages: Starlette) -> None:
        """Put the two side by side."""
        self._endpoint = endpoint
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._pages(scope, receive, send)
        elif scope["method"] in READING and _is_page(scope["path"]):
            name_operation(scope["path"] if scope["path"] in PAGES else "/static")
            await self._pages(scope, receive, send)
        else:
            await self._endpoint(scope, receive, send)


def _is_page(path: str) -> bool:
    return path in PAGES or path.startswith("/static/")


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    access_log: AccessLog | None = None,
    serving: bool = True,
    frozen_seconds: float = FROZEN_SECONDS,
) -> Edge:
    """The application of one state directory; its parts are ``plane``. Raises ConfigError."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    parts = wire(settings, clock, ids, kind="server" if serving else "command", frozen_seconds=frozen_seconds)
    lines = access_log or AccessLog(clock, mask=parts.mask)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running(parts, serving=serving):
            yield

    pages = Starlette(
        routes=[*PAGES.values(), Route("/static/{path:path}", static)],
        lifespan=lifespan,
        exception_handlers=dict.fromkeys((*SHORTAGES, *parts.log.store.damaged), unserved),
    )
    pages.state.plane = parts
    proxies = TrustedProxies(settings.auth_trusted_proxies, settings.auth_proxy_secret)
    header, roster = settings.auth_identity_header, parts.access.roster
    gate = RequestFilter(
        Application(Endpoint(parts, OPERATIONS, lines), pages),
        browsers=BrowserChecks(settings.allowed_hosts, settings.allowed_origins),
        identification=Identification(header=header, roster=roster, proxies=proxies) if roster.enabled else None,
    )
    return Edge(gate, parts, clock, ids, lines)


async def unserved(request: HttpRequest, error: Exception) -> Response:
    """Answer that descriptors or memory ran out, or that the log is damaged; any other error goes on."""
    if is_shortage(error):
        refusal: AthenaError = Overloaded("file descriptors or memory ran out")
    elif isinstance(error, request.app.state.plane.log.store.damaged):
        refusal = StoreDamaged(StoreDamaged.REMEDY)
    else:
        raise error
    return _json(failure(refusal, request.scope["athena.trace"]), status_of(refusal))


async def livez(request: HttpRequest) -> Response:
    """The process answers."""
    return _json(success({"status": "ok"}), 200)


async def readyz(request: HttpRequest) -> Response:
    """The log is reachable, the views follow it, the server is not leaving."""
    try:
        check_ready(request.app.state.plane)
    except AthenaError as error:
        return _json(failure(error, request.scope["athena.trace"]), status_of(error))
    return _json(success({"status": "ready"}), 200)


async def metrics(request: HttpRequest) -> Response:
    """What a monitoring system reads; it tells of everybody."""
    parts: ControlPlane = request.app.state.plane
    who, trace = request.scope["athena.identity"], request.scope["athena.trace"]
    meta = Meta(actor=who.subject, correlation=trace, quiet=parts.flood.exhausted(who.subject))
    try:
        parts.flood.check(who.subject, METRICS_OPERATION)
        await parts.access.require(who, METRICS_OPERATION, meta)
        await parts.access.require_scope(who, METRICS_OPERATION, {}, meta, None, None)
    except AthenaError as error:
        if error.recorded is not None:
            parts.flood.refused(who.subject, METRICS_OPERATION, recorded=error.recorded)
        return _json(failure(error, trace), status_of(error))
    return Response(exposition(request.app.state.plane), 200, {"content-type": CONTENT_TYPE})


async def _built(build: "functools._lru_cache_wrapper[T]") -> T:
    """Return what a cached function builds; only the first time in a thread, as it takes that long."""
    return build() if build.cache_info().currsize else await to_thread.run_sync(build)


async def document(request: HttpRequest) -> Response:
    """The OpenAPI document."""
    return _file(request, await _built(openapi_file))


@functools.cache
def openapi_file() -> docs.StaticFile:
    """Build the OpenAPI document, once: it follows from this release, and takes 40 ms."""
    return docs.StaticFile.of(msgspec.json.encode(openapi.document(OPERATIONS, __version__)), ".json")


async def console(request: HttpRequest) -> Response:
    """The console, which shows what the API tells to whoever looks at it."""
    await _built(docs.static_files)
    return _file(request, docs.console_page())


async def docs_page(request: HttpRequest) -> Response:
    """The documentation page."""
    return _file(request, docs.docs_page())


async def static(request: HttpRequest) -> Response:
    """A file of a page."""
    await _built(docs.static_files)
    found = docs.static_file(request.path_params["path"])
    if found is None:
        error = UnknownRoute("Not found")
        return _json(failure(error, request.scope["athena.trace"]), status_of(error))
    return _file(request, found)


def _json(body: bytes, status: int) -> Response:
    return Response(body, status, media_type="application/json; charset=utf-8")


def _file(request: HttpRequest, file: docs.StaticFile) -> Response:
    headers = {"etag": file.etag, **dict(docs.SECURITY_HEADERS)}
    if file.immutable:
        headers["cache-control"] = "public, max-age=31536000, immutable"
    if unchanged(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, 200, headers, media_type=file.content_type)


PAGES = {
    path: Route(path, page)
    for path, page in {
        "/": console,
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics,
        "/docs": docs_page,
        "/openapi.json": document,
    }.items()
}
