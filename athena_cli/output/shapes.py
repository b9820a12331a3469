"""Output of commands that differs from the response, for compatibility with the original command line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from athena_cli.exit_codes import joined

Path = Mapping[str, str]


def _run(result: Any, path: Path) -> Any:
    return {**result, "summary": _summary([result])}


def _tick(result: Any, path: Path) -> Any:
    return {**result, "summary": _summary(result["run"])}


def _logs(entries: Any, path: Path) -> Any:
    return {"id": path["scheduleId"], "count": len(entries), "logs": entries}


def _summary(results: list[Any]) -> dict[str, int]:
    statuses = [result["status"] for result in results]
    return {
        "ok": statuses.count("ok"),
        "failed": statuses.count("failed"),
        "alreadyRunning": statuses.count("already-running"),
    }


SHAPES: Mapping[str, Callable[[Any, Path], Any]] = {
    "runSchedule": _run,
    "tickSchedules": _tick,
    "getScheduleLogs": _logs,
}
"""The function that reshapes the response of an operation for output."""


def _left(forgotten: Any) -> str | None:
    """Return one line that names where the text of a forgotten entry may remain; None if nowhere."""
    return remains(forgotten.get("left") or ())


def remains(left: Iterable[Mapping[str, str]]) -> str | None:
    """Return one line that names where erased text may remain; None if nowhere."""
    places = [f"{one['place']}: {one['reason']}; {one['remedy']}" for one in left]
    return f"the text is erased, but copies may remain in {' · '.join(places)}" if places else None


def waiting_note(run: Any) -> str | None:
    """Return the line for a run that waits for answers, with the command that gives them; None for any other."""
    waiting = run.get("waiting") or {}
    asks = waiting.get("asks") or ()
    if waiting.get("reason") != "ask" or not asks:
        return None
    held = "The run is parked until it is answered" if waiting.get("parked") else "The run waits for an answer"
    return f"{held}. Answer it with: {' · '.join(f'athena answer {ask}' for ask in asks)}"


def run_problem(run: Any) -> str | None:
    """Return the sentence for a run that has ended otherwise than completed."""
    if run.get("status") not in UNWELL:
        return None
    error = run.get("error") or {}
    reason = f": {error['message']}" if error else ""
    return joined(f"run {run['runId']} is {run['status']}{reason}", f"see athena explain {run['runId']}")


def _workflow_problem(run: Any) -> str | None:
    """Return the sentence for a workflow run that failed or was cancelled."""
    if run.get("status") not in UNWELL:
        return None
    steps = [name for name, state in run.get("stepStates", {}).items() if state.get("status") == "failed"]
    where = f" at step {steps[0]}" if steps else ""
    return f"workflow run {run['id']} is {run['status']}{where}; see athena workflows status {run['id']}"


def _schedule_problem(result: Any) -> str | None:
    """Return the sentence for a run of a schedule that failed."""
    failed = [one for one in result.get("run") or [result] if one.get("status") == "failed"]
    if not failed:
        return None
    first = failed[0]
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    reason = first.get("error") or first.get("reason") or "its run failed"
    return f"schedule {first['id']}: {reason}{more}; see athena schedules logs {first['id']}"


UNWELL = frozenset({"failed", "cancelled", "crashed", "timed-out"})
"""Statuses of runs and workflow runs that have ended otherwise than as intended."""

PROBLEMS: Mapping[str, Callable[[Any], str | None]] = {
    "forgetMemory": _left,
    "getRun": run_problem,
    "resumeRun": run_problem,
    "runWorkflow": _workflow_problem,
    "resumeWorkflow": _workflow_problem,
    "runSchedule": _schedule_problem,
    "tickSchedules": _schedule_problem,
}
"""The function that finds an error in a successful response. The command prints the response, then fails.

``getRun`` is asked only with ``--wait``.
"""

NOTES: Mapping[str, Callable[[Any], str | None]] = {
    "createRun": waiting_note,
    "runTemplate": waiting_note,
    "resumeRun": waiting_note,
    "getRun": waiting_note,
}
"""The function that finds what a person should do after a response; printed on standard error."""

LISTS = ("items", "events", "tasks", "logs", "results")
"""The member names of lists in responses."""

LIMITS: Mapping[str, int] = {"getScheduleLogs": 20}
"""The default ``limit`` of an operation."""

COUNTED = ("getDiff",)
"""Lists whose first page ends with counts, unless ``--counts false`` is given."""
