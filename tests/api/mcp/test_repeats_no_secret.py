"""A caller of ``/mcp`` that sends a token where it does not belong does not get it back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_core.mcp.versions import CAPABILITIES_KEY, MODERN, VERSION_KEY
from tests.support.inside import Inside, plane_on
from tests.support.mcp_posts import ACCEPT, CAPABILITIES, McpPost, handshake, message, modern, post

TOKEN = "ath_01M8TR13XNAVB5N4YKXXW4BC7X_" + "Zq7-" * 10 + "abc"
PIECE = "Zq7-Zq7-"
"""A piece of its secret."""
META = {VERSION_KEY: MODERN, CAPABILITIES_KEY: CAPABILITIES}


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with plane_on(tmp_path_factory.mktemp("mcp")) as found:
        yield found


def sent_in_the_head() -> list[McpPost]:
    listed, called = modern("tools/list"), modern("tools/call", name="get_run", arguments={"runId": "run_1"})
    fields = ("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "idempotency-key", "traceparent")
    heads = [McpPost({**asked.headers, name: TOKEN}, asked.body) for asked in (listed, called) for name in fields]
    before = handshake("tools/list")
    return heads + [McpPost({**before.headers, name: TOKEN}, before.body) for name in fields]


def sent_in_the_body() -> list[McpPost]:
    def asked(method: str, params: Any, number: Any = 1, **head: str) -> McpPost:
        fields = {"mcp-protocol-version": MODERN, "mcp-method": method, "accept": ACCEPT, **head}
        return McpPost(fields, message(number, method, params))

    version = {**META, VERSION_KEY: TOKEN}
    call: dict[str, Any] = {"_meta": META, "name": "get_run", "arguments": {"runId": TOKEN}}
    return [
        asked("tools/list", {"_meta": META}, TOKEN),
        handshake("tools/list", TOKEN),
        asked(TOKEN, {"_meta": META}),
        asked("tools/list", {"_meta": version}, **{"mcp-protocol-version": TOKEN}),
        asked("tools/list", {"_meta": META, "cursor": TOKEN}),
        *(
            modern("tools/call", name=before + TOKEN, arguments={})
            for before in ("", "x" * 89 + "/", "x" * 119 + "/", "x" * 500 + "/")
        ),
        *(
            modern("resources/read", uri=before + TOKEN)
            for before in ("", "athena://runs/", "x" * 209 + "/", "x" * 249 + "/")
        ),
        modern("tasks/get", taskId=TOKEN),
        modern("tasks/update", taskId=TOKEN, inputResponses={TOKEN: {"action": "accept"}}),
        asked("tools/call", call, **{"mcp-name": "get_run"}),
        asked("tools/call", call | {"arguments": {TOKEN: 1}}, **{"mcp-name": "get_run"}),
        asked("tools/call", call | {"arguments": {"runId": {"a": TOKEN}}}, **{"mcp-name": "get_run"}),
        asked("tools/call", call | {"requestState": TOKEN}, **{"mcp-name": "get_run"}),
        handshake("initialize", protocolVersion=TOKEN, capabilities={}, clientInfo={"name": TOKEN, "version": TOKEN}),
        McpPost({"accept": ACCEPT}, json.dumps({"jsonrpc": TOKEN, "id": 1, "method": "ping"}).encode()),
        McpPost({"accept": ACCEPT}, json.dumps({"jsonrpc": "2.0", "id": TOKEN, "result": {"action": TOKEN}}).encode()),
    ]


@pytest.mark.parametrize("asked", [*sent_in_the_head(), *sent_in_the_body()])
def test_no_answer_repeats_a_token(inside: Inside, asked: McpPost) -> None:
    answer: httpx2.Response = post(inside, asked)
    assert PIECE not in answer.text, answer.text
    assert PIECE not in repr(answer.headers.raw)
    assert answer.status_code < 500


def test_the_progress_of_a_call_repeats_no_token(inside: Inside, tmp_path: Path) -> None:
    params = {"_meta": {**META, "progressToken": TOKEN}, "name": "start_run", "arguments": {"input": "hi"}}
    fields = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "start_run", "accept": ACCEPT}
    answer = post(inside, McpPost(fields, message(1, "tools/call", params)))
    assert PIECE not in answer.text, answer.text
