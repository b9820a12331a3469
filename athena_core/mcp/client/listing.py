"""Listings of servers, read within limits.

Tools beyond the limits, broken ones and duplicates are left out and counted.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from athena_core.mcp.client.messages import ServerInfo, ToolEntry, ToolsPage
from athena_core.mcp.client.param_headers import param_headers
from athena_core.mcp.client.visible_schema import visible_schema
from athena_core.mcp.listed_tool import McpTool
from athena_core.rpc.peer import PARSE_ERRORS
from athena_core.schema import Schema, SchemaRefused
from athena_core.text import visible

TOOLS_MAX = 256
"""Maximum number of tools of a server."""
TOOL_BYTES_MAX = 65_536
"""Maximum size of the definition of a tool: its name, description, schemas and annotations as JSON."""
LISTING_BYTES_MAX = 2 << 20
"""Maximum size of all definitions of a server."""
PAGES_MAX = 16
"""Maximum number of pages of a listing."""
CURSOR_CHARS_MAX = 4_096
NAME_CHARS_MAX = 128
"""Longest name of a tool, as the protocol has it."""
TTL_MS_MAX = 3_600_000
READ_MAX = 20_000
"""Maximum number of tools that are looked at."""


class Listing(NamedTuple):
    """The tools of a server at one time."""

    server_info: ServerInfo
    protocol_version: str
    tools: tuple[McpTool, ...]
    skipped: int = 0
    """Number of tools that were left out."""


class ListingReader:
    """Collects the pages of a listing."""

    def __init__(self, *, headers: bool = False) -> None:
        """``headers``: leave out tools with marks of header fields that are not valid, as HTTP of 2026-07-28 wants."""
        self.tools: dict[str, McpTool] = {}
        self.skipped = 0
        self.ttl_seconds = 0.0
        """Time for which the server says that its listing stays valid."""
        self._headers = headers
        self._bytes = 0
        self._pages = 0
        self._cursors: set[str] = set()

    def add(self, raw: Raw) -> str | None:
        """Take a page. Return the cursor of the next one, None at the end. Raise ValueError for a page of no shape."""
        try:
            page = msgspec.json.decode(raw, type=ToolsPage)
        except PARSE_ERRORS:
            raise ValueError("another shape than the protocol") from None
        self.skipped += max(len(page.tools) - READ_MAX, 0)
        for one in page.tools[:READ_MAX]:
            if not self._take(one):
                self.skipped += 1
        self._pages += 1
        if isinstance(page.ttl_ms, int) and 0 < page.ttl_ms <= TTL_MS_MAX:
            self.ttl_seconds = page.ttl_ms / 1_000
        cursor = page.next_cursor
        if not cursor:
            return None
        if len(cursor) > CURSOR_CHARS_MAX or cursor in self._cursors or self._pages >= PAGES_MAX:
            self.skipped += 1  # there may be more, and nothing says how many
            return None
        self._cursors.add(cursor)
        return cursor

    def _take(self, raw: Raw) -> bool:
        size = len(raw)
        if size > TOOL_BYTES_MAX or len(self.tools) >= TOOLS_MAX or self._bytes + size > LISTING_BYTES_MAX:
            return False
        tool = read_tool(raw)
        if tool is None or tool.name in self.tools or (self._headers and param_headers(tool.input_schema) is None):
            return False
        self.tools[tool.name] = tool
        self._bytes += size
        return True


def read_tool(raw: Raw) -> McpTool | None:
    """Return a tool of a listing, or None if it cannot be offered."""
    try:
        found = msgspec.json.decode(raw, type=ToolEntry)
    except PARSE_ERRORS:
        return None
    if not is_name(found.name) or not _is_schema(found.input_schema):
        return None
    try:
        input_schema, output_schema = visible_schema(found.input_schema), visible_schema(found.output_schema)
        annotations = visible_schema(found.annotations)
    except ValueError:
        return None
    return McpTool(
        name=found.name,
        title=None if found.title is None else visible(found.title),
        description=visible(found.description or ""),
        input_schema=input_schema,
        output_schema=output_schema if isinstance(output_schema, dict) else None,
        annotations=annotations if isinstance(annotations, dict) else None,
    )


def is_name(name: str) -> bool:
    """Return True for 1 to 128 printable characters without spaces."""
    return 0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and " " not in name


def _is_schema(schema: Any) -> bool:
    """Return True if arguments can be checked by the schema."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return False
    try:
        Schema(schema)
    except SchemaRefused:
        return False
    return True
