"""Tests of the tail: every row once and in order, from every process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from athena_core.decider import Context, Outcome, Reader
from athena_core.errors import StoreFull
from athena_core.event import Fact
from athena_core.log.batch import WriteBatch
from athena_core.log.submission import CommitNotice
from athena_core.log.tail import PAGE_EVENTS, Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from tests.core.log.pots import META, Deaths, Filled, alter, commit, fill, new_log
from tests.support.api import PATIENCE_SECONDS

ROUNDS = 20


class Listening:
    def __init__(self) -> None:
        self.positions: list[int] = []
        self.pages: list[int] = []
        self._moved = anyio.Event()

    def __call__(self, rows: Sequence[Row]) -> None:
        self.positions += [row.position for row in rows]
        self.pages.append(len(rows))
        self._moved.set()
        self._moved = anyio.Event()

    async def reached(self, position: int) -> None:
        while not self.positions or self.positions[-1] < position:
            await self._moved.wait()


@asynccontextmanager
async def following(log: Log, *listeners: Callable[[Sequence[Row]], None]) -> AsyncIterator[Tail]:
    tail = Tail(log)
    for listener in listeners:
        tail.subscribe(listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tail.follow)
        tasks.start_soon(tail.watch)
        yield tail
        tasks.cancel_scope.cancel()
    tail.close()


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Log, Log]:
    """Return the logs of two processes on one directory; the first one started before the tail."""
    mine, theirs = new_log(tmp_path), new_log(tmp_path)
    commit(mine, fill(), fill())
    return mine, theirs


async def test_every_listener_is_given_each_row_once_and_in_order(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    first, second = Listening(), Listening()
    async with following(mine, first, second) as tail:
        assert tail.position == 2
        for _ in range(5):
            commit(mine, fill())
            commit(theirs, fill(), fill())
            commit(mine, fill())
        await first.reached(22)
        await second.reached(22)
    assert first.positions == second.positions == list(range(3, 23))


async def test_commits_of_another_process_are_noticed(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    heard = Listening()
    async with following(mine, heard):
        for position in (3, 4, 5):
            await anyio.to_thread.run_sync(commit, theirs, fill())
            await heard.reached(position)
        assert mine.signal.position == 5
    assert heard.positions == [3, 4, 5]


async def test_commits_of_the_writers_thread_arrive(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    heard = Listening()
    async with following(log, heard):
        last = [await log.submit(fill(), META) for _ in range(20)][-1]
        await heard.reached(last.position)
    assert heard.positions == list(range(1, 21))
    log.close()


async def test_a_long_tail_comes_in_pages(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    heard = Listening()
    async with following(mine, heard):
        for _ in range(3):
            commit(theirs, *[fill()] * 400)
        await heard.reached(1_202)
    assert heard.positions == list(range(3, 1_203))
    assert max(heard.pages) == PAGE_EVENTS


async def test_a_long_tail_leaves_the_loop_to_others_after_each_page(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    listening, at_once, iterations = Listening(), list[int](), 0
    async with following(mine, listening, lambda rows: at_once.append(iterations)) as tail:
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            commit(theirs, *[fill()] * 400)
        with anyio.fail_after(PATIENCE_SECONDS):
            while tail.position < 1_202:
                await asyncio.sleep(0)
                iterations += 1
    assert len(at_once) == len(set(at_once)), "no two pages in one iteration"
    assert listening.positions == list(range(3, 1_203))


async def test_a_gap_before_a_commit_of_its_own_is_handed_on_in_pages_too(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    listening, at_once, iterations = Listening(), list[int](), 0
    tail = Tail(mine)
    tail.subscribe(listening)
    tail.subscribe(lambda rows: at_once.append(iterations))
    for _ in range(3):
        commit(theirs, *[fill()] * 400)
    commit(mine, fill())
    tail._on_commit(CommitNotice(mine.commits, mine.signal.position, ()))
    with anyio.fail_after(PATIENCE_SECONDS):
        while tail.position < 1_203:
            iterations += 1
            await asyncio.sleep(0)
    tail.close()
    assert len(at_once) == len(set(at_once)), "no two pages in one iteration"
    assert listening.positions == list(range(3, 1_204))


async def test_a_waiting_caller_continues_before_the_listeners_hear_of_it(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    order: list[str] = []
    heard = Listening()

    async def ask() -> None:
        await log.submit(fill(), META)
        order.append("answered")

    async with following(log, lambda rows: order.append("heard"), heard):
        for position in range(1, ROUNDS + 1):
            await ask()
            await heard.reached(position)
    log.close()
    # A process that reads the rows of others in the database may find a commit before its notification.
    assert order[::2].count("answered") > ROUNDS / 2


async def test_a_commit_is_not_published_while_its_answer_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log(tmp_path)
    publish, committed, go_on = log._publish, threading.Event(), threading.Event()

    def held_up(batch: WriteBatch) -> None:
        committed.set()
        go_on.wait(60)
        publish(batch)

    monkeypatch.setattr(log, "_publish", held_up)
    log.start()
    heard = Listening()
    async with following(log, heard) as tail:
        asking = asyncio.ensure_future(log.submit(fill(), META))
        await anyio.to_thread.run_sync(committed.wait, 60)
        tail.refresh()
        assert (heard.positions, asking.done()) == ([], False)
        go_on.set()
        await heard.reached(1)
        assert asking.done()
    log.close()


async def test_listeners_receive_the_stored_rows(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.start()
    heard: list[Row] = []
    reached = Listening()

    def erase(reader: Reader, context: Context) -> Outcome:
        fact = Fact(stream="pot_a", event=Filled(amount=2, label="stays"), session_id="s", run_id="r")
        return Outcome(facts=(fact,), erase=(1, reader.head + 1))

    async with following(log, heard.extend, reached):
        for transaction in (fill(label="goes"), fill("pot_b", 7), erase, fill(label="new")):
            await log.submit(transaction, META)
        await reached.reached(4)
    stored = log.store.rows(0, 9)
    log.close()
    assert [row.text is None for row in stored] == [True, True, True, False]
    assert heard[1:] == stored[1:]
    assert heard[0] == stored[0]._replace(text=heard[0].text)  # erased after it was heard


async def test_a_commit_that_fails_does_not_hold_up_what_others_commit(
    logs: tuple[Log, Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = logs
    heard = Listening()
    async with following(mine, heard) as tail:
        await anyio.wait_all_tasks_blocked()

        def full(rows: Sequence[Row]) -> None:
            raise mine.store.full[0]

        monkeypatch.setattr(mine.store, "insert", full)
        with pytest.raises(StoreFull):
            commit(mine, fill())
        commit(theirs, fill())
        await heard.reached(3)
        assert tail.position == 3


async def test_an_exception_of_a_listener_ends_the_follower(tmp_path: Path) -> None:
    def stumble(rows: Sequence[Row]) -> None:
        raise ZeroDivisionError

    log = new_log(tmp_path)
    tail = Tail(log)
    tail.subscribe(stumble)
    following = asyncio.ensure_future(tail.follow())
    await asyncio.sleep(0)
    commit(log, fill())
    with pytest.raises(ZeroDivisionError):
        await following
    tail.close()


@pytest.mark.parametrize("more", [0, 3])
def test_a_process_that_only_follows_leaves_where_what_it_followed_was_lost(tmp_path: Path, more: int) -> None:
    theirs = new_log(tmp_path)
    commit(theirs, fill(), fill())
    theirs.store.close()
    deaths = Deaths()
    mine = new_log(tmp_path, deaths=deaths)
    heard = Listening()
    tail = Tail(mine)
    tail.subscribe(heard)
    alter(tmp_path, "DELETE FROM log WHERE position > 1")
    theirs = new_log(tmp_path)
    commit(theirs, *[fill(amount=2)] * more)
    tail.refresh()
    assert heard.positions == []
    (reason,) = deaths
    assert f"the log ends at position {1 + more}" in reason
    assert "acknowledged" in reason
    tail.close()
    for log in (mine, theirs):
        log.store.close()
