"""The second of two routes to the same thing: ways to start a run, a list and its records, a page and its stream."""

from typing import Any

import pytest

from tests.between.conftest import Planes, hold
from tests.support.api import Refused
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.model import Model, Profile, call

pytestmark = pytest.mark.both

LIMITS: dict[str, dict[str, Any]] = {
    "maxConcurrentRuns": {"maxConcurrentRuns": 1},
    "limits": {"limits": [{"scope": "provider", "key": "openai", "max": 1, "strategy": "reject"}]},
    "costBudgetDailyUsd": {"costBudgetDailyUsd": 0.0002},
}
WAYS = ("run", "template", "schedule", "drain", "resume")


class Starter:
    """Starts a run of a priced model in each way."""

    def __init__(self, plane: Inside) -> None:
        self._plane = plane
        self._profile = self._agent(0)
        agent = {"harnessProfileId": self._profile}
        template = {**agent, "directiveTemplate": "go", "defaultParams": {}}
        self._template = plane.data("POST", "/run-templates", template)["id"]
        schedule = {**agent, "id": "often", "sessionId": "often", "input": "go", "everyMinutes": 60}
        plane.data("POST", "/schedules", schedule)
        item = {"sessionId": "queue", "payload": "go", "mode": "followup"}
        plane.data("POST", "/work/enqueue", item)
        thrifty = {"input": "go", "harnessProfileId": self._agent(0.0001)}
        self._paused = plane.data("POST", "/runs", thrifty)["runId"]

    def _agent(self, budget_usd: float) -> str:
        return str(self._plane.data("POST", "/harness-profiles", Profile(budget_usd=budget_usd).body)["id"])

    def holder(self) -> str:
        """Start the run that is in the way."""
        return self._plane.begin("go", "holder", harnessProfileId=self._profile)

    def start(self, way: str) -> Any:
        """Start a run; return the answer. Raise Refused."""
        plane = self._plane
        match way:
            case "run":
                return plane.data("POST", "/runs", {"input": "go", "harnessProfileId": self._profile})
            case "template":
                return plane.data("POST", f"/templates/{self._template}/run", {})
            case "schedule":
                return plane.data("POST", "/schedules/often/run", {})
            case "drain":
                return plane.data("POST", "/work/queue/drain", {"provider": "openai", "model": "gpt-4o-mini"})
            case _:
                return plane.data("POST", f"/runs/{self._paused}/resume", {})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_start_a_run_meets_every_limit(way: str, planes: Planes, model: Model, gates: Gates) -> None:
    model.script = [call("files", action="list", path="."), "done"]
    with planes(openai_base_url=model.url) as plane:
        starter, gate = Starter(plane), gates["holder"]
        model.script = [hold(gate), "done"]
        holder = starter.holder()
        gate.arrival()
        for number, (name, limit) in enumerate(LIMITS.items(), 1):
            plane.data("PUT", "/policy", {"schemaVersion": 1, **limit})
            try:
                message = str(starter.start(way))
            except Refused as refused:
                message = str(refused)
            assert f"policy.{name} exceeded" in message
            assert len(plane.data("GET", "/policy/rejections")["items"]) == number
        plane.data("PUT", "/policy", {"schemaVersion": 1})
        model.script = ["done"]
        assert starter.start(way).get("status", "ok") in {"ok", "completed"}
        gate.release()
        assert plane.until(f"/runs/{holder}", "status", "completed")
