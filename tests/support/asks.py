"""Asks of runs over HTTP, answered as a person does: with the hash that was shown."""

from typing import Any

from tests.support.api import Api, Json


def answer_in_a_halt(api: Api, run_id: str, option: str = "allow", **fields: Any) -> None:
    """Answer the only ask of a held run during a halt: the run waits until it is lifted, and has made no call."""
    api.post("/halt", {"reason": "wrong prices"})
    before = api.types(runId=run_id).count("tool.called")
    answer(api, run_id, option, **fields)
    api.await_event("run.requeued", runId=run_id)
    assert api.get(f"/runs/{run_id}")["waiting"]["reason"] == "halted"
    assert api.types(runId=run_id).count("tool.called") == before
    api.http.delete("/halt")


def answer(api: Api, run_id: str, option: str = "allow", **fields: Any) -> Json:
    """Answer the only ask of a run. Return it."""
    (asked,) = api.events(runId=run_id, types="run.asked")
    ask = asked["payload"]
    body = {"subjectHash": ask["subjectSha256"], "optionId": option, **fields}
    return dict(api.post(f"/asks/{ask['askId']}/answer", body))
