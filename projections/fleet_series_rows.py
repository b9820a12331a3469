"""Rows of the series: what happened in each interval of time, of three lengths.

An interval has one row, whose counts by model, profile and error code are JSON. The rows of a length form a ring: the
interval after the last one that is kept takes the place of the oldest. So neither the rows nor a row grow with the log.
"""

from collections.abc import Mapping

import msgspec

from projections.engine.projection import Rows, Table

KEPT: Mapping[int, int] = {5: 792, 60: 1_500, 3_600: 2_184}
"""The lengths of intervals in seconds, and how many are kept: 66 minutes, 25 hours and 91 days."""
FINEST_MS = min(KEPT) * 1_000
"""The shortest interval, of which each longer one is a multiple."""
SPARE = 20
"""Further intervals of each length, so that a clock that goes back a little takes the place of none that is kept."""
NAMES_MAX = 30
"""Models, profiles and error codes of an interval that are counted by name."""
OTHER = ""
"""The name of all further ones."""


class Counts(msgspec.Struct, array_like=True, gc=False):
    """The counts of an interval. ``times`` has the number of runs that completed, by the bucket of their duration."""

    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed_out: int = 0
    crashed: int = 0
    rejected: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0
    times: dict[int, int] = msgspec.field(default_factory=dict)


class NamedCounts(msgspec.Struct, array_like=True, gc=False):
    """The counts of an interval: all, and by the names of models, profiles and error codes."""

    all: Counts = msgspec.field(default_factory=Counts)
    model: dict[str, Counts] = msgspec.field(default_factory=dict)
    profile: dict[str, Counts] = msgspec.field(default_factory=dict)
    error: dict[str, Counts] = msgspec.field(default_factory=dict)


class IntervalRow(msgspec.Struct, gc=False):
    """An interval, by its length in seconds and its place in the ring. ``start`` is in milliseconds since 1970 UTC."""

    step: int
    place: int
    start: int
    counts: NamedCounts


SERIES = Table("fleet_series", IntervalRow, key=("step", "place"), indexes=(("step", "start"),), cached=True)


def counts_at(rows: Rows, at: int, model: str | None, profile_id: str | None, error: str | None = None) -> list[Counts]:
    """Return all counts to which an event at a time belongs, to be changed in place.

    Most events of a page belong to the same ones, so they are found once.
    """
    key = at // FINEST_MS, model, profile_id, error
    known: list[Counts] | None = rows.found.get(key)
    if known is not None:
        return known
    found: list[Counts] = []
    for step, kept in KEPT.items():
        number = at // (step * 1_000)
        place, start = number % (kept + SPARE), number * step * 1_000
        row = rows.get(SERIES, step, place)
        if row is None or row.start != start:
            rows.found.clear()  # it may take the place of one whose counts were found
            row = IntervalRow(step, place, start, NamedCounts())
        rows.put(SERIES, row)
        counts = row.counts
        found.append(counts.all)
        if model is not None:
            found.append(counts.model.get(model) or _named(counts.model, model))
        if profile_id is not None:
            found.append(counts.profile.get(profile_id) or _named(counts.profile, profile_id))
        if error is not None:
            found.append(counts.error.get(error) or _named(counts.error, error))
    rows.found[key] = found
    return found


def _named(counts: dict[str, Counts], name: str) -> Counts:
    return counts.setdefault(name if len(counts) < NAMES_MAX else OTHER, Counts())
