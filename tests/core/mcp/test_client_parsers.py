"""Property tests of what the client reads: events, results, listings, questions and names."""

import re
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from athena_core.mcp.client.events import EventReader, EventTooLarge
from athena_core.mcp.client.listing import (
    LISTING_BYTES_MAX,
    PAGES_MAX,
    TOOL_BYTES_MAX,
    TOOLS_MAX,
    ListingReader,
    is_name,
)
from athena_core.mcp.client.param_headers import param_headers
from athena_core.mcp.client.questions import FIELDS_MAX, FORM_BYTES_MAX, question_of
from athena_core.mcp.client.result import PARTS_MAX, RESULT_BYTES_MAX, cut_text, read_result
from athena_core.mcp.tool_names import public_name
from athena_core.rpc.peer import RequestFailed
from athena_core.text import clean

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "audio", "resource", "resource_link", "x"])},
    optional={"text": JSON, "mimeType": JSON, "uri": JSON, "name": JSON, "resource": JSON, "data": JSON},
)
TOOLS = st.fixed_dictionaries(
    {},
    optional={"name": st.text(max_size=5) | JSON, "description": JSON, "inputSchema": JSON, "annotations": JSON},
)


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


# Events


@given(st.lists(st.text("ab: \u2028é", max_size=6), max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_events_do_not_depend_on_the_pieces(texts: list[str], end: str, data: st.DataObject) -> None:
    stream = "".join(f": ping{end}id: 1{end}data: {text}{end}data:{end}{end}" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = EventReader(1_000)
    found = [
        event
        for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for event in reader.more(stream[start:stop])
    ]
    assert found == [f"{text}\n".encode() for text in texts if text]  # others have no data


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_any_bytes_are_events_or_none(pieces: list[bytes]) -> None:
    reader = EventReader(64)
    try:
        for piece in pieces:
            assert all(len(event) <= 64 for event in reader.more(piece))
    except EventTooLarge:
        assert sum(map(len, pieces)) > 32


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: xxxx\n" * 50, b": " + b"x" * 200])
def test_an_event_has_a_limit(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        EventReader(100).more(stream)


def test_comments_without_an_end_need_no_memory() -> None:
    reader = EventReader(100)
    for _ in range(1_000):
        assert not reader.more(b": ping\n\n")


# Results


@given(
    JSON | st.fixed_dictionaries({"content": st.lists(PARTS | JSON, max_size=5)}, optional={"structuredContent": JSON})
)
def test_any_answer_is_a_result_or_refused(answer: Any) -> None:
    try:
        result = read_result(raw(answer))
    except ValueError as error:
        assert str(error) == "another shape than the protocol"
        return
    assert clean(result.text.exact) == result.text.exact
    assert not result.truncated


@given(st.binary(max_size=200))
@example(b'{"content": [{"type": "text", "text": "\\ud800"}]}')
@example(b'{"content": [{"type": "text", "text": "\xff"}]}')
@example(b"[" * 5_000)
def test_any_bytes_are_a_result_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        read_result(Raw(data)).text.exact.encode()


@pytest.mark.parametrize("text", ["a", "é", "日", "🎈"])
def test_a_result_is_cut_between_characters(text: str) -> None:
    result = read_result(raw({"content": [{"type": "text", "text": text * (RESULT_BYTES_MAX + 1)}]}))
    assert result.truncated
    assert RESULT_BYTES_MAX - 4 < len(result.text.exact.encode()) <= RESULT_BYTES_MAX
    assert cut_text("日本", 3) == ("日", True)
    assert cut_text("日本", 6) == ("日本", False)


def test_parts_and_structures_are_limited() -> None:
    parts = [{"type": "text", "text": ""}] * (PARTS_MAX + 1)
    assert read_result(raw({"content": parts})).truncated
    assert not read_result(raw({"content": parts[1:]})).truncated
    whole = read_result(raw({"structuredContent": {"n": 7}}))
    assert [whole.text.exact, whole.structured] == ['{"n":7}', {"n": 7}]
    large = read_result(raw({"structuredContent": "x" * RESULT_BYTES_MAX}))
    assert [large.text.exact, large.structured] == ["", None]


# Listings


def tool(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}} | members


@given(JSON | st.fixed_dictionaries({"tools": st.lists(TOOLS | JSON, max_size=6)}, optional={"nextCursor": JSON}))
def test_any_page_is_read_or_refused(page: Any) -> None:
    reader = ListingReader()
    try:
        reader.add(raw(page))
    except ValueError as error:
        assert str(error) == "another shape than the protocol"
        return
    assert len(reader.tools) + reader.skipped >= len(page["tools"])
    assert all(one.sha256 and is_name(one.name) for one in reader.tools.values())


def test_a_listing_has_limits() -> None:
    many = ListingReader()
    many.add(raw({"tools": [tool(f"t{number}") for number in range(TOOLS_MAX + 3)]}))
    assert [len(many.tools), many.skipped] == [TOOLS_MAX, 3]
    filler = "x" * (TOOL_BYTES_MAX - 100)
    large = ListingReader()
    large.add(raw({"tools": [tool(f"t{number}", description=filler) for number in range(40)]}))
    assert len(large.tools) == LISTING_BYTES_MAX // len(msgspec.json.encode(tool("t10", description=filler)))
    assert len(large.tools) + large.skipped == 40
    larger = ListingReader()
    larger.add(raw({"tools": [tool("t", description="x" * TOOL_BYTES_MAX), tool("u")]}))
    assert [list(larger.tools), larger.skipped] == [["u"], 1]


def test_pages_have_limits() -> None:
    reader = ListingReader()
    cursors = [reader.add(raw({"tools": [], "nextCursor": str(number)})) for number in range(PAGES_MAX)]
    assert cursors[-2:] == [str(PAGES_MAX - 2), None]
    assert reader.skipped == 1
    circle = ListingReader()
    assert [circle.add(raw({"tools": [], "nextCursor": "a"})) for _ in range(2)] == ["a", None]


@pytest.mark.parametrize(
    ("name", "taken"), [("a" * 128, True), ("a" * 129, False), ("", False), ("a b", False), ("a\n", False), ("ä", True)]
)
def test_a_tool_has_a_printable_name(name: str, taken: bool) -> None:
    reader = ListingReader()
    reader.add(raw({"tools": [tool(name)]}))
    assert bool(reader.tools) == taken


MARKED = {
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "in": {"properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry"}}},
        "x-mcp-header": {"type": "string", "default": {"x-mcp-header": "no mark"}},
    }
}


def test_marks_name_the_header_fields_of_properties() -> None:
    marked = param_headers(MARKED)
    assert marked is not None
    assert sorted(marked) == [(("in", "dry"), "mcp-param-dry"), (("region",), "mcp-param-region")]
    assert param_headers({"properties": {"a": {"type": "string"}}}) == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "number", "x-mcp-header": "A"},
        {"type": ["string"], "x-mcp-header": "A"},
        {"x-mcp-header": "A"},
        *(
            {"type": "string", "x-mcp-header": name}
            for name in ("", "a b", "a:b", "ä", "a\n", None, "REGION", "x" * 65)
        ),
        {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}},
        {"anyOf": [{"type": "string", "x-mcp-header": "A"}]},
        {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
    ],
)
def test_a_mark_that_is_not_valid_leaves_the_tool_out(bad: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": MARKED["properties"] | {"bad": bad}}
    assert param_headers(schema) is None
    for headers in (True, False):
        reader = ListingReader(headers=headers)
        reader.add(raw({"tools": [tool("t", inputSchema=schema)]}))
        assert bool(reader.tools) != headers


# Questions


@given(JSON | st.fixed_dictionaries({"message": st.text(max_size=8), "requestedSchema": JSON}, optional={"mode": JSON}))
def test_any_question_is_a_form_or_refused(params: Any) -> None:
    try:
        question = question_of(raw(params))
    except RequestFailed as error:
        assert error.message.exact
        return
    assert isinstance(question.requested_schema["properties"], dict)


def test_a_form_has_limits() -> None:
    field = {"type": "string"}

    def form(count: int, message: str = "m") -> Raw:
        fields = {f"f{number}": field for number in range(count)}
        return raw({"message": message, "requestedSchema": {"type": "object", "properties": fields}})

    assert len(question_of(form(FIELDS_MAX)).requested_schema["properties"]) == FIELDS_MAX
    assert question_of(form(1, "a\x1b\n" + "x" * 9)).message == "a\n" + "x" * 9
    for bad in (form(FIELDS_MAX + 1), form(1, "x" * FORM_BYTES_MAX)):
        with pytest.raises(RequestFailed):
            question_of(bad)


# Names

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=140)


@given(NAMES)
@example("a" * 64)
@example("a.b")
def test_a_public_name_suits_every_provider(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", public_name("git", name))


@given(NAMES, NAMES)
@example("a.b", "a/b")
@example("x" * 100 + "a", "x" * 100 + "b")
def test_other_tools_have_other_names(one: str, other: str) -> None:
    assert (public_name("git", one) == public_name("git", other)) == (one == other)
    assert public_name("git", one) != public_name("time", one)


def test_plain_names_stay() -> None:
    assert public_name("git", "git_status") == "git__git_status"
    assert public_name("git", "status.all") == "git__status_all_" + public_name("git", "status.all")[-8:]
