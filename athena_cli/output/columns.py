"""The columns of tables: for each list of the API the members that people need, with their importance."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from athena_cli.output.event_text import call_line, message_of, speaker_of, summary_of, what_of
from athena_cli.output.values import TIME, age, between, clock_time, distance, duration, line, money, plain, short, size

Record = Mapping[str, Any]
Read = Callable[[Record], str]

ALWAYS = 0
WORD_CELLS_MAX = 28
SESSION_CELLS_MAX = 20
TEXT_CELLS_MIN = 16


class Column(NamedTuple):
    """A column of a table, or a field of a record.

    Columns of the highest ``rank`` are left out first where a terminal is narrow. A column of texts has ``least`` cells
    at least and shares the rest of the width; any other is as wide as its widest cell, up to ``most``.
    """

    name: str
    read: Read
    rank: int = ALWAYS
    least: int = 0
    most: int = WORD_CELLS_MAX
    right: bool = False


class ListTable(NamedTuple):
    """The columns of a list, and the member that identifies a record (for ``-q``)."""

    id: str
    columns: tuple[Column, ...]


def at(record: Any, path: str) -> Any:
    """Return the member of a record at a path such as ``error.message``; None if there is none."""
    for name in path.split("."):
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def text_of(value: object) -> str:
    """Return any value as one line of text."""
    if isinstance(value, dict | list):
        import msgspec

        return line(msgspec.json.encode(value).decode())
    return line(plain(value))


def _first(record: Record, paths: Iterable[str]) -> str:
    values = (at(record, path) for path in paths)
    return next((text_of(value) for value in values if value not in (None, "", [], {})), "")


def text(name: str, *paths: str, rank: int = ALWAYS, least: int = TEXT_CELLS_MIN) -> Column:
    """Return a column of texts: the first that is there."""
    return Column(name, lambda record: _first(record, paths), rank, least)


def word(name: str, *paths: str, rank: int = ALWAYS, most: int = WORD_CELLS_MAX) -> Column:
    """Return a column of words, such as a status, a session or an identity."""
    return Column(name, lambda record: _first(record, paths), rank, most=most)


def session(rank: int = ALWAYS) -> Column:
    """Return the column of sessions: names, and of a generated id the end. Commands take no part of either."""

    def read(record: Record) -> str:
        found = _first(record, ("sessionId",))
        return found if short(found) == found else f"…{short(found)}"

    return Column("session", read, rank, most=SESSION_CELLS_MAX)


def key(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of ids, in their short form."""
    return Column(name, lambda record: short(_first(record, paths)), rank)


def number(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of numbers."""
    return Column(name, lambda record: plain(at(record, path)), rank, right=True)


def joined(name: str, path: str, rank: int = ALWAYS, least: int = TEXT_CELLS_MIN) -> Column:
    """Return a column of lists of words."""
    return Column(name, lambda record: line(", ".join(map(str, at(record, path) or ()))), rank, least)


def cost(name: str, path: str, rank: int = ALWAYS, *, scale: float = 1) -> Column:
    """Return a column of money; ``scale`` is the number of micro-USD in a unit."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else money(value * scale)

    return Column(name, read, rank, right=True)


def usd(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of money that is given in USD."""
    return cost(name, path, rank, scale=1e6)


def ago(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of ages."""
    return Column(name, lambda record: _dated(record, paths, age), rank)


def ahead(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of distances to times that may come."""
    return Column(name, lambda record: _dated(record, paths, distance), rank)


def clock(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of times of the day."""
    return Column(name, lambda record: _dated(record, paths, clock_time), rank)


def _dated(record: Record, paths: Iterable[str], shown: Callable[[str], str]) -> str:
    found = next((value for path in paths if isinstance(value := at(record, path), str)), "")
    return shown(found) if TIME.fullmatch(found) else found


def took(name: str, start: str, end: str, rank: int = ALWAYS) -> Column:
    """Return a column of durations between two times."""

    def read(record: Record) -> str:
        begun, ended = at(record, start), at(record, end)
        return between(begun, ended) if begun and ended else ""

    return Column(name, read, rank, right=True)


def run_time(record: Record) -> str:
    """Return how long a run that has ended took, without its time in the queue."""
    measured = record.get("durationMs")
    return took("", "createdAt", "finishedAt").read(record) if measured is None else duration(measured)


def lasting(name: str, path: str, rank: int = ALWAYS, *, scale: float = 1) -> Column:
    """Return a column of durations; ``scale`` is the number of milliseconds in a unit."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else duration(value * scale)

    return Column(name, read, rank, right=True)


def weight(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of sizes in bytes."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else size(value)

    return Column(name, read, rank, right=True)


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


def _rule(record: Record) -> str:
    """Return the limit of the policy that rejected a run."""
    return _first(record, ("policy.policyName", "event.policy.policyName")).removeprefix("policy.")


def _target(record: Record) -> str:
    return short(_first(record, ("target", "runId")))


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
    return _first(record, ("error.message", "outputPreview", "waiting.reason", "paused.reason"))


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
        (key("run", "runId"), session(), number("process", "pid", 1), ago("age", "startedAt")),
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
            joined("tools", "config.tools", rank=2),
            lasting("timeout", "policies.timeoutMs", 6),
            Column("budget", _budget, 4, right=True),
            ago("age", "createdAt", rank=3),
        ),
    ),
    "listRunTemplates": ListTable(
        "id",
        (
            key("template", "id"),
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
    "findIds": ListTable("id", (word("kind", "kind"), word("id", "id", most=40), key("run", "runId", rank=1))),
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
    "listPermissionRules": ListTable(
        "id",
        (
            key("rule", "id"),
            word("status", "status", rank=2),
            Column("allows", call_line, least=TEXT_CELLS_MIN),
            word("in", "scope"),
            Column("of", lambda record: short(_first(record, ("runId", "sessionId", "harnessProfileId"))), 1),
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
            Column("rule", _rule, 2),
            word("requested by", "actor"),
            session(2),
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
    return Column(path, lambda record: shown_member(path, at(record, path)), rank, least)


def shown_member(path: str, value: Any) -> str:
    """Return a member as text, by its name: money, durations, sizes, ages, ids."""
    name = path.rpartition(".")[2]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("MicroUsd"):
            return money(value)
        if name.endswith("Usd"):
            return money(value * 1e6)
        if name.endswith("Ms"):
            return duration(value)
        if name.lower().endswith("bytes") or name.endswith("BytesMax"):
            return size(value)
        return f"{value:,}" if isinstance(value, int) and name not in {"pid", "port"} else str(value)
    if isinstance(value, str) and TIME.fullmatch(value):
        return distance(value)
    return text_of(value)
