"""Asks of runs over HTTP, answered as a person does: with the hash that was shown."""

from typing import Any

from tests.support.api import Api, Json


def answer(api: Api, run_id: str, option: str = "allow", **fields: Any) -> Json:
    """Answer the only ask of a run. Return it."""
    (asked,) = api.events(runId=run_id, types="run.asked")
    ask = asked["payload"]
    body = {"subjectHash": ask["subjectSha256"], "optionId": option, **fields}
    return dict(api.post(f"/asks/{ask['askId']}/answer", body))
