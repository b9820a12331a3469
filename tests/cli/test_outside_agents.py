"""Runs of outside agents at the command line: started in one step, followed, and shown afterwards."""

import re
from collections.abc import Iterator

import pytest

from tests.cli.screens import Screen
from tests.support.agent_model import Calls, shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.programs import BOXED

EDIT = Calls("edit", {"path": "out.txt", "text": "pears\n"})
OPTIONS = ("--model", "gpt-4o-mini", "--sandbox", "off")
ALLOW_ALL = [{"match": {}, "approval": "allow"}]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    agents = {"fake": (), "silent": ("never-asks",), "other": (), "boxed": ()}
    with agent_site(tmp_path_factory.mktemp("agents"), agents) as found:
        yield found


def athena(site: AgentSite, *arguments: str) -> str:
    """Run a command on a terminal. Return what it shows."""
    return Screen(site.server.url, 100, masked=False).show(list(arguments))


def shown(site: AgentSite, *arguments: str) -> str:
    """Run a command on a terminal, with ids and times that are always the same."""
    return Screen(site.server.url, 100).show(list(arguments))


def profiles(site: AgentSite, agent: str) -> list[Json]:
    """Return the profiles of an agent, newest first."""
    found = site.server.api.items("/harness-profiles")
    return [profile for profile in found if (profile.get("agent") or {}).get("name") == agent]


def test_a_run_needs_no_profile_and_streams(site: AgentSite) -> None:
    task = site.model.script("write about pears", EDIT, shell("cat out.txt"), "Done: out.txt.")
    started = athena(site, "run", "--agent", "fake", *OPTIONS, "--allow", "all", task)
    (profile,) = profiles(site, "fake")
    assert started.startswith(
        f"Created the profile fake (athena run) ({profile['id']}): openai gpt-4o-mini, sandbox off, budget $5.00\n"
        "Warning: without a sandbox, the agent and its tools can reach everything that the server's user can reach.\n"
        "user: write about pears\n"
    )
    assert "> edit out.txt\n  written\n    --- /dev/null\n    +++ out.txt\n    @@ -0,0 +1 @@\n    +pears\n" in started
    assert "> execute cat out.txt\n  pears\nDone: out.txt.\n[completed · run_" in started
    run_id = site.server.api.items("/runs")[0]["runId"]
    assert started.endswith(
        f"Look at its changes: athena runs diff {run_id}\nTake them over:      athena runs apply {run_id}\n[exit 0]\n"
    )
    again = athena(site, "run", "--agent", "fake", *OPTIONS, "--allow", "all", task)
    assert again.startswith(f"Profile fake (athena run) ({profile['id']}): ")
    assert profiles(site, "fake") == [profile]


def test_rights_that_were_given_once_are_not_given_again(site: AgentSite) -> None:
    task = site.model.script("write about plums", "Nothing to do.")
    run = ("run", "--agent", "silent", task)
    missing = athena(site, *run)
    assert "no model of openai is set for the agent silent" in missing
    assert "give --model NAME, or set `model` of agents.silent in the server's file of agents" in missing
    assert missing.endswith("[exit 2]\n")
    athena(site, *run, *OPTIONS, "--allow", "edit", "--allow", "execute")
    assert athena(site, *run).endswith("[exit 2]\n"), "the profile with these rights is not taken"
    (given,) = profiles(site, "silent")
    assert given["agent"]["permissions"] == [
        {"match": {"kind": kind}, "approval": "allow"} for kind in ("edit", "execute")
    ]
    own = site.profile("silent", permissions=ALLOW_ALL)
    assert f"Profile Outside agent ({own}): openai gpt-4o-mini, sandbox off, no budget\n" in athena(site, *run)
    assert len(profiles(site, "silent")) == 2
    assert f"({given['id']})" in athena(site, *run, *OPTIONS, "--allow", "edit", "--allow", "execute")


@BOXED
def test_by_default_the_agent_is_in_a_sandbox_and_may_only_look(site: AgentSite) -> None:
    task = site.model.script("look at quinces", "Seen.")
    started = athena(site, "run", "--agent", "boxed", "--model", "a-model-without-a-price", task)
    assert ", sandbox required, no budget\n" in started
    assert "Warning" not in started
    assert "Seen.\n[completed" in started
    (profile,) = profiles(site, "boxed")
    assert [rule["match"]["kind"] for rule in profile["agent"]["permissions"]] == ["read", "search", "think"]
    assert (profile["sandbox"], profile["workspace"]) == ({"mode": "required"}, "session")


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (
            ("--agent", "x\x1b"),
            "--agent: no agent 'x[U+001B]' is registered; give one of boxed, fake, other, silent",
            2,
        ),
        (("--agent", "fake", "--profile", "hp_1"), "--agent and --profile exclude each other", 2),
        (("--allow", "edit"), "--allow and --sandbox require --agent", 2),
        (("--agent", "fake", "--template", "t"), "--template can only be combined with --param and --session", 2),
        (("--agent", "fake", "--provider", "openai"), "--agent and --provider exclude each other", 2),
    ],
)
def test_what_cannot_be_run_is_refused(site: AgentSite, arguments: tuple[str, ...], says: str, code: int) -> None:
    before = len(site.server.api.items("/runs"))
    refused = athena(site, "run", "hello", *arguments)
    assert says in " ".join(refused.split())
    assert refused.endswith(f"[exit {code}]\n")
    assert len(site.server.api.items("/runs")) == before


def test_a_run_of_an_outside_agent_is_shown_like_any_run(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("show figs", EDIT, "Done.", profile=site.profile("silent"), sessionId="figs")
    assert api.await_ending(run_id) == "run.completed"
    assert "outside agent    silent" in shown(site, "runs", "get", run_id)
    assert re.sub(r"[\d.]+ tokens|\d:\d\d  ", "", shown(site, "logs", run_id)) == (
        "user: show figs\n"
        "> edit out.txt (not asked)\n"
        "  written\n    --- /dev/null\n    +++ out.txt\n    @@ -0,0 +1 @@\n    +pears\n"
        "Done.\n"
        "[completed · run_01000000000000000000000001 ·  · $0.000028 · 1.2 s]\n"
        "[exit 0]\n"
    )
    explained = shown(site, "explain", run_id)
    assert "  10:00:00  the agent silent (fake 1.0) opened a new session, in mode default\n" in explained
    assert "  10:00:00  the agent made a call of kind edit, without asking\n" in explained
    assert "  10:00:00  the agent wrote 5 characters\n" in explained
    events = shown(site, "events", "list", "--run", run_id)
    assert re.search(r"agent\.attached +figs +\d+ +silent · fake 1\.0 · new · default\n", events)
    assert re.search(r"tool\.called +figs +\d+ +edit · not asked\n", events)
    assert "call       edit out.txt (not asked)" in shown(site, "sessions", "transcript", "figs")


def test_a_profile_shows_its_agent_and_the_rules_of_its_calls(site: AgentSite) -> None:
    rules = [
        {"match": {"command": ["git", "push"]}, "approval": "ask"},
        {"match": {"kind": "read"}, "approval": "allow"},
        {"match": {}, "approval": "deny"},
    ]
    models = {"gpt-4o-mini": "gpt-4o-mini", "*": "gpt-4o-mini"}
    body: Json = {
        "displayName": "Strict",
        "version": "v1",
        "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["none"]},
        "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
        "sandbox": {"mode": "off"},
        "agent": {"name": "other", "mode": "default", "models": models, "permissions": rules},
    }
    found = shown(site, "profiles", "get", site.server.api.post("/harness-profiles", body)["id"])
    assert "outside agent    other\nmode             default\n" in found
    assert "models           gpt-4o-mini, * by gpt-4o-mini\nsandbox          off\nworkspace        session\n" in found
    assert re.search(r"git push +ask\n +calls of kind read +allow\n +all calls +deny\n", found), found
    assert re.search(r"OUTSIDE AGENT", shown(site, "profiles", "list"))


def test_an_ask_of_an_outside_agent_names_it_and_shows_the_exact_call(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("push it", shell("git push --force"), "Done.", profile=site.profile("other"))
    api.await_event("run.asked", runId=run_id)
    (ask,) = api.items("/asks", status="open")
    listed = shown(site, "agents", "list")
    assert "registered           4 agents\n" in listed
    assert re.search(r"other +yes +openai +default +exact\n", listed)
    assert re.search(r"other +0000\d+ +waits for an answer +[\d.]+ M?B", listed)
    inbox = shown(site, "asks", "list")
    assert re.search(r"other execute git pu.* Outside agent ", inbox), inbox
    found = shown(site, "asks", "get", ask["id"])
    assert "Call\n  Run a command, by the agent other:\n    │ git push --force\n" in found
    assert "(may the agent make a call of kind execute?)" in " ".join(shown(site, "explain", run_id).split())
    api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
    api.await_ending(run_id)
