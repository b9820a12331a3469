"""Errors of runs say by their cause if a retry may succeed, and with which idempotency key."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Refused
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, Stub, dialect_of, refuses, says, settings_of, standing

FINAL = (False, None)
PASSING = (True, "new-key")


def behave(asked: Asked) -> Behaviour:
    """Refuse with the status in the model's name; a model without one answers."""
    status = str(asked.body["model"]).rpartition("-")[2]
    return refuses(int(status)) if status.isdigit() else says(dialect_of(asked).whole)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with standing(behave) as stub:
        yield stub


@pytest.fixture(scope="module")
def server(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("retries"), **settings_of(stub)) as server:
        yield server


def retry_of(error: dict[str, Any]) -> tuple[bool, str | None]:
    """Return what an error says about retries; ``retryWith`` is absent where a retry is useless."""
    return error["retryable"], error.get("retryWith")


@pytest.mark.parametrize(
    ("model", "expected"),
    [("m-400", FINAL), ("m-401", FINAL), ("m-404", FINAL), ("m-422", FINAL), ("m-429", PASSING), ("m-503", PASSING)],
)
def test_a_failed_run_says_everywhere_if_a_retry_may_succeed(
    server: Server, model: str, expected: tuple[bool, str | None]
) -> None:
    api, body = server.api, {"input": "hello", "provider": "openai", "model": model}
    first, replayed = (api.send("/runs", body, key=f"key-{model}") for _ in range(2))
    assert (first.status_code, replayed.headers["idempotency-replayed"]) == (502, "true")
    error = first.json()["error"]
    run_id = error["details"]["runId"]
    assert retry_of(error) == expected
    assert retry_of(replayed.json()["error"]) == expected, "a repeated key gets the same answer"
    assert retry_of(api.get(f"/runs/{run_id}")["error"]) == expected
    (failed,) = api.events(runId=run_id, types="run.failed")
    assert retry_of(failed["payload"]) == expected


def test_a_new_key_gets_through_once_the_cause_has_passed(stub: Stub, server: Server) -> None:
    body = {"input": "hello", "provider": "openai", "model": "m-503"}
    assert server.api.send("/runs", body, key="bound").status_code == 502
    stub.choose = lambda asked: says(dialect_of(asked).whole)
    try:
        assert server.api.send("/runs", body, key="bound").status_code == 502
        assert server.api.send("/runs", body, key="fresh").status_code == 200
    finally:
        stub.choose = behave


def test_a_missing_key_is_final(serve: Serve) -> None:
    with pytest.raises(Refused, match="no API key is set") as refused:
        serve(openai_base_url="https://api.openai.com/v1").api.run(provider="openai", model="gpt-4o-mini")
    assert retry_of(refused.value.error) == FINAL


@pytest.mark.parametrize(("model", "expected"), [("m-400", FINAL), ("m-503", PASSING)])
def test_a_failed_drain_says_if_a_retry_may_succeed(
    server: Server, model: str, expected: tuple[bool, str | None]
) -> None:
    api, session = server.api, f"drain-{model}"
    api.post("/work/enqueue", {"sessionId": session, "payload": "hello", "mode": "followup"})
    body = {"provider": "openai", "model": model}
    answers = [api.send(f"/work/{session}/drain", body, key=session) for _ in range(2)]
    assert [retry_of(answer.json()["error"]) for answer in answers] == [expected] * 2
    (failed,) = api.events(sessionId=session, types="work.drain.failed")
    assert retry_of(failed["payload"]) == expected
