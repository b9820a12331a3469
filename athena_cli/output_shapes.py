"""What commands of rows print that is not the answer as it came: the shapes of the original's commands."""

from collections.abc import Callable, Iterable, Mapping
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


def _left(forgotten: Any) -> str | None:
    """Where the text of a forgotten entry remains."""
    return remains(forgotten.get("left") or ())


def remains(left: Iterable[Mapping[str, str]]) -> str | None:
    """Where erased text remains, as one line; None where it does not."""
    said = [f"{one['place']}: {one['reason']}; {one['remedy']}" for one in left]
    return f"the text is erased, but may be left in {' · '.join(said)}" if said else None


PROBLEMS: Mapping[str, Callable[[Any], str | None]] = {"forgetMemory": _left}
"""By the operation: what of an answer is an error, so that the command fails after it has printed the answer."""

LIMITS: Mapping[str, int] = {"getScheduleLogs": 20}
"""By the operation: how many records are asked for where nobody says."""
