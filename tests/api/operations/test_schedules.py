"""Schedules over HTTP: put, refused, run by hand, ticked, changed and read back."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.examples import PROFILE
from tests.support.api import Api, Json, Refused
from tests.support.server import Server
from tests.support.workflow_builder import Builder

YEARLY: Json = {"sessionId": "s", "input": "hello", "cron": "0 0 1 1 *"}


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    """A client of a server without schedules."""
    yield shared.api
    for one in shared.api.items("/schedules"):
        shared.api.http.delete(f"/schedules/{one['id']}").raise_for_status()


def refused(api: Api, changes: Json) -> tuple[int, str]:
    body = {name: value for name, value in {"id": "bad", **YEARLY, **changes}.items() if value is not None}
    with pytest.raises(Refused) as found:
        api.post("/schedules", body)
    assert found.value.code == "CONFIG_ERROR"
    return found.value.status, found.value.error["details"][0]["field"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": None, "runAt": "2020-01-01T00:00:00Z"}, "runAt"),
        ({"input": None, "directiveId": "dir_1"}, "directiveId"),
        ({"input": None, "sessionId": None, "workflowId": "wf_1"}, "workflowId"),
        ({"input": None, "sessionId": None, "runTemplateId": "tpl_1"}, "runTemplateId"),
        ({"harnessProfileId": "hp_1"}, "harnessProfileId"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_field(api: Api, changes: Json, field: str) -> None:
    assert refused(api, changes) == (400, field)
    assert api.items("/schedules") == []


def test_a_schedule_is_put_read_changed_and_removed(api: Api) -> None:
    made = api.post("/schedules", {"id": "a", **YEARLY})
    assert api.get("/schedules/a") == made
    assert (made["enabled"], made["paused"], made["timezone"], made["revision"]) == (True, False, "UTC", 1)
    assert api.put("/schedules/a", YEARLY) == made, "putting the same changes nothing"
    changed = api.put("/schedules/a", YEARLY | {"input": "bye", "overlapPolicy": "buffer-one"})
    assert (changed["input"], changed["overlapPolicy"], changed["revision"]) == ("bye", "buffer-one", 2)
    off = api.post("/schedules/a/disable")
    assert (off["updated"], off["schedule"]["enabled"], off["schedule"]["nextRunAt"]) == (True, False, None)
    assert api.post("/schedules/a/disable")["updated"] is False
    preview = api.get("/schedules/a/preview", count=2, **{"from": "2030-06-01T00:00:00Z"})["items"]
    assert [slot["utc"][:10] for slot in preview] == ["2031-01-01", "2032-01-01"]
    assert api.post("/schedules/a/enable")["schedule"]["nextRunAt"] == made["nextRunAt"]
    held = api.post("/schedules/a/pause", {"note": "a holiday"})["schedule"]
    assert (held["paused"], held["note"], held["nextRunAt"]) == (True, "a holiday", None)
    assert held["pausedBecause"] == {"cause": "requested", "since": held["updatedAt"]}
    assert "pausedBecause" not in api.post("/schedules/a/resume")["schedule"]
    assert api.http.delete("/schedules/a").json()["data"] == {"id": "a", "removed": True}
    assert api.http.delete("/schedules/a").json()["data"] == {"id": "a", "removed": False}
    assert api.post("/schedules/a/enable") == {"id": "a", "updated": False}
    with pytest.raises(Refused, match="NOT_FOUND"):
        api.get("/schedules/a")
    trail = [item for item in api.items("/governance/audit-trail", kind="schedule") if item["target"] == "a"][:8][::-1]
    assert [(item["type"].removeprefix("schedule."), item.get("after", {}).get("enabled")) for item in trail] == [
        *(("upserted", True), ("disabled", False), ("enabled", True), ("paused", None), ("resumed", None)),
        *(("removed", None), ("removed", None), ("enabled", None)),
    ]
    assert trail[0]["after"]["definition"]["overlapPolicy"] == "buffer-one"
    assert trail[1]["before"] == {"enabled": True}
    assert (trail[3]["reason"], trail[3]["details"]) == ("a holiday", {"cause": "requested"})


def test_a_preview_has_up_to_five_hundred_slots_in_utc_and_on_the_wall(api: Api) -> None:
    api.post("/schedules", {"id": "a", **YEARLY, "cron": "30 * * * *", "timezone": "Asia/Kolkata", "enabled": False})
    items = api.get("/schedules/a/preview", count=500, **{"from": "2030-06-01T00:00:00Z"})["items"]
    assert len({item["utc"] for item in items}) == 500
    assert items[0] == {"utc": "2030-06-01T00:00:00.000Z", "local": "2030-06-01T05:30:00+05:30"}


def test_a_preview_shows_the_times_of_a_schedule_that_is_not_written_yet(api: Api) -> None:
    def times(**query: Any) -> list[str]:
        return [slot["utc"][:16] for slot in api.get("/schedules/new/preview", count=2, **query)["items"]]

    begin = {"from": "2030-06-01T12:00:00Z"}
    nightly = {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}
    assert times(**begin, **nightly) == ["2030-06-02T00:00", "2030-06-03T00:00"]
    assert times(**begin, **nightly, endAt="2030-06-02T12:00:00Z") == ["2030-06-02T00:00"]
    assert times(everyMinutes=60, startAt="2030-06-01T00:30:00Z") == ["2030-06-01T00:30", "2030-06-01T01:30"]
    assert times(runAt="2030-06-01T00:30:00Z") == ["2030-06-01T00:30"]
    soon, later = (slot["utc"] for slot in api.get("/schedules/new/preview", count=2, everyMinutes=60)["items"])
    made = api.post("/schedules", {"id": "new", "sessionId": "s", "input": "hello", "everyMinutes": 60})
    assert soon <= made["nextRunAt"] < later, "as a write stores it"
    assert times(**begin, **nightly) == ["2030-06-02T00:00", "2030-06-03T00:00"], "not those of the stored one"
    with pytest.raises(Refused, match="NOT_FOUND"):
        api.get("/schedules/old/preview", **begin)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 2 * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "Europe/Berlin"}, "everyMinutes"),
        ({"cron": "0 2 * * *", "everyMinutes": 5}, "cron"),
        ({"runAt": "2020-01-01T00:00:00Z"}, "runAt"),
        ({"everyMinutes": 5, "startAt": "2020-01-01T00:00:00"}, "startAt"),
        ({"everyMinutes": 5, "endAt": "9999-12-31T23:59:59Z"}, "endAt"),
        ({"everyMinutes": 0}, "everyMinutes"),
    ],
)
def test_a_preview_of_wrong_times_names_the_field(api: Api, query: Json, field: str) -> None:
    with pytest.raises(Refused, match="CONFIG_ERROR") as found:
        api.get("/schedules/new/preview", **query)
    assert [fault["field"] for fault in found.value.error["details"]] == [field]


def test_schedules_are_counted_by_state(api: Api) -> None:
    api.post("/schedules", {"id": "a", **YEARLY})
    api.post("/schedules", {"id": "b", **YEARLY, "enabled": False, "paused": True})
    api.post("/schedules", {"id": "c", **YEARLY, "paused": True})
    api.post("/schedules", {"id": "d", **YEARLY, "paused": True})
    text = api.http.get(api.url + "/metrics").text
    found = {
        line.split()[0]: int(line.split()[1]) for line in text.splitlines() if line.startswith("athena_schedules{")
    }
    assert found == {
        f'athena_schedules{{state="{state}"}}': n for state, n in dict(enabled=1, paused=2, disabled=1).items()
    }


def test_ticks_by_hand_bring_one_slot_each_and_the_same_key_brings_none(api: Api) -> None:
    api.post("/schedules", {"id": "a", **YEARLY})
    api.post("/schedules", {"id": "off", **YEARLY, "enabled": False})
    first = api.post("/schedules/tick", {"at": "2040-01-01T00:00:00Z"}, key="tick-1")
    assert ([one["status"] for one in first["run"]], first["skipped"]) == (["ok"], 1)
    assert api.post("/schedules/tick", {"at": "2040-01-01T00:00:00Z"}, key="tick-1") == first
    api.post("/schedules/tick", {"at": "2040-01-01T00:00:00Z"})
    logs = log(api)
    assert [entry["status"] for entry in logs] == ["ok", "ok"]
    assert logs[0]["nominalTime"] > logs[1]["nominalTime"]
    assert api.get("/schedules/a/logs", after=logs[1]["id"]) == logs[:1]
    assert api.get("/schedules/a/logs", limit=1) == logs[:1]
    run = api.get(f"/runs/{logs[0]['runId']}")
    assert (run["sessionId"], run["status"]) == ("s", "completed")
    assert api.post("/schedules/tick")["run"] == []


def log(api: Api) -> list[Json]:
    found: list[Json] = api.get("/schedules/a/logs")
    return found


def test_a_run_by_hand_moves_no_slot_and_the_same_key_starts_one(api: Api) -> None:
    made = api.post("/schedules", {"id": "a", **YEARLY, "enabled": False})
    entries = len(log(api))
    first = api.post("/schedules/a/run", key="hand-1")
    assert (first["status"], first["id"], first["sessionId"]) == ("ok", "a", "s")
    assert api.post("/schedules/a/run", key="hand-1") == first
    assert api.post("/schedules/a/run")["runId"] != first["runId"]
    assert len(log(api)) == entries + 2
    assert "nominalTime" not in log(api)[0]
    assert api.get("/schedules/a")["nextRunAt"] == made["nextRunAt"]
    with pytest.raises(Refused, match="PROVIDER_NOT_FOUND"):
        api.post("/schedules/a/run", {"provider": "nobody"})


def test_a_template_runs_with_the_parameters_of_the_schedule(api: Api) -> None:
    profile = api.post("/harness-profiles", PROFILE | {"verificationPolicies": None})["id"]
    spec = {"harnessProfileId": profile, "directiveTemplate": "say {{what}}", "defaultParams": {"what": "hello"}}
    template = api.post("/run-templates", spec)["id"]
    made = api.post(
        "/schedules", {"id": "a", "cron": "0 0 1 1 *", "runTemplateId": template, "params": {"what": "bye"}}
    )
    assert (made["params"], made["input"]) == ({"what": "bye"}, None)
    result = api.post("/schedules/a/run")
    assert result["status"] == "ok"
    run: dict[str, Any] = api.get(f"/runs/{result['runId']}")
    assert (run["output"], run["template"]) == ("Echo: user: say bye", {"id": template, "version": 1})


def test_a_workflow_runs_and_its_end_is_in_the_log(api: Api) -> None:
    workflow = Builder(api).chain("a")
    api.post("/schedules", {"id": "a", "cron": "0 0 1 1 *", "workflowId": workflow})
    before = len(log(api))
    result = api.post("/schedules/a/run")
    assert (result["status"], result["runId"][:4], result["sessionId"]) == ("ok", "wfr_", None)
    assert api.get(f"/workflows/run/{result['runId']}")["run"]["status"] == "ok"
    ticked = api.post("/schedules/tick", {"at": "2040-01-01T00:00:00Z"})["run"]
    assert [one["status"] for one in ticked] == ["ok"]
    assert len(log(api)) == before + 2
