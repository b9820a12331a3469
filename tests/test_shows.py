"""Each event is handled where its declaration says, or excused there."""

import re
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from athena_core.domain import EVENTS, run
from athena_core.event import NOT_OF_A_RUN, Event, Position, Recorded, Shows
from athena_core.log.codec import Encoded
from athena_core.protocols import LogReader
from athena_core.services.proof.explain import Timeline
from athena_core.services.proof.recorded_requests import RunCourse
from athena_core.services.proof.rules import STANDS_IN_RUNS, Rules
from projections import ALL
from projections.audit import AUDIT
from tests.support.event_samples import CODEC, row_of, samples

CONSOLE = Path(__file__).resolve().parents[1] / "athena_api" / "dashboard" / "src"
RULES = dict(Rules().table)
OF_RUNS = {*run.DECIDER.events, *STANDS_IN_RUNS}


def recorded(kind: type[Event]) -> Iterator[Recorded[Any]]:
    """Yield the samples of an event type in its current shape."""
    for sample in samples():
        if (sample.type, sample.schema_version) == (kind.TYPE, kind.SCHEMA):
            extra, text = (None if column is None else column.encode() for column in (sample.extra, sample.text))
            yield CODEC.decode(row_of(Encoded(sample.type, sample.schema_version, sample.data.encode(), extra, text)))


class NoRows:
    """A log without rows."""

    def row(self, position: Position) -> None:
        return None


def explained(kind: type[Event]) -> bool:
    """Return True if a timeline has a sentence for the event."""
    for one in recorded(kind):
        story = Timeline(cast(LogReader, NoRows()), lambda position, mark: "", None)
        story.add(one)
        if story.causes:
            return True
    return False


def simulated(kind: type[Event]) -> bool:
    """Return True if the event changes a run of a simulation."""
    for one in recorded(kind):
        course = RunCourse(row_of(CODEC.encode(one.event, lambda: bytes(16))))
        before = {name: copy(value) for name, value in vars(course).items()}
        course.take(one)
        if vars(course) != before:
            return True
    return False


def named_by_the_console() -> set[str]:
    """Return every text in the console's own sources."""
    sources = [path.read_text() for path in CONSOLE.rglob("*.ts*") if not re.search(r"generated|tests?\.ts", path.name)]
    return {name for source in sources for name in re.findall(r'"([\w.-]+)"', source)}


NAMED = named_by_the_console()
PLACES: dict[str, Callable[[type[Event]], bool]] = {
    "views": lambda kind: any(kind in projection.events for projection in ALL),
    "verify": lambda kind: bool(RULES[kind].rules or RULES[kind].followers),
    "audit": lambda kind: kind in AUDIT.events,
    "explain": explained,
    "simulate": simulated,
    "console": lambda kind: kind.TYPE in NAMED,
}


def wrong(kind: type[Event]) -> Iterator[str]:
    """Yield the errors in the declaration of an event, place by place."""
    shows = vars(kind).get("SHOWS")
    if not isinstance(shows, Shows):
        yield f"{kind.__name__} has no SHOWS"
        return
    for place, handles in PLACES.items():
        said, handled = getattr(shows, place), handles(kind)
        if said is True and not handled:
            yield f"{place} does not handle {kind.TYPE}"
        elif said is not True and handled:
            yield f"{place} handles {kind.TYPE}, which is excused there: {said}"
        elif said == NOT_OF_A_RUN and kind in OF_RUNS:
            yield f"{place}: {kind.TYPE} stands in streams of runs"


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TYPE)
def test_each_event_is_handled_or_excused_in_each_place(kind: type[Event]) -> None:
    assert list(wrong(kind)) == []


def test_every_place_has_a_word_in_the_declaration() -> None:
    assert set(Shows.__struct_fields__) == PLACES.keys()


def test_a_missing_declaration_a_missing_handler_and_a_needless_excuse_are_noticed() -> None:
    class MadeUp(Event):
        TYPE: ClassVar[str] = "made.up"

    class Inheriting(run.RunPaused):
        TYPE: ClassVar[str] = "made.up"

    class Forgotten(run.RunStarted):
        SHOWS: ClassVar[Shows] = Shows(audit=True)

    class Excused(Forgotten):
        SHOWS: ClassVar[Shows] = Shows(console="it is not")

    assert list(wrong(MadeUp)) == ["MadeUp has no SHOWS"]
    assert list(wrong(Inheriting)) == ["Inheriting has no SHOWS"]
    RULES[Forgotten] = RULES[Excused] = RULES[run.RunStarted]
    assert "audit does not handle run.started" in list(wrong(Forgotten))
    assert "console handles run.started, which is excused there: it is not" in list(wrong(Excused))
