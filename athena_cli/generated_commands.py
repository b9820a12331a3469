"""The words of commands that are rows of the table; written by ``python -m docs.generate``, do not edit."""

from collections.abc import Mapping
from typing import NamedTuple


class Named(NamedTuple):
    """The operation behind a command, and what it does."""

    operation_id: str
    summary: str


ROWS: Mapping[str, Named] = {
    "a2a discard": Named("discardA2aDlqItem", "Decide that the work of a dead letter will not be done."),
    "a2a dlq": Named("listA2aDlq", "Dead letters: work and messages that could not be done, oldest first."),
    "a2a dlq-get": Named("getA2aDlqItem", "One dead letter."),
    "a2a get": Named("getA2aMessage", "One message."),
    "a2a list": Named("listA2aMessages", "Messages between personas, newest first."),
    "a2a redrive": Named(
        "redriveA2aDlq",
        "Put the pending dead letters of a filter back, so many a second; with `dryRun` only count them.",
    ),
    "a2a redrive-cancel": Named("cancelA2aDlqRedrive", "Stop a redrive; what it put back stays so."),
    "a2a redrive-get": Named("getA2aDlqRedrive", "How far a redrive is, and what became of each dead letter."),
    "a2a requeue": Named("requeueA2aDlqItem", "Put the work of a dead letter back, once."),
    "a2a restore": Named("restoreA2aDlqItem", "Take a discard back."),
    "a2a send": Named("sendA2aMessage", "Hand a message to a persona; its session's queue is worked off by itself."),
    "anchors keep": Named(
        "keepAnchor",
        "Keep an anchor of another log, so that its history cannot be rewritten unnoticed.",
    ),
    "anchors list": Named("listAnchors", "Anchors of other logs that are kept here, oldest first."),
    "audit": Named(
        "getAuditTrail",
        "Who changed, cancelled or was denied what, and why, newest first; as JSON or CSV.",
    ),
    "capabilities": Named("getCapabilities", "What this server can do."),
    "clock accept": Named(
        "acceptClock",
        "Accept the clock of the server's machine after a jump ahead, instead of after ten minutes.",
    ),
    "digests": Named(
        "getViewDigests",
        "The digest of each view at its position. Reads every row; concurrent requests share one scan.",
    ),
    "directives create": Named("createDirective", "Create a directive."),
    "directives get": Named("getDirective", "One directive."),
    "directives list": Named("listDirectives", "Directives, newest first."),
    "fleet": Named(
        "getFleetSummary",
        "How many runs there are and were, how long they take, what waits, and what this month costs.",
    ),
    "harness-profiles create": Named("createHarnessProfile", "Create a harness profile."),
    "harness-profiles get": Named("getHarnessProfile", "One harness profile."),
    "harness-profiles list": Named("listHarnessProfiles", "Harness profiles, newest first."),
    "health": Named("getAdminHealth", "Whether the server is well, and how far each projection is."),
    "memory add": Named("recordMemory", "Note something down."),
    "memory forget": Named(
        "forgetMemory",
        "Forget an entry; its text is erased everywhere, the log included. `left` names where it may remain.",
    ),
    "memory list": Named("listMemory", "Entries that were noted down and not forgotten, newest first."),
    "memory show": Named("getMemoryEntry", "One entry."),
    "persona list": Named("listPersonaRuns", "Reviews of personas, newest first."),
    "persona show": Named("getPersonaRun", "One review, with its result."),
    "policy put": Named("putPolicy", "Replace the policy as a whole: what is left out is no longer limited."),
    "policy rejections": Named(
        "listPolicyConcurrencyRejections",
        "Runs that the policy refused, oldest first unless `order=newest` is asked for.",
    ),
    "policy show": Named("getPolicy", "The policy in force, or null."),
    "policy simulate": Named(
        "simulatePolicy",
        "What the recorded requests for runs would have met under another policy; changes nothing.",
    ),
    "resume": Named(
        "resumeRun",
        "Let a paused run go on, with another budget or with none; waits for its end unless asked not to.",
    ),
    "run-templates create": Named(
        "createRunTemplate",
        "Create a run template: a directive with placeholders, and the profile that runs it.",
    ),
    "run-templates get": Named("getRunTemplate", "One run template, in its newest version or in another."),
    "run-templates list": Named("listRunTemplates", "Run templates in their newest version, newest first."),
    "run-templates put": Named(
        "updateRunTemplate",
        "Make another version of a run template; runs of earlier versions stay what they were.",
    ),
    "runs active": Named("listActiveRuns", "Runs that were admitted and have not ended, newest first."),
    "runs cancel-requests": Named(
        "listCancellationRequests",
        "Cancel requests of runs that have not ended, newest first.",
    ),
    "runs evidence": Named("listRunEvidence", "What a run showed, newest first, without contents."),
    "runs evidence-get": Named("getRunEvidence", "One thing that a run showed, with its content."),
    "runs explain": Named(
        "explainRun",
        "Why a run is where it is: the causes that led here, and the one thing that it waits for now.",
    ),
    "runs get": Named("getRun", "One run; with `wait` once it has ended, or after so many seconds."),
    "runs list": Named("listRuns", "Runs, newest first."),
    "schedule add": Named(
        "createSchedule",
        "Create a schedule, or replace the one with this id; putting the same again changes nothing.",
    ),
    "schedule disable": Named("disableSchedule", "Let no more slots come due."),
    "schedule enable": Named("enableSchedule", "Let slots come due, from now on."),
    "schedule get": Named("getSchedule", "One schedule."),
    "schedule logs": Named(
        "getScheduleLogs",
        "What became of every slot that came due, newest first: the newest, or those that follow an entry.",
    ),
    "schedule pause": Named("pauseSchedule", "Let slots come due without running, and say why."),
    "schedule preview": Named(
        "previewSchedule",
        "When a schedule is due next, within ten years, also while it is disabled.",
    ),
    "schedule put": Named(
        "updateSchedule",
        "Replace a schedule as a whole, or create it; putting the same again changes nothing.",
    ),
    "schedule remove": Named("deleteSchedule", "Remove a schedule; its runs in flight go on, and its log stays."),
    "schedule resume": Named("resumeSchedule", "Let slots run again, those from now on."),
    "schedule run": Named(
        "runSchedule",
        "Run a schedule by hand, which moves no slot; waits for the end unless asked not to.",
    ),
    "schedule tick": Named(
        "tickSchedules",
        "Run what is due, as the server does by itself, and wait for the runs that started.",
    ),
    "sessions get": Named("getSession", "One session."),
    "sessions list": Named("listSessions", "Sessions, most recently used first."),
    "sessions transcript": Named(
        "getSessionTranscript",
        "The newest entries of a session, or those after one, in the order of time.",
    ),
    "sessions transcript-stream": Named(
        "streamSessionTranscript",
        "A transcript from any entry, live, as server-sent events, with the text that a model is writing.",
    ),
    "whoami": Named("getCaller", "Who is asking, and which operations they may use."),
    "work drain-get": Named("getWorkDrain", "One drain."),
    "workers": Named(
        "listWorkers",
        "The servers and workers on this log: which runs they take, how many they have, when they were alive.",
    ),
    "workflow approve": Named("approveWorkflowStep", "Approve just what has this hash."),
    "workflow cancel": Named("cancelWorkflowRun", "Have a workflow run stop, with the runs of its steps."),
    "workflow items": Named(
        "listWorkflowRunItems",
        "List the items of a step that runs once for each item of a list, in their order.",
    ),
    "workflow reject": Named("rejectWorkflowStep", "Reject just what has this hash: the step fails."),
    "workflow resume": Named(
        "resumeWorkflow",
        "Go on from what failed, in this run or the newest that is not ok; else start one. Waits for the end.",
    ),
    "workflow run": Named(
        "runWorkflow",
        "Start a run of a workflow; waits until it has ended, or waits for an approval.",
    ),
    "workflow runs": Named("listWorkflowRuns", "The runs of a workflow, newest first."),
    "workflow status": Named("getWorkflowRun", "A workflow and how far its newest run is, or this run."),
    "workflows create": Named("createWorkflow", "Create a workflow: steps, and what each waits for."),
    "workflows get": Named("getWorkflow", "One workflow."),
    "workflows list": Named("listWorkflows", "Workflows, newest first."),
}
