"""Input over HTTP: every answer to a wrong request names the fault, and is never a bug of the server."""

import re
import uuid
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
import pytest
from msgspec import inspect

from athena_api.endpoint.names import takes_text
from athena_api.endpoint.operation import NoBody, NoQuery
from athena_api.operations import OPERATIONS
from tests.api.examples import EXAMPLES
from tests.support.api import Json
from tests.support.server import Server
from tests.support.wire import Answer, ask

PREFIX = "/api/v1"
INTEGER_MAX = 2**53 - 1
WITH_BODY = [row for row in OPERATIONS if row.body is not NoBody]
WITH_QUERY = [row for row in OPERATIONS if row.query is not NoQuery]
PATHS = [row for row in OPERATIONS if ":" in row.path]
NAMES = {row.id: row for row in OPERATIONS}


# Every field wrong in every way, driven by the types in the table


class Wrong(NamedTuple):
    """A wrong value and its place."""

    path: tuple[str | int, ...]
    value: Any

    @property
    def field(self) -> str:
        """The place in the notation of errors."""
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path]
        return "".join(parts).removeprefix(".")


JSON_KINDS: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 1,
    "number": 1.5,
    "string": "text",
    "list": [],
    "object": {},
}
FITTING: dict[type[inspect.Type], set[str]] = {
    inspect.StrType: {"string"},
    inspect.IntType: {"integer"},
    inspect.FloatType: {"integer", "number"},
    inspect.BoolType: {"boolean"},
    inspect.VarTupleType: {"list"},
    inspect.ListType: {"list"},
    inspect.DictType: {"object"},
    inspect.StructType: {"object"},
    inspect.AnyType: set(JSON_KINDS),
}


def wrongs(info: inspect.Type, path: tuple[str | int, ...], *, required: bool) -> Iterator[Wrong]:
    """Yield all wrong values for a place of a type."""
    if isinstance(info, inspect.Metadata):
        yield from wrongs(info.type, path, required=required)
        return
    if isinstance(info, inspect.UnionType):
        (inner,) = [part for part in info.types if not isinstance(part, inspect.NoneType)]
        yield from wrongs(inner, path, required=False)
        return
    literal = isinstance(info, inspect.LiteralType)
    fitting = {"string"} if literal else FITTING[type(info)]
    for kind, value in JSON_KINDS.items():
        if kind not in fitting and (required or kind != "null"):
            yield Wrong(path, value)
    if literal:
        yield from (Wrong(path, value) for value in ("another", "V1 ", "\u202e"))
    match info:
        case inspect.StrType():
            yield from wrong_texts(info, path, required=required)
        case inspect.IntType() | inspect.FloatType():
            bound = INTEGER_MAX if isinstance(info, inspect.IntType) else None
            for limit, step in ((info.ge, -1), (info.le, 1), (bound, 1)):
                if limit is not None:
                    yield Wrong(path, limit + step)
            yield from (Wrong(path, msgspec.Raw(digits)) for digits in (b"1e400", b"1" + b"0" * 400))
        case inspect.VarTupleType() | inspect.ListType():
            if info.min_length:
                yield Wrong(path, [])
            if info.max_length is not None:
                yield Wrong(path, ["x"] * (info.max_length + 1))
            yield from wrongs(info.item_type, (*path, 0), required=True)
        case inspect.DictType():
            if info.max_length is not None:
                yield Wrong(path, {str(number): "x" for number in range(info.max_length + 1)})
            yield Wrong(path, {" ": "x"})
            yield from wrongs(info.value_type, (*path, "key"), required=True)
        case inspect.StructType():
            known = {field.encode_name for field in info.fields}
            yield from (Wrong((*path, name), "Admin") for name in {"role", "createdBy"} - known)
            yield Wrong((*path, "createdAt"), None)
            for field in info.fields:
                yield from wrongs(field.type, (*path, field.encode_name), required=field.required)


def wrong_texts(info: inspect.StrType, path: tuple[str | int, ...], *, required: bool) -> Iterator[Wrong]:
    yield Wrong(path, "nul \0 inside")
    if required:
        yield from (Wrong(path, blank) for blank in ("", " ", "\t\u2003\n"))
    if info.max_length is not None:
        yield Wrong(path, "x" * (info.max_length + 1))
    if info.pattern is not None:
        yield from (Wrong(path, text) for text in ("a b", "a/b", "\u00e9", " a", "a\n", "..\\x"))


def spoiled(body: Json, wrong: Wrong) -> bytes:
    """Return a valid body with one wrong value."""
    result = deepcopy(body)
    place: Any = result
    for part, following in zip(wrong.path[:-1], wrong.path[1:], strict=True):
        if isinstance(place, dict) and place.get(str(part)) is None:
            place[part] = [] if isinstance(following, int) else {}
        elif isinstance(place, list) and not place:
            place.append([] if isinstance(following, int) else {})
        place = place[part]
    last = wrong.path[-1]
    if isinstance(place, list):
        place[:1] = [wrong.value]
    else:
        place[last] = wrong.value
    return msgspec.json.encode(result)


def check_fault(answer: Answer, context: str, field: str, sent: object) -> None:
    """Fail unless the answer is an error about this field."""
    assert answer.status == 400, (sent, answer)
    error = answer.error
    assert (error["code"], error["retryable"]) == ("CONFIG_ERROR", False)
    faults = error["details"]
    assert field in [fault["field"] for fault in faults], sent
    assert all(fault["reason"] for fault in faults)
    assert error["message"].startswith(f"{context}.{faults[0]['field']}: ".replace(".body:", ":")), error["message"]
    assert error["traceId"] == answer.headers["x-trace-id"]


@pytest.mark.parametrize("operation", [row.id for row in WITH_BODY])
def test_every_field_of_a_body_wrong_in_every_way_is_named(shared: Server, operation: str) -> None:
    row, example = NAMES[operation], EXAMPLES[operation]
    assert example.body is not None
    info = inspect.type_info(row.body)
    assert isinstance(info, inspect.StructType)
    head = shared.api.head()
    tried = set()
    for wrong in wrongs(info, (), required=True):
        if wrong.path:
            content = spoiled(example.body, wrong)
            answer = ask(shared.url, row.method, (PREFIX + example.path).encode(), content)
            check_fault(answer, row.context, wrong.field, content)
            tried.add(wrong.path[0])
    kinds = {
        one.encode_name: one.type.type if isinstance(one.type, inspect.Metadata) else one.type for one in info.fields
    }
    assert {name for name, kind in kinds.items() if not isinstance(kind, inspect.AnyType)} <= tried
    assert shared.api.head() == head, "nothing wrong leaves a trace in the log"


@pytest.mark.parametrize("operation", [row.id for row in WITH_BODY])
@pytest.mark.parametrize("field", ["required", "each"])
def test_what_must_be_there_is_missed(shared: Server, operation: str, field: str) -> None:
    row, example = NAMES[operation], EXAMPLES[operation]
    info = inspect.type_info(row.body)
    assert isinstance(info, inspect.StructType)
    assert example.body is not None
    for one in info.fields:
        if one.required:
            body = {k: v for k, v in example.body.items() if k != one.encode_name} if field == "each" else {}
            answer = ask(shared.url, row.method, (PREFIX + example.path).encode(), msgspec.json.encode(body))
            check_fault(answer, row.context, one.encode_name, body)


@pytest.mark.parametrize("operation", [row.id for row in WITH_BODY])
@pytest.mark.parametrize(
    "content", [b"[]", b"null", b"{", b"{}{}", b"\xff\xfe{\x00}\x00", b'{"input":"\xff"}', b'{"input":NaN}']
)
def test_a_body_has_to_be_an_object(shared: Server, operation: str, content: bytes) -> None:
    row = NAMES[operation]
    answer = ask(shared.url, row.method, (PREFIX + EXAMPLES[operation].path).encode(), content)
    assert (answer.status, answer.error["code"]) == (400, "CONFIG_ERROR")
    assert answer.error["details"][0]["field"] == "body"


@pytest.mark.parametrize("operation", [row.id for row in WITH_QUERY])
def test_every_field_of_a_query_wrong_in_every_way_is_named(shared: Server, operation: str) -> None:
    row, example = NAMES[operation], EXAMPLES[operation]
    info = inspect.type_info(row.query)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        for text in wrong_parameters(field.type):
            right = "&".join(f"{k}={quote(v)}" for k, v in (example.query or {}).items() if k != field.encode_name)
            target = f"{PREFIX}{example.path}?{right}&{field.encode_name}={text}".encode()
            answer = ask(shared.url, row.method, target)
            check_fault(answer, row.context, field.encode_name, target)


def wrong_parameters(info: inspect.Type) -> Iterator[str]:
    """Yield wrong values of a query parameter, encoded."""
    yield from ("%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80")
    text, parts = info, [info]
    while parts:
        text = parts.pop()
        match text:
            case inspect.Metadata() if text.extra:
                yield from ("yesterday", "1", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00%2B99:00", "%D9%A1")
                return
            case inspect.Metadata():
                parts.append(text.type)
            case inspect.UnionType():
                parts += [part for part in text.types if not isinstance(part, inspect.NoneType)]
            case inspect.LiteralType():
                yield "unheard-of"
            case inspect.IntType() | inspect.FloatType():
                yield from ("x", "1.5.1", *(() if text.ge is None else [str(text.ge - 1)]))
                yield from (() if text.le is None else [str(text.le + 1)])
            case inspect.StrType():
                if text.max_length is not None:
                    yield "x" * (text.max_length + 1)
                if text.pattern is not None:
                    yield from ("a%20b", "a/b", "%C3%A9", "..%2Fx", "a%0Ab")


@pytest.mark.parametrize("operation", [row.id for row in OPERATIONS if row.method == "GET" and row.reads])
@pytest.mark.parametrize("text", ["-1", "1.0", "x", "%D9%A1", "9" * 17, str(INTEGER_MAX + 1), "1%20"])
def test_an_invalid_position_is_refused(shared: Server, operation: str, text: str) -> None:
    query = urlencode(EXAMPLES[operation].query or {})
    answer = ask(shared.url, "GET", f"{PREFIX}{EXAMPLES[operation].path}?{query}&minPosition={text}".encode())
    assert (answer.status, answer.error["details"][0]["field"]) == (400, "minPosition")


@pytest.mark.parametrize("operation", [row.id for row in PATHS])
@pytest.mark.parametrize("text", ["%00", "a%0d%0ab", "%ff", "a%20b", "%C3%A9", "x" * 129, "x" * 10_000, "a;b", "a%3Fb"])
def test_an_invalid_id_in_a_path_is_named(shared: Server, operation: str, text: str) -> None:
    row = NAMES[operation]
    for name in re.findall(r":(\w+)", row.path):
        path = re.sub(r":\w+", "x", row.path.replace(f":{name}", text))
        answer = ask(shared.url, row.method, (PREFIX + path).encode())
        if takes_text(row, name) and name != "part" and text in {"a%20b", "%C3%A9", "a;b", "a%3Fb"}:
            assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
            continue
        if name == "part" and text in {"a%20b", "%C3%A9", "a;b", "a%3Fb"}:
            assert "at least 6 characters" in answer.error["message"]
            continue
        check_fault(answer, row.context, name, text)
        assert answer.error["details"][0]["reason"].startswith("INVALID_ID")


def test_unknown_parameters_are_ignored_and_the_last_of_several_counts(shared: Server) -> None:
    shared.api.run("one", sessionId="last")
    answer = ask(shared.url, "GET", f"{PREFIX}/runs?x=1&sessionId=a%20b&sessionId=last&%00=%ff&=&&y".encode())
    assert answer.status == 200
    assert b'"sessionId":"last"' in answer.body
    many = "&".join(f"a{number}=1" for number in range(101))
    assert ask(shared.url, "GET", f"{PREFIX}/runs?{many}".encode()).status == 400


def test_the_content_type_is_not_looked_at(shared: Server) -> None:
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"nonsense"):
        answer = ask(shared.url, "POST", b"/api/v1/directives", b'{"input":"a"}', b"content-type: " + kind)
        assert answer.status == 200


# Size and depth


# Routes


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"),
        ("GET", "/api/v1"),
        ("GET", "/api/v2/runs"),
        ("GET", "/other/place/runs"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/runs"),
        ("GET", "/api/v1/runs/a/b/c"),
        ("GET", "/api/v1/Runs"),
        ("GET", "/static/"),
        ("GET", "/static/../app.py"),
        ("GET", "/static/%2e%2e/app.py"),
        ("POST", "/livez"),
        ("DELETE", "/openapi.json"),
        ("POST", "/static/docs.js"),
        ("POST", "/api/v1/events"),
        ("PUT", "/api/v1/runs"),
        ("DELETE", "/api/v1/runs/x"),
        ("PATCH", "/api/v1/directives"),
        ("TRACE", "/api/v1/runs"),
        ("HEAD", "/api/v1/run-templates/x/y"),
    ],
)
def test_an_unknown_route_is_not_found(shared: Server, method: str, path: str) -> None:
    answer = ask(shared.url, method, path.encode())
    assert answer.status == 404
    if method != "HEAD":
        assert answer.error["code"] == "UNKNOWN_ERROR"
        assert answer.error["message"].startswith("Not found. ")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["/api/v1/runs/", "//api//v1//runs", "/api/v1/runs///", "/api/v1/%72uns"])
def test_slashes_that_separate_nothing_do_not_count(shared: Server, path: str) -> None:
    assert ask(shared.url, "GET", path.encode()).body == ask(shared.url, "GET", b"/api/v1/runs").body


def test_a_word_of_ours_beats_a_parameter(shared: Server) -> None:
    for path in (b"/api/v1/runs/active", b"/api/v1/runs/cancel-requests"):
        assert b'"items"' in ask(shared.url, "GET", path).body


def test_a_header_does_not_change_the_method(shared: Server) -> None:
    head = shared.api.head()
    for name in (b"x-http-method-override", b"x-method-override", b"x-http-method"):
        assert ask(shared.url, "GET", b"/api/v1/directives", b"", name + b": POST").status == 200
    assert shared.api.head() == head


@pytest.mark.parametrize("path", [b"/api/v1/runs", b"/api/v1/nothing", b"/", b"/livez", b"*", b"/%ff"])
def test_options_of_anything_is_an_empty_answer(shared: Server, path: bytes) -> None:
    answer = ask(shared.url, "OPTIONS", path)
    assert (answer.status, answer.body) == (204, b"")
    assert str(uuid.UUID(answer.headers["x-trace-id"])) == answer.headers["x-trace-id"]


def test_every_answer_has_a_trace_id_of_its_own(shared: Server) -> None:
    mine = b"x-trace-id: 00000000-0000-4000-8000-000000000000"
    paths = [
        b"/livez",
        b"/readyz",
        b"/docs",
        b"/openapi.json",
        b"/events.schema.json",
        b"/static/docs.js",
        b"/static/x",
        b"/api/v1/x",
    ]
    paths += [(PREFIX + EXAMPLES[row.id].path).encode() for row in OPERATIONS if not row.stream]
    traces = [ask(shared.url, "GET", path, b"", mine).headers["x-trace-id"] for path in paths]
    assert len({str(uuid.UUID(trace)) for trace in traces}) == len(paths)
    assert mine.decode().split()[1] not in traces


def test_the_context_of_a_trace_is_echoed(shared: Server) -> None:
    context = [b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"tracestate: a=b"]
    for path in (b"/api/v1/runs", b"/livez", b"/api/v1/nothing"):
        answer = ask(shared.url, "GET", path, b"", *context)
        assert [f"{name}: {answer.headers[name]}".encode() for name in ("traceparent", "tracestate")] == context
    assert "traceparent" not in ask(shared.url, "GET", b"/livez").headers


# Anything at all


SAYS = {"traceId", "message"}
"""Members of which each line of the log has one."""


def test_nothing_that_was_sent_breaks_a_line_of_the_log(shared: Server) -> None:
    nasty = "/api/v1/a%0d%0ab%1b%5b31m%e2%80%a8%00%ff" + "x" * 2_000
    ask(shared.url, "GET", nasty.encode(), b"", b"user-agent: a\x1b[31m", b"idempotency-key: \xff\xfe")
    lines = shared.log_path.read_bytes().splitlines()
    for line in lines:
        assert line == b"WARNING:  Invalid HTTP request received." or msgspec.json.decode(line).keys() & SAYS, line
        assert min(line) > 31
    assert max(map(len, lines)) < 4_000
