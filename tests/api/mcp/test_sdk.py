"""The Python SDK as a client of ``/mcp``, in both eras: it starts a run, reads its answer, and shows forms."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Result
from pydantic import ConfigDict

from tests.api.callers import ROLES
from tests.support.api import Json
from tests.support.model import Profile, acting, call
from tests.support.server import Server
from tests.support.vouched import VOUCHED

pytestmark = pytest.mark.sqlite

Era: TypeAlias = Literal["auto", "legacy"]
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])
SPOKEN = {"auto": "2026-07-28", "legacy": "2025-11-25"}
QUESTION = call("ask_user", question="Which branch?", options=["main", "next"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with roles, whose provider ``openai`` asks a question and then answers."""
    with acting([QUESTION, "It is main."]) as model:
        settings = {"openai_base_url": model.url, "openai_api_key": "sk-of-tests", "default_provider": "mock"}
        roles = {"auth_identity_role_map": ROLES} | VOUCHED
        with Server(tmp_path_factory.mktemp("sdk"), **settings, **roles) as started:
            yield started


@asynccontextmanager
async def connected(server: Server, era: Era, identity: str = "otto", **options: Any) -> AsyncIterator[Client]:
    """Yield a client with an identity."""
    headers = {"x-athena-identity": identity, "x-athena-proxy-secret": VOUCHED["auth_proxy_secret"]}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(server.url + "/mcp", http_client=http)
        async with Client(transport, mode=era, **options) as client:
            yield client


def text_of(result: types.CallToolResult) -> Any:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    assert not result.is_error, content.text
    assert result.structured_content == json.loads(content.text)
    return result.structured_content


@ERAS
async def test_a_client_starts_a_run_and_reads_its_answer(server: Server, era: Era) -> None:
    async with connected(server, era) as client:
        assert client.protocol_version == SPOKEN[era]
        assert client.server_info is not None
        assert client.server_info.name == "athena"
        assert len((await client.list_tools()).tools) >= 15
        run = text_of(await client.call_tool("start_run", {"input": f"hello {era}"}))
        assert run["status"] == "completed"
        assert f"hello {era}" in run["output"]
        uri = f"athena://runs/{run['runId']}"
        assert uri in [str(found.uri) for found in (await client.list_resources()).resources]
        (content,) = (await client.read_resource(uri)).contents
        assert isinstance(content, types.TextResourceContents)
        assert json.loads(content.text)["output"] == run["output"]
        assert len((await client.list_resource_templates()).resource_templates) == 2


@ERAS
async def test_answers_are_data_as_their_tools_declare(server: Server, era: Era) -> None:
    """The client checks each structured answer against the schema that the tool is listed with."""
    async with connected(server, era) as client:
        listed = (await client.list_tools()).tools
        assert all(tool.output_schema for tool in listed)
        run = text_of(await client.call_tool("start_run", {"input": f"data {era}"}))
        for tool in listed:
            if tool.annotations is not None and tool.annotations.read_only_hint:
                given = {"runId": run["runId"], "sessionId": run["sessionId"], "query": "pears"}
                required = tool.input_schema.get("required", ())
                if given.keys() >= set(required):
                    text_of(await client.call_tool(tool.name, {name: given[name] for name in required}))


@ERAS
async def test_a_viewer_is_shown_no_tool_that_it_may_not_use(server: Server, era: Era) -> None:
    async with connected(server, era, "vera") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert "get_run" in names
    assert "cancel_run" not in names


@ERAS
@pytest.mark.parametrize("hold_ms", [0, 60_000])
async def test_a_client_that_shows_forms_answers_what_a_run_asks(server: Server, era: Era, hold_ms: int) -> None:
    body = Profile(tools=("shell", "files", "ask_user"), asks={"holdMs": hold_ms}).body
    profile = server.client("ada").post("/harness-profiles", body)
    asked: list[types.ElicitRequestParams] = []

    async def show(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params)
        assert isinstance(params, types.ElicitRequestFormParams)
        (choice,) = [
            part for part in params.requested_schema["properties"]["optionId"]["oneOf"] if part["title"] == "main"
        ]
        return types.ElicitResult(action="accept", content={"optionId": choice["const"]})

    async with connected(server, era, elicitation_callback=show) as client:
        run = text_of(await client.call_tool("start_run", {"input": "go", "harnessProfileId": profile["id"]}))
        while run["status"] in ("queued", "running", "paused"):
            run = text_of(await client.call_tool("wait_for_run", {"runId": run["runId"]}))
    assert (run["status"], run["output"]) == ("completed", "It is main.")
    assert ["Which branch?" in one.message for one in asked] == [True]
    (ask,) = server.client("ada").items("/asks", runId=run["runId"], status="answered")
    assert ask["decidedBy"] == "otto"


@ERAS
async def test_a_client_without_forms_is_shown_the_ask(server: Server, era: Era) -> None:
    body = Profile(tools=("shell", "files", "ask_user"), asks={"holdMs": 0}).body
    profile = server.client("ada").post("/harness-profiles", body)["id"]
    async with connected(server, era) as client:
        run = text_of(await client.call_tool("start_run", {"input": "go", "harnessProfileId": profile}))
        (ask,) = run["asks"]
        option = next(option["id"] for option in ask["options"] if option.get("name") == "next")
        answer = {"askId": ask["id"], "subjectHash": ask["subjectHash"], "optionId": option}
        text_of(await client.call_tool("answer_ask", answer))
        ended = text_of(await client.call_tool("wait_for_run", {"runId": run["runId"]}))
    assert ended["status"] == "completed"


class Created(Result):
    """A task as the answer to a call."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    result_type: Literal["task"] = "task"


class Got(Result):
    """A task as the answer to the request that polls it."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class GetTask(types.Request[dict[str, Any], Literal["tasks/get"]]):
    """The request that polls a task."""

    name_param = "taskId"
    method: Literal["tasks/get"] = "tasks/get"
    params: dict[str, Any]


class Tasks(ClientExtension):
    """The extension of tasks, as a client polls them."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Created, resolve=self.resolve)]

    async def resolve(self, created: Created, context: ClaimContext) -> types.CallToolResult:
        task: Json = created.model_dump(by_alias=True)
        while task["status"] == "working":
            self.seen.append(task["status"])
            await anyio.sleep(0.01)
            got = await context.session.send_request(
                GetTask(method="tasks/get", params={"taskId": task["taskId"]}), Got
            )
            task = got.model_dump(by_alias=True)
        self.seen.append(task["status"])
        return types.CallToolResult.model_validate(task["result"])


async def test_a_client_that_knows_tasks_gets_a_run_as_one(server: Server) -> None:
    tasks = Tasks()
    async with connected(server, "auto", extensions=[tasks]) as client:
        run = text_of(await client.call_tool("start_run", {"input": "hello task"}))
    assert run["status"] == "completed"
    assert tasks.seen[-1] == "completed"
