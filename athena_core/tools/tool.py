"""The contract of a tool: a description for the model, and a call that always ends with a result."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from msgspec.structs import replace

from athena_core.definitions.profile import Egress, ToolPolicies
from athena_core.enums import EvidenceType
from athena_core.event import Value
from athena_core.mask import Mask
from athena_core.system.sandbox import DEFAULT_LIMITS, WORKSPACE, Sandbox, SandboxLimits
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import Workspace
from athena_core.values import MEMBER_CHARS_MAX, ToolSpec

EVIDENCE = {
    "type": "string",
    "minLength": 1,
    "maxLength": MEMBER_CHARS_MAX,
    "description": "Attach the result as evidence under this label.",
}
"""The argument ``evidence``, which every tool but ``evidence`` has."""


class ToolEvidence(Value):
    """Evidence from a call. ``content`` is text, JSON text, or base64 for ``binary``.

    With ``workspace`` it is about the workspace, so a later change there makes it stale.
    """

    label: str
    type: EvidenceType
    content: str
    workspace: bool = False
    exit_code: int | None = None


class ToolResult(Value):
    """The result of a call. ``content`` is the text for the model.

    ``changed``: the workspace may have changed. ``truncated``: the content was cut at a limit. ``boxed_ms``: the time
    that a command took to start in its sandbox; None without one.
    """

    content: str
    is_error: bool = False
    changed: bool = False
    truncated: bool = False
    boxed_ms: int | None = None
    shown: ToolEvidence | None = None


class UnknownTool(ToolRefused):
    """The run has no tool with this name."""


class BadArguments(ToolRefused):
    """The arguments are not a JSON object that matches the tool's schema."""


class CommandBox(Value):
    """The sandbox of a run's commands: paths to read beside the system and the workspace, and the proxy's socket.

    The box of an outside agent also has its ``home`` on the machine, and the socket of its model ``gateway``.
    """

    readonly: tuple[Path, ...] = ()
    proxy: Path | None = None
    limits: SandboxLimits = DEFAULT_LIMITS
    gateway: Path | None = None
    home: Path | None = None

    def for_agent(self, home: Path, gateway: Path, readonly: tuple[Path, ...]) -> "CommandBox":
        """Return the box of an outside agent, with what the agent needs to read. It lives as long as the run."""
        return replace(
            self,
            readonly=(*self.readonly, *readonly),
            limits=self.limits.for_agent(),
            gateway=gateway,
            home=home,
        )

    def around(self, workspace: Workspace) -> Sandbox:
        """Return the sandbox of the next command. It blocks. Raise SandboxRefused."""
        tree, root = workspace.tree_in_box(), workspace.root.absolute()
        inside = {path: path.relative_to(root) for path in self.readonly if path != root and path.is_relative_to(root)}
        fixed = [(tree.root, str(place)) for place in inside.values() if os.path.lexists(tree.root / place)]
        return Sandbox(
            workspace=tree.root,
            readonly=tuple(path for path in self.readonly if path not in inside),
            closed=workspace.closed_paths,
            apart=(workspace.shared_root.absolute(),),
            fixed=(*tree.readonly, *fixed),
            place=WORKSPACE,
            proxy=self.proxy,
            limits=self.limits,
            gateway=self.gateway,
            home=self.home,
        )


class ServerCalls(Protocol):
    """The MCP servers of a run, for one call."""

    async def call(self, server: str, tool: str, arguments: Mapping[str, Any]) -> "ServerAnswer":
        """Call a tool of a server. Raise ToolRefused. A cancel ends the call at the server."""


class ServerAnswer(Value):
    """The answer of an MCP server to a call, as text for the model, and as JSON if the server gives some.

    ``local``: the server works in the workspace of the run.
    """

    content: str
    structured: str | None = None
    is_error: bool = False
    truncated: bool = False
    local: bool = False


class ToolContext(Value):
    """The surroundings of a run's tools: its workspace, the mask for what they read, and the rules of its profile.

    ``scoped`` is True if a scope restricts the run. ``credentials`` are the names of the profile's credentials, and
    ``carries`` the names of those that the call was recorded with. Commands run in ``box``; None: without a sandbox.
    ``notes`` is the workspace with the notes, if they are not in ``workspace``. ``servers`` are the MCP servers.
    """

    workspace: Workspace
    mask: Mask
    policies: ToolPolicies
    allowed_egress: tuple[Egress, ...] = ()
    scoped: bool = False
    credentials: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()
    box: CommandBox | None = None
    notes: Workspace | None = None
    servers: ServerCalls | None = None


class Tool(Protocol):
    """A tool. Many tasks of one event loop may use it at once."""

    @property
    def spec(self) -> ToolSpec:
        """The description of the tool for the model."""

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True if an interrupted call may be repeated: it only reads, or twice has the same effect as once."""

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Execute the call; ``arguments`` match the schema. Raise ToolRefused. A cancel ends it within a second."""


@runtime_checkable
class CarryingTool(Tool, Protocol):
    """A tool whose calls may carry credentials of the profile."""

    def carries(self, arguments: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
        """Return which of the named credentials a call carries, sorted by name. It is recorded before the call."""


def parameters(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these members."""
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
    """Return evidence in storable text; None without a label."""
    if label is None:
        return None
    return ToolEvidence(
        label=clean(label), type=evidence_type, content=clean(content), workspace=workspace, exit_code=exit_code
    )
