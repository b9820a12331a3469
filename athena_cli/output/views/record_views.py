"""The views of single records: the fields, texts and lists that people need of each kind, in their order."""

from collections.abc import Mapping

from athena_cli.output.ask_text import call_lines, form_lines, hidden_text, is_locked, option_names
from athena_cli.output.column import (
    Column,
    Record,
    ago,
    at,
    dated,
    due,
    joined,
    key,
    lasting,
    number,
    text,
    text_of,
    took,
    usd,
    weight,
    whole,
    word,
)
from athena_cli.output.columns import TABLES, allowed_commands, allowed_files, permission, token_scope
from athena_cli.output.tables import WIDE
from athena_cli.output.views.agent_views import AGENTS
from athena_cli.output.views.fleet_views import FLEET, HALT, HEALTH, SERIES
from athena_cli.output.views.mcp_views import MCP_SERVER, MCP_SERVERS
from athena_cli.output.views.run_views import EXPLAINED, PROOF, RUN, SENT_REQUEST
from athena_cli.output.views.view import Listed, View, raw

VALUE_CHARS = 200


def _step_says(record: Record) -> str:
    """Return what matters of a step: the question, the error, what it waits for, or its answer."""
    waits = at(record, "dependencyReadiness.blockingStepIds") or ()
    asked = at(record, "approval.message") if record.get("status") == "waiting" else None
    after = f"after {', '.join(waits)}" if waits and record.get("status") == "pending" else ""
    found = asked or record.get("note") or at(record, "checkpoint.error") or after
    return text_of(found or at(record, "checkpoint.artifact.output") or "")


def _percent(record: Record) -> str:
    progress = record["progress"]
    return f"{progress['completedSteps']} of {progress['totalSteps']} steps ({progress['percentComplete']:g} %)"


def _time_left(record: Record) -> str:
    """Return the estimate of a workflow run that does not wait for a person."""
    status = at(record, "run.status")
    return lasting("", "eta.estimatedRemainingMs").read(record) if status == "running" else ""


def _approve(record: Record) -> str:
    """Return the command that approves the step that waits."""
    run = at(record, "run.id")
    for node in record.get("nodes") or ():
        if node.get("status") == "waiting" and at(node, "approval.subjectHash"):
            return f"athena workflows approve {run} {node['stepId']} --subject-hash {node['approval']['subjectHash']}"
    return ""


def _answer_with(record: Record) -> str:
    """Return the command that answers an open ask."""
    return f"athena answer {record['id']}" if record.get("status") == "open" else ""


def _call(record: Record, member: str) -> str:
    """Return a tool call in full, with its control characters written out."""
    arguments = at(record, member)
    if arguments is None or record.get("kind") in {"question", "choice"}:
        return ""
    import msgspec

    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return "\n".join(call_lines(str(record.get("toolName")), text, WIDE))


def _value(record: Record, member: str) -> str:
    """Return the beginning of a value that a condition was judged by."""
    return text_of(record[member])[:VALUE_CHARS] if member in record else "absent"


BISECTED = View(
    (
        number("position", "position"),
        word("type", "event.type"),
        whole("event", "event.id"),
        dated("time", "event.createdAt"),
        word("by", "actor"),
        Column("before", lambda record: _value(record, "before")),
        Column("after", lambda record: _value(record, "after")),
    ),
    (),
    (Listed("events of its request", "sameTrace", TABLES["listEvents"].columns),),
    (("see the fleet then", lambda record: f"athena open fleet --as-of {record['position']}"),),
)

STEP = (
    word("step", "stepId"),
    word("status", "status"),
    Column("says", _step_says, least=20),
    key("run", "runId", rank=1),
    number("attempt", "attempt", 3),
    took("time", "checkpoint.startedAt", "checkpoint.finishedAt", rank=2),
)
WORKFLOW_RUN = View(
    (
        whole("workflow", "workflow.id"),
        whole("run", "run.id"),
        word("status", "run.status"),
        Column("progress", _percent),
        dated("started", "run.createdAt"),
        took("time", "run.startedAt", "run.finishedAt"),
        Column("time left", _time_left),
        whole("requested by", "run.requestedBy"),
    ),
    (),
    (Listed("steps", "nodes", STEP),),
    (("approve with", _approve),),
)


def _models(record: Record) -> str:
    """Return the models that an outside agent may ask for, and the models that serve them."""
    models = at(record, "agent.models") or {}
    return ", ".join(name if name == served else f"{name} by {served}" for name, served in models.items())


def _budget(record: Record) -> str:
    return usd("", "policies.budgetUsd").read(record) if at(record, "policies.budgetUsd") else "none"


def _schedule(name: str, record: Record) -> str:
    return next(column for column in TABLES["listSchedules"].columns if column.name == name).read(record)


STARTED_WORKFLOW = View(
    (
        whole("run", "id"),
        whole("workflow", "workflowId"),
        word("status", "status"),
        dated("created", "createdAt"),
        took("time", "startedAt", "finishedAt"),
        whole("requested by", "requestedBy"),
        whole("resumes", "resumedFromRunId"),
    ),
    (),
    (Listed("steps", "stepStates", STEP),),
    (("approve with", lambda record: _approve({"run": record, "nodes": (record.get("stepStates") or {}).values()})),),
)

VIEWS: Mapping[str, View] = {
    "bisect": BISECTED,
    "listAgents": AGENTS,
    "listMcpServers": MCP_SERVERS,
    "getMcpServer": MCP_SERVER,
    "checkMcpServer": MCP_SERVER,
    "acceptMcpTools": MCP_SERVER,
    "getRun": RUN,
    "createRun": RUN,
    "runTemplate": RUN,
    "resumeRun": RUN,
    "retryRun": RUN,
    "explainRun": EXPLAINED,
    "getRunProof": PROOF,
    "getSentRequest": SENT_REQUEST,
    "getFleetSeries": SERIES,
    "getFleetSummary": FLEET,
    "getAdminHealth": HEALTH,
    "getWorkflowRun": WORKFLOW_RUN,
    "runWorkflow": STARTED_WORKFLOW,
    "getWorkflow": View(
        (whole("workflow", "id"), dated("created", "createdAt"), whole("created by", "createdBy")),
        (),
        (
            Listed(
                "steps",
                "definition.steps",
                (
                    word("step", "id"),
                    key("directive", "directiveId", "workflowId", rank=1),
                    key("agent (profile)", "harnessProfileId", rank=2),
                    text("approval", "approval.message"),
                ),
            ),
            Listed("dependencies", "definition.dependencies", (word("from", "from"), word("to", "to"))),
        ),
    ),
    "getSchedule": View(
        (
            whole("schedule", "id"),
            Column("state", lambda record: _schedule("state", record)),
            Column("when", lambda record: _schedule("when", record)),
            due("next run", "nextRunAt"),
            dated("last run", "lastRunAt"),
            whole("note", "note"),
            whole("session", "sessionId"),
            whole("agent (profile)", "harnessProfileId"),
            whole("workflow", "workflowId"),
            whole("template", "runTemplateId"),
            whole("overlap policy", "overlapPolicy"),
            whole("catch-up", "catchUp"),
            dated("changed", "updatedAt"),
            whole("changed by", "updatedBy"),
        ),
        (raw("input", "input"),),
    ),
    "getCaller": View(
        (
            whole("identity", "identity"),
            word("role", "role"),
            Column("scope", token_scope),
            whole("token", "token.tokenId"),
            due("expires", "token.expiresAt"),
            Column("operations", lambda record: "-o json lists them"),
        )
    ),
    "getHalt": HALT,
    "startHalt": HALT,
    "liftHalt": HALT,
    "getAsk": View(
        (
            whole("ask", "id"),
            word("kind", "kind"),
            word("status", "status"),
            whole("question", "question"),
            whole("agent", "agentName"),
            whole("session", "sessionId"),
            whole("step", "stepId"),
            whole("run", "runId", "workflowRunId"),
            joined("approvers", "approvers"),
            word("role", "role"),
            dated("asked", "askedAt"),
            due("expires", "expiresAt"),
            word("on expiry", "onExpiry"),
            Column("parked", lambda record: "yes" if record.get("parked") else ""),
            Column("options", option_names),
            Column("hidden", lambda record: hidden_text(record["hidden"]) if is_locked(record) else ""),
            dated("decided", "decidedAt"),
            whole("decided by", "decidedBy"),
            word("rule", "ruleId", most=40),
            word("answer", "optionId"),
            whole("note", "note"),
        ),
        (
            ("call", lambda record: _call(record, "arguments" if record.get("exact") is None else "exact")),
            ("changed call", lambda record: _call(record, "editedArguments")),
            raw("subject", "subject"),
            ("form", lambda record: "\n".join(form_lines(record.get("form") or {}))),
            ("values", lambda record: text_of(record.get("values") or "")),
        ),
        (),
        (("answer it with", _answer_with),),
    ),
    "getToken": View(
        (
            *(whole("token", "tokenId"), word("kind", "kind"), word("status", "status")),
            *(whole("identity", "identity"), word("role", "role"), Column("scope", token_scope)),
            whole("parent", "parentId"),
            whole("created by", "createdBy"),
            dated("created", "createdAt"),
            due("expires", "expiresAt"),
            dated("last used", "lastUsedAt", absent="never"),
            dated("revoked", "revokedAt"),
            whole("revoked by", "revokedBy"),
            whole("note", "note"),
        ),
    ),
    "getWorkspace": View(
        (
            *(whole("workspace", "workspaceId"), word("kind", "kind"), whole("session", "sessionId")),
            *(whole("workflow run", "workflowRunId"), word("status", "status"), word("source", "source")),
            *(whole("commit", "commit"), number("runs", "runs"), weight("size", "sizeBytes"), whole("kept", "keep")),
            *(dated("created", "createdAt"), dated("last used", "lastUsedAt"), dated("cleaned", "cleanedAt")),
            *(whole("cleaned by", "cleanedBy"), word("because of", "cause")),
        ),
    ),
    "getPermissionRule": View(
        (
            whole("rule", "id"),
            word("status", "status"),
            word("scope", "scope"),
            whole("run", "runId"),
            whole("session", "sessionId"),
            whole("agent (profile)", "harnessProfileId"),
            whole("from ask", "askId"),
            whole("created by", "createdBy"),
            dated("created", "createdAt"),
            due("expires", "expiresAt"),
            number("uses", "uses"),
            dated("last used", "lastUsedAt"),
            dated("revoked", "revokedAt"),
            whole("revoked by", "revokedBy"),
        ),
        (("allows", lambda record: _call(record, "arguments")),),
    ),
    "getRunEvidence": View(
        (
            whole("evidence", "id"),
            whole("run", "runId"),
            whole("label", "label"),
            word("type", "type"),
            weight("size", "sizeBytes"),
            word("source", "source"),
            Column("stale", lambda record: "yes" if record.get("stale") else ""),
            number("exit code", "exitCode"),
            dated("created", "createdAt"),
            whole("SHA-256", "sha256"),
        ),
        (raw("content", "content.text"), raw("content", "content.value"), raw("content (base64)", "content.base64")),
    ),
    "getHarnessProfile": View(
        (
            whole("agent (profile)", "id"),
            whole("name", "displayName"),
            whole("version", "version"),
            whole("model", "config.provider", "config.model"),
            whole("outside agent", "agent.name"),
            whole("mode", "agent.mode"),
            Column("models", _models),
            word("sandbox", "sandbox.mode"),
            word("workspace", "workspace"),
            joined("tools", "config.tools"),
            joined("credentials", "config.credentials"),
            Column("shell", allowed_commands),
            Column("files", allowed_files),
            lasting("timeout", "policies.timeoutMs"),
            number("retries", "policies.retryLimit"),
            number("turns at most", "policies.maxTurns"),
            Column("budget", _budget),
            dated("created", "createdAt"),
        ),
        (),
        (
            Listed("permissions", "agent.permissions", (Column("calls", permission), word("approval", "approval"))),
            Listed("allowed egress", "allowedEgress"),
            Listed(
                "verification rules",
                "verificationPolicies",
                (word("rule", "id"), word("kind", "kind"), text("label", "label")),
            ),
        ),
    ),
    "getA2aDlqItem": View(
        (
            whole("dead letter", "id"),
            word("status", "status"),
            whole("session", "sessionId"),
            whole("reason", "reason"),
            whole("code", "code"),
            whole("source", "source"),
            whole("from", "sourcePersona"),
            whole("to", "targetPersona"),
            dated("created", "createdAt"),
            whole("decided by", "decidedBy"),
            whole("note", "auditNote"),
        ),
        (raw("error", "error"),),
        (
            Listed(
                "attempts",
                "attempts",
                (ago("age", "at"), key("run", "runId"), word("code", "code"), text("message", "message")),
            ),
            Listed(
                "payload", "payload.items", (key("item", "itemId"), text("payload", "payload"), word("mode", "mode"))
            ),
        ),
    ),
    "getA2aDlqRedrive": View(
        (
            whole("redrive", "id"),
            word("status", "status"),
            Column("done", lambda record: f"{record['done']:,} of {record['total']:,}"),
            number("requeued", "requeued"),
            number("skipped", "skipped"),
            number("failed", "failed"),
            Column("rate", lambda record: f"{record['ratePerSecond']:g} a second"),
            Column("filter", lambda record: text_of(record.get("filter") or "all")),
            whole("requested by", "requestedBy"),
            dated("started", "startedAt"),
            dated("finished", "finishedAt"),
        ),
        (),
        (Listed("results", "results", TABLES["getA2aDlqRedrive"].columns),),
    ),
}
"""The views of records, by operation id. Of all other records every member is shown."""

SAME: Mapping[str, tuple[str, ...]] = {
    "getAsk": ("answerAsk",),
    "getPermissionRule": ("revokePermissionRule",),
    "getToken": ("revokeToken",),
    "getWorkspace": ("keepWorkspace", "cleanWorkspace"),
    "getSchedule": ("createSchedule", "updateSchedule"),
    "getWorkflow": ("createWorkflow",),
    "runWorkflow": ("resumeWorkflow", "cancelWorkflowRun", "approveWorkflowStep", "rejectWorkflowStep"),
    "getHarnessProfile": ("createHarnessProfile",),
    "getA2aDlqRedrive": ("redriveA2aDlq", "cancelA2aDlqRedrive"),
}
"""Operations that answer the record of another one."""


def view_of(operation_id: str | None) -> View | None:
    """Return the view of an operation's answer, if it has one."""
    return VIEWS.get(next((name for name, others in SAME.items() if operation_id in others), operation_id) or "")
