"""The MCP servers of one run under one lease: started at the first call in the workspace of the run, ended with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import anyio
import msgspec
from msgspec.structs import replace

from athena_core.clock import Clock, Ids
from athena_core.domain import run
from athena_core.event import Meta
from athena_core.mask import Mask
from athena_core.mcp.client.client import Progress
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.result import McpResult
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.mcp.servers import McpServer
from athena_core.services.execution.mcp.call_progress import CallProgress
from athena_core.services.execution.mcp.elicitation import CallQuestions
from athena_core.services.execution.mcp.servers import OpenServer, ServerBoxes, SharedServers, sandbox_of
from athena_core.services.execution.performer import RunRecorder, ShowActivity
from athena_core.services.execution.progress import RunAssignment, RunProgress
from athena_core.services.execution.run_place import RunPlace
from athena_core.services.mcp.catalogue import McpCatalogue
from athena_core.services.mcp.run_tools import RunTools, ServerCatalogue, changed_tool
from athena_core.services.mcp.starting import McpStarter
from athena_core.services.sandboxes import RunSandboxes
from athena_core.text import clean
from athena_core.tools.egress_proxy import EgressProxy
from athena_core.tools.tool import ServerAnswer, ServerCalls, UnknownTool
from athena_core.tools.toolbox import ToolRegistry

AskPerson: TypeAlias = Callable[[McpQuestion], Awaitable[dict[str, Any] | None]]
"""Asks a person what a server wants to know. Returns the values of the form, None if there are none."""


class McpParts(NamedTuple):
    """The parts that all runs of this executor share. ``toolbox`` has the tools of Athena."""

    toolbox: ToolRegistry
    servers: RegisteredMcpServers
    catalogue: McpCatalogue
    starter: McpStarter
    boxes: ServerBoxes
    shared: SharedServers
    mask: Mask
    ids: Ids
    clock: Clock
    show: ShowActivity | None

    def tools_of(self, request: run.RunRequest) -> RunTools:
        """Return the tools of a run, by the recorded listings."""
        return self.tools_in(request, self.catalogue)

    def tools_in(self, request: run.RunRequest, catalogue: ServerCatalogue) -> RunTools:
        """Return the tools of a run by a catalogue, which may be the one of another moment."""
        profile = request.harness_profile_snapshot
        return RunTools(self.toolbox, catalogue, self.servers, profile, request.mcp_tools)


def mcp_parts(
    toolbox: ToolRegistry,
    servers: RegisteredMcpServers,
    catalogue: McpCatalogue,
    starter: McpStarter,
    sandboxes: RunSandboxes,
    mask: Mask,
    ids: Ids,
    clock: Clock,
    show: ShowActivity | None,
) -> McpParts:
    """Return the parts of an executor. Its shared servers are started at their first call."""
    boxes = ServerBoxes(sandboxes)
    shared = SharedServers(starter, catalogue, boxes)
    return McpParts(toolbox, servers, catalogue, starter, boxes, shared, mask, ids, clock, show)


class RunMcp:
    """The MCP servers of a run. ``close`` it in any case; a later call would start them again."""

    def __init__(self, parts: McpParts, assignment: RunAssignment, recorder: RunRecorder, place: RunPlace) -> None:
        self._parts = parts
        self._assignment = assignment
        self._recorder = recorder
        self._place = place
        request = assignment.request
        self._profile = request.harness_profile_snapshot
        if not request.profile_named and self._profile.mcp:
            self._profile = replace(self._profile, mcp=None)
        self._meta = Meta(actor="system:executor", correlation=assignment.correlation, causation=assignment.position)
        self._open: dict[str, OpenServer] = {}
        self._failed: dict[str, McpFailure] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._proxy: EgressProxy | None = None
        self._attached: list[run.McpAttached] = []
        self._asked_for: set[str] = set()
        self.tools = RunTools(
            parts.toolbox,
            parts.catalogue,
            parts.servers,
            self._profile,
            request.mcp_tools,
            self._open,
            self._failed,
        )

    # The list of tools

    async def list_new(self) -> None:
        """Start the servers that were never listed, once, so that their tools can be offered."""
        if names := (self._profile.mcp or {}).keys() - self._asked_for:
            self._asked_for |= names
            await self._start_all(name for name in names if not self._is_listed(name))

    def _is_listed(self, name: str) -> bool:
        """Return True if the tools of a server are known. Erased ones have to be listed again."""
        found = self._parts.catalogue.find(name)
        return found is not None and found.complete

    async def prepare(self, names: Iterable[str]) -> None:
        """Start the servers of these tools, by public name, and compare what they list with what was accepted.

        A server that cannot be started fails the calls.
        """
        servers = {self.tools.server_of(name) for name in names}
        await self._start_all(server for server in servers if server is not None)

    async def _start_all(self, names: Iterable[str]) -> None:
        tasks = [asyncio.create_task(self._try(name)) for name in names]
        if not tasks:
            return
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, name: str) -> None:
        self._failed.pop(name, None)
        try:
            await self._ready(name)
        except McpFailure as failure:
            self._failed[name] = failure

    def unrecorded(self) -> tuple[run.RunStep, ...]:
        """Return the records of the servers that were started since, once."""
        attached, self._attached = tuple(self._attached), []
        return attached

    # Calls

    def servers_of(self, call: run.ToolCalled, ask: AskPerson, report: Progress) -> ServerCalls:
        """Return the servers for one call. ``ask`` asks a person for a server, ``report`` shows progress."""
        return _CallServers(self, call, ask, report)

    def questions(self, call: run.ToolCalled, progress: RunProgress) -> CallQuestions:
        """Return the questions of a call of the loop."""
        parts = self._parts
        return CallQuestions(
            call,
            self.tools.server_of(call.tool_name or "") or "",
            self._profile.asks,
            progress,
            self._recorder,
            self.before_parking,
            parts.mask,
            parts.ids,
            parts.clock,
        )

    def progress(self, call: run.ToolCalled) -> CallProgress:
        """Return the live progress of a call of the loop."""
        parts, assignment = self._parts, self._assignment
        return CallProgress(call, assignment.request.session_id, assignment.run_id, parts.mask, parts.show)

    async def call(
        self, server: str, tool: str, arguments: Mapping[str, Any], name: str, ask: AskPerson, report: Progress
    ) -> ServerAnswer:
        """Call a tool with a public ``name``. Raise ToolRefused, and what ``ask`` raises."""
        known = self._parts.servers.find(server)
        local = known is not None and known.url is None and not known.shared
        if local:
            await self._place.sync_mirror()
        try:
            try:
                result = await self._call(server, tool, arguments, name, ask, report)
            except McpFailure as failure:
                if failure.code != "session-lost":  # otherwise the call was not made
                    raise
                self._failed.pop(server, None)  # it may have been noticed before the call
                result = await self._call(server, tool, arguments, name, ask, report)
        except McpFailure as failure:
            return ServerAnswer(content=str(failure), is_error=True, local=local)
        finally:
            if local:
                await self._place.sync_mirror()
        return self._answer(result, local=local)

    async def _call(
        self, server: str, tool: str, arguments: Mapping[str, Any], name: str, ask: AskPerson, report: Progress
    ) -> McpResult:
        found = await self._ready(server)
        if tool not in found.listed:
            raise UnknownTool(f"MCP server {server} no longer has the tool {name}.")
        if not self.tools.allowed(server, tool):
            raise changed_tool(server, name)
        seconds = found.known.call_timeout_ms / 1_000
        return await found.client.call(tool, dict(arguments), seconds=seconds, on_progress=report, ask=ask)

    def _answer(self, result: McpResult, *, local: bool) -> ServerAnswer:
        """Return a result in storable text without secrets."""
        mask = self._parts.mask
        structured = None
        if result.structured is not None:
            structured = mask.hide(clean(msgspec.json.encode(mask.hide_in(result.structured)).decode()))
        return ServerAnswer(
            content=result.text.shown(mask),
            structured=structured,
            is_error=result.is_error,
            truncated=result.truncated,
            local=local,
        )

    # Processes

    async def _ready(self, name: str) -> OpenServer:
        """Return a server that runs and whose tools are listed. Raise McpFailure."""
        if name in self._failed:
            raise self._failed[name]
        async with self._locks.setdefault(name, asyncio.Lock()):
            known = self._parts.servers.find(name)
            if known is None:
                raise McpFailure(name, "cannot-start", "It is not registered on this executor (ATHENA_MCP_SERVERS).")
            found = self._open.get(name)
            if known.shared:
                shared = await self._parts.shared.open(known, self._meta)
                if shared is not found:
                    self._open[name] = shared
                    self._attach(shared)
                return shared
            if found is not None and not found.client.ended:
                before = found.listed
                await found.look()
                if found.listed != before:
                    self._attach(found)
                return found
            if found is not None:
                del self._open[name]
                await found.client.close()
            return await self._start(known)

    async def _start(self, known: McpServer) -> OpenServer:
        proxy = await self._egress(known.name) if known.network == "egress" else None
        box = await self._parts.boxes.box(known, self._place.readonly, proxy)
        sandbox = await sandbox_of(known, box, self._place.files)
        directory = self._place.files.root.absolute()
        client = await self._parts.starter.start(known, directory, sandbox)
        found = OpenServer(known, client, self._parts.starter, self._parts.catalogue, self._meta)
        try:
            await found.look()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await client.close()
            raise
        self._open[known.name] = found
        self._attach(found)
        return found

    async def _egress(self, name: str) -> Path:
        """Return the socket of the proxy to the hosts of the profile. Raise McpFailure."""
        if self._proxy is None:
            try:
                self._proxy = await EgressProxy(self._profile.allowed_egress or ()).__aenter__()
            except OSError as error:
                detail = f"The proxy to its hosts has no socket: {error.strerror}."
                raise McpFailure(name, "cannot-start", detail) from error
        return self._proxy.socket

    def _attach(self, found: OpenServer) -> None:
        """Record a server that was started, or whose tools have changed while it ran."""
        name = found.known.name
        self._attached.append(
            run.McpAttached(
                server=name,
                transport=found.known.transport,
                protocol_version=found.client.protocol_version,
                tools=len(found.listed),
                shared=found.known.shared or None,
                refused=self.tools.refused(name) or None,
            )
        )

    async def before_parking(self) -> tuple[run.RunStep, ...]:
        """End the servers of a run that will be parked. Return what it leaves to record."""
        await self.close()
        return *self.unrecorded(), *await self._place.changes()

    async def close(self) -> None:
        """End the servers of the run; shared ones go on. It takes at most some seconds, also in a cancelled scope."""
        if not self._open and self._proxy is None:
            return
        with anyio.CancelScope(shield=True):
            own = [found.client for found in self._open.values() if not found.known.shared]
            self._open.clear()
            await asyncio.gather(*(client.close() for client in own))
            proxy, self._proxy = self._proxy, None
            if proxy is not None:
                await proxy.__aexit__(None, None, None)


class _CallServers:
    """The servers of a run for one call (``ServerCalls``)."""

    def __init__(self, mcp: RunMcp, call: run.ToolCalled, ask: AskPerson, report: Progress) -> None:
        self._mcp = mcp
        self._call = call
        self._ask = ask
        self._report = report

    async def call(self, server: str, tool: str, arguments: Mapping[str, Any]) -> ServerAnswer:
        """Call a tool of a server. Raise ToolRefused."""
        name = self._call.tool_name or ""
        return await self._mcp.call(server, tool, arguments, name, self._ask, self._report)
