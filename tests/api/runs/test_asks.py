"""Runs that ask, over HTTP: what every read shows while they are held, parked and after the answer."""

import pytest

from tests.conftest import Serve
from tests.support.api import Json, soon
from tests.support.model import Profile, acting, call
from tests.support.server import Server

PUSH = call("shell", command=["touch", "secret-pears.txt"])


def asked(server: Server, run_id: str, *, parked: bool) -> Json:
    """Wait until a run is held or parked. Return its only open ask."""
    for _ in soon():
        asks = server.api.items("/asks", runId=run_id)
        if asks and asks[0]["parked"] is parked:
            break
    (ask,) = asks
    return dict(ask)


@pytest.mark.parametrize("parked", [False, True])
def test_every_read_shows_what_a_run_waits_for(serve: Serve, parked: bool) -> None:
    with acting([PUSH, "done"]) as model:
        server = serve(openai_base_url=model.url)
        api = server.api
        profile = Profile(approval="ask", asks={"holdMs": 0} if parked else None)
        run_id = api.start("go", harnessProfileId=api.post("/harness-profiles", profile.body)["id"])["runId"]
        ask = asked(server, run_id, parked=parked)
        assert api.get(f"/asks/{ask['id']}") == ask
        arguments = '{"command":["touch","secret-pears.txt"]}'
        assert (ask["kind"], ask["toolName"], ask["arguments"]) == ("tool-permission", "shell", arguments)
        assert (ask["requestedBy"], ask["agentName"]) == ("local", "Agent")
        run = api.get(f"/runs/{run_id}")
        assert run["status"] == ("paused" if parked else "running")
        assert run["waiting"] == {"reason": "ask", "asks": [ask["id"]], "parked": parked}
        assert api.get("/runs")["items"][0]["waiting"] == run["waiting"]
        for active in () if parked else api.items("/runs/active"):
            step = active["step"]
            assert (step["kind"], step["toolName"], step["preview"]) == ("ask", "shell", arguments)
            assert "clockFrom" not in active and active["elapsedMs"] >= 0
        assert len(api.items("/runs/active")) == (not parked)
        waits = api.get(f"/runs/{run_id}/explain")["waitsFor"]
        assert (waits["reason"], waits["asks"], waits["turn"]) == ("ask", [ask["id"]], 1)
        assert [one["kind"] for one in api.get(f"/ids/{ask['id'][-8:]}")["items"]] == ["ask"]
        summary = api.get("/fleet/summary")
        assert (summary["openAsks"], summary["oldestAskSince"]) == (1, ask["askedAt"])
        assert b'athena_asks_open{kind="tool-permission"} 1' in api.http.get(api.url + "/metrics").content
        (event,) = api.events(runId=run_id, types="run.asked")
        assert event["payload"]["askId"] == ask["id"]
        assert "pears" not in str(event), "the feed has no text"
        api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "allow", "note": "fine"})
        assert api.await_ending(run_id) == "run.completed"
        assert (server.workspace / "secret-pears.txt").exists()
        decided = api.get(f"/asks/{ask['id']}")
        assert (decided["status"], decided["decidedBy"], decided["note"]) == ("approved", "local", "fine")
        assert (decided["parked"], "waiting" in api.get(f"/runs/{run_id}")) == (False, False)
        said = [cause["says"] for cause in api.get(f"/runs/{run_id}/explain")["causes"]]
        assert f"local chose 'allow' for {ask['id']}" in said
        assert ("resumed after the answer" in said) is parked
        entries = api.get(f"/sessions/{run['sessionId']}/transcript")["items"]
        assert [entry["kind"] for entry in entries][1:5] == ["ask", "answer", "tool-call", "tool-result"]
        (entry,) = api.get("/governance/audit-trail", kind="ask")["items"]
        assert (entry["target"], entry["details"]["askId"], entry["reason"]) == (run_id, ask["id"], "fine")
        (called,) = api.events(runId=run_id, types="tool.called")
        assert called["payload"]["askId"] == ask["id"]
