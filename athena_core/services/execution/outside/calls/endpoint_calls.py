"""The calls that an outside agent makes at the endpoint of its run, and its own reports of them.

An agent reports such a call by its own protocol, too, which must not become a second record. A report counts as one of
a call only if the call arrived here with the same tool and arguments. Each call has one report at most. So an agent, or
a model that chooses titles, hides nothing by a name.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from athena_core.agents.tool_calls import AgentToolCall

SERVER = "athena"
"""The name of the endpoint as an MCP server."""
UNREPORTED_MAX = 1_000
"""The most calls whose reports are expected. Older ones are recorded twice if the agent reports them after all."""


@dataclass
class EndpointCall:
    """A call at the endpoint."""

    id: str
    """Its id in the log."""
    tool: str
    """The name of the tool as the agent knows it."""
    arguments: bytes
    """The hash of its arguments."""
    open: bool = False
    """True if the record has the call and no result of it."""
    reported: bool = False
    asking: bool = False
    """True while its MCP server asks a person."""
    line: str = ""
    """The last progress that its MCP server reported."""

    def has(self, arguments: str) -> bool:
        """Return True if it is made with exactly the arguments that the agent gave: the mask changed none of them."""
        return _digest(msgspec.json.decode(arguments)) == self.arguments


class EndpointCalls:
    """The calls of the living process of an agent, oldest first."""

    def __init__(self) -> None:
        self._calls: list[EndpointCall] = []

    def begin(self, call_id: str, tool: str, arguments: Mapping[str, Any]) -> EndpointCall:
        """Return a call that has arrived."""
        call = EndpointCall(call_id, tool, _digest(arguments))
        settled = [one for one in self._calls if not one.open]
        if len(settled) >= UNREPORTED_MAX:
            self._calls.remove(settled[0])
        self._calls.append(call)
        return call

    def forget(self) -> None:
        """Forget the calls of a process that ended."""
        self._calls.clear()

    @property
    def open(self) -> tuple[EndpointCall, ...]:
        """The calls that were recorded and have no result."""
        return tuple(call for call in self._calls if call.open)

    def reports(self, call: AgentToolCall) -> bool:
        """Return True if an agent's call is its report of a call that was made here, once for each."""
        made = next((one for one in self._calls if not one.reported and is_report(call, one)), None)
        if made is None:
            return False
        made.reported = True  # it is kept: its record may be about to begin
        return True

    def ended(self, call: EndpointCall) -> None:
        """Note the result of a call."""
        call.open = False
        if call.reported and call in self._calls:
            self._calls.remove(call)


def is_report(call: AgentToolCall, made: EndpointCall) -> bool:
    """Return True if what an agent says about a call fits one that was made at the endpoint."""
    given = call.raw_input
    if isinstance(given, dict) and given.keys() >= {"server", "tool"}:  # Codex
        named = given["server"] == SERVER and given["tool"] == made.tool
        return named and _digest(given.get("arguments") or {}) == made.arguments
    titles = (f"{SERVER}_{made.tool}", f"mcp__{SERVER}__{made.tool}", f"{made.tool} ({SERVER} MCP Server)")
    return call.title in titles and (given is None or _digest(given) == made.arguments)


def _digest(arguments: object) -> bytes:
    return hashlib.sha256(msgspec.json.encode(arguments, order="deterministic")).digest()
