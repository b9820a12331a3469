"""The timeline of a run as lines: its input, the text of the model, tool calls with their results, and the end."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from athena_cli.output.ask_text import visible
from athena_cli.output.columns import run_time
from athena_cli.output.event_text import answered_line, asked_line, result_text, transcript_call
from athena_cli.output.values import counted, line
from athena_core.text import money

LINE_CHARS = 200
DIFF_LINES_MAX = 30
"""Maximum number of lines that are shown of the changes of one call."""
DIFF = re.compile(r"^--- [^\n]*\n\+\+\+ [^\n]*\n@@ ", re.M)


def entry_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of an entry that is not the model's text."""
    content = entry.get("content") or ""
    if entry.get("redacted"):
        content = "(redacted)"
    if entry.get("kind") == "tool-call":
        yield f"> {cut(transcript_call({**entry, 'content': content}))}".rstrip()
        if credentials := (entry.get("metadata") or {}).get("credentials"):
            yield f"  credentials: {visible(credentials)}"
        if refused := (entry.get("metadata") or {}).get("refused"):
            yield f"  rejected: {refused}"
    elif entry.get("kind") == "ask":
        yield f"asks: {cut(asked_line(entry))}"
    elif entry.get("kind") == "answer":
        yield f"answer: {cut(answered_line(entry))}"
    elif entry["role"] == "tool":
        said, diff = parted(content)
        if said or not diff:
            yield f"  {'error: ' if entry.get('isError') else ''}{cut(result_text(said)) or '(no output)'}"
        yield from diff_lines(diff)
    else:
        yield f"{entry['role']}: {cut(line(content))}"


def parted(content: str) -> tuple[str, str]:
    """Return the words of a result, and the changes of files behind them as a unified diff."""
    found = DIFF.search(content)
    return (content, "") if found is None else (content[: found.start()], content[found.start() :])


def diff_lines(diff: str) -> Iterator[str]:
    """Yield the beginning of a diff, and how much more there is."""
    lines = diff.splitlines()
    for one in lines[:DIFF_LINES_MAX]:
        yield f"    {cut(visible(one.expandtabs()))}"
    if (more := len(lines) - DIFF_LINES_MAX) > 0:
        yield f"    … {counted(more, 'more line')}"


def end_line(record: Mapping[str, Any]) -> str:
    """Return the last line of a timeline: status and reason, id, tokens, cost and time."""
    error, waiting = record.get("error") or {}, record.get("paused") or record.get("waiting") or {}
    reason = f"{error['code']}: {line(error['message'])}" if error else waiting.get("reason", "")
    if record.get("verificationStatus") == "verification-failed":
        reason = reason or "verification failed"
    usage = record.get("usage") or {}
    tokens, guessed = usage.get("totalTokens"), " (estimated)" if usage.get("estimated") else ""
    parts = (
        f"{record['status']}{f' ({reason})' if reason else ''}",
        record["runId"],
        "" if tokens is None else f"{tokens:,} tokens{guessed}",
        money(record.get("costMicroUsd")),
        run_time(record),
    )
    return f"[{' · '.join(part for part in parts if part)}]"


def cut(text: str) -> str:
    """Return a text that fits in a line of a timeline."""
    return text if len(text) <= LINE_CHARS else f"{text[: LINE_CHARS - 1]}…"
