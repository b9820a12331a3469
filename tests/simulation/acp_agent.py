"""An outside agent as tasks: it speaks the Agent Client Protocol over lines in memory and calls tools at its endpoint.

It keeps to the protocol, but for the habits of its moves: it uses ids again, asks twice, withdraws, floods and dies.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from athena_core.errors import LeaseLost
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.mcp.served import McpCaller, ServedCall, ServedError
from athena_core.outside_text import OutsideText
from athena_core.providers.prices import CallCost
from athena_core.services.execution.outside.agent_transcript import RunOver
from athena_core.system.tasks import to_its_end
from athena_core.values import Usage
from tests.simulation.loop import Process

CALLER = McpCaller("2025-06-18", modern=False)
OPTIONS = (
    {"optionId": "always", "kind": "allow_always"},
    {"optionId": "yes", "kind": "allow_once"},
    {"optionId": "no", "kind": "reject_once"},
)
CAPABILITIES = {
    "loadSession": True,
    "sessionCapabilities": {"resume": {}},
    "mcpCapabilities": {"http": True},
}
FORM = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def canonical(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


class SimGateway:
    """The gateway of a run without sockets: its endpoint and its ledger. Its close cuts off all open calls."""

    key, socket, url = "k", None, "http://gateway"

    def __init__(self, world: Any, ledger: Any, tools: Any) -> None:
        self._world, self._ledger, self._tools = world, ledger, tools
        self._open: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()
        self._calls = 0

    async def __aenter__(self) -> "SimGateway":
        self._world.gateway = self
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        await asyncio.gather(*self._open, return_exceptions=True)

    def hang_up(self) -> None:
        """Cancel all open requests, because the other end is gone. The end of a call is recorded nevertheless."""
        for task in self._open - self._cut:
            task.cancel()
        self._cut |= self._open

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return task

    async def tool(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """Call a tool of Athena. Return the text, and whether it is an error."""
        try:
            found = await self._tools.call(ServedCall(name, arguments, CALLER))
        except ServedError as error:
            return error.message, True
        return found.text, found.is_error

    async def model(self, seconds: float, cost: int, answered: "asyncio.Future[None]") -> None:
        """Ask a model. ``answered`` is done once the agent has the answer, which is paid afterwards."""
        self._calls += 1
        number, outcome = self._calls, "cut"
        try:
            await self._ledger.reserve(number, "openai", "m", 1, 100)
        except (CallBudgetReached, LeaseLost):
            return
        try:
            await asyncio.sleep(seconds)
            outcome = "answered"
            answered.set_result(None)
        finally:
            paid = CallCost(
                provider="openai",
                model="m",
                usage=Usage(total_tokens=cost),
                estimated=False,
                cost_micro_usd=cost,
                unpriced=False,
                price_version=None,
                request_id=None,
            )
            self._world.model_ended(cost)
            ended = EndedCall(number, "m", outcome, OutsideText(""), paid, 1)  # type: ignore[arg-type]
            with suppress(RunOver, LeaseLost):
                await to_its_end(self._ledger.ended(ended))


class SimAgent:
    """A process of the agent (``system.process.Child``)."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.loop = asyncio.get_running_loop()
        self.gateway: SimGateway = world.gateway
        process = Process.current.get()
        assert process is not None
        self.process = process
        self.exited = asyncio.Event()
        self.pid = 7
        self.prompt: Any = None
        """The id of the open prompt."""
        self.session = ""
        self.last_sign = self.loop.time()
        self.waits = 0
        """Requests, calls at the endpoint and calls of models that have no answer."""
        self.own_calls = 0
        """Calls of its own tools that it reported as begun and not as ended."""
        self.last_state = False, 0.0
        """At its end: True if it waited or worked, and the seconds since its last sign."""
        self.asking: Counter[tuple[str, str]] = Counter()
        """Requests for permissions that are open, by kind and input."""
        self.withdrawn: dict[tuple[str, str], float] = {}
        """The second at which a request for the call was withdrawn."""
        self.words, self.reason = "", ""
        """Its last words, and how it ended its turn."""
        self.ended_ids: list[str] = []
        self._calls = 0
        self.finishing = False
        self._lines: deque[bytes | None] = deque()
        self._more = asyncio.Event()
        self._next = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # The process

    async def read_line(self, bytes_max: int) -> bytes | None:
        while not self._lines:
            self._more.clear()
            await self._more.wait()
        return self._lines.popleft()

    async def write(self, data: bytes) -> None:
        if not self.exited.is_set():
            for line in data.splitlines():
                self._take(msgspec.json.decode(line))

    async def end(self) -> None:
        self.die()

    def ending(self, words: Any) -> str:
        return "it ended"

    def die(self) -> None:
        """End at once."""
        if self.exited.is_set():
            return
        self.exited.set()
        self.last_state = bool(self.waits or self.own_calls), self.loop.time() - self.last_sign
        self.prompt = None
        self.world.agent_died(self)
        for task in self._tasks:
            task.cancel()
        self.gateway.hang_up()
        self._push(None)

    def _push(self, line: bytes | None) -> None:
        self._lines.append(line)
        self._more.set()

    # The protocol

    def send(self, **message: Any) -> None:
        if not self.exited.is_set():
            self.last_sign = self.loop.time()
            self._push(msgspec.json.encode({"jsonrpc": "2.0", **message}))

    def update(self, kind: str, /, **members: Any) -> None:
        self.send(
            method="session/update", params={"sessionId": self.session, "update": {"sessionUpdate": kind, **members}}
        )

    def _take(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method is None:
            waiting = self._answers.pop(number, None)  # type: ignore[arg-type]
            if waiting is None:
                self.world.fail("protocol", f"an answer to {number}, which is not open")
            elif not waiting.done():
                self.last_sign = self.loop.time()
                waiting.set_result(message)
            return
        params = message.get("params") or {}
        match method:
            case "initialize":
                self.send(id=number, result={"protocolVersion": 1, "agentCapabilities": CAPABILITIES})
            case "session/new":
                self.session = self.world.new_session()
                self.send(id=number, result={"sessionId": self.session})
            case "session/resume" | "session/load":
                self._take_up(method, number, params["sessionId"])
            case "session/prompt":
                self.prompt, self.last_sign = number, self.loop.time()
                self.world.prompted(self, params["prompt"][0]["text"])
            case "session/cancel":
                if self.prompt is not None and self.world.agent_obeys:
                    self.stop("cancelled")

    def _take_up(self, method: str, number: Any, session: str) -> None:
        if method == "session/resume" and not self.world.agent_resumes:
            self.send(id=number, error={"code": -1, "message": "no"})
        elif session not in self.world.sessions:
            self.send(id=number, error={"code": -1, "message": "unknown session"})
        else:
            self.session = session
            if method == "session/load":
                for call_id in ("1", "2"):
                    self.update("tool_call", toolCallId=call_id, title="old", status="completed", rawOutput="old")
            self.send(id=number, result={})

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.loop.create_task(work, context=self.process.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.world.fail("agent", repr(task.exception()))

    async def _request(self, method: str, **params: Any) -> tuple[int, "asyncio.Future[dict[str, Any]]"]:
        self._next += 1
        number = self._next
        answer = self._answers[number] = self.loop.create_future()
        self.send(id=number, method=method, params={"sessionId": self.session, **params})
        return number, answer

    async def _answer(self, answer: "asyncio.Future[Any]") -> Any:
        self.waits += 1
        try:
            return await answer
        finally:
            self.waits -= 1

    def stop(self, reason: str) -> None:
        """End the turn."""
        if self.prompt is not None:
            number, self.prompt = self.prompt, None
            self.reason = reason
            self.world.turn_ended(self, reason)
            self.send(id=number, result={"stopReason": reason})

    def say(self, text: str) -> None:
        self.update("agent_message_chunk", content={"type": "text", "text": text})
        self.words = text

    # Its work

    def new_id(self) -> str:
        """Return the id of another call. Each process counts anew."""
        self._calls += 1
        return str(self._calls)

    async def own(self, call_id: str, kind: str, raw: Any, chance: random.Random, *, habits: frozenset[str]) -> None:
        """Make a call of its own tools."""
        world, call = self.world, {"toolCallId": call_id, "title": f"run {raw}", "kind": kind, "rawInput": raw}
        if "unmentioned" not in habits:
            self.update("tool_call", status="pending", **call)
        if "early" in habits:
            self.update("tool_call_update", toolCallId=call_id, status="in_progress")
        self.own_calls += "early" in habits
        try:
            if "unasked" not in habits and not await self._allowed(call, raw, habits):
                if "quiet" not in habits:
                    self.update("tool_call_update", toolCallId=call["toolCallId"], status="failed")
                    self.ended_ids.append(call["toolCallId"])
                return
            call_id = call["toolCallId"]
            self.own_calls += "early" not in habits
            habits |= {"early"}
            world.own_effect(kind, raw)
            self.update("tool_call_update", toolCallId=call_id, status="in_progress")
            await asyncio.sleep(chance.choice((0, 0.01, 1, 30)))
            output = world.own_output(self, kind, raw, asked="unasked" not in habits)
            status = chance.choice(("completed", "completed", "failed"))
            done = {"toolCallId": call_id, "status": status, "rawOutput": output}
            if "whole" in habits:
                done |= call
            self.update("tool_call_update", **done)
            self.ended_ids.append(call_id)
            if "twice" in habits:
                self.update("tool_call_update", **done)
            if "late" in habits:
                self.update("tool_call_update", toolCallId=call_id, status="in_progress", rawOutput="late words")
        finally:
            self.own_calls -= "early" in habits

    async def _allowed(self, call: dict[str, Any], raw: Any, habits: frozenset[str]) -> bool:
        """Ask for a permission. Return True if it is given. An agent that withdraws may ask again, under a new id."""
        world, kind = self.world, call["kind"]
        same = kind, canonical(raw)
        self.asking[same] += 1
        number, answer = await self._request("session/request_permission", toolCall=call, options=OPTIONS)
        if "withdraws" in habits:
            await asyncio.sleep(2)
            if not answer.done():
                self.asking[same] -= 1
                self.withdrawn[same] = self.loop.time()
                self.send(method="$/cancel_request", params={"requestId": number})
                first = await self._answer(answer)
                if "error" not in first:
                    return bool(world.permission(kind, raw, first))
                if "again" not in habits:
                    return False
                if "renamed" in habits:
                    if "unmentioned" not in habits:
                        self.update("tool_call_update", toolCallId=call["toolCallId"], status="failed")
                    call["toolCallId"] = self.new_id()
                self.asking[same] += 1
                self.withdrawn.pop(same, None)
                _, answer = await self._request("session/request_permission", toolCall=call, options=OPTIONS)
        found = await self._answer(answer)
        self.asking[same] -= 1
        return bool(world.permission(kind, raw, found))

    async def question(self, message: str) -> None:
        """Ask a person by a form."""
        _, answer = await self._request("elicitation/create", mode="form", message=message, requestedSchema=FORM)
        found = (await self._answer(answer)).get("result") or {}
        if found.get("action") == "accept":
            self.world.answered(message, found["content"]["a"])

    async def tool(self, name: str, arguments: dict[str, Any], hangs_up: float, *, reports: bool) -> None:
        """Call a tool at the endpoint of the run."""
        self.last_sign, call_id = self.loop.time(), self.new_id()
        call = {"toolCallId": call_id, "title": f"athena_{name}", "kind": "other", "rawInput": arguments}
        if reports:
            self.update("tool_call", status="in_progress", **call)
        task = self.gateway.start(self.gateway.tool(name, arguments))
        self.waits += 1
        try:
            await asyncio.wait((task,), timeout=hangs_up)
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        finally:
            self.waits -= 1
            self.last_sign = self.loop.time()
        if not task.cancelled() and task.exception() is None:
            text, is_error = task.result()
            self.world.tool_answered(name, arguments, text, is_error=is_error, reports=reports)
            if reports:
                self.update("tool_call_update", **call, status="failed" if is_error else "completed", rawOutput=text)
        elif reports:
            self.update("tool_call_update", toolCallId=call_id, status="failed")

    async def model(self, seconds: float, cost: int) -> None:
        """Ask a model."""
        self.last_sign = self.loop.time()
        self.waits += 1
        answered = self.loop.create_future()
        try:
            task = self.gateway.start(self.gateway.model(seconds, cost, answered))
            await asyncio.wait((task, answered), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waits -= 1
            self.last_sign = self.loop.time()

    async def finish(self, words: str) -> None:
        """End the turn once its calls have ended."""
        self.finishing = True
        while len(self._tasks) > 1:
            await asyncio.sleep(1)
            self.world.hopes(self)
        if self.prompt is not None:
            self.say(words)
            self.stop("end_turn")
