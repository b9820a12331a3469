"""The toolbox: all tools by name, and the reading of a call that a model asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from athena_core.schema import Schema
from athena_core.tools.evidence import EvidenceTool
from athena_core.tools.files import FilesTool
from athena_core.tools.http import HttpTool
from athena_core.tools.memory import MemoryTool
from athena_core.tools.shell import ShellTool
from athena_core.tools.tool import BadArguments, Tool, UnknownTool
from athena_core.values import ToolSpec

ARGUMENTS_BYTES_MAX = 8_000_000
NAME_CHARS_SHOWN = 100


class Toolbox:
    """The tools that exist; which of them exist for a run is up to the names in its profile."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """Take the tools and compile their schemas."""
        self._tools = {tool.spec.name: (tool, Schema(tool.spec.parameters)) for tool in tools}

    @property
    def names(self) -> frozenset[str]:
        """The tools that exist at all."""
        return frozenset(self._tools)

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """What a model is told of those of the profile's tools that exist, each once, in the profile's order."""
        return tuple(self._tools[name][0].spec for name in dict.fromkeys(names) if name in self._tools)

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        """The tool of a call, and its arguments from the JSON text that the model wrote (none: no arguments).

        ``names`` are those of the profile. Raises UnknownTool and BadArguments.
        """
        allowed = [spec.name for spec in self.specs(names)]
        if name not in allowed:
            told = f"use one of {', '.join(allowed)}" if allowed else "this run has no tools"
            raise UnknownTool(
                f"There is no tool {name[:NAME_CHARS_SHOWN]!r} for this run: {told}. "
                "(An operator can name more in config.tools of the harness profile.)"
            )
        tool, schema = self._tools[name]
        try:
            encoded = (arguments.strip() or "{}").encode()
            if len(encoded) > ARGUMENTS_BYTES_MAX:
                raise BadArguments(f"The arguments of {name} have {len(encoded)} bytes; at most {ARGUMENTS_BYTES_MAX}.")
            value = msgspec.json.decode(encoded)
        except (ValueError, RecursionError) as error:  # also what UTF-8 cannot hold
            raise BadArguments(f"The arguments of {name} are no JSON: {error}. Send one JSON object.") from None
        if problems := schema.problems(value):
            raise BadArguments(f"The arguments of {name} do not fit its schema: {'; '.join(problems)}.")
        return tool, value


def toolbox(*, allow_loopback: bool = False) -> Toolbox:
    """Every tool; loopback is for tests of http."""
    return Toolbox((MemoryTool(), FilesTool(), ShellTool(), HttpTool(allow_loopback), EvidenceTool()))
