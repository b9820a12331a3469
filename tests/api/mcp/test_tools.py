"""The tools of ``/mcp``: what they cost the caller, and that a run is started, awaited and read with them."""

import json
import re
from threading import Thread
from typing import Any

import pytest
from jsonschema_rs import validator_for

from athena_api.document.examples import EXAMPLES
from athena_api.document.schemas import Schemas
from athena_api.endpoint.operation import Operation
from athena_api.mcp import bounded, tools
from athena_api.mcp.run_text import run_result, workflow_result, workflow_started
from athena_api.operations import OPERATIONS
from athena_core.mcp.versions import INVALID_PARAMS
from tests.support.api import PATIENCE_SECONDS, Json
from tests.support.gate import Gates
from tests.support.mcp_caller import McpRefused
from tests.support.server import Server
from tests.support.tool_caller import ToolCaller, output_schemas
from tests.support.workflow_builder import Builder

LIST_BYTES_MAX = 12_000
"""What the tools may take of the context of a caller's model."""
OUTPUT_BYTES_MAX = 42_000
"""What the schemas of all answers may take of a list of tools. Clients keep them from their models."""


@pytest.fixture(scope="module", params=[False, True], ids=["2025-11-25", "2026-07-28"])
def caller(request: pytest.FixtureRequest, shared: Server) -> ToolCaller:
    return caller_of(shared, modern=request.param)


def caller_of(server: Server, *, modern: bool = False) -> ToolCaller:
    return ToolCaller(server.client(), modern=modern)


# What they cost, and what they are made of


def test_the_list_of_all_tools_is_small(caller: ToolCaller) -> None:
    listed = caller.tools()
    assert len(listed) == len(tools.tools()) >= 15
    outputs = [tool.pop("outputSchema") for tool in listed]
    size = len(json.dumps(listed, separators=(",", ":")))
    assert size < LIST_BYTES_MAX, f"{size} bytes: shorten tool_words.py, or leave out parameters"
    assert {output["type"] for output in outputs} == {"object"}, "clients demand it"
    assert len(json.dumps(outputs, separators=(",", ":"))) < OUTPUT_BYTES_MAX


def test_each_row_that_opts_in_is_a_tool_with_the_arguments_of_its_operation() -> None:
    rows = {row.mcp: row for row in OPERATIONS if row.mcp}
    assert rows.keys() == tools.tools().keys() - {"wait_for_run"}
    for name, tool in tools.tools().items():
        schema: Any = tool.served.input_schema
        validator_for(schema)
        assert set(schema.get("required", ())) <= schema["properties"].keys(), name
        for part in tool.input.path:
            assert part in schema["required"], f"{name} cannot fill its path without {part}"
        assert "$ref" not in json.dumps(schema), "no model follows references"
        hints: Any = tool.served.annotations
        assert ("readOnlyHint" in hints) == (tool.operation.method == "GET" or name == "simulate_policy"), name


# A run from start to answer


def test_a_run_is_started_and_its_answer_read(caller: ToolCaller) -> None:
    run = caller.use("start_run", input="pears").data
    assert (run["status"], run["output"]) == ("completed", "Echo: user: pears")
    assert caller.use("get_run", runId=run["runId"]).data["output"] == run["output"]
    assert caller.use("wait_for_run", runId=run["runId"]).data["output"] == run["output"]
    entries = caller.use("get_transcript", sessionId=run["sessionId"]).data["items"]
    assert [entry["content"] for entry in entries] == ["pears", "Echo: user: pears"]
    again = caller.use("retry_run", runId=run["runId"], input="plums").data
    assert (again["retryOf"], again["status"]) == (run["runId"], "completed")
    assert run["runId"] in [one["runId"] for one in caller.use("list_runs", sessionId=run["sessionId"]).data["items"]]
    assert caller.use("explain_run", runId=run["runId"]).data["causes"]
    events = caller.use("read_events", runId=run["runId"], types=["run.created", "run.completed"], limit=1).data
    assert [event["type"] for event in events["events"]] == ["run.created"]
    events = caller.use("read_events", runId=run["runId"], types=["run.completed"], cursor=events["cursor"]).data
    assert [event["type"] for event in events["events"]] == ["run.completed"]


def test_a_name_stands_for_an_id_and_several_are_refused_with_their_ids(shared: Server, caller: ToolCaller) -> None:
    policies = {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0}
    body = {"version": "v1", "config": {"provider": "mock", "model": "mock", "tools": ["none"]}, "policies": policies}
    name = f"Scribe {id(caller)}"
    known = shared.api.post("/harness-profiles", {"displayName": name, **body})["id"]
    run = caller.use("start_run", input="hello", harnessProfileId=name.lower()).data
    assert run["runId"] in [
        one["runId"] for one in caller.use("list_runs", harnessProfileId=name.upper()).data["items"]
    ]
    assert shared.api.get(f"/runs/{run['runId']}")["harnessProfileId"] == known
    assert caller.use("list_runs", harnessProfileId=f"{name}!").failed["error"]["code"] == "NOT_FOUND"
    other = shared.api.post("/harness-profiles", {"displayName": name.upper(), **body})["id"]
    error = caller.use("start_run", input="hello", harnessProfileId=name).failed["error"]
    assert error["code"] == "AMBIGUOUS_NAME"
    assert {known, other} <= set(re.findall(r"hp_\w+", error["message"]))


def test_every_other_tool_answers(caller: ToolCaller) -> None:
    for name in ("list_sessions", "list_asks", "list_schedules"):
        assert "items" in caller.use(name).data
    assert caller.use("search_memory", query="pears").data == {"items": []}
    assert caller.use("simulate_policy", policy={"schemaVersion": 1}).data["truncated"] is False
    assert caller.use("cancel_run", runId="run_none").data["status"] == "not-running"
    calls: tuple[tuple[str, Json], ...] = (
        ("get_workflow_run", {"id": "none"}),
        ("run_workflow", {"workflowId": "none"}),
        ("answer_ask", {"askId": "none", "subjectHash": "h", "optionId": "allow"}),
        ("wait_for_run", {"runId": "run_none"}),
        ("wait_for_run", {"runId": "../sessions"}),
    )
    for name, arguments in calls:
        assert caller.use(name, **arguments).failed["error"]["code"] in ("NOT_FOUND", "CONFIG_ERROR"), name


def test_a_workflow_runs_and_its_progress_is_read(caller: ToolCaller, shared: Server) -> None:
    workflow_id = Builder(shared.api).chain("a")
    run = caller.use("run_workflow", workflowId=workflow_id).data
    assert run["workflowId"] == workflow_id
    ended = caller.use("wait_for_run", runId=run["runId"]).data
    assert (ended["status"], [node["status"] for node in ended["nodes"]]) == ("ok", ["ok"])
    assert caller.use("get_workflow_run", id=run["runId"]).data["artifactRefs"] == ended["artifactRefs"]


def test_a_wait_shows_what_the_model_writes_and_ends_with_the_run(
    caller: ToolCaller, shared: Server, shared_gates: Gates, request: pytest.FixtureRequest
) -> None:
    name = f"words{request.node.callspec.indices['caller']}"
    gate = shared_gates[name]
    run = caller.use("start_run", input=f"tell {name} one two", provider="local-exec", waitSeconds=0).data
    assert run["status"] in ("queued", "running")
    assert "wait_for_run" in run["next"]
    session = shared.api.get(f"/runs/{run['runId']}")["sessionId"]
    with shared.api.stream(f"/sessions/{session}/transcript/stream") as frames:
        next(frame for frame in frames if frame.event == "transcript.delta")  # "one" is written
    late = caller.use("wait_for_run", runId=run["runId"], waitSeconds=1)
    assert late.data["status"] == "running"
    assert "wait_for_run" in late.data["next"]
    found: list[Any] = []
    waiting = Thread(target=lambda: found.append(caller.use("wait_for_run", runId=run["runId"], waitSeconds=50)))
    waiting.start()
    gate.release(2)
    waiting.join(PATIENCE_SECONDS)
    (ended,) = found
    assert (ended.data["status"], ended.data["output"]) == ("completed", "one two ")
    assert any("one" in message for message in late.progress), late.progress


def test_a_run_that_fails_or_is_cancelled_is_an_error_that_says_what_to_do(
    caller: ToolCaller, shared_gates: Gates, request: pytest.FixtureRequest
) -> None:
    failed = caller.use("start_run", input="fail", provider="local-exec").failed
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "PROVIDER_ERROR"
    assert "retry_run" in failed["next"]
    assert caller.use("get_run", runId=failed["runId"]).data["status"] == "failed", "get_run did what it should"
    gate = shared_gates[f"cancelled{request.node.callspec.indices['caller']}"]
    run = caller.use("start_run", input=gate.order, provider="local-exec", waitSeconds=0).data
    gate.arrival()
    assert caller.use("cancel_run", runId=run["runId"], reason="enough").data["status"] == "cancelled"
    assert caller.use("wait_for_run", runId=run["runId"]).failed["status"] == "cancelled"


# Bad calls


BAD_CALLS: tuple[tuple[str, Json, str], ...] = (
    ("get_run", {}, "get_run requires runId."),
    ("get_run", {"runId": None}, "get_run requires runId."),
    ("get_run", {"runId": "r", "wait": 3}, "get_run has no argument wait. It takes: runId, outputFrom."),
    ("get_run", {"runId": ""}, "runId must be a text or a number, and not empty."),
    ("get_run", {"runId": ["a"]}, "no run 'a' exists"),
    ("get_run", {"runId": {"a": 1}}, "runId must be a text or a number, and not empty."),
    ("wait_for_run", {"runId": "r", "waitSeconds": -1}, "waitSeconds must be a whole number, 0 or more."),
    ("wait_for_run", {"runId": "r", "waitSeconds": "soon"}, "waitSeconds must be a whole number, 0 or more."),
    ("start_run", {"input": "a", "waitSeconds": True}, "waitSeconds must be a whole number, 0 or more."),
    ("start_run", {}, "CONFIG_ERROR"),
    ("list_runs", {"status": "odd"}, "CONFIG_ERROR"),
    ("list_sessions", {"cursor": "odd"}, "CURSOR"),
    ("read_events", {"types": ["run.creatd"]}, "run.created"),
    ("simulate_policy", {"policy": {"schemaVersion": 1, "max": 3}}, "CONFIG_ERROR"),
)


def test_a_bad_call_gets_a_sentence_for_the_model(caller: ToolCaller) -> None:
    for tool, arguments, sentence in BAD_CALLS:
        called = caller.use(tool, **arguments)
        assert called.result["isError"], (tool, arguments)
        assert sentence in called.text, (tool, arguments)


def test_an_unknown_tool_is_an_error_of_the_protocol(caller: ToolCaller) -> None:
    with pytest.raises(McpRefused) as refused:
        caller.use("delete_everything")
    assert refused.value.code == INVALID_PARAMS


# Bounded answers


def test_a_long_output_is_read_in_parts(shared: Server) -> None:
    caller = caller_of(shared)
    said = "".join(f"{number:06}é" for number in range(4_000))
    run = caller.use("start_run", input=said).data
    whole, parts = f"Echo: user: {said}", [run["output"]]
    assert len(json.dumps(run)) < 2 * bounded.ANSWER_BYTES_MAX
    while sum(map(len, parts)) < len(whole):
        reached = sum(map(len, parts))
        assert f"outputFrom={reached}" in run["next"]
        run = caller.use("get_run", runId=run["runId"], outputFrom=reached).data
        parts.append(run["output"])
    assert "".join(parts) == whole
    assert "next" not in run


def test_answers_stay_within_their_limit_whatever_they_hold() -> None:
    texts = [{"id": number, "content": "é" * 5_000} for number in range(50)]
    for answer in (
        {"items": texts},
        texts,
        {"items": [{"id": number} for number in range(50_000)], "nextCursor": "c"},
        {"text": "a" * 1_000_000},
        {name * 10: {"deep": ["x" * 300] * 100} for name in map(str, range(100))},
    ):
        text = bounded.bounded(answer, "Do this.")
        assert len(text.encode()) <= bounded.ANSWER_BYTES_MAX
        assert "Do this." in json.loads(text)["next"]
    cut = json.loads(bounded.bounded({"items": texts}))
    assert len(cut["items"]) == 50
    assert "[cut: 4,800 of 5,000 characters are left out]" in cut["items"][0]["content"]
    fewer = json.loads(bounded.bounded({"items": [{"id": number} for number in range(50_000)], "nextCursor": "c"}))
    assert f"first {len(fewer['items'])} of 50000" in fewer["next"]
    assert "nextCursor" not in fewer, "it would leave out what is not shown"


@pytest.mark.parametrize(("texts", "items"), [(1, 1), (1, 200), (50_000, 3), (2, 0)])
def test_an_answer_of_any_size_is_as_its_schema_says(texts: int, items: int) -> None:
    """The example of each answer in the API document, with longer texts and other numbers of items."""
    for name, tool in tools.tools().items():
        shown = grown(recorded_answer(tool.operation), texts, items)
        if name in ("start_run", "retry_run", "get_run", "wait_for_run"):
            result = run_result(shown)
        elif name in ("run_workflow", "get_workflow_run"):
            result = (workflow_result if "workflow" in shown else workflow_started)(shown)
        else:
            result = bounded.result_of(shown)
        assert len(result.text) <= bounded.ANSWER_BYTES_MAX
        waits = ("wait_for_run",) if name == "get_workflow_run" else ()
        for tool_name in (name, *waits):
            validator_for(output_schemas()[tool_name]).validate(json.loads(bytes(result.structured)))


def recorded_answer(row: Operation[Any, Any]) -> Any:
    """Return the example of the answer that a tool shows."""
    shown = row.accepted or row.answer
    return EXAMPLES[Schemas([shown], ()).envelope(shown)["$ref"].rpartition("/")[2]]["data"]


def grown(value: Any, texts: int, items: int) -> Any:
    """Return an answer with longer texts where they are free, and other numbers of items."""
    if isinstance(value, dict):
        return {name: grown(part, texts, items) for name, part in value.items()}
    if isinstance(value, list):
        return [grown(part, texts, items) for part in value[:1] * items + value[1:] * bool(items)]
    return value * texts if isinstance(value, str) and " " in value else value


def test_what_a_run_needs_next_is_said() -> None:
    run: Json = {"runId": "r", "status": "paused", "paused": {"reason": "budget"}}
    assert "operator" in json.loads(run_result(run).text)["next"]
    waiting: Json = {"runId": "r", "status": "running", "waiting": {"reason": "ask", "asks": ["a"]}}
    assert "may not answer" in json.loads(run_result(waiting).text)["next"]
    ask = {"id": "a", "kind": "choice", "question": "Which?", "subjectHash": "h", "options": []}
    shown = json.loads(run_result(waiting, [ask]).text)
    assert (shown["asks"][0]["subjectHash"], "answer_ask" in shown["next"]) == ("h", True)
    details: Json = {"workflow": {"id": "w"}, "run": {"id": "r", "status": "waiting"}, "nodes": []}
    assert "list_asks" in json.loads(workflow_result(details).text)["next"]
