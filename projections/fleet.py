"""Read model of the fleet: counts, durations and costs."""

from collections.abc import Sequence
from typing import Annotated, Any

from athena_core.clock import iso, iso_or_none
from athena_core.event import Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import MICRO_USD
from projections.engine.projection import ONLY_ROW
from projections.fleet_rows import (
    BUDGET,
    BY_PERSONA,
    BY_PROFILE,
    BY_PROVIDER,
    BY_SESSION,
    CURRENT,
    DAY,
    HOUR,
    HOUR_MS,
    OPEN,
    OVERALL,
    PROVIDER,
    REFUSAL,
    SPEND,
    TIME,
    BudgetRow,
    CurrentCountsRow,
    HourCountsRow,
    ProviderCountsRow,
    RefusalCountRow,
    SpendRow,
    TimeCountRow,
    percentile,
)
from projections.profiles import display_name

WINDOW_HOURS = 24
BREAKDOWN_ROWS_MAX = 50

SELECT_HOURS = (
    f"SELECT {', '.join(f'coalesce(sum({column}), 0)' for column in HOUR.columns if column != 'hour')}"
    " FROM fleet_hour WHERE hour > ?"
)
SELECT_RUN_TIMES = "SELECT bucket, sum(runs) FROM fleet_run_time WHERE hour > ? GROUP BY bucket ORDER BY bucket"
SELECT_OLDEST = "SELECT min(queued_at) FROM fleet_open WHERE waiting = 1"
SELECT_SPEND = f"{SPEND.all} WHERE month = ? AND dimension = ?"
SELECT_MOST = f"{SELECT_SPEND} ORDER BY cost_micro_usd DESC, name DESC LIMIT ?"


class FleetCapabilities(Value):
    """The metrics that are available for the machines."""

    supports_pod_status: Annotated[bool, says("True if the state of pods is known.")]
    supports_cpu_mem_metrics: bool


class ResourceUsage(Value):
    """CPU cores and memory bytes; 0 if they cannot be measured."""

    cpu_usage: Annotated[float, says("CPU cores; 0 if not measured.")]
    memory_usage: Annotated[float, says("Bytes of memory; 0 if not measured.")]


class OperationalSummary(Value):
    """Active runs now, and failures and rejections in the last 24 hours."""

    total_active_runs: Annotated[int, says("Active runs of all sessions.")]
    total_active_sessions: Annotated[int, says("Sessions with an active run.")]
    aggregate_resource_usage: Annotated[ResourceUsage, says("CPU and memory of all.")]
    recent_failure_rejection_count: Annotated[int, says("Failures and rejections of the last 24 hours.")]


class Spend(Value):
    """Consumption. Dollars are estimated from a table of prices."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int


class PersonaSpend(Spend, kw_only=True):
    """Consumption of a persona."""

    persona_name: str


class ProviderSpend(Spend, kw_only=True):
    """Consumption of the calls of a provider."""

    provider: str


class ProfileSpend(Spend, kw_only=True):
    """Consumption of the runs of a harness profile; ``agent_name`` is its display name, if it has one."""

    harness_profile_id: str
    agent_name: str | None = None


class SessionSpend(Spend, kw_only=True):
    """Consumption of the runs of a session."""

    session_id: str


class TokenMix(Value):
    """Tokens of all calls. Ratios are shares of the sum of input and output tokens, 0 to 1."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_ratio: Annotated[float, says("Share of input tokens, 0 to 1.")]
    output_ratio: Annotated[float, says("Share of output tokens, 0 to 1.")]


class DaySpend(Value):
    """Cost of the UTC day so far, the amount reserved by runs, and the daily budget of the policy, if any."""

    day: Annotated[str, says("UTC day, as `2026-01-31`.")]
    spent_usd: Annotated[float, says("Dollars spent on the day.")]
    reserved_usd: Annotated[float, says("Dollars that running runs have reserved.")]
    budget_usd: Annotated[float | None, says("Daily budget of the policy in dollars; absent without one.")] = None


class CostSummary(Value):
    """Consumption since the start of the month (UTC). Breakdowns have the 50 highest costs."""

    month: Annotated[str, says("UTC month, as `2026-01`.")]
    window_start: str
    window_end: str
    total_estimated_spend_usd: Annotated[float, says("Cost of the month in dollars.")]
    persona_breakdown: Annotated[tuple[PersonaSpend, ...], says("By persona, highest cost first.")]
    provider_breakdown: Annotated[tuple[ProviderSpend, ...], says("By provider, highest cost first.")]
    profile_breakdown: Annotated[tuple[ProfileSpend, ...], says("By harness profile, highest cost first.")]
    session_breakdown: Annotated[tuple[SessionSpend, ...], says("By session, highest cost first.")]
    token_mix: Annotated[TokenMix, says("Tokens of the month.")]
    unpriced_calls: Annotated[int, says("Model calls without a known price.")]
    today: Annotated[DaySpend, says("Costs of the day.")]


class RunOutcomes(Value):
    """Number of runs by outcome."""

    completed: int
    failed: int
    cancelled: int
    timed_out: int
    crashed: int


class FleetQueue(Value):
    """Waiting work: runs and the age of the oldest, queue items, their sessions, and dead letters.

    ``withoutExecutor`` counts running runs that no executor has taken.
    """

    waiting: Annotated[int, says("Queued runs.")]
    without_executor: Annotated[int, says("Running runs that no executor has taken.")]
    sessions: Annotated[int, says("Sessions with waiting work.")]
    items: Annotated[int, says("Waiting queue items.")]
    dead_letters: Annotated[int, says("Dead letters without a decision.")]
    oldest_waiting_since: Annotated[str | None, says("When the oldest waiting run was queued; absent without one.")] = (
        None
    )


class RunTimes(Value):
    """Durations of the runs that completed in the window, in milliseconds, at most an eighth too high."""

    runs: int
    p50_ms: int | None = None
    p95_ms: int | None = None


class FleetWindow(Value):
    """Events of the window: the current hour and the 23 before it."""

    window_start: str
    admitted: int
    outcomes: RunOutcomes
    refused: Annotated[int, says("Runs that the policy refused.")]
    denied: Annotated[int, says("Requests that a role did not allow.")]
    suppressed: Annotated[int, says("Refusals that were only counted.")]
    run_times: Annotated[RunTimes, says("Durations of completed runs.")]


class FleetSummary(Value):
    """Summary of the fleet.

    ``total`` counts all runs ever admitted. ``failed`` counts those that failed, timed out or crashed, and
    ``cancelled`` those that were cancelled; ``outcomes`` has each number. ``pending`` counts sessions with waiting runs
    or queue items, and ``openAsks`` what waits for a person. ``paused`` counts runs that wait for money or a person,
    also in line after the answer. ``halted`` is true while no work may begin. ``errorRate`` is failed divided by total,
    and ``uptime`` is 1 minus that.
    """

    total: Annotated[int, says("Runs ever admitted.")]
    running: Annotated[int, says("Runs that are active.")]
    paused: Annotated[int, says("Runs that are paused.")]
    pending: Annotated[int, says("Sessions with waiting work.")]
    succeeded: Annotated[int, says("Runs that completed.")]
    failed: Annotated[int, says("Runs that ended without an answer.")]
    cancelled: int
    uptime: Annotated[float, says("1 minus `errorRate`.")]
    error_rate: Annotated[float, says("`failed` divided by `total`, 0 to 1.")]
    capabilities: Annotated[FleetCapabilities, says("Measurements that exist.")]
    operational_summary: Annotated[OperationalSummary, says("Active runs and recent failures.")]
    cost_summary: Annotated[CostSummary, says("Costs of the month.")]
    outcomes: RunOutcomes
    withdrawn: Annotated[int, says("Queued runs that ended before they were admitted.")]
    queue: Annotated[FleetQueue, says("Waiting work.")]
    recent: Annotated[FleetWindow, says("The last 24 hours.")]
    open_asks: Annotated[int, says("Asks that wait for a person.")]
    halted: Annotated[bool, says("True while no work may begin.")]
    oldest_ask_since: Annotated[str | None, says("Time of the oldest open ask; absent if none is open.")] = None


class FleetCounts(Value):
    """Counters since the log began, for metrics."""

    now: CurrentCountsRow
    providers: tuple[ProviderCountsRow, ...]
    refusals: tuple[RefusalCountRow, ...]
    times: tuple[TimeCountRow, ...]


def fleet_counts(connection: Connection) -> FleetCounts:
    return FleetCounts(
        now=CURRENT.one(connection, ONLY_ROW) or CurrentCountsRow(ONLY_ROW),
        providers=tuple(PROVIDER.load(values) for values in connection.execute(PROVIDER.scan)),
        refusals=tuple(REFUSAL.load(values) for values in connection.execute(REFUSAL.scan)),
        times=tuple(TIME.load(values) for values in connection.execute(TIME.scan)),
    )


def run_clock(connection: Connection, run_id: str) -> tuple[int | None, int | None]:
    """Return since when the time of an admitted run counts, in ms since 1970; or, while it stands, how long it ran."""
    row = OPEN.one(connection, run_id)
    if row is None or row.since is None:
        return None, None if row is None else row.elapsed_ms
    since = row.since - row.elapsed_ms
    return (since, None) if row.asked_at is None else (None, max(row.asked_at - since, 0))


def fleet_summary(
    connection: Connection, now: int, open_asks: int, oldest_ask: int | None, *, halted: bool = False
) -> FleetSummary:
    """Return the summary at a time in milliseconds since 1970 UTC, with open asks and the time of the oldest one."""
    counts = fleet_counts(connection)
    at = counts.now
    outcomes = _outcomes(counts.providers)
    total = sum(row.admitted for row in counts.providers)
    failed = outcomes.failed + outcomes.timed_out + outcomes.crashed
    rate = round(failed / total, 4) if total else 0.0
    recent = _recent(connection, now)
    ((oldest,),) = list(connection.execute(SELECT_OLDEST))
    return FleetSummary(
        total=total,
        running=at.running,
        paused=at.paused,
        pending=at.pending,
        succeeded=outcomes.completed,
        failed=failed,
        cancelled=outcomes.cancelled,
        uptime=round(1 - rate, 4) if total else 0.0,
        error_rate=rate,
        capabilities=FleetCapabilities(supports_pod_status=False, supports_cpu_mem_metrics=False),
        operational_summary=OperationalSummary(
            total_active_runs=at.running,
            total_active_sessions=at.running + at.paused,  # each run holds a session of its own
            aggregate_resource_usage=ResourceUsage(cpu_usage=0, memory_usage=0),
            recent_failure_rejection_count=recent.refused + recent.denied + recent.suppressed,
        ),
        cost_summary=_cost(connection, now),
        outcomes=outcomes,
        withdrawn=at.withdrawn,
        queue=FleetQueue(
            waiting=at.queued,
            without_executor=at.unleased,
            sessions=at.pending,
            items=at.items,
            dead_letters=at.letters,
            oldest_waiting_since=iso(oldest) if isinstance(oldest, int) else None,
        ),
        recent=recent,
        open_asks=open_asks,
        oldest_ask_since=iso_or_none(oldest_ask),
        halted=halted,
    )


def _outcomes(rows: Sequence[ProviderCountsRow | HourCountsRow]) -> RunOutcomes:
    return RunOutcomes(
        completed=sum(row.completed for row in rows),
        failed=sum(row.failed for row in rows),
        cancelled=sum(row.cancelled for row in rows),
        timed_out=sum(row.timed_out for row in rows),
        crashed=sum(row.crashed for row in rows),
    )


def _recent(connection: Connection, now: int) -> FleetWindow:
    before = now // HOUR_MS - WINDOW_HOURS
    ((*sums,),) = list(connection.execute(SELECT_HOURS, (before,)))
    window = HourCountsRow(before, *(int(number or 0) for number in sums))
    return FleetWindow(
        window_start=iso((before + 1) * HOUR_MS),
        admitted=window.admitted,
        outcomes=_outcomes((window,)),
        refused=window.refused,
        denied=window.denied,
        suppressed=window.suppressed,
        run_times=_run_times([(int(b or 0), int(n or 0)) for b, n in connection.execute(SELECT_RUN_TIMES, (before,))]),
    )


def _run_times(buckets: list[tuple[int, int]]) -> RunTimes:
    """Return percentiles of ascending buckets."""
    total = sum(runs for _, runs in buckets)
    return RunTimes(runs=total, p50_ms=percentile(buckets, total, 50), p95_ms=percentile(buckets, total, 95))


def _cost(connection: Connection, now: int) -> CostSummary:
    moment = iso(now)
    month = moment[:7]
    total = SPEND.one(connection, month, OVERALL, "") or SpendRow(month, OVERALL, "")
    both = total.input_tokens + total.output_tokens
    return CostSummary(
        month=month,
        window_start=f"{month}-01T00:00:00.000Z",
        window_end=moment,
        total_estimated_spend_usd=_dollars(total.cost_micro_usd),
        persona_breakdown=tuple(
            PersonaSpend(persona_name=row.name, **_spend_fields(row)) for row in _most(connection, month, BY_PERSONA)
        ),
        provider_breakdown=tuple(
            ProviderSpend(provider=row.name, **_spend_fields(row)) for row in _most(connection, month, BY_PROVIDER)
        ),
        profile_breakdown=tuple(
            ProfileSpend(
                harness_profile_id=row.name, agent_name=display_name(connection, row.name), **_spend_fields(row)
            )
            for row in _most(connection, month, BY_PROFILE)
        ),
        session_breakdown=tuple(
            SessionSpend(session_id=row.name, **_spend_fields(row)) for row in _most(connection, month, BY_SESSION)
        ),
        token_mix=TokenMix(
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            total_tokens=total.total_tokens,
            input_ratio=round(total.input_tokens / both, 4) if both else 0.0,
            output_ratio=round(total.output_tokens / both, 4) if both else 0.0,
        ),
        unpriced_calls=total.unpriced_calls,
        today=day_spend(connection, now),
    )


def day_spend(connection: Connection, now: int) -> DaySpend:
    """Return the cost of the UTC day of a time in milliseconds since 1970."""
    row, today = BUDGET.one(connection, ONLY_ROW) or BudgetRow(ONLY_ROW), iso(now)[:10]
    day = DAY.one(connection, today)
    return DaySpend(
        day=today,
        spent_usd=_dollars(0 if day is None else day.spent_micro_usd),
        reserved_usd=_dollars(row.reserved_micro_usd),
        budget_usd=None if row.budget_micro_usd is None else _dollars(row.budget_micro_usd),
    )


def _most(connection: Connection, month: str, dimension: str) -> list[SpendRow]:
    values: tuple[Cell, ...] = (month, dimension, BREAKDOWN_ROWS_MAX)
    return [SPEND.load(row) for row in connection.execute(SELECT_MOST, values)]


def _spend_fields(row: SpendRow) -> dict[str, Any]:
    return {
        "estimated_spend_usd": _dollars(row.cost_micro_usd),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "total_tokens": row.total_tokens,
    }


def _dollars(micro_usd: int) -> float:
    return micro_usd / MICRO_USD
