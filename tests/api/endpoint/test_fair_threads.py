"""Fair shares of threads: by identity, by the CPU time that was used, with bounded lines."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from athena_api.fair_threads import WAITING_MAX, WAITING_SECONDS_MAX, FairThreads, Payer
from athena_core.errors import ShareLimit


class Line:
    """Threads that are held until they are released, and the order in which work was begun."""

    def __init__(self, threads: int) -> None:
        self.threads = FairThreads("reads", threads)
        self.begun: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, subject: str, price_ms: int = 1, *, kept: bool = False, work: Callable[[], object] = int) -> None:
        """Ask for a thread. The work notes its identity."""
        payer = Payer(subject, f"of {subject}", price_ms, writes=kept)

        def noted() -> None:
            self.begun.append(subject)
            work()

        self.tasks.append(asyncio.create_task(self.threads.run(payer, noted)))

    @asynccontextmanager
    async def held(self, *subjects: str) -> AsyncIterator[None]:
        """Let these identities hold threads during the block, then wait for all work."""
        free = threading.Event()
        try:
            for subject in subjects:
                self.ask(subject, work=free.wait)
            while len(self.begun) < len(subjects):
                await asyncio.sleep(0)
            yield
            await asyncio.sleep(0)
        finally:
            free.set()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    def refused(self) -> list[ShareLimit]:
        errors = [task.exception() for task in self.tasks if task.done() and not task.cancelled()]
        return [error for error in errors if isinstance(error, ShareLimit)]


def spin() -> None:
    """Take CPU time, however fast the machine is."""
    sum(range(1_000_000))


async def test_one_identity_has_one_thread_and_the_next_one_gets_the_other_at_once() -> None:
    line = Line(2)
    async with line.held("greedy"):
        for _ in range(20):
            line.ask("greedy")
        await asyncio.sleep(0)
        assert (line.threads.running, line.threads.waiting) == (1, 20)
        line.ask("other")
        while line.begun[-1] != "other":
            await asyncio.sleep(0)
    assert line.begun == ["greedy", "other", *["greedy"] * 20]
    assert (line.threads.running, line.threads.waiting) == (0, 0)


async def test_a_newcomer_waits_for_one_work_at_most_however_long_the_line_is() -> None:
    line = Line(1)
    async with line.held("greedy"):
        for _ in range(20):
            line.ask("greedy", work=spin)
        await asyncio.sleep(0)
        line.ask("other")
    assert line.begun[:2] == ["greedy", "other"]


async def test_shares_are_of_cpu_time_and_not_of_requests() -> None:
    line = Line(1)
    async with line.held("holder"):
        for _ in range(10):
            line.ask("dear", work=spin)
            line.ask("cheap")
    assert line.begun.index("dear") < 3, "the dear one has its turn"
    assert line.begun.count("cheap") == line.begun.count("dear") == 10
    last = len(line.begun) - 1 - line.begun[::-1].index("cheap")
    assert line.begun[:last].count("dear") <= 2, "ten cheap reads cost less than two dear ones"


async def test_tokens_and_connections_of_an_identity_share_and_a_pause_saves_nothing_up() -> None:
    line = Line(1)
    async with line.held("busy"):
        line.ask("returned")
        line.ask("busy")
    async with line.held("busy"):
        for _ in range(4):
            line.ask("returned", work=spin)
            line.ask("busy", work=spin)
    order = line.begun[4:]
    assert order.count("returned") == order.count("busy") == 4
    assert order[:4].count("busy") >= 1, "the pause of the other gave it no lead"


async def test_an_identity_whose_line_costs_too_much_is_refused_with_the_limit_and_the_time() -> None:
    line = Line(1)
    price_ms = 1_000
    async with line.held("greedy"):
        for _ in range(int(WAITING_SECONDS_MAX) + 5):
            line.ask("greedy ", price_ms)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        line.ask("other", price_ms)
        await asyncio.sleep(0)
        errors = line.refused()
        assert len(errors) == 5, "another identity is not refused"
        assert errors[0].details == {
            **{"limit": "reads", "waiting": 10, "max": WAITING_SECONDS_MAX, "unit": "seconds of CPU time"},
        }
        assert errors[0].retry_after == 10
        assert "10.0 s of CPU time" in errors[0].message
    assert line.begun.count("other") == 1


async def test_a_single_request_is_never_refused_for_its_price() -> None:
    line = Line(1)
    async with line.held("other"):
        line.ask("greedy", 1_000_000)
    assert line.refused() == []
    assert line.begun == ["other", "greedy"]


async def test_the_longest_line_is_refused_if_too_many_wait_in_all() -> None:
    line = Line(1)
    async with line.held("holder"):
        for _ in range(WAITING_MAX):
            line.ask("greedy")
        await asyncio.sleep(0)
        line.ask("other")
        for _ in range(3):
            await asyncio.sleep(0)
        (error,) = line.refused()
        assert isinstance(error.details, dict)
        assert (error.details["max"], error.details["waiting"]) == (WAITING_MAX, WAITING_MAX - 1)
        line.ask("greedy")
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(line.refused()) == 2, "its own newcomer is refused as well"
    assert line.begun.count("greedy") == WAITING_MAX - 1
    assert line.begun[1:3].count("other") == 1


async def test_the_work_of_a_command_that_has_begun_is_not_refused() -> None:
    line = Line(1)
    async with line.held("holder"):
        for _ in range(WAITING_MAX + 10):
            line.ask("writer", 1_000, kept=True)
        await asyncio.sleep(0)
        line.ask("other")
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(line.refused()) == 1, "the newcomer, which has not begun"
    assert line.begun.count("writer") == WAITING_MAX + 10


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    line = Line(1)
    async with line.held("holder"):
        line.ask("gone")
        line.ask("other")
        await asyncio.sleep(0)
        line.tasks[1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert line.threads.waiting == 1
    assert line.begun == ["holder", "other"]
    assert (line.threads.running, line.threads.waiting) == (0, 0)


async def test_a_thread_that_is_given_to_a_client_that_just_left_goes_to_the_next() -> None:
    line = Line(1)
    free = threading.Event()
    line.ask("holder", work=free.wait)
    line.ask("gone")
    line.ask("other")
    while not line.begun:
        await asyncio.sleep(0)
    line.tasks[0].add_done_callback(lambda _: None)
    line.tasks[1].cancel()
    free.set()
    await asyncio.gather(*line.tasks, return_exceptions=True)
    assert line.begun == ["holder", "other"]
    assert (line.threads.running, line.threads.waiting) == (0, 0)


async def test_an_error_of_the_work_is_raised_and_frees_the_thread() -> None:
    threads = FairThreads("reads", 1)

    def fail() -> None:
        raise ValueError("work")

    for _ in range(3):
        with pytest.raises(ValueError, match="work"):
            await threads.run(Payer("a", "b"), fail)
    assert (threads.running, threads.waiting) == (0, 0)
