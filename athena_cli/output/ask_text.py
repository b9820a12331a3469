"""Asks as people read them before they decide: who asks, the question, and the whole call to approve.

Everything that an agent wrote stands behind a bar, in lines no wider than the terminal, with its control characters
written out. So it cannot look like a line of Athena.
"""

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from athena_cli.output.values import age, counted, distance

Record = Mapping[str, Any]

BAR, MORE = "│ ", "┆ "
INDENT = "  "
KINDS: Mapping[str, str] = {
    "read": "Read a file",
    "edit": "Change a file",
    "delete": "Delete a file",
    "move": "Move a file",
    "search": "Search",
    "execute": "Run a command",
    "think": "Think",
    "fetch": "Fetch from the network",
    "other": "Make a call",
}
"""Calls of outside agents, by the kind that the agent gives."""
COMMANDS = ("command", "cmd")
"""Names that outside agents give to a command."""
SHELLS = frozenset(("sh", "bash", "dash", "zsh"))
COMPARED_LINES_MAX = 2_000
TAB = "⇥   "
CELLS_MIN = 20
NAME_CHARS = 100
SHA256_SHOWN = 12
MARK = re.compile(
    r"\[(?:hidden|cut): \d+ characters, sha256 (?P<hash>[0-9a-f]{12})\]"
    r"|\[secret (?P<secret>[^\]\n]+)\]|\[U\+[0-9A-F]{4,6}\]"
)
"""What stands in a text in place of a hidden part, a secret of Athena, or a character that cannot be seen."""
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Characters that are letters or marks by their category, but show nothing."""


def visible(text: str) -> str:
    """Return a text with every control, format and other invisible character written out, such as ``[U+202E]``."""
    if text.isascii() and text.isprintable():  # the usual case
        return text
    return BLANK.sub(_named, "".join(char if char.isprintable() else _name(char) for char in text))


def _named(found: re.Match[str]) -> str:
    return _name(found[0])


def _name(char: str) -> str:
    return f"[U+{ord(char):04X}]"


def _name_of(value: object) -> str:
    return visible(str(value))[:NAME_CHARS]


def block(text: str, width: int, sign: str = "") -> Iterator[str]:
    """Yield the lines of a text behind a bar. Longer lines continue behind a dashed bar. ``sign`` begins each line."""
    from rich.cells import cell_len, chop_cells

    room = max(width - len(INDENT + BAR + sign), CELLS_MIN)
    for part in text.removesuffix("\n").split("\n"):
        shown = visible(part.replace("\t", "\0")).replace("[U+0000]", TAB) if "\t" in part and "\0" not in part else ""
        shown = shown or visible(part)
        pieces = [shown] if cell_len(shown) <= room else chop_cells(shown, room)
        for place, piece in enumerate(pieces):
            yield f"{INDENT}{MORE if place else BAR}{sign}{piece}".rstrip()


def hidden_text(spans: Sequence[Mapping[str, Any]]) -> str:
    """Return how much of a shown text is hidden."""
    chars = counted(sum(int(span["chars"]) for span in spans), "character")
    return f"{counted(len(spans), 'part')} {'is' if len(spans) == 1 else 'are'} hidden ({chars})."


def is_locked(ask: Record) -> bool:
    """Return True if an ask hides a part that was not opened, so that it cannot be allowed yet."""
    return bool(ask.get("hidden")) and ask.get("exact") is None


def with_exact(ask: Record) -> dict[str, Any]:
    """Return an ask whose call has its exact arguments, if they were opened."""
    is_call = ask["kind"] == "tool-permission" and ask.get("exact") is not None
    return {**ask, "arguments": ask["exact"]} if is_call else dict(ask)


def marks_in(line: str, ask: Record) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each mark in a line. An imitation of the mark of a hidden part is text."""
    hashes = {str(span["sha256"])[:SHA256_SHOWN] for span in ask.get("hidden") or ()}
    for found in MARK.finditer(line):
        genuine = found["hash"] in hashes if found["hash"] else not found["secret"] or found["secret"] in _secrets(ask)
        if genuine:
            yield found.span()


def _secrets(ask: Record) -> Sequence[str]:
    return ask.get("secrets") or ()


def ask_lines(ask: Record, width: int) -> Iterator[str]:
    """Yield the lines that a person reads before the decision about an ask."""
    yield from _head(ask)
    yield ""
    if ask["kind"] == "tool-permission":
        yield from call_lines(str(ask.get("toolName") or "a tool"), ask.get("arguments"), width)
        if ask.get("credentials"):
            yield f"With the credentials: {', '.join(map(_name_of, ask['credentials']))}"
    else:
        yield from block(str(ask.get("question") or ""), width)
        if ask["kind"] == "workflow-approval":
            yield from _subject(ask, width)
        elif ask["kind"] == "choice":
            yield ""
            for option in choices(ask):
                yield from block(str(option.get("name") or option["id"]), width, f"{option['id']}  ")
    if is_locked(ask):
        yield hidden_text(ask["hidden"])
    elif ask.get("exact") is not None and ask["kind"] != "tool-permission":
        yield "The exact text:"
        yield from block(_pretty_json(ask["exact"]), width)
    if ask.get("truncated") or ask.get("redacted"):
        yield ""
        yield "A part is not shown: it is too long, or was redacted."
    yield ""


def choices(ask: Record) -> list[Record]:
    """Return the options of an ask that allow something."""
    return [option for option in ask.get("options") or () if option.get("kind") != "reject_once"]


def option_names(ask: Record) -> str:
    """Return the options of an ask, with the names that an agent gave them."""
    names = ((str(one["id"]), str(one.get("name") or "")) for one in ask.get("options") or ())
    return visible(", ".join(f"{id} ({name})" if name and name.lower() != id else id for id, name in names))


def _server_of(ask: Record) -> str:
    """Return the MCP server whose tool asks a person, in words. The model did not write its question."""
    server, mark, _ = str(ask.get("toolName") or "").partition("__")
    asks = mark and ask.get("origin") == "mcp" and ask["kind"] != "tool-permission"
    return f"the MCP server {server}" if asks else ""


def _head(ask: Record) -> Iterator[str]:
    """Yield who asks, and how long it waits."""
    run = ask.get("runId") or ask.get("workflowRunId") or ""
    agent = _server_of(ask) or agent_of(str(ask.get("toolName") or ""))
    who = _name_of(agent or ask.get("agentName") or ("workflow" if ask.get("workflowRunId") else "agent"))
    at = f", step {_name_of(ask['stepId'])}" if ask.get("stepId") else ""
    session = f", session {_name_of(ask['sessionId'])}" if ask.get("sessionId") else ""
    yield f"{ask['id']} ({ask['kind']})"
    started = f", started by {_name_of(ask['requestedBy'])}" if ask.get("requestedBy") else ""
    yield f"asked by {who}, run {_name_of(run)}{at}{session}{started}"
    if ask["status"] != "open":
        yield f"{ask['status']}" + (f" by {_name_of(ask['decidedBy'])}" if ask.get("decidedBy") else "")
        return
    after = {"cancel": ", then the run is cancelled", "deny": ", then it is refused"}.get(str(ask.get("onExpiry")), "")
    expires = f"; expires {distance(ask['expiresAt'])}{after}" if ask.get("expiresAt") else ""
    yield f"asked {age(ask['askedAt'])}{expires}"


def _subject(ask: Record, width: int) -> Iterator[str]:
    yield ""
    yield "The text to approve:"
    yield from block(ask.get("subject") or "(The step has no text.)", width)
    if ask.get("input"):
        yield "The input of the workflow run:"
        yield from block(_pretty(ask["input"]), width)


def call_lines(tool: str, arguments: str | None, width: int) -> Iterator[str]:
    """Yield the lines of a tool call: every argument in full."""
    if arguments is None:
        yield f"Tool {_name_of(tool)}: the arguments are not shown."
        return
    named = decoded(arguments)
    if named is None:
        yield f"Tool {_name_of(tool)}, with arguments that are no JSON object:"
        yield from block(arguments, width)
        return
    rest = dict(named)
    by_agent = _agent_call if agent_of(tool) else _other
    yield from {"shell": _shell, "http": _http, "files": _files}.get(tool, by_agent)(tool, rest, width)
    for name, value in rest.items():
        yield from _field(name, value, width)


def decoded(arguments: str) -> dict[str, Any] | None:
    """Return the arguments of a call as an object; None if they are none."""
    import msgspec

    try:
        return msgspec.json.decode(arguments.strip() or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _shell(tool: str, rest: dict[str, Any], width: int) -> Iterator[str]:
    words = rest.get("command")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        yield from _other(tool, rest, width)
        return
    del rest["command"]
    yield f"Run a command ({counted(len(words), 'word')}):"
    if any("\n" in word for word in words):
        for number, word in enumerate(words):
            yield from block(word, width, f"{number}  ")
    else:
        yield from block(shlex.join(words), width)


def _http(tool: str, rest: dict[str, Any], width: int) -> Iterator[str]:
    url = rest.get("url")
    if not isinstance(url, str):
        yield from _other(tool, rest, width)
        return
    del rest["url"]
    method = rest.pop("method", "GET")
    yield f"Send a request{_to(url)}:"
    yield from block(f"{method} {url}", width)


def _to(url: str) -> str:
    """Return the host that a URL names."""
    from athena_core.tools.destination import target_of
    from athena_core.tools.refusal import ToolRefused

    try:
        return f" to {_name_of(target_of(url).authority)}"
    except ToolRefused:
        return ""


def _files(tool: str, rest: dict[str, Any], width: int) -> Iterator[str]:
    action, path = rest.get("action"), rest.get("path")
    if not isinstance(action, str) or not isinstance(path, str):
        yield from _other(tool, rest, width)
        return
    del rest["action"], rest["path"]
    yield f"{_name_of(action).capitalize()} a file:"
    yield from block(path, width)
    old, new, content = rest.get("old"), rest.get("new"), rest.get("content")
    if action == "replace" and isinstance(old, str) and isinstance(new, str):
        del rest["old"], rest["new"]
        yield "The change:"
        yield from block(old, width, "- ")
        yield from block(new, width, "+ ")
    elif action == "write" and isinstance(content, str):
        del rest["content"]
        yield f"The new content ({counted(len(content), 'character')}):"
        yield from block(content, width)


def agent_of(tool: str) -> str:
    """Return the outside agent that makes the calls of a tool, such as ``codex`` of ``codex:execute``; "" if none."""
    agent, colon, kind = tool.partition(":")
    return agent if colon and kind in KINDS else ""


def _agent_call(tool: str, rest: dict[str, Any], width: int) -> Iterator[str]:
    agent, _, kind = tool.partition(":")
    yield f"{KINDS[kind]}, by the agent {_name_of(agent)}:"
    for name in COMMANDS:
        command = rest.get(name)
        words = isinstance(command, list) and all(isinstance(word, str) for word in command)
        if isinstance(command, str) or words:
            del rest[name]
            yield from block(command if isinstance(command, str) else shlex.join(command or ()), width)
            break
    for part in rest.pop("content") if _are_changes(rest.get("content")) else ():
        old, new = (part.get("oldText") or ""), part["newText"]
        before = "/dev/null" if part.get("oldText") is None else str(part.get("path"))
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), before, str(part.get("path")), lineterm="")
        yield from block("\n".join(diff), width)


def _are_changes(content: Any) -> bool:
    """Return True for a list of changes of files that are short enough to be compared."""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return False
    texts = [part.get(name) or "" for part in content for name in ("oldText", "newText")]
    return (
        bool(content)
        and all(part.get("type") == "diff" and isinstance(part.get("newText"), str) for part in content)
        and all(isinstance(text, str) and text.count("\n") < COMPARED_LINES_MAX for text in texts)
    )


def shell_text(command: str | list[Any]) -> str:
    """Return a command in short: the script of ``sh -c``, else its words."""
    if isinstance(command, str):
        return command
    words = [str(word) for word in command]
    if (
        len(words) == len(("sh", "-c", "script"))
        and words[0].rpartition("/")[2] in SHELLS
        and words[1] in {"-c", "-lc"}
    ):
        return words[2]
    return shlex.join(words)


def _other(tool: str, rest: dict[str, Any], width: int) -> Iterator[str]:
    yield f"Call the tool {_name_of(tool)}" + (":" if rest else " without arguments.")


def _field(name: str, value: Any, width: int) -> Iterator[str]:
    text = value if isinstance(value, str) else _pretty(value)
    if "\n" in text:
        yield from block(f"{name}:", width)
        yield from block(text, width, "  ")
    else:
        yield from block(f"{name}: {text}", width)


def _pretty(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _pretty_json(text: str) -> str:
    import msgspec

    return msgspec.json.format(text, indent=2)


def field_lines(name: str, field: Mapping[str, Any], place: str, *, required: bool) -> Iterator[str]:
    """Yield the lines about a field of a form: its name, the kind of its value, and the values to choose from."""
    kind = {"boolean": "yes or no", "string": "text", "integer": "whole number"}.get(str(field.get("type")), "number")
    absent = f"Enter for {visible(_shown(field['default']))}" if "default" in field else "Enter for none"
    needed = "required" if required and "default" not in field else absent
    yield f"{place}: {visible(str(field.get('title') or name))} ({kind}, {needed})"
    if field.get("description"):
        yield f"  {visible(str(field['description']))}"
    for number, word in enumerate(field.get("enum") or (), 1):
        yield f"  {number}  {visible(str(word))}"


def form_lines(form: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about the fields of a form."""
    required = form.get("required") or ()
    for name, field in (form.get("properties") or {}).items():
        yield from field_lines(name, field, visible(name), required=name in required)


def _shown(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
