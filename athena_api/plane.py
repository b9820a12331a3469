"""The control plane: the parts of a process, wired once by ``wiring.wire`` and passed to every operation."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import anyio

from athena_api.answer_cache import AnswerCache
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.traffic import Traffic
from athena_api.fair_threads import PAYER, SERVER, FairThreads
from athena_api.single_flight import SingleFlight
from athena_api.streams.feed import Feed
from athena_api.streams.sse import Streams
from athena_api.streams.transcripts import Transcripts
from athena_core.agents.registered import RegisteredAgents
from athena_core.clock import Clock, Ids
from athena_core.credentials.credentials import Credentials
from athena_core.errors import CursorAhead, NotCaughtUp
from athena_core.event import Position
from athena_core.log.port import BoundedReader, StoreReader
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.protocols import Connection
from athena_core.providers.provider import Provider
from athena_core.services.access.access import Access
from athena_core.services.access.authentication_limits import AuthenticationLimits
from athena_core.services.access.rate_limits import RateLimits
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.access.token_records import TokenRecords
from athena_core.services.access.tokens import Tokens
from athena_core.services.asks.answers import Answers
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.catalog import Catalog
from athena_core.services.clock_jumps import ClockJumps
from athena_core.services.erasure.erasure import AGAIN, Erasure, TextTrace
from athena_core.services.execution.live_relay import LiveRelay
from athena_core.services.execution.live_text import LiveText
from athena_core.services.execution.mcp.run_mcp import McpParts
from athena_core.services.execution.outside.agent_memory import AgentMemoryWatch
from athena_core.services.execution.outside.gateways import Gateways
from athena_core.services.execution.outside.live_agents import LiveAgents
from athena_core.services.execution.runner import Runner
from athena_core.services.halts import Halts
from athena_core.services.mcp.catalogue import McpCatalogue
from athena_core.services.mcp.checks import McpChecks
from athena_core.services.memory import Memory
from athena_core.services.policies import Policies
from athena_core.services.proof.anchors import Anchors
from athena_core.services.queues.dead_letters import DeadLetters
from athena_core.services.queues.messages import Messages
from athena_core.services.queues.queues import Queues
from athena_core.services.queues.redrives import Redrives
from athena_core.services.reactors import Reactors
from athena_core.services.reviews.reviews import Reviews
from athena_core.services.runs.bulk_requests import BulkRequests
from athena_core.services.runs.runs import Runs
from athena_core.services.sandboxes import RunSandboxes
from athena_core.services.schedules.schedules import Schedules
from athena_core.services.schedules.timer import ScheduleTimer
from athena_core.services.templates import Templates
from athena_core.services.workflows.stepper import WorkflowStepper
from athena_core.services.workflows.workflows import Workflows
from athena_core.services.workspaces.applying import Applies
from athena_core.services.workspaces.cleaning import WorkspaceCleaner
from athena_core.services.workspaces.workspaces import Workspaces
from athena_core.settings import Settings
from athena_core.system.certificate import Certificate
from athena_core.system.watchdog import Watchdog
from projections.engine import replay
from projections.engine.page import PageTooLarge, inline
from projections.engine.past_reader import PastReaders
from projections.engine.views import Views, ViewsReader, at_least

T = TypeVar("T")

CATCH_UP_SECONDS_MAX = 2.0
READ_THREADS = WRITE_THREADS = 2

Digests: TypeAlias = tuple[str | None, dict[str, Position], dict[str, replay.ProjectionDigest]]
"""The generation of the views, and the position and digest of each view."""


class ControlPlane(NamedTuple):
    """The parts that operations use. ``reader`` and ``views_reader`` belong to the event loop."""

    # Shared
    settings: Settings
    mask: Mask
    credentials: Credentials
    agents: RegisteredAgents
    mcp_servers: RegisteredMcpServers
    mcp_catalogue: McpCatalogue
    mcp_parts: McpParts
    mcp_checks: McpChecks
    live_agents: LiveAgents
    agent_memory: AgentMemoryWatch
    clock: Clock
    ids: Ids
    operations: tuple[str, ...]
    """The ids of the operations, in the order of the table."""
    providers: Mapping[str, Provider]
    gateways: Gateways
    watchdog: Watchdog
    sandboxes: RunSandboxes
    workspaces: Workspaces
    certificate: Certificate | None
    """The TLS certificate of this server; None without TLS."""

    # The log and the views
    log: Log
    tail: Tail
    reader: BoundedReader
    views: Views
    views_reader: ViewsReader
    past: PastReaders[StoreReader]
    digests: SingleFlight[Digests]
    """Digests of the views. Concurrent callers share one computation, because it is the largest read of all."""
    read_threads: FairThreads
    """Threads for reads. Each competes with the event loop for the interpreter."""
    write_threads: FairThreads
    """Threads for bodies and reads of commands, so that no write waits for a read."""

    # Answers and streams
    answer_cache: AnswerCache
    answers_in_flight: ByteBudget
    streams: Streams
    feed: Feed
    transcripts: Transcripts
    live: LiveText
    relay: LiveRelay
    traffic: Traffic

    # Access and rate limits
    access: Access
    tokens: Tokens
    authentication_limits: AuthenticationLimits
    rate_limits: RateLimits
    refusal_limits: RefusalLimits

    # Services for commands
    anchors: Anchors
    answers: Answers
    bulk_requests: BulkRequests
    catalog: Catalog
    clock_jumps: ClockJumps
    dead_letters: DeadLetters
    erasure: Erasure
    halts: Halts
    memory: Memory
    messages: Messages
    permission_rules: PermissionRules
    policies: Policies
    queues: Queues
    redrives: Redrives
    reviews: Reviews
    runs: Runs
    schedules: Schedules
    templates: Templates
    token_records: TokenRecords
    workflows: Workflows
    applies: Applies
    workspace_cleaner: WorkspaceCleaner

    # Background work
    reactors: Reactors
    runner: Runner
    timer: ScheduleTimer
    workflow_stepper: WorkflowStepper

    async def reached(self, position: Position) -> None:
        """Wait until this process has seen a position of the log, which another process may have written.

        Raise CursorAhead at once for a position beyond the head of the log, and NotCaughtUp after two seconds.
        """
        if self.log.signal.position >= position:
            return
        head = self.reader.head()
        if head < position:
            details = {"position": position, "head": head}
            raise CursorAhead("minPosition is beyond the head of this log. Use a position that it answered.", details)
        with anyio.move_on_after(CATCH_UP_SECONDS_MAX):
            await self.log.signal.wait(position)
        if self.log.signal.position < position:
            details = {"position": position, "head": self.log.signal.position}
            raise NotCaughtUp("This server has not yet read the log up to minPosition. Retry later.", details)

    async def caught_up(self, names: tuple[str, ...], position: Position) -> None:
        """Wait until these projections reflect a position. Raise NotCaughtUp after two seconds."""
        await self.views_reader.wait(names, position, CATCH_UP_SECONDS_MAX)

    async def scrub(self, position: Position, seconds: float) -> tuple[TextTrace, ...]:
        """Remove text that was erased up to a position from files. Return the places where it is left.

        Views and other readers are waited for up to ``seconds`` each.
        """
        names = tuple(projection.name for projection in self.views.projections)
        late: tuple[TextTrace, ...] = ()
        try:
            await self.views_reader.wait(names, position, seconds)
        except NotCaughtUp as error:
            late = (TextTrace(place="views", reason=error.message, remedy=AGAIN),)
        return late + await self.erasure.scrub(seconds, self.views_reader.position(names))

    async def query(self, names: tuple[str, ...], read: Callable[[Connection], T]) -> tuple[T, Position]:
        """Return the result of a quick indexed read, and the position that it reflects.

        A page that is too large for the event loop is read again in a thread.
        """
        try:
            with inline():
                return self.views_reader.query(names, read)
        except PageTooLarge:
            pass
        return await self.search(names, lambda rows, _: read(rows))

    async def read(
        self, names: tuple[str, ...], position: Position, read: Callable[[Connection], T]
    ) -> tuple[T, Position]:
        """Wait until the projections reflect a position, then query."""
        await self.caught_up(names, position)
        with at_least(position):
            return await self.query(names, read)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Return the result of work of over a millisecond of CPU time, for which the caller pays. Raise ShareLimit."""
        payer = PAYER.get()
        return await (self.write_threads if payer.writes else self.read_threads).run(payer, work)

    async def search(
        self, names: tuple[str, ...], read: Callable[[Connection, BoundedReader], T]
    ) -> tuple[T, Position]:
        """Return the result of a slower read, which runs in a thread with connections of its own."""

        def work() -> tuple[T, Position]:
            log = self.log.reader()
            reader = self.views.reader(log)
            try:
                return reader.query(names, lambda rows: read(rows, log))
            finally:
                reader.close()
                log.close()

        return await self.in_thread(work)

    async def scan(self, read: Callable[[BoundedReader], T]) -> T:
        """Return the result of a read of the log, which runs in a thread with a connection of its own."""
        return await self.scan_now(read)

    async def scan_now(self, read: Callable[[StoreReader], T]) -> T:
        """Scan with all reads, also those that only show the present."""

        def work() -> T:
            log = self.log.reader()
            try:
                return read(log)
            finally:
                log.close()

        return await self.in_thread(work)

    def close(self) -> None:
        """Close the readers, then the log."""
        self.watchdog.close()
        readers = self.reactors, self.memory, self.views_reader, self.tokens, self.tail, self.catalog, self.schedules
        services = self.runs, self.templates, self.mcp_catalogue, self.answers, self.permission_rules, self.workflows
        for part in (*readers, *services, self.workflow_stepper, self.runner):
            part.close()
        self.past.forget()
        self.reader.close()
        self.views.generations.close()
        self.log.close()


def digests_of(views: Views, log: Log, threads: FairThreads) -> SingleFlight[Digests]:
    """Return the shared computation of the views' digests. It has a share of its own."""

    def work() -> Digests:
        reader = log.reader()
        try:
            generation = views.generations.current()
            return (generation, *replay.digests(views, reader, views.projections))
        finally:
            reader.close()

    return SingleFlight(partial(threads.run, SERVER, work))
