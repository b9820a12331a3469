"""The protocol: what it sends, when a request starts, and the same framing as uvicorn's for any bytes."""

import asyncio
import gc
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from athena_api.edge.asgi import EXCHANGE, HEAD_ERROR, Receive, Scope, Send
from athena_api.edge.exchange import BODY_ERROR, fields_of, lines_of
from athena_api.edge.protocol import IDLE_SECONDS, HttpProtocol
from tests.scale import sized
from tests.support.connection import Application, Line, feed, turns
from tests.support.streams import ByteStream, byte_streams

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
HEAD = b"content-type: text/plain\r\ncontent-length: %d\r\n"
AT_ONCE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nab"


class Pieces(Line):
    """A transport that records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))
        super().write(data)


def connected(app: Any, line: Line, kind: type[Any] = HttpProtocol) -> Any:
    """Return a new connection of a server with an application."""
    config = Config(app, http=kind, ws="none", lifespan="off", log_config=None, log_level="critical")
    config.load()
    protocol = kind(config, ServerState(), {})
    protocol.connection_made(line)
    return protocol


async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
    scope[EXCHANGE].respond(200, HEAD % 2, b"ab")


# One write


async def test_head_and_body_are_one_write() -> None:
    line = Pieces()
    connected(Application(at_once), line).data_received(GET)
    await turns()
    assert line.writes == [AT_ONCE]


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb: c"), (b"x\n", b"y"), (b"x", b"\x00"), (b"x", b"\x7f")])
def test_a_field_with_a_control_character_is_not_sent(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(RuntimeError, match="control character"):
        lines_of([(b"a", b"b"), field])


def test_fields_survive_as_lines() -> None:
    fields = [(b"a", b"b: c"), (b"d", b""), (b"e", b"f\tg\xe9")]
    assert fields_of(lines_of(fields)) == fields


# When a request starts


async def test_an_error_after_the_answer_loses_no_request_that_waits() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await at_once(scope, receive, send)
        raise ValueError("after the answer")

    line = await feed(Application(fails), [GET * 3], waiting=False)
    assert line.written == AT_ONCE * 3


async def test_an_error_before_the_answer_is_a_500_and_closes() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("before the answer")

    line = await feed(Application(fails), [GET * 3], waiting=False)
    assert line.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert (line.written.count(b"HTTP/1.1"), line.closed) == (1, True)


async def test_a_request_starts_once_the_client_reads_its_answers() -> None:
    line = Line()
    protocol = connected(Application(at_once), line)
    protocol.pause_writing()
    protocol.data_received(GET * 2)
    await turns()
    assert line.written == b""
    protocol.resume_writing()
    await turns()
    assert line.written == AT_ONCE * 2


async def test_an_answered_request_leaves_nothing_for_the_garbage_collector() -> None:
    protocol = connected(Application(at_once), Line())
    protocol.data_received(GET)
    await turns()
    gc.collect()
    gc.disable()
    try:
        protocol.data_received(GET * 3)
        await turns()
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_bytes_that_arrive_make_the_head_of_the_log_unknown() -> None:
    application, positions = Application(at_once), []
    application.known_head.position = 7
    protocol = connected(application, Line())
    for part in (GET[:5], GET[5:]):
        protocol.data_received(part)
        positions.append(application.known_head.position)
        application.known_head.position = 8
    assert positions == [None, None]


async def test_a_connection_that_is_idle_after_an_answer_is_closed() -> None:
    line = Line()
    protocol = connected(Application(at_once), line)
    protocol.data_received(GET)
    await turns()
    now = asyncio.get_running_loop().time()
    protocol.check(now + IDLE_SECONDS - 1)
    assert not line.closed
    protocol.data_received(GET[:9])  # a head has more time
    protocol.check(now + IDLE_SECONDS + 1)
    assert not line.closed
    protocol.data_received(GET[9:])
    await turns()
    protocol.check(asyncio.get_running_loop().time() + IDLE_SECONDS + 1)
    assert line.closed


# The same as uvicorn's


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was received: with a length, in chunks, or before the body was read."""
    if HEAD_ERROR in scope:
        scope[EXCHANGE].respond(400, HEAD % 0, b"")
        return
    body = b""
    more = scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
        if BODY_ERROR in scope:
            scope[EXCHANGE].respond(400, HEAD % 0, b"")
            return
    seen = repr((scope["method"], scope["path"], scope["raw_path"], scope["query_string"], scope["http_version"], body))
    text = seen.encode() + repr([field for field in scope["headers"] if field[0] != b"t"]).encode()
    if scope["path"] == "/chunked":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": text[:9], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": text[9:]})
    elif EXCHANGE in scope:
        scope[EXCHANGE].respond(200, HEAD % len(text), b"" if scope["method"] == "HEAD" else text)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": fields_of(HEAD % len(text))})
        await send({"type": "http.response.body", "body": text})


class Outcome(NamedTuple):
    """The bytes of the answers before a 400, if input was refused, and if the connection was closed."""

    answers: bytes
    refused: bool
    closed: bool


async def outcome(kind: type[Any], pieces: Iterable[bytes], *, waiting: bool) -> Outcome:
    line = Line()
    protocol = connected(Application(echo), line, kind)
    for piece in pieces:
        if line.closed:
            break
        protocol.data_received(piece)
        if waiting:
            await turns()
    await turns()
    answers, refused, _ = line.written.partition(b"HTTP/1.1 400 ")
    found = Outcome(answers, bool(refused), line.closed)
    protocol.connection_lost(None)
    await turns()
    return found


UPGRADE = re.compile(rb"^upgrade|^connection: upgrade|CONNECT", re.IGNORECASE | re.MULTILINE)


def differences(ours: Outcome, theirs: Outcome, data: bytes) -> Iterator[str]:
    """Yield what differs and should not. Five differences are wanted:

    - A request that is refused while others are open: uvicorn writes its 400 into the answers of those, or before
      them. We answer them and close the connection.
    - Trailers reach uvicorn's application as header fields; ``echo`` leaves out the one of the streams.
    - After a request for another protocol uvicorn goes on with the bytes behind it. We answer it and close.
    - A body without an end that is not valid: uvicorn answers 400 although the request was answered. We close.
    - A head that the parser takes and RFC 9112 forbids: uvicorn answers it. We refuse it, and read nothing behind it.
    """
    if UPGRADE.search(data):
        return
    if ours.refused and theirs.answers.startswith(ours.answers):
        if not ours.closed:
            yield "a refused head"
        return
    if theirs.refused:
        if not ours.closed:
            yield "uvicorn refuses"
        if not ours.answers.startswith(theirs.answers):
            yield "answers before the refusal"
    elif ours != theirs:
        yield "answers"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Errors of applications are logged; the tests cause them on purpose."""
    logger = logging.getLogger("uvicorn.error")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


def compare(stream: ByteStream) -> None:
    async def both(*, waiting: bool) -> None:
        ours = await outcome(HttpProtocol, stream.pieces, waiting=waiting)
        theirs = await outcome(HttpToolsProtocol, stream.pieces, waiting=waiting)
        assert not list(differences(ours, theirs, stream.data)), (ours, theirs)

    for waiting in (False, True):
        asyncio.run(both(waiting=waiting))


CORPUS = [
    GET * 3,
    GET + b"nonsense\r\n\r\n",
    b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc" + GET,
    b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\nabc" + GET,
    b"POST /chunked HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nt: u\r\n\r\n" + GET,
    b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /early HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc",
    b"HEAD /x HTTP/1.1\r\nhost: h\r\n\r\nHEAD /chunked HTTP/1.1\r\nhost: h\r\n\r\n" + GET,
    b"GET /chunked HTTP/1.0\r\n\r\n" + GET,
    b"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + GET,
    b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n" + GET,
    b"GET http://h/x?y HTTP/1.1\r\nhost: h\r\n\r\n" + GET,
    b"\r\n\r\n" + GET,
    b"GET /x HTTP/1.1\nhost: h\n\n",
]


@pytest.mark.parametrize("data", CORPUS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_known_streams_have_the_framing_of_uvicorn(data: bytes, size: int) -> None:
    compare(ByteStream(data, tuple(range(0, len(data), size))))


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
@settings(max_examples=sized(300, 2_000, 100_000), deadline=None, suppress_health_check=list(HealthCheck))
@example(ByteStream(GET + GET, (3,)))
@given(byte_streams())
def test_any_stream_has_the_framing_of_uvicorn(stream: ByteStream) -> None:
    compare(stream)
