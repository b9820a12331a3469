"""The names of Athena's tools at the endpoint of a run."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {"evidence": "attach_evidence", "ask_user": "ask_user", "memory": "memory"}
"""The tools of Athena that an agent is offered if its profile lists them, with their names at the endpoint.

Agents have tools of their own for files and commands.
"""


class OfferedNames:
    """The names by which one agent knows the tools of the record. ``other`` replaces names of ``NAMES``."""

    def __init__(self, other: Mapping[str, str]) -> None:
        self._offered = {tool: other.get(name, name) for tool, name in NAMES.items()}
        self._recorded = {name: tool for tool, name in self._offered.items()}

    def offered(self, tool: str | None) -> str:
        """Return the name by which the agent knows a tool of the record."""
        return self._offered.get(tool or "", tool or "")

    def recorded(self, name: str) -> str:
        """Return the name in the record of a tool that the agent calls."""
        return self._recorded.get(name, name)
