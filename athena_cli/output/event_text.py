"""Events and tool calls in a few words: the members that people want to know of each."""

from collections.abc import Mapping
from typing import Any

from athena_cli.output.ask_text import COMMANDS, agent_of, shell_text, visible
from athena_cli.output.values import line, short
from athena_core.text import money

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "AUTHZ_MODE_ACTIVE": ("mode",),
    "harness-profile.created": ("profile.displayName", "provider", "model"),
    "run.queued": ("reason", "provider", "model"),
    "run.created": ("provider", "model"),
    "run.leased": ("attempt", "executor"),
    "run.completed": (),
    "run.failed": ("code", "message"),
    "run.timed-out": ("code",),
    "run.crashed": ("code",),
    "run.cancelled": ("reason", "cause"),
    "run.cancel.requested": ("reason", "requestedBy"),
    "run.paused": ("reason",),
    "run.resumed": ("budgetMicroUsd",),
    "run.asked": ("kind", "toolName", "askId"),
    "run.ask.opened": ("by", "askId"),
    "run.answered": ("optionId", "cause", "by", "ruleId", "askId"),
    "run.requeued": ("reason",),
    "permission-rule.created": ("scope", "toolName", "by", "ruleId"),
    "permission-rule.revoked": ("cause", "by", "ruleId"),
    "token.created": ("identity", "role", "tokenId"),
    "token.revoked": ("cause", "by", "tokenId"),
    "authn.failed": ("code", "count", "tokenId"),
    "mcp.attached": ("server", "transport", "tools", "refused"),
    "mcp-server.listed": ("server", "tools"),
    "mcp-server.accepted": ("server", "by"),
    "agent.attached": ("agent", "agentVersion", "how", "mode"),
    "tool.called": ("toolName", "kind", "asked", "refused", "credentials"),
    "sandbox.lifecycle": ("sandbox.phase", "sandbox.reason"),
    "workspace.created": ("kind", "owner", "source", "workspaceId"),
    "workspace.opened": ("workspaceId",),
    "workspace.changed": ("files", "addedLines", "removedLines"),
    "workspace.retained": ("keep", "by", "workspaceId"),
    "workspace.applied": ("files", "runId", "by"),
    "workspace.exact-opened": ("runId", "by"),
    "workspace.cleaned": ("cause", "owner", "by"),
    "transcript.appended": ("role", "toolName", "chars"),
    "usage.recorded": ("model", "inputTokens", "outputTokens", "costMicroUsd"),
    "evidence.attached": ("label", "evidenceType"),
    "policy.rejected": ("rejection.reason",),
    "policy.updated": ("updatedBy", "auditComment"),
    "schedule.run.started": ("id",),
    "schedule.run.skipped": ("id", "reason"),
    "schedule.run.failed": ("id", "code"),
    "a2a.message.sent": ("fromPersona", "toPersona"),
    "a2a.message.failed": ("code",),
    "a2a.dlq.added": ("reason", "code"),
    "authz.denied": ("subject", "operation"),
    "workflow.approval.requested": ("stepId", "message"),
    "workflow.step.failed": ("stepId", "code"),
}
"""Members of payloads (and ``sandbox``, beside the payload), by type of event."""

USUAL = ("id", "stepId", "status", "reason", "code", "displayName", "model", "updatedBy", "requestedBy", "count")
"""Members of all other events, if present."""

UNNAMED = ("command", "method", "url", "action", "path")
"""Arguments of tool calls that stand first, without their names."""

AGENT_ARGUMENTS = (*COMMANDS, "file_path", "filePath", "abs_path", "path", "url", "pattern", "query")
"""Names that outside agents give to the argument that says most."""

UNITS: Mapping[str, str] = {
    "chars": " characters",
    "inputTokens": " tokens in",
    "outputTokens": " tokens out",
    "files": " files",
    "addedLines": " lines added",
    "removedLines": " lines removed",
}


def call_text(arguments: str) -> str:
    """Return the arguments of a tool call in one line: a command as it is typed, other arguments by name."""
    return line(_call_words(arguments))


def transcript_call(entry: Mapping[str, Any]) -> str:
    """Return a recorded call in one line: the tool and its arguments, or the kind and the title of an agent's call."""
    absent = "(redacted)" if entry.get("redacted") else "tool"
    name, content = str(entry.get("toolName") or absent), entry.get("content") or ""
    about = entry.get("metadata") or {}
    kind = about.get("kind")
    if kind is None:
        return line(f"{name} {call_text(content)}")
    alone = " (not asked)" if about.get("asked") == "false" else ""
    return line(f"{kind} {visible(' '.join(name.split()))}{_beside(name, content)}{alone}")


def _beside(title: str, arguments: str) -> str:
    """Return the command, the file or the address of an agent's call, unless its title has it."""
    named = _named(arguments)
    for name in AGENT_ARGUMENTS:
        if isinstance(value := (named or {}).get(name), str | list):
            shown = " ".join(shell_text(value).split())
            known = shown.rpartition("/")[2] if "path" in name.lower() else shown
            return "" if known in " ".join(title.split()) else f": {visible(shown)}"
    return ""


def _named(arguments: str) -> dict[str, Any] | None:
    """Return the arguments of a call by name; None if they have no names."""
    import msgspec

    try:
        named = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return named if isinstance(named, dict) else None


def _call_words(arguments: str) -> str:
    import shlex

    import msgspec

    named = _named(arguments)
    if named is None:
        return arguments
    words = []
    for name, value in {**{name: named[name] for name in UNNAMED if name in named}, **named}.items():
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            text = shlex.join(value)
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        words.append(text if name in UNNAMED else f"{name}={text}")
    return " ".join(words)


def call_line(record: Mapping[str, Any]) -> str:
    """Return the call that a record names in one line, with its control characters written out."""
    tool, arguments = str(record.get("toolName") or ""), record.get("arguments") or ""
    if agent_of(tool):
        tool, named = tool.replace(":", " "), _named(arguments) or {}
        command = next((named[name] for name in COMMANDS if isinstance(named.get(name), str | list)), None)
        arguments = _call_words(arguments) if command is None else shell_text(command)
    else:
        arguments = _call_words(arguments)
    return visible(" ".join(f"{tool} {arguments}".split()))


def what_of(ask: Mapping[str, Any]) -> str:
    """Return what an ask is about in one line: the call, or the question."""
    if ask.get("kind") == "tool-permission":
        return call_line(ask)
    return visible(" ".join(str(ask.get("question") or "").split()))


def asked_line(entry: Mapping[str, Any]) -> str:
    """Return what an ask in a transcript is about in one line."""
    kind = (entry.get("metadata") or {}).get("ask")
    content = entry.get("content")
    return what_of({"kind": kind, "toolName": entry.get("toolName"), "arguments": content, "question": content})


def answered_line(entry: Mapping[str, Any]) -> str:
    """Return an answer in a transcript in one line: the option, or its cause without one, and the note or values."""
    about = entry.get("metadata") or {}
    who = about.get("by") or (f"rule {about['ruleId']}" if about.get("ruleId") else None)
    decided = f"{about.get('optionId') or about.get('cause') or 'answered'}{f' ({who})' if who else ''}"
    return visible(" ".join(f"{decided}{': ' if entry.get('content') else ''}{entry.get('content') or ''}".split()))


ASKED = {"ask": asked_line, "answer": answered_line}


def result_text(content: str) -> str:
    """Return the result of a tool call in one line; JSON by the names of its members."""
    import msgspec

    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError):
        return line(content)
    if not isinstance(found, dict):
        return line(content)
    shown = {name: value for name, value in found.items() if value not in (None, "", [], {})}
    parts = (value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in shown.values())
    return line(" · ".join(f"{name} {part}" for name, part in zip(shown, parts, strict=True)))


def message_of(entry: Mapping[str, Any]) -> str:
    """Return the text of an entry of a transcript in one line; of a tool call its arguments."""
    if entry.get("redacted"):
        return "(redacted)"
    kind, content = entry.get("kind"), entry.get("content") or ""
    if kind in ASKED:
        return ASKED[kind](entry)
    if kind == "tool-call":
        return transcript_call(entry)
    failed = "error: " if entry.get("isError") else ""
    return failed + (result_text(content) if entry.get("role") == "tool" else line(content))


def speaker_of(entry: Mapping[str, Any]) -> str:
    """Return the role of an entry of a transcript, or its kind if that says more."""
    kind = str(entry.get("kind"))
    return "call" if kind == "tool-call" else kind if kind in ASKED else str(entry.get("role", ""))


def summary_of(event: Mapping[str, Any]) -> str:
    """Return what an event says beyond its type, session and run."""
    payload = event.get("payload") or {}
    if payload.get("verificationStatus") == "verification-failed":
        return "verification failed"
    names = MEMBERS.get(event.get("type", ""), USUAL)
    shown = {**payload, "sandbox": event.get("sandbox")}
    parts = (_part(name.rpartition(".")[2], _at(shown, name)) for name in names)
    return line(" · ".join(part for part in parts if part))


def _at(payload: Any, path: str) -> Any:
    for name in path.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


def _part(name: str, value: Any) -> str:
    if name == "credentials" and isinstance(value, list):
        return f"credentials {', '.join(map(str, value))}"
    if name == "asked":
        return "not asked" if value is False else ""
    if value is None or value == "" or isinstance(value, dict | list):
        return ""
    if name.endswith("MicroUsd"):
        return money(value)
    if name == "attempt":
        return f"attempt {value}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}{UNITS.get(name, '')}"
    return short(str(value))
