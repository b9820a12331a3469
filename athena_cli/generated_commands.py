"""The commands that are generated from the table of operations; written by ``python -m docs.generate``, do not edit."""

from collections.abc import Mapping
from typing import NamedTuple


class GeneratedCommand(NamedTuple):
    """The operation of a command, and its summary."""

    operation_id: str
    summary: str


GENERATED_COMMANDS: Mapping[str, GeneratedCommand] = {
    "agents list": GeneratedCommand(
        "listAgents",
        "List the outside agents that are registered on this server, and their living processes with their memory.",
    ),
    "anchors create": GeneratedCommand(
        "keepAnchor",
        "Store an anchor of another log, so that a rewrite of its history is detected.",
    ),
    "anchors list": GeneratedCommand("listAnchors", "List the kept anchors of other logs, oldest first."),
    "asks answer-all": GeneratedCommand(
        "answerAsks",
        "Answer up to 100 asks, or reject the oldest 100 open asks of a filter. Each one succeeds or fails alone.",
    ),
    "asks get": GeneratedCommand("getAsk", "Get an ask, open or decided."),
    "asks list": GeneratedCommand("listAsks", "List what waits for a person's decision, oldest first."),
    "audit": GeneratedCommand(
        "getAuditTrail",
        "List changes, cancellations and denials with actors and reasons, newest first, as JSON or CSV.",
    ),
    "capabilities": GeneratedCommand("getCapabilities", "Get the features, providers and limits of the server."),
    "clock accept": GeneratedCommand(
        "acceptClock",
        "Accept a forward jump of the machine's clock now, without waiting ten minutes.",
    ),
    "dead-letters discard": GeneratedCommand("discardA2aDlqItem", "Discard a dead letter: its work will not be done."),
    "dead-letters get": GeneratedCommand("getA2aDlqItem", "Get a dead letter."),
    "dead-letters list": GeneratedCommand(
        "listA2aDlq",
        "List dead letters, which are work items and messages that could not be processed, oldest first.",
    ),
    "dead-letters requeue": GeneratedCommand("requeueA2aDlqItem", "Requeue the work of a dead letter, once."),
    "dead-letters restore": GeneratedCommand("restoreA2aDlqItem", "Restore a discarded dead letter."),
    "diff": GeneratedCommand(
        "getDiff",
        "Compare two moments: list the records that appeared, ended or changed, with their events, last changed first.",
    ),
    "digests": GeneratedCommand(
        "getViewDigests",
        "Get a checksum of each view. Reads every row; concurrent requests share one scan.",
    ),
    "directives create": GeneratedCommand("createDirective", "Create a directive."),
    "directives get": GeneratedCommand("getDirective", "Get a directive."),
    "directives list": GeneratedCommand("listDirectives", "List directives, newest first."),
    "drains get": GeneratedCommand("getWorkDrain", "Get a drain."),
    "evidence get": GeneratedCommand("getRunEvidence", "Get a piece of evidence of a run, with its content."),
    "evidence list": GeneratedCommand("listRunEvidence", "List a run's evidence, newest first, without contents."),
    "explain": GeneratedCommand(
        "explainRun",
        "Explain the state of a run: the causes that led to it, and what the run is waiting for.",
    ),
    "fleet": GeneratedCommand(
        "getFleetSummary",
        "Get run counts, durations, waiting work, open asks, the halt and this month's cost.",
    ),
    "halt": GeneratedCommand("startHalt", "Halt all work: nothing begins until an Admin lifts the halt."),
    "halted": GeneratedCommand("getHalt", "Get the halt, with the number of runs that go on and of those that wait."),
    "health": GeneratedCommand("getAdminHealth", "Get the health of the server and the state of each projection."),
    "ids find": GeneratedCommand("findIds", "Find the ids of records that begin or end with a part, at most ten."),
    "mcp-servers accept": GeneratedCommand("acceptMcpTools", "Accept tools of an MCP server as it listed them last."),
    "mcp-servers check": GeneratedCommand(
        "checkMcpServer",
        "Start an MCP server, list its tools, record them if they changed, and end it. Nothing is accepted by that.",
    ),
    "mcp-servers get": GeneratedCommand(
        "getMcpServer",
        "Get an MCP server with the tools that it listed last, and what an operator accepted.",
    ),
    "mcp-servers list": GeneratedCommand(
        "listMcpServers",
        "List the MCP servers that are registered on this server, and those that were listed by others.",
    ),
    "memory create": GeneratedCommand("recordMemory", "Record a memory entry."),
    "memory delete": GeneratedCommand(
        "forgetMemory",
        "Forget a memory entry and erase its text, also from the log. `left` lists where the text may remain.",
    ),
    "memory list": GeneratedCommand("listMemory", "List memory entries, newest first."),
    "messages get": GeneratedCommand("getA2aMessage", "Get a message."),
    "messages list": GeneratedCommand("listA2aMessages", "List messages between personas, newest first."),
    "messages send": GeneratedCommand(
        "sendA2aMessage",
        "Send a message to a persona. Its session's queue is drained automatically.",
    ),
    "permission-rules get": GeneratedCommand("getPermissionRule", "Get a permission rule, in force or not."),
    "permission-rules list": GeneratedCommand(
        "listPermissionRules",
        "List permission rules, newest first. Each allows one exact call in a run, a session or a profile.",
    ),
    "permission-rules revoke": GeneratedCommand(
        "revokePermissionRule",
        "Revoke a permission rule. The next call of its kind asks again.",
    ),
    "policy get": GeneratedCommand("getPolicy", "Get the current policy, or null if there is none."),
    "policy simulate": GeneratedCommand(
        "simulatePolicy",
        "Check recorded run requests against another policy, without changing anything.",
    ),
    "policy update": GeneratedCommand(
        "putPolicy",
        "Replace the whole policy. Limits that the body omits no longer apply.",
    ),
    "profiles create": GeneratedCommand("createHarnessProfile", "Create a harness profile."),
    "profiles get": GeneratedCommand("getHarnessProfile", "Get a harness profile."),
    "profiles list": GeneratedCommand("listHarnessProfiles", "List harness profiles, newest first."),
    "queues list": GeneratedCommand("listWorkQueues", "List the queues of sessions that hold items, by session."),
    "redrives cancel": GeneratedCommand(
        "cancelA2aDlqRedrive",
        "Cancel a redrive. Dead letters that it has requeued stay requeued.",
    ),
    "redrives create": GeneratedCommand(
        "redriveA2aDlq",
        "Requeue matching dead letters at a fixed rate. `dryRun` only counts them.",
    ),
    "redrives get": GeneratedCommand(
        "getA2aDlqRedrive",
        "Get the progress of a redrive and the result for each dead letter.",
    ),
    "rejections list": GeneratedCommand(
        "listPolicyConcurrencyRejections",
        "List runs that the policy rejected, oldest first, or newest first with `order=newest`.",
    ),
    "resume": GeneratedCommand(
        "resumeRun",
        "Resume a paused run, with or without a new budget. Waits for its end unless `--async` is given.",
    ),
    "reviews get": GeneratedCommand("getPersonaRun", "Get a review with its result."),
    "reviews list": GeneratedCommand("listPersonaRuns", "List reviews, newest first."),
    "runs active": GeneratedCommand(
        "listActiveRuns",
        "List admitted runs that have not ended, newest first, each with what it does now.",
    ),
    "runs cancel-requests": GeneratedCommand(
        "listCancellationRequests",
        "List cancel requests of runs that have not ended, newest first.",
    ),
    "runs facets": GeneratedCommand(
        "getRunFacets",
        "Count runs by status, profile, model, error code and session, with the filters of `GET /runs`.",
    ),
    "runs get": GeneratedCommand(
        "getRun",
        "Get a run. With `wait`, the answer waits up to that many seconds for its end.",
    ),
    "runs list": GeneratedCommand("listRuns", "List runs, newest first."),
    "runs proof": GeneratedCommand(
        "getRunProof",
        "Get the place of a run in the chain, the newest anchor that was sent, and the commands that prove the run.",
    ),
    "runs request": GeneratedCommand(
        "getSentRequest",
        "Get the request of one turn of a run to its model: the messages as they were sent, and the tools.",
    ),
    "schedules create": GeneratedCommand(
        "createSchedule",
        "Create a schedule, or replace the one with this id. An identical schedule changes nothing.",
    ),
    "schedules delete": GeneratedCommand(
        "deleteSchedule",
        "Delete a schedule. Its runs in progress continue, and its log is kept.",
    ),
    "schedules disable": GeneratedCommand(
        "disableSchedule",
        "Disable a schedule. Nothing is due or logged until it is enabled again.",
    ),
    "schedules enable": GeneratedCommand("enableSchedule", "Enable a schedule. Its next time is computed from now on."),
    "schedules get": GeneratedCommand("getSchedule", "Get a schedule."),
    "schedules logs": GeneratedCommand(
        "getScheduleLogs",
        "List the executions of a schedule, including skipped ones, newest first.",
    ),
    "schedules pause": GeneratedCommand(
        "pauseSchedule",
        "Pause a schedule. Due times are logged as skipped. `note` records the reason.",
    ),
    "schedules preview": GeneratedCommand(
        "previewSchedule",
        "List the next times of a schedule, up to ten years ahead, even if it is disabled.",
    ),
    "schedules resume": GeneratedCommand(
        "resumeSchedule",
        "Resume a paused schedule. Times that came due during the pause are not run.",
    ),
    "schedules run": GeneratedCommand(
        "runSchedule",
        "Run a schedule once now, besides its regular times. Waits for the end unless `--async` is given.",
    ),
    "schedules tick": GeneratedCommand(
        "tickSchedules",
        "Run all schedules that are due, as the server's own timer does, and wait for these runs to end.",
    ),
    "schedules update": GeneratedCommand(
        "updateSchedule",
        "Replace a whole schedule, or create it. An identical schedule changes nothing.",
    ),
    "series": GeneratedCommand(
        "getFleetSeries",
        "Get outcomes, cost, tokens and durations over time, also by model, profile or error code.",
    ),
    "sessions get": GeneratedCommand("getSession", "Get a session."),
    "sessions list": GeneratedCommand("listSessions", "List sessions, most recently used first."),
    "sessions tail": GeneratedCommand(
        "streamSessionTranscript",
        "Stream a transcript from any entry, live, as server-sent events, with the text that a model is writing.",
    ),
    "sessions transcript": GeneratedCommand(
        "getSessionTranscript",
        "List the newest transcript entries of a session, or those after a cursor, in order of time.",
    ),
    "templates create": GeneratedCommand(
        "createRunTemplate",
        "Create a run template: a directive with placeholders, and the profile that runs it.",
    ),
    "templates get": GeneratedCommand(
        "getRunTemplate",
        "Get the newest version of a run template, or the one that `version` names.",
    ),
    "templates list": GeneratedCommand("listRunTemplates", "List the newest versions of run templates, newest first."),
    "templates update": GeneratedCommand(
        "updateRunTemplate",
        "Create a new version of a run template. Runs of earlier versions are not affected.",
    ),
    "tokens get": GeneratedCommand("getToken", "Get a token or session, valid or not, without its text."),
    "tokens list": GeneratedCommand("listTokens", "List tokens and sessions, newest first, without their text."),
    "tokens revoke": GeneratedCommand(
        "revokeToken",
        "Revoke a token with its sessions, or one session. Its open streams end within a second.",
    ),
    "unhalt": GeneratedCommand(
        "liftHalt",
        "Lift the halt. Runs in line are admitted in order. Without a halt, nothing changes.",
    ),
    "whoami": GeneratedCommand("getCaller", "Get the identity of the caller and the operations that it may use."),
    "workers": GeneratedCommand(
        "listWorkers",
        "List the servers and workers on this log, with their capacity, running runs and last heartbeat.",
    ),
    "workflows cancel": GeneratedCommand("cancelWorkflowRun", "Cancel a workflow run and the runs of its steps."),
    "workflows create": GeneratedCommand("createWorkflow", "Create a workflow from its steps and their dependencies."),
    "workflows get": GeneratedCommand("getWorkflow", "Get a workflow."),
    "workflows items": GeneratedCommand("listWorkflowRunItems", "List the items of a mapped step, in their order."),
    "workflows list": GeneratedCommand("listWorkflows", "List workflows, newest first."),
    "workflows resume": GeneratedCommand(
        "resumeWorkflow",
        "Resume a workflow run, or a workflow's newest run that is not ok. Starts a new run if there is none.",
    ),
    "workflows run": GeneratedCommand(
        "runWorkflow",
        "Start a run of a workflow. Waits until it ends or needs an approval, unless `--async` is given.",
    ),
    "workflows runs": GeneratedCommand("listWorkflowRuns", "List the runs of a workflow, newest first."),
    "workflows status": GeneratedCommand(
        "getWorkflowRun",
        "Get a workflow run, or the newest run of a workflow, with the progress of its steps.",
    ),
    "workspaces clean": GeneratedCommand(
        "cleanWorkspace",
        "Clean a workspace: delete its files. The recorded diffs of its runs stay.",
    ),
    "workspaces get": GeneratedCommand(
        "getWorkspace",
        "Get a workspace, cleaned or not, with its size on this server's disk.",
    ),
    "workspaces list": GeneratedCommand(
        "listWorkspaces",
        "List the workspaces of sessions and workflow runs, newest first.",
    ),
}
