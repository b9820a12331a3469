"""Conversations: messages from events, results matched to calls, and texts cut to fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.domain.run import RunAsked, ToolCalled, TranscriptAppended
from athena_core.enums import ContextStrategy
from athena_core.errors import ContextOverflow
from athena_core.event import Event
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.conversation import (
    CONTROL,
    UNANSWERED,
    ContextLimits,
    ContextParts,
    cut,
    cut_calls,
    fit,
    paired,
    size,
    summary,
    to_messages,
    without_controls,
)
from athena_core.values import ToolCall

LIMITS = ContextLimits(chars_max=1_000, strategy="raw", attempts_max=2, summary_chars_max=300, result_chars_max=400)
USER = ModelMessage(role="user", content="go")


def said(role: str, content: str | None) -> Event:
    return TranscriptAppended(role=role, kind="message", chars=1, content=content)  # type: ignore[arg-type]


def called(call_id: str, turn: int = 1, arguments: str | None = "{}") -> ToolCalled:
    return ToolCalled(turn=turn, tool_call_id=call_id, tool_name="files", chars=2, repeatable=True, arguments=arguments)


def asked(call_id: str, turn: int = 1) -> RunAsked:
    return RunAsked(
        ask_id=f"ask_{call_id}",
        kind="tool-permission",
        origin="loop",
        turn=turn,
        chars=2,
        options=(),
        subject_sha256="00",
        expires_at_ms=2,
        on_expiry="deny",
        hold_until_ms=1,
        tool_call_id=call_id,
        tool_name="files",
        arguments="{}",
    )


def answered(call_id: str, content: str | None, *, is_error: bool | None = None) -> Event:
    return TranscriptAppended(
        role="tool", kind="tool-result", chars=1, tool_call_id=call_id, is_error=is_error, content=content
    )


def call(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name="files", arguments=arguments)


def asks(*calls: ToolCall, text: str = "") -> ModelMessage:
    return ModelMessage(role="assistant", content=text, calls=calls)


def result(call_id: str | None, content: str = "done", *, is_error: bool = False) -> ModelMessage:
    return ModelMessage(role="tool", content=content, tool_call_id=call_id, is_error=is_error)


def draft(history: list[ModelMessage] | None = None, turns: list[ModelMessage] | None = None) -> ContextParts:
    return ContextParts(system=(), history=tuple(history or ()), said=USER, turns=tuple(turns or ()))


# From events to messages


def test_a_call_that_was_asked_for_stands_in_its_turn_once() -> None:
    allowed = replace(called("b", arguments='{"edited":1}'), ask_id="ask_b")
    events = [said("user", "go"), called("a"), asked("b"), answered("a", "done"), allowed, answered("b", "done")]
    assert to_messages(events) == [USER, asks(call("a"), call("b")), result("a"), result("b")]
    assert to_messages([said("user", "go"), replace(asked("b"), arguments=None)]) == [USER]


def test_the_calls_of_a_turn_are_one_message_with_its_text() -> None:
    events = (
        said("user", "go"),
        said("assistant", "let me see"),
        called("a"),
        called("b"),
        answered("a", "one"),
        answered("b", "two", is_error=True),
        called("c", turn=2),
        answered("c", "three"),
        said("assistant", "done"),
    )
    assert to_messages(events) == [
        ModelMessage(role="user", content="go"),
        asks(call("a"), call("b"), text="let me see"),
        result("a", "one"),
        result("b", "two", is_error=True),
        asks(call("c")),
        result("c", "three"),
        ModelMessage(role="assistant", content="done"),
    ]


def test_calls_of_different_turns_stay_apart_even_without_results_between() -> None:
    assert to_messages((called("a"), called("b", turn=2))) == [asks(call("a")), asks(call("b"))]


def test_erased_text_is_left_out() -> None:
    events = (said("user", None), said("assistant", "see"), called("a", arguments=None), answered("a", None))
    assert to_messages(events) == [ModelMessage(role="assistant", content="see")]


# Calls and results


def test_a_result_without_its_call_is_left_out() -> None:
    assert paired([result("x"), USER, result("y"), asks(call("a")), result("z"), result("a")], set()) == [
        USER,
        asks(call("a")),
        result("a"),
    ]


def test_a_call_without_its_result_is_answered_with_an_error() -> None:
    assert paired([asks(call("a"), call("b")), result("b")], set()) == [
        asks(call("a"), call("b")),
        result("a", UNANSWERED, is_error=True),
        result("b"),
    ]


def test_ids_that_were_used_before_are_made_unique() -> None:
    seen = {"b"}
    assert paired([asks(call("a"), call("a")), result("a", "1"), result("a", "2"), asks(call("b"))], seen) == [
        asks(call("a"), call("a_2")),
        result("a", "1"),
        result("a_2", "2"),
        asks(call("b_2")),
        result("b_2", UNANSWERED, is_error=True),
    ]


# Making it shorter


def test_a_cut_text_keeps_its_beginning_and_its_end() -> None:
    text = "begin" + "x" * 1_000 + "end"
    shorter = cut(text, 200)
    assert len(shorter) == 200
    assert shorter.startswith("begin")
    assert shorter.endswith("end")
    assert "it had 1008 characters" in shorter
    assert cut(text, 20) == text[:20]
    assert cut(text, 1_008) is text


@given(st.text(max_size=600), st.integers(20, 300))
def test_cut_arguments_are_a_json_object_that_is_small_enough(arguments: str, chars_max: int) -> None:
    (shorter,) = cut_calls((call("a", arguments),), chars_max)
    assert len(shorter.arguments) <= chars_max
    if len(arguments) > chars_max:
        assert arguments.startswith(json.loads(shorter.arguments)["cut"])
    else:
        assert shorter.arguments == arguments


def test_a_summary_quotes_the_newest_entries_and_counts_the_others() -> None:
    entries = [ModelMessage(role="user", content=f"question   {number}\n" + "x" * 300) for number in range(9)]
    entries += [asks(call("a", '{"path":"a"}'), text="see"), result("a", "no such\nfile", is_error=True)]
    told = summary(entries, 500)
    assert len(told) <= 500
    lines = told.splitlines()
    assert lines[1] == "(8 earlier entries are left out)"
    assert lines[2].startswith("user: question 8 xxx")
    assert lines[2].endswith("…")
    assert lines[3:] == ['assistant: see; called files {"path":"a"}', "error: no such file"]
    assert summary(entries, 50) == ""


# Making it fit


def test_a_conversation_that_fits_is_sent_unchanged() -> None:
    history = [ModelMessage(role="user", content="before"), ModelMessage(role="assistant", content="so")]
    messages, meta = fit(draft(history), LIMITS)
    assert messages == (*history, USER)
    assert (meta.initial_strategy, meta.final_strategy, meta.overflow_attempts, meta.steps) == ("raw", "raw", 0, ())
    assert meta.initial_chars == meta.final_chars == 10


def test_a_history_that_does_not_fit_is_summarised_but_for_its_newest_half() -> None:
    history = [
        ModelMessage(role=role, content=f"{role} {number} " + "x" * 100)
        for number in range(6)
        for role in ("user", "assistant")
    ]
    messages, meta = fit(draft(history), LIMITS)
    assert messages[0].role == "system"
    assert "assistant: assistant 3 xxx" in messages[0].content
    assert messages[1:] == (*history[-4:], USER)
    assert (meta.final_strategy, meta.overflow_recovered, meta.overflow_attempts) == ("summary", True, 1)
    (step,) = meta.steps
    assert (step.kind, step.applied, step.before_chars, step.after_chars) == (
        "summary",
        True,
        meta.initial_chars,
        meta.final_chars,
    )
    assert size(messages) == meta.final_chars <= meta.effective_max_chars


@pytest.mark.parametrize(("chars", "roles"), [(800, ["system", "user"]), (990, ["user"])])
def test_a_summary_fits_into_the_remaining_characters(chars: int, roles: list[str]) -> None:
    history = tuple(ModelMessage(role="user", content="x" * 50) for _ in range(9))
    large = ContextParts(system=(), history=history, said=ModelMessage(role="user", content="y" * chars), turns=())
    messages, meta = fit(large, LIMITS)
    assert [message.role for message in messages] == roles
    assert meta.final_chars <= 1_000


def test_old_turns_of_the_run_itself_are_summarised_too() -> None:
    turns = [message for n in range(9) for message in (asks(call(f"c{n}")), result(f"c{n}", str(n) * 150))]
    messages, meta = fit(draft([USER], turns), LIMITS)
    assert [message.role for message in messages[:2]] == ["system", "user"]
    assert messages[2:] == tuple(turns[-6:])
    assert "result: 5555" in messages[0].content
    assert meta.final_strategy == "summary"


def test_results_are_cut_where_a_summary_is_not_enough() -> None:
    turns = [asks(call("a"), call("b")), result("a", "y" * 5_000), result("b", "ok")]
    messages, meta = fit(draft([USER], turns), LIMITS)
    assert messages[-1] == result("b", "ok")
    assert len(messages[-2].content) == 400
    assert [(step.kind, step.applied) for step in meta.steps] == [("summary", True), ("tool-result-truncation", True)]
    assert meta.steps[1].details == "1 entries cut to 400 characters"
    assert (meta.overflow_attempts, meta.overflow_recovered, meta.final_strategy) == (2, True, "summary")


def test_results_and_arguments_are_cut_where_needed() -> None:
    turns = [asks(call("a", '{"content":"' + "z" * 3_000 + '"}'), call("b")), result("a", "y" * 5_000)]
    turns += [result("b", "y" * 5_000)]
    messages, meta = fit(draft(None, turns), LIMITS)
    assert [len(message.content) for message in messages[-2:]] == [200, 200]
    assert set(json.loads(messages[-3].calls[0].arguments)) == {"cut"}
    assert meta.steps[1].details == "3 entries cut to 200 characters"


@pytest.mark.parametrize(("attempts_max", "recovered"), [(0, False), (1, False), (2, True), (9, True)])
def test_no_more_is_tried_than_allowed(attempts_max: int, recovered: bool) -> None:
    limits = ContextLimits(
        chars_max=1_000, strategy="raw", attempts_max=attempts_max, summary_chars_max=300, result_chars_max=400
    )
    turns = [asks(call("a")), result("a", "y" * 5_000)]
    if recovered:
        assert fit(draft(None, turns), limits)[1].overflow_attempts == 2
    else:
        with pytest.raises(ContextOverflow) as caught:
            fit(draft(None, turns), limits)
        assert caught.value.details == {"chars": 5_009, "charsMax": 1_000, "attempts": attempts_max}


def test_a_conversation_that_cannot_be_cut_enough_is_an_overflow() -> None:
    with pytest.raises(ContextOverflow):
        fit(draft(None, [ModelMessage(role="assistant", content="x" * 1_000)]), LIMITS)


def test_the_strategy_summary_keeps_half_before_anything_overflows() -> None:
    limits = ContextLimits(
        chars_max=1_000, strategy="summary", attempts_max=2, summary_chars_max=400, result_chars_max=400
    )
    history = [ModelMessage(role="user", content="x" * 300), ModelMessage(role="user", content="y" * 300)]
    messages, meta = fit(draft(history), limits)
    assert messages[1:] == (history[1], USER)
    assert (meta.initial_strategy, meta.final_strategy, meta.overflow_attempts) == ("summary", "summary", 0)
    assert [step.kind for step in meta.steps] == ["summary"]


# Any conversation

IDS = st.sampled_from("abc")
TEXTS = st.one_of(st.text(max_size=30), st.integers(0, 900).map("x".__mul__))
MESSAGES = st.one_of(
    st.builds(lambda text: ModelMessage(role="user", content=text), TEXTS),
    st.builds(lambda calls, text: asks(*calls, text=text), st.lists(st.builds(call, IDS, TEXTS), max_size=3), TEXTS),
    st.builds(result, IDS, TEXTS),
)
CONVERSATIONS = st.lists(MESSAGES, max_size=30)


def assert_well_formed(messages: list[ModelMessage]) -> None:
    """Fail unless each call is answered once, right after it and in order, and no id repeats."""
    ids = [one.id for message in messages for one in message.calls]
    assert len(ids) == len(set(ids))
    expected: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id == expected.pop(0)
        else:
            assert not expected
            expected = [one.id for one in message.calls]
    assert not expected


@given(CONVERSATIONS, CONVERSATIONS, st.integers(10, 3_000), st.sampled_from(["raw", "summary"]), st.integers(0, 3))
def test_any_conversation_fits_with_its_calls_answered_or_is_an_overflow(
    history: list[ModelMessage], turns: list[ModelMessage], chars_max: int, strategy: ContextStrategy, attempts_max: int
) -> None:
    limits = ContextLimits(
        chars_max=chars_max,
        strategy=strategy,
        attempts_max=attempts_max,
        summary_chars_max=200,
        result_chars_max=300,
    )
    seen: set[str] = set()
    whole = draft(paired(history, seen), paired(turns, seen))
    try:
        messages, meta = fit(whole, limits)
    except ContextOverflow:
        assert whole.chars > chars_max or strategy == "summary"
        return
    assert size(messages) == meta.final_chars <= chars_max
    assert meta.initial_chars == whole.chars
    assert messages.index(USER) >= 0
    assert_well_formed(list(messages))
    assert fit(whole, limits) == (messages, meta)
    if any(step.kind == "summary" and step.applied for step in meta.steps):
        assert next(message.role for message in messages if message.role != "system") == "user"
    if whole.chars <= chars_max and strategy == "raw":
        assert messages == whole.messages


@given(st.text(st.characters() | st.characters(max_codepoint=0x9F) | st.sampled_from("\xa0°\u0080\ud800\U0001f600")))
def test_control_characters_go_from_any_text_as_by_their_pattern(text: str) -> None:
    assert without_controls(text) == CONTROL.sub("", text)
