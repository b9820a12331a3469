"""The decision of a profile about the tools of an MCP server: which ones exist for its runs, and their approval."""

from athena_core.definitions.profile import McpPolicy
from athena_core.enums import Approval


def matches(pattern: str, name: str) -> bool:
    """Return True if a pattern matches a whole name. ``*`` stands for any characters, also none.

    It takes at most the product of both lengths in steps.
    """
    place = at = 0
    star, resume = -1, 0
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] == name[at]:
            place, at = place + 1, at + 1
        elif star >= 0:
            resume += 1
            place, at = star + 1, resume
        else:
            return False
    return not pattern[place:].strip("*")


def offered(policy: McpPolicy, tool: str) -> bool:
    """Return True if runs of the profile may call the tool."""
    return any(matches(pattern, tool) for pattern in policy.tools)


def approval_of_tool(policy: McpPolicy, tool: str) -> Approval:
    """Return the approval of calls of a tool: by the first rule that matches, else by default ``ask``."""
    for rule in policy.rules or ():
        if matches(rule.match.tool, tool):
            return rule.approval
    return policy.approval or "ask"
