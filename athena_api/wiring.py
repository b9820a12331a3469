"""The composition root: it creates the parts and connects them."""

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from socket import gethostname

import msgspec

from athena_api.answer_cache import AnswerCache
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.traffic import Traffic
from athena_api.endpoint.operation import EVERYBODY, PREFIX
from athena_api.fair_threads import FairThreads
from athena_api.mcp.door import MCP_OPERATION
from athena_api.mcp.door import PATH as MCP_PATH
from athena_api.operations import RECORDED_AS, ROLES
from athena_api.operations.redrives import DeadLetterFinder
from athena_api.operations.workspaces import WorkspaceUses
from athena_api.pages import METRICS_OPERATION, PAGES
from athena_api.plane import READ_THREADS, WRITE_THREADS, ControlPlane, digests_of
from athena_api.streams.feed import Feed
from athena_api.streams.sse import Streams
from athena_api.streams.transcripts import Transcripts
from athena_core.agents.homes import AgentHomes
from athena_core.agents.registered import RegisteredAgents
from athena_core.clock import Clock, Ids
from athena_core.credentials.credentials import Credentials
from athena_core.definitions.profile import AGENT_PROVIDERS
from athena_core.domain import DECIDERS, EVENTS
from athena_core.errors import ConfigError
from athena_core.gateway.upstream import ModelServer, model_servers
from athena_core.log.codec import Codec
from athena_core.log.engine import open_generations, open_leader_lock, open_store, register_executor
from athena_core.log.port import FORMAT
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.log.writer_threads import LogDriver
from athena_core.mask import Mask
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.providers.model_choice import ModelChoice
from athena_core.providers.prices import Prices
from athena_core.providers.provider import Provider
from athena_core.providers.registry import registry
from athena_core.roles import Roster
from athena_core.services.access.access import Access
from athena_core.services.access.authentication_limits import AuthenticationLimits
from athena_core.services.access.rate_limits import RateLimits
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.access.seen_groups import SeenGroups
from athena_core.services.access.token_records import TokenRecords
from athena_core.services.access.tokens import Tokens
from athena_core.services.asks.answers import Answers
from athena_core.services.asks.expiry import AskExpiry
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.catalog import Catalog
from athena_core.services.clock_jumps import ClockJumps
from athena_core.services.context.compiler import ContextCompiler
from athena_core.services.context.history import ERASING_TYPES
from athena_core.services.erasure.erasure import Erasure
from athena_core.services.execution.agent import Agent
from athena_core.services.execution.completion import RunCompletion
from athena_core.services.execution.live_relay import LiveRelay
from athena_core.services.execution.live_text import LiveText
from athena_core.services.execution.liveness import FROZEN_SECONDS, Executors, ProcessInfo, ProcessKind, ProcessStatus
from athena_core.services.execution.mcp.run_mcp import McpParts, mcp_parts
from athena_core.services.execution.model_call import ModelCaller
from athena_core.services.execution.outside.agent_memory import AgentMemoryWatch
from athena_core.services.execution.outside.agent_process import AgentTiming
from athena_core.services.execution.outside.agent_run import AgentParts
from athena_core.services.execution.outside.earlier_session import EarlierSessions
from athena_core.services.execution.outside.gateways import Gateways
from athena_core.services.execution.outside.live_agents import LiveAgents
from athena_core.services.execution.outside.outside_agent import OutsideAgent
from athena_core.services.execution.performer import Performers
from athena_core.services.execution.runner import Runner
from athena_core.services.halts import Halts
from athena_core.services.mcp.catalogue import McpCatalogue
from athena_core.services.mcp.checks import McpChecks
from athena_core.services.mcp.starting import McpStarter
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
from athena_core.services.runs.bulk_requests import BulkRequests
from athena_core.services.runs.runs import Runs
from athena_core.services.runs.waiting import RunWaiters
from athena_core.services.sandboxes import RunSandboxes, check_boxed, limits_of, must_be_boxed, programs_trusted
from athena_core.services.schedules.schedules import Schedules
from athena_core.services.schedules.timer import ScheduleTimer
from athena_core.services.templates import Templates
from athena_core.services.workflows.stepper import WorkflowStepper
from athena_core.services.workflows.workflows import Workflows
from athena_core.services.workspaces.applying import Applies
from athena_core.services.workspaces.cleaning import WorkspaceCleaner
from athena_core.services.workspaces.places import WorkspacePlaces, delete_directory
from athena_core.services.workspaces.usage import DiskUsage
from athena_core.services.workspaces.workspaces import Workspaces
from athena_core.settings import Settings, secrets_of
from athena_core.system.certificate import Certificate
from athena_core.system.watchdog import Watchdog
from athena_core.tools.toolbox import toolbox
from athena_core.tools.workspace import open_workspace
from projections import ALL, sessions
from projections.engine.generation import GenerationFiles
from projections.engine.past_reader import PastReaders
from projections.engine.views import Views
from projections.memory_index import MemoryIndex

OLDER_LOOKS, OLDER_POLL_SECONDS = 40, 0.25
"""How often a start checks if a process of an older release has ended, and the pause between the checks."""


def wire(
    settings: Settings,
    clock: Clock,
    ids: Ids,
    *,
    kind: ProcessKind = "server",
    serves: tuple[str, ...] = (),
    frozen_seconds: float = FROZEN_SECONDS,
    driver: LogDriver | None = None,
) -> ControlPlane:
    """Open the log and connect the parts, without running anything. Raise ConfigError.

    ``serves`` names the providers whose runs are executed here; all if empty. ``driver`` replaces the log's threads.
    """
    wiring = Wiring(settings, clock, ids, serves, serving=kind == "server")
    wiring.open_log(driver)
    wiring.wire_access()
    wiring.wire_files()
    wiring.wire_views()
    wiring.wire_memory()
    wiring.wire_executor(kind, serves, frozen_seconds)
    wiring.wire_runs()
    wiring.wire_queues()
    wiring.wire_workflows()
    wiring.wire_schedules()
    wiring.wire_workspaces()
    wiring.wire_streams()
    wiring.wire_reactors()
    wiring.wire_erasure()
    wiring.wire_upkeep()
    parts = wiring.parts()
    refuse_older(parts, looks=OLDER_LOOKS if kind != "command" else 1)
    return parts


class Wiring:
    """The parts during construction, one method for each group, in the order of the calls in ``wire``.

    The order is part of the behaviour: listeners of the tail receive an event in the order of their creation.
    """

    def __init__(self, settings: Settings, clock: Clock, ids: Ids, serves: tuple[str, ...], *, serving: bool) -> None:
        """Create the parts that need no log. Raise ConfigError."""
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self.mask = Mask(secrets_of(settings), shapes=settings.mask_secrets)
        self.credentials = Credentials(settings.credentials_file, self.mask, monotonic=clock.monotonic)
        self.agents = RegisteredAgents(settings.agents)
        self.mcp_servers = RegisteredMcpServers(settings.mcp_servers)
        self.agent_homes = AgentHomes(settings.state_dir, delete_directory)
        self.live_agents = LiveAgents(clock, lambda: self.agents.names, settings.agents_memory_bytes_max or None)
        self.providers = providers_of(settings, self.mask, serves)
        self.names = frozenset(self.providers)
        self.destinations = destinations_of(settings.anchor_to)
        check_outside(self.destinations, settings.state_dir)
        self.operations = tuple(ROLES)
        cert, key = settings.tls_cert_file, settings.tls_key_file
        self.certificate = Certificate(cert, key) if serving and cert is not None and key is not None else None
        self.prices = Prices.load()
        self.gateways = Gateways(servers_of(settings), self.prices, clock, ids)
        self.answer_cache = AnswerCache()
        self.answers_in_flight = ByteBudget(settings.answers_in_flight_bytes_max)
        self.read_threads = FairThreads("reads", READ_THREADS)
        self.write_threads = FairThreads("writes", WRITE_THREADS)
        self.rate_limits = RateLimits(clock, settings.requests_per_second if settings.auth_enabled else None)
        self.traffic = Traffic([*PAGES, MCP_PATH], PREFIX)
        self.watchdog = Watchdog()

    def open_log(self, driver: LogDriver | None) -> None:
        """Open the log, and connect the parts that follow it. Raise ConfigError."""
        settings = self.settings
        self.log = Log(
            open_store(settings.state_dir, settings.database_url, self.ids),
            Codec(EVENTS),
            DECIDERS,
            clock=self.clock,
            ids=self.ids,
            key_hours=settings.idempotency_hours,
            driver=driver,
        )
        if not settings.accept_fork:
            self.log.anchor.check()
        self.tail = Tail(self.log)
        self.live = LiveText(self.tail, self.log.signal)
        self.reader = self.log.reader()
        executes = settings.executor == "inline"
        self.catalog = Catalog(
            self.log,
            self.ids,
            self.names,
            lambda: self.credentials.names if self.credentials.configured or executes else None,
            lambda: self.agents.providers if self.agents.configured or executes else None,
            lambda: self.mcp_servers.names if self.mcp_servers.configured or executes else None,
            check_boxed if must_be_boxed(self.settings) else lambda _: None,
        )
        self.mcp_catalogue = McpCatalogue(self.log, self.tail)
        self.mcp_starter = McpStarter(self.credentials, self.mask)
        self.permission_rules = PermissionRules(self.log)

    def wire_access(self) -> None:
        """Connect access control, and the limits of requests and refusals."""
        settings = self.settings
        roster = Roster(
            enabled=settings.auth_enabled,
            roles=settings.auth_identity_role_map,
            default=settings.auth_default_role,
            file=settings.auth_role_map_file,
            groups=settings.auth_group_role_map,
        )
        self.refusal_limits = RefusalLimits(
            self.log,
            self.clock,
            self.ids,
            settings.refusals_per_second,
            settings.refusals_per_day,
            settings.refusals_per_day_in_all,
            RECORDED_AS,
        )
        self.authentication_limits = AuthenticationLimits(self.log, self.clock, self.ids)
        self.tokens = Tokens(
            self.log, self.tail, self.clock, self.ids, roster, self.authentication_limits, settings.auth_api_token
        )
        roles = {**ROLES, METRICS_OPERATION: EVERYBODY, MCP_OPERATION: EVERYBODY}
        strict = settings.authz_default_decision == "deny"
        self.access = Access(
            self.log,
            roles,
            roster,
            self.refusal_limits,
            names=RECORDED_AS,
            mode=settings.authz_mode,
            strict=strict,
            seen_groups=SeenGroups(self.log, self.tail),
        )
        self.token_records = TokenRecords(self.log, self.ids, roster, lambda: self.tokens.api_token_parent)

    def wire_executor(self, kind: ProcessKind, serves: tuple[str, ...], frozen_seconds: float) -> None:
        """Connect the agent and its executor, and register this process as a worker."""
        settings = self.settings
        self.compiler = ContextCompiler(settings, self.log.codec, self.reader, lambda: self.tail.position)
        about = ProcessInfo(
            kind=kind,
            host=gethostname(),
            pid=os.getpid(),
            providers=tuple(
                sorted(serves or (AGENT_PROVIDERS if self.agents.configured else frozenset()) | self.names)
            ),
            concurrency=settings.executor_max_runs if settings.executor == "inline" else 0,
            since=self.clock.now(),
            format=FORMAT,
            agents=self.live_agents.room().shown,
        )
        executor = self.ids.new("exe")
        registry = register_executor(settings.state_dir, settings.database_url, executor, msgspec.json.encode(about))
        self.tools = toolbox(self.credentials)
        self.sandboxes = RunSandboxes(
            required=settings.runtime_isolation_standard_require_sandbox,
            programs_trusted=programs_trusted(settings),
            limits=limits_of(settings),
        )
        self.mcp_parts = self._mcp_parts()
        agent = Agent(
            self.compiler,
            ModelCaller(self.providers, self.prices, self.clock, self.ids),
            self.providers,
            self.workspaces,
            self.ids,
            self.clock,
            self.mask,
            self.permission_rules,
            self.sandboxes,
            self.mcp_parts,
            self.live.append,
            self.memory.recall if settings.memory_enabled else None,
        )
        executors = Executors(registry, self.clock, frozen_seconds)
        self.waiters = RunWaiters(self.tail)
        performers = Performers(agent, self._outside_agent())
        self.runner = Runner(
            self.log,
            self.tail,
            self.waiters,
            self.catalog,
            performers,
            executors,
            self.clock,
            self.ids,
            about=about,
            room=self.live_agents.room,
        )
        self.agent_memory = AgentMemoryWatch(self.live_agents, self.log, self.reader, self.runner, self.ids)

    def _mcp_parts(self) -> McpParts:
        """Return the parts of the MCP servers of runs."""
        servers, catalogue, starter = self.mcp_servers, self.mcp_catalogue, self.mcp_starter
        show = self.live.show
        return mcp_parts(self.tools, servers, catalogue, starter, self.sandboxes, self.mask, self.ids, self.clock, show)

    def _outside_agent(self) -> OutsideAgent:
        """Return the performer of the runs of outside agents."""
        parts = AgentParts(
            known=self.agents.find,
            gateway=self.gateways.of_run,
            homes=self.agent_homes,
            earlier=EarlierSessions(self.reader, self.log.codec),
            live=self.live_agents,
            compiler=self.compiler,
            mcp=self.mcp_parts,
            completion=RunCompletion(self.tools, self.workspaces, self.ids, self.mask),
            rules=self.permission_rules,
            mask=self.mask,
            clock=self.clock,
            ids=self.ids,
            show=self.live.append,
            show_activity=self.live.show,
            timing=AgentTiming(),
        )
        return OutsideAgent(parts, self.workspaces, self.sandboxes)

    def wire_runs(self) -> None:
        """Connect the admission of runs, templates, policies and the halt."""
        self.runs = Runs(
            self.log,
            self.catalog,
            self.access,
            self.settings,
            self.ids,
            self.names,
            ModelChoice(self.providers, self.clock.monotonic, self.settings.default_provider),
            self.prices,
            self.mask,
            self.workspaces,
            self.compiler,
            self.waiters,
            self.runner,
            self.mcp_catalogue.pins,
        )
        self.answers = Answers(self.log, self.runner, self.access, self.mcp_parts.tools_of, self.mask, self.ids)
        self.templates = Templates(self.log, self.catalog, self.runs, self.ids)
        self.policies = Policies(self.log, self.catalog, self.names | AGENT_PROVIDERS, self.runs)
        self.halts = Halts(self.log, self.reader, self.runner)

    def wire_files(self) -> None:
        """Connect the directories that tools and agents work in, and what reads files in them."""
        settings = self.settings
        self.workspace = open_workspace(settings)
        self.credentials.connect(self.log.problems, self.workspace.close)
        self.workspace_places = WorkspacePlaces(settings.workspaces_dir or settings.state_dir / "workspaces")
        own = self.workspace_places.directory
        self.workspace_usage = DiskUsage(own, settings.workspaces_bytes_max)
        self.workspaces = Workspaces(self.log, self.workspace, settings, self.ids, own, self.workspace_usage)
        limits = limits_of(settings)
        self.mcp_checks = McpChecks(self.mcp_servers, self.mcp_starter, self.mcp_catalogue, self.workspace, limits)
        self.personas = PersonaFiles(self.workspace)
        self.notes = NoteFiles(self.workspace, self.clock, self.mask)

    def wire_views(self) -> None:
        log, url, directory = self.log, self.settings.database_url, self.settings.state_dir / "views"
        directory.mkdir(exist_ok=True, mode=0o700)
        self.databases = SqliteDatabases()
        self.generations = GenerationFiles(directory, self.databases) if url is None else open_generations(url)
        self.views = Views(self.generations, log.recent_reader, log.codec.decode, self.clock, ALL, log.signal)
        self.views_reader = self.views.reader(self.reader)
        self.past = PastReaders(self.views, log.reader)
        self.digests = digests_of(self.views, log, self.read_threads)

    def wire_memory(self) -> None:
        """Connect memory and the search in it."""
        settings, log = self.settings, self.log
        self.index = MemoryIndex(
            Path(settings.memory_sqlite_path or settings.state_dir / "memory" / "index.sqlite"),
            self.databases,
            self.views,
            self.notes,
            partial(sessions.messages_after, log_id=log.log_id) if settings.memory_include_transcripts else None,
            snippet_chars_max=settings.memory_max_snippet_chars,
        )
        self.memory = Memory(log, self.ids, settings, self.notes, self.index)

    def wire_queues(self) -> None:
        """Connect queues, messages, dead letters and redrives."""
        settings = self.settings
        self.queues = Queues(self.log, self.reader, self.tail, self.runs, self.ids, self.names)
        self.messages = Messages(
            self.log, self.reader, self.runs, self.personas, self.ids, hops_max=settings.a2a_max_hops
        )
        self.queue_drainer = QueueDrainer(
            self.log,
            self.reader,
            self.runs,
            self.queues,
            self.messages,
            self.access,
            self.clock,
            self.ids,
            attempts_max=settings.work_max_attempts,
            retry_seconds=settings.a2a_retry_ms / 1000,
        )
        self.dead_letters = DeadLetters(self.log, self.reader, self.ids)
        finder = DeadLetterFinder(self.views_reader, self.reader)
        self.bulk_requests = BulkRequests(self.log, self.runs, self.ids)
        self.redrives = Redrives(self.log, self.dead_letters, finder, self.access, self.clock, self.ids)

    def wire_workflows(self) -> None:
        settings = self.settings
        self.workflows = Workflows(self.log, self.tail, self.catalog, self.runs, self.access, self.ids)
        self.workflow_stepper = WorkflowStepper(
            self.log,
            self.catalog,
            self.runs,
            self.workflows,
            self.access,
            self.clock,
            self.ids,
            settings.workflow_items_max,
        )
        self.reviews = Reviews(
            self.log,
            self.reader,
            self.tail,
            self.runs,
            self.personas,
            self.access,
            settings,
            self.ids,
            self.mask,
            self.workspaces,
            self.catalog,
            self.sandboxes,
        )

    def wire_schedules(self) -> None:
        """Connect schedules and their timer."""
        self.schedules = Schedules(
            self.log,
            self.tail,
            self.runs,
            self.templates,
            self.workflows,
            self.catalog,
            self.access,
            self.clock,
            self.ids,
            self.settings,
        )
        self.timer = ScheduleTimer(self.schedules, self.clock)

    def wire_workspaces(self) -> None:
        """Connect what happens to workspaces after runs: to apply their changes, keep and clean them."""
        settings = self.settings
        self.applies = Applies(self.log, self.workspace_places, self.workspace)
        self.workspace_cleaner = WorkspaceCleaner(
            self.log,
            self.tail,
            self.workspace_places,
            self.agent_homes,
            WorkspaceUses(self.views_reader, self.reader),
            self.clock,
            self.ids,
            keep_hours=settings.workspaces_keep_hours or 0,
        )

    def wire_streams(self) -> None:
        """Connect the feed, transcripts and live text."""
        settings = self.settings
        self.feed = Feed(self.tail, self.reader)
        self.transcripts = Transcripts(self.feed, self.live, self.views_reader, self.log.log_id)
        self.relay = LiveRelay(self.live, self.log.store.channel(), self.log.problems)
        self.streams = Streams(
            self.answers_in_flight,
            streams_max=settings.streams_max,
            per_identity_max=settings.streams_per_identity_max,
        )

    def wire_reactors(self) -> None:
        """Connect the reactors, which run in the leading process."""
        asks = AskExpiry(self.log, self.permission_rules, self.runner, self.clock, self.ids)
        self.reactors = Reactors(
            open_leader_lock(self.settings.state_dir, self.settings.database_url, "reactor"),
            self.tail,
            (
                self.queue_drainer,
                self.redrives,
                self.workflow_stepper,
                self.reviews,
                self.timer,
                asks,
                self.workspace_cleaner,
            ),
            self.clock,
            self.log.problems,
            self.log.reader,
        )

    def wire_erasure(self) -> None:
        """Connect erasure to every place that holds copies of text."""
        self.erasure = Erasure(
            self.settings.state_dir,
            self.log,
            self.generations,
            self.index,
            {
                "histories": self.compiler.histories.forget,
                "past": self.past.forget,
                "answers": lambda: self.answer_cache.forget(self.log.signal.position),
                "recent rows": self.log.recent.clear,
                "segments of the feed": self.feed.segments.forget,
                "permission rules": self.permission_rules.forget,
                "MCP servers": self.mcp_catalogue.forget,
                "inputs of workflows": self.workflow_stepper.forget,
            },
            self.clock,
            self.agent_homes,
            self.workspace_cleaner.remove_directories,
        )
        self.tail.subscribe(self.erasure.forget, ERASING_TYPES)

    def wire_upkeep(self) -> None:
        """Connect anchors and clock jumps."""
        sender = Sender.of(self.settings)
        self.anchors = Anchors(self.log, self.clock, sender, self.destinations, self.settings.anchor_seconds)
        self.clock_jumps = ClockJumps(self.log, self.tail, self.clock)

    def parts(self) -> ControlPlane:
        """Return the parts that operations use."""
        return ControlPlane(
            settings=self.settings,
            mask=self.mask,
            credentials=self.credentials,
            agents=self.agents,
            mcp_servers=self.mcp_servers,
            mcp_catalogue=self.mcp_catalogue,
            mcp_parts=self.mcp_parts,
            mcp_checks=self.mcp_checks,
            live_agents=self.live_agents,
            agent_memory=self.agent_memory,
            clock=self.clock,
            ids=self.ids,
            operations=self.operations,
            providers=self.providers,
            gateways=self.gateways,
            watchdog=self.watchdog,
            sandboxes=self.sandboxes,
            workspaces=self.workspaces,
            certificate=self.certificate,
            log=self.log,
            tail=self.tail,
            reader=self.reader,
            views=self.views,
            views_reader=self.views_reader,
            past=self.past,
            digests=self.digests,
            read_threads=self.read_threads,
            write_threads=self.write_threads,
            answer_cache=self.answer_cache,
            answers_in_flight=self.answers_in_flight,
            streams=self.streams,
            feed=self.feed,
            transcripts=self.transcripts,
            live=self.live,
            relay=self.relay,
            traffic=self.traffic,
            access=self.access,
            tokens=self.tokens,
            authentication_limits=self.authentication_limits,
            rate_limits=self.rate_limits,
            refusal_limits=self.refusal_limits,
            anchors=self.anchors,
            answers=self.answers,
            bulk_requests=self.bulk_requests,
            catalog=self.catalog,
            clock_jumps=self.clock_jumps,
            dead_letters=self.dead_letters,
            erasure=self.erasure,
            halts=self.halts,
            memory=self.memory,
            messages=self.messages,
            permission_rules=self.permission_rules,
            policies=self.policies,
            queues=self.queues,
            redrives=self.redrives,
            reviews=self.reviews,
            runs=self.runs,
            schedules=self.schedules,
            templates=self.templates,
            token_records=self.token_records,
            workflows=self.workflows,
            applies=self.applies,
            workspace_cleaner=self.workspace_cleaner,
            reactors=self.reactors,
            runner=self.runner,
            timer=self.timer,
            workflow_stepper=self.workflow_stepper,
        )


def providers_of(settings: Settings, mask: Mask, serves: tuple[str, ...]) -> Mapping[str, Provider]:
    """Return the providers. Raise ConfigError if a setting or ``serves`` names an unknown one."""
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
    for place, names in (
        ("ATHENA_DEFAULT_PROVIDER", (settings.default_provider,)),
        ("ATHENA_PROVIDER_FALLBACK_ORDER", settings.provider_fallback_order),
        ("--providers", serves),
    ):
        for name in names:
            if name not in providers and (name not in AGENT_PROVIDERS or names is not serves):
                raise ConfigError(f"{place}: {name!r} is not one of {known}")
    return providers


def servers_of(settings: Settings) -> Mapping[str, ModelServer]:
    """Return the servers of models that outside agents ask through their gateways."""
    return model_servers(
        openai_api_key=settings.openai_api_key,
        openai_base_url=settings.openai_base_url,
        anthropic_api_key=settings.anthropic_api_key,
        anthropic_base_url=settings.anthropic_base_url,
        gemini_api_key=settings.gemini_api_key,
        gemini_base_url=settings.gemini_base_url,
    )


def refuse_older(parts: ControlPlane, *, looks: int) -> None:
    """Close the parts and raise ConfigError if a process of an older release has the log open.

    Releases before 0.2 check the format only at their start. Such a process may end between two ``looks``.
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
    """Return the processes that would not notice the new format."""
    if parts.log.store.format >= FORMAT:
        return []
    return [one for one in parts.runner.executors.processes() if one.about.format < FORMAT and not one.lost]
