"""Read model of runs: all runs, the active ones, why a run waits, and cancel requests.

Hot: a page of up to 500 runs is joined from stored answers (``run_answer``). Only what a run waits for is read anew.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.enums import LimitScope, RunStatus
from athena_core.event import Position, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import RunFilter, Scope
from projections.engine.page import Keyset, Page, first, is_one_of
from projections.engine.projection import ONLY_ROW
from projections.run_answer import ReachedLimit, RunWait, RunWaitReason, shown, without_counts, without_preview
from projections.run_rows import ACTIVE, CANCEL, HALT, LIMITS, OUTPUT, RUN, WAITING, ActiveRunRow, QueuedRunRow

OPEN: tuple[RunStatus, ...] = ("queued", "running", "paused")
ENDED: tuple[RunStatus, ...] = tuple(status for status in get_args(RunStatus) if status not in OPEN)
FACETS = ("status", "harness_profile_id", "model", "error_code")
FACET_RUNS_MAX = 100_000
FACET_VALUES_MAX = 100
ALL = RunFilter()
INDEXED = frozenset(
    ("session_id", "status", "provider", "model", "harness_profile_id", "error_code", "parent_run_id", "retry_of")
)
"""Fields of a filter with an index that continues with the position."""
SCANNED = frozenset(("created_after", "created_before", "cost_over_micro_usd", "duration_over_ms"))
"""Fields of a filter without such an index: the runs of a page are searched."""

SELECT_TEXT = "SELECT text FROM run_output WHERE entry_position = ?"
OUTPUT_TEXT = OUTPUT.look_up("text", "output_position")
SELECT_OUTPUT = f"SELECT output_preview, CASE WHEN output_chars <= ? THEN {OUTPUT_TEXT} END FROM run WHERE run_id = ?"
MAY_WAIT = "CASE WHEN finished_at IS NULL OR asks IS NOT NULL THEN run_id END"
"""The id of a run that may wait for something; NULL for others, whose answers are complete."""
SELECT_RUNS = f"SELECT position, output_position, answer, {MAY_WAIT} FROM run"
SELECT_RUN = f"SELECT answer, {OUTPUT_TEXT}, {MAY_WAIT} FROM run WHERE run_id = ?"
SELECT_STATUS = "SELECT status FROM run WHERE run_id = ?"
SELECT_STANDING = "SELECT session_id, status, position, asks, pause_reason FROM run WHERE run_id = ?"
SELECT_HOLDER = "SELECT run_id FROM run_active WHERE session_id = ?"
SELECT_PLACES = "SELECT run_id, session_id, places FROM run_active WHERE paused = 0 ORDER BY started_at, run_id"
SELECT_UNLEASED = "SELECT run_id FROM run_active WHERE pid = 0 AND paused = 0 ORDER BY slot_position"
SELECT_WAITERS = "SELECT position, places FROM run_waiting ORDER BY position"
COUNT_WAITING = "SELECT count(*) FROM run_waiting WHERE position <= ?"
COUNT_WAITING_IN_SESSION = "SELECT count(*) FROM run_waiting WHERE session_id = ? AND position <= ?"


class ActiveStep(Value):
    """The current step of an active run. It waits for an executor, a person, the answer of a model, or a tool.

    ``position`` is the event of the open call. ``preview`` is the beginning of its arguments, unless they were erased.
    """

    kind: Annotated[
        Literal["executor", "model", "tool", "ask"],
        says("What it waits for: an executor, a model, a tool or a person."),
    ]
    since: Annotated[str, says("When the step began.")]
    position: Annotated[Position | None, says("Event of the open call; absent without one.")] = None
    tool_name: Annotated[str | None, says("Tool of the open call; absent if unknown.")] = None
    tool_call_id: Annotated[str | None, says("Id of the open call; absent without one.")] = None
    preview: Annotated[
        str | None, says("Beginning of the arguments of the call; absent without one, or once erased.")
    ] = None


class ActiveRun(Value):
    """An admitted run that has not ended and is not paused. ``pid`` is 0 until an executor takes it.

    ``turn`` is the number of the current call of the model, or of the one that requested the current tool call. The
    time of the run counts since ``clockFrom``, without pauses. While it waits for a person, that is absent, and
    ``elapsedMs`` stands.
    """

    session_id: str
    pid: Annotated[int, says("Process that runs it; 0 before one does.")]
    started_at: Annotated[str, says("When it started, or was admitted.")]
    run_id: str
    trace_id: str
    turn: Annotated[int, says("Number of the current model call, or of the one that requested the current tool call.")]
    step: Annotated[ActiveStep, says("What it does now.")]
    timeout_ms: Annotated[int, says("Longest time that it may take, in milliseconds.")]
    harness_profile_id: str
    provider: str
    model: str
    clock_from: Annotated[
        str | None, says("When its time would have begun without pauses; absent while it waits for a person.")
    ] = None
    elapsed_ms: Annotated[int | None, says("Milliseconds that it ran; absent unless it waits for a person.")] = None
    agent_name: str | None = None
    agent: Annotated[str | None, says("Outside agent of its profile; absent without one.")] = None
    input_preview: str | None = None
    cost_micro_usd: int | None = None
    budget_micro_usd: int | None = None


class CancelRequest(Value):
    """A request to cancel a run that has not ended. ``redacted`` is true if its reason was erased."""

    session_id: str
    requested_at: str
    run_id: str
    reason: Annotated[str | None, says("Reason that the client gave; absent without one or once redacted.")] = None
    trace_id: str | None = None
    started_at: Annotated[str | None, says("When the run started; absent before that.")] = None
    redacted: bool | None = None


NEWEST = Keyset(kind="runs")
RunSort: TypeAlias = Literal["createdAt", "cost", "duration"]
SORTED: Mapping[RunSort, tuple[str, Keyset]] = {
    "cost": (
        "cost_micro_usd",
        Keyset(kind="runs-by-cost", columns=(("cost", "cost_micro_usd", int), ("position", "position", int))),
    ),
    "duration": (
        "duration_ms",
        Keyset(kind="runs-by-duration", columns=(("duration", "duration_ms", int), ("position", "position", int))),
    ),
}
"""The column and the order of a list that is not newest first. Runs without a value are left out."""
LATEST_ACTIVE = Keyset(
    kind="active",
    columns=(("startedAt", "started_at", int), ("sessionId", "session_id", str), ("runId", "run_id", str)),
)
LATEST_REQUESTS = Keyset(
    kind="cancel",
    columns=(("requestedAt", "requested_at", int), ("sessionId", "session_id", str), ("runId", "run_id", str)),
)


def run_by_id(connection: Connection, run_id: str, scope: Scope | None = None) -> bytes | None:
    """Return the JSON of a run as a caller with this scope may see it."""
    for values in connection.execute(SELECT_RUN, (run_id,)):
        answer, text, may_wait = cast(tuple[bytes, str | None, str | None], values)
        waiting = None if may_wait is None else WaitReasons(connection, scope).waiting(may_wait)
        if text is not None:
            answer = without_preview(answer)
        return shown(answer if scope is None else without_counts(answer), waiting, text)
    return None


def run_status(connection: Connection, run_id: str) -> RunStatus | None:
    """Return the status of a run, if it exists."""
    return first(connection, SELECT_STATUS, (run_id,), lambda values: cast(RunStatus, values[0]))


def output_of(connection: Connection, run_id: str, chars_max: int) -> tuple[str | None, str | None]:
    """Return the preview of the output of a run, and the output if it has at most ``chars_max`` characters."""
    for preview, text in connection.execute(SELECT_OUTPUT, (chars_max, run_id)):
        return None if preview is None else str(preview), None if text is None else str(text)
    return None, None


def list_runs(
    connection: Connection,
    wanted: RunFilter = ALL,
    *,
    sort: RunSort = "createdAt",
    scope: Scope | None = None,
    with_output: bool = False,
    cursor: str | None,
    limit: int,
) -> Page[bytes]:
    """Return a page of runs as JSON, newest, dearest or longest first, optionally with whole outputs."""
    reasons, plain = WaitReasons(connection, scope), scope is None and not with_output

    def show(values: tuple[Any, ...]) -> bytes:
        output_position, answer, may_wait = values[-3:]
        if may_wait is None and plain:
            return shown(answer)
        waiting = None if may_wait is None else reasons.waiting(may_wait)
        output = None
        if with_output and output_position is not None:
            output = first(connection, SELECT_TEXT, (output_position,), lambda found: cast(str | None, found[0]))
        return shown(answer if scope is None else without_counts(answer), waiting, output)

    select, keyset, where = SELECT_RUNS, NEWEST, conditions(wanted)
    if sort != "createdAt":
        column, keyset = SORTED[sort]
        select = select.replace("SELECT ", f"SELECT {column}, ", 1)
        where = (*where, (f"{column} >= ?", 0))
    return keyset.page(connection, select, where, within=_in_scope(scope), cursor=cursor, limit=limit, show=show)


def conditions(wanted: RunFilter) -> tuple[tuple[str, Cell], ...]:
    """Return the conditions of a filter."""
    return (
        ("session_id = ?", wanted.session_id),
        ("status = ?", wanted.status),
        ("provider = ?", wanted.provider),
        ("model = ?", wanted.model),
        ("harness_profile_id = ?", wanted.harness_profile_id),
        ("error_code = ?", wanted.error_code),
        ("parent_run_id = ?", wanted.parent_run_id),
        ("retry_of = ?", wanted.retry_of),
        ("created_at >= ?", wanted.created_after),
        ("created_at <= ?", wanted.created_before),
        ("cost_micro_usd > ?", wanted.cost_over_micro_usd),
        ("duration_ms > ?", wanted.duration_over_ms),
    )


def is_indexed(wanted: RunFilter, sort: RunSort = "createdAt") -> bool:
    """Return True if an index leads to the runs of a page, so that it costs the same among any number of runs."""
    named = {name for name in INDEXED | SCANNED if getattr(wanted, name) is not None}
    return not named if sort != "createdAt" else len(named) <= 1 and not named & SCANNED


class RunFacet(Value):
    """A value of a field, and how many runs have it."""

    value: Annotated[str, says("Value of the field.")]
    count: Annotated[int, says("Number of runs.")]


class RunFacets(Value):
    """Counts of the runs of a filter, by status, profile, model, error code and session, the most frequent first.

    Each list has at most 100 values. Only the newest 100,000 runs of the filter are counted: ``complete`` is false if
    there are more.
    """

    total: Annotated[int, says("Number of runs that were counted.")]
    complete: Annotated[bool, says("False if only the newest 100,000 runs of the filter were counted.")]
    status: Annotated[tuple[RunFacet, ...], says("Counts by status.")]
    harness_profile_id: Annotated[tuple[RunFacet, ...], says("Counts by profile.")]
    model: Annotated[tuple[RunFacet, ...], says("Counts by model.")]
    error_code: Annotated[tuple[RunFacet, ...], says("Counts by error code, of runs with an error.")]
    session_id: Annotated[tuple[RunFacet, ...], says("Counts by session.")]


def run_facets(connection: Connection, wanted: RunFilter, scope: Scope | None) -> RunFacets:
    """Count the runs of a filter by their fields, reading at most ``FACET_RUNS_MAX`` of them."""
    where, values = restriction(wanted, scope)
    newest = f"FROM run{where} ORDER BY position DESC LIMIT {FACET_RUNS_MAX + 1}"
    inner = f"SELECT {', '.join(FACETS)} {newest}"
    counts: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
    total = 0
    statement = f"SELECT {', '.join(FACETS)}, count(*) FROM ({inner}) AS newest GROUP BY {', '.join(FACETS)}"
    for *cells, count in connection.execute(statement, values):
        total += int(count or 0)
        for name, cell in zip(FACETS, cells, strict=True):
            if cell is not None:
                counts[name][str(cell)] += int(count or 0)
    found = {
        name: tuple(RunFacet(value=value, count=count) for value, count in counter.most_common(FACET_VALUES_MAX))
        for name, counter in counts.items()
    }
    statement = (  # a group for each session in the statement above would be one for each run
        f"SELECT session_id, count(*) AS runs FROM (SELECT session_id {newest}) AS newest"
        f" GROUP BY session_id ORDER BY runs DESC, session_id LIMIT {FACET_VALUES_MAX}"
    )
    sessions = [RunFacet(value=str(name), count=int(n or 0)) for name, n in connection.execute(statement, values)]
    return RunFacets(
        total=min(total, FACET_RUNS_MAX), complete=total <= FACET_RUNS_MAX, session_id=tuple(sessions), **found
    )


def run_ids(
    connection: Connection, wanted: RunFilter, scope: Scope | None, *, ended: bool, until: Position | None, limit: int
) -> list[str]:
    """Return the ids of the first ended or open runs of a filter, created up to a position, the oldest first."""
    where, values = restriction(wanted, scope)
    statuses = ENDED if ended else OPEN
    where = f"{where or ' WHERE TRUE'} AND status IN ({', '.join('?' * len(statuses))})"
    values += statuses
    if until is not None:
        where += " AND position <= ?"
        values.append(until)
    rows = connection.execute(f"SELECT run_id FROM run{where} ORDER BY position LIMIT ?", (*values, limit))
    return [str(run_id) for (run_id,) in rows]


def restriction(wanted: RunFilter, scope: Scope | None) -> tuple[str, list[Cell]]:
    """Return the WHERE clause of a filter within a scope, with its values."""
    clauses = [condition for condition, value in conditions(wanted) if value is not None]
    values: list[Cell] = [value for _, value in conditions(wanted) if value is not None]
    for column, names in _in_scope(scope).items():
        if names is not None:
            condition, some = is_one_of(column, names)
            clauses.append(condition)
            values += some
    return f" WHERE {' AND '.join(clauses)}" if clauses else "", values


def active_runs(
    connection: Connection,
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    scope: Scope | None = None,
    cursor: str | None,
    limit: int,
) -> Page[ActiveRun]:
    """Return a page of runs that hold a slot, latest first."""
    where = (("session_id = ?", session_id), ("run_id = ?", run_id), ("paused = ?", 0))
    show = partial(_to_active_run, connection)
    return LATEST_ACTIVE.page(
        connection, ACTIVE.all, where, within=_in_scope(scope), cursor=cursor, limit=limit, show=show
    )


def cancel_requests(
    connection: Connection,
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    scope: Scope | None = None,
    cursor: str | None,
    limit: int,
) -> Page[CancelRequest]:
    """Return a page of cancel requests of runs that have not ended, latest first."""
    where = (("session_id = ?", session_id), ("run_id = ?", run_id))
    return LATEST_REQUESTS.page(
        connection, CANCEL.all, where, within=_in_scope(scope), cursor=cursor, limit=limit, show=_to_cancel_request
    )


def _in_scope(scope: Scope | None) -> dict[str, frozenset[str] | None]:
    """Return the restriction of a query to the runs that a scope covers."""
    return {} if scope is None else {"session_id": scope.sessions, "run_id": scope.runs}


def halted(connection: Connection) -> bool:
    """Return True during a halt."""
    return HALT.one(connection, ONLY_ROW) is not None


class WaitReasons:
    """The reasons why runs wait, for one answer. Lookups are shared between its runs."""

    def __init__(self, connection: Connection, scope: Scope | None) -> None:
        self._connection = connection
        self._scope = scope

    def waiting(self, run_id: str) -> RunWait | None:
        """Return what a run waits for, if anything."""
        for values in self._connection.execute(SELECT_STANDING, (run_id,)):
            session_id, status, position, asks, pause_reason = cast(tuple[Any, ...], values)
            if asks is not None:
                return RunWait(reason="ask", asks=tuple(asks.split()), parked=status == "paused")
            if status == "queued":
                return self._waiting_in_queue(run_id, session_id, position)
            if status == "running":
                return self._waiting_for_executor(run_id)
            if pause_reason == "ask":
                return self._waiting_in_line(run_id)
        return None

    def _waiting_in_queue(self, run_id: str, session_id: str, position: int) -> RunWait:
        """Return why a run waits now: a halt, its session, a limit or a slot. At its start it may have been another."""
        if self._halted:
            return RunWait(reason="halted", position=self._place(run_id))
        waiter = WAITING.one(self._connection, run_id)
        assert waiter is not None
        holder = [str(active) for (active,) in self._connection.execute(SELECT_HOLDER, (session_id,))]
        place = _count(self._connection, COUNT_WAITING_IN_SESSION, session_id, position)
        if holder or place != 1:
            blocker = self._if_covered(holder[0], session_id) if holder else None
            return RunWait(reason="session-busy", position=place, blocked_by=blocker)
        reason = waiter.reason if waiter.reason in {"executor", "agent-memory"} else "concurrency"
        return self._for_slot(waiter, reason, None)

    def _waiting_in_line(self, run_id: str) -> RunWait | None:
        """Return the place of a parked run whose asks are answered; None if it is not in line yet."""
        waiter = WAITING.one(self._connection, run_id)
        if waiter is None:
            return None
        if self._halted:
            return RunWait(reason="halted", position=self._place(run_id), parked=True)
        reason = "concurrency" if waiter.reason == "key-limit" else waiter.reason
        return self._for_slot(waiter, reason, parked=True)

    def _for_slot(self, waiter: QueuedRunRow, reason: RunWaitReason, parked: bool | None) -> RunWait:
        """Return the place of a run in the queue of a limit that is reached, else of the server for this reason."""
        for key in waiter.places.split():
            reached = self._reached(key)
            if reached is not None:
                limit, blocker = reached
                place = bisect_right(self._waiters[key], waiter.position)
                return RunWait(reason="key-limit", position=place, blocked_by=blocker, limit=limit, parked=parked)
        place = _count(self._connection, COUNT_WAITING, waiter.position)
        return RunWait(reason=reason, position=place, parked=parked)

    def _waiting_for_executor(self, run_id: str) -> RunWait | None:
        """Return the place of a running run among those that no executor has taken; None if one has."""
        active = ACTIVE.one(self._connection, run_id)
        if active is None or active.pid or active.paused:
            return None
        return RunWait(reason="halted" if self._halted else "executor", position=self._unleased[run_id])

    def _place(self, run_id: str) -> int:
        """Return the place of a run among all that wait."""
        waiter = WAITING.one(self._connection, run_id)
        return 1 if waiter is None else _count(self._connection, COUNT_WAITING, waiter.position)

    def _if_covered(self, run_id: str, session_id: str) -> str | None:
        """Return the id of a blocking run if the scope covers it."""
        return run_id if self._scope is None or self._scope.shows(session_id, run_id) else None

    def _reached(self, limit_key: str) -> tuple[ReachedLimit, str | None] | None:
        """Return the limit of a key if it is reached, and the oldest run that it counts."""
        if not self._limits:
            return None
        scope, key = limit_key.split(":", 1) if ":" in limit_key else ("session", limit_key)
        runs_max = self._limits.get((scope, key), self._limits.get((scope, None)))
        runs = self._active_runs.get(limit_key, [])
        if runs_max is None or len(runs) < runs_max:
            return None
        return ReachedLimit(scope=cast(LimitScope, scope), key=key, max=runs_max, active=len(runs)), self._if_covered(
            *runs[0]
        )

    @cached_property
    def _halted(self) -> bool:
        return halted(self._connection)

    @cached_property
    def _limits(self) -> dict[tuple[str, str | None], int]:
        """Return the maximum of active runs, by scope and key."""
        row = LIMITS.one(self._connection, ONLY_ROW)
        limits = [] if row is None else msgspec.json.decode(row.limits)
        return {(limit["scope"], limit.get("key")): limit["max"] for limit in limits}

    @cached_property
    def _active_runs(self) -> dict[str, list[tuple[str, str]]]:
        """Return the runs with a slot and their sessions, by limit key, longest active first."""
        runs: dict[str, list[tuple[str, str]]] = {}
        for run_id, session_id, places in self._connection.execute(SELECT_PLACES):
            for key in str(places).split():
                runs.setdefault(key, []).append((str(run_id), str(session_id)))
        return runs

    @cached_property
    def _unleased(self) -> dict[str, int]:
        """Return the places of the running runs that no executor has taken, longest admitted first."""
        runs = self._connection.execute(SELECT_UNLEASED)
        return {str(run_id): place for place, (run_id,) in enumerate(runs, 1)}

    @cached_property
    def _waiters(self) -> dict[str, list[int]]:
        """Return the positions of waiting runs by limit key, in order."""
        waiters: dict[str, list[int]] = {}
        for position, places in self._connection.execute(SELECT_WAITERS):
            for key in str(places).split():
                waiters.setdefault(key, []).append(int(position or 0))
        return waiters


def _count(connection: Connection, statement: str, *values: Cell) -> int:
    ((count,),) = list(connection.execute(statement, values))
    return int(count or 0)


def _to_active_run(connection: Connection, values: tuple[Cell, ...]) -> ActiveRun:
    active = ACTIVE.load(values)
    run = RUN.one(connection, active.run_id)
    assert run is not None
    return ActiveRun(
        session_id=active.session_id,
        pid=active.pid,
        started_at=iso(active.started_at),
        run_id=active.run_id,
        trace_id=active.trace_id,
        turn=active.turn + (0 if active.calls.by_id else 1),
        step=_step_of(active),
        timeout_ms=active.timeout_ms,
        harness_profile_id=run.harness_profile_id,
        provider=run.provider,
        model=run.model,
        agent_name=run.agent_name,
        agent=run.agent,
        input_preview=run.input_preview,
        cost_micro_usd=run.cost_micro_usd,
        budget_micro_usd=run.budget_micro_usd,
    )


def _step_of(active: ActiveRunRow) -> ActiveStep:
    """Return the current step of a run: the first open call, if there is one."""
    since = iso(active.step_at)
    if not active.pid:
        return ActiveStep(kind="executor", since=since)
    for call_id, call in active.calls.by_id.items():
        return ActiveStep(
            kind="ask" if call.asked else "tool",
            since=since,
            position=call.position,
            tool_name=call.tool_name,
            tool_call_id=call_id,
        )
    return ActiveStep(kind="model", since=since)


def _to_cancel_request(values: tuple[Cell, ...]) -> CancelRequest:
    row = CANCEL.load(values)
    return CancelRequest(
        session_id=row.session_id,
        requested_at=iso(row.requested_at),
        run_id=row.run_id,
        reason=row.reason,
        trace_id=row.trace_id,
        started_at=iso_or_none(row.started_at),
        redacted=row.redacted,
    )
