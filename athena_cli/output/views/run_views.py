"""The views of a run: its record, and why it is where it is."""

from athena_cli.output.column import Column, Read, Record, at, clock, dated, number, text, whole, word
from athena_cli.output.columns import run_time
from athena_cli.output.values import line, plain
from athena_cli.output.views.view import Listed, View, raw
from athena_core.text import money

UNNAMED = "shadow-harness-"
"""The beginning of the id of a default profile: the provider and model of a run without a profile."""


def _whole_answer(record: Record) -> str:
    return "" if record.get("partial") else record.get("output") or ""


def _partial_answer(record: Record) -> str:
    return (record.get("output") or "") if record.get("partial") else ""


def _agent(record: Record) -> str:
    """Return the name and the id of a run's profile. A run without one has the default of its provider and model."""
    profile, name = str(record.get("harnessProfileId") or ""), record.get("agentName")
    if profile.startswith(UNNAMED):
        return f"default ({record.get('provider')} / {record.get('model')})"
    return f"{name} ({profile})" if name and name != profile else profile


def _outside_agent(record: Record) -> str:
    """Return the outside agent that works on a run, with its version and mode once it began."""
    version, mode = record.get("agentVersion"), record.get("agentMode")
    about = f" ({version})" if version else ""
    return line(f"{record.get('agent') or ''}{about}{f', mode {mode}' if mode else ''}")


def _outcome(record: Record) -> str:
    """Return the status of a run with its reason; "" for a result, which has none."""
    if "status" not in record:
        return ""
    waiting = record.get("paused") or record.get("waiting") or {}
    reason = at(record, "error.code") or waiting.get("reason")
    if record.get("verificationStatus") == "verification-failed":
        reason = reason or "verification failed"
    return f"{record['status']} ({reason})" if reason else str(record["status"])


def _spent(record: Record) -> str:
    spent, budget = record.get("costMicroUsd"), record.get("budgetMicroUsd")
    if spent is None and not budget:
        return ""
    estimated = " (estimated)" if at(record, "usage.estimated") else ""
    return money(spent or 0) + (f" of {money(budget)}" if budget else "") + estimated


def _tokens(record: Record) -> str:
    usage = record.get("usage") or {}
    if not usage:
        return ""
    parts = f"{usage.get('inputTokens', 0):,} in, {usage.get('outputTokens', 0):,} out"
    return f"{usage.get('totalTokens', 0):,} ({parts}{', estimated' if usage.get('estimated') else ''})"


RUN = View(
    (
        whole("run", "runId"),
        Column("status", _outcome),
        whole("session", "sessionId"),
        Column("agent (profile)", _agent),
        Column("outside agent", _outside_agent),
        whole("model", "provider", "model"),
        dated("created", "createdAt"),
        Column("time", run_time),
        Column("tokens", _tokens),
        Column("cost", _spent),
        Column("attempt", lambda record: plain(record["attempt"]) if record.get("attempt", 0) > 1 else ""),
        Column("evidence", lambda record: plain(record.get("evidenceCount") or "")),
        whole("parent", "parentRunId"),
        number("children", "childCount"),
        whole("template", "template.id", "template.version"),
    ),
    (
        raw("error", "error.message"),
        raw("input", "inputPreview"),
        ("answer", _whole_answer),
        ("partial answer", _partial_answer),
    ),
    (Listed("verification failures", "verificationFailures", (word("rule", "policyId"), text("message", "message"))),),
    (
        (
            "answer it with",
            lambda record: " · ".join(f"athena answer {ask}" for ask in at(record, "waiting.asks") or ()),
        ),
    ),
)


def _command(index: int) -> Read:
    return lambda record: str(record["commands"][index])


def _said(record: Record) -> str:
    """Return a message to a model: its text, and the tools that it calls."""
    calls = ", ".join(f"{call['name']} {call['arguments']}" for call in record.get("calls") or ())
    return line(f"{record.get('content') or ''}{f' [calls {calls}]' if calls else ''}")


SENT_REQUEST = View(
    (
        whole("run", "runId"),
        Column("turn", lambda record: f"{record['turn']} of {record['turns']}"),
        whole("answered by", "call.provider", "call.model"),
        whole("request id", "call.requestId"),
        number("characters", "context.finalChars"),
        Column("tools", lambda record: ", ".join(tool["name"] for tool in record.get("tools") or ())),
        Column(
            "withheld", lambda record: "some messages, by the scope of the caller" if record.get("withheld") else ""
        ),
    ),
    (),
    (Listed("messages", "messages", (word("role", "role"), Column("text", _said)), wrapped=True),),
)
PROOF = View(
    (
        whole("run", "runId"),
        number("events", "events"),
        number("first", "first.position"),
        number("last", "last.position"),
        whole("chain value", "last.chain"),
        number("anchor sent", "anchor.position"),
        Column("covered", lambda record: "yes" if record["covered"] else "no anchor was sent since its last event"),
        number("events to hash", "links"),
    ),
    (),
    (),
    tuple((title, _command(index)) for index, title in enumerate(("export it", "verify it", "against", "whole log"))),
)
EXPLAINED = View(
    (
        whole("run", "runId"),
        word("status", "status"),
        whole("session", "sessionId"),
        whole("parent", "parentRunId"),
        whole("waiting for", "waitsFor.says"),
    ),
    (raw("input", "request.input"),),
    (Listed("timeline", "causes", (clock("time", "at"), text("says", "says")), wrapped=True),),
)
