"""Names of fields that are times, and descriptions of tags, in the API document."""

from collections.abc import Mapping

TIMES: frozenset[str] = frozenset(
    {"at", "computedAt", "heartbeat", "nominalTime", "now", "oldestWaitingSince", "timestamp", "utc"}
    | {"windowEnd", "windowStart", "createdAfter", "createdBefore"}
    | {f"{kind}.since" for kind in ("BackgroundProblem", "CurrentWait", "RunPause", "SchedulePause", "Worker")}
    | {"AcceptedClock.clock", "FireTime.local"}
)
"""Names of text fields that are times though they do not end in ``At``."""

TAGS: Mapping[str, str] = {
    "a2a": "Messages between personas, and dead letters.",
    "access": "Tokens, login and logout.",
    "asks": "What waits for a person's decision.",
    "catalog": "Directives and harness profiles.",
    "core": "The server: capabilities, health and workers.",
    "events": "The feed of all events.",
    "fleet": "Counts, durations and costs of all runs.",
    "governance": "The audit trail, and anchors of other logs.",
    "mcp": "MCP servers, and the tools that runs may call there.",
    "memory": "Notes and entries that runs recall.",
    "personas": "Reviews of changes by personas.",
    "policy": "Limits, rejections and simulations.",
    "runs": "Runs: start, read, explain and cancel them.",
    "schedules": "Work that starts at set times.",
    "sessions": "Sessions and their transcripts.",
    "templates": "Run templates with parameters.",
    "work": "Queues of sessions.",
    "workflows": "Graphs of steps, with approvals.",
    "workspaces": "Workspaces of sessions and workflow runs, and the changes in them.",
}
"""The description of each group of operations."""
