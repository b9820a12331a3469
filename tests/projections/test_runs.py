"""The runs as clients see them."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.domain.run import (
    PolicyRejected,
    RejectedRunDetails,
    RunCreated,
    RunPaused,
    RunQueued,
    RunRejection,
    RunResumed,
    UsageRecorded,
)
from athena_core.domain.template import RunTemplateRun
from athena_core.values import RunFilter, Scope, Usage
from projections import runs
from projections.run_answer import RunWait, TemplateVersion, answer_of
from projections.run_answer import shown as shown_run
from projections.run_rows import admitted_row
from projections.runs import active_runs, cancel_requests
from tests.projections.answers import decode_run, list_runs, run_by_id
from tests.projections.history import BEGINNING, CODEC, HISTORIES, History, folder
from tests.projections.support import catch_up, new_generation, shown


def test_a_run_from_request_to_answer(tmp_path: Path) -> None:
    history = History()
    history.now = BEGINNING + 5
    run_id = history.request("s")
    history.now += 1
    history.start(run_id)
    history.now += 1
    history.answer(run_id, "first")
    history.pay(run_id, 7)
    history.answer(run_id, "second")
    history.pay(run_id, None)
    history.pay(run_id, 4)
    history.end(run_id)
    run = run_by_id(shown(tmp_path, history), run_id)
    assert msgspec.to_builtins(run) == {
        "runId": run_id,
        "sessionId": "s",
        "status": "completed",
        "createdAt": "2026-01-01T00:00:00.005Z",
        "startedAt": "2026-01-01T00:00:00.006Z",
        "finishedAt": "2026-01-01T00:00:00.007Z",
        "directiveId": "dir_00000000000000000000000001",
        "harnessProfileId": "shadow-harness-0123456789ab",
        "provider": "mock",
        "model": "mock-model",
        "attempt": 1,
        "inputPreview": "hello",
        "durationMs": 1,
        "output": "second",
        "usage": {"inputTokens": 6, "outputTokens": 9, "totalTokens": 15},
        "costMicroUsd": 11,
        "evidenceCount": 0,
        "verificationStatus": "passed",
        "links": {
            "self": f"/api/v1/runs/{run_id}",
            "session": "/api/v1/sessions/s",
            "events": f"/api/v1/events?runId={run_id}",
            "cancel": f"/api/v1/run-control/by-run/{run_id}/cancel",
        },
    }


def test_output_is_partial_until_there_is_a_whole_answer_and_usage_stays_estimated(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id)
    history.answer(run_id, "half", partial=True)
    history.pay(run_id, estimated=True)
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    run = run_by_id(projector.connection, run_id)
    assert run is not None and run.usage is not None
    assert (run.output, run.partial, run.usage.estimated) == ("half", True, True)
    history.answer(run_id, "whole")
    history.pay(run_id)
    history.end(run_id)
    catch_up(projector)
    run = run_by_id(projector.connection, run_id)
    assert run is not None and run.usage is not None
    assert (run.output, run.partial, run.usage.estimated, run.usage.total_tokens) == ("whole", None, True, 10)


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("failed", "failed", ("PROVIDER_ERROR", "no", True)),
        ("cancelled", "cancelled", ("RUN_CANCELLED", "the run was cancelled: enough", False)),
        ("withdrawn", "cancelled", ("SESSION_LOCK_TIMEOUT", "another run held the session", False)),
        ("timed-out", "timed-out", ("RUN_TIMEOUT", "the run took longer than 1000 ms", False)),
        ("crashed", "crashed", ("RUN_CRASHED", "the executor of the run was lost", True)),
    ],
)
def test_a_run_without_an_answer_says_why(tmp_path: Path, how: str, status: str, error: tuple[str, str, bool]) -> None:
    history = History()
    run_id = history.request("s")
    if how == "cancelled":
        history.ask_to_cancel(run_id)
    history.end(run_id, how)
    run = run_by_id(shown(tmp_path, history), run_id)
    assert run is not None
    assert run.error is not None
    assert (run.status, (run.error.code, run.error.message, run.error.retryable)) == (status, error)
    assert (run.output, run.started_at, run.attempt) == (None, None, 0)


@pytest.mark.parametrize("template", [None, TemplateVersion(id="tpl_1", version=3)], ids=["by itself", "of a template"])
@pytest.mark.parametrize(
    "own", [{}, {"parent_run_id": "run_parent", "budget_micro_usd": 7, "profile_named": True}], ids=["plain", "full"]
)
def test_a_run_that_has_just_begun_is_shown_without_views_as_views_show_it(
    tmp_path: Path, own: dict[str, Any], template: TemplateVersion | None
) -> None:
    history = History()
    first = history.request("s")
    plain = CODEC.decode(next(row for row in history.written if row.stream == first)).event
    assert isinstance(plain, RunCreated)
    history.now += 1_234
    run_id, event = "run_full", replace(plain, **own)
    history.open[run_id] = "s"
    history.in_run(run_id, event)
    if template is not None:
        origin = RunTemplateRun(
            run_template_id=template.id,
            version=template.version,
            directive_id=event.directive_id,
            harness_profile_id="hp_1",
            provider=event.provider,
            model=event.model,
            param_names=(),
        )
        history.in_run(run_id, origin)
    history.start(run_id)
    row = admitted_row(run_id, event, history.now)
    if template is not None:
        row.template_id, row.template_version = template.id, template.version
    found = run_by_id(shown(tmp_path, history), run_id)
    assert found is not None
    assert found.agent_name == ("Échange" if own else None), "the default profile is no agent of a person"
    assert decode_run(shown_run(answer_of(row))) == replace(found, input_preview=None), "which a view alone knows"


def test_previews_are_one_line_of_at_most_160_characters(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id, "two\nlines\t\x1b[31m and\u202e more")
    history.answer(run_id, "\n# Pears\n\n" + "pear " * 200)
    (run,) = list_runs(shown(tmp_path, history), cursor=None, limit=10).items
    assert run.input_preview == "two lines [31m and more"
    assert run.output_preview == ("# Pears " + "pear " * 200)[:160]


def test_children_are_listed_and_counted_on_their_parent(tmp_path: Path) -> None:
    history = History()
    parent = history.request("s")
    children = []
    for session in ("a", "b"):
        plain = CODEC.decode(next(row for row in history.written if row.stream == parent)).event
        assert isinstance(plain, RunCreated)
        fields: dict[str, Any] = {name: getattr(plain, name) for name in RunCreated.__struct_fields__}
        fields |= {"session_id": session, "parent_run_id": parent}
        children.append(f"run_{session}")
        history.open[f"run_{session}"] = session
        history.in_run(
            f"run_{session}", RunCreated(**fields) if session == "a" else RunQueued(reason="concurrency", **fields)
        )
    history.in_run("run_b", RunCreated(**fields))  # its admission counts it no second time
    connection = shown(tmp_path, history)
    page = list_runs(connection, RunFilter(parent_run_id=parent), cursor=None, limit=10)
    assert [run.run_id for run in page.items] == children[::-1]
    found = run_by_id(connection, parent)
    assert found is not None
    assert found.child_count == 2
    narrowed = run_by_id(connection, parent, Scope(sessions=frozenset({"s"})))
    assert narrowed is not None
    assert narrowed.child_count is None, "children may be in other sessions"
    assert [run.child_count for run in list_runs(connection, scope=Scope(), cursor=None, limit=10).items] == [None] * 3


def test_waiting_runs_know_their_place(tmp_path: Path) -> None:
    history = History()
    holder = history.request("busy")
    first = history.request("busy", "session-busy")
    history.request("other", "concurrency")
    second = history.request("busy", "session-busy")
    fleet = history.request("third", "concurrency")
    alone = history.request("free", "session-busy")  # its session is free, so it waits for a slot
    executor = history.request("fourth", "executor")
    connection = shown(tmp_path, history)

    def waiting(run_id: str) -> dict[str, object]:
        run = run_by_id(connection, run_id)
        assert run is not None
        assert run.status == "queued"
        return dict(msgspec.to_builtins(run.waiting))

    assert waiting(first) == {"reason": "session-busy", "position": 1, "blockedBy": holder}
    assert waiting(second) == {"reason": "session-busy", "position": 2, "blockedBy": holder}
    assert waiting(fleet) == {"reason": "concurrency", "position": 4}
    assert waiting(alone) == {"reason": "concurrency", "position": 5}
    assert waiting(executor) == {"reason": "executor", "position": 6}


def test_running_runs_that_no_executor_has_taken_wait_for_one_in_the_order_of_their_admission(tmp_path: Path) -> None:
    history = History()
    resumed, first, taken, second = (history.request(session) for session in "abcd")

    def waiting() -> dict[str, RunWait | None]:
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            connection = shown(Path(directory), history)
            runs = list_runs(connection, cursor=None, limit=10).items
            assert [run_by_id(connection, run.run_id) for run in runs] == runs
            return {run.run_id: run.waiting for run in runs}

    history.start(resumed)
    history.in_run(resumed, RunPaused(reason="budget", elapsed_ms=1, spent_micro_usd=5, budget_micro_usd=5))
    history.start(taken)
    assert waiting()[resumed] is None
    history.in_run(resumed, RunResumed(requested_by="ex_1"))
    places = [RunWait(reason="executor", position=place) for place in (1, 2, 3)]
    assert waiting() == {first: places[0], second: places[1], resumed: places[2], taken: None}
    history.start(resumed)
    history.start(first)
    assert waiting() == {first: None, second: places[0], resumed: None, taken: None}


def test_a_run_that_asks_waits_for_answers_and_then_in_line(tmp_path: Path) -> None:
    history = History()
    other = history.request("s0", "concurrency")
    run_id = history.request("s1")
    history.start(run_id)
    first, second = (history.asks.ask(run_id) for _ in range(2))

    def seen() -> tuple[str, RunWait | None, str | None]:
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            connection = shown(Path(directory), history)
            runs = {run.run_id: run for run in list_runs(connection, cursor=None, limit=10).items}
            run = run_by_id(connection, run_id)
            assert run is not None
            assert runs[run_id] == run
            return run.status, run.waiting, None if run.paused is None else run.paused.reason

    assert seen() == ("running", RunWait(reason="ask", asks=(first, second), parked=False), None)
    history.asks.park(run_id)
    history.asks.answer(run_id, first)
    assert seen() == ("paused", RunWait(reason="ask", asks=(second,), parked=True), "ask")
    history.asks.answer(run_id, second, "expiry")
    assert seen() == ("paused", None, "ask")
    history.asks.requeue(run_id)
    assert seen() == ("paused", RunWait(reason="concurrency", position=2, parked=True), "ask")
    history.admit(other)
    assert seen() == ("paused", RunWait(reason="concurrency", position=1, parked=True), "ask")
    history.asks.resume(run_id)
    assert seen() == ("running", RunWait(reason="executor", position=2), None)
    history.start(run_id)
    assert seen() == ("running", None, None)


@pytest.mark.parametrize("requeued", [False, True])
def test_a_run_that_ends_while_it_asks_waits_for_nothing(tmp_path: Path, requeued: bool) -> None:
    history = History()
    run_id = history.request("s1")
    history.start(run_id)
    ask_id = history.asks.ask(run_id)
    history.asks.park(run_id)
    if requeued:
        history.asks.answer(run_id, ask_id)
        history.asks.requeue(run_id)
    history.end(run_id, "cancelled")
    waiting = history.request("s2", "concurrency")
    connection = shown(tmp_path, history)
    runs = {run.run_id: (run.status, run.waiting) for run in list_runs(connection, cursor=None, limit=10).items}
    assert runs == {run_id: ("cancelled", None), waiting: ("queued", RunWait(reason="concurrency", position=1))}


def test_a_run_that_waited_keeps_the_time_of_its_request(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s", "concurrency")
    history.now += 1_000
    history.admit(run_id)
    history.start(run_id)
    run = run_by_id(shown(tmp_path, history), run_id)
    assert run is not None
    assert (run.status, run.waiting) == ("running", None)
    assert (run.created_at, run.started_at) == (iso(BEGINNING), iso(BEGINNING + 1_000))


def test_a_refused_run_never_existed(tmp_path: Path) -> None:
    history = History()
    refusal = RunRejection(
        schema_version=1,
        timestamp=iso(BEGINNING),
        policy_type="CONCURRENCY",
        limit=1,
        rejected_run_details=RejectedRunDetails(session_id="s"),
        reason="max-concurrent-runs-exceeded",
        active_runs=1,
    )
    history.write("run_9", PolicyRejected(rejection=refusal), session_id="s", run_id="run_9")
    connection = shown(tmp_path, history)
    assert run_by_id(connection, "run_9") is None
    assert list_runs(connection, cursor=None, limit=10).items == []


def test_an_active_run_has_what_it_does_now(tmp_path: Path) -> None:
    history = History()
    steps: list[tuple[Any, ...]] = []

    def step(name: str) -> None:
        directory = tmp_path / name
        directory.mkdir()
        (run,) = active_runs(shown(directory, history), cursor=None, limit=10).items
        found = run.step
        steps.append((run.turn, found.kind, found.tool_name, found.tool_call_id, found.position, found.since))
        history.now += 1_000

    def at(seconds: int) -> str:
        return iso(BEGINNING + seconds * 1_000)

    run_id = history.request("s")
    step("admitted")
    history.start(run_id)
    step("started")
    first = history.call(run_id, "c1")
    second = history.call(run_id, "c2", tool_name="files")
    usage = UsageRecorded(provider="mock", model="m", usage=Usage(), turn=1, cost_micro_usd=1)
    history.in_run(run_id, usage)
    step("called")
    history.result(run_id, "c1")
    step("answered")
    history.result(run_id, "c2")
    step("both")
    asked = history.asks.ask(run_id)
    step("asked")
    history.asks.answer(run_id, asked)
    assert steps[:5] == [
        (1, "executor", None, None, None, at(0)),
        (1, "model", None, None, None, at(1)),
        (1, "tool", "shell", "c1", first, at(2)),
        (1, "tool", "files", "c2", second, at(3)),
        (2, "model", None, None, None, at(4)),
    ]
    assert steps[5][1] == "ask"


def test_active_runs_are_admitted_and_have_not_ended(tmp_path: Path) -> None:
    history = History()
    started, admitted = history.request("a"), history.request("b")
    history.request("c", "concurrency")
    history.whole_run("d")
    history.now += 1_000
    history.start(started)
    connection = shown(tmp_path, history)
    everyone = active_runs(connection, cursor=None, limit=10)
    assert [(run.session_id, run.pid, run.started_at, run.run_id, run.trace_id) for run in everyone.items] == [
        ("a", 4242, iso(BEGINNING + 1_000), started, "t" + started),
        ("b", 0, iso(BEGINNING), admitted, "t" + admitted),
    ]
    first = everyone.items[0]
    assert (first.timeout_ms, first.input_preview, first.model) == (30_000, "hello", "mock-model")
    assert [run.run_id for run in active_runs(connection, session_id="b", cursor=None, limit=10).items] == [admitted]
    assert [run.run_id for run in active_runs(connection, run_id=started, cursor=None, limit=10).items] == [started]
    assert active_runs(connection, session_id="a", run_id=admitted, cursor=None, limit=10).items == []


def test_cancel_requests_are_shown_until_the_run_ends(tmp_path: Path) -> None:
    history = History()
    running, ended = history.request("a"), history.request("b")
    history.start(running)
    history.now += 10
    history.ask_to_cancel(running, "enough")
    history.ask_to_cancel(ended, None)
    history.end(ended, "cancelled")
    assert msgspec.to_builtins(cancel_requests(shown(tmp_path, history), cursor=None, limit=10).items) == [
        {
            "sessionId": "a",
            "requestedAt": iso(BEGINNING + 10),
            "reason": "enough",
            "runId": running,
            "traceId": "t" + running,
            "startedAt": iso(BEGINNING),
        }
    ]


def test_runs_are_listed_newest_first_and_filtered(tmp_path: Path) -> None:
    history = History()
    ids = [history.request(f"s{number % 2}", provider=f"p{number % 3}") for number in range(12)]
    history.end(ids[4], "failed")
    connection = shown(tmp_path, history)

    def listed(**filters: Any) -> list[str]:
        found, cursor = [], None
        while True:
            page = list_runs(connection, RunFilter(**filters), cursor=cursor, limit=2)
            found += [run.run_id for run in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert listed() == ids[::-1]
    assert listed(session_id="s1") == ids[1::2][::-1]
    assert listed(provider="p2") == ids[2::3][::-1]
    assert listed(status="failed") == [ids[4]]
    assert listed(status="running", provider="p1", session_id="s1") == [ids[7], ids[1]]
    assert listed(session_id="nobody") == []


def test_redaction_erases_the_output(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    position = history.answer(run_id, "a secret")
    history.end(run_id)
    history.redact(position)
    connection = shown(tmp_path, history)
    run = run_by_id(connection, run_id)
    assert run is not None
    assert (run.status, run.output, run.redacted) == ("completed", None, True)


@pytest.mark.parametrize("ended", [True, False])
def test_redaction_erases_the_reason_of_a_cancel(tmp_path: Path, ended: bool) -> None:
    history = History()
    run_id = history.request("s")
    history.ask_to_cancel(run_id)
    position = history.head()
    if ended:
        history.end(run_id, "cancelled")
    history.redact(position)
    connection = shown(tmp_path, history)
    run = run_by_id(connection, run_id)
    assert run is not None
    assert run.redacted is True
    assert (run.error and run.error.message) == ("the run was cancelled: (erased)" if ended else None)
    requests = cancel_requests(connection, cursor=None, limit=1).items
    assert [(one.reason, one.redacted) for one in requests] == ([] if ended else [(None, True)])


@settings(deadline=None, max_examples=25)
@given(HISTORIES)
def test_stored_answers_are_the_json_of_runs_in_every_form(moves: list[tuple[int, int]]) -> None:
    everything = Scope()
    uncounted: dict[str, Any] = {"child_count": None, "retries": None}
    with folder() as directory:
        connection = shown(directory, History().play([(0, 1), *moves]))
        pages = (
            runs.list_runs(connection, cursor=None, limit=500),
            runs.list_runs(connection, scope=everything, cursor=None, limit=500),
            runs.list_runs(connection, with_output=True, cursor=None, limit=500),
        )
        for forms in zip(*(page.items for page in pages), strict=True):
            run = decode_run(forms[0])
            alone = runs.run_by_id(connection, run.run_id)
            hidden = runs.run_by_id(connection, run.run_id, everything)
            assert alone is not None
            assert hidden is not None
            output = decode_run(alone).output
            assert run.output_chars == (None if output is None else len(output))
            single = replace(run, output=output, output_preview=None, output_chars=None)
            values = (run, replace(run, **uncounted), replace(run, output=output), single, replace(single, **uncounted))
            assert [*forms, alone, hidden] == list(map(msgspec.json.encode, values))
        connection.close()
