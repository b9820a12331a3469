"""Tests of single promises of the log, each small enough to name the broken one."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.decider import Context, Key, Outcome, Reader, Rejected, Transaction
from athena_core.domain import policy, run
from athena_core.domain.plane import AuthzModeActive
from athena_core.errors import AthenaError, ConcurrencyLimitExceeded, IdempotencyMismatch, StoreFull
from athena_core.event import Event, Fact
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.protocols import PublicRow
from athena_core.services.runs.prepared import run_facts, shadow_profile
from tests.reliability.history import history_of, judge_log, rows_of
from tests.reliability.program import META, create, unstarted_log
from tests.support.records import CODEC

FILLER = Fact(stream="plane", event=AuthzModeActive(mode="off"))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@contextmanager
def started_log(state_dir: Path) -> Iterator[Log]:
    with unstarted_log(state_dir) as log:
        log.start()
        yield log


def one_batch(
    log: Log, transactions: Sequence[tuple[Transaction[Any], Key | None]]
) -> list[Committed[Any] | AthenaError]:
    """Commit transactions together in a log that has not started. Return the results."""
    outcomes: dict[int, Committed[Any] | AthenaError] = {}

    def submit(number: int, transaction: Transaction, key: Key | None) -> None:
        try:
            outcomes[number] = log.submit_in_thread(transaction, META, key)
        except AthenaError as error:
            outcomes[number] = error

    threads = []
    for number, (transaction, key) in enumerate(transactions):
        thread = threading.Thread(target=submit, args=(number, transaction, key), daemon=True)
        thread.start()
        threads.append(thread)
        while log.waiting < len(threads):  # in this order
            time.sleep(0.0005)
    log.start()
    for thread in threads:
        thread.join(30)
    return [outcomes[number] for number in range(len(transactions))]


def always(*facts: Fact) -> Transaction:
    return lambda reader, context: Outcome(facts=facts)


def key_of(text: str, content: str = "") -> Key:
    return Key.of("test", "promises", text, content.encode())


def request_of(session_id: str) -> run.RunCreated:
    profile_id, profile = shadow_profile("mock", "mock-default", 1_000)
    return run.RunCreated(
        session_id=session_id,
        directive_id="dir_1",
        harness_profile_id=profile_id,
        provider="mock",
        model="mock-default",
        harness_profile_snapshot=profile,
        profile_named=False,
        timeout_ms=1_000,
        requested_by="exe_1",
    )


def admission(run_id: str, limit: int) -> Transaction:
    """Admit a run, unless this many runs have a slot."""

    def admit(reader: Reader, context: Context) -> Outcome:
        if len(reader.guards("slot")) >= limit:
            raise ConcurrencyLimitExceeded("too many")
        created = run.decide(run.RequestRun(request=request_of(f"ses_{run_id}")), run.DECIDER.initial, context)
        return Outcome(facts=run_facts(run_id, f"ses_{run_id}", created), subject=run_id)

    return admit


def decision(run_id: str, command: run.RunCommand) -> Transaction:
    def decide(reader: Reader, context: Context) -> Outcome:
        events: tuple[Event, ...] = run.decide(command, reader.state(run.DECIDER, run_id), context)
        return Outcome(facts=run_facts(run_id, f"ses_{run_id}", events))

    return decide


def limited(limit: int) -> Transaction:
    """Put a policy; its event names the previous one."""

    def put(reader: Reader, context: Context) -> Outcome:
        wanted = policy.Policy(schema_version=1, max_concurrent_runs=limit)
        command = policy.PutPolicy(policy=wanted, at="2026-01-01T00:00:00.000Z", by="test")
        events = policy.decide(command, reader.state(policy.DECIDER, policy.STREAM), context)
        return Outcome(facts=tuple(Fact(stream=policy.STREAM, event=event) for event in events))

    return put


def limits_before(state_dir: Path) -> list[int | None]:
    events = [CODEC.decode(row).event for row in rows_of(state_dir / "log.db")[1]]
    updates = [event for event in events if isinstance(event, policy.PolicyUpdated)]
    return [event.before.max_concurrent_runs if event.before else None for event in updates]


def test_a_slot_that_is_taken_in_a_batch_is_seen_by_the_next_in_it(state_dir: Path) -> None:
    with unstarted_log(state_dir) as log:
        outcomes = one_batch(log, [(admission(f"run_{number}", 2), None) for number in range(5)])
    assert [isinstance(outcome, Committed) for outcome in outcomes] == [True, True, False, False, False]
    judge_log(state_dir)


def test_a_state_that_is_changed_in_a_batch_is_seen_by_the_next_in_it(state_dir: Path) -> None:
    with unstarted_log(state_dir) as log:
        one_batch(log, [(limited(number), None) for number in (1, 2, 3)])
    assert limits_before(state_dir) == [None, 1, 2]


def test_a_key_twice_in_a_batch_is_one_command(state_dir: Path) -> None:
    with unstarted_log(state_dir) as log:
        transactions = [(always(FILLER), key_of("same")), (always(FILLER), key_of("same"))]
        transactions.append((always(FILLER), key_of("same", "but another input")))
        first, second, third = one_batch(log, transactions)
    assert isinstance(first, Committed) and isinstance(second, Committed)
    assert (first.position, first.replayed, second.position, second.replayed) == (1, False, 1, True)
    assert isinstance(third, IdempotencyMismatch)
    assert len(history_of(state_dir)) == 1


def test_a_refusal_binds_no_key(state_dir: Path) -> None:
    def refuse(reader: Reader, context: Context) -> Outcome:
        raise Rejected(ConcurrencyLimitExceeded("too many"), (FILLER,))

    with started_log(state_dir) as log:
        for transaction in (refuse, refuse):
            with pytest.raises(ConcurrencyLimitExceeded):
                log.submit_in_thread(transaction, META, key_of("k"))
        done = log.submit_in_thread(always(FILLER), META, key_of("k"))
    assert (done.position, done.replayed) == (3, False)  # both refusals were recorded


def test_a_run_ends_once_though_several_try_to_end_it(state_dir: Path) -> None:
    completed = run.EndRun(token=1, last=(), ending=run.RunFailed(code="X", error_text="x", retryable=False))
    commands: list[run.RunCommand] = [
        run.LeaseRun(executor="exe_1", pid=1, said=""),
        completed,
        completed,
        run.TakeRun(executor="exe_2", pid=2, token=1, because="dead", attempts_max=1),
        run.WithdrawRun(cause="session-busy"),
        run.CancelRun(),
    ]
    with started_log(state_dir) as log:
        log.submit_in_thread(admission("run_1", 1), META)
        for command in commands:
            log.submit_in_thread(decision("run_1", command), META)
        log.submit_in_thread(admission("run_2", 1), META)  # the slot is free
    judge_log(state_dir)


def test_an_executor_with_an_old_token_is_refused(state_dir: Path) -> None:
    late = run.EndRun(token=1, last=(), ending=run.RunFailed(code="X", error_text="x", retryable=False))
    taken_over = (
        run.RunLeased(executor="exe_1", token=1, attempt=1, pid=1),
        run.RunLeased(executor="exe_2", token=2, attempt=2, pid=2),
    )
    with started_log(state_dir) as log:
        log.submit_in_thread(admission("run_1", 1), META)
        log.submit_in_thread(always(*run_facts("run_1", "ses_run_1", taken_over)), META)
        with pytest.raises(AthenaError, match="another executor") as refused:
            log.submit_in_thread(decision("run_1", late), META)
        assert refused.value.code == "LEASE_LOST"
    assert [row.type for row in rows_of(state_dir / "log.db")[1]].count("run.failed") == 0


# A commit that fails


@contextmanager
def full(log: Log) -> Iterator[None]:
    """Keep the database from growing: SQLite reports a full disk. The writer is idle meanwhile."""
    assert isinstance(log.store, SqliteStore)
    connection = log.store._connection
    connection.pragma("max_page_count", connection.pragma("page_count"))
    yield
    connection.pragma("max_page_count", 1_000_000)


def bulk(transaction: Transaction) -> Transaction:
    """Return a transaction that needs more space than the existing pages have."""

    def both(reader: Reader, context: Context) -> Outcome:
        outcome = transaction(reader, context)
        filler = Fact(stream="plane", event=AuthzModeActive(mode="x" * 50_000))
        return Outcome(facts=(*outcome.facts, filler), subject=outcome.subject)

    return both


def refused_as_full(log: Log, transaction: Transaction, key: Key | None = None) -> None:
    with full(log), pytest.raises(StoreFull):
        log.submit_in_thread(bulk(transaction), META, key)


def test_a_batch_that_does_not_fit_was_not_written(state_dir: Path) -> None:
    with started_log(state_dir) as log:
        create(log, "mark")
        for _ in range(3):
            refused_as_full(log, always(FILLER), key_of("k"))
        done = log.submit_in_thread(always(FILLER), META, key_of("k"))
        assert (done.position, done.replayed, log.signal.position) == (2, False, 2)
    assert len(history_of(state_dir)) == 2


def test_the_decisions_of_a_failed_commit_are_forgotten(state_dir: Path) -> None:
    with started_log(state_dir) as log:
        log.submit_in_thread(limited(1), META)
        refused_as_full(log, limited(2))
        assert log.signal.position == 1
        log.submit_in_thread(limited(3), META)
    assert limits_before(state_dir) == [None, 1]
    judge_log(state_dir)


def test_a_slot_that_a_failed_commit_took_is_free(state_dir: Path) -> None:
    with started_log(state_dir) as log:
        create(log, "mark")
        refused_as_full(log, admission("run_1", 1))
        log.submit_in_thread(admission("run_2", 1), META)
    judge_log(state_dir)


# Several processes


def test_two_processes_decide_at_the_same_head(state_dir: Path) -> None:
    with started_log(state_dir) as one, started_log(state_dir) as other:
        for number in range(1, 7):
            (one if number % 2 else other).submit_in_thread(limited(number), META)
        assert one.submit_in_thread(always(FILLER), META, key_of("k")).position == 7
        assert other.submit_in_thread(always(FILLER), META, key_of("k")).replayed
    assert limits_before(state_dir) == [None, 1, 2, 3, 4, 5]
    judge_log(state_dir)


def test_two_processes_share_the_slots(state_dir: Path) -> None:
    def taken(log: Log, run_id: str) -> bool:
        try:
            log.submit_in_thread(admission(run_id, 2), META)
        except ConcurrencyLimitExceeded:
            return False
        return True

    with started_log(state_dir) as one, started_log(state_dir) as other:
        assert [taken(one, "run_1"), taken(other, "run_2"), taken(one, "run_3"), taken(other, "run_4")] == [
            True,
            True,
            False,
            False,
        ]
        other.submit_in_thread(decision("run_1", run.CancelRun()), META)
        assert [taken(one, "run_5"), taken(other, "run_6")] == [True, False]
    judge_log(state_dir)


# Reading


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_size_join_without_seams(limit: int, state_dir: Path) -> None:
    with started_log(state_dir) as log:
        for number in range(20):
            create(log, f"mark-{number}")
        reader = log.reader()
        seen: list[int] = []
        while (page := reader.rows(seen[-1] if seen else 0, limit)) and len(seen) < 100:
            assert reader.shown(page[0].position - 1, limit, page[-1].position) == [PublicRow.of(row) for row in page]
            seen += [row.position for row in page]
        reader.close()
    assert seen == list(range(1, 21))


def test_a_reader_sees_what_was_acknowledged_at_once(state_dir: Path) -> None:
    with started_log(state_dir) as log:
        reader = log.reader()
        for number in range(1, 50):
            answer = create(log, f"mark-{number}")
            assert (answer.position, reader.head()) == (number, number)
            (row,) = reader.rows(number - 1, 10)
            assert row.stream == answer.id
        reader.close()
