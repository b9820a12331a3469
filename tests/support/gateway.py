"""A gateway between a client and a vendor, both byte by byte, with a ledger that keeps what it is given."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from athena_core.agents.known import AgentWire
from athena_core.clock import CountingIds, FixedClock
from athena_core.gateway.exchange import GatewayLimits
from athena_core.gateway.gateway import Gateway
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.gateway.upstream import ModelServer, model_servers
from athena_core.mcp.served import McpService
from athena_core.providers.prices import Prices
from tests.support.api import PATIENCE_SECONDS
from tests.support.stub import Behaviour, Stub
from tests.support.vendors import VENDORS, VendorAnswer

PRICES = Prices.load()
KEYS = {"openai": "key-of-openai/01", "anthropic": "key-of-anthropic-02", "gemini": "key-of-gemini+03="}
ANY = {"*": "gpt-4o-mini"}


@dataclass
class FakeLedger:
    """A ledger with a sum for each call, all in micro-USD. ``sums`` are the answers in turn; the last one stays."""

    sums: list[int | None | Exception] = field(default_factory=lambda: [None])
    reserved: list[tuple[int, str, str, int, int | None]] = field(default_factory=list)
    ends: list[EndedCall] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each end."""
    pause: asyncio.Event | None = None
    """Recording waits for it."""
    broken: Exception | None = None

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        self.reserved.append((call, provider, model, least, most))
        found = self.sums.pop(0) if len(self.sums) > 1 else self.sums[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def ended(self, ended: EndedCall) -> None:
        if self.pause is not None:
            await self.pause.wait()
        if self.broken is not None:
            raise self.broken
        self.ends.append(ended)
        self.recorded.set()

    def live(self, call: int, text: str) -> None:
        self.texts.append((call, text))

    @property
    def last(self) -> EndedCall:
        return self.ends[-1]


REACHED = CallBudgetReached()


@dataclass
class Vendor:
    """A model server that keeps each request as it came, and answers with a behaviour."""

    behaviour: Behaviour
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has hung up while an answer was on its way."""

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        found = re.search(rf"\r\n{name}: ([^\r]*)", self.heads[-1].decode(), re.IGNORECASE)
        return found and found[1]

    @property
    def target(self) -> str:
        return self.heads[-1].decode().split(" ")[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(size[1]) if size else 0))
            self.asked.set()
            acting = asyncio.ensure_future(self.behaviour(Stub(lambda asked: self.behaviour), writer))
            acting.add_done_callback(lambda _: writer.close())
            with suppress(ConnectionError):
                await reader.read()
            self.left.set()
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def vendor(behaviour: Behaviour) -> AsyncIterator[Vendor]:
    found = Vendor(behaviour)
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    try:
        found.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/base"
        yield found
    finally:
        listener.close()


def head(kind: str, *lines: str, status: int = 200) -> bytes:
    """Return the head of an answer that ends with the connection."""
    return "\r\n".join([f"HTTP/1.1 {status} x", f"content-type: {kind}", *lines, "connection: close", "", ""]).encode()


def answers(answer: VendorAnswer, *lines: str) -> Behaviour:
    """Send an answer piece by piece."""

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        for piece in (head(answer.kind, *lines), *answer.pieces):
            writer.write(piece)
            await writer.drain()

    return behave


class Reply(NamedTuple):
    """The answer to a client. ``whole`` is False if it was cut off."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        assert found["type"] == "error"
        inner: dict[str, Any] = found["error"]
        return inner


@dataclass
class Client:
    """A connection to a gateway."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def left(self) -> bytes:
        """Return all bytes that still come, and close."""
        data = b""
        with suppress(ConnectionError):
            while piece := await self.reader.read(65_536):
                data += piece
        self.writer.close()
        return data

    async def rest(self) -> Reply:
        """Read an answer to its end, and close."""
        return reply_of(await self.left())


def reply_of(data: bytes) -> Reply:
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split(" ")[1]) if " " in first else 0
    if headers.get("transfer-encoding") != "chunked":
        return Reply(status, headers, body, whole=len(body) == int(headers.get("content-length", len(body))))
    found, whole = b"", False
    while not whole and b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        whole = count == 0
        found, body = found + body[:count], body[count + 2 :]
    return Reply(status, headers, found, whole)


def request(target: str, body: bytes, *lines: str, key: str = "", method: str = "POST") -> bytes:
    """Return a request with a matching length."""
    own = [f"authorization: Bearer {key}"] if key else []
    fields = ["host: x", "content-type: application/json", f"content-length: {len(body)}", *own, *lines]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode() + body


@dataclass
class World:
    """A gateway with its client's and its vendor's side."""

    wire: AgentWire
    gateway: Gateway
    ledger: FakeLedger
    vendor: Vendor
    upstream: ModelServer

    async def connect(self) -> Client:
        if self.gateway.socket is not None:
            return Client(*await asyncio.open_unix_connection(str(self.gateway.socket)))
        port = int(self.gateway.url.rpartition(":")[2])
        return Client(*await asyncio.open_connection("127.0.0.1", port))

    async def begin(self, *lines: str, body: bytes | None = None, target: str = "", method: str = "POST") -> Client:
        """Send a request of the wire."""
        one = VENDORS[self.wire]
        client = await self.connect()
        sent = one.body() if body is None else body
        await client.send(request(target or one.target, sent, *lines, key=self.gateway.key, method=method))
        return client

    async def ask(self, *lines: str, body: bytes | None = None, target: str = "", method: str = "POST") -> Reply:
        """Send a request of the wire, and read the answer."""
        return await (await self.begin(*lines, body=body, target=target, method=method)).rest()

    async def raw(self, *pieces: bytes) -> Reply:
        """Send bytes on a connection of their own, and read the answer."""
        client = await self.connect()
        with suppress(ConnectionError):  # refused before all was sent
            await client.send(*pieces)
        return await client.rest()


@asynccontextmanager
async def gateway(
    wire: AgentWire,
    behaviour: Behaviour,
    *,
    ledger: FakeLedger | None = None,
    models: dict[str, str] | None = None,
    limits: GatewayLimits | None = None,
    boxed: bool = True,
    tools: McpService | None = None,
    silence_seconds: float = PATIENCE_SECONDS,
    url: Callable[[str], str] = str,
) -> AsyncIterator[World]:
    """Open a gateway to a vendor. Any model is allowed and stays as it is, unless ``models`` says otherwise."""
    provider = VENDORS[wire].provider
    asked = VENDORS[wire].request.get("model", "gemini-2.5-flash")
    async with vendor(behaviour) as server:
        addresses = {f"{name}_base_url": url(server.url) for name in KEYS}
        keys = {f"{name}_api_key": key for name, key in KEYS.items()}
        found = model_servers(**addresses, **keys, silence_seconds=silence_seconds)
        upstream = found[provider]
        kept = ledger or FakeLedger()
        try:
            async with Gateway(
                wire,
                upstream,
                kept,
                {asked: asked} if models is None else models,
                prices=PRICES,
                clock=FixedClock(),
                ids=CountingIds(),
                boxed=boxed,
                tools=tools,
                limits=limits,
            ) as opened:
                yield World(wire, opened, kept, server, upstream)
        finally:
            for one in found.values():
                await one.close()
