"""One text over HTTP: what a person is shown is what the agent does, and a hidden part is opened first."""

import pytest

from tests.support.agent_model import shell
from tests.support.api import Json, Refused
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, site_of_module

MARKED = "echo seen -----BEGIN PRIVATE KEY-----; echo here > out.txt; : -----END PRIVATE KEY-----"
IN_URL = "echo https://a:$(echo here > out.txt)@host"
TOKEN = f"ghp_{'a1' * 18}"
HIDING = f"echo {TOKEN} > out.txt"


site = site_of_module({"fake": (), "forgets": ("forgets",)})


def asked_of(site: AgentSite, run_id: str) -> Json:
    """Return the only ask of a run, once it is there."""
    site.server.api.await_event("run.asked", runId=run_id)
    (ask,) = site.server.api.items("/asks", runId=run_id)
    return ask


@pytest.mark.parametrize(("name", "command"), [("a key", MARKED), ("a password", IN_URL)])
def test_an_agent_hides_no_command_between_marks(site: AgentSite, name: str, command: str) -> None:
    run_id = site.start(f"pretends {name}", shell(command), "Done.", profile=site.profile())
    ask = asked_of(site, run_id)
    assert command in ask["arguments"].replace('\\"', '"')
    assert "hidden" not in ask
    answer(site.server.api, run_id, "deny")
    site.server.api.await_ending(run_id)


def test_a_permission_covers_no_other_hidden_command(site: AgentSite) -> None:
    api, profile, session = site.server.api, site.profile(), "covers"
    first = site.start("is remembered", shell(MARKED), "Done.", profile=profile, sessionId=session)
    asked_of(site, first)
    answer(api, first, remember="session")
    assert api.await_ending(first) == "run.completed"
    assert (site.files(first) / "out.txt").read_text() == "here\n"
    other = shell(MARKED.replace("echo here", "echo elsewhere"))
    second = site.start("is another", other, "Done.", profile=profile, sessionId=session)
    assert asked_of(site, second)["status"] == "open"
    answer(api, second, "deny")
    api.await_ending(second)


def test_a_hidden_part_is_allowed_once_by_who_opened_it(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("hides a token", shell(HIDING), "Done.", profile=site.profile())
    ask = asked_of(site, run_id)
    (hidden,) = ask["hidden"]
    assert TOKEN not in str(ask)
    assert f"[hidden: 40 characters, sha256 {hidden['sha256'][:12]}]" in ask["arguments"]
    with pytest.raises(Refused, match="EXACT_NOT_OPENED") as refused:
        answer(api, run_id)
    assert f"/asks/{ask['id']}?exact=true" in str(refused.value)
    with pytest.raises(Refused, match="remember: .* can only be allowed once"):
        answer(api, run_id, remember="session")
    for _ in range(2):
        opened = api.get(f"/asks/{ask['id']}", exact="true")
        assert HIDING in opened["exact"]
        assert opened["subjectHash"] == ask["subjectHash"]
    (opening,) = site.payloads(run_id, "run.ask.opened")
    assert (opening["askId"], opening["subjectSha256"]) == (ask["id"], ask["subjectHash"])
    with pytest.raises(Refused, match="remember"):
        answer(api, run_id, remember="session")
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "out.txt").read_text() == f"{TOKEN}\n"
    trail = [entry for entry in api.items("/governance/audit-trail") if "opened" in entry.get("details", {})]
    assert [entry["details"]["askId"] for entry in trail] == [ask["id"]]
    assert "exact" not in api.get(f"/asks/{ask['id']}")
