"""Tests of the client: versions, listings, calls, progress, questions, cancellation, headers and sessions."""

import asyncio
import json
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.mask import Mask
from athena_core.mcp.client.client import PROGRESS_MAX, McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire, header_value
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.requests import decoded
from athena_core.mcp.versions import HANDSHAKES, MODERN
from athena_core.outside_text import OutsideText
from athena_core.system.process import CannotStart, Child
from tests.support import certificates
from tests.support.fake_mcp_http import SESSION, FakeMcpHttp, fake_mcp_http
from tests.support.mcp_servers import fake_command

pytestmark = pytest.mark.anyio

SECONDS = 20.0
SHORT = 0.3
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
        (("error=discover",), HANDSHAKES[0]),
        (("html=discover",), HANDSHAKES[0]),
        (("status=discover", "code=400"), HANDSHAKES[0]),
        (("status=discover", "code=404"), HANDSHAKES[0]),
    ],
)
async def test_a_server_speaks_its_newest_version(switches: tuple[str, ...], version: str) -> None:
    with http_client(*switches) as (client, fake):
        await client.open(2.0 if "silence=discover" in switches else SECONDS)
        assert client.protocol_version == version
        assert client.server_info.name == "fake"
        await client.close()
        await client.close()
    with pytest.raises(McpFailure, match="ended"):
        await client.listing(SECONDS)


async def test_an_unknown_version_is_refused() -> None:
    with http_client("era=legacy", "version=1999-01-01") as (client, _), pytest.raises(McpFailure) as caught:
        await client.open(SECONDS)
    assert caught.value.code == "protocol-version"
    assert "1999-01-01" in str(caught.value)


@pytest.mark.parametrize("switch", ["crash=discover", "exit=discover", "null-id=discover"])
async def test_a_program_that_dies_of_the_first_request_is_started_again(switch: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with stdio_client(switch, f"log={log}", "era=legacy") as client:
        await client.open(SECONDS)
        assert client.protocol_version == HANDSHAKES[0]
        assert client.ended is None
        await client.listing(SECONDS)
    methods = [one["method"] for one in messages(log)]
    assert methods == ["server/discover", "initialize", "notifications/initialized", "tools/list"]
    assert len({json.loads(line)["pid"] for line in log.read_text().splitlines()}) == 2


async def test_a_program_that_does_not_exist_is_a_failure() -> None:
    async def start() -> Child:
        raise CannotStart("No such file\x1b[31m")

    client = McpClient("git", StdioWire(start), version="1")
    with pytest.raises(McpFailure) as caught:
        await client.open(SECONDS)
    assert str(caught.value) == "The MCP server 'git' failed. It cannot start: No such file [31m."
    assert caught.value.code == "cannot-start"
    assert client.ended is not None
    await client.close()


async def test_the_last_words_of_a_program_are_masked() -> None:
    async with program_client(sys.executable, "-c", "import sys; sys.exit('the key is hunter2hunter2')") as client:
        client._mask = Mask(["hunter2hunter2"])
        with pytest.raises(McpFailure) as caught:
            await client.open(SECONDS)
    assert caught.value.code == "ended"
    assert "exit status 1: the key is ***" in str(caught.value)


# Listings


async def test_a_listing_holds_what_the_server_lists() -> None:
    with http_client("pages") as (client, _):
        await client.open(SECONDS)
        listing = await client.listing(SECONDS)
        assert [tool.name for tool in listing.tools][:3] == ["echo", "add", "append"]
        assert [listing.skipped, listing.protocol_version] == [0, MODERN]
        tools = {tool.name: tool for tool in listing.tools}
        assert tools["echo"].read_only
        assert not tools["append"].read_only
        assert tools["add"].output_schema is not None
        assert len({tool.sha256 for tool in listing.tools}) == len(listing.tools)
        await client.close()


@pytest.mark.parametrize("switch", ["changed", "changed-schema"])
async def test_a_change_of_a_tool_changes_its_hash(switch: str) -> None:
    with http_client() as (client, fake):
        await client.open(SECONDS)
        before = {tool.name: tool.sha256 for tool in (await client.listing(SECONDS)).tools}
        fake.switches[switch] = ""
        after = {tool.name: tool.sha256 for tool in (await client.listing(SECONDS)).tools}
        assert {name for name in before if before[name] != after[name]} == {"echo"}
        await client.close()


@pytest.mark.parametrize(
    ("switch", "skipped", "listed"),
    [
        ("duplicate", 1, {"echo"}),
        ("giant-schema", 1, set()),
        ("giant-description", 1, set()),
        ("deep-schema", 1, set()),
        ("bad-schema", 7, set()),
        ("odd-names", 3, {"a/b", "a__b", "ä", "..", "*"}),
        ("injection", 1, {"injection"}),
        ("endless-pages", 1, {"t15"}),
    ],
)
async def test_tools_that_cannot_be_offered_are_left_out(switch: str, skipped: int, listed: set[str]) -> None:
    with http_client(switch) as (client, _):
        await client.open(SECONDS)
        listing = await client.listing(SECONDS)
        assert listing.skipped == skipped
        assert listed <= {tool.name for tool in listing.tools}
        await client.close()


@pytest.mark.parametrize("era", ERAS)
async def test_a_change_during_a_call_is_noticed(era: str) -> None:
    async with stdio_client("changes-at-call", era) as client:
        await client.open(SECONDS)
        await client.listing(SECONDS)
        assert not client.listing_changed
        await client.call("echo", {"text": "hi"}, seconds=SECONDS)
        assert client.listing_changed
        await client.listing(SECONDS)
        assert not client.listing_changed


async def test_a_listing_over_http_gets_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athena_core.mcp.client.client.LISTING_SECONDS_MIN", 0.0)
    with http_client() as (client, _):
        await client.open(SECONDS)
        await client.listing(SECONDS)
        assert client.listing_changed
        await client.close()


# Calls


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_has_text_and_structure(era: str) -> None:
    with http_client(era) as (client, _):
        await client.open(SECONDS)
        added = await client.call("add", {"a": 1, "b": 2}, seconds=SECONDS)
        assert [added.text.exact, added.structured, added.is_error] == ["3", {"sum": 3}, False]
        failed = await client.call("fail", {}, seconds=SECONDS)
        assert [failed.text.exact, failed.is_error] == ["No such file: plan.md", True]
        picture = await client.call("picture", {}, seconds=SECONDS)
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
            await client.call("nope", {}, seconds=SECONDS)
        assert caught.value.code == "refused"
        assert client.ended is None
        await client.close()


@pytest.mark.parametrize("era", ERAS)
async def test_progress_arrives_while_a_call_runs(era: str) -> None:
    seen: list[tuple[float, float | None, OutsideText]] = []
    with http_client(era) as (client, _):
        await client.open(SECONDS)
        await client.call("slow", {"seconds": 0}, seconds=SECONDS, on_progress=lambda *one: seen.append(one))
        assert (*seen[1][:2], seen[1][2].exact) == (1.0, 20.0, "step 1 of 20")
        assert len(seen) == 20
        await client.close()


async def test_reports_of_progress_are_limited() -> None:
    seen: list[float] = []
    with http_client("progress-flood", f"count={PROGRESS_MAX + 50}") as (client, _):
        await client.open(SECONDS)
        await client.call("echo", {"text": "hi"}, seconds=SECONDS, on_progress=lambda done, *_: seen.append(done))
        await client.close()
    assert len(seen) == PROGRESS_MAX


async def test_calls_run_at_the_same_time() -> None:
    async with stdio_client() as client:
        await client.open(SECONDS)
        results = await asyncio.gather(
            *(client.call("echo", {"text": str(number)}, seconds=SECONDS) for number in range(20))
        )
        assert [result.text.exact for result in results] == [str(number) for number in range(20)]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_cancelled_call_is_cancelled_at_the_server(cancelled: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with stdio_client(f"log={log}") as client:
        await client.open(SECONDS)
        if cancelled:
            call = asyncio.create_task(client.call("slow", {"seconds": 60}, seconds=SECONDS))
            while "tools/call" not in log.read_text():
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            with pytest.raises(McpFailure, match=r"no answer to tools/call within 0\.3 s") as caught:
                await client.call("slow", {"seconds": 60}, seconds=SHORT)
            assert caught.value.code == "silent"
        assert (await client.call("echo", {"text": "hi"}, seconds=SECONDS)).text.exact == "hi"
    number = next(one["id"] for one in messages(log) if one["method"] == "tools/call")
    assert [one["params"] for one in messages(log) if one["method"] == "notifications/cancelled"] == [
        {"requestId": number}
    ]


async def test_the_handshake_over_http_cancels_by_a_notification() -> None:
    with http_client("era=legacy", "silence") as (client, fake):
        await client.open(SECONDS)
        with pytest.raises(McpFailure):
            await client.call("echo", {}, seconds=SHORT)
        async with asyncio.timeout(SECONDS):
            while "notifications/cancelled" not in (sent := methods(fake)):
                await asyncio.sleep(0.01)
        assert sent["notifications/cancelled"]["params"] == {"requestId": sent["tools/call"]["id"]}
        await client.close()


# Questions


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_a_question_is_answered(era: str, kind: str) -> None:
    asked: list[McpQuestion] = []

    async def answer(question: McpQuestion) -> dict[str, Any] | None:
        asked.append(question)
        return {"color": "green"}

    with http_client(era, "asks=2") as (http, _):
        client = http if kind == "http" else stdio_client(era, "asks=2")
        await client.open(SECONDS)
        result = await client.call("echo", {"text": "Which color?"}, seconds=SECONDS, ask=answer)
        assert result.text.exact == 'answer: {"action": "accept", "content": {"color": "green"}}'
        assert [one.message for one in asked] == ["Which color?"] * 2
        assert set(asked[0].requested_schema["properties"]) == {"color", "note"}
        await client.close()


@pytest.mark.parametrize("era", ERAS)
async def test_the_deadline_stands_while_a_person_is_asked(era: str) -> None:
    async def slowly(question: McpQuestion) -> dict[str, Any] | None:
        await asyncio.sleep(2 * SHORT)
        return {"color": "red"}

    with http_client(era, "asks=1") as (client, _):
        await client.open(SECONDS)
        assert "red" in (await client.call("echo", {}, seconds=SHORT * 1.5, ask=slowly)).text.exact
        await client.close()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_an_exception_of_the_caller_ends_the_call(era: str, kind: str) -> None:
    class Parked(Exception):
        pass

    async def park(question: McpQuestion) -> dict[str, Any] | None:
        raise Parked

    with http_client(era, "asks=1") as (http, _):
        client = http if kind == "http" else stdio_client(era, "asks=1")
        await client.open(SECONDS)
        with pytest.raises(Parked):
            await client.call("echo", {}, seconds=SECONDS, ask=park)
        assert client.ended is None
        await client.close()


@pytest.mark.parametrize("era", ERAS)
async def test_a_person_may_decline(era: str) -> None:
    async def never(question: McpQuestion) -> dict[str, Any] | None:
        return None

    with http_client(era, "asks=5") as (client, _):
        await client.open(SECONDS)
        assert (await client.call("echo", {}, seconds=SECONDS, ask=never)).text.exact == 'answer: {"action": "decline"}'
        await client.close()


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_ask_says_so(era: str) -> None:
    with http_client(era, "asks=1", asks=False) as (client, _):
        await client.open(SECONDS)
        assert (await client.call("echo", {}, seconds=SECONDS, ask=red)).text.exact == "nobody can be asked"
        await client.close()


@pytest.mark.parametrize("switch", ["url-ask", "bad-ask", "giant-ask"])
@pytest.mark.parametrize("era", ERAS)
async def test_odd_questions_reach_no_person(switch: str, era: str) -> None:
    asked: list[McpQuestion] = []

    async def note(question: McpQuestion) -> dict[str, Any] | None:
        asked.append(question)
        return None

    with http_client(era, switch) as (client, _):
        await client.open(SECONDS)
        assert "accept" not in (await client.call("echo", {}, seconds=SECONDS, ask=note)).text.exact
        await client.close()
    assert not asked


async def test_a_question_that_no_call_can_claim_is_declined() -> None:
    """Over the standard streams the handshake does not say which of two calls asks."""
    async with stdio_client("era=legacy", "asks=1") as client:
        await client.open(SECONDS)
        waiting = asyncio.create_task(client.call("slow", {"seconds": 60}, seconds=SECONDS, ask=red))
        await asyncio.sleep(0)
        result = await client.call("echo", {}, seconds=SECONDS, ask=red)
        assert result.text.exact == 'answer: {"action": "decline"}'
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


# HTTP


async def test_headers_repeat_the_body_from_2026_on() -> None:
    with http_client() as (client, fake):
        await client.open(SECONDS)
        await client.call("echo", {"text": "hi"}, seconds=SECONDS)
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


async def test_a_session_is_kept_and_ended() -> None:
    with http_client("era=legacy", "session") as (client, fake):
        await client.open(SECONDS)
        assert (await client.call("echo", {"text": "hi"}, seconds=SECONDS)).text.exact == "hi"
        await client.close()
    assert [fake.asked[-1].method, fake.asked[-1].headers["mcp-session-id"]] == ["DELETE", SESSION]
    assert {one.headers.get("mcp-protocol-version") for one in fake.asked[2:]} == {HANDSHAKES[0]}


async def test_a_forgotten_session_ends_the_conversation() -> None:
    with http_client("era=legacy", "session", "forgets") as (client, fake):
        await client.open(SECONDS)
        with pytest.raises(McpFailure) as caught:
            await client.call("echo", {}, seconds=SECONDS)
        assert caught.value.code == "session-lost"
        assert client.ended is caught.value
        assert not fake.calls("done")
        await client.close()


async def test_redirects_are_not_followed() -> None:
    with fake_mcp_http() as other, http_client("redirect=call", f"to={other.url}") as (client, _):
        await client.open(SECONDS)
        with pytest.raises(McpFailure) as caught:
            await client.call("echo", {}, seconds=SECONDS)
        assert caught.value.code == "redirect"
        assert not other.asked
        await client.close()


async def test_a_credential_is_added_to_each_request() -> None:
    async def sign(headers: dict[str, str], path: str) -> tuple[dict[str, str], str]:
        return headers | {"authorization": "Bearer s3cret"}, path

    with fake_mcp_http("key=s3cret") as fake:
        async with McpClient("web", HttpWire(fake.url, resolve=at_home, sign=sign), version="1") as client:
            await client.open(SECONDS)
            assert (await client.call("echo", {"text": "hi"}, seconds=SECONDS)).text.exact == "hi"
        async with McpClient("web", HttpWire(fake.url, resolve=at_home), version="1") as client:
            with pytest.raises(McpFailure) as caught:
                await client.open(SECONDS)
    assert caught.value.code == "unauthorized"


async def test_the_next_address_is_tried() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", host]

    with fake_mcp_http() as fake:
        async with McpClient("web", HttpWire(fake.url, resolve=two), version="1") as client:
            await client.open(SECONDS)
            assert client.server_info.name == "fake"


@pytest.mark.parametrize("found", [[], ["127.0.0.1"]])
async def test_a_server_that_cannot_be_reached_is_a_failure(found: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return found

    async with McpClient("web", HttpWire("http://web.test:1/mcp", resolve=resolve), version="1") as client:
        with pytest.raises(McpFailure) as caught:
            await client.open(SECONDS)
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
                await client.open(SECONDS)
                assert fake.asked[0].headers["host"] == url.split("/")[2]
                return
            with pytest.raises(McpFailure) as caught:
                await client.open(SECONDS)
    assert caught.value.code == "connection"
    assert all(one.body is None for one in fake.asked)  # a handshake that failed is an empty request here


async def test_a_server_that_only_accepts_connections_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/mcp"
        async with McpClient("web", HttpWire(url, resolve=at_home), version="1") as client:
            with pytest.raises(McpFailure) as caught:
                await client.open(SHORT)
    assert caught.value.code == "silent"


@pytest.mark.parametrize(
    ("switch", "code"),
    [("giant-state", "result-too-large"), ("endless-body", "line-too-long"), ("giant-event", "line-too-long")],
)
async def test_a_message_that_is_too_large_ends_the_call(
    switch: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_client(switch) as (client, _):
        await client.open(SECONDS)
        with pytest.raises(McpFailure) as caught:
            await client.call("echo", {}, seconds=SECONDS, ask=red)
        assert caught.value.code == code
        await client.close()


async def test_cookies_are_not_sent_back() -> None:
    with http_client("set-cookie=call") as (client, fake):
        await client.open(SECONDS)
        for _ in range(2):
            await client.call("echo", {"text": "hi"}, seconds=SECONDS)
        assert not any("cookie" in one.headers for one in fake.asked)
        await client.close()
