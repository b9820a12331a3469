"""The agents of a server: their names, profiles and limits that name them, and the reload of their file on SIGHUP."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.agent_model import Hangs
from tests.support.api import Json, soon
from tests.support.outside_agents import AgentSite, agent_site, agents_file


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("agents"), {"fake": (), "other": ()}) as found:
        yield found


def limit(key: str | None) -> Json:
    limits = [{"scope": "agent", "max": 1, "strategy": "enqueue"} | ({"key": key} if key else {})]
    return {"schemaVersion": 1, "limits": limits}


def fault(site: AgentSite, method: str, path: str, body: Json) -> Json:
    """Return the only fault of a refused request."""
    refused = site.server.api.send(path, body, method=method)
    assert refused.status_code == 400, refused.text
    (found,) = refused.json()["error"]["details"]
    return dict(found)


def test_profiles_and_limits_name_registered_agents(site: AgentSite) -> None:
    api = site.server.api
    assert api.get("/capabilities")["agents"] == ["fake", "other"]
    stored = api.get(f"/harness-profiles/{site.profile(sandbox=None)}")
    assert (stored["agent"], stored["sandbox"], stored["workspace"]) == (
        {"name": "fake"},
        {"mode": "required"},
        "session",
    )
    unknown: Json = {key: stored[key] for key in ("displayName", "version", "config", "policies")}
    unknown["agent"] = {"name": "absent"}
    assert fault(site, "POST", "/harness-profiles", unknown) == {
        "field": "agent.name",
        "reason": "no agent 'absent' is registered",
        "remedy": "use one of fake, other",
    }
    assert fault(site, "PUT", "/policy", limit("absent"))["field"] == "limits[0].key"


@pytest.mark.heavy
def test_a_run_over_the_limit_of_its_agent_waits_and_knows_why(site: AgentSite) -> None:
    api = site.server.api
    api.put("/policy", limit("fake"))
    profile = site.profile()
    holder = site.start("holds the place", Hangs("Begun."), profile=profile)
    waiting = site.start("waits for the place", "Done.", profile=profile)
    free = site.start("is of another agent", "Done.", profile=site.profile("other"))
    assert api.await_ending(free) == "run.completed"
    explained = api.get(f"/runs/{waiting}/explain")["waitsFor"]
    assert (explained["reason"], explained["blockedBy"]) == ("key-limit", holder)
    assert explained["says"] == "its turn: 1 of 1 runs of agent fake are active"
    api.post(f"/run-control/by-run/{holder}/cancel")
    assert api.await_ending(holder) == "run.cancelled"
    assert api.await_ending(waiting) == "run.completed"


@pytest.mark.heavy
def test_the_file_is_read_again_on_sighup_and_the_old_one_stays_if_it_is_bad(site: AgentSite) -> None:
    server = site.server
    path = agents_file(server.state_dir.parent, {"fake": (), "other": (), "new": ()})
    server.signal(signal.SIGHUP)
    for _ in soon():
        if server.api.get("/capabilities")["agents"] == ["fake", "new", "other"]:
            break
    path.write_text("[agents")
    server.signal(signal.SIGHUP)
    for _ in soon():
        (process,) = server.api.get("/workers")["items"]
        if process["problems"]:
            break
    (problem,) = process["problems"]
    assert f"ATHENA_AGENTS: {path}: not valid TOML" in problem["message"]
    assert server.api.get("/capabilities")["agents"] == ["fake", "new", "other"]
