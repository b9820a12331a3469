"""The control plane: its parts, wired once by ``app.build`` and passed to every operation."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

import anyio
from anyio import to_thread

from athena_api.answer_cache import AnswerCache
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.traffic import Traffic
from athena_api.operations.core import (
    AuthCapabilities,
    BackgroundProblem,
    Capabilities,
    Health,
    LimitCapabilities,
    ProjectionHealth,
    ViewDigest,
    ViewDigests,
    Worker,
    Workers,
)
from athena_api.single_flight import SingleFlight
from athena_api.streams.sse import Feed, Streams
from athena_api.streams.transcripts import Transcripts
from athena_core import __version__
from athena_core.clock import Clock, Ids, iso
from athena_core.domain import EVENTS
from athena_core.errors import NO_CONNECTIONS, NotCaughtUp, StoreUnreachable
from athena_core.event import Position
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.log.writer import REFUSALS, Log
from athena_core.protocols import Connection
from athena_core.providers.mask import Mask
from athena_core.providers.provider import Provider
from athena_core.services.access.access import Access
from athena_core.services.access.rate_limits import RateLimits
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.catalog import Catalog
from athena_core.services.clock_jumps import ClockJumps
from athena_core.services.erasure.erasure import AGAIN, Erasure, Trace
from athena_core.services.execution.live_relay import LiveRelay
from athena_core.services.execution.live_text import LiveText
from athena_core.services.execution.runner import Runner
from athena_core.services.memory import Memory
from athena_core.services.policies import Policies
from athena_core.services.proof.anchors import Anchors
from athena_core.services.queues.dead_letters import DeadLetters
from athena_core.services.queues.messages import Messages
from athena_core.services.queues.queues import Queues
from athena_core.services.queues.redrives import Redrives
from athena_core.services.reactors import Reactors
from athena_core.services.reviews.reviews import Reviews
from athena_core.services.runs.runs import Runs
from athena_core.services.schedules.schedules import Schedules
from athena_core.services.schedules.timer import Timer
from athena_core.services.templates import Templates
from athena_core.services.workflows.stepper import WorkflowStepper
from athena_core.services.workflows.workflows import Workflows
from athena_core.settings import Settings
from athena_core.system.problems import Problem
from athena_core.system.watchdog import Watchdog
from athena_core.values import FEED_SCAN_EVENTS_MAX, PAGE_BYTES_MAX, PAGE_ITEMS_MAX
from projections.engine import replay
from projections.engine.page import PageTooLarge, inline
from projections.engine.views import Views, ViewsReader, at_least

T = TypeVar("T")

CATCH_UP_SECONDS_MAX = 2.0
READY_LAG_MAX = 10_000
LARGE_READS_MAX = 2
WRITES_FAIL = "writes fail"
EVENT_TYPES = tuple(sorted({event.TYPE for event in EVENTS}))


class ControlPlane(NamedTuple):
    """Everything an operation may need. ``reader`` and ``views_reader`` belong to the event loop."""

    settings: Settings
    mask: Mask
    clock: Clock
    ids: Ids
    operations: tuple[str, ...]
    """The ids of the table of operations, in its order."""
    log: Log
    tail: Tail
    reader: StoreReader
    views: Views
    views_reader: ViewsReader
    answers: AnswerCache
    answers_in_flight: ByteBudget
    streams: Streams
    feed: Feed
    live: LiveText
    relay: LiveRelay
    transcripts: Transcripts
    traffic: Traffic
    access: Access
    flood: RefusalLimits
    rates: RateLimits
    catalog: Catalog
    policies: Policies
    memory: Memory
    runs: Runs
    templates: Templates
    workflows: Workflows
    walker: WorkflowStepper
    erasure: Erasure
    runner: Runner
    work: Queues
    messages: Messages
    letters: DeadLetters
    redrives: Redrives
    reviews: Reviews
    schedules: Schedules
    anchors: Anchors
    clocks: ClockJumps
    timer: Timer
    reactors: Reactors
    providers: Mapping[str, Provider]
    digests: SingleFlight[ViewDigests]
    """The digests of the views: the largest read that there is, shared by concurrent callers."""
    watchdog: Watchdog
    large_reads: anyio.CapacityLimiter
    """How many large pages are read at a time: each competes with the event loop for the interpreter."""

    async def reached(self, position: Position) -> None:
        """Return once the log holds a position. Raises NotCaughtUp after two seconds."""
        if self.log.signal.position >= position:
            return
        with anyio.move_on_after(CATCH_UP_SECONDS_MAX):
            await self.log.signal.wait(position)
        if self.log.signal.position < position:
            details = {"position": position, "head": self.log.signal.position}
            raise NotCaughtUp("the log has not reached that position", details)

    async def caught_up(self, names: tuple[str, ...], position: Position) -> None:
        """Return once these projections reflect a position. Raises NotCaughtUp after two seconds."""
        await self.views_reader.wait(names, position, CATCH_UP_SECONDS_MAX)

    async def scrub(self, position: Position, seconds: float) -> tuple[Trace, ...]:
        """Remove what files still hold of text that was erased up to a position. Return where it is left.

        Views and other readers are waited for up to ``seconds`` each.
        """
        names = tuple(projection.name for projection in self.views.projections)
        late: tuple[Trace, ...] = ()
        try:
            await self.views_reader.wait(names, position, seconds)
        except NotCaughtUp as error:
            late = (Trace(place="views", reason=error.message, remedy=AGAIN),)
        return late + await self.erasure.scrub(seconds, self.views_reader.position(names))

    async def query(self, names: tuple[str, ...], read: Callable[[Connection], T]) -> tuple[T, Position]:
        """Return what a quick indexed read finds, and the position that it reflects.

        A page that is too large for the event loop is read again in a thread, a few at a time.
        """
        try:
            with inline():
                return self.views_reader.query(names, read)
        except PageTooLarge:
            pass
        return await self.search(names, lambda rows, _: read(rows), self.large_reads)

    async def read(
        self, names: tuple[str, ...], position: Position, read: Callable[[Connection], T]
    ) -> tuple[T, Position]:
        """The same once the projections reflect a position."""
        await self.caught_up(names, position)
        with at_least(position):
            return await self.query(names, read)

    async def search(
        self,
        names: tuple[str, ...],
        read: Callable[[Connection, StoreReader], T],
        limiter: anyio.CapacityLimiter | None = None,
    ) -> tuple[T, Position]:
        """What a slower read finds, in a thread with connections of its own."""

        def work() -> tuple[T, Position]:
            log = self.log.reader()
            reader = self.views.reader(log)
            try:
                return reader.query(names, lambda rows: read(rows, log))
            finally:
                reader.close()
                log.close()

        return await to_thread.run_sync(work, limiter=limiter)

    async def scan(self, read: Callable[[StoreReader], T], limiter: anyio.CapacityLimiter | None = None) -> T:
        """What is found in the log itself, in a thread with a connection of its own."""

        def work() -> T:
            log = self.log.reader()
            try:
                return read(log)
            finally:
                log.close()

        return await to_thread.run_sync(work, limiter=limiter)

    def capabilities(self) -> Capabilities:
        """What this server can do."""
        settings = self.settings
        return Capabilities(
            execution_backend="local",
            state_store="sqlite" if settings.database_url is None else "postgres",
            supports_pods=False,
            supports_cpu_mem_metrics=False,
            supports_sandbox=False,
            supports_a2a_bus=True,
            version=__version__,
            log_id=self.log.log_id,
            durability="fsync",
            scheduler="on" if settings.scheduler else "off",
            auth=AuthCapabilities(
                enabled=settings.auth_enabled,
                mode=self.access.mode,
                identity_header=settings.auth_identity_header,
            ),
            providers=tuple(sorted(self.providers)),
            event_types=EVENT_TYPES,
            limits=LimitCapabilities(
                body_bytes_max=settings.body_bytes_max,
                json_depth_max=settings.json_depth_max,
                page_items_max=PAGE_ITEMS_MAX,
                page_bytes_max=PAGE_BYTES_MAX,
                feed_scan_events_max=FEED_SCAN_EVENTS_MAX,
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
        )

    def health(self, head: Position) -> Health:
        """How the server is at a head of the log."""
        projections = {
            name: ProjectionHealth(
                position=point.position,
                lag=max(head - point.position, 0),
                version=point.version,
                error=point.error,
            )
            for name, point in self.views_reader.checkpoints().items()
        }
        lag = max((health.lag for health in projections.values()), default=head)
        refusal = self.log.refusal
        reason = self.views_reader.trouble or (None if refusal is None else f"{WRITES_FAIL}: {refusal}")
        stopped = any(health.error for health in projections.values())
        problems = shown(self.log.problems.failing())
        now = self.clock.now()
        return Health(
            status="degraded" if reason is not None or stopped or problems else "ok",
            now=iso(now),
            clock_ahead_ms=self.clock.ahead,
            clock_behind_log_ms=max(self.tail.recorded_at - now, 0),
            head=head,
            lag=lag,
            queue=self.log.waiting,
            streams=self.streams.count,
            projections=projections,
            problems=problems,
            executor=self.runner.executors.executor,
            generation=self.views.generations.current(),
            candidate=self.views.generations.candidate(),
            reason=reason,
            loop_block_ms=round(self.watchdog.recent_seconds() * 1000, 1),
        )

    async def workers(self) -> Workers:
        """The processes that are attached to the log, and how many runs each of them has."""
        guards = await self.scan(lambda log: log.guards("lease"))
        running = Counter(str(value[0]) for _, _, value in guards)
        present = sorted(self.runner.executors.everybody(), key=lambda one: (one.about.since, one.executor))
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
            )
            for one in present
        ]
        return Workers(items=tuple(items))

    def close(self) -> None:
        """Close what reads, then the log."""
        self.watchdog.close()
        for part in (self.reactors, self.memory, self.views_reader, self.tail, self.catalog, self.schedules):
            part.close()
        self.runs.close()
        self.templates.close()
        for service in (self.workflows, self.walker, self.runner):
            service.close()
        self.reader.close()
        self.views.generations.close()
        self.log.close()

    def ready(self) -> None:
        """Return if requests can be served. Raise NotCaughtUp or StoreUnreachable.

        A failing loop alone is no reason to send requests elsewhere. Anyone may ask, so the error leaves out hosts and
        roles, which the reason in ``health`` may name.
        """
        try:
            health = self.health(self.reader.head())
        except StoreUnreachable as error:
            raise StoreUnreachable(error.message.partition(":")[0]) from error
        stopped = not health.projections or any(one.error for one in health.projections.values())
        if health.reason is not None or stopped or health.lag > READY_LAG_MAX or self.streams.draining:
            refusal = self.log.refusal
            known = f": {NO_CONNECTIONS}" if NO_CONNECTIONS in (health.reason or "") else ""
            if refusal is not None:
                known = f": {WRITES_FAIL}: {refusal}" if refusal in REFUSALS else f": {WRITES_FAIL}"
            raise NotCaughtUp(f"the server is not ready{known}", {"status": health.status, "lag": health.lag})


def shown(problems: Iterable[Problem]) -> tuple[BackgroundProblem, ...]:
    """Return problems as answers show them."""
    return tuple(
        BackgroundProblem(loop=one.loop, since=iso(one.since), message=one.message, count=one.count) for one in problems
    )


def digests_of(views: Views, log: Log) -> SingleFlight[ViewDigests]:
    """The digests of these views, computed in a thread."""

    def work() -> ViewDigests:
        reader = log.reader()
        try:
            generation = views.generations.current()
            positions, found = replay.digests(views, reader, views.projections)
        finally:
            reader.close()
        shown = {
            name: ViewDigest(position=positions[name], rows=one.rows, sha256=one.sha256) for name, one in found.items()
        }
        return ViewDigests(generation=generation, views=shown)

    return SingleFlight(partial(to_thread.run_sync, work))
