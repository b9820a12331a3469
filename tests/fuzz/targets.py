"""The targets of the fuzzer: each target takes any bytes, and fails only where the code under it breaks a promise.

A target that returns has kept the promise: it accepted the input, or refused it with its declared error.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes
from zlib import crc32

import anyio
import msgspec

from athena_api.edge.exchange import PIPELINED_MAX
from athena_api.endpoint.body import decode_body
from athena_api.endpoint.operation import PREFIX, NoBody
from athena_api.operations import OPERATIONS
from athena_core import schema
from athena_core.clock import FixedClock
from athena_core.definitions import slots
from athena_core.definitions.cron import cron_of
from athena_core.definitions.placeholder import as_text, fill
from athena_core.definitions.trigger import Trigger, check_trigger
from athena_core.domain import EVENTS
from athena_core.domain.template import TemplateSpec, normalise_template, resolve_params
from athena_core.errors import ConfigError, CursorAhead, CursorForeign, CursorInvalid
from athena_core.event import Unknown
from athena_core.log.codec import Codec
from athena_core.mcp.client.events import EventReader, EventTooLarge
from athena_core.mcp.client.listing import ListingReader
from athena_core.mcp.client.questions import question_of
from athena_core.mcp.client.result import RESULT_BYTES_MAX, read_result
from athena_core.mcp.client.wire import LIMITS
from athena_core.mcp.served import (
    Elicitation,
    ElicitationAnswer,
    Headers,
    McpService,
    NeedsInput,
    ResourceText,
    ServedCall,
    ServedError,
    ServedResult,
    ServedTask,
)
from athena_core.mcp.serving import McpServing
from athena_core.protocols import Row
from athena_core.roles import EVERYBODY_ELSE, Roster, parse_role_file
from athena_core.rpc.peer import ProtocolBroken, RequestFailed, read_message
from athena_core.values import Role
from projections.directives import NEWEST
from projections.engine.cursor import event_id, parse_cursor, resolve
from projections.sessions import LATEST
from tests.api.examples import EXAMPLES
from tests.projections.history import History
from tests.support.api import PATIENCE_SECONDS
from tests.support.connection import Application, Seen, feed
from tests.support.inside import Inside

Try = Callable[[bytes], None]
NOW = FixedClock().now()
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Europe/London", "Pacific/Apia")


class Target(NamedTuple):
    """A target of the fuzzer: a context that it needs, and a function that takes bytes."""

    ready: Callable[[Path], Any]
    """A context manager on an empty directory that yields the function that tries some bytes."""
    bytes_max: int = 4_096


# Cursors


@contextmanager
def cursors(directory: Path) -> Iterator[Try]:
    history = History()
    for number in range(3):
        history.directive(f"dir_{number}")

    def attempt(data: bytes) -> None:
        text = data.decode(errors="surrogateescape")
        try:
            cursor = parse_cursor(text)
            if cursor.mark is not None:
                assert event_id(cursor.log_id or "", cursor.position, cursor.mark) == text
            assert 0 <= resolve(cursor, history) <= history.head()
        except (CursorInvalid, CursorForeign, CursorAhead):
            pass
        for keyset in (NEWEST, LATEST):
            try:
                values = keyset.decode(text)
            except CursorInvalid:
                continue
            assert keyset.decode(keyset.encode(values)) == values

    yield attempt


# Times


@contextmanager
def crons(directory: Path) -> Iterator[Try]:
    """Cron expressions, with time zones after a line feed."""

    def attempt(data: bytes) -> None:
        expression, _, zone = data.decode(errors="replace").partition("\n")
        zones = (zone,) if zone else (ZONES[crc32(data) % len(ZONES)],)
        for name in zones:
            try:
                trigger = msgspec.convert({"cron": expression, "timezone": name}, Trigger)
                check_trigger(trigger)
                slots.check_ahead(trigger, NOW)
            except (ConfigError, msgspec.ValidationError):
                continue
            first = slots.next_slot(trigger, NOW)
            assert first is not None
            until = NOW + slots.AHEAD
            found = slots.slots_between(trigger, NOW, until, 5)
            assert found[0] == first > NOW
            assert found == sorted(set(found))
            assert slots.count_slots(trigger, NOW, found[-1]) == len(found)
            assert slots.last_slot(trigger, NOW, found[-1]) == found[-1]
            cron = cron_of(expression, name)
            assert [instant * 1000 for instant in islice(cron.walk(NOW // 1000, until // 1000), len(found))] == found

    yield attempt


# Requests


LEFT_OUT = {"tickSchedules", "startHalt"}
"""Waits for runs, which are not executed here; refuses most calls after it, so that nothing behind them is reached."""
WRITES = {row.id: row for row in OPERATIONS if row.body is not NoBody and row.id not in LEFT_OUT}


class Answered(NamedTuple):
    status: int
    body: bytes


async def call(
    app: Any, method: str, target: str, body: bytes = b"", *headers: tuple[bytes, bytes], until: bytes = b""
) -> Answered:
    """Return the answer of an ASGI application; ``target`` is percent-encoded and may hold a query.

    The caller disconnects once a piece of the answer holds ``until``, which ends a stream.
    """
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"plane"), (b"content-type", b"application/json"), *headers],
        "client": None,
        "server": None,
    }
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        await seen.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if until and until in message.get("body", b""):
            seen.set()

    seen = asyncio.Event()
    with anyio.fail_after(PATIENCE_SECONDS):
        await app(scope, receive, send)
    return Answered(sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]))


def judge(answer: Answered) -> None:
    """Fail on an answer that blames the server, or is not an envelope."""
    assert answer.status < 500, answer
    envelope = msgspec.json.decode(answer.body)
    assert envelope["ok"] is (answer.status < 300), answer


@contextmanager
def plane(directory: Path, **settings: str) -> Iterator[Inside]:
    """Yield a plane that executes nothing."""
    inside = Inside(directory, executor="off", scheduler="off", workspace_root=str(directory), **settings)
    inside.start()
    try:
        yield inside
    finally:
        inside.stop()


@contextmanager
def requests(directory: Path) -> Iterator[Try]:
    """Bodies of commands: the name of the operation, a line feed, the body."""
    with plane(directory) as inside:

        def attempt(data: bytes) -> None:
            name, _, body = data.partition(b"\n")
            row = WRITES.get(name.decode("latin-1"))
            if row is None:
                row = list(WRITES.values())[crc32(name) % len(WRITES)]
            path = PREFIX + EXAMPLES[row.id].path
            judge(inside.call(call, inside.app, row.method, path, body, (b"prefer", b"respond-async")))

        yield attempt


# Searches


@contextmanager
def searches(directory: Path) -> Iterator[Try]:
    """Queries of the memory, by clients and by the reminders of runs."""
    (directory / "MEMORY.md").write_text("# Habits\n\nWe deploy the harbour on Mondays. AND OR NOT NEAR\n")
    with plane(directory, memory_enabled="true") as inside:

        async def recall(text: str) -> Any:
            return await inside.app.plane.memory.recall(text, 10_000)

        def attempt(data: bytes) -> None:
            target = f"{PREFIX}/memory/search?query={quote_from_bytes(data)}&limit=3"
            judge(inside.call(call, inside.app, "GET", target))
            inside.call(recall, data.decode(errors="replace"))

        yield attempt


# Roles


@contextmanager
def role_maps(directory: Path) -> Iterator[Try]:
    def attempt(data: bytes) -> None:
        try:
            roles = parse_role_file(data)
        except (ConfigError, UnicodeDecodeError):
            return
        roster = Roster(enabled=True, roles=roles, default=Role.VIEWER)
        for name, role in roles.items():
            assert role in Role
            if name != EVERYBODY_ELSE:
                assert roster.identity(name).role is role
        again = "\n".join(f"{name}:{role}" for name, role in roles.items())
        assert parse_role_file(again.encode()) == roles

    yield attempt


# Connections


@contextmanager
def connections(directory: Path) -> Iterator[Try]:
    """Bytes of a connection: where they are split does not change the requests that an application receives."""
    loop = asyncio.new_event_loop()

    def seen(pieces: Iterable[bytes], *, waiting: bool) -> list[Seen]:
        application = Application()
        loop.run_until_complete(feed(application, pieces, waiting=waiting))
        assert application.bodies.used == 0
        return application.seen

    def attempt(data: bytes) -> None:
        whole = seen([data], waiting=False)
        size = crc32(data) % 7 + 1
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        for other in (seen(pieces, waiting=False), seen(pieces, waiting=True)):
            for one, same in zip(whole[:PIPELINED_MAX], other, strict=False):
                assert one.headers == one.headers_after
                assert one._replace(body=b"") == same._replace(body=b"")
                assert one.body == same.body or one.body is None or same.body is None
            if len(whole) <= PIPELINED_MAX:
                assert len(other) == len(whole), (whole, other)

    try:
        yield attempt
    finally:
        loop.close()


# Templates


class Given(msgspec.Struct):
    params: dict[str, Any]


@contextmanager
def templates(directory: Path) -> Iterator[Try]:
    """Templates as JSON, with parameters after a line feed."""

    def attempt(data: bytes) -> None:
        spec, _, given = data.partition(b"\n")
        try:
            template = normalise_template(decode_body(TemplateSpec, spec, "template"), schema.check, schema.problems)
            params = decode_body(Given, given, "run").params
            values = resolve_params(template.default_params, params, template.params_schema, schema.problems)
            said = as_text(fill(template.directive_template, values, "params"))
        except ConfigError:
            return
        said.encode()

    yield attempt


# Stored events


CODEC = Codec(EVENTS)
KINDS = sorted(event.TYPE for event in EVENTS)


@contextmanager
def stored_events(directory: Path) -> Iterator[Try]:
    """Rows of the log: type and version, payload, other columns and text, by lines."""

    def attempt(data: bytes) -> None:
        head, payload, extra, text, *_ = [*data.split(b"\n"), b"", b"", b""]
        kind, _, version = head.decode("latin-1").partition(" ")
        if kind not in KINDS:
            kind = KINDS[crc32(head) % len(KINDS)]
        row = Row(
            position=7,
            stream="stream",
            version=3,
            type=kind,
            schema_version=int(version) if version.isdecimal() and len(version) < 4 else 1,
            recorded_at=NOW,
            command_id="cmd",
            correlation="trace",
            causation=None,
            actor="ada",
            session_id=None,
            run_id=None,
            data=payload,
            extra=extra or None,
            data_hash=b"",
            text_hash=None,
            chain=bytes(32),
            text=text or None,
        )
        try:
            event = CODEC.decode(row).event
            bare = CODEC.decode(row, text=False).event
        except ValueError:
            return
        assert not isinstance(event, Unknown)
        assert type(bare) is type(event)
        again = CODEC.encode(event, lambda: bytes(16))
        stored = row._replace(schema_version=again.schema_version, data=again.data, extra=again.extra, text=again.text)
        assert CODEC.decode(stored).event == event

    yield attempt


# Requests to the MCP server


class EchoService(McpService):
    """A service of two tools that return what they got, one of them after a question. Failures are raised."""

    has_resources = True
    has_tasks = True

    async def call(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        await call.progress(1, call.tool)
        if call.tool == "ask" and call.caller.modern and not call.answers:
            return NeedsInput({"a": Elicitation("Which?", {"type": "object", "properties": {}})}, call.state)
        return ServedResult(call.tool, {"arguments": call.arguments, "key": call.key, "state": call.state})

    async def read_resource(self, uri: str) -> ResourceText:
        return ResourceText(uri, uri)

    async def task(self, task_id: str) -> ServedTask:
        return ServedTask(task_id, "working", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")

    async def update_task(self, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
        return None

    def refusal(self, error: Exception) -> ServedError:
        raise error


class AnswerParts:
    """The parts of an answer."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.ended = False

    async def start(self, status: int, headers: Headers) -> None:
        assert not self.status
        self.status = status

    async def send(self, data: bytes, *, more: bool) -> None:
        assert self.status
        assert not self.ended
        self.body += data
        self.ended = not more


@contextmanager
def mcp_requests(directory: Path) -> Iterator[Try]:
    """Requests to an MCP server: lines of header fields, an empty line, the body."""
    loop = asyncio.new_event_loop()
    serving = McpServing("athena", "Athena", "0", lambda: "n" * 22)

    def attempt(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        fields = [(name.lower(), value) for name, _, value in (line.partition(b":") for line in head.split(b"\n"))]
        answer = AnswerParts()
        loop.run_until_complete(serving.serve(body, fields, EchoService(), answer, owner="ada"))
        assert answer.ended
        assert answer.status < 500
        assert (answer.body == b"") == (answer.status == 202)
        if answer.body.startswith(b"{"):
            message = msgspec.json.decode(answer.body)
            assert ("result" in message) != ("error" in message)
            assert answer.status == 200 or "error" in message

    try:
        yield attempt
    finally:
        loop.close()


# What MCP servers send


@contextmanager
def mcp_answers(directory: Path) -> Iterator[Try]:
    """Answers of an MCP server: as a stream of events, and as a message, a result, a listing and a question."""

    def attempt(data: bytes) -> None:
        reader = EventReader(1_024)
        with suppress(EventTooLarge):
            for piece in (data[:7], data[7:]):
                for event in reader.more(piece):
                    assert len(event) <= 1_024
        with suppress(ProtocolBroken):
            read_message(data, LIMITS)
        raw, shape = msgspec.Raw(data), "another shape than the protocol"
        try:
            result = read_result(raw)
            assert len(result.text.exact.encode()) <= RESULT_BYTES_MAX
        except ValueError as error:
            assert str(error) == shape
        listing = ListingReader(headers=True)
        try:
            listing.add(raw)
        except ValueError as error:
            assert str(error) == shape
        for tool in listing.tools.values():
            assert tool.sha256
            assert tool.name.isprintable()
            msgspec.json.encode(tool)
            schema.Schema(tool.input_schema)
        with suppress(RequestFailed):
            question = question_of(raw)
            msgspec.json.encode(question.with_defaults({}))

    yield attempt


TARGETS: Mapping[str, Target] = {
    "cursor": Target(cursors, bytes_max=256),
    "cron": Target(crons, bytes_max=300),
    "request": Target(requests),
    "search": Target(searches, bytes_max=1_024),
    "connection": Target(connections, bytes_max=1_024),
    "roles": Target(role_maps, bytes_max=1_024),
    "template": Target(templates),
    "event": Target(stored_events),
    "mcp": Target(mcp_requests),
    "mcp_answers": Target(mcp_answers),
}
"""By name."""
