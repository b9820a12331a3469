"""A fake MCP server of tasks: counted effects, sessions and odd habits, behind lines or HTTP without sockets."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import httpx2

from athena_core.system.process import CHUNK_BYTES, LineReader
from tests.simulation.loop import SimLoop

Json: TypeAlias = dict[str, Any]

MODERN, LEGACY = "2026-07-28", "2025-11-25"
DELAY = 0.002
"""The mean delay of a message, in seconds."""
ABANDONED = 3.0
"""Time after which a server must have received the notice that a call was given up."""


class Script(NamedTuple):
    """The behaviour of a server in one call: what it says before its answer, the answer, and the way over HTTP."""

    answer: str = "ok"
    wait: float = 0.0
    """Seconds before the effect."""
    work: float = 0.0
    """Seconds between the effect and the answer."""
    says: tuple[str, ...] = ()
    stream: bool = False
    """Over HTTP the answer is a stream."""
    breaks: tuple[str, ...] = ()
    """How the stream stops before the answer: by its end, or because the connection is lost."""


class Call(NamedTuple):
    """A call that the world makes. The token stands in its arguments, and in all that the server says about it."""

    token: int
    server: str
    run: int
    tool: str
    script: Script
    began: float
    patience: float
    """Seconds after which a person answers a question of the server. Below zero: refuses."""


class Gone(Exception):
    """The client is not there any more."""


class Out:
    """The way back to the client for one request, or for all of a program."""

    server: "SimServer"
    place = 0
    """The number of the program or client, because each counts its requests itself."""

    def send(self, message: Json) -> None:
        """Send a message. Raise Gone."""
        self.raw(json.dumps(message).encode())

    def raw(self, data: bytes) -> None:
        """Send bytes as a message."""
        raise NotImplementedError

    def cut(self, how: str) -> None:
        """Stop the stream, if it is one."""

    async def ask(self, method: str, params: Json) -> Json:
        """Send a request and return the message that answers it."""
        number = self.server.next_ask = self.server.next_ask + 1
        answer = self.server.asked[number] = self.server.loop.create_future()
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        found: Json = await answer
        return found


class SimChild(Out):
    """A program. It has the methods of ``Child`` that a wire uses."""

    def __init__(self, server: "SimServer") -> None:
        self.server = server
        self.place = -1 - len(server.children)
        self.exited = asyncio.Event()
        self.ended = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._output = asyncio.StreamReader(limit=CHUNK_BYTES)
        self._lines = LineReader(self._output)
        self._due = [0.0, 0.0]

    def _later(self, way: int, work: Callable[..., None], *given: Any) -> None:
        """Do something after a delay. Each direction keeps its order."""
        loop = self.server.loop
        self._due[way] = max(self._due[way] + 1e-6, loop.time() + loop.chance.expovariate(1 / DELAY))
        loop.call_at(self._due[way], work, *given)

    def raw(self, data: bytes) -> None:
        if self.exited.is_set():
            raise Gone
        self._later(1, self._output.feed_data, data + b"\n")

    def die(self) -> None:
        """Exit."""
        if not self.exited.is_set():
            self.exited.set()
            for task in self.tasks:
                task.cancel()
            self._later(1, self._output.feed_eof)

    async def read_line(self, bytes_max: int) -> bytes | None:
        return await self._lines.read(bytes_max)

    async def write(self, data: bytes) -> None:
        while (until := self.server.deaf_until) > (now := self.server.loop.time()):
            await asyncio.sleep(until - now)
        self._later(0, self._take, data)

    def _take(self, data: bytes) -> None:
        if not self.exited.is_set():
            self.server.take(json.loads(data), self, self.tasks)

    def ending(self, shown: Callable[[str], str] | None = None) -> str:
        return "exit status 3"

    async def end(self) -> None:
        await asyncio.sleep(self.server.loop.chance.expovariate(1 / DELAY))
        self.die()
        self.ended = True


class Body(httpx2.AsyncByteStream):
    """The body of a response, in pieces that arrive when the server sends them."""

    def __init__(self, open_bodies: "dict[Body, None]") -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._open = open_bodies
        self.closed = False
        open_bodies[self] = None

    def put(self, data: bytes | None) -> None:
        """Add a piece; None: the connection is lost, empty: the end."""
        self._pieces.put_nowait(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece
        if piece is None:
            raise httpx2.ReadError("the connection is lost")

    async def aclose(self) -> None:
        self.closed = True
        self._open.pop(self, None)


class HttpOut(Out):
    """The answer to a POST, or the stream of a GET. Events are kept, so that a later GET can take the stream up."""

    def __init__(self, server: "SimServer", number: int, place: int) -> None:
        self.server = server
        self.number, self.place = number, place
        self.stream = False
        self.body: Body | None = None
        self.headers: dict[str, str] = {}
        self.answer: asyncio.Future[httpx2.Response] = server.loop.create_future()
        self._events: list[bytes] = []

    def status(self, code: int, data: bytes = b"", kind: str = "application/json") -> None:
        """Answer with a status and a body."""
        body = Body(self.server.bodies)
        for piece in (data, b""):
            body.put(piece)
        self._respond(code, kind, body)

    def _respond(self, code: int, kind: str, body: Body) -> None:
        if self.answer.done():  # the client is gone
            self.server.bodies.pop(body)
            body.closed = True
        else:
            headers = {"content-type": kind} | self.headers
            self.answer.set_result(httpx2.Response(code, headers=headers, stream=body))

    def fail(self, error: Exception) -> None:
        """Lose the connection before an answer."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def begin(self) -> None:
        """Answer with a stream."""
        self.body = Body(self.server.bodies)
        self._respond(200, "text/event-stream", self.body)

    def open(self) -> None:
        """Begin the stream of a call, with an event without data that has an id."""
        self.begin()
        self.raw(b"")

    def attach(self, after: int) -> None:
        """Send the events after a number, and all further ones, in a response of this exchange."""
        assert self.body is not None
        for event in self._events[after:]:
            self.body.put(event)

    def raw(self, data: bytes) -> None:
        if not self.stream:
            self.status(200, data)
            return
        event = b"data: " + data + b"\n\n"
        if self.server.event_ids:
            event = b"id: %d/%d\n" % (self.number, len(self._events) + 1) + event
        self._events.append(event)
        if self.body is not None:
            if self.body.closed and not self.server.event_ids:
                raise Gone
            self.body.put(event)

    def cut(self, how: str) -> None:
        if self.body is not None:
            if how == "break":
                self.body.put(b'data: {"half')
            self.body.put(b"" if how == "end" else None)
            self.body = None

    def finish(self) -> None:
        """End the stream after the answer."""
        self.cut("end")


class Received(NamedTuple):
    """A request that a server received and has not answered."""

    token: int
    out: Out
    era: str
    task: asyncio.Task[Any]


class SimServer:
    """A server. What it does with a call stands in ``calls``; ``broken`` notes what it saw of the client."""

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        *,
        era: str,
        note: Callable[[str], None],
        broken: Callable[[str, str], None],
    ) -> None:
        self.name, self.loop, self.era = name, loop, era
        self._note, self._broken = note, broken
        self.calls: dict[int, Call] = {}
        self.effects: Counter[int] = Counter()
        self.tools: dict[str, int] = {"t0": 1, "t1": 1}
        """The version of each tool, which its description has."""
        self.allowed: Callable[[Call, int], bool] = lambda call, version: True
        self.page = 100
        self.has_sessions = self.event_ids = self.listens = True
        self.sessions: set[str] = set()
        self.forgotten: set[str] = set()
        self.deleted: set[str] = set()
        self.down_until = self.deaf_until = self.slow_until = 0.0
        self.children: list[SimChild] = []
        self.bodies: dict[Body, None] = {}
        self.streams: dict[int, HttpOut] = {}
        self.ears: dict[str, HttpOut] = {}
        """The stream of each session on which a server says what concerns no call."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.asked: dict[int, asyncio.Future[Json]] = {}
        self.next_ask = self.clients = 0
        self.open: dict[tuple[int, Any], Received] = {}
        self.cancelled: set[tuple[int, Any]] = set()
        self.trouble: Callable[[str, float], None] = lambda why, seconds: None

    # Troubles

    def restart(self) -> None:
        """Lose everything but the tools and the effects."""
        self.trouble("restart", 0.1)
        for child in self.children:
            child.die()
        for task in self.tasks:
            task.cancel()
        for out in self.streams.values():
            out.fail(httpx2.ReadError("it restarted"))
        for body in list(self.bodies):
            body.put(None)
        self.streams.clear()
        self.forget()

    def forget(self) -> None:
        """Forget the sessions."""
        self.trouble("forget", 0.0)
        self.forgotten |= self.sessions
        self.sessions.clear()
        self.ears.clear()

    def change(self, tool: str) -> None:
        """Describe a tool otherwise, and say that the tools changed to every client that listens."""
        self.tools[tool] = self.tools.get(tool, 0) + 1
        self.say({"method": "notifications/tools/list_changed"})

    def say(self, message: Json) -> None:
        """Send a message that concerns no call to every client that listens."""
        outs: list[Out] = [child for child in self.children if not child.exited.is_set()]
        for out in (*outs, *self.ears.values()):
            with suppress(Gone):
                out.send({"jsonrpc": "2.0"} | message)

    # Messages

    def start_child(self) -> SimChild:
        """Start the program."""
        self.children.append(SimChild(self))
        return self.children[-1]

    def take(self, message: Json, out: Out, tasks: set[asyncio.Task[None]]) -> None:
        """Handle a message."""
        self._note(f"{self.name} < {json.dumps(message)[:200]}")
        method, number = message.get("method"), message.get("id")
        if method is None:
            answer = self.asked.pop(number, None) if isinstance(number, int) else None
            if answer is None:
                self._broken("unknown-answer", f"answer {number} to {self.name}, which asked nothing of this id")
            elif not answer.done():
                answer.set_result(message)
        elif number is None:
            if method == "notifications/cancelled":
                self._cancel((out.place, message["params"]["requestId"]))
        else:
            task = self.loop.create_task(self._handle(message, out))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def _cancel(self, place: tuple[int, Any]) -> None:
        self.cancelled.add(place)
        found = self.open.get(place)
        if found is not None and self.calls[found.token].script.answer != "late":
            found.task.cancel()

    async def _handle(self, message: Json, out: Out) -> None:
        method, number, params = message["method"], message["id"], message.get("params") or {}
        if self.slow_until > self.loop.time():
            await asyncio.sleep(self.slow_until - self.loop.time())
        answer = {"jsonrpc": "2.0", "id": number}
        with suppress(Gone):
            if method == "tools/call":
                await self._call(answer, params, out)
            elif method == "server/discover" and self.era != LEGACY:
                out.send(answer | {"result": {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}})
            elif method == "initialize" and self.era != MODERN:
                result = {"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "sim"}}
                out.send(answer | {"result": result})
            elif method == "tools/list":
                out.send(answer | {"result": self._page(int(params.get("cursor") or 0))})
            else:
                out.send(answer | {"error": {"code": -32601, "message": "Method not found"}})

    def listed(self) -> list[Json]:
        """Return the tools as they are now."""
        return [
            {
                "name": name,
                "description": f"version {version}",
                "inputSchema": {"type": "object", "properties": {"token": {"type": "integer"}}},
            }
            for name, version in self.tools.items()
        ]

    def _page(self, start: int) -> Json:
        tools = self.listed()
        end = start + self.page
        return {"tools": tools[start:end]} | ({"nextCursor": str(end)} if end < len(tools) else {})

    # Calls

    async def _call(self, answer: Json, params: Json, out: Out) -> None:
        call = self.calls[params["arguments"]["token"]]
        script, token, modern = call.script, call.token, VERSION_KEY in (params.get("_meta") or {})
        received = (out.place, answer["id"])
        if isinstance(out, HttpOut) and (script.stream or script.says or script.breaks):
            out.stream = True
            out.open()
        task = asyncio.current_task()
        assert task is not None
        self.open[received] = Received(token, out, MODERN if modern else LEGACY, task)
        await asyncio.sleep(script.wait)
        if script.answer == "exit-before":
            self.crash(out, received)
        if "ask" in script.says and modern and not self._answered(call, params):
            del self.open[received]
            form = {"method": "elicitation/create", "params": _form(token)}
            asks = {"resultType": "input_required", "inputRequests": {"q": form}, "requestState": str(token)}
            out.send(answer | {"result": asks})
            self._finish(out)
            return
        self._effect(call)
        for word in script.says:
            await self._say(word, call, params, out, modern=modern)
        for how in script.breaks:
            out.cut(how)
            await asyncio.sleep(script.work)
        await asyncio.sleep(script.work)
        if script.answer == "silence":
            return
        if script.answer == "exit":
            self.crash(out, received)
        del self.open[received]
        if received in self.cancelled and script.answer != "late":
            return
        self._answer(script.answer, call, answer, out)
        self._finish(out)

    def _finish(self, out: Out) -> None:
        if isinstance(out, HttpOut) and out.stream:
            out.finish()

    def _answered(self, call: Call, params: Json) -> bool:
        """Return True if a call brings the answer to its question. Check it."""
        if params.get("requestState") != str(call.token):
            return False
        self._check_form(call, params["inputResponses"]["q"])
        return True

    def _check_form(self, call: Call, given: Json) -> None:
        fits = call.patience >= 0 and given == {"action": "accept", "content": {"n": call.token}}
        if not fits and given not in ({}, {"action": "decline"}, {"action": "cancel"}):  # where the call has ended
            self._broken("wrong-form", f"call {call.token} got the form {given}")

    def _effect(self, call: Call) -> None:
        self.effects[call.token] += 1
        self._note(f"{self.name} effect of call {call.token}")
        if self.effects[call.token] > 1:
            self._broken("repeated", f"call {call.token} ({call.script.answer}) had {self.effects[call.token]} effects")
        if not self.allowed(call, self.tools.get(call.tool, 0)):
            self._broken("changed-tool", f"call {call.token} of {call.tool} had an effect, but the tool had changed")

    async def _say(self, word: str, call: Call, params: Json, out: Out, *, modern: bool) -> None:
        token = (params.get("_meta") or {}).get("progressToken")
        match word:
            case "progress":
                self._progress(out, token, str(call.token))
            case "other-progress":
                self._progress(out, 10_000, "not yours")
            case "log":
                out.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "words"}})
            case "changed":
                out.send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            case "flood":
                if isinstance(out, SimChild):
                    self.trouble("flood", 0.1)
                for _ in range(FLOOD):
                    out.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
            case "forget":
                self.forget()
            case _ if modern:
                pass
            case "ping":
                if "result" not in await out.ask("ping", {}):
                    self._broken("no-pong", f"the ping during call {call.token} was refused")
            case "sampling":
                if "error" not in await out.ask("sampling/createMessage", {"messages": [], "maxTokens": 1}):
                    self._broken("sampled", f"the request for the model during call {call.token} was accepted")
            case "ask":
                self._check_form(call, (await out.ask("elicitation/create", _form(call.token))).get("result") or {})

    def _progress(self, out: Out, token: Any, words: str) -> None:
        params = {"progressToken": token, "progress": 1, "message": words}
        out.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def crash(self, out: Out, received: tuple[int, Any]) -> None:
        """Exit during a call: a program ends, over HTTP the connection is lost. Raise Gone."""
        del self.open[received]
        if isinstance(out, SimChild):
            self.trouble("crash", 0.1)
            out.die()
        elif isinstance(out, HttpOut):
            out.fail(httpx2.ReadError("lost"))
            out.cut("break")
        raise Gone

    def _answer(self, word: str, call: Call, answer: Json, out: Out) -> None:
        text = f"done {call.token}.{self.effects[call.token]}"
        good = answer | {"result": {"content": [{"type": "text", "text": text}]}}
        if word in POISON and isinstance(out, SimChild):
            self.trouble(word, 0.1)
        match word:
            case "own-error":
                out.send(answer | {"result": {"content": [{"type": "text", "text": text}], "isError": True}})
            case "refusal":
                out.send(answer | {"error": {"code": -32000, "message": text}})
            case "bad-shape":
                out.send(answer | {"result": {"content": text}})
            case "huge":
                out.send(answer | {"result": {"content": [{"type": "text", "text": text + "x" * HUGE}]}})
            case "unknown-id":
                out.send(good | {"id": 9_999})
            case "text-id":
                out.send(good | {"id": str(answer["id"])})
            case "null-id":
                out.send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "words"}})
            case "no-result":
                out.send(answer)
            case "bad-json":
                out.raw(self.loop.chance.choice(RAW))
            case "too-large":
                out.send(answer | {"result": {"content": [{"type": "text", "text": text + "x" * TOO_LARGE}]}})
            case "twice":
                out.send(good)
                if isinstance(out, SimChild) or out.stream:  # type: ignore[attr-defined]
                    with suppress(Gone):
                        out.send(answer | {"result": {"content": [{"type": "text", "text": "again"}]}})
            case _ if word.isdigit() and isinstance(out, HttpOut) and not out.stream:
                word = "500" if word == "404" and self.has_sessions else word  # 404 would say that it did nothing
                out.status(int(word), b"words", "text/html")
            case _:
                out.send(good)

    # HTTP

    async def exchange(self, request: httpx2.Request, place: int) -> httpx2.Response:
        """Answer a request of a client. Raise what the connection raises."""
        await asyncio.sleep(self.loop.chance.expovariate(1 / DELAY))
        if self.down_until > self.loop.time():
            raise httpx2.ConnectError("refused")
        session = request.headers.get("mcp-session-id")
        self._note(f"{self.name} < {request.method} {session} {request.headers.get('last-event-id')}")
        message = json.loads(request.content) if request.method == "POST" else {}
        self.next_ask += 1
        out = self.streams[self.next_ask] = HttpOut(self, self.next_ask, place)
        if session is not None and session not in self.sessions:
            out.status(404)
        elif request.method == "DELETE":
            self.sessions.discard(str(session))
            self.deleted.add(str(session))
            out.status(200)
        elif request.method == "GET":
            self._listen(request.headers.get("last-event-id"), session, out)
        else:
            self._post(message, session, request.headers.get("mcp-protocol-version"), out)
        response = await out.answer
        try:
            await asyncio.sleep(self.loop.chance.expovariate(1 / DELAY))
        except asyncio.CancelledError:
            await response.stream.aclose()  # type: ignore[union-attr]
            raise
        return response

    def _listen(self, last: str | None, session: str | None, out: HttpOut) -> None:
        number, _, event = (last or "0/0").partition("/")
        kept = self.streams.get(int(number))
        if last is not None and kept is not None:
            kept.cut("break")
            kept.answer = out.answer
            kept.begin()
            kept.attach(int(event))
            if not any(one.out is kept for one in self.open.values()) and kept not in self.ears.values():
                kept.finish()
        elif last is not None or not self.listens:
            out.status(405)
        else:
            out.stream = True
            out.open()
            self.ears[session or ""] = out

    def _post(self, message: Json, session: str | None, version: str | None, out: HttpOut) -> None:
        method = message.get("method")
        if method == "tools/call":
            call = self.calls[message["params"]["arguments"]["token"]]
            if call.script.answer == "forget" and session is not None:
                self._note(f"{self.name} forgets before call {call.token}")
                self.calls[call.token] = call._replace(script=call.script._replace(answer="ok"))
                self.forget()
                out.status(404)
                return
        if method == "server/discover" and self.era == LEGACY:
            out.status(400)
            return
        if method == "initialize" and self.has_sessions:
            self.next_ask += 1
            out.headers["mcp-session-id"] = f"s{self.next_ask}"
            self.sessions.add(f"s{self.next_ask}")
        elif self.has_sessions and session is None and version != MODERN:
            self._broken("no-session", f"{method} came without a session")
        self.take(message, out, self.tasks)
        if message.get("id") is None or method is None:
            out.status(202)


class SimTransport(httpx2.AsyncBaseTransport):
    """The connections of one client to a server."""

    def __init__(self, server: SimServer) -> None:
        self.server = server
        self.place = server.clients = server.clients + 1
        self.closed = False
        self._bodies: list[Body] = []
        self._waiting: dict[asyncio.Task[httpx2.Response], None] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        task = self.server.loop.create_task(self.server.exchange(request, self.place))
        self._waiting[task] = None
        try:
            response = await task
        except asyncio.CancelledError:
            task.cancel()
            if self.closed:
                raise httpx2.ReadError("closed") from None
            raise
        finally:
            del self._waiting[task]
        assert isinstance(response.stream, Body)
        self._bodies.append(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections, as a pool does with open ones."""
        self.closed = True
        for task in self._waiting:
            task.cancel()
        for body in self._bodies:
            body.put(None)


VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
HUGE, TOO_LARGE, FLOOD = 3_000, 30_000, 40
"""Characters of answers, and messages before an answer. They are beyond the limits of the world."""
RAW = (b"words", b"[]", b"7", b'{"answer": 42}', b'{"half', b"\xff", b'{"id": 1, "method": 7}')
"""Lines that are no messages."""
POISON = frozenset(("unknown-id", "text-id", "null-id", "no-result", "bad-json", "too-large"))
"""Answers that break the protocol: over standard streams they end the conversation."""


def _form(token: int) -> Json:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return {"mode": "form", "message": str(token), "requestedSchema": schema}
