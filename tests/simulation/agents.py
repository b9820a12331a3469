"""The corner of outside agents: the real driver, permissions, endpoint and ledger with a scripted agent.

The agent, its servers and the record of its run are tasks of one loop. Executors crash and freeze, and another one
takes the run over. A history ends once the run does.
"""

import asyncio
import contextvars
import functools
import gc
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec.structs import replace

from athena_core.agents import acp
from athena_core.agents.homes import HomeInUse
from athena_core.definitions.profile import (
    AgentPolicy,
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
from athena_core.services.execution.lease_recorder import LeaseRecorder
from athena_core.services.execution.leased_run import LeasedRun, RunTime
from athena_core.services.execution.outside import agent_process, agent_run
from athena_core.services.execution.outside.agent_run import AgentParts, AgentRun
from athena_core.services.execution.performer import RunEnd, run_failed
from athena_core.services.execution.progress import assignment_of, open_asks
from athena_core.tools.tool import ServerAnswer
from tests.simulation.acp_agent import FORM, SimAgent, SimGateway, canonical
from tests.simulation.agent_judge import PERMISSIONS, SILENCE_SECONDS, AgentJudge
from tests.simulation.agent_parts import KNOWN, Completion, Mcp, Place
from tests.simulation.agent_record import ATTEMPTS_MAX, META, AgentWriter
from tests.simulation.histories import Played, Step, digest_of, swarm
from tests.simulation.loop import Deadlock, Process, simulate_threads
from tests.support.events.run import COMPLETED, CREATED, SPEC

BATCH = 200
"""How many histories one process plays."""
END_SECONDS = 40_000.0
"""How long a run may take after the last step. A person answers all asks by then."""
MASK = Mask(())
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
        self.held: LeasedRun | None = None
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
        time = RunTime(world.clock, held, world.timeout_ms, max(world.clock.now() - assignment.clock_from, 0))
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
                late = run.RunTimedOut(timeout_ms=world.timeout_ms)
                done = RunEnd(cut_off(), run.RunCancelled(cause="requested") if held.stopped else late)
            if done is not None:
                world.judge_end(self.process.name, done)
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
        held = self.held
        if held is None:  # it reads the record when it begins
            return
        for event in events:
            match event:
                case run.RunAnswered():
                    held.woken.happen()
                case run.RunCancelRequested():
                    held.stop()
                case run.RunLeased() if event.executor != self.process.name:
                    held.stop()
                case _ if isinstance(event, run.ENDINGS):
                    held.stop()


class AgentWorld(AgentJudge):
    """One run of an outside agent, its executors, its people, and the judge of what happens."""

    current: "AgentWorld | None" = None

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        super().__init__(seed, trace)
        self.record.heard = self._heard
        self.servers: list[Server] = []
        self.gateway: Any = None
        self.sessions: list[str] = []
        self.calls = 0
        self.faulty = True
        """False at the end, when nothing fails any more."""
        draw = random.Random(f"{seed}:settings")
        self.timeout_ms = draw.choice((1_800_000, 1_800_000, 1_800_000, 100_000))
        self.people_are_slow = draw.random() < 0.3
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

    def unhandled(self, _loop: Any, found: Mapping[str, Any]) -> None:
        """Report an error that nothing caught."""
        self.fail("unhandled", repr(found.get("exception") or found))

    async def _no_rule(self, *_: Any) -> None:
        return None

    # The plane around the run

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            self.marks[event.TYPE] += 1
            agent = self.agent
            ours = agent is not None and agent.process is self.server.process and not agent.process.dead
            if isinstance(event, run.RunPaused) and agent is not None and ours and not agent.exited.is_set():
                self.fail("parked", "a parked run has a living process")
            if isinstance(event, run.ToolCalled) and event.kind is not None and event.ask_id is not None and ours:
                self.own_begins(event)
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

    async def tool_effect(
        self, called: run.ToolCalled, tool: str, arguments: Mapping[str, Any], ask: Callable[..., Awaitable[Any]]
    ) -> ServerAnswer:
        """Be the server whose tool is called."""
        self.effect_begins(called, tool, arguments)
        if tool == "form":
            message = f"Which {arguments['n']}?"
            values = await ask(McpQuestion(message, FORM))
            if values is not None:
                self.answered(message, values["a"])
        await asyncio.sleep(self.chance.choice((0, 0.01, 1, 20)))
        return ServerAnswer(content=f"made {called.tool_call_id}")

    def hopes(self, agent: SimAgent) -> None:
        """Answer what the agent waits for at the end."""
        self._answer_at_last()

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

    def _answer_at_last(self) -> None:
        """Answer at the end: everything, or now and then the oldest ask."""
        if not self.people_are_slow:
            self.answer_all(self.chance)
        elif self.record.state.asks and self.chance.random() < 0.3:
            self._answer_one(self.record.state.asks[0].ask_id, self.chance)

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
        if self.server.held is not None:
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
            policies=HarnessPolicies(timeout_ms=self.timeout_ms, retry_limit=1, budget_usd=0.0),
            asks=self.asks,
        )
        created = replace(
            CREATED, harness_profile_snapshot=spec, requested_by="", provider="openai", timeout_ms=self.timeout_ms
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
            self._answer_at_last()
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


def _short(event: Event) -> str:
    names = ("ask_id", "tool_call_id", "tool_name", "kind", "arguments", "content", "cause", "option_id", "refused")
    found = {name: getattr(event, name, None) for name in (*names, "token", "executor", "code", "error_text")}
    return " ".join(f"{name}={value}" for name, value in found.items() if value is not None)


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    """Play steps and judge them."""
    world = AgentWorld(seed, trace)
    AgentWorld.current = world
    _kept.append(world)
    world.loop.set_exception_handler(world.unhandled)
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
