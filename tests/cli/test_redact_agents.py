"""Redaction of runs of outside agents: no file holds what the agent, its model and its person wrote."""

import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.support.agent_model import Calls, Refuses, shell
from tests.support.api import soon
from tests.support.outside_agents import AgentSite, DirectedAgentModel, agents_file
from tests.support.stub import standing
from tests.support.traces import traces

pytestmark = pytest.mark.heavy

CANARY = "canary-77a3"


def play(site: AgentSite, number: int) -> None:
    """Run an agent, with text in every place that an agent, its model or a person can fill."""
    api, words = site.server.api, f"{CANARY}-{number}"
    refused = Refuses(400, {"error": {"message": f"{words}-refusal", "type": "invalid_request_error"}})
    edits = [Calls("edit", {"path": f"{words}-path.txt", "text": f"{words}-text {n}\n"}) for n in range(2)]
    command = shell(
        f"echo {words}-command > made.txt; echo {words}-output; echo {words}-home > $HOME/note; "
        f"mkdir $HOME/closed; cp made.txt $HOME/closed; chmod 000 $HOME/closed; echo {words}-errors >&2"
    )
    profile = site.profile(permissions=({"match": {"kind": "execute"}, "approval": "allow"},))
    last = refused if number else f"{words}-last"
    run_id = site.start(f"{words}-input", command, *edits, last, profile=profile, sessionId=f"s{number}")
    for count, option in enumerate(("deny", "allow"), 1):
        for _ in soon():
            asks = site.payloads(run_id, "run.asked")
            if len(asks) == count:
                break
        body = {"subjectHash": asks[-1]["subjectSha256"], "optionId": option, "note": f"{words}-note"}
        api.post(f"/asks/{asks[-1]['askId']}/answer", body)
    assert api.await_ending(run_id) == ("run.failed" if number else "run.completed")


def test_no_file_holds_what_an_agent_did_once_its_session_is_erased(terminal: Terminal, here: Here) -> None:
    model = DirectedAgentModel()
    agents = agents_file(terminal.directory, {"fake": ("complains=100",)})
    with (
        standing(model.choose) as stub,
        terminal.served(openai_base_url=stub.url, agents=str(agents)) as server,
    ):
        site = AgentSite(server, model)
        for number in range(2):
            play(site, number)
        homes = [path.name for path in (terminal.state_dir / "agents").iterdir()]
        assert len(homes) == 2
        assert traces(terminal.state_dir, CANARY)
        for number in range(2):
            done = here("redact", "--session", f"s{number}", "--reason", "asked to forget")
            assert done.code == 0, done.err
        assert traces(terminal.state_dir, CANARY) == []
        assert list((terminal.state_dir / "agents").iterdir()) == []
        assert CANARY not in str(server.api.events())
        later = site.start("goes on", "Done.", profile=site.profile(), sessionId="s0")
        assert server.api.await_ending(later) == "run.completed"
        assert CANARY not in str(model.asked[-1].body)
    assert here("verify").code == 0
