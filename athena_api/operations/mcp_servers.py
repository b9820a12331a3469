"""Operations on MCP servers: list them, look at their tools, check them, and accept what changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.clock import iso, iso_or_none
from athena_core.definitions.profile import MCP_PATTERN_CHARS_MAX, MCP_TOOLS_MAX
from athena_core.domain.mcp_server import AcceptTools
from athena_core.enums import McpToolState, McpTransport
from athena_core.errors import McpListingChanged
from athena_core.event import Position, Value, says
from athena_core.mcp.listed_tool import McpTool
from athena_core.mcp.tool_names import public_name
from athena_core.services.mcp.catalogue import CataloguedServer
from athena_core.values import Body, ChainValue, Label, Role

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

McpListState: TypeAlias = Literal["unlisted", "current", "changed"]
"""The last listing of a server beside what an operator accepted: there is none, the same, or something else."""
WORDS_CHARS_MAX = 200
"""Maximum length of the name and the version by a server."""


class McpServerWords(Value):
    """The name and the version of an MCP server, in its own words."""

    name: Annotated[str | None, says("Name of the program.")] = None
    version: Annotated[str | None, says("Version of the program.")] = None


class McpServerEntry(Value):
    """An MCP server that is registered here, or that was listed once."""

    server: Annotated[str, says("Name of the server in the operator's file.")]
    registered: Annotated[bool, says("True if it is in the file of this server.")]
    state: Annotated[McpListState, says("`unlisted`, `current` if it listed what was accepted, else `changed`.")]
    tools: Annotated[int, says("Number of tools that it listed last.")]
    changed: Annotated[int, says("Number of tools that are changed, new or removed since.")]
    transport: McpTransport | None = None
    server_info: Annotated[McpServerWords | None, says("Its name and version, in its own words.")] = None
    protocol_version: str | None = None
    listed_at: Annotated[str | None, says("When its tools were recorded last.")] = None
    accepted_at: Annotated[str | None, says("When tools were accepted last; absent: only the first list.")] = None
    accepted_by: Annotated[str | None, says("Who accepted them.")] = None
    missing: Annotated[
        tuple[str, ...] | None, says("What this machine lacks for it; absent: nothing, or for other roles.")
    ] = None


class McpServerList(Value):
    """The MCP servers."""

    servers: Annotated[tuple[McpServerEntry, ...], says("The servers, by name.")]


class McpDefinition(Value):
    """A tool in the words of its server. If its text was erased, only the hash is left."""

    sha256: Annotated[str, says("Hash of the definition, hex.")]
    title: Annotated[str | None, says("Name for people.")] = None
    description: Annotated[str | None, says("Description for models.")] = None
    input_schema: Annotated[dict[str, Any] | None, says("JSON Schema of the arguments.")] = None
    output_schema: Annotated[dict[str, Any] | None, says("JSON Schema of the structured result.")] = None
    annotations: Annotated[dict[str, Any] | None, says("Hints of the server, such as `readOnlyHint`.")] = None


class McpToolEntry(Value):
    """A tool of an MCP server, as it was listed last and as it was accepted."""

    name: Annotated[str, says("Name of the tool by its server.")]
    public_name: Annotated[str, says("Name of the tool for models and outside agents.")]
    state: Annotated[
        McpToolState, says("`accepted`, `changed` or `new` since the acceptance, or `removed` from the list.")
    ]
    read_only: Annotated[bool | None, says("True if the server says that calls change nothing.")] = None
    listed: Annotated[McpDefinition | None, says("The tool as it was listed last.")] = None
    accepted: Annotated[McpDefinition | None, says("The tool as it was accepted, if that differs.")] = None


class McpServerDetails(Value):
    """An MCP server with its tools."""

    server: Annotated[McpServerEntry, says("The server as lists show it.")]
    tools: Annotated[tuple[McpToolEntry, ...], says("Its tools, as listed last; then removed ones.")]
    subject_hash: Annotated[str | None, says("Hash of the last list, hex. An acceptance names it.")] = None
    listing_sha256: str | None = None
    note: Annotated[str | None, says("Note of the last acceptance.")] = None


ToolName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MCP_PATTERN_CHARS_MAX)]


class AcceptanceBody(Body):
    """The tools to accept. ``subject_hash``, or ``listing_sha256`` as in release 0.2, names the list that was shown."""

    subject_hash: Annotated[ChainValue | None, says("Hash of the list that was shown.")] = None
    listing_sha256: ChainValue | None = None
    tools: Annotated[
        Annotated[tuple[ToolName, ...], msgspec.Meta(min_length=1, max_length=MCP_TOOLS_MAX)] | None,
        says("Names of the tools; absent: all of the list."),
    ] = None
    note: Annotated[Label | None, says("Reason, for the audit trail.")] = None


async def list_mcp_servers(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the MCP servers that are registered on this server, and those that were listed by others."""
    lacks = await _lacks(plane, call)
    names = sorted(plane.mcp_servers.names.union(plane.mcp_catalogue.names()))
    entries = [_entry(plane, name, plane.mcp_catalogue.current(name), lacks) for name in names]
    return Reply(data=McpServerList(servers=tuple(entries)), position=call.position)


async def get_mcp_server(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get an MCP server with the tools that it listed last, and what an operator accepted."""
    return await _details(plane, call, call.position)


async def check_mcp_server(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Start an MCP server, list its tools, record them if they changed, and end it. Nothing is accepted by that."""
    await plane.mcp_checks.check(call.path["server"], call.meta, call.key)
    return await _details(plane, call, plane.log.signal.position)


async def accept_mcp_tools(plane: "ControlPlane", call: ApiCall[AcceptanceBody, NoQuery]) -> Reply:
    """Accept tools of an MCP server as it listed them last."""
    body = call.body
    shown = body.subject_hash or body.listing_sha256
    if shown is None or body.listing_sha256 not in (None, shown):
        raise McpListingChanged("The request names no list, or two. Send the subjectHash of the list that was shown.")
    command = AcceptTools(
        server=call.path["server"],
        listing_sha256=shown,
        by=call.who.subject,
        names=body.tools,
        note=body.note,
    )
    done = await plane.mcp_catalogue.accept(command, call.meta, call.key)
    reply = await _details(plane, call, done.position)
    reply.replayed = done.replayed
    return reply


async def _details(plane: "ControlPlane", call: ApiCall[Any, Any], position: Position) -> Reply:
    name, lacks = call.path["server"], await _lacks(plane, call)
    found = plane.mcp_catalogue.current(name)
    existing(found or plane.mcp_servers.find(name), "MCP server", name)
    details = McpServerDetails(
        server=_entry(plane, name, found, lacks),
        tools=_tools(found) if found is not None else (),
        subject_hash=found.listing_sha256 if found is not None else None,
        listing_sha256=found.listing_sha256 if found is not None else None,
        note=found.note if found is not None else None,
    )
    return Reply(data=details, position=position)


async def _lacks(plane: "ControlPlane", call: ApiCall[Any, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return what this machine lacks for each server, for roles that may check it."""
    if not call.who.role.reaches(Role.OPERATOR):
        return {}
    known, registered = plane.credentials.names, plane.mcp_servers.entries
    found = {}
    for name, lacks in (await plane.mcp_servers.looked_at()).items():
        needed = registered[name].credential_names if name in registered else ()
        found[name] = (*lacks, *(f"no credential {one!r} exists" for one in needed if one not in known))
    return found


def _entry(
    plane: "ControlPlane", name: str, found: CataloguedServer | None, lacks: Mapping[str, tuple[str, ...]]
) -> McpServerEntry:
    registered = plane.mcp_servers.find(name)
    if found is None:
        entry = McpServerEntry(server=name, registered=registered is not None, state="unlisted", tools=0, changed=0)
    else:
        changed = sum(state != "accepted" for state in found.states().values())
        entry = McpServerEntry(
            server=name,
            registered=registered is not None,
            state="changed" if changed else "current",
            tools=len(found.listed),
            changed=changed,
            server_info=_words(found.info),
            protocol_version=found.protocol_version,
            listed_at=iso(found.listed_at),
            accepted_at=iso_or_none(found.accepted_at),
            accepted_by=found.accepted_by,
        )
    return msgspec.structs.replace(
        entry, transport=registered.transport if registered is not None else None, missing=lacks.get(name) or None
    )


def _words(info: Mapping[str, Any]) -> McpServerWords | None:
    words = {name: str(info[name])[:WORDS_CHARS_MAX] for name in ("name", "version") if info.get(name)}
    return McpServerWords(**words) if words else None


def _tools(server: CataloguedServer) -> tuple[McpToolEntry, ...]:
    entries = []
    for name, state in server.states().items():
        listed, accepted = server.listed.get(name), server.accepted.get(name)
        entries.append(
            McpToolEntry(
                name=name,
                public_name=public_name(server.name, name),
                state=state,
                read_only=listed.read_only if listed else None,
                listed=_definition(listed.sha256, server.definition(listed.sha256)) if listed else None,
                accepted=None
                if accepted is None or state == "accepted"
                else _definition(accepted, server.definition(accepted)),
            )
        )
    return tuple(entries)


def _definition(sha256: str, tool: McpTool | None) -> McpDefinition:
    if tool is None:
        return McpDefinition(sha256=sha256)
    return McpDefinition(
        sha256=sha256,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=tool.annotations,
    )


row = Noun("mcp").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "mcp-servers.list",
        "GET /mcp-servers",
        list_mcp_servers,
        answer=McpServerList,
        shared=True,
        command="mcp-servers list",
    ),
    row("mcp-servers.get", "GET /mcp-servers/:server", get_mcp_server, answer=McpServerDetails, shared=True),
    row(
        "mcp-servers.check",
        "POST /mcp-servers/:server/check",
        check_mcp_server,
        answer=McpServerDetails,
        errors=("NOT_FOUND", "MCP_SERVER_FAILED"),
        command="mcp-servers check",
    ),
    row(
        "mcp-servers.accept",
        "POST /mcp-servers/:server/accept",
        accept_mcp_tools,
        answer=McpServerDetails,
        errors=("NOT_FOUND", "MCP_LISTING_CHANGED"),
        command="mcp-servers accept",
    ),
)
