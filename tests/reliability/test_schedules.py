"""Schedules on servers that are killed, and on two servers at once: each due slot runs once."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from athena_core.clock import iso
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api
from tests.support.server import Server

SCHEDULES = sized(5, 40, 200)


def put(api: Api, prefix: str, within_ms: int) -> list[str]:
    """Put schedules that are due soon, one after another."""
    names = [f"{prefix}{number}" for number in range(SCHEDULES)]
    for number, name in enumerate(names, 1):
        due = iso(time.time_ns() // 1_000_000 + 1_000 + within_ms * number // SCHEDULES)
        api.post("/schedules", {"id": name, "sessionId": name, "input": "hello", "runAt": due})
    return names


def see_through(api: Api, names: list[str]) -> None:
    left = set(names)
    with api.stream("/events/stream", types="schedule.run.completed") as frames:
        while left:
            frame = next(frame for frame in frames if frame.event == "schedule.run.completed")
            left.discard(frame.data["data"]["payload"]["id"])


def ran_once(api: Api, names: list[str]) -> None:
    for name in names:
        assert [entry["status"] for entry in api.get(f"/schedules/{name}/logs")] == ["ok"]
    assert len(api.events(types="schedule.run.started")) == len(names)
    assert len(api.events(types="run.completed")) == len(names)


@pytest.mark.heavy
def test_slots_that_were_due_while_the_server_was_down_run_once_afterwards(serve: Serve) -> None:
    server = serve()
    names = put(server.api, "dead", 500)
    for _ in range(2):  # the second time in the middle of it
        server.kill()
        server.start()
    see_through(server.api, names)
    server.kill()
    server.start()
    server.api.post("/schedules/tick")
    ran_once(server.api, names)


@pytest.mark.heavy
def test_two_servers_and_ticks_by_hand_run_a_slot_once(serve: Serve) -> None:
    one = serve()
    two = serve(one.directory)
    names = put(one.api, "both", 300)

    def tick(server: Server) -> None:
        for _ in range(sized(5, 20, 100)):
            server.api.post("/schedules/tick")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(tick, server) for server in (one, two, one, two)]:
            done.result()
    see_through(two.api, names)
    ran_once(two.api, names)
