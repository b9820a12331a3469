"""Tests of the log: acknowledgements, refusals, and failures of the disk or of another process."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import anyio
import apsw
import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds, FixedClock, SystemClock, SystemIds
from athena_core.decider import Context, Key, Outcome, Reader
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    ConfigError,
    IdempotencyMismatch,
    InternalError,
    OutcomeUnknown,
    Overloaded,
    StoreFull,
    StoreMoved,
    WalFull,
)
from athena_core.event import Event, Fact, Value
from athena_core.log.anchor import BYTES_MAX, Anchor, read_anchor
from athena_core.log.batch import BATCH_EVENTS_MAX
from athena_core.log.codec import Codec, at_of
from athena_core.log.committed_state import CATCH_UP_EVENTS_MAX
from athena_core.log.key_clock import KEPT_MS
from athena_core.log.port import FORMAT, REHEARSAL_BYTES, BoundKey
from athena_core.log.postgres.session import SCHEMA
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.submission import Committed, Submission
from athena_core.log.writer import HELD, IDLE_PROBE_BYTES, LARGE_WAL_PAGES, REFUSALS, Log
from tests.core.log.others import other
from tests.core.log.pots import (
    META,
    POTS,
    SLOTS_MAX,
    Deaths,
    Filled,
    PotState,
    alter,
    commit,
    connection,
    enqueue,
    erase,
    fill,
    free,
    held,
    key,
    level,
    new_log,
    place,
    rows,
    store_at,
    take,
    url_of,
)
from tests.support.api import soon

HOUR = 3_600_000


class Commits:
    """The number of commits of a log from now on."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._before = log.commits

    @property
    def count(self) -> int:
        return self._log.commits - self._before


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    found = new_log(tmp_path)
    yield found
    found.close()


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Log]:
    found = new_log(tmp_path)
    found.start()
    yield found
    found.close()


# Decisions


def test_a_transaction_sees_what_the_one_before_it_in_the_same_commit_decided(log: Log) -> None:
    commits = Commits(log)
    results = commit(log, fill(amount=2), level(), fill(amount=3), level())
    assert [result.answer for result in results] == [{"amount": 2}, 2, {"amount": 3}, 5]
    assert [result.position for result in results] == [1, 1, 2, 2]
    assert commits.count == 1


def test_a_guard_that_is_taken_in_the_same_commit_counts(log: Log, tmp_path: Path) -> None:
    futures = [enqueue(log, take(slot)) for slot in "wxyz"]
    log.commit_waiting()
    assert [type(future.exception(timeout=0)) for future in futures] == [type(None)] * 2 + [
        ConcurrencyLimitExceeded
    ] * 2
    assert [row.type for row in rows(tmp_path)] == ["slot.taken", "slot.taken", "slot.refused", "slot.refused"]


def test_a_limit_is_kept_by_two_logs_together(tmp_path: Path) -> None:
    logs = [new_log(tmp_path), new_log(tmp_path)]
    taken: set[str] = set()
    for number in range(40):
        log = logs[number // 3 % 2]
        if number % 4 == 3:
            slot = min(taken)
            commit(log, free(slot))
            taken.remove(slot)
            continue
        future = enqueue(log, take(f"slot {number:02}"))
        log.commit_waiting()
        if future.exception(timeout=0) is None:
            taken.add(f"slot {number:02}")
        assert len(taken) <= SLOTS_MAX
    assert {slot for log in logs[:1] for _, slot, _ in log.store.guards()} == taken
    for log in logs:
        log.close()


def test_guards_and_states_come_back_after_a_restart(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    commit(log, take("x"), take("y"), free("x"), fill(amount=4))
    log.close()
    again = new_log(tmp_path)
    assert dict(again.guards.of("slot")) == {"y": (2,)}
    assert [result.answer for result in commit(again, level())] == [4]
    again.close()


def test_a_log_far_behind_forgets_instead_of_folding(tmp_path: Path) -> None:
    behind, ahead = new_log(tmp_path), new_log(tmp_path)
    commit(behind, fill(amount=7), take("x"))
    facts = tuple(Fact(stream="pot_a", event=Filled(amount=1)) for _ in range(CATCH_UP_EVENTS_MAX + 1))
    commit(ahead, lambda reader, context: Outcome(facts=facts))
    commit(ahead, free("x"), take("y"))
    assert [result.answer for result in commit(behind, level())] == [7 + len(facts)]
    assert dict(behind.guards.of("slot")) == {"y": (len(facts) + 4,)}
    behind.close()
    ahead.close()


def test_streams_of_a_newer_release_are_passed_over(tmp_path: Path) -> None:
    class Boiled(Event):
        TYPE: ClassVar[str] = "pan.boiled"

    log = new_log(tmp_path)
    commit(log, fill())
    pans = replace(POTS, category="pan", events=(Boiled,))
    newer = Log(store_at(tmp_path), Codec((Boiled,)), (pans,), clock=FixedClock(), ids=CountingIds())
    commit(newer, lambda reader, context: Outcome(facts=(Fact(stream="pan_a", event=Boiled()),)))
    assert commit(log, fill())[0].position == 3
    newer.close()
    log.close()


@pytest.mark.sqlite
def test_a_stream_that_is_new_by_its_id_is_not_looked_for(log: Log) -> None:
    looked: list[str] = []

    def trace(cursor: object, statement: str, values: object) -> bool:
        looked.append(statement)
        return True

    connection(log).set_exec_trace(trace)
    future: Future[Committed[Any]] = Future()
    log.enqueue(Submission(fill("pot_new"), META, None, frozenset({"pot_new"}), None, future))
    enqueue(log, fill("pot_new"))
    log.commit_waiting()
    assert future.result(timeout=0).position == 1
    assert not [statement for statement in looked if "WHERE stream = ?" in statement]
    connection(log).set_exec_trace(None)
    assert [result.answer for result in commit(log, level("pot_new"))] == [2]


def test_an_event_that_is_not_registered_is_named(log: Log) -> None:
    class Stray(Event):
        TYPE: ClassVar[str] = "pot.strayed"

    future = enqueue(log, lambda reader, context: Outcome(facts=(Fact(stream="pot_a", event=Stray()),)))
    log.commit_waiting()
    with pytest.raises(KeyError, match=r"Stray \('pot.strayed'\) is not a registered event"):
        future.result(timeout=0)


def test_a_stream_of_no_category_is_named(log: Log) -> None:
    future = enqueue(log, fill("pan_a"))
    log.commit_waiting()
    with pytest.raises(InternalError, match="'pan_a' has no category"):
        future.result(timeout=0)


def test_a_transaction_that_fails_affects_no_other(log: Log, tmp_path: Path) -> None:
    def half(reader: Reader, context: Context) -> Outcome:
        good = Fact(stream="pot_a", event=Filled(amount=100))
        return Outcome(facts=(good, Fact(stream="pot_b", event=Filled(amount=1, label="\ud800"))))

    futures = [enqueue(log, transaction) for transaction in (fill(), half, fill(), level())]
    log.commit_waiting()
    assert isinstance(futures[1].exception(timeout=0), UnicodeEncodeError)
    assert futures[3].result(timeout=0).answer == 2
    assert [(row.stream, row.version) for row in rows(tmp_path)] == [("pot_a", 1), ("pot_a", 2)]


def test_all_events_of_a_transaction_share_its_command_and_every_one_has_its_own(log: Log, tmp_path: Path) -> None:
    facts = tuple(Fact(stream=stream, event=Filled(amount=1)) for stream in ("pot_a", "pot_b", "pot_a"))
    commit(log, lambda reader, context: Outcome(facts=facts), fill())
    commands = [row.command_id for row in rows(tmp_path)]
    assert len(set(commands[:3])) == 1
    assert len(set(commands)) == 2


def test_a_part_of_a_session_is_read_newest_first(log: Log) -> None:
    facts = tuple(
        Fact(stream=f"pot_{session_id}", event=Filled(amount=1), session_id=session_id) for session_id in "abaab"
    )
    commit(log, lambda reader, context: Outcome(facts=facts))
    with closing(log.reader()) as reader:
        assert [row.position for row in reader.session("a", 9)] == [4, 3, 1]
        assert [row.position for row in reader.session("a", 4, 1)] == [3]
        assert list(reader.session("a", 4, 3)) == []


def test_time_never_goes_back(tmp_path: Path) -> None:
    clock = FixedClock()
    log = new_log(tmp_path, clock=clock)
    commit(log, fill())
    clock.advance(-HOUR)
    commit(log, fill())
    log.close()
    clock.advance(-HOUR)
    again = new_log(tmp_path, clock=clock)
    commit(again, fill())
    again.close()
    assert len({row.recorded_at for row in rows(tmp_path)}) == 1
    assert [at_of(row) - at_of(rows(tmp_path)[0]) for row in rows(tmp_path)] == [0, -HOUR, -2 * HOUR]


# Keys


def keyed(log: Log, name: Key, amount: int = 1) -> Committed[Any]:
    future = enqueue(log, fill(amount=amount), name)
    log.commit_waiting()
    return future.result(timeout=0)


class Poured(Value):
    amount: int


def test_a_repeated_key_is_answered_in_the_type_of_the_first_answer(log: Log) -> None:
    def pour(reader: Reader, context: Context) -> Outcome[Poured]:
        fact = Fact(stream="pot_a", event=Filled(amount=1))
        return Outcome(facts=(fact,), answer=Poured(amount=1), handover="of no concern to a key")

    futures = [enqueue(log, pour, key("k"), answers=Poured) for _ in range(2)]
    log.commit_waiting()
    first, second = (future.result(timeout=0) for future in futures)
    assert first.answer == second.answer == Poured(amount=1)
    assert (first.handover, second.handover) == ("of no concern to a key", None)


def bound_to(log: Log, name: str) -> BoundKey:
    found = log.store.key(key(name).hash)
    assert found is not None
    return found


def fingerprint_of(log: Log, name: str) -> bytes:
    return bound_to(log, name)[0]


def test_a_key_is_answered_again_also_after_a_restart(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    first = keyed(log, key("k"))
    log.close()
    again = new_log(tmp_path)
    second = keyed(again, key("k"))
    assert (first.replayed, second.replayed) == (False, True)
    assert (second.position, second.subject, second.answer) == (1, "pot_a", {"amount": 1})
    assert second.at == first.at
    with pytest.raises(IdempotencyMismatch):
        keyed(again, key("k", b"other"))
    again.close()
    assert len(rows(tmp_path)) == 1


def test_a_key_expires_after_its_hours(tmp_path: Path) -> None:
    clock = FixedClock()
    log = new_log(tmp_path, clock=clock, key_hours=2)
    keyed(log, key("k"))
    clock.advance(2 * HOUR + KEPT_MS)
    assert keyed(log, key("k")).replayed
    clock.advance(1)
    assert not keyed(log, key("k", b"other")).replayed
    assert len(rows(tmp_path)) == 2
    log.close()


def test_expired_keys_are_forgotten_as_fast_as_new_ones_come(tmp_path: Path) -> None:
    clock = FixedClock()
    log = new_log(tmp_path, clock=clock, key_hours=1)
    for _ in range(3):
        for number in range(50):
            keyed(log, key(f"{clock.now()} {number}"))
        clock.advance(HOUR + KEPT_MS + 1)
    assert len(list(log.reader().keys())) == 50
    log.close()


def test_a_refusal_never_binds_a_key(log: Log) -> None:
    commit(log, take("x"), take("y"))
    refused = enqueue(log, take("z"), key("k"))
    log.commit_waiting()
    assert isinstance(refused.exception(timeout=0), ConcurrencyLimitExceeded)
    commit(log, free("x"))
    admitted = enqueue(log, take("z"), key("k", b"other"))
    log.commit_waiting()
    assert not admitted.result(timeout=0).replayed


def test_two_with_the_same_key_in_one_commit_are_one(log: Log) -> None:
    futures = [enqueue(log, fill(), name) for name in (key("k"), key("k"), key("k", b"other"))]
    log.commit_waiting()
    assert [future.result(timeout=0).replayed for future in futures[:2]] == [False, True]
    assert isinstance(futures[2].exception(timeout=0), IdempotencyMismatch)


def test_a_released_key_binds_anew(log: Log) -> None:
    keyed(log, key("k"))
    assert not keyed(log, key("k", b"other", released=True)).replayed
    assert keyed(log, key("k", b"other")).position == 2


def test_a_key_without_events_binds_too(log: Log) -> None:
    for replayed in (False, True):
        future = enqueue(log, level(), key("k"))
        log.commit_waiting()
        assert future.result(timeout=0).replayed is replayed


def test_a_fingerprint_confirms_no_guess(log: Log) -> None:
    keyed(log, key("k", b"guess"))
    stored = fingerprint_of(log, "k")
    assert (len(stored), stored[:1]) == (33, b"\x01")
    assert hashlib.sha256(b"guess").digest() not in stored
    assert stored != key("another", b"guess").fingerprint


def test_a_plain_fingerprint_of_an_older_release_counts_until_its_text_is_erased(log: Log) -> None:
    for name in ("old", "new"):
        keyed(log, key(name, b"guess"))
    bound = bound_to(log, "old")
    with log.store.exclusive():
        plain = hashlib.sha256(b"guess").digest()
        log.store.put_keys([(key("old").hash, plain, *bound[1:6])])
    assert keyed(log, key("old", b"guess")).replayed
    with pytest.raises(IdempotencyMismatch):
        keyed(log, key("old", b"other"))
    commit(log, erase(2))
    assert len(fingerprint_of(log, "old")) == 32
    commit(log, erase(1))
    assert log.store.key(key("old").hash) is None
    assert len(fingerprint_of(log, "new")) == 33


# Erasing


def test_a_text_is_erased_even_if_nothing_else_happens(log: Log, tmp_path: Path) -> None:
    commit(log, fill(label="secret"))
    commit(log, erase(1))
    (row,) = rows(tmp_path)
    assert (row.text, row.text_hash is None) == (None, False)


@pytest.mark.sqlite
def test_a_wal_that_a_reader_is_in_the_way_of_is_emptied_once_it_has_gone(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.anchor.check()
    wal = tmp_path / "log.db-wal"
    commit(log, fill(label="before"))
    with closing(open_reader(tmp_path / "log.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        commit(log, fill(label="secret"))
        log.store.checkpoint_wal(truncate=True)
        assert log.store.wal_pages > 0
        assert wal.stat().st_size > 0
    log.start()
    for _ in soon():
        if wal.stat().st_size == 0:
            break
    log.close()


class SmallWal(SqliteStore):
    """A store that refuses writes at a small WAL, and counts its checkpoints."""

    wal_pages_max = 3_000
    checkpoints = 0

    def checkpoint_wal(self, truncate: bool) -> None:
        self.checkpoints += 1
        super().checkpoint_wal(truncate)


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Keep a read of a log open."""
    with closing(open_reader(directory / "log.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        yield


LARGE = fill(label="x" * 1_000_000)
"""It takes at least 244 pages of the WAL."""


@pytest.mark.sqlite
def test_a_wal_that_a_reader_keeps_is_not_moved_at_each_commit_and_refuses_writes_at_its_limit(tmp_path: Path) -> None:
    store = SmallWal(tmp_path, CountingIds())
    log = new_log(tmp_path, store=store)
    with reading(tmp_path):
        for _ in range(12):
            commit(log, LARGE)
            log._checkpoint(idle=False)
        assert store.checkpoints == 2, "one for each 1,000 pages"
        commit(log, LARGE)
        with pytest.raises(WalFull):
            commit(log, fill())
        log.probe()
        assert log.refusal in REFUSALS
    log._checkpoint(idle=True)
    log.probe()
    assert log.refusal is None
    commit(log, fill())
    assert len(rows(tmp_path)) == 14
    log.close()


@pytest.mark.sqlite
def test_a_large_wal_that_a_reader_keeps_is_a_problem_until_it_has_gone(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    with reading(tmp_path):
        for _ in range(LARGE_WAL_PAGES // 244 + 1):
            commit(log, LARGE)
        log._checkpoint(idle=False)
        assert [problem.message for problem in log.problems.failing()] == [f"OVERLOADED: {HELD}"]
    log._checkpoint(idle=True)
    assert (log.problems.failing(), (tmp_path / "log.db-wal").stat().st_size) == ((), 0)
    log.close()


class Buggy(SqliteStore):
    """A store with a bug outside of a batch."""

    @property
    def wal_pages(self) -> int:
        raise ZeroDivisionError("a bug")

    @wal_pages.setter
    def wal_pages(self, pages: int) -> None:
        pass


@pytest.mark.sqlite
def test_a_bug_in_the_writer_ends_the_process_and_commits_nothing_more(tmp_path: Path) -> None:
    deaths = Deaths()
    log = new_log(tmp_path, store=Buggy(tmp_path, CountingIds()), deaths=deaths)
    log.start()
    for _ in soon():
        if deaths:
            break
    assert deaths == ["the log cannot continue: ZeroDivisionError: a bug"]
    assert log.refusal is not None
    log.close()


@pytest.mark.sqlite
@pytest.mark.parametrize("size", [1, 5_000])
def test_an_erased_text_is_gone_from_the_files(tmp_path: Path, size: int) -> None:
    log = new_log(tmp_path)
    commit(log, fill(label="before"), fill(label="needle" * size), fill(label="after"))
    log.store.checkpoint_wal(truncate=True)
    assert b"needle" in raw(tmp_path)
    commit(log, erase(2))
    log.store.checkpoint_wal(truncate=True)
    assert b"needle" not in raw(tmp_path)
    assert [log.codec.decode(row).event for row in rows(tmp_path)] == [
        Filled(amount=1, label="before"),
        Filled(amount=1),
        Filled(amount=1, label="after"),
    ]
    log.close()


def raw(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


# Many at a time


async def test_waiting_transactions_are_committed_together(working: Log, tmp_path: Path) -> None:
    commits = Commits(working)
    with held(tmp_path):
        tasks = [asyncio.ensure_future(working.submit(fill(), META)) for _ in range(64)]
        await anyio.lowlevel.checkpoint()
    results = await asyncio.gather(*tasks)
    assert [result.position for result in results] == list(range(1, 65))
    assert commits.count == 1


def test_a_full_batch_leaves_the_rest_to_the_next(log: Log) -> None:
    commits = Commits(log)
    futures = [enqueue(log, fill()) for _ in range(BATCH_EVENTS_MAX + 1)]
    log.commit_waiting()
    assert [future.done() for future in futures[-2:]] == [True, False]
    log.commit_waiting()
    assert futures[-1].result(timeout=0).position == BATCH_EVENTS_MAX + 1
    assert commits.count == 2


def test_large_transactions_are_not_gathered_without_end(log: Log) -> None:
    futures = [enqueue(log, fill(label="x" * 600_000)) for _ in range(3)]
    log.commit_waiting()
    assert [future.done() for future in futures] == [True, True, False]
    log.commit_waiting()


def test_threads_and_event_loops_may_submit_at_once(working: Log, tmp_path: Path) -> None:
    def work(pot: str) -> None:
        for _ in range(50):
            working.submit_in_thread(fill(pot), META)

    async def ask() -> None:
        await asyncio.gather(*(working.submit(fill("pot_c"), META) for _ in range(50)))

    threads = [threading.Thread(target=work, args=(pot,)) for pot in ("pot_a", "pot_b")]
    for thread in threads:
        thread.start()
    asyncio.run(ask())
    for thread in threads:
        thread.join()
    assert [working.submit_in_thread(level(pot), META).answer for pot in ("pot_a", "pot_b", "pot_c")] == [50] * 3
    assert len(rows(tmp_path)) == 150


async def test_a_caller_that_gave_up_waiting_does_not_disturb_the_others(working: Log, tmp_path: Path) -> None:
    with held(tmp_path):
        gone = asyncio.ensure_future(working.submit(fill(), META))
        waits = asyncio.ensure_future(working.submit(fill(), META))
        await anyio.lowlevel.checkpoint()
        gone.cancel()
    assert (await waits).position == 2


def test_a_closed_loop_does_not_disturb_the_others(log: Log) -> None:
    async def ask() -> None:
        task = asyncio.ensure_future(log.submit(fill(), META))
        await anyio.lowlevel.checkpoint()
        task.cancel()

    asyncio.run(ask())
    assert commit(log, fill())[0].position == 2


def test_a_signal_follows_every_commit(log: Log) -> None:
    commit(log, fill(), fill())
    assert log.signal.position == 2


# Beginning and ending


def test_close_finishes_what_waits_and_then_refuses(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    with held(tmp_path):
        futures = [enqueue(log, fill()) for _ in range(3)]
        closing = threading.Thread(target=log.close)
        closing.start()
    closing.join(timeout=30)
    assert [future.result(timeout=0).position for future in futures] == [1, 2, 3]
    log.close()
    with pytest.raises(Overloaded):
        enqueue(log, fill())


def test_the_queue_is_bounded(log: Log) -> None:
    with pytest.raises(Overloaded):
        for _ in range(8_193):
            enqueue(log, level())
    assert log.waiting == 8_192


def test_an_older_release_refuses_a_newer_format(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    alter(tmp_path, f"UPDATE meta SET value = '{FORMAT + 1}' WHERE name = 'format'")
    log.close()
    with pytest.raises(ConfigError, match=f"has format {FORMAT + 1}, but this release reads {FORMAT}: upgrade"):
        new_log(tmp_path)


def format_of(directory: Path) -> int:
    store = store_at(directory)
    with store.exclusive():
        found = store.format
    store.close()
    return found


def test_the_first_row_raises_the_format_of_an_older_log_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    new_log(tmp_path).close()
    alter(tmp_path, "UPDATE meta SET value = '1' WHERE name = 'format'")
    logs = [new_log(tmp_path), new_log(tmp_path)]
    commit(logs[0], level())
    assert format_of(tmp_path) == 1, "nothing was written"
    assert caplog.messages == []
    for log in (*logs, *logs):
        commit(log, fill())
        assert format_of(tmp_path) == FORMAT
    assert caplog.messages == [f"The log's format is {FORMAT} from now on; older releases cannot open it."]
    for log in logs:
        log.close()


def test_a_worker_raises_the_format_before_it_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    new_log(tmp_path).close()
    alter(tmp_path, "UPDATE meta SET value = '1' WHERE name = 'format'")
    for _ in range(2):
        log = new_log(tmp_path)
        log.raise_format()
        log.close()
        assert format_of(tmp_path) == FORMAT
    assert len(caplog.messages) == 1


def test_a_log_that_cannot_be_written_leaves_the_format(tmp_path: Path) -> None:
    new_log(tmp_path).close()
    alter(tmp_path, "UPDATE meta SET value = '1' WHERE name = 'format'")
    store = store_at(tmp_path)
    with pytest.raises(ZeroDivisionError), store.exclusive():
        store.raise_format()
        raise ZeroDivisionError
    store.close()
    assert format_of(tmp_path) == 1


def test_nothing_is_written_once_a_newer_release_has_raised_the_format(tmp_path: Path) -> None:
    deaths = Deaths()
    log = new_log(tmp_path, deaths=deaths)
    commit(log, fill())
    alter(tmp_path, f"UPDATE meta SET value = '{FORMAT + 1}' WHERE name = 'format'")
    waiting = enqueue(log, fill())
    log.commit_waiting()
    with pytest.raises(Overloaded, match="nothing was written"):
        waiting.result(timeout=0)
    raised = (
        f"a newer release has raised the log's format to {FORMAT + 1}, but this release writes {FORMAT}: upgrade Athena"
    )
    assert deaths == [f"{tmp_path}: {raised}"]
    with pytest.raises(StoreMoved):
        enqueue(log, fill())
    alter(tmp_path, f"UPDATE meta SET value = '{FORMAT}' WHERE name = 'format'")
    assert len(rows(tmp_path)) == 1
    log.close()
    log.store.close()


# The anchor


def cut(directory: Path, after: int) -> None:
    alter(directory, f"DELETE FROM log WHERE position > {after}")


def test_a_cut_tail_is_refused_at_the_start_until_the_fork_is_accepted(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    commit(log, *[fill()] * 5)
    log.close()
    cut(tmp_path, after=3)
    again = new_log(tmp_path)
    mismatch = again.anchor.mismatch()
    assert mismatch is not None
    assert (mismatch.expected, mismatch.trouble) == (5, None)
    with pytest.raises(ConfigError) as caught:
        again.start()
    (line,) = caught.value.message.splitlines()
    assert "ends at position 3 but once reached 5" in line
    assert "ATHENA_ACCEPT_FORK" in line
    again.anchor.accept_fork()
    again.start()
    assert again.submit_in_thread(fill(), META).position == 4
    again.close()
    anchor = read_anchor(again.store.anchor)
    assert anchor is not None
    assert (anchor.position, anchor.chain) == (4, rows(tmp_path)[-1].chain.hex())


def test_another_history_of_the_same_length_is_refused_too(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    commit(log, fill(), fill())
    log.close()
    cut(tmp_path, after=1)
    other_history = new_log(tmp_path)
    commit(other_history, fill(amount=2))
    other_history.close()
    again = new_log(tmp_path)
    mismatch = again.anchor.mismatch()
    assert mismatch is not None
    assert mismatch.expected == 2
    again.store.close()


FOREIGN = b'{"logId":"0123456789abcdef","position":1,"chain":"' + b"0" * 64 + b'"}'


def torn(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def linked(path: Path) -> None:
    """Store the anchor elsewhere, behind a link."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replaced_by(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


PLACED: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "empty": (torn(b""), "unreadable", "is truncated or damaged"),
    "cut": (torn(b'{"logId":"'), "unreadable", "is truncated or damaged"),
    "no chain": (torn(FOREIGN.replace(b"0" * 64, b"00")), "unreadable", "is truncated or damaged"),
    "below 0": (torn(FOREIGN.replace(b":1,", b":-1,")), "unreadable", "is truncated or damaged"),
    "nested": (torn(b"[" * BYTES_MAX), "unreadable", "is truncated or damaged"),
    "too long": (torn(FOREIGN + b" " * BYTES_MAX), "unreadable", f"larger than {BYTES_MAX} bytes"),
    "of another log": (torn(FOREIGN), "foreign", "is the anchor of another log, 0123456789abcdef"),
    "link": (linked, "unreadable", "Too many levels of symbolic links"),
    "fifo": (replaced_by(os.mkfifo), "unreadable", "not a regular file"),
    "above 2^63": (torn(FOREIGN.replace(b":1,", b":9223372036854775808,")), "unreadable", "is truncated or damaged"),
    "directory": (replaced_by(Path.mkdir), "unreadable", "not a regular file"),
}


@pytest.mark.parametrize("what", PLACED)
def test_an_anchor_that_vouches_for_nothing_is_refused_until_that_is_accepted(tmp_path: Path, what: str) -> None:
    place_it, trouble, reason = PLACED[what]
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    place_it(log.store.anchor)
    again = new_log(tmp_path)
    mismatch = again.anchor.mismatch()
    assert mismatch is not None
    assert (mismatch.expected, mismatch.trouble) == (1, trouble)
    with pytest.raises(ConfigError) as caught:
        again.start()
    (line,) = caught.value.message.splitlines()
    assert reason in line
    assert "ATHENA_ACCEPT_FORK=true" in line
    if what == "directory":
        with pytest.raises(ConfigError, match=r"cannot write .*anchor: Is a directory"):
            again.anchor.accept_fork()
        again.store.anchor.rmdir()
    again.anchor.accept_fork()
    again.start()
    again.close()
    assert read_anchor(again.store.anchor) == again.anchor.at_head()


def test_rows_without_an_anchor_are_refused_in_a_directory_and_recorded_on_a_machine(
    tmp_path: Path, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    log.store.anchor.unlink()
    again = new_log(tmp_path)
    if engine == "sqlite":
        with pytest.raises(ConfigError, match=r"log.anchor is missing.*\(it ends at position 1\).*ATHENA_ACCEPT_FORK"):
            again.start()
        again.anchor.accept_fork()
        assert caplog.messages == []
    again.start()
    again.close()
    if engine == "postgres":
        assert caplog.messages == [f"{log.store.anchor}: the log had no anchor here; created one at position 1."]
    assert read_anchor(again.store.anchor) == again.anchor.at_head()


def test_the_anchor_is_there_before_the_first_row(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    assert read_anchor(log.store.anchor) == Anchor(log_id=log.log_id, position=0, chain=bytes(32).hex())
    log.submit_in_thread(fill(), META)
    log.store.close()  # a crash, before the anchor follows
    again = new_log(tmp_path)
    assert again.anchor.mismatch() is None
    again.store.close()


def test_a_log_of_an_older_format_may_have_rows_without_an_anchor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    log.store.anchor.unlink()
    alter(tmp_path, "UPDATE meta SET value = '1' WHERE name = 'format'")
    again = new_log(tmp_path)
    again.raise_format()
    assert [line for line in caplog.messages if "had no anchor here" in line]
    assert read_anchor(again.store.anchor) == again.anchor.at_head()
    again.store.close()  # a crash, before the first row of this release
    last = new_log(tmp_path)
    assert last.store.format == FORMAT
    last.start()
    last.close()


@pytest.mark.skipif(not __debug__, reason="assertions are off")
def test_only_the_writers_thread_writes_once_the_log_has_started(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.commit_waiting()  # until then the thread of the test acts as the writer
    log.start()
    for write in (log.commit_waiting, log.probe):
        with pytest.raises(AssertionError, match="only the writer's thread"):
            write()
    log.close()


def test_the_first_anchor_has_to_be_written(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.store.anchor = log.anchor.path = tmp_path / "nowhere" / "log.anchor"
    with pytest.raises(ConfigError, match=r"cannot write .*log.anchor: No such file"):
        log.start()
    log.store.close()


def test_the_anchor_follows_a_running_log(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    position = log.submit_in_thread(fill(), META).position
    pause = threading.Event()
    while (anchor := read_anchor(log.store.anchor)) is None or anchor.position < position:
        pause.wait(0.01)
    assert anchor.chain == place(log).chain.hex()
    log.close()


def test_a_tail_cut_from_a_running_log_stops_it(tmp_path: Path) -> None:
    deaths = Deaths()
    log = new_log(tmp_path, deaths=deaths)
    commit(log, fill(), fill())
    cut(tmp_path, after=1)
    future = enqueue(log, fill())
    log.commit_waiting()
    assert isinstance(future.exception(timeout=0), Overloaded)
    assert "ends at position 1 but position 2 was acknowledged" in deaths[0]
    log.store.close()


@pytest.mark.parametrize("more", [1, CATCH_UP_EVENTS_MAX + 1])
def test_another_history_that_continued_past_the_head_of_a_running_log_stops_it(tmp_path: Path, more: int) -> None:
    deaths = Deaths()
    asleep = new_log(tmp_path, deaths=deaths)
    commit(asleep, fill(), fill())
    asleep.write_anchor()
    cut(tmp_path, after=1)  # as a failover to a standby that was behind, or a copy put in place
    awake = new_log(tmp_path)
    facts = (Fact(stream="pot_a", event=Filled(amount=2)),) * (more + 1)
    commit(awake, lambda reader, context: Outcome(facts=facts))
    awake.store.close()
    future = enqueue(asleep, fill())
    asleep.commit_waiting()
    assert isinstance(future.exception(timeout=0), Overloaded)
    assert deaths == [
        f"the log cannot continue: InternalError: the log ends at position {more + 2}"
        " but does not continue the event acknowledged at position 2"
    ]
    anchor = read_anchor(asleep.store.anchor)
    assert anchor is not None
    assert anchor.position == 2
    asleep.store.close()
    again = new_log(tmp_path)
    with pytest.raises(ConfigError, match=f"ends at position {more + 2} but has a different event at 2 now"):
        again.start()
    again.store.close()


# Failures


@pytest.mark.sqlite
def test_a_full_disk_refuses_and_goes_on_when_there_is_space(working: Log, tmp_path: Path) -> None:
    def large(reader: Reader, context: Context) -> Outcome:
        facts = take("x")(reader, context).facts
        return Outcome(facts=(*facts, Fact(stream="pot_a", event=Filled(amount=1, label="x" * 100_000))))

    working.submit_in_thread(fill(), META)
    writing = connection(working)
    writing.pragma("max_page_count", writing.pragma("page_count"))
    with pytest.raises(StoreFull):
        working.submit_in_thread(large, META, key("k"))
    assert not writing.in_transaction
    assert working.submit_in_thread(level(), META).answer == 1
    assert not dict(working.guards.of("slot")), "a refused commit takes no slot"
    writing.pragma("max_page_count", 1_000_000)
    done = working.submit_in_thread(fill(label="x" * 100_000), META, key("k"))
    assert (done.position, done.replayed) == (2, False)
    assert len(rows(tmp_path)) == 2


def fails() -> bool:
    """Return a store error, as of a disk that fails during a commit."""
    raise apsw.IOError("disk I/O error")


@pytest.mark.sqlite
@pytest.mark.parametrize("hook", [fails, lambda: True])
def test_a_commit_that_fails_ends_the_process_without_another_word(tmp_path: Path, hook: object) -> None:
    deaths = Deaths()
    log = new_log(tmp_path, deaths=deaths)
    log.start()
    log.submit_in_thread(fill(), META)
    connection(log).set_commit_hook(hook)  # type: ignore[arg-type]
    with pytest.raises(OutcomeUnknown):
        log.submit_in_thread(fill(), META)
    connection(log).set_commit_hook(None)
    with pytest.raises(OutcomeUnknown):
        log.submit_in_thread(fill(), META)
    assert len(deaths) == 1
    assert log.signal.position == 1
    log.close()
    log.store.close()
    assert len(rows(tmp_path)) == 1


@pytest.mark.sqlite
def test_a_transaction_behind_a_failed_commit_is_surely_not_written(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    futures = [enqueue(log, fill()) for _ in range(BATCH_EVENTS_MAX + 1)]
    connection(log).set_commit_hook(fails)
    log.commit_waiting()
    kinds = [type(future.exception(timeout=0)) for future in futures]
    assert kinds == [OutcomeUnknown] * BATCH_EVENTS_MAX + [Overloaded]
    log.store.close()


def test_a_bug_outside_of_every_transaction_ends_the_process_too(tmp_path: Path) -> None:
    class Exhausted(BaseException):
        """An error outside of Exception, like MemoryError."""

    def transaction(reader: Reader, context: Context) -> Outcome:
        raise Exhausted

    deaths = Deaths()
    log = new_log(tmp_path, deaths=deaths)
    waits = enqueue(log, fill())
    enqueue(log, transaction)
    log.commit_waiting()
    assert "Exhausted" in deaths[0]
    assert isinstance(waits.exception(timeout=0), AthenaError)
    log.store.close()
    assert rows(tmp_path) == []


def broken(log: Log, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make every write, or one method of the store, fail until the patch is undone."""

    def refuse(*arguments: object) -> None:
        raise kind("injected")

    for name in names or ("insert", "rehearse"):
        monkeypatch.setattr(log.store, name, refuse)


@pytest.mark.parametrize(
    ("kinds", "error", "reason"),
    [("full", StoreFull, "no space"), ("read_only", Overloaded, "read-only"), ("busy", Overloaded, "locked")],
)
def test_a_writer_says_why_writes_fail_and_finds_out_without_a_client_that_they_work_again(
    working: Log, kinds: str, error: type[AthenaError], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(working.store, kinds)[0]
    monkeypatch.setattr("athena_core.log.writer.PROBE_SECONDS", 0.01)
    working.submit_in_thread(fill(), META)
    assert working.refusal is None
    with monkeypatch.context() as patch:
        broken(working, kind, patch)
        with pytest.raises(error):
            working.submit_in_thread(fill(), META)
        assert reason in str(working.refusal)
        assert [problem.loop for problem in working.problems.failing()] == ["log.write"]
        with pytest.raises(error):
            working.submit_in_thread(fill(), META)
        assert reason in str(working.refusal)
    for _ in soon():
        if working.refusal is None:
            break
    assert working.problems.failing() == ()
    assert working.submit_in_thread(level(), META).answer == 1


@pytest.mark.parametrize("kinds", ["full", "read_only", "busy", "lost"])
def test_an_idle_writer_notices_that_writes_fail_and_that_they_work_again(
    working: Log, tmp_path: Path, kinds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not getattr(working.store, kinds):
        pytest.skip("there is no connection that a file could lose")
    for name in ("PROBE_SECONDS", "IDLE_PROBE_SECONDS"):
        monkeypatch.setattr(f"athena_core.log.writer.{name}", 0.01)
    working.submit_in_thread(fill(), META)
    with monkeypatch.context() as patch:
        broken(working, getattr(working.store, kinds)[0], patch)
        for _ in soon():
            if working.refusal is not None:
                break
        assert working.refusal in REFUSALS
        assert [problem.loop for problem in working.problems.failing()] == ["log.write"]
    for _ in soon():
        if working.refusal is None:
            break
    assert working.problems.failing() == ()
    assert len(rows(tmp_path)) == 1, "a probe leaves nothing in the log"


def test_a_database_that_turns_read_only_refuses_writes_until_it_takes_them_again(
    working: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(tmp_path)
    if url is None:
        pytest.skip("reliability/test_disk turns a directory read-only")
    monkeypatch.setattr("athena_core.log.writer.PROBE_SECONDS", 0.01)
    name = urlsplit(url).path[1:]

    def turn(state: str) -> None:
        """Switch the database as providers do when it runs out of space: for new sessions."""
        setting = f"ALTER DATABASE {name} SET default_transaction_read_only = {state}"
        alter(tmp_path, f"SET TRANSACTION READ WRITE; {setting}")
        alter(tmp_path, END_SESSIONS)

    working.submit_in_thread(fill(), META)
    turn("on")
    for _ in soon():  # the first one may meet the end of its session
        with pytest.raises(Overloaded):
            working.submit_in_thread(fill(), META)
        if working.refusal is not None:
            break
    assert "read-only" in str(working.refusal)
    turn("off")
    for _ in soon():
        if working.refusal is None:
            break
    assert working.submit_in_thread(level(), META).answer == 1


END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_a_read_does_not_prove_that_writes_work(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(log, log.store.full[0], monkeypatch)
    refused = enqueue(log, fill())
    log.commit_waiting()
    assert isinstance(refused.exception(timeout=0), StoreFull)
    commit(log, level())
    assert log.refusal is not None
    log.probe()
    assert log.refusal is not None
    monkeypatch.undo()
    broken(log, log.store.busy[0], monkeypatch, "confirm")
    log.probe()
    assert log.refusal is not None, "no standby has confirmed anything"
    monkeypatch.undo()
    log.probe()
    assert log.refusal is None


def test_a_stored_batch_is_never_called_undone_though_the_disk_is_full_afterwards(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(Exception):
        """The connection is lost after the commit."""

    class Full(Exception):
        """No space is left to confirm the commit."""

    exclusive, losses = log.store.exclusive, [Lost()]

    @contextmanager
    def losing() -> Iterator[None]:
        with exclusive():
            yield
        if losses:
            raise losses.pop()

    def confirm() -> None:
        raise Full

    for name, value in {"lost": (Lost,), "full": (Full,), "exclusive": losing, "confirm": confirm}.items():
        monkeypatch.setattr(log.store, name, value)
    with pytest.raises(OutcomeUnknown):
        commit(log, fill())
    monkeypatch.undo()
    assert len(rows(tmp_path)) == 1


def test_a_rehearsal_leaves_nothing_behind(log: Log, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for _ in range(2):
        with log.store.exclusive():
            log.store.rehearse(REHEARSAL_BYTES)
    commit(log, fill())
    assert sorted(tmp_path.iterdir()) == before
    assert [row.position for row in rows(tmp_path)] == [1]


def test_a_probe_of_an_idle_database_writes_no_wal_and_needs_no_right_that_writes_do_not_need(
    log: Log, tmp_path: Path
) -> None:
    url = url_of(tmp_path)
    if url is None:
        pytest.skip("a file has no transaction ids, and no roles")
    assert isinstance(log.store, PostgresStore)
    role = urlsplit(url).path[1:] + "_writer"
    alter(tmp_path, f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    alter(tmp_path, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}")
    try:
        connection = log.store._session.connection()
        connection.execute(f"SET ROLE {role}")
        with log.store.exclusive():
            log.store.rehearse(IDLE_PROBE_BYTES)
            assert connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)
        log._fail(Overloaded("it was refused"))
        log.probe()
        assert (log.refusal, log.problems.failing()) == (None, ())
    finally:
        alter(tmp_path, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_an_unknown_error_of_an_idle_probe_is_left_to_the_next_write(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(log, RuntimeError, monkeypatch)
    log.probe()
    assert (log.refusal, log.problems.failing()) == (None, ())


def test_an_anchor_that_cannot_be_written_is_reported_until_it_can_be(log: Log) -> None:
    log.store.anchor.mkdir()
    commit(log, fill())
    log.write_anchor()
    (problem,) = log.problems.failing()
    assert (problem.loop, problem.count) == ("log.anchor", 1)
    assert "Is a directory" in problem.message
    log.store.anchor.rmdir()
    log.write_anchor()
    assert log.problems.failing() == ()
    assert read_anchor(log.store.anchor) is not None


@pytest.mark.sqlite
def test_a_moved_file_ends_the_process(tmp_path: Path) -> None:
    died = threading.Event()
    deaths: list[str] = []

    def fatal(reason: str) -> None:
        deaths.append(reason)
        died.set()

    store = SqliteStore(tmp_path, SystemIds())
    log = Log(store, Codec(POTS.events), (POTS,), clock=SystemClock(), ids=SystemIds(), fatal=fatal)
    log.start()
    log.submit_in_thread(fill(), META)
    (tmp_path / "log.db").rename(tmp_path / "elsewhere.db")
    assert died.wait(timeout=30)
    assert "was moved or replaced" in deaths[0]
    with pytest.raises(StoreMoved):
        log.submit_in_thread(fill(), META)
    log.close()
    log.store.close()


@pytest.mark.sqlite
def test_a_lock_that_another_process_keeps_is_waited_for_five_seconds(tmp_path: Path) -> None:
    clock = FixedClock()
    log = new_log(tmp_path, clock=clock)
    log.start()
    pause, turnstile = threading.Event(), ProcessLock(tmp_path / "log.turnstile")
    with other("hold", tmp_path):
        waits = enqueue(log, fill())
        while turnstile.try_acquire():  # until the writer holds it
            turnstile.release()
            pause.wait(0.001)
        clock.advance(5_000)
        pause.wait(0.6)  # longer than the keeper sleeps: five seconds are not yet too long
        assert not waits.done()
        clock.advance(1)
        assert isinstance(waits.exception(timeout=30), Overloaded)
    assert log.submit_in_thread(fill(), META).position == 1
    assert rows(tmp_path)[0].version == 1
    log.close()


def test_a_state_before_the_first_event_is_the_initial_one(log: Log) -> None:
    seen: list[PotState] = []

    def look(reader: Reader, context: Context) -> Outcome:
        seen.append(reader.state(POTS, "pot_never"))
        return Outcome()

    assert commit(log, look)[0].position == 0
    assert seen == [PotState()]
