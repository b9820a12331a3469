"""The world of MCP: histories that keep their promises, and examples of calls that once broke one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import tests.simulation.mcp as corner
from tests.simulation.histories import play_batch, play_here
from tests.simulation.mcp import Kind, McpWorld
from tests.simulation.mcp_server import Script

SILENT = Script("silence")


def played(kind: Kind, drive: Callable[[McpWorld], Coroutine[Any, Any, None]], seed: int = 0) -> McpWorld:
    """Let calls happen in a world with one server, and judge them."""
    world = McpWorld(f"example {seed}", [kind])

    async def go() -> None:
        await world.begin()
        await drive(world)
        await world.end()

    world.run(go)
    return world


def call(world: McpWorld, script: Script, run: int = 0, patience: float = 0.0) -> asyncio.Task[None]:
    token = world.call("a", run, "t0", script, patience)
    return world.open[token]


def test_histories_keep_the_promises() -> None:
    for history in play_batch(corner, [f"test.{number}" for number in range(200)]):
        assert not history.failures


def test_a_history_is_the_same_again() -> None:
    for number in range(5):
        assert play_here(corner, f"same.{number}").digest == play_here(corner, f"same.{number}").digest


def test_a_call_is_not_made_again_after_its_session_was_forgotten_meanwhile() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script(says=("forget",), work=1.0, breaks=("end",)))

    world = played(Kind(), drive)
    assert not world.failures
    assert world.servers["a"].effects[1] == 1


def test_a_stream_whose_connection_breaks_is_taken_up_again() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script(work=1.0, breaks=("break",)))

    world = played(Kind(), drive)
    assert not world.failures
    assert world.marks["answer ok done"] == 2


def test_a_call_is_made_after_the_listing_before_it_noticed_that_the_session_is_forgotten() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script())
        world.servers["a"].forget()
        await asyncio.sleep(31)
        await call(world, Script())

    world = played(Kind(), drive)
    assert not world.failures
    assert world.marks["answer ok done"] == 3


def test_a_forgotten_session_breaks_no_call_that_is_open() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script())
        first = call(world, Script(stream=True, wait=1.0))
        await asyncio.sleep(0.5)
        world.servers["a"].forget()
        await asyncio.gather(first, call(world, Script()))

    world = played(Kind(), drive)
    assert not world.failures
    assert world.marks["answer ok done"] == 4


def test_a_call_that_waits_to_take_its_stream_up_ends_with_its_conversation() -> None:
    async def drive(world: McpWorld) -> None:
        waiting = call(world, Script(breaks=("end",)))
        await asyncio.sleep(0.5)
        world.note_trouble("a", "closed", 0.0)
        await world.runs[0].close()
        await waiting

    assert not played(Kind(), drive).failures


def test_a_server_is_notified_of_a_cancelled_call_though_the_conversation_ends() -> None:
    async def drive(world: McpWorld) -> None:
        call(world, SILENT)
        await asyncio.sleep(0.5)
        await world.leave(0)
        world.runs[0] = world.new_run()

    assert not played(Kind(sessions=False), drive).failures


def test_a_question_for_a_cancelled_call_is_not_shown_for_another_one() -> None:
    async def drive(world: McpWorld) -> None:
        first = call(world, Script("late", wait=0.5, says=("ask",)))
        second = call(world, Script(wait=2.0), run=1)
        await asyncio.sleep(0.3)
        world.cancelled.add(1)
        first.cancel()
        await asyncio.gather(first, second)

    assert not played(Kind(url=False, shared=True), drive).failures


def test_a_change_is_not_forgotten_with_a_listing_that_failed() -> None:
    async def drive(world: McpWorld) -> None:
        server = world.servers["a"]
        await call(world, Script())
        server.slow_until = world.loop.time() + 5.0
        world.note_trouble("a", "slow", 5.1)
        server.change("t0")
        world.changed["a", "t0"] = [(world.loop.time() + 0.1, 2)]
        for _ in range(2):
            await asyncio.sleep(0.5)
            await call(world, Script())

    assert not played(Kind(url=False), drive).failures


def test_a_change_is_not_forgotten_with_a_call_that_was_cancelled() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script())
        world.servers["a"].change("t0")
        world.changed["a", "t0"] = [(world.loop.time() + 0.01, 2)]
        await asyncio.sleep(0.02)
        world.cancelled.add(2)
        second = call(world, Script())
        await asyncio.sleep(0.015)
        second.cancel()
        await second
        await call(world, Script())

    assert not played(Kind(url=False), drive).failures


def test_a_start_that_is_cancelled_leaves_no_connection() -> None:
    async def drive(world: McpWorld) -> None:
        first = call(world, Script())
        await asyncio.sleep(world.loop.chance.uniform(0.01, 0.05))
        world.cancelled.add(1)
        first.cancel()
        await asyncio.sleep(0)
        first.cancel()
        await first

    for seed in range(20):
        assert not played(Kind(), drive, seed).failures


def test_a_run_is_parked_while_a_server_asks() -> None:
    async def drive(world: McpWorld) -> None:
        await call(world, Script(says=("ask",)), patience=-3.0)

    for url in (True, False):
        assert not played(Kind(url=url), drive).failures
