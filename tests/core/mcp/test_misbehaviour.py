"""Servers that misbehave, through the client: each ends in an answer or a named failure within its deadline.

The fake server is a process for the standard streams, and a thread of this process for HTTP.
"""

import os
import re
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.result import RESULT_BYTES_MAX
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.tool_names import public_name
from athena_core.system.process import Child
from tests.scale import SCALE
from tests.support.fake_mcp_http import FakeMcpHttp, fake_mcp_http
from tests.support.mcp_servers import fake_command, processes

pytestmark = pytest.mark.anyio

SHORT = 1.0
"""Seconds of a deadline that a server exceeds."""
LONG = 30.0
"""Seconds of a deadline that none should need."""
SLACK = 15.0
"""Seconds that a busy machine may take beyond a deadline."""
HTTP, STDIO = "http", "stdio"


def http_wire(fake: FakeMcpHttp) -> HttpWire:
    """Return a wire that connects to a fake server and nowhere else."""

    async def resolve(host: str, port: int) -> list[str]:
        assert fake.url == f"http://{host}:{port}/mcp"
        return [host]

    return HttpWire(fake.url, resolve=resolve)


@contextmanager
def wired(kind: str, *switches: str) -> Iterator[HttpWire | StdioWire]:
    """Yield a wire to a fake server."""
    if kind == HTTP:
        with fake_mcp_http(*switches) as fake:
            yield http_wire(fake)
    else:

        async def start() -> Child:
            return await Child.start(tuple(fake_command(*switches)), {"PATH": os.environ["PATH"]})

        yield StdioWire(start)


async def answer(question: McpQuestion) -> dict[str, Any] | None:
    assert question.message.isprintable() or "\n" in question.message
    return {"color": "red"}


async def outcome(wire: HttpWire | StdioWire, seconds: float) -> str:
    """Open, list and call echo. Return ``answered``, ``is-error``, or the code of the failure."""
    begun = time.monotonic()
    async with McpClient("fake", wire, version="1", asks=True) as client:
        try:
            await client.open(seconds)
            await client.listing(seconds)
            result = await client.call("echo", {"text": "hi"}, seconds=seconds, on_progress=lambda *_: None, ask=answer)
            found = "is-error" if result.is_error else "answered"
            assert len(result.text.exact) <= RESULT_BYTES_MAX
        except McpFailure as failure:
            found = failure.code
            sentence = str(failure)
            assert sentence.startswith("The MCP server 'fake' failed. ")
            assert len(sentence) < 1_000
            assert sentence.isprintable()
    assert time.monotonic() - begun < 3 * seconds + SLACK
    return found


# Each misbehaviour, and the codes in which it may end

ANSWERS_BADLY: Mapping[str, tuple[str, ...]] = {
    "silence": ("silent",),
    "drip": ("silent", "invalid-json"),
    "crash": ("ended", "connection"),
    "exit": ("ended", "connection"),
    "close": ("ended", "connection"),
    "error": ("refused",),
    "giant-error": ("refused",),
    "bad-json": ("invalid-json",),
    "bad-utf8": ("invalid-message", "refused"),
    "deep-json": ("invalid-json",),
    "many-objects": ("invalid-message",),
    "not-rpc": ("invalid-message",),
    "batch": ("invalid-message",),
    "wrong-id": ("unknown-answer",),
    "string-id": ("unknown-answer",),
    "null-id": ("invalid-message", "refused"),
    "no-result": ("invalid-message",),
    "bad-result": ("invalid-message", "refused"),
    "twice": ("answered",),
    "half": ("ended", "invalid-json"),
    "endless-line": ("line-too-long", "silent"),
    "huge-line": ("line-too-long", "silent"),
}
"""At any method. Before the first message some are ignored, because no request is open."""
IN_A_CALL: Mapping[str, tuple[str, ...]] = {
    "flood count=5000": ("answered",),
    "endless-flood": ("silent", "flood"),
    "list-changed-flood count=5000": ("answered",),
    "progress-flood count=5000": ("answered",),
    "endless-progress": ("silent", "flood"),
    "backward-progress": ("answered",),
    "giant-progress": ("answered",),
    "sampling": ("answered",),
    "roots": ("answered",),
    "pings": ("answered",),
    "unknown-request": ("answered",),
    "request-flood": ("answered", "flood"),
    "same-id": ("answered", "invalid-message"),
    "late seconds=0.5": ("answered",),
    "changed": ("answered",),
    "changed-schema": ("answered",),
    "removed": ("refused",),
    "duplicate": ("answered",),
    "many-tools": ("answered",),
    "giant-schema": ("answered",),
    "giant-description": ("answered",),
    "deep-schema": ("answered",),
    "bad-schema": ("answered",),
    "recursive-schema": ("answered",),
    "injection": ("answered",),
    "odd-names": ("answered",),
    "pages": ("answered",),
    "endless-pages": ("answered",),
    "same-cursor": ("answered",),
    "is-error": ("is-error",),
    "giant-result": ("answered",),
    "many-parts": ("answered",),
    "odd-parts": ("answered",),
    "escapes": ("answered",),
    "bad-structure": ("answered",),
    "no-content": ("answered", "invalid-message"),
    "asks=3": ("answered",),
    "asks-for-ever": ("answered", "too-many-questions"),
    "giant-ask": ("answered",),
    "bad-ask": ("answered",),
    "odd-ask": ("answered",),
    "url-ask": ("answered",),
    "giant-state": ("answered", "result-too-large"),
}
OF_HTTP: Mapping[str, tuple[str, ...]] = {
    "key=abc": ("unauthorized",),
    "status": ("http-status",),
    "redirect": ("redirect",),
    "session": ("answered",),
    "session forgets": ("session-lost", "answered"),
    "sse": ("answered",),
    "endless-sse": ("silent",),
    "cut-sse": ("ended",),
    "giant-event": ("line-too-long",),
    "split-event": ("answered",),
    "html": ("invalid-message",),
    "no-type": ("invalid-message",),
    "gzip-bomb": ("invalid-message",),
    "giant-header": ("connection",),
    "short-body": ("connection",),
    "endless-body": ("line-too-long", "silent"),
    "bad-http": ("connection",),
    "bad-chunks": ("connection",),
    "set-cookie": ("answered",),
}
OF_PROCESSES: Mapping[str, tuple[str, ...]] = {
    "stderr": ("answered",),
    "deaf": ("silent", "answered"),
    "stays": ("answered",),
}
WAITS = ("silence", "drip", "endless-", "deaf")
"""The beginnings of switches that exceed a deadline."""


QUICK = {"crash", "bad-json", "many-tools", "asks-for-ever", "redirect"}
"""Those that ``make test`` tries."""


class Misbehaviour(NamedTuple):
    """A switch at a method, on a wire and in an era, and the outcomes that it may have."""

    name: str
    wire: str
    switches: tuple[str, ...]
    expected: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.wire, *self.switches))


def misbehaviours() -> Iterator[Misbehaviour]:
    """Yield each on both wires, in both eras, at each method."""
    for era, begin in (("modern", "discover"), ("legacy", "initialize")):
        for wire in (STDIO, HTTP):
            for name, codes in ANSWERS_BADLY.items():
                for at in ("call", "list", begin, *(("start",) if wire == STDIO else ())):
                    ignored = ("answered",) if at == "start" else ()
                    yield Misbehaviour(name, wire, (f"{name}={at}", f"era={era}"), codes + ignored)
            further = OF_PROCESSES if wire == STDIO else OF_HTTP
            for name, codes in (*IN_A_CALL.items(), *further.items()):
                yield Misbehaviour(name, wire, (*name.split(" "), f"era={era}"), codes)


def chosen() -> list[Any]:
    """Return all of them at full scale. CI tries each switch once, and ``make test`` a few."""
    found = sorted(misbehaviours(), key=lambda one: crc32(str(one).encode()))
    if SCALE != "full":
        found = list({one.name: one for one in found}.values())
    return [pytest.param(one, id=str(one), marks=() if one.name in QUICK else pytest.mark.heavy) for one in found]


@pytest.mark.parametrize("one", chosen())
async def test_a_misbehaviour_ends_in_time(one: Misbehaviour) -> None:
    with wired(one.wire, *one.switches) as wire:
        assert await outcome(wire, SHORT if one.name.startswith(WAITS) else LONG) in one.expected


async def test_a_redirect_reaches_no_other_host() -> None:
    with fake_mcp_http() as other, wired(HTTP, "redirect", f"to={other.url}", "key=secret") as wire:
        assert await outcome(wire, LONG) == "unauthorized"
        assert other.asked == []
    with fake_mcp_http() as other, wired(HTTP, "redirect", f"to={other.url}") as wire:
        assert await outcome(wire, LONG) == "redirect"
        assert other.asked == []


async def test_a_cookie_is_not_kept() -> None:
    with fake_mcp_http("set-cookie=list") as fake:
        assert await outcome(http_wire(fake), LONG) == "answered"
        assert len(fake.asked) > 2
        assert all("cookie" not in asked.headers for asked in fake.asked)


@pytest.mark.heavy
async def test_a_stream_of_requests_opens_few_connections() -> None:
    with fake_mcp_http("request-flood", "count=2000", "era=legacy") as fake:
        assert await outcome(http_wire(fake), LONG) in ("flood", "answered")
        assert fake.connections_max < 100


@pytest.mark.heavy
@pytest.mark.parametrize("switch", ["stays", "children=sleep 1000; : {log}", "silence", "deaf"])
async def test_no_process_of_a_server_is_left(switch: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with wired(STDIO, switch.format(log=log), f"log={log}") as wire:
        await outcome(wire, SHORT)
    assert log.exists()
    assert not processes(str(log))


async def test_words_of_a_listing_cannot_act() -> None:
    with wired(STDIO, "injection", "odd-names", "own-names", "alike-names", "bad-schema", "duplicate") as wire:
        async with McpClient("fake", wire, version="1") as client:
            await client.open(LONG)
            listing = await client.listing(LONG)
    names = [tool.name for tool in listing.tools]
    assert len(set(names)) == len(names)
    public = [public_name("fake", name) for name in names]
    assert len(set(public)) == len(public)
    assert all(re.fullmatch(r"fake__[A-Za-z0-9_-]{1,58}", name) for name in public)
    assert listing.skipped >= 10
    for tool in listing.tools:
        assert tool.name.isprintable()
        assert not set(tool.description or "") & set("\x1b\x00\x07\u202e\u2066")


@pytest.mark.heavy
async def test_a_flood_does_not_fill_the_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for switch in ("endless-line", "endless-flood", "huge-line", "many-objects"):
        with wired(STDIO, switch) as wire:
            await outcome(wire, SHORT)
    for switch in ("endless-body", "giant-event", "gzip-bomb", "giant-header"):
        with wired(HTTP, switch) as wire:
            await outcome(wire, SHORT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB; the limit of a line is 16 MiB
