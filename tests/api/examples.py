"""An example request for every operation, to be varied by tests."""

from typing import Any, NamedTuple

PROFILE: dict[str, Any] = {
    "displayName": "Careful",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["shell", "http", "files"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0.5, "maxTurns": 20},
    "toolPolicies": {
        "shell": {"commands": [["git", "status"]], "directory": "src", "timeoutMs": 5_000, "outputBytesMax": 10_000},
        "http": {"methods": ["GET"], "timeoutMs": 5_000, "responseBytesMax": 10_000},
        "files": {"directory": "src", "write": True, "fileBytesMax": 10_000},
    },
    "allowedEgress": [{"host": "example.org", "port": 443}],
    "verificationPolicies": [{"id": "v", "kind": "require-evidence", "label": "log", "evidenceType": "text"}],
}

TEMPLATE: dict[str, Any] = {
    "harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H",
    "directiveTemplate": "write {{count}} words about {{topic}}",
    "defaultParams": {"topic": "apples"},
    "paramsSchema": {"type": "object", "required": ["count"]},
}

STEP: dict[str, Any] = {"directiveId": "dir_unknown", "harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H"}
WORKFLOW: dict[str, Any] = {
    "steps": [
        {"id": "draft", "outputs": ["items"], "execution": {"maxAttempts": 2, "timeoutMs": 1000}, **STEP},
        {
            "id": "each",
            "triggerRule": "all-succeeded",
            "when": {"step": "draft", "op": "exists", "path": "/items", "value": True},
            "map": {"step": "draft", "path": "/items", "itemName": "item", "maxParallel": 2},
            **STEP,
        },
        {
            "id": "ask",
            "approval": {
                "message": "good?",
                "approvers": ["ada"],
                "role": "Admin",
                "expiresAfterMs": 1000,
                "onExpiry": "reject",
            },
        },
    ],
    "dependencies": [
        {"from": "draft", "to": "each", "mappings": [{"fromOutput": "output", "toInput": "text"}]},
        {"from": "each", "to": "ask"},
    ],
}
JUDGEMENT = {"subjectHash": "00", "note": "fine"}

POLICY_PUT: dict[str, Any] = {
    "policy": {
        "schemaVersion": 1,
        "updatedAt": "whenever",
        "maxConcurrentRuns": 500,
        "limits": [{"scope": "provider", "key": "mock", "max": 400, "strategy": "enqueue"}],
        "defaultRunTimeoutMs": 30_000,
        "defaultScheduleTimeoutMs": 30_000,
        "retryBudgetPerRun": 3,
        "costBudgetDailyUsd": 1_000,
    },
    "auditComment": "a budget for the year",
}

SCHEDULE: dict[str, Any] = {
    "sessionId": "session",
    "input": "good night",
    "directiveId": None,
    "harnessProfileId": None,
    "runTemplateId": None,
    "params": None,
    "workflowId": None,
    "everyMinutes": None,
    "cron": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "runAt": None,
    "startAt": "2026-01-01T00:00:00Z",
    "endAt": "2126-01-01T00:00:00Z",
    "jitterSeconds": 60,
    "overlapPolicy": "skip",
    "catchUp": "latest",
    "catchUpWindowSeconds": 3_600,
    "pauseOnFailure": True,
    "enabled": True,
    "startNow": None,
    "paused": False,
    "note": "as agreed",
}


RUN_FILTER = {
    "sessionId": "session",
    "status": "completed",
    "provider": "mock",
    "model": "mock-model",
    "harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H",
    "errorCode": "PROVIDER_ERROR",
    "parentRunId": "run_unknown",
    "retryOf": "run_unknown",
    "createdAfter": "2026-01-01T00:00:00Z",
    "createdBefore": "2026-12-31T23:59:59.999Z",
    "costOverUsd": "0.5",
    "durationOverMs": "1000",
}
BULK_FILTER: dict[str, Any] = RUN_FILTER | {"costOverUsd": 0.5, "durationOverMs": 1000}


class Example(NamedTuple):
    """A request below the prefix, and the status of its answer where nothing exists yet."""

    path: str
    status: int = 200
    body: dict[str, Any] | None = None
    query: dict[str, str] | None = None


EXAMPLES: dict[str, Example] = {
    "getCapabilities": Example("/capabilities"),
    "getAdminHealth": Example("/admin/health"),
    "getViewDigests": Example("/admin/digests"),
    "listWorkers": Example("/workers"),
    "listAgents": Example("/agents"),
    "listMcpServers": Example("/mcp-servers"),
    "getMcpServer": Example("/mcp-servers/unknown", 404),
    "checkMcpServer": Example("/mcp-servers/unknown/check", 404),
    "acceptMcpTools": Example(
        "/mcp-servers/unknown/accept",
        404,
        body={"listingSha256": "ab" * 32, "tools": ["git_log"], "note": "looked at"},
    ),
    "getCaller": Example("/caller"),
    "findIds": Example("/ids/run_unknown"),
    "createRun": Example(
        "/runs",
        body={
            "sessionId": "session",
            "input": "hello",
            "directiveId": None,
            "harnessProfileId": None,
            "provider": "mock",
            "model": "mock-model",
            "metadata": {"team": "red"},
            "sessionStrategy": "enqueue",
            "parentRunId": None,
        },
    ),
    "listRuns": Example("/runs", query=RUN_FILTER | {"sort": "cost", "include": "output"}),
    "getRunFacets": Example("/runs/facets", query=RUN_FILTER),
    "listRunEvidence": Example("/runs/run_unknown/evidence", 404),
    "getRunEvidence": Example("/runs/run_unknown/evidence/evd_unknown", 404),
    "getRun": Example("/runs/run_unknown", 404, query={"wait": "1"}),
    "getRunProof": Example("/runs/run_unknown/proof", 404),
    "getSentRequest": Example("/runs/run_unknown/turns/1/request", 404),
    "explainRun": Example("/runs/run_unknown/explain", 404),
    "listActiveRuns": Example("/runs/active", query={"sessionId": "session", "runId": "run_unknown"}),
    "listCancellationRequests": Example("/runs/cancel-requests", query={"sessionId": "session", "runId": "run_1"}),
    "cancelRunByRunId": Example("/run-control/by-run/run_unknown/cancel", body={"reason": "enough"}),
    "cancelRun": Example("/runs/unknown/cancel", body={"reason": "enough"}),
    "retryRun": Example(
        "/runs/run_unknown/retry",
        404,
        body={
            "input": "hello again",
            "harnessProfileId": None,
            "provider": "mock",
            "model": "mock-model",
            "budgetUsd": 1.5,
        },
    ),
    "cancelRuns": Example("/runs/cancel", body={"filter": BULK_FILTER, "reason": "enough", "dryRun": True}),
    "retryRuns": Example(
        "/runs/retry",
        body={
            "filter": BULK_FILTER,
            "changes": {
                "harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H",
                "provider": "mock",
                "model": "mock-model",
                "budgetUsd": 1,
            },
            "dryRun": True,
        },
    ),
    "resumeRun": Example("/runs/run_unknown/resume", 404, body={"budgetUsd": 1.5}),
    "listSessions": Example("/sessions"),
    "getSession": Example("/sessions/unknown", 404),
    "getSessionTranscript": Example("/sessions/unknown/transcript"),
    "streamSessionTranscript": Example("/sessions/session/transcript/stream", query={"after": "latest"}),
    "listDirectives": Example("/directives"),
    "createDirective": Example(
        "/directives", body={"input": "look", "contextRefs": ["file:a.txt"], "metadata": {"team": "red"}}
    ),
    "getDirective": Example("/directives/dir_unknown", 404),
    "listHarnessProfiles": Example("/harness-profiles"),
    "createHarnessProfile": Example("/harness-profiles", body=PROFILE),
    "getHarnessProfile": Example("/harness-profiles/hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H", 404),
    "listRunTemplates": Example("/run-templates"),
    "createRunTemplate": Example("/run-templates", 400, body=TEMPLATE),
    "getRunTemplate": Example("/run-templates/tpl_unknown", 404, query={"version": "1"}),
    "updateRunTemplate": Example("/run-templates/tpl_unknown", 404, body=TEMPLATE),
    "runTemplate": Example(
        "/templates/tpl_unknown/run", 404, body={"params": {"topic": "pears", "count": 3}, "sessionId": "session"}
    ),
    "enqueueWork": Example(
        "/work/enqueue", body={"sessionId": "queued", "payload": "what is to be done", "mode": "collect"}
    ),
    "getSessionWorkQueue": Example("/sessions/unknown/work-queue"),
    "drainWork": Example("/work/unknown/drain", body={"provider": "mock", "model": "mock-model"}),
    "getWorkDrain": Example("/work/drains/drn_unknown", 404),
    "sendA2aMessage": Example(
        "/a2a/messages",
        400,  # no persona is defined yet
        body={
            "fromPersona": "ada",
            "toPersona": "bob",
            "payload": {"do": "it"},
            "taskId": "task-1",
            "stepId": "step-1",
            "parentRunId": None,
        },
    ),
    "listA2aMessages": Example(
        "/a2a/messages", query={"fromPersona": "code-review", "toPersona": "code-review", "status": "completed"}
    ),
    "getA2aMessage": Example("/a2a/messages/msg_unknown", 404),
    "listA2aDlq": Example(
        "/a2a/dlq",
        query={
            "status": "pending",
            "sessionId": "session",
            "sourcePersona": "code-review",
            "targetPersona": "code-review",
            "reason": "attempts-exhausted",
            "createdAfter": "2026-01-01T00:00:00Z",
            "createdBefore": "2026-12-31T23:59:59.999Z",
        },
    ),
    "getA2aDlqItem": Example("/a2a/dlq/dlq_unknown", 404),
    "requeueA2aDlqItem": Example("/a2a/dlq/dlq_unknown/requeue", 404),
    "discardA2aDlqItem": Example("/a2a/dlq/dlq_unknown/discard", 404, body={"auditNote": "not worth it"}),
    "restoreA2aDlqItem": Example("/a2a/dlq/dlq_unknown/restore", 404, body={"auditNote": "it was"}),
    "searchMemory": Example("/memory/search", query={"query": "deploy", "maxResults": "3", "minScore": "0.5"}),
    "getMemory": Example("/memory/get", 400, body={"path": "MEMORY.md", "from": 1, "lines": 5}),  # it is off
    "listMemory": Example("/memory"),
    "recordMemory": Example("/memory", 400, body={"text": "Deploy on Mondays", "metadata": {"team": "red"}}),
    "getMemoryEntry": Example("/memory/mem_unknown", 404),
    "forgetMemory": Example("/memory/mem_unknown", 404),
    "redriveA2aDlq": Example(
        "/a2a/dlq/redrive",
        body={
            "filter": {
                "sessionId": "session",
                "source": "a2a",
                "sourcePersona": "ada",
                "targetPersona": "bob",
                "reason": "hop-limit",
                "createdAfter": "2026-01-01T00:00:00Z",
                "createdBefore": "2026-12-31T23:59:59.999Z",
            },
            "ratePerSecond": 50,
            "dryRun": True,
        },
    ),
    "getA2aDlqRedrive": Example("/a2a/dlq/redrive/rdr_unknown", 404),
    "cancelA2aDlqRedrive": Example("/a2a/dlq/redrive/rdr_unknown", 404),
    "listWorkflows": Example("/workflows"),
    "createWorkflow": Example("/workflows", 400, body={"definition": WORKFLOW}),
    "getWorkflow": Example("/workflows/wf_unknown", 404),
    "listWorkflowRuns": Example("/workflows/wf_unknown/runs", 404),
    "runWorkflow": Example("/workflows/wf_unknown/run", 404, body={"input": {"topic": "pears"}}),
    "getWorkflowRun": Example("/workflows/run/wfr_unknown", 404),
    "resumeWorkflow": Example(
        "/workflows/run/wfr_unknown/resume", 404, body={"inputOverrides": {"topic": "pears"}, "dryRun": True}
    ),
    "cancelWorkflowRun": Example("/workflows/run/wfr_unknown/cancel", 404, body={"reason": "enough"}),
    "listWorkflowRunItems": Example("/workflows/run/wfr_unknown/steps/each/items", 404, query={"status": "failed"}),
    "approveWorkflowStep": Example("/workflows/run/wfr_unknown/steps/ask/approve", 404, body=JUDGEMENT),
    "rejectWorkflowStep": Example("/workflows/run/wfr_unknown/steps/ask/reject", 404, body=JUDGEMENT),
    "runPersona": Example(
        "/personas/run",
        400,  # no persona is defined
        body={
            "name": "critic",
            "repoPath": ".",
            "headRef": "HEAD",
            "baseRef": "main",
            "sessionId": "session",
            "provider": "mock",
            "model": "mock-model",
            "outJsonPath": "out/review.json",
            "outMarkdownPath": "out/review.md",
            "stdout": "summary",
        },
    ),
    "listPersonaRuns": Example("/personas/runs", query={"status": "ok"}),
    "getPersonaRun": Example("/personas/runs/run_unknown", 404),
    "getPolicy": Example("/policy"),
    "acceptClock": Example("/admin/clock/accept"),
    "listAnchors": Example("/anchors"),
    "listWorkQueues": Example("/work/queues"),
    "getAsk": Example("/asks/ask_unknown", 404),
    "answerAsk": Example(
        "/asks/ask_unknown/answer",
        404,
        body={
            "subjectHash": "00",
            "optionId": "allow",
            "values": {"branch": "main"},
            "note": "fine",
            "editedArguments": {"command": ["git", "status"]},
            "remember": "session",
            "rememberForMs": 60_000,
        },
    ),
    "answerAsks": Example(
        "/asks/answer",
        body={"items": [{"askId": "ask_unknown", "subjectHash": "00", "optionId": "deny", "note": "no"}]},
    ),
    "getPermissionRule": Example("/permission-rules/rule_unknown", 404),
    "listPermissionRules": Example(
        "/permission-rules",
        query={"status": "in-force", "scope": "session", "toolName": "shell", "sessionId": "session"},
    ),
    "revokePermissionRule": Example("/permission-rules/rule_unknown", 404),
    "listAsks": Example(
        "/asks",
        query={
            **{"status": "open", "kind": "question", "sessionId": "session", "runId": "run_1"},
            **{"harnessProfileId": "hp_01KD0000000000000000000002", "answerable": "true"},
        },
    ),
    "keepAnchor": Example(
        "/anchors",
        body={"logId": "ab" * 8, "position": 7, "chain": "cd" * 32, "at": "2026-01-01T00:00:00.000Z"},
    ),
    "listWorkspaces": Example("/workspaces", query={"status": "active", "kind": "session", "sessionId": "session"}),
    "getWorkspace": Example("/workspaces/wsp_unknown", 404),
    "keepWorkspace": Example("/workspaces/wsp_unknown/keep", 404, body={"keep": True}),
    "cleanWorkspace": Example("/workspaces/wsp_unknown", 404),
    "applyRun": Example("/runs/run_unknown/apply", 404, body={"dryRun": True}),
    "getRunDiff": Example("/runs/run_unknown/diff", 404),
    "getHalt": Example("/halt"),
    "startHalt": Example("/halt", body={"reason": "wrong prices", "cancelRunning": False}),  # lift it after the call
    "liftHalt": Example("/halt"),
    "createToken": Example(
        "/tokens",
        body={
            "identity": "ci",
            "role": "Viewer",
            "scope": {"sessions": ["session"], "runs": ["run_unknown"], "personas": ["researcher"]},
            "expiresAfterMs": 86_400_000,
            "note": "for the nightly build",
        },
    ),
    "listTokens": Example("/tokens", query={"identity": "ci", "status": "active", "kind": "token"}),
    "getToken": Example("/tokens/tok_unknown", 404),
    "revokeToken": Example("/tokens/tok_unknown", 404),
    "logIn": Example("/login", 400),
    "logOut": Example("/logout"),
    "putPolicy": Example("/policy", body=POLICY_PUT),
    "simulatePolicy": Example(
        "/policy/simulate",
        body={"policy": POLICY_PUT["policy"], "since": "2026-01-01T00:00:00Z", "runId": "run_unknown"},
    ),
    "listPolicyConcurrencyRejections": Example(
        "/policy/rejections",
        query={
            "sessionId": "session",
            "createdAfter": "2026-01-01T00:00:00Z",
            "createdBefore": "2026-12-31T23:59:59.999Z",
            "offset": "0",
            "reason": "max-concurrent-runs-exceeded",
            "actor": "ada",
            "provider": "mock",
            "harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H",
            "order": "newest",
        },
    ),
    "listSchedules": Example("/schedules"),
    "createSchedule": Example("/schedules", body={"id": "nightly"} | SCHEDULE),
    "tickSchedules": Example(
        "/schedules/tick", body={"at": "2026-01-01T00:00:00Z", "provider": "mock", "model": "mock-model"}
    ),
    "getSchedule": Example("/schedules/unknown", 404),
    "updateSchedule": Example("/schedules/nightly", body=SCHEDULE),
    "deleteSchedule": Example("/schedules/unknown"),
    "runSchedule": Example("/schedules/unknown/run", 404, body={"provider": "mock", "model": "mock-model"}),
    "enableSchedule": Example("/schedules/unknown/enable"),
    "disableSchedule": Example("/schedules/unknown/disable"),
    "pauseSchedule": Example("/schedules/unknown/pause", 404, body={"note": "not now"}),
    "resumeSchedule": Example("/schedules/unknown/resume", 404, body={"note": "now"}),
    "getScheduleLogs": Example("/schedules/unknown/logs"),
    "previewSchedule": Example(
        "/schedules/unknown/preview",
        query={"count": "5", "from": "2026-01-01T00:00:00Z", "cron": "0 2 * * *", "timezone": "Europe/Berlin"},
    ),
    "getAuditTrail": Example(
        "/governance/audit-trail",
        query={
            "actor": "ada",
            "kind": "policy",
            "createdAfter": "2026-01-01T00:00:00Z",
            "createdBefore": "2026-12-31T23:59:59.999Z",
            "format": "json",
        },
    ),
    "getFleetSeries": Example("/fleet/series", query={"by": "error", "step": "5s"}),
    "getFleetSummary": Example("/fleet/summary"),
    "listEvents": Example(
        "/events",
        query={
            "types": "run.created,run.completed",
            "sessionId": "session",
            "runId": "run_unknown",
            "traceId": "trace",
            "createdAfter": "2026-01-01T00:00:00Z",
            "createdBefore": "2026-12-31T23:59:59.999Z",
        },
    ),
    "getDiff": Example("/diff", query={"from": "0", "to": "0", "kind": "run", "change": "ended"}),
    "streamEvents": Example(
        "/events/stream",
        query={"types": "run.created", "sessionId": "session", "runId": "run_unknown", "after": "latest"},
    ),
}
