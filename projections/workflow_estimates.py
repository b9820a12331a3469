"""Estimates of the ends of workflow runs, and their accuracy."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from athena_core.clock import iso
from athena_core.definitions.workflow_graph import WorkflowGraph
from athena_core.event import Value, says
from athena_core.protocols import Connection
from projections.workflow_rows import QUANTILES, StepRow, WorkflowRunRow, estimate

HELD_RUNS_MAX = 50
"""The number of last runs that ``EtaAccuracy`` covers."""
SELECT_HISTORY = "SELECT step_id, durations FROM workflow_history WHERE workflow_id = ?"
SELECT_HELD = (
    "SELECT estimates, finished_at - created_at FROM workflow_run"
    " WHERE workflow_id = ? AND status = 'ok' AND estimates IS NOT NULL AND resumed = 0 AND finished_at IS NOT NULL"
    " ORDER BY position DESC LIMIT ?"
)


class EtaAccuracy(Value):
    """The accuracy of estimates: the number of recent runs, and the share that ended within each quantile."""

    runs: int
    p50: Annotated[float, says("Share of runs within the 50 % estimate, 0 to 1.")]
    p80: Annotated[float, says("Share of runs within the 80 % estimate, 0 to 1.")]
    p95: Annotated[float, says("Share of runs within the 95 % estimate, 0 to 1.")]


class Eta(Value):
    """The estimated end of a run, from earlier durations of its steps, along the longest path."""

    computed_at: Annotated[str, says("When it was estimated.")]
    source: Annotated[
        Literal["completed", "historical-average", "insufficient-history"], says("What the estimate is based on.")
    ]
    historical_sample_size: Annotated[int, says("Durations that the estimate uses.")]
    estimated_remaining_ms: Annotated[
        int | None, says("Mean remaining time in milliseconds; absent without history.")
    ] = None
    estimated_completion_at: Annotated[str | None, says("When it should end; absent without history.")] = None
    remaining_ms: Annotated[dict[str, int] | None, says("Remaining milliseconds by quantile: `p50`, `p80`, `p95`.")] = (
        None
    )
    held: EtaAccuracy | None = None


def estimated(
    connection: Connection, graph: WorkflowGraph, row: WorkflowRunRow, steps: Mapping[str, StepRow], now: int
) -> Eta:
    """Return the estimated end of a run, from earlier durations of its steps."""
    common: dict[str, Any] = {"computed_at": iso(now), "held": _held(connection, row.workflow_id)}
    if row.finished_at is not None and row.status == "ok":
        at = iso(row.finished_at)
        return Eta(
            source="completed",
            historical_sample_size=0,
            estimated_remaining_ms=0,
            estimated_completion_at=at,
            **common,
        )
    all_history = {
        str(step_id): msgspec.json.decode(str(durations), type=list[int])
        for step_id, durations in connection.execute(SELECT_HISTORY, (row.workflow_id,))
    }
    size = sum(map(len, all_history.values()))
    through = {step_id for step_id, step in steps.items() if step.status in {"ok", "skipped"}}
    elapsed = {
        step_id: float(now - (step.started_at or now)) for step_id, step in steps.items() if step.status == "running"
    }
    overall = [duration for durations in all_history.values() for duration in durations]
    history = {step_id: all_history.get(step_id) or overall for step_id in graph.ids if step_id not in through}
    estimates = estimate(graph, history, elapsed) if overall else None
    if estimates is None:
        return Eta(source="insufficient-history", historical_sample_size=size, **common)
    remaining = estimates.pop("mean")
    return Eta(
        source="historical-average",
        historical_sample_size=size,
        estimated_remaining_ms=remaining,
        estimated_completion_at=iso(now + remaining),
        remaining_ms=estimates,
        **common,
    )


def _held(connection: Connection, workflow_id: str) -> EtaAccuracy | None:
    estimated_runs = [
        (msgspec.json.decode(str(estimates), type=dict[str, int]), int(took or 0))
        for estimates, took in connection.execute(SELECT_HELD, (workflow_id, HELD_RUNS_MAX))
    ]
    if not estimated_runs:
        return None
    shares = {
        f"p{quantile}": round(
            sum(took <= estimates[f"p{quantile}"] for estimates, took in estimated_runs) / len(estimated_runs), 4
        )
        for quantile in QUANTILES
    }
    return EtaAccuracy(runs=len(estimated_runs), **shares)
