"""Segments: their memory, and pages and streams that are cut from them beside the rows of the log."""

import asyncio
from collections.abc import Callable

import anyio
import pytest

from athena_api.edge.replies import success
from athena_api.plane import ControlPlane
from athena_api.streams import segments as segments_module
from athena_api.streams.feed import NO_FILTER, records_of
from athena_api.streams.segments import SEGMENT_EVENTS, UNDECODABLE, Form, Segment, Segments, rendered
from athena_core.decider import Outcome
from athena_core.domain import plane as plane_room
from athena_core.domain import session
from athena_core.domain.session import SessionCreated
from athena_core.event import Fact, Position
from projections.engine.page import INLINE_BYTES_MAX
from projections.feed import FeedFilter, page
from tests.support.api import PATIENCE_SECONDS
from tests.support.records import META

HEAD = 10 * SEGMENT_EVENTS


def numbers(after: Position, until: Position) -> bytes:
    return b"".join(b"%d," % position for position in range(after + 1, until + 1))


class Reads:
    """A log of numbers. It notes which segments are read, and calls ``meanwhile`` during a read."""

    def __init__(self) -> None:
        self.places: list[Position] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.count = SEGMENT_EVENTS
        self.more = b""

    def __call__(self, form: Form, after: Position) -> list[bytes]:
        self.places.append(after)
        self.meanwhile()
        return [b"%d,%b" % (position, self.more) for position in range(after + 1, after + self.count + 1)]


def cut(segments: Segments, after: Position, until: Position, *, build: bool = True) -> bytes | None:
    found = segments.find("item", after, until, HEAD, build=build)
    return None if found is None else b"".join(segment.cut(after, until) for segment in found)


@pytest.mark.parametrize("after", [0, 1, SEGMENT_EVENTS - 1, SEGMENT_EVENTS, SEGMENT_EVENTS + 1, HEAD - 7])
@pytest.mark.parametrize("count", [1, 6, SEGMENT_EVENTS, 2 * SEGMENT_EVENTS])
def test_a_stretch_is_cut_at_its_positions(after: Position, count: int) -> None:
    until = after + count
    assert cut(Segments(Reads()), after, until) == (numbers(after, until) if until <= HEAD else None)


def test_the_rest_of_a_segment_ends_with_it() -> None:
    segments = Segments(Reads())
    assert segments.rest("item", 3, HEAD) == (numbers(3, SEGMENT_EVENTS), SEGMENT_EVENTS)
    assert segments.rest("item", SEGMENT_EVENTS, HEAD) == (numbers(SEGMENT_EVENTS, 2 * SEGMENT_EVENTS), 500)
    assert segments.rest("item", HEAD - 1, HEAD - 1) is None


def test_a_kept_segment_is_read_once_in_each_form() -> None:
    reads = Reads()
    segments = Segments(reads)
    for _ in range(3):
        cut(segments, 0, 2 * SEGMENT_EVENTS)
        cut(segments, 7, 9, build=False)
        segments.find("line", 0, SEGMENT_EVENTS, HEAD)
    assert reads.places == [0, SEGMENT_EVENTS, 0]


def test_a_small_page_reads_no_segment() -> None:
    reads = Reads()
    assert cut(Segments(reads), 0, 5, build=False) is None
    assert not reads.places


def test_the_segment_of_the_head_is_not_kept() -> None:
    reads = Reads()
    assert Segments(reads).find("item", 0, SEGMENT_EVENTS, SEGMENT_EVENTS - 1) is None
    assert not reads.places


def test_segments_that_were_not_used_for_longest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads()
    segments = Segments(reads)
    cut(segments, 0, SEGMENT_EVENTS)
    monkeypatch.setattr(segments_module, "SEGMENTS_BYTES_MAX", 2 * segments._bytes + SEGMENT_EVENTS)
    for place in (1, 0, 2, 0, 1):
        cut(segments, place * SEGMENT_EVENTS, (place + 1) * SEGMENT_EVENTS)
        assert segments._bytes <= segments_module.SEGMENTS_BYTES_MAX
    assert [place // SEGMENT_EVENTS for place in reads.places] == [0, 1, 2, 1]


def test_a_segment_that_is_too_large_is_not_kept_and_not_read_again() -> None:
    reads = Reads()
    segments = Segments(reads)
    reads.count -= 1
    assert [cut(segments, 0, SEGMENT_EVENTS) for _ in range(3)] == [None] * 3
    assert reads.places == [0]


def test_a_damaged_segment_is_read_again_until_it_is_repaired() -> None:
    reads = Reads()
    segments = Segments(reads)
    reads.more = UNDECODABLE
    assert cut(segments, 0, SEGMENT_EVENTS) is None
    reads.more = b""
    assert cut(segments, 0, SEGMENT_EVENTS) == numbers(0, SEGMENT_EVENTS)


def test_what_was_read_before_an_erasure_is_not_kept_after_it() -> None:
    reads = Reads()
    segments = Segments(reads)
    reads.meanwhile = segments.forget
    cut(segments, 0, SEGMENT_EVENTS)
    assert not segments._kept
    assert segments._bytes == 0


# Over a log


async def fill(parts: ControlPlane, count: int, chars: int = 1) -> None:
    """Append events of two types."""
    made: tuple[Fact, ...] = ()
    for number in range(count // 2):
        session_id = f"{number}" + "é" * chars
        created = SessionCreated(session_id=session_id)
        made += (
            Fact(stream=session.stream(session_id), event=created, session_id=session_id),
            Fact(stream=plane_room.STREAM, event=plane_room.AuthzModeActive(mode="off")),
        )
    await parts.log.submit(lambda reader, context: Outcome(facts=made), META)


async def test_pages_from_segments_are_the_pages_of_the_log(parts: ControlPlane) -> None:
    await fill(parts, 3 * SEGMENT_EVENTS)
    feed, reader = parts.feed, parts.reader
    cutting = 0
    for after in (0, 1, 100, SEGMENT_EVENTS - 1, SEGMENT_EVENTS, 400, 2 * SEGMENT_EVENTS, reader.head() - 3):
        for limit in (1, 2, SEGMENT_EVENTS // 2, SEGMENT_EVENTS, 500):
            found = feed.page(after, limit, reader.head())
            plain = page(NO_FILTER, after, limit, reader, None)
            if found is not None:
                cutting += 1
                assert found == success(records_of(plain, reader))
    assert cutting > 20


@pytest.mark.parametrize("form", ["event", "message"])
async def test_streams_from_segments_show_the_frames_of_the_log(parts: ControlPlane, form: Form) -> None:
    parts.feed.follow(form)
    await fill(parts, 3 * SEGMENT_EVENTS)
    head = parts.reader.head()
    await parts.feed.ring.wait(head - 1)
    parts.feed.ring.restart(head)
    frames = rendered(form, parts.reader.shown(0, head), parts.reader)
    for start in (0, 7, SEGMENT_EVENTS, head - 2, head):
        sent: list[bytes] = []
        position = start
        while position < head:
            some, position = parts.feed.frames(form, position, None)
            sent += some
        assert b"".join(sent) == b"".join(frames[start:])
    parts.feed.leave(form)


@pytest.mark.parametrize("matches", [NO_FILTER, FeedFilter(types=frozenset({"AUTHZ_MODE_ACTIVE"}))])
async def test_a_subscriber_anywhere_in_the_ring_gets_what_follows(parts: ControlPlane, matches: FeedFilter) -> None:
    feed = parts.feed
    feed.follow("event")
    before = parts.reader.head()
    for count in (2, 4, 6):
        await fill(parts, count, chars=count)
        await feed.ring.wait(parts.reader.head() - 1)
    rows = parts.reader.shown(before, 100)
    assert feed.ring.pieces("event", before) is not None
    wanted = None if matches is NO_FILTER else matches.matches
    for start in range(before, parts.reader.head() + 1):
        expected = rendered("event", [row for row in rows if row[0] > start and matches.matches(row)], parts.reader)
        shown, reached = feed.frames("event", start, wanted)
        assert (b"".join(shown), reached) == (b"".join(expected), parts.reader.head())
    feed.leave("event")


async def test_a_form_that_a_piece_of_the_ring_lacks_is_read_from_the_log(parts: ControlPlane) -> None:
    feed = parts.feed
    feed.follow("event")
    before = parts.reader.head()
    await fill(parts, 2)
    await feed.ring.wait(before + 1)
    assert feed.ring.pieces("message", before) is None
    shown, reached = feed.frames("message", before, None)
    assert (shown, reached) == (rendered("message", parts.reader.shown(before, 9), parts.reader), before + 2)
    feed.leave("event")


async def test_a_stream_whose_pages_are_large_takes_turns_until_it_has_caught_up(parts: ControlPlane) -> None:
    parts.feed.follow("event")
    await fill(parts, 12, chars=INLINE_BYTES_MAX // 4)
    await parts.feed.ring.wait(parts.reader.head() - 1)
    parts.feed.ring.restart(parts.reader.head())
    with parts.feed.open(NO_FILTER, None, None) as subscription:
        more = [subscription.take()[1] for _ in range(4)]
    assert more[:2] == [True, True]
    parts.feed.leave("event")


@pytest.mark.parametrize("takes", [True, False])
async def test_a_new_event_is_pushed_without_a_turn_of_the_task(parts: ControlPlane, *, takes: bool) -> None:
    pushed: list[bytes] = []

    def push(content: bytes) -> bool:
        pushed.append(content)
        return takes

    with anyio.fail_after(PATIENCE_SECONDS), parts.feed.open(NO_FILTER, "latest", None) as subscription:
        before = parts.reader.head()
        subscription.take()
        subscription.push = push
        waiting = asyncio.create_task(subscription.wait())
        await anyio.wait_all_tasks_blocked()
        await fill(parts, 2)
        while not pushed:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        expected = rendered("event", parts.reader.shown(before, 9), parts.reader)
        assert pushed == [b"".join(expected)]
        assert waiting.done() is not takes
        assert b"".join(subscription.take()[0]) == (b"" if takes else b"".join(expected))
        waiting.cancel()


def test_a_segment_of_nothing_is_empty() -> None:
    assert Segment(7, []).cut(7, 9) == b""
