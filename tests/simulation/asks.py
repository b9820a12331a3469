"""The corner of asks: the real services of answers, rules, expiry and halts on a log, with callers of each role."""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from athena_core.decider import Key
from athena_core.definitions.profile import AskPolicy, SandboxPolicy
from athena_core.domain import run
from athena_core.domain.halt import HaltBody
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.enums import RuleScope
from athena_core.errors import AthenaError
from athena_core.event import Meta, Position
from athena_core.mask import Mask
from athena_core.outside_text import HiddenSpan
from athena_core.roles import Roster
from athena_core.services.access.access import Access
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.asks.answers import AnswerBody, Answers
from athena_core.services.asks.expiry import AskExpiry
from athena_core.services.asks.raising import park, raise_asks
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.halts import Halts
from athena_core.services.runs.admission import apply_command, cancel
from athena_core.tools.approval import call_sha256, question_sha256
from athena_core.tools.toolbox import toolbox
from athena_core.values import Identity, Role, Scope
from tests.core.services.asks.plane import FORM, PROFILE, AskingPlane, Executor
from tests.simulation.asks_judge import AskJudge, Request, may_answer
from tests.simulation.histories import Played, Step, swarm
from tests.simulation.small_log import SmallWorld
from tests.support.events.ask import DRY, OPTIONS, PUSH, SALT
from tests.support.events.run import COMPLETED, CREATED

BATCH = 200
MOVES = {
    "begin": 2, "permission": 10, "question": 3, "hidden": 1.5, "answer": 16, "twice": 3, "again": 2, "keyed": 2,
    "open": 2, "ruled": 6, "revoke": 1, "halt": 0.7, "lift": 1.5, "park": 3, "cancel": 0.5, "end": 1, "wait": 1,
}  # fmt: skip
PEOPLE = {
    "root": Identity(subject="root", role=Role.ADMIN),
    "grace": Identity(subject="grace", role=Role.OPERATOR),
    "olga": Identity(subject="olga", role=Role.OPERATOR, scope=Scope(sessions=frozenset({"s"}))),
    "otto": Identity(subject="otto", role=Role.OPERATOR, scope=Scope(runs=frozenset({"run_1"}))),
    "ada": Identity(subject="ada", role=Role.OPERATOR),
    "ada, once a Viewer": Identity(subject="ada", role=Role.VIEWER),
    "ada, locked out": Identity(subject="ada", role=Role.NONE),
    "vic": Identity(subject="vic", role=Role.VIEWER),
    "nemo": Identity(subject="nemo", role=Role.NONE),
}
ARGUMENTS = (PUSH, PUSH, PUSH, DRY)
POLICIES = (
    *[AskPolicy()] * 5, AskPolicy(role="Admin"), *[AskPolicy(not_requester=True)] * 2,
    AskPolicy(approvers=("grace", "olga")), AskPolicy(approvers=("vic", "ada")),
)  # fmt: skip
BOXES = (None, None, None, SandboxPolicy(mode="required"))
REQUESTERS = (("ada",), ("grace",))
SCOPES: tuple[RuleScope, ...] = ("run", "session", "profile", "profile")
REMEMBERED_FOR = (None, None, 2_000, 60_000)
SECONDS_MAX = 40.0
"""The time after which an ask or a rule that expired must have ended."""
OUTSIDE = contextvars.Context()
TOOLBOX = toolbox()


def plan(seed: str) -> list[Step]:
    return swarm(seed, MOVES, random.Random(f"{seed}:size").choice((4, 8, 12, 16)), (0.03, 0.1, 0.3, 1))


class OpenRun(NamedTuple):
    """A run of the history, with its request."""

    run_id: str
    session: str
    request: run.RunCreated


class AskWorld(SmallWorld, AskingPlane):
    """One log with its services, the runs that ask, and the callers."""

    clock: Any

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        SmallWorld.__init__(self, seed, trace)
        ids = self.ids
        self.executor = Executor(2)
        limits = RefusalLimits(self.log, self.clock, ids, 1000, 1000, 1000, {})
        roster = Roster(enabled=True, roles={}, default=Role.OPERATOR)
        self.access = Access(
            self.log, {"answerAsk": frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})}, roster, limits
        )
        self.rules = PermissionRules(self.log)
        self.answers = Answers(self.log, self.executor, self.access, lambda _: TOOLBOX, Mask(()), ids)
        self.expiry = AskExpiry(self.log, self.rules, self.executor, self.clock, ids)
        self.reader = self.log.reader()
        self.halts = Halts(self.log, self.reader, self.executor)
        self.judge = AskJudge(self.say)
        self.runs: list[OpenRun] = []
        self.asked: list[tuple[Position, OpenRun, run.RunAsked]] = []
        self.raised: dict[str, tuple[OpenRun, run.RunAsked]] = {}
        self.rules_made: list[PermissionRuleCreated] = []
        chance = random.Random(f"{seed}:world")
        self._likely = chance.choice(POLICIES), chance.choice(BOXES)
        """The profile of most runs."""
        self._seen: Position = 0
        self._numbers = 0

    # The log and the reactor of expiry

    def follow(self) -> None:
        """Take in what was committed. Each deadline is looked at a little after it."""
        for row in self.reader.rows(self._seen, 1_000):
            event = self.log.codec.decode(row).event
            self._seen = row.position
            self.marks[f"{row.type} {getattr(event, 'cause', '')}".strip()] += 1
            if self.traces:
                self.say(f"  {row.position} {row.type} {row.stream} {_short(event)}")
            self.judge.look(row, event)
            if isinstance(event, run.RunAsked):
                self.asked.append((row.position, *self.raised[event.ask_id]))
            at = getattr(event, "expires_at_ms", None)
            if row.type in self.expiry.types and at is not None:
                delay = (at - self.clock.now()) / 1000 + self.loop.chance.choice((0.0, 0.001, 1.0, 20.0))
                self.loop.call_later(max(delay, 0.0), self._expire, row.stream, context=OUTSIDE)
            if isinstance(event, PermissionRuleCreated):
                self.rules_made.append(event)

    def _expire(self, stream: str) -> None:
        self.spawn(self._act(stream))

    async def _act(self, stream: str) -> None:
        await self.expiry.act(stream)
        self.follow()

    # The moves

    def move(self, step: Step) -> None:
        self.say(f"{step.number} {step.name}")
        self.spawn(self._moved(getattr(self, f"_{step.name}"), step.chance))

    async def _moved(self, move: Callable[[random.Random], Coroutine[Any, Any, None]], chance: random.Random) -> None:
        with suppress(AthenaError):
            await move(chance)
        self.follow()

    def _a_run(self, chance: random.Random) -> OpenRun | None:
        return chance.choice(self.runs) if self.runs else None

    async def _begin(self, chance: random.Random) -> None:
        if len(self.runs) == 4:
            return
        policy, box = self._likely if chance.random() < 0.7 else (chance.choice(POLICIES), chance.choice(BOXES))
        named = chance.random() < 0.8
        number = len(self.runs) + 1
        found = OpenRun(f"run_{number}", chance.choice("st") if number < 3 else f"s{number}", CREATED)
        if any(one.session == found.session for one in self.runs):
            found = found._replace(session=f"u{number}")
        profile = replace(PROFILE, asks=policy, sandbox=box)
        fields = {
            "harness_profile_id": chance.choice(("hp_1", "hp_1", "hp_1", "hp_2")),
            "requesters": chance.choice(REQUESTERS),
        }
        request = replace(
            CREATED, session_id=found.session, harness_profile_snapshot=profile, profile_named=named, **fields
        )
        self.runs.append(found._replace(request=request))
        await self.begin(found.run_id, found.session, harness_profile_snapshot=profile, profile_named=named, **fields)

    async def _permission(self, chance: random.Random, of: OpenRun | None = None, **changes: Any) -> None:
        """Ask as an executor does: a rule may answer in the commit of the ask."""
        found = of or self._a_run(chance)
        if found is None:
            return
        policy = found.request.harness_profile_snapshot.asks or AskPolicy()
        self._numbers += 1
        arguments = chance.choice(ARGUMENTS)
        ask = run.RunAsked(
            ask_id=f"ask_{self._numbers}",
            kind="tool-permission",
            origin=chance.choice(("loop", "loop", "agent")),
            turn=1,
            chars=len(arguments),
            options=OPTIONS,
            subject_sha256=call_sha256(SALT, "shell", arguments),
            expires_at_ms=self.clock.now() + chance.choice((5_000, 60_000, 3_600_000, 3_600_000)),
            on_expiry=chance.choice(("deny", "deny", "deny", "cancel")),
            hold_until_ms=self.clock.now(),
            tool_call_id=f"call_{self._numbers}",
            tool_name="shell",
            title="May the agent call shell?",
            arguments=arguments,
            option_names=("Allow", "Deny"),
            subject_salt=SALT,
            credentials=chance.choice((None, None, None, ("github",))),
            role=policy.role,
            approvers=policy.approvers,
            not_requester=policy.not_requester,
        )
        await self._raise(found, replace(ask, **changes))

    async def _raise(self, found: OpenRun, ask: run.RunAsked) -> None:
        state = self.log._state.load(found.run_id).state
        if state.status != "running":
            return
        rule_id = None
        if ask.kind == "tool-permission":
            rule_id = await self.rules.match(found.run_id, found.request, ask)
            await asyncio.sleep(self.loop.chance.choice((0, 0, 0.05)))
        answer = run.RunAnswered(
            ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, cause="rule", option_id="allow", rule_id=rule_id
        )
        steps = (ask,) if rule_id is None else (ask, answer)
        command, capacity = run.RecordStep(token=state.token, steps=steps), self.executor.capacity
        self.raised[ask.ask_id] = found, ask
        await self.log.submit(
            lambda reader, context: raise_asks(reader, context, capacity, found.run_id, command), self._meta("exe_1")
        )

    async def _ruled(self, chance: random.Random) -> None:
        """Ask for the call of a rule: at any time, when the rule expires, or while it is revoked."""
        if not self.rules_made:
            await self._remembered(chance)
            return
        rule = chance.choice(self.rules_made)
        of, ask = self.raised[rule.ask_id]
        call = {name: getattr(ask, name) for name in ("arguments", "subject_sha256", "credentials")}
        when, left = chance.random(), (rule.expires_at_ms - self.clock.now()) / 1000
        if when < 0.3 and 0 < left < 100:
            await asyncio.sleep(max(left - chance.uniform(0.0, 0.06), 0.0))
        asking = self._permission(chance, of if chance.random() < 0.4 else None, **call)
        await asyncio.gather(asking, *(self._revoked(rule.rule_id) for _ in range(when > 0.85)))

    async def _remembered(self, chance: random.Random) -> None:
        """Ask, and allow the call from now on."""
        await self._permission(chance)
        self.follow()
        if self.asked and (ask := self.asked[-1][2]).kind == "tool-permission" and not ask.hidden:
            self._numbers += 1
            given = AnswerBody(subject_hash=ask.subject_sha256, option_id="allow", note=f"note {self._numbers}")
            body = replace(given, remember=chance.choice(SCOPES), remember_for_ms=chance.choice(REMEMBERED_FOR))
            await self._sent(self.asked[-1], body, self._person(self.asked[-1], chance), None)

    async def _question(self, chance: random.Random) -> None:
        answer = run.AskOption(id="answer", kind="allow_once"), run.AskOption(id="decline", kind="reject_once")
        await self._permission(
            chance,
            kind="question",
            tool_name="ask_user",
            options=answer,
            form=FORM,
            arguments="{}",
            title="Which branch?",
            origin="loop",
            credentials=None,
            option_names=("Answer", "Decline"),
            subject_sha256=question_sha256(SALT, "Which branch?", (), FORM),
        )

    async def _hidden(self, chance: random.Random) -> None:
        shown = '{"command":["git","[hidden: 4 characters, sha256 abababababab]"]}'
        hidden = (HiddenSpan(chars=3, sha256="ab" * 32),)
        sha256 = call_sha256(SALT, "shell", PUSH)
        await self._permission(
            chance, hidden=hidden, exact=PUSH, arguments=shown, origin="agent", subject_sha256=sha256
        )

    def _an_ask(self, chance: random.Random) -> tuple[Position, OpenRun, run.RunAsked] | None:
        open_asks = [one for one in self.asked if self.judge.is_open(one[2].ask_id)]
        return chance.choice(open_asks or self.asked) if self.asked else None

    async def _answer(self, chance: random.Random) -> None:
        found = self._an_ask(chance)
        if found is not None:
            await self._ask_answered(found, chance)

    async def _twice(self, chance: random.Random) -> None:
        found = self._an_ask(chance)
        if found is not None:
            await asyncio.gather(*(self._ask_answered(found, chance) for _ in range(chance.randint(2, 3))))

    async def _again(self, chance: random.Random) -> None:
        if self.asked:
            await self._ask_answered(chance.choice(self.asked), chance)

    async def _keyed(self, chance: random.Random) -> None:
        """Send the same answer with the same key again, at once or later."""
        found = self._an_ask(chance)
        if found is None:
            return
        self._numbers += 1
        key, body, who = (
            Key.of("k", "answerAsk", f"k{self._numbers}", b""),
            self._body(found, chance),
            self._person(found, chance),
        )
        first = self._sent(found, body, who, key)
        if chance.random() < 0.5:
            await asyncio.gather(first, self._sent(found, body, who, key))
        else:
            await first
            self.follow()  # the reactor does not wait for the second answer
            await asyncio.sleep(chance.choice((0.1, 100)))
            await self._sent(found, body, who, key)

    def _person(self, found: tuple[Position, OpenRun, run.RunAsked], chance: random.Random) -> Identity:
        """Return a caller: one that may answer, as a rule."""
        able = [one for one in PEOPLE.values() if may_answer(found[2], found[1].request, one)]
        return chance.choice(able if chance.random() < 0.7 else list(PEOPLE.values()))

    async def _ask_answered(self, found: tuple[Position, OpenRun, run.RunAsked], chance: random.Random) -> None:
        await self._sent(found, self._body(found, chance), self._person(found, chance), None)

    def _body(self, found: tuple[Position, OpenRun, run.RunAsked], chance: random.Random) -> AnswerBody:
        _, _, ask = found
        self._numbers += 1
        allows = chance.random() < 0.85
        fields: dict[str, Any] = {"option_id": ask.options[not allows].id, "note": f"note {self._numbers}"}
        sha256 = ask.subject_sha256 if chance.random() < 0.9 else call_sha256(SALT, "shell", "{}")
        if allows and ask.kind == "question":
            fields["values"] = {"branch": f"b{self._numbers}"}
        elif allows and chance.random() < 0.2:
            fields["edited_arguments"] = {"command": ["git", "log", f"-{self._numbers}"]}
        elif allows and chance.random() < 0.75:
            fields["remember"] = chance.choice(SCOPES)
            fields["remember_for_ms"] = chance.choice(REMEMBERED_FOR)
        return AnswerBody(subject_hash=sha256, **fields)

    async def _sent(
        self, found: tuple[Position, OpenRun, run.RunAsked], body: AnswerBody, who: Identity, key: Key | None
    ) -> None:
        position, of, ask = found
        began = self.clock.now()
        outcome, replayed, subject = "", False, None
        try:
            done = await self.answers.answer(position, body, who, self._meta(who.subject), key)
            replayed, subject = done.replayed, done.subject
        except AthenaError as error:
            outcome = error.code
            self.marks[f"code {outcome}"] += 1
            self.say(f"  {error.message}")
        request = Request(ask, of.request, of.run_id, body, who, began, self.clock.now(), outcome, replayed, subject)
        self.judge.requests.append(request)
        self.marks[f"answer {outcome or 'ok'}"] += 1
        self.say(f"  {who.subject} answers {ask.ask_id} {body.option_id} {body.remember or ''}: {outcome or 'ok'}")

    async def _open(self, chance: random.Random) -> None:
        hidden = [one for one in self.asked if one[2].hidden]
        found = chance.choice(hidden) if hidden else self._an_ask(chance)
        if found is not None:
            who = self._person(found, chance)
            text, _ = await self.answers.open_exact(found[0], who, self._meta(who.subject))
            self.judge.opened(found[2], found[1].request, who, text)

    async def _revoke(self, chance: random.Random) -> None:
        if self.rules_made:
            await self._revoked(chance.choice(self.rules_made).rule_id)

    async def _revoked(self, rule_id: str) -> None:
        await self.rules.revoke(rule_id, "root", self._meta("root"), None)

    async def _halt(self, chance: random.Random) -> None:
        await self.halts.start(HaltBody(reason="enough"), PEOPLE["root"], self._meta("root"), None)

    async def _lift(self, chance: random.Random) -> None:
        await self.halts.lift(PEOPLE["root"], self._meta("root"), None)

    async def _park(self, chance: random.Random) -> None:
        found = self._a_run(chance)
        if found is None:
            return
        token, capacity = self.log._state.load(found.run_id).state.token, self.executor.capacity
        pause = run.PauseRun(token=token, elapsed_ms=1, asking=True)
        await self.log.submit(
            lambda reader, context: park(reader, context, capacity, found.run_id, pause), self._meta("exe_1")
        )

    async def _cancel(self, chance: random.Random) -> None:
        found = self._a_run(chance)
        if found is not None:
            command, capacity = run.CancelRun(by_run=found.run_id), self.executor.capacity
            await self.log.submit(
                lambda reader, context: cancel(reader, context, capacity, found.run_id, command), self._meta("root")
            )

    async def _end(self, chance: random.Random) -> None:
        found = self._a_run(chance)
        if found is None:
            return
        token, capacity = self.log._state.load(found.run_id).state.token, self.executor.capacity
        ended = run.EndRun(token=token, last=(), ending=COMPLETED)
        await self.log.submit(
            lambda reader, context: apply_command(reader, context, capacity, found.run_id, ended), self._meta("exe_1")
        )

    async def _wait(self, chance: random.Random) -> None:
        await asyncio.sleep(0)

    def _meta(self, actor: str) -> Meta:
        return Meta(actor=actor, correlation="00000000-0000-4000-8000-000000000000")

    # The history

    async def play(self, steps: Sequence[Step]) -> None:
        for move in ("begin", "begin"):
            await self._moved(getattr(self, f"_{move}"), self.loop.chance)
        for step in steps:
            if step.at > self.loop.time():
                await asyncio.sleep(step.at - self.loop.time())
            self.move(step)
        await self._moved(self._lift, self.loop.chance)
        await asyncio.sleep(4_000 + SECONDS_MAX)
        self.follow()
        self.judge.end(self.clock.now())


def _short(event: Any) -> str:
    names = ("ask_id", "cause", "by", "option_id", "rule_id", "scope", "note", "subject", "reason")
    return " ".join(f"{name}={getattr(event, name)}" for name in names if getattr(event, name, None) is not None)


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    """Play steps and judge them."""
    return AskWorld(seed, trace).played(steps)
