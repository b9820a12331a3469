"""Names of the sets of values that are components of the document."""

from collections.abc import Mapping
from typing import Any, get_args

from athena_core import enums, errors
from athena_core.services.execution.liveness import ProcessKind
from athena_core.services.proof import explain, simulate
from athena_core.services.reviews.result import ContextFileKind
from athena_core.services.workspaces.applying import ApplyResult
from projections import (
    ask_rows,
    audit,
    diff,
    ids,
    permission_rules,
    run_answer,
    schedule_rows,
    sessions,
    tokens,
    workflow_rows,
    workspaces,
)

ALIASES: Mapping[str, Any] = {
    "AgentToolKind": enums.AgentToolKind,
    "ApplyResult": ApplyResult,
    "ApproverRole": enums.ApproverRole,
    "AskKind": ask_rows.AskKind,
    "AskStatus": ask_rows.AskStatus,
    "AuditKind": audit.AuditKind,
    "AuthzMode": enums.AuthzMode,
    "CatchUp": enums.CatchUp,
    "Change": diff.Change,
    "ChangedKind": diff.ChangedKind,
    "ConditionOperator": enums.Operator,
    "ContextFileKind": ContextFileKind,
    "ContextStrategy": enums.ContextStrategy,
    "CurrentWaitReason": explain.CurrentWaitReason,
    "DeadLetterReason": enums.DeadLetterReason,
    "DeadLetterSource": enums.DeadLetterSource,
    "DeadLetterStatus": enums.DeadLetterStatus,
    "EvidenceSource": enums.EvidenceSource,
    "EvidenceType": enums.EvidenceType,
    "ExplainedRunStatus": explain.ExplainedRunStatus,
    "FailureAction": enums.FailureAction,
    "HarnessVersion": enums.HarnessVersion,
    "HttpMethod": enums.HttpMethod,
    "LimitScope": enums.LimitScope,
    "LimitStrategy": enums.LimitStrategy,
    "MergeGate": enums.MergeGate,
    "MessageStatus": enums.MessageStatus,
    "OverlapPolicy": enums.OverlapPolicy,
    "PauseCause": enums.PauseCause,
    "PauseReason": enums.PauseReason,
    "PermissionRuleStatus": permission_rules.PermissionRuleStatus,
    "PersonaStdout": enums.PersonaStdout,
    "PolicyEngine": enums.PolicyEngine,
    "PolicyRuleType": enums.PolicyRuleType,
    "PolicyType": enums.PolicyType,
    "QueueMode": enums.QueueMode,
    "RecordKind": ids.RecordKind,
    "RedriveDecision": enums.RedriveDecision,
    "RejectionReason": enums.RejectionReason,
    "RetryWith": errors.RetryWith,
    "RuleScope": enums.RuleScope,
    "RunEndStatus": enums.RunEndStatus,
    "RunStatus": enums.RunStatus,
    "ScheduleRunReason": schedule_rows.ScheduleRunReason,
    "ScheduleRunStatus": schedule_rows.ScheduleRunStatus,
    "SessionStrategy": enums.SessionStrategy,
    "SimulationLimit": simulate.NotSimulated,
    "StepItemStatus": workflow_rows.StepItemStatus,
    "StepStatus": enums.StepStatus,
    "TokenKind": tokens.TokenKind,
    "TokenRole": enums.TokenRole,
    "TokenStatus": tokens.TokenStatus,
    "TranscriptKind": sessions.TranscriptEntryKind,
    "TranscriptRole": enums.TranscriptRole,
    "TriggerRule": enums.TriggerRule,
    "VerificationKind": enums.VerificationKind,
    "VerificationStatus": enums.VerificationStatus,
    "WaitReason": run_answer.RunWaitReason,
    "WorkerKind": ProcessKind,
    "WorkflowRunStatus": enums.WorkflowRunStatus,
    "WorkspaceStatus": workspaces.WorkspaceStatus,
}

NAMES: Mapping[frozenset[str], str] = {frozenset(get_args(alias)): name for name, alias in ALIASES.items()}
"""The name of each set. No two sets are equal."""
