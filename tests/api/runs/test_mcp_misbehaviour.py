"""MCP servers that misbehave at a check or list odd things, which end in a named error or cannot act."""

import json
import re
from collections.abc import Iterator

import pytest

from athena_core.mcp.client.listing import TOOLS_MAX
from athena_core.text import HIDDEN
from tests.support.api import refused_by, soon
from tests.support.fake_mcp_http import fake_mcp_http
from tests.support.mcp_servers import fake_server, processes
from tests.support.mcp_site import McpSite, mcp_site
from tests.support.model import call

SHORT = {"startTimeoutMs": 1_500, "callTimeoutMs": 1_500}
MARK = "a-family-of-processes"


SERVERS = {
    "silent-start": fake_server("silence=start", **SHORT),
    "silent-list": fake_server("silence=list", **SHORT),
    "crash-start": fake_server("exit=start"),
    "many": fake_server("many-tools", "giant-schema", "giant-description", "duplicate", "bad-schema", "deep-schema"),
    "words": fake_server("injection", "odd-names", "alike-names", "own-names"),
    "endless": fake_server("endless-pages"),
    "restless": fake_server("restless"),
    "family": fake_server("stays", f"children=sleep 1000; : {MARK}"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[McpSite]:
    with fake_mcp_http("key=secret") as fake:
        servers = SERVERS | {"no-key": {"url": fake.url, "private": True}}
        with mcp_site(tmp_path_factory.mktemp("misbehaviour"), servers, **shared_store) as found:
            yield found


@pytest.mark.parametrize("name", ["silent-start", "silent-list", "crash-start", "no-key"])
def test_the_check_of_an_operator_ends_in_a_named_error(site: McpSite, name: str) -> None:
    assert refused_by(site.server.api.post, f"/mcp-servers/{name}/check") == (502, "MCP_SERVER_FAILED")


def test_what_a_server_lists_is_bounded_and_cannot_act(site: McpSite) -> None:
    for name in ("many", "words", "endless"):
        found = site.server.api.post(f"/mcp-servers/{name}/check")
        assert 0 < len(found["tools"]) <= TOOLS_MAX
        public = [tool["publicName"] for tool in found["tools"]]
        assert len(set(public)) == len(public)
        assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", one) and one.startswith(f"{name}__") for one in public)
        assert not HIDDEN.search(json.dumps(found, ensure_ascii=False))
        profile = site.profile(name, policy={"tools": ["*"], "approval": "deny"})
        run_id = site.start(f"list-{name}", "Done.", profile=profile)
        assert site.server.api.await_ending(run_id) == "run.completed"
        (request,) = site.model.requests[f"list-{name}"]
        offered = [tool["function"]["name"] for tool in request["tools"]]
        assert sorted(offered) == sorted([*public, "files"])
        assert len(json.dumps(request)) < 3 << 20


def test_a_server_that_is_never_the_same_is_refused_and_explained(site: McpSite) -> None:
    profile = site.profile("restless")
    for number in range(3):
        run_id = site.start(f"restless-{number}", call("restless__echo", text="hi"), "Done.", profile=profile)
        assert site.server.api.await_ending(run_id) == "run.completed"
    first, *others = (site.results(f"restless-{number}")[0] for number in range(3))
    assert first["content"] == "hi"
    assert all("athena mcp-servers accept" in result["content"] for result in others)
    assert [one["refused"] for one in site.payloads(run_id, "tool.called")] == ["changed-tool"]
    says = [cause["says"] for cause in site.server.api.get(f"/runs/{run_id}/explain")["causes"]]
    assert any("restless__echo" in one and "accepted" in one for one in says), says


def test_no_process_of_a_server_outlives_its_run(site: McpSite) -> None:
    run_id = site.start("family", call("family__echo", text="hi"), "Done.", profile=site.profile("family"))
    assert site.server.api.await_ending(run_id) == "run.completed"
    for _ in soon():
        if not processes(MARK):
            break
