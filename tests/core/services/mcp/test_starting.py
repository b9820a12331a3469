"""The secrets of MCP servers: where they go, and where they never go."""

import os
from pathlib import Path
from typing import Any

import pytest

from athena_core.credentials.credentials import Credentials
from athena_core.mask import Mask
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.listing import Listing
from athena_core.mcp.client.messages import ServerInfo
from athena_core.mcp.listed_tool import McpTool
from athena_core.mcp.servers import McpServer
from athena_core.services.mcp.starting import McpStarter, UrlAccess
from tests.support.mcp_servers import fake_command

SECRET = "correct-horse-battery-staple"
PUBLIC, NEAR = "93.184.216.34", "10.0.0.7"


@pytest.fixture
def mask() -> Mask:
    return Mask()


@pytest.fixture
def credentials(tmp_path: Path, mask: Mask) -> Credentials:
    secret, path = tmp_path / "secret", tmp_path / "credentials.toml"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    entry = (
        '[credentials.{}]\nheader = "Authorization: Bearer {{secret}}"\nhosts = ["{}"]\nsecret = {{ file = "{}" }}\n'
    )
    path.write_text(
        entry.format("docs", "mcp.example.com", secret)
        + entry.format("near", "mcp.example.com", secret)
        + "private = true\n"
        + entry.format("elsewhere", "other.example.com", secret)
    )
    path.chmod(0o600)
    return Credentials(path, mask)


async def fake(starter: McpStarter, directory: Path, **members: Any) -> str:
    """Return the answer of tool environment for the variable TOKEN."""
    server = McpServer(name="fake", command=tuple(fake_command()), sandbox=False, **members)
    client = await starter.start(server, directory, None)
    try:
        return (await client.call("environment", {"name": "TOKEN"}, seconds=10)).text.exact
    finally:
        await client.close()


@pytest.mark.anyio
async def test_a_program_gets_its_secrets_and_nothing_of_the_server(
    tmp_path: Path, credentials: Credentials, mask: Mask
) -> None:
    os.environ["TOKEN"] = "of the server"
    try:
        starter = McpStarter(credentials, mask)
        assert SECRET in await fake(starter, tmp_path, credentials={"TOKEN": "docs"})
        assert str(tmp_path) in await fake(starter, tmp_path, environment={"TOKEN": "{workspace}/x"})
        assert "of the server" not in await fake(starter, tmp_path)
        with pytest.raises(McpFailure, match="no credential 'absent' exists"):
            await fake(starter, tmp_path, credentials={"TOKEN": "absent"})
        (tmp_path / "secret").write_text("")
        assert SECRET in await fake(starter, tmp_path, credentials={"TOKEN": "docs"})  # the last good one
    finally:
        del os.environ["TOKEN"]


@pytest.mark.anyio
async def test_a_program_that_does_not_exist_is_a_failure_in_words(tmp_path: Path) -> None:
    server = McpServer(name="git", command=("/no/such/program",), sandbox=False)
    with pytest.raises(McpFailure, match="The MCP server 'git' failed") as failed:
        await McpStarter(Credentials(), Mask()).start(server, tmp_path, None)
    assert failed.value.code == "cannot-start"


@pytest.mark.anyio
async def test_secrets_are_masked_before_a_list_is_hashed(credentials: Credentials, mask: Mask) -> None:
    found = credentials.find("docs")
    assert found is not None
    await found.secret()
    starter = McpStarter(credentials, mask)
    tool = McpTool(name="a", description=f"Use {SECRET}.", input_schema={"default": [SECRET]})
    listing = starter.listing_of(Listing(ServerInfo(name=SECRET), "2026-07-28", (tool,), 0))
    assert SECRET not in str(listing)
    assert listing.tools[0].sha256 != tool.sha256
    clean = McpTool(name="a", description="Use it.", annotations={"readOnlyHint": True})
    assert starter.listing_of(Listing(ServerInfo(), "2026-07-28", (clean,), 0)).tools == (clean,)


def access(credentials: Credentials, *found: str, **members: Any) -> UrlAccess:
    async def resolve(host: str, port: int) -> list[str]:
        return list(found)

    members = {"url": "https://mcp.example.com/mcp", **members}
    return UrlAccess(McpServer(name="docs", **members), credentials, resolve)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("found", "members", "said"),
    [
        ((PUBLIC,), {}, None),
        ((PUBLIC,), {"credential": "docs"}, None),
        ((PUBLIC, NEAR), {}, "10.0.0.7, which is not public"),
        ((NEAR,), {"private": True}, None),
        ((NEAR,), {"private": True, "credential": "docs"}, "its credential is not private"),
        ((NEAR,), {"private": True, "credential": "near"}, None),
        ((NEAR,), {"private": True, "url": "http://mcp.example.com/mcp"}, None),
        ((PUBLIC,), {"private": True, "url": "http://mcp.example.com/mcp"}, "plain http"),
        (("169.254.169.254",), {}, "not public"),
        (("::1",), {}, "not public"),
        (("::ffff:10.0.0.7",), {}, "not public"),
    ],
)
async def test_only_addresses_that_the_operator_means_are_connected_to(
    credentials: Credentials, found: tuple[str, ...], members: dict[str, Any], said: str | None
) -> None:
    reached = access(credentials, *found, **members)
    if said is None:
        assert await reached.addresses("mcp.example.com", 443) == list(found)
    else:
        with pytest.raises(McpFailure, match=said):
            await reached.addresses("mcp.example.com", 443)


@pytest.mark.anyio
async def test_a_request_carries_the_secret_only_to_the_hosts_of_its_credential(credentials: Credentials) -> None:
    headers, path = await access(credentials, credential="docs").sign({"accept": "x"}, "/mcp")
    assert (headers["authorization"], path) == (f"Bearer {SECRET}", "/mcp")
    for name in ("elsewhere", "absent"):
        with pytest.raises(McpFailure, match="do not cover the URL") as refused:
            await access(credentials, credential=name).sign({}, "/mcp")
        assert SECRET not in str(refused.value)
    with pytest.raises(McpFailure) as conflict:
        await access(credentials, credential="docs").sign({"authorization": "x"}, "/mcp")
    assert SECRET not in str(conflict.value)
