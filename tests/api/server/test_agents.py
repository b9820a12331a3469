"""The agents of a server: their names, profiles and limits that name them, and the reload of their file on SIGHUP."""

import re
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


def test_registered_agents_are_listed(site: AgentSite) -> None:
    api = site.server.api
    listed = api.get("/agents")
    assert [one["name"] for one in listed["agents"]] == ["fake", "other"]
    assert listed["agents"][0] == {
        **{"name": "fake", "wire": "openai-chat", "provider": "openai", "resume": "exact"},
        **{"installed": True, "mode": "default"},
    }
    assert (listed["live"], listed["memoryBytes"], "memoryBytesMax" in listed) == ([], 0, False)
    assert api.get("/workers")["items"][0]["agents"] == ["fake", "other"]


@pytest.mark.heavy
def test_living_agents_are_listed_and_measured(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("lives on", Hangs("Begun."), profile=site.profile())
    for _ in soon():
        found = api.get("/agents")
        if found["memoryBytes"]:
            break
    (live,) = found["live"]
    assert (live["agent"], live["runId"], live["waiting"]) == ("fake", run_id, False)
    assert live["memoryBytes"] == found["memoryBytes"] > 5 << 20
    shown = api.http.get(site.server.url + "/metrics").text
    assert 'athena_agents_live{agent="fake"} 1\n' in shown and 'athena_agents_live{agent="other"} 0\n' in shown
    (size,) = re.findall(r'athena_agents_memory_bytes\{agent="fake"\} ([0-9]+)', shown)
    assert int(size) > 5 << 20
    api.post(f"/run-control/by-run/{run_id}/cancel")
    assert api.await_ending(run_id) == "run.cancelled"
    assert api.get("/agents")["live"] == []


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
