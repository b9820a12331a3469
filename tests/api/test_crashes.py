"""Crashes over HTTP: a server that is killed or told to leave loses no answer, no run, no place in a feed."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, Json, Refused, events_of, opened
from tests.support.gate import Gates, gone
from tests.support.server import Server


def test_a_run_whose_server_was_killed_ends_once_as_crashed(serve: Serve, gates: Gates) -> None:
    server, gate = serve(**gates.settings), gates["killed"]
    body = {"input": gate.order, "sessionId": "killed"}
    run = opened(server.api.send("/runs", body, key="killed", respond_async=True))
    waiting = server.api.start("after you", sessionId="killed")
    process = gate.arrival()
    server.kill()
    os.killpg(process, signal.SIGKILL)  # what it left behind
    for _ in range(2):
        server.start()
        assert server.api.await_ending(run["runId"]) == "run.crashed"
        with pytest.raises(Refused) as refused:
            server.api.post("/runs", body, key="killed")
        assert (refused.value.status, refused.value.code) == (502, "RUN_CRASHED")
        assert refused.value.error["retryable"] is True
        assert server.api.types(runId=run["runId"]).count("run.crashed") == 1
        assert server.api.await_ending(waiting["runId"]) == "run.completed"
        server.kill()
    server.start()
    assert server.api.get(f"/runs/{run['runId']}")["status"] == "crashed"
    assert opened(server.api.send("/runs", {"input": "again", "sessionId": "killed"}, key="new"))["output"]


def test_a_server_that_leaves_gives_up_its_runs_and_their_processes(serve: Serve, gates: Gates) -> None:
    server, gate = serve(**gates.settings), gates["left"]
    run = server.api.start(gate.order)
    process = gate.arrival()
    server.stop()
    assert gone(process)
    server.start()
    assert server.api.types(runId=run["runId"])[-1] == "run.crashed"


def test_a_run_that_waited_while_its_server_left_is_executed_by_the_next_one(serve: Serve, gates: Gates) -> None:
    server, gate = serve(**gates.settings), gates["behind"]
    first, second, other = (server.api.start(gate.order, sessionId=name)["runId"] for name in ("one", "one", "two"))
    gate.arrival()
    server.stop()
    server.start()
    gate.release()
    assert server.api.await_ending(second) == "run.completed"
    assert [server.api.await_ending(run_id) for run_id in (first, other)] == ["run.crashed"] * 2


def test_the_runs_of_a_dead_server_are_ended_by_another_one(serve: Serve, gates: Gates, tmp_path: Path) -> None:
    other = serve(tmp_path / "plane", **gates.settings)
    killed = serve(tmp_path / "plane", **gates.settings)
    run = killed.api.start(gates["taken-over"].order)
    process = gates["taken-over"].arrival()
    killed.kill()
    os.killpg(process, signal.SIGKILL)
    assert other.api.await_ending(run["runId"]) == "run.crashed"


@pytest.mark.heavy
def test_what_was_acknowledged_survives_every_kill_exactly_once(serve: Serve) -> None:
    server = serve()
    acknowledged: dict[str, Json] = {}
    unknown: set[str] = set()

    def work(api: Api, name: str) -> None:
        for number in range(10_000):
            key = f"{name}-{number}"
            unknown.add(key)
            try:
                acknowledged[key] = opened(api.send("/directives", {"input": key}, key=key))
            except httpx2.TransportError:
                return
            unknown.discard(key)

    for cycle in range(sized(2, 50, 500)):
        apis = [server.client() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            workers = [pool.submit(work, api, f"{cycle}-{place}") for place, api in enumerate(apis)]
            before = len(acknowledged)
            with server.api.stream(after="latest") as blocks:
                for _ in islice(events_of(blocks), 100 + 7 * (cycle % 20)):
                    pass
            server.signal(signal.SIGKILL)
        for worker in workers:
            worker.result()
        server.kill()
        server.start()
        assert len(acknowledged) > before
    listed = {item["input"]: item for item in server.api.items("/directives", limit=500)}
    created = [event["payload"]["directiveId"] for event in server.api.events(types="directive.created")]
    assert len(created) == len(set(created)) == len(listed)
    assert {key: listed[key] for key in acknowledged} == acknowledged
    assert listed.keys() <= acknowledged.keys() | unknown
    for key in sorted(unknown)[:50]:
        again = server.api.send("/directives", {"input": key}, key=key)
        assert ("idempotency-replayed" in again.headers) == (key in listed)
        assert key not in listed or opened(again) == listed[key]


def test_a_second_server_on_the_same_state_sees_and_says_the_same(serve: Serve, tmp_path: Path) -> None:
    first, second = serve(tmp_path / "plane"), serve(tmp_path / "plane")
    servers: list[Server] = [first, second]
    with ThreadPoolExecutor(8) as pool:
        runs = list(
            pool.map(lambda number: servers[number % 2].api.run(f"{number}", sessionId=f"s{number % 3}"), range(24))
        )
    assert len({run["runId"] for run in runs}) == 24
    assert first.api.events() == second.api.events()
    assert first.api.items("/runs") == second.api.items("/runs")
    for session in ("s0", "s1", "s2"):
        assert len(first.api.get(f"/sessions/{session}/transcript")["items"]) == 16
