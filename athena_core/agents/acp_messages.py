"""The messages of version 1 of the Agent Client Protocol that Athena uses.

Agents differ, and change weekly. Unknown members and updates are ignored, optional members may be null, and kinds and
statuses are open words. What decides something (ids, options, the kind of an update) must have its shape.
"""

from typing import Any, Literal, TypeAlias, cast

import msgspec
from msgspec import Raw

PROTOCOL_VERSION = 1
ENDED_STATUSES = frozenset(("completed", "failed"))


class AcpMessage(msgspec.Struct, rename="camel"):
    """A message, with member names in camel case."""


class AgentInfo(AcpMessage):
    """The name and version of an agent."""

    name: str = ""
    version: str = ""
    title: str | None = None


class McpCapabilities(AcpMessage):
    """The transports of MCP servers that an agent can use, beside stdio."""

    http: bool = False


class AgentCapabilities(AcpMessage):
    """The optional methods of an agent."""

    load_session: bool = False
    session_capabilities: dict[str, Any] | None = None
    mcp_capabilities: McpCapabilities | None = None

    @property
    def resume_session(self) -> bool:
        """True if the agent has ``session/resume``."""
        return (self.session_capabilities or {}).get("resume") is not None


class Initialized(AcpMessage):
    """The answer to ``initialize``."""

    protocol_version: int
    agent_info: AgentInfo | None = None
    agent_capabilities: AgentCapabilities | None = None


class SessionMode(AcpMessage):
    """A mode that a session can have."""

    id: str
    name: str = ""


class SessionModes(AcpMessage):
    """The mode of a session and its choices."""

    current_mode_id: str
    available_modes: list[SessionMode] | None = None


class ConfigOption(AcpMessage):
    """A setting of a session. ``options`` are values or groups of values."""

    id: str
    category: str | None = None
    current_value: Any = None
    options: list[dict[str, Any]] | None = None

    @property
    def values(self) -> list[str]:
        """The values that can be chosen."""
        found: list[str] = []
        for option in self.options or ():
            inner = option.get("options")
            for value in inner if isinstance(inner, list) else (option,):
                if isinstance(value, dict) and isinstance(value.get("value"), str):
                    found.append(value["value"])
        return found


class SessionOpened(AcpMessage):
    """The answer to ``session/new``, ``session/resume`` and ``session/load``. Only the first has an id always."""

    session_id: str | None = None
    modes: SessionModes | None = None
    config_options: list[ConfigOption] | None = None


class ConfigAnswer(AcpMessage):
    """The answer to ``session/set_config_option``."""

    config_options: list[ConfigOption] | None = None


class PromptAnswer(AcpMessage):
    """The answer to ``session/prompt``. Its figures of usage are wrong in most agents and are not read."""

    stop_reason: str


class ToolCallUpdate(AcpMessage):
    """The first message about a tool call (``tool_call``), or a later one. None means unchanged."""

    tool_call_id: str
    session_update: str | None = None
    """The kind of the update, None in a request for a permission."""
    title: str | None = None
    kind: str | None = None
    status: str | None = None
    raw_input: Any = None
    raw_output: Any = None
    content: list[dict[str, Any]] | None = None
    locations: list[dict[str, Any]] | None = None
    meta: dict[str, Any] | None = msgspec.field(name="_meta", default=None)

    @property
    def terminal_text(self) -> str:
        """The next output of the terminal of the call, which some agents report here only. Its beginning may lack."""
        for member in ("terminal_output_delta", "terminal_output"):
            found = (self.meta or {}).get(member)
            if isinstance(found, dict) and isinstance(found.get("data"), str):
                return cast(str, found["data"])
        return ""


class PermissionOption(AcpMessage):
    """An answer that an agent offers. Its id means nothing: read ``kind``."""

    option_id: str
    kind: str
    name: str = ""


class PermissionRequest(AcpMessage):
    """The parameters of ``session/request_permission``."""

    session_id: str
    tool_call: ToolCallUpdate
    options: list[PermissionOption]

    def option(self, kind: Literal["allow_once", "reject_once"]) -> PermissionOption | None:
        """Return the first option of a kind. Options that last longer than one call are never chosen."""
        return next((option for option in self.options if option.kind == kind), None)


class FormQuestion(AcpMessage):
    """The parameters of ``elicitation/create`` with a form. ``requested_schema`` is a JSON schema of the answer."""

    session_id: str
    message: str
    requested_schema: dict[str, Any]
    mode: str = "form"
    tool_call_id: str | None = None


class TextChunk(AcpMessage):
    """A piece of the answer (``agent_message_chunk``). ``content`` is a content block."""

    content: dict[str, Any]
    message_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the piece, empty for another kind of content."""
        return text_of_block(self.content)


class ThoughtChunk(TextChunk):
    """A piece of reasoning (``agent_thought_chunk``)."""


class PlanEntry(AcpMessage):
    """A step of a plan."""

    content: str
    status: str = "pending"
    priority: str = "medium"


class PlanUpdate(AcpMessage):
    """The whole plan of the agent (``plan``)."""

    entries: list[PlanEntry]


class ModeUpdate(AcpMessage):
    """Another mode of the session (``current_mode_update``)."""

    current_mode_id: str


class ConfigUpdate(AcpMessage):
    """The settings of the session (``config_option_update``)."""

    config_options: list[ConfigOption]


class UsageUpdate(AcpMessage):
    """The agent's own estimate of its context and cost (``usage_update``). It is shown, and never booked."""

    used: int | None = None
    size: int | None = None
    cost: dict[str, Any] | None = None


SessionUpdate: TypeAlias = (
    TextChunk | ThoughtChunk | ToolCallUpdate | PlanUpdate | ModeUpdate | ConfigUpdate | UsageUpdate
)

UPDATES: dict[str, type[SessionUpdate]] = {
    "agent_message_chunk": TextChunk,
    "agent_thought_chunk": ThoughtChunk,
    "tool_call": ToolCallUpdate,
    "tool_call_update": ToolCallUpdate,
    "plan": PlanUpdate,
    "current_mode_update": ModeUpdate,
    "config_option_update": ConfigUpdate,
    "usage_update": UsageUpdate,
}


class UpdateTag(AcpMessage):
    """The kind of an update."""

    session_update: str


class SessionNotice(AcpMessage):
    """The parameters of ``session/update``."""

    session_id: str
    update: Raw


def mode_option(options: list[ConfigOption] | None) -> ConfigOption | None:
    """Return the setting that holds the mode of a session."""
    return next((option for option in options or () if (option.category or option.id) == "mode"), None)


def text_of_block(block: dict[str, Any]) -> str:
    """Return the text of a content block, empty if it has none."""
    text = block.get("text")
    return text if isinstance(text, str) else ""
