"""Input: every wrong body or query is a ConfigError that names its field; right ones are trimmed."""

import json
import threading
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_api.endpoint.body import Time, check_path, clamp_limit, decode_body, decode_query
from athena_api.endpoint.shapes import INPUT_FAULTS_MAX, InputError, shape_of
from athena_core.errors import ConfigError, Fault
from athena_core.event import Value
from athena_core.values import INTEGER_MAX, Body, ClientId, Count, Label, LongText, Metadata, Role
from tests.scale import sized


class Nested(Body):
    name: Label
    size: Count = 1


class Sample(Body):
    input: LongText
    session_id: ClientId | None = None
    note: Label | None = None
    mode: Literal["slow", "fast"] | None = None
    role: Role | None = None
    flag: bool | None = None
    count: int = 7
    ratio: float | None = None
    tools: tuple[Label, ...] = ()
    metadata: Metadata | None = None
    nested: Nested | None = None
    several: tuple[Nested, ...] | None = None
    anything: Any = None


class Tree(Body):
    name: Label
    children: "tuple[Tree, ...]" = ()


class Query(Value):
    text: str | None = None
    session_id: ClientId | None = None
    count: Count | None = None
    ratio: float | None = None
    flag: bool | None = None
    after: Time | None = None
    types: tuple[Label, ...] | None = None
    mode: Literal["slow", "fast"] | None = None


def sample(**fields: Any) -> Sample:
    return decode_body(Sample, json.dumps({"input": "i", **fields}).encode(), "runs.create")


def fault(type_: type, raw: bytes) -> Fault:
    with pytest.raises(ConfigError) as caught:
        decode_body(type_, raw, "runs.create")
    found = only(caught.value)
    where = "runs.create" if found.field == "body" else f"runs.create.{found.field}"
    assert caught.value.message == f"{where}: {found.reason}"
    return found


def only(error: ConfigError) -> Fault:
    assert isinstance(error.details, list)
    (found,) = error.details
    assert isinstance(found, Fault)
    return found


def wrong(**fields: Any) -> Fault:
    return fault(Sample, json.dumps({"input": "i", **fields}).encode())


# Accepted


def test_strings_are_trimmed() -> None:
    found = sample(
        input="  a b ",
        note=" n ",
        tools=[" t "],
        metadata={" k ": " v "},
        nested={"name": " m "},
        several=[{"name": "o "}],
    )
    assert (found.input, found.note, found.tools, found.metadata) == ("a b", "n", ("t",), {"k": "v"})
    assert found.nested == Nested(name="m")
    assert found.several == (Nested(name="o"),)


@pytest.mark.parametrize("absent", [None, "", " \t\n"])
def test_null_and_blank_are_absent(absent: str | None) -> None:
    assert sample(sessionId=absent, note=absent, mode=absent, role=absent) == sample()


def test_null_is_absent_for_other_types_than_strings() -> None:
    assert sample(flag=None, count=None, tools=None, metadata=None, nested=None, several=None) == sample()


def test_an_empty_body_is_an_empty_object() -> None:
    class Nothing(Body):
        note: Label | None = None

    assert decode_body(Nothing, b"", "x") == decode_body(Nothing, b" \n", "x") == Nothing()
    assert fault(Sample, b"").field == "input"
    assert fault(Sample, b"\x0b").field == "body", "what is blank elsewhere is no JSON"


def test_whole_numbers_may_have_a_point() -> None:
    assert sample(count=3.0).count == 3
    assert isinstance(sample(ratio=3).ratio, float)


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert decode_body(Sample, b'{"input":"a","input":"b"}', "x").input == "b"


def test_types_may_be_recursive() -> None:
    tree = decode_body(Tree, b'{"name":"a","children":[{"name":" b "}]}', "x")
    assert tree.children[0].name == "b"
    assert (
        fault(Tree, b'{"name":"a","children":[{"name":"b","children":[{"name":1}]}]}').field
        == "children[0].children[0].name"
    )


def test_anything_is_kept_as_it_is() -> None:
    assert sample(anything={" a ": [1, " b ", None, 1.5]}).anything == {" a ": [1, " b ", None, 1.5]}


def test_brackets_inside_strings_do_not_count() -> None:
    text = "[{" * 500 + '"\\'
    assert sample(input=text).input == text


def test_objects_may_be_wide() -> None:
    assert sample(anything=[[]] * 1000).anything == [[]] * 1000


# Refused, and the error


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"input": 5}, "input", "must be a string, not a number"),
        ({"input": None}, "input", "must be a string, not null"),
        ({"input": " "}, "input", "must not be blank"),
        ({"sessionId": 5}, "sessionId", "must be a string, not a number"),
        ({"sessionId": True}, "sessionId", "must be a string, not a boolean"),
        ({"sessionId": []}, "sessionId", "must be a string, not a list"),
        ({"sessionId": {}}, "sessionId", "must be a string, not an object"),
        ({"sessionId": "a b"}, "sessionId", "must match ^[A-Za-z0-9._-]+$"),
        ({"sessionId": "a\n"}, "sessionId", "must match ^[A-Za-z0-9._-]+$"),
        ({"sessionId": "a" * 129}, "sessionId", "must have at most 128 characters, not 129"),
        ({"mode": "medium"}, "mode", "must be one of fast, slow"),
        ({"mode": 5}, "mode", "must be a string, not a number"),
        ({"role": "admin"}, "role", "must be one of None, Viewer, Operator, Admin"),
        ({"flag": 1}, "flag", "must be a boolean, not a number"),
        ({"flag": "true"}, "flag", "must be a boolean, not a string"),
        ({"count": "1"}, "count", "must be an integer, not a string"),
        ({"count": True}, "count", "must be an integer, not a boolean"),
        ({"count": 1.5}, "count", "must be an integer"),
        ({"count": 2**53}, "count", "OUT_OF_RANGE: must be at most 9007199254740991"),
        ({"count": -(10**300)}, "count", "OUT_OF_RANGE: must be at least -9007199254740991"),
        ({"tools": "a"}, "tools", "must be a list, not a string"),
        ({"tools": ["a", ""]}, "tools[1]", "must not be blank"),
        ({"tools": ["a", "b", 5]}, "tools[2]", "must be a string, not a number"),
        ({"metadata": []}, "metadata", "must be an object, not a list"),
        ({"metadata": {"a": "b", "foo": 5}}, "metadata.foo", "must be a string, not a number"),
        ({"metadata": {"foo": " "}}, "metadata.foo", "must not be blank"),
        ({"metadata": {" ": "a"}}, "metadata", "has a key that must not be blank"),
        ({"metadata": {str(key): "a" for key in range(257)}}, "metadata", "must have at most 256 keys, not 257"),
        ({"nested": {}}, "nested.name", "is required"),
        ({"nested": {"name": "a", "size": 0}}, "nested.size", "OUT_OF_RANGE: must be at least 1"),
        ({"several": [{"name": "a"}, {"name": "a", "b": 1}]}, "several[1].b", "is not a known field"),
        ({"session_id": "a"}, "session_id", "is not a known field"),
        ({"": 1}, '""', "is not a known field"),
        ({"x" * 5000: 1}, "x" * 100, "is not a known field"),
        ({"a\x1b[31m": 1}, "a?[31m", "is not a known field"),
        ({"anything": [0, {"a": 2**53}]}, "anything[1].a", "OUT_OF_RANGE: must be within ±9007199254740991"),
        ({"anything": [0, {"a": "b\0"}]}, "anything[1].a", "holds a NUL character"),
        ({"anything": {"a\0": 1}}, "anything.a?", "holds a NUL character"),
        ({"unknown": {"a": ["\0"]}}, "unknown.a[0]", "holds a NUL character"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str, reason: str) -> None:
    found = wrong(**fields)
    assert (found.field, found.reason) == (field, reason)


def test_a_remedy_says_what_belongs_there() -> None:
    assert wrong(note=1).remedy == "a string of 1 to 1000 characters"
    assert wrong(mode=1).remedy == "one of fast, slow"
    assert wrong(nested=1).remedy == "an object with name, size"
    assert wrong(nested={"name": "a", "size": "b"}).remedy == "an integer from 1 to 9007199254740991"
    assert (wrong(nope=1).remedy or "").startswith("one of input, sessionId, ")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "must be an object, not a list"),
        (b"5", "must be an object, not a number"),
        (b"null", "must be an object, not null"),
        (b'"a"', "must be an object, not a string"),
        (b'{"input":"a"', "is not valid JSON: it ends too early, or a surrogate escape lacks its other half"),
        (b'{"input":"a",}', "is not valid JSON: trailing comma in object (at byte 13)"),
        (b'{"input":"a"}{}', "is not valid JSON: trailing characters (at byte 14)"),
        (b'{"input":NaN}', "is not valid JSON: invalid character (at byte 9)"),
        (b'{"input":-Infinity}', "is not valid JSON: invalid character (at byte 10)"),
        (b'\xef\xbb\xbf{"input":"a"}', "starts with a byte order mark"),
        ('{"input":"a"}'.encode("utf-16"), "is not valid JSON: invalid character (at byte 0)"),
        ('{"input":"a"}'.encode("utf-16-be"), "is not valid JSON: invalid character (at byte 0)"),
        (b'{"input":"\xff"}', "is not valid UTF-8"),
        (b'{"input":"\xc0\x80"}', "is not valid UTF-8"),
        (b'{"input":"\xed\xa0\x80"}', "is not valid UTF-8"),
        (b'{"input":"\\udc00"}', "is not valid JSON: invalid utf-16 surrogate pair (at byte 16)"),
        (
            b'{"input":"a","anything":' + b"[" * 64 + b"]" * 64 + b"}",
            "JSON_TOO_DEEP: is nested more than 64 levels deep",
        ),
        (b"[" * 1_000_000, "JSON_TOO_DEEP: is nested more than 64 levels deep"),
        (b'{"a":' * 200_000, "JSON_TOO_DEEP: is nested more than 64 levels deep"),
    ],
)
def test_an_error_about_the_whole_body_names_no_field(raw: bytes, reason: str) -> None:
    found = fault(Sample, raw)
    assert found.field == "body"
    assert found.reason == reason


def test_64_levels_are_not_too_deep() -> None:
    assert decode_body(Sample, b'{"input":"a","anything":' + b"[" * 63 + b"]" * 63 + b"}", "x").anything


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"input":"a","ratio":1e400}', "ratio"),
        (b'{"input":"a","count":-1e400}', "count"),
        (b'{"input":"a","anything":{"b":[1e400]}}', "anything.b[0]"),
        (b'{"input":"a","count":' + b"9" * 4_300 + b"}", "count"),
        (b'{"input":"a","count":' + b"9" * 100_000 + b"}", "count"),
        (b'{"input":"a","count":-' + b"9" * 100_000 + b"}", "count"),
        (b'{"input":"a","count":1e400,"count":1}', "body"),
        (b'{"input":"a","count":1e400,', "body"),
    ],
)
def test_numbers_that_no_machine_holds_are_out_of_range(raw: bytes, field: str) -> None:
    found = fault(Sample, raw)
    assert found.field == field
    assert found.reason.startswith("OUT_OF_RANGE")


def test_a_small_stack_suffices() -> None:
    found: list[Fault] = []
    threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: found.append(fault(Sample, b"[" * 1_000_000)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(0)
    assert found[0].reason.startswith("JSON_TOO_DEEP")


def test_a_type_that_no_input_may_have_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="not supported as the type of an input"):
        decode_body(msgspec.defstruct("Odd", [("raw", bytes)]), b"{}", "x")


# Anything at all


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@settings(max_examples=sized(30, 100, 1_000))
@given(ANY_JSON)
def test_any_json_is_decoded_or_a_config_error(value: Any) -> None:
    attempt(Sample, json.dumps(value).encode())


@settings(max_examples=sized(30, 100, 1_000))
@given(st.sampled_from(sorted(Sample.__struct_encode_fields__)), ANY_JSON)
def test_any_field_is_decoded_or_named(name: str, value: Any) -> None:
    raw = json.dumps({"input": "i", name: value}).encode()
    error = attempt(Sample, raw)
    if error is not None:
        assert isinstance(error.details, list)
        assert all(fault.field.startswith(name) for fault in error.details)


@settings(max_examples=sized(30, 100, 1_000))
@given(ANY_JSON | st.dictionaries(st.sampled_from(["input", "nested", "several", "tools", "metadata", "x"]), ANY_JSON))
def test_a_value_has_faults_if_it_is_refused(value: Any) -> None:
    """Both ways through a shape agree, and begin with the same fault unless a field is missing."""
    shape = shape_of(Sample)
    faults = [(fault.field, fault.reason) for fault in shape.faults(value)]
    try:
        shape.check(value)
    except InputError as first:
        assert (first.field, first.reason) in faults
    else:
        assert faults == []


def test_all_faults_of_a_body_are_listed_at_once() -> None:
    body = {
        "sessionId": "a b",
        "nested": {"size": "x", "odd": 1},
        "several": [{"name": "n"}, {}, 3],
        "metadata": {"": 1},
    }
    with pytest.raises(ConfigError) as refused:
        decode_body(Sample, json.dumps(body).encode(), "runs.create")
    assert isinstance(refused.value.details, list)
    assert [fault.field for fault in refused.value.details] == [
        *(
            "sessionId",
            "nested.size",
            "nested.odd",
            "nested.name",
            "several[1].name",
            "several[2]",
            "metadata",
            "input",
        ),
    ]
    assert refused.value.message.startswith("runs.create.sessionId: must match")
    assert refused.value.message.endswith(" (the first of 8 faults; see details)")


def test_the_listed_faults_are_limited() -> None:
    for count, ending in ((INPUT_FAULTS_MAX, "20 faults"), (500, "more than 20 faults")):
        body = {"input": "i", "tools": [""] * count}
        with pytest.raises(ConfigError) as refused:
            decode_body(Sample, json.dumps(body).encode(), "x")
        assert isinstance(refused.value.details, list)
        assert len(refused.value.details) == INPUT_FAULTS_MAX
        assert f"the first of {ending}; " in refused.value.message


def test_all_faults_of_a_query_are_listed_at_once() -> None:
    pairs = [("count", "soon"), ("ratio", "x"), ("mode", "medium"), ("sessionId", "a b"), ("text", "fine")]
    with pytest.raises(ConfigError) as refused:
        decode_query(Query, pairs, "runs.list")
    assert isinstance(refused.value.details, list)
    assert [fault.field for fault in refused.value.details] == ["count", "ratio", "mode", "sessionId"]
    assert refused.value.details[0].remedy == f"an integer from 1 to {INTEGER_MAX}"


@given(st.binary())
def test_any_bytes_are_decoded_or_a_config_error(raw: bytes) -> None:
    attempt(Sample, raw)
    attempt(Sample, b'{"input":"' + raw + b'"}')
    attempt(Sample, b'{"input":"a","anything":' + raw + b"}")


@given(st.text(alphabet='{}[]",:\\u0d8ce1.- '))
def test_anything_that_looks_like_json_is_decoded_or_a_config_error(text: str) -> None:
    attempt(Sample, text.encode())
    attempt(Sample, b"[" * 60 + text.encode())


def attempt(type_: type, raw: bytes) -> ConfigError | None:
    try:
        value: object = decode_body(type_, raw, "x")
    except ConfigError as error:
        return error
    assert msgspec.json.decode(msgspec.json.encode(value), type=type_) == value  # what was accepted can be stored
    return None


# Query strings


class ShortList(Value):
    names: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)] | None = None


def query(*pairs: tuple[str, str]) -> Query:
    return decode_query(Query, pairs, "events.list")


def test_a_query_is_read() -> None:
    found = query(
        ("text", " a b "), ("sessionId", "s"), ("count", "5"), ("ratio", "1.5"), ("flag", "true"),
        ("after", "2026-01-01T00:00:00.250Z"), ("types", "a, b,,c"), ("mode", "fast"), ("unknown", "x"),
    )  # fmt: skip
    assert found == Query(
        text="a b",
        session_id="s",
        count=5,
        ratio=1.5,
        flag=True,
        after=1_767_225_600_250,
        types=("a", "b", "c"),
        mode="fast",
    )


@pytest.mark.parametrize("name", Query.__struct_encode_fields__)
def test_blank_parameters_are_absent(name: str) -> None:
    assert query((name, "")) == query((name, " ")) == Query()


def test_the_parts_of_a_list_are_counted_blank_ones_included() -> None:
    assert decode_query(ShortList, [("names", ",a,")], "x").names == ("a",)
    with pytest.raises(ConfigError, match="names: must have at most 3 items, not 4"):
        decode_query(ShortList, [("names", ",,,")], "x")


def test_of_a_repeated_parameter_the_last_one_counts() -> None:
    assert query(("count", "x"), ("count", "2")).count == 2
    assert query(("count", "2"), ("count", "")).count is None


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("count", "abc", "must be an integer"),
        ("count", "1.5", "must be an integer"),
        ("count", "１", "must be an integer"),
        ("count", "0", "OUT_OF_RANGE: must be at least 1"),
        ("count", "9" * 18, "OUT_OF_RANGE: must be at most 9007199254740991"),
        ("count", "9" * 5000, "must be an integer"),
        ("ratio", "nan", "must be a number"),
        ("ratio", "1e400", "OUT_OF_RANGE: is too large"),
        ("flag", "1", "must be true or false"),
        ("after", "yesterday", "must be an ISO-8601 time"),
        ("after", "2026-02-30", "must be an ISO-8601 time"),
        ("after", "2026-W01-1", "must be an ISO-8601 time"),
        ("sessionId", "a b", "must match ^[A-Za-z0-9._-]+$"),
        ("sessionId", "a\n", "must match ^[A-Za-z0-9._-]+$"),
        ("mode", "medium", "must be one of fast, slow"),
        ("text", "a\0b", "holds a NUL character"),
        ("text", "a\udcffb", "is not valid UTF-8"),
        ("types", "a," + "x" * 1001, "must have at most 1000 characters, not 1001"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        query((name, text))
    found = only(caught.value)
    assert found.field == name + ("[1]" if name == "types" else "")
    assert found.reason == reason
    assert caught.value.message == f"events.list.{found.field}: {reason}"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01 00:00:01", 1000),
        ("1970-01-01T02:00:00.0019+02:00", 1),
        ("1970-01-01T00:00:00z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800_000 - 14 * 3_600_000),
    ],
)
def test_times_are_milliseconds(text: str, milliseconds: int) -> None:
    assert query(("after", text)).after == milliseconds


@given(st.sampled_from(Query.__struct_encode_fields__), st.text(st.characters(), max_size=40))
def test_any_parameter_is_read_or_named(name: str, text: str) -> None:
    try:
        query((name, text))
    except ConfigError as error:
        assert error.message.startswith(f"events.list.{name}")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, 50),
        ("", 50),
        ("abc", 50),
        ("-", 50),
        ("12abc", 12),
        (" 7", 7),
        ("1e3", 1),
        ("0", 1),
        ("-5", 1),
        ("500", 500),
        ("9999", 500),
        ("9" * 10_000, 500),
        ("-" + "9" * 10_000, 1),
        ("１２", 50),
    ],
)
def test_limits_are_clamped(text: str | None, limit: int) -> None:
    assert clamp_limit(text, 50) == limit


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "a/b", "a\0", "é", "a" * 129, "%2e", "\udcff"])
def test_a_path_parameter_has_to_be_an_id(text: str) -> None:
    with pytest.raises(ConfigError, match=r"runs.get.runId: INVALID_ID: must be 1 to 128 letters"):
        check_path({"runId": text}, "runs.get")


def test_ids_are_path_parameters() -> None:
    check_path({"runId": "run_01J", "sessionId": "a.b-c" + "d" * 100}, "runs.get")
