"""The read model of asks: open and decided ones, what erasure removes, and the cost of a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.definitions.profile import McpPolicy
from athena_core.definitions.workflow_graph import Approval
from athena_core.domain import workflow_run as wr
from athena_core.domain.workflow import WorkflowCreated
from athena_core.enums import AnswerCause
from athena_core.outside_text import HiddenSpan
from athena_core.protocols import Cell, Connection
from athena_core.values import Identity, Role, Scope
from projections.ask_rows import ASKS, AskKind, AskStatus
from projections.asks import (
    OLDEST,
    Ask,
    AskSubject,
    ask_by_id,
    list_asks,
    oldest_open_ask,
    open_asks,
    open_places,
    place_of,
)
from tests.projections.ask_history import CALL
from tests.projections.history import History
from tests.projections.support import shown
from tests.support.events.agent import AGENT_SPEC
from tests.support.events.run import SPEC
from tests.support.workflow_graphs import approval, definition, step

SUBJECT = AskSubject(Approval(message="ship it?"), "pears", truncated=False, redacted=False)


class Asking(History):
    """A history of one workflow with an approval, and of runs of it."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        graph = definition([step("a"), approval("b", **fields)], "a>b")
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


# Asks of runs

ADA, VERA = Identity(subject="ada", role=Role.OPERATOR), Identity(subject="vera", role=Role.VIEWER)
ROOT = Identity(subject="root", role=Role.ADMIN)


def asking(**fields: Any) -> tuple[History, str, str]:
    """Return a history with a run of vera that asks, the run and the ask."""
    history = History()
    run_id = history.request("s1", actor="vera", asking=True)
    history.start(run_id)
    return history, run_id, history.asks.ask(run_id, **fields)


def one(connection: Connection, ask_id: str, scope: Scope | None = None) -> Ask | None:
    return ask_by_id(connection, lambda *_: SUBJECT, ask_id, scope)


def test_an_ask_of_a_run_shows_the_call_and_the_answer(tmp_path: Path) -> None:
    history, run_id, ask_id = asking(approvers=("ada",), not_requester=True)
    before = shown(tmp_path, history)
    (found,) = asks(before)
    assert (found.id, found.run_id, found.session_id) == (ask_id, run_id, "s1")
    assert (found.kind, found.question, found.arguments) == ("tool-permission", "May the agent call shell?", CALL)
    assert [(option.id, option.name) for option in found.options] == [("allow", "Allow"), ("deny", "Deny")]
    assert (found.requested_by, found.approvers, found.not_requester) == ("vera", ("ada",), True)
    assert (found.agent_name, found.harness_profile_id) == ("Échange", "shadow-harness-0123456789ab")
    assert (found.editable, found.parked, found.subject, found.workflow_id) == (True, False, None, None)
    assert found == one(before, ask_id)
    edited = '{"command":["git","push","--dry-run"]}'
    history.asks.answer(run_id, ask_id, arguments=edited, edited_sha256="cd" * 32, note="not for real yet")
    (tmp_path / "after").mkdir()
    after = shown(tmp_path / "after", history)
    assert asks(after) == []
    (decided,) = asks(after, "approved")
    assert (decided.option_id, decided.decided_by, decided.note) == ("allow", "ada", "not for real yet")
    assert (decided.edited_arguments, decided.arguments) == (edited, CALL)


def test_an_ask_shows_what_it_hides_and_marks_what_people_cannot_see(tmp_path: Path) -> None:
    hidden = (HiddenSpan(chars=40, sha256="ab" * 32),)
    form = '{"type":"object","properties":{"a":{"type":"string","title":"b\u200b"}}}'
    fields = {"title": "Allow\u202e?", "arguments": '{"a":"\u2066"}', "form": form, "exact": '{"a":"exact"}'}
    history, _, ask_id = asking(hidden=hidden, secrets=("OPENAI",), **fields)
    found = one(shown(tmp_path, history), ask_id)
    assert found is not None
    assert (found.hidden, found.secrets, found.exact) == (hidden, ("OPENAI",), None)
    assert (found.question, found.arguments) == ("Allow[U+202E]?", '{"a":"[U+2066]"}')
    assert found.form == {"type": "object", "properties": {"a": {"type": "string", "title": "b[U+200B]"}}}


@pytest.mark.parametrize(
    ("kind", "cause", "fields", "status"),
    [
        ("tool-permission", "person", {"option_id": "allow"}, "approved"),
        ("tool-permission", "person", {"option_id": "deny"}, "rejected"),
        ("tool-permission", "rule", {"option_id": "allow", "rule_id": "rule_1"}, "approved"),
        ("question", "person", {"option_id": "allow", "values": '{"branch":"main"}'}, "answered"),
        ("question", "person", {"option_id": "deny"}, "rejected"),
        ("choice", "expiry", {}, "expired"),
        ("choice", "run-ended", {}, "cancelled"),
    ],
)
def test_the_status_of_an_ask_follows_from_its_answer(
    tmp_path: Path, kind: AskKind, cause: AnswerCause, fields: dict[str, Any], status: AskStatus
) -> None:
    history, run_id, ask_id = asking(kind=kind)
    history.asks.answer(run_id, ask_id, cause, **fields)
    connection = shown(tmp_path, history)
    (decided,) = asks(connection, status)
    assert (decided.id, decided.rule_id) == (ask_id, fields.get("rule_id"))
    assert decided.values == ({"branch": "main"} if "values" in fields else None)
    assert open_asks(connection) == {kind: 0}


def test_an_ask_is_parked_while_its_run_is(tmp_path: Path) -> None:
    history, run_id, ask_id = asking()
    history.asks.park(run_id)
    connection = shown(tmp_path, history)
    found = one(connection, ask_id)
    assert found is not None
    assert found.parked
    history.asks.answer(run_id, ask_id)
    (tmp_path / "after").mkdir()
    decided = one(shown(tmp_path / "after", history), ask_id)
    assert decided is not None
    assert not decided.parked, "the run waits in line, not for this ask"


def test_erasure_removes_each_text_of_an_ask_and_of_its_answer(tmp_path: Path) -> None:
    words: dict[str, Any] = {
        "title": "secret-title",
        "arguments": "secret-arguments",
        "option_names": ("secret-name", "Deny"),
    }
    history, run_id, ask_id = asking(**words, form='{"title":"secret-form"}')
    asked = history.head()
    answer: dict[str, Any] = {"arguments": "secret-edit", "values": '{"v":"secret-value"}', "note": "secret-note"}
    answered = history.asks.answer(run_id, ask_id, **answer)
    whole = list(history.written)
    history.redact(asked)
    history.redact(answered)
    connection = shown(tmp_path, history)
    found = one(connection, ask_id)
    assert found is not None
    assert (found.question, found.arguments, found.form, found.values) == ("(erased)", None, None, None)
    assert (found.edited_arguments, found.note, found.redacted) == (None, None, True)
    assert [option.name for option in found.options] == [None, None]
    stored = {table.name: list(connection.execute(table.all)) for table in ASKS.tables}
    assert "secret" not in str(stored)
    history.written[: len(whole)] = whole  # as a server saw them that ran before the erasure
    (tmp_path / "live").mkdir()
    live = shown(tmp_path / "live", history)
    assert {table.name: list(live.execute(table.all)) for table in ASKS.tables} == stored


def test_a_list_cuts_texts_that_are_too_long_and_one_ask_has_them_whole(tmp_path: Path) -> None:
    long = "x" * 5_000
    history, _, ask_id = asking(arguments=long, form=f'{{"title":"{long}"}}')
    connection = shown(tmp_path, history)
    (cut,) = asks(connection)
    assert (cut.arguments, cut.form, cut.truncated) == (long[:4_096], None, True)
    whole = one(connection, ask_id)
    assert whole is not None
    assert (whole.arguments, whole.form, whole.truncated) == (long, {"title": long}, None)


def test_a_scope_covers_the_asks_of_its_sessions_and_runs_only(tmp_path: Path) -> None:
    history = Asking()
    history.begin("wfr_1")
    history.ask("wfr_1")
    run_id = history.request("s1")
    ask_id = history.asks.ask(run_id)
    connection = shown(tmp_path, history)

    def seen(scope: Scope) -> tuple[list[str], bool]:
        page = list_asks(connection, lambda *_: SUBJECT, scope=scope, cursor=None, limit=10)
        places = open_places(connection, scope=scope, limit=10)
        assert [place.ask_id for place in places] == [ask.id for ask in page.items]
        place = place_of(connection, ask_id, scope)
        assert place in [*places, None]
        return [ask.id for ask in page.items], None not in (one(connection, ask_id, scope), place)

    assert seen(Scope(sessions=frozenset(("s1",)))) == ([ask_id], True)
    assert seen(Scope(runs=frozenset((run_id,)))) == ([ask_id], True)
    assert seen(Scope(sessions=frozenset(("s2",)))) == ([], False)
    assert seen(Scope(sessions=frozenset(("s1",)), runs=frozenset(("run_x",)))) == ([], False)


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({}, "ada root"),
        ({"kind": "question"}, "ada root vera"),
        ({"kind": "choice", "role": "Admin"}, "root vera"),
        ({"role": "Admin"}, "root"),
        ({"approvers": ("ada",)}, "ada"),
        ({"approvers": ("Ada", "a")}, ""),
        ({"kind": "question", "approvers": ("vera", "root")}, "root vera"),
        ({"kind": "question", "not_requester": True}, "ada root"),
    ],
)
def test_only_asks_that_an_identity_may_answer_are_answerable(tmp_path: Path, fields: dict[str, Any], who: str) -> None:
    """The run was started by vera, a Viewer."""
    connection = shown(tmp_path, asking(**fields)[0])
    seen = [
        identity.subject
        for identity in (ADA, ROOT, VERA, Identity(subject="vincent", role=Role.VIEWER))
        if list_asks(connection, lambda *_: SUBJECT, answerable_by=identity, cursor=None, limit=10).items
    ]
    assert seen == who.split()


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({}, "ada root"),
        ({"kind": "question"}, "ada root vera"),
        ({"kind": "question", "not_requester": True}, "root"),
        ({"not_requester": True}, "root"),
    ],
)
def test_all_who_requested_a_run_count(tmp_path: Path, fields: dict[str, Any], who: str) -> None:
    history = History()
    run_id = history.request("s1", actor="system:scheduler", asking=True, requesters=("ada", "vera"))
    history.start(run_id)
    ask_id = history.asks.ask(run_id, **fields)
    connection = shown(tmp_path, history)

    def seen(connection: Connection) -> str:
        people = (ADA, ROOT, VERA, Identity(subject="system:scheduler", role=Role.VIEWER))
        given = [
            (one, list_asks(connection, lambda *_: SUBJECT, answerable_by=one, cursor=None, limit=9)) for one in people
        ]
        return " ".join(one.subject for one, page in given if page.items)

    assert seen(connection) == who
    found = one(connection, ask_id)
    assert found is not None
    assert found.requested_by == "ada"
    history.asks.answer(run_id, ask_id)
    (tmp_path / "after").mkdir()
    connection = shown(tmp_path / "after", history)
    assert list(connection.execute("SELECT * FROM ask_requester")) == [], "rows of open asks only"


@pytest.mark.parametrize(
    "profile",
    [
        AGENT_SPEC,
        replace(SPEC, mcp={"s": McpPolicy(tools=("*",))}),
        replace(SPEC, config=replace(SPEC.config, tools=("ask_user",))),
    ],
    ids=["agent", "mcp", "ask_user"],
)
def test_an_ask_names_who_requested_its_run_whatever_its_profile_lets_it_ask(tmp_path: Path, profile: Any) -> None:
    history = History()
    run_id = history.request("s1", actor="vera", requesters=("vera",), profile=profile)
    history.start(run_id)
    ask_id = history.asks.ask(run_id, not_requester=True)
    found = one(shown(tmp_path, history), ask_id)
    assert found is not None
    assert found.requested_by == "vera"


def test_a_workflow_approval_is_not_answerable_by_who_started_it_if_that_is_excluded(tmp_path: Path) -> None:
    history = Asking(notRequester=True)
    history.begin("wfr_1")
    history.ask("wfr_1")
    connection = shown(tmp_path, history)
    for identity, count in ((ADA, 0), (VERA, 0), (ROOT, 1)):
        page = list_asks(connection, lambda *_: SUBJECT, answerable_by=identity, cursor=None, limit=10)
        assert len(page.items) == count, identity.subject


def test_the_oldest_open_ask_has_a_time(tmp_path: Path) -> None:
    history, run_id, first = asking()
    asked_at = history.now
    history.now += 1_000
    history.asks.ask(run_id)
    assert oldest_open_ask(shown(tmp_path, history)) == asked_at
    history.asks.answer(run_id, first)
    (tmp_path / "after").mkdir()
    assert oldest_open_ask(shown(tmp_path / "after", history)) == asked_at + 1_000


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"kind": "tool-permission"},
        {"session_id": "s1"},
        {"run_id": "run_1"},
        {"harness_profile_id": "hp_1"},
        {"answerable_by": ADA},
        {"answerable_by": VERA},
        {"answerable_by": ROOT, "kind": "question", "cursor": OLDEST.encode((1,))},
    ],
)
def test_a_page_of_open_asks_reads_an_index(tmp_path: Path, engine: str, filters: dict[str, Any]) -> None:
    """So its cost grows neither with events nor with other asks."""
    asked: list[tuple[str, Sequence[Cell]]] = []
    connection = shown(tmp_path, Asking())
    stream = connection.stream

    def heard(statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        asked.append((statement, values))
        return stream(statement, values)

    connection.stream = heard  # type: ignore[method-assign]
    list_asks(connection, lambda *_: SUBJECT, **{"status": "open", "cursor": None, "limit": 10, **filters})
    ((statement, values),) = asked
    if engine == "sqlite":
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    else:
        list(connection.execute("SET enable_seqscan = off"))
        plan = [row[0] for row in connection.execute(f"EXPLAIN {statement}", values)]
    assert "ask_by_status" in str(plan)
    assert "SORT" not in str(plan).upper()
    assert "TEMP" not in str(plan).upper()
    assert "SCAN ask" not in str(plan)
