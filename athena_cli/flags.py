"""Flags: their kinds, their names, and the help text of each body and query member."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from cyclopts import Parameter

SWITCH = Parameter(negative="")
SWITCHES = frozenset(("exact",))
"""Members of queries that need no value: their flag is true."""
TEXT = Parameter(allow_leading_hyphen=True)
Detach: TypeAlias = Annotated[bool, Parameter(name="--async", negative="")]

NAMES: Mapping[str, str] = {
    "directiveId": "directive",
    "harnessProfileId": "profile",
    "parentRunId": "parent",
    "runId": "run",
    "runTemplateId": "template",
    "sessionId": "session",
    "sessionStrategy": "strategy",
    "templateId": "template",
    "workflowId": "workflow",
}
"""Flag names that differ from the member name."""

FLAGGED: Mapping[str, str] = {"scheduleId": "--id"}
"""Path parameters that may be passed as a flag as well as by position."""

PLACED: Mapping[str, tuple[str, ...]] = {"getDiff": ("from", "to")}
"""Query members that may be passed by position as well, by operation."""

WITHOUT_FLAG = frozenset({"frames"})
"""Query members that only change how a client reads the answer."""

CONNECTION: dict[str, str] = {
    "--transport": "`api` sends the request to a server, `local` runs it in this process, `auto` prefers the server "
    "(ATHENA_CLI_TRANSPORT).",
    "--api-base-url": "Base URL of the server (ATHENA_API_BASE_URL).",
    "--api-timeout-ms": "Longest wait for a connection and for a sign of life of the server, in milliseconds; does not "
    "limit how long a run may take (ATHENA_CLI_API_TIMEOUT_MS).",
    "--identity": "Identity to send when authentication is on (ATHENA_CLI_IDENTITY).",
}
"""The connection options of every command that sends a request, and their help."""

AS_OF = "Show it as it was then: an event id, a position, a time (ISO-8601, UTC without an offset), or 2h for 2 h ago."
"""The help of the option of commands that can read the past."""

CONNECTION_SETTINGS: dict[str, str] = {
    "ATHENA_TOKEN": "Token to send, if the server requires one. `athena tokens create` makes it.",
    "ATHENA_TOKEN_FILE": "File with the token, instead of ATHENA_TOKEN.",
    "ATHENA_API_CA_FILE": "PEM file with the authority of the server's certificate, if it is a private one.",
}
"""Settings of the connection without a flag: arguments of a process can be read by others on the machine."""

ABOUT: Mapping[str, str] = {
    "actor": "Only actions of this identity.",
    "after": "Start after this entry (its id), at `latest`, or at a time; from the beginning if absent.",
    "names": "Find records by their names, too (default: true).",
    "answerable": "Only open asks that you may answer.",
    "exact": "Open the exact text of an ask whose shown text hides a part. It is recorded.",
    "sandbox": 'Sandbox of its commands: {"mode", "network", "readOnly"}.',
    "workspace": "Where its runs work; default: the shared workspace.",
    "asks": 'How its runs ask a person: {"holdMs", "expiresAfterMs", "onExpiry", "role", ...}.',
    "mcp": 'Tools of MCP servers: {SERVER: {"tools": ["read_*"], "approval", "rules"}}.',
    "agent": 'Outside agent that works on its runs: {"name", "mode", "models", "permissions"}.',
    "allowedEgress": 'Hosts that its tools may connect to: [{"host", "port"}, ...].',
    "at": "The time to use as now (ISO-8601 with an offset); now if absent.",
    "auditComment": "Reason, for the audit trail.",
    "auditNote": "Reason, for the audit trail.",
    "budgetUsd": "Total budget of the run in USD, including what it has spent; unlimited if absent.",
    "cancelRunning": "Also cancel the runs that hold a slot, and their children; runs in line stay.",
    "catchUp": "Which missed slots run after downtime; `latest` if absent.",
    "catchUpWindowSeconds": "Seconds after which a missed slot is dropped; one year if absent.",
    "chain": "The chain value at that position, 64 hex digits.",
    "config": 'Model and tools: {"provider", "model", "tools": [...]}; "credentials": [...] for tool http.',
    "contextRefs": "Files to add to the context: file:PATH or memory:PATH, inside the workspace.",
    "costBudgetDailyUsd": "Daily budget of all runs (UTC day), in USD; omit it for no limit.",
    "count": "Number of slots; 10 if absent.",
    "costOverUsd": "Only runs that cost more than this, in USD.",
    "durationOverMs": "Only ended runs that took longer than this, in milliseconds.",
    "createdAfter": "Only at or after this time (ISO-8601).",
    "createdBefore": "Only up to this time (ISO-8601).",
    "cron": "Cron expression: minute, hour, day of month, month, day of week.",
    "defaultParams": "Default parameter values.",
    "defaultRunTimeoutMs": "Default timeout of a run, in milliseconds.",
    "defaultScheduleTimeoutMs": "Default timeout of a scheduled run, in milliseconds.",
    "definition": "The workflow definition: steps and dependencies.",
    "directiveId": "Id of the directive to run, instead of an input.",
    "directiveTemplate": "Directive text with {{parameters}}.",
    "displayName": "Display name.",
    "dryRun": "Change nothing; report what would be done.",
    "enabled": "Enable the schedule; true if absent. A disabled schedule has no slots.",
    "endAt": "Latest time of a slot (ISO-8601 with an offset).",
    "errorCode": "Only runs that ended with this error code.",
    "expiresAfterMs": "Milliseconds until it expires; 90 days if absent.",
    "everyMinutes": "Interval in minutes.",
    "filter": "Filter of dead letters, with the fields of `dead-letters list`.",
    "format": "Response format; JSON if absent.",
    "from": "Start of the preview (ISO-8601); now if absent.",
    "fromPersona": "The sending persona.",
    "harnessProfileId": "Id of the harness profile.",
    "id": "Id of your choice.",
    "identity": "Identity of its requests.",
    "include": "Show whole outputs instead of their beginnings.",
    "input": "The prompt.",
    "inputOverrides": "Input values to replace from now on, by name.",
    "jitterSeconds": "Maximum random delay of each slot, in seconds; always the same for one slot.",
    "keep": "True to keep it, false to let it be cleaned when it is unused.",
    "kind": "Only this kind.",
    "server": "Name of the MCP server.",
    "listingSha256": "The same as --subject-hash, under its name of release 0.2.",
    "acceptMcpTools.subjectHash": "Hash of the list of tools that you saw, as `mcp-servers get` shows it.",
    "redriveA2aDlq.subjectHash": "Hash of a dry run: requeue only if the same dead letters match.",
    "acceptMcpTools.tools": "Names of the tools; all of the list if absent.",
    "acceptMcpTools.note": "Reason, for the audit trail.",
    "limits": 'Concurrency limits of sessions, providers and profiles: [{"scope", "key", "max", "strategy"}, ...].',
    "logId": "Id of the other log, 16 hex digits.",
    "maxConcurrentRuns": "Maximum number of concurrent runs.",
    "maxRunAttempts": "Executor losses after which a run ends as crashed; 3 if absent.",
    "metadata": "Custom metadata, as an object.",
    "model": "A model of that provider.",
    "name": "Only this persona.",
    "note": "Reason.",
    "optionId": "The option to choose. A filter takes only one that refuses, such as `deny`.",
    "offset": "Number of records to skip; cannot be combined with --cursor.",
    "order": "Sort order; `newest` if absent.",
    "overlapPolicy": "What to do if a run of the schedule is still active when a slot is due; `skip` if absent.",
    "params": "Template parameters, as an object.",
    "paramsSchema": "JSON Schema of the parameters; without one, every parameter is a string.",
    "parentRunId": "The run that sends it.",
    "pauseOnFailure": "Pause the schedule when a run fails.",
    "paused": "Record slots as they come due, but start no run.",
    "payload": "Content of the message: a quoted string or an object.",
    "policies": 'Limits of a run: {"timeoutMs", "retryLimit", "budgetUsd", "maxTurns"}.',
    "policy": "The whole policy, as one object.",
    "position": "Position in that log.",
    "provider": "Model provider.",
    "ratePerSecond": "Dead letters to requeue per second.",
    "reason": "Only this reason.",
    "retryBudgetPerRun": "Maximum retries of failed model calls per run.",
    "role": "Highest role of its requests.",
    "runAt": "Run once, at this time (ISO-8601 with an offset).",
    "runId": "Id of the run.",
    "runTemplateId": "Id of a run template.",
    "scope": "Only rules for one run, one session, or all runs of a profile.",
    "schemaVersion": "Version of the policy format: 1.",
    "sessionId": "Id of the session.",
    "since": "Requests since this time (ISO-8601), position or event; the last 24 hours if absent.",
    "sort": "Order, the largest first; `createdAt` if absent.",
    "sourcePersona": "Only messages from this persona.",
    "startAt": "Earliest time of a slot (ISO-8601 with an offset).",
    "startNow": "Run the first slot now instead of after one interval.",
    "status": "Only this status.",
    "stepId": "The workflow step that sends it.",
    "subjectHash": "Hash of the subject to judge, from `workflows status`. A subject that has changed is not judged.",
    "targetPersona": "Only messages to this persona.",
    "taskId": "The task that it belongs to.",
    "text": "Text of the entry.",
    "timezone": "Time zone of the cron expression, such as Europe/Berlin; UTC if absent.",
    "toolName": "Only this tool.",
    "toPersona": "The receiving persona.",
    "toolPolicies": 'Permissions of its tools: {"shell": {...}, "http": {...}, "files": {...}}.',
    "updatedAt": "Ignored. Accepted so that the output of `policy get` can be sent back.",
    "verificationPolicies": 'Checks that its runs must pass: [{"id", "kind", ...}, ...].',
    "version": "Version to show; the newest if absent.",
    "wait": "Seconds to wait for the end of the run.",
    "workflowId": "Id of a workflow.",
    # filters of lists
    "?identity": "Only tokens of this identity.",
    "?harnessProfileId": "Only this harness profile.",
    "?model": "Only this model.",
    "?provider": "Only this provider.",
    "?runId": "Only this run.",
    "?sessionId": "Only this session.",
    "?parentRunId": "Only children of this run.",
    "?retryOf": "Only retries of this run.",
    "?logId": "Only this log.",
    "?fromPersona": "Only messages from this persona.",
    "?toPersona": "Only messages to this persona.",
    # members of one operation that mean something else
    "getDiff.change": "Only records that did this.",
    "getDiff.counts": "End with the numbers of all records, unless `false`; then `--limit` also limits the work.",
    "getDiff.from": "First moment: the id of an event, a position or a time (ISO-8601).",
    "getDiff.kind": "Only records of this kind.",
    "getDiff.to": "Second moment, likewise; now if absent.",
    "getFleetSeries.by": "Also count by models, profiles or error codes.",
    "getFleetSeries.from": "Beginning (ISO-8601); an hour before the end if absent.",
    "getFleetSeries.step": "Length of an interval; the shortest that suits the time if absent.",
    "getFleetSeries.to": "End (ISO-8601); now if absent.",
    "answerAsks.filter": "Open asks to reject, with the fields of `asks list`.",
    "answerAsks.items": 'Asks to answer: [{"askId", "subjectHash", "optionId"}, ...].',
    "cancelWorkflowRun.reason": "Reason for the cancellation.",
    "retryRun.budgetUsd": "Budget in USD, 0 for none; the same if absent.",
    "retryRun.harnessProfileId": "Another profile; the same if absent.",
    "retryRun.input": "Another prompt; the same if absent.",
    "retryRun.model": "Another model; the same if absent.",
    "retryRun.provider": "Another provider; the same if absent.",
    "startHalt.reason": "Why all work stops. Refused callers read it.",
    "simulatePolicy.runId": "Check only the request of this run.",
    "keepAnchor.at": "Time of the anchor, such as 2026-01-31T12:00:00.000Z.",
    "runWorkflow.input": "Values of the placeholders in its directives, by name.",
    "createRunTemplate.harnessProfileId": "Id of the harness profile that runs it.",
    "updateRunTemplate.harnessProfileId": "Id of the harness profile that runs it.",
    "createHarnessProfile.version": "Version of the profile format.",
}
"""Help texts by member name; ``?name`` applies to queries only, ``operation.name`` to one operation."""


def about(operation_id: str, name: str, *, query: bool = False) -> str:
    """Return the help text of a member."""
    own = ABOUT.get(f"{operation_id}.{name}") or (ABOUT.get(f"?{name}") if query else None)
    return own or ABOUT[name]


def flag(name: str) -> str:
    """Return the flag name of a member, in kebab case."""
    called = NAMES.get(name, name)
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in called)


UNITS: Mapping[str, str] = {"ms": "MS", "seconds": "SECONDS", "second": "N", "minutes": "MINUTES", "usd": "USD"}
VALUES: Mapping[str, str] = {
    **dict.fromkeys(("at", "since", "after", "before", "from"), "TIME"),
    **dict.fromkeys(("id", "run", "parent", "session", "profile", "directive", "template", "workflow", "actor"), "ID"),
    **{"cron": "CRON", "timezone": "ZONE", "hash": "HASH", "body": "FILE", "cursor": "CURSOR", "match": "ETAG"},
    **{"refs": "REF", "persona": "NAME", "name": "NAME", "provider": "NAME", "model": "NAME"},
}
"""What stands for a value in help, by the last word of its flag."""


def metavar(name: str, kind: object, *, as_json: bool = False) -> str:
    """Return what stands for the value of a flag in help: a kind of value, a unit, or ``TEXT``."""
    last = name.replace("-", "_").rpartition("_")[2]
    if as_json:
        return "JSON"
    return UNITS.get(last, "N") if kind in {int, float} else VALUES.get(last, "TEXT")
