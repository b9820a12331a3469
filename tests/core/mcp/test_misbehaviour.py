"""Servers whose bytes are broken, through the client: each ends in an answer or a named failure, in bounded memory.

What servers say wrongly in whole messages is played by the simulator.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire
from athena_core.mcp.client.stdio import StdioWire
from athena_core.system.process import Child
from tests.support.api import PATIENCE_SECONDS
from tests.support.fake_mcp_http import FakeMcpHttp, fake_mcp_http
from tests.support.mcp_servers import fake_command

pytestmark = pytest.mark.anyio

HTTP, STDIO = "http", "stdio"
BROKEN = [
    (STDIO, "half", {"ended", "invalid-json"}),
    (STDIO, "stderr", {"answered"}),
    (STDIO, "bad-utf8", {"invalid-message"}),
    (STDIO, "deep-json", {"invalid-json"}),
    (STDIO, "many-objects", {"invalid-message"}),
    (STDIO, "huge-line", {"line-too-long"}),
    (STDIO, "endless-line", {"line-too-long"}),
    (HTTP, "split-event", {"answered"}),
    (HTTP, "html", {"invalid-message"}),
    (HTTP, "no-type", {"invalid-message"}),
    (HTTP, "short-body", {"connection"}),
    (HTTP, "bad-http", {"connection"}),
    (HTTP, "bad-chunks", {"connection"}),
    (HTTP, "gzip-bomb", {"invalid-message"}),
    (HTTP, "giant-header", {"connection"}),
    (HTTP, "giant-event", {"line-too-long"}),
    (HTTP, "endless-body", {"line-too-long"}),
]
KIBIBYTES_MAX = 200_000
"""Memory that one of them may take; the limit of a line is 16 MiB."""


def http_wire(fake: FakeMcpHttp) -> HttpWire:
    async def resolve(host: str, port: int) -> list[str]:
        return [host]

    return HttpWire(fake.url, resolve=resolve)


@contextmanager
def wired(kind: str, switch: str) -> Iterator[HttpWire | StdioWire]:
    """Yield a wire to a fake server."""
    if kind == HTTP:
        with fake_mcp_http(switch) as fake:
            yield http_wire(fake)
    else:

        async def start() -> Child:
            return await Child.start(tuple(fake_command(switch)), {"PATH": os.environ["PATH"]})

        yield StdioWire(start)


async def outcome(wire: HttpWire | StdioWire) -> str:
    """Open, list and call echo. Return ``answered`` or the code of the failure."""
    async with McpClient("fake", wire, version="1") as client:
        try:
            await client.open(PATIENCE_SECONDS)
            await client.listing(PATIENCE_SECONDS)
            await client.call("echo", {"text": "hi"}, seconds=PATIENCE_SECONDS)
        except McpFailure as failure:
            assert str(failure).isprintable()
            return failure.code
    return "answered"


@pytest.mark.parametrize(("kind", "switch", "expected"), BROKEN)
async def test_broken_bytes_end_in_an_answer_or_a_failure(kind: str, switch: str, expected: set[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with wired(kind, switch) as wire:
        assert await outcome(wire) in expected
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KIBIBYTES_MAX


@pytest.mark.heavy
async def test_a_stream_of_requests_opens_few_connections() -> None:
    with fake_mcp_http("request-flood", "count=2000", "era=legacy") as fake:
        assert await outcome(http_wire(fake)) in {"flood", "answered"}
        assert fake.connections_max < 100
