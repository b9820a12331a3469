"""The fleet over HTTP: its numbers while runs execute, wait, end and are rejected."""

import pytest

from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.support.api import Refused
from tests.support.gate import Gates


def test_the_summary_follows_every_run(serve: Serve, gates: Gates) -> None:
    api, gate = serve(**gates.settings).api, gates["held"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 2})
    profile_id = api.post("/harness-profiles", PROFILE)["id"]
    api.run("one", harnessProfileId=profile_id, sessionId="paid")
    held = api.start(gate.order, sessionId="busy")
    waiting = api.start("later", sessionId="busy", provider="mock")
    stopped = api.start(gates["stopped"].order, sessionId="stopped")
    with pytest.raises(Refused):
        api.run("too many")
    found = api.get("/fleet/summary")
    assert (found["total"], found["running"], found["pending"], found["succeeded"], found["failed"]) == (3, 2, 1, 1, 0)
    assert (found["uptime"], found["errorRate"]) == (1, 0)
    assert found["operationalSummary"] == {
        "totalActiveRuns": 2,
        "totalActiveSessions": 2,
        "aggregateResourceUsage": {"cpuUsage": 0, "memoryUsage": 0},
        "recentFailureRejectionCount": 1,
    }
    since = waiting["createdAt"]
    assert found["queue"] == {
        "waiting": 1,
        "withoutExecutor": 0,
        "sessions": 1,
        "items": 0,
        "deadLetters": 0,
        "oldestWaitingSince": since,
    }
    assert found["recent"]["refused"] == 1
    api.post(f"/run-control/by-run/{stopped['runId']}/cancel")
    api.await_ending(stopped["runId"])
    gate.release()
    for run in (held, waiting):
        assert api.await_ending(run["runId"]) == "run.completed"
    found = api.get("/fleet/summary")
    assert (found["total"], found["running"], found["pending"], found["succeeded"], found["failed"]) == (4, 0, 0, 3, 0)
    assert (found["cancelled"], found["errorRate"], found["uptime"]) == (1, 0, 1)
    assert found["outcomes"] == {"completed": 3, "failed": 0, "cancelled": 1, "timedOut": 0, "crashed": 0}
    assert found["recent"]["runTimes"]["runs"] == 3
    assert found["recent"]["runTimes"]["p50Ms"] <= found["recent"]["runTimes"]["p95Ms"]


def test_the_series_counts_runs_over_time_and_by_name(serve: Serve, gates: Gates) -> None:
    api, gate = serve(**gates.settings).api, gates["broken"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    profile_id = api.post("/harness-profiles", PROFILE)["id"]
    usage = api.run("one", harnessProfileId=profile_id)["usage"]
    held = api.start(gate.order)
    with pytest.raises(Refused):
        api.run("too many")
    before = api.get("/events", types="policy.rejected")["cursor"]
    api.post(f"/run-control/by-run/{held['runId']}/cancel")
    api.await_ending(held["runId"])
    found = api.get("/fleet/series", by="profile")
    assert (found["stepSeconds"], found["intervals"], found.get("other")) == (60, 61, None)
    total = found["all"]["total"]
    assert {name: number for name, number in total.items() if not name.startswith("p")} == {
        "started": 2,
        "completed": 1,
        "failed": 0,
        "cancelled": 1,
        "timedOut": 0,
        "crashed": 0,
        "rejected": 1,
        "calls": 1,
        "inputTokens": usage["inputTokens"],
        "outputTokens": usage["outputTokens"],
        "costMicroUsd": 0,
    }
    assert sum(found["all"]["started"]) == 2 and len(found["all"]["started"]) == 61
    assert "failed" not in found["all"], "it would be all 0"
    assert sorted(line["total"]["started"] for line in found["lines"]) == [1, 1]
    (line,) = (line for line in found["lines"] if line["name"] == profile_id)
    assert line["total"]["completed"] == 1
    then = api.get("/fleet/series", asOf=before)
    assert (then["all"]["total"]["started"], then["all"]["total"]["cancelled"]) == (2, 0)
    with pytest.raises(Refused) as failed:
        api.run("fail")
    (line,) = api.get("/fleet/series", by="error")["lines"]
    assert (line["name"], line["total"]["failed"], sum(line["failed"])) == (failed.value.code, 1, 1)


def test_a_series_that_cannot_be_shown_is_refused(serve: Serve) -> None:
    api = serve().api
    for query, field in (
        ({"from": "2020-01-01T00:00:00Z"}, "from"),
        ({"from": "2020-01-01T00:00:00Z", "step": "5s"}, "from"),
        ({"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, "from"),
        ({"from": "9999-12-31T23:59:59Z"}, "from"),
        ({"from": "never"}, "from"),
        ({"step": "1d"}, "step"),
        ({"by": "session"}, "by"),
    ):
        with pytest.raises(Refused) as refused:
            api.get("/fleet/series", **query)
        assert refused.value.code == "CONFIG_ERROR"
        assert refused.value.error["details"][0]["field"].endswith(field), query
