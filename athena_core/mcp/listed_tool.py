"""A tool as an MCP server lists it, and the hash by which a change of it is noticed."""

import hashlib
from typing import Any

import msgspec

from athena_core.event import Value

_canonical = msgspec.json.Encoder(order="sorted").encode


class McpTool(Value):
    """A tool of an MCP server. ``input_schema`` and ``output_schema`` are JSON Schemas of objects.

    ``annotations`` are hints of the server, such as ``readOnlyHint``. Nothing may rely on them without the operator.
    """

    name: str
    title: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """The SHA-256 of all that a model or a person may read of the tool, in hex. Members may have any order."""
        return hashlib.sha256(_canonical(self)).hexdigest()

    @property
    def read_only(self) -> bool:
        """True if the server says that calls change nothing."""
        return (self.annotations or {}).get("readOnlyHint") is True
