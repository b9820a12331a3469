"""The operator's check of an MCP server: it is started here, in an empty directory, and its tools are recorded."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from athena_core.decider import Key
from athena_core.errors import McpServerFailed, NotFound
from athena_core.event import Meta
from athena_core.mcp.client.failure import FailureCode, McpFailure
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.mcp.servers import WORKSPACE, McpServer
from athena_core.services.mcp.catalogue import CataloguedServer, McpCatalogue, ServerListing
from athena_core.services.mcp.starting import McpStarter
from athena_core.system.process import CannotStart, Child, environment
from athena_core.system.sandbox import Sandbox, SandboxLimits, SandboxRefused, probe
from athena_core.tools.tool import CommandBox
from athena_core.tools.workspace import Workspace

GIT_SECONDS = 10.0
HINT = " A program outside of the system's directories needs its own directory in readOnly."
MISSING_CODES: Final = frozenset[FailureCode]({"cannot-start", "ended"})
"""The failures of a program that its sandbox does not show."""
CHECKS_MAX = 4
"""Maximum number of checks at a time. Others wait."""


class McpChecks:
    """Starts a registered server of this process, lists its tools, records them and ends it."""

    def __init__(
        self,
        registered: RegisteredMcpServers,
        starter: McpStarter,
        catalogue: McpCatalogue,
        workspace: Workspace,
        limits: SandboxLimits,
    ) -> None:
        """``workspace`` has the rules of what a program may not see; it does not work there."""
        self._registered = registered
        self._starter = starter
        self._catalogue = catalogue
        self._workspace = workspace
        self._limits = limits
        self._slots = anyio.CapacityLimiter(CHECKS_MAX)

    async def check(self, name: str, meta: Meta, key: Key | None) -> CataloguedServer:
        """Return the server with the tools that it lists now.

        Raise NotFound if it is not registered here, and McpServerFailed with the reason if it does not work.
        """
        server = self._registered.find(name)
        if server is None:
            raise NotFound(f"no MCP server {name!r} is registered in this process")
        directory = Path(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="athena-mcp-")))
        try:
            async with self._slots:
                listing = await self._listing(server, directory)
        except McpFailure as failure:
            boxed = server.url is None and server.sandbox and failure.code in MISSING_CODES
            raise McpServerFailed(f"{failure}{HINT if boxed else ''}") from failure
        finally:
            await to_thread.run_sync(lambda: shutil.rmtree(directory, ignore_errors=True))
        return await self._catalogue.note(name, listing, meta, key, limited=False)

    async def _listing(self, server: McpServer, directory: Path) -> ServerListing:
        if any(WORKSPACE in word for word in (*(server.command or ()), *server.environment.values())):
            await _make_repository(directory)
        sandbox = await to_thread.run_sync(self._sandbox, server, directory)
        client = await self._starter.start(server, directory, sandbox)
        try:
            return self._starter.listing_of(await client.listing(server.start_timeout_ms / 1_000))
        finally:
            await client.close()

    def _sandbox(self, server: McpServer, directory: Path) -> Sandbox | None:
        """Return the sandbox of a program, without a network. Raise McpFailure if it needs one and none works."""
        if server.url is not None or not server.sandbox:
            return None
        found = probe()
        if not found.available:
            reason = f"It needs a sandbox, and none works on this machine: {found.reason}. {found.remedy}"
            raise McpFailure(server.name, "cannot-start", reason)
        box = CommandBox(readonly=tuple(map(Path, server.read_only)), limits=self._limits)
        try:
            return box.around(self._workspace.own(directory))
        except SandboxRefused as error:
            raise McpFailure(server.name, "cannot-start", f"It has no sandbox: {error}.") from error


async def _make_repository(directory: Path) -> None:
    """Make an empty repository, because servers for a workspace may need one. Without git the directory stays empty."""
    with suppress(CannotStart):
        git = await Child.start(("git", "init", "-q"), environment(), directory=directory, fed=False, merged=True)
        try:
            with anyio.move_on_after(GIT_SECONDS):
                await git.exited.wait()
        finally:
            await git.end()
