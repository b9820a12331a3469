"""The names of Athena's tools at the endpoint of a run."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {"evidence": "attach_evidence", "ask_user": "ask_user", "memory": "memory"}
"""The tools of Athena that an agent is offered if its profile lists them, with their names at the endpoint.

Agents have tools of their own for files and commands.
"""
RECORDED: Mapping[str, str] = {offered: tool for tool, offered in NAMES.items()}


def offered(tool: str | None) -> str:
    """Return the name by which an agent knows a tool of the record."""
    return NAMES.get(tool or "", tool or "")


def recorded(name: str) -> str:
    """Return the name in the record of a tool that an agent calls."""
    return RECORDED.get(name, name)
