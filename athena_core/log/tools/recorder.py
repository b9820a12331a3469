"""The recorder: eventsourcing's interfaces over our schema, so that its applications and projections work on a log.

A projection can read every log; through ``AthenaMapper`` it follows the plane's own events. Only logs that recorders
created can be written. On the plane's log, a recorder stores only the positions of followers.
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
    """Return the signal shared by all recorders of one log in this process. It is only a hint."""
    with _signals_lock:
        signal = _signals.get(name)
        if signal is None:
            signal = _signals[name] = Signal()
        return signal


@contextmanager
def eventsourcing_errors(troubles: ErrorKinds) -> Iterator[None]:
    """Translate errors of a store to eventsourcing's errors."""
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
    """A stored event with its whole row, for ``AthenaMapper``. Equal to other stored events with the same content."""

    row: Row = field(repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Compare the fields that eventsourcing knows."""
        return isinstance(other, es.StoredEvent) and _content(self) == _content(other)

    def __hash__(self) -> int:
        """Return a hash consistent with equality."""
        return hash(_content(self))


@dataclass(frozen=True)
class RowNotification(es.Notification):
    """A notification with its whole row, for ``AthenaMapper``."""

    row: Row = field(repr=False, compare=False)


def _content(event: es.StoredEvent) -> tuple[str, int, str, bytes]:
    return (str(event.originator_id), event.originator_version, event.topic, event.state)


class Recorder(es.ProcessRecorder):
    """An application, tracking and process recorder, on its own log or following the plane's log."""

    def __init__(self, store: Store, *, clock: Clock, ids: Ids, name: str = "eventsourcing") -> None:
        """Use and own ``store``. ``name`` is the application: the actor, and the owner of tracked positions."""
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
        with self._writing, self._reading:
            self._reader.close()
            self._store.close()

    # Writing

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """Hold an exclusive transaction. Subclasses use it to store their own rows together with a position."""
        with self._writing, eventsourcing_errors(self._store.troubles):
            if self._broken:
                raise es.OperationalError(
                    "an earlier write failed on the disk, so its state is unknown; reopen the log"
                )
            try:
                with self._store.exclusive():
                    yield self._store
            except self._store.fatal:
                self._broken = True
                raise
            if self._store.wal_pages >= WAL_PAGES_MAX:
                with suppress(*self._store.full):  # commits stay in the WAL until there is space
                    self._store.checkpoint_wal(truncate=False)
        self.signal.advance(self.max_notification_id() or 0)

    def insert_events(self, stored_events: Sequence[es.StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events, and move the position of ``tracking`` in the same transaction.

        A stream may start at any version; then versions have no gaps. Raise IntegrityError.
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
        """Raise NotSupportedError if the log was not created by a recorder."""
        first = self._read(self._reader.row, 1)
        if first is not None and not first.command_id.startswith(COMMAND_PREFIX + "_"):
            raise es.NotSupportedError("this is the plane's log, which only its deciders may write")

    # Reading

    def _read(self, ask: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        """Call a method of the reader, one thread at a time."""
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
        """Return the events of one stream with ``gt < version <= lte``."""
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
        """Return events from ``start`` to ``stop`` in the order of the log, optionally of some topics only."""
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
        """Return the head, or None for an empty log."""
        return self._read(self._reader.head) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LogSubscription":
        """Return a subscription to all events after a position, including future ones of any process."""
        return LogSubscription(self, gt, topics)

    # Positions of followers

    def _place_of(self, application_name: str) -> str:
        return f"follower:{self._name}:{application_name}"

    def track(self, store: Store, tracking: es.Tracking) -> None:
        """Move a position forward inside ``writing``. Raise IntegrityError if it would not move."""
        if not store.put_checkpoint(self._place_of(tracking.application_name), tracking.notification_id):
            raise es.IntegrityError(f"{tracking.application_name} was already followed to {tracking.notification_id}")

    def insert_tracking(self, tracking: es.Tracking) -> None:
        """Store the position up to which an application was followed."""
        with self.writing() as store:
            self.track(store, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the position up to which an application was followed, or None."""
        return self._read(self._reader.checkpoint, self._place_of(application_name))


class LogSubscription(es.Subscription[Recorder]):
    """A subscription to a log. Reads the head, then pages up to it, so that no event is missed or read twice."""

    def __init__(self, recorder: Recorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder, gt, topics)
        self._position: Position = gt or 0
        self._page: deque[es.Notification] = deque()

    def __next__(self) -> es.Notification:
        """Wait for the next event and return it. Raise StopIteration once stopped."""
        while not self._has_been_stopped:
            if self._page:
                return self._page.popleft()
            if not self._turn():
                self._recorder.signal.wait_in_thread(self._position + 1, POLL_SECONDS)
        raise StopIteration

    def _turn(self) -> bool:
        """Read new events. Return True if there are any."""
        head = self._recorder.max_notification_id() or 0
        if head <= self._position:
            return False
        self._page += self._recorder.select_notifications(
            self._position, PAGE_EVENTS, head, self._topics, inclusive_of_start=False
        )
        self._position = self._page[-1].id if len(self._page) == PAGE_EVENTS else head
        return True

    def stop(self) -> None:
        """End the iteration, even if it waits in another thread."""
        super().stop()
        self._recorder.signal.nudge()


class SnapshotRecorder(es.AggregateRecorder):
    """Snapshots in a store beside the log. They have versions, but no positions."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        """Use and own ``store``."""
        self._snapshots = snapshots
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._snapshots.close()

    def insert_events(self, stored_events: Sequence[es.StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all snapshots or none. Raise IntegrityError for a version that is already stored."""
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
    """The factory for ``PERSISTENCE_MODULE=athena_core.log.tools.recorder``; ``ATHENA_LOG`` names the log.

    It is a state directory, or the URL of a PostgreSQL database.
    """

    ATHENA_LOG = "ATHENA_LOG"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment. Raise OSError if it names no log."""
        super().__init__(env)
        log = self.env.get(self.ATHENA_LOG)
        if not log:
            raise OSError(f"set one of {', '.join(self.env.create_keys(self.ATHENA_LOG))} to the log")
        self._url = log if is_url(log) else None
        self._directory = Path() if is_url(log) else Path(log)
        self._open: list[Recorder | SnapshotRecorder] = []

    def aggregate_recorder(self, purpose: str = "events") -> es.AggregateRecorder:
        """Return a recorder of snapshots."""
        recorder = SnapshotRecorder(open_snapshots(self._directory, self._url, purpose))
        self._open.append(recorder)
        return recorder

    def application_recorder(self) -> es.ApplicationRecorder:
        """Return a recorder of the log."""
        return self._recorder(self._chosen(self.APPLICATION_RECORDER_TOPIC))

    def tracking_recorder(self, tracking_recorder_class: type[Recorder] | None = None) -> Recorder:
        """Return a recorder of followers' positions."""
        return self._recorder(tracking_recorder_class or self._chosen(self.TRACKING_RECORDER_TOPIC))

    def process_recorder(self) -> es.ProcessRecorder:
        """Return a recorder of the log and of followers' positions."""
        return self._recorder(self._chosen(self.PROCESS_RECORDER_TOPIC))

    def _chosen(self, setting: str) -> type[Recorder]:
        topic = self.env.get(setting)
        return cast(type[Recorder], resolve_topic(topic)) if topic else Recorder

    def _recorder(self, kind: type[Recorder]) -> Recorder:
        if not issubclass(kind, Recorder):
            setting = self.env.create_keys(self.PERSISTENCE_MODULE)[0]
            raise es.ProgrammingError(
                f"{kind.__name__} is not a subclass of athena_core.log.tools.recorder.Recorder. Set {setting} to the "
                "module of its base class, such as eventsourcing.popo or eventsourcing.sqlite."
            )
        ids = SystemIds()
        store = open_store(self._directory, self._url, ids)
        recorder = kind(store, clock=SystemClock(), ids=ids, name=self.env.name or "eventsourcing")
        self._open.append(recorder)
        return recorder

    def close(self) -> None:
        """Close all recorders of this factory."""
        while self._open:
            self._open.pop().close()


class AthenaMapper(es.Mapper[str]):
    """Maps rows of the plane's log to its events by tag; an unknown tag becomes an ``Unknown``.

    Nothing in the log names code. Text that was erased is None, as everywhere.
    """

    def __init__(
        self,
        transcoder: es.Transcoder | None = None,
        compressor: es.Compressor | None = None,
        cipher: es.Cipher | None = None,
    ) -> None:
        """Ignore the arguments of other mappers: rows of the plane are not transcoded, compressed or encrypted."""
        super().__init__(transcoder or es.JSONTranscoder())
        self._codec = Codec(EVENTS)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> es.StoredEvent:
        """Raise NotSupportedError: only deciders write the plane's log."""
        raise es.NotSupportedError("only its deciders may write the plane's log; eventsourcing can follow it")

    def to_domain_event(self, stored_event: es.StoredEvent) -> DomainEventProtocol[str]:
        """Return the event itself, so that ``singledispatchmethod`` finds the handler by its type."""
        return cast(DomainEventProtocol[str], self.recorded(stored_event).event)

    def recorded(self, stored_event: es.StoredEvent) -> Recorded[Event]:
        """Return the event in its envelope. Raise MapperDeserialisationError if the bytes do not match the type."""
        if not isinstance(stored_event, RowEvent | RowNotification):
            raise es.MapperDeserialisationError(f"{stored_event.topic}: not read from a log")
        try:
            return self._codec.decode(stored_event.row)
        except ValueError as error:
            raise es.MapperDeserialisationError(str(error)) from error


class RecordedMapper(AthenaMapper):
    """Maps rows of the plane's log to events in their envelopes, with stream, actor and time."""

    def to_domain_event(self, stored_event: es.StoredEvent) -> DomainEventProtocol[str]:
        """Return the event as ``Recorded``."""
        return cast(DomainEventProtocol[str], self.recorded(stored_event))
