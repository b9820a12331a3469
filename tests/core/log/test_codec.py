"""Tests of the codec: every event comes back as it went, from this release, an older and a newer one."""

import json
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.decider import Decider
from athena_core.domain import DECIDERS, EVENTS
from athena_core.event import EXTRA, TEXT, Event, Text, Unknown, Value
from athena_core.log.codec import UPCASTERS, Codec, Encoded, at_of, with_decided_at
from athena_core.values import Body
from tests.core.log.made import made
from tests.support.event_samples import CODEC, Sample, row_of, samples

SALT = bytes(range(16))


def parts(kind: type[Event]) -> dict[str, str]:
    """Return the public name of each field and its column."""
    hints = {field.encode_name: field.type for field in msgspec.inspect.type_info(kind).fields}  # type: ignore[attr-defined]
    return {
        name: (info.extra or {}).get("part", "data") if isinstance(info, msgspec.inspect.Metadata) else "data"
        for name, info in hints.items()
    }


# Every event of this release


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TYPE)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_event_comes_back_as_it_went(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(made(kind))
    encoded = CODEC.encode(event, lambda: SALT)
    assert CODEC.decode(row_of(encoded)).event == event
    columns = {
        "data": json.loads(encoded.data),
        "extra": json.loads(encoded.extra or b"{}"),
        "text": json.loads(encoded.text or b"{}"),
    }
    assert columns["text"].pop("salt", SALT.hex()) == SALT.hex()
    placed = {name: column for column, members in columns.items() for name in members}
    assert placed == {name: column for name, column in parts(kind).items() if name in placed}
    assert set(msgspec.to_builtins(event)) <= set(placed)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TYPE)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_an_event_without_its_text_lacks_only_its_text(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(made(kind))
    encoded = CODEC.encode(event, lambda: SALT)
    kept = {name: value for name, value in msgspec.to_builtins(event).items() if parts(kind)[name] != "text"}
    for bare in (CODEC.decode(row_of(encoded), text=False), CODEC.decode(row_of(encoded, text=None))):
        assert msgspec.to_builtins(bare.event) == kept


def test_the_envelope_is_the_rows() -> None:
    recorded = CODEC.decode(row_of(Encoded("later.invented", 1, b"{}", None, None)))
    assert (recorded.position, recorded.stream, recorded.version, recorded.type) == (7, "pot_a", 3, "later.invented")
    assert (recorded.recorded_at, recorded.command_id, recorded.correlation) == (1_767_225_600_000, "cmd_1", "trace-1")
    assert (recorded.causation, recorded.actor, recorded.session_id, recorded.run_id) == (5, "ada", "s", "r")
    assert recorded.mark == bytes(range(4))


# The columns


class Kept(Event):
    """An event with one field in each column, and a value that clients write."""

    TYPE: ClassVar[str] = "thing.kept"

    class Inner(Body):
        size: int
        names: tuple[str, ...] = ()

    class Outer(Value):
        inners: tuple["Kept.Inner", ...]

    number_of_things: int
    inner: Inner
    outer: Outer | None = None
    said: Text = None
    lines: Annotated[tuple[str, ...] | None, TEXT] = None
    beside: Annotated[Inner | None, EXTRA] = None


KEPT = Codec((Kept,))
WHOLE = Kept(
    number_of_things=3,
    inner=Kept.Inner(size=1),
    outer=Kept.Outer(inners=(Kept.Inner(size=2), Kept.Inner(size=3))),
    said="hello",
    lines=("a", "b"),
    beside=Kept.Inner(size=4),
)


def test_each_field_is_stored_in_its_column() -> None:
    encoded = KEPT.encode(WHOLE, lambda: SALT)
    assert json.loads(encoded.data) == {
        "numberOfThings": 3,
        "inner": {"size": 1},
        "outer": {"inners": [{"size": 2}, {"size": 3}]},
    }
    assert json.loads(encoded.text or b"") == {"salt": SALT.hex(), "said": "hello", "lines": ["a", "b"]}
    assert json.loads(encoded.extra or b"") == {"beside": {"size": 4}}
    assert KEPT.decode(row_of(encoded)).event == WHOLE


def test_columns_with_nothing_in_them_are_null() -> None:
    encoded = KEPT.encode(Kept(number_of_things=3, inner=Kept.Inner(size=1)), lambda: SALT)
    assert (encoded.extra, encoded.text) == (None, None)


def test_an_empty_text_is_a_text() -> None:
    event = Kept(number_of_things=3, inner=Kept.Inner(size=1), said="", lines=())
    assert KEPT.decode(row_of(KEPT.encode(event, lambda: SALT))).event == event


@pytest.mark.parametrize("event", [Unknown(type="later.invented"), Event(), Kept(number_of_things=1, inner=None)])  # type: ignore[arg-type]
def test_only_registered_events_are_encoded(event: Event) -> None:
    codec = Codec(())
    with pytest.raises(KeyError, match="is not a registered event"):
        codec.encode(event, lambda: SALT)


class Presumed(Event):
    TYPE: ClassVar[str] = "thing.presumed"
    kind: str = "board"


def test_a_default_that_would_not_be_stored_is_refused() -> None:
    with pytest.raises(TypeError, match="Presumed has a default that is not None"):
        Codec((Presumed,))


def test_an_event_is_registered_by_its_class_not_by_its_tag() -> None:
    class Impostor(Event):
        TYPE: ClassVar[str] = "thing.kept"

    with pytest.raises(KeyError, match="Impostor"):
        KEPT.encode(Impostor(), lambda: SALT)


@pytest.mark.parametrize("said", ["\ud800", object()])
def test_values_that_have_no_bytes_are_refused(said: Any) -> None:
    with pytest.raises((UnicodeEncodeError, TypeError)):
        KEPT.encode(Kept(number_of_things=1, inner=Kept.Inner(size=1), said=said), lambda: SALT)


# Other releases


def test_an_unknown_tag_is_carried() -> None:
    row = row_of(Encoded("later.invented", 9, b"\x00 not even JSON", b"x", b"y"))
    assert CODEC.decode(row).event == Unknown(type="later.invented")


def test_a_newer_shape_of_an_event_is_refused() -> None:
    with pytest.raises(ValueError, match=r"position 7, thing.kept: written by a newer release"):
        KEPT.decode(row_of(KEPT.encode(WHOLE, lambda: SALT), schema_version=2))


@pytest.mark.parametrize(
    "data",
    [
        b'{"numberOfThings":3,"inner":{"size":1},"new":{"a":[1]}}',
        b'{"numberOfThings":3,"inner":{"size":1,"new":true}}',
        b'{"numberOfThings":3,"inner":{"new":{"a":1},"other":2,"size":1}}',
        b'{"numberOfThings":3,"inner":{"size":1},"outer":{"new":1,"inners":[{"size":2},{"size":3,"new":1}]}}',
    ],
)
def test_fields_that_a_newer_release_added_are_passed_over(data: bytes) -> None:
    event = KEPT.decode(row_of(KEPT.encode(WHOLE, lambda: SALT), data=data, text=None, extra=None)).event
    assert isinstance(event, Kept)
    assert (event.number_of_things, event.inner) == (3, Kept.Inner(size=1))
    assert event.outer in (None, WHOLE.outer)


@pytest.mark.parametrize("column", ["text", "extra"])
def test_so_are_those_in_the_other_columns(column: str) -> None:
    encoded = KEPT.encode(WHOLE, lambda: SALT)
    stored = json.loads(getattr(encoded, column) or b"") | {"new": [1]}
    assert KEPT.decode(row_of(encoded, **{column: json.dumps(stored).encode()})).event == WHOLE


@pytest.mark.parametrize(
    "damage",
    [
        {"data": b"{"},
        {"data": b'{"inner":{"size":1}}'},
        {"data": b'{"numberOfThings":"3","inner":{"size":1}}'},
        {"data": b'{"numberOfThings":"3","inner":{"size":1,"new":1}}'},
        {"data": b'{"numberOfThings":3,"inner":{"size":1},"outer":"\xff"}'},
        {"data": b"[]"},
        {"text": b'{"said":1}'},
        {"text": b"x"},
        {"extra": b'{"beside":{}}'},
        {"schema_version": 0},
    ],
)
def test_damaged_bytes_are_an_error_that_names_the_position(damage: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="position 7, thing.kept"):
        KEPT.decode(row_of(KEPT.encode(WHOLE, lambda: SALT), **damage))


class Measured(Event):
    """The third shape of an event: first ``inches``, then ``length`` with ``unit``, now millimetres."""

    TYPE: ClassVar[str] = "thing.measured"
    SCHEMA: ClassVar[int] = 3
    millimetres: int
    kind: Literal["board", "beam"] | None = None


MEASURED = Codec(
    (Measured,),
    {
        ("thing.measured", 1): lambda old: {"length": old["inches"], "unit": "in"},
        ("thing.measured", 2): lambda old: {"millimetres": round(old["length"] * (25.4 if old["unit"] == "in" else 1))},
    },
)


@pytest.mark.parametrize(
    ("version", "data", "length"),
    [
        (1, b'{"inches":10}', 254),
        (2, b'{"length":10,"unit":"in"}', 254),
        (2, b'{"length":10,"unit":"mm"}', 10),
        (3, b'{"millimetres":10}', 10),
    ],
)
def test_old_shapes_are_lifted_step_by_step(version: int, data: bytes, length: int) -> None:
    row = row_of(Encoded("thing.measured", version, data, None, None))
    assert MEASURED.decode(row).event == Measured(millimetres=length)


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"inches":"ten"}'])
def test_a_damaged_old_shape_is_an_error_too(data: bytes) -> None:
    with pytest.raises(ValueError, match="position 7, thing.measured"):
        MEASURED.decode(row_of(Encoded("thing.measured", 1, data, None, None)))


def test_an_old_shape_without_an_upcaster_is_an_error() -> None:
    with pytest.raises(ValueError, match="no upcaster from version 1"):
        Codec((Measured,)).decode(row_of(Encoded("thing.measured", 1, b'{"inches":10}', None, None)))


# Samples: bytes that were stored once. Lines are added, never changed, as in a log.


@pytest.mark.parametrize("sample", list(samples()), ids=lambda sample: f"{sample.type}-{sample.schema_version}")
def test_a_sample_is_read_as_it_always_was(sample: Sample) -> None:
    extra, text = (None if column is None else column.encode() for column in (sample.extra, sample.text))
    row = row_of(Encoded(sample.type, sample.schema_version, sample.data.encode(), extra, text))
    recorded = CODEC.decode(row)
    assert not isinstance(recorded.event, Unknown)
    assert msgspec.json.decode(msgspec.json.encode(recorded.event)) == sample.fields
    assert recorded.decided_at == sample.decided_at


@pytest.mark.parametrize("decider", DECIDERS, ids=lambda decider: decider.category)
def test_only_types_that_are_guarded_occupy_or_release_something(decider: Decider[Any]) -> None:
    occupying: set[str] = set()
    for sample in samples():
        if sample.type in {kind.TYPE for kind in decider.events}:
            extra, text = (None if column is None else column.encode() for column in (sample.extra, sample.text))
            row = row_of(Encoded(sample.type, sample.schema_version, sample.data.encode(), extra, text))
            if decider.guards(CODEC.decode(row)):
                occupying.add(sample.type)
    assert occupying == decider.guarded


@given(
    st.none()
    | st.dictionaries(st.sampled_from(("policy", "decidedAt", 'a"decidedAt":1')) | st.text(), st.text(), max_size=3)
)
def test_a_decision_time_stands_last_beside_the_payload_and_is_the_only_one_that_is_read(
    extra: dict[str, str] | None,
) -> None:
    beside = {name: value for name, value in (extra or {}).items() if name != "decidedAt"}
    stored = msgspec.json.encode(beside) if beside else None
    paid = next(sample for sample in samples() if sample.type == "usage.recorded")
    row = row_of(Encoded(paid.type, 1, paid.data.encode(), stored, None))
    assert (CODEC.decode(row).decided_at, at_of(row)) == (None, row.recorded_at)
    nested = row._replace(extra=msgspec.json.encode(beside | {"policy": {"decidedAt": 7}}))
    assert at_of(nested) == row.recorded_at
    behind = row._replace(extra=with_decided_at(stored, 86_400_000))
    assert msgspec.json.decode(behind.extra or b"") == beside | {"decidedAt": 86_400_000}
    assert (CODEC.decode(behind).at, at_of(behind)) == (86_400_000, 86_400_000)
    damaged = row._replace(extra=b'{"decidedAt":"never"}')
    assert at_of(damaged) == row.recorded_at
    with pytest.raises(ValueError, match="position 7"):
        CODEC.decode(damaged)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TYPE)
def test_every_shape_of_every_event_has_a_sample(kind: type[Event]) -> None:
    have = {sample.schema_version for sample in samples() if sample.type == kind.TYPE}
    missing = set(range(1, kind.SCHEMA + 1)) - have
    assert not missing, f"add lines to tests/samples/ with what is stored of {kind.TYPE}, version {sorted(missing)}"


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TYPE)
def test_every_field_is_in_a_sample(kind: type[Event]) -> None:
    have = {name for sample in samples() if sample.type == kind.TYPE for name in sample.fields}
    missing = set(parts(kind)) - have
    assert not missing, f"add a line to tests/samples/ with {', '.join(sorted(missing))} of {kind.TYPE}"


def test_upcasters_lead_from_every_old_shape() -> None:
    needed = {(kind.TYPE, version) for kind in EVENTS for version in range(1, kind.SCHEMA)}
    assert set(UPCASTERS) == needed
