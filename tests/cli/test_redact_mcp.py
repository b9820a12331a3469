"""Redaction of calls of MCP servers, and of what servers list: no file holds the words of either side."""

import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.support.api import soon
from tests.support.directed import directed
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.mcp_site import McpSite
from tests.support.model import call
from tests.support.traces import traces

pytestmark = pytest.mark.heavy

CANARY = "canary-5e20"


def play(site: McpSite) -> None:
    """Call tools, with words in every place that a model, a server or a person can fill."""
    api = site.server.api
    turns = (
        call("fake__echo", text=f"{CANARY}-text", evidence=f"{CANARY}-label"),
        call("fake__ask", question=f"{CANARY}-question"),
        call(f"fake__{CANARY}-tool", a=f"{CANARY}-unknown"),
        call("fake__fail"),
        f"{CANARY}-output",
    )
    profile = site.profile("fake", policy={"tools": ["*"]})
    said = site.model.script(f"{CANARY}-input", *turns)
    run_id = api.start(said, harnessProfileId=profile, sessionId="erased")["runId"]
    for count in range(1, 5):
        for _ in soon():
            asks = site.payloads(run_id, "run.asked")
            if len(asks) == count:
                break
        body = {"subjectHash": asks[-1]["subjectSha256"], "note": f"{CANARY}-note"}
        form = asks[-1]["kind"] == "question"
        body |= {"values": {"color": "red", "note": f"{CANARY}-value"}} if form else {"optionId": "allow"}
        if count == 1:
            body["editedArguments"] = {"text": f"{CANARY}-edited", "evidence": f"{CANARY}-other"}
        api.post(f"/asks/{asks[-1]['askId']}/answer", body)
    assert api.await_ending(run_id) == "run.completed"


def test_no_file_holds_the_words_of_a_server_or_of_its_calls_once_they_are_erased(
    terminal: Terminal, here: Here
) -> None:
    switches = terminal.directory / "switches"
    fake = fake_server(f"says={CANARY}-description", f"control={switches}")
    file = mcp_servers_file(terminal.directory, {"fake": fake})
    with directed() as model, terminal.served(openai_base_url=model.url, mcp_servers=str(file)) as server:
        site, api = McpSite(server, model), server.api
        play(site)
        switches.write_text("changed\n")
        accepted = {
            "listingSha256": api.post("/mcp-servers/fake/check")["listingSha256"],
            "note": f"{CANARY}-acceptance",
        }
        api.post("/mcp-servers/fake/accept", accepted)
        assert traces(terminal.state_dir, CANARY)
        done = here("redact", "--session", "erased", "--reason", "asked to forget")
        types = enumerate(api.types(), 1)
        positions = [position for position, type in types if type in {"mcp-server.listed", "mcp-server.accepted"}]
        assert len(positions) == 3
        for position in positions:
            done = here("redact", "--position", str(position), "--reason", "asked to forget")
        assert done.code == 0, done.out + done.err
        assert CANARY not in str([api.get("/mcp-servers/fake"), api.get("/mcp-servers")])
        assert traces(terminal.state_dir, CANARY) == []
        later = site.start("goes-on", call("fake__echo", text="hi"), "Done.", profile=site.profile("fake"))
        assert api.await_ending(later) == "run.completed"
        assert site.results("goes-on")
    assert here("verify").code == 0
