"""The shapes of output that are not the answer as it came: those of the original's commands."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Path = Mapping[str, str]


def _run(result: Any, path: Path) -> Any:
    """The result of a run of a schedule, with counts."""
    return {**result, "summary": _summary([result])}


def _tick(result: Any, path: Path) -> Any:
    """The result of a tick, with counts."""
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
    """Return the places where the text of a forgotten entry remains, as one line."""
    return remains(forgotten.get("left") or ())


def remains(left: Iterable[Mapping[str, str]]) -> str | None:
    """Return the places where erased text remains, as one line; None if there are none."""
    places = [f"{one['place']}: {one['reason']}; {one['remedy']}" for one in left]
    return f"the text is erased, but may be left in {' · '.join(places)}" if places else None


PROBLEMS: Mapping[str, Callable[[Any], str | None]] = {"forgetMemory": _left}
"""By the operation: what of an answer is an error, so that the command fails after it has printed the answer."""

LIMITS: Mapping[str, int] = {"getScheduleLogs": 20}
"""By the operation: how many records are requested without ``--limit``."""
