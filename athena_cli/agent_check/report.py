"""The report of a check: for people as a table for each place of the agent, for programs as one object."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from athena_cli.agent_check.check import SubjectReport
from athena_cli.output.column import Column
from athena_cli.output.values import size

if TYPE_CHECKING:
    from rich.text import Text

SEEN_CELLS_MIN = 20


def is_ok(reports: Iterable[SubjectReport]) -> bool:
    """Return True if no required row is red."""
    return not any(
        result.red and result.row.demand == "required" for report in reports for result in report.results.values()
    )


def document(name: str, reports: Sequence[SubjectReport], lacks: str | None) -> dict[str, Any]:
    """Return the report for programs. ``lacks`` says why no sandbox was tried."""
    first = next((report for report in reports if report.interview.name), reports[0])
    modes = {_place(report): report.interview.mode for report in reports}
    return {
        "ok": is_ok(reports),
        "agent": {
            "registered": name,
            "name": first.interview.name,
            "version": first.interview.version,
            "protocolVersion": first.interview.protocol_version,
        },
        "modes": {place: modes.get(place) for place in ("unboxed", "boxed")},
        "startSeconds": _rounded(first.interview.start_seconds),
        "memoryBytes": first.interview.memory_bytes,
        "sandboxLacks": lacks,
        "places": [
            {
                "boxed": report.subject.boxed,
                "mode": report.interview.mode,
                "startSeconds": _rounded(report.interview.start_seconds),
                "memoryBytes": report.interview.memory_bytes,
            }
            for report in reports
        ],
        "rows": [
            {
                "key": result.row.key,
                "title": result.row.title,
                "required": result.row.demand == "required",
                "boxed": report.subject.boxed,
                "result": result.result,
                "detail": result.seen,
                "remedy": result.row.remedy if result.red else None,
                "seconds": round(result.seconds, 3),
            }
            for report in reports
            for result in report.results.values()
        ],
    }


def lines(found: dict[str, Any], width: int) -> "Iterator[Text | str]":
    """Yield the lines of a report for people."""
    from rich.text import Text

    from athena_cli.output.tables import table_lines

    agent = found["agent"]
    version = f"{agent['name']} {agent['version']}".strip() or "unknown version"
    protocol = agent["protocolVersion"]
    yield Text(f"{agent['registered']}: {version}, protocol {protocol or 'not agreed'}", style="bold")
    for place in found["places"]:
        rows = [row for row in found["rows"] if row["boxed"] == place["boxed"]]
        yield ""
        yield Text(_head(place), style="bold")
        yield from table_lines(COLUMNS, rows, width)
        red = [row for row in rows if row["remedy"]]
        for row in red:
            yield Text(f"{row['key']}: {row['detail']} {row['remedy']}", style="red" if row["required"] else "yellow")
    if found["sandboxLacks"]:
        yield ""
        yield f"Not tried in a sandbox: {found['sandboxLacks']}"
    yield ""
    yield Text(_verdict(found), style="green" if found["ok"] else "red")


def _head(place: dict[str, Any]) -> str:
    words = ["In a sandbox" if place["boxed"] else "Without a sandbox", f"mode {place['mode'] or 'unknown'}"]
    if place["startSeconds"] is not None:
        words.append(f"first session after {place['startSeconds']} s")
    if place["memoryBytes"] is not None:
        words.append(f"{size(place['memoryBytes'])} of memory")
    return ", ".join(words)


def _verdict(found: dict[str, Any]) -> str:
    red = [row for row in found["rows"] if row["result"] in {"differs", "failed"}]
    required = len({row["key"] for row in red if row["required"]})
    habits = len({row["key"] for row in red if not row["required"]})
    if required:
        rows = "1 required row is" if required == 1 else f"{required} required rows are"
        return f"{rows} not ok. Athena should not run this agent."
    count = "1 habit differs" if habits == 1 else f"{habits} habits differ"
    return f"All required rows are ok. {count}." if habits else "All rows are ok."


def _place(report: SubjectReport) -> str:
    return "boxed" if report.subject.boxed else "unboxed"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


COLUMNS = (
    Column("row", lambda row: row["key"]),
    Column("what", lambda row: row["title"], rank=1, least=16),
    Column("result", lambda row: row["result"]),
    Column("seen", lambda row: row["detail"], least=SEEN_CELLS_MIN),
    Column("s", lambda row: f"{row['seconds']:.1f}", right=True),
)
