"""Tests of the client: versions, listings, calls, progress, questions, cancellation, headers and sessions."""

import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.mask import Mask
from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire, header_value
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.requests import decoded
from athena_core.mcp.versions import HANDSHAKES, MODERN
from athena_core.system.process import CannotStart, Child
from tests.support import certificates
from tests.support.api import PATIENCE_SECONDS
from tests.support.fake_mcp_http import FakeMcpHttp, fake_mcp_http
from tests.support.mcp_servers import fake_command

pytestmark = pytest.mark.anyio

ERAS = ("era=modern", "era=legacy")


async def at_home(host: str, port: int) -> list[str]:
    return [host]


@contextmanager
def http_client(*switches: str, asks: bool = True) -> Iterator[tuple[McpClient, FakeMcpHttp]]:
    with fake_mcp_http(*switches) as fake:
        yield McpClient("fake", HttpWire(fake.url, resolve=at_home), version="1.2", asks=asks), fake


def stdio_client(*switches: str, asks: bool = True) -> McpClient:
    return program_client(*fake_command(*switches), asks=asks)


def program_client(*argv: str, asks: bool = True) -> McpClient:
    async def start() -> Child:
        return await Child.start(argv, {"PATH": os.environ["PATH"]})

    return McpClient("fake", StdioWire(start), version="1.2", asks=asks)


async def red(question: McpQuestion) -> dict[str, Any] | None:
    return {"color": "red"}


def methods(fake: FakeMcpHttp) -> dict[str, Any]:
    """Return the last message of each method."""
    return {one.body["method"]: one.body for one in fake.asked if one.body}


def messages(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


# Versions


@pytest.mark.parametrize(
    ("switches", "version"),
    [
        ((), MODERN),
        (("era=modern",), MODERN),
        (("era=legacy",), HANDSHAKES[0]),
        *((("era=legacy", f"version={old}"), old) for old in HANDSHAKES[1:]),
        (("silence=discover", "era=legacy"), HANDSHAKES[0]),
        (("html=discover",), HANDSHAKES[0]),
        (("status=discover", "code=400"), HANDSHAKES[0]),
        (("status=discover", "code=404"), HANDSHAKES[0]),
    ],
)
async def test_a_server_speaks_its_newest_version(
    switches: tuple[str, ...], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "silence=discover" in switches:
        monkeypatch.setattr("athena_core.mcp.client.client.PROBE_PART", 0.005)
    with http_client(*switches) as (client, fake):
        await client.open(PATIENCE_SECONDS)
        assert client.protocol_version == version
        assert client.server_info.name == "fake"
        await client.close()
        await client.close()
    with pytest.raises(McpFailure, match="ended"):
        await client.listing(PATIENCE_SECONDS)


async def test_an_unknown_version_is_refused() -> None:
    with http_client("era=legacy", "version=1999-01-01") as (client, _), pytest.raises(McpFailure) as caught:
        await client.open(PATIENCE_SECONDS)
    assert caught.value.code == "protocol-version"
    assert "1999-01-01" in str(caught.value)


@pytest.mark.parametrize("switch", ["crash=discover", "exit=discover", "null-id=discover"])
async def test_a_program_that_dies_of_the_first_request_is_started_again(switch: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with stdio_client(switch, f"log={log}", "era=legacy") as client:
        await client.open(PATIENCE_SECONDS)
        assert client.protocol_version == HANDSHAKES[0]
        assert client.ended is None
        await client.listing(PATIENCE_SECONDS)
    methods = [one["method"] for one in messages(log)]
    assert methods == ["server/discover", "initialize", "notifications/initialized", "tools/list"]
    assert len({json.loads(line)["pid"] for line in log.read_text().splitlines()}) == 2


async def test_a_program_that_does_not_exist_is_a_failure() -> None:
    async def start() -> Child:
        raise CannotStart("No such file\x1b[31m")

    client = McpClient("git", StdioWire(start), version="1")
    with pytest.raises(McpFailure) as caught:
        await client.open(PATIENCE_SECONDS)
    assert str(caught.value) == "The MCP server 'git' failed. It cannot start: No such file [31m."
    assert caught.value.code == "cannot-start"
    assert client.ended is not None
    await client.close()


async def test_the_last_words_of_a_program_are_masked() -> None:
    async with program_client(sys.executable, "-c", "import sys; sys.exit('the key is hunter2hunter2')") as client:
        client._mask = Mask(["hunter2hunter2"])
        with pytest.raises(McpFailure) as caught:
            await client.open(PATIENCE_SECONDS)
    assert caught.value.code == "ended"
    assert "exit status 1: the key is ***" in str(caught.value)


# Listings


async def test_a_listing_holds_what_the_server_lists() -> None:
    with http_client("pages") as (client, _):
        await client.open(PATIENCE_SECONDS)
        listing = await client.listing(PATIENCE_SECONDS)
        assert [tool.name for tool in listing.tools][:3] == ["echo", "add", "append"]
        assert [listing.skipped, listing.protocol_version] == [0, MODERN]
        tools = {tool.name: tool for tool in listing.tools}
        assert tools["echo"].read_only
        assert not tools["append"].read_only
        assert tools["add"].output_schema is not None
        assert len({tool.sha256 for tool in listing.tools}) == len(listing.tools)
        await client.close()


# Calls


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_has_text_and_structure(era: str) -> None:
    with http_client(era) as (client, _):
        await client.open(PATIENCE_SECONDS)
        added = await client.call("add", {"a": 1, "b": 2}, seconds=PATIENCE_SECONDS)
        assert [added.text.exact, added.structured, added.is_error] == ["3", {"sum": 3}, False]
        failed = await client.call("fail", {}, seconds=PATIENCE_SECONDS)
        assert [failed.text.exact, failed.is_error] == ["No such file: plan.md", True]
        picture = await client.call("picture", {}, seconds=PATIENCE_SECONDS)
        assert picture.text.exact.splitlines() == [
            "A picture:",
            "[image image/png is not shown]",
            "[audio audio/wav is not shown]",
            "[link: plan.md file:///plan.md]",
            "[resource file:///plan.md]",
            "the plan",
        ]
        assert picture.omitted == 2
        with pytest.raises(McpFailure) as caught:
            await client.call("nope", {}, seconds=PATIENCE_SECONDS)
        assert caught.value.code == "refused"
        assert client.ended is None
        await client.close()


# Questions


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_ask_says_so(era: str) -> None:
    with http_client(era, "asks=1", asks=False) as (client, _):
        await client.open(PATIENCE_SECONDS)
        assert (await client.call("echo", {}, seconds=PATIENCE_SECONDS, ask=red)).text.exact == "nobody can be asked"
        await client.close()


@pytest.mark.parametrize("switch", ["url-ask", "bad-ask", "giant-ask"])
@pytest.mark.parametrize("era", ERAS)
async def test_odd_questions_reach_no_person(switch: str, era: str) -> None:
    asked: list[McpQuestion] = []

    async def note(question: McpQuestion) -> dict[str, Any] | None:
        asked.append(question)
        return None

    with http_client(era, switch) as (client, _):
        await client.open(PATIENCE_SECONDS)
        assert "accept" not in (await client.call("echo", {}, seconds=PATIENCE_SECONDS, ask=note)).text.exact
        await client.close()
    assert not asked


# HTTP


async def test_headers_repeat_the_body_from_2026_on() -> None:
    with http_client() as (client, fake):
        await client.open(PATIENCE_SECONDS)
        await client.call("echo", {"text": "hi"}, seconds=PATIENCE_SECONDS)
        await client.close()
    call = fake.asked[-1]
    assert [call.headers[name] for name in ("mcp-protocol-version", "mcp-method", "mcp-name")] == [
        MODERN,
        "tools/call",
        "echo",
    ]
    assert call.headers["accept-encoding"] == "identity"
    assert "cookie" not in call.headers
    assert call.body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["version"] == "1.2"


async def test_redirects_are_not_followed() -> None:
    with fake_mcp_http() as other, http_client("redirect=call", f"to={other.url}") as (client, _):
        await client.open(PATIENCE_SECONDS)
        with pytest.raises(McpFailure) as caught:
            await client.call("echo", {}, seconds=PATIENCE_SECONDS)
        assert caught.value.code == "redirect"
        assert not other.asked
        await client.close()


async def test_a_credential_is_added_to_each_request() -> None:
    async def sign(headers: dict[str, str], path: str) -> tuple[dict[str, str], str]:
        return headers | {"authorization": "Bearer s3cret"}, path

    with fake_mcp_http("key=s3cret") as fake:
        async with McpClient("web", HttpWire(fake.url, resolve=at_home, sign=sign), version="1") as client:
            await client.open(PATIENCE_SECONDS)
            assert (await client.call("echo", {"text": "hi"}, seconds=PATIENCE_SECONDS)).text.exact == "hi"
        async with McpClient("web", HttpWire(fake.url, resolve=at_home), version="1") as client:
            with pytest.raises(McpFailure) as caught:
                await client.open(PATIENCE_SECONDS)
    assert caught.value.code == "unauthorized"


async def test_the_next_address_is_tried() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", host]

    with fake_mcp_http() as fake:
        async with McpClient("web", HttpWire(fake.url, resolve=two), version="1") as client:
            await client.open(PATIENCE_SECONDS)
            assert client.server_info.name == "fake"


@pytest.mark.parametrize("found", [[], ["127.0.0.1"]])
async def test_a_server_that_cannot_be_reached_is_a_failure(found: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return found

    async with McpClient("web", HttpWire("http://web.test:1/mcp", resolve=resolve), version="1") as client:
        with pytest.raises(McpFailure) as caught:
            await client.open(PATIENCE_SECONDS)
    assert caught.value.code == "connection"


@pytest.mark.parametrize("value", ["echo", "a b", " a", "ä", "=?base64?YQ==?=", "", "\n", "\x7f", "日本"])
def test_a_header_value_reads_back(value: str) -> None:
    assert header_value(value).isascii()
    assert header_value(value).isprintable()
    assert decoded(header_value(value)) == value


# TLS


@pytest.mark.skipif(certificates.OPENSSL is None, reason=certificates.MISSING)
@pytest.mark.parametrize(("host", "trusted"), [("localhost", True), ("evil.test", True), ("localhost", False)])
async def test_the_certificate_must_be_for_the_name(
    host: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = certificates.make_pair(tmp_path / "tls")
    if trusted:
        trust = ssl.create_default_context(cafile=str(pair.cert))
        monkeypatch.setattr("httpx2.create_ssl_context", lambda **_: trust)

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with fake_mcp_http(tls=pair) as fake:
        url = fake.url.replace("http://127.0.0.1", f"https://{host}")
        async with McpClient("web", HttpWire(url, resolve=resolve), version="1") as client:
            if host == "localhost" and trusted:
                await client.open(PATIENCE_SECONDS)
                assert fake.asked[0].headers["host"] == url.split("/")[2]
                return
            with pytest.raises(McpFailure) as caught:
                await client.open(PATIENCE_SECONDS)
    assert caught.value.code == "connection"
    assert all(one.body is None for one in fake.asked)  # a handshake that failed is an empty request here


async def test_a_state_that_is_too_large_ends_the_call() -> None:
    with http_client("giant-state") as (client, _):
        await client.open(PATIENCE_SECONDS)
        with pytest.raises(McpFailure) as caught:
            await client.call("echo", {}, seconds=PATIENCE_SECONDS, ask=red)
        assert caught.value.code == "result-too-large"
        await client.close()


async def test_cookies_are_not_sent_back() -> None:
    with http_client("set-cookie=call") as (client, fake):
        await client.open(PATIENCE_SECONDS)
        for _ in range(2):
            await client.call("echo", {"text": "hi"}, seconds=PATIENCE_SECONDS)
        assert not any("cookie" in one.headers for one in fake.asked)
        await client.close()
