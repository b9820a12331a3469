"""Tests of the calls of a turn, merged from updates as the four agents send them."""

from typing import Any

import msgspec
import pytest

from athena_core.agents.acp_messages import PermissionRequest, ToolCallUpdate
from athena_core.agents.tool_calls import CALLS_MAX, TERMINAL_CHARS_MAX, AgentToolCall, FileChange, ToolCalls
from athena_core.rpc.peer import ProtocolBroken


def update(**members: Any) -> ToolCallUpdate:
    return msgspec.convert({"toolCallId": "t", "sessionUpdate": "tool_call_update", **members}, ToolCallUpdate)


def merged(*updates: ToolCallUpdate) -> AgentToolCall:
    calls = ToolCalls()
    for one in updates:
        calls.update(one)
    (call,) = calls
    return call


def test_a_part_that_is_absent_or_null_stays() -> None:
    call = merged(
        update(title="Terminal", kind="execute", rawInput={}),
        update(title="echo", rawInput={"command": "echo"}, status="in_progress"),
        update(title=None, status="completed", content=None, unknown={"a": 1}),
    )
    assert (call.title, call.kind, call.status) == ("echo", "execute", "completed")
    assert call.raw_input == {"command": "echo"}


def test_a_call_that_is_in_progress_may_still_ask() -> None:
    call = merged(update(status="in_progress"))
    assert not call.ran
    assert merged(update(status="failed")).ran
    assert merged(update(status="in_progress", rawOutput={"output": "x"})).ran


def test_a_call_that_ended_stays_ended() -> None:
    assert merged(update(status="failed"), update(status="in_progress")).status == "failed"


def test_the_id_of_a_call_that_ended_may_begin_another_one() -> None:
    calls = ToolCalls()
    first = calls.update(update(rawInput={"command": "one"}, status="completed", rawOutput="1"))
    assert calls.update(update(status="in_progress")) is first, "a late word about it"
    second = calls.update(update(sessionUpdate="tool_call", rawInput={"command": "two"}))
    assert second is not first
    assert (second.raw_input, second.status, second.raw_output) == ({"command": "two"}, "pending", None)
    calls.update(update(status="failed"))
    asked = {"sessionId": "s", "toolCall": {"toolCallId": "t", "rawInput": {"command": "three"}}, "options": []}
    third = calls.ask(msgspec.convert(asked, PermissionRequest))
    assert (third.raw_input, third.status, first.status, second.status) == (
        {"command": "three"},
        "pending",
        "completed",
        "failed",
    )


def test_a_request_for_a_permission_can_be_the_first_message() -> None:
    asked = msgspec.convert(
        {
            "sessionId": "s",
            "toolCall": {"toolCallId": "t", "title": "rm", "status": "pending", "locations": []},
            "options": [
                {"optionId": "a", "name": "Always", "kind": "allow_always"},
                {"optionId": "b", "name": "Yes", "kind": "allow_once"},
                {"optionId": "c", "name": "New", "kind": "unheard_of"},
            ],
        },
        PermissionRequest,
    )
    call = ToolCalls().ask(asked)
    assert (call.asked, call.title, call.ran) == (True, "rm", False)
    allowed = asked.option("allow_once")
    assert allowed
    assert allowed.option_id == "b"
    assert asked.option("reject_once") is None


@pytest.mark.parametrize(
    ("members", "output"),
    [
        ({"content": [{"type": "content", "content": {"type": "text", "text": "a"}}, {"type": "terminal"}]}, "a"),
        ({"content": [], "rawOutput": "(no output)"}, "(no output)"),
        ({"rawOutput": {"output": "x"}}, '{"output":"x"}'),
        ({"_meta": {"terminal_output_delta": {"data": "one"}}}, "one"),
        ({"_meta": {"terminal_output": {"data": "one"}}}, "one"),
        ({"_meta": {"terminal_output": {"data": 1}}}, ""),
        ({"_meta": {"terminal_output": "one"}}, ""),
        ({"content": [{"type": "content", "content": {"type": "image", "data": "…"}}]}, ""),
        ({}, ""),
    ],
)
def test_the_output_is_text(members: dict[str, Any], output: str) -> None:
    assert merged(update(**members)).output.exact == output


def test_a_description_before_the_call_is_not_its_output() -> None:
    described = {"type": "content", "content": {"type": "text", "text": "run it"}}
    diff = {"type": "diff", "path": "/a", "oldText": None, "newText": "x"}
    call = merged(update(content=[described, diff]), update(status="completed", rawOutput="(no output)"))
    assert call.output.exact == "(no output)"
    assert len(list(call.changes)) == 1


def test_changes_of_files_are_found() -> None:
    diff = {"type": "diff", "path": "/a", "oldText": None, "newText": "x", "_meta": {"kind": "add"}}
    call = merged(update(content=[diff, {**diff, "oldText": "w"}, {**diff, "newText": 1}, {"type": "diff"}]))
    assert list(call.changes) == [FileChange("/a", None, "x"), FileChange("/a", "w", "x")]


def test_only_the_end_of_a_terminal_is_kept() -> None:
    piece = update(_meta={"terminal_output_delta": {"data": "x" * TERMINAL_CHARS_MAX + "the end"}})
    call = merged(piece, piece)
    assert len(call.output.exact) == TERMINAL_CHARS_MAX
    assert call.output.exact.endswith("xthe end")


def test_the_number_of_calls_is_limited() -> None:
    calls = ToolCalls()
    for number in range(CALLS_MAX):
        calls.update(update(toolCallId=str(number)))
    calls.update(update(toolCallId="0"))
    with pytest.raises(ProtocolBroken, match=f"more than {CALLS_MAX} tool calls"):
        calls.update(update(toolCallId="one more"))
