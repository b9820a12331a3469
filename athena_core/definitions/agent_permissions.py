"""The decision of a profile about a tool call of an outside agent."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, cast, get_args

from athena_core.definitions.profile import AgentMatch, AgentRule
from athena_core.enums import AgentToolKind, Approval

PLAIN = re.compile(r"[\w @%+:,./=-]*", re.ASCII)
"""Texts that a shell divides at the spaces, and does nothing else with."""
SHELLS = frozenset(("sh", "bash", "dash", "zsh"))
SCRIPT_OPTIONS = frozenset(("-c", "-lc", "-cl"))
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)


KINDS = frozenset(get_args(AgentToolKind))


def tool_kind(text: str) -> AgentToolKind:
    """Return the kind of a call that an agent named; ``other`` for a word that is not known."""
    return cast(AgentToolKind, text) if text in KINDS else "other"


def approval_of_call(rules: Sequence[AgentRule] | None, kind: AgentToolKind, raw_input: Any) -> Approval:
    """Return the approval of a call of an agent: by the first rule that matches, else ``ask``.

    A command that cannot be divided into words matches no rule that allows it by its words. If a rule would ask or
    deny by words before another one matches, a person decides.
    """
    words = command_words(raw_input)
    for rule in rules or ():
        match _matches(rule.match, kind, words, has_command=_command_of(raw_input) is not None):
            case True:
                return rule.approval
            case None if rule.approval != "allow":
                return "ask"
    return "ask"


def command_words(raw_input: Any) -> tuple[str, ...] | None:
    """Return the words of the command in the input of a call; None if it has none, or one that needs a shell."""
    match _command_of(raw_input):
        case [program, option, script] if _is_shell(program) and option in SCRIPT_OPTIONS:
            command = script
        case [program, *_] as words if not _is_shell(program):
            return tuple(words)
        case str(text):
            command = text
        case _:
            return None
    if not PLAIN.fullmatch(command):
        return None
    divided = tuple(filter(None, command.split(" ")))
    return None if not divided or ASSIGNMENT.match(divided[0]) else divided


def _is_shell(program: str) -> bool:
    return PurePosixPath(program).name in SHELLS


def _command_of(raw_input: Any) -> str | list[str] | None:
    """Return the member ``command`` of an input, which is a text for a shell or a list of words."""
    command = raw_input.get("command") if isinstance(raw_input, dict) else None
    if isinstance(command, list):
        return command if command and all(isinstance(word, str) for word in command) else None
    return command if isinstance(command, str) else None


def _matches(
    match: AgentMatch, kind: AgentToolKind, words: tuple[str, ...] | None, *, has_command: bool
) -> bool | None:
    """Return True if a rule is about a call, None if the call's command cannot be compared with the rule."""
    if match.kind is not None and match.kind != kind:
        return False
    if match.command is None:
        return True
    if words is None:
        return None if has_command or kind == "execute" else False
    return words[: len(match.command)] == match.command
