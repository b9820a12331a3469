"""The fleet: how many runs there are and were, how long they took and what they cost, in counters.

Nothing is scanned: the cost of a summary does not grow with the number of runs. Rows of runs are kept while they are
open; what happened is counted by hour, so that a window of 24 hours is the present hour and the 23 before it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from athena_core.clock import iso
from athena_core.domain.dead_letter import (
    DeadLetterAdded,
    DeadLetterDiscarded,
    DeadLetterRequeued,
    DeadLetterRestored,
)
from athena_core.domain.plane import AuthzDenied, RequestsSuppressed
from athena_core.domain.policy import PolicyUpdated
from athena_core.domain.queue import WorkBatchDeadLettered, WorkEnqueued, WorkItemDrained
from athena_core.domain.run import (
    BudgetReserved,
    PolicyRejected,
    RunCancelled,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunPaused,
    RunQueued,
    RunResumed,
    RunTimedOut,
    UsageRecorded,
)
from athena_core.event import Event, Recorded, Value
from athena_core.protocols import Cell, Connection
from athena_core.values import MICRO_USD
from projections.engine.projection import Projection, Rows, Table

HOUR_MS = 3_600_000
WINDOW_HOURS = 24
BREAKDOWN_ROWS_MAX = 50
NOW = 1


class NowRow(msgspec.Struct, gc=False):
    """What is at work and what waits (there is one row); ``pending`` counts sessions in which runs or items wait."""

    row: int
    running: int = 0
    paused: int = 0
    queued: int = 0
    pending: int = 0
    withdrawn: int = 0
    denied: int = 0
    suppressed: int = 0
    items: int = 0
    drained: int = 0
    letters: int = 0
    buried: int = 0


class OpenRow(msgspec.Struct, gc=False):
    """A run that has not ended. Its clock ran for ``elapsed_ms`` and, unless it stands, since ``since``."""

    run_id: str
    session_id: str
    harness_profile_id: str
    provider: str
    waiting: bool
    queued_at: int
    since: int | None
    elapsed_ms: int = 0
    persona: str | None = None
    reserved_micro_usd: int = 0


class BudgetRow(msgspec.Struct, gc=False):
    """The daily budget of the policy in force, and what runs have set aside of it (there is one row)."""

    row: int
    reserved_micro_usd: int = 0
    budget_micro_usd: int | None = None


class DayRow(msgspec.Struct, gc=False):
    """What was spent on a UTC day (``2026-01-31``)."""

    day: str
    spent_micro_usd: int = 0


class PendingRow(msgspec.Struct, gc=False):
    """A session in which runs wait, or items of its queue, and how many."""

    session_id: str
    waiting: int


class ProviderRow(msgspec.Struct, gc=False):
    """What became of the runs that asked for a provider, and what its calls consumed, since the beginning."""

    provider: str
    admitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed_out: int = 0
    crashed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0
    unpriced_calls: int = 0


class RefusalRow(msgspec.Struct, gc=False):
    """How many runs were refused for a reason."""

    reason: str
    runs: int = 0


class HourRow(msgspec.Struct, gc=False):
    """What happened within an hour since 1970 UTC."""

    hour: int
    admitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed_out: int = 0
    crashed: int = 0
    denied: int = 0
    refused: int = 0
    suppressed: int = 0


class RunTimeRow(msgspec.Struct, gc=False):
    """How many runs that completed within an hour took so long; the number of the bucket says how long."""

    hour: int
    bucket: int
    runs: int = 0


class SpendRow(msgspec.Struct, gc=False):
    """What was consumed in a month (``2026-01``, UTC) by a provider, profile, session, persona, or all (no name)."""

    month: str
    dimension: str
    name: str
    cost_micro_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    calls: int = 0
    unpriced_calls: int = 0


NOW_TABLE = Table("fleet_now", NowRow, key=("row",), kept=True)
OPEN = Table("fleet_open", OpenRow, key=("run_id",), indexes=(("waiting", "queued_at"),), kept=True)
PENDING = Table("fleet_pending", PendingRow, key=("session_id",))
PROVIDER = Table("fleet_provider", ProviderRow, key=("provider",))
REFUSAL = Table("fleet_refusal", RefusalRow, key=("reason",))
HOUR = Table("fleet_hour", HourRow, key=("hour",))
RUN_TIME = Table("fleet_run_time", RunTimeRow, key=("hour", "bucket"))
SPEND = Table(
    "fleet_spend", SpendRow, key=("month", "dimension", "name"), indexes=(("month", "dimension", "cost_micro_usd"),)
)
BUDGET = Table("fleet_budget", BudgetRow, key=("row",), kept=True)
DAY = Table("fleet_day", DayRow, key=("day",))
FLEET = Projection(
    "fleet", version=4, tables=(NOW_TABLE, OPEN, BUDGET, DAY, PENDING, PROVIDER, REFUSAL, HOUR, RUN_TIME, SPEND)
)

SELECT_HOURS = (
    f"SELECT {', '.join(f'coalesce(sum({column}), 0)' for column in HOUR.columns if column != 'hour')}"
    " FROM fleet_hour WHERE hour > ?"
)
SELECT_RUN_TIMES = "SELECT bucket, sum(runs) FROM fleet_run_time WHERE hour > ? GROUP BY bucket ORDER BY bucket"
SELECT_OLDEST = "SELECT min(queued_at) FROM fleet_open WHERE waiting = 1"
SELECT_SPEND = f"{SPEND.all} WHERE month = ? AND dimension = ?"
SELECT_MOST = f"{SELECT_SPEND} ORDER BY cost_micro_usd DESC, name DESC LIMIT ?"

OVERALL = "all"
BY_PROVIDER = "provider"
BY_PROFILE = "profile"
BY_SESSION = "session"
BY_PERSONA = "persona"


# Durations in buckets: exact below 8 ms, then eight to each doubling, so that a bucket is at most an eighth too long.

FINE_BITS = 3
FINE = 1 << FINE_BITS


def bucket_of(milliseconds: int) -> int:
    """The number of the bucket of a duration."""
    length = max(milliseconds, 0)
    shift = max(length.bit_length() - FINE_BITS - 1, 0)
    return shift * FINE + (length >> shift)


def longest_of(bucket: int) -> int:
    """The longest duration in a bucket, in milliseconds."""
    shift = max(bucket // FINE - 1, 0)
    return ((bucket - shift * FINE + 1) << shift) - 1


# From events to rows


@FLEET.on(RunQueued)
def run_queued(rows: Rows, recorded: Recorded[RunQueued]) -> None:
    """A run waits."""
    rows.append(OPEN, _open(recorded, recorded.event, waiting=True))
    _wait(rows, recorded.event.session_id, 1)


@FLEET.on(RunCreated)
def run_created(rows: Rows, recorded: Recorded[RunCreated]) -> None:
    """A run was admitted, at once or after it waited."""
    event = recorded.event
    if recorded.version == 1:
        rows.append(OPEN, _open(recorded, event, waiting=False))
    else:
        row = rows.change(OPEN, recorded.stream)
        row.waiting, row.since = False, recorded.at
        _wait(rows, event.session_id, -1)
    now = _now(rows)
    now.running += 1
    rows.tally(PROVIDER, event.provider).admitted += 1
    _hour(rows, recorded).admitted += 1


@FLEET.on(BudgetReserved)
def budget_reserved(rows: Rows, recorded: Recorded[BudgetReserved]) -> None:
    """A part of the day's budget is set aside."""
    row = rows.change(OPEN, recorded.stream)
    _release(rows, row)
    row.reserved_micro_usd = recorded.event.reserved_micro_usd
    _budget(rows).reserved_micro_usd += row.reserved_micro_usd


@FLEET.on(PolicyUpdated)
def policy_updated(rows: Rows, recorded: Recorded[PolicyUpdated]) -> None:
    """Another budget holds."""
    dollars = recorded.event.after.cost_budget_daily_usd
    _budget(rows).budget_micro_usd = max(round(dollars * MICRO_USD), 1) if dollars else None


@FLEET.on(RunPaused)
def run_paused(rows: Rows, recorded: Recorded[RunPaused]) -> None:
    """A run's clock stands."""
    row = rows.change(OPEN, recorded.stream)
    row.since, row.elapsed_ms = None, recorded.event.elapsed_ms
    _release(rows, row)
    now = _now(rows)
    now.running -= 1
    now.paused += 1


@FLEET.on(RunResumed)
def run_resumed(rows: Rows, recorded: Recorded[RunResumed]) -> None:
    """A run's clock goes on."""
    row = rows.change(OPEN, recorded.stream)
    row.since = recorded.at
    now = _now(rows)
    now.running += 1
    now.paused -= 1


@FLEET.on(UsageRecorded)
def usage_recorded(rows: Rows, recorded: Recorded[UsageRecorded]) -> None:
    """Tokens and money went."""
    event = recorded.event
    row = rows.need(OPEN, recorded.stream)
    given, taken = event.usage.input_tokens or 0, event.usage.output_tokens or 0
    total = event.usage.total_tokens or given + taken
    cost, unpriced = event.cost_micro_usd or 0, int(event.cost_micro_usd is None)
    month = iso(recorded.at)[:7]
    spent = (
        (OVERALL, ""),
        (BY_PROVIDER, event.provider),
        (BY_PROFILE, row.harness_profile_id),
        (BY_SESSION, row.session_id),
        *(((BY_PERSONA, row.persona),) if row.persona is not None else ()),
    )
    for dimension, name in spent:
        spend = rows.tally(SPEND, month, dimension, name)
        spend.cost_micro_usd += cost
        spend.input_tokens += given
        spend.output_tokens += taken
        spend.total_tokens += total
        spend.calls += 1
        spend.unpriced_calls += unpriced
    provider = rows.tally(PROVIDER, event.provider)
    provider.input_tokens += given
    provider.output_tokens += taken
    provider.cost_micro_usd += cost
    provider.unpriced_calls += unpriced
    if row.reserved_micro_usd or cost > 0:
        _release(rows, row)
        rows.tally(DAY, iso(recorded.at)[:10]).spent_micro_usd += max(cost, 0)


@FLEET.on(RunCompleted)
def run_completed(rows: Rows, recorded: Recorded[RunCompleted]) -> None:
    """A run ended with an answer: it counts in the times that runs take."""
    row = _ended(rows, recorded, "completed")
    took = row.elapsed_ms + (max(recorded.at - row.since, 0) if row.since is not None else 0)
    hour, bucket = recorded.at // HOUR_MS, bucket_of(took)
    rows.tally(RUN_TIME, hour, bucket).runs += 1


@FLEET.on(RunFailed)
def run_failed(rows: Rows, recorded: Recorded[RunFailed]) -> None:
    """A run ended with an error."""
    _ended(rows, recorded, "failed")


@FLEET.on(RunCancelled)
def run_cancelled(rows: Rows, recorded: Recorded[RunCancelled]) -> None:
    """A run was stopped, or withdrawn before it was admitted."""
    _ended(rows, recorded, "cancelled")


@FLEET.on(RunTimedOut)
def run_timed_out(rows: Rows, recorded: Recorded[RunTimedOut]) -> None:
    """A run took too long."""
    _ended(rows, recorded, "timed_out")


@FLEET.on(RunCrashed)
def run_crashed(rows: Rows, recorded: Recorded[RunCrashed]) -> None:
    """A run lost its executor."""
    _ended(rows, recorded, "crashed")


@FLEET.on(WorkEnqueued)
def work_enqueued(rows: Rows, recorded: Recorded[WorkEnqueued]) -> None:
    """An item waits."""
    _now(rows).items += 1
    _pend(rows, recorded.session_id or "", 1)


@FLEET.on(WorkItemDrained)
def work_item_drained(rows: Rows, recorded: Recorded[WorkItemDrained]) -> None:
    """An item is done."""
    now = _now(rows)
    now.items -= 1
    now.drained += 1
    _pend(rows, recorded.session_id or "", -1)


@FLEET.on(WorkBatchDeadLettered)
def work_batch_buried(rows: Rows, recorded: Recorded[WorkBatchDeadLettered]) -> None:
    """Items became a dead letter."""
    count = len(recorded.event.item_ids)
    _now(rows).items -= count
    _pend(rows, recorded.session_id or "", -count)


@FLEET.on(DeadLetterAdded)
def dead_letter_added(rows: Rows, recorded: Recorded[DeadLetterAdded]) -> None:
    """Something could not be done."""
    now = _now(rows)
    now.letters += 1
    now.buried += 1


@FLEET.on(DeadLetterRequeued, DeadLetterDiscarded, DeadLetterRestored)
def dead_letter_decided(
    rows: Rows, recorded: Recorded[DeadLetterRequeued | DeadLetterDiscarded | DeadLetterRestored]
) -> None:
    """Something was decided about it, or that was taken back."""
    _now(rows).letters += 1 if isinstance(recorded.event, DeadLetterRestored) else -1


@FLEET.on(PolicyRejected)
def policy_rejected(rows: Rows, recorded: Recorded[PolicyRejected]) -> None:
    """A run was refused."""
    reason = recorded.event.rejection.reason
    rows.tally(REFUSAL, reason).runs += 1
    _hour(rows, recorded).refused += 1


@FLEET.on(AuthzDenied)
def authz_denied(rows: Rows, recorded: Recorded[AuthzDenied]) -> None:
    """An identity was denied an operation."""
    now, hour = _now(rows), _hour(rows, recorded)
    now.denied += 1
    hour.denied += 1


@FLEET.on(RequestsSuppressed)
def requests_suppressed(rows: Rows, recorded: Recorded[RequestsSuppressed]) -> None:
    """Refusals that were not recorded one by one."""
    now, hour = _now(rows), _hour(rows, recorded)
    now.suppressed += recorded.event.count
    hour.suppressed += recorded.event.count


def _open(recorded: Recorded[Event], event: RunQueued | RunCreated, *, waiting: bool) -> OpenRow:
    return OpenRow(
        run_id=recorded.stream,
        session_id=event.session_id,
        harness_profile_id=event.harness_profile_id,
        provider=event.provider,
        waiting=waiting,
        queued_at=recorded.at,
        since=None if waiting else recorded.at,
        persona=event.persona_name,
    )


def _release(rows: Rows, row: OpenRow) -> None:
    """What a run has set aside is free."""
    if row.reserved_micro_usd:
        _budget(rows).reserved_micro_usd -= row.reserved_micro_usd
        row.reserved_micro_usd = 0
        rows.put(OPEN, row)


def _budget(rows: Rows) -> BudgetRow:
    """The row of the budget, as changed from here on."""
    row = rows.get(BUDGET, NOW) or BudgetRow(NOW)
    rows.put(BUDGET, row)
    return row


def _wait(rows: Rows, session_id: str, change: int) -> None:
    """One more run waits in a session, or one less."""
    _now(rows).queued += change
    _pend(rows, session_id, change)


def _pend(rows: Rows, session_id: str, change: int) -> None:
    """More or less waits in a session."""
    now = _now(rows)
    pending = rows.get(PENDING, session_id) or PendingRow(session_id, 0)
    now.pending += (pending.waiting + change > 0) - (pending.waiting > 0)
    pending.waiting += change
    if pending.waiting:
        rows.put(PENDING, pending)
    else:
        rows.delete(PENDING, session_id)


def _ended(rows: Rows, recorded: Recorded[Event], outcome: str) -> OpenRow:
    """Count an ending; what was never admitted is only withdrawn."""
    row = rows.need(OPEN, recorded.stream)
    _release(rows, row)
    rows.delete(OPEN, recorded.stream)
    now = _now(rows)
    if row.waiting:
        _wait(rows, row.session_id, -1)
        now.withdrawn += 1
        return row
    if row.since is None:
        now.paused -= 1
    else:
        now.running -= 1
    for counts in (rows.tally(PROVIDER, row.provider), _hour(rows, recorded)):
        setattr(counts, outcome, getattr(counts, outcome) + 1)
    return row


def _now(rows: Rows) -> NowRow:
    """The row of the present, as changed from here on."""
    row = rows.get(NOW_TABLE, NOW) or NowRow(NOW)
    rows.put(NOW_TABLE, row)
    return row


def _hour(rows: Rows, recorded: Recorded[Event]) -> HourRow:
    """What is added to an hour."""
    return rows.tally(HOUR, recorded.at // HOUR_MS)


# From rows to what clients see


class FleetCapabilities(Value):
    """What can be known of the machines beneath."""

    supports_pod_status: bool
    supports_cpu_mem_metrics: bool


class ResourceUsage(Value):
    """Cores and bytes; 0 where they cannot be measured."""

    cpu_usage: float
    memory_usage: float


class OperationalSummary(Value):
    """What is at work now, and how often something was refused or denied in the window of 24 hours."""

    total_active_runs: int
    total_active_sessions: int
    aggregate_resource_usage: ResourceUsage
    recent_failure_rejection_count: int


class Spend(Value):
    """What was consumed; dollars are estimated from a table of prices."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int


class PersonaSpend(Spend, kw_only=True):
    """What a persona consumed."""

    persona_name: str


class ProviderSpend(Spend, kw_only=True):
    """What the calls of a provider consumed."""

    provider: str


class ProfileSpend(Spend, kw_only=True):
    """What the runs of a harness profile consumed."""

    harness_profile_id: str


class SessionSpend(Spend, kw_only=True):
    """What the runs of a session consumed."""

    session_id: str


class TokenMix(Value):
    """Tokens of all calls; ratios are parts of the input and output tokens, 0 to 1."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_ratio: float
    output_ratio: float


class DaySpend(Value):
    """What the UTC day cost so far, what runs have set aside, and the daily budget of the policy, if there is one."""

    day: str
    spent_usd: float
    reserved_usd: float
    budget_usd: float | None = None


class CostSummary(Value):
    """What was consumed since the month began (UTC); breakdowns hold the 50 that spent most."""

    month: str
    window_start: str
    window_end: str
    total_estimated_spend_usd: float
    persona_breakdown: tuple[PersonaSpend, ...]
    provider_breakdown: tuple[ProviderSpend, ...]
    profile_breakdown: tuple[ProfileSpend, ...]
    session_breakdown: tuple[SessionSpend, ...]
    token_mix: TokenMix
    unpriced_calls: int
    today: DaySpend


class Outcomes(Value):
    """How runs ended."""

    completed: int
    failed: int
    cancelled: int
    timed_out: int
    crashed: int


class FleetQueue(Value):
    """What waits: runs, since when the oldest does; items of queues; the sessions of both; dead letters."""

    waiting: int
    sessions: int
    items: int
    dead_letters: int
    oldest_waiting_since: str | None = None


class RunTimes(Value):
    """How long the runs took that completed in the window, in milliseconds, up to an eighth too high."""

    runs: int
    p50_ms: int | None = None
    p95_ms: int | None = None


class Recent(Value):
    """What happened in the window: the present hour and the 23 before it."""

    window_start: str
    admitted: int
    outcomes: Outcomes
    refused: int
    denied: int
    suppressed: int
    run_times: RunTimes


class FleetSummary(Value):
    """The fleet at a glance (contract 4.11).

    ``total`` counts runs ever admitted; ``failed`` those that ended without an answer; ``pending`` the sessions in
    which runs or items of a queue wait; ``errorRate`` is failed by total, ``uptime`` the rest.
    """

    total: int
    running: int
    paused: int
    pending: int
    succeeded: int
    failed: int
    uptime: float
    error_rate: float
    capabilities: FleetCapabilities
    operational_summary: OperationalSummary
    cost_summary: CostSummary
    outcomes: Outcomes
    withdrawn: int
    queue: FleetQueue
    recent: Recent


class FleetCounts(Value):
    """The counters since the beginning, for who measures changes."""

    now: NowRow
    providers: tuple[ProviderRow, ...]
    refusals: tuple[RefusalRow, ...]


def fleet_counts(connection: Connection) -> FleetCounts:
    """All counters."""
    now = [NOW_TABLE.load(values) for values in connection.execute(NOW_TABLE.all)]
    return FleetCounts(
        now=now[0] if now else NowRow(NOW),
        providers=tuple(PROVIDER.load(values) for values in connection.execute(PROVIDER.scan)),
        refusals=tuple(RefusalRow(*values) for values in connection.execute(REFUSAL.scan)),  # type: ignore[arg-type]
    )


def fleet_summary(connection: Connection, now: int) -> FleetSummary:
    """The fleet at a moment, in milliseconds since 1970 UTC."""
    counts = fleet_counts(connection)
    at = counts.now
    outcomes = _outcomes(counts.providers)
    total = sum(row.admitted for row in counts.providers)
    failed = outcomes.failed + outcomes.cancelled + outcomes.timed_out + outcomes.crashed
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
        uptime=round(1 - rate, 4) if total else 0.0,
        error_rate=rate,
        capabilities=FleetCapabilities(supports_pod_status=False, supports_cpu_mem_metrics=False),
        operational_summary=OperationalSummary(
            total_active_runs=at.running,
            total_active_sessions=at.running + at.paused,  # each holds a session of its own
            aggregate_resource_usage=ResourceUsage(cpu_usage=0, memory_usage=0),
            recent_failure_rejection_count=recent.refused + recent.denied + recent.suppressed,
        ),
        cost_summary=_cost(connection, now),
        outcomes=outcomes,
        withdrawn=at.withdrawn,
        queue=FleetQueue(
            waiting=at.queued,
            sessions=at.pending,
            items=at.items,
            dead_letters=at.letters,
            oldest_waiting_since=iso(oldest) if isinstance(oldest, int) else None,
        ),
        recent=recent,
    )


def _outcomes(rows: Sequence[ProviderRow | HourRow]) -> Outcomes:
    return Outcomes(
        completed=sum(row.completed for row in rows),
        failed=sum(row.failed for row in rows),
        cancelled=sum(row.cancelled for row in rows),
        timed_out=sum(row.timed_out for row in rows),
        crashed=sum(row.crashed for row in rows),
    )


def _recent(connection: Connection, now: int) -> Recent:
    before = now // HOUR_MS - WINDOW_HOURS
    ((*sums,),) = list(connection.execute(SELECT_HOURS, (before,)))
    window = HourRow(before, *(int(number or 0) for number in sums))
    return Recent(
        window_start=iso((before + 1) * HOUR_MS),
        admitted=window.admitted,
        outcomes=_outcomes((window,)),
        refused=window.refused,
        denied=window.denied,
        suppressed=window.suppressed,
        run_times=_run_times([(int(b or 0), int(n or 0)) for b, n in connection.execute(SELECT_RUN_TIMES, (before,))]),
    )


def _run_times(buckets: list[tuple[int, int]]) -> RunTimes:
    """Percentiles of buckets in ascending order: the longest duration of the bucket that holds the run of that rank."""
    total = sum(runs for _, runs in buckets)
    return RunTimes(runs=total, p50_ms=_percentile(buckets, total, 50), p95_ms=_percentile(buckets, total, 95))


def _percentile(buckets: list[tuple[int, int]], total: int, percent: int) -> int | None:
    rank = -(-total * percent // 100)
    for bucket, runs in buckets:
        rank -= runs
        if rank <= 0:
            return longest_of(bucket)
    return None


def _cost(connection: Connection, now: int) -> CostSummary:
    moment = iso(now)
    month = moment[:7]
    everything = [SPEND.load(values) for values in connection.execute(SELECT_SPEND, (month, OVERALL))]
    total = everything[0] if everything else SpendRow(month, OVERALL, "")
    both = total.input_tokens + total.output_tokens
    return CostSummary(
        month=month,
        window_start=f"{month}-01T00:00:00.000Z",
        window_end=moment,
        total_estimated_spend_usd=_dollars(total.cost_micro_usd),
        persona_breakdown=tuple(
            PersonaSpend(persona_name=row.name, **_spend(row)) for row in _most(connection, month, BY_PERSONA)
        ),
        provider_breakdown=tuple(
            ProviderSpend(provider=row.name, **_spend(row)) for row in _most(connection, month, BY_PROVIDER)
        ),
        profile_breakdown=tuple(
            ProfileSpend(harness_profile_id=row.name, **_spend(row)) for row in _most(connection, month, BY_PROFILE)
        ),
        session_breakdown=tuple(
            SessionSpend(session_id=row.name, **_spend(row)) for row in _most(connection, month, BY_SESSION)
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
    """The UTC day of a moment, in milliseconds since 1970."""
    found = [BUDGET.load(values) for values in connection.execute(BUDGET.all)]
    row, today = found[0] if found else BudgetRow(NOW), iso(now)[:10]
    spent = [DAY.load(values).spent_micro_usd for values in connection.execute(DAY.select, (today,))]
    return DaySpend(
        day=today,
        spent_usd=_dollars(sum(spent)),
        reserved_usd=_dollars(row.reserved_micro_usd),
        budget_usd=None if row.budget_micro_usd is None else _dollars(row.budget_micro_usd),
    )


def _most(connection: Connection, month: str, dimension: str) -> list[SpendRow]:
    values: tuple[Cell, ...] = (month, dimension, BREAKDOWN_ROWS_MAX)
    return [SPEND.load(found) for found in connection.execute(SELECT_MOST, values)]


def _spend(row: SpendRow) -> dict[str, Any]:
    return {
        "estimated_spend_usd": _dollars(row.cost_micro_usd),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "total_tokens": row.total_tokens,
    }


def _dollars(micro_usd: int) -> float:
    return micro_usd / MICRO_USD
