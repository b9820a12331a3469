"""The loops without a server: Athena's replay, and the ceilings of a scan and of a folded-batch projection.

``python -m benchmarks.loops NAME DIRECTORY SECONDS`` runs one on a state directory and prints a ``Done`` as JSON.
"""

import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec.structs import astuple

from athena_core.clock import SystemClock, SystemIds, iso
from athena_core.domain import EVENTS
from athena_core.log.codec import Codec
from athena_core.log.sqlite.statements import SQL
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.system import gc_tuning
from athena_core.system.signal import Signal
from athena_core.values import PREVIEW_CHARS
from benchmarks.machine import cores, pin
from projections import ALL
from projections import fleet_rows as fleet
from projections.directives import DIRECTIVE
from projections.engine.generation import GenerationFiles
from projections.engine.projection import ONLY_ROW, Table, during
from projections.engine.replay import digest, rebuild
from projections.engine.views import Views
from projections.feed import FEED_EVENT as FEED
from projections.fleet_series_rows import KEPT, SERIES, SPARE, Counts, IntervalRow, NamedCounts
from projections.ids import ID, id_cells
from projections.run_answer import RunRow, answer_of
from projections.run_rows import ACTIVE, INPUT, OUTPUT, RUN
from projections.sessions import ENTRY, SESSION, SESSION_RUN, SessionRow

PAGE_EVENTS = 500
BATCH_EVENTS = 10_000
SELECT_FOR_VIEWS = (
    "SELECT position, stream, type, recorded_at, correlation, session_id, run_id, data, text, chain"
    " FROM log WHERE position > ? ORDER BY position LIMIT ?"
)


class Done(msgspec.Struct):
    """The events handled by a loop, its wall and CPU seconds, and the digests of its output."""

    events: int
    seconds: float
    cpu_seconds: float
    digests: dict[str, str]


class Stopwatch:
    """A stopwatch for wall and CPU time of this process."""

    def __init__(self) -> None:
        """Start."""
        self._began, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """The wall time so far."""
        return time.perf_counter() - self._began

    def done(self, events: int, digests: dict[str, str]) -> Done:
        """Stop, and return the result."""
        return Done(events, self.seconds, time.process_time() - self._cpu, digests)


def scan(directory: Path, seconds: float) -> Done:
    """Read the log repeatedly in pages of the feed, all columns, without processing the rows."""
    connection = apsw.Connection(str(directory / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    stopwatch, position, events = Stopwatch(), 0, 0
    while stopwatch.seconds < seconds:
        rows = connection.execute(SQL.page, (position, 2**62, PAGE_EVENTS)).fetchall()
        events += len(rows)
        position = int(rows[-1][0] or 0) if len(rows) == PAGE_EVENTS else 0
    return stopwatch.done(events, {})


def replay(directory: Path, seconds: float) -> Done:
    """Rebuild all views like ``athena replay``."""
    gc_tuning.tune_gc()
    store = SqliteStore(directory, SystemIds())
    folder = directory / "views"
    folder.mkdir(exist_ok=True)
    views = Views(
        GenerationFiles(folder, SqliteDatabases()), store.reader, Codec(EVENTS).decode, SystemClock(), ALL, Signal()
    )
    stopwatch = Stopwatch()
    *_, last = rebuild(views)
    done = stopwatch.done(last.position, {})
    current = views.generations.current()
    assert current is not None and last.outcome == "switched"
    connection = views.generations.read(current)
    done.digests = {projection.name: digest(connection, projection).sha256 for projection in ALL}
    connection.close()
    store.close()
    return done


class RunFields(msgspec.Struct, rename="camel", gc=False):
    """The fields of ``run.created`` that views need."""

    session_id: str
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    requesters: tuple[str, ...] | None = None


class LeaseFields(msgspec.Struct, gc=False):
    """The fields of ``run.leased``."""

    pid: int


class EntryFields(msgspec.Struct, gc=False):
    """The fields of ``transcript.appended``."""

    role: str
    kind: str


class UsageFields(msgspec.Struct, rename="camel", gc=False):
    """The fields of ``usage.recorded``."""

    usage: msgspec.Raw
    cost_micro_usd: int | None = None


class EndFields(msgspec.Struct, rename="camel", gc=False):
    """The fields of ``run.completed``."""

    provider: str
    model: str
    evidence_count: int
    verification_status: str


class SaidFields(msgspec.Struct, gc=False):
    """The text of ``transcript.appended``."""

    content: str


class AskedFields(msgspec.Struct, gc=False):
    """The text of ``directive.created``."""

    input: str


class Tokens(msgspec.Struct, rename="camel", gc=False):
    """The token counts of a usage."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


created = msgspec.json.Decoder(RunFields).decode
tokens = msgspec.json.Decoder(Tokens).decode
leased = msgspec.json.Decoder(LeaseFields).decode
entry = msgspec.json.Decoder(EntryFields).decode
used = msgspec.json.Decoder(UsageFields).decode
ended = msgspec.json.Decoder(EndFields).decode
said = msgspec.json.Decoder(SaidFields).decode
asked = msgspec.json.Decoder(AskedFields).decode


TIMEOUT_MS, NO_CALLS = 30_000, "[{}]"
"""Columns of an active run: the time limit of the history's runs, and their open calls."""
NO_MORE_OF_RUNS = (None,) * 6
"""The columns of a run between the first 20 and the four about its input and output."""
LAST_OF_RUNS = (None, None, None, None, 0, None, 0, None, None)
"""The columns of a run behind these, but for its duration and its answer."""


def run_cells(row: list[Any]) -> tuple[Any, ...]:
    """Return the columns of a run."""
    duration = None if row[12] is None or row[11] is None else row[12] - row[11]
    cells = (*row[:20], *NO_MORE_OF_RUNS, *row[21:28], *LAST_OF_RUNS, duration, row[28], None)
    return (*cells, answer_of(RunRow(*cells)))


def session_cells(row: list[Any]) -> tuple[Any, ...]:
    """Return the columns of a session."""
    return (*row, SESSION.answer(SessionRow(*row)) if SESSION.answer else b"")


class FoldedFleet:
    """The counters of the fleet, in memory."""

    def __init__(self) -> None:
        """Start at zero."""
        self._now = fleet.CurrentCountsRow(ONLY_ROW)
        self._providers: dict[str, fleet.ProviderCountsRow] = {}
        self._hours: dict[int, fleet.HourCountsRow] = {}
        self._times: dict[tuple[int, int], fleet.RunTimeCountRow] = {}
        self._durations: dict[tuple[str, str, int], fleet.TimeCountRow] = {}
        self._spends: dict[tuple[str, str, str], fleet.SpendRow] = {}
        self._intervals: dict[tuple[int, int], IntervalRow] = {}
        self.tables: dict[Table[Any], dict[Any, Any]] = {
            fleet.CURRENT: {ONLY_ROW: self._now},
            fleet.PROVIDER: self._providers,
            fleet.HOUR: self._hours,
            fleet.RUN_TIME: self._times,
            fleet.TIME: self._durations,
            fleet.SPEND: self._spends,
            SERIES: self._intervals,
        }

    def _counts(self, provider: str, at: int) -> tuple[fleet.ProviderCountsRow, fleet.HourCountsRow]:
        hour = at // fleet.HOUR_MS
        if provider not in self._providers:
            self._providers[provider] = fleet.ProviderCountsRow(provider)
        if hour not in self._hours:
            self._hours[hour] = fleet.HourCountsRow(hour)
        return self._providers[provider], self._hours[hour]

    def _series(self, model: str, profile_id: str, at: int) -> Iterator[Counts]:
        for step, kept in KEPT.items():
            number = at // (step * 1_000)
            place, start = number % (kept + SPARE), number * step * 1_000
            row = self._intervals.get((step, place))
            if row is None or row.start != start:
                row = self._intervals[step, place] = IntervalRow(step, place, start, NamedCounts())
            yield row.counts.all
            yield row.counts.model.setdefault(model, Counts())
            yield row.counts.profile.setdefault(profile_id, Counts())

    def _took(self, kind: str, provider: str, milliseconds: int) -> None:
        key = kind, provider, bisect_left(fleet.TIME_BOUNDS_MS, milliseconds)
        if key not in self._durations:
            self._durations[key] = fleet.TimeCountRow(*key)
        self._durations[key].number += 1
        self._durations[key].sum_ms += milliseconds

    def admitted(self, run: RunFields, at: int) -> None:
        """Count the start of a run."""
        provider = run.provider
        for started in self._series(run.model, run.harness_profile_id, at):
            started.started += 1
        self._now.running += 1
        self._took(fleet.WAITING, provider, 0)
        for counts in self._counts(provider, at):
            counts.admitted += 1

    def used(self, run: list[Any], tokens: Tokens, cost: int | None, at: int) -> None:
        """Count the cost of a model call."""
        given, taken, month = tokens.input_tokens, tokens.output_tokens, iso(at)[:7]
        names = (fleet.OVERALL, ""), (fleet.BY_PROVIDER, run[7]), (fleet.BY_PROFILE, run[6]), (fleet.BY_SESSION, run[2])
        for dimension, name in names:
            key = month, dimension, name
            spend = self._spends.get(key)
            if spend is None:
                spend = self._spends[key] = fleet.SpendRow(*key)
            spend.cost_micro_usd += cost or 0
            spend.input_tokens += given
            spend.output_tokens += taken
            spend.total_tokens += tokens.total_tokens
            spend.calls += 1
        for used in self._series(run[8], run[6], at):
            used.calls += 1
            used.input_tokens += given
            used.output_tokens += taken
            used.cost_micro_usd += cost or 0
        provider, _ = self._counts(run[7], at)
        provider.input_tokens += given
        provider.output_tokens += taken
        provider.cost_micro_usd += cost or 0

    def completed(self, run: list[Any], at: int) -> None:
        """Count the end of a run."""
        provider, began = run[7], run[4]
        bucket = fleet.bucket_of(at - began)
        for ended in self._series(run[8], run[6], at):
            ended.completed += 1
            ended.times[bucket] = ended.times.get(bucket, 0) + 1
        self._now.running -= 1
        self._took(fleet.RUNNING, provider, at - began)
        for counts in self._counts(provider, at):
            counts.completed += 1
        key = at // fleet.HOUR_MS, bucket
        if key not in self._times:
            self._times[key] = fleet.RunTimeCountRow(*key, 0)
        self._times[key].runs += 1

    def keep(self, sessions: set[str]) -> None:
        """Drop the sums of all other sessions."""
        for key in [key for key in self._spends if key[1] == fleet.BY_SESSION and key[2] not in sessions]:
            del self._spends[key]


class Folded:
    """A folded-batch projection of finished mock runs in plain Python: lists of columns, one ``executemany`` a table.

    It keeps unfinished runs in memory, has no deciders, envelopes, read-through buffers or checkpoints per projection,
    and handles only the events of the benchmarks' own history.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        """Use a database with empty tables."""
        self._connection = connection
        self.runs: dict[str, list[Any]] = {}
        self.steps: dict[str, int] = {}
        """When the current step of an unfinished run began."""
        self.ended: dict[str, list[Any]] = {}
        self.sessions: dict[str, list[Any]] = {}
        self.fleet = FoldedFleet()
        self.new: dict[Table[Any], list[tuple[Any, ...]]] = {
            table: [] for table in (DIRECTIVE, INPUT, OUTPUT, ENTRY, ID, FEED)
        }

    def fold(self, rows: list[tuple[Any, ...]]) -> None:
        """Apply a batch of events."""
        runs, sessions, new = self.runs, self.sessions, self.new
        feed = new[FEED].append
        for position, stream, kind, at, trace, session_id, run_id, data, text, chain in rows:
            feed((position, kind, session_id, run_id, trace))
            if kind == "transcript.appended":
                what, content = entry(data), said(text).content
                new[ENTRY].append(
                    (
                        *(position, chain[:4], session_id, run_id, what.role, what.kind, content),
                        *(False, None, None, None, None, None, at, None),
                    )
                )
                if what.role == "assistant":
                    row = runs[stream]
                    row[13], row[23], row[24] = position, content[:PREVIEW_CHARS], len(content)
                    new[OUTPUT].append((position, stream, content))
                elif runs[stream][21] is None:
                    row = runs[stream]
                    row[21], row[22] = position, content[:PREVIEW_CHARS]
                    new[INPUT].append((position, stream))
            elif kind == "run.created":
                run = created(data)
                runs[stream] = [
                    *(position, stream, session_id, "running", at, run.directive_id, run.harness_profile_id),
                    *(run.provider, run.model, trace, 0, None, None, None, None, None, None, 0, None, None, 0),
                    *(None, None, None, None, None, None, None, run.requesters[0] if run.requesters else None),
                ]
                new[ID].append(id_cells(position, stream, "run", session_id, stream))
                self.fleet.admitted(run, at)
                self.steps[stream] = at
            elif kind == "run.leased":
                row = runs[stream]
                row[10], row[20] = 1, leased(data).pid
                self.steps[stream] = at
            elif kind == "run.started":
                row = runs[stream]
                row[11] = at
                sessions[session_id][0], sessions[session_id][3], sessions[session_id][4] = at, row[7], row[8]
            elif kind == "usage.recorded":
                paid, row = used(data), runs[stream]
                row[14], row[15] = bytes(paid.usage).decode(), (row[15] or 0) + (paid.cost_micro_usd or 0)
                self.steps[stream] = at
                self.fleet.used(row, tokens(paid.usage), paid.cost_micro_usd, at)
            elif kind == "run.completed":
                end, row = ended(data), runs.pop(stream)
                row[3], row[12], row[7], row[8] = "completed", at, end.provider, end.model
                row[17], row[18] = end.evidence_count, end.verification_status
                self.ended[stream] = row
                self.fleet.completed(row, at)
                del self.steps[stream]
                sessions[session_id][0] = at
            elif kind == "directive.created":
                new[ID].append(id_cells(position, stream, "directive"))
                new[DIRECTIVE].append((position, stream, at, True, asked(text).input, None, None, None))
            elif kind == "session.created":
                sessions[session_id] = [at, session_id, at, None, None]

    def flush(self) -> None:
        """Write the batch in one transaction. Unfinished runs stay for the next one."""
        many = self._connection.executemany
        self._connection.execute("BEGIN IMMEDIATE")
        for table, rows in self.new.items():
            many(during(table, 0).insert, rows)
            rows.clear()
        done = list(self.ended.values())
        many(during(RUN, 0).insert, [run_cells(row) for row in done])
        many(during(SESSION_RUN, 0).insert, [(row[1], row[2], row[7], row[8], row[9], row[3], None) for row in done])
        many(during(SESSION, 0).upsert, list(map(session_cells, self.sessions.values())))
        for table, counters in self.fleet.tables.items():
            many(during(table, 0).upsert, list(map(table.cells, counters.values())))
        self._connection.execute("COMMIT")
        open_sessions = {row[2] for row in self.runs.values()} | {next(reversed(self.sessions), "")}
        self.ended.clear()
        self.fleet.keep(open_sessions)
        self.sessions = {name: row for name, row in self.sessions.items() if name in open_sessions}

    def finish(self) -> None:
        """Write the rows of unfinished runs."""
        rows = list(self.runs.values())
        many = self._connection.executemany
        self._connection.execute("BEGIN IMMEDIATE")
        many(during(RUN, 0).insert, [run_cells(row) for row in rows])
        many(during(SESSION_RUN, 0).insert, [(row[1], row[2], row[7], row[8], row[9], None, None) for row in rows])
        active = [
            (
                *(row[11] or row[4], row[2], row[1], row[20], row[9], 0, f"{row[2]} provider:{row[7]}", row[0]),
                *(TIMEOUT_MS, 0, self.steps[row[1]], NO_CALLS),
            )
            for row in rows
        ]
        many(during(ACTIVE, 0).insert, active)
        still = [
            fleet.OpenRunRow(row[1], row[2], row[6], row[7], row[8], False, row[4], row[4], unleased=not row[10])
            for row in rows
        ]
        many(during(fleet.OPEN, 0).insert, list(map(astuple, still)))
        self._connection.execute("UPDATE fleet_now SET unleased = ?", (sum(not row[10] for row in rows),))
        self._connection.execute("COMMIT")


def folded(directory: Path, seconds: float) -> Done:
    """Write the rows of all views with a folded-batch projection."""
    path = directory / "folded.db"
    gc_tuning.tune_gc()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    log = apsw.Connection(str(directory / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    stopwatch, position = Stopwatch(), 0
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "NORMAL")
    connection.pragma("cache_size", -16_384)
    for projection in ALL:
        for table in projection.tables:
            for statement in table.create:
                connection.execute(statement)
    connection.execute("CREATE TABLE generation (has_past, erased_at)")  # the digest asks if there are versions
    connection.execute("INSERT INTO generation VALUES (0, 0)")
    projection_of_all = Folded(connection)
    while rows := log.execute(SELECT_FOR_VIEWS, (position, BATCH_EVENTS)).fetchall():
        projection_of_all.fold(rows)
        projection_of_all.flush()
        position = int(rows[-1][0] or 0)
    projection_of_all.finish()
    done = stopwatch.done(position, {})
    connection.close()
    reader = SqliteDatabases().read(path)
    done.digests = {projection.name: digest(reader, projection).sha256 for projection in ALL}
    reader.close()
    return done


LOOPS: dict[str, Callable[[Path, float], Done]] = {"scan": scan, "replay": replay, "folded": folded}


def measured(name: str, directory: Path, seconds: float = 0) -> Done:
    """Run a loop in another process, on the core of the servers."""
    command = [sys.executable, "-m", "benchmarks.loops", name, str(directory), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: pin(cores()[0]))
    return msgspec.json.decode(done.stdout, type=Done)


def main() -> None:
    """Run the loop of the arguments."""
    name, directory, seconds = sys.argv[1:4]
    sys.stdout.write(msgspec.json.encode(LOOPS[name](Path(directory), float(seconds))).decode())


if __name__ == "__main__":
    main()
