"""The explanation of a run: one sentence for each step, and the one thing that it waits for."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.domain.run import (
    ENDING_TYPES,
    EvidenceAttached,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunLeased,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
    WorkspaceChanged,
    WorkspaceOpened,
)
from athena_core.event import MARK_BYTES, Event, Position
from athena_core.services.proof import explain
from athena_core.services.proof.explain import CAUSES_FIRST, CAUSES_MAX, QUOTED, CurrentWait, Explanation, QueuePlace
from athena_core.values import Usage, VerificationFailure
from projections.engine.cursor import event_id
from tests.projections.history import BEGINNING, CODEC, CONTEXT, LOG_ID, MOVES, RELIABILITY, History
from tests.support.events.agent import AGENT_CALLED, ATTACHED

ERASABLE = ("what was asked", "hello", "a secret")


def named(position: Position, mark: bytes) -> str:
    return event_id(LOG_ID, position, mark)


def told(history: History, run_id: str, line: QueuePlace | None = None) -> Explanation:
    recorded = [CODEC.decode(row, text=row.type in QUOTED) for row in history.written if row.stream == run_id]
    found = explain.explain(recorded, line, history, named)
    assert found is not None
    return found


def sentences(explanation: Explanation) -> list[str]:
    return [cause.says for cause in explanation.causes]


def waits(explanation: Explanation) -> CurrentWait:
    assert explanation.waits_for is not None
    return explanation.waits_for


def call(name: str | None, call_id: str, turn: int = 1, **fields: Any) -> ToolCalled:
    return ToolCalled(
        turn=turn, tool_call_id=call_id, tool_name=name, chars=9, repeatable=True, arguments="a secret", **fields
    )


def result(name: str | None, call_id: str, **fields: Any) -> TranscriptAppended:
    return TranscriptAppended(
        role="tool", kind="tool-result", chars=8, tool_call_id=call_id, tool_name=name, content="a secret", **fields
    )


def test_a_completed_run_is_explained_from_the_request_to_the_end() -> None:
    history = History()
    run_id = history.whole_run("one")
    found = told(history, run_id)
    assert sentences(found) == [
        "requested by local; accepted at once",
        "picked up by ex_1 (process 4242)",
        "the user sent 5 characters",
        "the model wrote 11 characters",
        "mock/mock-model used 2 input and 3 output tokens for $0.000007",
        "completed",
    ]
    assert (found.status, found.session_id, found.waits_for, found.omitted) == ("completed", "one", None, 0)
    first = next(row for row in history.written if row.stream == run_id)
    assert found.causes[0].event_id == event_id(LOG_ID, first.position, first.chain[:MARK_BYTES])
    assert {cause.trace_id for cause in found.causes} == {f"t{run_id}"}


def test_the_waits_of_a_run_are_explained_with_their_lengths() -> None:
    history = History()
    holder = history.request("one")
    waiting = history.request("one", "session-busy")
    history.now += 3_200
    ended = history.end(holder)
    history.admit(waiting)
    history.written[ended] = history.written[ended]._replace(command_id=history.written[ended - 1].command_id)
    history.now += 40
    history.start(waiting)
    found = told(history, waiting)
    assert sentences(found)[:3] == [
        "requested by local; queued, because another run holds the session",
        f"accepted after 3.2 s, when {holder} ended",
        "picked up by ex_1 (process 4242)",
    ]
    assert [cause.waited_ms for cause in found.causes[:3]] == [None, 3_200, 40]
    assert found.causes[1].after == holder


def test_asks_answers_and_the_waits_for_them_are_explained_without_their_texts() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    words = {"title": "a secret", "arguments": "a secret", "turn": 2}
    first = history.asks.ask(run_id, **words)
    second = history.asks.ask(run_id, kind="question", on_expiry="cancel", **words)
    third, fourth = (history.asks.ask(run_id, **words) for _ in range(2))
    asking = waits(told(history, run_id))
    assert (asking.reason, asking.since, asking.turn) == ("ask", iso(BEGINNING), 2)
    assert asking.asks == (first, second, third, fourth)
    assert f"{first} (may it call the tool shell?), {second} (a question)" in asking.says
    history.asks.park(run_id)
    history.now += 3_200
    history.asks.answer(run_id, first, edited_sha256="ab", note="a secret")
    history.asks.answer(run_id, second, "expiry")
    history.asks.answer(run_id, third, "rule", option_id="allow", rule_id="rule_1")
    assert waits(told(history, run_id)).asks == (fourth,)
    history.asks.answer(run_id, fourth, option_id="deny")
    history.asks.requeue(run_id)
    requeued = waits(told(history, run_id, QueuePlace("concurrency", 3, None)))
    assert (requeued.reason, requeued.position) == ("concurrency", 3)
    assert requeued.says == "its turn: all run slots are in use"
    history.asks.resume(run_id)
    history.call(run_id, ask_id=first)
    history.call(run_id, "c2", refused="denied")
    fifth = history.asks.ask(run_id)
    history.end(run_id, "cancelled")
    found = told(history, run_id)
    assert sentences(found)[3:] == [
        f"asked a person: {first} (may it call the tool shell?)",
        f"asked a person: {second} (a question)",
        f"asked a person: {third} (may it call the tool shell?)",
        f"asked a person: {fourth} (may it call the tool shell?)",
        "paused: no answer came while it held its slot",
        f"ada chose 'allow' with other arguments for {first}",
        f"{second} expired: the run is cancelled",
        f"the permission rule rule_1 chose 'allow' for {third}",
        f"ada chose 'deny' for {fourth}",
        "waits in line for a slot, because all run slots are in use",
        "resumed after the answer",
        f"the model called the tool shell, as {first} allowed",
        "the model called the tool shell, which was denied without asking a person",
        f"asked a person: {fifth} (may it call the tool shell?)",
        f"{fifth} was closed, because the run ended",
        "cancelled on request",
    ]
    assert [cause.waited_ms for cause in found.causes[8:12]] == [3_200] * 4
    assert "secret" not in str(found)


def test_an_admission_by_another_commit_names_no_run() -> None:
    history = History()
    waiting = history.request("one", "concurrency")
    history.whole_run("two")
    history.admit(waiting)
    assert sentences(told(history, waiting))[1] == "accepted after 0 ms"


def test_turns_are_explained_with_their_tools_usage_and_evidence() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    usage = Usage(input_tokens=12_000, output_tokens=40)
    history.in_run(
        run_id,
        call("shell", "c1"),
        call("nuke", "c3", refused="unknown-tool"),
        call(None, "c2", refused="unknown-tool", unknown_name="a secret"),
        UsageRecorded(provider="openai", model="gpt", usage=usage, turn=1, attempts=3, cost_micro_usd=1_234_567),
        result("shell", "c1"),
        result(None, "c2", is_error=True),
        EvidenceAttached(
            evidence_id="e1",
            label="log",
            evidence_type="text",
            size_bytes=2_000,
            sha256="",
            source="tool",
            workspace=False,
            content="a secret",
        ),
        UsageRecorded(provider="openai", model="gpt", usage=Usage(), turn=2, cost_micro_usd=3, failed=True),
        UsageRecorded(provider="openai", model="gpt", usage=Usage(), turn=2, estimated=True, unpriced=True),
        RunCompleted(
            provider="openai",
            model="gpt",
            harness_profile_id="hp",
            evidence_count=1,
            verification_status="verification-failed",
            verification_failures=(
                VerificationFailure(policy_id="tests", kind="command", message="exit code 1", details={}),
            ),
            reliability=RELIABILITY,
            context_meta=CONTEXT,
        ),
    )
    found = told(history, run_id)
    assert sentences(found)[3:] == [
        "the model called the tool shell",
        "the model called the tool nuke, which this run may not use",
        "the model called a tool that does not exist",
        "openai/gpt used 12,000 input and 40 output tokens for $1.23, after 3 attempts",
        "the tool shell returned a result (8 characters)",
        "a tool that does not exist failed (8 characters)",
        "the tool attached evidence: log (text, 2,000 bytes)",
        "openai/gpt used an unknown number of tokens for $0.000003, without an answer",
        "openai/gpt used an unknown number of tokens (estimated) at an unknown price",
        "completed, but not verified: tests: exit code 1",
    ]
    assert [cause.turn for cause in found.causes[3:]] == [1, 1, 1, 1, 1, 1, 1, 2, 2, None]


def test_the_agent_of_a_run_and_its_calls_are_explained_without_its_words() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    first = replace(AGENT_CALLED, tool_call_id="1")
    asked = replace(AGENT_CALLED, tool_call_id="2", tool_name="codex:execute", asked=True, ask_id="ask_1")
    again = replace(ATTACHED, how="replayed", mode=None)
    denied = replace(asked, tool_call_id="3", ask_id=None, refused="denied")
    history.in_run(run_id, ATTACHED, first, result(None, "1"), asked, denied, again)
    found = told(history, run_id)
    assert sentences(found)[3:] == [
        "the agent codex (2.6.0) opened a new session, in mode ask",
        "the agent made a call of kind execute, without asking",
        "the call of kind execute returned a result (8 characters)",
        "the agent made a call of kind execute, as ask_1 allowed",
        "the agent made a call of kind execute, which was denied without asking a person",
        "the agent codex (2.6.0) opened a new session, with the recorded conversation as its input",
    ]
    assert waits(found).says == "a call of kind execute"


def test_the_workspace_and_the_changes_in_it_are_explained_without_names_of_files() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    changed = WorkspaceChanged(
        workspace_id="wsp_1", tree="b2", files=2, binary_files=1, added_lines=1_200, removed_lines=0, truncated=True
    )
    one = replace(changed, files=1, binary_files=0, truncated=None)
    none = replace(changed, files=0, binary_files=0, added_lines=0, truncated=None)
    history.in_run(run_id, WorkspaceOpened(workspace_id="wsp_1", tree="a1"), changed, one, none)
    assert sentences(told(history, run_id))[3:] == [
        "works in the workspace wsp_1",
        "changed 2 files, 1 of them binary, of the workspace wsp_1: 1,200 lines added and 0 removed;"
        " the recorded diff is cut",
        "changed 1 file of the workspace wsp_1: 1,200 lines added and 0 removed",
        "changed no files of the workspace wsp_1",
    ]


def test_take_overs_pauses_and_cancels_are_explained_with_actor_and_reason() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    history.in_run(
        run_id,
        call("shell", "c1"),
        RunLeased(executor="ex_2", token=2, attempt=2, pid=7, taken_from="ex_1", because="dead"),
        RunStarted(attempt=2),
        result("shell", "c1", is_error=True, interrupted=True),
        RunPaused(reason="budget", elapsed_ms=9, spent_micro_usd=1_500_000, budget_micro_usd=1_000_000),
    )
    history.now += 60_000
    history.in_run(
        run_id,
        RunResumed(requested_by="ex_2", budget_micro_usd=2_000_000),
        RunCancelRequested(status="cancelled", note="enough", run_id=run_id),
        RunCancelled(cause="requested", forced=True),
        RunCancelRequested(status="not-running"),
    )
    found = told(history, run_id)
    assert sentences(found)[4:] == [
        "taken over by ex_2 from ex_1, whose process ended; attempt 2",
        "the tool shell failed: it was interrupted, and its effect is unknown (8 characters)",
        "paused: $1.50 of its budget of $1.00 is spent",
        "resumed by local with a budget of $2.00",
        "cancellation requested by local: enough",
        "cancelled on request: enough; forced, because its executor did not stop in time",
        "cancellation requested by local; the run had already ended",
    ]
    assert found.causes[7].waited_ms == 60_000
    assert (found.status, found.waits_for) == ("cancelled", None)


# Waits


def test_a_run_in_line_waits_for_its_turn() -> None:
    history = History()
    holder = history.request("one")
    history.now += 5
    run_id = history.request("one", "session-busy")
    found = waits(told(history, run_id, QueuePlace("session-busy", 3, holder)))
    assert (found.reason, found.position, found.blocked_by) == ("session-busy", 3, holder)
    assert found.since == "2026-01-01T00:00:00.005Z"
    assert waits(told(history, run_id)).reason == "session-busy"  # the views may not know of it


STEPS: list[tuple[tuple[Event, ...], tuple[str, int | None, str | None]]] = [
    ((), ("executor", None, None)),
    ((RunLeased(executor="ex_1", token=1, attempt=1, pid=1), RunStarted(attempt=1)), ("model", 1, None)),
    ((call("shell", "c1"), call("files", "c2")), ("tool", 1, "shell")),
    ((result("shell", "c1"),), ("tool", 1, "files")),
    ((result("files", "c2"),), ("model", 2, None)),
    (
        (RunPaused(reason="budget", elapsed_ms=9, spent_micro_usd=2, budget_micro_usd=1),),
        ("budget", None, None),
    ),
    ((RunResumed(requested_by="ex_1"),), ("executor", None, None)),
    ((RunLeased(executor="ex_1", token=2, attempt=1, pid=1),), ("model", 2, None)),
    ((call("shell", "c3", 2),), ("tool", 2, "shell")),
    ((RunCancelRequested(status="cancelled"),), ("cancel", None, None)),
]


def test_at_every_step_a_run_waits_for_one_thing() -> None:
    history = History()
    run_id = history.request("one")
    for events, expected in STEPS:
        history.now += 1_000
        if events:
            history.in_run(run_id, *events)
        found = waits(told(history, run_id))
        assert (found.reason, found.turn, found.tool_name) == expected
        assert found.since <= f"2026-01-01T00:00:{(history.now // 1000) % 60:02}.000Z"
    history.end(run_id, "cancelled")
    assert told(history, run_id).waits_for is None


# Any history


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, MOVES - 1), st.integers(0, 50)), max_size=60))
def test_every_run_of_every_history_can_be_explained_without_its_text(moves: list[tuple[int, int]]) -> None:
    history = History().play(moves)
    for run_id in {row.stream for row in history.written if row.type in {"run.queued", "run.created"}}:
        found = told(history, run_id)
        ended = any(row.stream == run_id and row.type in ENDING_TYPES for row in history.written)
        assert (found.waits_for is None) == ended
        assert found.causes
        assert not any(text in says for says in sentences(found) for text in ERASABLE)


def test_the_middle_of_a_long_history_is_left_out() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    for number in range(CAUSES_MAX):
        history.in_run(run_id, result("shell", f"c{number}"))
    found = told(history, run_id)
    assert (len(found.causes), found.omitted) == (CAUSES_MAX, 3)
    assert found.causes[0].says == "requested by local; accepted at once"
    assert found.causes[CAUSES_FIRST - 1].event_id < found.causes[CAUSES_FIRST].event_id
    assert found.causes[-1].type == "transcript.appended"


@pytest.mark.parametrize("how", ["completed", "failed", "withdrawn", "timed-out", "crashed"])
def test_the_end_says_why(how: str) -> None:
    history = History()
    run_id = history.request("one")
    history.end(run_id, how)
    assert (
        sentences(told(history, run_id))[-1]
        == {
            "completed": "completed",
            "failed": "failed: PROVIDER_ERROR: no",
            "withdrawn": "withdrawn: its caller stopped waiting for the session",
            "timed-out": "stopped: it took longer than 1.0 s",
            "crashed": "crashed: ex_1 was lost in attempt 1, and no attempts are left",
        }[how]
    )


def test_a_stream_of_another_kind_has_no_explanation() -> None:
    history = History()
    history.directive("what was asked", directive_id="dir_1")
    recorded = [CODEC.decode(row) for row in history.written]
    assert explain.explain(recorded, None, history, named) is None
    assert explain.explain([], None, history, named) is None


def test_the_cause_of_a_step_is_named_by_its_event() -> None:
    history = History()
    run_id = history.request("one")
    history.start(run_id)
    created, *rest = [CODEC.decode(row, text=row.type in QUOTED) for row in history.written if row.stream == run_id]
    caused = [created, *(replace(one, causation=created.position) for one in rest)]
    found = explain.explain(caused, None, history, named)
    assert found is not None
    assert [cause.caused_by for cause in found.causes] == [None] + [found.causes[0].event_id] * 2
