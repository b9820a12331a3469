"""The composition root: which parts there are, and what each of them takes."""

import os
import time
from functools import partial
from pathlib import Path
from socket import gethostname

import anyio
import msgspec

from athena_api.answer_cache import AnswerCache
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.traffic import Traffic
from athena_api.endpoint.operation import EVERYBODY, PREFIX
from athena_api.operations import ROLES
from athena_api.operations.redrives import PendingLetters
from athena_api.pages import METRICS_OPERATION, PAGES
from athena_api.plane import LARGE_READS_MAX, ControlPlane, digests_of
from athena_api.streams.sse import Feed, Streams
from athena_api.streams.transcripts import Transcripts
from athena_core.clock import Clock, Ids
from athena_core.domain import DECIDERS, EVENTS
from athena_core.errors import ConfigError
from athena_core.log.codec import Codec
from athena_core.log.engine import open_generations, open_leader_lock, open_store, register_executor
from athena_core.log.port import FORMAT
from athena_core.log.sqlite.store import SqliteDatabases
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.providers.mask import Mask
from athena_core.providers.prices import Prices
from athena_core.providers.registry import registry
from athena_core.roles import Roster
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
from athena_core.system.watchdog import Watchdog
from athena_core.tools.toolbox import toolbox
from athena_core.tools.workspace import open_workspace
from projections import ALL, sessions
from projections.engine.generation import GenerationFiles
from projections.engine.views import Views
from projections.memory_index import MemoryIndex

OLDER_LOOKS, OLDER_POLL_SECONDS = 40, 0.25
"""How often a start looks whether a process of an older release has ended, and how long it waits in between."""


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
