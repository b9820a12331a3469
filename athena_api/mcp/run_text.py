"""A run in words, for the model of a client."""

from collections.abc import Mapping
from typing import Any

from athena_core.mcp.served import ServedResult


def run_result(run: Mapping[str, Any]) -> ServedResult:
    """Return the result of a call that ends with a run: its output, or why it has none."""
    if run["status"] == "completed":
        return ServedResult(run.get("output") or "", {"runId": run["runId"], "status": run["status"]})
    error = run.get("error") or {}
    return ServedResult(f"Run {run['runId']} {run['status']}: {error.get('message', '')}".strip(), is_error=True)
