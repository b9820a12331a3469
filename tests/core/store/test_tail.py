"""Tests of the tail: every row once and in order, whoever committed it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from athena_core.protocols import Row
from athena_core.store.log import Log
from athena_core.store.tail import PAGE_EVENTS, Tail
from tests.core.store.pots import META, commit, fill, new_log


class Listening:
    """Remembers what it is given; ``reached`` waits for a position."""

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
        """Wait until a row was heard of."""
        while not self.positions or self.positions[-1] < position:
            await self._moved.wait()


@asynccontextmanager
async def following(log: Log, *listeners: Callable[[Sequence[Row]], None]) -> AsyncIterator[Tail]:
    """A tail at work."""
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
    """Two processes' logs of one directory; the first has begun before the tail."""
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


async def test_what_only_another_process_commits_is_noticed(logs: tuple[Log, Log]) -> None:
    mine, theirs = logs
    heard = Listening()
    async with following(mine, heard):
        for position in (3, 4, 5):
            await anyio.to_thread.run_sync(commit, theirs, fill())
            await heard.reached(position)
        assert mine.signal.position == 5
    assert heard.positions == [3, 4, 5]


async def test_what_was_committed_by_the_writers_thread_arrives(tmp_path: Path) -> None:
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
