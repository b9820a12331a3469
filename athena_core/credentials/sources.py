"""The places that a secret comes from: a file, a variable of the environment, or the output of a command."""

import asyncio
import os
import re
from pathlib import Path
from typing import NamedTuple, TypeAlias

import anyio

from athena_core.errors import ConfigError
from athena_core.settings import other_environment, take_variable
from athena_core.system.dotenv import check_writers
from athena_core.system.private_file import open_regular
from athena_core.system.process import CannotStart, Child
from athena_core.text import one_line

SECRET_CHARS_MIN = 8
"""Shorter secrets are refused, because they could not be masked."""
SECRET_CHARS_MAX = 4_096
COMMAND_SECONDS_MAX = 30.0
REFRESH_SECONDS = 300
SECRET = re.compile(rb"[!-~]([ -~]*[!-~])?")


class SecretUnavailable(Exception):
    """A source without a usable secret. The message is the reason; it never quotes content of the source."""


class FileSource(NamedTuple):
    """A file that holds the secret and nothing else."""

    path: Path

    def read(self) -> str:
        """Return the secret. Raise SecretUnavailable. Blocks."""
        shown = one_line(str(self.path))
        try:
            with os.fdopen(open_regular(self.path, os.O_RDONLY), "rb") as file:
                check_writers(self.path, os.fstat(file.fileno()), os.geteuid())
                data = file.read(SECRET_CHARS_MAX + 2)
        except OSError as error:
            raise SecretUnavailable(f"{shown} cannot be read: {error.strerror}") from None
        except ConfigError as error:
            raise SecretUnavailable(one_line(error.message)) from None
        return secret_of(data, shown)


class VariableSource(NamedTuple):
    """A variable of the environment, which is removed from it."""

    name: str

    def read(self) -> str:
        """Return the secret. Raise SecretUnavailable."""
        value = take_variable(self.name)
        if value is None:
            raise SecretUnavailable(f"the variable {self.name} is not set")
        return secret_of(value.encode(errors="surrogateescape"), f"the variable {self.name}")


class CommandSource(NamedTuple):
    """A command that prints the secret. It runs without a shell, and without Athena's settings in its environment."""

    argv: tuple[str, ...]
    refresh_seconds: int = REFRESH_SECONDS
    seconds_max: float = COMMAND_SECONDS_MAX

    async def run(self) -> str:
        """Run the command once and return the secret. Raise SecretUnavailable."""
        try:
            child = await Child.start(self.argv, other_environment(), fed=False)
        except CannotStart as error:
            raise SecretUnavailable(f"the command cannot be started: {error}") from None
        data = b""
        try:
            with anyio.move_on_after(self.seconds_max) as limit:
                while len(data) < SECRET_CHARS_MAX + 2 and (piece := await child.output.read(SECRET_CHARS_MAX + 2)):
                    data += piece
                if len(data) < SECRET_CHARS_MAX + 2:
                    await child.exited.wait()
        finally:
            await child.end()
        if limit.cancelled_caught:
            raise SecretUnavailable(f"the command ran for more than {self.seconds_max:g} s")
        if len(data) < SECRET_CHARS_MAX + 2 and child.status != 0:  # its error output may quote the secret
            raise SecretUnavailable(f"the command failed with exit status {child.status}. Run it by hand.")
        return secret_of(data, "the output of the command")


Source: TypeAlias = FileSource | VariableSource | CommandSource


def secret_of(data: bytes, place: str) -> str:
    """Return the secret in the content of a source, without one line break at its end. Raise SecretUnavailable."""
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) < SECRET_CHARS_MIN:
        size = "is empty" if not data else f"holds fewer than {SECRET_CHARS_MIN} characters"
        raise SecretUnavailable(f"{place} {size}")
    if len(data) > SECRET_CHARS_MAX:
        raise SecretUnavailable(f"{place} holds more than {SECRET_CHARS_MAX} characters")
    if not SECRET.fullmatch(data):
        remedy = "Only printable ASCII without spaces around it can be sent."
        raise SecretUnavailable(f"{place} holds a line break, a control or a non-ASCII character. {remedy}")
    return data.decode("ascii")


async def read_once(source: Source) -> str:
    """Return the secret of a source now. Raise SecretUnavailable."""
    if isinstance(source, CommandSource):
        return await source.run()
    return await asyncio.to_thread(source.read)
