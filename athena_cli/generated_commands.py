"""The words of commands that are rows of the table; written by ``python -m docs.generate``, do not edit."""

from collections.abc import Mapping
from typing import NamedTuple


class GeneratedCommand(NamedTuple):
    """The operation behind a command, and what it does."""

    operation_id: str
    summary: str


GENERATED_COMMANDS: Mapping[str, GeneratedCommand] = {
    "a2a discard": GeneratedCommand("discardA2aDlqItem", "Decide that the work of a dead letter will not be done."),
    "a2a dlq": GeneratedCommand("listA2aDlq", "Dead letters: work and messages that could not be done, oldest first."),
    "a2a dlq-get": GeneratedCommand("getA2aDlqItem", "One dead letter."),
    "a2a get": GeneratedCommand("getA2aMessage", "One message."),
    "a2a list": GeneratedCommand("listA2aMessages", "Messages between personas, newest first."),
    "a2a redrive": GeneratedCommand(
        "redriveA2aDlq",
        "Put the pending dead letters of a filter back, so many a second; with `dryRun` only count them.",
    ),
    "a2a redrive-cancel": GeneratedCommand("cancelA2aDlqRedrive", "Stop a redrive; what it put back stays so."),
    "a2a redrive-get": GeneratedCommand(
        "getA2aDlqRedrive",
        "How far a redrive is, and what became of each dead letter.",
    ),
    "a2a requeue": GeneratedCommand("requeueA2aDlqItem", "Put the work of a dead letter back, once."),
    "a2a restore": GeneratedCommand("restoreA2aDlqItem", "Take a discard back."),
    "a2a send": GeneratedCommand(
        "sendA2aMessage",
        "Hand a message to a persona; its session's queue is worked off by itself.",
    ),
    "anchors keep": GeneratedCommand(
        "keepAnchor",
        "Keep an anchor of another log, so that its history cannot be rewritten unnoticed.",
    ),
    "anchors list": GeneratedCommand("listAnchors", "Anchors of other logs that are kept here, oldest first."),
    "audit": GeneratedCommand(
        "getAuditTrail",
        "Who changed, cancelled or was denied what, and why, newest first; as JSON or CSV.",
    ),
    "capabilities": GeneratedCommand("getCapabilities", "What this server can do."),
    "clock accept": GeneratedCommand(
        "acceptClock",
        "Accept the clock of the server's machine after a jump ahead, instead of after ten minutes.",
    ),
    "digests": GeneratedCommand(
        "getViewDigests",
        "The digest of each view at its position. Reads every row; concurrent requests share one scan.",
    ),
    "directives create": GeneratedCommand("createDirective", "Create a directive."),
    "directives get": GeneratedCommand("getDirective", "One directive."),
    "directives list": GeneratedCommand("listDirectives", "Directives, newest first."),
    "fleet": GeneratedCommand(
        "getFleetSummary",
        "How many runs there are and were, how long they take, what waits, and what this month costs.",
    ),
    "harness-profiles create": GeneratedCommand("createHarnessProfile", "Create a harness profile."),
    "harness-profiles get": GeneratedCommand("getHarnessProfile", "One harness profile."),
    "harness-profiles list": GeneratedCommand("listHarnessProfiles", "Harness profiles, newest first."),
    "health": GeneratedCommand("getAdminHealth", "Whether the server is well, and how far each projection is."),
    "memory add": GeneratedCommand("recordMemory", "Note something down."),
    "memory forget": GeneratedCommand(
        "forgetMemory",
        "Forget an entry; its text is erased everywhere, the log included. `left` names where it may remain.",
    ),
    "memory list": GeneratedCommand("listMemory", "Entries that were noted down and not forgotten, newest first."),
    "memory show": GeneratedCommand("getMemoryEntry", "One entry."),
    "persona list": GeneratedCommand("listPersonaRuns", "Reviews of personas, newest first."),
    "persona show": GeneratedCommand("getPersonaRun", "One review, with its result."),
    "policy put": GeneratedCommand(
        "putPolicy",
        "Replace the policy as a whole: what is left out is no longer limited.",
    ),
    "policy rejections": GeneratedCommand(
        "listPolicyConcurrencyRejections",
        "Runs that the policy refused, oldest first unless `order=newest` is asked for.",
    ),
    "policy show": GeneratedCommand("getPolicy", "The policy in force, or null."),
    "policy simulate": GeneratedCommand(
        "simulatePolicy",
        "What the recorded requests for runs would have met under another policy; changes nothing.",
    ),
    "resume": GeneratedCommand(
        "resumeRun",
        "Let a paused run go on, with another budget or with none; waits for its end unless asked not to.",
    ),
    "run-templates create": GeneratedCommand(
        "createRunTemplate",
        "Create a run template: a directive with placeholders, and the profile that runs it.",
    ),
    "run-templates get": GeneratedCommand("getRunTemplate", "One run template, in its newest version or in another."),
    "run-templates list": GeneratedCommand("listRunTemplates", "Run templates in their newest version, newest first."),
    "run-templates put": GeneratedCommand(
        "updateRunTemplate",
        "Make another version of a run template; runs of earlier versions stay what they were.",
    ),
    "runs active": GeneratedCommand("listActiveRuns", "Runs that were admitted and have not ended, newest first."),
    "runs cancel-requests": GeneratedCommand(
        "listCancellationRequests",
        "Cancel requests of runs that have not ended, newest first.",
    ),
    "runs evidence": GeneratedCommand("listRunEvidence", "What a run showed, newest first, without contents."),
    "runs evidence-get": GeneratedCommand("getRunEvidence", "One thing that a run showed, with its content."),
    "runs explain": GeneratedCommand(
        "explainRun",
        "Why a run is where it is: the causes that led here, and the one thing that it waits for now.",
    ),
    "runs get": GeneratedCommand("getRun", "One run; with `wait` once it has ended, or after so many seconds."),
    "runs list": GeneratedCommand("listRuns", "Runs, newest first."),
    "schedule add": GeneratedCommand(
        "createSchedule",
        "Create a schedule, or replace the one with this id; putting the same again changes nothing.",
    ),
    "schedule disable": GeneratedCommand("disableSchedule", "Let no more slots come due."),
    "schedule enable": GeneratedCommand("enableSchedule", "Let slots come due, from now on."),
    "schedule get": GeneratedCommand("getSchedule", "One schedule."),
    "schedule logs": GeneratedCommand(
        "getScheduleLogs",
        "What became of every slot that came due, newest first: the newest, or those that follow an entry.",
    ),
    "schedule pause": GeneratedCommand("pauseSchedule", "Let slots come due without running, and say why."),
    "schedule preview": GeneratedCommand(
        "previewSchedule",
        "When a schedule is due next, within ten years, also while it is disabled.",
    ),
    "schedule put": GeneratedCommand(
        "updateSchedule",
        "Replace a schedule as a whole, or create it; putting the same again changes nothing.",
    ),
    "schedule remove": GeneratedCommand(
        "deleteSchedule",
        "Remove a schedule; its runs in flight go on, and its log stays.",
    ),
    "schedule resume": GeneratedCommand("resumeSchedule", "Let slots run again, those from now on."),
    "schedule run": GeneratedCommand(
        "runSchedule",
        "Run a schedule by hand, which moves no slot; waits for the end unless asked not to.",
    ),
    "schedule tick": GeneratedCommand(
        "tickSchedules",
        "Run what is due, as the server does by itself, and wait for the runs that started.",
    ),
    "sessions get": GeneratedCommand("getSession", "One session."),
    "sessions list": GeneratedCommand("listSessions", "Sessions, most recently used first."),
    "sessions transcript": GeneratedCommand(
        "getSessionTranscript",
        "The newest entries of a session, or those after one, in the order of time.",
    ),
    "sessions transcript-stream": GeneratedCommand(
        "streamSessionTranscript",
        "A transcript from any entry, live, as server-sent events, with the text that a model is writing.",
    ),
    "whoami": GeneratedCommand("getCaller", "Who is asking, and which operations they may use."),
    "work drain-get": GeneratedCommand("getWorkDrain", "One drain."),
    "workers": GeneratedCommand(
        "listWorkers",
        "The servers and workers on this log: which runs they take, how many they have, when they were alive.",
    ),
    "workflow approve": GeneratedCommand("approveWorkflowStep", "Approve just what has this hash."),
    "workflow cancel": GeneratedCommand("cancelWorkflowRun", "Have a workflow run stop, with the runs of its steps."),
    "workflow items": GeneratedCommand(
        "listWorkflowRunItems",
        "List the items of a step that runs once for each item of a list, in their order.",
    ),
    "workflow reject": GeneratedCommand("rejectWorkflowStep", "Reject just what has this hash: the step fails."),
    "workflow resume": GeneratedCommand(
        "resumeWorkflow",
        "Go on from what failed, in this run or the newest that is not ok; else start one. Waits for the end.",
    ),
    "workflow run": GeneratedCommand(
        "runWorkflow",
        "Start a run of a workflow; waits until it has ended, or waits for an approval.",
    ),
    "workflow runs": GeneratedCommand("listWorkflowRuns", "The runs of a workflow, newest first."),
    "workflow status": GeneratedCommand("getWorkflowRun", "A workflow and how far its newest run is, or this run."),
    "workflows create": GeneratedCommand("createWorkflow", "Create a workflow: steps, and what each waits for."),
    "workflows get": GeneratedCommand("getWorkflow", "One workflow."),
    "workflows list": GeneratedCommand("listWorkflows", "Workflows, newest first."),
}
