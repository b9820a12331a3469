"""The generator of the TypeScript client: the types, rows and methods of all operations."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap
from typing import Any

from athena_api.document import event_schemas, openapi
from athena_api.document.schemas import SCHEMAS, Json
from athena_api.operations import OPERATIONS
from athena_core import __version__
from docs.command_table import words_of
from docs.python_source import sentence

MARK = "// Generated from the table of operations by `python -m docs.generate`; do not edit.\n"
METHODS_HEAD = """
import type { PageQuery, ReadOptions, WriteOptions } from "../options.js";
import { Pages } from "../pages.js";
import { type StreamItem, type StreamParts, Transport } from "../transport.js";
import { type AthenaEvent, eventOf } from "./events.js";
import * as rows from "./operations.js";
import type * as types from "./types.js";

"""
EVENTS_HEAD = """
/** What all events have in common. */
export type EventBase = Omit<EventRecord, "type" | "payload">;

"""
EVENTS_END = """
/** An event of a type or a version that this client does not know. */
export interface UnknownEvent extends EventBase {
  readonly type: "unknown";
  /** The recorded type. */
  readonly unknownType: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** An event. `type` is its kind. */
export type AthenaEvent = KnownEvent | UnknownEvent;

/** The name of a type, as the feed filters by it. */
export type EventType = KnownEvent["type"] | (string & {});

/** Return a record of the feed as a typed event. */
export function eventOf(record: EventRecord): AthenaEvent {
  if (TYPES.has(record.type) && !record.undecodable) return record as KnownEvent;
  return { ...record, type: "unknown", unknownType: record.type };
}
"""
METHODS_CLASS = """
/** One method for each operation. */
export class Operations extends Transport {
"""
WIDTH = 120
OPEN = "(string & {})"
SHARED = {"asOf", "minPosition", "stale", "format"}
"""Query parameters that are options of every read, or that a client of JSON does not need."""

PAGING = {"cursor", "limit"}

PAGE_ITEMS = ("items", "events")


def modules() -> dict[str, str]:
    """Return the files by name."""
    document = openapi.document(OPERATIONS, __version__)
    paths = {item["operationId"]: item for path in document["paths"].values() for item in path.values()}
    client = Client(document)
    return {
        "types.ts": MARK + "\n" + client.types(),
        "events.ts": MARK + "\n" + client.events(),
        "operations.ts": MARK + "\n" + client.rows(paths),
        "methods.ts": MARK + METHODS_HEAD + client.methods(paths),
    }


class Client:
    """The parts of a document as TypeScript."""

    def __init__(self, document: Json) -> None:
        self._schemas: dict[str, Json] = document["components"]["schemas"]
        self._payloads, schemas = event_schemas.payloads()
        self._components = document["components"] | {"schemas": schemas | self._schemas}
        answers = [
            answer
            for path in document["paths"].values()
            for item in path.values()
            for answer in item["responses"].values()
        ]
        self._shown = self._reachable([*answers, *self._payloads.values()])
        """Names of the schemas of answers and events. A newer server may use other values in them."""

    # Files

    def types(self) -> str:
        """Return the interfaces and unions of all schemas, except the envelopes of answers."""
        named = ((name, schema) for name, schema in sorted(self._schemas.items()) if not self._is_envelope(schema))
        return "\n".join(self._declaration(name, schema) for name, schema in named).rstrip() + "\n"

    def rows(self, paths: Mapping[str, Json]) -> str:
        """Return the rows of the table."""
        rows = [self._row(row, paths[row.id]) for row in OPERATIONS]
        names = sorted(set(re.findall(r"\b[A-Z]\w+", "\n".join(re.findall(r"Operation<(.*)> = ", "\n".join(rows))))))
        names = [name for name in names if name in self._schemas]
        head = 'import type { Operation } from "../operation.js";\nimport type {\n'
        return head + "".join(f"  {name},\n" for name in names) + '} from "./types.js";\n\n' + "".join(rows)

    def methods(self, paths: Mapping[str, Json]) -> str:
        """Return the types of all queries, and the class with a method for each operation."""
        queries = [self._query_type(row.id, paths[row.id]) for row in OPERATIONS]
        methods = [self._method(row, paths[row.id]) for row in OPERATIONS]
        return "\n".join(filter(None, queries)) + METHODS_CLASS + "\n".join(methods) + "}\n"

    def events(self) -> str:
        """Return an interface for each event type and for each record in a payload."""
        schemas = self._components["schemas"]
        needed = self._reachable(self._payloads.values()) - self._schemas.keys()
        parts = [self._declaration(name, schemas[name]) + "\n" for name in sorted(needed)]
        parts += [self._event(type_, payload) for type_, payload in self._payloads.items()]
        used = {"EventRecord", *re.findall(r"\w+", re.sub(r"/\*\*.*?\*/", "", "".join(parts), flags=re.DOTALL))}
        names = "".join(f"  {name},\n" for name in sorted(used & self._schemas.keys()))
        parts.insert(0, f'import type {{\n{names}}} from "./types.js";\n{EVENTS_HEAD}')
        kinds = "\n".join(f"  | {event_name(type_)}" for type_ in self._payloads)
        types = "".join(f"  {json.dumps(type_)},\n" for type_ in self._payloads)
        parts.append(f"/** An event of a type that this client knows. */\nexport type KnownEvent =\n{kinds};\n\n")
        parts.append(f'const TYPES: ReadonlySet<string> = new Set<KnownEvent["type"]>([\n{types}]);\n{EVENTS_END}')
        return "".join(parts)

    def _event(self, type_: str, payload: Json) -> str:
        fields = "".join(self._members(payload, True))
        inner = re.sub("^(?=.)", "  ", fields, flags=re.MULTILINE)
        content = f"{{\n{inner}  }}" if fields else "Readonly<Record<string, never>>"
        return (
            f"{comment(payload['description'])}export interface {event_name(type_)} extends EventBase {{\n"
            f"  readonly type: {json.dumps(type_)};\n  readonly payload: {content};\n}}\n\n"
        )

    # Types

    def _declaration(self, name: str, schema: Json) -> str:
        shown = name in self._shown
        said = comment(schema.get("description", ""))
        if "properties" not in schema:
            return f"{said}export type {name} = {self._type(schema, shown and 'enum' not in schema)};\n"
        return f"{said}export interface {name} {{\n" + "".join(self._members(schema, shown)) + "}\n"

    def _members(self, schema: Json, shown: bool) -> Iterator[str]:
        """Yield the fields of a record. The server omits fields that are null. For an input, null counts as absent."""
        required = set(schema.get("required", ()))
        for field, kind in schema["properties"].items():
            name = field if field.isidentifier() else json.dumps(field)
            said = comment(kind.get("description", ""), "  ")
            if field in required:
                yield f"{said}  readonly {name}: {self._type(kind, shown)};\n"
            else:
                absent = "undefined" if shown else "null | undefined"
                options = [option for option in self._type(kind, shown).split(" | ") if option != "null"]
                yield f"{said}  readonly {name}?: {' | '.join([*options, absent])};\n"

    def _options(self, schema: Json, shown: bool) -> Any:
        """Return the alternatives of a type, in their order."""
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return dict.fromkeys(option for part in schema[union] for option in self._options(part, shown)).keys()
        if isinstance(schema.get("type"), list):
            kinds = [{**schema, "type": one} for one in schema["type"]]
            return dict.fromkeys(option for kind in kinds for option in self._options(kind, shown)).keys()
        values = self._resolved(schema).get("enum", ())
        options = map(json.dumps, values) if "enum" in schema else [self._plain(schema, shown)]
        return dict.fromkeys([*options, *([OPEN] if shown and len(values) > 1 else [])]).keys()

    def _type(self, schema: Json, shown: bool) -> str:
        options = self._options(schema, shown)
        return " | ".join(sorted(options, key=lambda option: option == OPEN))

    def _plain(self, schema: Json, shown: bool) -> str:
        if "$ref" in schema:
            return str(schema["$ref"]).removeprefix(SCHEMAS)
        if "const" in schema:
            return json.dumps(schema["const"])
        match schema.get("type"):
            case "array":
                items = self._type(schema.get("items", {}), shown)
                return f"readonly ({items})[]" if re.search(r"[ {]", items) else f"readonly {items}[]"
            case "object" if "properties" in schema:
                members = "".join(self._members(schema, shown))
                return "{\n" + re.sub("^", "  ", members, flags=re.MULTILINE).rstrip(" ") + "  }"
            case "object":
                values = schema.get("additionalProperties")
                value = self._type(values, shown) if isinstance(values, dict) else "unknown"
                return f"Readonly<Record<string, {value}>>"
            case "integer" | "number":
                return "number"
            case "string" | "boolean" | "null" as kind:
                return str(kind)
        return "unknown"

    def _is_envelope(self, schema: Json) -> bool:
        """Return True for the envelope of an answer, which the transport opens."""
        properties = schema.get("properties", {})
        return "const" in properties.get("ok", {}) and "data" in properties

    def _reachable(self, roots: Iterable[Json]) -> set[str]:
        seen: set[str] = set()
        waiting: list[Any] = list(roots)
        while waiting:
            part = waiting.pop()
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                target = part.get("$ref")
                if isinstance(target, str):
                    kind, _, name = target.removeprefix("#/components/").partition("/")
                    if target not in seen:
                        seen.add(target)
                        waiting.append(self._components[kind][name])
                waiting += [value for key, value in part.items() if key not in ("example", "examples")]
        return {target.removeprefix(SCHEMAS) for target in seen if target.startswith(SCHEMAS)}

    # Operations

    def _resolved(self, part: Json) -> Json:
        while "$ref" in part:
            kind, name = str(part["$ref"]).removeprefix("#/components/").split("/")
            part = self._components[kind][name]
        return part

    def _answers(self, described: Json) -> list[str]:
        """Return the types of the data of all successful answers; none for a stream."""
        answers: list[str] = []
        for status, answer in described["responses"].items():
            content = self._resolved(answer).get("content", {})
            if status.startswith("2") and "application/json" in content:
                envelope = self._resolved(content["application/json"]["schema"])
                answers += self._options(envelope["properties"]["data"], True)
        return list(dict.fromkeys(answers))

    def _parameters(self, described: Json, where: str) -> list[Json]:
        parts = [self._resolved(part) for part in described.get("parameters", ())]
        return [part for part in parts if part["in"] == where and part["name"] not in SHARED]

    def _row(self, row: Any, described: Json) -> str:
        fields = {"id": row.id, "method": row.method, "path": row.path, "command": words_of(row)}
        if row.accepted is not None:
            fields["waits"] = True
        if row.method == "GET" and not row.past:
            fields["past"] = False
        pairs = ", ".join(f"{name}: {json.dumps(value)}" for name, value in fields.items())
        answer = " | ".join(self._answers(described)) or "never"
        return f"export const {row.id}: Operation<{answer}> = {{ {pairs} }};\n"

    def _query(self, name: str, described: Json) -> tuple[str, bool]:
        """Return the name of the type of a query, or an empty one, and True if a parameter is required."""
        names = {part["name"] for part in self._parameters(described, "query")}
        required = any(part.get("required") for part in self._parameters(described, "query"))
        if names == PAGING:
            return "PageQuery", required
        return f"{name[0].upper()}{name[1:]}Query" if names else "", required

    def _query_type(self, name: str, described: Json) -> str:
        query, _ = self._query(name, described)
        if query in ("", "PageQuery"):
            return ""
        parameters = self._parameters(described, "query")
        paged = {part["name"] for part in parameters} >= PAGING
        base = " extends PageQuery" if paged else ""
        lines = [f"/** The query of `{name}`. */\nexport interface {query}{base} {{\n"]
        for part in parameters:
            if paged and part["name"] in PAGING:
                continue
            options = [option for option in self._options(part["schema"], False) if option != "null"]
            kind = "number" if part["name"] == "limit" else qualified(" | ".join(options))
            optional, absent = ("", "") if part.get("required") else ("?", " | undefined")
            lines.append(comment(part.get("description", ""), "  "))
            lines.append(f"  readonly {part['name']}{optional}: {kind}{absent};\n")
        return "".join([*lines, "}\n"])

    def _method(self, row: Any, described: Json) -> str:
        name = row.id
        parameters = [f"{one['name']}: string" for one in self._parameters(described, "path")]
        parts = []
        if parameters:
            parts.append(f"path: {{ {', '.join(one.partition(':')[0] for one in parameters)} }}")
        if "requestBody" in described:
            schema = described["requestBody"]
            body = self._type(self._resolved(schema)["content"]["application/json"]["schema"], False)
            parameters.append(f"body: {qualified(body)}" + ("" if schema.get("required") else " = {}"))
            parts.append("body")
        query, required = self._query(name, described)
        if query:
            parameters.append(f"query: {query}" + ("" if required else " = {}"))
            parts.append("query: { ...query }")
        about = described.get("description") or sentence(described["summary"])
        said = comment(about, "  ", described.get("deprecated", False))
        if row.stream:
            parts.remove("query: { ...query }")
            streamed = ", ".join([*parts, "query: { ...query, after: undefined }", "...options"])
            signature = ", ".join([*parameters, "options: StreamParts = {}"])
            call = f"return this.stream(rows.{name}, query.after ?? undefined, {{ {streamed} }});"
            return f"{said}  {name}({signature}): AsyncGenerator<StreamItem, void, undefined> {{\n    {call}\n  }}\n"
        options = "ReadOptions" if row.method == "GET" else "WriteOptions"
        parameters.append(f"options: {options} = {{}}")
        answer = qualified(" | ".join(self._answers(described)))
        page, item, field = self._page_of(described)
        sent = f"{{ {', '.join([*parts, '...options'])} }}"
        if page:
            kinds = f"Pages<{qualified(item)}, {qualified(page)}>"
            parameter = "after" if row.paging == "tail" else "cursor"
            items = f"page.{field}"
            if item == "EventRecord":
                kinds, items = kinds.replace("types.EventRecord", "AthenaEvent"), f"{items}.map(eventOf)"
            call = f'return new Pages(this, rows.{name}, {sent}, (page) => {items}, "{parameter}");'
            return f"{said}  {name}({', '.join(parameters)}): {kinds} {{\n    {call}\n  }}\n"
        call = f"return (await this.request(rows.{name}, {sent})).data;"
        return f"{said}  async {name}({', '.join(parameters)}): Promise<{answer}> {{\n    {call}\n  }}\n"

    def _page_of(self, described: Json) -> tuple[str, str, str]:
        """Return the type of a page, of its items, and the field that holds them; empty for other answers."""
        names = {part["name"] for part in self._parameters(described, "query")}
        answers = self._answers(described)
        if not names & {"cursor", "after"} or len(answers) != 1 or answers[0] not in self._schemas:
            return "", "", ""
        properties = self._schemas[answers[0]]["properties"]
        fields = [field for field in PAGE_ITEMS if properties.get(field, {}).get("type") == "array"]
        if not fields or "nextCursor" not in properties:
            return "", "", ""
        return answers[0], self._type(properties[fields[0]]["items"], True), fields[0]


def qualified(type_: str) -> str:
    """Return a type with its names in the namespace ``types``."""
    return re.sub(r"\b(?=[A-Z]\w+\b)(?!Readonly\b|Record\b)", "types.", type_)


def event_name(type_: str) -> str:
    """Return the name of the interface of an event type."""
    return "".join(word.capitalize() for word in re.split(r"\W", type_)) + "Event"


def comment(text: str, indent: str = "", deprecated: bool = False) -> str:
    """Return a documentation comment, or nothing without a text."""
    paragraphs = [*text.replace("*/", "* /").replace("``", "`").split("\n\n"), *(["@deprecated"] if deprecated else [])]
    lines = [line for one in paragraphs for line in [*wrap(" ".join(one.split()), WIDTH - len(indent) - 3), ""]][:-1]
    if not text:
        return ""
    if len(lines) == 1 and len(lines[0]) <= WIDTH - len(indent) - 7:
        return f"{indent}/** {lines[0]} */\n"
    return f"{indent}/**\n" + "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines) + f"{indent} */\n"
