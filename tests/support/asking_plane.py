"""A plane in memory whose agents ask people: the real agent and transactions, in a made-up order.

Executors are stepped by hand. Each stops at every point where a process may end: before the model's answer, before the
effect of a tool, before a commit, and while it waits for an answer.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace, coroutine
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from athena_core.decider import Context, Outcome
from athena_core.definitions.profile import (
    AskPolicy,
    HarnessConfig,
    HarnessPolicies,
    HarnessSpec,
    ShellMatch,
    ShellPolicy,
    ShellRule,
    ToolPolicies,
)
from athena_core.domain import DECIDERS, halt, policy, run
from athena_core.domain.halt import HaltBody
from athena_core.domain.permission_rule import RULE_GUARD
from athena_core.enums import RuleScope
from athena_core.errors import AthenaError, LeaseLost
from athena_core.event import Fact, Meta, Position, Recorded
from athena_core.mask import Mask
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.protocols import Row
from athena_core.providers.prices import CallCost
from athena_core.providers.provider import ModelCompletion
from athena_core.services.asks.answers import AnswerBody, Answers
from athena_core.services.asks.expiry import expire
from athena_core.services.asks.raising import park, raise_asks
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.execution.agent import Agent
from athena_core.services.execution.mcp.run_mcp import McpParts
from athena_core.services.execution.model_call import ModelAnswer
from athena_core.services.execution.performer import RunEnd
from athena_core.services.execution.progress import RunAssignment, assignment_of
from athena_core.services.execution.requested_calls import has_asks
from athena_core.services.halts import Halts
from athena_core.services.proof.rules import Rules
from athena_core.services.runs import admission
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.services.sandboxes import RunSandboxes
from athena_core.services.workspaces.workspaces import RunWorkspace
from athena_core.tools.tool import Tool, ToolResult
from athena_core.tools.toolbox import ToolRegistry, toolbox
from athena_core.tools.workspace import Workspace
from athena_core.values import LOCAL, RunBody, ToolCall, Usage
from tests.core.services.prepared_run import prepared
from tests.support.events.run import COMPLETED
from tests.support.simulated_plane import CODEC, World

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
TOOLBOX = toolbox()
SHELL = ShellPolicy(
    commands=(("git",), ("echo",), ("rm",)),
    rules=(
        ShellRule(match=ShellMatch(command=("git", "push")), approval="ask"),
        ShellRule(match=ShellMatch(command=("rm",)), approval="deny"),
    ),
)
PUSH, PUSH_TAGS = ("shell", {"command": ["git", "push"]}), ("shell", {"command": ["git", "push", "--tags"]})
ECHO, REMOVE = ("shell", {"command": ["echo", "hi"]}), ("shell", {"command": ["rm", "all"]})
QUESTION = ("ask_user", {"question": "Which branch?"})
CHOICE = ("ask_user", {"question": "Which one?", "options": ["main", "next"]})
TURNS = (
    (),
    (PUSH,),
    (PUSH, ECHO, QUESTION),
    (REMOVE, PUSH),
    (PUSH, PUSH_TAGS),
    (CHOICE,),
    (ECHO, PUSH, PUSH),
    (ECHO,),
)
"""What the model does in a turn: calls, or an answer."""

DRY = {"command": ["git", "push", "--dry-run"]}
T = TypeVar("T")
META = Meta(actor="ada", correlation="trace")


def spec(hold_ms: int, on_expiry: str) -> HarnessSpec:
    return HarnessSpec(
        display_name="Asks",
        version="v1",
        config=HarnessConfig(provider="mock", model="mock-model", tools=("shell", "ask_user")),
        policies=HarnessPolicies(timeout_ms=10 * MINUTE, retry_limit=1, budget_usd=0.0, max_turns=6),
        tool_policies=ToolPolicies(shell=SHELL),
        asks=AskPolicy(hold_ms=hold_ms, expires_after_ms=10 * MINUTE, on_expiry=cast(Any, on_expiry)),
    )


PROFILES = (spec(0, "deny"), spec(MINUTE, "deny"), spec(MINUTE, "cancel"))


@coroutine
def reached(point: str) -> Generator[str, None, None]:
    """Stop an executor at a point where its process may end."""
    yield point


class AskingWorld(World):
    """The plane in memory. Every commit is verified, and its guards are compared with the states."""

    def __init__(self, limits: policy.Policy) -> None:
        self.rules = Rules()
        self.recorded: dict[str, list[Recorded[Any]]] = defaultdict(list)
        self.open_calls: dict[str, list[run.ToolCalled]] = defaultdict(list)
        self.asked: dict[str, Position] = {}
        super().__init__(limits, 2)

    def _append(self, facts: tuple[Fact, ...]) -> None:
        before = len(self.rows)
        for decider in DECIDERS:
            if decider.check is not None:
                decider.check(self.guards, facts)
        super()._append(facts)
        for row in self.rows[before:]:
            recorded = CODEC.decode(row)
            found = self.rules.look(row, recorded.event)
            assert not found, (row.position, row.type, found)
            self.recorded[row.stream].append(recorded)
            calls = self.open_calls[row.stream]
            match recorded.event:
                case run.RunAsked(ask_id=ask_id):
                    self.asked[ask_id] = row.position
                case run.ToolCalled():
                    self.check_halt(row.stream, recorded.event)
                    calls.append(recorded.event)
                case run.TranscriptAppended(kind="tool-result", tool_call_id=done):
                    self.open_calls[row.stream] = [call for call in calls if call.tool_call_id != done]
        for stream in {fact.stream for fact in facts if fact.stream.startswith("run_")}:
            self.check_guards(stream)

    def check_halt(self, run_id: str, called: run.ToolCalled) -> None:
        """Fail if a call begins in a halt whose permission came in it."""
        for position, *_ in self.guards(halt.HALT).values():
            for recorded in self.recorded[run_id]:
                answer = recorded.event
                if isinstance(answer, run.RunAnswered) and called.ask_id == answer.ask_id:
                    assert recorded.position < int(position), f"{called} was allowed and made during the halt"

    def check_guards(self, run_id: str) -> None:
        """Fail unless the guards of a run are what its state says."""
        state = self.state(run.DECIDER, run_id)
        has = {kind: run_id in self.guards(kind) for kind in ("slot", "lease", "waiting")}
        waits = state.status == "queued" or state.requeued
        due = {"slot": state.status == "running", "lease": state.executor is not None, "waiting": waits}
        assert has == due, (run_id, has, due)
        asks = {key for key, (holder, _) in self.guards("ask").items() if holder == run_id}
        assert asks == {ask.ask_id for ask in state.asks}, (run_id, asks)
        assert state.open or not asks
        turns = [session for session, (holder,) in self.guards("turn").items() if holder == run_id]
        assert bool(turns) == (state.status in {"running", "paused"}), (run_id, turns, state.status)


class MemoryLog:
    """The log as services see it. Nothing in it waits."""

    codec = CODEC

    def __init__(self, world: "AskingWorld") -> None:
        self._world = world

    async def submit(self, transaction: Any, meta: Any, key: Any = None, **_: Any) -> Any:
        return SimpleNamespace(answer=self._world.submit(transaction), replayed=False)

    def reader(self) -> "MemoryLog":
        return self

    def row(self, position: Position) -> Row:
        return self._world.rows[position - 1]

    def stream(self, stream: str, after: int = 0, limit: int = 2**62) -> list[Row]:
        return [self._world.rows[recorded.position - 1] for recorded in self._world.recorded[stream]][after:][:limit]


def settled(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast(T, stop.value)
    raise AssertionError("it waits")


class Tools:
    """The tools of one run at one executor: the real ones, but for the effect of a call."""

    def __init__(self, plane: "AskingPlane", run_id: str) -> None:
        self._plane = plane
        self._run_id = run_id
        self.names, self.specs = TOOLBOX.names, TOOLBOX.specs

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        tool, read = TOOLBOX.read(name, arguments, names)
        return cast(Tool, Effect(tool, self._plane, self._run_id)), read


class Effect:
    """A tool whose calls are only counted."""

    def __init__(self, tool: Tool, plane: "AskingPlane", run_id: str) -> None:
        self.spec, self.repeatable = tool.spec, tool.repeatable
        self._plane = plane
        self._run_id = run_id

    async def call(self, arguments: Mapping[str, Any], bench: Any) -> ToolResult:
        calls = self._plane.world.open_calls[self._run_id]
        asked = [call for call in calls if msgspec.json.decode(call.arguments or "{}") == arguments]
        assert asked, f"{self._run_id} runs {arguments}, which is not recorded"
        await reached("effect")
        call = asked[0]
        assert call.refused is None
        self._plane.effects[self._run_id, call.tool_call_id] += 1
        assert self._plane.effects[self._run_id, call.tool_call_id] == 1, f"{call} of {self._run_id} ran twice"
        await reached("effect done")
        return ToolResult(content="done")


def without_servers(tools: ToolRegistry) -> McpParts:
    """Return the parts of an agent without MCP servers."""
    none = cast(Any, None)
    return McpParts(tools, RegisteredMcpServers(), none, none, none, none, Mask(()), none, none, None)


class Asker:
    """The model: its next turn is the one that was picked when it is stepped."""

    def __init__(self, plane: "AskingPlane") -> None:
        self._plane = plane

    async def ask(self, *_: Any, **__: Any) -> ModelAnswer:
        await reached("model")
        plane = self._plane
        plane.calls += 1
        calls = tuple(
            ToolCall(id=f"call_{plane.calls}_{number}", name=name, arguments=msgspec.json.encode(arguments).decode())
            for number, (name, arguments) in enumerate(TURNS[plane.pick % len(TURNS)])
        )
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return ModelAnswer(
            completion=ModelCompletion(text="" if calls else "done", usage=usage, reason="stop", calls=calls),
            paid=CallCost(
                provider="mock",
                model="mock-model",
                usage=usage,
                estimated=False,
                cost_micro_usd=0,
                unpriced=False,
                price_version=None,
                request_id=None,
            ),
            attempts=1,
            hops=0,
            latency_ms=1,
            cut=False,
        )


class Compiler:
    """A compiler without a context."""

    chars_max = 100_000

    def compile(self, *_: Any) -> Any:
        return (), COMPLETED.context_meta


class SharedWorkspace:
    """Workspaces of runs that all work in the shared one."""

    shared = Workspace(Path())

    async def open(self, *_: Any) -> RunWorkspace:
        return RunWorkspace(self.shared)


class Recorder:
    """The record of one run under one lease, as ``LeaseRecorder`` keeps it. A commit is a point to stop at."""

    def __init__(self, executor: "Executor", assignment: RunAssignment) -> None:
        self._executor = executor
        self._world = executor.plane.world
        self._assignment = assignment

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        await reached("commit")
        command = run.RecordStep(token=self._assignment.token, steps=steps)
        if not has_asks(steps):
            return admission.still_open(self.apply(command))
        run_id, capacity = self._assignment.run_id, self._executor.capacity
        last = self._world.submit(lambda reader, context: raise_asks(reader, context, capacity, run_id, command))
        return admission.still_open(last)

    async def reserve(self, wanted: Any, *, patient: bool = True) -> int | None:
        return None

    async def commit(self, transaction: Any) -> Any:
        raise NotImplementedError

    async def pause(self, reached_: run.DayReached | None, last: tuple[run.RunStep, ...]) -> bool:
        await reached("commit")
        return admission.still_open(
            self.apply(run.PauseRun(token=self._assignment.token, elapsed_ms=1, reached=reached_, last=last))
        )

    async def answers(
        self, asks: frozenset[str], hold_until_ms: int, last: Callable[[], Awaitable[tuple[run.RunStep, ...]]]
    ) -> tuple[run.RunAnswered, ...]:
        while not self._answered(asks) and not self._executor.leaving and self._world.now < hold_until_ms:
            await reached("answer")
        found = self._answered(asks)
        if not found or self._world.guards(halt.HALT):
            await reached("commit")
            pause = run.PauseRun(token=self._assignment.token, elapsed_ms=1, asking=True, last=await last())
            run_id, capacity = self._assignment.run_id, self._executor.capacity
            if admission.still_open(
                self._world.submit(lambda reader, context: park(reader, context, capacity, run_id, pause))
            ):
                return ()
            found = self._answered(asks)
        return found

    def _answered(self, asks: frozenset[str]) -> tuple[run.RunAnswered, ...]:
        events = (recorded.event for recorded in self._world.recorded[self._assignment.run_id])
        answers = (event for event in events if isinstance(event, run.RunAnswered))
        return tuple(event for event in answers if event.ask_id in asks and event.cause != "run-ended")

    def apply(self, command: run.RunCommand) -> Any:
        run_id, capacity = self._assignment.run_id, self._executor.capacity
        return self._world.submit(
            lambda reader, context: admission.apply_command(reader, context, capacity, run_id, command)
        )


class Executor:
    """A process that executes runs, one step at a time."""

    def __init__(self, plane: "AskingPlane", number: int) -> None:
        self.plane = plane
        self.capacity = ExecutorCapacity(f"exe_{number}", number, 2, frozenset({"mock"}))
        self.leaving = False
        self._held: dict[str, tuple[Coroutine[Any, Any, RunEnd | None], Recorder]] = {}
        self.points: dict[str, str] = {}

    def begin(self, run_id: str) -> None:
        """Execute a run that this process leased."""
        if run_id in self._held:  # under an older lease
            self.drop(run_id)
        assignment = assignment_of(self.plane.world.recorded[run_id])
        assert assignment is not None
        recorder = Recorder(self, assignment)
        agent = Agent(
            cast(Any, Compiler()),
            cast(Any, Asker(self.plane)),
            {},
            cast(Any, SharedWorkspace()),
            self.plane.world._ids,
            cast(Any, self.plane),
            Mask(()),
            rules=self.plane.permission_rules,
            sandboxes=RunSandboxes(required=False),
            mcp=without_servers(Tools(self.plane, run_id)),
        )
        self._held[run_id] = agent.work(assignment, recorder), recorder
        self.points[run_id] = "begin"

    def step(self, run_id: str) -> None:
        """Let a run go on until its next point."""
        work, recorder = self._held[run_id]
        try:
            self.points[run_id] = work.send(None)
        except StopIteration as stop:
            self.drop(run_id)
            if stop.value is not None:
                self._end(recorder, stop.value)
        except LeaseLost:
            self.drop(run_id)

    def _end(self, recorder: Recorder, end: RunEnd) -> None:
        with suppress(LeaseLost):
            recorder.apply(run.EndRun(token=recorder._assignment.token, last=end.last, ending=end.ending))

    def drop(self, run_id: str) -> None:
        """Forget a run."""
        work, _ = self._held.pop(run_id)
        del self.points[run_id]
        work.close()

    def stop(self, run_id: str, ending: Any) -> None:
        """Stop a run and end it, as its runner does at its timeout or after a cancel."""
        _, recorder = self._held[run_id]
        self.drop(run_id)
        self._end(recorder, RunEnd((), ending))


class AskingPlane:
    """The events in the life of runs that ask. Each move picks its subject among the possible ones."""

    def __init__(self) -> None:
        self.world = AskingWorld(policy.Policy(schema_version=1, max_concurrent_runs=2, max_run_attempts=4))
        self.executors = [Executor(self, number) for number in (1, 2)]
        self.effects: Counter[tuple[str, str]] = Counter()
        self.calls = self.runs = 0
        self.pick = 0
        self.refusals: Counter[str] = Counter()
        log = cast(Any, MemoryLog(self.world))
        self.permission_rules = PermissionRules(log)
        access = cast(Any, SimpleNamespace(roster=SimpleNamespace(enabled=False)))
        self.halts = Halts(log, log, cast(Any, self))
        self.answers = Answers(log, cast(Any, self), access, lambda _: TOOLBOX, Mask(()), self.world._ids)

    @property
    def capacity(self) -> ExecutorCapacity:
        """The executor of the server that gets the answers."""
        return self.executors[self.pick % 2].capacity

    def take_up(self, run_id: str) -> None:
        """Execute a run if the last commit leased it."""
        lease = self.world.guards("lease").get(run_id)
        last = CODEC.decode(self.world.rows[-1])
        if lease is not None and last.stream == run_id and isinstance(last.event, run.RunStarted):
            self._executor(str(lease[0])).begin(run_id)

    def now(self) -> int:
        """Return the time, as a clock does."""
        return self.world.now

    # Moves

    def start(self, pick: int) -> None:
        """Request a run of one of three profiles in one of four sessions."""
        self.runs += 1
        number, capacity = self.runs, self.executors[pick % 2].capacity if pick % 3 else ExecutorCapacity()
        asked = prepared(
            f"run_{number}",
            RunBody(
                input="hi",
                harness_profile_id=f"hp_{pick % 3}",
                session_strategy=cast(Any, ("enqueue", "interrupt", "reject")[pick // 4 % 3]),
            ),
            profile=PROFILES[pick % 3],
            session_id=f"s{pick % 4}",
            directive_id=f"dir_{number}",
            capacity=capacity,
            patient=pick % 5 == 0,
        )
        admitted = self._submit(lambda reader, context: _admitted(admission.admit(reader, context, asked)))
        if admitted is not None and admitted.lease is not None:
            self._executor(capacity.executor).begin(asked.run_id)

    def claim(self, pick: int) -> None:
        """Let an executor lease admitted runs."""
        executor = self.executors[pick % 2]
        said = {run_id: "hi" for run_id in self.world.guards("slot")}
        taken = self._submit(lambda reader, context: admission.claim(reader, context, executor.capacity, said))
        for run_id in taken or ():
            executor.begin(run_id)

    def step(self, pick: int) -> None:
        """Let a run go on, three points far."""
        self.pick = pick // 8
        for _ in range(3):
            running = [(executor, run_id) for executor in self.executors for run_id in executor.points]
            if running:
                executor, run_id = running[pick % len(running)]
                executor.step(run_id)

    def answer(self, pick: int) -> None:
        """Answer an ask: allow it, for once or for longer, deny it, or allow another call instead."""
        self._answer(pick)

    def answer_wrongly(self, pick: int) -> None:
        """Answer an ask with another hash, or with no option of it."""
        wrong = {"subject_hash": "00" * 32} if pick % 2 else {"option_id": "yes"}
        assert not self._answer(pick, **wrong)

    def answer_again(self, pick: int) -> None:
        """Answer an ask that was decided before."""
        decided = [ask_id for ask_id in self.world.asked if ask_id not in self.world.guards("ask")]
        if decided:
            position = self.world.asked[decided[pick % len(decided)]]
            asked = CODEC.decode(self.world.rows[position - 1]).event
            assert isinstance(asked, run.RunAsked)
            option = asked.options[-1].id
            assert not self._answer_at(position, AnswerBody(subject_hash=asked.subject_sha256, option_id=option))

    def expire(self, pick: int) -> None:
        """Let the expiry of asks and of permission rules be noticed."""
        now, capacity = self.world.now, self.capacity
        for run_id in sorted({str(holder) for holder, at in self.world.guards("ask").values() if int(at) <= now}):
            self._submit(partial(expire, capacity=capacity, run_id=run_id))
            self.take_up(run_id)
        for rule_id in [key for key, (_, _, at) in self.world.guards(RULE_GUARD).items() if int(at) <= now]:
            settled(self.permission_rules.expire(rule_id, META))

    def halt(self, pick: int) -> None:
        """Halt all work, sometimes with what runs."""
        body = HaltBody(reason="enough", cancel_running=pick % 4 == 0)
        settled(self.halts.start(body, LOCAL, META, None))

    def lift(self, pick: int) -> None:
        """Lift the halt, if there is one."""
        settled(self.halts.lift(LOCAL, META, None))

    def revoke(self, pick: int) -> None:
        """Revoke a permission rule."""
        rule_ids = list(self.world.guards(RULE_GUARD))
        if rule_ids:
            settled(self.permission_rules.revoke(rule_ids[pick % len(rule_ids)], "ada", META, None))

    def cancel(self, pick: int) -> None:
        """Cancel a run that is open."""
        runs = self._open()
        if runs:
            run_id, capacity = runs[pick % len(runs)], self.executors[0].capacity
            command = run.CancelRun(by_run=run_id)
            self._submit(lambda reader, context: admission.cancel(reader, context, capacity, run_id, command))

    def obey(self, pick: int) -> None:
        """Let an executor notice the cancel of its run."""
        for executor in self.executors:
            for run_id in list(executor.points):
                if self.world.state(run.DECIDER, run_id).cancel is not None:
                    executor.stop(run_id, run.RunCancelled(cause="requested"))

    def time_out(self, pick: int) -> None:
        """Let the time of a run be over. It stands while a person is asked."""
        running = [(executor, run_id) for executor in self.executors for run_id in executor.points]
        if running:
            executor, run_id = running[pick % len(running)]
            if self.world.state(run.DECIDER, run_id).asks:
                _, recorder = executor._held[run_id]
                late = run.EndRun(token=recorder._assignment.token, last=(), ending=run.RunTimedOut(timeout_ms=1))
                with_cancel = self.world.state(run.DECIDER, run_id).cancel is not None
                with suppress(LeaseLost):
                    assert recorder.apply(late) is None or with_cancel
            elif executor.points[run_id] != "commit":  # before a commit that asks, its time stands already
                executor.stop(run_id, run.RunTimedOut(timeout_ms=1))

    def crash(self, pick: int) -> None:
        """Kill an executor. The other one takes its runs over, one of them at once."""
        executor = self.executors[pick % 2]
        for run_id in list(executor.points):
            executor.drop(run_id)
        self.take_over(pick)

    def take_over(self, pick: int) -> None:
        """Take a run over that its executor does not execute (it was killed), or that it does (it is frozen)."""
        leases = sorted(self.world.guards("lease").items())
        if not leases:
            return
        run_id, (holder, token) = leases[pick % len(leases)]
        lost = run_id not in self._executor(str(holder)).points
        if not lost and pick % 4:
            return
        # an executor under its old id is another process after a crash: it may take over what it had
        other = (
            self.executors[pick % 2] if lost else next(one for one in self.executors if one.capacity.executor != holder)
        )
        if run_id in other.points:
            other.drop(run_id)
        last = self._submit(
            lambda reader, context: admission.take_over(
                reader, context, other.capacity, run_id, int(token), "dead" if lost else "frozen"
            )
        )
        if last is not None and admission.still_open(last):
            other.begin(run_id)

    def leave(self, pick: int) -> None:
        """Let an executor shut down in order, or start again: it parks what waits for a person."""
        self.executors[pick % 2].leaving = not self.executors[pick % 2].leaving

    def limit(self, pick: int) -> None:
        """Change how many runs may be active."""
        after = policy.Policy(schema_version=1, max_concurrent_runs=1 + pick % 2, max_run_attempts=4)

        def put(reader: Any, context: Context) -> Outcome[Any]:
            before = reader.state(policy.DECIDER, policy.STREAM).policy
            event = policy.PolicyUpdated(schema_version=1, updated_at="", before=before, after=after)
            transaction = RunTransaction(reader, context, ExecutorCapacity())
            transaction.add((Fact(stream=policy.STREAM, event=event),))
            transaction.admit_waiting(policy.evolve(reader.state(policy.DECIDER, policy.STREAM), event))
            return Outcome(facts=tuple(transaction.facts))

        self._submit(put)

    def tick(self, pick: int) -> None:
        """Let time pass, rarely backwards: another server has another clock."""
        self.world.now += (SECOND, 30 * SECOND, 2 * MINUTE, SECOND, 30 * SECOND, 11 * MINUTE, -SECOND)[pick % 7]

    # Transactions

    def _answer(self, pick: int, **more: Any) -> bool:
        """Answer an open ask by one of its options. Return True if that was recorded."""
        asks = list(self.world.guards("ask").items())
        if not asks:
            return False
        ask_id, (run_id, _) = asks[pick % len(asks)]
        ask = next(ask for ask in self.world.state(run.DECIDER, str(run_id)).asks if ask.ask_id == ask_id)
        option = ask.options[(pick // 3 % (len(ask.options) + 2)) % len(ask.options)]
        allows, permits = option.kind == "allow_once", ask.kind == "tool-permission"
        values = {"answer": "main"} if ask.kind == "question" and allows else None
        body = AnswerBody(subject_hash=ask.subject_sha256, option_id=option.id, values=values)
        if allows and permits and pick % 4 == 0:
            body = replace(body, edited_arguments=DRY)
        elif allows and permits and pick % 4 < 3:
            scopes: tuple[RuleScope, ...] = ("run", "session", "profile")
            scope = scopes[pick // 4 % 3]
            body = replace(body, remember=scope, remember_for_ms=(SECOND, 5 * MINUTE)[pick % 2])
        return self._answer_at(self.world.asked[ask_id], replace(body, **more))

    def _answer_at(self, position: Position, body: AnswerBody) -> bool:
        """Return True if an answer was recorded."""
        before = self.world.head
        try:
            settled(self.answers.answer(position, body, LOCAL, META, None))
        except AthenaError as error:
            self.refusals[error.code] += 1
            assert self.world.head == before
            return False
        return True

    def _submit(self, transaction: Callable[[Any, Context], Outcome[Any]]) -> Any:
        """Return the answer of a transaction, None if it was refused."""
        try:
            return self.world.submit(transaction)
        except AthenaError as error:
            self.refusals[error.code] += 1
            return None

    def _executor(self, name: str) -> Executor:
        return next(executor for executor in self.executors if executor.capacity.executor == name)

    def _open(self) -> list[str]:
        return [
            run_id
            for run_id in self.world.recorded
            if run_id.startswith("run_") and self.world.state(run.DECIDER, run_id).open
        ]

    # The end

    def finish(self) -> None:
        """Fail unless every open run can still end."""
        for executor in self.executors:
            executor.leaving = False
        self.limit(1)
        self.lift(0)
        for round_ in range(400):
            if not self._open():
                break
            self.claim(round_)
            self.take_over(round_)
            self.step(8 * round_ + round_ % 8)  # the model answers
            self.obey(0)
            self.world.now += MINUTE
            self.expire(round_)
        for executor in self.executors:
            for run_id in list(executor.points):
                executor.drop(run_id)
        assert not self._open(), {run_id: self.world.state(run.DECIDER, run_id) for run_id in self._open()}
        for kind in ("ask", "slot", "lease", "waiting", "turn", "reserved", "child"):
            assert not self.world.guards(kind), kind
        for rule_set in self.world.rules.rule_sets:
            assert not list(rule_set.finish())


def _admitted(admitted: admission.Admission) -> Outcome[admission.Admission]:
    return Outcome(facts=admitted.facts, answer=admitted)
