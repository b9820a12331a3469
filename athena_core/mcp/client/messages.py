"""Messages of servers in both eras.

Unknown members are ignored.
"""

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from athena_core.outside_text import OutsideText

MESSAGE = TypeVar("MESSAGE")


def read(raw: bytes, kind: type[MESSAGE]) -> MESSAGE:
    """Return a message. Raise one of ``PARSE_ERRORS``."""
    return msgspec.json.decode(raw, type=kind, dec_hook=outside)


def outside(kind: type[Any], value: Any) -> OutsideText:
    """Return words of a server as text from outside: a hook of msgspec."""
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return OutsideText(value)


class AnswerType(msgspec.Struct, rename="camel"):
    """The member of a result that names its kind."""

    result_type: str = "complete"


class ServerInfo(msgspec.Struct, frozen=True):
    """The name and version that a server gives itself."""

    name: str = ""
    title: str | None = None
    version: str = ""


class InitializeResult(msgspec.Struct, rename="camel"):
    """The answer to ``initialize``."""

    protocol_version: OutsideText
    server_info: ServerInfo | None = None
    capabilities: dict[str, Any] | None = None


class DiscoverMeta(msgspec.Struct):
    """The server's name in the answer to ``server/discover``."""

    server_info: ServerInfo | None = msgspec.field(default=None, name="io.modelcontextprotocol/serverInfo")


class DiscoverResult(msgspec.Struct, rename="camel"):
    """The answer to ``server/discover``."""

    supported_versions: list[str]
    capabilities: dict[str, Any] | None = None
    meta: DiscoverMeta | None = msgspec.field(default=None, name="_meta")


class VersionsSupported(msgspec.Struct):
    """The data of an error about the version."""

    supported: list[OutsideText] = []


class ToolEntry(msgspec.Struct, rename="camel"):
    """A tool in a listing, before the checks."""

    name: str
    title: str | None = None
    description: str | None = None
    input_schema: Any = None
    output_schema: Any = None
    annotations: Any = None


class ToolsPage(msgspec.Struct, rename="camel"):
    """A page of a listing."""

    tools: list[Raw]
    next_cursor: str | None = None
    ttl_ms: Any = None


class CallAnswer(msgspec.Struct, rename="camel"):
    """The result of a call."""

    content: list[Any] = []
    structured_content: Raw | UnsetType = UNSET
    is_error: bool | None = None


class InputRequest(msgspec.Struct):
    """A request inside of an answer."""

    method: OutsideText
    params: Raw = Raw(b"{}")


class InputRequired(msgspec.Struct, rename="camel"):
    """The answer to a call that needs a person first (2026-07-28)."""

    input_requests: dict[str, InputRequest] | None = None
    request_state: str | None = None


class ProgressParams(msgspec.Struct, rename="camel"):
    """A report of progress."""

    progress_token: Any = None
    progress: float = 0.0
    total: float | None = None
    message: OutsideText | None = None


class ElicitationParams(msgspec.Struct, rename="camel"):
    """A question for the person."""

    message: str
    requested_schema: dict[str, Any] | None = None
    mode: str = "form"


class FormAnswer(msgspec.Struct, omit_defaults=True):
    """The answer to a question."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None
