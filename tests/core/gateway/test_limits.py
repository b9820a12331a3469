"""Tests of the gateway's limits, each with an error of its own, and of clients that abuse it."""

import json
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.agents.known import AgentWire
from athena_core.gateway.exchange import GatewayLimits
from athena_core.gateway.members import MEMBERS_MAX, MalformedMembers, Members
from athena_core.gateway.refusals import Refusal
from athena_core.gateway.wires import WIRES
from tests.support.gateway import Reply, World, answers, gateway, request
from tests.support.vendors import VENDORS

CHAT = VENDORS["openai-chat"]
ALL = pytest.mark.parametrize("wire", VENDORS)
START = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


async def refused(reply: Reply, world: World, status: int, code: str) -> None:
    """Check an error of the gateway, and that the vendor was not asked."""
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.whole
    assert reply.headers["connection"] == "close"
    assert (world.vendor.heads, world.ledger.reserved) == ([], [])


def chat(limits: GatewayLimits | None = None) -> AbstractAsyncContextManager[World]:
    return gateway("openai-chat", answers(CHAT.streamed), limits=limits)


UNKNOWN = [
    ("GET", ""),
    ("PUT", ""),
    ("OPTIONS", ""),
    ("GET", "/v1/models"),
    ("POST", "/"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/files"),
    ("GET", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("POST", "/v1/chat/completions/"),
    ("POST", "/v1/../v1/chat/completions"),
    ("POST", "//v1/messages"),
    ("POST", "/v1/%6dessages"),
    ("POST", "/v1beta/models/x:countTokens"),
    ("POST", "/v1beta/models/x:embedContent"),
    ("POST", "/v1beta/models/a/b:generateContent"),
    ("POST", "/v1beta/models/a%2Fb:generateContent"),
    ("POST", "/v1beta/tunedModels/x:generateContent"),
    ("POST", "http://127.0.0.1:1/v1/messages"),
    ("POST", "http://127.0.0.1:1/v1/chat/completions"),
]


@ALL
async def test_everything_but_model_calls_is_unknown(wire: AgentWire) -> None:
    async with gateway(wire, answers(VENDORS[wire].streamed)) as world:
        for method, target in UNKNOWN:
            await refused(await world.ask(method=method, target=target), world, 404, "athena_path")
    assert world.ledger.ends == []


async def test_an_error_for_head_has_no_body() -> None:
    async with chat() as world:
        client = await world.begin(target="/", method="HEAD", body=b"")
        sent = await client.left()
    assert sent.startswith(b"HTTP/1.1 404 ")
    assert sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("asked", VENDORS)
@ALL
async def test_a_wire_knows_no_calls_of_another(wire: AgentWire, asked: AgentWire) -> None:
    assert WIRES[wire].is_call(b"POST", VENDORS[asked].target.partition("?")[0].encode()) == (wire == asked)


HEADERS = [f"x-{number}: 1" for number in range(100)]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([START + b"x: " + b"y" * 70_000 + b"\r\n\r\n"], id="one header"),
        pytest.param([START] + [b"x: " + b"y" * 1_000 + b"\r\n"] * 70, id="without an end"),
        pytest.param([request(CHAT.target, b"{}", *HEADERS)], id="many headers"),
        pytest.param([b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"], id="target"),
    ],
)
async def test_a_large_head_is_refused(parts: list[bytes]) -> None:
    async with chat() as world:
        await refused(await world.raw(*parts), world, 431, "athena_head")


async def test_a_body_in_chunks_of_one_byte_is_limited_too() -> None:
    async with chat(GatewayLimits(body_bytes_max=100_000)) as world:
        parts = [START + b"transfer-encoding: chunked\r\n\r\n"] + [b"1;" + b"x" * 1_000 + b"\r\na\r\n"] * 300
        await refused(await world.raw(*parts), world, 413, "athena_body")


LENGTH = b"content-length: %d\r\n" % len(CHAT.body())
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT.body()), CHAT.body())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(START + LENGTH + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS, id="length and chunks"),
        pytest.param(START + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKS, id="chunks and length"),
        pytest.param(START + LENGTH + LENGTH + b"\r\n" + CHAT.body(), id="two lengths"),
        pytest.param(START + LENGTH + b"content-length: 0\r\n\r\n" + CHAT.body(), id="two different lengths"),
        pytest.param(START + b"content-length: +5\r\n\r\nabcde", id="signed length"),
        pytest.param(START + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS[:-5] + b"z", id="encodings"),
        pytest.param(START + b"transfer-encoding: chunked, gzip\r\n\r\n" + CHUNKS, id="chunked is not the last"),
        pytest.param(START + b"transfer-encoding : chunked\r\n\r\n" + CHUNKS, id="space before the colon"),
        pytest.param(START + b" folded: x\r\n" + LENGTH + b"\r\n" + CHAT.body(), id="folded header"),
        pytest.param((START + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + CHAT.body(), id="bare line feeds"),
        pytest.param(request(CHAT.target, CHAT.body()) * 2, id="two requests"),
        pytest.param(request(CHAT.target, CHAT.body()) + b"GET /v1/models HTTP/1.1\r\n\r\n", id="another request"),
        pytest.param(request(CHAT.target, CHAT.body()) + b"\x00\x01", id="bytes behind it"),
        pytest.param(START + LENGTH + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n" + CHAT.body(), id="upgrade"),
        pytest.param(START + LENGTH + b"x: \x00\r\n\r\n" + CHAT.body(), id="control character"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n", id="tunnel"),
        pytest.param(START + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", id="size of a chunk"),
    ],
)
async def test_a_request_that_parsers_read_differently_is_refused(sent: bytes) -> None:
    async with chat() as world:
        await refused(await world.raw(sent), world, 400, "athena_request")


async def test_a_body_in_chunks_becomes_one_with_a_length() -> None:
    body = CHAT.body()
    async with chat() as world:
        reply = await world.raw(
            START + b"Transfer-Encoding: chunked\r\nTrailer: x-key\r\n\r\n",
            b"5\r\n" + body[:5] + b"\r\n%x;a=b\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\nx-key: v\r\n\r\n",
        )
    assert (reply.status, reply.body) == (200, CHAT.streamed.body)
    assert world.vendor.bodies == [body]
    assert world.vendor.header("content-length") == str(len(body))
    assert not {world.vendor.header("transfer-encoding"), world.vendor.header("x-key")} - {None}


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    sent = request(CHAT.target, CHAT.body(), "expect: 100-continue")
    async with chat() as world:
        client = await world.connect()
        first, body = sent[: -len(CHAT.body())], sent[-len(CHAT.body()) :]
        await client.send(first)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert (await client.rest()).status == 200
    assert world.vendor.header("expect") is None


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async with chat() as world:
        reply = await world.raw(request(CHAT.target, CHAT.body()).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert "transfer-encoding" not in reply.headers
    assert reply.body == CHAT.streamed.body


BAD = [
    b"", b"nothing", b"[]", b"null", b'"model"', b"{", b'{"a":1}x', b"\xff", b'{"model":"gpt-4o-mini"',
    b"[" * 100_000, b'{"model":' + b"[" * 100_000, b"{}" * 2,
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=lambda body: repr(body[:20]))
@ALL
async def test_a_body_that_is_not_an_object_is_refused(wire: AgentWire, body: bytes) -> None:
    async with gateway(wire, answers(VENDORS[wire].streamed)) as world:
        await refused(await world.ask(body=body), world, 400, "athena_request")
    assert [one.outcome for one in world.ledger.ends] == ["refused"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o-mini","model":"o1-pro"}',
        b'{"model":"o1-pro","model":"gpt-4o-mini"}',
        b'{"model":"gpt-4o-mini","model":"gpt-4o-mini"}',
        b'{"model":"gpt-4o-mini","Model":"o1-pro"}',
        b'{"model":"gpt-4o-mini","mod\\u0065l":"o1-pro"}',
        b'{"n":12,"n":1,"model":"gpt-4o-mini"}',
        b'{"model":"gpt-4o-mini","stream":true,"STREAM":false}',
        b"{" + b",".join(b'"m%d":1' % number for number in range(MEMBERS_MAX)) + b',"model":"gpt-4o-mini"}',
    ],
)
async def test_a_member_that_parsers_read_differently_is_refused(body: bytes) -> None:
    async with gateway("openai-chat", answers(CHAT.streamed), models={"*": "gpt-4o-mini"}) as world:
        await refused(await world.ask(body=body), world, 400, "athena_request")


@pytest.mark.parametrize("model", [None, 1, "", [], "x" * 201, "a\nb", {"a": 1}])
async def test_a_body_without_a_model_is_refused(model: object) -> None:
    async with gateway("openai-chat", answers(CHAT.streamed), models={"*": "gpt-4o-mini"}) as world:
        await refused(await world.ask(body=CHAT.body(model=model)), world, 400, "athena_model")


@pytest.mark.parametrize("member", ["background", "conversation", "previous_response_id"])
async def test_state_at_the_vendor_is_refused(member: str) -> None:
    one = VENDORS["openai-responses"]
    async with gateway("openai-responses", answers(one.streamed)) as world:
        await refused(await world.ask(body=one.body(**{member: "x"})), world, 400, "athena_request")
        assert (await world.ask(body=one.body(**{member: None}))).status == 200


@pytest.mark.parametrize(
    "query",
    ["fields=candidates", "alt=proto", "$alt=json", "alt=sse&fields=x", "prettyPrint=false", "alt=sse&alt=json"],
)
async def test_a_parameter_that_can_hide_usage_is_refused(query: str) -> None:
    one = VENDORS["gemini"]
    async with gateway("gemini", answers(one.streamed)) as world:
        target = one.target.partition("?")[0] + "?" + query
        await refused(await world.ask(target=target), world, 400, "athena_request")


async def test_a_body_of_gemini_names_no_other_model() -> None:
    one = VENDORS["gemini"]
    async with gateway("gemini", answers(one.streamed)) as world:
        await refused(await world.ask(body=one.body(model="models/gemini-2.5-pro")), world, 400, "athena_request")


NAMES = st.text(min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_only_the_value_of_a_member_is_replaced(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(value | {"model": "old"}, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    try:
        members = Members(body)
    except MalformedMembers:
        return  # names that differ in capitals only, or a lone surrogate
    assert json.loads(members.replaced("model", "new")) == json.loads(body) | {"model": "new"}
    assert members.replaced("model", "old") == body


@given(st.binary(max_size=200))
def test_no_body_breaks_a_wire(body: bytes) -> None:
    for name, wire in WIRES.items():
        try:
            wire.call_of(VENDORS[name].target.partition("?")[0].encode(), b"", body)
        except Refusal as refusal:
            assert refusal.status == 400
