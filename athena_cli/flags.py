"""Flags: their kinds, what members of bodies and queries are called as flags, and what help says about each."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from cyclopts import Parameter

SWITCH = Parameter(negative="")
TEXT = Parameter(allow_leading_hyphen=True)
Detach: TypeAlias = Annotated[bool, Parameter(name="--async", negative="")]

NAMES: Mapping[str, str] = {"sessionId": "session", "runId": "run"}
"""Flags that are not called as their member is."""

FLAGGED: Mapping[str, str] = {"scheduleId": "--id"}
"""Parts of paths that may be given by a flag as well as by their place."""

ABOUT: Mapping[str, str] = {
    "actor": "Only by this identity.",
    "after": "Begin after this entry (its id), at `latest`, or at a time; else with the first.",
    "allowedEgress": 'Where its tools may connect: [{"host", "port"}, ...].',
    "at": "As if it were then (ISO-8601 with an offset); now if absent.",
    "auditComment": "Why, for the audit trail.",
    "auditNote": "Why, for the audit trail.",
    "budgetUsd": "Dollars that the run may spend in all, from its start; without it there is no limit.",
    "catchUp": "Which of several slots that came due meanwhile run; `latest` if absent.",
    "catchUpWindowSeconds": "How late a slot may still run, in seconds; a year if absent.",
    "chain": "The chain value there, 64 hex digits.",
    "config": 'The model and its tools: {"provider", "model", "tools": [...]}.',
    "contextRefs": "What it is given to read: file:PATH or memory:PATH, inside the workspace.",
    "costBudgetDailyUsd": "Dollars that all runs of a day (UTC) may spend; 0 is no limit.",
    "count": "How many slots; 10 if absent.",
    "createdAfter": "Only from this time on (ISO-8601).",
    "createdBefore": "Only up to this time (ISO-8601).",
    "cron": "When, as five fields: minute, hour, day, month, day of the week.",
    "defaultParams": "Values of parameters that a run leaves out.",
    "defaultRunTimeoutMs": "Milliseconds that a run may take.",
    "defaultScheduleTimeoutMs": "Milliseconds that a run of a schedule may take.",
    "definition": "The workflow: its steps and dependencies.",
    "directiveId": "What to say, as a directive.",
    "directiveTemplate": "What to say, with {{parameters}}.",
    "displayName": "How people call it.",
    "dryRun": "Change nothing; say what would be done.",
    "enabled": "Whether slots come due; true if absent.",
    "endAt": "The last time at which a slot may come due (ISO-8601 with an offset).",
    "everyMinutes": "When: every so many minutes.",
    "filter": "Which dead letters, as the filters of `a2a dlq`.",
    "format": "How it is written; JSON if absent.",
    "from": "The first time that counts (ISO-8601); now if absent.",
    "fromPersona": "The persona that hands it over.",
    "harnessProfileId": "The harness profile.",
    "id": "The id, of your choice.",
    "include": "Show whole outputs, and not only how they begin.",
    "input": "What to say.",
    "inputOverrides": "Values that replace those of the input from now on, by name.",
    "jitterSeconds": "Each slot is late by up to so many seconds, always the same for the same slot.",
    "kind": "Only of this kind.",
    "limits": 'Limits of sessions, providers and profiles: [{"scope", "key", "max", "strategy"}, ...].',
    "logId": "The id of the other log, 16 hex digits.",
    "maxConcurrentRuns": "Runs that may be at work at once.",
    "maxRunAttempts": "Executors that a run may lose before it ends as crashed; 3 if absent.",
    "metadata": "Whatever you want to keep with it, as an object.",
    "model": "A model of that provider.",
    "name": "Only of this persona.",
    "note": "Why.",
    "offset": "How many to leave out; does not go with --cursor.",
    "order": "Which come first; `oldest` if absent.",
    "overlapPolicy": "What a slot does while a run of the schedule is at work; `skip` if absent.",
    "params": "Values of the template's parameters, as an object.",
    "paramsSchema": "What the parameters have to be, as a JSON Schema of an object; else they are texts.",
    "parentRunId": "The run in which it was handed over.",
    "pauseOnFailure": "Whether a run that fails pauses the schedule.",
    "paused": "Whether slots come due without running.",
    "payload": "What is handed over: a text in quotes, or an object.",
    "policies": 'Its limits: {"timeoutMs", "retryLimit", "budgetUsd", "maxTurns"}.',
    "policy": "The policy as one object.",
    "position": "The position in that log.",
    "provider": "The provider.",
    "ratePerSecond": "How many a second.",
    "reason": "Only with this reason.",
    "retryBudgetPerRun": "How often a run may ask a model again that failed.",
    "runAt": "When: once, at this time (ISO-8601 with an offset).",
    "runId": "The run.",
    "runTemplateId": "A run template.",
    "schemaVersion": "The version of the policy's shape: 1.",
    "sessionId": "The session.",
    "since": "Requests since this time (ISO-8601), position or event; since yesterday if absent.",
    "sourcePersona": "Only from this persona.",
    "startAt": "The first time at which a slot may come due (ISO-8601 with an offset).",
    "startNow": "Whether the first slot is now, and not a whole interval ahead.",
    "status": "Only with this status.",
    "stepId": "The step in which it was handed over.",
    "subjectHash": "The hash of what is judged, as `workflow status` shows it: nothing else is.",
    "targetPersona": "Only to this persona.",
    "taskId": "The task in which it was handed over.",
    "text": "What to note down.",
    "timezone": "The zone in which the cron expression counts, such as Europe/Berlin; UTC if absent.",
    "toPersona": "The persona that it is handed to.",
    "toolPolicies": 'What its tools may do: {"shell": {...}, "http": {...}, "files": {...}}.',
    "updatedAt": "Ignored, so that what `policy show` prints can be put.",
    "verificationPolicies": 'What its runs have to show: [{"id", "kind", ...}, ...].',
    "version": "The version.",
    "wait": "Wait so many seconds for its end.",
    "workflowId": "A workflow.",
    # where it narrows a list
    "?harnessProfileId": "Only with this harness profile.",
    "?provider": "Only with this provider.",
    "?runId": "Only of this run.",
    "?sessionId": "Only of this session.",
    "?logId": "Only of this log.",
    "?fromPersona": "Only from this persona.",
    "?toPersona": "Only to this persona.",
    # where a member of one operation means something else
    "cancelWorkflowRun.reason": "Why.",
    "keepAnchor.at": "When it was taken, as 2026-01-31T12:00:00.000Z.",
    "runWorkflow.input": "Values of the placeholders of its directives, by name.",
    "createRunTemplate.harnessProfileId": "The harness profile that runs it.",
    "updateRunTemplate.harnessProfileId": "The harness profile that runs it.",
    "createHarnessProfile.version": "The version of the profile's shape.",
}
"""What a member is, by its name, in queries, or in the body or query of one operation."""


def about(operation_id: str, name: str, *, query: bool = False) -> str:
    """Return the help of a member."""
    own = ABOUT.get(f"{operation_id}.{name}") or (ABOUT.get(f"?{name}") if query else None)
    return own or ABOUT[name]


def flag(name: str) -> str:
    """Return the name of a member as a flag, with dashes."""
    called = NAMES.get(name, name)
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in called)
