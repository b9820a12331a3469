"""Reactors: open work is handled once at a time, by one process of all."""

import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from athena_core.clock import SystemClock
from athena_core.errors import Halted, Overloaded
from athena_core.log.port import StoreReader
from athena_core.log.sqlite.locks import FileLeaderLock
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.reactors import NOW, Reactors
from tests.core.log.pots import META, Filled, fill, new_log
from tests.support.api import PATIENCE_SECONDS


class Counting:
    """A reactor that counts its calls and acts as instructed."""

    name = "drains"

    types = frozenset({Filled.TYPE})

    def __init__(self, *open_keys: str) -> None:
        self.open_keys = open_keys
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.broken = False
        self.gate = anyio.Event()
        self.gate.set()
        self._moved = anyio.Event()
        self.opens = threading.Event()
        self.opens.set()

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        if self.broken:
            raise ZeroDivisionError
        assert self.opens.wait(PATIENCE_SECONDS)
        return dict.fromkeys(self.open_keys, NOW)

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        return [row.stream for row in rows]

    async def act(self, key: str) -> int | None:
        self.asked.append(key)
        self._moved.set()
        self._moved = anyio.Event()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        return None

    async def times(self, count: int) -> None:
        """Wait until it was called this often."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while len(self.asked) < count:
                await self._moved.wait()


@asynccontextmanager
async def at_work(log: Log, directory: Path, reactor: Counting, *, everything: bool = True) -> AsyncIterator[Reactors]:
    tail = Tail(log)
    reactors = Reactors(
        FileLeaderLock(directory / "reactor.lock"), tail, (reactor,), SystemClock(), log.problems, log.reader
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tail.follow)
        tasks.start_soon(tail.watch)
        tasks.start_soon(partial(reactors.serve, everything=everything))
        await anyio.wait_all_tasks_blocked()
        yield reactors
        tasks.cancel_scope.cancel()
    reactors.close()
    tail.close()


def started(directory: Path) -> Log:
    log = new_log(directory)
    log.start()
    return log


async def pour(log: Log, pot: str) -> None:
    await log.submit(fill(pot), META)


async def test_a_leader_handles_open_work_and_new_events(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting("pot_open")
    async with at_work(log, tmp_path, reactor):
        await reactor.times(1)
        await pour(log, "pot_new")
        await reactor.times(2)
    log.close()
    assert reactor.asked == ["pot_open", "pot_new"]


async def test_events_during_the_first_look_of_a_leader_are_handled_as_well(tmp_path: Path) -> None:
    reactor, log = Counting("pot_left"), started(tmp_path)
    reactor.opens.clear()
    async with at_work(log, tmp_path, reactor) as reactors:
        await pour(log, "pot_new")
        reactors.ask(reactor.name, "pot_asked")
        reactor.opens.set()
        await reactor.times(3)
        assert sorted(reactor.asked) == ["pot_asked", "pot_left", "pot_new"]
    log.close()


async def test_a_command_that_works_alone_does_not_begin_what_others_left(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting("pot_open")
    async with at_work(log, tmp_path, reactor, everything=False):
        await pour(log, "pot_new")
        await reactor.times(1)
    log.close()
    assert reactor.asked == ["pot_new"]


async def test_news_of_a_key_that_is_being_seen_to_is_looked_at_afterwards_and_only_once(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting()
    async with at_work(log, tmp_path, reactor):
        reactor.gate = anyio.Event()
        await pour(log, "pot_a")
        await reactor.times(1)
        await pour(log, "pot_a")
        await pour(log, "pot_a")
        await pour(log, "pot_b")
        await reactor.times(2)
        reactor.gate.set()
        await reactor.times(3)
        await anyio.wait_all_tasks_blocked()
    log.close()
    assert reactor.asked == ["pot_a", "pot_b", "pot_a"]
    assert reactor.most_at_once == 2


async def test_a_transaction_that_the_log_refuses_is_retried_and_reported_meanwhile(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting("pot_a")
    reactor.error = Overloaded("not now")
    async with at_work(log, tmp_path, reactor):
        await reactor.times(2)
        (problem,) = log.problems.failing()
        assert (problem.loop, problem.message) == ("reactors.drains", "OVERLOADED: not now")
        reactor.error = None
        await reactor.times(len(reactor.asked) + 1)
        await anyio.wait_all_tasks_blocked()
        assert log.problems.failing() == ()
    log.close()


async def test_a_failed_key_that_a_halt_holds_up_is_reported_no_longer(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting("pot_a")
    reactor.error = Overloaded("not now")
    async with at_work(log, tmp_path, reactor):
        await reactor.times(2)
        reactor.error = Halted("all work is halted")
        await reactor.times(len(reactor.asked) + 1)
        await anyio.wait_all_tasks_blocked()
        assert log.problems.failing() == ()
    log.close()


async def test_a_leader_that_cannot_begin_is_reported_and_tries_again(tmp_path: Path) -> None:
    log, reactor = started(tmp_path), Counting("pot_a")
    reactor.broken = True
    async with at_work(log, tmp_path, reactor):
        with anyio.fail_after(PATIENCE_SECONDS):
            while not (failing := log.problems.failing()):
                await anyio.sleep(0.01)
        assert [problem.loop for problem in failing] == ["reactors"]
        reactor.broken = False
        await reactor.times(1)
        assert log.problems.failing() == ()
    log.close()


async def test_one_leads_and_the_next_one_follows_when_it_leaves(tmp_path: Path) -> None:
    log, first, second = started(tmp_path), Counting("pot_open"), Counting("pot_open")
    async with at_work(log, tmp_path, first) as leading:
        await first.times(1)
        async with at_work(log, tmp_path, second) as waiting:
            assert (leading.leads, waiting.leads) == (True, False)
            leading.close()
            await second.times(1)
            assert (leading.leads, waiting.leads) == (False, True)
    log.close()


async def test_a_command_becomes_leader_only_when_there_is_work(tmp_path: Path) -> None:
    log, other, reader, writer = started(tmp_path), started(tmp_path), Counting("pot_open"), Counting("pot_open")
    async with (
        at_work(other, tmp_path, reader, everything=False) as reading,
        at_work(log, tmp_path, writer, everything=False) as writing,
    ):
        assert (reading.leads, writing.leads) == (False, False)
        await pour(log, "pot_new")
        await writer.times(1)
        assert (reading.leads, writing.leads) == (False, True)
    log.close()
    other.close()
    assert (reader.asked, writer.asked) == ([], ["pot_new"])


async def test_a_command_goes_on_with_what_happened_while_another_one_led(tmp_path: Path) -> None:
    log, other, first, second = started(tmp_path), started(tmp_path), Counting(), Counting("pot_open")
    async with (
        at_work(other, tmp_path, first) as leading,
        at_work(log, tmp_path, second, everything=False) as waiting,
    ):
        await pour(log, "pot_new")
        await first.times(1)
        assert waiting.left("drains") == [], "it is for whoever leads"
        leading.close()
        await second.times(1)
        second.open_keys = ("pot_new", "pot_other")
        assert waiting.left("drains") == ["pot_new"]
        await anyio.wait_all_tasks_blocked()
        assert waiting.idle
    log.close()
    other.close()
    assert second.asked == ["pot_new"]
