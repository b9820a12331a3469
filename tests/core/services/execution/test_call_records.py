"""The records of an outside agent's calls: changes of files as diffs, whatever sizes and names the agent reports."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.agents.acp_messages import TextChunk, ToolCallUpdate
from athena_core.agents.tool_calls import TERMINAL_CHARS_MAX, AgentToolCall, ToolCalls
from athena_core.clock import SystemIds
from athena_core.domain import run
from athena_core.errors import AgentBroken
from athena_core.event import Event
from athena_core.mask import Mask
from athena_core.services.execution.outside.agent_transcript import (
    CHARS_MAX,
    EVENTS_MAX,
    TEXT_CHARS_MAX,
    AgentTranscript,
)
from athena_core.services.execution.outside.calls.call_records import DIFF_LINES_MAX, PATH_CHARS_MAX, call_result
from athena_core.services.execution.progress import RunProgress
from tests.support.events.agent import AGENT_CALLED

LINES = st.lists(st.sampled_from("abc"), max_size=30)


def shown(*changes: tuple[str, str | None, str]) -> str:
    """Return the recorded result of a call that reports changes: path, before, after."""
    content: list[dict[str, Any]] = [
        {"type": "diff", "path": path, "oldText": before, "newText": after} for path, before, after in changes
    ]
    call = AgentToolCall("call_1", status="completed", content=content)
    return call_result(call, Mask(), "call_1").content or ""


def applied(before: list[str], diff: list[str]) -> list[str]:
    """Return the lines of a file after a diff."""
    after, place = list[str](), 0
    for line in diff:
        if line.startswith("@@"):
            first, _, count = line.split()[1][1:].partition(",")
            begin = int(first) - (count != "0")
            after += before[place:begin]
            place = begin
        elif line.startswith("+"):
            after.append(line[1:])
        else:
            assert before[place] == line[1:]
            after += [line[1:]] * line.startswith(" ")
            place += 1
    return after + before[place:]


@settings(max_examples=60)
@given(start=LINES, old=LINES, new=LINES, end=LINES)
def test_a_diff_turns_the_file_before_into_the_one_after(
    start: list[str], old: list[str], new: list[str], end: list[str]
) -> None:
    before, after = start + old + end, start + new + end
    lines = shown(("f", "\n".join(before), "\n".join(after))).split("\n")[2:]
    assert applied(before, lines) == after


def test_a_small_change_of_a_large_file_is_shown_in_its_place() -> None:
    before = [str(number) for number in range(100_000)]
    after = [*before[:50_000], "changed", *before[50_001:]]
    lines = shown(("f", "\n".join(before), "\n".join(after))).split("\n")
    assert lines[:3] == ["--- f", "+++ f", "@@ -49998,7 +49998,7 @@"]
    assert [line for line in lines[3:] if line[0] != " "] == ["-50000", "+changed"]


def test_only_some_lines_of_a_call_are_compared() -> None:
    many = "\n".join(map(str, range(DIFF_LINES_MAX // 2)))
    lines = shown(("a", many, many + "\nz"), ("b", "x\n" * DIFF_LINES_MAX, "y"), ("c", "x", "y")).split("\n")
    assert lines[-2:] == [f"b: {DIFF_LINES_MAX} lines before, 1 after", "c: 1 lines before, 1 after"]


def test_the_name_of_a_changed_file_is_one_line_without_control_characters() -> None:
    assert shown(("a\n+++ /etc/passwd\x1b[2J\u202egpj.exe", None, "x")).split("\n")[:3] == [
        "--- /dev/null",
        "+++ a +++ /etc/passwd [2J gpj.exe",
        "@@ -0,0 +1 @@",
    ]


KEY = "canary-4711-Zq8wLr2xVt5yNb7mKd3fHs6jGp"


def parts(text: str) -> list[str]:
    """Return the parts of the key that a text shows."""
    return [KEY[at : at + 8] for at in range(len(KEY) - 7) if KEY[at : at + 8] in text]


@pytest.mark.parametrize("cut", range(0, len(KEY) + 1, 3))
async def test_no_part_of_a_secret_is_recorded_of_a_call_or_of_words_that_are_cut(cut: int) -> None:
    mask = Mask([KEY])
    output = {"terminal_output_delta": {"data": f"{KEY}{'x' * (TERMINAL_CHARS_MAX - cut)}"}}
    diff = {"type": "diff", "path": "x" * (PATH_CHARS_MAX - cut) + KEY, "oldText": None, "newText": "y"}
    call = merged({"content": [diff]}, {"_meta": {"terminal_output_delta": {"data": "z" * 99_999}}}, {"_meta": output})
    assert not parts(call_result(call, mask, "call_1").content or "")
    call = merged({"_meta": {"terminal_output_delta": {"data": "z" * 99_999}}}, {"_meta": output})
    assert not parts(call_result(call, mask, "call_1").content or "")
    said = list[str]()
    transcript = AgentTranscript(
        cast("Any", SimpleNamespace(progress=RunProgress(), run_id="run_1", request=SimpleNamespace(session_id="s"))),
        cast("Any", None),
        mask,
        SystemIds(),
        lambda _session, _run, _turn, text: said.append(text or ""),
        message_ids=False,
    )
    transcript.say(TextChunk({"type": "text", "text": "x" * (TEXT_CHARS_MAX - cut) + KEY}))
    (words,) = transcript.words()
    assert not parts((words.content or "") + "".join(said))


def merged(*updates: dict[str, Any]) -> AgentToolCall:
    """Return the call that an agent describes with these updates."""
    calls = ToolCalls()
    for update in updates:
        calls.update(
            msgspec.convert({"sessionUpdate": "tool_call_update", "toolCallId": "1", **update}, ToolCallUpdate)
        )
    (call,) = calls
    return call


async def test_a_call_with_the_id_of_one_that_ended_is_recorded_as_a_call_of_its_own() -> None:
    steps = list[Any]()

    async def record(more: tuple[run.RunStep, ...]) -> bool:
        steps.extend(more)
        return True

    recorder: Any = SimpleNamespace(record=record)
    assignment: Any = SimpleNamespace(progress=RunProgress())
    transcript = AgentTranscript(assignment, recorder, Mask(), SystemIds(), None, message_ids=True)
    for command in ("one", "two"):
        for members in (
            {"sessionUpdate": "tool_call", "rawInput": {"command": command}},
            {"sessionUpdate": "tool_call_update", "status": "completed", "rawOutput": f"{command} is done"},
        ):
            await transcript.updated(msgspec.convert({"toolCallId": "1", **members}, ToolCallUpdate))
    one, first, two, second = steps
    assert [call.arguments for call in (one, two)] == ['{"command":"one"}', '{"command":"two"}']
    assert [result.content for result in (first, second)] == ["one is done", "two is done"]
    assert [result.tool_call_id for result in (first, second)] == [one.tool_call_id, two.tool_call_id]
    assert one.tool_call_id != two.tool_call_id


@pytest.mark.parametrize(
    ("recorded", "chars"), [((AGENT_CALLED,) * EVENTS_MAX, 0), ((replace(AGENT_CALLED, chars=CHARS_MAX),), 1)]
)
async def test_the_record_of_a_run_of_an_agent_is_bounded(recorded: tuple[Event, ...], chars: int) -> None:
    assignment: Any = SimpleNamespace(progress=RunProgress(events=recorded[:-1]))
    steps = list[run.RunStep]()

    async def record(more: tuple[run.RunStep, ...]) -> bool:
        steps.extend(more)
        return True

    recorder: Any = SimpleNamespace(record=record)
    transcript = AgentTranscript(assignment, recorder, Mask(), SystemIds(), None, message_ids=True)
    await transcript.record(cast(run.RunStep, recorded[-1]))
    with pytest.raises(AgentBroken, match="has at most 20000 events or 100000000 characters"):
        await transcript.record(replace(AGENT_CALLED, chars=chars))
    assert steps == [recorded[-1]]
