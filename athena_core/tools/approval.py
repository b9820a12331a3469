"""Approval of tool calls: whether a profile lets a call run, asks a person first, or denies it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from athena_core.definitions.profile import (
    FilesMatch,
    FilesRule,
    HttpMatch,
    HttpRule,
    ShellMatch,
    ShellRule,
    ToolPolicies,
    ToolPolicy,
)
from athena_core.enums import Approval
from athena_core.tools.destination import is_host, target_of
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import parts_of

STRICTEST: tuple[Approval, ...] = ("deny", "ask")


def approval_of(name: str, arguments: Mapping[str, Any], policies: ToolPolicies | None) -> Approval:
    """Return the approval of a call whose arguments match the tool's schema.

    The first rule that matches decides, then the policy of the tool, then ``allow``. If a URL or path cannot be
    read, the call will fail; until then the strictest rule or the policy decides.
    """
    policy: ToolPolicy | None = getattr(policies, name, None)
    if policy is None:
        return "allow"
    rules: Sequence[ShellRule | HttpRule | FilesRule] = getattr(policy, "rules", None) or ()
    default = policy.approval or "allow"
    try:
        decided = next((rule.approval for rule in rules if _matches(rule.match, arguments)), default)
    except ToolRefused:
        given = {default, *(rule.approval for rule in rules)}
        decided = next((approval for approval in STRICTEST if approval in given), default)
    return decided


def _matches(match: ShellMatch | HttpMatch | FilesMatch, arguments: Mapping[str, Any]) -> bool:
    """Return True if a rule is about this call. Raise ToolRefused for a URL or path that cannot be read."""
    match match:
        case ShellMatch(command=words):
            return tuple(arguments["command"][: len(words)]) == words
        case HttpMatch(host=host, methods=methods):
            target = target_of(arguments["url"])
            named = host is None or is_host(target.host, host)
            return named and (methods is None or arguments.get("method", "GET") in methods)
        case FilesMatch(path=path, actions=actions):
            below, parts = parts_of(path or ""), parts_of(arguments.get("path", ""))
            return parts[: len(below)] == below and (actions is None or arguments["action"] in actions)


def canonical(arguments: str) -> str:
    """Return a call's arguments in one spelling, for the comparison of calls: members sorted, without spaces."""
    try:
        value = msgspec.json.decode(arguments.strip() or "{}")
    except (ValueError, RecursionError):
        return arguments
    return msgspec.json.encode(value, order="deterministic").decode()


def call_sha256(salt: str, tool_name: str, arguments: str, secrets: tuple[str, ...] | None = None) -> str:
    """Return the hash of a call: of the salt (hexadecimal), the tool's name, and the arguments as they are.

    ``secrets`` are the names that stand in the arguments in place of secrets. So a call that only spells such a name
    has another hash.
    """
    return _sha256(salt, {"toolName": tool_name, "arguments": arguments}, secrets)


def question_sha256(
    salt: str, title: str, options: tuple[str, ...], form: str | None, secrets: tuple[str, ...] | None = None
) -> str:
    """Return the hash of a question: of the salt (hexadecimal), its words, its options and its form."""
    return _sha256(salt, {"question": title, "options": options, "form": form}, secrets)


def _sha256(salt: str, subject: dict[str, Any], secrets: tuple[str, ...] | None) -> str:
    if secrets:
        subject["secrets"] = secrets
    return hashlib.sha256(bytes.fromhex(salt) + msgspec.json.encode(subject, order="deterministic")).hexdigest()
