"""Queues over HTTP: items are drained in order, collected by mode, and not lost when their run fails."""

import pytest

from tests.support.api import Api, Json, Refused, opened, refused_by
from tests.support.server import Server


def enqueue(api: Api, session_id: str, payload: str, mode: str = "followup") -> Json:
    """Enqueue an item. Return the queue."""
    return dict(api.post("/work/enqueue", {"sessionId": session_id, "payload": payload, "mode": mode}))


def queue(api: Api, session_id: str) -> Json:
    return dict(api.get(f"/sessions/{session_id}/work-queue"))


def drain(api: Api, session_id: str, **body: str) -> Json:
    return dict(api.post(f"/work/{session_id}/drain", body))


def said(api: Api, session_id: str) -> list[str]:
    """Return the user entries of a session."""
    entries = api.get(f"/sessions/{session_id}/transcript", limit=500)["items"]
    return [entry["content"] for entry in entries if entry["role"] == "user"]


def test_an_item_waits_until_its_queue_is_drained(shared: Server) -> None:
    api = shared.api
    state = enqueue(api, "one", "look", "collect")
    assert state == queue(api, "one")
    (item,) = state["items"]
    assert (state["schemaVersion"], state["sessionId"], state["draining"]) == (1, "one", False)
    assert (item["sessionId"], item["payload"], item["mode"], item["attempts"]) == ("one", "look", "collect", 0)
    assert drain(api, "one") == {"status": "ok", "drainedItems": 1, "queueDepthBefore": 1, "queueDepthAfter": 0}
    assert queue(api, "one")["items"] == []
    assert api.types(sessionId="one", types="work.enqueued,work.drained") == ["work.enqueued", "work.drained"]


def test_who_would_rather_not_wait_gets_the_record_of_the_drain(shared: Server) -> None:
    api = shared.api
    enqueue(api, "record", "look")
    answer = api.send("/work/record/drain", respond_async=True)
    assert answer.status_code == 202
    record = opened(answer)
    assert (record["sessionId"], record["queueDepthBefore"]) == ("record", 1)
    api.await_event("work.drained", sessionId="record")
    ended = api.get(f"/work/drains/{record['drainId']}")
    assert (ended["status"], ended["drainedItems"], ended["queueDepthAfter"]) == ("ok", 1, 0)
    assert refused_by(api.get, "/work/drains/drn_unknown") == (404, "NOT_FOUND")


def test_a_repeated_key_gets_the_first_drain(shared: Server) -> None:
    api = shared.api
    enqueue(api, "key", "look")
    first = api.send("/work/key/drain", key="drain-once")
    enqueue(api, "key", "again")
    second = api.send("/work/key/drain", key="drain-once")
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    assert len(queue(api, "key")["items"]) == 1


def test_a_run_that_fails_stops_the_drain_with_its_error_and_gives_its_items_back(shared: Server) -> None:
    api = shared.api
    for payload in ("fail", "after"):
        enqueue(api, "fails", payload)
    assert refused_by(drain, api, "fails", provider="local-exec") == (502, "PROVIDER_ERROR")
    state = queue(api, "fails")
    assert [(item["payload"], item["attempts"]) for item in state["items"]] == [("fail", 1), ("after", 0)]
    assert state["draining"] is False
    (failed,) = api.events(sessionId="fails", types="work.drain.failed")
    assert (failed["payload"]["queueDepthAfter"], failed["payload"]["code"]) == (2, "PROVIDER_ERROR")
    assert api.types(sessionId="fails", types="work.drained") == []


def test_what_fails_too_often_becomes_a_dead_letter_and_the_next_drain_goes_on(shared: Server) -> None:
    api = shared.api
    for payload in ("fail", "after"):
        enqueue(api, "dead", payload)
    for _ in range(3):
        with pytest.raises(Refused, match="PROVIDER_ERROR"):
            drain(api, "dead", provider="local-exec")
    assert drain(api, "dead", provider="local-exec")["drainedItems"] == 1
    (letter,) = api.items("/a2a/dlq", sessionId="dead")
    assert (letter["status"], letter["reason"], letter["source"]) == ("pending", "attempts-exhausted", "work")
    assert letter["payload"]["items"][0]["payload"] == "fail"
    assert len(letter["attempts"]) == 3
    assert letter["firstError"]["runId"] != letter["lastError"]["runId"]
    assert (letter["code"], letter["retryCount"]) == ("PROVIDER_ERROR", 2)


def test_what_does_not_fit_into_a_context_is_not_enqueued(shared: Server) -> None:
    assert refused_by(enqueue, shared.api, "long", "x" * 40_000) == (413, "CONTEXT_OVERFLOW")
    for number in range(2):
        enqueue(shared.api, "long", f"{number}" + "x" * 20_000, "collect")
    assert drain(shared.api, "long")["drainedItems"] == 2
    assert len(said(shared.api, "long")) == 2, "together they would not have fitted"


def test_an_unknown_provider_is_404(shared: Server) -> None:
    enqueue(shared.api, "unknown", "look")
    assert refused_by(drain, shared.api, "unknown", provider="nobody") == (404, "PROVIDER_NOT_FOUND")
