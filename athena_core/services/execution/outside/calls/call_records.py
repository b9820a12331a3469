"""The records of an outside agent's tool calls: what an agent says about a call becomes events.

What an agent says is text. Only its kind, one of nine words, and an id of Athena's form are public.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import msgspec

from athena_core.agents.tool_calls import AgentToolCall
from athena_core.definitions.agent_permissions import tool_kind
from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.outside_text import DecidedText, OutsideText, decided_json
from athena_core.services.context.conversation import cut, cut_calls
from athena_core.text import clean
from athena_core.values import ToolCall

ARGUMENTS_CHARS_MAX = 1_000_000
"""Maximum length of the arguments of a call that a person may allow. Longer ones are cut in the record."""
RESULT_CHARS_MAX = 100_000
"""Maximum length of the recorded result of a call."""
TITLE_CHARS_MAX = 200
DIFF_LINES_MAX = 1_000
"""Maximum number of lines of a call that are compared, without the equal ones at the beginning and end of each file.

A comparison takes time of the event loop, up to 0.1 s. Further changes are shown by their sizes.
"""
CONTEXT_LINES = 3
PATH_CHARS_MAX = 500
EMPTY: tuple[Any, ...] = ({}, [], "")
"""Inputs that say nothing about a call."""
HUNK = re.compile(r"^@@ -(\d+)(,\d+|) \+(\d+)(,\d+|) @@$")
CHANGING_KINDS = frozenset(("edit", "delete", "move", "execute", "other"))
"""Kinds of calls after which the workspace may be another one."""


def tool_of(agent: str, call: AgentToolCall) -> str:
    """Return the name of the tool of a call for asks and permission rules: the agent and the kind of the call."""
    return f"{agent}:{tool_kind(call.kind)}"


def title_of(call: AgentToolCall, mask: Mask) -> str:
    """Return the title of a call on one line, without secrets."""
    return OutsideText(call.title).line(mask, TITLE_CHARS_MAX) or tool_kind(call.kind)


def decided_call(call: AgentToolCall, mask: Mask, salt: str) -> DecidedText:
    """Return the input of a call, as canonical JSON, in the forms for a decision about it."""
    return decided_json(_input_of(call), mask, salt)


def _input_of(call: AgentToolCall) -> Any:
    """Return the input of a call. Without one, it is what the agent shows of the call: its title and its content."""
    if call.raw_input is None or call.raw_input in EMPTY:
        return {"title": call.title, "content": call.content}
    return call.raw_input


def _recorded_input(call: AgentToolCall, mask: Mask) -> str:
    """Return the input of a call without a decision, as canonical JSON without secrets."""
    return clean(msgspec.json.encode(mask.hide_in(_input_of(call)), order="deterministic").decode())


def tool_called(
    call: AgentToolCall,
    mask: Mask,
    *,
    turn: int,
    call_id: str,
    refused: bool = False,
    too_long: bool = False,
    ask_id: str | None = None,
) -> run.ToolCalled:
    """Return the record of a call that begins, began without a permission, or is refused."""
    text = _recorded_input(call, mask)
    (cut_call,) = cut_calls((ToolCall(id=call_id, name="", arguments=text),), ARGUMENTS_CHARS_MAX)
    return run.ToolCalled(
        turn=turn,
        tool_call_id=call_id,
        chars=len(text),
        repeatable=False,
        refused=("bad-arguments" if too_long else "denied") if refused else None,
        ask_id=ask_id,
        origin="agent",
        kind=tool_kind(call.kind),
        asked=call.asked,
        unknown_name=title_of(call, mask),
        arguments=cut_call.arguments,
    )


def call_result(call: AgentToolCall, mask: Mask, call_id: str) -> run.TranscriptAppended:
    """Return the result of a call that ended: its output, and the changes of files that it reports."""
    whole = clean(mask.hide("\n".join((call.output.shown(mask), *diffs_of(call, mask)))).strip("\n"))
    content = cut(whole, RESULT_CHARS_MAX)
    return run.TranscriptAppended(
        role="tool",
        kind="tool-result",
        chars=len(content),
        tool_call_id=call_id,
        is_error=call.status == "failed" or None,
        truncated=len(whole) > len(content) or None,
        changed=tool_kind(call.kind) in CHANGING_KINDS or None,
        content=content,
    )


def unmade_result(call_id: str, why: str, *, interrupted: bool = False) -> run.TranscriptAppended:
    """Return the result of a call that was not made, or was interrupted."""
    return run.TranscriptAppended(
        role="tool",
        kind="tool-result",
        chars=len(why),
        tool_call_id=call_id,
        is_error=True,
        changed=interrupted or None,
        interrupted=interrupted or None,
        content=why,
    )


def diffs_of(call: AgentToolCall, mask: Mask, lines_max: int = DIFF_LINES_MAX) -> Iterator[str]:
    """Yield the changes of files that a call reports, as unified diffs. Only the paths are masked.

    Beyond ``lines_max`` lines in all, only the sizes of files are named.
    """
    left = lines_max
    for change in call.changes:
        path = OutsideText(change.path).line(mask, PATH_CHARS_MAX)
        before, after = (change.before or "").splitlines(), change.after.splitlines()
        same = _same_at_start(before, after)
        end = _same_at_start(before[same:][::-1], after[same:][::-1])
        left -= len(before) + len(after) - 2 * (same + end)
        if left < 0:
            yield f"{path}: {len(before)} lines before, {len(after)} after"
            continue
        first, last = max(same - CONTEXT_LINES, 0), max(end - CONTEXT_LINES, 0)
        pieces = before[first : len(before) - last], after[first : len(after) - last]
        lines = difflib.unified_diff(*pieces, "/dev/null" if change.before is None else path, path, lineterm="")
        yield "\n".join(HUNK.sub(partial(_moved, first), line) for line in lines)


def _same_at_start(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of lines with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _moved(lines: int, found: re.Match[str]) -> str:
    """Return the numbers of a hunk in the whole file. ``lines`` of its beginning were left out."""
    return f"@@ -{int(found[1]) + lines}{found[2]} +{int(found[3]) + lines}{found[4]} @@"
