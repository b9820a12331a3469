"""The toolbox: all tools by name, and the parser of a model's tool call."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from athena_core.credentials.credentials import Credentials
from athena_core.schema import Schema
from athena_core.tools.ask_user import AskUserTool
from athena_core.tools.evidence import EvidenceTool
from athena_core.tools.files import FilesTool
from athena_core.tools.http import HttpTool
from athena_core.tools.memory import MemoryTool
from athena_core.tools.shell import ShellTool
from athena_core.tools.tool import BadArguments, Tool, UnknownTool
from athena_core.values import ToolSpec

ARGUMENTS_BYTES_MAX = 8_000_000
NAME_CHARS_SHOWN = 100


class ToolRegistry(Protocol):
    """The tools that exist."""

    @property
    def names(self) -> Collection[str]:
        """The names of all tools."""

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Return the descriptions for the model of the named tools that exist."""

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        """Return the tool of a call and its parsed arguments. Raise UnknownTool or BadArguments."""


class Toolbox:
    """All tools. The profile of a run decides which of them the run has."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """Take the tools and compile their schemas."""
        self._tools = {tool.spec.name: (tool, Schema(tool.spec.parameters)) for tool in tools}

    @property
    def names(self) -> frozenset[str]:
        """The names of all tools."""
        return frozenset(self._tools)

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Return the descriptions of a profile's tools, each once, in its order. Unknown names are ignored."""
        return tuple(self._tools[name][0].spec for name in dict.fromkeys(names) if name in self._tools)

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        """Return the tool of a call and its arguments, parsed from the model's JSON text (empty: no arguments).

        ``names`` are the tools of the profile. Raise UnknownTool or BadArguments.
        """
        allowed = [spec.name for spec in self.specs(names)]
        if name not in allowed:
            raise unknown_tool(name, allowed)
        tool, schema = self._tools[name]
        return tool, arguments_of(name, arguments, schema)


def unknown_tool(name: str, allowed: Sequence[str], note: str = "") -> UnknownTool:
    """Return the refusal of a tool that a run does not have. ``allowed`` are the tools that it has."""
    told = f"use one of {', '.join(allowed)}" if allowed else "this run has no tools"
    return UnknownTool(
        f"This run has no tool {name[:NAME_CHARS_SHOWN]!r}: {told}. "
        f"{note}(An operator can add tools to config.tools of the harness profile.)"
    )


def arguments_of(name: str, arguments: str, schema: Schema) -> Mapping[str, Any]:
    """Return the arguments of a call, parsed from the model's JSON text (empty: none). Raise BadArguments."""
    try:
        encoded = (arguments.strip() or "{}").encode()
        if len(encoded) > ARGUMENTS_BYTES_MAX:
            raise BadArguments(
                f"The arguments of {name} have {len(encoded)} bytes; the limit is {ARGUMENTS_BYTES_MAX}."
            )
        value = msgspec.json.decode(encoded)
    except (ValueError, RecursionError) as error:  # also text that UTF-8 cannot encode
        raise BadArguments(f"The arguments of {name} are not JSON: {error}. Send one JSON object.") from None
    if problems := schema.problems(value):
        raise BadArguments(f"The arguments of {name} do not match its schema: {'; '.join(problems)}.")
    if not isinstance(value, dict):
        raise BadArguments(f"The arguments of {name} are no JSON object. Send one JSON object.")
    return value


def toolbox(credentials: Credentials | None = None, *, allow_loopback: bool = False) -> Toolbox:
    """Return all tools. ``allow_loopback`` lets tests of http reach their own machine."""
    http = HttpTool(credentials, allow_loopback=allow_loopback)
    return Toolbox((MemoryTool(), FilesTool(), ShellTool(), http, EvidenceTool(), AskUserTool()))
