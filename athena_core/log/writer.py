"""The log: runs transactions one after another at the head, and commits them in batches.

One thread per process, the writer, owns the writing connection. For each batch, it takes the lock, catches up with
other processes, runs the waiting transactions in turn through an overlay, inserts, commits, publishes and delivers the
results. No result is delivered before its commit.

Memory rules. Only the writer's thread changes its attributes; its methods assert this. Before ``start``, the thread
that has the log takes its place.

- ``_state``, with the guards and cached states: used by the writer only. Other threads read only ``_state.head``, which
  is replaced as one immutable value.
- ``_refusal``, ``_locking_since``, ``commits``: written by the writer, read by any thread, each replaced as a
  whole. ``commits`` grows before a commit is visible, so the tail knows of commits whose results are not delivered yet.
- ``batches`` and ``commit_times``: written by the writer; a reader of metrics may miss the last commit.
- ``_failed``: written by the writer, the watcher and the tail, only from None to an error. From then on nothing is
  acknowledged; with several errors, any of them may stay.
- ``_queue``: any thread appends; the writer and the watcher take. Both are atomic, so each job gets one result.
- ``_stopping`` and ``subscriber``: written by the event loop, read by the writer as one value.
- ``_key_clock``: used by the writer and the watcher. Its memory is one immutable value. If one thread
  overwrites the other's, time is measured from the earlier read.
- ``recent``, ``signal``, ``problems`` have locks of their own.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, overload

from athena_core.clock import Clock, Ids
from athena_core.decider import A, Decider, Key, Transaction
from athena_core.errors import (
    AthenaError,
    OutcomeUnknown,
    Overloaded,
    StoreDamaged,
    StoreFull,
    StoreMoved,
    StoreUnreachable,
    WalFull,
)
from athena_core.event import Meta, Position
from athena_core.log.anchor import AnchorFile
from athena_core.log.batch import BATCH_EVENTS_MAX, WriteBatch
from athena_core.log.chain import follows
from athena_core.log.codec import Codec
from athena_core.log.committed_state import CommittedState, fork_error
from athena_core.log.guards import Guards
from athena_core.log.key_clock import KEPT_MS, KeyClock
from athena_core.log.port import FORMAT, REHEARSAL_BYTES, LogHead, Store, StoreReader
from athena_core.log.recent import RecentReader, RecentRows
from athena_core.log.store_watch import StoreWatch
from athena_core.log.submission import (
    CommitNotice,
    CommitSubscriber,
    Committed,
    Submission,
    SubmissionResult,
    resolve,
)
from athena_core.log.writer_threads import LogDriver, WriterThreads
from athena_core.protocols import Row
from athena_core.system.histogram import Histogram
from athena_core.system.problems import Problems
from athena_core.system.signal import Signal

QUEUE_TRANSACTIONS_MAX = 8_192
LOCK_WAIT_SECONDS_MAX = 5.0
CHECKPOINT_PAGES = 1_000
LARGE_WAL_PAGES = 16_384
"""A WAL of 64 MiB."""
RETRY_SECONDS = 0.05
PROBE_SECONDS = 1.0
"""The interval of probes after a write failed."""
IDLE_PROBE_SECONDS = 10.0
"""The interval of probes while nothing is written."""
IDLE_PROBE_BYTES = 8_192
"""The space that an idle probe allocates."""

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_log = logging.getLogger(__name__)

UNKNOWN = "the outcome of the write is unknown; retry with the same idempotency key"
RAISED = f"The log's format is {FORMAT} from now on; older releases cannot open it."
UNDONE = "the connection to the database was lost; nothing was written"
LOCKED = "the log is locked; nothing was written"
FULL = "no space is left for the log; nothing was written"
READ_ONLY = "the database is read-only; nothing was written"
AWAY = "the database cannot be reached"
OTHER_THREAD = "only the writer's thread may do this once the log has started"
HELD = "a process keeps a read of log.db open, so its WAL grows; end that process"
REFUSALS = (LOCKED, FULL, WalFull.REASON, READ_ONLY, AWAY)
"""Messages of temporary write failures, for clients."""


class CommitUnknown(Exception):
    """The outcome of a commit is unknown."""


def abort_process(reason: str) -> None:
    """Exit at once without closing the log: closing could make a failed commit durable, or lose it."""
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
        driver: LogDriver | None = None,
    ) -> None:
        """Load the head and the guards. ``fatal`` is called if the process must end; ``driver`` replaces threads."""
        self.store = store
        self.problems = Problems(clock)
        """The failing background loops of this process."""
        self.codec = codec
        self.batches = Histogram(BATCH_SIZES)
        """The number of events per commit of this process."""
        self.commit_times = Histogram(COMMIT_SECONDS)
        """The time to insert and commit a batch, in seconds."""
        self._clock = clock
        self._ids = ids
        self._key_ms = key_hours * 3_600_000 + KEPT_MS
        self._key_clock = KeyClock(clock)
        self._fatal = fatal
        self.recent = RecentRows()
        self._queue: deque[Submission] = deque()
        self.subscriber: CommitSubscriber | None = None
        self.commits = 0
        """The number of started commits. A tail that has seen all of them may read the database."""
        self._stopping = False
        self._failed: AthenaError | None = None
        self._singles = 0
        """The number of transactions to commit one by one, because a batch with them met a damaged page."""
        self._refusal: str | None = None
        self._locking_since: float | None = None
        self._checkpoint_at, self._checkpoint_pages = self._clock.monotonic(), CHECKPOINT_PAGES
        self._store_watch = StoreWatch(store, clock, self._key_clock, self.problems)
        self._state = CommittedState(store, codec, deciders)
        self.anchor = AnchorFile(store, lambda: self._state.head)
        self.signal = Signal(self._state.head.position)
        self._driver = driver or WriterThreads()

    @property
    def log_id(self) -> str:
        """The log's id, 16 hex digits."""
        return self.store.log_id

    @property
    def waiting(self) -> int:
        """The number of transactions that wait for the next batch."""
        return len(self._queue)

    @property
    def refusal(self) -> str | None:
        """The reason why writes fail now; None while they succeed."""
        if self._failed is not None:
            return self._failed.message
        return LOCKED if self._overdue else self._refusal

    @property
    def _overdue(self) -> bool:
        """True if the writer has waited for the lock longer than a caller should."""
        since = self._locking_since
        return since is not None and self._clock.monotonic() - since > LOCK_WAIT_SECONDS_MAX

    @property
    def guards(self) -> Guards:
        """The guard rows at the head, changed by the writer's thread."""
        return self._state.guards

    def start(self) -> None:
        """Start the writer and its watcher. Raise ConfigError if the log does not match its anchor."""
        self.anchor.check()
        self._driver.start(self)

    def raise_format(self) -> None:
        """Raise the log's format to this release's format now, not with the first row. Call it before ``start``."""
        self.anchor.check()
        with self.store.exclusive():
            older = self.store.format < FORMAT
            if older:
                self.store.raise_format()
        if older:
            _log.warning(RAISED)

    def close(self) -> None:
        """Commit all queued transactions, then stop. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        self._driver.close()
        self._refuse_waiting()  # submitted while the writer was ending
        if self._failed is None:
            self.write_anchor()
            self.store.close()

    def reader(self) -> StoreReader:
        """Open a reader with its own connection, for one thread."""
        return self.store.reader()

    def recent_reader(self) -> RecentReader:
        """Open a reader for a thread that follows the log. It reads recent rows of this process from memory."""
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
        """Run a transaction at the head and commit its events. Return the result, or raise its error.

        ``fresh`` names streams with new ids, whose states need not be read. ``answers`` is the type of the answer
        stored under a key.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed[Any]] = loop.create_future()
        self.enqueue(Submission(transaction, meta, key, fresh, loop, future, answers))
        return await future

    def submit_in_thread(self, transaction: Transaction[A], meta: Meta, key: Key | None = None) -> Committed[A]:
        """Submit a transaction from a thread, and block until it is committed."""
        future: Future[Committed[A]] = Future()
        self.enqueue(Submission(transaction, meta, key, frozenset(), None, future))
        return future.result()

    def enqueue(self, job: Submission) -> None:
        """Queue a transaction for the next batch. Raise Overloaded if too many wait."""
        if self._failed is not None:
            raise self._failed
        if len(self._queue) >= QUEUE_TRANSACTIONS_MAX or self._stopping:
            raise Overloaded("too many transactions are waiting for the log")
        self._queue.append(job)
        self._driver.wake()

    # The writer's thread

    @property
    def idle_seconds(self) -> float:
        """The time after which the writer takes an idle turn."""
        return PROBE_SECONDS if self.store.wal_pages or self._refusal else IDLE_PROBE_SECONDS

    def turn(self, *, idle: bool) -> bool:
        """Commit what waits, or check whether writes work. Return False if no more turn is wanted."""
        try:
            if self._queue:
                while self._queue and self._failed is None:
                    self.commit_waiting()
                    self._checkpoint(idle=False)
            elif not self._stopping:
                self._checkpoint(idle=idle)
                if idle or self._refusal is not None:
                    self.probe()
        except BaseException as error:
            self._stop([], error)
        return self._failed is None and not (self._stopping and not self._queue)

    def commit_waiting(self) -> None:
        """Run and commit one batch of transactions, and deliver the results. Tests call it instead of ``start``.

        This method handles the outcome; ``_write_batch`` does the writing.
        """
        assert self._driver.is_writer, OTHER_THREAD
        results: list[tuple[Submission, SubmissionResult]] = []
        rows: Sequence[Row] = ()
        store = self.store
        try:
            batch = self._write_batch(results)
        except (*store.full, *store.read_only, *store.busy) as error:
            refusal = self._refusal_of(error) or Overloaded(LOCKED)
            self._state.forget()
            self._fail(refusal)
            if not results or isinstance(error, store.busy):  # the next batch would fail in the same way
                self._refuse_waiting(refusal)
            results = [(job, refusal) for job, _ in results]
        except CommitUnknown:
            self._state.forget()
            self._fail(StoreUnreachable(AWAY))
            results = [(job, OutcomeUnknown(UNKNOWN)) for job, _ in results]
        except StoreMoved as moved:
            resolve([(job, OutcomeUnknown(UNKNOWN)) for job, _ in results])
            self._leave(moved)
            return
        except BaseException as error:
            if not self._is_damage(error):
                self._stop(results, error)
                return
            results = self._refuse_damaged(results)
        else:
            if batch is None:
                self._state.forget()
                results = [(job, Overloaded(UNDONE)) for job, _ in results]
            else:
                self._publish(batch)
                rows = () if batch.erase else batch.rows  # they may contain text that it erased
        finally:
            self._locking_since = None
        resolve(results, self.subscriber, CommitNotice(self.commits, self._state.head.position, rows))

    def _is_damage(self, error: object) -> bool:
        """Return True if a damaged page was met. Nothing was written then, unlike after an error of the disk."""
        return isinstance(error, self.store.damaged) and not isinstance(error, self.store.fatal)

    def _refuse_damaged(
        self, results: list[tuple[Submission, SubmissionResult]]
    ) -> list[tuple[Submission, SubmissionResult]]:
        """Refuse the transaction that met a damaged page. Nothing was written, and writes of other pages go on.

        Transactions of one batch are decided again one by one, because only one of them may need the page.
        """
        damaged = StoreDamaged(StoreDamaged.REMEDY)
        self._state.forget()
        self.problems.report("log.pages", damaged)
        if len(results) > 1:
            self._queue.extendleft(job for job, _ in reversed(results))
            self._singles = len(results)
            return []
        if not results:  # every write meets it
            self._singles = 0
            self._refuse_waiting(damaged)
        return [(job, damaged) for job, _ in results]

    def _write_batch(self, results: list[tuple[Submission, SubmissionResult]]) -> WriteBatch | None:
        """Run waiting transactions, store their events, and fill in the results.

        Return None if the connection was lost before the commit. Raise CommitUnknown if the outcome is unknown, else
        the error of the store.
        """
        store, batch, confirming = self.store, None, False
        self._locking_since = self._clock.monotonic()
        try:
            with store.exclusive():
                self._locking_since = None
                batch = self._decide(results)
                batch.decided_at = self._clock.monotonic()
                if not batch.empty:
                    self.commits += 1
                    self._insert(batch)
                elif any(isinstance(result, Committed) and result.replayed for _, result in results):
                    confirming = True
                    store.confirm()  # the outcome of the first commit may have been unknown
        except (*store.full, *store.read_only):
            if confirming:
                raise CommitUnknown from None
            raise
        except store.lost:
            return batch if self._settle(batch) else None
        return batch

    def _decide(self, results: list[tuple[Submission, SubmissionResult]]) -> WriteBatch:
        """Run the waiting transactions in turn, until the batch is full."""
        self._state.catch_up()
        if self.store.remote:
            self.store.expect([job.key.hash for job in tuple(self._queue)[:BATCH_EVENTS_MAX] if job.key is not None])
        stamp = self.store.key_stamp()
        newest = self.store.newest_key() if stamp is None else 0
        batch = WriteBatch(self._state, self.store, self._ids, self._key_clock.look(stamp, newest), self._key_ms)
        now = arrived = 0
        alone = self._singles > 0
        self._singles -= alone
        while not batch.full and not (alone and results):
            # Transactions that wait were submitted before the clock is read, so one reading serves them all.
            arrived, now = (arrived - 1, now) if arrived else (max(len(self._queue) - 1, 0), self._clock.now())
            try:
                job = self._queue.popleft()
            except IndexError:  # the watcher also takes from the queue
                break
            try:
                result: SubmissionResult = batch.run(job, now)
            except Exception as error:
                result = error
            results.append((job, result))
            if isinstance(result, Exception) and (isinstance(result, self.store.lost) or self._is_damage(result)):
                raise result
        return batch

    def _settle(self, batch: WriteBatch | None) -> bool:
        """Reconnect after a lost connection and ensure that the batch is stored. Return whether it is.

        The lock is free only after the lost connection has ended, so the state found then is final. If the batch is
        missing and no other process wrote, write the same rows again. Raise CommitUnknown if the database stays
        unreachable.
        """
        store, stored, until = self.store, False, self._clock.monotonic() + LOCK_WAIT_SECONDS_MAX
        self._locking_since = self._clock.monotonic()
        while True:
            try:
                with store.exclusive():
                    if batch is None:
                        return False
                    if batch.empty or self._holds(batch):
                        stored = True
                        store.confirm()
                    elif store.head() != self._state.head:
                        return False
                    else:
                        self._insert(batch)
                return True
            except (*store.lost, *store.busy):
                if self._driver.rest(RETRY_SECONDS) or self._clock.monotonic() > until:
                    raise CommitUnknown from None
            except (*store.full, *store.read_only):
                if stored:  # stored, but perhaps not durable
                    raise CommitUnknown from None
                raise

    def _fail(self, error: AthenaError) -> None:
        """Record a failed write. ``probe`` detects when writes work again."""
        self._refusal = error.message
        self.problems.report("log.write", error)

    def _refusal_of(self, error: Exception) -> AthenaError | None:
        """Return the error for clients if ``error`` is a temporary write failure."""
        store = self.store
        if isinstance(error, store.full):
            return error if isinstance(error, StoreFull) else StoreFull(FULL)
        if isinstance(error, store.read_only):
            return Overloaded(READ_ONLY)
        if isinstance(error, store.busy):
            return Overloaded(LOCKED)
        return StoreUnreachable(AWAY) if isinstance(error, store.lost) else None

    def _succeed(self) -> None:
        self._refusal = None
        self.problems.recovered("log.write")

    def probe(self) -> None:
        """Test whether writes work. An idle or unready server gets no write requests that would show it."""
        assert self._driver.is_writer, OTHER_THREAD
        store = self.store
        self._locking_since = self._clock.monotonic()
        try:
            with store.exclusive():
                self._locking_since = None
                store.rehearse(IDLE_PROBE_BYTES if self._refusal is None else REHEARSAL_BYTES)
                if self._refusal is not None:
                    store.confirm()  # the commit may have waited for a standby
        except StoreMoved as moved:
            self._leave(moved)
            return
        except Exception as error:
            refusal = self._refusal_of(error)
            if refusal is not None and self._refusal is None:
                self._fail(refusal)
            return  # unknown; the next write will show it
        finally:
            self._locking_since = None
        self._succeed()

    def _holds(self, batch: WriteBatch) -> bool:
        """Return True if the last row of a batch is stored, and so the whole batch."""
        if not batch.rows:
            return False  # keys and erasures can be repeated
        last = batch.rows[-1]
        return [row.chain for row in self.store.rows(last.position - 1, 1)] == [last.chain]

    def check_follows(self, known: Position, chain: bytes, head: Position, rows: Sequence[Row]) -> bool:
        """Return True if ``head`` and the next ``rows`` continue the caller's last row; else end the process.

        ``known`` and ``chain`` are the position and chain value of that row. Any thread may call it.
        """
        if head == known or (head > known and follows(chain, rows)):
            return True
        self._stop([], fork_error(head, known))
        return False

    def _insert(self, batch: WriteBatch) -> None:
        if batch.rows and self.store.format < FORMAT:
            self.store.raise_format()
        self.store.insert(batch.rows)
        if batch.keys:
            self.store.put_keys([(key, *bound[:6]) for key, bound in batch.keys.items()])
            self.store.expire_keys(batch.keys_since)
        stamp = self._key_clock.stamp(self.store.key_stamp(), batch.key_time, binds=bool(batch.keys))
        if stamp is not None:
            self.store.put_key_stamp(stamp)
        self.store.put_guards(batch.guards)
        if batch.uses:
            self.store.put_token_uses(batch.uses)
        for position in batch.erase:
            self.store.erase_text(position)
        if batch.erase:
            self.store.drop_unkeyed(batch.erase)

    def _publish(self, batch: WriteBatch) -> None:
        """Make a durable batch visible to the readers of this process."""
        if batch.rows:
            self.commit_times.observe(self._clock.monotonic() - batch.decided_at)
            self.batches.observe(len(batch.rows))
        for stream, entry in batch.ahead.items():
            self._state.remember(stream, entry)
        if batch.erase:  # cached rows may hold erased text
            self.recent.clear()
        elif batch.rows:
            self.recent.put(batch.rows, batch.size)
        self._state.head = LogHead(batch.head, batch.recorded_at, batch.chain)
        self.signal.advance(batch.head)
        if batch.rows and self.store.format < FORMAT:
            _log.warning(RAISED)
        if not batch.empty:
            self._succeed()

    def _stop(self, results: list[tuple[Submission, SubmissionResult]], error: BaseException) -> None:
        """End the process, because the outcome of a batch is unknown. Nothing is acknowledged from now on."""
        self._failed = unknown = OutcomeUnknown(UNKNOWN)
        resolve([(job, unknown) for job, _ in results])
        self._refuse_waiting()
        self._fatal(f"the log cannot continue: {type(error).__name__}: {error}")

    def _refuse_waiting(self, error: AthenaError | None = None) -> None:
        """Reject all waiting transactions; nothing was written."""
        refused: list[tuple[Submission, SubmissionResult]] = []
        with suppress(IndexError):
            while True:
                refused.append((self._queue.popleft(), error or Overloaded(LOCKED)))
        resolve(refused)

    def _checkpoint(self, *, idle: bool) -> None:
        pages = self.store.wal_pages
        due = pages >= self._checkpoint_pages or self._clock.monotonic() - self._checkpoint_at > 1
        if not pages or not (idle or due):
            return
        self._locking_since = self._clock.monotonic()
        try:
            self.store.checkpoint_wal(truncate=idle or pages > LARGE_WAL_PAGES)
            self._checkpoint_pages = self.store.wal_pages + CHECKPOINT_PAGES  # a read may keep it from being emptied
            if self.store.wal_pages > LARGE_WAL_PAGES:
                self.problems.report("log.checkpoint", Overloaded(HELD))
            else:
                self.problems.recovered("log.checkpoint")
        except (*self.store.full, *self.store.read_only) as error:  # commits stay in the WAL until it can
            self.problems.report("log.checkpoint", error)
        finally:
            self._locking_since = None
        self._checkpoint_at = self._clock.monotonic()

    # The watcher's thread

    def watch(self) -> bool:
        """Reject waiting transactions while the writer is blocked, run the store checks, and advance the anchor.

        Return False if the log has failed.
        """
        if self._failed is not None:
            return False
        if self._overdue:
            self._refuse_waiting()
        try:
            self._store_watch.check()
        except StoreMoved as moved:
            self._leave(moved)
            return False
        self.write_anchor()
        return True

    def _leave(self, moved: StoreMoved) -> None:
        """End the process, because it may not write the log any more. Waiting transactions were not written."""
        self._failed = moved
        self._refuse_waiting()
        self._fatal(f"{self.anchor.path.parent}: {moved.message}")  # the path is only for operators

    def write_anchor(self) -> None:
        """Write the anchor of the head. Report a failure as a problem."""
        try:
            if self.anchor.advance():
                self.problems.recovered("log.anchor")
        except Exception as error:  # the log itself is not affected
            self.problems.report("log.anchor", error)
