"""The table of events that only ever follow another one: each row has forged logs that break it, and one that holds.

The forgeries are made from the rows, so a new row has one: an event in a log with hardly anything else, rightly
chained, and the log of a golden state that lacks just the event that another one follows.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from athena_core.domain import DECIDERS, EVENTS, plane, template
from athena_core.event import Event
from athena_core.log.codec import Encoded
from athena_core.log.engine import open_archive
from athena_core.protocols import Row
from athena_core.services.proof.rules import Rules
from athena_core.services.proof.rules.precedence import BEGINNINGS, PRECEDENCES, Precedence
from docs.generate import precedence_table
from tests.support.event_samples import CODEC, row_of, samples
from tests.support.forged_log import FILLER, Forge
from tests.support.golden import STATES
from tests.support.records import all_rows

UNSEEN = {
    "a2a.dlq.added-named-precedence-previous_id",
    "a2a.message.sent-command-precedence-dead_letter_id",
    "run.ask.opened-stream-openings",
    "run.queued-named-precedence-workflow_run_id",
    "workspace.exact-opened-stream-workspace_uses",
}
"""Rows without an example in the golden states. Their forgeries are only made from samples."""

PREFIXES = ("", "session:", "mcp:", "work:", "review:", "memory:")
PROVED_ELSEWHERE = {
    ("harness_profile_id", ""): "the default profile has no stream",
    ("workflow_id", ""): "the beginning of the stream has it",
    ("workspace_id", ""): "the beginning of the stream, or the opening in the run, has it",
    ("session_id", "session:"): "the run that is named has it",
    ("directive_id", ""): "the run of the stream has it",
    ("because", "session:"): "a text: it names what was free",
    ("because", "work:"): "a text: it names what was free",
    ("owner", "session:"): "the beginning of the stream has it",
    ("id", "session:"): "a schedule may have the name of a session",
    ("target_run_id", ""): "a refused run of a schedule has no stream",
}
"""Fields that name earlier streams, and why no rule needs to say so."""


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
        made = max(recorded(row.kind), key=lambda event: [getattr(event, name) is not None for name, _ in row.by])
        absent = {name: stream_of(after) for name, _ in row.by if getattr(made, name) is None}
        made = replace(made, **absent)
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
        return "-".join((value.kind.TYPE, value.where, value.rule, *(field for field, _ in value.by)))
    return value.TYPE if isinstance(value, type) and issubclass(value, Event) else ""


@cache
def honest_logs() -> list[list[tuple[Row, Event]]]:
    """Return the events of all golden states."""
    logs = []
    for state in STATES:
        with TemporaryDirectory() as place:
            state.unpack(Path(place))
            archive = open_archive(next(Path(place).rglob("log.db")).parent, None)
            with closing(archive), closing(archive.reader()) as reader:
                logs.append([(row, CODEC.decode(row).event) for row in all_rows(reader)])
    return logs


def broken_rules(log: Sequence[tuple[Row, Event]], without: set[int], at: int | None = None) -> set[str]:
    """Return the rules that a log breaks without some rows, numbered anew: all, or those at a position."""
    rules, versions, found = Rules(), dict[str, int](), set[str]()
    for row, event in log:
        if row.position not in without:
            versions[row.stream] = versions.get(row.stream, 0) + 1
            broken = rules.look(row._replace(version=versions[row.stream]), event)
            found |= {name for name, _ in broken if at in {None, row.position}}
    return found


def followed(log: Sequence[tuple[Row, Event]], row: Precedence) -> set[int]:
    """Return the positions of what the last event of a log follows by a row of the table."""
    last, event = log[-1]
    values = [getattr(event, name) for name, _ in row.by]
    if row.where in {"named", "ended"} and values[0] is not None:
        stream = row.by[0][1] + values[0]
        return {
            one.position
            for one, other in log
            if one.stream == stream and (row.where == "named" or other.TYPE in types(row))
        }
    return {
        one.position
        for one, other in log[:-1]
        if other.TYPE in types(row)
        and (one.stream == last.stream or row.where == "command")
        and (one.command_id == last.command_id or row.where == "stream")
        and values == [getattr(other, name) for _, name in row.by]
    }


def types(row: Precedence) -> set[str]:
    return {kind.TYPE for kind in row.after}


@pytest.mark.parametrize("row", PRECEDENCES, ids=name)
def test_an_honest_log_that_lacks_just_what_an_event_follows_is_found(row: Precedence) -> None:
    tried = 0
    for log in honest_logs():
        places = [number for number, (_, event) in enumerate(log) if type(event) is row.kind]
        until = ((log[: number + 1], followed(log[: number + 1], row)) for number in places)
        for before, removed in [one for one in until if one[1]][:1]:
            assert broken_rules(before, set()) == set()
            assert {row.rule, "endings"} & broken_rules(before, removed)
            tried += 1
    assert bool(tried) != (name(row) in UNSEEN)


def beside(row: Precedence) -> Event:
    """Return an event that what a row of the table is about does not follow."""
    return next(recorded(plane.AuthzDenied)) if type(FILLER) in row.after else FILLER


@pytest.mark.parametrize("row", PRECEDENCES, ids=name)
def test_an_event_out_of_nothing_is_found(forge: Forge, row: Precedence) -> None:
    forge.add(plane.STREAM, beside(row))
    pair = Pair(row, row.after[0])
    forge.add(pair.stream, pair.event)
    assert (row.rule, 2) in found(forge)


@pytest.mark.parametrize(
    "row", [row for row in PRECEDENCES if row.rule == "precedence" and row.where in {"command", "both"}], ids=name
)
def test_an_event_in_another_command_than_what_it_follows_is_found(forge: Forge, row: Precedence) -> None:
    pair, command = Pair(row, row.after[0]), forge.ids.new("cmd")
    forge.add(pair.place, pair.before)
    forge.add(plane.STREAM, beside(row), command=command)
    forge.add(pair.stream, pair.event, command=command)
    assert (row.rule, 3) in found(forge)


@pytest.mark.parametrize(
    ("row", "after"), [(row, after) for row in PRECEDENCES for after in row.after if row.rule == "precedence"], ids=name
)
def test_an_event_behind_what_it_follows_is_right(forge: Forge, row: Precedence, after: type[Event]) -> None:
    others = [other for other in PRECEDENCES if other.rule == "precedence" and other.kind is row.kind and other != row]
    pair, command = Pair(row, after), forge.ids.new("cmd")
    for other in others:
        first = Pair(other, other.after[0])
        forge.add(first.place, first.before, command=command)
    forge.add(pair.place, pair.before, command=command)
    forge.add(pair.stream, pair.event, command=command)
    assert "precedence" not in [rule for rule, _ in found(forge)]


def test_each_field_that_names_what_was_there_is_proved() -> None:
    """If a field names an earlier stream in all golden states, the event breaks a rule without that stream."""
    named, strangers = dict[tuple[str, str, str], tuple[int, int, str]](), set[tuple[str, str, str]]()
    for which, log in enumerate(honest_logs()):
        seen = set[str]()
        for number, (row, event) in enumerate(log):
            values = ((field, getattr(event, field)) for field in type(event).__struct_fields__)
            for field, prefix in itertools.product(
                ((field, value) for field, value in values if isinstance(value, str) and value), PREFIXES
            ):
                place = (row.type, field[0], prefix)
                if (stream := prefix + field[1]) not in seen - {row.stream}:
                    strangers.add(place)
                else:
                    named.setdefault(place, (which, number, stream))
            seen.add(row.stream)
    unproved = set[str]()
    for place, (which, number, stream) in named.items():
        if place not in strangers and (place[1], place[2]) not in PROVED_ELSEWHERE:
            log = honest_logs()[which][: number + 1]
            without = {row.position for row, _ in log if row.stream == stream}
            if not broken_rules(log, without, at=log[-1][0].position):
                unproved.add(f"{place[0]} {place[1]}")
    assert unproved == {"work.enqueued message_id"}, "a message that is sent again stands behind its item"


def test_each_event_type_follows_another_one_or_is_named_as_a_beginning() -> None:
    following = {row.kind for row in PRECEDENCES}
    assert (following | set(BEGINNINGS), following & set(BEGINNINGS)) == (set(EVENTS), set())
    assert len(set(BEGINNINGS)) == len(BEGINNINGS)


def test_the_page_lists_every_row() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "reference" / "log-format.md").read_text()
    assert precedence_table() in page
    assert precedence_table().count("\n") == 1 + len(PRECEDENCES)
