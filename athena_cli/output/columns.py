"""The columns of tables: for each list of the API the members that people need, with their importance."""

from collections.abc import Iterable, Mapping
from typing import Any

from athena_cli.output.column import (
    ALWAYS,
    TEXT_CELLS_MIN,
    WORD_CELLS_MAX,
    Column,
    ListTable,
    Record,
    ago,
    ahead,
    at,
    clock,
    cost,
    first_of,
    joined,
    key,
    lasting,
    number,
    session,
    text,
    text_of,
    took,
    weight,
    word,
)
from athena_cli.output.event_text import call_line, message_of, speaker_of, summary_of, what_of
from athena_cli.output.values import TIME, age, distance, line, short, size
from athena_core.text import duration, money


def allowed_files(record: Record) -> str:
    """Return what the tool ``files`` of a profile may do."""
    files = at(record, "toolPolicies.files")
    return "" if files is None else "read and write" if files.get("write") else "read"


def allowed_commands(record: Record) -> str:
    """Return the commands that the tool ``shell`` of a profile may start."""
    return ", ".join(" ".join(words) for words in at(record, "toolPolicies.shell.commands") or ())


def permission(rule: Record) -> str:
    """Return the calls that a rule of an outside agent matches."""
    kind, command = at(rule, "match.kind"), at(rule, "match.command")
    return line(" ".join(command) if command else f"calls of kind {kind}" if kind else "all calls")


def change_of(record: Record) -> str:
    """Return what happened to a record between two moments."""
    return ", ".join(name for name in ("appeared", "ended") if name in record) or "changed"


def changes_of(record: Record) -> str:
    """Return how many records of each kind a difference has, on all of its pages; empty without counts."""

    def of_kind(count: Record) -> str:
        parts = (f"{count[name]:,} {name}" for name in ("appeared", "ended", "changed") if count[name])
        return f"{count['kind']}: {', '.join(parts)}"

    return " · ".join(map(of_kind, record.get("counts", ())))


def run_time(record: Record) -> str:
    """Return how long a run that has ended took, without its time in the queue."""
    measured = record.get("durationMs")
    return took("", "createdAt", "finishedAt").read(record) if measured is None else duration(measured)


def token_scope(record: Record) -> str:
    """Return the scope of a token as `tokens create` takes it."""
    return line(" ".join(f"{kind}={','.join(names)}" for kind, names in sorted((record.get("scope") or {}).items())))


def _trigger(record: Record) -> str:
    """Return when a schedule runs."""
    if record.get("everyMinutes"):
        return f"every {record['everyMinutes']} min"
    if record.get("cron"):
        return f"{record['cron']} {record.get('timezone') or 'UTC'}"
    return "once" if record.get("runAt") else ""


def _state(record: Record) -> str:
    """Return what a schedule does now."""
    if not record.get("enabled", True):
        return "disabled"
    return "paused" if record.get("paused") else "running" if record.get("running") else "on"


def _steps(record: Record) -> str:
    return " → ".join(step["id"] for step in (at(record, "definition.steps") or ()))


def _limit(record: Record) -> str:
    """Return the values behind a rejection, such as 8 of 8."""
    active, most = record.get("activeRuns"), record.get("maxConcurrentRuns")
    return "" if active is None or most is None else f"{active} of {most}"


def _budget(record: Record) -> str:
    """Return the budget of a profile; 0 is none."""
    budget = at(record, "policies.budgetUsd")
    return money(budget * 1e6) if budget else ""


def _target(record: Record) -> str:
    return short(first_of(record, ("target", "runId")))


def _problems(record: Record) -> str:
    return ", ".join(f"{one['loop']} failing" for one in record.get("problems") or ())


def _findings(record: Record) -> str:
    found = record.get("findings") or {}
    return " ".join(f"{found[grade]} {grade.upper()}" for grade in ("p1", "p2", "p3") if found.get(grade))


def _expires(ask: Record) -> str:
    return ahead("", "expiresAt").read(ask) if ask.get("status") == "open" else ""


def _answer(record: Record) -> str:
    """Return what became of a run: its answer or error, or what it waits for."""
    if asks := at(record, "waiting.asks"):
        return f"waits for an answer to {', '.join(map(short, asks))}"
    return first_of(record, ("error.message", "outputPreview", "waiting.reason", "paused.reason"))


RUNS = ListTable(
    "runId",
    (
        key("run", "runId"),
        word("status", "status"),
        word("agent", "agentName", "model", rank=4, most=18),
        session(5),
        text("input", "inputPreview"),
        Column("answer", _answer, 1, TEXT_CELLS_MIN),
        number("tokens", "usage.totalTokens", rank=6),
        cost("cost", "costMicroUsd", rank=3),
        Column("time", run_time, 3, right=True),
        ago("age", "createdAt", rank=2),
    ),
)

TABLES: Mapping[str, ListTable] = {
    "listRuns": RUNS,
    "listActiveRuns": ListTable(
        "runId",
        (
            key("run", "runId"),
            session(),
            number("turn", "turn", 1),
            word("waits for", "step.kind"),
            word("tool", "step.toolName", rank=1),
            text("call", "step.preview", rank=2),
            cost("cost", "costMicroUsd", rank=1),
            number("process", "pid", 2),
            ago("age", "startedAt"),
        ),
    ),
    "listCancellationRequests": ListTable(
        "runId",
        (
            key("run", "runId"),
            session(),
            text("reason", "reason"),
            ago("requested", "requestedAt"),
            ago("started", "startedAt", rank=1),
        ),
    ),
    "listRunEvidence": ListTable(
        "id",
        (
            key("evidence", "id"),
            text("label", "label"),
            word("type", "type"),
            weight("size", "sizeBytes", 2),
            word("source", "source", rank=3),
            Column("stale", lambda record: "stale" if record.get("stale") else "", 4),
            number("exit", "exitCode", 4),
            ago("age", "createdAt", rank=1),
        ),
    ),
    "listSessions": ListTable(
        "id",
        (
            word("session", "id", most=40),
            word("provider", "provider", rank=2),
            word("model", "model", rank=1),
            ago("used", "updatedAt"),
            ago("created", "createdAt", rank=3),
        ),
    ),
    "getSessionTranscript": ListTable(
        "id",
        (
            clock("time", "createdAt", rank=2),
            key("run", "runId", rank=3),
            Column("who", speaker_of),
            Column("text", message_of, least=24),
        ),
    ),
    "listDirectives": ListTable(
        "id", (key("directive", "id"), text("input", "input"), ago("age", "createdAt", rank=1))
    ),
    "listHarnessProfiles": ListTable(
        "id",
        (
            key("profile", "id"),
            text("name", "displayName"),
            word("version", "version", rank=5),
            word("provider", "config.provider", rank=3),
            word("model", "config.model", rank=1),
            word("outside agent", "agent.name", rank=2),
            joined("tools", "config.tools", rank=3),
            lasting("timeout", "policies.timeoutMs", 6),
            Column("budget", _budget, 4, right=True, money=True),
            ago("age", "createdAt", rank=3),
        ),
    ),
    "listRunTemplates": ListTable(
        "id",
        (
            key("template", "id"),
            word("name", "displayName", rank=2, most=18),
            text("directive", "directiveTemplate"),
            number("version", "version", 2),
            key("profile", "harnessProfileId", rank=1),
            ago("changed", "updatedAt", rank=1),
        ),
    ),
    "getSessionWorkQueue": ListTable(
        "id",
        (
            key("item", "id"),
            text("payload", "payload"),
            word("mode", "mode", rank=1),
            number("attempts", "attempts", 2),
            key("run", "runId", rank=3),
            ago("age", "createdAt", rank=1),
        ),
    ),
    "listWorkQueues": ListTable(
        "sessionId",
        (
            session(),
            number("items", "itemCount"),
            ago("oldest", "oldestItemSince"),
            key("drain", "drainId", rank=1),
            ago("changed", "updatedAt", rank=2),
        ),
    ),
    "listA2aMessages": ListTable(
        "messageId",
        (
            key("message", "messageId"),
            word("status", "status"),
            word("from", "fromPersona"),
            word("to", "toPersona"),
            text("payload", "error.message", "payload"),
            key("run", "runId", rank=3),
            number("attempts", "attempts", 4),
            ago("age", "createdAt", rank=1),
        ),
    ),
    "listA2aDlq": ListTable(
        "id",
        (
            key("letter", "id"),
            word("status", "status"),
            session(2),
            word("reason", "reason", rank=1),
            text("error", "error"),
            number("retries", "retryCount", 4),
            word("source", "source", rank=5),
            word("decided by", "decidedBy", rank=4),
            ago("age", "createdAt", rank=3),
        ),
    ),
    "getA2aDlqRedrive": ListTable(
        "deadLetterId",
        (
            key("letter", "deadLetterId"),
            word("result", "result"),
            word("code", "code", rank=2),
            ago("age", "at", rank=1),
        ),
    ),
    "cancelRuns": ListTable(
        "runId",
        (
            key("run", "runId"),
            word("status", "status"),
            key("retry", "retryRunId", rank=2),
            word("code", "error.code", rank=1),
            text("error", "error.message"),
        ),
    ),
    "searchMemory": ListTable(
        "id",
        (
            word("source", "citation", "sourcePath", most=36),
            Column("score", lambda record: f"{record.get('score', 0):.2f}", 1, right=True),
            text("text", "snippet"),
        ),
    ),
    "listMemory": ListTable(
        "id", (key("entry", "id"), text("text", "text"), number("chars", "chars", 2), ago("age", "createdAt", rank=1))
    ),
    "findIds": ListTable(
        "id",
        (word("kind", "kind"), word("id", "id", most=40), word("name", "name", rank=1), key("run", "runId", rank=1)),
    ),
    "listAsks": ListTable(
        "id",
        (
            key("ask", "id"),
            word("kind", "kind", rank=2),
            word("status", "status", rank=5),
            Column("what", what_of, least=TEXT_CELLS_MIN),
            word("agent", "agentName", "stepId", rank=3, most=18),
            key("run", "runId", "workflowRunId", rank=1),
            joined("approvers", "approvers", rank=7),
            word("decided by", "decidedBy", rank=6),
            ago("age", "askedAt"),
            Column("expires", _expires, 1),
        ),
    ),
    "listTokens": ListTable(
        "tokenId",
        (
            key("token", "tokenId"),
            word("identity", "identity"),
            word("role", "role"),
            word("status", "status", rank=1),
            Column("last used", lambda record: age(used) if (used := record.get("lastUsedAt")) else "never"),
            ahead("expires", "expiresAt"),
            text("note", "note", rank=2),
            Column("scope", token_scope, 3, least=TEXT_CELLS_MIN),
            word("kind", "kind", rank=4),
            word("created by", "createdBy", rank=5),
            ago("age", "createdAt", rank=6),
        ),
    ),
    "listWorkspaces": ListTable(
        "workspaceId",
        (
            key("workspace", "workspaceId"),
            word("kind", "kind", rank=2),
            Column("of", lambda record: short(first_of(record, ("sessionId", "workflowRunId")))),
            word("source", "source", rank=4),
            word("status", "status"),
            Column("kept", lambda record: "yes" if record.get("keep") else "no", 3),
            number("runs", "runs", rank=1),
            ago("used", "lastUsedAt"),
            ago("age", "createdAt", rank=5),
        ),
    ),
    "listPermissionRules": ListTable(
        "id",
        (
            key("rule", "id"),
            word("status", "status", rank=2),
            Column("allows", call_line, least=TEXT_CELLS_MIN),
            word("in", "scope"),
            Column("of", lambda record: short(first_of(record, ("runId", "sessionId", "harnessProfileId"))), 1),
            number("uses", "uses", 1),
            word("created by", "createdBy", rank=3),
            ahead("expires", "expiresAt"),
            ago("used", "lastUsedAt", rank=4),
            ago("age", "createdAt", rank=5),
        ),
    ),
    "listAnchors": ListTable(
        "logId",
        (
            word("log", "logId"),
            number("position", "position"),
            word("chain", "chain", rank=1, most=16),
            word("from", "from", rank=2),
            ago("age", "at"),
            ago("kept", "keptAt", rank=3),
        ),
    ),
    "listWorkers": ListTable(
        "id",
        (
            key("worker", "id"),
            word("kind", "kind"),
            word("status", "status"),
            Column("process", lambda record: f"{record.get('host')}:{record.get('pid')}", 2),
            Column("running", lambda record: f"{record.get('running')} of {record.get('concurrency')}", 1, right=True),
            joined("providers", "providers", 4),
            Column("problems", _problems, 1, TEXT_CELLS_MIN),
            ago("heartbeat", "heartbeat"),
            ago("started", "since", rank=3),
        ),
    ),
    "listWorkflows": ListTable(
        "id",
        (
            key("workflow", "id"),
            Column("steps", _steps, least=TEXT_CELLS_MIN),
            word("created by", "createdBy", rank=2),
            ago("age", "createdAt", rank=1),
        ),
    ),
    "listWorkflowRuns": ListTable(
        "id",
        (
            key("run", "id"),
            word("status", "status"),
            word("requested by", "requestedBy", rank=2),
            key("resumes", "resumedFromRunId", rank=4),
            took("time", "startedAt", "finishedAt", rank=3),
            ago("age", "createdAt"),
        ),
    ),
    "listWorkflowRunItems": ListTable(
        "item",
        (
            word("item", "item"),
            word("status", "status"),
            number("attempt", "attempt", 2),
            key("run", "runId", rank=1),
            text("error", "error.message", "error"),
        ),
    ),
    "listPersonaRuns": ListTable(
        "runId",
        (
            key("review", "runId"),
            word("status", "status"),
            word("persona", "personaName"),
            word("gate", "mergeGate"),
            Column("findings", _findings, 2),
            text("repository", "repoPath", rank=3),
            word("head", "headRef", rank=1),
            word("base", "baseRef", rank=4),
            took("time", "createdAt", "finishedAt", rank=4),
            ago("age", "createdAt", rank=2),
        ),
    ),
    "listPolicyConcurrencyRejections": ListTable(
        "id",
        (
            ago("age", "createdAt", rank=1),
            text("reason", "reason", least=28),
            Column("limit", _limit, 3),
            session(),
            word("requested by", "actor", rank=2),
            key("run", "runId", rank=4),
            text("input", "request.input", rank=5),
            word("provider", "provider", rank=6),
        ),
    ),
    "listSchedules": ListTable(
        "id",
        (
            word("schedule", "id"),
            Column("state", _state),
            Column("when", _trigger, most=36),
            ahead("next", "nextRunAt"),
            ago("last", "lastRunAt", rank=2),
            text("input", "note", "input", rank=1),
            session(3),
        ),
    ),
    "getScheduleLogs": ListTable(
        "id",
        (
            ago("age", "startedAt"),
            word("status", "status"),
            text("reason", "error", "reason", rank=1),
            key("run", "runId"),
            ago("scheduled", "nominalTime", rank=3),
            took("time", "startedAt", "finishedAt", rank=2),
        ),
    ),
    "previewSchedule": ListTable("utc", (ahead("next", "utc"), word("local", "local"), word("utc", "utc", rank=1))),
    "getAuditTrail": ListTable(
        "id",
        (
            ago("age", "createdAt"),
            word("action", "type"),
            word("by", "actor"),
            Column("target", _target, 2, most=18),
            text("reason", "reason", rank=1),
            session(4),
        ),
    ),
    "getDiff": ListTable(
        "id",
        (
            clock("time", "last.createdAt", rank=1),
            word("kind", "kind"),
            key("record", "id"),
            Column("change", change_of),
            word("last event", "last.type", most=34),
            word("by", "last.actor", rank=2),
            number("events", "events", 3),
        ),
        changes_of,
    ),
    "listEvents": ListTable(
        "id",
        (
            clock("time", "createdAt", rank=1),
            word("type", "type", most=34),
            session(2),
            key("run", "runId", rank=1),
            Column("what", summary_of, least=TEXT_CELLS_MIN),
        ),
    ),
}
"""The table of each list operation, by operation id."""


def generic(rows: list[Record]) -> tuple[Column, ...]:
    """Return the columns of records of an unknown kind: their scalar members."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict | list))
    return tuple(of_member(name, rows, rank) for rank, name in enumerate(names))


def of_member(path: str, rows: Iterable[Record], rank: int = ALWAYS) -> Column:
    """Return the column of a member, formatted by its name and its values."""
    sample = next((value for row in rows if (value := at(row, path)) is not None), None)
    least = TEXT_CELLS_MIN if isinstance(sample, str) and len(sample) > WORD_CELLS_MAX else 0
    paid = path.endswith(("MicroUsd", "Usd"))
    return Column(path, lambda record: shown_member(path, at(record, path)), rank, least, right=paid, money=paid)


def shown_member(path: str, value: Any) -> str:
    """Return a member as text, by its name: money, durations, sizes, ages, ids."""
    name = path.rpartition(".")[2]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("MicroUsd"):
            return money(value)
        if name.endswith("Usd"):
            return money(value * 1e6)
        unit = name.removesuffix("Max")
        if unit.endswith(("Ms", "Seconds")):
            return duration(value * (1 if unit.endswith("Ms") else 1_000))
        if unit.lower().endswith("bytes"):
            return size(value)
        return f"{value:,}" if isinstance(value, int) and name not in {"pid", "port"} else str(value)
    if isinstance(value, str) and TIME.fullmatch(value):
        return distance(value)
    return text_of(value)
