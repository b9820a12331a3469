"""Workflows that lose their server in the middle: completed steps are not repeated, and attempts are counted."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.history import opened
from tests.scale import sized
from tests.support.api import soon
from tests.support.gate import Gates
from tests.support.records import judge, verified
from tests.support.server import Server
from tests.support.workflow_builder import Builder, attempts, settled, statuses

NAMES = ("start", "l1", "l2", "l3", "l4", "r1", "r2", "r3", "r4", "join", "report", "end")
EDGES = (
    *("start>l1", "l1>l2", "l2>l3", "l3>l4", "start>r1", "r1>r2", "r2>r3", "r3>r4"),
    *("l4>join", "r4>join", "join>report", "report>end"),
)
"""Twelve steps: two branches of four between a beginning and an end of their own."""
KILLS = sized((9, 22), tuple(range(2, 60, 4)), tuple(range(2, 80)))


def twelve(build: Builder, failing: str | None = "l3") -> str:
    steps = [build.step(name, "{{order}}" if name == failing else name, gated=True) for name in NAMES]
    return build.workflow(steps, *EDGES)


def starts_of(server: Server, workflow_run_id: str) -> Counter[str]:
    """Count the starts of each step. Fail if one started after it was ok."""
    counts: Counter[str] = Counter()
    through: set[str] = set()
    for event in server.api.events(types="workflow.step.started,workflow.step.completed"):
        step_id = event["payload"]["stepId"]
        if event["type"] == "workflow.step.completed":
            through.add(step_id)
        else:
            assert step_id not in through, f"{step_id} was started again after it was ok"
            counts[step_id] += 1
    return counts


@pytest.mark.heavy
def test_a_workflow_of_twelve_steps_fails_is_killed_and_resumed(tmp_path: Path, gates: Gates) -> None:
    with Server(tmp_path / "server", **gates.settings) as server:
        build = Builder(server.api)
        workflow_id = twelve(build)
        failed = build.run(workflow_id, order="fail")
        assert failed["status"] == "failed"
        branches = statuses(failed)
        assert (branches["l3"], branches["l4"], branches["join"]) == ("failed", "pending", "pending")
        assert [branches[name] for name in ("r1", "r2", "r3", "r4")] == ["ok"] * 4, "the other branch went on"
        gate = gates["middle"]
        path = f"/workflows/run/{failed['id']}/resume"
        server.api.post(path, {"inputOverrides": {"order": gate.order}}, respond_async=True)
        gate.arrival()
        server.kill()
        server.start()
        build = Builder(server.api)
        gate.arrival()
        gate.release(2)  # the model of the killed server may still wait there and take one
        done = settled(build, failed["id"])
        assert (done["status"], set(statuses(done).values())) == ("ok", {"ok"})
        print({name: f"{count} attempts" for name, count in attempts(done).items()})
        assert attempts(done) == {name: 2 if name == "l3" else 1 for name in NAMES}
        assert build.resume(failed["id"]) == done, "a second resume runs nothing again"
        assert starts_of(server, failed["id"]) == Counter({name: 2 if name == "l3" else 1 for name in NAMES})
        build.api.close()
    report = verified(server.state_dir)
    assert report.ok, report.violations


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


def killed_after(server: Server, run_id: str, count: int) -> None:
    """Kill a server as soon as a workflow run of it has this many events."""
    reader = opened(server.state_dir / "log.db")
    try:
        for _ in soon():
            if len(reader.stream(run_id)) >= count:
                break
    finally:
        reader.close()
    server.kill()


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", KILLS)
def test_a_server_killed_at_any_moment_of_a_workflow_repeats_no_step_that_was_through(
    tmp_path: Path, count: int
) -> None:
    model = tmp_path / "model.sh"
    model.write_text("sleep 0.02; cat")
    settings: dict[str, Any] = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(model)}
    with Server(tmp_path / "server", **settings) as server:
        build = Builder(server.api)
        run_id = server.api.post(f"/workflows/{twelve(build, None)}/run", respond_async=True)["id"]
        killed_after(server, run_id, min(count, 2 * len(NAMES)))
        server.start()
        done = settled(Builder(server.api), run_id)
        assert (done["status"], set(attempts(done).values())) == ("ok", {1})
        assert starts_of(server, run_id) == Counter(dict.fromkeys(NAMES, 1))
    judge(server.state_dir)
    report = verified(server.state_dir)
    assert report.ok, report.violations
