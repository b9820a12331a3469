"""The HTTP endpoint of one outside agent, which passes model calls on, byte for byte, and meters them.

It also has the MCP endpoint of the run, if the run has one.
"""

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from athena_core.agents.known import AgentWire
from athena_core.clock import Clock, Ids
from athena_core.gateway import endpoint
from athena_core.gateway.call import Call
from athena_core.gateway.exchange import BodyBytes, GatewayExchange, GatewayLimits
from athena_core.gateway.ledger import EndedCall, Ledger
from athena_core.gateway.refusals import CallBudgetReached, Refusal
from athena_core.gateway.upstream import ModelServer
from athena_core.gateway.wires import WIRES, ModelCall
from athena_core.mcp.served import McpService
from athena_core.mcp.serving import McpServing
from athena_core.providers.prices import Prices
from athena_core.system.box.private_socket import PrivateSocket
from athena_core.system.tasks import to_its_end

ANY_MODEL = "*"
"""The entry of the map of models that serves all models without an entry of their own."""
KEY_BYTES = 32
NONCE_BYTES = 16
NAME = "models"
"""Name of the socket's file."""
BACKLOG = 128
KEY_HEADERS = (b"x-api-key", b"x-goog-api-key")
BEARER = b"bearer "


class Gateway:
    """The endpoint of one agent. Use as an async context manager.

    It listens on a Unix socket of its own (``socket``), which a box binds, or on loopback (``url``), where each request
    needs ``key``. Leaving refuses new requests, cuts calls off and waits until the ledger has recorded them.
    """

    def __init__(
        self,
        wire: AgentWire,
        upstream: ModelServer,
        ledger: Ledger,
        models: Mapping[str, str],
        *,
        prices: Prices,
        clock: Clock,
        ids: Ids,
        boxed: bool,
        tools: McpService | None = None,
        limits: GatewayLimits | None = None,
    ) -> None:
        """Take the parts. ``models`` maps the models that may be asked for to those that serve them.

        ``*`` in it serves every other model. ``boxed`` chooses the socket. ``tools`` is what the MCP endpoint offers.
        """
        self._wire = WIRES[wire]
        self._upstream = upstream
        self._ledger = ledger
        self._models = models
        self._prices = prices
        self._clock = clock
        self._boxed = boxed
        self._tools = tools
        self._serving = McpServing("athena", "Athena", "", lambda: _text(ids.salt(NONCE_BYTES)))
        self._limits = limits or GatewayLimits()
        self._bodies = BodyBytes(self._limits.bodies_bytes_max)
        self._connections: set[asyncio.Task[None]] = set()
        self._calls = self._count = 0
        self._stopped: Refusal | None = None
        self._broken: BaseException | None = None
        self._server: asyncio.Server | None = None
        self._private: PrivateSocket | None = None
        self.key = "gw_" + _text(ids.salt(KEY_BYTES))
        self.socket: Path | None = None
        """Path of the socket, if there is one."""
        self.url = ""
        """The base URL on loopback, without a path; empty if there is a socket."""

    async def __aenter__(self) -> Self:
        """Listen. Raise OSError."""
        if self._boxed:
            self._private = PrivateSocket(NAME)
            listener, self.socket = self._private.listener, self._private.path
        else:
            listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
            listener.setblocking(False)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        start = asyncio.start_unix_server if self._boxed else asyncio.start_server
        try:
            self._server = await start(self._connected, sock=listener, backlog=BACKLOG)
        except BaseException:
            self._remove(listener)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all connections and calls. Raise the error of the ledger, unless another error is on its way."""
        self.stop("Athena has ended this work. The key and the endpoint are worth nothing any more.")
        with anyio.CancelScope(shield=True):
            if self._server is not None:
                self._server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
        if self._private is not None:
            self._private.remove()
        if error is None and self._broken is not None:
            raise self._broken

    def stop(self, message: str) -> None:
        """Refuse all further calls with a sentence. Calls on their way go on."""
        self._stop(Refusal("athena_stopped", message))

    def _remove(self, listener: socket.socket) -> None:
        listener.close()
        if self._private is not None:
            self._private.remove()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection in a task of its own, which leaving cancels."""
        if self._server is None or not self._server.is_serving():  # accepted while the gateway was left
            writer.close()
            return
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        connection.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the one request of a connection. The connection is closed when this ends."""
        exchange = GatewayExchange(reader, writer, self._limits, self._bodies)
        try:
            try:
                if len(self._connections) > self._limits.connections_max:
                    most = self._limits.connections_max
                    raise Refusal("athena_connections", f"More than {most} connections are open. Close some.")
                await self._answer(exchange)
            except Refusal as refusal:
                await exchange.refuse(refusal)
        except OSError:  # the client hung up
            pass
        finally:
            exchange.release()

    async def _answer(self, exchange: GatewayExchange) -> None:
        await exchange.read_head()
        self._check_key(exchange)
        if exchange.path == endpoint.PATH and self._tools is not None:
            if self._stopped is not None:
                raise self._stopped
            await endpoint.serve(exchange, self._serving, self._tools)
            return
        if not self._wire.is_call(exchange.method, exchange.path):
            raise Refusal("athena_path", "Athena passes on model calls only. Use another method or path.")
        self._count += 1
        self._calls += 1
        try:
            await self._call(exchange, self._count)
        finally:
            self._calls -= 1

    def _check_key(self, exchange: GatewayExchange) -> None:
        """Raise Refusal without the key on loopback. On the socket any key is ignored: only the box reaches it."""
        if self._boxed:
            return
        sent = next((value for value in map(exchange.header, KEY_HEADERS) if value), b"")
        authorization = exchange.header(b"authorization")
        if authorization.lower().startswith(BEARER):
            sent = authorization[len(BEARER) :].strip()
        parts = exchange.query.split(b"&")
        sent = sent or next((part[4:] for part in parts if part.startswith(b"key=")), b"")
        digests = (hashlib.sha256(one).digest() for one in (sent, self.key.encode()))
        if not hmac.compare_digest(*digests):
            raise Refusal("athena_key", "This endpoint has another key. Use the one that Athena gave.")

    async def _call(self, exchange: GatewayExchange, number: int) -> None:
        """Make a call, and record its end whatever happens to it."""
        call = Call(number, exchange, self._wire, self._upstream, self._ledger, self._prices, self._clock)
        try:
            await call.make(*await self._allowed(exchange))
        except Refusal as refusal:
            call.refused(refusal)
            raise
        except CallBudgetReached as reached:
            call.refused(self._stop(Refusal("athena_budget", str(reached))))
            raise self._stop(Refusal("athena_budget", str(reached))) from None
        except OSError:
            raise
        except Exception as error:
            call.refused(self._break(error))
            raise self._break(error) from None
        finally:
            await to_its_end(self._record(call.ended()))

    async def _allowed(self, exchange: GatewayExchange) -> tuple[ModelCall, str]:
        """Read a call. Return it with the model that serves it. Raise Refusal, or OSError if the client hung up."""
        if self._calls > self._limits.calls_max:
            most = self._limits.calls_max
            raise Refusal("athena_calls", f"{most} model calls are open. Wait for one to end.")
        asked = self._wire.call_of(exchange.path, exchange.query, await exchange.read_body())
        if self._stopped is not None:
            raise self._stopped
        served = self._models.get(asked.model) or self._models.get(ANY_MODEL)
        if not served:
            raise Refusal("athena_model", "The profile does not allow this model. Add it to agent.models there.")
        return asked, served

    async def _record(self, ended: EndedCall) -> None:
        try:
            await self._ledger.ended(ended)
        except Exception as error:
            self._break(error)

    def _break(self, error: Exception) -> Refusal:
        """Stop because the ledger failed."""
        self._broken = self._broken or error
        return self._stop(Refusal("athena_stopped", "Athena cannot record this work, and stops it."))

    def _stop(self, refusal: Refusal) -> Refusal:
        """Answer all further calls with a refusal, the first that was given. Return it."""
        self._stopped = self._stopped or refusal
        return self._stopped


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
