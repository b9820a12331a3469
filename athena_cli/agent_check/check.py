"""The check of agents: which rows are tried when, and what came of it."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from athena_cli.agent_check import interview_rows  # noqa: F401 - its rows
from athena_cli.agent_check.interview import Interview
from athena_cli.agent_check.rows import ROWS, CheckRow, Differs, NotTried, Result, RowResult, Stage
from athena_cli.agent_check.subject import Subject

AT_ONCE = 4
"""Runs of one subject at once, if nothing else is said: agents take up to 700 MiB each."""
STAGES: tuple[Stage, ...] = ("interview", "runs", "kill")


class SubjectReport(NamedTuple):
    """The findings about a subject."""

    subject: Subject
    interview: Interview
    results: Mapping[str, RowResult]


async def check_subject(subject: Subject, only: Collection[str] = (), at_once: int = AT_ONCE) -> SubjectReport:
    """Try all rows, or some of them with what they need."""
    wanted = needed(only) if only else ROWS.keys()
    results: dict[str, RowResult] = {}
    gate = asyncio.Semaphore(at_once)
    for stage in STAGES:
        rows = [row for row in ROWS.values() if row.stage == stage and row.key in wanted]
        if stage == "interview":
            for row in rows:  # the interview is held once; the rest is reading
                results[row.key] = await try_row(row, subject, results)
            continue
        done = await asyncio.gather(*(_behind(gate, row, subject, results) for row in rows))
        results |= {result.row.key: result for result in done}
    order = [key for key in ROWS if key in results]
    return SubjectReport(subject, await subject.interview(), {key: results[key] for key in order})


def needed(keys: Collection[str]) -> set[str]:
    """Return the keys of rows with those that they need."""
    found, open_ = set[str](), list(keys)
    while open_:
        key = open_.pop()
        if key not in found:
            found.add(key)
            open_ += ROWS[key].needs
    return found


async def _behind(
    gate: asyncio.Semaphore, row: CheckRow, subject: Subject, results: Mapping[str, RowResult]
) -> RowResult:
    async with gate:
        return await try_row(row, subject, results)


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
        async with asyncio.timeout(subject.pace.row):
            return result("ok", await row.look(subject))
    except NotTried as why:
        return result("not tried", str(why))
    except Differs as seen:
        return result("differs", str(seen))
    except TimeoutError:
        return result("failed", f"It took more than {subject.pace.row:.0f} s.")
    except Exception as error:  # noqa: BLE001 - a row that fails says so, and the others go on
        return result("failed", f"{type(error).__name__}: {error}"[:300])
