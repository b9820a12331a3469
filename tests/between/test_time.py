"""Time through the real log: midnight, pauses and back-off, on both databases."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.between.conftest import Planes, hold
from tests.support.api import soon
from tests.support.gate import Gates
from tests.support.inside import Inside, plane_on
from tests.support.machine import DAY, MINUTE, Machine
from tests.support.model import Model, Profile

TURN_MICRO_USD = 210


def agent(plane: Inside, **fields: Any) -> str:
    """Create a harness profile for the model; return its id."""
    return str(plane.data("POST", "/harness-profiles", Profile(**fields).body)["id"])


def test_a_daily_budget_renews_exactly_at_midnight(planes: Planes, machine: Machine, model: Model) -> None:
    with planes(openai_base_url=model.url) as plane:
        profile = agent(plane)
        plane.data("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0.0009})
        machine.go(DAY - 1)

        def pays(session: str) -> bool:
            answer = plane.ask("POST", "/runs", {"input": "go", "harnessProfileId": profile, "sessionId": session})
            assert answer.status_code in {200, 202}
            return answer.status_code == 200

        assert (pays("a"), pays("b")) == (True, False)
        (paused,) = plane.data("GET", "/runs?status=paused")["items"]
        again = plane.data("POST", f"/runs/{paused['runId']}/resume", {})
        assert again["status"] == "paused", "the last millisecond is still the day that was spent"
        machine.go(1)
        assert plane.data("GET", "/fleet/summary")["costSummary"]["today"]["spentUsd"] == 0
        assert plane.data("POST", f"/runs/{paused['runId']}/resume", {})["status"] == "completed"
        today = plane.data("GET", "/fleet/summary")["costSummary"]["today"]
        assert (today["day"], round(today["spentUsd"] * 1e6)) == ("2026-01-02", TURN_MICRO_USD)
        assert not pays("c"), "the resumed run was paid by the new day"


@pytest.mark.parametrize(("minutes", "ending"), [(3, "completed"), (5, "timed-out")])
@pytest.mark.parametrize("restarted", [False, True])
def test_pauses_do_not_count_towards_the_timeout_of_a_run(
    minutes: int, ending: str, restarted: bool, planes: Planes, machine: Machine, model: Model, gates: Gates
) -> None:
    first, second = gates["first"], gates["second"]
    model.script = [hold(first), hold(second), "done"]
    settings = {"openai_base_url": model.url}
    with planes(**settings) as plane:
        profile = agent(plane, timeout_ms=10 * MINUTE, budget_usd=(TURN_MICRO_USD - 1) / 1e6)
        run_id = plane.begin("go", "s", harnessProfileId=profile)
        first.arrival()
        machine.go(6 * MINUTE)
        first.release()
        plane.until(f"/runs/{run_id}", "status", "paused")
        machine.go(3 * DAY)
        if restarted:
            plane.stop()
            plane.start()
        plane.data("POST", f"/runs/{run_id}/resume", {}, prefer="respond-async")
        second.arrival()
        machine.go(minutes * MINUTE)
        if ending == "completed":
            second.release()
        assert plane.until(f"/runs/{run_id}", "status", "completed", "timed-out")["status"] == ending


def test_the_delay_of_a_failed_message_doubles_up_to_a_minute(
    tmp_path: Path, store: dict[str, str], gates: Gates
) -> None:
    personas = tmp_path / "workspace" / "personas"
    personas.mkdir(parents=True)
    for name in ("ada", "bob"):
        (personas / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
    machine = Machine()
    settings = {"a2a_retry_ms": "20000", "work_max_attempts": "5", "workspace_root": str(personas.parent)}
    with plane_on(tmp_path, machine.still(), **store, **settings, **gates.settings) as plane:
        body = {"fromPersona": "ada", "toPersona": "bob", "payload": "fail"}
        sent = plane.data("POST", "/a2a/messages", body)["messageId"]
        path = f"/a2a/messages/{sent}"
        drains = plane.app.plane.reactors.loops["drains"]
        for attempt, seconds in enumerate((20, 40, 60, 60), 1):
            for _ in soon():  # until the attempt has failed
                if drains._deadlines.first() == machine.clock.now() + seconds * 1_000:
                    break
            assert plane.data("GET", path)["attempts"] == attempt
            machine.go(seconds * 1_000)
        assert plane.until(path, "status", "failed")["attempts"] == 5
