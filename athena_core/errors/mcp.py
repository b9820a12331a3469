"""The errors of MCP servers."""

from athena_core.errors.families import Conflict, Upstream


class McpServerFailed(Upstream):
    """The MCP server could not be started or reached, or broke its protocol. The message has the reason."""

    code = "MCP_SERVER_FAILED"


class McpListingChanged(Conflict):
    """The MCP server has listed other tools since. Look at the new list, then accept that."""

    code = "MCP_LISTING_CHANGED"
