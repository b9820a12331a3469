"""The history of a session: a cached one equals a fresh read after any events in between."""

from collections.abc import Iterator
from itertools import count, groupby
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.decider import Outcome
from athena_core.domain import plane
from athena_core.domain.run import RunCancelled, RunCompleted, RunCreated, RunFailed, ToolCalled, TranscriptAppended
from athena_core.event import Event, Fact, Position
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.conversation import cut_message, to_messages, without_controls
from athena_core.services.context.history import ERASING_TYPES, HistoryCache, HistoryLimits
from tests.scale import sized
from tests.support.events.run import COMPLETED, CREATED
from tests.support.records import CODEC, META, opened_log
from tests.support.transcript import answer, assistant, call, user

LIMITS = HistoryLimits(entries_max=6, entry_chars_max=40, chars_max=200, strip=True)
ENDINGS = (COMPLETED, COMPLETED, RunFailed(code="X", error_text="x", retryable=False), RunCancelled(cause="requested"))
RUNS = st.integers(0, 3)


def reference(
    reader: StoreReader, limits: HistoryLimits, session_id: str, before: Position, personas: frozenset[str] | None
) -> list[ModelMessage]:
    """Return a history by its definition: read from the newest row on, without a cache."""
    completed, found, chars, last = set[str](), list[tuple[str, Event]](), 0, None
    for number, row in enumerate(reader.session(session_id, before)):
        if number >= limits.rows_max:
            break
        if row.type == RunCompleted.TYPE:
            created = CODEC.decode(reader.stream(row.stream, 0, 1)[0]).event
            named = created.persona_name if isinstance(created, RunCreated) else None
            if personas is None or named in personas:
                completed.add(row.stream)
        event = CODEC.decode(row).event
        if not isinstance(event, TranscriptAppended | ToolCalled) or row.stream not in completed:
            continue
        if last is not None and row.stream != last:
            break
        begins = isinstance(event, TranscriptAppended) and event.role == "user"
        if last is None or begins:
            found.append((row.stream, event))
            chars += min(event.chars, limits.entry_chars_max)
        if last is None and (len(found) >= limits.entries_max or chars > limits.chars_max):
            last = row.stream
        if begins and last is not None:
            break
    messages = [
        cut_message(message, limits.entry_chars_max)
        for _, events in groupby(reversed(found), key=itemgetter(0))
        for message in to_messages(event for _, event in events)
    ]
    while messages and messages[0].role != "user":
        del messages[0]
    return [replace(message, content=without_controls(message.content)) for message in messages]


class World:
    """A log with sessions in which runs take turns in any way, and the cached histories of one process."""

    names = count()

    def __init__(self, log: Log, limits: HistoryLimits = LIMITS) -> None:
        self.log = log
        self.limits = limits
        self.reader = log.reader()
        self.followed = self.reader.head()
        self.kept = HistoryCache(limits, CODEC, self.reader, lambda: self.followed)
        self.name = next(self.names)
        self.runs: dict[int, str] = {}
        self.said: list[Position] = []

    def append(self, stream: str, session_id: str | None, *events: Event, erase: tuple[Position, ...] = ()) -> Position:
        run_id = None if session_id is None else stream
        facts = tuple(Fact(stream=stream, event=event, session_id=session_id, run_id=run_id) for event in events)
        return self.log.submit_in_thread(lambda reader, context: Outcome(facts=facts, erase=erase), META).position

    def session(self, run: int) -> str:
        return f"s{self.name}-{run % 2}"

    def say(self, run: int, *events: Event) -> None:
        """Append a message of a run, and start the run if it is not open."""
        if run not in self.runs:
            self.runs[run] = f"run_{next(self.names)}"
            persona = "ada" if run >= 2 else None
            self.append(self.runs[run], self.session(run), replace(CREATED, persona_name=persona))
        last = self.append(self.runs[run], self.session(run), *events)
        self.said += range(last - len(events) + 1, last + 1)

    def end(self, run: int, ending: Event) -> None:
        if run in self.runs:
            self.append(self.runs.pop(run), self.session(run), ending)

    def redact(self, place: int) -> None:
        if self.said:
            target = self.said[-1 - place % len(self.said)]
            self.append(plane.STREAM, None, plane.PayloadRedacted(target=target, note="x"), erase=(target,))

    def follow(self) -> None:
        head = self.reader.head()
        if self.reader.of_types(tuple(ERASING_TYPES), self.followed, head, 1):
            self.kept.forget()
        self.followed = head

    def check(self, run: int, back: int, personas: frozenset[str] | None) -> None:
        before = max(self.reader.head() + 1 - back, 1)
        question = (self.session(run), before, personas)
        expected = reference(self.reader, self.limits, *question)
        assert list(self.kept.messages(*question)) == expected
        assert list(HistoryCache(self.limits, CODEC, self.reader).messages(*question)) == expected


TEXTS = st.sampled_from(["one", "bell\x07", "long " * 20])
WORDS = st.one_of(
    st.builds(user, TEXTS),
    st.builds(assistant, TEXTS),
    st.builds(call, st.sampled_from("ab"), st.integers(1, 2)),
    st.builds(answer, st.sampled_from("ab"), TEXTS),
)
TURNS = st.lists(WORDS, max_size=4).map(lambda words: (user("ask"), *words))
CHECKS = (RUNS, st.sampled_from([0, 0, 0, 7]), st.sampled_from([None, None, frozenset({"ada"})]))
STEPS = st.one_of(
    st.tuples(st.just("run"), RUNS, TURNS, st.sampled_from(ENDINGS)),
    st.tuples(st.just("run"), RUNS, TURNS, st.just(COMPLETED)),
    st.tuples(st.just("say"), RUNS, TURNS),
    st.tuples(st.just("end"), RUNS, st.just(COMPLETED)),
    st.tuples(st.just("check"), *CHECKS),
    st.tuples(st.just("redact"), st.integers(0, 5)),
    st.tuples(st.just("follow")),
)


def play(world: World, step: tuple[object, ...]) -> None:
    match step:
        case ("run", int(run), tuple(events), Event() as ending):
            world.say(run, *events)
            world.end(run, ending)
            world.check(run, 0, None)
        case ("say", int(run), tuple(events)):
            world.say(run, *events)
        case ("end", int(run), Event() as ending):
            world.end(run, ending)
        case ("check", int(run), int(back), personas):
            world.check(run, back, personas)  # type: ignore[arg-type]
        case ("redact", int(place)):
            world.redact(place)
            world.check(place, 0, None)
        case _:
            world.follow()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with opened_log(tmp_path_factory.mktemp("history")) as log:
        yield log


@settings(max_examples=sized(12, 25, 1_000), deadline=None)
@given(
    st.lists(STEPS, min_size=15, max_size=25),
    st.sampled_from([LIMITS, LIMITS._replace(rows_max=12), LIMITS._replace(added_rows_max=2, kept_max=1)]),
)
def test_a_history_that_was_kept_is_the_one_that_is_read_anew(
    log: Log, steps: list[tuple[object, ...]], limits: HistoryLimits
) -> None:
    world = World(log, limits)
    try:
        for step in steps:
            play(world, step)
        for run in range(2):
            world.check(run, 0, None)
    finally:
        world.reader.close()


def test_erased_text_is_in_no_history_even_without_notice_of_it(log: Log) -> None:
    world = World(log)
    try:
        world.say(0, user("ask"), assistant("the code is 7731"))
        world.end(0, COMPLETED)
        world.check(0, 0, None)
        world.redact(0)
        assert world.kept.size[0] == 1
        world.check(0, 0, None)
    finally:
        world.reader.close()


def test_the_cache_is_bounded_and_evicts_the_least_used_first(log: Log) -> None:
    one = HistoryCache(LIMITS._replace(entries_max=10_000, chars_max=100_000), CODEC, log.reader())
    world = World(log)
    for run in range(2):
        for _ in range(3):
            world.say(run, user("x" * 1_000))
            world.end(run, COMPLETED)
    head = world.reader.head() + 1
    one.messages(world.session(0), head, None)
    count, size = one.size
    assert count == 1
    assert 6_000 < size < 20_000, "a text counts as it was recorded, and as it is sent"
    for kept_max, bytes_max in ((1, 10 * size), (10, size)):
        limits = LIMITS._replace(entries_max=10_000, chars_max=100_000, kept_max=kept_max, kept_bytes_max=bytes_max)
        histories = HistoryCache(limits, CODEC, world.reader)
        for run in (0, 1, 1):
            assert len(histories.messages(world.session(run), head, None)) == 3
            assert histories.size == (1, size)
    small = HistoryCache(LIMITS._replace(kept_bytes_max=600), CODEC, world.reader)
    assert small.messages(world.session(0), head, None)
    assert small.size == (0, 0)
    one._reader.close()
    world.reader.close()
