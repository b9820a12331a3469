"""The table of operations, from which routes, documents, roles, pagination and the command line are computed.

What lives here: one file per noun, with its query types, body types, handlers and rows, in that order. What may not: a
framework, and anything that happens before the operation is known. Read first: ``directives.py``, then ``runs.py``.
"""

from collections.abc import Mapping
from typing import Any

from athena_api.endpoint.operation import Operation
from athena_api.operations import (
    agents,
    anchors,
    asks,
    audit,
    bulk_requests,
    core,
    dead_letters,
    directives,
    events,
    fleet,
    halts,
    mcp_servers,
    memory,
    messages,
    permission_rules,
    policy,
    profiles,
    queues,
    redrives,
    reviews,
    run_proofs,
    runs,
    schedules,
    sessions,
    templates,
    tokens,
    workflows,
    workspaces,
)
from athena_core.values import Role

OPERATIONS: tuple[Operation[Any, Any], ...] = (  # the order of listings and of the command line
    *core.OPERATIONS,
    *agents.OPERATIONS,
    *mcp_servers.OPERATIONS,
    *runs.OPERATIONS,
    *run_proofs.OPERATIONS,
    *bulk_requests.OPERATIONS,
    *sessions.OPERATIONS,
    *workspaces.OPERATIONS,
    *directives.OPERATIONS,
    *profiles.OPERATIONS,
    *templates.OPERATIONS,
    *queues.OPERATIONS,
    *messages.OPERATIONS,
    *dead_letters.OPERATIONS,
    *memory.OPERATIONS,
    *anchors.OPERATIONS,
    *asks.OPERATIONS,
    *permission_rules.OPERATIONS,
    *redrives.OPERATIONS,
    *workflows.OPERATIONS,
    *reviews.OPERATIONS,
    *policy.OPERATIONS,
    *halts.OPERATIONS,
    *tokens.OPERATIONS,
    *schedules.OPERATIONS,
    *audit.OPERATIONS,
    *fleet.OPERATIONS,
    *events.OPERATIONS,
)

ROLES: Mapping[str, frozenset[Role]] = {operation.id: operation.roles for operation in OPERATIONS}
"""The roles that may use each operation, for ``services.access``."""

RECORDED_AS: Mapping[str, str] = {operation.id: operation.context for operation in OPERATIONS} | {
    "cancelRunByRunId": "runs.cancelByRunId",
    "createSchedule": "schedules.upsert",
    "createWorkflow": "workflow.create",
    "deleteSchedule": "schedules.remove",
    "disableSchedule": "schedules.upsert",
    "discardA2aDlqItem": "a2aDlq.discard",
    "enableSchedule": "schedules.upsert",
    "getA2aDlqItem": "a2aDlq.get",
    "getWorkflowRun": "workflow.status",
    "listA2aDlq": "a2aDlq.list",
    "listWorkflows": "workflow.list",
    "requeueA2aDlqItem": "a2aDlq.requeue",
    "restoreA2aDlqItem": "a2aDlq.restore",
    "resumeWorkflow": "workflow.resume",
    "streamEvents": "events.list",
    "updateSchedule": "schedules.upsert",
}
"""Names of operations in recorded denials, by operation id.

These are the names of the original, so that its clients can filter by them. An operation of Athena has the context of
its error messages.
"""
