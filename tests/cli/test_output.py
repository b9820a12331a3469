"""Output on a terminal: what a table shows at a width, and values as people read them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from athena_api.operations import OPERATIONS
from athena_cli.exit_codes import Misused
from athena_cli.output.columns import TABLES
from athena_cli.output.options import since_time
from athena_cli.output.tables import STREAMED, columns_of, fitted, streamed_line, table_lines
from athena_cli.output.values import age, distance, short, size
from athena_cli.output.views.record_views import SAME, VIEWS
from athena_core import text
from athena_core.text import duration, money

SESSION = "a-session-with-quite-a-long-name"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = {
    "runId": "run_01M8F3KK2RT3FPMJR5DK4MWCWX",
    "sessionId": SESSION,
    "status": "completed",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputPreview": "Report how pears sold this week, and compare that with the week before.",
    "outputPreview": "値段を教えて 🍐 they rose by 12 % against last week, according to 40 receipts.",
    "usage": {"totalTokens": 4400},
    "costMicroUsd": 840,
    "createdAt": "2026-01-01T11:57:00.000Z",
    "finishedAt": "2026-01-01T11:57:00.955Z",
}


def lists() -> set[str]:
    """The operations that answer a list."""
    unlisted = {"getSessionWorkQueue"}  # its command prints numbers
    named = {"listWorkers", "searchMemory", "previewSchedule"}  # lists without pages
    return {row.id for row in OPERATIONS if row.paging is not None} - unlisted | named


def test_every_list_of_the_api_has_its_columns() -> None:
    missing = sorted(lists() - TABLES.keys())
    assert not missing, f"choose the columns of {missing} in athena_cli/output/columns.py"


def test_every_table_and_view_belongs_to_an_operation() -> None:
    known = {row.id for row in OPERATIONS}
    others = {name for names in SAME.values() for name in names}
    assert not (TABLES.keys() | VIEWS.keys() | STREAMED.keys() | others) - known - {"bisect"}
    assert SAME.keys() <= VIEWS.keys()


def test_a_view_is_shared_by_operations_with_the_same_answer() -> None:
    answers = {row.id: row.answer for row in OPERATIONS}
    for name, names in SAME.items():
        for other in names:
            assert answers[other] in {answers[name], answers[name] | None}, other


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_can_show_a_record_of_which_nothing_is_known(name: str) -> None:
    for column in TABLES[name].columns:
        assert isinstance(column.read({"id": "x"}), str)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_columns_have_names_of_their_own_and_one_that_always_stays(name: str) -> None:
    columns = TABLES[name].columns
    assert len({column.name for column in columns}) == len(columns)
    assert any(column.rank == 0 for column in columns)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_a_table_is_never_wider_than_the_terminal(width: int) -> None:
    for line in table_lines(columns_of("listRuns", [RUN]), [RUN], width):
        assert cell_len(line.plain) <= width


def test_what_matters_stays_and_is_cut() -> None:
    (head, line) = [line.plain for line in table_lines(columns_of("listRuns", [RUN]), [RUN], 80)]
    for name in ("RUN", "STATUS", "INPUT", "ANSWER"):
        assert name in head
    assert "SESSION" not in head
    assert line.startswith("DK4MWCWX  completed  Report how ")
    assert line.count("…") == 2


def test_no_text_is_cut_where_there_is_room() -> None:
    (_, line) = [line.plain for line in table_lines(columns_of("listRuns", [RUN]), [RUN], 10_000)]
    assert "…" not in line
    assert SESSION in line


def test_columns_are_chosen_by_name_or_by_member() -> None:
    found = columns_of("listRuns", [RUN], "Status, usage.totalTokens,costMicroUsd")
    assert [column.name for column in found] == ["status", "usage.totalTokens", "costMicroUsd"]
    assert [column.read(RUN) for column in found] == ["completed", "4,400", "$0.00084"]
    assert [column.read(RUN) for column in columns_of("listRuns", [RUN], "error.code")] == [""]
    with pytest.raises(Misused, match="no column 'colour'; there are run, status"):
        columns_of("listRuns", [RUN], "colour")


def test_a_line_of_a_stream_leaves_the_session_out_where_it_has_no_room() -> None:
    event = {
        "type": "run.failed",
        "createdAt": "2026-01-01T11:57:00.000Z",
        "sessionId": "billing",
        "runId": RUN["runId"],
        "payload": {"code": "PROVIDER_ERROR", "message": "exit status 3"},
    }
    wide, narrow = (streamed_line("streamEvents", event, width).plain for width in (120, 60))
    assert wide.endswith("run.failed                billing           DK4MWCWX  PROVIDER_ERROR · exit status 3")
    assert "billing" not in narrow
    assert "DK4MWCWX" in narrow


CASES = Path(__file__).parents[2] / "athena_api" / "dashboard" / "src" / "format.cases.json"
FORMATS: dict[str, Callable[[float], str]] = {"money": money, "duration": duration, "distance": text.distance}


@pytest.mark.parametrize("name", FORMATS)
def test_money_and_times_read_as_in_the_console(name: str) -> None:
    cases = json.loads(CASES.read_text())[name]
    assert [[value, FORMATS[name](value)] for value, _ in cases] == cases


def test_what_has_passed_is_never_ahead() -> None:
    assert age((NOW + timedelta(seconds=2)).isoformat(), NOW) == "0 s ago"
    assert age((NOW - timedelta(seconds=199)).isoformat(), NOW) == "3 min ago"
    assert distance((NOW + timedelta(hours=6)).isoformat(), NOW) == "in 6 h"
    assert distance((NOW - timedelta(days=2)).isoformat(), NOW) == "2 days ago"
    assert distance((NOW + timedelta(hours=23, minutes=59, seconds=59)).isoformat(), NOW) == "in 23 h"


def test_ids_are_short_where_they_are_generated() -> None:
    assert short("run_01M8F3KK2RT3FPMJR5DK4MWCWX") == "DK4MWCWX"
    assert short("nightly") == "nightly"
    assert size(1_500_000) == "1.5 MB"


def test_wide_characters_have_the_width_of_their_cells() -> None:
    assert cell_len(fitted("値段を教えて 🍐", 8)) == 8
    assert fitted("ab", 4, right=True) == "  ab"
    assert fitted("abc", 0) == ""


@pytest.mark.parametrize("text", ["1h", "30m", "2 d", "90s", "1w", "2026-01-31", "2026-01-31T12:00:00+01:00"])
def test_since_takes_spans_and_times(text: str) -> None:
    assert since_time(text).endswith("Z")


@pytest.mark.parametrize(
    "text", ["", "1", "h", "-1h", "yesterday", "1y", "99999999999h", "999999999w", "２h", "1h\x1b[31m"]
)
def test_since_takes_nothing_else(text: str) -> None:
    with pytest.raises(Misused, match="--since"):
        since_time(text)


def test_names_that_differ_at_the_end_differ_at_80_columns() -> None:
    names = ["meta-llama/llama-4-maverick-17b-128e-instruct", "meta-llama/llama-4-maverick-17b-128e-original"]
    totals = {member: 1_000_000 for member in ("started", "completed", "failed", "timedOut", "crashed", "cancelled")}
    totals |= {member: 1_000_000 for member in ("rejected", "inputTokens", "outputTokens", "p50Ms", "p95Ms")}
    rows = [
        {"name": name, "total": {**totals, "costMicroUsd": cost}}
        for name, cost in zip(names, (12, 2_000_000), strict=True)
    ]
    (listed,) = VIEWS["getFleetSeries"].lists
    first, *lines = [line.plain for line in table_lines(listed.columns or (), rows, 78)]
    assert max(map(cell_len, lines)) <= 78
    assert [line.partition(" ")[0][-4:] for line in lines] == ["ruct", "inal"]
    assert len({line.index(".", line.index("$")) for line in lines}) == 1, lines
    assert "COST" in first
