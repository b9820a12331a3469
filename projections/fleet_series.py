"""Read model of the series: outcomes, cost, tokens and durations over time, by model, profile or error code."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from athena_core.clock import iso
from athena_core.errors import ConfigError
from athena_core.event import Value, says
from athena_core.protocols import Connection
from projections.fleet_rows import HOUR_MS, percentile
from projections.fleet_series_rows import KEPT, OTHER, SERIES, Counts

SeriesNames: TypeAlias = Literal["model", "profile", "error"]
SeriesStep: TypeAlias = Literal["5s", "1m", "1h"]
Point: TypeAlias = tuple[int, Counts]
"""The number of an interval in its window, and its counts."""

SECOND_MS = 1_000
STEPS: Mapping[SeriesStep, int] = {"5s": 5, "1m": 60, "1h": 3_600}
LINES_MAX = 10
INTERVALS_WANTED = 400
"""The number of intervals that an answer without ``step`` does not exceed, unless no longer ones are kept."""

SELECT_INTERVALS = f"{SERIES.all} WHERE step = ? AND start >= ? AND start < ?"
SUMS = tuple(name for name in Counts.__struct_fields__ if name != "times")
PERCENTS: Mapping[str, int] = {"p50_ms": 50, "p95_ms": 95}


class SeriesTotal(Value):
    """Counts of the whole window. Percentiles are of the runs that completed, at most an eighth too high."""

    started: Annotated[int, says("Runs that were admitted.")]
    completed: int
    failed: Annotated[int, says("Runs that failed.")]
    cancelled: int
    timed_out: int
    crashed: int
    rejected: Annotated[int, says("Runs that the policy rejected.")]
    calls: Annotated[int, says("Model calls.")]
    input_tokens: int
    output_tokens: int
    cost_micro_usd: Annotated[int, says("Cost, in millionths of a dollar.")]
    p50_ms: int | None = None
    p95_ms: int | None = None


class SeriesLine(Value):
    """The counts of each interval, oldest first, and their total. Counts that are all 0 are absent.

    The model of an outcome is the one that the run asked for, and the model of a call the one that answered. A
    percentile is null in an interval in which no run completed.
    """

    total: Annotated[SeriesTotal, says("Counts of the whole time.")]
    name: Annotated[str | None, says("Model, id of the profile, or error code; absent in `all` and `other`.")] = None
    started: Annotated[tuple[int, ...] | None, says("Runs that were admitted in each interval; absent if 0.")] = None
    completed: Annotated[tuple[int, ...] | None, says("Runs that completed in each interval; absent if 0.")] = None
    failed: Annotated[tuple[int, ...] | None, says("Runs that failed in each interval; absent if 0.")] = None
    cancelled: Annotated[tuple[int, ...] | None, says("Runs that were cancelled in each interval; absent if 0.")] = None
    timed_out: Annotated[tuple[int, ...] | None, says("Runs that timed out in each interval; absent if 0.")] = None
    crashed: Annotated[tuple[int, ...] | None, says("Runs that crashed in each interval; absent if 0.")] = None
    rejected: Annotated[
        tuple[int, ...] | None, says("Runs that the policy rejected in each interval; absent if 0.")
    ] = None
    calls: Annotated[tuple[int, ...] | None, says("Model calls in each interval; absent if 0.")] = None
    input_tokens: Annotated[tuple[int, ...] | None, says("Input tokens in each interval; absent if 0.")] = None
    output_tokens: Annotated[tuple[int, ...] | None, says("Output tokens in each interval; absent if 0.")] = None
    cost_micro_usd: Annotated[
        tuple[int, ...] | None, says("Cost in each interval, in millionths of a dollar; absent if 0.")
    ] = None
    p50_ms: Annotated[
        tuple[int | None, ...] | None,
        says("Median duration of the runs that completed in each interval, or null; absent without any."),
    ] = None
    p95_ms: Annotated[
        tuple[int | None, ...] | None, says("95th percentile of these durations, or null; absent without any.")
    ] = None


class FleetSeries(Value):
    """The fleet over time, in intervals of equal length from ``start`` to ``end``.

    ``all`` counts everything. ``lines`` are the busiest models, profiles or error codes, at most 10, and ``other`` is
    the rest. Only runs that failed, timed out or crashed have an error code.
    """

    start: Annotated[str, says("Start of the first interval.")]
    end: Annotated[str, says("End of the last interval.")]
    step_seconds: Annotated[int, says("Length of an interval, in seconds.")]
    intervals: Annotated[int, says("Number of intervals.")]
    all: Annotated[SeriesLine, says("Counts of everything.")]
    lines: Annotated[tuple[SeriesLine, ...], says("Counts by name, the busiest first, at most 10.")]
    other: Annotated[SeriesLine | None, says("Counts of all further names; absent without any.")] = None


class Window(NamedTuple):
    """Intervals of ``step`` seconds. Times are in milliseconds since 1970 UTC; the end is exclusive."""

    step: int
    start: int
    end: int

    @property
    def intervals(self) -> int:
        return (self.end - self.start) // (self.step * SECOND_MS)


def window_of(now: int, start: int | None, end: int | None, step: SeriesStep | None) -> Window:
    """Return the intervals that cover a time: by default the last hour, in the shortest ones that suit it.

    Raise ConfigError if they are no longer kept, or if the time ends before it begins.
    """
    until = now if end is None else min(end, now)
    since = until - HOUR_MS if start is None else start
    if since > until:
        raise ConfigError.of("from", "is after `to`, or in the future", "an earlier time")
    lengths = [
        length for length, kept in KEPT.items() if now // (length * SECOND_MS) - since // (length * SECOND_MS) < kept
    ]
    if step is None:
        few = (length for length in lengths if until - since <= length * SECOND_MS * INTERVALS_WANTED)
        length = next(few, max(KEPT))
    else:
        length = STEPS[step]
    if length not in lengths:
        longer = next((name for name, other in STEPS.items() if other in lengths), None)
        remedy = f"a time in the last {KEPT[3_600] // 24} days" if longer is None else f"step={longer}"
        raise ConfigError.of(
            "from", f"intervals of {length} s are kept for {KEPT[length] * length // 60} minutes", remedy
        )
    whole = length * SECOND_MS
    return Window(length, since // whole * whole, (until // whole + 1) * whole)


def fleet_series(connection: Connection, window: Window, names: SeriesNames | None) -> FleetSeries:
    """Return the counts of a window, also by name."""
    everything: list[Point] = []
    named: dict[str, list[Point]] = {}
    for cells in connection.execute(SELECT_INTERVALS, window):
        row = SERIES.load(cells)
        index = (row.start - window.start) // (window.step * SECOND_MS)
        everything.append((index, row.counts.all))
        for name, counts in () if names is None else getattr(row.counts, names).items():
            named.setdefault(name, []).append((index, counts))
    rest = named.pop(OTHER, [])
    ranked = sorted(named, key=lambda name: (-sum(_weight(counts) for _, counts in named[name]), name))
    for name in ranked[LINES_MAX:]:
        rest += named[name]
    return FleetSeries(
        start=iso(window.start),
        end=iso(window.end),
        step_seconds=window.step,
        intervals=window.intervals,
        all=_line(None, everything, window.intervals),
        lines=tuple(_line(name, named[name], window.intervals) for name in ranked[:LINES_MAX]),
        other=_line(None, rest, window.intervals) if rest else None,
    )


def _weight(counts: Counts) -> int:
    """Return how often a name occurred."""
    return counts.started + counts.calls + counts.failed + counts.timed_out + counts.crashed + counts.rejected


def _line(name: str | None, points: list[Point], intervals: int) -> SeriesLine:
    """Return the line of points, of which several may be in one interval."""
    sums = [Counts() for _ in range(intervals)]
    total = Counts()
    for index, counts in points:
        _add(sums[index], counts)
        _add(total, counts)
    lists: dict[str, tuple[Any, ...]] = {
        field: tuple(getattr(one, field) for one in sums) for field in SUMS if getattr(total, field)
    }
    if total.times:
        for field, percent in PERCENTS.items():
            lists[field] = tuple(_percentile(one.times, percent) for one in sums)
    totals: dict[str, Any] = {field: getattr(total, field) for field in SUMS}
    totals |= {field: _percentile(total.times, percent) for field, percent in PERCENTS.items()}
    return SeriesLine(total=SeriesTotal(**totals), name=name, **lists)


def _add(total: Counts, counts: Counts) -> None:
    for field in SUMS:
        setattr(total, field, getattr(total, field) + getattr(counts, field))
    for bucket, runs in counts.times.items():
        total.times[bucket] = total.times.get(bucket, 0) + runs


def _percentile(times: dict[int, int], percent: int) -> int | None:
    return percentile(sorted(times.items()), sum(times.values()), percent)
