"""Calls that a model requests: each one is recorded to be made, asks a person first, or is refused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from athena_core.clock import Clock, Ids
from athena_core.definitions.profile import AskPolicy, HarnessSpec
from athena_core.domain import run
from athena_core.log.codec import SALT_BYTES
from athena_core.mask import Mask
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.execution.progress import RunAssignment, RunProgress, open_asks, refused_before
from athena_core.services.mcp.run_tools import ChangedTool, ServerTool, approval_of_call
from athena_core.tools.approval import call_sha256, canonical, question_sha256
from athena_core.tools.ask_user import SPEC as ASK_USER
from athena_core.tools.ask_user import Question, question_of
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import CarryingTool, Tool, ToolResult, UnknownTool
from athena_core.tools.toolbox import ToolRegistry
from athena_core.values import ToolCall

ASKS_MAX = 32
"""The most asks of a run that may be open."""
HOLD_MS = 60_000
EXPIRES_AFTER_MS = 86_400_000

DENIED = "The profile denies this call. It was not made. (An operator can change {policy}.)"
TOO_MANY = f"This call was not made: a run may ask a person at most {ASKS_MAX} things at a time. Ask for less at once."
DECLINE = run.AskOption(id="decline", kind="reject_once")
PERMISSION_OPTIONS = (run.AskOption(id="allow", kind="allow_once"), run.AskOption(id="deny", kind="reject_once"))
PERMISSION_NAMES = ("Allow", "Deny")


def hold_ms_of(policy: AskPolicy) -> int:
    """Return how long a run is held for an answer before it is parked, in milliseconds."""
    return HOLD_MS if policy.hold_ms is None else policy.hold_ms


def expires_after_ms_of(policy: AskPolicy) -> int:
    """Return how long an ask may be answered, in milliseconds."""
    return policy.expires_after_ms or EXPIRES_AFTER_MS


class Denied(ToolRefused):
    """The profile denies the call."""


class RefusedBefore(ToolRefused):
    """A person refused the same call in the run before, or did not answer."""


class TooManyAsks(ToolRefused):
    """The run would ask too many things at a time."""


RefusalReason = Literal["unknown-tool", "bad-arguments", "denied", "too-many-asks", "changed-tool"]
REASONS: Mapping[type[ToolRefused], RefusalReason] = {
    UnknownTool: "unknown-tool",
    ChangedTool: "changed-tool",
    Denied: "denied",
    RefusedBefore: "denied",
    TooManyAsks: "too-many-asks",
}


class RequestedCalls:
    """Decides about the calls of a turn by the profile and the permission rules, before any is made."""

    def __init__(self, tools: ToolRegistry, mask: Mask, ids: Ids, clock: Clock, rules: PermissionRules) -> None:
        self._tools = tools
        self._mask = mask
        self._ids = ids
        self._clock = clock
        self._rules = rules

    def steps(
        self, profile: HarnessSpec, calls: Sequence[ToolCall], turn: int, progress: RunProgress
    ) -> tuple[run.RunStep, ...]:
        """Return the records of a turn's calls in order, then the results of those that are refused."""
        asks_left = ASKS_MAX - len(open_asks(progress))
        steps: list[run.RunStep] = []
        refusals: list[run.RunStep] = []
        for call in calls:
            step, why = self._requested(profile, call, turn, asks_left, progress)
            asks_left -= isinstance(step, run.RunAsked)
            steps.append(step)
            if why is not None:
                refusals.append(tool_result(step, ToolResult(content=why, is_error=True)))
        return (*steps, *refusals)

    def allowed(self, profile: HarnessSpec, ask: run.RunAsked, arguments: str) -> tuple[run.RunStep, ...]:
        """Return the record of a call that was allowed with these arguments, and its result if it is refused."""
        call = ToolCall(id=ask.tool_call_id or "", name=ask.tool_name or "", arguments=arguments)
        called, why = self._requested(profile, call, ask.turn, 0, RunProgress(), ask)
        if why is None:
            return (called,)
        return called, tool_result(called, ToolResult(content=why, is_error=True))

    async def with_answers(self, assignment: RunAssignment, steps: tuple[run.RunStep, ...]) -> tuple[run.RunStep, ...]:
        """Return steps with an answer behind each ask that a permission rule decides."""
        if not has_asks(steps):
            return steps
        run_id, request, answered = assignment.run_id, assignment.request, list[run.RunStep]()
        for step in steps:
            answered.append(step)
            if not isinstance(step, run.RunAsked) or step.kind != "tool-permission":
                continue
            rule_id = await self._rules.match(run_id, request, step)
            if rule_id is not None:
                answered.append(
                    run.RunAnswered(
                        ask_id=step.ask_id,
                        subject_sha256=step.subject_sha256,
                        cause="rule",
                        option_id=step.options[0].id,
                        rule_id=rule_id,
                    )
                )
        return tuple(answered)

    def _requested(
        self,
        profile: HarnessSpec,
        call: ToolCall,
        turn: int,
        asks_left: int,
        progress: RunProgress,
        allowed: run.RunAsked | None = None,
    ) -> tuple[run.ToolCalled | run.RunAsked, str | None]:
        """Return the record of a call, and why it will not be made (None if it will, or may).

        With ``allowed`` a person or a rule has allowed it, with the credentials that the ask names.
        """
        text = self._masked(call.arguments) if allowed is None else call.arguments  # exactly what was approved
        repeatable, why, refused, ask = True, None, None, None
        credentials = None if allowed is None else allowed.credentials
        try:
            tool, arguments = self._tools.read(call.name, text, profile.config.tools)
            repeatable = tool.repeatable(arguments)
            approval, policy = approval_of_call(tool, arguments, profile)
            if approval == "deny":
                raise Denied(DENIED.format(policy=policy))
            question = question_of(arguments) if call.name == ASK_USER.name else None
            if allowed is None:
                credentials = _carried(tool, arguments, profile)
            if allowed is None and (approval == "ask" or question is not None):
                before = refused_before(progress, call.name, canonical(text))
                if before is not None:
                    raise RefusedBefore(before)
                ask = self._ask(profile, call, text, turn, question, asks_left)
                ask = replace(ask, credentials=credentials, tool_sha256=_hash_of(tool))
        except ToolRefused as refusal:
            why = self._mask.hide(str(refusal))
            refused = REASONS.get(type(refusal), "bad-arguments")
        if ask is not None:
            return ask, None
        exists = call.name in self._tools.names
        called = run.ToolCalled(
            turn=turn,
            tool_call_id=call.id,
            tool_name=call.name if exists else None,
            unknown_name=None if exists else call.name,
            chars=len(text),
            repeatable=repeatable,
            refused=refused,
            ask_id=None if allowed is None else allowed.ask_id,
            credentials=credentials if refused is None else None,
            arguments=text,
        )
        return called, why

    def _ask(
        self, profile: HarnessSpec, call: ToolCall, text: str, turn: int, question: Question | None, asks_left: int
    ) -> run.RunAsked:
        """Return the ask for a call. Raise TooManyAsks."""
        if asks_left <= 0:
            raise TooManyAsks(TOO_MANY)
        text = canonical(text)
        policy, now, salt = profile.asks or AskPolicy(), self._clock.now(), self._ids.salt(SALT_BYTES).hex()
        expires_at_ms = now + expires_after_ms_of(policy)
        if question is None:
            title, form, sha256 = f"Allow {call.name}?", None, call_sha256(salt, call.name, text)
            options: tuple[run.AskOption, ...] = PERMISSION_OPTIONS
            names: tuple[str, ...] = PERMISSION_NAMES
        else:
            title, form = question.title, question.form
            sha256 = question_sha256(salt, title, question.options, form)
            options, names = _options(question), (*(question.options or ("Answer",)), "Decline")
        return run.RunAsked(
            ask_id=self._ids.new("ask"),
            kind="tool-permission" if question is None else question.kind,
            origin="loop",
            turn=turn,
            chars=len(text),
            options=options,
            subject_sha256=sha256,
            expires_at_ms=expires_at_ms,
            on_expiry=policy.on_expiry or "deny",
            hold_until_ms=min(now + hold_ms_of(policy), expires_at_ms),
            tool_call_id=call.id,
            tool_name=call.name,
            role=policy.role,
            approvers=policy.approvers,
            not_requester=policy.not_requester,
            title=title,
            arguments=text,
            option_names=names,
            form=form,
            subject_salt=salt,
        )

    def _masked(self, arguments: str) -> str:
        """Return a call's arguments without secrets, including those that JSON escapes hid from the mask."""
        if not self._mask.suspects(arguments.encode(errors="replace")):
            return arguments
        try:
            value = msgspec.json.decode(arguments)
        except (ValueError, RecursionError):
            return arguments
        hidden = self._mask.hide_in(value)
        return arguments if hidden == value else msgspec.json.encode(hidden).decode()


def _carried(tool: Tool, arguments: Mapping[str, Any], profile: HarnessSpec) -> tuple[str, ...] | None:
    """Return the names of the credentials of a profile that a call carries; None without any."""
    names = profile.config.credentials
    return (tool.carries(arguments, names) or None) if names and isinstance(tool, CarryingTool) else None


def _hash_of(tool: Tool) -> str | None:
    """Return the hash of a tool of an MCP server, as an operator accepted it; None for another tool."""
    return tool.sha256 if isinstance(tool, ServerTool) else None


def _options(question: Question) -> tuple[run.AskOption, ...]:
    """Return the options of a question; names of a choice are numbered from 1."""
    ids = ("answer",) if question.kind == "question" else map(str, range(1, len(question.options) + 1))
    return (*(run.AskOption(id=name, kind="allow_once") for name in ids), DECLINE)


def has_asks(steps: Iterable[run.RunStep]) -> bool:
    """Return True if steps ask a person."""
    return any(isinstance(step, run.RunAsked) for step in steps)


def without_asks(steps: tuple[run.RunStep, ...]) -> tuple[run.RunStep, ...]:
    """Return the steps of a run that ends: its calls are recorded as requested, and no person is asked."""
    return tuple(_unasked(step) for step in steps if not isinstance(step, run.RunAnswered))


def _unasked(step: run.RunStep) -> run.RunStep:
    if not isinstance(step, run.RunAsked):
        return step
    return run.ToolCalled(
        turn=step.turn,
        tool_call_id=step.tool_call_id or "",
        chars=step.chars,
        repeatable=False,
        tool_name=step.tool_name,
        arguments=step.arguments,
    )


def tool_result(
    call: run.ToolCalled | run.RunAsked, result: ToolResult, *, interrupted: bool = False
) -> run.TranscriptAppended:
    """Return the record of a call's result."""
    return run.TranscriptAppended(
        role="tool",
        kind="tool-result",
        chars=len(result.content),
        tool_call_id=call.tool_call_id,
        tool_name=call.tool_name,
        is_error=result.is_error or None,
        truncated=result.truncated or None,
        changed=result.changed or None,
        interrupted=interrupted or None,
        content=result.content,
    )
