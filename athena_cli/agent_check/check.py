"""The check of agents: which rows are tried when, and what came of it."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from athena_cli.agent_check import interview_rows, run_rows, tool_rows  # noqa: F401 - their rows
from athena_cli.agent_check.interview import Interview
from athena_cli.agent_check.private_plane import KillPoint
from athena_cli.agent_check.rows import ROWS, CheckRow, Differs, NotTried, Result, RowResult, Stage
from athena_cli.agent_check.subject import Subject

AT_ONCE = 4
"""Runs at once, if nothing else is said: agents take up to 700 MiB each."""
STARTS = 6
"""Starts of an agent for which a row of runs gets more time."""
STAGES: tuple[Stage, ...] = ("interview", "first", "runs", "kill", "last")


CHECKED_ROWS = tuple(ROWS.values())
"""All rows."""


class SubjectReport(NamedTuple):
    """The findings about a subject."""

    subject: Subject
    interview: Interview
    results: Mapping[str, RowResult]


async def check_subjects(
    subjects: Sequence[Subject],
    only: Collection[str] = (),
    at_once: int = AT_ONCE,
    tell: Callable[[str], None] | None = None,
) -> list[SubjectReport]:
    """Try all rows with agents of one plane, or some rows with what they need. ``tell`` gets the name of each stage."""
    wanted = needed(only) if only else ROWS.keys()
    results: list[dict[str, RowResult]] = [{} for _ in subjects]
    gate = asyncio.Semaphore(at_once)
    for stage in STAGES:
        rows = [row for row in ROWS.values() if row.stage == stage and row.key in wanted]
        if not rows:
            continue
        if tell is not None:
            tell(stage)
        if stage == "kill":
            plane = subjects[0].plane
            point = KillPoint([(subject, row.key) for subject in subjects for row in rows], plane.kill_and_start)
            for subject in subjects:
                subject.kill_point = point
        gates = asyncio.Semaphore(len(subjects) * len(rows)) if stage == "kill" else gate
        pairs = zip(subjects, results, strict=True)
        await asyncio.gather(*(_try_rows(gates, rows, subject, found) for subject, found in pairs))
    return [
        SubjectReport(subject, await subject.interview(), {key: found[key] for key in ROWS if key in found})
        for subject, found in zip(subjects, results, strict=True)
    ]


async def _try_rows(
    gate: asyncio.Semaphore, rows: Sequence[CheckRow], subject: Subject, found: dict[str, RowResult]
) -> None:
    """Try the rows of a stage: the interview in turn, because it is held once, others at once."""

    async def attempt(row: CheckRow) -> None:
        async with gate:
            found[row.key] = await try_row(row, subject, found)
        if subject.kill_point is not None:
            subject.kill_point.leave((subject, row.key))

    if rows[0].stage == "interview":
        async with gate:
            for row in rows:
                found[row.key] = await try_row(row, subject, found)
    else:
        await asyncio.gather(*map(attempt, rows))


def needed(keys: Collection[str]) -> set[str]:
    """Return the keys of rows with those that they need."""
    found, open_ = set[str](), list(keys)
    while open_:
        key = open_.pop()
        if key not in found:
            found.add(key)
            open_ += ROWS[key].needs
    return found


async def _deadline(row: CheckRow, subject: Subject) -> float:
    """Return the seconds that a row may take: more for an agent that starts slowly, or on a busy machine."""
    if row.stage == "interview":
        return subject.pace.interview
    return subject.pace.row + STARTS * ((await subject.interview()).start_seconds or 0.0)


async def try_row(row: CheckRow, subject: Subject, results: Mapping[str, RowResult]) -> RowResult:
    """Try a row within its deadline."""
    began = time.monotonic()

    def result(word: Result, seen: str) -> RowResult:
        return RowResult(row, word, " ".join(seen.split()), time.monotonic() - began)

    if row.boxed is not None and row.boxed != subject.boxed:
        return result("not tried", "Only in a sandbox." if row.boxed else "Only without a sandbox.")
    for key in row.needs:
        if results[key].result != "ok":
            return result("not tried", f"It needs the row {key!r}.")
    try:
        async with asyncio.timeout(await _deadline(row, subject)):
            return result("ok", await row.look(subject))
    except NotTried as why:
        return result("not tried", str(why))
    except Differs as seen:
        return result("differs", str(seen))
    except TimeoutError:
        return result("failed", "It took too long.")
    except Exception as error:  # noqa: BLE001 - a row that fails says so, and the others go on
        return result("failed", f"{type(error).__name__}: {error}"[:300])
