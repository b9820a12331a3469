"""The tool evidence: attaches evidence of a model's work to the run."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.values import ToolSpec

EVIDENCE_CHARS_MAX = 1_000_000

SPEC = ToolSpec(
    name="evidence",
    description=(
        "Attach evidence of the result of your work, under the label that was requested. "
        "Attach it after your last change: a later change in the workspace makes it stale."
    ),
    parameters=parameters(
        "label",
        "type",
        "content",
        label={**EVIDENCE, "description": "The label that verification looks for, exactly."},
        type={"enum": ["text", "json", "binary"]},
        content={
            "type": "string",
            "minLength": 1,
            "maxLength": EVIDENCE_CHARS_MAX,
            "description": "Text, JSON as text, or base64 for binary.",
        },
    ),
)


class EvidenceTool:
    """A tool that attaches text, JSON or bytes. It changes nothing, so a call may be repeated."""

    spec = SPEC

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True."""
        return True

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Check the content against its type and return it as evidence. Raise ToolRefused."""
        kind, content = arguments["type"], arguments["content"]
        if kind == "json":
            try:
                msgspec.json.decode(content)
            except (ValueError, RecursionError) as error:
                raise ToolRefused(f"The content is not JSON: {error}. Send JSON, or type text.") from None
        elif kind == "binary":
            try:
                base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ToolRefused(f"The content is not base64: {error}. Send base64, or type text.") from None
        label = arguments["label"]
        return ToolResult(
            content=f"Attached as {clean(label)!r}.", shown=tool_evidence(label, content, kind, workspace=True)
        )
