"""The server half of MCP without a transport: both eras, errors, streams, and what a session id holds."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.mcp.requests import McpSession, decoded, key_of
from athena_core.mcp.served import (
    Elicitation,
    ElicitationAnswer,
    Headers,
    McpService,
    NeedsInput,
    ResourceText,
    ServedCall,
    ServedError,
    ServedResource,
    ServedResult,
    ServedTask,
    ServedTool,
    unknown_tool,
)
from athena_core.mcp.serving import McpServing, McpTiming

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
FORM = Elicitation("What is your name?", SCHEMA)
TASK = ServedTask("run_1", "input_required", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", requests={"ask": FORM})
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


class Answer:
    """The answer to a request, taken apart."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.ended = False

    async def start(self, status: int, headers: Headers) -> None:
        assert not self.status, "answered twice"
        self.status, self.headers = status, {name.decode(): value.decode() for name, value in headers}

    async def send(self, data: bytes, *, more: bool) -> None:
        assert not self.ended
        self.parts.append(data)
        self.ended = not more

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def messages(self) -> list[dict[str, Any]]:
        if self.headers.get("content-type") != "text/event-stream":
            assert int(self.headers["content-length"]) == len(self.body)
            return [json.loads(self.body)] if self.body else []
        lines = self.body.decode().split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.messages[-1]["result"]
        return result

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.messages[-1]["error"]
        return error


class Service(McpService):
    """A service that shows what it was asked."""

    instructions = "Be brief."
    has_resources = True
    has_tasks = True

    def __init__(self) -> None:
        self.calls: list[ServedCall] = []
        self.answers: dict[str, ElicitationAnswer] = {}
        self.cancelled: list[str] = []
        self.ended = False
        self.go = asyncio.Event()

    async def tools(self) -> Sequence[ServedTool]:
        return [ServedTool("greet", "Greet a person.", SCHEMA, annotations={"readOnlyHint": True})]

    async def call(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        self.calls.append(call)
        match call.tool:
            case "greet":
                return ServedResult(f"Hello {call.arguments.get('name')}", {"ok": True})
            case "ask":
                return ServedResult(call.answers["who"].action) if call.answers else NeedsInput({"who": FORM}, "s1")
            case "elicit":
                return ServedResult(str(await call.elicit("ask_1.hash", FORM)))
            case "task":
                return TASK
            case "slow":
                await call.progress(1, "half")
                await call.progress(1)
                await self.go.wait()
                return ServedResult("late")
            case "wait":
                try:
                    await self.go.wait()
                finally:
                    self.ended = True
            case "break":
                raise ZeroDivisionError
        raise unknown_tool(call.tool)

    async def answered(self, request_id: str, answer: ElicitationAnswer) -> None:
        self.answers[request_id] = answer

    async def resources(self) -> Sequence[ServedResource]:
        return [ServedResource("athena://runs/1", "1", "a run")]

    async def resource_templates(self) -> Sequence[ServedResource]:
        return [ServedResource("athena://runs/{runId}", "run", "a run")]

    async def read_resource(self, uri: str) -> ResourceText:
        return ResourceText(uri, "{}")

    async def task(self, task_id: str) -> ServedTask:
        return TASK._replace(task_id=task_id)

    async def update_task(self, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
        self.answers |= answers

    async def cancel_task(self, task_id: str) -> None:
        self.cancelled.append(task_id)


class Client:
    """Sends messages to one server."""

    def __init__(self, timing: McpTiming | None = None) -> None:
        self.service = Service()
        self.serving = McpServing("athena", "Athena", "1", lambda: "n" * 24, timing)

    async def send(self, message: object, headers: Mapping[str, str] | None = None, owner: str = "ann") -> Answer:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        fields = {"accept": "application/json, text/event-stream", **(headers or {})}
        answer = Answer()
        pairs = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await self.serving.serve(body, pairs, self.service, answer, owner=owner)
        assert answer.ended
        return answer

    async def old(self, method: str, params: object = None, *, number: int = 1, **headers: str) -> Answer:
        """Send a request before 2026-07-28."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}, fields)

    async def new(
        self, method: str, params: dict[str, Any] | None = None, *, named: str | None = None, **capabilities: Any
    ) -> Answer:
        """Send a request of 2026-07-28."""
        meta = META | {"io.modelcontextprotocol/clientCapabilities": capabilities}
        given = params or {}
        body = {
            "jsonrpc": "2.0",
            "id": 7,
            "method": method,
            "params": {"_meta": meta | given.pop("_meta", {}), **given},
        }
        headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        name = named or given.get("name") or given.get("uri") or given.get("taskId")
        return await self.send(body, headers if name is None else {**headers, "mcp-name": name})


def initialize(version: str = "2025-11-25", **capabilities: Any) -> dict[str, Any]:
    return {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "test", "version": "1"}}


# The handshake


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2024-11-05"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
async def test_a_handshake_agrees_on_a_version_that_both_know(asked: str, spoken: str) -> None:
    answer = await Client().old("initialize", initialize(asked))
    assert answer.status == 200
    assert answer.result["protocolVersion"] == spoken
    assert answer.result["instructions"] == "Be brief."
    assert answer.result["capabilities"] == {"tools": {}, "resources": {}}
    assert answer.headers["mcp-session-id"].startswith(spoken)


@pytest.mark.parametrize(
    ("capabilities", "shows"), [({}, "False"), ({"elicitation": {}}, "True"), ({"elicitation": {"url": {}}}, "False")]
)
async def test_a_session_id_carries_what_the_client_can_do_to_any_server(
    capabilities: dict[str, Any], shows: str
) -> None:
    first = await Client().old("initialize", initialize(**capabilities))
    session = first.headers["mcp-session-id"]
    other = Client()  # another server, which has never heard of the session
    answer = await other.old("tools/call", {"name": "elicit"}, mcp_session_id=session)
    assert answer.result["content"] == [{"type": "text", "text": shows}]
    if shows == "True":
        asked = answer.messages[0]
        assert asked["method"] == "elicitation/create"
        assert asked["id"] == "ask_1.hash"
        assert asked["params"] == {"mode": "form", "message": FORM.message, "requestedSchema": SCHEMA}
        reply = {"jsonrpc": "2.0", "id": "ask_1.hash", "result": {"action": "accept", "content": {"name": "Ann"}}}
        third = Client()
        assert (await third.send(reply, {"mcp-session-id": session})).status == 202
        assert third.service.answers == {"ask_1.hash": ElicitationAnswer("accept", {"name": "Ann"})}


async def test_a_client_without_forms_is_never_sent_one_before_2025_06_18() -> None:
    answer = await Client().old("initialize", initialize("2025-03-26", elicitation={}))
    assert not McpSession.of(answer.headers["mcp-session-id"]).elicitation


@pytest.mark.parametrize("session", ["x", "2025-11-25.e.short", "2026-07-28.e." + "n" * 24, "2025-11-25.x." + "n" * 24])
async def test_a_session_id_from_elsewhere_begins_anew(session: str) -> None:
    assert (await Client().old("tools/list", mcp_session_id=session)).status == 404


async def test_a_version_that_is_not_spoken_is_refused() -> None:
    answer = await Client().old("tools/list", mcp_protocol_version="2030-01-01")
    assert answer.status == 400
    assert answer.error["code"] == -32022
    assert answer.error["data"] == {"supported": ["2026-07-28"], "requested": "2030-01-01"}


async def test_lists_and_results_before_2026_have_no_members_of_2026() -> None:
    client = Client()
    tools = (await client.old("tools/list")).result
    assert tools == {
        "tools": [
            {
                "name": "greet",
                "description": "Greet a person.",
                "inputSchema": SCHEMA,
                "annotations": {"readOnlyHint": True},
            }
        ]
    }
    called = await client.old("tools/call", {"name": "greet", "arguments": {"name": "Ann"}})
    assert called.result == {
        "content": [{"type": "text", "text": "Hello Ann"}],
        "structuredContent": {"ok": True},
        "isError": False,
    }
    assert (await client.old("ping")).result == {}
    assert (await client.old("resources/list")).result["resources"][0]["uri"] == "athena://runs/1"
    template = (await client.old("resources/templates/list")).result["resourceTemplates"][0]
    assert template["uriTemplate"] == "athena://runs/{runId}"
    assert (await client.old("resources/read", {"uri": "a:b"})).result["contents"][0]["uri"] == "a:b"


@pytest.mark.parametrize("method", ["tasks/get", "server/discover", "prompts/list", "subscriptions/listen", "nonsense"])
async def test_methods_of_another_era_do_not_exist(method: str) -> None:
    answer = await Client().old(method, {"taskId": "run_1"})
    assert (answer.status, answer.error["code"]) == (200, -32601)


@pytest.mark.parametrize("method", ["ping", "initialize", "logging/setLevel", "prompts/get"])
async def test_methods_of_the_handshake_do_not_exist_in_2026(method: str) -> None:
    answer = await Client().new(method, {"name": "x"})
    assert (answer.status, answer.error["code"]) == (404, -32601)


# 2026-07-28


async def test_a_server_of_2026_is_discovered() -> None:
    answer = await Client().new("server/discover")
    assert answer.result["supportedVersions"] == ["2026-07-28"]
    assert answer.result["capabilities"]["extensions"] == {"io.modelcontextprotocol/tasks": {}}
    assert answer.result["resultType"] == "complete"
    assert answer.result["cacheScope"] == "private"
    assert answer.result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "athena"
    assert "mcp-session-id" not in answer.headers


async def test_a_call_of_2026_is_complete() -> None:
    answer = await Client().new("tools/call", {"name": "greet", "arguments": {"name": "Ann"}})
    assert answer.result["resultType"] == "complete"
    assert "ttlMs" not in answer.result


async def test_a_call_that_needs_a_person_is_repeated_with_the_answers() -> None:
    client = Client()
    first = await client.new("tools/call", {"name": "ask"}, elicitation={})
    assert first.result["resultType"] == "input_required"
    assert first.result["requestState"] == "s1"
    assert first.result["inputRequests"]["who"]["params"]["requestedSchema"] == SCHEMA
    again = {"name": "ask", "requestState": "s1", "inputResponses": {"who": {"action": "decline"}}}
    assert (await client.new("tools/call", again)).result["content"][0]["text"] == "decline"
    assert client.service.calls[-1].state == "s1"


@pytest.mark.parametrize("answer", [{"action": "perhaps"}, {}, 7, None, {"role": "assistant"}])
async def test_an_answer_of_a_wrong_form_is_asked_for_again(answer: object) -> None:
    again = await Client().new("tools/call", {"name": "ask", "inputResponses": {"who": answer}}, elicitation={})
    assert again.result["resultType"] == "input_required"


async def test_answers_must_be_an_object() -> None:
    answer = await Client().new("tools/call", {"name": "ask", "inputResponses": ["who"]})
    assert (answer.status, answer.error["code"]) == (400, -32602)


async def test_a_task_is_got_updated_and_cancelled_by_clients_that_know_tasks() -> None:
    client = Client()
    begun = (await client.new("tools/call", {"name": "task"}, **TASKS)).result
    assert begun["resultType"] == "task"
    got = (await client.new("tasks/get", {"taskId": "run_1"}, **TASKS)).result
    assert got["resultType"] == "complete"
    assert got["status"] == "input_required"
    assert got["inputRequests"]["ask"]["method"] == "elicitation/create"
    assert got["ttlMs"] is None
    answers = {"taskId": "run_1", "inputResponses": {"ask": {"action": "accept", "content": {"name": "Ann"}}}}
    assert (await client.new("tasks/update", answers, **TASKS)).result["resultType"] == "complete"
    assert client.service.answers["ask"].content == {"name": "Ann"}
    await client.new("tasks/cancel", {"taskId": "run_1"}, **TASKS)
    assert client.service.cancelled == ["run_1"]
    refused = await client.new("tasks/get", {"taskId": "run_1"})
    assert (refused.status, refused.error["code"]) == (400, -32021)
    assert refused.error["data"] == {"requiredCapabilities": TASKS}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", None),
        ("mcp-method", "tools/list"),
        ("mcp-name", None),
        ("mcp-name", "delete"),
        ("mcp-name", "=?base64?!?="),
    ],
)
async def test_header_fields_must_repeat_the_body(field: str, value: str | None) -> None:
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "greet"}
    headers = {name: text for name, text in headers.items() if name != field} | (
        {} if value is None else {field: value}
    )
    client = Client()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "greet", "_meta": META}}
    answer = await client.send(body, headers)
    assert (answer.status, answer.error["code"]) == (400, -32020)
    assert not client.service.calls


async def test_a_header_field_that_is_sent_twice_is_refused() -> None:
    client, answer = Client(), Answer()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    headers = [(b"mcp-protocol-version", b"2026-07-28"), *[(b"mcp-method", b"tools/list")] * 2]
    await client.serving.serve(json.dumps(body).encode(), headers, client.service, answer)
    assert (answer.status, answer.error["code"]) == (400, -32020)


async def test_a_name_may_be_encoded() -> None:
    answer = await Client().new("resources/read", {"uri": "ä"}, named="=?base64?w6Q=?=")
    assert answer.status == 200


@pytest.mark.parametrize("missing", META)
async def test_a_request_of_2026_describes_itself(missing: str) -> None:
    meta = {name: value for name, value in META.items() if name != missing}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    answer = await Client().send(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}, headers
    )
    assert (answer.status, answer.error["code"]) == (400, -32602)


# Malformed messages


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":' + b'{"a":' * 100_000, -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % (b"x" * 300), -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
    ],
)
async def test_a_malformed_message_is_answered_with_its_fault(body: bytes, code: int) -> None:
    answer = await Client().send(body)
    assert (answer.status, answer.error["code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {}),
        ("tools/call", {"name": 7}),
        ("tools/call", {"name": "greet", "arguments": []}),
        ("tools/call", {"name": "delete"}),
        ("resources/read", {}),
        ("tools/list", {"cursor": "x"}),
        ("initialize", {}),
    ],
)
async def test_wrong_parameters_are_answered_with_their_fault(method: str, params: dict[str, Any]) -> None:
    answer = await Client().old(method, params)
    assert (answer.status, answer.error["code"]) == (200, -32602)


async def test_an_unexpected_error_says_nothing_of_itself() -> None:
    answer = await Client().old("tools/call", {"name": "break"})
    assert (answer.status, answer.error) == (
        200,
        {"code": -32603, "message": "The server failed to answer this request."},
    )


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(repr)
)
def test_no_bytes_break_a_server(body: bytes | str) -> None:
    answer = asyncio.run(Client().send(body if isinstance(body, bytes) else body.encode("utf-8", "replace")))
    assert answer.status in (200, 202, 400)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.sampled_from(["2.0", "1.0", None]),
            "id": st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
            "method": st.sampled_from(
                ["tools/call", "tools/list", "initialize", "tasks/get", "notifications/cancelled"]
            ),
            "params": st.none()
            | st.dictionaries(
                st.sampled_from(["name", "arguments", "_meta", "taskId", "protocolVersion", "requestId", "cursor"]),
                st.none() | st.integers() | st.text(max_size=5) | st.just(META) | st.just({}) | st.just("greet"),
            ),
            "result": st.none() | st.just({}) | st.integers(),
        },
    ),
    st.dictionaries(
        st.sampled_from(["mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"]),
        st.sampled_from(["2026-07-28", "2025-11-25", "tools/call", "greet", "2025-11-25.-." + "n" * 20]),
    ),
)
def test_no_message_breaks_a_server(message: dict[str, Any], headers: dict[str, str]) -> None:
    assert asyncio.run(Client().send(message, headers)).status in (200, 202, 400, 404)


# Streams, notifications and cancellation


async def until(count: int, answer: Answer) -> None:
    while answer.body.count(b"\n\n") < count:
        await asyncio.sleep(0)


async def test_a_call_that_shows_progress_becomes_a_stream() -> None:
    client = Client(McpTiming(stream_after=60))
    asked = client.old("tools/call", {"name": "slow", "_meta": {"progressToken": "t"}})
    call = asyncio.create_task(asked)
    while not client.service.calls:
        await asyncio.sleep(0)
    client.service.go.set()
    answer = await call
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    first, second, last = answer.messages
    assert first["params"] == {"progressToken": "t", "progress": 1, "message": "half"}
    assert second["params"]["progress"] > 1
    assert last["result"]["content"][0]["text"] == "late"


async def test_a_silent_call_becomes_a_stream_with_comments() -> None:
    client = Client(McpTiming(stream_after=0, ping=0.001))
    answer = Answer()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow"}}).encode()
    accept = [(b"accept", b"text/event-stream")]
    call = asyncio.create_task(client.serving.serve(body, accept, client.service, answer))
    while answer.body.count(b": ping\n\n") < 2:
        await asyncio.sleep(0)
    client.service.go.set()
    await call
    assert answer.result["content"][0]["text"] == "late"
    assert len(answer.messages) == 1  # it asked for no progress


async def test_a_client_that_accepts_no_stream_gets_one_message() -> None:
    client = Client(McpTiming(stream_after=0))
    client.service.go.set()
    answer = await client.send(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "slow", "_meta": {"progressToken": 1}},
        },
        {"accept": "application/json"},
    )
    assert answer.headers["content-type"] == "application/json"


async def test_a_client_that_leaves_ends_its_call() -> None:
    client = Client()
    call = asyncio.create_task(client.old("tools/call", {"name": "wait"}))
    while not client.service.calls:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.service.ended


async def test_a_notification_cancels_only_the_call_of_the_same_caller_and_session() -> None:
    client = Client()
    session = (await client.old("initialize", initialize())).headers["mcp-session-id"]
    call = asyncio.create_task(client.old("tools/call", {"name": "wait"}, number=5, mcp_session_id=session))
    while not client.service.calls:
        await asyncio.sleep(0)

    async def cancel(number: int, owner: str, named: str) -> None:
        notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        assert (await client.send(notice, {"mcp-session-id": named}, owner)).status == 202
        for _ in range(5):
            await asyncio.sleep(0)

    await cancel(5, "bob", session)
    await cancel(6, "ann", session)
    await cancel(5, "ann", session.replace("n" * 24, "m" * 24))
    assert not client.service.ended
    await cancel(5, "ann", session)
    assert client.service.ended
    assert (await call).status == 202


async def test_notifications_are_accepted() -> None:
    for method in ("notifications/initialized", "notifications/roots/list_changed", "nonsense"):
        answer = await Client().send({"jsonrpc": "2.0", "method": method})
        assert (answer.status, answer.body) == (202, b"")


# Idempotency keys


def test_ids_are_keys_only_where_they_are_unique() -> None:
    session, other = (McpSession("2025-11-25", elicitation=False, nonce=letter * 24) for letter in "ab")
    assert key_of(1, None) is None  # the ids of a client begin again at 1 in each of its processes
    assert key_of("1", None) is None
    assert key_of("req-0000000000000000000000000000000001", None) is None
    assert key_of("0195d6a8-7c1a-7b52-9c1d-2f6a3f1d7e10", None) is not None
    keys = [key_of(1, session), key_of("1", session), key_of(2, session), key_of(1, other)]
    assert len(set(keys)) == 4
    assert key_of(1, session) == key_of(1, session)
    assert all(key is not None and key.isascii() and key.isprintable() and len(key) < 100 for key in keys)


async def test_a_key_of_the_client_wins() -> None:
    client = Client()
    await client.old("tools/call", {"name": "greet"}, idempotency_key="mine")
    assert client.service.calls[0].key == "mine"


@given(st.text())
def test_values_of_header_fields_survive_their_encoding(text: str) -> None:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    assert decoded(f"=?base64?{encoded}?=") == text.encode("utf-8", "replace").decode()


async def test_an_error_may_bring_a_status_and_fields() -> None:
    class Refusing(Service):
        async def tools(self) -> Sequence[ServedTool]:
            raise ServedError(-32000, "Later.", {"code": "RATE_LIMITED"}, status=429, headers=((b"retry-after", b"1"),))

    client = Client()
    client.service = Refusing()
    answer = await client.old("tools/list")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
