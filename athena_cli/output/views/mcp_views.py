"""The views of MCP servers: their tools, and what changed in them since they were accepted."""

import difflib
from collections.abc import Iterator

from athena_cli.output.ask_text import block, visible
from athena_cli.output.column import Column, Record, ago, at, number, text, text_of, word
from athena_cli.output.tables import WIDE
from athena_cli.output.values import counted, line
from athena_cli.output.views.view import Listed, View

PARTS = (
    ("title", "title"),
    ("description", "description"),
    ("arguments", "inputSchema"),
    ("result", "outputSchema"),
    ("hints", "annotations"),
)
"""The parts of a tool that models read, and their members."""
CONTEXT_LINES = 3
NONE = "none; set ATHENA_MCP_SERVERS on the server"


def program(record: Record) -> str:
    """Return the name and the version that a server gives itself."""
    info = record.get("serverInfo") or {}
    return line(visible(f"{info.get('name') or ''} {info.get('version') or ''}".strip()))


def _status(record: Record) -> str:
    """Return the state of a server, and what it lacks."""
    absent = () if record.get("registered") else ("not registered on this server",)
    return line("; ".join((str(record["state"]), *absent, *(record.get("missing") or ()))))


def _pending(record: Record) -> list[Record]:
    return [tool for tool in record["tools"] if tool["state"] != "accepted"]


def _lines(definition: Record, member: str) -> list[str]:
    """Return a part of a tool as lines, with its control characters written out."""
    import msgspec

    value = definition.get(member)
    if value is None:
        return []
    if not isinstance(value, str):
        value = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return [visible(one.replace("\t", "    ")) for one in value.split("\n")]


def _change(tool: Record) -> Iterator[str]:
    """Yield what differs in a tool, part by part, as a diff."""
    yield f"{visible(str(tool['name']))} ({tool['state']})"
    if tool["state"] == "removed":
        return
    before, after = tool.get("accepted") or {}, tool.get("listed") or {}
    for title, member in PARTS:
        old, new = _lines(before, member), _lines(after, member)
        if old == new:
            continue
        yield f"{title}:"
        for found in difflib.unified_diff(old, new, n=CONTEXT_LINES, lineterm=""):
            if not found.startswith(("--- ", "+++ ", "@@")):
                yield from block(found[1:], WIDE, f"{found[0]} ")


def _changes(record: Record) -> str:
    """Return all that an operator would accept."""
    return "\n".join(shown for tool in _pending(record) for shown in _change(tool))


def _accept(record: Record) -> str:
    """Return the command that accepts the changes that are shown, if there are any."""
    name, sha256 = at(record, "server.server"), record.get("subjectHash")
    return f"athena mcp-servers accept {name} --subject-hash {sha256}" if _pending(record) else ""


def _first_line(tool: Record) -> str:
    description = at(tool, "listed.description") or at(tool, "accepted.description") or ""
    return text_of(visible(str(description).split("\n", 1)[0]))


def _of_server(column: Column) -> Column:
    """Return a field of the entry inside of the details."""
    return column._replace(read=lambda record: column.read(record["server"]))


MCP_SERVERS = View(
    (Column("registered", lambda record: counted(len(record["servers"]), "server") if record["servers"] else NONE),),
    (),
    (
        Listed(
            "servers",
            "servers",
            (
                word("server", "server"),
                Column("status", _status),
                number("tools", "tools"),
                number("to accept", "changed", rank=1),
                Column("program", program, 2),
                word("protocol", "protocolVersion", rank=3),
                ago("listed", "listedAt", rank=4),
            ),
        ),
    ),
)

MCP_SERVER = View(
    (
        *map(
            _of_server,
            (
                word("server", "server"),
                Column("status", _status),
                Column("program", program),
                word("transport", "transport"),
                word("protocol", "protocolVersion"),
                ago("listed", "listedAt"),
                ago("accepted", "acceptedAt"),
                word("accepted by", "acceptedBy"),
            ),
        ),
        text("note", "note"),
    ),
    (("to accept", _changes),),
    (
        Listed(
            "tools",
            "tools",
            (
                Column("tool", lambda tool: visible(str(tool["name"]))),
                word("status", "state"),
                Column("reads only", lambda tool: "yes" if tool.get("readOnly") else "", 1),
                Column("description", _first_line, least=16),
            ),
        ),
    ),
    (("accept with", _accept),),
)
