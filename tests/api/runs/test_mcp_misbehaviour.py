"""MCP servers that misbehave in runs: the call ends in an error that the model reads, and the run goes on."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

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
LONG = {"startTimeoutMs": 30_000, "callTimeoutMs": 30_000}


class BadServer(NamedTuple):
    """A server: its switches, and a word of the sentence that its call ends in."""

    switches: tuple[str, ...]
    says: str
    limits: dict[str, int] = LONG
    http: bool = False


BAD = {
    "silence": BadServer(("silence",), "within", SHORT),
    "silent-start": BadServer(("silence=start",), "within", SHORT),
    "silent-list": BadServer(("silence=list",), "within", SHORT),
    "flood": BadServer(("endless-flood",), "", SHORT),
    "huge-line": BadServer(("huge-line",), "bytes"),
    "wrong-id": BadServer(("wrong-id",), "never sent"),
    "late": BadServer(("late", "seconds=3"), "within", SHORT),
    "crash": BadServer(("crash",), "ended"),
    "crash-start": BadServer(("exit=start",), "ended"),
    "error": BadServer(("error",), "it broke"),
    "bad-json": BadServer(("bad-json",), "JSON"),
    "bad-utf8": BadServer(("bad-utf8",), ""),
    "deep-json": BadServer(("deep-json",), "JSON"),
    "bad-result": BadServer(("bad-result",), "shape"),
    "drip": BadServer(("drip",), "", SHORT),
    "is-error": BadServer(("is-error",), "hi"),
    "redirect": BadServer(("redirect",), "redirect", http=True),
    "endless-sse": BadServer(("endless-sse",), "within", SHORT, http=True),
    "bad-status": BadServer(("status",), "500", http=True),
    "no-key": BadServer(("key=secret",), "access", http=True),
    "gzip-bomb": BadServer(("gzip-bomb",), "compressed", http=True),
    "bad-http": BadServer(("bad-http",), "connection", http=True),
}


LISTS = {
    "many": fake_server("many-tools", "giant-schema", "giant-description", "duplicate", "bad-schema", "deep-schema"),
    "words": fake_server("injection", "odd-names", "alike-names", "own-names"),
    "endless": fake_server("endless-pages"),
    "restless": fake_server("restless"),
    "family": fake_server("stays", f"children=sleep 1000; : {MARK}"),
}
"""Servers that list odd things, and one whose processes stay."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[McpSite]:
    with ExitStack() as stack:
        servers = dict(LISTS)
        for name, bad in BAD.items():
            if bad.http:
                fake = stack.enter_context(fake_mcp_http(*bad.switches))
                servers[name] = {"url": fake.url, "private": True, **bad.limits}
            else:
                servers[name] = fake_server(*bad.switches, **bad.limits)
        directory = tmp_path_factory.mktemp("misbehaviour")
        yield stack.enter_context(mcp_site(directory, servers, **shared_store))


@pytest.mark.heavy
def test_each_misbehaviour_is_an_error_of_the_tool_and_the_run_goes_on(site: McpSite) -> None:
    runs = {}
    for name in BAD:
        profile = site.profile(name)
        runs[name] = site.start(name, call(f"{name}__echo", text="hi"), f"It failed: {name}.", profile=profile)
    for name, run_id in runs.items():
        assert site.server.api.await_ending(run_id) == "run.completed", (name, site.server.api.get(f"/runs/{run_id}"))
        (result,) = site.results(name)
        assert result["isError"], (name, result)
        assert BAD[name].says in result["content"], (name, result["content"])
        assert site.server.api.get(f"/runs/{run_id}")["output"] == f"It failed: {name}."


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
