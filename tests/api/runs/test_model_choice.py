"""Runs that name no model: the server's only one, recorded in the run, or a refusal with what to set."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.api import PATIENCE_SECONDS, Refused
from tests.support.server import Server
from tests.support.stub import OPENAI, Behaviour, Stub, models_listed, says, standing


@pytest.fixture
def stub() -> Iterator[Stub]:
    with standing(lambda asked: says(OPENAI.whole)) as stub:
        yield stub


@pytest.fixture
def server(tmp_path: Path, stub: Stub) -> Iterator[Server]:
    with Server(tmp_path, default_provider="openai", openai_base_url=stub.url + "/v1") as server:
        yield server


def test_a_run_takes_the_only_model_and_records_it(server: Server, stub: Stub) -> None:
    api = server.api
    stub.lists = says(models_listed("llama3.2"))
    result = api.run("hi")
    assert (result["provider"], result["model"], result["output"]) == ("openai", "llama3.2", "Hello, wörld")
    (created,) = api.events(types="run.created")
    assert created["payload"]["model"] == "llama3.2"
    assert stub.asked[0].body["model"] == "llama3.2"
    assert api.run("hi", provider="mock")["model"] == "mock-model"
    assert api.run("hi", model="qwen3")["model"] == "qwen3"
    assert stub.listed == 1


def test_without_an_only_model_the_request_is_refused_and_nothing_is_recorded(server: Server, stub: Stub) -> None:
    api, head = server.api, server.api.head()
    stub.lists = says(models_listed("llama3.2", "qwen3"))
    with pytest.raises(Refused) as refused:
        api.run("hi")
    error = refused.value.error
    assert (refused.value.status, error["code"], error["retryable"]) == (400, "CONFIG_ERROR", False)
    (fault,) = error["details"]
    assert fault["field"] == "model"
    assert "has 2 models (llama3.2, qwen3)" in fault["reason"]
    assert "ATHENA_DEFAULT_MODEL" in fault["remedy"]
    with pytest.raises(Refused, match="Set ATHENA_ANTHROPIC_API_KEY"):
        api.run("hi", provider="anthropic")
    assert api.head() == head
    assert api.get("/capabilities")["providers"] == ["local-exec", "mock", "openai"]


def test_a_slow_list_delays_no_other_request(server: Server, stub: Stub) -> None:
    asked, released = threading.Event(), threading.Event()

    def slowly() -> Behaviour:
        async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await asyncio.to_thread(released.wait)
            await says(models_listed("late"))(stub, writer)

        return behave

    stub.lists = slowly()
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(server.api.run, "hi") for _ in range(5)]
        try:
            assert asked.wait(PATIENCE_SECONDS)
            for _ in range(10):
                assert server.api.run("hi", model="qwen3")["model"] == "qwen3"
            assert not any(one.done() for one in waiting)
        finally:
            released.set()
        assert {one.result()["model"] for one in waiting} == {"late"}
    assert stub.listed == 1


def test_a_repeated_key_is_answered_although_the_request_would_be_refused_now(server: Server, stub: Stub) -> None:
    stub.lists = says(models_listed("llama3.2"))
    first = server.api.run("hi", key="once")
    stub.lists = says(models_listed("llama3.2", "qwen3"))
    server.stop()
    server.start()
    again = server.api.run("hi", key="once")
    assert (again["runId"], again["output"]) == (first["runId"], first["output"])
    with pytest.raises(Refused, match="has 2 models"):
        server.api.run("hi", key="twice")
    with pytest.raises(Refused, match="IDEMPOTENCY"):
        server.api.run("ho", key="once")
