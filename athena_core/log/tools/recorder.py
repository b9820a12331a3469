"""The recorder: eventsourcing's interfaces over our schema, so that its applications and projections work on a log.

Reading works on every log: through ``AthenaMapper`` a projection follows the plane's own events. Writing works on logs
of one's own: the plane's log takes only what its deciders decided, so there a recorder keeps followers' places only.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID
from weakref import WeakValueDictionary

import eventsourcing.persistence as es
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.utils import Environment, EnvType, resolve_topic

from athena_core.clock import Clock, Ids, SystemClock, SystemIds
from athena_core.domain import EVENTS
from athena_core.event import Event, Position, Recorded
from athena_core.log.chain import digest, link
from athena_core.log.codec import Codec
from athena_core.log.engine import is_url, open_snapshots, open_store
from athena_core.log.port import ErrorKinds, SnapshotStore, Store
from athena_core.protocols import Row
from athena_core.system.signal import Signal

P = ParamSpec("P")
T = TypeVar("T")

PAGE_EVENTS = 500
POLL_SECONDS = 0.02
WAL_PAGES_MAX = 1_000
COMMAND_PREFIX = "es"
ENDLESS = 2**62

_signals: WeakValueDictionary[str, Signal] = WeakValueDictionary()
_signals_lock = threading.Lock()


def signal_of(name: str) -> Signal:
    """The signal that all recorders of one log share in this process; it is a hint, the log is the truth."""
    with _signals_lock:
        signal = _signals.get(name)
        if signal is None:
            signal = _signals[name] = Signal()
        return signal


@contextmanager
def eventsourcing_errors(troubles: ErrorKinds) -> Iterator[None]:
    """Turn what a store raises into eventsourcing's errors."""
    try:
        yield
    except es.PersistenceError:
        raise
    except Exception as error:
        for kinds, trouble in troubles:
            if isinstance(error, kinds):
                kind: type[Exception] = getattr(es, trouble)
                raise kind(f"{type(error).__name__}: {error}") from error
        raise


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

    def __init__(self, store: Store, *, clock: Clock, ids: Ids, name: str = "eventsourcing") -> None:
        """Take over a store; ``name`` is the application's (the actor, and whose places ``tracking`` keeps)."""
        self.signal = signal_of(store.name)
        self._store = store
        self._clock = clock
        self._ids = ids
        self._name = name
        self._writing = threading.Lock()
        self._broken = False
        self._reader = store.reader()
        self._reading = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._store.close()

    # Writing

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """One transaction, alone in the world; subclasses use it to keep their own rows beside a place."""
        with self._writing, eventsourcing_errors(self._store.troubles):
            if self._broken:
                raise es.OperationalError("an earlier write failed on the disk: nobody knows what it holds; reopen it")
            try:
                with self._store.exclusive():
                    yield self._store
            except self._store.fatal:
                self._broken = True
                raise
            if self._store.wal_pages >= WAL_PAGES_MAX:
                with suppress(*self._store.full):  # the WAL keeps what was committed until there is space
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
        return [row.position for row in rows]

    def _rows(self, store: Store, stored_events: Sequence[es.StoredEvent]) -> list[Row]:
        position, recorded_at, chain = store.head()
        self._refuse_the_plane()
        now = max(self._clock.now(), recorded_at)
        command_id, correlation = self._ids.new(COMMAND_PREFIX), self._ids.trace()
        actor = f"system:{self._name}"
        last: dict[str, int | None] = {}
        rows: list[Row] = []
        for event in stored_events:
            stream, version, data = str(event.originator_id), event.originator_version, event.state
            known = last[stream] if stream in last else self._read(self._reader.last_version, stream)
            if version < 0 or (known is not None and version != known + 1):
                raise es.IntegrityError(f"{stream}: version {version} does not follow version {known}")
            last[stream] = version
            position += 1
            columns = (
                *(position, stream, version, event.topic, 1, now, command_id, correlation, None, actor, None, None),
                *(data, None, digest(data), None),
            )
            chain = link(chain, columns)
            rows.append(Row(*columns, chain, None))
        return rows

    def _refuse_the_plane(self) -> None:
        """Raise NotSupportedError if the log is not one that recorders began."""
        first = self._read(self._reader.row, 1)
        if first is not None and not first.command_id.startswith(COMMAND_PREFIX + "_"):
            raise es.NotSupportedError("this is the plane's log: it takes only what its deciders decided")

    # Reading

    def _read(self, ask: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        """Ask the reader, one thread at a time."""
        with self._reading, eventsourcing_errors(self._store.troubles):
            return ask(*values, **options)

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
        rows = self._read(self._reader.part, str(originator_id), *_bounds(gt, lte, limit), backwards=desc)
        return [
            RowEvent(originator_id=row.stream, originator_version=row.version, topic=row.type, state=row.data, row=row)
            for row in rows
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
            rows = self._read(self._reader.of_types, topics, after, until, limit)
        else:
            rows = self._read(self._reader.rows, after, limit, until)
        return [
            RowNotification(
                id=row.position,
                originator_id=row.stream,
                originator_version=row.version,
                topic=row.type,
                state=row.data,
                row=row,
            )
            for row in rows
        ]

    def max_notification_id(self) -> int | None:
        """The head, or None for an empty log."""
        return self._read(self._reader.head) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LogSubscription":
        """All events after a position, and then those to come, by any process."""
        return LogSubscription(self, gt, topics)

    # Places of followers

    def _place_of(self, application_name: str) -> str:
        return f"follower:{self._name}:{application_name}"

    def track(self, store: Store, tracking: es.Tracking) -> None:
        """Move a place forward inside ``writing``. Raises IntegrityError if it would not move."""
        if not store.put_checkpoint(self._place_of(tracking.application_name), tracking.notification_id):
            raise es.IntegrityError(f"{tracking.application_name} was already followed to {tracking.notification_id}")

    def insert_tracking(self, tracking: es.Tracking) -> None:
        """Record how far an application was followed."""
        with self.writing() as store:
            self.track(store, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the place up to which an application was followed, or None."""
        return self._read(self._reader.checkpoint, self._place_of(application_name))


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
        """Read what is new. Return True if there was something."""
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
    """Snapshots in a store beside the log: they have versions, but no place in its order."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        """Take over a store of snapshots."""
        self._snapshots = snapshots
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the snapshots."""
        with self._lock:
            self._snapshots.close()

    def insert_events(self, stored_events: Sequence[es.StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all or none. Raises IntegrityError for a version that is stored."""
        with self._lock, eventsourcing_errors(self._snapshots.troubles):
            self._snapshots.put([_content(event) for event in stored_events])
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
        """Return the snapshots with ``gt < version <= lte``."""
        with self._lock, eventsourcing_errors(self._snapshots.troubles):
            rows = self._snapshots.part(str(originator_id), *_bounds(gt, lte, limit), backwards=desc)
        return [es.StoredEvent(*row) for row in rows]


def _bounds(gt: int | None, lte: int | None, limit: int | None) -> tuple[int, int, int]:
    return (-1 if gt is None else gt, ENDLESS if lte is None else lte, ENDLESS if limit is None else limit)


class Factory(es.InfrastructureFactory[Recorder]):
    """What ``PERSISTENCE_MODULE=athena_core.log.tools.recorder`` means; ``ATHENA_LOG`` names the log.

    It is a state directory, or the URL of a PostgreSQL database.
    """

    ATHENA_LOG = "ATHENA_LOG"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment. Raises OSError if no log is named."""
        super().__init__(env)
        log = self.env.get(self.ATHENA_LOG)
        if not log:
            raise OSError(f"no log in any of {', '.join(self.env.create_keys(self.ATHENA_LOG))}")
        self._url = log if is_url(log) else None
        self._directory = Path() if is_url(log) else Path(log)
        self._open: list[Recorder | SnapshotRecorder] = []

    def aggregate_recorder(self, purpose: str = "events") -> es.AggregateRecorder:
        """A recorder of snapshots."""
        recorder = SnapshotRecorder(open_snapshots(self._directory, self._url, purpose))
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
        store = open_store(self._directory, self._url, ids)
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
