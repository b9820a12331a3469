"""The tools of agents: how a scripted model calls the tool for commands, or for files, of whichever agent asks it."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from athena_cli.agent_check.scripted.wires import Body

SHELLS = ("shell", "exec_command", "shell_command", "bash", "Bash", "run_shell_command", "container.exec")
"""Names of tools that run a command, the preferred ones first."""
WRITERS = ("edit", "write", "Write", "write_file")
"""Names of tools that write a whole file."""
COMMANDS = ("command", "cmd")
PATHS = ("path", "file_path", "filePath")
TEXTS = ("text", "content")
WORDS: Mapping[str, str] = {"description": "Run a step of the check"}
"""Values of required arguments that say nothing."""
ESCALATION = {"sandbox_permissions": "require_escalated", "justification": "The check needs it."}
"""Arguments with which an agent that has a sandbox of its own asks for the permission of a command."""
WORKSPACE = re.compile(r"/[^\s\"'\\<>:*?]*/workspaces/[^\s\"'\\<>:*?/]+/files\b")
"""The directory of a run, which agents mention in their requests."""


class ToolCallWords(NamedTuple):
    """A call in the words of an agent's tool."""

    tool: str
    arguments: Mapping[str, Any]


class NoTool(Exception):
    """The agent offers its model no tool for a step. The message names those that it offers."""


def call_offered(body: Body, name: str, arguments: Mapping[str, Any]) -> ToolCallWords:
    """Return the call of a tool of an MCP server, which agents offer under a name of their own. Raise NoTool."""
    offered = [tool for tool, _ in _tools(body)]
    found = next((tool for tool in offered if re.fullmatch(rf"(.*[._:])?{re.escape(name)}", tool)), None)
    if found is None:
        raise NoTool(f"The agent offers its model no tool {name}: {', '.join(offered) or 'no tool at all'}.")
    return ToolCallWords(found, arguments)


def run_command(body: Body, command: str, *, escalates: bool) -> ToolCallWords:
    """Return the call that runs a command. ``escalates``: with the request to leave the agent's own sandbox.

    Raise NoTool.
    """
    schemas = dict(_tools(body))
    for name in SHELLS:
        members = _members(schemas.get(name))
        for member in COMMANDS:
            if member in members:
                listed = members[member].get("type") == "array"
                more = {key: text for key, text in WORDS.items() if key in members}
                if escalates and ESCALATION.keys() <= members.keys():
                    more |= ESCALATION
                return ToolCallWords(name, {member: ["bash", "-lc", command] if listed else command, **more})
    raise NoTool(f"The agent offers its model no known tool for commands: {', '.join(schemas) or 'no tool at all'}.")


def write_file(body: Body, raw: str, path: str, text: str, *, escalates: bool) -> ToolCallWords:
    """Return the call that writes a file of the workspace, with a command if the agent has no tool for files.

    ``raw`` is the text of the request. Raise NoTool.
    """
    schemas = dict(_tools(body))
    for name in WRITERS:
        members = _members(schemas.get(name))
        places = [member for member in PATHS if member in members]
        texts = [member for member in TEXTS if member in members]
        if places and texts:
            found = WORKSPACE.search(raw)
            return ToolCallWords(name, {places[0]: f"{found[0]}/{path}" if found else path, texts[0]: text})
    return run_command(body, f"printf %s {shlex.quote(text)} > {shlex.quote(path)}", escalates=escalates)


def _tools(body: Body) -> Iterator[tuple[str, Any]]:
    """Yield the name and the schema of each tool that a request offers, in any wire.

    A tool of a namespace is named by both, with ``::`` in between.
    """
    for tool in body.get("tools") or ():
        if tool.get("type") == "namespace":
            yield from ((f"{tool['name']}::{name}", schema) for name, schema in _tools(tool))
            continue
        for one in tool.get("functionDeclarations") or (tool.get("function") or tool,):
            schema = one.get("parameters") or one.get("parametersJsonSchema") or one.get("input_schema")
            if isinstance(one.get("name"), str):
                yield one["name"], schema


def _members(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}
