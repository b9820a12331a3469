"""Secrets that MCP servers get and repeat: no model, no reader and no file of the state gets them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.support.api import Refused
from tests.support.fake_mcp_http import FakeMcpHttp, fake_mcp_http
from tests.support.keyed_api import credentials_file
from tests.support.mcp_servers import fake_server
from tests.support.mcp_site import McpSite, mcp_site
from tests.support.model import call
from tests.support.traces import spellings, traces

OF_PROGRAM, OF_URL = "canary-of-a-program-4711", "canary-of-a-url-4712"
SERVERS = {
    "program": fake_server("secret=TOKEN", credentials={"TOKEN": "program"}),
    "tells": fake_server("tells-secret=TOKEN", credentials={"TOKEN": "program"}),
    **{
        f"speaks{before}": fake_server(
            "era=legacy", f"version={'x' * before}{OF_PROGRAM}", credentials={"TOKEN": "program"}
        )
        for before in (0, 290)
    },
}


class Plant(NamedTuple):
    """The site and its server behind a URL."""

    site: McpSite
    fake: FakeMcpHttp


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Plant]:
    directory = tmp_path_factory.mktemp("secrets")
    with ExitStack() as stack:
        fake = stack.enter_context(fake_mcp_http(f"key={OF_URL}", "secret=NONE"))
        vault = directory / "vault"
        vault.mkdir()
        private = {"private": True, "hosts": [fake.url.partition("://")[2].partition("/")[0]]}
        credentials = credentials_file(
            vault,
            program={"secret": OF_PROGRAM, "header": "Authorization: Bearer {secret}", "hosts": ["example.org"]},
            url={"secret": OF_URL, "header": "Authorization: Bearer {secret}", **private},
        )
        servers = {**SERVERS, "url": {"url": fake.url, "private": True, "credential": "url"}}
        settings = {"credentials_file": str(credentials), **shared_store}
        site = stack.enter_context(mcp_site(directory, servers, **settings))
        yield Plant(site, fake)


def told(text: str) -> list[str]:
    """Return the secrets of which a text has a spelling."""
    data = text.encode(errors="replace")
    return [one for one in (OF_PROGRAM, OF_URL) if any(spelling in data for spelling in spellings(one))]


@pytest.mark.parametrize("name", ["program", "tells", "url"])
def test_a_secret_that_a_server_repeats_is_masked_everywhere(plant: Plant, name: str) -> None:
    site, api = plant.site, plant.site.server.api
    turns = (call(f"{name}__echo", text="hi", evidence="kept"), call(f"{name}__environment", name="TOKEN"), "Done.")
    run_id = site.start(f"{name}-secret", *turns, profile=site.profile(name))
    assert api.await_ending(run_id) == "run.completed"
    first, second = site.results(f"{name}-secret")
    assert "hi" in first["content"]
    assert not second.get("isError")
    assert not told(str(site.model.requests[f"{name}-secret"]))
    details = api.post(f"/mcp-servers/{name}/check")
    assert details["tools"]
    for read in (
        details,
        api.get("/mcp-servers"),
        api.items(f"/sessions/{name}-secret/transcript"),
        api.events(),
        api.get(f"/runs/{run_id}/explain"),
        api.get(f"/runs/{run_id}"),
        api.items("/governance/audit-trail"),
    ):
        assert not told(str(read))
    assert not traces(site.server.state_dir, OF_PROGRAM, OF_URL)
    assert not told((site.server.directory / "server.log").read_text())


@pytest.mark.parametrize("name", ["speaks0", "speaks290"])
def test_a_check_shows_no_part_of_a_secret_that_a_server_sends_as_its_version(plant: Plant, name: str) -> None:
    with pytest.raises(Refused, match="It speaks") as refused:
        plant.site.server.api.post(f"/mcp-servers/{name}/check")
    said = str(refused.value)
    assert not [at for at in range(len(OF_PROGRAM) - 7) if OF_PROGRAM[at : at + 8] in said]


def test_a_credential_goes_to_its_server_only(plant: Plant) -> None:
    carried = {asked.headers.get("authorization") for asked in plant.fake.asked}
    assert carried == {f"Bearer {OF_URL}"}
