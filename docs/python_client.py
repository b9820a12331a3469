"""The generator of the Python client's models and methods, from the API document.

``make docs`` writes them; ``tests/test_docs.py`` fails when they are stale. ``docs/python_events.py`` writes the
events, and ``docs/python_sync.py`` derives the synchronous methods.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from athena_api.document import openapi, responses
from athena_api.document.schemas import SCHEMAS, Json, reachable
from athena_api.endpoint.operation import Operation
from athena_api.operations import OPERATIONS
from athena_core import __version__
from docs.python_source import (
    HEAD,
    WIDTH,
    Scope,
    aliases,
    imported,
    in_python,
    is_class,
    nullable,
    options,
    pascal,
    prose,
    quoted,
    record,
    sentence,
    snake,
    split,
    without_null,
)
from docs.python_sync import CLIENT, SOURCE, TARGET, formatted, sync_of

Row: TypeAlias = Operation[Any, Any]


MODELS_HEAD = (
    HEAD.format(source="the API document", about="The values that the API takes and answers")
    + '''
from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An immutable value: camelCase in JSON, snake_case in Python. Unknown fields are ignored."""


def _variant(value: Any, tag: str, kinds: dict[str, type[Model]]) -> Any:
    """Return an object as the type that its tag names; as it is if a newer server sent another tag."""
    members: dict[str, Any] = value if isinstance(value, dict) else {}
    kind = kinds.get(str(members.get(tag)))
    return value if kind is None else msgspec.convert(members, kind)

'''
)
METHODS_HEAD = (
    HEAD.format(source="the API document", about="The operations of the API as methods, one for each")
    + '''
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from athena_client import models
from athena_client._async.core import AsyncCore, AsyncPages, AsyncStream

if TYPE_CHECKING:
    from athena_client.events import Event, EventType


def _headers(if_match: int | str | None = None, respond_async: bool = False) -> dict[str, str]:
    """Return the headers of a condition and of a preference."""
    headers = {} if if_match is None else {"if-match": f'"{if_match}"' if isinstance(if_match, int) else if_match}
    return headers | {"prefer": "respond-async"} if respond_async else headers


class AsyncOperations(AsyncCore):
    """One method for each operation. All of them raise AthenaError."""
'''
)


def files() -> Iterator[tuple[Path, str]]:
    """Yield each file with its text."""
    yield CLIENT / "models.py", models()
    asynchronous = methods()
    yield SOURCE / "operations.py", asynchronous
    yield TARGET / "operations.py", sync_of(asynchronous)


def document() -> Json:
    """Return the API document as JSON values."""
    return openapi.document(OPERATIONS, __version__)


# Models


def models() -> str:
    """Return the module of all records in answers, and of those inside of bodies."""
    described = document()
    schemas = described["components"]["schemas"]
    scope = Scope(schemas)
    names = model_names(described)
    for row in OPERATIONS:
        if row.versioned:
            name = Method(row, operations_of(described)[row.id], described["components"]).answer_name()
            schemas[name] = schemas[name] | {"properties": {**schemas[name]["properties"], "etag": ETAG}}
    for name in names:  # also choices that only parameters have
        scope.of({"$ref": SCHEMAS + name}, name)
    classes = [record(name, schemas[name], scope) for name in names if is_class(schemas[name])]
    return formatted(imported(MODELS_HEAD + aliases(scope) + "\n\n" + "\n\n".join(classes)))


def model_names(described: Json) -> list[str]:
    """Return the names of the components of the module of models."""
    return sorted(reachable(roots(described), described["components"]["schemas"]) - EVENTS)


def operations_of(described: Json) -> dict[str, Json]:
    """Return the operations of the document by their ids."""
    return {item["operationId"]: item for path in described["paths"].values() for item in path.values()}


def roots(described: Json) -> Iterator[Json]:
    """Yield the schemas of all answers, and of the members of all bodies."""
    operations = operations_of(described)
    for row in OPERATIONS:
        method = Method(row, operations[row.id], described["components"])
        page = method.page()
        answers = [page] if page else [*filter(None, map(method.data, ("200", "202")))]
        yield from answers
        yield from method.members().values()


ETAG: Json = {"type": "string", "description": "The version as the header of the answer has it. Pass it as `if_match`."}
EVENTS = frozenset({"EventRecord", "EventsPage"})
"""Components that ``docs/python_events.py`` writes."""


# Methods


class Parameter(NamedTuple):
    """A parameter of a method, and where its value goes in the request."""

    name: str
    wire: str
    place: str
    """``path``, ``query``, ``body`` or the name of a header."""
    kind: str
    required: bool
    about: str


def methods() -> str:
    """Return the module of the asynchronous methods."""
    described = document()
    operations = operations_of(described)
    made = [Method(row, operations[row.id], described["components"]).text() for row in OPERATIONS]
    return formatted(imported(METHODS_HEAD + "\n" + "\n".join(made)))


class Method:
    """One operation as a method."""

    def __init__(self, row: Row, operation: Json, components: Json) -> None:
        """Take a row of the table, its part of the document, and the components of the document."""
        self.row = row
        self.operation = operation
        self.components = components
        self.scope = Scope(components["schemas"], "models.", exact=True)
        self.parameters = [*self._parameters()]
        names = [one.name for one in self.parameters]
        if len(names) > len(set(names)):
            raise ValueError(f"{row.id}: two parameters share a name: {sorted(names)}")

    def text(self) -> str:
        """Return the method, after its overloads."""
        if self.row.stream:
            return self._stream()
        page = self.page()
        return self._pages(page) if page else self._request()

    def _parameters(self) -> Iterator[Parameter]:
        """Yield the parameters of the path, then the members of the body, the query and the headers."""
        listed = [self._resolved(one) for one in self.operation["parameters"]]
        for one in listed:
            if one["in"] == "path":
                yield self._parameter(one["name"], "path", one["schema"], one.get("description"), required=True)
        yield from self._members()
        for one in listed:
            if one["in"] == "query" and one["name"] not in LEFT_OUT:
                required = bool(one.get("required"))
                yield self._parameter(one["name"], "query", one["schema"], one.get("description"), required=required)
        for one in listed:
            if one["in"] == "header" and one["name"] in HEADERS:
                name, kind, about = HEADERS[one["name"]]
                yield Parameter(name, one["name"], "header", kind, False, about)

    def _forms(self) -> list[Json]:
        """Return the body in each of its forms; empty without one."""
        if "requestBody" not in self.operation:
            return []
        (content,) = self.operation["requestBody"]["content"].values()
        body = self._resolved(content["schema"])
        return [self._resolved(form) for form in options(body)] or [body]

    def members(self) -> dict[str, Json]:
        """Return the members of the body in all its forms."""
        return {name: part for form in self._forms() for name, part in form["properties"].items()}

    def _members(self) -> Iterator[Parameter]:
        """Yield the members of the body. One is required if it is in all forms."""
        required = set.intersection(*(set(form.get("required", ())) for form in self._forms() or [{}]))
        for name, part in sorted(self.members().items(), key=lambda pair: pair[0] not in required):
            yield self._parameter(name, "body", part, part.get("description"), required=name in required)

    def _parameter(self, wire: str, place: str, schema: Json, about: str | None, *, required: bool) -> Parameter:
        kind = self.scope.of(schema, pascal(wire))
        kind = re.sub(r"\blist\[", "Sequence[", kind)
        kind = re.sub(r"\bdict\[", "Mapping[", kind)
        if place == "query" and wire == "types":
            kind = "Sequence[EventType]"
        if kind == "datetime":
            kind = "datetime | str"
        if kind.startswith("models."):
            kind = f"{kind} | Mapping[str, Any]"
        if kind.startswith("Sequence[models."):
            kind = f"Sequence[{kind[9:-1]} | Mapping[str, Any]]"
        return Parameter(
            snake(wire),
            wire,
            place,
            kind,
            required,
            about or schema.get("description") or f"The `{wire}` of the request.",
        )

    def _resolved(self, part: Json) -> Json:
        """Return a part of the document without a reference."""
        while "$ref" in part:
            _, _, kind, name = part["$ref"].split("/")
            part = self.components[kind][name]
        return part

    def data(self, status: str) -> Json | None:
        """Return the schema of ``data`` in the answer with this status, if the operation has one."""
        if status not in self.operation["responses"]:
            return None
        content = self._resolved(self.operation["responses"][status])["content"]
        found = [media["schema"] for kind, media in content.items() if kind == "application/json"]
        if not found:  # a stream: its items
            kinds = (self.row.answer, self.row.transient)
            return {"anyOf": [{"$ref": SCHEMAS + kind.__name__} for kind in kinds if kind is not None]}
        data: Json = self._resolved(found[0])["properties"]["data"]
        return data

    def answer_name(self) -> str:
        """Return the name of the record that the operation answers."""
        data = without_null(self.data("200") or {})
        return str(data["$ref"]).removeprefix(SCHEMAS)

    def _answer(self, status: str) -> str | None:
        """Return the type of the answer with this status."""
        data = self.data(status)
        if data is None:
            return None
        kind = self.scope.of(data, "Answer")
        return f"{kind} | None" if nullable(data) else kind

    def page(self) -> Json | None:
        """Return the schema of the items, if the answer is a page of a list."""
        data = self.data("200")
        if self.row.paging is None or data is None or "$ref" not in data:
            return None
        members = self._resolved(data)["properties"]
        if not {"nextCursor"} < set(members) <= {"nextCursor", "items", "events", "cursor", "head"}:
            return None
        items: Json = (members.get("items") or members["events"])["items"]
        return items

    def _signature(self, answer: str, *, asynchronous: bool, mode: str = "bool = False") -> str:
        """Return the line of ``def``."""
        path = [f"{one.name}: {one.kind}" for one in self.parameters if one.place == "path"]
        rest = [one for one in self.parameters if one.place != "path"]
        named = [f"{one.name}: {one.kind}" for one in rest if one.required]
        for one in (one for one in rest if not one.required):
            kind = mode if one.name == RESPOND_ASYNC else f"{one.kind} | None = None"
            named.append(f"{one.name}: {kind}")
        arguments = ", ".join(["self", *path, *(["*", *named] if named else [])])
        return f"    {'async ' if asynchronous else ''}def {snake(self.row.id)}({arguments}) -> {answer}:\n"

    def _request(self) -> str:
        """Return a method that sends one request."""
        answer, accepted = self._answer("200") or "None", self._answer("202")
        whole = " | ".join(dict.fromkeys([*answer.split(" | "), *([accepted] if accepted else [])]))
        whole = " | ".join(sorted(whole.split(" | "), key="None".__eq__))
        overloads = ""
        if accepted and accepted != whole:
            for mode, kind in (("Literal[True]", accepted), ("bool = False", whole)):
                line = self._signature(kind, asynchronous=True, mode=mode).rstrip()
                overloads += f"    @overload\n{line} ...\n\n"
        call = [quoted(self.row.method), quoted(self._path()), answer, *self._places()]
        if accepted and accepted != answer:
            call.append(f"accepted={accepted}")
        body = f"        answer: {whole} = await self.request({', '.join(call)})\n        return answer\n"
        return overloads + self._signature(whole, asynchronous=True) + self._docstring(RETURNS) + body

    def _pages(self, schema: Json) -> str:
        """Return a method that reads a list."""
        item, decoder, late = self._item(schema)
        call = [quoted(self._path()), decoder, *self._places()]
        if any(one.wire == "after" for one in self.parameters):
            call.append('cursor="after"')
        return (
            self._signature(f"AsyncPages[{item}]", asynchronous=False)
            + self._docstring("The items of all pages, one by one; `pages()` yields the pages.")
            + f"{late}        return self.pages({', '.join(call)})\n"
        )

    def _item(self, schema: Json) -> tuple[str, str, str]:
        """Return the type of an item, its decoder, and the import that this needs."""
        item = self.scope.of(schema, "Item")
        return ("Event", "decode_event", EVENTS_IMPORT) if item == "models.EventRecord" else (item, item, "")

    def _stream(self) -> str:
        """Return a method that follows a stream."""
        item, decoder, late = self._item({"$ref": SCHEMAS + self.row.answer.__name__})
        call = [quoted(self._path()), decoder, *self._places()]
        if self.row.transient is not None:
            passing = f"models.{self.row.transient.__name__}"
            item = f"{item} | {passing}"
            call.append(f"transient={passing}")
        return (
            self._signature(f"AsyncStream[{item}]", asynchronous=False)
            + self._docstring("A stream without an end. After a lost connection it resumes where it was.")
            + f"{late}        return self.stream({', '.join(call)})\n"
        )

    def _path(self) -> str:
        """Return the path with its parameters in braces."""
        return re.sub(r":(\w+)", r"{\1}", self.row.path)

    def _places(self) -> Iterator[str]:
        """Yield the arguments that carry the parameters into the request."""
        for place, argument in (("path", "parameters"), ("query", "query"), ("body", "body")):
            found = [one for one in self.parameters if one.place == place]
            if found:
                yield f"{argument}={{{', '.join(f'{quoted(one.wire)}: {one.name}' for one in found)}}}"
        names = {one.name for one in self.parameters if one.place == "header"}
        sent = [f"{name}={name}" for name in ("if_match", RESPOND_ASYNC) if name in names]
        if sent:
            yield f"headers=_headers({', '.join(sent)})"
        if "idempotency_key" in names:
            yield "key=idempotency_key"

    def _docstring(self, returned: str) -> str:
        """Return the docstring: summary, parameters, answer and errors."""
        text = sentence(self.operation["summary"])
        about = self.operation.get("description", "")
        if about and about != text and about + "." != text:
            text += "\n\n" + about.removeprefix(text).strip()
        summary, rest = split(text, WIDTH - 14)
        lines = [f'        """{prose(summary, 8)}', ""]
        if rest.strip():
            lines += ["        " + prose(rest, 8), ""]
        if self.parameters:
            lines.append("        Args:")
            lines += [f"            {hanging(f'{one.name}: {sentence(one.about)}')}" for one in self.parameters]
            lines.append("")
        if returned:
            lines += ["        Returns:", f"            {prose(returned, 12)}", ""]
        codes = ", ".join(f"`{code}`" for code in self._codes())
        raised = f"AthenaError: {f'{codes}, or an' if codes else 'An'} error of every call."
        return "\n".join([*lines, "        Raises:", f"            {hanging(raised)}", '        """', ""])

    def _codes(self) -> list[str]:
        """Return the error codes of this operation that not every operation shares."""
        common = {*responses.EVERY, *(responses.WRITING if self.row.method != "GET" else ())}
        return sorted(set(responses.codes_of(self.row)) - common)


RETURNS = ""
LEFT_OUT = frozenset({"format", "frames"})
"""Query parameters that choose an encoding, which is the concern of the core."""
RESPOND_ASYNC = "respond_async"
HEADERS: Mapping[str, tuple[str, str, str]] = {
    "If-Match": (
        "if_match",
        "int | str",
        "Write only if this is the current version (a number, an `ETag`, or `*` for any).",
    ),
    "Prefer": (RESPOND_ASYNC, "bool", "Answer at once with the record so far, not after the end."),
    "Idempotency-Key": (
        "idempotency_key",
        "str",
        "A key of your choice for this call. By default the client makes one, so that retries do nothing twice.",
    ),
}
"""The headers that are parameters: name, type and description."""
EVENTS_IMPORT = "        from athena_client.events import decode_event\n\n"


def hanging(text: str) -> str:
    """Return an entry of a docstring's list; its further lines are indented once more."""
    return "\n".join(textwrap.wrap(" ".join(in_python(text).split()), WIDTH - 12, subsequent_indent=" " * 16))
