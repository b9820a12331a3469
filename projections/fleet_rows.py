"""Rows of the fleet: counters of runs, durations and costs.

No query scans runs, so the cost of a summary does not grow with their number. A run has a row while it is open. Events
are counted by hour: a window of 24 hours is the current hour and the 23 before it.
"""

from bisect import bisect_left
from collections.abc import Iterable

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
    RunAnswered,
    RunAsked,
    RunCancelled,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunResumed,
    RunTimedOut,
    UsageRecorded,
)
from athena_core.errors import RunCrashedError, RunTimeout
from athena_core.event import Event, Recorded
from athena_core.values import MICRO_USD
from projections.engine.projection import ONLY_ROW, Projection, Rows, Table
from projections.fleet_series_rows import SERIES, counts_at

HOUR_MS = 3_600_000


class CurrentCountsRow(msgspec.Struct, gc=False):
    """Current counts (one row). ``pending`` counts sessions with waiting runs or items.

    ``unleased`` counts running runs that no executor has taken.
    """

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
    unleased: int = 0


class OpenRunRow(msgspec.Struct, gc=False):
    """A run that has not ended. Its clock ran for ``elapsed_ms`` and, unless paused, since ``since``.

    ``unleased`` is True while it is admitted and no executor has taken it. While ``asks`` are open, its clock stands
    since ``asked_at``.
    """

    run_id: str
    session_id: str
    harness_profile_id: str
    provider: str
    model: str
    waiting: bool
    queued_at: int
    since: int | None
    elapsed_ms: int = 0
    persona: str | None = None
    reserved_micro_usd: int = 0
    unleased: bool = False
    asks: int = 0
    asked_at: int | None = None


class BudgetRow(msgspec.Struct, gc=False):
    """The daily budget of the current policy, and the part reserved by runs (one row)."""

    row: int
    reserved_micro_usd: int = 0
    budget_micro_usd: int | None = None


class DaySpendRow(msgspec.Struct, gc=False):
    """The cost of a UTC day (``2026-01-31``)."""

    day: str
    spent_micro_usd: int = 0


class WaitingSessionRow(msgspec.Struct, gc=False):
    """A session with waiting runs or queue items, and their number."""

    session_id: str
    waiting: int


class ProviderCountsRow(msgspec.Struct, gc=False):
    """Outcomes of the runs of a provider and consumption of its calls, since the log began."""

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


class RefusalCountRow(msgspec.Struct, gc=False):
    """The number of runs rejected for a reason."""

    reason: str
    runs: int = 0


class HourCountsRow(msgspec.Struct, gc=False):
    """The counts of an hour, numbered since 1970 UTC."""

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


class RunTimeCountRow(msgspec.Struct, gc=False):
    """The number of runs that completed within an hour, by the bucket of their duration."""

    hour: int
    bucket: int
    runs: int = 0


class TimeCountRow(msgspec.Struct, gc=False):
    """The number of durations in a bucket and their sum, since the log began.

    ``bucket`` is the index of the lowest bound in ``TIME_BOUNDS_MS`` that is not exceeded.
    """

    kind: str
    provider: str
    bucket: int
    number: int = 0
    sum_ms: int = 0


class SpendRow(msgspec.Struct, gc=False):
    """Consumption in a month (``2026-01``, UTC) by a provider, profile, session or persona, or in total (no name)."""

    month: str
    dimension: str
    name: str
    cost_micro_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    calls: int = 0
    unpriced_calls: int = 0


CURRENT = Table("fleet_now", CurrentCountsRow, key=("row",))
OPEN = Table("fleet_open", OpenRunRow, key=("run_id",), indexes=(("waiting", "queued_at"),), cached=True)
PENDING = Table("fleet_pending", WaitingSessionRow, key=("session_id",))
PROVIDER = Table("fleet_provider", ProviderCountsRow, key=("provider",))
REFUSAL = Table("fleet_refusal", RefusalCountRow, key=("reason",))
HOUR = Table("fleet_hour", HourCountsRow, key=("hour",))
RUN_TIME = Table("fleet_run_time", RunTimeCountRow, key=("hour", "bucket"))
TIME = Table("fleet_time", TimeCountRow, key=("kind", "provider", "bucket"))
SPEND = Table(
    "fleet_spend", SpendRow, key=("month", "dimension", "name"), indexes=(("month", "dimension", "cost_micro_usd"),)
)
BUDGET = Table("fleet_budget", BudgetRow, key=("row",), cached=True)
DAY = Table("fleet_day", DaySpendRow, key=("day",))
FLEET = Projection(
    "fleet",
    version=8,
    tables=(CURRENT, OPEN, BUDGET, DAY, PENDING, PROVIDER, REFUSAL, HOUR, RUN_TIME, TIME, SPEND, SERIES),
)

OVERALL = "all"
BY_PROVIDER = "provider"
BY_PROFILE = "profile"
BY_SESSION = "session"
BY_PERSONA = "persona"

RUNNING = "run"
WAITING = "wait"
FIRST_TOKEN = "first-token"
TIME_BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 3_600_000)
"""Bounds of the buckets for metrics: from a first token to a run of an hour."""


# Buckets of durations: exact below 8 ms, then eight for each doubling. A bucket is at most an eighth too long.

FINE_BITS = 3
FINE = 1 << FINE_BITS


def bucket_of(milliseconds: int) -> int:
    """Return the number of the bucket of a duration."""
    length = max(milliseconds, 0)
    shift = max(length.bit_length() - FINE_BITS - 1, 0)
    return shift * FINE + (length >> shift)


def longest_of(bucket: int) -> int:
    """Return the longest duration in a bucket, in milliseconds."""
    shift = max(bucket // FINE - 1, 0)
    return ((bucket - shift * FINE + 1) << shift) - 1


def percentile(buckets: Iterable[tuple[int, int]], total: int, percent: int) -> int | None:
    """Return the longest duration in the bucket of the run with that rank. Buckets are in ascending order."""
    rank = -(-total * percent // 100)
    for bucket, runs in buckets:
        rank -= runs
        if rank <= 0:
            return longest_of(bucket)
    return None


@FLEET.handler
def run_queued(rows: Rows, recorded: Recorded[RunQueued]) -> None:
    rows.append(OPEN, _open_run(recorded, recorded.event, waiting=True))
    _change_queued(rows, recorded.event.session_id, 1)


@FLEET.handler
def run_created(rows: Rows, recorded: Recorded[RunCreated]) -> None:
    event = recorded.event
    if recorded.version == 1:
        rows.append(OPEN, _open_run(recorded, event, waiting=False))
        _count_time(rows, WAITING, event.provider, 0)
    else:
        row = rows.change(OPEN, recorded.stream)
        row.waiting, row.since = False, recorded.at
        _change_queued(rows, event.session_id, -1)
        _count_time(rows, WAITING, event.provider, recorded.at - row.queued_at)
    _change_unleased(rows, recorded, unleased=True)
    now = _current(rows)
    now.running += 1
    rows.tally(PROVIDER, event.provider).admitted += 1
    _hour(rows, recorded).admitted += 1
    for counts in counts_at(rows, recorded.at, event.model, event.harness_profile_id):
        counts.started += 1


@FLEET.handler
def run_leased(rows: Rows, recorded: Recorded[RunLeased]) -> None:
    _change_unleased(rows, recorded, unleased=False)


@FLEET.handler
def budget_reserved(rows: Rows, recorded: Recorded[BudgetReserved]) -> None:
    row = rows.change(OPEN, recorded.stream)
    _reserve(rows, row, recorded.event.reserved_micro_usd)


@FLEET.handler
def policy_updated(rows: Rows, recorded: Recorded[PolicyUpdated]) -> None:
    dollars = recorded.event.after.cost_budget_daily_usd
    _budget(rows).budget_micro_usd = max(round(dollars * MICRO_USD), 1) if dollars else None


@FLEET.handler
def run_asked(rows: Rows, recorded: Recorded[RunAsked]) -> None:
    row = rows.change(OPEN, recorded.stream)
    row.asks += 1
    if row.asked_at is None:
        row.asked_at = recorded.at


@FLEET.handler
def run_answered(rows: Rows, recorded: Recorded[RunAnswered]) -> None:
    """Let the clock of the run continue after the last answer, unless it is parked."""
    row = rows.change(OPEN, recorded.stream)
    row.asks -= 1
    if row.asks == 0 and row.asked_at is not None:
        if row.since is not None:
            row.since += max(recorded.at - row.asked_at, 0)
        row.asked_at = None


@FLEET.handler
def run_paused(rows: Rows, recorded: Recorded[RunPaused]) -> None:
    row = rows.change(OPEN, recorded.stream)
    row.since, row.elapsed_ms = None, recorded.event.elapsed_ms
    _reserve(rows, row, 0)
    now = _current(rows)
    now.running -= 1
    now.paused += 1


@FLEET.handler
def run_resumed(rows: Rows, recorded: Recorded[RunResumed]) -> None:
    row = rows.change(OPEN, recorded.stream)
    row.since = recorded.at
    _change_unleased(rows, recorded, unleased=True)
    now = _current(rows)
    now.running += 1
    now.paused -= 1


@FLEET.handler
def usage_recorded(rows: Rows, recorded: Recorded[UsageRecorded]) -> None:
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
    for counts in counts_at(rows, recorded.at, event.model, row.harness_profile_id):
        counts.calls += 1
        counts.input_tokens += given
        counts.output_tokens += taken
        counts.cost_micro_usd += cost
    if event.first_token_ms is not None:
        _count_time(rows, FIRST_TOKEN, event.provider, event.first_token_ms)
    if row.reserved_micro_usd or cost > 0:
        _reserve(rows, row, event.reserved_micro_usd or 0)
        rows.tally(DAY, iso(recorded.at)[:10]).spent_micro_usd += max(cost, 0)


@FLEET.handler
def run_completed(rows: Rows, recorded: Recorded[RunCompleted]) -> None:
    """Count the run and its duration."""
    row = _finish(rows, recorded, "completed")
    hour, bucket = recorded.at // HOUR_MS, bucket_of(_took(row, recorded))
    rows.tally(RUN_TIME, hour, bucket).runs += 1


@FLEET.handler
def run_failed(rows: Rows, recorded: Recorded[RunFailed]) -> None:
    _finish(rows, recorded, "failed", recorded.event.code)


@FLEET.handler
def run_cancelled(rows: Rows, recorded: Recorded[RunCancelled]) -> None:
    """Count a run that was stopped, or withdrawn before it was admitted."""
    _finish(rows, recorded, "cancelled")


@FLEET.handler
def run_timed_out(rows: Rows, recorded: Recorded[RunTimedOut]) -> None:
    _finish(rows, recorded, "timed_out", RunTimeout.code)


@FLEET.handler
def run_crashed(rows: Rows, recorded: Recorded[RunCrashed]) -> None:
    _finish(rows, recorded, "crashed", RunCrashedError.code)


@FLEET.handler
def work_enqueued(rows: Rows, recorded: Recorded[WorkEnqueued]) -> None:
    _current(rows).items += 1
    _change_pending(rows, recorded.session_id or "", 1)


@FLEET.handler
def work_item_drained(rows: Rows, recorded: Recorded[WorkItemDrained]) -> None:
    now = _current(rows)
    now.items -= 1
    now.drained += 1
    _change_pending(rows, recorded.session_id or "", -1)


@FLEET.handler
def work_batch_buried(rows: Rows, recorded: Recorded[WorkBatchDeadLettered]) -> None:
    count = len(recorded.event.item_ids)
    _current(rows).items -= count
    _change_pending(rows, recorded.session_id or "", -count)


@FLEET.handler
def dead_letter_added(rows: Rows, recorded: Recorded[DeadLetterAdded]) -> None:
    now = _current(rows)
    now.letters += 1
    now.buried += 1


@FLEET.handler
def dead_letter_decided(
    rows: Rows, recorded: Recorded[DeadLetterRequeued | DeadLetterDiscarded | DeadLetterRestored]
) -> None:
    _current(rows).letters += 1 if isinstance(recorded.event, DeadLetterRestored) else -1


@FLEET.handler
def policy_rejected(rows: Rows, recorded: Recorded[PolicyRejected]) -> None:
    event = recorded.event
    rows.tally(REFUSAL, event.rejection.reason).runs += 1
    _hour(rows, recorded).refused += 1
    model = None if event.plan is None else event.plan.model
    for counts in counts_at(rows, recorded.at, model, event.harness_profile_id):
        counts.rejected += 1


@FLEET.handler
def authz_denied(rows: Rows, recorded: Recorded[AuthzDenied]) -> None:
    now, hour = _current(rows), _hour(rows, recorded)
    now.denied += 1
    hour.denied += 1


@FLEET.handler
def requests_suppressed(rows: Rows, recorded: Recorded[RequestsSuppressed]) -> None:
    now, hour = _current(rows), _hour(rows, recorded)
    now.suppressed += recorded.event.count
    hour.suppressed += recorded.event.count


def _open_run(recorded: Recorded[Event], event: RunQueued | RunCreated, *, waiting: bool) -> OpenRunRow:
    return OpenRunRow(
        run_id=recorded.stream,
        session_id=event.session_id,
        harness_profile_id=event.harness_profile_id,
        provider=event.provider,
        model=event.model,
        waiting=waiting,
        queued_at=recorded.at,
        since=None if waiting else recorded.at,
        persona=event.persona_name,
    )


def _reserve(rows: Rows, row: OpenRunRow, micro_usd: int) -> None:
    """Replace the reservation of a run; 0 releases it."""
    if row.reserved_micro_usd != micro_usd:
        _budget(rows).reserved_micro_usd += micro_usd - row.reserved_micro_usd
        row.reserved_micro_usd = micro_usd
        rows.put(OPEN, row)


def _budget(rows: Rows) -> BudgetRow:
    """Return the row of the budget, marked as changed."""
    row = rows.get(BUDGET, ONLY_ROW) or BudgetRow(ONLY_ROW)
    rows.put(BUDGET, row)
    return row


def _change_unleased(rows: Rows, recorded: Recorded[Event], *, unleased: bool) -> None:
    """Change whether a run waits for an executor, and the number of such runs."""
    row = rows.need(OPEN, recorded.stream)
    if row.unleased != unleased:
        row.unleased = unleased
        rows.put(OPEN, row)
        _current(rows).unleased += 1 if unleased else -1


def _change_queued(rows: Rows, session_id: str, change: int) -> None:
    """Change the number of waiting runs of a session."""
    _current(rows).queued += change
    _change_pending(rows, session_id, change)


def _change_pending(rows: Rows, session_id: str, change: int) -> None:
    """Change the number of waiting runs and items of a session."""
    now = _current(rows)
    pending = rows.get(PENDING, session_id) or WaitingSessionRow(session_id, 0)
    now.pending += (pending.waiting + change > 0) - (pending.waiting > 0)
    pending.waiting += change
    if pending.waiting:
        rows.put(PENDING, pending)
    else:
        rows.delete(PENDING, session_id)


def _finish(rows: Rows, recorded: Recorded[Event], outcome: str, error: str | None = None) -> OpenRunRow:
    """Count the end of a run, with the code of its error. A run that was never admitted counts as withdrawn."""
    row = rows.need(OPEN, recorded.stream)
    _reserve(rows, row, 0)
    _change_unleased(rows, recorded, unleased=False)
    rows.delete(OPEN, recorded.stream)
    now = _current(rows)
    if row.waiting:
        _change_queued(rows, row.session_id, -1)
        now.withdrawn += 1
        return row
    if row.since is None:
        now.paused -= 1
    else:
        now.running -= 1
    _count_time(rows, RUNNING, row.provider, _took(row, recorded))
    intervals = counts_at(rows, recorded.at, row.model, row.harness_profile_id, error)
    for counts in (rows.tally(PROVIDER, row.provider), _hour(rows, recorded), *intervals):
        setattr(counts, outcome, getattr(counts, outcome) + 1)
    if outcome == "completed":
        bucket = bucket_of(_took(row, recorded))
        for counts in intervals:
            counts.times[bucket] = counts.times.get(bucket, 0) + 1
    return row


def _took(row: OpenRunRow, recorded: Recorded[Event]) -> int:
    """Return the time for which the clock of a run has run, in milliseconds."""
    return row.elapsed_ms + (max(recorded.at - row.since, 0) if row.since is not None else 0)


def _count_time(rows: Rows, kind: str, provider: str, milliseconds: int) -> None:
    """Count a duration in its bucket."""
    duration = max(milliseconds, 0)
    counts = rows.tally(TIME, kind, provider, bisect_left(TIME_BOUNDS_MS, duration))
    counts.number += 1
    counts.sum_ms += duration


def _current(rows: Rows) -> CurrentCountsRow:
    """Return what this page adds to the current counts."""
    return rows.tally(CURRENT, ONLY_ROW)


def _hour(rows: Rows, recorded: Recorded[Event]) -> HourCountsRow:
    """Return what this page adds to the hour of an event."""
    return rows.tally(HOUR, recorded.at // HOUR_MS)
