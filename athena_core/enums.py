"""Sets of values in events, requests and answers, such as the statuses of a run."""

from typing import Literal, TypeAlias

# Runs

RunEndStatus: TypeAlias = Literal["completed", "failed", "cancelled", "timed-out", "crashed"]
RunStatus: TypeAlias = Literal["queued", "running", "paused", RunEndStatus]
SessionStrategy: TypeAlias = Literal["enqueue", "reject", "interrupt"]
"""What to do if the session is busy: wait (the default), fail, or cancel the running run."""
WaitReason: TypeAlias = Literal["session-busy", "concurrency", "executor", "key-limit", "agent-memory"]
RequeueReason: TypeAlias = Literal["concurrency", "executor", "key-limit", "halted", "agent-memory"]
"""What a parked run waits for once its asks are answered."""
PauseReason: TypeAlias = Literal["budget", "daily-budget", "unpriced-model", "ask"]
TranscriptRole: TypeAlias = Literal["system", "user", "assistant", "tool"]
TranscriptKind: TypeAlias = Literal["message", "tool-call", "tool-result"]
EvidenceType: TypeAlias = Literal["text", "json", "binary"]
EvidenceSource: TypeAlias = Literal["tool", "model", "verifier", "workspace"]
VerificationKind: TypeAlias = Literal["require-evidence", "command", "json-schema", "contains"]
VerificationStatus: TypeAlias = Literal["passed", "verification-failed"]
ContextStrategy: TypeAlias = Literal["raw", "summary"]
HarnessVersion: TypeAlias = Literal["v1", "v2"]
FilesAction: TypeAlias = Literal["list", "read", "write", "replace", "delete"]
HttpMethod: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
SandboxMode: TypeAlias = Literal["off", "preferred", "required"]
"""Whether commands run in a sandbox: never, where one works, or only in one."""
SandboxNetwork: TypeAlias = Literal["none", "egress"]
IsolationProfile: TypeAlias = Literal["standard", "high-security"]
SandboxPhase: TypeAlias = Literal["ready", "fallback", "required-unavailable", "cleaned"]

# Workspaces

WorkspaceMode: TypeAlias = Literal["shared", "session", "workflow-run"]
"""Where runs of a profile work: in the shared workspace, or in one of their session or workflow run."""
WorkspaceKind: TypeAlias = Literal["session", "workflow-run"]
WorkspaceSource: TypeAlias = Literal["clone", "copy", "empty"]
WorkspaceEnd: TypeAlias = Literal["requested", "policy", "erasure"]
"""Why a workspace was cleaned: an operator wanted it, it was unused for too long, or its owner's text was erased."""

# Asks

RunAskKind: TypeAlias = Literal["tool-permission", "question", "choice"]
AskOrigin: TypeAlias = Literal["loop", "agent", "mcp"]
"""Who asks: the loop of Athena, an outside agent, or an MCP server.

``mcp`` is also an outside agent that calls a tool at the MCP endpoint of its run.
"""
AskOptionKind: TypeAlias = Literal["allow_once", "reject_once"]
AskExpiry: TypeAlias = Literal["deny", "cancel"]
"""What an ask without an answer causes: the call is refused, or the run is cancelled."""
AnswerCause: TypeAlias = Literal["person", "rule", "expiry", "run-ended"]
Approval: TypeAlias = Literal["allow", "ask", "deny"]
AgentToolKind: TypeAlias = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]
"""The kind of a tool call of an outside agent, as the agent says."""
CallOrigin: TypeAlias = Literal["agent", "mcp"]
"""The origin of a tool call that the loop of Athena did not request.

``agent``: an outside agent makes it. ``mcp``: an outside agent requested it at the MCP endpoint of its run.
"""
AgentSessionStart: TypeAlias = Literal["new", "resumed", "replayed"]
"""How a session of an outside agent began: fresh, where it ended, or with the recorded conversation."""
McpTransport: TypeAlias = Literal["stdio", "http"]
"""How Athena reaches an MCP server: as a program that it starts, or at a URL."""
McpToolState: TypeAlias = Literal["accepted", "changed", "new", "removed"]
"""A tool of an MCP server beside what an operator accepted: as accepted, changed since, new since, or not listed."""
RuleScope: TypeAlias = Literal["run", "session", "profile"]
"""Where a permission rule is in force: in one run, one session, or all runs of one harness profile."""

# The policy

PolicyType: TypeAlias = Literal["CONCURRENCY", "COST"]
RejectionReason: TypeAlias = Literal[
    "max-concurrent-runs-exceeded",
    "lock-acquisition-failed",
    "key-limit-exceeded",
    "daily-cost-budget-exceeded",
    "unpriced-model",
]
PolicyEngine: TypeAlias = Literal["athena", "kyverno"]
PolicyRuleType: TypeAlias = Literal["concurrency", "validate", "mutate", "generate"]
FailureAction: TypeAlias = Literal["audit", "enforce"]
LimitScope: TypeAlias = Literal["session", "provider", "harness-profile", "agent"]
LimitStrategy: TypeAlias = Literal["reject", "enqueue"]
AuthzMode: TypeAlias = Literal["off", "observe", "soft-enforce", "enforce"]

# Queues, messages and dead letters

QueueMode: TypeAlias = Literal["followup", "collect"]
MessageStatus: TypeAlias = Literal["sent", "started", "completed", "failed"]
DeadLetterSource: TypeAlias = Literal["work", "a2a"]
DeadLetterStatus: TypeAlias = Literal["pending", "requeued", "discarded"]
DeadLetterReason: TypeAlias = Literal[
    "attempts-exhausted",  # its runs failed the maximum number of times
    "unrunnable",  # no run was possible: text erased, too large, profile gone
    "unknown-persona",  # its persona is not defined any more
    "not-allowed",  # its sender has lost the right
    "cancelled",  # the run of an automatic drain was cancelled
    "hop-limit",  # too many messages led to it
]
"""The reason why work left its queue undone."""
RedriveStatus: TypeAlias = Literal["running", "completed", "cancelled"]
RedriveDecision: TypeAlias = Literal[
    "requeued",
    "skipped",  # it was decided meanwhile
    "failed",  # it could not be requeued
]

# Schedules

OverlapPolicy: TypeAlias = Literal[
    "skip", "buffer-one", "buffer-latest", "buffer-all", "cancel-other", "terminate-other", "allow-all"
]
"""What to do with a slot that is due while a run of its schedule is active."""
CatchUp: TypeAlias = Literal["none", "latest", "all"]
"""Which of several due slots run: ``none`` runs the latest if it is on time. The window limits the other two."""
PauseCause: TypeAlias = Literal["requested", "failure"]
"""Why a schedule is paused: a client asked for it, or a run of it failed."""
SlotSkipReason: TypeAlias = Literal[
    "overlap-skip",  # a run was active
    "buffer-full",  # a run was active, and the buffer had no place
    "catchup-latest",  # a later slot was due too, and only the latest one is caught up
    "catchup-window-exceeded",  # it was too late
    "paused",
    "outside-start-end",  # it was buffered when the start or the end changed
    "superseded",  # the trigger changed before it ran
    "disabled",
    "removed",
]
"""The reason why a slot did not run."""
MissedSlotsReason: TypeAlias = Literal[
    SlotSkipReason,
    "catchup-none",  # a later slot was due too, and missed slots are not caught up
    "halted",  # all work was halted when it was due
]
"""The reason why a range of slots did not run."""
RunEndReason: TypeAlias = Literal["cancelled", "policy-rejected"]
"""A cause outside of the schedule for which its run failed."""

# Workflows

TriggerRule: TypeAlias = Literal["all-succeeded", "all-done", "one-failed"]
"""When a step starts: once all its parents succeeded, once all have ended, or once one has failed."""
Operator: TypeAlias = Literal["eq", "ne", "lt", "le", "gt", "ge", "contains", "exists"]
StepStatus: TypeAlias = Literal["pending", "running", "waiting", "ok", "failed", "skipped", "cancelled"]
SkipReason: TypeAlias = Literal["condition", "upstream-skipped", "no-failure"]
ApproverRole: TypeAlias = Literal["Operator", "Admin"]
WorkflowRunStatus: TypeAlias = Literal["running", "waiting", "ok", "failed", "cancelled"]

# Reviews

MergeGate: TypeAlias = Literal["pass", "fail"]
PersonaStdout: TypeAlias = Literal["summary", "json", "md", "none"]
"""Format in which a persona's review is printed."""

# Tokens

TokenRole: TypeAlias = Literal["Viewer", "Operator", "Admin"]
