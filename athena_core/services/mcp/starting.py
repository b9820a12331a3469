"""The start of an MCP server with its secrets: of a program in a directory, or of a conversation with a URL.

Programs get secrets as variables, requests as the operator's template says. The words of a server about itself are
masked before anything compares, records or shows them.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from athena_core import __version__
from athena_core.credentials.credentials import Credential, Credentials, CredentialUnavailable
from athena_core.credentials.template import TemplateConflict
from athena_core.mask import Mask
from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire
from athena_core.mcp.client.listing import Listing
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.listed_tool import McpTool
from athena_core.mcp.servers import McpServer
from athena_core.services.mcp.catalogue import ServerListing
from athena_core.system.process import CannotStart, Child, environment
from athena_core.system.sandbox import Sandbox
from athena_core.tools.destination import Resolve, addresses, is_public, resolved


class McpStarter:
    """Starts MCP servers, with the credentials of this process."""

    def __init__(self, credentials: Credentials, mask: Mask, resolve: Resolve = resolved) -> None:
        """Only tests set ``resolve``."""
        self._credentials = credentials
        self._mask = mask
        self._resolve = resolve

    async def start(self, server: McpServer, directory: Path, sandbox: Sandbox | None) -> McpClient:
        """Start a program in a directory, or connect to a URL, and agree on the protocol. Raise McpFailure.

        The caller closes the client. ``sandbox`` is for a program only.
        """
        wire: StdioWire | HttpWire
        if server.url is None:
            wire = StdioWire(lambda: self._child(server, directory, sandbox))
        else:
            access = UrlAccess(server, self._credentials, self._resolve)
            wire = HttpWire(server.url, resolve=access.addresses, sign=access.sign if server.credential else None)
        client = McpClient(server.name, wire, version=__version__, asks=True, mask=self._mask)
        await client.open(server.start_timeout_ms / 1_000)
        return client

    async def _child(self, server: McpServer, directory: Path, sandbox: Sandbox | None) -> Child:
        if sandbox is not None:
            directory = sandbox.shown
        variables = environment() | server.variables(directory)
        for variable, name in server.credentials.items():
            variables[variable] = await self._secret(name)
        return await Child.start(server.argv(directory), variables, directory=directory, sandbox=sandbox)

    async def _secret(self, name: str) -> str:
        credential = self._credentials.find(name)
        if credential is None:
            raise CannotStart(f"no credential {name!r} exists in this process")
        try:
            return await credential.secret()
        except CredentialUnavailable:  # its message names places of the server
            raise CannotStart(f"the secret of credential {name!r} cannot be read now; see the health") from None

    def listing_of(self, listing: Listing) -> ServerListing:
        """Return what a server listed, without secrets."""
        tools = tuple(self._masked(tool) for tool in listing.tools)
        info = self._mask.hide_in(msgspec.to_builtins(listing.server_info))
        return ServerListing(listing.protocol_version, tools, {k: v for k, v in info.items() if v})

    def _masked(self, tool: McpTool) -> McpTool:
        return msgspec.convert(self._mask.hide_in(msgspec.to_builtins(tool)), McpTool)


class UrlAccess(NamedTuple):
    """The addresses and the credential of a server behind a URL."""

    server: McpServer
    credentials: Credentials
    resolve: Resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses that may be connected to. Raise OSError, and McpFailure if one may not.

        A private server may have addresses that are not public; plain http goes only there. So does its credential, if
        that is private.
        """
        found = await self.resolve(host, port)
        credential = self._credential()
        for address in addresses(found):
            public = is_public(address)
            if not public and not self.server.private:
                raise self._refused(f"Its host {host} has the address {address}, which is not public.")
            if not public and credential is not None and not credential.private:
                raise self._refused(f"Its address {address} is not public, and its credential is not private.")
            if public and self.server.place[0] == "http":
                raise self._refused(f"Its host {host} has the public address {address}, and the URL is plain http.")
        return found

    async def sign(self, headers: dict[str, str], path: str) -> tuple[dict[str, str], str]:
        """Return the headers and the path with the secret. Raise McpFailure, without a secret in the message."""
        name = self.server.credential
        credential = self._credential()
        if credential is None or not credential.covers(*self.server.place):
            raise self._refused(f"Its credential {name!r} does not exist here, or its hosts do not cover the URL.")
        try:
            return credential.apply(await credential.secret(), headers, path)
        except TemplateConflict as conflict:
            raise self._refused(str(conflict)) from None
        except CredentialUnavailable:
            raise self._refused(f"The secret of credential {name!r} cannot be read now; see the health.") from None

    def _credential(self) -> Credential | None:
        return None if self.server.credential is None else self.credentials.find(self.server.credential)

    def _refused(self, detail: str) -> McpFailure:
        return McpFailure(self.server.name, "connection", detail)
