"""Tests of workers: processes that execute what servers admit, on files and on PostgreSQL."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from athena_core.log.postgres.executor_registry import EXECUTOR_LOCK_CLASS
from tests.conftest import Serve
from tests.support.api import Api, Json, soon
from tests.support.gate import Gates, gone
from tests.support.worker import Worker

END_ATTENDANCE = f"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND classid = {EXECUTOR_LOCK_CLASS}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objid = (SELECT number FROM athena.executor WHERE name = %s)::oid
"""


class Hire(Protocol):
    """Starts a worker that ends with the test."""

    def __call__(self, *words: str, **settings: str) -> Worker:
        """With flags and settings."""


@pytest.fixture
def settings(gates: Gates, store: dict[str, str]) -> dict[str, str]:
    return {**gates.settings, **store, "runtime_run_timeout_ms": "600000"}


@pytest.fixture
def api(settings: dict[str, str], serve: Serve, tmp_path: Path) -> Api:
    """A server that executes nothing."""
    return serve(tmp_path / "plane", executor="off", **settings).api


@pytest.fixture
def hire(api: Api, tmp_path: Path, settings: dict[str, str]) -> Iterator[Hire]:
    """Workers beside the server."""
    with ExitStack() as stack:

        def start(*words: str, **more: str) -> Worker:
            return stack.enter_context(Worker(tmp_path / "plane", *words, **settings, **more))

        yield start


def leases(api: Api, run_id: str) -> list[Json]:
    return [event["payload"] for event in api.events(runId=run_id, types="run.leased")]


def by_id(api: Api) -> dict[str, Any]:
    return {one["id"]: one for one in api.get("/workers")["items"]}


def most_at_once(events: list[Json]) -> int:
    """Return the largest number of runs that were leased at the same time."""
    at_work: set[str] = set()
    most = 0
    for event in events:
        (at_work.add if event["type"] == "run.leased" else at_work.discard)(event["runId"])
        most = max(most, len(at_work))
    return most


def test_runs_that_no_executor_can_take_say_so_on_their_record_and_in_the_fleet(api: Api, hire: Hire) -> None:
    first, second = api.start("one"), api.start("two")
    assert (first["status"], first["waiting"]) == ("running", {"reason": "executor", "position": 1})
    listed = [(run["runId"], run["waiting"]) for run in api.items("/runs", status="running")]
    assert listed == [(run["runId"], run["waiting"]) for run in (second, first)]
    assert second["waiting"] == {"reason": "executor", "position": 2}
    fleet = api.get("/fleet/summary")
    assert (fleet["running"], fleet["queue"]["withoutExecutor"]) == (2, 2)
    hire()
    for run in (first, second):
        assert api.await_ending(run["runId"]) == "run.completed"
        assert "waiting" not in api.get(f"/runs/{run['runId']}")
    assert api.get("/fleet/summary")["queue"]["withoutExecutor"] == 0


def test_a_worker_takes_its_number_of_runs_oldest_first(api: Api, hire: Hire, gates: Gates) -> None:
    gate = gates["room"]
    runs = [str(api.start(gate.order)["runId"]) for _ in range(5)]
    worker = hire("--concurrency", "2")
    for _ in range(2):
        gate.arrival()
    (shown,) = [one for one in by_id(api).values() if one["kind"] == "worker"]
    assert (shown["id"], shown["pid"], shown["concurrency"]) == (worker.told["id"], worker.pid, 2)
    assert (shown["running"], shown["status"]) == (2, "alive")
    assert "local-exec" in shown["providers"]
    (server,) = [one for one in by_id(api).values() if one["kind"] == "server"]
    assert (server["concurrency"], server["running"]) == (0, 0)
    gate.release(5)
    assert {api.await_ending(run_id) for run_id in runs} == {"run.completed"}
    events = api.events(types="run.leased,run.completed")
    assert most_at_once(events) == 2
    assert [event["runId"] for event in events if event["type"] == "run.leased"] == runs
    assert api.run("and now?")["output"].endswith("said: and now?")


def test_a_worker_that_stops_finishes_its_runs_and_takes_no_more(api: Api, hire: Hire, gates: Gates) -> None:
    gate, worker = gates["end"], hire()
    run_id = str(api.start(gate.order)["runId"])
    gate.arrival()
    worker.signal(signal.SIGTERM)
    for _ in soon():
        if "Stopping after the current runs (1)" in worker.log_path.read_text():
            break
    late = str(api.start("too late")["runId"])
    gate.release()
    assert worker.wait() == 0
    assert api.types(runId=run_id)[-1] == "run.completed"
    assert leases(api, late) == []
    assert worker.told["id"] not in by_id(api)
    hire()
    assert api.await_ending(late) == "run.completed"


@pytest.mark.parametrize("hurried", [True, False])
def test_what_a_worker_cannot_end_in_time_goes_on_elsewhere(hurried: bool, api: Api, hire: Hire, gates: Gates) -> None:
    gate = gates["left"]
    leaving = hire(worker_drain_ms="600000" if hurried else "1")
    run_id = str(api.start(gate.order)["runId"])
    process = gate.arrival()
    staying = hire()
    leaving.signal(signal.SIGTERM)
    if hurried:
        for _ in soon():
            if "Stopping after" in leaving.log_path.read_text():
                break
        leaving.signal(signal.SIGINT)
    assert leaving.wait() == 0
    gate.arrival()
    assert gone(process)
    gate.release()
    assert api.await_ending(run_id) == "run.completed"
    (first, second) = leases(api, run_id)
    assert first["executor"] == leaving.told["id"]
    assert (second["executor"], second["because"], second["attempt"]) == (staying.told["id"], "left", 1)


def test_the_runs_of_a_worker_that_was_killed_go_on_elsewhere(api: Api, hire: Hire, gates: Gates) -> None:
    gate, dying = gates["killed"], hire()
    run_id = str(api.start(gate.order)["runId"])
    gate.arrival()
    staying = hire("--concurrency", "1")
    dying.kill()
    gate.arrival()
    gate.release(2)  # also the model of the worker that was killed stands there
    assert api.await_ending(run_id) == "run.completed"
    taken = leases(api, run_id)[1]
    assert (taken["executor"], taken["because"], taken["attempt"]) == (staying.told["id"], "dead", 2)


def test_a_worker_whose_session_was_ended_and_who_was_forgotten_attends_again(
    database: str, serve: Serve, tmp_path: Path, gates: Gates
) -> None:
    settings = {**gates.settings, "database_url": database}
    api = serve(tmp_path / "plane", executor="off", **settings).api
    with Worker(tmp_path / "plane", **settings) as worker:
        name = worker.told["id"]
        with psycopg.connect(database) as session:
            assert session.execute(END_ATTENDANCE, (name,)).rowcount == 1
            session.execute("DELETE FROM athena.executor WHERE name = %s", (name,))  # unless the server was faster
        for _ in soon():
            shown = by_id(api).get(name)
            if shown is not None and shown["status"] == "alive":
                break
        assert api.run("hello")["output"].endswith("said: hello")


def test_what_a_model_writes_at_a_worker_is_shown_by_a_server_as_it_writes(
    database: str, serve: Serve, tmp_path: Path, gates: Gates
) -> None:
    settings = {**gates.settings, "database_url": database}
    api = serve(tmp_path / "plane", executor="off", **settings).api
    gate = gates["words"]
    with (
        Worker(tmp_path / "plane", **settings),
        api.stream("/sessions/one/transcript/stream") as blocks,
    ):
        run_id = api.start("tell words Hello there friend", sessionId="one")["runId"]
        shown: dict[int, str] = {}
        for frame in blocks:
            if frame.event == "transcript.delta":
                told = frame.data["data"]
                assert (told["runId"], told["turn"]) == (run_id, 1)
                shown[told["offset"]] = told["text"]
                gate.release()
            elif frame.event == "transcript.entry" and frame.data["data"]["role"] == "assistant":
                assert frame.data["data"]["content"] == "Hello there friend "
                break
    assert shown == {0: "Hello ", 6: "there ", 12: "friend "}
