"""The read model of asks: open and decided ones, what erasure removes, and the cost of a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from athena_core.definitions.workflow_graph import Approval
from athena_core.domain import workflow_run as wr
from athena_core.domain.workflow import WorkflowCreated
from athena_core.protocols import Cell, Connection
from projections.ask_rows import ASKS, AskStatus
from projections.asks import Ask, AskSubject, list_asks, open_asks
from tests.projections.history import History
from tests.projections.support import shown
from tests.support.workflow_graphs import approval, definition, step

SUBJECT = AskSubject(Approval(message="ship it?"), "pears", truncated=False, redacted=False)


class Asking(History):
    """A history of one workflow with an approval, and of runs of it."""

    def __init__(self) -> None:
        super().__init__()
        graph = definition([step("a"), approval("b")], "a>b")
        created = WorkflowCreated(
            workflow_id="wf_1", step_count=2, dependency_count=1, created_by="ada", definition=graph
        )
        self.write("wf_1", created)

    def begin(self, run_id: str, **given: str) -> None:
        created = wr.WorkflowRunCreated(
            workflow_id="wf_1", requested_by="ada", input_names=tuple(given), input=given or None
        )
        self.write(run_id, created)

    def ask(self, run_id: str) -> None:
        asked = wr.WorkflowApprovalRequested(
            workflow_id="wf_1", step_id="b", attempt=1, subject_sha256="ab", subject="pears"
        )
        self.write(run_id, asked)

    def grant(self, run_id: str, *, note: str | None = None) -> None:
        fields = {"workflow_id": "wf_1", "step_id": "b", "subject_sha256": "ab"}
        self.write(run_id, wr.WorkflowApprovalGranted(**fields, cause="identity", by="bob", note=note))


def asks(connection: Connection, status: AskStatus = "open") -> list[Ask]:
    return list_asks(connection, lambda *_: SUBJECT, status=status, cursor=None, limit=10).items


def test_an_ask_is_open_until_its_decision(tmp_path: Path) -> None:
    history = Asking()
    for run_id in ("wfr_1", "wfr_2"):
        history.begin(run_id)
        history.ask(run_id)
    history.grant("wfr_1", note="fine")
    connection = shown(tmp_path, history)
    (found,) = asks(connection)
    assert (found.workflow_run_id, found.question, found.subject) == ("wfr_2", "ship it?", "pears")
    (decided,) = asks(connection, "approved")
    assert (decided.workflow_run_id, decided.decided_by, decided.note) == ("wfr_1", "bob", "fine")
    assert open_asks(connection) == {"workflow-approval": 1}
    assert found.id != decided.id
    assert len(found.id) == len("ask_") + 26


def test_input_values_of_the_run_are_shown_and_later_ones_replace_earlier_ones(tmp_path: Path) -> None:
    history = Asking()
    history.begin("wfr_1", to="ada", word="pears")
    resumed = wr.WorkflowResumed(
        workflow_id="wf_1",
        workflow_run_id="wfr_1",
        status="running",
        requested_by="bob",
        reset=(),
        input_names=("to",),
        input={"to": "bob"},
    )
    history.write("wfr_1", resumed)
    history.ask("wfr_1")
    assert asks(shown(tmp_path, history))[0].input == {"to": "bob", "word": "pears"}


def test_input_values_that_are_too_long_are_left_out(tmp_path: Path) -> None:
    history = Asking()
    history.begin("wfr_1", word="p" * 100_001)
    history.ask("wfr_1")
    (found,) = asks(shown(tmp_path, history))
    assert (found.input, found.truncated) == (None, True)


def test_erasure_removes_notes_and_input_values(tmp_path: Path) -> None:
    history = Asking()
    history.begin("wfr_1", word="secret-pears")
    given = history.head()
    history.ask("wfr_1")
    history.grant("wfr_1", note="secret-note")
    whole = list(history.written)
    history.redact(given)
    history.redact(history.head() - 1)
    connection = shown(tmp_path, history)
    (found,) = asks(connection, "approved")
    assert (found.note, found.input, found.redacted) == (None, None, True)
    stored = {table.name: list(connection.execute(table.all)) for table in ASKS.tables}
    assert "secret" not in str(stored)
    history.written[: len(whole)] = whole  # as a server saw them that ran before the erasure
    (tmp_path / "live").mkdir()
    live = shown(tmp_path / "live", history)
    assert {table.name: list(live.execute(table.all)) for table in ASKS.tables} == stored


@pytest.mark.parametrize(
    "end", [wr.WorkflowRunCancelled(workflow_id="wf_1"), wr.WorkflowRunCompleted(workflow_id="wf_1")]
)
def test_the_end_of_a_run_closes_an_ask_that_an_older_release_left_open(
    tmp_path: Path, end: wr.WorkflowRunCancelled
) -> None:
    history = Asking()
    history.begin("wfr_1")
    history.ask("wfr_1")
    history.write("wfr_1", end)
    connection = shown(tmp_path, history)
    assert asks(connection) == []
    assert open_asks(connection) == {"workflow-approval": 0}
    assert [ask.status for ask in asks(connection, "cancelled")] == ["cancelled"]


def test_a_page_of_open_asks_reads_an_index(tmp_path: Path, engine: str) -> None:
    """So its cost grows neither with events nor with decided asks."""
    statements: list[str] = []
    connection = shown(tmp_path, Asking())
    stream = connection.stream

    def heard(statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        statements.append(statement)
        return stream(statement, values)

    connection.stream = heard  # type: ignore[method-assign]
    asks(connection)
    (statement,) = statements
    if engine == "sqlite":
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("open", 10, 0))]
    else:
        list(connection.execute("SET enable_seqscan = off"))
        plan = [row[0] for row in connection.execute(f"EXPLAIN {statement}", ("open", 10, 0))]
    assert "ask_by_status_position" in str(plan)
    assert "SORT" not in str(plan).upper()
    assert "TEMP" not in str(plan).upper()
