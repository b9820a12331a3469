"""Metrics in the text format of Prometheus or as OpenMetrics, without ids and without text of users or models."""

import functools
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from athena_api.edge.fields import weights
from athena_api.edge.traffic import Sample
from athena_api.operations.core import health_of
from athena_core import __version__
from athena_core.enums import RejectionReason
from athena_core.errors import NotCaughtUp
from athena_core.system.histogram import Histogram
from athena_core.values import MICRO_USD
from projections.ask_rows import AskKind
from projections.asks import oldest_open_ask, open_asks
from projections.fleet import FleetCounts, day_spend, fleet_counts
from projections.fleet_rows import FIRST_TOKEN, RUNNING, TIME_BOUNDS_MS, WAITING, ProviderCountsRow, TimeCountRow
from projections.schedules import schedule_counts

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text"
OPEN_METRICS_TYPE = f"{OPEN_METRICS}; version=1.0.0; charset=utf-8"
TOTAL = "_total"
"""The end of the names of counters. OpenMetrics leaves it out of the name of the family."""
MEMORY = Path("/proc/self/statm")
STAT = Path("/proc/self/stat")
FILES = Path("/proc/self/fd")
BOOT = Path("/proc/stat")
REASONS = get_args(RejectionReason)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class MetricFamily(NamedTuple):
    """A metric: its name, type, help text and labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


REQUESTS = MetricFamily(
    "athena_http_requests_total",
    "counter",
    "Answered requests by route template and status class. Streams count when they end.",
    ("method", "route", "status"),
)
REQUEST_TIMES = MetricFamily(
    "athena_http_request_duration_seconds",
    "histogram",
    "Duration of answers, including waits for runs and views. Streams are not included.",
    ("method", "route"),
)
EVENTS = MetricFamily("athena_log_events_appended_total", "counter", "Events that this process appended to the log.")
BATCHES = MetricFamily("athena_log_batch_events", "histogram", "Events in one commit by this process.")
COMMITS = MetricFamily("athena_log_commit_seconds", "histogram", "Time to insert a batch and make it durable.")
HEAD = MetricFamily("athena_log_head_position", "gauge", "The last position of the log.")
QUEUE = MetricFamily("athena_log_queue_transactions", "gauge", "Transactions waiting for the next batch.")
LAG = MetricFamily(
    "athena_projection_lag_events", "gauge", "Events that a projection has not applied yet.", ("projection",)
)
STOPPED = MetricFamily("athena_projection_stopped", "gauge", "1 if an event stopped the projection.", ("projection",))
STREAMS = MetricFamily("athena_streams_open", "gauge", "Open event and transcript streams.")
BLOCKS = MetricFamily(
    "athena_event_loop_blocks_total",
    "counter",
    "Blocks of the event loop for over 20 ms, by the code that was running.",
    ("operation",),
)
BLOCKED = MetricFamily(
    "athena_event_loop_block_seconds",
    "gauge",
    "Longest block of the event loop in the last one to two minutes; 0 if none exceeded 20 ms.",
)
RUNS = MetricFamily(
    "athena_runs_total",
    "counter",
    "Admitted runs that have ended, since the log began, by requested provider.",
    ("provider", "outcome"),
)
ADMITTED = MetricFamily("athena_runs_admitted_total", "counter", "Admitted runs, since the log began.", ("provider",))
OPEN_RUNS = MetricFamily("athena_runs_open", "gauge", "Runs that have not ended.", ("status",))
UNLEASED_RUNS = MetricFamily(
    "athena_runs_without_executor", "gauge", "Admitted runs that no executor has taken and that are not paused."
)
ITEMS = MetricFamily("athena_work_items", "gauge", "Items waiting in the queues of sessions.")
DRAINED = MetricFamily("athena_work_items_drained_total", "counter", "Items processed, since the log began.")
LETTERS = MetricFamily("athena_dead_letters", "gauge", "Dead letters awaiting a decision.")
BURIED = MetricFamily("athena_dead_letters_total", "counter", "Dead letters, since the log began.")
ASKS = MetricFamily("athena_asks_open", "gauge", "Asks that wait for a person's decision.", ("kind",))
OLDEST_ASK = MetricFamily("athena_asks_oldest_age_seconds", "gauge", "Age of the oldest open ask; 0 if there is none.")
HALTED = MetricFamily("athena_halted", "gauge", "1 while all work is halted.")
SCHEDULES = MetricFamily("athena_schedules", "gauge", "Schedules, by state.", ("state",))
REJECTIONS = MetricFamily(
    "athena_rejections_total", "counter", "Runs rejected by the policy, since the log began.", ("reason",)
)
DENIALS = MetricFamily("athena_denials_total", "counter", "Denied operations, since the log began.")
SUPPRESSED = MetricFamily(
    "athena_requests_suppressed_total", "counter", "Requests rejected after too many refusals, since the log began."
)
AUTH_FAILURES = MetricFamily(
    "athena_auth_failures_total", "counter", "Requests whose caller was not identified, by error code.", ("code",)
)
TOKENS = MetricFamily(
    "athena_tokens_total", "counter", "Tokens of model calls, since the log began.", ("provider", "direction")
)
COST = MetricFamily(
    "athena_cost_usd_total", "counter", "Estimated spend in dollars, since the log began.", ("provider",)
)
UNPRICED = MetricFamily(
    "athena_unpriced_calls_total", "counter", "Model calls without a known price, since the log began.", ("provider",)
)
TODAY = MetricFamily("athena_cost_today_usd", "gauge", "Estimated spend of this UTC day in dollars.")
RESERVED = MetricFamily(
    "athena_cost_reserved_usd", "gauge", "Part of the daily budget that is reserved by runs, in dollars."
)
BUDGET = MetricFamily(
    "athena_cost_budget_daily_usd", "gauge", "The daily budget of the policy in dollars, if there is one."
)
FAILURES = MetricFamily(
    "athena_background_failures_total", "counter", "Failures of background loops in this process.", ("loop",)
)
FAILING = MetricFamily("athena_background_failing", "gauge", "1 if the background loop is failing.", ("loop",))
BEHIND_LOG = MetricFamily(
    "athena_clock_behind_log_seconds", "gauge", "Seconds by which this server's clock is behind the last event."
)
JUMP = MetricFamily(
    "athena_clock_jump_seconds",
    "gauge",
    "Seconds of a forward jump of the machine's clock, until it is accepted.",
)
AGENTS = MetricFamily("athena_agents_live", "gauge", "Processes of outside agents of this server.", ("agent",))
AGENTS_MEMORY = MetricFamily(
    "athena_agents_memory_bytes", "gauge", "Resident memory of these processes and all that they started.", ("agent",)
)
AGENTS_MEMORY_MAX = MetricFamily(
    "athena_agents_memory_max_bytes", "gauge", "Limit of the memory of all outside agents of this server, if any."
)
CERTIFICATE = MetricFamily(
    "athena_tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the TLS certificate of this server expires, in seconds since 1970; absent without TLS.",
)
BUILD = MetricFamily("athena_build_info", "gauge", "1, with the version of this server.", ("version",))
RUN_TIMES = MetricFamily(
    "athena_run_duration_seconds",
    "histogram",
    "Time that ended runs took from their admission, without pauses, since the log began.",
    ("provider",),
)
WAITING_TIMES = MetricFamily(
    "athena_run_waiting_seconds",
    "histogram",
    "Time that runs waited for their admission, since the log began.",
    ("provider",),
)
FIRST_TOKEN_TIMES = MetricFamily(
    "athena_run_first_token_seconds",
    "histogram",
    "Time from a model call to the first piece of its output, since the log began.",
    ("provider",),
)
TIMES_BY_KIND = {RUNNING: RUN_TIMES, WAITING: WAITING_TIMES, FIRST_TOKEN: FIRST_TOKEN_TIMES}
STARTED = MetricFamily("process_start_time_seconds", "gauge", "When this process started, in seconds since 1970.")
CPU = MetricFamily("process_cpu_seconds_total", "counter", "CPU time of this process.")
RESIDENT = MetricFamily("process_resident_memory_bytes", "gauge", "Resident memory of this process.")
VIRTUAL = MetricFamily("process_virtual_memory_bytes", "gauge", "Virtual memory of this process.")
OPEN_FILES = MetricFamily("process_open_fds", "gauge", "Open file descriptors of this process.")
MAX_FILES = MetricFamily("process_max_fds", "gauge", "Limit of open file descriptors of this process.")
THREADS = MetricFamily("process_threads", "gauge", "Threads of this process.")

FAMILIES = (
    *(REQUESTS, REQUEST_TIMES, EVENTS, BATCHES, COMMITS, HEAD, QUEUE, LAG, STOPPED, STREAMS, BLOCKED, BLOCKS),
    *(
        RUNS,
        ADMITTED,
        RUN_TIMES,
        WAITING_TIMES,
        FIRST_TOKEN_TIMES,
        OPEN_RUNS,
        UNLEASED_RUNS,
        ITEMS,
        DRAINED,
        HALTED,
        ASKS,
        OLDEST_ASK,
        LETTERS,
        BURIED,
        SCHEDULES,
        REJECTIONS,
        DENIALS,
        SUPPRESSED,
        AUTH_FAILURES,
        TOKENS,
        COST,
        UNPRICED,
        TODAY,
        RESERVED,
        BUDGET,
        FAILURES,
        FAILING,
        BEHIND_LOG,
        JUMP,
        AGENTS,
        AGENTS_MEMORY,
        AGENTS_MEMORY_MAX,
        CERTIFICATE,
        BUILD,
        STARTED,
        CPU,
        RESIDENT,
        VIRTUAL,
        OPEN_FILES,
        MAX_FILES,
        THREADS,
    ),
)
"""All metrics, in the order of the output."""

NAMES = frozenset(family.name for family in FAMILIES)


def exposition(plane: "ControlPlane", accept: str | None = None) -> tuple[bytes, str]:
    """Return all metrics with at least one sample, and their content type: OpenMetrics if a client prefers it."""
    samples, wanted = collect(plane), weights(accept)
    chosen = wanted.get(OPEN_METRICS, 0) > 0 and wanted[OPEN_METRICS] >= wanted.get("text/plain", 0)
    lines = [line for family in FAMILIES for line in render_family(family, samples[family], open_metrics=chosen)]
    if chosen:
        lines.append("# EOF\n")
    return "".join(lines).encode(), OPEN_METRICS_TYPE if chosen else CONTENT_TYPE


def collect(plane: "ControlPlane") -> Mapping[MetricFamily, list[Sample]]:
    """Return all samples. Metrics that come from the views are left out while the views are not available."""
    log, head = plane.log, plane.reader.head()
    health = health_of(plane, head)
    samples: dict[MetricFamily, list[Sample]] = {family: [] for family in FAMILIES}
    samples[REQUESTS] += plane.traffic.counts()
    samples[REQUEST_TIMES] += plane.traffic.times()
    samples[EVENTS].append(((), log.batches.sum))
    samples[BATCHES].append(((), log.batches))
    samples[COMMITS].append(((), log.commit_times))
    samples[HEAD].append(((), head))
    samples[QUEUE].append(((), log.waiting))
    for name, projection in sorted(health.projections.items()):
        samples[LAG].append(((name,), projection.lag))
        samples[STOPPED].append(((name,), int(projection.error is not None)))
    samples[HALTED].append(((), int(plane.halts.active)))
    samples[STREAMS].append(((), plane.streams.count))
    samples[AUTH_FAILURES] += [((code,), count) for code, count in plane.authentication_limits.counts.items()]
    failing = {problem.loop for problem in log.problems.failing()}
    for loop, count in log.problems.totals().items():
        samples[FAILURES].append(((loop,), count))
        samples[FAILING].append(((loop,), int(loop in failing)))
    samples[BLOCKED].append(((), plane.watchdog.recent_seconds()))
    samples[BLOCKS] += [((operation,), count) for operation, count in sorted(plane.watchdog.blocks.copy().items())]
    samples[BEHIND_LOG].append(((), health.clock_behind_log_ms / 1000))
    samples[JUMP].append(((), health.clock_ahead_ms / 1000))
    for name, load in plane.live_agents.loads().items():
        samples[AGENTS].append(((name,), load.processes))
        samples[AGENTS_MEMORY].append(((name,), load.memory_bytes))
    if plane.live_agents.bytes_max is not None:
        samples[AGENTS_MEMORY_MAX].append(((), plane.live_agents.bytes_max))
    if plane.certificate is not None:
        samples[CERTIFICATE].append(((), plane.certificate.current.not_after // 1000))
    samples[BUILD].append(((__version__,), 1))
    for family, value in process_samples():
        samples[family].append(((), value))
    try:
        counts, _ = plane.views_reader.query(("fleet",), fleet_counts)
        today, _ = plane.views_reader.query(("fleet",), lambda rows: day_spend(rows, plane.clock.now()))
        asks, _ = plane.views_reader.query(("asks",), open_asks)
        oldest, _ = plane.views_reader.query(("asks",), oldest_open_ask)
        schedules, _ = plane.views_reader.query(("schedules",), schedule_counts)
    except NotCaughtUp:
        return samples
    for state in ("enabled", "paused", "disabled"):
        samples[SCHEDULES].append(((state,), getattr(schedules, state)))
    samples[ASKS] += [((kind,), asks.get(kind, 0)) for kind in get_args(AskKind)]
    samples[OLDEST_ASK].append(((), 0 if oldest is None else max(plane.clock.now() - oldest, 0) / 1000))
    samples[TODAY].append(((), today.spent_usd))
    samples[RESERVED].append(((), today.reserved_usd))
    if today.budget_usd is not None:
        samples[BUDGET].append(((), today.budget_usd))
    for family, sample in fleet_samples(counts, sorted(plane.providers)):
        samples[family].append(sample)
    return samples


def process_samples() -> Iterator[tuple[MetricFamily, float]]:
    """Yield the values of this process, from Linux."""
    pages = MEMORY.read_text().split()
    yield STARTED, started_at()
    yield CPU, time.process_time()
    yield RESIDENT, int(pages[1]) * PAGE_BYTES
    yield VIRTUAL, int(pages[0]) * PAGE_BYTES
    yield OPEN_FILES, sum(1 for _ in FILES.iterdir())
    yield MAX_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield THREADS, threading.active_count()


@functools.cache
def started_at() -> float:
    """Return the time at which this process started, in seconds since 1970."""
    ticks = int(STAT.read_text().rpartition(")")[2].split()[19])  # the name before it may contain anything
    boot = next(int(line.split()[1]) for line in BOOT.read_text().splitlines() if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def fleet_samples(counts: FleetCounts, registered: Sequence[str]) -> Iterator[tuple[MetricFamily, Sample]]:
    """Yield the samples of the counters of the fleet. Registered providers start at 0."""
    rows = {name: ProviderCountsRow(name) for name in registered} | {row.provider: row for row in counts.providers}
    for row in rows.values():
        yield ADMITTED, ((row.provider,), row.admitted)
        for outcome in ("completed", "failed", "cancelled", "timed_out", "crashed"):
            yield RUNS, ((row.provider, outcome.replace("_", "-")), getattr(row, outcome))
        yield TOKENS, ((row.provider, "input"), row.input_tokens)
        yield TOKENS, ((row.provider, "output"), row.output_tokens)
        yield COST, ((row.provider,), row.cost_micro_usd / MICRO_USD)
        yield UNPRICED, ((row.provider,), row.unpriced_calls)
    for status in ("queued", "running", "paused"):
        yield OPEN_RUNS, ((status,), getattr(counts.now, status))
    for family, count in (
        (UNLEASED_RUNS, counts.now.unleased),
        *((ITEMS, counts.now.items), (DRAINED, counts.now.drained)),
        *((LETTERS, counts.now.letters), (BURIED, counts.now.buried)),
    ):
        yield family, ((), count)
    for reason, runs in (dict.fromkeys(REASONS, 0) | {row.reason: row.runs for row in counts.refusals}).items():
        yield REJECTIONS, ((reason,), runs)
    for (kind, provider), histogram in _times(counts.times, registered).items():
        yield TIMES_BY_KIND[kind], ((provider,), histogram)
    yield DENIALS, ((), counts.now.denied)
    yield SUPPRESSED, ((), counts.now.suppressed)


def _times(rows: Iterable[TimeCountRow], registered: Iterable[str]) -> dict[tuple[str, str], Histogram]:
    """Return the histograms of durations by kind and provider."""
    bounds = tuple(bound / 1_000 for bound in TIME_BOUNDS_MS)
    histograms = {(kind, provider): Histogram(bounds) for kind in TIMES_BY_KIND for provider in registered}
    for row in rows:
        histogram = histograms.setdefault((row.kind, row.provider), Histogram(bounds))
        histogram.counts[row.bucket] = row.number
        histogram.sum += row.sum_ms / 1_000
    return histograms


# The text formats


def render_family(family: MetricFamily, samples: Iterable[Sample], *, open_metrics: bool = False) -> Iterator[str]:
    """Yield the lines of a metric, or nothing if there are no samples. Names of samples are the same in both formats.

    In OpenMetrics, the family of a counter lacks ``_total``. If another metric has this name, the type is unknown.
    """
    name, kind, begun = family.name, str(family.kind), False
    if open_metrics and kind == "counter":
        short = name.removesuffix(TOTAL)
        name, kind = (name, "unknown") if short in NAMES else (short, kind)
    for values, value in samples:
        if not begun:
            yield f"# HELP {name} {family.meaning}\n# TYPE {name} {kind}\n"
            begun = True
        labels = [f'{name}="{_escaped(text)}"' for name, text in zip(family.labels, values, strict=True)]
        if isinstance(value, Histogram):
            yield from _buckets(family.name, labels, value, repr if open_metrics else _number)
        else:
            yield f"{family.name}{_braced(labels)} {_number(value)}\n"


def _buckets(name: str, labels: list[str], histogram: Histogram, shown: Callable[[float], str]) -> Iterator[str]:
    total = 0
    for bound, count in zip((*histogram.bounds, float("inf")), list(histogram.counts), strict=True):
        total += count
        limit = "+Inf" if bound == float("inf") else shown(float(bound))
        bucket = _braced([*labels, f'le="{limit}"'])
        yield f"{name}_bucket{bucket} {total}\n"
    yield f"{name}_sum{_braced(labels)} {_number(histogram.sum)}\n"
    yield f"{name}_count{_braced(labels)} {total}\n"


def _braced(labels: list[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
