"""Elicitation: the questions of an MCP server to a person during a call, which goes on with the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from athena_core.clock import Clock, Ids
from athena_core.definitions.profile import AskPolicy
from athena_core.domain import run
from athena_core.log.codec import SALT_BYTES
from athena_core.mask import Mask
from athena_core.mcp.client.questions import McpQuestion
from athena_core.services.execution.mcp.forms import OPTION_NAMES, OPTIONS, ShownQuestion, shown_question
from athena_core.services.execution.performer import RunRecorder
from athena_core.services.execution.progress import RunProgress, after, answer_to, declined_before
from athena_core.services.execution.requested_calls import expires_after_ms_of, hold_ms_of

QUESTIONS_MAX = 8
"""How often a server may ask during one call. Further questions are declined."""


class CallParted(Exception):
    """The call cannot go on: the run was parked or has ended. With ``steps`` it goes on, but its servers were ended.

    Then the recorded steps are the asks and their answers; the last one came while the run was about to be parked.
    """

    def __init__(self, steps: tuple[run.RunStep, ...] = ()) -> None:
        super().__init__()
        self.steps = steps


class QuestionExpired(Exception):
    """A question expired, and that cancels the run."""


def elicited(
    call: run.ToolCalled, server: str, shown: ShownQuestion, policy: AskPolicy | None, ids: Ids, clock: Clock
) -> run.RunAsked:
    """Return the ask for a question of a server during a call."""
    policy = policy or AskPolicy()
    now = clock.now()
    expires_at_ms = now + expires_after_ms_of(policy)
    return run.RunAsked(
        ask_id=ids.new("ask"),
        kind="question",
        origin="mcp",
        turn=call.turn,
        chars=0,
        options=OPTIONS,
        subject_sha256=shown.sha256(call.tool_name or ""),
        expires_at_ms=expires_at_ms,
        on_expiry=policy.on_expiry or "deny",
        hold_until_ms=min(now + hold_ms_of(policy), expires_at_ms),
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        role=policy.role,
        approvers=policy.approvers,
        not_requester=policy.not_requester,
        server=server,
        hidden=shown.hidden or None,
        secrets=shown.secrets or None,
        title=shown.title,
        option_names=OPTION_NAMES,
        form=shown.form,
        exact=shown.exact if shown.hidden else None,
        subject_salt=shown.salt,
    )


def values_of(shown: ShownQuestion, answer: run.RunAnswered) -> dict[str, Any] | None:
    """Return the values of an answer for the server; None if the person declined, or did not answer in time."""
    if answer.option_id != OPTIONS[0].id:
        return None
    return shown.content(msgspec.json.decode(answer.values or "{}"))


class CallQuestions:
    """The questions of a server during one call of the loop. The run is held for each answer, then parked."""

    def __init__(
        self,
        call: run.ToolCalled,
        server: str,
        policy: AskPolicy | None,
        progress: RunProgress,
        recorder: RunRecorder,
        before_parking: Callable[[], Awaitable[tuple[run.RunStep, ...]]],
        mask: Mask,
        ids: Ids,
        clock: Clock,
    ) -> None:
        """``progress`` has the questions of an earlier try of the call. ``before_parking`` ends the servers."""
        self._call = call
        self._server = server
        self._policy = policy
        self._recorder = recorder
        self._before_parking = before_parking
        self._mask = mask
        self._ids = ids
        self._clock = clock
        self._earlier = _answered(progress, call)
        self._progress = progress
        self.recorded: list[run.RunStep] = []
        """The asks of this call and their answers."""
        self._lock = asyncio.Lock()
        self._asked = 0

    async def ask(self, question: McpQuestion) -> dict[str, Any] | None:
        """Ask a person. Return the values, None for a refusal. One question is asked at a time.

        The answer to the same question of an earlier try is used once. A question without an answer is not asked again.
        Raise CallParted, QuestionExpired, LeaseLost, AskLimit.
        """
        async with self._lock:
            shown = self._shown(question, self._ids.salt(SALT_BYTES).hex())
            if shown is None or self._asked >= QUESTIONS_MAX:
                return None
            self._asked += 1
            found = self._given(shown)
            if found is not None:
                ask, answer = found
                return values_of(self._shown(question, ask.subject_salt or "") or shown, answer)
            asked = elicited(self._call, self._server, shown, self._policy, self._ids, self._clock)
            answer = await self._answer(asked)
            if answer.cause == "expiry" and asked.on_expiry == "cancel":
                raise QuestionExpired
            return values_of(shown, answer)

    def _shown(self, question: McpQuestion, salt: str) -> ShownQuestion | None:
        return shown_question(question.message, question.requested_schema, self._mask, salt)

    def _given(self, shown: ShownQuestion) -> tuple[run.RunAsked, run.RunAnswered] | None:
        """Return the same question of an earlier try of the call with its answer, once, or one that was declined."""
        for number, (ask, _) in enumerate(self._earlier):
            if shown.is_of(ask):
                return self._earlier.pop(number)
        declined = declined_before(after(self._progress, self.recorded), self._call.tool_call_id)
        return next((pair for pair in declined if shown.is_of(pair[0])), None)

    async def _answer(self, asked: run.RunAsked) -> run.RunAnswered:
        if not await self._recorder.record((asked,)):
            raise CallParted
        self.recorded.append(asked)
        parking = False

        async def last() -> tuple[run.RunStep, ...]:
            nonlocal parking
            parking = True
            return await self._before_parking()

        found = await self._recorder.answers(frozenset((asked.ask_id,)), asked.hold_until_ms, last)
        self.recorded += found
        if parking or not found:
            raise CallParted(tuple(self.recorded) if found else ())
        return found[0]


def _answered(progress: RunProgress, call: run.ToolCalled) -> list[tuple[run.RunAsked, run.RunAnswered]]:
    asks: Sequence[run.RunAsked] = [ask for ask in progress.elicited if ask.tool_call_id == call.tool_call_id]
    return [(ask, answer) for ask in asks if (answer := answer_to(progress, ask)) is not None]
