"""What commands of rows print that is not the answer as it came: the shapes of the original's commands."""

from collections.abc import Callable, Mapping
from typing import Any

Path = Mapping[str, str]


def _run(result: Any, path: Path) -> Any:
    """What came of a run of a schedule, and the same in numbers."""
    return {**result, "summary": _summary([result])}


def _tick(result: Any, path: Path) -> Any:
    """What came of a tick, and the same in numbers."""
    return {**result, "summary": _summary(result["run"])}


def _logs(entries: Any, path: Path) -> Any:
    """The log of a schedule."""
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
"""By the operation: what is printed of its answer."""

LIMITS: Mapping[str, int] = {"getScheduleLogs": 20}
"""By the operation: how many records are asked for where nobody says."""
