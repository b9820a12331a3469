"""The core of the Python client against a real server: requests, pages, streams and errors."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import athena_client
from athena_client import AsyncAthena, Athena, AthenaError
from tests.support.server import Server, server_of_module

server = server_of_module()


@pytest.fixture
def client(server: Server) -> Iterator[Athena]:
    with Athena(server.url) as client:
        yield client


def start(client: Athena, text: str = "hello") -> dict[str, Any]:
    got: dict[str, Any] = client.request("POST", "/runs", dict, body={"input": text}, accepted=dict)
    return got


def test_a_request_waits_for_its_run_and_returns_its_data(client: Athena) -> None:
    assert "hello" in start(client)["output"]


def test_a_list_is_one_iterator_over_its_pages(client: Athena) -> None:
    started = [start(client)["runId"] for _ in range(3)]
    assert [run["runId"] for run in client.pages("/runs", dict, query={"limit": 1})][:3] == started[::-1]
    pages = list(client.pages("/runs", dict, query={"limit": 2}).pages())
    assert [len(page.items) for page in pages[:-1]] == [2] * (len(pages) - 1) and pages[-1].next_cursor is None


def test_a_stream_yields_each_event_once_and_its_cursor_continues_it(client: Athena) -> None:
    run_id = start(client)["runId"]
    stream = client.stream("/events/stream", dict, query={"after": "0"})
    first = next(iter(stream))
    rest = []
    for event in stream:
        rest.append(event)
        if event["type"] == "run.completed" and event["runId"] == run_id:
            break
    listed = list(client.pages("/events", dict))
    assert [first["id"], *(event["id"] for event in rest)] == [event["id"] for event in listed]
    assert stream.cursor == listed[-1]["id"]


def test_an_error_carries_what_the_server_answered(client: Athena) -> None:
    with pytest.raises(AthenaError) as caught:
        client.request("GET", "/runs/{runId}", parameters={"runId": "run_none"})
    error = caught.value
    assert (error.code, error.status, error.retryable, error.run_id) == ("NOT_FOUND", 404, False, None)
    assert error.trace_id in str(error) and error.request == "GET /api/v1/runs/run_none"
    again = pickle.loads(pickle.dumps(error))  # as a pool of processes sends it
    assert (str(again), type(again), vars(again)) == (str(error), AthenaError, vars(error))


def test_a_segment_of_dots_is_not_a_path_parameter(client: Athena) -> None:
    with pytest.raises(ValueError, match="runId: '..' is not a valid id"):
        client.request("GET", "/runs/{runId}", parameters={"runId": ".."})


def test_threads_share_a_client(client: Athena) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda number: start(client, f"number {number}."), range(24)))
    assert len({run["runId"] for run in done}) == 24
    assert all(f"number {number}." in run["output"] for number, run in enumerate(done))


def test_an_error_says_what_to_do_about_each_fault(client: Athena) -> None:
    with pytest.raises(AthenaError, match=r"faults; see details\) \(inpt: one of .*; provider: a string .*; trace id "):
        client.request("POST", "/runs", dict, body={"inpt": "x", "provider": 3})
    with pytest.raises(AthenaError, match=r"must be one of enqueue, interrupt, reject \(trace id "):
        client.request("POST", "/runs", dict, body={"input": "x", "sessionStrategy": "wait"})


def test_names_are_offered_before_they_are_used() -> None:
    assert {"Athena", "TextDelta", "events"} <= set(dir(athena_client))
    with Athena() as client:
        assert repr(client.follow("run_1")) == "RunHandle('run_1')"


async def test_the_asynchronous_half_does_the_same(server: Server) -> None:
    async with AsyncAthena(server.url) as client:
        got = await client.request("POST", "/runs", dict, body={"input": "hello"}, accepted=dict)
        runs = client.pages("/runs", dict, query={"limit": 1})
        assert got["runId"] in [run["runId"] async for run in runs]
        async for event in client.stream("/events/stream", dict, query={"after": "0"}):
            assert event["type"]
            break


def test_the_identity_is_sent_where_it_is_asked_for(tmp_path: Path) -> None:
    with Server(tmp_path, auth_enabled="true", auth_identity_role_map="alice:Operator") as server:
        with Athena(server.url) as nobody, pytest.raises(AthenaError, match="AUTH_IDENTITY_MISSING"):
            start(nobody)
        with Athena(server.url, "alice") as alice:
            assert start(alice)["output"]
