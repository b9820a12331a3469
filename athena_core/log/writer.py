"""The log: every decision of the plane, taken one after another at the head and written many at a time.

One thread per process owns the writing connection. A batch is: lock, catch up with other processes, run the waiting
transactions in turn through an overlay, insert, commit, publish, answer. Nothing is answered before its commit.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar, overload

import msgspec

from athena_core.clock import Clock, Ids
from athena_core.decider import A, Context, Decider, Key, Rejected, Transaction, category
from athena_core.errors import (
    AthenaError,
    ClockJumped,
    ConfigError,
    IdempotencyMismatch,
    InternalError,
    OutcomeUnknown,
    Overloaded,
    StoreFull,
    StoreMoved,
    StoreUnreachable,
)
from athena_core.event import Fact, Guard, Meta, Position, Value
from athena_core.log.anchor import ACCEPT, Anchor, AnchorMismatch, read_anchor, write_anchor
from athena_core.log.chain import digest, follows, link
from athena_core.log.codec import SALT_BYTES, Codec, decided_or, envelope, with_decided_at
from athena_core.log.guards import Guards
from athena_core.log.key_clock import KEPT_MS, LOOK_SECONDS, KeyClock
from athena_core.log.port import FORMAT, REHEARSAL_BYTES, BoundKey, Store, StoreReader
from athena_core.log.recent import RecentReader, RecentRows
from athena_core.log.state_cache import CachedState, StateCache
from athena_core.protocols import Row, row_of
from athena_core.system.histogram import Histogram
from athena_core.system.problems import Problems
from athena_core.system.signal import Signal

S = TypeVar("S")

QUEUE_TRANSACTIONS_MAX = 8_192
BATCH_EVENTS_MAX = 512
BATCH_BYTES_MAX = 1 << 20
CATCH_UP_EVENTS_MAX = 10_000
LOCK_WAIT_SECONDS_MAX = 5.0
WAL_PAGES_MAX = 1_000
WAL_BYTES_MAX = 64 << 20
WATCH_SECONDS = 0.5
RETRY_SECONDS = 0.05
PROBE_SECONDS = 1.0
"""How often a writer whose last write failed tries whether writes work again."""
IDLE_PROBE_SECONDS = 10.0
"""How long nothing is written before a writer tries whether writes still work."""
IDLE_PROBE_BYTES = 8_192
"""The space that it takes for a moment, and gives back."""

PAGE_BYTES = 4_096
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


_log = logging.getLogger(__name__)
_stream_of = attrgetter("stream")

UNKNOWN = "the write may or may not have been done; retry with the same key"
RAISED = f"The log's format is {FORMAT} from now on; older releases cannot open it."
FIRST_ANCHOR = "%s: this log had no anchor here. It has one now, at position %d."
JUMPED = (
    "the machine's clock jumped {seconds} s ahead. Events carry the time that has passed instead. If the clock is"
    " right, run 'athena clock accept', or wait until it has kept step for ten minutes. If it is wrong, set it back."
)
UNDONE = "the connection to the database was lost; nothing was written"
LOCKED = "the log is locked; nothing was written"
FULL = "no space is left for the log; nothing was written"
READ_ONLY = "the database is read-only; nothing was written"
AWAY = "the database cannot be reached"
REFUSALS = (LOCKED, FULL, READ_ONLY, AWAY)
"""Why writes may fail for a while: what anybody may be told."""


class CommitUnknown(Exception):
    """Nobody can say now what became of a batch."""


class Committed(Value, Generic[A]):
    """The result of a transaction: last position, decision time, answer, and whether a repeated key replayed it.

    The answer of a repeated key is of the same type as that of the first; there is no ``handover`` then.
    """

    position: Position
    at: int
    subject: str | None = None
    answer: A = None  # type: ignore[assignment]
    replayed: bool = False
    handover: object = None


class Place(NamedTuple):
    """The last committed row: its position, time and chain; one value, so that other threads never see half of it."""

    position: Position
    recorded_at: int
    chain: bytes


class Submission(NamedTuple):
    """A waiting transaction. ``fresh`` names streams that cannot exist yet; ``loop`` is None when a thread waits.

    ``answers`` is the type of its answer, in which that of a repeated key is decoded.
    """

    transaction: Transaction[Any]
    meta: Meta
    key: Key | None
    fresh: frozenset[str]
    loop: asyncio.AbstractEventLoop | None
    future: Any
    answers: Any = Any


SubmissionResult = Committed[Any] | BaseException


class CommitNotice(NamedTuple):
    """A commit of this process that is over: its number, the head after it, its rows (or none: they are in the log)."""

    commit: int
    head: Position
    rows: Sequence[Row]


class CommitSubscriber(NamedTuple):
    """Who hears of every commit of this process in its event loop, after everybody there who waited for an answer."""

    loop: asyncio.AbstractEventLoop
    hear: Callable[[CommitNotice], None]


class WriteBatch:
    """What the transactions of one commit decided so far; nothing of it is in the database or the cache yet."""

    def __init__(self, place: Place, key_time: int) -> None:
        """Start at the head; ``key_time`` is the time on the clock of keys."""
        self.head, self.recorded_at, self.chain = place
        self.key_time = key_time
        self.rows: list[Row] = []
        self.size = 0
        self.ahead: dict[str, CachedState] = {}
        self.guards: list[tuple[Guard, Position]] = []
        self.keys: dict[bytes, BoundKey] = {}
        self.erase: list[Position] = []

    @property
    def full(self) -> bool:
        """Whether the next transaction belongs to the next batch."""
        return len(self.rows) >= BATCH_EVENTS_MAX or self.size >= BATCH_BYTES_MAX

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.rows and not self.keys and not self.erase


class TransactionReader:
    """What one transaction sees (``decider.Reader``): the batch before it, then what is committed."""

    def __init__(self, log: "Log", batch: WriteBatch) -> None:
        """Look through a batch."""
        self._log = log
        self._batch = batch

    @property
    def head(self) -> Position:
        """The position of the last event before this transaction."""
        return self._batch.head

    def state(self, decider: Decider[S], stream: str) -> S:
        """The state of a stream."""
        state: S = self._log.entry(self._batch, stream, decider).state
        return state

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """The guard rows of one kind by key, oldest first."""
        return self._log.guards.of(kind)

    def count(self, kind: str, word: str) -> int:
        """How many guard rows of one kind hold a word."""
        return self._log.guards.count(kind, word)


def abort_process(reason: str) -> None:
    """Leave at once, without a tidy close: closing could make a failed commit durable, or lose it."""
    os.write(2, f"athena: {reason}\n".encode())
    os._exit(1)


class Log:
    """The append-only log of one state directory, for one process; ``start`` it before the first ``submit``."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        deciders: Iterable[Decider[Any]],
        *,
        clock: Clock,
        ids: Ids,
        key_hours: int = 24,
        fatal: Callable[[str], None] = abort_process,
    ) -> None:
        """Load the head and the guards; ``fatal`` is called once the outcome of a commit is unknown."""
        self.store = store
        self.problems = Problems(clock)
        """The failing loops of this process."""
        self.codec = codec
        self.guards = Guards()
        self.batches = Histogram(BATCH_SIZES)
        """How many events this process wrote in one commit."""
        self.commit_times = Histogram(COMMIT_SECONDS)
        """How long inserting and committing them took, in seconds."""
        self._deciders = {decider.category: decider for decider in deciders}
        self._clock = clock
        self._ids = ids
        self._key_ms = key_hours * 3_600_000 + KEPT_MS
        self._key_clock = KeyClock(clock)
        self._fatal = fatal
        self._cache = StateCache()
        self.recent = RecentRows()
        self._queue: deque[Submission] = deque()
        self._ready = threading.Event()
        self.follower: CommitSubscriber | None = None
        self.commits = 0
        """How many commits have begun; who has heard of all of them may read on in the database."""
        self._stopping = False
        self._failed: AthenaError | None = None
        self._refusal: str | None = None
        self._locking_since: float | None = None
        self._checkpoint_at = self._clock.monotonic()
        self._anchor_path = store.anchor
        self._closed = threading.Event()
        head, guards = store.snapshot()
        self._place = Place(*head)
        self.guards.load(guards)
        self._forgetful = False
        self.signal = Signal(self._place.position)
        self._threads = [
            threading.Thread(target=self._write, name="athena-writer", daemon=True),
            threading.Thread(target=self._keep, name="athena-keeper", daemon=True),
        ]

    @property
    def log_id(self) -> str:
        """The log's id, 16 hex digits."""
        return self.store.log_id

    @property
    def waiting(self) -> int:
        """How many transactions wait for the next batch."""
        return len(self._queue)

    @property
    def refusal(self) -> str | None:
        """Why writes fail at present; None while they succeed."""
        since = self._locking_since
        if self._failed is not None:
            return self._failed.message
        if since is not None and self._clock.monotonic() - since > LOCK_WAIT_SECONDS_MAX:
            return LOCKED
        return self._refusal

    def start(self) -> None:
        """Start the writer and its keeper. Raises ConfigError if the log is not what its anchor vouches for."""
        self.check_anchor()
        for thread in self._threads:
            thread.start()

    def raise_format(self) -> None:
        """Raise the log's format to that of this release now, not with the first row. Call it before ``start``."""
        self.check_anchor()
        with self.store.exclusive():
            older = self.store.format < FORMAT
            if older:
                self.store.raise_format()
        if older:
            _log.warning(RAISED)

    def check_anchor(self) -> None:
        """Raise ConfigError if the log is not what its anchor vouches for. Record the anchor where there is none yet.

        It is recorded before the first row, so a log of this release with rows always has one.
        """
        mismatch = self.mismatch()
        if mismatch is not None:
            raise ConfigError(f"ATHENA_STATE_DIR: {mismatch.reason}")
        if read_anchor(self._anchor_path) is None:
            self._record_anchor()
            if self._place.position:
                _log.warning(FIRST_ANCHOR, self._anchor_path, self._place.position)

    @property
    def anchor(self) -> Anchor:
        """The anchor of the last row that this process knows to be committed."""
        place = self._place
        return Anchor(log_id=self.log_id, position=place.position, chain=place.chain.hex())

    def mismatch(self) -> AnchorMismatch | None:
        """Compare the log with its anchor.

        A log of an older release may have none, because it was written half a second after the first row. A database
        has one on each machine, which its first start there records.
        """
        head = self._place.position
        try:
            anchor = read_anchor(self._anchor_path)
        except ConfigError as error:
            return AnchorMismatch(head, f"{error.message}. {ACCEPT}", "unreadable")
        if anchor is None:
            if head == 0 or self.store.remote or self.store.format < FORMAT:
                return None
            lost = f"{self._anchor_path} is missing, so nothing shows whether the log is whole"
            return AnchorMismatch(head, f"{lost} (it ends at position {head}). {ACCEPT}", "missing")
        if anchor.log_id != self.log_id:
            other = f"{self._anchor_path} is the anchor of another log, {anchor.log_id}; this one is {self.log_id}"
            return AnchorMismatch(head, f"{other}. {ACCEPT}", "foreign")
        rows = self.store.rows(anchor.position - 1, 1) if anchor.position else []
        if not anchor.position or (rows and rows[0].chain.hex() == anchor.chain):
            return None
        different = f"holds another event at {anchor.position} than it once did"
        lost = f"once reached {anchor.position}" if head < anchor.position else different
        reason = (
            f"the log ends at position {head} but {lost} (a restored backup, a failover to a standby that was behind,"
            " or a cut tail); start once with ATHENA_ACCEPT_FORK=true to go on from here"
        )
        return AnchorMismatch(anchor.position, reason)

    def accept_fork(self) -> None:
        """Let the log go on from where it ends: replace the anchor (the caller records ``log.forked``).

        Raise ConfigError if it cannot be replaced.
        """
        self._record_anchor()

    def _record_anchor(self) -> None:
        try:
            write_anchor(self._anchor_path, self.anchor)
        except OSError as error:
            raise ConfigError(f"ATHENA_STATE_DIR: {self._anchor_path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Finish what is queued, then stop. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        self._ready.set()
        self._closed.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._refuse_waiting()  # whoever came while the writer was leaving
        if self._failed is None:
            self._write_anchor()
            self.store.close()

    def reader(self) -> StoreReader:
        """A reader with a connection of its own, for one thread."""
        return self.store.reader()

    def recent_reader(self) -> RecentReader:
        """The same for a thread that follows the log: what this process wrote last is not read back."""
        return RecentReader(self.store.reader(), self.recent)

    # Submitting

    @overload
    async def submit(
        self, transaction: Transaction, meta: Meta, key: Key | None = None, fresh: frozenset[str] = frozenset()
    ) -> Committed: ...

    @overload
    async def submit(
        self, transaction: Transaction[A], meta: Meta, key: None = None, fresh: frozenset[str] = frozenset()
    ) -> Committed[A]: ...

    @overload
    async def submit(
        self,
        transaction: Transaction[A],
        meta: Meta,
        key: Key | None,
        fresh: frozenset[str] = frozenset(),
        *,
        answers: type[A],
    ) -> Committed[A]: ...

    async def submit(
        self,
        transaction: Transaction[Any],
        meta: Meta,
        key: Key | None = None,
        fresh: frozenset[str] = frozenset(),
        *,
        answers: Any = Any,
    ) -> Committed[Any]:
        """Have a transaction decided and committed; return what became of it, or raise its error.

        ``fresh`` names streams under ids that the caller has just made: nobody needs to look whether they exist.
        ``answers`` is the type of an answer that a key keeps.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed[Any]] = loop.create_future()
        self._enqueue(Submission(transaction, meta, key, fresh, loop, future, answers))
        return await future

    def submit_in_thread(self, transaction: Transaction[A], meta: Meta, key: Key | None = None) -> Committed[A]:
        """The same for a thread, which blocks."""
        future: Future[Committed[A]] = Future()
        self._enqueue(Submission(transaction, meta, key, frozenset(), None, future))
        return future.result()

    def _enqueue(self, job: Submission) -> None:
        if self._failed is not None:
            raise self._failed
        if len(self._queue) >= QUEUE_TRANSACTIONS_MAX or self._stopping:
            raise Overloaded("too many transactions are waiting for the log")
        self._queue.append(job)
        if not self._ready.is_set():  # the writer looks at the queue after it has cleared this
            self._ready.set()

    # The writer's thread

    def _write(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._stop([], error)

    def _serve(self) -> None:
        while True:
            idle = not self._ready.wait(PROBE_SECONDS if self.store.wal_pages or self._refusal else IDLE_PROBE_SECONDS)
            self._ready.clear()
            if self._queue:
                while self._queue and self._failed is None:
                    self._commit()
                    self._checkpoint(idle=False)
            elif not self._stopping:
                self._checkpoint(idle=True)
                if idle or self._refusal is not None:
                    self._probe()
            if self._failed is not None or (self._stopping and not self._queue):
                return

    def _commit(self) -> None:
        results: list[tuple[Submission, SubmissionResult]] = []
        rows: Sequence[Row] = ()
        batch: WriteBatch | None = None
        began = self._locking_since = self._clock.monotonic()
        store, confirming = self.store, False
        try:
            try:
                with store.exclusive():
                    self._locking_since = None
                    batch = self._decide(results)
                    began = self._clock.monotonic()
                    if not batch.empty:
                        self.commits += 1
                        self._insert(batch)
                    elif any(isinstance(result, Committed) and result.replayed for _, result in results):
                        confirming = True
                        store.confirm()  # what a key led to may have been in doubt
            except (*store.full, *store.read_only):
                if confirming:
                    raise CommitUnknown from None
                raise
            except store.lost:
                if not self._settle(batch):
                    self._forget()
                    results = [(job, Overloaded(UNDONE)) for job, _ in results]
                    batch = None
        except (*store.full, *store.read_only, *store.busy) as error:
            refusal = self._refusal_of(error) or Overloaded(LOCKED)
            self._forget()
            self._fail(refusal)
            if not results or isinstance(error, store.busy):  # the next batch would meet the same
                self._refuse_waiting(refusal)
            results = [(job, refusal) for job, _ in results]
        except CommitUnknown:
            self._forget()
            self._fail(StoreUnreachable(AWAY))
            results = [(job, OutcomeUnknown(UNKNOWN)) for job, _ in results]
        except StoreMoved as moved:
            resolve([(job, OutcomeUnknown(UNKNOWN)) for job, _ in results])
            self._leave(moved)
            return
        except BaseException as error:
            self._stop(results, error)
            return
        else:
            if batch is not None:
                if batch.rows:
                    self.commit_times.observe(self._clock.monotonic() - began)
                    self.batches.observe(len(batch.rows))
                self._publish(batch)
                if not batch.empty:
                    self._succeed()
                if not batch.erase:  # it may have erased text of its own
                    rows = batch.rows
        finally:
            self._locking_since = None
        resolve(results, self.follower, CommitNotice(self.commits, self._place.position, rows))

    def _decide(self, results: list[tuple[Submission, SubmissionResult]]) -> WriteBatch:
        """Run the waiting transactions in turn, until the batch is full."""
        self._catch_up()
        if self.store.remote:
            waiting = tuple(self._queue)[:BATCH_EVENTS_MAX]
            self.store.expect([job.key.hash for job in waiting if job.key is not None])
        stamp = self.store.key_stamp()
        newest = self.store.newest_key() if stamp is None else 0
        batch = WriteBatch(self._place, self._key_clock.look(stamp, newest))
        while not batch.full:
            try:
                job = self._queue.popleft()
            except IndexError:  # also the keeper takes from the queue
                break
            try:
                result: SubmissionResult = self._run(job, batch)
            except Exception as error:
                result = error
            results.append((job, result))
            if isinstance(result, self.store.lost):
                raise result
        return batch

    def _settle(self, batch: WriteBatch | None) -> bool:
        """The connection was lost: wait for another one, and see to it that the batch is there; whether it is.

        The lock is free only once the lost connection has ended, so what is there then is final. If it is not, and
        nobody came between, the same rows are written again. Raises Doubt where the database stays away.
        """
        store, until = self.store, self._clock.monotonic() + LOCK_WAIT_SECONDS_MAX
        self._locking_since = self._clock.monotonic()
        stored = False
        while True:
            try:
                with store.exclusive():
                    if batch is None:
                        return False
                    if batch.empty or self._holds(batch):
                        stored = True
                        store.confirm()
                    elif Place(*store.head()) != self._place:
                        return False
                    else:
                        self._insert(batch)
                return True
            except (*store.lost, *store.busy):
                if self._closed.wait(RETRY_SECONDS) or self._clock.monotonic() > until:
                    raise CommitUnknown from None
            except (*store.full, *store.read_only):
                if stored:  # it is there, and nobody can tell for how long
                    raise CommitUnknown from None
                raise

    def _fail(self, error: AthenaError) -> None:
        """Note that a write failed; ``_probe`` finds out when writes work again."""
        self._refusal = error.message
        self.problems.report("log.write", error)

    def _refusal_of(self, error: Exception) -> AthenaError | None:
        """Return the error that a write would be answered with, if writes fail for a while."""
        store = self.store
        if isinstance(error, store.full):
            return StoreFull(FULL)
        if isinstance(error, store.read_only):
            return Overloaded(READ_ONLY)
        if isinstance(error, store.busy):
            return Overloaded(LOCKED)
        return StoreUnreachable(AWAY) if isinstance(error, store.lost) else None

    def _succeed(self) -> None:
        self._refusal = None
        self.problems.recovered("log.write")

    def _probe(self) -> None:
        """Try whether writes work: a server that is idle, or not ready, gets no requests that would show it."""
        store = self.store
        size = IDLE_PROBE_BYTES if self._refusal is None else REHEARSAL_BYTES
        self._locking_since = self._clock.monotonic()
        try:
            with store.exclusive():
                self._locking_since = None
                store.rehearse(size)
                if self._refusal is not None:
                    store.confirm()  # a standby that is waited for may be the trouble
        except StoreMoved as moved:
            self._leave(moved)
            return
        except Exception as error:
            refusal = self._refusal_of(error)
            if refusal is not None and self._refusal is None:
                self._fail(refusal)
            return  # of what is not known, a client's write will tell
        finally:
            self._locking_since = None
        self._succeed()

    def _holds(self, batch: WriteBatch) -> bool:
        """Whether the last row of a batch is stored (then all of it is)."""
        if not batch.rows:
            return False  # keys and erasures are the same a second time
        last = batch.rows[-1]
        return [row.chain for row in self.store.rows(last.position - 1, 1)] == [last.chain]

    def _run(self, job: Submission, batch: WriteBatch) -> Committed[Any]:
        now = self._clock.now()
        view = TransactionReader(self, batch)
        if job.key is not None:
            known = self._known(job.key, job.answers, view, batch, now)
            if known is not None:
                return known
        for stream in job.fresh:
            if stream not in batch.ahead:
                decider = self.decider(stream)
                batch.ahead[stream] = CachedState(decider, decider.initial, 0)
        context = Context(now=now, ids=self._ids, meta=job.meta)
        try:
            outcome = job.transaction(view, context)
        except Rejected as rejected:
            rejected.error.recorded = not job.meta.quiet
            if rejected.error.recorded:
                self._append(rejected.facts, batch, context)
            raise rejected.error from None
        first = batch.head + 1
        bound = job.key is not None and outcome.answer is not None
        stored = msgspec.json.encode(outcome.answer) if bound else None  # may raise: before anything is appended
        self._append(outcome.facts, batch, context)
        batch.erase += outcome.erase
        if job.key is not None:
            count = batch.head + 1 - first
            bound_at, subject = batch.key_time, outcome.subject
            key = BoundKey(job.key.fingerprint, bound_at, first, count, subject, stored, now, None)
            batch.keys[job.key.hash] = key
        return Committed(
            position=batch.head,
            at=now,
            subject=outcome.subject,
            answer=outcome.answer,
            handover=outcome.handover,
        )

    def _known(
        self, key: Key, answers: Any, view: TransactionReader, batch: WriteBatch, now: int
    ) -> Committed[Any] | None:
        """What a key led to before, if it is bound."""
        found = batch.keys.get(key.hash) or self.store.key(key.hash)
        if found is None:
            return None
        fingerprint, bound_at, first, count, subject, stored, recorded_at, extra = found
        if bound_at < batch.key_time - self._key_ms or key.released(view, subject):
            return None
        if not key.fits(fingerprint):
            raise IdempotencyMismatch("the idempotency key was used before with another input")
        before = msgspec.json.decode(stored, type=answers) if stored is not None else None
        end = first + count - 1
        at = decided_or(recorded_at, extra) if count else now
        return Committed(position=end, at=at, subject=subject, answer=before, replayed=True)

    def _append(self, facts: tuple[Fact, ...], batch: WriteBatch, context: Context) -> None:
        """Encode and fold the events of one transaction; the batch takes them all or none."""
        mine: dict[str, CachedState] = {}
        rows: list[Row] = []
        guards: list[tuple[Guard, Position]] = []
        command_id = self._ids.new("cmd") if facts else ""
        meta, encode, salt = context.meta, self.codec.encode, self._salt
        position, chain, added = batch.head, batch.chain, 0
        now, correlation, causation, actor = context.now, meta.correlation, meta.causation, meta.actor
        recorded_at = max(now, batch.recorded_at)  # the order of the log; decisions go by ``now``
        for stream, group in groupby(facts, _stream_of):  # most follow another one of their stream
            decider, state, version, size = mine.get(stream) or self.entry(batch, stream)
            for fact in group:
                event = fact.event
                kind, schema_version, data, extra, text = encode(event, salt)
                if now != recorded_at:
                    extra = with_decided_at(extra, now)
                position += 1
                version += 1
                columns = (
                    position,
                    stream,
                    version,
                    kind,
                    schema_version,
                    recorded_at,
                    command_id,
                    correlation,
                    causation,
                    actor,
                    fact.session_id,
                    fact.run_id,
                    data,
                    extra,
                    digest(data),
                    None if text is None else digest(text),
                )
                chain = link(chain, columns)
                row = row_of((*columns, chain, text))
                rows.append(row)
                if kind in decider.guarded:
                    for guard in decider.guards(envelope(row, event)):
                        guards.append((guard, position))
                state = decider.evolve(state, event)
                stored = len(data) if text is None else len(data) + len(text)
                size += stored
                added += stored
            mine[stream] = CachedState(decider, state, version, size)
        batch.rows += rows
        batch.head, batch.chain, batch.size = position, chain, batch.size + added
        batch.recorded_at = recorded_at
        batch.ahead |= mine
        batch.guards += [(made, at) for guard, at in guards if (made := self.guards.apply(guard))]

    def _salt(self) -> bytes:
        return self._ids.salt(SALT_BYTES)

    def decider(self, stream: str) -> Decider[Any]:
        """The decider of a stream, by the prefix of its name. Raises InternalError if there is none."""
        decider = self._deciders.get(category(stream))
        if decider is None:
            raise InternalError(f"the stream {stream!r} belongs to no category of this release")
        return decider

    def entry(self, batch: WriteBatch, stream: str, decider: Decider[Any] | None = None) -> CachedState:
        """The state of a stream: of this batch, of the cache, or folded from what is stored (by its own decider)."""
        entry = batch.ahead.get(stream) or self._cache.get(stream)
        if entry is None:
            decider = decider or self.decider(stream)
            entry = CachedState(decider, decider.initial, 0)
            for row in self.store.stream(stream):
                entry = self._advance(entry, row)
            self._remember(stream, entry)  # none of this batch is stored yet, so what was read is committed
        return entry

    def _advance(self, entry: CachedState, row: Row) -> CachedState:
        decider = entry.decider
        state = decider.evolve(entry.state, self.codec.decode(row, text=False).event)
        return CachedState(decider, state, row.version, entry.size + len(row.data) + len(row.text or b""))

    def _remember(self, stream: str, entry: CachedState) -> None:
        """Have a committed state at hand, unless its stream is over."""
        if entry.decider.over(entry.state):
            self._cache.drop(stream)
        else:
            self._cache.put(stream, entry)

    def _catch_up(self) -> None:
        """Take in what other processes appended since our last batch."""
        found, known = Place(*self.store.head()), self._place
        missed = found.position - known.position
        fold = not self._forgetful and missed <= CATCH_UP_EVENTS_MAX
        rows = self.store.rows(known.position, missed if fold else 1) if missed > 0 else []
        if not (follows(known.chain, rows) if missed > 0 else found.chain == known.chain):
            raise fork_error(found.position, known.position)
        if not fold:
            self._cache.clear()
            self.guards.load(self.store.guards())
        elif missed:
            for row in rows:
                self._take_in(row)
        self._place, self._forgetful = found, False

    def check_follows(self, known: Position, chain: bytes, head: Position, rows: Sequence[Row]) -> bool:
        """Return True if the log, up to ``head`` and with ``rows`` next, continues what this process knows; else leave.

        ``known`` and ``chain`` are the last row that the caller has read. Any thread may call it.
        """
        if head == known or (head > known and follows(chain, rows)):
            return True
        self._stop([], fork_error(head, known))
        return False

    def _take_in(self, row: Row) -> None:
        decider = self._deciders.get(category(row.stream))
        if decider is None:  # of a newer release
            return
        entry = self._cache.get(row.stream)
        if entry is not None:
            self._remember(row.stream, self._advance(entry, row))
        if row.type in decider.guarded:
            for guard in decider.guards(self.codec.decode(row, text=False)):
                self.guards.apply(guard)

    def _insert(self, batch: WriteBatch) -> None:
        if batch.rows and self.store.format < FORMAT:
            self.store.raise_format()
        self.store.insert(batch.rows)
        if batch.keys:
            self.store.put_keys([(key, *bound[:6]) for key, bound in batch.keys.items()])
            self.store.expire_keys(batch.key_time - self._key_ms)
        stamp = self._key_clock.stamp(self.store.key_stamp(), batch.key_time, binds=bool(batch.keys))
        if stamp is not None:
            self.store.put_key_stamp(stamp)
        self.store.put_guards(batch.guards)
        for position in batch.erase:
            self.store.erase_text(position)
        if batch.erase:
            self.store.drop_unkeyed(batch.erase)

    def _publish(self, batch: WriteBatch) -> None:
        """The batch is durable: let everybody see it."""
        for stream, entry in batch.ahead.items():
            self._remember(stream, entry)
        if batch.erase:  # maybe of rows that are there
            self.recent.clear()
        elif batch.rows:
            self.recent.put(batch.rows, batch.size)
        self._place = Place(batch.head, batch.recorded_at, batch.chain)
        self.signal.advance(batch.head)
        if batch.rows and self.store.format < FORMAT:
            _log.warning(RAISED)

    def _forget(self) -> None:
        """Nothing of a batch that failed may stay in memory: read again what is committed, before the next one."""
        self._forgetful = True

    def _stop(self, results: list[tuple[Submission, SubmissionResult]], error: BaseException) -> None:
        """Nobody knows what became of the batch: say so, stop acknowledging, leave."""
        unknown = OutcomeUnknown(UNKNOWN)
        self._failed = unknown
        resolve([(job, unknown) for job, _ in results])
        self._refuse_waiting()
        self._fatal(f"the log cannot go on: {type(error).__name__}: {error}")

    def _refuse_waiting(self, error: AthenaError | None = None) -> None:
        """Tell everybody who still waits that nothing was done."""
        refused: list[tuple[Submission, SubmissionResult]] = []
        with suppress(IndexError):
            while True:
                refused.append((self._queue.popleft(), error or Overloaded(LOCKED)))
        resolve(refused)

    def _checkpoint(self, *, idle: bool) -> None:
        pages = self.store.wal_pages
        large = pages * PAGE_BYTES > WAL_BYTES_MAX
        due = pages >= WAL_PAGES_MAX or self._clock.monotonic() - self._checkpoint_at > 1
        if not pages or not (idle or due):
            return
        self._locking_since = self._clock.monotonic()
        try:
            self.store.checkpoint_wal(truncate=idle or large)
            self.problems.recovered("log.checkpoint")
        except (*self.store.full, *self.store.read_only) as error:  # the WAL keeps what was committed until it can
            self.problems.report("log.checkpoint", error)
        except Exception as error:
            self._stop([], error)
        finally:
            self._locking_since = None
        self._checkpoint_at = self._clock.monotonic()

    # The keeper's thread

    def _keep(self) -> None:
        """Twice a second: is the lock overdue, is the file in its place, what is the anchor."""
        looked: float | None = None
        while not self._closed.wait(WATCH_SECONDS) and self._failed is None:
            since = self._locking_since
            if since is not None and self._clock.monotonic() - since > LOCK_WAIT_SECONDS_MAX:
                self._refuse_waiting()
            try:
                self.store.check_place()
                now = self._clock.monotonic()
                if self.store.remote and (looked is None or now - looked >= LOOK_SECONDS):
                    looked = now
                    self._watch_keys()
            except StoreMoved as moved:
                self._leave(moved)
                return
            except Exception as error:
                self.problems.report("log.keeper", error)
            else:
                self.problems.recovered("log.keeper")
            self._watch_clock()
            self._write_anchor()

    def _watch_keys(self) -> None:
        """Look at the clock of keys, which other machines may set."""
        with suppress(*self.store.lost), closing(self.store.reader()) as reader:  # the writer reports these
            self._key_clock.look(reader.key_stamp())

    def _watch_clock(self) -> None:
        """Notice a jump of the machine's clock, and its acceptance, also while nothing is written."""
        try:
            self._check_clock()
        except Exception as error:
            self.problems.report("log.clock", error)
        else:
            self.problems.recovered("log.clock")

    def _check_clock(self) -> None:
        """Raise ClockJumped while a jump is not accepted."""
        self._clock.now()
        ahead = self._clock.ahead
        if ahead:
            raise ClockJumped(JUMPED.format(seconds=ahead // 1000))

    def _leave(self, moved: StoreMoved) -> None:
        """Stop: the log is not this process's to write any more. What waits was not written."""
        self._failed = moved
        self._refuse_waiting()
        self._fatal(f"{self._anchor_path.parent}: {moved.message}")  # answers leave out the place

    def _write_anchor(self) -> None:
        """Vouch for the head in a file of its own, so that a cut tail is noticed."""
        anchor = self.anchor
        try:
            known = read_anchor(self._anchor_path)
        except ConfigError:
            known = None  # it is replaced
        if known is not None and known.log_id == anchor.log_id and known.position >= anchor.position:
            return
        try:
            write_anchor(self._anchor_path, anchor)
        except Exception as error:  # the anchor is a second witness; the log itself is not at stake
            self.problems.report("log.anchor", error)
        else:
            self.problems.recovered("log.anchor")


def fork_error(head: Position, known: Position) -> InternalError:
    """The error of a log that lost events which this process knows up to a position."""
    if head < known:
        return InternalError(f"the log ends at position {head}; {known} was acknowledged")
    return InternalError(f"the log ends at position {head}, but does not continue what was acknowledged at {known}")


def resolve(
    results: list[tuple[Submission, SubmissionResult]],
    follower: CommitSubscriber | None = None,
    news: CommitNotice | None = None,
) -> None:
    """Give everybody their result: threads directly, each event loop with one call; then the follower hears of it."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Submission, SubmissionResult]]] = {}
    if follower is not None:
        loops[follower.loop] = []
    for job, result in results:
        if job.loop is not None:
            loops.setdefault(job.loop, []).append((job, result))
        elif isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
    for loop, jobs in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            after = partial(follower.hear, news) if follower and news and follower.loop is loop else None
            loop.call_soon_threadsafe(_resolve, jobs, after)


def _resolve(jobs: list[tuple[Submission, SubmissionResult]], after: Callable[[], None] | None) -> None:
    for job, result in jobs:
        if job.future.done():
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
    if after is not None:
        asyncio.get_running_loop().call_soon(after)  # whoever waited for an answer goes on before
