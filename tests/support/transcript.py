"""Entries of a transcript."""

from athena_core.domain.run import ToolCalled, TranscriptAppended
from athena_core.event import Event


def user(text: str | None) -> Event:
    return TranscriptAppended(role="user", kind="message", chars=len(text or ""), content=text)


def assistant(text: str | None) -> Event:
    return TranscriptAppended(role="assistant", kind="message", chars=len(text or ""), content=text)


def call(call_id: str, turn: int = 1) -> Event:
    return ToolCalled(turn=turn, tool_call_id=call_id, tool_name="files", chars=2, repeatable=True, arguments="{}")


def answer(call_id: str, text: str = "found") -> Event:
    return TranscriptAppended(
        role="tool", kind="tool-result", chars=len(text), tool_call_id=call_id, tool_name="files", content=text
    )
