"""Workflows of many lists that are cancelled: each step ends, and the next slot of their schedule runs."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.api import soon
from tests.support.records import judge
from tests.support.server import Server
from tests.support.workflow_builder import Builder, statuses

LISTS = """#!/bin/sh
# A model whose lists are empty once there is a file "over"; it takes for ever over what is in them.
while IFS= read -r line || [ -n "$line" ]; do last=$line; done
case $last in
*list) if [ -e "${0%/*}/over" ]; then printf '[]'; else printf '[1,2,3,4,5]'; fi ;;
*) exec sleep 600 ;;
esac
"""


@pytest.mark.heavy
@pytest.mark.parametrize("store", ["files", "database"])
def test_a_cancelled_workflow_of_many_lists_ends_and_the_next_slot_of_its_schedule_runs(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    model = tmp_path / "model.sh"
    model.write_text(LISTS)
    settings = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(model)}
    if store == "database":
        settings["database_url"] = request.getfixturevalue("database")
    with Server(tmp_path / "server", **settings) as server:
        api, build = server.api, Builder(server.api)
        api.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 4}, "auditComment": "most runs wait"})
        each = build.step("each", "take {{item}}", gated=True, map={"step": "all", "maxParallel": 5})
        names = [f"each-{number}" for number in range(80)]
        steps = [build.step("all", "list", gated=True), *({**each, "id": name} for name in names)]
        workflow_id = build.workflow(steps, *(f"all>{name}" for name in names))
        api.post("/schedules", {"id": "a", "cron": "0 0 1 1 *", "workflowId": workflow_id, "overlapPolicy": "skip"})
        with api.stream("/events/stream", types="workflow.step.expanded", after=api.head()) as frames:
            run_id = api.post("/schedules/a/run", respond_async=True)["runId"]
            next(frame for frame in frames if frame.event == "workflow.step.expanded")
        api.post(f"/workflows/run/{run_id}/cancel", {"reason": "enough"})
        for _ in soon():
            found = api.get(f"/workflows/run/{run_id}")["run"]
            if found["status"] != "running":
                break
        assert (found["status"], Counter(statuses(found).values())) == ("cancelled", {"ok": 1, "cancelled": 80})
        kinds = "workflow.step.expanded,workflow.step.started,workflow.run.cancel.requested"
        events = [(event["type"], event["payload"].get("stepId")) for event in api.events(types=kinds)]
        before = [step_id for kind, step_id in events if kind == "workflow.step.started"]
        assert set(before) < {"all", *names}, "there were lists of which nothing had begun"
        assert events[-1][0] == "workflow.run.cancel.requested", "nothing began after it"
        (tmp_path / "over").touch()
        assert [one["status"] for one in api.post("/schedules/tick", {"at": "2040-01-01T00:00:00Z"})["run"]] == ["ok"]
    judge(server.state_dir, settings.get("database_url", ""))
