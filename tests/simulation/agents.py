"""The corner of outside agents: the real driver, permissions, endpoint and ledger with a scripted agent.

The agent, its servers and the record of its run are tasks of one loop. Executors crash and freeze, and another one
takes the run over. A history ends once the run does.
"""

import asyncio
import contextvars
import functools
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec.structs import replace

from athena_core.agents import acp
from athena_core.agents.homes import HomeInUse
from athena_core.definitions.profile import (
    AgentMatch,
    AgentPolicy,
    AgentRule,
    AskPolicy,
    HarnessConfig,
    HarnessPolicies,
)
from athena_core.domain import run
from athena_core.errors import AthenaError, LeaseLost
from athena_core.event import Event
from athena_core.mask import Mask
from athena_core.mcp.client.questions import McpQuestion
from athena_core.rpc.peer import Peer
from athena_core.services.execution.completion import RunCompletion
from athena_core.services.execution.lease_recorder import LeaseRecorder
from athena_core.services.execution.leased_run import LeasedRun, RunTime
from athena_core.services.execution.outside import agent_process, agent_run
from athena_core.services.execution.outside.agent_run import AgentParts, AgentRun
from athena_core.services.execution.outside.run_endpoint import OVER, TOO_MANY
from athena_core.services.execution.performer import RunEnd, run_failed
from athena_core.services.execution.progress import assignment_of, open_asks
from athena_core.services.mcp.run_tools import ServerTool
from athena_core.tools.tool import ServerAnswer, Tool, ToolResult
from athena_core.tools.toolbox import toolbox
from athena_core.values import ToolSpec
from tests.simulation.acp_agent import FORM, SimAgent, SimGateway, canonical
from tests.simulation.agent_record import ATTEMPTS_MAX, META, AgentRecord, AgentWriter
from tests.simulation.histories import Failure, Played, Step, digest_of, swarm
from tests.simulation.loop import Deadlock, Process, SimClock, SimIds, SimLoop, simulate_threads
from tests.support.events.run import COMPLETED, CREATED, SPEC

BATCH = 200
"""How many histories one process plays."""
SILENCE_SECONDS = 300.0
TIMEOUT_MS = 1_800_000
END_SECONDS = 40_000.0
"""How long a run may take after the last step. A person answers all asks by then."""
KINDS = {"execute": "ask", "edit": "ask", "read": "allow", "fetch": "deny"}
TOOLS: Mapping[str, Any] = {"deploy": "ask", "look": "allow", "drop": "deny", "form": "allow"}
PERMISSIONS = tuple(
    AgentRule(match=AgentMatch(kind=kind), approval=approval)  # type: ignore[arg-type]
    for kind, approval in KINDS.items()
)
TOOLBOX = toolbox()
MASK = Mask(())
ENDED = "The run is over."
MOVES = {
    "own": 10, "many": 3, "twins": 3, "tool": 8, "tools": 3, "ask_user": 2, "question": 2, "model": 2, "say": 2,
    "flood": 0.5, "stop": 1, "die": 1, "answer": 14, "answers": 3, "crash": 1, "freeze": 1, "park": 1.5, "memory": 1,
    "away": 1, "cancel": 0.3, "wait": 1,
}  # fmt: skip
AGENT_MOVES = frozenset(list(MOVES)[:12])
OUTSIDE = contextvars.Context()
"""The context of what no simulated process does."""
_kept: list[Any] = []
"""Loops of histories. What an ended process left half done must not be cleaned up."""


def plan(seed: str) -> list[Step]:
    """Draw the steps of a history."""
    chance = random.Random(f"{seed}:size")
    return swarm(seed, MOVES, chance.choice((4, 8, 12, 16)), (0.1, 0.3, 1, 2))


class Tools:
    """The tools of the run: ``ask_user``, and four of a server whose calls are effects (``ToolRegistry``)."""

    names = frozenset((*TOOLBOX.names, *TOOLS))

    def __init__(self) -> None:
        schema = {"type": "object"}
        self._tools = {
            name: ServerTool(
                "server",
                name,
                ToolSpec(name=name, description="", parameters=schema),
                approval,
                repeats=False,
                labelled=False,
                sha256="00",
            )
            for name, approval in TOOLS.items()
        }

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        return (*TOOLBOX.specs(names), *(tool.spec for tool in self._tools.values()))

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        if name in self._tools:
            return self._tools[name], msgspec.json.decode(arguments)
        return TOOLBOX.read(name, arguments, names)

    def server_of(self, name: str) -> str | None:
        return "server" if name in self._tools else None


class Mcp:
    """The MCP servers of a run (``RunMcp``). Starting one takes a moment."""

    tools = Tools()

    def __init__(self, world: "AgentWorld", *_: Any) -> None:
        self._world = world

    async def list_new(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def unrecorded(self) -> tuple[run.RunStep, ...]:
        return ()

    async def prepare(self, names: Iterable[str]) -> None:
        if self._world.chance.random() < 0.4:
            await asyncio.sleep(self._world.chance.choice((0, 0.01, 2)))

    def servers_of(self, called: run.ToolCalled, ask: Callable[[McpQuestion], Awaitable[Any]], report: Any) -> Any:
        async def call(server: str, tool: str, arguments: Mapping[str, Any]) -> ServerAnswer:
            return await self._world.tool_effect(called, tool, arguments, ask)

        return SimpleNamespace(call=call)


class Place:
    """The place of a run, without files (``RunPlace``)."""

    box = None

    def __init__(self) -> None:
        self.files = SimpleNamespace(root=Path("/work"))
        self.sandbox = SimpleNamespace(note=lambda _: None, unrecorded=tuple)

    async def changes(self) -> tuple[run.RunStep, ...]:
        return ()

    last_changes = changes

    async def sync_mirror(self) -> None:
        await asyncio.sleep(0)


class Completion(RunCompletion):
    """Completes runs without a workspace."""

    def __init__(self) -> None:
        pass

    def bench(self, request: Any, place: Any, carries: Any = (), servers: Any = None) -> Any:
        return SimpleNamespace(servers=servers)

    def masked(self, result: ToolResult) -> ToolResult:
        return result


class Known:
    """A registered agent (``known.KnownAgent``)."""

    name, wire, resume, mcp = "codex", "openai-chat", "exact", "session"
    mode = boxed_mode = model = None
    message_ids, tool_names, read_only, provider = False, {}, (), "openai"  # type: ignore[var-annotated]

    def missing(self) -> list[str]:
        return []

    def launch(self, *_: Any) -> Any:
        return SimpleNamespace(argv=(), environment={}, _replace=lambda **_: SimpleNamespace(write_files=lambda: None))


KNOWN = Known()


async def _start_agent(*_: Any, **__: Any) -> SimAgent:
    await asyncio.sleep(0)
    world = AgentWorld.current
    assert world is not None
    return world.agent_started()


def _peer(pipes: Any, handler: Any, limits: Any) -> Peer:
    return Peer(pipes, handler, limits, monotonic=asyncio.get_running_loop().time)


class Server:
    """An executor of this run (``runner.Runner._execute``)."""

    def __init__(self, world: "AgentWorld", name: str) -> None:
        self.world, self.process = world, Process(name)
        self.held = LeasedRun(0)
        self.work: AgentRun | None = None

    def begin(self) -> None:
        """Execute the run that was leased here."""
        self.world.loop.create_task(self._execute(), context=self.process.context.copy())

    async def _execute(self) -> None:
        world, record = self.world, self.world.record
        if record.state.executor != self.process.name:  # it was frozen
            return
        assignment = assignment_of(record.rows)
        assert assignment is not None
        held = self.held = LeasedRun(assignment.token)
        time = RunTime(world.clock, held, TIMEOUT_MS, max(world.clock.now() - assignment.clock_from, 0))
        writer: Any = AgentWriter(record)
        recorder = LeaseRecorder(writer, assignment, META, world.clock, held, time)
        if not open_asks(assignment.progress):
            time.go()
        place: Any = Place()
        done: RunEnd | None = None
        try:
            with held.scope:
                self.work = AgentRun(world.parts, assignment, recorder, place, KNOWN)  # type: ignore[arg-type]
                cut_off = self.work.transcript.left_over
                try:
                    done = await self.work.work()
                except LeaseLost:
                    return
                except AthenaError as error:
                    done = RunEnd(cut_off(), run_failed(error.code, error.message))
            held.working = False
            if held.scope.cancelled_caught:
                late = run.RunTimedOut(timeout_ms=TIMEOUT_MS)
                done = RunEnd(cut_off(), run.RunCancelled(cause="requested") if held.stopped else late)
            if done is not None:
                world.judge_end(self, done)
                with suppress(LeaseLost):
                    await recorder.end(done)
        except Exception as error:  # noqa: BLE001 - a bug of the product
            world.fail("exception", f"{type(error).__name__}: {error}")
        finally:
            if not self.process.dead:
                self.work = None
                self.world.left(self)

    def hear(self, events: Sequence[Event]) -> None:
        """Follow the log, as soon as the process runs."""
        for event in events:
            match event:
                case run.RunAnswered():
                    self.held.woken.happen()
                case run.RunCancelRequested():
                    self.held.stop()
                case run.RunLeased() if event.executor != self.process.name:
                    self.held.stop()
                case _ if isinstance(event, run.ENDINGS):
                    self.held.stop()


class AgentWorld:
    """One run of an outside agent, its executors, its people, and the judge of what happens."""

    current: "AgentWorld | None" = None

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        self.loop = SimLoop(seed)
        self.chance = random.Random(f"{seed}:world")
        self.trace = trace
        self.clock = SimClock(self.loop)
        self.ids = SimIds(seed, self.clock)
        self.failures: list[Failure] = []
        self.marks: Counter[str] = Counter()
        self.record = AgentRecord(self.loop, self.clock, self.ids, self.fail)
        self.record.heard = self._heard
        self.servers: list[Server] = []
        self.gateway: Any = None
        self.agent: SimAgent | None = None
        self.sessions: list[str] = []
        self.calls = 0
        self.faulty = True
        """False at the end, when nothing fails any more."""
        draw = random.Random(f"{seed}:settings")
        self.agent_obeys, self.agent_resumes = draw.random() < 0.7, draw.random() < 0.6
        self.asks = AskPolicy(
            hold_ms=draw.choice((0, 30_000, 1_000_000, 1_000_000)),
            expires_after_ms=draw.choice((60_000, 20_000_000)),
            on_expiry=draw.choice(("deny", "deny", "cancel")),
        )
        self.parts = AgentParts(
            known=lambda _: KNOWN,  # type: ignore[arg-type,return-value]
            gateway=lambda wire, provider, ledger, models, boxed, tools: SimGateway(self, ledger, tools),  # type: ignore[arg-type,return-value]
            homes=SimpleNamespace(  # type: ignore[arg-type]
                take=lambda *_: HomeInUse(Path("/home"), lambda: None), at=lambda _: Path("/nowhere/at/all")
            ),
            earlier=SimpleNamespace(find=lambda _: None),  # type: ignore[arg-type]
            live=SimpleNamespace(living=lambda *_: nullcontext()),  # type: ignore[arg-type]
            compiler=SimpleNamespace(compile=lambda *_: ((), COMPLETED.context_meta)),  # type: ignore[arg-type]
            mcp=self,  # type: ignore[arg-type]
            completion=Completion(),
            rules=SimpleNamespace(match=self._no_rule),  # type: ignore[arg-type]
            mask=MASK,
            clock=self.clock,
            ids=self.ids,
            show=None,
            show_activity=None,
            timing=agent_process.AgentTiming(silence_seconds=SILENCE_SECONDS),
        )
        # what happened, for the judge
        self.granted: Counter[tuple[str, str]] = Counter()
        self.made: Counter[tuple[str, str]] = Counter()
        """Calls that the agent made, or asked for."""
        self.effects: Counter[str] = Counter()
        self.outputs: list[tuple[SimAgent, str, str, str]] = []
        self.values: dict[str, str] = {}
        """The ask of each value that a person gave."""
        self.used: Counter[str] = Counter()
        self.costs: Counter[int] = Counter()
        self.crashed = False

    async def _no_rule(self, *_: Any) -> None:
        return None

    def fail(self, kind: str, what: str) -> None:
        self.failures.append(Failure(kind, what, round(self.loop.time(), 3)))
        self.say(f"FAILED {kind}: {what}")

    def say(self, line: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.loop.time():10.3f} {line}")

    # The plane around the run

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            self.marks[event.TYPE] += 1
            agent = self.agent
            ours = agent is not None and agent.process is self.server.process and not agent.process.dead
            if isinstance(event, run.RunPaused) and agent is not None and ours and not agent.exited.is_set():
                self.fail("parked", "a parked run has a living process")
            if self.trace is not None:
                self.say(f"  {event.TYPE} {_short(event)}")
        for server in self.servers:
            if not server.process.dead:
                self.loop.call_soon(server.hear, events, context=server.process.context.copy())
        self.loop.call_later(0.01, self._carry_on, context=OUTSIDE)

    def _carry_on(self) -> None:
        """Let a parked run whose asks are answered go on, at another executor."""
        state = self.record.state
        if state.open and state.status == "paused" and not state.asks:
            self.record.submit(run.RequeueRun(reason="executor"))
            self.record.submit(run.AdmitRun(executor=""))
            self._lease()

    def _lease(self) -> None:
        name = f"exe_{len(self.servers) + 1}"
        if self.record.submit(run.LeaseRun(executor=name, pid=1, said="do it")) is not None:
            self._begin(name)

    def _take_over(self, because: run.LossReason) -> None:
        name, state = f"exe_{len(self.servers) + 1}", self.record.state
        if state.executor is None or not state.open:
            return
        taken = run.TakeRun(executor=name, pid=1, token=state.token, because=because, attempts_max=ATTEMPTS_MAX)
        if self.record.submit(taken) is not None and self.record.state.executor == name:
            self._begin(name)

    def _begin(self, name: str) -> None:
        server = Server(self, name)
        self.servers.append(server)
        server.begin()

    def left(self, server: Server) -> None:
        """Take the run up again if an executor left it open: its own lease, or the outcome of a timeout."""
        if self.record.state.executor == server.process.name:
            self.loop.call_later(2, self._take_up, server.process.name, context=OUTSIDE)

    def _take_up(self, name: str) -> None:
        if self.record.state.executor == name and self.record.state.open:
            self._take_over("left")

    @property
    def server(self) -> Server:
        return self.servers[-1]

    # The agent's side

    def new_session(self) -> str:
        self.sessions.append(f"session-{len(self.sessions)}")
        return self.sessions[-1]

    def agent_started(self) -> SimAgent:
        self.marks["agent started"] += 1
        self.agent = SimAgent(self)
        return self.agent

    def agent_died(self, agent: SimAgent) -> None:
        self.say("the agent's process ends")

    def prompted(self, agent: SimAgent, text: str) -> None:
        self.say("the agent is prompted")

    def turn_ended(self, agent: SimAgent, reason: str) -> None:
        self.say(f"the agent ends its turn: {reason}")

    def permission(self, kind: str, raw: Any, message: dict[str, Any]) -> bool:
        """Judge the answer to a request for a permission."""
        outcome = (message.get("result") or {}).get("outcome") or {}
        chosen, call = outcome.get("optionId"), (f"codex:{kind}", canonical(raw))
        self.say(f"  the agent may {call}: {chosen}")
        if chosen == "always":
            self.fail("permission", f"{call} got a permission that lasts")
        if chosen == "no" and KINDS[kind] != "deny" and not self.record.refused(*call) and not self.twice(kind, raw):
            self.fail("permission", f"{call} was refused, but nothing refused it")
        if chosen != "yes":
            return False
        self.granted[call] += 1
        may = {"allow": 1_000, "deny": 0, "ask": self.record.allowed(*call)}[KINDS[kind]]
        if self.granted[call] > may:
            self.fail("permission", f"{call} was permitted {self.granted[call]} times, but allowed {may} times")
        if self.granted[call] > self.record.made[kind, call[1]]:
            self.fail("permission", f"{call} was permitted before it was recorded")
        return True

    def twice(self, kind: str, raw: Any) -> bool:
        """Return True if a call asked while a request for its own permission was open."""
        return isinstance(raw, dict) and bool(raw.get("again"))

    def own_effect(self, kind: str, raw: Any) -> None:
        self.marks["own effect"] += 1

    def own_output(self, agent: SimAgent, kind: str, raw: Any, *, asked: bool) -> str:
        output = f"output {self.marks['own output']}"
        self.marks["own output"] += 1
        if agent.prompt is not None:
            self.outputs.append((agent, kind, canonical(raw), output))
        return output

    def model_ended(self, cost: int) -> None:
        self.costs[cost] += 1

    def answered(self, message: str, value: str) -> None:
        """Judge the answer to a question."""
        self.used[value] += 1
        ask = self.record.asks.get(self.values.get(value, ""))
        if ask is None or message not in (ask.title or ""):
            self.fail("answer", f"the question {message!r} got {value!r}, the answer to {ask and ask.title!r}")
        elif self.used[value] > 1:
            self.fail("answer", f"the answer {value!r} was used {self.used[value]} times")

    async def tool_effect(
        self, called: run.ToolCalled, tool: str, arguments: Mapping[str, Any], ask: Callable[..., Awaitable[Any]]
    ) -> ServerAnswer:
        """Be the server whose tool is called."""
        call_id, record = called.tool_call_id, self.record
        self.marks[f"tool {tool}"] += 1
        self.effects[call_id] += 1
        found = record.called.get(call_id)
        if found is None or found.refused is not None or msgspec.json.decode(found.arguments or "{}") != arguments:
            self.fail("effect", f"{tool} {dict(arguments)} is made as {call_id}, which is not recorded so")
        elif call_id in record.results:
            self.fail("effect", f"{call_id} is made after its result")
        if self.effects[call_id] > 1:
            self.fail("effect", f"{call_id} is made {self.effects[call_id]} times")
        if TOOLS[tool] == "deny" or (TOOLS[tool] == "ask" and called.ask_id is None):
            self.fail("effect", f"{tool} is made, which no person has allowed")
        if tool == "form":
            message = f"Which {arguments['n']}?"
            values = await ask(McpQuestion(message, FORM))
            if values is not None:
                self.answered(message, values["a"])
        await asyncio.sleep(self.chance.choice((0, 0.01, 1, 20)))
        return ServerAnswer(content=f"made {call_id}")

    def tool_answered(self, name: str, arguments: Mapping[str, Any], text: str, *, is_error: bool) -> None:
        """Judge the result of a call at the endpoint."""
        self.say(f"  the agent gets of {name} {dict(arguments)}: {text[:80]}")
        if text in {OVER, TOO_MANY} or text.startswith("Unknown tool"):
            return
        if not any(result.content == text for result in self.record.results.values()):
            self.fail("result", f"{name} {dict(arguments)} answered {text!r}, which is not recorded")
        if name == "ask_user" and not is_error:
            values = msgspec.json.decode(text)
            self.answered(str(arguments["question"]), values["answer"])

    def hopes(self, agent: SimAgent) -> None:
        """Answer what the agent waits for at the end."""
        self.answer_all(self.chance)

    # The moves

    def move(self, step: Step) -> None:
        chance, agent = step.chance, self.agent
        if step.name in AGENT_MOVES:
            if agent is None or agent.prompt is None or agent.process.dead or agent.finishing:
                return
            if agent.process.frozen_until > self.loop.time():
                return
        self.marks[f"move {step.name}"] += 1
        self.say(f"{step.number} {step.name}")
        getattr(self, f"_{step.name}")(chance)

    def _an_agent(self) -> SimAgent:
        assert self.agent is not None
        return self.agent

    def _own(self, chance: random.Random, raw: Any = None) -> None:
        agent = self._an_agent()
        self.calls += 1
        names = ("unmentioned", "early", "unasked", "withdraws", "again", "renamed", "quiet", "twice", "late", "whole")
        likely = (0.2, 0.3, 0.25, 0.2, 0.7, 0.7, 0.2, 0.2, 0.2, 0.2)
        habits = {name for name, share in zip(names, likely, strict=True) if chance.random() < share}
        kind = chance.choice(("execute", "execute", "edit", "read", "fetch"))
        if kind == "fetch":
            habits -= {"unasked"}
        if "unmentioned" in habits:
            habits = (habits - {"early", "unasked"}) | {"quiet"}
        if "renamed" not in habits:
            habits -= {"again"}  # its second request for the same call would meet the first
        raw = raw or {"n": chance.randrange(3) if chance.random() < 0.5 else self.calls}
        ended = agent.ended_ids
        call_id = chance.choice(ended) if ended and chance.random() < 0.4 else agent.new_id()
        if call_id in ended:
            self.marks["id used again"] += 1
            ended[:] = [one for one in ended if one != call_id]
            habits -= {"late"}
        self.made[kind, canonical(raw)] += 1 + ("again" in habits)
        agent.spawn(agent.own(call_id, kind, raw, chance, habits=frozenset(habits)))

    def _many(self, chance: random.Random) -> None:
        for _ in range(chance.randint(2, 4)):
            self._own(chance)

    def _twins(self, chance: random.Random) -> None:
        agent, raw = self._an_agent(), {"n": f"twin {chance.randrange(2)}"}
        kind = chance.choice(("execute", "edit"))
        habits = frozenset({"withdraws", "again", "renamed"} if chance.random() < 0.3 else ())
        for _ in range(chance.randint(2, 3)):
            self.made[kind, canonical(raw)] += 1 + bool(habits)
            agent.spawn(agent.own(agent.new_id(), kind, raw, chance, habits=habits))

    def _tool(self, chance: random.Random, times: int = 1) -> None:
        agent = self._an_agent()
        name = chance.choice(("deploy", "deploy", "look", "drop", "form"))
        arguments = {"n": chance.randrange(3)}
        patience = chance.choice((1e6, 1e6, 1, 40))
        for _ in range(times):
            self.made[name, canonical(arguments)] += 1
            agent.spawn(agent.tool(name, arguments, patience, reports=chance.random() < 0.5))

    def _tools(self, chance: random.Random) -> None:
        self._tool(chance, times=chance.randint(2, 4))

    def _ask_user(self, chance: random.Random) -> None:
        agent, arguments = self._an_agent(), {"question": f"Which {chance.randrange(3)}?"}
        for _ in range(chance.choice((1, 1, 2))):
            agent.spawn(agent.tool("ask_user", arguments, chance.choice((1e6, 1e6, 3)), reports=False))

    def _question(self, chance: random.Random) -> None:
        agent = self._an_agent()
        for _ in range(chance.choice((1, 1, 2))):
            agent.spawn(agent.question(f"Which {chance.randrange(3)}?"))

    def _model(self, chance: random.Random) -> None:
        agent = self._an_agent()
        self.calls += 1
        agent.spawn(agent.model(chance.choice((0.1, 5, 400)), 1_000 + self.calls))

    def _say(self, chance: random.Random) -> None:
        self._an_agent().say(f"word {chance.random()}")

    def _flood(self, chance: random.Random) -> None:
        for number in range(50):
            self._an_agent().update("agent_thought_chunk", content={"type": "text", "text": f"thought {number}"})

    def _stop(self, chance: random.Random) -> None:
        agent = self._an_agent()
        if chance.random() < 0.5:
            agent.say(f"the end {chance.random()}")
        agent.stop(chance.choice(("end_turn", "end_turn", "end_turn", "max_tokens", "refusal")))

    def _die(self, chance: random.Random) -> None:
        self._an_agent().die()

    def _answer(self, chance: random.Random) -> None:
        if self.record.state.asks:
            self._answer_one(chance.choice(self.record.state.asks).ask_id, chance)

    def _answers(self, chance: random.Random) -> None:
        self.answer_all(chance)

    def answer_all(self, chance: random.Random) -> None:
        for ask in self.record.state.asks:
            self._answer_one(ask.ask_id, chance)

    def _answer_one(self, ask_id: str, chance: random.Random) -> None:
        ask = self.record.asks[ask_id]
        if self.record.state.cancel is not None or ask.expires_at_ms <= self.clock.now():
            return
        option, values = ask.options[chance.random() < 0.3].id, None
        if ask.form is not None and option == ask.options[0].id:
            value = f"value {len(self.values)}"
            self.values[value] = ask_id
            values = canonical(dict.fromkeys(msgspec.json.decode(ask.form)["properties"], value))
        answer = run.AnswerAsk(
            ask_id=ask_id, subject_sha256=ask.subject_sha256, option_id=option, by="ada", values=values
        )
        self.say(f"  a person answers {ask.title!r} {ask_id[-6:]}: {option} {values or ''}")
        self.record.submit(answer)

    def _crash(self, chance: random.Random) -> None:
        server = self.server
        server.process.crash()
        self.crashed = True
        self.loop.call_later(chance.choice((0.1, 5, 60)), self._take_over, "dead")

    def _freeze(self, chance: random.Random) -> None:
        seconds = chance.choice((1, 20, 200))
        self.server.process.frozen_until = self.loop.time() + seconds
        if chance.random() < 0.6:
            self.crashed = True
            self.loop.call_later(seconds * chance.choice((0.3, 0.99)), self._take_over, "frozen")

    def _park(self, chance: random.Random) -> None:
        self._at_server(self.server.held.park)

    def _memory(self, chance: random.Random) -> None:
        work = self.server.work
        if work is not None and work._permissions.held_since is not None:
            self._at_server(work._permissions.park)

    def _at_server(self, act: Callable[[], None]) -> None:
        self.loop.call_soon(act, context=self.server.process.context.copy())

    def _away(self, chance: random.Random) -> None:
        self.record.away_until = self.loop.time() + chance.choice((1, 30, 400))

    def _cancel(self, chance: random.Random) -> None:
        if self.record.state.open:
            self.record.submit(run.CancelRun())

    def _wait(self, chance: random.Random) -> None:
        pass

    # The history

    async def play(self, steps: Sequence[Step]) -> None:
        self._create()
        for step in steps:
            if step.at > self.loop.time():
                await asyncio.sleep(step.at - self.loop.time())
            if self.record.ending is not None:
                return
            self.move(step)
        await self._finish()

    def _create(self) -> None:
        spec = replace(
            SPEC,
            agent=AgentPolicy(name="codex", permissions=PERMISSIONS),
            config=HarnessConfig(provider="openai", model="m", tools=("ask_user",)),
            policies=HarnessPolicies(timeout_ms=TIMEOUT_MS, retry_limit=1, budget_usd=0.0),
            asks=self.asks,
        )
        created = replace(
            CREATED, harness_profile_snapshot=spec, requested_by="", provider="openai", timeout_ms=TIMEOUT_MS
        )
        self.record.append(created)
        self._lease()

    async def _finish(self) -> None:
        """Let nothing fail any more. The run has to end."""
        self.faulty = False
        self.record.away_until = 0.0
        until = self.loop.time() + END_SECONDS
        while self.record.ending is None and self.loop.time() < until:
            await asyncio.sleep(self.chance.choice((1, 20, 100)))
            self.answer_all(self.chance)
            agent = self.agent
            if agent is None or agent.prompt is None or agent.finishing or agent.process.dead:
                continue
            if agent.process.frozen_until <= self.loop.time():
                agent.spawn(agent.finish(f"the answer {self.loop.time()}"))
                agent.finishing = True
        if self.record.ending is None:
            state = self.record.state
            self.fail("hangs", f"the run is {state.status}, {len(state.asks)} asks are open")
        await asyncio.sleep(5)

    # The judge

    def judge_end(self, server: Server, done: RunEnd) -> None:
        """Judge the end that an executor wants to record."""
        if self.record.state.executor != server.process.name or self.record.state.cancel is not None:
            return
        agent, now = self.agent, self.loop.time()
        match done.ending:
            case run.RunFailed(code="AGENT_SILENT"):
                if agent is not None and (agent.waits or agent.own_calls):
                    self.fail("silence", "an agent was ended as silent that waited, or worked")
                elif agent is not None and now - agent.last_sign < SILENCE_SECONDS - 1:
                    self.fail("silence", f"an agent was ended as silent after {now - agent.last_sign:.1f} s")
            case run.RunFailed(code="INTERNAL_ERROR" | "AGENT_BROKEN") if agent is None or agent.reason != "cancelled":
                self.fail("failed", done.ending.error_text or "")
            case run.RunCompleted():
                if agent is None or agent.reason != "end_turn":
                    self.fail("turn", f"the run completed, but the agent's turn ended as {agent and agent.reason!r}")
            case run.RunTimedOut() if self.record.state.asks:
                self.fail("timeout", "the run timed out while it asked a person")

    def _judge_words(self) -> None:
        events = [row.event for row in self.record.rows]
        said = [one for one in events if isinstance(one, run.TranscriptAppended) and one.role == "assistant"]
        words = "" if self.agent is None else self.agent.words
        if words not in "".join(one.content or "" for one in said):
            self.fail("turn", f"the agent said {words!r} last, which is not recorded")

    def judge(self) -> None:
        """Judge the whole record."""
        record, ending = self.record, self.record.ending
        if ending is None:
            return
        self.marks[f"end {getattr(ending, 'code', None) or ending.TYPE}"] += 1
        by_executor = not isinstance(ending, run.RunCancelled) or record.state.executor is not None
        if record.open_calls and by_executor and not isinstance(ending, run.RunCrashed):
            self.fail("unended", f"calls without a result: {record.open_calls}")
        for call, times in record.made.items():
            if times > self.made[call] and call[0] != "ask_user":
                self.fail("record", f"{call} was made {self.made[call]} times, and recorded {times} times")
        paid = Counter(row.event.cost_micro_usd for row in record.rows if isinstance(row.event, run.UsageRecorded))
        for cost, times in paid.items():
            if times > self.costs[cost or 0]:
                self.fail("usage", f"the cost {cost} was recorded {times} times")
        cancelled = isinstance(ending, run.RunCancelled)  # it ends with the first record after the request
        if not self.crashed and not cancelled and self.costs != paid:
            self.fail("usage", f"models took {sorted(self.costs)}, recorded are {sorted(map(str, paid))}")
        if isinstance(ending, run.RunCompleted):
            self._judge_outputs()
            self._judge_words()

    def _judge_outputs(self) -> None:
        """The results that the last process of the agent reported are recorded, each for its own call."""
        for agent, kind, raw, output in self.outputs:
            if agent is not self.agent:
                continue
            calls = [call for call, result in self.record.results.items() if result.content == output]
            made = [self.record.called[call] for call in calls if call in self.record.called]
            if [(one.kind, one.arguments) for one in made] != [(kind, raw)]:
                self.fail("output", f"{output!r} of {kind} {raw} is recorded for {made}")


def _short(event: Event) -> str:
    names = ("ask_id", "tool_call_id", "tool_name", "kind", "arguments", "content", "cause", "option_id", "refused")
    found = {name: getattr(event, name, None) for name in (*names, "token", "executor", "code", "error_text")}
    return " ".join(f"{name}={value}" for name, value in found.items() if value is not None)


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    """Play steps and judge them."""
    world = AgentWorld(seed, trace)
    AgentWorld.current = world
    _kept.append(world)
    world.loop.set_exception_handler(lambda _loop, _context: None)
    asyncio.set_event_loop(world.loop)
    try:
        world.loop.run_until_complete(world.play(steps))
    except Deadlock:
        world.fail("hangs", "nothing can ever happen")
    world.judge()
    rows = [(row.recorded_at, row.event) for row in world.record.rows]
    world.loop.let_go()
    gc.freeze()
    return Played(world.failures, digest_of(rows), len(steps), dict(world.marks))


simulate_threads()
REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (agent_run, "RunMcp", Mcp),
    (agent_process, "Child", SimpleNamespace(start=_start_agent)),
    (acp, "Peer", functools.partial(_peer)),
)
for module, name, value in REPLACED:
    setattr(module, name, value)
