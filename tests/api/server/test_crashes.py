"""Crashes over HTTP: a server that is killed or stopped loses no answer, no run and no place in a feed."""

from tests.conftest import Serve
from tests.support.api import opened, soon
from tests.support.gate import Gate, Gates, gone
from tests.support.server import Server

LONG = {"runtime_run_timeout_ms": "600000"}
"""A run's clock runs while its server is being started again."""


def killed(server: Server, gate: Gate) -> None:
    """Kill a server while a run of it is at a gate. Return once its model has ended too."""
    process = gate.arrival()
    server.kill()
    for _ in soon():
        if gone(process):
            break


def test_a_run_whose_server_was_killed_goes_on_at_the_next_one(serve: Serve, gates: Gates) -> None:
    server, gate = serve(**gates.settings, **LONG), gates["killed"]
    body = {"input": gate.order, "sessionId": "killed"}
    run = opened(server.api.send("/runs", body, key="killed", respond_async=True))
    waiting = server.api.start("after you", sessionId="killed")
    killed(server, gate)
    server.start()
    gate.arrival()
    gate.release()
    result = opened(server.api.send("/runs", body, key="killed"))
    assert (result["runId"], result["output"]) == (run["runId"], "released by killed")
    assert server.api.await_ending(waiting["runId"]) == "run.completed"
    first, second = server.api.events(runId=run["runId"], types="run.leased")
    assert second["payload"]["takenFrom"] == first["payload"]["executor"]
    assert (second["payload"]["because"], second["payload"]["attempt"]) == ("dead", 2)
    assert server.api.get(f"/runs/{run['runId']}")["attempt"] == 2


def test_a_server_that_leaves_takes_its_processes_along_and_its_runs_cost_no_attempt(
    serve: Serve, gates: Gates
) -> None:
    server, gate = serve(**gates.settings, **LONG), gates["left"]
    run = server.api.start(gate.order)
    for _ in range(4):
        process = gate.arrival()
        server.stop()
        assert gone(process)
        server.start()
    gate.arrival()
    gate.release()
    assert server.api.await_ending(run["runId"]) == "run.completed"
    leases = [event["payload"] for event in server.api.events(runId=run["runId"], types="run.leased")]
    assert [(lease["attempt"], lease.get("because")) for lease in leases] == [(1, None), *[(1, "left")] * 4]
