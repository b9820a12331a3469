"""``/mcp`` over HTTP: the callers, rights and limits of the API, resources, tasks, and no state between requests."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from athena_api.mcp import resources
from athena_api.mcp.dispatch import Dispatch, DispatchedAnswer
from tests.support.api import Json
from tests.support.gate import Gates
from tests.support.mcp_caller import TASKS, McpRefused, McpWire, messages_of
from tests.support.server import Server

ROLES = "ada:Admin,otto:Operator,vera:Viewer,mallory:None"

pytestmark = pytest.mark.sqlite  # the log is below the operations, whose tests use both stores


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, shared_gates: Gates, shared_store: dict[str, str]
) -> Iterator[Server]:
    """A server with roles, whose provider ``local-exec`` is the gated one."""
    local = {name: value for name, value in shared_gates.settings.items() if name.startswith("local")}
    settings = {"auth_enabled": "true", "auth_identity_role_map": ROLES, "requests_per_second": "1000000"}
    with Server(tmp_path_factory.mktemp("guarded"), **settings, **local, **shared_store) as server:
        yield server


def wire(server: Server, identity: str = "otto", capabilities: Any = None, **headers: str) -> McpWire:
    return McpWire(server.client(identity), capabilities, **headers)


# The transport


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_messages_are_posted(shared: Server, method: str) -> None:
    answer = shared.api.http.request(method, shared.url + "/mcp", headers={"accept": "text/event-stream"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_a_page_of_an_allowed_site_may_read_the_session(serve: Any) -> None:
    server = serve(allowed_origins="https://inspector.example")
    asked = "mcp-protocol-version, mcp-session-id"
    headers = {
        "origin": "https://inspector.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    preflight = server.api.http.request("OPTIONS", server.url + "/mcp", headers=headers)
    assert {"mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"} <= set(
        preflight.headers["access-control-allow-headers"].split(", ")
    )
    caller = McpWire(server.api, origin="https://inspector.example")
    answer = caller.post(caller.message("server/discover"))
    assert "mcp-session-id" in answer.headers["access-control-expose-headers"]


# Callers


def test_every_message_needs_an_identity(guarded: Server) -> None:
    stranger = McpWire(guarded.client())
    assert stranger.post(stranger.message("server/discover")).status_code == 401
    session = wire(guarded)
    session.initialize()
    stolen = McpWire(guarded.client(), mcp_session_id=str(session.session))
    stolen.session = session.session
    assert stolen.post(stolen.message("tools/list")).status_code == 401


def test_an_identity_without_a_role_is_denied_and_recorded(guarded: Server) -> None:
    with pytest.raises(McpRefused) as refused:
        wire(guarded, "mallory").ask("server/discover")
    assert (refused.value.status, refused.value.data["code"]) == (403, "AUTHZ_DENIED")
    denied, _ = guarded.client("ada").events(traceId=refused.value.data["traceId"])
    assert (denied["type"], denied["payload"]["operation"]) == ("authz.denied", "useMcp")


# Resources


def test_runs_are_resources(guarded: Server) -> None:
    ran = guarded.client("otto").run("hello resources")
    caller = wire(guarded, "vera")
    uri = f"athena://runs/{ran['runId']}"
    assert uri in [found["uri"] for found in caller.ask("resources/list")["resources"]]
    templates = caller.ask("resources/templates/list")["resourceTemplates"]
    assert [found["uriTemplate"] for found in templates] == [
        "athena://runs/{runId}",
        "athena://runs/{runId}/transcript",
    ]
    (content,) = caller.ask("resources/read", {"uri": uri})["contents"]
    assert json.loads(content["text"])["output"] == ran["output"]
    (content,) = caller.ask("resources/read", {"uri": uri + "/transcript"})["contents"]
    entries = json.loads(content["text"])["entries"]
    assert [entry["role"] for entry in entries] == ["user", "assistant"]


# Tasks


def test_a_run_is_a_task(guarded: Server, shared_gates: Gates) -> None:
    gate = shared_gates["mcp-task"]
    run = guarded.client("otto").start(gate.order, provider="local-exec")
    caller = wire(guarded, capabilities=TASKS)
    gate.arrival()
    working = caller.ask("tasks/get", {"taskId": run["runId"]})
    assert (working["status"], working["resultType"]) == ("working", "complete")
    assert working["createdAt"] == run["createdAt"]
    gate.release()
    guarded.client("otto").get(f"/runs/{run['runId']}", wait=30)
    done = caller.ask("tasks/get", {"taskId": run["runId"]})
    assert done["status"] == "completed"
    assert done["result"]["isError"] is False


def test_a_task_is_cancelled(guarded: Server, shared_gates: Gates) -> None:
    gate = shared_gates["mcp-cancel"]
    run = guarded.client("otto").start(gate.order, provider="local-exec")
    gate.arrival()
    with pytest.raises(McpRefused) as refused:
        wire(guarded, "vera", TASKS).ask("tasks/cancel", {"taskId": run["runId"]})
    assert refused.value.data["code"] == "AUTHZ_DENIED"
    assert wire(guarded, capabilities=TASKS).ask("tasks/cancel", {"taskId": run["runId"]})["resultType"] == "complete"
    guarded.client("otto").get(f"/runs/{run['runId']}", wait=30)
    assert wire(guarded, capabilities=TASKS).ask("tasks/get", {"taskId": run["runId"]})["status"] == "cancelled"


# Repeated requests


def runs_of(server: Server, session: str) -> list[str]:
    return [run["runId"] for run in server.client("ada").items("/runs", sessionId=session)]


def start(caller: McpWire, session: str, request_id: int | str) -> Json:
    arguments = {"input": "hello", "sessionId": session}
    return caller.message("tools/call", {"name": "start_run", "arguments": arguments}, request_id)


def run_id_of(answer: httpx2.Response) -> str:
    return str(json.loads(messages_of(answer)[-1]["result"]["content"][0]["text"])["runId"])


def test_a_request_that_is_sent_again_in_its_session_starts_one_run(guarded: Server) -> None:
    caller = wire(guarded)
    caller.initialize()
    first, again = (caller.post(start(caller, "repeated", 7)) for _ in range(2))
    assert run_id_of(first) == run_id_of(again)
    assert runs_of(guarded, "repeated") == [run_id_of(first)]


def test_another_process_with_the_same_ids_starts_runs_of_its_own(guarded: Server) -> None:
    for _ in range(2):
        caller = wire(guarded)
        caller.initialize()
        caller.post(start(caller, "counted", 7))
        modern = wire(guarded)
        modern.post(start(modern, "counted", 7))
    assert len(runs_of(guarded, "counted")) == 4


def test_a_stolen_session_replays_nothing_of_another_caller(guarded: Server) -> None:
    caller = wire(guarded)
    caller.initialize()
    mine = run_id_of(caller.post(start(caller, "stolen", 7)))
    thief = McpWire(guarded.client("ada"), mcp_session_id=str(caller.session))
    thief.session = caller.session
    assert run_id_of(thief.post(start(thief, "stolen", 7))) != mine


def test_a_key_of_the_client_is_a_key(guarded: Server) -> None:
    caller = wire(guarded)
    answers = [caller.post(start(caller, "keyed", number), idempotency_key="mine") for number in (1, 2)]
    assert len({run_id_of(answer) for answer in answers}) == len(runs_of(guarded, "keyed")) == 1
    other = start(caller, "another", 3)
    refused = caller.post(other, idempotency_key="mine")
    assert messages_of(refused)[-1]["result"]["isError"]
    assert not runs_of(guarded, "another")


class Records(Dispatch):
    """Answers each request with the same record."""

    def __init__(self, data: Json) -> None:
        self.data = data

    async def request(self, *_: Any, **__: Any) -> DispatchedAnswer:
        return DispatchedAnswer(200, self.data, None)


@pytest.mark.parametrize("suffix", ["", "/transcript"])
async def test_a_long_text_is_cut_in_a_resource(suffix: str) -> None:
    text = "x" * 300_000
    entries = [{"runId": "run_1", "content": text}, {"runId": "run_2", "content": text}]
    records = Records({"runId": "run_1", "sessionId": "s", "output": text, "items": entries})
    found = await resources.read(records, f"athena://runs/run_1{suffix}")
    assert len(found.text) < resources.RESOURCE_BYTES_MAX
    assert "[cut: " in found.text


# Sessions and servers


def test_the_access_log_and_the_metrics_count_the_door(guarded: Server) -> None:
    wire(guarded).ask("server/discover")
    metrics = guarded.client("ada").http.get(guarded.url + "/metrics").text
    assert 'route="/mcp"' in metrics
