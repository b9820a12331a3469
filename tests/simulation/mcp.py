"""The corner of MCP: real clients, their servers in runs and shared ones, and a fake server with odd habits."""

import asyncio
import gc
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx2
from anyio import to_thread
from msgspec import Raw

from athena_core.domain import mcp_server
from athena_core.event import Meta
from athena_core.mask import Mask
from athena_core.mcp.client import client as client_module
from athena_core.mcp.client import http, listing, result, stdio, streams
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.wire import LIMITS as PEER_LIMITS
from athena_core.mcp.servers import McpServer
from athena_core.outside_text import OutsideText
from athena_core.services.execution.mcp.run_mcp import RunMcp, mcp_parts
from athena_core.services.mcp.catalogue import CataloguedServer, ServerListing
from athena_core.services.mcp.starting import McpStarter
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ServerAnswer
from tests.simulation.histories import Failure, Played, Step, digest_of, swarm
from tests.simulation.loop import Deadlock, SimClock, SimIds, SimLoop, run_in_loop
from tests.simulation.mcp_server import (
    ABANDONED,
    LEGACY,
    MODERN,
    Call,
    Script,
    SimChild,
    SimServer,
    SimTransport,
)

BATCH = 200
START, CALL = 4.0, 10.0
"""Seconds in which a server must start or list its tools, and answer a call."""
SLACK = 1.5
"""Seconds that a call may take beside what its script takes, as long as nothing is wrong."""
STEPS = (2, 3, 4, 8, 12)
MOVES = {
    "call": 20.0,
    "three": 4.0,
    "cancel": 3.0,
    "leave": 2.0,
    "restart": 2.0,
    "forget": 2.0,
    "slow": 1.0,
    "down": 1.0,
    "deaf": 1.0,
    "change": 1.0,
    "accept": 1.0,
    "noise": 2.0,
}
GOOD = frozenset(("ok", "twice", "own-error", "huge", "forget", "late"))
ODD = (
    "twice", "own-error", "huge", "forget", "late", "refusal", "bad-shape", "unknown-id", "text-id", "null-id",
    "no-result", "bad-json", "too-large", "silence", "exit", "exit-before", "302", "401", "404", "500", "202",
)  # fmt: skip
HARMLESS = ("progress", "progress", "other-progress", "log", "ping", "sampling", "ask", "changed")
REQUESTS_MAX, RESUMES_MAX, PROGRESS_MAX, QUESTIONS_MAX = 4, 3, 4, 3
LIMITS = PEER_LIMITS._replace(line_bytes=20_000, requests=REQUESTS_MAX)
SEAMS: tuple[tuple[Any, str, Any], ...] = (
    *((module, "LIMITS", LIMITS) for module in (stdio, streams, http)),
    *((module, "MESSAGES_MAX", 30) for module in (stdio, streams)),
    (http, "RESUMES_MAX", RESUMES_MAX),
    (client_module, "PROGRESS_MAX", PROGRESS_MAX),
    (client_module, "QUESTIONS_MAX", QUESTIONS_MAX),
    (listing, "PAGES_MAX", 3),
    (result, "RESULT_BYTES_MAX", 2_000),
    (result.cut_text, "__defaults__", (2_000,)),
    (to_thread, "run_sync", run_in_loop),
)
"""Small limits, so that small histories go beyond them."""


class Parted(Exception):
    """The run was parked while a person was asked."""


def plan(seed: str) -> list[Step]:
    return swarm(seed, MOVES, random.Random(f"{seed}:size").choice(STEPS))


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    world = McpWorld(seed, kinds_of(random.Random(f"{seed}:world")), trace)
    world.run(lambda: world.play(steps))
    return Played(world.failures, digest_of(world.log), len(steps), world.marks)


class Kind(NamedTuple):
    """A kind of server. ``url``: behind HTTP. ``ids``: its streams can be taken up again."""

    url: bool = True
    era: str = LEGACY
    shared: bool = False
    sessions: bool = True
    ids: bool = True
    listens: bool = False
    page: int = 100


def kinds_of(chance: random.Random) -> list[Kind]:
    """Draw the servers of a history."""
    found = []
    for _ in range(chance.choice((1, 1, 1, 2))):
        url, era = chance.random() < 0.6, chance.choice((LEGACY, LEGACY, MODERN))
        shared, page = not url and chance.random() < 0.4, chance.choice((1, 100, 100))
        sessions, ids, listens = (chance.random() < part for part in (0.8, 0.7, 0.5))
        found.append(Kind(url, era, shared, sessions, ids, listens, page))
    return found


@contextmanager
def seams(world: "McpWorld") -> Iterator[None]:
    """Replace limits, threads and connections while a history is played."""

    def client(wire: Any) -> httpx2.AsyncClient:
        if "_client" not in wire.__dict__:
            wire.__dict__["_client"] = world.client_of(wire._host)
        found: httpx2.AsyncClient = wire.__dict__["_client"]
        return found

    places = (*SEAMS, (http.HttpWire, "_client", property(client)))
    before = [place.__dict__[name] if name == "_client" else getattr(place, name) for place, name, _ in places]
    for place, name, value in places:
        setattr(place, name, value)
    try:
        yield
    finally:
        for (place, name, _), value in zip(places, before, strict=True):
            setattr(place, name, value)


class SimClient(httpx2.AsyncClient):
    """A client without defaults for its requests, as the product sends all headers."""

    def build_request(self, method: str, url: Any, *, headers: Any = None, content: Any = None, **_: Any) -> Any:
        return httpx2.Request(method, url, headers=headers, content=content)


class SimStarter(McpStarter):
    """Starts the fake servers instead of programs."""

    def __init__(self, world: "McpWorld") -> None:
        super().__init__(SimpleNamespace(find=lambda name: None), Mask(), world.resolve)  # type: ignore[arg-type]
        self._world = world

    async def _child(self, server: McpServer, directory: Any, sandbox: Any) -> Any:
        await asyncio.sleep(0.01)
        return self._world.servers[server.name].start_child()


class Catalogue:
    """The catalogue of listings, without a log."""

    def __init__(self) -> None:
        self.servers: dict[str, CataloguedServer] = {}

    def find(self, name: str) -> CataloguedServer | None:
        return self.servers.get(name)

    async def note(self, name: str, found: ServerListing, meta: Meta) -> None:
        await asyncio.sleep(0.02)
        server = self.servers.setdefault(name, CataloguedServer(name))
        for event in mcp_server.decide(mcp_server.NoteListing(listed=found.event(name)), server.state, None):  # type: ignore[arg-type]
            server.take(event, server.version + 1, 0)

    def accept(self, name: str) -> None:
        """Accept all tools of the last list."""
        server = self.servers[name]
        tools = {tool: one.sha256 for tool, one in server.listed.items()}
        server.take(mcp_server.McpServerAccepted(server=name, tools=tools, by="olga"), server.version + 1, 0)


class McpWorld:
    """Two servers, two runs, and the promises about them."""

    def __init__(self, seed: str, kinds: Sequence[Kind], trace: Callable[[str], None] | None = None) -> None:
        gc.disable()
        self.loop = SimLoop(seed)
        asyncio.set_event_loop(self.loop)
        self.failures: list[Failure] = []
        self.log: list[str] = []
        self.marks: Counter[str] = Counter()
        self.silent = False
        self._trace = trace
        self._tokens = 0
        self.open: dict[int, asyncio.Task[None]] = {}
        self.asked: Counter[int] = Counter()
        """Seconds in which a person was asked, by call."""
        self.asking: Counter[int] = Counter()
        self.reports: Counter[int] = Counter()
        self.parting: set[int] = set()
        """The calls whose run was parked meanwhile."""
        self.flooding: set[str] = set()
        """Servers with a flood that no call awaits: the rest of it may end the next calls."""
        self.ended: dict[int, float] = {}
        self.cancelled: set[int] = set()
        self.given_up: set[int] = set()
        """The calls that were cancelled, or had no answer in time."""
        self.trouble: dict[str, float] = {}
        """The second in which the last trouble of a server ended."""
        self.busiest: dict[str, int] = {}
        self.changed: dict[tuple[str, str], list[tuple[float, int]]] = {}
        """When clients knew about the versions of a tool."""
        self.accepted: set[tuple[str, str, int]] = set()
        self.clients: list[tuple[SimTransport, httpx2.AsyncClient]] = []
        self._build(kinds, seed)

    def run(self, drive: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something in this world, and leave nothing behind."""
        loop = self.loop
        loop.set_exception_handler(lambda _, found: self.broken("unhandled", str(found.get("exception") or found)))
        with seams(self):
            try:
                loop.run_until_complete(drive())
            except Deadlock:
                self.broken("deadlock", f"nothing can happen any more; open: {[*self.open]}")
            finally:
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                self.silent = True
                loop.run_until_complete(asyncio.sleep(1))
                loop.run_until_complete(loop.shutdown_asyncgens())
                asyncio.set_event_loop(None)
                loop.close()
                gc.collect(0)  # what this history left is all that is young
                gc.enable()

    def _build(self, kinds: Sequence[Kind], seed: str) -> None:
        self.known: dict[str, McpServer] = {}
        self.servers: dict[str, SimServer] = {}
        for name, kind in zip("ab", kinds, strict=False):
            server = SimServer(name, self.loop, era=kind.era, note=self.note, broken=self.broken)
            server.page, server.has_sessions = kind.page, kind.sessions
            server.event_ids, server.listens = kind.ids, kind.listens
            server.trouble = lambda why, seconds, name=name: self.note_trouble(name, why, seconds)  # type: ignore[misc]
            server.allowed = self.allowed
            self.servers[name] = server
            way: dict[str, Any] = {"url": f"http://{name}/mcp", "private": True} if kind.url else {"command": ("x",)}
            self.known[name] = McpServer(
                name=name,
                sandbox=False,
                shared=kind.shared,
                start_timeout_ms=int(START * 1_000),
                call_timeout_ms=int(CALL * 1_000),
                **way,
            )
            self.note(f"{name}: {kind}")
            self.accepted |= {(name, tool, 1) for tool in server.tools}
        clock = SimClock(self.loop)
        self.catalogue = Catalogue()
        self._parts = mcp_parts(
            SimpleNamespace(names=(), specs=lambda names: ()),
            self.known,  # type: ignore[arg-type]
            self.catalogue,  # type: ignore[arg-type]
            SimStarter(self),
            SimpleNamespace(programs_trusted=False),  # type: ignore[arg-type]
            Mask(),
            SimIds(seed, clock),
            clock,
            None,
        )
        self._parts = self._parts._replace(servers=SimpleNamespace(find=self.known.get))  # type: ignore[arg-type]

    # Records

    def note(self, line: str) -> None:
        if not self.silent:
            line = f"{self.loop.time():.3f} {line}"
            self.log.append(line)
            if self._trace is not None:
                self._trace(line)

    def broken(self, kind: str, what: str) -> None:
        if not self.silent:
            self.note(f"BROKEN {kind}: {what}")
            self.failures.append(Failure(kind, what[:600], self.loop.time()))

    def note_trouble(self, name: str, why: str, seconds: float) -> None:
        self.note(f"trouble of {name}: {why}")
        self.marks[f"trouble {why}"] += 1
        self.trouble[name] = max(self.trouble.get(name, -1.0), self.loop.time() + seconds)

    async def resolve(self, host: str, port: int) -> list[str]:
        await asyncio.sleep(0.001)
        return ["10.0.0.1"]

    def client_of(self, host: str) -> httpx2.AsyncClient:
        """Return a client whose connections lead to a fake server."""
        transport = SimTransport(self.servers[host])
        client = SimClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=httpx2.Timeout(None, connect=10.0)
        )
        self.clients.append((transport, client))
        return client

    def allowed(self, call: Call, version: int) -> bool:
        """Return True if a call may have an effect though the tool has this version."""
        known = [at for at, number in self.changed.get((call.server, call.tool), ()) if number == version]
        accepted = (call.server, call.tool, version) in self.accepted
        return accepted or not known or call.began <= known[0]

    # Moves

    async def play(self, steps: Sequence[Step]) -> None:
        try:
            async with asyncio.timeout(20_000):
                await self.begin()
                await self._play(steps)
                await self.end()
        except TimeoutError:
            self.broken("hang", f"open: {[*self.open]}")

    async def begin(self) -> None:
        """Let an operator accept the tools, and begin two runs."""
        for name in self.servers:
            await self.catalogue.note(name, self._listed(name), Meta(actor="x", correlation="x"))
        self.runs = [self.new_run(), self.new_run()]

    async def _play(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.at > self.loop.time():
                await asyncio.sleep(step.at - self.loop.time())
            chance = step.chance
            name = chance.choice(list(self.servers))
            self.note(f"step {step.number}: {step.name} {name}")
            await getattr(self, f"do_{step.name}")(chance, name)
        while self.open:
            await asyncio.wait(self.open.values())

    def _listed(self, name: str) -> ServerListing:
        reader = listing.ListingReader()
        reader.add(Raw(json.dumps({"tools": self.servers[name].listed()}).encode()))
        return ServerListing("", tuple(reader.tools.values()), {})

    def new_run(self) -> RunMcp:
        profile = SimpleNamespace(
            mcp={name: SimpleNamespace(tools=("*",), rules=(), approval="allow") for name in self.servers},
            asks=None,
            allowed_egress=None,
        )
        pins = {name: dict(found.accepted) for name, found in self.catalogue.servers.items()}
        request = SimpleNamespace(harness_profile_snapshot=profile, profile_named=True, mcp_tools=pins)
        files = SimpleNamespace(root=SimpleNamespace(absolute=lambda: "/work"))

        async def sync_mirror() -> None:
            await asyncio.sleep(0)

        place = SimpleNamespace(sync_mirror=sync_mirror, files=files, readonly=())
        return RunMcp(
            self._parts,
            SimpleNamespace(request=request, correlation="x", position=1),  # type: ignore[arg-type]
            SimpleNamespace(),
            place,  # type: ignore[arg-type]
        )

    async def do_call(self, chance: random.Random, name: str) -> None:
        run, tool = chance.choice((0, 0, 1)), chance.choice(("t0", "t0", "t1"))
        script = self._script(chance, name)
        self.call(name, run, tool, script, chance.choice((0.0, 0.0, 1.0, 20.0, -1.0, -2.0, -3.0)))

    async def do_three(self, chance: random.Random, name: str) -> None:
        for _ in range(3):
            await self.do_call(chance, name)

    async def do_cancel(self, chance: random.Random, name: str) -> None:
        if chance.random() < 0.3:
            await self.do_call(chance, name)
            await asyncio.sleep(chance.uniform(0.0, 0.06))
        await asyncio.sleep(0)  # a task that did not begin cannot note its end
        if self.open:
            token = chance.choice(list(self.open))
            self.cancelled.add(token)
            self.open[token].cancel()

    async def do_leave(self, chance: random.Random, name: str) -> None:
        """End a run, and begin another one in its place."""
        number = chance.choice((0, 1))
        await self.leave(number)
        self.runs[number] = self.new_run()

    async def leave(self, number: int) -> None:
        await asyncio.sleep(0)
        mine = [token for token in self.open if self.servers_calls(token).run == number]
        for token in mine:
            self.cancelled.add(token)
            self.open[token].cancel()
        await asyncio.gather(*(self.open[token] for token in mine), return_exceptions=True)
        began = self.loop.time()
        await self.runs[number].close()
        if self.loop.time() > began + 12:
            self.broken("slow-close", f"the end of a run took {self.loop.time() - began:.1f} s")

    def servers_calls(self, token: int) -> Call:
        return next(server.calls[token] for server in self.servers.values() if token in server.calls)

    async def do_restart(self, chance: random.Random, name: str) -> None:
        self.servers[name].restart()

    async def do_forget(self, chance: random.Random, name: str) -> None:
        self.servers[name].forget()

    async def do_slow(self, chance: random.Random, name: str) -> None:
        seconds = chance.choice((1.0, 5.0, 20.0))
        self.note_trouble(name, "slow", seconds + 0.1)
        self.servers[name].slow_until = self.loop.time() + seconds

    async def do_down(self, chance: random.Random, name: str) -> None:
        seconds = chance.choice((1.0, 5.0, 20.0))
        self.note_trouble(name, "down", seconds + 0.1)
        self.servers[name].down_until = self.loop.time() + seconds

    async def do_deaf(self, chance: random.Random, name: str) -> None:
        seconds = chance.choice((1.0, 4.0, 20.0))
        self.note_trouble(name, "deaf", seconds + 0.1)
        self.servers[name].deaf_until = self.loop.time() + seconds

    async def do_change(self, chance: random.Random, name: str) -> None:
        server, tool = self.servers[name], chance.choice(("t0", "t1", "t2", "t3"))
        server.change(tool)
        told = self.known[name].url is None and bool(server.children)
        at = self.loop.time() + (0.1 if told else 30.1)
        self.note_trouble(name, "change", 0.0)
        self.changed.setdefault((name, tool), []).append((at, server.tools[tool]))
        if chance.random() < 0.3:
            server.slow_until = self.loop.time() + START + 1
            self.note_trouble(name, "slow", START + 1.1)
            for wait in (0.2, START + 0.5):
                await asyncio.sleep(wait)
                self.call(name, 0, tool, Script())

    async def do_accept(self, chance: random.Random, name: str) -> None:
        """Let an operator accept what was listed last."""
        self.catalogue.accept(name)
        for tool in self.catalogue.servers[name].listed.values():
            listed = self.catalogue.servers[name].definition(tool.sha256)
            if listed is not None and listed.description is not None:
                self.accepted.add((name, tool.name, int(listed.description.split()[1])))

    async def do_noise(self, chance: random.Random, name: str) -> None:
        """Let a server say something that concerns no call."""
        method = chance.choice(("notifications/message", "notifications/tools/list_changed", "notifications/odd"))
        self.servers[name].say({"method": method, "params": {}})

    # Calls

    def _script(self, chance: random.Random, name: str) -> Script:
        url, short = self.known[name].url is not None, (0.0, 0.0, 0.0, 0.05, 0.5, 2.0)
        says = [chance.choice(HARMLESS) for _ in range(chance.choice((0, 0, 0, 1, 2, 5)))]
        if len(says) == 5 and chance.random() < 0.4:
            says = says[:1] * 5
        if chance.random() < 0.04:
            says.append(chance.choice(("flood", "forget")))
        answer = chance.choice(ODD) if chance.random() < 0.35 else "ok"
        if not url and answer.isdigit():
            answer = "ok"
        breaks = [chance.choice(("end", "break")) for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 4)))] if url else []
        wait, work = chance.choice(short), chance.choice((*short, 12.0)) if chance.random() < 0.5 else 0.0
        return Script(answer, wait, work, tuple(says), url and chance.random() < 0.4, tuple(breaks))

    def call(self, name: str, run: int, tool: str, script: Script, patience: float = 0.0) -> int:
        """Begin a call, and return its token."""
        self._tokens += 1
        call = Call(self._tokens, name, run, tool, script, self.loop.time(), patience)
        self.servers[name].calls[call.token] = call
        self.note(f"call {call}")
        for token in self.open:
            self.busiest[str(token)] = max(self.busiest.get(str(token), 0), len(self.open) + 1)
        self.busiest[str(call.token)] = len(self.open) + 1
        self.open[call.token] = self.loop.create_task(self._made(call))
        return call.token

    async def _made(self, call: Call) -> None:
        outcome: Any
        try:
            outcome = await self._make(call)
        except BaseException as error:  # noqa: BLE001 - judged below
            outcome = error
        del self.open[call.token]
        self.ended[call.token] = self.loop.time()
        self.note(f"call {call.token} ends: {outcome!r}"[:300])
        self._judge(call, outcome)

    async def _make(self, call: Call) -> ServerAnswer:
        public, run = f"{call.server}__{call.tool}", self.runs[call.run]

        async def ask(question: McpQuestion) -> dict[str, Any] | None:
            return await self._ask(call, question, run)

        def report(done: float, total: float | None, words: OutsideText) -> None:
            self.reports[call.token] += 1
            if words.exact != str(call.token):
                self.broken("other-progress", f"call {call.token} got the report {words.exact}")

        await run.list_new()
        await run.prepare([public])
        return await run.call(call.server, call.tool, {"token": call.token}, public, ask, report)

    async def _ask(self, call: Call, question: McpQuestion, run: RunMcp) -> dict[str, Any] | None:
        self.asking[call.token] += 1
        if question.message != str(call.token):
            self.broken("other-question", f"call {call.token} got the question of call {question.message}")
        began = self.loop.time()
        try:
            await asyncio.sleep(max(call.patience, 0.5))
        finally:
            self.asked[call.token] += self.loop.time() - began  # type: ignore[assignment]
        if call.patience == -2.0:
            raise Parted
        if call.patience == -3.0:
            self.note_trouble(call.server, "parked", 0.1)
            for name in self.servers:
                self.note_trouble(name, "parked", 0.1)
            self.parting.add(call.token)
            await run.close()
            raise Parted
        return None if call.patience < 0 else {"n": call.token}

    # Promises

    def seconds_of(self, script: Script) -> float:
        rounds = 2 if "ask" in script.says else 1  # from 2026-07-28 on a question is an answer
        return script.wait * rounds + script.work * (1 + len(script.breaks)) + 1.1 * len(script.breaks)

    def must_succeed(self, call: Call) -> bool:
        """Return True if nothing was wrong during a call."""
        server, script = self.servers[call.server], call.script
        legacy = server.era == LEGACY
        return (
            script.answer in GOOD
            and not {"flood", "forget"} & set(script.says)
            and self.seconds_of(script) < CALL - 1
            and (not script.breaks or (legacy and server.event_ids and len(script.breaks) <= RESUMES_MAX))
            and self.trouble.get(call.server, -1.0) < call.began
            and self.busiest[str(call.token)] <= REQUESTS_MAX
            and not self.changed
            and call.token not in self.cancelled
            and call.server not in self.flooding
        )

    def _judge(self, call: Call, outcome: Any) -> None:
        server, script, token = self.servers[call.server], call.script, call.token
        took = self.ended[token] - call.began - self.asked[token]
        text = outcome.content if isinstance(outcome, ServerAnswer) else ""
        said = text.startswith((f"done {token}.1", "[")) and f"done {token}.1" in text
        self.marks[f"answer {script.answer} {'done' if said else 'failed'}"] += 1
        if "no answer to tools/call" in text or not isinstance(outcome, ServerAnswer | ToolRefused):
            self.given_up.add(token)
        must = self.must_succeed(call)
        self.marks["must succeed"] += must
        if said:
            self.flooding.discard(call.server)
        elif "flood" in script.says and not isinstance(outcome, ServerAnswer):
            self.flooding.add(call.server)
        if token in self.parting and not isinstance(outcome, Parted | asyncio.CancelledError):
            self.broken("not-parked", f"call {token} {script} ended while its run was parked: {outcome!r}")
        match outcome:
            case ServerAnswer(is_error=True) if not said or script.answer == "refusal":
                if must:
                    self.broken("failed", f"call {token} {script} failed: {text}")
                if not text.startswith(f"The MCP server '{call.server}' failed. "):
                    self.broken("no-reason", f"call {token} failed with {text[:100]!r}")
                if "not carried out" in text and server.effects[token]:
                    self.broken("false-reason", f"call {token} had an effect: {text}")
            case ServerAnswer():
                if not said or outcome.is_error != (script.answer == "own-error"):
                    self.broken("wrong-answer", f"call {token} {script} got {text[:100]!r}")
                if outcome.truncated != (script.answer == "huge") or len(text) > 2_000:
                    self.broken("uncut", f"call {token} {script} got {len(text)} characters")
            case Parted():
                if call.patience > -2.0:
                    self.broken("unhandled", f"call {token} {script} was parked")
            case asyncio.CancelledError() if token in self.cancelled:
                pass
            case ToolRefused() if self.changed:
                pass
            case _:
                self.broken("unhandled", f"call {token} {script} raised {outcome!r}")
        if must and took > self.seconds_of(script) + SLACK:
            self.broken("slow", f"call {token} {script} took {took:.1f} s")
        if took > CALL + 20 * self.busiest[str(token)]:
            self.broken("late", f"call {token} {script} took {took:.1f} s")
        if "flood" in script.says and said:
            self.broken("limit", f"call {token} got an answer after a flood")
        if self.reports[token] > PROGRESS_MAX or self.asking[token] > QUESTIONS_MAX:
            self.broken("limit", f"call {token}: {self.reports[token]} reports, {self.asking[token]} questions")

    def _check_cancelled(self) -> None:
        """Check that a server knows of each call that was given up."""
        for name, server in self.servers.items():
            for place, found in server.open.items():
                ended = self.ended[found.token]
                judged = self.trouble.get(name, -1.0) < server.calls[found.token].began and found.era == LEGACY
                judged &= not (isinstance(found.out, SimChild) and found.out.exited.is_set())
                judged &= found.token in self.given_up and self.loop.time() > ended + ABANDONED
                if judged and place not in server.cancelled:
                    self.broken("not-cancelled", f"{name} works on call {found.token} {server.calls[found.token]}")

    async def end(self) -> None:
        """End all troubles. Check that each server works, and that nothing is left after its end."""
        await asyncio.sleep(30 + ABANDONED)
        self._check_cancelled()
        self.changed.clear()
        self.marks["forgotten"] += sum(len(server.forgotten) for server in self.servers.values())
        for name in self.servers:
            await self.catalogue.note(name, self._listed(name), Meta(actor="x", correlation="x"))
            self.catalogue.accept(name)
            token = self.call(name, 0, "t0", Script())
            while token in self.open:
                await asyncio.wait([self.open[token]])
        for number in (0, 1):
            await self.leave(number)
        await self._parts.shared.close()
        await asyncio.sleep(ABANDONED)
        for name, server in self.servers.items():
            if left := [child for child in server.children if not child.ended]:
                self.broken("left-program", f"{len(left)} programs of {name} still run")
            if server.bodies:
                self.broken("left-response", f"{len(server.bodies)} responses of {name} are open")
            if server.sessions and name not in self.trouble and not self.cancelled:
                self.broken("left-session", f"{len(server.sessions)} sessions of {name} are open")
            server.restart()
        if any(not client.is_closed for _, client in self.clients):
            self.broken("left-client", "a client is open")
        await asyncio.sleep(1)
        if left_tasks := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            self.broken("left-task", ", ".join(sorted(repr(task.get_coro()) for task in left_tasks)))
