"""Questions of an outside agent: how they stand in the record, and the record of an answer."""

from athena_core.agents.acp_messages import FormQuestion
from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.services.execution.mcp.forms import ShownQuestion, shown_question
from athena_core.services.execution.progress import answer_text
from athena_core.tools.ask_user import SPEC as ASK_USER

TOOL = ASK_USER.name
"""The name of a question in the record. A profile that lists this tool offers questions to its agent."""


def shown_form(question: FormQuestion, mask: Mask, salt: str) -> ShownQuestion | None:
    """Return a question with a form as people see it; None for an address, and if people cannot be shown its form."""
    return shown_question(question.message, question.requested_schema, mask, salt) if question.mode == "form" else None


def answered(ask: run.RunAsked, answer: run.RunAnswered) -> run.TranscriptAppended:
    """Return the record of the answer to a question."""
    text = answer_text(ask, answer)
    return run.TranscriptAppended(
        role="tool",
        kind="tool-result",
        chars=len(text),
        tool_call_id=ask.tool_call_id,
        tool_name=ask.tool_name,
        content=text,
    )
