"""The gateway corner: the real model gateway and the ledger of a run, between agents and vendors in one loop."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import httpx2

from athena_core.agents.known import AgentWire
from athena_core.domain import run
from athena_core.gateway.gateway import Gateway
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.gateway.upstream import model_servers
from athena_core.services.execution.outside.run_ledger import RunLedger
from athena_core.services.execution.performer import BudgetReached
from athena_core.services.runs.admission import BudgetRequest
from tests.simulation.gateway_judge import LIMITS, MALFORMED, Judge
from tests.simulation.gateway_vendor import MODELS, SILENCE_SECONDS, Visit, answer_of, asked_of, request_of
from tests.simulation.histories import Played, Step, digest_of, swarm
from tests.simulation.loop import SimClock, SimIds, SimLoop
from tests.support.gateway import KEYS, PRICES, Reply, reply_of, request
from tests.support.vendors import VENDORS

BATCH = 200
MOVES = {
    "call": 8.0,
    "hangs up": 4.0,
    "slow": 2.0,
    "breaks": 3.0,
    "error": 1.5,
    "odd": 0.7,
    "unreachable": 0.5,
    "broken head": 0.5,
    "silent": 1.0,
    "flood": 1.0,
    "quotes": 1.0,
    "malformed": 2.0,
    "crowd": 0.7,
    "leave": 0.7,
    "trouble": 0.4,
}
HABITS = ("call", "call", "call", "breaks", "flood", "error", "silent", "unreachable")
SIZE = 4
CALL_SECONDS = 3_000.0
"""Longer than any call takes whose agent reads."""
HIGH, LOW = 2_000, 500
"""Bytes on a connection at which the gateway waits for the agent, and goes on."""


class Call:
    """A call of an agent, and all that the others notice of it."""

    current: ContextVar["Call"] = ContextVar("call")

    def __init__(self, step: Step, number: int, term: "Term", at: float) -> None:
        self.name = f"{step.number}.{number}"
        self.move = self.habit = step.name
        self.chance, self.vendor_chance = (Random(f"{step.seed}:{number}:{side}") for side in ("agent", "vendor"))
        self.term = term
        self.at = at
        self.streamed = True
        self.body = b""
        self.malformed = ""
        self.head_sent = self.crowded = False
        """``crowded``: other connections may keep it out."""
        self.left_at: float | None = None
        """When the agent hung up."""
        self.got = bytearray()
        self.over_at = at
        self.reply: Reply | None = None
        self.visits: list[Visit] = []
        self.numbers: set[int] = set()
        self.granted: list[int | None] = []
        self.refused = False
        """True if the ledger refused it."""
        self.ends: list[EndedCall] = []
        self.ended_at = at


class Line(asyncio.Transport):
    """A connection as the gateway has it. What it writes waits until the agent takes it."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop
        self.reader = asyncio.StreamReader(loop=loop)
        self._protocol = asyncio.StreamReaderProtocol(self.reader, loop=loop)
        self._protocol.connection_made(self)
        self.writer = asyncio.StreamWriter(self, self._protocol, self.reader, loop)
        self._data = bytearray()
        self._closing = self._lost = self._gone = self._paused = self._ended = False
        self._more: asyncio.Future[None] | None = None

    def write(self, data: Any) -> None:
        if self._gone:
            self._break()
            return
        self._data += data
        if len(self._data) > HIGH and not self._paused:
            self._paused = True
            self._protocol.pause_writing()
        self._wake()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self._lose_if_empty()
        self._wake()

    def write_eof(self) -> None:
        self._ended = True
        self._wake()

    def send(self, data: bytes) -> None:
        """Send bytes as an agent."""
        if not self._closing:
            self.reader.feed_data(data)

    async def take(self, size: int) -> bytes:
        """Take bytes as an agent; none at the end."""
        while not self._data:
            if self._ended or self._closing:
                return b""
            self._more = self._loop.create_future()
            await self._more
        data = bytes(self._data[:size])
        del self._data[:size]
        if self._paused and len(self._data) <= LOW:
            self._paused = False
            self._protocol.resume_writing()
        self._lose_if_empty()
        return data

    def hang_up(self) -> None:
        """Close it as an agent. What the gateway writes from now on is lost, and it learns of that."""
        self._gone = True
        if not self._lost:
            self._protocol.eof_received()
        if self._data:
            self._break()

    def _break(self) -> None:
        self._data.clear()
        self._closing = True
        self._lose(ConnectionResetError())

    def _lose_if_empty(self) -> None:
        if self._closing and not self._data:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


class SimGateway(Gateway):
    """A gateway without a socket: agents connect by hand."""

    def open(self) -> None:
        self._server = cast(asyncio.Server, SimpleNamespace(is_serving=lambda: True, close=lambda: None))

    @property
    def crowded(self) -> bool:
        return len(self._connections) >= LIMITS.connections_max

    def connect(self, line: Line) -> None:
        self._connected(line.reader, line.writer)


class Vendors:
    """All vendors, in place of the library's client."""

    def __init__(self, timeout: httpx2.Timeout) -> None:
        self._patience = timeout.read or 1e6

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: list[tuple[bytes, bytes]], content: bytes
    ) -> AsyncIterator[httpx2.Response]:
        call = Call.current.get()
        wire = call.term.wire
        asked = asked_of(wire, url, content)
        script = answer_of(wire, call.vendor_chance, call.habit, asked, len(content))
        visit = Visit(headers, content, asked, script, self._patience)
        call.visits.append(visit)
        call.term.judge.visited(call, visit)
        response = await visit.answer()
        try:
            yield response
        finally:
            await response.aclose()


SERVERS = model_servers(**{f"{name}_api_key": key for name, key in KEYS.items()}, silence_seconds=SILENCE_SECONDS)
for _raw in (_server._client for _server in SERVERS.values()):
    _raw.__dict__["_client"] = Vendors(_raw._client.timeout)
gc.freeze()


class Purse:
    """The record of a run's money: its budget and the day's, the sum spent, and the reserved part of the day's."""

    def __init__(self, budget: int | None, day: int | None) -> None:
        self.progress = SimpleNamespace(budget_micro_usd=budget, spent_micro_usd=0, calls=0)
        self.calls_mentioned = 0
        self.day = day
        self.reserved = 0
        self.paid = Counter[str]()
        self.trouble = False
        """True if the next commit fails."""

    @property
    def least(self) -> int | None:
        """The lower of the two budgets."""
        both: tuple[int | None, ...] = (self.progress.budget_micro_usd, self.day)
        given = [one for one in both if one is not None]
        return min(given) if given else None

    def refill(self, micro_usd: int | None) -> None:
        """Allow more, or any sum."""
        budget = None if micro_usd is None else self.progress.spent_micro_usd + micro_usd
        self.progress.budget_micro_usd = None if self.progress.budget_micro_usd is None else budget
        self.day = None if self.day is None else budget
        self.trouble = False

    async def pay(self, settled: run.UsageRecorded | run.BudgetReserved) -> None:
        await self._commit()
        self.reserved = settled.reserved_micro_usd or 0
        if isinstance(settled, run.UsageRecorded):
            self.paid[Call.current.get().name] += 1
            self.progress.spent_micro_usd += settled.cost_micro_usd or 0
            self.progress.calls += not settled.failed

    async def reserve(self, wanted: BudgetRequest, *, patient: bool = True) -> int | None:
        await self._commit()
        if self.day is None:
            return None
        spent = self.progress.spent_micro_usd
        granted: int = min(self.day - spent - wanted.lost, wanted.most or 0)
        if granted < wanted.least:
            raise BudgetReached(run.DayReached("daily-budget", spent, self.day))
        self.reserved = wanted.lost + granted
        await asyncio.sleep(0.001)  # a cut here leaves a reservation that only the record knows
        return granted

    async def _commit(self) -> None:
        if self.trouble:
            self.trouble = False
            raise RuntimeError("the log is lost")
        await asyncio.sleep(Call.current.get().chance.choice((0.0, 0.001, 0.001, 0.05, 1.0)))


class Term:
    """A gateway with its ledger, until it is left and the run goes on with the next one."""

    def __init__(self, wire: AgentWire, purse: Purse, judge: Judge, loop: SimLoop, ids: SimIds) -> None:
        self.wire, self.purse, self.judge, self._loop = wire, purse, judge, loop
        self.real = RunLedger(cast(Any, purse), cast(Any, purse), None)
        self.parts: dict[int, int] = {}
        """What each open call may cost."""
        self.stopped_at: float | None = None
        """When the ledger refused a call, or failed."""
        self.broken = False
        self.left_at = float("inf")
        """When its end began."""
        self.unended = 0
        """Calls that were reserved and have no end."""
        self.numbers = Counter[int]()
        self.gateway = SimGateway(
            wire,
            SERVERS[VENDORS[wire].provider],
            self,
            {MODELS[wire]: MODELS[wire], "alias": MODELS[wire]},
            prices=PRICES,
            clock=SimClock(loop),
            ids=ids,
            boxed=False,
            limits=LIMITS,
        )
        self.gateway.open()

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        one = Call.current.get()
        self.unended += not one.numbers
        one.numbers.add(call)
        try:
            granted = await self.real.reserve(call, provider, model, least, most)
        except Exception as error:
            one.refused = True
            self._stop(error)
            raise
        one.granted.append(granted)
        self.parts[call] = granted or 0
        self.judge.granted(self, one, least, most)
        return granted

    async def ended(self, ended: EndedCall) -> None:
        one = Call.current.get()
        one.ends.append(ended)
        self.numbers[ended.call] += 1
        self.unended -= bool(one.numbers)
        self.judge.paid(one, ended)
        try:
            await self.real.ended(ended)
        except Exception as error:
            self._stop(error)
            raise
        finally:
            self.parts.pop(ended.call, None)
            one.ended_at = self._loop.time()

    def live(self, call: int, text: str) -> None:
        self.real.live(call, text)

    def _stop(self, error: Exception) -> None:
        self.stopped_at = self._loop.time() if self.stopped_at is None else self.stopped_at
        self.broken = self.broken or not isinstance(error, CallBudgetReached)

    async def leave(self) -> None:
        """Leave the gateway: its calls are recorded by then."""
        self.left_at, error = self._loop.time(), None
        try:
            async with asyncio.timeout(200):
                await self.gateway.__aexit__(None, None, None)
        except Exception as raised:
            error = raised
        self.judge.left(self, error)


class Manner(NamedTuple):
    """The way in which an agent reads: a number of bytes at a time with a pause, until it hangs up."""

    size: int = 65_536
    pause: float = 0.0
    bytes_max: int = 10**9
    seconds_max: float = CALL_SECONDS


def manner_of(call: Call) -> Manner:
    chance = call.chance
    if call.move in {"hangs up", "slow"}:
        call.habit = chance.choice(HABITS)
    if call.move == "hangs up" or chance.random() < 0.1:
        if chance.random() < 0.5:
            return Manner(bytes_max=chance.choice((1, 150, 400, 1_000, 5_000)))
        return Manner(seconds_max=chance.choice((0.0, 0.0005, 0.01, 0.3, 1.0, 3.0, 10.0)))
    if call.move == "slow" or chance.random() < 0.1:
        return Manner(chance.choice((300, 1_500)), chance.choice((0.2, 2.0)), seconds_max=chance.choice((20.0, 60.0)))
    return Manner()


class History:
    """Agents of one wire, and the gateways that serve them in turn."""

    def __init__(self, seed: str, loop: SimLoop, trace: Callable[[str], None] | None) -> None:
        chance = Random(f"{seed}:world")
        self.loop, self._trace, self._ids = loop, trace, SimIds(seed, SimClock(loop))
        self.wire: AgentWire = chance.choice(tuple(VENDORS))
        self.unit = PRICES.ceiling(VENDORS[self.wire].provider, MODELS[self.wire], 1_500, 300) or 1
        budget, day = (None, 1, 4, 20, 500), (None, None, 2, 100)
        self.purse = Purse(*(one and one * self.unit for one in (chance.choice(budget), chance.choice(day))))
        self.judge = Judge(self.wire, loop)
        self.calls: list[Call] = []
        self.open: set[asyncio.Task[None]] = set()
        self.term = self._next_term()

    def _next_term(self) -> Term:
        return Term(self.wire, self.purse, self.judge, self.loop, self._ids)

    def note(self, words: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.loop.time():9.3f} {words}")

    async def play(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await asyncio.sleep(max(step.at - self.loop.time(), 0))
            self.note(f"step {step.number}: {step.name}")
            await self.act(step)
        await self.all_over()
        await asyncio.sleep(300)  # what agents left behind ends
        if self.term.stopped_at is None:
            await self.last_calls()
        await self.term.leave()
        await self.all_over()
        self.judge.end(self)

    async def act(self, step: Step) -> None:
        if step.name == "leave" or self.term.stopped_at is not None:  # a run that paused is resumed
            await self.term.leave()
            self.purse.refill(4 * self.unit)
            self.term = self._next_term()
        self.purse.trouble = step.name == "trouble"
        for number in range(step.chance.randint(3, 5) if step.name == "crowd" else 1):
            self.call(step, number)

    async def all_over(self) -> None:
        while self.open:
            await asyncio.wait(self.open)

    async def last_calls(self) -> None:
        """Make as many calls at once as are allowed: nothing that went before may keep one of them out."""
        self.purse.refill(None)
        calls = [self.call(Step(99, 0.0, "last", "last"), number) for number in range(LIMITS.calls_max)]
        await self.all_over()
        for call in calls:
            if call.reply is None or call.reply.status != 200 or not call.reply.whole:
                self.judge.fail("next", f"a call after all trouble gets {call.reply}")

    def call(self, step: Step, number: int) -> Call:
        call = Call(step, number, self.term, self.loop.time())
        self.calls.append(call)
        asking = self.loop.create_task(self._ask(call))
        self.open.add(asking)
        asking.add_done_callback(self.open.discard)
        return call

    async def _ask(self, call: Call) -> None:
        """Be an agent: send a request, and read until the end or until it hangs up."""
        Call.current.set(call)
        last, chance, line = call.move == "last", call.chance, Line(self.loop)
        manner = Manner() if last else manner_of(call)
        call.streamed = chance.random() < 0.7 or call.habit == "flood"
        padding = 1_500 if last else chance.choice((0, 0, 300, 2_000))
        model = chance.choice((MODELS[self.wire], MODELS[self.wire], "alias"))
        target, call.body = request_of(self.wire, model, chance, streamed=call.streamed, padding=padding)
        pieces = self._pieces(call, target)
        call.crowded = call.term.gateway.crowded
        call.term.gateway.connect(line)
        try:
            async with asyncio.timeout(manner.seconds_max):
                over = await self._talk(call, line, pieces, manner)
        except TimeoutError:
            over = False
        line.hang_up()
        call.over_at = self.loop.time()
        call.left_at = None if over else call.over_at
        if b"\r\n\r\n" in call.got:
            call.reply = reply_of(bytes(call.got))
        if manner.seconds_max == CALL_SECONDS <= call.over_at - call.at:
            self.judge.fail("hangs", f"call {call.name} ({call.habit}, {call.malformed}) has no end")
        self.note(
            f"call {call.name} {call.habit}: {call.reply and (call.reply.status, len(call.got))}, left: {not over}"
        )
        if (
            call.reply
            and call.reply.status in {429, 502, 503}
            and b"athena_c" not in call.got
            and chance.random() < 0.5
            and not last
        ):
            self.call(
                Step(int(call.name.split(".")[0]), 0.0, call.move, f"again:{chance.random()}"), 10 + len(self.calls)
            )

    async def _talk(self, call: Call, line: Line, pieces: Sequence[tuple[bytes, float]], manner: Manner) -> bool:
        """Return True at the end of the answer, and False for an agent that has had enough."""
        sent = b""
        for piece, seconds in pieces:
            await asyncio.sleep(seconds)
            sent += piece
            call.head_sent = b"\r\n\r\n" in sent
            line.send(piece)
        while len(call.got) < manner.bytes_max:
            data = await line.take(manner.size)
            if not data:
                return True
            call.got += data
            if manner.pause:
                await asyncio.sleep(manner.pause)
        return False

    def _pieces(self, call: Call, target: str) -> list[tuple[bytes, float]]:
        """Return the bytes of a request in pieces, with the seconds before each."""
        chance, key = call.chance, call.term.gateway.key
        if call.move == "malformed":
            call.malformed = chance.choice(tuple(MALFORMED))
        match call.malformed:
            case "key":
                key += "x"
            case "path":
                target = "/v1/models"
            case "json":
                call.body = call.body[:-1]
            case "limit":
                config = (
                    b'"generationConfig":{"maxOutputTokens":0},"x":{' if self.wire == "gemini" else b'"max_tokens":0,'
                )
                other = b'"max_output_tokens":0,' if self.wire == "openai-responses" else config
                call.body = b"{" + other + b'"y":1' + (b"}}" if self.wire == "gemini" else b"," + call.body[1:])
            case "model":
                for known in (MODELS[self.wire], "alias"):
                    target = target.replace(known, "other")
                    call.body = call.body.replace(known.encode(), b"other")
            case "large":
                call.body = call.body[:-1] + b',"x":"' + b"x" * LIMITS.body_bytes_max + b'"}'
        data = request(target, call.body, key=key)
        if call.malformed == "twice":
            return [(data + data, 0.0)]
        size = data.index(b"\r\n\r\n")
        if call.malformed in {"slow head", "slow body"}:
            return [(data[: size - 1 if call.malformed == "slow head" else -1], 0.0)]
        cuts = sorted(chance.randint(1, len(data) - 1) for _ in range(chance.choice((0, 0, 1, 2))))
        ends = zip([0, *cuts], [*cuts, len(data)], strict=True)
        return [(data[begin:end], chance.choice((0.0, 0.01, 0.2)) if begin else 0.0) for begin, end in ends]


def plan(seed: str) -> list[Step]:
    """Draw the steps of a history."""
    return swarm(seed, MOVES, SIZE)


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None = None) -> Played:
    """Play steps and judge them."""
    loop = SimLoop(seed)
    gc.disable()
    try:
        history = History(seed, loop, trace)
        loop.set_exception_handler(lambda _, found: history.judge.fail("error", repr(found)))
        loop.run_until_complete(history.play(steps))
    finally:
        loop.close()
        gc.enable()
    return Played(history.judge.failures, digest_of(history.judge.record), len(steps), dict(history.judge.marks))
