"""Wrong clocks: a date that was wrong for a while, a skewed server and a suspend change no result."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from athena_core.clock import STEP_MS, SystemClock, iso
from tests.scale import sized
from tests.support.api import Api, soon
from tests.support.gate import Gates
from tests.support.inside import Inside, plane_on
from tests.support.machine import DAY, HOUR, MINUTE, YEAR, Machine
from tests.support.model import Profile, acting
from tests.support.process import ROOT, environment_of
from tests.support.programs import lack
from tests.support.server import Server

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
STORES = ("files", "postgres")
BUDGET_USD = 0.0009
"""Pays one turn of the model, and not two."""

ALL = (DAY, -DAY, YEAR, -YEAR)
JUMPS = {"files": sized((), (DAY, -DAY, -YEAR), ALL), "postgres": sized((), (DAY, -YEAR), ALL)}
"""At the size of CI each jump is made on files, one of them in `make test`, and one in each direction on PostgreSQL."""

CASES = [
    pytest.param("files", YEAR, id="files-year"),
    *(
        pytest.param(store, jump, marks=pytest.mark.heavy, id=f"{store}-{jump // DAY}-days")
        for store in STORES
        for jump in JUMPS[store]
    ),
]


def url_for(store: str, request: pytest.FixtureRequest) -> dict[str, str]:
    return {"database_url": request.getfixturevalue("database")} if store == "postgres" else {}


def set_clock(plane: Inside, machine: Machine, jump: int) -> None:
    """Set the machine's clock, and make the plane accept it at once."""
    machine.jump(jump)
    if machine.clock.ahead:
        plane.data("POST", "/admin/clock/accept")
    assert machine.clock.now() == machine.wall


@pytest.mark.parametrize(("store", "jump"), CASES)
def test_a_date_that_was_wrong_for_a_while_opens_no_day_and_closes_none(
    store: str, jump: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    machine = Machine()
    with (
        acting(("done",)) as model,
        plane_on(tmp_path, machine.clock, openai_base_url=model.url, **url_for(store, request)) as plane,
    ):
        profile = plane.data("POST", "/harness-profiles", Profile().body)["id"]
        plane.data("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": BUDGET_USD})

        def pays() -> bool:
            answer = plane.ask("POST", "/runs", {"input": "go", "harnessProfileId": profile})
            if answer.status_code == 202:
                run_id = answer.json()["data"]["runId"]
                assert plane.data("GET", f"/runs/{run_id}")["paused"]["reason"] == "daily-budget"
                plane.data("POST", f"/run-control/by-run/{run_id}/cancel", {})
            assert answer.status_code in {200, 202, 429}, answer.text
            return answer.status_code == 200

        assert (pays(), pays()) == (True, False)
        set_clock(plane, machine, jump)
        assert (pays(), pays()) == (True, False), "the wrong date is a day of its own"
        set_clock(plane, machine, -jump)
        assert not pays(), "the day that was left has no second budget"
        summary = plane.data("GET", "/fleet/summary")["costSummary"]["today"]
        assert (summary["day"], summary["spentUsd"] > 0) == (iso(machine.wall)[:10], True)
        machine.go(DAY)
        if jump == DAY:
            assert not pays(), "what was spent under the wrong date was spent on this day"
            machine.go(DAY)
        assert pays(), "no day is lost"


@pytest.mark.parametrize(("store", "jump"), CASES)
def test_a_date_that_was_wrong_for_a_while_freezes_nothing(
    store: str, jump: int, tmp_path: Path, request: pytest.FixtureRequest, gates: Gates
) -> None:
    machine = Machine()
    held, slow = gates["held"], gates["slow"]
    with plane_on(tmp_path, machine.clock, **gates.settings, **url_for(store, request)) as plane:
        before = plane.begin(held.order, "before")
        held.arrival()
        plane.data("POST", "/runs", {"input": "wrong"})
        set_clock(plane, machine, jump)
        plane.data("POST", "/runs", {"input": "wrong", "sessionId": "wrong"})
        keyed = plane.data("POST", "/runs", {"input": "once"}, idempotency_key="wrong")["runId"]
        set_clock(plane, machine, -jump)
        body = Profile(timeout_ms=300).body | {"toolPolicies": None}
        body["config"] = {"provider": "local-exec", "model": "script", "tools": ["none"]}
        quick = plane.data("POST", "/harness-profiles", body)["id"]
        late = plane.ask("POST", "/runs", {"input": slow.order, "harnessProfileId": quick, "sessionId": "slow"})
        assert late.json()["error"]["code"] == "RUN_TIMEOUT", late.text
        held.release()
        assert plane.until(f"/runs/{before}", "status", "completed", "failed")["status"] == "completed"
        assert plane.data("POST", "/runs", {"input": "once"}, idempotency_key="wrong")["runId"] == keyed
        plane.data("POST", "/schedules", {"id": "often", "sessionId": "s", "input": "slot", "everyMinutes": 1})
        for number in range(1, 3):
            machine.go(MINUTE)
            for _ in soon():
                ran = plane.data("GET", "/schedules/often/logs")
                if [entry["status"] for entry in ran] == ["ok"] * number:
                    break
        machine.go(STEP_MS)  # from here on, a jump is measured from the right date
        step = {"id": "ask", "approval": {"message": "ship?", "expiresAfterMs": HOUR, "onExpiry": "reject"}}
        flow = {"definition": {"steps": [step], "dependencies": []}}
        workflow = plane.data("POST", "/workflows", flow)["id"]
        asked = plane.data("POST", f"/workflows/{workflow}/run", {}, prefer="respond-async")["id"]
        plane.until(f"/workflows/run/{asked}", "status", "waiting", "running")
        machine.jump(YEAR)  # no operator accepts it
        plane.call(plane.app.plane.workflow_stepper.act, asked)
        plane.until(f"/workflows/run/{asked}", "status", "waiting", "running")
        machine.go(HOUR)
        plane.call(plane.app.plane.workflow_stepper.act, asked)
        assert plane.until(f"/workflows/run/{asked}", "status", "failed")


def test_a_run_times_out_by_a_suspend_which_does_not_count_as_a_jump(tmp_path: Path, gates: Gates) -> None:
    machine, gate = Machine(), gates["asleep"]
    with plane_on(tmp_path, machine.clock, **gates.settings) as plane:
        run_id = plane.begin(gate.order, "s")  # it may take 10 minutes
        gate.arrival()
        machine.go(HOUR)
        assert plane.until(f"/runs/{run_id}", "status", "timed-out")["status"] == "timed-out"
        found = plane.data("GET", "/admin/health")
        assert (found["status"], found["clockAheadMs"]) == ("ok", 0)


# Real processes


@contextmanager
def skewed(directory: Path, seconds: int, **settings: str) -> Iterator[Api]:
    """Start a server whose machine has another date, on a state directory."""
    if FAKETIME is None:
        pytest.skip(lack("faketime"))
    environment = environment_of(directory, settings)
    (directory / "date").write_text(f"{seconds:+d}")
    environment |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1", "LD_PRELOAD": str(FAKETIME)}
    environment["FAKETIME_TIMESTAMP_FILE"] = str(directory / "date")
    log = directory / "skewed.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.serving"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert port, log.read_text()
    api = Api(f"http://127.0.0.1:{port}")
    try:
        yield api
    finally:
        api.close()
        ended = process.poll()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
        assert ended is None, (ended, log.read_text()[-2_000:])
    assert "Traceback" not in log.read_text()


@pytest.mark.heavy
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("skew", sized((YEAR,), (YEAR,), (HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR)))
def test_a_server_with_another_date_moves_nothing_of_the_others(
    store: str, skew: int, tmp_path: Path, request: pytest.FixtureRequest, gates: Gates
) -> None:
    settings = gates.settings | url_for(store, request)
    gate = gates["slow"]
    with Server(tmp_path, **settings, runtime_run_timeout_ms="1000") as right:
        first = right.api.run("first", key="K")["runId"]
        with skewed(tmp_path, skew // 1_000, **settings, executor="off") as wrong:
            wrong.post("/directives", {"input": "wrong"})
            now = SystemClock().now()
            for _ in soon():  # the event of the other server is heard a moment after its answer
                if abs(right.api.get("/admin/health")["clockBehindLogMs"] - max(skew, 0)) < 60_000:
                    break
            assert right.api.get("/admin/health")["status"] == "ok"
            assert right.api.run("first", key="K")["runId"] == first
            run = right.api.start(gate.order, sessionId="slow")
            assert right.api.await_ending(run["runId"]) == "run.timed-out"
            record = right.api.get(f"/runs/{run['runId']}")
            assert iso(now - MINUTE) < record["createdAt"] < iso(now + 10 * MINUTE)
            right.api.post(
                "/schedules", {"id": "a", "sessionId": "s", "input": "slot", "everyMinutes": 1, "startNow": True}
            )
            for _ in soon():
                if [one["status"] for one in right.api.get("/schedules/a/logs")] == ["ok"]:
                    break
            wrong.post("/directives", {"input": "wrong again"}, key="other")
            for server in (wrong, right.api):
                assert server.run("first", key="K")["runId"] == first


@pytest.mark.heavy
def test_a_server_whose_date_jumps_goes_on_and_rests(tmp_path: Path) -> None:
    with skewed(tmp_path, 0) as api:
        api.post("/schedules", {"id": "a", "sessionId": "s", "input": "slot", "everyMinutes": 1})
        (tmp_path / "next").write_text("+31536000")
        (tmp_path / "next").replace(tmp_path / "date")  # libfaketime ends a process that finds half a date
        for _ in soon():
            health = api.get("/admin/health")
            if [one["loop"] for one in health["problems"]] == ["log.clock"]:
                break
        assert abs(health["clockAheadMs"] - YEAR) < HOUR
        assert api.run("during")["createdAt"] < iso(SystemClock().now() + HOUR)
        api.post("/schedules", {"id": "b", "sessionId": "b", "input": "slot", "everyMinutes": 1, "startNow": True})
        for _ in soon():
            if [one["status"] for one in api.get("/schedules/b/logs")] == ["ok"]:
                break
        assert api.get("/schedules/a/logs") == []
        cpu = [cpu_of(api)]
        subprocess.run(["sleep", "2"], check=True)
        cpu.append(cpu_of(api))
        assert cpu[1] - cpu[0] < 1, "the alarm of the schedules rings without a rest"
        assert "running instances" not in (tmp_path / "skewed.log").read_text(), "the alarm rang before its time"
        assert api.post("/admin/clock/accept")["aheadMs"] > YEAR - HOUR
        assert api.run("after", sessionId="after")["createdAt"] > iso(SystemClock().now() + YEAR - HOUR)


def cpu_of(api: Api) -> float:
    """Return the CPU seconds that a server has used."""
    page = api.http.get(api.url + "/metrics").text
    return float(next(line for line in page.splitlines() if line.startswith("process_cpu_seconds_total")).split()[1])


@pytest.mark.heavy
def test_a_server_that_was_stopped_for_a_while_sees_no_jump_and_ends_late_runs(tmp_path: Path, gates: Gates) -> None:
    gate = gates["stopped"]
    stopped = sized(2.0, 2.0, 60.0)
    with Server(tmp_path, **gates.settings, runtime_run_timeout_ms=str(int(stopped * 1_000))) as server:
        run = server.api.start(gate.order)
        gate.arrival()
        server.freeze()
        try:
            subprocess.run(["sleep", str(stopped)], check=True)  # the test waits for real time
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert server.api.await_ending(run["runId"]) == "run.timed-out"
        health = server.api.get("/admin/health")
        assert (health["clockAheadMs"], [one["loop"] for one in health["problems"]]) == (0, [])
        assert server.api.run("after", sessionId="after")["output"]
