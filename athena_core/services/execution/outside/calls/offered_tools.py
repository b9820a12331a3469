"""The names of tools at the endpoint of a run."""

import hashlib
from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {"evidence": "attach_evidence", "ask_user": "ask_user", "memory": "memory"}
"""The tools of Athena that an agent is offered if its profile lists them, with their names at the endpoint.

Agents have tools of their own for files and commands.
"""
NAME_CHARS_MAX = 48
"""Longest name of a tool at the endpoint: agents add the name of the endpoint, and models take 64 characters."""
HASH_DIGITS = 8


class OfferedNames:
    """The names by which one agent knows the tools of the record. ``other`` replaces names of ``NAMES``."""

    def __init__(self, other: Mapping[str, str]) -> None:
        self._offered = {tool: other.get(name, name) for tool, name in NAMES.items()}

    def offered(self, tool: str | None) -> str:
        """Return the name by which the agent knows a tool of the record.

        A long one is cut and gets digits of its hash.
        """
        name = self._offered.get(tool or "", tool or "")
        if len(name) <= NAME_CHARS_MAX:
            return name
        digits = hashlib.sha256(name.encode()).hexdigest()[:HASH_DIGITS]
        return f"{name[: NAME_CHARS_MAX - HASH_DIGITS - 1]}_{digits}"

    def recorded(self, name: str, tools: Iterable[str]) -> str:
        """Return the name in the record of a tool that the agent calls, which may be one of ``tools``."""
        return next((tool for tool in (*NAMES, *tools) if self.offered(tool) == name), name)
