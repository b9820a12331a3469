"""MCP servers that misbehave in runs: the call ends in an error that the model reads, and the run goes on."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.support.fake_mcp_http import fake_mcp_http
from tests.support.mcp_servers import fake_server
from tests.support.mcp_site import McpSite, mcp_site
from tests.support.model import call

SHORT = {"startTimeoutMs": 1_500, "callTimeoutMs": 1_500}
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[McpSite]:
    with ExitStack() as stack:
        servers: dict[str, dict[str, object]] = {}
        for name, bad in BAD.items():
            if bad.http:
                fake = stack.enter_context(fake_mcp_http(*bad.switches))
                servers[name] = {"url": fake.url, "private": True, **bad.limits}
            else:
                servers[name] = fake_server(*bad.switches, **bad.limits)
        directory = tmp_path_factory.mktemp("misbehaviour")
        yield stack.enter_context(mcp_site(directory, servers, **shared_store))


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
