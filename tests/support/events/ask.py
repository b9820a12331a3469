"""Sample asks and answers of a run."""

from typing import Any

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.domain.permission_rule import PermissionRuleCreated, PermissionRuleRevoked
from athena_core.tools.approval import call_sha256, question_sha256
from tests.support.events.run import CALLED, RESULT

EXPIRES = 2_000_000
"""Later than every row of a forged log."""

SALT, OTHER_SALT = "2a" * 16, "2b" * 16
PUSH, DRY = '{"command":["git","push"]}', '{"command":["git","push","--dry-run"]}'
FORM = '{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
OPTIONS = (run.AskOption(id="allow", kind="allow_once"), run.AskOption(id="deny", kind="reject_once"))


def asked(ask_id: str = "ask_1", call: str = "call_1", **changes: Any) -> run.RunAsked:
    """Return an ask of permission to push."""
    return replace(PERMISSION, ask_id=ask_id, tool_call_id=call, **changes)


PERMISSION = run.RunAsked(
    ask_id="ask_1",
    kind="tool-permission",
    origin="loop",
    turn=1,
    chars=len(PUSH),
    options=OPTIONS,
    subject_sha256=call_sha256(SALT, "shell", PUSH),
    expires_at_ms=EXPIRES,
    on_expiry="deny",
    hold_until_ms=EXPIRES,
    tool_call_id="call_1",
    tool_name="shell",
    title="May the agent call shell?",
    arguments=PUSH,
    option_names=("Allow", "Deny"),
    subject_salt=SALT,
)
QUESTION = replace(
    PERMISSION,
    ask_id="ask_9",
    kind="question",
    tool_call_id="call_9",
    tool_name="ask_user",
    options=(run.AskOption(id="answer", kind="allow_once"), run.AskOption(id="decline", kind="reject_once")),
    subject_sha256=question_sha256(SALT, "Which branch?", (), FORM),
    title="Which branch?",
    option_names=("Answer", "Decline"),
    form=FORM,
)
CHOICE = replace(
    QUESTION,
    kind="choice",
    options=(run.AskOption(id="1", kind="allow_once"), run.AskOption(id="decline", kind="reject_once")),
    subject_sha256=question_sha256(SALT, "Which branch?", ("main",), None),
    option_names=("main", "Decline"),
    form=None,
)


def answered(option: str | None = "allow", ask: run.RunAsked = PERMISSION, **changes: Any) -> run.RunAnswered:
    """Return a person's answer."""
    answer = run.RunAnswered(
        ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, cause="person", by="ada", option_id=option
    )
    return replace(answer, **changes)


def without_a_choice(cause: Any, ask: run.RunAsked = PERMISSION) -> run.RunAnswered:
    return answered(None, ask, cause=cause, by=None)


EDITED = answered(arguments=DRY, edited_salt=OTHER_SALT, edited_sha256=call_sha256(OTHER_SALT, "shell", DRY))
PUSHED = replace(CALLED, ask_id="ask_1", tool_name="shell", arguments=PUSH, repeatable=False)
PUSHED_DRY = replace(PUSHED, arguments=DRY)
REFUSED = replace(RESULT, is_error=True, tool_name="shell")
PARKED = run.RunPaused(reason="ask", elapsed_ms=400)
REQUEUED = run.RunRequeued(reason="concurrency", provider="mock")
RULE = PermissionRuleCreated(
    rule_id="rule_1",
    scope="session",
    tool_name="shell",
    call_sha256=call_sha256(SALT, "shell", PUSH),
    ask_id="ask_1",
    by="ada",
    expires_at_ms=EXPIRES,
    session_id="s",
    arguments=PUSH,
    call_salt=SALT,
)
REVOKED = PermissionRuleRevoked(rule_id="rule_1", cause="requested", by="ada")
