"""A log with runs that ask, and the services that answer them."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from athena_core.clock import FixedClock, SystemIds
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.definitions.profile import HarnessConfig, ShellMatch, ShellPolicy, ShellRule, ToolPolicies
from athena_core.domain import DECIDERS, plane, policy, run
from athena_core.enums import AuthzMode
from athena_core.event import Event, Meta, Position
from athena_core.log.engine import open_store
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.roles import Roster
from athena_core.services.access.access import Access
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.asks.answers import AnswerBody, Answers
from athena_core.services.asks.expiry import expire
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.runs.admission import RunLease, apply_command
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun, run_facts
from athena_core.tools.approval import call_sha256
from athena_core.tools.toolbox import toolbox
from athena_core.values import Identity, Role
from tests.support.event_samples import CODEC
from tests.support.events.ask import OPTIONS, PUSH, SALT
from tests.support.events.run import CREATED, SPEC

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
FORM = '{"properties":{"branch":{"type":"string"},"force":{"type":"boolean"}},"required":["branch"],"type":"object"}'
SHELL = ShellPolicy(
    commands=(("git",),),
    approval="ask",
    rules=(ShellRule(match=ShellMatch(command=("git", "push", "--force")), approval="deny"),),
)
PROFILE = replace(
    SPEC,
    config=HarnessConfig(provider="mock", model="mock-model", tools=("shell", "ask_user")),
    tool_policies=ToolPolicies(shell=SHELL),
)
GRACE = Identity(subject="grace", role=Role.OPERATOR)
ADA = Identity(subject="ada", role=Role.VIEWER)
"""She started the runs."""


class Executor:
    """An executor with room for some runs, which remembers what it took up."""

    def __init__(self, runs_max: int) -> None:
        self.capacity = ExecutorCapacity("exe_1", 7, runs_max, frozenset({"mock"}))
        self.taken_up: list[str] = []

    def begin(self, prepared: PreparedRun, lease: RunLease, correlation: str) -> None:
        raise AssertionError("no run begins here")

    def take_up(self, run_id: str) -> None:
        self.taken_up.append(run_id)


class AskingPlane:
    """The log, and the services on it."""

    def __init__(self, path: Path, *, runs_max: int = 8, mode: AuthzMode = "enforce") -> None:
        ids, self.clock = SystemIds(), FixedClock()
        self.log = Log(open_store(path, None, ids), CODEC, DECIDERS, clock=self.clock, ids=ids)
        self.log.start()
        self.executor = Executor(runs_max)
        limits = RefusalLimits(self.log, self.clock, ids, 1000, 1000, 1000, {})
        roster = Roster(enabled=True, roles={}, default=Role.OPERATOR)
        roles = {"answerAsk": frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})}
        self.access = Access(self.log, roles, roster, limits, mode=mode)
        self.rules = PermissionRules(self.log)
        mask = Mask(("hunter2-secret",), shapes=False)
        self.answers = Answers(self.log, self.executor, self.access, lambda _: toolbox(), mask, ids)
        self.reader = self.log.reader()

    def close(self) -> None:
        self.reader.close()
        self.answers.close()
        self.rules.close()
        self.log.close()

    # What happens to runs

    async def record(self, run_id: str, session_id: str | None, *events: Event) -> Position:
        """Append events of a run as ada. Return the position of the last one."""
        outcome = Outcome(facts=run_facts(run_id, session_id, events))
        return (await self.log.submit(lambda reader, context: outcome, META)).position

    async def limit(self, runs: int) -> None:
        """Let this many runs be active at a time."""
        limits = policy.Policy(schema_version=1, max_concurrent_runs=runs)
        updated = policy.PolicyUpdated(schema_version=1, updated_at="", after=limits)
        outcome = Outcome(facts=facts_of(policy.STREAM, (updated,)))
        await self.log.submit(lambda reader, context: outcome, META)

    async def begin(self, run_id: str, session_id: str, **changes: Any) -> None:
        """Start a run of a named profile."""
        fields = {"harness_profile_snapshot": PROFILE, "profile_named": True, **changes}
        created = replace(CREATED, session_id=session_id, **fields)
        leased = run.RunLeased(executor="exe_1", token=1, attempt=1, pid=7)
        await self.record(run_id, session_id, created, leased, run.RunStarted(attempt=1))

    async def ask(self, run_id: str, session_id: str, ask_id: str = "ask_1", **changes: Any) -> Position:
        """Let a run ask for permission to push, within a minute. Return the position of the ask."""
        asked = run.RunAsked(
            ask_id=ask_id,
            kind="tool-permission",
            origin="loop",
            turn=1,
            chars=len(PUSH),
            options=OPTIONS,
            subject_sha256=call_sha256(SALT, "shell", PUSH),
            expires_at_ms=self.clock.now() + 60_000,
            on_expiry="deny",
            hold_until_ms=self.clock.now(),
            tool_call_id=f"call_{ask_id}",
            tool_name="shell",
            title="May the agent call shell?",
            arguments=PUSH,
            option_names=("Allow", "Deny"),
            subject_salt=SALT,
        )
        return await self.record(run_id, session_id, replace(asked, **changes))

    async def question(self, run_id: str, session_id: str, **changes: Any) -> Position:
        """Let a run ask for a branch."""
        answer = run.AskOption(id="answer", kind="allow_once"), run.AskOption(id="decline", kind="reject_once")
        fields = {"kind": "question", "tool_name": "ask_user", "options": answer, "form": FORM, "arguments": "{}"}
        return await self.ask(run_id, session_id, **{**fields, "title": "Which branch?", **changes})

    async def park(self, run_id: str, session_id: str) -> None:
        await self.record(run_id, session_id, run.RunPaused(reason="ask", elapsed_ms=10))

    async def parked(self, run_id: str = "run_1", session_id: str = "s", **changes: Any) -> Position:
        """Return the ask of a run that asked and was parked."""
        await self.begin(run_id, session_id)
        position = await self.ask(run_id, session_id, f"ask_{run_id}", **changes)
        await self.park(run_id, session_id)
        return position

    async def command(self, run_id: str, command: run.RunCommand) -> None:
        """Decide a command about a run, as its executor or a client would."""

        def decide(reader: Reader, context: Context) -> Outcome[Event | None]:
            return apply_command(reader, context, self.executor.capacity, run_id, command)

        await self.log.submit(decide, META)

    # What people do

    async def answer(
        self,
        position: Position,
        option: str | None = "allow",
        who: Identity = GRACE,
        key: Key | None = None,
        **body: Any,
    ) -> Committed:
        given = {"subject_hash": call_sha256(SALT, "shell", PUSH), "option_id": option, **body}
        return await self.answers.answer(position, AnswerBody(**given), who, META, key)

    async def expire(self, run_id: str = "run_1") -> None:
        await self.log.submit(lambda reader, context: expire(reader, context, self.executor.capacity, run_id), META)

    async def erase(self, position: Position) -> None:
        """Erase the text of an event."""
        erased = facts_of(plane.STREAM, (plane.PayloadRedacted(target=position, note="gone"),))
        await self.log.submit(lambda reader, context: Outcome(facts=erased, erase=(position,)), META)

    # What was recorded

    def recorded(self, stream: str) -> list[Event]:
        return [CODEC.decode(row).event for row in self.reader.stream(stream)]

    def types(self, stream: str = "run_1", after: str = run.RunPaused.TYPE) -> list[str]:
        """Return the types of a stream's events after its last one of a type."""
        types = [row.type for row in self.reader.stream(stream)]
        return types[len(types) - types[::-1].index(after) :]
