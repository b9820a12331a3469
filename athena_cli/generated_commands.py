"""The commands that are generated from the table of operations; written by ``python -m docs.generate``, do not edit."""

from collections.abc import Mapping
from typing import NamedTuple


class GeneratedCommand(NamedTuple):
    """The operation of a command, and its summary."""

    operation_id: str
    summary: str


GENERATED_COMMANDS: Mapping[str, GeneratedCommand] = {
    "a2a discard": GeneratedCommand("discardA2aDlqItem", "Discard a dead letter: its work will not be done."),
    "a2a dlq": GeneratedCommand(
        "listA2aDlq",
        "List dead letters, which are work items and messages that could not be processed, oldest first.",
    ),
    "a2a dlq-get": GeneratedCommand("getA2aDlqItem", "Get a dead letter."),
    "a2a get": GeneratedCommand("getA2aMessage", "Get a message."),
    "a2a list": GeneratedCommand("listA2aMessages", "List messages between personas, newest first."),
    "a2a redrive": GeneratedCommand(
        "redriveA2aDlq",
        "Requeue matching dead letters at a fixed rate. `dryRun` only counts them.",
    ),
    "a2a redrive-cancel": GeneratedCommand(
        "cancelA2aDlqRedrive",
        "Cancel a redrive. Dead letters that it has requeued stay requeued.",
    ),
    "a2a redrive-get": GeneratedCommand(
        "getA2aDlqRedrive",
        "Get the progress of a redrive and the result for each dead letter.",
    ),
    "a2a requeue": GeneratedCommand("requeueA2aDlqItem", "Requeue the work of a dead letter, once."),
    "a2a restore": GeneratedCommand("restoreA2aDlqItem", "Restore a discarded dead letter."),
    "a2a send": GeneratedCommand(
        "sendA2aMessage",
        "Send a message to a persona. Its session's queue is drained automatically.",
    ),
    "anchors keep": GeneratedCommand(
        "keepAnchor",
        "Store an anchor of another log, so that a rewrite of its history is detected.",
    ),
    "anchors list": GeneratedCommand("listAnchors", "List the kept anchors of other logs, oldest first."),
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
    "digests": GeneratedCommand(
        "getViewDigests",
        "Get a checksum of each view. Reads every row; concurrent requests share one scan.",
    ),
    "directives create": GeneratedCommand("createDirective", "Create a directive."),
    "directives get": GeneratedCommand("getDirective", "Get a directive."),
    "directives list": GeneratedCommand("listDirectives", "List directives, newest first."),
    "fleet": GeneratedCommand(
        "getFleetSummary",
        "Get run counts, durations, waiting work, open asks and this month's cost.",
    ),
    "harness-profiles create": GeneratedCommand("createHarnessProfile", "Create a harness profile."),
    "harness-profiles get": GeneratedCommand("getHarnessProfile", "Get a harness profile."),
    "harness-profiles list": GeneratedCommand("listHarnessProfiles", "List harness profiles, newest first."),
    "health": GeneratedCommand("getAdminHealth", "Get the health of the server and the state of each projection."),
    "ids find": GeneratedCommand("findIds", "Find the ids of records that begin or end with a part, at most ten."),
    "memory add": GeneratedCommand("recordMemory", "Record a memory entry."),
    "memory forget": GeneratedCommand(
        "forgetMemory",
        "Forget a memory entry and erase its text, also from the log. `left` lists where the text may remain.",
    ),
    "memory list": GeneratedCommand("listMemory", "List memory entries, newest first."),
    "memory show": GeneratedCommand("getMemoryEntry", "Get a memory entry."),
    "persona list": GeneratedCommand("listPersonaRuns", "List reviews, newest first."),
    "persona show": GeneratedCommand("getPersonaRun", "Get a review with its result."),
    "policy put": GeneratedCommand(
        "putPolicy",
        "Replace the whole policy. Limits that the body omits no longer apply.",
    ),
    "policy rejections": GeneratedCommand(
        "listPolicyConcurrencyRejections",
        "List runs that the policy rejected, oldest first, or newest first with `order=newest`.",
    ),
    "policy show": GeneratedCommand("getPolicy", "Get the current policy, or null if there is none."),
    "policy simulate": GeneratedCommand(
        "simulatePolicy",
        "Check recorded run requests against another policy, without changing anything.",
    ),
    "resume": GeneratedCommand(
        "resumeRun",
        "Resume a paused run, with or without a new budget. Waits for its end unless `--async` is given.",
    ),
    "run-templates create": GeneratedCommand(
        "createRunTemplate",
        "Create a run template: a directive with placeholders, and the profile that runs it.",
    ),
    "run-templates get": GeneratedCommand(
        "getRunTemplate",
        "Get the newest version of a run template, or the one that `version` names.",
    ),
    "run-templates list": GeneratedCommand(
        "listRunTemplates",
        "List the newest versions of run templates, newest first.",
    ),
    "run-templates put": GeneratedCommand(
        "updateRunTemplate",
        "Create a new version of a run template. Runs of earlier versions are not affected.",
    ),
    "runs active": GeneratedCommand("listActiveRuns", "List admitted runs that have not ended, newest first."),
    "runs cancel-requests": GeneratedCommand(
        "listCancellationRequests",
        "List cancel requests of runs that have not ended, newest first.",
    ),
    "runs evidence": GeneratedCommand("listRunEvidence", "List a run's evidence, newest first, without contents."),
    "runs evidence-get": GeneratedCommand("getRunEvidence", "Get a piece of evidence of a run, with its content."),
    "runs explain": GeneratedCommand(
        "explainRun",
        "Explain the state of a run: the causes that led to it, and what the run is waiting for.",
    ),
    "runs get": GeneratedCommand(
        "getRun",
        "Get a run. With `wait`, the answer waits up to that many seconds for its end.",
    ),
    "runs list": GeneratedCommand("listRuns", "List runs, newest first."),
    "schedule add": GeneratedCommand(
        "createSchedule",
        "Create a schedule, or replace the one with this id. An identical schedule changes nothing.",
    ),
    "schedule disable": GeneratedCommand(
        "disableSchedule",
        "Disable a schedule. Nothing is due or logged until it is enabled again.",
    ),
    "schedule enable": GeneratedCommand("enableSchedule", "Enable a schedule. Its next time is computed from now on."),
    "schedule get": GeneratedCommand("getSchedule", "Get a schedule."),
    "schedule logs": GeneratedCommand(
        "getScheduleLogs",
        "List the executions of a schedule, including skipped ones, newest first.",
    ),
    "schedule pause": GeneratedCommand(
        "pauseSchedule",
        "Pause a schedule. Due times are logged as skipped. `note` records the reason.",
    ),
    "schedule preview": GeneratedCommand(
        "previewSchedule",
        "List the next times of a schedule, up to ten years ahead, even if it is disabled.",
    ),
    "schedule put": GeneratedCommand(
        "updateSchedule",
        "Replace a whole schedule, or create it. An identical schedule changes nothing.",
    ),
    "schedule remove": GeneratedCommand(
        "deleteSchedule",
        "Delete a schedule. Its runs in progress continue, and its log is kept.",
    ),
    "schedule resume": GeneratedCommand(
        "resumeSchedule",
        "Resume a paused schedule. Times that came due during the pause are not run.",
    ),
    "schedule run": GeneratedCommand(
        "runSchedule",
        "Run a schedule once now, besides its regular times. Waits for the end unless `--async` is given.",
    ),
    "schedule tick": GeneratedCommand(
        "tickSchedules",
        "Run all schedules that are due, as the server's own timer does, and wait for these runs to end.",
    ),
    "sessions get": GeneratedCommand("getSession", "Get a session."),
    "sessions list": GeneratedCommand("listSessions", "List sessions, most recently used first."),
    "sessions transcript": GeneratedCommand(
        "getSessionTranscript",
        "List the newest transcript entries of a session, or those after a cursor, in order of time.",
    ),
    "sessions transcript-stream": GeneratedCommand(
        "streamSessionTranscript",
        "Stream a transcript from any entry, live, as server-sent events, with the text that a model is writing.",
    ),
    "whoami": GeneratedCommand("getCaller", "Get the identity of the caller and the operations that it may use."),
    "work drain-get": GeneratedCommand("getWorkDrain", "Get a drain."),
    "work queues": GeneratedCommand("listWorkQueues", "List the queues of sessions that hold items, by session."),
    "workers": GeneratedCommand(
        "listWorkers",
        "List the servers and workers on this log, with their capacity, running runs and last heartbeat.",
    ),
    "workflow approve": GeneratedCommand("approveWorkflowStep", "Approve a step if its subject hash still matches."),
    "workflow cancel": GeneratedCommand("cancelWorkflowRun", "Cancel a workflow run and the runs of its steps."),
    "workflow items": GeneratedCommand("listWorkflowRunItems", "List the items of a mapped step, in their order."),
    "workflow reject": GeneratedCommand(
        "rejectWorkflowStep",
        "Reject a step if its subject hash still matches. The step fails.",
    ),
    "workflow resume": GeneratedCommand(
        "resumeWorkflow",
        "Resume a workflow run, or a workflow's newest run that is not ok. Starts a new run if there is none.",
    ),
    "workflow run": GeneratedCommand(
        "runWorkflow",
        "Start a run of a workflow. Waits until it ends or needs an approval, unless `--async` is given.",
    ),
    "workflow runs": GeneratedCommand("listWorkflowRuns", "List the runs of a workflow, newest first."),
    "workflow status": GeneratedCommand(
        "getWorkflowRun",
        "Get a workflow run, or the newest run of a workflow, with the progress of its steps.",
    ),
    "workflows create": GeneratedCommand("createWorkflow", "Create a workflow from its steps and their dependencies."),
    "workflows get": GeneratedCommand("getWorkflow", "Get a workflow."),
    "workflows list": GeneratedCommand("listWorkflows", "List workflows, newest first."),
}
