"""Fair shares of threads: by identity, by the CPU time that was used, with bounded lines."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_api.endpoint.compression import PACKING
from athena_api.endpoint.operation import Operation
from athena_api.fair_threads import SERVER, WAITING_MAX, WAITING_SECONDS_MAX, FairThreads, Payer
from athena_api.operations import OPERATIONS
from athena_api.plane import READ_THREADS, WRITE_THREADS
from athena_core.errors import ShareLimit
from tests.api.examples import EXAMPLES
from tests.support.inside import Inside
from tests.support.server import NO_FLOOD


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


@pytest.mark.parametrize("returns", [False, True])
async def test_a_pause_saves_no_time_up(returns: bool) -> None:
    line, begin, free = Line(1), threading.Event(), threading.Event()
    line.ask("holder", work=begin.wait)
    if returns:
        line.ask("idle", work=spin)
    for _ in range(6):
        line.ask("busy", work=spin)
    line.ask("busy", work=free.wait)
    await asyncio.sleep(0)
    begin.set()
    while line.begun.count("busy") < 7:
        await asyncio.sleep(0)
    before = len(line.begun)
    for _ in range(5):
        line.ask("idle", work=spin)
        line.ask("busy", work=spin)
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*line.tasks)
    assert line.begun[before:][:4].count("busy") >= 1, "the pause gave the other no lead"


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


async def test_a_thread_that_is_given_to_a_client_that_just_left_is_free_again() -> None:
    threads = FairThreads("reads", 1)
    holder = threads._enter(Payer("holder", "read"))
    gone = asyncio.create_task(threads.run(Payer("gone", "read"), int))
    await asyncio.sleep(0)
    gone.cancel()
    threads._leave(holder)
    assert threads.running == 1, "it was given away"
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    assert (threads.running, threads.waiting) == (0, 0)


async def test_an_error_of_the_work_is_raised_and_frees_the_thread() -> None:
    threads = FairThreads("reads", 1)

    def fail() -> None:
        raise ValueError("work")

    for _ in range(3):
        with pytest.raises(ValueError, match="work"):
            await threads.run(Payer("a", "b"), fail)
    assert (threads.running, threads.waiting) == (0, 0)


# On a plane

WRITES = tuple(row for row in OPERATIONS if row.method != "GET" and not row.price_ms)
PRICED = tuple(row for row in OPERATIONS if row.price_ms)
LARGE = 70_000
LINE = 30
VIEWER, OPERATOR, ADMIN = ({"x_athena_identity": name} for name in ("vera", "otto", "ada"))


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    directory: Path = tmp_path_factory.mktemp("shares")
    found = Inside(
        directory,
        auth_enabled="true",
        auth_identity_role_map="vera:Viewer,otto:Operator,ada:Admin",
        requests_per_second="100000",
        memory_enabled="true",
        context_max_chars="200000",
        workspace_root=str(directory),
        **NO_FLOOD,
    )
    found.start()
    try:
        found.data("POST", "/runs", {"sessionId": "session", "input": "hello"}, **ADMIN)
        yield found
    finally:
        found.stop()


@asynccontextmanager
async def occupied(threads: FairThreads, places: int) -> AsyncIterator[None]:
    """Hold all threads, each by another identity, during the block."""
    free = threading.Event()
    held = [asyncio.create_task(threads.run(Payer(f"holder {n}", "held"), free.wait)) for n in range(places)]
    while threads.running < places:
        await asyncio.sleep(0)
    try:
        yield
    finally:
        free.set()
        await asyncio.gather(*held)


def request_of(row: Operation[Any, Any]) -> tuple[str, str, Any]:
    """Return the example of a row, with a body that is decoded in a thread."""
    example = EXAMPLES[row.id]
    query = "&".join(f"{name}={value}" for name, value in (example.query or {}).items())
    body = None if row.method == "GET" else {**(example.body or {}), "x": "y" * LARGE}
    return row.method, f"{example.path}?{query}", body


def test_no_write_and_no_small_read_waits_for_a_read(inside: Inside) -> None:
    plane = inside.app.plane

    async def writes() -> tuple[list[httpx2.Response], set[int]]:
        async with occupied(plane.read_threads, READ_THREADS):
            line = [
                asyncio.create_task(inside.send("GET", f"/diff?from=0&limit=1&nth={number}", **VIEWER))
                for number in range(LINE)
            ]
            while plane.read_threads.waiting < LINE:
                await asyncio.sleep(0)
            answers, waiting = [], set()
            for row in WRITES:
                method, path, body = request_of(row)
                for content in (body, EXAMPLES[row.id].body):
                    answers.append(await inside.send(method, path, content, prefer="respond-async", **ADMIN))
                    waiting.add(plane.read_threads.waiting)
                if row.id == "startHalt":
                    await inside.send("DELETE", "/halt", **ADMIN)
            run = {"sessionId": "another", "input": "z" * LARGE}
            answers.append(await inside.send("POST", "/runs", run, **OPERATOR))
            assert answers[-1].status_code == 200, "the whole run"
            answers += [await inside.send("GET", path, **OPERATOR) for path in ("/runs?limit=5", "/caller")]
            answers.append(await inside.client.get("http://plane/livez"))
        await asyncio.gather(*line)
        return answers, waiting

    answers, waiting = inside.call(writes)
    assert waiting == {LINE}, "no read was answered meanwhile, and no write waits among them"
    assert {answer.status_code for answer in answers} <= {200, 201, 202, 400, 404, 409, 412, 413, 422}


def test_an_operation_that_reads_in_a_thread_has_a_price(inside: Inside) -> None:
    plane = inside.app.plane
    for row in OPERATIONS:
        if row.method == "GET" and not row.stream:
            inside.ask(*request_of(row), **ADMIN)
    used = plane.read_threads._prices.keys() - {SERVER.operation, PACKING, "held"}
    priced = {row.id for row in PRICED}
    assert {name for name in used if not name.endswith(" asOf")} <= priced
    assert len(used) > 10


def test_the_large_bodies_of_one_identity_leave_a_thread_to_the_others(inside: Inside) -> None:
    plane = inside.app.plane

    async def writes() -> httpx2.Response:
        async with occupied(plane.write_threads, WRITE_THREADS - 1):
            return await inside.send("POST", "/runs", {"sessionId": "third", "input": "z" * LARGE}, **OPERATOR)

    assert inside.call(writes).status_code == 200


def test_a_line_that_is_too_long_is_answered_429_with_the_limit_and_retry_after(inside: Inside) -> None:
    plane = inside.app.plane
    price = next(row.price_ms for row in OPERATIONS if row.id == "getDiff") / 1_000
    fits = int(WAITING_SECONDS_MAX / price) + 1

    async def reads() -> tuple[list[httpx2.Response], httpx2.Response]:
        plane.read_threads._prices.clear()
        async with occupied(plane.read_threads, READ_THREADS):
            line = [
                asyncio.create_task(inside.send("GET", f"/diff?from=0&nth={number}", **VIEWER))
                for number in range(fits + 5)
            ]
            while not (refused := [task.result() for task in line if task.done()]):
                await asyncio.sleep(0)
            other = asyncio.create_task(inside.send("GET", "/diff?from=0", **OPERATOR))
            await asyncio.sleep(0)
        await asyncio.gather(*line)
        return refused, await other

    refused, other = inside.call(reads)
    error = refused[0].json()["error"]
    assert (refused[0].status_code, error["code"], error["retryWith"]) == (429, "SHARE_LIMIT", "same-key")
    assert error["details"]["limit"] == "reads"
    assert int(refused[0].headers["retry-after"]) == WAITING_SECONDS_MAX
    assert other.status_code == 200


def test_a_read_through_mcp_is_paid_by_its_caller(inside: Inside) -> None:
    plane = inside.app.plane
    params = {"name": "simulate_policy", "arguments": {"policy": {"schemaVersion": 1}}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    async def reads() -> tuple[list[str], httpx2.Response]:
        async with occupied(plane.read_threads, READ_THREADS):
            accept = "application/json, text/event-stream"
            asked = asyncio.create_task(inside.send("POST", "http://plane/mcp", body, accept=accept, **OPERATOR))
            while not plane.read_threads.waiting:
                await asyncio.sleep(0)
            names = [name for name, account in plane.read_threads._accounts.items() if account.waiting]
        return names, await asked

    names, answer = inside.call(reads)
    assert names == ["otto"]
    assert answer.status_code == 200
