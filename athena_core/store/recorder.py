"""The recorder: eventsourcing's interfaces over our schema, so that its applications and projections work on a log.

Reading works on every log: through ``AthenaMapper`` a projection follows the plane's own events. Writing works on logs
of one's own: the plane's log takes only what its deciders decided, so there a recorder keeps followers' places only.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID
from weakref import WeakValueDictionary

import apsw
import eventsourcing.persistence as es
import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.utils import Environment, EnvType, resolve_topic

from athena_core.clock import Clock, Ids, SystemClock, SystemIds
from athena_core.domain import EVENTS
from athena_core.event import Event, Position, Recorded
from athena_core.protocols import Row
from athena_core.signal import Signal
from athena_core.store.chain import digest, link
from athena_core.store.codec import Codec
from athena_core.store.sqlite import (
    COLUMNS,
    SELECT_CHECKPOINT,
    SELECT_POSITION,
    SELECT_ROW,
    SqliteStore,
    open_reader,
    open_writer,
)

PAGE_EVENTS = 500
POLL_SECONDS = 0.02
WAL_PAGES_MAX = 1_000
COMMAND_PREFIX = "es"
ENDLESS = 2**62

SELECT_LAST_VERSION = "SELECT max(version) FROM log WHERE stream = ?"
SELECT_EVENTS = f"SELECT {COLUMNS} FROM log WHERE stream = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?"
SELECT_EVENTS_BACKWARDS = SELECT_EVENTS.replace("ORDER BY version", "ORDER BY version DESC")
SELECT_NOTIFICATIONS = f"SELECT {COLUMNS} FROM log WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
SELECT_NOTIFICATIONS_BY_TYPE = SELECT_NOTIFICATIONS.replace(
    "ORDER BY", "AND type IN (SELECT value FROM json_each(?)) ORDER BY"
)
CREATE_STORED = (
    "CREATE TABLE IF NOT EXISTS stored ("
    "purpose TEXT NOT NULL, originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,"
    " topic TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (purpose, originator_id, originator_version)"
    ") STRICT, WITHOUT ROWID"
)
INSERT_STORED = "INSERT INTO stored (purpose, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)"
SELECT_STORED = (
    "SELECT originator_id, originator_version, topic, state FROM stored WHERE purpose = ? AND originator_id = ?"
    " AND originator_version > ? AND originator_version <= ? ORDER BY originator_version LIMIT ?"
)
SELECT_STORED_BACKWARDS = SELECT_STORED.replace("ORDER BY originator_version", "ORDER BY originator_version DESC")

_signals: WeakValueDictionary[Path, Signal] = WeakValueDictionary()
_signals_lock = threading.Lock()


def signal_of(path: Path) -> Signal:
    """The signal that all recorders of one file share in this process; it is a hint, the file is the truth."""
    with _signals_lock:
        signal = _signals.get(path)
        if signal is None:
            signal = _signals[path] = Signal()
        return signal


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and the driver raise into eventsourcing's errors."""
    try:
        yield
    except apsw.ConstraintError as error:
        raise es.IntegrityError(str(error)) from error
    except (apsw.BusyError, apsw.FullError, apsw.IOError) as error:
        raise es.OperationalError(f"{type(error).__name__}: {error}") from error
    except (apsw.ConnectionClosedError, apsw.ThreadingViolationError) as error:
        raise es.InterfaceError(str(error)) from error
    except apsw.Error as error:
        raise es.DatabaseError(f"{type(error).__name__}: {error}") from error
    except (UnicodeError, OverflowError) as error:
        raise es.DataError(str(error)) from error


@dataclass(frozen=True)
class RowEvent(es.StoredEvent):
    """A stored event that still has its whole row, for ``AthenaMapper``; equal to any other of the same content."""

    row: Row = field(repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Compare what eventsourcing knows."""
        return isinstance(other, es.StoredEvent) and _content(self) == _content(other)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(_content(self))


@dataclass(frozen=True)
class RowNotification(es.Notification):
    """A notification that still has its whole row, for ``AthenaMapper``."""

    row: Row = field(repr=False, compare=False)


def _content(event: es.StoredEvent) -> tuple[str, int, str, bytes]:
    return (str(event.originator_id), event.originator_version, event.topic, event.state)


class Recorder(es.ProcessRecorder):
    """Application, tracking and process recorder in one, on a log of its own or following the plane's."""

    def __init__(self, store: SqliteStore, *, clock: Clock, ids: Ids, name: str = "eventsourcing") -> None:
        """Take over a store; ``name`` is the application's (the actor, and whose places ``tracking`` keeps)."""
        self.signal = signal_of(store.path.resolve())
        self._store = store
        self._clock = clock
        self._ids = ids
        self._name = name
        self._writing = threading.Lock()
        self._broken = False
        self._reader = open_reader(store.path)
        self._reading = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._store.close()

    # Writing

    @contextmanager
    def writing(self) -> Iterator[SqliteStore]:
        """One transaction, alone in the world; subclasses use it to keep their own rows beside a place."""
        with self._writing, translated():
            if self._broken:
                raise es.OperationalError("an earlier write failed on the disk: nobody knows what it holds; reopen it")
            try:
                with self._store.exclusive():
                    yield self._store
            except apsw.IOError:
                self._broken = True
                raise
            if self._store.wal_pages >= WAL_PAGES_MAX:
                with suppress(apsw.FullError):  # the WAL keeps what was committed until there is space
                    self._store.checkpoint_wal(truncate=False)
        self.signal.advance(self.max_notification_id() or 0)

    def insert_events(self, stored_events: Sequence[es.StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events, and move the place of ``tracking`` in the same transaction.

        A stream's first version is free; each one after is exactly one more. Raises IntegrityError.
        """
        tracking: es.Tracking | None = kwargs.get("tracking")
        if not stored_events and tracking is None:
            return []
        with self.writing() as store:
            rows = self._rows(store, stored_events) if stored_events else []
            store.insert(rows)
            if tracking is not None:
                self.track(store, tracking)
        return [row[0] for row in rows]

    def _rows(self, store: SqliteStore, stored_events: Sequence[es.StoredEvent]) -> list[tuple[Any, ...]]:
        position, recorded_at, chain = store.head()
        self._refuse_the_plane()
        now = max(self._clock.now(), recorded_at)
        command_id, correlation = self._ids.new(COMMAND_PREFIX), self._ids.trace()
        actor = f"system:{self._name}"
        last: dict[str, int | None] = {}
        rows: list[tuple[Any, ...]] = []
        for event in stored_events:
            stream, version, data = str(event.originator_id), event.originator_version, event.state
            known = last[stream] if stream in last else self._last_version(stream)
            if version < 0 or (known is not None and version != known + 1):
                raise es.IntegrityError(f"{stream}: version {version} does not follow version {known}")
            last[stream] = version
            position += 1
            columns = (
                *(position, stream, version, event.topic, 1, now, command_id, correlation, None, actor, None, None),
                *(data, None, digest(data), None),
            )
            chain = link(chain, columns)
            rows.append((*columns, chain, None))
        return rows

    def _refuse_the_plane(self) -> None:
        """Raise NotSupportedError if the log is not one that recorders began."""
        first = self._read(SELECT_ROW, 1)
        if first and not Row(*first[0]).command_id.startswith(COMMAND_PREFIX + "_"):
            raise es.NotSupportedError("this is the plane's log: it takes only what its deciders decided")

    def _last_version(self, stream: str) -> int | None:
        """The last version of a stream (nobody else writes while we hold the lock)."""
        found: int | None = self._read(SELECT_LAST_VERSION, stream)[0][0]
        return found

    # Reading

    def _read(self, statement: str, *values: object) -> list[Any]:
        with self._reading, translated():
            return self._reader.execute(statement, values).fetchall()

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[es.StoredEvent]:
        """The events of one stream with ``gt < version <= lte``."""
        statement = SELECT_EVENTS_BACKWARDS if desc else SELECT_EVENTS
        rows = self._read(statement, str(originator_id), *_bounds(gt, lte, limit))
        return [
            RowEvent(originator_id=row.stream, originator_version=row.version, topic=row.type, state=row.data, row=row)
            for row in (Row(*columns) for columns in rows)
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[es.Notification]:
        """Events from ``start`` to ``stop`` in the order of the log, of some topics if any are named."""
        after = 0 if start is None else start - 1 if inclusive_of_start else start
        until = ENDLESS if stop is None else stop
        if topics:
            wanted = msgspec.json.encode(list(topics)).decode()
            rows = self._read(SELECT_NOTIFICATIONS_BY_TYPE, after, until, wanted, limit)
        else:
            rows = self._read(SELECT_NOTIFICATIONS, after, until, limit)
        return [
            RowNotification(
                id=row.position,
                originator_id=row.stream,
                originator_version=row.version,
                topic=row.type,
                state=row.data,
                row=row,
            )
            for row in (Row(*columns) for columns in rows)
        ]

    def max_notification_id(self) -> int | None:
        """The head, or None for an empty log."""
        head: int | None = self._read(SELECT_POSITION)[0][0]
        return head

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LogSubscription":
        """All events after a position, and then those to come, by any process."""
        return LogSubscription(self, gt, topics)

    # Places of followers

    def _place_of(self, application_name: str) -> str:
        return f"follower:{self._name}:{application_name}"

    def track(self, store: SqliteStore, tracking: es.Tracking) -> None:
        """Move a place forward inside ``writing``. Raises IntegrityError if it would not move."""
        if not store.put_checkpoint(self._place_of(tracking.application_name), tracking.notification_id):
            raise es.IntegrityError(f"{tracking.application_name} was already followed to {tracking.notification_id}")

    def insert_tracking(self, tracking: es.Tracking) -> None:
        """Record how far an application was followed."""
        with self.writing() as store:
            self.track(store, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """How far an application was followed, or None."""
        found = self._read(SELECT_CHECKPOINT, self._place_of(application_name))
        return int(found[0][0]) if found else None


class LogSubscription(es.Subscription[Recorder]):
    """Follows a log: the head first, then a page up to it, so that nothing is missed or rescanned."""

    def __init__(self, recorder: Recorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        """Begin after a position."""
        super().__init__(recorder, gt, topics)
        self._position: Position = gt or 0
        self._page: deque[es.Notification] = deque()

    def __next__(self) -> es.Notification:
        """The next event; waits for it. Raises StopIteration once stopped."""
        while not self._has_been_stopped:
            if self._page:
                return self._page.popleft()
            if not self._turn():
                self._recorder.signal.wait_in_thread(self._position + 1, POLL_SECONDS)
        raise StopIteration

    def _turn(self) -> bool:
        """Read what is new; tell whether anything was."""
        head = self._recorder.max_notification_id() or 0
        if head <= self._position:
            return False
        self._page += self._recorder.select_notifications(
            self._position, PAGE_EVENTS, head, self._topics, inclusive_of_start=False
        )
        self._position = self._page[-1].id if len(self._page) == PAGE_EVENTS else head
        return True

    def stop(self) -> None:
        """End the iteration, also one that waits in another thread."""
        super().stop()
        self._recorder.signal.nudge()


class SnapshotRecorder(es.AggregateRecorder):
    """Snapshots in a file of their own beside the log: they have versions, but no place in its order."""

    def __init__(self, path: Path, purpose: str) -> None:
        """Open or create the file."""
        self._purpose = purpose
        self._lock = threading.Lock()
        with translated():
            self._connection = open_writer(path, "FULL")
            self._connection.pragma("wal_autocheckpoint", WAL_PAGES_MAX)
            self._connection.execute(CREATE_STORED)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def insert_events(self, stored_events: Sequence[es.StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all or none. Raises IntegrityError for a version that is stored."""
        rows = [(self._purpose, *_content(event)) for event in stored_events]
        with self._lock, translated(), self._connection:
            self._connection.executemany(INSERT_STORED, rows)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[es.StoredEvent]:
        """What is stored with ``gt < version <= lte``."""
        statement = SELECT_STORED_BACKWARDS if desc else SELECT_STORED
        values = (self._purpose, str(originator_id), *_bounds(gt, lte, limit))
        with self._lock, translated():
            rows: list[Any] = self._connection.execute(statement, values).fetchall()
        return [es.StoredEvent(*row) for row in rows]


def _bounds(gt: int | None, lte: int | None, limit: int | None) -> tuple[int, int, int]:
    return (-1 if gt is None else gt, ENDLESS if lte is None else lte, -1 if limit is None else limit)


class Factory(es.InfrastructureFactory[Recorder]):
    """What ``PERSISTENCE_MODULE=athena_core.store.recorder`` means; ``ATHENA_LOG`` names the state directory."""

    ATHENA_LOG = "ATHENA_LOG"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment. Raises OSError if no log is named."""
        super().__init__(env)
        directory = self.env.get(self.ATHENA_LOG)
        if not directory:
            raise OSError(f"no state directory in any of {', '.join(self.env.create_keys(self.ATHENA_LOG))}")
        self._directory = Path(directory)
        self._open: list[Recorder | SnapshotRecorder] = []

    def aggregate_recorder(self, purpose: str = "events") -> es.AggregateRecorder:
        """A recorder of snapshots."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        recorder = SnapshotRecorder(self._directory / "snapshots.db", purpose)
        self._open.append(recorder)
        return recorder

    def application_recorder(self) -> es.ApplicationRecorder:
        """A recorder of the log."""
        return self._recorder(self._chosen(self.APPLICATION_RECORDER_TOPIC))

    def tracking_recorder(self, tracking_recorder_class: type[Recorder] | None = None) -> Recorder:
        """A recorder of followers' places."""
        return self._recorder(tracking_recorder_class or self._chosen(self.TRACKING_RECORDER_TOPIC))

    def process_recorder(self) -> es.ProcessRecorder:
        """A recorder of the log and of followers' places."""
        return self._recorder(self._chosen(self.PROCESS_RECORDER_TOPIC))

    def _chosen(self, setting: str) -> type[Recorder]:
        topic = self.env.get(setting)
        return cast(type[Recorder], resolve_topic(topic)) if topic else Recorder

    def _recorder(self, kind: type[Recorder]) -> Recorder:
        ids = SystemIds()
        store = SqliteStore(self._directory, ids)
        recorder = kind(store, clock=SystemClock(), ids=ids, name=self.env.name or "eventsourcing")
        self._open.append(recorder)
        return recorder

    def close(self) -> None:
        """Close every recorder that was made."""
        while self._open:
            self._open.pop().close()


class AthenaMapper(es.Mapper[str]):
    """Gives projections the plane's own events, by tag; a tag that this release does not know is an ``Unknown``.

    Nothing in the log names code. Text that was erased is None, as everywhere.
    """

    def __init__(
        self,
        transcoder: es.Transcoder | None = None,
        compressor: es.Compressor | None = None,
        cipher: es.Cipher | None = None,
    ) -> None:
        """Ignore what other mappers need: rows of the plane are neither transcoded, compressed nor enciphered."""
        super().__init__(transcoder or es.JSONTranscoder())
        self._codec = Codec(EVENTS)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> es.StoredEvent:
        """Refuse: the plane's log takes only what its deciders decided."""
        raise es.NotSupportedError("the plane's log is written by its deciders; eventsourcing can follow it")

    def to_domain_event(self, stored_event: es.StoredEvent) -> DomainEventProtocol[str]:
        """The event itself, so that ``singledispatchmethod`` finds the handler by its type."""
        return cast(DomainEventProtocol[str], self.recorded(stored_event).event)

    def recorded(self, stored_event: es.StoredEvent) -> Recorded[Event]:
        """The event in its envelope. Raises MapperDeserialisationError if the bytes do not fit the type."""
        if not isinstance(stored_event, RowEvent | RowNotification):
            raise es.MapperDeserialisationError(f"{stored_event.topic}: not read from a log")
        try:
            return self._codec.decode(stored_event.row)
        except ValueError as error:
            raise es.MapperDeserialisationError(str(error)) from error


class RecordedMapper(AthenaMapper):
    """Gives projections the plane's events in their envelopes: stream, actor and time beside the event."""

    def to_domain_event(self, stored_event: es.StoredEvent) -> DomainEventProtocol[str]:
        """The ``Recorded``."""
        return cast(DomainEventProtocol[str], self.recorded(stored_event))
