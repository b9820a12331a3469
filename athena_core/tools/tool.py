"""The contract of a tool: a name, what a model is told of it, and a call that ends with a result whatever happens."""

from collections.abc import Mapping
from typing import Any, Protocol

from athena_core.event import Value
from athena_core.providers.mask import Mask
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import Workspace
from athena_core.values import MEMBER_CHARS_MAX, Egress, EvidenceType, ToolPolicies, ToolSpec

EVIDENCE = {
    "type": "string",
    "minLength": 1,
    "maxLength": MEMBER_CHARS_MAX,
    "description": "Attach the result as evidence under this label.",
}
"""The argument that every tool but ``evidence`` takes."""


class ToolEvidence(Value):
    """Evidence that a call produced: ``content`` is text, JSON text, or base64 for ``binary``.

    ``workspace`` tells that it speaks of the workspace, so that a later change there makes it stale.
    """

    label: str
    type: EvidenceType
    content: str
    workspace: bool = False
    exit_code: int | None = None


class ToolResult(Value):
    """What a call came to; ``content`` is what the model is told.

    ``changed`` tells that the workspace may have changed, ``truncated`` that the content was cut at a limit.
    """

    content: str
    is_error: bool = False
    changed: bool = False
    truncated: bool = False
    shown: ToolEvidence | None = None


class UnknownTool(ToolRefused):
    """No tool of this name exists for the run."""


class BadArguments(ToolRefused):
    """The arguments are no JSON object that fits the tool's schema."""


class ToolContext(Value):
    """Where a run's tools work: the workspace, the mask for what they read, and the rules of its profile.

    ``scoped`` tells that a scope narrows the run.
    """

    workspace: Workspace
    mask: Mask
    policies: ToolPolicies
    allowed_egress: tuple[Egress, ...] = ()
    scoped: bool = False


class Tool(Protocol):
    """One tool. It may be used by many tasks at once, all of one event loop."""

    @property
    def spec(self) -> ToolSpec:
        """What a model is told of it."""

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call that was interrupted may be made again: it only reads, or twice is as good as once."""

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Do it; ``arguments`` fit the schema. Raises ToolRefused. Cancelling ends everything within a second."""


def parameters(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def tool_evidence(
    label: str | None,
    content: str,
    evidence_type: EvidenceType = "text",
    *,
    workspace: bool,
    exit_code: int | None = None,
) -> ToolEvidence | None:
    """Evidence, if a label was given, in storable text."""
    if label is None:
        return None
    return ToolEvidence(
        label=clean(label), type=evidence_type, content=clean(content), workspace=workspace, exit_code=exit_code
    )
