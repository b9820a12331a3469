"""The table of events that only ever follow another one: each row has a forged log that breaks it, and one that holds.

The logs are rightly chained. The forgeries are made from the rows, so a new row has one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from athena_core.domain import DECIDERS, EVENTS, plane, template
from athena_core.event import Event
from athena_core.log.codec import Encoded
from athena_core.services.proof.rules.precedence import BEGINNINGS, PRECEDENCES, Precedence
from docs.generate import precedence_table
from tests.support.event_samples import CODEC, row_of, samples
from tests.support.forged_log import FILLER, Forge


def recorded(kind: type[Event]) -> Iterator[Event]:
    """Yield the samples of an event type in its current shape."""
    for sample in samples():
        if (sample.type, sample.schema_version) == (kind.TYPE, kind.SCHEMA):
            extra, text = (None if column is None else column.encode() for column in (sample.extra, sample.text))
            encoded = Encoded(sample.type, sample.schema_version, sample.data.encode(), extra, text)
            event: Event = CODEC.decode(row_of(encoded)).event
            yield event


def stream_of(kind: type[Event]) -> str:
    (category,) = (decider.category for decider in DECIDERS if kind in decider.events)
    return "run_1" if kind is template.RunTemplateRun else category if category == plane.STREAM else f"{category}_1"


class Pair:
    """An event and the one that it follows, with their streams."""

    def __init__(self, row: Precedence, after: type[Event]) -> None:
        made = next(event for event in recorded(row.kind) if all(getattr(event, name, None) for name, _ in row.by))
        fields = [(name, getattr(made, name), other) for name, other in row.by]
        self.event, self.stream = made, stream_of(row.kind)
        self.before, self.place = next(recorded(after)), stream_of(after)
        if row.where in {"named", "ended"}:
            (_, value, prefix) = fields[0]
            self.place = prefix + value
        else:
            self.before = replace(self.before, **{other: value for _, value, other in fields})
            self.place = self.place if row.where == "command" else self.stream


def found(forge: Forge) -> list[tuple[str, int | None]]:
    """Return the rules that the last event breaks."""
    report = forge.report(whole=True)
    return [(one.rule, one.position) for one in report.violations if one.position == forge.position]


def name(value: object) -> str:
    if isinstance(value, Precedence):
        return f"{value.kind.TYPE}-{value.where}-{value.rule}"
    return value.TYPE if isinstance(value, type) and issubclass(value, Event) else ""


@pytest.mark.parametrize("row", PRECEDENCES, ids=name)
def test_an_event_out_of_nothing_is_found(forge: Forge, row: Precedence) -> None:
    forge.add("plane", FILLER)
    pair = Pair(row, row.after[0])
    forge.add(pair.stream, pair.event)
    assert (row.rule, 2) in found(forge)


@pytest.mark.parametrize(
    "row", [row for row in PRECEDENCES if row.rule == "precedence" and row.where in {"command", "both"}], ids=name
)
def test_an_event_in_another_command_than_what_it_follows_is_found(forge: Forge, row: Precedence) -> None:
    pair = Pair(row, row.after[0])
    forge.add(pair.place, pair.before)
    forge.add(pair.stream, pair.event)
    assert (row.rule, 2) in found(forge)


@pytest.mark.parametrize(
    ("row", "after"), [(row, after) for row in PRECEDENCES for after in row.after if row.rule == "precedence"], ids=name
)
def test_an_event_behind_what_it_follows_is_right(forge: Forge, row: Precedence, after: type[Event]) -> None:
    others = [other for other in PRECEDENCES if other.rule == "precedence" and other.kind is row.kind and other != row]
    pair, command = Pair(row, after), forge.ids.new("cmd")
    for other in others:
        beside = Pair(other, other.after[0])
        forge.add(beside.place, beside.before, command=command)
    forge.add(pair.place, pair.before, command=command)
    forge.add(pair.stream, pair.event, command=command)
    assert "precedence" not in [rule for rule, _ in found(forge)]


def test_each_event_type_follows_another_one_or_is_named_as_a_beginning() -> None:
    following = {row.kind for row in PRECEDENCES}
    assert (following | set(BEGINNINGS), following & set(BEGINNINGS)) == (set(EVENTS), set())
    assert len(set(BEGINNINGS)) == len(BEGINNINGS)


def test_the_page_lists_every_row() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "reference" / "log-format.md").read_text()
    assert precedence_table() in page
    assert precedence_table().count("\n") == 1 + len(PRECEDENCES)
