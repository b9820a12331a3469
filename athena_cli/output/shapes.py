"""Output of commands that differs from the response, for compatibility with the original command line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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


PROBLEMS: Mapping[str, Callable[[Any], str | None]] = {"forgetMemory": _left}
"""The function that finds an error in a successful response. The command prints the response, then fails."""

LIMITS: Mapping[str, int] = {"getScheduleLogs": 20}
"""The default ``limit`` of an operation."""
