"""The tool files: lists, reads and, if the profile allows it, changes files in the workspace."""

import base64
import binascii
import stat
from collections.abc import Mapping
from typing import Any

import anyio

from athena_core.definitions.profile import FilesPolicy
from athena_core.mask import Mask
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.tools.workspace import DirectoryEntry, Parts, Workspace, parts_of
from athena_core.values import ToolSpec

FILE_BYTES = 1_000_000
"""Maximum size of a file, unless the profile sets ``fileBytesMax``."""
LIST_ENTRIES_MAX = 1_000
LINE = {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}

SPEC = ToolSpec(
    name="files",
    description=(
        "Files of the workspace. list: a directory (recursive: with all subdirectories). read: a file, or lines of it. "
        "write: a whole file, created if needed. replace: old, which must occur exactly once, by new. "
        "delete: a file or an empty directory. Paths are relative; links are not followed."
    ),
    parameters=parameters(
        "action",
        action={"enum": ["list", "read", "write", "replace", "delete"]},
        path={"type": "string", "description": "Relative path; optional for list."},
        recursive={"type": "boolean", "description": "list: include all subdirectories."},
        from_line={**LINE, "description": "read: the first line, from 1."},
        lines={**LINE, "description": "read: number of lines."},
        encoding={"enum": ["utf-8", "base64"], "description": "read, write: base64 for binary files."},
        content={"type": "string", "description": "write: the new content."},
        old={"type": "string", "minLength": 1, "description": "replace: the present text."},
        new={"type": "string", "description": "replace: the new text."},
        evidence=EVIDENCE,
    ),
)
NEEDED = {"read": ("path",), "write": ("path", "content"), "replace": ("path", "old", "new"), "delete": ("path",)}


class FilesTool:
    """A tool for files below ``toolPolicies.files.directory`` of the workspace. It changes them only with ``write``.

    Listing, reading and writing may be repeated, because a file is written as a whole. Replacing and deleting may not,
    because the second call would fail although the first one succeeded.
    """

    spec = SPEC

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True unless the call replaces or deletes."""
        return arguments.get("action") in ("list", "read", "write")

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Run the call in a thread. A cancelled call is still completed there. Raise ToolRefused."""
        return await anyio.to_thread.run_sync(self._call, arguments, bench)

    def _call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        policy = bench.policies.files or FilesPolicy()
        action = arguments["action"]
        if missing := [name for name in NEEDED.get(action, ()) if name not in arguments]:
            raise ToolRefused(
                f"files {action} needs {', '.join(missing)}. Add the missing arguments and call it again."
            )
        if action not in ("list", "read") and not policy.write:
            raise ToolRefused(
                f"The profile only allows reading files, so {action} is refused. "
                "Continue without it, or ask an operator to set toolPolicies.files.write to true."
            )
        path = arguments.get("path", "")
        below = parts_of(path)
        if not below and action != "list":
            raise ToolRefused(f"{path!r} is the directory of the tool itself. Give the path of a file in it.")
        parts = (*parts_of(policy.directory or ""), *below)
        work = _Work(bench.workspace, bench.mask, parts, policy.file_bytes_max or FILE_BYTES)
        try:
            match action:
                case "list":
                    return work.list(arguments)
                case "read":
                    return work.read(arguments)
                case "write":
                    return work.write(arguments)
                case "replace":
                    return work.replace(arguments)
                case _:
                    return work.delete(arguments)
        except OSError as error:
            return ToolResult(
                content=f"{clean(path) or '.'}: {error.strerror or 'the operation failed'}", is_error=True
            )


class _Work:
    """One call on one path."""

    def __init__(self, workspace: Workspace, mask: Mask, parts: Parts, bytes_max: int) -> None:
        self._workspace = workspace
        self._mask = mask
        self._parts = parts
        self._bytes_max = bytes_max

    def list(self, arguments: Mapping[str, Any]) -> ToolResult:
        lines: list[str] = []
        room = self._bytes_max
        for entry in self._workspace.walk(self._parts, deep=bool(arguments.get("recursive"))):
            line = _line(entry)
            room -= len(line)
            if len(lines) == LIST_ENTRIES_MAX or room < 0:
                lines.append(f"[only the first {len(lines)} entries are shown; list a subdirectory]")
                break
            lines.append(line)
        cut = len(lines) > LIST_ENTRIES_MAX or room < 0
        content = clean("\n".join(lines))
        return ToolResult(
            content=content or "[empty]",
            truncated=cut,
            shown=tool_evidence(arguments.get("evidence"), content, workspace=True),
        )

    def read(self, arguments: Mapping[str, Any]) -> ToolResult:
        data = self._read()
        label = arguments.get("evidence")
        if arguments.get("encoding") == "base64":
            if self._mask.holds(data):
                raise ToolRefused(
                    "The file holds a secret, so base64 is refused. Read it as utf-8, which hides the secret."
                )
            content = base64.b64encode(data).decode()
            return ToolResult(content=content, shown=tool_evidence(label, content, "binary", workspace=True))
        text = self._mask.hide(clean(_text(data)), lines=True)
        if "from_line" in arguments or "lines" in arguments:
            first = int(arguments.get("from_line", 1)) - 1
            lines = text.split("\n")
            text = "\n".join(lines[first : first + int(arguments.get("lines", len(lines)))])
        return ToolResult(content=text, shown=tool_evidence(label, text, workspace=True))

    def write(self, arguments: Mapping[str, Any]) -> ToolResult:
        content, label = arguments["content"], arguments.get("evidence")
        if arguments.get("encoding") == "base64":
            try:
                data = base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ToolRefused(f"The content is not base64: {error}. Send base64, or encoding utf-8.") from None
            evidence = tool_evidence(label, content, "binary", workspace=True)
        else:
            data = content.encode()
            evidence = tool_evidence(label, content, workspace=True)
        return ToolResult(content=self._write(data), changed=True, shown=evidence)

    def replace(self, arguments: Mapping[str, Any]) -> ToolResult:
        text, old = _text(self._read()), arguments["old"]
        found = text.count(old)
        if found != 1:
            remedy = "Include more of the text around it." if found else "Read the file, and copy the text exactly."
            raise ToolRefused(f"The old text occurs {found} times; it must occur exactly once. {remedy}")
        text = text.replace(old, arguments["new"])
        told = self._write(text.encode())
        return ToolResult(
            content=told, changed=True, shown=tool_evidence(arguments.get("evidence"), text, workspace=True)
        )

    def delete(self, arguments: Mapping[str, Any]) -> ToolResult:
        self._workspace.delete(self._parts)
        told = f"Deleted {'/'.join(self._parts)}."
        return ToolResult(
            content=told, changed=True, shown=tool_evidence(arguments.get("evidence"), told, workspace=True)
        )

    def _read(self) -> bytes:
        remedy = "Use a smaller file, or ask an operator to raise toolPolicies.files.fileBytesMax."
        return self._workspace.read(self._parts, self._bytes_max, remedy)

    def _write(self, data: bytes) -> str:
        if len(data) > self._bytes_max:
            raise ToolRefused(
                f"The content has {len(data)} bytes; the limit is {self._bytes_max}. "
                "Write several files, or ask an operator to raise toolPolicies.files.fileBytesMax."
            )
        self._workspace.write(self._parts, data)
        return f"Wrote {len(data)} bytes to {'/'.join(self._parts)}."


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolRefused("The file is not UTF-8 text. Read it with encoding base64.") from None


def _line(entry: DirectoryEntry) -> str:
    name = "/".join(entry.parts)
    if stat.S_ISDIR(entry.mode):
        return name + "/"
    if stat.S_ISLNK(entry.mode):
        return name + " (a link, not followed)"
    return f"{name} ({entry.size} bytes)" if stat.S_ISREG(entry.mode) else name + " (not a regular file)"
