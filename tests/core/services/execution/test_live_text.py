"""Live text: a subscriber ends with the written text, or is reset."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock
from athena_core.domain import run
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.execution.live_relay import PIECE_CHARS_MAX, LiveRelay
from athena_core.services.execution.live_text import (
    ACTIVITY_CHARS_MAX,
    LIVE_CHARS_MAX,
    AgentActivity,
    LiveSubscriber,
    LiveText,
    OpenCall,
    PlanStep,
    TranscriptDelta,
)
from athena_core.system.problems import Problems
from athena_core.system.signal import Signal
from tests.core.log.pots import new_log
from tests.scale import sized


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    found = new_log(tmp_path_factory.mktemp("log"))
    yield found
    found.close()


@pytest.fixture
def live(log: Log) -> Iterator[LiveText]:
    tail = Tail(log)
    yield LiveText(tail, Signal())
    tail.close()


class Reader:
    """A client that follows the documented rules: append text; drop a turn on a reset or when its entry arrives."""

    def __init__(self, live: LiveText, session_id: str = "one") -> None:
        self.subscriber: LiveSubscriber = live.subscribe(session_id)
        self.entries = 0
        self.shown: dict[tuple[str, int], str] = {}
        self.begins: dict[tuple[str, int], int] = {}
        self.resets = 0
        self.settled: list[str] = []

    def read(self) -> None:
        if self.subscriber.due > self.entries:
            self.entries = self.subscriber.due
            self.shown.clear()
        for delta in self.subscriber.take():
            self.apply(delta)

    def apply(self, delta: TranscriptDelta) -> None:
        turn = (delta.run_id, delta.turn)
        if delta.reset:
            assert delta.text is None
            self.resets += 1
            self.shown.pop(turn, None)  # its entry may have come before the reset
            return
        if delta.settled:
            assert (delta.text, delta.turn) == (None, 0)
            self.settled.append(delta.run_id)
            return
        assert delta.text
        assert delta.offset is not None
        if turn not in self.shown:
            self.begins[turn] = delta.offset
            self.shown[turn] = ""
        assert delta.offset == self.begins[turn] + len(self.shown[turn])
        self.shown[turn] += delta.text


def row(position: int, kind: str, run_id: str = "run_1", session_id: str | None = "one") -> Row:
    return Row(
        position=position,
        stream=run_id,
        version=1,
        type=kind,
        schema_version=1,
        recorded_at=0,
        command_id="",
        correlation="",
        causation=None,
        actor="",
        session_id=session_id,
        run_id=run_id,
        data=b"{}",
        extra=None,
        data_hash=b"",
        text=None,
        text_hash=None,
        chain=b"",
    )


def test_a_subscriber_gets_each_piece_and_a_new_one_the_text_so_far(live: LiveText) -> None:
    early, other = Reader(live), Reader(live, "two")
    live.append("one", "run_1", 1, "Hel")
    early.read()
    live.append("one", "run_1", 1, "lo")
    late = Reader(live)
    for reader in (early, late, other):
        reader.read()
    assert early.shown == late.shown == {("run_1", 1): "Hello"}
    assert other.shown == {}


def test_an_entry_takes_the_place_of_what_was_shown_of_its_turn(live: LiveText) -> None:
    reader = Reader(live)
    live.append("one", "run_1", 1, "Hello")
    reader.read()
    live._on_rows([row(7, run.TranscriptAppended.TYPE), row(8, run.RunCompleted.TYPE)])
    live.append("one", "run_1", 1, None)  # its executor leaves
    reader.read()
    assert (reader.entries, reader.shown, reader.resets) == (7, {}, 0)
    assert live.writing("one") is None


@pytest.mark.parametrize("kind", sorted({run.RunPaused.TYPE, *run.ENDING_TYPES}))
def test_a_settled_run_is_reported_once_after_its_text(live: LiveText, kind: str) -> None:
    reader, other = Reader(live), Reader(live, "two")
    live.append("one", "run_1", 1, "Hello")
    live._on_rows([row(7, run.TranscriptAppended.TYPE), row(8, kind)])
    live.append("one", "run_2", 1, "Next")
    reader.read()
    assert (reader.settled, reader.shown) == (["run_1"], {("run_2", 1): "Next"})
    reader.read()
    other.read()
    assert (reader.settled, other.settled) == (["run_1"], [])


def test_a_slow_subscriber_keeps_the_last_settled_runs(live: LiveText) -> None:
    reader = Reader(live)
    live._on_rows([row(7 + number, run.RunFailed.TYPE, f"run_{number}") for number in range(1_000)])
    reader.read()
    assert reader.settled == [f"run_{number}" for number in range(900, 1_000)]


@pytest.mark.parametrize("kind", sorted({run.RunLeased.TYPE, *run.ENDING_TYPES}))
def test_a_turn_that_leaves_no_entry_is_taken_back(live: LiveText, kind: str) -> None:
    reader = Reader(live)
    live.append("one", "run_1", 1, "Hello")
    reader.read()
    live._on_rows([row(7, kind)])
    reader.read()
    assert (reader.shown, reader.resets) == ({}, 1)
    assert live.writing("one") is None


def test_a_turn_may_begin_before_it_is_heard_that_the_one_before_was_recorded(live: LiveText) -> None:
    reader = Reader(live)
    live.append("one", "run_1", 1, "Hello")
    reader.read()
    live._signal.advance(7)
    live.append("one", "run_1", 2, "there")
    assert reader.subscriber.due == 7
    reader.read()
    live._on_rows([row(7, run.TranscriptAppended.TYPE)])
    reader.read()
    assert (reader.shown, reader.resets) == ({("run_1", 2): "there"}, 0)
    assert live.writing("one") is not None


def test_entries_of_another_run_or_session_close_no_turn(live: LiveText) -> None:
    reader = Reader(live)
    live.append("one", "run_1", 1, "Hello")
    live._on_rows([row(7, run.RunCompleted.TYPE, "run_2"), row(8, run.RunCompleted.TYPE, "run_1", "two")])
    live._on_rows([row(9, run.UsageRecorded.TYPE), row(10, run.RunCancelRequested.TYPE)])
    reader.read()
    assert reader.shown == {("run_1", 1): "Hello"}


def test_a_new_attempt_begins_anew(live: LiveText) -> None:
    reader, late = Reader(live), Reader(live)
    live.append("one", "run_1", 1, "Hal")
    reader.read()
    live.append("one", "run_1", 1, None)
    live.append("one", "run_1", 1, "Hello")
    reader.read()
    late.read()
    assert reader.shown == late.shown == {("run_1", 1): "Hello"}
    assert (reader.resets, late.resets) == (1, 0)


def test_a_slow_client_is_reset_and_continues_with_the_newest_text(live: LiveText) -> None:
    slow, quick = Reader(live), Reader(live)
    live.append("one", "run_1", 1, "first")
    slow.read()
    for number in range(LIVE_CHARS_MAX // 1_000 + 1):
        live.append("one", "run_1", 1, f"{number:04}" * 250)
        quick.read()
    slow.read()
    assert (slow.resets, quick.resets) == (1, 0)
    (text,), (whole,) = slow.shown.values(), quick.shown.values()
    assert len(text) == LIVE_CHARS_MAX
    assert whole.endswith(text)


def test_nothing_stays_behind(live: LiveText) -> None:
    subscribers = [live.subscribe("one") for _ in range(3)]
    live.append("one", "run_1", 1, "Hello")
    live.append("one", "run_1", 1, None)
    for subscriber in subscribers:
        subscriber.close()
    assert (live._turns, live._subscribers) == ({}, {})


STEPS = st.one_of(
    st.tuples(st.just("said"), st.sampled_from([1, 2, 30_000, 70_000])),
    st.tuples(st.sampled_from(["reset", "entry", "end", "hear", "join", "read"]), st.just(0)),
)


@pytest.mark.heavy
@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=sized(30, 100, 300)))
# A subscriber that joins between the commit of an entry and its notice:
@example(steps=[("said", 1), ("entry", 0), ("join", 0), ("read", 0), ("read", 0)])
def test_every_reader_shows_the_newest_text_of_the_open_turn_and_nothing_else(
    log: Log, steps: list[tuple[str, int]]
) -> None:
    tail, signal = Tail(log), Signal()
    live = LiveText(tail, signal)
    readers, written, turn = [Reader(live)], "", 1
    unheard: list[Row] = []
    for place, (step, size) in enumerate(steps, 1):
        match step:
            case "said":
                text = chr(0x1F600 + place) * size
                live.append("one", "run_1", turn, text)
                written += text
            case "reset":
                live.append("one", "run_1", turn, None)
                written = ""
            case "entry" | "end":
                unheard.append(row(place, (run.TranscriptAppended if step == "entry" else run.RunFailed).TYPE))
                signal.advance(place)
                if step == "end":  # its executor leaves
                    live.append("one", "run_1", turn, None)
                written, turn = "", turn + 1
            case "hear" if unheard:
                tail._deliver(unheard)
                unheard = []
            case "join":
                readers.append(Reader(live))
            case "read":
                readers[place % len(readers)].read()
    if unheard:
        tail._deliver(unheard)
    for reader in readers:
        reader.read()
        (shown,) = reader.shown.values() or [""]
        assert written.endswith(shown)
        assert len(shown) >= min(len(written), LIVE_CHARS_MAX)
    tail.close()


# Between processes


@pytest.fixture
def elsewhere(log: Log) -> Iterator[LiveText]:
    tail = Tail(log)
    yield LiveText(tail, Signal())
    tail.close()


def test_text_of_another_process_arrives_piece_by_piece_and_is_reset_like_there(
    live: LiveText, elsewhere: LiveText
) -> None:
    relay, reader = LiveRelay(elsewhere, None, Problems(FixedClock())), Reader(live)
    for text in ("Hel", "lo " * PIECE_CHARS_MAX):
        elsewhere.append("one", "run_1", 1, text)
        for piece in relay.pieces("one"):
            assert len(piece.text or "") <= PIECE_CHARS_MAX
            live.append_remote("one", piece)
        reader.read()
    assert reader.shown == {("run_1", 1): "Hel" + "lo " * PIECE_CHARS_MAX}
    assert list(relay.pieces("one")) == []
    elsewhere.append("one", "run_1", 1, None)
    for piece in relay.pieces("one"):
        live.append_remote("one", piece)
    reader.read()
    assert (reader.shown, reader.resets) == ({}, 1)


def test_a_turn_that_lost_a_piece_is_reset_and_continues_with_the_next_ones(
    live: LiveText, elsewhere: LiveText
) -> None:
    relay, reader = LiveRelay(elsewhere, None, Problems(FixedClock())), Reader(live)
    for text, arrives in (("one ", True), ("two ", False), ("three ", True), ("four", True)):
        elsewhere.append("one", "run_1", 1, text)
        for piece in relay.pieces("one"):
            if arrives:
                live.append_remote("one", piece)
        reader.read()
    assert (reader.shown, reader.resets) == ({("run_1", 1): "three four"}, 1)


def test_text_after_the_entry_of_its_turn_is_late(live: LiveText, elsewhere: LiveText) -> None:
    relay, reader = LiveRelay(elsewhere, None, Problems(FixedClock())), Reader(live)
    elsewhere.append("one", "run_1", 1, "Hello")
    pieces = list(relay.pieces("one"))
    live._on_rows([row(7, run.TranscriptAppended.TYPE)])
    for piece in pieces:
        live.append_remote("one", piece)
    reader.read()
    assert live.writing("one") is None
    assert reader.shown == {}


def test_an_entry_that_is_known_there_first_does_not_take_the_text_back_here(
    live: LiveText, elsewhere: LiveText
) -> None:
    relay = LiveRelay(elsewhere, None, Problems(FixedClock()))
    elsewhere.append("one", "run_1", 1, "Hello")
    for piece in relay.pieces("one"):
        live.append_remote("one", piece)
    elsewhere._on_rows([row(7, run.TranscriptAppended.TYPE)])
    assert list(relay.pieces("one")) == []
    assert live.writing("one") is not None


@pytest.mark.parametrize("kind", [run.RunAsked.TYPE, run.RunAnswered.TYPE])
def test_an_ask_is_due_at_once_and_closes_no_turn(live: LiveText, kind: str) -> None:
    reader = Reader(live)
    live.append("one", "run_1", 1, "Hel")
    live._on_rows([row(7, kind)])
    assert reader.subscriber.due == 7
    live.append("one", "run_1", 1, "lo")
    reader.read()
    assert (reader.shown, reader.resets) == ({("run_1", 1): "Hello"}, 0)


# What an agent shows beside its words

PLAN = AgentActivity(plan=(PlanStep(text="Look", status="in_progress"),))
BUSY = AgentActivity(
    thoughts="Perhaps … 🦉" * 300,
    calls=(OpenCall(tool_call_id="call_1", title="ls", kind="execute", status="pending"),),
)
NOTHING = AgentActivity()


def activities(subscriber: LiveSubscriber) -> list[tuple[str, AgentActivity | None]]:
    return [(delta.run_id, delta.activity) for delta in subscriber.take() if not delta.settled]


def test_a_subscriber_gets_the_newest_activity_once(live: LiveText) -> None:
    quick, slow = live.subscribe("one"), live.subscribe("one")
    live.show("one", "run_1", 1, BUSY)
    assert activities(quick) == [("run_1", BUSY)]
    live.show("one", "run_1", 1, PLAN)
    late = live.subscribe("one")
    for subscriber in (quick, slow, late):
        assert activities(subscriber) == [("run_1", PLAN)]
        assert activities(subscriber) == []
    live.show("one", "run_1", 1, None)
    assert activities(quick) == [("run_1", NOTHING)]
    assert activities(live.subscribe("one")) == []


def test_text_and_activity_do_not_take_each_other_back(live: LiveText) -> None:
    reader, subscriber = Reader(live), live.subscribe("one")
    live.append("one", "run_1", 1, "Hel")
    live.show("one", "run_1", 1, PLAN)
    live.append("one", "run_1", 1, "lo")
    assert [delta.text for delta in subscriber.take()] == ["Hello", None]
    live.append("one", "run_1", 1, None)
    assert [delta.reset for delta in subscriber.take()] == [True]
    assert reader.subscriber.take() == [TranscriptDelta(run_id="run_1", turn=1, activity=PLAN)]


@pytest.mark.parametrize("kind", sorted({run.RunLeased.TYPE, run.RunPaused.TYPE, *run.ENDING_TYPES}))
def test_the_activity_of_a_run_that_ended_or_moved_is_gone(live: LiveText, kind: str) -> None:
    subscriber = live.subscribe("one")
    live.show("one", "run_1", 1, PLAN)
    activities(subscriber)
    live._on_rows([row(7, kind, "run_2"), row(8, run.TranscriptAppended.TYPE)])
    assert activities(subscriber) == []
    live._on_rows([row(9, kind)])
    assert activities(subscriber) == [("run_1", NOTHING)]
    assert live.activity("one") is None


def test_the_activity_of_the_next_run_takes_the_place_of_the_last(live: LiveText) -> None:
    subscriber = live.subscribe("one")
    live.show("one", "run_1", 1, BUSY)
    activities(subscriber)
    live.show("one", "run_2", 1, PLAN)
    live.show("one", "run_1", 1, None)
    assert activities(subscriber) == [("run_1", NOTHING), ("run_2", PLAN)]


def test_the_activity_of_another_process_arrives_whole_or_not_at_all(live: LiveText, elsewhere: LiveText) -> None:
    relay, subscriber = LiveRelay(elsewhere, None, Problems(FixedClock())), live.subscribe("one")
    for lost in (False, True):
        elsewhere.show("one", "run_1", 1, BUSY)
        first, *rest = relay.pieces("one")
        assert rest
        assert all(len(piece.text or "") <= PIECE_CHARS_MAX for piece in (first, *rest))
        for piece in rest if lost else (first, *rest):
            live.append_remote("one", piece)
        assert activities(subscriber) == ([] if lost else [("run_1", BUSY)])
        assert live._arriving == {}
    assert list(relay.pieces("one")) == []
    elsewhere.show("one", "run_1", 1, None)
    (withdrawn,) = relay.pieces("one")
    live.append_remote("one", withdrawn)
    assert activities(subscriber) == [("run_1", NOTHING)]
    assert relay._sent_activities == {}


def test_the_activity_of_another_process_is_late_after_the_end_and_has_a_limit(
    live: LiveText, elsewhere: LiveText
) -> None:
    relay = LiveRelay(elsewhere, None, Problems(FixedClock()))
    elsewhere.show("one", "run_1", 1, AgentActivity(thoughts="x" * ACTIVITY_CHARS_MAX))
    assert list(relay.pieces("one")) == []
    elsewhere.show("one", "run_1", 1, PLAN)
    (piece,) = relay.pieces("one")
    live.append_remote("one", msgspec.structs.replace(piece, activity_chars=ACTIVITY_CHARS_MAX + 1))
    assert live._arriving == {}
    live._on_rows([row(7, run.RunCompleted.TYPE)])
    live.append_remote("one", piece)
    assert live.activity("one") is None
