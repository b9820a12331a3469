"""The tool shell: runs commands of the profile in the workspace, without a shell."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from athena_core.definitions.profile import ShellPolicy
from athena_core.mask import HELD_CHARS_MAX, Mask
from athena_core.system.private_file import open_regular
from athena_core.system.process import CHUNK_BYTES, REAP_SECONDS, CannotStart, Child, environment
from athena_core.system.sandbox import SandboxRefused
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.tools.workspace import Parts, parts_of
from athena_core.values import LIST_ITEMS_MAX, ToolSpec

TIMEOUT_MS = 60_000
"""Timeout of a command, unless the profile sets ``timeoutMs``."""
OUTPUT_BYTES = 100_000
"""Maximum size of the kept output, unless the profile sets ``outputBytesMax``."""
WORD_CHARS_MAX = 100_000
COMMANDS_SHOWN = 20
LEFT_SHOWN = 10
SETTINGS_BYTES_MAX = 65_536
"""Bytes of the settings of a repository in which its object format is looked for."""
SHA256 = re.compile(r"^\s*objectformat\s*=\s*\"?sha256\b", re.IGNORECASE | re.MULTILINE)

SPEC = ToolSpec(
    name="shell",
    description=(
        "Run a command in the workspace: an allowed command with further arguments. It runs without a shell: "
        "no pipes, no redirection, no variables, no wildcards. Standard input is empty; output and errors are merged."
    ),
    parameters=parameters(
        "command",
        command={
            "type": "array",
            "items": {"type": "string", "maxLength": WORD_CHARS_MAX},
            "minItems": 1,
            "maxItems": LIST_ITEMS_MAX,
            "description": 'The command word by word: ["git", "status", "--short"].',
        },
        directory={"type": "string", "description": "Working directory, relative to the directory of the tool."},
        evidence=EVIDENCE,
    ),
)


class ShellTool:
    """A tool that runs commands that start, word by word, with an entry of ``toolPolicies.shell.commands``.

    The command gets PATH, HOME, LANG and settings of git. All its descendants are killed when the call ends. It runs
    in a sandbox if the profile says so.
    """

    spec = SPEC

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return False, because the effect of a command is unknown."""
        return False

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Run the command to its end or timeout. Raise ToolRefused if it is not allowed."""
        policy = bench.policies.shell
        argv = tuple(arguments["command"])
        if policy is None or not any(argv[: len(allowed)] == allowed for allowed in policy.commands):
            raise ToolRefused(_not_allowed(argv, policy))
        timeout_ms = policy.timeout_ms or TIMEOUT_MS
        output = ShellOutput(policy.output_bytes_max or OUTPUT_BYTES)
        parts = (*parts_of(policy.directory or ""), *parts_of(arguments.get("directory", "")))
        try:
            child, boxed_ms = await _start(argv, bench, parts)
            try:
                with anyio.move_on_after(timeout_ms / 1_000):
                    await _follow(child, output)
                stopped = not child.exited.is_set()
            finally:
                await child.end()
                left = await _carried_back(bench)
        except (CannotStart, SandboxRefused) as error:
            return ToolResult(content=f"The command could not be started: {error}", is_error=True)
        except OSError as error:
            return ToolResult(content=f"{'/'.join(parts) or '.'}: {error.strerror}", is_error=True)
        ending = child.problem or child.ending()
        if stopped:
            ending = f"stopped after {timeout_ms} ms. Split the work, or have toolPolicies.shell.timeoutMs raised"
        content = f"[{ending}]\n{bench.mask.hide(left)}{output.text(bench.mask)}"
        return ToolResult(
            content=content,
            is_error=child.status != 0 or stopped,
            boxed_ms=boxed_ms,
            changed=True,
            truncated=output.left_out > 0,
            shown=tool_evidence(arguments.get("evidence"), content, workspace=True, exit_code=child.status),
        )


async def _start(argv: tuple[str, ...], bench: ToolContext, parts: Parts) -> tuple[Child, int | None]:
    """Start a command in a directory of the workspace. Return it, and the milliseconds that it took in a sandbox."""
    path = bench.workspace.root.joinpath(*parts)
    with bench.workspace.directory(parts) as directory:
        variables = environment(await anyio.to_thread.run_sync(_object_format, path))
        if bench.box is None:
            if bench.workspace.is_own:  # no repository around the workspace is its own
                variables["GIT_CEILING_DIRECTORIES"] = str(bench.workspace.root.absolute().parent)
            there = _path(directory, path)
            return await Child.start(argv, variables, directory=there, fed=False, merged=True), None
        since = anyio.current_time()
        box = await anyio.to_thread.run_sync(bench.box.around, bench.workspace)
        there = box.shown.joinpath(*parts)
        child = await Child.start(argv, variables, directory=there, fed=False, merged=True, sandbox=box)
        return child, round((anyio.current_time() - since) * 1_000)


async def _carried_back(bench: ToolContext) -> str:
    """Carry what a command in a sandbox changed into the shared workspace. Return what was left out, as lines."""
    if bench.box is None:
        return ""
    with anyio.CancelScope(shield=True):
        try:
            left = await anyio.to_thread.run_sync(bench.workspace.sync_mirror)
        except SandboxRefused as error:
            return f"[not carried back: {error}]\n"
    lines = [f"[not carried back: {clean(one.path)}: {one.reason}]\n" for one in left[:LEFT_SHOWN]]
    more = len(left) - LEFT_SHOWN
    return "".join(lines) + (f"[and {more} more]\n" if more > 0 else "")


class ShellOutput:
    """The output of a command: its beginning, its end, and the number of bytes left out between them.

    Some bytes after the beginning and before the end are kept as well, so that the mask sees whole secrets.
    """

    def __init__(self, bytes_max: int) -> None:
        """Show at most ``bytes_max`` bytes."""
        self._head_max = bytes_max // 2
        self._tail_max = bytes_max - self._head_max
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    @property
    def left_out(self) -> int:
        """The number of bytes that are not shown."""
        return max(len(self._head) + self._dropped + len(self._tail) - self._head_max - self._tail_max, 0)

    def add(self, piece: bytes) -> None:
        room = self._head_max + HELD_CHARS_MAX - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        over = max(len(self._tail) - self._tail_max - HELD_CHARS_MAX, 0)
        del self._tail[:over]
        self._dropped += over

    def text(self, mask: Mask) -> str:
        """Return the shown output as text without secrets."""
        if not self.left_out:
            return mask.hide(_text(self._head + self._tail))
        first = self._head if self._dropped else self._head + self._tail
        last = self._tail if self._dropped else first
        head, after = _text(first[: self._head_max]), _text(first[self._head_max :])
        before, tail = _text(last[: -self._tail_max]), _text(last[-self._tail_max :])
        head = mask.hide_part(head + after, 0, len(head))
        tail = mask.hide_part(before + tail, len(before), len(before + tail))
        return f"{head}\n[{self.left_out} bytes left out]\n{tail}"


def _text(data: bytes | bytearray) -> str:
    return clean(data.decode(errors="replace"))


async def _follow(child: Child, output: ShellOutput) -> None:
    """Read until the command ends. Its descendants are killed then, so the output ends, too."""
    ended = anyio.Event()

    async def read() -> None:
        while piece := await child.output.read(CHUNK_BYTES):
            output.add(piece)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await child.exited.wait()
        with anyio.move_on_after(REAP_SECONDS):
            await ended.wait()
        tasks.cancel_scope.cancel()


def _path(directory: int, path: Path) -> Path:
    """Return a path to the open directory that a rename cannot redirect, if the system has such paths."""
    handle = Path(f"/proc/self/fd/{directory}")
    return handle if handle.exists() else path


def _object_format(directory: Path) -> str:
    """Return the object format of the repository around a directory, read from the repository's own files."""
    for place in (directory, *directory.parents):
        try:
            git = place / ".git"
            if git.is_file():
                git = place / _line_of(git).removeprefix("gitdir: ")
            if (git / "commondir").is_file():
                git /= _line_of(git / "commondir")
            return "sha256" if SHA256.search(_beginning(git / "config")) else "sha1"
        except (OSError, ValueError):
            continue
    return "sha1"


def _line_of(path: Path) -> str:
    return _beginning(path).rstrip("\n")


def _beginning(path: Path) -> str:
    """Return the beginning of a regular file that an agent may have written. Raise OSError for anything else."""
    file = open_regular(path, os.O_RDONLY)
    try:
        return os.read(file, SETTINGS_BYTES_MAX).decode()
    finally:
        os.close(file)


def _not_allowed(argv: tuple[str, ...], policy: ShellPolicy | None) -> str:
    if policy is None:
        allowed = "The profile allows no commands"
    else:
        some = "; ".join(shlex.join(command) for command in policy.commands[:COMMANDS_SHOWN])
        more = len(policy.commands) - COMMANDS_SHOWN
        allowed = f"Allowed commands start with one of: {some}" + (f"; and {more} more" if more > 0 else "")
    return (
        f"The command {shlex.join(argv)[:200]!r} is not allowed. {allowed}. "
        "Use one of these word by word, or ask an operator to add it to toolPolicies.shell.commands."
    )
