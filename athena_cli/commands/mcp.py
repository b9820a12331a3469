"""The command that offers the plane to an MCP client on standard input and output."""

import sys

from athena_cli.client import ConnectionOptions, settings_of
from athena_cli.render import note


def serve_mcp(*, connection: ConnectionOptions | None = None) -> None:
    """Serve the tools of this plane to an MCP client on standard input and output, until its input ends.

    An MCP client, such as a desktop app or a coding agent, starts this command. Messages go to `/mcp` of the server.
    Without a server, they go to the state directory, which must exist. Problems are printed on standard error.

    Args:
        connection: Connection options.
    """
    import asyncio

    from athena_cli.mcp.bridge import McpBridge, input_lines, write_output
    from athena_cli.transport import connect_http

    settings = settings_of(connection)
    if sys.stdin.isatty():
        note("Waiting for messages of an MCP client on standard input. Ctrl-D ends.")

    async def serve() -> None:
        async with connect_http(settings) as http:
            await McpBridge(http, input_lines(), write_output).serve()

    asyncio.run(serve())
