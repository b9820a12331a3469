"""Permissions of an outside agent's calls: the profile decides first, then permission rules, then a person.

An answer is about the exact call: the kind and the input that were shown. It is used once. The agent gets it while the
run is held; after that the run is parked, and the answer is used once the agent asks for the same call again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio
import msgspec
from msgspec.structs import replace

from athena_core.agents.acp import Answers, Choice
from athena_core.agents.acp_messages import FormQuestion, PermissionRequest
from athena_core.clock import Clock, Ids
from athena_core.definitions.agent_permissions import approval_of_call, tool_kind
from athena_core.definitions.profile import AgentPolicy, AskPolicy
from athena_core.domain import run
from athena_core.enums import AskOrigin
from athena_core.log.codec import SALT_BYTES
from athena_core.mask import Mask
from athena_core.outside_text import DecidedText
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.execution.mcp.forms import OPTION_NAMES, OPTIONS, ShownQuestion
from athena_core.services.execution.outside.agent_transcript import AgentTranscript, TranscriptCall
from athena_core.services.execution.outside.calls.call_records import (
    ARGUMENTS_CHARS_MAX,
    decided_call,
    title_of,
    tool_of,
    unmade_result,
)
from athena_core.services.execution.outside.questions import TOOL as QUESTION
from athena_core.services.execution.outside.questions import answered, shown_form
from athena_core.services.execution.performer import RunRecorder
from athena_core.services.execution.progress import RunAssignment, allows, open_asks, refusal_text, refused_before
from athena_core.services.execution.requested_calls import (
    ASKS_MAX,
    PERMISSION_NAMES,
    PERMISSION_OPTIONS,
    expires_after_ms_of,
    hold_ms_of,
)
from athena_core.tools.approval import call_sha256

DENIED = "The profile denies this call. It was not made."
NO_OPTION = "This call was not made: the agent offers no permission for one call only."
TOO_LONG = f"This call was not made: its input has more than {ARGUMENTS_CHARS_MAX} characters."
TOO_MANY = f"This call was not made: a run may ask a person at most {ASKS_MAX} things at a time."
T = TypeVar("T")
BeforeParking: TypeAlias = Callable[[], Awaitable[tuple[run.RunStep, ...]]]
NOT_MADE = "The call was allowed, but the agent did not make it."


@dataclass
class OpenPermission:
    """A permission that the agent waits for, and its ask."""

    ask: run.RunAsked
    entry: TranscriptCall
    allow: str
    """The id of the option that allows the call once."""
    reject: str | None
    chosen: asyncio.Future[str | None]


@dataclass
class OpenQuestion:
    """A question that the agent waits for, and its ask. ``chosen`` is the content of its form, None if declined."""

    ask: run.RunAsked
    shown: ShownQuestion
    chosen: asyncio.Future[dict[str, Any] | None]


class EndpointAsk(Protocol):
    """An ask of a call at the endpoint of the run, or of an MCP server during one.

    ``chosen`` is done once the call knows the decision, or was withdrawn.
    """

    ask: run.RunAsked
    chosen: asyncio.Future[Any]

    async def decide(self, answer: run.RunAnswered) -> None:
        """Record a decision and hand it over. Raise ExpiredAsk, RunOver, LeaseLost."""


class ExpiredAsk(Exception):
    """An ask expired that cancels its run."""


class Permissions:
    """The permissions and questions of a run under one lease. ``serve`` waits for answers while the agent works."""

    def __init__(
        self,
        assignment: RunAssignment,
        policy: AgentPolicy,
        transcript: AgentTranscript,
        recorder: RunRecorder,
        rules: PermissionRules,
        mask: Mask,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._assignment = assignment
        self._policy = policy
        self._transcript = transcript
        self._recorder = recorder
        self._rules = rules
        self._mask = mask
        self._clock = clock
        self._ids = ids
        self._open: dict[str, OpenPermission | OpenQuestion | EndpointAsk] = {}
        self._decided = ""
        """The ask whose decision is being recorded and handed over; empty if there is none."""
        self.claimed: set[str] = set()
        """The asks of open calls at the endpoint. A decision may be known there before its call is recorded."""
        self._raised = asyncio.Event()
        self._waiting: anyio.CancelScope | None = None
        self._parks = False
        self.parking = False
        self.held_since: float | None = None
        """Since when the agent waits for answers, in seconds of the monotonic clock; None if it does not."""

    # The agent asks

    async def decide(self, request: PermissionRequest) -> Choice:
        """Decide about a call, or raise an ask. Return the wait for the chosen option of the agent.

        Raise RunOver, LeaseLost, AskLimit.
        """
        entry = self._transcript.ask(request)
        await self._transcript.record(*self._transcript.asked_again(entry))
        allow, reject = request.option("allow_once"), request.option("reject_once")
        reject_id = None if reject is None else reject.option_id
        call = entry.call
        salt = self._ids.salt(SALT_BYTES).hex()
        decided = decided_call(call, self._mask, salt)
        approval = approval_of_call(self._policy.permissions, tool_kind(call.kind), call.raw_input)
        why = None
        if approval == "deny":
            why = DENIED
        elif allow is None:
            why = NO_OPTION
        elif max(len(decided.exact), len(decided.shown)) > ARGUMENTS_CHARS_MAX:
            why = TOO_LONG
        elif approval == "ask" and (before := self._refused_before(entry, decided)) is not None:
            why = before
        elif approval == "ask" and len(open_asks(self._transcript.progress)) >= ASKS_MAX:
            why = TOO_MANY
        if entry.waits:
            return _always(reject_id)
        if why is not None or allow is None:
            refused = self._transcript.refused(entry, why or DENIED, too_long=why == TOO_LONG)
            await self._transcript.record(*self._transcript.words(), *refused)
            return _always(reject_id)
        if approval == "allow":
            await self._transcript.record(*self._transcript.words(), self._transcript.called(entry))
            return _always(allow.option_id)
        return await self._ask(entry, decided, salt, allow.option_id, reject_id)

    def _refused_before(self, entry: TranscriptCall, decided: DecidedText) -> str | None:
        tool = tool_of(self._policy.name, entry.call)
        return refused_before(self._transcript.progress, tool, decided.exact, decided.secrets)

    async def _ask(
        self, entry: TranscriptCall, decided: DecidedText, salt: str, allow: str, reject: str | None
    ) -> Choice:
        """Wait for an answer, which may have been given before."""
        transcript, tool = self._transcript, tool_of(self._policy.name, entry.call)
        known = self.asked_before("agent", tool, decided.exact, decided.secrets)
        entry.waits = True
        if known is None:
            known = self._raise(entry, tool, decided, salt)
            rule_id = await self._rules.match(self._assignment.run_id, self._assignment.request, known)
            if rule_id is not None:
                answered = run.RunAnswered(
                    ask_id=known.ask_id,
                    subject_sha256=known.subject_sha256,
                    cause="rule",
                    option_id=known.options[0].id,
                    rule_id=rule_id,
                )
                await transcript.record(*transcript.words(), known, answered)
            else:
                await transcript.record(*transcript.words(), known)
        chosen: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        return self._wait_for(OpenPermission(known, entry, allow, reject, chosen), chosen)

    def _wait_for(self, one: OpenPermission | OpenQuestion, chosen: asyncio.Future[T]) -> Callable[[], Awaitable[T]]:
        """Let ``serve`` wait for one more answer. Return the wait for what the agent gets."""
        self.wait_for(one)

        async def wait() -> T:
            return await chosen

        return wait

    def _raise(self, entry: TranscriptCall, tool: str, decided: DecidedText, salt: str) -> run.RunAsked:
        return replace(
            self._new_ask(decided, salt),
            subject_sha256=call_sha256(salt, tool, decided.exact, decided.secrets),
            tool_call_id=entry.id,
            tool_name=tool,
            tool_kind=tool_kind(entry.call.kind),
            title=f"Allow {tool_kind(entry.call.kind)}: {title_of(entry.call, self._mask)}",
        )

    def _new_ask(self, decided: DecidedText, salt: str) -> run.RunAsked:
        """Return an ask about a text, without its subject."""
        profile = self._assignment.request.harness_profile_snapshot
        policy, now = profile.asks or AskPolicy(), self._clock.now()
        return run.RunAsked(
            ask_id=self._ids.new("ask"),
            kind="tool-permission",
            origin="agent",
            turn=self._transcript.turn,
            chars=len(decided.shown),
            options=PERMISSION_OPTIONS,
            subject_sha256="",
            expires_at_ms=now + expires_after_ms_of(policy),
            on_expiry=policy.on_expiry or "deny",
            hold_until_ms=now + hold_ms_of(policy),  # an expiry until then is answered without ending the process
            role=policy.role,
            approvers=policy.approvers,
            not_requester=policy.not_requester,
            hidden=decided.hidden or None,
            secrets=decided.secrets or None,
            arguments=decided.shown,
            option_names=PERMISSION_NAMES,
            exact=decided.exact if decided.hidden else None,
            subject_salt=salt,
        )

    async def question(self, question: FormQuestion) -> Answers:
        """Raise an ask for a question, or use the answer to one that was asked before. Return the wait for it.

        A form that people cannot be shown is declined. Raise RunOver, LeaseLost, AskLimit.
        """
        shown = shown_form(question, self._mask, self._ids.salt(SALT_BYTES).hex())
        if shown is None:
            return _always(None)
        known = self.asked_before("agent", QUESTION, shown.exact, shown.secrets)
        if known is not None and known.subject_salt is not None:
            shown = shown_form(question, self._mask, known.subject_salt) or shown  # its marks are the ones of the ask
        if known is None:
            progress = self._transcript.progress
            if refused_before(progress, QUESTION, shown.exact, shown.secrets) or len(open_asks(progress)) >= ASKS_MAX:
                return _always(None)
            decided = DecidedText(shown.exact, shown.arguments, shown.hidden, shown.secrets)
            known = replace(
                self._new_ask(decided, shown.salt),
                kind="question",
                options=OPTIONS,
                option_names=OPTION_NAMES,
                subject_sha256=shown.sha256(QUESTION),
                tool_call_id=self._ids.new("call"),
                tool_name=QUESTION,
                title=shown.title,
                form=shown.form,
            )
            await self._transcript.record(*self._transcript.words(), known)
        chosen: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        return self._wait_for(OpenQuestion(known, shown, chosen), chosen)

    def wait_for(self, one: OpenPermission | OpenQuestion | EndpointAsk) -> None:
        """Let ``serve`` wait for one more answer."""
        self._open[one.ask.ask_id] = one
        self._raised.set()
        if self._waiting is not None and not self.parking:
            self._waiting.cancel()  # wait for this one, too

    def asked_before(
        self, origin: AskOrigin, tool: str, exact: str, secrets: tuple[str, ...] = ()
    ) -> run.RunAsked | None:
        """Return the ask of the same call that no open request has: without an answer, or allowed and not used.

        Calls are compared by their exact arguments.
        """
        same = (origin, tool, exact, secrets)
        for ask in self._asks():
            if (ask.origin, ask.tool_name, ask.exact_arguments, ask.secrets or ()) == same:
                return ask
        return None

    def _asks(self) -> list[run.RunAsked]:
        requested = {ask_id for ask_id, one in self._open.items() if not one.chosen.done()}
        requested |= self.claimed | {self._decided}
        pending = self._transcript.progress.pending
        return [call for call in pending if isinstance(call, run.RunAsked) and call.ask_id not in requested]

    def _answer(self, ask: run.RunAsked) -> run.RunAnswered | None:
        answers = self._transcript.progress.answers
        return next((answer for answer in answers if answer.ask_id == ask.ask_id), None)

    async def _begin(self, entry: TranscriptCall, ask: run.RunAsked) -> None:
        """Record a call that a person or a rule allowed, as it was asked for, whatever the agent said of it later."""
        entry.id = ask.tool_call_id or entry.id
        called = self._transcript.called(entry, ask_id=ask.ask_id)
        if ask.arguments is not None:
            called = replace(called, kind=ask.tool_kind, chars=ask.chars, arguments=ask.arguments)
        await self._transcript.record(*self._transcript.words(), called)

    # The answers

    async def serve(self, before_parking: BeforeParking) -> bool:
        """Hand answers to the agent. Return False once the run is parked or over, True if it may go on after all.

        ``before_parking`` ends the process of the agent and returns the steps to record before the run is parked. Raise
        ExpiredAsk, RunOver, LeaseLost.
        """
        while True:
            decided = next((one for one in self._open.values() if self._answer(one.ask) is not None), None)
            if decided is not None:
                await self._hand_over(decided)
                continue  # the agent may have asked meanwhile
            waits = dict(self._open)
            if not waits:
                self._parks, self.held_since = False, None
                self._raised.clear()
                await self._raised.wait()
                continue
            hold_until_ms = 0 if self._parks else min(one.ask.hold_until_ms for one in waits.values())
            self.held_since = self._clock.monotonic() if self.held_since is None else self.held_since
            found: tuple[run.RunAnswered, ...] = ()
            with anyio.CancelScope() as self._waiting:

                async def last() -> tuple[run.RunStep, ...]:
                    self.parking = True
                    return await before_parking()

                found = await self._recorder.answers(frozenset(waits), hold_until_ms, last)
            cancelled, self._waiting = self._waiting.cancelled_caught, None
            if cancelled:
                continue
            self._transcript.note(found)
            if not found or self.parking:
                return bool(found)

    def park(self) -> None:
        """Park the run now if it waits for answers, as if it had been held long enough."""
        self._parks = True
        if self._waiting is not None and not self.parking:
            self._waiting.cancel()

    async def _hand_over(self, one: OpenPermission | OpenQuestion | EndpointAsk) -> None:
        """Record a decision, then hand it to the agent. Raise ExpiredAsk, RunOver, LeaseLost."""
        answer = self._answer(one.ask)
        assert answer is not None, "an ask is decided before"
        self._decided = one.ask.ask_id
        del self._open[self._decided]
        if isinstance(one, OpenQuestion):
            await self._answer_question(one, answer)
        elif isinstance(one, OpenPermission):
            await self._decide_call(one, answer)
        else:
            await one.decide(answer)
        self._decided = ""

    async def _answer_question(self, question: OpenQuestion, answer: run.RunAnswered) -> None:
        """Record and hand over an answer, also that there is none."""
        ask, chosen = question.ask, question.chosen
        if not allows(ask, answer):
            await self._transcript.record(self._transcript.answered(refusal(ask, answer)))
            _choose(chosen, None)
        elif not chosen.done():  # otherwise the agent withdrew its question: the answer counts for the next one
            await self._transcript.record(self._transcript.answered(answered(ask, answer)))
            _choose(chosen, question.shown.content(msgspec.json.decode(answer.values or "{}")))

    async def _decide_call(self, permission: OpenPermission, answer: run.RunAnswered) -> None:
        """Record and hand over the decision about a call."""
        ask, entry = permission.ask, permission.entry
        entry.waits = False
        if allows(ask, answer):
            if permission.chosen.done():  # the agent withdrew its request: the answer counts for the next one
                entry.id = self._ids.new("call")
                return
            await self._begin(entry, ask)
            _choose(permission.chosen, permission.allow)
            return
        result = self._transcript.finished(entry, refusal(ask, answer))
        await self._transcript.record(result)
        self._transcript.reject()
        _choose(permission.chosen, permission.reject)

    def forget_process(self) -> None:
        """Forget the requests of a process that ended. Their asks stay open."""
        for permission in self._open.values():
            permission.chosen.cancel()
        self._open.clear()
        self._decided = ""
        self.claimed.clear()
        self.parking = self._parks = False
        self.held_since = None


def refusal(ask: run.RunAsked, answer: run.RunAnswered) -> run.TranscriptAppended:
    """Return the result of a call that was not allowed, or of a question without an answer.

    Raise ExpiredAsk if that cancels the run.
    """
    if answer.cause == "expiry" and ask.on_expiry == "cancel":
        raise ExpiredAsk
    return unmade_result(ask.tool_call_id or "", refusal_text(ask, answer))


def unused(ask: run.RunAsked, answer: run.RunAnswered) -> run.TranscriptAppended:
    """Return the result of an ask whose answer the agent did not use: it was asked by an earlier process."""
    if ask.kind != "tool-permission" and allows(ask, answer):
        return answered(ask, answer)
    return unmade_result(ask.tool_call_id or "", NOT_MADE)


def _choose(chosen: asyncio.Future[T | None], option: T | None) -> None:
    if not chosen.done():
        chosen.set_result(option)


def _always(option: T) -> Callable[[], Awaitable[T]]:
    async def choose() -> T:
        return option

    return choose
