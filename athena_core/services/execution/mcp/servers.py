"""MCP servers that run here: started in a box, listed, and compared with what an operator has accepted."""

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from anyio import to_thread
from msgspec.structs import replace

from athena_core.errors import AthenaError
from athena_core.event import Meta
from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.servers import McpServer
from athena_core.services.mcp.catalogue import McpCatalogue
from athena_core.services.mcp.starting import McpStarter
from athena_core.services.sandboxes import RunSandboxes
from athena_core.system.sandbox import WORKSPACE, Sandbox, SandboxRefused
from athena_core.tools.tool import CommandBox
from athena_core.tools.workspace import Workspace

UNBOXED_SERVER = (
    "it could act as any person, because this server trusts the identity header of every program of this machine. "
    "Set sandbox = true for it, or set ATHENA_AUTH_PROXY_SECRET and let the proxy send it"
)


class OpenServer:
    """A server that runs, with its last listing. ``listed`` has the hash of each of its tools."""

    def __init__(
        self, known: McpServer, client: McpClient, starter: McpStarter, catalogue: McpCatalogue, meta: Meta
    ) -> None:
        """``meta`` is for the record of a listing that differs from the last one."""
        self.known = known
        self.client = client
        self.listed: Mapping[str, str] = {}
        self._looked = False
        self._starter = starter
        self._catalogue = catalogue
        self._meta = meta

    async def look(self) -> None:
        """List the tools if they were not listed, or have changed since. Raise McpFailure."""
        if not self._looked or self.client.listing_changed:
            self._looked = False  # until it is recorded, because this may fail or be cancelled
            found = await self.client.listing(self.known.start_timeout_ms / 1_000)
            listing = self._starter.listing_of(found)
            try:
                await self._catalogue.note(self.known.name, listing, self._meta)
            except AthenaError as error:
                if not error.retryable:
                    raise  # otherwise the next listing is recorded; what may be called does not depend on that
            self.listed = {tool.name: tool.sha256 for tool in listing.tools}
            self._looked = True


class ServerBoxes:
    """Makes the boxes of servers."""

    def __init__(self, sandboxes: RunSandboxes) -> None:
        self._sandboxes = sandboxes

    async def box(self, known: McpServer, readonly: tuple[Path, ...], proxy: Path | None) -> CommandBox | None:
        """Return the box of a server; None for one that has none. Raise McpFailure if none works here."""
        if known.url is None and not known.sandbox and self._sandboxes.programs_trusted:
            raise McpFailure(known.name, "cannot-start", f"It has no sandbox: {UNBOXED_SERVER}.")
        if known.url is not None or not known.sandbox:
            return None
        found = await self._sandboxes.probed()
        if not found.available:
            reason = f"It needs a sandbox, and none works on this machine: {found.reason}."
            raise McpFailure(known.name, "cannot-start", reason)
        return CommandBox(
            readonly=(*map(Path, known.read_only), *readonly), proxy=proxy, limits=self._sandboxes.limits.for_agent()
        )


async def sandbox_of(known: McpServer, box: CommandBox | None, workspace: Workspace) -> Sandbox | None:
    """Return the sandbox of a server in a workspace. Raise McpFailure."""
    try:
        return None if box is None else await to_thread.run_sync(box.around, workspace)
    except SandboxRefused as error:
        raise McpFailure(known.name, "cannot-start", f"It cannot start: {error}.") from error


class SharedServers:
    """The servers that all runs of this executor use. Each works in an empty directory of its own, without network."""

    def __init__(self, starter: McpStarter, catalogue: McpCatalogue, boxes: ServerBoxes) -> None:
        self._starter = starter
        self._catalogue = catalogue
        self._boxes = boxes
        self._open: dict[str, OpenServer] = {}
        self._stacks: dict[str, AsyncExitStack] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def open(self, known: McpServer, meta: Meta) -> OpenServer:
        """Return a server. It is started if it does not run, or if its definition has changed. Raise McpFailure."""
        async with self._locks.setdefault(known.name, asyncio.Lock()):
            found = self._open.get(known.name)
            if found is None or found.client.ended or found.known != known:
                await self._end(known.name)
                found = await self._start(known, meta)
            await found.look()
            return found

    async def _start(self, known: McpServer, meta: Meta) -> OpenServer:
        async with AsyncExitStack() as stack:
            place = await to_thread.run_sync(lambda: tempfile.TemporaryDirectory(prefix="athena-mcp-"))
            stack.push_async_callback(to_thread.run_sync, place.cleanup)
            directory = Path(place.name)
            box = await self._boxes.box(known, (), None)
            sandbox = None
            if box is not None:
                sandbox = Sandbox(directory, readonly=box.readonly, place=WORKSPACE, limits=box.limits)
            client = await self._starter.start(known, directory, sandbox)
            stack.push_async_callback(client.close)
            self._stacks[known.name] = stack.pop_all()
        meta = replace(meta, causation=None)
        found = self._open[known.name] = OpenServer(known, client, self._starter, self._catalogue, meta)
        return found

    async def _end(self, name: str) -> None:
        self._open.pop(name, None)
        stack = self._stacks.pop(name, None)
        if stack is not None:
            await stack.aclose()

    async def close(self) -> None:
        for name in list(self._stacks):
            await self._end(name)
