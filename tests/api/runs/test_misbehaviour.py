"""Runs whose provider misbehaves: each reaches its one terminal state, and the server goes on as before."""

from collections.abc import Iterator

import pytest

from tests.support.api import ENDINGS
from tests.support.server import Server
from tests.support.stub import DIALECTS, MISBEHAVIOURS, misbehaving, settings_of, standing

ENDS = {"answer": "run.completed", "failure": "run.failed", "patience": "run.timed-out"}
PATIENT_MS = 1_000  # of a run whose provider never ends
LONG_MS = 100_000  # of a run that ends without it, however busy the machine is


@pytest.fixture(scope="module")
def misled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server all of whose providers misbehave as the name of the model selects."""
    with standing(misbehaving) as stub, Server(tmp_path_factory.mktemp("misled"), **settings_of(stub)) as server:
        yield server


@pytest.mark.heavy
@pytest.mark.parametrize("provider", DIALECTS)
def test_every_misbehaviour_leads_to_a_terminal_state(misled: Server, provider: str) -> None:
    api = misled.api
    runs = {}
    for how, row in MISBEHAVIOURS.items():
        timeout_ms = PATIENT_MS if row.outcome == "patience" else LONG_MS
        profile = api.post(
            "/harness-profiles",
            {
                "displayName": how,
                "version": "v1",
                "config": {"provider": provider, "model": how, "tools": ["none"]},
                "policies": {"timeoutMs": timeout_ms, "retryLimit": 2, "budgetUsd": 0},
            },
        )
        runs[how] = api.start(how, harnessProfileId=profile["id"])["runId"]
    ends = {how: api.await_ending(run_id) for how, run_id in runs.items()}
    assert ends == {how: ENDS[row.outcome] for how, row in MISBEHAVIOURS.items()}
    for run_id in runs.values():
        events = api.events(runId=run_id)
        assert sum(event["type"] in ENDINGS for event in events) == 1
        for event in events:
            if event["type"] == "usage.recorded":
                assert event["payload"]["unpriced"]
                assert all(count >= 0 for count in event["payload"]["usage"].values())
    assert api.items("/runs/active") == []
    assert api.run("still there")["output"] == "Echo: user: still there"
